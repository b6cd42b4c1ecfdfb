// SPDX-License-Identifier: MIT
/*
 * broadcast.c - one producer, two consumers that both see every item: our
 * broadcast ring beside what one does without it, a ring to each.
 *
 * The producer has one core, the consumers share the other. Whoever finds a ring
 * full or empty polls for about a microsecond and then yields.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flow.h"
#include "report.h"

#define QUEUES_MAX 16
#define CONSUMERS 2u
#define NAME "broadcast"
#define WITHOUT "atomic_queue's optimist waits within push and pop, so its consumers cannot share a core"

struct contestant {
	const char *name;
	const struct flow_queue *kind; /* NULL: the broadcast ring */
	void *queue[CONSUMERS]; /* of the broadcast ring: its consumers */
};

struct contest {
	const struct bench_options *options;
	struct pinring_device *device;
	struct pinring_region *region;
	struct pinring_broadcast_producer producer;
	struct pinring_broadcast_consumer consumer[CONSUMERS];
	struct contestant who[QUEUES_MAX]; /* the broadcast ring first */
	unsigned int n;
};

/* --------------------------------------------------------- the broadcast ring */
PINRING_FN bool push(void *producer, uint64_t item)
{
	return pinring_broadcast_push_u64(producer, item) == 0;
}

PINRING_FN bool pop(void *consumer, uint64_t *item)
{
	return pinring_broadcast_pop_u64(consumer, item) == 0;
}

PINRING_FN uint64_t push_n(void *producer, const void *items, uint64_t n)
{
	int64_t sent = pinring_broadcast_push_batch(producer, items, n);

	return sent > 0 ? (uint64_t)sent : 0;
}

PINRING_FN uint64_t pop_n(void *consumer, void *items, uint64_t n)
{
	int64_t got = pinring_broadcast_pop_batch(consumer, items, n);

	return got > 0 ? (uint64_t)got : 0;
}

static void send_each(struct pinring_broadcast_producer *producer,
		      uint64_t items)
{
	unsigned int polls = 0;
	uint64_t i;

	for (i = 0; i < items; i++)
		while (!push(producer, i))
			crowd_wait(&polls);
}

static void send_batches(struct pinring_broadcast_producer *producer,
			 uint64_t items)
{
	uint64_t batch[FLOW_BATCH], i, k;

	for (i = 0; i < items; i += FLOW_BATCH) {
		for (k = 0; k < FLOW_BATCH; k++)
			batch[k] = i + k;
		flow_push_all(producer, batch, push_n);
	}
}

static void ours_out(struct contest *c, enum flow_fan fan, uint64_t items)
{
	if (fan == FLOW_FAN)
		send_each(&c->producer, items);
	else
		send_batches(&c->producer, items);
}

static bool ours_in(void *consumer, enum flow_fan fan, uint64_t items)
{
	return fan == FLOW_FAN ? flow_fan_in(consumer, items, pop) :
				 flow_fan_in_n(consumer, items, pop_n);
}

static void open_ours(struct contest *c)
{
	struct contestant *who = &c->who[c->n++];
	unsigned int i;
	int rc;

	who->name = "pinring broadcast";
	rc = pinring_broadcast_create(c->region, NAME, FLOW_CAPACITY, 8, 0,
				      1 + CONSUMERS);
	if (!rc)
		rc = pinring_broadcast_producer_open(c->region, NAME,
						     &c->producer);
	for (i = 0; i < CONSUMERS && !rc; i++) {
		rc = pinring_broadcast_consumer_open(c->region, NAME,
						     PINRING_BROADCAST_AT_TAIL,
						     &c->consumer[i]);
		who->queue[i] = &c->consumer[i];
	}
	if (rc)
		bench_die("broadcast", rc);
}

/* ------------------------------------------------------------- the contest */
static void open_rings(struct contest *c, const struct flow_queue *kind)
{
	struct contestant *who = &c->who[c->n++];
	char name[PINRING_NAME_MAX];
	unsigned int i;

	who->name = kind->name;
	who->kind = kind;
	for (i = 0; i < CONSUMERS; i++) {
		snprintf(name, sizeof(name), "%s %u", kind->name, i);
		who->queue[i] = flow_open(c->region, kind, name, false);
	}
}

static void contest_open(struct contest *c, const struct bench_options *o)
{
	struct pinring_region_config rc = pinring_region_defaults(4u << 20);
	unsigned int i;
	int error;

	memset(c, 0, sizeof(*c));
	c->options = o;
	rc.flags = PINRING_REGION_PREFAULT;
	error = pinring_device_open(NULL, &c->device);
	if (!error)
		error = pinring_region_create(c->device, &rc, &c->region);
	if (error)
		bench_die("broadcast", error);
	open_ours(c);
	open_rings(c, flow_spsc());
	for (i = 0; flow_peer(i); i++) {
		if (c->n == QUEUES_MAX)
			bench_die("broadcast: more queues than the contest holds",
				  0);
		if (flow_peer(i)->fan_out[FLOW_FAN])
			open_rings(c, flow_peer(i));
	}
}

static void contest_close(struct contest *c)
{
	unsigned int i, k;

	for (i = 0; i < c->n; i++)
		for (k = 0; c->who[i].kind && k < CONSUMERS; k++)
			c->who[i].kind->close(c->who[i].queue[k]);
	for (k = 0; k < CONSUMERS; k++)
		pinring_broadcast_consumer_close(&c->consumer[k]);
	pinring_broadcast_producer_close(&c->producer);
	pinring_region_close(c->region);
	pinring_device_close(c->device);
}

struct listener {
	const struct contestant *who;
	struct crowd *crowd;
	enum flow_fan fan;
	unsigned int number;
	uint64_t items, end, ran;
	bool right;
} PINRING_ALIGNED(128);

static void *listen(void *arg)
{
	struct listener *l = arg;
	const struct flow_queue *kind = l->who->kind;
	void *queue = l->who->queue[l->number];
	uint64_t ran = bench_thread_ns();

	__atomic_add_fetch(&l->crowd->ready, 1, __ATOMIC_ACQ_REL);
	l->right = kind ? kind->fan_in[l->fan](queue, l->items) :
			  ours_in(queue, l->fan, l->items);
	l->end = bench_now_ns();
	l->ran = bench_thread_ns() - ran;
	return NULL;
}

/* Million items a second that both have; what others had of the cores. */
static double run(struct contest *c, const struct contestant *who,
		  enum flow_fan fan, uint64_t *lacked)
{
	static struct listener listeners[CONSUMERS];
	struct crowd crowd = { .ready = 0 };
	uint64_t items = c->options->quick ? 1u << 18 : 1u << 20;
	uint64_t begin, end = 0, ran, listened = 0, produced;
	pthread_t thread[CONSUMERS];
	unsigned int i, polls = 0;

	if (who->kind && who->kind->slow)
		items /= 32;
	for (i = 0; i < CONSUMERS; i++) {
		listeners[i] = (struct listener){ .who = who,
						  .crowd = &crowd,
						  .fan = fan,
						  .number = i,
						  .items = items };
		thread[i] = bench_thread(c->options->cpu_peer, listen,
					 &listeners[i]);
	}
	while (__atomic_load_n(&crowd.ready, __ATOMIC_ACQUIRE) < CONSUMERS)
		crowd_wait(&polls);
	begin = bench_now_ns();
	ran = bench_thread_ns();
	if (who->kind)
		who->kind->fan_out[fan](who->queue[0], who->queue[1], items);
	else
		ours_out(c, fan, items);
	ran = bench_thread_ns() - ran;
	produced = bench_now_ns() - begin;
	for (i = 0; i < CONSUMERS; i++) {
		pthread_join(thread[i], NULL);
		if (!listeners[i].right)
			bench_die("broadcast: items were lost or came out of order",
				  0);
		if (listeners[i].end > end)
			end = listeners[i].end;
		listened += listeners[i].ran;
	}
	/* None sleeps but at a lock, so each core was theirs all the time. */
	if (!who->kind || !who->kind->slow) {
		*lacked = produced > ran ? produced - ran : 0;
		if (end - begin > listened)
			*lacked += end - begin - listened;
	}
	return (double)items * 1e3 / (double)(end - begin);
}

/* ------------------------------------------------------------------ report */
static const struct event {
	const char *name;
	enum flow_fan fan;
} events[] = {
	{ "broadcast 1 to 2, one at a time", FLOW_FAN },
	{ "broadcast 1 to 2, batches of 32", FLOW_FAN_BATCH },
};

#define EVENTS (sizeof(events) / sizeof(events[0]))
#define TARGET 1.5
#define RIVALS 2u /* behind the broadcast ring and two of our own */

static bool takes_part(const struct contestant *who, enum flow_fan fan)
{
	return !who->kind || who->kind->fan_out[fan];
}

static void report(const struct contest *c, const struct event *e,
		   const struct gate *gates, const struct series *results)
{
	struct row row = { .name = e->name,
			   .unit = "M/s",
			   .value = results[0],
			   .target = TARGET,
			   .target_is_floor = true };
	const size_t size = sizeof(row.note);
	unsigned int i, best = 0;
	size_t n = 0;

	for (i = 1; i < c->n; i++) {
		if (!results[i].n)
			continue;
		n += (size_t)snprintf(row.note + n, size - n,
				      "%stwo of %s %.4g", n ? ", " : "",
				      c->who[i].name,
				      series_median(&results[i]));
		if (i >= RIVALS && (!best || series_median(&results[i]) >
						     series_median(&results[best])))
			best = i;
	}
	if (best) {
		row.limit_name = c->who[best].name;
		row.limit = results[best];
		if (row.value.n)
			row.ratio = series_median(&row.value) /
				    series_median(&row.limit);
	}
	n += (size_t)snprintf(row.note + n, size - n,
			      "%severy item at both, consumers on one core; %s\n",
			      n ? "; " : "", WITHOUT);
	gate_note(&gates[0], row.note + n, size - n);
	report_row(&row);
}

void bench_broadcast(const struct bench_options *o)
{
	static struct contest c;
	static struct series results[EVENTS][QUEUES_MAX];
	static struct gate gates[EVENTS][QUEUES_MAX];
	struct gate first;
	bool more = true;
	unsigned int i, k;

	if (!bench_two_cores(o)) {
		report_absent(events[0].name, TARGET,
			      "needs two cores, and this process may use one");
		return;
	}
	bench_pin(o->cpu_host);
	contest_open(&c, o);
	gate_open(&first, o, 20);
	for (i = 0; i < EVENTS; i++) {
		for (k = 0; k < c.n; k++) {
			gate_share(&gates[i][k], &first);
			gates[i][k].sleeps = true; /* two on one core do wait */
		}
	}
	while (more) {
		more = false;
		for (i = 0; i < EVENTS; i++) {
			for (k = 0; k < c.n; k++) {
				struct gate *g = &gates[i][k];
				double value;

				if (!takes_part(&c.who[k], events[i].fan) ||
				    !gate_more(g))
					continue;
				more = true;
				gate_before(g);
				g->lacked = 0;
				value = run(&c, &c.who[k], events[i].fan,
					    &g->lacked);
				if (gate_pass(g))
					series_add(&results[i][k], value);
			}
		}
	}
	for (i = 0; i < EVENTS; i++)
		report(&c, &events[i], gates[i], results[i]);
	contest_close(&c);
}
