// SPDX-License-Identifier: MIT
/* ours_spsc.c - our SPSC ring in the contest of spsc.c. */
#include <stdlib.h>
#include <string.h>

#include "flow.h"
#include "measure.h"

struct ours {
	struct pinring_spsc_producer producer;
	struct pinring_spsc_consumer consumer;
	unsigned int sides; /* which of the two are open */
};

PINRING_FN bool push(void *queue, uint64_t item)
{
	struct ours *q = queue;

	return pinring_spsc_push_u64(&q->producer, item) == 0;
}

PINRING_FN bool pop(void *queue, uint64_t *item)
{
	struct ours *q = queue;

	return pinring_spsc_pop_u64(&q->consumer, item) == 0;
}

PINRING_FN uint64_t push_n(void *queue, const void *items, uint64_t n)
{
	struct ours *q = queue;
	int64_t sent = pinring_spsc_push_batch(&q->producer, items, n);

	return sent > 0 ? (uint64_t)sent : 0;
}

PINRING_FN uint64_t pop_n(void *queue, void *items, uint64_t n)
{
	struct ours *q = queue;
	int64_t got = pinring_spsc_pop_batch(&q->consumer, items, n);

	return got > 0 ? (uint64_t)got : 0;
}

/* push and pop do not know the size of a slot; this is how one tells them. */
PINRING_FN bool push_line(void *queue, const struct flow_line *item)
{
	struct ours *q = queue;
	void *slot;

	if (pinring_spsc_reserve(&q->producer, 1, &slot) <= 0)
		return false;
	memcpy(slot, item, sizeof(*item));
	pinring_spsc_commit(&q->producer, 1);
	return true;
}

PINRING_FN bool pop_line(void *queue, struct flow_line *item)
{
	struct ours *q = queue;
	void *slot;

	if (pinring_spsc_peek(&q->consumer, 1, &slot) <= 0)
		return false;
	memcpy(item, slot, sizeof(*item));
	pinring_spsc_release(&q->consumer, 1);
	return true;
}

static void produce_8(void *queue, uint64_t items)
{
	flow_produce(queue, items, push);
}

static bool consume_8(void *queue, uint64_t items)
{
	return flow_consume(queue, items, pop);
}

static void produce_8_batch(void *queue, uint64_t items)
{
	flow_produce_n(queue, items, push_n);
}

static bool consume_8_batch(void *queue, uint64_t items)
{
	return flow_consume_n(queue, items, pop_n);
}

static void produce_64(void *queue, uint64_t items)
{
	flow_produce_line(queue, items, push_line);
}

static bool consume_64(void *queue, uint64_t items)
{
	return flow_consume_line(queue, items, pop_line);
}

static void produce_64_batch(void *queue, uint64_t items)
{
	flow_produce_line_n(queue, items, push_n);
}

static bool consume_64_batch(void *queue, uint64_t items)
{
	return flow_consume_line_n(queue, items, pop_n);
}

/* In place. A span ends where the array does, or the room. */
static void produce_8_span(void *queue, uint64_t items)
{
	struct ours *q = queue;
	uint64_t i = 0, k;

	while (i < items) {
		void *slots;
		int64_t n = pinring_spsc_reserve(&q->producer,
						 flow_run(items - i), &slots);
		uint64_t *word = slots;

		if (n <= 0) {
			pinring_relax();
			continue;
		}
		for (k = 0; k < (uint64_t)n; k++)
			word[k] = i + k;
		pinring_spsc_commit(&q->producer, (uint64_t)n);
		i += (uint64_t)n;
	}
}

static bool consume_8_span(void *queue, uint64_t items)
{
	struct ours *q = queue;
	uint64_t i = 0, k, differs = 0;

	while (i < items) {
		void *slots;
		int64_t n = pinring_spsc_peek(&q->consumer, FLOW_BATCH, &slots);
		const uint64_t *word = slots;

		if (n <= 0) {
			pinring_relax();
			continue;
		}
		for (k = 0; k < (uint64_t)n; k++)
			differs |= word[k] ^ (i + k);
		pinring_spsc_release(&q->consumer, (uint64_t)n);
		i += (uint64_t)n;
	}
	return !differs;
}

static void produce_64_span(void *queue, uint64_t items)
{
	struct ours *q = queue;
	uint64_t i = 0, k;

	while (i < items) {
		void *slots;
		int64_t n = pinring_spsc_reserve(&q->producer,
						 flow_run(items - i), &slots);
		struct flow_line *line = slots;

		if (n <= 0) {
			pinring_relax();
			continue;
		}
		for (k = 0; k < (uint64_t)n; k++)
			flow_fill_line(&line[k], i + k);
		pinring_spsc_commit(&q->producer, (uint64_t)n);
		i += (uint64_t)n;
	}
}

static bool consume_64_span(void *queue, uint64_t items)
{
	struct ours *q = queue;
	uint64_t i = 0, k, differs = 0;

	while (i < items) {
		void *slots;
		int64_t n = pinring_spsc_peek(&q->consumer, FLOW_BATCH, &slots);
		const struct flow_line *line = slots;

		if (n <= 0) {
			pinring_relax();
			continue;
		}
		for (k = 0; k < (uint64_t)n; k++)
			differs |= flow_check_line(&line[k], i + k);
		pinring_spsc_release(&q->consumer, (uint64_t)n);
		i += (uint64_t)n;
	}
	return !differs;
}

static void create_ring(struct pinring_region *region, const char *name,
			bool line)
{
	int rc = pinring_spsc_create(region, name, FLOW_CAPACITY,
				     line ? 64 : 8);

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
		rc = pinring_spsc_producer_open(region, name, &q->producer);
	if (!rc && sides & CROWD_CONSUMES)
		rc = pinring_spsc_consumer_open(region, name, &q->consumer);
	if (rc)
		bench_die(name, rc);
	return q;
}

static void *open_ring(struct pinring_region *region, const char *name,
		       bool line)
{
	create_ring(region, name, line);
	return join_ring(region, name, CROWD_PRODUCES | CROWD_CONSUMES);
}

static void close_ring(void *queue)
{
	struct ours *q = queue;

	if (q->sides & CROWD_PRODUCES)
		pinring_spsc_producer_close(&q->producer);
	if (q->sides & CROWD_CONSUMES)
		pinring_spsc_consumer_close(&q->consumer);
	free(q);
}

static void send(void *queue, uint64_t item)
{
	flow_send(queue, item, push);
}

static uint64_t receive(void *queue)
{
	return flow_receive(queue, pop);
}

static bool alone(void *queue, uint64_t items)
{
	return flow_alone(queue, items, push, pop);
}

FLOW_FAN_LOOPS
FLOW_FAN_BATCHES

const struct flow_queue *flow_spsc(void)
{
	static const struct flow_queue spsc = {
		.name = "pinring SPSC",
		.open_in = open_ring,
		.close = close_ring,
		.create = create_ring,
		.join = join_ring,
		.produce = { produce_8, produce_8_batch, produce_8_span,
			     produce_64, produce_64_batch, produce_64_span },
		.consume = { consume_8, consume_8_batch, consume_8_span,
			     consume_64, consume_64_batch, consume_64_span },
		.send = send,
		.receive = receive,
		.fan_out = { fan_out, fan_out_n },
		.fan_in = { fan_in, fan_in_n },
		.alone = alone,
	};

	return &spsc;
}
