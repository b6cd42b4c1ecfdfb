/* SPDX-License-Identifier: MIT */
/*
 * counts.h - what a side has done, for who looks on; see struct pinring_counts.
 *
 * A count is a load, an add and a store to a line that its writer has at hand. With
 * PINRING_NO_STATS defined before any header of pinring is included, the inline
 * functions of that program do not count. Memory and handles stay as they are, so
 * programs with and without it share rings; pinring_ring_info() then tells what the
 * indices do, and for the rest what the others have counted.
 */
#ifndef PINRING_COUNTS_H
#define PINRING_COUNTS_H

#include <stdint.h>
#include <pinring/pinring_layout.h>
#include <pinring/port.h>

/* Of a word that only the caller writes. */
PINRING_HOST_FN void pinring_count(__u64 *word, uint64_t n)
{
#ifdef PINRING_NO_STATS
	(void)word;
	(void)n;
#else
	__atomic_store_n(word, *word + n, __ATOMIC_RELAXED);
#endif
}

#endif /* PINRING_COUNTS_H */
