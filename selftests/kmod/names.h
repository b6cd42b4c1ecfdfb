/* SPDX-License-Identifier: MIT */
/* names.h - helpers for tests of regions that are found by name. */
#ifndef PINRING_TEST_NAMES_H
#define PINRING_TEST_NAMES_H

#include "kmod.h"

#include <grp.h>
#include <signal.h>
#include <sys/wait.h>

/* Three users and two groups; nothing in the machine knows them. */
#define ALICE 4711
#define BOB 4712
#define CAROL 4713
#define TEAM 4800
#define OTHERS 4801

/* A small region of the caller's node. */
static inline int publish(int device, const char *name, uint32_t mode)
{
	struct pinring_ioc_region_create c = ARG(pinring_ioc_region_create);
	int rc;

	c.size = SMALL;
	c.flags = PINRING_IOC_SMALL_PAGES;
	c.node = PINRING_IOC_NODE_LOCAL;
	c.mode = mode;
	snprintf(c.name, sizeof(c.name), "%s", name);
	rc = call(device, PINRING_IOC_REGION_CREATE, &c);
	return rc ? rc : c.fd;
}

static inline int open_name(int device, uint32_t owner, const char *name,
			    uint32_t flags)
{
	struct pinring_ioc_region_open o = ARG(pinring_ioc_region_open);
	int rc;

	o.owner = owner;
	o.flags = flags;
	snprintf(o.name, sizeof(o.name), "%s", name);
	rc = call(device, PINRING_IOC_REGION_OPEN, &o);
	return rc ? rc : o.fd;
}

/* The same, and closed at once: 0 or -errno. */
TEST_UNUSED static int may_open(int device, uint32_t owner, const char *name,
				uint32_t flags)
{
	int fd = open_name(device, owner, name, flags);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

TEST_UNUSED static int next(int device, uint64_t id,
			    struct pinring_ioc_region_info *i)
{
	*i = ARG(pinring_ioc_region_info);
	i->id = id;
	return call(device, PINRING_IOC_REGION_NEXT, i);
}

/* How many of that name the caller is told of; the last of them in *i. */
TEST_UNUSED static int listed(int device, const char *name,
			      struct pinring_ioc_region_info *i)
{
	struct pinring_ioc_region_info each;
	uint64_t id = 0;
	int n = 0;

	while (!next(device, id, &each)) {
		id = each.id;
		if (strcmp(each.name, name))
			continue;
		*i = each;
		n++;
	}
	return n;
}

/* What fork()ed children end with when a call of theirs fails unexpectedly. */
#define OR_EXIT(condition)             \
	do {                           \
		if (!(condition))      \
			_exit(__LINE__ % 256); \
	} while (0)

static inline void become(unsigned int uid, unsigned int gid)
{
	OR_EXIT(!setgroups(0, NULL));
	OR_EXIT(!setresgid(gid, gid, gid));
	OR_EXIT(!setresuid(uid, uid, uid));
}

/*
 * Runs `body` as a user without capabilities, who was given an open device, and
 * returns its exit code.
 */
static inline int as(unsigned int uid, unsigned int gid, int (*body)(int device))
{
	int device = device_open(), status;
	pid_t pid;

	if (device < 0)
		return 255;
	pid = fork();
	if (!pid) {
		become(uid, gid);
		_exit(body(device));
	}
	close(device);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return 254;
	return WEXITSTATUS(status);
}

/* A child that has a region published, until it is told to go. */
struct publisher {
	pid_t pid;
	int control; /* shut down: it goes */
};

TEST_UNUSED static bool publisher_start(struct publisher *p, unsigned int uid,
					unsigned int gid, const char *name,
					uint32_t mode)
{
	int sockets[2];
	char byte;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets))
		return false;
	p->pid = fork();
	if (!p->pid) {
		int device = device_open();

		close(sockets[0]);
		become(uid, gid);
		OR_EXIT(publish(device, name, mode) >= 0);
		OR_EXIT(write(sockets[1], "x", 1) == 1);
		(void)!read(sockets[1], &byte, 1);
		_exit(0);
	}
	close(sockets[1]);
	p->control = sockets[0];
	return read(p->control, &byte, 1) == 1;
}

TEST_UNUSED static void publisher_stop(struct publisher *p)
{
	/* Later ones have inherited it. */
	shutdown(p->control, SHUT_RDWR);
	close(p->control);
	waitpid(p->pid, NULL, 0);
}

/* Until there are as few regions as that: those of the dead go as they are reaped. */
TEST_UNUSED static bool regions_left(long long n)
{
	for (int i = 0; i < 500; i++) {
		if (sysfs_read("regions") <= n)
			return true;
		usleep(10000);
	}
	return false;
}

#endif /* PINRING_TEST_NAMES_H */
