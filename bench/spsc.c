// SPDX-License-Identifier: MIT
/*
 * spsc.c - one producer and one consumer on two cores: the SPSC ring, the ring of
 * lines and the duplex slot, beside a mutex around an array and those peers that
 * Debian has and this machine too.
 *
 * All of them lie in one region, so on the same kind of pages, hold 4096 items
 * (but for the large ring of lines) and run the loops of flow.h on the same two
 * cores, in turn.
 */
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "flow.h"
#include "report.h"

#define QUEUES_MAX 16 /* ours come first */
#define TRIPS 8000u
#define TRIPS_A_READING 8u /* the clock steps by 10 ns on some machines */
#define LINE_CARRIES "56 of the 64 bytes are payload, the peers' 64"

/* ------------------------------------------------------------- the contest */
enum { THERE, BACK, LINES, QUEUES }; /* 8 bytes, 8 bytes, 64 bytes */
enum { SPSC, LINE, LINE_LARGE, DUPLEX, OURS };

struct contestant {
	const struct flow_queue *kind;
	void *queue[QUEUES];
};

struct contest {
	const struct bench_options *options;
	struct pinring_device *device;
	struct pinring_region *region;
	struct contestant who[QUEUES_MAX];
	unsigned int n;
};

static void add(struct contest *c, const struct flow_queue *kind)
{
	struct contestant *who = &c->who[c->n];
	char name[PINRING_NAME_MAX];
	int i;

	if (c->n == QUEUES_MAX)
		bench_die("spsc: more queues than the contest holds", 0);
	who->kind = kind;
	for (i = 0; i < QUEUES; i++) {
		snprintf(name, sizeof(name), "%s %d", kind->name, i);
		who->queue[i] = flow_open(c->region, kind, name, i == LINES);
	}
	c->n++;
}

static void contest_open(struct contest *c, const struct bench_options *o)
{
	static const struct flow_queue *(*const ours[])(void) = {
		flow_spsc, flow_lines, flow_lines_large, flow_duplex,
	};
	struct pinring_region_config rc = pinring_region_defaults(24u << 20);
	unsigned int i;
	int error;

	memset(c, 0, sizeof(*c));
	c->options = o;
	rc.flags = PINRING_REGION_PREFAULT;
	error = pinring_device_open(NULL, &c->device);
	if (!error)
		error = pinring_region_create(c->device, &rc, &c->region);
	if (error)
		bench_die("spsc", error);
	for (i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		add(c, ours[i]());
	for (i = 0; flow_peer(i); i++)
		add(c, flow_peer(i));
}

static void contest_close(struct contest *c)
{
	unsigned int i, k;

	for (i = 0; i < c->n; i++)
		for (k = 0; k < QUEUES; k++)
			c->who[i].kind->close(c->who[i].queue[k]);
	pinring_region_close(c->region);
	pinring_device_close(c->device);
}

/* One run of one contestant: what its peer thread is to do, and did. */
struct turn {
	const struct contestant *who;
	enum flow_shape shape;
	uint64_t items;
	bool ready PINRING_ALIGNED(128);
	bool right; /* every item, in order */
	uint64_t end;
};

static void *turn_consume(void *arg)
{
	struct turn *t = arg;
	bool line = t->shape >= FLOW_64;

	__atomic_store_n(&t->ready, true, __ATOMIC_RELEASE);
	t->right = t->who->kind->consume[t->shape](
		t->who->queue[line ? LINES : THERE], t->items);
	t->end = bench_now_ns();
	return NULL;
}

static void await_ready(struct turn *t)
{
	while (!__atomic_load_n(&t->ready, __ATOMIC_ACQUIRE))
		pinring_relax();
}

/* Million items a second, from the first push to the last pop. */
static double run_flow(const struct contest *c, const struct contestant *who,
		       int shape)
{
	struct turn t = { .who = who, .shape = (enum flow_shape)shape };
	bool line = shape >= FLOW_64;
	uint64_t begin;
	pthread_t peer;

	/* Some milliseconds each: longer runs are seldom left alone. */
	t.items = line ? 1u << 20 : 1u << 21;
	if (who->kind->slow)
		t.items /= 32;
	if (c->options->quick)
		t.items /= 4;
	peer = bench_thread(c->options->cpu_peer, turn_consume, &t);
	await_ready(&t);
	begin = bench_now_ns();
	who->kind->produce[shape](who->queue[line ? LINES : THERE], t.items);
	pthread_join(peer, NULL);
	if (!t.right)
		bench_die("spsc: items were lost or came out of order", 0);
	return (double)t.items * 1e3 / (double)(t.end - begin);
}

static void *turn_return(void *arg)
{
	struct turn *t = arg;
	const struct flow_queue *kind = t->who->kind;
	uint64_t i;

	__atomic_store_n(&t->ready, true, __ATOMIC_RELEASE);
	for (i = 0; i < t->items; i++)
		kind->send(t->who->queue[BACK],
			   kind->receive(t->who->queue[THERE]));
	return NULL;
}

/* p50 of readings of several, ns */
static double run_trips(const struct contest *c, const struct contestant *who,
			int shape)
{
	static double trip[TRIPS / TRIPS_A_READING];
	const struct flow_queue *kind = who->kind;
	struct turn t = { .who = who, .items = TRIPS };
	uint64_t i, differs = 0;
	pthread_t peer;

	(void)shape;
	peer = bench_thread(c->options->cpu_peer, turn_return, &t);
	await_ready(&t);
	for (i = 0; i < TRIPS;) {
		double *mean = &trip[i / TRIPS_A_READING];
		uint64_t k, begin = bench_ticks();

		for (k = 0; k < TRIPS_A_READING; k++, i++) {
			kind->send(who->queue[THERE], i);
			differs |= kind->receive(who->queue[BACK]) ^ i;
		}
		*mean = (double)(bench_ticks() - begin) / TRIPS_A_READING;
	}
	pthread_join(peer, NULL);
	if (differs)
		bench_die("spsc: a round trip brought back something else", 0);
	return bench_quantile(trip, TRIPS / TRIPS_A_READING, 500) *
	       bench_ticks_ns();
}

/* ns a push and a pop */
static double run_alone(const struct contest *c, const struct contestant *who,
			int shape)
{
	uint64_t items = c->options->quick ? 1u << 17 : 1u << 19;
	uint64_t begin = bench_now_ns();
	bool right;

	(void)shape;
	right = who->kind->alone(who->queue[THERE], items);
	begin = bench_now_ns() - begin;
	if (!right)
		bench_die("spsc: what was pushed did not pop", 0);
	return (double)begin / (double)items;
}

/* ------------------------------------------------------------------ events */
static const struct event {
	const char *unit;
	double (*run)(const struct contest *c, const struct contestant *who,
		      int shape);
	int shape;
	bool less_is_more;
} events[] = {
	{ "M/s", run_flow, FLOW_8, false },
	{ "M/s", run_flow, FLOW_8_BATCH, false },
	{ "M/s", run_flow, FLOW_8_SPAN, false },
	{ "M/s", run_flow, FLOW_64, false },
	{ "M/s", run_flow, FLOW_64_BATCH, false },
	{ "M/s", run_flow, FLOW_64_SPAN, false },
	{ "ns", run_trips, 0, true },
	{ "ns", run_alone, 0, true },
};

#define TRIP FLOW_SHAPES
#define ALONE (FLOW_SHAPES + 1)

#define IN_BATCHES "no peer has spans: theirs are batches, copied"

/* One of ours in an event, beside the peers in another or in the same. */
static const struct entry {
	const char *name;
	int event, ours, beside;
	double target; /* in units of the best peer's figure, or ns more */
	const char *what;
} entries[] = {
	{ "SPSC 8 B, one at a time", FLOW_8, SPSC, FLOW_8, 1.5, NULL },
	{ "SPSC 8 B, batches of 32, copied", FLOW_8_BATCH, SPSC, FLOW_8_BATCH,
	  1.5, NULL },
	{ "SPSC 8 B, spans of 32, in place", FLOW_8_SPAN, SPSC, FLOW_8_BATCH,
	  2.0, IN_BATCHES },
	{ "SPSC 64 B, one at a time", FLOW_64, SPSC, FLOW_64, 0.0,
	  "where 64 bytes at once count, lines are for it" },
	{ "SPSC 64 B, batches of 32, copied", FLOW_64_BATCH, SPSC,
	  FLOW_64_BATCH, 0.0, NULL },
	{ "SPSC 64 B, spans of 32, in place", FLOW_64_SPAN, SPSC, FLOW_64_BATCH,
	  0.0, IN_BATCHES },
	{ "lines, one at a time", FLOW_64, LINE, FLOW_64, 2.0, LINE_CARRIES },
	{ "lines, batches of 32, copied", FLOW_64_BATCH, LINE, FLOW_64_BATCH,
	  1.2, LINE_CARRIES "; the latency preset" },
	{ "lines, spans of 32, in place", FLOW_64_SPAN, LINE, FLOW_64_BATCH,
	  0.0, IN_BATCHES "; " LINE_CARRIES },
	{ "lines, 8 MiB, batches of 32, copied", FLOW_64_BATCH, LINE_LARGE,
	  FLOW_64_BATCH, 2.0, LINE_CARRIES "; the throughput preset" },
	{ "lines, 8 MiB, spans of 32, in place", FLOW_64_SPAN, LINE_LARGE,
	  FLOW_64_BATCH, 0.0, IN_BATCHES "; " LINE_CARRIES },
	{ "SPSC 8 B, round trip p50", TRIP, SPSC, TRIP, 0.0,
	  "two rings; where a round trip counts, lines are for it" },
	{ "lines, round trip p50", TRIP, LINE, TRIP, 1.0, "two rings" },
	{ "duplex slot, round trip p50", TRIP, DUPLEX, TRIP, 0.85,
	  "one slot beside two rings of the peers" },
	{ "SPSC 8 B, push and pop by one thread", ALONE, SPSC, ALONE, 0.3,
	  NULL },
};

#define EVENTS (sizeof(events) / sizeof(events[0]))
#define ENTRIES (sizeof(entries) / sizeof(entries[0]))

static bool takes_part(const struct event *e, const struct contestant *who)
{
	if (e->run == run_trips)
		return who->kind->send != NULL;
	if (e->run == run_alone)
		return who->kind->alone != NULL;
	return who->kind->produce[e->shape] != NULL;
}

/* One run by each who has not had enough; false: all had. */
static bool run_round(const struct contest *c, const struct event *e,
		      struct gate *gates, struct series *results)
{
	bool more = false;
	unsigned int i;

	for (i = 0; i < c->n; i++) {
		double value;

		if (!takes_part(e, &c->who[i]) || !gate_more(&gates[i]))
			continue;
		more = true;
		gate_before(&gates[i]);
		value = e->run(c, &c->who[i], e->shape);
		if (gate_pass(&gates[i]))
			series_add(&results[i], value);
	}
	return more;
}

/* A line of the cache there and back, alone: what no round trip can be below. */
struct wire {
	struct gate gate;
	struct series one, two; /* lines */
};

static bool run_wire(const struct bench_options *o, struct wire *w)
{
	double one, two;

	if (!gate_more(&w->gate))
		return false;
	gate_before(&w->gate);
	one = bench_round_trip(o, TRIPS, false);
	two = bench_round_trip(o, TRIPS, true);
	if (gate_pass(&w->gate)) {
		series_add(&w->one, one);
		series_add(&w->two, two);
	}
	return true;
}

static void report_wire(const struct wire *w)
{
	struct row one = { .name = "wire: one line, there and back",
			   .unit = "ns",
			   .value = w->one };
	struct row two = { .name = "wire: a line each way",
			   .unit = "ns",
			   .value = w->two };

	snprintf(one.note, sizeof(one.note),
		 "the floor of the duplex slot: a word stored, seen and stored back, no ring\n");
	gate_note(&w->gate, one.note + strlen(one.note),
		  sizeof(one.note) - strlen(one.note));
	snprintf(two.note, sizeof(two.note), "the floor of two rings");
	report_row(&one);
	report_row(&two);
}

static void report_entry(const struct contest *c, const struct entry *y,
			 const struct gate *gates, const struct series *ours,
			 const struct series *results)
{
	const struct event *e = &events[y->event];
	struct row row = { .name = y->name,
			   .unit = e->unit,
			   .value = ours[y->ours],
			   .target = y->target,
			   .target_of = e->run == run_alone ? TARGET_EXCESS :
							      TARGET_RATIO,
			   .target_is_floor = !e->less_is_more };
	const size_t size = sizeof(row.note);
	unsigned int i, best = 0;
	size_t n = 0;

	for (i = OURS; i < c->n; i++) {
		double value = series_median(&results[i]);

		if (!results[i].n)
			continue;
		n += (size_t)snprintf(row.note + n, size - n, "%s%s %.4g",
				      best ? ", " : "", c->who[i].kind->name,
				      value);
		if (!best || (value < series_median(&results[best])) ==
				     e->less_is_more)
			best = i;
	}
	if (best) {
		row.limit_name = c->who[best].kind->name;
		row.limit = results[best];
		if (row.value.n)
			row.ratio = series_median(&row.value) /
				    series_median(&row.limit);
	}
	n += (size_t)snprintf(row.note + n, size - n, "%s%s%s",
			      n && y->what ? "; " : "", y->what ? y->what : "",
			      n || y->what ? "\n" : "");
	gate_note(&gates[y->ours], row.note + n, size - n);
	report_row(&row);
}

void bench_spsc(const struct bench_options *o)
{
	static struct contest c;
	static struct series results[EVENTS][QUEUES_MAX];
	static struct gate gates[EVENTS][QUEUES_MAX];
	static struct wire wire;
	struct gate first;
	bool more = true;
	unsigned int i, k;

	if (!bench_two_cores(o)) {
		report_absent("SPSC", 1.5,
			      "needs two cores, and this process may use one");
		return;
	}
	bench_pin(o->cpu_host);
	bench_ticks_ns();
	contest_open(&c, o);
	gate_open(&first, o, 50);
	gate_share(&wire.gate, &first);
	for (i = 0; i < EVENTS; i++)
		for (k = 0; k < QUEUES_MAX; k++)
			gate_share(&gates[i][k], &first);
	/* All take turns at all. */
	while (more) {
		more = run_wire(o, &wire);
		for (i = 0; i < EVENTS; i++)
			more |= run_round(&c, &events[i], gates[i], results[i]);
	}
	for (i = 0; i < ENTRIES; i++) {
		if (entries[i].event == TRIP && entries[i].ours == SPSC)
			report_wire(&wire);
		report_entry(&c, &entries[i], gates[entries[i].event],
			     results[entries[i].event],
			     results[entries[i].beside]);
	}
	contest_close(&c);
}
