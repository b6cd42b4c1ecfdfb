// SPDX-License-Identifier: MIT
/* account.c - whom a region is charged to, and what the limits do. */
#include "kmod.h"

#include <kselftest_harness.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/uio.h>

#define USER 4711

FIXTURE(account) {
	long long max_bytes, max_bytes_per_user, max_regions_per_user;
	long long max_doorbells_per_user;
};

FIXTURE_SETUP(account)
{
	self->max_bytes = sysfs_read("max_bytes");
	self->max_bytes_per_user = sysfs_read("max_bytes_per_user");
	self->max_regions_per_user = sysfs_read("max_regions_per_user");
	self->max_doorbells_per_user = sysfs_read("max_doorbells_per_user");
	ASSERT_GT(self->max_bytes, 0);
	/* What an earlier test's processes had is given back as they are reaped. */
	for (int i = 0; i < 200 && sysfs_read("regions"); i++) {
		usleep(10000);
	}
	ASSERT_EQ(0, sysfs_read("regions"));
	ASSERT_EQ(0, sysfs_read("bytes"));
}

FIXTURE_TEARDOWN(account)
{
	sysfs_set("max_bytes", self->max_bytes);
	sysfs_set("max_bytes_per_user", self->max_bytes_per_user);
	sysfs_set("max_regions_per_user", self->max_regions_per_user);
	sysfs_set("max_doorbells_per_user", self->max_doorbells_per_user);
}

/*
 * Runs `body` as a user with no capability who was given an open device, and
 * returns its exit code.
 */
static int as_user(unsigned int uid, long memlock, int (*body)(int device))
{
	struct rlimit limit = { (rlim_t)memlock, (rlim_t)memlock };
	int device = device_open(), status;
	pid_t pid;

	if (device < 0)
		return 99;
	pid = fork();
	if (!pid) {
		if (memlock >= 0 && setrlimit(RLIMIT_MEMLOCK, &limit))
			_exit(98);
		if (setresgid(uid, uid, uid) || setresuid(uid, uid, uid))
			_exit(97);
		_exit(body(device));
	}
	close(device);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return 96;
	return WEXITSTATUS(status);
}

static int make(int device, uint64_t size, uint32_t flags)
{
	struct pinring_ioc_region_create c = ARG(pinring_ioc_region_create);
	int rc;

	c.size = size;
	c.flags = flags;
	c.node = PINRING_IOC_NODE_LOCAL;
	rc = call(device, PINRING_IOC_REGION_CREATE, &c);
	return rc ? rc : c.fd;
}

#define UNLIMITED (1l << 40)

static int two_of_three(int device)
{
	int a = make(device, 2 * HUGE, 0), b = make(device, HUGE, 0);

	if (a < 0 || b < 0)
		return 1;
	if (make(device, HUGE, 0) != -EDQUOT)
		return 2;
	close(a);
	if (make(device, 2 * HUGE, 0) < 0)
		return 3;
	if (make(device, HUGE, 0) != -EDQUOT)
		return 4;
	return 0;
}

TEST_F(account, bounds_the_bytes_of_a_user)
{
	ASSERT_EQ(0, sysfs_set("max_bytes_per_user", 3 * HUGE));
	EXPECT_EQ(0, as_user(USER, UNLIMITED, two_of_three));
}

TEST_F(account, bounds_the_bytes_of_all)
{
	ASSERT_EQ(0, sysfs_set("max_bytes", 3 * HUGE));
	EXPECT_EQ(0, as_user(USER, UNLIMITED, two_of_three));
}

static int pinned_ones(int device)
{
	struct iovec iov = { .iov_len = SMALL };
	int pipefd[2], fd = make(device, 2 * HUGE, 0), i;
	unsigned char *p = map(fd, 2 * HUGE);

	if (!p || pipe(pipefd))
		return 1;
	iov.iov_base = p + HUGE;
	if (vmsplice(pipefd[1], &iov, 1, 0) != (ssize_t)SMALL)
		return 2;
	munmap(p, 2 * HUGE);
	close(fd);
	/* One page is in the pipe, and that is a huge one; the other is free. */
	if (sysfs_read("bytes") != (long long)HUGE || sysfs_read("regions"))
		return 3;
	if (make(device, 3 * HUGE, 0) != -EDQUOT)
		return 4;
	fd = make(device, 2 * HUGE, 0);
	if (fd < 0)
		return 5;
	if (make(device, SMALL, PINRING_IOC_SMALL_PAGES) != -EDQUOT)
		return 6;
	close(pipefd[0]);
	close(pipefd[1]);
	/* It is looked whether it is free before anything is refused. */
	if (make(device, HUGE, 0) < 0)
		return 7;
	close(fd);
	for (i = 0; i < 3; i++)
		if (make(device, SMALL, PINRING_IOC_SMALL_PAGES) < 0)
			return 8;
	return 0;
}

/* Or limits would be none: a pipe has room for sixteen pages, of 2 MiB if it can. */
TEST_F(account, goes_on_while_anybody_has_a_page_pinned)
{
	ASSERT_EQ(0, sysfs_set("max_bytes_per_user", 3 * HUGE));
	EXPECT_EQ(0, as_user(USER, UNLIMITED, pinned_ones));
	EXPECT_EQ(0, sysfs_read("bytes"));
}

static int pinned_small_ones(int device)
{
	const uint64_t size = 8 * SMALL;
	struct iovec iov = { .iov_len = SMALL };
	int pipefd[2], fd = make(device, size, PINRING_IOC_SMALL_PAGES);
	unsigned char *p = map(fd, size);

	if (!p || pipe(pipefd))
		return 1;
	for (int i = 0; i < 8; i += 3) {
		iov.iov_base = p + (uint64_t)i * SMALL;
		if (vmsplice(pipefd[1], &iov, 1, 0) != (ssize_t)SMALL)
			return 2;
	}
	munmap(p, size);
	close(fd);
	if (sysfs_read("bytes") != 3 * (long long)SMALL)
		return 3;
	if (make(device, 6 * SMALL, PINRING_IOC_SMALL_PAGES) != -ENOBUFS)
		return 4;
	return make(device, 5 * SMALL, PINRING_IOC_SMALL_PAGES) < 0 ? 5 : 0;
}

TEST_F(account, goes_on_for_small_pages_one_by_one)
{
	EXPECT_EQ(0, as_user(USER, 8 * (long)SMALL, pinned_small_ones));
	EXPECT_EQ(0, sysfs_read("bytes"));
}

static int three_regions(int device)
{
	for (int i = 0; i < 3; i++)
		if (make(device, SMALL, PINRING_IOC_SMALL_PAGES) < 0)
			return 1;
	return make(device, SMALL, PINRING_IOC_SMALL_PAGES) == -EDQUOT ? 0 : 2;
}

TEST_F(account, bounds_the_regions_of_a_user)
{
	ASSERT_EQ(0, sysfs_set("max_regions_per_user", 3));
	EXPECT_EQ(0, as_user(USER, UNLIMITED, three_regions));
	EXPECT_EQ(0, as_user(USER + 1, UNLIMITED, three_regions));
}

static int nothing_at_all(int device)
{
	return make(device, SMALL, PINRING_IOC_SMALL_PAGES) == -EDQUOT ? 0 : 1;
}

TEST_F(account, can_forbid_everything_at_once)
{
	ASSERT_EQ(0, sysfs_set("max_regions_per_user", 0));
	EXPECT_EQ(0, as_user(USER, UNLIMITED, nothing_at_all));
}

TEST_F(account, does_not_bound_who_may_override_it)
{
	int fd;

	ASSERT_EQ(0, sysfs_set("max_regions_per_user", 0));
	ASSERT_EQ(0, sysfs_set("max_bytes", 0));
	fd = region(HUGE);
	EXPECT_GE(fd, 0);
	EXPECT_EQ(1, sysfs_read("regions"));
	EXPECT_EQ((long long)HUGE, sysfs_read("bytes"));
	close(fd);
}

static int memlock_of_two(int device)
{
	int a = make(device, HUGE, 0);

	if (a < 0)
		return 1;
	if (make(device, 2 * HUGE, 0) != -ENOBUFS)
		return 2;
	if (make(device, HUGE, 0) < 0)
		return 3;
	if (make(device, SMALL, PINRING_IOC_SMALL_PAGES) != -ENOBUFS)
		return 4;
	return 0;
}

TEST_F(account, is_locked_memory_of_the_user)
{
	EXPECT_EQ(0, as_user(USER, 2 * HUGE, memlock_of_two));
	/* all of it came back */
	EXPECT_EQ(0, as_user(USER, 2 * HUGE, memlock_of_two));
}

static int sender = -1;

static int make_and_send(int device)
{
	int fd = make(device, 2 * HUGE, 0);

	return fd < 0 || send_fd(sender, fd) ? 1 : 0;
}

static int no_more(int device)
{
	return make(device, HUGE, 0) == -EDQUOT ? 0 : 1;
}

static int one_more(int device)
{
	return make(device, HUGE, 0) >= 0 ? 0 : 1;
}

TEST_F(account, goes_on_while_anybody_has_the_region)
{
	int sockets[2], fd;
	unsigned char *p;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	sender = sockets[1];
	ASSERT_EQ(0, sysfs_set("max_bytes_per_user", 2 * HUGE));
	ASSERT_EQ(0, as_user(USER, UNLIMITED, make_and_send));
	/* Its maker is gone, we have it, and it is still the maker's. */
	fd = receive_fd(sockets[0]);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(0, as_user(USER, UNLIMITED, no_more));
	EXPECT_EQ(0, as_user(USER + 1, UNLIMITED, one_more));
	p = map(fd, 2 * HUGE);
	ASSERT_NE(NULL, p);
	close(fd);
	EXPECT_EQ(0, as_user(USER, UNLIMITED, no_more));
	munmap(p, 2 * HUGE);
	EXPECT_EQ(0, as_user(USER, UNLIMITED, one_more));
}

static int too_large_for_a_node(int device)
{
	struct pinring_ioc_region_create c = ARG(pinring_ioc_region_create);

	c.size = more_than_has(0);
	c.node = 0;
	c.flags = PINRING_IOC_STRICT_NODE;
	return call(device, PINRING_IOC_REGION_CREATE, &c) == -ENOMEM ? 0 : 1;
}

TEST_F(account, is_undone_when_there_is_no_memory)
{
	ASSERT_EQ(0, sysfs_set("max_bytes", 1ll << 40));
	ASSERT_EQ(0, sysfs_set("max_bytes_per_user", 1ll << 40));
	EXPECT_EQ(0, as_user(USER, UNLIMITED, too_large_for_a_node));
	EXPECT_EQ(0, sysfs_read("regions"));
	EXPECT_EQ(0, sysfs_read("bytes"));
	EXPECT_EQ(0, as_user(USER, 2 * HUGE, memlock_of_two));
}

static int three_doorbells(int device)
{
	int a = make(device, HUGE, 0), b = make(device, HUGE, 0);
	int event = eventfd(0, 0), bell;

	bell = doorbell(a, 0, event, 0);
	if (bell < 0 || doorbell(a, 256, event, 0) < 0 || doorbell(b, 0, event, 0) < 0)
		return 1;
	if (doorbell(b, 256, event, 0) != -EDQUOT)
		return 2;
	close(bell);
	return doorbell(b, 256, event, 0) >= 0 ? 0 : 3;
}

TEST_F(account, bounds_the_doorbells_of_a_user)
{
	ASSERT_EQ(0, sysfs_set("max_doorbells_per_user", 3));
	EXPECT_EQ(0, as_user(USER, UNLIMITED, three_doorbells));
	EXPECT_EQ(0, as_user(USER, UNLIMITED, three_doorbells));
}

TEST_F(account, of_a_read_only_fd_is_the_regions)
{
	int fd = region(HUGE), ro = readonly(fd);

	ASSERT_GE(ro, 0);
	EXPECT_EQ(1, sysfs_read("regions"));
	close(fd);
	EXPECT_EQ(1, sysfs_read("regions"));
	close(ro);
}

TEST_F(account, knobs_reject_nonsense)
{
	static const char *const knobs[] = {
		"max_bytes", "max_bytes_per_user", "max_regions_per_user",
		"max_doorbells_per_user", "poll_spin_us", "poll_sleep_us",
		"node0/reserve_pages",
	};
	static const char *const nonsense[] = {
		"", "\n", "-1", "x", "1x", "1 2", "0x", "18446744073709551615",
		"99999999999999999999999", "1.5", "1K", "9223372036854775808",
	};

	for (size_t i = 0; i < ARRAY_SIZE(knobs); i++) {
		long long before = sysfs_read(knobs[i]);

		for (size_t j = 0; j < ARRAY_SIZE(nonsense); j++) {
			/* a write of nothing reaches no driver */
			EXPECT_EQ(nonsense[j][0] ? -EINVAL : 0,
				  sysfs_write(knobs[i], nonsense[j])) {
				TH_LOG("%s: '%s'", knobs[i], nonsense[j]);
			}
		}
		EXPECT_EQ(before, sysfs_read(knobs[i]));
		EXPECT_EQ(0, sysfs_set(knobs[i], before));
	}
	EXPECT_NE(0, sysfs_write("regions", "0"));
	EXPECT_NE(0, sysfs_write("bytes", "0"));
	EXPECT_NE(0, sysfs_write("node0/free_pages", "0"));
}

TEST_F(account, knobs_are_roots)
{
	static const char *const knobs[] = {
		"max_bytes", "max_bytes_per_user", "max_regions_per_user",
		"max_doorbells_per_user", "poll_spin_us", "poll_sleep_us",
		"poll_cpus", "node0/reserve_pages", "node1/reserve_pages",
	};
	struct stat st;
	char path[128];

	for (size_t i = 0; i < ARRAY_SIZE(knobs); i++) {
		snprintf(path, sizeof(path), SYSFS "%s", knobs[i]);
		ASSERT_EQ(0, stat(path, &st));
		EXPECT_EQ(0644, st.st_mode & 07777);
		EXPECT_EQ(0, st.st_uid);
	}
}

TEST_HARNESS_MAIN
