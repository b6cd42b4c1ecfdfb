/* SPDX-License-Identifier: MIT */
/*
 * run.h - the operations, as a team carries them out.
 *
 * Every function here is called by each worker of the team with the same job.
 * Results do not depend on how many workers there are: elements are computed
 * one by one, and sums over PINRING_PARTS fixed parts that the coordinator
 * adds in order.
 */
#ifndef PINRING_RUN_H
#define PINRING_RUN_H

#include "check.h"
#include "kernels/elementwise.h"

/* Smaller jobs are done by the coordinator, without waking the team. */
#define PINRING_TEAM_ELEMENTS 32768
#define PINRING_TEAM_CELLS 8192

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
		return job->count >= PINRING_TEAM_ELEMENTS;
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
		pinring_fill_range(dst, a, b, s0, s1, begin, end);
		break;
	case PINRING_OP_COPY:
		pinring_copy_range(dst, a, b, s0, s1, begin, end);
		break;
	case PINRING_OP_ADD:
		pinring_add_range(dst, a, b, s0, s1, begin, end);
		break;
	case PINRING_OP_SUB:
		pinring_sub_range(dst, a, b, s0, s1, begin, end);
		break;
	case PINRING_OP_MUL:
		pinring_mul_range(dst, a, b, s0, s1, begin, end);
		break;
	case PINRING_OP_DIV:
		pinring_div_range(dst, a, b, s0, s1, begin, end);
		break;
	case PINRING_OP_MIN:
		pinring_min_range(dst, a, b, s0, s1, begin, end);
		break;
	case PINRING_OP_MAX:
		pinring_max_range(dst, a, b, s0, s1, begin, end);
		break;
	case PINRING_OP_AXPY:
		pinring_axpy_range(dst, a, b, s0, s1, begin, end);
		break;
	case PINRING_OP_SCALE:
		pinring_scale_range(dst, a, b, s0, s1, begin, end);
		break;
	case PINRING_OP_RELU:
		pinring_relu_range(dst, a, b, s0, s1, begin, end);
		break;
	case PINRING_OP_SIGMOID:
		pinring_sigmoid_range(dst, a, b, s0, s1, begin, end);
		break;
	case PINRING_OP_TANH:
		pinring_tanh_range(dst, a, b, s0, s1, begin, end);
		break;
	case PINRING_OP_GELU:
		pinring_gelu_range(dst, a, b, s0, s1, begin, end);
		break;
	case PINRING_OP_GELU_TANH:
		pinring_gelu_tanh_range(dst, a, b, s0, s1, begin, end);
		break;
	default:
		break;
	}
}

PINRING_FN void pinring_reduce_part(struct pinring_job *job, __u32 operation,
				    __u32 part)
{
	__u64 begin = pinring_part_begin(job->count, part);
	__u64 end = pinring_part_begin(job->count, part + 1);

	switch (operation) {
	case PINRING_OP_SUM:
		job->partial[part] = pinring_sum_range(job->a, begin, end);
		break;
	case PINRING_OP_DOT:
		job->partial[part] =
			pinring_dot_range(job->a, job->b, begin, end);
		break;
	case PINRING_OP_REDUCE_MIN:
		job->extreme[part] =
			pinring_reduce_min_range(job->a, begin, end);
		break;
	case PINRING_OP_REDUCE_MAX:
		job->extreme[part] =
			pinring_reduce_max_range(job->a, begin, end);
		break;
	case PINRING_OP_SOFTMAX: /* its second pass */
		job->partial[part] = pinring_exp_shift_range(
			job->dst, job->a, job->maximum, begin, end);
		break;
	default:
		break;
	}
}

PINRING_FN void pinring_run_parts(struct pinring_job *job, __u32 operation,
				  __u64 worker, __u64 workers)
{
	__u32 part;

	for (part = (__u32)worker; part < PINRING_PARTS;
	     part += (__u32)workers)
		pinring_reduce_part(job, operation, part);
}

/* Coordinator, after a barrier: the parts in order. */
PINRING_FN float pinring_combine_parts(const struct pinring_job *job)
{
	switch (job->operation) {
	case PINRING_OP_REDUCE_MIN:
		return pinring_parts_min(job->extreme);
	case PINRING_OP_REDUCE_MAX:
		return pinring_parts_max(job->extreme);
	default:
		return (float)pinring_parts_sum(job->partial);
	}
}

PINRING_FN float pinring_run_reduce(struct pinring_loop *loop, __u64 worker,
				    __u64 workers)
{
	struct pinring_job *job = &loop->job;
	float result = 0.0f;

	pinring_run_parts(job, job->operation, worker, workers);
	pinring_team_barrier(loop->team, workers);
	if (worker == 0) {
		result = pinring_combine_parts(job);
		if (job->dst)
			job->dst[0] = result;
		job->done = job->count;
	}
	return result;
}

PINRING_FN void pinring_run_softmax(struct pinring_loop *loop, __u64 worker,
				    __u64 workers)
{
	struct pinring_job *job = &loop->job;
	__u64 begin = pinring_share(job->count, worker, workers, 16);
	__u64 end = pinring_share(job->count, worker + 1, workers, 16);

	pinring_run_parts(job, PINRING_OP_REDUCE_MAX, worker, workers);
	pinring_team_barrier(loop->team, workers);
	if (worker == 0)
		job->maximum = pinring_parts_max(job->extreme);
	pinring_team_barrier(loop->team, workers);
	pinring_run_parts(job, PINRING_OP_SOFTMAX, worker, workers);
	pinring_team_barrier(loop->team, workers);
	if (worker == 0)
		job->factor = pinring_softmax_scale(
			pinring_parts_sum(job->partial));
	pinring_team_barrier(loop->team, workers);
	pinring_scale_range(job->dst, job->dst, job->dst, job->factor, 0.0f,
			    begin, end);
	pinring_team_barrier(loop->team, workers);
	if (worker == 0)
		job->done = job->count;
}

PINRING_FN int pinring_told_to_stop(const struct pinring_loop *loop)
{
	return (__u32)pinring_load_word(&loop->control->wanted) ==
	       PINRING_STATE_TERMINATED;
}

/*
 * WAVE_STEP and WAVE_BLOCK. One barrier a step: the worker that owns the row of
 * the source or of the microphone injects and probes right after it has updated
 * that row, and nobody else touches those cells before the next step.
 */
PINRING_FN void pinring_run_wave(struct pinring_loop *loop, __u64 worker,
				 __u64 workers)
{
	struct pinring_job *job = &loop->job;
	const struct pinring_room *room = &job->room;
	const __u64 rows = room->ny * room->nz;
	const __u64 begin = pinring_share(rows, worker, workers, 1);
	const __u64 end = pinring_share(rows, worker + 1, workers, 1);
	const __u64 source_row = job->source / room->nx;
	const __u64 mic_row = job->mic / room->nx;
	const __u64 count = job->count;
	const int block = job->operation == PINRING_OP_WAVE_BLOCK;
	const int injects = block && source_row >= begin && source_row < end;
	const int probes = block && mic_row >= begin && mic_row < end;
	__u64 i = 0;

	while (i < count) {
		int current = (int)((job->first_step + i) & 1);
		float *next = room->field[!current];

		pinring_wave_rows(room, current, begin, end, 0, 1);
		if (injects)
			next[job->source] += job->b[i];
		if (probes)
			job->dst[i] = next[job->mic];
		if (worker == 0) {
			job->stop[i & 1] = (__u64)pinring_told_to_stop(loop);
			pinring_store_word(&loop->control->heartbeat,
					   loop->control->heartbeat + 1);
		}
		pinring_team_barrier(loop->team, workers);
		/*
		 * After the last barrier the coordinator may already write the
		 * next job: do not look at this one again.
		 */
		if (++i == count || job->stop[(i - 1) & 1])
			break;
	}
	if (worker == 0) {
		pinring_store_word(job->steps, job->first_step + i);
		job->done = i;
	}
}

/* Every worker of the team; the coordinator's return value is the result. */
PINRING_ONCE float pinring_run_job(struct pinring_loop *loop, __u64 worker,
				 __u64 workers)
{
	struct pinring_job *job = &loop->job;
	float *current;

	switch (job->operation) {
	case PINRING_OP_NOP:
		return 0.0f;
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
	case PINRING_OP_WAVE_INJECT:
		current = job->room.field[job->first_step & 1];
		current[job->source] += job->s0;
		job->done = 1;
		return 0.0f;
	case PINRING_OP_WAVE_PROBE:
		current = job->room.field[job->first_step & 1];
		job->done = 1;
		return current[job->source];
	default:
		pinring_run_elementwise(
			job, pinring_share(job->count, worker, workers, 16),
			pinring_share(job->count, worker + 1, workers, 16));
		pinring_team_barrier(loop->team, workers);
		if (worker == 0)
			job->done = job->count;
		return 0.0f;
	}
}

#endif /* PINRING_RUN_H */
