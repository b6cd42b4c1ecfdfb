// SPDX-License-Identifier: MIT
/*
 * Doorbells: no ring is lost, whoever sleeps, dies, or rings at the same time.
 */
#include <kselftest_harness.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <pinring/pinring.h>

#define SECOND 1000000000ll
#define TURNS 1000000u

/* Turns in which both sides sleep, at 50 us and more each. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define ASLEEP_TURNS 20000u
#else
#define ASLEEP_TURNS 100000u
#endif

FIXTURE(bell)
{
	struct pinring_device *device;
	struct pinring_region *region;
	struct pinring_doorbell *bell;
};

FIXTURE_SETUP(bell)
{
	struct pinring_region_config config = pinring_region_defaults(65536);

	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->region));
	ASSERT_EQ(0, pinring_doorbell_create(self->region, "bell", &self->bell));
}

FIXTURE_TEARDOWN(bell)
{
	pinring_doorbell_close(self->bell);
	pinring_region_close(self->region);
	pinring_device_close(self->device);
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * SECOND + t.tv_nsec;
}

static bool readable(struct pinring_doorbell *bell)
{
	struct pollfd p = { .fd = pinring_doorbell_fd(bell), .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* Rings until told to stop, or `turns` times, each after the last was seen. */
struct ringer {
	struct pinring_doorbell *bell;
	uint64_t turns;
	uint64_t seen; /* by the waiter; it stores, the ringer waits for it */
	uint64_t stop;
};

static void *ring_when_seen(void *arg)
{
	struct ringer *r = arg;
	uint64_t i;

	for (i = 1; i <= r->turns; i++) {
		pinring_doorbell_ring(r->bell);
		while (__atomic_load_n(&r->seen, __ATOMIC_ACQUIRE) < i)
			if (__atomic_load_n(&r->stop, __ATOMIC_RELAXED))
				return NULL;
	}
	return NULL;
}

TEST_F_TIMEOUT(bell, no_wakeup_is_lost_by_a_waiter_that_always_sleeps, 120)
{
	struct ringer r = { .bell = self->bell, .turns = ASLEEP_TURNS };
	pthread_t thread;
	uint64_t i;
	int rc = 0;

	pinring_doorbell_spin(self->bell, 0, 0);
	ASSERT_EQ(0, pthread_create(&thread, NULL, ring_when_seen, &r));
	for (i = 0; i < r.turns && !rc; i++) {
		rc = pinring_doorbell_wait(self->bell, i, 10 * SECOND);
		__atomic_store_n(&r.seen, i + 1, __ATOMIC_RELEASE);
	}
	__atomic_store_n(&r.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, rc);
	EXPECT_EQ(r.turns, i);
}

/*
 * A million races of arm against ring: whenever arm says "sleep", the ring that
 * follows must make the fd readable.
 */
TEST_F_TIMEOUT(bell, no_wakeup_is_lost_in_a_million_races_of_arm_and_ring, 120)
{
	struct ringer r = { .bell = self->bell, .turns = TURNS };
	uint64_t i, armed = 0, late = 0;
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, ring_when_seen, &r));
	for (i = 0; i < TURNS && !late; i++) {
		/* Again after a late write for a ring seen before: spurious. */
		while (pinring_doorbell_sequence(self->bell) == i && !late) {
			struct pollfd p = {
				.fd = pinring_doorbell_fd(self->bell),
				.events = POLLIN,
			};

			if (pinring_doorbell_arm(self->bell, i) == 0) {
				armed++;
				late += poll(&p, 1, 10000) != 1;
			}
			pinring_doorbell_ack(self->bell);
		}
		__atomic_store_n(&r.seen, i + 1, __ATOMIC_RELEASE);
	}
	__atomic_store_n(&r.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, late);
	EXPECT_EQ(TURNS, i);
	TH_LOG("armed first in %llu of %u races", (unsigned long long)armed, TURNS);
}

/* The control: the same with a waiter that does not look again after arming. */
TEST_F(bell, a_waiter_that_does_not_look_again_would_miss_a_ring)
{
	struct pinring_doorbell_lines *lines;
	struct pinring_object_info o;

	ASSERT_EQ(0, pinring_object_find(self->region, "bell", &o));
	lines = pinring_region_at(self->region, o.offset, sizeof(*lines));
	/* It looked: nothing yet. The ring comes before it arms, blindly. */
	pinring_doorbell_ring(self->bell);
	__atomic_store_n(&lines->armed, 0 << 1 | 1, __ATOMIC_SEQ_CST);
	EXPECT_FALSE(readable(self->bell)); /* it would sleep for ever */
	__atomic_store_n(&lines->armed, 0, __ATOMIC_SEQ_CST);
	/* The real one is told not to. */
	EXPECT_EQ(-EAGAIN, pinring_doorbell_arm(self->bell, 0));
}

TEST_F_TIMEOUT(bell, works_from_epoll, 60)
{
	struct ringer r = { .bell = self->bell, .turns = ASLEEP_TURNS / 4 };
	struct epoll_event event = { .events = EPOLLIN };
	int epfd = epoll_create1(0), got = 1;
	pthread_t thread;
	uint64_t i;

	ASSERT_LE(0, epfd);
	ASSERT_EQ(0, epoll_ctl(epfd, EPOLL_CTL_ADD,
			       pinring_doorbell_fd(self->bell), &event));
	ASSERT_EQ(0, pthread_create(&thread, NULL, ring_when_seen, &r));
	for (i = 0; i < r.turns && got == 1; i++) {
		while (pinring_doorbell_sequence(self->bell) == i && got == 1) {
			if (pinring_doorbell_arm(self->bell, i) == 0)
				got = epoll_wait(epfd, &event, 1, 10000);
			pinring_doorbell_ack(self->bell);
		}
		__atomic_store_n(&r.seen, i + 1, __ATOMIC_RELEASE);
	}
	__atomic_store_n(&r.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	close(epfd);
	EXPECT_EQ(1, got);
	EXPECT_EQ(r.turns, i);
}

static void *ring_often(void *arg)
{
	struct ringer *r = arg;
	uint64_t i;

	for (i = 0; i < r->turns; i++)
		pinring_doorbell_ring(r->bell);
	return NULL;
}

TEST_F_TIMEOUT(bell, several_may_ring_and_the_last_ring_is_seen, 60)
{
	struct ringer r = { .bell = self->bell, .turns = 100000 };
	uint64_t all = 3 * r.turns, seen;
	pthread_t thread[3];
	int i, rc = 0;

	pinring_doorbell_spin(self->bell, 0, 0);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, ring_often, &r));
	}
	for (seen = 0; seen < all && !rc;) {
		rc = pinring_doorbell_wait(self->bell, seen, 10 * SECOND);
		seen = pinring_doorbell_sequence(self->bell);
	}
	for (i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	EXPECT_EQ(0, rc);
	EXPECT_EQ(all, seen);
}

TEST_F(bell, a_wait_for_what_has_happened_returns_at_once)
{
	pinring_doorbell_ring(self->bell);
	EXPECT_EQ(0, pinring_doorbell_wait(self->bell, 0, PINRING_FOREVER));
	EXPECT_EQ(0, pinring_doorbell_wait(self->bell, 0, 0));
	pinring_doorbell_spin(self->bell, 0, 0);
	EXPECT_EQ(0, pinring_doorbell_wait(self->bell, 0, PINRING_FOREVER));
}

TEST_F(bell, a_wait_times_out_and_not_before)
{
	int64_t begin;

	EXPECT_EQ(-ETIMEDOUT, pinring_doorbell_wait(self->bell, 0, 0));
	EXPECT_EQ(-ETIMEDOUT, pinring_doorbell_wait(self->bell, 0, -5));
	begin = now_ns();
	EXPECT_EQ(-ETIMEDOUT,
		  pinring_doorbell_wait(self->bell, 0, 30000000));
	EXPECT_LE(30000000, now_ns() - begin);
	pinring_doorbell_spin(self->bell, 0, 0);
	begin = now_ns();
	EXPECT_EQ(-ETIMEDOUT,
		  pinring_doorbell_wait(self->bell, 0, 30000000));
	EXPECT_LE(30000000, now_ns() - begin);
	/* And leaves nothing armed behind. */
	pinring_doorbell_ring(self->bell);
	EXPECT_FALSE(readable(self->bell));
}

TEST_F(bell, ringing_is_silent_while_nobody_is_armed)
{
	pinring_doorbell_ring(self->bell);
	pinring_doorbell_ring(self->bell);
	EXPECT_FALSE(readable(self->bell));
	pinring_doorbell_ack(self->bell);
	EXPECT_EQ(0, pinring_doorbell_arm(self->bell, 2));
	EXPECT_FALSE(readable(self->bell));
	pinring_doorbell_ring(self->bell);
	EXPECT_TRUE(readable(self->bell));
	/* Disarmed by the ring: another one writes nothing more. */
	pinring_doorbell_ack(self->bell);
	pinring_doorbell_ring(self->bell);
	EXPECT_FALSE(readable(self->bell));
}

TEST_F(bell, a_full_eventfd_does_not_stop_a_ringer)
{
	uint64_t most = UINT64_MAX - 1;

	ASSERT_EQ(8, write(pinring_doorbell_fd(self->bell), &most, 8));
	EXPECT_EQ(0, pinring_doorbell_arm(self->bell, 0));
	pinring_doorbell_ring(self->bell);
	EXPECT_TRUE(readable(self->bell));
}

TEST_F_TIMEOUT(bell, two_processes_wake_each_other, 60)
{
	struct pinring_doorbell *back;
	const uint64_t turns = 20000;
	int status, rc = 0;
	uint64_t i;
	pid_t pid;

	ASSERT_EQ(0, pinring_doorbell_create(self->region, "back", &back));
	pid = fork();
	if (pid == 0) {
		struct pinring_doorbell *bell, *mine;
		struct pinring_region *region;

		rc = pinring_region_attach(self->device,
					   pinring_region_fd(self->region),
					   &region);
		if (!rc)
			rc = pinring_doorbell_attach(region, "bell",
						     pinring_doorbell_fd(self->bell),
						     &bell);
		if (!rc)
			rc = pinring_doorbell_attach(region, "back",
						     pinring_doorbell_fd(back),
						     &mine);
		for (i = 0; i < turns && !rc; i++) {
			rc = pinring_doorbell_wait(bell, i, 10 * SECOND);
			pinring_doorbell_ring(mine);
		}
		_exit(rc != 0);
	}
	for (i = 0; i < turns && !rc; i++) {
		pinring_doorbell_ring(self->bell);
		rc = pinring_doorbell_wait(back, i, 10 * SECOND);
	}
	EXPECT_EQ(0, rc);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	pinring_doorbell_close(back);
}

TEST_F_TIMEOUT(bell, a_waiter_killed_asleep_stops_nobody, 60)
{
	int round, status;
	uint64_t seen;

	for (round = 0; round < 100; round++) {
		pid_t pid = fork();

		seen = pinring_doorbell_sequence(self->bell);
		if (pid == 0) {
			pinring_doorbell_spin(self->bell, 0, 0);
			pinring_doorbell_wait(self->bell, seen, PINRING_FOREVER);
			_exit(0);
		}
		/* Long enough to be asleep in most rounds, in any state in some. */
		usleep((useconds_t)(round * 20));
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		pinring_doorbell_ring(self->bell);
		EXPECT_EQ(0, pinring_doorbell_wait(self->bell, seen, 0));
		/* The next waiter sleeps and is woken like any other. */
		pinring_doorbell_ack(self->bell);
		EXPECT_EQ(0, pinring_doorbell_arm(self->bell, seen + 1));
		EXPECT_FALSE(readable(self->bell));
		pinring_doorbell_ring(self->bell);
		EXPECT_TRUE(readable(self->bell));
		pinring_doorbell_ack(self->bell);
	}
}

TEST_F(bell, attach_refuses_what_is_no_doorbell)
{
	int fd = pinring_doorbell_fd(self->bell), blocking = eventfd(0, 0);
	struct pinring_doorbell *other = (void *)self;
	int null = open("/dev/null", O_RDWR);

	ASSERT_EQ(0, pinring_object_create(self->region, "bytes",
					   PINRING_OBJECT_BYTES, 4096, 0, NULL));
	EXPECT_EQ(-EINVAL, pinring_doorbell_attach(self->region, "bytes", fd,
						   &other));
	EXPECT_EQ(NULL, other);
	EXPECT_EQ(-ENOENT, pinring_doorbell_attach(self->region, "none", fd,
						   &other));
	EXPECT_EQ(-EINVAL, pinring_doorbell_attach(self->region, "bell", null,
						   &other));
	EXPECT_EQ(-EINVAL, pinring_doorbell_attach(self->region, "bell",
						   blocking, &other));
	EXPECT_NE(NULL, strstr(pinring_error(), "non-blocking"));
	EXPECT_EQ(-EBADF, pinring_doorbell_attach(self->region, "bell", -1,
						  &other));
	EXPECT_EQ(-EEXIST, pinring_doorbell_create(self->region, "bell",
						   &other));
	EXPECT_EQ(0, pinring_doorbell_attach(self->region, "bell", fd, &other));
	pinring_doorbell_close(other);
	close(null);
	close(blocking);
}

TEST_F(bell, closing_leaves_no_descriptor_behind)
{
	int fd, i, first = dup(0);

	close(first);
	for (i = 0; i < 1000; i++) {
		struct pinring_doorbell *other;

		ASSERT_EQ(0, pinring_doorbell_attach(self->region, "bell",
						     pinring_doorbell_fd(self->bell),
						     &other));
		pinring_doorbell_close(other);
		ASSERT_EQ(-ENOENT,
			  pinring_doorbell_attach(self->region, "none",
						  pinring_doorbell_fd(self->bell),
						  &other));
	}
	fd = dup(0);
	EXPECT_EQ(first, fd);
	close(fd);
}

TEST_HARNESS_MAIN
