// SPDX-License-Identifier: MIT
/*
 * The loop as a CUDA grid runs it - the very source, its threads taking turns
 * here (selftests/cuda/simt.h): what it answers, bit for bit the host executor's,
 * how it begins and ends, and words that come torn, late and in any order.
 */
#include <kselftest_harness.h>

#include <errno.h>
#include <math.h>

#include <pinring/pinring.h>

#include "cuda/rig.h"

#define MIB (1ull << 20)
#define HEADER ((uint64_t)PINRING_REGION_HEADER_BYTES)
#define THREADS 64
#define LONGEST 5003u /* a team's: more than PINRING_TEAM_ELEMENTS */
#define BYTES (1 * MIB)

/* ------------------------------------------------------------ the same bits */

/*
 * One region for the host executor, and its image for the grid. Every command is
 * carried out on both, and the two must be equal afterwards.
 */
FIXTURE(both)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_executor *ex;
	unsigned char *here, *there;
	struct rig *rig;
};

FIXTURE_VARIANT(both)
{
	unsigned int blocks, threads;
};

FIXTURE_VARIANT_ADD(both, one_block)
{
	.blocks = 1, .threads = 64,
};

FIXTURE_VARIANT_ADD(both, three_blocks)
{
	.blocks = 3, .threads = 64,
};

FIXTURE_VARIANT_ADD(both, two_large_blocks)
{
	.blocks = 2, .threads = PINRING_BLOCK_THREADS,
};

FIXTURE_SETUP(both)
{
	struct pinring_region_config rc = pinring_region_defaults(BYTES);
	struct pinring_executor_config ec = pinring_executor_defaults();
	struct pinring_object_info o;

	rc.flags = PINRING_REGION_SMALL_PAGES;
	ec.kind = PINRING_EXECUTOR_HOST;
	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &rc, &self->r));
	ASSERT_EQ(0, pinring_object_create(self->r, "floats", PINRING_OBJECT_BYTES,
					   4 * LONGEST * sizeof(float), 0, &o));
	ASSERT_EQ(HEADER, o.offset);
	ASSERT_EQ(0, pinring_executor_start(self->device, &ec, &self->ex));
	ASSERT_EQ(0, pinring_executor_attach(self->ex, self->r));
	self->here = pinring_region_base(self->r);
	ASSERT_NE(NULL, self->there = aligned_alloc(4096, BYTES));
	ASSERT_NE(NULL, self->rig = rig_new(RIG_SLOTS, variant->blocks));
	rig_attach(self->rig, self->there, BYTES);
	ASSERT_TRUE(rig_launch(self->rig, variant->blocks, variant->threads));
	rig_wish(self->rig, PINRING_STATE_ACTIVE);
}

FIXTURE_TEARDOWN(both)
{
	EXPECT_TRUE(rig_free(self->rig));
	EXPECT_EQ(0, pinring_executor_close(self->ex, 5 * SECOND));
	pinring_region_close(self->r);
	pinring_device_close(self->device);
	free(self->there);
}

static void same_again(FIXTURE_DATA(both) *self)
{
	memcpy(self->there, self->here, BYTES);
}

static bool both_nan(uint32_t x, uint32_t y)
{
	return isnan(pinring_bits_float(x)) && isnan(pinring_bits_float(y));
}

/* Floats that differ, but for which NaN it is. */
static uint64_t different(const void *x, const void *y, uint64_t bytes)
{
	const uint32_t *a = x, *b = y;
	uint64_t n = 0;

	if (!memcmp(x, y, bytes))
		return 0;
	for (uint64_t i = 0; i < bytes / 4; i++)
		n += a[i] != b[i] && !both_nan(a[i], b[i]);
	return n;
}

static struct pinring_completion on_both(struct __test_metadata *_metadata,
					 FIXTURE_DATA(both) *self,
					 const struct pinring_command *c, const char *what)
{
	struct pinring_completion a = { .status = -1 }, b = { .status = -1 };

	EXPECT_EQ(0, pinring_executor_call(self->ex, c, 20 * SECOND, &a));
	EXPECT_TRUE(rig_call(self->rig, c, &b));
	EXPECT_TRUE(a.id == b.id && a.status == b.status && a.reason == b.reason &&
		    a.done == b.done && !a.start_ns == !b.start_ns &&
		    (a.result == b.result || (isnan(a.result) && isnan(b.result))))
		TH_LOG("%s, %s, count %llu: host %d, \"%s\", %llu done, %a; grid %d, \"%s\", %llu, %a",
		       pinring_operation_name(c->operation), what,
		       (unsigned long long)c->count, a.status, pinring_reason_text(a.reason),
		       (unsigned long long)a.done, (double)a.result, b.status,
		       pinring_reason_text(b.reason), (unsigned long long)b.done,
		       (double)b.result);
	EXPECT_EQ(0, different(self->here, self->there, BYTES))
		TH_LOG("%s, %s, count %llu: memory differs",
		       pinring_operation_name(c->operation), what,
		       (unsigned long long)c->count);
	return b;
}

static const uint32_t special_bits[] = {
	0x7fc00000, 0x7f800000, 0xff800000, 0x80000000, 0x00000000, 0x00000001,
	0x807fffff, 0x00800000, 0x7f7fffff, 0xff7fffff, 0x3f800000, 0xc2aeac50,
};

static void fill_floats(FIXTURE_DATA(both) *self, bool wild)
{
	float *f = (float *)(self->here + HEADER);

	for (unsigned int i = 0; i < 4 * LONGEST; i++) {
		f[i] = ((float)(random_bits() >> 8) * 0x1p-23f - 1.0f) *
		       ldexpf(1, (int)(random_bits() % 24) - 12);
		if (wild && i % 5 == 4)
			f[i] = pinring_bits_float(random_bits());
		if (wild && i % 7 == 6)
			f[i] = pinring_bits_float(
				special_bits[random_bits() % ARRAY_SIZE(special_bits)]);
	}
	same_again(self);
}

static const uint16_t on_floats[] = {
	PINRING_OP_FILL, PINRING_OP_COPY, PINRING_OP_ADD, PINRING_OP_SUB, PINRING_OP_MUL,
	PINRING_OP_DIV, PINRING_OP_MIN, PINRING_OP_MAX, PINRING_OP_AXPY, PINRING_OP_SCALE,
	PINRING_OP_RELU, PINRING_OP_SIGMOID, PINRING_OP_TANH, PINRING_OP_GELU,
	PINRING_OP_GELU_TANH, PINRING_OP_SOFTMAX, PINRING_OP_SUM, PINRING_OP_REDUCE_MIN,
	PINRING_OP_REDUCE_MAX, PINRING_OP_DOT,
};

TEST_F_TIMEOUT(both, operations_on_floats, 150)
{
	static const uint64_t counts[] = { 0, 1, 31, 257, 1000, LONGEST };
	struct pinring_command c = {
		.a = { HEADER, 0 },
		.b = { HEADER + 4 * LONGEST, 0 },
		.s0 = 1.1f,
	};

	for (int wild = 0; wild < 2; wild++) {
		fill_floats(self, wild);
		for (size_t i = 0; i < ARRAY_SIZE(on_floats); i++) {
			for (size_t n = 0; n < ARRAY_SIZE(counts); n++) {
				c.id++;
				c.operation = on_floats[i];
				c.count = counts[n];
				c.dst = (struct pinring_operand){ HEADER + 8 * LONGEST + 4, 0 };
				on_both(_metadata, self, &c, "dst apart");
			}
		}
	}
	fill_floats(self, true);
	for (size_t i = 0; i < ARRAY_SIZE(on_floats); i++) {
		c.id++;
		c.operation = on_floats[i];
		c.count = LONGEST;
		c.dst = i % 2 ? c.a : c.b;
		on_both(_metadata, self, &c, "in place");
		if (c.operation >= PINRING_OP_SUM) {
			c.dst.region = PINRING_REGION_NONE;
			on_both(_metadata, self, &c, "no dst");
		}
	}
}

static const struct {
	uint32_t nx, ny, nz;
} rooms[] = {
	{ 1, 1, 1 }, { 2, 1, 3 }, { 5, 4, 3 }, { 1, 70, 2 }, { 130, 1, 1 },
	{ 17, 9, 8 }, { 24, 16, 12 }, { 64, 8, 5 },
};

TEST_F_TIMEOUT(both, rooms, 150)
{
	for (size_t i = 0; i < ARRAY_SIZE(rooms); i++) {
		struct pinring_wave w;
		struct pinring_command c = { .id = 100, .count = 40 };
		char name[16];
		uint64_t far;

		snprintf(name, sizeof(name), "room %zu", i);
		ASSERT_EQ(0, pinring_wave_create(self->r, name, rooms[i].nx, rooms[i].ny,
						 rooms[i].nz, sqrt(1 / 3.0), 0.02, &w))
			TH_LOG("%s", pinring_error());
		far = w.cells - 1;
		fill_floats(self, false);
		c.a = (struct pinring_operand){ w.offset, 0 };
		c.b = (struct pinring_operand){ HEADER, 0 };
		c.dst = (struct pinring_operand){ HEADER + 4 * LONGEST, 0 };
		c.operation = PINRING_OP_WAVE_BLOCK;
		c.aux = far << PINRING_WAVE_CELL_BITS;
		on_both(_metadata, self, &c, "from corner to corner");
		c.aux = w.cells / 2 << PINRING_WAVE_CELL_BITS | w.cells / 2;
		on_both(_metadata, self, &c, "both in one cell");
		c.operation = PINRING_OP_WAVE_INJECT;
		c.aux = far;
		c.s0 = 3;
		on_both(_metadata, self, &c, name);
		c.operation = PINRING_OP_WAVE_STEP;
		c.count = 7;
		on_both(_metadata, self, &c, name);
		c.operation = PINRING_OP_WAVE_PROBE;
		c.aux = 0;
		on_both(_metadata, self, &c, name);
		EXPECT_EQ(87, w.state->steps);
	}
}

TEST_F(both, refusals)
{
	static const struct pinring_command bad[] = {
		{ .operation = 99 },
		{ .operation = PINRING_OP_FILL, .dst = { HEADER, 7 }, .count = 1 },
		{ .operation = PINRING_OP_FILL, .dst = { 64, 0 }, .count = 1 },
		{ .operation = PINRING_OP_FILL, .dst = { HEADER + 2, 0 }, .count = 1 },
		{ .operation = PINRING_OP_FILL, .dst = { HEADER, 0 }, .count = BYTES },
		{ .operation = PINRING_OP_COPY, .dst = { HEADER, 0 }, .a = { HEADER + 4, 0 },
		  .count = 9 },
		{ .operation = PINRING_OP_WAVE_STEP, .a = { HEADER, 0 }, .count = 9 },
	};

	fill_floats(self, false);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, on_both(_metadata, self, &bad[i], "bad").status);
	}
	EXPECT_TRUE(COMES_TRUE(pinring_load_word(&self->rig->telemetry.failed) ==
			       ARRAY_SIZE(bad)));
	EXPECT_EQ(-EINVAL, self->rig->control.error);
	EXPECT_EQ(PINRING_OP_WAVE_STEP, self->rig->control.error_operation);
	EXPECT_EQ(PINRING_REASON_WAVE, self->rig->control.error_reason);
}

/* ----------------------------------------------------------------- lifecycle */
FIXTURE(grid)
{
	struct rig *rig;
	unsigned char *memory;
	struct pinring_wave_state *room; /* 16x16x16: a team's */
};

FIXTURE_SETUP(grid)
{
	const uint64_t field = 4096 * sizeof(float) + PINRING_WAVE_GAP;

	ASSERT_NE(NULL, self->rig = rig_new(8, 2));
	ASSERT_NE(NULL, self->memory = aligned_alloc(4096, BYTES));
	memset(self->memory, 0, BYTES);
	rig_attach(self->rig, self->memory, BYTES);
	self->room = (struct pinring_wave_state *)(self->memory + HEADER);
	*self->room = (struct pinring_wave_state){
		.magic = PINRING_WAVE_MAGIC, .nx = 16, .ny = 16, .nz = 16,
		.lambda2 = 0.25, .fields_offset = HEADER + 4096,
	};
	ASSERT_LT(HEADER + 4096 + 2 * field + 4096, BYTES);
}

FIXTURE_TEARDOWN(grid)
{
	EXPECT_TRUE(rig_free(self->rig));
	free(self->memory);
}

static void begin(struct __test_metadata *_metadata, FIXTURE_DATA(grid) *self)
{
	ASSERT_TRUE(rig_launch(self->rig, (unsigned int)self->rig->self.team.workers,
			       THREADS));
	rig_wish(self->rig, PINRING_STATE_ACTIVE);
	ASSERT_TRUE(COMES_TRUE(rig_state(self->rig) == PINRING_STATE_ACTIVE));
}

static struct pinring_command nop(uint32_t id)
{
	return (struct pinring_command){ .id = id, .operation = PINRING_OP_NOP };
}

static struct pinring_command steps(uint32_t id, uint64_t count)
{
	return (struct pinring_command){
		.id = id, .operation = PINRING_OP_WAVE_STEP,
		.a = { HEADER, 0 }, .count = count,
	};
}

/* Every command answered, in order: many rings of them, as full as can be. */
static void flow(struct __test_metadata *_metadata, struct rig *r, uint32_t n)
{
	const int64_t deadline = now_ns() + 25 * SECOND;
	uint32_t sent = 0, got = 0;

	while (got < n && now_ns() < deadline) {
		struct pinring_command c = nop(sent);
		struct pinring_completion done;
		bool moved = false;

		while (sent < n && sent - got < r->commands.capacity &&
		       rig_submit(r, &c)) {
			c.id = ++sent;
			moved = true;
		}
		while (rig_collect(r, &done)) {
			ASSERT_EQ(got, done.id);
			ASSERT_EQ(0, done.status);
			got++;
			moved = true;
		}
		if (!moved)
			sched_yield();
	}
	EXPECT_EQ(n, got);
}

TEST_F(grid, more_commands_than_slots)
{
	begin(_metadata, self);
	flow(_metadata, self->rig, 5000); /* laps go round at 2048 */
	EXPECT_TRUE(COMES_TRUE(pinring_load_word(&self->rig->control.completed) == 5000));
	EXPECT_EQ(5000, self->rig->control.taken);
	EXPECT_TRUE(COMES_TRUE(pinring_load_word(&self->rig->telemetry.processed) == 5000));
}

TEST_F(grid, paused_commands_wait)
{
	struct pinring_completion done;
	struct pinring_command c;

	begin(_metadata, self);
	rig_wish(self->rig, PINRING_STATE_PAUSED);
	ASSERT_TRUE(COMES_TRUE(rig_state(self->rig) == PINRING_STATE_PAUSED));
	for (uint32_t i = 0; i < 6; i++) {
		c = nop(i);
		ASSERT_TRUE(rig_submit(self->rig, &c));
	}
	usleep(20000);
	EXPECT_FALSE(rig_collect(self->rig, &done));
	rig_wish(self->rig, PINRING_STATE_ACTIVE);
	for (uint32_t i = 0; i < 6; i++) {
		ASSERT_TRUE(COMES_TRUE(rig_collect(self->rig, &done)));
		EXPECT_EQ(i, done.id);
		EXPECT_EQ(0, done.status);
	}
}

TEST_F(grid, launched_takes_nothing)
{
	struct pinring_completion done;
	struct pinring_command c = nop(1);

	ASSERT_TRUE(rig_launch(self->rig, 2, THREADS));
	ASSERT_TRUE(rig_submit(self->rig, &c));
	ASSERT_TRUE(COMES_TRUE(rig_state(self->rig) == PINRING_STATE_LAUNCHED));
	usleep(20000);
	EXPECT_FALSE(rig_collect(self->rig, &done));
}

TEST_F(grid, draining_does_all_there_is)
{
	struct pinring_completion done;

	begin(_metadata, self);
	rig_wish(self->rig, PINRING_STATE_PAUSED);
	for (uint32_t i = 0; i < 5; i++) {
		struct pinring_command c = i % 2 ? nop(i) : steps(i, 2);

		ASSERT_TRUE(rig_submit(self->rig, &c));
	}
	rig_wish(self->rig, PINRING_STATE_DRAINING);
	ASSERT_TRUE(rig_ends(self->rig));
	EXPECT_EQ(PINRING_STATE_TERMINATED, rig_state(self->rig));
	for (uint32_t i = 0; i < 5; i++) {
		ASSERT_TRUE(rig_collect(self->rig, &done));
		EXPECT_EQ(i, done.id);
		EXPECT_EQ(0, done.status);
	}
	EXPECT_FALSE(rig_collect(self->rig, &done));
	EXPECT_EQ(6, self->room->steps);
}

TEST_F(grid, terminated_in_mid_wave)
{
	struct pinring_completion done;
	struct pinring_command c = steps(1, 1ull << 40);
	uint64_t heartbeat;

	begin(_metadata, self);
	ASSERT_TRUE(rig_submit(self->rig, &c));
	c = nop(2);
	ASSERT_TRUE(rig_submit(self->rig, &c));
	ASSERT_TRUE(COMES_TRUE(pinring_load_word(&self->rig->control.taken) == 1));
	heartbeat = pinring_load_word(&self->rig->control.heartbeat);
	EXPECT_TRUE(COMES_TRUE(pinring_load_word(&self->rig->control.heartbeat) >
			       heartbeat + 3));
	rig_wish(self->rig, PINRING_STATE_TERMINATED);
	ASSERT_TRUE(rig_ends(self->rig));
	EXPECT_EQ(PINRING_STATE_TERMINATED, rig_state(self->rig));
	ASSERT_TRUE(rig_collect(self->rig, &done));
	EXPECT_EQ(1, done.id);
	EXPECT_EQ(-ECANCELED, done.status);
	EXPECT_EQ(PINRING_REASON_STOPPED, done.reason);
	EXPECT_GT(done.done, 3);
	EXPECT_EQ(done.done, self->room->steps);
	ASSERT_TRUE(rig_collect(self->rig, &done));
	EXPECT_EQ(2, done.id);
	EXPECT_EQ(-ECANCELED, done.status);
	EXPECT_EQ(0, done.done);
	EXPECT_FALSE(rig_collect(self->rig, &done));
}

/* Nobody collects: the ring of completions is full, and the loop must still end. */
TEST_F(grid, terminated_while_full)
{
	struct pinring_command c = nop(0);
	struct pinring_completion done;
	uint32_t n = 0;

	begin(_metadata, self);
	for (uint32_t i = 0; i < 12; i++) {
		c.id = i;
		ASSERT_TRUE(COMES_TRUE(rig_submit(self->rig, &c)));
	}
	EXPECT_TRUE(COMES_TRUE(pinring_load_word(&self->rig->control.taken) == 9));
	EXPECT_EQ(8, pinring_load_word(&self->rig->control.completed));
	rig_wish(self->rig, PINRING_STATE_TERMINATED);
	ASSERT_TRUE(rig_ends(self->rig));
	while (rig_collect(self->rig, &done)) {
		EXPECT_EQ(n++, done.id);
	}
	EXPECT_EQ(8, n);
}

/* Without its third block it does not say that it runs, but ends when told to. */
TEST_F(grid, a_block_that_never_starts)
{
	struct pinring_command c = nop(1);
	struct pinring_completion done;

	self->rig->self.team.workers = 3;
	ASSERT_TRUE(rig_launch(self->rig, 2, THREADS));
	rig_wish(self->rig, PINRING_STATE_ACTIVE);
	ASSERT_TRUE(rig_submit(self->rig, &c));
	ASSERT_TRUE(COMES_TRUE(pinring_load_word(&self->rig->control.heartbeat)));
	usleep(20000);
	EXPECT_EQ(PINRING_STATE_CREATED, pinring_load_word(&self->rig->control.reached));
	rig_wish(self->rig, PINRING_STATE_TERMINATED);
	ASSERT_TRUE(rig_ends(self->rig));
	ASSERT_TRUE(rig_collect(self->rig, &done));
	EXPECT_EQ(-ECANCELED, done.status);
}

/* A block that never comes to the barrier is not waited for without end. */
TEST_F(grid, a_block_that_hangs)
{
	struct pinring_command c = steps(1, 1);
	struct pinring_completion done;

	self->rig->self.team.workers = 3;
	self->rig->self.team.arrived = 1; /* it had come when it began */
	self->rig->self.team.abort_ns = 1000000;
	ASSERT_TRUE(rig_launch(self->rig, 2, THREADS));
	rig_wish(self->rig, PINRING_STATE_ACTIVE);
	ASSERT_TRUE(rig_submit(self->rig, &c));
	c = nop(2);
	ASSERT_TRUE(rig_submit(self->rig, &c));
	ASSERT_TRUE(COMES_TRUE(pinring_load_word(&self->rig->control.taken) == 1));
	usleep(20000);
	EXPECT_FALSE(rig_collect(self->rig, &done)); /* it waits, until told to end */
	rig_wish(self->rig, PINRING_STATE_TERMINATED);
	ASSERT_TRUE(rig_ends(self->rig));
	ASSERT_TRUE(rig_collect(self->rig, &done));
	EXPECT_EQ(1, done.id);
	EXPECT_EQ(-ECANCELED, done.status);
	ASSERT_TRUE(rig_collect(self->rig, &done));
	EXPECT_EQ(2, done.id);
	EXPECT_EQ(-ECANCELED, done.status);
}

/* For compute-sanitizer: nobody but the grid does anything while it runs. */
TEST_F(grid, bounded)
{
	struct pinring_completion done;

	self->rig->self.loop.limit = 5;
	for (uint32_t i = 0; i < 7; i++) {
		struct pinring_command c = i % 2 ? nop(i) : steps(i, 3);

		ASSERT_TRUE(rig_submit(self->rig, &c));
	}
	ASSERT_TRUE(rig_launch(self->rig, 2, THREADS));
	ASSERT_TRUE(rig_ends(self->rig));
	EXPECT_EQ(PINRING_STATE_TERMINATED, rig_state(self->rig));
	for (uint32_t i = 0; i < 7; i++) {
		ASSERT_TRUE(rig_collect(self->rig, &done));
		EXPECT_EQ(i, done.id);
		EXPECT_EQ(i < 5 ? 0 : -ECANCELED, done.status);
	}
	EXPECT_EQ(9, self->room->steps);
}

/* How often each lane has read a slot of the command ring, and the host's wish. */
static struct rig *read_by;
static unsigned long slots_read, wishes_read, end_at;

static void count_reads(const uint64_t *word)
{
	const char *at = (const char *)word, *slots = (const char *)read_by->slots[0];

	if (at == (const char *)&read_by->control.wanted)
		__atomic_add_fetch(&wishes_read, 1, __ATOMIC_RELAXED);
	if (at < slots || at >= slots + sizeof(read_by->slots[0]))
		return;
	if (__atomic_add_fetch(&slots_read, 1, __ATOMIC_RELAXED) == end_at)
		pinring_store_word(&read_by->control.wanted,
				   1ull << 32 | PINRING_STATE_TERMINATED);
}

/* Of a grid that finds no command, and is told to end at some look. */
static void look_on(struct __test_metadata *_metadata, __u64 mask, bool takes)
{
	struct rig *r = rig_new(RIG_SLOTS, 1);

	ASSERT_NE(NULL, r);
	r->self.loop.wish_mask = mask;
	r->self.loop.limit = takes ? 1 << 20 : 0;
	read_by = r;
	slots_read = wishes_read = 0;
	end_at = 1000 * 32 + 5;
	simt_load_hook = count_reads;
	ASSERT_TRUE(rig_launch(r, 1, THREADS));
	EXPECT_TRUE(rig_ends(r));
	simt_load_hook = NULL;
	EXPECT_EQ(PINRING_STATE_TERMINATED, rig_state(r));
	EXPECT_TRUE(rig_free(r));
}

/* A ring in the GPU's memory is near, and the wish is not. */
TEST_F(grid, every_so_many_looks_one_goes_to_the_wish)
{
	look_on(_metadata, 0, true);
	EXPECT_EQ(slots_read, wishes_read);
	look_on(_metadata, PINRING_FAR_WISH, true);
	EXPECT_LE(slots_read / 16, wishes_read);
	/* The last look, for what is to be cancelled, begins anew. */
	EXPECT_LE(wishes_read, slots_read / 16 + 2 * 32);
	EXPECT_LE(slots_read, end_at + 18 * 32) {
		TH_LOG("%lu looks until the wish was seen", (slots_read - end_at) / 32);
	}
}

/* Nobody waits for commands, but for the state. */
TEST_F(grid, a_loop_that_takes_nothing_looks_at_nothing_but_the_wish)
{
	look_on(_metadata, PINRING_FAR_WISH, false);
	EXPECT_EQ(slots_read, wishes_read);
}

/* The clock stands at `ns`, and the loop has looked at it, more than once. */
static bool idles_at(struct rig *r, uint64_t ns)
{
	uint64_t heartbeat = pinring_load_word(&r->control.heartbeat);

	simt_set_clock(ns);
	return COMES_TRUE(pinring_load_word(&r->control.heartbeat) > heartbeat + 2);
}

TEST_F(grid, idle_for_too_long)
{
	struct pinring_completion done;
	struct pinring_command c = nop(1);

	simt_set_clock(1000);
	self->rig->self.loop.idle_ns = 1000;
	begin(_metadata, self);
	ASSERT_TRUE(idles_at(self->rig, 1000));
	ASSERT_TRUE(idles_at(self->rig, 1900));
	/* A command, and later a wish: it is idle from then on only. */
	ASSERT_TRUE(rig_call(self->rig, &c, &done));
	ASSERT_TRUE(idles_at(self->rig, 1900));
	ASSERT_TRUE(idles_at(self->rig, 2800));
	rig_wish(self->rig, PINRING_STATE_PAUSED);
	ASSERT_TRUE(COMES_TRUE(rig_state(self->rig) == PINRING_STATE_PAUSED));
	ASSERT_TRUE(idles_at(self->rig, 2800));
	ASSERT_TRUE(idles_at(self->rig, 3700));
	simt_set_clock(3900);
	ASSERT_TRUE(rig_ends(self->rig));
	EXPECT_EQ(PINRING_STATE_TERMINATED, rig_state(self->rig));
	EXPECT_EQ(-ETIMEDOUT, self->rig->control.error);
	EXPECT_EQ(0, self->rig->control.error_id);
	EXPECT_EQ(1, self->rig->telemetry.processed);
	EXPECT_EQ(2900, self->rig->profile.alive_ns);
}

TEST_F(grid, what_it_tells)
{
	struct pinring_command c = steps(1, 30);
	struct pinring_completion done;
	uint64_t timed = 0, bursts = 0;

	begin(_metadata, self);
	ASSERT_TRUE(rig_call(self->rig, &c, &done));
	EXPECT_LT(0, done.duration_ns);
	flow(_metadata, self->rig, 3000);
	EXPECT_TRUE(COMES_TRUE(pinring_load_word(
		&self->rig->profile.duration[PINRING_OP_NOP][0]) == 3000));
	rig_wish(self->rig, PINRING_STATE_TERMINATED);
	ASSERT_TRUE(rig_ends(self->rig));
	for (int b = 0; b < PINRING_PROFILE_BUCKETS; b++) {
		timed += self->rig->profile.duration[PINRING_OP_WAVE_STEP][b];
	}
	EXPECT_EQ(1, timed);
	EXPECT_EQ(1, self->rig->profile.duration[PINRING_OP_WAVE_STEP]
						[pinring_log2(done.duration_ns)]);
	for (int b = 0; b < PINRING_PROFILE_BURSTS; b++) {
		bursts += self->rig->profile.burst[b] << b;
	}
	EXPECT_TRUE(bursts >= 3001 / 2 && bursts <= 3001);
	EXPECT_LE(self->rig->profile.idle_ns, self->rig->profile.alive_ns);
	EXPECT_EQ(3001, self->rig->telemetry.processed);
	EXPECT_EQ(30 * 4096 + 0, self->rig->telemetry.elements);
	EXPECT_GE(self->rig->profile.alive_ns, self->rig->telemetry.busy_ns);
}

static void launch_again(struct __test_metadata *_metadata, FIXTURE_DATA(grid) *self)
{
	self->rig->self.team.generation = 0;
	self->rig->self.team.arrived = 0;
	self->rig->self.team.aborted = 0;
	ASSERT_TRUE(rig_launch(self->rig, 2, THREADS));
}

/* Told to leave: another launch goes on where this one ended. */
TEST_F(grid, launched_again)
{
	struct pinring_completion done;
	struct pinring_command c = steps(1, 3);
	uint64_t counted;

	begin(_metadata, self);
	for (uint32_t i = 1; i < 4; i++) {
		c.id = i;
		ASSERT_TRUE(rig_call(self->rig, &c, &done));
		EXPECT_EQ(i, done.id);
		EXPECT_EQ(0, done.status);
		rig_leave(self->rig, PINRING_STATE_ACTIVE);
		ASSERT_TRUE(rig_ends(self->rig));
		EXPECT_EQ(PINRING_STATE_ACTIVE, rig_state(self->rig));
		EXPECT_EQ(3 * i, self->room->steps);
		EXPECT_EQ(i, self->rig->telemetry.processed);
		EXPECT_EQ(i, self->rig->control.completed);
		counted = 0;
		for (int b = 0; b < PINRING_PROFILE_BUCKETS; b++) {
			counted += self->rig->profile.duration[PINRING_OP_WAVE_STEP][b];
		}
		EXPECT_EQ(i, counted);
		rig_wish(self->rig, PINRING_STATE_ACTIVE);
		launch_again(_metadata, self);
	}
}

/*
 * It ends between two commands, with most of the ring before it, and again in each
 * state; what was wished while it was away counts when it is back.
 */
TEST_F(grid, leaves_what_is_queued)
{
	struct pinring_completion done;
	uint32_t collected = 0;

	begin(_metadata, self);
	for (uint32_t i = 0; i < 200; i++) {
		struct pinring_command c = i % 8 ? nop(i) : steps(i, 5);

		ASSERT_TRUE(COMES_TRUE(rig_submit(self->rig, &c)));
		/* As a host does: there is always room for the answers. */
		if (i - collected >= self->rig->commands.capacity / 2) {
			ASSERT_TRUE(COMES_TRUE(rig_collect(self->rig, &done)));
			EXPECT_EQ(collected, done.id);
			EXPECT_EQ(0, done.status);
			collected++;
		}
		if (i % 7)
			continue;
		rig_leave(self->rig, PINRING_STATE_ACTIVE);
		ASSERT_TRUE(rig_ends(self->rig));
		EXPECT_EQ(PINRING_STATE_ACTIVE, rig_state(self->rig));
		EXPECT_EQ(self->rig->control.taken, self->rig->control.completed);
		rig_wish(self->rig, PINRING_STATE_ACTIVE);
		launch_again(_metadata, self);
	}
	rig_leave(self->rig, PINRING_STATE_PAUSED);
	ASSERT_TRUE(rig_ends(self->rig));
	EXPECT_EQ(PINRING_STATE_PAUSED, rig_state(self->rig));
	rig_leave(self->rig, PINRING_STATE_DRAINING);
	launch_again(_metadata, self);
	ASSERT_TRUE(rig_ends(self->rig));
	EXPECT_EQ(PINRING_STATE_DRAINING, rig_state(self->rig));
	rig_wish(self->rig, PINRING_STATE_DRAINING);
	launch_again(_metadata, self);
	while (collected < 200) {
		ASSERT_TRUE(COMES_TRUE(rig_collect(self->rig, &done)));
		EXPECT_EQ(collected, done.id);
		EXPECT_EQ(0, done.status);
		collected++;
	}
	ASSERT_TRUE(rig_ends(self->rig));
	EXPECT_EQ(PINRING_STATE_TERMINATED, rig_state(self->rig));
	EXPECT_EQ(200, self->rig->telemetry.processed);
}

/* Away, it is told to end for good: nothing of what is queued is carried out. */
TEST_F(grid, terminated_while_away)
{
	struct pinring_command c = nop(1);
	struct pinring_completion done;

	simt_set_clock(1000);
	begin(_metadata, self);
	rig_leave(self->rig, PINRING_STATE_ACTIVE);
	ASSERT_TRUE(rig_ends(self->rig));
	ASSERT_TRUE(rig_submit(self->rig, &c));
	rig_wish(self->rig, PINRING_STATE_TERMINATED);
	simt_set_clock(5000);
	launch_again(_metadata, self);
	ASSERT_TRUE(rig_ends(self->rig));
	/* It has lived since the first launch. */
	EXPECT_EQ(4000, self->rig->profile.alive_ns);
	ASSERT_TRUE(rig_collect(self->rig, &done));
	EXPECT_EQ(-ECANCELED, done.status);
	EXPECT_EQ(PINRING_STATE_TERMINATED, rig_state(self->rig));
}

/* ------------------------------------------------------------ words on the way */

/* A slot's words in any order, and the reader has time between any two. */
static void send_torn(struct rig *r, const struct pinring_command *c)
{
	__u64 words[PINRING_SLOT_WORDS];
	unsigned int order[PINRING_SLOT_WORDS];

	pinring_pack_command(words, c);
	for (unsigned int i = 0; i < PINRING_SLOT_WORDS; i++) {
		unsigned int k = random_bits() % (i + 1);

		order[i] = order[k];
		order[k] = i;
	}
	while (!pinring_device_free(&r->commands, 1))
		sched_yield();
	for (unsigned int i = 0; i < PINRING_SLOT_WORDS; i++) {
		pinring_device_put(&r->commands, order[i], words[order[i]]);
		if (random_bits() % 4 == 0)
			usleep(random_bits() % 200);
	}
	r->commands.index++;
}

#define TORN_A 65536u
#define TORN_B 98304u
#define TORN_DST 131072u

/* Each word of the slot counts, and is another than eight commands before. */
static struct pinring_command telling(uint32_t i)
{
	struct pinring_command c = {
		.id = i * 2654435761u, .operation = PINRING_OP_AXPY, .count = 1 + i % 3,
		.dst = { TORN_DST + i * 16, 0 }, .a = { TORN_A + i % 53 * 4, 0 },
		.b = { TORN_B + i % 59 * 4, 0 }, .s0 = (float)i,
	};

	if (i % 4 == 3) {
		c.operation = PINRING_OP_WAVE_PROBE;
		c.a.offset = HEADER;
		c.aux = i;
	}
	return c;
}

static void told(struct __test_metadata *_metadata, FIXTURE_DATA(grid) *self, uint32_t i,
		 const struct pinring_completion *done)
{
	const float *dst = (const float *)(self->memory + TORN_DST + i * 16);

	ASSERT_EQ(telling(i).id, done->id);
	ASSERT_EQ(0, done->status);
	if (i % 4 == 3) {
		ASSERT_EQ((float)i, done->result);
		return;
	}
	for (uint32_t k = 0; k < 4; k++) {
		float right = (float)i * (float)(i % 53 + k) + 1000 + (float)(i % 59 + k);

		ASSERT_EQ(k <= i % 3 ? right : 0, dst[k]);
	}
}

TEST_F(grid, commands_that_come_torn)
{
	float *a = (float *)(self->memory + TORN_A), *b = (float *)(self->memory + TORN_B);
	float *p = (float *)(self->memory + self->room->fields_offset);
	struct pinring_completion done;

	for (int i = 0; i < 64; i++) {
		a[i] = (float)i;
		b[i] = (float)(1000 + i);
	}
	for (int i = 0; i < 4096; i++) {
		p[i] = (float)i;
	}
	begin(_metadata, self);
	for (uint32_t i = 1; i <= 600; i++) {
		struct pinring_command c = telling(i);

		send_torn(self->rig, &c);
		/* Now and then several in one look. */
		if (i % 3)
			continue;
		for (uint32_t k = i - 2; k <= i; k++) {
			ASSERT_TRUE(COMES_TRUE(rig_collect(self->rig, &done)));
			told(_metadata, self, k, &done);
		}
	}
}

/* What came whole behind what is torn must wait for it. */
TEST_F(grid, a_hole_in_the_ring)
{
	struct pinring_command first = nop(1), second = nop(2);
	__u64 words[PINRING_SLOT_WORDS];
	struct pinring_completion done;

	begin(_metadata, self);
	pinring_pack_command(words, &first);
	for (unsigned int w = 0; w < PINRING_SLOT_WORDS; w++) {
		if (w != 5)
			pinring_device_put(&self->rig->commands, w, words[w]);
	}
	self->rig->commands.index++;
	ASSERT_TRUE(rig_submit(self->rig, &second));
	usleep(20000);
	EXPECT_FALSE(rig_collect(self->rig, &done));
	self->rig->commands.index -= 2;
	pinring_device_put(&self->rig->commands, 5, words[5]);
	for (uint32_t id = 1; id <= 2; id++) {
		ASSERT_TRUE(COMES_TRUE(rig_collect(self->rig, &done)));
		EXPECT_EQ(id, done.id);
	}
	self->rig->commands.index += 2;
}

TEST_F(grid, completions_that_come_torn)
{
	simt_store_hook = rig_store_late;
	begin(_metadata, self);
	flow(_metadata, self->rig, 500);
	EXPECT_EQ(500 * PINRING_SLOT_WORDS, rig_kept_back);
}

TEST_HARNESS_MAIN
