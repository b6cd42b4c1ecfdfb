/* SPDX-License-Identifier: MIT */
/*
 * ring_broadcast.h - every consumer sees every message.
 *
 *          cursor A           cursor B             tail        limit
 *             |                  |                   |           |
 *    [.][.][.][a][a][a][a][a][a][ab][ab][ab][ab][ab][.][.][.][.][
 *             |                                      |
 *        the slowest: it gates                producers may write up to limit
 *
 * A message is written once and read by each consumer in place, or copied by it.
 * What the creator chooses:
 *
 *  gated     The slowest living consumer holds producers back: nobody misses
 *            anything. Producers look at the cursors only when they come to the
 *            limit that the last look gave them.
 *  lapping   Producers never wait for consumers. A consumer that was lapped is
 *            told how many messages it missed and goes on at the oldest one that
 *            is intact: received + missed == sent, for each of them, always. What
 *            was overwritten while it was read is never delivered.
 *
 *  one producer    No word per slot: a published tail, as in ring_spsc.h. Slots
 *                  lie one behind the other; there is one producer at a time.
 *  many            A word per slot, which is the ticket and names who holds it, as
 *                  in ring_mpmc.h. Gated, such a ring holds one message less than
 *                  it has slots: the last one is kept for the end.
 *
 * Memory order: the tail, or the slot's word, is stored with release once the
 * payload is written and loaded with acquire before it is read. A consumer stores
 * its cursor with release once it has read, and a producer loads it with acquire
 * before it writes there again. Lapping, payload travels in 64-bit words, stored
 * with release and loaded with acquire: so who has read one word of a new message
 * finds, when it looks afterwards, the limit beyond its own (or the slot's word
 * changed), which was stored before.
 *
 * Joining: a consumer shows its cursor, counts up `joins`, and only then reads
 * where it begins; a producer that has looked at the cursors believes what it saw
 * only if `joins` has not moved since. So either the producer has seen the cursor,
 * or the consumer begins where no producer that has not can write.
 *
 * Death: a dead consumer gates until somebody notices. pinring_broadcast_repair()
 * does, the waiting forms call it, and so does a producer that was refused 1024
 * times in a row because of the same consumer, then 2048 times and so on: it
 * looks at that consumer's process, some 20 us. A dead producer of many leaves
 * slots that bear its name; they become void, and consumers skip them. Of a single
 * producer, what it had not published never was. The next one goes on behind it.
 *
 * A handle is one side in one thread. All here is lock-free, and bounded: a call
 * gives up with -EAGAIN after PINRING_BROADCAST_TRIES lost races. Header, words and
 * cursors are hostile territory: an index is masked before use, and what no honest
 * peer stores is -EPROTO. A cursor that makes no sense gates, as any consumer may,
 * or does not: that is its owner's loss.
 */
#ifndef PINRING_RING_BROADCAST_H
#define PINRING_RING_BROADCAST_H

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

#define PINRING_BROADCAST_TRIES 10000
#define PINRING_BROADCAST_LAPS_MAX 64 /* times one pop lets itself be lapped */

/* Where a consumer begins. */
enum pinring_broadcast_start {
	PINRING_BROADCAST_AT_TAIL = 0, /* what is sent from now on */
	PINRING_BROADCAST_AT_OLDEST = 1, /* what is certain to be still there */
};

/* Private memory, checked once when opened. */
struct pinring_broadcast_side {
	uint64_t mask; /* capacity - 1 */
	uint64_t stride; /* from payload to payload */
	uint64_t slot_bytes;
	unsigned char *slots; /* the first payload */
	uint32_t flags; /* PINRING_BROADCAST_* of the header */
	uint32_t parties_n;
	struct pinring_broadcast_header *shared;
	uint64_t depth; /* messages that it holds */
	uint64_t shift; /* log2 of the capacity */
	struct pinring_party *party; /* this side's, one of those below */
	struct pinring_party *parties;
	struct pinring_region *region; /* the reference this handle holds */
	uint64_t owner; /* what party->owner is while it is ours */
};

struct pinring_broadcast_producer {
	/* Next slot to fill, and where to look again; of many: both the ticket. */
	uint64_t write;
	uint64_t limit;
	uint64_t held; /* slots reserved */
	struct pinring_broadcast_side side;
	uint64_t next; /* of many: all tickets before are taken, as far as we know */
	uint64_t bound; /* of many, gated: what limit is otherwise */
	/* Who held us back when we looked last, and how it stood; NULL: nobody. */
	struct pinring_party *gate;
	uint64_t gate_owner, gate_cursor;
	uint64_t refusals; /* in a row */
} PINRING_ALIGNED(128);

struct pinring_broadcast_consumer {
	uint64_t read; /* next ticket */
	uint64_t tail; /* published, as far as it has looked */
	uint64_t released; /* cursor as last written */
	uint64_t lazy; /* give back after this many */
	struct pinring_broadcast_side side;
	uint64_t joined; /* its first ticket */
	uint64_t missed; /* tickets it was lapped at */
	uint64_t skipped; /* void ones */
	uint64_t margin; /* ahead of the oldest message, where it is lapped again */
	uint64_t refusals; /* in a row, at the same slot */
} PINRING_ALIGNED(128);

/*
 * capacity: slots, a power of two from 2 to 2^32; slot_bytes: a multiple of 8 up
 * to 2^20; flags: PINRING_BROADCAST_LAPPING, PINRING_BROADCAST_MANY, or 0; parties:
 * producers and consumers that may have it open at a time, up to 256. -EINVAL, or
 * what pinring_object_create returns.
 */
PINRING_API int pinring_broadcast_create(struct pinring_region *region,
					 const char *name, uint64_t capacity,
					 uint64_t slot_bytes, uint32_t flags,
					 uint32_t parties);

/*
 * Fill in a handle, in the process that will use it; it holds the region's mapping
 * until closed. -EUSERS: all parties are taken, by living processes; -EBUSY: the
 * ring is for one producer, and has it; -EAGAIN: it is being created, or, of a
 * consumer, many producers are faster: try again; else as pinring_spsc_producer_open.
 */
PINRING_API int
pinring_broadcast_producer_open(struct pinring_region *region, const char *name,
				struct pinring_broadcast_producer *producer);
PINRING_API int
pinring_broadcast_consumer_open(struct pinring_region *region, const char *name,
				enum pinring_broadcast_start start,
				struct pinring_broadcast_consumer *consumer);

/*
 * What a producer holds is aborted, and another one may come. A consumer gates no
 * more: all others go on.
 */
PINRING_API void
pinring_broadcast_producer_close(struct pinring_broadcast_producer *producer);
PINRING_API void
pinring_broadcast_consumer_close(struct pinring_broadcast_consumer *consumer);

/*
 * No more will be reserved, by any producer: they get -EPIPE. Each consumer drains
 * what is there for it, then gets -EPIPE. What this handle holds is aborted.
 * Returns 0; -EAGAIN: of many: all are faster, or, gated, one that lives is a whole
 * lap late; try again; -EPROTO.
 */
PINRING_API int
pinring_broadcast_close(struct pinring_broadcast_producer *producer);

/*
 * Settles what dead parties left; returns how many that were. Any side, any time,
 * by several at once; it looks into /proc for each party, and where a producer of
 * many is dead at every slot, so not in a hot loop.
 */
PINRING_API int64_t
pinring_broadcast_repair(const struct pinring_broadcast_side *side);

/*
 * For pinring_wait_any(): until reserve, or peek, may have something else to say.
 * Repairs when nothing moves.
 */
PINRING_API struct pinring_wait
pinring_broadcast_when_room(const struct pinring_broadcast_producer *producer);
PINRING_API struct pinring_wait
pinring_broadcast_when_ready(const struct pinring_broadcast_consumer *consumer);

/* push and pop that wait. -ETIMEDOUT, or what push and pop return. */
PINRING_API int
pinring_broadcast_push_wait(struct pinring_broadcast_producer *producer,
			    const void *item, int64_t timeout_ns);
PINRING_API int
pinring_broadcast_pop_wait(struct pinring_broadcast_consumer *consumer,
			   void *item, int64_t timeout_ns);

struct pinring_broadcast_info {
	uint64_t struct_size;
	uint64_t capacity; /* slots */
	uint64_t slot_bytes;
	uint64_t reserved; /* tickets taken by producers, ever */
	uint64_t voided; /* of these: aborted, of the dead, or not to be used */
	uint64_t behind; /* gated: tickets the slowest consumer has not given back */
	uint32_t flags;
	uint32_t producers; /* that have it open, dead ones included */
	uint32_t consumers;
	uint32_t closed;
};

PINRING_API int pinring_broadcast_info(const struct pinring_broadcast_side *side,
				       struct pinring_broadcast_info *info);

/*
 * Tickets for this consumer to read, some perhaps not published yet; messages that
 * may be sent before the ring is full. Both walk, so not for every message.
 */
PINRING_API uint64_t
pinring_broadcast_count(const struct pinring_broadcast_consumer *consumer);
PINRING_API uint64_t
pinring_broadcast_free(const struct pinring_broadcast_producer *producer);

/* ------------------------------------------------------- what is not inline */
/* Up to `want` slots that may be written now: how many, or why none. */
PINRING_API int64_t
pinring_broadcast_make_room(struct pinring_broadcast_producer *producer,
			    uint64_t want);
/* Of many: the first n of the slots held are messages, the others void. */
PINRING_API void
pinring_broadcast_publish(struct pinring_broadcast_producer *producer,
			  uint64_t n);
/* Moves the consumer's tail beyond its read index: 0, or why it cannot. */
PINRING_API int pinring_broadcast_look(struct pinring_broadcast_consumer *consumer,
				       uint64_t want);
/* Lapping: as pinring_broadcast_release(), which knows that a lap may be over. */
PINRING_API int64_t
pinring_broadcast_settle(struct pinring_broadcast_consumer *consumer,
			 uint64_t n);

/* ---------------------------------------------------------------- payload */
/*
 * Word k of a slot. Lapping, payload is written and read in place through these,
 * or copied through the two below; gated, memory is memory.
 */
PINRING_HOST_FN uint64_t pinring_broadcast_load(const void *slot, uint64_t k)
{
	return __atomic_load_n((const __u64 *)slot + k, __ATOMIC_ACQUIRE);
}

PINRING_HOST_FN void pinring_broadcast_store(void *slot, uint64_t k,
					     uint64_t word)
{
	__atomic_store_n((__u64 *)slot + k, word, __ATOMIC_RELEASE);
}

PINRING_HOST_FN void pinring_broadcast_copy_in(void *slot, const void *from,
					       uint64_t bytes)
{
	uint64_t k, word;

	for (k = 0; k < bytes / 8; k++) {
		memcpy(&word, (const unsigned char *)from + 8 * k, 8);
		pinring_broadcast_store(slot, k, word);
	}
}

PINRING_HOST_FN void pinring_broadcast_copy_out(void *to, const void *slot,
						uint64_t bytes)
{
	uint64_t k, word;

	for (k = 0; k < bytes / 8; k++) {
		word = pinring_broadcast_load(slot, k);
		memcpy((unsigned char *)to + 8 * k, &word, 8);
	}
}

/* The i-th of the slots that reserve or peek returned. */
PINRING_HOST_FN void *
pinring_broadcast_slot(const struct pinring_broadcast_side *s, void *slots,
		       uint64_t i)
{
	return (unsigned char *)slots + i * s->stride;
}

/* n messages between slots and an array, whose stride is slot_bytes. */
PINRING_HOST_FN void
pinring_broadcast_fill(const struct pinring_broadcast_side *s, void *slots,
		       const void *items, uint64_t n)
{
	const unsigned char *from = (const unsigned char *)items;
	const uint64_t bytes = s->slot_bytes;
	uint64_t i;

	if (!s->flags) {
		memcpy(slots, from, n * bytes);
		return;
	}
	for (i = 0; i < n; i++) {
		void *slot = pinring_broadcast_slot(s, slots, i);

		if (s->flags & PINRING_BROADCAST_LAPPING)
			pinring_broadcast_copy_in(slot, from + i * bytes, bytes);
		else
			memcpy(slot, from + i * bytes, bytes);
	}
}

PINRING_HOST_FN void
pinring_broadcast_drain(const struct pinring_broadcast_side *s, void *items,
			void *slots, uint64_t n)
{
	unsigned char *to = (unsigned char *)items;
	const uint64_t bytes = s->slot_bytes;
	uint64_t i;

	if (!s->flags) {
		memcpy(to, slots, n * bytes);
		return;
	}
	for (i = 0; i < n; i++) {
		const void *slot = pinring_broadcast_slot(s, slots, i);

		if (s->flags & PINRING_BROADCAST_LAPPING)
			pinring_broadcast_copy_out(to + i * bytes, slot, bytes);
		else
			memcpy(to + i * bytes, slot, bytes);
	}
}

/* -------------------------------------------------------------- producers */
/*
 * Up to `want` slots, pinring_broadcast_slot(&p->side, *slots, i), to be filled in
 * place; of one producer they lie one behind the other without a gap. Returns how
 * many (at least 1, unless none are wanted; fewer near the end of the array),
 * -EAGAIN: full, or, lapping, of many: all slots are held by stopped producers;
 * -EPIPE: closed; -EPROTO: a damaged slot; -EBUSY: this handle holds slots already.
 */
static inline int64_t
pinring_broadcast_reserve(struct pinring_broadcast_producer *p, uint64_t want,
			  void **slots)
{
	uint64_t room = p->limit - p->write;
	uint64_t at;

	if (__builtin_expect(p->held != 0, 0))
		return -EBUSY;
	if (__builtin_expect(room < want, 0)) {
		int64_t n = pinring_broadcast_make_room(p, want);

		if (n == -EAGAIN)
			pinring_count(&p->side.party->sent.refused, 1);
		if (n < 0)
			return n;
		room = (uint64_t)n;
	}
	at = p->write & p->side.mask;
	if (want > room)
		want = room;
	if (want > p->side.mask + 1 - at)
		want = p->side.mask + 1 - at;
	*slots = p->side.slots + at * p->side.stride;
	p->held = want;
	return (int64_t)want;
}

/* Of one producer: n more are there. */
PINRING_HOST_FN void
pinring_broadcast_advance(struct pinring_broadcast_producer *p, uint64_t n)
{
	p->write += n;
	/* release: pairs with the acquire of tail in pinring_broadcast_look() */
	__atomic_store_n(&p->side.shared->tail, p->write, __ATOMIC_RELEASE);
	pinring_wake(&p->side.shared->sleepers.ready);
}

/* Publish the first n of the slots held; no consumer ever sees the others. */
static inline void
pinring_broadcast_commit(struct pinring_broadcast_producer *p, uint64_t n)
{
	if (n > p->held)
		n = p->held;
	if (p->side.flags & PINRING_BROADCAST_MANY)
		pinring_broadcast_publish(p, n);
	else
		pinring_broadcast_advance(p, n);
	p->held = 0;
}

static inline void
pinring_broadcast_abort(struct pinring_broadcast_producer *p)
{
	pinring_broadcast_commit(p, 0);
}

/* One item of slot_bytes, copied. 0, or what reserve returned. */
static inline int pinring_broadcast_push(struct pinring_broadcast_producer *p,
					 const void *item)
{
	void *slot = NULL;
	int64_t n = pinring_broadcast_reserve(p, 1, &slot);

	if (n < 0)
		return (int)n;
	pinring_broadcast_fill(&p->side, slot, item, 1);
	pinring_broadcast_commit(p, 1);
	return 0;
}

/*
 * The same for slots of 8 bytes. The caller answers for slot_bytes being 8, and
 * for holding nothing.
 */
static inline int
pinring_broadcast_push_u64(struct pinring_broadcast_producer *p, uint64_t item)
{
	void *slot = NULL;
	int64_t n;

	/* Of many there is never room without a look. */
	if (__builtin_expect(p->write != p->limit, 1)) {
		pinring_broadcast_store(p->side.slots, p->write & p->side.mask,
					item);
		pinring_broadcast_advance(p, 1);
		return 0;
	}
	n = pinring_broadcast_reserve(p, 1, &slot);
	if (n < 0)
		return (int)n;
	pinring_broadcast_store(slot, 0, item);
	pinring_broadcast_commit(p, 1);
	return 0;
}

/*
 * Up to n items, of one producer published once for each look at what holds it
 * back. Returns how many went, or what reserve returned.
 */
static inline int64_t
pinring_broadcast_push_batch(struct pinring_broadcast_producer *p,
			     const void *items, uint64_t n)
{
	const unsigned char *from = (const unsigned char *)items;
	uint64_t base = p->write, sent = 0;
	int64_t k = 0;

	while (sent < n) {
		void *slots = NULL;

		k = pinring_broadcast_reserve(p, n - sent, &slots);
		if (k < 0)
			break;
		pinring_broadcast_fill(&p->side, slots,
				       from + sent * p->side.slot_bytes,
				       (uint64_t)k);
		sent += (uint64_t)k;
		if (p->side.flags & PINRING_BROADCAST_MANY) {
			pinring_broadcast_commit(p, (uint64_t)k);
			return k;
		}
		p->write += (uint64_t)k;
		p->held = 0;
	}
	if (p->write != base)
		pinring_broadcast_advance(p, 0);
	return sent ? (int64_t)sent : k;
}

/* -------------------------------------------------------------- consumers */
PINRING_HOST_FN void
pinring_broadcast_give_back(struct pinring_broadcast_consumer *c)
{
	c->released = c->read;
	/* release: the slots are read before a producer may reuse them */
	__atomic_store_n(&c->side.party->cursor, c->read, __ATOMIC_RELEASE);
	pinring_wake(&c->side.shared->sleepers.room);
}

/* Gated: make every released slot visible to producers now. */
static inline void
pinring_broadcast_flush(struct pinring_broadcast_consumer *c)
{
	if (c->released != c->read)
		pinring_broadcast_give_back(c);
}

/*
 * Up to `want` messages, pinring_broadcast_slot(&c->side, *slots, i), to be read in
 * place. Returns how many (at least 1, unless none are wanted), -EAGAIN: none is
 * there, -EPIPE: closed, and all were read; -EPROTO. Peeking again returns the same
 * ones, and perhaps more.
 *
 * Where messages were missed, that is counted before the first one returned: none
 * are missing among them.
 */
static inline int64_t
pinring_broadcast_peek(struct pinring_broadcast_consumer *c, uint64_t want,
		       void **slots)
{
	uint64_t ready = c->tail - c->read;
	uint64_t at;

	if (__builtin_expect(ready < want, 0)) {
		int rc = pinring_broadcast_look(c, want);

		if (rc == -EAGAIN)
			pinring_count(&c->side.party->received.refused, 1);
		if (rc < 0)
			return rc;
		ready = c->tail - c->read;
	}
	at = c->read & c->side.mask;
	if (want > ready)
		want = ready;
	if (want > c->side.mask + 1 - at)
		want = c->side.mask + 1 - at;
	*slots = c->side.slots + at * c->side.stride;
	return (int64_t)want;
}

/*
 * Done with the first n messages peeked. Returns how many of them were intact all
 * the while. Gated, that is n. Lapping, it may be fewer: the last ones of the n;
 * or -ESTALE: none. The others may have been anything, and count as missed.
 */
static inline int64_t
pinring_broadcast_release(struct pinring_broadcast_consumer *c, uint64_t n)
{
	const struct pinring_broadcast_side *s = &c->side;

	if (n > c->tail - c->read)
		n = c->tail - c->read;
	if (s->flags & PINRING_BROADCAST_LAPPING) {
		/* After the payload, each word of which was an acquire. */
		if (s->flags & PINRING_BROADCAST_MANY || c->margin ||
		    __atomic_load_n(&s->shared->limit, __ATOMIC_RELAXED) -
				    c->read >
			    s->depth)
			return pinring_broadcast_settle(c, n);
		c->read += n;
		pinring_count(&s->party->received.messages, n);
		return (int64_t)n;
	}
	c->read += n;
	pinring_count(&s->party->received.messages, n);
	if (c->read - c->released >= c->lazy)
		pinring_broadcast_give_back(c);
	return (int64_t)n;
}

/*
 * One item of slot_bytes, copied. 0, or what peek returned; -EAGAIN also where this
 * consumer was lapped all the time.
 */
static inline int pinring_broadcast_pop(struct pinring_broadcast_consumer *c,
					void *item)
{
	int tries;

	for (tries = 0; tries < PINRING_BROADCAST_LAPS_MAX; tries++) {
		void *slot = NULL;
		int64_t n = pinring_broadcast_peek(c, 1, &slot);

		if (n < 0)
			return (int)n;
		pinring_broadcast_drain(&c->side, item, slot, 1);
		if (pinring_broadcast_release(c, 1) == 1)
			return 0;
	}
	return -EAGAIN;
}

/* The same for slots of 8 bytes. The caller answers for slot_bytes being 8. */
static inline int
pinring_broadcast_pop_u64(struct pinring_broadcast_consumer *c, uint64_t *item)
{
	int tries;

	for (tries = 0; tries < PINRING_BROADCAST_LAPS_MAX; tries++) {
		void *slot = NULL;
		int64_t n = pinring_broadcast_peek(c, 1, &slot);

		if (n < 0)
			return (int)n;
		*item = pinring_broadcast_load(slot, 0);
		if (pinring_broadcast_release(c, 1) == 1)
			return 0;
	}
	return -EAGAIN;
}

/*
 * Up to n items. Returns how many came, or what peek returned. As with peek, what
 * was missed was missed before the first of them.
 */
static inline int64_t
pinring_broadcast_pop_batch(struct pinring_broadcast_consumer *c, void *items,
			    uint64_t n)
{
	const uint64_t bytes = c->side.slot_bytes;
	unsigned char *to = (unsigned char *)items;
	uint64_t got = 0;
	int tries = 0;
	int64_t k = 0, whole;

	while (got < n && tries < PINRING_BROADCAST_LAPS_MAX) {
		void *slots = NULL;

		k = pinring_broadcast_peek(c, n - got, &slots);
		if (k < 0)
			break;
		pinring_broadcast_drain(&c->side, to + got * bytes, slots,
					(uint64_t)k);
		whole = pinring_broadcast_release(c, (uint64_t)k);
		if (!(c->side.flags & PINRING_BROADCAST_LAPPING)) {
			got += (uint64_t)k;
			continue;
		}
		if (whole > 0) {
			memmove(to, to + (uint64_t)(k - whole) * bytes,
				(uint64_t)whole * bytes);
			return whole;
		}
		k = -EAGAIN;
		tries++;
	}
	return got ? (int64_t)got : k;
}

/* Lapping: messages this consumer has missed since it joined; see the docs. */
static inline uint64_t
pinring_broadcast_missed(const struct pinring_broadcast_consumer *c)
{
	return c->missed;
}

/* Messages that it was given since it joined. */
static inline uint64_t
pinring_broadcast_received(const struct pinring_broadcast_consumer *c)
{
	return c->read - c->joined - c->missed - c->skipped;
}

/* Messages that the ring holds. */
static inline uint64_t
pinring_broadcast_capacity(const struct pinring_broadcast_side *s)
{
	return s->depth;
}

#ifdef __cplusplus
}
#endif

#endif /* PINRING_RING_BROADCAST_H */
