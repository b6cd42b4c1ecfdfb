/* SPDX-License-Identifier: MIT */
/*
 * bench.h - measuring on a machine that others use too.
 *
 * Figures are compared within one run: the thing and its limit take turns, each
 * is run several times, and the median is reported with the spread. Two-core
 * figures are gated: a bare cache-line round trip is probed before and after
 * each run, and the run counts only if both lie in one band and the
 * thread was not pushed off its core, since the hypervisor moves the cores under us
 * (shared/peers.md, "Gate every run").
 */
#ifndef PINRING_BENCH_H
#define PINRING_BENCH_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pinring/pinring.h>

#define BENCH_RUNS_MAX 64

struct bench_options {
	unsigned int runs; /* counted ones, of each row */
	bool quick;
	int cpu_host, cpu_peer; /* -1: the machine has one core */
};

/* Several runs of one quantity. */
struct series {
	double value[BENCH_RUNS_MAX];
	unsigned int n;
};

void series_add(struct series *s, double value);
double series_median(const struct series *s);
double series_low(const struct series *s);
double series_high(const struct series *s);

uint64_t bench_now_ns(void);
void bench_pin(int cpu); /* the calling thread */
/* Starts there: one that moved there would push its creator off first. */
pthread_t bench_thread(int cpu, void *(*run)(void *), void *arg);
uint64_t bench_switches(void); /* of the calling thread, involuntary */
_Noreturn void bench_die(const char *what, int error);

/* p-th of 1000 of n values, which are sorted in place. */
double bench_quantile(double *values, size_t n, unsigned int permille);

/* A bare round trip of one cache line between the two CPUs, in ns. */
double bench_round_trip(const struct bench_options *o, unsigned int trips);

/*
 * Before and after a two-core run. bench_gate_pass says whether it counts; the
 * band is where most probes of this machine lie, found once.
 */
struct gate {
	const struct bench_options *options;
	double low, high; /* the band, ns */
	double before;
	uint64_t switches;
	unsigned int tried, passed;
};

void gate_open(struct gate *g, const struct bench_options *o);
void gate_before(struct gate *g);
bool gate_pass(struct gate *g);
/* True while another attempt is worth it: enough not counted, and bounded. */
bool gate_more(const struct gate *g);

/* ------------------------------------------------------------------ report */
struct row {
	const char *name;
	const char *unit;
	struct series value;
	const char *limit_name; /* NULL: no limit measured */
	struct series limit;
	double ratio; /* value to limit, as the target means it; 0: none */
	double target; /* the ratio or the value must not exceed it; 0: none */
	bool target_is_value;
	char note[120];
};

/* The row is copied; a name's memory must stay. */
void report_row(const struct row *row);
int report_print(void); /* how many targets were missed */
int report_json(const char *path);

void bench_room(const struct bench_options *o);
void bench_interactive(const struct bench_options *o);
void bench_command(const struct bench_options *o);
void bench_start(const struct bench_options *o);
void bench_size(const struct bench_options *o);
void bench_spsc(const struct bench_options *o);
void bench_doorbell(const struct bench_options *o);

/* plain.c */
struct plain_room {
	uint32_t nx, ny, nz;
	float lambda2;
	float beta_lambda_half;
	float *field[2];
};
void plain_step(const struct plain_room *room, int current);

#endif /* PINRING_BENCH_H */
