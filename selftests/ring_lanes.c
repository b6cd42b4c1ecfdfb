// SPDX-License-Identifier: MIT
/*
 * Lanes: each producer's order, every item once and whole, fair to all, between
 * threads and between processes, over the end of the counters. Partitions are in
 * ring_lanes_keys.c, death in ring_lanes_death.c.
 */
#include <kselftest_harness.h>

#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <pinring/pinring.h>

#include "items.h"

#define CAPACITY 64
#define RUN (CAPACITY / 8) /* messages a visit, and lazily given back */
#define PRODUCERS 8

FIXTURE(lanes)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_lanes_producer p[PRODUCERS];
	struct pinring_lanes_consumer c;
	struct pinring_lanes_header *header;
};

FIXTURE_VARIANT(lanes)
{
	uint64_t slot_bytes;
	uint64_t first; /* index of the lanes' life */
};

FIXTURE_VARIANT_ADD(lanes, words) { 8, 0 };
FIXTURE_VARIANT_ADD(lanes, lines) { 64, 0 };
FIXTURE_VARIANT_ADD(lanes, words_near_the_wrap) { 8, -5ull * CAPACITY - 3 };
FIXTURE_VARIANT_ADD(lanes, lines_near_the_wrap) { 64, -5ull * CAPACITY - 3 };

/* New lanes through which so many items seem to have gone. */
static struct pinring_lanes_header *make(struct __test_metadata *_metadata,
					 struct pinring_region *r,
					 uint64_t slot_bytes, uint64_t first)
{
	struct pinring_lanes_header *h;
	struct pinring_object_info o;
	struct pinring_lane *lane;

	ASSERT_EQ(0, pinring_lanes_create(r, "lanes", CAPACITY, slot_bytes,
					  PRODUCERS, 1));
	ASSERT_EQ(0, pinring_object_find(r, "lanes", &o));
	h = pinring_region_at(r, o.offset, o.length);
	lane = (void *)((unsigned char *)h + h->lanes_offset);
	for (int i = 0; i < PRODUCERS; i++)
		lane[i].tail = lane[i].head = lane[i].held = first;
	return h;
}

FIXTURE_SETUP(lanes)
{
	struct pinring_region_config config = pinring_region_defaults(1 << 17);

	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->r));
	self->header = make(_metadata, self->r, variant->slot_bytes,
			    variant->first);
	for (int i = 0; i < PRODUCERS - 1; i++) {
		ASSERT_EQ(0, pinring_lanes_producer_open(self->r, "lanes",
							 &self->p[i]));
	}
	ASSERT_EQ(0, pinring_lanes_consumer_open(self->r, "lanes", &self->c));
}

FIXTURE_TEARDOWN(lanes)
{
	for (int i = 0; i < PRODUCERS; i++)
		pinring_lanes_producer_close(&self->p[i]);
	pinring_lanes_consumer_close(&self->c);
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

static int push(struct pinring_lanes_producer *p, uint64_t name)
{
	uint64_t item[8];

	item_fill(item, p->lanes.slot_bytes, name);
	return pinring_lanes_push(p->lane, item);
}

/* The name of what came, or UINT64_MAX - errno. */
static uint64_t pop(struct pinring_lanes_consumer *c)
{
	uint64_t item[8];
	int rc = pinring_lanes_pop(c, item);

	if (rc)
		return UINT64_MAX + (uint64_t)(int64_t)rc;
	return item_is_whole(item, c->slot_bytes) ? item[0] : UINT64_MAX;
}

#define NOTHING (UINT64_MAX - EAGAIN)
#define ENDED (UINT64_MAX - EPIPE)
#define DAMAGED (UINT64_MAX - EPROTO)

TEST_F(lanes, each_keeps_its_order_over_many_laps)
{
	for (uint64_t i = 0; i < 30 * CAPACITY; i++) {
		uint64_t got[2];

		ASSERT_EQ(0, push(&self->p[0], 2 * i));
		ASSERT_EQ(0, push(&self->p[1], 2 * i + 1));
		got[0] = pop(&self->c);
		got[1] = pop(&self->c);
		ASSERT_EQ(2 * i, got[0] < got[1] ? got[0] : got[1]);
		ASSERT_EQ(2 * i + 1, got[0] < got[1] ? got[1] : got[0]);
	}
	EXPECT_EQ(NOTHING, pop(&self->c));
}

TEST_F(lanes, one_is_full_and_the_others_are_not)
{
	for (int lap = 0; lap < 12; lap++) {
		EXPECT_EQ(NOTHING, pop(&self->c));
		EXPECT_EQ(0, pinring_lanes_count(&self->c));
		EXPECT_EQ(CAPACITY, pinring_lanes_free(self->p[2].lane));
		for (uint64_t i = 0; i < CAPACITY; i++) {
			ASSERT_EQ(0, push(&self->p[2], i));
		}
		EXPECT_EQ(-EAGAIN, push(&self->p[2], 99));
		EXPECT_EQ(0, pinring_lanes_free(self->p[2].lane));
		EXPECT_EQ(0, push(&self->p[3], 1000));
		EXPECT_EQ(CAPACITY + 1, pinring_lanes_count(&self->c));
		for (uint64_t i = 0, seen = 0; i <= CAPACITY; i++) {
			uint64_t got = pop(&self->c);

			if (got != 1000) {
				ASSERT_EQ(seen++, got);
			}
			ASSERT_EQ(CAPACITY - i, pinring_lanes_count(&self->c));
		}
	}
	EXPECT_EQ(CAPACITY, pinring_lanes_capacity(&self->c.lanes));
}

TEST_F(lanes, what_is_reserved_is_not_seen_until_it_is_published)
{
	void *slots;

	ASSERT_EQ(1, pinring_lanes_reserve(self->p[0].lane, 1, &slots));
	ASSERT_EQ(0, push(&self->p[1], 2));
	EXPECT_EQ(2, pop(&self->c)); /* another lane waits for nobody */
	EXPECT_EQ(NOTHING, pop(&self->c));
	item_fill(slots, variant->slot_bytes, 1);
	pinring_lanes_commit(self->p[0].lane, 1);
	EXPECT_EQ(1, pop(&self->c));
}

TEST_F(lanes, what_is_aborted_leaves_no_trace)
{
	struct pinring_lane_writer *w = self->p[0].lane;
	void *slots;

	for (int round = 0; round < 40; round++) {
		ASSERT_LE(1, pinring_lanes_reserve(w, 5, &slots));
		item_fill(slots, variant->slot_bytes, 666);
		pinring_lanes_abort(w);
		ASSERT_EQ(0, push(&self->p[0], 2));
		ASSERT_LE(1, pinring_lanes_reserve(w, 3, &slots));
		item_fill(slots, variant->slot_bytes, 3);
		pinring_lanes_commit(w, 1);
		EXPECT_EQ(2, pop(&self->c));
		EXPECT_EQ(3, pop(&self->c));
		EXPECT_EQ(NOTHING, pop(&self->c));
	}
}

TEST_F(lanes, spans_end_where_the_array_the_visit_or_the_lane_does)
{
	struct pinring_lane_writer *w = self->p[0].lane;
	uint64_t at = variant->first % CAPACITY;
	void *slots;

	ASSERT_EQ(CAPACITY - at, pinring_lanes_reserve(w, 2 * CAPACITY, &slots));
	EXPECT_EQ(0, pinring_lanes_reserve(w, 0, &slots));
	ASSERT_EQ(CAPACITY - at, pinring_lanes_reserve(w, 2 * CAPACITY, &slots));
	for (uint64_t i = 0; i < CAPACITY - at; i++)
		item_fill((unsigned char *)slots + i * variant->slot_bytes,
			  variant->slot_bytes, i);
	pinring_lanes_commit(w, CAPACITY - at);
	for (uint64_t i = 0; i < at; i++) {
		ASSERT_EQ(0, push(&self->p[0], i));
	}
	for (uint64_t left = CAPACITY; left;) {
		uint64_t of_array = CAPACITY - self->c.read % CAPACITY;
		int64_t n = pinring_lanes_peek(&self->c, 3, &slots);

		ASSERT_LE(1, n);
		EXPECT_GE(3, n);
		EXPECT_GE(of_array, (uint64_t)n);
		for (int64_t i = 0; i < n; i++) {
			EXPECT_TRUE(item_is_whole((unsigned char *)slots +
							  (uint64_t)i *
							  variant->slot_bytes,
						  variant->slot_bytes));
		}
		pinring_lanes_release(&self->c, (uint64_t)n);
		left -= (uint64_t)n;
	}
	EXPECT_EQ(-EAGAIN, pinring_lanes_peek(&self->c, 1, &slots));
}

TEST_F(lanes, batches_go_over_the_end_of_the_array_and_over_lanes)
{
	uint64_t items[2 * CAPACITY * 8], words = variant->slot_bytes / 8;

	for (int round = 0; round < 20; round++) {
		for (uint64_t i = 0; i < 2 * CAPACITY; i++)
			item_fill(items + i * words, variant->slot_bytes, i);
		ASSERT_EQ(3, pinring_lanes_push_batch(self->p[0].lane, items, 3));
		ASSERT_EQ(CAPACITY - 3,
			  pinring_lanes_push_batch(self->p[0].lane,
						   items + 3 * words,
						   2 * CAPACITY));
		ASSERT_EQ(-EAGAIN,
			  pinring_lanes_push_batch(self->p[0].lane, items, 1));
		ASSERT_EQ(0,
			  pinring_lanes_push_batch(self->p[0].lane, items, 0));
		ASSERT_EQ(50, pinring_lanes_push_batch(self->p[4].lane,
						       items + 64 * words, 50));
		memset(items, 0, sizeof(items));
		ASSERT_EQ(90, pinring_lanes_pop_batch(&self->c, items, 90));
		ASSERT_EQ(24, pinring_lanes_pop_batch(&self->c,
						      items + 90 * words, 38));
		ASSERT_EQ(-EAGAIN, pinring_lanes_pop_batch(&self->c, items, 1));
		for (uint64_t i = 0, low = 0, high = 64; i < 114; i++) {
			uint64_t name = items[i * words];

			ASSERT_EQ(name < 64 ? low : high, name);
			low += name < 64;
			high += name >= 64;
			EXPECT_TRUE(item_is_whole(items + i * words,
						  variant->slot_bytes));
		}
	}
}

TEST_F(lanes, words_travel_by_themselves)
{
	uint64_t word;

	if (variant->slot_bytes != 8) {
		SKIP(return, "lanes of 8-byte slots only");
	}
	for (uint64_t i = 0; i < 30 * CAPACITY; i++) {
		for (uint64_t p = 0; p < 3; p++) {
			ASSERT_EQ(0, pinring_lanes_push_u64(self->p[p].lane, i));
		}
		for (uint64_t p = 0; p < 3; p++) {
			ASSERT_EQ(0, pinring_lanes_pop_u64(&self->c, &word));
			ASSERT_EQ(i, word);
		}
		ASSERT_EQ(-EAGAIN, pinring_lanes_pop_u64(&self->c, &word));
	}
	for (uint64_t i = 0; i < CAPACITY; i++) {
		ASSERT_EQ(0, pinring_lanes_push_u64(self->p[0].lane, i));
	}
	EXPECT_EQ(-EAGAIN, pinring_lanes_push_u64(self->p[0].lane, 1));
}

/*
 * Behind k of its own lane, (k / run + 1) * run of each other lane may pass; all
 * lanes are full and stay so, which is the worst there can be.
 */
TEST_F(lanes, nobody_waits_for_more_than_a_run_of_each_other_lane)
{
	const uint64_t lanes = PRODUCERS - 1;
	uint64_t sent[PRODUCERS] = { 0 }, seen[PRODUCERS] = { 0 };
	uint64_t since[PRODUCERS] = { 0 }; /* of others, since its last */

	for (uint64_t k = 0; k < 200 * CAPACITY; k++) {
		uint64_t name;

		for (uint64_t p = 0; p < lanes; p++)
			while (!push(&self->p[p], p << 32 | sent[p]))
				sent[p]++;
		name = pop(&self->c);
		ASSERT_LT(name >> 32, lanes);
		ASSERT_EQ(seen[name >> 32]++, (uint32_t)name);
		since[name >> 32] = 0;
		for (uint64_t p = 0; p < lanes; p++) {
			since[p] += p != name >> 32;
			ASSERT_LE(since[p], (lanes - 1) * RUN);
		}
	}
	/* And they go in runs: it is not one of each. */
	EXPECT_EQ(RUN, self->c.run);
}

TEST_F(lanes, slots_come_back_when_a_visit_ends_or_a_lane_is_empty)
{
	struct pinring_lane_writer *w = self->p[0].lane;

	for (uint64_t i = 0; i < CAPACITY; i++) {
		ASSERT_EQ(0, push(&self->p[0], i));
	}
	for (uint64_t i = 0; i < RUN; i++) {
		EXPECT_EQ(0, pinring_lanes_free(w));
		ASSERT_EQ(i, pop(&self->c));
	}
	EXPECT_EQ(RUN, pinring_lanes_free(w));
	ASSERT_EQ(RUN, pop(&self->c));
	EXPECT_EQ(RUN, pinring_lanes_free(w));
	pinring_lanes_flush(&self->c);
	EXPECT_EQ(RUN + 1, pinring_lanes_free(w));
	for (uint64_t i = RUN + 1; i < CAPACITY; i++) {
		ASSERT_EQ(i, pop(&self->c));
	}
	ASSERT_EQ(0, push(&self->p[0], 9));
	ASSERT_EQ(9, pop(&self->c));
	EXPECT_EQ(NOTHING, pop(&self->c));
	EXPECT_EQ(CAPACITY, pinring_lanes_free(w));
}

TEST_F(lanes, a_slot_that_is_still_read_is_not_written)
{
	void *slots;

	ASSERT_EQ(0, push(&self->p[0], 7));
	ASSERT_EQ(1, pinring_lanes_peek(&self->c, 1, &slots));
	for (uint64_t i = 1; i < CAPACITY; i++) {
		ASSERT_EQ(0, push(&self->p[0], i));
	}
	EXPECT_EQ(-EAGAIN, push(&self->p[0], 99));
	EXPECT_EQ(7, *(uint64_t *)slots);
	pinring_lanes_release(&self->c, 1);
	pinring_lanes_flush(&self->c);
	EXPECT_EQ(0, push(&self->p[0], 99));
}

/* ------------------------------------------------------------------ seats */
TEST_F(lanes, has_as_many_producers_as_lanes_and_one_consumer)
{
	struct pinring_lanes_info info = PINRING_INIT(struct pinring_lanes_info);
	struct pinring_lanes_producer late;
	struct pinring_lanes_consumer c;

	ASSERT_EQ(0, pinring_lanes_producer_open(self->r, "lanes",
						 &self->p[PRODUCERS - 1]));
	EXPECT_EQ(-EUSERS, pinring_lanes_producer_open(self->r, "lanes", &late));
	EXPECT_NE(NULL, strstr(pinring_error(), "8 producers"));
	EXPECT_EQ(-EBUSY, pinring_lanes_consumer_open(self->r, "lanes", &c));
	EXPECT_NE(NULL, strstr(pinring_error(), "consumer"));
	ASSERT_EQ(0, pinring_lanes_info(&self->c.lanes, &info));
	EXPECT_EQ(PRODUCERS, info.producers_open);
	EXPECT_EQ(1u, info.partitions_open);
	pinring_lanes_producer_close(&self->p[2]);
	pinring_lanes_producer_close(&self->p[2]); /* twice is nothing */
	ASSERT_EQ(0, pinring_lanes_info(&self->c.lanes, &info));
	EXPECT_EQ(PRODUCERS - 1, info.producers_open);
	EXPECT_EQ(0, pinring_lanes_producer_open(self->r, "lanes", &self->p[2]));
}

TEST_F(lanes, who_comes_next_goes_on_where_the_last_one_stopped)
{
	for (uint64_t i = 0; i < 10 * CAPACITY; i++) {
		void *slots;

		ASSERT_EQ(0, push(&self->p[0], 2 * i));
		ASSERT_LE(1, pinring_lanes_reserve(self->p[0].lane, 3, &slots));
		pinring_lanes_producer_close(&self->p[0]);
		ASSERT_EQ(0, pinring_lanes_producer_open(self->r, "lanes",
							 &self->p[0]));
		ASSERT_EQ(0, push(&self->p[0], 2 * i + 1));
		ASSERT_EQ(2 * i, pop(&self->c));
		pinring_lanes_consumer_close(&self->c);
		ASSERT_EQ(0, pinring_lanes_consumer_open(self->r, "lanes",
							 &self->c));
		ASSERT_EQ(2 * i + 1, pop(&self->c));
	}
	EXPECT_EQ(NOTHING, pop(&self->c));
}

/* ---------------------------------------------------------------- the end */
TEST_F(lanes, closed_is_drained_and_then_ends)
{
	struct pinring_lanes_info info = PINRING_INIT(struct pinring_lanes_info);
	struct pinring_wait ready = pinring_lanes_when_ready(&self->c);
	struct pinring_lane_writer *w = self->p[0].lane;
	uint64_t item[8] = { 0 };
	void *slots;

	ASSERT_EQ(0, push(&self->p[1], 1));
	ASSERT_LE(1, pinring_lanes_reserve(w, 2, &slots));
	pinring_lanes_close(&self->c.lanes);
	EXPECT_EQ(-EPIPE, push(&self->p[1], 9));
	EXPECT_EQ(-EPIPE, pinring_lanes_push_batch(self->p[1].lane, item, 1));
	EXPECT_EQ(-EPIPE, pinring_lanes_reserve(self->p[1].lane, 1, &slots));
	EXPECT_EQ(1, pop(&self->c));
	EXPECT_EQ(NOTHING, pop(&self->c)); /* one is still on its way */
	EXPECT_EQ(-ETIMEDOUT, pinring_lanes_pop_wait(&self->c, item, 3000000));
	EXPECT_EQ(-ETIMEDOUT, pinring_wait_any(&ready, 1, NULL, 0));
	item_fill(w->slots + (w->write & w->mask) * w->slot_bytes,
		  variant->slot_bytes, 2);
	pinring_lanes_commit(w, 1);
	EXPECT_EQ(-EPIPE, push(&self->p[0], 3));
	EXPECT_EQ(2, pop(&self->c));
	EXPECT_EQ(0, pinring_wait_any(&ready, 1, NULL, 0));
	EXPECT_EQ(ENDED, pop(&self->c));
	EXPECT_EQ(-EPIPE, pinring_lanes_pop_wait(&self->c, item, 3000000));
	EXPECT_EQ(-EPIPE, pinring_lanes_pop_batch(&self->c, item, 1));
	/* The note of a late producer, which has yet to see that it is over. */
	w->shared->held++;
	EXPECT_EQ(ENDED, pop(&self->c));
	EXPECT_EQ(0, pinring_wait_any(&ready, 1, NULL, 0));
	pinring_lanes_abort(w);
	ASSERT_EQ(0, pinring_lanes_info(&self->c.lanes, &info));
	EXPECT_EQ(1u, info.closed);
	EXPECT_EQ(info.published, info.given_back);
}

TEST_F(lanes, an_aborted_or_abandoned_reservation_does_not_hold_up_the_end)
{
	void *slots;

	ASSERT_LE(1, pinring_lanes_reserve(self->p[0].lane, 2, &slots));
	ASSERT_LE(1, pinring_lanes_reserve(self->p[1].lane, 2, &slots));
	pinring_lanes_close(&self->p[3].lanes);
	EXPECT_EQ(NOTHING, pop(&self->c));
	pinring_lanes_abort(self->p[0].lane);
	EXPECT_EQ(NOTHING, pop(&self->c));
	pinring_lanes_producer_close(&self->p[1]);
	EXPECT_EQ(ENDED, pop(&self->c));
}

TEST_F(lanes, a_full_lane_that_is_closed_says_so)
{
	uint64_t item[8] = { 0 };

	for (uint64_t i = 0; i < CAPACITY; i++) {
		ASSERT_EQ(0, push(&self->p[0], i));
	}
	EXPECT_EQ(-ETIMEDOUT,
		  pinring_lanes_push_wait(self->p[0].lane, item, 3000000));
	pinring_lanes_close(&self->c.lanes);
	EXPECT_EQ(-EPIPE, push(&self->p[0], 9));
	EXPECT_EQ(-EPIPE,
		  pinring_lanes_push_wait(self->p[0].lane, item, 3000000));
	for (uint64_t i = 0; i < CAPACITY; i++) {
		EXPECT_EQ(i, pop(&self->c));
	}
	EXPECT_EQ(ENDED, pop(&self->c));
}

/* ------------------------------------------------------------ bad arguments */
TEST(shapes_that_make_no_sense_are_refused)
{
	static const struct {
		uint64_t capacity, slot_bytes;
		uint32_t producers, partitions;
	} bad[] = {
		{ 0, 8, 4, 1 },	       { 1, 8, 4, 1 },
		{ 3, 8, 4, 1 },	       { 1ull << 33, 8, 4, 1 },
		{ 64, 0, 4, 1 },       { 64, 7, 4, 1 },
		{ 64, (1 << 20) + 8, 4, 1 }, { 64, 8, 0, 1 },
		{ 64, 8, 257, 1 },     { 64, 8, 4, 0 },
		{ 64, 8, 1, 257 },     { 64, 8, 33, 32 },
		{ 64, 8, UINT32_MAX, UINT32_MAX },
		{ UINT64_MAX, 8, 4, 1 }, { 64, UINT64_MAX, 4, 1 },
	};
	struct pinring_region_config config = pinring_region_defaults(65536);
	struct pinring_lanes_producer p;
	struct pinring_lanes_consumer c;
	struct pinring_device *device;
	struct pinring_region *r;

	ASSERT_EQ(0, pinring_device_open(NULL, &device));
	ASSERT_EQ(0, pinring_region_create(device, &config, &r));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, pinring_lanes_create(r, "q", bad[i].capacity,
							bad[i].slot_bytes,
							bad[i].producers,
							bad[i].partitions));
		EXPECT_NE(NULL, strstr(pinring_error(), "power of two"));
	}
	EXPECT_EQ(-ENOENT, pinring_lanes_producer_open(r, "q", &p));
	EXPECT_EQ(-ENOENT, pinring_lanes_consumer_open(r, "q", &c));
	ASSERT_EQ(0, pinring_spsc_create(r, "q", 8, 8));
	EXPECT_EQ(-EINVAL, pinring_lanes_producer_open(r, "q", &p));
	EXPECT_EQ(-EINVAL, pinring_lanes_consumer_open(r, "q", &c));
	EXPECT_EQ(-ENOSPC, pinring_lanes_create(r, "large", 1ull << 32, 1 << 20,
						256, 4));
	ASSERT_EQ(0, pinring_lanes_create(r, "small", 2, 8, 1, 1));
	EXPECT_EQ(-EEXIST, pinring_lanes_create(r, "small", 2, 8, 1, 1));
	pinring_region_close(r);
	pinring_device_close(device);
}

TEST_F(lanes, a_damaged_header_is_refused)
{
	unsigned char *byte = (unsigned char *)self->header;
	struct pinring_lanes_producer p;

	for (size_t i = 0; i < 128; i++) {
		byte[i] ^= 0x41;
		EXPECT_GT(0, pinring_lanes_producer_open(self->r, "lanes", &p))
			TH_LOG("byte %zu", i);
		byte[i] ^= 0x41;
	}
	memset(&self->header->seal, 0, 8);
	EXPECT_EQ(-EAGAIN, pinring_lanes_producer_open(self->r, "lanes", &p));
}

TEST_F(lanes, a_tail_that_cannot_be_is_told_once_and_the_others_go_on)
{
	self->c.lane[0].shared->tail += CAPACITY + 1;
	EXPECT_EQ(DAMAGED, pop(&self->c));
	for (uint64_t i = 0; i < 10 * CAPACITY; i++) {
		ASSERT_EQ(0, push(&self->p[1], i));
		ASSERT_EQ(i, pop(&self->c));
	}
	EXPECT_EQ(NOTHING, pop(&self->c));
	EXPECT_EQ(0, pinring_lanes_count(&self->c));
	/* Nor does its seat go to anybody, but the next one does. */
	pinring_lanes_producer_close(&self->p[0]);
	ASSERT_EQ(0, pinring_lanes_producer_open(self->r, "lanes", &self->p[0]));
	EXPECT_EQ(self->c.lane[PRODUCERS - 1].shared, self->p[0].lane->shared);
}

TEST_F(lanes, a_head_that_cannot_be_is_an_error_of_its_lane)
{
	uint64_t item[8] = { 0 };

	for (uint64_t i = 0; i < CAPACITY; i++) {
		ASSERT_EQ(0, push(&self->p[0], i));
	}
	self->c.lane[0].shared->head += 2 * CAPACITY;
	EXPECT_EQ(-EPROTO, push(&self->p[0], 9));
	EXPECT_EQ(-EPROTO, pinring_lanes_push_batch(self->p[0].lane, item, 1));
	EXPECT_EQ(0, push(&self->p[1], 9));
}

TEST_F(lanes, wild_words_are_survived)
{
	struct pinring_lane *lane = self->c.lane[0].shared;
	struct dice dice = { 5 };
	uint64_t item[8] = { 0 };
	int again = 0, damaged = 0, rc = 0;

	for (int i = 0; i < 100000; i++) {
		uint64_t wild = item_mix(roll(&dice, 1ull << 32)) >>
				roll(&dice, 64);
		uint64_t k = roll(&dice, PRODUCERS);

		switch (roll(&dice, 9)) {
		case 0:
			lane[k].tail += wild;
			break;
		case 1:
			lane[k].head += wild;
			break;
		case 2:
			lane[k].held = wild;
			break;
		case 3:
			self->header->used = wild;
			break;
		case 4:
			self->c.lanes.partition->bell = (uint32_t)wild;
			break;
		case 5:
			pinring_lanes_consumer_close(&self->c);
			rc = pinring_lanes_consumer_open(self->r, "lanes",
							 &self->c);
			ASSERT_EQ(0, rc);
			break;
		case 6:
			rc = pinring_lanes_push(self->p[0].lane, item);
			break;
		default:
			rc = pinring_lanes_pop(&self->c, item);
		}
		again += rc == -EAGAIN;
		damaged += rc == -EPROTO;
	}
	EXPECT_LT(0, again);
	EXPECT_LT(0, damaged);
}

TEST_HARNESS_MAIN
