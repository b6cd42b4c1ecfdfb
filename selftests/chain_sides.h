/* SPDX-License-Identifier: MIT */
/*
 * chain_sides.h - both sides of a resizable ring. Every message is its own index,
 * so whoever reads one knows whether it is the right one; and the load goes up
 * and down, so that the ring does.
 */
#ifndef SELFTESTS_CHAIN_SIDES_H
#define SELFTESTS_CHAIN_SIDES_H

#include <pinring/pinring.h>

#include "items.h"

#define INDEX_MASK (~0ull >> PINRING_PLACE_SHIFT)
#define RUN 8
#define SLOT_WORDS_MAX 64

static inline struct pinring_chain_header *chain_header(struct pinring_region *r,
							const char *name)
{
	struct pinring_object_info o;

	if (pinring_object_find(r, name, &o))
		return NULL;
	return pinring_region_at(r, o.offset, o.length);
}

/* Before either side opens it: as if so many messages had gone through. */
static inline void chain_start_at(struct pinring_chain_header *h, uint64_t index)
{
	h->moves[0] = index << PINRING_PLACE_SHIFT |
		      (h->moves[0] & ((1u << PINRING_PLACE_SHIFT) - 1));
	h->tail = index << PINRING_PLACE_SHIFT;
	h->head = index << PINRING_PLACE_SHIFT;
}

static inline uint64_t chain_sent(const struct pinring_chain_producer *p)
{
	return pinring_chain_index(p->write);
}

static inline uint64_t chain_got(const struct pinring_chain_consumer *c)
{
	return pinring_chain_index(c->read);
}

/* Sends up to `most` by a verb the dice choose; how many went, or an error. */
static inline int64_t chain_send(struct pinring_chain_producer *p, struct dice *d,
				 uint64_t most)
{
	static _Thread_local uint64_t items[RUN * SLOT_WORDS_MAX];
	uint64_t want = 1 + roll(d, RUN < most ? RUN : most);
	uint64_t verb = roll(d, 4), words = p->slot_bytes / 8;
	void *slots = NULL;
	int64_t n;

	if (verb == 2 || verb == 3) {
		n = pinring_chain_reserve(p, want, &slots);
		for (int64_t i = 0; i < n; i++)
			item_fill((uint64_t *)slots + (uint64_t)i * words,
				  p->slot_bytes,
				  (chain_sent(p) + (uint64_t)i) & INDEX_MASK);
		if (n > 1 && verb == 3)
			n--;
		if (n > 0)
			pinring_chain_commit(p, (uint64_t)n);
		return n;
	}
	for (uint64_t i = 0; i < want; i++)
		item_fill(items + i * words, p->slot_bytes,
			  (chain_sent(p) + i) & INDEX_MASK);
	if (verb == 1)
		return pinring_chain_push_batch(p, items, want);
	n = words == 1 ? pinring_chain_push_u64(p, items[0]) :
			 pinring_chain_push(p, items);
	return n ? n : 1;
}

/* How many came; -EBADMSG: not those that were due. */
static inline int64_t chain_receive(struct pinring_chain_consumer *c,
				    struct dice *d, uint64_t most)
{
	static _Thread_local uint64_t items[RUN * SLOT_WORDS_MAX];
	uint64_t want = 1 + roll(d, RUN < most ? RUN : most);
	uint64_t verb = roll(d, 3), words = c->slot_bytes / 8, first = chain_got(c);
	void *slots = items;
	int64_t n;

	if (verb == 2) {
		n = pinring_chain_peek(c, want, &slots);
	} else if (verb == 1) {
		n = pinring_chain_pop_batch(c, items, want);
	} else {
		n = words == 1 ? pinring_chain_pop_u64(c, items) :
				 pinring_chain_pop(c, items);
		n = n ? n : 1;
	}
	for (int64_t i = 0; i < n; i++) {
		const uint64_t *item = (uint64_t *)slots + (uint64_t)i * words;

		if (item[0] != ((first + (uint64_t)i) & INDEX_MASK) ||
		    !item_is_whole(item, c->slot_bytes))
			return -EBADMSG;
	}
	if (n > 0 && verb == 2)
		pinring_chain_release(c, (uint64_t)n);
	return n;
}

/*
 * A load that comes in waves: now this side is the slow one, now the other, and
 * for a while there is hardly anything to do, whoever is faster.
 */
static inline void chain_pace_producer(const struct pinring_chain_producer *p,
				       struct dice *d)
{
	unsigned int spins = 0;

	if ((chain_sent(p) >> 11 & 7) == 7) {
		while (pinring_chain_free(p) != pinring_chain_capacity(p))
			wait_a_little(&spins);
	} else if (chain_sent(p) >> 14 & 1) {
		for (uint64_t n = roll(d, 16); n; n--)
			wait_a_little(&spins);
	}
}

static inline void chain_pace_consumer(const struct pinring_chain_consumer *c,
				       struct dice *d)
{
	unsigned int spins = 0;

	if (chain_got(c) >> 14 & 1)
		return;
	for (uint64_t n = roll(d, 16); n; n--)
		wait_a_little(&spins);
}

#endif /* SELFTESTS_CHAIN_SIDES_H */
