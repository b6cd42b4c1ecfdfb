/* SPDX-License-Identifier: MIT */
/*
 * team_host.h - a team of host threads: waiting for work, the barrier, the
 * clock, idling.
 *
 * Any worker may be descheduled for milliseconds at any point, so every wait
 * spins a little, then yields, and where it may last, sleeps.
 */
#ifndef PINRING_TEAM_HOST_H
#define PINRING_TEAM_HOST_H

#include <sched.h>
#include <time.h>

#include <pinring/doorbell.h>

#include "loop.h"

/* An idle loop wakes this often to show a heartbeat. */
#define PINRING_HEARTBEAT_NS 100000000
#define PINRING_TEAM_SPINS 256 /* polls, some 7 us on x86 */

struct pinring_team {
	/* Coordinator adds 1 for each job and to stop; workers wait on it. */
	__u64 generation PINRING_ALIGNED(128);
	__u64 stop; /* coordinator, before it advances generation */
	/* Workers asleep: atomic add, by each for itself. */
	__u64 sleepers PINRING_ALIGNED(128);
	/* Barrier: atomic add by all; the last to arrive stores 0 ... */
	__u64 arrived PINRING_ALIGNED(128);
	/* ... and then advances phase, which the others wait for. */
	__u64 phase PINRING_ALIGNED(128);
	__u64 workers PINRING_ALIGNED(128); /* fixed */
	struct pinring_doorbell *submitted; /* the coordinator sleeps on it */
	struct pinring_doorbell *done; /* the host may sleep on it */
	__u64 spin_ns;
};

/* executor_host.c */
void pinring_team_sleep(struct pinring_team *team, __u64 generation);
void pinring_team_wake(struct pinring_team *team);

/* Lets a host that sleeps know of a completion or a new state. */
PINRING_FN void pinring_announce(struct pinring_loop *loop)
{
	pinring_doorbell_ring(loop->team->done);
}

PINRING_FN __u64 pinring_clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (__u64)t.tv_sec * 1000000000ull + (__u64)t.tv_nsec;
}

/* All workers of a job meet here; ends because each of them is a live thread
 * on its way to this very barrier.
 */
PINRING_FN void pinring_team_barrier(struct pinring_team *team, __u64 workers)
{
	__u64 phase, spins = 0;

	if (workers == 1)
		return;
	phase = __atomic_load_n(&team->phase, __ATOMIC_RELAXED);
	/* acq_rel: the last to arrive has seen what all others wrote before. */
	if (__atomic_add_fetch(&team->arrived, 1, __ATOMIC_ACQ_REL) == workers) {
		__atomic_store_n(&team->arrived, 0, __ATOMIC_RELAXED);
		/* release: pairs with the acquire below */
		__atomic_store_n(&team->phase, phase + 1, __ATOMIC_RELEASE);
		return;
	}
	while (__atomic_load_n(&team->phase, __ATOMIC_ACQUIRE) == phase) {
		if (++spins < PINRING_TEAM_SPINS)
			pinring_relax();
		else
			sched_yield();
	}
}

/* Coordinator: let the team run loop->job, or stop. */
PINRING_FN void pinring_team_begin(struct pinring_team *team, __u64 stop)
{
	team->stop = stop;
	/* seq_cst: against a worker that is about to sleep */
	__atomic_add_fetch(&team->generation, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&team->sleepers, __ATOMIC_SEQ_CST))
		pinring_team_wake(team);
}

/* Workers but the coordinator: 1 when there is a job, 0 to stop. */
PINRING_FN int pinring_team_wait(struct pinring_team *team, __u64 *generation)
{
	__u64 spins = 0;

	/* acquire: pairs with the add in pinring_team_begin */
	while (__atomic_load_n(&team->generation, __ATOMIC_ACQUIRE) ==
	       *generation) {
		if (++spins < PINRING_TEAM_SPINS)
			pinring_relax();
		else if (spins < 2 * PINRING_TEAM_SPINS)
			sched_yield();
		else
			pinring_team_sleep(team, *generation);
	}
	++*generation;
	return !team->stop;
}

struct pinring_idle {
	__u64 polls;
	__u64 since; /* when the idling began */
	__u64 seen; /* submissions, read before the last look at the ring */
	int drowsy; /* seen is valid: one more look, then sleep */
};

/*
 * Coordinator found nothing to do. Spins for spin_ns, yielding now and then;
 * then notes the doorbell, has the caller look once more, and sleeps.
 */
PINRING_FN void pinring_idle(struct pinring_loop *loop,
			     struct pinring_idle *idle)
{
	if (idle->drowsy) {
		idle->drowsy = 0;
		idle->polls = 0;
		pinring_store_word(&loop->telemetry->sleeps,
				   ++loop->counters.sleeps);
		pinring_doorbell_wait(loop->team->submitted, idle->seen,
				      PINRING_HEARTBEAT_NS);
		return;
	}
	pinring_relax();
	if (++idle->polls % 64)
		return;
	if (idle->polls == 64)
		idle->since = pinring_clock_ns();
	pinring_store_word(&loop->control->heartbeat,
			   loop->control->heartbeat + 1);
	if (idle->polls % 256 == 0)
		sched_yield();
	if (pinring_clock_ns() - idle->since < loop->team->spin_ns)
		return;
	idle->seen = pinring_doorbell_sequence(loop->team->submitted);
	idle->drowsy = 1;
}

#endif /* PINRING_TEAM_HOST_H */
