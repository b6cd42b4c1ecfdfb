/* SPDX-License-Identifier: MIT */
/*
 * bench.h - the rows of `make bench`; docs/bench.md says how to read them.
 *
 * A figure is compared within one run: the thing and its limit take turns on
 * the same cores and the same kind of pages, each several times, and the median
 * is reported with the spread.
 */
#ifndef PINRING_BENCH_H
#define PINRING_BENCH_H

#include <stdbool.h>

#include <pinring/pinring.h>

struct bench_options {
	unsigned int runs; /* counted ones, of each row */
	bool quick;
	int cpu_host, cpu_peer; /* the same if there is but one */
};

static inline bool bench_two_cores(const struct bench_options *o)
{
	return o->cpu_host != o->cpu_peer;
}

/* ", without the peers of ..." if there are such packages, or "". */
void bench_missing_peers(char *text, size_t size);

void bench_room(const struct bench_options *o);
void bench_interactive(const struct bench_options *o);
void bench_command(const struct bench_options *o);
void bench_start(const struct bench_options *o);
void bench_size(const struct bench_options *o);
void bench_spsc(const struct bench_options *o);
void bench_chain(const struct bench_options *o);
void bench_mpmc(const struct bench_options *o);
void bench_stopped(const struct bench_options *o);
void bench_broadcast(const struct bench_options *o);
void bench_reference(const struct bench_options *o);
void bench_processes(const struct bench_options *o);
void bench_doorbell(const struct bench_options *o);
void bench_module(const struct bench_options *o);

#endif /* PINRING_BENCH_H */
