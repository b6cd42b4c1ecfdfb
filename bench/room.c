// SPDX-License-Identifier: MIT
/*
 * room.c - the wave solver against a plain loop, and interactive against batch.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"

#define SIDE 64u
#define BYTES_PER_CELL 12.0 /* read p, read and write the other field */

struct stage {
	struct pinring_device *device;
	struct pinring_region *region;
	struct pinring_executor *executor;
	struct pinring_wave wave;
	uint64_t cells;
	uint64_t in, out; /* samples, offsets */
	uint32_t number;
};

static void stage_open(struct stage *s, const struct bench_options *o,
		       uint32_t side, uint64_t samples)
{
	uint64_t room = pinring_wave_bytes(side, side, side);
	struct pinring_region_config rc = pinring_region_defaults(
		3 * room + 2 * samples * sizeof(float) + 65536);
	struct pinring_executor_config ec = pinring_executor_defaults();
	struct pinring_object_info in, out;
	int rc2;

	ec.kind = PINRING_EXECUTOR_HOST;
	ec.cpu = o->cpu_peer;
	rc.flags = PINRING_REGION_PREFAULT;
	rc2 = pinring_device_open(NULL, &s->device);
	if (!rc2)
		rc2 = pinring_region_create(s->device, &rc, &s->region);
	if (!rc2)
		rc2 = pinring_wave_create(s->region, "room", side, side, side,
					  1.0 / sqrt(3.0), 0.02, &s->wave);
	if (!rc2)
		rc2 = pinring_object_create(s->region, "in",
					    PINRING_OBJECT_BYTES,
					    samples * sizeof(float), 0, &in);
	if (!rc2)
		rc2 = pinring_object_create(s->region, "out",
					    PINRING_OBJECT_BYTES,
					    samples * sizeof(float), 0, &out);
	if (!rc2)
		rc2 = pinring_executor_start(s->device, &ec, &s->executor);
	if (!rc2)
		rc2 = pinring_executor_attach(s->executor, s->region);
	if (rc2 < 0)
		bench_die("room", rc2);
	s->number = (uint32_t)rc2;
	s->cells = (uint64_t)side * side * side;
	s->in = in.offset;
	s->out = out.offset;
}

static void stage_close(struct stage *s)
{
	pinring_executor_close(s->executor, PINRING_FOREVER);
	pinring_region_close(s->region);
	pinring_device_close(s->device);
}

static float call(struct stage *s, struct pinring_command *c)
{
	struct pinring_completion k;
	int rc = pinring_executor_call(s->executor, c, 60000000000, &k);

	if (rc || k.status || k.done != c->count)
		bench_die("room: a command failed", rc ? rc : k.status);
	return k.result;
}

static double executor_steps(struct stage *s, uint64_t steps)
{
	struct pinring_command c = { .operation = PINRING_OP_WAVE_STEP,
				     .a = { s->wave.offset, s->number },
				     .count = steps };
	uint64_t begin = bench_now_ns();

	call(s, &c);
	return (double)(bench_now_ns() - begin);
}

static double plain_steps(const struct plain_room *room, uint64_t first,
			  uint64_t steps)
{
	uint64_t begin = bench_now_ns(), i;

	for (i = 0; i < steps; i++)
		plain_step(room, (int)((first + i) & 1));
	return (double)(bench_now_ns() - begin);
}

/* The streams of the update and nothing else: what memory allows. */
static double triad(float *next, const float *p, uint64_t cells, uint64_t steps)
{
	uint64_t begin = bench_now_ns(), i, x;

	for (i = 0; i < steps; i++) {
		for (x = 0; x < cells; x++)
			next[x] = 0.5f * next[x] + p[x];
		/* Every pass is to be done, in order. */
		__asm__ volatile("" ::: "memory");
	}
	return (double)(bench_now_ns() - begin);
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

void bench_room(const struct bench_options *o)
{
	const uint64_t steps = o->quick ? 50 : 400;
	struct row row = { .name = "room 64^3, one host thread",
			   .unit = "Gcell/s",
			   .limit_name = "plain loop, -march=native",
			   .target = 1.3 };
	struct row memory = { .name = "room 64^3, its streams alone",
			      .unit = "Gcell/s" };
	struct plain_room plain = { SIDE, SIDE, SIDE, 1.0f / 3.0f, 0.0f,
				    { NULL, NULL } };
	struct series ratio = { .n = 0 };
	struct pinring_wave other;
	uint64_t middle, done = 0;
	struct stage s;
	double deviation;
	unsigned int i;

	stage_open(&s, o, SIDE, 64);
	/* The plain loop works on the same kind of pages. */
	if (pinring_wave_create(s.region, "plain", SIDE, SIDE, SIDE,
				1.0 / sqrt(3.0), 0.02, &other))
		bench_die("room", 0);
	plain.beta_lambda_half = (float)(0.02 / sqrt(3.0) / 2.0);
	plain.field[0] = other.field[0];
	plain.field[1] = other.field[1];
	middle = pinring_wave_cell(s.wave.state, 20, 30, 40);
	s.wave.field[0][middle] = 1.0f;
	plain.field[0][middle] = 1.0f;

	/* The plain loop runs on the executor's core, which sleeps meanwhile. */
	bench_pin(o->cpu_peer);
	executor_steps(&s, 50);
	plain_steps(&plain, 0, 50);
	done = 50;
	deviation = largest_deviation(s.wave.field[0], plain.field[0], s.cells);
	if (!(deviation < 1e-4))
		bench_die("room: the two do not agree", 0);
	for (i = 0; i < o->runs; i++) {
		double cells = (double)(s.cells * steps);
		double host, limit;

		bench_pin(o->cpu_host);
		host = executor_steps(&s, steps);
		bench_pin(o->cpu_peer);
		limit = plain_steps(&plain, done, steps);
		done += steps;
		series_add(&row.value, cells / host);
		series_add(&row.limit, cells / limit);
		series_add(&ratio, host / limit);
		series_add(&memory.value,
			   cells / triad(plain.field[1], plain.field[0],
					 s.cells, steps));
		/* The triad left numbers nobody wants to add up for ever. */
		memset(plain.field[1], 0, s.cells * sizeof(float));
		memset(plain.field[0], 0, s.cells * sizeof(float));
		plain.field[0][middle] = 1.0f;
		plain.field[1][middle] = 1.0f;
	}
	row.ratio = series_median(&ratio);
	snprintf(row.note, sizeof(row.note),
		 "%.1f GB/s and %.1f GB/s at 12 bytes a cell; the two fields agree to %.1e of the peak after 50 steps",
		 series_median(&row.value) * BYTES_PER_CELL,
		 series_median(&row.limit) * BYTES_PER_CELL, deviation);
	report_row(&row);
	report_row(&memory);
	bench_pin(o->cpu_host);
	stage_close(&s);
}

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
	uint64_t begin = bench_now_ns();

	call(s, &c);
	return (double)(bench_now_ns() - begin);
}

static double run_interactive(struct stage *s, uint64_t samples,
			      uint64_t source, uint64_t mic, float *out)
{
	const float *in = pinring_region_at(s->region, s->in,
					    samples * sizeof(float));
	struct pinring_command c[3] = {
		{ .operation = PINRING_OP_WAVE_STEP, .count = 1 },
		{ .operation = PINRING_OP_WAVE_INJECT, .aux = source },
		{ .operation = PINRING_OP_WAVE_PROBE, .aux = mic },
	};
	struct pinring_completion k = { .status = 0 };
	uint64_t begin, ticket[3], i;
	int j, rc;

	for (j = 0; j < 3; j++)
		c[j].a = (struct pinring_operand){ s->wave.offset, s->number };
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
						   10000000000, &k);
			if (rc || k.status)
				bench_die("interactive: wait", rc);
		}
		out[i] = k.result;
	}
	return (double)(bench_now_ns() - begin);
}

static void interactive(const struct bench_options *o, const char *name,
			uint32_t side, uint64_t samples)
{
	struct row row = { .name = name,
			   .unit = "us",
			   .target = 1.0,
			   .target_is_value = true };
	static float heard[2][4096];
	struct series batch_us = { .n = 0 };
	struct gate gate;
	struct stage s;
	float *in, *out;
	uint64_t i, source, mic;

	if (o->cpu_peer == o->cpu_host)
		return;
	gate_open(&gate, o);
	stage_open(&s, o, side, samples);
	bench_pin(o->cpu_host);
	in = pinring_region_at(s.region, s.in, samples * sizeof(float));
	out = pinring_region_at(s.region, s.out, samples * sizeof(float));
	for (i = 0; i < samples; i++)
		in[i] = (float)(i % 17) - 8.0f;
	source = pinring_wave_cell(s.wave.state, 1, 1, 1);
	mic = pinring_wave_cell(s.wave.state, side - 2, side / 2, 1);
	do {
		double batch, each;

		gate_before(&gate);
		/* Both from silence, so that they can be compared. */
		memset(s.wave.field[0], 0, s.cells * sizeof(float));
		memset(s.wave.field[1], 0, s.cells * sizeof(float));
		batch = run_batch(&s, samples, source, mic);
		memcpy(heard[0], out, samples * sizeof(float));
		memset(s.wave.field[0], 0, s.cells * sizeof(float));
		memset(s.wave.field[1], 0, s.cells * sizeof(float));
		each = run_interactive(&s, samples, source, mic, heard[1]);
		if (memcmp(heard[0], heard[1], samples * sizeof(float)))
			bench_die("interactive and batch do not agree", 0);
		if (!gate_pass(&gate))
			continue;
		series_add(&row.value,
			   (each - batch) / (3.0 * (double)samples) / 1000.0);
		series_add(&batch_us, batch / (double)samples / 1000.0);
	} while (gate_more(&gate));
	snprintf(row.note, sizeof(row.note),
		 "3 commands a sample, collected each sample; batch takes %.2f us a sample; the same bits; %u of %u runs counted",
		 series_median(&batch_us), gate.passed, gate.tried);
	report_row(&row);
	stage_close(&s);
}

void bench_interactive(const struct bench_options *o)
{
	interactive(o, "interactive over batch, a command, 64^3", 64,
		    o->quick ? 100 : 500);
	interactive(o, "interactive over batch, a command, 8^3", 8,
		    o->quick ? 1000 : 4000);
}
