/* SPDX-License-Identifier: MIT */
/*
 * crowd.h - what every queue of many has to do in mpmc.c, written once.
 *
 * A queue gives its push and pop to the loops below, as in flow.h. An item names
 * its producer and its number, so that each consumer sees whether those of one
 * producer come in order, and count and sum of all consumers whether any was
 * lost or doubled. No item is 0, which some queues keep for themselves. C and
 * C++.
 */
#ifndef PINRING_BENCH_CROWD_H
#define PINRING_BENCH_CROWD_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pinring/pinring_layout.h>
#include <pinring/port.h>

#define CROWD_CAPACITY 4096u
#define CROWD_BATCH 32u
#define CROWD_MOST 8u /* producers and consumers together */

struct pinring_region;

/* One run: what its threads share. */
struct crowd {
	uint32_t ready PINRING_ALIGNED(128); /* how many wait for the start */
	uint32_t round PINRING_ALIGNED(128); /* the one that may start, from 1 */
	bool stop; /* time is up */
};

/* One thread. */
struct crowd_member {
	struct crowd *crowd;
	uint64_t next; /* the item that it sends next */
	uint64_t most; /* sends, or receives, no more than this a round */
	uint64_t sent; /* in all rounds, as are these: */
	uint64_t got, sum; /* how many came, and the sum of their words */
	bool disorder; /* an item came after a later one of its producer */
	bool drains; /* consumes after the stop, what the others left */
} PINRING_ALIGNED(128);

enum crowd_side { CROWD_PRODUCES = 1, CROWD_CONSUMES = 2 };

typedef void (*crowd_loop)(void *handle, struct crowd_member *m);

/* NULL, or 0, where the queue has no such thing. */
struct crowd_queue {
	const char *name;
	bool ours;
	bool unbounded; /* grows instead of being full, from the heap */
	bool reorders; /* even the items of one producer */
	bool sleeps; /* its threads do, in the kernel */
	bool shared; /* works between processes: all of it lies in the region */
	uint32_t max_producers, max_consumers;
	size_t bytes; /* of zeroed memory aligned to a page, for open */
	/* Holds CROWD_CAPACITY items of 8 bytes, or one less. */
	void *(*open)(void *memory, struct pinring_region *region);
	void (*close)(void *queue);
	/* What a thread works with instead of the queue. */
	void *(*join)(void *queue, unsigned int sides);
	void (*leave)(void *handle);
	crowd_loop produce, consume;
	crowd_loop produce_batch, consume_batch;
	crowd_loop pair; /* a push, then a pop of whatever comes */
	crowd_loop alone; /* the same, and it must be what was pushed */
};

#ifdef __cplusplus
extern "C" {
#endif

/* No symbol at all as long as there is no such ring. */
const struct crowd_queue *crowd_ours(void) __attribute__((weak));

const struct crowd_queue *crowd_lanes(void);
const struct crowd_queue *crowd_locked(void);
const struct crowd_queue *crowd_vyukov(void);
/* NULL, or no symbol at all, where the package is missing. */
const struct crowd_queue *crowd_ck(void);
const struct crowd_queue *crowd_dpdk_mt(void);
const struct crowd_queue *crowd_dpdk_hts(void);
const struct crowd_queue *crowd_dpdk_rts(void);
const struct crowd_queue *crowd_ck_mpsc(void);
const struct crowd_queue *crowd_ck_spmc(void);
const struct crowd_queue *crowd_dpdk_mpsc(void);
const struct crowd_queue *crowd_dpdk_spmc(void);
const struct crowd_queue *crowd_deque(void) __attribute__((weak));
const struct crowd_queue *crowd_boost(void) __attribute__((weak));
const struct crowd_queue *crowd_tbb(void) __attribute__((weak));
const struct crowd_queue *crowd_camel(void) __attribute__((weak));
const struct crowd_queue *crowd_atomic_queue(void) __attribute__((weak));
const struct crowd_queue *crowd_optimist(void) __attribute__((weak));

/* All of these, ours first; NULL where one is missing (peers.c). */
unsigned int crowd_kinds(void);
const struct crowd_queue *crowd_kind(unsigned int i);

#ifdef __cplusplus
}
#endif

typedef bool (*crowd_push)(void *handle, uint64_t item);
typedef bool (*crowd_pop)(void *handle, uint64_t *item);
/* How many of n went. */
typedef uint64_t (*crowd_push_n)(void *handle, const uint64_t *items,
				 uint64_t n);
typedef uint64_t (*crowd_pop_n)(void *handle, uint64_t *items, uint64_t n);

#define CROWD_NUMBER_BITS 40

PINRING_FN uint64_t crowd_first_item(unsigned int producer)
{
	return (uint64_t)(producer + 1) << CROWD_NUMBER_BITS;
}

/*
 * The policy of all when a queue is full or empty: for about a microsecond the
 * other side may just be at it; then it rather needs this core.
 */
PINRING_FN void crowd_wait(unsigned int *polls)
{
	if (++*polls % 32)
		pinring_relax();
	else
		sched_yield();
}

PINRING_FN bool crowd_stopped(const struct crowd_member *m)
{
	return __atomic_load_n(&m->crowd->stop, __ATOMIC_RELAXED);
}

/* More for a consumer to wait for. */
PINRING_FN bool crowd_goes_on(const struct crowd_member *m)
{
	return !crowd_stopped(m) || m->drains;
}

PINRING_FN void crowd_sent(struct crowd_member *m, uint64_t items)
{
	m->sent += items;
	m->next += items;
}

/* What a consumer knows of the items so far. */
struct crowd_seen {
	uint64_t next[16]; /* of each producer, at least this */
	uint64_t got, sum;
	bool disorder;
};

PINRING_FN void crowd_take(struct crowd_seen *seen, uint64_t item)
{
	uint64_t *next = &seen->next[item >> CROWD_NUMBER_BITS & 15];

	seen->disorder |= item < *next;
	*next = item + 1;
	seen->sum += item;
	seen->got++;
}

PINRING_FN void crowd_account(struct crowd_member *m,
			      const struct crowd_seen *seen)
{
	m->got += seen->got;
	m->sum += seen->sum;
	m->disorder |= seen->disorder;
}

/* Until it went, or time is up. */
PINRING_FN bool crowd_push_one(void *handle, const struct crowd_member *m,
			       uint64_t item, crowd_push push)
{
	unsigned int polls = 0;

	while (!push(handle, item)) {
		if (crowd_stopped(m))
			return false;
		crowd_wait(&polls);
	}
	return true;
}

PINRING_FN void crowd_produce(void *handle, struct crowd_member *m,
			      crowd_push push)
{
	uint64_t i;

	for (i = 0; i < m->most && !crowd_stopped(m); i++)
		if (!crowd_push_one(handle, m, m->next + i, push))
			break;
	crowd_sent(m, i);
}

PINRING_FN void crowd_consume(void *handle, struct crowd_member *m,
			      crowd_pop pop)
{
	struct crowd_seen seen = { { 0 }, 0, 0, false };
	unsigned int polls = 0;
	uint64_t item = 0;

	while (seen.got < m->most && crowd_goes_on(m)) {
		if (pop(handle, &item)) {
			crowd_take(&seen, item);
			polls = 0;
		} else if (crowd_stopped(m)) {
			break;
		} else {
			crowd_wait(&polls);
		}
	}
	crowd_account(m, &seen);
}

PINRING_FN void crowd_produce_n(void *handle, struct crowd_member *m,
				crowd_push_n push)
{
	uint64_t batch[CROWD_BATCH], i = 0, k, sent;
	unsigned int polls = 0;

	while (i < m->most && !crowd_stopped(m)) {
		for (k = 0; k < CROWD_BATCH; k++)
			batch[k] = m->next + i + k;
		for (k = 0; k < CROWD_BATCH; k += sent) {
			sent = push(handle, batch + k, CROWD_BATCH - k);
			if (sent)
				polls = 0;
			else if (crowd_stopped(m))
				break;
			else
				crowd_wait(&polls);
		}
		i += k;
	}
	crowd_sent(m, i);
}

PINRING_FN void crowd_consume_n(void *handle, struct crowd_member *m,
				crowd_pop_n pop)
{
	struct crowd_seen seen = { { 0 }, 0, 0, false };
	uint64_t batch[CROWD_BATCH], k, got;
	unsigned int polls = 0;

	while (seen.got < m->most && crowd_goes_on(m)) {
		got = pop(handle, batch, CROWD_BATCH);
		for (k = 0; k < got; k++)
			crowd_take(&seen, batch[k]);
		if (got)
			polls = 0;
		else if (crowd_stopped(m))
			break;
		else
			crowd_wait(&polls);
	}
	crowd_account(m, &seen);
}

/* Until one came, or time is up. */
PINRING_FN bool crowd_pop_one(void *handle, const struct crowd_member *m,
			      uint64_t *item, crowd_pop pop)
{
	unsigned int polls = 0;

	while (!pop(handle, item)) {
		if (crowd_stopped(m))
			return false;
		crowd_wait(&polls);
	}
	return true;
}

PINRING_FN void crowd_pair(void *handle, struct crowd_member *m,
			   crowd_push push, crowd_pop pop)
{
	struct crowd_seen seen = { { 0 }, 0, 0, false };
	uint64_t i = 0, item = 0;

	while (i < m->most && !crowd_stopped(m)) {
		if (!crowd_push_one(handle, m, m->next + i, push))
			break;
		i++;
		if (!crowd_pop_one(handle, m, &item, pop))
			break;
		crowd_take(&seen, item);
	}
	crowd_sent(m, i);
	crowd_account(m, &seen);
}

PINRING_FN void crowd_alone(void *handle, struct crowd_member *m,
			    crowd_push push, crowd_pop pop)
{
	uint64_t i, item = 0, differs = 0;

	for (i = m->next; i < m->next + m->most; i++) {
		differs |= (uint64_t)!push(handle, i);
		differs |= (uint64_t)!pop(handle, &item);
		differs |= item ^ i;
	}
	m->disorder |= differs != 0;
}

/* The loops of a queue that has NAME_push and NAME_pop, and NAME_loops. */
#define CROWD_LOOPS(name)                                                     \
	static void name##_produce(void *handle, struct crowd_member *m)      \
	{                                                                     \
		crowd_produce(handle, m, name##_push);                        \
	}                                                                     \
	static void name##_consume(void *handle, struct crowd_member *m)      \
	{                                                                     \
		crowd_consume(handle, m, name##_pop);                         \
	}                                                                     \
	static void name##_pair(void *handle, struct crowd_member *m)         \
	{                                                                     \
		crowd_pair(handle, m, name##_push, name##_pop);               \
	}                                                                     \
	static void name##_alone(void *handle, struct crowd_member *m)        \
	{                                                                     \
		crowd_alone(handle, m, name##_push, name##_pop);              \
	}                                                                     \
	static void name##_loops(struct crowd_queue *q)                       \
	{                                                                     \
		q->produce = name##_produce;                                  \
		q->consume = name##_consume;                                  \
		q->pair = name##_pair;                                        \
		q->alone = name##_alone;                                      \
	}

/* And of one that has NAME_push_n and NAME_pop_n too, and NAME_batches. */
#define CROWD_BATCHES(name)                                                   \
	static void name##_produce_n(void *handle, struct crowd_member *m)    \
	{                                                                     \
		crowd_produce_n(handle, m, name##_push_n);                    \
	}                                                                     \
	static void name##_consume_n(void *handle, struct crowd_member *m)    \
	{                                                                     \
		crowd_consume_n(handle, m, name##_pop_n);                     \
	}                                                                     \
	static void name##_batches(struct crowd_queue *q)                     \
	{                                                                     \
		q->produce_batch = name##_produce_n;                          \
		q->consume_batch = name##_consume_n;                          \
	}

#endif /* PINRING_BENCH_CROWD_H */
