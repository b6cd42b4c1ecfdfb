/* SPDX-License-Identifier: MIT */
/* bench_words.h - bench/gpu/words.cuh for a grid made of the host (simt.h). */
#ifndef BENCH_WORDS_H
#define BENCH_WORDS_H

#define BENCH_SHARED(type, name) type &name = *(type *)simt_shared(sizeof(type))
#define __grid_constant__

struct float4 {
	float x, y, z, w;
};

static inline struct float4 make_float4(float x, float y, float z, float w)
{
	return { x, y, z, w };
}

/* Half by half, as hardware may: whoever reads must be able to tell. */
PINRING_FN struct bench_pair bench_load_pair(const struct bench_pair *at)
{
	struct bench_pair v;

	v.first = __atomic_load_n(&at->first, __ATOMIC_RELAXED);
	v.second = __atomic_load_n(&at->second, __ATOMIC_RELAXED);
	return v;
}

PINRING_FN void bench_store_pair(struct bench_pair *at, __u64 first,
				 __u64 second)
{
	__atomic_store_n(&at->second, second, __ATOMIC_RELEASE);
	__atomic_store_n(&at->first, first, __ATOMIC_RELEASE);
}

PINRING_FN void bench_release_pair(struct bench_pair *at, __u64 first,
				   __u64 second)
{
	bench_store_pair(at, first, second);
}

PINRING_FN __u64 bench_arrive(__u64 *counter)
{
	return __atomic_fetch_add(counter, 1, __ATOMIC_ACQ_REL);
}

PINRING_FN __u64 bench_arrived(const __u64 *counter)
{
	simt_nap(0);
	return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}

PINRING_FN __u64 bench_take_ticket(__u64 *counter)
{
	return __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

#endif /* BENCH_WORDS_H */
