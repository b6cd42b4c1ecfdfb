/* SPDX-License-Identifier: MIT */
/*
 * executor_kind.h - which executor a test is run on: host threads, or, with
 * PINRING_TEST_EXECUTOR=cuda in the environment (`make check-gpu`), a GPU.
 */
#ifndef PINRING_TEST_EXECUTOR_KIND_H
#define PINRING_TEST_EXECUTOR_KIND_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <pinring/executor.h>

static inline bool on_cuda(void)
{
	const char *kind = getenv("PINRING_TEST_EXECUTOR");

	return kind && !strcmp(kind, "cuda");
}

static inline uint32_t executor_kind(void)
{
	return on_cuda() ? PINRING_EXECUTOR_CUDA : PINRING_EXECUTOR_HOST;
}

/*
 * For tests that compare executors: those of one kind and another. The rows of a GPU
 * come last, named CUDA_ISA, and are there if it is asked for; 0 threads are as many
 * blocks as it has SMs.
 */
#define CUDA_ISA "cuda"
#define CUDA_CONFIGS { CUDA_ISA, 1 }, { CUDA_ISA, 0 }

/* What it runs on; false: not this one. */
static inline bool choose_executor(struct pinring_executor_config *config, const char *isa,
				   uint32_t threads)
{
	const bool cuda = !strcmp(isa, CUDA_ISA);

	config->kind = cuda ? PINRING_EXECUTOR_CUDA : PINRING_EXECUTOR_HOST;
	config->threads = threads;
	if (!cuda)
		setenv("PINRING_ISA", isa, 1);
	return !cuda || on_cuda();
}

#endif /* PINRING_TEST_EXECUTOR_KIND_H */
