// SPDX-License-Identifier: MIT
/* module.c - the backend of the kernel module, /dev/pinring. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../uapi/pinring.h"
#include "internal.h"

#define ARGUMENT(type) ((struct type){ .struct_size = sizeof(struct type) })

/* The device's fd, or -1 with the reason in words. */
int pinring_module_open(char *why, size_t why_size)
{
	struct pinring_ioc_info info = ARGUMENT(pinring_ioc_info);
	int fd = open("/dev/pinring", O_RDWR | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		snprintf(why, why_size,
			 "no /dev/pinring: the kernel module is not loaded");
	else if (fd < 0)
		snprintf(why, why_size, "/dev/pinring cannot be opened: %m");
	if (fd < 0)
		return -1;
	if (ioctl(fd, PINRING_IOC_INFO, &info) == 0 &&
	    info.abi == PINRING_IOC_ABI)
		return fd;
	snprintf(why, why_size,
		 "/dev/pinring is of a kernel module that libpinring does not know");
	close(fd);
	return -1;
}

/* As the module wants it: one word, and not too long. */
static void name_take(char *to, const char *from)
{
	size_t i;

	for (i = 0; from[i] && i < PINRING_IOC_NAME_MAX - 1; i++) {
		unsigned char c = (unsigned char)from[i];

		to[i] = c <= ' ' || c == 0x7f || c == '/' ? '_' : from[i];
	}
}

/* What others are to find it by is taken as it is, or not at all. */
static int name_exact(struct pinring_device *device, char *to, const char *from)
{
	if (from)
		name_take(to, from);
	if (to[0] && !strcmp(to, from))
		return 0;
	return pinring_fail(device, -EINVAL,
			    "name: to be found by, it is one word of up to %d bytes without a slash",
			    PINRING_IOC_NAME_MAX - 1);
}

static int create_failed(struct pinring_device *device,
			 const struct pinring_ioc_region_create *c, int error)
{
	unsigned long long size = c->size;

	switch (error) {
	case EEXIST:
		return pinring_fail(device, -EEXIST,
				    "this user has a region %s already", c->name);
	case EDQUOT:
		return pinring_fail(device, -EDQUOT,
				    "%llu bytes are more than /sys/class/misc/pinring/max_* leave to this user",
				    size);
	case ENOBUFS:
		return pinring_fail(device, -ENOBUFS,
				    "%llu bytes are more locked memory than this user may have (ulimit -l)",
				    size);
	case ENOMEM:
		return pinring_fail(device, -ENOMEM,
				    "the kernel has no %llu bytes%s", size,
				    c->flags & PINRING_IOC_STRICT_NODE ?
					    " on that node" : "");
	default:
		return pinring_fail(device, -error,
				    "/dev/pinring: cannot make %llu bytes: %s",
				    size, strerror(error));
	}
}

/* The pages are there, on the node, when it returns; there is no prefault. */
int pinring_module_create(struct pinring_device *device,
			  const struct pinring_region_config *config, int node,
			  struct pinring_region *region)
{
	struct pinring_ioc_region_create c = ARGUMENT(pinring_ioc_region_create);
	uint64_t align = PINRING_HUGE_PAGE;
	void *map;

	c.size = config->size;
	c.node = node < 0 ? PINRING_IOC_NODE_LOCAL : node;
	c.flags = PINRING_IOC_ALLOW_SMALL;
	if (config->flags & PINRING_REGION_SMALL_PAGES) {
		c.flags = PINRING_IOC_SMALL_PAGES;
		align = 4096;
	}
	if (config->flags & PINRING_REGION_STRICT_NODE && node >= 0)
		c.flags |= PINRING_IOC_STRICT_NODE;
	c.mode = config->mode;
	if (c.mode) {
		int rc = name_exact(device, c.name, config->name);

		if (rc)
			return rc;
	} else if (config->name) {
		name_take(c.name, config->name);
	}
	if (ioctl(device->fd, PINRING_IOC_REGION_CREATE, &c))
		return create_failed(device, &c, errno);
	map = pinring_backing_map(c.fd, c.size, align);
	if (map == MAP_FAILED) {
		int saved = errno;

		close(c.fd);
		return pinring_fail(device, -saved, "cannot map %llu bytes: %s",
				    (unsigned long long)c.size, strerror(saved));
	}
	if (config->flags & PINRING_REGION_PREFAULT)
		/* Refused by a kernel before 5.14: faults then, and no harm. */
		(void)madvise(map, c.size, 23 /* MADV_POPULATE_WRITE */);
	if (config->flags & PINRING_REGION_SMALL_PAGES)
		snprintf(region->reason, sizeof(region->reason),
			 "small pages were asked for");
	else if (c.huge_bytes < c.size)
		snprintf(region->reason, sizeof(region->reason),
			 "%llu of %llu bytes in small pages: node %d had no more huge ones (node%d/reserve_pages)",
			 (unsigned long long)(c.size - c.huge_bytes),
			 (unsigned long long)c.size, c.node, c.node);
	else if (node >= 0 && c.node_bytes < c.size)
		snprintf(region->reason, sizeof(region->reason),
			 "%llu of %llu bytes are not on node %d, which had no more",
			 (unsigned long long)(c.size - c.node_bytes),
			 (unsigned long long)c.size, c.node);
	region->fd = c.fd;
	region->base = map;
	region->size = c.size;
	region->page_size = c.huge_bytes ? PINRING_HUGE_PAGE : 4096;
	region->backend = PINRING_BACKEND_MODULE;
	return 0;
}

/* An fd of what a user has published, or -errno with a sentence. */
int pinring_module_find(struct pinring_device *device, uint32_t owner,
			const char *name)
{
	struct pinring_ioc_region_open o = ARGUMENT(pinring_ioc_region_open);
	const char *why;
	int rc;

	if (device->backend != PINRING_BACKEND_MODULE)
		return pinring_fail(device, -EOPNOTSUPP,
				    "no regions are found by name: %s",
				    device->reason);
	rc = name_exact(device, o.name, name);
	if (rc)
		return rc;
	o.owner = owner;
	if (ioctl(device->fd, PINRING_IOC_REGION_OPEN, &o) == 0)
		return o.fd;
	rc = -errno;
	why = rc == -ENOENT ? "there is none" :
	      rc == -EACCES ? "its mode does not let this user read and write it" :
	      rc == -EAGAIN ? "it is being made right now" : strerror(-rc);
	return pinring_fail(device, rc, "region %s of user %d: %s", name,
			    (int)owner, why);
}

/* Is it a region of the module, whose size nobody can change? */
bool pinring_module_made(int fd)
{
	struct pinring_ioc_region_info info = ARGUMENT(pinring_ioc_region_info);
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == PINRING_IOC_FS_MAGIC &&
	       ioctl(fd, PINRING_IOC_REGION_INFO, &info) == 0;
}

/* An fd of a new bell, or -errno with errno as well, for %m. */
int pinring_module_bell(const struct pinring_region *region, uint64_t offset,
			int eventfd, bool of_device)
{
	struct pinring_ioc_doorbell_create c =
		ARGUMENT(pinring_ioc_doorbell_create);

	c.flags = of_device ? PINRING_IOC_DOORBELL_DEVICE : 0;
	c.offset = offset;
	c.eventfd = eventfd;
	return ioctl(region->fd, PINRING_IOC_DOORBELL_CREATE, &c) ? -errno :
								    c.fd;
}

int pinring_module_arm(int bell, uint64_t seen)
{
	struct pinring_ioc_doorbell_arm a = ARGUMENT(pinring_ioc_doorbell_arm);
	int saved = errno;
	int rc;

	a.seen = seen;
	rc = ioctl(bell, PINRING_IOC_DOORBELL_ARM, &a) ? -errno : 0;
	errno = saved;
	return rc;
}

int pinring_module_ring(const struct pinring_region *region, uint64_t offset)
{
	struct pinring_ioc_ring r = ARGUMENT(pinring_ioc_ring);

	r.offset = offset;
	return ioctl(region->fd, PINRING_IOC_RING, &r) ? -errno : 0;
}
