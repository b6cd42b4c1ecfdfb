// SPDX-License-Identifier: MIT
/*
 * Sleeping on rings: woken by what comes, by closing, by a dead peer's repair;
 * on one ring or many; from threads and from other processes. A lost wake costs
 * a millisecond and no message, which no test here may call a failure: that every
 * waker finds the bit and counts on is what is asserted instead.
 */
#include <kselftest_harness.h>

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pinring/pinring.h>
#include <pinring/ring.h>

#include "items.h"

#define MS 1000000ll
#define LONG_NS (20 * 1000 * MS)
#define RINGS 5

/* Straight to sleep, so that every wait here is one. */
static const struct pinring_patience none;

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

FIXTURE(wait)
{
	struct pinring_device *device;
	struct pinring_region *region;
	struct pinring_spsc_producer p[RINGS];
	struct pinring_spsc_consumer c[RINGS];
	struct pinring_wait ready[RINGS];
};

FIXTURE_SETUP(wait)
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
		self->ready[i] = pinring_spsc_when_ready(&self->c[i]);
	}
	ASSERT_EQ(0, pinring_mpmc_create(self->region, "mpmc", 4, 8, 8));
}

FIXTURE_TEARDOWN(wait)
{
	for (int i = 0; i < RINGS; i++) {
		pinring_spsc_producer_close(&self->p[i]);
		pinring_spsc_consumer_close(&self->c[i]);
	}
	pinring_region_close(self->region);
	pinring_device_close(self->device);
}

TEST_F(wait, what_is_there_already_needs_no_sleep)
{
	ASSERT_EQ(0, pinring_spsc_push_u64(&self->p[3], 7));
	EXPECT_EQ(3, pinring_wait_any(self->ready, RINGS, NULL, 0));
	ASSERT_EQ(0, pinring_spsc_push_u64(&self->p[1], 7));
	EXPECT_EQ(1, pinring_wait_any(self->ready, RINGS, &none, PINRING_FOREVER));
	EXPECT_EQ(0u, self->c[1].shared->sleepers.ready);
}

TEST_F(wait, nothing_comes_in_time)
{
	int64_t before = now();

	EXPECT_EQ(-ETIMEDOUT, pinring_wait_any(self->ready, RINGS, NULL, 0));
	EXPECT_EQ(-ETIMEDOUT, pinring_wait_any(self->ready, RINGS, NULL, -1));
	EXPECT_EQ(-ETIMEDOUT, pinring_wait_any(self->ready, RINGS, &none, 3 * MS));
	EXPECT_EQ(-ETIMEDOUT, pinring_wait_any(self->ready, 1, &none, 3 * MS));
	EXPECT_EQ(-ETIMEDOUT, pinring_wait_any(self->ready, 1, NULL, 3 * MS));
	EXPECT_LE(9 * MS, now() - before);
}

TEST_F(wait, of_none_or_too_many_is_refused)
{
	EXPECT_EQ(-EINVAL, pinring_wait_any(self->ready, 0, NULL, 0));
	EXPECT_EQ(-EINVAL, pinring_wait_any(self->ready, PINRING_WAIT_MAX + 1, NULL, 0));
}

TEST_F(wait, errno_stays)
{
	errno = 77;
	EXPECT_EQ(-ETIMEDOUT, pinring_wait_any(self->ready, RINGS, &none, MS));
	EXPECT_EQ(77, errno);
	self->p[0].shared->sleepers.ready = 1;
	EXPECT_EQ(0, pinring_spsc_push_u64(&self->p[0], 1));
	EXPECT_EQ(77, errno);
	EXPECT_EQ(2u, self->p[0].shared->sleepers.ready);
}

TEST_F(wait, a_full_ring_is_waited_for)
{
	struct pinring_wait room = pinring_spsc_when_room(&self->p[0]);
	uint64_t got;

	EXPECT_EQ(0, pinring_wait_any(&room, 1, NULL, 0));
	for (uint64_t i = 0; i < 4; i++) {
		ASSERT_EQ(0, pinring_spsc_push_u64(&self->p[0], i));
	}
	EXPECT_EQ(-ETIMEDOUT, pinring_wait_any(&room, 1, NULL, 0));
	EXPECT_EQ(-ETIMEDOUT, pinring_spsc_push_wait(&self->p[0], &got, MS));
	ASSERT_EQ(0, pinring_spsc_pop_u64(&self->c[0], &got));
	pinring_spsc_flush(&self->c[0]);
	EXPECT_EQ(0, pinring_wait_any(&room, 1, NULL, 0));
	EXPECT_EQ(0, pinring_spsc_push_wait(&self->p[0], &got, 0));
	pinring_spsc_close_consumer(&self->c[0]);
	EXPECT_EQ(0, pinring_wait_any(&room, 1, NULL, 0));
	EXPECT_EQ(-EPIPE, pinring_spsc_push_wait(&self->p[0], &got, 0));
}

/* ------------------------------------------------------------ woken by others */
struct later {
	FIXTURE_DATA(wait) *w;
	uint64_t rounds;
};

/* Once the other one has announced that it sleeps. */
static void until_armed(__u32 *word)
{
	while (!(__atomic_load_n(word, __ATOMIC_RELAXED) & 1))
		sched_yield();
}

static void *push_when_asleep(void *arg)
{
	struct later *l = arg;
	struct pinring_spsc_producer *p = &l->w->p[RINGS - 1];

	for (uint64_t i = 0; i < l->rounds; i++) {
		until_armed(&p->shared->sleepers.ready);
		if (pinring_spsc_push_u64(p, i))
			return arg;
	}
	return NULL;
}

/* Each message meets a waiter that announced itself, and wakes it. */
static void wakes(struct __test_metadata *_metadata, FIXTURE_DATA(wait) *self,
		  uint32_t n)
{
	struct later l = { .w = self, .rounds = 2000 };
	uint64_t got;
	pthread_t thread;
	void *rc;

	ASSERT_EQ(0, pthread_create(&thread, NULL, push_when_asleep, &l));
	for (uint64_t i = 0; i < l.rounds; i++) {
		ASSERT_EQ((int)n - 1, pinring_wait_any(self->ready + RINGS - n, n,
						       &none, LONG_NS));
		ASSERT_EQ(0, pinring_spsc_pop_u64(&self->c[RINGS - 1], &got));
		ASSERT_EQ(i, got);
	}
	ASSERT_EQ(0, pthread_join(thread, &rc));
	EXPECT_EQ(NULL, rc);
	EXPECT_EQ(l.rounds, self->ready[RINGS - 1].word[0] >> 1);
}

TEST_F(wait, every_sleeper_on_one_ring_is_woken)
{
	wakes(_metadata, self, 1);
}

TEST_F(wait, every_sleeper_on_many_rings_is_woken)
{
	wakes(_metadata, self, RINGS);
}

static void *close_when_asleep(void *arg)
{
	struct later *l = arg;

	until_armed(&l->w->p[0].shared->sleepers.ready);
	pinring_spsc_close_producer(&l->w->p[0]);
	return NULL;
}

TEST_F(wait, closing_wakes)
{
	struct later l = { .w = self };
	pthread_t thread;
	uint64_t got;

	ASSERT_EQ(0, pthread_create(&thread, NULL, close_when_asleep, &l));
	EXPECT_EQ(0, pinring_wait_any(self->ready, RINGS, &none, LONG_NS));
	EXPECT_EQ(-EPIPE, pinring_spsc_pop_wait(&self->c[0], &got, 0));
	ASSERT_EQ(0, pthread_join(thread, NULL));
}

/* ----------------------------------------------------- two that sleep in turns */
#define ECHOES 3000

static void *echo(void *arg)
{
	FIXTURE_DATA(wait) *w = arg;
	uint64_t v;

	while (!pinring_spsc_pop_wait(&w->c[0], &v, LONG_NS))
		if (pinring_spsc_push_wait(&w->p[1], &v, LONG_NS))
			return arg;
	return NULL;
}

TEST_F(wait, a_ball_comes_back_every_time)
{
	pthread_t thread;
	void *rc;

	ASSERT_EQ(0, pthread_create(&thread, NULL, echo, self));
	for (uint64_t i = 0; i < ECHOES; i++) {
		uint64_t v;

		ASSERT_EQ(0, pinring_spsc_push_u64(&self->p[0], i));
		ASSERT_EQ(0, pinring_wait_any(&self->ready[1], 1, &none, LONG_NS));
		ASSERT_EQ(0, pinring_spsc_pop_u64(&self->c[1], &v));
		ASSERT_EQ(i, v);
	}
	pinring_spsc_close_producer(&self->p[0]);
	ASSERT_EQ(0, pthread_join(thread, &rc));
	EXPECT_EQ(NULL, rc);
}

TEST_F(wait, a_ball_comes_back_from_another_process)
{
	int status;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		struct pinring_spsc_consumer c;
		struct pinring_spsc_producer p;
		uint64_t v;

		if (pinring_spsc_consumer_open(self->region, "ring0", &c) ||
		    pinring_spsc_producer_open(self->region, "ring1", &p))
			_exit(1);
		while (!pinring_spsc_pop_wait(&c, &v, LONG_NS))
			if (pinring_spsc_push_wait(&p, &v, LONG_NS))
				_exit(2);
		_exit(0);
	}
	for (uint64_t i = 0; i < ECHOES; i++) {
		uint64_t v;

		ASSERT_EQ(0, pinring_spsc_push_u64(&self->p[0], i));
		ASSERT_EQ(0, pinring_wait_any(&self->ready[1], 1, &none, LONG_NS));
		ASSERT_EQ(0, pinring_spsc_pop_u64(&self->c[1], &v));
		ASSERT_EQ(i, v);
	}
	pinring_spsc_close_producer(&self->p[0]);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* ----------------------------------------------------------- crowds that sleep */
#define CROWD 4
#define CROWD_ITEMS 20000

struct member {
	struct pinring_region *region;
	uint64_t sum, count;
	int rc;
};

static void *send_some(void *arg)
{
	struct member *m = arg;
	struct pinring_mpmc_producer p;
	uint64_t i;

	m->rc = pinring_mpmc_producer_open(m->region, "mpmc", &p);
	for (i = 1; i <= CROWD_ITEMS && !m->rc; i++) {
		m->rc = pinring_mpmc_push_wait(&p, &i, LONG_NS);
		m->sum += i;
	}
	pinring_mpmc_producer_close(&p);
	return NULL;
}

static void *receive_some(void *arg)
{
	struct member *m = arg;
	struct pinring_mpmc_consumer c;
	uint64_t v;

	m->rc = pinring_mpmc_consumer_open(m->region, "mpmc", &c);
	while (!m->rc) {
		m->rc = pinring_mpmc_pop_wait(&c, &v, LONG_NS);
		if (m->rc)
			break;
		m->sum += v;
		m->count++;
	}
	pinring_mpmc_consumer_close(&c);
	return NULL;
}

TEST_F(wait, a_crowd_on_four_slots_sleeps_and_wakes)
{
	struct member in[CROWD] = { 0 }, out[CROWD] = { 0 };
	pthread_t threads[2 * CROWD];
	struct pinring_mpmc_producer closer;
	uint64_t sent = 0, got = 0, count = 0;

	for (int i = 0; i < CROWD; i++) {
		in[i].region = out[i].region = self->region;
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, send_some, &in[i]));
		if (i < CROWD - 1) {
			ASSERT_EQ(0, pthread_create(&threads[CROWD + i], NULL,
						    receive_some, &out[i]));
		}
	}
	for (int i = 0; i < CROWD; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
		EXPECT_EQ(0, in[i].rc);
		sent += in[i].sum;
	}
	ASSERT_EQ(0, pinring_mpmc_producer_open(self->region, "mpmc", &closer));
	pinring_mpmc_close(&closer.side);
	for (int i = 0; i < CROWD - 1; i++) {
		ASSERT_EQ(0, pthread_join(threads[CROWD + i], NULL));
		EXPECT_EQ(-EPIPE, out[i].rc);
		got += out[i].sum;
		count += out[i].count;
	}
	pinring_mpmc_producer_close(&closer);
	EXPECT_EQ(sent, got);
	EXPECT_EQ((uint64_t)CROWD * CROWD_ITEMS, count);
}

/* The victim dies with the first slot reserved; a second message is behind. */
TEST_F(wait, a_sleeper_buries_the_dead)
{
	struct pinring_mpmc_producer p;
	struct pinring_mpmc_consumer c;
	struct pinring_wait w;
	uint64_t v = 42;
	int status;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		if (pinring_mpmc_producer_open(self->region, "mpmc", &p) ||
		    pinring_mpmc_reserve(&p, 1) != 1)
			_exit(1);
		raise(SIGKILL);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));
	ASSERT_EQ(0, pinring_mpmc_producer_open(self->region, "mpmc", &p));
	ASSERT_EQ(0, pinring_mpmc_consumer_open(self->region, "mpmc", &c));
	ASSERT_EQ(0, pinring_mpmc_push(&p, &v));
	v = 0;
	w = pinring_mpmc_when_ready(&c);
	EXPECT_EQ(-ETIMEDOUT, pinring_wait_any(&w, 1, NULL, 0));
	EXPECT_EQ(0, pinring_wait_any(&w, 1, &none, LONG_NS));
	EXPECT_EQ(0, pinring_mpmc_pop_wait(&c, &v, 0));
	EXPECT_EQ(42u, v);
	pinring_mpmc_producer_close(&p);
	pinring_mpmc_consumer_close(&c);
}

/* A peer that scribbles on the words costs time, not messages. */
static void *scribble(void *arg)
{
	struct later *l = arg;
	struct pinring_sleepers *s = &l->w->p[0].shared->sleepers;
	struct dice d = { 99 };

	while (!__atomic_load_n(&l->rounds, __ATOMIC_RELAXED)) {
		__atomic_store_n(&s->ready, (__u32)roll(&d, 4), __ATOMIC_RELAXED);
		__atomic_store_n(&s->room, (__u32)roll(&d, 4), __ATOMIC_RELAXED);
	}
	return NULL;
}

TEST_F(wait, scribbled_words_cost_no_message)
{
	struct later l = { .w = self };
	pthread_t scribbler, echoer;
	void *rc;

	ASSERT_EQ(0, pthread_create(&echoer, NULL, echo, self));
	ASSERT_EQ(0, pthread_create(&scribbler, NULL, scribble, &l));
	for (uint64_t i = 0; i < 200; i++) {
		uint64_t v;

		ASSERT_EQ(0, pinring_spsc_push_u64(&self->p[0], i));
		ASSERT_EQ(0, pinring_spsc_pop_wait(&self->c[1], &v, LONG_NS));
		ASSERT_EQ(i, v);
	}
	pinring_spsc_close_producer(&self->p[0]);
	ASSERT_EQ(0, pthread_join(echoer, &rc));
	EXPECT_EQ(NULL, rc);
	__atomic_store_n(&l.rounds, 1, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(scribbler, NULL));
}

TEST_HARNESS_MAIN
