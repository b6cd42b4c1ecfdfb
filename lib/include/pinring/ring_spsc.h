/* SPDX-License-Identifier: MIT */
/*
 * ring_spsc.h - one producer, one consumer, slots of a fixed size.
 *
 *            head                 tail
 *             |                    |
 *    [.][.][.][x][x][x][x][x][x][x][.][.][.]       x: published
 *                      |               |
 *                   c->read         p->write
 *              (taken, not yet     (reserved, not
 *               given back)         yet published)
 *
 * Memory order: the producer stores tail with release after it wrote the slots,
 * the consumer loads tail with acquire before it reads them; head goes the
 * other way in the same fashion. Each side keeps its last copy of the other's
 * index and looks again only when that copy says "full" or "empty". The
 * consumer gives slots back lazily, an eighth of the ring at a time and
 * whenever it finds the ring empty: up to capacity / 8 slots that were released
 * may not be visible to the producer until then, or until
 * pinring_spsc_flush(). (Cached indices: Lamport's queue as in FastForward and
 * MCRingBuffer. The figures for each choice are in docs/ring_spsc.md.)
 *
 * A handle is one side of the ring in one thread; create it with
 * pinring_spsc_producer() or pinring_spsc_consumer() (ring.h). Handles are
 * private memory: nothing read from the shared header is trusted after attach
 * but tail, head and the closed words, and those only through masks and bounds.
 *
 * Death: killed between reserve and commit, the producer leaves nothing behind
 * and a new one attaches where tail stands. A killed consumer's successor
 * starts at head: up to capacity / 8 slots may be seen twice, none is lost.
 *
 * Every function here is wait-free. None may be called by two threads at once
 * on the same handle.
 */
#ifndef PINRING_RING_SPSC_H
#define PINRING_RING_SPSC_H

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <pinring/counts.h>
#include <pinring/port.h>
#include <pinring/pinring_layout.h>
#include <pinring/wait.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pinring_spsc_producer {
	uint64_t write; /* next slot to fill */
	uint64_t limit; /* behind the last slot known to be free */
	uint64_t mask; /* capacity - 1 */
	uint64_t slot_bytes;
	unsigned char *slots;
	struct pinring_spsc_header *shared;
	void *region; /* the reference this handle holds */
} PINRING_ALIGNED(128);

struct pinring_spsc_consumer {
	uint64_t read; /* next slot to read */
	uint64_t tail; /* producer's, as last read */
	uint64_t due; /* give back when read is here: head as last written + lazy */
	uint64_t lazy;
	uint64_t mask;
	uint64_t slot_bytes;
	unsigned char *slots;
	struct pinring_spsc_header *shared;
	void *region;
} PINRING_ALIGNED(128);

/*
 * Producer: up to `want` contiguous free slots, in *slots.
 * Returns how many (at least 1; fewer than want near the end of the array or
 * when the ring is nearly full), -EAGAIN: full, -EPIPE: the consumer closed,
 * -EPROTO: the peer's index is impossible. Reserving again without a commit
 * returns the same slots.
 */
static inline int64_t pinring_spsc_reserve(struct pinring_spsc_producer *p,
					   uint64_t want, void **slots)
{
	uint64_t capacity = p->mask + 1;
	uint64_t at = p->write & p->mask;
	uint64_t room = p->limit - p->write;

	if (__builtin_expect(room < want, 0)) {
		/*
		 * Before head is looked at: what room a consumer that closed
		 * leaves behind is not to be used, now or next time.
		 */
		if (__atomic_load_n(&p->shared->consumer_closed,
				    __ATOMIC_ACQUIRE))
			return -EPIPE;
		/* acquire: pairs with the release of head in _give_back */
		p->limit = __atomic_load_n(&p->shared->head, __ATOMIC_ACQUIRE) +
			   capacity;
		room = p->limit - p->write;
		if (room > capacity) {
			p->limit = p->write;
			return -EPROTO;
		}
		if (!room && !want)
			return 0;
		if (!room) {
			pinring_count(&p->shared->sent.refused, 1);
			return -EAGAIN;
		}
	}
	if (want > room)
		want = room;
	if (want > capacity - at)
		want = capacity - at;
	*slots = p->slots + at * p->slot_bytes;
	return (int64_t)want;
}

/* Producer: publish the first n reserved slots. */
static inline void pinring_spsc_commit(struct pinring_spsc_producer *p,
				       uint64_t n)
{
	p->write += n;
	/* release: pairs with the acquire of tail in _peek */
	__atomic_store_n(&p->shared->tail, p->write, __ATOMIC_RELEASE);
	pinring_wake(&p->shared->sleepers.ready);
}

/* The reserved slots are not to be sent: of a reservation nothing is shared. */
static inline void pinring_spsc_abort(struct pinring_spsc_producer *p)
{
	(void)p;
}

static inline void pinring_spsc_give_back(struct pinring_spsc_consumer *c)
{
	c->due = c->read + c->lazy;
	/* release: the slots are read before the producer may reuse them */
	__atomic_store_n(&c->shared->head, c->read, __ATOMIC_RELEASE);
	pinring_wake(&c->shared->sleepers.room);
}

/* Consumer: make every released slot visible to the producer now. */
static inline void pinring_spsc_flush(struct pinring_spsc_consumer *c)
{
	if (c->due - c->lazy != c->read)
		pinring_spsc_give_back(c);
}

/*
 * Consumer: up to `want` contiguous filled slots, in *slots.
 * Returns how many (at least 1), -EAGAIN: empty, -EPIPE: empty and the
 * producer closed, -EPROTO: the peer's index is impossible.
 */
static inline int64_t pinring_spsc_peek(struct pinring_spsc_consumer *c,
					uint64_t want, void **slots)
{
	uint64_t capacity = c->mask + 1;
	uint64_t at = c->read & c->mask;
	uint64_t ready = c->tail - c->read;

	if (__builtin_expect(ready < want, 0)) {
		uint64_t closed;

		/* Read before tail: what was sent before closing is seen. */
		closed = __atomic_load_n(&c->shared->producer_closed,
					 __ATOMIC_ACQUIRE);
		/* acquire: pairs with the release of tail in _commit */
		c->tail = __atomic_load_n(&c->shared->tail, __ATOMIC_ACQUIRE);
		ready = c->tail - c->read;
		if (ready > capacity) {
			c->tail = c->read;
			return -EPROTO;
		}
		if (!ready) {
			pinring_spsc_flush(c);
			if (!want)
				return 0;
			if (!closed)
				pinring_count(&c->shared->received.refused, 1);
			return closed ? -EPIPE : -EAGAIN;
		}
	}
	if (want > ready)
		want = ready;
	if (want > capacity - at)
		want = capacity - at;
	*slots = c->slots + at * c->slot_bytes;
	return (int64_t)want;
}

/* Consumer: done with the first n peeked slots. */
static inline void pinring_spsc_release(struct pinring_spsc_consumer *c,
					uint64_t n)
{
	c->read += n;
	if ((int64_t)(c->read - c->due) >= 0)
		pinring_spsc_give_back(c);
}

/* One item of slot_bytes, copied. 0, or what reserve returned. */
static inline int pinring_spsc_push(struct pinring_spsc_producer *p,
				    const void *item)
{
	void *slot = NULL;
	int64_t n = pinring_spsc_reserve(p, 1, &slot);

	if (n < 0)
		return (int)n;
	memcpy(slot, item, p->slot_bytes);
	pinring_spsc_commit(p, 1);
	return 0;
}

static inline int pinring_spsc_pop(struct pinring_spsc_consumer *c, void *item)
{
	void *slot = NULL;
	int64_t n = pinring_spsc_peek(c, 1, &slot);

	if (n < 0)
		return (int)n;
	memcpy(item, slot, c->slot_bytes);
	pinring_spsc_release(c, 1);
	return 0;
}

/*
 * The same for a ring of 8-byte slots, whose size the compiler then knows: a
 * path of its own, because a run, its end and the size of a slot cost as much as
 * the rest. The caller answers for slot_bytes being 8.
 */
static __attribute__((noinline, cold, unused)) int
pinring_spsc_refused(struct pinring_spsc_producer *p)
{
	void *slot = NULL;
	int64_t n = pinring_spsc_reserve(p, 1, &slot);

	return n < 0 ? (int)n : 0;
}

static inline int pinring_spsc_push_u64(struct pinring_spsc_producer *p,
					uint64_t item)
{
	struct pinring_spsc_header *shared = p->shared;
	const uint64_t at = p->write;

	if (__builtin_expect(at == p->limit, 0)) {
		int rc = pinring_spsc_refused(p);

		if (rc)
			return rc;
	}
	p->write = at + 1;
	memcpy(p->slots + (at & p->mask) * sizeof(item), &item, sizeof(item));
	/* release: as in _commit */
	__atomic_store_n(&shared->tail, at + 1, __ATOMIC_RELEASE);
	pinring_wake(&shared->sleepers.ready);
	return 0;
}

static __attribute__((noinline, cold, unused)) int
pinring_spsc_missing(struct pinring_spsc_consumer *c)
{
	void *slot = NULL;
	int64_t n = pinring_spsc_peek(c, 1, &slot);

	return n < 0 ? (int)n : 0;
}

static inline int pinring_spsc_pop_u64(struct pinring_spsc_consumer *c,
				       uint64_t *item)
{
	const uint64_t at = c->read;
	const uint64_t mask = c->mask;

	if (c->tail == at) {
		/* acquire: pairs with the release of tail in _commit */
		uint64_t tail = __atomic_load_n(&c->shared->tail,
						__ATOMIC_ACQUIRE);

		if (__builtin_expect(tail - at - 1 <= mask, 1)) {
			c->tail = tail;
		} else {
			/* None, or more than can be: peek says which. */
			int rc = pinring_spsc_missing(c);

			if (rc)
				return rc;
		}
	}
	memcpy(item, c->slots + (at & mask) * sizeof(*item), sizeof(*item));
	c->read = at + 1;
	/* Every release goes by here or through _release, so none is missed. */
	if (__builtin_expect(at + 1 == c->due, 0))
		pinring_spsc_give_back(c);
	return 0;
}

/*
 * Up to n items, copied in at most two runs and published once.
 * Returns how many went (0 < k <= n), or what reserve returned.
 */
static inline int64_t pinring_spsc_push_batch(struct pinring_spsc_producer *p,
					      const void *items, uint64_t n)
{
	const unsigned char *from = (const unsigned char *)items;
	uint64_t base = p->write;
	uint64_t sent = 0;
	int64_t k = 0;

	while (sent < n) {
		void *slots = NULL;

		k = pinring_spsc_reserve(p, n - sent, &slots);
		if (k < 0)
			break;
		memcpy(slots, from + sent * p->slot_bytes,
		       (uint64_t)k * p->slot_bytes);
		sent += (uint64_t)k;
		p->write += (uint64_t)k;
	}
	if (p->write != base)
		pinring_spsc_commit(p, 0);
	return sent ? (int64_t)sent : k;
}

static inline int64_t pinring_spsc_pop_batch(struct pinring_spsc_consumer *c,
					     void *items, uint64_t n)
{
	unsigned char *to = (unsigned char *)items;
	uint64_t got = 0;
	int64_t k = 0;

	while (got < n) {
		void *slots = NULL;

		k = pinring_spsc_peek(c, n - got, &slots);
		if (k < 0)
			break;
		memcpy(to + got * c->slot_bytes, slots,
		       (uint64_t)k * c->slot_bytes);
		got += (uint64_t)k;
		c->read += (uint64_t)k;
	}
	if (got)
		pinring_spsc_release(c, 0);
	return got ? (int64_t)got : k;
}

/* Producer: no more will come. The consumer drains, then gets -EPIPE. */
static inline void pinring_spsc_close_producer(struct pinring_spsc_producer *p)
{
	/* release: after every commit before it */
	__atomic_store_n(&p->shared->producer_closed, 1, __ATOMIC_RELEASE);
	pinring_wake(&p->shared->sleepers.ready);
}

/*
 * Consumer: nobody reads on. The producer gets -EPIPE once it has used up the
 * room it knows of.
 */
static inline void pinring_spsc_close_consumer(struct pinring_spsc_consumer *c)
{
	pinring_spsc_flush(c);
	__atomic_store_n(&c->shared->consumer_closed, 1, __ATOMIC_RELEASE);
	pinring_wake(&c->shared->sleepers.room);
}

static inline uint64_t
pinring_spsc_capacity(const struct pinring_spsc_producer *p)
{
	return p->mask + 1;
}

/* Slots that can be reserved now; more by the time it returns. */
static inline uint64_t pinring_spsc_free(const struct pinring_spsc_producer *p)
{
	uint64_t used = p->write -
			__atomic_load_n(&p->shared->head, __ATOMIC_RELAXED);

	return used <= p->mask + 1 ? p->mask + 1 - used : 0;
}

/* Messages that can be peeked at now; 0 also if the peer's index is impossible. */
static inline uint64_t pinring_spsc_count(const struct pinring_spsc_consumer *c)
{
	uint64_t n = __atomic_load_n(&c->shared->tail, __ATOMIC_RELAXED) -
		     c->read;

	return n <= c->mask + 1 ? n : 0;
}

/* ----------------------------------------------------------------- waiting */
static inline bool pinring_spsc_is_ready(const void *consumer)
{
	const struct pinring_spsc_consumer *c =
		(const struct pinring_spsc_consumer *)consumer;

	return __atomic_load_n(&c->shared->tail, __ATOMIC_RELAXED) != c->read ||
	       __atomic_load_n(&c->shared->producer_closed, __ATOMIC_RELAXED);
}

static inline bool pinring_spsc_is_roomy(const void *producer)
{
	const struct pinring_spsc_producer *p =
		(const struct pinring_spsc_producer *)producer;

	return p->write - __atomic_load_n(&p->shared->head, __ATOMIC_RELAXED) !=
		       p->mask + 1 ||
	       __atomic_load_n(&p->shared->consumer_closed, __ATOMIC_RELAXED);
}

/* For pinring_wait_any(): until peek, or reserve, has something else to say. */
static inline struct pinring_wait
pinring_spsc_when_ready(const struct pinring_spsc_consumer *c)
{
	struct pinring_wait w = { &c->shared->sleepers.ready, &c->shared->tail,
				  pinring_spsc_is_ready, NULL, c,
				  &c->shared->received.waited };

	return w;
}

static inline struct pinring_wait
pinring_spsc_when_room(const struct pinring_spsc_producer *p)
{
	struct pinring_wait w = { &p->shared->sleepers.room, &p->shared->head,
				  pinring_spsc_is_roomy, NULL, p,
				  &p->shared->sent.waited };

	return w;
}

/* push and pop that wait: -ETIMEDOUT, or what push and pop return. */
static inline int pinring_spsc_push_wait(struct pinring_spsc_producer *p,
					 const void *item, int64_t timeout_ns)
{
	struct pinring_wait w = pinring_spsc_when_room(p);
	int rc = pinring_spsc_push(p, item);

	if (rc != -EAGAIN)
		return rc;
	rc = pinring_wait_any(&w, 1, NULL, timeout_ns);
	return rc < 0 ? rc : pinring_spsc_push(p, item);
}

static inline int pinring_spsc_pop_wait(struct pinring_spsc_consumer *c,
					void *item, int64_t timeout_ns)
{
	struct pinring_wait w = pinring_spsc_when_ready(c);
	int rc = pinring_spsc_pop(c, item);

	if (rc != -EAGAIN)
		return rc;
	rc = pinring_wait_any(&w, 1, NULL, timeout_ns);
	return rc < 0 ? rc : pinring_spsc_pop(c, item);
}

#ifdef __cplusplus
}
#endif

#endif /* PINRING_RING_SPSC_H */
