/* SPDX-License-Identifier: MIT */
/*
 * survey_object.c - what one object in a region counts.
 *
 * pinring_ring_info() checks what it reads; what it has no word for is taken from
 * the layout here, by single loads of words that are within the object.
 */
#include <string.h>

#include "survey.h"

static uint64_t load(const __u64 *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

/* Its first bytes, if it has as many. */
static const void *header(const struct pinring_region *region,
			  const struct pinring_object_info *info, size_t size)
{
	return info->length < size ?
		       NULL :
		       pinring_region_at(region, info->offset, info->length);
}

double survey_share(double part, double whole)
{
	if (!(whole > 0.0) || !(part > 0.0))
		return 0.0;
	return part < whole ? part / whole : 1.0;
}

/* Of counts that run over; b may have been read later, and so be ahead. */
static double difference(uint64_t a, uint64_t b)
{
	int64_t between = (int64_t)(a - b);

	return between > 0 ? (double)between : 0.0;
}

/* How many rings of its capacity one object of that type has. */
static double parts(const struct pinring_region *region,
		    const struct pinring_object_info *info)
{
	const struct pinring_lanes_header *lanes;
	double n;

	if (info->type == PINRING_OBJECT_PRIORITY)
		return PINRING_PRIORITY_LANES;
	if (info->type != PINRING_OBJECT_LANES)
		return 1.0;
	lanes = header(region, info, sizeof(*lanes));
	n = lanes ? (double)load(&lanes->producers) *
			    (double)load(&lanes->partitions) :
		    1.0;
	return n >= 1.0 && n <= PINRING_LANES_MAX ? n : 1.0;
}

/* Behind the slowest of those who read: the others have less before them. */
static double broadcast_fill(const struct pinring_region *region,
			     const struct pinring_object_info *info,
			     uint64_t capacity)
{
	const struct pinring_broadcast_header *h =
		header(region, info, sizeof(*h));
	const struct pinring_party *party;
	uint64_t offset, tail, behind = 0;
	uint32_t n, i;

	if (!h)
		return -1.0;
	n = __atomic_load_n(&h->parties, __ATOMIC_RELAXED);
	offset = load(&h->parties_offset);
	if (n > PINRING_PARTIES_MAX || offset % PINRING_SEPARATION ||
	    offset > info->length ||
	    n > (info->length - offset) / sizeof(*party))
		return -1.0;
	party = (const void *)((const unsigned char *)h + offset);
	tail = load(&h->tail);
	for (i = 0; i < n; i++) {
		uint64_t cursor = load(&party[i].cursor);

		if ((load(&party[i].owner) & 0xff) == PINRING_PARTY_CONSUMER &&
		    tail > cursor && tail - cursor > behind)
			behind = tail - cursor;
	}
	return survey_share((double)behind, (double)capacity);
}

static bool see_ring(struct pinring_region *region,
		     const struct pinring_object_info *info,
		     struct survey_object *o)
{
	struct pinring_ring_info ring = PINRING_INIT(struct pinring_ring_info);

	if (pinring_ring_info(region, info->name, &ring))
		return false;
	o->closed = ring.closed;
	o->capacity = ring.capacity;
	o->slot_bytes = ring.slot_bytes;
	o->sent = ring.sent.messages;
	o->received = ring.received.messages;
	o->refused = ring.sent.refused;
	o->lost = ring.lost + ring.missed;
	if (info->type == PINRING_OBJECT_BROADCAST)
		o->fill = broadcast_fill(region, info, ring.capacity);
	else if (info->type == PINRING_OBJECT_BYTE_RING)
		o->fill = survey_share(difference(ring.sent.bytes,
						  ring.received.bytes),
				       (double)ring.capacity);
	else
		o->fill = survey_share(
			difference(ring.sent.messages,
				   ring.received.messages + ring.lost),
			(double)ring.capacity * parts(region, info));
	return true;
}

static bool see_policy(struct pinring_region *region,
		       const struct pinring_object_info *info,
		       struct survey_object *o)
{
	struct pinring_policy_info policy =
		PINRING_INIT(struct pinring_policy_info);

	if (pinring_policy_info(region, info->name, &policy))
		return false;
	o->sent = policy.passed + policy.dropped + policy.diverted;
	o->received = policy.passed;
	o->refused = policy.refused;
	o->lost = policy.dropped + policy.overwritten;
	return true;
}

static bool see_duplex(struct pinring_region *region,
		       const struct pinring_object_info *info,
		       struct survey_object *o)
{
	const struct pinring_duplex *h = header(region, info, sizeof(*h));

	if (!h)
		return false;
	o->closed = load(&h->caller_closed) || load(&h->server_closed);
	o->received = load(&h->line.word) / PINRING_DUPLEX_CALL;
	o->sent = o->received + ((load(&h->line.word) & PINRING_DUPLEX_STATE) !=
				 PINRING_DUPLEX_IDLE);
	return true;
}

static bool see_device_ring(struct pinring_region *region,
			    const struct pinring_object_info *info,
			    struct survey_object *o)
{
	__u64 payload[PINRING_SLOT_WORDS], full = 0;
	struct pinring_device_consumer reader;

	if (pinring_device_consumer_open(region, info->name, &reader))
		return false;
	o->capacity = reader.capacity;
	o->slot_bytes = sizeof(struct pinring_device_slot);
	o->received = reader.index;
	/* No index is shared on the way: the slots themselves tell. */
	while (full < reader.capacity && pinring_device_peek(&reader, payload)) {
		reader.index++;
		full++;
	}
	o->sent = reader.index;
	o->fill = survey_share((double)full, (double)reader.capacity);
	return true;
}

static bool see_telemetry(struct pinring_region *region,
			  const struct pinring_object_info *info,
			  struct survey_object *o)
{
	const struct pinring_telemetry *t = header(region, info, sizeof(*t));

	if (!t)
		return false;
	o->received = load(&t->processed);
	o->sent = o->received;
	o->lost = load(&t->failed);
	return true;
}

static bool see_doorbell(struct pinring_region *region,
			 const struct pinring_object_info *info,
			 struct survey_object *o)
{
	const struct pinring_doorbell_lines *d =
		header(region, info, sizeof(*d));

	if (!d)
		return false;
	o->sent = load(&d->sequence);
	return true;
}

static const struct {
	uint32_t type;
	bool (*see)(struct pinring_region *region,
		    const struct pinring_object_info *info,
		    struct survey_object *o);
} kinds[] = {
	{ PINRING_OBJECT_SPSC, see_ring },
	{ PINRING_OBJECT_LINE_RING, see_ring },
	{ PINRING_OBJECT_BYTE_RING, see_ring },
	{ PINRING_OBJECT_CHAIN, see_ring },
	{ PINRING_OBJECT_LANES, see_ring },
	{ PINRING_OBJECT_MPMC, see_ring },
	{ PINRING_OBJECT_PRIORITY, see_ring },
	{ PINRING_OBJECT_BROADCAST, see_ring },
	{ PINRING_OBJECT_POLICY, see_policy },
	{ PINRING_OBJECT_DUPLEX, see_duplex },
	{ PINRING_OBJECT_DEVICE_RING, see_device_ring },
	{ PINRING_OBJECT_TELEMETRY, see_telemetry },
	{ PINRING_OBJECT_DOORBELL, see_doorbell },
};

bool survey_object(struct pinring_region *region,
		   const struct pinring_object_info *info,
		   struct survey_object *o, uint64_t *budget)
{
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].type == info->type)
			break;
	if (i == sizeof(kinds) / sizeof(kinds[0]))
		return false;
	memset(o, 0, sizeof(*o));
	survey_text(o->name, sizeof(o->name), info->name);
	o->type = info->type;
	o->fill = -1.0;
	/*
	 * The fill of these is found by a walk, and its maker decides how long
	 * that is, over memory that may not even be there yet.
	 */
	if (info->type == PINRING_OBJECT_LINE_RING ||
	    info->type == PINRING_OBJECT_DEVICE_RING) {
		if (info->length > *budget)
			return true;
		*budget -= info->length;
	}
	o->known = kinds[i].see(region, info, o);
	return true;
}
