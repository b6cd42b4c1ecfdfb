// SPDX-License-Identifier: GPL-2.0
/*
 * account.c - whose memory it is, and how much anybody may have.
 *
 * A region is charged to the user who made it until it is gone, whoever holds it
 * then: to the locked memory that RLIMIT_MEMLOCK bounds, and to the module's own
 * limits. Lowering a limit takes nothing from anybody; it holds for what is made
 * from then on.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/sched/user.h>
#include <linux/slab.h>

#include "pinring.h"

/* A user who has at least one region, or remains of one. */
struct pinring_account {
	struct list_head link;
	struct user_struct *user;
	u64 bytes;
	u64 regions;
	u64 bells;
};

struct pinring_limits pinring_limits;

static DEFINE_MUTEX(lock); /* all below, and the limits against a check */
static LIST_HEAD(accounts);
static struct pinring_usage total;

void pinring_limits_init(void)
{
	u64 memory = (u64)totalram_pages() << PAGE_SHIFT;

	pinring_limits.max_bytes = memory / 2;
	pinring_limits.max_bytes_per_user = memory / 4;
	pinring_limits.max_regions_per_user = 1024;
	pinring_limits.max_doorbells_per_user = 256;
}

void pinring_limit_set(u64 *limit, u64 value)
{
	mutex_lock(&lock);
	WRITE_ONCE(*limit, value);
	mutex_unlock(&lock);
}

struct pinring_usage pinring_usage(void)
{
	struct pinring_usage usage;

	mutex_lock(&lock);
	usage = total;
	mutex_unlock(&lock);
	return usage;
}

/* The account of the calling user, made if there is none yet; or NULL. */
static struct pinring_account *account_get(void)
{
	struct user_struct *user = current_user();
	struct pinring_account *account;

	list_for_each_entry(account, &accounts, link)
		if (account->user == user)
			return account;
	account = kzalloc(sizeof(*account), GFP_KERNEL_ACCOUNT);
	if (!account)
		return NULL;
	account->user = get_uid(user);
	list_add(&account->link, &accounts);
	return account;
}

static void account_put(struct pinring_account *account)
{
	if (account->regions || account->bytes)
		return;
	list_del(&account->link);
	free_uid(account->user);
	kfree(account);
}

/*
 * Also counts what others lock, so it is no business of the mutex; and what is
 * refused is never in it, lest they be refused for it.
 */
static int lock_pages(struct user_struct *user, unsigned long pages)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	long locked = atomic_long_read(&user->locked_vm);

	do {
		if (locked + pages > limit && !capable(CAP_IPC_LOCK))
			return -ENOBUFS;
	} while (!atomic_long_try_cmpxchg(&user->locked_vm, &locked,
					  locked + pages));
	return 0;
}

static bool over_limit(const struct pinring_account *account, u64 bytes)
{
	const struct pinring_limits *limits = &pinring_limits;

	/* bytes is at most 2^48 and so are the sums: no overflow */
	return total.bytes + bytes > limits->max_bytes ||
	       account->bytes + bytes > limits->max_bytes_per_user ||
	       account->regions + 1 > limits->max_regions_per_user;
}

/* Before any memory is looked for. 0, -EDQUOT, -ENOBUFS or -ENOMEM. */
int pinring_charge(struct pinring_charge *charge, u64 bytes)
{
	struct pinring_account *account;
	int rc;

	mutex_lock(&lock);
	account = account_get();
	if (!account) {
		rc = -ENOMEM;
		goto unlock;
	}
	rc = -EDQUOT;
	if (over_limit(account, bytes) && !capable(CAP_SYS_RESOURCE))
		goto put;
	rc = lock_pages(account->user, bytes >> PAGE_SHIFT);
	if (rc)
		goto put;
	account->bytes += bytes;
	account->regions++;
	total.bytes += bytes;
	total.regions++;
	charge->account = account;
	charge->bytes = bytes;
	charge->regions = 1;
put:
	account_put(account);
unlock:
	mutex_unlock(&lock);
	return rc;
}

/*
 * The region is gone, but for pages of @left bytes that somebody has pinned. Nothing
 * if nothing is charged.
 */
void pinring_uncharge(struct pinring_charge *charge, u64 left)
{
	struct pinring_account *account = charge->account;
	u64 bytes = charge->bytes - left;

	if (!account)
		return;
	mutex_lock(&lock);
	atomic_long_sub(bytes >> PAGE_SHIFT, &account->user->locked_vm);
	account->bytes -= bytes;
	account->regions -= charge->regions;
	total.bytes -= bytes;
	total.regions -= charge->regions;
	account_put(account);
	mutex_unlock(&lock);
	charge->bytes = left;
	charge->regions = 0;
	if (!left)
		charge->account = NULL;
}

/* To who is charged with the region, which outlives its bells. 0 or -EDQUOT. */
int pinring_charge_bell(struct pinring_charge *charge)
{
	struct pinring_account *account = charge->account;
	int rc = 0;

	mutex_lock(&lock);
	if (account->bells + 1 > pinring_limits.max_doorbells_per_user &&
	    !capable(CAP_SYS_RESOURCE))
		rc = -EDQUOT;
	if (!rc) {
		account->bells++;
		WRITE_ONCE(charge->bells, charge->bells + 1);
	}
	mutex_unlock(&lock);
	return rc;
}

void pinring_uncharge_bell(struct pinring_charge *charge)
{
	mutex_lock(&lock);
	charge->account->bells--;
	WRITE_ONCE(charge->bells, charge->bells - 1);
	mutex_unlock(&lock);
}
