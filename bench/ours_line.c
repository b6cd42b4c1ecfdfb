// SPDX-License-Identifier: MIT
/*
 * ours_line.c - our ring of cache lines and our duplex slot in the contest of
 * spsc.c.
 *
 * A line carries 56 bytes, 8 of the 64 being the word; the loops are those of
 * flow.h with an item of that size.
 */
#include <stdlib.h>

#include "flow.h"
#include "measure.h"

struct item {
	uint64_t word[PINRING_LINE_WORDS];
};

struct ours {
	struct pinring_line_producer producer;
	struct pinring_line_consumer consumer;
	unsigned int sides; /* which of the two are open */
};

PINRING_FN void fill(uint64_t *word, uint64_t i)
{
	flow_fill(word, PINRING_LINE_WORDS, i);
}

/* 0 if it is what fill() made. */
PINRING_FN uint64_t check(const uint64_t *word, uint64_t i)
{
	uint64_t differs = 0;
	int k;

	for (k = 0; k < PINRING_LINE_WORDS; k++)
		differs |= word[k] ^ (i + (uint64_t)k);
	return differs;
}

static void produce(void *queue, uint64_t items)
{
	struct ours *q = queue;
	struct item item;
	uint64_t i;

	for (i = 0; i < items; i++) {
		fill(item.word, i);
		while (pinring_line_push(&q->producer, &item))
			pinring_relax();
	}
}

static bool consume(void *queue, uint64_t items)
{
	struct ours *q = queue;
	uint64_t i, differs = 0;
	struct item item;

	for (i = 0; i < items; i++) {
		while (pinring_line_pop(&q->consumer, &item))
			pinring_relax();
		differs |= check(item.word, i);
	}
	return !differs;
}

static void produce_batch(void *queue, uint64_t items)
{
	struct item batch[FLOW_BATCH];
	struct ours *q = queue;
	uint64_t i = 0, k;

	while (i < items) {
		for (k = 0; k < FLOW_BATCH; k++)
			fill(batch[k].word, i + k);
		for (k = 0; k < FLOW_BATCH;) {
			int64_t n = pinring_line_push_batch(
				&q->producer, batch + k, FLOW_BATCH - k);

			if (n > 0)
				k += (uint64_t)n;
			else
				pinring_relax();
		}
		i += FLOW_BATCH;
	}
}

static bool consume_batch(void *queue, uint64_t items)
{
	struct item batch[FLOW_BATCH];
	struct ours *q = queue;
	uint64_t i = 0, differs = 0;

	while (i < items) {
		int64_t k, n = pinring_line_pop_batch(&q->consumer, batch,
						      FLOW_BATCH);

		for (k = 0; k < n; k++)
			differs |= check(batch[k].word, i + (uint64_t)k);
		if (n > 0)
			i += (uint64_t)n;
		else
			pinring_relax();
	}
	return !differs;
}

/* Reserved 32 at a time, each published while its line is at hand. */
static void produce_span(void *queue, uint64_t items)
{
	struct ours *q = queue;
	uint64_t i = 0;

	while (i < items) {
		struct pinring_line *lines;
		int64_t k, n = pinring_line_reserve(
				   &q->producer, flow_run(items - i), &lines);

		for (k = 0; k < n; k++, i++) {
			fill((uint64_t *)lines[k].payload, i);
			pinring_line_commit(&q->producer, 1);
		}
		if (n <= 0)
			pinring_relax();
	}
}

static bool consume_span(void *queue, uint64_t items)
{
	struct ours *q = queue;
	uint64_t i = 0, differs = 0;

	while (i < items) {
		struct pinring_line *line;

		if (pinring_line_peek(&q->consumer, 1, &line) < 1) {
			pinring_relax();
			continue;
		}
		differs |= check((const uint64_t *)line->payload, i++);
		pinring_line_release(&q->consumer, 1);
	}
	return !differs;
}

static void send(void *queue, uint64_t item)
{
	struct ours *q = queue;
	struct pinring_line *line;

	while (pinring_line_reserve(&q->producer, 1, &line) < 1)
		pinring_relax();
	line->payload[0] = item;
	pinring_line_commit(&q->producer, 1);
}

static uint64_t receive(void *queue)
{
	struct ours *q = queue;
	struct pinring_line *line;
	uint64_t item;

	while (pinring_line_peek(&q->consumer, 1, &line) < 1)
		pinring_relax();
	item = line->payload[0];
	pinring_line_release(&q->consumer, 1);
	return item;
}

static void create_ring(struct pinring_region *region, const char *name,
			uint64_t capacity)
{
	int rc = pinring_line_create(region, name, capacity);

	if (rc)
		bench_die(name, rc);
}

static void *join_ring(struct pinring_region *region, const char *name,
		       unsigned int sides)
{
	struct ours *q = aligned_alloc(_Alignof(struct ours), sizeof(*q));
	int rc = 0;

	if (!q)
		bench_die("no memory", 0);
	q->sides = sides;
	if (sides & CROWD_PRODUCES)
		rc = pinring_line_producer_open(region, name, &q->producer);
	if (!rc && sides & CROWD_CONSUMES)
		rc = pinring_line_consumer_open(region, name, &q->consumer);
	if (rc)
		bench_die(name, rc);
	return q;
}

static void *open_ring(struct pinring_region *region, const char *name,
		       uint64_t capacity)
{
	create_ring(region, name, capacity);
	return join_ring(region, name, CROWD_PRODUCES | CROWD_CONSUMES);
}

/* As many lines as the others have items: the latency preset. */
static void create_small(struct pinring_region *region, const char *name,
			 bool line)
{
	(void)line;
	create_ring(region, name, PINRING_LINES_LATENCY);
}

static void *open_small(struct pinring_region *region, const char *name,
			bool line)
{
	(void)line;
	return open_ring(region, name, PINRING_LINES_LATENCY);
}

static void *open_large(struct pinring_region *region, const char *name,
			bool line)
{
	return line ? open_ring(region, name, PINRING_LINES_THROUGHPUT) : NULL;
}

static void close_ring(void *queue)
{
	struct ours *q = queue;

	if (!q)
		return;
	if (q->sides & CROWD_PRODUCES)
		pinring_line_producer_close(&q->producer);
	if (q->sides & CROWD_CONSUMES)
		pinring_line_consumer_close(&q->consumer);
	free(q);
}

const struct flow_queue *flow_lines(void)
{
	static const struct flow_queue line = {
		.name = "pinring lines",
		.open_in = open_small,
		.close = close_ring,
		.create = create_small,
		.join = join_ring,
		.produce = { [FLOW_64] = produce,
			     [FLOW_64_BATCH] = produce_batch,
			     [FLOW_64_SPAN] = produce_span },
		.consume = { [FLOW_64] = consume,
			     [FLOW_64_BATCH] = consume_batch,
			     [FLOW_64_SPAN] = consume_span },
		.send = send,
		.receive = receive,
	};

	return &line;
}

const struct flow_queue *flow_lines_large(void)
{
	static const struct flow_queue line = {
		.name = "pinring lines, 8 MiB",
		.open_in = open_large,
		.close = close_ring,
		.produce = { [FLOW_64_BATCH] = produce_batch,
			     [FLOW_64_SPAN] = produce_span },
		.consume = { [FLOW_64_BATCH] = consume_batch,
			     [FLOW_64_SPAN] = consume_span },
	};

	return &line;
}

/* ------------------------------------------------------------- duplex slot */

/* One slot is both ways: the queue that is opened first is the way there. */
static struct slot {
	struct pinring_duplex_caller caller;
	struct pinring_duplex_server server;
	bool back; /* nothing but an address */
} slot;

static void *open_way(struct pinring_region *region, const char *name, bool line)
{
	int rc;

	if (line)
		return NULL;
	if (slot.caller.region)
		return &slot.back;
	rc = pinring_duplex_create(region, name);
	if (!rc)
		rc = pinring_duplex_caller_open(region, name, &slot.caller);
	if (!rc)
		rc = pinring_duplex_server_open(region, name, &slot.server);
	if (rc)
		bench_die(name, rc);
	return &slot;
}

static void close_way(void *way)
{
	if (way != &slot)
		return;
	pinring_duplex_caller_close(&slot.caller);
	pinring_duplex_server_close(&slot.server);
}

static void send_way(void *way, uint64_t item)
{
	void *payload = NULL;

	if (way == &slot.back) {
		payload = pinring_duplex_begin(&slot.server);
		*(uint64_t *)payload = item;
		pinring_duplex_finish(&slot.server);
		return;
	}
	while (pinring_duplex_reserve(&slot.caller, &payload))
		pinring_relax();
	*(uint64_t *)payload = item;
	pinring_duplex_commit(&slot.caller);
}

static uint64_t receive_way(void *way)
{
	const void *payload = NULL;

	if (way == &slot.back)
		while (pinring_duplex_look(&slot.caller, &payload))
			pinring_relax();
	else
		while (pinring_duplex_peek(&slot.server, &payload))
			pinring_relax();
	return *(const uint64_t *)payload;
}

const struct flow_queue *flow_duplex(void)
{
	static const struct flow_queue duplex = {
		.name = "pinring duplex",
		.open_in = open_way,
		.close = close_way,
		.send = send_way,
		.receive = receive_way,
	};

	return &duplex;
}
