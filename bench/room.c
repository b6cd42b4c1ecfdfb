// SPDX-License-Identifier: MIT
/*
 * room.c - the wave solver against a plain loop, and interactive against batch.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plain.h"
#include "report.h"

#define SIDE 64u
#define BYTES_PER_CELL 12.0 /* read p, read and write the other field */
#define BETA 0.02
#define WAIT_NS 60000000000ll
#define SAMPLES_MAX 4096u

/* A room of side^3 cells and the one thread that works on it, on cpu_peer. */
struct stage {
	struct pinring_device *device;
	struct pinring_region *region;
	struct pinring_executor *executor;
	struct pinring_wave wave;
	uint64_t in, out; /* samples, offsets */
	uint32_t number;
};

static int make_wave(struct pinring_region *region, const char *name,
		     uint32_t side, struct pinring_wave *wave)
{
	return pinring_wave_create(region, name, side, side, side,
				   1.0 / sqrt(3.0), BETA, wave);
}

static void stage_open(struct stage *s, const struct bench_options *o,
		       uint32_t side)
{
	uint64_t bytes = SAMPLES_MAX * sizeof(float);
	struct pinring_region_config rc = pinring_region_defaults(
		4 * pinring_wave_bytes(side, side, side) + 2 * bytes + 65536);
	struct pinring_executor_config ec = pinring_executor_defaults();
	struct pinring_object_info in, out;
	int error;

	ec.kind = PINRING_EXECUTOR_HOST;
	ec.cpu = o->cpu_peer;
	rc.flags = PINRING_REGION_PREFAULT;
	error = pinring_device_open(NULL, &s->device);
	if (!error)
		error = pinring_region_create(s->device, &rc, &s->region);
	if (!error)
		error = make_wave(s->region, "room", side, &s->wave);
	if (!error)
		error = pinring_object_create(
			s->region, "in", PINRING_OBJECT_BYTES, bytes, 0, &in);
	if (!error)
		error = pinring_object_create(
			s->region, "out", PINRING_OBJECT_BYTES, bytes, 0, &out);
	if (!error)
		error = pinring_executor_start(s->device, &ec, &s->executor);
	if (!error)
		error = pinring_executor_attach(s->executor, s->region);
	if (error < 0)
		bench_die("room", error);
	s->number = (uint32_t)error;
	s->in = in.offset;
	s->out = out.offset;
}

static void stage_close(struct stage *s)
{
	pinring_executor_close(s->executor, PINRING_FOREVER);
	pinring_region_close(s->region);
	pinring_device_close(s->device);
}

/* Silence but for one cell. */
static void impulse(float *const field[2], uint64_t cells, uint64_t cell)
{
	memset(field[0], 0, cells * sizeof(float));
	memset(field[1], 0, cells * sizeof(float));
	field[0][cell] = 1.0f;
}

static void call(struct stage *s, const struct pinring_command *c)
{
	struct pinring_completion k;
	int rc = pinring_executor_call(s->executor, c, WAIT_NS, &k);

	if (rc || k.status || k.done != c->count)
		bench_die("room: a command failed", rc ? rc : k.status);
}

/* What is timed next is not to wait for the executor to get up. */
static void awaken(struct stage *s)
{
	const struct pinring_command nop = { .operation = PINRING_OP_NOP };

	call(s, &nop);
}

static double executor_steps(struct stage *s, uint64_t steps)
{
	struct pinring_command c = { .operation = PINRING_OP_WAVE_STEP,
				     .a = { s->wave.offset, s->number },
				     .count = steps };
	uint64_t begin;

	awaken(s);
	begin = bench_now_ns();
	call(s, &c);
	return (double)(bench_now_ns() - begin);
}

static double plain_steps(const struct plain_room *room, enum plain_form form,
			  uint64_t steps)
{
	uint64_t begin = bench_now_ns(), i;

	for (i = 0; i < steps; i++)
		plain_step(room, form, (int)(i & 1));
	return (double)(bench_now_ns() - begin);
}

/* A triad over the same bytes: what memory allows, were there no sums to do. */
static double triad(float *restrict next, const float *restrict p,
		    uint64_t cells, uint64_t steps)
{
	uint64_t begin = bench_now_ns(), i, x;

	for (i = 0; i < steps; i++) {
		for (x = 0; x < cells; x++)
			next[x] = 0.5f * next[x] + p[x];
		/* Every pass is to be done, in order. */
		__asm__ volatile("" : : "r"(next), "r"(p) : "memory");
	}
	return (double)(bench_now_ns() - begin);
}

/* next = 2 p - 2^-n (2 p - next), so after 30 passes it is 2 p. */
static void check_triad(const float *next, const float *p, uint64_t cells)
{
	uint64_t x;

	for (x = 0; x < cells; x++)
		if (!(fabsf(next[x] - 2.0f * p[x]) < 1e-6f))
			bench_die("room: the triad is wrong", 0);
}

static double largest_deviation(const float *a, const float *b, uint64_t n)
{
	double deviation = 0.0, peak = 0.0;
	uint64_t i;

	for (i = 0; i < n; i++) {
		deviation = fmax(deviation, fabs((double)a[i] - (double)b[i]));
		peak = fmax(peak, fabs((double)b[i]));
	}
	return peak > 0.0 ? deviation / peak : INFINITY;
}

struct contest {
	struct pinring_wave wave[PLAIN_FORMS]; /* of the plain loops */
	struct plain_room plain[PLAIN_FORMS];
	float *triad[2];
	uint64_t middle;
	double deviation; /* the largest, of all runs */
};

static void contest_open(struct contest *c, struct stage *s)
{
	uint64_t x, bytes = s->wave.cells * sizeof(float);
	int form;

	memset(c, 0, sizeof(*c));
	for (form = 0; form < PLAIN_FORMS; form++) {
		char name[] = { 'p', (char)('0' + form), '\0' };

		/* Rooms like the executor's, so on the same kind of pages. */
		if (make_wave(s->region, name, SIDE, &c->wave[form]))
			bench_die("room", 0);
		c->plain[form] = (struct plain_room){
			.nx = SIDE,
			.ny = SIDE,
			.nz = SIDE,
			.lambda2 = 1.0f / 3.0f,
			.wall = (float)(BETA / sqrt(3.0) / 2.0),
			.field = { c->wave[form].field[0],
				   c->wave[form].field[1] },
		};
	}
	for (form = 0; form < 2; form++)
		if (posix_memalign((void **)&c->triad[form], 2u << 20, bytes))
			bench_die("room: no memory", 0);
	for (x = 0; x < s->wave.cells; x++) {
		c->triad[0][x] = (float)(x % 100) * 0.01f;
		c->triad[1][x] = 0.0f;
	}
	c->middle = pinring_wave_cell(s->wave.state, 20, 30, 40);
}

/* Nanoseconds of `steps` steps by each, in turn, from the same impulse. */
static void contest_run(struct contest *c, struct stage *s,
			const struct bench_options *o, uint64_t steps,
			double *host, double plain[PLAIN_FORMS], double *memory)
{
	int form;

	impulse(s->wave.field, s->wave.cells, c->middle);
	*host = executor_steps(s, steps);
	/* The plain loops run on the executor's core once it is asleep. */
	bench_nap(1000);
	bench_pin(o->cpu_peer);
	for (form = 0; form < PLAIN_FORMS; form++) {
		impulse(c->plain[form].field, s->wave.cells, c->middle);
		plain[form] = plain_steps(&c->plain[form],
					  (enum plain_form)form, steps);
	}
	*memory = triad(c->triad[1], c->triad[0], s->wave.cells, steps);
	bench_pin(o->cpu_host);
	check_triad(c->triad[1], c->triad[0], s->wave.cells);
	for (form = 0; form < PLAIN_FORMS; form++) {
		double d = largest_deviation(s->wave.field[0],
					     c->plain[form].field[0],
					     s->wave.cells);

		if (!(d < 1e-3))
			bench_die("room: executor and plain loop do not agree",
				  0);
		c->deviation = fmax(c->deviation, d);
	}
}

void bench_room(const struct bench_options *o)
{
	/* Even, and more than the triad's check wants. */
	const uint64_t steps = o->quick ? 100 : 200;
	struct row row = { .name = "room 64^3, one host thread",
			   .unit = "Gcell/s",
			   .limit_name = "plain loop, -march=native",
			   .target = 1.3 };
	struct row memory = { .name = "room 64^3, a triad over its bytes",
			      .unit = "Gcell/s" };
	struct series ratio[PLAIN_FORMS] = { { .n = 0 } };
	struct series plain[PLAIN_FORMS] = { { .n = 0 } };
	struct pinring_executor_info info =
		PINRING_INIT(struct pinring_executor_info);
	struct pinring_region_info pages =
		PINRING_INIT(struct pinring_region_info);
	struct contest c;
	struct gate gate;
	struct stage s;
	double cells;
	int best, n;

	bench_pin(o->cpu_host);
	gate_open(&gate, o, 20);
	stage_open(&s, o, SIDE);
	contest_open(&c, &s);
	cells = (double)(s.wave.cells * steps);
	do {
		double host, limit[PLAIN_FORMS], streams;
		int form;

		gate_before(&gate);
		contest_run(&c, &s, o, steps, &host, limit, &streams);
		if (!gate_pass(&gate))
			continue;
		series_add(&row.value, cells / host);
		series_add(&memory.value, cells / streams);
		for (form = 0; form < PLAIN_FORMS; form++) {
			series_add(&plain[form], cells / limit[form]);
			series_add(&ratio[form], host / limit[form]);
		}
	} while (gate_more(&gate));

	best = series_median(&plain[PLAIN_WHOLE]) >
			       series_median(&plain[PLAIN_INTERIOR]) ?
		       PLAIN_WHOLE :
		       PLAIN_INTERIOR;
	row.limit = plain[best];
	row.ratio = series_median(&ratio[best]);
	pinring_executor_info(s.executor, &info);
	pinring_region_info(s.region, &pages);
	n = snprintf(row.note, sizeof(row.note),
		     "%.1f GB/s, plain %.1f GB/s, at 12 bytes a cell; plain by whole rows %.2f, without their ends %.2f Gcell/s\n"
		     "loop built for %s, pages of %llu KiB; largest deviation after %llu steps: %.1e of the peak\n",
		     series_median(&row.value) * BYTES_PER_CELL,
		     series_median(&row.limit) * BYTES_PER_CELL,
		     series_median(&plain[PLAIN_WHOLE]),
		     series_median(&plain[PLAIN_INTERIOR]), info.isa,
		     (unsigned long long)pages.page_size / 1024,
		     (unsigned long long)steps, c.deviation);
	gate_note(&gate, row.note + n, sizeof(row.note) - (size_t)n);
	snprintf(memory.note, sizeof(memory.note),
		 "%.1f GB/s: next = next / 2 + p, the physical limit of this footprint",
		 series_median(&memory.value) * BYTES_PER_CELL);
	report_row(&row);
	report_row(&memory);
	free(c.triad[0]);
	free(c.triad[1]);
	stage_close(&s);
}

/* ----------------------------------------------- interactive against batch */
static double run_batch(struct stage *s, uint64_t samples, uint64_t source,
			uint64_t mic)
{
	struct pinring_command c = { .operation = PINRING_OP_WAVE_BLOCK,
				     .dst = { s->out, s->number },
				     .a = { s->wave.offset, s->number },
				     .b = { s->in, s->number },
				     .count = samples,
				     .aux = source |
					    mic << PINRING_WAVE_CELL_BITS };
	uint64_t begin;

	awaken(s);
	begin = bench_now_ns();
	call(s, &c);
	return (double)(bench_now_ns() - begin);
}

/* As the tool does it: step, inject and probe in flight, then all collected. */
static double run_interactive(struct stage *s, const float *in, float *out,
			      uint64_t samples, uint64_t source, uint64_t mic)
{
	const struct pinring_operand room = { s->wave.offset, s->number };
	struct pinring_command c[3] = {
		{ .operation = PINRING_OP_WAVE_STEP, .a = room, .count = 1 },
		{ .operation = PINRING_OP_WAVE_INJECT, .a = room, .aux = source },
		{ .operation = PINRING_OP_WAVE_PROBE, .a = room, .aux = mic },
	};
	struct pinring_completion k = { .status = 0 };
	uint64_t begin, ticket[3], i;
	int j, rc;

	awaken(s);
	begin = bench_now_ns();
	for (i = 0; i < samples; i++) {
		c[1].s0 = in[i];
		for (j = 0; j < 3; j++) {
			rc = pinring_executor_submit(s->executor, &c[j],
						     &ticket[j]);
			if (rc)
				bench_die("interactive: submit", rc);
		}
		for (j = 0; j < 3; j++) {
			rc = pinring_executor_wait(s->executor, ticket[j],
						   WAIT_NS, &k);
			if (rc || k.status)
				bench_die("interactive: wait",
					  rc ? rc : k.status);
		}
		out[i] = k.result;
	}
	return (double)(bench_now_ns() - begin);
}

static void silence(struct stage *s)
{
	memset(s->wave.field[0], 0, s->wave.cells * sizeof(float));
	memset(s->wave.field[1], 0, s->wave.cells * sizeof(float));
}

static void interactive(const struct bench_options *o, const char *name,
			uint32_t side, uint64_t samples)
{
	static float heard[2][SAMPLES_MAX];
	struct row row = { .name = name,
			   .unit = "us",
			   .target = 1.0,
			   .target_of = TARGET_VALUE };
	struct series batch_us = { .n = 0 };
	uint64_t bytes = samples * sizeof(float), i, source, mic;
	struct gate gate;
	struct stage s;
	float *in, *out;
	int n;

	if (!bench_two_cores(o)) {
		report_absent(name, row.target,
			      "needs two cores, and this process may use one");
		return;
	}
	bench_pin(o->cpu_host);
	gate_open(&gate, o, 15);
	stage_open(&s, o, side);
	in = pinring_region_at(s.region, s.in, bytes);
	out = pinring_region_at(s.region, s.out, bytes);
	for (i = 0; i < samples; i++)
		in[i] = (float)(i % 17) - 8.0f;
	source = pinring_wave_cell(s.wave.state, 1, 1, 1);
	mic = pinring_wave_cell(s.wave.state, side - 2, side / 2, 1);
	do {
		double batch, each;

		gate_before(&gate);
		/* From silence, both, so that they can be compared. */
		silence(&s);
		batch = run_batch(&s, samples, source, mic);
		memcpy(heard[0], out, bytes);
		silence(&s);
		each = run_interactive(&s, in, heard[1], samples, source, mic);
		if (memcmp(heard[0], heard[1], bytes))
			bench_die("interactive and batch do not agree", 0);
		if (!gate_pass(&gate))
			continue;
		series_add(&row.value,
			   (each - batch) / (3.0 * (double)samples) / 1000.0);
		series_add(&batch_us, batch / (double)samples / 1000.0);
	} while (gate_more(&gate));
	n = snprintf(row.note, sizeof(row.note),
		     "3 commands a sample, collected each sample; batch takes %.2f us a sample; the same bits\n",
		     series_median(&batch_us));
	gate_note(&gate, row.note + n, sizeof(row.note) - (size_t)n);
	report_row(&row);
	stage_close(&s);
}

void bench_interactive(const struct bench_options *o)
{
	interactive(o, "interactive over batch, a command, 64^3", 64,
		    o->quick ? 100 : 200);
	interactive(o, "interactive over batch, a command, 8^3", 8,
		    o->quick ? 1000 : SAMPLES_MAX);
}
