/* SPDX-License-Identifier: MIT */
/*
 * simt.h - a grid of CUDA threads on the host, so that the very source of
 * gpu/loop_cuda.cu runs here.
 *
 * Compiled as C++ with -DPINRING_SIMT, the source finds here what nvcc would
 * give it. A block is a thread of the process; its CUDA threads take turns on
 * it, each on a stack of its own, and change at barriers, shuffles, votes and
 * naps. So any number of them costs no more than one, and what they do in between
 * is in one fixed order; blocks run at the same time.
 *
 * What nvcc and the hardware only advise against stops the program with a
 * sentence: lanes of a warp that meet in different operations, a barrier that can
 * never be met. ThreadSanitizer takes each CUDA thread for one of its own, with
 * no order between two but where __syncthreads, __syncwarp or an atomic makes
 * one: a vote or a shuffle makes none, as in CUDA.
 */
#ifndef SIMT_H
#define SIMT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct simt_grid;

/* Threads: a multiple of 32. NULL: no memory, or no thread to be had. */
struct simt_grid *simt_launch(void (*kernel)(void *), void *arg,
			      unsigned int blocks, unsigned int threads);

/* 0 when every thread of the grid has ended. Any thread may ask. */
int simt_running(const struct simt_grid *grid);

/* Waits for that, and frees it. */
void simt_join(struct simt_grid *grid);

/*
 * When set, the device side stores the words of a ring's slot through it: to
 * delay, reorder or tear them. Set it while no grid runs.
 */
extern void (*simt_store_hook)(uint64_t *word, uint64_t value);

/* When set, each thread tells it of the words of the host's, or of a ring, that it reads. */
extern void (*simt_load_hook)(const uint64_t *word);

/* The device's clock stands at `ns` until set again; 0: it goes. */
void simt_set_clock(uint64_t ns);

/* ------------------------------------------- what the macros below stand on */
struct simt_dim {
	unsigned int x, y, z;
};

extern __thread struct simt_dim threadIdx, blockIdx, blockDim, gridDim;

void *simt_shared(uint64_t bytes); /* of the block; filled with rubbish */
int simt_sync_block(int value); /* any of them not 0 */
void simt_sync_warp(uint32_t mask);
uint32_t simt_vote(uint32_t mask, int value);
uint64_t simt_shuffle(uint32_t mask, uint64_t value, unsigned int from);
void simt_nap(unsigned int ns);
void simt_store(uint64_t *word, uint64_t value);
uint64_t simt_load(const uint64_t *word);
uint64_t simt_clock_ns(void);

#ifdef __cplusplus
}
#endif

#ifdef PINRING_SIMT

#define __global__
#define __device__
#define __launch_bounds__(...)
#define pinring_here (*(struct pinring_block *)simt_shared(sizeof(struct pinring_block)))

#define __syncthreads() ((void)simt_sync_block(0))
#define __syncthreads_or(value) simt_sync_block(value)
#define __syncwarp() simt_sync_warp(0xffffffffu)
#define __ballot_sync(mask, value) simt_vote(mask, value)
#define __nanosleep(ns) simt_nap(ns)
#define __ffs(value) __builtin_ffs(value)
#define pinring_load_word(word) simt_load((const uint64_t *)(word))

template <typename T> static inline T __shfl_sync(uint32_t mask, T value, int from)
{
	uint64_t bits = 0;

	__builtin_memcpy(&bits, &value, sizeof(value));
	bits = simt_shuffle(mask, bits, (threadIdx.x & ~31u) + (unsigned int)from);
	__builtin_memcpy(&value, &bits, sizeof(value));
	return value;
}

template <typename T>
static inline T __shfl_down_sync(uint32_t mask, T value, unsigned int delta, unsigned int width)
{
	const unsigned int lane = threadIdx.x & (width - 1);
	uint64_t bits = 0;

	__builtin_memcpy(&bits, &value, sizeof(value));
	bits = simt_shuffle(mask, bits,
			    lane + delta < width ? threadIdx.x + delta : threadIdx.x);
	__builtin_memcpy(&value, &bits, sizeof(value));
	return value;
}

PINRING_FN __u64 pinring_clock_ns(void)
{
	return simt_clock_ns();
}

PINRING_FN __u64 pinring_gpu_load(const __u64 *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

PINRING_FN void pinring_gpu_store(__u64 *word, __u64 value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

PINRING_FN void pinring_gpu_add(__u64 *word, __u64 value)
{
	__atomic_add_fetch(word, value, __ATOMIC_ACQ_REL);
}

/* The load before it was one with acquire. */
PINRING_FN void pinring_gpu_acquire(void)
{
}

#endif /* PINRING_SIMT */

#endif /* SIMT_H */
