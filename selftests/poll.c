// SPDX-License-Identifier: MIT
/* Rings in event loops: epoll, poll and io_uring on a poll's descriptor. */
#include <kselftest_harness.h>

#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>
#if __has_include(<liburing.h>)
#include <liburing.h>
#define HAVE_URING 1
#else
#define HAVE_URING 0
#endif

#include <pinring/pinring.h>

#define MS 1000000ll
#define LONG_MS 20000
#define RINGS 3

FIXTURE(poll)
{
	struct pinring_device *device;
	struct pinring_region *region;
	struct pinring_spsc_producer p[RINGS];
	struct pinring_spsc_consumer c[RINGS];
	struct pinring_wait waits[RINGS];
	struct pinring_poll *poll;
	int fd;
};

FIXTURE_SETUP(poll)
{
	struct pinring_region_config config = PINRING_INIT(struct pinring_region_config);
	char name[16];

	config.size = 1 << 20;
	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->region));
	for (int i = 0; i < RINGS; i++) {
		snprintf(name, sizeof(name), "ring%d", i);
		ASSERT_EQ(0, pinring_spsc_create(self->region, name, 4, 8));
		ASSERT_EQ(0, pinring_spsc_producer_open(self->region, name, &self->p[i]));
		ASSERT_EQ(0, pinring_spsc_consumer_open(self->region, name, &self->c[i]));
		self->waits[i] = pinring_spsc_when_ready(&self->c[i]);
	}
	ASSERT_EQ(0, pinring_poll_create(self->device, self->waits, RINGS, &self->poll));
	self->fd = pinring_poll_fd(self->poll);
}

FIXTURE_TEARDOWN(poll)
{
	pinring_poll_close(self->poll);
	for (int i = 0; i < RINGS; i++) {
		pinring_spsc_producer_close(&self->p[i]);
		pinring_spsc_consumer_close(&self->c[i]);
	}
	pinring_region_close(self->region);
	pinring_device_close(self->device);
}

static int readable(int fd, int timeout_ms)
{
	struct pollfd one = { .fd = fd, .events = POLLIN };

	return poll(&one, 1, timeout_ms);
}

TEST_F(poll, what_is_there_already_refuses_to_arm)
{
	uint64_t v;

	ASSERT_EQ(0, pinring_spsc_push_u64(&self->p[2], 7));
	EXPECT_EQ(-EAGAIN, pinring_poll_arm(self->poll));
	EXPECT_EQ(0, readable(self->fd, 0));
	ASSERT_EQ(0, pinring_spsc_pop_u64(&self->c[2], &v));
	EXPECT_EQ(0, pinring_poll_arm(self->poll));
}

TEST_F(poll, every_ring_makes_it_readable)
{
	for (uint64_t i = 0; i < 3 * RINGS; i++) {
		uint64_t v;

		ASSERT_EQ(0, pinring_poll_arm(self->poll));
		EXPECT_EQ(0, readable(self->fd, 0));
		ASSERT_EQ(0, pinring_spsc_push_u64(&self->p[i % RINGS], i));
		EXPECT_EQ(1, readable(self->fd, LONG_MS));
		pinring_poll_ack(self->poll);
		EXPECT_EQ(0, readable(self->fd, 0));
		ASSERT_EQ(0, pinring_spsc_pop_u64(&self->c[i % RINGS], &v));
		EXPECT_EQ(i, v);
	}
}

TEST_F(poll, closing_makes_it_readable)
{
	uint64_t v;

	ASSERT_EQ(0, pinring_poll_arm(self->poll));
	pinring_spsc_close_producer(&self->p[1]);
	EXPECT_EQ(1, readable(self->fd, LONG_MS));
	pinring_poll_ack(self->poll);
	EXPECT_EQ(-EPIPE, pinring_spsc_pop_u64(&self->c[1], &v));
	/* And it stays over. */
	EXPECT_EQ(-EAGAIN, pinring_poll_arm(self->poll));
}

TEST_F(poll, acknowledged_it_is_quiet)
{
	pinring_poll_ack(self->poll);
	ASSERT_EQ(0, pinring_poll_arm(self->poll));
	ASSERT_EQ(0, pinring_poll_arm(self->poll));
	pinring_poll_ack(self->poll);
	pinring_poll_ack(self->poll);
	ASSERT_EQ(0, pinring_spsc_push_u64(&self->p[0], 7));
	EXPECT_EQ(0, readable(self->fd, 20));
	EXPECT_EQ(-EAGAIN, pinring_poll_arm(self->poll));
}

/* Armed and recalled over and over, while messages come. */
TEST_F(poll, arm_and_ack_race_with_messages)
{
	uint64_t next = 0, sent = 0;

	while (next < 3000) {
		uint64_t v;
		int rc = pinring_poll_arm(self->poll);

		ASSERT_TRUE(rc == 0 || rc == -EAGAIN);
		if (sent < next + 2) {
			ASSERT_EQ(0, pinring_spsc_push_u64(&self->p[0], sent));
			sent++;
		}
		if (sent % 3 == 0) {
			sched_yield();
		}
		pinring_poll_ack(self->poll);
		ASSERT_EQ(0, pinring_spsc_pop_u64(&self->c[0], &v));
		ASSERT_EQ(next, v);
		next++;
	}
}

TEST_F(poll, closes_while_armed)
{
	for (int i = 0; i < 200; i++) {
		struct pinring_poll *p;

		ASSERT_EQ(0, pinring_poll_create(self->device, self->waits, RINGS, &p));
		if (i % 4) {
			ASSERT_EQ(0, pinring_poll_arm(p));
		}
		if (i % 4 == 2) {
			pinring_poll_ack(p);
		}
		pinring_poll_close(p);
	}
	pinring_poll_close(NULL);
}

TEST_F(poll, of_none_or_too_many_is_refused)
{
	struct pinring_wait many[PINRING_POLL_MAX + 1];
	struct pinring_poll *p;

	for (int i = 0; i <= PINRING_POLL_MAX; i++) {
		many[i] = self->waits[0];
	}
	errno = 77;
	EXPECT_EQ(-EINVAL, pinring_poll_create(self->device, many, 0, &p));
	EXPECT_EQ(NULL, p);
	EXPECT_EQ(-EINVAL, pinring_poll_create(self->device, many, PINRING_POLL_MAX + 1, &p));
	EXPECT_EQ(77, errno);
	ASSERT_EQ(0, pinring_poll_create(self->device, many, PINRING_POLL_MAX, &p));
	ASSERT_EQ(0, pinring_poll_arm(p));
	ASSERT_EQ(0, pinring_spsc_push_u64(&self->p[0], 7));
	EXPECT_EQ(1, readable(pinring_poll_fd(p), LONG_MS));
	pinring_poll_ack(p);
	pinring_poll_close(p);
}

/* --------------------------------------------------------------- event loops */
#define MESSAGES 1000

/* From another process, which knows nothing of polls. */
static pid_t send_all(struct pinring_region *region)
{
	pid_t pid = fork();

	if (!pid) {
		struct pinring_spsc_producer p[RINGS];
		char name[16];

		for (int i = 0; i < RINGS; i++) {
			snprintf(name, sizeof(name), "ring%d", i);
			if (pinring_spsc_producer_open(region, name, &p[i]))
				_exit(1);
		}
		for (uint64_t i = 0; i < RINGS * MESSAGES; i++)
			if (pinring_spsc_push_wait(&p[i % RINGS], &i, LONG_MS * MS))
				_exit(2);
		for (int i = 0; i < RINGS; i++)
			pinring_spsc_close_producer(&p[i]);
		_exit(0);
	}
	return pid;
}

struct intake {
	uint64_t next[RINGS];
	int closed;
	bool disorder;
};

/* All that is there, in order ring by ring. */
static void take(FIXTURE_DATA(poll) *self, struct intake *in)
{
	in->closed = 0;
	for (uint64_t i = 0; i < RINGS; i++) {
		uint64_t v;
		int rc;

		while (!(rc = pinring_spsc_pop_u64(&self->c[i], &v)))
			in->disorder |= v != in->next[i]++ * RINGS + i;
		in->closed += rc == -EPIPE;
	}
}

TEST_F(poll, epoll_hears_another_process)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct intake in = { { 0 }, 0, false };
	int epoll = epoll_create1(0);
	int status;
	pid_t pid;

	ASSERT_LE(0, epoll);
	ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_ADD, self->fd, &event));
	pid = send_all(self->region);
	ASSERT_LE(0, pid);
	while (in.closed < RINGS) {
		if (!pinring_poll_arm(self->poll)) {
			ASSERT_EQ(1, epoll_wait(epoll, &event, 1, LONG_MS));
			pinring_poll_ack(self->poll);
		}
		take(self, &in);
	}
	EXPECT_FALSE(in.disorder);
	for (int i = 0; i < RINGS; i++) {
		EXPECT_EQ((uint64_t)MESSAGES, in.next[i]);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	close(epoll);
}

TEST_F(poll, io_uring_hears_another_process)
{
#if HAVE_URING
	struct __kernel_timespec patience = { .tv_sec = LONG_MS / 1000 };
	struct intake in = { { 0 }, 0, false };
	struct io_uring ring;
	int status, rc;
	pid_t pid;

	rc = io_uring_queue_init(4, &ring, 0);
	if (rc == -EPERM || rc == -ENOSYS) {
		SKIP(return, "no io_uring here: %s", strerror(-rc));
	}
	ASSERT_EQ(0, rc);
	pid = send_all(self->region);
	ASSERT_LE(0, pid);
	while (in.closed < RINGS) {
		struct io_uring_cqe *done;

		if (!pinring_poll_arm(self->poll)) {
			io_uring_prep_poll_add(io_uring_get_sqe(&ring), self->fd, POLLIN);
			ASSERT_EQ(1, io_uring_submit(&ring));
			ASSERT_EQ(0, io_uring_wait_cqe_timeout(&ring, &done, &patience));
			EXPECT_EQ(POLLIN, done->res);
			io_uring_cqe_seen(&ring, done);
			pinring_poll_ack(self->poll);
		}
		take(self, &in);
	}
	EXPECT_FALSE(in.disorder);
	for (int i = 0; i < RINGS; i++) {
		EXPECT_EQ((uint64_t)MESSAGES, in.next[i]);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	io_uring_queue_exit(&ring);
#else
	SKIP(return, "no liburing: apt-get install liburing-dev");
#endif
}

TEST_HARNESS_MAIN
