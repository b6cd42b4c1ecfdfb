// SPDX-License-Identifier: MIT
/* ring_chain.c - the resizable ring: create, open, move from segment to segment. */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <sys/vfs.h>

#include <pinring/ring_chain.h>
#include <pinring/ring_spsc.h>

#include "internal.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif
#define HUGETLBFS_TYPE 0x958458f6 /* HUGETLBFS_MAGIC of linux/magic.h */

#define CAPACITY_MAX (1ull << 32)
#define SLOT_MAX (1ull << 20)
#define INTERVAL_MAX (1u << 30)
#define WINDOW_MAX (1u << 20)
#define PAGE 4096ull
#define FILL_SHIFT 24
#define PATIENCE_MAX 64 /* windows */

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
static uint64_t capacity_of(const struct pinring_chain_shape *s, uint32_t segment)
{
	return 1ull << (s->min_shift + segment * s->factor_shift);
}

/* Where a segment begins, from the header; segments: where the last one ends. */
static uint64_t offset_of(const struct pinring_chain_shape *s,
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

/* The first and, in *bytes, the length of what it takes. */
static unsigned char *segment_at(struct pinring_chain_header *h,
				 const struct pinring_chain_shape *s,
				 uint64_t slot_bytes, uint32_t segment,
				 uint64_t *bytes)
{
	*bytes = capacity_of(s, segment) * slot_bytes;
	return (unsigned char *)h + offset_of(s, slot_bytes, segment);
}

static uint32_t log2_of(uint64_t power_of_two)
{
	return (uint32_t)__builtin_ctzll(power_of_two);
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

/* The same index, with other low bits. */
static uint64_t place_of(uint64_t place, uint32_t low)
{
	return place - pinring_chain_low(place) + low;
}

/* The one that the last of the moves at this place led to. */
static uint8_t segment_of(const struct pinring_chain_header *h, uint64_t place)
{
	const __u64 *move = &h->moves[place % PINRING_CHAIN_MOVES];

	return (uint8_t)pinring_chain_low(
		__atomic_load_n(move, __ATOMIC_RELAXED));
}

/* Moves between two places, the later one first. */
static uint32_t moves_between(uint64_t later, uint64_t earlier)
{
	return (uint32_t)(later - earlier) % PINRING_CHAIN_MOVES;
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
				   offset_of(&s, c.slot_bytes, s.segments),
				   c.max_capacity * c.slot_bytes >= PAGE ?
					   PAGE :
					   PINRING_SEPARATION,
				   &o);
	if (rc)
		return rc;
	h = (void *)(region->base + o.offset);
	memcpy(h, &init, offsetof(struct pinring_chain_header, seal));
	h->moves[0] = place_of(0, first);
	/* release: pairs with the acquire in sealed_open() */
	__atomic_store_n(&h->seal, init.seal, __ATOMIC_RELEASE);
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

	rc = pinring_object_open(region, name, PINRING_OBJECT_CHAIN, sizeof(*h),
				 &o);
	if (rc)
		return rc;
	h = (void *)(region->base + o.offset);
	copy->seal = __atomic_load_n(&h->seal, __ATOMIC_ACQUIRE);
	if (!copy->seal)
		return pinring_fail(region->device, -EAGAIN,
				    "%s is being created, or its creator died doing so",
				    name);
	memcpy(copy, h, offsetof(struct pinring_chain_header, seal));
	rc = copy->magic == PINRING_CHAIN_MAGIC && !sealed_wrong(copy, s) &&
	     offset_of(s, copy->slot_bytes, s->segments) <= o.length &&
	     copy->seal == seal_of(copy);
	for (i = 0; i < sizeof(copy->reserved) / sizeof(*copy->reserved); i++)
		rc = rc && !copy->reserved[i];
	if (!rc)
		return pinring_fail(region->device, -EINVAL,
				    "%s: its ring header is damaged", name);
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
		return pinring_fail(region->device, -EINVAL,
				    "%s: its ring header is damaged", name);
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

static uint64_t lazy_of(uint64_t capacity)
{
	return capacity >= 32 ? capacity / 16 : 1;
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
	__u64 *count = segment > p->shape.segment ? &h->grown : &h->shrunk;
	uint64_t bytes;

	p->fell = segment < p->shape.segment;
	p->above = 0;
	p->below = 0;
	set(&h->moves[next], place_of(p->write, segment));
	set(count, __atomic_load_n(count, __ATOMIC_RELAXED) + 1);
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
		if (!grow(p, pending))
			return want ? -EAGAIN : 0;
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
static bool is_hugetlb(const struct pinring_region *region)
{
	struct statfs fs;

	return fstatfs(region->fd, &fs) == 0 && fs.f_type == HUGETLBFS_TYPE;
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
	if (is_hugetlb(p->region))
		return 0;
	for (i = 0; !rc && i < p->shape.segments; i++)
		if (!(busy >> i & 1))
			rc = give_pages_back(p, i);
	errno = saved;
	return rc;
}

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
		return pinring_fail(region->device, -EINVAL,
				    "%s: its ring header is damaged", name);
	info.min_capacity = copy.min_capacity;
	info.max_capacity = copy.max_capacity;
	info.capacity = capacity_of(&s, s.segment);
	info.count = pinring_chain_slots(copy.head, copy.tail);
	/* head was read first: tail may have run ahead of it meanwhile. */
	if (info.count > info.capacity)
		info.count = info.capacity;
	info.pending = (copy.tail - copy.head) % PINRING_CHAIN_MOVES;
	info.grown = get(&h->grown);
	info.shrunk = get(&h->shrunk);
	info.peak = get(&h->peak);
	info.moved_ns = get(&h->moved_ns);
	info.fill = (uint32_t)(get(&h->fill) * 1000 >> FILL_SHIFT);
	return pinring_give_info(region->device, out, &info, sizeof(info),
				 "pinring_chain_info");
}
