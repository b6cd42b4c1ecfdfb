// SPDX-License-Identifier: MIT
/* pins.c - what takes references to a region's pages behind a mapping's back. */
#include "kmod.h"

#include <kselftest_harness.h>
#include <sys/uio.h>

#define SIZE (2 * HUGE)

/* brd: a disk in memory */
TEST(direct_io_reads_and_writes_a_region)
{
	int disk = open("/dev/ram0", O_RDWR | O_DIRECT);
	int fd = region(SIZE);
	unsigned char *p = map(fd, SIZE);

	ASSERT_GE(disk, 0);
	ASSERT_NE(NULL, p);
	stamp(p, SIZE);
	ASSERT_EQ(SIZE, pwrite(disk, p, SIZE, 0));
	memset(p, 0, SIZE);
	ASSERT_EQ(SIZE, pread(disk, p, SIZE, 0));
	EXPECT_TRUE(stamped(p, SIZE, 0));
	/* into pages that no fault has touched */
	ASSERT_EQ(0, madvise(p, SIZE, MADV_DONTNEED));
	ASSERT_EQ(HUGE, pread(disk, p + HUGE, HUGE, 0));
	EXPECT_TRUE(stamped(p + HUGE, HUGE, 0));
	munmap(p, SIZE);
	close(fd);
	close(disk);
}

TEST(direct_io_does_not_write_into_a_read_only_mapping)
{
	int disk = open("/dev/ram0", O_RDWR | O_DIRECT);
	int fd = region(SIZE), ro = readonly(fd);
	unsigned char *p = map_at(ro, SIZE, PROT_READ, 0);

	ASSERT_GE(disk, 0);
	ASSERT_NE(NULL, p);
	EXPECT_EQ(-1, pread(disk, p, SIZE, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(SIZE, pwrite(disk, p, SIZE, 0));
	munmap(p, SIZE);
	close(ro);
	close(fd);
	close(disk);
}

/* A page in a pipe is the page itself, also when its region is gone. */
TEST(vmsplice_takes_pages_that_outlive_their_region)
{
	int fd = region(SIZE), pipefd[2];
	unsigned char *p = map(fd, SIZE);
	struct iovec iov = { p + HUGE + SMALL, 4 * SMALL };
	unsigned char got[4 * SMALL];
	size_t n = 0;

	ASSERT_NE(NULL, p);
	ASSERT_EQ(0, pipe(pipefd));
	stamp(p + HUGE + SMALL, 4 * SMALL);
	ASSERT_EQ(4 * SMALL, vmsplice(pipefd[1], &iov, 1, 0));
	munmap(p, SIZE);
	close(fd);
	/* whatever is allocated now does not get the pages in the pipe */
	for (int i = 0; i < 8; i++) {
		int other = region(8 * HUGE);
		unsigned char *q = map(other, 8 * HUGE);

		ASSERT_NE(NULL, q);
		memset(q, 0xee, 8 * HUGE);
		munmap(q, 8 * HUGE);
		close(other);
	}
	while (n < sizeof(got)) {
		ssize_t m = read(pipefd[0], got + n, sizeof(got) - n);

		ASSERT_GT(m, 0);
		n += (size_t)m;
	}
	EXPECT_TRUE(stamped(got, sizeof(got), 0));
	close(pipefd[0]);
	close(pipefd[1]);
}

#define PINNED 32

/* When its pipe is closed, nobody tells the module. */
TEST(pages_that_outlived_their_region_go_by_themselves)
{
	int fd = region(PINNED * HUGE), pipefd[2], i;
	unsigned char *p = map(fd, PINNED * HUGE);
	long before;

	ASSERT_NE(NULL, p);
	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_LE(PINNED * (int)SMALL, fcntl(pipefd[1], F_SETPIPE_SZ, PINNED * SMALL));
	for (i = 0; i < PINNED; i++) {
		struct iovec iov = { p + (uint64_t)i * HUGE, SMALL };

		ASSERT_EQ(SMALL, vmsplice(pipefd[1], &iov, 1, 0));
	}
	munmap(p, PINNED * HUGE);
	close(fd);
	before = free_memory();
	close(pipefd[0]);
	close(pipefd[1]);
	for (i = 0; i < 200 && free_memory() - before < (long)(PINNED / 2 * HUGE >> 10); i++) {
		usleep(100000);
	}
	EXPECT_LT(i, 200);
}

TEST(another_process_reads_and_writes_it_by_address)
{
	int fd = region(SIZE), status;
	unsigned char *p = map(fd, SIZE);
	pid_t parent = getpid(), pid;

	ASSERT_NE(NULL, p);
	stamp(p, SIZE);
	pid = fork();
	if (!pid) {
		unsigned char *mine = malloc(HUGE);
		struct iovec local = { mine, HUGE }, remote = { p + HUGE, HUGE };

		munmap(p, SIZE);
		if (process_vm_readv(parent, &local, 1, &remote, 1, 0) != (ssize_t)HUGE)
			_exit(1);
		memset(mine, 7, HUGE);
		if (process_vm_writev(parent, &local, 1, &remote, 1, 0) != (ssize_t)HUGE)
			_exit(2);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_TRUE(stamped(p, HUGE, 0));
	for (uint64_t i = HUGE; i < SIZE; i++) {
		if (p[i] != 7) {
			ASSERT_EQ(7, p[i]);
		}
	}
	munmap(p, SIZE);
	close(fd);
}

TEST_HARNESS_MAIN
