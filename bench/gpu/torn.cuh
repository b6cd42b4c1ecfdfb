/* SPDX-License-Identifier: MIT */
/*
 * torn.cuh - are 16 bytes that one instruction stores read in one piece?
 *
 * Whoever writes says one number four times in a pair, 32 bits each; whoever reads
 * looks whether the four agree.
 */
#include "words.cuh"

/* Each lane writes its three counts to *result in the end: looks, torn pairs, torn
 * words. */
extern "C" __global__ void bench_torn_read(const struct bench_pair *pairs,
					   __u64 *result, const __u64 *stop)
{
	const __u32 lane = blockIdx.x * blockDim.x + threadIdx.x;
	__u64 looks = 0, pairs_torn = 0, words_torn = 0;

	do {
		for (int i = 0; i < 256; i++) {
			struct bench_pair v = bench_load_pair(
				&pairs[(lane + looks) % BENCH_PAIRS]);

			looks++;
			pairs_torn += v.first != v.second;
			words_torn += (__u32)v.first != v.first >> 32 ||
				      (__u32)v.second != v.second >> 32;
		}
	} while (pinring_load_word(stop) != BENCH_STOP);
	pinring_store_word(&result[3 * lane], looks);
	pinring_store_word(&result[3 * lane + 1], pairs_torn);
	pinring_store_word(&result[3 * lane + 2], words_torn);
}

/* One thread writes until it is stopped. */
extern "C" __global__ void bench_torn_write(struct bench_pair *pairs,
					    const __u64 *stop)
{
	__u64 n = 0;

	do {
		for (int i = 0; i < 1024; i++, n++) {
			__u64 v = n << 32 | (__u32)n;

			bench_store_pair(&pairs[n % BENCH_PAIRS], v, v);
		}
	} while (pinring_load_word(stop) != BENCH_STOP);
}
