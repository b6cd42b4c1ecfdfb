// SPDX-License-Identifier: MIT
/* Lanes shared by consumers: each owns partitions of the keys. */
#include <kselftest_harness.h>

#include <pinring/pinring.h>

#include "items.h"

#define CAPACITY 32
#define PRODUCERS 8
#define PARTITIONS 16

/* -------------------------------------------------------------------- keys */
TEST(a_key_has_the_partition_it_always_had)
{
	static const struct {
		uint64_t key;
		uint32_t n, partition;
	} known[] = {
		{ 0, 16, 0 },		{ 1, 16, 5 },
		{ 2, 16, 13 },		{ 3, 16, 1 },
		{ UINT64_MAX, 16, 11 }, { 1ull << 63, 16, 2 },
		{ 123456789, 7, 6 },	{ 123456789, 256, 242 },
		{ 0xfeedfacecafebeef, 1000003, 633348 },
		{ 2, UINT32_MAX, 3687987350 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		EXPECT_EQ(known[i].partition,
			  pinring_lanes_partition(known[i].key, known[i].n))
			TH_LOG("key %llu", (unsigned long long)known[i].key);
	}
}

/* Numbers in a row, pointers, upper bits only, powers of two. */
TEST(keys_of_any_pattern_spread_over_the_partitions)
{
	for (uint32_t n = 1; n <= 256; n = n * 3 / 2 + 1) {
		for (uint64_t step = 1; step; step <<= 7) {
			uint32_t count[256] = { 0 };
			const uint32_t keys = 400 * n;

			for (uint32_t i = 0; i < keys; i++) {
				uint32_t k = pinring_lanes_partition(
					1000 + i * step, n);

				ASSERT_LT(k, n);
				count[k]++;
			}
			/* Keys that the step makes equal go to one place. */
			if (step > UINT64_MAX / keys) {
				continue;
			}
			for (uint32_t k = 0; k < n; k++) {
				EXPECT_LT(300u, count[k])
					TH_LOG("%u of %u, step %llu", k, n,
					       (unsigned long long)step);
				EXPECT_GT(500u, count[k]);
			}
		}
	}
}

/* -------------------------------------------------------------- partitions */
FIXTURE(keys)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_lanes_producer p[2];
	struct pinring_lanes_consumer low, high; /* each of half of them */
};

FIXTURE_SETUP(keys)
{
	struct pinring_region_config config = pinring_region_defaults(1 << 18);

	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->r));
	ASSERT_EQ(0, pinring_lanes_create(self->r, "lanes", CAPACITY, 16,
					  PRODUCERS, PARTITIONS));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, pinring_lanes_producer_open(self->r, "lanes",
							 &self->p[i]));
	}
	ASSERT_EQ(0, pinring_lanes_consumer_open_some(self->r, "lanes", 0,
						      PARTITIONS / 2,
						      &self->low));
	ASSERT_EQ(0, pinring_lanes_consumer_open_some(self->r, "lanes",
						      PARTITIONS / 2,
						      PARTITIONS / 2,
						      &self->high));
}

FIXTURE_TEARDOWN(keys)
{
	pinring_lanes_producer_close(&self->p[0]);
	pinring_lanes_producer_close(&self->p[1]);
	pinring_lanes_consumer_close(&self->low);
	pinring_lanes_consumer_close(&self->high);
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

TEST_F(keys, all_of_a_key_come_to_its_owner_in_order)
{
	uint64_t next[2][100] = { 0 }, item[2];

	for (uint64_t i = 0; i < 100000; i++) {
		uint64_t from = i & 1, key = item_mix(i) % 100;
		bool low = pinring_lanes_partition(key, PARTITIONS) <
			   PARTITIONS / 2;

		item[0] = key;
		item[1] = i;
		ASSERT_EQ(0, pinring_lanes_push_key(&self->p[from], key, item));
		if (i % 20) {
			continue;
		}
		while (!pinring_lanes_pop(&self->low, item) ||
		       !pinring_lanes_pop(&self->high, item)) {
			ASSERT_LE(next[item[1] & 1][item[0]], item[1]);
			next[item[1] & 1][item[0]] = item[1];
		}
		item[0] = key;
		item[1] = i;
		ASSERT_EQ(0, pinring_lanes_push_key(&self->p[from], key, item));
		EXPECT_EQ(low ? -EAGAIN : 0,
			  pinring_lanes_pop(&self->high, item));
		EXPECT_EQ(low ? 0 : -EAGAIN, pinring_lanes_pop(&self->low, item));
	}
}

TEST_F(keys, a_full_lane_stops_its_partition_only)
{
	uint64_t item[2] = { 0 }, key = 0;

	for (int i = 0; i < CAPACITY; i++) {
		ASSERT_EQ(0, pinring_lanes_push_key(&self->p[0], key, item));
	}
	EXPECT_EQ(-EAGAIN, pinring_lanes_push_key(&self->p[0], key, item));
	EXPECT_EQ(0, pinring_lanes_push_key(&self->p[1], key, item));
	while (pinring_lanes_partition(key, PARTITIONS) ==
	       pinring_lanes_partition(0, PARTITIONS))
		key++;
	EXPECT_EQ(0, pinring_lanes_push_key(&self->p[0], key, item));
}

TEST_F(keys, a_partition_has_one_consumer_at_a_time)
{
	struct pinring_lanes_info info = PINRING_INIT(struct pinring_lanes_info);
	struct pinring_lanes_consumer c;

	EXPECT_EQ(-EBUSY, pinring_lanes_consumer_open(self->r, "lanes", &c));
	EXPECT_EQ(-EBUSY, pinring_lanes_consumer_open_some(self->r, "lanes", 7,
							   1, &c));
	pinring_lanes_consumer_close(&self->low);
	/* All or nothing: those that were free are free again. */
	EXPECT_EQ(-EBUSY, pinring_lanes_consumer_open(self->r, "lanes", &c));
	ASSERT_EQ(0, pinring_lanes_info(&self->high.lanes, &info));
	EXPECT_EQ(PARTITIONS / 2, info.partitions_open);
	EXPECT_EQ(0, pinring_lanes_consumer_open_some(self->r, "lanes", 0, 8,
						      &self->low));
	EXPECT_EQ(-EINVAL, pinring_lanes_consumer_open_some(self->r, "lanes", 0,
							    0, &c));
	EXPECT_EQ(-EINVAL, pinring_lanes_consumer_open_some(self->r, "lanes", 16,
							    1, &c));
	EXPECT_EQ(-EINVAL, pinring_lanes_consumer_open_some(self->r, "lanes", 1,
							    UINT32_MAX, &c));
}

TEST_F(keys, each_consumer_ends_by_itself)
{
	uint64_t item[2] = { 0 }, key = 0;
	void *slots;

	while (pinring_lanes_partition(key, PARTITIONS) < PARTITIONS / 2)
		key++;
	ASSERT_EQ(0, pinring_lanes_push_key(&self->p[0], key, item));
	ASSERT_EQ(1, pinring_lanes_reserve(pinring_lanes_lane(&self->p[1], key),
					   1, &slots));
	pinring_lanes_close(&self->p[0].lanes);
	EXPECT_EQ(-EPIPE, pinring_lanes_pop(&self->low, item));
	EXPECT_EQ(0, pinring_lanes_pop(&self->high, item));
	EXPECT_EQ(-EAGAIN, pinring_lanes_pop(&self->high, item));
	pinring_lanes_abort(pinring_lanes_lane(&self->p[1], key));
	EXPECT_EQ(-EPIPE, pinring_lanes_pop(&self->high, item));
}

/*
 * Bit 0 stands for a sleeper: whoever finds it counts on. The word is that of the
 * first partition of who owns the message's.
 */
TEST_F(keys, a_message_wakes_its_owner_and_nobody_else)
{
	struct pinring_lanes_partition *k = self->low.lanes.partition;
	uint64_t item[2] = { 0 };

	for (int i = 0; i < PARTITIONS; i++) {
		k[0].ready = k[PARTITIONS / 2].ready = 1;
		ASSERT_EQ(0, pinring_lanes_push(&self->p[0].lane[i], item));
		EXPECT_EQ(i < PARTITIONS / 2 ? 2u : 1u, k[0].ready);
		EXPECT_EQ(i < PARTITIONS / 2 ? 1u : 2u, k[PARTITIONS / 2].ready);
	}
	/* Another one takes over, from a place of its own. */
	pinring_lanes_consumer_close(&self->low);
	ASSERT_EQ(0, pinring_lanes_consumer_open_some(self->r, "lanes", 3, 4,
						      &self->low));
	EXPECT_EQ(&k[3].ready, pinring_lanes_when_ready(&self->low).word);
	k[0].ready = k[3].ready = 1;
	ASSERT_EQ(1, pinring_lanes_push_batch(&self->p[1].lane[6], item, 1));
	EXPECT_EQ(2u, k[3].ready);
	k[3].ready = 1;
	pinring_lanes_close(&self->p[1].lanes);
	EXPECT_EQ(2u, k[0].ready);
	EXPECT_EQ(2u, k[3].ready);
}

TEST_F(keys, slots_that_come_back_wake_their_producer_and_nobody_else)
{
	struct pinring_lane_writer *w = &self->p[0].lane[9];
	uint64_t item[2] = { 0 };

	EXPECT_EQ(&w->shared->room, pinring_lanes_when_room(w).word);
	w->shared->room = self->p[1].lane[9].shared->room = 1;
	for (int i = 0; i < CAPACITY; i++) {
		ASSERT_EQ(0, pinring_lanes_push(w, item));
	}
	for (int i = 0; i < CAPACITY / 8; i++) {
		EXPECT_EQ(1u, w->shared->room);
		ASSERT_EQ(0, pinring_lanes_pop(&self->high, item));
	}
	EXPECT_EQ(2u, w->shared->room);
	EXPECT_EQ(1u, self->p[1].lane[9].shared->room);
	w->shared->room = 1;
	pinring_lanes_close(&self->low.lanes);
	EXPECT_EQ(2u, w->shared->room);
	EXPECT_EQ(2u, self->p[1].lane[9].shared->room);
}

TEST_HARNESS_MAIN
