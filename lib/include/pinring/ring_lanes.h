/* SPDX-License-Identifier: MIT */
/*
 * ring_lanes.h - many producers, a lane for each; one consumer, or one for each
 * partition of the keys.
 *
 *	            partition 0    partition 1
 *	producer 0  [..xxx....]    [xx.......]    x: published
 *	producer 1  [.........]    [......xx.]
 *	producer 2  [xx......x]    [...xxxx..]
 *	                 |              |
 *	            consumer A     consumer B
 *
 * A lane is an SPSC ring: no word of it is written by two, so producers do not
 * know of each other. A consumer goes round its lanes and takes a run of what it
 * finds in each, up to PINRING_LANES_RUN messages and an eighth of the lane.
 *
 * Order: that of each producer in each partition, and no other. Who needs one
 * order over all producers takes ring_mpmc.h. A message waits, behind k others of
 * its own lane, for no more than (k / run + 1) * run messages of each other lane.
 *
 * Partitions: pinring_lanes_partition() tells which one a key belongs to, so all
 * messages of a key come to one consumer, and from one producer in order. With
 * one partition there is one consumer, and no key.
 *
 * Memory order: as in ring_spsc.h. tail is stored with release after the slots
 * were written and loaded with acquire before they are read; head the other way.
 *
 * Death: who sends and who receives is written in parties (party.h), and the seat
 * of a dead one goes to the next who opens. A dead producer leaves its lanes
 * whole: what it had published is delivered, what it had only reserved never
 * shows, nobody repairs anything. A dead consumer's successor starts where slots
 * were last given back: less than an eighth of each lane is seen again, of the
 * one that was visited a run more; nothing is lost. After fork() a handle is the
 * parent's; a thread that ends without closing its handle holds its seat until its
 * process ends.
 *
 * A handle is used by one thread at a time. Every function here is wait-free, but
 * those that wait. What the peers write is masked and bounded; a lane whose tail
 * is impossible is reported once, -EPROTO, and then left out: the others go on.
 */
#ifndef PINRING_RING_LANES_H
#define PINRING_RING_LANES_H

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

#define PINRING_LANES_RUN 64 /* messages of one lane in a visit, at most */

/* What every handle knows: private memory, checked once when opened. */
struct pinring_lanes {
	uint64_t mask; /* capacity of a lane - 1 */
	uint64_t slot_bytes;
	uint64_t lane_bytes;
	uint64_t producers, partitions;
	unsigned char *slots;
	struct pinring_lane *lane;
	struct pinring_lanes_partition *partition;
	struct pinring_party *parties;
	struct pinring_lanes_header *shared;
	struct pinring_region *region; /* the reference this handle holds */
};

/* One lane as its producer sees it. */
struct pinring_lane_writer {
	uint64_t write; /* next slot to fill */
	uint64_t head; /* consumer's, as last read */
	uint64_t mask;
	uint64_t slot_bytes;
	unsigned char *slots;
	struct pinring_lane *shared;
	const __u64 *closed;
	const __u32 *bell; /* of its partition */
	struct pinring_lanes_partition *partition; /* the first of all */
	uint64_t partitions;
} PINRING_ALIGNED(128);

struct pinring_lanes_producer {
	struct pinring_lane_writer *lane; /* one for each partition */
	struct pinring_lanes lanes;
	struct pinring_party *party;
	uint64_t owner; /* what party->owner is while it is ours */
};

/* One lane as its consumer sees it. */
struct pinring_lane_reader {
	__u64 read; /* next slot to read, but in the lane that is visited */
	uint64_t released; /* head as last written */
	const __u64 *tail_word; /* own `read` instead, once it was impossible */
	unsigned char *slots;
	struct pinring_lane *shared;
	struct pinring_party *party; /* of its producer */
};

struct pinring_lanes_consumer {
	uint64_t read; /* next slot to read of the lane it visits */
	uint64_t end; /* of the visit */
	uint64_t mask;
	uint64_t slot_bytes;
	unsigned char *slots; /* of that lane */
	struct pinring_lane_reader *at; /* that lane */
	struct pinring_lane_reader *lane; /* all its lanes, row by row */
	uint64_t next; /* lane to visit */
	uint64_t run; /* messages of a visit */
	uint64_t lazy; /* give back after this many */
	uint64_t first, n; /* its partitions */
	struct pinring_party *party; /* of the first of them */
	bool over; /* the end was seen: a late reservation does not undo it */
	struct pinring_lanes lanes;
	uint64_t *owner; /* of the parties of its partitions */
} PINRING_ALIGNED(128);

/*
 * capacity: slots of each lane, a power of two from 2 to 2^32; slot_bytes: a
 * multiple of 8 up to 2^20; producers: that may have it open at a time, up to
 * 256; partitions: 1, or how many consumers can share the work, up to 256; all in
 * all up to PINRING_LANES_MAX lanes. -EINVAL, or what pinring_object_create
 * returns.
 */
PINRING_API int pinring_lanes_create(struct pinring_region *region,
				     const char *name, uint64_t capacity,
				     uint64_t slot_bytes, uint32_t producers,
				     uint32_t partitions);

/*
 * Fill in a handle, in the process that will use it; it holds the region's
 * mapping until closed. The producer gets a lane to each partition. -EUSERS: each
 * seat was taken by a living process when it was looked at; -ENOMEM; else as
 * pinring_spsc_producer_open.
 */
PINRING_API int
pinring_lanes_producer_open(struct pinring_region *region, const char *name,
			    struct pinring_lanes_producer *producer);
/*
 * All partitions, or n from the first one on. -EBUSY: one of them has a living
 * consumer; -EINVAL: there are no such partitions.
 */
PINRING_API int
pinring_lanes_consumer_open(struct pinring_region *region, const char *name,
			    struct pinring_lanes_consumer *consumer);
PINRING_API int
pinring_lanes_consumer_open_some(struct pinring_region *region,
				 const char *name, uint32_t first, uint32_t n,
				 struct pinring_lanes_consumer *consumer);

/* What is reserved is aborted; what is released is given back. */
PINRING_API void
pinring_lanes_producer_close(struct pinring_lanes_producer *producer);
PINRING_API void
pinring_lanes_consumer_close(struct pinring_lanes_consumer *consumer);

/*
 * No more will be published, by any producer: they get -EPIPE. Consumers drain
 * what is there, and what is reserved now, then get -EPIPE: a living producer
 * that sits on a reservation keeps them waiting.
 */
PINRING_API void pinring_lanes_close(const struct pinring_lanes *lanes);

/* For pinring_wait_any(): until reserve, or peek, has something else to say. */
PINRING_API struct pinring_wait
pinring_lanes_when_room(const struct pinring_lane_writer *lane);
PINRING_API struct pinring_wait
pinring_lanes_when_ready(const struct pinring_lanes_consumer *consumer);

/* push and pop that wait. -ETIMEDOUT, or what push and pop return. */
PINRING_API int pinring_lanes_push_wait(struct pinring_lane_writer *lane,
					const void *item, int64_t timeout_ns);
PINRING_API int pinring_lanes_pop_wait(struct pinring_lanes_consumer *consumer,
				       void *item, int64_t timeout_ns);

struct pinring_lanes_info {
	uint64_t struct_size;
	uint64_t capacity; /* of a lane */
	uint64_t slot_bytes;
	uint64_t published; /* in all lanes, ever */
	uint64_t given_back;
	uint32_t producers, partitions; /* there is room for */
	uint32_t producers_open, partitions_open; /* dead ones included */
	uint32_t closed;
	uint32_t reserved;
};

PINRING_API int pinring_lanes_info(const struct pinring_lanes *lanes,
				   struct pinring_lanes_info *info);

/* -------------------------------------------------------------------- keys */

/*
 * Which of n partitions a key belongs to. Part of the ABI: the key is mixed by
 * Stafford's variant 13 of MurmurHash3's finalizer, and the upper 32 bits of
 * that, a fraction of 2^32, tell the place among n.
 */
PINRING_HOST_FN uint32_t pinring_lanes_partition(uint64_t key, uint32_t n)
{
	key = (key ^ key >> 30) * 0xbf58476d1ce4e5b9ull;
	key = (key ^ key >> 27) * 0x94d049bb133111ebull;
	key ^= key >> 31;
	return (uint32_t)((key >> 32) * n >> 32);
}

/* The lane for that key. */
PINRING_HOST_FN struct pinring_lane_writer *
pinring_lanes_lane(const struct pinring_lanes_producer *p, uint64_t key)
{
	uint32_t n = (uint32_t)p->lanes.partitions;

	return &p->lane[pinring_lanes_partition(key, n)];
}

/* ---------------------------------------------------------------- producers
 *
 * They take one lane of a producer's: p->lane for the only one, or that of a key,
 * or p->lane + partition.
 */

/*
 * Says what is reserved, then whether that was in time. Who waits for the end
 * closes first, then makes this CPU pass a barrier: it sees the note, or we the
 * closing.
 */
PINRING_HOST_FN bool pinring_lanes_hold(struct pinring_lane_writer *w,
					uint64_t n)
{
	__atomic_store_n(&w->shared->held, w->write + n, __ATOMIC_RELAXED);
	/* For the compiler; the CPU's order is the closer's business. */
	__asm__ volatile("" ::: "memory");
	if (__builtin_expect(!__atomic_load_n(w->closed, __ATOMIC_RELAXED), 1))
		return true;
	__atomic_store_n(&w->shared->held, w->write, __ATOMIC_RELAXED);
	return false;
}

/* Free slots by a new look at the consumer's index; none: why. */
PINRING_HOST_FN int64_t pinring_lanes_room(struct pinring_lane_writer *w)
{
	uint64_t used;

	/* acquire: pairs with the release of head in _give_back */
	w->head = __atomic_load_n(&w->shared->head, __ATOMIC_ACQUIRE);
	used = w->write - w->head;
	if (used > w->mask + 1) {
		w->head = w->write - w->mask - 1;
		return -EPROTO;
	}
	if (used <= w->mask)
		return (int64_t)(w->mask + 1 - used);
	if (__atomic_load_n(w->closed, __ATOMIC_RELAXED))
		return -EPIPE;
	pinring_count(&w->shared->sent.refused, 1);
	return -EAGAIN;
}

/*
 * Up to `want` contiguous free slots, in *slots. Returns how many (at least 1),
 * -EAGAIN: full, -EPIPE: closed, -EPROTO: the consumer's index is impossible.
 * Reserving again without a commit returns the same slots.
 */
static inline int64_t pinring_lanes_reserve(struct pinring_lane_writer *w,
					    uint64_t want, void **slots)
{
	uint64_t capacity = w->mask + 1;
	uint64_t at = w->write & w->mask;
	uint64_t room = capacity - (w->write - w->head);

	if (__builtin_expect(room < want, 0)) {
		int64_t n = pinring_lanes_room(w);

		if (n < 0)
			return n;
		room = (uint64_t)n;
	}
	if (want > room)
		want = room;
	if (want > capacity - at)
		want = capacity - at;
	if (!pinring_lanes_hold(w, want))
		return -EPIPE;
	*slots = w->slots + at * w->slot_bytes;
	return (int64_t)want;
}

/* Publish n of the reserved slots, all that were. */
PINRING_HOST_FN void pinring_lanes_publish(struct pinring_lane_writer *w,
					   uint64_t n)
{
	__u32 bell;

	w->write += n;
	/* release: pairs with the acquire of tail in _turn */
	__atomic_store_n(&w->shared->tail, w->write, __ATOMIC_RELEASE);
	__asm__ volatile("" ::: "memory"); /* as in pinring_wake() */
	bell = __atomic_load_n(w->bell, __ATOMIC_RELAXED);
	if (__builtin_expect(bell >= w->partitions, 0))
		return;
	pinring_wake(&w->partition[bell].ready);
}

/* Publish the first n of the reserved slots; the others are free again. */
static inline void pinring_lanes_commit(struct pinring_lane_writer *w,
					uint64_t n)
{
	pinring_lanes_publish(w, n);
	/* Before or after tail: it differs from what that was. */
	__atomic_store_n(&w->shared->held, w->write, __ATOMIC_RELAXED);
}

static inline void pinring_lanes_abort(struct pinring_lane_writer *w)
{
	__atomic_store_n(&w->shared->held, w->write, __ATOMIC_RELAXED);
}

/* One item of slot_bytes, copied. 0, or what reserve returned. */
static inline int pinring_lanes_push(struct pinring_lane_writer *w,
				     const void *item)
{
	void *slot = NULL;
	int64_t n = pinring_lanes_reserve(w, 1, &slot);

	if (n < 0)
		return (int)n;
	memcpy(slot, item, w->slot_bytes);
	pinring_lanes_publish(w, 1);
	return 0;
}

/*
 * The same for lanes of 8-byte slots, whose size the compiler then knows. The
 * caller answers for slot_bytes being 8.
 */
static inline int pinring_lanes_push_u64(struct pinring_lane_writer *w,
					 uint64_t item)
{
	void *slot = NULL;
	int64_t n = pinring_lanes_reserve(w, 1, &slot);

	if (n < 0)
		return (int)n;
	memcpy(slot, &item, sizeof(item));
	pinring_lanes_publish(w, 1);
	return 0;
}

/*
 * Up to n items, copied in at most two runs and published once. Returns how many
 * went, or what reserve returned.
 */
static inline int64_t pinring_lanes_push_batch(struct pinring_lane_writer *w,
					       const void *items, uint64_t n)
{
	const unsigned char *from = (const unsigned char *)items;
	uint64_t capacity = w->mask + 1;
	uint64_t at = w->write & w->mask;
	uint64_t room = capacity - (w->write - w->head);
	uint64_t k;

	if (room < n) {
		int64_t rc = pinring_lanes_room(w);

		if (rc < 0)
			return rc;
		room = (uint64_t)rc;
	}
	n = n < room ? n : room;
	if (!pinring_lanes_hold(w, n))
		return -EPIPE;
	k = n < capacity - at ? n : capacity - at;
	memcpy(w->slots + at * w->slot_bytes, from, k * w->slot_bytes);
	memcpy(w->slots, from + k * w->slot_bytes, (n - k) * w->slot_bytes);
	pinring_lanes_publish(w, n);
	return (int64_t)n;
}

/* To the partition of that key. */
static inline int pinring_lanes_push_key(struct pinring_lanes_producer *p,
					 uint64_t key, const void *item)
{
	return pinring_lanes_push(pinring_lanes_lane(p, key), item);
}

/* Slots of this lane that a reserve would find free, all in all. */
static inline uint64_t
pinring_lanes_free(const struct pinring_lane_writer *w)
{
	uint64_t used = w->write -
			__atomic_load_n(&w->shared->head, __ATOMIC_RELAXED);

	return used <= w->mask + 1 ? w->mask + 1 - used : 0;
}

/* ---------------------------------------------------------------- consumers */
PINRING_HOST_FN void pinring_lanes_give_back(struct pinring_lane_reader *r)
{
	r->released = r->read;
	/* release: the slots are read before the producer may reuse them */
	__atomic_store_n(&r->shared->head, r->read, __ATOMIC_RELEASE);
	pinring_wake(&r->shared->room);
}

/* Lanes that may hold something: all whose row ever had a producer. */
PINRING_HOST_FN uint64_t
pinring_lanes_in_use(const struct pinring_lanes_consumer *c)
{
	uint64_t rows = __atomic_load_n(&c->lanes.shared->used,
					__ATOMIC_RELAXED);

	return (rows < c->lanes.producers ? rows : c->lanes.producers) * c->n;
}

/*
 * Whether closed lanes are drained and nobody can publish any more. A system
 * call, and a look into /proc where the dead hold something.
 */
PINRING_API bool
pinring_lanes_is_over(const struct pinring_lanes_consumer *consumer);

/* Begins a visit to the next lane that has something. 0, or why there is none. */
static inline int pinring_lanes_turn(struct pinring_lanes_consumer *c)
{
	uint64_t n = pinring_lanes_in_use(c);
	uint64_t i;

	for (i = 0; i < n; i++) {
		struct pinring_lane_reader *r;
		uint64_t ready;

		c->next = c->next < n ? c->next : 0;
		r = &c->lane[c->next++];
		/* acquire: pairs with the release of tail in _publish */
		ready = __atomic_load_n(r->tail_word, __ATOMIC_ACQUIRE) -
			r->read;
		if (!ready) {
			if (r->released != r->read)
				pinring_lanes_give_back(r);
			continue;
		}
		if (__builtin_expect(ready > c->mask + 1, 0)) {
			/* From here on it looks empty. */
			r->tail_word = &r->read;
			return -EPROTO;
		}
		c->at = r;
		c->slots = r->slots;
		c->read = r->read;
		c->end = r->read + (ready < c->run ? ready : c->run);
		return 0;
	}
	if (__atomic_load_n(&c->lanes.shared->closed, __ATOMIC_RELAXED) &&
	    !c->over)
		c->over = pinring_lanes_is_over(c);
	if (!c->over)
		pinring_count(&c->party->received.refused, 1);
	return c->over ? -EPIPE : -EAGAIN;
}

/* The visit is over. */
PINRING_HOST_FN void pinring_lanes_leave(struct pinring_lanes_consumer *c)
{
	struct pinring_lane_reader *r = c->at;

	r->read = c->read;
	if (r->read - r->released >= c->lazy)
		pinring_lanes_give_back(r);
}

/*
 * Up to `want` contiguous messages of one lane, in *slots. Returns how many (at
 * least 1, at most what is left of the visit), -EAGAIN: no lane has any, -EPIPE:
 * closed and drained, -EPROTO: a lane's index is impossible, the other lanes are
 * served by the next call.
 */
static inline int64_t pinring_lanes_peek(struct pinring_lanes_consumer *c,
					 uint64_t want, void **slots)
{
	uint64_t at, n;

	if (c->read == c->end) {
		int rc = pinring_lanes_turn(c);

		if (rc < 0)
			return rc;
	}
	at = c->read & c->mask;
	n = c->end - c->read;
	if (want > n)
		want = n;
	if (want > c->mask + 1 - at)
		want = c->mask + 1 - at;
	*slots = c->slots + at * c->slot_bytes;
	return (int64_t)want;
}

/* Done with the first n peeked messages. */
static inline void pinring_lanes_release(struct pinring_lanes_consumer *c,
					 uint64_t n)
{
	c->read += n;
	if (n && c->read == c->end)
		pinring_lanes_leave(c);
}

static inline int pinring_lanes_pop(struct pinring_lanes_consumer *c,
				    void *item)
{
	void *slot = NULL;
	int64_t n = pinring_lanes_peek(c, 1, &slot);

	if (n < 0)
		return (int)n;
	memcpy(item, slot, c->slot_bytes);
	pinring_lanes_release(c, 1);
	return 0;
}

/* As pinring_lanes_push_u64(). */
static inline int pinring_lanes_pop_u64(struct pinring_lanes_consumer *c,
					uint64_t *item)
{
	if (c->read == c->end) {
		int rc = pinring_lanes_turn(c);

		if (rc < 0)
			return rc;
	}
	memcpy(item, c->slots + (c->read & c->mask) * sizeof(*item),
	       sizeof(*item));
	pinring_lanes_release(c, 1);
	return 0;
}

/* Up to n messages, of as many lanes as it takes. */
static inline int64_t pinring_lanes_pop_batch(struct pinring_lanes_consumer *c,
					      void *items, uint64_t n)
{
	unsigned char *to = (unsigned char *)items;
	uint64_t got = 0;
	int64_t k = 0;

	while (got < n) {
		void *slots = NULL;

		k = pinring_lanes_peek(c, n - got, &slots);
		if (k < 0)
			break;
		memcpy(to + got * c->slot_bytes, slots,
		       (uint64_t)k * c->slot_bytes);
		pinring_lanes_release(c, (uint64_t)k);
		got += (uint64_t)k;
	}
	return got ? (int64_t)got : k;
}

/* Make every released slot visible to the producers now. */
static inline void pinring_lanes_flush(struct pinring_lanes_consumer *c)
{
	uint64_t i, n = c->lanes.producers * c->n;

	if (c->at)
		c->at->read = c->read;
	for (i = 0; i < n; i++)
		if (c->lane[i].released != c->lane[i].read)
			pinring_lanes_give_back(&c->lane[i]);
}

/* Messages that are ready in this consumer's lanes. */
static inline uint64_t
pinring_lanes_count(const struct pinring_lanes_consumer *c)
{
	uint64_t i, n = pinring_lanes_in_use(c), sum = 0;

	for (i = 0; i < n; i++) {
		const struct pinring_lane_reader *r = &c->lane[i];
		uint64_t ready = __atomic_load_n(r->tail_word,
						 __ATOMIC_RELAXED) -
				 (r == c->at ? c->read : r->read);

		sum += ready <= c->mask + 1 ? ready : 0;
	}
	return sum;
}

/* Of one lane. */
static inline uint64_t pinring_lanes_capacity(const struct pinring_lanes *l)
{
	return l->mask + 1;
}

#ifdef __cplusplus
}
#endif

#endif /* PINRING_RING_LANES_H */
