/* SPDX-License-Identifier: MIT */
/*
 * link.h - commands from one executor's loop to another's.
 *
 *	from                                     to
 *	forward --> [commands]  ---------------> between its host's commands: check, run
 *	join    <-- [answers]   <--------------- publish
 *
 * To the executor at its far end a link is another host: the same commands, which
 * it believes as little, and the same answers. Both rings have one producer and one
 * consumer, the two loops. No more commands are under way than the ring of commands
 * has slots; a place is free when its command is answered, which is why nobody
 * looks at that ring's head, and why an answer always finds room.
 *
 * Who forwards or joins does nothing else meanwhile, so two that wait for each
 * other wait until a time or a wish of their hosts' ends it. A loop that is told to
 * leave meanwhile keeps the command as far as it came (struct pinring_kept): what was
 * sent is counted in the link, which it keeps, too, so that nothing is sent twice.
 */
#ifndef PINRING_GPU_LINK_H
#define PINRING_GPU_LINK_H

#include <linux/errno.h>

#include "loop.h"

/* A state of an executor, of control->wanted or ->reached. */
#define PINRING_STATE_BITS 0xff

#define PINRING_LINK_TURNS 64 /* without a wait, between two looks at the wish */
#define PINRING_REASON_LEAVES 256u /* beside enum pinring_reason; in no completion */
#define PINRING_LINK_LEAVES (~0ull) /* for all that coordinate */

/*
 * What the host has connected since, and what it has taken back, which is none any more
 * when the wish is answered: the first lane.
 */
PINRING_ONCE void pinring_learn_links(struct pinring_loop *loop)
{
	const struct pinring_attachments *from = loop->attachments;
	/* acquire: pairs with the stores in pinring_executor_connect() */
	const __u64 changes = pinring_load_word(&from->changes);
	__u64 i, serial;

	if (changes == loop->changes)
		return;
	loop->changes = changes;
	loop->feeds = 0;
	loop->silent = 0;
	for (i = 0; i < PINRING_LINKS_MAX; i++) {
		serial = pinring_load_word(&from->feed[i].serial);
		pinring_fence_consume();
		if (!serial)
			loop->feed[i].serial = 0;
		else if (serial != loop->feed[i].serial)
			loop->feed[i] = from->feed[i];
		if (serial) {
			loop->feeds = i + 1;
			loop->silent |= loop->feed[i].silent;
		}
		if (loop->link[i].number != pinring_load_word(&from->link[i].number))
			loop->link[i].number = 0;
	}
}

/* That the job is about. */
PINRING_FN struct pinring_link *pinring_link_of(struct pinring_loop *loop)
{
	return &loop->link[(loop->job.aux & PINRING_LINK_MASK) %
			   PINRING_LINKS_MAX];
}

PINRING_FN __u64 pinring_under_way(const struct pinring_link *link)
{
	return link->commands.index - link->answers.index;
}

PINRING_FN void pinring_note_answer(struct pinring_link *link,
				    const __u64 *words)
{
	struct pinring_completion c;

	pinring_unpack_completion(&c, words);
	if (!c.status)
		link->done++;
	else if (!link->failure)
		link->failure = words[0];
	link->result = c.result;
	pinring_device_release(&link->answers);
}

/* Takes in answers that have come; all lanes that coordinate. Returns how many. */
PINRING_FN __u64 pinring_hear(struct pinring_loop *loop,
			      struct pinring_link *link)
{
	__u64 *words = pinring_heard(loop);
	__u64 count, i, most = pinring_under_way(link);

	count = pinring_look(&link->answers, words);
	/* More than was asked for is nobody's answer. */
	if (count > most)
		count = most;
	pinring_together();
	if (pinring_lane() == 0) {
		for (i = 0; i < count; i++)
			pinring_note_answer(link, &words[i * PINRING_SLOT_WORDS]);
	}
	/* What they tell of is there for the commands that follow. */
	if (count)
		pinring_fence_consume();
	pinring_together();
	return count;
}

/* Why not to go on waiting, if not; the first lane. */
PINRING_FN __u32 pinring_link_doubt(struct pinring_loop *loop,
				    const struct pinring_link *link,
				    __u64 until, enum pinring_state ends)
{
	const __u64 wish = pinring_load_word(&loop->control->wanted);
	const __u64 wanted = pinring_load_word(&link->peer->wanted);
	const __u64 reached = pinring_load_word(&link->peer->reached);

	pinring_beat(loop);
	if ((__u32)wish == PINRING_STATE_TERMINATED)
		return PINRING_REASON_STOPPED;
	if (wish & PINRING_WISH_LEAVE)
		return PINRING_REASON_LEAVES;
	if ((wanted & PINRING_STATE_BITS) >= (__u64)ends ||
	    (reached & PINRING_STATE_BITS) >= PINRING_STATE_TERMINATED)
		return PINRING_REASON_PEER;
	if (until && pinring_clock_ns() >= until)
		return PINRING_REASON_LATE;
	return PINRING_REASON_NONE;
}

/*
 * Waiting goes on: 0; else the reason why not. It does not if the peer is to reach
 * the state `ends` or a later one, or has ended.
 */
PINRING_FN __u32 pinring_link_waits(struct pinring_loop *loop,
				    const struct pinring_link *link,
				    __u64 until, enum pinring_state ends)
{
	__u32 reason = 0;

	if (pinring_lane() == 0)
		reason = pinring_link_doubt(loop, link, until, ends);
	return (__u32)pinring_agree((int)reason);
}

/* Sends count commands that lie in memory, where there is room for them. */
PINRING_FN void pinring_send_commands(struct pinring_link *link,
				      const __u64 *from, __u64 count)
{
	struct pinring_device_producer p = link->commands;
	const __u64 first = p.index;
	__u64 w;

	for (w = pinring_lane(); w < count * PINRING_SLOT_WORDS;
	     w += PINRING_COORDINATORS) {
		p.index = first + w / PINRING_SLOT_WORDS;
		pinring_device_put(&p, w % PINRING_SLOT_WORDS,
				   pinring_load_word(&from[w]));
	}
	pinring_together();
	if (pinring_lane() == 0) {
		link->commands.index += count;
		pinring_announce_forward(link);
	}
	pinring_together();
}

/* Why not all of them were sent; *sent were, some before. */
PINRING_FN __u32 pinring_forward(struct pinring_loop *loop,
				 struct pinring_link *link, __u64 until,
				 __u64 *sent)
{
	const __u64 *from = (const __u64 *)(const pinring_pair *)loop->job.a;
	const __u64 count = loop->job.count;
	__u64 most, turns = 0;
	__u32 reason = PINRING_REASON_NONE;

	/* What the commands before this one wrote is there before they are. */
	pinring_fence_publish();
	for (;;) {
		/* At first, after each nap, and now and then; not to refuse what is done. */
		if (turns++ % PINRING_LINK_TURNS == 0 && (*sent < count || !count))
			reason = pinring_link_waits(loop, link, until,
						    PINRING_STATE_DRAINING);
		if (reason || *sent == count)
			return reason;
		most = link->commands.capacity - pinring_under_way(link);
		if (most > PINRING_LOOK_SLOTS)
			most = PINRING_LOOK_SLOTS;
		if (most > count - *sent)
			most = count - *sent;
		if (most) {
			pinring_send_commands(
				link, &from[*sent * PINRING_SLOT_WORDS], most);
			*sent += most;
		} else if (!pinring_hear(loop, link)) {
			pinring_nap();
			turns = 0;
		}
	}
}

/* Why not all answers came. */
PINRING_FN __u32 pinring_join(struct pinring_loop *loop,
			      struct pinring_link *link, __u64 until)
{
	__u32 reason = PINRING_REASON_NONE;

	while (!reason && pinring_under_way(link)) {
		if (pinring_hear(loop, link))
			continue;
		pinring_nap();
		reason = pinring_link_waits(loop, link, until,
					    PINRING_STATE_TERMINATED);
	}
	/* It may have answered all, and ended then. */
	if (reason == PINRING_REASON_PEER) {
		while (pinring_hear(loop, link))
			;
		if (!pinring_under_way(link))
			reason = PINRING_REASON_NONE;
	}
	return reason;
}

/* Reason and status, as in the first word of a completion. */
PINRING_FN __u64 pinring_link_outcome(__u32 reason)
{
	switch (reason) {
	case PINRING_REASON_NONE:
		return 0;
	case PINRING_REASON_STOPPED:
		return (__u64)reason << 48 | (__u64)ECANCELED << 32;
	case PINRING_REASON_LATE:
		return (__u64)reason << 48 | (__u64)ETIMEDOUT << 32;
	default:
		return (__u64)reason << 48 | (__u64)EPIPE << 32;
	}
}

/* When all is in: that, of the first that failed. The next join begins anew. */
PINRING_FN __u64 pinring_joined(struct pinring_link *link)
{
	const __u64 failure = link->failure;

	link->done = 0;
	link->failure = 0;
	return failure;
}

/*
 * FORWARD and JOIN, by all lanes that coordinate. The first returns reason and
 * status as in the first word of a completion, and fills in job.done; or all of them
 * PINRING_LINK_LEAVES, and kept says how far it came.
 */
PINRING_ONCE __u64 pinring_run_link(struct pinring_loop *loop)
{
	struct pinring_kept *kept = &loop->kept;
	struct pinring_job *job = &loop->job;
	struct pinring_link *link;
	__u64 until = 0, sent;
	__u32 reason;
	int forwards;

	pinring_together();
	link = pinring_link_of(loop);
	forwards = job->operation == PINRING_OP_FORWARD;
	sent = kept->there ? kept->done : 0;
	/* Only the first lane looks at the clock later. */
	if (kept->there)
		until = kept->until_ns;
	else if (pinring_lane() == 0 && job->aux >> PINRING_LINK_BITS)
		until = pinring_clock_ns() + (job->aux >> PINRING_LINK_BITS) * 1000;
	reason = forwards ? pinring_forward(loop, link, until, &sent) :
			    pinring_join(loop, link, until);
	pinring_together();
	if (pinring_lane() == 0) {
		job->done = forwards ? sent : link->done;
		kept->done = job->done;
		kept->until_ns = until;
	}
	if (reason == PINRING_REASON_LEAVES)
		return PINRING_LINK_LEAVES;
	if (pinring_lane())
		return 0;
	return reason || forwards ? pinring_link_outcome(reason) :
				    pinring_joined(link);
}

#endif /* PINRING_GPU_LINK_H */
