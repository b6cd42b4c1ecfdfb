// SPDX-License-Identifier: MIT
/*
 * ring_oneshot_slot.c - the way of a slot through its states; these, and who may
 * change them, are drawn in pinring_layout.h.
 */
#include "oneshot.h"

#define INDEX_MASK (PINRING_ONESHOT_SLOTS_MAX - 1)
#define TRIES 1000 /* lost races in a row; each means that another went on */

/* -------------------------------------------------------------------- slots */
static __u64 word_of(__u64 generation, enum pinring_oneshot_state state)
{
	return generation << PINRING_ONESHOT_GENERATION_SHIFT | state;
}

static __u64 generation_of(__u64 word)
{
	return word >> PINRING_ONESHOT_GENERATION_SHIFT;
}

static __u64 requester(uint64_t party)
{
	return party << PINRING_ONESHOT_REQUESTER_SHIFT;
}

static uint64_t requester_of(__u64 word)
{
	return word >> PINRING_ONESHOT_REQUESTER_SHIFT & 0xff;
}

/* The replier, or in ENDED who ended it. */
static __u64 other(uint64_t party)
{
	return party << PINRING_ONESHOT_OTHER_SHIFT;
}

/* The same use of the slot, with the same requester, in another state. */
static __u64 moved(__u64 word, enum pinring_oneshot_state state)
{
	return word_of(generation_of(word), state) |
	       requester(requester_of(word));
}

/* From BEGUN: the replier stays in it. */
static __u64 cancelled(__u64 begun)
{
	return moved(begun, PINRING_ONESHOT_CANCELLED) | other(other_of(begun));
}

static enum pinring_oneshot_count outcome_of(__u64 ended)
{
	return (enum pinring_oneshot_count)(ended >>
						    PINRING_ONESHOT_OUTCOME_SHIFT &
					    0xf);
}

/*
 * release: what was written before is seen by who acts on the new state; acquire:
 * what comes after is not done before it is ours to do.
 */
static bool move(struct pinring_oneshot_slot *slot, __u64 *seen, __u64 to)
{
	return __atomic_compare_exchange_n(&slot->state, seen, to, false,
					   __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* ----------------------------------------------------------------- counting */
static void about_to_count(struct pinring_oneshot *o,
			   enum pinring_oneshot_count what)
{
	struct pinring_oneshot_tally *t = &o->tallies[o->me];

	/* release: pairs with the acquire in count_for() */
	__atomic_store_n(&t->before,
			 __atomic_load_n(&t->counted[what], __ATOMIC_RELAXED),
			 __ATOMIC_RELEASE);
}

/* The slot says TAKING or ENDED, and by us. */
static void count(struct pinring_oneshot *o, enum pinring_oneshot_count what)
{
	struct pinring_oneshot_tally *t = &o->tallies[o->me];

	__atomic_store_n(&t->counted[what],
			 __atomic_load_n(&t->before, __ATOMIC_RELAXED) + 1,
			 __ATOMIC_RELAXED);
}

/* What that dead party was about to count when it moved the slot to `seen`. */
static void count_for(struct pinring_oneshot *o, uint64_t party,
		      enum pinring_oneshot_count what,
		      struct pinring_oneshot_slot *slot, __u64 seen)
{
	struct pinring_oneshot_tally *t = &o->tallies[party];
	/* acquire: if it is already a successor's, so is the slot's state */
	__u64 before = __atomic_load_n(&t->before, __ATOMIC_ACQUIRE);

	if (what >= PINRING_ONESHOT_COUNTS ||
	    __atomic_load_n(&slot->state, __ATOMIC_RELAXED) != seen)
		return;
	/* Once only, by the dead or whoever repairs: counts never go back. */
	__atomic_compare_exchange_n(&t->counted[what], &before, before + 1,
				    false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static void free_slot(struct pinring_oneshot *o,
		      struct pinring_oneshot_slot *slot, __u64 ended)
{
	/* By cmpxchg, because others may do it for one they hold for dead. */
	move(slot, &ended, word_of(generation_of(ended), PINRING_ONESHOT_FREE));
	pinring_wake(&o->shared->sleepers.room);
}

/* This use of the slot is over. false: the slot is not as seen any more. */
static bool end(struct pinring_oneshot *o, struct pinring_oneshot_slot *slot,
		__u64 *seen, enum pinring_oneshot_count outcome)
{
	__u64 ended = word_of(generation_of(*seen), PINRING_ONESHOT_ENDED) |
		      (__u64)outcome << PINRING_ONESHOT_OUTCOME_SHIFT |
		      other(o->me);

	about_to_count(o, outcome);
	if (!move(slot, seen, ended))
		return false;
	count(o, outcome);
	free_slot(o, slot, ended);
	return true;
}

/* ---------------------------------------------------------------- requester */
/* 0 is not a generation, so that 0 is not a ticket. */
static __u64 generation_after(__u64 word)
{
	__u64 next = generation_of(
		word + (1ull << PINRING_ONESHOT_GENERATION_SHIFT));

	return next ? next : 1;
}

static int take_free(struct pinring_oneshot *o, uint64_t *ticket)
{
	uint64_t i;

	for (i = 0; i <= o->mask; i++) {
		uint64_t index = (o->hint + i) & o->mask;
		struct pinring_oneshot_slot *slot = slot_at(o, index);
		__u64 seen = __atomic_load_n(&slot->state, __ATOMIC_RELAXED);
		__u64 generation = generation_after(seen);
		__u64 taking = word_of(generation, PINRING_ONESHOT_TAKING) |
			       requester(o->me);

		if (state_of(seen) != PINRING_ONESHOT_FREE)
			continue;
		about_to_count(o, PINRING_ONESHOT_COUNT_TAKEN);
		if (!move(slot, &seen, taking))
			continue;
		count(o, PINRING_ONESHOT_COUNT_TAKEN);
		/* release: it is counted; nobody has the ticket yet */
		__atomic_store_n(&slot->state,
				 moved(taking, PINRING_ONESHOT_TAKEN),
				 __ATOMIC_RELEASE);
		*ticket = generation << PINRING_ONESHOT_GENERATION_SHIFT |
			  index;
		o->hint = index + 1;
		return 0;
	}
	return -EAGAIN;
}

int pinring_oneshot_take(struct pinring_oneshot *o, uint64_t *ticket)
{
	int rc;

	if (is_shut(o))
		return -EPIPE;
	rc = take_free(o, ticket);
	if (rc == -EAGAIN && pinring_oneshot_repair(o))
		rc = take_free(o, ticket);
	return rc;
}

int pinring_oneshot_find(const struct pinring_oneshot *o, uint64_t ticket,
			 bool own, struct pinring_oneshot_slot **slot,
			 __u64 *seen)
{
	uint64_t index = ticket & INDEX_MASK;

	if (index > o->mask)
		return -ESTALE;
	*slot = slot_at(o, index);
	/* acquire: pairs with the release in move() */
	*seen = __atomic_load_n(&(*slot)->state, __ATOMIC_ACQUIRE);
	if (state_of(*seen) > PINRING_ONESHOT_ENDED)
		return -EPROTO;
	if (generation_of(*seen) !=
	    ticket >> PINRING_ONESHOT_GENERATION_SHIFT)
		return -ESTALE;
	switch (state_of(*seen)) {
	case PINRING_ONESHOT_TAKEN:
	case PINRING_ONESHOT_BEGUN:
	case PINRING_ONESHOT_DONE:
	case PINRING_ONESHOT_BROKEN:
		return own && requester_of(*seen) != o->me ? -ESTALE : 0;
	default:
		return -ESTALE;
	}
}

int pinring_oneshot_peek(const struct pinring_oneshot *o, uint64_t ticket,
			 const void **answer, uint64_t *bytes)
{
	struct pinring_oneshot_slot *slot;
	uint64_t length;
	__u64 seen;
	int rc = pinring_oneshot_find(o, ticket, true, &slot, &seen);

	if (rc)
		return rc;
	if (state_of(seen) == PINRING_ONESHOT_BROKEN)
		return -EOWNERDEAD;
	if (state_of(seen) == PINRING_ONESHOT_TAKEN && is_shut(o))
		return -EPIPE;
	if (state_of(seen) != PINRING_ONESHOT_DONE)
		return -EAGAIN;
	/* Once: it must not be another length when it is used. */
	length = __atomic_load_n(&slot->length, __ATOMIC_RELAXED);
	if (length > o->slot_bytes)
		return -EPROTO;
	*answer = slot->payload;
	*bytes = length;
	return 0;
}

int pinring_oneshot_release(struct pinring_oneshot *o, uint64_t ticket)
{
	enum pinring_oneshot_count outcome = PINRING_ONESHOT_COUNT_ANSWERED;
	struct pinring_oneshot_slot *slot;
	__u64 seen;
	int rc = pinring_oneshot_find(o, ticket, true, &slot, &seen);

	if (rc)
		return rc;
	if (state_of(seen) == PINRING_ONESHOT_BROKEN)
		outcome = PINRING_ONESHOT_COUNT_BROKEN;
	else if (state_of(seen) != PINRING_ONESHOT_DONE)
		return -EBUSY;
	if (!end(o, slot, &seen, outcome))
		return -EPROTO; /* it was ours alone */
	o->hint = ticket & INDEX_MASK;
	return 0;
}

/* What a request comes to that ends in this state, and not by release. */
static const enum pinring_oneshot_count unread[] = {
	[PINRING_ONESHOT_TAKEN] = PINRING_ONESHOT_COUNT_CANCELLED,
	[PINRING_ONESHOT_DONE] = PINRING_ONESHOT_COUNT_DROPPED,
	[PINRING_ONESHOT_CANCELLED] = PINRING_ONESHOT_COUNT_DROPPED,
	[PINRING_ONESHOT_BROKEN] = PINRING_ONESHOT_COUNT_BROKEN,
};

int pinring_oneshot_cancel(struct pinring_oneshot *o, uint64_t ticket)
{
	struct pinring_oneshot_slot *slot;
	__u64 seen;
	int tries, rc;

	for (tries = 0; tries < TRIES; tries++) {
		rc = pinring_oneshot_find(o, ticket, true, &slot, &seen);
		if (rc)
			return rc;
		if (state_of(seen) == PINRING_ONESHOT_BEGUN) {
			/* Who answers will find it, and end it. */
			if (move(slot, &seen, cancelled(seen)))
				return 0;
		} else if (end(o, slot, &seen, unread[state_of(seen)])) {
			o->hint = ticket & INDEX_MASK;
			return 0;
		}
	}
	return -EAGAIN;
}

/* ------------------------------------------------------------------ replier */
static int too_late(struct pinring_oneshot *o, int rc)
{
	struct pinring_oneshot_tally *t = &o->tallies[o->me];

	if (rc == -ESTALE)
		__atomic_store_n(&t->late, t->late + 1, __ATOMIC_RELAXED);
	return rc;
}

int pinring_oneshot_reserve(struct pinring_oneshot *o, uint64_t ticket,
			    void **answer)
{
	struct pinring_oneshot_slot *slot;
	__u64 seen;
	int tries, rc;

	for (tries = 0; tries < TRIES; tries++) {
		rc = pinring_oneshot_find(o, ticket, false, &slot, &seen);
		if (rc)
			return too_late(o, rc);
		if (state_of(seen) != PINRING_ONESHOT_TAKEN)
			return -EALREADY;
		if (is_shut(o))
			return -EPIPE;
		if (move(slot, &seen,
			 moved(seen, PINRING_ONESHOT_BEGUN) | other(o->me))) {
			*answer = slot->payload;
			return 0;
		}
	}
	return -EALREADY;
}

/* From BEGUN by us to `state`; if it was cancelled meanwhile, that was that. */
static int finish(struct pinring_oneshot *o, uint64_t ticket,
		  enum pinring_oneshot_state state, uint64_t bytes)
{
	uint64_t index = ticket & INDEX_MASK;
	struct pinring_oneshot_slot *slot = slot_at(o, index);
	__u64 seen = __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);

	if (state_of(seen) > PINRING_ONESHOT_ENDED)
		return -EPROTO;
	if (index > o->mask ||
	    generation_of(seen) != ticket >> PINRING_ONESHOT_GENERATION_SHIFT ||
	    other_of(seen) != o->me)
		return -ESTALE;
	if (state_of(seen) == PINRING_ONESHOT_BEGUN) {
		/* Ours until it is DONE, also if it is cancelled right now. */
		__atomic_store_n(&slot->length, (__u32)bytes, __ATOMIC_RELAXED);
		if (move(slot, &seen, moved(seen, state))) {
			pinring_wake(&slot->ready);
			return 0;
		}
	}
	if (state_of(seen) == PINRING_ONESHOT_CANCELLED)
		end(o, slot, &seen, PINRING_ONESHOT_COUNT_DROPPED);
	return -ESTALE;
}

int pinring_oneshot_commit(struct pinring_oneshot *o, uint64_t ticket,
			   uint64_t bytes)
{
	if (bytes > o->slot_bytes)
		return -EMSGSIZE;
	return finish(o, ticket, PINRING_ONESHOT_DONE, bytes);
}

int pinring_oneshot_abort(struct pinring_oneshot *o, uint64_t ticket)
{
	return finish(o, ticket, PINRING_ONESHOT_TAKEN, 0);
}

int pinring_oneshot_push(struct pinring_oneshot *o, uint64_t ticket,
			 const void *answer, uint64_t bytes)
{
	void *to;
	int rc;

	if (bytes > o->slot_bytes)
		return -EMSGSIZE;
	rc = pinring_oneshot_reserve(o, ticket, &to);
	if (rc)
		return rc;
	if (bytes) /* nothing may come from nowhere, which memcpy forbids */
		memcpy(to, answer, bytes);
	return pinring_oneshot_commit(o, ticket, bytes);
}

/* -------------------------------------------------------------------- death */
/*
 * One step from `seen` on, of a slot that party holds or has a part in. 1: done,
 * 0: it has none, -EAGAIN: the slot has changed meanwhile.
 */
static int settle_step(struct pinring_oneshot *o,
		       struct pinring_oneshot_slot *slot, __u64 seen,
		       uint64_t party)
{
	const bool asked = requester_of(seen) == party;
	const bool answers = other_of(seen) == party;
	bool done;

	switch (state_of(seen)) {
	case PINRING_ONESHOT_TAKING:
		if (!asked)
			return 0;
		count_for(o, party, PINRING_ONESHOT_COUNT_TAKEN, slot, seen);
		done = move(slot, &seen, moved(seen, PINRING_ONESHOT_TAKEN));
		break;
	case PINRING_ONESHOT_BEGUN:
		if (!asked && !answers)
			return 0;
		done = move(slot, &seen, asked ? cancelled(seen) :
						 moved(seen,
						       PINRING_ONESHOT_BROKEN));
		pinring_wake(&slot->ready);
		break;
	case PINRING_ONESHOT_ENDED:
		if (!answers)
			return 0;
		count_for(o, party, outcome_of(seen), slot, seen);
		free_slot(o, slot, seen);
		return 1;
	case PINRING_ONESHOT_TAKEN:
	case PINRING_ONESHOT_DONE:
	case PINRING_ONESHOT_BROKEN:
		if (!asked)
			return 0;
		done = end(o, slot, &seen, unread[state_of(seen)]);
		break;
	case PINRING_ONESHOT_CANCELLED:
		if (!answers)
			return 0;
		done = end(o, slot, &seen, unread[state_of(seen)]);
		break;
	default:
		return 0;
	}
	return done ? 1 : -EAGAIN;
}

static bool is_counted_in(__u64 word)
{
	return state_of(word) == PINRING_ONESHOT_TAKING ||
	       state_of(word) == PINRING_ONESHOT_ENDED;
}

/* All slots, or only those that the party was counting. */
static int64_t settle_slots(struct pinring_oneshot *o, uint64_t party,
			    uint64_t owner, bool counting, bool *settled)
{
	int64_t touched = 0;
	uint64_t i;

	*settled = true;
	for (i = 0; i <= o->mask; i++) {
		struct pinring_oneshot_slot *slot = slot_at(o, i);
		bool had = false;
		int tries, rc = 1;

		for (tries = 0; rc && tries < TRIES; tries++) {
			/*
			 * The slot, then the owner: if that is still the dead
			 * one, the slot was its, and not yet a successor's.
			 */
			__u64 seen = __atomic_load_n(&slot->state,
						     __ATOMIC_ACQUIRE);

			if (__atomic_load_n(&o->parties[party].owner,
					    __ATOMIC_RELAXED) != owner) {
				*settled = false;
				return touched;
			}
			if (counting && !is_counted_in(seen))
				break;
			rc = settle_step(o, slot, seen, party);
			had |= rc > 0;
		}
		*settled &= !rc;
		touched += had;
	}
	return touched;
}

int64_t pinring_oneshot_settle(struct pinring_oneshot *o, uint64_t party,
			       uint64_t owner, bool *settled)
{
	int64_t touched = 0;

	/*
	 * Of one we inherited from: first what it was counting when it died. To
	 * count anything ourselves writes over its note of that.
	 */
	if (party == o->me)
		touched = settle_slots(o, party, owner, true, settled);
	return touched + settle_slots(o, party, owner, false, settled);
}

int64_t pinring_oneshot_repair(struct pinring_oneshot *o)
{
	int saved = errno;
	int64_t touched = 0;
	uint64_t i;

	for (i = 0; i < o->parties_n; i++) {
		struct pinring_party *p = &o->parties[i];
		/* acquire: pairs with the release in pinring_party_claim() */
		__u64 owner = __atomic_load_n(&p->owner, __ATOMIC_ACQUIRE);
		bool settled;

		if (!pinring_party_is_dead(p, owner))
			continue;
		touched += pinring_oneshot_settle(o, i, owner, &settled);
		if (settled)
			pinring_party_bury(p, owner);
	}
	errno = saved;
	return touched;
}
