// SPDX-License-Identifier: MIT
/* ring_mpmc.c - the MPMC ring: create, open a side, repair, wait. */
#include <pinring/ring_mpmc.h>

#include "mpmc.h"
#include "party.h"

/* More than the laps of 37 bits can tell from the tickets of 64. */
#define CAPACITY_MAX (1ull << 27)
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

uint64_t pinring_mpmc_bytes(uint64_t capacity, uint64_t slot_bytes,
			    uint64_t parties)
{
	struct pinring_mpmc_header h;

	if (!shape_sane(capacity, slot_bytes, parties))
		return 0;
	lay_out(&h, capacity, slot_bytes, parties);
	return h.slots_offset + capacity * h.stride;
}

void pinring_mpmc_place(void *at, uint64_t capacity, uint64_t slot_bytes,
			uint64_t parties)
{
	struct pinring_mpmc_header *h = at, init;

	lay_out(&init, capacity, slot_bytes, parties);
	pinring_header_publish(h, &init);
}

int pinring_mpmc_create(struct pinring_region *region, const char *name,
			uint64_t capacity, uint64_t slot_bytes,
			uint32_t parties)
{
	uint64_t bytes = pinring_mpmc_bytes(capacity, slot_bytes, parties);
	struct pinring_object_info o;
	int rc;

	if (!bytes)
		return pinring_fail(region->device, -EINVAL,
				    "%s: %llu slots of %llu bytes for %u parties: give a power of two from 2 to 2^27, a multiple of 8 up to 2^20, and 2 to %d",
				    name, (unsigned long long)capacity,
				    (unsigned long long)slot_bytes, parties,
				    PINRING_PARTIES_MAX);
	rc = pinring_object_create(region, name, PINRING_OBJECT_MPMC, bytes,
				   PINRING_SEPARATION, &o);
	if (rc)
		return rc;
	/* New memory is zero: all slots are free for lap 0, nobody is there. */
	pinring_mpmc_place(region->base + o.offset, capacity, slot_bytes,
			   parties);
	return 0;
}

static int check_header(struct pinring_region *region, const char *name,
			const struct pinring_mpmc_header *h, uint64_t length,
			struct pinring_mpmc_header *copy)
{
	struct pinring_mpmc_header expected;
	int rc = pinring_header_copy(region, name, h, copy);

	if (rc)
		return rc;
	if (shape_sane(copy->capacity, copy->slot_bytes, copy->parties)) {
		lay_out(&expected, copy->capacity, copy->slot_bytes,
			copy->parties);
		if (!memcmp(copy, &expected,
			    offsetof(struct pinring_mpmc_header, tail)) &&
		    copy->slots_offset + copy->capacity * copy->stride <=
			    length)
			return 0;
	}
	return pinring_header_damaged(region, name);
}

int pinring_mpmc_open_at(struct pinring_region *region, const char *name,
			 uint64_t offset, uint64_t length,
			 enum pinring_party_role role, __u32 *also,
			 struct pinring_mpmc_side *s)
{
	struct pinring_mpmc_header copy, *shared;
	struct pinring_party *parties;
	int rc;

	shared = (void *)(region->base + offset);
	rc = check_header(region, name, shared, length, &copy);
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
		.also = also,
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
	s->name = (uint64_t)(s->party - parties) << PINRING_MPMC_PARTY_SHIFT;
	s->next = __atomic_load_n(role == PINRING_PARTY_PRODUCER ?
					  &shared->tail : &shared->head,
				  __ATOMIC_RELAXED);
	s->region = pinring_region_get(region);
	pinring_wait_join();
	return 0;
}

static int side_open(struct pinring_region *region, const char *name,
		     enum pinring_party_role role, struct pinring_mpmc_side *s)
{
	struct pinring_object_info o;
	int rc = pinring_object_open(region, name, PINRING_OBJECT_MPMC,
				     sizeof(struct pinring_mpmc_header), &o);

	return rc ? rc : pinring_mpmc_open_at(region, name, o.offset, o.length,
					      role, NULL, s);
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

/* A dead party, whose name is in the words of what it held. */
struct deceased {
	const struct pinring_mpmc_side *side;
	struct pinring_party *party;
	__u64 owner;
	__u64 name;
};

/* From one state to the other, unless somebody did that before. */
static bool settle_slot(const struct pinring_mpmc_side *s, uint64_t ticket,
			__u64 from, __u64 to)
{
	return __atomic_compare_exchange_n(
		pinring_mpmc_word(s, ticket, s->stride), &from, to, false,
		__ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* The run that begins at this ticket, with that word; how many slots it was. */
static int64_t settle_run(const struct pinring_mpmc_side *s, uint64_t ticket,
			  __u64 word)
{
	const bool busy = (word & PINRING_MPMC_STATE) == PINRING_MPMC_BUSY;
	const uint64_t ahead = busy ? 0 : s->mask + 1;
	const __u64 from = busy ? PINRING_MPMC_FREE : PINRING_MPMC_FULL;
	const __u64 to = busy ? PINRING_MPMC_VOID : PINRING_MPMC_FREE;
	uint64_t n = pinring_mpmc_run(word);
	int64_t count = 0;

	if (n > s->mask + 1)
		n = s->mask + 1;
	/* As in pinring_mpmc_hand_over(): the first one last. */
	while (--n)
		count += settle_slot(
			s, ticket + n, pinring_mpmc_turn(s, ticket + n, from),
			pinring_mpmc_turn(s, ticket + n + ahead, to));
	count += settle_slot(s, ticket, word,
			     pinring_mpmc_turn(s, ticket + ahead, to));
	__atomic_add_fetch(busy ? &s->shared->voided : &s->shared->lost,
			   (uint64_t)count, __ATOMIC_RELAXED);
	return count;
}

/* What the dead one held; -EAGAIN: it is somebody else's turn by now. */
static int64_t settle(const struct deceased *d)
{
	const struct pinring_mpmc_side *s = d->side;
	int64_t count = 0;
	uint64_t i;

	for (i = 0; i <= s->mask; i++) {
		__u64 word = __atomic_load_n(pinring_mpmc_word(s, i, s->stride),
					     __ATOMIC_ACQUIRE);
		__u64 state = word & PINRING_MPMC_STATE;

		if ((state != PINRING_MPMC_BUSY &&
		     state != PINRING_MPMC_TAKEN) ||
		    (word & PINRING_MPMC_PARTY) != d->name)
			continue;
		/*
		 * After the word: if the party is still the dead one's now, so
		 * was the word. A new tenant comes only once all is settled.
		 */
		if (__atomic_load_n(&d->party->owner, __ATOMIC_RELAXED) !=
		    d->owner)
			return -EAGAIN;
		/* The lap and i are all that matters of a ticket. */
		count += settle_run(s,
				    word >> PINRING_MPMC_LAP_SHIFT << s->shift |
					    i,
				    word);
	}
	return count;
}

int64_t pinring_mpmc_repair(const struct pinring_mpmc_side *s)
{
	int saved = errno;
	int64_t count = 0;
	uint64_t i;

	for (i = 0; i < s->parties_n; i++) {
		struct deceased d = {
			.side = s,
			.party = &s->parties[i],
			.name = i << PINRING_MPMC_PARTY_SHIFT,
		};
		int64_t n;

		/* acquire: pairs with the release in pinring_party_claim() */
		d.owner = __atomic_load_n(&d.party->owner, __ATOMIC_ACQUIRE);
		if (!pinring_party_is_dead(d.party, d.owner))
			continue;
		n = settle(&d);
		if (n < 0)
			continue;
		pinring_party_bury(d.party, d.owner);
		count += n;
	}
	if (count) {
		pinring_wake(&s->shared->sleepers.ready);
		pinring_wake(&s->shared->sleepers.room);
		if (s->also)
			pinring_wake(s->also);
	}
	errno = saved;
	return count;
}

/* ----------------------------------------------------------------- looking */

/*
 * Walks to the first ticket that no producer, or no consumer, has, and its word.
 * 0: it can be had; -EAGAIN, -EPIPE, -EPROTO: not, as in pinring_mpmc_claim().
 */
static int look(const struct pinring_mpmc_side *s, bool produces, uint64_t *at,
		__u64 *word)
{
	int rc = -EAGAIN;
	int tries;

	*at = __atomic_load_n(produces ? &s->shared->tail : &s->shared->head,
			      __ATOMIC_RELAXED);
	for (tries = 0; tries < PINRING_MPMC_TRIES; tries++) {
		*word = __atomic_load_n(pinring_mpmc_word(s, *at, s->stride),
					__ATOMIC_ACQUIRE);
		if (*word == pinring_mpmc_turn(s, *at,
					       PINRING_MPMC_WANTED(produces)))
			return 0;
		rc = pinring_mpmc_step(s, produces, at, *word);
		if (rc)
			return rc;
	}
	return -EAGAIN;
}

static uint64_t first_free_ticket(const struct pinring_mpmc_side *s)
{
	uint64_t at;
	__u64 word;

	look(s, true, &at, &word);
	return at;
}

static uint64_t first_ticket_not_taken(const struct pinring_mpmc_side *s)
{
	uint64_t at;
	__u64 word;

	look(s, false, &at, &word);
	return at;
}

uint64_t pinring_mpmc_count(const struct pinring_mpmc_side *s)
{
	uint64_t head = first_ticket_not_taken(s);
	uint64_t n = first_free_ticket(s) - head;

	/* head was looked for first: tail may have run ahead of it meanwhile. */
	return n <= s->mask + 1 ? n : s->mask + 1;
}

/* ----------------------------------------------------------------- waiting */
static bool is_closed(const struct pinring_mpmc_side *s)
{
	return __atomic_load_n(&s->shared->closed, __ATOMIC_RELAXED);
}

static bool is_roomy(const void *side)
{
	const struct pinring_mpmc_side *s = side;
	uint64_t at;
	__u64 word;

	return look(s, true, &at, &word) != -EAGAIN || is_closed(s);
}

int pinring_mpmc_outlook(const struct pinring_mpmc_side *s)
{
	uint64_t at;
	__u64 word;
	int rc = look(s, false, &at, &word);

	/* Also a slot that pinring_mpmc_skip() can do something about. */
	if (rc == -EAGAIN &&
	    (word == pinring_mpmc_turn(s, at, PINRING_MPMC_VOID) ||
	     (word == pinring_mpmc_turn(s, at, PINRING_MPMC_FREE) &&
	      is_closed(s))))
		return 0;
	return rc;
}

static bool is_ready(const void *side)
{
	return pinring_mpmc_outlook(side) != -EAGAIN;
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
		.waited = &p->side.party->sent.waited,
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
		.waited = &c->side.party->received.waited,
	};
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
		rc = pinring_wait_until(&w, deadline);
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
		rc = pinring_wait_until(&w, deadline);
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
	uint64_t k;

	for (k = 0; k < s->parties_n; k++)
		i.parties += pinring_party_role_of(__atomic_load_n(
				     &s->parties[k].owner, __ATOMIC_RELAXED)) !=
			     PINRING_PARTY_NOBODY;
	i.taken = first_ticket_not_taken(s);
	i.reserved = first_free_ticket(s);
	i.closed = is_closed(s);
	i.voided = __atomic_load_n(&s->shared->voided, __ATOMIC_RELAXED);
	i.lost = __atomic_load_n(&s->shared->lost, __ATOMIC_RELAXED);
	return pinring_give_info(s->region->device, info, &i, sizeof(i),
				 "mpmc");
}
