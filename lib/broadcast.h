/* SPDX-License-Identifier: MIT */
/*
 * broadcast.h - what the files of the broadcast ring share.
 *
 * ring_broadcast.c is creating, joining and waiting, ring_broadcast_pace.c who waits
 * for whom, and ring_broadcast_many.c what is different with many producers.
 */
#ifndef PINRING_BROADCAST_H
#define PINRING_BROADCAST_H

#include <pinring/ring_broadcast.h>

#include "party.h"

static inline bool pinring_broadcast_laps(const struct pinring_broadcast_side *s)
{
	return s->flags & PINRING_BROADCAST_LAPPING;
}

static inline bool pinring_broadcast_many(const struct pinring_broadcast_side *s)
{
	return s->flags & PINRING_BROADCAST_MANY;
}

static inline void pinring_broadcast_miss(struct pinring_broadcast_consumer *c,
					  uint64_t n)
{
	c->missed += n;
	pinring_count(&c->side.party->missed, n);
}

/*
 * Of a side that waits for another one, which may be dead: whether it is time to
 * find out. After 1024 refusals in a row, 2048, and so on.
 */
static inline bool pinring_broadcast_is_due(uint64_t *refusals)
{
	++*refusals;
	return *refusals >= 1024 && pinring_power_of_two(*refusals);
}

/* ----------------------------------------------- in ring_broadcast_pace.c */
/* How many tickets before `here` the slowest consumer has not given back. */
uint64_t pinring_broadcast_behind(const struct pinring_broadcast_side *s,
				  uint64_t here);

/*
 * Looks at the cursors again, from ticket `here`, which nobody has taken yet;
 * whether p->bound is beyond it then.
 */
bool pinring_broadcast_rescan(struct pinring_broadcast_producer *p,
			      uint64_t here);

/*
 * The producer was refused ticket `here`: whether to look again, because somebody
 * who was in the way is dead.
 */
bool pinring_broadcast_refuse(struct pinring_broadcast_producer *p,
			      uint64_t here);

/* The consumer was lapped: to the oldest message that is intact. 0, -errno. */
int pinring_broadcast_fall_back(struct pinring_broadcast_consumer *c);

/* It was lapped at the n messages it has read: -ESTALE. */
int64_t pinring_broadcast_lose(struct pinring_broadcast_consumer *c, uint64_t n);

/* Whether that party is dead, and gone now. */
bool pinring_broadcast_repair_party(const struct pinring_broadcast_side *s,
				    uint32_t i);

/* ----------------------------------------------- in ring_broadcast_many.c */
/*
 * The first ticket that no producer has, no earlier than `from`, and its word. 0;
 * -EPIPE: it is the end; -EPROTO; -EAGAIN: producers are faster than this walk.
 */
int pinring_broadcast_walk(const struct pinring_broadcast_side *s,
			   uint64_t from, uint64_t *ticket, __u64 *word);

int64_t pinring_broadcast_claim(struct pinring_broadcast_producer *p,
				uint64_t want);
int pinring_broadcast_look_many(struct pinring_broadcast_consumer *c,
				uint64_t want);
bool pinring_broadcast_is_over(const struct pinring_broadcast_consumer *c);
int64_t pinring_broadcast_settle_many(struct pinring_broadcast_consumer *c,
				      uint64_t n);
int pinring_broadcast_end(struct pinring_broadcast_producer *p);

/* Whether a producer may use a slot with that word, a lap later. */
bool pinring_broadcast_is_free(__u64 word);

/* Whether there is such a slot within as many as a producer tries. */
bool pinring_broadcast_any_free(const struct pinring_broadcast_side *s,
				uint64_t ticket);

/* What the dead owner of that party holds becomes void; false: it has changed. */
bool pinring_broadcast_void(const struct pinring_broadcast_side *s, uint32_t i,
			    __u64 owner);

#endif /* PINRING_BROADCAST_H */
