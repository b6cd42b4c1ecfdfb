/* SPDX-License-Identifier: MIT */
/*
 * The arithmetic of gpu/kernels: how accurate, what of NaN, Inf, -0 and
 * denormals, and that neither position, length nor order of work changes a bit.
 */
#include <kselftest_harness.h>

#include <float.h>
#include <math.h>

#include "../gpu/kernels/reduce.h"
#include "executor_test.h"

typedef void (*range_fn)(float *dst, const float *a, const float *b, float s0,
			 float s1, __u64 begin, __u64 end);
typedef float (*at_fn)(float a, float b, float s0, float s1);

#define OPERATION(name, reads, value) \
	{ #name, reads, pinring_##name##_range, pinring_##name##_stride, \
	  pinring_##name##_at },

static const struct operation {
	const char *name;
	int reads;
	range_fn range;
	void (*stride)(float *dst, const float *a, const float *b, float s0,
		       float s1, __u64 begin, __u64 end, __u64 step);
	at_fn at;
} operations[] = { PINRING_ELEMENTWISE_TABLE(OPERATION) };

static const __u32 special_bits[] = {
	0x00000000, 0x80000000,				/* zeros */
	0x00000001, 0x80000001, 0x007fffff, 0x807fffff,	/* denormals */
	0x00800000, 0x80800000, 0x00800001, 0x01000000,	/* least normals */
	0x3f800000, 0xbf800000, 0x3f800001, 0x3f7fffff,	/* +-1 and beside */
	0x3f000000, 0xbf000000, 0x3eb17218, 0xbeb17218,	/* 1/2, ln(2)/2 */
	0x4b400000, 0xcb400000,				/* 1.5 * 2^23 */
	0x41102cb4, 0xc1102cb4, 0x41200000, 0xc1200000,	/* tanh ends */
	0x41300000, 0xc1300000, 0xc12d0000,		/* gelu_tanh ends */
	0x41680000, 0xc1680000, 0xc1640000,		/* gelu ends */
	0x42b17217, 0x42b17218, 0x42b20000, 0xc2b20000,	/* exp to Inf; 89 */
	0xc2aeac50, 0xc2cff1b4, 0xc2cff1b5, 0xc2d10000,	/* exp to denormal, 0 */
	0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000,	/* max, Inf */
	0x7fc00000, 0xffc00000, 0x7f800001, 0xffffffff,	/* NaNs */
};
#define SPECIALS ARRAY_SIZE(special_bits)

#define LONGEST (4096 + 3)
#define MARGIN 64

static float in_a[MARGIN + LONGEST + MARGIN], in_b[MARGIN + LONGEST + MARGIN];
static float out[MARGIN + LONGEST + MARGIN];

/* Between -range and range. */
/* Every pair of special values, and between them any bits and ordinary floats. */
static void fill_inputs(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(in_a); i++) {
		in_a[i] = pinring_bits_float(random_bits());
		in_b[i] = pinring_bits_float(random_bits());
		if (i % 3 == 0)
			in_a[i] = random_float(20), in_b[i] = random_float(20);
	}
	for (size_t k = 0; k < SPECIALS * SPECIALS; k++) {
		in_a[MARGIN + k] = pinring_bits_float(special_bits[k / SPECIALS]);
		in_b[MARGIN + k] = pinring_bits_float(special_bits[k % SPECIALS]);
	}
}

/* The same bits, or both some NaN. */
static bool same(float x, float y)
{
	return (isnan(x) && isnan(y)) || pinring_float_bits(x) == pinring_float_bits(y);
}

/*
 * |seen - right| in ulp of right. Denormals are spaced as the least normals are,
 * and Inf stands where the next float after the largest would.
 */
static double ulp_error(float seen, double right)
{
	const double inf = 0x1p128;
	double near = isinf(seen) ? copysign(inf, (double)seen) : (double)seen;
	int exponent;

	if (isnan(seen) || isnan(right))
		return isnan(seen) && isnan(right) ? 0 : INFINITY;
	right = fmax(-inf, fmin(right, inf));
	frexp(right, &exponent);
	if (right == 0 || exponent < -125)
		exponent = -125;
	return fabs(near - right) * ldexp(1, 24 - exponent);
}

/* References in double; erfc() and exp(-x) keep the tails' relative accuracy. */
static double right_sigmoid(double x)
{
	return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x));
}

static double right_gelu(double x)
{
	return x < -DBL_MAX ? 0 : x * erfc(-x * M_SQRT1_2) / 2;
}

static double right_gelu_tanh(double x)
{
	const double u = 2 * sqrt(M_2_PI) * (x + 0.044715 * x * x * x);

	return x < -DBL_MAX ? 0 : x * right_sigmoid(u);
}

static void exp_range(float *dst, const float *a, const float *b, float s0,
		      float s1, __u64 begin, __u64 end)
{
	(void)b, (void)s0, (void)s1;
	for (; begin < end; begin++)
		dst[begin] = pinring_expf(a[begin]);
}

struct scan {
	range_fn range;
	double (*right)(double x);
	double worst;
	float worst_at;
	unsigned int count;
	float x[1024];
};

static void scan_flush(struct scan *s)
{
	float y[ARRAY_SIZE(s->x)];

	s->range(y, s->x, NULL, 0, 0, 0, s->count);
	for (unsigned int i = 0; i < s->count; i++) {
		const double error = ulp_error(y[i], s->right((double)s->x[i]));

		if (error > s->worst) {
			s->worst = error;
			s->worst_at = s->x[i];
		}
	}
	s->count = 0;
}

static void scan_bits(struct scan *s, __u32 bits)
{
	s->x[s->count++] = pinring_bits_float(bits);
	if (s->count == ARRAY_SIZE(s->x))
		scan_flush(s);
}

/* 13 million floats spread over all bit patterns, and all around special ones. */
static double worst_ulp(const char *name, range_fn range, double (*right)(double x))
{
	const __u32 stride = 331;	/* a prime */
	const __u32 around = 2000;
	struct scan s = { .range = range, .right = right };

	for (__u64 bits = 0; bits <= 0xffffffff; bits += stride)
		scan_bits(&s, (__u32)bits);
	for (size_t k = 0; k < SPECIALS; k++)
		for (__u32 d = 0; d <= 2 * around; d++)
			scan_bits(&s, special_bits[k] - around + d);
	scan_flush(&s);
	printf("# %s: within %.4f ulp, worst at %a\n", name, s.worst,
	       (double)s.worst_at);
	return s.worst;
}

/* The bounds that gpu/kernels/math.h states. */
TEST(exp_is_within_1_ulp)
{
	ASSERT_LE(worst_ulp("exp", exp_range, exp), 1.0);
}

TEST(tanh_is_within_2_5_ulp)
{
	ASSERT_LE(worst_ulp("tanh", pinring_tanh_range, tanh), 2.5);
}

TEST(sigmoid_is_within_2_5_ulp)
{
	ASSERT_LE(worst_ulp("sigmoid", pinring_sigmoid_range, right_sigmoid), 2.5);
}

TEST(gelu_is_within_5_ulp_tail_included)
{
	ASSERT_LE(worst_ulp("gelu", pinring_gelu_range, right_gelu), 5.0);
}

TEST(gelu_tanh_is_within_3_ulp_tail_included)
{
	ASSERT_LE(worst_ulp("gelu_tanh", pinring_gelu_tanh_range, right_gelu_tanh), 3.0);
}

TEST(special_values)
{
	static float (*const functions[])(float) = {
		pinring_expf, pinring_tanhf, pinring_sigmoidf, pinring_geluf,
		pinring_gelu_tanhf, pinring_reluf,
	};
	static const struct {
		float x, right[ARRAY_SIZE(functions)];
	} cases[] = {
		/* x, then exp, tanh, sigmoid, gelu, gelu_tanh, relu of it */
		{ 0.0f, { 1, 0.0f, 0.5f, 0.0f, 0.0f, 0.0f } },
		{ -0.0f, { 1, -0.0f, 0.5f, -0.0f, -0.0f, 0.0f } },
		{ INFINITY, { INFINITY, 1, 1, INFINITY, INFINITY, INFINITY } },
		{ -INFINITY, { 0, -1, 0, -0.0f, -0.0f, 0 } },
		{ FLT_MAX, { INFINITY, 1, 1, FLT_MAX, FLT_MAX, FLT_MAX } },
		{ -FLT_MAX, { 0, -1, 0, -0.0f, -0.0f, 0 } },
		{ 0x1p-148f, { 1, 0x1p-148f, 0.5f, 0x1p-149f, 0x1p-149f, 0x1p-148f } },
		{ -0x1p-126f, { 1, -0x1p-126f, 0.5f, -0x1p-127f, -0x1p-127f, 0 } },
		{ NAN, { NAN, NAN, NAN, NAN, NAN, NAN } },
		{ -NAN, { NAN, NAN, NAN, NAN, NAN, NAN } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (size_t f = 0; f < ARRAY_SIZE(functions); f++) {
			EXPECT_TRUE(same(functions[f](cases[i].x), cases[i].right[f]))
				TH_LOG("function %zu of %a is %a", f, (double)cases[i].x,
				       (double)functions[f](cases[i].x));
		}
}

TEST(exp_underflows_gradually)
{
	ASSERT_EQ(pinring_expf(-87.5f), (float)exp(-87.5));
	ASSERT_EQ(pinring_expf(-103.0f), 0x1p-149f);
	ASSERT_GT(pinring_sigmoidf(-103.0f), 0);
	ASSERT_LT(pinring_geluf(-14.0f), 0);
	ASSERT_LT(pinring_gelu_tanhf(-10.5f), 0);
}

/*
 * In double, then rounded to float, + - * / give the correctly rounded float: 53
 * bits are more than 2 * 24 + 1 (Figueroa, "When is double rounding innocuous?",
 * 1995). So these are exact, and axpy shows that nobody fused it.
 */
static float right_at(const struct operation *op, float a, float b, float s0, float s1)
{
	const double x = (double)a, y = (double)b;

	if (!strcmp(op->name, "fill"))
		return s0;
	if (!strcmp(op->name, "copy"))
		return a;
	if (!strcmp(op->name, "add"))
		return (float)(x + y);
	if (!strcmp(op->name, "sub"))
		return (float)(x - y);
	if (!strcmp(op->name, "mul"))
		return (float)(x * y);
	if (!strcmp(op->name, "div"))
		return (float)(x / y);
	if (!strcmp(op->name, "min"))
		return isnan(a) || isnan(b) ? NAN :
		       a == b ? (signbit(a) ? a : b) : (a < b ? a : b);
	if (!strcmp(op->name, "max"))
		return isnan(a) || isnan(b) ? NAN :
		       a == b ? (signbit(a) ? b : a) : (a > b ? a : b);
	if (!strcmp(op->name, "axpy"))
		return (float)((double)(float)((double)s0 * x) + y);
	if (!strcmp(op->name, "scale"))
		return (float)((double)s0 * x);
	if (!strcmp(op->name, "relu"))
		return isnan(a) ? NAN : a > 0 ? a : 0;
	/* The rest were measured above; here, that a range is its elements. */
	return op->at(a, b, s0, s1);
}

/* Runs op on [MARGIN, MARGIN + n) and counts what is wrong, margins included. */
static unsigned int wrong(const struct operation *op, float *dst, const float *a,
			  const float *b, __u64 n)
{
	static float right[ARRAY_SIZE(out)];
	const float s0 = 1.1f, s1 = -3.0f;
	unsigned int count = 0;

	memcpy(right, dst, sizeof(right));
	for (__u64 i = MARGIN; i < MARGIN + n; i++)
		right[i] = right_at(op, a[i], b[i], s0, s1);
	op->range(dst, op->reads > 0 ? a : NULL, op->reads > 1 ? b : NULL, s0, s1,
		  MARGIN, MARGIN + n);
	for (size_t i = 0; i < ARRAY_SIZE(right); i++)
		count += !same(dst[i], right[i]);
	return count;
}

TEST(elementwise_is_right_in_place_and_not)
{
	static const __u64 lengths[] = { 0, 1, 7, LONGEST };

	ASSERT_LE(SPECIALS * SPECIALS, LONGEST);
	for (size_t k = 0; k < ARRAY_SIZE(operations); k++) {
		const struct operation *op = &operations[k];

		for (size_t l = 0; l < ARRAY_SIZE(lengths); l++) {
			const __u64 n = lengths[l];

			fill_inputs();
			EXPECT_EQ(0, wrong(op, out, in_a, in_b, n))
				TH_LOG("%s, %llu", op->name, n);
			EXPECT_EQ(0, wrong(op, in_a, in_a, in_b, n))
				TH_LOG("%s, dst = a, %llu", op->name, n);
			fill_inputs();
			EXPECT_EQ(0, wrong(op, in_b, in_a, in_b, n))
				TH_LOG("%s, dst = b, %llu", op->name, n);
			fill_inputs();
			EXPECT_EQ(0, wrong(op, in_a, in_a, in_a, n))
				TH_LOG("%s, dst = a = b, %llu", op->name, n);
		}
	}
}

TEST(elementwise_result_does_not_depend_on_position_or_length)
{
	static float whole[ARRAY_SIZE(out)];

	fill_inputs();
	for (size_t k = 0; k < ARRAY_SIZE(operations); k++) {
		const struct operation *op = &operations[k];
		unsigned int differ = 0;

		op->range(whole, in_a, in_b, 1.1f, 0, 0, LONGEST);
		for (__u64 offset = 0; offset < 36; offset++) {
			const __u64 n = LONGEST - 37 * offset;

			op->range(out, in_a + offset, in_b + offset, 1.1f, 0, 0, n);
			for (__u64 i = 0; i < n - offset; i++)
				differ += !same(out[i], whole[i + offset]);
		}
		EXPECT_EQ(0, differ)
			TH_LOG("%s", op->name);
	}
}

TEST(threads_of_a_block_together_make_the_range)
{
	static float whole[ARRAY_SIZE(out)];
	const __u64 threads = 96, begin = 5;

	fill_inputs();
	for (size_t k = 0; k < ARRAY_SIZE(operations); k++) {
		const struct operation *op = &operations[k];
		unsigned int differ = 0;

		memset(out, 0, sizeof(out));
		memset(whole, 0, sizeof(whole));
		op->range(whole, in_a, in_b, 1.1f, 0, begin, LONGEST);
		for (__u64 t = 0; t < threads; t++)
			op->stride(out, in_a, in_b, 1.1f, 0, begin + t, LONGEST, threads);
		for (size_t i = 0; i < ARRAY_SIZE(out); i++)
			differ += !same(out[i], whole[i]);
		EXPECT_EQ(0, differ)
			TH_LOG("%s", op->name);
	}
}

TEST(parts_divide_any_length)
{
	static const __u64 lengths[] = {
		0, 1, 63, 64, 65, 1000003, 1ULL << 46, (1ULL << 46) - 1, ~0ULL,
	};

	for (size_t l = 0; l < ARRAY_SIZE(lengths); l++)
		for (__u32 p = 0; p <= PINRING_PARTS; p++) {
			ASSERT_EQ((__u64)((unsigned __int128)lengths[l] * p / 64),
				  pinring_part_begin(lengths[l], p));
		}
}

/* Each reduction over n elements, its parts visited first, first + step, ... */
struct totals {
	double sum, dot, exp_sum;
	float min, max;
};

static struct totals reduce(const float *a, const float *b, __u64 n, __u32 first,
			    __u32 step)
{
	static float exps[64 * 1024];
	double sum[PINRING_PARTS], dot[PINRING_PARTS], exp_sum[PINRING_PARTS];
	float min[PINRING_PARTS], max[PINRING_PARTS];

	for (__u32 k = 0; k < PINRING_PARTS; k++) {
		const __u32 p = (first + k * step) % PINRING_PARTS;
		const __u64 begin = pinring_part_begin(n, p);
		const __u64 end = pinring_part_begin(n, p + 1);

		sum[p] = pinring_sum_range(a, begin, end);
		dot[p] = pinring_dot_range(a, b, begin, end);
		min[p] = pinring_reduce_min_range(a, begin, end);
		max[p] = pinring_reduce_max_range(a, begin, end);
		exp_sum[p] = pinring_exp_shift_range(exps, a, 3.0f, begin, end);
	}
	return (struct totals) {
		.sum = pinring_parts_sum(sum), .dot = pinring_parts_sum(dot),
		.exp_sum = pinring_parts_sum(exp_sum),
		.min = pinring_parts_min(min), .max = pinring_parts_max(max),
	};
}

static float long_a[64 * 1024 + 2], long_b[64 * 1024 + 2];

/* Magnitudes over 24 binades and both signs: sums that cancel. */
static void fill_long(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(long_a); i++) {
		long_a[i] = ldexpf(random_float(1), (int)(random_bits() % 24) - 12);
		long_b[i] = ldexpf(random_float(1), (int)(random_bits() % 24) - 12);
	}
}

TEST(reductions_are_within_their_bound)
{
	static const __u64 lengths[] = { 0, 1, 2, 15, 16, 17, 1000, 4099, 65536 };

	fill_long();
	for (size_t l = 0; l < ARRAY_SIZE(lengths); l++) {
		const __u64 n = lengths[l];
		const double unit = ((double)n / 1024 + 69) * 0x1p-53;
		const struct totals t = reduce(long_a, long_b, n, 0, 1);
		long double sum = 0, dot = 0, sum_abs = 0, dot_abs = 0;
		float min = INFINITY, max = -INFINITY;

		for (__u64 i = 0; i < n; i++) {
			const long double x = (long double)long_a[i];
			const long double xy = x * (long double)long_b[i];

			sum += x, sum_abs += fabsl(x);
			dot += xy, dot_abs += fabsl(xy);
			min = fminf(min, long_a[i]);
			max = fmaxf(max, long_a[i]);
		}
		EXPECT_LE(fabs((double)(t.sum - sum)), unit * (double)sum_abs);
		EXPECT_LE(fabs((double)(t.dot - dot)), unit * (double)dot_abs);
		EXPECT_EQ(min, t.min);
		EXPECT_EQ(max, t.max);
	}
}

TEST(reductions_do_not_depend_on_the_order_of_parts)
{
	static const __u64 lengths[] = { 1, 17, 100, 4099, 65536 };

	fill_long();
	for (size_t l = 0; l < ARRAY_SIZE(lengths); l++) {
		const struct totals forward = reduce(long_a, long_b, lengths[l], 0, 1);
		const struct totals backward = reduce(long_a, long_b, lengths[l], 63, 63);
		const struct totals shuffled = reduce(long_a, long_b, lengths[l], 17, 37);

		ASSERT_EQ(0, memcmp(&forward, &backward, sizeof(forward)));
		ASSERT_EQ(0, memcmp(&forward, &shuffled, sizeof(forward)));
	}
}

TEST(reductions_do_not_depend_on_alignment)
{
	static float moved[ARRAY_SIZE(long_a) + 16];

	fill_long();
	for (size_t offset = 1; offset < 16; offset++) {
		memcpy(moved + offset, long_a, sizeof(long_a));
		ASSERT_EQ(pinring_sum_range(long_a, 3, 5000),
			  pinring_sum_range(moved + offset, 3, 5000));
	}
}

/* What a GPU does: a thread a lane, then the one combination. */
TEST(lanes_one_by_one_make_the_range)
{
	static const __u64 lengths[] = { 0, 1, 15, 16, 17, 1000, 4099 };

	fill_long();
	for (size_t l = 0; l < ARRAY_SIZE(lengths); l++) {
		const __u64 begin = 11, end = begin + lengths[l];
		double sum[PINRING_LANES], dot[PINRING_LANES];

		for (__u32 i = 0; i < PINRING_LANES; i++) {
			sum[i] = pinring_dot_lane(long_a, NULL, begin, end, i);
			dot[i] = pinring_dot_lane(long_a, long_b, begin, end, i);
		}
		ASSERT_EQ(pinring_sum_range(long_a, begin, end),
			  pinring_lanes_combine(sum));
		ASSERT_EQ(pinring_dot_range(long_a, long_b, begin, end),
			  pinring_lanes_combine(dot));
	}
}

TEST(reductions_of_nothing)
{
	ASSERT_EQ(0, pinring_sum_range(NULL, 0, 0));
	ASSERT_EQ(0, pinring_dot_range(NULL, NULL, 7, 7));
	ASSERT_EQ(INFINITY, pinring_reduce_min_range(NULL, 0, 0));
	ASSERT_EQ(-INFINITY, pinring_reduce_max_range(NULL, 0, 0));
	ASSERT_EQ(0, pinring_exp_shift_range(NULL, NULL, 0, 0, 0));
}

/* Anywhere: in a vector, in the remainder, and with either sign. */
TEST(one_nan_makes_every_reduction_nan)
{
	static const __u32 nans[] = { 0x7fc00000, 0xffc00000, 0x7f800001, 0xffffffff };

	fill_long();
	for (size_t k = 0; k < ARRAY_SIZE(nans); k++)
		for (__u64 at = 0; at < 75; at += 37) {
			const float kept = long_a[at];

			long_a[at] = pinring_bits_float(nans[k]);
			ASSERT_TRUE(isnan(pinring_sum_range(long_a, 0, 75)));
			ASSERT_TRUE(isnan(pinring_dot_range(long_a, long_b, 0, 75)));
			ASSERT_TRUE(isnan(pinring_reduce_min_range(long_a, 0, 75)));
			ASSERT_TRUE(isnan(pinring_reduce_max_range(long_a, 0, 75)));
			ASSERT_TRUE(isnan(reduce(long_a, long_b, 75, 0, 1).min));
			ASSERT_TRUE(isnan(reduce(long_a, long_b, 75, 0, 1).max));
			long_a[at] = kept;
		}
}

TEST(min_and_max_order_zeros_and_infinities)
{
	const float zeros[] = { 0.0f, -0.0f, 0.0f };
	const float ends[] = { 1.0f, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX };

	ASSERT_TRUE(same(-0.0f, pinring_reduce_min_range(zeros, 0, 3)));
	ASSERT_TRUE(same(0.0f, pinring_reduce_max_range(zeros, 0, 3)));
	ASSERT_TRUE(same(-0.0f, pinring_reduce_max_range(zeros, 1, 2)));
	ASSERT_EQ(-INFINITY, pinring_reduce_min_range(ends, 0, 5));
	ASSERT_EQ(INFINITY, pinring_reduce_max_range(ends, 0, 5));
}

/* The three passes of reduce.h, in place, in one part. */
static void softmax(float *a, __u64 n)
{
	const float max = pinring_reduce_max_range(a, 0, n);
	const double sum = pinring_exp_shift_range(a, a, max, 0, n);

	pinring_scale_range(a, a, NULL, pinring_softmax_scale(sum), 0, 0, n);
}

TEST(softmax_is_right)
{
	const __u64 n = 5000;
	long double right_sum = 0;
	double worst = 0;
	float max;

	for (__u64 i = 0; i < n; i++)
		long_a[i] = long_b[i] = random_float(10);
	long_a[77] = long_b[77] = -INFINITY;
	max = pinring_reduce_max_range(long_a, 0, n);
	for (__u64 i = 0; i < n; i++)
		right_sum += expl((long double)long_a[i] - (long double)max);
	softmax(long_b, n);
	ASSERT_EQ(0, long_b[77]);
	for (__u64 i = 0; i < n; i++)
		worst = fmax(worst, ulp_error(long_b[i],
			(double)(expl((long double)long_a[i] - (long double)max) /
				 right_sum)));
	/* a - max, up to 20, rounds by 2^-20 at most: 16 ulp, beside exp's own. */
	EXPECT_LE(worst, 16 + 3);
	ASSERT_LE(fabs(pinring_sum_range(long_b, 0, n) - 1), 0x1p-23);
}

TEST(exp_shift_sums_what_it_wrote)
{
	static float exps[ARRAY_SIZE(long_a)];

	fill_long();
	for (__u64 n = 1000; n < 3100; n += 12) {
		ASSERT_EQ(pinring_exp_shift_range(exps, long_a, 4000.0f, 9, n),
			  pinring_sum_range(exps, 9, n));
	}
}

TEST(softmax_of_nan_or_inf_or_only_minus_inf_is_nan)
{
	const float bad[] = { NAN, INFINITY };
	float a[40];
	size_t i, k;

	for (k = 0; k < ARRAY_SIZE(bad); k++) {
		for (i = 0; i < ARRAY_SIZE(a); i++)
			a[i] = random_float(1);
		a[23] = bad[k];
		softmax(a, ARRAY_SIZE(a));
		for (i = 0; i < ARRAY_SIZE(a); i++) {
			ASSERT_TRUE(isnan(a[i]));
		}
	}
	for (i = 0; i < ARRAY_SIZE(a); i++)
		a[i] = -INFINITY;
	softmax(a, ARRAY_SIZE(a));
	for (i = 0; i < ARRAY_SIZE(a); i++) {
		ASSERT_TRUE(isnan(a[i]));
	}
}

TEST_HARNESS_MAIN
