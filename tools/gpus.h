/* SPDX-License-Identifier: MIT */
/*
 * gpus.h - the GPUs that CUDA's driver shows to this process, and how they are set.
 */
#ifndef PINRING_TOOL_GPUS_H
#define PINRING_TOOL_GPUS_H

#include <stdbool.h>
#include <stddef.h>

#define GPUS_MAX 8

struct gpu {
	char name[96], bus[32];
	int sms, major, minor;
	int compute_mode; /* as cuda.h numbers them */
	bool mps; /* its contexts are clients of the MPS server */
	bool mig; /* an instance: a part of a GPU */
	bool display; /* kernels that take long are stopped for its sake */
};

/* How many; 0 also without a driver. */
int gpus_read(struct gpu gpus[GPUS_MAX]);

/* "sm_90, 132 SMs; compute mode DEFAULT, ..." */
void gpus_describe(const struct gpu *gpu, char *text, size_t size);

#endif /* PINRING_TOOL_GPUS_H */
