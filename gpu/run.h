/* SPDX-License-Identifier: MIT */
/*
 * run.h - the operations, as a team carries them out.
 *
 * Every function here is called by each lane of each worker with the same job.
 * Results do not depend on how many there are: elements are computed one by one,
 * and sums over PINRING_PARTS fixed parts that the coordinator adds in order.
 * Before the last barrier of a job no lane leaves it; after that the coordinator
 * may already write the next one, so nobody else looks at this one again.
 */
#ifndef PINRING_RUN_H
#define PINRING_RUN_H

#include "check.h"
#include "dynamic.h"
#include "kernels/elementwise.h"

#define PINRING_TEAM_DYNAMIC 2048 /* more than an addition each, mostly */

/* The lane that answers for the job. */
PINRING_FN int pinring_leads(__u64 worker)
{
	return worker == 0 && pinring_lane() == 0;
}

/* Reading the clock twice takes ten times as long as these do. */
PINRING_FN int pinring_worth_timing(const struct pinring_job *job)
{
	return job->operation != PINRING_OP_NOP &&
	       job->operation != PINRING_OP_WAVE_INJECT &&
	       job->operation != PINRING_OP_WAVE_PROBE;
}

/*
 * Only of jobs worth timing. Never of one without work: a team meets at a barrier
 * at least once a job, or a slow worker would miss it altogether.
 */
PINRING_FN int pinring_worth_a_team(const struct pinring_job *job)
{
	switch (job->operation) {
	case PINRING_OP_WAVE_STEP:
	case PINRING_OP_WAVE_BLOCK:
		return job->count && job->room.nx * job->room.ny *
						     job->room.nz >=
					     PINRING_TEAM_CELLS;
	default:
		return job->count >= (job->operation < PINRING_OP_DYNAMIC ?
					      PINRING_TEAM_ELEMENTS :
					      PINRING_TEAM_DYNAMIC);
	}
}

/* Or its results fit its completion. */
PINRING_FN int pinring_writes_memory(const struct pinring_command *c)
{
	switch (c->operation) {
	case PINRING_OP_NOP:
	case PINRING_OP_WAVE_PROBE:
		return 0;
	case PINRING_OP_SUM:
	case PINRING_OP_REDUCE_MIN:
	case PINRING_OP_REDUCE_MAX:
	case PINRING_OP_DOT:
		return c->dst.region != PINRING_REGION_NONE;
	default:
		return 1;
	}
}

/* Where share `worker` of `workers` begins, on a boundary of `grain` items. */
PINRING_FN __u64 pinring_share(__u64 count, __u64 worker, __u64 workers,
			       __u64 grain)
{
	__u64 grains = count / grain;

	if (worker == workers)
		return count;
	return (grains / workers * worker + grains % workers * worker / workers) *
	       grain;
}

PINRING_FN void pinring_run_elementwise(struct pinring_job *job, __u64 begin,
					__u64 end)
{
	float *dst = job->dst;
	const float *a = job->a, *b = job->b;
	float s0 = job->s0, s1 = job->s1;

	switch (job->operation) {
	case PINRING_OP_FILL:
		PINRING_LANEWISE(fill, dst, a, b, s0, s1, begin, end);
		break;
	case PINRING_OP_COPY:
		PINRING_LANEWISE(copy, dst, a, b, s0, s1, begin, end);
		break;
	case PINRING_OP_ADD:
		PINRING_LANEWISE(add, dst, a, b, s0, s1, begin, end);
		break;
	case PINRING_OP_SUB:
		PINRING_LANEWISE(sub, dst, a, b, s0, s1, begin, end);
		break;
	case PINRING_OP_MUL:
		PINRING_LANEWISE(mul, dst, a, b, s0, s1, begin, end);
		break;
	case PINRING_OP_DIV:
		PINRING_LANEWISE(div, dst, a, b, s0, s1, begin, end);
		break;
	case PINRING_OP_MIN:
		PINRING_LANEWISE(min, dst, a, b, s0, s1, begin, end);
		break;
	case PINRING_OP_MAX:
		PINRING_LANEWISE(max, dst, a, b, s0, s1, begin, end);
		break;
	case PINRING_OP_AXPY:
		PINRING_LANEWISE(axpy, dst, a, b, s0, s1, begin, end);
		break;
	case PINRING_OP_SCALE:
		PINRING_LANEWISE(scale, dst, a, b, s0, s1, begin, end);
		break;
	case PINRING_OP_RELU:
		PINRING_LANEWISE(relu, dst, a, b, s0, s1, begin, end);
		break;
	case PINRING_OP_SIGMOID:
		PINRING_LANEWISE(sigmoid, dst, a, b, s0, s1, begin, end);
		break;
	case PINRING_OP_TANH:
		PINRING_LANEWISE(tanh, dst, a, b, s0, s1, begin, end);
		break;
	case PINRING_OP_GELU:
		PINRING_LANEWISE(gelu, dst, a, b, s0, s1, begin, end);
		break;
	case PINRING_OP_GELU_TANH:
		PINRING_LANEWISE(gelu_tanh, dst, a, b, s0, s1, begin, end);
		break;
	default:
		break;
	}
}

PINRING_FN void pinring_reduce_part(const struct pinring_job *job,
				    struct pinring_meeting *meeting,
				    __u32 operation, __u32 part)
{
	__u64 begin = pinring_part_begin(job->count, part);
	__u64 end = pinring_part_begin(job->count, part + 1);
	const float *none = 0;
	double sum = 0;
	float extreme = 0;

	switch (operation) {
	case PINRING_OP_SUM:
		sum = pinring_part_dot(job->a, none, begin, end);
		break;
	case PINRING_OP_DOT:
		sum = pinring_part_dot(job->a, job->b, begin, end);
		break;
	case PINRING_OP_REDUCE_MIN:
		extreme = pinring_part_min(job->a, begin, end);
		break;
	case PINRING_OP_REDUCE_MAX:
		extreme = pinring_part_max(job->a, begin, end);
		break;
	case PINRING_OP_SOFTMAX: /* its second pass */
		sum = pinring_part_exp_shift(job->dst, job->a,
					     meeting->maximum, begin, end);
		break;
	default:
		break;
	}
	if (!pinring_group_lead())
		return;
	meeting->partial[part] = sum;
	meeting->extreme[part] = extreme;
}

PINRING_PASS void pinring_run_parts(struct pinring_loop *loop, __u32 operation,
				    __u64 worker, __u64 workers)
{
	__u32 part = pinring_group() * (__u32)workers + (__u32)worker;

	for (; part < PINRING_PARTS; part += pinring_groups() * (__u32)workers)
		pinring_reduce_part(&loop->job, loop->meeting, operation, part);
}

/* Coordinator, after a barrier: the parts in order. */
PINRING_PASS double pinring_combine_parts(const struct pinring_meeting *meeting,
					  __u32 operation)
{
	switch (operation) {
	case PINRING_OP_REDUCE_MIN:
		return pinring_parts_min(meeting->extreme);
	case PINRING_OP_REDUCE_MAX:
		return pinring_parts_max(meeting->extreme);
	default:
		return pinring_parts_sum(meeting->partial);
	}
}

PINRING_FN float pinring_run_reduce(struct pinring_loop *loop, __u64 worker,
				    __u64 workers)
{
	struct pinring_job *job = &loop->job;
	float result;

	pinring_run_parts(loop, job->operation, worker, workers);
	if (pinring_team_barrier(loop, workers) || !pinring_leads(worker))
		return 0.0f;
	result = (float)pinring_combine_parts(loop->meeting, job->operation);
	if (job->dst)
		job->dst[0] = result;
	job->done = job->count;
	return result;
}

PINRING_FN void pinring_run_softmax(struct pinring_loop *loop, __u64 worker,
				    __u64 workers)
{
	struct pinring_job *job = &loop->job;
	struct pinring_meeting *meeting = loop->meeting;
	__u64 begin = pinring_share(job->count, worker, workers, 16);
	__u64 end = pinring_share(job->count, worker + 1, workers, 16);

	pinring_run_parts(loop, PINRING_OP_REDUCE_MAX, worker, workers);
	if (pinring_team_barrier(loop, workers))
		return;
	if (pinring_leads(worker))
		meeting->maximum = (float)pinring_combine_parts(
			meeting, PINRING_OP_REDUCE_MAX);
	if (pinring_team_barrier(loop, workers))
		return;
	pinring_run_parts(loop, PINRING_OP_SOFTMAX, worker, workers);
	if (pinring_team_barrier(loop, workers))
		return;
	if (pinring_leads(worker))
		meeting->factor = pinring_softmax_scale(
			pinring_combine_parts(meeting, PINRING_OP_SOFTMAX));
	if (pinring_team_barrier(loop, workers))
		return;
	PINRING_LANEWISE(scale, job->dst, job->dst, job->dst, meeting->factor, 0.0f,
		     begin, end);
	if (pinring_team_barrier(loop, workers))
		return;
	if (pinring_leads(worker))
		job->done = job->count;
}

/*
 * WAVE_STEP and WAVE_BLOCK. One barrier a step: the lane that updates the cell of
 * the source or of the microphone injects and probes right after that, and nobody
 * else touches those cells before the next step.
 */
PINRING_FN void pinring_run_wave(struct pinring_loop *loop, __u64 worker,
				 __u64 workers)
{
	struct pinring_job *job = &loop->job;
	struct pinring_meeting *meeting = loop->meeting;
	const struct pinring_room *room = &job->room;
	const __u64 rows = room->ny * room->nz;
	const __u64 begin = pinring_share(rows, worker, workers, 1);
	const __u64 end = pinring_share(rows, worker + 1, workers, 1);
	const int block = job->operation == PINRING_OP_WAVE_BLOCK;
	const int injects = block && pinring_wave_owns(room, begin, end,
						       job->source);
	const int probes = block && pinring_wave_owns(room, begin, end,
						      job->mic);
	const int leads = pinring_leads(worker);
	const __u64 count = job->count;
	__u64 i = 0;

	while (i < count) {
		int current = (int)((job->first_step + i) & 1);
		float *next = room->field[!current];
		/* Both come from afar, while the cells are computed. */
		const __u64 wish =
			leads ? pinring_load_word(&loop->control->wanted) : 0;
		const float sample = injects ? job->b[i] : 0.0f;

		pinring_wave_share(room, current, begin, end);
		if (injects)
			next[job->source] += sample;
		if (probes)
			job->dst[i] = next[job->mic];
		if (leads) {
			meeting->stop[i & 1] =
				(__u32)wish == PINRING_STATE_TERMINATED;
			pinring_beat(loop);
		}
		if (pinring_team_barrier(loop, workers))
			return;
		/*
		 * After the last barrier the coordinator may already write the
		 * next job: do not look at this one again.
		 */
		if (++i == count || meeting->stop[(i - 1) & 1])
			break;
	}
	if (leads) {
		pinring_store_word(job->steps, job->first_step + i);
		job->done = i;
	}
}

/* What is not worth timing: the coordinator alone, and no barrier. */
PINRING_FN float pinring_run_small(struct pinring_job *job)
{
	float *current;

	if (job->operation == PINRING_OP_NOP)
		return 0.0f;
	current = job->room.field[job->first_step & 1];
	job->done = 1;
	if (job->operation == PINRING_OP_WAVE_PROBE)
		return current[job->source];
	current[job->source] += job->s0;
	return 0.0f;
}

/* All else; the coordinator's return value is the result. */
PINRING_ONCE float pinring_run_job(struct pinring_loop *loop, __u64 worker)
{
	struct pinring_job *job = &loop->job;
	const __u64 workers = job->workers;

	switch (job->operation) {
	case PINRING_OP_SUM:
	case PINRING_OP_REDUCE_MIN:
	case PINRING_OP_REDUCE_MAX:
	case PINRING_OP_DOT:
		return pinring_run_reduce(loop, worker, workers);
	case PINRING_OP_SOFTMAX:
		pinring_run_softmax(loop, worker, workers);
		return 0.0f;
	case PINRING_OP_WAVE_STEP:
	case PINRING_OP_WAVE_BLOCK:
		pinring_run_wave(loop, worker, workers);
		return 0.0f;
	default:
		if (job->operation >= PINRING_OP_DYNAMIC)
			pinring_run_dynamic(loop, worker);
		else
			pinring_run_elementwise(
				job,
				pinring_share(job->count, worker, workers, 16),
				pinring_share(job->count, worker + 1, workers,
					      16));
		if (!pinring_team_barrier(loop, workers) && pinring_leads(worker))
			job->done = job->count;
		return 0.0f;
	}
}

#endif /* PINRING_RUN_H */
