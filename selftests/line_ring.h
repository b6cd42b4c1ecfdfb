/* SPDX-License-Identifier: MIT */
/*
 * line_ring.h - a ring of 32 lines with both sides open, at three ages, for
 * ring_line.c and ring_line_broken.c.
 */
#ifndef SELFTESTS_LINE_RING_H
#define SELFTESTS_LINE_RING_H

#include <pinring/pinring.h>

#include "items.h"

#define BYTES PINRING_LINE_PAYLOAD
#define WORDS PINRING_LINE_WORDS
#define CAPACITY 32u /* its lazy release is of 4 */

/* As if that many messages had come and gone. */
static void age(struct pinring_line_header *h, uint64_t index)
{
	struct pinring_line *lines = (struct pinring_line *)(h + 1);

	h->head = index;
	/* Those before it in the array are of the next lap. */
	for (uint64_t i = 0; i < h->capacity; i++, index++)
		lines[index & (h->capacity - 1)].word =
			index & ~(h->capacity - 1);
}

static inline bool is_item(const void *item, uint64_t name)
{
	return *(const uint64_t *)item == name && item_is_whole(item, BYTES);
}

FIXTURE(ring)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_line_header *header;
	struct pinring_line *lines;
	struct pinring_line_producer p;
	struct pinring_line_consumer c;
};

FIXTURE_VARIANT(ring)
{
	uint64_t first; /* index of the ring's life */
};

FIXTURE_VARIANT_ADD(ring, young) { 0 };
FIXTURE_VARIANT_ADD(ring, before_the_end) { 0 - 2 * CAPACITY };
FIXTURE_VARIANT_ADD(ring, over_the_end) { 0 - 5ull };

static void open_both(struct __test_metadata *_metadata, FIXTURE_DATA(ring) *self)
{
	ASSERT_EQ(0, pinring_line_producer_open(self->r, "ring", &self->p));
	ASSERT_EQ(0, pinring_line_consumer_open(self->r, "ring", &self->c));
}

static void close_both(FIXTURE_DATA(ring) *self)
{
	pinring_line_producer_close(&self->p);
	pinring_line_consumer_close(&self->c);
}

FIXTURE_SETUP(ring)
{
	struct pinring_region_config config = pinring_region_defaults(1 << 17);
	struct pinring_object_info o;

	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->r));
	ASSERT_EQ(0, pinring_line_create(self->r, "ring", CAPACITY));
	ASSERT_EQ(0, pinring_object_find(self->r, "ring", &o));
	EXPECT_EQ(sizeof(*self->header) + CAPACITY * 64, o.length);
	self->header = pinring_region_at(self->r, o.offset, o.length);
	self->lines = (struct pinring_line *)(self->header + 1);
	age(self->header, variant->first);
	open_both(_metadata, self);
}

FIXTURE_TEARDOWN(ring)
{
	close_both(self);
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

/* Pushes n items named by their index, or says where it stopped. */
static uint64_t push_up_to(struct pinring_line_producer *p, uint64_t n)
{
	uint64_t sent, item[WORDS];

	for (sent = 0; sent < n; sent++) {
		item_fill(item, BYTES, p->write);
		if (pinring_line_push(p, item))
			break;
	}
	return sent;
}

/* Pops n; each must be what push_up_to() put under its index. */
static uint64_t pop_up_to(struct pinring_line_consumer *c, uint64_t n)
{
	uint64_t got, item[WORDS];

	for (got = 0; got < n; got++) {
		uint64_t index = c->read;

		if (pinring_line_pop(c, item))
			break;
		if (!is_item(item, index))
			return UINT64_MAX;
	}
	return got;
}

#endif /* SELFTESTS_LINE_RING_H */
