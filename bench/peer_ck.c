// SPDX-License-Identifier: MIT
/* peer_ck.c - Concurrency Kit's ck_ring, where Debian's libck-dev is there. */
#include "crowd.h"
#include "flow.h"

#if __has_include(<ck_ring.h>)
#include <ck_ring.h>

struct ck {
	ck_ring_t ring PINRING_ALIGNED(128);
	unsigned char buffer[] PINRING_ALIGNED(128);
};

CK_RING_PROTOTYPE(line, flow_line)

static void *ck_open(void *memory, bool line)
{
	struct ck *q = memory;

	(void)line;
	ck_ring_init(&q->ring, FLOW_CAPACITY);
	return q;
}

static void ck_close(void *queue)
{
	(void)queue;
}

/* It refuses no item but by being full; 0 is as good a pointer as any. */
PINRING_FN bool push(void *queue, uint64_t item)
{
	struct ck *q = queue;

	return ck_ring_enqueue_spsc(&q->ring, (ck_ring_buffer_t *)q->buffer,
				    (void *)(uintptr_t)item);
}

PINRING_FN bool pop(void *queue, uint64_t *item)
{
	struct ck *q = queue;
	void *pointer;

	if (!ck_ring_dequeue_spsc(&q->ring, (ck_ring_buffer_t *)q->buffer,
				  &pointer))
		return false;
	*item = (uintptr_t)pointer;
	return true;
}

PINRING_FN bool push_line(void *queue, const struct flow_line *item)
{
	struct ck *q = queue;

	return CK_RING_ENQUEUE_SPSC(line, &q->ring,
				    (struct flow_line *)q->buffer,
				    (struct flow_line *)item);
}

PINRING_FN bool pop_line(void *queue, struct flow_line *item)
{
	struct ck *q = queue;

	return CK_RING_DEQUEUE_SPSC(line, &q->ring,
				    (struct flow_line *)q->buffer, item);
}

static void produce_8(void *queue, uint64_t items)
{
	flow_produce(queue, items, push);
}

static bool consume_8(void *queue, uint64_t items)
{
	return flow_consume(queue, items, pop);
}

static void produce_64(void *queue, uint64_t items)
{
	flow_produce_line(queue, items, push_line);
}

static bool consume_64(void *queue, uint64_t items)
{
	return flow_consume_line(queue, items, pop_line);
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

const struct flow_queue *flow_ck(void)
{
	static const struct flow_queue ck = {
		.name = "ck_ring",
		.bytes = { sizeof(struct ck) + FLOW_CAPACITY * 8,
			   sizeof(struct ck) + FLOW_CAPACITY * 64 },
		.open = ck_open,
		.close = ck_close,
		.produce = { [FLOW_8] = produce_8, [FLOW_64] = produce_64 },
		.consume = { [FLOW_8] = consume_8, [FLOW_64] = consume_64 },
		.send = send,
		.receive = receive,
		.fan_out = { fan_out },
		.fan_in = { fan_in },
		.alone = alone,
	};

	return &ck;
}

/* ------------------------------------------------------------ of many sides */
static void *many_open(void *memory, struct pinring_region *region)
{
	(void)region;
	return ck_open(memory, false);
}

/* So many producers and consumers at the most; 0: any number. */
#define MODE(mode, title, producers, consumers, enqueue, dequeue)             \
	PINRING_FN bool mode##_push(void *queue, uint64_t item)               \
	{                                                                     \
		struct ck *q = queue;                                         \
                                                                              \
		return enqueue(&q->ring, (ck_ring_buffer_t *)q->buffer,       \
			       (void *)(uintptr_t)item);                      \
	}                                                                     \
	PINRING_FN bool mode##_pop(void *queue, uint64_t *item)               \
	{                                                                     \
		struct ck *q = queue;                                         \
		void *pointer;                                                \
                                                                              \
		if (!dequeue(&q->ring, (ck_ring_buffer_t *)q->buffer,         \
			     &pointer))                                       \
			return false;                                         \
		*item = (uintptr_t)pointer;                                   \
		return true;                                                  \
	}                                                                     \
	CROWD_LOOPS(mode)                                                     \
	static const struct crowd_queue *mode##_queue(void)                   \
	{                                                                     \
		static struct crowd_queue q = {                               \
			.name = title,                                        \
			.shared = true,                                       \
			.max_producers = producers,                           \
			.max_consumers = consumers,                           \
			.bytes = sizeof(struct ck) + CROWD_CAPACITY * 8,      \
			.open = many_open,                                    \
			.close = ck_close,                                    \
		};                                                            \
		mode##_loops(&q);                                             \
		return &q;                                                    \
	}

MODE(mpmc, "ck_ring MPMC", 0, 0, ck_ring_enqueue_mpmc, ck_ring_dequeue_mpmc)
MODE(mpsc, "ck_ring MPSC", 0, 1, ck_ring_enqueue_mpsc, ck_ring_dequeue_mpsc)
MODE(spmc, "ck_ring SPMC", 1, 0, ck_ring_enqueue_spmc, ck_ring_dequeue_spmc)

const struct crowd_queue *crowd_ck(void)
{
	return mpmc_queue();
}

const struct crowd_queue *crowd_ck_mpsc(void)
{
	return mpsc_queue();
}

const struct crowd_queue *crowd_ck_spmc(void)
{
	return spmc_queue();
}

#else

const struct flow_queue *flow_ck(void)
{
	return NULL;
}

const struct crowd_queue *crowd_ck(void)
{
	return NULL;
}

const struct crowd_queue *crowd_ck_mpsc(void)
{
	return NULL;
}

const struct crowd_queue *crowd_ck_spmc(void)
{
	return NULL;
}

#endif
