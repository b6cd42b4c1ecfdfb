// SPDX-License-Identifier: MIT
/*
 * Every operation, asked of an executor: right within the bound that its kernel
 * states, and the same bits from any number of threads and any instruction set.
 */
#include <kselftest_harness.h>

#include <float.h>
#include <math.h>

#include <pinring/pinring.h>

#include "executor_kind.h"
#include "executor_test.h"

#define MIB (1ull << 20)
#define MARGIN 64 /* floats beside an operand, that nothing may touch */
#define LONGEST ((1u << 20) + 7)
#define FLOATS (LONGEST + 2 * MARGIN)
#define S0 1.1f

static const uint64_t lengths[] = { 0, 1, 31, 100003, LONGEST };

/* Every executor there can be here; the first is what others must match. */
static const struct {
	const char *isa;
	uint32_t threads;
} configs[] = {
	{ "baseline", 1 },  { "baseline", 3 },	{ "x86-64-v3", 1 },
	{ "x86-64-v3", 3 }, { "x86-64-v4", 1 }, { "x86-64-v4", 3 },
	CUDA_CONFIGS,
};

enum { A, B, DST, BUFFERS };

FIXTURE(executors)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_executor *ex[ARRAY_SIZE(configs)];
	unsigned int config[ARRAY_SIZE(configs)]; /* of each executor */
	unsigned int n;
	uint64_t offset[BUFFERS]; /* of element 0, behind the margin */
	float *at[BUFFERS]; /* the same */
	float *a, *b; /* inputs to start from, FLOATS each */
	float *first, *right;
};

FIXTURE_SETUP(executors)
{
	static const char *const names[BUFFERS] = { "a", "b", "dst" };
	struct pinring_region_config rc = pinring_region_defaults(16 * MIB);
	struct pinring_executor_config ec = pinring_executor_defaults();

	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &rc, &self->r));
	for (unsigned int i = 0; i < BUFFERS; i++) {
		struct pinring_object_info o;

		ASSERT_EQ(0, pinring_object_create(self->r, names[i], PINRING_OBJECT_BYTES,
						   (FLOATS + 8) * sizeof(float), 0, &o));
		/* Each off a vector's alignment by another number of floats. */
		self->offset[i] = o.offset + (MARGIN + 1 + i) * sizeof(float);
		self->at[i] = (float *)((char *)pinring_region_base(self->r) +
					self->offset[i]);
	}
	self->n = 0;
	for (unsigned int i = 0; i < ARRAY_SIZE(configs); i++) {
		struct pinring_executor **ex = &self->ex[self->n];
		int err;

		if (!choose_executor(&ec, configs[i].isa, configs[i].threads))
			continue;
		err = pinring_executor_start(self->device, &ec, ex);
		if (err == -EINVAL && i > 1 && ec.kind == PINRING_EXECUTOR_HOST)
			continue; /* this CPU lacks it */
		ASSERT_EQ(0, err);
		ASSERT_EQ(0, pinring_executor_attach(*ex, self->r));
		self->config[self->n++] = i;
	}
	unsetenv("PINRING_ISA");
	self->a = calloc(FLOATS, sizeof(float));
	self->b = calloc(FLOATS, sizeof(float));
	self->first = calloc(FLOATS, sizeof(float));
	self->right = calloc(FLOATS, sizeof(float));
	ASSERT_TRUE(self->a && self->b && self->first && self->right);
}

FIXTURE_TEARDOWN(executors)
{
	for (unsigned int i = 0; i < self->n; i++) {
		EXPECT_EQ(0, pinring_executor_close(self->ex[i], 5 * SECOND));
	}
	pinring_region_close(self->r);
	pinring_device_close(self->device);
	free(self->a);
	free(self->b);
	free(self->first);
	free(self->right);
}

static const uint32_t special_bits[] = {
	0x7fc00000, 0x7f800000, 0xff800000, 0x80000000, 0x00000000, 0x00000001,
	0x807fffff, 0x00800000, 0xffffffff, 0x7f7fffff, 0xff7fffff, 0x7f800001,
	0x3f800000, 0xbf800000, 0xc2aeac50, 0xc2cff1b4, 0x41102cb4, 0xc1640000,
};
#define SPECIALS ARRAY_SIZE(special_bits)

/* Ordinary floats, any bits, and every pair of special values wherever it fits. */
static void fill_wild(float *a, float *b)
{
	for (size_t i = 0; i < FLOATS; i++) {
		a[i] = random_float(20);
		b[i] = random_float(20);
		if (i % 5 == 4) {
			a[i] = pinring_bits_float(random_bits());
			b[i] = pinring_bits_float(random_bits());
		}
		if (i % 7 == 6) {
			a[i] = pinring_bits_float(special_bits[i / 7 / SPECIALS % SPECIALS]);
			b[i] = pinring_bits_float(special_bits[i / 7 % SPECIALS]);
		}
	}
	a[MARGIN] = -0.0f; /* what n = 1 gets */
	b[MARGIN] = 0x1p-149f;
}

/* Magnitudes over 24 binades and both signs: sums that cancel. */
static void fill_finite(float *a, float *b)
{
	for (size_t i = 0; i < FLOATS; i++) {
		a[i] = ldexpf(random_float(1), (int)(random_bits() % 24) - 12);
		b[i] = ldexpf(random_float(1), (int)(random_bits() % 24) - 12);
	}
}

/* The same bits, or both some NaN. */
static bool same(float x, float y)
{
	return (isnan(x) && isnan(y)) || pinring_float_bits(x) == pinring_float_bits(y);
}

static uint64_t count_different(const float *x, const float *y, uint64_t n)
{
	uint64_t different = 0;

	if (!n || !memcmp(x, y, n * sizeof(*x)))
		return 0;
	for (uint64_t i = 0; i < n; i++)
		different += !same(x[i], y[i]);
	return different;
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

/* -------------------------------------------------------------- elementwise */

/*
 * References in double. For + - * / rounding them to float gives the correctly
 * rounded float (Figueroa, "When is double rounding innocuous?", 1995), which
 * is what is asked of those: an error of 0 means the same bits.
 */
static double right_fill(double a, double b)
{
	(void)a, (void)b;
	return (double)S0;
}

static double right_copy(double a, double b)
{
	(void)b;
	return a;
}

static double right_add(double a, double b)
{
	return a + b;
}

static double right_sub(double a, double b)
{
	return a - b;
}

static double right_mul(double a, double b)
{
	return a * b;
}

static double right_div(double a, double b)
{
	return a / b;
}

static double right_min(double a, double b)
{
	return isnan(a) || isnan(b) ? (double)NAN :
	       a == b ? (signbit(a) ? a : b) : (a < b ? a : b);
}

static double right_max(double a, double b)
{
	return isnan(a) || isnan(b) ? (double)NAN :
	       a == b ? (signbit(a) ? b : a) : (a > b ? a : b);
}

/* Rounded twice, as two operations are: a fused one would show. */
static double right_axpy(double a, double b)
{
	return (double)(float)((double)S0 * a) + b;
}

static double right_scale(double a, double b)
{
	(void)b;
	return (double)S0 * a;
}

static double right_relu(double a, double b)
{
	(void)b;
	return isnan(a) ? a : a > 0 ? a : 0;
}

static double right_sigmoid(double a, double b)
{
	(void)b;
	return a < 0 ? exp(a) / (1 + exp(a)) : 1 / (1 + exp(-a));
}

static double right_tanh(double a, double b)
{
	(void)b;
	return tanh(a);
}

static double right_gelu(double a, double b)
{
	(void)b;
	return a < -DBL_MAX ? 0 : a * erfc(-a * M_SQRT1_2) / 2;
}

static double right_gelu_tanh(double a, double b)
{
	const double u = 2 * sqrt(M_2_PI) * (a + 0.044715 * a * a * a);

	return a < -DBL_MAX ? 0 : a * right_sigmoid(u, b);
}

static const struct {
	uint16_t operation;
	double (*right)(double a, double b);
	double ulp; /* gpu/kernels/math.h; 0: the same bits */
} elementwise[] = {
	{ PINRING_OP_FILL, right_fill, 0 },
	{ PINRING_OP_COPY, right_copy, 0 },
	{ PINRING_OP_ADD, right_add, 0 },
	{ PINRING_OP_SUB, right_sub, 0 },
	{ PINRING_OP_MUL, right_mul, 0 },
	{ PINRING_OP_DIV, right_div, 0 },
	{ PINRING_OP_MIN, right_min, 0 },
	{ PINRING_OP_MAX, right_max, 0 },
	{ PINRING_OP_AXPY, right_axpy, 0 },
	{ PINRING_OP_SCALE, right_scale, 0 },
	{ PINRING_OP_RELU, right_relu, 0 },
	{ PINRING_OP_SIGMOID, right_sigmoid, 2.5 },
	{ PINRING_OP_TANH, right_tanh, 2.5 },
	{ PINRING_OP_GELU, right_gelu, 5 },
	{ PINRING_OP_GELU_TANH, right_gelu_tanh, 3 },
};

/* Inputs put back, margins included; dst gets a pattern of its own. */
static void reset(FIXTURE_DATA(executors) *self, uint64_t n)
{
	const size_t bytes = (n + 2 * MARGIN) * sizeof(float);

	memcpy(self->at[A] - MARGIN, self->a, bytes);
	memcpy(self->at[B] - MARGIN, self->b, bytes);
	memset(self->at[DST] - MARGIN, 0xa5, bytes);
}

static struct pinring_completion run_on(struct __test_metadata *_metadata,
					FIXTURE_DATA(executors) *self, unsigned int e,
					const struct pinring_command *c)
{
	struct pinring_completion done = { .status = -1 };

	EXPECT_EQ(0, pinring_executor_call(self->ex[e], c, 20 * SECOND, &done));
	EXPECT_EQ(0, done.status)
		TH_LOG("%s, n = %llu: %s", pinring_operation_name(c->operation), c->count,
		       pinring_reason_text(done.reason));
	EXPECT_EQ(c->id, done.id);
	EXPECT_EQ(c->count, done.done);
	return done;
}

/*
 * The operation into buffer `into` on every executor. The first one's whole
 * buffer is left in self->first; the others' must equal it, and what is beside
 * the n results must be as it was.
 */
static void run_everywhere(struct __test_metadata *_metadata,
			   FIXTURE_DATA(executors) *self, uint16_t operation, uint64_t n,
			   int into)
{
	const float *beside = into == A ? self->a : into == B ? self->b : NULL;
	const struct pinring_command c = {
		.id = operation, .operation = operation, .count = n, .s0 = S0,
		.dst = { self->offset[into], 0 },
		.a = { self->offset[A], 0 },
		.b = { self->offset[B], 0 },
	};
	float *out = self->at[into] - MARGIN;

	for (unsigned int e = 0; e < self->n; e++) {
		uint64_t wrong = 0;

		reset(self, n);
		run_on(_metadata, self, e, &c);
		if (e == 0)
			memcpy(self->first, out, (n + 2 * MARGIN) * sizeof(float));
		EXPECT_EQ(0, count_different(self->first, out, n + 2 * MARGIN))
			TH_LOG("%s, n = %llu, into %d: %s with %u threads differs",
			       pinring_operation_name(operation), (unsigned long long)n,
			       into, configs[self->config[e]].isa,
			       configs[self->config[e]].threads);
		for (unsigned int i = 0; e == 0 && i < MARGIN; i++) {
			const float pattern = pinring_bits_float(0xa5a5a5a5);
			const uint64_t k = MARGIN + n + i;

			wrong += !same(out[i], beside ? beside[i] : pattern);
			wrong += !same(out[k], beside ? beside[k] : pattern);
		}
		EXPECT_EQ(0, wrong) TH_LOG("wrote beside dst");
	}
}

TEST_F_TIMEOUT(executors, elementwise, 120)
{
	fill_wild(self->a, self->b);
	for (size_t k = 0; k < ARRAY_SIZE(elementwise); k++) {
		const char *name = pinring_operation_name(elementwise[k].operation);
		double worst = 0;

		for (size_t l = 0; l < ARRAY_SIZE(lengths); l++) {
			const uint64_t n = lengths[l];
			uint64_t wrong = 0;

			run_everywhere(_metadata, self, elementwise[k].operation, n, DST);
			for (uint64_t i = MARGIN; i < MARGIN + n; i++) {
				const double right = elementwise[k].right((double)self->a[i],
									  (double)self->b[i]);
				double error = 0;

				if (elementwise[k].ulp == 0)
					wrong += !same((float)right, self->first[i]);
				else
					error = ulp_error(self->first[i], right);
				worst = fmax(worst, error);
			}
			EXPECT_EQ(0, wrong) TH_LOG("%s, n = %llu", name, (unsigned long long)n);
			memcpy(self->right, self->first + MARGIN, n * sizeof(float));
			/* The longest takes no other path than the second longest. */
			for (int into = A; into <= B && n < LONGEST; into++) {
				run_everywhere(_metadata, self, elementwise[k].operation, n, into);
				EXPECT_EQ(0, count_different(self->right,
							     self->first + MARGIN, n))
					TH_LOG("%s, n = %llu: in place differs", name,
					       (unsigned long long)n);
			}
		}
		EXPECT_LE(worst, elementwise[k].ulp) TH_LOG("%s", name);
		if (worst > 0)
			TH_LOG("%s: within %.3f ulp", name, worst);
	}
}

/* dst = a = b, which the executor allows as well. */
TEST_F(executors, all_operands_may_be_one)
{
	struct pinring_command c = {
		.operation = PINRING_OP_AXPY, .count = 100003, .s0 = S0,
		.dst = { self->offset[A], 0 },
		.a = { self->offset[A], 0 },
		.b = { self->offset[A], 0 },
	};

	fill_wild(self->a, self->b);
	for (unsigned int e = 0; e < self->n; e++) {
		uint64_t wrong = 0;

		reset(self, c.count);
		run_on(_metadata, self, e, &c);
		for (uint64_t i = 0; i < c.count; i++) {
			const double a = (double)self->a[MARGIN + i];

			wrong += !same((float)right_axpy(a, a), self->at[A][i]);
		}
		EXPECT_EQ(0, wrong);
	}
}

/* --------------------------------------------------------------- reductions */

/* On every executor, dst given, omitted, and the first input: one answer. */
static float reduce(struct __test_metadata *_metadata, FIXTURE_DATA(executors) *self,
		    uint16_t operation, uint64_t n)
{
	struct pinring_command c = {
		.operation = operation, .count = n,
		.a = { self->offset[A], 0 }, .b = { self->offset[B], 0 },
	};
	float first = 0;

	for (unsigned int e = 0; e < self->n; e++) {
		struct pinring_completion done;

		reset(self, n);
		c.dst = (struct pinring_operand){ self->offset[DST], 0 };
		done = run_on(_metadata, self, e, &c);
		if (e == 0)
			first = done.result;
		EXPECT_TRUE(same(first, done.result));
		EXPECT_TRUE(same(first, self->at[DST][0]));
		EXPECT_EQ(0xa5a5a5a5, pinring_float_bits(self->at[DST][1]));
		EXPECT_EQ(0xa5a5a5a5, pinring_float_bits(self->at[DST][-1]));
		c.dst = (struct pinring_operand){ ~0ull >> 16, PINRING_REGION_NONE };
		done = run_on(_metadata, self, e, &c);
		EXPECT_TRUE(same(first, done.result))
			TH_LOG("%s, n = %llu: %a, then %a",
			       pinring_operation_name(operation), (unsigned long long)n,
			       (double)first, (double)done.result);
		EXPECT_EQ(0, count_different(self->a, self->at[A] - MARGIN, n + 2 * MARGIN));
		c.dst = c.a;
		done = run_on(_metadata, self, e, &c);
		EXPECT_TRUE(same(first, done.result));
		EXPECT_TRUE(same(first, self->at[A][0]));
	}
	return first;
}

TEST_F_TIMEOUT(executors, reductions, 120)
{
	fill_finite(self->a, self->b);
	for (size_t l = 0; l < ARRAY_SIZE(lengths); l++) {
		const uint64_t n = lengths[l];
		/* gpu/kernels/reduce.h's bound, for the reference's rounding too. */
		const double unit = ((double)n / 1024 + 69) * 0x1p-53 + (double)n * 0x1p-63;
		long double sum = 0, dot = 0, sum_abs = 0, dot_abs = 0;
		float min = INFINITY, max = -INFINITY;

		for (uint64_t i = 0; i < n; i++) {
			const long double a = (long double)self->a[MARGIN + i];
			const long double ab = a * (long double)self->b[MARGIN + i];

			sum += a, sum_abs += fabsl(a);
			dot += ab, dot_abs += fabsl(ab);
			min = fminf(min, self->a[MARGIN + i]);
			max = fmaxf(max, self->a[MARGIN + i]);
		}
		/* Behind it the result is rounded to float. */
		EXPECT_LE(fabs((double)(reduce(_metadata, self, PINRING_OP_SUM, n) - sum)),
			  1.001 * unit * (double)sum_abs + 0x1p-24 * fabs((double)sum));
		EXPECT_LE(fabs((double)(reduce(_metadata, self, PINRING_OP_DOT, n) - dot)),
			  1.001 * unit * (double)dot_abs + 0x1p-24 * fabs((double)dot));
		EXPECT_EQ(min, reduce(_metadata, self, PINRING_OP_REDUCE_MIN, n));
		EXPECT_EQ(max, reduce(_metadata, self, PINRING_OP_REDUCE_MAX, n));
	}
}

TEST_F(executors, reductions_of_nothing)
{
	EXPECT_TRUE(same(0, reduce(_metadata, self, PINRING_OP_SUM, 0)));
	EXPECT_TRUE(same(0, reduce(_metadata, self, PINRING_OP_DOT, 0)));
	EXPECT_TRUE(same(INFINITY, reduce(_metadata, self, PINRING_OP_REDUCE_MIN, 0)));
	EXPECT_TRUE(same(-INFINITY, reduce(_metadata, self, PINRING_OP_REDUCE_MAX, 0)));
}

TEST_F(executors, reductions_of_special_values)
{
	/* Two values planted among ordinary ones, then sum, dot, min, max. */
	static const struct {
		float x, y;
		float right[4];
	} cases[] = {
		{ NAN, 1, { NAN, NAN, NAN, NAN } },
		{ -NAN, INFINITY, { NAN, NAN, NAN, NAN } },
		{ INFINITY, 1, { INFINITY, INFINITY, -9, INFINITY } },
		{ -INFINITY, 1, { -INFINITY, -INFINITY, -INFINITY, 9 } },
		{ INFINITY, -INFINITY, { NAN, NAN, -INFINITY, INFINITY } },
	};
	static const uint16_t operations[] = { PINRING_OP_SUM, PINRING_OP_DOT,
					       PINRING_OP_REDUCE_MIN,
					       PINRING_OP_REDUCE_MAX };
	static const uint64_t n[] = { 31, 40000 };

	for (size_t l = 0; l < ARRAY_SIZE(n); l++)
		for (size_t k = 0; k < ARRAY_SIZE(cases); k++) {
			for (uint64_t i = 0; i < n[l]; i++) {
				self->a[MARGIN + i] = random_float(1);
				self->b[MARGIN + i] = 2;
			}
			self->a[MARGIN + 1] = 9;
			self->a[MARGIN + 2] = -9;
			self->a[MARGIN + 7] = cases[k].x;
			self->a[MARGIN + n[l] - 1] = cases[k].y;
			for (size_t o = 0; o < ARRAY_SIZE(operations); o++) {
				EXPECT_TRUE(same(cases[k].right[o],
						 reduce(_metadata, self, operations[o], n[l])))
					TH_LOG("case %zu, %s", k,
					       pinring_operation_name(operations[o]));
			}
		}
	/* -0 is below +0. */
	self->a[MARGIN] = 0;
	self->a[MARGIN + 1] = -0.0f;
	self->a[MARGIN + 2] = 0;
	EXPECT_TRUE(same(-0.0f, reduce(_metadata, self, PINRING_OP_REDUCE_MIN, 3)));
	EXPECT_TRUE(same(0.0f, reduce(_metadata, self, PINRING_OP_REDUCE_MAX, 3)));
}

/* ------------------------------------------------------------------ softmax */

TEST_F_TIMEOUT(executors, softmax, 120)
{
	static const float ranges[] = { 1, 100 };
	double worst = 0;

	for (size_t k = 0; k < ARRAY_SIZE(lengths) * ARRAY_SIZE(ranges); k++) {
		const uint64_t n = lengths[k / ARRAY_SIZE(ranges)];
		const float range = ranges[k % ARRAY_SIZE(ranges)];
		long double sum = 0, shift = 0, seen = 0;
		float max = -INFINITY;
		uint64_t wrong = 0;

		for (uint64_t i = 0; i < FLOATS; i++)
			self->a[i] = random_float(range);
		if (n > 3) {
			self->a[MARGIN + 3] = -INFINITY;
			self->a[MARGIN + 4] = 0x1p-149f;
		}
		run_everywhere(_metadata, self, PINRING_OP_SOFTMAX, n, DST);
		for (uint64_t i = MARGIN; i < MARGIN + n; i++)
			max = fmaxf(max, self->a[i]);
		for (uint64_t i = MARGIN; i < MARGIN + n; i++) {
			const double d = (double)self->a[i] - (double)max;
			const double e = exp(d);

			sum += (long double)e;
			if (e > 0)
				shift += (long double)(e * -d);
		}
		/*
		 * exp is within 1 ulp, a - max is rounded (half an ulp of it is
		 * an error of as much, relative), the sum has the mean of all
		 * those errors, and the factor and the product are rounded.
		 */
		for (uint64_t i = MARGIN; i < MARGIN + n; i++) {
			const double d = (double)self->a[i] - (double)max;
			const double right = exp(d) / (double)sum;
			const double mean = (double)(shift / sum);
			double bound = 0x1p-148;

			seen += (long double)self->first[i];
			if (right > 0)
				bound += right * 1.001 * (0x1p-24 * (mean - d) + 3 * 0x1p-23);
			if (!(fabs((double)self->first[i] - right) <= bound))
				wrong++;
			if (right > 0x1p-126)
				worst = fmax(worst, fabs((double)self->first[i] - right) / bound);
		}
		EXPECT_EQ(0, wrong) TH_LOG("n = %llu", (unsigned long long)n);
		if (n > 3) {
			EXPECT_EQ(0, self->first[MARGIN + 3]);
		}
		if (n) {
			EXPECT_LE(fabsl(seen - 1), 0x1.01p-23L)
				TH_LOG("n = %llu: sum is %.9Lf", (unsigned long long)n, seen);
		}
		memcpy(self->right, self->first + MARGIN, n * sizeof(float));
		run_everywhere(_metadata, self, PINRING_OP_SOFTMAX, n, A);
		EXPECT_EQ(0, count_different(self->right, self->first + MARGIN, n));
	}
	TH_LOG("softmax: %.3f of the bound", worst);
}

/* As numpy and torch have it. */
TEST_F(executors, softmax_of_nan_or_inf_or_only_minus_inf_is_nan)
{
	static const float bad[] = { NAN, -NAN, INFINITY, -INFINITY };
	static const uint64_t n[] = { 1, 31, 40000 };

	for (size_t l = 0; l < ARRAY_SIZE(n); l++)
		for (size_t k = 0; k < ARRAY_SIZE(bad); k++) {
			uint64_t numbers = 0;

			for (uint64_t i = 0; i < n[l]; i++)
				self->a[MARGIN + i] = k == 3 ? -INFINITY : random_float(1);
			self->a[MARGIN + n[l] / 2] = bad[k];
			run_everywhere(_metadata, self, PINRING_OP_SOFTMAX, n[l], DST);
			for (uint64_t i = 0; i < n[l]; i++)
				numbers += !isnan(self->first[MARGIN + i]);
			EXPECT_EQ(0, numbers) TH_LOG("%a among %llu", (double)bad[k],
						     (unsigned long long)n[l]);
		}
}

/* The largest floats: a - max overflows to -Inf, and nothing else happens. */
TEST_F(executors, softmax_of_the_largest_floats)
{
	self->a[MARGIN] = FLT_MAX;
	self->a[MARGIN + 1] = -FLT_MAX;
	self->a[MARGIN + 2] = FLT_MAX;
	run_everywhere(_metadata, self, PINRING_OP_SOFTMAX, 3, DST);
	EXPECT_EQ(0.5f, self->first[MARGIN]);
	EXPECT_EQ(0.0f, self->first[MARGIN + 1]);
	EXPECT_EQ(0.5f, self->first[MARGIN + 2]);
}

TEST_F(executors, nop_does_nothing)
{
	/* Its operands are not looked at, however wrong. */
	struct pinring_command c = { .operation = PINRING_OP_NOP, .id = 77,
				     .dst = { 3, 250 }, .a = { 5, 9 } };

	for (unsigned int e = 0; e < self->n; e++)
		run_on(_metadata, self, e, &c);
}

TEST(an_unknown_instruction_set_is_refused_with_a_sentence)
{
	struct pinring_executor_config config = pinring_executor_defaults();
	struct pinring_device *device;
	struct pinring_executor *ex;

	ASSERT_EQ(0, pinring_device_open(NULL, &device));
	setenv("PINRING_ISA", "vax", 1);
	config.kind = PINRING_EXECUTOR_HOST;
	EXPECT_EQ(-EINVAL, pinring_executor_create(device, &config, &ex));
	EXPECT_NE(NULL, strstr(pinring_error(), "vax"));
	EXPECT_EQ(NULL, ex);
	pinring_device_close(device);
}

TEST_HARNESS_MAIN
