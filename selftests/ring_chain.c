// SPDX-License-Identifier: MIT
/*
 * The resizable ring: grows when it must, shrinks when it may, seldom does
 * either, and all the while every message arrives once, whole and in order.
 */
#include <kselftest_harness.h>

#include <pthread.h>
#include <sys/mman.h>

#include <pinring/pinring.h>

#include "chain_sides.h"
#include "take_cpu.h"

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
		if (pinring_chain_push_u64(p, p->write & INDEX_MASK))
			break;
	return i;
}

/* Those that came in their order. */
static uint64_t pop_up_to(struct pinring_chain_consumer *c, uint64_t n)
{
	uint64_t i, item;

	for (i = 0; i < n; i++) {
		uint64_t due = c->read & INDEX_MASK;

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
	ASSERT_EQ(MIN * 3ull / 4, push_up_to(&self->p, MIN * 3 / 4));
	for (int i = 0; i < 100; i++) {
		ASSERT_EQ(2u * INTERVAL, pass(&self->p, &self->c, 2 * INTERVAL));
		ASSERT_EQ(2u, pop_up_to(&self->c, 2));
		pinring_chain_flush(&self->c);
		ASSERT_EQ(2u * INTERVAL, pass(&self->p, &self->c, 2 * INTERVAL));
		ASSERT_EQ(2u, push_up_to(&self->p, 2));
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

/* Every verb at random against what is true of any ring, over both wraps. */
static void random_walk(struct __test_metadata *_metadata,
			struct pinring_region *r, const char *name,
			const struct pinring_chain_config *config, uint64_t start)
{
	struct pinring_chain_producer p;
	struct pinring_chain_consumer c;
	struct dice d = { start };
	uint64_t held = 0, bias = 8;
	int64_t n;

	ASSERT_EQ(0, pinring_chain_create(r, name, config));
	chain_start_at(chain_header(r, name), start);
	ASSERT_EQ(0, pinring_chain_producer_open(r, name, &p));
	ASSERT_EQ(0, pinring_chain_consumer_open(r, name, &c));
	for (int i = 0; i < 200000; i++) {
		if (i % 512 == 0)
			bias = roll(&d, 17);
		if (roll(&d, 16) < bias) {
			n = chain_send(&p, &d, RUN);
			ASSERT_TRUE(n > 0 || (n == -EAGAIN &&
					      pinring_chain_free(&p) == 0 &&
					      p.mask + 1 == config->max_capacity));
			held += n > 0 ? (uint64_t)n : 0;
		} else {
			n = chain_receive(&c, &d, RUN);
			ASSERT_TRUE(n > 0 || (n == -EAGAIN && !held));
			held -= n > 0 ? (uint64_t)n : 0;
		}
		if (roll(&d, 1000) == 0) {
			ASSERT_EQ(0, pinring_chain_trim(&p));
		}
		ASSERT_EQ(held, pinring_chain_count(&c));
		ASSERT_LE(held, pinring_chain_capacity(&p));
		ASSERT_LE(pinring_chain_free(&p) + held,
			  pinring_chain_capacity(&p));
	}
	EXPECT_LT(20u, p.shared->grown);
	EXPECT_LT(20u, p.shared->shrunk);
	pinring_chain_producer_close(&p);
	pinring_chain_consumer_close(&c);
}

TEST_F(chain, a_random_walk_loses_nothing)
{
	struct pinring_chain_config config = config_of(2, 128, 8);
	char name[] = "w0";

	config.window = 2;
	config.check_interval = 3;
	random_walk(_metadata, self->r, name, &config, 0);
	name[1]++;
	config.factor = 8;
	config.low = 5;
	random_walk(_metadata, self->r, name, &config, 12345);
	name[1]++;
	config = config_of(64, 4096, 24);
	config.window = 1;
	config.check_interval = 1;
	random_walk(_metadata, self->r, name, &config, 5);
}

TEST_F(chain, indices_run_over_their_end)
{
	static const uint64_t starts[] = { (1ull << 59) - 1, (1ull << 59) - 1000,
					   (1ull << 58) - 7, (1ull << 59) - 100000 };
	struct pinring_chain_config config = config_of(4, 64, 8);
	char name[] = "x0";

	config.window = 1;
	config.check_interval = 2;
	for (size_t i = 0; i < ARRAY_SIZE(starts); i++, name[1]++)
		random_walk(_metadata, self->r, name, &config, starts[i]);
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

/* ------------------------------------------------------------------ the flow */

FIXTURE(flow)
{
	struct pinring_device *device;
	struct pinring_region *r;
};

FIXTURE_VARIANT(flow)
{
	uint64_t min, max, slot_bytes, items;
	uint32_t factor, interval, window, low;
	bool trim;
};

FIXTURE_VARIANT_ADD(flow, to_64) { 2, 64, 8, 1000000, 2, 1, 1, 20, false };
FIXTURE_VARIANT_ADD(flow, to_1024) { 16, 1024, 8, 2000000, 2, 16, 2, 20, false };
FIXTURE_VARIANT_ADD(flow, by_8) { 4, 2048, 8, 1000000, 8, 8, 2, 5, false };
FIXTURE_VARIANT_ADD(flow, wide) { 8, 256, 512, 300000, 2, 8, 2, 20, false };
FIXTURE_VARIANT_ADD(flow, trimmed) { 512, 65536, 24, 1000000, 2, 64, 1, 20, true };

FIXTURE_SETUP(flow)
{
	struct pinring_chain_config ring = pinring_chain_defaults(
		variant->min, variant->max, variant->slot_bytes);
	struct pinring_region_config config = pinring_region_defaults(
		65536 + 2 * variant->max * variant->slot_bytes);

	ring.factor = variant->factor;
	ring.check_interval = variant->interval;
	ring.window = variant->window;
	ring.low = variant->low;
	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->r));
	ASSERT_EQ(0, pinring_chain_create(self->r, "ring", &ring));
	/* Half of the items before the wrap, half after it. */
	chain_start_at(chain_header(self->r, "ring"),
		       (1ull << 59) - variant->items / 2);
}

FIXTURE_TEARDOWN(flow)
{
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

struct job {
	struct pinring_chain_producer p;
	uint64_t items;
	bool trim;
	int failed_at;
};

static int produce(struct pinring_chain_producer *p, uint64_t items, bool trim)
{
	uint64_t last = p->write + items;
	unsigned int spins = 0;
	struct dice d = { 1 };
	bool was_full = false;

	take_cpu(1);
	while (p->write != last) {
		int64_t n = chain_send(p, &d, last - p->write);

		if (n == -EAGAIN)
			wait_a_little(&spins);
		else if (n < 1)
			return __LINE__;
		was_full |= n == -EAGAIN;
		if (was_full)
			chain_pace_producer(p, &d);
		if (trim && roll(&d, 1000) == 0 && pinring_chain_trim(p))
			return __LINE__;
	}
	pinring_chain_close_producer(p);
	return 0;
}

static int consume(struct pinring_chain_consumer *c, uint64_t items,
		   uint64_t max)
{
	uint64_t last = c->read + items;
	unsigned int spins = 0;
	struct dice d = { 2 };

	take_cpu(0);
	/* Full to the brim once, however fast this side is. */
	while (pinring_chain_count(c) < max)
		wait_a_little(&spins);
	for (;;) {
		int64_t n = chain_receive(c, &d, RUN);

		if (n == -EPIPE)
			return c->read == last ? 0 : __LINE__;
		if (n == -EAGAIN)
			wait_a_little(&spins);
		else if (n < 1)
			return __LINE__;
		chain_pace_consumer(c, &d);
	}
}

static void *producer_thread(void *arg)
{
	struct job *job = arg;

	job->failed_at = produce(&job->p, job->items, job->trim);
	return NULL;
}

static void expect_it_moved(struct __test_metadata *_metadata,
			    struct pinring_region *r)
{
	struct pinring_chain_info info = info_of(r);

	EXPECT_LT(0u, info.grown);
	EXPECT_LT(0u, info.shrunk);
	EXPECT_EQ(info.max_capacity, info.peak);
	EXPECT_EQ(0u, info.count);
	TH_LOG("%llu moves up, %llu down", (unsigned long long)info.grown,
	       (unsigned long long)info.shrunk);
}

TEST_F_TIMEOUT(flow, every_item_arrives_once_and_in_order_between_threads, 120)
{
	struct job job = { .items = variant->items / (SANITIZED ? 4 : 1),
			   .trim = variant->trim };
	struct pinring_chain_consumer c;
	pthread_t thread;

	ASSERT_EQ(0, pinring_chain_producer_open(self->r, "ring", &job.p));
	ASSERT_EQ(0, pinring_chain_consumer_open(self->r, "ring", &c));
	ASSERT_EQ(0, pthread_create(&thread, NULL, producer_thread, &job));
	EXPECT_EQ(0, consume(&c, job.items, variant->max));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, job.failed_at);
	pinring_chain_producer_close(&job.p);
	pinring_chain_consumer_close(&c);
	expect_it_moved(_metadata, self->r);
}

TEST_F_TIMEOUT(flow, every_item_arrives_once_and_in_order_between_processes, 120)
{
	uint64_t items = variant->items / (SANITIZED ? 4 : 1);
	struct pinring_chain_consumer c;
	int status;
	pid_t pid;

	ASSERT_EQ(0, pinring_chain_consumer_open(self->r, "ring", &c));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* By its descriptor, at an address of its own. */
		struct pinring_chain_producer p;
		struct pinring_region *mine;

		if (pinring_region_attach(self->device,
					  pinring_region_fd(self->r), &mine) ||
		    pinring_chain_producer_open(mine, "ring", &p))
			_exit(1);
		_exit(produce(&p, items, variant->trim) != 0);
	}
	EXPECT_EQ(0, consume(&c, items, variant->max));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	pinring_chain_consumer_close(&c);
	expect_it_moved(_metadata, self->r);
}

TEST_HARNESS_MAIN
