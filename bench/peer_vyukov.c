// SPDX-License-Identifier: MIT
/*
 * peer_vyukov.c - the plain bounded queue with a sequence in each slot, after
 * Dmitry Vyukov: what one writes in a page, and hard to beat
 * (shared/peers.md, "MPMC family").
 */
#include "crowd.h"

struct cell {
	/* i: free for push i; i + 1: holds item i. */
	uint64_t sequence;
	uint64_t item;
};

struct vyukov {
	uint64_t tail PINRING_ALIGNED(128);
	uint64_t head PINRING_ALIGNED(128);
	struct cell cells[CROWD_CAPACITY] PINRING_ALIGNED(128);
};

static void *vyukov_open(void *memory, struct pinring_region *region)
{
	struct vyukov *q = memory;
	uint64_t i;

	(void)region;
	for (i = 0; i < CROWD_CAPACITY; i++)
		q->cells[i].sequence = i;
	return q;
}

static void vyukov_close(void *queue)
{
	(void)queue;
}

/*
 * A ticket whose cell is at ticket + ahead, or NULL if that cell is not there
 * yet: the queue is full (ahead 0), or empty (1).
 */
PINRING_FN struct cell *take_ticket(struct vyukov *q, uint64_t *index,
				    uint64_t ahead, uint64_t *ticket)
{
	uint64_t at = __atomic_load_n(index, __ATOMIC_RELAXED);

	for (;;) {
		struct cell *c = &q->cells[at % CROWD_CAPACITY];
		uint64_t s = __atomic_load_n(&c->sequence, __ATOMIC_ACQUIRE);
		int64_t difference = (int64_t)(s - (at + ahead));

		if (difference < 0)
			return NULL;
		if (difference > 0) /* another was faster */
			at = __atomic_load_n(index, __ATOMIC_RELAXED);
		else if (__atomic_compare_exchange_n(index, &at, at + 1, true,
						     __ATOMIC_RELAXED,
						     __ATOMIC_RELAXED)) {
			*ticket = at;
			return c;
		}
	}
}

PINRING_FN bool vyukov_push(void *queue, uint64_t item)
{
	struct vyukov *q = queue;
	uint64_t ticket;
	struct cell *c = take_ticket(q, &q->tail, 0, &ticket);

	if (!c)
		return false;
	c->item = item;
	__atomic_store_n(&c->sequence, ticket + 1, __ATOMIC_RELEASE);
	return true;
}

PINRING_FN bool vyukov_pop(void *queue, uint64_t *item)
{
	struct vyukov *q = queue;
	uint64_t ticket;
	struct cell *c = take_ticket(q, &q->head, 1, &ticket);

	if (!c)
		return false;
	*item = c->item;
	__atomic_store_n(&c->sequence, ticket + CROWD_CAPACITY,
			 __ATOMIC_RELEASE);
	return true;
}

CROWD_LOOPS(vyukov)

const struct crowd_queue *crowd_vyukov(void)
{
	static struct crowd_queue vyukov = {
		.name = "slot sequence",
		.shared = true,
		.bytes = sizeof(struct vyukov),
		.open = vyukov_open,
		.close = vyukov_close,
	};

	vyukov_loops(&vyukov);
	return &vyukov;
}
