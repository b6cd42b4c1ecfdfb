// SPDX-License-Identifier: GPL-2.0
/*
 * debugfs.c - what there is at the moment, for people: /sys/kernel/debug/pinring.
 *
 * A line each, after one that names the columns. Nothing here is ABI.
 */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/uidgid.h>

#include "pinring.h"

static struct dentry *folder;

/* ------------------------------------------------------- one region a step */

/*
 * The position is the id of the last region shown, which may be gone when the next
 * one is looked for. The one shown is held meanwhile.
 */
static void *region_after(u64 id, loff_t *pos)
{
	struct pinring_region *region = pinring_names_next(id);

	if (region)
		*pos = region->id;
	return region;
}

static void *regions_start(struct seq_file *m, loff_t *pos)
{
	if (!*pos)
		return SEQ_START_TOKEN;
	/* The one that did not fit the last time, or was not yet shown. */
	return region_after(*pos - 1, pos);
}

static void regions_stop(struct seq_file *m, void *v)
{
	if (v && v != SEQ_START_TOKEN)
		pinring_region_put(v);
}

static void *regions_next(struct seq_file *m, void *v, loff_t *pos)
{
	u64 id = *pos;

	regions_stop(m, v);
	v = region_after(id, pos);
	if (!v)
		++*pos;
	return v;
}

static int regions_show(struct seq_file *m, void *v)
{
	const struct pinring_region *region = v;

	if (v == SEQ_START_TOKEN) {
		seq_puts(m, "id owner mode size huge node on-node refs bells name\n");
		return 0;
	}
	seq_printf(m, "%llu %u %04o %llu %llu %d %llu %u %u %s\n", region->id,
		   from_kuid_munged(seq_user_ns(m), region->owner),
		   pinring_region_mode(region), region->size,
		   region->memory.huge_bytes, region->node,
		   region->memory.node_bytes,
		   kref_read(&region->ref) - 1, /* ours */
		   READ_ONCE(region->charge.bells),
		   region->name[0] ? region->name : "-");
	return 0;
}

static const struct seq_operations regions_sops = {
	.start = regions_start,
	.next = regions_next,
	.stop = regions_stop,
	.show = regions_show,
};
DEFINE_SEQ_ATTRIBUTE(regions);

/* --------------------------------------------------------------- doorbells */

/* The one at or after @index, if there is one: it cannot go under the lock. */
static bool doorbell_print(struct seq_file *m, struct pinring_region *region,
			   unsigned long *index)
{
	const struct pinring_bell *bell;

	xa_lock(&region->bells);
	bell = xa_find(&region->bells, index, ULONG_MAX, XA_PRESENT);
	if (bell)
		seq_printf(m, "%llu %llu %s %s %llu\n", region->id,
			   (u64)*index * PINRING_SEPARATION,
			   bell->poller ? "device" : "cpu",
			   READ_ONCE(*bell->armed) & 1 ? "armed" : "idle",
			   READ_ONCE(*bell->sequence));
	xa_unlock(&region->bells);
	return bell;
}

static int doorbells_show(struct seq_file *m, void *v)
{
	unsigned long index;

	if (v == SEQ_START_TOKEN) {
		seq_puts(m, "region offset kind state sequence\n");
		return 0;
	}
	for (index = 0; doorbell_print(m, v, &index); index++)
		cond_resched();
	return 0;
}

static const struct seq_operations doorbells_sops = {
	.start = regions_start,
	.next = regions_next,
	.stop = regions_stop,
	.show = doorbells_show,
};
DEFINE_SEQ_ATTRIBUTE(doorbells);

/* ----------------------------------------------------------------- pollers */

static int pollers_show(struct seq_file *m, void *v)
{
	seq_puts(m, "node state bells worst-wake-ns\n");
	pinring_pollers_print(m);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(pollers);

/* Nobody depends on it: that it cannot be made is no failure. */
void pinring_debugfs_init(void)
{
	folder = debugfs_create_dir("pinring", NULL);
	debugfs_create_file("regions", 0400, folder, NULL, &regions_fops);
	debugfs_create_file("doorbells", 0400, folder, NULL, &doorbells_fops);
	debugfs_create_file("pollers", 0400, folder, NULL, &pollers_fops);
}

void pinring_debugfs_exit(void)
{
	debugfs_remove(folder);
}
