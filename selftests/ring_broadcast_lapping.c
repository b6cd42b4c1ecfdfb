// SPDX-License-Identifier: MIT
/*
 * Consumers of a lapping broadcast ring that are too slow: nothing torn is ever
 * delivered, and received + missed == sent, whatever they do.
 */
#include <kselftest_harness.h>

#include "broadcast.h"

#define CAPACITY 64u

FIXTURE(lapping)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_broadcast_producer p, q;
	struct pinring_broadcast_consumer c;
	struct pinring_broadcast_header *header;
	uint64_t sent;
	bool many;
};

FIXTURE_VARIANT(lapping)
{
	uint32_t flags;
	uint64_t slot_bytes;
	uint64_t first_ticket;
};

#define OLD (UINT64_MAX - 10 * CAPACITY + 1)

FIXTURE_VARIANT_ADD(lapping, one) { LAPPING, 8, 0 };
FIXTURE_VARIANT_ADD(lapping, one_old) { LAPPING, 64, OLD };
FIXTURE_VARIANT_ADD(lapping, many) { LAPPING | MANY, 8, 0 };
FIXTURE_VARIANT_ADD(lapping, many_old) { LAPPING | MANY, 56, OLD };

FIXTURE_SETUP(lapping)
{
	struct pinring_region_config config = pinring_region_defaults(1 << 16);
	struct pinring_object_info o;

	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->r));
	ASSERT_EQ(0, pinring_broadcast_create(self->r, "ring", CAPACITY,
					      variant->slot_bytes,
					      variant->flags, 8));
	ASSERT_EQ(0, pinring_object_find(self->r, "ring", &o));
	self->header = pinring_region_at(self->r, o.offset, o.length);
	if (variant->first_ticket)
		age(self->header, variant->first_ticket);
	self->many = variant->flags & MANY;
	ASSERT_EQ(0, pinring_broadcast_producer_open(self->r, "ring", &self->p));
	if (self->many) {
		ASSERT_EQ(0, pinring_broadcast_producer_open(self->r, "ring",
							     &self->q));
	}
	ASSERT_EQ(0, pinring_broadcast_consumer_open(
			     self->r, "ring", PINRING_BROADCAST_AT_TAIL, &self->c));
}

FIXTURE_TEARDOWN(lapping)
{
	pinring_broadcast_producer_close(&self->p);
	pinring_broadcast_producer_close(&self->q);
	pinring_broadcast_consumer_close(&self->c);
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

/* The names of messages are their numbers. */
#define SEND(n)                                             \
	do {                                                \
		for (uint64_t send = (n); send--;) {        \
			ASSERT_EQ(0, push(&self->p, self->sent)); \
			self->sent++;                       \
		}                                           \
	} while (0)

/* What producers may be writing to: all before is certain to be gone. */
static uint64_t oldest(const struct pinring_broadcast_header *h, uint64_t sent)
{
	return h->flags & MANY ? sent - CAPACITY :
				 h->limit - CAPACITY - (h->tail - sent);
}

TEST_F(lapping, one_that_was_lapped_is_told_and_gets_the_oldest)
{
	for (uint64_t behind = 0; behind < 5 * CAPACITY; behind++) {
		uint64_t before = self->sent, missed = self->c.missed, first = 0;

		SEND(behind);
		if (behind > oldest(self->header, behind) &&
		    behind - oldest(self->header, behind) <= behind)
			first = oldest(self->header, behind);
		for (uint64_t i = first; i < behind; i++) {
			ASSERT_EQ(before + i, pop(&self->c));
			ASSERT_EQ(missed + first, self->c.missed);
		}
		ASSERT_EQ(NOTHING, pop(&self->c));
		/* No more than the eighth that one producer takes at a time. */
		ASSERT_LE(first, behind <= CAPACITY * 7 / 8 ?
					 0 :
					 behind - CAPACITY * 7 / 8);
		ASSERT_EQ(self->sent, pinring_broadcast_received(&self->c) +
					      pinring_broadcast_missed(&self->c));
	}
}

/* Three times what the limit moves by: all may be gone, and no more. */
#define PEEKED 24

TEST_F(lapping, what_is_overwritten_while_it_is_read_is_not_delivered)
{
	for (uint64_t late = 0; late < 2 * CAPACITY; late++) {
		uint64_t gone, missed;
		void *slots;
		int64_t n;

		/* At the array's start, so that what is peeked is contiguous. */
		SEND(CAPACITY - self->sent % CAPACITY);
		while (pop(&self->c) != NOTHING)
			;
		SEND(PEEKED);
		n = pinring_broadcast_peek(&self->c, PEEKED, &slots);
		ASSERT_EQ(PEEKED, n);
		missed = self->c.missed;
		SEND(late);
		gone = oldest(self->header, self->sent) - (self->sent - late - PEEKED);
		if ((int64_t)gone < 0)
			gone = 0;
		if (gone >= (uint64_t)n) {
			ASSERT_EQ(-ESTALE,
				  pinring_broadcast_release(&self->c, (uint64_t)n));
			ASSERT_EQ(missed + gone, self->c.missed);
			ASSERT_EQ(self->sent - late - PEEKED + gone, pop(&self->c));
		} else {
			ASSERT_EQ(n - (int64_t)gone,
				  pinring_broadcast_release(&self->c, (uint64_t)n));
			ASSERT_EQ(missed + gone, self->c.missed);
			/* The last ones, and these are still there. */
			for (uint64_t i = gone; i < (uint64_t)n; i++) {
				ASSERT_EQ(self->sent - late - PEEKED + i,
					  read_item(&self->c.side,
						    pinring_broadcast_slot(
							    &self->c.side, slots,
							    i)));
			}
		}
		while (pop(&self->c) != NOTHING)
			;
		ASSERT_EQ(self->sent, pinring_broadcast_received(&self->c) +
					      pinring_broadcast_missed(&self->c));
	}
}

TEST_F(lapping, of_none_none_is_missed)
{
	void *slots;

	SEND(5);
	ASSERT_LT(0, pinring_broadcast_peek(&self->c, 5, &slots));
	SEND(2 * CAPACITY);
	EXPECT_EQ(0, pinring_broadcast_release(&self->c, 0));
	EXPECT_EQ(0, pinring_broadcast_missed(&self->c));
	EXPECT_EQ(-ESTALE, pinring_broadcast_release(&self->c, 5));
	EXPECT_LE(5, pinring_broadcast_missed(&self->c));
}

/* Nobody is told of a message twice, in any order of verbs. */
TEST_F(lapping, all_are_received_or_missed)
{
	uint64_t items[2 * CAPACITY * 8];
	const uint64_t w = variant->slot_bytes / 8;
	uint64_t next = 0, laps = 0, stale = 0, partly = 0;
	struct dice dice = { 11 };

	for (int i = 0; i < 60000; i++) {
		uint64_t missed = self->c.missed;
		int64_t n, k;
		void *slots;

		switch (roll(&dice, 5)) {
		case 0:
			SEND(roll(&dice, roll(&dice, 10) ? CAPACITY / 2 :
							   3 * CAPACITY));
			break;
		case 1: /* a batch */
			n = pinring_broadcast_pop_batch(&self->c, items,
							1 + roll(&dice, CAPACITY));
			next += self->c.missed - missed;
			for (k = 0; k < n; k++) {
				ASSERT_EQ(next++, items[(uint64_t)k * w]);
			}
			break;
		case 2: /* in place, and producers go on meanwhile */
			n = pinring_broadcast_peek(&self->c,
						   1 + roll(&dice, CAPACITY), &slots);
			if (n < 0)
				break;
			next += self->c.missed - missed;
			missed = self->c.missed;
			if (roll(&dice, 2))
				SEND(roll(&dice, 2 * CAPACITY));
			for (k = 0; k < n; k++)
				items[k] = read_item(&self->c.side,
						     pinring_broadcast_slot(
							     &self->c.side, slots,
							     (uint64_t)k));
			k = (int64_t)roll(&dice, (uint64_t)n + 1); /* so many */
			n = pinring_broadcast_release(&self->c, (uint64_t)k);
			next += self->c.missed - missed;
			stale += n == -ESTALE;
			partly += n > 0 && n < k;
			if (n < 0)
				break;
			ASSERT_LE(n, k);
			for (k -= n; n--; k++) {
				ASSERT_EQ(next++, items[k]);
			}
			break;
		default: {
			uint64_t name = pop(&self->c);

			next += self->c.missed - missed;
			laps += self->c.missed != missed;
			if (name != NOTHING) {
				ASSERT_EQ(next++, name);
			}
		}
		}
		ASSERT_EQ(next, pinring_broadcast_received(&self->c) +
					self->c.missed);
	}
	while (pop(&self->c) != NOTHING)
		;
	EXPECT_EQ(self->sent, pinring_broadcast_received(&self->c) + self->c.missed);
	EXPECT_LT(100, laps);
	EXPECT_LT(100, stale);
	EXPECT_LT(100, partly);
}

/* Lapped again and again before it could read: it goes further from the edge. */
TEST_F(lapping, one_that_is_lapped_again_and_again_gets_something)
{
	int stale = 0;
	int64_t rc;

	SEND(5 * CAPACITY);
	do {
		void *slot;

		ASSERT_EQ(1, pinring_broadcast_peek(&self->c, 1, &slot));
		SEND(CAPACITY / 4);
		rc = pinring_broadcast_release(&self->c, 1);
		ASSERT_EQ(self->sent, self->c.read - self->c.joined +
					      pinring_broadcast_count(&self->c));
	} while (rc == -ESTALE && ++stale < 20);
	EXPECT_EQ(1, rc);
	EXPECT_LT(1, stale);
	/* From then on it gets the oldest again. */
	while (pop(&self->c) != NOTHING)
		;
	SEND(2 * CAPACITY);
	EXPECT_EQ(oldest(self->header, self->sent), pop(&self->c));
}

/* What it had reserved it may have written to: slots of a lap ago. */
TEST_F(lapping, what_a_producer_left_unfinished_is_not_delivered)
{
	struct pinring_broadcast_producer *p = &self->p;
	void *slots;

	if (self->many)
		return; /* their slots say so */
	SEND(CAPACITY);
	ASSERT_EQ(20, pinring_broadcast_reserve(p, 20, &slots));
	for (uint64_t i = 0; i < 20; i++)
		write_item(&p->side, pinring_broadcast_slot(&p->side, slots, i),
			   ~0ull << 32);
	p->held = 0; /* it dies instead */
	pinring_broadcast_producer_close(p);
	ASSERT_EQ(0, pinring_broadcast_producer_open(self->r, "ring", p));
	SEND(1);
	for (uint64_t i = 20; i <= CAPACITY; i++) {
		ASSERT_EQ(i, pop(&self->c));
	}
	EXPECT_EQ(20, pinring_broadcast_missed(&self->c));
}

/* ----------------------------------------------- many: a producer a lap late */
TEST_F(lapping, nobody_waits_for_a_producer_that_stopped)
{
	uint64_t voided;
	int64_t held;
	void *slots;

	if (!self->many)
		return; /* nobody else sends */
	for (int round = 0; round < 30; round++) {
		uint64_t received = pinring_broadcast_received(&self->c);
		uint64_t missed = self->c.missed, n = 3 * CAPACITY + 5;

		voided = self->header->voided;
		SEND(1);
		/* Two, or one at the end of the array. */
		held = pinring_broadcast_reserve(&self->q, 2, &slots);
		ASSERT_LT(0, held);
		SEND(n);
		/* As many tickets in each lap that came by. */
		EXPECT_EQ(3 * held, self->header->voided - voided);
		while (pop(&self->c) != NOTHING)
			;
		/* Late, it writes to no one's message but its own. */
		for (int64_t i = 0; i < held; i++)
			write_item(&self->q.side,
				   pinring_broadcast_slot(&self->q.side, slots,
							  (uint64_t)i),
				   ~0ull << 32);
		if (round % 2)
			pinring_broadcast_commit(&self->q, (uint64_t)held);
		else
			pinring_broadcast_abort(&self->q);
		EXPECT_EQ(NOTHING, pop(&self->c));
		/* Its slots are in use again. */
		voided = self->header->voided;
		for (uint64_t i = 0; i < 2 * CAPACITY; i++) {
			ASSERT_EQ(0, push(&self->q, i));
			ASSERT_EQ(i, pop(&self->c));
		}
		EXPECT_EQ(voided, self->header->voided);
		/* All that was sent, and those that nobody could see. */
		EXPECT_LE(1 + n + 2 * CAPACITY,
			  pinring_broadcast_received(&self->c) - received +
				  self->c.missed - missed);
	}
}

TEST_F(lapping, all_tickets_are_received_or_missed_or_void)
{
	struct pinring_broadcast_info info =
		PINRING_INIT(struct pinring_broadcast_info);
	struct dice dice = { 21 };
	uint64_t last = 0, sent = 0;
	int64_t held = 0;
	void *slots;

	if (!self->many)
		return; /* there are no void ones */
	for (int i = 0; i < 60000; i++) {
		uint64_t name;

		switch (roll(&dice, 4)) {
		case 0: /* q holds some, for long */
			if (!held)
				held = pinring_broadcast_reserve(
					&self->q, 1 + roll(&dice, 9), &slots);
			ASSERT_LT(0, held);
			break;
		case 1:
			if (!held || roll(&dice, 4))
				break;
			for (int64_t k = 0; k < held; k++)
				write_item(&self->q.side,
					   pinring_broadcast_slot(&self->q.side,
								  slots,
								  (uint64_t)k),
					   0);
			held = (int64_t)roll(&dice, (uint64_t)held + 1);
			pinring_broadcast_commit(&self->q, (uint64_t)held);
			sent += (uint64_t)held;
			held = 0;
			break;
		case 2:
			for (uint64_t k = roll(&dice, CAPACITY); k--; sent++) {
				ASSERT_EQ(0, push(&self->p, ++self->sent));
			}
			break;
		default:
			for (uint64_t k = roll(&dice, CAPACITY); k--;) {
				name = pop(&self->c);
				if (name == NOTHING)
					break;
				ASSERT_NE(TORN, name);
				if (name) {
					ASSERT_LT(last, name);
					last = name;
				}
			}
		}
	}
	if (held)
		pinring_broadcast_abort(&self->q);
	while (pop(&self->c) != NOTHING)
		;
	ASSERT_EQ(0, pinring_broadcast_info(&self->c.side, &info));
	EXPECT_EQ(info.reserved - variant->first_ticket, sent + info.voided);
	EXPECT_EQ(info.reserved - variant->first_ticket,
		  pinring_broadcast_received(&self->c) + self->c.missed +
			  self->c.skipped);
	EXPECT_LT(1000, info.voided);
	EXPECT_LT(1000, self->c.missed);
}

TEST_HARNESS_MAIN
