/* SPDX-License-Identifier: MIT */
/*
 * ring_line.h - one producer, one consumer, a cache line a message.
 *
 *            head        c->read           p->write
 *             |             |                 |
 *    [.][.][.][x][x][x][x][x][x][x][x][x][x][.][.][.]     a line: payload | word
 *                                             |
 *                                   the word of this line says: still to come
 *
 * A line holds 56 bytes of payload and a word that says whether the message of
 * this index is in it (struct pinring_line). So one line moves a message, where
 * a ring with indices moves the index as well; the consumer writes no line, and
 * there is no tail. Credit goes back through head, lazily: an eighth of the ring
 * at a time and whenever the consumer finds the ring empty, so that up to
 * capacity / 8 lines which were released may not be visible to the producer
 * until then, or until pinring_line_flush(). (A sequence in the slot: FastForward,
 * Giacomoni et al., PPoPP 2008.) The producer fetches lines for writing before
 * it comes to them; docs/ring_line.md has the figures.
 *
 * Memory order: a word is stored with release once the payload is written, and
 * loaded with acquire before it is read; head goes the other way in the same
 * fashion. Words are stored from the first to the last: whoever dies in between
 * leaves no gap.
 *
 * Two presets for the capacity:
 *
 *  PINRING_LINES_LATENCY     4096, 256 KiB: fits in a core's own cache
 *  PINRING_LINES_THROUGHPUT  131072, 8 MiB: does not, for batches between cores
 *                            that share no more than an L3; see docs/ring_line.md
 *
 * Death: killed between reserve and commit, the producer leaves nothing behind,
 * within commit a whole prefix; a new one goes on behind the last whole message.
 * A killed consumer's successor starts at head: what was released and not yet
 * given back, fewer than capacity / 8 messages (or none, below 16 lines), and
 * what was peeked and not released, is seen twice; none is lost.
 *
 * Handles are private memory: of what the peer writes only words, head and the
 * closed words are believed, those within bounds. A word that no honest producer
 * stores is -EPROTO. Payload read in place can change under the reader's eyes.
 *
 * Every function here is wait-free but those that wait. None may be called by
 * two threads at once on the same handle.
 */
#ifndef PINRING_RING_LINE_H
#define PINRING_RING_LINE_H

#include <errno.h>
#include <stdint.h>
#include <pinring/counts.h>
#include <pinring/line.h>
#include <pinring/port.h>
#include <pinring/region.h>
#include <pinring/wait.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PINRING_LINES_LATENCY 4096u
#define PINRING_LINES_THROUGHPUT 131072u

/*
 * Lines between the one that is written and the one that is fetched. A power of
 * two, so that in a ring of no more lines this is the same line.
 */
#define PINRING_LINES_AHEAD 16u

/* Private memory, checked once when opened. */
struct pinring_line_producer {
	uint64_t write; /* next line to fill */
	uint64_t head; /* consumer's, as last read */
	uint64_t mask; /* capacity - 1 */
	struct pinring_line *lines;
	struct pinring_line_header *shared;
	struct pinring_region *region; /* the reference this handle holds */
} PINRING_ALIGNED(128);

struct pinring_line_consumer {
	uint64_t read; /* next line to read */
	uint64_t released; /* head as last written */
	uint64_t lazy; /* give back after this many */
	uint64_t mask;
	struct pinring_line *lines;
	struct pinring_line_header *shared;
	struct pinring_region *region;
} PINRING_ALIGNED(128);

/*
 * capacity: lines, a power of two from 2 to 2^32. -EINVAL, or what
 * pinring_object_create returns.
 */
PINRING_API int pinring_line_create(struct pinring_region *region,
				    const char *name, uint64_t capacity);

/*
 * As pinring_spsc_producer_open. A producer walks over what is in the ring: 1 ms
 * for 8 MiB; -EPROTO: behind that is a word that no producer stores.
 */
PINRING_API int
pinring_line_producer_open(struct pinring_region *region, const char *name,
			   struct pinring_line_producer *producer);
PINRING_API int
pinring_line_consumer_open(struct pinring_region *region, const char *name,
			   struct pinring_line_consumer *consumer);

/* Drop the handle without telling the peer; see pinring_line_close_*. */
PINRING_API void
pinring_line_producer_close(struct pinring_line_producer *producer);
PINRING_API void
pinring_line_consumer_close(struct pinring_line_consumer *consumer);

/* For pinring_wait_any(): until reserve, or peek, has something else to say. */
PINRING_API struct pinring_wait
pinring_line_when_room(const struct pinring_line_producer *producer);
PINRING_API struct pinring_wait
pinring_line_when_ready(const struct pinring_line_consumer *consumer);

/* push and pop that wait: -ETIMEDOUT, or what push and pop return. */
PINRING_API int pinring_line_push_wait(struct pinring_line_producer *producer,
				       const void *item, int64_t timeout_ns);
PINRING_API int pinring_line_pop_wait(struct pinring_line_consumer *consumer,
				      void *item, int64_t timeout_ns);

/* The word of a line when the message of this index is in it, or not yet. */
PINRING_HOST_FN __u64 pinring_line_full(uint64_t index, uint64_t mask)
{
	return (index | mask) + 1;
}

PINRING_HOST_FN __u64 pinring_line_empty(uint64_t index, uint64_t mask)
{
	return index & ~mask;
}

/* -------------------------------------------------------------- producer */
/* Up to `want` lines, not all contiguous; else as pinring_line_reserve(). */
PINRING_HOST_FN int64_t pinring_line_room(struct pinring_line_producer *p,
					  uint64_t want)
{
	uint64_t capacity = p->mask + 1;
	uint64_t room = capacity - (p->write - p->head);

	if (__builtin_expect(room < want, 0)) {
		/* Before head: room that one who closed leaves is not used. */
		if (__atomic_load_n(&p->shared->consumer_closed,
				    __ATOMIC_ACQUIRE))
			return -EPIPE;
		/* acquire: pairs with the release of head in _give_back */
		p->head = __atomic_load_n(&p->shared->head, __ATOMIC_ACQUIRE);
		if (p->write - p->head > capacity) {
			p->head = p->write - capacity;
			return -EPROTO;
		}
		room = capacity - (p->write - p->head);
		if (!room && !want)
			return 0;
		if (!room) {
			pinring_count(&p->shared->sent.refused, 1);
			return -EAGAIN;
		}
	}
	return (int64_t)(want < room ? want : room);
}

/* A line that will be written soon: into this core's cache, others' drop it. */
PINRING_HOST_FN void pinring_line_fetch(const struct pinring_line *line)
{
#if defined(__x86_64__)
	/* The builtin is another instruction where the CPU may be older. */
	__asm__("prefetchw %0" : : "m"(*line));
#else
	__builtin_prefetch(line, 1);
#endif
}

PINRING_HOST_FN struct pinring_line *
pinring_line_to_fill(struct pinring_line *lines, uint64_t index, uint64_t mask)
{
	pinring_line_fetch(&lines[(index + PINRING_LINES_AHEAD) & mask]);
	return &lines[index & mask];
}

/*
 * Up to `want` contiguous free lines in *lines, whose payload is to be filled
 * in. Returns how many (at least 1; fewer than want near the end of the array or
 * when the ring is nearly full), -EAGAIN: full, -EPIPE: the consumer closed,
 * -EPROTO: its index is impossible. Reserving again without a commit returns the
 * same lines.
 */
static inline int64_t pinring_line_reserve(struct pinring_line_producer *p,
					   uint64_t want,
					   struct pinring_line **lines)
{
	uint64_t to_end = p->mask + 1 - (p->write & p->mask);
	int64_t i, n = pinring_line_room(p, want < to_end ? want : to_end);

	if (n > 0)
		*lines = &p->lines[p->write & p->mask];
	for (i = 0; i < n; i++)
		pinring_line_to_fill(p->lines, p->write + (uint64_t)i, p->mask);
	return n;
}

/* The message of this index is whole. */
PINRING_HOST_FN void pinring_line_publish(struct pinring_line *line,
					  uint64_t index, uint64_t mask)
{
	/* release: pairs with the acquire in _look */
	__atomic_store_n(&line->word, pinring_line_full(index, mask),
			 __ATOMIC_RELEASE);
}

/* Publish the first n reserved lines. */
static inline void pinring_line_commit(struct pinring_line_producer *p,
				       uint64_t n)
{
	struct pinring_line *lines = p->lines;
	const uint64_t first = p->write, mask = p->mask;
	uint64_t i;

	for (i = first; i != first + n; i++)
		pinring_line_publish(&lines[i & mask], i, mask);
	p->write = i;
	pinring_wake(&p->shared->sleepers.ready);
}

/* The reserved lines are not to be sent: of a reservation nothing is shared. */
static inline void pinring_line_abort(struct pinring_line_producer *p)
{
	(void)p;
}

/*
 * Up to n items that lie one behind the other. Each is published as soon as it is
 * copied, while its line is at hand: a quarter faster than words behind all
 * payloads. Returns how many went (0 < k <= n), or what reserve returned.
 */
static inline int64_t pinring_line_push_batch(struct pinring_line_producer *p,
					      const void *items, uint64_t n)
{
	const unsigned char *from = (const unsigned char *)items;
	struct pinring_line *lines = p->lines;
	const uint64_t first = p->write, mask = p->mask;
	int64_t room = pinring_line_room(p, n);
	uint64_t i;

	if (room <= 0)
		return room;
	for (i = first; i != first + (uint64_t)room; i++) {
		struct pinring_line *line =
			pinring_line_to_fill(lines, i, mask);

		pinring_line_copy(line->payload, from);
		pinring_line_publish(line, i, mask);
		from += PINRING_LINE_PAYLOAD;
	}
	p->write = i;
	pinring_wake(&p->shared->sleepers.ready);
	return room;
}

/* One item of PINRING_LINE_PAYLOAD bytes. 0, or what reserve returned. */
static inline int pinring_line_push(struct pinring_line_producer *p,
				    const void *item)
{
	int64_t n = pinring_line_push_batch(p, item, 1);

	return n < 0 ? (int)n : 0;
}

/* Lines that can be reserved now; more by the time it returns. */
static inline uint64_t pinring_line_free(const struct pinring_line_producer *p)
{
	uint64_t used = p->write -
			__atomic_load_n(&p->shared->head, __ATOMIC_RELAXED);

	return used <= p->mask + 1 ? p->mask + 1 - used : 0;
}

static inline uint64_t
pinring_line_capacity(const struct pinring_line_producer *p)
{
	return p->mask + 1;
}

/* No more will come. The consumer drains, then gets -EPIPE. */
static inline void pinring_line_close_producer(struct pinring_line_producer *p)
{
	/* release: after every commit before it */
	__atomic_store_n(&p->shared->producer_closed, 1, __ATOMIC_RELEASE);
	pinring_wake(&p->shared->sleepers.ready);
}

/* --------------------------------------------------------------- consumer */
PINRING_HOST_FN __u64 pinring_line_look(const struct pinring_line *line)
{
	/* acquire: pairs with the release in pinring_line_publish() */
	return __atomic_load_n(&line->word, __ATOMIC_ACQUIRE);
}

PINRING_HOST_FN void pinring_line_give_back(struct pinring_line_consumer *c)
{
	c->released = c->read;
	/* release: the lines are read before the producer may reuse them */
	__atomic_store_n(&c->shared->head, c->read, __ATOMIC_RELEASE);
	pinring_wake(&c->shared->sleepers.room);
}

/* Make every released line visible to the producer now. */
static inline void pinring_line_flush(struct pinring_line_consumer *c)
{
	if (c->released != c->read)
		pinring_line_give_back(c);
}

/* Why there is no message at c->read, where this word was. */
static inline int pinring_line_nothing(struct pinring_line_consumer *c,
				       __u64 word)
{
	if (word != pinring_line_empty(c->read, c->mask))
		return -EPROTO;
	pinring_line_flush(c);
	if (__builtin_expect(!__atomic_load_n(&c->shared->producer_closed,
					      __ATOMIC_ACQUIRE), 1)) {
		pinring_count(&c->shared->received.refused, 1);
		return -EAGAIN;
	}
	/* Once more: what was sent before closing is seen. */
	return pinring_line_look(&c->lines[c->read & c->mask]) == word ?
		       -EPIPE : -EAGAIN;
}

/*
 * Up to `want` contiguous messages, in *lines.
 * Returns how many (at least 1), -EAGAIN: empty, -EPIPE: empty and the producer
 * closed, -EPROTO: a word that no producer stores.
 */
static inline int64_t pinring_line_peek(struct pinring_line_consumer *c,
					uint64_t want,
					struct pinring_line **lines)
{
	const uint64_t at = c->read & c->mask;
	const __u64 full = pinring_line_full(c->read, c->mask);
	struct pinring_line *first = &c->lines[at];
	uint64_t n;

	if (want > c->mask + 1 - at)
		want = c->mask + 1 - at;
	for (n = 0; n < want; n++) {
		__u64 word = pinring_line_look(&first[n]);

		if (word != full && !n)
			return pinring_line_nothing(c, word);
		if (word != full)
			break;
	}
	*lines = first;
	return (int64_t)n;
}

/* Done with the first n peeked lines. */
static inline void pinring_line_release(struct pinring_line_consumer *c,
					uint64_t n)
{
	c->read += n;
	if (c->read - c->released >= c->lazy)
		pinring_line_give_back(c);
}

static inline int64_t pinring_line_pop_batch(struct pinring_line_consumer *c,
					     void *items, uint64_t n)
{
	const struct pinring_line *lines = c->lines;
	const uint64_t first = c->read, mask = c->mask;
	unsigned char *to = (unsigned char *)items;
	uint64_t i;

	for (i = first; i != first + n; i++) {
		const struct pinring_line *line = &lines[i & mask];
		__u64 word = pinring_line_look(line);

		if (word != pinring_line_full(i, mask)) {
			if (i == first)
				return pinring_line_nothing(c, word);
			break;
		}
		pinring_line_copy(to, line->payload);
		to += PINRING_LINE_PAYLOAD;
	}
	pinring_line_release(c, i - first);
	return (int64_t)(i - first);
}

static inline int pinring_line_pop(struct pinring_line_consumer *c, void *item)
{
	int64_t n = pinring_line_pop_batch(c, item, 1);

	return n < 0 ? (int)n : 0;
}

/* Messages there now; looks at each of them, so not for every message. */
static inline uint64_t pinring_line_count(const struct pinring_line_consumer *c)
{
	uint64_t n = 0;

	while (n <= c->mask &&
	       pinring_line_look(&c->lines[(c->read + n) & c->mask]) ==
		       pinring_line_full(c->read + n, c->mask))
		n++;
	return n;
}

/*
 * Nobody reads on. The producer gets -EPIPE once it has used up the room it
 * knows of.
 */
static inline void pinring_line_close_consumer(struct pinring_line_consumer *c)
{
	pinring_line_flush(c);
	__atomic_store_n(&c->shared->consumer_closed, 1, __ATOMIC_RELEASE);
	pinring_wake(&c->shared->sleepers.room);
}

#ifdef __cplusplus
}
#endif

#endif /* PINRING_RING_LINE_H */
