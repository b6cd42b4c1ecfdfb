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
/* And this often where a GPU may have sent a command, which rings no bell. */
#define PINRING_SILENT_NS 100000
#define PINRING_TEAM_SPINS 256 /* polls, some 7 us on x86 */

/* Smaller jobs are done by the coordinator, without waking the team. */
#define PINRING_TEAM_ELEMENTS 32768
#define PINRING_TEAM_CELLS 8192

/* A barrier. */
struct pinring_gate {
	/* Atomic add by all; the last to arrive stores 0 ... */
	__u64 arrived PINRING_ALIGNED(128);
	/* ... and then advances phase, which the others wait for. */
	__u64 phase PINRING_ALIGNED(128);
};

struct pinring_team {
	/* Coordinator adds 1 for each job and to stop; workers wait on it. */
	__u64 generation PINRING_ALIGNED(128);
	__u64 stop; /* coordinator, before it advances generation */
	/* Workers asleep: atomic add, by each for itself. */
	__u64 sleepers PINRING_ALIGNED(128);
	struct pinring_gate gate;
	struct pinring_gate kernels; /* a fault leaves it half full for ever */
	__u64 workers PINRING_ALIGNED(128); /* fixed, as all below */
	/* pinring_run_job() of run.h, for the instruction set chosen */
	float (*run)(struct pinring_loop *loop, __u64 worker);
	struct pinring_doorbell *submitted; /* the coordinator sleeps on it */
	struct pinring_doorbell *done; /* the host may sleep on it */
	struct pinring_doorbell *asked; /* and its services on this one */
	__u64 heard[PINRING_SLOT_WORDS]; /* of another executor's answer */
	__u64 spin_ns;
	struct pinring_meeting meeting PINRING_ALIGNED(128);
};

/* A host thread is its only lane: all of what follows is known beforehand. */
PINRING_FN __u32 pinring_lane(void)
{
	return 0;
}

PINRING_FN int pinring_coordinates(__u64 worker)
{
	return worker == 0;
}

/* Of the lanes that coordinate: how many; to wait for one another; to have the
 * first one's value.
 */
#define PINRING_COORDINATORS 1u

PINRING_FN void pinring_together(void)
{
}

PINRING_FN int pinring_agree(int value)
{
	return value;
}

/* One copy: a call is nothing beside a pass over an array. */
#define PINRING_PASS PINRING_ONCE

/* A share of a job, by all lanes of a worker. */
#define PINRING_LANEWISE(name, dst, a, b, s0, s1, begin, end) \
	pinring_##name##_range(dst, a, b, s0, s1, begin, end)

PINRING_FN int pinring_wave_owns(const struct pinring_room *room, __u64 begin,
				 __u64 end, __u64 cell)
{
	const __u64 row = cell / room->nx;

	return row >= begin && row < end;
}

PINRING_FN void pinring_wave_share(const struct pinring_room *room, int current,
				   __u64 begin, __u64 end)
{
	pinring_wave_rows(room, current, begin, end);
}

/* Groups of PINRING_LANES lanes reduce a part each. */
PINRING_FN __u32 pinring_group(void)
{
	return 0;
}

PINRING_FN __u32 pinring_groups(void)
{
	return 1;
}

PINRING_FN int pinring_group_lead(void)
{
	return 1;
}

PINRING_FN double pinring_part_dot(const float *a, const float *b, __u64 begin,
				   __u64 end)
{
	return b ? pinring_dot_range(a, b, begin, end) :
		   pinring_sum_range(a, begin, end);
}

PINRING_FN float pinring_part_min(const float *a, __u64 begin, __u64 end)
{
	return pinring_reduce_min_range(a, begin, end);
}

PINRING_FN float pinring_part_max(const float *a, __u64 begin, __u64 end)
{
	return pinring_reduce_max_range(a, begin, end);
}

PINRING_FN double pinring_part_exp_shift(float *dst, const float *a, float max,
					 __u64 begin, __u64 end)
{
	return pinring_exp_shift_range(dst, a, max, begin, end);
}

/* coordinator_host.c: every thread of the executor calls this once. */
void pinring_loop_host(struct pinring_loop *loop, __u64 worker);

/* executor_host.c */
void pinring_team_sleep(struct pinring_team *team, __u64 generation);
void pinring_team_wake(struct pinring_team *team);

/* Lets a host that sleeps know of a completion or a new state. */
PINRING_FN void pinring_announce(struct pinring_loop *loop)
{
	pinring_doorbell_ring(loop->team->done);
}

/* A ring is a full barrier here: once is enough. */
PINRING_FN void pinring_announce_again(struct pinring_loop *loop)
{
	(void)loop;
}

PINRING_FN void pinring_announce_request(struct pinring_loop *loop)
{
	pinring_doorbell_ring(loop->team->asked);
}

PINRING_FN void pinring_announce_forward(const struct pinring_link *link)
{
	if (link->bell)
		pinring_doorbell_ring(link->bell);
}

/* While somebody else works: a turn for a thread that may share our CPU. */
PINRING_FN void pinring_nap(void)
{
	sched_yield();
}

PINRING_FN __u64 pinring_clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (__u64)t.tv_sec * 1000000000ull + (__u64)t.tv_nsec;
}

/*
 * coordinator_host.c: that of more than one worker. 0: all have come; 1: *fault, if
 * it is given, says that one never will.
 */
int pinring_gate_meet(struct pinring_gate *gate, __u64 workers,
		      const __u64 *fault);

PINRING_FN int pinring_gate_pass(struct pinring_gate *gate, __u64 workers,
				 const __u64 *fault)
{
	return workers == 1 ? 0 : pinring_gate_meet(gate, workers, fault);
}

/* All workers of a job meet here; ends because each of them is a live thread
 * on its way to this very barrier. 0; 1, which a thread never sees, if not.
 */
PINRING_FN int pinring_team_barrier(struct pinring_loop *loop, __u64 workers)
{
	return pinring_gate_pass(&loop->team->gate, workers, NULL);
}

PINRING_FN int pinring_team_failed(const struct pinring_loop *loop)
{
	(void)loop;
	return 0;
}

/* Lets those that a failed launch leaves behind go. */
PINRING_FN void pinring_team_advance(struct pinring_team *team, __u64 stop)
{
	team->stop = stop;
	/* seq_cst: against a worker that is about to sleep */
	__atomic_add_fetch(&team->generation, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&team->sleepers, __ATOMIC_SEQ_CST))
		pinring_team_wake(team);
}

/* Coordinator: let job.workers workers run the job. */
PINRING_FN void pinring_team_begin(struct pinring_loop *loop)
{
	if (loop->job.workers > 1)
		pinring_team_advance(loop->team, 0);
}

/* A worker's part of the job. */
PINRING_FN float pinring_team_run(struct pinring_loop *loop, __u64 worker)
{
	return loop->team->run(loop, worker);
}

/* Coordinator: let all go. */
PINRING_FN void pinring_team_end(struct pinring_loop *loop)
{
	pinring_team_advance(loop->team, 1);
}

/* Workers but the coordinator: 1 when there is a job, 0 to stop. */
PINRING_FN int pinring_team_wait(struct pinring_loop *loop, __u64 worker,
				 __u64 *generation)
{
	struct pinring_team *team = loop->team;
	__u64 spins = 0;

	(void)worker;
	/* acquire: pairs with the add in pinring_team_advance */
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

/* How many messages are there, of as many as one look shows, and their words. */
#define PINRING_LOOK_SLOTS 1u

PINRING_FN __u32 pinring_look(const struct pinring_device_consumer *c,
			      __u64 *words)
{
	return (__u32)pinring_device_peek(c, words);
}

PINRING_FN __u64 *pinring_heard(struct pinring_loop *loop)
{
	return loop->team->heard;
}

/* What the coordinator saw of the host's side at its last look. */
struct pinring_intake {
	__u64 wish;
	__u64 words[PINRING_SLOT_WORDS];
	__u64 feed; /* that was looked at last */
	__u64 fed[PINRING_SLOT_WORDS];
};

PINRING_FN void pinring_intake_drop(struct pinring_intake *in)
{
	(void)in;
}

/* The next command, or NULL: there is none, or none is to be taken. */
PINRING_FN const __u64 *pinring_take(struct pinring_loop *loop,
				     struct pinring_intake *in, int taking)
{
	/* acquire: what was submitted before the wish is seen after it. */
	in->wish = pinring_load_word(&loop->control->wanted);
	if (taking && pinring_device_peek(&loop->commands, in->words))
		return in->words;
	return 0;
}

/* The next command of another executor's, of feed in->feed. */
PINRING_FN const __u64 *pinring_take_fed(struct pinring_loop *loop,
					 struct pinring_intake *in)
{
	__u64 i;

	/* All of them, before it sleeps. */
	for (i = 0; i < loop->feeds; i++) {
		in->feed = (in->feed + 1) % loop->feeds;
		if (loop->feed[in->feed].serial &&
		    pinring_device_peek(&loop->feed[in->feed].commands, in->fed))
			return in->fed;
	}
	return 0;
}

/*
 * Answers a command; fenced: its results lie in memory. 0 only if there is no
 * room and the loop is to end: who sent the command keeps fewer of them in flight
 * than the ring has slots, so there is, unless that rule was broken. Another
 * executor that breaks it loses the answer.
 */
PINRING_FN int pinring_answer(struct pinring_loop *loop,
			      struct pinring_device_producer *to,
			      const struct pinring_completion *completion,
			      int fenced)
{
	__u64 words[PINRING_SLOT_WORDS];
	__u64 spins = 0;

	(void)fenced;
	pinring_pack_completion(words, completion);
	while (!pinring_device_send(to, words)) {
		if (to != &loop->completions ||
		    (++spins > PINRING_TEAM_SPINS && pinring_told_to_stop(loop)))
			return 0;
		pinring_relax();
	}
	return 1;
}

struct pinring_idle {
	__u64 polls;
	__u64 now; /* when the clock was last read */
	__u64 last; /* and when the time before */
	__u64 since; /* when the idling began; 0: the clock was not yet read */
	__u64 spun; /* the same of the spinning, which begins after each sleep */
	__u64 seen; /* submissions, read before the last look at the ring */
	int drowsy; /* seen is valid: one more look, then sleep */
};

PINRING_FN void pinring_idle_reset(struct pinring_idle *idle)
{
	idle->polls = 0;
	idle->since = 0;
	idle->drowsy = 0;
}

/*
 * Coordinator found nothing to do. Spins for spin_ns, yielding now and then;
 * then notes the doorbell, has the caller look once more, and sleeps.
 * 1: it has looked at the clock, which it does not do each time.
 */
PINRING_FN int pinring_idle(struct pinring_loop *loop, struct pinring_idle *idle)
{
	if (idle->drowsy) {
		__u64 most = PINRING_HEARTBEAT_NS;

		if (loop->idle_ns && loop->idle_ns < most)
			most = loop->idle_ns;
		if (loop->silent)
			most = PINRING_SILENT_NS;
		idle->drowsy = 0;
		idle->polls = 0;
		pinring_store_word(&loop->telemetry->sleeps,
				   ++loop->counters.sleeps);
		pinring_doorbell_wait(loop->team->submitted, idle->seen,
				      (int64_t)most);
		return 0;
	}
	pinring_relax();
	if (++idle->polls % 64)
		return 0;
	if (idle->polls % 256 == 0)
		sched_yield();
	idle->now = pinring_clock_ns();
	if (idle->polls == 64)
		idle->spun = idle->now;
	if (idle->now - idle->spun < loop->team->spin_ns)
		return 1;
	idle->seen = pinring_doorbell_sequence(loop->team->submitted);
	idle->drowsy = 1;
	return 1;
}

#endif /* PINRING_TEAM_HOST_H */
