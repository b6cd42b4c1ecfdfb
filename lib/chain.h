/* SPDX-License-Identifier: MIT */
/*
 * chain.h - what the files of the resizable ring share.
 *
 * ring_chain.c is creating, opening and asking about it; ring_chain_move.c how
 * both sides go from segment to segment, and what becomes of the memory.
 */
#ifndef PINRING_CHAIN_H
#define PINRING_CHAIN_H

#include <pinring/ring_chain.h>

#include "internal.h"

#define PAGE 4096ull
#define FILL_SHIFT 24 /* of the average fill, where 1 is full */

/* Where a segment begins, from the header; segments: where the last one ends. */
uint64_t pinring_chain_offset(const struct pinring_chain_shape *s,
			      uint64_t slot_bytes, uint32_t segment);

static inline uint64_t capacity_of(const struct pinring_chain_shape *s,
				   uint32_t segment)
{
	return 1ull << (s->min_shift + segment * s->factor_shift);
}

/* The first and, in *bytes, the length of what it takes. */
static inline unsigned char *
segment_at(struct pinring_chain_header *h, const struct pinring_chain_shape *s,
	   uint64_t slot_bytes, uint32_t segment, uint64_t *bytes)
{
	*bytes = capacity_of(s, segment) * slot_bytes;
	return (unsigned char *)h +
	       pinring_chain_offset(s, slot_bytes, segment);
}

static inline uint32_t log2_of(uint64_t power_of_two)
{
	return (uint32_t)__builtin_ctzll(power_of_two);
}

/* The same index, with other low bits. */
static inline uint64_t place_of(uint64_t place, uint32_t low)
{
	return place - pinring_chain_low(place) + low;
}

/* The one that the last of the moves at this place led to. */
static inline uint8_t segment_of(const struct pinring_chain_header *h,
				 uint64_t place)
{
	const __u64 *move = &h->moves[place % PINRING_CHAIN_MOVES];

	return (uint8_t)pinring_chain_low(
		__atomic_load_n(move, __ATOMIC_RELAXED));
}

static inline uint64_t lazy_of(uint64_t capacity)
{
	return capacity >= 32 ? capacity / 16 : 1;
}

#endif /* PINRING_CHAIN_H */
