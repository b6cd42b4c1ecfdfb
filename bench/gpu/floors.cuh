/* SPDX-License-Identifier: MIT */
/* floors.cuh - the least a kernel can do: answer a word, mark that it ran, wait. */
#include "words.cuh"

/* Answers i with i. The host is never ahead of it but to stop it. */
extern "C" __global__ void bench_pong(const __u64 *in, __u64 *out, __u64 trips)
{
	__u64 seen, i;

	for (i = 1; i <= trips; i++) {
		do
			seen = pinring_load_word(in);
		while (seen < i);
		if (seen == BENCH_STOP)
			return;
		pinring_store_word(out, i);
	}
}

/* Launched for its own sake; the word says that it ran. */
extern "C" __global__ void bench_mark(__u64 *word, __u64 value)
{
	pinring_store_word(word, value);
}

/* The same for a graph, whose parameters stay: counts, in GPU memory. */
extern "C" __global__ void bench_tick(__u64 *counter, __u64 *word)
{
	__u64 n = *counter + 1;

	*counter = n;
	pinring_store_word(word, n);
}

/*
 * A persistent kernel that does nothing: one lane polls the host's word, the first of
 * each other block one in GPU memory, and the rest is parked. *over is 0 at first.
 */
extern "C" __global__ void bench_hold(const __u64 *stop, __u64 *alive,
				      __u64 *over)
{
	if (blockIdx.x == 0 && threadIdx.x == 0) {
		pinring_store_word(alive, 1);
		while (pinring_load_word(stop) != BENCH_STOP)
			pinring_relax();
		bench_arrive(over);
	} else if (threadIdx.x == 0) {
		while (!bench_arrived(over))
			pinring_relax();
	}
	__syncthreads();
}

/*
 * Every block comes to `rounds` barriers; *arrived is 0 at first. It ends because
 * the grid is cooperative: all its blocks run.
 */
extern "C" __global__ void bench_barrier(__u64 *arrived, __u64 rounds)
{
	const __u64 blocks = gridDim.x;
	__u64 i;

	for (i = 1; i <= rounds; i++) {
		__syncthreads();
		if (threadIdx.x == 0) {
			bench_arrive(arrived);
			while (bench_arrived(arrived) < i * blocks)
				;
		}
		__syncthreads();
	}
}
