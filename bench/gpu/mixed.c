// SPDX-License-Identifier: MIT
/*
 * mixed.c - the mixed workload: inject, 5 steps, query, over and over; for as long as
 * it takes, and in frames of 1/60 s.
 */
#include <stdio.h>
#include <string.h>

#include "rows.h"
#include "ways.h"

#define ITERATIONS 100u /* a round; quickly, fewer */
#define WAYS_MAX 8u

static void check(const struct way *way, unsigned int i, float got, float want)
{
	if (memcmp(&got, &want, sizeof(got)))
		gpu_die("%s: iteration %u heard %.9g, and the host executor %.9g",
			way->name, i, (double)got, (double)want);
}

/* us an iteration. */
static double run(struct workload *w, const struct way *way,
		  const float *reference, unsigned int count)
{
	float heard[ITERATIONS];
	uint64_t begin, end;
	unsigned int i;

	way->begin(w);
	begin = bench_now_ns();
	for (i = 0; i < count; i++)
		heard[i] = way->iterate(w, workload_value(i));
	end = bench_now_ns();
	way->end(w);
	for (i = 0; i < count; i++)
		check(way, i, heard[i], reference[i]);
	return (double)(end - begin) / 1e3 / count;
}

/* The way with the least (or the most) of what is counted; -1: none. */
static int best_of(const struct series *figures, bool launches, bool most)
{
	double best = 0.0;
	unsigned int i;
	int at = -1;

	for (i = 0; i < ways_count; i++) {
		double median = series_median(&figures[i]);

		if (ways[i].launches != launches || !figures[i].n)
			continue;
		if (at < 0 || (most ? median > best : median < best)) {
			at = (int)i;
			best = median;
		}
	}
	return at;
}

void bench_gpu_mixed(const struct gpu_options *o)
{
	static const char *const names[] = {
		"mixed 64^3: executor, 7 commands",
		"mixed 64^3: executor, 3 commands",
		"mixed 64^3: each launch synchronised",
		"mixed 64^3: launches pipelined",
		"mixed 64^3: pipelined, answer polled",
		"mixed 64^3: graph of 7",
		"mixed 64^3: graph of 7, answer polled",
	};
	const unsigned int count = o->quick ? 10 : ITERATIONS;
	static struct series us[WAYS_MAX];
	static float reference[ITERATIONS];
	static struct workload w;
	struct row row = { .name = ROW_MIXED,
			   .unit = "us",
			   .limit_name = "the best that launches",
			   .target = 0.2 };
	unsigned int r, i;
	int ours, theirs;

	workload_reference(o, reference, ITERATIONS);
	workload_open(&w, o);
	for (r = 0; r < o->runs; r++) {
		for (i = 0; i < ways_count; i++) {
			if (way_there(&w, &ways[i]))
				series_add(&us[i],
					   run(&w, &ways[i], reference,
					       count));
		}
	}
	ours = best_of(us, false, false);
	theirs = best_of(us, true, false);
	row.value = us[ours];
	if (theirs >= 0) {
		row.limit = us[theirs];
		row.ratio = series_ratio(&row.value, &row.limit);
	}
	snprintf(row.note, sizeof(row.note),
		 "5 times less is the target; %s beside %s; the room in GPU memory; all heard the bits of a host executor",
		 ways[ours].name, theirs < 0 ? "nothing" : ways[theirs].name);
	group_row(&row);
	for (i = 0; i < ways_count; i++) {
		struct row each = { .name = names[i],
				    .unit = "us",
				    .value = us[i] };

		if (us[i].n)
			group_row(&each);
	}
}

/* ------------------------------------------------------------------ frames */
#define FRAME_NS 16666667ull
#define MARGIN_NS 200000ull /* nothing is begun so shortly before the end */
#define FRAMES 60u

/*
 * One second of frames: in each, iterations one after another until MARGIN before
 * its end. A frame is missed if the last answer comes after its end; the next one
 * begins when it was due, or, if that has passed, at once.
 */
static unsigned int frames(struct workload *w, const struct way *way,
			   unsigned int count, struct series *operations)
{
	unsigned int missed = 0, i = 0, f;
	uint64_t due;

	way->begin(w);
	due = bench_now_ns();
	for (f = 0; f < count; f++) {
		unsigned int done = 0;

		due += FRAME_NS;
		do {
			way->iterate(w, workload_value(i++));
			done += STEPS + 2;
		} while (bench_now_ns() + MARGIN_NS < due);
		missed += bench_now_ns() > due;
		series_add(operations, done);
		while (bench_now_ns() < due)
			pinring_relax();
	}
	way->end(w);
	return missed;
}

static void report_missed(const char *name, unsigned int missed,
			  unsigned int of, const struct way *way)
{
	struct row row = { .name = name, .unit = "frames", .once = true };

	series_add(&row.value, missed);
	snprintf(row.note, sizeof(row.note), "of %u; %s", of, way->name);
	group_row(&row);
}

void bench_gpu_frame(const struct gpu_options *o)
{
	const unsigned int count = o->quick ? 10 : FRAMES;
	static struct series operations[WAYS_MAX];
	unsigned int missed[WAYS_MAX], i;
	static struct workload w;
	struct row row = { .name = ROW_FRAME,
			   .unit = "",
			   .limit_name = "the best that launches" };
	int ours, theirs;

	workload_open(&w, o);
	for (i = 0; i < ways_count; i++) {
		if (way_there(&w, &ways[i]))
			missed[i] = frames(&w, &ways[i], count, &operations[i]);
	}
	ours = best_of(operations, false, true);
	theirs = best_of(operations, true, true);
	row.value = operations[ours];
	if (theirs >= 0) {
		row.limit = operations[theirs];
		row.ratio = series_ratio(&row.value, &row.limit);
	}
	snprintf(row.note, sizeof(row.note),
		 "really run, 16.67 ms each; inject, 5 steps and query are 7 operations; completed by the end of the frame");
	group_row(&row);
	report_missed("60 FPS 64^3, missed by the executor", missed[ours], count,
		      &ways[ours]);
	if (theirs >= 0)
		report_missed("60 FPS 64^3, missed by launches",
			      missed[theirs], count, &ways[theirs]);
}
