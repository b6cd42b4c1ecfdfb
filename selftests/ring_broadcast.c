// SPDX-License-Identifier: MIT
/*
 * The broadcast ring, verb by verb, in one thread: every consumer sees every
 * message, or is told how many it missed; for one producer and many, gated and
 * lapping, over the end of the counters. Crowds are in ring_broadcast_crowd.c,
 * death in ring_broadcast_death.c.
 */
#include <kselftest_harness.h>

#include <pthread.h>

#include "broadcast.h"

#define CAPACITY 64u
#define PARTIES 12

FIXTURE(broadcast)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_broadcast_producer p;
	struct pinring_broadcast_consumer a, b;
	struct pinring_broadcast_header *header;
	uint64_t depth; /* messages that fit */
	bool lapping, many;
};

FIXTURE_VARIANT(broadcast)
{
	uint32_t flags;
	uint64_t slot_bytes;
	uint64_t first_ticket; /* of the ring's life */
};

/* A little before the tickets wrap, and before the laps in a word do. */
#define OLD (UINT64_MAX - 10 * CAPACITY + 1)
#define LAPS_OLD ((1ull << 53) * CAPACITY - 10 * CAPACITY)

FIXTURE_VARIANT_ADD(broadcast, gated) { 0, 8, 0 };
FIXTURE_VARIANT_ADD(broadcast, gated_old) { 0, 56, OLD };
FIXTURE_VARIANT_ADD(broadcast, lapping) { LAPPING, 8, 0 };
FIXTURE_VARIANT_ADD(broadcast, lapping_old) { LAPPING, 56, OLD };
FIXTURE_VARIANT_ADD(broadcast, gated_many) { MANY, 8, 0 };
FIXTURE_VARIANT_ADD(broadcast, gated_many_old) { MANY, 56, OLD };
FIXTURE_VARIANT_ADD(broadcast, gated_many_laps_old) { MANY, 8, LAPS_OLD };
FIXTURE_VARIANT_ADD(broadcast, lapping_many) { LAPPING | MANY, 8, 0 };
FIXTURE_VARIANT_ADD(broadcast, lapping_many_old) { LAPPING | MANY, 56, OLD };
FIXTURE_VARIANT_ADD(broadcast, lapping_many_laps_old) { LAPPING | MANY, 8, LAPS_OLD };

FIXTURE_SETUP(broadcast)
{
	struct pinring_region_config config = pinring_region_defaults(1 << 17);
	struct pinring_object_info o;

	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->r));
	ASSERT_EQ(0, pinring_broadcast_create(self->r, "ring", CAPACITY,
					      variant->slot_bytes,
					      variant->flags, PARTIES));
	ASSERT_EQ(0, pinring_object_find(self->r, "ring", &o));
	self->header = pinring_region_at(self->r, o.offset, o.length);
	if (variant->first_ticket)
		age(self->header, variant->first_ticket);
	ASSERT_EQ(0, pinring_broadcast_producer_open(self->r, "ring", &self->p));
	ASSERT_EQ(0, pinring_broadcast_consumer_open(
			     self->r, "ring", PINRING_BROADCAST_AT_TAIL, &self->a));
	ASSERT_EQ(0, pinring_broadcast_consumer_open(
			     self->r, "ring", PINRING_BROADCAST_AT_TAIL, &self->b));
	self->lapping = variant->flags & LAPPING;
	self->many = variant->flags & MANY;
	self->depth = CAPACITY - (variant->flags == MANY);
}

FIXTURE_TEARDOWN(broadcast)
{
	pinring_broadcast_producer_close(&self->p);
	pinring_broadcast_consumer_close(&self->a);
	pinring_broadcast_consumer_close(&self->b);
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

static struct pinring_broadcast_info info_of(const struct pinring_broadcast_side *s)
{
	struct pinring_broadcast_info info =
		PINRING_INIT(struct pinring_broadcast_info);

	pinring_broadcast_info(s, &info);
	return info;
}

/* ---------------------------------------------------------------- delivery */
TEST_F(broadcast, every_consumer_gets_every_message_in_order)
{
	for (uint64_t i = 0; i < 30 * CAPACITY; i++) {
		ASSERT_EQ(0, push(&self->p, 2 * i));
		ASSERT_EQ(2 * i, pop(&self->a));
		ASSERT_EQ(0, push(&self->p, 2 * i + 1));
		ASSERT_EQ(2 * i, pop(&self->b));
		ASSERT_EQ(2 * i + 1, pop(&self->a));
		ASSERT_EQ(2 * i + 1, pop(&self->b));
	}
	EXPECT_EQ(NOTHING, pop(&self->a));
	EXPECT_EQ(NOTHING, pop(&self->b));
	EXPECT_EQ(60 * CAPACITY, pinring_broadcast_received(&self->a));
	EXPECT_EQ(0, pinring_broadcast_missed(&self->a));
}

TEST_F(broadcast, the_slowest_consumer_gates)
{
	if (self->lapping)
		return; /* nobody gates a lapping ring */
	for (int lap = 0; lap < 15; lap++) {
		for (uint64_t i = 0; i < self->depth; i++) {
			ASSERT_EQ(self->depth - i, pinring_broadcast_free(&self->p));
			ASSERT_EQ(0, push(&self->p, i));
			ASSERT_EQ(i, pop(&self->a));
		}
		EXPECT_EQ(0, pinring_broadcast_free(&self->p));
		EXPECT_EQ(self->depth, pinring_broadcast_count(&self->b));
		EXPECT_EQ(self->depth, info_of(&self->b.side).behind);
		EXPECT_EQ(-EAGAIN, push(&self->p, 99));
		EXPECT_EQ(NOTHING, pop(&self->a));
		EXPECT_EQ(-EAGAIN, push(&self->p, 99));
		for (uint64_t i = 0; i < self->depth; i++) {
			ASSERT_EQ(i, pop(&self->b));
		}
		EXPECT_EQ(NOTHING, pop(&self->b)); /* and all is given back */
		EXPECT_EQ(0, pinring_broadcast_count(&self->b));
	}
	EXPECT_EQ(self->depth, pinring_broadcast_capacity(&self->p.side));
}

TEST_F(broadcast, slots_are_given_back_lazily_or_by_flush)
{
	if (self->lapping)
		return; /* a lapping ring's slots are not given back */
	pinring_broadcast_consumer_close(&self->b);
	while (!push(&self->p, 1))
		;
	for (uint64_t i = 1; i < self->depth / 8; i++) {
		ASSERT_EQ(1, pop(&self->a));
	}
	EXPECT_EQ(-EAGAIN, push(&self->p, 2));
	pinring_broadcast_flush(&self->a);
	EXPECT_EQ(self->depth / 8 - 1, pinring_broadcast_free(&self->p));
	EXPECT_EQ(0, push(&self->p, 2));
	for (uint64_t i = 0; i < self->depth / 8; i++) {
		ASSERT_EQ(1, pop(&self->a));
	}
	EXPECT_EQ(2 * (self->depth / 8) - 2, pinring_broadcast_free(&self->p));
}

TEST_F(broadcast, without_consumers_nothing_is_ever_full)
{
	pinring_broadcast_consumer_close(&self->a);
	pinring_broadcast_consumer_close(&self->b);
	for (uint64_t i = 0; i < 30 * CAPACITY; i++) {
		ASSERT_EQ(0, push(&self->p, i));
	}
	ASSERT_EQ(0, pinring_broadcast_consumer_open(
			     self->r, "ring", PINRING_BROADCAST_AT_TAIL, &self->a));
	EXPECT_EQ(NOTHING, pop(&self->a));
	ASSERT_EQ(0, push(&self->p, 7));
	EXPECT_EQ(7, pop(&self->a));
}

TEST_F(broadcast, a_slot_that_is_still_read_is_not_written)
{
	void *slots;

	if (self->lapping)
		return; /* a lapping ring's are */
	ASSERT_EQ(0, push(&self->p, 7));
	ASSERT_EQ(7, pop(&self->b));
	ASSERT_EQ(1, pinring_broadcast_peek(&self->a, 1, &slots));
	while (!push(&self->p, 8))
		;
	while (pop(&self->b) == 8)
		;
	EXPECT_EQ(-EAGAIN, push(&self->p, 9));
	EXPECT_EQ(7, *(uint64_t *)slots);
	EXPECT_EQ(1, pinring_broadcast_release(&self->a, 1));
	pinring_broadcast_flush(&self->a);
	EXPECT_EQ(0, push(&self->p, 9));
}

/* ------------------------------------------------------------------ verbs */
TEST_F(broadcast, what_is_reserved_is_not_seen_before_it_is_committed)
{
	void *slots;

	for (int round = 0; round < 40; round++) {
		ASSERT_EQ(1, pinring_broadcast_reserve(&self->p, 1, &slots));
		EXPECT_EQ(NOTHING, pop(&self->a));
		write_item(&self->p.side, slots, 5);
		EXPECT_EQ(NOTHING, pop(&self->a));
		pinring_broadcast_commit(&self->p, 1);
		EXPECT_EQ(5, pop(&self->a));
		EXPECT_EQ(5, pop(&self->b));
	}
}

TEST_F(broadcast, of_many_nothing_overtakes_what_is_reserved)
{
	struct pinring_broadcast_producer other;
	void *slots;

	if (!self->many)
		return; /* there is one */
	ASSERT_EQ(0, pinring_broadcast_producer_open(self->r, "ring", &other));
	ASSERT_EQ(1, pinring_broadcast_reserve(&self->p, 1, &slots));
	ASSERT_EQ(0, push(&other, 2));
	EXPECT_EQ(NOTHING, pop(&self->a));
	write_item(&self->p.side, slots, 1);
	pinring_broadcast_commit(&self->p, 1);
	EXPECT_EQ(1, pop(&self->a));
	EXPECT_EQ(2, pop(&self->a));
	pinring_broadcast_producer_close(&other);
}

TEST_F(broadcast, what_is_aborted_is_never_seen)
{
	uint64_t voids = 0;
	int64_t n;
	void *slots;

	for (int round = 0; round < 40; round++) {
		ASSERT_EQ(0, push(&self->p, 1));
		n = pinring_broadcast_reserve(&self->p, 5, &slots);
		ASSERT_LT(0, n);
		pinring_broadcast_abort(&self->p);
		voids += (uint64_t)n;
		ASSERT_EQ(0, push(&self->p, 2));
		n = pinring_broadcast_reserve(&self->p, 3, &slots);
		ASSERT_LT(0, n);
		write_item(&self->p.side, slots, 3);
		pinring_broadcast_commit(&self->p, 1);
		voids += (uint64_t)n - 1;
		EXPECT_EQ(1, pop(&self->a));
		EXPECT_EQ(2, pop(&self->a));
		EXPECT_EQ(3, pop(&self->a));
		EXPECT_EQ(NOTHING, pop(&self->a));
		while (pop(&self->b) != NOTHING)
			;
	}
	if (!self->many)
		voids = 0;
	EXPECT_EQ(voids, info_of(&self->a.side).voided);
	EXPECT_EQ(voids, self->a.skipped);
	EXPECT_EQ(120, pinring_broadcast_received(&self->a));
	EXPECT_EQ(0, pinring_broadcast_missed(&self->a));
	EXPECT_EQ(info_of(&self->a.side).reserved - variant->first_ticket,
		  120 + voids);
}

TEST_F(broadcast, a_ring_full_of_void_slots_is_empty)
{
	void *slots;

	if (!self->many)
		return; /* one producer leaves none */
	for (int i = 0; i < 5; i++)
		if (pinring_broadcast_reserve(&self->p, CAPACITY, &slots) > 0)
			pinring_broadcast_abort(&self->p);
	EXPECT_EQ(self->lapping ? 0 : -EAGAIN, push(&self->p, 2));
	EXPECT_EQ(self->lapping ? 2 : NOTHING, pop(&self->a));
	EXPECT_EQ(self->lapping ? 2 : NOTHING, pop(&self->b));
	EXPECT_EQ(0, push(&self->p, 3));
	EXPECT_EQ(3, pop(&self->a));
}

TEST_F(broadcast, batches_go_around_the_end)
{
	uint64_t items[CAPACITY * 7], got[CAPACITY * 7];
	const uint64_t w = variant->slot_bytes / 8;
	struct dice dice = { 3 };
	uint64_t sent = 0, seen = 0;

	for (int round = 0; round < 400; round++) {
		uint64_t n = 1 + roll(&dice, self->depth);
		int64_t k;

		for (uint64_t i = 0; i < n; i++)
			item_fill(items + i * w, w * 8, sent + i);
		k = pinring_broadcast_push_batch(&self->p, items, n);
		ASSERT_LT(0, k);
		if (!self->many) {
			ASSERT_EQ((int64_t)n, k);
		}
		sent += (uint64_t)k;
		while (pop(&self->b) != NOTHING)
			;
		while (seen < sent) {
			k = pinring_broadcast_pop_batch(&self->a, got,
							1 + roll(&dice, CAPACITY));
			ASSERT_LT(0, k);
			for (int64_t i = 0; i < k; i++, seen++) {
				ASSERT_EQ(seen, got[(uint64_t)i * w]);
				ASSERT_TRUE(item_is_whole(got + (uint64_t)i * w,
							  w * 8));
			}
		}
		ASSERT_EQ(-EAGAIN, pinring_broadcast_pop_batch(&self->a, got, 9));
	}
	EXPECT_EQ(0, pinring_broadcast_push_batch(&self->p, items, 0));
	EXPECT_EQ(0, pinring_broadcast_pop_batch(&self->a, got, 0));
}

TEST_F(broadcast, spans_are_read_and_written_in_place)
{
	void *slots;
	uint64_t sent = 0, seen = 0;

	for (int round = 0; round < 300; round++) {
		int64_t n = pinring_broadcast_reserve(&self->p, 7, &slots);

		ASSERT_LT(0, n);
		ASSERT_GE(7, n);
		if (!self->many) {
			EXPECT_EQ(variant->slot_bytes, self->p.side.stride);
		}
		for (int64_t i = 0; i < n; i++)
			write_item(&self->p.side,
				   pinring_broadcast_slot(&self->p.side, slots,
							  (uint64_t)i),
				   sent++);
		pinring_broadcast_commit(&self->p, (uint64_t)n);
		while (seen < sent) {
			n = pinring_broadcast_peek(&self->a, 9, &slots);
			ASSERT_LT(0, n);
			/* Again, it is the same. */
			ASSERT_EQ(n, pinring_broadcast_peek(&self->a,
							    (uint64_t)n, &slots));
			for (int64_t i = 0; i < n; i++, seen++) {
				void *slot = pinring_broadcast_slot(
					&self->a.side, slots, (uint64_t)i);

				ASSERT_EQ(seen, read_item(&self->a.side, slot));
			}
			ASSERT_EQ(n, pinring_broadcast_release(&self->a,
							       (uint64_t)n));
		}
		while (pop(&self->b) != NOTHING)
			;
	}
}

TEST_F(broadcast, words_of_eight_bytes_have_verbs_of_their_own)
{
	uint64_t item = 0;

	if (variant->slot_bytes != 8)
		return; /* slots are wider */
	for (uint64_t i = 0; i < 30 * CAPACITY; i++) {
		ASSERT_EQ(0, pinring_broadcast_push_u64(&self->p, i));
		ASSERT_EQ(0, pinring_broadcast_pop_u64(&self->a, &item));
		ASSERT_EQ(i, item);
		ASSERT_EQ(0, pinring_broadcast_pop_u64(&self->b, &item));
		ASSERT_EQ(i, item);
	}
	EXPECT_EQ(-EAGAIN, pinring_broadcast_pop_u64(&self->a, &item));
	EXPECT_EQ(-EAGAIN, pinring_broadcast_pop_u64(&self->b, &item));
	if (self->lapping)
		return;
	for (uint64_t i = 0; i < self->depth; i++) {
		ASSERT_EQ(0, pinring_broadcast_push_u64(&self->p, i));
	}
	EXPECT_EQ(-EAGAIN, pinring_broadcast_push_u64(&self->p, 1));
}

TEST_F(broadcast, a_producer_holds_one_run_at_a_time)
{
	void *slots;

	ASSERT_EQ(2, pinring_broadcast_reserve(&self->p, 2, &slots));
	EXPECT_EQ(-EBUSY, pinring_broadcast_reserve(&self->p, 1, &slots));
	EXPECT_EQ(-EBUSY, push(&self->p, 1));
	pinring_broadcast_abort(&self->p);
	EXPECT_EQ(0, pinring_broadcast_reserve(&self->p, 0, &slots));
	EXPECT_EQ(0, push(&self->p, 1));
	EXPECT_EQ(0, pinring_broadcast_peek(&self->a, 0, &slots));
	EXPECT_EQ(0, pinring_broadcast_release(&self->a, 5)); /* of none peeked */
	EXPECT_EQ(1, pop(&self->a));
}

/* ------------------------------------------------------------ come and go */
TEST_F(broadcast, one_that_comes_gets_what_is_sent_from_then_on)
{
	struct pinring_broadcast_consumer late;

	for (uint64_t i = 0; i < 20 * CAPACITY; i++) {
		ASSERT_EQ(0, push(&self->p, i));
		ASSERT_EQ(0, pinring_broadcast_consumer_open(
				     self->r, "ring", PINRING_BROADCAST_AT_TAIL,
				     &late));
		EXPECT_EQ(NOTHING, pop(&late));
		ASSERT_EQ(0, push(&self->p, ~i));
		EXPECT_EQ(~i, pop(&late));
		EXPECT_EQ(NOTHING, pop(&late));
		pinring_broadcast_consumer_close(&late);
		while (pop(&self->a) != NOTHING)
			;
		while (pop(&self->b) != NOTHING)
			;
	}
}

TEST_F(broadcast, one_that_comes_may_begin_with_what_is_still_there)
{
	struct pinring_broadcast_consumer late;
	uint64_t sent = 0;

	/* A young ring has all it ever had, if that is not too much. */
	for (; sent < 20; sent++) {
		ASSERT_EQ(0, push(&self->p, sent));
	}
	ASSERT_EQ(0, pinring_broadcast_consumer_open(
			     self->r, "ring", PINRING_BROADCAST_AT_OLDEST, &late));
	if (!variant->first_ticket) {
		EXPECT_EQ(20, pinring_broadcast_count(&late));
	}
	for (uint64_t i = 0; i < 20; i++) {
		ASSERT_EQ(i, pop(&late));
	}
	EXPECT_EQ(NOTHING, pop(&late));
	pinring_broadcast_consumer_close(&late);
	while (pop(&self->b) != NOTHING)
		;
	/* An old one a ring full, less what producers may write to already. */
	for (; sent < 20 * CAPACITY; sent++) {
		ASSERT_EQ(0, push(&self->p, sent));
		ASSERT_NE(NOTHING, pop(&self->b));
		while (pop(&self->a) != NOTHING)
			;
	}
	ASSERT_EQ(0, pinring_broadcast_consumer_open(
			     self->r, "ring", PINRING_BROADCAST_AT_OLDEST, &late));
	for (uint64_t n = pinring_broadcast_count(&late), i = sent - n; i < sent;
	     i++) {
		ASSERT_LT(self->lapping ? CAPACITY / 2 : 0, n);
		ASSERT_EQ(i, pop(&late));
	}
	EXPECT_EQ(NOTHING, pop(&late));
	EXPECT_EQ(0, pinring_broadcast_missed(&late));
	pinring_broadcast_consumer_close(&late);
}

TEST_F(broadcast, one_that_comes_to_a_full_ring_gates_what_it_was_promised)
{
	struct pinring_broadcast_consumer late;
	uint64_t sent, got;

	if (self->lapping)
		return; /* a lapping ring promises nothing */
	for (sent = 0; !push(&self->p, sent); sent++)
		;
	ASSERT_EQ(0, pinring_broadcast_consumer_open(
			     self->r, "ring", PINRING_BROADCAST_AT_OLDEST, &late));
	while (pop(&self->a) != NOTHING)
		;
	pinring_broadcast_consumer_close(&self->b);
	EXPECT_EQ(-EAGAIN, push(&self->p, sent));
	for (got = 0; got < sent; got++) {
		ASSERT_EQ(got, pop(&late));
	}
	EXPECT_EQ(NOTHING, pop(&late));
	EXPECT_EQ(0, push(&self->p, sent));
	pinring_broadcast_consumer_close(&late);
}

TEST_F(broadcast, one_that_leaves_gates_no_more)
{
	if (self->lapping)
		return; /* nobody gates a lapping ring */
	while (!push(&self->p, 1))
		;
	while (pop(&self->a) == 1)
		;
	EXPECT_EQ(-EAGAIN, push(&self->p, 2));
	pinring_broadcast_consumer_close(&self->b);
	EXPECT_EQ(0, push(&self->p, 2));
	EXPECT_EQ(2, pop(&self->a));
	EXPECT_EQ(1u, info_of(&self->a.side).consumers);
}

TEST_F(broadcast, a_ring_for_one_producer_has_one_at_a_time)
{
	struct pinring_broadcast_producer other;
	void *slots;

	if (self->many)
		return; /* it is for many */
	EXPECT_EQ(-EBUSY,
		  pinring_broadcast_producer_open(self->r, "ring", &other));
	EXPECT_NE(NULL, strstr(pinring_error(), "has its producer"));
	for (int round = 0; round < 3 * PARTIES; round++) {
		ASSERT_EQ(0, push(&self->p, 1));
		ASSERT_LT(0, pinring_broadcast_reserve(&self->p, 9, &slots));
		pinring_broadcast_producer_close(&self->p);
		ASSERT_EQ(0, pinring_broadcast_producer_open(self->r, "ring",
							     &self->p));
		ASSERT_EQ(0, push(&self->p, 2));
		ASSERT_EQ(1, pop(&self->a));
		ASSERT_EQ(2, pop(&self->a));
		ASSERT_EQ(NOTHING, pop(&self->a));
		while (pop(&self->b) != NOTHING)
			;
	}
}

TEST_F(broadcast, has_as_many_sides_as_parties)
{
	struct pinring_broadcast_consumer c[PARTIES];
	int n = 0;

	while (n < PARTIES &&
	       !pinring_broadcast_consumer_open(self->r, "ring",
						PINRING_BROADCAST_AT_TAIL, &c[n]))
		n++;
	EXPECT_EQ(PARTIES - 3, n);
	EXPECT_EQ(-EUSERS, pinring_broadcast_consumer_open(
				   self->r, "ring", PINRING_BROADCAST_AT_TAIL,
				   &c[n]));
	EXPECT_NE(NULL, strstr(pinring_error(), "12 parties"));
	EXPECT_EQ(PARTIES - 1u, info_of(&self->a.side).consumers);
	EXPECT_EQ(1u, info_of(&self->a.side).producers);
	ASSERT_EQ(0, push(&self->p, 3));
	for (int i = 0; i < n; i++) {
		EXPECT_EQ(3, pop(&c[i]));
	}
	while (n--)
		pinring_broadcast_consumer_close(&c[n]);
	ASSERT_EQ(0, pinring_broadcast_consumer_open(
			     self->r, "ring", PINRING_BROADCAST_AT_TAIL, &c[0]));
	pinring_broadcast_consumer_close(&c[0]);
	pinring_broadcast_consumer_close(&c[0]); /* of nothing: nothing */
}

/* ----------------------------------------------------------------- the end */
TEST_F(broadcast, closed_is_drained_and_then_ends)
{
	struct pinring_broadcast_consumer late;
	void *slots;
	uint64_t n = 0;

	while (n < self->depth && !push(&self->p, n))
		n++;
	EXPECT_FALSE(info_of(&self->a.side).closed);
	EXPECT_EQ(0, pinring_broadcast_close(&self->p));
	EXPECT_EQ(0, pinring_broadcast_close(&self->p));
	EXPECT_EQ(-EPIPE, push(&self->p, 9));
	EXPECT_EQ(-EPIPE, pinring_broadcast_reserve(&self->p, 1, &slots));
	EXPECT_EQ(0, pinring_broadcast_free(&self->p));
	pinring_broadcast_producer_close(&self->p);
	ASSERT_EQ(0, pinring_broadcast_producer_open(self->r, "ring", &self->p));
	EXPECT_EQ(-EPIPE, push(&self->p, 9));
	/* A lapping ring full to the brim loses its oldest one to the end. */
	for (uint64_t i = self->lapping && self->many; i < n; i++) {
		ASSERT_EQ(i, pop(&self->a));
	}
	EXPECT_EQ(self->lapping && self->many, pinring_broadcast_missed(&self->a));
	EXPECT_EQ(ENDED, pop(&self->a));
	EXPECT_EQ(ENDED, pop(&self->a));
	ASSERT_EQ(0, pinring_broadcast_consumer_open(
			     self->r, "ring", PINRING_BROADCAST_AT_TAIL, &late));
	EXPECT_EQ(ENDED, pop(&late));
	pinring_broadcast_consumer_close(&late);
	for (uint64_t i = self->lapping && self->many; i < n; i++) {
		ASSERT_EQ(i, pop(&self->b));
	}
	EXPECT_EQ(ENDED, pop(&self->b));
	EXPECT_TRUE(info_of(&self->a.side).closed);
	EXPECT_EQ(n, info_of(&self->a.side).reserved - variant->first_ticket);
}

TEST_F(broadcast, closing_with_slots_held_aborts_them)
{
	void *slots;

	ASSERT_EQ(0, push(&self->p, 1));
	ASSERT_EQ(3, pinring_broadcast_reserve(&self->p, 3, &slots));
	EXPECT_EQ(0, pinring_broadcast_close(&self->p));
	EXPECT_EQ(1, pop(&self->a));
	EXPECT_EQ(ENDED, pop(&self->a));
}

static void *send_and_close(void *arg)
{
	struct pinring_broadcast_producer *p = arg;

	for (uint64_t i = 0; i < 3; i++)
		if (push(p, i))
			return p;
	return pinring_broadcast_close(p) ? p : NULL;
}

/* Whatever the timing: what was sent before closing is seen before -EPIPE. */
TEST_F(broadcast, nothing_sent_before_closing_is_lost)
{
	if (self->many)
		return; /* their end is for good */
	for (int round = 0; round < (SANITIZED ? 300 : 2000); round++) {
		uint64_t name, next = 0;
		pthread_t thread;
		void *failed;

		ASSERT_EQ(0, pthread_create(&thread, NULL, send_and_close,
					    &self->p));
		while ((name = pop(&self->a)) != ENDED)
			if (name != NOTHING) {
				ASSERT_EQ(next++, name);
			}
		ASSERT_EQ(0, pthread_join(thread, &failed));
		ASSERT_EQ(NULL, failed);
		ASSERT_EQ(3, next);
		while (pop(&self->b) != ENDED)
			;
		self->header->closed = 0;
	}
}

TEST_F(broadcast, of_many_the_end_waits_for_what_others_hold)
{
	struct pinring_broadcast_producer other;
	void *slots;

	if (!self->many)
		return; /* there is one */
	ASSERT_EQ(0, pinring_broadcast_producer_open(self->r, "ring", &other));
	ASSERT_EQ(1, pinring_broadcast_reserve(&other, 1, &slots));
	EXPECT_EQ(0, pinring_broadcast_close(&self->p));
	EXPECT_EQ(NOTHING, pop(&self->a));
	write_item(&other.side, slots, 4);
	pinring_broadcast_commit(&other, 1);
	EXPECT_EQ(-EPIPE, push(&other, 5));
	EXPECT_EQ(4, pop(&self->a));
	EXPECT_EQ(ENDED, pop(&self->a));
	pinring_broadcast_producer_close(&other);
}

TEST_F(broadcast, waiting_ends_with_a_message_or_in_time)
{
	uint64_t item[8];

	EXPECT_EQ(-ETIMEDOUT, pinring_broadcast_pop_wait(&self->a, item, 0));
	EXPECT_EQ(-ETIMEDOUT, pinring_broadcast_pop_wait(&self->a, item, 3000000));
	ASSERT_EQ(0, push(&self->p, 5));
	EXPECT_EQ(0, pinring_broadcast_pop_wait(&self->a, item, 0));
	EXPECT_EQ(5, item[0]);
	EXPECT_EQ(0, pinring_broadcast_pop_wait(&self->b, item, 0));
	EXPECT_EQ(NOTHING, pop(&self->a));
	EXPECT_EQ(NOTHING, pop(&self->b));
	item_fill(item, variant->slot_bytes, 6);
	for (uint64_t i = 0; i < self->depth; i++) {
		ASSERT_EQ(0, pinring_broadcast_push_wait(&self->p, item, 0));
	}
	EXPECT_EQ(self->lapping ? 0 : -ETIMEDOUT,
		  pinring_broadcast_push_wait(&self->p, item, 3000000));
	EXPECT_EQ(0, pinring_broadcast_close(&self->p));
	EXPECT_EQ(-EPIPE, pinring_broadcast_push_wait(&self->p, item, 3000000));
	while (!pinring_broadcast_pop_wait(&self->a, item, 0))
		;
	EXPECT_EQ(-EPIPE, pinring_broadcast_pop_wait(&self->a, item, 3000000));
}

TEST_F(broadcast, what_to_wait_for_is_over_when_there_is_something)
{
	struct pinring_wait ready = pinring_broadcast_when_ready(&self->a);
	struct pinring_wait room = pinring_broadcast_when_room(&self->p);

	EXPECT_EQ(-ETIMEDOUT, pinring_wait_any(&ready, 1, NULL, 0));
	EXPECT_EQ(0, pinring_wait_any(&room, 1, NULL, 0));
	while (!push(&self->p, 1) && pinring_broadcast_count(&self->a) < CAPACITY)
		;
	EXPECT_EQ(0, pinring_wait_any(&ready, 1, NULL, 0));
	EXPECT_EQ(self->lapping ? 0 : -ETIMEDOUT,
		  pinring_wait_any(&room, 1, NULL, 0));
	while (pop(&self->a) != NOTHING)
		;
	EXPECT_EQ(-ETIMEDOUT, pinring_wait_any(&ready, 1, NULL, 0));
	pinring_broadcast_consumer_close(&self->b);
	EXPECT_EQ(0, pinring_wait_any(&room, 1, NULL, 0));
	EXPECT_EQ(0, pinring_broadcast_close(&self->p));
	EXPECT_EQ(0, pinring_wait_any(&ready, 1, NULL, 0));
	EXPECT_EQ(0, pinring_wait_any(&room, 1, NULL, 0));
}

/* ------------------------------------------------------------ bad arguments */
TEST(shapes_that_make_no_sense_are_refused)
{
	static const struct {
		uint64_t capacity, slot_bytes;
		uint32_t flags, parties;
	} bad[] = {
		{ 0, 8, 0, 4 },	     { 1, 8, 0, 4 },	 { 3, 8, 0, 4 },
		{ 1ull << 33, 8, 0, 4 }, { 64, 0, 0, 4 }, { 64, 7, 0, 4 },
		{ 64, (1 << 20) + 8, 0, 4 }, { 64, 8, 0, 0 }, { 64, 8, 0, 1 },
		{ 64, 8, 0, 257 },   { UINT64_MAX, 8, 0, 4 },
		{ 64, UINT64_MAX, 0, 4 }, { 64, 8, 4, 4 }, { 64, 8, ~0u, 4 },
	};
	struct pinring_region_config config = pinring_region_defaults(65536);
	struct pinring_broadcast_producer p = { .side = { .region = NULL } };
	struct pinring_device *device;
	struct pinring_region *r;

	ASSERT_EQ(0, pinring_device_open(NULL, &device));
	ASSERT_EQ(0, pinring_region_create(device, &config, &r));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, pinring_broadcast_create(
					   r, "q", bad[i].capacity,
					   bad[i].slot_bytes, bad[i].flags,
					   bad[i].parties));
		EXPECT_NE(NULL, strstr(pinring_error(), "power of two"));
	}
	EXPECT_EQ(-ENOENT, pinring_broadcast_producer_open(r, "q", &p));
	ASSERT_EQ(0, pinring_spsc_create(r, "q", 8, 8));
	EXPECT_EQ(-EINVAL, pinring_broadcast_producer_open(r, "q", &p));
	EXPECT_EQ(-ENOSPC, pinring_broadcast_create(r, "large", 1 << 20, 8, 0, 4));
	pinring_broadcast_producer_close(&p);
	pinring_region_close(r);
	pinring_device_close(device);
}

/* Where tickets end before the laps that a word has bits for. */
TEST(large_rings_of_many_go_over_the_end_of_the_tickets)
{
	static const uint32_t kinds[] = { MANY, LAPPING | MANY };
	struct pinring_region_config config = pinring_region_defaults(1 << 20);
	const uint64_t capacity = 8192, laps = 4;
	struct pinring_broadcast_producer p;
	struct pinring_broadcast_consumer c, slow;
	struct pinring_object_info o;
	struct pinring_device *device;
	struct pinring_region *r;

	ASSERT_EQ(0, pinring_device_open(NULL, &device));
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		ASSERT_EQ(0, pinring_region_create(device, &config, &r));
		ASSERT_EQ(0, pinring_broadcast_create(r, "q", capacity, 8,
						      kinds[k], 4));
		ASSERT_EQ(0, pinring_object_find(r, "q", &o));
		age(pinring_region_at(r, o.offset, o.length), -2 * capacity);
		ASSERT_EQ(0, pinring_broadcast_producer_open(r, "q", &p));
		ASSERT_EQ(0, pinring_broadcast_consumer_open(
				     r, "q", PINRING_BROADCAST_AT_TAIL, &c));
		ASSERT_EQ(0, pinring_broadcast_consumer_open(
				     r, "q", PINRING_BROADCAST_AT_TAIL, &slow));
		for (uint64_t i = 0; i < laps * capacity; i++) {
			ASSERT_EQ(0, push(&p, i));
			ASSERT_EQ(i, pop(&c));
			if (!(kinds[k] & LAPPING)) {
				ASSERT_EQ(i, pop(&slow));
			}
		}
		EXPECT_EQ(kinds[k] & LAPPING ? (laps - 1) * capacity : NOTHING,
			  pop(&slow));
		EXPECT_EQ(kinds[k] & LAPPING ? (laps - 1) * capacity : 0,
			  pinring_broadcast_missed(&slow));
		pinring_broadcast_consumer_close(&slow);
		pinring_broadcast_consumer_close(&c);
		pinring_broadcast_producer_close(&p);
		pinring_region_close(r);
	}
	pinring_device_close(device);
}

TEST_F(broadcast, a_damaged_header_is_refused)
{
	struct pinring_broadcast_producer p;
	struct pinring_broadcast_consumer c;
	unsigned char *byte = (unsigned char *)self->header;

	for (size_t i = 0; i < 128; i++) {
		byte[i] ^= 0x41;
		EXPECT_GT(0, pinring_broadcast_producer_open(self->r, "ring", &p))
			TH_LOG("byte %zu", i);
		EXPECT_GT(0, pinring_broadcast_consumer_open(
				     self->r, "ring", PINRING_BROADCAST_AT_TAIL,
				     &c))
			TH_LOG("byte %zu", i);
		byte[i] ^= 0x41;
	}
	memset(&self->header->seal, 0, 8);
	EXPECT_EQ(-EAGAIN, pinring_broadcast_producer_open(self->r, "ring", &p));
}

/* Words no honest peer stores: an error or a wrong item, but in bounds. */
TEST_F(broadcast, wild_words_are_survived)
{
	struct pinring_broadcast_header *h = self->header;
	unsigned char *slots = (unsigned char *)h + h->slots_offset;
	struct pinring_broadcast_consumer c = { .read = 0 };
	uint64_t items[3 * 7] = { 0 };
	struct dice dice = { 5 };
	int again = 0, damaged = 0;
	int64_t rc = 0;

	for (int i = 0; i < 100000; i++) {
		uint64_t wild = item_mix(roll(&dice, 1ull << 32)) >>
				roll(&dice, 64);
		uint64_t k = roll(&dice, CAPACITY);

		switch (roll(&dice, 12)) {
		case 0:
			h->tail = roll(&dice, 2) ? wild : h->tail + wild % 200;
			break;
		case 1:
			h->limit = roll(&dice, 2) ? wild : h->tail + wild % 200;
			break;
		case 2:
			if (self->many)
				*(uint64_t *)(slots + k * h->stride) = wild;
			break;
		case 3:
			self->b.side.party->cursor = wild;
			break;
		case 4:
			h->joins = wild;
			break;
		case 5:
			h->closed = wild & 1;
			break;
		case 6:
			pinring_broadcast_consumer_close(&c);
			rc = pinring_broadcast_consumer_open(
				self->r, "ring",
				(enum pinring_broadcast_start)(wild & 1), &c);
			break;
		case 7:
			rc = pinring_broadcast_push_batch(&self->p, items, 3);
			break;
		case 8:
			rc = pinring_broadcast_pop_batch(&self->a, items, 3);
			break;
		case 9:
			if (c.side.region)
				rc = pinring_broadcast_pop(&c, items);
			pinring_broadcast_count(&self->a);
			pinring_broadcast_free(&self->p);
			break;
		case 10:
			rc = pinring_broadcast_push(&self->p, items);
			break;
		default:
			rc = pinring_broadcast_pop(&self->a, items);
		}
		again += rc == -EAGAIN;
		damaged += rc == -EPROTO;
	}
	EXPECT_LT(0, again);
	EXPECT_LT(0, damaged);
	pinring_broadcast_consumer_close(&c);
	pinring_broadcast_repair(&self->p.side);
}

TEST_HARNESS_MAIN
