// SPDX-License-Identifier: MIT
/* command.c - what it costs to tell the host executor something. */
#include <stdio.h>

#include "report.h"

#define CALLS 20000u
#define BURST 32u /* commands in flight, in the row of that name */
#define WAIT_NS 10000000000ll

static void submit(struct pinring_executor *ex, uint32_t id, uint64_t *ticket)
{
	const struct pinring_command nop = { .id = id,
					     .operation = PINRING_OP_NOP };
	int rc = pinring_executor_submit(ex, &nop, ticket);

	if (rc)
		bench_die("command: submit", rc);
}

static void collect(struct pinring_executor *ex, uint32_t id, uint64_t ticket)
{
	struct pinring_completion k;
	int rc = pinring_executor_wait(ex, ticket, WAIT_NS, &k);

	if (rc || k.status || k.id != id)
		bench_die("command: wait", rc ? rc : k.status);
}

/* Mean of submit and wait, over and over, without a look at the clock. */
static double round_trip(struct pinring_executor *ex)
{
	uint64_t begin = bench_now_ns(), ticket;
	uint32_t i;

	for (i = 0; i < CALLS; i++) {
		submit(ex, i, &ticket);
		collect(ex, i, ticket);
	}
	return (double)(bench_now_ns() - begin) / CALLS;
}

/* The same one by one: 10 ns a reading of the clock are in each figure. */
static void one_by_one(struct pinring_executor *ex, struct command_row *row)
{
	static double issued[CALLS], completed[CALLS];
	const double ns = bench_ticks_ns();
	uint64_t ticket;
	uint32_t i;

	for (i = 0; i < CALLS; i++) {
		uint64_t begin = bench_ticks(), middle;

		submit(ex, i, &ticket);
		middle = bench_ticks();
		collect(ex, i, ticket);
		completed[i] = (double)(bench_ticks() - begin) * ns;
		issued[i] = (double)(middle - begin) * ns;
	}
	series_add(&row->issued, bench_quantile(issued, CALLS, 500));
	series_add(&row->p50, bench_quantile(completed, CALLS, 500));
	series_add(&row->p99, bench_quantile(completed, CALLS, 990));
	series_add(&row->p999, bench_quantile(completed, CALLS, 999));
}

/* BURST in flight: ns a command, until all are answered. */
static double in_bursts(struct pinring_executor *ex)
{
	uint64_t ticket[BURST], begin = bench_now_ns();
	uint32_t i, k;

	for (i = 0; i < CALLS; i += BURST) {
		for (k = 0; k < BURST; k++)
			submit(ex, i + k, &ticket[k]);
		for (k = 0; k < BURST; k++)
			collect(ex, i + k, ticket[k]);
	}
	return (double)(bench_now_ns() - begin) / CALLS;
}

void bench_command(const struct bench_options *o)
{
	static const char name[] = "nop, submit and wait, spinning";
	struct row trip = { .name = name,
			    .unit = "ns",
			    .limit_name = "bare cache-line round trip",
			    .target = 3.0 };
	struct row burst = { .name = "nop, 32 in flight, each", .unit = "ns" };
	struct row two = { .name = "bare round trip, a line each way",
			   .unit = "ns" };
	struct command_row columns = { .name = "nop, one at a time" };
	struct pinring_executor_config ec = pinring_executor_defaults();
	struct series ratio = { .n = 0 };
	struct pinring_executor *ex;
	struct pinring_device *device;
	struct gate gate;
	int rc, n;

	if (!bench_two_cores(o)) {
		report_absent(name, trip.target,
			      "needs two cores, and this process may use one");
		return;
	}
	bench_pin(o->cpu_host);
	gate_open(&gate, o, 15);
	ec.kind = PINRING_EXECUTOR_HOST;
	ec.cpu = o->cpu_peer;
	rc = pinring_device_open(NULL, &device);
	if (!rc)
		rc = pinring_executor_start(device, &ec, &ex);
	if (rc)
		bench_die("command", rc);
	do {
		struct command_row c = { .name = NULL };
		double mean, bare, each, far;
		uint64_t ticket;

		gate_before(&gate);
		submit(ex, 0, &ticket); /* it may have gone to sleep */
		collect(ex, 0, ticket);
		mean = round_trip(ex);
		one_by_one(ex, &c);
		each = in_bursts(ex);
		bench_nap(500); /* until the executor sleeps */
		far = bench_round_trip(o, CALLS / 10, true);
		if (!gate_pass(&gate))
			continue;
		bare = (gate.before + gate.after) / 2;
		series_add(&trip.value, mean);
		series_add(&trip.limit, bare);
		series_add(&ratio, mean / bare);
		series_add(&burst.value, each);
		series_add(&two.value, far);
		series_add(&columns.issued, c.issued.value[0]);
		series_add(&columns.p50, c.p50.value[0]);
		series_add(&columns.p99, c.p99.value[0]);
		series_add(&columns.p999, c.p999.value[0]);
	} while (gate_more(&gate));
	trip.ratio = series_median(&ratio);
	n = snprintf(trip.note, sizeof(trip.note),
		     "the mean of %u a run, each answer checked\n", CALLS);
	gate_note(&gate, trip.note + n, sizeof(trip.note) - (size_t)n);
	snprintf(two.note, sizeof(two.note),
		 "what two rings need at the least; the limit above sends one line to and fro");
	report_row(&trip);
	report_row(&two);
	report_row(&burst);
	report_command(&columns);
	if (pinring_executor_close(ex, PINRING_FOREVER))
		bench_die("command: not all was done", 0);
	pinring_device_close(device);
}
