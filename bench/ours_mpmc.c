// SPDX-License-Identifier: MIT
/* ours_mpmc.c - the MPMC ring of this library, in the contest of mpmc.c. */
#include <stdlib.h>

#include <pinring/ring_mpmc.h>

#include "crowd.h"
#include "measure.h"

#define RING "contest"

struct ours {
	struct pinring_mpmc_producer producer;
	struct pinring_mpmc_consumer consumer;
	unsigned int sides; /* which of the two are open */
};

/* The handles of its threads are all there is to it. */
static void *ours_open(void *memory, struct pinring_region *region)
{
	int rc = pinring_mpmc_create(region, RING, CROWD_CAPACITY, 8,
				     2 * CROWD_MOST);

	(void)memory;
	if (rc)
		bench_die("mpmc", rc);
	return region;
}

static void ours_close(void *queue)
{
	(void)queue;
}

static void *ours_join(void *queue, unsigned int sides)
{
	struct ours *o = aligned_alloc(128, sizeof(*o));
	int rc = 0;

	if (!o)
		bench_die("no memory", 0);
	o->sides = sides;
	if (sides & CROWD_PRODUCES)
		rc = pinring_mpmc_producer_open(queue, RING, &o->producer);
	if (!rc && sides & CROWD_CONSUMES)
		rc = pinring_mpmc_consumer_open(queue, RING, &o->consumer);
	if (rc)
		bench_die("mpmc", rc);
	return o;
}

static void ours_leave(void *handle)
{
	struct ours *o = handle;

	if (o->sides & CROWD_PRODUCES)
		pinring_mpmc_producer_close(&o->producer);
	if (o->sides & CROWD_CONSUMES)
		pinring_mpmc_consumer_close(&o->consumer);
	free(o);
}

PINRING_FN bool ours_push(void *handle, uint64_t item)
{
	struct ours *o = handle;

	return pinring_mpmc_push_u64(&o->producer, item) == 0;
}

PINRING_FN bool ours_pop(void *handle, uint64_t *item)
{
	struct ours *o = handle;

	return pinring_mpmc_pop_u64(&o->consumer, item) == 0;
}

PINRING_FN uint64_t ours_push_n(void *handle, const uint64_t *items, uint64_t n)
{
	struct ours *o = handle;
	int64_t sent = pinring_mpmc_push_batch_u64(&o->producer, items, n);

	return sent > 0 ? (uint64_t)sent : 0;
}

PINRING_FN uint64_t ours_pop_n(void *handle, uint64_t *items, uint64_t n)
{
	struct ours *o = handle;
	int64_t got = pinring_mpmc_pop_batch_u64(&o->consumer, items, n);

	return got > 0 ? (uint64_t)got : 0;
}

CROWD_LOOPS(ours)
CROWD_BATCHES(ours)

const struct crowd_queue *crowd_ours(void)
{
	static struct crowd_queue ours = {
		.name = "pinring",
		.ours = true,
		.shared = true,
		.open = ours_open,
		.close = ours_close,
		.join = ours_join,
		.leave = ours_leave,
	};

	ours_loops(&ours);
	ours_batches(&ours);
	return &ours;
}
