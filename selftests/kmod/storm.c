// SPDX-License-Identifier: MIT
/*
 * storm.c - regions, mappings, children and doorbells come and go while whoever
 * has them is killed, at any moment.
 *
 * STORM=N in the environment is how many are killed in all (default 10000).
 */
#include "kmod.h"

#include <kselftest_harness.h>
#include <sys/prctl.h>
#include <time.h>

#define WORKERS 8
#define RESERVE 8 /* huge pages, of each node */

static uint32_t next(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

/* Wants a region with all that belongs to it, and does not live to see its end. */
static void victim(uint32_t seed)
{
	static const uint32_t flags[] = {
		0, PINRING_IOC_STRICT_NODE, PINRING_IOC_ALLOW_SMALL, PINRING_IOC_SMALL_PAGES,
	};
	uint64_t size = (1 + next(&seed) % 2) * HUGE;
	uint32_t f = flags[next(&seed) % ARRAY_SIZE(flags)];
	int fd, event, populate = next(&seed) % 2 ? MAP_POPULATE : 0;
	unsigned char *p;

	setpgid(0, 0);
	if (f == PINRING_IOC_SMALL_PAGES)
		size = (1 + next(&seed) % 16) * SMALL;
	fd = region_on((int)(next(&seed) % 2), size, f);
	if (fd < 0)
		_exit(1);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | populate, fd, 0);
	if (p == MAP_FAILED)
		_exit(2);
	p[size - 1] = 1;
	if (next(&seed) % 2 && fork() < 0)
		_exit(3);
	/* Both of them, if there are two. */
	if (next(&seed) % 4 == 0) {
		event = eventfd(0, EFD_CLOEXEC);
		arm(doorbell(fd, 0, event, next(&seed) % 2 ? PINRING_IOC_DOORBELL_DEVICE : 0), 0);
		ring(fd, 0);
	}
	switch (next(&seed) % 4) {
	case 0:
		munmap(p + size / 2 / SMALL * SMALL, SMALL);
		break;
	case 1:
		close(fd);
		break;
	case 2:
		readonly(fd);
		break;
	}
	for (;;)
		p[0] = 1;
}

/* Returns what went wrong, if anything did. */
static int worker(unsigned int cycles, uint32_t seed)
{
	int status, rc = 0;

	/* What a victim leaves behind is waited for here. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	while (cycles-- && !rc) {
		/* Too short a life for most of it, to a long one. */
		long ns = 1000l << next(&seed) % 14;
		pid_t pid = fork();

		if (!pid)
			victim(seed);
		if (pid < 0)
			return 4;
		setpgid(pid, pid);
		nanosleep(&(struct timespec){ .tv_nsec = ns }, NULL);
		/* It is dead already if it could not do something. */
		kill(-pid, SIGKILL);
		while (waitpid(-1, &status, 0) > 0)
			if (WIFEXITED(status))
				rc = WEXITSTATUS(status);
	}
	return rc;
}

/* Free memory in KiB with what CPUs keep in lists of their own, which grow to much. */
static long all_free(void)
{
	FILE *f = fopen("/proc/zoneinfo", "re");
	long pages = 0, n;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, " count: %ld", &n) == 1)
			pages += n;
	if (f)
		fclose(f);
	return free_memory() + pages * 4;
}

FIXTURE(storm) {
	int users;
	long free;
};

FIXTURE_SETUP(storm)
{
	self->users = module_users();
	self->free = all_free();
	ASSERT_EQ(0, sysfs_set("node0/reserve_pages", RESERVE));
	ASSERT_EQ(0, sysfs_set("node1/reserve_pages", RESERVE));
}

FIXTURE_TEARDOWN(storm)
{
	EXPECT_EQ(0, sysfs_set("node0/reserve_pages", 0));
	EXPECT_EQ(0, sysfs_set("node1/reserve_pages", 0));
	EXPECT_LT(self->free - all_free(), 16 << 10);
}

TEST_F_TIMEOUT(storm, leaves_nothing, 600)
{
	const char *n = getenv("STORM");
	unsigned int cycles = n ? (unsigned int)atoi(n) : 10000;
	uint32_t seed = (uint32_t)time(NULL) | 1;
	pid_t pids[WORKERS];

	TH_LOG("%u cycles, seed %u", cycles, seed);
	for (unsigned int i = 0; i < WORKERS; i++) {
		next(&seed);
		pids[i] = fork();
		if (!pids[i])
			_exit(worker(cycles / WORKERS, seed));
		ASSERT_GT(pids[i], 0);
	}
	for (unsigned int i = 0; i < WORKERS; i++) {
		int status;

		ASSERT_EQ(pids[i], waitpid(pids[i], &status, 0));
		EXPECT_EQ(0, status);
	}

	for (int i = 0; i < 1000 && module_users() > self->users; i++) {
		usleep(10000);
	}
	EXPECT_EQ(self->users, module_users());
	EXPECT_EQ(0, sysfs_read("regions"));
	EXPECT_EQ(0, sysfs_read("bytes"));
	EXPECT_EQ(0, sysfs_read("doorbells"));
	EXPECT_EQ(RESERVE, sysfs_read("node0/free_pages"));
	EXPECT_EQ(RESERVE, sysfs_read("node1/free_pages"));
	close(region(HUGE));
}

TEST_HARNESS_MAIN
