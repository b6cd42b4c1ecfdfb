// SPDX-License-Identifier: MIT
/* measure.c - clock, pinning, series, and the gate. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <pinring/port.h>

#include "bench.h"

uint64_t bench_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void bench_die(const char *what, int error)
{
	fprintf(stderr, "pinring-bench: %s: %s %s\n", what,
		error ? strerror(-error) : "", pinring_error());
	exit(1);
}

void bench_pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		bench_die("cannot pin a thread", 0);
}

pthread_t bench_thread(int cpu, void *(*run)(void *), void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;
	cpu_set_t set;

	pthread_attr_init(&attr);
	if (cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	}
	if (pthread_create(&thread, &attr, run, arg))
		bench_die("cannot start a thread", 0);
	pthread_attr_destroy(&attr);
	return thread;
}

uint64_t bench_switches(void)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	return (uint64_t)u.ru_nivcsw;
}

void series_add(struct series *s, double value)
{
	if (s->n < BENCH_RUNS_MAX)
		s->value[s->n++] = value;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_quantile(double *values, size_t n, unsigned int permille)
{
	size_t at = n * permille / 1000;

	if (!n)
		return 0.0;
	qsort(values, n, sizeof(*values), ascending);
	return values[at < n ? at : n - 1];
}

double series_median(const struct series *s)
{
	struct series copy = *s;

	return bench_quantile(copy.value, copy.n, 500);
}

double series_low(const struct series *s)
{
	struct series copy = *s;

	return bench_quantile(copy.value, copy.n, 0);
}

double series_high(const struct series *s)
{
	struct series copy = *s;

	return bench_quantile(copy.value, copy.n, 1000);
}

/* ------------------------------------------------------ one line, both ways */
struct ball {
	/* Host: odd numbers; peer: the even one after. */
	uint64_t word PINRING_ALIGNED(128);
	uint64_t trips PINRING_ALIGNED(128);
};

static void await(struct ball *b, uint64_t value)
{
	while (__atomic_load_n(&b->word, __ATOMIC_ACQUIRE) != value)
		pinring_relax();
}

static void *return_ball(void *arg)
{
	struct ball *b = arg;
	uint64_t i;

	for (i = 0; i < b->trips; i++) {
		await(b, 2 * i + 1);
		__atomic_store_n(&b->word, 2 * i + 2, __ATOMIC_RELEASE);
	}
	return NULL;
}

double bench_round_trip(const struct bench_options *o, unsigned int trips)
{
	struct ball b = { .trips = trips };
	const uint64_t warm = trips / 10;
	uint64_t i, begin = 0;
	pthread_t peer;

	bench_pin(o->cpu_host);
	peer = bench_thread(o->cpu_peer, return_ball, &b);
	for (i = 0; i < trips; i++) {
		if (i == warm)
			begin = bench_now_ns();
		__atomic_store_n(&b.word, 2 * i + 1, __ATOMIC_RELEASE);
		await(&b, 2 * i + 2);
	}
	begin = bench_now_ns() - begin;
	pthread_join(peer, NULL);
	return (double)begin / (double)(trips - warm);
}

/* -------------------------------------------------------------------- gate */
#define PROBE_TRIPS 2000

void gate_open(struct gate *g, const struct bench_options *o)
{
	double probe[15];
	size_t n = sizeof(probe) / sizeof(probe[0]), i;
	double median;

	memset(g, 0, sizeof(*g));
	g->options = o;
	for (i = 0; i < n; i++)
		probe[i] = bench_round_trip(o, PROBE_TRIPS);
	median = bench_quantile(probe, n, 500);
	g->low = median / 1.5;
	g->high = median * 1.5;
}

static bool in_band(const struct gate *g, double probe)
{
	return probe >= g->low && probe <= g->high;
}

void gate_before(struct gate *g)
{
	g->tried++;
	g->before = bench_round_trip(g->options, PROBE_TRIPS);
	g->switches = bench_switches();
}

bool gate_pass(struct gate *g)
{
	/* One switch is a tick's worth; a neighbour at work causes many. */
	bool calm = bench_switches() - g->switches <= 1;
	double after = bench_round_trip(g->options, PROBE_TRIPS);

	if (!calm || !in_band(g, g->before) || !in_band(g, after))
		return false;
	g->passed++;
	return true;
}

bool gate_more(const struct gate *g)
{
	return g->passed < g->options->runs && g->tried < 8 * g->options->runs;
}
