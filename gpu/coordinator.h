/* SPDX-License-Identifier: MIT */
/*
 * coordinator.h - the persistent loop itself.
 */
#ifndef PINRING_COORDINATOR_H
#define PINRING_COORDINATOR_H

#include <linux/errno.h>
#include <stddef.h>

#include "run.h"

#include "ask.h"
#include "link.h"

/* A command on its way. */
struct pinring_turn {
	struct pinring_command command;
	struct pinring_completion completion;
};

#define PINRING_LONG_NS 10000

/* Who carries it out, as bits; 0: it is refused or cancelled. */
#define PINRING_WAY_ALONE 1 /* the coordinator's first lane */
#define PINRING_WAY_HOST 2 /* it asks a service of the host's */
#define PINRING_WAY_TEAM 4 /* job.workers workers */
#define PINRING_WAY_WRITES 8 /* and its results lie in memory */
#define PINRING_WAY_LINK 16 /* the coordinator's lanes, and another executor */

/* Who sees the state finds the answers that came before it, and is not woken sooner. */
PINRING_FN void pinring_reach(struct pinring_loop *loop, __u32 state)
{
	if (pinring_lane() == 0) {
		loop->state = state;
		pinring_fence_publish();
		pinring_store_word(&loop->control->reached,
				   loop->wish >> 32 << 32 | state);
		pinring_announce(loop);
		pinring_announce_again(loop);
	}
	pinring_together();
}

/* Words of our own to where the host reads them. */
PINRING_FN void pinring_publish(__u64 *to, const __u64 *from, __u32 words)
{
	__u32 w;

	for (w = pinring_lane(); w < words; w += PINRING_COORDINATORS)
		pinring_store_word(&to[w], from[w]);
}

PINRING_FN void pinring_publish_telemetry(struct pinring_loop *loop)
{
	pinring_publish((__u64 *)loop->telemetry, (const __u64 *)&loop->counters,
			offsetof(struct pinring_telemetry, reserved) /
				sizeof(__u64));
}

PINRING_ONCE void pinring_publish_profile(struct pinring_loop *loop, __u64 now)
{
	struct pinring_profile *counts = loop->counts;
	__u32 row;

	if (pinring_lane() == 0)
		counts->alive_ns = now - loop->began_ns;
	pinring_together();
	pinring_publish((__u64 *)loop->profile, (const __u64 *)counts,
			offsetof(struct pinring_profile, duration) /
				sizeof(__u64));
	for (row = 0; row < PINRING_PROFILE_OPERATIONS; row++)
		if (loop->unpublished >> row & 1)
			pinring_publish(loop->profile->duration[row],
					counts->duration[row],
					PINRING_PROFILE_BUCKETS);
	pinring_together();
	if (pinring_lane() == 0)
		loop->unpublished = 0;
}

/* The ring is empty: what was taken without a break was a burst. */
PINRING_FN void pinring_end_burst(struct pinring_loop *loop)
{
	__u32 bucket = pinring_log2(loop->burst);

	if (pinring_lane() || !loop->burst)
		return;
	if (bucket >= PINRING_PROFILE_BURSTS)
		bucket = PINRING_PROFILE_BURSTS - 1;
	loop->counts->burst[bucket]++;
	loop->burst = 0;
}

PINRING_FN void pinring_note_error(struct pinring_loop *loop, __s32 error,
				   __u32 id, __u32 operation, __u32 reason)
{
	pinring_store_pair(&loop->control->error, (__u32)error, id);
	pinring_store_pair(&loop->control->error_operation, operation, reason);
}

PINRING_FN void pinring_count(struct pinring_loop *loop,
			      const struct pinring_turn *turn)
{
	const struct pinring_completion *completion = &turn->completion;
	const struct pinring_job *job = &loop->job;
	struct pinring_telemetry *c = &loop->counters;
	__u64 ns = completion->duration_ns;
	__u32 row = turn->command.operation;
	__u32 bucket = pinring_log2(ns);

	if (row >= PINRING_PROFILE_OPERATIONS)
		row = PINRING_PROFILE_OPERATIONS - 1;
	if (bucket >= PINRING_PROFILE_BUCKETS)
		bucket = PINRING_PROFILE_BUCKETS - 1;
	loop->counts->duration[row][bucket]++;
	loop->unpublished |= 1ull << row;
	loop->burst++;
	c->processed++;
	c->last_ns = ns;
	c->busy_ns += ns;
	if (ns > c->longest_ns)
		c->longest_ns = ns;
	if (!pinring_is_link(turn->command.operation))
		c->elements += completion->done *
			       (job->operation == PINRING_OP_WAVE_STEP ||
						job->operation ==
							PINRING_OP_WAVE_BLOCK ?
					job->room.nx * job->room.ny *
						job->room.nz :
					1);
	if (completion->status) {
		c->failed++;
		pinring_note_error(loop, completion->status, turn->command.id,
				   turn->command.operation, completion->reason);
	}
}

/* A kernel faulted: its command gets no answer, nor does any behind it. */
PINRING_FN void pinring_give_up(struct pinring_loop *loop,
				const struct pinring_turn *turn)
{
	if (pinring_lane() == 0)
		pinring_note_error(loop, -EFAULT, turn->command.id,
				   turn->command.operation,
				   pinring_fault(loop));
	pinring_team_end(loop);
	pinring_reach(loop, PINRING_STATE_FAILED);
}

/* The loop is to leave: the command waits, as far as it came, until it is back. */
PINRING_FN void pinring_keep(struct pinring_loop *loop,
			     const struct pinring_turn *turn,
			     const struct pinring_feed *feed, const __u64 *words)
{
	struct pinring_kept *kept = &loop->kept;
	__u32 w;

	if (pinring_lane() == 0) {
		for (w = 0; w < PINRING_SLOT_WORDS; w++)
			kept->words[w] = words[w];
		kept->feed = feed ? (__u64)(feed - loop->feed) + 1 : 0;
		kept->start_ns = turn->completion.start_ns;
		kept->there = 1;
	}
	pinring_together();
}

/* Before it goes on, or is cancelled. NULL: it is the host's. */
PINRING_FN struct pinring_feed *pinring_kept_feed(struct pinring_loop *loop)
{
	const __u64 feed = loop->kept.feed;

	pinring_together();
	return feed ? &loop->feed[feed - 1] : 0;
}

/* Checks a command, and says who carries it out; cancel: nobody. */
PINRING_FN int pinring_prepare(struct pinring_loop *loop,
			       struct pinring_turn *turn, const __u64 *words,
			       int cancel)
{
	struct pinring_completion *c = &turn->completion;
	struct pinring_job *job = &loop->job;
	int writes;

	pinring_unpack_command(&turn->command, words);
	c->id = turn->command.id;
	c->status = 0;
	c->reason = PINRING_REASON_NONE;
	c->result = 0.0f;
	c->start_ns = 0;
	c->duration_ns = 0;
	job->operation = PINRING_OP_NOP;
	job->done = loop->kept.there ? loop->kept.done : 0;
	if (cancel) {
		c->status = -ECANCELED;
		c->reason = PINRING_REASON_STOPPED;
		return 0;
	}
	c->reason = pinring_check_command(loop, job, &turn->command);
	/* The check begins anew; what was done was done, even if no more is. */
	if (loop->kept.there)
		job->done = loop->kept.done;
	if (c->reason) {
		c->status = -EINVAL;
		return 0;
	}
	writes = pinring_writes_memory(&turn->command) ? PINRING_WAY_WRITES : 0;
	if (!pinring_worth_timing(job))
		return writes | PINRING_WAY_ALONE;
	c->start_ns = loop->kept.there ? loop->kept.start_ns : pinring_clock_ns();
	if (job->operation == PINRING_OP_ASK)
		return writes | PINRING_WAY_HOST;
	if (pinring_is_link(job->operation))
		return writes | PINRING_WAY_LINK;
	job->workers = loop->team->workers;
	if (job->workers > 1 && !pinring_worth_a_team(job))
		job->workers = 1;
	return writes | PINRING_WAY_TEAM;
}

/* It was carried out: how far, and in what time. */
PINRING_FN void pinring_conclude(struct pinring_loop *loop,
				 struct pinring_turn *turn, float result)
{
	struct pinring_completion *c = &turn->completion;
	const struct pinring_job *job = &loop->job;

	c->result = result;
	if (pinring_team_failed(loop) ||
	    ((job->operation == PINRING_OP_WAVE_STEP ||
	      job->operation == PINRING_OP_WAVE_BLOCK) &&
	     job->done < job->count)) {
		c->status = -ECANCELED;
		c->reason = PINRING_REASON_STOPPED;
	}
	if (c->start_ns)
		c->duration_ns = pinring_clock_ns() - c->start_ns;
}

/* What a forward or join came to; the result is the last answer's. */
PINRING_FN float pinring_note_link(struct pinring_loop *loop,
				   struct pinring_turn *turn, __u64 outcome)
{
	struct pinring_completion *c = &turn->completion;

	c->status = -(__s32)(outcome >> 32 & 0xffff);
	c->reason = (__u32)(outcome >> 48) & 0xff;
	return loop->job.operation == PINRING_OP_JOIN ?
		       pinring_link_of(loop)->result :
		       0.0f;
}

/*
 * Carries out one command, of the host or a feed, and answers it; cancel: answers it
 * unheard. 1: that took so long that what was seen of the host's side before is old; or
 * the command is kept.
 */
PINRING_FN int pinring_serve(struct pinring_loop *loop,
			     struct pinring_feed *feed, const __u64 *words,
			     int cancel)
{
	const int lead = pinring_lane() == 0;
	struct pinring_turn turn;
	float result = 0.0f;
	int way = 0;

	if (lead)
		way = pinring_prepare(loop, &turn, words, cancel);
	way = pinring_agree(way);
	if (way & PINRING_WAY_TEAM) {
		pinring_team_begin(loop);
		result = pinring_team_run(loop, 0);
		if (pinring_fault(loop)) {
			pinring_give_up(loop, &turn);
			return 0;
		}
	} else if (lead && way & PINRING_WAY_ALONE) {
		result = pinring_run_small(&loop->job);
	} else if (lead && way & PINRING_WAY_HOST) {
		result = pinring_ask(loop, &turn.command, &turn.completion);
	} else if (way & PINRING_WAY_LINK) {
		__u64 outcome = pinring_run_link(loop);

		if (outcome == PINRING_LINK_LEAVES) {
			pinring_keep(loop, &turn, feed, words);
			return 1;
		}
		if (lead)
			result = pinring_note_link(loop, &turn, outcome);
	}
	if (lead) {
		if (way)
			pinring_conclude(loop, &turn, result);
		turn.completion.done = loop->job.done;
		if (loop->kept.there)
			loop->kept.there = 0;
	}
	if (!pinring_answer(loop, feed ? &feed->answers : &loop->completions,
			    &turn.completion, way & PINRING_WAY_WRITES) &&
	    !feed)
		return 1;
	if (lead) {
		if (feed) {
			pinring_store_word(&loop->control->fed, 0);
		} else {
			pinring_store_word(&loop->control->completed,
					   ++loop->completed);
			pinring_announce(loop);
		}
		pinring_count(loop, &turn);
	}
	pinring_together();
	pinring_publish_telemetry(loop);
	if (loop->completed % PINRING_PROFILE_EVERY == 0)
		pinring_publish_profile(loop, pinring_clock_ns());
	return pinring_agree(lead && turn.completion.duration_ns >= PINRING_LONG_NS);
}

/* Answers a new wish of the host's. 0 when the loop is to end. */
PINRING_FN int pinring_obey(struct pinring_loop *loop, __u64 wish)
{
	__u32 wanted = (__u32)wish & ~PINRING_WISH_LEAVE;

	if (pinring_lane() == 0) {
		loop->wish = wish;
		pinring_learn_links(loop);
		pinring_forget_regions(loop);
	}
	pinring_together();
	if (wanted >= PINRING_STATE_LAUNCHED && wanted <= PINRING_STATE_DRAINING)
		pinring_reach(loop, wanted);
	return wanted != PINRING_STATE_TERMINATED;
}

/* A command is taken, of the host's or a feed: the first lane. */
PINRING_FN void pinring_accept(struct pinring_loop *loop,
			       struct pinring_feed *feed, const __u64 *words)
{
	pinring_beat(loop);
	if (feed) {
		/* So that the watchdog knows of it. */
		pinring_store_word(&loop->control->fed,
				   1ull << 63 | (words[0] & ((1ull << 48) - 1)));
		feed->commands.index++;
	} else {
		pinring_store_word(&loop->control->taken, ++loop->taken);
		pinring_device_release(&loop->commands);
	}
}

/* The clock was read while idle. 0 when that has been for too long. */
PINRING_FN int pinring_rest(struct pinring_loop *loop, struct pinring_idle *idle)
{
	const int falls_idle = !idle->since;

	if (falls_idle) {
		idle->since = idle->now;
		idle->last = idle->now;
	}
	if (pinring_lane() == 0) {
		loop->counts->idle_ns += idle->now - idle->last;
		pinring_beat(loop);
		if (falls_idle) {
			pinring_end_burst(loop);
			pinring_device_flush(&loop->commands);
			pinring_announce_again(loop);
		}
	}
	idle->last = idle->now;
	if (falls_idle || idle->drowsy)
		pinring_publish_profile(loop, idle->now);
	return !loop->idle_ns || idle->now - idle->since < loop->idle_ns;
}

/* The end: what is queued is answered, but not carried out. */
PINRING_FN void pinring_cancel_all(struct pinring_loop *loop,
				   struct pinring_intake *intake, int late)
{
	struct pinring_feed *feed;
	const __u64 *words;

	pinring_intake_drop(intake);
	for (;;) {
		if (loop->kept.there) {
			feed = pinring_kept_feed(loop);
			words = loop->kept.words;
		} else {
			feed = 0;
			words = pinring_take(loop, intake, 1);
			if (!words)
				break;
			if (pinring_lane() == 0)
				pinring_device_release(&loop->commands);
		}
		(void)pinring_serve(loop, feed, words, 1);
	}
	if (pinring_lane() == 0) {
		pinring_end_burst(loop);
		if (late)
			pinring_note_error(loop, -ETIMEDOUT, 0, PINRING_OP_NONE,
					   0);
	}
}

/*
 * All lanes that coordinate go through this. What one of them writes the others
 * read only after pinring_together(), and have read before they come there.
 */
PINRING_FN void pinring_coordinate(struct pinring_loop *loop)
{
	struct pinring_intake intake = {};
	struct pinring_idle idle = {};
	__u64 answered = loop->wish;
	const __u64 *words, *fed;
	struct pinring_feed *feed;
	const int begins = loop->state == PINRING_STATE_CREATED;
	__u64 quiet = 0; /* looks */
	int theirs = 0; /* it is the feeds' turn */
	int late = 0, leaves = 0;

	pinring_together();
	if (pinring_lane() == 0)
		pinring_learn_links(loop);
	pinring_together();
	/* Launched again, it goes on; the host's wish says in which state. */
	if (begins) {
		if (pinring_lane() == 0)
			loop->began_ns = pinring_clock_ns();
		/* With a limit it may be launched in the host's way, when nobody
		 * activates it.
		 */
		pinring_reach(loop, loop->limit ? PINRING_STATE_ACTIVE :
						  PINRING_STATE_LAUNCHED);
	}
	for (;;) {
		const __u32 state = loop->state;
		const int taking = state == PINRING_STATE_ACTIVE ||
				   state == PINRING_STATE_DRAINING;

		words = pinring_take(loop, &intake, taking);
		fed = taking && (theirs || !words) ?
			      pinring_take_fed(loop, &intake) :
			      0;
		if (intake.wish != answered) {
			answered = intake.wish;
			if (!pinring_obey(loop, answered))
				break;
			leaves = (answered & PINRING_WISH_LEAVE) != 0;
			if (leaves)
				break;
			/* What was seen of the ring may be older than the wish. */
			pinring_intake_drop(&intake);
			pinring_idle_reset(&idle);
			quiet = 0;
		} else if ((taking && loop->kept.there) || words || fed) {
			quiet = 0;
			if (loop->kept.there) {
				feed = pinring_kept_feed(loop);
				words = loop->kept.words;
			} else {
				feed = fed ? &loop->feed[intake.feed] : 0;
				theirs = !fed;
				if (pinring_lane() == 0)
					pinring_accept(loop, feed, fed);
				words = fed ? fed : words;
			}
			if (pinring_serve(loop, feed, words, 0))
				pinring_intake_drop(&intake);
			if (pinring_fault(loop))
				return;
			pinring_idle_reset(&idle);
			if (loop->limit && loop->completed >= loop->limit)
				break;
		} else if (state == PINRING_STATE_DRAINING &&
			   quiet++ >= loop->feeds) {
			break; /* each feed was looked at since */
		} else if (pinring_idle(loop, &idle) &&
			   !pinring_rest(loop, &idle)) {
			late = 1;
			break;
		}
	}
	if (!leaves)
		pinring_cancel_all(loop, &intake, late);
	pinring_publish_profile(loop, pinring_clock_ns());
	pinring_team_end(loop);
	if (!leaves)
		pinring_reach(loop, PINRING_STATE_TERMINATED);
}

/* Every thread of the executor runs this once, from launch to the end. */
PINRING_FN void pinring_loop_run(struct pinring_loop *loop, __u64 worker)
{
	__u64 generation = 0;

	if (pinring_coordinates(worker)) {
		pinring_coordinate(loop);
		return;
	}
	while (pinring_team_wait(loop, worker, &generation))
		(void)pinring_team_run(loop, worker);
}

#endif /* PINRING_COORDINATOR_H */
