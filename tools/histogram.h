/* SPDX-License-Identifier: MIT */
/*
 * histogram.h - durations in buckets that grow with them.
 *
 * Up to 64 ns each nanosecond has its own bucket; above, each power of two is
 * cut into 64, so a percentile is at most 1/64 too large. Recording is a few
 * instructions, which is what lets every command be recorded.
 */
#ifndef PINRING_TOOL_HISTOGRAM_H
#define PINRING_TOOL_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BITS 6
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS)

struct histogram {
	uint64_t count;
	uint64_t largest;
	uint64_t sum;
	uint64_t bucket[HISTOGRAM_BUCKETS];
};

static inline uint32_t histogram_bucket(uint64_t value)
{
	uint32_t shift;

	if (value < 1u << HISTOGRAM_BITS)
		return (uint32_t)value;
	shift = 63u - (uint32_t)__builtin_clzll(value) - HISTOGRAM_BITS;
	return (uint32_t)(value >> shift) + (shift << HISTOGRAM_BITS);
}

static inline void histogram_add(struct histogram *h, uint64_t value)
{
	h->bucket[histogram_bucket(value)]++;
	h->count++;
	h->sum += value;
	if (value > h->largest)
		h->largest = value;
}

/* The value that `share` of all (0 to 1) do not exceed; 0 if there is none. */
uint64_t histogram_percentile(const struct histogram *h, double share);

#endif /* PINRING_TOOL_HISTOGRAM_H */
