// SPDX-License-Identifier: MIT
/* ring_chain_move.c - the resizable ring: from segment to segment. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/vfs.h>

#include "chain.h"

#define TMPFS_TYPE 0x01021994 /* TMPFS_MAGIC of linux/magic.h */
#define PATIENCE_MAX 64 /* windows */

/* Moves between two places, the later one first. */
static uint32_t moves_between(uint64_t later, uint64_t earlier)
{
	return (uint32_t)(later - earlier) % PINRING_CHAIN_MOVES;
}

/* ---------------------------------------------------------------- producer */
/* Statistics: the producer alone writes them, anybody may read. */
static void set(__u64 *statistic, uint64_t value)
{
	__atomic_store_n(statistic, value, __ATOMIC_RELAXED);
}

/*
 * From the next message on, the ring goes on in another segment. One store makes
 * it so, that of tail: a producer that dies before it has not moved.
 */
static void move_to(struct pinring_chain_producer *p, uint32_t segment)
{
	struct pinring_chain_header *h = p->shared;
	uint32_t next = (pinring_chain_low(p->write) + 1) % PINRING_CHAIN_MOVES;
	__u32 *count = segment > p->shape.segment ? &h->grown : &h->shrunk;
	uint64_t bytes;

	p->fell = segment < p->shape.segment;
	p->above = 0;
	p->below = 0;
	set(&h->moves[next], place_of(p->write, segment));
	__atomic_store_n(count, *count + 1, __ATOMIC_RELAXED);
	set(&h->moved_ns, (uint64_t)pinring_now());
	p->write = place_of(p->write, next);
	p->shape.segment = (uint8_t)segment;
	p->mask = capacity_of(&p->shape, segment) - 1;
	p->slots = segment_at(h, &p->shape, p->slot_bytes, segment, &bytes);
	p->limit = p->write;
	/* release: pairs with the acquire of tail in _peek, and in side_open() */
	__atomic_store_n(&h->tail, p->write, __ATOMIC_RELEASE);
}

/*
 * There are notes of seven moves that were not followed, and the last of them
 * leads to the end, where there is no growing: so there is always one to be had.
 */
static bool grow(struct pinring_chain_producer *p, uint32_t pending)
{
	uint32_t last = p->shape.segments - 1u;

	if (p->shape.segment == last)
		return false;
	if (p->fell && p->patience < p->window * PATIENCE_MAX)
		p->patience *= 2;
	move_to(p, pending >= PINRING_CHAIN_MOVES - 2 ? last :
							p->shape.segment + 1u);
	return true;
}

static void shrink_to(struct pinring_chain_producer *p, uint32_t segment)
{
	/* It held since it last shrank. */
	if (p->fell && p->patience > p->window)
		p->patience /= 2;
	move_to(p, segment);
}

static bool is_low(const struct pinring_chain_producer *p, uint64_t used,
		   uint32_t segment)
{
	return used * 100 <= p->low * capacity_of(&p->shape, segment);
}

/* A look at the fill, and what follows from it. */
static void check_fill(struct pinring_chain_producer *p, uint64_t used,
		       uint32_t pending)
{
	uint64_t capacity = p->mask + 1;
	uint64_t now = (used << FILL_SHIFT) >> log2_of(capacity);
	uint64_t average = __atomic_load_n(&p->shared->fill, __ATOMIC_RELAXED);

	p->checked = p->write;
	average += (uint64_t)((int64_t)(now - average) / (int64_t)p->window);
	set(&p->shared->fill, average);
	if (used * 100 >= p->high * capacity) {
		p->below = 0;
		if (++p->above >= p->window)
			grow(p, pending);
	} else if (is_low(p, used, p->shape.segment)) {
		p->above = 0;
		if (++p->below >= p->patience && p->shape.segment && !pending)
			shrink_to(p, p->shape.segment - 1u);
	} else {
		p->above = 0;
		p->below = 0;
	}
}

/* How much is in the ring, and how many moves the consumer has yet to follow. */
static int look_at_head(struct pinring_chain_producer *p, uint64_t *used,
			uint32_t *pending)
{
	/* acquire: pairs with the release of head in _give_back */
	uint64_t head = __atomic_load_n(&p->shared->head, __ATOMIC_ACQUIRE);

	*used = pinring_chain_slots(head, p->write);
	*pending = moves_between(p->write, head);
	p->limit = p->write;
	if (*used > p->mask + 1 ||
	    pinring_chain_low(head) >= PINRING_CHAIN_MOVES)
		return -EPROTO;
	if (*used > __atomic_load_n(&p->shared->peak, __ATOMIC_RELAXED))
		set(&p->shared->peak, *used);
	return 0;
}

int64_t pinring_chain_look(struct pinring_chain_producer *p, uint64_t want)
{
	uint64_t used, room, since, until;
	uint32_t pending;
	int rc;

	/* Before head: what room a consumer that closed leaves is not used. */
	if (__atomic_load_n(&p->shared->consumer_closed, __ATOMIC_ACQUIRE))
		return -EPIPE;
	rc = look_at_head(p, &used, &pending);
	if (rc)
		return rc;
	since = pinring_chain_slots(p->checked, p->write);
	if (used == p->mask + 1) {
		if (!grow(p, pending)) {
			if (!want)
				return 0;
			pinring_count(&p->shared->refused, 1);
			return -EAGAIN;
		}
	} else if (since >= p->check_interval) {
		check_fill(p, used, pending);
		since = 0;
	}
	room = p->mask + 1 - used;
	/* Until the next look is due, but not less than is asked for now. */
	until = since < p->check_interval ? p->check_interval - since : want;
	if (until < want)
		until = want;
	p->limit = p->write +
		   ((room < until ? room : until) << PINRING_PLACE_SHIFT);
	return (int64_t)room;
}

/* ---------------------------------------------------------------- consumer */
/* Whoever drained a segment no longer needs it: head says so. */
static void follow_to(struct pinring_chain_consumer *c, uint32_t segment)
{
	uint64_t capacity = capacity_of(&c->shape, segment);
	uint64_t bytes;

	c->read = place_of(c->read, (pinring_chain_low(c->read) + 1) %
					    PINRING_CHAIN_MOVES);
	c->shape.segment = (uint8_t)segment;
	c->mask = capacity - 1;
	c->lazy = lazy_of(capacity);
	c->slots = segment_at(c->shared, &c->shape, c->slot_bytes, segment,
			      &bytes);
	pinring_chain_give_back(c);
}

/*
 * After it followed the moves that lie at its place, c->tail is the end of what
 * there is in the segment; or, where that makes no sense, beyond it.
 */
void pinring_chain_follow(struct pinring_chain_consumer *c)
{
	uint64_t tail = c->tail;
	uint32_t i;

	for (i = 0; i < PINRING_CHAIN_MOVES; i++) {
		uint32_t done = pinring_chain_low(c->read);
		uint64_t move, here;

		if (pinring_chain_low(tail) == done)
			return;
		/* relaxed: it was stored before tail, and stays until we follow */
		move = __atomic_load_n(&c->shared->moves[(done + 1) %
							 PINRING_CHAIN_MOVES],
				       __ATOMIC_RELAXED);
		here = pinring_chain_slots(c->read, move);
		if (here > c->mask + 1 ||
		    here > pinring_chain_slots(c->read, tail) ||
		    pinring_chain_low(move) >= c->shape.segments)
			break;
		if (here) {
			c->tail = place_of(move, done);
			return;
		}
		follow_to(c, pinring_chain_low(move));
	}
	c->tail = c->read + ((c->mask + 2) << PINRING_PLACE_SHIFT);
}

/* ------------------------------------------------------------------ memory */
/* A memfd's, unless they are hugetlb's. */
static bool pages_can_go(const struct pinring_region *region)
{
	struct statfs fs;

	return fstatfs(region->fd, &fs) == 0 && fs.f_type == TMPFS_TYPE;
}

/* The whole pages of a segment go. */
static int give_pages_back(struct pinring_chain_producer *p, uint32_t segment)
{
	uint64_t bytes, skip;
	unsigned char *at = segment_at(p->shared, &p->shape, p->slot_bytes,
				       segment, &bytes);

	skip = -(uintptr_t)at % PAGE;
	if (skip + PAGE > bytes)
		return 0;
	return madvise(at + skip, (bytes - skip) & ~(PAGE - 1), MADV_REMOVE) ?
		       -errno :
		       0;
}

int pinring_chain_trim(struct pinring_chain_producer *p)
{
	uint32_t pending, i, to = p->shape.segment;
	uint32_t busy = 0; /* a bit for each segment in use */
	int saved = errno;
	uint64_t used;
	int rc = look_at_head(p, &used, &pending);

	if (rc)
		return rc;
	while (to && is_low(p, used, to))
		to--;
	if (to < p->shape.segment && !pending) {
		move_to(p, to);
		pending = 1;
	}
	for (i = 0; i <= pending; i++)
		busy |= 1u << segment_of(p->shared, p->write - i);
	if (!pages_can_go(p->region))
		return 0;
	for (i = 0; !rc && i < p->shape.segments; i++)
		if (!(busy >> i & 1))
			rc = give_pages_back(p, i);
	errno = saved;
	return rc;
}
