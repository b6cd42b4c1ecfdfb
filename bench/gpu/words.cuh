/* SPDX-License-Identifier: MIT */
/* words.cuh - what the benchmarks' kernels say in PTX, beside port.h. */
#ifndef PINRING_BENCH_WORDS_CUH
#define PINRING_BENCH_WORDS_CUH

#include <pinring/port.h>

#include "shared.h"

/* On a grid made of the host: selftests/cuda. */
#ifdef PINRING_SIMT
#include "bench_words.h"
#else

/* What the threads of a block have in common. */
#define BENCH_SHARED(type, name) __shared__ type name

PINRING_FN struct bench_pair bench_load_pair(const struct bench_pair *at)
{
	struct bench_pair v;
	unsigned long long first, second;

	asm volatile("ld.relaxed.sys.global.v2.u64 {%0, %1}, [%2];"
		     : "=l"(first), "=l"(second)
		     : "l"(__cvta_generic_to_global(at))
		     : "memory");
	v.first = first;
	v.second = second;
	return v;
}

PINRING_FN void bench_store_pair(struct bench_pair *at, __u64 first,
				 __u64 second)
{
	asm volatile("st.relaxed.sys.global.v2.u64 [%0], {%1, %2};"
		     :
		     : "l"(__cvta_generic_to_global(at)), "l"(first),
		       "l"(second)
		     : "memory");
}

/* What was written before it is seen before it. */
PINRING_FN void bench_release_pair(struct bench_pair *at, __u64 first,
				   __u64 second)
{
	asm volatile("st.release.sys.global.v2.u64 [%0], {%1, %2};"
		     :
		     : "l"(__cvta_generic_to_global(at)), "l"(first),
		       "l"(second)
		     : "memory");
}

/* A barrier of the grid: adds 1, in GPU memory, with what was written before. */
PINRING_FN __u64 bench_arrive(__u64 *counter)
{
	unsigned long long before;

	asm volatile("atom.add.acq_rel.gpu.global.u64 %0, [%1], 1;"
		     : "=l"(before)
		     : "l"(__cvta_generic_to_global(counter))
		     : "memory");
	return before;
}

PINRING_FN __u64 bench_arrived(const __u64 *counter)
{
	unsigned long long v;

	asm volatile("ld.acquire.gpu.global.u64 %0, [%1];"
		     : "=l"(v)
		     : "l"(__cvta_generic_to_global(counter))
		     : "memory");
	return v;
}

PINRING_FN __u64 bench_take_ticket(__u64 *counter)
{
	return atomicAdd((unsigned long long *)counter, 1ull);
}

#endif /* PINRING_SIMT */

#endif /* PINRING_BENCH_WORDS_CUH */
