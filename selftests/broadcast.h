/* SPDX-License-Identifier: MIT */
/* broadcast.h - what the tests of the broadcast ring share. */
#ifndef SELFTESTS_BROADCAST_H
#define SELFTESTS_BROADCAST_H

#include <pinring/pinring.h>

#include "items.h"

#define LAPPING PINRING_BROADCAST_LAPPING
#define MANY PINRING_BROADCAST_MANY

/* As if that many tickets had come and gone; a multiple of the capacity. */
static inline void age(struct pinring_broadcast_header *h, uint64_t tickets)
{
	unsigned char *slot = (unsigned char *)h + h->slots_offset;

	h->tail = tickets;
	h->limit = tickets + h->capacity - (h->flags == MANY);
	if (!(h->flags & MANY))
		return;
	for (uint64_t i = 0; i < h->capacity; i++, slot += h->stride)
		*(uint64_t *)slot = tickets / h->capacity
					    << PINRING_BROADCAST_LAP_SHIFT |
				    PINRING_BROADCAST_VOID;
}

static inline int push(struct pinring_broadcast_producer *p, uint64_t name)
{
	uint64_t item[8];

	item_fill(item, p->side.slot_bytes, name);
	return pinring_broadcast_push(p, item);
}

#define NOTHING (UINT64_MAX - EAGAIN)
#define ENDED (UINT64_MAX - EPIPE)
#define TORN UINT64_MAX

/* The name of what came, or UINT64_MAX - errno. */
static inline uint64_t pop(struct pinring_broadcast_consumer *c)
{
	uint64_t item[8];
	int rc = pinring_broadcast_pop(c, item);

	if (rc)
		return UINT64_MAX + (uint64_t)(int64_t)rc;
	return item_is_whole(item, c->side.slot_bytes) ? item[0] : TORN;
}

/* In place, as a lapping ring wants it. */
static inline void write_item(const struct pinring_broadcast_side *s, void *slot,
			      uint64_t name)
{
	uint64_t item[8];

	item_fill(item, s->slot_bytes, name);
	pinring_broadcast_copy_in(slot, item, s->slot_bytes);
}

static inline uint64_t read_item(const struct pinring_broadcast_side *s,
				 const void *slot)
{
	uint64_t item[8];

	pinring_broadcast_copy_out(item, slot, s->slot_bytes);
	return item_is_whole(item, s->slot_bytes) ? item[0] : TORN;
}

#endif /* SELFTESTS_BROADCAST_H */
