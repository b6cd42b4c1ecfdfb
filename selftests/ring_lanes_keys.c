// SPDX-License-Identifier: MIT
/*
 * Lanes shared by consumers: each owns partitions of the keys. And crowds of
 * producers and consumers, as threads and as processes: every item once, whole,
 * at the owner of its key, in its producer's order.
 */
#include <kselftest_harness.h>

#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <pinring/pinring.h>

#include "items.h"

#define CAPACITY 32
#define PRODUCERS 8
#define PARTITIONS 16
#define SECOND 1000000000ll

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
	pinring_lanes_consumer_close(&self->high);
	/* All or nothing: those that were free are free again. */
	EXPECT_EQ(-EBUSY, pinring_lanes_consumer_open(self->r, "lanes", &c));
	ASSERT_EQ(0, pinring_lanes_info(&self->low.lanes, &info));
	EXPECT_EQ(PARTITIONS / 2, info.partitions_open);
	EXPECT_EQ(0, pinring_lanes_consumer_open_some(self->r, "lanes", 8, 8,
						      &self->high));
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

/* ------------------------------------------------------------------- crowds */
#define SIDES_MAX 8
#define KEYS 64
#define ITEMS (SANITIZED ? 100000u : 4000000u) /* in all crowds of a test */

FIXTURE(crowd)
{
	struct pinring_device *device;
};

FIXTURE_VARIANT(crowd)
{
	uint64_t slot_bytes;
	uint64_t first; /* index of the lanes' life */
	bool processes;
	bool sleeps; /* instead of spinning */
};

FIXTURE_VARIANT_ADD(crowd, words) { 8, 0, false, false };
FIXTURE_VARIANT_ADD(crowd, words_and_processes) { 8, -100, true, false };
FIXTURE_VARIANT_ADD(crowd, lines_near_the_wrap) { 64, -100, false, false };
FIXTURE_VARIANT_ADD(crowd, lines_and_processes) { 64, 0, true, false };
FIXTURE_VARIANT_ADD(crowd, sleepers) { 8, 0, false, true };
FIXTURE_VARIANT_ADD(crowd, sleeping_processes) { 64, -100, true, true };

FIXTURE_SETUP(crowd)
{
	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
}

FIXTURE_TEARDOWN(crowd)
{
	pinring_device_close(self->device);
}

/* What one side of a crowd is to do, and did; shared between processes. */
struct crowd {
	struct pinring_region *r;
	uint64_t producers, consumers, partitions, slot_bytes, each;
	bool sleeps;
	uint64_t ready; /* sides that have opened; atomic */
	uint64_t go;
	struct tally {
		uint64_t count, sum, wrong;
	} PINRING_ALIGNED(64) got[SIDES_MAX]; /* a consumer each */
	uint64_t failed[2 * SIDES_MAX];
};

/* producer << 48 | key << 32 | number */
static uint64_t name_of(uint64_t producer, uint64_t i)
{
	return producer << 48 | item_mix(producer << 32 | i) % KEYS << 32 | i;
}

static void wait_for_all(struct crowd *w)
{
	unsigned int spins = 0;

	__atomic_add_fetch(&w->ready, 1, __ATOMIC_ACQ_REL);
	while (!__atomic_load_n(&w->go, __ATOMIC_ACQUIRE))
		wait_a_little(&spins);
}

/* One item, or a few of the same key in one run: how many went. */
static int64_t send(struct crowd *w, struct pinring_lanes_producer *p,
		    uint64_t me, uint64_t i, struct dice *dice)
{
	uint64_t item[8], key = name_of(me, i) >> 32 & (KEYS - 1), n = 1;
	struct pinring_lane_writer *lane = pinring_lanes_lane(p, key);
	void *slots;
	int64_t k;
	int rc;

	while (n < 5 && i + n < w->each &&
	       (name_of(me, i + n) >> 32 & (KEYS - 1)) == key)
		n++;
	switch (roll(dice, 3)) {
	case 0: /* in place; a few more, and only some of them */
		k = pinring_lanes_reserve(lane, n + 2, &slots);
		if (k < 1)
			return k;
		if (!roll(dice, 20)) {
			memset(slots, 0xff, (uint64_t)k * w->slot_bytes);
			pinring_lanes_abort(lane);
			return -EAGAIN;
		}
		k = k < (int64_t)n ? k : (int64_t)n;
		for (int64_t j = 0; j < k; j++)
			item_fill((unsigned char *)slots +
					  (uint64_t)j * w->slot_bytes,
				  w->slot_bytes, name_of(me, i + (uint64_t)j));
		pinring_lanes_commit(lane, (uint64_t)k);
		return k;
	case 1:
		if (w->slot_bytes == 8) {
			rc = pinring_lanes_push_u64(lane, name_of(me, i));
			return rc ? rc : 1;
		}
		/* fall through */
	default:
		item_fill(item, w->slot_bytes, name_of(me, i));
		rc = w->sleeps ? pinring_lanes_push_wait(lane, item, SECOND) :
				 pinring_lanes_push_key(p, key, item);
		return rc ? rc : 1;
	}
}

static uint64_t produce(struct crowd *w, uint64_t me)
{
	struct pinring_lanes_producer p;
	struct dice dice = { me + 1 };
	unsigned int spins = 0;
	uint64_t i = 0;

	if (pinring_lanes_producer_open(w->r, "lanes", &p))
		return 1;
	wait_for_all(w);
	while (i < w->each) {
		int64_t n = send(w, &p, me, i, &dice);

		if (n == -EAGAIN) {
			wait_a_little(&spins);
			continue;
		}
		if (n < 1)
			return (uint64_t)-n;
		i += (uint64_t)n;
	}
	pinring_lanes_producer_close(&p);
	return 0;
}

/* Of one consumer. */
struct seen {
	uint64_t next[SIDES_MAX][PARTITIONS]; /* the least number not seen yet */
	struct tally t;
};

static void take(const struct crowd *w, const struct pinring_lanes_consumer *c,
		 struct seen *seen, const uint64_t *item)
{
	uint64_t from = item[0] >> 48, key = item[0] >> 32 & 0xffff;
	uint64_t i = (uint32_t)item[0], k = PARTITIONS;

	if (key < KEYS)
		k = pinring_lanes_partition(key, (uint32_t)w->partitions);
	if (from >= w->producers || k < c->first || k >= c->first + c->n ||
	    name_of(from, i) != item[0] || i < seen->next[from][k] ||
	    !item_is_whole(item, w->slot_bytes)) {
		seen->t.wrong++;
		return;
	}
	seen->next[from][k] = i + 1;
	seen->t.count++;
	seen->t.sum += item_mix(item[0]);
}

/* What is there, in one of the ways there are: how many, or why none. */
static int64_t receive(const struct crowd *w, struct pinring_lanes_consumer *c,
		       struct seen *seen, struct dice *dice)
{
	uint64_t items[40 * 8];
	void *slots = items;
	int64_t n;

	switch (roll(dice, 3)) {
	case 0:
		n = pinring_lanes_pop_batch(c, items, 1 + roll(dice, 40));
		break;
	case 1:
		n = w->slot_bytes == 8 ? pinring_lanes_pop_u64(c, items) :
		    w->sleeps	       ? pinring_lanes_pop_wait(c, items, SECOND) :
					 pinring_lanes_pop(c, items);
		n = n ? n : 1;
		break;
	default:
		n = pinring_lanes_peek(c, 1 + roll(dice, 6), &slots);
	}
	for (int64_t k = 0; k < n; k++)
		take(w, c, seen,
		     (uint64_t *)slots + (uint64_t)k * w->slot_bytes / 8);
	if (n > 0 && slots != items)
		pinring_lanes_release(c, (uint64_t)n);
	if (n == -EAGAIN && w->sleeps) {
		struct pinring_wait wait = pinring_lanes_when_ready(c);

		pinring_wait_any(&wait, 1, NULL, SECOND);
	}
	return n;
}

static uint64_t consume(struct crowd *w, uint64_t me)
{
	uint32_t share = (uint32_t)(w->partitions / w->consumers);
	struct pinring_lanes_consumer c;
	struct dice dice = { me + 100 };
	struct seen seen = { 0 };
	unsigned int spins = 0;
	int64_t n;

	if (pinring_lanes_consumer_open_some(w->r, "lanes",
					     (uint32_t)me * share, share, &c))
		return 3;
	wait_for_all(w);
	while ((n = receive(w, &c, &seen, &dice)) != -EPIPE) {
		if (n == -EAGAIN)
			wait_a_little(&spins);
		else if (n < 1 && n != -ETIMEDOUT)
			return (uint64_t)-n;
	}
	w->got[me] = seen.t;
	pinring_lanes_consumer_close(&c);
	return 0;
}

struct member {
	struct crowd *w;
	uint64_t me;
	pthread_t thread;
	pid_t pid;
};

static void *member_main(void *arg)
{
	struct member *m = arg;
	struct crowd *w = m->w;

	w->failed[m->me] = m->me < w->producers ?
				   produce(w, m->me) :
				   consume(w, m->me - w->producers);
	return NULL;
}

static bool start_member(struct member *m, bool process)
{
	if (!process)
		return !pthread_create(&m->thread, NULL, member_main, m);
	m->pid = fork();
	if (!m->pid) {
		member_main(m);
		_exit(0);
	}
	return m->pid > 0;
}

static bool end_member(struct member *m, bool process)
{
	int status = 0;

	if (!process)
		return !pthread_join(m->thread, NULL);
	return waitpid(m->pid, &status, 0) == m->pid && !status;
}

static void check_crowd(struct __test_metadata *_metadata,
			const struct crowd *w)
{
	struct tally all = { .count = 0 };
	uint64_t sum = 0;

	for (uint64_t i = 0; i < w->producers + w->consumers; i++) {
		EXPECT_EQ(0, w->failed[i]);
	}
	for (uint64_t i = 0; i < w->consumers; i++) {
		all.count += w->got[i].count;
		all.sum += w->got[i].sum;
		all.wrong += w->got[i].wrong;
	}
	for (uint64_t from = 0; from < w->producers; from++)
		for (uint64_t i = 0; i < w->each; i++)
			sum += item_mix(name_of(from, i));
	EXPECT_EQ(0, all.wrong);
	EXPECT_EQ(w->producers * w->each, all.count);
	EXPECT_EQ(sum, all.sum);
}

/* New lanes through which so many items seem to have gone. */
static void make(struct __test_metadata *_metadata, const struct crowd *w,
		 uint64_t first)
{
	struct pinring_lanes_header *h;
	struct pinring_object_info o;
	struct pinring_lane *lane;

	ASSERT_EQ(0, pinring_lanes_create(w->r, "lanes", CAPACITY, w->slot_bytes,
					  PRODUCERS, (uint32_t)w->partitions));
	ASSERT_EQ(0, pinring_object_find(w->r, "lanes", &o));
	h = pinring_region_at(w->r, o.offset, o.length);
	lane = (void *)((unsigned char *)h + h->lanes_offset);
	for (uint64_t i = 0; i < PRODUCERS * w->partitions; i++)
		lane[i].tail = lane[i].head = lane[i].held = first;
}

static void run(struct __test_metadata *_metadata, struct crowd *w,
		bool processes)
{
	uint64_t n = w->producers + w->consumers;
	struct member member[2 * SIDES_MAX];
	struct pinring_lanes_producer any;
	unsigned int spins = 0;

	for (uint64_t i = 0; i < n; i++) {
		member[i] = (struct member){ .w = w, .me = i };
		ASSERT_TRUE(start_member(&member[i], processes));
	}
	while (__atomic_load_n(&w->ready, __ATOMIC_ACQUIRE) < n)
		wait_a_little(&spins);
	__atomic_store_n(&w->go, 1, __ATOMIC_RELEASE);
	for (uint64_t i = 0; i < n; i++) {
		EXPECT_TRUE(end_member(&member[i], processes));
		if (i + 1 != w->producers) {
			continue;
		}
		ASSERT_EQ(0, pinring_lanes_producer_open(w->r, "lanes", &any));
		pinring_lanes_close(&any.lanes);
		pinring_lanes_producer_close(&any);
	}
}

TEST_F_TIMEOUT(crowd, every_item_once_and_in_order, 120)
{
	static const uint64_t sides[] = { 1, 2, 4, 8 };
	struct crowd *w = mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, w);
	for (int k = 0; k < 16; k++) {
		struct pinring_region_config config =
			pinring_region_defaults(1 << 20);

		memset(w, 0, sizeof(*w));
		ASSERT_EQ(0, pinring_region_create(self->device, &config, &w->r));
		w->producers = sides[k / 4];
		w->consumers = sides[k % 4];
		w->partitions = w->consumers == 1 ? 1 : PARTITIONS;
		w->slot_bytes = variant->slot_bytes;
		w->sleeps = variant->sleeps;
		w->each = ITEMS / 16 / w->producers / (w->sleeps ? 4 : 1);
		make(_metadata, w, variant->first);
		run(_metadata, w, variant->processes);
		check_crowd(_metadata, w);
		pinring_region_close(w->r);
	}
	munmap(w, sizeof(*w));
}

TEST_HARNESS_MAIN
