// SPDX-License-Identifier: MIT
/* ring_line.c - the ring of cache lines: create, open a side, wait. */
#include <pinring/ring_line.h>

#include "internal.h"

#define CAPACITY_MAX (1ull << 32)

static bool capacity_sane(uint64_t capacity)
{
	return pinring_power_of_two(capacity) && capacity >= 2 &&
	       capacity <= CAPACITY_MAX;
}

static uint64_t bytes_of(uint64_t capacity)
{
	return sizeof(struct pinring_line_header) +
	       capacity * sizeof(struct pinring_line);
}

/* The sealed part, as it has to be for this capacity. */
static void lay_out(struct pinring_line_header *h, uint64_t capacity)
{
	*h = (struct pinring_line_header){
		.magic = PINRING_LINE_MAGIC,
		.capacity = capacity,
		.lines_offset = sizeof(*h),
	};
	h->seal = pinring_hash(h, offsetof(struct pinring_line_header, seal));
}

int pinring_line_create(struct pinring_region *region, const char *name,
			uint64_t capacity)
{
	struct pinring_line_header *h, init;
	struct pinring_object_info o;
	int rc;

	if (!capacity_sane(capacity))
		return pinring_fail(region->device, -EINVAL,
				    "%s: %llu lines is not a power of two from 2 to 2^32",
				    name, (unsigned long long)capacity);
	lay_out(&init, capacity);
	rc = pinring_object_create(region, name, PINRING_OBJECT_LINE_RING,
				   bytes_of(capacity), PINRING_SEPARATION, &o);
	if (rc)
		return rc;
	/* New memory is zero: no line has a message, none was given back. */
	h = (void *)(region->base + o.offset);
	pinring_header_publish(h, &init);
	return 0;
}

/* Copies the sealed part, checks it, and returns where the header is. */
static int line_open(struct pinring_region *region, const char *name,
		     struct pinring_line_header *copy,
		     struct pinring_line_header **shared)
{
	struct pinring_line_header expected, *h;
	struct pinring_object_info o;
	int rc;

	rc = pinring_header_open(region, name, PINRING_OBJECT_LINE_RING,
				 sizeof(*h), copy, &o);
	if (rc)
		return rc;
	h = (void *)(region->base + o.offset);
	copy->head = __atomic_load_n(&h->head, __ATOMIC_ACQUIRE);
	lay_out(&expected, copy->capacity);
	if (!capacity_sane(copy->capacity) ||
	    memcmp(copy, &expected,
		   offsetof(struct pinring_line_header, sleepers)) ||
	    bytes_of(copy->capacity) > o.length ||
	    __atomic_load_n(&h->producer_closed, __ATOMIC_RELAXED) > 1 ||
	    __atomic_load_n(&h->consumer_closed, __ATOMIC_RELAXED) > 1)
		return pinring_header_damaged(region, name);
	*shared = h;
	pinring_wait_join();
	return 0;
}

static struct pinring_line *lines_of(struct pinring_line_header *h)
{
	return (void *)(h + 1);
}

/* The index behind the last whole message of an earlier producer. */
static int find_end(const struct pinring_line_producer *p, uint64_t *end)
{
	uint64_t i;

	for (i = p->head; i - p->head <= p->mask; i++) {
		/* acquire: what the dead one wrote goes before what we write */
		__u64 word = __atomic_load_n(&p->lines[i & p->mask].word,
					     __ATOMIC_ACQUIRE);

		if (word == pinring_line_empty(i, p->mask))
			break;
		if (word != pinring_line_full(i, p->mask))
			return -EPROTO;
	}
	*end = i;
	return 0;
}

int pinring_line_producer_open(struct pinring_region *region, const char *name,
			       struct pinring_line_producer *p)
{
	struct pinring_line_header copy, *shared;
	int rc = line_open(region, name, &copy, &shared);

	if (rc)
		return rc;
	*p = (struct pinring_line_producer){
		.head = copy.head,
		.mask = copy.capacity - 1,
		.lines = lines_of(shared),
		.shared = shared,
	};
	rc = find_end(p, &p->write);
	if (rc)
		return pinring_fail(region->device, rc,
				    "%s: a line is neither full nor empty",
				    name);
	p->region = pinring_region_get(region);
	return 0;
}

int pinring_line_consumer_open(struct pinring_region *region, const char *name,
			       struct pinring_line_consumer *c)
{
	struct pinring_line_header copy, *shared;
	int rc = line_open(region, name, &copy, &shared);

	if (rc)
		return rc;
	*c = (struct pinring_line_consumer){
		.read = copy.head,
		.released = copy.head,
		.lazy = copy.capacity >= 16 ? copy.capacity / 8 : 1,
		.mask = copy.capacity - 1,
		.lines = lines_of(shared),
		.shared = shared,
		.region = pinring_region_get(region),
	};
	return 0;
}

void pinring_line_producer_close(struct pinring_line_producer *p)
{
	if (p->region)
		pinring_region_close(p->region);
	memset(p, 0, sizeof(*p));
}

void pinring_line_consumer_close(struct pinring_line_consumer *c)
{
	if (c->region) {
		pinring_line_flush(c);
		pinring_region_close(c->region);
	}
	memset(c, 0, sizeof(*c));
}

/* ----------------------------------------------------------------- waiting */
static bool is_ready(const void *consumer)
{
	const struct pinring_line_consumer *c = consumer;

	return pinring_line_look(&c->lines[c->read & c->mask]) !=
		       pinring_line_empty(c->read, c->mask) ||
	       __atomic_load_n(&c->shared->producer_closed, __ATOMIC_RELAXED);
}

static bool is_roomy(const void *producer)
{
	const struct pinring_line_producer *p = producer;

	return p->write - __atomic_load_n(&p->shared->head, __ATOMIC_RELAXED) !=
		       p->mask + 1 ||
	       __atomic_load_n(&p->shared->consumer_closed, __ATOMIC_RELAXED);
}

struct pinring_wait
pinring_line_when_ready(const struct pinring_line_consumer *c)
{
	return (struct pinring_wait){
		.word = &c->shared->sleepers.ready,
		.line = &c->lines[c->read & c->mask].word,
		.over = is_ready,
		.side = c,
		.waited = &c->shared->received.waited,
	};
}

struct pinring_wait pinring_line_when_room(const struct pinring_line_producer *p)
{
	return (struct pinring_wait){
		.word = &p->shared->sleepers.room,
		.line = &p->shared->head,
		.over = is_roomy,
		.side = p,
		.waited = &p->shared->sent.waited,
	};
}

int pinring_line_push_wait(struct pinring_line_producer *p, const void *item,
			   int64_t timeout_ns)
{
	struct pinring_wait w = pinring_line_when_room(p);
	int rc = pinring_line_push(p, item);

	if (rc != -EAGAIN)
		return rc;
	rc = pinring_wait_any(&w, 1, NULL, timeout_ns);
	return rc < 0 ? rc : pinring_line_push(p, item);
}

int pinring_line_pop_wait(struct pinring_line_consumer *c, void *item,
			  int64_t timeout_ns)
{
	struct pinring_wait w = pinring_line_when_ready(c);
	int rc = pinring_line_pop(c, item);

	/* Twice at most: a last message can come between two looks of a pop. */
	while (rc == -EAGAIN) {
		rc = pinring_wait_any(&w, 1, NULL, timeout_ns);
		if (rc >= 0)
			rc = pinring_line_pop(c, item);
	}
	return rc;
}
