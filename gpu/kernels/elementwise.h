/* SPDX-License-Identifier: MIT */
/*
 * elementwise.h - operations that make one float of each element, on their own.
 *
 * The table below is the whole content; from each of its lines come
 *
 *	float pinring_NAME_at(float a, float b, float s0, float s1);
 *	void pinring_NAME_stride(float *dst, const float *a, const float *b,
 *				 float s0, float s1, __u64 begin, __u64 end,
 *				 __u64 step);
 *	void pinring_NAME_range(float *dst, const float *a, const float *b,
 *				float s0, float s1, __u64 begin, __u64 end);
 *
 * _range computes dst[i] for every i in [begin, end): the host's call, a loop
 * that gcc and clang vectorise (math.h names the flags). _stride computes begin,
 * begin + step, ... below end: thread t of a CUDA block of T passes begin + t
 * and T. Their signature is the same for every operation, so that a table can
 * hold them.
 *
 * May be called from any thread, on disjoint ranges of one dst at once. An
 * operation reads only the operands its line counts; the others may be NULL.
 * dst may equal a, b or both; it may not overlap them otherwise, which is what
 * PINRING_IVDEP tells the compiler. No alignment is needed beyond a float's.
 *
 * The result's bits depend on the operands alone (see math.h), with one
 * exception: where it is a NaN, which NaN is not promised.
 */
#ifndef PINRING_ELEMENTWISE_H
#define PINRING_ELEMENTWISE_H

#include <linux/types.h>

#include "math.h"

/*
 * minimum and maximum of IEEE 754-2019: -0 is below +0 and a NaN in either
 * operand gives a NaN, so both commute and a reduction may take any order.
 * What is neither above nor below is equal or a NaN, and there the bits' OR is
 * right for both: of a number and itself, that number; of two zeros, -0 if either
 * is; of a NaN and anything, a NaN (exponent all ones, fraction not 0).
 */
PINRING_FN float pinring_minf(float a, float b)
{
	const float tie = pinring_bits_float(pinring_float_bits(a) |
					     pinring_float_bits(b));
	const float above = b < a ? b : tie;

	return a < b ? a : above;
}

PINRING_FN float pinring_maxf(float a, float b)
{
	return -pinring_minf(-a, -b);
}

/* relu(-0) is +0; NaN <= 0 is false, so a NaN stays. */
PINRING_FN float pinring_reluf(float a)
{
	return a <= 0.0f ? 0.0f : a;
}

/* So many elements are on their way to a CUDA thread at once. */
#define PINRING_BATCH 4

/* name, operands read, value; axpy rounds twice: it is no fused multiply-add */
#define PINRING_ELEMENTWISE_TABLE(OP)			\
	OP(fill,	0, s0)				\
	OP(copy,	1, a)				\
	OP(add,		2, a + b)			\
	OP(sub,		2, a - b)			\
	OP(mul,		2, a * b)			\
	OP(div,		2, a / b)			\
	OP(min,		2, pinring_minf(a, b))		\
	OP(max,		2, pinring_maxf(a, b))		\
	OP(axpy,	2, s0 * a + b)			\
	OP(scale,	1, s0 * a)			\
	OP(relu,	1, pinring_reluf(a))		\
	OP(sigmoid,	1, pinring_sigmoidf(a))		\
	OP(tanh,	1, pinring_tanhf(a))		\
	OP(gelu,	1, pinring_geluf(a))		\
	OP(gelu_tanh,	1, pinring_gelu_tanhf(a))

#define PINRING_ELEMENTWISE_FUNCTIONS(name, reads, value)			\
PINRING_FN float pinring_##name##_at(float a, float b, float s0, float s1)	\
{										\
	(void)a, (void)b, (void)s0, (void)s1;					\
	return value;								\
}										\
										\
PINRING_FN void pinring_##name##_stride(float *dst, const float *a,		\
					const float *b, float s0, float s1,	\
					__u64 begin, __u64 end, __u64 step)	\
{										\
	float x[PINRING_BATCH], y[PINRING_BATCH];				\
	__u64 i = begin, k;							\
										\
	for (; i + (PINRING_BATCH - 1) * step < end; i += PINRING_BATCH * step) { \
		PINRING_UNROLL							\
		for (k = 0; k < PINRING_BATCH; k++) {				\
			x[k] = reads > 0 ? a[i + k * step] : 0.0f;		\
			y[k] = reads > 1 ? b[i + k * step] : 0.0f;		\
		}								\
		PINRING_UNROLL							\
		for (k = 0; k < PINRING_BATCH; k++)				\
			dst[i + k * step] =					\
				pinring_##name##_at(x[k], y[k], s0, s1);	\
	}									\
	for (; i < end; i += step)						\
		dst[i] = pinring_##name##_at(reads > 0 ? a[i] : 0.0f,		\
					     reads > 1 ? b[i] : 0.0f, s0, s1);	\
}										\
										\
PINRING_FN void pinring_##name##_range(float *dst, const float *a,		\
				       const float *b, float s0, float s1,	\
				       __u64 begin, __u64 end)			\
{										\
	__u64 i;								\
										\
	PINRING_IVDEP								\
	for (i = begin; i < end; i++)						\
		dst[i] = pinring_##name##_at(reads > 0 ? a[i] : 0.0f,		\
					     reads > 1 ? b[i] : 0.0f, s0, s1);	\
}

PINRING_ELEMENTWISE_TABLE(PINRING_ELEMENTWISE_FUNCTIONS)

#endif /* PINRING_ELEMENTWISE_H */
