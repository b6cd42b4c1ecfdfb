/* SPDX-License-Identifier: MIT */
/*
 * executor_fixture.h - an executor to be made, a region with what commands need, and
 * simple commands; after the harness.
 */
#ifndef PINRING_TEST_EXECUTOR_FIXTURE_H
#define PINRING_TEST_EXECUTOR_FIXTURE_H

#include <pinring/pinring.h>

#include "executor_kind.h"
#include "executor_test.h"

/* What only host threads do, or cannot. */
#define HOST_ONLY(why) \
	if (on_cuda()) { \
		SKIP(return, "on a GPU " why); \
	}

#define MIB (1ull << 20)
#define DEPTH 64u
#define FLOATS 100000u
#define ENDLESS (1ull << 40) /* steps: years */
#define BLOCK 200000u /* steps: many seconds in the large room */

FIXTURE(executor)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_executor_config config;
	struct pinring_executor *ex;
	struct pinring_wave wave;
	struct pinring_object_info data, in, out;
	float *at; /* data */
};

FIXTURE_SETUP(executor)
{
	struct pinring_region_config rc = pinring_region_defaults(8 * MIB);

	rc.flags = PINRING_REGION_SMALL_PAGES;
	self->ex = NULL;
	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &rc, &self->r));
	ASSERT_EQ(0, pinring_object_create(self->r, "data", PINRING_OBJECT_BYTES,
					   FLOATS * sizeof(float), 0, &self->data));
	ASSERT_EQ(0, pinring_object_create(self->r, "in", PINRING_OBJECT_BYTES,
					   BLOCK * sizeof(float), 0, &self->in));
	ASSERT_EQ(0, pinring_object_create(self->r, "out", PINRING_OBJECT_BYTES,
					   BLOCK * sizeof(float), 0, &self->out));
	ASSERT_EQ(0, pinring_wave_create(self->r, "room", 64, 64, 48, 0.5, 0.01,
					 &self->wave));
	self->at = pinring_region_at(self->r, self->data.offset, self->data.length);
	self->config = pinring_executor_defaults();
	self->config.kind = executor_kind();
	self->config.depth = DEPTH;
}

FIXTURE_TEARDOWN(executor)
{
	pinring_executor_close(self->ex, 0);
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

#define CREATE() pinring_executor_create(self->device, &self->config, &self->ex)
#define START() pinring_executor_start(self->device, &self->config, &self->ex)
#define ATTACH() pinring_executor_attach(self->ex, self->r)

static inline struct pinring_command nop(uint32_t id)
{
	return (struct pinring_command){ .id = id, .operation = PINRING_OP_NOP };
}

static inline struct pinring_command bad(uint32_t id)
{
	return (struct pinring_command){ .id = id, .operation = 999 };
}

/* Of the region attached first. */
static inline struct pinring_command fill(uint32_t id, uint64_t offset, uint64_t count,
					  float value)
{
	return (struct pinring_command){
		.id = id, .operation = PINRING_OP_FILL, .count = count,
		.dst = { .offset = offset }, .s0 = value,
	};
}

static inline struct pinring_command steps(uint32_t id, const struct pinring_wave *wave,
					   uint64_t count)
{
	return (struct pinring_command){
		.id = id, .operation = PINRING_OP_WAVE_STEP, .count = count,
		.a = { .offset = wave->offset },
	};
}

static inline int submit_nop(struct pinring_executor *ex, uint32_t id, uint64_t *ticket)
{
	struct pinring_command c = nop(id);

	return pinring_executor_submit(ex, &c, ticket);
}

#endif /* PINRING_TEST_EXECUTOR_FIXTURE_H */
