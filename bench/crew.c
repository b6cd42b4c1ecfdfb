// SPDX-License-Identifier: MIT
/* crew.c - starts the threads of a run, ends them and checks what came. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "crew.h"

#define BURSTS 25u /* a run */
#define BURSTS_NS 50000000 /* and no longer than this for all of them */
#define ENDING_NS 25000 /* what it takes a thread to end */

struct crew;

struct thread {
	struct crowd_member member;
	struct crew *crew;
	unsigned int sides;
	crowd_loop loop;
	bool peer; /* which core */
	uint64_t end, ran; /* of this time that, ns */
	pthread_t id;
};

static crowd_loop producer_loop(const struct crowd_queue *kind, enum crew_shape shape)
{
	switch (shape) {
	case CREW_BATCHES:
		return kind->produce_batch;
	case CREW_PAIRS:
		return kind->pair;
	case CREW_ALONE:
		return kind->alone;
	default:
		return kind->produce;
	}
}

struct crew {
	struct crowd crowd;
	const struct crew_queue *queue;
	const struct crew_order *order;
	unsigned int n, rounds;
	double burst[BURSTS]; /* us */
	unsigned int bursts; /* that were over before time was up */
	struct thread thread[CROWD_MOST];
};

void crew_await(struct crowd *crowd, unsigned int round)
{
	unsigned int polls = 0;

	__atomic_add_fetch(&crowd->ready, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&crowd->round, __ATOMIC_ACQUIRE) < round)
		crowd_wait(&polls);
}

uint64_t crew_release(struct crowd *crowd, unsigned int round,
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

static void *handle_of(const struct crew_queue *q, unsigned int sides)
{
	return q->kind->join ? q->kind->join(q->queue, sides) : q->queue;
}

static void leave(const struct crew_queue *q, void *handle)
{
	if (q->kind->leave)
		q->kind->leave(handle);
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;
	struct crew *crew = t->crew;
	void *handle = handle_of(crew->queue, t->sides);
	uint64_t ran = 0;
	unsigned int round;

	for (round = 1; round <= crew->rounds; round++) {
		crew_await(&crew->crowd, round);
		ran = ran ? ran : bench_thread_ns();
		t->loop(handle, &t->member);
	}
	t->end = bench_now_ns();
	t->ran = bench_thread_ns() - ran;
	leave(crew->queue, handle);
	return NULL;
}

/* The consumer of bursts starts each, since it is the one that ends it. */
static void *burst_main(void *arg)
{
	struct thread *t = arg;
	struct crew *crew = t->crew;
	const unsigned int producers = crew->order->producers;
	void *handle = handle_of(crew->queue, t->sides);
	unsigned int round;

	for (round = 1; round <= crew->rounds; round++) {
		uint64_t begin = crew_release(&crew->crowd, round, producers);

		t->loop(handle, &t->member);
		crew->burst[round - 1] = (double)(bench_now_ns() - begin) / 1e3;
		if (t->member.got < round * t->member.most)
			continue; /* time is up, for all rounds to come too */
		__atomic_store_n(&crew->bursts, round, __ATOMIC_RELEASE);
	}
	leave(crew->queue, handle);
	return NULL;
}

static void assign_producer(struct thread *t, unsigned int number)
{
	enum crew_shape shape = t->crew->order->shape;

	t->sides = CROWD_PRODUCES | (shape == CREW_PAIRS ? CROWD_CONSUMES : 0);
	t->loop = producer_loop(t->crew->queue->kind, shape);
	t->member.next = crowd_first_item(number);
	t->member.most = shape == CREW_BURST ? CREW_BURST_ITEMS : UINT64_MAX;
}

static void assign_consumer(struct thread *t)
{
	const struct crowd_queue *kind = t->crew->queue->kind;
	const struct crew_order *order = t->crew->order;

	t->sides = CROWD_CONSUMES;
	t->loop = order->shape == CREW_BATCHES ? kind->consume_batch :
						 kind->consume;
	t->member.most = order->shape == CREW_BURST ?
				 CREW_BURST_ITEMS * order->producers :
				 UINT64_MAX;
}

static void crew_start(struct crew *crew, const struct bench_options *options,
		       const struct crew_queue *q, const struct crew_order *o)
{
	unsigned int i;

	memset(crew, 0, sizeof(*crew));
	crew->queue = q;
	crew->order = o;
	crew->n = o->producers + o->consumers;
	crew->rounds = o->shape == CREW_BURST ? BURSTS : 1;
	for (i = 0; i < crew->n; i++) {
		struct thread *t = &crew->thread[i];
		bool consumer = i >= o->producers;
		unsigned int number = consumer ? i - o->producers : i;
		bool leads = consumer && o->shape == CREW_BURST;

		t->crew = crew;
		t->member.crowd = &crew->crowd;
		t->peer = o->place == CREW_SPLIT ? consumer : number % 2;
		if (consumer)
			assign_consumer(t);
		else
			assign_producer(t, number);
		t->id = bench_thread(t->peer ? options->cpu_peer :
					       options->cpu_host,
				     leads ? burst_main : thread_main, t);
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
	disorder &= !crew->queue->kind->reorders;
	if (sent == got && sent_sum == got_sum && !disorder)
		return;
	fprintf(stderr, "pinring-bench: %s, %s: %llu sent, %llu received, sums %s, order %s\n",
		crew->order->name, crew->queue->kind->name,
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
	const struct crew_queue *q = crew->queue;
	struct crowd_member rest = { .crowd = &crew->crowd,
				     .most = UINT64_MAX,
				     .drains = true };
	unsigned int i;
	void *handle;

	__atomic_store_n(&crew->crowd.stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < crew->n; i++)
		pthread_join(crew->thread[i].id, NULL);
	if (q->kind->consume) {
		handle = handle_of(q, CROWD_CONSUMES);
		q->kind->consume(handle, &rest);
		leave(q, handle);
	}
	verify(crew, &rest);
}

/*
 * None of these threads sleeps. So until the last of those on a core is done,
 * that core is theirs; what they did not get of it went to others.
 */
static uint64_t lacked_on(const struct crew *crew, uint64_t begin, bool peer)
{
	uint64_t end = begin, ran = 0, lasted;
	unsigned int i;

	for (i = 0; i < crew->n; i++) {
		const struct thread *t = &crew->thread[i];

		if (t->peer != peer)
			continue;
		ran += t->ran + ENDING_NS;
		if (t->end > end)
			end = t->end;
	}
	lasted = end - begin;
	return lasted > ran ? lasted - ran : 0;
}

/*
 * What came in a given time. A given number of items takes a second for one and
 * a minute for another.
 */
static double run_flow(struct crew *crew, bool quick, uint64_t *lacked)
{
	uint64_t begin, end = 0, got = 0;
	unsigned int i;

	begin = crew_release(&crew->crowd, 1, crew->n);
	bench_nap(quick ? 4000 : 12000);
	crew_end(crew);
	for (i = 0; i < crew->n; i++) {
		got += crew->thread[i].member.got;
		if (crew->thread[i].end > end)
			end = crew->thread[i].end;
	}
	if (!crew->queue->kind->sleeps)
		*lacked = lacked_on(crew, begin, false) +
			  lacked_on(crew, begin, true);
	return (double)got * 1e3 / (double)(end - begin);
}

static double run_burst(struct crew *crew)
{
	uint64_t begin = bench_now_ns();

	while (__atomic_load_n(&crew->bursts, __ATOMIC_ACQUIRE) < BURSTS &&
	       bench_now_ns() - begin < BURSTS_NS)
		bench_nap(500);
	crew_end(crew);
	/* The one that took all the time, if it was the first. */
	return bench_quantile(crew->burst, crew->bursts ? crew->bursts : 1,
			      500);
}

static double run_alone(const struct crew_queue *q, bool quick)
{
	struct crowd_member m = { .next = crowd_first_item(0),
				  .most = quick ? 1u << 15 : 1u << 18 };
	void *handle = handle_of(q, CROWD_PRODUCES | CROWD_CONSUMES);
	uint64_t begin = bench_now_ns();

	q->kind->alone(handle, &m);
	begin = bench_now_ns() - begin;
	leave(q, handle);
	if (m.disorder)
		bench_die("mpmc: what was pushed did not pop", 0);
	return (double)begin / (double)m.most;
}

double crew_run(const struct bench_options *options, const struct crew_queue *q,
		const struct crew_order *o, uint64_t *lacked)
{
	static struct crew crew;

	*lacked = 0;
	if (o->shape == CREW_ALONE)
		return run_alone(q, options->quick);
	crew_start(&crew, options, q, o);
	if (o->shape == CREW_BURST)
		return run_burst(&crew);
	return run_flow(&crew, options->quick, lacked);
}

static bool fits(uint32_t max, unsigned int n)
{
	return !max || n <= max;
}

bool crew_can(const struct crowd_queue *kind, const struct crew_order *o)
{
	/* The producers of pairs consume too. */
	unsigned int consumers = o->shape == CREW_PAIRS ? o->producers :
							  o->consumers;

	/* Of those that are not for all, only where they are at home. */
	if (o->shape == CREW_ALONE &&
	    (kind->max_producers || kind->max_consumers))
		return false;
	return producer_loop(kind, o->shape) &&
	       fits(kind->max_producers, o->producers) &&
	       fits(kind->max_consumers, consumers);
}
