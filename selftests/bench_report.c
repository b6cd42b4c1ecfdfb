// SPDX-License-Identifier: MIT
/*
 * What the benchmarks conclude from their figures: medians and tails, ratios of one
 * run, and when a target is met, missed, or was not measured.
 */
#include <kselftest_harness.h>

#include "bench/measure.c"
#include "bench/report.c"

static struct series series_of(unsigned int n, const double *values)
{
	struct series s = { .n = 0 };

	for (unsigned int i = 0; i < n; i++) {
		series_add(&s, values[i]);
	}
	return s;
}

#define SERIES(...)                                              \
	series_of(sizeof((double[]){ __VA_ARGS__ }) / sizeof(double), \
		  (double[]){ __VA_ARGS__ })

static struct series constant(double value)
{
	struct series s = { .n = 0 };

	while (s.n < REPORT_RUNS_LEAST) {
		series_add(&s, value);
	}
	return s;
}

TEST(a_median_is_the_middle_and_the_order_stays)
{
	struct series s = SERIES(5, 1, 4, 2, 3);

	EXPECT_EQ(3.0, series_median(&s));
	EXPECT_EQ(1.0, series_at(&s, 0));
	EXPECT_EQ(5.0, series_at(&s, 1000));
	EXPECT_EQ(3.0, series_last(&s));
	EXPECT_EQ(5.0, s.value[0]);
}

TEST(the_tail_is_what_it_is_called)
{
	double values[2000];

	for (int i = 0; i < 2000; i++) {
		values[i] = 2000 - i;
	}
	EXPECT_EQ(1001.0, bench_quantile(values, 2000, 500));
	EXPECT_EQ(1981.0, bench_quantile(values, 2000, 990));
	EXPECT_EQ(1999.0, bench_quantile(values, 2000, 999));
	EXPECT_EQ(2000.0, bench_quantile(values, 2000, 1000));
	EXPECT_EQ(0.0, bench_quantile(values, 0, 500));
}

TEST(a_ratio_is_of_each_run_and_not_of_the_medians)
{
	/* The medians say 2, the runs 2, 4 and 1. */
	struct series value = SERIES(20, 40, 30), limit = SERIES(10, 10, 30);

	EXPECT_EQ(2.0, series_ratio(&value, &limit));
	limit = SERIES(10);
	EXPECT_EQ(2.0, series_ratio(&value, &limit));
	limit = SERIES(0, 10);
	EXPECT_EQ(4.0, series_ratio(&value, &limit));
	limit.n = 0;
	EXPECT_EQ(0.0, series_ratio(&value, &limit));
}

TEST(no_more_runs_than_a_series_holds)
{
	struct series s = { .n = 0 };

	for (int i = 0; i < 2 * BENCH_RUNS_MAX; i++) {
		series_add(&s, i);
	}
	EXPECT_EQ(BENCH_RUNS_MAX, s.n);
}

TEST(verdicts)
{
	const struct row measured = { .name = "x", .unit = "ns",
				      .value = constant(13),
				      .limit = constant(10), .ratio = 1.3 };
	struct row r = measured;

	EXPECT_EQ(NO_TARGET, judge(&r));
	r.target = 1.3;
	EXPECT_EQ(MET, judge(&r));
	r.target = 1.29;
	EXPECT_EQ(MISSED, judge(&r));
	r.target_is_floor = true;
	EXPECT_EQ(MET, judge(&r));
	r.target_of = TARGET_VALUE;
	r.target = 14;
	EXPECT_EQ(MISSED, judge(&r));
	r.target_of = TARGET_EXCESS;
	r.target = 3;
	EXPECT_EQ(MET, judge(&r));
	r.target_is_floor = false;
	r.target = 2.9;
	EXPECT_EQ(MISSED, judge(&r));
}

TEST(what_was_not_measured_counts_as_missed)
{
	struct row r = { .name = "x", .unit = "ns", .target = 1.3 };

	EXPECT_EQ(NOT_MEASURED, judge(&r));
	EXPECT_TRUE(is_missed(&r));
	/* The figure, but not what it is to be compared with. */
	r.value = constant(13);
	EXPECT_EQ(NOT_MEASURED, judge(&r));
	r.ratio = 1.0;
	r.limit = SERIES(13);
	EXPECT_EQ(TOO_FEW, judge(&r));
	EXPECT_TRUE(is_missed(&r));
	r.limit = constant(13);
	EXPECT_EQ(MET, judge(&r));
	r.value = SERIES(13);
	EXPECT_EQ(TOO_FEW, judge(&r));
	r.once = true;
	EXPECT_EQ(MET, judge(&r));
	r.target = 0;
	r.value.n = 0;
	EXPECT_EQ(ABSENT, judge(&r));
	EXPECT_FALSE(is_missed(&r));
}

TEST_HARNESS_MAIN
