/* SPDX-License-Identifier: MIT */
/*
 * reduce.h - sum, dot, min, max and softmax's exponentials, with one answer: its
 * bits depend on the data and on n, and not on the number of threads, the vector
 * width, the compiler, nor on host or device.
 *
 *	n elements	|--- part 0 ---|--- part 1 ---| ... |--- part 63 ---|
 *	a part		 l0 l1 .. l15 l0 l1 .. l15 l0 l1 ..
 *
 * Two splits, both fixed, buy that. The array is cut into PINRING_PARTS parts,
 * part p being [pinring_part_begin(n, p), pinring_part_begin(n, p + 1)): any
 * worker may reduce any part whenever it likes, and the parts' results are
 * combined in the order of p. Within a part, element i goes to the double
 * accumulator of lane (i - begin) % PINRING_LANES. Lanes are independent, so the
 * compiler keeps them in vector registers of any width without reordering an
 * addition (no -ffast-math), and a GPU can give each of the 64 x 16 lanes to a
 * thread (pinring_dot_lane()). pinring_lanes_combine() adds them up.
 *
 * Error: an addend passes through at most n / 1024 + 2 additions in its lane, 4
 * in the combination of lanes and 63 in that of parts, so sum and dot are off by
 * less than (n / 1024 + 69) * 2^-53 * (the sum of the addends' magnitudes). The
 * addends are exact: a float, or the product of two, fits a double.
 *
 * Empty ranges: sum = dot = +0, min = +Inf, max = -Inf. A NaN anywhere gives a
 * NaN, whose bits are not promised; so does +Inf beside -Inf in a sum. min and
 * max put -0 below +0.
 *
 * Softmax of a[0..n) is three passes over the parts: max; exp_shift, which also
 * sums; and dst scaled by pinring_softmax_scale(sum). As numpy and torch have it,
 * a NaN or +Inf among the a, or nothing but -Inf, makes every result NaN, because
 * max is then NaN, or Inf - Inf is; beside a finite maximum, -Inf gives 0.
 */
#ifndef PINRING_REDUCE_H
#define PINRING_REDUCE_H

#include <linux/types.h>

#include "elementwise.h"

#define PINRING_PARTS	64u
#define PINRING_LANES	16u

/* floor(n * p / 64) for any n: 64 * (n / 64) + n % 64 == n, and no overflow. */
PINRING_FN __u64 pinring_part_begin(__u64 n, __u32 p)
{
	return n / PINRING_PARTS * p + n % PINRING_PARTS * p / PINRING_PARTS;
}

/* A fixed tree: lane l takes in lane l + 8, then l + 4, l + 2, l + 1. */
PINRING_FN double pinring_lanes_combine(double *lane)
{
	__u32 width, l;

	for (width = PINRING_LANES / 2; width > 0; width /= 2)
		for (l = 0; l < width; l++)
			lane[l] += lane[l + width];
	return lane[0];
}

/*
 * Adds a[i] * b[i], or a[i] where b is NULL, to the lanes, for i in [begin, end);
 * begin itself belongs to lane 0. Written in whole blocks, so that the lanes are
 * a vector from one block to the next. b is NULL or not at compile time.
 */
PINRING_FN void pinring_lanes_add(double *lane, const float *a, const float *b,
				  __u64 begin, __u64 end)
{
	__u64 block, i;

	for (block = begin; block + PINRING_LANES <= end; block += PINRING_LANES) {
		PINRING_ROLLED
		for (i = 0; i < PINRING_LANES; i++)
			lane[i] += b ? (double)a[block + i] * (double)b[block + i] :
				       (double)a[block + i];
	}
	for (i = block; i < end; i++)
		lane[i - block] += b ? (double)a[i] * (double)b[i] : (double)a[i];
}

PINRING_FN double pinring_sum_range(const float *a, __u64 begin, __u64 end)
{
	double lane[PINRING_LANES] = { 0 };

	pinring_lanes_add(lane, a, (const float *)0, begin, end);
	return pinring_lanes_combine(lane);
}

PINRING_FN double pinring_dot_range(const float *a, const float *b,
				    __u64 begin, __u64 end)
{
	double lane[PINRING_LANES] = { 0 };

	pinring_lanes_add(lane, a, b, begin, end);
	return pinring_lanes_combine(lane);
}

/* One lane of the above alone, for a thread of a block; b may be NULL. */
PINRING_FN double pinring_dot_lane(const float *a, const float *b, __u64 begin,
				   __u64 end, __u32 lane)
{
	double sum = 0;
	__u64 i;

	PINRING_UNROLL
	for (i = begin + lane; i < end; i += PINRING_LANES)
		sum += b ? (double)a[i] * (double)b[i] : (double)a[i];
	return sum;
}

/*
 * Floats as integers in the same order, with every NaN below every number:
 *
 *	+NaN < -NaN < -Inf < ... < -0 < +0 < ... < +Inf == the largest integer
 *
 * Flipping the magnitude bits of what is negative gives the order; the addition
 * then carries the NaNs above +Inf around to the bottom. Integers, because a
 * compiler may regroup their minimum over vector lanes as it likes.
 */
#define PINRING_NAN_COUNT	0x007fffffu

PINRING_FN __u32 pinring_flip_magnitude(__u32 bits)
{
	return bits ^ ((__u32)((__s32)bits >> 31) >> 1);
}

PINRING_FN __s32 pinring_float_key(float x)
{
	return (__s32)(pinring_flip_magnitude(pinring_float_bits(x)) +
		       PINRING_NAN_COUNT);
}

PINRING_FN float pinring_key_float(__s32 key)
{
	return pinring_bits_float(pinring_flip_magnitude((__u32)key -
							 PINRING_NAN_COUNT));
}

/* min of [begin, end), or with flip the sign bit: the negated max. */
PINRING_FN float pinring_reduce_least(const float *a, __u32 flip, __u64 begin,
				      __u64 end)
{
	__s32 least = pinring_float_key(__builtin_inff());
	__u64 i;

	for (i = begin; i < end; i++) {
		const __s32 key = pinring_float_key(pinring_flip_bits(a[i], flip));

		least = key < least ? key : least;
	}
	return pinring_key_float(least);
}

/* One lane of it alone, as a key: the order of a minimum is nobody's business. */
PINRING_FN __s32 pinring_least_lane(const float *a, __u32 flip, __u64 begin,
				    __u64 end, __u32 lane)
{
	__s32 least = pinring_float_key(__builtin_inff());
	__u64 i;

	PINRING_UNROLL
	for (i = begin + lane; i < end; i += PINRING_LANES) {
		const __s32 key = pinring_float_key(pinring_flip_bits(a[i], flip));

		least = key < least ? key : least;
	}
	return least;
}

PINRING_FN float pinring_reduce_min_range(const float *a, __u64 begin, __u64 end)
{
	return pinring_reduce_least(a, 0, begin, end);
}

PINRING_FN float pinring_reduce_max_range(const float *a, __u64 begin, __u64 end)
{
	return -pinring_reduce_least(a, PINRING_SIGN_BIT, begin, end);
}

/*
 * exp() of the rounded difference: beside exp's own error, half an ulp of a - max
 * appears in the result as a relative error, as it does in numpy and torch.
 */
PINRING_FN float pinring_exp_shift_at(float a, float max)
{
	return pinring_expf(a - max);
}

/*
 * Writes exp(a[i] - max) and returns the sum of what it wrote, the same bits as
 * pinring_sum_range(dst, begin, end). dst may equal a.
 */
PINRING_FN double pinring_exp_shift_range(float *dst, const float *a, float max,
					  __u64 begin, __u64 end)
{
	/* A whole number of blocks, and small: its sum finds it in the L1. */
	const __u64 chunk = 64 * PINRING_LANES;
	double lane[PINRING_LANES] = { 0 };
	__u64 i, stop;

	for (; begin < end; begin = stop) {
		stop = end - begin > chunk ? begin + chunk : end;
		PINRING_IVDEP
		for (i = begin; i < stop; i++)
			dst[i] = pinring_exp_shift_at(a[i], max);
		pinring_lanes_add(lane, dst, (const float *)0, begin, stop);
	}
	return pinring_lanes_combine(lane);
}

/* One lane of it alone. */
PINRING_FN double pinring_exp_shift_lane(float *dst, const float *a, float max,
					 __u64 begin, __u64 end, __u32 lane)
{
	double sum = 0;
	__u64 i;

	for (i = begin + lane; i < end; i += PINRING_LANES) {
		dst[i] = pinring_exp_shift_at(a[i], max);
		sum += (double)dst[i];
	}
	return sum;
}

/* The factor for the last pass, pinring_scale_range(). */
PINRING_FN float pinring_softmax_scale(double sum)
{
	return (float)(1.0 / sum);
}

/* The parts' results, in the order of the parts. */
PINRING_FN double pinring_parts_sum(const double *part)
{
	double sum = 0;
	__u32 p;

	for (p = 0; p < PINRING_PARTS; p++)
		sum += part[p];
	return sum;
}

PINRING_FN float pinring_parts_min(const float *part)
{
	return pinring_reduce_min_range(part, 0, PINRING_PARTS);
}

PINRING_FN float pinring_parts_max(const float *part)
{
	return pinring_reduce_max_range(part, 0, PINRING_PARTS);
}

#endif /* PINRING_REDUCE_H */
