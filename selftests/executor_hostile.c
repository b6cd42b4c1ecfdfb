// SPDX-License-Identifier: MIT
/*
 * Commands that must not be believed: each is refused with its reason, or done
 * inside the memory that it names, and nothing else is touched.
 */
#include <kselftest_harness.h>

#include <float.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>

#include <pinring/pinring.h>

#include "executor_kind.h"
#include "executor_test.h"

#define PAGE 4096ull
#define HEADER ((uint64_t)PINRING_REGION_HEADER_BYTES)
#define BYTES (HEADER + 8 * PAGE)
#define FLOATS(bytes) ((bytes) / sizeof(float))

/*
 * Regions 1 and 3 are attached, as 0 and 1. The others, that no command can
 * name, are there to be overwritten by mistake: what is mapped one after the
 * other usually lies side by side.
 */
#define REGIONS 5
static const unsigned int attached[] = { 1, 3 };

FIXTURE(hostile)
{
	struct pinring_device *device;
	struct pinring_region *r[REGIONS];
	unsigned char *base[REGIONS];
	uint64_t before[REGIONS]; /* their hashes */
	struct pinring_executor *ex;
	struct pinring_wave w; /* 5x4x3, in region 0 of the executor */
};

static uint64_t hash(const void *bytes, uint64_t n)
{
	const unsigned char *p = bytes;
	uint64_t h = 0xcbf29ce484222325, word;

	for (; n >= 8; n -= 8, p += 8) {
		memcpy(&word, p, 8);
		h = (h ^ word) * 0x100000001b3;
		h ^= h >> 29;
	}
	return h;
}

static void remember(FIXTURE_DATA(hostile) *self)
{
	for (unsigned int i = 0; i < REGIONS; i++)
		self->before[i] = hash(self->base[i], BYTES);
}

/* Which regions changed, as bits. */
static unsigned int changed(FIXTURE_DATA(hostile) *self)
{
	unsigned int bits = 0;

	for (unsigned int i = 0; i < REGIONS; i++)
		bits |= (unsigned int)(self->before[i] != hash(self->base[i], BYTES)) << i;
	return bits;
}

static void make_executor(struct __test_metadata *_metadata, FIXTURE_DATA(hostile) *self,
			  uint32_t threads)
{
	struct pinring_executor_config c = pinring_executor_defaults();

	c.kind = executor_kind();
	c.threads = threads;
	ASSERT_EQ(0, pinring_executor_start(self->device, &c, &self->ex));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(i, pinring_executor_attach(self->ex, self->r[attached[i]]));
	}
}

FIXTURE_SETUP(hostile)
{
	struct pinring_region_config c = pinring_region_defaults(BYTES);

	c.flags = PINRING_REGION_SMALL_PAGES;
	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	for (unsigned int i = 0; i < REGIONS; i++) {
		ASSERT_EQ(0, pinring_region_create(self->device, &c, &self->r[i]));
		ASSERT_EQ(BYTES, pinring_region_size(self->r[i]));
		self->base[i] = pinring_region_base(self->r[i]);
		for (uint64_t k = HEADER; k < BYTES; k++)
			self->base[i][k] = (unsigned char)(k * 7 + i);
	}
	ASSERT_EQ(0, pinring_wave_create(self->r[1], "room", 5, 4, 3, 0.5, 0.02, &self->w));
	ASSERT_EQ(HEADER, self->w.offset);
	make_executor(_metadata, self, 1);
	remember(self);
}

FIXTURE_TEARDOWN(hostile)
{
	EXPECT_EQ(0, pinring_executor_close(self->ex, 5 * SECOND));
	for (unsigned int i = 0; i < REGIONS; i++)
		pinring_region_close(self->r[i]);
	pinring_device_close(self->device);
}

static const uint16_t elementwise[] = {
	PINRING_OP_FILL, PINRING_OP_COPY, PINRING_OP_ADD, PINRING_OP_SUB, PINRING_OP_MUL,
	PINRING_OP_DIV, PINRING_OP_MIN, PINRING_OP_MAX, PINRING_OP_AXPY, PINRING_OP_SCALE,
	PINRING_OP_RELU, PINRING_OP_SIGMOID, PINRING_OP_TANH, PINRING_OP_GELU,
	PINRING_OP_GELU_TANH, PINRING_OP_SOFTMAX,
};
static const uint16_t reductions[] = {
	PINRING_OP_SUM, PINRING_OP_REDUCE_MIN, PINRING_OP_REDUCE_MAX, PINRING_OP_DOT,
};
static const uint16_t waves[] = {
	PINRING_OP_WAVE_STEP, PINRING_OP_WAVE_INJECT, PINRING_OP_WAVE_PROBE,
	PINRING_OP_WAVE_BLOCK,
};
static const uint16_t operations[] = {
	1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
	32, 33, 34, 35,
};

enum { DST = 1, A = 2, B = 4, WAVE = 8, ONE = 16 };

/* What an operation reads and writes, said again by someone else. */
static int operands(uint16_t operation)
{
	if (operation == PINRING_OP_NOP)
		return 0;
	if (operation == PINRING_OP_FILL)
		return DST;
	if (operation >= PINRING_OP_ADD && operation <= PINRING_OP_AXPY)
		return DST | A | B;
	if (operation <= PINRING_OP_SOFTMAX)
		return DST | A;
	if (operation == PINRING_OP_DOT)
		return DST | A | B | ONE;
	if (operation < PINRING_OP_DOT)
		return DST | A | ONE;
	return operation == PINRING_OP_WAVE_BLOCK ? WAVE | DST | B : WAVE;
}

/* Good as it is: 16 elements, three places that do not overlap. */
static struct pinring_command good(uint16_t operation)
{
	struct pinring_command c = {
		.id = 1000u + operation, .operation = operation, .count = 16, .s0 = 2,
		.dst = { HEADER + 2 * PAGE, 1 },
		.a = { HEADER + 3 * PAGE, 1 },
		.b = { HEADER + 4 * PAGE, 0 },
	};

	if (operands(operation) & WAVE)
		c.a = (struct pinring_operand){ HEADER, 0 };
	return c;
}

static struct pinring_completion answer(struct __test_metadata *_metadata,
					FIXTURE_DATA(hostile) *self,
					const struct pinring_command *c)
{
	struct pinring_completion done = { .status = -1 };

	EXPECT_EQ(0, pinring_executor_call(self->ex, c, 20 * SECOND, &done))
		TH_LOG("%s", pinring_error());
	EXPECT_EQ(c->id, done.id);
	return done;
}

static void refused(struct __test_metadata *_metadata, FIXTURE_DATA(hostile) *self,
		    const struct pinring_command *c, uint32_t reason, const char *what)
{
	const char *name = pinring_operation_name(c->operation);
	struct pinring_completion done = answer(_metadata, self, c);

	EXPECT_TRUE(done.status == -EINVAL && done.reason == reason)
		TH_LOG("%s, %s: status %d, \"%s\", not \"%s\"", name ? name : "?", what,
		       done.status, pinring_reason_text(done.reason),
		       pinring_reason_text(reason));
	EXPECT_EQ(0, done.done);
	EXPECT_EQ(0, done.result);
	EXPECT_EQ(0, done.start_ns);
	EXPECT_EQ(0, done.duration_ns);
	EXPECT_EQ(0, changed(self)) TH_LOG("%s, %s: memory changed", name ? name : "?", what);
}

TEST_F(hostile, what_is_altered_below_is_good_as_it_is)
{
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++) {
		struct pinring_command c = good(operations[i]);

		EXPECT_EQ(0, answer(_metadata, self, &c).status)
			TH_LOG("%s", pinring_operation_name(c.operation));
		EXPECT_EQ(0, changed(self) & ~(1u << attached[0] | 1u << attached[1]));
	}
}

/*
 * Many at once: one by one, host and executor would have to take turns on a CPU 65,000
 * times, which on a busy machine takes minutes.
 */
#define AT_ONCE 128u

struct asked {
	uint64_t ticket;
	uint32_t id;
};

static bool is_unknown(struct __test_metadata *_metadata, FIXTURE_DATA(hostile) *self,
		       const struct asked *asked)
{
	struct pinring_completion done = { .status = -1 };

	EXPECT_EQ(0, pinring_executor_wait(self->ex, asked->ticket, 20 * SECOND, &done)) {
		TH_LOG("%s", pinring_error());
	}
	EXPECT_EQ(asked->id, done.id);
	return done.status == -EINVAL && done.reason == PINRING_REASON_OPERATION;
}

TEST_F(hostile, unknown_operations_are_refused)
{
	struct pinring_executor_info info;
	struct pinring_command c = good(PINRING_OP_COPY);
	unsigned int unknown = 0, answered = 0, wrong = 0, next = 0;
	struct asked asked[AT_ONCE];

	for (uint32_t operation = 0; operation <= 0xffff; operation++) {
		/* Nobody to ask or to send to: executor_services.c, executor_link.c */
		if (operation == 0 || operation == PINRING_OP_ASK ||
		    operation == PINRING_OP_FORWARD || operation == PINRING_OP_JOIN)
			continue;
		if (next < ARRAY_SIZE(operations) && operations[next] == operation) {
			next++;
			continue;
		}
		EXPECT_NULL(pinring_operation_name(operation));
		if (unknown - answered == AT_ONCE)
			wrong += !is_unknown(_metadata, self, &asked[answered++ % AT_ONCE]);
		c.operation = (uint16_t)operation;
		c.id = asked[unknown % AT_ONCE].id = operation;
		ASSERT_OK(pinring_executor_submit(self->ex, &c,
						  &asked[unknown % AT_ONCE].ticket));
		unknown++;
	}
	while (answered < unknown)
		wrong += !is_unknown(_metadata, self, &asked[answered++ % AT_ONCE]);
	EXPECT_EQ(ARRAY_SIZE(operations), next);
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(0, changed(self));
	/* It counts after it has answered. */
	EXPECT_TRUE(COMES_TRUE((info = info_of(self->ex)).telemetry.failed == unknown));
	EXPECT_EQ(-EINVAL, info.error);
	EXPECT_EQ(0xffff, info.error_operation);
	EXPECT_EQ(0xffff, info.error_id);
}

/* ----------------------------------------------------------------- operands */

static const struct {
	const char *what;
	struct pinring_operand o;
	uint64_t count; /* 0: 16 */
	uint32_t reason;
	bool any_count; /* refused for a single float, too */
} wrongs[] = {
	{ "region 2", { HEADER, 2 }, 0, PINRING_REASON_REGION, true },
	{ "region 31", { HEADER, 31 }, 0, PINRING_REASON_REGION, true },
	{ "region 32", { HEADER, 32 }, 0, PINRING_REASON_REGION, true },
	{ "region 128", { HEADER, 128 }, 0, PINRING_REASON_REGION, true },
	{ "region 254", { HEADER, 254 }, 0, PINRING_REASON_REGION, true },
	{ "region 255", { HEADER, 255 }, 0, PINRING_REASON_REGION, false },
	{ "the base", { 0, 1 }, 0, PINRING_REASON_OFFSET, true },
	{ "the directory", { 256, 1 }, 0, PINRING_REASON_OFFSET, true },
	{ "the end of the header", { HEADER - 4, 1 }, 0, PINRING_REASON_OFFSET, true },
	{ "the header, crookedly", { HEADER - 1, 1 }, 0, PINRING_REASON_OFFSET, true },
	{ "beyond the end", { BYTES + 4, 1 }, 0, PINRING_REASON_OFFSET, true },
	{ "a byte beyond", { BYTES + 1, 1 }, 0, PINRING_REASON_OFFSET, true },
	{ "the next region", { BYTES + HEADER, 1 }, 0, PINRING_REASON_OFFSET, true },
	{ "2^32", { 1ull << 32, 1 }, 0, PINRING_REASON_OFFSET, true },
	{ "2^47", { 1ull << 47, 1 }, 0, PINRING_REASON_OFFSET, true },
	{ "2^48 - 4", { (1ull << 48) - 4, 1 }, 0, PINRING_REASON_OFFSET, true },
	{ "2^48 - 1", { (1ull << 48) - 1, 1 }, 0, PINRING_REASON_OFFSET, true },
	{ "1 off", { HEADER + 1, 1 }, 0, PINRING_REASON_ALIGNMENT, true },
	{ "2 off", { HEADER + 2, 1 }, 0, PINRING_REASON_ALIGNMENT, true },
	{ "3 off", { HEADER + 3, 1 }, 0, PINRING_REASON_ALIGNMENT, true },
	{ "3 off at the end", { BYTES - 1, 1 }, 0, PINRING_REASON_ALIGNMENT, true },
	{ "the end", { BYTES, 1 }, 0, PINRING_REASON_COUNT, true },
	{ "15 left", { BYTES - 60, 1 }, 0, PINRING_REASON_COUNT, false },
	{ "one too many", { HEADER, 1 }, FLOATS(BYTES - HEADER) + 1, PINRING_REASON_COUNT, false },
	{ "2^46", { HEADER, 1 }, 1ull << 46, PINRING_REASON_COUNT, false },
	{ "2^46 + 1", { HEADER, 1 }, (1ull << 46) + 1, PINRING_REASON_COUNT, false },
	{ "2^48 - 1", { HEADER, 1 }, (1ull << 48) - 1, PINRING_REASON_COUNT, false },
};

/* Each wrong place in each operand of each operation. */
TEST_F(hostile, operands_outside_of_what_is_attached_are_refused)
{
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		for (size_t k = 0; k < ARRAY_SIZE(wrongs); k++)
			for (int which = DST; which <= B; which *= 2) {
				struct pinring_command c = good(operations[i]);
				int has = operands(c.operation);

				if (!(has & which))
					continue;
				if (which == DST && has & ONE && !wrongs[k].any_count)
					continue;
				*(which == DST ? &c.dst : which == A ? &c.a : &c.b) =
					wrongs[k].o;
				if (wrongs[k].count)
					c.count = wrongs[k].count;
				refused(_metadata, self, &c, wrongs[k].reason, wrongs[k].what);
			}
}

/* Nothing needs no room, but it still needs a place that is one. */
TEST_F(hostile, no_elements_at_the_end_are_all_right_and_elsewhere_are_not)
{
	for (size_t i = 0; i < ARRAY_SIZE(elementwise); i++) {
		struct pinring_command c = good(elementwise[i]);

		c.count = 0;
		c.dst.offset = c.a.offset = c.b.offset = BYTES;
		EXPECT_EQ(0, answer(_metadata, self, &c).status);
		EXPECT_EQ(0, changed(self));
		c.dst.offset = BYTES + 4;
		refused(_metadata, self, &c, PINRING_REASON_OFFSET, "no elements beyond");
		c.dst.offset = HEADER - 4;
		refused(_metadata, self, &c, PINRING_REASON_OFFSET, "no elements before");
		c.dst.offset = BYTES - 2;
		refused(_metadata, self, &c, PINRING_REASON_ALIGNMENT, "no elements, crooked");
		c.dst = (struct pinring_operand){ BYTES, 2 };
		refused(_metadata, self, &c, PINRING_REASON_REGION, "no elements, no region");
	}
}

/* To the last byte is allowed. */
TEST_F(hostile, a_whole_region_is_all_right_and_one_more_is_not)
{
	struct pinring_command c = good(PINRING_OP_FILL);

	c.dst = (struct pinring_operand){ HEADER, 1 };
	c.count = FLOATS(BYTES - HEADER);
	EXPECT_EQ(0, answer(_metadata, self, &c).status);
	EXPECT_EQ(1u << attached[1], changed(self));
	remember(self);
	c.count++;
	refused(_metadata, self, &c, PINRING_REASON_COUNT, "one more");
	c.dst.offset += 4;
	c.count--;
	refused(_metadata, self, &c, PINRING_REASON_COUNT, "one further");
}

TEST_F(hostile, partial_overlaps_are_refused)
{
	static const int64_t shifts[] = { 1, -1, 2, -2, 15, -15 };

	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		for (size_t k = 0; k < ARRAY_SIZE(shifts); k++)
			for (int which = A; which <= B; which *= 2) {
				struct pinring_command c = good(operations[i]);
				struct pinring_operand *o = which == A ? &c.a : &c.b;
				int has = operands(c.operation);

				if (!(has & which) || !(has & DST) || has & ONE)
					continue;
				*o = c.dst;
				o->offset += (uint64_t)(shifts[k] * 4);
				refused(_metadata, self, &c, PINRING_REASON_OVERLAP, "overlap");
				/* The other operand in place makes it no better. */
				if (which == B && has & A) {
					c.a = c.dst;
					refused(_metadata, self, &c, PINRING_REASON_OVERLAP,
						"overlap beside a = dst");
				}
			}
}

TEST_F(hostile, neighbours_and_equals_are_no_overlap)
{
	static const int64_t shifts[] = { 0, 16, -16, 17 };

	for (size_t i = 0; i < ARRAY_SIZE(elementwise); i++)
		for (size_t k = 0; k < ARRAY_SIZE(shifts); k++) {
			struct pinring_command c = good(elementwise[i]);

			c.a = c.b = c.dst;
			c.a.offset += (uint64_t)(shifts[k] * 4);
			c.b.offset -= (uint64_t)(shifts[k] * 4);
			EXPECT_EQ(0, answer(_metadata, self, &c).status);
		}
	/* Inputs may overlap as they like. */
	for (size_t i = 0; i < ARRAY_SIZE(reductions); i++) {
		struct pinring_command c = good(reductions[i]);

		c.b = c.a;
		c.b.offset += 4;
		c.dst = c.a;
		EXPECT_EQ(0, answer(_metadata, self, &c).status);
	}
}

/* ------------------------------------------------------------------- widths */

TEST_F(hostile, fields_that_do_not_fit_their_bits_are_refused_with_a_sentence)
{
	static const struct {
		const char *field;
		struct pinring_command c;
	} wide[] = {
		{ "count", { .count = 1ull << 48 } },
		{ "count", { .count = UINT64_MAX } },
		{ "dst", { .dst = { 1ull << 48, 0 } } },
		{ "dst", { .dst = { UINT64_MAX, 0 } } },
		{ "dst", { .dst = { HEADER, 256 } } },
		{ "dst", { .dst = { HEADER, UINT32_MAX } } },
		{ " a ", { .a = { 1ull << 48, 0 } } },
		{ " a ", { .a = { HEADER, 256 } } },
		{ " a ", { .a = { HEADER, 1u << 31 } } },
		{ " b ", { .b = { 1ull << 63, 0 } } },
		{ " b ", { .b = { HEADER, 256 } } },
		{ "aux", { .aux = 1ull << 56 } },
		{ "aux", { .aux = UINT64_MAX } },
		{ "flags", { .flags = 2 } },
		{ "flags", { .flags = 0x80 | PINRING_COMMAND_DETACHED } },
	};
	struct pinring_executor_info info = PINRING_INIT(struct pinring_executor_info);
	uint64_t ticket = 4711;

	for (size_t i = 0; i < ARRAY_SIZE(wide); i++) {
		EXPECT_EQ(-EINVAL, pinring_executor_submit(self->ex, &wide[i].c, &ticket));
		EXPECT_NE(NULL, strstr(pinring_error(), wide[i].field))
			TH_LOG("no '%s' in \"%s\"", wide[i].field, pinring_error());
		EXPECT_EQ(4711u, ticket);
	}
	ASSERT_EQ(0, pinring_executor_info(self->ex, &info));
	EXPECT_EQ(0, info.submitted);
	EXPECT_EQ(0, changed(self));
}

/* --------------------------------------------------------------- wave state */

#define FIELDS (HEADER + 256)
/* Of 60 cells, with the gap behind them. */
#define FIELD_BYTES (256 + PINRING_WAVE_GAP)

static const struct {
	const char *what;
	size_t at;
	uint64_t bytes; /* 4 or 8 */
	uint64_t value;
} bad_states[] = {
#define FIELD(name) #name, __builtin_offsetof(struct pinring_wave_state, name)
	{ FIELD(magic), 8, 0 },
	{ FIELD(magic), 8, PINRING_WAVE_MAGIC ^ 1 },
	{ FIELD(magic), 8, PINRING_WAVE_MAGIC | 1ull << 63 },
	{ FIELD(nx), 4, 0 },
	{ FIELD(nx), 4, UINT32_MAX },
	{ FIELD(nx), 4, 1u << 28 },
	{ FIELD(nx), 4, 1u << 31 },
	{ FIELD(nx), 4, 4000 },
	{ FIELD(ny), 4, 0 },
	{ FIELD(ny), 4, UINT32_MAX },
	{ FIELD(ny), 4, 1u << 30 },
	{ FIELD(ny), 4, 4000 },
	{ FIELD(nz), 4, 0 },
	{ FIELD(nz), 4, UINT32_MAX },
	{ FIELD(nz), 4, 0xcccccccd }, /* times 20: 4 modulo 2^32 */
	{ FIELD(nz), 4, 4000 },
	{ FIELD(lambda2), 8, 0x3fd5555555555556 }, /* above 1/3 */
	{ FIELD(lambda2), 8, 0x0000000000000000 },
	{ FIELD(lambda2), 8, 0x0000000000000001 },
	{ FIELD(lambda2), 8, 0x8000000000000000 },
	{ FIELD(lambda2), 8, 0xbfd5555555555555 }, /* -1/3 */
	{ FIELD(lambda2), 8, 0x7ff0000000000000 },
	{ FIELD(lambda2), 8, 0xfff0000000000000 },
	{ FIELD(lambda2), 8, 0x7ff8000000000000 },
	{ FIELD(lambda2), 8, 0xffffffffffffffff },
	{ FIELD(wall), 4, 0x80000001 },
	{ FIELD(wall), 4, 0xbf800000 },
	{ FIELD(wall), 4, 0x7f800000 },
	{ FIELD(wall), 4, 0xff800000 },
	{ FIELD(wall), 4, 0x7fc00000 },
	{ FIELD(wall), 4, 0x7f7fffff },
	{ FIELD(fields_offset), 8, 0 },
	{ FIELD(fields_offset), 8, 128 },
	{ FIELD(fields_offset), 8, HEADER - 128 },
	{ FIELD(fields_offset), 8, FIELDS + 4 },
	{ FIELD(fields_offset), 8, FIELDS + 64 },
	{ FIELD(fields_offset), 8, BYTES },
	{ FIELD(fields_offset), 8, BYTES + 128 },
	{ FIELD(fields_offset), 8, BYTES - 128 },
	/* Both fields fit, and the zeros do not. */
	{ FIELD(fields_offset), 8, BYTES - 2 * FIELD_BYTES },
	{ FIELD(fields_offset), 8, 1ull << 47 },
	{ FIELD(fields_offset), 8, 1ull << 63 },
	{ FIELD(fields_offset), 8, -128ull },
	{ FIELD(fields_offset), 8, UINT64_MAX },
#undef FIELD
};

static void poke(void *state, size_t at, uint64_t bytes, uint64_t value)
{
	if (bytes == 8)
		memcpy((char *)state + at, &value, 8);
	else
		memcpy((char *)state + at, &(uint32_t){ (uint32_t)value }, 4);
}

TEST_F(hostile, every_field_of_a_wave_state_is_checked)
{
	const struct pinring_wave_state kept = *self->w.state;

	for (size_t i = 0; i < ARRAY_SIZE(bad_states); i++)
		for (size_t k = 0; k < ARRAY_SIZE(waves); k++) {
			struct pinring_command c = good(waves[k]);
			char what[64];

			snprintf(what, sizeof(what), "%s = %#llx", bad_states[i].what,
				 (unsigned long long)bad_states[i].value);
			poke(self->w.state, bad_states[i].at, bad_states[i].bytes,
			     bad_states[i].value);
			remember(self);
			refused(_metadata, self, &c, PINRING_REASON_WAVE, what);
			/* Not even for nothing. */
			c.count = 0;
			refused(_metadata, self, &c, PINRING_REASON_WAVE, what);
			*self->w.state = kept;
		}
}

/* Products of dimensions that overflow 32, 64 or 28 bits, also to a small rest. */
TEST_F(hostile, dimensions_that_overflow_are_refused)
{
	static const uint32_t dimensions[][3] = {
		{ 1u << 16, 1u << 16, 1 }, { 1u << 16, 1u << 16, 1u << 16 },
		{ 1u << 31, 2, 1 }, { 1u << 31, 1u << 31, 4 }, { 1u << 14, 1u << 14, 1 },
		{ 1, 1u << 28, 1 }, { 1, 1, 1u << 28 }, { 1, 1u << 14, 1u << 14 },
		{ 1u << 9, 1u << 9, 1u << 10 }, { 3, 0x55555556, 1 },
		{ UINT32_MAX, UINT32_MAX, UINT32_MAX }, { 1, UINT32_MAX, UINT32_MAX },
		{ 641, 6700417, 1 }, { 0x10001, 0xffff, 1 }, { 274177, 4294967291u, 15 },
		/* Not too many cells, but too many for the region. */
		{ (1u << 28) - 1, 1, 1 }, { 1, 1, (1u << 28) - 1 }, { 20, 20, 20 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(dimensions); i++)
		for (size_t k = 0; k < ARRAY_SIZE(waves); k++) {
			struct pinring_command c = good(waves[k]);

			self->w.state->nx = dimensions[i][0];
			self->w.state->ny = dimensions[i][1];
			self->w.state->nz = dimensions[i][2];
			remember(self);
			refused(_metadata, self, &c, PINRING_REASON_WAVE, "dimensions");
		}
}

TEST_F(hostile, a_wave_operand_in_a_wrong_place_is_refused)
{
	static const struct {
		struct pinring_operand o;
		uint32_t reason;
	} places[] = {
		{ { HEADER, 2 }, PINRING_REASON_REGION },
		{ { HEADER, 255 }, PINRING_REASON_REGION },
		{ { 0, 0 }, PINRING_REASON_OFFSET },
		{ { HEADER - 128, 0 }, PINRING_REASON_OFFSET },
		{ { BYTES + 128, 0 }, PINRING_REASON_OFFSET },
		{ { (1ull << 48) - 128, 0 }, PINRING_REASON_OFFSET },
		{ { HEADER + 4, 0 }, PINRING_REASON_ALIGNMENT },
		{ { HEADER + 64, 0 }, PINRING_REASON_ALIGNMENT },
		{ { HEADER + 1, 0 }, PINRING_REASON_ALIGNMENT },
		{ { BYTES, 0 }, PINRING_REASON_COUNT },
		{ { BYTES - 128, 0 }, PINRING_REASON_COUNT },
		{ { HEADER + 128, 0 }, PINRING_REASON_WAVE },
		{ { BYTES - 256, 0 }, PINRING_REASON_WAVE },
		{ { HEADER, 1 }, PINRING_REASON_WAVE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		for (size_t k = 0; k < ARRAY_SIZE(waves); k++) {
			struct pinring_command c = good(waves[k]);
			char what[32];

			c.a = places[i].o;
			snprintf(what, sizeof(what), "place %zu", i);
			refused(_metadata, self, &c, places[i].reason, what);
		}
}

TEST_F(hostile, cells_outside_the_room_are_refused)
{
	static const uint64_t cells[] = { 60, 61, 1u << 20, (1u << 28) - 1 };
	static const uint64_t far[] = { 1ull << 28, 1ull << 32, (1ull << 56) - 1, 1ull << 55 };

	for (size_t i = 0; i < ARRAY_SIZE(cells); i++) {
		struct pinring_command c = good(PINRING_OP_WAVE_INJECT);

		c.aux = cells[i];
		refused(_metadata, self, &c, PINRING_REASON_CELL, "inject");
		c.operation = PINRING_OP_WAVE_PROBE;
		refused(_metadata, self, &c, PINRING_REASON_CELL, "probe");
		c = good(PINRING_OP_WAVE_BLOCK);
		c.aux = cells[i];
		refused(_metadata, self, &c, PINRING_REASON_CELL, "source");
		c.aux = cells[i] << 28 | 59;
		refused(_metadata, self, &c, PINRING_REASON_CELL, "microphone");
	}
	for (size_t i = 0; i < ARRAY_SIZE(far); i++) {
		struct pinring_command c = good(PINRING_OP_WAVE_INJECT);

		c.aux = far[i];
		refused(_metadata, self, &c, PINRING_REASON_CELL, "inject, far");
		c.operation = PINRING_OP_WAVE_PROBE;
		refused(_metadata, self, &c, PINRING_REASON_CELL, "probe, far");
	}
	for (size_t k = 0; k < ARRAY_SIZE(waves); k++) {
		struct pinring_command c = good(waves[k]);

		c.aux = c.operation == PINRING_OP_WAVE_BLOCK ? 59ull << 28 | 59 : 59;
		EXPECT_EQ(0, answer(_metadata, self, &c).status);
	}
}

/* As far back in the region as the row of zeros allows. */
TEST_F(hostile, fields_to_the_last_byte_are_all_right)
{
	struct pinring_command c = good(PINRING_OP_WAVE_STEP);
	/* Two fields of a line and the gap each, and a line of zeros. */
	const uint64_t bytes = 2 * (128 + PINRING_WAVE_GAP) + 128;

	self->w.state->nx = 32;
	self->w.state->ny = self->w.state->nz = 1;
	self->w.state->fields_offset = BYTES - bytes;
	memset(self->base[1] + BYTES - bytes, 0, bytes);
	remember(self);
	c.count = 50;
	EXPECT_EQ(0, answer(_metadata, self, &c).status);
	EXPECT_EQ(0, changed(self) & ~(1u << attached[0]));
	self->w.state->nx = 33;
	remember(self);
	refused(_metadata, self, &c, PINRING_REASON_WAVE, "33 cells");
}

/* --------------------------------------------------------------------- fuzz */

static uint64_t below(uint64_t n)
{
	return (random_word() >> 11) % n;
}

static uint64_t one_of(const uint64_t *values, size_t n)
{
	return values[below(n)];
}
#define ONE_OF(...) \
	one_of((const uint64_t[]){ __VA_ARGS__ }, \
	       ARRAY_SIZE(((const uint64_t[]){ __VA_ARGS__ })))

static uint64_t fuzz_operand(uint64_t old)
{
	uint64_t offset, region = below(2);

	switch (below(8)) {
	case 0:
		return random_word() & PINRING_WORD_MASK;
	case 1:
		return old; /* the same as another operand */
	case 2:
		return (old + ONE_OF(4, 8, -4ull, 1, 128)) & PINRING_WORD_MASK;
	case 3:
		offset = ONE_OF(HEADER, HEADER - 4, BYTES, BYTES - 4, BYTES - 256, 0,
				BYTES + 4, HEADER + 128);
		break;
	default:
		offset = HEADER + (below(BYTES - HEADER) & ~ONE_OF(3, 127, 0));
	}
	if (below(16) == 0)
		region = ONE_OF(2, 31, 32, 255);
	return offset | region << PINRING_OFFSET_BITS;
}

/* A command from raw words, most of which are nearly right. */
static void fuzz_command(struct pinring_command *c, uint32_t id, bool with_waves)
{
	__u64 word[PINRING_SLOT_WORDS];
	uint64_t operation = operations[below(with_waves ? 24 : 20)];

	if (below(16) == 0)
		operation = below(2) ? 0 : random_word() & 0xffff;

	for (unsigned int i = 0; i < PINRING_SLOT_WORDS; i++)
		word[i] = random_word() & PINRING_WORD_MASK;
	word[0] = operation << 32 | id;
	switch (below(8)) {
	case 0:
		break;
	case 1:
		word[1] = ONE_OF(0, 1, FLOATS(BYTES - HEADER), FLOATS(BYTES - HEADER) + 1,
				 1ull << 46, (1ull << 48) - 1);
		break;
	default:
		word[1] = below(below(4) ? 100 : FLOATS(BYTES - HEADER));
	}
	word[2] = fuzz_operand(HEADER);
	word[3] = fuzz_operand(word[2]);
	word[4] = fuzz_operand(below(2) ? word[2] : word[3]);
	if (operation >= 32 && operation < 36) {
		if (below(8))
			word[3] = HEADER;
		if (below(8))
			word[7] = below(4) ? below(60) | below(60) << 28 : below(70);
		/* 2^48 steps would be done, one after the other. */
		if (operation == PINRING_OP_WAVE_STEP)
			word[1] = below(20);
	}
	pinring_unpack_command(c, word);
}

/* Most of the time a sensible room; else one field of it is wild. */
static void fuzz_state(struct pinring_wave_state *s, const struct pinring_wave_state *kept)
{
	uint64_t wild;

	*s = *kept;
	s->steps = random_word();
	switch (below(10)) {
	case 0:
		s->nx = (uint32_t)random_word() >> below(32);
		break;
	case 1:
		s->ny = (uint32_t)random_word() >> below(32);
		break;
	case 2:
		s->nz = (uint32_t)random_word() >> below(32);
		break;
	case 3:
		wild = random_word();
		memcpy(&s->lambda2, &wild, sizeof(wild));
		break;
	case 4:
		s->wall = pinring_bits_float((uint32_t)random_word());
		break;
	case 5:
		s->fields_offset = HEADER + (below(BYTES - HEADER) & ~127ull);
		break;
	case 6:
		s->fields_offset = random_word() >> below(64);
		break;
	case 7:
		s->nx = 1 + (uint32_t)below(20);
		s->ny = 1 + (uint32_t)below(20);
		s->nz = 1 + (uint32_t)below(20);
		break;
	default:
		break;
	}
}

/* By whole 64-byte lines of the two regions: may a command of this batch write it? */
#define LINES (BYTES / 64)
static unsigned char may_write[2][LINES];

static void allow(uint64_t region, uint64_t offset, uint64_t bytes)
{
	if (region >= 2 || offset < HEADER || offset > BYTES || bytes > BYTES - offset)
		return; /* not legal, so nothing may be written for it */
	for (uint64_t i = offset / 64; bytes && i <= (offset + bytes - 1) / 64; i++)
		may_write[region][i] = 1;
}

static void allow_command(const struct pinring_command *c)
{
	int has = operands(c->operation);

	if (has & WAVE && c->a.region < 2) {
		/* Its dimensions may have been written a moment ago: any field. */
		memset(may_write[c->a.region] + HEADER / 64, 1, LINES - HEADER / 64);
	}
	if (has & DST)
		allow(c->dst.region, c->dst.offset,
		      has & ONE ? 4 : c->count > BYTES ? BYTES : c->count * 4);
}

static unsigned char copy[2][BYTES];

#define BATCH 32

static void fuzz(struct __test_metadata *_metadata, FIXTURE_DATA(hostile) *self,
		 unsigned int commands)
{
	const struct pinring_wave_state kept = *self->w.state;
	unsigned int good_ones = 0, stray = 0, wrong = 0, reasons[16] = { 0 };
	struct pinring_command c[BATCH];
	uint64_t ticket[BATCH];

	for (unsigned int done = 0; done < commands; done += BATCH) {
		struct pinring_completion answered;

		memset(may_write, 0, sizeof(may_write));
		fuzz_state(self->w.state, &kept);
		for (unsigned int i = 0; i < 2; i++)
			memcpy(copy[i], self->base[attached[i]], BYTES);
		for (unsigned int i = 0; i < BATCH; i++) {
			/* Waves may write a region anywhere: look without them, too. */
			fuzz_command(&c[i], done + i, done / BATCH % 2);
			/* What is no operation has no operands. */
			if (pinring_operation_name(c[i].operation))
				allow_command(&c[i]);
			ASSERT_EQ(0, pinring_executor_submit(self->ex, &c[i], &ticket[i]))
				TH_LOG("%s", pinring_error());
		}
		for (unsigned int i = 0; i < BATCH; i++) {
			ASSERT_EQ(0, pinring_executor_wait(self->ex, ticket[i], 20 * SECOND,
							   &answered));
			wrong += answered.id != done + i;
			wrong += answered.status != 0 && answered.status != -EINVAL;
			wrong += (answered.status != 0) != (answered.reason != 0);
			wrong += answered.reason > PINRING_REASON_CELL;
			good_ones += answered.status == 0;
			reasons[answered.reason & 15]++;
		}
		/* Each once: there is no second. */
		wrong += pinring_executor_poll(self->ex, ticket[0], &answered) != -ENOENT;
		for (unsigned int i = 0; i < 2; i++)
			for (uint64_t k = 0; k < LINES; k++)
				stray += !may_write[i][k] &&
					 memcmp(copy[i] + 64 * k,
						self->base[attached[i]] + 64 * k, 64);
		ASSERT_EQ(0, stray) TH_LOG("commands %u to %u wrote what none names", done,
					   done + BATCH - 1);
	}
	EXPECT_EQ(0, wrong);
	/* The fuzz is worth something only if it gets past every check. */
	EXPECT_LE(commands / 20, good_ones);
	for (unsigned int i = PINRING_REASON_OPERATION; i <= PINRING_REASON_CELL; i++) {
		EXPECT_LT(commands / 1000, reasons[i])
			TH_LOG("%s: only %u times", pinring_reason_text(i), reasons[i]);
	}
	EXPECT_EQ(0, changed(self) & ~(1u << attached[0] | 1u << attached[1]));
	TH_LOG("%u of %u commands were carried out", good_ones, commands);
	*self->w.state = kept;
}

TEST_F_TIMEOUT(hostile, random_commands_are_answered_and_write_only_what_they_name, 120)
{
	struct pinring_executor_info info = PINRING_INIT(struct pinring_executor_info);
	const unsigned int commands = 300000 / BATCH * BATCH;

	fuzz(_metadata, self, commands);
	ASSERT_EQ(0, pinring_executor_info(self->ex, &info));
	EXPECT_EQ(commands, info.submitted);
	EXPECT_EQ(commands, info.telemetry.processed);
	EXPECT_EQ(PINRING_STATE_ACTIVE, pinring_executor_state(self->ex));
}

TEST_F_TIMEOUT(hostile, random_commands_and_a_team, 120)
{
	EXPECT_EQ(0, pinring_executor_close(self->ex, 5 * SECOND));
	make_executor(_metadata, self, 3);
	fuzz(_metadata, self, 30016);
}

/* --------------------------------------------------- memory others can write */

struct scribbler {
	struct pinring_wave_state *state;
	struct pinring_wave_state kept;
	int stop;
};

static void *scribble(void *arg)
{
	struct scribbler *s = arg;
	struct pinring_wave_state next;

	/* Good and bad turn about as fast as can be, word by word. */
	for (unsigned int round = 0; !__atomic_load_n(&s->stop, __ATOMIC_RELAXED); round++) {
		fuzz_state(&next, &s->kept);
		for (size_t i = 0; i < sizeof(next) / 8; i++)
			__atomic_store_n((uint64_t *)s->state + i, ((uint64_t *)&next)[i],
					 __ATOMIC_RELAXED);
		/* Three threads spin here; with fewer CPUs each must get its turn. */
		if (round % 64 == 0)
			sched_yield();
	}
	return NULL;
}

static void wave_under_scribbles(struct __test_metadata *_metadata,
				 FIXTURE_DATA(hostile) *self)
{
	const uint32_t enough = 1000 * BATCH;
	struct scribbler s = { .state = self->w.state, .kept = *self->w.state };
	unsigned int good_ones = 0, wrong = 0, refusals = 0;
	struct pinring_completion done;
	uint64_t ticket[BATCH];
	pthread_t thread;
	uint32_t i;

	ASSERT_EQ(0, pthread_create(&thread, NULL, scribble, &s));
	/* On a busy machine it may take long until it has been both. */
	for (i = 0; i < enough ||
		    ((!good_ones || !refusals) && i < 100 * enough);
	     i += BATCH) {
		for (uint32_t k = 0; k < BATCH; k++) {
			struct pinring_command c = good(waves[k % ARRAY_SIZE(waves)]);

			c.count = k % 8;
			c.id = i + k;
			c.aux = c.operation == PINRING_OP_WAVE_BLOCK ? 59ull << 28 | 58 : 59;
			wrong += pinring_executor_submit(self->ex, &c, &ticket[k]) != 0;
		}
		for (uint32_t k = 0; k < BATCH; k++) {
			wrong += pinring_executor_wait(self->ex, ticket[k], 20 * SECOND,
						       &done) != 0;
			wrong += done.id != i + k;
			good_ones += done.status == 0;
			refusals += done.status == -EINVAL &&
				    (done.reason == PINRING_REASON_WAVE ||
				     done.reason == PINRING_REASON_CELL);
		}
	}
	__atomic_store_n(&s.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(i, good_ones + refusals);
	EXPECT_LT(0, good_ones);
	EXPECT_LT(0, refusals);
	EXPECT_EQ(0, changed(self) & ~(1u << attached[0] | 1u << attached[1]));
	for (unsigned int k = 0; k < 2; k++) {
		EXPECT_EQ(0, memcmp(copy[k], self->base[attached[k]], HEADER));
	}
	TH_LOG("%u commands were carried out, %u refused", good_ones, refusals);
}

TEST_F_TIMEOUT(hostile, a_wave_state_that_changes_while_it_is_checked, 120)
{
#ifdef __SANITIZE_THREAD__
	SKIP(return, "the race is the test, and ThreadSanitizer would report it");
#endif
	for (unsigned int i = 0; i < 2; i++)
		memcpy(copy[i], self->base[attached[i]], BYTES);
	wave_under_scribbles(_metadata, self);
}

TEST_HARNESS_MAIN
