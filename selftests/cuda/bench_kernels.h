/* SPDX-License-Identifier: MIT */
/* bench_kernels.h - kernels by name, for a driver made of the host. */
#ifndef BENCH_KERNELS_H
#define BENCH_KERNELS_H

#include <stddef.h>

struct cuda_function {
	const char *name;
	void (*run)(void *parameters); /* an array of pointers, as launches have it */
	const size_t *sizes; /* of the parameters */
	size_t count;
	int meets; /* its threads meet or nap: they must take turns */
	int persistent; /* the executor's loop */
};

#ifdef __cplusplus
extern "C" {
#endif

extern struct cuda_function bench_kernels[];
extern const size_t bench_kernels_count;

#ifdef __cplusplus
}
#endif

#endif /* BENCH_KERNELS_H */
