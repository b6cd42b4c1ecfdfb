/* SPDX-License-Identifier: MIT */
/*
 * histogram.c - percentiles of durations.
 */
#include <math.h>

#include "histogram.h"

/* The largest value that falls in this bucket. */
static uint64_t bucket_top(uint32_t index)
{
	uint32_t shift;
	uint64_t base;

	if (index < 2u << HISTOGRAM_BITS)
		return index;
	shift = (index >> HISTOGRAM_BITS) - 1;
	base = index - (shift << HISTOGRAM_BITS);
	return (base << shift) + ((1ull << shift) - 1);
}

uint64_t histogram_percentile(const struct histogram *h, double share)
{
	uint64_t want = (uint64_t)ceil(share * (double)h->count);
	uint64_t seen = 0;
	uint32_t i;

	for (i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen && seen >= want) {
			uint64_t top = bucket_top(i);

			return top < h->largest ? top : h->largest;
		}
	}
	return h->largest;
}
