// SPDX-License-Identifier: MIT
/* ring_chain.c - the resizable ring: create, open, fetch its memory, ask. */
#define _GNU_SOURCE
#include <sys/mman.h>

#include <pinring/ring_spsc.h>

#include "chain.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

#define CAPACITY_MAX (1ull << 32)
#define SLOT_MAX (1ull << 20)
#define INTERVAL_MAX (1u << 30)
#define WINDOW_MAX (1u << 20)

/*
 * What growing costs in memory: nothing over the SPSC ring, because there was
 * room in the lines that separate its sides. And of those lines, no more than
 * 200 bytes: every field of header and handles counted, padding and the SPSC
 * ring's own taken off.
 */
#define END_OF(type, field) \
	(offsetof(struct type, field) + sizeof(((struct type *)0)->field))
#define SPAN(type, first, last) \
	(END_OF(type, last) - offsetof(struct type, first))

PINRING_ASSERT_SIZE(struct pinring_chain_header,
		    sizeof(struct pinring_spsc_header));
PINRING_ASSERT_SIZE(struct pinring_chain_producer,
		    sizeof(struct pinring_spsc_producer));
PINRING_ASSERT_SIZE(struct pinring_chain_consumer,
		    sizeof(struct pinring_spsc_consumer));
PINRING_STATIC_ASSERT(SPAN(pinring_chain_header, magic, low) +
				      SPAN(pinring_chain_header, tail, fill) +
				      SPAN(pinring_chain_header, moves, moves) +
				      SPAN(pinring_chain_header, head,
					   consumer_closed) +
				      END_OF(pinring_chain_producer, region) +
				      END_OF(pinring_chain_consumer, region) -
				      SPAN(pinring_spsc_header, magic,
					   slots_offset) -
				      SPAN(pinring_spsc_header, tail,
					   producer_closed) -
				      SPAN(pinring_spsc_header, head,
					   consumer_closed) -
				      END_OF(pinring_spsc_producer, region) -
				      END_OF(pinring_spsc_consumer, region) <=
			      200,
		      "bookkeeping");

/* ------------------------------------------------------------------- shape */
/* Where a segment begins, from the header; segments: where the last one ends. */
uint64_t pinring_chain_offset(const struct pinring_chain_shape *s,
			      uint64_t slot_bytes, uint32_t segment)
{
	uint64_t end = sizeof(struct pinring_chain_header);
	uint32_t i;

	for (i = 0; i <= segment && i < s->segments; i++) {
		uint64_t bytes = capacity_of(s, i) * slot_bytes;
		uint64_t align = bytes >= PAGE ? PAGE : PINRING_SEPARATION;
		uint64_t begin = (end + align - 1) & ~(align - 1);

		if (i == segment)
			return begin;
		end = begin + bytes;
	}
	return end;
}

/* The sealed part makes sense; then also the shape it describes. */
static const char *sealed_wrong(const struct pinring_chain_header *h,
				struct pinring_chain_shape *s)
{
	uint32_t span;

	if (!pinring_power_of_two(h->min_capacity) || h->min_capacity < 2 ||
	    !pinring_power_of_two(h->max_capacity) ||
	    h->max_capacity > CAPACITY_MAX || h->max_capacity < h->min_capacity)
		return "capacities are powers of two from 2 to 2^32, the minimum no more than the maximum";
	if (!h->slot_bytes || h->slot_bytes % 8 || h->slot_bytes > SLOT_MAX)
		return "slots have a multiple of 8 bytes, up to 2^20";
	span = log2_of(h->max_capacity) - log2_of(h->min_capacity);
	if (!pinring_power_of_two(h->factor) || h->factor < 2 ||
	    span % log2_of(h->factor))
		return "the maximum is the minimum times a power of the factor, and that is a power of two";
	if (!h->check_interval || h->check_interval > INTERVAL_MAX ||
	    !h->window || h->window > WINDOW_MAX)
		return "check_interval is from 1 to 2^30, window from 1 to 2^20";
	if (h->high > 100 || (uint64_t)h->low * h->factor >= h->high)
		return "high is at most 100, and low * factor below it: or what has shrunk would be due to grow";
	*s = (struct pinring_chain_shape){
		.min_shift = (uint8_t)log2_of(h->min_capacity),
		.factor_shift = (uint8_t)log2_of(h->factor),
		.segments = (uint8_t)(span / log2_of(h->factor) + 1),
	};
	return NULL;
}

static uint64_t seal_of(const struct pinring_chain_header *h)
{
	return pinring_hash(h, offsetof(struct pinring_chain_header, seal));
}

/* ------------------------------------------------------------ create, open */
int pinring_chain_create(struct pinring_region *region, const char *name,
			 const struct pinring_chain_config *config)
{
	struct pinring_chain_config c = pinring_chain_defaults(0, 0, 0);
	struct pinring_chain_header *h, init = { .magic = PINRING_CHAIN_MAGIC };
	struct pinring_chain_shape s;
	struct pinring_object_info o;
	const char *wrong;
	uint32_t first;
	int rc;

	rc = pinring_take_config(region->device, &c, sizeof(c), config,
				 "pinring_chain_config");
	if (rc)
		return rc;
	if (c.high > 100 || c.low > 100)
		return pinring_fail(region->device, -EINVAL,
				    "%s: high %u, low %u: give percent", name,
				    c.high, c.low);
	init.min_capacity = c.min_capacity;
	init.max_capacity = c.max_capacity;
	init.slot_bytes = c.slot_bytes;
	init.factor = c.factor;
	init.check_interval = c.check_interval;
	init.window = c.window;
	init.high = (uint16_t)c.high;
	init.low = (uint16_t)c.low;
	wrong = sealed_wrong(&init, &s);
	if (wrong)
		return pinring_fail(region->device, -EINVAL, "%s: %s", name,
				    wrong);
	for (first = 0; first < s.segments; first++)
		if (capacity_of(&s, first) == c.capacity)
			break;
	if (first == s.segments)
		return pinring_fail(region->device, -EINVAL,
				    "%s: no segment has the %llu slots to begin with",
				    name, (unsigned long long)c.capacity);
	init.seal = seal_of(&init);
	/* The largest segment says whether any lies on pages. */
	rc = pinring_object_create(region, name, PINRING_OBJECT_CHAIN,
				   pinring_chain_offset(&s, c.slot_bytes,
							s.segments),
				   c.max_capacity * c.slot_bytes >= PAGE ?
					   PAGE :
					   PINRING_SEPARATION,
				   &o);
	if (rc)
		return rc;
	h = (void *)(region->base + o.offset);
	h->moves[0] = place_of(0, first);
	pinring_header_publish(h, &init);
	return 0;
}

/* Copies and checks the sealed part, and says where the header is. */
static int sealed_open(struct pinring_region *region, const char *name,
		       struct pinring_chain_header *copy,
		       struct pinring_chain_shape *s,
		       struct pinring_chain_header **shared)
{
	struct pinring_chain_header *h;
	struct pinring_object_info o;
	size_t i;
	int rc;

	rc = pinring_header_open(region, name, PINRING_OBJECT_CHAIN,
				 sizeof(*h), copy, &o);
	if (rc)
		return rc;
	h = (void *)(region->base + o.offset);
	rc = copy->magic == PINRING_CHAIN_MAGIC && !sealed_wrong(copy, s) &&
	     pinring_chain_offset(s, copy->slot_bytes, s->segments) <=
		     o.length &&
	     copy->seal == seal_of(copy);
	for (i = 0; i < sizeof(copy->reserved) / sizeof(*copy->reserved); i++)
		rc = rc && !copy->reserved[i];
	if (!rc)
		return pinring_header_damaged(region, name);
	*shared = h;
	return 0;
}

/* And the places, from which both sides start. */
static int side_open(struct pinring_region *region, const char *name,
		     bool producer, struct pinring_chain_header *copy,
		     struct pinring_chain_shape *s,
		     struct pinring_chain_header **shared)
{
	struct pinring_chain_header *h;
	uint64_t mine, used;
	int rc = sealed_open(region, name, copy, s, &h);

	if (rc)
		return rc;
	copy->head = __atomic_load_n(&h->head, __ATOMIC_ACQUIRE);
	copy->tail = __atomic_load_n(&h->tail, __ATOMIC_ACQUIRE);
	mine = producer ? copy->tail : copy->head;
	s->segment = segment_of(h, mine);
	used = pinring_chain_slots(copy->head, copy->tail);
	if (pinring_chain_low(mine) >= PINRING_CHAIN_MOVES ||
	    s->segment >= s->segments ||
	    used > (producer ? capacity_of(s, s->segment) :
			       copy->max_capacity) ||
	    __atomic_load_n(&h->producer_closed, __ATOMIC_RELAXED) > 1 ||
	    __atomic_load_n(&h->consumer_closed, __ATOMIC_RELAXED) > 1)
		return pinring_header_damaged(region, name);
	*shared = h;
	pinring_wait_join();
	return 0;
}

int pinring_chain_producer_open(struct pinring_region *region, const char *name,
				struct pinring_chain_producer *p)
{
	struct pinring_chain_header copy, *shared;
	struct pinring_chain_shape s;
	uint64_t bytes;
	int rc = side_open(region, name, true, &copy, &s, &shared);

	if (rc)
		return rc;
	*p = (struct pinring_chain_producer){
		.write = copy.tail,
		.limit = copy.tail,
		.mask = capacity_of(&s, s.segment) - 1,
		.slot_bytes = copy.slot_bytes,
		.slots = segment_at(shared, &s, copy.slot_bytes, s.segment,
				    &bytes),
		.shared = shared,
		.shape = s,
		.checked = copy.tail,
		.check_interval = copy.check_interval,
		.window = copy.window,
		.patience = copy.window,
		.high = copy.high,
		.low = (uint8_t)copy.low,
		.region = pinring_region_get(region),
	};
	return 0;
}

int pinring_chain_consumer_open(struct pinring_region *region, const char *name,
				struct pinring_chain_consumer *c)
{
	struct pinring_chain_header copy, *shared;
	struct pinring_chain_shape s;
	uint64_t bytes;
	int rc = side_open(region, name, false, &copy, &s, &shared);

	if (rc)
		return rc;
	*c = (struct pinring_chain_consumer){
		.read = copy.head,
		.tail = copy.head,
		.released = copy.head,
		.lazy = lazy_of(capacity_of(&s, s.segment)),
		.mask = capacity_of(&s, s.segment) - 1,
		.slot_bytes = copy.slot_bytes,
		.slots = segment_at(shared, &s, copy.slot_bytes, s.segment,
				    &bytes),
		.shared = shared,
		.shape = s,
		.region = pinring_region_get(region),
	};
	return 0;
}

void pinring_chain_producer_close(struct pinring_chain_producer *p)
{
	pinring_region_close(p->region);
	memset(p, 0, sizeof(*p));
}

void pinring_chain_consumer_close(struct pinring_chain_consumer *c)
{
	pinring_chain_flush(c);
	pinring_region_close(c->region);
	memset(c, 0, sizeof(*c));
}

/* ------------------------------------------------------------------ memory */
int pinring_chain_prepare(struct pinring_region *region, const char *name,
			  uint64_t capacity)
{
	struct pinring_chain_header copy, *h;
	struct pinring_chain_shape s;
	uint64_t bytes, lead, i;
	unsigned char *at;
	uint32_t segment;
	int saved = errno;
	int rc = sealed_open(region, name, &copy, &s, &h);

	if (rc)
		return rc;
	for (segment = 0; segment < s.segments; segment++)
		if (capacity_of(&s, segment) == capacity)
			break;
	if (segment == s.segments)
		return pinring_fail(region->device, -EINVAL,
				    "%s: no segment has %llu slots", name,
				    (unsigned long long)capacity);
	at = segment_at(h, &s, copy.slot_bytes, segment, &bytes);
	lead = (uintptr_t)at % PAGE;
	at -= lead;
	bytes += lead;
	if (madvise(at, (bytes + PAGE - 1) & ~(PAGE - 1), MADV_POPULATE_WRITE)) {
		rc = errno == EINVAL ? 0 : -ENOMEM;
		if (rc)
			pinring_fail(region->device, rc,
				     "%s: cannot fetch %llu bytes: %m", name,
				     (unsigned long long)bytes);
		/* Before 5.14. Messages may be there: change nothing, atomically. */
		for (i = 0; !rc && i < bytes; i += PAGE)
			__atomic_fetch_or((__u64 *)(void *)(at + i), 0,
					  __ATOMIC_RELAXED);
	}
	errno = saved;
	return rc;
}

/* -------------------------------------------------------------- statistics */
static uint64_t get(const __u64 *statistic)
{
	return __atomic_load_n(statistic, __ATOMIC_RELAXED);
}

int pinring_chain_info(struct pinring_region *region, const char *name,
		       struct pinring_chain_info *out)
{
	struct pinring_chain_info info = PINRING_INIT(struct pinring_chain_info);
	struct pinring_chain_header copy, *h;
	struct pinring_chain_shape s;
	int rc = sealed_open(region, name, &copy, &s, &h);

	if (rc)
		return rc;
	/* acquire: the note of the move that tail names */
	copy.head = __atomic_load_n(&h->head, __ATOMIC_ACQUIRE);
	copy.tail = __atomic_load_n(&h->tail, __ATOMIC_ACQUIRE);
	s.segment = segment_of(h, copy.tail);
	if (s.segment >= s.segments)
		return pinring_header_damaged(region, name);
	info.min_capacity = copy.min_capacity;
	info.max_capacity = copy.max_capacity;
	info.capacity = capacity_of(&s, s.segment);
	info.count = pinring_chain_slots(copy.head, copy.tail);
	/* head was read first: tail may have run ahead of it meanwhile. */
	if (info.count > info.capacity)
		info.count = info.capacity;
	info.pending = (copy.tail - copy.head) % PINRING_CHAIN_MOVES;
	info.grown = __atomic_load_n(&h->grown, __ATOMIC_RELAXED);
	info.shrunk = __atomic_load_n(&h->shrunk, __ATOMIC_RELAXED);
	info.peak = get(&h->peak);
	info.moved_ns = get(&h->moved_ns);
	info.fill = (uint32_t)(get(&h->fill) * 1000 >> FILL_SHIFT);
	return pinring_give_info(region->device, out, &info, sizeof(info),
				 "pinring_chain_info");
}
