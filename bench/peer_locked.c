// SPDX-License-Identifier: MIT
/* peer_locked.c - a mutex around an array: what one writes without a library. */
#include <pthread.h>
#include <string.h>

#include "crowd.h"
#include "flow.h"

struct locked {
	pthread_mutex_t lock;
	uint64_t head, tail, item_bytes;
	unsigned char items[] PINRING_ALIGNED(128);
};

static void *locked_open(void *memory, bool line)
{
	struct locked *q = memory;

	pthread_mutex_init(&q->lock, NULL);
	q->item_bytes = line ? sizeof(struct flow_line) : sizeof(uint64_t);
	return q;
}

static void locked_close(void *queue)
{
	struct locked *q = queue;

	pthread_mutex_destroy(&q->lock);
}

/* At most n, up to the end of the array. */
PINRING_FN uint64_t push_items(void *queue, const void *items, uint64_t n,
			       size_t bytes)
{
	struct locked *q = queue;
	uint64_t at, room;

	pthread_mutex_lock(&q->lock);
	at = q->tail % FLOW_CAPACITY;
	room = FLOW_CAPACITY - (q->tail - q->head);
	n = n < room ? n : room;
	n = n < FLOW_CAPACITY - at ? n : FLOW_CAPACITY - at;
	memcpy(q->items + at * bytes, items, n * bytes);
	q->tail += n;
	pthread_mutex_unlock(&q->lock);
	return n;
}

PINRING_FN uint64_t pop_items(void *queue, void *items, uint64_t n,
			      size_t bytes)
{
	struct locked *q = queue;
	uint64_t at, ready;

	pthread_mutex_lock(&q->lock);
	at = q->head % FLOW_CAPACITY;
	ready = q->tail - q->head;
	n = n < ready ? n : ready;
	n = n < FLOW_CAPACITY - at ? n : FLOW_CAPACITY - at;
	memcpy(items, q->items + at * bytes, n * bytes);
	q->head += n;
	pthread_mutex_unlock(&q->lock);
	return n;
}

PINRING_FN bool push(void *queue, uint64_t item)
{
	return push_items(queue, &item, 1, sizeof(item)) == 1;
}

PINRING_FN bool pop(void *queue, uint64_t *item)
{
	return pop_items(queue, item, 1, sizeof(*item)) == 1;
}

PINRING_FN uint64_t push_n(void *queue, const void *items, uint64_t n)
{
	return push_items(queue, items, n, sizeof(uint64_t));
}

PINRING_FN uint64_t pop_n(void *queue, void *items, uint64_t n)
{
	return pop_items(queue, items, n, sizeof(uint64_t));
}

PINRING_FN bool push_line(void *queue, const struct flow_line *item)
{
	return push_items(queue, item, 1, sizeof(*item)) == 1;
}

PINRING_FN bool pop_line(void *queue, struct flow_line *item)
{
	return pop_items(queue, item, 1, sizeof(*item)) == 1;
}

PINRING_FN uint64_t push_line_n(void *queue, const void *items, uint64_t n)
{
	return push_items(queue, items, n, sizeof(struct flow_line));
}

PINRING_FN uint64_t pop_line_n(void *queue, void *items, uint64_t n)
{
	return pop_items(queue, items, n, sizeof(struct flow_line));
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
	flow_produce_line_n(queue, items, push_line_n);
}

static bool consume_64_batch(void *queue, uint64_t items)
{
	return flow_consume_line_n(queue, items, pop_line_n);
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

const struct flow_queue *flow_locked(void)
{
	static const struct flow_queue locked = {
		.name = "mutex and array",
		.slow = true,
		.bytes = { sizeof(struct locked) + FLOW_CAPACITY * 8,
			   sizeof(struct locked) + FLOW_CAPACITY * 64 },
		.open = locked_open,
		.close = locked_close,
		.produce = { [FLOW_8] = produce_8,
			     [FLOW_8_BATCH] = produce_8_batch,
			     [FLOW_64] = produce_64,
			     [FLOW_64_BATCH] = produce_64_batch },
		.consume = { [FLOW_8] = consume_8,
			     [FLOW_8_BATCH] = consume_8_batch,
			     [FLOW_64] = consume_64,
			     [FLOW_64_BATCH] = consume_64_batch },
		.send = send,
		.receive = receive,
		.fan_out = { fan_out, fan_out_n },
		.fan_in = { fan_in, fan_in_n },
		.alone = alone,
	};

	return &locked;
}

/* --------------------------------------------------- of many sides, the same */
static void *many_open(void *memory, struct pinring_region *region)
{
	(void)region;
	return locked_open(memory, false);
}

PINRING_FN bool many_push(void *queue, uint64_t item)
{
	return push(queue, item);
}

PINRING_FN bool many_pop(void *queue, uint64_t *item)
{
	return pop(queue, item);
}

PINRING_FN uint64_t many_push_n(void *queue, const uint64_t *items, uint64_t n)
{
	return push_n(queue, items, n);
}

PINRING_FN uint64_t many_pop_n(void *queue, uint64_t *items, uint64_t n)
{
	return pop_n(queue, items, n);
}

CROWD_LOOPS(many)
CROWD_BATCHES(many)

const struct crowd_queue *crowd_locked(void)
{
	static struct crowd_queue many = {
		.name = "mutex and array",
		.sleeps = true,
		.bytes = sizeof(struct locked) + CROWD_CAPACITY * 8,
		.open = many_open,
		.close = locked_close,
	};

	many_loops(&many);
	many_batches(&many);
	return &many;
}
