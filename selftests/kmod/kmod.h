/* SPDX-License-Identifier: MIT */
/*
 * kmod.h - helpers for tests of /dev/pinring, which run in a virtual machine of
 * two nodes, one CPU each (selftests/vm).
 *
 * Calls return 0 or an fd, else -errno, as the ABI's documentation says it.
 */
#ifndef PINRING_TEST_KMOD_H
#define PINRING_TEST_KMOD_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <uapi/pinring.h>

#define HUGE (2ull << 20)
#define SMALL 4096ull

#define TEST_UNUSED __attribute__((unused))

static inline int device_open(void)
{
	int fd = open("/dev/pinring", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static inline int call(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) < 0 ? -errno : 0;
}

/* A zeroed argument with its size set. */
#define ARG(type) ((struct type){ .struct_size = sizeof(struct type) })

static inline int create(struct pinring_ioc_region_create *c)
{
	int device = device_open();
	int rc;

	if (device < 0)
		return device;
	rc = call(device, PINRING_IOC_REGION_CREATE, c);
	close(device);
	return rc ? rc : c->fd;
}

/* An fd of a region on the caller's node. */
TEST_UNUSED static int region(uint64_t size)
{
	struct pinring_ioc_region_create c = ARG(pinring_ioc_region_create);

	c.size = size;
	c.node = PINRING_IOC_NODE_LOCAL;
	return create(&c);
}

TEST_UNUSED static int region_on(int node, uint64_t size, uint32_t flags)
{
	struct pinring_ioc_region_create c = ARG(pinring_ioc_region_create);

	c.size = size;
	c.node = node;
	c.flags = flags;
	return create(&c);
}

TEST_UNUSED static int readonly(int fd)
{
	struct pinring_ioc_region_readonly r =
		ARG(pinring_ioc_region_readonly);
	int rc = call(fd, PINRING_IOC_REGION_READONLY, &r);

	return rc ? rc : r.fd;
}

/* NULL with errno set if it cannot be mapped. */
TEST_UNUSED static unsigned char *map_at(int fd, uint64_t size, int prot,
					 uint64_t offset)
{
	void *p = mmap(NULL, size, prot, MAP_SHARED, fd, (off_t)offset);

	return p == MAP_FAILED ? NULL : p;
}

TEST_UNUSED static unsigned char *map(int fd, uint64_t size)
{
	return map_at(fd, size, PROT_READ | PROT_WRITE, 0);
}

/* A field of /proc/self/smaps in KiB for the mapping at p, or -1. */
TEST_UNUSED static long smaps(const void *p, const char *field)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	size_t n = strlen(field);
	unsigned long from, to;
	char line[512];
	bool here = false;
	long kib = -1;

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = from <= (unsigned long)p &&
			       (unsigned long)p < to;
		else if (here && !strncmp(line, field, n) && line[n] == ':')
			kib = atol(line + n + 1);
	}
	fclose(f);
	return kib;
}

/* The node a touched page is on, or -errno. */
TEST_UNUSED static int node_of(void *p)
{
	int status = -1;

	if (syscall(SYS_move_pages, 0, 1ul, &p, NULL, &status, 0) < 0)
		return -errno;
	return status;
}

TEST_UNUSED static int run_on(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) < 0 ? -errno : 0;
}

/* Faults of this thread that needed no input or output, so far. */
TEST_UNUSED static long faults(void)
{
	FILE *f = fopen("/proc/thread-self/stat", "re");
	char line[512];
	long minor = -1;
	char *p;

	if (!f)
		return -1;
	p = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
	if (p)
		(void)sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %ld", &minor);
	fclose(f);
	return minor;
}

/* Whether the kernel is this one or newer. */
TEST_UNUSED static bool kernel_is(int major, int minor)
{
	int is_major = 0, is_minor = 0;
	struct utsname u;

	if (uname(&u) < 0 ||
	    sscanf(u.release, "%d.%d", &is_major, &is_minor) != 2)
		return false;
	return is_major > major || (is_major == major && is_minor >= minor);
}

/* The count of the module's users, or -1. */
TEST_UNUSED static int module_users(void)
{
	FILE *f = fopen("/sys/module/pinring/refcnt", "re");
	int n = -1;

	if (!f)
		return -1;
	if (fscanf(f, "%d", &n) != 1)
		n = -1;
	fclose(f);
	return n;
}

/*
 * Whether it has come down to that: the filesystem's mount outlives the last
 * region by a moment.
 */
TEST_UNUSED static bool released(int users)
{
	for (int i = 0; i < 200; i++) {
		if (module_users() <= users)
			return true;
		usleep(10000);
	}
	return false;
}

/* Fills memory so that each 8 bytes tell where in it they belong. */
TEST_UNUSED static void stamp(unsigned char *p, uint64_t size)
{
	for (uint64_t i = 0; i < size; i += 8)
		*(uint64_t *)(p + i) = i + 1;
}

/* Whether it is what lies in stamped memory from there on. */
TEST_UNUSED static bool stamped(const unsigned char *p, uint64_t size, uint64_t from)
{
	for (uint64_t i = 0; i < size; i += 8)
		if (*(uint64_t *)(p + i) != from + i + 1)
			return false;
	return true;
}

/* What that file of the kernel's, of all nodes or of one, says is free, in KiB; or -1. */
static inline long memory_free_in(const char *meminfo)
{
	FILE *f = fopen(meminfo, "re");
	char line[128], *at;
	long kib = -1;

	while (f && fgets(line, sizeof(line), f)) {
		at = strstr(line, "MemFree:");
		if (at && sscanf(at, "MemFree: %ld kB", &kib) == 1)
			break;
	}
	if (f)
		fclose(f);
	return kib;
}

TEST_UNUSED static long free_memory(void)
{
	return memory_free_in("/proc/meminfo");
}

/*
 * Bytes of a region that the node has no pages for; 0 if there is no such node. The
 * kernel can get back some that are in use, but not 64 MiB beyond what is free.
 */
TEST_UNUSED static uint64_t more_than_has(int node)
{
	char path[64];
	long kib;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/meminfo", node);
	kib = memory_free_in(path);
	return kib < 0 ? 0 : (((uint64_t)kib << 10) + (64 << 20)) & ~(HUGE - 1);
}

#define SOON 10000 /* ms that a wake-up may take on the slowest machine */

TEST_UNUSED static bool fires(int event, int ms)
{
	struct pollfd p = { .fd = event, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

#define SYSFS "/sys/class/misc/pinring/"

/* A knob or figure below SYSFS, or -errno. */
TEST_UNUSED static long long sysfs_read(const char *name)
{
	char path[128], text[64] = "";
	int fd;

	snprintf(path, sizeof(path), SYSFS "%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(fd);
	return atoll(text);
}

/* 0 or -errno. */
TEST_UNUSED static int file_put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), rc = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

TEST_UNUSED static int sysfs_write(const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), SYSFS "%s", name);
	return file_put(path, text);
}

TEST_UNUSED static int sysfs_set(const char *name, long long value)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld\n", value);
	return sysfs_write(name, text);
}

TEST_UNUSED static int doorbell(int fd, uint64_t offset, int event, uint32_t flags)
{
	struct pinring_ioc_doorbell_create d =
		ARG(pinring_ioc_doorbell_create);
	int rc;

	d.offset = offset;
	d.eventfd = event;
	d.flags = flags;
	rc = call(fd, PINRING_IOC_DOORBELL_CREATE, &d);
	return rc ? rc : d.fd;
}

TEST_UNUSED static int arm(int bell, uint64_t seen)
{
	struct pinring_ioc_doorbell_arm a = ARG(pinring_ioc_doorbell_arm);

	a.seen = seen;
	return call(bell, PINRING_IOC_DOORBELL_ARM, &a);
}

TEST_UNUSED static int ring(int fd, uint64_t offset)
{
	struct pinring_ioc_ring r = ARG(pinring_ioc_ring);

	r.offset = offset;
	return call(fd, PINRING_IOC_RING, &r);
}

TEST_UNUSED static int send_fd(int socket, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = "", byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(socket, &msg, 0) == 1 ? 0 : -errno;
}

TEST_UNUSED static int receive_fd(int socket)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;
	int fd;

	if (recvmsg(socket, &msg, MSG_CMSG_CLOEXEC) != 1)
		return -EIO;
	c = CMSG_FIRSTHDR(&msg);
	if (!c || c->cmsg_type != SCM_RIGHTS)
		return -EIO;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

#endif /* PINRING_TEST_KMOD_H */
