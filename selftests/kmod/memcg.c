// SPDX-License-Identifier: MIT
/* memcg.c - a region's memory is its maker's control group's. */
#include "kmod.h"

#include <kselftest_harness.h>
#include <sys/mount.h>

#define ROOT "/tmp/cgroup"
#define GROUP ROOT "/pinring"

FIXTURE(memcg) {
	bool mounted;
};

/* The number that follows `key` in a file of the group, or that begins it. */
static long long get(const char *name, const char *key)
{
	char path[128], line[256];
	long long value = -1;
	FILE *f;

	snprintf(path, sizeof(path), GROUP "/%s", name);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key))) {
			value = atoll(line + strlen(key));
			break;
		}
	if (f)
		fclose(f);
	return value;
}

FIXTURE_SETUP(memcg)
{
	mkdir(ROOT, 0755);
	self->mounted = !mount("none", ROOT, "cgroup2", 0, NULL);
	if (!self->mounted || file_put(ROOT "/cgroup.subtree_control", "+memory") ||
	    mkdir(GROUP, 0755)) {
		if (self->mounted)
			umount(ROOT);
		SKIP(return, "this kernel has no memory control groups");
	}
}

FIXTURE_TEARDOWN(memcg)
{
	rmdir(GROUP);
	umount(ROOT);
}

/* In a child in the group; returns what `body` does. */
static int in_group(int (*body)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (file_put(GROUP "/cgroup.procs", "0"))
			_exit(99);
		_exit(body());
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return 98;
	return WEXITSTATUS(status);
}

static int pays_for_a_region(void)
{
	long long before = get("memory.current", ""), during;
	int fd = region(4 * HUGE), i;

	if (fd < 0)
		return 1;
	during = get("memory.current", "");
	if (during - before < (long long)(4 * HUGE))
		return 2;
	close(fd);
	/* Charges are kept at hand, and given back, in batches. */
	for (i = 0; i < 200; i++) {
		if (get("memory.current", "") < during - (long long)(3 * HUGE))
			return 0;
		usleep(10000);
	}
	return 3;
}

TEST_F(memcg, pays_for_what_its_members_make)
{
	EXPECT_EQ(0, in_group(pays_for_a_region));
}

static int may_not_have(uint32_t flags)
{
	struct pinring_ioc_region_create c = ARG(pinring_ioc_region_create);
	int fd;

	c.size = 16 * HUGE;
	c.node = PINRING_IOC_NODE_LOCAL;
	c.flags = flags;
	if (create(&c) != -ENOMEM)
		return 1;
	fd = region(HUGE);
	if (fd < 0)
		return 2;
	close(fd);
	return 0;
}

static int huge(void)
{
	return may_not_have(0);
}

static int allowing_small(void)
{
	return may_not_have(PINRING_IOC_ALLOW_SMALL);
}

static int small(void)
{
	return may_not_have(PINRING_IOC_SMALL_PAGES);
}

/* And nobody is killed for it. */
TEST_F(memcg, bounds_what_its_members_make)
{
	long long regions = sysfs_read("regions");

	ASSERT_EQ(0, file_put(GROUP "/memory.max", "16M"));
	EXPECT_EQ(0, in_group(huge));
	EXPECT_EQ(0, in_group(allowing_small));
	EXPECT_EQ(0, in_group(small));
	EXPECT_EQ(0, get("memory.events", "oom_kill "));
	EXPECT_EQ(regions, sysfs_read("regions"));
}

static int takes_no_reserve(void)
{
	long long left = sysfs_read("node0/free_pages");

	if (region_on(0, 16 * HUGE, PINRING_IOC_STRICT_NODE) != -ENOMEM)
		return 1;
	return sysfs_read("node0/free_pages") == left ? 0 : 2;
}

/* Which nobody's group pays for: it is for a node that has nothing at hand. */
TEST_F(memcg, has_no_more_for_the_reserve)
{
	ASSERT_EQ(0, sysfs_set("node0/reserve_pages", 16));
	ASSERT_EQ(0, file_put(GROUP "/memory.max", "16M"));
	EXPECT_EQ(0, in_group(takes_no_reserve));
	EXPECT_EQ(0, get("memory.events", "oom_kill "));
	EXPECT_EQ(0, sysfs_set("node0/reserve_pages", 0));
}

static int stays_on_its_node(void)
{
	int fd = region_on(1, HUGE, PINRING_IOC_STRICT_NODE);

	if (fd != -ENOMEM)
		return 1;
	fd = region_on(0, HUGE, PINRING_IOC_STRICT_NODE);
	return fd >= 0 ? 0 : 2;
}

TEST_F(memcg, of_one_node_has_no_reserve_of_another)
{
	if (file_put(ROOT "/cgroup.subtree_control", "+cpuset")) {
		SKIP(return, "this kernel has no cpusets");
	}
	ASSERT_EQ(0, sysfs_set("node1/reserve_pages", 4));
	ASSERT_EQ(0, file_put(GROUP "/cpuset.mems", "0"));
	EXPECT_EQ(0, in_group(stays_on_its_node));
	EXPECT_EQ(4, sysfs_read("node1/free_pages"));
	EXPECT_EQ(0, sysfs_set("node1/reserve_pages", 0));
}

static int survivor;

static int leaves_one_behind(void)
{
	int fd = region(2 * HUGE);

	if (fd < 0)
		return 1;
	return send_fd(survivor, fd) ? 2 : 0;
}

/* The group is gone from sight when its region is not. */
TEST_F(memcg, may_go_before_what_it_pays_for)
{
	int pair[2], fd, i, rc = -1;
	unsigned char *p;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	survivor = pair[1];
	ASSERT_EQ(0, in_group(leaves_one_behind));
	fd = receive_fd(pair[0]);
	ASSERT_GE(fd, 0);
	for (i = 0; i < 200 && rc; i++) {
		rc = rmdir(GROUP) ? -errno : 0;
		usleep(10000);
	}
	EXPECT_EQ(0, rc);
	p = map(fd, 2 * HUGE);
	ASSERT_NE(NULL, p);
	memset(p, 1, 2 * HUGE);
	munmap(p, 2 * HUGE);
	close(fd);
	close(pair[0]);
	close(pair[1]);
}

TEST_HARNESS_MAIN
