// SPDX-License-Identifier: MIT
/*
 * The byte ring: every message arrives once, whole, in one piece and in order,
 * of whatever length, at whatever place, between threads and between processes,
 * and over the end of the counters. What death does to it is in
 * ring_bytes_death.c, what a broken peer does in ring_bytes_hostile.c.
 */
#include "ring_bytes.h"

#include <pthread.h>

#define SHARE (SANITIZED ? 10 : 1) /* a sanitizer is as much slower */
#define BATCH 4
#define LIMIT_MAX 32760u /* of the largest ring here */

/* Short ones and long ones alike, and one in sixteen at the limit. */
static uint64_t length_of(uint64_t index, uint64_t limit)
{
	uint64_t h = item_mix(index ^ 0x6c656e677468);
	uint64_t bytes;

	if (h % 16 == 0)
		return limit - (h >> 8) % 2;
	bytes = (h >> 16) & ((1ull << (h >> 8) % 16) - 1);
	return bytes % (limit + 1);
}

/* --------------------------------------------------------------- both sides */

/* Reserves up to n messages, fills and stages them; publishes if it is to. */
static int64_t stage_some(struct pinring_bytes_producer *p, uint64_t at, uint64_t n,
			  uint64_t limit, bool publish)
{
	void *slot = NULL;
	uint64_t i;
	int rc = 0;

	for (i = 0; i < n; i++) {
		uint64_t bytes = length_of(at + i, limit);

		rc = pinring_bytes_reserve(p, bytes, &slot);
		if (rc)
			break;
		if ((uintptr_t)slot % 8)
			return -EFAULT;
		fill(slot, bytes, at + i);
		pinring_bytes_stage(p, bytes);
	}
	if (i && publish)
		pinring_bytes_publish(p);
	return i ? (int64_t)i : rc;
}

/*
 * Sends messages first .. first + items by every verb there is, and closes.
 * Returns 0 or the line of what went wrong.
 */
static int produce(struct pinring_bytes_producer *p, uint64_t first, uint64_t items)
{
	static _Thread_local unsigned char buffer[BATCH * LIMIT_MAX];
	const uint64_t limit = pinring_bytes_limit(pinring_bytes_capacity(p));
	const uint64_t last = first + items;
	struct dice dice = { first + 1 };
	unsigned int spins = 0;

	take_cpu(1);
	for (uint64_t at = first; at != last;) {
		uint64_t want = 1 + roll(&dice, BATCH);
		uint64_t bytes = length_of(at, limit);
		struct iovec batch[BATCH];
		void *slot = NULL;
		int64_t n;

		if (want > last - at)
			want = last - at;
		switch (roll(&dice, 5)) {
		case 0:
			fill(buffer, bytes, at);
			n = pinring_bytes_push(p, buffer, bytes);
			n = n ? n : 1;
			break;
		case 1:
			for (uint64_t i = 0; i < want; i++) {
				batch[i].iov_base = buffer + i * LIMIT_MAX;
				batch[i].iov_len = length_of(at + i, limit);
				fill(batch[i].iov_base, batch[i].iov_len, at + i);
			}
			n = pinring_bytes_push_batch(p, batch, want);
			break;
		case 2: /* more than it takes */
			n = pinring_bytes_reserve(
				p, bytes + roll(&dice, limit + 1 - bytes), &slot);
			if (n)
				break;
			fill(slot, bytes, at);
			pinring_bytes_commit(p, bytes);
			n = 1;
			break;
		case 3: /* and nothing comes of it */
			n = pinring_bytes_reserve(p, bytes, &slot);
			if (n)
				break;
			memset(slot, 0xff, bytes);
			pinring_bytes_abort(p);
			continue;
		default:
			n = stage_some(p, at, want, limit, roll(&dice, 4) != 0);
		}
		if (n == -EAGAIN) {
			wait_a_little(&spins);
			continue;
		}
		if (n < 1 || n > (int64_t)want)
			return __LINE__;
		at += (uint64_t)n;
	}
	pinring_bytes_close_producer(p);
	return 0;
}

static int consume(struct pinring_bytes_consumer *c, uint64_t first, uint64_t items)
{
	static _Thread_local unsigned char buffer[BATCH * LIMIT_MAX];
	const uint64_t limit = pinring_bytes_limit(c->mask + 1);
	struct dice dice = { first + 2 };
	unsigned int spins = 0;
	uint64_t at = first;

	take_cpu(0);
	for (;;) {
		uint64_t want = 1 + roll(&dice, BATCH);
		struct iovec got[BATCH];
		const void *message = NULL;
		uint64_t bytes = limit;
		bool peeked = false;
		int64_t n;

		for (uint64_t i = 0; i < BATCH; i++) {
			got[i].iov_base = buffer + i * LIMIT_MAX;
			got[i].iov_len = limit;
		}
		switch (roll(&dice, 5)) {
		case 0:
			n = pinring_bytes_pop(c, buffer, &bytes);
			got[0].iov_len = bytes;
			n = n ? n : 1;
			break;
		case 1:
			n = pinring_bytes_pop_batch(c, got, want);
			break;
		case 2:
			n = pinring_bytes_peek(c, &message, &bytes);
			got[0].iov_base = (void *)(uintptr_t)message;
			got[0].iov_len = bytes;
			n = n ? n : 1;
			peeked = true;
			break;
		case 3:
			n = pinring_bytes_peek_batch(c, got, want);
			peeked = true;
			break;
		default: /* a buffer that may be too small */
			bytes = roll(&dice, limit + 1);
			got[0].iov_len = bytes;
			n = pinring_bytes_pop_batch(c, got, 1);
			if (n != -EMSGSIZE)
				break;
			if (got[0].iov_len <= bytes ||
			    got[0].iov_len != length_of(at, limit))
				return __LINE__;
			continue;
		}
		if (n == -EAGAIN) {
			wait_a_little(&spins);
			continue;
		}
		if (n == -EPIPE)
			return at == first + items ? 0 : __LINE__;
		if (n < 1 || n > (int64_t)want)
			return __LINE__;
		for (int64_t i = 0; i < n; i++, at++) {
			if (got[i].iov_len != length_of(at, limit) ||
			    !filled(got[i].iov_base, got[i].iov_len, at))
				return __LINE__;
		}
		if (peeked)
			pinring_bytes_release(c);
	}
}

struct job {
	struct pinring_bytes_producer *p;
	uint64_t first, items;
	int failed_at;
};

static void *producer_thread(void *arg)
{
	struct job *job = arg;

	job->failed_at = produce(job->p, job->first, job->items);
	return NULL;
}

/* ------------------------------------------------- millions, of every length */

FIXTURE(flow)
{
	struct pinring_device *device;
	struct pinring_region *r;
};

FIXTURE_VARIANT(flow)
{
	uint64_t capacity, items;
};

FIXTURE_VARIANT_ADD(flow, c64) { 64, 500000 };
FIXTURE_VARIANT_ADD(flow, c256) { 256, 500000 };
FIXTURE_VARIANT_ADD(flow, c4096) { 4096, 1000000 };
FIXTURE_VARIANT_ADD(flow, c65536) { 65536, 200000 };

FIXTURE_SETUP(flow)
{
	struct pinring_region_config config =
		pinring_region_defaults(16384 + variant->capacity);

	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->r));
	ASSERT_EQ(0, pinring_bytes_create(self->r, "ring", variant->capacity));
}

FIXTURE_TEARDOWN(flow)
{
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

TEST_F_TIMEOUT(flow, every_message_arrives_once_and_in_order_between_threads, 120)
{
	struct pinring_bytes_producer p;
	struct pinring_bytes_consumer c;
	struct job job = { .p = &p, .items = variant->items / SHARE };
	pthread_t thread;

	ASSERT_EQ(0, pinring_bytes_producer_open(self->r, "ring", &p));
	ASSERT_EQ(0, pinring_bytes_consumer_open(self->r, "ring", &c));
	ASSERT_EQ(0, pthread_create(&thread, NULL, producer_thread, &job));
	EXPECT_EQ(0, consume(&c, 0, variant->items / SHARE));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, job.failed_at);
	pinring_bytes_producer_close(&p);
	pinring_bytes_consumer_close(&c);
}

TEST_F_TIMEOUT(flow, every_message_arrives_once_and_in_order_between_processes, 120)
{
	struct pinring_bytes_consumer c;
	int status;
	pid_t pid;

	ASSERT_EQ(0, pinring_bytes_consumer_open(self->r, "ring", &c));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* By its descriptor, at an address of its own. */
		struct pinring_bytes_producer p;
		struct pinring_region *mine;

		if (pinring_region_attach(self->device, pinring_region_fd(self->r),
					  &mine) ||
		    pinring_bytes_producer_open(mine, "ring", &p))
			_exit(1);
		_exit(produce(&p, 0, variant->items / SHARE) != 0);
	}
	EXPECT_EQ(0, consume(&c, 0, variant->items / SHARE));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	pinring_bytes_consumer_close(&c);
}

/* ----------------------------------------------------------------- the rules */

TEST(capacity_is_a_power_of_two_from_64_to_2_to_the_40)
{
	static const uint64_t bad[] = {
		0, 1, 8, 32, 63, 65, 96, 1000, 1ull << 41, 1ull << 63, UINT64_MAX,
	};
	struct pinring_region_config config = pinring_region_defaults(65536);
	struct pinring_bytes_producer p;
	struct pinring_device *device;
	struct pinring_region *r;

	ASSERT_EQ(0, pinring_device_open(NULL, &device));
	ASSERT_EQ(0, pinring_region_create(device, &config, &r));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, pinring_bytes_create(r, "bad", bad[i]))
			TH_LOG("%llu bytes", (unsigned long long)bad[i]);
	}
	EXPECT_STREQ("bad: 18446744073709551615 bytes is not a power of two from 64 to 2^40",
		     pinring_error());
	EXPECT_EQ(-ENOSPC, pinring_bytes_create(r, "large", 1ull << 40));
	EXPECT_EQ(-EINVAL, pinring_bytes_create(r, "", 64));
	EXPECT_EQ(-EINVAL, pinring_bytes_create(r, NULL, 64));
	EXPECT_EQ(-ENOENT, pinring_bytes_producer_open(r, "good", &p));
	EXPECT_EQ(0, pinring_bytes_create(r, "good", 64));
	EXPECT_EQ(-EEXIST, pinring_bytes_create(r, "good", 64));
	EXPECT_EQ(0, pinring_bytes_producer_open(r, "good", &p));
	EXPECT_EQ(64u, pinring_bytes_capacity(&p));
	EXPECT_EQ(24u, pinring_bytes_limit(64));
	pinring_bytes_producer_close(&p);
	pinring_region_close(r);
	pinring_device_close(device);
}

/*
 * Of every length, at every place, also where the counters wrap: an empty ring
 * takes it, in one piece, inside the array, and it comes out as it went in.
 */
TEST_F(ring, every_length_fits_at_every_place_of_an_empty_ring)
{
	for (uint64_t place = 0; place < 2 * CAPACITY; place += 8) {
		age(_metadata, self, place - CAPACITY);
		for (uint64_t bytes = 0; bytes <= LIMIT; bytes++) {
			uint64_t at = place % CAPACITY, length = 0;
			const void *message = NULL;
			void *slot = NULL;

			self->p.write = self->p.published = place - CAPACITY;
			self->p.head = self->p.write;
			self->c.read = self->c.tail = self->c.released = self->p.write;
			if (at + pinring_bytes_record(bytes) > CAPACITY)
				at = 0; /* skipped the rest */
			memset(self->records, 0xff, CAPACITY);
			ASSERT_EQ(0, pinring_bytes_reserve(&self->p, bytes, &slot));
			ASSERT_EQ((void *)(self->records + at + 8), slot);
			fill(slot, bytes, place);
			pinring_bytes_commit(&self->p, bytes);
			ASSERT_EQ(0, pinring_bytes_peek(&self->c, &message, &length));
			ASSERT_EQ(bytes, length);
			ASSERT_EQ((void *)(self->records + at + 8), (void *)message);
			ASSERT_TRUE(filled(message, bytes, place));
			pinring_bytes_release(&self->c);
			ASSERT_EQ(-EAGAIN, pinring_bytes_peek(&self->c, &message, &length));
			ASSERT_EQ(self->p.write, self->shared->head);
		}
		EXPECT_EQ(-EMSGSIZE,
			  pinring_bytes_reserve(&self->p, LIMIT + 1, &(void *){ NULL }));
	}
}

/* At each place as many as there is room for, and not one more or less. */
TEST_F(ring, a_full_ring_has_no_byte_to_spare)
{
	static const uint64_t lengths[] = { 0, 1, 8, 24, 56, 80, LIMIT };
	unsigned char message[LIMIT] = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		const uint64_t bytes = lengths[i], record = (bytes + 15) / 8 * 8;

		for (uint64_t place = 0; place < CAPACITY; place += 8) {
			uint64_t before = (CAPACITY - place) / record;
			uint64_t behind = place / record;
			uint64_t used = behind ? CAPACITY - place + behind * record :
						 before * record;

			age(_metadata, self, place);
			EXPECT_EQ(-EAGAIN, pinring_bytes_pop(&self->c, message,
							     &(uint64_t){ LIMIT }));
			EXPECT_EQ(CAPACITY, pinring_bytes_free(&self->p));
			EXPECT_EQ(0, pinring_bytes_count(&self->c));
			ASSERT_EQ(before + behind, push_up_to(self, bytes, 100, 1000))
				TH_LOG("%u bytes from %u", (unsigned int)bytes,
				       (unsigned int)place);
			EXPECT_EQ(-EAGAIN, pinring_bytes_push(&self->p, message, bytes));
			EXPECT_EQ(used, (uint64_t)pinring_bytes_count(&self->c));
			EXPECT_EQ(CAPACITY - used, (uint64_t)pinring_bytes_free(&self->p));
			ASSERT_EQ(before + behind, pop_up_to(self, bytes, 100, 1000));
		}
	}
}

TEST_F(ring, no_bytes_are_a_message_too)
{
	struct iovec none = { NULL, 0 };
	unsigned char nothing = 77;
	const void *at = NULL;
	uint64_t bytes = 77;

	EXPECT_EQ(0, pinring_bytes_push(&self->p, NULL, 0));
	EXPECT_EQ(1, pinring_bytes_push_batch(&self->p, &none, 1));
	EXPECT_EQ(0, pinring_bytes_push(&self->p, NULL, 0));
	EXPECT_EQ(0, pinring_bytes_peek(&self->c, &at, &bytes));
	EXPECT_EQ(0u, bytes);
	pinring_bytes_release(&self->c);
	EXPECT_EQ(0, pinring_bytes_pop(&self->c, &nothing, &bytes));
	EXPECT_EQ(77, nothing);
	EXPECT_EQ(1, pinring_bytes_pop_batch(&self->c, &none, 1));
	EXPECT_EQ(-EAGAIN, pinring_bytes_pop(&self->c, &nothing, &bytes));
}

TEST_F(ring, one_byte_over_the_limit_is_emsgsize_and_harms_nothing)
{
	static const uint64_t lengths[] = { LIMIT + 1, CAPACITY, UINT64_MAX - 7,
					    UINT64_MAX };
	unsigned char message[LIMIT] = { 0 };
	struct iovec two[2] = { { message, LIMIT }, { message, LIMIT + 1 } };
	void *slot = NULL;

	EXPECT_EQ(LIMIT, pinring_bytes_limit(CAPACITY));
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		EXPECT_EQ(-EMSGSIZE, pinring_bytes_reserve(&self->p, lengths[i], &slot));
		EXPECT_EQ(-EMSGSIZE, pinring_bytes_push(&self->p, message, lengths[i]));
	}
	EXPECT_EQ(-EMSGSIZE, pinring_bytes_push_batch(&self->p, two + 1, 1));
	EXPECT_EQ(0, pinring_bytes_count(&self->c));
	fill(message, LIMIT, 0);
	EXPECT_EQ(1, pinring_bytes_push_batch(&self->p, two, 2)); /* up to it */
	EXPECT_EQ(1u, pop_up_to(self, LIMIT, 0, 10));
}

TEST_F(ring, reserving_again_starts_over_and_abort_leaves_nothing)
{
	void *first = NULL, *again = NULL;
	uint64_t bytes = 0;
	const void *at;

	age(_metadata, self, CAPACITY - 32);
	EXPECT_EQ(0, pinring_bytes_reserve(&self->p, 100, &first));
	EXPECT_EQ((void *)(self->records + 8), first); /* with a skip in front */
	EXPECT_EQ(0, pinring_bytes_reserve(&self->p, 100, &again));
	EXPECT_EQ(first, again);
	pinring_bytes_abort(&self->p);
	EXPECT_EQ(-EAGAIN, pinring_bytes_peek(&self->c, &at, &bytes));
	EXPECT_EQ(0, pinring_bytes_count(&self->c));
	EXPECT_EQ(0, pinring_bytes_reserve(&self->p, 24, &again)); /* and without */
	EXPECT_EQ((void *)(self->records + CAPACITY - 24), again);
	fill(again, 24, 5);
	pinring_bytes_commit(&self->p, 24);
	EXPECT_EQ(1u, pop_up_to(self, 24, 5, 10));
}

TEST_F(ring, fewer_bytes_may_be_committed_than_were_reserved)
{
	void *slot = NULL, *next = NULL;

	for (uint64_t i = 0; i < 100; i++) {
		ASSERT_EQ(0, pinring_bytes_reserve(&self->p, 100, &slot));
		fill(slot, 3, i);
		pinring_bytes_commit(&self->p, 3);
		ASSERT_EQ(0, pinring_bytes_reserve(&self->p, 8, &next));
		ASSERT_TRUE(next == (unsigned char *)slot + 16 ||
			    next == self->records + 8);
		ASSERT_EQ(1u, pop_up_to(self, 3, i, 10));
	}
}

TEST_F(ring, what_is_staged_is_published_at_once_later)
{
	void *slot = NULL;

	for (uint64_t i = 0; i < 3; i++) {
		ASSERT_EQ(0, pinring_bytes_reserve(&self->p, 20, &slot));
		fill(slot, 20, i);
		pinring_bytes_stage(&self->p, 20);
		EXPECT_EQ(0u, self->shared->tail);
		EXPECT_EQ(0u, pop_up_to(self, 20, 0, 1));
	}
	ASSERT_EQ(0, pinring_bytes_reserve(&self->p, 20, &slot));
	pinring_bytes_abort(&self->p);
	pinring_bytes_publish(&self->p);
	EXPECT_EQ(3u, pop_up_to(self, 20, 0, 10));
}

/* Or both sides would wait for ever. */
TEST_F(ring, finding_the_ring_full_publishes_what_is_staged)
{
	uint64_t staged = 0;
	void *slot = NULL;

	while (!pinring_bytes_reserve(&self->p, 24, &slot)) {
		fill(slot, 24, staged++);
		pinring_bytes_stage(&self->p, 24);
		ASSERT_EQ(0u, self->shared->tail);
	}
	EXPECT_EQ(CAPACITY / 32, staged);
	EXPECT_EQ(staged, pop_up_to(self, 24, 0, 1000));
}

TEST_F(ring, closing_either_way_publishes_what_is_staged)
{
	void *slot = NULL;

	ASSERT_EQ(0, pinring_bytes_reserve(&self->p, 24, &slot));
	fill(slot, 24, 0);
	pinring_bytes_stage(&self->p, 24);
	pinring_bytes_producer_close(&self->p);
	EXPECT_EQ(1u, pop_up_to(self, 24, 0, 1000));
	ASSERT_EQ(0, pinring_bytes_producer_open(self->r, "ring", &self->p));
	ASSERT_EQ(0, pinring_bytes_reserve(&self->p, 24, &slot));
	fill(slot, 24, 1);
	pinring_bytes_stage(&self->p, 24);
	pinring_bytes_close_producer(&self->p);
	EXPECT_EQ(1u, pop_up_to(self, 24, 1, 1000));
}

TEST_F(ring, a_batch_that_does_not_fit_goes_in_part)
{
	unsigned char message[LIMIT], out[3][LIMIT];
	struct iovec in[3], got[3];

	fill(message, 100, 7);
	for (int i = 0; i < 3; i++) {
		in[i] = (struct iovec){ message, 100 };
		got[i] = (struct iovec){ out[i], i == 1 ? 99 : LIMIT };
	}
	EXPECT_EQ(0, pinring_bytes_push_batch(&self->p, in, 0));
	EXPECT_EQ(0, pinring_bytes_pop_batch(&self->c, got, 0));
	EXPECT_EQ(0, pinring_bytes_peek_batch(&self->c, got, 0));
	EXPECT_EQ(-EAGAIN, pinring_bytes_pop_batch(&self->c, got, 1));
	EXPECT_EQ(-EAGAIN, pinring_bytes_peek_batch(&self->c, got, 1));
	EXPECT_EQ(2, pinring_bytes_push_batch(&self->p, in, 3));
	EXPECT_EQ(-EAGAIN, pinring_bytes_push_batch(&self->p, in, 1));
	EXPECT_EQ(0, pinring_bytes_push_batch(&self->p, in, 0));
	EXPECT_EQ(1, pinring_bytes_pop_batch(&self->c, got, 3)); /* 99 are too few */
	EXPECT_EQ(100u, got[0].iov_len);
	EXPECT_EQ(99u, got[1].iov_len);
	EXPECT_TRUE(filled(out[0], 100, 7));
	EXPECT_EQ(-EMSGSIZE, pinring_bytes_pop_batch(&self->c, got + 1, 1));
	EXPECT_EQ(100u, got[1].iov_len);
	EXPECT_EQ(1, pinring_bytes_pop_batch(&self->c, got + 1, 2));
	EXPECT_TRUE(filled(out[1], 100, 7));
}

TEST_F(ring, peeking_takes_nothing_and_release_takes_all_it_showed)
{
	const void *first = NULL, *again = NULL;
	struct iovec seen[5];
	uint64_t bytes = 0;

	age(_metadata, self, CAPACITY - 64);
	EXPECT_EQ(4u, push_up_to(self, 20, 0, 4)); /* two before the end */
	EXPECT_EQ(0, pinring_bytes_peek(&self->c, &first, &bytes));
	EXPECT_EQ(0, pinring_bytes_peek(&self->c, &again, &bytes));
	EXPECT_EQ(first, again);
	EXPECT_EQ(4, pinring_bytes_peek_batch(&self->c, seen, 5));
	for (uint64_t i = 0; i < 4; i++) {
		EXPECT_EQ(20u, seen[i].iov_len);
		EXPECT_TRUE(filled(seen[i].iov_base, 20, i));
	}
	EXPECT_EQ(2, pinring_bytes_peek_batch(&self->c, seen, 2));
	pinring_bytes_release(&self->c);
	pinring_bytes_release(&self->c); /* there is nothing more of it */
	EXPECT_EQ(2u, pop_up_to(self, 20, 2, 10));
}

TEST_F(ring, a_buffer_too_small_is_told_the_size_and_the_message_stays)
{
	unsigned char message[LIMIT], untouched[LIMIT];
	uint64_t bytes = 49;

	memset(message, 0xee, LIMIT);
	memset(untouched, 0xee, LIMIT);
	push_up_to(self, 50, 0, 2);
	EXPECT_EQ(-EMSGSIZE, pinring_bytes_pop(&self->c, message, &bytes));
	EXPECT_EQ(50u, bytes);
	EXPECT_EQ(0, memcmp(message, untouched, LIMIT));
	EXPECT_EQ(0, pinring_bytes_pop(&self->c, message, &bytes));
	EXPECT_TRUE(filled(message, 50, 0));
	EXPECT_EQ(1u, pop_up_to(self, 50, 1, 10));
}

/* ring_bytes.h: an eighth of the ring at a time, when empty, and when asked. */
TEST_F(ring, room_is_given_back_an_eighth_of_the_ring_at_a_time)
{
	unsigned char none = 0;

	EXPECT_EQ(CAPACITY / 8, push_up_to(self, 0, 0, 1000));
	EXPECT_EQ(3u, pop_up_to(self, 0, 0, 3));
	EXPECT_EQ(0u, self->shared->head);
	EXPECT_EQ(-EAGAIN, pinring_bytes_push(&self->p, &none, 0));
	EXPECT_EQ(1u, pop_up_to(self, 0, 0, 1));
	EXPECT_EQ(32u, self->shared->head);
	EXPECT_EQ(4u, push_up_to(self, 0, 0, 10));
	EXPECT_EQ(1u, pop_up_to(self, 0, 0, 1));
	pinring_bytes_flush(&self->c);
	EXPECT_EQ(40u, self->shared->head);
}

TEST_F(ring, finding_the_ring_empty_gives_back_at_once)
{
	push_up_to(self, 8, 0, 1);
	EXPECT_EQ(1u, pop_up_to(self, 8, 0, 1));
	EXPECT_EQ(0u, self->shared->head);
	EXPECT_EQ(0u, pop_up_to(self, 8, 0, 1));
	EXPECT_EQ(16u, self->shared->head);
}

/* -------------------------------------------------------------------- waiting */
TEST_F(ring, waiting_for_room_is_for_the_message_that_was_refused)
{
	struct pinring_wait room = pinring_bytes_when_room(&self->p);
	unsigned char message[LIMIT] = { 0 };

	EXPECT_EQ(0, pinring_wait_any(&room, 1, NULL, 0));
	EXPECT_EQ(CAPACITY / 16, push_up_to(self, 8, 0, 1000));
	EXPECT_EQ(-EAGAIN, pinring_bytes_push(&self->p, message, LIMIT));
	for (uint64_t i = 0; i < 8; i++) {
		EXPECT_EQ(-ETIMEDOUT, pinring_wait_any(&room, 1, NULL, 0));
		EXPECT_EQ(1u, pop_up_to(self, 8, i, 1));
		pinring_bytes_flush(&self->c);
	}
	EXPECT_EQ(0, pinring_wait_any(&room, 1, NULL, 0));
	EXPECT_EQ(0, pinring_bytes_push(&self->p, message, LIMIT));
	/* And now for a short one, of which there is room sooner. */
	EXPECT_EQ(-ETIMEDOUT, pinring_bytes_push_wait(&self->p, message, 0, 0));
	EXPECT_EQ(1u, pop_up_to(self, 8, 8, 1));
	pinring_bytes_flush(&self->c);
	EXPECT_EQ(0, pinring_wait_any(&room, 1, NULL, 0));
	EXPECT_EQ(0, pinring_bytes_push_wait(&self->p, message, 0, 0));
}

/* What is skipped must be free as well. */
TEST_F(ring, waiting_for_room_counts_what_is_skipped)
{
	struct pinring_wait room = pinring_bytes_when_room(&self->p);
	unsigned char message[LIMIT] = { 0 };

	push_up_to(self, LIMIT - 24, 0, 2); /* 208 bytes, the rest is too short */
	EXPECT_EQ(-EAGAIN, pinring_bytes_push(&self->p, message, LIMIT - 24));
	EXPECT_EQ(-ETIMEDOUT, pinring_wait_any(&room, 1, NULL, 0));
	EXPECT_EQ(1u, pop_up_to(self, LIMIT - 24, 0, 1)); /* 104 + 48 free */
	pinring_bytes_flush(&self->c);
	EXPECT_EQ(0, pinring_wait_any(&room, 1, NULL, 0));
	EXPECT_EQ(0, pinring_bytes_push(&self->p, message, LIMIT - 24));
	EXPECT_EQ(-EAGAIN, pinring_bytes_push(&self->p, message, 0));
}

TEST_F(ring, waiting_ends_with_a_message_in_time_or_with_the_other_side)
{
	unsigned char message[LIMIT];
	struct iovec batch = { message, 8 };
	uint64_t bytes = LIMIT;

	EXPECT_EQ(-ETIMEDOUT, pinring_bytes_pop_wait(&self->c, message, &bytes, 0));
	EXPECT_EQ(-ETIMEDOUT, pinring_bytes_pop_wait(&self->c, message, &bytes, 3000000));
	push_up_to(self, 50, 0, 1);
	bytes = 49;
	EXPECT_EQ(-EMSGSIZE, pinring_bytes_pop_wait(&self->c, message, &bytes, 0));
	EXPECT_EQ(0, pinring_bytes_pop_wait(&self->c, message, &bytes, 0));
	EXPECT_EQ(-EMSGSIZE, pinring_bytes_push_wait(&self->p, message, LIMIT + 1, -1));
	push_up_to(self, 8, 0, 1000);
	EXPECT_EQ(-ETIMEDOUT, pinring_bytes_push_wait(&self->p, message, 8, 3000000));
	self->shared->head = 4;
	EXPECT_EQ(-EPROTO, pinring_bytes_push_wait(&self->p, message, 8, PINRING_FOREVER));
	self->shared->head = 8 * CAPACITY;
	EXPECT_EQ(-EPROTO, pinring_bytes_push_wait(&self->p, message, 8, PINRING_FOREVER));
	self->shared->head = self->c.released;
	pinring_bytes_close_consumer(&self->c);
	EXPECT_EQ(-EPIPE, pinring_bytes_push_wait(&self->p, message, 8, PINRING_FOREVER));
	EXPECT_EQ(-EPIPE, pinring_bytes_push_batch(&self->p, &batch, 1));
	pop_up_to(self, 8, 0, 1000);
	pinring_bytes_close_producer(&self->p);
	EXPECT_EQ(-EPIPE, pinring_bytes_pop_wait(&self->c, message, &bytes, PINRING_FOREVER));
}

/* Who changed something counts the word on where somebody may sleep. */
TEST_F(ring, every_change_wakes)
{
	struct pinring_sleepers *s = &self->shared->sleepers;
	unsigned char message[LIMIT];
	uint64_t bytes = LIMIT;

	s->ready = s->room = 1;
	push_up_to(self, LIMIT, 0, 1);
	EXPECT_EQ(2u, s->ready);
	EXPECT_EQ(1u, s->room);
	EXPECT_EQ(0, pinring_bytes_pop(&self->c, message, &bytes));
	EXPECT_EQ(2u, s->room);
	s->ready = s->room = 1;
	pinring_bytes_close_producer(&self->p);
	EXPECT_EQ(2u, s->ready);
	pinring_bytes_close_consumer(&self->c);
	EXPECT_EQ(2u, s->room);
}

static void *produce_and_wait(void *arg)
{
	static unsigned char buffer[LIMIT_MAX];
	struct job *job = arg;
	const uint64_t limit = pinring_bytes_limit(pinring_bytes_capacity(job->p));

	for (uint64_t i = 0; i < job->items && !job->failed_at; i++) {
		uint64_t bytes = length_of(i, limit);

		fill(buffer, bytes, i);
		if (pinring_bytes_push_wait(job->p, buffer, bytes, PINRING_FOREVER))
			job->failed_at = __LINE__;
	}
	pinring_bytes_close_producer(job->p);
	return NULL;
}

TEST_F_TIMEOUT(ring, two_that_wait_for_one_another_both_go_on, 60)
{
	struct job job = { .p = &self->p, .items = 100000 / SHARE };
	unsigned char message[LIMIT];
	pthread_t thread;
	uint64_t i = 0;
	int rc;

	ASSERT_EQ(0, pthread_create(&thread, NULL, produce_and_wait, &job));
	for (;; i++) {
		uint64_t bytes = LIMIT;

		rc = pinring_bytes_pop_wait(&self->c, message, &bytes, PINRING_FOREVER);
		if (rc)
			break;
		ASSERT_EQ(length_of(i, LIMIT), bytes);
		ASSERT_TRUE(filled(message, bytes, i));
	}
	EXPECT_EQ(-EPIPE, rc);
	EXPECT_EQ(job.items, i);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, job.failed_at);
}

/* -------------------------------------------------------------------- closing */

TEST_F(ring, after_the_producer_closes_the_consumer_drains_then_gets_epipe)
{
	unsigned char message[LIMIT];
	struct iovec seen;
	uint64_t bytes = LIMIT;
	const void *at;

	push_up_to(self, 9, 0, 5);
	pinring_bytes_close_producer(&self->p);
	EXPECT_EQ(5u, pop_up_to(self, 9, 0, 5));
	EXPECT_EQ(-EPIPE, pinring_bytes_peek(&self->c, &at, &bytes));
	EXPECT_EQ(-EPIPE, pinring_bytes_peek_batch(&self->c, &seen, 1));
	EXPECT_EQ(-EPIPE, pinring_bytes_pop(&self->c, message, &bytes));
	EXPECT_EQ(-EPIPE, pinring_bytes_pop_batch(&self->c, &seen, 1));
}

TEST_F(ring, after_the_consumer_closes_a_full_ring_is_epipe)
{
	unsigned char message[LIMIT] = { 0 };
	struct iovec one = { message, 8 };
	void *slot = NULL;

	push_up_to(self, 8, 0, 1000);
	pop_up_to(self, 8, 0, 1);
	pinring_bytes_close_consumer(&self->c);
	EXPECT_EQ(16u, self->shared->head); /* what was read is given back */
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(-EPIPE, pinring_bytes_push(&self->p, message, 8));
		EXPECT_EQ(-EPIPE, pinring_bytes_reserve(&self->p, 8, &slot));
		EXPECT_EQ(-EPIPE, pinring_bytes_push_batch(&self->p, &one, 1));
		pinring_bytes_free(&self->p); /* a look at head changes nothing */
	}
}

/* Whatever the timing: what was sent before closing is seen before -EPIPE. */
TEST_F_TIMEOUT(ring, nothing_sent_before_closing_is_lost, 120)
{
	for (int round = 0; round < 2000 / SHARE; round++) {
		struct job job = { .p = &self->p, .first = (uint64_t)round,
				   .items = (uint64_t)round % 7 };
		pthread_t thread;

		ASSERT_EQ(0, pthread_create(&thread, NULL, producer_thread, &job));
		ASSERT_EQ(0, consume(&self->c, job.first, job.items));
		ASSERT_EQ(0, pthread_join(thread, NULL));
		ASSERT_EQ(0, job.failed_at);
		__atomic_store_n(&self->shared->producer_closed, 0, __ATOMIC_RELAXED);
	}
}

/* ---------------------------------------------------------- end of the numbers */

TEST_F(ring, counters_wrap_in_the_middle_of_a_full_ring)
{
	age(_metadata, self, 0 - 40ull);
	EXPECT_EQ(CAPACITY / 8, push_up_to(self, 0, 0, 1000));
	EXPECT_EQ(CAPACITY - 40u, self->shared->tail);
	EXPECT_EQ(0, pinring_bytes_free(&self->p));
	EXPECT_EQ(CAPACITY, pinring_bytes_count(&self->c));
	close_both(self);
	open_both(_metadata, self);
	EXPECT_EQ(CAPACITY / 8, pop_up_to(self, 0, 0, 1000));
	EXPECT_EQ(CAPACITY - 40u, self->shared->head);
	EXPECT_EQ(CAPACITY / 8, push_up_to(self, 0, 0, 1000));
	EXPECT_EQ(CAPACITY / 8, pop_up_to(self, 0, 0, 1000));
}

TEST_F_TIMEOUT(ring, counters_wrap_while_two_threads_run, 120)
{
	struct job job = { .p = &self->p, .items = 1000 };

	for (uint64_t i = 0; i < 16; i++) {
		pthread_t thread;

		self->shared->producer_closed = 0;
		age(_metadata, self, 0 - 8 * (1 + 7 * i));
		ASSERT_EQ(0, pthread_create(&thread, NULL, producer_thread, &job));
		EXPECT_EQ(0, consume(&self->c, 0, job.items));
		ASSERT_EQ(0, pthread_join(thread, NULL));
		EXPECT_EQ(0, job.failed_at);
		EXPECT_GT(1ull << 32, self->p.write);
	}
}

TEST_HARNESS_MAIN
