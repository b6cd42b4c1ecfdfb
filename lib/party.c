// SPDX-License-Identifier: MIT
/* party.c - who has a ring open, and who of them is dead. */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "party.h"

#define OWNER_ROLE 0xffull
#define OWNER_GENERATION 0xffffff00ull
#define OWNER_NEXT 0x100ull
#define OWNER_PID_SHIFT 32
#define OWNER_PID 0x3fffffull
#define OWNER_SPACE_SHIFT 54

static uint64_t own_pid_space(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) ? 0 : (uint64_t)st.st_ino;
}

/* The one thread group leader that is a zombie, or one of many threads? */
static bool has_threads_left(pid_t pid)
{
	char path[40];
	unsigned int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		return errno != ENOENT; /* it may have: we are out of descriptors */
	while (n < 4 && readdir(dir))
		n++;
	closedir(dir);
	return n > 3; /* ., .. and the leader */
}

/*
 * When the process started, in clock ticks since boot: with the pid, a name that
 * is not used twice. 0: there is no such process, or it is a zombie; UINT64_MAX:
 * that cannot be seen, for want of descriptors, or in a /proc that hides others'.
 */
static uint64_t start_time(pid_t pid)
{
	char path[40], text[512], *p;
	ssize_t n;
	bool gone;
	int fd, i;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return kill(pid, 0) && errno == ESRCH ? 0 : UINT64_MAX;
	n = read(fd, text, sizeof(text) - 1);
	gone = n < 0 && errno == ESRCH; /* after open */
	close(fd);
	if (n < 0)
		return gone ? 0 : UINT64_MAX;
	text[n] = '\0';
	/* Field 2 is a name in brackets, which may hold anything. */
	p = strrchr(text, ')');
	if (!p)
		return UINT64_MAX;
	if ((p[2] == 'Z' || p[2] == 'X') && !has_threads_left(pid))
		return 0;
	for (i = 2; i < 22 && p; i++)
		p = strchr(p + 1, ' ');
	return p ? strtoull(p, NULL, 10) : UINT64_MAX;
}

/* From that owner to this process, in two steps; what is below is the caller's. */
static bool begin_tenancy(struct pinring_party *p, __u64 owner, __u64 *next)
{
	const uint64_t pid = (uint64_t)getpid(), space = own_pid_space();

	*next = space << OWNER_SPACE_SHIFT | pid << OWNER_PID_SHIFT |
		((owner + OWNER_NEXT) & OWNER_GENERATION);
	if (!__atomic_compare_exchange_n(&p->owner, &owner,
					 *next | PINRING_PARTY_COMING, false,
					 __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return false;
	__atomic_store_n(&p->born, start_time((pid_t)pid), __ATOMIC_RELAXED);
	__atomic_store_n(&p->space, space, __ATOMIC_RELAXED);
	return true;
}

bool pinring_party_inherit(struct pinring_party *p, uint64_t owner,
			   enum pinring_party_role role)
{
	__u64 next;

	if (!begin_tenancy(p, owner, &next))
		return false;
	/* release: whoever sees the role sees whose it is */
	__atomic_store_n(&p->owner, next | role, __ATOMIC_RELEASE);
	return true;
}

struct pinring_party *pinring_party_claim(struct pinring_party *parties,
					  uint64_t n,
					  enum pinring_party_role role)
{
	uint64_t i;

	for (i = 0; i < n; i++) {
		struct pinring_party *p = &parties[i];
		__u64 owner = __atomic_load_n(&p->owner, __ATOMIC_RELAXED);
		__u64 next;

		if ((owner & OWNER_ROLE) != PINRING_PARTY_NOBODY ||
		    !begin_tenancy(p, owner, &next))
			continue;
		__atomic_store_n(&p->cursor, 0, __ATOMIC_RELAXED);
		/* release: whoever sees the role sees whose it is */
		__atomic_store_n(&p->owner, next | role, __ATOMIC_RELEASE);
		return p;
	}
	return NULL;
}

void pinring_party_leave(struct pinring_party *p, uint64_t owner)
{
	__u64 ours = owner;

	/* Unless another has it by now. Release: all that this side did comes before. */
	__atomic_compare_exchange_n(&p->owner, &ours, owner & OWNER_GENERATION, false,
				    __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

enum pinring_party_role pinring_party_role_of(uint64_t owner)
{
	return (enum pinring_party_role)(owner & OWNER_ROLE);
}

bool pinring_party_is_dead(const struct pinring_party *p, uint64_t owner)
{
	const pid_t pid = (pid_t)(owner >> OWNER_PID_SHIFT & OWNER_PID);
	const uint64_t space = own_pid_space();
	const enum pinring_party_role role = pinring_party_role_of(owner);
	uint64_t born, then;

	if (role == PINRING_PARTY_NOBODY || pid == getpid())
		return false;
	if (!pid)
		return true; /* no process ever wrote this */
	/* Who lives in another pid namespace cannot be seen from here. */
	if (!space)
		return false; /* which one this is says /proc, and there is none */
	if ((space ^ owner >> OWNER_SPACE_SHIFT) << OWNER_SPACE_SHIFT)
		return false;
	born = start_time(pid);
	/* It may not have said yet when it was born, and exactly where. */
	if (role == PINRING_PARTY_COMING)
		return born == 0;
	if (__atomic_load_n(&p->space, __ATOMIC_RELAXED) != space)
		return false;
	then = __atomic_load_n(&p->born, __ATOMIC_RELAXED);
	if (born == UINT64_MAX || then == UINT64_MAX)
		return born == 0; /* it or we had no descriptor left to look with */
	return born != then;
}

void pinring_party_bury(struct pinring_party *p, __u64 owner)
{
	__atomic_compare_exchange_n(&p->owner, &owner, owner & OWNER_GENERATION,
				    false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}
