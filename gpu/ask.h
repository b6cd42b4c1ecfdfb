/* SPDX-License-Identifier: MIT */
/*
 * ask.h - a request to the host, from the loop's side; service.h has the picture.
 *
 * Two more device rings, requests and replies. Only the coordinator's first lane
 * asks, and one thing at a time, so each ring has one producer and one consumer. A
 * reply names its request: one that comes after the loop has given up waiting is
 * told from the next by that.
 */
#ifndef PINRING_ASK_H
#define PINRING_ASK_H

#include <linux/errno.h>

#include "loop.h"

#define PINRING_ASK_SERVICE_BITS 8
#define PINRING_ASK_SERVICE_MASK ((1ull << PINRING_ASK_SERVICE_BITS) - 1)

PINRING_FN void pinring_pack_question(__u64 word[PINRING_SLOT_WORDS],
				      const struct pinring_command *c,
				      __u64 number)
{
	word[0] = number & PINRING_WORD_MASK;
	word[1] = c->id | (c->aux & PINRING_ASK_SERVICE_MASK) << 32;
	word[2] = c->aux >> PINRING_ASK_SERVICE_BITS;
	word[3] = pinring_pack_operand(c->dst);
	word[4] = c->count;
	word[5] = pinring_float_bits(c->s0);
	word[6] = pinring_float_bits(c->s1);
	word[7] = 0;
}

/* Sends the question; 0 when the loop is to end instead. */
PINRING_FN int pinring_ask_send(struct pinring_loop *loop, const __u64 *words)
{
	while (!pinring_device_send(&loop->requests, words)) {
		if (pinring_told_to_stop(loop))
			return 0;
		pinring_nap();
	}
	pinring_announce_request(loop);
	return 1;
}

/* The answer's words; 0 when the loop is to end instead. */
PINRING_FN int pinring_ask_wait(struct pinring_loop *loop, __u64 number,
				__u64 *words)
{
	for (;;) {
		if (pinring_device_peek(&loop->replies, words)) {
			pinring_device_release(&loop->replies);
			if (words[0] == (number & PINRING_WORD_MASK))
				return 1;
			continue; /* to a question we no longer wait for */
		}
		if (pinring_told_to_stop(loop))
			return 0;
		pinring_beat(loop);
		pinring_nap();
	}
}

/* Fills in the completion's status and reason, and job.done; the result. */
PINRING_FN float pinring_ask(struct pinring_loop *loop,
			    const struct pinring_command *command,
			    struct pinring_completion *c)
{
	const __u64 service = command->aux & PINRING_ASK_SERVICE_MASK;
	__u64 words[PINRING_SLOT_WORDS];
	__u64 number = ++loop->asked;

	/* acquire: pairs with the store in pinring_executor_offer() */
	if (service >= PINRING_SERVICES_MAX ||
	    !(pinring_load_word(&loop->attachments->services) >> service & 1)) {
		c->status = -EOPNOTSUPP;
		c->reason = PINRING_REASON_SERVICE;
		return 0.0f;
	}
	pinring_pack_question(words, command, number);
	if (!pinring_ask_send(loop, words) ||
	    !pinring_ask_wait(loop, number, words)) {
		c->status = -ECANCELED;
		c->reason = PINRING_REASON_STOPPED;
		return 0.0f;
	}
	c->status = -(__s32)(words[1] & 0xffff);
	c->reason = c->status ? PINRING_REASON_SERVED : PINRING_REASON_NONE;
	loop->job.done = words[2] & ((1ull << PINRING_COUNT_BITS) - 1);
	return pinring_bits_float((__u32)words[3]);
}

#endif /* PINRING_ASK_H */
