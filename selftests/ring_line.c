// SPDX-License-Identifier: MIT
/*
 * The line ring: every message arrives once, whole and in order, between threads
 * and between processes, by every verb, over the end of the counters; what full,
 * empty and closed mean. What death and broken peers do is in ring_line_broken.c.
 */
#include <kselftest_harness.h>

#include <pthread.h>
#include <sys/wait.h>

#include <pinring/pinring.h>

#include "line_ring.h"
#include "take_cpu.h"

/* --------------------------------------------------------------- both sides */

/*
 * Sends items first .. first + items by every verb there is, and closes.
 * Returns 0 or the line of what went wrong.
 */
static int produce(struct pinring_line_producer *p, uint64_t first,
		   uint64_t items)
{
	const uint64_t last = first + items;
	uint64_t buffer[8][WORDS];
	struct dice dice = { 1 };
	unsigned int spins = 0;

	take_cpu(1);
	for (uint64_t at = first; at != last;) {
		uint64_t want = 1 + roll(&dice, 8);
		struct pinring_line *lines = NULL;
		int64_t n;

		if (want > last - at)
			want = last - at;
		switch (roll(&dice, 4)) {
		case 0:
			want = 1;
			item_fill(buffer, BYTES, at);
			n = pinring_line_push(p, buffer);
			n = n ? n : 1;
			break;
		case 1:
			want = 1;
			item_fill(buffer, BYTES, at);
			n = pinring_line_push_wait(p, buffer, PINRING_FOREVER);
			n = n ? n : 1;
			break;
		case 2:
			for (uint64_t i = 0; i < want; i++)
				item_fill(buffer[i], BYTES, at + i);
			n = pinring_line_push_batch(p, buffer, want);
			break;
		default:
			n = pinring_line_reserve(p, want, &lines);
			for (int64_t i = 0; i < n; i++)
				item_fill(lines[i].payload, BYTES,
					  at + (uint64_t)i);
			if (n > 0)
				pinring_line_commit(p, (uint64_t)n);
		}
		if (n == -EAGAIN) {
			wait_a_little(&spins);
			continue;
		}
		if (n < 1 || n > (int64_t)want)
			return __LINE__;
		at += (uint64_t)n;
	}
	pinring_line_close_producer(p);
	return 0;
}

static int consume(struct pinring_line_consumer *c, uint64_t first,
		   uint64_t items)
{
	uint64_t buffer[8][WORDS];
	struct dice dice = { 2 };
	unsigned int spins = 0;
	uint64_t at = first;

	take_cpu(0);
	for (;;) {
		uint64_t want = 1 + roll(&dice, 8);
		struct pinring_line *lines = NULL;
		int64_t n;

		switch (roll(&dice, 4)) {
		case 0:
			want = 1;
			n = pinring_line_pop(c, buffer);
			n = n ? n : 1;
			break;
		case 1:
			want = 1;
			n = pinring_line_pop_wait(c, buffer, PINRING_FOREVER);
			n = n ? n : 1;
			break;
		case 2:
			n = pinring_line_pop_batch(c, buffer, want);
			break;
		default:
			n = pinring_line_peek(c, want, &lines);
		}
		if (n == -EAGAIN) {
			wait_a_little(&spins);
			continue;
		}
		if (n == -EPIPE)
			return at == first + items ? 0 : __LINE__;
		if (n < 1 || n > (int64_t)want)
			return __LINE__;
		for (int64_t i = 0; i < n; i++)
			if (!is_item(lines ? lines[i].payload : (void *)buffer[i], at++))
				return __LINE__;
		if (lines)
			pinring_line_release(c, (uint64_t)n);
	}
}

struct job {
	struct pinring_line_producer *p;
	uint64_t first, items;
	int failed_at;
};

static void *producer_thread(void *arg)
{
	struct job *job = arg;

	job->failed_at = produce(job->p, job->first, job->items);
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
	uint64_t capacity, items, first;
};

FIXTURE_VARIANT_ADD(flow, of_2) { 2, 100000, 0 };
FIXTURE_VARIANT_ADD(flow, of_4) { 4, 40000, 0 };
FIXTURE_VARIANT_ADD(flow, of_32) { 32, 300000, 0 };
FIXTURE_VARIANT_ADD(flow, of_1024) { 1024, 3000000, 0 };
FIXTURE_VARIANT_ADD(flow, of_32_over_the_end) { 32, 100000, 0 - 5ull };
FIXTURE_VARIANT_ADD(flow, of_1024_over_the_end) { 1024, 300000, 0 - 1500ull };
FIXTURE_VARIANT_ADD(flow, of_8_MiB) { PINRING_LINES_THROUGHPUT, 2000000, 0 };

FIXTURE_SETUP(flow)
{
	struct pinring_region_config config = pinring_region_defaults(
		16384 + variant->capacity * sizeof(struct pinring_line));
	struct pinring_object_info o;

	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->r));
	ASSERT_EQ(0, pinring_line_create(self->r, "ring", variant->capacity));
	ASSERT_EQ(0, pinring_object_find(self->r, "ring", &o));
	age(pinring_region_at(self->r, o.offset, o.length), variant->first);
}

FIXTURE_TEARDOWN(flow)
{
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

static uint64_t items_of(const FIXTURE_VARIANT(flow) *variant)
{
	return SANITIZED ? variant->items / 10 : variant->items;
}

TEST_F_TIMEOUT(flow, every_message_arrives_once_and_in_order_between_threads, 120)
{
	struct pinring_line_producer p;
	struct pinring_line_consumer c;
	struct job job = { .p = &p, .first = variant->first,
			   .items = items_of(variant) };
	pthread_t thread;

	ASSERT_EQ(0, pinring_line_producer_open(self->r, "ring", &p));
	ASSERT_EQ(0, pinring_line_consumer_open(self->r, "ring", &c));
	ASSERT_EQ(0, pthread_create(&thread, NULL, producer_thread, &job));
	EXPECT_EQ(0, consume(&c, job.first, job.items));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, job.failed_at);
	pinring_line_producer_close(&p);
	pinring_line_consumer_close(&c);
}

TEST_F_TIMEOUT(flow, every_message_arrives_once_and_in_order_between_processes, 120)
{
	struct pinring_line_consumer c;
	int status;
	pid_t pid;

	ASSERT_EQ(0, pinring_line_consumer_open(self->r, "ring", &c));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* By its descriptor, at an address of its own. */
		struct pinring_line_producer p;
		struct pinring_region *mine;

		if (pinring_region_attach(self->device, pinring_region_fd(self->r),
					  &mine) ||
		    pinring_line_producer_open(mine, "ring", &p))
			_exit(1);
		_exit(produce(&p, variant->first, items_of(variant)) != 0);
	}
	EXPECT_EQ(0, consume(&c, variant->first, items_of(variant)));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	pinring_line_consumer_close(&c);
}

/* ----------------------------------------------------------------- the rules */

TEST(capacity_is_a_power_of_two)
{
	static const uint64_t bad[] = { 0, 1, 3, 1000, 1ull << 33, 1ull << 58,
					1ull << 63, UINT64_MAX };
	struct pinring_region_config config = pinring_region_defaults(1 << 16);
	struct pinring_device *device;
	struct pinring_region *r;

	ASSERT_EQ(0, pinring_device_open(NULL, &device));
	ASSERT_EQ(0, pinring_region_create(device, &config, &r));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, pinring_line_create(r, "bad", bad[i]))
			TH_LOG("%llu", (unsigned long long)bad[i]);
		EXPECT_NE(NULL, strstr(pinring_error(), "power of two"));
	}
	EXPECT_EQ(-ENOSPC, pinring_line_create(r, "large", 1ull << 32));
	EXPECT_EQ(-EINVAL, pinring_line_create(r, "", 2));
	EXPECT_EQ(-EINVAL, pinring_line_create(r, NULL, 2));
	EXPECT_EQ(0, pinring_line_create(r, "good", 2));
	EXPECT_EQ(-EEXIST, pinring_line_create(r, "good", 2));
	pinring_region_close(r);
	pinring_device_close(device);
}

TEST(the_presets_are_capacities_and_what_they_are_called)
{
	EXPECT_EQ(256u << 10, PINRING_LINES_LATENCY * sizeof(struct pinring_line));
	EXPECT_EQ(8u << 20, PINRING_LINES_THROUGHPUT * sizeof(struct pinring_line));
	EXPECT_EQ(56, PINRING_LINE_PAYLOAD);
}

TEST_F(ring, full_and_empty_are_eagain)
{
	struct pinring_line *lines = NULL;
	uint64_t item[WORDS] = { 0 };

	EXPECT_EQ(CAPACITY, pinring_line_capacity(&self->p));
	for (int lap = 0; lap < 5; lap++) {
		EXPECT_EQ(0u, pinring_line_count(&self->c));
		EXPECT_EQ(CAPACITY, pinring_line_free(&self->p));
		EXPECT_EQ(-EAGAIN, pinring_line_pop(&self->c, item));
		EXPECT_EQ(-EAGAIN, pinring_line_peek(&self->c, 5, &lines));
		EXPECT_EQ(-EAGAIN, pinring_line_pop_batch(&self->c, item, 1));
		EXPECT_EQ(CAPACITY, push_up_to(&self->p, 1000));
		EXPECT_EQ(CAPACITY, pinring_line_count(&self->c));
		EXPECT_EQ(0u, pinring_line_free(&self->p));
		EXPECT_EQ(-EAGAIN, pinring_line_push(&self->p, item));
		EXPECT_EQ(-EAGAIN, pinring_line_reserve(&self->p, 5, &lines));
		EXPECT_EQ(-EAGAIN, pinring_line_push_batch(&self->p, item, 1));
		EXPECT_EQ(7u, pop_up_to(&self->c, 7));
		pinring_line_flush(&self->c);
		EXPECT_EQ(7u, push_up_to(&self->p, 1000));
		EXPECT_EQ(CAPACITY, pop_up_to(&self->c, 1000));
	}
}

TEST_F(ring, reserving_again_gives_the_same_lines_and_publishes_nothing)
{
	struct pinring_line *first = NULL, *again = NULL;
	uint64_t item[WORDS];

	EXPECT_EQ(4, pinring_line_reserve(&self->p, 4, &first));
	memset(first->payload, 0xff, BYTES);
	EXPECT_EQ(4, pinring_line_reserve(&self->p, 4, &again));
	EXPECT_EQ(first, again);
	EXPECT_EQ(1, pinring_line_reserve(&self->p, 1, &again));
	EXPECT_EQ(first, again);
	EXPECT_EQ(-EAGAIN, pinring_line_pop(&self->c, item));
	EXPECT_EQ(0u, pinring_line_count(&self->c));
}

TEST_F(ring, fewer_may_be_committed_than_were_reserved)
{
	const uint64_t n = variant->first ? 5 : 8; /* up to the array's end */
	struct pinring_line *lines = NULL, *next = NULL;
	uint64_t item[WORDS];

	EXPECT_EQ((int64_t)n, pinring_line_reserve(&self->p, n, &lines));
	for (uint64_t i = 0; i < n; i++)
		item_fill(lines[i].payload, BYTES, 100 + i);
	pinring_line_commit(&self->p, 3);
	EXPECT_LE(1, pinring_line_reserve(&self->p, n, &next));
	EXPECT_EQ(lines + 3, next);
	pinring_line_commit(&self->p, 0);
	EXPECT_EQ(3u, pinring_line_count(&self->c));
	for (uint64_t i = 0; i < 3; i++) {
		EXPECT_EQ(0, pinring_line_pop(&self->c, item));
		EXPECT_TRUE(is_item(item, 100 + i));
	}
	EXPECT_EQ(-EAGAIN, pinring_line_pop(&self->c, item));
}

TEST_F(ring, peeking_takes_nothing_and_fewer_may_be_released)
{
	struct pinring_line *first = NULL, *again = NULL;

	push_up_to(&self->p, 5);
	EXPECT_EQ(5, pinring_line_peek(&self->c, 20, &first));
	EXPECT_EQ(5, pinring_line_peek(&self->c, 20, &again));
	EXPECT_EQ(first, again);
	EXPECT_EQ(2, pinring_line_peek(&self->c, 2, &again));
	EXPECT_EQ(first, again);
	pinring_line_release(&self->c, 3);
	EXPECT_EQ(2, pinring_line_peek(&self->c, 20, &again));
	EXPECT_EQ(first + 3, again);
	EXPECT_EQ(2u, pop_up_to(&self->c, 20));
}

TEST_F(ring, a_run_ends_where_the_array_does)
{
	struct pinring_line *lines = NULL;
	uint64_t to_end = CAPACITY - (variant->first & (CAPACITY - 1));

	EXPECT_EQ((int64_t)to_end, pinring_line_reserve(&self->p, 1000, &lines));
	push_up_to(&self->p, CAPACITY);
	EXPECT_EQ((int64_t)to_end, pinring_line_peek(&self->c, 1000, &lines));
	EXPECT_EQ(CAPACITY, pop_up_to(&self->c, CAPACITY));
	push_up_to(&self->p, to_end - 3);
	pop_up_to(&self->c, to_end - 3);
	pinring_line_flush(&self->c);
	EXPECT_EQ(3, pinring_line_reserve(&self->p, 10, &lines));
	EXPECT_EQ(self->lines + CAPACITY - 3, lines);
	push_up_to(&self->p, 10);
	EXPECT_EQ(3, pinring_line_peek(&self->c, 10, &lines));
	pinring_line_release(&self->c, 3);
	EXPECT_EQ(7, pinring_line_peek(&self->c, 10, &lines));
	EXPECT_EQ(self->lines, lines);
}

TEST_F(ring, batches_go_over_the_end_of_the_array_in_one_call)
{
	uint64_t items[CAPACITY][WORDS], got[CAPACITY][WORDS];

	for (uint64_t start = 0; start < 2 * CAPACITY; start++) {
		for (uint64_t i = 0; i < CAPACITY; i++)
			item_fill(items[i], BYTES, self->p.write + i);
		ASSERT_EQ(CAPACITY, pinring_line_push_batch(&self->p, items, CAPACITY));
		memset(got, 0, sizeof(got));
		ASSERT_EQ(CAPACITY, pinring_line_pop_batch(&self->c, got, CAPACITY));
		ASSERT_EQ(0, memcmp(items, got, sizeof(got)));
		/* One further, for the next turn. */
		ASSERT_EQ(1u, push_up_to(&self->p, 1));
		ASSERT_EQ(1u, pop_up_to(&self->c, 1));
		pinring_line_flush(&self->c);
	}
}

TEST_F(ring, a_batch_has_from_0_to_capacity_items)
{
	uint64_t items[CAPACITY + 1][WORDS] = { { 0 } };
	struct pinring_line *lines = NULL;

	EXPECT_EQ(0, pinring_line_push_batch(&self->p, items, 0));
	EXPECT_EQ(0, pinring_line_pop_batch(&self->c, items, 0));
	EXPECT_EQ(0, pinring_line_reserve(&self->p, 0, &lines));
	EXPECT_EQ(0, pinring_line_peek(&self->c, 0, &lines));
	EXPECT_EQ(CAPACITY, pinring_line_push_batch(&self->p, items, CAPACITY + 1));
	/* Full, empty: 0 items are no news. */
	EXPECT_EQ(0, pinring_line_push_batch(&self->p, items, 0));
	EXPECT_EQ(0, pinring_line_reserve(&self->p, 0, &lines));
	EXPECT_EQ(CAPACITY, pinring_line_pop_batch(&self->c, items, CAPACITY + 1));
	EXPECT_EQ(0, pinring_line_pop_batch(&self->c, items, 0));
}

TEST_F(ring, a_batch_that_does_not_fit_goes_in_part)
{
	uint64_t items[10][WORDS] = { { 0 } };

	push_up_to(&self->p, CAPACITY - 5);
	EXPECT_EQ(5, pinring_line_push_batch(&self->p, items, 10));
	EXPECT_EQ(-EAGAIN, pinring_line_push_batch(&self->p, items, 10));
	EXPECT_EQ(CAPACITY - 5, pop_up_to(&self->c, CAPACITY - 5));
	EXPECT_EQ(5, pinring_line_pop_batch(&self->c, items, 10));
	EXPECT_EQ(-EAGAIN, pinring_line_pop_batch(&self->c, items, 10));
}

TEST_F(ring, lines_are_given_back_an_eighth_of_the_ring_at_a_time)
{
	const uint64_t first = variant->first;
	uint64_t item[WORDS];

	push_up_to(&self->p, 10);
	EXPECT_EQ(3u, pop_up_to(&self->c, 3));
	EXPECT_EQ(first, self->header->head);
	EXPECT_EQ(1u, pop_up_to(&self->c, 1));
	EXPECT_EQ(first + 4, self->header->head);
	EXPECT_EQ(1u, pop_up_to(&self->c, 1));
	pinring_line_flush(&self->c);
	EXPECT_EQ(first + 5, self->header->head);
	EXPECT_EQ(2u, pop_up_to(&self->c, 2));
	EXPECT_EQ(first + 5, self->header->head);
	EXPECT_EQ(3, pinring_line_pop_batch(&self->c, (uint64_t[3][WORDS]){ { 0 } }, 3));
	EXPECT_EQ(first + 10, self->header->head);
	push_up_to(&self->p, 2);
	EXPECT_EQ(2u, pop_up_to(&self->c, 2));
	EXPECT_EQ(-EAGAIN, pinring_line_pop(&self->c, item));
	EXPECT_EQ(first + 12, self->header->head); /* empty */
}

/* What every other producer and consumer has to find. */
TEST_F(ring, a_word_is_the_lap_behind_the_message)
{
	const uint64_t first = variant->first;

	push_up_to(&self->p, 1);
	EXPECT_EQ((first & ~(uint64_t)(CAPACITY - 1)) + CAPACITY,
		  self->lines[first & (CAPACITY - 1)].word);
	pop_up_to(&self->c, 1);
	pinring_line_flush(&self->c);
	EXPECT_EQ((first & ~(uint64_t)(CAPACITY - 1)) + CAPACITY,
		  self->lines[first & (CAPACITY - 1)].word);
	EXPECT_EQ(first + 1, self->header->head);
}

/* -------------------------------------------------------------------- closing */

TEST_F(ring, a_closed_producer_is_drained_and_then_ends)
{
	struct pinring_line *lines = NULL;
	uint64_t item[WORDS];

	push_up_to(&self->p, 2);
	pinring_line_close_producer(&self->p);
	EXPECT_EQ(2u, pop_up_to(&self->c, 10));
	EXPECT_EQ(-EPIPE, pinring_line_pop(&self->c, item));
	EXPECT_EQ(-EPIPE, pinring_line_peek(&self->c, 1, &lines));
	EXPECT_EQ(-EPIPE, pinring_line_pop_batch(&self->c, item, 1));
	EXPECT_EQ(-EPIPE, pinring_line_pop_wait(&self->c, item, PINRING_FOREVER));
	EXPECT_EQ(0, pinring_line_pop_batch(&self->c, item, 0));
}

TEST_F(ring, a_closed_consumer_is_epipe_once_the_known_room_is_used)
{
	struct pinring_line *lines = NULL;
	uint64_t item[WORDS] = { 0 };

	push_up_to(&self->p, 3);
	pop_up_to(&self->c, 3);
	pinring_line_close_consumer(&self->c);
	EXPECT_EQ(variant->first + 3, self->header->head);
	EXPECT_EQ(CAPACITY - 3, push_up_to(&self->p, 1000));
	EXPECT_EQ(-EPIPE, pinring_line_push(&self->p, item));
	EXPECT_EQ(-EPIPE, pinring_line_reserve(&self->p, 1, &lines));
	EXPECT_EQ(-EPIPE, pinring_line_push_batch(&self->p, item, 1));
	EXPECT_EQ(-EPIPE, pinring_line_push_wait(&self->p, item, PINRING_FOREVER));
}

/* Whatever the timing: what was sent before closing is seen before -EPIPE. */
TEST_F_TIMEOUT(ring, nothing_sent_before_closing_is_lost, 120)
{
	for (int round = 0; round < (SANITIZED ? 100 : 400); round++) {
		struct job job = { .p = &self->p, .first = self->p.write,
				   .items = (uint64_t)round % 7 };
		pthread_t thread;

		ASSERT_EQ(0, pthread_create(&thread, NULL, producer_thread, &job));
		ASSERT_EQ(0, consume(&self->c, job.first, job.items));
		ASSERT_EQ(0, pthread_join(thread, NULL));
		ASSERT_EQ(0, job.failed_at);
		__atomic_store_n(&self->header->producer_closed, 0, __ATOMIC_RELAXED);
	}
}

/* -------------------------------------------------------------------- waiting */

TEST_F(ring, waiting_ends_with_a_message_with_room_or_in_time)
{
	struct pinring_wait ready = pinring_line_when_ready(&self->c);
	struct pinring_wait room = pinring_line_when_room(&self->p);
	uint64_t item[WORDS] = { 0 };

	EXPECT_EQ(0, pinring_wait_any(&room, 1, NULL, 0));
	EXPECT_EQ(-ETIMEDOUT, pinring_wait_any(&ready, 1, NULL, 0));
	EXPECT_EQ(-ETIMEDOUT, pinring_line_pop_wait(&self->c, item, 0));
	EXPECT_EQ(-ETIMEDOUT, pinring_line_pop_wait(&self->c, item, 3000000));
	for (uint64_t i = 0; i < CAPACITY; i++) {
		ASSERT_EQ(0, pinring_line_push_wait(&self->p, item, 0));
	}
	EXPECT_EQ(-ETIMEDOUT, pinring_wait_any(&room, 1, NULL, 0));
	EXPECT_EQ(-ETIMEDOUT, pinring_line_push_wait(&self->p, item, 3000000));
	EXPECT_EQ(0, pinring_wait_any(&ready, 1, NULL, 0));
	EXPECT_EQ(0, pinring_line_pop_wait(&self->c, item, 0));
	pinring_line_flush(&self->c);
	EXPECT_EQ(0, pinring_wait_any(&room, 1, NULL, 0));
}

/* Every change that ends a wait finds the sleeper's bit, and counts on. */
TEST_F(ring, whoever_sleeps_is_woken)
{
	struct pinring_sleepers *s = &self->header->sleepers;
	uint64_t items[2][WORDS] = { { 0 } };
	struct pinring_line *lines = NULL;

	s->ready = 1;
	pinring_line_push(&self->p, items);
	EXPECT_EQ(2u, s->ready);
	s->ready = 3;
	pinring_line_push_batch(&self->p, items, 2);
	EXPECT_EQ(4u, s->ready);
	s->ready = 5;
	ASSERT_EQ(1, pinring_line_reserve(&self->p, 1, &lines));
	pinring_line_commit(&self->p, 1);
	EXPECT_EQ(6u, s->ready);
	s->ready = 7;
	pinring_line_close_producer(&self->p);
	EXPECT_EQ(8u, s->ready);

	s->room = 1;
	EXPECT_EQ(0, pinring_line_pop(&self->c, items));
	EXPECT_EQ(1u, s->room); /* nothing was given back yet */
	pinring_line_flush(&self->c);
	EXPECT_EQ(2u, s->room);
	s->room = 3;
	EXPECT_EQ(2, pinring_line_pop_batch(&self->c, items, 2));
	EXPECT_EQ(0, pinring_line_pop(&self->c, items));
	EXPECT_EQ(-EPIPE, pinring_line_pop(&self->c, items));
	EXPECT_EQ(4u, s->room);
	s->room = 5;
	pinring_line_close_consumer(&self->c);
	EXPECT_EQ(6u, s->room);
}

/* A closed handle is nothing; closing it again neither. */
TEST_F(ring, closing_twice_is_once)
{
	close_both(self);
	close_both(self);
}

TEST_HARNESS_MAIN
