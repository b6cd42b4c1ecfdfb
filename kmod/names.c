// SPDX-License-Identifier: GPL-2.0
/*
 * names.c - the regions there are, and those that others may find by name.
 *
 * All are in an index by id, for people who want to see them. A published one is
 * also in a table by owner and name: owners cannot take each other's names. Its
 * inode says who may open it, as a file's does.
 *
 * Nothing here holds a reference. The last one is dropped under the lock, so that
 * what is found under it is alive.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/hashtable.h>
#include <linux/jhash.h>
#include <linux/mutex.h>
#include <linux/sched/signal.h>
#include <linux/uidgid.h>
#include <linux/user_namespace.h>

#include "compat.h"
#include "pinring.h"

static DEFINE_MUTEX(lock); /* both, and the last reference of each in them */
static DEFINE_XARRAY(regions); /* by id; from when they are whole */
static DEFINE_HASHTABLE(names, 8); /* from when their maker claims the name */

/* Ended by a zero, and nothing that would confuse a reader of /proc. */
bool pinring_name_sane(const char name[PINRING_IOC_NAME_MAX])
{
	size_t i, length = strnlen(name, PINRING_IOC_NAME_MAX);

	if (length == PINRING_IOC_NAME_MAX)
		return false;
	for (i = 0; i < length; i++)
		if ((u8)name[i] <= ' ' || name[i] == 0x7f || name[i] == '/')
			return false;
	return true;
}

static u32 name_hash(kuid_t owner, const char *name)
{
	return jhash(name, strlen(name), __kuid_val(owner));
}

static struct pinring_region *name_find(kuid_t owner, const char *name)
{
	struct pinring_region *region;

	lockdep_assert_held(&lock);
	hash_for_each_possible(names, region, named, name_hash(owner, name))
		if (uid_eq(region->owner, owner) && !strcmp(region->name, name))
			return region;
	return NULL;
}

/* Before its memory is looked for, which may take long. 0 or -EEXIST. */
int pinring_name_claim(struct pinring_region *region)
{
	int rc = -EEXIST;

	mutex_lock(&lock);
	if (!name_find(region->owner, region->name)) {
		hash_add(names, &region->named,
			 name_hash(region->owner, region->name));
		rc = 0;
	}
	mutex_unlock(&lock);
	return rc;
}

/* The region is whole: others may find it from now on. 0 or -ENOMEM. */
int pinring_names_show(struct pinring_region *region)
{
	int rc;

	mutex_lock(&lock);
	rc = xa_insert(&regions, region->id, region, GFP_KERNEL_ACCOUNT);
	mutex_unlock(&lock);
	return rc;
}

static void forget(struct kref *ref)
{
	struct pinring_region *region =
		container_of(ref, struct pinring_region, ref);

	xa_erase(&regions, region->id);
	hash_del(&region->named);
	mutex_unlock(&lock);
}

/* True if that was the last reference, and nobody can find the region any more. */
bool pinring_names_put(struct pinring_region *region)
{
	return kref_put_mutex(&region->ref, forget, &lock);
}

/* The one with the smallest id above @id, with a reference; or NULL. */
struct pinring_region *pinring_names_next(u64 id)
{
	struct pinring_region *region;
	unsigned long index = id;

	mutex_lock(&lock);
	region = xa_find_after(&regions, &index, ULONG_MAX, XA_PRESENT);
	if (region)
		kref_get(&region->ref);
	mutex_unlock(&lock);
	return region;
}

/* ------------------------------------------------------------------ ioctls */

static struct pinring_region *name_get(kuid_t owner, const char *name)
{
	struct pinring_region *region;

	mutex_lock(&lock);
	region = name_find(owner, name);
	if (!region)
		region = ERR_PTR(-ENOENT);
	else if (!xa_load(&regions, region->id))
		region = ERR_PTR(-EAGAIN);
	else
		kref_get(&region->ref);
	mutex_unlock(&lock);
	return region;
}

int pinring_region_open(struct pinring_call *call)
{
	struct pinring_ioc_region_open *open = call->cmd;
	const bool readonly = open->flags & PINRING_IOC_OPEN_READONLY;
	struct pinring_region *region;
	kuid_t owner;
	int rc;

	if (open->flags & ~PINRING_IOC_OPEN_READONLY || !open->name[0] ||
	    !pinring_name_sane(open->name))
		return -EINVAL;
	owner = open->owner == PINRING_IOC_OWNER_SELF ?
			current_fsuid() :
			make_kuid(current_user_ns(), open->owner);
	if (!uid_valid(owner))
		return -ENOENT;
	region = name_get(owner, open->name);
	if (IS_ERR(region))
		return PTR_ERR(region);
	rc = pinring_inode_permission(region->inode,
				      readonly ? MAY_READ : MAY_READ | MAY_WRITE);
	if (!rc)
		rc = pinring_region_answer(region, readonly ? O_RDONLY : O_RDWR,
					   call, &open->fd);
	pinring_region_put(region);
	return rc;
}

static bool may_see(struct pinring_region *region)
{
	if (uid_eq(region->owner, current_fsuid()))
		return true;
	if (!hlist_unhashed(&region->named) &&
	    !pinring_inode_permission(region->inode, MAY_READ))
		return true;
	return ns_capable_noaudit(&init_user_ns, CAP_SYS_ADMIN) ||
	       ns_capable_noaudit(&init_user_ns, CAP_DAC_READ_SEARCH);
}

int pinring_region_next(struct pinring_call *call)
{
	const struct pinring_ioc_region_info *info = call->cmd;
	struct pinring_region *region;
	u64 id = info->id;
	int rc;

	if (info->flags || info->reserved)
		return -EINVAL;
	while ((region = pinring_names_next(id))) {
		if (may_see(region)) {
			rc = pinring_region_tell(region, call);
			pinring_region_put(region);
			return rc;
		}
		id = region->id;
		pinring_region_put(region);
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return -ENOENT;
}
