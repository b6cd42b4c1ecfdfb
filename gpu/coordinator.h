/* SPDX-License-Identifier: MIT */
/*
 * coordinator.h - the persistent loop itself.
 */
#ifndef PINRING_COORDINATOR_H
#define PINRING_COORDINATOR_H

#include <linux/errno.h>

#include "run.h"

PINRING_FN void pinring_reach(struct pinring_loop *loop, __u32 state)
{
	loop->state = state;
	pinring_store_word(&loop->control->reached,
			   loop->epoch << 32 | state);
	pinring_announce(loop);
}

PINRING_FN void pinring_publish_telemetry(struct pinring_loop *loop)
{
	const struct pinring_telemetry *c = &loop->counters;
	struct pinring_telemetry *t = loop->telemetry;

	pinring_store_word(&t->processed, c->processed);
	pinring_store_word(&t->failed, c->failed);
	pinring_store_word(&t->elements, c->elements);
	pinring_store_word(&t->busy_ns, c->busy_ns);
	pinring_store_word(&t->last_ns, c->last_ns);
	pinring_store_word(&t->longest_ns, c->longest_ns);
	pinring_store_word(&t->sleeps, c->sleeps);
}

PINRING_FN void pinring_count(struct pinring_loop *loop,
			      const struct pinring_command *command,
			      const struct pinring_completion *completion)
{
	struct pinring_telemetry *c = &loop->counters;
	struct pinring_control_block *control = loop->control;
	__u64 ns = completion->duration_ns;

	c->processed++;
	c->last_ns = ns;
	c->busy_ns += ns;
	if (ns > c->longest_ns)
		c->longest_ns = ns;
	c->elements += completion->done *
		       (loop->job.operation == PINRING_OP_WAVE_STEP ||
					loop->job.operation ==
						PINRING_OP_WAVE_BLOCK ?
				loop->job.room.nx * loop->job.room.ny *
					loop->job.room.nz :
				1);
	if (completion->status) {
		c->failed++;
		__atomic_store_n(&control->error, completion->status,
				 __ATOMIC_RELAXED);
		__atomic_store_n(&control->error_id, command->id,
				 __ATOMIC_RELAXED);
		__atomic_store_n(&control->error_operation, command->operation,
				 __ATOMIC_RELAXED);
		__atomic_store_n(&control->error_reason, completion->reason,
				 __ATOMIC_RELAXED);
	}
	pinring_publish_telemetry(loop);
}

/* Checks and carries out one command; cancel: answers it unheard. */
PINRING_FN void pinring_serve(struct pinring_loop *loop, __u64 workers,
			      const __u64 *words, int cancel)
{
	__u64 answer[PINRING_SLOT_WORDS];
	struct pinring_command command;
	struct pinring_completion completion;
	__u64 spins = 0;

	pinring_unpack_command(&command, words);
	completion.id = command.id;
	completion.status = 0;
	completion.reason = PINRING_REASON_NONE;
	completion.result = 0.0f;
	completion.start_ns = 0;
	completion.duration_ns = 0;
	loop->job.done = 0;
	loop->job.operation = PINRING_OP_NOP;
	if (cancel) {
		completion.status = -ECANCELED;
		completion.reason = PINRING_REASON_STOPPED;
	} else {
		completion.reason =
			pinring_check_command(loop, &loop->job, &command);
		if (completion.reason) {
			completion.status = -EINVAL;
			loop->job.done = 0;
		} else if (!pinring_worth_timing(&loop->job)) {
			completion.result = pinring_run_job(loop, 0, 1);
		} else if (workers > 1 && pinring_worth_a_team(&loop->job)) {
			completion.start_ns = pinring_clock_ns();
			pinring_team_begin(loop->team, 0);
			completion.result = pinring_run_job(loop, 0, workers);
		} else {
			completion.start_ns = pinring_clock_ns();
			completion.result = pinring_run_job(loop, 0, 1);
		}
		if (!completion.status &&
		    (command.operation == PINRING_OP_WAVE_STEP ||
		     command.operation == PINRING_OP_WAVE_BLOCK) &&
		    loop->job.done < command.count) {
			completion.status = -ECANCELED;
			completion.reason = PINRING_REASON_STOPPED;
		}
	}
	completion.done = loop->job.done;
	if (completion.start_ns)
		completion.duration_ns =
			pinring_clock_ns() - completion.start_ns;
	pinring_pack_completion(answer, &completion);
	/*
	 * The host keeps fewer commands in flight than the completion ring has
	 * slots, so this is no wait unless that rule was broken.
	 */
	while (!pinring_device_send(&loop->completions, answer)) {
		if (++spins > PINRING_TEAM_SPINS && pinring_told_to_stop(loop))
			return;
		pinring_relax();
	}
	pinring_store_word(&loop->control->completed, ++loop->completed);
	pinring_announce(loop);
	pinring_count(loop, &command, &completion);
}

/* Answers the host's last wish. 0 when the loop is to end. */
PINRING_FN int pinring_obey(struct pinring_loop *loop)
{
	__u64 wish = pinring_load_word(&loop->control->wanted);
	__u32 wanted = (__u32)wish;

	if (wish >> 32 != loop->epoch) {
		loop->epoch = wish >> 32;
		if (wanted == PINRING_STATE_ACTIVE ||
		    wanted == PINRING_STATE_PAUSED ||
		    wanted == PINRING_STATE_DRAINING)
			pinring_reach(loop, wanted);
	}
	return wanted != PINRING_STATE_TERMINATED;
}

PINRING_FN void pinring_coordinate(struct pinring_loop *loop, __u64 workers)
{
	struct pinring_idle idle = { 0 };
	__u64 words[PINRING_SLOT_WORDS];

	pinring_reach(loop, PINRING_STATE_LAUNCHED);
	while (pinring_obey(loop)) {
		int taking = loop->state == PINRING_STATE_ACTIVE ||
			     loop->state == PINRING_STATE_DRAINING;

		if (taking && pinring_device_peek(&loop->commands, words)) {
			pinring_store_word(&loop->control->taken,
					   ++loop->taken);
			pinring_store_word(&loop->control->heartbeat,
					   loop->control->heartbeat + 1);
			pinring_device_release(&loop->commands);
			pinring_serve(loop, workers, words, 0);
			idle.polls = 0;
			idle.drowsy = 0;
			continue;
		}
		if (loop->state == PINRING_STATE_DRAINING)
			break;
		if (idle.drowsy)
			pinring_device_flush(&loop->commands);
		pinring_idle(loop, &idle);
	}
	while (pinring_device_peek(&loop->commands, words)) {
		pinring_device_release(&loop->commands);
		pinring_serve(loop, workers, words, 1);
	}
	pinring_publish_telemetry(loop);
	if (workers > 1)
		pinring_team_begin(loop->team, 1);
	pinring_reach(loop, PINRING_STATE_TERMINATED);
}

/* Every thread of the executor runs this once, from launch to the end. */
PINRING_FN void pinring_loop_run(struct pinring_loop *loop, __u64 worker)
{
	__u64 workers = loop->team->workers;
	__u64 generation = 0;

	if (worker == 0) {
		pinring_coordinate(loop, workers);
		return;
	}
	while (pinring_team_wait(loop->team, &generation))
		(void)pinring_run_job(loop, worker, workers);
}

#endif /* PINRING_COORDINATOR_H */
