// SPDX-License-Identifier: MIT
/* pool.c - huge pages put by, and what they are for. */
#include "kmod.h"

#include <kselftest_harness.h>
#include <sys/uio.h>

FIXTURE(pool) {
	int unused;
};

FIXTURE_SETUP(pool)
{
	ASSERT_EQ(0, sysfs_read("node0/reserve_pages"));
	ASSERT_EQ(0, sysfs_read("node1/reserve_pages"));
}

FIXTURE_TEARDOWN(pool)
{
	EXPECT_EQ(0, sysfs_set("node0/reserve_pages", 0));
	EXPECT_EQ(0, sysfs_set("node1/reserve_pages", 0));
	EXPECT_EQ(0, sysfs_read("node0/free_pages"));
	EXPECT_EQ(0, sysfs_read("node1/free_pages"));
}

TEST_F(pool, grows_and_shrinks)
{
	long before = free_memory();

	ASSERT_EQ(0, sysfs_set("node1/reserve_pages", 64));
	EXPECT_EQ(64, sysfs_read("node1/reserve_pages"));
	EXPECT_EQ(64, sysfs_read("node1/free_pages"));
	EXPECT_EQ(0, sysfs_read("node0/free_pages"));
	EXPECT_GT(before - free_memory(), (long)(48 * HUGE >> 10));
	ASSERT_EQ(0, sysfs_set("node1/reserve_pages", 10));
	EXPECT_EQ(10, sysfs_read("node1/free_pages"));
	ASSERT_EQ(0, sysfs_set("node1/reserve_pages", 0));
	EXPECT_LT(before - free_memory(), (long)(32 * HUGE >> 10));
}

TEST_F(pool, of_more_than_a_node_has_is_as_large_as_can_be)
{
	const long all = sysconf(_SC_PHYS_PAGES) / 512; /* of both nodes */

	EXPECT_EQ(-ENOMEM, sysfs_set("node1/reserve_pages", all));
	EXPECT_GT(sysfs_read("node1/reserve_pages"), 100);
	EXPECT_LT(sysfs_read("node1/reserve_pages"), all * 2 / 3);
	EXPECT_EQ(sysfs_read("node1/reserve_pages"), sysfs_read("node1/free_pages"));
	EXPECT_EQ(-EINVAL, sysfs_set("node1/reserve_pages", 1 << 20));
}

#define PIPES 40
#define PIPE_PAGES 256

/*
 * One small page of every 64 KiB of node 1 is in a pipe, where nothing can move
 * it, and all others are free: the node has plenty of memory, and no huge page.
 * The pipes go with the process.
 */
static int fragment(void)
{
	uint64_t at = 0, size = 600ull << 20;
	int fd = -1, pipefd[2], compact;
	unsigned char *p;

	/* as much as there is */
	for (; fd < 0 && size > HUGE; size -= 8 * HUGE)
		fd = region_on(1, size, PINRING_IOC_SMALL_PAGES | PINRING_IOC_STRICT_NODE);
	size += 8 * HUGE;
	p = fd < 0 ? NULL : map(fd, size);
	if (!p)
		return -ENOMEM;
	for (int i = 0; i < PIPES; i++) {
		if (pipe(pipefd) ||
		    fcntl(pipefd[1], F_SETPIPE_SZ, PIPE_PAGES * SMALL) < 0)
			return -errno;
		for (int n = 0; n < PIPE_PAGES && at < size; n++, at += 64 << 10) {
			struct iovec iov = { p + at, SMALL };

			if (vmsplice(pipefd[1], &iov, 1, SPLICE_F_NONBLOCK) < 0)
				return -errno;
		}
	}
	munmap(p, size);
	close(fd);
	/* What CPUs still have on lists of their own is free memory, too. */
	compact = open("/proc/sys/vm/compact_memory", O_WRONLY);
	if (compact < 0 || write(compact, "1", 1) != 1)
		return -errno;
	close(compact);
	return at < size ? -ENOSPC : 0;
}

TEST_F_TIMEOUT(pool, has_huge_pages_where_the_node_has_none, 200)
{
	struct pinring_ioc_region_create c = ARG(pinring_ioc_region_create);
	int pooled[16], pools = 0, n = 0, fd, small, pipefd[2];
	struct iovec iov = { .iov_len = SMALL };
	long long in_pool = 16;
	unsigned char *p;

	ASSERT_EQ(0, sysfs_set("node1/reserve_pages", 16));
	ASSERT_EQ(0, fragment());
	/* All that can be had; what came out of the pool goes back to it. */
	while (n < 256 && (fd = region_on(1, HUGE, PINRING_IOC_STRICT_NODE)) >= 0) {
		long long left = sysfs_read("node1/free_pages");

		if (left < in_pool && pools < 16)
			pooled[pools++] = fd;
		else
			n++;
		in_pool = left;
	}
	ASSERT_LT(n, 128);
	ASSERT_EQ(16, pools);
	while (pools--) {
		close(pooled[pools]);
	}
	ASSERT_EQ(16, sysfs_read("node1/free_pages"));

	c.size = 16 * HUGE;
	c.node = 1;
	c.flags = PINRING_IOC_STRICT_NODE;
	fd = create(&c);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(16 * HUGE, c.huge_bytes);
	EXPECT_EQ(16 * HUGE, c.node_bytes);
	/* One or the other may have become free in the node meanwhile. */
	EXPECT_LT(sysfs_read("node1/free_pages"), 4);
	p = map(fd, 16 * HUGE);
	ASSERT_NE(NULL, p);
	for (uint64_t i = 0; i < 16 * HUGE; i += 8) {
		if (*(uint64_t *)(p + i)) {
			ASSERT_EQ(0, *(uint64_t *)(p + i));
		}
	}
	memset(p, 0xff, 16 * HUGE);
	EXPECT_EQ((long)(16 * HUGE >> 10), smaps(p, "FilePmdMapped"));
	EXPECT_EQ(1, node_of(p));

	/* And without it there is nothing, but for small pages in between. */
	EXPECT_EQ(-ENOMEM, region_on(1, 8 * HUGE, PINRING_IOC_STRICT_NODE));
	c = ARG(pinring_ioc_region_create);
	c.size = 8 * HUGE;
	c.node = 1;
	c.flags = PINRING_IOC_STRICT_NODE | PINRING_IOC_ALLOW_SMALL;
	small = create(&c);
	EXPECT_GE(small, 0);
	EXPECT_LT(c.huge_bytes, c.size);
	EXPECT_EQ(8 * HUGE, c.node_bytes);
	close(small);

	munmap(p, 16 * HUGE);
	close(fd);
	EXPECT_EQ(16, sysfs_read("node1/free_pages"));
	/* What they were used for before is not to be seen. */
	fd = region_on(1, 16 * HUGE, PINRING_IOC_STRICT_NODE);
	ASSERT_GE(fd, 0);
	p = map(fd, 16 * HUGE);
	ASSERT_NE(NULL, p);
	for (uint64_t i = 0; i < 16 * HUGE; i += 8) {
		if (*(uint64_t *)(p + i)) {
			ASSERT_EQ(0, *(uint64_t *)(p + i));
		}
	}
	/* What somebody has pinned is away until it is let go. */
	iov.iov_base = p + 3 * HUGE;
	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_EQ(SMALL, vmsplice(pipefd[1], &iov, 1, 0));
	munmap(p, 16 * HUGE);
	close(fd);
	EXPECT_EQ(15, sysfs_read("node1/free_pages"));
	close(pipefd[0]);
	close(pipefd[1]);
	EXPECT_EQ(16, sysfs_read("node1/free_pages"));
	fd = region_on(1, 16 * HUGE, PINRING_IOC_STRICT_NODE);
	ASSERT_GE(fd, 0);
	p = map(fd, 16 * HUGE);
	ASSERT_NE(NULL, p);
	/* The pool shrinks below what is lent, and what is lent goes then. */
	ASSERT_EQ(0, sysfs_set("node1/reserve_pages", 4));
	munmap(p, 16 * HUGE);
	close(fd);
	EXPECT_EQ(4, sysfs_read("node1/free_pages"));
	while (n--) {
		close(small);
	}
}

TEST_HARNESS_MAIN
