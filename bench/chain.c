// SPDX-License-Identifier: MIT
/*
 * chain.c - what a ring that can grow costs over one that cannot, and how long
 * it keeps its producer waiting when it does.
 *
 * The first rows are the chain, held at 4096 slots but looking at its fill, and
 * the SPSC ring of 4096 slots, in turn, on the same pages. In the last ones a
 * producer fills a ring of 4 KiB up to 1 MiB under a consumer that sleeps, and
 * every push is timed.
 */
#include <stdio.h>
#include <string.h>

#include "flow.h"
#include "report.h"

#define SMALL 512u
#define LARGE (1u << 17) /* 1 MiB of 8 bytes */

struct chain {
	struct pinring_chain_producer producer;
	struct pinring_chain_consumer consumer;
};

struct spsc {
	struct pinring_spsc_producer producer;
	struct pinring_spsc_consumer consumer;
};

PINRING_FN bool chain_push(void *queue, uint64_t item)
{
	struct chain *q = queue;

	return pinring_chain_push_u64(&q->producer, item) == 0;
}

PINRING_FN bool chain_pop(void *queue, uint64_t *item)
{
	struct chain *q = queue;

	return pinring_chain_pop_u64(&q->consumer, item) == 0;
}

PINRING_FN bool spsc_push(void *queue, uint64_t item)
{
	struct spsc *q = queue;

	return pinring_spsc_push_u64(&q->producer, item) == 0;
}

PINRING_FN bool spsc_pop(void *queue, uint64_t *item)
{
	struct spsc *q = queue;

	return pinring_spsc_pop_u64(&q->consumer, item) == 0;
}

static bool chain_alone(void *queue, uint64_t items)
{
	return flow_alone(queue, items, chain_push, chain_pop);
}

static bool spsc_alone(void *queue, uint64_t items)
{
	return flow_alone(queue, items, spsc_push, spsc_pop);
}

static void chain_produce(void *queue, uint64_t items)
{
	flow_produce(queue, items, chain_push);
}

static bool chain_consume(void *queue, uint64_t items)
{
	return flow_consume(queue, items, chain_pop);
}

static void spsc_produce(void *queue, uint64_t items)
{
	flow_produce(queue, items, spsc_push);
}

static bool spsc_consume(void *queue, uint64_t items)
{
	return flow_consume(queue, items, spsc_pop);
}

struct rival {
	void *queue;
	bool (*alone)(void *queue, uint64_t items);
	void (*produce)(void *queue, uint64_t items);
	bool (*consume)(void *queue, uint64_t items);
	uint64_t items;
	bool ready PINRING_ALIGNED(128);
	bool right;
	uint64_t end;
};

/* ns a push and a pop */
static double run_alone(struct rival *r, const struct bench_options *o)
{
	uint64_t items = o->quick ? 1u << 17 : 1u << 19;
	uint64_t begin = bench_now_ns();

	if (!r->alone(r->queue, items))
		bench_die("chain: what was pushed did not pop", 0);
	return (double)(bench_now_ns() - begin) / (double)items;
}

static void *consume(void *arg)
{
	struct rival *r = arg;

	__atomic_store_n(&r->ready, true, __ATOMIC_RELEASE);
	r->right = r->consume(r->queue, r->items);
	r->end = bench_now_ns();
	return NULL;
}

/* million items a second */
static double run_flow(struct rival *r, const struct bench_options *o)
{
	uint64_t begin;
	pthread_t peer;

	r->items = o->quick ? 1u << 19 : 1u << 21;
	r->ready = false;
	peer = bench_thread(o->cpu_peer, consume, r);
	while (!__atomic_load_n(&r->ready, __ATOMIC_ACQUIRE))
		pinring_relax();
	begin = bench_now_ns();
	r->produce(r->queue, r->items);
	pthread_join(peer, NULL);
	if (!r->right)
		bench_die("chain: items were lost or came out of order", 0);
	return (double)r->items * 1e3 / (double)(r->end - begin);
}

static struct pinring_region *region_of(struct pinring_device *device,
					uint64_t bytes, uint32_t flags)
{
	struct pinring_region_config rc = pinring_region_defaults(bytes);
	struct pinring_region *region;
	int error;

	rc.flags = flags;
	error = pinring_region_create(device, &rc, &region);
	if (error)
		bench_die("chain: a region", error);
	return region;
}

static void chain_open(struct pinring_region *region, const char *name,
		       uint64_t min, uint64_t max, struct chain *q)
{
	struct pinring_chain_config config = pinring_chain_defaults(min, max, 8);
	int error = pinring_chain_create(region, name, &config);

	if (!error)
		error = pinring_chain_producer_open(region, name, &q->producer);
	if (!error)
		error = pinring_chain_consumer_open(region, name, &q->consumer);
	if (error)
		bench_die("chain", error);
}

static void chain_close(struct chain *q)
{
	pinring_chain_producer_close(&q->producer);
	pinring_chain_consumer_close(&q->consumer);
}

static void spsc_open(struct pinring_region *region, struct spsc *q)
{
	int error = pinring_spsc_create(region, "spsc", FLOW_CAPACITY, 8);

	if (!error)
		error = pinring_spsc_producer_open(region, "spsc", &q->producer);
	if (!error)
		error = pinring_spsc_consumer_open(region, "spsc", &q->consumer);
	if (error)
		bench_die("chain", error);
}

static void spsc_close(struct spsc *q)
{
	pinring_spsc_producer_close(&q->producer);
	pinring_spsc_consumer_close(&q->consumer);
}

/* The rows beside the ring that cannot grow. */
static void bench_price(const struct bench_options *o,
			struct pinring_device *device)
{
	struct row alone = { .name = "chain 8 B, push and pop by one thread",
			     .unit = "ns",
			     .limit_name = "SPSC",
			     .target = 1.1 };
	struct row flow = { .name = "chain 8 B, one at a time",
			    .unit = "M/s",
			    .limit_name = "SPSC",
			    .target = 0.95,
			    .target_is_floor = true };
	static struct chain chain;
	static struct spsc spsc;
	struct rival ours = { .queue = &chain,
			      .alone = chain_alone,
			      .produce = chain_produce,
			      .consume = chain_consume };
	struct rival theirs = { .queue = &spsc,
				.alone = spsc_alone,
				.produce = spsc_produce,
				.consume = spsc_consume };
	struct pinring_region *region = region_of(device, 1 << 20,
						  PINRING_REGION_PREFAULT);
	struct gate gate;

	chain_open(region, "chain", FLOW_CAPACITY, FLOW_CAPACITY, &chain);
	spsc_open(region, &spsc);
	gate_open(&gate, o, 15);
	do {
		double a, a_limit, f, f_limit;

		gate_before(&gate);
		a = run_alone(&ours, o);
		a_limit = run_alone(&theirs, o);
		f_limit = run_flow(&theirs, o);
		f = run_flow(&ours, o);
		if (!gate_pass(&gate))
			continue;
		series_add(&alone.value, a);
		series_add(&alone.limit, a_limit);
		series_add(&flow.value, f);
		series_add(&flow.limit, f_limit);
	} while (gate_more(&gate));
	if (alone.value.n) {
		alone.ratio = series_median(&alone.value) /
			      series_median(&alone.limit);
		flow.ratio = series_median(&flow.value) /
			     series_median(&flow.limit);
	}
	gate_note(&gate, alone.note, sizeof(alone.note));
	gate_note(&gate, flow.note, sizeof(flow.note));
	report_row(&alone);
	report_row(&flow);
	chain_close(&chain);
	spsc_close(&spsc);
	pinring_region_close(region);
}

/* The longest push of a growth, and the one that moved to the last segment. */
struct growth {
	double longest, last_move; /* us */
};

static struct growth grow(struct chain *q)
{
	uint64_t longest = 0, last_move = 0, i, item, before = SMALL;

	for (i = 0; i < LARGE; i++) {
		uint64_t begin = bench_ticks(), took;

		if (pinring_chain_push_u64(&q->producer, i))
			bench_die("chain: full before 1 MiB", 0);
		took = bench_ticks() - begin;
		if (took > longest)
			longest = took;
		if (pinring_chain_capacity(&q->producer) != before) {
			before = pinring_chain_capacity(&q->producer);
			last_move = took;
		}
	}
	if (before != LARGE)
		bench_die("chain: it did not grow to 1 MiB", 0);
	for (i = 0; i < LARGE; i++)
		if (pinring_chain_pop_u64(&q->consumer, &item) || item != i)
			bench_die("chain: a growth lost an item", 0);
	return (struct growth){ (double)longest * bench_ticks_ns() / 1e3,
				(double)last_move * bench_ticks_ns() / 1e3 };
}

enum pages { COLD, PREPARED };

static struct growth grow_once(struct pinring_device *device, enum pages pages)
{
	struct pinring_region *region =
		region_of(device, 4 << 20, PINRING_REGION_SMALL_PAGES);
	static struct chain chain;
	struct growth g;
	uint64_t n;

	chain_open(region, "chain", SMALL, LARGE, &chain);
	for (n = SMALL; pages == PREPARED && n <= LARGE; n *= 2)
		if (pinring_chain_prepare(region, "chain", n))
			bench_die("chain: prepare", 0);
	g = grow(&chain);
	chain_close(&chain);
	pinring_region_close(region);
	return g;
}

static void bench_growth(const struct bench_options *o,
			 struct pinring_device *device)
{
	struct row cold = { .name = "chain, longest push of a growth to 1 MiB",
			    .unit = "us",
			    .target = 100,
			    .target_of = TARGET_VALUE };
	struct row ready = { .name = "chain, the same with prepared pages",
			     .unit = "us",
			     .target = 100,
			     .target_of = TARGET_VALUE };
	struct row move = { .name = "chain, the push that moves to 1 MiB",
			    .unit = "us" };
	struct gate gate;

	gate_open(&gate, o, 10);
	do {
		struct growth c, p;

		gate_before(&gate);
		c = grow_once(device, COLD);
		p = grow_once(device, PREPARED);
		if (!gate_pass(&gate))
			continue;
		series_add(&cold.value, c.longest);
		series_add(&ready.value, p.longest);
		series_add(&move.value, p.last_move);
	} while (gate_more(&gate));
	snprintf(cold.note, sizeof(cold.note),
		 "131072 pushes a run, 4 KiB pages of fresh memory\n");
	gate_note(&gate, ready.note, sizeof(ready.note));
	report_row(&cold);
	report_row(&ready);
	report_row(&move);
}

void bench_chain(const struct bench_options *o)
{
	struct pinring_device *device;
	int error = pinring_device_open(NULL, &device);

	if (error)
		bench_die("chain", error);
	if (!bench_two_cores(o)) {
		report_absent("chain", 0.0,
			      "needs two cores, and this process may use one");
		return;
	}
	bench_pin(o->cpu_host);
	bench_ticks_ns();
	bench_price(o, device);
	bench_growth(o, device);
	pinring_device_close(device);
}
