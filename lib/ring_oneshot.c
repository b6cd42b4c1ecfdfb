// SPDX-License-Identifier: MIT
/* ring_oneshot.c - replies: create, open, wait, ask. */
#include "oneshot.h"

#define SLOT_BYTES_MAX (1ull << 20)
#define SLOT_HEAD offsetof(struct pinring_oneshot_slot, payload)

/* ------------------------------------------------------------- create, open */
static bool shape_sane(uint64_t slots, uint64_t slot_bytes, uint64_t parties)
{
	return pinring_power_of_two(slots) &&
	       slots <= PINRING_ONESHOT_SLOTS_MAX && slot_bytes &&
	       slot_bytes % 8 == 0 && slot_bytes <= SLOT_BYTES_MAX && parties &&
	       parties <= PINRING_PARTIES_MAX;
}

/* The sealed part, as it has to be for this shape. */
static void lay_out(struct pinring_oneshot_header *h, uint64_t slots,
		    uint64_t slot_bytes, uint64_t parties)
{
	const uint64_t line = sizeof(struct pinring_oneshot_slot);

	*h = (struct pinring_oneshot_header){
		.magic = PINRING_ONESHOT_MAGIC,
		.slots = slots,
		.slot_bytes = slot_bytes,
		.stride = (SLOT_HEAD + slot_bytes + line - 1) / line * line,
		.parties = parties,
		.parties_offset = sizeof(*h),
	};
	h->tallies_offset =
		h->parties_offset + parties * sizeof(struct pinring_party);
	h->slots_offset = h->tallies_offset +
			  parties * sizeof(struct pinring_oneshot_tally);
	h->seal = pinring_hash(h, offsetof(struct pinring_oneshot_header, seal));
}

int pinring_oneshot_create(struct pinring_region *region, const char *name,
			   uint64_t slots, uint64_t slot_bytes,
			   uint32_t parties)
{
	struct pinring_oneshot_header *h, init;
	struct pinring_object_info o;
	int rc;

	if (!shape_sane(slots, slot_bytes, parties))
		return pinring_fail(region->device, -EINVAL,
				    "%s: %llu slots of %llu bytes for %u parties: give a power of two up to 2^24, a multiple of 8 up to 2^20, and 1 to %d",
				    name, (unsigned long long)slots,
				    (unsigned long long)slot_bytes, parties,
				    PINRING_PARTIES_MAX);
	lay_out(&init, slots, slot_bytes, parties);
	rc = pinring_object_create(region, name, PINRING_OBJECT_ONESHOT,
				   init.slots_offset + slots * init.stride,
				   PINRING_SEPARATION, &o);
	if (rc)
		return rc;
	/* New memory is zero: all slots are free, nobody is there. */
	h = (void *)(region->base + o.offset);
	pinring_header_publish(h, &init);
	return 0;
}

static int check_header(struct pinring_region *region, const char *name,
			const struct pinring_oneshot_header *h, uint64_t length,
			struct pinring_oneshot_header *copy)
{
	struct pinring_oneshot_header expected;
	int rc = pinring_header_copy(region, name, h, copy);

	if (rc)
		return rc;
	if (shape_sane(copy->slots, copy->slot_bytes, copy->parties)) {
		lay_out(&expected, copy->slots, copy->slot_bytes,
			copy->parties);
		if (!memcmp(copy, &expected,
			    offsetof(struct pinring_oneshot_header,
				     sleepers)) &&
		    copy->slots_offset + copy->slots * copy->stride <= length)
			return 0;
	}
	return pinring_header_damaged(region, name);
}

static struct pinring_party *inherit(struct pinring_oneshot *o)
{
	uint64_t i;

	for (i = 0; i < o->parties_n; i++) {
		struct pinring_party *p = &o->parties[i];
		/* acquire: pairs with the release in pinring_party_claim() */
		__u64 owner = __atomic_load_n(&p->owner, __ATOMIC_ACQUIRE);

		if (pinring_party_is_dead(p, owner) &&
		    pinring_party_inherit(p, owner, PINRING_PARTY_MEMBER))
			return p;
	}
	return NULL;
}

int pinring_oneshot_open(struct pinring_region *region, const char *name,
			 struct pinring_oneshot *o)
{
	struct pinring_oneshot_header copy, *shared;
	struct pinring_object_info object;
	struct pinring_party *party;
	bool inherited = false, settled;
	int rc;

	rc = pinring_object_open(region, name, PINRING_OBJECT_ONESHOT,
				 sizeof(*shared), &object);
	if (rc)
		return rc;
	shared = (void *)(region->base + object.offset);
	rc = check_header(region, name, shared, object.length, &copy);
	if (rc)
		return rc;
	*o = (struct pinring_oneshot){
		.mask = copy.slots - 1,
		.stride = copy.stride,
		.slot_bytes = copy.slot_bytes,
		.slots = (unsigned char *)shared + copy.slots_offset,
		.parties = (void *)((unsigned char *)shared +
				    copy.parties_offset),
		.tallies = (void *)((unsigned char *)shared +
				    copy.tallies_offset),
		.parties_n = copy.parties,
		.shared = shared,
	};
	party = pinring_party_claim(o->parties, copy.parties,
				    PINRING_PARTY_MEMBER);
	if (!party) {
		/*
		 * All are taken, maybe by the dead. To settle their affairs takes
		 * a tally of one's own, and theirs will do.
		 */
		party = inherit(o);
		inherited = party;
		/* Or somebody has buried them meanwhile. */
		if (!party)
			party = pinring_party_claim(o->parties, copy.parties,
						    PINRING_PARTY_MEMBER);
		if (!party)
			return pinring_fail(region->device, -EUSERS,
					    "%s: all %llu parties have it open; create it with more",
					    name,
					    (unsigned long long)copy.parties);
	}
	o->me = (uint64_t)(party - o->parties);
	o->owner = __atomic_load_n(&party->owner, __ATOMIC_RELAXED);
	/* Apart from the others, so that they seldom race for a slot. */
	o->hint = o->me * copy.slots / copy.parties;
	if (inherited)
		pinring_oneshot_settle(o, o->me, o->owner, &settled);
	o->region = pinring_region_get(region);
	pinring_wait_join();
	return 0;
}

void pinring_oneshot_close(struct pinring_oneshot *o)
{
	bool settled;

	if (!o->region)
		return;
	pinring_oneshot_settle(o, o->me, o->owner, &settled);
	pinring_party_leave(&o->parties[o->me], o->owner);
	pinring_region_close(o->region);
	memset(o, 0, sizeof(*o));
}

/* ------------------------------------------------------------------ waiting */
static bool is_answered(const void *side)
{
	const struct pinring_oneshot_request *q = side;
	const void *answer;
	uint64_t bytes;

	return pinring_oneshot_peek(q->pool, q->ticket, &answer, &bytes) !=
	       -EAGAIN;
}

static bool is_roomy(const void *side)
{
	const struct pinring_oneshot *o = side;
	uint64_t i;

	for (i = 0; i <= o->mask; i++) {
		__u64 *state = &slot_at(o, o->hint + i)->state;

		if (state_of(__atomic_load_n(state, __ATOMIC_RELAXED)) ==
		    PINRING_ONESHOT_FREE)
			return true;
	}
	return is_shut(o);
}

/* A handle waits or works, never both: what is const here is ours to change. */
static bool mend_pool(const void *side)
{
	return pinring_oneshot_repair(
		       (struct pinring_oneshot *)(uintptr_t)side) > 0;
}

static bool mend_request(const void *side)
{
	const struct pinring_oneshot_request *q = side;
	struct pinring_oneshot_slot *slot;
	struct pinring_party *p;
	__u64 seen;

	/* Only of one that has begun, and only if it is dead. */
	if (pinring_oneshot_find(q->pool, q->ticket, true, &slot, &seen) ||
	    state_of(seen) != PINRING_ONESHOT_BEGUN ||
	    other_of(seen) >= q->pool->parties_n)
		return false;
	p = &q->pool->parties[other_of(seen)];
	return pinring_party_is_dead(p, __atomic_load_n(&p->owner,
							__ATOMIC_ACQUIRE)) &&
	       mend_pool(q->pool);
}

struct pinring_wait
pinring_oneshot_when_ready(const struct pinring_oneshot_request *q)
{
	struct pinring_oneshot_slot *slot = slot_at(q->pool, q->ticket);

	return (struct pinring_wait){
		.word = &slot->ready,
		.line = &slot->state,
		.over = is_answered,
		.mend = mend_request,
		.side = q,
	};
}

struct pinring_wait
pinring_oneshot_when_room(const struct pinring_oneshot *o)
{
	return (struct pinring_wait){
		.word = &o->shared->sleepers.room,
		.over = is_roomy,
		.mend = mend_pool,
		.side = o,
	};
}

int pinring_oneshot_peek_wait(const struct pinring_oneshot *o, uint64_t ticket,
			 const void **answer, uint64_t *bytes,
			 int64_t timeout_ns)
{
	struct pinring_oneshot_request q = { .pool = o, .ticket = ticket };
	struct pinring_wait w = pinring_oneshot_when_ready(&q);
	int rc = pinring_oneshot_peek(o, ticket, answer, bytes);
	int64_t deadline;

	if (rc != -EAGAIN)
		return rc;
	/* An answer that is begun while the pool is shut comes after all. */
	for (deadline = pinring_deadline(timeout_ns); rc == -EAGAIN;
	     rc = pinring_oneshot_peek(o, ticket, answer, bytes)) {
		rc = pinring_wait_until(&w, deadline);
		if (rc < 0)
			return rc;
	}
	return rc;
}

int pinring_oneshot_take_wait(struct pinring_oneshot *o, uint64_t *ticket,
			      int64_t timeout_ns)
{
	struct pinring_wait w = pinring_oneshot_when_room(o);
	int rc = pinring_oneshot_take(o, ticket);
	int64_t deadline;

	if (rc != -EAGAIN)
		return rc;
	/* Others may be faster, again and again. */
	for (deadline = pinring_deadline(timeout_ns); rc == -EAGAIN;
	     rc = pinring_oneshot_take(o, ticket)) {
		rc = pinring_wait_until(&w, deadline);
		if (rc < 0)
			return rc;
	}
	return rc;
}

void pinring_oneshot_shut(struct pinring_oneshot *o)
{
	uint64_t i;

	__atomic_store_n(&o->shared->closed, 1, __ATOMIC_RELEASE);
	pinring_wake(&o->shared->sleepers.room);
	for (i = 0; i <= o->mask; i++)
		pinring_wake(&slot_at(o, i)->ready);
}

int pinring_oneshot_info(const struct pinring_oneshot *o,
			 struct pinring_oneshot_info *info)
{
	struct pinring_oneshot_info i = {
		.slots = o->mask + 1,
		.slot_bytes = o->slot_bytes,
		.closed = is_shut(o),
	};
	uint64_t k;

	for (k = 0; k <= o->mask; k++)
		i.in_use += state_of(__atomic_load_n(&slot_at(o, k)->state,
						     __ATOMIC_ACQUIRE)) !=
			    PINRING_ONESHOT_FREE;
	for (k = 0; k < o->parties_n; k++) {
		const struct pinring_oneshot_tally *t = &o->tallies[k];
#define COUNT(what) \
	__atomic_load_n(&t->counted[PINRING_ONESHOT_COUNT_##what], \
			__ATOMIC_RELAXED)
		i.taken += COUNT(TAKEN);
		i.answered += COUNT(ANSWERED);
		i.dropped += COUNT(DROPPED);
		i.cancelled += COUNT(CANCELLED);
		i.broken += COUNT(BROKEN);
#undef COUNT
		i.late += __atomic_load_n(&t->late, __ATOMIC_RELAXED);
		i.parties += pinring_party_role_of(__atomic_load_n(
				     &o->parties[k].owner, __ATOMIC_RELAXED)) !=
			     PINRING_PARTY_NOBODY;
	}
	return pinring_give_info(o->region->device, info, &i, sizeof(i),
				 "oneshot");
}
