/* SPDX-License-Identifier: MIT */
/*
 * math.h - exp, tanh, sigmoid and both GELUs on float32, written once for the
 * host's vector units and for CUDA.
 *
 * Every function is straight-line scalar source: selects, not branches, and no
 * table and no libm call, so a compiler vectorises any loop around it. The bits
 * it returns depend on its argument alone: not on the vector width, the position
 * in the array, the thread count or the compiler, nor on host or device. That
 * holds because each operation used (+ - * /, compare, integer) has one correct
 * IEEE 754 answer, which asks two things of whoever compiles this:
 *
 *	-ffp-contract=off (nvcc: --fmad=false)	a fused multiply-add rounds
 *						once where this source rounds
 *						twice
 *	no -ffast-math, no flush to zero	Inf, NaN and denormals are
 *						values here
 *
 * gcc also wants -fno-trapping-math before it turns selects into blends; that
 * gives up the exception flags only, never the value of a NaN. A NaN argument
 * gives a NaN; which NaN (sign, payload) is not promised.
 *
 * Error in units in the last place of the result, over every float there is. In
 * the denormals, where all these go gradually, the unit is 2^-149:
 *
 *			worst	bound asserted by selftests/kernel_math.c
 *	exp		0.96	1
 *	tanh		2.43	2.5
 *	sigmoid		2.41	2.5
 *	gelu		4.56	5
 *	gelu_tanh	2.93	3
 */
#ifndef PINRING_MATH_H
#define PINRING_MATH_H

#include <pinring/port.h>

#if defined(__FAST_MATH__)
#error "pinring: kernels need IEEE arithmetic, compile without -ffast-math"
#endif
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0
#error "pinring: kernels need float arithmetic to round to float (no x87)"
#endif

#define PINRING_SIGN_BIT	0x80000000u
/* Keep 8 or 12 significant bits: the product of two such floats is exact. */
#define PINRING_TOP_8_BITS	0xffff0000u
#define PINRING_TOP_12_BITS	0xfffff000u

PINRING_FN float pinring_absf(float x)
{
	return pinring_bits_float(pinring_float_bits(x) & ~PINRING_SIGN_BIT);
}

PINRING_FN float pinring_flip_bits(float x, __u32 flip)
{
	return pinring_bits_float(pinring_float_bits(x) ^ flip);
}

PINRING_FN float pinring_truncate_bits(float x, __u32 keep)
{
	return pinring_bits_float(pinring_float_bits(x) & keep);
}

/* min(x, limit) that leaves a NaN in x alone: the comparison is then false. */
PINRING_FN float pinring_cap(float x, float limit)
{
	return x > limit ? limit : x;
}

/*
 * max(x, 0), but -0 for whatever has the sign bit. In bits: clang 14 makes +0
 * into -0 in "x < 0 ? -0.0f : x", taking it for a maximum.
 */
PINRING_FN float pinring_positive_part(float x)
{
	const __u32 bits = pinring_float_bits(x);
	const __u32 negative = (__u32)((__s32)bits >> 31);

	return pinring_bits_float(bits & (~negative | PINRING_SIGN_BIT));
}

/* exp(x) = (1 + fraction) * scale[0] * scale[1]. */
struct pinring_exp_parts {
	float fraction;
	float scale[2];
};

/*
 * Splits exp(high - low), for |high - low| < 170 and low small beside high.
 *
 * Reduction by Cody and Waite ("Software Manual for the Elementary Functions",
 * 1980): ln 2 is 355/512, whose product with n is exact, and a small rest. n is
 * rounded by adding 1.5 * 2^23, which leaves it in the low bits of the sum.
 * expm1(r) on |r| <= ln(2) / 2 is r + r^2 * (minimax polynomial of degree 5
 * computed for pinring, relative error of expm1 below 2^-31).
 *
 * 2^n is handed back as two factors, as n reaches from -163 to 128 and a float's
 * exponent does not: multiplying by them one after the other overflows to Inf,
 * or underflows through the denormals, with one rounding, in the last product.
 */
PINRING_FN struct pinring_exp_parts pinring_exp_split(float high, float low)
{
	const float round_to_int = 0x1.8p23f;
	const float shifted = (high - low) * 0x1.715476p0f + round_to_int;
	const float n = shifted - round_to_int;
	const __u32 exponent = pinring_float_bits(shifted) -
			       pinring_float_bits(round_to_int);
	const __u32 half = (__u32)((__s32)exponent >> 1);
	const float r = ((high - n * 0.693359375f) - n * -0x1.bd0106p-13f) - low;
	struct pinring_exp_parts parts;
	float p;

	p = 0x1.a242f8p-13f;
	p = p * r + 0x1.6d3caap-10f;
	p = p * r + 0x1.111004p-7f;
	p = p * r + 0x1.5554f6p-5f;
	p = p * r + 0x1.555556p-3f;
	p = p * r + 0.5f;
	parts.fraction = r * r * p + r;
	parts.scale[0] = pinring_bits_float((half + 127u) << 23);
	parts.scale[1] = pinring_bits_float((exponent - half + 127u) << 23);
	return parts;
}

/* factor * exp(.), rounded into the denormals once if it falls that low. */
PINRING_FN float pinring_exp_join(struct pinring_exp_parts parts, float factor)
{
	return (factor + factor * parts.fraction) * parts.scale[0] *
	       parts.scale[1];
}

PINRING_FN float pinring_expf(float x)
{
	/* Past these the result is Inf, or rounds to 0, and stays so. */
	x = pinring_cap(x, 89.0f);
	x = x < -104.5f ? -104.5f : x;
	return pinring_exp_join(pinring_exp_split(x, 0.0f), 1.0f);
}

/*
 * tanh x = m / (m + 2), m = expm1(2|x|) = 2^n * fraction + (2^n - 1), sign put
 * back after. For small x, n is 0 and m is the fraction itself, so nothing
 * cancels and no second formula is needed there.
 */
PINRING_FN float pinring_tanhf(float x)
{
	/* tanh rounds to 1 from 9.011 on. */
	const float twice = 2.0f * pinring_cap(pinring_absf(x), 10.0f);
	const struct pinring_exp_parts parts = pinring_exp_split(twice, 0.0f);
	const float scale = parts.scale[0] * parts.scale[1];
	const float m = parts.fraction * scale + (scale - 1.0f);
	const __u32 sign = pinring_float_bits(x) & PINRING_SIGN_BIT;

	return pinring_bits_float(pinring_float_bits(m / (m + 2.0f)) | sign);
}

/* 1 / (1 + exp(-x)), as e / (1 + e) with e = exp(x) left of 0. */
PINRING_FN float pinring_sigmoidf(float x)
{
	const float a = pinring_cap(pinring_absf(x), 104.5f);
	const float e = pinring_exp_join(pinring_exp_split(-a, 0.0f), 1.0f);

	return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

/*
 * gelu(x) = x * Phi(x) = max(x, 0) - |x| * Q(|x|), where Q, the upper tail of the
 * normal distribution, is exp(-a^2 / 2) * R(a). One formula serves both signs,
 * and left of 0 nothing is subtracted, so the tail keeps its relative accuracy.
 *
 * R, which is erfcx(a / sqrt 2) / 2, falls from 1/2 towards 1 / (sqrt(2 pi) a).
 * The form R = n / (sqrt(2 pi) a n + m) has that limit built in, and far out the
 * rounding errors of n cancel in it, where the usual ratio of two polynomials
 * (Cody, Math. Comp. 23, 1969) would add them up. n and m, of degrees 5 and 4, are
 * minimax on 0 <= a <= 14.5, computed for pinring: relative error of R below
 * 2^-29.9. Their coefficients are all positive, so nothing is lost in the sums.
 *
 * a^2 / 2 reaches 105 and one rounding of it would cost exp() a hundred ulp, so
 * it is split: the square of the top 12 bits of a is exact, the rest is small.
 *
 * gelu(-Inf) is the limit, -0, not the NaN of -Inf * 0.
 */
PINRING_FN float pinring_geluf(float x)
{
	/* a * Q(a) rounds to 0 from 14.3 on; Inf must not meet that 0. */
	const float a = pinring_cap(pinring_absf(x), 14.5f);
	const float top = pinring_truncate_bits(a, PINRING_TOP_12_BITS);
	const struct pinring_exp_parts parts =
		pinring_exp_split(-0.5f * top * top,
				  0.5f * (a - top) * (a + top));
	float n, m;

	n = 0x1.4581cap-10f;
	n = n * a + 0x1.e797e0p-7f;
	n = n * a + 0x1.5d2344p-4f;
	n = n * a + 0x1.216afcp-2f;
	n = n * a + 0x1.15be3ep-1f;
	n = n * a + 0.5f;
	m = 0x1.9800d8p-9f;
	m = m * a + 0x1.316cf0p-5f;
	m = m * a + 0x1.a987dap-3f;
	m = m * a + 0x1.424e6ap-1f;
	m = m * a + 1.0f;
	n *= a;
	/* sqrt(2 pi) */
	m = n * 0x1.40d932p1f + m;
	return pinring_positive_part(x) - pinring_exp_join(parts, n / m);
}

/*
 * The tanh form (Hendrycks and Gimpel, "Gaussian error linear units", 2016),
 * x/2 * (1 + tanh(u / 2)) with u = 2 sqrt(2/pi) * (x + 0.044715 x^3), which is
 * x * sigmoid(u): tanh's cancellation left of 0 is gone.
 *
 * u reaches 112 and, as in pinring_geluf(), exp() needs more of it than a float
 * holds. u = a * s, s = c1 + c3 * a^2. Both factors are cut to their top 12 bits
 * for an exact product; what was cut from s is recovered from pieces of c1, c3
 * and a short enough (Dekker, Numer. Math. 18, 1971) for their sums and products
 * to be exact where they are large.
 */
PINRING_FN float pinring_gelu_tanhf(float x)
{
	const float c1 = 0x1.988454p0f;
	const float c1_top = 0x1.988p0f, c1_rest = 0x1.14cf5p-14f;
	const float c3 = 0x1.2444f2p-4f;
	const float c3_top = 0x1.24p-4f, c3_rest = 0x1.13ca94p-14f;
	/* x * sigmoid(u) rounds to 0 from -10.8 on; Inf must not meet that 0. */
	const float a = pinring_cap(pinring_absf(x), 11.0f);
	const float a_top = pinring_truncate_bits(a, PINRING_TOP_12_BITS);
	const float s_top = pinring_truncate_bits(c1 + c3 * (a * a),
						  PINRING_TOP_12_BITS);
	const float a_short = pinring_truncate_bits(a, PINRING_TOP_8_BITS);
	const float square = a_short * a_short;
	const float s_rest = ((c1_top - s_top) + c3_top * square) +
			     (c3 * ((a - a_short) * (a + a_short)) +
			      (c3_rest * square + c1_rest));
	const struct pinring_exp_parts parts =
		pinring_exp_split(-(a_top * s_top),
				  (a - a_top) * s_top + a * s_rest);
	const float e = pinring_exp_join(parts, 1.0f);
	const float left = -pinring_exp_join(parts, a);

	return (x < 0.0f ? left : x) / (1.0f + e);
}

#endif /* PINRING_MATH_H */
