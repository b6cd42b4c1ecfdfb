// SPDX-License-Identifier: MIT
/* ring_mpmc.c - the MPMC ring: create, open a side, repair, wait. */
#include <pinring/ring_mpmc.h>

#include "party.h"

#define CAPACITY_MAX (1ull << 32)
#define SLOT_MAX (1ull << 20)
#define WORD_BYTES sizeof(__u64)

static uint64_t stride_of(uint64_t slot_bytes)
{
	return WORD_BYTES + slot_bytes;
}

static bool shape_sane(uint64_t capacity, uint64_t slot_bytes, uint64_t parties)
{
	return pinring_power_of_two(capacity) && capacity >= 2 &&
	       capacity <= CAPACITY_MAX && slot_bytes && slot_bytes % 8 == 0 &&
	       slot_bytes <= SLOT_MAX && parties >= 2 &&
	       parties <= PINRING_PARTIES_MAX;
}

static uint64_t seal_of(const struct pinring_mpmc_header *h)
{
	return pinring_hash(h, offsetof(struct pinring_mpmc_header, seal));
}

/* The sealed part, as it has to be for this shape. */
static void lay_out(struct pinring_mpmc_header *h, uint64_t capacity,
		    uint64_t slot_bytes, uint64_t parties)
{
	*h = (struct pinring_mpmc_header){
		.magic = PINRING_MPMC_MAGIC,
		.capacity = capacity,
		.slot_bytes = slot_bytes,
		.stride = stride_of(slot_bytes),
		.parties = parties,
		.parties_offset = sizeof(*h),
		.slots_offset =
			sizeof(*h) + parties * sizeof(struct pinring_party),
	};
	h->seal = seal_of(h);
}

int pinring_mpmc_create(struct pinring_region *region, const char *name,
			uint64_t capacity, uint64_t slot_bytes,
			uint32_t parties)
{
	struct pinring_mpmc_header *h, init;
	struct pinring_object_info o;
	int rc;

	if (!shape_sane(capacity, slot_bytes, parties))
		return pinring_fail(region->device, -EINVAL,
				    "%s: %llu slots of %llu bytes for %u parties: give a power of two from 2 to 2^32, a multiple of 8 up to 2^20, and 2 to %d",
				    name, (unsigned long long)capacity,
				    (unsigned long long)slot_bytes, parties,
				    PINRING_PARTIES_MAX);
	lay_out(&init, capacity, slot_bytes, parties);
	rc = pinring_object_create(region, name, PINRING_OBJECT_MPMC,
				   init.slots_offset + capacity * init.stride,
				   PINRING_SEPARATION, &o);
	if (rc)
		return rc;
	/* New memory is zero: all slots are free for lap 0, nobody is there. */
	h = (void *)(region->base + o.offset);
	memcpy(h, &init, offsetof(struct pinring_mpmc_header, seal));
	/* release: pairs with the acquire in side_open() */
	__atomic_store_n(&h->seal, init.seal, __ATOMIC_RELEASE);
	return 0;
}

static int check_header(struct pinring_region *region, const char *name,
			const struct pinring_mpmc_header *h, uint64_t length,
			struct pinring_mpmc_header *copy)
{
	struct pinring_mpmc_header expected;

	copy->seal = __atomic_load_n(&h->seal, __ATOMIC_ACQUIRE);
	if (!copy->seal)
		return pinring_fail(region->device, -EAGAIN,
				    "%s is being created, or its creator died doing so",
				    name);
	memcpy(copy, h, offsetof(struct pinring_mpmc_header, seal));
	if (shape_sane(copy->capacity, copy->slot_bytes, copy->parties)) {
		lay_out(&expected, copy->capacity, copy->slot_bytes,
			copy->parties);
		if (!memcmp(copy, &expected,
			    offsetof(struct pinring_mpmc_header, tail)) &&
		    copy->slots_offset + copy->capacity * copy->stride <=
			    length)
			return 0;
	}
	return pinring_fail(region->device, -EINVAL,
			    "%s: its ring header is damaged", name);
}

static int side_open(struct pinring_region *region, const char *name,
		     enum pinring_party_role role, struct pinring_mpmc_side *s)
{
	struct pinring_mpmc_header copy, *shared;
	struct pinring_object_info o;
	struct pinring_party *parties;
	int rc;

	rc = pinring_object_open(region, name, PINRING_OBJECT_MPMC,
				 sizeof(*shared), &o);
	if (rc)
		return rc;
	shared = (void *)(region->base + o.offset);
	rc = check_header(region, name, shared, o.length, &copy);
	if (rc)
		return rc;
	parties = (void *)((unsigned char *)shared + copy.parties_offset);
	*s = (struct pinring_mpmc_side){
		.mask = copy.capacity - 1,
		.shift = (uint64_t)__builtin_ctzll(copy.capacity),
		.stride = copy.stride,
		.slot_bytes = copy.slot_bytes,
		.slots = (unsigned char *)shared + copy.slots_offset,
		.shared = shared,
		.parties = parties,
		.parties_n = copy.parties,
	};
	s->party = pinring_party_claim(parties, copy.parties, role);
	if (!s->party) {
		/* The dead make room. */
		pinring_mpmc_repair(s);
		s->party = pinring_party_claim(parties, copy.parties, role);
	}
	if (!s->party)
		return pinring_fail(region->device, -EUSERS,
				    "%s: all %llu parties have it open; create it with more",
				    name, (unsigned long long)copy.parties);
	s->owner = __atomic_load_n(&s->party->owner, __ATOMIC_RELAXED);
	s->region = pinring_region_get(region);
	pinring_wait_join();
	return 0;
}

int pinring_mpmc_producer_open(struct pinring_region *region, const char *name,
			       struct pinring_mpmc_producer *p)
{
	return side_open(region, name, PINRING_PARTY_PRODUCER, &p->side);
}

int pinring_mpmc_consumer_open(struct pinring_region *region, const char *name,
			       struct pinring_mpmc_consumer *c)
{
	return side_open(region, name, PINRING_PARTY_CONSUMER, &c->side);
}

static void side_close(struct pinring_mpmc_side *s)
{
	pinring_party_leave(s->party, s->owner);
	pinring_region_close(s->region);
	memset(s, 0, sizeof(*s));
}

void pinring_mpmc_producer_close(struct pinring_mpmc_producer *p)
{
	if (!p->side.region)
		return;
	pinring_mpmc_abort(p);
	side_close(&p->side);
}

void pinring_mpmc_consumer_close(struct pinring_mpmc_consumer *c)
{
	if (!c->side.region)
		return;
	pinring_mpmc_release(c);
	side_close(&c->side);
}

/* ------------------------------------------------------------------ repair */

/* A run of tickets that somebody tried for. */
struct intent {
	uint64_t first, n;
};

#define TICKET_MASK (UINT64_MAX >> 1) /* 63 bits */
#define NOTED_MASK ((1ull << (64 - PINRING_INTENT_BITS)) - 1)

/* `next`: the ticket that head or tail stands at, no older than the intent. */
static struct intent intent_of(uint64_t word, uint64_t next)
{
	uint64_t back = (next - (word >> PINRING_INTENT_BITS)) & NOTED_MASK;

	return (struct intent){
		.first = (next - back) & TICKET_MASK,
		.n = word & ((1u << PINRING_INTENT_BITS) - 1),
	};
}

/* What repair looks for: one role's tickets, as far as its index has come. */
struct inquest {
	const struct pinring_mpmc_side *side;
	enum pinring_party_role role;
	uint64_t next;
};

/*
 * Whether a living party may have taken that ticket: it tried for it, and has
 * not said since that it got another, or none.
 */
static bool is_claimed(const struct inquest *q, uint64_t ticket)
{
	uint64_t i;

	for (i = 0; i < q->side->parties_n; i++) {
		struct pinring_party *p = &q->side->parties[i];
		__u64 owner = __atomic_load_n(&p->owner, __ATOMIC_ACQUIRE);
		struct intent it;

		if (pinring_party_role_of(owner) != q->role)
			continue;
		it = intent_of(__atomic_load_n(&p->intent, __ATOMIC_ACQUIRE),
			       q->next);
		if (((ticket - it.first) & TICKET_MASK) < it.n &&
		    !pinring_party_is_dead(p, owner))
			return true;
	}
	return false;
}

/* 1: a slot was settled, 0: there is nothing to do, -EAGAIN: cannot tell yet. */
static int settle_slot(const struct inquest *q, uint64_t ticket)
{
	const struct pinring_mpmc_side *s = q->side;
	const bool producer = q->role == PINRING_PARTY_PRODUCER;
	__u64 *word = pinring_mpmc_word(s, ticket, s->stride);
	__u64 held = __atomic_load_n(word, __ATOMIC_ACQUIRE);
	__u64 gone = pinring_mpmc_turn(s, ticket, PINRING_SLOT_VOID);
	bool full = held == pinring_mpmc_turn(s, ticket, PINRING_SLOT_FULL);

	if (producer ? held != pinring_mpmc_turn(s, ticket, PINRING_SLOT_FREE) :
		       !full && held != gone)
		return 0;
	if (is_claimed(q, ticket))
		return -EAGAIN;
	if (!producer)
		gone = pinring_mpmc_turn(s, ticket + s->mask + 1,
					 PINRING_SLOT_FREE);
	if (!__atomic_compare_exchange_n(word, &held, gone, false,
					 __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return 0;
	if (producer)
		__atomic_add_fetch(&s->shared->voided, 1, __ATOMIC_RELAXED);
	else if (full)
		__atomic_add_fetch(&s->shared->lost, 1, __ATOMIC_RELAXED);
	return 1;
}

/* What the dead tenant of this party left. */
static int64_t settle(const struct pinring_mpmc_side *s,
		      struct pinring_party *p, __u64 owner)
{
	struct inquest q = { .side = s, .role = pinring_party_role_of(owner) };
	const bool producer = q.role == PINRING_PARTY_PRODUCER;
	bool settled = true;
	int64_t count = 0;
	struct intent it;
	__u64 note;
	uint64_t i;

	note = __atomic_load_n(&p->intent, __ATOMIC_ACQUIRE);
	/* Still the same tenant's: a new one takes owner before it notes. */
	if (__atomic_load_n(&p->owner, __ATOMIC_RELAXED) != owner)
		return 0;
	/* acquire: the notes of all who moved it this far are visible */
	q.next = __atomic_load_n(producer ? &s->shared->tail : &s->shared->head,
				 __ATOMIC_ACQUIRE) >> 1;
	it = intent_of(note, q.next);
	for (i = 0; i < it.n; i++) {
		uint64_t ticket = (it.first + i) & TICKET_MASK;
		uint64_t back = (q.next - ticket) & TICKET_MASK;
		int rc;

		/* Never taken, or long since in other hands. */
		if (!back || back > s->mask + 1)
			continue;
		rc = settle_slot(&q, ticket);
		count += rc > 0;
		settled &= rc >= 0;
	}
	if (settled)
		pinring_party_bury(p, owner);
	return count;
}

int64_t pinring_mpmc_repair(const struct pinring_mpmc_side *s)
{
	int saved = errno;
	int64_t count = 0;
	uint64_t i;

	for (i = 0; i < s->parties_n; i++) {
		struct pinring_party *p = &s->parties[i];
		/* acquire: pairs with the release in pinring_party_claim() */
		__u64 owner = __atomic_load_n(&p->owner, __ATOMIC_ACQUIRE);

		if (pinring_party_is_dead(p, owner))
			count += settle(s, p, owner);
	}
	if (count) {
		pinring_wake(&s->shared->sleepers.ready);
		pinring_wake(&s->shared->sleepers.room);
	}
	errno = saved;
	return count;
}

/* ----------------------------------------------------------------- waiting */
static __u64 first_word(const struct pinring_mpmc_side *s, __u64 at)
{
	return __atomic_load_n(pinring_mpmc_word(s, at >> 1, s->stride),
			       __ATOMIC_RELAXED);
}

static bool is_roomy(const void *side)
{
	const struct pinring_mpmc_side *s = side;
	__u64 at = __atomic_load_n(&s->shared->tail, __ATOMIC_RELAXED);

	return at & 1 || !pinring_mpmc_is_older(
				 s, first_word(s, at),
				 pinring_mpmc_turn(s, at >> 1,
						   PINRING_SLOT_FREE));
}

static bool is_ready(const void *side)
{
	const struct pinring_mpmc_side *s = side;
	__u64 at = __atomic_load_n(&s->shared->head, __ATOMIC_RELAXED);

	return !pinring_mpmc_is_older(s, first_word(s, at),
				      pinring_mpmc_turn(s, at >> 1,
							PINRING_SLOT_FULL)) ||
	       (__atomic_load_n(&s->shared->closed, __ATOMIC_RELAXED) &&
		__atomic_load_n(&s->shared->tail, __ATOMIC_RELAXED) ==
			(at | 1));
}

static bool mend(const void *side)
{
	return pinring_mpmc_repair(side) > 0;
}

struct pinring_wait
pinring_mpmc_when_room(const struct pinring_mpmc_producer *p)
{
	return (struct pinring_wait){
		.word = &p->side.shared->sleepers.room,
		.over = is_roomy,
		.mend = mend,
		.side = &p->side,
	};
}

struct pinring_wait
pinring_mpmc_when_ready(const struct pinring_mpmc_consumer *c)
{
	return (struct pinring_wait){
		.word = &c->side.shared->sleepers.ready,
		.over = is_ready,
		.mend = mend,
		.side = &c->side,
	};
}

static int wait_until(const struct pinring_wait *w, int64_t deadline)
{
	return pinring_wait_any(w, 1, NULL, deadline == INT64_MAX ?
						    PINRING_FOREVER :
						    deadline - pinring_now());
}

int pinring_mpmc_push_wait(struct pinring_mpmc_producer *p, const void *item,
			   int64_t timeout_ns)
{
	struct pinring_wait w = pinring_mpmc_when_room(p);
	int rc = pinring_mpmc_push(p, item);
	int64_t deadline;

	if (rc != -EAGAIN)
		return rc;
	for (deadline = pinring_deadline(timeout_ns); rc == -EAGAIN;
	     rc = pinring_mpmc_push(p, item)) {
		rc = wait_until(&w, deadline);
		if (rc < 0)
			return rc;
	}
	return rc;
}

int pinring_mpmc_pop_wait(struct pinring_mpmc_consumer *c, void *item,
			  int64_t timeout_ns)
{
	struct pinring_wait w = pinring_mpmc_when_ready(c);
	int rc = pinring_mpmc_pop(c, item);
	int64_t deadline;

	if (rc != -EAGAIN)
		return rc;
	for (deadline = pinring_deadline(timeout_ns); rc == -EAGAIN;
	     rc = pinring_mpmc_pop(c, item)) {
		rc = wait_until(&w, deadline);
		if (rc < 0)
			return rc;
	}
	return rc;
}

int pinring_mpmc_info(const struct pinring_mpmc_side *s,
		      struct pinring_mpmc_info *info)
{
	struct pinring_mpmc_info i = {
		.capacity = s->mask + 1,
		.slot_bytes = s->slot_bytes,
	};
	__u64 head = __atomic_load_n(&s->shared->head, __ATOMIC_ACQUIRE);
	__u64 tail = __atomic_load_n(&s->shared->tail, __ATOMIC_RELAXED);
	uint64_t k;

	for (k = 0; k < s->parties_n; k++)
		i.parties += pinring_party_role_of(__atomic_load_n(
				     &s->parties[k].owner, __ATOMIC_RELAXED)) !=
			     PINRING_PARTY_NOBODY;
	i.reserved = tail >> 1;
	i.taken = head >> 1;
	i.closed = tail & 1;
	i.voided = __atomic_load_n(&s->shared->voided, __ATOMIC_RELAXED);
	i.lost = __atomic_load_n(&s->shared->lost, __ATOMIC_RELAXED);
	return pinring_give_info(s->region->device, info, &i, sizeof(i),
				 "mpmc");
}
