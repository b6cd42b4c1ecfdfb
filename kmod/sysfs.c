// SPDX-License-Identifier: GPL-2.0
/*
 * sysfs.c - the files below /sys/class/misc/pinring; docs/sysfs.md has them all.
 */
#include <linux/cpumask.h>
#include <linux/device.h>
#include <linux/kstrtox.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

#include "pinring.h"

/* ------------------------------------------------------------------ limits */

static ssize_t limit_show(struct device *dev, struct device_attribute *attr,
			  char *buf)
{
	const struct dev_ext_attribute *ext =
		container_of(attr, struct dev_ext_attribute, attr);

	return sysfs_emit(buf, "%llu\n", READ_ONCE(*(u64 *)ext->var));
}

static ssize_t limit_store(struct device *dev, struct device_attribute *attr,
			   const char *buf, size_t count)
{
	const struct dev_ext_attribute *ext =
		container_of(attr, struct dev_ext_attribute, attr);
	u64 value;

	if (kstrtou64(buf, 0, &value) || value > S64_MAX)
		return -EINVAL;
	pinring_limit_set(ext->var, value);
	return count;
}

#define LIMIT(_name)                                                         \
	static struct dev_ext_attribute _name = {                            \
		.attr = __ATTR(_name, 0644, limit_show, limit_store),        \
		.var = &pinring_limits._name,                                \
	}

LIMIT(max_bytes);
LIMIT(max_bytes_per_user);
LIMIT(max_regions_per_user);
LIMIT(max_doorbells_per_user);

/* ------------------------------------------------------------------ poller */

#define POLL_US_MAX 1000000

static ssize_t poll_us_show(struct device *dev, struct device_attribute *attr,
			    char *buf)
{
	const struct dev_ext_attribute *ext =
		container_of(attr, struct dev_ext_attribute, attr);

	return sysfs_emit(buf, "%u\n", READ_ONCE(*(u32 *)ext->var));
}

static int poll_us_parse(const char *buf, u32 min, u32 *value)
{
	if (kstrtou32(buf, 0, value) || *value < min || *value > POLL_US_MAX)
		return -EINVAL;
	return 0;
}

static ssize_t poll_spin_us_store(struct device *dev,
				  struct device_attribute *attr,
				  const char *buf, size_t count)
{
	u32 value;

	if (poll_us_parse(buf, 0, &value))
		return -EINVAL;
	pinring_poller_set(&pinring_poll_knobs.spin_us, value);
	return count;
}

static ssize_t poll_sleep_us_store(struct device *dev,
				   struct device_attribute *attr,
				   const char *buf, size_t count)
{
	u32 value;

	/* 0 would be to spin for ever. */
	if (poll_us_parse(buf, 1, &value))
		return -EINVAL;
	pinring_poller_set(&pinring_poll_knobs.sleep_us, value);
	return count;
}

static struct dev_ext_attribute poll_spin_us = {
	.attr = __ATTR(poll_spin_us, 0644, poll_us_show, poll_spin_us_store),
	.var = &pinring_poll_knobs.spin_us,
};

static struct dev_ext_attribute poll_sleep_us = {
	.attr = __ATTR(poll_sleep_us, 0644, poll_us_show, poll_sleep_us_store),
	.var = &pinring_poll_knobs.sleep_us,
};

static ssize_t poll_cpus_show(struct device *dev, struct device_attribute *attr,
			      char *buf)
{
	return pinring_poller_show_cpus(buf);
}

static ssize_t poll_cpus_store(struct device *dev,
			       struct device_attribute *attr, const char *buf,
			       size_t count)
{
	cpumask_var_t cpus;
	int rc;

	if (!zalloc_cpumask_var(&cpus, GFP_KERNEL))
		return -ENOMEM;
	rc = cpulist_parse(buf, cpus) ? -EINVAL : pinring_poller_set_cpus(cpus);
	free_cpumask_var(cpus);
	return rc ? rc : count;
}
static DEVICE_ATTR_RW(poll_cpus);

/* -------------------------------------------------------------- statistics */

static ssize_t regions_show(struct device *dev, struct device_attribute *attr,
			    char *buf)
{
	return sysfs_emit(buf, "%llu\n", pinring_usage().regions);
}
static DEVICE_ATTR_RO(regions);

static ssize_t bytes_show(struct device *dev, struct device_attribute *attr,
			  char *buf)
{
	pinring_remains_reap();
	return sysfs_emit(buf, "%llu\n", pinring_usage().bytes);
}
static DEVICE_ATTR_RO(bytes);

#define FIGURE(_name, _field)                                                \
	static ssize_t _name##_show(struct device *dev,                      \
				    struct device_attribute *attr, char *buf) \
	{                                                                    \
		return sysfs_emit(buf, "%llu\n",                             \
				  pinring_poll_figures()._field);            \
	}                                                                    \
	static DEVICE_ATTR_RO(_name)

FIGURE(doorbells, bells);
FIGURE(rings, rings);
FIGURE(signals, signals);
FIGURE(sleeps, sleeps);
FIGURE(worst_wake_ns, worst_gap);

static struct attribute *device_attrs[] = {
	&max_bytes.attr.attr,
	&max_bytes_per_user.attr.attr,
	&max_regions_per_user.attr.attr,
	&max_doorbells_per_user.attr.attr,
	&poll_spin_us.attr.attr,
	&poll_sleep_us.attr.attr,
	&dev_attr_poll_cpus.attr,
	&dev_attr_regions.attr,
	&dev_attr_bytes.attr,
	&dev_attr_doorbells.attr,
	&dev_attr_rings.attr,
	&dev_attr_signals.attr,
	&dev_attr_sleeps.attr,
	&dev_attr_worst_wake_ns.attr,
	NULL,
};

static const struct attribute_group device_group = {
	.attrs = device_attrs,
};

/* ------------------------------------------------------- a folder for each node */

struct node_files {
	int node;
	char name[16];
	struct device_attribute reserve_pages;
	struct device_attribute free_pages;
	struct attribute *attrs[3];
	struct attribute_group group;
};

static ssize_t reserve_pages_show(struct device *dev,
				  struct device_attribute *attr, char *buf)
{
	const struct node_files *files =
		container_of(attr, struct node_files, reserve_pages);

	return sysfs_emit(buf, "%lu\n", pinring_pool_size(files->node));
}

static ssize_t reserve_pages_store(struct device *dev,
				   struct device_attribute *attr,
				   const char *buf, size_t count)
{
	const struct node_files *files =
		container_of(attr, struct node_files, reserve_pages);
	unsigned long value;
	int rc;

	if (kstrtoul(buf, 0, &value) ||
	    value > totalram_pages() >> PINRING_HUGE_ORDER)
		return -EINVAL;
	rc = pinring_pool_resize(files->node, value);
	return rc ? rc : count;
}

static ssize_t free_pages_show(struct device *dev,
			       struct device_attribute *attr, char *buf)
{
	const struct node_files *files =
		container_of(attr, struct node_files, free_pages);

	pinring_remains_reap();
	return sysfs_emit(buf, "%lu\n", pinring_pool_free(files->node));
}

static void node_files_init(struct node_files *files, int node)
{
	files->node = node;
	snprintf(files->name, sizeof(files->name), "node%d", node);
	files->reserve_pages = (struct device_attribute)__ATTR_RW(reserve_pages);
	files->free_pages = (struct device_attribute)__ATTR_RO(free_pages);
	sysfs_attr_init(&files->reserve_pages.attr);
	sysfs_attr_init(&files->free_pages.attr);
	files->attrs[0] = &files->reserve_pages.attr;
	files->attrs[1] = &files->free_pages.attr;
	files->group.name = files->name;
	files->group.attrs = files->attrs;
}

static struct node_files *nodes;
static const struct attribute_group **groups;

/* What the device is registered with; NULL: no memory. */
const struct attribute_group **pinring_sysfs_init(void)
{
	unsigned int count = num_node_state(N_MEMORY), i = 0;
	int node;

	nodes = kcalloc(count, sizeof(*nodes), GFP_KERNEL);
	groups = kcalloc(count + 2, sizeof(*groups), GFP_KERNEL);
	if (!nodes || !groups) {
		pinring_sysfs_exit();
		return NULL;
	}
	groups[0] = &device_group;
	for_each_node_state(node, N_MEMORY) {
		if (i == count) /* plugged in this very moment */
			break;
		node_files_init(&nodes[i], node);
		groups[1 + i] = &nodes[i].group;
		i++;
	}
	return groups;
}

void pinring_sysfs_exit(void)
{
	kfree(groups);
	kfree(nodes);
	groups = NULL;
	nodes = NULL;
}
