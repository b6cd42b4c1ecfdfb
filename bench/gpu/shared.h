/* SPDX-License-Identifier: MIT */
/* shared.h - what both sides of the GPU benchmarks know. */
#ifndef PINRING_BENCH_SHARED_H
#define PINRING_BENCH_SHARED_H

#include <pinring/pinring_layout.h>

#ifdef __CUDACC__
#define BENCH_BOTH static __host__ __device__ __forceinline__
#else
#define BENCH_BOTH static inline __attribute__((unused))
#endif

/* A word that holds this tells a kernel to end. */
#define BENCH_STOP (~0ull)

/* 16 bytes that one instruction stores and loads, in one piece or not. */
struct bench_pair {
	__u64 first, second;
} PINRING_ALIGNED(16);

/* What message `index` says: eight words of 56 bits, none like the other. */
BENCH_BOTH __u64 bench_word(__u64 index, __u64 w)
{
	return (index * 0x9e3779b97f4a7c15ull + w * 0xbf58476d1ce4e5b9ull) &
	       PINRING_WORD_MASK;
}

/* Both halves of message `number` (from 1) of the FIFO of pairs: never 0. */
BENCH_BOTH __u64 bench_second(__u64 number)
{
	return bench_word(number, 1) | 1ull << 63;
}

/* A FIFO of many GPU threads and one of the host; addresses are the GPU's. */
struct bench_fifo {
	struct bench_pair *slots; /* host memory; the host zeroes what it read */
	__u64 *head; /* GPU memory: tickets */
	const __u64 *tail; /* host memory: how many the host has read */
	__u64 capacity; /* a power of two */
};

/* An update of a room, as launched: one thread a cell. */
#define BENCH_STEP_THREADS 128u

#define BENCH_PUSH_LANES 256u /* at most, in a block that pushes */
#define BENCH_PAIRS 64u /* that the hunt for torn reads looks at */

#endif /* PINRING_BENCH_SHARED_H */
