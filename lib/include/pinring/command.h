/* SPDX-License-Identifier: MIT */
/*
 * command.h - what an executor is told, and what it answers.
 *
 * A command names an operation, up to three operands as (region, offset)
 * pairs, a count, two scalars and an extra word. The executor checks all of it
 * and answers every command with exactly one completion, in order. Both travel
 * as eight 56-bit words of a device-ring slot; the layout of the bits is drawn
 * in pinring_layout.h. The pack and unpack functions are the same source on
 * host and device.
 */
#ifndef PINRING_COMMAND_H
#define PINRING_COMMAND_H

#include <pinring/port.h>
#include <pinring/pinring_layout.h>

/* Keep no completion: nobody will ask. Failures still count in telemetry. */
#define PINRING_COMMAND_DETACHED 1u

struct pinring_operand {
	__u64 offset; /* from the region's base or the memory's, below 2^48 */
	__u32 region; /* the number that attaching or allocating it returned */
};

struct pinring_command {
	__u32 id; /* the submitter's; returned in the completion */
	__u16 operation; /* enum pinring_operation */
	__u8 flags; /* PINRING_COMMAND_* */
	struct pinring_operand dst, a, b;
	__u64 count; /* elements, steps or samples; below 2^48 */
	float s0, s1;
	__u64 aux; /* below 2^56 */
};

struct pinring_completion {
	__u32 id;
	__s32 status; /* 0 or -errno */
	__u32 reason; /* enum pinring_reason, when status is below 0 */
	float result; /* of a reduction or a probe */
	/*
	 * Executor's clock (on the host CLOCK_MONOTONIC), modulo 2^56. Both 0
	 * for refused commands, and for nop, inject and probe: these take a
	 * tenth of the time that reading the clock does.
	 */
	__u64 start_ns;
	__u64 duration_ns;
	__u64 done; /* elements, steps or samples done */
};

PINRING_FN __u64 pinring_pack_operand(struct pinring_operand o)
{
	return (o.offset & ((1ull << PINRING_OFFSET_BITS) - 1)) |
	       (__u64)(o.region & 0xff) << PINRING_OFFSET_BITS;
}

PINRING_FN struct pinring_operand pinring_unpack_operand(__u64 word)
{
	struct pinring_operand o;

	o.offset = word & ((1ull << PINRING_OFFSET_BITS) - 1);
	o.region = (__u32)(word >> PINRING_OFFSET_BITS) & 0xff;
	return o;
}

PINRING_FN void pinring_pack_command(__u64 word[PINRING_SLOT_WORDS],
				     const struct pinring_command *c)
{
	word[0] = c->id | (__u64)c->operation << 32 | (__u64)c->flags << 48;
	word[1] = c->count;
	word[2] = pinring_pack_operand(c->dst);
	word[3] = pinring_pack_operand(c->a);
	word[4] = pinring_pack_operand(c->b);
	word[5] = pinring_float_bits(c->s0);
	word[6] = pinring_float_bits(c->s1);
	word[7] = c->aux;
}

PINRING_FN void pinring_unpack_command(struct pinring_command *c,
				       const __u64 word[PINRING_SLOT_WORDS])
{
	c->id = (__u32)word[0];
	c->operation = (__u16)(word[0] >> 32);
	c->flags = (__u8)(word[0] >> 48);
	c->count = word[1] & ((1ull << PINRING_COUNT_BITS) - 1);
	c->dst = pinring_unpack_operand(word[2]);
	c->a = pinring_unpack_operand(word[3]);
	c->b = pinring_unpack_operand(word[4]);
	c->s0 = pinring_bits_float((__u32)word[5]);
	c->s1 = pinring_bits_float((__u32)word[6]);
	c->aux = word[7];
}

PINRING_FN void pinring_pack_completion(__u64 word[PINRING_SLOT_WORDS],
					const struct pinring_completion *c)
{
	word[0] = c->id | (__u64)((__u32)-c->status & 0xffff) << 32 |
		  (__u64)(c->reason & 0xff) << 48;
	word[1] = pinring_float_bits(c->result);
	word[2] = c->start_ns & PINRING_WORD_MASK;
	word[3] = c->duration_ns & PINRING_WORD_MASK;
	word[4] = c->done & ((1ull << PINRING_COUNT_BITS) - 1);
	word[5] = 0;
	word[6] = 0;
	word[7] = 0;
}

PINRING_FN void pinring_unpack_completion(struct pinring_completion *c,
					  const __u64 word[PINRING_SLOT_WORDS])
{
	c->id = (__u32)word[0];
	c->status = -(__s32)((word[0] >> 32) & 0xffff);
	c->reason = (__u32)(word[0] >> 48) & 0xff;
	c->result = pinring_bits_float((__u32)word[1]);
	c->start_ns = word[2];
	c->duration_ns = word[3];
	c->done = word[4];
}

#endif /* PINRING_COMMAND_H */
