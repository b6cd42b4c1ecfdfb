// SPDX-License-Identifier: MIT
/* ring_priority.c - four MPMC rings in one object, and whose turn it is. */
#include <pinring/ring_priority.h>

#include "mpmc.h"

#define LANES PINRING_PRIORITY_LANES
#define LIMIT_MIN 4u
#define LIMIT_MAX (1u << 30)
#define WEIGHT_MAX (1u << 20)

/* ------------------------------------------------------------- create, open */
static bool policy_sane(const struct pinring_priority_header *h)
{
	const bool strict = h->policy == PINRING_PRIORITY_STRICT;
	uint32_t i;

	if (!strict && h->policy != PINRING_PRIORITY_WEIGHTED)
		return false;
	if (strict ? h->limit < LIMIT_MIN || h->limit > LIMIT_MAX : h->limit)
		return false;
	for (i = 0; i < LANES; i++)
		if (strict ? h->weights[i] :
			     !h->weights[i] || h->weights[i] > WEIGHT_MAX)
			return false;
	return true;
}

/* What follows from the shape and the policy; false: they make no sense. */
static bool lay_out(struct pinring_priority_header *h)
{
	uint64_t lane = pinring_mpmc_bytes(h->capacity, h->slot_bytes,
					   h->parties);

	h->magic = PINRING_PRIORITY_MAGIC;
	h->lane_bytes = (lane + PINRING_SEPARATION - 1) / PINRING_SEPARATION *
			PINRING_SEPARATION;
	h->lanes_offset = sizeof(*h);
	h->seal = pinring_hash(h,
			       offsetof(struct pinring_priority_header, seal));
	return lane && policy_sane(h);
}

int pinring_priority_create(struct pinring_region *region, const char *name,
			    const struct pinring_priority_config *config)
{
	struct pinring_priority_config c = { 0 };
	struct pinring_priority_header *h, init = { 0 };
	struct pinring_object_info o;
	uint32_t i;
	int rc;

	rc = pinring_take_config(region->device, &c, sizeof(c), config,
				 "pinring_priority_config");
	if (rc)
		return rc;
	init.capacity = c.capacity;
	init.slot_bytes = c.slot_bytes;
	init.parties = c.parties;
	init.policy = c.policy;
	init.limit = c.limit;
	memcpy(init.weights, c.weights, sizeof(init.weights));
	if (!lay_out(&init) || c.reserved)
		return pinring_fail(region->device, -EINVAL,
				    "%s: a lane is an MPMC ring; strict takes a limit from %u to 2^30, weighted a weight from 1 to 2^20 a lane, and neither what is the other's",
				    name, LIMIT_MIN);
	rc = pinring_object_create(region, name, PINRING_OBJECT_PRIORITY,
				   init.lanes_offset + LANES * init.lane_bytes,
				   PINRING_SEPARATION, &o);
	if (rc)
		return rc;
	h = (void *)(region->base + o.offset);
	for (i = 0; i < LANES; i++)
		pinring_mpmc_place((unsigned char *)h + init.lanes_offset +
					   i * init.lane_bytes,
				   init.capacity, init.slot_bytes,
				   init.parties);
	pinring_header_publish(h, &init);
	return 0;
}

/* The ring of that name; *copy is its sealed part, and makes sense. */
static int find(struct pinring_region *region, const char *name,
		struct pinring_priority_header *copy,
		struct pinring_object_info *o)
{
	struct pinring_priority_header *h, expected;
	int rc;

	rc = pinring_header_open(region, name, PINRING_OBJECT_PRIORITY,
				 sizeof(*h), copy, o);
	if (rc)
		return rc;
	h = (void *)(region->base + o->offset);
	expected = *copy;
	memset(expected.reserved, 0, sizeof(expected.reserved));
	if (!lay_out(&expected) ||
	    memcmp(copy, &expected,
		   offsetof(struct pinring_priority_header, sleepers)) ||
	    copy->lanes_offset + LANES * copy->lane_bytes > o->length)
		return pinring_header_damaged(region, name);
	return 0;
}

/* lane i has the shape that the header says, or the handle would lie */
static bool is_alike(const struct pinring_mpmc_side *s,
		     const struct pinring_priority_header *h)
{
	return s->mask + 1 == h->capacity && s->slot_bytes == h->slot_bytes &&
	       s->parties_n == h->parties;
}

/* Lane i of the ring at `shared`, whose sealed part is h. */
static int open_lane(struct pinring_region *region, const char *name,
		     struct pinring_priority_header *shared,
		     const struct pinring_priority_header *h, uint32_t i,
		     enum pinring_party_role role, struct pinring_mpmc_side *s)
{
	uint64_t at = (uint64_t)((unsigned char *)shared - region->base) +
		      h->lanes_offset + i * h->lane_bytes;
	int rc = pinring_mpmc_open_at(region, name, at, h->lane_bytes, role,
				      &shared->sleepers.ready, s);

	if (rc || is_alike(s, h))
		return rc;
	return pinring_fail(region->device, -EINVAL,
			    "%s: the header of a lane is damaged", name);
}

int pinring_priority_producer_open(struct pinring_region *region,
				   const char *name,
				   struct pinring_priority_producer *p)
{
	struct pinring_priority_header h;
	struct pinring_object_info o;
	int rc = find(region, name, &h, &o);
	uint32_t i;

	memset(p, 0, sizeof(*p));
	if (rc)
		return rc;
	p->shared = (void *)(region->base + o.offset);
	for (i = 0; i < LANES && !rc; i++)
		rc = open_lane(region, name, p->shared, &h, i,
			       PINRING_PARTY_PRODUCER, &p->lane[i].side);
	if (rc)
		pinring_priority_producer_close(p);
	return rc;
}

int pinring_priority_consumer_open(struct pinring_region *region,
				   const char *name,
				   struct pinring_priority_consumer *c)
{
	struct pinring_priority_header h;
	struct pinring_object_info o;
	int rc = find(region, name, &h, &o);
	uint32_t i;

	memset(c, 0, sizeof(*c));
	c->held = LANES;
	if (rc)
		return rc;
	c->shared = (void *)(region->base + o.offset);
	for (i = 0; i < LANES && !rc; i++)
		rc = open_lane(region, name, c->shared, &h, i,
			       PINRING_PARTY_CONSUMER, &c->lane[i].side);
	if (rc) {
		pinring_priority_consumer_close(c);
		return rc;
	}
	c->policy = h.policy;
	c->limit = h.limit;
	memcpy(c->weights, h.weights, sizeof(c->weights));
	if (c->policy == PINRING_PRIORITY_WEIGHTED)
		memcpy(c->account, c->weights, sizeof(c->account));
	return 0;
}

void pinring_priority_producer_close(struct pinring_priority_producer *p)
{
	struct pinring_region *region = p->lane[0].side.region;
	uint32_t i;

	/* The lanes' references may be its last, and we go on after them. */
	if (region)
		pinring_region_get(region);
	for (i = 0; i < LANES; i++)
		pinring_mpmc_producer_close(&p->lane[i]);
	if (region) {
		/* What was reserved is void now, and somebody may wait behind it. */
		pinring_wake(&p->shared->sleepers.ready);
		pinring_region_close(region);
	}
	memset(p, 0, sizeof(*p));
}

void pinring_priority_consumer_close(struct pinring_priority_consumer *c)
{
	uint32_t i;

	for (i = 0; i < LANES; i++)
		pinring_mpmc_consumer_close(&c->lane[i]);
	memset(c, 0, sizeof(*c));
	c->held = LANES;
}

/* -------------------------------------------------------------- whose turn */
static int64_t look(struct pinring_priority_consumer *c, uint32_t lane,
		    uint64_t want, int64_t *why)
{
	int64_t n = pinring_mpmc_take(&c->lane[lane], want);

	if (n > 0)
		c->held = lane;
	else
		why[lane] = n;
	return n;
}

/* The lane that has let the most pass, if that is enough; LANES: none. */
static uint32_t most_patient(const struct pinring_priority_consumer *c)
{
	uint32_t lane = LANES, most = c->limit, i;

	for (i = 0; i < LANES; i++) {
		if (c->account[i] < most)
			continue;
		if (lane < LANES && c->account[i] == most)
			continue;
		lane = i;
		most = c->account[i];
	}
	return lane;
}

/*
 * By those too that were found empty on the way to this one: they may have got
 * something in between.
 */
static void let_pass(struct pinring_priority_consumer *c, uint32_t served,
		     uint32_t n)
{
	uint32_t i;

	for (i = 0; i < LANES; i++)
		c->account[i] += n;
	c->account[served] = 0;
}

static int64_t peek_strict(struct pinring_priority_consumer *c, uint64_t want,
			   int64_t *why)
{
	uint32_t lane, i;
	int64_t n;

	while ((lane = most_patient(c)) < LANES) {
		n = look(c, lane, 1, why);
		if (n > 0) {
			let_pass(c, lane, 1);
			return n;
		}
		c->account[lane] = 0; /* who has nothing does not wait */
	}
	for (lane = 0; lane < LANES; lane++) {
		uint64_t room = c->limit;

		/* Not so long a run that it makes another lane wait too long. */
		for (i = lane + 1; i < LANES; i++)
			if (room > c->limit - c->account[i])
				room = c->limit - c->account[i];
		n = look(c, lane, want < room ? want : room, why);
		if (n > 0) {
			let_pass(c, lane, (uint32_t)n);
			return n;
		}
		c->account[lane] = 0;
	}
	return 0;
}

static int64_t peek_weighted(struct pinring_priority_consumer *c, uint64_t want,
			     int64_t *why)
{
	uint32_t turn, lane;
	int64_t n;

	for (turn = 0; turn < 2; turn++) {
		for (lane = 0; lane < LANES; lane++) {
			uint64_t left = c->account[lane];

			if (!left)
				continue;
			n = look(c, lane, want < left ? want : left, why);
			if (n > 0) {
				c->account[lane] -= (uint32_t)n;
				return n;
			}
		}
		memcpy(c->account, c->weights, sizeof(c->account));
	}
	return 0;
}

static void close_all(struct pinring_priority_header *h,
		      const struct pinring_mpmc_side *const *sides)
{
	uint32_t i;

	/* First: if we die now, consumers do the rest. */
	__atomic_store_n(&h->closed, 1, __ATOMIC_RELAXED);
	for (i = 0; i < LANES; i++)
		pinring_mpmc_close(sides[i]);
	pinring_wake(&h->sleepers.ready);
}

int64_t pinring_priority_peek(struct pinring_priority_consumer *c,
			      uint64_t want, uint32_t *lane)
{
	int64_t why[LANES] = { -EAGAIN, -EAGAIN, -EAGAIN, -EAGAIN };
	uint32_t i, ended = 0, damaged = 0;
	int64_t n;

	if (c->held < LANES)
		return -EBUSY;
	if (!want)
		return -EAGAIN;
	n = c->policy == PINRING_PRIORITY_STRICT ? peek_strict(c, want, why) :
						   peek_weighted(c, want, why);
	if (n > 0) {
		*lane = c->held;
		return n;
	}
	for (i = 0; i < LANES; i++) {
		ended += why[i] == -EPIPE;
		damaged += why[i] == -EPROTO;
	}
	if (damaged)
		return -EPROTO;
	if (ended == LANES)
		return -EPIPE;
	if (__atomic_load_n(&c->shared->closed, __ATOMIC_RELAXED))
		pinring_priority_close_consumer(c);
	pinring_count(&c->lane[0].side.party->received.refused, 1);
	return -EAGAIN;
}

void pinring_priority_close_producer(struct pinring_priority_producer *p)
{
	const struct pinring_mpmc_side *sides[LANES];
	uint32_t i;

	for (i = 0; i < LANES; i++)
		sides[i] = &p->lane[i].side;
	close_all(p->shared, sides);
}

void pinring_priority_close_consumer(struct pinring_priority_consumer *c)
{
	const struct pinring_mpmc_side *sides[LANES];
	uint32_t i;

	for (i = 0; i < LANES; i++)
		sides[i] = &c->lane[i].side;
	close_all(c->shared, sides);
}

/* ------------------------------------------------------------------ waiting */
static bool is_ready(const void *side)
{
	const struct pinring_priority_consumer *c = side;
	uint32_t i, drained = 0;

	for (i = 0; i < LANES; i++) {
		int rc = pinring_mpmc_outlook(&c->lane[i].side);

		/* One lane that is closed and drained is no news. */
		if (rc == -EPIPE)
			drained++;
		else if (rc != -EAGAIN)
			return true;
	}
	return drained == LANES;
}

int64_t pinring_priority_repair(const struct pinring_priority_consumer *c)
{
	int64_t count = 0;
	uint32_t i;

	for (i = 0; i < LANES; i++)
		count += pinring_mpmc_repair(&c->lane[i].side);
	return count;
}

static bool mend(const void *side)
{
	const struct pinring_priority_consumer *c = side;

	/* Whoever was to close the lanes may be among the dead. */
	if (__atomic_load_n(&c->shared->closed, __ATOMIC_RELAXED))
		pinring_priority_close_consumer(
			(struct pinring_priority_consumer *)(uintptr_t)c);
	return pinring_priority_repair(c) > 0;
}

struct pinring_wait
pinring_priority_when_ready(const struct pinring_priority_consumer *c)
{
	return (struct pinring_wait){
		.word = &c->shared->sleepers.ready,
		.over = is_ready,
		.mend = mend,
		.side = c,
		.waited = &c->lane[0].side.party->received.waited,
	};
}

int pinring_priority_pop_wait(struct pinring_priority_consumer *c, void *item,
			      uint32_t *lane, int64_t timeout_ns)
{
	struct pinring_wait w = pinring_priority_when_ready(c);
	int rc = pinring_priority_pop(c, item, lane);
	int64_t deadline;

	if (rc != -EAGAIN)
		return rc;
	for (deadline = pinring_deadline(timeout_ns); rc == -EAGAIN;
	     rc = pinring_priority_pop(c, item, lane)) {
		rc = pinring_wait_until(&w, deadline);
		if (rc < 0)
			return rc;
	}
	return rc;
}

int pinring_priority_push_wait(struct pinring_priority_producer *p,
			       uint32_t lane, const void *item,
			       int64_t timeout_ns)
{
	int rc;

	if (lane >= LANES)
		return -EINVAL;
	rc = pinring_mpmc_push_wait(&p->lane[lane], item, timeout_ns);
	pinring_wake(&p->shared->sleepers.ready);
	return rc;
}
