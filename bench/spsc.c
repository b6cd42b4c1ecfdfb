// SPDX-License-Identifier: MIT
/*
 * spsc.c - the SPSC ring between two cores, beside a mutex around an array and
 * those peers that Debian has and this machine too.
 *
 * All of them lie in one region, so on the same kind of pages, hold 4096 items
 * and run the loops of flow.h on the same two cores, in turn.
 */
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "flow.h"
#include "report.h"

#define PEERS_MAX 12 /* ours is number 0 */
#define TRIPS 4000u

/* ----------------------------------------------------------------- our ring */
struct ours {
	struct pinring_spsc_producer producer;
	struct pinring_spsc_consumer consumer;
};

PINRING_FN bool push(void *queue, uint64_t item)
{
	struct ours *q = queue;

	return pinring_spsc_push_u64(&q->producer, item) == 0;
}

PINRING_FN bool pop(void *queue, uint64_t *item)
{
	struct ours *q = queue;

	return pinring_spsc_pop_u64(&q->consumer, item) == 0;
}

PINRING_FN uint64_t push_n(void *queue, const void *items, uint64_t n)
{
	struct ours *q = queue;
	int64_t sent = pinring_spsc_push_batch(&q->producer, items, n);

	return sent > 0 ? (uint64_t)sent : 0;
}

PINRING_FN uint64_t pop_n(void *queue, void *items, uint64_t n)
{
	struct ours *q = queue;
	int64_t got = pinring_spsc_pop_batch(&q->consumer, items, n);

	return got > 0 ? (uint64_t)got : 0;
}

/* push and pop do not know the size of a slot; this is how one tells them. */
PINRING_FN bool push_line(void *queue, const struct flow_line *item)
{
	struct ours *q = queue;
	void *slot;

	if (pinring_spsc_reserve(&q->producer, 1, &slot) <= 0)
		return false;
	memcpy(slot, item, sizeof(*item));
	pinring_spsc_commit(&q->producer, 1);
	return true;
}

PINRING_FN bool pop_line(void *queue, struct flow_line *item)
{
	struct ours *q = queue;
	void *slot;

	if (pinring_spsc_peek(&q->consumer, 1, &slot) <= 0)
		return false;
	memcpy(item, slot, sizeof(*item));
	pinring_spsc_release(&q->consumer, 1);
	return true;
}

static void produce_8(void *queue, uint64_t items)
{
	flow_produce(queue, items, push);
}

static bool consume_8(void *queue, uint64_t items)
{
	return flow_consume(queue, items, pop);
}

static void produce_8_batch(void *queue, uint64_t items)
{
	flow_produce_n(queue, items, push_n);
}

static bool consume_8_batch(void *queue, uint64_t items)
{
	return flow_consume_n(queue, items, pop_n);
}

static void produce_64(void *queue, uint64_t items)
{
	flow_produce_line(queue, items, push_line);
}

static bool consume_64(void *queue, uint64_t items)
{
	return flow_consume_line(queue, items, pop_line);
}

static void produce_64_batch(void *queue, uint64_t items)
{
	flow_produce_line_n(queue, items, push_n);
}

static bool consume_64_batch(void *queue, uint64_t items)
{
	return flow_consume_line_n(queue, items, pop_n);
}

/* In place: items is a multiple of FLOW_BATCH, and so are all spans. */
static void produce_8_span(void *queue, uint64_t items)
{
	struct ours *q = queue;
	uint64_t i = 0, k;

	while (i < items) {
		void *slots;
		int64_t n = pinring_spsc_reserve(&q->producer, FLOW_BATCH,
						 &slots);
		uint64_t *word = slots;

		if (n <= 0) {
			pinring_relax();
			continue;
		}
		for (k = 0; k < (uint64_t)n; k++)
			word[k] = i + k;
		pinring_spsc_commit(&q->producer, (uint64_t)n);
		i += (uint64_t)n;
	}
}

static bool consume_8_span(void *queue, uint64_t items)
{
	struct ours *q = queue;
	uint64_t i = 0, k, differs = 0;

	while (i < items) {
		void *slots;
		int64_t n = pinring_spsc_peek(&q->consumer, FLOW_BATCH, &slots);
		const uint64_t *word = slots;

		if (n <= 0) {
			pinring_relax();
			continue;
		}
		for (k = 0; k < (uint64_t)n; k++)
			differs |= word[k] ^ (i + k);
		pinring_spsc_release(&q->consumer, (uint64_t)n);
		i += (uint64_t)n;
	}
	return !differs;
}

static void produce_64_span(void *queue, uint64_t items)
{
	struct ours *q = queue;
	uint64_t i = 0, k;

	while (i < items) {
		void *slots;
		int64_t n = pinring_spsc_reserve(&q->producer, FLOW_BATCH,
						 &slots);
		struct flow_line *line = slots;

		if (n <= 0) {
			pinring_relax();
			continue;
		}
		for (k = 0; k < (uint64_t)n; k++)
			flow_fill_line(&line[k], i + k);
		pinring_spsc_commit(&q->producer, (uint64_t)n);
		i += (uint64_t)n;
	}
}

static bool consume_64_span(void *queue, uint64_t items)
{
	struct ours *q = queue;
	uint64_t i = 0, k, differs = 0;

	while (i < items) {
		void *slots;
		int64_t n = pinring_spsc_peek(&q->consumer, FLOW_BATCH, &slots);
		const struct flow_line *line = slots;

		if (n <= 0) {
			pinring_relax();
			continue;
		}
		for (k = 0; k < (uint64_t)n; k++)
			differs |= flow_check_line(&line[k], i + k);
		pinring_spsc_release(&q->consumer, (uint64_t)n);
		i += (uint64_t)n;
	}
	return !differs;
}

static void send(void *queue, uint64_t item)
{
	flow_send(queue, item, push);
}

static uint64_t receive(void *queue)
{
	return flow_receive(queue, pop);
}

static bool alone(void *queue, uint64_t items)
{
	return flow_alone(queue, items, push, pop);
}

static const struct flow_queue ours = {
	.name = "pinring",
	.produce = { produce_8, produce_8_batch, produce_8_span, produce_64,
		     produce_64_batch, produce_64_span },
	.consume = { consume_8, consume_8_batch, consume_8_span, consume_64,
		     consume_64_batch, consume_64_span },
	.send = send,
	.receive = receive,
	.alone = alone,
};

/* ------------------------------------------------------------- the contest */
enum { THERE, BACK, LINES, QUEUES }; /* 8 bytes, 8 bytes, 64 bytes */

struct contestant {
	const struct flow_queue *kind;
	void *queue[QUEUES];
};

struct contest {
	const struct bench_options *options;
	struct pinring_device *device;
	struct pinring_region *region;
	struct ours ours[QUEUES];
	struct contestant who[PEERS_MAX];
	unsigned int n;
};

static void add_peer(struct contest *c, const struct flow_queue *kind)
{
	struct contestant *who = &c->who[c->n];
	struct pinring_object_info o;
	char name[PINRING_NAME_MAX];
	int i, rc;

	if (!kind)
		return;
	who->kind = kind;
	for (i = 0; i < QUEUES; i++) {
		snprintf(name, sizeof(name), "%s %d", kind->name, i);
		rc = pinring_object_create(c->region, name,
					   PINRING_OBJECT_BYTES,
					   kind->bytes[i == LINES], 4096, &o);
		if (rc)
			bench_die("spsc", rc);
		who->queue[i] =
			kind->open(pinring_region_at(c->region, o.offset,
						     o.length),
				   i == LINES);
	}
	c->n++;
}

static void add_ours(struct contest *c)
{
	static const char *const names[QUEUES] = { "there", "back", "lines" };
	int i, rc;

	c->who[c->n].kind = &ours;
	for (i = 0; i < QUEUES; i++) {
		struct ours *q = &c->ours[i];

		rc = pinring_spsc_create(c->region, names[i], FLOW_CAPACITY,
					 i == LINES ? 64 : 8);
		if (!rc)
			rc = pinring_spsc_producer_open(c->region, names[i],
							&q->producer);
		if (!rc)
			rc = pinring_spsc_consumer_open(c->region, names[i],
							&q->consumer);
		if (rc)
			bench_die("spsc", rc);
		c->who[c->n].queue[i] = q;
	}
	c->n++;
}

static void contest_open(struct contest *c, const struct bench_options *o)
{
	/* Where C++ is missing, the symbols of what it wraps are too. */
	static const struct flow_queue *(*const kinds[])(void) = {
		flow_locked, flow_ck, flow_dpdk, flow_boost, flow_camel,
		flow_atomic_queue, flow_optimist,
	};
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
		bench_die("spsc", error);
	add_ours(c);
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i])
			add_peer(c, kinds[i]());
}

static void contest_close(struct contest *c)
{
	unsigned int i, k;

	for (k = 0; k < QUEUES; k++) {
		pinring_spsc_producer_close(&c->ours[k].producer);
		pinring_spsc_consumer_close(&c->ours[k].consumer);
		for (i = 1; i < c->n; i++)
			c->who[i].kind->close(c->who[i].queue[k]);
	}
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
	if (who->kind == flow_locked())
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

/* p50, ns */
static double run_trips(const struct contest *c, const struct contestant *who,
			int shape)
{
	static double trip[TRIPS];
	const struct flow_queue *kind = who->kind;
	struct turn t = { .who = who, .items = TRIPS };
	uint64_t i, differs = 0;
	pthread_t peer;

	(void)shape;
	peer = bench_thread(c->options->cpu_peer, turn_return, &t);
	await_ready(&t);
	for (i = 0; i < TRIPS; i++) {
		uint64_t begin = bench_ticks();

		kind->send(who->queue[THERE], i);
		differs |= kind->receive(who->queue[BACK]) ^ i;
		trip[i] = (double)(bench_ticks() - begin);
	}
	pthread_join(peer, NULL);
	if (differs)
		bench_die("spsc: a round trip brought back something else", 0);
	return bench_quantile(trip, TRIPS, 500) * bench_ticks_ns();
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
	const char *name, *unit;
	double (*run)(const struct contest *c, const struct contestant *who,
		      int shape);
	int shape;
	bool less_is_more;
	const char *what;
} events[] = {
	{ "SPSC 8 B, one at a time", "M/s", run_flow, FLOW_8, false, NULL },
	{ "SPSC 8 B, batches of 32, copied", "M/s", run_flow, FLOW_8_BATCH,
	  false, NULL },
	{ "SPSC 8 B, spans of 32, in place", "M/s", run_flow, FLOW_8_SPAN,
	  false, "no peer has these" },
	{ "SPSC 64 B, one at a time", "M/s", run_flow, FLOW_64, false, NULL },
	{ "SPSC 64 B, batches of 32, copied", "M/s", run_flow, FLOW_64_BATCH,
	  false, NULL },
	{ "SPSC 64 B, spans of 32, in place", "M/s", run_flow, FLOW_64_SPAN,
	  false, "no peer has these" },
	{ "SPSC 8 B, round trip p50", "ns", run_trips, 0, true,
	  "two rings; 10 ns of it are the clock's" },
	{ "SPSC 8 B, push and pop by one thread", "ns", run_alone, 0, true,
	  NULL },
};

#define EVENTS (sizeof(events) / sizeof(events[0]))

static bool takes_part(const struct event *e, const struct contestant *who)
{
	return e->run != run_flow || who->kind->produce[e->shape];
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

static void report_event(const struct contest *c, const struct event *e,
			 const struct gate *gates, const struct series *results)
{
	struct row row = { .name = e->name,
			   .unit = e->unit,
			   .value = results[0] };
	const size_t size = sizeof(row.note);
	unsigned int i, best = 0;
	size_t n = 0;

	for (i = 1; i < c->n; i++) {
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
		row.ratio = series_median(&row.value) /
			    series_median(&row.limit);
	}
	n += (size_t)snprintf(row.note + n, size - n, "%s%s%s",
			      n && e->what ? "; " : "", e->what ? e->what : "",
			      n || e->what ? "\n" : "");
	gate_note(&gates[0], row.note + n, size - n);
	report_row(&row);
}

void bench_spsc(const struct bench_options *o)
{
	static struct contest c;
	static struct series results[EVENTS][PEERS_MAX];
	static struct gate gates[EVENTS][PEERS_MAX];
	struct gate first;
	bool more = true;
	unsigned int i, k;

	if (!bench_two_cores(o)) {
		report_absent("SPSC", 0.0,
			      "needs two cores, and this process may use one");
		return;
	}
	bench_pin(o->cpu_host);
	bench_ticks_ns();
	contest_open(&c, o);
	gate_open(&first, o, 60);
	for (i = 0; i < EVENTS; i++)
		for (k = 0; k < PEERS_MAX; k++)
			gate_share(&gates[i][k], &first);
	/* All take turns at all. */
	while (more) {
		more = false;
		for (i = 0; i < EVENTS; i++)
			more |= run_round(&c, &events[i], gates[i], results[i]);
	}
	for (i = 0; i < EVENTS; i++)
		report_event(&c, &events[i], gates[i], results[i]);
	contest_close(&c);
}
