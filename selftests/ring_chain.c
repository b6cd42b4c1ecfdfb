// SPDX-License-Identifier: MIT
/*
 * The resizable ring: it grows when it must, shrinks when it may, seldom does
 * either, and takes no more memory than that.
 */
#include <kselftest_harness.h>

#include <pthread.h>
#include <sys/mman.h>

#include <pinring/pinring.h>

#include "backend.h"
#include "chain_sides.h"

#define MIN 8
#define MAX 64
#define INTERVAL 4
#define WINDOW 4
#define SECOND 1000000000ll

static struct pinring_chain_config config_of(uint64_t min, uint64_t max,
					     uint64_t slot_bytes)
{
	struct pinring_chain_config config =
		pinring_chain_defaults(min, max, slot_bytes);

	config.check_interval = INTERVAL;
	config.window = WINDOW;
	return config;
}

FIXTURE(chain)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_chain_producer p;
	struct pinring_chain_consumer c;
	struct pinring_chain_header *h;
	struct dice dice;
};

FIXTURE_SETUP(chain)
{
	struct pinring_region_config config = pinring_region_defaults(4 << 20);
	struct pinring_chain_config ring = config_of(MIN, MAX, 8);

	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->r));
	ASSERT_EQ(0, pinring_chain_create(self->r, "ring", &ring));
	ASSERT_EQ(0, pinring_chain_producer_open(self->r, "ring", &self->p));
	ASSERT_EQ(0, pinring_chain_consumer_open(self->r, "ring", &self->c));
	self->h = chain_header(self->r, "ring");
}

FIXTURE_TEARDOWN(chain)
{
	pinring_chain_producer_close(&self->p);
	pinring_chain_consumer_close(&self->c);
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

static struct pinring_chain_info info_of(struct pinring_region *r)
{
	struct pinring_chain_info info = PINRING_INIT(struct pinring_chain_info);

	if (pinring_chain_info(r, "ring", &info))
		info.capacity = 0;
	return info;
}

static uint64_t push_up_to(struct pinring_chain_producer *p, uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n; i++)
		if (pinring_chain_push_u64(p, chain_sent(p)))
			break;
	return i;
}

/* Those that came in their order. */
static uint64_t pop_up_to(struct pinring_chain_consumer *c, uint64_t n)
{
	uint64_t i, item;

	for (i = 0; i < n; i++) {
		uint64_t due = chain_got(c);

		if (pinring_chain_pop_u64(c, &item) || item != due)
			break;
	}
	return i;
}

/* One message in, one out, n times: the fill stays what it is. */
static uint64_t pass(struct pinring_chain_producer *p,
		     struct pinring_chain_consumer *c, uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n; i++) {
		if (!push_up_to(p, 1) || !pop_up_to(c, 1))
			break;
		pinring_chain_flush(c);
	}
	return i;
}

/* ------------------------------------------------------------------ creation */

TEST_F(chain, nonsense_is_refused_in_words)
{
	static const struct {
		uint64_t min, max, capacity, slot_bytes;
		uint32_t factor, interval, window, high, low;
	} wrong[] = {
		{ 0, 64, 0, 8, 2, 1, 1, 75, 20 },
		{ 1, 64, 1, 8, 2, 1, 1, 75, 20 },
		{ 12, 64, 12, 8, 2, 1, 1, 75, 20 },
		{ 8, 63, 8, 8, 2, 1, 1, 75, 20 },
		{ 8, 4, 8, 8, 2, 1, 1, 75, 20 },
		{ 8, 1ull << 33, 8, 8, 2, 1, 1, 75, 20 },
		{ 8, 64, 12, 8, 2, 1, 1, 75, 20 },
		{ 8, 64, 4, 8, 2, 1, 1, 75, 20 },
		{ 8, 64, 128, 8, 2, 1, 1, 75, 20 },
		{ 8, 128, 16, 8, 4, 1, 1, 90, 20 }, /* 16 is no 8 * 4^k */
		{ 8, 64, 8, 0, 2, 1, 1, 75, 20 },
		{ 8, 64, 8, 12, 2, 1, 1, 75, 20 },
		{ 8, 64, 8, (1 << 20) + 8, 2, 1, 1, 75, 20 },
		{ 8, 64, 8, 8, 0, 1, 1, 75, 20 },
		{ 8, 64, 8, 8, 1, 1, 1, 75, 20 },
		{ 8, 64, 8, 8, 3, 1, 1, 75, 20 },
		{ 8, 64, 8, 8, 4, 1, 1, 75, 10 }, /* 8 * 4^k is not 64 */
		{ 8, 64, 8, 8, 2, 0, 1, 75, 20 },
		{ 8, 64, 8, 8, 2, (1 << 30) + 1, 1, 75, 20 },
		{ 8, 64, 8, 8, 2, 1, 0, 75, 20 },
		{ 8, 64, 8, 8, 2, 1, (1 << 20) + 1, 75, 20 },
		{ 8, 64, 8, 8, 2, 1, 1, 101, 20 },
		{ 8, 64, 8, 8, 2, 1, 1, 0, 0 },
		{ 8, 64, 8, 8, 2, 1, 1, 65536 + 75, 20 },
		{ 8, 64, 8, 8, 2, 1, 1, 75, 65536 + 20 },
		{ 8, 64, 8, 8, 2, 1, 1, 75, 38 }, /* would be due to grow */
		{ 8, 128, 8, 8, 4, 1, 1, 75, 19 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct pinring_chain_config config = pinring_chain_defaults(
			wrong[i].min, wrong[i].max, wrong[i].slot_bytes);

		config.capacity = wrong[i].capacity;
		config.factor = wrong[i].factor;
		config.check_interval = wrong[i].interval;
		config.window = wrong[i].window;
		config.high = wrong[i].high;
		config.low = wrong[i].low;
		EXPECT_EQ(-EINVAL, pinring_chain_create(self->r, "no", &config)) {
			TH_LOG("case %zu", i);
		}
		EXPECT_NE(0, pinring_error()[0]);
	}
}

TEST_F(chain, takes_of_the_region_what_its_segments_need)
{
	static const struct {
		uint64_t min, max, slot_bytes;
		uint32_t factor;
		uint64_t bytes;
	} shape[] = {
		{ 8, 8, 8, 2, 512 + 64 },
		{ 8, 64, 8, 2, 512 + 128 + 128 + 256 + 512 },
		{ 512, 1024, 8, 2, 4096 + 4096 + 8192 },
		/* 4 KiB, 16 KiB and so on to 1 MiB: a third more than that. */
		{ 512, 1 << 17, 8, 4, 4096 + (4096 * (1 << 10) - 4096) / 3 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(shape); i++) {
		struct pinring_chain_config config = config_of(
			shape[i].min, shape[i].max, shape[i].slot_bytes);
		char name[] = { 's', (char)('0' + i), 0 };
		struct pinring_object_info o;

		config.factor = shape[i].factor;
		config.low = 10;
		ASSERT_EQ(0, pinring_chain_create(self->r, name, &config));
		ASSERT_EQ(0, pinring_object_find(self->r, name, &o));
		EXPECT_EQ(shape[i].bytes, o.length) {
			TH_LOG("shape %zu", i);
		}
	}
}

TEST_F(chain, begins_with_the_capacity_asked_for)
{
	for (uint64_t capacity = MIN; capacity <= MAX; capacity *= 2) {
		struct pinring_chain_config config = config_of(MIN, MAX, 8);
		char name[] = { 'b', (char)('0' + capacity / 8), 0 };
		struct pinring_chain_producer p;

		config.capacity = capacity;
		ASSERT_EQ(0, pinring_chain_create(self->r, name, &config));
		ASSERT_EQ(0, pinring_chain_producer_open(self->r, name, &p));
		EXPECT_EQ(capacity, pinring_chain_capacity(&p));
		EXPECT_EQ(capacity, pinring_chain_free(&p));
		pinring_chain_producer_close(&p);
	}
}

TEST_F(chain, opening_says_what_is_wrong)
{
	struct pinring_chain_config config = config_of(MIN, MAX, 8);
	struct pinring_chain_info info = PINRING_INIT(struct pinring_chain_info);
	struct pinring_chain_producer p;
	struct pinring_chain_consumer c;

	EXPECT_EQ(-EEXIST, pinring_chain_create(self->r, "ring", &config));
	EXPECT_EQ(-ENOENT, pinring_chain_producer_open(self->r, "no", &p));
	EXPECT_EQ(-ENOENT, pinring_chain_consumer_open(self->r, "no", &c));
	EXPECT_EQ(-ENOENT, pinring_chain_info(self->r, "no", &info));
	EXPECT_EQ(-ENOENT, pinring_chain_prepare(self->r, "no", MIN));
	EXPECT_EQ(-EINVAL, pinring_chain_prepare(self->r, "ring", MIN * 3));
	ASSERT_EQ(0, pinring_spsc_create(self->r, "other", 2, 8));
	EXPECT_EQ(-EINVAL, pinring_chain_producer_open(self->r, "other", &p));
	/* The creator died before it sealed. */
	ASSERT_EQ(0, pinring_object_create(self->r, "half", PINRING_OBJECT_CHAIN,
					   4096, 0, NULL));
	EXPECT_EQ(-EAGAIN, pinring_chain_producer_open(self->r, "half", &p));
	config.max_capacity = 1 << 30;
	EXPECT_EQ(-ENOSPC, pinring_chain_create(self->r, "big", &config));
}

/* ------------------------------------------------------------------- growing */

TEST_F(chain, grows_at_once_when_full_up_to_its_maximum)
{
	for (uint64_t i = 0; i < MAX; i++) {
		uint64_t capacity = MIN;

		while (capacity < i + 1)
			capacity *= 2;
		ASSERT_EQ(1u, push_up_to(&self->p, 1));
		EXPECT_LE(capacity, pinring_chain_capacity(&self->p));
		EXPECT_EQ(pinring_chain_capacity(&self->p),
			  pinring_chain_free(&self->p) + i + 1);
		EXPECT_EQ(i + 1, pinring_chain_count(&self->c));
	}
	EXPECT_EQ(-EAGAIN, pinring_chain_push_u64(&self->p, 0));
	EXPECT_EQ(0u, pinring_chain_free(&self->p));
	EXPECT_EQ(3u, info_of(self->r).grown);
	EXPECT_EQ((uint64_t)MAX, info_of(self->r).peak);
	EXPECT_EQ((uint64_t)MAX, pop_up_to(&self->c, MAX + 1));
	EXPECT_EQ(0u, pinring_chain_count(&self->c));
	EXPECT_EQ((uint64_t)MAX, push_up_to(&self->p, MAX + 1));
	EXPECT_EQ((uint64_t)MAX, pop_up_to(&self->c, MAX + 1));
	EXPECT_EQ(3u, info_of(self->r).grown);
	EXPECT_EQ(0u, info_of(self->r).pending);
}

TEST_F(chain, grows_when_it_stays_high_and_no_sooner)
{
	uint64_t passed;

	ASSERT_EQ(MIN * 3ull / 4, push_up_to(&self->p, MIN * 3 / 4));
	for (passed = 0; info_of(self->r).capacity == MIN && passed < 1000;
	     passed++) {
		ASSERT_EQ(1u, pass(&self->p, &self->c, 1));
	}
	/* The window's looks, each an interval after the last. */
	EXPECT_LE((WINDOW - 1u) * INTERVAL, passed);
	EXPECT_GE((WINDOW + 2u) * INTERVAL, passed);
	EXPECT_EQ(1u, info_of(self->r).grown);
	/* And is then no longer high: 6 of 16. */
	EXPECT_EQ(1000u, pass(&self->p, &self->c, 1000));
	EXPECT_EQ(1u, info_of(self->r).grown);
	EXPECT_EQ(0u, info_of(self->r).shrunk);
}

TEST_F(chain, a_look_that_finds_it_lower_starts_the_count_anew)
{
	uint64_t items[6];

	ASSERT_EQ(MIN * 3ull / 4, push_up_to(&self->p, MIN * 3 / 4));
	for (int i = 0; i < 100; i++) {
		ASSERT_EQ(2u * INTERVAL, pass(&self->p, &self->c, 2 * INTERVAL));
		ASSERT_EQ(2u, pop_up_to(&self->c, 2));
		pinring_chain_flush(&self->c);
		ASSERT_EQ(2u * INTERVAL, pass(&self->p, &self->c, 2 * INTERVAL));
		ASSERT_EQ(2u, push_up_to(&self->p, 2));
	}
	/* Also by one that finds it low. */
	for (int i = 0; i < 100; i++) {
		ASSERT_EQ(2u * INTERVAL, pass(&self->p, &self->c, 2 * INTERVAL));
		ASSERT_EQ(6u, pop_up_to(&self->c, 6));
		pinring_chain_flush(&self->c);
		ASSERT_EQ(2u * INTERVAL, pass(&self->p, &self->c, 2 * INTERVAL));
		/* In one go, or there would be a look half-way. */
		for (uint64_t k = 0; k < 6; k++)
			items[k] = chain_sent(&self->p) + k;
		ASSERT_EQ(6, pinring_chain_push_batch(&self->p, items, 6));
	}
	EXPECT_EQ(0u, info_of(self->r).grown);
}

/*
 * There are notes of seven moves. While the consumer sleeps, the seventh goes to
 * the end, so that a ring which may grow always can.
 */
TEST_F(chain, grows_to_its_maximum_under_a_consumer_that_follows_nothing)
{
	struct pinring_chain_config config = config_of(2, 1 << 15, 8);
	struct pinring_chain_producer p;
	struct pinring_chain_consumer c;

	ASSERT_EQ(0, pinring_chain_create(self->r, "long", &config));
	ASSERT_EQ(0, pinring_chain_producer_open(self->r, "long", &p));
	ASSERT_EQ(0, pinring_chain_consumer_open(self->r, "long", &c));
	EXPECT_EQ(1ull << 15, push_up_to(&p, 1 << 16));
	EXPECT_EQ(7u, chain_header(self->r, "long")->grown);
	EXPECT_EQ(1ull << 15, pop_up_to(&c, 1 << 16));
	pinring_chain_producer_close(&p);
	pinring_chain_consumer_close(&c);
}

/* ----------------------------------------------------------------- shrinking */

TEST_F(chain, shrinks_when_it_stays_low_down_to_its_minimum)
{
	uint64_t passed[4] = { 0 }, step = 0;

	ASSERT_EQ((uint64_t)MAX, push_up_to(&self->p, MAX));
	ASSERT_EQ(MAX - 1ull, pop_up_to(&self->c, MAX - 1));
	pinring_chain_flush(&self->c);
	for (uint64_t i = 0; i < 1000; i++) {
		uint64_t before = info_of(self->r).capacity;

		ASSERT_EQ(1u, pass(&self->p, &self->c, 1));
		passed[step]++;
		if (info_of(self->r).capacity != before && step < 3) {
			EXPECT_EQ(before / 2, info_of(self->r).capacity);
			step++;
		}
	}
	EXPECT_EQ(3u, info_of(self->r).shrunk);
	EXPECT_EQ(3u, info_of(self->r).grown);
	EXPECT_EQ((uint64_t)MIN, info_of(self->r).capacity);
	for (int i = 0; i < 3; i++) {
		EXPECT_LE((WINDOW - 1u) * INTERVAL, passed[i]);
		EXPECT_GE((WINDOW + 2u) * INTERVAL, passed[i]);
	}
}

/* A fill that goes up and down between the thresholds moves nothing. */
TEST_F(chain, a_load_between_the_thresholds_moves_nothing)
{
	ASSERT_EQ(17u, push_up_to(&self->p, 17)); /* 17 of 32 */
	for (int i = 0; i < 10000; i++) {
		uint64_t n = roll(&self->dice, 7);

		ASSERT_EQ(n, push_up_to(&self->p, n)); /* at most 23 */
		ASSERT_EQ(n, pop_up_to(&self->c, n));
		pinring_chain_flush(&self->c);
		ASSERT_EQ(8u, pop_up_to(&self->c, 8)); /* 9 */
		pinring_chain_flush(&self->c);
		ASSERT_EQ(8u, push_up_to(&self->p, 8));
	}
	EXPECT_EQ(2u, info_of(self->r).grown);
	EXPECT_EQ(0u, info_of(self->r).shrunk);
}

/* One more or one less than the threshold, for ever. */
TEST_F(chain, a_load_at_an_edge_does_not_flap)
{
	static const uint64_t edges[] = { 6, 12, 24, 48, 1, 2, 3, 6 };

	for (size_t e = 0; e < ARRAY_SIZE(edges); e++) {
		uint64_t before, fill = edges[e];

		pop_up_to(&self->c, MAX);
		EXPECT_EQ(-EAGAIN, pinring_chain_peek(&self->c, 1,
						      &(void *){ NULL }));
		ASSERT_EQ(fill, push_up_to(&self->p, fill));
		ASSERT_EQ(2000u, pass(&self->p, &self->c, 2000));
		before = info_of(self->r).grown + info_of(self->r).shrunk;
		for (int i = 0; i < 5000; i++) {
			uint64_t n = 1 + roll(&self->dice, 12);

			ASSERT_EQ(n, pass(&self->p, &self->c, n));
			ASSERT_EQ(1u, i % 2 ? push_up_to(&self->p, 1) :
					      pop_up_to(&self->c, 1));
			pinring_chain_flush(&self->c);
		}
		EXPECT_GE(before + 2, info_of(self->r).grown +
					      info_of(self->r).shrunk) {
			TH_LOG("at %llu", (unsigned long long)fill);
		}
	}
}

/*
 * Waves longer than the window: without patience two moves a wave, or more.
 * With it, twice as much waiting after each that was in vain.
 */
TEST_F(chain, a_load_in_waves_settles_at_the_larger_size)
{
	const uint64_t waves = 1000;
	struct pinring_chain_info info;
	uint32_t patience;

	for (uint64_t i = 0; i < waves; i++) {
		ASSERT_EQ(20u, push_up_to(&self->p, 20));
		ASSERT_EQ(100u, pass(&self->p, &self->c, 100));
		ASSERT_EQ(20u, pop_up_to(&self->c, 20));
		pinring_chain_flush(&self->c);
		ASSERT_EQ(2u * INTERVAL * WINDOW,
			  pass(&self->p, &self->c, 2 * INTERVAL * WINDOW));
	}
	info = info_of(self->r);
	TH_LOG("%llu waves: %llu moves up, %llu down", (unsigned long long)waves,
	       (unsigned long long)info.grown, (unsigned long long)info.shrunk);
	EXPECT_EQ(32u, info.capacity);
	EXPECT_GE(8u, info.grown);
	EXPECT_GE(6u, info.shrunk);
	/* Until the waves have been over for long. */
	EXPECT_LT((uint32_t)WINDOW, self->p.patience);
	ASSERT_EQ(10000u, pass(&self->p, &self->c, 10000));
	EXPECT_EQ((uint64_t)MIN, info_of(self->r).capacity);
	ASSERT_EQ(20u, push_up_to(&self->p, 20));
	ASSERT_EQ(20u, pop_up_to(&self->c, 20));
	pinring_chain_flush(&self->c);
	patience = self->p.patience;
	ASSERT_EQ(10000u, pass(&self->p, &self->c, 10000));
	EXPECT_GT(patience, self->p.patience);
}

/* ------------------------------------------------------------ over the seams */

TEST_F(chain, a_run_ends_where_the_ring_moved_on)
{
	uint64_t items[MAX];
	void *slots = NULL;

	ASSERT_EQ(5u, push_up_to(&self->p, 5));
	ASSERT_EQ(5u, pop_up_to(&self->c, 5));
	pinring_chain_flush(&self->c);
	/* 3 to the end of segment 0, 5 from its begin; then segment 1. */
	ASSERT_EQ(20u, push_up_to(&self->p, 20));
	EXPECT_EQ(3, pinring_chain_peek(&self->c, MAX, &slots));
	pinring_chain_release(&self->c, 3);
	EXPECT_EQ(5, pinring_chain_peek(&self->c, MAX, &slots));
	EXPECT_EQ((uint64_t)8, *(uint64_t *)slots);
	pinring_chain_release(&self->c, 5);
	EXPECT_EQ(3, pinring_chain_peek(&self->c, MAX, &slots));
	EXPECT_EQ((uint64_t)13, *(uint64_t *)slots);
	EXPECT_EQ(12, pinring_chain_pop_batch(&self->c, items, MAX));
	for (uint64_t i = 0; i < 12; i++) {
		EXPECT_EQ(13 + i, items[i]);
	}
}

TEST_F(chain, a_batch_goes_as_far_as_the_ring_can_grow)
{
	uint64_t items[MAX + 1], got[MAX + 1];

	for (uint64_t i = 0; i <= MAX; i++)
		items[i] = i;
	EXPECT_EQ(0, pinring_chain_push_batch(&self->p, items, 0));
	EXPECT_EQ(MAX, pinring_chain_push_batch(&self->p, items, MAX + 1));
	EXPECT_EQ(-EAGAIN, pinring_chain_push_batch(&self->p, items, 1));
	EXPECT_EQ(0, pinring_chain_push_batch(&self->p, items, 0));
	EXPECT_EQ(MAX, pinring_chain_pop_batch(&self->c, got, MAX + 1));
	EXPECT_EQ(0, memcmp(items, got, MAX * 8));
	EXPECT_EQ(-EAGAIN, pinring_chain_pop_batch(&self->c, got, 1));
	EXPECT_EQ(0, pinring_chain_pop_batch(&self->c, got, 0));
}

TEST_F(chain, what_was_reserved_and_not_committed_was_never_there)
{
	uint64_t item;
	void *slots = NULL;

	ASSERT_EQ((uint64_t)MIN, push_up_to(&self->p, MIN));
	/* This grows the ring. */
	ASSERT_LT(0, pinring_chain_reserve(&self->p, 4, &slots));
	*(uint64_t *)slots = 99;
	EXPECT_EQ((uint64_t)MIN, pop_up_to(&self->c, MAX));
	EXPECT_EQ(-EAGAIN, pinring_chain_pop_u64(&self->c, &item));
	EXPECT_EQ(1u, push_up_to(&self->p, 1));
	EXPECT_EQ(1u, pop_up_to(&self->c, MAX));
}

/* ------------------------------------------------------------------- closing */

TEST_F(chain, the_consumer_drains_every_segment_then_gets_epipe)
{
	uint64_t item;

	ASSERT_EQ((uint64_t)MAX, push_up_to(&self->p, MAX));
	pinring_chain_close_producer(&self->p);
	EXPECT_EQ((uint64_t)MAX, pop_up_to(&self->c, MAX));
	EXPECT_EQ(-EPIPE, pinring_chain_pop_u64(&self->c, &item));
}

TEST_F(chain, a_producer_without_a_consumer_gets_epipe_and_grows_no_more)
{
	ASSERT_EQ((uint64_t)MIN, push_up_to(&self->p, MIN));
	pinring_chain_close_consumer(&self->c);
	EXPECT_EQ(-EPIPE, pinring_chain_push_u64(&self->p, 0));
	EXPECT_EQ((uint64_t)MIN, pinring_chain_capacity(&self->p));
}

/* ------------------------------------------------------------------- waiting */

static void *push_later(void *arg)
{
	struct pinring_chain_producer *p = arg;

	usleep(20000);
	push_up_to(p, 1);
	usleep(20000);
	pinring_chain_close_producer(p);
	return NULL;
}

TEST_F(chain, waiting_ends_with_a_message_or_a_close)
{
	pthread_t thread;
	uint64_t item = 0;

	EXPECT_EQ(-ETIMEDOUT, pinring_chain_pop_wait(&self->c, &item, 1000000));
	ASSERT_EQ(0, pthread_create(&thread, NULL, push_later, &self->p));
	EXPECT_EQ(0, pinring_chain_pop_wait(&self->c, &item, 20 * SECOND));
	EXPECT_EQ(0u, item);
	EXPECT_EQ(-EPIPE, pinring_chain_pop_wait(&self->c, &item, 20 * SECOND));
	pthread_join(thread, NULL);
}

static void *pop_later(void *arg)
{
	usleep(20000);
	pop_up_to(arg, 8);
	return NULL;
}

TEST_F(chain, only_a_ring_at_its_maximum_makes_the_producer_wait)
{
	pthread_t thread;
	uint64_t item = 0;

	for (; item < MAX; item++) {
		ASSERT_EQ(0, pinring_chain_push_wait(&self->p, &item, 0));
	}
	EXPECT_EQ(-ETIMEDOUT,
		  pinring_chain_push_wait(&self->p, &item, 1000000));
	ASSERT_EQ(0, pthread_create(&thread, NULL, pop_later, &self->c));
	EXPECT_EQ(0, pinring_chain_push_wait(&self->p, &item, 20 * SECOND));
	pthread_join(thread, NULL);
}

/* -------------------------------------------------------------------- memory */
#define PAGE 4096ull

static uint64_t resident(const void *at, uint64_t bytes)
{
	unsigned char there[1024];
	uint64_t pages = bytes / PAGE, n = 0;

	if (pages > sizeof(there) || mincore((void *)(uintptr_t)at, bytes, there))
		return ~0ull;
	for (uint64_t i = 0; i < pages; i++)
		n += there[i] & 1;
	return n;
}

/* A ring of 4 KiB to 1 MiB, that lies on pages. */
static void open_paged(struct __test_metadata *_metadata,
		       struct pinring_region *r, struct pinring_chain_producer *p,
		       struct pinring_chain_consumer *c)
{
	struct pinring_chain_config config = config_of(512, 1 << 17, 8);

	ASSERT_EQ(0, pinring_chain_create(r, "paged", &config));
	ASSERT_EQ(0, pinring_chain_producer_open(r, "paged", p));
	ASSERT_EQ(0, pinring_chain_consumer_open(r, "paged", c));
}

TEST_F(chain, memory_comes_with_use_and_trim_gives_it_back)
{
	struct pinring_region_config config = pinring_region_defaults(4 << 20);
	struct pinring_chain_producer p;
	struct pinring_chain_consumer c;
	struct pinring_region *r;
	unsigned char *base;

	config.flags = PINRING_REGION_SMALL_PAGES;
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &r));
	open_paged(_metadata, r, &p, &c);
	base = pinring_region_base(r);
	if (on_module(self->device)) {
		SKIP(return, "the module's regions have all their memory, and keep it");
	}
	EXPECT_GE(5u, resident(base, 4 << 20));
	ASSERT_EQ(1ull << 17, push_up_to(&p, 1 << 17));
	/* Half of the last segment: what was full before was left where it is. */
	EXPECT_LE(250u, resident(base, 4 << 20));
	EXPECT_GE(270u, resident(base, 4 << 20));
	/* Nothing can go: all is in use. */
	ASSERT_EQ(0, pinring_chain_trim(&p));
	EXPECT_LE(250u, resident(base, 4 << 20));
	ASSERT_EQ((1ull << 17) - 1, pop_up_to(&c, (1 << 17) - 1));
	pinring_chain_flush(&c);
	ASSERT_EQ(0, pinring_chain_trim(&p));
	/* The consumer has one message to read from the largest. */
	EXPECT_EQ(512u, pinring_chain_capacity(&p));
	EXPECT_LE(64u, resident(base, 4 << 20));
	EXPECT_EQ(1u, pop_up_to(&c, 2));
	ASSERT_EQ(0, pinring_chain_trim(&p));
	EXPECT_GE(5u, resident(base, 4 << 20));
	ASSERT_EQ(1ull << 17, push_up_to(&p, 1 << 17));
	EXPECT_EQ(1ull << 17, pop_up_to(&c, 1 << 17));
	pinring_chain_producer_close(&p);
	pinring_chain_consumer_close(&c);
	pinring_region_close(r);
}

TEST_F(chain, prepare_fetches_pages_and_changes_none)
{
	struct pinring_chain_producer p;
	struct pinring_chain_consumer c;
	unsigned char *base = pinring_region_base(self->r);

	open_paged(_metadata, self->r, &p, &c);
	ASSERT_EQ(0, pinring_chain_prepare(self->r, "paged", 1 << 17));
	EXPECT_LE(256u, resident(base, 4 << 20));
	ASSERT_EQ(5000u, push_up_to(&p, 5000));
	for (uint64_t n = 512; n <= 1 << 17; n *= 2) {
		ASSERT_EQ(0, pinring_chain_prepare(self->r, "paged", n));
	}
	EXPECT_EQ(5000u, pop_up_to(&c, 5000));
	pinring_chain_producer_close(&p);
	pinring_chain_consumer_close(&c);
}

/* ---------------------------------------------------------------- successors */

TEST_F(chain, a_new_side_goes_on_where_the_old_one_stood)
{
	struct dice d = { 3 };
	int64_t n = 0;

	for (int i = 0; i < 3000; i++) {
		if (roll(&d, 2))
			n = chain_send(&self->p, &d, RUN);
		else
			n = chain_receive(&self->c, &d, RUN);
		ASSERT_TRUE(n > 0 || n == -EAGAIN);
		if (roll(&d, 10) == 0) {
			pinring_chain_producer_close(&self->p);
			ASSERT_EQ(0, pinring_chain_producer_open(self->r, "ring",
								 &self->p));
		}
		if (roll(&d, 10) == 0) {
			pinring_chain_consumer_close(&self->c);
			ASSERT_EQ(0, pinring_chain_consumer_open(self->r, "ring",
								 &self->c));
		}
	}
	EXPECT_LT(3u, info_of(self->r).grown);
}

TEST_HARNESS_MAIN
