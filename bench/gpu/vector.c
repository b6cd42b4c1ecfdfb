// SPDX-License-Identifier: MIT
/*
 * vector.c - dst = a + b: by a command, where the loop's own code does it, beside a
 * launch of a kernel that does the same. Large ones against the bandwidth of the
 * GPU's memory, as that kernel reaches it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "latency.h"
#include "rows.h"
#include "stage.h"

#define FLOATS (1u << 20) /* the largest of the small ones */
#define DEPTH 64u
#define THREADS 256u
#define LARGE_TIMES 20u /* a round */

struct vectors {
	struct gpu gpu;
	struct stage stage;
	cuda_function add, fill;
	uint64_t a, b, dst; /* offsets */
	cuda_event begin, end; /* around a launch of a large one */
};

/* Of a kernel, while the executor lives. */
struct registration {
	struct series ms;
	char why[200]; /* not */
};

static const unsigned int sizes[] = { 100, 1000, 3072, FLOATS };
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static unsigned int blocks_for(const struct gpu *g, uint64_t n)
{
	uint64_t blocks = (n / 4 + THREADS - 1) / THREADS;

	if (blocks > 8ull * g->sms)
		blocks = 8ull * g->sms;
	return blocks ? (unsigned int)blocks : 1;
}

static void launch_add(struct vectors *v, uint64_t n)
{
	cuda_address base = v->stage.memory;
	cuda_address dst = base + v->dst, a = base + v->a, b = base + v->b;

	gpu_launch(&v->gpu, v->add, blocks_for(&v->gpu, n), THREADS,
		   GPU_PARAMETERS(&dst, &a, &b, &n));
}

static struct pinring_command add_command(const struct vectors *v,
					  uint16_t operation, uint32_t region,
					  uint64_t n)
{
	return (struct pinring_command){
		.operation = operation,
		.dst = { v->dst, region },
		.a = { v->a, region },
		.b = { v->b, region },
		.count = n,
	};
}

static void check(const struct vectors *v, uint64_t n, const char *who)
{
	const size_t bytes = FLOATS * sizeof(float);
	const float *a = stage_at(&v->stage, v->a, bytes);
	const float *b = stage_at(&v->stage, v->b, bytes);
	const float *dst = stage_at(&v->stage, v->dst, bytes);
	uint64_t i;

	for (i = 0; i < n; i++) {
		float sum = a[i] + b[i];

		if (memcmp(&dst[i], &sum, sizeof(sum)))
			gpu_die("%s: %llu floats: number %llu is %g, not %g",
				who, (unsigned long long)n,
				(unsigned long long)i, (double)dst[i],
				(double)sum);
	}
}

static void spoil(struct vectors *v)
{
	memset(stage_at(&v->stage, v->dst, FLOATS * sizeof(float)), 0xff,
	       FLOATS * sizeof(float));
}

static void by_command(struct vectors *v, uint16_t operation, uint32_t region,
		       uint64_t n, unsigned int count, struct trips *t)
{
	const struct pinring_command c = add_command(v, operation, region, n);
	const double ns = bench_ticks_ns();
	struct pinring_completion done;
	unsigned int i;

	for (i = 0; i < count; i++) {
		uint64_t begin = bench_ticks(), middle, ticket;

		ticket = stage_submit(&v->stage, &c);
		middle = bench_ticks();
		stage_wait(&v->stage, ticket, &done);
		t->completed[t->n] = (double)(bench_ticks() - begin) * ns;
		t->accepted[t->n] = 0.0;
		t->issued[t->n++] = (double)(middle - begin) * ns;
		if (done.done != n)
			gpu_die("an add did %llu of %llu",
				(unsigned long long)done.done,
				(unsigned long long)n);
	}
}

static void by_launch(struct vectors *v, uint64_t n, unsigned int count,
		      struct trips *t)
{
	const double ns = bench_ticks_ns();
	unsigned int i;

	for (i = 0; i < count; i++) {
		uint64_t begin = bench_ticks(), middle;

		launch_add(v, n);
		middle = bench_ticks();
		gpu_synchronize(&v->gpu);
		t->completed[t->n] = (double)(bench_ticks() - begin) * ns;
		t->accepted[t->n] = 0.0;
		t->issued[t->n++] = (double)(middle - begin) * ns;
	}
}

enum { INLINE, INLINE_HOST, REGISTERED, LAUNCHED, WAYS };

/* The same sums by a kernel that the executor did not know when it was built. */
static int register_add(struct vectors *v, uint64_t flags,
			struct registration *r, uint32_t *operation)
{
	static const char text[] = "#include <pinring/kernel.h>\n"
				   "PINRING_KERNEL(bench_sum)\n"
				   "{\n"
				   "	PINRING_EACH(i, args->count)\n"
				   "		dst[i] = a[i] + b[i];\n"
				   "}\n";
	struct pinring_kernel_config config =
		PINRING_INIT(struct pinring_kernel_config);
	uint64_t begin = bench_now_ns();
	int rc;

	config.name = "bench_sum";
	config.text = text;
	config.flags = flags;
	rc = pinring_executor_register(v->stage.executor, &config, operation);
	if (rc)
		snprintf(r->why, sizeof(r->why), "%s", pinring_error());
	else
		series_add(&r->ms, (double)(bench_now_ns() - begin) / 1e6);
	return rc;
}

/* One size by one way; the sums are checked. */
static void by_loop(struct vectors *v, uint16_t operation, uint32_t region,
		    uint64_t n, unsigned int count, struct trips *t,
		    struct command_row *row)
{
	const size_t bytes = FLOATS * sizeof(float);

	spoil(v);
	stage_upload(&v->stage, v->dst, bytes);
	by_command(v, operation, region, n, count, t);
	trips_add(t, row);
	if (region != v->stage.host)
		stage_download(&v->stage, v->dst, bytes);
	check(v, n, row->name);
}

/* One executor's life: every size, by its own code and by the kernel it learns. */
static void loop_round(struct vectors *v, unsigned int count, struct trips *t,
		       struct command_row rows[SIZES][WAYS],
		       struct registration r[2])
{
	uint32_t operation = 0;
	unsigned int i;
	bool knows;

	stage_start(&v->stage, DEPTH);
	stage_settle(&v->stage);
	for (i = 0; i < SIZES; i++) {
		if (v->stage.memory)
			by_loop(v, PINRING_OP_ADD, v->stage.there, sizes[i],
				count, t, &rows[i][INLINE]);
		by_loop(v, PINRING_OP_ADD, v->stage.host, sizes[i],
			sizes[i] < FLOATS ? count : count / 10, t,
			&rows[i][INLINE_HOST]);
	}
	knows = !register_add(v, 0, &r[0], &operation);
	for (i = 0; knows && i < SIZES; i++)
		by_loop(v, (uint16_t)operation, v->stage.there, sizes[i],
			sizes[i] < FLOATS ? count : count / 10, t,
			&rows[i][REGISTERED]);
	knows = knows && !register_add(v, PINRING_REGISTER_HOT, &r[1], &operation);
	/* What it computes is checked; its time is that of the one above. */
	for (i = 0; knows && i < SIZES; i++)
		by_loop(v, (uint16_t)operation, v->stage.there, sizes[i], 10, t,
			&(struct command_row){ .name = ROW_HOT });
	spoil(v);
	stage_upload(&v->stage, v->dst, FLOATS * sizeof(float));
	stage_stop(&v->stage);
}

static void launch_round(struct vectors *v, unsigned int count, struct trips *t,
			 struct command_row rows[SIZES][WAYS])
{
	const size_t bytes = FLOATS * sizeof(float);
	unsigned int i;

	for (i = 0; i < SIZES; i++) {
		by_launch(v, sizes[i], count, t);
		trips_add(t, &rows[i][LAUNCHED]);
		gpu_check(&v->gpu,
			  v->gpu.call.copy_out(stage_at(&v->stage, v->dst,
							bytes),
					       v->stage.memory + v->dst, bytes,
					       v->gpu.stream),
			  "copy the sums back");
		gpu_synchronize(&v->gpu);
		check(v, sizes[i], rows[i][LAUNCHED].name);
	}
}

void bench_gpu_vector(const struct gpu_options *o)
{
	static struct command_row rows[SIZES][WAYS] = {
		{ { .name = "add of 100, GPU memory" },
		  { .name = "add of 100, host memory" },
		  { .name = "add of 100, registered, GPU memory" },
		  { .name = "add of 100, launched, GPU memory" } },
		{ { .name = "add of 1000, GPU memory" },
		  { .name = "add of 1000, host memory" },
		  { .name = "add of 1000, registered, GPU memory" },
		  { .name = "add of 1000, launched, GPU memory" } },
		{ { .name = "add of 3072, GPU memory" },
		  { .name = "add of 3072, host memory" },
		  { .name = "add of 3072, registered, GPU memory" },
		  { .name = "add of 3072, launched, GPU memory" } },
		{ { .name = "add of 1 M, GPU memory" },
		  { .name = "add of 1 M, host memory" },
		  { .name = "add of 1 M, registered, GPU memory" },
		  { .name = "add of 1 M, launched, GPU memory" } },
	};
	const bool real = o->kind == PINRING_EXECUTOR_CUDA;
	const unsigned int count = o->quick ? 20 : 1000;
	const size_t bytes = FLOATS * sizeof(float);
	struct row row = { .unit = "ms" };
	static struct registration registration[2];
	struct trips *t = trips_new();
	static struct vectors v;
	unsigned int r, i, k;
	float *a, *b;

	if (real) {
		gpu_open(&v.gpu, o);
		v.add = gpu_kernel(&v.gpu, "bench_add");
	}
	stage_open(&v.stage, o, real ? &v.gpu : NULL, 3 * bytes + 65536);
	v.a = stage_object(&v.stage, "a", bytes);
	v.b = stage_object(&v.stage, "b", bytes);
	v.dst = stage_object(&v.stage, "dst", bytes);
	a = stage_at(&v.stage, v.a, bytes);
	b = stage_at(&v.stage, v.b, bytes);
	for (i = 0; i < FLOATS; i++) {
		a[i] = (float)(i % 1013) * 0.37f;
		b[i] = (float)(i % 911) - 400.5f;
	}
	for (r = 0; r < o->runs; r++) {
		loop_round(&v, count, t, rows, registration);
		if (real)
			launch_round(&v, count, t, rows);
	}
	for (i = 0; i < SIZES; i++) {
		for (k = 0; k < WAYS; k++) {
			if (rows[i][k].p50.n)
				group_command(&rows[i][k]);
		}
	}
	for (k = 0; k < 2; k++) {
		row.name = k ? ROW_HOT : ROW_REGISTER;
		row.value = registration[k].ms;
		snprintf(row.note, sizeof(row.note), "%s", registration[k].why);
		group_row(&row);
	}
}

/* -------------------------------------------------------------- large ones */
struct large {
	const char *name, *trip;
	uint64_t n;
	struct series loop, kernel; /* us, by the GPU's clock */
	struct series executor, launched; /* and by the host's */
	uint64_t tick; /* ns, of the GPU's clock: what divides all that it said */
};

static uint64_t divisor(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

static void fill(struct vectors *v, uint64_t offset, float value, uint64_t n)
{
	cuda_address at = v->stage.memory + offset;

	gpu_launch(&v->gpu, v->fill, blocks_for(&v->gpu, n), THREADS,
		   GPU_PARAMETERS(&at, &value, &n));
	gpu_synchronize(&v->gpu);
}

/* fill() made a and b; the last floats are looked at. */
static void check_large(struct vectors *v, uint64_t n, const char *who)
{
	const uint64_t some = n < FLOATS ? n : FLOATS;
	static float got[FLOATS];
	uint64_t i;

	gpu_check(&v->gpu,
		  v->gpu.call.copy_out(got,
				       v->stage.memory + v->dst +
					       (n - some) * sizeof(float),
				       some * sizeof(float), v->gpu.stream),
		  "copy the sums back");
	gpu_synchronize(&v->gpu);
	for (i = 0; i < some; i++) {
		float x = (float)((n - some + i) % 1024);

		if (got[i] != (1.0f + x) + (2.0f + x))
			gpu_die("%s: float %llu of %llu is wrong", who,
				(unsigned long long)(n - some + i),
				(unsigned long long)n);
	}
}

static void make_event(struct vectors *v, cuda_event *event)
{
	gpu_check(&v->gpu, v->gpu.call.event_create(event, 0), "make an event");
}

static void record(struct vectors *v, cuda_event event)
{
	gpu_check(&v->gpu, v->gpu.call.event_record(event, v->gpu.stream),
		  "record an event");
}

/*
 * By the GPU's clock their mean: it may tick in steps of a microsecond, of which the
 * shortest add takes three.
 */
static void large_by_command(struct vectors *v, struct large *l)
{
	const struct pinring_command c =
		add_command(v, PINRING_OP_ADD, v->stage.there,
			    l->n);
	double trip[LARGE_TIMES], loop = 0.0;
	struct pinring_completion done;
	unsigned int i;

	for (i = 0; i < LARGE_TIMES; i++) {
		uint64_t since = bench_now_ns();

		stage_call(&v->stage, &c, &done);
		trip[i] = (double)(bench_now_ns() - since) / 1e3;
		loop += (double)done.duration_ns / 1e3;
		l->tick = divisor(l->tick, done.start_ns);
	}
	series_add(&l->executor, bench_quantile(trip, LARGE_TIMES, 500));
	series_add(&l->loop, loop / LARGE_TIMES);
}

/* By the GPU's clock the least: that is what the memory allows. */
static void large_by_launch(struct vectors *v, struct large *l)
{
	double trip[LARGE_TIMES], kernel[LARGE_TIMES];
	float ms = 0.0f;
	unsigned int i;

	for (i = 0; i < LARGE_TIMES; i++) {
		uint64_t since = bench_now_ns();

		launch_add(v, l->n);
		gpu_synchronize(&v->gpu);
		trip[i] = (double)(bench_now_ns() - since) / 1e3;
		record(v, v->begin);
		launch_add(v, l->n);
		record(v, v->end);
		gpu_synchronize(&v->gpu);
		gpu_check(&v->gpu,
			  v->gpu.call.event_elapsed(&ms, v->begin, v->end),
			  "read an event");
		kernel[i] = 1e3 * (double)ms;
	}
	series_add(&l->launched, bench_quantile(trip, LARGE_TIMES, 500));
	series_add(&l->kernel, bench_quantile(kernel, LARGE_TIMES, 0));
}

static void large_round(struct vectors *v, struct large *l)
{
	/* Each has its own sums to make. */
	fill(v, v->dst, -1.0f, l->n);
	stage_start(&v->stage, DEPTH);
	large_by_command(v, l);
	stage_stop(&v->stage);
	check_large(v, l->n, "the executor");
	fill(v, v->dst, -1.0f, l->n);
	large_by_launch(v, l);
	check_large(v, l->n, "the launched kernel");
}

static void report_large(const struct large *l)
{
	struct row row = { .name = l->name,
			   .unit = "us",
			   .value = l->loop,
			   .limit_name = "a launched kernel",
			   .limit = l->kernel,
			   .ratio = series_ratio(&l->loop, &l->kernel),
			   .target = 1.1 };
	struct row trip = { .name = l->trip,
			    .unit = "us",
			    .value = l->executor,
			    .limit_name = "a launched kernel, synchronised",
			    .limit = l->launched,
			    .ratio = series_ratio(&l->executor, &l->launched) };
	double bytes = 12.0 * (double)l->n;

	snprintf(row.note, sizeof(row.note),
		 "%llu floats, by the GPU's clock: %.0f GB/s, launched %.0f GB/s (the best of %u), at 12 bytes an element; its clock ticks every %llu ns",
		 (unsigned long long)l->n,
		 bytes / 1e3 / series_median(&l->loop),
		 bytes / 1e3 / series_median(&l->kernel), LARGE_TIMES,
		 (unsigned long long)l->tick);
	group_row(&row);
	group_row(&trip);
}

void bench_gpu_bandwidth(const struct gpu_options *o)
{
	static struct large large[] = {
		{ .name = ROW_ADD_1M,
		  .trip = "add of 1 M floats, submit to completion",
		  .n = 1u << 20 },
		{ .name = ROW_ADD_16M,
		  .trip = "add of 16 M floats, submit to completion",
		  .n = 1u << 24 },
		{ .name = ROW_ADD_64M,
		  .trip = "add of 64 M floats, submit to completion",
		  .n = 1u << 26 },
	};
	const unsigned int less = o->quick ? 6 : 0; /* bits */
	const uint64_t bytes = sizeof(float) << (26 - less);
	static struct vectors v;
	unsigned int r, i;

	gpu_open(&v.gpu, o);
	v.add = gpu_kernel(&v.gpu, "bench_add");
	v.fill = gpu_kernel(&v.gpu, "bench_fill");
	make_event(&v, &v.begin);
	make_event(&v, &v.end);
	stage_open(&v.stage, o, &v.gpu, 1 << 20);
	v.a = stage_more(&v.stage, &v.gpu, 3 * bytes);
	v.b = v.a + bytes;
	v.dst = v.b + bytes;
	fill(&v, v.a, 1.0f, bytes / sizeof(float));
	fill(&v, v.b, 2.0f, bytes / sizeof(float));
	for (i = 0; i < sizeof(large) / sizeof(large[0]); i++)
		large[i].n >>= less;
	for (r = 0; r < o->runs; r++) {
		for (i = 0; i < sizeof(large) / sizeof(large[0]); i++)
			large_round(&v, &large[i]);
	}
	for (i = 0; i < sizeof(large) / sizeof(large[0]); i++)
		report_large(&large[i]);
}
