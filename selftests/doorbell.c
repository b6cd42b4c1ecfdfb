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
#include <sys/resource.h>

#include "held.h"
#include "sanitized.h"

#include <pinring/pinring.h>

#define SECOND 1000000000ll

/* Fewer of both in a virtual machine: see the Makefile. */
#ifndef TURNS
#define TURNS 1000000u

/* Turns in which both sides sleep, at 50 us and more each. */
#define ASLEEP_TURNS (SANITIZED ? 20000u : 100000u)
#endif

FIXTURE(bell)
{
	struct pinring_device *device;
	struct pinring_region *region;
	struct pinring_doorbell *bell;
	struct pinring_doorbell_lines *lines; /* to see who is armed */
};

FIXTURE_SETUP(bell)
{
	struct pinring_region_config config = pinring_region_defaults(65536);
	struct pinring_object_info o;

	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->region));
	ASSERT_EQ(0, pinring_doorbell_create(self->region, "bell", &self->bell));
	ASSERT_EQ(0, pinring_object_find(self->region, "bell", &o));
	self->lines = pinring_region_at(self->region, o.offset,
					sizeof(*self->lines));
	ASSERT_NE(NULL, self->lines);
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

/* Until a waiter is on its way to sleep, 10 s at most. */
static bool comes_to_be_armed(const struct pinring_doorbell_lines *lines)
{
	int64_t deadline = now_ns() + 10 * SECOND;

	while (!__atomic_load_n(&lines->armed, __ATOMIC_SEQ_CST)) {
		if (now_ns() > deadline)
			return false;
		usleep(50);
	}
	return true;
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
		/* Sometimes late, so that either may be first. */
		for (uint64_t n = i * 0x9e3779b97f4a7c15 >> 32 & 15; n; n--)
			pinring_relax();
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

/*
 * The waiter sees a ring and arms for the next while the ringer is between its
 * add and its look at armed. That sleep belongs to the next ring: taken from it
 * now (and armed again with the same value, which the ringer's cmpxchg cannot
 * tell), the next ring would wake nobody.
 */
TEST_F(bell, a_sleep_that_began_after_the_ring_is_left_to_the_next)
{
	uint64_t token = 1 << 1 | 1;

	__atomic_store_n(&self->lines->armed, token, __ATOMIC_SEQ_CST);
	pinring_doorbell_ring(self->bell); /* sequence 1: seen already */
	EXPECT_EQ(token, self->lines->armed);
	EXPECT_FALSE(readable(self->bell));
	pinring_doorbell_ring(self->bell);
	EXPECT_EQ(0, self->lines->armed);
	EXPECT_TRUE(readable(self->bell));
}

TEST_F(bell, wakes_across_the_wrap_of_the_sequence)
{
	uint64_t last = UINT64_MAX >> 1; /* armed holds 63 bits of it */

	__atomic_store_n(&self->lines->sequence, last, __ATOMIC_SEQ_CST);
	ASSERT_EQ(0, pinring_doorbell_arm(self->bell, last));
	pinring_doorbell_ring(self->bell);
	EXPECT_EQ(0, self->lines->armed);
	EXPECT_TRUE(readable(self->bell));
	pinring_doorbell_ack(self->bell);
	EXPECT_FALSE(readable(self->bell));
	EXPECT_EQ(0, pinring_doorbell_wait(self->bell, last, 0));
}

struct note {
	struct ringer r;
	uint64_t text; /* plain memory */
};

static void *write_and_ring(void *arg)
{
	struct note *note = arg;

	for (uint64_t i = 1; i <= note->r.turns; i++) {
		note->text = i;
		pinring_doorbell_ring(note->r.bell);
		while (__atomic_load_n(&note->r.seen, __ATOMIC_ACQUIRE) < i)
			sched_yield();
	}
	return NULL;
}

/* On x86 it always is; ThreadSanitizer sees whether it has to be. */
TEST_F(bell, what_was_written_before_a_ring_is_seen_after_it)
{
	struct note note = { .r = { .bell = self->bell, .turns = ASLEEP_TURNS } };
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, write_and_ring, &note));
	for (uint64_t i = 0; i < note.r.turns; i++) {
		/* Without the fd, which would order it as well. */
		while (pinring_doorbell_sequence(self->bell) == i)
			sched_yield();
		ASSERT_EQ(i + 1, note.text);
		__atomic_store_n(&note.r.seen, i + 1, __ATOMIC_RELEASE);
	}
	ASSERT_EQ(0, pthread_join(thread, NULL));
}

/* The control: the same with a waiter that does not look again after arming. */
TEST_F(bell, a_waiter_that_does_not_look_again_would_miss_a_ring)
{
	struct pollfd p = { .fd = pinring_doorbell_fd(self->bell),
			    .events = POLLIN };

	/* It looked: nothing yet. The ring comes before it arms, blindly. */
	pinring_doorbell_ring(self->bell);
	__atomic_store_n(&self->lines->armed, 0 << 1 | 1, __ATOMIC_SEQ_CST);
	EXPECT_EQ(0, poll(&p, 1, 200)); /* it would sleep for ever */
	__atomic_store_n(&self->lines->armed, 0, __ATOMIC_SEQ_CST);
	/* The real one is told not to, and leaves nothing armed. */
	EXPECT_EQ(-EAGAIN, pinring_doorbell_arm(self->bell, 0));
	EXPECT_EQ(0, self->lines->armed);
	EXPECT_EQ(0, pinring_doorbell_wait(self->bell, 0, PINRING_FOREVER));
}

TEST_F_TIMEOUT(bell, works_from_epoll, 60)
{
	struct ringer r = { .bell = self->bell, .turns = ASLEEP_TURNS };
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

struct forever {
	struct pinring_doorbell *bell;
	uint64_t seen;
	int rc;
};

static void *wait_forever(void *arg)
{
	struct forever *f = arg;

	f->rc = pinring_doorbell_wait(f->bell, f->seen, PINRING_FOREVER);
	return NULL;
}

TEST_F(bell, a_wait_without_end_ends_with_a_ring)
{
	struct forever f = { .bell = self->bell };
	pthread_t thread;

	/* With all its spinning before the sleep, and without. */
	for (f.seen = 0; f.seen < 20; f.seen++) {
		if (f.seen == 10)
			pinring_doorbell_spin(self->bell, 0, 0);
		f.rc = -1;
		ASSERT_EQ(0, pthread_create(&thread, NULL, wait_forever, &f));
		EXPECT_TRUE(comes_to_be_armed(self->lines));
		pinring_doorbell_ring(self->bell);
		ASSERT_EQ(0, pthread_join(thread, NULL));
		EXPECT_EQ(0, f.rc);
	}
}

/* A write to the fd that no ring explains wakes nobody for good. */
TEST_F(bell, a_wait_sleeps_on_after_a_spurious_wakeup)
{
	struct forever f = { .bell = self->bell, .rc = -1 };
	uint64_t one = 1;
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, wait_forever, &f));
	for (int i = 0; i < 100; i++) {
		EXPECT_TRUE(comes_to_be_armed(self->lines));
		EXPECT_EQ(8, write(pinring_doorbell_fd(self->bell), &one, 8));
		usleep(100);
	}
	EXPECT_TRUE(comes_to_be_armed(self->lines));
	EXPECT_EQ(-1, __atomic_load_n(&f.rc, __ATOMIC_RELAXED));
	pinring_doorbell_ring(self->bell);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, f.rc);
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

TEST_F(bell, an_ack_of_nothing_is_harmless)
{
	pinring_doorbell_ack(self->bell);
	pinring_doorbell_ack(self->bell);
	EXPECT_FALSE(readable(self->bell));
	EXPECT_EQ(0, pinring_doorbell_arm(self->bell, 0));
	pinring_doorbell_ack(self->bell); /* gave up: nobody is armed now */
	pinring_doorbell_ring(self->bell);
	EXPECT_FALSE(readable(self->bell));
	EXPECT_EQ(1, pinring_doorbell_sequence(self->bell));
	EXPECT_EQ(-EAGAIN, pinring_doorbell_arm(self->bell, 0));
	EXPECT_EQ(0, pinring_doorbell_arm(self->bell, 1));
	pinring_doorbell_ring(self->bell);
	EXPECT_TRUE(readable(self->bell));
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
	for (uint64_t i = 0; i < 1000; i++) {
		EXPECT_EQ(0, pinring_doorbell_arm(self->bell, i));
		pinring_doorbell_ring(self->bell);
		EXPECT_TRUE(readable(self->bell));
	}
	pinring_doorbell_ack(self->bell);
	EXPECT_FALSE(readable(self->bell));
	EXPECT_EQ(0, pinring_doorbell_arm(self->bell, 1000));
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
		/* In any state in half of the rounds, about to sleep in the others. */
		if (round % 2) {
			EXPECT_TRUE(comes_to_be_armed(self->lines));
		} else {
			usleep((useconds_t)(round * 20));
		}
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
	int null = open("/dev/null", O_RDWR), closed = dup(null);

	close(closed);
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
	EXPECT_EQ(-EBADF, pinring_doorbell_attach(self->region, "bell", closed,
						  &other));
	EXPECT_EQ(-EINVAL, pinring_doorbell_attach(self->region, "bell",
						   pinring_region_fd(self->region),
						   &other));
	EXPECT_EQ(-EINVAL, pinring_doorbell_create(self->region, "", &other));
	EXPECT_EQ(NULL, other);
	EXPECT_EQ(-EEXIST, pinring_doorbell_create(self->region, "bell",
						   &other));
	EXPECT_EQ(0, pinring_doorbell_attach(self->region, "bell", fd, &other));
	pinring_doorbell_close(other);
	close(null);
	close(blocking);
}

TEST_F(bell, without_descriptors_left_there_is_a_sentence_and_no_object)
{
	struct pinring_doorbell *other = (void *)self;
	int fds = count_fds(), fd = pinring_doorbell_fd(self->bell);
	struct rlimit limit, none;

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
	none = limit;
	none.rlim_cur = 0;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	EXPECT_EQ(-EMFILE, pinring_doorbell_create(self->region, "other", &other));
	EXPECT_EQ(NULL, other);
	EXPECT_STRNE("", pinring_error());
	EXPECT_GT(0, pinring_doorbell_attach(self->region, "bell", fd, &other));
	EXPECT_EQ(NULL, other);
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	EXPECT_EQ(fds, count_fds());
	/* The name is still to be had. */
	EXPECT_EQ(0, pinring_doorbell_create(self->region, "other", &other));
	pinring_doorbell_close(other);
}

TEST_F(bell, closing_leaves_no_descriptor_behind)
{
	struct pinring_region_config config = pinring_region_defaults(16384);
	int fds = count_fds(), fd = pinring_doorbell_fd(self->bell);

	for (int i = 0; i < 1000; i++) {
		struct pinring_doorbell *bell, *other;
		struct pinring_region *region;

		ASSERT_EQ(0, pinring_region_create(self->device, &config, &region));
		ASSERT_EQ(0, pinring_doorbell_create(region, "bell", &bell));
		ASSERT_EQ(-EEXIST, pinring_doorbell_create(region, "bell", &other));
		ASSERT_EQ(0, pinring_doorbell_attach(region, "bell", fd, &other));
		pinring_doorbell_close(other);
		ASSERT_EQ(-ENOENT,
			  pinring_doorbell_attach(region, "none", fd, &other));
		/* The bell keeps the memory, whoever is first to go. */
		if (i % 2)
			pinring_region_close(region);
		pinring_doorbell_ring(bell);
		pinring_doorbell_close(bell);
		if (i % 2 == 0)
			pinring_region_close(region);
	}
	pinring_doorbell_close(NULL);
	EXPECT_EQ(fds, count_fds());
}

TEST_HARNESS_MAIN
