/* SPDX-License-Identifier: MIT */
/*
 * linear.h - histories of a queue: what was called when, and what came of it.
 *
 * A history is linearizable if each call can be given an instant between its
 * beginning and its end such that a queue with one thread, called at those
 * instants, answers the same (Herlihy and Wing, 1990). linear_fifo.h decides that
 * for millions of calls, linear_search.h exactly for few, linear_broadcast.h for
 * rings where all consumers see all.
 *
 * The clock is CLOCK_MONOTONIC, one for all threads and processes; the kernel
 * keeps it from going backwards from one CPU to the next. What is recorded
 * contains what happened:
 *
 *  called     is stored by an exchange, which is a full barrier, before the call
 *             touches anything. The value cannot be stored before it was read
 *             from the clock, so the clock was read before all that follows.
 *  returned   is read behind another such barrier: everything the call stored
 *             has left the store buffer, and everything it loaded is loaded.
 *             Without it a push would be over, by the clock, before another CPU
 *             can see it. (The vDSO keeps its read of the counter behind earlier
 *             loads.)
 *
 * That makes intervals wider, never narrower: two calls that overlap in truth
 * overlap in the record, so a correct queue is never accused. Equal times count
 * as overlapping.
 */
#ifndef SELFTESTS_LINEAR_H
#define SELFTESTS_LINEAR_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum linear_verb {
	LINEAR_PUSH, /* of a value that no other push of the history has */
	LINEAR_POP,
	LINEAR_FULL, /* a push that was refused */
	LINEAR_EMPTY, /* a pop that was refused */
};

struct linear_op {
	uint64_t called, returned; /* ns */
	uint64_t value; /* pushed, or popped */
	uint64_t verb;
};

/* Of one thread, or one process: nobody else writes it while it runs. */
struct linear_log {
	uint64_t called; /* of the call that is under way */
	uint64_t barrier;
	uint64_t n, room;
	struct linear_op *op;
};

static inline uint64_t linear_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Before the call. */
static inline void linear_call(struct linear_log *log)
{
	__atomic_exchange_n(&log->called, linear_now(), __ATOMIC_SEQ_CST);
}

/* After it; n > 1 for a batch, whose items are as many calls at one time. */
static inline void linear_return(struct linear_log *log, enum linear_verb verb,
				 const uint64_t *values, uint64_t n)
{
	uint64_t returned, i;

	__atomic_exchange_n(&log->barrier, 1, __ATOMIC_SEQ_CST);
	returned = linear_now();
	for (i = 0; i < n && log->n < log->room; i++)
		log->op[log->n++] = (struct linear_op){ log->called, returned,
							values[i], verb };
}

/* What a refused call leaves out of a history changes nothing in the rest. */
static inline void linear_refused(struct linear_log *log, enum linear_verb verb)
{
	static const uint64_t nothing;

	linear_return(log, verb, &nothing, 1);
}

/* Which queue the history has to be explained by. */
struct linear_spec {
	uint64_t capacity; /* 0: no limit, and every "full" is a fault */
	/*
	 * "Empty" and "full" as a ring of tickets has them: tickets are drawn in
	 * one order, and the calls that drew them may end in any.
	 *
	 *  empty   there was an instant in the call at which nothing was in the
	 *          queue, or the push of the oldest item had not returned
	 *  full    there was an instant in the call at which the item that was
	 *          pushed `capacity` pushes before the next was still in the
	 *          queue, or the pop of it had not returned
	 *
	 * Items are a strict FIFO of that capacity all the same.
	 */
	bool tickets;
};

/* What is wrong: NULL, or a sentence, and the calls that show it. */
struct linear_fault {
	const char *what;
	struct linear_op a, b;
};

static inline bool linear_blame(struct linear_fault *f, const char *what,
				struct linear_op a, struct linear_op b)
{
	*f = (struct linear_fault){ what, a, b };
	return false;
}

static inline const char *linear_verb_name(uint64_t verb)
{
	static const char *const name[] = { "push", "pop", "full", "empty" };

	return verb < 4 ? name[verb] : "?";
}

#endif /* SELFTESTS_LINEAR_H */
