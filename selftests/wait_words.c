// SPDX-License-Identifier: MIT
/*
 * What wakers and sleepers do with the words between them. A sleeper looks again
 * by itself after a while, so that a wake which is lost shows in no result, only
 * in time, which no test asserts: here the words are looked at instead.
 */
#include <kselftest_harness.h>

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pinring/pinring.h>

#include "items.h"

#define SECOND 1000000000ll

/* Straight to sleep. */
static const struct pinring_patience none;

/* ------------------------------------------------------------ every change wakes */
FIXTURE(words)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_spsc_producer sp;
	struct pinring_spsc_consumer sc;
	struct pinring_mpmc_producer mp;
	struct pinring_mpmc_consumer mc;
	struct pinring_chain_producer cp;
	struct pinring_chain_consumer cc;
};

FIXTURE_SETUP(words)
{
	struct pinring_region_config config = pinring_region_defaults(1 << 16);
	struct pinring_chain_config chain = pinring_chain_defaults(4, 8, 8);

	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->r));
	ASSERT_EQ(0, pinring_chain_create(self->r, "chain", &chain));
	ASSERT_EQ(0, pinring_chain_producer_open(self->r, "chain", &self->cp));
	ASSERT_EQ(0, pinring_chain_consumer_open(self->r, "chain", &self->cc));
	ASSERT_EQ(0, pinring_spsc_create(self->r, "spsc", 4, 8));
	ASSERT_EQ(0, pinring_spsc_producer_open(self->r, "spsc", &self->sp));
	ASSERT_EQ(0, pinring_spsc_consumer_open(self->r, "spsc", &self->sc));
	ASSERT_EQ(0, pinring_mpmc_create(self->r, "mpmc", 4, 8, 8));
	ASSERT_EQ(0, pinring_mpmc_producer_open(self->r, "mpmc", &self->mp));
	ASSERT_EQ(0, pinring_mpmc_consumer_open(self->r, "mpmc", &self->mc));
}

FIXTURE_TEARDOWN(words)
{
	pinring_spsc_producer_close(&self->sp);
	pinring_spsc_consumer_close(&self->sc);
	pinring_mpmc_producer_close(&self->mp);
	pinring_mpmc_consumer_close(&self->mc);
	pinring_chain_producer_close(&self->cp);
	pinring_chain_consumer_close(&self->cc);
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

/* As if somebody slept: whether the call wakes on that side, and that alone. */
#define WAKES_IF(sleepers_, ready_, room_, call)                      \
	do {                                                        \
		struct pinring_sleepers *s_ = (sleepers_);          \
								    \
		s_->ready = s_->room = 1;                           \
		EXPECT_EQ(0, (call));                               \
		EXPECT_EQ((ready_) ? 2 : 1, s_->ready);             \
		EXPECT_EQ((room_) ? 2 : 1, s_->room);               \
		s_->ready = s_->room = 0;                           \
	} while (0)

#define READY 1, 0
#define ROOM 0, 1
#define BOTH 1, 1
#define NOBODY 0, 0
#define WAKES(sleepers_, sides, call) WAKES_IF(sleepers_, sides, call)

TEST_F(words, every_change_of_an_spsc_ring_wakes)
{
	struct pinring_sleepers *s = &self->sp.shared->sleepers;
	uint64_t item[4] = { 0 };

	WAKES(s, READY, pinring_spsc_push_u64(&self->sp, 1));
	WAKES(s, READY, pinring_spsc_push_batch(&self->sp, item, 2) - 2);
	WAKES(s, ROOM, pinring_spsc_pop_u64(&self->sc, item));
	WAKES(s, ROOM, pinring_spsc_pop_batch(&self->sc, item, 2) - 2);
	WAKES(s, NOBODY, pinring_spsc_pop_u64(&self->sc, item) + EAGAIN);
	WAKES(s, READY, (pinring_spsc_close_producer(&self->sp), 0));
	WAKES(s, ROOM, (pinring_spsc_close_consumer(&self->sc), 0));
}

TEST_F(words, every_change_of_a_chain_wakes)
{
	struct pinring_sleepers *s = &self->cp.shared->sleepers;
	uint64_t item[8] = { 0 };

	WAKES(s, READY, pinring_chain_push_u64(&self->cp, 1));
	WAKES(s, READY, pinring_chain_push_batch(&self->cp, item, 7) - 7); /* it grows */
	WAKES(s, NOBODY, pinring_chain_push_u64(&self->cp, 1) + EAGAIN);
	WAKES(s, ROOM, pinring_chain_pop_u64(&self->cc, item));
	WAKES(s, ROOM, pinring_chain_pop_batch(&self->cc, item, 7) - 7);
	WAKES(s, NOBODY, pinring_chain_pop_u64(&self->cc, item) + EAGAIN);
	WAKES(s, READY, (pinring_chain_close_producer(&self->cp), 0));
	WAKES(s, ROOM, (pinring_chain_close_consumer(&self->cc), 0));
}

TEST_F(words, every_change_of_an_mpmc_ring_wakes)
{
	struct pinring_sleepers *s = &self->mp.side.shared->sleepers;
	uint64_t item[4] = { 0 };

	WAKES(s, READY, pinring_mpmc_push_u64(&self->mp, 1));
	WAKES(s, READY, pinring_mpmc_push_batch(&self->mp, item, 2) - 2);
	WAKES(s, ROOM, pinring_mpmc_pop_u64(&self->mc, item));
	WAKES(s, ROOM, pinring_mpmc_pop_batch(&self->mc, item, 2) - 2);
	WAKES(s, NOBODY, pinring_mpmc_pop_u64(&self->mc, item) + EAGAIN);
	WAKES(s, NOBODY, pinring_mpmc_reserve(&self->mp, 1) - 1);
	WAKES(s, READY, (pinring_mpmc_abort(&self->mp), 0));
	/* It skips that one, which is room. */
	WAKES(s, ROOM, pinring_mpmc_pop_u64(&self->mc, item) + EAGAIN);
	WAKES(s, BOTH, (pinring_mpmc_close(&self->mc.side), 0));
}

TEST_F(words, repairing_an_mpmc_ring_wakes)
{
	pid_t pid = fork();
	int status;

	ASSERT_LE(0, pid);
	if (!pid) {
		struct pinring_mpmc_producer p;

		if (!pinring_mpmc_producer_open(self->r, "mpmc", &p))
			pinring_mpmc_reserve(&p, 2);
		raise(SIGKILL);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	WAKES(&self->mp.side.shared->sleepers, BOTH,
	       (int)pinring_mpmc_repair(&self->mp.side) - 2);
	WAKES(&self->mp.side.shared->sleepers, NOBODY,
	       (int)pinring_mpmc_repair(&self->mp.side));
}

TEST_F(words, every_change_of_a_broadcast_ring_wakes)
{
	static const char *const names[] = { "0", "1", "2", "3" };

	for (uint32_t flags = 0; flags < 4; flags++) {
		const bool gated = !(flags & PINRING_BROADCAST_LAPPING);
		/* A producer may wait for another one's slot. */
		const bool many = flags & PINRING_BROADCAST_MANY;
		struct pinring_broadcast_consumer c, other;
		struct pinring_broadcast_producer p;
		struct pinring_sleepers *s;
		uint64_t item[2] = { 0 };

		ASSERT_EQ(0, pinring_broadcast_create(self->r, names[flags], 4, 8,
						      flags, 4));
		ASSERT_EQ(0, pinring_broadcast_producer_open(
				     self->r, names[flags], &p));
		ASSERT_EQ(0, pinring_broadcast_consumer_open(
				     self->r, names[flags],
				     PINRING_BROADCAST_AT_TAIL, &c));
		ASSERT_EQ(0, pinring_broadcast_consumer_open(
				     self->r, names[flags],
				     PINRING_BROADCAST_AT_TAIL, &other));
		s = &p.side.shared->sleepers;
		WAKES_IF(s, 1, many, pinring_broadcast_push_u64(&p, 1));
		WAKES_IF(s, 1, many,
			 pinring_broadcast_push_batch(&p, item, 2) - 2);
		/* Whether it gave back: so small a ring is not lazy. */
		WAKES_IF(s, 0, gated, pinring_broadcast_pop_u64(&c, item));
		WAKES_IF(s, 0, gated, pinring_broadcast_pop_batch(&c, item, 2) - 2);
		WAKES(s, NOBODY, pinring_broadcast_pop_u64(&c, item) + EAGAIN);
		WAKES(s, ROOM, (pinring_broadcast_consumer_close(&other), 0));
		WAKES(s, BOTH, pinring_broadcast_close(&p));
		pinring_broadcast_consumer_close(&c);
		pinring_broadcast_producer_close(&p);
	}
}

/* Of many, one that is late is in the way of producers, and of consumers. */
TEST_F(words, a_late_producer_of_a_broadcast_ring_wakes)
{
	const uint32_t lapping = PINRING_BROADCAST_MANY | PINRING_BROADCAST_LAPPING;
	struct pinring_broadcast_producer p, late;
	struct pinring_sleepers *s;
	void *slots;

	ASSERT_EQ(0, pinring_broadcast_create(self->r, "cast", 2, 8, lapping, 4));
	ASSERT_EQ(0, pinring_broadcast_producer_open(self->r, "cast", &p));
	ASSERT_EQ(0, pinring_broadcast_producer_open(self->r, "cast", &late));
	s = &p.side.shared->sleepers;
	WAKES(s, NOBODY, pinring_broadcast_reserve(&late, 1, &slots) - 1);
	ASSERT_EQ(0, pinring_broadcast_push_u64(&p, 1));
	/* Whoever waits for the late one learns that it was lapped. */
	WAKES(s, READY, pinring_broadcast_reserve(&p, 1, &slots) - 1);
	WAKES(s, BOTH, (pinring_broadcast_commit(&late, 1), 0));
	WAKES(s, BOTH, (pinring_broadcast_abort(&p), 0));
	pinring_broadcast_producer_close(&p);
	pinring_broadcast_producer_close(&late);
}

TEST_F(words, repairing_a_broadcast_ring_wakes)
{
	struct pinring_broadcast_consumer c;
	int status;
	pid_t pid;

	ASSERT_EQ(0, pinring_broadcast_create(self->r, "cast", 4, 8, 0, 4));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		pinring_broadcast_consumer_open(self->r, "cast",
						PINRING_BROADCAST_AT_TAIL, &c);
		raise(SIGKILL);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, pinring_broadcast_consumer_open(
			     self->r, "cast", PINRING_BROADCAST_AT_TAIL, &c));
	WAKES(&c.side.shared->sleepers, BOTH,
	      (int)pinring_broadcast_repair(&c.side) - 1);
	WAKES(&c.side.shared->sleepers, NOBODY,
	      (int)pinring_broadcast_repair(&c.side));
	pinring_broadcast_consumer_close(&c);
}

/* ------------------------------------------------------------- and wakes for good */
#define SLEEPERS 3

struct sleeper {
	__u32 *word;
	pid_t tid; /* once it is about to sleep */
	int error;
};

static void *sleep_until_woken(void *arg)
{
	struct sleeper *s = arg;
	struct timespec ten = { .tv_sec = 10 };

	__atomic_store_n(&s->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	if (syscall(SYS_futex, s->word, FUTEX_WAIT, 1, &ten, NULL, 0))
		s->error = errno;
	return NULL;
}

/* In the kernel, and not on its way there. */
static void until_asleep(const struct sleeper *s)
{
	char path[40], text[256], state = 'R';

	while (state != 'S') {
		pid_t tid = __atomic_load_n(&s->tid, __ATOMIC_ACQUIRE);
		FILE *f;

		sched_yield();
		snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
		f = tid ? fopen(path, "re") : NULL;
		if (f && fgets(text, sizeof(text), f) && strrchr(text, ')'))
			state = strrchr(text, ')')[2];
		if (f)
			fclose(f);
	}
}

/* Who has no limit but ten seconds is woken before. */
TEST(a_wake_ends_the_sleep_of_all)
{
	struct sleeper s[SLEEPERS];
	pthread_t thread[SLEEPERS];
	__u32 word = 1;

	for (int i = 0; i < SLEEPERS; i++) {
		s[i] = (struct sleeper){ .word = &word };
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, sleep_until_woken,
					    &s[i]));
	}
	for (int i = 0; i < SLEEPERS; i++)
		until_asleep(&s[i]);
	pinring_wake(&word);
	for (int i = 0; i < SLEEPERS; i++) {
		pthread_join(thread[i], NULL);
		EXPECT_EQ(0, s[i].error);
	}
	EXPECT_EQ(2, word);
}

/* ------------------------------------------------------------------- sleepers */
struct chance {
	__u32 word;
	unsigned int looks;
};

/* Something comes right behind the first look, before the bit is set. */
static bool is_over_at_the_second_look(const void *side)
{
	struct chance *c = (struct chance *)(uintptr_t)side;

	return ++c->looks == 2;
}

static long times_slept(void)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	return u.ru_nvcsw;
}

TEST(what_came_before_the_arming_is_not_slept_on)
{
	struct chance c = { .word = 0 };
	struct pinring_wait w = { .word = &c.word,
				  .over = is_over_at_the_second_look,
				  .side = &c };
	long before = times_slept();

	for (int i = 0; i < 200; i++) {
		c.looks = 0;
		ASSERT_EQ(0, pinring_wait_any(&w, 1, &none, SECOND));
		ASSERT_EQ(2, c.looks);
		EXPECT_EQ(1, c.word); /* it was armed for that look */
	}
	/* Something else may have put us to sleep now and then. */
	EXPECT_GT(100, times_slept() - before);
}

static bool is_never_over(const void *side)
{
	(void)side;
	return false;
}

TEST(a_wait_of_no_time_arms_nothing)
{
	__u32 word = 0;
	struct pinring_wait w = { .word = &word, .over = is_never_over };

	EXPECT_EQ(-ETIMEDOUT, pinring_wait_any(&w, 1, &none, 0));
	EXPECT_EQ(-ETIMEDOUT, pinring_wait_any(&w, 1, &none, -SECOND));
	EXPECT_EQ(0, word);
	EXPECT_EQ(-ETIMEDOUT, pinring_wait_any(&w, 1, &none, 1));
	EXPECT_EQ(1, word);
}

TEST_HARNESS_MAIN
