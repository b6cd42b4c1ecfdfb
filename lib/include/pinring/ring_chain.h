/* SPDX-License-Identifier: MIT */
/*
 * ring_chain.h - one producer, one consumer, slots of a fixed size, and a
 * capacity that follows the load.
 *
 *    segment 1   [x][x][x][x]                    left when it was full
 *                    |      \
 *                  head      move: "from index 9 on, segment 2"
 *                             \
 *    segment 2                [.][x][x][x][.][.][.][.]
 *                                         |
 *                                        tail
 *
 * It is the SPSC ring (ring_spsc.h) in one of several segments, each `factor`
 * times as large as the one before. To grow or to shrink, the producer notes in
 * the header from which index on, and in which segment, the ring goes on. The
 * consumer drains what was left, in order, and follows. Nothing is copied, there
 * is no lock, and between two moves each side does what the SPSC ring does.
 *
 * When the ring grows: at once when it is full, and when at `window` looks in a
 * row it was filled to `high` percent. It shrinks when at that many looks it was
 * at `low` or below. The producer looks each `check_interval` messages, never at
 * a clock. A ring that had to grow back after it shrank is twice as slow to
 * shrink the next time, up to 64 times: a load that goes up and down settles at
 * the larger size.
 *
 * Memory: a segment's pages come when messages first reach them, one at a time;
 * pinring_chain_prepare() fetches them ahead, pinring_chain_trim() gives those
 * of segments that nobody uses back to the system.
 *
 * The consumer gives slots back lazily, a sixteenth of the segment at a time and
 * whenever it finds the ring empty, or when pinring_chain_flush() is called.
 *
 * Death: killed at any instruction, the producer leaves all that it published;
 * a new one goes on at tail, in the segment that tail names. The consumer's
 * successor starts at head: up to capacity / 16 messages may be seen twice,
 * none is lost.
 *
 * A handle is one side of the ring in one thread. Every function here is
 * wait-free but where it says otherwise; none may be called by two threads at
 * once on the same handle. Handles are private memory: what is read from the
 * shared header after opening is used through masks and bounds only.
 */
#ifndef PINRING_RING_CHAIN_H
#define PINRING_RING_CHAIN_H

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <pinring/counts.h>
#include <pinring/pinring_layout.h>
#include <pinring/port.h>
#include <pinring/region.h>
#include <pinring/wait.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How the segments lie, as both handles know it. */
struct pinring_chain_shape {
	uint8_t min_shift; /* log2 of min_capacity */
	uint8_t factor_shift;
	uint8_t segments;
	uint8_t segment; /* this side's */
	uint32_t reserved;
};

/* In places, as of pinring_layout.h: with the moves made, or followed, so far. */
struct pinring_chain_producer {
	uint64_t write; /* next slot to fill */
	uint64_t limit; /* slots before this one are free for certain */
	uint64_t mask; /* capacity of the segment - 1 */
	uint64_t slot_bytes;
	unsigned char *slots; /* of the segment */
	struct pinring_chain_header *shared;
	struct pinring_chain_shape shape;
	uint64_t checked; /* where it last looked at the fill */
	uint32_t check_interval;
	uint32_t window;
	uint32_t above; /* looks in a row that found it high */
	uint32_t below; /* ... low */
	uint32_t patience; /* looks it takes to shrink */
	uint16_t high;
	uint8_t low;
	uint8_t fell; /* the last move was to a smaller segment */
	struct pinring_region *region; /* the reference this handle holds */
} PINRING_ALIGNED(128);

struct pinring_chain_consumer {
	uint64_t read; /* next slot to read */
	uint64_t tail; /* messages are in this segment up to here */
	uint64_t released; /* head as last written */
	uint64_t lazy; /* slots: give back after so many */
	uint64_t mask;
	uint64_t slot_bytes;
	unsigned char *slots;
	struct pinring_chain_header *shared;
	struct pinring_chain_shape shape;
	struct pinring_region *region;
} PINRING_ALIGNED(128);

struct pinring_chain_config {
	uint64_t struct_size;
	uint64_t min_capacity; /* slots, a power of two from 2 to 2^32 */
	uint64_t max_capacity; /* min_capacity times a power of factor */
	uint64_t capacity; /* to begin with; one of those between */
	uint64_t slot_bytes; /* a multiple of 8, at most 2^20 */
	uint32_t factor; /* a power of two */
	uint32_t check_interval; /* messages, up to 2^30 */
	uint32_t window; /* looks, up to 2^20 */
	uint32_t high; /* percent */
	uint32_t low; /* percent; low * factor below high */
};

/* The config to start from: small at first, doubling. */
static inline struct pinring_chain_config
pinring_chain_defaults(uint64_t min_capacity, uint64_t max_capacity,
		       uint64_t slot_bytes)
{
	struct pinring_chain_config config =
		PINRING_INIT(struct pinring_chain_config);

	config.min_capacity = min_capacity;
	config.max_capacity = max_capacity;
	config.capacity = min_capacity;
	config.slot_bytes = slot_bytes;
	config.factor = 2;
	config.check_interval = 1024;
	config.window = 8;
	config.high = 75;
	config.low = 20;
	return config;
}

/*
 * The region gives a range for all segments: with factor 2, twice max_capacity
 * slots; with factor 4, a third more than max_capacity. Memory comes with use, but
 * where the region is of hugetlb pages or prefaulted.
 * -EINVAL, or what pinring_object_create returns.
 */
PINRING_API int pinring_chain_create(struct pinring_region *region,
				     const char *name,
				     const struct pinring_chain_config *config);

/*
 * Fill in a handle; it holds the region's mapping until closed.
 * -ENOENT, -EAGAIN, -EPROTO as pinring_object_find; -EINVAL: an object of
 * another type, or a header that makes no sense.
 */
PINRING_API int
pinring_chain_producer_open(struct pinring_region *region, const char *name,
			    struct pinring_chain_producer *producer);
PINRING_API int
pinring_chain_consumer_open(struct pinring_region *region, const char *name,
			    struct pinring_chain_consumer *consumer);

/* Drop the handle without telling the peer; see pinring_chain_close_*. */
PINRING_API void
pinring_chain_producer_close(struct pinring_chain_producer *producer);
PINRING_API void
pinring_chain_consumer_close(struct pinring_chain_consumer *consumer);

/*
 * Producer, where it has time to spare, as when it falls idle: move to a smaller
 * segment, and on to the next smaller one as long as what is in the ring fills no
 * more than `low` percent, and give the pages of all segments that are out of use back to the
 * system. Call it again once the consumer has followed, for those it still
 * drained. 0 (also where there is nothing to give back: hugetlb pages stay
 * reserved, and the kernel module's stay with their region), -EPROTO, or what
 * madvise(MADV_REMOVE) says. Not in an embedded region that a device has pinned:
 * it would keep the old pages, and see no new message.
 */
PINRING_API int pinring_chain_trim(struct pinring_chain_producer *producer);

/*
 * Fetch the pages of the segment of that capacity now. Any thread of any process
 * that has the region, at any time: messages in there stay as they are. Done by
 * the producer's own process it saves the producer every fault; by another one,
 * all of a fault but the mapping. -EINVAL: no such segment; -ENOMEM.
 */
PINRING_API int pinring_chain_prepare(struct pinring_region *region,
				      const char *name, uint64_t capacity);

struct pinring_chain_info {
	uint64_t struct_size;
	uint64_t min_capacity, max_capacity;
	uint64_t capacity; /* of the segment the producer is in */
	uint64_t count; /* messages in the ring */
	uint64_t grown, shrunk; /* moves */
	uint64_t pending; /* moves the consumer has yet to follow */
	uint64_t peak; /* most messages the producer found when it looked */
	uint64_t moved_ns; /* CLOCK_MONOTONIC of the last move; 0: none */
	uint32_t fill; /* average over about a window, 1/1000 of capacity */
	uint32_t reserved;
};

/* Any thread, with or without a handle. Errors as those of opening. */
PINRING_API int pinring_chain_info(struct pinring_region *region,
				   const char *name,
				   struct pinring_chain_info *info);

/*
 * The producer's and the consumer's slow halves: when there seems to be no room
 * or a look at the fill is due; when the producer has moved. For the functions
 * below.
 */
PINRING_API int64_t pinring_chain_look(struct pinring_chain_producer *producer,
				       uint64_t want);
PINRING_API void pinring_chain_follow(struct pinring_chain_consumer *consumer);

/* The index of a place: 59 bits. */
static inline uint64_t pinring_chain_index(uint64_t place)
{
	return place >> PINRING_PLACE_SHIFT;
}

/* How many moves led there, modulo PINRING_CHAIN_MOVES; or to which segment. */
static inline uint32_t pinring_chain_low(uint64_t place)
{
	return (uint32_t)place & ((1u << PINRING_PLACE_SHIFT) - 1);
}

/* Slots from one place to a later one. */
static inline uint64_t pinring_chain_slots(uint64_t from, uint64_t to)
{
	return pinring_chain_index(to - pinring_chain_low(to) - from +
				   pinring_chain_low(from));
}

/*
 * Producer: up to `want` contiguous free slots, in *slots; grows the ring if it
 * has to. Returns how many (at least 1; fewer than want near the end of the
 * segment or when the ring is nearly full), -EAGAIN: full, and at its maximum,
 * -EPIPE: the consumer closed, -EPROTO: the peer's index is impossible. Slots
 * that were reserved and not committed are no longer this producer's after
 * another reserve: that may have moved on.
 */
static inline int64_t pinring_chain_reserve(struct pinring_chain_producer *p,
					    uint64_t want, void **slots)
{
	uint64_t room = pinring_chain_index(p->limit - p->write);
	uint64_t at;

	if (__builtin_expect(room < want, 0)) {
		int64_t n = pinring_chain_look(p, want);

		if (n < 0)
			return n;
		room = (uint64_t)n;
	}
	at = pinring_chain_index(p->write) & p->mask;
	if (want > room)
		want = room;
	if (want > p->mask + 1 - at)
		want = p->mask + 1 - at;
	*slots = p->slots + at * p->slot_bytes;
	return (int64_t)want;
}

/* Producer: publish the first n reserved slots. */
static inline void pinring_chain_commit(struct pinring_chain_producer *p,
					uint64_t n)
{
	p->write += n << PINRING_PLACE_SHIFT;
	/* release: pairs with the acquire of tail in _peek */
	__atomic_store_n(&p->shared->tail, p->write, __ATOMIC_RELEASE);
	pinring_wake(&p->shared->sleepers.ready);
}

/* The reserved slots are not to be sent: of a reservation nothing is shared. */
static inline void pinring_chain_abort(struct pinring_chain_producer *p)
{
	(void)p;
}

static inline void pinring_chain_give_back(struct pinring_chain_consumer *c)
{
	c->released = c->read;
	/*
	 * release: pairs with the acquire of head in _look: the slots are read
	 * before the producer may reuse them
	 */
	__atomic_store_n(&c->shared->head, c->read, __ATOMIC_RELEASE);
	pinring_wake(&c->shared->sleepers.room);
}

/* Consumer: make every released slot visible to the producer now. */
static inline void pinring_chain_flush(struct pinring_chain_consumer *c)
{
	if (c->released != c->read)
		pinring_chain_give_back(c);
}

/*
 * Consumer: up to `want` contiguous filled slots, in *slots.
 * Returns how many (at least 1; fewer than want also where the ring moved on),
 * -EAGAIN: empty, -EPIPE: empty and the producer closed, -EPROTO: the peer's
 * index is impossible.
 */
static inline int64_t pinring_chain_peek(struct pinring_chain_consumer *c,
					 uint64_t want, void **slots)
{
	uint64_t ready = pinring_chain_index(c->tail - c->read);
	uint64_t at;

	if (__builtin_expect(ready < want, 0)) {
		uint64_t closed;

		/* Read before tail: what was sent before closing is seen. */
		closed = __atomic_load_n(&c->shared->producer_closed,
					 __ATOMIC_ACQUIRE);
		/* acquire: pairs with the release of tail in _commit */
		c->tail = __atomic_load_n(&c->shared->tail, __ATOMIC_ACQUIRE);
		if (__builtin_expect(pinring_chain_low(c->tail - c->read), 0))
			pinring_chain_follow(c);
		ready = pinring_chain_index(c->tail - c->read);
		if (__builtin_expect(ready > c->mask + 1, 0)) {
			c->tail = c->read;
			return -EPROTO;
		}
		if (!ready) {
			pinring_chain_flush(c);
			if (!want)
				return 0;
			if (!closed)
				pinring_count(&c->shared->received.refused, 1);
			return closed ? -EPIPE : -EAGAIN;
		}
	}
	at = pinring_chain_index(c->read) & c->mask;
	if (want > ready)
		want = ready;
	if (want > c->mask + 1 - at)
		want = c->mask + 1 - at;
	*slots = c->slots + at * c->slot_bytes;
	return (int64_t)want;
}

/* Consumer: done with the first n peeked slots. */
static inline void pinring_chain_release(struct pinring_chain_consumer *c,
					 uint64_t n)
{
	c->read += n << PINRING_PLACE_SHIFT;
	if (pinring_chain_index(c->read - c->released) >= c->lazy)
		pinring_chain_give_back(c);
}

/* One item of slot_bytes, copied. 0, or what reserve returned. */
static inline int pinring_chain_push(struct pinring_chain_producer *p,
				     const void *item)
{
	void *slot = NULL;
	int64_t n = pinring_chain_reserve(p, 1, &slot);

	if (n < 0)
		return (int)n;
	memcpy(slot, item, p->slot_bytes);
	pinring_chain_commit(p, 1);
	return 0;
}

static inline int pinring_chain_pop(struct pinring_chain_consumer *c,
				    void *item)
{
	void *slot = NULL;
	int64_t n = pinring_chain_peek(c, 1, &slot);

	if (n < 0)
		return (int)n;
	memcpy(item, slot, c->slot_bytes);
	pinring_chain_release(c, 1);
	return 0;
}

/*
 * The same for a ring of 8-byte slots, whose size the compiler then knows.
 * The caller answers for slot_bytes being 8.
 */
static inline int pinring_chain_push_u64(struct pinring_chain_producer *p,
					 uint64_t item)
{
	uint64_t at;

	if (__builtin_expect(!pinring_chain_index(p->limit - p->write), 0)) {
		int64_t n = pinring_chain_look(p, 1);

		if (n < 0)
			return (int)n;
	}
	at = pinring_chain_index(p->write) & p->mask;
	memcpy(p->slots + at * sizeof(item), &item, sizeof(item));
	pinring_chain_commit(p, 1);
	return 0;
}

static inline int pinring_chain_pop_u64(struct pinring_chain_consumer *c,
					uint64_t *item)
{
	uint64_t at;

	if (!pinring_chain_index(c->tail - c->read)) {
		void *slot;
		int64_t n = pinring_chain_peek(c, 1, &slot);

		if (n < 0)
			return (int)n;
	}
	at = pinring_chain_index(c->read) & c->mask;
	memcpy(item, c->slots + at * sizeof(*item), sizeof(*item));
	pinring_chain_release(c, 1);
	return 0;
}

/*
 * Up to n items, copied in a run or a few and published once, or also where the
 * ring moves on. Returns how many went (0 < k <= n), or what reserve returned.
 */
static inline int64_t
pinring_chain_push_batch(struct pinring_chain_producer *p, const void *items,
			 uint64_t n)
{
	const unsigned char *from = (const unsigned char *)items;
	uint64_t base = p->write;
	uint64_t sent = 0;
	int64_t k = 0;

	while (sent < n) {
		void *slots = NULL;

		k = pinring_chain_reserve(p, n - sent, &slots);
		if (k < 0)
			break;
		memcpy(slots, from + sent * p->slot_bytes,
		       (uint64_t)k * p->slot_bytes);
		sent += (uint64_t)k;
		p->write += (uint64_t)k << PINRING_PLACE_SHIFT;
	}
	if (p->write != base)
		pinring_chain_commit(p, 0);
	return sent ? (int64_t)sent : k;
}

static inline int64_t pinring_chain_pop_batch(struct pinring_chain_consumer *c,
					      void *items, uint64_t n)
{
	unsigned char *to = (unsigned char *)items;
	uint64_t got = 0;
	int64_t k = 0;

	while (got < n) {
		void *slots = NULL;

		k = pinring_chain_peek(c, n - got, &slots);
		if (k < 0)
			break;
		memcpy(to + got * c->slot_bytes, slots,
		       (uint64_t)k * c->slot_bytes);
		got += (uint64_t)k;
		c->read += (uint64_t)k << PINRING_PLACE_SHIFT;
	}
	if (got)
		pinring_chain_release(c, 0);
	return got ? (int64_t)got : k;
}

/* Producer: no more will come. The consumer drains, then gets -EPIPE. */
static inline void
pinring_chain_close_producer(struct pinring_chain_producer *p)
{
	/* release: after every commit before it */
	__atomic_store_n(&p->shared->producer_closed, 1, __ATOMIC_RELEASE);
	pinring_wake(&p->shared->sleepers.ready);
}

/*
 * Consumer: nobody reads on. The producer gets -EPIPE once it has used up the
 * room it knows of.
 */
static inline void
pinring_chain_close_consumer(struct pinring_chain_consumer *c)
{
	pinring_chain_flush(c);
	__atomic_store_n(&c->shared->consumer_closed, 1, __ATOMIC_RELEASE);
	pinring_wake(&c->shared->sleepers.room);
}

/* Producer: slots of the segment it is in; the ring may yet grow. */
static inline uint64_t
pinring_chain_capacity(const struct pinring_chain_producer *p)
{
	return p->mask + 1;
}

/* Producer: how many more go in before the ring has to grow. */
static inline uint64_t
pinring_chain_free(const struct pinring_chain_producer *p)
{
	uint64_t used = pinring_chain_slots(
		__atomic_load_n(&p->shared->head, __ATOMIC_ACQUIRE), p->write);

	return used <= p->mask + 1 ? p->mask + 1 - used : 0;
}

/* Consumer: messages there are, in whichever segment. */
static inline uint64_t
pinring_chain_count(const struct pinring_chain_consumer *c)
{
	return pinring_chain_slots(
		c->read, __atomic_load_n(&c->shared->tail, __ATOMIC_ACQUIRE));
}

/* ----------------------------------------------------------------- waiting */
static inline bool pinring_chain_is_ready(const void *consumer)
{
	const struct pinring_chain_consumer *c =
		(const struct pinring_chain_consumer *)consumer;

	return pinring_chain_count(c) ||
	       __atomic_load_n(&c->shared->producer_closed, __ATOMIC_RELAXED);
}

static inline bool pinring_chain_is_roomy(const void *producer)
{
	const struct pinring_chain_producer *p =
		(const struct pinring_chain_producer *)producer;

	return pinring_chain_free(p) ||
	       p->shape.segment + 1 < p->shape.segments ||
	       __atomic_load_n(&p->shared->consumer_closed, __ATOMIC_RELAXED);
}

/* For pinring_wait_any(): until peek, or reserve, has something else to say. */
static inline struct pinring_wait
pinring_chain_when_ready(const struct pinring_chain_consumer *c)
{
	struct pinring_wait w = { &c->shared->sleepers.ready, &c->shared->tail,
				  pinring_chain_is_ready, NULL, c,
				  &c->shared->received.waited };

	return w;
}

static inline struct pinring_wait
pinring_chain_when_room(const struct pinring_chain_producer *p)
{
	struct pinring_wait w = { &p->shared->sleepers.room, &p->shared->head,
				  pinring_chain_is_roomy, NULL, p,
				  &p->shared->waited };

	return w;
}

/* push and pop that wait: -ETIMEDOUT, or what push and pop return. */
static inline int pinring_chain_push_wait(struct pinring_chain_producer *p,
					  const void *item, int64_t timeout_ns)
{
	struct pinring_wait w = pinring_chain_when_room(p);
	int rc = pinring_chain_push(p, item);

	if (rc != -EAGAIN)
		return rc;
	rc = pinring_wait_any(&w, 1, NULL, timeout_ns);
	return rc < 0 ? rc : pinring_chain_push(p, item);
}

static inline int pinring_chain_pop_wait(struct pinring_chain_consumer *c,
					 void *item, int64_t timeout_ns)
{
	struct pinring_wait w = pinring_chain_when_ready(c);
	int rc = pinring_chain_pop(c, item);

	if (rc != -EAGAIN)
		return rc;
	rc = pinring_wait_any(&w, 1, NULL, timeout_ns);
	return rc < 0 ? rc : pinring_chain_pop(c, item);
}

#ifdef __cplusplus
}
#endif

#endif /* PINRING_RING_CHAIN_H */
