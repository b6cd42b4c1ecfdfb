// SPDX-License-Identifier: MIT
/*
 * mpmc.c - queues of many producers and many consumers, ours beside those that
 * Debian has and this machine too.
 *
 * All lie in one region as far as they take memory that is given to them, hold
 * 4096 items of 8 bytes and run the loops of crowd.h in the same places, in
 * turn. There are more threads than cores in most rows, as there are in most
 * programs: whoever holds the others up by being off its core shows here.
 */
#include <stdio.h>
#include <string.h>

#include "crew.h"
#include "report.h"

#define QUEUES_MAX 24

struct contest {
	const struct bench_options *options;
	struct pinring_device *device;
	struct pinring_region *region;
	struct crew_queue who[QUEUES_MAX];
	unsigned int n;
};

static void contest_add(struct contest *c, const struct crowd_queue *kind)
{
	struct pinring_object_info o = { 0 };
	void *memory = NULL;
	int rc;

	if (!kind)
		return;
	if (c->n == QUEUES_MAX)
		bench_die("mpmc: more queues than the contest holds", 0);
	if (kind->bytes) {
		rc = pinring_object_create(c->region, kind->name,
					   PINRING_OBJECT_BYTES, kind->bytes,
					   4096, &o);
		if (rc)
			bench_die("mpmc", rc);
		memory = pinring_region_at(c->region, o.offset, o.length);
	}
	c->who[c->n].kind = kind;
	c->who[c->n].queue = kind->open(memory, c->region);
	c->n++;
}

static void contest_open(struct contest *c, const struct bench_options *o)
{
	struct pinring_region_config rc = pinring_region_defaults(8u << 20);
	unsigned int i;
	int error;

	memset(c, 0, sizeof(*c));
	c->options = o;
	rc.flags = PINRING_REGION_PREFAULT;
	error = pinring_device_open(NULL, &c->device);
	if (!error)
		error = pinring_region_create(c->device, &rc, &c->region);
	if (error)
		bench_die("mpmc", error);
	for (i = 0; i < crowd_kinds(); i++)
		contest_add(c, crowd_kind(i));
}

static void contest_close(struct contest *c)
{
	unsigned int i;

	for (i = 0; i < c->n; i++)
		c->who[i].kind->close(c->who[i].queue);
	pinring_region_close(c->region);
	pinring_device_close(c->device);
}

/* ------------------------------------------------------------------ events */
static const struct event {
	struct crew_order order;
	double target; /* so many times the best bounded peer; 0: none */
	const char *what;
} events[] = {
	{ { "MPMC 2P2C, spread", CREW_FLOW, 2, 2, CREW_SPREAD }, 1.2, NULL },
	{ { "MPMC 2P2C, split", CREW_FLOW, 2, 2, CREW_SPLIT }, 1.2, NULL },
	{ { "MPMC 4P4C, spread", CREW_FLOW, 4, 4, CREW_SPREAD }, 1.2, NULL },
	{ { "MPMC 4P4C, split", CREW_FLOW, 4, 4, CREW_SPLIT }, 1.2, NULL },
	{ { "MPSC 4P1C, spread", CREW_FLOW, 4, 1, CREW_SPREAD }, 1.8, NULL },
	{ { "MPSC 4P1C, split", CREW_FLOW, 4, 1, CREW_SPLIT }, 1.8, NULL },
	{ { "SPMC 1P4C, spread", CREW_FLOW, 1, 4, CREW_SPREAD }, 1.2, NULL },
	{ { "SPMC 1P4C, split", CREW_FLOW, 1, 4, CREW_SPLIT }, 1.2, NULL },
	{ { "MPMC 2P2C, batches of 32, spread", CREW_BATCHES, 2, 2,
	    CREW_SPREAD }, 1.0, NULL },
	{ { "MPMC 2P2C, batches of 32, split", CREW_BATCHES, 2, 2, CREW_SPLIT },
	  1.0, NULL },
	{ { "MPMC pairs, a thread on each core", CREW_PAIRS, 2, 0,
	    CREW_SPREAD }, 1.2, "each pushes one, then pops one" },
	{ { "MPMC push and pop by one thread", CREW_ALONE, 1, 1, CREW_SPREAD },
	  0.0, NULL },
	{ { "MPSC burst of 4 x 250, split", CREW_BURST, 4, 1, CREW_SPLIT }, 1.5,
	  "until the consumer has all" },
};

#define EVENTS (sizeof(events) / sizeof(events[0]))

static bool less_is_more(const struct event *e)
{
	return e->order.shape == CREW_ALONE || e->order.shape == CREW_BURST;
}

static const char *unit_of(const struct event *e)
{
	if (e->order.shape == CREW_ALONE)
		return "ns";
	return e->order.shape == CREW_BURST ? "us" : "M/s";
}

/* One run by each who has not had enough; false: all had. */
static bool run_round(const struct contest *c, const struct event *e,
		      struct gate *gates, struct series *results)
{
	bool more = false;
	unsigned int i;

	for (i = 0; i < c->n; i++) {
		double value;

		if (!crew_can(c->who[i].kind, &e->order) ||
		    !gate_more(&gates[i]))
			continue;
		more = true;
		gate_before(&gates[i]);
		value = crew_run(c->options, &c->who[i], &e->order,
				 &gates[i].lacked);
		if (gate_pass(&gates[i]))
			series_add(&results[i], value);
	}
	return more;
}

/* ------------------------------------------------------------------ report */
#define NOBODY QUEUES_MAX

/* Of ours, or of the bounded peers; NOBODY: none of them has a figure. */
static unsigned int best_of(const struct contest *c, const struct event *e,
			    const struct series *results, bool of_ours)
{
	unsigned int i, best = NOBODY;

	for (i = 0; i < c->n; i++) {
		const struct crowd_queue *kind = c->who[i].kind;

		if (!results[i].n || kind->ours != of_ours || kind->unbounded)
			continue;
		if (best == NOBODY || (series_median(&results[i]) <
				       series_median(&results[best])) ==
					      less_is_more(e))
			best = i;
	}
	return best;
}

/* How many times better. */
static double advantage(const struct event *e, const struct series *ours,
			const struct series *theirs)
{
	double ratio = series_median(ours) / series_median(theirs);

	return less_is_more(e) ? 1.0 / ratio : ratio;
}

static bool have_ours(const struct contest *c)
{
	return c->who[0].kind->ours;
}

static void note_event(const struct contest *c, const struct event *e,
		       const struct gate *gate, const struct series *results,
		       unsigned int shown, struct row *row)
{
	const size_t size = sizeof(row->note);
	const char *comma = "";
	unsigned int i;
	size_t n = 0;

	if (!have_ours(c))
		n = (size_t)snprintf(row->note, size,
				     "no ring of ours; best bounded peer: %s\n",
				     c->who[shown].kind->name);
	for (i = 0; i < c->n; i++) {
		const struct crowd_queue *kind = c->who[i].kind;
		const struct series *s = &results[i];

		if (i == shown || !s->n)
			continue;
		n += (size_t)snprintf(row->note + n, size - n,
				      "%s%s%s %.3g (%.3g to %.3g)", comma,
				      kind->name,
				      kind->unbounded ? " (unbounded)" :
				      kind->reorders  ? " (reorders)" :
							"",
				      series_median(s), series_at(s, 0),
				      series_at(s, 1000));
		comma = ", ";
	}
	n += (size_t)snprintf(row->note + n, size - n, "%s%s%s",
			      *comma && e->what ? "; " : "",
			      e->what ? e->what : "",
			      *comma || e->what ? "\n" : "");
	gate_note(gate, row->note + n, size - n);
}

static void report_event(const struct contest *c, const struct event *e,
			 const struct gate *gates, const struct series *results)
{
	struct row row = { .name = e->order.name, .unit = unit_of(e) };
	unsigned int peer = best_of(c, e, results, false);
	unsigned int ours = best_of(c, e, results, true);
	unsigned int shown = have_ours(c) ? 0 : peer;

	if (ours != NOBODY)
		shown = ours;
	row.target = have_ours(c) ? e->target : 0.0;
	row.target_is_floor = true;
	if (shown != NOBODY) {
		row.value = results[shown];
		note_event(c, e, &gates[shown], results, shown, &row);
	}
	if (have_ours(c) && peer != NOBODY) {
		row.limit_name = c->who[peer].kind->name;
		row.limit = results[peer];
		if (row.value.n)
			row.ratio = advantage(e, &row.value, &row.limit);
	}
	report_row(&row);
}

/* Ours beside the lock that one would take without a library. */
static void report_lock(const struct contest *c, const struct event *e,
			const struct series *results)
{
	struct row row = { .name = "the same burst, beside a lock",
			   .unit = unit_of(e),
			   .target = 10.0,
			   .target_is_floor = true };
	unsigned int i, ours = best_of(c, e, results, true);

	if (!have_ours(c))
		return;
	for (i = 0; i < c->n; i++) {
		if (!c->who[i].kind->sleeps || !results[i].n)
			continue;
		if (row.limit.n &&
		    series_median(&row.limit) <= series_median(&results[i]))
			continue;
		row.limit_name = c->who[i].kind->name;
		row.limit = results[i];
	}
	snprintf(row.note, sizeof(row.note), "the better of array and deque");
	if (ours != NOBODY && row.limit.n) {
		row.value = results[ours];
		row.ratio = advantage(e, &row.value, &row.limit);
	}
	report_row(&row);
}

void bench_mpmc(const struct bench_options *o)
{
	static struct contest c;
	static struct series results[EVENTS][QUEUES_MAX];
	static struct gate gates[EVENTS][QUEUES_MAX];
	struct gate first;
	bool more = true;
	unsigned int i, k;

	if (!bench_two_cores(o)) {
		report_absent("MPMC", 0.0,
			      "needs two cores, and this process may use one");
		return;
	}
	bench_pin(o->cpu_host);
	contest_open(&c, o);
	gate_open(&first, o, 80);
	for (i = 0; i < EVENTS; i++) {
		for (k = 0; k < QUEUES_MAX; k++) {
			gate_share(&gates[i][k], &first);
			/* More threads than cores: they do wait. */
			gates[i][k].sleeps = events[i].order.shape != CREW_ALONE;
		}
	}
	/* All take turns at all. */
	while (more) {
		more = false;
		for (i = 0; i < EVENTS; i++)
			more |= run_round(&c, &events[i], gates[i], results[i]);
	}
	for (i = 0; i < EVENTS; i++) {
		report_event(&c, &events[i], gates[i], results[i]);
		if (events[i].order.shape == CREW_BURST)
			report_lock(&c, &events[i], results[i]);
	}
	contest_close(&c);
}
