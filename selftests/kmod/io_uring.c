// SPDX-License-Identifier: MIT
/*
 * io_uring.c - a region as io_uring's registered buffers, which it keeps pinned.
 *
 * Before 6.12 it takes no file's pages but those of shmem and hugetlbfs: there
 * plain reads must do.
 */
#include "kmod.h"

#include <kselftest_harness.h>
#include <liburing.h>

#define SIZE (2 * HUGE)

FIXTURE(uring) {
	struct io_uring ring;
	int disk, fd;
	unsigned char *p;
};

FIXTURE_SETUP(uring)
{
	ASSERT_EQ(0, io_uring_queue_init(4, &self->ring, 0));
	/* brd: a disk in memory */
	self->disk = open("/dev/ram0", O_RDWR | O_DIRECT);
	ASSERT_GE(self->disk, 0);
	self->fd = region(SIZE);
	self->p = map(self->fd, SIZE);
	ASSERT_NE(NULL, self->p);
}

FIXTURE_TEARDOWN(uring)
{
	munmap(self->p, SIZE);
	close(self->fd);
	close(self->disk);
	io_uring_queue_exit(&self->ring);
}

static int buffers(FIXTURE_DATA(uring) *self, void *p, size_t size)
{
	struct iovec iov = { p, size };

	return io_uring_register_buffers(&self->ring, &iov, 1);
}

/* Bytes moved, or -errno. */
static int moved(FIXTURE_DATA(uring) *self)
{
	struct io_uring_cqe *cqe;
	int rc = io_uring_submit_and_wait(&self->ring, 1);

	if (rc < 0)
		return rc;
	rc = io_uring_peek_cqe(&self->ring, &cqe);
	if (rc < 0)
		return rc;
	rc = cqe->res;
	io_uring_cqe_seen(&self->ring, cqe);
	return rc;
}

static int write_fixed(FIXTURE_DATA(uring) *self, void *p, unsigned int size)
{
	io_uring_prep_write_fixed(io_uring_get_sqe(&self->ring), self->disk, p, size, 0, 0);
	return moved(self);
}

static int read_fixed(FIXTURE_DATA(uring) *self, void *p, unsigned int size)
{
	io_uring_prep_read_fixed(io_uring_get_sqe(&self->ring), self->disk, p, size, 0, 0);
	return moved(self);
}

TEST_F(uring, registered_buffers_move_data)
{
	int rc = buffers(self, self->p, SIZE);

	if (!kernel_is(6, 12)) {
		EXPECT_EQ(-EOPNOTSUPP, rc);
		return;
	}
	ASSERT_EQ(0, rc);
	stamp(self->p, SIZE);
	ASSERT_EQ(SIZE, write_fixed(self, self->p, SIZE));
	memset(self->p, 0, SIZE);
	ASSERT_EQ(SIZE, read_fixed(self, self->p, SIZE));
	EXPECT_TRUE(stamped(self->p, SIZE, 0));
	/* across the boundary of two huge pages */
	ASSERT_EQ(HUGE, read_fixed(self, self->p + HUGE - SMALL, HUGE));
	EXPECT_TRUE(stamped(self->p + HUGE - SMALL, HUGE, 0));
}

TEST_F(uring, a_registered_buffer_outlives_its_region)
{
	int users = module_users();

	if (!kernel_is(6, 12)) {
		SKIP(return, "this kernel registers no such buffers");
	}
	ASSERT_EQ(0, buffers(self, self->p, SIZE));
	stamp(self->p, SIZE);
	munmap(self->p, SIZE);
	close(self->fd);
	EXPECT_TRUE(released(users - 1));
	for (int i = 0; i < 8; i++) {
		int next = region(8 * HUGE);
		unsigned char *q = map(next, 8 * HUGE);

		ASSERT_NE(NULL, q);
		memset(q, 0xee, 8 * HUGE);
		munmap(q, 8 * HUGE);
		close(next);
	}
	ASSERT_EQ(SIZE, write_fixed(self, self->p, SIZE));
	self->fd = region(SIZE);
	self->p = map(self->fd, SIZE);
	ASSERT_NE(NULL, self->p);
	ASSERT_EQ(SIZE, pread(self->disk, self->p, SIZE, 0));
	EXPECT_TRUE(stamped(self->p, SIZE, 0));
}

TEST_F(uring, plain_reads_and_writes_move_data)
{
	stamp(self->p, SIZE);
	io_uring_prep_write(io_uring_get_sqe(&self->ring), self->disk, self->p, SIZE, 0);
	ASSERT_EQ(SIZE, moved(self));
	memset(self->p, 0, SIZE);
	io_uring_prep_read(io_uring_get_sqe(&self->ring), self->disk, self->p, SIZE, 0);
	ASSERT_EQ(SIZE, moved(self));
	EXPECT_TRUE(stamped(self->p, SIZE, 0));
}

TEST_F(uring, a_read_only_mapping_is_no_buffer)
{
	int ro = readonly(self->fd);
	unsigned char *q = map_at(ro, SIZE, PROT_READ, 0);

	ASSERT_NE(NULL, q);
	EXPECT_EQ(-EFAULT, buffers(self, q, SIZE));
	munmap(q, SIZE);
	close(ro);
}

TEST_HARNESS_MAIN
