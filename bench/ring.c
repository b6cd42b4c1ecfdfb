// SPDX-License-Identifier: MIT
/*
 * ring.c - the SPSC ring between two cores, beside a mutex around a queue, and
 * doorbells.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <pinring/port.h>

#include "bench.h"

#define CAPACITY 4096u

struct line64 {
	uint64_t word[8];
};

enum shape { SINGLE8, BATCH8, SPAN8, SINGLE64, BATCH64, MUTEX8, SHAPES };

static const char *const shape_name[SHAPES] = {
	[SINGLE8] = "SPSC 8 B, one at a time",
	[BATCH8] = "SPSC 8 B, batches of 32, copied",
	[SPAN8] = "SPSC 8 B, spans of 32, in place",
	[SINGLE64] = "SPSC 64 B, one at a time",
	[BATCH64] = "SPSC 64 B, batches of 32",
	[MUTEX8] = "mutex and array, 8 B",
};

/* The baseline: what one writes without a library. */
struct locked {
	pthread_mutex_t lock;
	uint64_t head, tail;
	uint64_t item[CAPACITY];
};

struct flow {
	enum shape shape;
	uint64_t items;
	struct pinring_spsc_producer producer;
	struct pinring_spsc_consumer consumer;
	struct locked *locked;
	uint64_t sum; /* of what arrived */
	bool ordered;
};

static bool locked_push(struct locked *q, uint64_t item)
{
	bool done;

	pthread_mutex_lock(&q->lock);
	done = q->tail - q->head < CAPACITY;
	if (done)
		q->item[q->tail++ % CAPACITY] = item;
	pthread_mutex_unlock(&q->lock);
	return done;
}

static bool locked_pop(struct locked *q, uint64_t *item)
{
	bool done;

	pthread_mutex_lock(&q->lock);
	done = q->tail != q->head;
	if (done)
		*item = q->item[q->head++ % CAPACITY];
	pthread_mutex_unlock(&q->lock);
	return done;
}

static void produce(struct flow *f)
{
	struct line64 lines[32] = { { { 0 } } };
	uint64_t batch[32], i = 0, k;
	void *slots;
	int64_t n;

	while (i < f->items) {
		switch (f->shape) {
		case SINGLE8:
			if (pinring_spsc_push_u64(&f->producer, i) == 0)
				i++;
			else
				pinring_relax();
			break;
		case BATCH8:
			for (k = 0; k < 32; k++)
				batch[k] = i + k;
			n = pinring_spsc_push_batch(&f->producer, batch, 32);
			if (n > 0)
				i += (uint64_t)n;
			else
				pinring_relax();
			break;
		case SPAN8:
			n = pinring_spsc_reserve(&f->producer, 32, &slots);
			if (n <= 0) {
				pinring_relax();
				break;
			}
			for (k = 0; k < (uint64_t)n; k++)
				((uint64_t *)slots)[k] = i + k;
			pinring_spsc_commit(&f->producer, (uint64_t)n);
			i += (uint64_t)n;
			break;
		case SINGLE64:
			n = pinring_spsc_reserve(&f->producer, 1, &slots);
			if (n <= 0) {
				pinring_relax();
				break;
			}
			for (k = 0; k < 8; k++)
				((uint64_t *)slots)[k] = i;
			pinring_spsc_commit(&f->producer, 1);
			i++;
			break;
		case BATCH64:
			for (k = 0; k < 32; k++)
				lines[k].word[0] = i + k;
			n = pinring_spsc_push_batch(&f->producer, lines, 32);
			if (n > 0)
				i += (uint64_t)n;
			else
				pinring_relax();
			break;
		default:
			if (locked_push(f->locked, i))
				i++;
			break;
		}
	}
}

static void took(struct flow *f, uint64_t item, uint64_t expected)
{
	f->sum += item;
	f->ordered &= item == expected;
}

static void consume(struct flow *f)
{
	struct line64 lines[32];
	uint64_t batch[32], i = 0, k, item;
	void *slots;
	int64_t n;

	while (i < f->items) {
		switch (f->shape) {
		case SINGLE8:
			if (pinring_spsc_pop_u64(&f->consumer, &item) == 0)
				took(f, item, i++);
			else
				pinring_relax();
			break;
		case BATCH8:
			n = pinring_spsc_pop_batch(&f->consumer, batch, 32);
			for (k = 0; n > 0 && k < (uint64_t)n; k++)
				took(f, batch[k], i++);
			if (n <= 0)
				pinring_relax();
			break;
		case SPAN8:
		case SINGLE64:
			n = pinring_spsc_peek(&f->consumer,
					      f->shape == SPAN8 ? 32 : 1,
					      &slots);
			if (n <= 0) {
				pinring_relax();
				break;
			}
			for (k = 0; k < (uint64_t)n; k++)
				took(f, ((uint64_t *)slots)[k], i++);
			pinring_spsc_release(&f->consumer, (uint64_t)n);
			break;
		case BATCH64:
			n = pinring_spsc_pop_batch(&f->consumer, lines, 32);
			for (k = 0; n > 0 && k < (uint64_t)n; k++)
				took(f, lines[k].word[0], i++);
			if (n <= 0)
				pinring_relax();
			break;
		default:
			if (locked_pop(f->locked, &item))
				took(f, item, i++);
			break;
		}
	}
}

static void *consumer_main(void *arg)
{
	struct flow *f = arg;

	consume(f);
	return NULL;
}

/* Million items a second, every one of them seen and in order. */
static double flow_once(const struct bench_options *o, enum shape shape,
			struct pinring_region *region, const char *name)
{
	static struct locked locked;
	struct flow f = { .shape = shape, .ordered = true };
	uint64_t begin, ns;
	pthread_t peer;

	/* Some milliseconds each: long runs are seldom left alone. */
	f.items = (shape == MUTEX8 ? 32u : 1024u) * 1024u / (o->quick ? 8 : 1);
	memset(&locked, 0, sizeof(locked));
	pthread_mutex_init(&locked.lock, NULL);
	f.locked = &locked;
	if (shape != MUTEX8) {
		int rc = pinring_spsc_producer_open(region, name, &f.producer);

		if (!rc)
			rc = pinring_spsc_consumer_open(region, name,
							&f.consumer);
		if (rc)
			bench_die("ring", rc);
	}
	begin = bench_now_ns();
	peer = bench_thread(o->cpu_peer, consumer_main, &f);
	produce(&f);
	pthread_join(peer, NULL);
	ns = bench_now_ns() - begin;
	if (!f.ordered || f.sum != f.items / 2 * (f.items - 1))
		bench_die("ring: items lost or out of order", 0);
	if (shape != MUTEX8) {
		pinring_spsc_producer_close(&f.producer);
		pinring_spsc_consumer_close(&f.consumer);
	}
	return (double)f.items * 1e3 / (double)ns;
}

void bench_spsc(const struct bench_options *o)
{
	struct pinring_region_config rc = pinring_region_defaults(4u << 20);
	struct row rows[SHAPES] = { 0 };
	struct gate gate[SHAPES];
	struct pinring_region *region;
	struct pinring_device *device;
	bool more = true;
	int error, i;

	if (o->cpu_peer == o->cpu_host)
		return;
	rc.flags = PINRING_REGION_PREFAULT;
	error = pinring_device_open(NULL, &device);
	if (!error)
		error = pinring_region_create(device, &rc, &region);
	if (!error)
		error = pinring_spsc_create(region, "8", CAPACITY, 8);
	if (!error)
		error = pinring_spsc_create(region, "64", CAPACITY, 64);
	if (error)
		bench_die("ring", error);
	gate_open(&gate[0], o);
	for (i = 1; i < SHAPES; i++)
		gate[i] = gate[0];
	bench_pin(o->cpu_host);
	/* All shapes take turns. */
	while (more) {
		more = false;
		for (i = 0; i < SHAPES; i++) {
			double value;

			if (!gate_more(&gate[i]))
				continue;
			more = true;
			gate_before(&gate[i]);
			value = flow_once(o, (enum shape)i, region,
					  i == SINGLE64 || i == BATCH64 ? "64" :
									  "8");
			if (gate_pass(&gate[i]))
				series_add(&rows[i].value, value);
		}
	}
	for (i = 0; i < SHAPES; i++) {
		rows[i].name = shape_name[i];
		rows[i].unit = "M/s";
		if (i <= SPAN8 && rows[MUTEX8].value.n) {
			rows[i].limit_name = "mutex and array";
			rows[i].limit = rows[MUTEX8].value;
			rows[i].ratio = series_median(&rows[i].value) /
					series_median(&rows[MUTEX8].value);
		}
		snprintf(rows[i].note, sizeof(rows[i].note),
			 "%u of %u runs counted, in the band %.0f to %.0f ns",
			 gate[i].passed, gate[i].tried, gate[i].low,
			 gate[i].high);
		report_row(&rows[i]);
	}
	pinring_region_close(region);
	pinring_device_close(device);
}

/* --------------------------------------------------------------- doorbells */
#define RINGS 1000000u
#define SLEEPS 2000u

struct echo {
	struct pinring_doorbell *there, *back;
	uint64_t turns;
};

static void *echo_main(void *arg)
{
	struct echo *e = arg;
	uint64_t i;

	for (i = 0; i < e->turns; i++) {
		if (pinring_doorbell_wait(e->there, i, 10000000000))
			bench_die("doorbell: a ring was lost", 0);
		pinring_doorbell_ring(e->back);
	}
	return NULL;
}

void bench_doorbell(const struct bench_options *o)
{
	struct row quiet = { .name = "doorbell, nobody sleeps", .unit = "ns" };
	struct row asleep = { .name = "doorbell, both sides asleep, round trip",
			      .unit = "us" };
	struct pinring_region_config rc = pinring_region_defaults(1u << 16);
	struct pinring_region *region;
	struct pinring_device *device;
	unsigned int run;
	int error;

	error = pinring_device_open(NULL, &device);
	if (!error)
		error = pinring_region_create(device, &rc, &region);
	if (error)
		bench_die("doorbell", error);
	bench_pin(o->cpu_host);
	for (run = 0; run < o->runs && run < 7; run++) {
		struct echo e = { .turns = SLEEPS / (o->quick ? 10 : 1) };
		char there[16], back[16];
		uint64_t begin, i;
		pthread_t peer;

		snprintf(there, sizeof(there), "there%u", run);
		snprintf(back, sizeof(back), "back%u", run);
		error = pinring_doorbell_create(region, there, &e.there);
		if (!error)
			error = pinring_doorbell_create(region, back, &e.back);
		if (error)
			bench_die("doorbell", error);
		pinring_doorbell_spin(e.there, 0, 0);
		pinring_doorbell_spin(e.back, 0, 0);
		begin = bench_now_ns();
		peer = bench_thread(o->cpu_peer, echo_main, &e);
		for (i = 0; i < e.turns; i++) {
			pinring_doorbell_ring(e.there);
			if (pinring_doorbell_wait(e.back, i, 10000000000))
				bench_die("doorbell: a ring was lost", 0);
		}
		pthread_join(peer, NULL);
		series_add(&asleep.value, (double)(bench_now_ns() - begin) /
						  (double)e.turns / 1e3);
		begin = bench_now_ns();
		for (i = 0; i < RINGS; i++)
			pinring_doorbell_ring(e.there);
		series_add(&quiet.value,
			   (double)(bench_now_ns() - begin) / RINGS);
		pinring_doorbell_close(e.there);
		pinring_doorbell_close(e.back);
	}
	report_row(&quiet);
	report_row(&asleep);
	pinring_region_close(region);
	pinring_device_close(device);
}
