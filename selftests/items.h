/* SPDX-License-Identifier: MIT */
/* items.h - messages that show whether they are whole, and dice. */
#ifndef SELFTESTS_ITEMS_H
#define SELFTESTS_ITEMS_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include <pinring/port.h>

#include "sanitized.h"

/* splitmix64 (Steele, 2014): a bijection, so one word alone tells its number. */
static inline uint64_t item_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

/* The first word names the item, the others follow from it. */
static inline void item_fill(void *slot, uint64_t bytes, uint64_t name)
{
	uint64_t *word = slot;
	uint64_t i;

	word[0] = name;
	for (i = 1; i < bytes / 8; i++)
		word[i] = item_mix(name + (i << 56));
}

static inline bool item_is_whole(const void *slot, uint64_t bytes)
{
	const uint64_t *word = slot;
	uint64_t i;

	for (i = 1; i < bytes / 8; i++)
		if (word[i] != item_mix(word[0] + (i << 56)))
			return false;
	return true;
}

struct dice {
	uint64_t state;
};

static inline uint64_t roll(struct dice *d, uint64_t n)
{
	d->state = item_mix(d->state);
	return (d->state >> 32) * n >> 32;
}

/* A spinning peer on a machine with two busy cores must let the other run. */
static inline void wait_a_little(unsigned int *spins)
{
	if (++*spins % 64 == 0)
		sched_yield();
	else
		pinring_relax();
}

#endif /* SELFTESTS_ITEMS_H */
