// SPDX-License-Identifier: GPL-2.0
/*
 * remains.c - regions that are gone, but for pages that somebody still has pinned.
 *
 * Direct I/O on its way, a buffer registered with a NIC, a pipe may have pages of a
 * region when all that held it is gone, for long, and who pins one small page keeps
 * the huge one. So these pages are still charged, or no limit would be one, and go
 * back to the reserve they came from. Nobody tells us when they are let go: we look.
 */
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "pinring.h"

static void look(struct work_struct *work);

static DEFINE_MUTEX(lock);
static LIST_HEAD(remains);
static DECLARE_DELAYED_WORK(looking, look);

/* Frees what can be, or @all. True if that is all of it. */
static bool reap(struct pinring_region *region, bool all)
{
	u64 left = pinring_memory_free(&region->memory, all);

	pinring_uncharge(&region->charge, left);
	return !left;
}

/* Of the region nothing is left but memory and its charge. */
void pinring_remains_add(struct pinring_region *region)
{
	if (reap(region, false)) {
		kfree(region);
		return;
	}
	mutex_lock(&lock);
	list_add(&region->remains, &remains);
	mutex_unlock(&lock);
	schedule_delayed_work(&looking, HZ);
}

static void reap_all(bool all)
{
	struct pinring_region *region, *next;

	mutex_lock(&lock);
	list_for_each_entry_safe(region, next, &remains, remains) {
		if (reap(region, all)) {
			list_del(&region->remains);
			kfree(region);
		}
	}
	mutex_unlock(&lock);
}

/* For those who want to know now. */
void pinring_remains_reap(void)
{
	if (!list_empty(&remains))
		reap_all(false);
}

static void look(struct work_struct *work)
{
	reap_all(false);
	if (!list_empty(&remains))
		schedule_delayed_work(&looking, HZ);
}

/* Whoever has pages pinned keeps these, which are nobody else's. */
void pinring_remains_exit(void)
{
	cancel_delayed_work_sync(&looking);
	reap_all(true);
}
