/* SPDX-License-Identifier: MIT */
/*
 * ring_bytes.h - one producer, one consumer, messages of any size.
 *
 *          head                                  tail
 *           |                                     |
 *    [......|n|payload..|n|payload|n|payload......|.........]
 *                       |                         |n|......|    n: a word
 *                    c->read                   p->write
 *             (released up to here,         (reserved, not
 *            not yet all given back)       yet published)
 *
 * A record is a word that holds the length, and the payload, filled up to a
 * multiple of 8. Every payload is contiguous and begins at a multiple of 8: one
 * that does not fit before the end of the array goes to its beginning, and a
 * word with the skip mark takes the place of what would have been cut. Nobody
 * but this file ever sees that.
 *
 * Memory order, the cached copies of the other side's position and the lazy
 * release are those of ring_spsc.h, with positions in bytes: tail is stored with
 * release after the records were written and loaded with acquire before they are
 * read, head the other way. Up to capacity / 8 bytes that were released may not
 * be visible to the producer until the consumer finds the ring empty or calls
 * pinring_bytes_flush().
 *
 * A message has from 0 to pinring_bytes_limit() bytes. 0 is a message like any
 * other: it takes a word, and arrives.
 *
 * The other side is not trusted. The consumer reads a length once and checks it
 * against what is published, against the end of the array and against the limit
 * before it believes it; positions are masked before use. So neither side is
 * ever led outside the array, whatever the other writes. Payload read in place
 * can change under the reader's eyes: pop it, or copy what must not.
 *
 * Death: killed between reserve and commit (or between stage and publish), the
 * producer leaves nothing behind, and a new one starts where tail stands. A
 * killed consumer's successor starts at head: what was not given back is seen
 * again, which is fewer than capacity / 8 bytes of released records and those
 * being read; none is lost.
 *
 * Every function here is wait-free, but for those that say that they wait. None
 * may be called by two threads at once on the same handle.
 */
#ifndef PINRING_RING_BYTES_H
#define PINRING_RING_BYTES_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>
#include <pinring/counts.h>
#include <pinring/pinring_layout.h>
#include <pinring/region.h>
#include <pinring/wait.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Private memory, checked once when opened. */
struct pinring_bytes_producer {
	uint64_t write; /* where the next record goes */
	uint64_t record; /* where the reserved one is: behind a skip or not */
	uint64_t published; /* tail as last written */
	uint64_t head; /* consumer's, as last read */
	uint64_t wanted; /* bytes that reserve last found no room for */
	__u64 staged, staged_bytes; /* since the last publish, for the counts */
	uint64_t mask; /* capacity - 1 */
	unsigned char *records;
	struct pinring_bytes_header *shared;
	struct pinring_region *region; /* the reference this handle holds */
} PINRING_ALIGNED(128);

struct pinring_bytes_consumer {
	uint64_t read; /* the next record to read */
	uint64_t next; /* behind what was peeked */
	uint64_t tail; /* producer's, as last read */
	uint64_t released; /* head as last written */
	uint64_t lazy; /* give back after this many bytes */
	uint64_t mask;
	unsigned char *records;
	__u64 peeked, peeked_bytes; /* by the last peek, for the counts */
	__u64 done, done_bytes; /* released, since the last give-back */
	struct pinring_bytes_header *shared;
	struct pinring_region *region;
} PINRING_ALIGNED(128);

/*
 * capacity: bytes, a power of two from 64 to 2^40. -EINVAL, or what
 * pinring_object_create returns.
 */
PINRING_API int pinring_bytes_create(struct pinring_region *region,
				     const char *name, uint64_t capacity);

/*
 * Fill in a handle; it holds the region's mapping until closed. Returns what
 * pinring_spsc_producer_open does.
 */
PINRING_API int
pinring_bytes_producer_open(struct pinring_region *region, const char *name,
			    struct pinring_bytes_producer *producer);
PINRING_API int
pinring_bytes_consumer_open(struct pinring_region *region, const char *name,
			    struct pinring_bytes_consumer *consumer);

/*
 * Drop the handle without telling the peer; see pinring_bytes_close_*. What was
 * staged is published, what was released is given back.
 */
PINRING_API void
pinring_bytes_producer_close(struct pinring_bytes_producer *producer);
PINRING_API void
pinring_bytes_consumer_close(struct pinring_bytes_consumer *consumer);

/*
 * The longest message of a ring of this capacity. With its word it is half the
 * array. So in an empty ring, wherever tail stands, it fits before the end of
 * the array or, where that is less than a half, at the beginning with what is
 * skipped left over. One longer would fit neither way at some positions, and an
 * empty ring would refuse it for ever.
 */
static inline uint64_t pinring_bytes_limit(uint64_t capacity)
{
	return capacity / 2 - PINRING_RECORD_WORD_BYTES;
}

/* What a message takes up, but for a skip in front of it. */
static inline uint64_t pinring_bytes_record(uint64_t bytes)
{
	return PINRING_RECORD_WORD_BYTES + ((bytes + 7) & ~7ull);
}

static inline __u64 *pinring_bytes_word(unsigned char *records, uint64_t at)
{
	return (__u64 *)(void *)(records + at);
}

/* --------------------------------------------------------------- producer */

/* Make what was staged visible to the consumer: one store for all of it. */
static inline void pinring_bytes_publish(struct pinring_bytes_producer *p)
{
	p->published = p->write;
	/* In the line of tail, which it takes along. */
	pinring_count(&p->shared->sent.messages, p->staged);
	pinring_count(&p->shared->sent.bytes, p->staged_bytes);
	p->staged = 0;
	p->staged_bytes = 0;
	/* release: pairs with the acquire of tail in pinring_bytes_look */
	__atomic_store_n(&p->shared->tail, p->write, __ATOMIC_RELEASE);
	pinring_wake(&p->shared->sleepers.ready);
}

/*
 * Room for a message of up to `bytes`, at *at, a multiple of 8. Returns 0,
 * -EAGAIN: no room, -EMSGSIZE: longer than pinring_bytes_limit(), -EPIPE: no
 * room and the consumer closed, -EPROTO: the peer's position is impossible.
 * Reserving again without a commit starts over.
 */
static inline int pinring_bytes_reserve(struct pinring_bytes_producer *p,
					uint64_t bytes, void **at)
{
	const uint64_t capacity = p->mask + 1;
	const uint64_t place = p->write & p->mask;
	const uint64_t record = pinring_bytes_record(bytes);
	uint64_t skip = 0;

	if (bytes > pinring_bytes_limit(capacity))
		return -EMSGSIZE;
	if (record > capacity - place)
		skip = capacity - place;
	if (__builtin_expect(capacity - (p->write - p->head) < skip + record, 0)) {
		/*
		 * Before head is looked at: what room a consumer that closed
		 * leaves behind is not to be used, now or next time.
		 */
		if (__atomic_load_n(&p->shared->consumer_closed,
				    __ATOMIC_ACQUIRE))
			return -EPIPE;
		/* acquire: pairs with the release of head in _give_back */
		p->head = __atomic_load_n(&p->shared->head, __ATOMIC_ACQUIRE);
		if (p->write - p->head > capacity || p->head & 7) {
			p->head = p->write - capacity;
			return -EPROTO;
		}
		if (capacity - (p->write - p->head) < skip + record) {
			/* Or the consumer would never make room. */
			if (p->published != p->write)
				pinring_bytes_publish(p);
			p->wanted = skip + record;
			pinring_count(&p->shared->sent.refused, 1);
			return -EAGAIN;
		}
	}
	if (skip)
		*pinring_bytes_word(p->records, place) = PINRING_RECORD_SKIP;
	p->record = p->write + skip;
	*at = p->records + (p->record & p->mask) + PINRING_RECORD_WORD_BYTES;
	return 0;
}

/*
 * The reserved message is complete, with `bytes` of it, at most what was
 * reserved; the consumer sees it after the next publish or commit, or when the
 * ring is found full. For batches: reserve, stage, reserve, stage, publish.
 */
static inline void pinring_bytes_stage(struct pinring_bytes_producer *p,
				       uint64_t bytes)
{
	*pinring_bytes_word(p->records, p->record & p->mask) = bytes;
	p->write = p->record + pinring_bytes_record(bytes);
	p->staged++;
	p->staged_bytes += bytes;
}

/* The same, and publish it with all that was staged. */
static inline void pinring_bytes_commit(struct pinring_bytes_producer *p,
					uint64_t bytes)
{
	pinring_bytes_stage(p, bytes);
	pinring_bytes_publish(p);
}

/* The reserved message is not to be sent. What was staged before it stays. */
static inline void pinring_bytes_abort(struct pinring_bytes_producer *p)
{
	/* Nothing of a reservation is shared, so nothing is taken back. */
	(void)p;
}

/* reserve, copy, stage */
static inline int pinring_bytes_put(struct pinring_bytes_producer *p,
				    const void *message, uint64_t bytes)
{
	void *at;
	int rc = pinring_bytes_reserve(p, bytes, &at);

	if (rc)
		return rc;
	if (bytes) /* nothing may come from nowhere, which memcpy forbids */
		memcpy(at, message, bytes);
	pinring_bytes_stage(p, bytes);
	return 0;
}

/* One message, copied. 0, or what reserve returned. */
static inline int pinring_bytes_push(struct pinring_bytes_producer *p,
				     const void *message, uint64_t bytes)
{
	int rc = pinring_bytes_put(p, message, bytes);

	if (!rc)
		pinring_bytes_publish(p);
	return rc;
}

/*
 * Up to n messages, copied and published once. Returns how many went, in order,
 * or what reserve returned for the first.
 */
static inline int64_t pinring_bytes_push_batch(struct pinring_bytes_producer *p,
					       const struct iovec *messages,
					       uint64_t n)
{
	uint64_t sent;
	int rc = 0;

	for (sent = 0; sent < n; sent++) {
		rc = pinring_bytes_put(p, messages[sent].iov_base,
				       messages[sent].iov_len);
		if (rc)
			break;
	}
	if (p->published != p->write)
		pinring_bytes_publish(p);
	return sent ? (int64_t)sent : rc;
}

/* No more will come. The consumer drains, then gets -EPIPE. */
static inline void
pinring_bytes_close_producer(struct pinring_bytes_producer *p)
{
	pinring_bytes_publish(p);
	/* release: after every commit before it */
	__atomic_store_n(&p->shared->producer_closed, 1, __ATOMIC_RELEASE);
	pinring_wake(&p->shared->sleepers.ready);
}

static inline uint64_t
pinring_bytes_capacity(const struct pinring_bytes_producer *p)
{
	return p->mask + 1;
}

/*
 * Bytes of the array that are free, by what the consumer has given back; see
 * pinring_bytes_record() for what a message takes. -EPROTO as reserve.
 */
static inline int64_t pinring_bytes_free(const struct pinring_bytes_producer *p)
{
	uint64_t used = p->write -
			__atomic_load_n(&p->shared->head, __ATOMIC_RELAXED);

	return used > p->mask + 1 ? -EPROTO : (int64_t)(p->mask + 1 - used);
}

/* --------------------------------------------------------------- consumer */

static inline void pinring_bytes_give_back(struct pinring_bytes_consumer *c)
{
	c->released = c->read;
	pinring_count(&c->shared->received.messages, c->done);
	pinring_count(&c->shared->received.bytes, c->done_bytes);
	c->done = 0;
	c->done_bytes = 0;
	/* release: the records are read before the producer may reuse them */
	__atomic_store_n(&c->shared->head, c->read, __ATOMIC_RELEASE);
	pinring_wake(&c->shared->sleepers.room);
}

/* Make all that was released visible to the producer now. */
static inline void pinring_bytes_flush(struct pinring_bytes_consumer *c)
{
	if (c->released != c->read)
		pinring_bytes_give_back(c);
}

/* The record at `from`, which is where the last one ended; c->next is behind. */
static inline int pinring_bytes_look(struct pinring_bytes_consumer *c,
				     uint64_t from, const void **at,
				     uint64_t *bytes)
{
	const uint64_t capacity = c->mask + 1;
	uint64_t place = from & c->mask;
	uint64_t ready = c->tail - from;
	uint64_t length, record;

	if (__builtin_expect(!ready, 0)) {
		uint64_t closed;

		/* Read before tail: what was sent before closing is seen. */
		closed = __atomic_load_n(&c->shared->producer_closed,
					 __ATOMIC_ACQUIRE);
		/* acquire: pairs with the release of tail in _publish */
		c->tail = __atomic_load_n(&c->shared->tail, __ATOMIC_ACQUIRE);
		ready = c->tail - from;
		if (c->tail - c->read > capacity || ready > capacity ||
		    ready & 7) {
			c->tail = from; /* so that it is read again */
			return -EPROTO;
		}
		if (!ready) {
			pinring_bytes_flush(c);
			if (!closed)
				pinring_count(&c->shared->received.refused, 1);
			return closed ? -EPIPE : -EAGAIN;
		}
	}
	/* Once: it must not be another length when it is used. */
	length = __atomic_load_n(pinring_bytes_word(c->records, place),
				 __ATOMIC_RELAXED);
	if (length == PINRING_RECORD_SKIP) {
		/* A skip is published together with the record behind it. */
		if (ready <= capacity - place)
			return -EPROTO;
		ready -= capacity - place;
		from += capacity - place;
		place = 0;
		length = __atomic_load_n(pinring_bytes_word(c->records, place),
					 __ATOMIC_RELAXED);
	}
	record = pinring_bytes_record(length);
	if (length > pinring_bytes_limit(capacity) || record > ready ||
	    record > capacity - place)
		return -EPROTO;
	*at = c->records + place + PINRING_RECORD_WORD_BYTES;
	*bytes = length;
	c->next = from + record;
	c->peeked++;
	c->peeked_bytes += length;
	return 0;
}

/*
 * The next message, where it lies. Returns 0, -EAGAIN: empty, -EPIPE: empty and
 * the producer closed, -EPROTO: the peer's position or the record is impossible.
 * Peeking again without a release shows the same message.
 */
static inline int pinring_bytes_peek(struct pinring_bytes_consumer *c,
				     const void **at, uint64_t *bytes)
{
	c->peeked = 0;
	c->peeked_bytes = 0;
	return pinring_bytes_look(c, c->read, at, bytes);
}

/*
 * The next messages, up to n of them, as writev takes them. Returns how many
 * (at least 1), or what peek returns.
 */
static inline int64_t pinring_bytes_peek_batch(struct pinring_bytes_consumer *c,
					       struct iovec *messages,
					       uint64_t n)
{
	uint64_t from = c->read;
	uint64_t seen;
	int rc = 0;

	c->peeked = 0;
	c->peeked_bytes = 0;
	for (seen = 0; seen < n; seen++) {
		const void *at;
		uint64_t bytes;

		rc = pinring_bytes_look(c, from, &at, &bytes);
		if (rc)
			break;
		messages[seen].iov_base = (void *)(uintptr_t)at;
		messages[seen].iov_len = bytes;
		from = c->next;
	}
	return seen ? (int64_t)seen : rc;
}

/* Done with all that the last peek showed. */
static inline void pinring_bytes_release(struct pinring_bytes_consumer *c)
{
	c->read = c->next;
	c->done += c->peeked;
	c->done_bytes += c->peeked_bytes;
	c->peeked = 0;
	c->peeked_bytes = 0;
	if (c->read - c->released >= c->lazy)
		pinring_bytes_give_back(c);
}

/*
 * One message, copied into a buffer of *bytes, which become its length. Returns
 * 0, -EMSGSIZE: it is longer, as *bytes says now, and stays; or what peek
 * returned.
 */
static inline int pinring_bytes_pop(struct pinring_bytes_consumer *c,
				    void *message, uint64_t *bytes)
{
	const uint64_t room = *bytes;
	const void *at;
	uint64_t length;
	int rc = pinring_bytes_peek(c, &at, &length);

	if (rc)
		return rc;
	*bytes = length;
	if (length > room)
		return -EMSGSIZE;
	if (length)
		memcpy(message, at, length);
	pinring_bytes_release(c);
	return 0;
}

/*
 * Up to n messages into a buffer each, whose iov_len becomes the message's.
 * Returns how many, or what pop returned for the first.
 */
static inline int64_t pinring_bytes_pop_batch(struct pinring_bytes_consumer *c,
					      struct iovec *messages,
					      uint64_t n)
{
	uint64_t got;
	int rc = 0;

	for (got = 0; got < n; got++) {
		uint64_t bytes = messages[got].iov_len;

		rc = pinring_bytes_pop(c, messages[got].iov_base, &bytes);
		if (!rc || (rc == -EMSGSIZE && !got))
			messages[got].iov_len = bytes;
		if (rc)
			break;
	}
	return got ? (int64_t)got : rc;
}

/*
 * Nobody reads on. The producer gets -EPIPE once it has used up the room it
 * knows of.
 */
static inline void
pinring_bytes_close_consumer(struct pinring_bytes_consumer *c)
{
	pinring_bytes_flush(c);
	__atomic_store_n(&c->shared->consumer_closed, 1, __ATOMIC_RELEASE);
	pinring_wake(&c->shared->sleepers.room);
}

/*
 * Bytes of the array that are published and not released, words and skips
 * included. -EPROTO as peek.
 */
static inline int64_t pinring_bytes_count(const struct pinring_bytes_consumer *c)
{
	uint64_t used = __atomic_load_n(&c->shared->tail, __ATOMIC_RELAXED) -
			c->read;

	return used > c->mask + 1 ? -EPROTO : (int64_t)used;
}

/* ----------------------------------------------------------------- waiting */
static inline bool pinring_bytes_is_ready(const void *consumer)
{
	const struct pinring_bytes_consumer *c =
		(const struct pinring_bytes_consumer *)consumer;

	return __atomic_load_n(&c->shared->tail, __ATOMIC_RELAXED) != c->read ||
	       __atomic_load_n(&c->shared->producer_closed, __ATOMIC_RELAXED);
}

static inline bool pinring_bytes_is_roomy(const void *producer)
{
	const struct pinring_bytes_producer *p =
		(const struct pinring_bytes_producer *)producer;
	const uint64_t head = __atomic_load_n(&p->shared->head,
					      __ATOMIC_RELAXED);
	const uint64_t used = p->write - head;

	/* Of an impossible head reserve has something to say, too. */
	return used <= p->mask + 1 - p->wanted || used > p->mask + 1 ||
	       head & 7 ||
	       __atomic_load_n(&p->shared->consumer_closed, __ATOMIC_RELAXED);
}

/* For pinring_wait_any(): until peek has something else to say. */
static inline struct pinring_wait
pinring_bytes_when_ready(const struct pinring_bytes_consumer *c)
{
	struct pinring_wait w = { &c->shared->sleepers.ready, &c->shared->tail,
				  pinring_bytes_is_ready, NULL, c,
				  &c->shared->received.waited };

	return w;
}

/* The same: until there is room for the message that reserve refused last. */
static inline struct pinring_wait
pinring_bytes_when_room(const struct pinring_bytes_producer *p)
{
	struct pinring_wait w = { &p->shared->sleepers.room, &p->shared->head,
				  pinring_bytes_is_roomy, NULL, p,
				  &p->shared->sent.waited };

	return w;
}

/* push and pop that wait: -ETIMEDOUT, or what push and pop return. */
static inline int pinring_bytes_push_wait(struct pinring_bytes_producer *p,
					  const void *message, uint64_t bytes,
					  int64_t timeout_ns)
{
	struct pinring_wait w = pinring_bytes_when_room(p);
	int rc = pinring_bytes_push(p, message, bytes);

	if (rc != -EAGAIN)
		return rc;
	rc = pinring_wait_any(&w, 1, NULL, timeout_ns);
	return rc < 0 ? rc : pinring_bytes_push(p, message, bytes);
}

static inline int pinring_bytes_pop_wait(struct pinring_bytes_consumer *c,
					 void *message, uint64_t *bytes,
					 int64_t timeout_ns)
{
	struct pinring_wait w = pinring_bytes_when_ready(c);
	int rc = pinring_bytes_pop(c, message, bytes);

	if (rc != -EAGAIN)
		return rc;
	rc = pinring_wait_any(&w, 1, NULL, timeout_ns);
	return rc < 0 ? rc : pinring_bytes_pop(c, message, bytes);
}

#ifdef __cplusplus
}
#endif

#endif /* PINRING_RING_BYTES_H */
