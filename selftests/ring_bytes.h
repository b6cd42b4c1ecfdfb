/* SPDX-License-Identifier: MIT */
/* ring_bytes.h - messages of any length that tell their number, and a ring. */
#ifndef SELFTESTS_RING_BYTES_H
#define SELFTESTS_RING_BYTES_H

#include <kselftest_harness.h>

#include <pinring/pinring.h>

#include "items.h"
#include "take_cpu.h"

/* Message number `index` of `bytes`: every byte depends on both. */
static inline uint64_t word_of(uint64_t bytes, uint64_t index, uint64_t i)
{
	return item_mix(index + (i << 48)) ^ item_mix(~bytes);
}

static inline void fill(void *message, uint64_t bytes, uint64_t index)
{
	unsigned char *to = message;

	for (uint64_t i = 0; i < bytes; i += 8) {
		uint64_t word = word_of(bytes, index, i / 8);

		memcpy(to + i, &word, bytes - i < 8 ? bytes - i : 8);
	}
}

static inline bool filled(const void *message, uint64_t bytes, uint64_t index)
{
	const unsigned char *from = message;

	for (uint64_t i = 0; i < bytes; i += 8) {
		uint64_t word = word_of(bytes, index, i / 8);

		if (memcmp(from + i, &word, bytes - i < 8 ? bytes - i : 8))
			return false;
	}
	return true;
}

#define CAPACITY 256u /* its lazy release is of 32 bytes */
#define LIMIT 120u

FIXTURE(ring)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_bytes_header *shared;
	unsigned char *records;
	struct pinring_bytes_producer p;
	struct pinring_bytes_consumer c;
};

typedef FIXTURE_DATA(ring) ring;

static inline void open_both(struct __test_metadata *_metadata, ring *self)
{
	ASSERT_EQ(0, pinring_bytes_producer_open(self->r, "ring", &self->p));
	ASSERT_EQ(0, pinring_bytes_consumer_open(self->r, "ring", &self->c));
}

static inline void close_both(ring *self)
{
	pinring_bytes_producer_close(&self->p);
	pinring_bytes_consumer_close(&self->c);
}

/* As if `position` bytes had gone through. */
static inline void age(struct __test_metadata *_metadata, ring *self, uint64_t position)
{
	close_both(self);
	self->shared->head = position;
	self->shared->tail = position;
	open_both(_metadata, self);
}

FIXTURE_SETUP(ring)
{
	struct pinring_region_config config = pinring_region_defaults(1 << 20);
	struct pinring_object_info o;

	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->r));
	ASSERT_EQ(0, pinring_bytes_create(self->r, "ring", CAPACITY));
	ASSERT_EQ(0, pinring_object_find(self->r, "ring", &o));
	self->shared = pinring_region_at(self->r, o.offset, sizeof(*self->shared));
	self->records = (unsigned char *)self->shared + sizeof(*self->shared);
	open_both(_metadata, self);
}

FIXTURE_TEARDOWN(ring)
{
	close_both(self);
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

/* Pushes up to n messages of `bytes`, numbered from `first`; how many went. */
static inline uint64_t push_up_to(ring *self, uint64_t bytes, uint64_t first, uint64_t n)
{
	unsigned char message[LIMIT];
	uint64_t sent;

	for (sent = 0; sent < n; sent++) {
		fill(message, bytes, first + sent);
		if (pinring_bytes_push(&self->p, message, bytes))
			break;
	}
	return sent;
}

static inline uint64_t pop_up_to(ring *self, uint64_t bytes, uint64_t first, uint64_t n)
{
	unsigned char message[LIMIT];
	uint64_t got;

	for (got = 0; got < n; got++) {
		uint64_t length = sizeof(message);

		if (pinring_bytes_pop(&self->c, message, &length))
			break;
		if (length != bytes || !filled(message, bytes, first + got))
			return UINT64_MAX;
	}
	return got;
}

#endif /* SELFTESTS_RING_BYTES_H */
