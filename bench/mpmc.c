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

#include "crowd.h"
#include "report.h"

#define QUEUES_MAX 16
#define BURST_PRODUCERS 4u
#define BURST_ITEMS 250u /* of each */
#define BURSTS 25u /* a run */
#define BURSTS_NS 50000000 /* and no longer than this for all of them */

struct contest {
	const struct bench_options *options;
	struct pinring_device *device;
	struct pinring_region *region;
	struct contestant {
		const struct crowd_queue *kind;
		void *queue;
	} who[QUEUES_MAX];
	unsigned int n;
};

enum place {
	SPREAD, /* both sides on both cores */
	SPLIT, /* producers on one core, consumers on the other */
};

enum shape { FLOW, BATCHES, PAIRS, ALONE, BURST };

struct event {
	const char *name;
	enum shape shape;
	unsigned int producers, consumers;
	enum place place;
	double target; /* so many times the best bounded peer; 0: none */
	const char *what;
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
	/* Ours first. Where C++ is missing, the symbols are too. */
	static const struct crowd_queue *(*const kinds[])(void) = {
		crowd_ours,	crowd_locked,	crowd_vyukov,
		crowd_ck,	crowd_dpdk_mt,	crowd_dpdk_hts,
		crowd_dpdk_rts, crowd_boost,	crowd_tbb,
		crowd_camel,	crowd_atomic_queue, crowd_optimist,
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
		bench_die("mpmc", error);
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i])
			contest_add(c, kinds[i]());
}

static void contest_close(struct contest *c)
{
	unsigned int i;

	for (i = 0; i < c->n; i++)
		c->who[i].kind->close(c->who[i].queue);
	pinring_region_close(c->region);
	pinring_device_close(c->device);
}

/* ----------------------------------------------------------------- one run */
struct crew;

struct thread {
	struct crowd_member member;
	struct crew *crew;
	unsigned int sides;
	crowd_loop loop;
	uint64_t end;
	pthread_t id;
};

static crowd_loop producer_loop(const struct crowd_queue *kind, enum shape shape)
{
	switch (shape) {
	case BATCHES:
		return kind->produce_batch;
	case PAIRS:
		return kind->pair;
	case ALONE:
		return kind->alone;
	default:
		return kind->produce;
	}
}

struct crew {
	struct crowd crowd;
	const struct contestant *who;
	const struct event *event;
	unsigned int n, rounds;
	double burst[BURSTS]; /* us */
	unsigned int bursts; /* that were over before time was up */
	struct thread thread[CROWD_MOST];
};

static void await_round(struct crowd *crowd, unsigned int round)
{
	unsigned int polls = 0;

	__atomic_add_fetch(&crowd->ready, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&crowd->round, __ATOMIC_ACQUIRE) < round)
		crowd_wait(&polls);
}

/* Releases all once so many wait; the time when it did. */
static uint64_t start_round(struct crowd *crowd, unsigned int round,
			    unsigned int waiting)
{
	unsigned int polls = 0;
	uint64_t begin;

	while (__atomic_load_n(&crowd->ready, __ATOMIC_ACQUIRE) <
	       round * waiting)
		crowd_wait(&polls);
	begin = bench_now_ns();
	__atomic_store_n(&crowd->round, round, __ATOMIC_RELEASE);
	return begin;
}

static void *handle_of(const struct contestant *who, unsigned int sides)
{
	return who->kind->join ? who->kind->join(who->queue, sides) :
				 who->queue;
}

static void leave(const struct contestant *who, void *handle)
{
	if (who->kind->leave)
		who->kind->leave(handle);
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;
	struct crew *crew = t->crew;
	void *handle = handle_of(crew->who, t->sides);
	unsigned int round;

	for (round = 1; round <= crew->rounds; round++) {
		await_round(&crew->crowd, round);
		t->loop(handle, &t->member);
	}
	t->end = bench_now_ns();
	leave(crew->who, handle);
	return NULL;
}

/* The consumer of bursts starts each, since it is the one that ends it. */
static void *burst_main(void *arg)
{
	struct thread *t = arg;
	struct crew *crew = t->crew;
	const unsigned int producers = crew->event->producers;
	void *handle = handle_of(crew->who, t->sides);
	unsigned int round;

	for (round = 1; round <= crew->rounds; round++) {
		uint64_t begin = start_round(&crew->crowd, round, producers);

		t->loop(handle, &t->member);
		crew->burst[round - 1] = (double)(bench_now_ns() - begin) / 1e3;
		if (t->member.got < round * t->member.most)
			continue; /* time is up, for all rounds to come too */
		__atomic_store_n(&crew->bursts, round, __ATOMIC_RELEASE);
	}
	leave(crew->who, handle);
	return NULL;
}

static void assign_producer(struct thread *t, unsigned int number)
{
	enum shape shape = t->crew->event->shape;

	t->sides = CROWD_PRODUCES | (shape == PAIRS ? CROWD_CONSUMES : 0);
	t->loop = producer_loop(t->crew->who->kind, shape);
	t->member.next = crowd_first_item(number);
	t->member.most = shape == BURST ? BURST_ITEMS : UINT64_MAX;
}

static void assign_consumer(struct thread *t)
{
	const struct crowd_queue *kind = t->crew->who->kind;
	enum shape shape = t->crew->event->shape;

	t->sides = CROWD_CONSUMES;
	t->loop = shape == BATCHES ? kind->consume_batch : kind->consume;
	t->member.most = shape == BURST ? BURST_ITEMS * BURST_PRODUCERS :
					  UINT64_MAX;
}

static void crew_start(struct crew *crew, const struct bench_options *o,
		       const struct contestant *who, const struct event *e)
{
	unsigned int i;

	memset(crew, 0, sizeof(*crew));
	crew->who = who;
	crew->event = e;
	crew->n = e->producers + e->consumers;
	crew->rounds = e->shape == BURST ? BURSTS : 1;
	for (i = 0; i < crew->n; i++) {
		struct thread *t = &crew->thread[i];
		bool consumer = i >= e->producers;
		unsigned int number = consumer ? i - e->producers : i;
		bool peer = e->place == SPLIT ? consumer : number % 2;

		t->crew = crew;
		t->member.crowd = &crew->crowd;
		if (consumer)
			assign_consumer(t);
		else
			assign_producer(t, number);
		t->id = bench_thread(peer ? o->cpu_peer : o->cpu_host,
				     e->shape == BURST && consumer ?
					     burst_main :
					     thread_main,
				     t);
	}
}

/* What came must be what was sent: in number, in sum and in order. */
static void verify(const struct crew *crew, const struct crowd_member *rest)
{
	uint64_t sent = 0, sent_sum = 0, got = rest->got, got_sum = rest->sum;
	bool disorder = rest->disorder;
	unsigned int i;

	for (i = 0; i < crew->n; i++) {
		const struct crowd_member *m = &crew->thread[i].member;
		uint64_t first = m->next - m->sent;

		if (m->sent)
			sent_sum += m->sent * first +
				    m->sent * (m->sent - 1) / 2;
		sent += m->sent;
		got += m->got;
		got_sum += m->sum;
		disorder |= m->disorder;
	}
	disorder &= !crew->who->kind->reorders;
	if (sent == got && sent_sum == got_sum && !disorder)
		return;
	fprintf(stderr, "pinring-bench: %s, %s: %llu sent, %llu received, sums %s, order %s\n",
		crew->event->name, crew->who->kind->name,
		(unsigned long long)sent, (unsigned long long)got,
		sent_sum == got_sum ? "equal" : "unequal",
		disorder ? "lost" : "kept");
	bench_die("mpmc: items were lost or came out of order", 0);
}

/*
 * Time is up. What is left is taken when all are gone: a queue that has
 * collapsed may take a minute for it with all of them there.
 */
static void crew_end(struct crew *crew)
{
	const struct contestant *who = crew->who;
	struct crowd_member rest = { .crowd = &crew->crowd,
				     .most = UINT64_MAX,
				     .drains = true };
	unsigned int i;
	void *handle;

	__atomic_store_n(&crew->crowd.stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < crew->n; i++)
		pthread_join(crew->thread[i].id, NULL);
	if (who->kind->consume) {
		handle = handle_of(who, CROWD_CONSUMES);
		who->kind->consume(handle, &rest);
		leave(who, handle);
	}
	verify(crew, &rest);
}

/*
 * Million items a second that came in a given time. A given number of items
 * takes a second for one and a minute for another.
 */
static double run_flow(const struct contest *c, const struct contestant *who,
		       const struct event *e)
{
	uint64_t begin, end = 0, got = 0;
	static struct crew crew;
	unsigned int i;

	crew_start(&crew, c->options, who, e);
	begin = start_round(&crew.crowd, 1, crew.n);
	bench_nap(c->options->quick ? 4000 : 12000);
	crew_end(&crew);
	for (i = 0; i < crew.n; i++) {
		got += crew.thread[i].member.got;
		if (crew.thread[i].end > end)
			end = crew.thread[i].end;
	}
	return (double)got * 1e3 / (double)(end - begin);
}

/* us from the release of the producers until all of their messages are there */
static double run_burst(const struct contest *c, const struct contestant *who,
			const struct event *e)
{
	uint64_t begin = bench_now_ns();
	static struct crew crew;

	crew_start(&crew, c->options, who, e);
	while (__atomic_load_n(&crew.bursts, __ATOMIC_ACQUIRE) < BURSTS &&
	       bench_now_ns() - begin < BURSTS_NS)
		bench_nap(500);
	crew_end(&crew);
	/* The one that took all the time, if it was the first. */
	return bench_quantile(crew.burst, crew.bursts ? crew.bursts : 1, 500);
}

/* ns a push and a pop */
static double run_alone(const struct contest *c, const struct contestant *who)
{
	struct crowd_member m = { .next = crowd_first_item(0),
				  .most = c->options->quick ? 1u << 15 :
							      1u << 18 };
	void *handle = handle_of(who, CROWD_PRODUCES | CROWD_CONSUMES);
	uint64_t begin = bench_now_ns();

	producer_loop(who->kind, ALONE)(handle, &m);
	begin = bench_now_ns() - begin;
	leave(who, handle);
	if (m.disorder)
		bench_die("mpmc: what was pushed did not pop", 0);
	return (double)begin / (double)m.most;
}

static double run(const struct contest *c, const struct contestant *who,
		  const struct event *e)
{
	switch (e->shape) {
	case ALONE:
		return run_alone(c, who);
	case BURST:
		return run_burst(c, who, e);
	default:
		return run_flow(c, who, e);
	}
}

/* ------------------------------------------------------------------ events */
static const struct event events[] = {
	{ "MPMC 2P2C, spread", FLOW, 2, 2, SPREAD, 1.2, NULL },
	{ "MPMC 2P2C, split", FLOW, 2, 2, SPLIT, 1.2, NULL },
	{ "MPMC 4P4C, spread", FLOW, 4, 4, SPREAD, 1.2, NULL },
	{ "MPMC 4P4C, split", FLOW, 4, 4, SPLIT, 1.2, NULL },
	{ "MPSC 4P1C, spread", FLOW, 4, 1, SPREAD, 1.8, NULL },
	{ "MPSC 4P1C, split", FLOW, 4, 1, SPLIT, 1.8, NULL },
	{ "SPMC 1P4C, spread", FLOW, 1, 4, SPREAD, 1.2, NULL },
	{ "SPMC 1P4C, split", FLOW, 1, 4, SPLIT, 1.2, NULL },
	{ "MPMC 2P2C, batches of 32, spread", BATCHES, 2, 2, SPREAD, 1.0,
	  NULL },
	{ "MPMC 2P2C, batches of 32, split", BATCHES, 2, 2, SPLIT, 1.0, NULL },
	{ "MPMC pairs, a thread on each core", PAIRS, 2, 0, SPREAD, 1.2,
	  "each pushes one, then pops one" },
	{ "MPMC push and pop by one thread", ALONE, 1, 1, SPREAD, 0.0, NULL },
	{ "MPSC burst of 4 x 250, split", BURST, BURST_PRODUCERS, 1, SPLIT, 1.5,
	  "until the consumer has all" },
};

#define EVENTS (sizeof(events) / sizeof(events[0]))

static bool less_is_more(const struct event *e)
{
	return e->shape == ALONE || e->shape == BURST;
}

static const char *unit_of(const struct event *e)
{
	if (e->shape == ALONE)
		return "ns";
	return e->shape == BURST ? "us" : "M/s";
}

static bool fits(uint32_t max, unsigned int n)
{
	return !max || n <= max;
}

static bool takes_part(const struct event *e, const struct crowd_queue *kind)
{
	bool all = e->shape == PAIRS; /* of the producers consume too */

	return producer_loop(kind, e->shape) &&
	       fits(kind->max_producers, e->producers) &&
	       fits(kind->max_consumers, all ? e->producers : e->consumers);
}

/* One run by each who has not had enough; false: all had. */
static bool run_round(const struct contest *c, const struct event *e,
		      struct gate *gates, struct series *results)
{
	bool more = false;
	unsigned int i;

	for (i = 0; i < c->n; i++) {
		double value;

		if (!takes_part(e, c->who[i].kind) || !gate_more(&gates[i]))
			continue;
		more = true;
		gate_before(&gates[i]);
		value = run(c, &c->who[i], e);
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

#define NOTE_WIDTH 100

static size_t note_peer(char *note, size_t size, size_t *line,
			const struct crowd_queue *kind, const struct series *s)
{
	char text[120];
	int n = snprintf(text, sizeof(text), "%s%s %.3g (%.3g to %.3g)",
			 kind->name,
			 kind->unbounded ? ", unbounded," :
			 kind->reorders	 ? ", which reorders," :
					   "",
			 series_median(s), series_at(s, 0), series_at(s, 1000));
	bool fresh = *line && *line + (size_t)n > NOTE_WIDTH;

	n = snprintf(note, size, "%s%s", fresh ? ";\n" : *line ? "; " : "",
		     text);
	*line = (fresh ? 0 : *line) + (size_t)n;
	return (size_t)n;
}

static void note_event(const struct contest *c, const struct event *e,
		       const struct gate *gate, const struct series *results,
		       unsigned int shown, struct row *row)
{
	const size_t size = sizeof(row->note);
	size_t n = 0, line = 0;
	unsigned int i;

	if (!c->who[shown].kind->ours)
		n = (size_t)snprintf(row->note, size,
				     "no ring of ours yet; best bounded peer: %s\n",
				     c->who[shown].kind->name);
	for (i = 0; i < c->n; i++)
		if (i != shown && results[i].n)
			n += note_peer(row->note + n, size - n, &line,
				       c->who[i].kind, &results[i]);
	n += (size_t)snprintf(row->note + n, size - n, "%s%s%s",
			      line && e->what ? "; " : "",
			      e->what ? e->what : "",
			      line || e->what ? "\n" : "");
	gate_note(gate, row->note + n, size - n);
}

static void report_event(const struct contest *c, const struct event *e,
			 const struct gate *gates, const struct series *results)
{
	struct row row = { .name = e->name, .unit = unit_of(e) };
	unsigned int ours = best_of(c, e, results, true);
	unsigned int peer = best_of(c, e, results, false);
	unsigned int shown = ours != NOBODY ? ours : peer;

	row.target = c->who[0].kind->ours ? e->target : 0.0;
	row.target_is_floor = true;
	if (shown == NOBODY) {
		snprintf(row.note, sizeof(row.note), "no run passed the gate");
		report_row(&row);
		return;
	}
	row.value = results[shown];
	if (ours != NOBODY && peer != NOBODY) {
		row.limit_name = c->who[peer].kind->name;
		row.limit = results[peer];
		row.ratio = advantage(e, &row.value, &row.limit);
	}
	note_event(c, e, &gates[shown], results, shown, &row);
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
	gate_open(&first, o, 120);
	for (i = 0; i < EVENTS; i++) {
		for (k = 0; k < QUEUES_MAX; k++) {
			gate_share(&gates[i][k], &first);
			/* More threads than cores wait for these by design. */
			gates[i][k].sleeps =
				events[i].producers + events[i].consumers > 2;
		}
	}
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
