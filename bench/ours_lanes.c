// SPDX-License-Identifier: MIT
/*
 * ours_lanes.c - a lane for each producer, in the contest of mpmc.c: where there
 * is one consumer, and no order is wanted but that of each producer.
 */
#include <stdlib.h>

#include <pinring/ring_lanes.h>

#include "crowd.h"
#include "measure.h"

#define LANES "lanes"
#define PRODUCERS 4u

struct ours {
	struct pinring_lanes_consumer consumer;
	struct pinring_lanes_producer producer;
	unsigned int sides; /* which of the two are open */
};

static void *lanes_open(void *memory, struct pinring_region *region)
{
	int rc = pinring_lanes_create(region, LANES, CROWD_CAPACITY / PRODUCERS,
				      8, PRODUCERS, 1);

	(void)memory;
	if (rc)
		bench_die("lanes", rc);
	return region;
}

static void lanes_close(void *queue)
{
	(void)queue;
}

static void *lanes_join(void *queue, unsigned int sides)
{
	struct ours *o = aligned_alloc(128, sizeof(*o));
	int rc = 0;

	if (!o)
		bench_die("no memory", 0);
	o->sides = sides;
	if (sides & CROWD_PRODUCES)
		rc = pinring_lanes_producer_open(queue, LANES, &o->producer);
	if (!rc && sides & CROWD_CONSUMES)
		rc = pinring_lanes_consumer_open(queue, LANES, &o->consumer);
	if (rc)
		bench_die("lanes", rc);
	return o;
}

static void lanes_leave(void *handle)
{
	struct ours *o = handle;

	if (o->sides & CROWD_PRODUCES)
		pinring_lanes_producer_close(&o->producer);
	if (o->sides & CROWD_CONSUMES)
		pinring_lanes_consumer_close(&o->consumer);
	free(o);
}

PINRING_FN bool lanes_push(void *handle, uint64_t item)
{
	struct ours *o = handle;

	return pinring_lanes_push_u64(o->producer.lane, item) == 0;
}

PINRING_FN bool lanes_pop(void *handle, uint64_t *item)
{
	struct ours *o = handle;

	return pinring_lanes_pop_u64(&o->consumer, item) == 0;
}

PINRING_FN uint64_t lanes_push_n(void *handle, const uint64_t *items,
				 uint64_t n)
{
	struct ours *o = handle;
	int64_t sent = pinring_lanes_push_batch(o->producer.lane, items, n);

	return sent > 0 ? (uint64_t)sent : 0;
}

PINRING_FN uint64_t lanes_pop_n(void *handle, uint64_t *items, uint64_t n)
{
	struct ours *o = handle;
	int64_t got = pinring_lanes_pop_batch(&o->consumer, items, n);

	return got > 0 ? (uint64_t)got : 0;
}

CROWD_LOOPS(lanes)
CROWD_BATCHES(lanes)

const struct crowd_queue *crowd_lanes(void)
{
	static struct crowd_queue lanes = {
		.name = "pinring lanes",
		.ours = true,
		.shared = true,
		.max_producers = PRODUCERS,
		.max_consumers = 1,
		.open = lanes_open,
		.close = lanes_close,
		.join = lanes_join,
		.leave = lanes_leave,
	};

	lanes_loops(&lanes);
	lanes_batches(&lanes);
	return &lanes;
}
