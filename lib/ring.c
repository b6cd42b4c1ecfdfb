// SPDX-License-Identifier: MIT
/* ring.c - rings as objects of a region: create, check, open a side. */
#include <pinring/ring.h>

#include "internal.h"

static bool zeros(const __u64 *words, size_t n)
{
	while (n--)
		if (*words++)
			return false;
	return true;
}

/* ------------------------------------------------------------------- SPSC */
#define SPSC_CAPACITY_MAX (1ull << 32)
#define SPSC_SLOT_MAX (1ull << 20)

static bool spsc_shape_sane(uint64_t capacity, uint64_t slot_bytes)
{
	return pinring_power_of_two(capacity) && capacity >= 2 &&
	       capacity <= SPSC_CAPACITY_MAX && slot_bytes &&
	       slot_bytes % 8 == 0 && slot_bytes <= SPSC_SLOT_MAX;
}

static uint64_t spsc_seal(const struct pinring_spsc_header *h)
{
	return pinring_hash(h, offsetof(struct pinring_spsc_header, seal));
}

int pinring_spsc_create(struct pinring_region *region, const char *name,
			uint64_t capacity, uint64_t slot_bytes)
{
	struct pinring_spsc_header *h, init = { 0 };
	struct pinring_object_info o;
	int rc;

	if (!spsc_shape_sane(capacity, slot_bytes))
		return pinring_fail(region->device, -EINVAL,
				    "%s: %llu slots of %llu bytes: give a power of two from 2 to 2^32, and a multiple of 8 up to 2^20",
				    name, (unsigned long long)capacity,
				    (unsigned long long)slot_bytes);
	rc = pinring_object_create(region, name, PINRING_OBJECT_SPSC,
				   sizeof(*h) + capacity * slot_bytes,
				   PINRING_SEPARATION, &o);
	if (rc)
		return rc;
	init.magic = PINRING_SPSC_MAGIC;
	init.capacity = capacity;
	init.slot_bytes = slot_bytes;
	init.slots_offset = sizeof(*h);
	init.seal = spsc_seal(&init);
	h = (void *)(region->base + o.offset);
	pinring_header_publish(h, &init);
	return 0;
}

/* Copies the sealed part, checks it, and returns where the header is. */
static int spsc_open(struct pinring_region *region, const char *name,
		     struct pinring_spsc_header *copy,
		     struct pinring_spsc_header **shared)
{
	struct pinring_object_info o;
	struct pinring_spsc_header *h;
	int rc;

	rc = pinring_header_open(region, name, PINRING_OBJECT_SPSC,
				 sizeof(*h), copy, &o);
	if (rc)
		return rc;
	h = (void *)(region->base + o.offset);
	copy->tail = __atomic_load_n(&h->tail, __ATOMIC_ACQUIRE);
	copy->head = __atomic_load_n(&h->head, __ATOMIC_ACQUIRE);
	if (copy->magic != PINRING_SPSC_MAGIC ||
	    !spsc_shape_sane(copy->capacity, copy->slot_bytes) ||
	    copy->slots_offset != sizeof(*h) ||
	    copy->capacity * copy->slot_bytes > o.length - sizeof(*h) ||
	    !zeros(copy->reserved, 11) || copy->seal != spsc_seal(copy) ||
	    copy->tail - copy->head > copy->capacity ||
	    __atomic_load_n(&h->producer_closed, __ATOMIC_RELAXED) > 1 ||
	    __atomic_load_n(&h->consumer_closed, __ATOMIC_RELAXED) > 1)
		return pinring_header_damaged(region, name);
	*shared = h;
	pinring_wait_join();
	return 0;
}

int pinring_spsc_producer_open(struct pinring_region *region, const char *name,
			       struct pinring_spsc_producer *p)
{
	struct pinring_spsc_header copy, *shared;
	int rc = spsc_open(region, name, &copy, &shared);

	if (rc)
		return rc;
	*p = (struct pinring_spsc_producer){
		.write = copy.tail,
		.limit = copy.head + copy.capacity,
		.mask = copy.capacity - 1,
		.slot_bytes = copy.slot_bytes,
		.slots = (unsigned char *)shared + sizeof(*shared),
		.shared = shared,
		.region = pinring_region_get(region),
	};
	return 0;
}

/* How many slots a consumer gives back at a time. */
static uint64_t lazy_of(uint64_t capacity)
{
	return capacity >= 16 ? capacity / 8 : 1;
}

int pinring_spsc_consumer_open(struct pinring_region *region, const char *name,
			       struct pinring_spsc_consumer *c)
{
	struct pinring_spsc_header copy, *shared;
	int rc = spsc_open(region, name, &copy, &shared);

	if (rc)
		return rc;
	*c = (struct pinring_spsc_consumer){
		.read = copy.head,
		.tail = copy.tail,
		.due = copy.head + lazy_of(copy.capacity),
		.lazy = lazy_of(copy.capacity),
		.mask = copy.capacity - 1,
		.slot_bytes = copy.slot_bytes,
		.slots = (unsigned char *)shared + sizeof(*shared),
		.shared = shared,
		.region = pinring_region_get(region),
	};
	return 0;
}

void pinring_spsc_producer_close(struct pinring_spsc_producer *p)
{
	pinring_region_close(p->region);
	memset(p, 0, sizeof(*p));
}

void pinring_spsc_consumer_close(struct pinring_spsc_consumer *c)
{
	pinring_spsc_flush(c);
	pinring_region_close(c->region);
	memset(c, 0, sizeof(*c));
}

/* ------------------------------------------------------------ device ring */
#define DEVICE_CAPACITY_MAX (1ull << 24)

static uint64_t device_seal(const struct pinring_device_ring_header *h)
{
	return pinring_hash(h,
			    offsetof(struct pinring_device_ring_header, seal));
}

int pinring_device_ring_create(struct pinring_region *region, const char *name,
			       uint64_t capacity)
{
	struct pinring_device_ring_header *h, init = { 0 };
	struct pinring_object_info o;
	int rc;

	if (!pinring_power_of_two(capacity) || capacity < 2 ||
	    capacity > DEVICE_CAPACITY_MAX)
		return pinring_fail(region->device, -EINVAL,
				    "%s: %llu slots is not a power of two from 2 to 2^24",
				    name, (unsigned long long)capacity);
	rc = pinring_object_create(region, name, PINRING_OBJECT_DEVICE_RING,
				   sizeof(*h) + capacity *
						sizeof(struct pinring_device_slot),
				   PINRING_SEPARATION, &o);
	if (rc)
		return rc;
	init.magic = PINRING_DEVICE_RING_MAGIC;
	init.capacity = capacity;
	init.slots_offset = sizeof(*h);
	init.seal = device_seal(&init);
	h = (void *)(region->base + o.offset);
	pinring_header_publish(h, &init);
	return 0;
}

static int device_open(struct pinring_region *region, const char *name,
		       struct pinring_device_ring_header *copy,
		       struct pinring_device_ring_header **shared)
{
	struct pinring_device_ring_header *h;
	struct pinring_object_info o;
	int rc;

	rc = pinring_header_open(region, name, PINRING_OBJECT_DEVICE_RING,
				 sizeof(*h), copy, &o);
	if (rc)
		return rc;
	h = (void *)(region->base + o.offset);
	copy->head = __atomic_load_n(&h->head, __ATOMIC_ACQUIRE);
	if (copy->magic != PINRING_DEVICE_RING_MAGIC ||
	    !pinring_power_of_two(copy->capacity) || copy->capacity < 2 ||
	    copy->capacity > DEVICE_CAPACITY_MAX ||
	    copy->slots_offset != sizeof(*h) ||
	    copy->capacity * sizeof(struct pinring_device_slot) >
		    o.length - sizeof(*h) ||
	    !zeros(copy->reserved, 12) || copy->seal != device_seal(copy))
		return pinring_header_damaged(region, name);
	*shared = h;
	return 0;
}

int pinring_device_consumer_open(struct pinring_region *region,
				 const char *name,
				 struct pinring_device_consumer *c)
{
	struct pinring_device_ring_header copy, *shared;
	int rc = device_open(region, name, &copy, &shared);

	if (rc)
		return rc;
	*c = (struct pinring_device_consumer){
		.slots = (void *)((unsigned char *)shared + sizeof(*shared)),
		.head = &shared->head,
		.capacity = copy.capacity,
		.shift = (uint64_t)__builtin_ctzll(copy.capacity),
		.index = copy.head,
		.published = copy.head,
	};
	return 0;
}

/*
 * An earlier producer died in mid-message: its words carry the lap already, and
 * among those of the message that takes their place they would pass for its
 * own. One word of this slot is missing, so nobody reads it meanwhile.
 */
static void retract(const struct pinring_device_consumer *reader)
{
	struct pinring_device_slot *slot =
		&reader->slots[reader->index & (reader->capacity - 1)];
	__u64 lap = pinring_device_lap(reader->index, reader->shift);
	__u64 before = lap - (1ull << PINRING_WORD_BITS);
	int w;

	for (w = 0; w < PINRING_SLOT_WORDS; w++)
		if ((pinring_load_word(&slot->word[w]) ^ lap) <=
		    PINRING_WORD_MASK)
			pinring_store_word(&slot->word[w], before);
}

int pinring_device_producer_open(struct pinring_region *region,
				 const char *name,
				 struct pinring_device_producer *p)
{
	struct pinring_device_ring_header copy, *shared;
	struct pinring_device_consumer reader;
	__u64 payload[PINRING_SLOT_WORDS];
	uint64_t i;
	int rc = device_open(region, name, &copy, &shared);

	if (rc)
		return rc;
	/* Walk over what an earlier producer sent and nobody has read. */
	reader = (struct pinring_device_consumer){
		.slots = (void *)((unsigned char *)shared + sizeof(*shared)),
		.capacity = copy.capacity,
		.shift = (uint64_t)__builtin_ctzll(copy.capacity),
		.index = copy.head,
	};
	for (i = 0; i < copy.capacity; i++) {
		if (!pinring_device_peek(&reader, payload))
			break;
		reader.index++;
	}
	if (i < copy.capacity)
		retract(&reader);
	*p = (struct pinring_device_producer){
		.slots = reader.slots,
		.head = &shared->head,
		.capacity = copy.capacity,
		.shift = reader.shift,
		.index = reader.index,
		.credit = copy.head,
	};
	return 0;
}
