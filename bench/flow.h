/* SPDX-License-Identifier: MIT */
/*
 * flow.h - what every queue has to do in spsc.c, written once.
 *
 * A queue gives its push and pop to the loops below, which the compiler then
 * makes one of: the arguments are constants and all of it is inlined. Item i is
 * i, and of 64 bytes i to i + 7; the consumer compares every word that it reads,
 * so a lost, doubled, torn or overtaken item shows. C and C++.
 */
#ifndef PINRING_BENCH_FLOW_H
#define PINRING_BENCH_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pinring/pinring_layout.h>
#include <pinring/port.h>

#include "crowd.h" /* crowd_wait */

struct pinring_region;

#define FLOW_CAPACITY 4096u
#define FLOW_BATCH 32u

enum flow_shape {
	FLOW_8,
	FLOW_8_BATCH,
	FLOW_8_SPAN, /* filled and read in place */
	FLOW_64,
	FLOW_64_BATCH,
	FLOW_64_SPAN,
	FLOW_SHAPES,
};

/* From one queue to two: who finds it full or empty yields after a while. */
enum flow_fan { FLOW_FAN, FLOW_FAN_BATCH, FLOW_FANS };

struct flow_line {
	uint64_t word[8];
} PINRING_ALIGNED(64);

/* NULL where the queue has no such thing. */
struct flow_queue {
	const char *name;
	bool slow; /* by orders: runs of it are shorter */
	size_t bytes[2]; /* memory it wants, of 8-byte and 64-byte items */
	/* In zeroed memory aligned to a page. `line`: items of 64 bytes. */
	void *(*open)(void *memory, bool line);
	/* Ours instead: an object of that name. NULL: has no queue of these. */
	void *(*open_in)(struct pinring_region *region, const char *name,
			 bool line);
	void (*close)(void *queue);
	/*
	 * Ours: creates an object, and opens sides of it (enum crowd_side), here
	 * or in another process.
	 */
	void (*create)(struct pinring_region *region, const char *name,
		       bool line);
	void *(*join)(struct pinring_region *region, const char *name,
		      unsigned int sides);
	void (*produce[FLOW_SHAPES])(void *queue, uint64_t items);
	bool (*consume[FLOW_SHAPES])(void *queue, uint64_t items);
	/* Waits for one item of 8 bytes; the round trip is made of these. */
	void (*send)(void *queue, uint64_t item);
	uint64_t (*receive)(void *queue);
	void (*fan_out[FLOW_FANS])(void *a, void *b, uint64_t items);
	bool (*fan_in[FLOW_FANS])(void *queue, uint64_t items);
	/* A push and a pop by one thread, over and over; true: all came back. */
	bool (*alone)(void *queue, uint64_t items);
};

#ifdef __cplusplus
extern "C" {
#endif

const struct flow_queue *flow_spsc(void);
const struct flow_queue *flow_lines(void);
const struct flow_queue *flow_lines_large(void); /* of 8 MiB */
const struct flow_queue *flow_duplex(void);
const struct flow_queue *flow_locked(void);
/* NULL, or no symbol at all, where the package is missing. */
const struct flow_queue *flow_ck(void);
const struct flow_queue *flow_dpdk(void);
const struct flow_queue *flow_deque(void) __attribute__((weak));
const struct flow_queue *flow_boost(void) __attribute__((weak));
const struct flow_queue *flow_camel(void) __attribute__((weak));
const struct flow_queue *flow_atomic_queue(void) __attribute__((weak));
const struct flow_queue *flow_optimist(void) __attribute__((weak));

/* Each peer that is there, from 0; NULL behind the last (peers.c). */
const struct flow_queue *flow_peer(unsigned int i);
/* A queue of that kind in the region, named so. */
void *flow_open(struct pinring_region *region, const struct flow_queue *kind,
		const char *name, bool line);

#ifdef __cplusplus
}
#endif

typedef bool (*flow_push)(void *queue, uint64_t item);
typedef bool (*flow_pop)(void *queue, uint64_t *item);
typedef bool (*flow_push_line)(void *queue, const struct flow_line *item);
typedef bool (*flow_pop_line)(void *queue, struct flow_line *item);
/* How many of n went; for lines n counts lines. */
typedef uint64_t (*flow_push_n)(void *queue, const void *items, uint64_t n);
typedef uint64_t (*flow_pop_n)(void *queue, void *items, uint64_t n);

PINRING_FN uint64_t flow_run(uint64_t items)
{
	return items < FLOW_BATCH ? items : FLOW_BATCH;
}

/*
 * Word by word, as most messages are made. Where the compiler makes vectors of
 * that, and it does of seven words and not of eight, what copies the message a
 * moment later is three times as fast (docs/ring_line.md).
 */
PINRING_FN void flow_fill(uint64_t *word, int n, uint64_t i)
{
	int k;

	for (k = 0; k < n; k++)
		*(volatile uint64_t *)&word[k] = i + (uint64_t)k;
}

PINRING_FN void flow_fill_line(struct flow_line *line, uint64_t i)
{
	flow_fill(line->word, 8, i);
}

/* 0 if the line is what flow_fill_line made. */
PINRING_FN uint64_t flow_check_line(const struct flow_line *line, uint64_t i)
{
	uint64_t differs = 0;
	int k;

	for (k = 0; k < 8; k++)
		differs |= line->word[k] ^ (i + (uint64_t)k);
	return differs;
}

PINRING_FN void flow_produce(void *queue, uint64_t items, flow_push push)
{
	uint64_t i;

	for (i = 0; i < items; i++)
		while (!push(queue, i))
			pinring_relax();
}

PINRING_FN bool flow_consume(void *queue, uint64_t items, flow_pop pop)
{
	uint64_t i, item = 0, differs = 0;

	for (i = 0; i < items; i++) {
		while (!pop(queue, &item))
			pinring_relax();
		differs |= item ^ i;
	}
	return !differs;
}

PINRING_FN void flow_produce_n(void *queue, uint64_t items, flow_push_n push)
{
	uint64_t batch[FLOW_BATCH], i = 0, k, sent;

	while (i < items) {
		for (k = 0; k < FLOW_BATCH; k++)
			batch[k] = i + k;
		for (k = 0; k < FLOW_BATCH; k += sent) {
			sent = push(queue, batch + k, FLOW_BATCH - k);
			if (!sent)
				pinring_relax();
		}
		i += FLOW_BATCH;
	}
}

PINRING_FN bool flow_consume_n(void *queue, uint64_t items, flow_pop_n pop)
{
	uint64_t batch[FLOW_BATCH], i = 0, k, got, differs = 0;

	while (i < items) {
		got = pop(queue, batch, FLOW_BATCH);
		if (!got)
			pinring_relax();
		for (k = 0; k < got; k++)
			differs |= batch[k] ^ (i + k);
		i += got;
	}
	return !differs;
}

PINRING_FN void flow_produce_line(void *queue, uint64_t items,
				  flow_push_line push)
{
	struct flow_line line;
	uint64_t i;

	for (i = 0; i < items; i++) {
		flow_fill_line(&line, i);
		while (!push(queue, &line))
			pinring_relax();
	}
}

PINRING_FN bool flow_consume_line(void *queue, uint64_t items,
				  flow_pop_line pop)
{
	struct flow_line line;
	uint64_t i, differs = 0;

	for (i = 0; i < items; i++) {
		while (!pop(queue, &line))
			pinring_relax();
		differs |= flow_check_line(&line, i);
	}
	return !differs;
}

PINRING_FN void flow_produce_line_n(void *queue, uint64_t items,
				    flow_push_n push)
{
	struct flow_line batch[FLOW_BATCH];
	uint64_t i = 0, k, sent;

	while (i < items) {
		for (k = 0; k < FLOW_BATCH; k++)
			flow_fill_line(&batch[k], i + k);
		for (k = 0; k < FLOW_BATCH; k += sent) {
			sent = push(queue, batch + k, FLOW_BATCH - k);
			if (!sent)
				pinring_relax();
		}
		i += FLOW_BATCH;
	}
}

PINRING_FN bool flow_consume_line_n(void *queue, uint64_t items, flow_pop_n pop)
{
	struct flow_line batch[FLOW_BATCH];
	uint64_t i = 0, k, got, differs = 0;

	while (i < items) {
		got = pop(queue, batch, FLOW_BATCH);
		if (!got)
			pinring_relax();
		for (k = 0; k < got; k++)
			differs |= flow_check_line(&batch[k], i + k);
		i += got;
	}
	return !differs;
}

PINRING_FN void flow_send(void *queue, uint64_t item, flow_push push)
{
	while (!push(queue, item))
		pinring_relax();
}

PINRING_FN uint64_t flow_receive(void *queue, flow_pop pop)
{
	uint64_t item = 0;

	while (!pop(queue, &item))
		pinring_relax();
	return item;
}

PINRING_FN bool flow_alone(void *queue, uint64_t items, flow_push push,
			   flow_pop pop)
{
	uint64_t i, item = 0, differs = 0;

	for (i = 0; i < items; i++) {
		differs |= (uint64_t)!push(queue, i);
		differs |= (uint64_t)!pop(queue, &item);
		differs |= item ^ i;
	}
	return !differs;
}

PINRING_FN void flow_fan_out(void *a, void *b, uint64_t items, flow_push push)
{
	unsigned int polls = 0;
	uint64_t i;

	for (i = 0; i < items; i++) {
		while (!push(a, i))
			crowd_wait(&polls);
		while (!push(b, i))
			crowd_wait(&polls);
	}
}

PINRING_FN bool flow_fan_in(void *queue, uint64_t items, flow_pop pop)
{
	uint64_t i, item = 0, differs = 0;
	unsigned int polls = 0;

	for (i = 0; i < items; i++) {
		while (!pop(queue, &item))
			crowd_wait(&polls);
		differs |= item ^ i;
	}
	return !differs;
}

PINRING_FN void flow_push_all(void *queue, const uint64_t *batch,
			      flow_push_n push)
{
	unsigned int polls = 0;
	uint64_t k, sent;

	for (k = 0; k < FLOW_BATCH; k += sent) {
		sent = push(queue, batch + k, FLOW_BATCH - k);
		if (!sent)
			crowd_wait(&polls);
	}
}

PINRING_FN void flow_fan_out_n(void *a, void *b, uint64_t items,
			       flow_push_n push)
{
	uint64_t batch[FLOW_BATCH], i, k;

	for (i = 0; i < items; i += FLOW_BATCH) {
		for (k = 0; k < FLOW_BATCH; k++)
			batch[k] = i + k;
		flow_push_all(a, batch, push);
		flow_push_all(b, batch, push);
	}
}

PINRING_FN bool flow_fan_in_n(void *queue, uint64_t items, flow_pop_n pop)
{
	uint64_t batch[FLOW_BATCH], i = 0, k, got, differs = 0;
	unsigned int polls = 0;

	while (i < items) {
		got = pop(queue, batch, FLOW_BATCH);
		if (!got)
			crowd_wait(&polls);
		for (k = 0; k < got; k++)
			differs |= batch[k] ^ (i + k);
		i += got;
	}
	return !differs;
}

/* The fans of a queue in C that has push and pop; and of one with batches too. */
#define FLOW_FAN_LOOPS                                                        \
	static void fan_out(void *a, void *b, uint64_t items)                 \
	{                                                                     \
		flow_fan_out(a, b, items, push);                              \
	}                                                                     \
	static bool fan_in(void *queue, uint64_t items)                       \
	{                                                                     \
		return flow_fan_in(queue, items, pop);                        \
	}

#define FLOW_FAN_BATCHES                                                      \
	static void fan_out_n(void *a, void *b, uint64_t items)               \
	{                                                                     \
		flow_fan_out_n(a, b, items, push_n);                          \
	}                                                                     \
	static bool fan_in_n(void *queue, uint64_t items)                     \
	{                                                                     \
		return flow_fan_in_n(queue, items, pop_n);                    \
	}

#endif /* PINRING_BENCH_FLOW_H */
