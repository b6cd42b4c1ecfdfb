/* SPDX-License-Identifier: MIT */
/* mpmc.h - an MPMC ring as a part of a larger object. */
#ifndef PINRING_MPMC_H
#define PINRING_MPMC_H

#include <pinring/ring_mpmc.h>

#include "internal.h"

/* What it takes up; 0: no ring has this shape. */
uint64_t pinring_mpmc_bytes(uint64_t capacity, uint64_t slot_bytes,
			    uint64_t parties);

/* Of such a shape, in as many bytes of zeros, aligned to PINRING_SEPARATION. */
void pinring_mpmc_place(void *at, uint64_t capacity, uint64_t slot_bytes,
			uint64_t parties);

/*
 * A side of the ring at that offset of the region, of at most `length` bytes
 * that are inside it. also: where those sleep who wait for several rings, or
 * NULL. Returns what pinring_mpmc_producer_open does.
 */
int pinring_mpmc_open_at(struct pinring_region *region, const char *name,
			 uint64_t offset, uint64_t length,
			 enum pinring_party_role role, __u32 *also,
			 struct pinring_mpmc_side *side);

/*
 * What a consumer would find, without finding it: 0: something to read, or to
 * settle before; -EAGAIN, -EPIPE, -EPROTO as pinring_mpmc_peek().
 */
int pinring_mpmc_outlook(const struct pinring_mpmc_side *side);

#endif /* PINRING_MPMC_H */
