// SPDX-License-Identifier: MIT
/*
 * ring_broadcast_pace.c - who waits for whom: the cursors and the limit, being
 * lapped, and the dead.
 */
#include "broadcast.h"

/* ------------------------------------------------------------------ cursors */
/* The consumer that is furthest behind ticket `here`. */
struct straggler {
	struct pinring_party *party; /* NULL: none is behind */
	uint64_t owner, cursor;
	uint64_t behind;
};

static struct straggler slowest(const struct pinring_broadcast_side *s,
				uint64_t here)
{
	struct straggler last = { .behind = 0 };
	uint32_t i;

	for (i = 0; i < s->parties_n; i++) {
		struct pinring_party *p = &s->parties[i];
		/* acquire: pairs with the release in join() */
		__u64 owner = __atomic_load_n(&p->owner, __ATOMIC_ACQUIRE);
		uint64_t cursor, behind;

		if (pinring_party_role_of(owner) != PINRING_PARTY_CONSUMER)
			continue;
		/* acquire: pairs with the release in _give_back */
		cursor = __atomic_load_n(&p->cursor, __ATOMIC_ACQUIRE);
		behind = here - cursor;
		/* Ahead: of many, it has seen later tickets than this look. */
		if ((int64_t)behind <= 0)
			continue;
		/* Further than it can be: it has only just come. */
		if (behind > s->depth)
			behind = s->depth;
		if (behind > last.behind)
			last = (struct straggler){ p, owner, cursor, behind };
	}
	return last;
}

uint64_t pinring_broadcast_behind(const struct pinring_broadcast_side *s,
				  uint64_t here)
{
	return slowest(s, here).behind;
}

static void raise_limit(struct pinring_broadcast_header *h, uint64_t limit)
{
	__u64 now = __atomic_load_n(&h->limit, __ATOMIC_RELAXED);
	int tries;

	for (tries = 0; tries < PINRING_BROADCAST_TRIES; tries++)
		if ((int64_t)(limit - now) <= 0 ||
		    __atomic_compare_exchange_n(&h->limit, &now, limit, false,
						__ATOMIC_RELEASE,
						__ATOMIC_RELAXED))
			return;
}

/* Nothing to learn from the others as long as that one stands where it stood. */
static bool is_still_held(const struct pinring_broadcast_producer *p)
{
	return p->gate &&
	       __atomic_load_n(&p->gate->cursor, __ATOMIC_RELAXED) ==
		       p->gate_cursor &&
	       __atomic_load_n(&p->gate->owner, __ATOMIC_RELAXED) ==
		       p->gate_owner;
}

bool pinring_broadcast_rescan(struct pinring_broadcast_producer *p,
			      uint64_t here)
{
	struct pinring_broadcast_header *h = p->side.shared;
	int tries;

	if (is_still_held(p))
		return false;
	for (tries = 0; tries < PINRING_BROADCAST_TRIES; tries++) {
		__u64 joins = __atomic_load_n(&h->joins, __ATOMIC_ACQUIRE);
		struct straggler last = slowest(&p->side, here);
		uint64_t limit = here - last.behind + p->side.depth;

		raise_limit(h, limit);
		/* Pairs with the add in join(), which says what for. */
		if (__atomic_add_fetch(&h->joins, 0, __ATOMIC_ACQ_REL) != joins)
			continue;
		p->gate = last.party;
		p->gate_owner = last.owner;
		p->gate_cursor = last.cursor;
		if ((int64_t)(limit - p->bound) > 0)
			p->bound = limit;
		return (int64_t)(p->bound - here) > 0;
	}
	return false;
}

bool pinring_broadcast_refuse(struct pinring_broadcast_producer *p,
			      uint64_t here)
{
	if (!pinring_broadcast_is_due(&p->refusals))
		return false;
	/* Of many, it may also be a slot that another producer holds. */
	if (p->gate && (int64_t)(p->bound - here) <= 0)
		return pinring_broadcast_repair_party(
			&p->side, (uint32_t)(p->gate - p->side.parties));
	return pinring_broadcast_repair(&p->side) > 0;
}

/* ------------------------------------------------------------- one producer */
/*
 * Lapping: the limit moves by an eighth of the ring at a time, so that consumers,
 * which look at it after each message, find it in their caches.
 */
static uint64_t move_limit(struct pinring_broadcast_producer *p, uint64_t want)
{
	const uint64_t capacity = p->side.mask + 1;
	uint64_t limit = p->write + (capacity >= 16 ? capacity / 8 : 1);
	uint64_t before = __atomic_load_n(&p->side.shared->limit,
					  __ATOMIC_RELAXED);

	if (want > capacity)
		want = capacity;
	if ((int64_t)(p->write + want - limit) > 0)
		limit = p->write + want;
	/* It never falls: a dead producer may have written up to there. */
	if ((int64_t)(before - limit) > 0 && before - p->write <= capacity)
		limit = before;
	/* Payload comes after it, stored with release. */
	__atomic_store_n(&p->side.shared->limit, limit, __ATOMIC_RELAXED);
	return limit;
}

int64_t pinring_broadcast_make_room(struct pinring_broadcast_producer *p,
				    uint64_t want)
{
	if (pinring_broadcast_many(&p->side))
		return pinring_broadcast_claim(p, want);
	/*
	 * Of a batch that needs another look, what is filled: consumers that come
	 * begin at the tail, and the limit never is more than the ring beyond it.
	 */
	if (__atomic_load_n(&p->side.shared->tail, __ATOMIC_RELAXED) != p->write)
		pinring_broadcast_advance(p, 0);
	if (__atomic_load_n(&p->side.shared->closed, __ATOMIC_RELAXED))
		return -EPIPE;
	if (pinring_broadcast_laps(&p->side)) {
		p->limit = move_limit(p, want);
		return (int64_t)(p->limit - p->write);
	}
	do {
		if (pinring_broadcast_rescan(p, p->write))
			p->limit = p->bound;
		if (p->limit != p->write) {
			p->refusals = 0;
			return (int64_t)(p->limit - p->write);
		}
	} while (pinring_broadcast_refuse(p, p->write));
	return -EAGAIN;
}

/* --------------------------------------------------------------- consumers */
int pinring_broadcast_fall_back(struct pinring_broadcast_consumer *c)
{
	const struct pinring_broadcast_side *s = &c->side;
	uint64_t limit, tail, target;
	__u64 word;
	int rc = 0;

	if (pinring_broadcast_many(s)) {
		rc = pinring_broadcast_walk(s, c->read, &tail, &word);
		if (rc && rc != -EPIPE)
			return rc;
		/* The end has taken a slot, too. */
		limit = tail + (rc == -EPIPE);
	} else {
		limit = __atomic_load_n(&s->shared->limit, __ATOMIC_ACQUIRE);
		tail = __atomic_load_n(&s->shared->tail, __ATOMIC_ACQUIRE);
	}
	/*
	 * Whoever is lapped again before it could read even one message keeps
	 * away from the oldest, twice as far each time.
	 */
	target = limit - (s->mask + 1) + c->margin;
	c->margin = c->margin ? c->margin * 2 : 1;
	if (c->margin > (s->mask + 1) / 2)
		c->margin = (s->mask + 1) / 2;
	if ((int64_t)(target - tail) > 0)
		target = tail;
	if ((int64_t)(target - c->read) > 0) {
		pinring_broadcast_miss(c, target - c->read);
		c->read = target;
	}
	c->tail = pinring_broadcast_many(s) ? c->read : tail;
	return (int64_t)(c->tail - c->read) < 0 ? -EPROTO : 0;
}

int64_t pinring_broadcast_lose(struct pinring_broadcast_consumer *c, uint64_t n)
{
	if (pinring_broadcast_fall_back(c)) {
		/* These are gone in any case. */
		pinring_broadcast_miss(c, n);
		c->read += n;
		c->tail = c->read;
	}
	return -ESTALE;
}

static bool is_lapped(const struct pinring_broadcast_consumer *c)
{
	return (int64_t)(__atomic_load_n(&c->side.shared->limit,
					 __ATOMIC_RELAXED) -
			 c->read - (c->side.mask + 1)) > 0;
}

int pinring_broadcast_look(struct pinring_broadcast_consumer *c, uint64_t want)
{
	const struct pinring_broadcast_side *s = &c->side;
	uint64_t tail, closed;
	int rc;

	if (pinring_broadcast_many(s))
		return pinring_broadcast_look_many(c, want);
	/* Read before tail: what was sent before closing is seen. */
	closed = __atomic_load_n(&s->shared->closed, __ATOMIC_ACQUIRE);
	/* acquire: pairs with the release of tail in _advance */
	tail = __atomic_load_n(&s->shared->tail, __ATOMIC_ACQUIRE);
	c->tail = c->read;
	if (pinring_broadcast_laps(s) ? (int64_t)(tail - c->read) < 0 :
					tail - c->read > s->mask + 1)
		return -EPROTO;
	c->tail = tail;
	if (pinring_broadcast_laps(s) && is_lapped(c)) {
		rc = pinring_broadcast_fall_back(c);
		if (rc) {
			c->tail = c->read;
			return rc;
		}
	}
	if (c->tail != c->read)
		return 0;
	if (!pinring_broadcast_laps(s))
		pinring_broadcast_flush(c);
	return closed ? -EPIPE : -EAGAIN;
}

int64_t pinring_broadcast_settle(struct pinring_broadcast_consumer *c,
				 uint64_t n)
{
	uint64_t oldest, gone;

	if (!n)
		return 0;
	if (pinring_broadcast_many(&c->side))
		return pinring_broadcast_settle_many(c, n);
	oldest = __atomic_load_n(&c->side.shared->limit, __ATOMIC_RELAXED) -
		 (c->side.mask + 1);
	gone = (int64_t)(oldest - c->read) > 0 ? oldest - c->read : 0;
	if (gone >= n)
		return pinring_broadcast_lose(c, n);
	pinring_broadcast_miss(c, gone);
	pinring_count(&c->side.party->received.messages, n - gone);
	c->margin = 0;
	c->read += n;
	return (int64_t)(n - gone);
}

/* ------------------------------------------------------------------ repair */
bool pinring_broadcast_repair_party(const struct pinring_broadcast_side *s,
				    uint32_t i)
{
	struct pinring_party *p = &s->parties[i];
	int saved = errno;
	/* acquire: pairs with the release in pinring_party_claim() */
	__u64 owner = __atomic_load_n(&p->owner, __ATOMIC_ACQUIRE);
	bool dead = pinring_party_is_dead(p, owner);

	errno = saved;
	if (!dead ||
	    (pinring_broadcast_many(s) &&
	     pinring_party_role_of(owner) == PINRING_PARTY_PRODUCER &&
	     !pinring_broadcast_void(s, i, owner)))
		return false;
	pinring_party_bury(p, owner);
	pinring_wake(&s->shared->sleepers.ready);
	pinring_wake(&s->shared->sleepers.room);
	return true;
}

int64_t pinring_broadcast_repair(const struct pinring_broadcast_side *s)
{
	int64_t count = 0;
	uint32_t i;

	for (i = 0; i < s->parties_n; i++)
		count += pinring_broadcast_repair_party(s, i);
	return count;
}
