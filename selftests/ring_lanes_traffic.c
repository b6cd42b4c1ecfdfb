// SPDX-License-Identifier: MIT
/*
 * Lanes in traffic. Crowds of producers and consumers, as threads and as
 * processes: every item once, whole, at the owner of its key, in its producer's
 * order. Lanes that are closed, and seats that change hands, meanwhile.
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

/* ------------------------------------------------------------------- crowds */
#define SIDES_MAX 8
#define KEYS 64
#define ITEMS (SANITIZED ? 100000u : 6000000u) /* in all crowds of a test */

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

/* ------------------------------------------------------ while others are at it */
struct traffic {
	struct pinring_region *r;
	uint64_t go, stop; /* atomic */
	uint64_t sent; /* published, as its producers say; atomic add */
	uint64_t failed; /* atomic */
};

FIXTURE(traffic)
{
	struct pinring_device *device;
	struct traffic t;
};

FIXTURE_SETUP(traffic)
{
	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
}

FIXTURE_TEARDOWN(traffic)
{
	pinring_device_close(self->device);
}

static void make_lanes(struct __test_metadata *_metadata,
		       struct pinring_device *device, struct traffic *t,
		       uint32_t producers)
{
	struct pinring_region_config config = pinring_region_defaults(1 << 15);

	*t = (struct traffic){ .failed = 0 };
	ASSERT_EQ(0, pinring_region_create(device, &config, &t->r));
	ASSERT_EQ(0, pinring_lanes_create(t->r, "lanes", CAPACITY, 8, producers,
					  1));
}

/* Publishes until it is told that nobody reads on. */
static void *until_closed(void *arg)
{
	struct pinring_lanes_producer p;
	unsigned int spins = 0;
	struct traffic *t = arg;
	uint64_t sent = 0;
	void *slots;
	int64_t n;

	if (pinring_lanes_producer_open(t->r, "lanes", &p)) {
		__atomic_store_n(&t->failed, 1, __ATOMIC_RELAXED);
		return NULL;
	}
	while (!__atomic_load_n(&t->go, __ATOMIC_ACQUIRE))
		wait_a_little(&spins);
	while ((n = pinring_lanes_reserve(p.lane, 2, &slots)) != -EPIPE) {
		if (n < 1) {
			wait_a_little(&spins);
			continue;
		}
		/* Some take their time with what they reserved. */
		if (sent % 64 == 0)
			sched_yield();
		memset(slots, 1, (uint64_t)n * 8);
		pinring_lanes_commit(p.lane, (uint64_t)n);
		sent += (uint64_t)n;
	}
	__atomic_add_fetch(&t->sent, sent, __ATOMIC_RELAXED);
	/* It stays until the consumer has seen the end. */
	while (!__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE))
		wait_a_little(&spins);
	pinring_lanes_producer_close(&p);
	return NULL;
}

/* Takes all there is, and closes the lanes on the way. How many came. */
static uint64_t take_until_the_end(struct pinring_lanes_consumer *c,
				   uint64_t enough)
{
	uint64_t item, got = 0;
	unsigned int spins = 0;
	bool closed = false;
	int rc;

	while ((rc = pinring_lanes_pop_u64(c, &item)) != -EPIPE) {
		if (rc == -EAGAIN)
			wait_a_little(&spins);
		got += !rc;
		if (got >= enough && !closed) {
			pinring_lanes_close(&c->lanes);
			closed = true;
		}
	}
	return got;
}

/* The end comes once, after all that was published, however close to it. */
TEST_F_TIMEOUT(traffic, closing_loses_nothing, 60)
{
	const int rounds = SANITIZED ? 300 : 2500;
	struct dice dice = { 3 };

	for (int round = 0; round < rounds; round++) {
		struct pinring_lanes_consumer c;
		pthread_t thread[3];
		uint64_t item, got;

		make_lanes(_metadata, self->device, &self->t,
			   ARRAY_SIZE(thread));
		ASSERT_EQ(0, pinring_lanes_consumer_open(self->t.r, "lanes",
							 &c));
		for (size_t i = 0; i < ARRAY_SIZE(thread); i++) {
			ASSERT_EQ(0, pthread_create(&thread[i], NULL,
						    until_closed, &self->t));
		}
		__atomic_store_n(&self->t.go, 1, __ATOMIC_RELEASE);
		got = take_until_the_end(&c, 1 + roll(&dice, 300));
		EXPECT_EQ(-EPIPE, pinring_lanes_pop_u64(&c, &item));
		__atomic_store_n(&self->t.stop, 1, __ATOMIC_RELEASE);
		for (size_t i = 0; i < ARRAY_SIZE(thread); i++)
			pthread_join(thread[i], NULL);
		pinring_lanes_consumer_close(&c);
		pinring_region_close(self->t.r);
		ASSERT_EQ(0, self->t.failed);
		ASSERT_EQ(self->t.sent, got) {
			TH_LOG("round %d", round);
		}
	}
}

#define TENANTS 12

/* Comes, publishes a little and goes, again and again. */
static void *come_and_go(void *arg)
{
	struct pinring_lanes_producer p;
	unsigned int spins = 0;
	struct traffic *t = arg;
	uint64_t sent = 0;

	while (!__atomic_load_n(&t->stop, __ATOMIC_RELAXED)) {
		int rc = pinring_lanes_producer_open(t->r, "lanes", &p);

		if (rc && rc != -EUSERS)
			__atomic_store_n(&t->failed, 1, __ATOMIC_RELAXED);
		for (uint64_t i = 0; !rc && i < 5; i++)
			sent += !pinring_lanes_push_u64(p.lane, sent);
		if (!rc)
			pinring_lanes_producer_close(&p);
		wait_a_little(&spins);
	}
	__atomic_add_fetch(&t->sent, sent, __ATOMIC_RELAXED);
	return NULL;
}

/* A consumer that takes what there is, and goes. How much that was. */
static uint64_t take_and_go(struct __test_metadata *_metadata,
			    const struct traffic *t,
			    struct pinring_lanes_info *info)
{
	struct pinring_lanes_consumer c;
	uint64_t item, got = 0;

	ASSERT_EQ(0, pinring_lanes_consumer_open(t->r, "lanes", &c));
	while (!pinring_lanes_pop_u64(&c, &item))
		got++;
	ASSERT_EQ(0, pinring_lanes_info(&c.lanes, info));
	pinring_lanes_consumer_close(&c);
	return got;
}

/* More producers than lanes, and consumers that take over from one another. */
TEST_F_TIMEOUT(traffic, seats_change_hands, 60)
{
	struct pinring_lanes_info info = PINRING_INIT(struct pinring_lanes_info);
	const uint64_t enough = SANITIZED ? 3000 : 20000;
	pthread_t thread[TENANTS];
	unsigned int spins = 0;
	uint64_t got = 0;

	make_lanes(_metadata, self->device, &self->t, PRODUCERS);
	for (int i = 0; i < TENANTS; i++) {
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, come_and_go,
					    &self->t));
	}
	while (got < enough) {
		got += take_and_go(_metadata, &self->t, &info);
		wait_a_little(&spins);
	}
	__atomic_store_n(&self->t.stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < TENANTS; i++)
		pthread_join(thread[i], NULL);
	got += take_and_go(_metadata, &self->t, &info);
	EXPECT_EQ(0, self->t.failed);
	EXPECT_EQ(self->t.sent, got);
	EXPECT_EQ(info.published, got);
	EXPECT_EQ(0u, info.producers_open);
	pinring_region_close(self->t.r);
}

TEST_HARNESS_MAIN
