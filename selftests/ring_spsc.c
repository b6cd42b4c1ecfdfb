// SPDX-License-Identifier: MIT
/*
 * The SPSC ring: every item arrives once, whole and in order, between threads
 * and between processes, whatever the sizes, whatever the batches, over the end
 * of the counters and over the death of either side.
 */
#include <kselftest_harness.h>

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <time.h>

#include "kills.h"
#include "sanitized.h"
#include "take_cpu.h"

#include <pinring/pinring.h>

#define SLOT_MAX 4096

/* splitmix64 (Steele, 2014): a bijection, so one word alone tells its number. */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

/* Item number `index` in every word of its slot. */
static void fill(void *slot, uint64_t bytes, uint64_t index)
{
	uint64_t *word = slot;

	for (uint64_t i = 0; i < bytes / 8; i++)
		word[i] = mix(index + (i << 56));
}

static bool filled(const void *slot, uint64_t bytes, uint64_t index)
{
	const uint64_t *word = slot;

	for (uint64_t i = 0; i < bytes / 8; i++)
		if (word[i] != mix(index + (i << 56)))
			return false;
	return true;
}

struct dice {
	uint64_t state;
};

static uint64_t roll(struct dice *d, uint64_t n)
{
	d->state = mix(d->state);
	return (d->state >> 32) * n >> 32;
}

/* A spinning peer on a machine with two busy cores must let the other run. */
static void wait_a_little(unsigned int *spins)
{
	if (++*spins % 64 == 0)
		sched_yield();
	else
		pinring_relax();
}

/* --------------------------------------------------------------- both sides */

/* Whether to go on; asked a hundred times a millisecond, it is no delay. */
static bool in_time(time_t end, unsigned int *asked)
{
	struct timespec t;

	if (++*asked % 256)
		return true;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec < end;
}

static time_t in_a_while(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + 5;
}

/*
 * Sends items first .. first + items by every verb there is, and closes. Fewer if
 * that takes too long: where two CPUs never run at the same time, each lap of a ring
 * of two slots takes a time slice. *sent: where it ended; closing releases it.
 * Returns 0 or the line of what went wrong.
 */
static int produce(struct pinring_spsc_producer *p, uint64_t first, uint64_t items,
		   uint64_t *sent)
{
	static _Thread_local uint64_t buffer[8 * SLOT_MAX / 8];
	const uint64_t bytes = p->slot_bytes;
	const uint64_t last = first + items;
	const time_t end = in_a_while();
	struct dice dice = { 1 };
	unsigned int spins = 0, asked = 0;
	uint64_t at = first;

	take_cpu(1);
	while (at != last && in_time(end, &asked)) {
		uint64_t want = 1 + roll(&dice, 8);
		void *slots = NULL;
		int64_t n;

		if (want > last - at)
			want = last - at;
		switch (roll(&dice, 3)) {
		case 0:
			want = 1;
			fill(buffer, bytes, at);
			n = bytes == 8 ? pinring_spsc_push_u64(p, buffer[0]) :
					 pinring_spsc_push(p, buffer);
			n = n ? n : 1;
			break;
		case 1:
			for (uint64_t i = 0; i < want; i++)
				fill((char *)buffer + i * bytes, bytes, at + i);
			n = pinring_spsc_push_batch(p, buffer, want);
			break;
		default:
			n = pinring_spsc_reserve(p, want, &slots);
			for (int64_t i = 0; i < n; i++)
				fill((char *)slots + (uint64_t)i * bytes, bytes,
				     at + (uint64_t)i);
			if (n > 0)
				pinring_spsc_commit(p, (uint64_t)n);
		}
		if (n == -EAGAIN) {
			wait_a_little(&spins);
			continue;
		}
		if (n < 1 || n > (int64_t)want)
			return __LINE__;
		at += (uint64_t)n;
	}
	*sent = at;
	pinring_spsc_close_producer(p);
	return at == first && items ? __LINE__ : 0;
}

static int consume(struct pinring_spsc_consumer *c, uint64_t first, const uint64_t *sent)
{
	static _Thread_local uint64_t buffer[8 * SLOT_MAX / 8];
	const uint64_t bytes = c->slot_bytes;
	struct dice dice = { 2 };
	uint64_t at = first;
	unsigned int spins = 0;

	take_cpu(0);
	for (;;) {
		uint64_t want = 1 + roll(&dice, 8);
		void *slots = buffer;
		int64_t n;

		switch (roll(&dice, 3)) {
		case 0:
			want = 1;
			n = bytes == 8 ? pinring_spsc_pop_u64(c, buffer) :
					 pinring_spsc_pop(c, buffer);
			n = n ? n : 1;
			break;
		case 1:
			n = pinring_spsc_pop_batch(c, buffer, want);
			break;
		default:
			n = pinring_spsc_peek(c, want, &slots);
		}
		if (n == -EAGAIN) {
			wait_a_little(&spins);
			continue;
		}
		if (n == -EPIPE)
			return at == *sent ? 0 : __LINE__;
		if (n < 1 || n > (int64_t)want)
			return __LINE__;
		for (int64_t i = 0; i < n; i++)
			if (!filled((char *)slots + (uint64_t)i * bytes, bytes, at++))
				return __LINE__;
		if (slots != buffer)
			pinring_spsc_release(c, (uint64_t)n);
	}
}

struct job {
	struct pinring_spsc_producer *p;
	struct pinring_spsc_consumer *c;
	uint64_t first, items, sent;
	int failed_at;
};

static void *producer_thread(void *arg)
{
	struct job *job = arg;

	job->failed_at = produce(job->p, job->first, job->items, &job->sent);
	return NULL;
}

/* ------------------------------------------------ millions, in every geometry */

FIXTURE(flow)
{
	struct pinring_device *device;
	struct pinring_region *r;
};

FIXTURE_VARIANT(flow)
{
	uint64_t capacity, slot_bytes, items;
};

FIXTURE_VARIANT_ADD(flow, c2_s8) { 2, 8, 1000000 };
FIXTURE_VARIANT_ADD(flow, c2_s24) { 2, 24, 100000 };
FIXTURE_VARIANT_ADD(flow, c2_s64) { 2, 64, 100000 };
FIXTURE_VARIANT_ADD(flow, c2_s4096) { 2, 4096, 50000 };
FIXTURE_VARIANT_ADD(flow, c4_s8) { 4, 8, 1000000 };
FIXTURE_VARIANT_ADD(flow, c4_s24) { 4, 24, 100000 };
FIXTURE_VARIANT_ADD(flow, c4_s64) { 4, 64, 100000 };
FIXTURE_VARIANT_ADD(flow, c4_s4096) { 4, 4096, 50000 };
FIXTURE_VARIANT_ADD(flow, c1024_s8) { 1024, 8, 5000000 };
FIXTURE_VARIANT_ADD(flow, c1024_s24) { 1024, 24, 1000000 };
FIXTURE_VARIANT_ADD(flow, c1024_s64) { 1024, 64, 1000000 };
FIXTURE_VARIANT_ADD(flow, c1024_s4096) { 1024, 4096, 100000 };

FIXTURE_SETUP(flow)
{
	struct pinring_region_config config = pinring_region_defaults(
		16384 + variant->capacity * variant->slot_bytes);

	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->r));
	ASSERT_EQ(0, pinring_spsc_create(self->r, "ring", variant->capacity,
					 variant->slot_bytes));
}

FIXTURE_TEARDOWN(flow)
{
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

TEST_F_TIMEOUT(flow, every_item_arrives_once_and_in_order_between_threads, 120)
{
	struct pinring_spsc_producer p;
	struct pinring_spsc_consumer c;
	struct job job = { .p = &p, .items = variant->items };
	pthread_t thread;

	ASSERT_EQ(0, pinring_spsc_producer_open(self->r, "ring", &p));
	ASSERT_EQ(0, pinring_spsc_consumer_open(self->r, "ring", &c));
	ASSERT_EQ(0, pthread_create(&thread, NULL, producer_thread, &job));
	EXPECT_EQ(0, consume(&c, 0, &job.sent));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, job.failed_at);
	pinring_spsc_producer_close(&p);
	pinring_spsc_consumer_close(&c);
}

TEST_F_TIMEOUT(flow, every_item_arrives_once_and_in_order_between_processes, 120)
{
	struct pinring_spsc_consumer c;
	uint64_t *sent = mmap(NULL, sizeof(*sent), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	ASSERT_NE(MAP_FAILED, sent);
	ASSERT_EQ(0, pinring_spsc_consumer_open(self->r, "ring", &c));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* By its descriptor, at an address of its own. */
		struct pinring_spsc_producer p;
		struct pinring_region *mine;

		if (pinring_region_attach(self->device, pinring_region_fd(self->r),
					  &mine) ||
		    pinring_spsc_producer_open(mine, "ring", &p))
			_exit(1);
		_exit(produce(&p, 0, variant->items, sent) != 0);
	}
	EXPECT_EQ(0, consume(&c, 0, sent));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	pinring_spsc_consumer_close(&c);
}

/* ----------------------------------------------------------------- the rules */

#define CAPACITY 32u /* its lazy release is of 4 */

FIXTURE(ring)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_spsc_header *shared;
	struct pinring_spsc_producer p;
	struct pinring_spsc_consumer c;
};

static void open_both(struct __test_metadata *_metadata, FIXTURE_DATA(ring) *self)
{
	ASSERT_EQ(0, pinring_spsc_producer_open(self->r, "ring", &self->p));
	ASSERT_EQ(0, pinring_spsc_consumer_open(self->r, "ring", &self->c));
}

static void close_both(FIXTURE_DATA(ring) *self)
{
	pinring_spsc_producer_close(&self->p);
	pinring_spsc_consumer_close(&self->c);
}

FIXTURE_SETUP(ring)
{
	struct pinring_region_config config = pinring_region_defaults(65536);
	struct pinring_object_info o;

	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->r));
	ASSERT_EQ(0, pinring_spsc_create(self->r, "ring", CAPACITY, 8));
	ASSERT_EQ(0, pinring_object_find(self->r, "ring", &o));
	self->shared = pinring_region_at(self->r, o.offset, sizeof(*self->shared));
	open_both(_metadata, self);
}

FIXTURE_TEARDOWN(ring)
{
	close_both(self);
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

/* Pushes n of mix(0), mix(1), ... or says where it stopped. */
static uint64_t push_up_to(struct pinring_spsc_producer *p, uint64_t n)
{
	uint64_t sent = 0;

	while (sent < n && !pinring_spsc_push_u64(p, mix(p->write)))
		sent++;
	return sent;
}

/* Pops n; each must be what push_up_to() put under its index. */
static uint64_t pop_up_to(struct pinring_spsc_consumer *c, uint64_t n)
{
	uint64_t got = 0, item = 0;

	while (got < n) {
		uint64_t index = c->read;

		if (pinring_spsc_pop_u64(c, &item))
			break;
		if (item != mix(index))
			return UINT64_MAX;
		got++;
	}
	return got;
}

TEST(capacity_is_a_power_of_two_and_slots_are_whole_words)
{
	static const struct {
		uint64_t capacity, slot_bytes;
	} bad[] = {
		{ 0, 8 }, { 1, 8 }, { 3, 8 }, { 1000, 8 }, { 1ull << 33, 8 },
		{ 1ull << 63, 8 }, { UINT64_MAX, 8 }, { 2, 0 }, { 2, 1 },
		{ 2, 4 }, { 2, 12 }, { 2, (1 << 20) + 8 }, { 2, UINT64_MAX - 7 },
		{ 1ull << 32, 1ull << 32 },
	};
	struct pinring_region_config config = pinring_region_defaults(65536);
	struct pinring_device *device;
	struct pinring_region *r;

	ASSERT_EQ(0, pinring_device_open(NULL, &device));
	ASSERT_EQ(0, pinring_region_create(device, &config, &r));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, pinring_spsc_create(r, "bad", bad[i].capacity,
						       bad[i].slot_bytes))
			TH_LOG("%llu slots of %llu", (unsigned long long)bad[i].capacity,
			       (unsigned long long)bad[i].slot_bytes);
	}
	EXPECT_EQ(-ENOSPC, pinring_spsc_create(r, "large", 1ull << 32, 1 << 20));
	EXPECT_EQ(-EINVAL, pinring_spsc_create(r, "", 2, 8));
	EXPECT_EQ(-EINVAL, pinring_spsc_create(r, NULL, 2, 8));
	EXPECT_EQ(0, pinring_spsc_create(r, "good", 2, 8));
	EXPECT_EQ(-EEXIST, pinring_spsc_create(r, "good", 2, 8));
	pinring_region_close(r);
	pinring_device_close(device);
}

TEST_F(ring, full_and_empty_are_eagain)
{
	uint64_t item = 0;
	void *slots = NULL;

	EXPECT_EQ(CAPACITY, pinring_spsc_capacity(&self->p));
	EXPECT_EQ(-EAGAIN, pinring_spsc_pop_u64(&self->c, &item));
	EXPECT_EQ(-EAGAIN, pinring_spsc_peek(&self->c, 5, &slots));
	EXPECT_EQ(-EAGAIN, pinring_spsc_pop_batch(&self->c, &item, 1));
	EXPECT_EQ(CAPACITY, push_up_to(&self->p, 1000)); /* every slot holds one */
	EXPECT_EQ(-EAGAIN, pinring_spsc_push_u64(&self->p, 1));
	EXPECT_EQ(-EAGAIN, pinring_spsc_reserve(&self->p, 5, &slots));
	EXPECT_EQ(-EAGAIN, pinring_spsc_push_batch(&self->p, &item, 1));
	EXPECT_EQ(CAPACITY, pop_up_to(&self->c, 1000));
}

TEST_F(ring, reserving_again_gives_the_same_slots_and_publishes_nothing)
{
	void *first = NULL, *again = NULL;
	uint64_t item;

	EXPECT_EQ(4, pinring_spsc_reserve(&self->p, 4, &first));
	EXPECT_EQ(4, pinring_spsc_reserve(&self->p, 4, &again));
	EXPECT_EQ(first, again);
	EXPECT_EQ(1, pinring_spsc_reserve(&self->p, 1, &again));
	EXPECT_EQ(first, again);
	EXPECT_EQ(-EAGAIN, pinring_spsc_pop_u64(&self->c, &item));
}

TEST_F(ring, fewer_may_be_committed_than_were_reserved)
{
	uint64_t *slots, item = 0;
	void *at = NULL;

	EXPECT_EQ(8, pinring_spsc_reserve(&self->p, 8, &at));
	slots = at;
	for (uint64_t i = 0; i < 8; i++)
		slots[i] = 100 + i;
	pinring_spsc_commit(&self->p, 3);
	EXPECT_EQ(8, pinring_spsc_reserve(&self->p, 8, &at));
	EXPECT_EQ((void *)(slots + 3), at);
	pinring_spsc_commit(&self->p, 0);
	for (uint64_t i = 0; i < 3; i++) {
		EXPECT_EQ(0, pinring_spsc_pop_u64(&self->c, &item));
		EXPECT_EQ(100 + i, item);
	}
	EXPECT_EQ(-EAGAIN, pinring_spsc_pop_u64(&self->c, &item));
}

TEST_F(ring, peeking_takes_nothing_and_fewer_may_be_released)
{
	void *first = NULL, *again = NULL;

	push_up_to(&self->p, 8);
	EXPECT_EQ(8, pinring_spsc_peek(&self->c, 20, &first));
	EXPECT_EQ(8, pinring_spsc_peek(&self->c, 20, &again));
	EXPECT_EQ(first, again);
	pinring_spsc_release(&self->c, 5);
	EXPECT_EQ(3, pinring_spsc_peek(&self->c, 20, &again));
	EXPECT_EQ((void *)((uint64_t *)first + 5), again);
	EXPECT_EQ(3u, pop_up_to(&self->c, 20));
}

TEST_F(ring, a_run_ends_where_the_array_does)
{
	void *slots = NULL, *begin = NULL;

	EXPECT_EQ(CAPACITY, pinring_spsc_reserve(&self->p, 1000, &begin));
	push_up_to(&self->p, CAPACITY - 3);
	pop_up_to(&self->c, CAPACITY - 3);
	pinring_spsc_flush(&self->c);
	EXPECT_EQ(3, pinring_spsc_reserve(&self->p, 10, &slots));
	EXPECT_EQ((void *)((uint64_t *)begin + CAPACITY - 3), slots);
	push_up_to(&self->p, 10);
	EXPECT_EQ(3, pinring_spsc_peek(&self->c, 10, &slots));
	pinring_spsc_release(&self->c, 3);
	EXPECT_EQ(7, pinring_spsc_peek(&self->c, 10, &slots));
	EXPECT_EQ(begin, slots);
}

TEST_F(ring, batches_go_over_the_end_of_the_array_in_one_call)
{
	uint64_t items[CAPACITY], got[CAPACITY];

	for (uint64_t start = 0; start < 2 * CAPACITY; start++) {
		for (uint64_t i = 0; i < CAPACITY; i++)
			items[i] = mix(self->p.write + i);
		ASSERT_EQ(CAPACITY, pinring_spsc_push_batch(&self->p, items, CAPACITY));
		memset(got, 0, sizeof(got));
		ASSERT_EQ(CAPACITY, pinring_spsc_pop_batch(&self->c, got, CAPACITY));
		ASSERT_EQ(0, memcmp(items, got, sizeof(got)));
		/* One further, for the next turn. */
		ASSERT_EQ(1u, push_up_to(&self->p, 1));
		ASSERT_EQ(1u, pop_up_to(&self->c, 1));
		pinring_spsc_flush(&self->c);
	}
}

TEST_F(ring, a_batch_has_from_0_to_capacity_items)
{
	uint64_t items[CAPACITY + 1] = { 0 }, got[CAPACITY + 1];
	void *slots = NULL;

	EXPECT_EQ(0, pinring_spsc_push_batch(&self->p, items, 0));
	EXPECT_EQ(0, pinring_spsc_pop_batch(&self->c, got, 0));
	EXPECT_EQ(0, pinring_spsc_reserve(&self->p, 0, &slots));
	EXPECT_EQ(0, pinring_spsc_peek(&self->c, 0, &slots));
	EXPECT_EQ(1, pinring_spsc_push_batch(&self->p, items, 1));
	EXPECT_EQ(1, pinring_spsc_pop_batch(&self->c, got, 1));
	pinring_spsc_flush(&self->c);
	EXPECT_EQ(CAPACITY, pinring_spsc_push_batch(&self->p, items, CAPACITY + 1));
	/* Full, empty: 0 items are no news. */
	EXPECT_EQ(0, pinring_spsc_push_batch(&self->p, items, 0));
	EXPECT_EQ(0, pinring_spsc_reserve(&self->p, 0, &slots));
	EXPECT_EQ(CAPACITY, pinring_spsc_pop_batch(&self->c, got, CAPACITY + 1));
	EXPECT_EQ(0, pinring_spsc_pop_batch(&self->c, got, 0));
}

TEST_F(ring, a_batch_that_does_not_fit_goes_in_part)
{
	uint64_t items[CAPACITY] = { 0 };

	push_up_to(&self->p, CAPACITY - 5);
	EXPECT_EQ(5, pinring_spsc_push_batch(&self->p, items, 10));
	EXPECT_EQ(-EAGAIN, pinring_spsc_push_batch(&self->p, items, 10));
	EXPECT_EQ(CAPACITY - 5, pop_up_to(&self->c, CAPACITY - 5));
	EXPECT_EQ(5, pinring_spsc_pop_batch(&self->c, items, 10));
	EXPECT_EQ(-EAGAIN, pinring_spsc_pop_batch(&self->c, items, 10));
}

/* ring_spsc.h: an eighth of the ring at a time, when empty, and when asked. */
TEST_F(ring, slots_are_given_back_an_eighth_of_the_ring_at_a_time)
{
	push_up_to(&self->p, CAPACITY);
	EXPECT_EQ(3u, pop_up_to(&self->c, 3));
	EXPECT_EQ(0u, self->shared->head);
	EXPECT_EQ(-EAGAIN, pinring_spsc_push_u64(&self->p, 1));
	EXPECT_EQ(1u, pop_up_to(&self->c, 1));
	EXPECT_EQ(4u, self->shared->head);
	EXPECT_EQ(4u, push_up_to(&self->p, 5));
}

TEST_F(ring, flush_gives_back_at_once)
{
	push_up_to(&self->p, CAPACITY);
	EXPECT_EQ(1u, pop_up_to(&self->c, 1));
	EXPECT_EQ(-EAGAIN, pinring_spsc_push_u64(&self->p, 1));
	pinring_spsc_flush(&self->c);
	EXPECT_EQ(1u, push_up_to(&self->p, 2));
}

TEST_F(ring, finding_the_ring_empty_gives_back_at_once)
{
	uint64_t item;

	push_up_to(&self->p, 2);
	EXPECT_EQ(2u, pop_up_to(&self->c, 2));
	EXPECT_EQ(0u, self->shared->head);
	EXPECT_EQ(-EAGAIN, pinring_spsc_pop_u64(&self->c, &item));
	EXPECT_EQ(2u, self->shared->head);
}

/* Or a tiny ring would wait for a release that never comes. */
TEST_F(ring, a_tiny_ring_gives_back_every_slot)
{
	struct pinring_spsc_producer p;
	struct pinring_spsc_consumer c;

	for (uint64_t capacity = 2; capacity <= 8; capacity *= 2) {
		char name[] = { 't', (char)('0' + capacity), 0 };

		ASSERT_EQ(0, pinring_spsc_create(self->r, name, capacity, 8));
		ASSERT_EQ(0, pinring_spsc_producer_open(self->r, name, &p));
		ASSERT_EQ(0, pinring_spsc_consumer_open(self->r, name, &c));
		EXPECT_EQ(capacity, push_up_to(&p, 100));
		EXPECT_EQ(1u, pop_up_to(&c, 1));
		EXPECT_EQ(1u, push_up_to(&p, 100));
		pinring_spsc_producer_close(&p);
		pinring_spsc_consumer_close(&c);
	}
}

/* -------------------------------------------------------------------- closing */

TEST_F(ring, after_the_producer_closes_the_consumer_drains_then_gets_epipe)
{
	uint64_t item;
	void *slots = NULL;

	push_up_to(&self->p, 5);
	pinring_spsc_close_producer(&self->p);
	EXPECT_EQ(5u, pop_up_to(&self->c, 5));
	EXPECT_EQ(-EPIPE, pinring_spsc_pop_u64(&self->c, &item));
	EXPECT_EQ(-EPIPE, pinring_spsc_peek(&self->c, 1, &slots));
	EXPECT_EQ(-EPIPE, pinring_spsc_pop_batch(&self->c, &item, 1));
}

TEST_F(ring, after_the_consumer_closes_a_full_ring_is_epipe)
{
	uint64_t item = 0;
	void *slots = NULL;

	push_up_to(&self->p, CAPACITY);
	pop_up_to(&self->c, 3);
	pinring_spsc_close_consumer(&self->c);
	EXPECT_EQ(3u, self->shared->head); /* what was read is given back */
	EXPECT_EQ(-EPIPE, pinring_spsc_push_u64(&self->p, 1));
	EXPECT_EQ(-EPIPE, pinring_spsc_reserve(&self->p, 1, &slots));
	EXPECT_EQ(-EPIPE, pinring_spsc_push_batch(&self->p, &item, 1));
}

/* Whatever the timing: what was sent before closing is seen before -EPIPE. */
TEST_F_TIMEOUT(ring, nothing_sent_before_closing_is_lost, 120)
{
	for (int round = 0; round < (SANITIZED ? 300 : 2000); round++) {
		struct job job = { .p = &self->p, .items = (uint64_t)round % 7 };
		pthread_t thread;

		job.first = self->p.write;
		ASSERT_EQ(0, pthread_create(&thread, NULL, producer_thread, &job));
		ASSERT_EQ(0, consume(&self->c, job.first, &job.sent));
		ASSERT_EQ(0, pthread_join(thread, NULL));
		ASSERT_EQ(0, job.failed_at);
		__atomic_store_n(&self->shared->producer_closed, 0, __ATOMIC_RELAXED);
	}
}

/* ---------------------------------------------------------- end of the numbers */

/* As if 2^64 - 5 items had gone through. */
static void age(struct __test_metadata *_metadata, FIXTURE_DATA(ring) *self)
{
	close_both(self);
	self->shared->head = 0 - 5ull;
	self->shared->tail = 0 - 5ull;
	open_both(_metadata, self);
}

TEST_F(ring, counters_wrap_in_the_middle_of_a_full_ring)
{
	age(_metadata, self);
	EXPECT_EQ(-EAGAIN, pinring_spsc_pop_u64(&self->c, &(uint64_t){ 0 }));
	EXPECT_EQ(CAPACITY, push_up_to(&self->p, 1000));
	EXPECT_EQ(CAPACITY - 5u, self->shared->tail);
	EXPECT_EQ(CAPACITY, pop_up_to(&self->c, 1000));
	EXPECT_EQ(CAPACITY - 5u, self->shared->head);
	EXPECT_EQ(CAPACITY, push_up_to(&self->p, 1000));
	EXPECT_EQ(CAPACITY, pop_up_to(&self->c, 1000));
}

TEST_F_TIMEOUT(ring, counters_wrap_while_two_threads_run, 120)
{
	struct job job = { .p = &self->p, .first = 0 - 5ull, .items = 100000 };
	pthread_t thread;

	age(_metadata, self);
	ASSERT_EQ(0, pthread_create(&thread, NULL, producer_thread, &job));
	EXPECT_EQ(0, consume(&self->c, job.first, &job.sent));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, job.failed_at);
}

TEST_F(ring, sides_opened_beyond_the_wrap_go_on)
{
	age(_metadata, self);
	push_up_to(&self->p, 10);
	pop_up_to(&self->c, 2);
	close_both(self);
	open_both(_metadata, self);
	EXPECT_EQ(8u, pop_up_to(&self->c, 1000));
	EXPECT_EQ(CAPACITY, push_up_to(&self->p, 1000));
}

/* ---------------------------------------------------------------------- death */

TEST_F(ring, a_producer_that_is_gone_leaves_only_what_it_committed)
{
	void *slots = NULL;

	push_up_to(&self->p, 3);
	EXPECT_EQ(8, pinring_spsc_reserve(&self->p, 8, &slots));
	memset(slots, 0xff, 8 * 8); /* and dies here */
	pinring_spsc_producer_close(&self->p);
	ASSERT_EQ(0, pinring_spsc_producer_open(self->r, "ring", &self->p));
	EXPECT_EQ(CAPACITY - 3, push_up_to(&self->p, 1000));
	EXPECT_EQ(CAPACITY, pop_up_to(&self->c, 1000));
}

TEST_F(ring, a_reader_opened_anew_starts_where_the_last_gave_back)
{
	struct pinring_spsc_consumer dead;

	push_up_to(&self->p, 10);
	dead = self->c;
	pinring_region_close(self->c.region); /* no flush: it was killed */
	EXPECT_EQ(7u, pop_up_to(&dead, 7));
	ASSERT_EQ(0, pinring_spsc_consumer_open(self->r, "ring", &self->c));
	/* 4 were given back; 3, fewer than capacity / 8, are seen twice. */
	EXPECT_EQ(4u, self->c.read);
	EXPECT_EQ(6u, pop_up_to(&self->c, 1000));
}

TEST_F(ring, a_reader_that_is_closed_gives_back_all_it_read)
{
	push_up_to(&self->p, 10);
	EXPECT_EQ(7u, pop_up_to(&self->c, 7));
	pinring_spsc_consumer_close(&self->c);
	ASSERT_EQ(0, pinring_spsc_consumer_open(self->r, "ring", &self->c));
	EXPECT_EQ(3u, pop_up_to(&self->c, 1000));
}

struct death {
	uint64_t reserved; /* while between reserve and commit */
};

/*
 * Sends mix(index) for ever and kills itself after `steps` turns, between
 * reserve and commit; never, if that is 0.
 */
static void produce_until_killed(struct pinring_region *r, struct death *death,
				 uint64_t steps)
{
	struct pinring_spsc_producer p;
	struct dice dice = { steps + 1 };
	unsigned int spins = 0;

	take_cpu(1);
	if (pinring_spsc_producer_open(r, "large", &p))
		_exit(1);
	for (uint64_t step = 1;; step++) {
		uint64_t *slots;
		void *at = NULL;
		int64_t n = pinring_spsc_reserve(&p, 1 + roll(&dice, 7), &at);

		if (n == -EAGAIN) {
			step--;
			wait_a_little(&spins);
			continue;
		}
		if (n < 0)
			_exit(2);
		__atomic_store_n(&death->reserved, 1, __ATOMIC_RELAXED);
		slots = at;
		for (int64_t i = 0; i < n; i++) {
			slots[i] = ~0ull; /* never to be seen */
			__atomic_signal_fence(__ATOMIC_SEQ_CST);
			slots[i] = mix(p.write + (uint64_t)i);
			if (step == steps && i == n / 2)
				raise(SIGKILL);
		}
		pinring_spsc_commit(&p, 1 + roll(&dice, (uint64_t)n));
		__atomic_store_n(&death->reserved, 0, __ATOMIC_RELAXED);
	}
}

#define PRODUCERS 200
#define READERS 50u

/*
 * Two hundred producers, one reader: an exact sequence without a gap. The ring
 * is so large that a producer has room to work in while the signal travels.
 */
TEST_F_TIMEOUT(ring, killing_the_producer_at_any_point_loses_nothing, 120)
{
	struct death *death = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct pinring_spsc_consumer c;
	int in_between[2] = { 0, 0 };

	take_cpu(0);
	ASSERT_EQ(0, pinring_spsc_create(self->r, "large", 4096, 8));
	ASSERT_EQ(0, pinring_spsc_consumer_open(self->r, "large", &c));
	for (int round = 0; round < PRODUCERS; round++) {
		/* The odd ones die by themselves, the others when we say. */
		uint64_t steps = round % 2 ? 1 + mix((uint64_t)round) % 300 : 0;
		uint64_t until = c.read + mix((uint64_t)round) % 20000;
		unsigned int spins = 0;
		int status = 0;
		bool dead = false;
		pid_t pid;

		death->reserved = 0;
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			produce_until_killed(self->r, death, steps);
		while (!dead) {
			uint64_t got = pop_up_to(&c, 100);

			ASSERT_NE(UINT64_MAX, got)
				TH_LOG("round %d: a wrong item at %llu", round,
				       (unsigned long long)c.read);
			if (!got)
				wait_a_little(&spins);
			if (!steps && c.read >= until)
				kill(pid, SIGKILL);
			if (c.read >= until || steps)
				dead = waitpid(pid, &status, WNOHANG) == pid;
		}
		ASSERT_TRUE(WIFSIGNALED(status));
		EXPECT_EQ(SIGKILL, WTERMSIG(status));
		ASSERT_NE(UINT64_MAX, pop_up_to(&c, UINT64_MAX - 1));
		in_between[round % 2] += death->reserved != 0;
	}
	EXPECT_EQ(PRODUCERS / 2, in_between[1]);
	TH_LOG("%llu items; of those we killed, %d were between reserve and commit",
	       (unsigned long long)c.read, in_between[0]);
	LOG_KILLS(PRODUCERS);
	pinring_spsc_consumer_close(&c);
	munmap(death, 4096);
}

/* The other side: each reader is killed; what it gave back is all that is gone. */
TEST_F_TIMEOUT(ring, killing_the_reader_shows_at_most_an_eighth_twice, 120)
{
	uint64_t *read_to = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	for (uint64_t n = 0; n < READERS; n++) {
		int status;
		pid_t pid;

		push_up_to(&self->p, CAPACITY);
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			struct pinring_spsc_consumer c;

			if (pinring_spsc_consumer_open(self->r, "ring", &c) ||
			    pop_up_to(&c, n % CAPACITY) != n % CAPACITY)
				_exit(1);
			*read_to = c.read;
			raise(SIGKILL);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));
		EXPECT_LE(self->shared->head, *read_to);
		EXPECT_LT(*read_to - self->shared->head, CAPACITY / 8);
	}
	munmap(read_to, 4096);
	pinring_spsc_consumer_close(&self->c);
	ASSERT_EQ(0, pinring_spsc_consumer_open(self->r, "ring", &self->c));
	EXPECT_EQ(self->p.write - self->c.read, pop_up_to(&self->c, 1000));
	LOG_KILLS(READERS);
}

/* ------------------------------------------------------------- broken peers */

TEST_F(ring, a_tail_that_is_impossible_is_eproto_and_passes)
{
	uint64_t item;

	push_up_to(&self->p, 3);
	self->shared->tail = CAPACITY + 1;
	EXPECT_EQ(-EPROTO, pinring_spsc_pop_u64(&self->c, &item));
	self->shared->tail = 0 - 1ull;
	EXPECT_EQ(-EPROTO, pinring_spsc_pop_u64(&self->c, &item));
	self->shared->tail = 3;
	EXPECT_EQ(3u, pop_up_to(&self->c, 10));
}

TEST_F(ring, a_head_that_is_impossible_is_eproto_and_passes)
{
	push_up_to(&self->p, CAPACITY);
	self->shared->head = CAPACITY + 1;
	EXPECT_EQ(-EPROTO, pinring_spsc_push_u64(&self->p, 1));
	self->shared->head = 0 - 1ull;
	EXPECT_EQ(-EPROTO, pinring_spsc_push_u64(&self->p, 1));
	self->shared->head = 1;
	EXPECT_EQ(1u, push_up_to(&self->p, 10));
}

TEST_HARNESS_MAIN
