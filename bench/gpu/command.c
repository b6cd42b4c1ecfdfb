// SPDX-License-Identifier: MIT
/*
 * command.c - what it costs to tell the executor something, beside two flags and
 * beside a launch.
 */
#include <stdio.h>

#include <pinring/port.h>

#include "latency.h"
#include "rows.h"
#include "stage.h"

#define DEPTH 1024u
#define BURST 256u

static struct command_row columns[] = {
	{ .name = "nop, one at a time" },
	{ .name = "inject, one at a time" },
	{ .name = "inject, 256 in a row, each" },
	{ .name = "nop, 256 in a row, each" },
	{ .name = "two flags, the floor of both" },
	{ .name = "launch of one thread, synchronised" },
};

static void await_taken(const struct stage *s, uint64_t count)
{
	while (stage_taken(s) < count)
		pinring_relax();
}

/* One at a time. What the executor took is looked at in every second one. */
static void one_by_one(struct stage *s, struct pinring_command c,
		       unsigned int count, uint64_t *sent, struct trips *t)
{
	const double ns = bench_ticks_ns();
	struct pinring_completion done;
	unsigned int i;

	for (i = 0; i < count; i++) {
		uint64_t begin = bench_ticks(), middle, ticket;

		c.id = i;
		ticket = stage_submit(s, &c);
		middle = bench_ticks();
		stage_wait(s, ticket, &done);
		t->completed[t->n] = (double)(bench_ticks() - begin) * ns;
		t->issued[t->n] = (double)(middle - begin) * ns;
		if (done.id != i)
			gpu_die("command %u was answered as %u", i, done.id);
		begin = bench_ticks();
		ticket = stage_submit(s, &c);
		*sent += 2;
		await_taken(s, *sent);
		t->accepted[t->n++] = (double)(bench_ticks() - begin) * ns;
		stage_wait(s, ticket, &done);
	}
}

/* BURST in a row, each without a look at the clock. */
static void in_bursts(struct stage *s, struct pinring_command c,
		      unsigned int count, uint64_t *sent, struct trips *t)
{
	const double ns = bench_ticks_ns() / BURST;
	struct pinring_completion done;
	uint64_t ticket[BURST];
	unsigned int i, k;

	for (i = 0; i < count; i++) {
		uint64_t begin = bench_ticks(), issued, accepted;

		for (k = 0; k < BURST; k++) {
			c.id = k;
			ticket[k] = stage_submit(s, &c);
		}
		issued = bench_ticks();
		*sent += BURST;
		await_taken(s, *sent);
		accepted = bench_ticks();
		for (k = 0; k < BURST; k++) {
			stage_wait(s, ticket[k], &done);
			if (done.id != k)
				gpu_die("command %u was answered as %u", k,
					done.id);
		}
		t->completed[t->n] = (double)(bench_ticks() - begin) * ns;
		t->accepted[t->n] = (double)(accepted - begin) * ns;
		t->issued[t->n++] = (double)(issued - begin) * ns;
	}
}

/* As often as it was injected: the cell is the sum. */
static void check_cell(struct stage *s, struct pinring_command inject,
		       uint64_t times)
{
	struct pinring_completion done;

	inject.operation = PINRING_OP_WAVE_PROBE;
	stage_wait(s, stage_submit(s, &inject), &done);
	if (done.result != inject.s0 * (float)times)
		gpu_die("%llu injections of %g made %g",
			(unsigned long long)times, (double)inject.s0,
			(double)done.result);
}

static void executor_round(struct stage *s, const struct pinring_wave *wave,
			   unsigned int trips, struct trips *t)
{
	struct pinring_command nop = { .operation = PINRING_OP_NOP };
	struct pinring_command inject = { .operation = PINRING_OP_WAVE_INJECT,
					  .aux = 5,
					  .s0 = 1.0f };
	uint64_t sent, injected;

	stage_start(s, DEPTH);
	stage_settle(s);
	/* The upload was a command too, where it was one. */
	sent = stage_taken(s);
	inject.a.offset = wave->offset;
	inject.a.region = s->there;
	one_by_one(s, nop, trips / 10, &sent, t);
	t->n = 0; /* to get warm */
	one_by_one(s, nop, trips, &sent, t);
	trips_add(t, &columns[0]);
	injected = sent;
	one_by_one(s, inject, trips / 10, &sent, t);
	trips_add(t, &columns[1]);
	in_bursts(s, inject, trips / 100, &sent, t);
	trips_add(t, &columns[2]);
	check_cell(s, inject, sent - injected);
	sent++;
	in_bursts(s, nop, trips / 100, &sent, t);
	trips_add(t, &columns[3]);
	stage_stop(s);
}

static void report(const struct gpu_options *o)
{
	struct row trip = { .name = ROW_NOP,
			    .unit = "ns",
			    .value = columns[0].p50,
			    .limit_name = "two flags",
			    .limit = columns[4].p50,
			    .target = 1.3 };
	struct row launch = { .name = ROW_NOP_LAUNCH,
			      .unit = "ns",
			      .value = columns[0].p50,
			      .limit_name = "launch, synchronised",
			      .limit = columns[5].p50,
			      .target = 0.5 };
	struct row tail = { .name = ROW_NOP_TAIL,
			    .unit = "ns",
			    .value = columns[0].p999,
			    .limit_name = "its p50",
			    .limit = columns[0].p50,
			    .target = 3.0 };
	struct row issue = { .name = ROW_ISSUE,
			     .unit = "ns",
			     .value = columns[2].issued,
			     .target = 30.0,
			     .target_of = TARGET_VALUE };
	unsigned int i;

	trip.ratio = series_ratio(&trip.value, &trip.limit);
	launch.ratio = series_ratio(&launch.value, &launch.limit);
	tail.ratio = series_ratio(&tail.value, &tail.limit);
	snprintf(trip.note, sizeof(trip.note),
		 "each timed; %s; every answer carries its command's id",
		 o->kind == PINRING_EXECUTOR_HOST ? "A TRIAL ON HOST THREADS" :
						    "the executor fills the GPU");
	snprintf(issue.note, sizeof(issue.note),
		 "mean of %u in a row; the sum of all injections is checked",
		 BURST);
	group_row(&trip);
	group_row(&launch);
	group_row(&tail);
	group_row(&issue);
	for (i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
		if (columns[i].p50.n)
			group_command(&columns[i]);
	}
}

void bench_gpu_command(const struct gpu_options *o)
{
	const bool real = o->kind == PINRING_EXECUTOR_CUDA;
	const unsigned int trips = o->quick ? 300 : 10000;
	struct trips *t = trips_new();
	struct launcher launcher;
	static struct pingpong pong;
	struct pinring_wave wave;
	struct stage s;
	struct gpu g;
	unsigned int r;

	if (real) {
		gpu_open(&g, o);
		pingpong_open(&pong, &g);
		launcher_open(&launcher, &g);
	}
	stage_open(&s, o, real ? &g : NULL, 1 << 20);
	stage_wave(&s, "room", 16, &wave);
	for (r = 0; r < o->runs; r++) {
		executor_round(&s, &wave, trips, t);
		/* A trial begins where the last round ended. */
		wave.field[0][5] = 0.0f;
		if (!real)
			continue;
		pingpong_run(&pong, trips, t);
		trips_add(t, &columns[4]);
		launcher_run(&launcher, trips / 10, t);
		trips_add(t, &columns[5]);
	}
	report(o);
}
