/* SPDX-License-Identifier: MIT */
/*
 * ways.h - ways of doing one iteration on a room of 64^3: inject, 5 steps, query.
 *
 * Those of the executor send commands, the others launch kernels. All give the same
 * bits, which each row compares.
 */
#ifndef PINRING_BENCH_WAYS_H
#define PINRING_BENCH_WAYS_H

#include <pinring/port.h>

#include "../../gpu/kernels/wave.h"
#include "stage.h"

#define SIDE 64u
#define STEPS 5u /* an iteration */
#define ITERATIONS_MAX 1000u

struct workload {
	const struct gpu_options *options;
	struct gpu gpu;
	/* The executor's. */
	struct stage stage;
	struct pinring_wave wave;
	uint64_t source, mic;
	/* What is launched: a room of its own in GPU memory. */
	cuda_function step, inject, inject_from, query;
	struct pinring_room room;
	cuda_address counter, answer_there, value_there;
	uint64_t *answer, *value; /* host memory */
	uint64_t queries, steps;
	cuda_graph_exec graph[2]; /* from either field */
};

struct way {
	const char *name;
	bool launches;
	/* A silent room, and whatever runs during the iterations. */
	void (*begin)(struct workload *w);
	/* What the microphone heard. */
	float (*iterate)(struct workload *w, float value);
	void (*end)(struct workload *w);
};

extern const struct way ways[];
extern const unsigned int ways_count;

/* In a trial without a GPU: only the executor's ways. */
void workload_open(struct workload *w, const struct gpu_options *o);
bool way_there(const struct workload *w, const struct way *way);

static inline float workload_value(unsigned int iteration)
{
	return (float)(iteration % 17) - 8.0f;
}

/* What a host executor answers to the first `count` iterations. */
void workload_reference(const struct gpu_options *o, float *answers,
			unsigned int count);

#endif /* PINRING_BENCH_WAYS_H */
