/* SPDX-License-Identifier: MIT */
/*
 * oneshot.h - what the files of the pool of replies share.
 *
 * ring_oneshot.c is opening, waiting and asking about the pool;
 * ring_oneshot_slot.c the way of a slot through its states.
 */
#ifndef PINRING_ONESHOT_H
#define PINRING_ONESHOT_H

#include <pinring/ring_oneshot.h>

#include "party.h"

static inline struct pinring_oneshot_slot *
slot_at(const struct pinring_oneshot *o, uint64_t index)
{
	return (void *)(o->slots + (index & o->mask) * o->stride);
}

static inline enum pinring_oneshot_state state_of(__u64 word)
{
	return (enum pinring_oneshot_state)(word & 0xf);
}

/* The replier, or in ENDED who ended it. */
static inline uint64_t other_of(__u64 word)
{
	return word >> PINRING_ONESHOT_OTHER_SHIFT & 0xff;
}

static inline bool is_shut(const struct pinring_oneshot *o)
{
	return __atomic_load_n(&o->shared->closed, __ATOMIC_RELAXED);
}

/*
 * The slot of that ticket and its state, if that is of the same use, and in case
 * of the requester if that is us. 0, -ESTALE, -EPROTO.
 */
int pinring_oneshot_find(const struct pinring_oneshot *o, uint64_t ticket,
			 bool own, struct pinring_oneshot_slot **slot,
			 __u64 *seen);

/*
 * What that party, which is dead or us, has to do with any slot. How many it had;
 * *settled: it has none any more.
 */
int64_t pinring_oneshot_settle(struct pinring_oneshot *o, uint64_t party,
			       uint64_t owner, bool *settled);

#endif /* PINRING_ONESHOT_H */
