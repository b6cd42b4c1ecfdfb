// SPDX-License-Identifier: MIT
/*
 * ring_broadcast_many.c - the broadcast ring of many producers: the slot's word is
 * the ticket. The protocol is in pinring_layout.h.
 */
#include "broadcast.h"

static __u64 *word_of(const struct pinring_broadcast_side *s, uint64_t ticket)
{
	return (__u64 *)(void *)(s->slots + (ticket & s->mask) * s->stride) - 1;
}

/* acquire: pairs with the release in publish_slot() */
static __u64 load_word(const struct pinring_broadcast_side *s, uint64_t ticket)
{
	return __atomic_load_n(word_of(s, ticket), __ATOMIC_ACQUIRE);
}

/* What the word is in that state, in the lap of that ticket. */
static __u64 turn(const struct pinring_broadcast_side *s, uint64_t ticket,
		  __u64 state)
{
	/* A lap later, because the words count those that have begun. */
	return (ticket + s->mask + 1) >> s->shift
		       << PINRING_BROADCAST_LAP_SHIFT |
	       state;
}

static __u64 state_of(__u64 word)
{
	return word & PINRING_BROADCAST_STATE;
}

/*
 * How many laps the word is ahead of the ticket. They wrap with the tickets where
 * these end first, else with the bits there are for them.
 */
static int64_t laps(const struct pinring_broadcast_side *s, __u64 word,
		    uint64_t ticket)
{
	const uint64_t slack = s->shift > PINRING_BROADCAST_LAP_SHIFT ?
				       s->shift - PINRING_BROADCAST_LAP_SHIFT :
				       0;

	word &= ~PINRING_BROADCAST_BELOW_LAP;
	return (int64_t)((word - turn(s, ticket, 0)) << slack) >>
	       (PINRING_BROADCAST_LAP_SHIFT + slack);
}

static bool change(const struct pinring_broadcast_side *s, uint64_t ticket,
		   __u64 from, __u64 to)
{
	return __atomic_compare_exchange_n(word_of(s, ticket), &from, to, false,
					   __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static void count_void(const struct pinring_broadcast_side *s, uint64_t n)
{
	if (n)
		__atomic_add_fetch(&s->shared->voided, n, __ATOMIC_RELAXED);
}

bool pinring_broadcast_is_free(__u64 word)
{
	return state_of(word) == PINRING_BROADCAST_FREE ||
	       state_of(word) == PINRING_BROADCAST_FULL ||
	       state_of(word) == PINRING_BROADCAST_VOID;
}

/*
 * From a ticket with that word towards the first one that is not taken: 0: it was
 * taken, and *ticket is a later one; 1: it is not taken; -EPIPE, -EPROTO.
 */
static int step(const struct pinring_broadcast_side *s, uint64_t *ticket,
		__u64 word)
{
	const int64_t ahead = laps(s, word, *ticket);

	if (ahead == -1)
		return 1;
	if (ahead < -1 || state_of(word) == PINRING_BROADCAST_FREE ||
	    state_of(word) > PINRING_BROADCAST_END)
		return -EPROTO;
	/* By laps, if others have come round to here since. */
	*ticket += (uint64_t)ahead << s->shift;
	if (state_of(word) == PINRING_BROADCAST_END)
		return -EPIPE;
	*ticket += 1;
	return 0;
}

static uint64_t start_of(const struct pinring_broadcast_side *s, uint64_t from)
{
	/* acquire: pairs with the release in hint_at() */
	uint64_t hint = __atomic_load_n(&s->shared->tail, __ATOMIC_ACQUIRE);

	/* A hint may lag: whoever stored it last may have done so late. */
	return (int64_t)(from - hint) > 0 ? from : hint;
}

/*
 * Several store it; any ticket before which all are taken will do. Release: whoever
 * begins there, and a consumer that comes after that one has, sees them taken.
 */
static void hint_at(const struct pinring_broadcast_side *s, uint64_t ticket)
{
	__atomic_store_n(&s->shared->tail, ticket, __ATOMIC_RELEASE);
}

int pinring_broadcast_walk(const struct pinring_broadcast_side *s, uint64_t from,
			   uint64_t *ticket, __u64 *word)
{
	int tries, rc;

	*ticket = start_of(s, from);
	for (tries = 0; tries < PINRING_BROADCAST_TRIES; tries++) {
		*word = load_word(s, *ticket);
		rc = step(s, ticket, *word);
		if (rc)
			return rc < 0 ? rc : 0;
	}
	/* So that who tries again gets further, though nobody sends. */
	hint_at(s, *ticket);
	return -EAGAIN;
}

/* --------------------------------------------------------------- producers */
/*
 * The ticket is of a lap whose producer still writes: void, and the late one finds
 * out when it is done.
 */
static void jam(const struct pinring_broadcast_side *s, uint64_t ticket,
		__u64 word)
{
	if (change(s, ticket, word,
		   turn(s, ticket, PINRING_BROADCAST_JAMMED) |
			   (word & PINRING_BROADCAST_PARTY))) {
		count_void(s, 1);
		/* Who waits for the late one is lapped: others hold messages. */
		pinring_wake(&s->shared->sleepers.ready);
	}
}

/*
 * A ticket that is not taken, and its word: 1: it is ours now; 0: look at the
 * ticket again; -EAGAIN, -EPROTO.
 */
static int take(struct pinring_broadcast_producer *p, uint64_t ticket, __u64 word,
		__u64 to)
{
	const struct pinring_broadcast_side *s = &p->side;

	if (state_of(word) == PINRING_BROADCAST_BUSY ||
	    state_of(word) == PINRING_BROADCAST_JAMMED) {
		/* Gated: nobody reads, else no cursor would be past it. */
		if (!pinring_broadcast_laps(s))
			return -EAGAIN;
		jam(s, ticket, word);
		return 0;
	}
	if (!pinring_broadcast_is_free(word))
		return -EPROTO;
	return change(s, ticket, word, to);
}

/* Whether cursors let this producer have that ticket. */
static bool is_let(struct pinring_broadcast_producer *p, uint64_t ticket)
{
	return pinring_broadcast_laps(&p->side) ||
	       (int64_t)(p->bound - ticket) > 0 ||
	       pinring_broadcast_rescan(p, ticket);
}

static __u64 busy(const struct pinring_broadcast_producer *p, uint64_t ticket)
{
	const struct pinring_broadcast_side *s = &p->side;

	return turn(s, ticket, PINRING_BROADCAST_BUSY) |
	       (uint64_t)(s->party - s->parties)
		       << PINRING_BROADCAST_PARTY_SHIFT;
}

/* 1: *ticket is ours; else why none is. */
static int claim_first(struct pinring_broadcast_producer *p, uint64_t *ticket)
{
	const struct pinring_broadcast_side *s = &p->side;
	int tries;

	*ticket = start_of(s, p->next);
	for (tries = 0; tries < PINRING_BROADCAST_TRIES; tries++) {
		__u64 word = load_word(s, *ticket);
		int rc = step(s, ticket, word);

		if (rc == 1 && !is_let(p, *ticket)) {
			/* Others may have gone on where we were held up. */
			if (load_word(s, *ticket) == word)
				return -EAGAIN;
			continue;
		}
		if (rc == 1)
			rc = take(p, *ticket, word, busy(p, *ticket));
		if (rc)
			return rc;
	}
	return -EAGAIN;
}

/* More of them, up to the end of the array: how many in all. */
static uint64_t claim_more(struct pinring_broadcast_producer *p, uint64_t first,
			   uint64_t want)
{
	const struct pinring_broadcast_side *s = &p->side;
	uint64_t n;

	if (want > s->mask + 1 - (first & s->mask))
		want = s->mask + 1 - (first & s->mask);
	for (n = 1; n < want; n++) {
		__u64 word = load_word(s, first + n);

		if (laps(s, word, first + n) != -1 ||
		    !pinring_broadcast_is_free(word) || !is_let(p, first + n) ||
		    !change(s, first + n, word, busy(p, first + n)))
			break;
	}
	return n;
}

int64_t pinring_broadcast_claim(struct pinring_broadcast_producer *p,
				uint64_t want)
{
	uint64_t ticket, n;
	int rc;

	do {
		rc = claim_first(p, &ticket);
		if (rc != -EPROTO)
			p->next = ticket;
	} while (rc == -EAGAIN && pinring_broadcast_refuse(p, ticket));
	if (rc < 0)
		return rc;
	p->refusals = 0;
	n = claim_more(p, ticket, want);
	p->next = ticket + n;
	p->write = p->limit = ticket;
	if ((ticket ^ p->next) & ~3ull)
		hint_at(&p->side, p->next);
	return (int64_t)n;
}

bool pinring_broadcast_any_free(const struct pinring_broadcast_side *s,
				uint64_t ticket)
{
	uint64_t i;

	for (i = 0; i <= s->mask && i < PINRING_BROADCAST_TRIES; i++)
		if (pinring_broadcast_is_free(load_word(s, ticket + i)))
			return true;
	return false;
}

static void publish_slot(const struct pinring_broadcast_producer *p,
			 uint64_t ticket, __u64 state)
{
	const struct pinring_broadcast_side *s = &p->side;
	__u64 word = busy(p, ticket);
	int tries;

	/* release: the payload is written; pairs with the acquire in load_word() */
	if (!pinring_broadcast_laps(s)) {
		__atomic_store_n(word_of(s, ticket), turn(s, ticket, state),
				 __ATOMIC_RELEASE);
		return;
	}
	if (change(s, ticket, word, turn(s, ticket, state)))
		return;
	/*
	 * A lap late. Consumers have missed this message already; the next lap may
	 * use the slot again.
	 */
	for (tries = 0; tries < PINRING_BROADCAST_TRIES; tries++) {
		word = load_word(s, ticket);
		if (state_of(word) != PINRING_BROADCAST_JAMMED ||
		    change(s, ticket, word,
			   (word & ~PINRING_BROADCAST_BELOW_LAP) |
				   PINRING_BROADCAST_VOID))
			return;
	}
}

void pinring_broadcast_publish(struct pinring_broadcast_producer *p, uint64_t n)
{
	uint64_t i;

	for (i = 0; i < p->held; i++)
		publish_slot(p, p->write + i,
			     i < n ? PINRING_BROADCAST_FULL :
				     PINRING_BROADCAST_VOID);
	pinring_count(&p->side.party->sent.messages, n);
	count_void(&p->side, p->held - n);
	/* For void slots, too: consumers that waited go on behind them. */
	pinring_wake(&p->side.shared->sleepers.ready);
	/* A producer that came round to these slots waits for us, not for readers. */
	pinring_wake(&p->side.shared->sleepers.room);
}

/*
 * The first ticket that nobody has becomes the end. Gated, all cursors are past
 * the slot's last ticket, because producers leave one slot.
 */
int pinring_broadcast_end(struct pinring_broadcast_producer *p)
{
	const struct pinring_broadcast_side *s = &p->side;
	uint64_t ticket = start_of(s, p->next);
	int tries;

	for (tries = 0; tries < PINRING_BROADCAST_TRIES; tries++) {
		__u64 word = load_word(s, ticket);
		int rc = step(s, &ticket, word);

		if (rc == 1)
			rc = take(p, ticket, word,
				  turn(s, ticket, PINRING_BROADCAST_END));
		if (rc)
			return rc == 1 || rc == -EPIPE ? 0 : rc;
	}
	p->next = ticket;
	return -EAGAIN;
}

/* --------------------------------------------------------------- consumers */
/* Full slots in a row, from the consumer's tail on, become part of it. */
static void extend(struct pinring_broadcast_consumer *c, uint64_t want)
{
	const struct pinring_broadcast_side *s = &c->side;

	/* A look ahead saves looks; those that are full are nobody else's. */
	if (want < 16)
		want = 16;
	if (want > s->mask + 1)
		want = s->mask + 1;
	while (c->tail - c->read < want &&
	       load_word(s, c->tail) == turn(s, c->tail, PINRING_BROADCAST_FULL))
		c->tail++;
}

/* No message at c->read: 0: look again, or why there is none. */
static int pass(struct pinring_broadcast_consumer *c)
{
	const struct pinring_broadcast_side *s = &c->side;
	__u64 word = load_word(s, c->read);
	const int64_t ahead = laps(s, word, c->read);

	if (ahead > 0 && pinring_broadcast_laps(s))
		return pinring_broadcast_fall_back(c);
	if (ahead > 0 || ahead < -1)
		return -EPROTO;
	if (ahead < 0)
		return -EAGAIN;
	switch (state_of(word)) {
	case PINRING_BROADCAST_FULL: /* just now */
		return 0;
	case PINRING_BROADCAST_VOID:
	case PINRING_BROADCAST_JAMMED:
		c->read++;
		c->tail = c->read;
		c->skipped++;
		return 0;
	case PINRING_BROADCAST_BUSY:
		/* It may be a dead one's. */
		return pinring_broadcast_is_due(&c->refusals) &&
				       pinring_broadcast_repair(s) > 0 ?
			       0 :
			       -EAGAIN;
	case PINRING_BROADCAST_END:
		return -EPIPE;
	default:
		return -EPROTO;
	}
}

int pinring_broadcast_look_many(struct pinring_broadcast_consumer *c,
				uint64_t want)
{
	int tries, rc = 0;

	for (tries = 0; tries < PINRING_BROADCAST_TRIES && !rc; tries++) {
		extend(c, want);
		if (c->tail != c->read) {
			c->refusals = 0;
			return 0;
		}
		rc = pass(c);
	}
	if (!pinring_broadcast_laps(&c->side))
		pinring_broadcast_flush(c);
	return rc ? rc : -EAGAIN;
}

/* Whether looking has something new to say. */
bool pinring_broadcast_is_over(const struct pinring_broadcast_consumer *c)
{
	__u64 word = load_word(&c->side, c->read);
	const int64_t ahead = laps(&c->side, word, c->read);

	/* Lapped, who holds the slot now is nobody to wait for. */
	return ahead ? ahead != -1 : state_of(word) != PINRING_BROADCAST_BUSY;
}

int64_t pinring_broadcast_settle_many(struct pinring_broadcast_consumer *c,
				      uint64_t n)
{
	const struct pinring_broadcast_side *s = &c->side;
	uint64_t whole;

	/* Those behind the last one that is gone. */
	for (whole = 0; whole < n; whole++)
		if (load_word(s, c->read + n - 1 - whole) !=
		    turn(s, c->read + n - 1 - whole, PINRING_BROADCAST_FULL))
			break;
	if (!whole)
		return pinring_broadcast_lose(c, n);
	pinring_broadcast_miss(c, n - whole);
	pinring_count(&s->party->received.messages, whole);
	c->read += n;
	c->margin = 0;
	return (int64_t)whole;
}

/* ------------------------------------------------------------------ repair */
bool pinring_broadcast_void(const struct pinring_broadcast_side *s, uint32_t i,
			    __u64 owner)
{
	const __u64 name = (__u64)i << PINRING_BROADCAST_PARTY_SHIFT;
	uint64_t slot;
	int tries;

	for (slot = 0; slot <= s->mask; slot++)
		for (tries = 0; tries < PINRING_BROADCAST_TRIES; tries++) {
			__u64 word = load_word(s, slot);

			if ((state_of(word) != PINRING_BROADCAST_BUSY &&
			     state_of(word) != PINRING_BROADCAST_JAMMED) ||
			    (word & PINRING_BROADCAST_PARTY) != name)
				break;
			/*
			 * After the word: if the party is still the dead one's
			 * now, so was the word.
			 */
			if (__atomic_load_n(&s->parties[i].owner,
					    __ATOMIC_RELAXED) != owner)
				return false;
			if (!change(s, slot, word,
				    (word & ~PINRING_BROADCAST_BELOW_LAP) |
					    PINRING_BROADCAST_VOID))
				continue;
			/* Its own ticket; where jammed, the other was counted. */
			count_void(s, 1);
			break;
		}
	return true;
}
