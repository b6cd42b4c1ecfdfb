/* SPDX-License-Identifier: MIT */
/*
 * ring_mpmc.h - many producers, many consumers, one order.
 *
 *              head                      tail              hints: no less
 *               |                         |                than these
 *    word:  F+1 | F+1 full taken busy full |  F    F    F       F: free, lap n
 *     ticket    |  4    5    6    7    8   |  9
 *
 * A slot's word holds a lap, a state and who works on it, and it alone decides
 * whether a ticket can be had. A producer walks to the first slot that is free
 * for this lap, makes it busy by cmpxchg, fills it and stores that it is full; a
 * consumer does the same from full over taken to free, for the next lap. (Laps
 * and states are those of Vyukov's bounded queue,
 * https://www.1024cores.net/home/lock-free-algorithms/queues. That queue takes
 * its tickets from a shared index; here the word itself is the ticket, so that
 * the one locked instruction tells who has the slot, and goes to a cache line
 * that is needed anyway.) head and tail are hints where to begin the walk, plain
 * stores, once every four slots. n slots in a row cost one cmpxchg: the first
 * word says how many.
 *
 * Everybody passes every ticket: all before the first free one have producers,
 * so order is that of the cmpxchg's, one for all. Nobody publishes in ticket
 * order: a producer that is stopped between ticket and publish delays the
 * consumers that come to its slot and no producer, until the ring is full.
 *
 * Memory order: a word is stored with release once the payload is written or
 * read, and loaded with acquire before it is read or written. Nothing else
 * orders anything.
 *
 * Death: killed at any instruction, a side leaves at most one run of slots busy,
 * or taken, in its name. pinring_mpmc_repair() finds them: what a producer had
 * not published becomes void (consumers skip it), what a consumer had taken is
 * counted as lost and free again. The ring is whole after that; until then
 * consumers get -EAGAIN at the first such slot, or producers once they come
 * round to it. The waiting forms below repair by themselves. A party is one of
 * pid namespace and process: a process in another pid namespace counts as alive,
 * and a thread that ends without closing its handle holds its party until its
 * process ends. After fork() a handle is the parent's.
 *
 * A handle is one side in one thread, and holds one run at a time. Everything
 * here is lock-free; a call gives up with -EAGAIN after PINRING_MPMC_TRIES steps
 * of its walk. Header and words are hostile territory: an index is masked before
 * use, a word that no honest peer stores is -EPROTO.
 */
#ifndef PINRING_RING_MPMC_H
#define PINRING_RING_MPMC_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <pinring/counts.h>
#include <pinring/port.h>
#include <pinring/region.h>
#include <pinring/wait.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PINRING_MPMC_TRIES 10000

/* Private memory, checked once when opened. */
struct pinring_mpmc_side {
	uint64_t ticket; /* of the first slot held */
	uint64_t held; /* slots reserved or peeked, not yet done with */
	uint64_t next; /* all tickets before are taken: as far as we know */
	uint64_t name; /* of our party, in a word that we hold */
	uint64_t mask; /* capacity - 1 */
	uint64_t shift; /* log2 of the capacity */
	uint64_t stride;
	uint64_t slot_bytes;
	unsigned char *slots;
	struct pinring_party *party; /* this side's, one of those below */
	struct pinring_party *parties;
	uint64_t parties_n;
	struct pinring_mpmc_header *shared;
	struct pinring_region *region; /* the reference this handle holds */
	uint64_t owner; /* what party->owner is while it is ours */
	__u32 *also; /* to be woken by a repair: of what the ring is a part of */
} PINRING_ALIGNED(128);

struct pinring_mpmc_producer {
	struct pinring_mpmc_side side;
};

struct pinring_mpmc_consumer {
	struct pinring_mpmc_side side;
};

/*
 * capacity: slots, a power of two from 2 to 2^27; slot_bytes: a multiple of 8 up
 * to 2^20, of which 8 and 56 fill their cache lines best, because 8 bytes a slot
 * are the ring's; parties: producers and consumers that may have it open at a
 * time, up to 256. -EINVAL, or what pinring_object_create returns.
 */
PINRING_API int pinring_mpmc_create(struct pinring_region *region,
				    const char *name, uint64_t capacity,
				    uint64_t slot_bytes, uint32_t parties);

/*
 * Fill in a handle, in the thread or at least the process that will use it; it
 * holds the region's mapping until closed. -EUSERS: all parties are taken, by
 * living processes; else as pinring_spsc_producer_open.
 */
PINRING_API int
pinring_mpmc_producer_open(struct pinring_region *region, const char *name,
			   struct pinring_mpmc_producer *producer);
PINRING_API int
pinring_mpmc_consumer_open(struct pinring_region *region, const char *name,
			   struct pinring_mpmc_consumer *consumer);

/* What the handle holds is aborted, or released: see below. */
PINRING_API void
pinring_mpmc_producer_close(struct pinring_mpmc_producer *producer);
PINRING_API void
pinring_mpmc_consumer_close(struct pinring_mpmc_consumer *consumer);

/*
 * Settles what dead parties left. Returns how many slots that were. Any side,
 * any time, by several at once; it looks into /proc, and if somebody is dead at
 * every slot, so not in a hot loop.
 */
PINRING_API int64_t pinring_mpmc_repair(const struct pinring_mpmc_side *side);

/*
 * For pinring_wait_any(): until reserve, or peek, may have something else to
 * say. Repairs when nothing moves.
 */
PINRING_API struct pinring_wait
pinring_mpmc_when_room(const struct pinring_mpmc_producer *producer);
PINRING_API struct pinring_wait
pinring_mpmc_when_ready(const struct pinring_mpmc_consumer *consumer);

/* push and pop that wait. -ETIMEDOUT, or what push and pop return. */
PINRING_API int pinring_mpmc_push_wait(struct pinring_mpmc_producer *producer,
				       const void *item, int64_t timeout_ns);
PINRING_API int pinring_mpmc_pop_wait(struct pinring_mpmc_consumer *consumer,
				      void *item, int64_t timeout_ns);

struct pinring_mpmc_info {
	uint64_t struct_size;
	uint64_t capacity;
	uint64_t slot_bytes;
	uint64_t reserved; /* tickets taken by producers, ever */
	uint64_t taken; /* by consumers */
	uint64_t voided; /* of the dead, not published */
	uint64_t lost; /* taken by the dead, not released */
	uint32_t parties; /* that have it open, dead ones included */
	uint32_t closed;
};

PINRING_API int pinring_mpmc_info(const struct pinring_mpmc_side *side,
				  struct pinring_mpmc_info *info);

/* ------------------------------------------------------- inside, both sides */
PINRING_HOST_FN __u64 *pinring_mpmc_word(const struct pinring_mpmc_side *s,
					 uint64_t ticket, uint64_t stride)
{
	return (__u64 *)(void *)(s->slots + (ticket & s->mask) * stride);
}

/* What the word is in that state, in the lap of that ticket. */
PINRING_HOST_FN __u64 pinring_mpmc_turn(const struct pinring_mpmc_side *s,
					uint64_t ticket, __u64 state)
{
	/* The shift to the left drops what a lap has too much. */
	return ticket >> s->shift << PINRING_MPMC_LAP_SHIFT | state;
}

/* How many laps the word is ahead of the ticket; they wrap. */
PINRING_HOST_FN int64_t pinring_mpmc_laps(const struct pinring_mpmc_side *s,
					  __u64 word, uint64_t ticket)
{
	return (int64_t)((word & ~PINRING_MPMC_BELOW_LAP) -
			 pinring_mpmc_turn(s, ticket, 0)) >>
	       PINRING_MPMC_LAP_SHIFT;
}

PINRING_HOST_FN uint64_t pinring_mpmc_run(__u64 word)
{
	uint64_t n = word >> PINRING_MPMC_RUN_SHIFT & PINRING_MPMC_RUN_MAX;

	return n ? n : 1;
}

/*
 * One step of the walk, at a slot that is not ours to take: to the next ticket
 * that may be, 0; or why there is none: -EAGAIN, -EPIPE, -EPROTO. Never to a
 * ticket within a run that somebody holds: only its first word says so.
 */
PINRING_HOST_FN int pinring_mpmc_step(const struct pinring_mpmc_side *s,
				      bool produces, uint64_t *ticket,
				      __u64 word)
{
	const __u64 state = word & PINRING_MPMC_STATE;
	const int64_t laps = pinring_mpmc_laps(s, word, *ticket);

	if (laps == 0) {
		if (state == PINRING_MPMC_END)
			return -EPIPE;
		if (state == PINRING_MPMC_TAKEN ||
		    (produces && state == PINRING_MPMC_BUSY))
			*ticket += pinring_mpmc_run(word);
		else if (produces && (state == PINRING_MPMC_FULL ||
				      state == PINRING_MPMC_VOID))
			*ticket += 1;
		else if (!produces && state != PINRING_MPMC_FULL &&
			 state <= PINRING_MPMC_VOID)
			return -EAGAIN;
		else
			return -EPROTO;
		return 0;
	}
	if (laps < 0) /* still of the last lap: full, or nothing in it yet */
		return laps == -1 && state != PINRING_MPMC_FREE &&
				       state != PINRING_MPMC_END &&
				       (produces || state != PINRING_MPMC_BUSY) ?
			       -EAGAIN :
			       -EPROTO;
	/* Others have been here since, and moved on by that many laps. */
	*ticket += (uint64_t)laps << s->shift;
	if (state == PINRING_MPMC_TAKEN ||
	    (produces && state == PINRING_MPMC_BUSY))
		*ticket += pinring_mpmc_run(word);
	else if (!produces || state == PINRING_MPMC_FREE)
		*ticket -= s->mask; /* what was here a lap ago is done with */
	else if (state != PINRING_MPMC_END)
		*ticket += 1;
	return 0;
}

/* A free slot is a producer's to take, a full one a consumer's. */
#define PINRING_MPMC_WANTED(produces) \
	((produces) ? PINRING_MPMC_FREE : PINRING_MPMC_FULL)

/*
 * Takes up to `want` consecutive slots that are free, or full, and returns how
 * many; the first is *ticket's. Or, with the word it stopped at, what
 * pinring_mpmc_step() said; -EAGAIN also: the walk was too long for one call.
 */
PINRING_HOST_FN int64_t pinring_mpmc_claim(struct pinring_mpmc_side *s,
					   __u64 *hint, bool produces,
					   uint64_t want, uint64_t stride,
					   uint64_t *ticket, __u64 *word)
{
	uint64_t at = __atomic_load_n(hint, __ATOMIC_RELAXED);
	int64_t rc = -EAGAIN;
	int tries;

	/* A hint may lag: whoever stored it last may have done so late. */
	if ((int64_t)(s->next - at) > 0)
		at = s->next;
	for (tries = 0; tries < PINRING_MPMC_TRIES; tries++) {
		const __u64 free = pinring_mpmc_turn(
			s, at, PINRING_MPMC_WANTED(produces));
		__u64 *first = pinring_mpmc_word(s, at, stride);
		/* acquire: pairs with the release in _hand_over */
		__u64 now = __atomic_load_n(first, __ATOMIC_ACQUIRE);
		uint64_t n = 1;

		if (__builtin_expect(now == free, 1)) {
			for (; n < want; n++)
				if (__atomic_load_n(
					    pinring_mpmc_word(s, at + n, stride),
					    __ATOMIC_ACQUIRE) !=
				    pinring_mpmc_turn(
					    s, at + n,
					    PINRING_MPMC_WANTED(produces)))
					break;
			if (__atomic_compare_exchange_n(
				    first, &now,
				    pinring_mpmc_turn(
					    s, at,
					    produces ? PINRING_MPMC_BUSY :
						       PINRING_MPMC_TAKEN) |
					    n << PINRING_MPMC_RUN_SHIFT | s->name,
				    false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
				*ticket = at;
				s->next = at + n;
				/* Several store it, any boundary of runs will do. */
				if ((at ^ s->next) & ~3ull)
					__atomic_store_n(hint, s->next,
							 __ATOMIC_RELAXED);
				return (int64_t)n;
			}
		}
		*word = now;
		rc = pinring_mpmc_step(s, produces, &at, now);
		if (rc)
			break;
		rc = -EAGAIN;
	}
	if (rc != -EPROTO)
		s->next = at;
	*ticket = at;
	return rc;
}

/* The words of n slots, the last one first: `state`, `ahead` tickets later. */
PINRING_HOST_FN void pinring_mpmc_hand_over(const struct pinring_mpmc_side *s,
					    uint64_t ticket, uint64_t n,
					    uint64_t ahead, __u64 state,
					    uint64_t stride)
{
	/*
	 * release: the payload is written, or read, before the slot changes
	 * hands; pairs with the acquire in _claim. The first word, which holds
	 * the run, goes last, and before it those that a walk comes to next.
	 */
	while (n--)
		__atomic_store_n(pinring_mpmc_word(s, ticket + n, stride),
				 pinring_mpmc_turn(s, ticket + n + ahead, state),
				 __ATOMIC_RELEASE);
}

/* The payload of the i-th slot held; i < what reserve or peek returned. */
PINRING_HOST_FN void *pinring_mpmc_slot(const struct pinring_mpmc_side *s,
					uint64_t i)
{
	return pinring_mpmc_word(s, s->ticket + i, s->stride) + 1;
}

/* -------------------------------------------------------------- producers */
PINRING_HOST_FN int64_t pinring_mpmc_reserve_at(struct pinring_mpmc_side *s,
						uint64_t want, uint64_t stride,
						uint64_t *ticket)
{
	__u64 word;
	int64_t n;

	if (__builtin_expect(
		    __atomic_load_n(&s->shared->closed, __ATOMIC_RELAXED) != 0,
		    0))
		return -EPIPE;
	n = pinring_mpmc_claim(s, &s->shared->tail, true, want, stride, ticket,
			       &word);
	if (__builtin_expect(n == -EAGAIN, 0))
		pinring_count(&s->party->sent.refused, 1);
	return n;
}

/*
 * Up to `want` slots, and no more than PINRING_MPMC_RUN_MAX, to be filled in
 * place through pinring_mpmc_slot(); one ticket for all. Returns how many (0 if
 * none are wanted),
 * -EAGAIN: full, -EPIPE: closed, -EPROTO: a damaged slot, -EBUSY: this handle
 * holds slots already.
 */
static inline int64_t pinring_mpmc_reserve(struct pinring_mpmc_producer *p,
					   uint64_t want)
{
	int64_t n;

	if (p->side.held)
		return -EBUSY;
	if (!want)
		return 0;
	if (want > PINRING_MPMC_RUN_MAX)
		want = PINRING_MPMC_RUN_MAX;
	n = pinring_mpmc_reserve_at(&p->side, want, p->side.stride,
				    &p->side.ticket);
	if (n > 0)
		p->side.held = (uint64_t)n;
	return n;
}

/*
 * Publish the first n of the slots held; the others become void: consumers
 * never see them.
 */
static inline void pinring_mpmc_commit(struct pinring_mpmc_producer *p,
				       uint64_t n)
{
	struct pinring_mpmc_side *s = &p->side;

	n = n < s->held ? n : s->held;
	pinring_mpmc_hand_over(s, s->ticket + n, s->held - n, 0,
			       PINRING_MPMC_VOID, s->stride);
	pinring_mpmc_hand_over(s, s->ticket, n, 0, PINRING_MPMC_FULL,
			       s->stride);
	pinring_count(&s->party->sent.messages, n);
	/* For void slots, too: consumers that waited go on behind them. */
	pinring_wake(&s->shared->sleepers.ready);
	s->held = 0;
}

static inline void pinring_mpmc_abort(struct pinring_mpmc_producer *p)
{
	pinring_mpmc_commit(p, 0);
}

/* -------------------------------------------------------------- consumers */
/*
 * At a slot that has nothing to read: whether to look again. A void one is
 * skipped. Closed, the first free one becomes the end: if no producer was
 * faster, none will ever come behind it.
 */
PINRING_HOST_FN bool pinring_mpmc_skip(const struct pinring_mpmc_side *s,
				       uint64_t ticket, __u64 word,
				       uint64_t stride)
{
	__u64 next;

	if (word == pinring_mpmc_turn(s, ticket, PINRING_MPMC_VOID))
		next = pinring_mpmc_turn(s, ticket + s->mask + 1,
					 PINRING_MPMC_FREE);
	else if (word == pinring_mpmc_turn(s, ticket, PINRING_MPMC_FREE) &&
		 __atomic_load_n(&s->shared->closed, __ATOMIC_RELAXED))
		next = pinring_mpmc_turn(s, ticket, PINRING_MPMC_END);
	else
		return false;
	/* release: as in _hand_over; there is no payload */
	__atomic_compare_exchange_n(pinring_mpmc_word(s, ticket, stride), &word,
				    next, false, __ATOMIC_RELEASE,
				    __ATOMIC_RELAXED);
	pinring_wake(&s->shared->sleepers.room);
	return true;
}

PINRING_HOST_FN int64_t pinring_mpmc_peek_at(struct pinring_mpmc_side *s,
					     uint64_t want, uint64_t stride,
					     uint64_t *ticket)
{
	int64_t n = -EAGAIN;
	int tries;

	for (tries = 0; tries < PINRING_MPMC_TRIES; tries++) {
		__u64 word = 0;

		n = pinring_mpmc_claim(s, &s->shared->head, false, want, stride,
				       ticket, &word);
		if (__builtin_expect(n > 0, 1) ||
		    !pinring_mpmc_skip(s, *ticket, word, stride))
			break;
	}
	return n;
}

/* As peek; that it found nothing is not counted. */
static inline int64_t pinring_mpmc_take(struct pinring_mpmc_consumer *c,
					uint64_t want)
{
	int64_t n;

	if (c->side.held)
		return -EBUSY;
	if (!want)
		return 0;
	if (want > PINRING_MPMC_RUN_MAX)
		want = PINRING_MPMC_RUN_MAX;
	n = pinring_mpmc_peek_at(&c->side, want, c->side.stride,
				 &c->side.ticket);
	if (n > 0)
		c->side.held = (uint64_t)n;
	return n;
}

/*
 * Up to `want` messages, and no more than PINRING_MPMC_RUN_MAX, to be read in
 * place through pinring_mpmc_slot(). Returns how many (0 if none are wanted), -EAGAIN: none is ready,
 * -EPIPE: closed and drained, -EPROTO, -EBUSY as pinring_mpmc_reserve().
 */
static inline int64_t pinring_mpmc_peek(struct pinring_mpmc_consumer *c,
					uint64_t want)
{
	int64_t n = pinring_mpmc_take(c, want);

	if (__builtin_expect(n == -EAGAIN, 0))
		pinring_count(&c->side.party->received.refused, 1);
	return n;
}

/* Done with all that peek returned. */
static inline void pinring_mpmc_release(struct pinring_mpmc_consumer *c)
{
	struct pinring_mpmc_side *s = &c->side;

	pinring_mpmc_hand_over(s, s->ticket, s->held, s->mask + 1,
			       PINRING_MPMC_FREE, s->stride);
	pinring_count(&s->party->received.messages, s->held);
	pinring_wake(&s->shared->sleepers.room);
	s->held = 0;
}

/* ------------------------------------------------------------ push and pop */

/* One item of slot_bytes, copied. 0, or what reserve returned. */
static inline int pinring_mpmc_push(struct pinring_mpmc_producer *p,
				    const void *item)
{
	int64_t n = pinring_mpmc_reserve(p, 1);

	if (n < 0)
		return (int)n;
	memcpy(pinring_mpmc_slot(&p->side, 0), item, p->side.slot_bytes);
	pinring_mpmc_commit(p, 1);
	return 0;
}

static inline int pinring_mpmc_pop(struct pinring_mpmc_consumer *c, void *item)
{
	int64_t n = pinring_mpmc_peek(c, 1);

	if (n < 0)
		return (int)n;
	memcpy(item, pinring_mpmc_slot(&c->side, 0), c->side.slot_bytes);
	pinring_mpmc_release(c);
	return 0;
}

/* Up to n items with one ticket. How many went, or what reserve returned. */
static inline int64_t pinring_mpmc_push_batch(struct pinring_mpmc_producer *p,
					      const void *items, uint64_t n)
{
	const unsigned char *from = (const unsigned char *)items;
	int64_t k = pinring_mpmc_reserve(p, n);
	int64_t i;

	for (i = 0; i < k; i++)
		memcpy(pinring_mpmc_slot(&p->side, (uint64_t)i),
		       from + (uint64_t)i * p->side.slot_bytes,
		       p->side.slot_bytes);
	if (k > 0)
		pinring_mpmc_commit(p, (uint64_t)k);
	return k;
}

static inline int64_t pinring_mpmc_pop_batch(struct pinring_mpmc_consumer *c,
					     void *items, uint64_t n)
{
	unsigned char *to = (unsigned char *)items;
	int64_t k = pinring_mpmc_peek(c, n);
	int64_t i;

	for (i = 0; i < k; i++)
		memcpy(to + (uint64_t)i * c->side.slot_bytes,
		       pinring_mpmc_slot(&c->side, (uint64_t)i),
		       c->side.slot_bytes);
	if (k > 0)
		pinring_mpmc_release(c);
	return k;
}

/*
 * The same for slots of 8 bytes, whose stride the compiler then knows. The
 * caller answers for slot_bytes being 8, and for holding nothing.
 */
#define PINRING_MPMC_STRIDE_U64 16

static inline int pinring_mpmc_push_u64(struct pinring_mpmc_producer *p,
					uint64_t item)
{
	struct pinring_mpmc_side *s = &p->side;
	uint64_t ticket;
	int64_t n = pinring_mpmc_reserve_at(s, 1, PINRING_MPMC_STRIDE_U64,
					    &ticket);

	if (n < 0)
		return (int)n;
	pinring_mpmc_word(s, ticket, PINRING_MPMC_STRIDE_U64)[1] = item;
	pinring_mpmc_hand_over(s, ticket, 1, 0, PINRING_MPMC_FULL,
			       PINRING_MPMC_STRIDE_U64);
	pinring_count(&s->party->sent.messages, 1);
	pinring_wake(&s->shared->sleepers.ready);
	return 0;
}

static inline int pinring_mpmc_pop_u64(struct pinring_mpmc_consumer *c,
				       uint64_t *item)
{
	struct pinring_mpmc_side *s = &c->side;
	uint64_t ticket;
	int64_t n = pinring_mpmc_peek_at(s, 1, PINRING_MPMC_STRIDE_U64,
					 &ticket);

	if (n < 0) {
		if (n == -EAGAIN)
			pinring_count(&s->party->received.refused, 1);
		return (int)n;
	}
	*item = pinring_mpmc_word(s, ticket, PINRING_MPMC_STRIDE_U64)[1];
	pinring_mpmc_hand_over(s, ticket, 1, s->mask + 1, PINRING_MPMC_FREE,
			       PINRING_MPMC_STRIDE_U64);
	pinring_count(&s->party->received.messages, 1);
	pinring_wake(&s->shared->sleepers.room);
	return 0;
}

static inline int64_t
pinring_mpmc_push_batch_u64(struct pinring_mpmc_producer *p,
			    const uint64_t *items, uint64_t n)
{
	struct pinring_mpmc_side *s = &p->side;
	uint64_t ticket;
	int64_t i, k;

	if (!n)
		return 0;
	k = pinring_mpmc_reserve_at(
		s, n < PINRING_MPMC_RUN_MAX ? n : PINRING_MPMC_RUN_MAX,
		PINRING_MPMC_STRIDE_U64, &ticket);
	for (i = 0; i < k; i++)
		pinring_mpmc_word(s, ticket + (uint64_t)i,
				  PINRING_MPMC_STRIDE_U64)[1] = items[i];
	if (k > 0) {
		pinring_mpmc_hand_over(s, ticket, (uint64_t)k, 0,
				       PINRING_MPMC_FULL,
				       PINRING_MPMC_STRIDE_U64);
		pinring_count(&s->party->sent.messages, (uint64_t)k);
		pinring_wake(&s->shared->sleepers.ready);
	}
	return k;
}

static inline int64_t
pinring_mpmc_pop_batch_u64(struct pinring_mpmc_consumer *c, uint64_t *items,
			   uint64_t n)
{
	struct pinring_mpmc_side *s = &c->side;
	uint64_t ticket;
	int64_t i, k;

	if (!n)
		return 0;
	k = pinring_mpmc_peek_at(
		s, n < PINRING_MPMC_RUN_MAX ? n : PINRING_MPMC_RUN_MAX,
		PINRING_MPMC_STRIDE_U64, &ticket);
	if (k == -EAGAIN)
		pinring_count(&s->party->received.refused, 1);
	for (i = 0; i < k; i++)
		items[i] = pinring_mpmc_word(s, ticket + (uint64_t)i,
					     PINRING_MPMC_STRIDE_U64)[1];
	if (k > 0) {
		pinring_mpmc_hand_over(s, ticket, (uint64_t)k, s->mask + 1,
				       PINRING_MPMC_FREE,
				       PINRING_MPMC_STRIDE_U64);
		pinring_count(&s->party->received.messages, (uint64_t)k);
		pinring_wake(&s->shared->sleepers.room);
	}
	return k;
}

/*
 * No more will be reserved, by any producer: they get -EPIPE. Consumers drain
 * what is there, which includes what is reserved now, then get -EPIPE.
 */
static inline void pinring_mpmc_close(const struct pinring_mpmc_side *s)
{
	__atomic_store_n(&s->shared->closed, 1, __ATOMIC_RELEASE);
	pinring_wake(&s->shared->sleepers.ready);
	pinring_wake(&s->shared->sleepers.room);
}

/*
 * Messages published or on their way; by others, so gone as soon as read. Walks
 * from the hints, so not for every message.
 */
PINRING_API uint64_t pinring_mpmc_count(const struct pinring_mpmc_side *side);

static inline uint64_t pinring_mpmc_capacity(const struct pinring_mpmc_side *s)
{
	return s->mask + 1;
}

/* Slots that nobody has, as pinring_mpmc_count(). */
static inline uint64_t pinring_mpmc_free(const struct pinring_mpmc_side *s)
{
	return pinring_mpmc_capacity(s) - pinring_mpmc_count(s);
}

#ifdef __cplusplus
}
#endif

#endif /* PINRING_RING_MPMC_H */
