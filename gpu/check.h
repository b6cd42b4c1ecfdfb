/* SPDX-License-Identifier: MIT */
/*
 * check.h - a command is believed only after this.
 *
 * Everything that came through the ring, and the wave state that lies in
 * memory others can write, is read once, checked, and used from the copy. What
 * passes addresses only bytes of attached regions behind their directories.
 */
#ifndef PINRING_CHECK_H
#define PINRING_CHECK_H

#include "loop.h"

#define PINRING_NEEDS_DST PINRING_KERNEL_DST
#define PINRING_NEEDS_A PINRING_KERNEL_A
#define PINRING_NEEDS_B PINRING_KERNEL_B
#define PINRING_NEEDS_WAVE 8u /* a is a wave state */
#define PINRING_MAY_DST 16u /* one float, if given at all */
#define PINRING_WHOLE_DST 32u /* count floats, if given at all */
#define PINRING_NEEDS_LINK 64u /* aux names it, and a is slots */

/* -1: no such operation. A switch, since a device has no table for free. */
PINRING_FN int pinring_operation_needs(__u32 operation)
{
	switch (operation) {
	case PINRING_OP_NOP:
		return 0;
	case PINRING_OP_FILL:
		return PINRING_NEEDS_DST;
	case PINRING_OP_COPY:
	case PINRING_OP_SCALE:
	case PINRING_OP_RELU:
	case PINRING_OP_SIGMOID:
	case PINRING_OP_TANH:
	case PINRING_OP_GELU:
	case PINRING_OP_GELU_TANH:
	case PINRING_OP_SOFTMAX:
		return PINRING_NEEDS_DST | PINRING_NEEDS_A;
	case PINRING_OP_ADD:
	case PINRING_OP_SUB:
	case PINRING_OP_MUL:
	case PINRING_OP_DIV:
	case PINRING_OP_MIN:
	case PINRING_OP_MAX:
	case PINRING_OP_AXPY:
		return PINRING_NEEDS_DST | PINRING_NEEDS_A | PINRING_NEEDS_B;
	case PINRING_OP_SUM:
	case PINRING_OP_REDUCE_MIN:
	case PINRING_OP_REDUCE_MAX:
		return PINRING_MAY_DST | PINRING_NEEDS_A;
	case PINRING_OP_DOT:
		return PINRING_MAY_DST | PINRING_NEEDS_A | PINRING_NEEDS_B;
	case PINRING_OP_ASK:
		return PINRING_MAY_DST | PINRING_WHOLE_DST;
	case PINRING_OP_FORWARD:
		return PINRING_NEEDS_A | PINRING_NEEDS_LINK;
	case PINRING_OP_JOIN:
		return PINRING_NEEDS_LINK;
	case PINRING_OP_WAVE_STEP:
	case PINRING_OP_WAVE_INJECT:
	case PINRING_OP_WAVE_PROBE:
		return PINRING_NEEDS_WAVE;
	case PINRING_OP_WAVE_BLOCK:
		return PINRING_NEEDS_WAVE | PINRING_NEEDS_DST | PINRING_NEEDS_B;
	default:
		return -1;
	}
}

PINRING_FN int pinring_is_link(__u32 operation)
{
	return operation == PINRING_OP_FORWARD || operation == PINRING_OP_JOIN;
}

/* Copies what the host has attached since, if the command names a new region. */
PINRING_FN void pinring_learn_region(struct pinring_loop *loop, __u32 region)
{
	const struct pinring_memory *from;
	struct pinring_memory *to;
	__u64 size;

	if (region >= PINRING_REGIONS_MAX || loop->memory[region].size)
		return;
	from = &loop->attachments->memory[region];
	to = &loop->memory[region];
	/* acquire: pairs with the store in publish() of attach.c */
	size = pinring_load_word(&from->size);
	if (!size)
		return;
	pinring_fence_consume();
	to->base = from->base;
	to->first = from->first;
	to->size = size;
}

/* The host may have detached some. */
PINRING_FN void pinring_forget_regions(struct pinring_loop *loop)
{
	__u32 i;

	for (i = 0; i < PINRING_REGIONS_MAX; i++)
		loop->memory[i].size = 0;
}

/* The same of the link of this number. */
PINRING_FN int pinring_knows_link(struct pinring_loop *loop, __u64 number)
{
	const __u64 place = number % PINRING_LINKS_MAX;
	const struct pinring_link *from = &loop->attachments->link[place];

	if (loop->link[place].number == number + 1)
		return 1;
	/* acquire: pairs with the store in pinring_executor_connect() */
	if (pinring_load_word(&from->number) != number + 1)
		return 0;
	pinring_fence_consume();
	loop->link[place] = *from;
	return 1;
}

/* count items of `bytes` each at `o`; *at is NULL on any reason but none. */
PINRING_FN __u32 pinring_check_operand(const struct pinring_loop *loop,
				       struct pinring_operand o, __u64 count,
				       __u64 bytes, __u64 align, char **at)
{
	const struct pinring_memory *m;

	*at = 0;
	if (o.region >= PINRING_REGIONS_MAX || !loop->memory[o.region].size)
		return PINRING_REASON_REGION;
	m = &loop->memory[o.region];
	if (o.offset < m->first || o.offset > m->size)
		return PINRING_REASON_OFFSET;
	/* The address: memory of the caller's may begin anywhere. */
	if ((__u64)(m->base + o.offset) % align)
		return PINRING_REASON_ALIGNMENT;
	if (count > (m->size - o.offset) / bytes)
		return PINRING_REASON_COUNT;
	*at = m->base + o.offset;
	return PINRING_REASON_NONE;
}

PINRING_FN int pinring_overlap_in_part(const void *x, const void *y,
				       __u64 bytes)
{
	const char *p = (const char *)x, *q = (const char *)y;

	return p != q && p < q + bytes && q < p + bytes;
}

/* Fills in job->room and job->steps from a wave state, read once. */
PINRING_FN __u32 pinring_check_wave(const struct pinring_loop *loop,
				    struct pinring_job *job,
				    struct pinring_operand where)
{
	struct pinring_wave_state *state;
	struct pinring_operand fields;
	__u64 magic, pair, nx, ny, nz, cells, bytes;
	double lambda2;
	float wall;
	__u32 reason;
	char *at;

	reason = pinring_check_operand(loop, where, 1, sizeof(*state), 128,
				       &at);
	if (reason)
		return reason;
	state = (struct pinring_wave_state *)at;
	magic = pinring_load_word(&state->magic);
	pair = pinring_load_pair(&state->nx);
	nx = (__u32)pair;
	ny = pair >> 32;
	pair = pinring_load_pair(&state->nz);
	nz = (__u32)pair;
	wall = pinring_bits_float((__u32)(pair >> 32));
	lambda2 = *(volatile double *)&state->lambda2;
	fields.region = where.region;
	fields.offset = pinring_load_word(&state->fields_offset);
	if (magic != PINRING_WAVE_MAGIC || !nx || !ny || !nz)
		return PINRING_REASON_WAVE;
	/* nx * ny < 2^64, and the quotient bounds the product with nz. */
	if (nx * ny >= 1ull << PINRING_WAVE_CELL_BITS ||
	    nz >= (1ull << PINRING_WAVE_CELL_BITS) / (nx * ny) + 1)
		return PINRING_REASON_WAVE;
	cells = nx * ny * nz;
	if (cells >= 1ull << PINRING_WAVE_CELL_BITS)
		return PINRING_REASON_WAVE;
	/* Written so that NaN fails too. */
	if (!(lambda2 >= 1e-30 && lambda2 <= 1.0 / 3.0 && wall >= 0.0f &&
	      wall <= 1e6f))
		return PINRING_REASON_WAVE;
	bytes = ((cells * sizeof(float) + 127) & ~127ull) +
		PINRING_WAVE_GAP;
	reason = pinring_check_operand(loop, fields,
				       2 * bytes + nx * sizeof(float), 1, 128,
				       &at);
	if (reason)
		return PINRING_REASON_WAVE;
	job->room.field[0] = (float *)at;
	job->room.field[1] = (float *)(at + bytes);
	job->room.zeros = (const float *)(at + 2 * bytes);
	job->room.nx = nx;
	job->room.ny = ny;
	job->room.nz = nz;
	pinring_room_factors(&job->room, lambda2, wall);
	job->steps = &state->steps;
	job->first_step = pinring_load_word(job->steps);
	return PINRING_REASON_NONE;
}

/* Before operands are looked at: what they hold was written before the command. */
PINRING_FN void pinring_learn_operands(struct pinring_loop *loop,
				       const struct pinring_command *c)
{
	pinring_fence_consume();
	pinring_learn_region(loop, c->dst.region);
	pinring_learn_region(loop, c->a.region);
	pinring_learn_region(loop, c->b.region);
}

PINRING_FN void pinring_begin_job(struct pinring_job *job,
				  const struct pinring_command *c)
{
	job->operation = c->operation;
	job->count = c->count;
	job->s0 = c->s0;
	job->s1 = c->s1;
	job->aux = c->aux;
	job->dst = 0;
	job->a = 0;
	job->b = 0;
	job->done = 0;
}

/* As pinring_check_command(), of an operation that is a user's kernel. */
PINRING_FN __u32 pinring_check_kernel(struct pinring_loop *loop,
				      struct pinring_job *job,
				      const struct pinring_command *c)
{
	const struct pinring_dynamic *d =
		&loop->attachments->dynamic[c->operation % PINRING_DYNAMIC_MAX];
	__u32 reason = PINRING_REASON_NONE;
	char *dst = 0, *a = 0, *b = 0;
	__u64 bytes;

	/* acquire: pairs with the store in pinring_executor_register() */
	if (pinring_load_word(&d->operation) != c->operation)
		return PINRING_REASON_OPERATION;
	pinring_learn_operands(loop, c);
	pinring_begin_job(job, c);
	job->entry = d->entry;
	if (d->operands & PINRING_KERNEL_A)
		reason = pinring_check_operand(loop, c->a, c->count,
					       d->element_bytes,
					       d->element_align, &a);
	if (!reason && d->operands & PINRING_KERNEL_B)
		reason = pinring_check_operand(loop, c->b, c->count,
					       d->element_bytes,
					       d->element_align, &b);
	if (!reason && d->operands & PINRING_KERNEL_DST)
		reason = pinring_check_operand(loop, c->dst, c->count,
					       d->element_bytes,
					       d->element_align, &dst);
	if (reason)
		return reason;
	bytes = c->count * d->element_bytes;
	if (dst && ((a && pinring_overlap_in_part(dst, a, bytes)) ||
		    (b && pinring_overlap_in_part(dst, b, bytes))))
		return PINRING_REASON_OVERLAP;
	job->dst = (float *)dst;
	job->a = (const float *)a;
	job->b = (const float *)b;
	return PINRING_REASON_NONE;
}

#ifdef PINRING_TEAM_HOST_H
/* dynamic_host.c: the same, once for all instruction sets. */
__u32 pinring_check_dynamic(struct pinring_loop *loop, struct pinring_job *job,
			    const struct pinring_command *c);
#else
#define pinring_check_dynamic pinring_check_kernel
#endif

/* The reason why the command cannot be run, or none and *job filled in. */
PINRING_FN __u32 pinring_check_command(struct pinring_loop *loop,
				       struct pinring_job *job,
				       const struct pinring_command *c)
{
	const int needs = pinring_operation_needs(c->operation);
	__u64 cells, mask = (1ull << PINRING_WAVE_CELL_BITS) - 1;
	__u64 item = sizeof(float);
	__u32 reason;
	char *at;

	if (c->operation >= PINRING_OP_DYNAMIC)
		return pinring_check_dynamic(loop, job, c);
	if (needs < 0)
		return PINRING_REASON_OPERATION;
	if (needs)
		pinring_learn_operands(loop, c);
	pinring_begin_job(job, c);
	if (needs & PINRING_NEEDS_LINK) {
		if (!pinring_knows_link(loop, c->aux & PINRING_LINK_MASK))
			return PINRING_REASON_LINK;
		item = sizeof(struct pinring_device_slot);
	}
	if (needs & PINRING_NEEDS_A) {
		reason = pinring_check_operand(loop, c->a, c->count, item, item,
					       &at);
		if (reason)
			return reason;
		job->a = (const float *)at;
	}
	if (needs & PINRING_NEEDS_B) {
		reason = pinring_check_operand(loop, c->b, c->count,
					       sizeof(float), sizeof(float),
					       &at);
		if (reason)
			return reason;
		job->b = (const float *)at;
	}
	if (needs & PINRING_NEEDS_DST ||
	    (needs & PINRING_MAY_DST && c->dst.region != PINRING_REGION_NONE)) {
		reason = pinring_check_operand(
			loop, c->dst,
			needs & PINRING_MAY_DST &&
					!(needs & PINRING_WHOLE_DST) ?
				1 :
				c->count,
			sizeof(float), sizeof(float), &at);
		if (reason)
			return reason;
		job->dst = (float *)at;
	}
	if (needs & PINRING_NEEDS_DST) {
		if (job->a && pinring_overlap_in_part(job->dst, job->a,
						      c->count * sizeof(float)))
			return PINRING_REASON_OVERLAP;
		if (job->b && pinring_overlap_in_part(job->dst, job->b,
						      c->count * sizeof(float)))
			return PINRING_REASON_OVERLAP;
	}
	if (!(needs & PINRING_NEEDS_WAVE))
		return PINRING_REASON_NONE;

	reason = pinring_check_wave(loop, job, c->a);
	if (reason)
		return reason;
	cells = job->room.nx * job->room.ny * job->room.nz;
	job->source = c->aux;
	job->mic = c->aux;
	if (c->operation == PINRING_OP_WAVE_BLOCK) {
		job->source = c->aux & mask;
		job->mic = c->aux >> PINRING_WAVE_CELL_BITS;
	}
	if (c->operation != PINRING_OP_WAVE_STEP &&
	    (job->source >= cells || job->mic >= cells))
		return PINRING_REASON_CELL;
	return PINRING_REASON_NONE;
}

#endif /* PINRING_CHECK_H */
