// SPDX-License-Identifier: MIT
/*
 * Users' kernels in the loop as a CUDA grid runs it (selftests/cuda/simt.h): all
 * lanes of all blocks call them, and meet at their barriers.
 */
#include <kselftest_harness.h>

#include <errno.h>

#include <pinring/pinring.h>

#include "cuda/rig.h"

#define HEADER ((uint64_t)PINRING_REGION_HEADER_BYTES)
#define FLOATS 6000u
#define BYTES (1u << 20)
#define OUT HEADER
#define IN (HEADER + FLOATS * sizeof(float))

FIXTURE(grid)
{
	unsigned char *memory;
	float *out, *in;
	struct rig *rig;
};

FIXTURE_VARIANT(grid)
{
	unsigned int blocks, threads;
};

FIXTURE_VARIANT_ADD(grid, one_block) { .blocks = 1, .threads = 64 };
FIXTURE_VARIANT_ADD(grid, three_blocks) { .blocks = 3, .threads = 64 };
FIXTURE_VARIANT_ADD(grid, two_large_blocks) { .blocks = 2, .threads = 256 };

static void add(struct rig *r, uint32_t operation, uint64_t operands)
{
	struct pinring_dynamic *d = &r->attachments.dynamic[operation % PINRING_DYNAMIC_MAX];

	d->element_bytes = 4;
	d->element_align = 4;
	d->operands = operands;
	pinring_store_word(&d->operation, operation);
}

FIXTURE_SETUP(grid)
{
	ASSERT_NE(NULL, self->memory = aligned_alloc(4096, BYTES));
	self->out = (float *)(void *)(self->memory + OUT);
	self->in = (float *)(void *)(self->memory + IN);
	for (uint32_t i = 0; i < 2 * FLOATS; i++)
		self->in[i] = (float)(i % 1000);
	ASSERT_NE(NULL, self->rig = rig_new(RIG_SLOTS, variant->blocks));
	rig_attach(self->rig, self->memory, BYTES);
	add(self->rig, PINRING_OP_DYNAMIC, 7);
	add(self->rig, PINRING_OP_DYNAMIC + 1, 3);
	ASSERT_TRUE(rig_launch(self->rig, variant->blocks, variant->threads));
	rig_wish(self->rig, PINRING_STATE_ACTIVE);
	/* One more, while it runs. */
	add(self->rig, PINRING_OP_DYNAMIC + 2, 1);
}

FIXTURE_TEARDOWN(grid)
{
	EXPECT_TRUE(rig_free(self->rig));
	free(self->memory);
}

static struct pinring_command whole(uint32_t operation, uint64_t count)
{
	return (struct pinring_command){
		.id = 77, .operation = (uint16_t)operation, .count = count,
		.dst = { .offset = OUT }, .a = { .offset = IN },
		.b = { .offset = IN + FLOATS * sizeof(float) }, .s0 = 0.25f,
	};
}

TEST_F(grid, every_element_is_computed_once)
{
	static const uint64_t counts[] = { 0, 1, 15, 16, 17, 63, 64, 65, 2047, 2048, 5003 };
	const uint32_t *seen = (const void *)self->out;
	struct pinring_completion done;
	struct pinring_command c;

	for (size_t n = 0; n < ARRAY_SIZE(counts); n++) {
		/* Small ones are block 0's alone. */
		uint32_t blocks = counts[n] < 2048 ? 1 : variant->blocks;
		uint32_t wrong = 0;

		memset(self->out, 0, FLOATS * sizeof(float));
		c = whole(PINRING_OP_DYNAMIC + 2, counts[n]);
		ASSERT_TRUE(rig_call(self->rig, &c, &done));
		EXPECT_EQ(0, done.status);
		EXPECT_EQ(counts[n], done.done);
		for (uint32_t i = 0; i < FLOATS; i++)
			wrong += seen[i] != (i < counts[n] ? blocks << 16 | 1u : 0);
		EXPECT_EQ(0, wrong) {
			TH_LOG("n = %llu", (unsigned long long)counts[n]);
		}
	}
}

TEST_F(grid, the_example_runs_as_it_is)
{
	struct pinring_command c = whole(PINRING_OP_DYNAMIC, FLOATS);
	struct pinring_completion done;
	uint32_t wrong = 0;

	ASSERT_TRUE(rig_call(self->rig, &c, &done));
	EXPECT_EQ(0, done.status);
	for (uint32_t i = 0; i < FLOATS; i++)
		wrong += self->out[i] != self->in[i] * 0.25f + self->in[FLOATS + i] * 0.75f;
	EXPECT_EQ(0, wrong);
}

TEST_F(grid, a_barrier_is_one_for_all_lanes_of_all_blocks)
{
	const uint32_t *x = (const void *)self->out;
	struct pinring_completion done;
	struct pinring_command c;

	for (uint64_t count = 100; count <= 5100; count += 5000) {
		uint32_t wrong = 0;

		c = whole(PINRING_OP_DYNAMIC + 1, count);
		ASSERT_TRUE(rig_call(self->rig, &c, &done));
		EXPECT_EQ(0, done.status);
		for (uint32_t i = 0; i < count; i++)
			wrong += x[i] != i + 10;
		EXPECT_EQ(0, wrong) {
			TH_LOG("n = %llu", (unsigned long long)count);
		}
	}
}

void later_passes(const struct pinring_kernel_args *args); /* kernels.cu */

TEST_F(grid, one_that_came_later_is_called_where_it_is)
{
	struct pinring_dynamic *d = &self->rig->attachments.dynamic[4];
	const uint32_t *x = (const void *)self->out;
	struct pinring_completion done;
	struct pinring_command c;
	uint32_t wrong = 0;

	/* No operation that the loop was linked with. */
	d->entry = later_passes;
	add(self->rig, PINRING_OP_DYNAMIC / PINRING_DYNAMIC_MAX * PINRING_DYNAMIC_MAX +
			       PINRING_DYNAMIC_MAX + 4, 3);
	for (uint64_t count = 100; count <= 5100; count += 5000) {
		c = whole((uint32_t)d->operation, count);
		ASSERT_TRUE(rig_call(self->rig, &c, &done));
		EXPECT_EQ(0, done.status);
		for (uint32_t i = 0; i < count; i++)
			wrong += x[i] != i + 10;
	}
	EXPECT_EQ(0, wrong);
	/* Those that it was linked with are called as ever. */
	c = whole(PINRING_OP_DYNAMIC, FLOATS);
	ASSERT_TRUE(rig_call(self->rig, &c, &done));
	for (uint32_t i = 0; i < FLOATS; i++)
		wrong += self->out[i] != self->in[i] * 0.25f + self->in[FLOATS + i] * 0.75f;
	EXPECT_EQ(0, wrong);
}

TEST_F(grid, what_is_not_registered_or_leaves_its_region_is_refused)
{
	struct pinring_completion done;
	struct pinring_command c;

	c = whole(PINRING_OP_DYNAMIC + 3, 10);
	ASSERT_TRUE(rig_call(self->rig, &c, &done));
	EXPECT_EQ(PINRING_REASON_OPERATION, done.reason);
	/* Of its place, but not of its number. */
	c = whole(PINRING_OP_DYNAMIC + PINRING_DYNAMIC_MAX, 10);
	ASSERT_TRUE(rig_call(self->rig, &c, &done));
	EXPECT_EQ(PINRING_REASON_OPERATION, done.reason);
	c = whole(PINRING_OP_DYNAMIC, BYTES);
	ASSERT_TRUE(rig_call(self->rig, &c, &done));
	EXPECT_EQ(PINRING_REASON_COUNT, done.reason);
	c = whole(PINRING_OP_DYNAMIC, 10);
	c.a.offset = c.dst.offset + 4;
	ASSERT_TRUE(rig_call(self->rig, &c, &done));
	EXPECT_EQ(PINRING_REASON_OVERLAP, done.reason);
	/* What it does not need is not looked at. */
	c = whole(PINRING_OP_DYNAMIC + 2, 10);
	c.a.region = 200;
	ASSERT_TRUE(rig_call(self->rig, &c, &done));
	EXPECT_EQ(0, done.status);
	/* And gone is gone. */
	pinring_store_word(&self->rig->attachments.dynamic[(PINRING_OP_DYNAMIC + 2) %
							   PINRING_DYNAMIC_MAX].operation, 0);
	ASSERT_TRUE(rig_call(self->rig, &c, &done));
	EXPECT_EQ(PINRING_REASON_OPERATION, done.reason);
}

TEST_HARNESS_MAIN
