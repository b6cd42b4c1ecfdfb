/* SPDX-License-Identifier: MIT */
/*
 * measure.h - measuring on a machine that others use too.
 *
 * The hypervisor moves the cores under us and neighbours take their time, so
 * each run passes a gate or does not count: a bare cache-line round trip before
 * and after it must lie in one band, and the threads of this process must have
 * had their cores to themselves meanwhile (shared/peers.md, "Gate every run").
 */
#ifndef PINRING_BENCH_MEASURE_H
#define PINRING_BENCH_MEASURE_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench.h"

#define BENCH_RUNS_MAX 101

/* Several runs of one quantity. */
struct series {
	double value[BENCH_RUNS_MAX];
	unsigned int n;
};

void series_add(struct series *s, double value);
double series_at(const struct series *s, unsigned int permille);
double series_median(const struct series *s);
double series_last(const struct series *s);
/* The median of the quotients of each run; 0 where there is none. */
double series_ratio(const struct series *value, const struct series *limit);

/* The p-th of 1000 of n values, which are sorted in place. */
double bench_quantile(double *values, size_t n, unsigned int permille);

uint64_t bench_now_ns(void);
void bench_nap(unsigned int us);
void bench_pin(int cpu); /* the calling thread */
/* Starts there: one that moved there would push its creator off first. */
pthread_t bench_thread(int cpu, void *(*run)(void *), void *arg);
/* The same in a process of its own, which ends with this one. */
pid_t bench_process(int cpu, void (*run)(void *), void *arg);
void bench_process_end(pid_t pid); /* waits for it to return from run */
void *bench_shared(size_t bytes); /* zeroed memory, shared with those */
uint64_t bench_thread_ns(void); /* of its core that the calling thread had */
_Noreturn void bench_die(const char *what, int error);

/*
 * A clock of some 10 ns a reading where there is one, for single operations.
 * The first call of bench_ticks_ns takes 20 ms to find out how long a tick is.
 */
uint64_t bench_ticks(void);
double bench_ticks_ns(void);

/*
 * A bare round trip between the two CPUs, in ns; one line both ways, or a line
 * each way. The peer's core must be free.
 */
double bench_round_trip(const struct bench_options *o, unsigned int trips,
			bool two_lines);

struct gate {
	const struct bench_options *options;
	double low, high; /* the band, ns; found by gate_open */
	double before, after; /* of the run that just passed */
	bool sleeps; /* the row is about waking up: a wait for a core is no fault */
	uint64_t begin, waited;
	uint64_t lacked; /* ns that others had of the cores, if the row can tell */
	uint64_t deadline; /* a row that cannot be measured ends here */
	unsigned int wanted, tried, passed;
	unsigned int moved, pushed; /* not counted, and why */
};

void gate_open(struct gate *g, const struct bench_options *o,
	       unsigned int seconds);
/* The band and the deadline of `from`, for a row that takes turns with it. */
void gate_share(struct gate *g, const struct gate *from);
void gate_before(struct gate *g);
bool gate_pass(struct gate *g); /* naps a little when not */
bool gate_more(const struct gate *g);
/* "15 of 17 runs counted, ...": what a row's note owes its reader. */
int gate_note(const struct gate *g, char *text, size_t size);

#endif /* PINRING_BENCH_MEASURE_H */
