/* SPDX-License-Identifier: MIT */
/*
 * duplex_slot.h - a duplex slot with both sides open, a new one and one at the end
 * of its numbers, for duplex.c and duplex_death.c.
 */
#ifndef SELFTESTS_DUPLEX_SLOT_H
#define SELFTESTS_DUPLEX_SLOT_H

#include <pinring/pinring.h>

#include "items.h"

#define BYTES PINRING_DUPLEX_PAYLOAD
#define WORDS PINRING_LINE_WORDS
#define SECOND 1000000000ll

FIXTURE(duplex)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_duplex *shared;
	struct pinring_duplex_caller c;
	struct pinring_duplex_server s;
};

FIXTURE_VARIANT(duplex)
{
	uint64_t calls; /* that have ended before */
};

FIXTURE_VARIANT_ADD(duplex, young) { 0 };
FIXTURE_VARIANT_ADD(duplex, old) { (1ull << 62) - 3 };

FIXTURE_SETUP(duplex)
{
	struct pinring_region_config config = pinring_region_defaults(1 << 16);
	struct pinring_object_info o;

	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->r));
	ASSERT_EQ(0, pinring_duplex_create(self->r, "slot"));
	EXPECT_EQ(-EEXIST, pinring_duplex_create(self->r, "slot"));
	ASSERT_EQ(0, pinring_object_find(self->r, "slot", &o));
	self->shared = pinring_region_at(self->r, o.offset, sizeof(*self->shared));
	self->shared->line.word = variant->calls << 2;
	ASSERT_EQ(0, pinring_duplex_caller_open(self->r, "slot", &self->c));
	ASSERT_EQ(0, pinring_duplex_server_open(self->r, "slot", &self->s));
}

FIXTURE_TEARDOWN(duplex)
{
	pinring_duplex_caller_close(&self->c);
	pinring_duplex_server_close(&self->s);
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

/* What the server of these tests makes of a request. */
static inline uint64_t answer_to(uint64_t request)
{
	return item_mix(~request);
}

static inline int post(struct pinring_duplex_caller *c, uint64_t name)
{
	uint64_t item[WORDS];

	item_fill(item, BYTES, name);
	return pinring_duplex_push(c, item);
}

/* The name of the reply, or UINT64_MAX - errno; UINT64_MAX: it is torn. */
static inline uint64_t poll_reply(struct pinring_duplex_caller *c)
{
	uint64_t item[WORDS] = { 0 };
	int rc = pinring_duplex_pop(c, item);

	if (rc)
		return UINT64_MAX + (uint64_t)(int64_t)rc;
	return item_is_whole(item, BYTES) ? item[0] : UINT64_MAX;
}

#define FAILED(error) (UINT64_MAX - (error))

/* Answers what is there. 0, or what peek returned; -EBADMSG: it is torn. */
static inline int serve(struct pinring_duplex_server *s)
{
	const void *request = NULL;
	uint64_t item[WORDS];
	int rc = pinring_duplex_peek(s, &request);

	if (rc)
		return rc;
	if (!item_is_whole(request, BYTES))
		return -EBADMSG;
	item_fill(item, BYTES, answer_to(*(const uint64_t *)request));
	return pinring_duplex_answer(s, item);
}

#endif /* SELFTESTS_DUPLEX_SLOT_H */
