// SPDX-License-Identifier: GPL-2.0
/*
 * doorbell.c - a word that is stored to, and an eventfd that fires because of it.
 *
 * The words are struct pinring_doorbell_lines, anywhere in a region. The ringer
 * advances sequence, and if it can, asks us to look (PINRING_IOC_RING); for one
 * that cannot, like a GPU, the node's poller looks (poller.c). To look is to
 * compare levels: a bell that is armed for another sequence than it has now is
 * signalled and disarmed. So it does not matter how many rings came together, nor
 * who looks how often, nor that two look at once: what is armed again meanwhile
 * stays armed.
 *
 * Whatever the words say, we do no more than signal the eventfd that the owner
 * of the bell gave us.
 */
#include <linux/anon_inodes.h>
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "compat.h"
#include "pinring.h"
#include "trace.h"

#ifndef CONFIG_64BIT
#error "doorbell words are 64 bits and lie in the direct map"
#endif

static u64 *word_at(const struct pinring_region *region, u64 offset)
{
	struct page *page = pinring_memory_page(&region->memory,
						offset >> PAGE_SHIFT);

	return page_address(page) + offset_in_page(offset);
}

/* Returns what there was to see. Its looker keeps it from being closed. */
enum pinring_seen pinring_bell_look(struct pinring_bell *bell)
{
	/* acquire: the sequence is no older than the one it was armed for */
	u64 armed = smp_load_acquire(bell->armed);

	if (!(armed & 1))
		return PINRING_BELL_IDLE;
	if (armed == (READ_ONCE(*bell->sequence) << 1 | 1))
		return PINRING_BELL_ARMED;
	/* After it, a ringer could think that it was the one to signal. */
	pinring_eventfd_signal(bell->eventfd);
	trace_doorbell_signal(bell);
	cmpxchg(bell->armed, armed, 0);
	return PINRING_BELL_RUNG;
}

/* ---------------------------------------------------------------- the bell */

static void bell_free(struct pinring_bell *bell)
{
	/*
	 * When its place is free nobody looks at it any more, or a ring could be
	 * taken from the bell that comes there next. A poller does not from here
	 * on, and no ringer from there.
	 */
	pinring_poller_remove(bell);
	xa_erase(&bell->region->bells, bell->index);
	eventfd_ctx_put(bell->eventfd);
	pinring_uncharge_bell(&bell->region->charge);
	pinring_region_put(bell->region);
	kfree(bell);
}

static int bell_release(struct inode *inode, struct file *file)
{
	bell_free(file->private_data);
	return 0;
}

/*
 * The caller is about to sleep on the eventfd. Its store and the load after it,
 * against the ringer's store and load: one of us sees the other.
 */
static int bell_arm(struct pinring_call *call)
{
	struct pinring_bell *bell = call->file->private_data;
	const struct pinring_ioc_doorbell_arm *arm = call->cmd;
	u64 armed = arm->seen << 1 | 1;

	if (arm->flags)
		return -EINVAL;
	xchg(bell->armed, armed); /* a full barrier */
	trace_doorbell_arm(bell);
	if (READ_ONCE(*bell->sequence) << 1 != arm->seen << 1) {
		cmpxchg(bell->armed, armed, 0);
		return -EAGAIN;
	}
	pinring_poller_armed(bell);
	return 0;
}

static const struct pinring_op bell_ops[] = {
	PINRING_OP(PINRING_IOC_DOORBELL_ARM, struct pinring_ioc_doorbell_arm,
		   seen, bell_arm),
};

static long bell_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return pinring_serve(bell_ops, ARRAY_SIZE(bell_ops), file, cmd, arg);
}

static const struct file_operations bell_fops = {
	.owner = THIS_MODULE,
	.release = bell_release,
	.unlocked_ioctl = bell_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

/* ------------------------------------------------- the ioctls of its region */

static int bell_new(struct pinring_region *region,
		    const struct pinring_ioc_doorbell_create *create,
		    struct pinring_bell **out)
{
	struct pinring_bell *bell;
	int rc;

	bell = kzalloc(sizeof(*bell), GFP_KERNEL_ACCOUNT);
	if (!bell)
		return -ENOMEM;
	bell->eventfd = eventfd_ctx_fdget(create->eventfd);
	if (IS_ERR(bell->eventfd)) {
		rc = PTR_ERR(bell->eventfd);
		goto free;
	}
	rc = pinring_charge_bell(&region->charge);
	if (rc)
		goto put;
	bell->region = region;
	bell->index = create->offset / PINRING_SEPARATION;
	/* They are in two pages if the second one begins in between. */
	bell->sequence = word_at(region, create->offset +
		offsetof(struct pinring_doorbell_lines, sequence));
	bell->armed = word_at(region, create->offset +
		offsetof(struct pinring_doorbell_lines, armed));
	rc = xa_insert(&region->bells, bell->index, bell, GFP_KERNEL_ACCOUNT);
	if (rc)
		goto uncharge;
	kref_get(&region->ref);
	*out = bell;
	return 0;
uncharge:
	pinring_uncharge_bell(&region->charge);
put:
	eventfd_ctx_put(bell->eventfd);
free:
	kfree(bell);
	return rc;
}

int pinring_doorbell_create(struct pinring_call *call)
{
	struct pinring_region *region = call->file->private_data;
	struct pinring_ioc_doorbell_create *create = call->cmd;
	struct pinring_bell *bell;
	struct file *file;
	int rc;

	if (create->flags & ~PINRING_IOC_DOORBELL_DEVICE ||
	    create->offset % PINRING_SEPARATION ||
	    create->offset >= region->size ||
	    region->size - create->offset < sizeof(struct pinring_doorbell_lines))
		return -EINVAL;
	/* It makes us write. */
	if (!(call->file->f_mode & FMODE_WRITE))
		return -EACCES;
	rc = bell_new(region, create, &bell);
	if (rc)
		return rc;
	if (create->flags & PINRING_IOC_DOORBELL_DEVICE)
		pinring_poller_add(bell, region->node);
	file = anon_inode_getfile("[pinring-doorbell]", &bell_fops, bell, O_RDWR);
	if (IS_ERR(file)) {
		bell_free(bell);
		return PTR_ERR(file);
	}
	return pinring_answer_file(call, file, &create->fd);
}

/* Most callers give just what we know: that is one copy rather than two. */
static int ring_take(struct pinring_ioc_ring *ring, const void __user *user)
{
	u32 given;

	if (!copy_from_user(ring, user, sizeof(*ring)) &&
	    ring->struct_size == sizeof(*ring))
		return 0;
	return pinring_take(ring, sizeof(*ring),
			    offsetofend(struct pinring_ioc_ring, offset), user,
			    &given);
}

int pinring_ring(struct pinring_region *region, const void __user *user)
{
	enum pinring_seen seen = PINRING_BELL_IDLE;
	struct pinring_ioc_ring ring;
	struct pinring_bell *bell;
	int rc;

	rc = ring_take(&ring, user);
	if (rc)
		return rc;
	if (ring.flags || ring.offset % PINRING_SEPARATION)
		return -EINVAL;
	pinring_poller_count_ring();
	/* To erase it takes the lock, too. */
	xa_lock(&region->bells);
	bell = xa_load(&region->bells, ring.offset / PINRING_SEPARATION);
	if (bell) {
		trace_doorbell_ring(bell);
		/* The caller's store, against bell_arm(). */
		smp_mb__after_spinlock();
		seen = pinring_bell_look(bell);
	}
	xa_unlock(&region->bells);
	if (seen == PINRING_BELL_RUNG)
		pinring_poller_count_signal();
	return bell ? 0 : -ENOENT;
}
