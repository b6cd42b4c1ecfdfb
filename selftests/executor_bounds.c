// SPDX-License-Identifier: MIT
/*
 * An executor that ends by itself, after so many commands or idle for too long,
 * and what it tells of its time.
 */
#include <kselftest_harness.h>

#include <errno.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

#include <pinring/pinring.h>

#include "executor_kind.h"
#include "executor_test.h"

#define FLOATS 50000u /* a team's */

FIXTURE(bounds)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_object_info data;
	struct pinring_executor_config config;
	struct pinring_executor *ex;
};

FIXTURE_VARIANT(bounds)
{
	uint32_t threads;
};

FIXTURE_VARIANT_ADD(bounds, alone)
{
	.threads = 1,
};

FIXTURE_VARIANT_ADD(bounds, team)
{
	.threads = 3,
};

FIXTURE_SETUP(bounds)
{
	struct pinring_region_config rc = pinring_region_defaults(1 << 20);

	rc.flags = PINRING_REGION_SMALL_PAGES;
	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &rc, &self->r));
	ASSERT_EQ(0, pinring_object_create(self->r, "data", PINRING_OBJECT_BYTES,
					   FLOATS * sizeof(float), 0, &self->data));
	self->config = pinring_executor_defaults();
	self->config.kind = executor_kind();
	self->config.threads = variant->threads;
}

FIXTURE_TEARDOWN(bounds)
{
	pinring_executor_close(self->ex, 0);
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

static struct pinring_command nop(uint32_t id)
{
	return (struct pinring_command){ .id = id, .operation = PINRING_OP_NOP };
}

static struct pinring_command fill(uint32_t id, const struct pinring_object_info *data)
{
	return (struct pinring_command){
		.id = id, .operation = PINRING_OP_FILL, .count = FLOATS,
		.dst = { data->offset, 0 }, .s0 = (float)id,
	};
}

#define ENDS() pinring_executor_wait_state(self->ex, PINRING_STATE_TERMINATED, 20 * SECOND)

TEST_F(bounds, ends_after_so_many_commands)
{
	const float *at = pinring_region_at(self->r, self->data.offset, self->data.length);
	struct pinring_completion done;
	uint64_t ticket[7];

	self->config.commands_max = 5;
	ASSERT_EQ(0, pinring_executor_create(self->device, &self->config, &self->ex));
	ASSERT_EQ(0, pinring_executor_attach(self->ex, self->r));
	for (uint32_t i = 0; i < 7; i++) {
		struct pinring_command c = i % 2 ? nop(i) : fill(i, &self->data);

		ASSERT_EQ(0, pinring_executor_submit(self->ex, &c, &ticket[i]));
	}
	/* Nobody says a word to it from here on. */
	ASSERT_EQ(0, pinring_executor_launch(self->ex));
	ASSERT_EQ(0, ENDS());
	for (uint32_t i = 0; i < 7; i++) {
		ASSERT_EQ(0, pinring_executor_poll(self->ex, ticket[i], &done));
		EXPECT_EQ(i, done.id);
		EXPECT_EQ(i < 5 ? 0 : -ECANCELED, done.status);
	}
	EXPECT_EQ(4, at[0]);
	EXPECT_EQ(4, at[FLOATS - 1]);
	EXPECT_EQ(2, pinring_executor_close(self->ex, SECOND));
	self->ex = NULL;
}

TEST_F(bounds, ends_while_commands_keep_coming)
{
	struct pinring_completion done;
	struct pinring_command c = nop(1);
	int rc = 0;

	self->config.commands_max = 100;
	ASSERT_EQ(0, pinring_executor_start(self->device, &self->config, &self->ex));
	for (int i = 0; i < 100; i++) {
		ASSERT_EQ(0, pinring_executor_call(self->ex, &c, 10 * SECOND, &done));
		ASSERT_EQ(0, done.status);
	}
	/* What comes in its last moment is cancelled, and later nobody answers. */
	while (!rc) {
		rc = pinring_executor_call(self->ex, &c, 10 * SECOND, &done);
		EXPECT_TRUE(rc == -EPIPE || (!rc && done.status == -ECANCELED));
	}
	EXPECT_EQ(0, ENDS());
	EXPECT_LE(100, info_of(self->ex).telemetry.processed);
	EXPECT_NE(-ETIMEDOUT, info_of(self->ex).error);
}

TEST_F(bounds, ends_when_idle_for_too_long)
{
	struct pinring_completion done;
	struct pinring_command c = nop(1);
	struct pinring_executor_info info;
	int64_t last;

	self->config.idle_ms = 300;
	last = now_ns();
	/* On a busy machine any of these may come too late; and then it has ended. */
	if (pinring_executor_start(self->device, &self->config, &self->ex))
		SKIP(return, "this machine took 300 ms to start");
	for (int i = 0; i < 5; i++) {
		usleep(50000);
		last = now_ns();
		if (pinring_executor_call(self->ex, &c, 10 * SECOND, &done) || done.status)
			SKIP(return, "this machine took 300 ms for 50");
	}
	ASSERT_EQ(0, ENDS());
	EXPECT_LE(last + 300 * 1000000, now_ns());
	info = info_of(self->ex);
	EXPECT_EQ(-ETIMEDOUT, info.error);
	EXPECT_EQ(PINRING_OP_NONE, info.error_operation);
	EXPECT_EQ(0, info.error_id);
	EXPECT_EQ(5, info.telemetry.processed);
	EXPECT_EQ(-EPIPE, pinring_executor_call(self->ex, &c, SECOND, &done));
}

TEST_F(bounds, ends_when_nobody_activates_it)
{
	self->config.idle_ms = 20;
	ASSERT_EQ(0, pinring_executor_create(self->device, &self->config, &self->ex));
	ASSERT_EQ(0, pinring_executor_launch(self->ex));
	EXPECT_EQ(0, ENDS());
	EXPECT_EQ(-ETIMEDOUT, info_of(self->ex).error);
}

/* A program built before these fields were there. */
TEST_F(bounds, an_older_config_has_no_bounds)
{
	struct pinring_completion done;
	struct pinring_command c = nop(1);

	self->config.struct_size = offsetof(struct pinring_executor_config, commands_max);
	self->config.commands_max = 1;
	self->config.idle_ms = 1;
	ASSERT_EQ(0, pinring_executor_start(self->device, &self->config, &self->ex));
	usleep(50000);
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, pinring_executor_call(self->ex, &c, 10 * SECOND, &done));
		EXPECT_EQ(0, done.status);
	}
}

static uint64_t sum(const __u64 *from, int n)
{
	uint64_t total = 0;

	while (n--)
		total += *from++;
	return total;
}

/* At least so many commands came in bursts: each counts as its power of two. */
static uint64_t bursts_of(const struct pinring_profile *p)
{
	uint64_t commands = 0;

	for (int b = 0; b < PINRING_PROFILE_BURSTS; b++)
		commands += p->burst[b] << b;
	return commands;
}

TEST_F(bounds, what_it_tells_of_its_time)
{
	static struct pinring_profile p, before;
	struct pinring_command c = fill(1, &self->data);
	struct pinring_completion done;

	ASSERT_EQ(0, pinring_executor_start(self->device, &self->config, &self->ex));
	ASSERT_EQ(0, pinring_executor_attach(self->ex, self->r));
	for (int i = 0; i < 10; i++) {
		ASSERT_EQ(0, pinring_executor_call(self->ex, &c, 10 * SECOND, &done));
	}
	c = nop(2);
	for (int i = 0; i < 1000; i++) {
		ASSERT_EQ(0, pinring_executor_call(self->ex, &c, 10 * SECOND, &done));
	}
	c.operation = 999;
	ASSERT_EQ(0, pinring_executor_call(self->ex, &c, 10 * SECOND, &done));
	/* When there is nothing to do, it tells; in any order. */
	EXPECT_TRUE(COMES_TRUE(
		(pinring_executor_profile(self->ex, &p),
		 sum(p.duration[0], PINRING_PROFILE_OPERATIONS * PINRING_PROFILE_BUCKETS) ==
				 1011 &&
			 bursts_of(&p) > 1011 / 2)));
	EXPECT_EQ(1000, p.duration[PINRING_OP_NOP][0]);
	EXPECT_EQ(1, p.duration[PINRING_PROFILE_OPERATIONS - 1][0]);
	EXPECT_EQ(10, sum(p.duration[PINRING_OP_FILL], PINRING_PROFILE_BUCKETS));
	/* 50000 floats in less than 128 ns, or in more than two seconds each? */
	EXPECT_EQ(0, sum(p.duration[PINRING_OP_FILL], 7));
	EXPECT_EQ(0, p.duration[PINRING_OP_FILL][PINRING_PROFILE_BUCKETS - 1]);
	EXPECT_LE(bursts_of(&p), 1011);
	/* While it idles, both go on. */
	before = p;
	EXPECT_TRUE(COMES_TRUE((pinring_executor_profile(self->ex, &p),
				p.idle_ns > before.idle_ns)));
	EXPECT_LT(before.alive_ns, p.alive_ns);
	EXPECT_LE(p.idle_ns, p.alive_ns);
}

TEST_HARNESS_MAIN
