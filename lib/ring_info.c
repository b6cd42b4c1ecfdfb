// SPDX-License-Identifier: MIT
/* ring_info.c - what its headers tell of a ring, to whoever has the region. */
#include <pinring/ring.h>

#include "internal.h"

/* One object, whose header was found sealed; the rest of it nobody has checked. */
struct seen {
	struct pinring_region *region;
	const char *name;
	unsigned char *at;
	uint64_t length;
};

static int damaged(const struct seen *s)
{
	return pinring_header_damaged(s->region, s->name);
}

static int copy_sealed(const struct seen *s, uint64_t magic, void *copy)
{
	const __u64 *words = copy;
	const size_t seal = PINRING_SEALED_WORDS - 1;
	int rc = pinring_header_copy(s->region, s->name, s->at, copy);

	if (rc)
		return rc;
	if (words[0] != magic ||
	    words[seal] != pinring_hash(words, seal * sizeof(*words)))
		return damaged(s);
	return 0;
}

/* Whether n structs of that size at that offset are in the object. */
static bool holds(const struct seen *s, uint64_t offset, uint64_t n,
		  uint64_t size)
{
	return offset <= s->length && n <= (s->length - offset) / size &&
	       offset % PINRING_SEPARATION == 0;
}

static uint64_t load(const __u64 *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void add(struct pinring_side_info *to, const struct pinring_counts *from)
{
	to->messages += load(&from->messages);
	to->bytes += load(&from->bytes);
	to->refused += load(&from->refused);
	to->waited += load(&from->waited);
}

static void add_parties(struct pinring_ring_info *i,
			const struct pinring_party *party, uint64_t n)
{
	for (; n--; party++) {
		add(&i->sent, &party->sent);
		add(&i->received, &party->received);
		i->missed += load(&party->missed);
	}
}

/* ------------------------------------------------------------------- kinds */
static int see_spsc(const struct seen *s, struct pinring_ring_info *i)
{
	const struct pinring_spsc_header *h = (void *)s->at;
	struct pinring_spsc_header c;
	int rc = copy_sealed(s, PINRING_SPSC_MAGIC, &c);

	if (rc)
		return rc;
	i->capacity = c.capacity;
	i->slot_bytes = c.slot_bytes;
	i->closed = load(&h->producer_closed) || load(&h->consumer_closed);
	add(&i->sent, &h->sent);
	add(&i->received, &h->received);
	/* In this order: what was given back had been sent. */
	i->received.messages = __atomic_load_n(&h->head, __ATOMIC_ACQUIRE);
	i->sent.messages = load(&h->tail);
	return 0;
}

static int see_bytes(const struct seen *s, struct pinring_ring_info *i)
{
	const struct pinring_bytes_header *h = (void *)s->at;
	struct pinring_bytes_header c;
	int rc = copy_sealed(s, PINRING_BYTES_MAGIC, &c);

	if (rc)
		return rc;
	i->capacity = c.capacity;
	i->closed = load(&h->producer_closed) || load(&h->consumer_closed);
	add(&i->received, &h->received);
	add(&i->sent, &h->sent);
	return 0;
}

/* There is no tail: the producer is where the first line is not full. */
static int see_line(const struct seen *s, struct pinring_ring_info *i)
{
	const struct pinring_line_header *h = (void *)s->at;
	const struct pinring_line *lines = (void *)(h + 1);
	struct pinring_line_header c;
	uint64_t at;
	int rc = copy_sealed(s, PINRING_LINE_MAGIC, &c);

	if (rc)
		return rc;
	if (!pinring_power_of_two(c.capacity) ||
	    !holds(s, sizeof(*h), c.capacity, sizeof(*lines)))
		return damaged(s);
	i->capacity = c.capacity;
	i->slot_bytes = PINRING_LINE_PAYLOAD;
	i->closed = load(&h->producer_closed) || load(&h->consumer_closed);
	add(&i->sent, &h->sent);
	add(&i->received, &h->received);
	at = load(&h->head);
	i->received.messages = at;
	while (at - i->received.messages < c.capacity &&
	       pinring_line_look(&lines[at & (c.capacity - 1)]) ==
		       pinring_line_full(at, c.capacity - 1))
		at++;
	i->sent.messages = at;
	return 0;
}

static int see_chain(const struct seen *s, struct pinring_ring_info *i)
{
	const struct pinring_chain_header *h = (void *)s->at;
	struct pinring_chain_header c;
	int rc = copy_sealed(s, PINRING_CHAIN_MAGIC, &c);

	if (rc)
		return rc;
	i->capacity = c.max_capacity;
	i->slot_bytes = c.slot_bytes;
	i->closed = load(&h->producer_closed) || load(&h->consumer_closed);
	add(&i->received, &h->received);
	i->sent.refused = load(&h->refused);
	i->sent.waited = load(&h->waited);
	i->received.messages = pinring_chain_index(
		__atomic_load_n(&h->head, __ATOMIC_ACQUIRE));
	i->sent.messages = pinring_chain_index(load(&h->tail));
	return 0;
}

static int see_lanes(const struct seen *s, struct pinring_ring_info *i)
{
	const struct pinring_lanes_header *h = (void *)s->at;
	const struct pinring_lane *lane;
	struct pinring_lanes_header c;
	uint64_t n;
	int rc = copy_sealed(s, PINRING_LANES_MAGIC, &c);

	if (rc)
		return rc;
	if (c.producers > PINRING_LANES_SIDES_MAX ||
	    c.partitions > PINRING_LANES_SIDES_MAX ||
	    !holds(s, c.parties_offset, c.producers + c.partitions,
		   sizeof(struct pinring_party)) ||
	    !holds(s, c.lanes_offset, c.producers * c.partitions,
		   sizeof(struct pinring_lane)))
		return damaged(s);
	i->capacity = c.capacity;
	i->slot_bytes = c.slot_bytes;
	i->closed = load(&h->closed) != 0;
	add_parties(i, (void *)(s->at + c.parties_offset),
		    c.producers + c.partitions);
	lane = (void *)(s->at + c.lanes_offset);
	for (n = c.producers * c.partitions; n--; lane++) {
		add(&i->sent, &lane->sent);
		i->received.messages += __atomic_load_n(&lane->head,
							__ATOMIC_ACQUIRE);
		i->sent.messages += load(&lane->tail);
	}
	return 0;
}

/* As many as a ring can have: a maker that means ill must not decide it. */
static bool holds_parties(const struct seen *s, uint64_t offset, uint64_t n)
{
	return n <= PINRING_PARTIES_MAX &&
	       holds(s, offset, n, sizeof(struct pinring_party));
}

static int see_mpmc(const struct seen *s, struct pinring_ring_info *i)
{
	const struct pinring_mpmc_header *h = (void *)s->at;
	struct pinring_mpmc_header c;
	int rc = copy_sealed(s, PINRING_MPMC_MAGIC, &c);

	if (rc)
		return rc;
	if (!holds_parties(s, c.parties_offset, c.parties))
		return damaged(s);
	i->capacity = c.capacity;
	i->slot_bytes = c.slot_bytes;
	i->closed |= load(&h->closed) != 0;
	i->lost += load(&h->lost);
	add_parties(i, (void *)(s->at + c.parties_offset), c.parties);
	return 0;
}

static int see_priority(const struct seen *s, struct pinring_ring_info *i)
{
	struct pinring_priority_header c;
	uint32_t k;
	int rc = copy_sealed(s, PINRING_PRIORITY_MAGIC, &c);

	if (!rc && (c.lane_bytes < sizeof(struct pinring_mpmc_header) ||
		    !holds(s, c.lanes_offset, PINRING_PRIORITY_LANES,
			   c.lane_bytes)))
		return damaged(s);
	for (k = 0; k < PINRING_PRIORITY_LANES && !rc; k++) {
		const struct seen lane = {
			.region = s->region,
			.name = s->name,
			.at = s->at + c.lanes_offset + k * c.lane_bytes,
			.length = c.lane_bytes,
		};

		rc = see_mpmc(&lane, i);
	}
	return rc;
}

static int see_broadcast(const struct seen *s, struct pinring_ring_info *i)
{
	const struct pinring_broadcast_header *h = (void *)s->at;
	struct pinring_broadcast_header c;
	int rc = copy_sealed(s, PINRING_BROADCAST_MAGIC, &c);

	if (rc)
		return rc;
	if (!holds_parties(s, c.parties_offset, c.parties))
		return damaged(s);
	i->capacity = c.capacity;
	i->slot_bytes = c.slot_bytes;
	i->closed = load(&h->closed) != 0;
	add_parties(i, (void *)(s->at + c.parties_offset), c.parties);
	if (!(c.flags & PINRING_BROADCAST_MANY))
		i->sent.messages = load(&h->tail);
	return 0;
}

static const struct {
	uint32_t type;
	uint32_t header_bytes;
	int (*see)(const struct seen *s, struct pinring_ring_info *i);
} kinds[] = {
	{ PINRING_OBJECT_SPSC, sizeof(struct pinring_spsc_header), see_spsc },
	{ PINRING_OBJECT_BYTE_RING, sizeof(struct pinring_bytes_header),
	  see_bytes },
	{ PINRING_OBJECT_LINE_RING, sizeof(struct pinring_line_header),
	  see_line },
	{ PINRING_OBJECT_CHAIN, sizeof(struct pinring_chain_header), see_chain },
	{ PINRING_OBJECT_LANES, sizeof(struct pinring_lanes_header), see_lanes },
	{ PINRING_OBJECT_MPMC, sizeof(struct pinring_mpmc_header), see_mpmc },
	{ PINRING_OBJECT_PRIORITY, sizeof(struct pinring_priority_header),
	  see_priority },
	{ PINRING_OBJECT_BROADCAST, sizeof(struct pinring_broadcast_header),
	  see_broadcast },
};

int pinring_ring_info(struct pinring_region *region, const char *name,
		      struct pinring_ring_info *info)
{
	struct pinring_ring_info i = { 0 };
	struct pinring_object_info o;
	struct seen s = { .region = region, .name = name };
	int rc = pinring_object_find(region, name, &o);
	size_t k;

	if (rc)
		return rc;
	for (k = 0; k < sizeof(kinds) / sizeof(*kinds); k++)
		if (kinds[k].type == o.type)
			break;
	if (k == sizeof(kinds) / sizeof(*kinds))
		return pinring_fail(region->device, -EINVAL,
				    "%s is no ring with counts", name);
	if (o.length < kinds[k].header_bytes)
		return pinring_fail(region->device, -EINVAL,
				    "%s: too short for a ring", name);
	s.at = region->base + o.offset;
	s.length = o.length;
	i.type = o.type;
	rc = kinds[k].see(&s, &i);
	if (rc)
		return rc;
	if (i.slot_bytes) {
		i.sent.bytes = i.sent.messages * i.slot_bytes;
		i.received.bytes = i.received.messages * i.slot_bytes;
	}
	return pinring_give_info(region->device, info, &i, sizeof(i), "ring");
}
