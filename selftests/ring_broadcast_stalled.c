// SPDX-License-Identifier: MIT
/*
 * Somebody stopped in the middle of something in a broadcast ring of many, for long
 * or for good, and others come to where it stands: who goes on, and who is told.
 */
#include <kselftest_harness.h>

#include <signal.h>
#include <sys/wait.h>

#include "broadcast.h"

#define CAPACITY 16u
#define PARTIES 8

FIXTURE(stalled)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_broadcast_producer p, q;
	struct pinring_broadcast_consumer c;
	struct pinring_broadcast_header *header;
};

FIXTURE_VARIANT(stalled)
{
	uint32_t flags;
	uint64_t capacity;
};

FIXTURE_VARIANT_ADD(stalled, gated) { MANY, CAPACITY };
FIXTURE_VARIANT_ADD(stalled, lapping) { LAPPING | MANY, CAPACITY };
FIXTURE_VARIANT_ADD(stalled, gated_large) { MANY, 1 << 16 };
FIXTURE_VARIANT_ADD(stalled, lapping_large) { LAPPING | MANY, 1 << 16 };

FIXTURE_SETUP(stalled)
{
	struct pinring_region_config config = pinring_region_defaults(2 << 20);
	struct pinring_object_info o;

	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->r));
	ASSERT_EQ(0, pinring_broadcast_create(self->r, "ring", variant->capacity,
					      8, variant->flags, PARTIES));
	ASSERT_EQ(0, pinring_object_find(self->r, "ring", &o));
	self->header = pinring_region_at(self->r, o.offset, o.length);
	ASSERT_EQ(0, pinring_broadcast_producer_open(self->r, "ring", &self->p));
	ASSERT_EQ(0, pinring_broadcast_producer_open(self->r, "ring", &self->q));
}

FIXTURE_TEARDOWN(stalled)
{
	pinring_broadcast_producer_close(&self->p);
	pinring_broadcast_producer_close(&self->q);
	pinring_broadcast_consumer_close(&self->c);
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

static void come(struct __test_metadata *_metadata, FIXTURE_DATA(stalled) *self)
{
	ASSERT_EQ(0, pinring_broadcast_consumer_open(
			     self->r, "ring", PINRING_BROADCAST_AT_TAIL, &self->c));
}

static void hold(struct __test_metadata *_metadata,
		 struct pinring_broadcast_producer *p, int64_t n)
{
	void *slots;

	ASSERT_EQ(n, pinring_broadcast_reserve(p, (uint64_t)n, &slots));
	for (int64_t i = 0; i < n; i++)
		write_item(&p->side,
			   pinring_broadcast_slot(&p->side, slots, (uint64_t)i),
			   1000 + (uint64_t)i);
}

/* A process that reserves one slot and dies. */
static void die_holding_one(struct __test_metadata *_metadata,
			    struct pinring_region *r)
{
	pid_t pid = fork();
	int status;

	ASSERT_LE(0, pid);
	if (!pid) {
		struct pinring_broadcast_producer p;
		void *slots;

		if (!pinring_broadcast_producer_open(r, "ring", &p))
			pinring_broadcast_reserve(&p, 1, &slots);
		raise(SIGKILL);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
}

static bool is_over(struct pinring_wait w)
{
	return w.over(w.side);
}

/* ------------------------------------------------------------------ the living */
/* The slot it is at is being written, a lap later: others hold messages. */
TEST_F(stalled, one_that_was_lapped_does_not_wait_for_who_writes_there)
{
	if (variant->flags == MANY || variant->capacity != CAPACITY)
		return; /* nobody is lapped */
	come(_metadata, self);
	for (uint64_t i = 0; i < CAPACITY; i++) {
		ASSERT_EQ(0, push(&self->p, i));
	}
	hold(_metadata, &self->q, 1);
	EXPECT_TRUE(is_over(pinring_broadcast_when_ready(&self->c)));
	for (uint64_t i = 1; i < CAPACITY; i++) {
		ASSERT_EQ(i, pop(&self->c));
	}
	EXPECT_FALSE(is_over(pinring_broadcast_when_ready(&self->c)));
	EXPECT_EQ(NOTHING, pop(&self->c));
	pinring_broadcast_commit(&self->q, 1);
	EXPECT_TRUE(is_over(pinring_broadcast_when_ready(&self->c)));
	EXPECT_EQ(1000, pop(&self->c));
}

/* Any slot will do, not only the one whose turn it is. */
TEST_F(stalled, room_is_where_the_first_of_many_late_ones_is_done)
{
	struct pinring_broadcast_producer third;

	if (variant->flags == MANY || variant->capacity != CAPACITY)
		return; /* there the order of slots holds */
	ASSERT_EQ(0, pinring_broadcast_producer_open(self->r, "ring", &third));
	hold(_metadata, &self->p, CAPACITY / 2);
	hold(_metadata, &self->q, CAPACITY / 2);
	EXPECT_EQ(-EAGAIN, push(&third, 5));
	EXPECT_FALSE(is_over(pinring_broadcast_when_room(&third)));
	/* Whose slots come last. */
	pinring_broadcast_commit(third.next % CAPACITY < CAPACITY / 2 ? &self->q :
									&self->p,
				 CAPACITY / 2);
	EXPECT_TRUE(is_over(pinring_broadcast_when_room(&third)));
	EXPECT_EQ(0, push(&third, 5));
	pinring_broadcast_producer_close(&third);
}

TEST_F(stalled, a_late_one_that_is_done_makes_room)
{
	if (variant->flags != MANY || variant->capacity != CAPACITY)
		return; /* nobody waits for it */
	hold(_metadata, &self->q, 1);
	/* Nobody listens: nothing else is in the way. */
	for (uint64_t i = 1; i < CAPACITY; i++) {
		ASSERT_EQ(0, push(&self->p, i));
	}
	EXPECT_EQ(-EAGAIN, push(&self->p, 99));
	EXPECT_FALSE(is_over(pinring_broadcast_when_room(&self->p)));
	EXPECT_EQ(-EAGAIN, pinring_broadcast_close(&self->p));
	pinring_broadcast_commit(&self->q, 1);
	EXPECT_TRUE(is_over(pinring_broadcast_when_room(&self->p)));
	EXPECT_EQ(0, push(&self->p, 99));
	EXPECT_EQ(0, pinring_broadcast_close(&self->p));
}

/* -------------------------------------------------------------------- the dead */
/* One that came later stands in its way a little, and lives. */
TEST_F(stalled, a_producer_finds_the_dead_one_behind_a_consumer_that_lives)
{
	int refused;

	if (variant->flags != MANY || variant->capacity != CAPACITY)
		return; /* nobody waits for it */
	die_holding_one(_metadata, self->r);
	ASSERT_EQ(0, push(&self->p, 1));
	come(_metadata, self);
	for (uint64_t i = 0; i < CAPACITY - 3; i++) {
		ASSERT_EQ(0, push(&self->p, i));
	}
	for (uint64_t i = 0; i < CAPACITY - 3; i++) {
		ASSERT_EQ(i, pop(&self->c));
	}
	/* Up to the dead one's slot, with a look at who lives behind it. */
	ASSERT_EQ(0, push(&self->p, 7));
	for (refused = 0; refused < 5000 && push(&self->p, 8); refused++)
		;
	EXPECT_GT(5000, refused);
	EXPECT_EQ(1, self->header->voided);
}

TEST_F(stalled, closing_does_not_wait_for_the_dead)
{
	if (variant->flags != MANY || variant->capacity != CAPACITY)
		return; /* it goes on anyway */
	die_holding_one(_metadata, self->r);
	for (uint64_t i = 1; i < CAPACITY; i++) {
		ASSERT_EQ(0, push(&self->p, i));
	}
	EXPECT_EQ(0, pinring_broadcast_close(&self->p));
	EXPECT_EQ(-EPIPE, push(&self->q, 1));
}

/* -------------------------------------------------------------------- the hint */
/* Who stores it late puts it far back; nobody sends any more. */
TEST_F(stalled, a_hint_that_lags_keeps_nobody_out)
{
	struct pinring_broadcast_producer late;
	struct pinring_broadcast_consumer c;
	int tries, rc = -EAGAIN;

	if (variant->capacity < 4 * PINRING_BROADCAST_TRIES)
		return; /* a walk is short */
	for (uint64_t i = 0; i < variant->capacity - 10; i++) {
		ASSERT_EQ(0, push(&self->p, i));
	}
	self->header->tail = 0;
	for (tries = 0; tries < 10 && rc == -EAGAIN; tries++)
		rc = pinring_broadcast_consumer_open(
			self->r, "ring", PINRING_BROADCAST_AT_TAIL, &c);
	ASSERT_EQ(0, rc);
	EXPECT_EQ(NOTHING, pop(&c));
	ASSERT_EQ(0, push(&self->p, 5));
	EXPECT_EQ(5, pop(&c));
	pinring_broadcast_consumer_close(&c);
	/* q has not sent anything: all it knows is the hint. */
	self->header->tail = 0;
	for (rc = -EAGAIN, tries = 0; tries < 10 && rc == -EAGAIN; tries++)
		rc = pinring_broadcast_close(&self->q);
	EXPECT_EQ(0, rc);
	self->header->tail = 0;
	ASSERT_EQ(0, pinring_broadcast_producer_open(self->r, "ring", &late));
	for (rc = -EAGAIN, tries = 0; tries < 10 && rc == -EAGAIN; tries++)
		rc = push(&late, 6);
	EXPECT_EQ(-EPIPE, rc);
	pinring_broadcast_producer_close(&late);
}

TEST_HARNESS_MAIN
