/* SPDX-License-Identifier: MIT */
/*
 * crew.h - the threads of mpmc.c: so many producers and consumers, on two
 * cores, at one queue, for a while.
 */
#ifndef PINRING_BENCH_CREW_H
#define PINRING_BENCH_CREW_H

#include "crowd.h"
#include "measure.h"

enum crew_shape {
	CREW_FLOW, /* million items a second */
	CREW_BATCHES, /* the same, 32 at a time */
	CREW_PAIRS, /* million times a push and a pop by each producer */
	CREW_ALONE, /* ns a push and a pop by one thread */
	CREW_BURST, /* us until the consumer has all that comes at once */
};

enum crew_place {
	CREW_SPREAD, /* both sides on both cores */
	CREW_SPLIT, /* producers on one core, consumers on the other */
};

#define CREW_BURST_ITEMS 250u /* of each producer */

struct crew_order {
	const char *name;
	enum crew_shape shape;
	unsigned int producers, consumers;
	enum crew_place place;
};

struct crew_queue {
	const struct crowd_queue *kind;
	void *queue;
};

/* Each thread or process of a run waits for its start; *crowd is shared. */
void crew_await(struct crowd *crowd, unsigned int round);
/* Releases all once so many wait; the time when it did. */
uint64_t crew_release(struct crowd *crowd, unsigned int round,
		      unsigned int waiting);

bool crew_can(const struct crowd_queue *kind, const struct crew_order *o);

/*
 * One run, its contents checked. *lacked: ns for which a core had something
 * else to do than this.
 */
double crew_run(const struct bench_options *options, const struct crew_queue *q,
		const struct crew_order *o, uint64_t *lacked);

#endif /* PINRING_BENCH_CREW_H */
