// SPDX-License-Identifier: MIT
/* ring_bytes.c - the byte ring: create, check, open a side. */
#include <pinring/ring_bytes.h>

#include "internal.h"

#define CAPACITY_MIN 64ull
#define CAPACITY_MAX (1ull << 40)

static bool shape_sane(uint64_t capacity)
{
	return pinring_power_of_two(capacity) && capacity >= CAPACITY_MIN &&
	       capacity <= CAPACITY_MAX;
}

/* The sealed part, as it has to be for this shape. */
static void lay_out(struct pinring_bytes_header *h, uint64_t capacity)
{
	*h = (struct pinring_bytes_header){
		.magic = PINRING_BYTES_MAGIC,
		.capacity = capacity,
		.records_offset = sizeof(*h),
	};
	h->seal = pinring_hash(h, offsetof(struct pinring_bytes_header, seal));
}

int pinring_bytes_create(struct pinring_region *region, const char *name,
			 uint64_t capacity)
{
	struct pinring_bytes_header *h, init;
	struct pinring_object_info o;
	int rc;

	if (!shape_sane(capacity))
		return pinring_fail(region->device, -EINVAL,
				    "%s: %llu bytes is not a power of two from 64 to 2^40",
				    name, (unsigned long long)capacity);
	lay_out(&init, capacity);
	rc = pinring_object_create(region, name, PINRING_OBJECT_BYTE_RING,
				   sizeof(*h) + capacity, PINRING_SEPARATION,
				   &o);
	if (rc)
		return rc;
	h = (void *)(region->base + o.offset);
	pinring_header_publish(h, &init);
	return 0;
}

/* The positions as they stand; every record begins at a multiple of 8. */
static bool positions_sane(const struct pinring_bytes_header *h)
{
	return h->tail - h->head <= h->capacity && h->tail % 8 == 0 &&
	       h->head % 8 == 0;
}

/* Copies the sealed part, checks it, and returns where the header is. */
static int side_open(struct pinring_region *region, const char *name,
		     struct pinring_bytes_header *copy,
		     struct pinring_bytes_header **shared)
{
	struct pinring_bytes_header *h, expected;
	struct pinring_object_info o;
	int rc;

	rc = pinring_header_open(region, name, PINRING_OBJECT_BYTE_RING,
				 sizeof(*h), copy, &o);
	if (rc)
		return rc;
	h = (void *)(region->base + o.offset);
	copy->tail = __atomic_load_n(&h->tail, __ATOMIC_ACQUIRE);
	copy->head = __atomic_load_n(&h->head, __ATOMIC_ACQUIRE);
	lay_out(&expected, copy->capacity);
	if (!shape_sane(copy->capacity) ||
	    memcmp(copy, &expected,
		   offsetof(struct pinring_bytes_header, tail)) ||
	    copy->capacity > o.length - sizeof(*h) || !positions_sane(copy) ||
	    __atomic_load_n(&h->producer_closed, __ATOMIC_RELAXED) > 1 ||
	    __atomic_load_n(&h->consumer_closed, __ATOMIC_RELAXED) > 1)
		return pinring_header_damaged(region, name);
	*shared = h;
	pinring_wait_join();
	return 0;
}

int pinring_bytes_producer_open(struct pinring_region *region, const char *name,
				struct pinring_bytes_producer *p)
{
	struct pinring_bytes_header copy, *shared;
	int rc = side_open(region, name, &copy, &shared);

	if (rc)
		return rc;
	*p = (struct pinring_bytes_producer){
		.write = copy.tail,
		.record = copy.tail,
		.published = copy.tail,
		.head = copy.head,
		.mask = copy.capacity - 1,
		.records = (unsigned char *)shared + sizeof(*shared),
		.shared = shared,
		.region = pinring_region_get(region),
	};
	return 0;
}

int pinring_bytes_consumer_open(struct pinring_region *region, const char *name,
				struct pinring_bytes_consumer *c)
{
	struct pinring_bytes_header copy, *shared;
	int rc = side_open(region, name, &copy, &shared);

	if (rc)
		return rc;
	*c = (struct pinring_bytes_consumer){
		.read = copy.head,
		.next = copy.head,
		.tail = copy.tail,
		.released = copy.head,
		.lazy = copy.capacity / 8,
		.mask = copy.capacity - 1,
		.records = (unsigned char *)shared + sizeof(*shared),
		.shared = shared,
		.region = pinring_region_get(region),
	};
	return 0;
}

void pinring_bytes_producer_close(struct pinring_bytes_producer *p)
{
	if (p->published != p->write)
		pinring_bytes_publish(p);
	pinring_region_close(p->region);
	memset(p, 0, sizeof(*p));
}

void pinring_bytes_consumer_close(struct pinring_bytes_consumer *c)
{
	pinring_bytes_flush(c);
	pinring_region_close(c->region);
	memset(c, 0, sizeof(*c));
}
