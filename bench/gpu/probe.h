/* SPDX-License-Identifier: MIT */
/* probe.h - what the report's heading says. */
#ifndef PINRING_BENCH_PROBE_H
#define PINRING_BENCH_PROBE_H

#include "group.h"

struct probe { /* in shared memory */
	char device[64];
	int driver; /* 13000: CUDA 13.0 */
	int node; /* NUMA, or -1 */
};

/* For group_try(). */
void probe_name(const struct gpu_options *o, void *arg);

#endif /* PINRING_BENCH_PROBE_H */
