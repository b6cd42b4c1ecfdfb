/* SPDX-License-Identifier: MIT */
/*
 * ring_mpmc.h - many producers, many consumers, one order.
 *
 *              head                      tail
 *               |                         |
 *    word:  F+1 | F+1 full full free full |  F    F    F       F: free, lap n
 *     ticket    |  4    5    6    7    8  |  9
 *                                 |
 *                     reserved, not yet published: consumers wait here
 *
 * A slot's word holds a lap and a state, and it alone decides whether a ticket
 * can be had: neither side ever reads the other's index. A producer finds the
 * slot at tail free for this lap, moves tail by cmpxchg, fills the slot and
 * stores the word; a consumer does the same at head. (Vyukov's bounded queue,
 * https://www.1024cores.net/home/lock-free-algorithms/queues, with laps for
 * sequence numbers, so that a ring of zeros is an empty one; and with runs: n
 * tickets for one cmpxchg.) Nobody publishes in ticket order: a producer that is
 * stopped between ticket and publish delays the consumers that come to its slot
 * and no producer, until the ring is full.
 *
 * Memory order: a word is stored with release once the payload is written or
 * read, and loaded with acquire before it is read or written. head and tail
 * order nothing but the tickets.
 *
 * Death: before it moves head or tail, a side notes in its party which tickets
 * it tries for: a plain store, about 0.3 ns. Killed at any instruction, it
 * leaves at most one run of slots behind, which pinring_mpmc_repair() finds by
 * that note: slots it had not published become void (consumers skip them),
 * messages it had taken are counted as lost and their slots are free again. The
 * ring is whole after that; until then consumers get -EAGAIN at the first such
 * slot, or producers once they come round to it. The waiting forms below repair
 * by themselves. A party is one of pid namespace and process: a process in
 * another pid namespace counts as alive, and a thread that ends without closing
 * its handle holds its party until its process ends. After fork() a handle is
 * the parent's.
 *
 * A handle is one side in one thread, and holds one run at a time. Everything
 * here is lock-free; a call gives up with -EAGAIN after PINRING_MPMC_TRIES lost
 * races in a row. Header and words are hostile territory: an index is masked
 * before use, a word that no honest peer stores is -EPROTO.
 */
#ifndef PINRING_RING_MPMC_H
#define PINRING_RING_MPMC_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <pinring/port.h>
#include <pinring/region.h>
#include <pinring/wait.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PINRING_MPMC_TRIES 10000
#define PINRING_MPMC_RUN_MAX 65535 /* slots of one run */

/* Private memory, checked once when opened. */
struct pinring_mpmc_side {
	uint64_t ticket; /* of the first slot held */
	uint64_t held; /* slots reserved or peeked, not yet done with */
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
} PINRING_ALIGNED(128);

struct pinring_mpmc_producer {
	struct pinring_mpmc_side side;
};

struct pinring_mpmc_consumer {
	struct pinring_mpmc_side side;
};

/*
 * capacity: slots, a power of two from 2 to 2^32; slot_bytes: a multiple of 8 up
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
 * any time, by several at once; it looks into /proc, so not in a hot loop.
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

PINRING_HOST_FN __u64 pinring_mpmc_turn(const struct pinring_mpmc_side *s,
					uint64_t ticket, __u64 state)
{
	/* The shift to the left drops what a sum of tickets has too much. */
	return ticket << 1 >> (s->shift + 1) << PINRING_LAP_SHIFT | state;
}

/* Laps wrap with the 63 bits of the tickets, not with those of the word. */
PINRING_HOST_FN bool pinring_mpmc_is_older(const struct pinring_mpmc_side *s,
					   __u64 word, __u64 turn)
{
	return (int64_t)((word - turn) << (s->shift - 1)) < 0;
}

PINRING_HOST_FN void pinring_mpmc_intend(const struct pinring_mpmc_side *s,
					 uint64_t intent)
{
	/*
	 * release: whoever reads this note sees all that was stored for the
	 * last one as well; pairs with the acquire in pinring_mpmc_repair().
	 */
	__atomic_store_n(&s->party->intent, intent, __ATOMIC_RELEASE);
}

/*
 * Takes up to `want` consecutive tickets whose slots are all in `state`, and
 * returns how many; the first is *at >> 1. 0: it is not their turn, and *at is
 * the index as it stands and *word the first slot's word; -EAGAIN: others were
 * always faster.
 */
PINRING_HOST_FN int64_t pinring_mpmc_claim(const struct pinring_mpmc_side *s,
					   __u64 *index, uint64_t want,
					   __u64 state, uint64_t stride,
					   __u64 *at, __u64 *word)
{
	int64_t rc = -EAGAIN;
	bool noted = false;
	int tries;

	*at = __atomic_load_n(index, __ATOMIC_RELAXED);
	for (tries = 0; tries < PINRING_MPMC_TRIES; tries++) {
		const uint64_t first = *at >> 1;
		uint64_t n;
		__u64 now;

		for (n = 0; n < want; n++) {
			/* acquire: pairs with the release in _hand_over */
			*word = __atomic_load_n(
				pinring_mpmc_word(s, first + n, stride),
				__ATOMIC_ACQUIRE);
			if (*word != pinring_mpmc_turn(s, first + n, state))
				break;
		}
		if (__builtin_expect(n && !(*at & 1), 1)) {
			noted = true;
			pinring_mpmc_intend(s, first << PINRING_INTENT_BITS | n);
			/* release: the note is there before the tickets are ours */
			if (__atomic_compare_exchange_n(index, at, *at + 2 * n,
							false, __ATOMIC_RELEASE,
							__ATOMIC_RELAXED))
				return (int64_t)n;
			continue;
		}
		/* After the word: who changed that had moved the index before. */
		now = __atomic_load_n(index, __ATOMIC_RELAXED);
		if (now == *at) {
			rc = 0;
			break;
		}
		*at = now;
	}
	/*
	 * A note of tickets that another got would stand in the way of repair:
	 * it cannot tell which of the two took them.
	 */
	if (noted)
		pinring_mpmc_intend(s, 0);
	return rc;
}

/* The words of n slots: `state` of the lap of their tickets + ahead. */
PINRING_HOST_FN void pinring_mpmc_hand_over(const struct pinring_mpmc_side *s,
					    uint64_t ticket, uint64_t n,
					    uint64_t ahead, __u64 state,
					    uint64_t stride)
{
	uint64_t i;

	/*
	 * release: the payload is written, or read, before the slot changes
	 * hands; pairs with the acquire in _claim.
	 */
	for (i = 0; i < n; i++)
		__atomic_store_n(pinring_mpmc_word(s, ticket + i, stride),
				 pinring_mpmc_turn(s, ticket + i + ahead, state),
				 __ATOMIC_RELEASE);
	/* A void slot as well: consumers that waited for it go on behind it. */
	pinring_wake(state == PINRING_SLOT_FREE ? &s->shared->sleepers.room :
						  &s->shared->sleepers.ready);
}

PINRING_HOST_FN void pinring_mpmc_refuse(const struct pinring_mpmc_side *s)
{
	/* One writer: the side whose party this is. */
	__atomic_store_n(&s->party->refused, s->party->refused + 1,
			 __ATOMIC_RELAXED);
}

/* The payload of the i-th slot held; i < what reserve or peek returned. */
PINRING_HOST_FN void *pinring_mpmc_slot(const struct pinring_mpmc_side *s,
					uint64_t i)
{
	return pinring_mpmc_word(s, s->ticket + i, s->stride) + 1;
}

/* -------------------------------------------------------------- producers */
PINRING_HOST_FN int64_t
pinring_mpmc_reserve_at(const struct pinring_mpmc_side *s, uint64_t want,
			uint64_t stride, uint64_t *ticket)
{
	__u64 at, word = 0;
	int64_t n = pinring_mpmc_claim(s, &s->shared->tail, want,
				       PINRING_SLOT_FREE, stride, &at, &word);

	*ticket = at >> 1;
	if (__builtin_expect(n > 0, 1))
		return n;
	if (n == 0 && at & 1)
		return -EPIPE;
	if (n == 0 &&
	    !pinring_mpmc_is_older(s, word,
				   pinring_mpmc_turn(s, at >> 1,
						     PINRING_SLOT_FREE)))
		return -EPROTO;
	pinring_mpmc_refuse(s);
	return -EAGAIN;
}

/*
 * Up to `want` slots, 1 to PINRING_MPMC_RUN_MAX, to be filled in place through
 * pinring_mpmc_slot(); one ticket for all. Returns how many (at least 1),
 * -EAGAIN: full, -EPIPE: closed, -EPROTO: a damaged slot, -EBUSY: this handle
 * holds slots already.
 */
static inline int64_t pinring_mpmc_reserve(struct pinring_mpmc_producer *p,
					   uint64_t want)
{
	int64_t n;

	if (p->side.held)
		return -EBUSY;
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
	pinring_mpmc_hand_over(s, s->ticket, n, 0, PINRING_SLOT_FULL,
			       s->stride);
	pinring_mpmc_hand_over(s, s->ticket + n, s->held - n, 0,
			       PINRING_SLOT_VOID, s->stride);
	s->held = 0;
}

static inline void pinring_mpmc_abort(struct pinring_mpmc_producer *p)
{
	pinring_mpmc_commit(p, 0);
}

/* -------------------------------------------------------------- consumers */
/* No message is ready: why. */
PINRING_HOST_FN int64_t pinring_mpmc_nothing(const struct pinring_mpmc_side *s,
					     __u64 at, __u64 word)
{
	const struct pinring_mpmc_header *h = s->shared;

	if (at & 1 ||
	    !pinring_mpmc_is_older(s, word,
				   pinring_mpmc_turn(s, at >> 1,
						     PINRING_SLOT_FULL)))
		return -EPROTO;
	/*
	 * Closed, no ticket beyond tail will ever be taken. Not before: to look
	 * at tail whenever the ring is empty costs producers half their speed.
	 */
	if (__atomic_load_n(&h->closed, __ATOMIC_RELAXED) &&
	    __atomic_load_n(&h->tail, __ATOMIC_RELAXED) == (at | 1))
		return -EPIPE;
	pinring_mpmc_refuse(s);
	return -EAGAIN;
}

PINRING_HOST_FN int64_t pinring_mpmc_peek_at(const struct pinring_mpmc_side *s,
					     uint64_t want, uint64_t stride,
					     uint64_t *ticket)
{
	int tries;

	for (tries = 0; tries < PINRING_MPMC_TRIES; tries++) {
		__u64 at, word = 0;
		int64_t n = pinring_mpmc_claim(s, &s->shared->head, want,
					       PINRING_SLOT_FULL, stride, &at,
					       &word);

		*ticket = at >> 1;
		if (__builtin_expect(n > 0, 1))
			return n;
		if (n < 0)
			return n;
		if (word != pinring_mpmc_turn(s, at >> 1, PINRING_SLOT_VOID))
			return pinring_mpmc_nothing(s, at, word);
		/* Skipped: taken like a message, and given back at once. */
		if (pinring_mpmc_claim(s, &s->shared->head, 1, PINRING_SLOT_VOID,
				       stride, &at, &word) > 0)
			pinring_mpmc_hand_over(s, at >> 1, 1, s->mask + 1,
					       PINRING_SLOT_FREE, stride);
	}
	return -EAGAIN;
}

/*
 * Up to `want` messages, 1 to PINRING_MPMC_RUN_MAX, to be read in place through
 * pinring_mpmc_slot(). Returns how many (at least 1), -EAGAIN: none is ready,
 * -EPIPE: closed and drained, -EPROTO, -EBUSY as pinring_mpmc_reserve().
 */
static inline int64_t pinring_mpmc_peek(struct pinring_mpmc_consumer *c,
					uint64_t want)
{
	int64_t n;

	if (c->side.held)
		return -EBUSY;
	if (want > PINRING_MPMC_RUN_MAX)
		want = PINRING_MPMC_RUN_MAX;
	n = pinring_mpmc_peek_at(&c->side, want, c->side.stride,
				 &c->side.ticket);
	if (n > 0)
		c->side.held = (uint64_t)n;
	return n;
}

/* Done with all that peek returned. */
static inline void pinring_mpmc_release(struct pinring_mpmc_consumer *c)
{
	struct pinring_mpmc_side *s = &c->side;

	pinring_mpmc_hand_over(s, s->ticket, s->held, s->mask + 1,
			       PINRING_SLOT_FREE, s->stride);
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
	const struct pinring_mpmc_side *s = &p->side;
	uint64_t ticket;
	int64_t n = pinring_mpmc_reserve_at(s, 1, PINRING_MPMC_STRIDE_U64,
					    &ticket);

	if (n < 0)
		return (int)n;
	pinring_mpmc_word(s, ticket, PINRING_MPMC_STRIDE_U64)[1] = item;
	pinring_mpmc_hand_over(s, ticket, 1, 0, PINRING_SLOT_FULL,
			       PINRING_MPMC_STRIDE_U64);
	return 0;
}

static inline int pinring_mpmc_pop_u64(struct pinring_mpmc_consumer *c,
				       uint64_t *item)
{
	const struct pinring_mpmc_side *s = &c->side;
	uint64_t ticket;
	int64_t n = pinring_mpmc_peek_at(s, 1, PINRING_MPMC_STRIDE_U64,
					 &ticket);

	if (n < 0)
		return (int)n;
	*item = pinring_mpmc_word(s, ticket, PINRING_MPMC_STRIDE_U64)[1];
	pinring_mpmc_hand_over(s, ticket, 1, s->mask + 1, PINRING_SLOT_FREE,
			       PINRING_MPMC_STRIDE_U64);
	return 0;
}

/*
 * No more will be reserved, by any producer: they get -EPIPE. Consumers drain
 * what is there, which includes what is reserved now, then get -EPIPE.
 */
static inline void pinring_mpmc_close(const struct pinring_mpmc_side *s)
{
	__atomic_or_fetch(&s->shared->tail, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&s->shared->closed, 1, __ATOMIC_RELEASE);
	pinring_wake(&s->shared->sleepers.ready);
	pinring_wake(&s->shared->sleepers.room);
}

/* Messages published or on their way; by others, so gone as soon as read. */
static inline uint64_t pinring_mpmc_fill(const struct pinring_mpmc_side *s)
{
	uint64_t head = __atomic_load_n(&s->shared->head, __ATOMIC_ACQUIRE);
	uint64_t tail = __atomic_load_n(&s->shared->tail, __ATOMIC_RELAXED);
	uint64_t n = ((tail & ~1ull) - (head & ~1ull)) >> 1;

	/* head was read first: tail may have run ahead of it meanwhile. */
	return n <= s->mask + 1 ? n : s->mask + 1;
}

static inline uint64_t pinring_mpmc_capacity(const struct pinring_mpmc_side *s)
{
	return s->mask + 1;
}

#ifdef __cplusplus
}
#endif

#endif /* PINRING_RING_MPMC_H */
