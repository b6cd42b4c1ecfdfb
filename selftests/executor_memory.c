// SPDX-License-Identifier: MIT
/*
 * Memory where the executor runs: allocated there, or the caller's. On host threads
 * both are memory of this process; with PINRING_TEST_EXECUTOR=cuda a GPU's, which only
 * commands look into.
 */
#define _GNU_SOURCE
#include <kselftest_harness.h>

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <pinring/pinring.h>

#include "executor_kind.h"
#include "executor_test.h"

#define FLOATS 5000u
#define BYTES (FLOATS * sizeof(float))
#define SIDE 20u

FIXTURE(memory)
{
	struct pinring_device *device;
	struct pinring_region *r; /* number 0 */
	struct pinring_executor_config config;
	struct pinring_executor *ex;
	struct pinring_object_info in, out;
	float *in_at, *out_at;
	struct pinring_wave wave;
};

FIXTURE_SETUP(memory)
{
	struct pinring_region_config rc = pinring_region_defaults(1 << 20);

	rc.flags = PINRING_REGION_SMALL_PAGES;
	ASSERT_OK(pinring_device_open(NULL, &self->device));
	ASSERT_OK(pinring_region_create(self->device, &rc, &self->r));
	ASSERT_OK(pinring_object_create(self->r, "in", PINRING_OBJECT_BYTES, BYTES, 0,
					&self->in));
	ASSERT_OK(pinring_object_create(self->r, "out", PINRING_OBJECT_BYTES, BYTES, 0,
					&self->out));
	ASSERT_OK(pinring_wave_create(self->r, "room", SIDE, SIDE, SIDE, 1.0 / sqrt(3.0),
				      0.02, &self->wave));
	self->in_at = pinring_region_at(self->r, self->in.offset, BYTES);
	self->out_at = pinring_region_at(self->r, self->out.offset, BYTES);
	for (uint32_t i = 0; i < FLOATS; i++) {
		self->in_at[i] = (float)(i % 1001) - 500.0f;
		self->out_at[i] = -1.0f;
	}
	self->config = pinring_executor_defaults();
	self->config.kind = executor_kind();
	self->config.threads = 2;
	self->config.depth = 16;
	ASSERT_OK(pinring_executor_start(self->device, &self->config, &self->ex));
	ASSERT_EQ(0, pinring_executor_attach(self->ex, self->r));
}

FIXTURE_TEARDOWN(memory)
{
	pinring_executor_close(self->ex, 10 * SECOND);
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

/* Anew: as the fixture began, but not launched. */
static int begin_again(FIXTURE_DATA(memory) *self)
{
	int rc;

	pinring_executor_close(self->ex, 10 * SECOND);
	self->ex = NULL;
	rc = pinring_executor_create(self->device, &self->config, &self->ex);
	return rc ? rc : pinring_executor_attach(self->ex, self->r);
}

static struct pinring_operand at(int number, uint64_t offset)
{
	return (struct pinring_operand){ offset, (uint32_t)number };
}

static struct pinring_command copy(struct pinring_operand dst, struct pinring_operand a,
				   uint64_t count)
{
	return (struct pinring_command){ .id = 11, .operation = PINRING_OP_COPY,
					 .count = count, .dst = dst, .a = a,
					 .b = { 0, PINRING_REGION_NONE } };
}

static struct pinring_command scale(struct pinring_operand x, uint64_t count, float s)
{
	return (struct pinring_command){ .id = 12, .operation = PINRING_OP_SCALE,
					 .count = count, .dst = x, .a = x, .s0 = s,
					 .b = { 0, PINRING_REGION_NONE } };
}

static struct pinring_command reduce(uint16_t operation, struct pinring_operand a,
				     uint64_t count)
{
	return (struct pinring_command){ .id = 13, .operation = operation,
					 .count = count, .a = a,
					 .dst = { 0, PINRING_REGION_NONE },
					 .b = { 0, PINRING_REGION_NONE } };
}

/* The reason it is refused for, or none; -1: it was not answered so. */
static int carry_out(struct pinring_executor *ex, struct pinring_command c, float *result)
{
	struct pinring_completion done;
	int rc;

	/* Of many threads one may be slow to collect, which the others wait for. */
	while ((rc = pinring_executor_call(ex, &c, 60 * SECOND, &done)) == -EAGAIN)
		sched_yield();
	if (rc || done.id != c.id)
		return -1;
	if (result)
		*result = done.result;
	if (done.status)
		return done.status == -EINVAL && done.reason ? (int)done.reason : -1;
	return done.done == c.count || !c.count ? PINRING_REASON_NONE : -1;
}

/* in --> memory, doubled there, --> out; -1 where something else came. */
static int there_and_back(FIXTURE_DATA(memory) *self, struct pinring_executor *ex,
			  struct pinring_operand x, uint64_t count)
{
	memset(self->out_at, 0xff, BYTES);
	if (carry_out(ex, copy(x, at(0, self->in.offset), count), NULL) ||
	    carry_out(ex, scale(x, count, 2.0f), NULL) ||
	    carry_out(ex, copy(at(0, self->out.offset), x, count), NULL))
		return -1;
	for (uint64_t i = 0; i < count; i++) {
		if (self->out_at[i] != self->in_at[i] * 2.0f)
			return -1;
	}
	return 0;
}

TEST_F(memory, is_zeroed_and_commands_work_in_it)
{
	int n = pinring_executor_allocate(self->ex, BYTES, NULL);
	float least = 1, most = 1;

	ASSERT_EQ(1, n) {
		TH_LOG("%s", pinring_error());
	}
	EXPECT_EQ(0, carry_out(self->ex, reduce(PINRING_OP_REDUCE_MIN, at(n, 0), FLOATS),
			       &least));
	EXPECT_EQ(0, carry_out(self->ex, reduce(PINRING_OP_REDUCE_MAX, at(n, 0), FLOATS),
			       &most));
	EXPECT_EQ(0.0f, least);
	EXPECT_EQ(0.0f, most);
	EXPECT_EQ(0, there_and_back(self, self->ex, at(n, 0), FLOATS));
	EXPECT_EQ(0, there_and_back(self, self->ex, at(n, 400), FLOATS - 100));
}

TEST_F(memory, is_counted_where_it_is_a_gpus)
{
	void *address;
	int n = pinring_executor_allocate(self->ex, BYTES, &address);

	ASSERT_EQ(1, n);
	ASSERT_EQ(2, pinring_executor_attach_memory(self->ex, address, 1000));
	EXPECT_EQ(on_cuda() ? BYTES + 1000 : 0, info_of(self->ex).gpu_bytes);
	ASSERT_OK(pinring_executor_detach(self->ex, 1, 20 * SECOND));
	EXPECT_EQ(on_cuda() ? 1000 : 0, info_of(self->ex).gpu_bytes);
}

/* To the byte, and there is no header to keep clear of. */
TEST_F(memory, ends_where_it_was_said_to)
{
	int n = pinring_executor_allocate(self->ex, 4099, NULL);
	float sum;

	ASSERT_LE(0, n);
	EXPECT_EQ(0, carry_out(self->ex, reduce(PINRING_OP_SUM, at(n, 0), 1024), &sum));
	EXPECT_EQ(0, carry_out(self->ex, reduce(PINRING_OP_SUM, at(n, 4092), 1), &sum));
	EXPECT_EQ(PINRING_REASON_COUNT,
		  carry_out(self->ex, reduce(PINRING_OP_SUM, at(n, 0), 1025), &sum));
	EXPECT_EQ(PINRING_REASON_COUNT,
		  carry_out(self->ex, reduce(PINRING_OP_SUM, at(n, 4096), 1), &sum));
	EXPECT_EQ(PINRING_REASON_OFFSET,
		  carry_out(self->ex, reduce(PINRING_OP_SUM, at(n, 4100), 1), &sum));
	EXPECT_EQ(PINRING_REASON_OFFSET,
		  carry_out(self->ex, reduce(PINRING_OP_SUM, at(n, (1ull << 48) - 4), 1), &sum));
	EXPECT_EQ(PINRING_REASON_ALIGNMENT,
		  carry_out(self->ex, reduce(PINRING_OP_SUM, at(n, 2), 1), &sum));
	EXPECT_EQ(PINRING_REASON_REGION,
		  carry_out(self->ex, reduce(PINRING_OP_SUM, at(n + 1, 0), 1), &sum));
	/* A region's header is still none of theirs. */
	EXPECT_EQ(PINRING_REASON_OFFSET,
		  carry_out(self->ex, reduce(PINRING_OP_SUM, at(0, 0), 1), &sum));
	EXPECT_EQ(PINRING_REASON_OFFSET,
		  carry_out(self->ex, reduce(PINRING_OP_SUM,
					     at(0, PINRING_REGION_HEADER_BYTES - 4), 1),
			    &sum));
}

/* What counts is where an operand lies, not how far that is from the beginning. */
TEST_F(memory, operands_are_aligned_as_addresses)
{
	char *address;
	struct pinring_command step = { .id = 14, .operation = PINRING_OP_WAVE_STEP,
					.count = 1 };
	float sum;

	ASSERT_EQ(1, pinring_executor_allocate(self->ex, 8192, (void **)&address));
	ASSERT_EQ(0, (uintptr_t)address % 128);
	ASSERT_EQ(2, pinring_executor_attach_memory(self->ex, address + 1, 4096));
	ASSERT_EQ(3, pinring_executor_attach_memory(self->ex, address + 4, 4096));
	EXPECT_EQ(PINRING_REASON_ALIGNMENT,
		  carry_out(self->ex, reduce(PINRING_OP_SUM, at(2, 0), 1), &sum));
	EXPECT_EQ(0, carry_out(self->ex, reduce(PINRING_OP_SUM, at(2, 3), 1), &sum));
	EXPECT_EQ(0, carry_out(self->ex, reduce(PINRING_OP_SUM, at(3, 0), 1), &sum));
	step.a = at(3, 0);
	EXPECT_EQ(PINRING_REASON_ALIGNMENT, carry_out(self->ex, step, NULL));
	step.a = at(3, 124);
	EXPECT_EQ(PINRING_REASON_WAVE, carry_out(self->ex, step, NULL));
}

TEST_F(memory, the_callers_counts_from_its_address)
{
	char *address;
	float sum;

	ASSERT_EQ(1, pinring_executor_allocate(self->ex, BYTES, (void **)&address));
	ASSERT_EQ(2, pinring_executor_attach_memory(self->ex, address + 4000, BYTES - 4000));
	ASSERT_EQ(0, carry_out(self->ex, copy(at(1, 0), at(0, self->in.offset), FLOATS), NULL));
	EXPECT_EQ(0, carry_out(self->ex, reduce(PINRING_OP_SUM, at(2, 8), 1), &sum));
	EXPECT_EQ(self->in_at[1002], sum);
	EXPECT_EQ(0, carry_out(self->ex, reduce(PINRING_OP_SUM, at(2, BYTES - 4004), 1), &sum));
	EXPECT_EQ(self->in_at[FLOATS - 1], sum);
	EXPECT_EQ(PINRING_REASON_COUNT,
		  carry_out(self->ex, reduce(PINRING_OP_SUM, at(2, BYTES - 4000), 1), &sum));
	/* Two names of the same bytes: seen to overlap. */
	EXPECT_EQ(PINRING_REASON_OVERLAP,
		  carry_out(self->ex, copy(at(2, 0), at(1, 3996), 100), NULL));
	EXPECT_EQ(0, carry_out(self->ex, copy(at(2, 0), at(1, 4000), 100), NULL));
}

TEST_F(memory, two_executors_work_in_the_same)
{
	struct pinring_executor *other;
	void *address;
	float sum;

	ASSERT_EQ(1, pinring_executor_allocate(self->ex, BYTES, &address));
	self->config.threads = 1;
	ASSERT_OK(pinring_executor_start(self->device, &self->config, &other));
	ASSERT_EQ(0, pinring_executor_attach_memory(other, address, BYTES));
	ASSERT_EQ(1, pinring_executor_attach(other, self->r));
	for (int i = 1; i < 20; i++) {
		EXPECT_EQ(0, carry_out(self->ex, (struct pinring_command){
					.id = 2, .operation = PINRING_OP_FILL, .count = FLOATS,
					.dst = at(1, 0), .s0 = (float)i }, NULL));
		EXPECT_EQ(0, carry_out(other, scale(at(0, 0), FLOATS, 2.0f), NULL));
		EXPECT_EQ(0, carry_out(self->ex, reduce(PINRING_OP_SUM, at(1, 0), FLOATS), &sum));
		EXPECT_EQ((float)(2 * i) * FLOATS, sum);
	}
	EXPECT_EQ(0, pinring_executor_close(other, 10 * SECOND));
	EXPECT_EQ(0, there_and_back(self, self->ex, at(1, 0), FLOATS));
}

/* A room's offsets are the same in memory that is laid out like its region. */
TEST_F(memory, a_room_sounds_the_same_in_it)
{
	const uint64_t cells = (uint64_t)SIDE * SIDE * SIDE;
	int n = pinring_executor_allocate(self->ex, 1 << 20, NULL);
	struct pinring_command inject, probe, step;
	float here, there;

	ASSERT_LE(0, n);
	ASSERT_EQ(0, carry_out(self->ex,
			       copy(at(n, PINRING_REGION_HEADER_BYTES),
				    at(0, PINRING_REGION_HEADER_BYTES),
				    ((1 << 20) - PINRING_REGION_HEADER_BYTES) / 4),
			       NULL));
	for (uint32_t i = 0; i < 60; i++) {
		inject = (struct pinring_command){ .id = i, .aux = cells / 3,
						   .operation = PINRING_OP_WAVE_INJECT,
						   .s0 = (float)(i % 7) - 3.0f };
		step = (struct pinring_command){ .id = i, .count = 1,
						 .operation = PINRING_OP_WAVE_STEP };
		probe = (struct pinring_command){ .id = i, .aux = cells / 2,
						  .operation = PINRING_OP_WAVE_PROBE };
		for (int k = 0; k < 2; k++) {
			inject.a = step.a = probe.a = at(k ? n : 0, self->wave.offset);
			ASSERT_EQ(0, carry_out(self->ex, inject, NULL));
			ASSERT_EQ(0, carry_out(self->ex, step, NULL));
			ASSERT_EQ(0, carry_out(self->ex, probe, k ? &there : &here));
		}
		ASSERT_EQ(here, there);
	}
	EXPECT_NE(0.0f, here);
	EXPECT_EQ(60, self->wave.state->steps);
}

TEST_F(memory, detached_is_out_of_reach_and_its_number_comes_again)
{
	char *first, *second;
	float sum;

	ASSERT_EQ(1, pinring_executor_allocate(self->ex, BYTES, (void **)&first));
	ASSERT_EQ(2, pinring_executor_allocate(self->ex, BYTES, (void **)&second));
	ASSERT_EQ(3, pinring_executor_attach_memory(self->ex, first, 4000));
	EXPECT_EQ(0, there_and_back(self, self->ex, at(3, 0), 1000));
	ASSERT_OK(pinring_executor_detach(self->ex, 3, 20 * SECOND));
	EXPECT_EQ(PINRING_REASON_REGION, carry_out(self->ex, scale(at(3, 0), 1, 0.0f), NULL));
	EXPECT_EQ(-ENOENT, pinring_executor_detach(self->ex, 3, 0));
	/* Under the same number the other one, and no longer as much of it. */
	ASSERT_EQ(3, pinring_executor_attach_memory(self->ex, second, 400));
	EXPECT_EQ(0, carry_out(self->ex, reduce(PINRING_OP_REDUCE_MAX, at(3, 0), 100), &sum));
	EXPECT_EQ(0.0f, sum);
	EXPECT_EQ(PINRING_REASON_COUNT,
		  carry_out(self->ex, reduce(PINRING_OP_SUM, at(3, 0), 1000), &sum));
	EXPECT_EQ(0, there_and_back(self, self->ex, at(1, 0), FLOATS));
	/* One that was never looked at. */
	ASSERT_EQ(4, pinring_executor_attach_memory(self->ex, first, 4000));
	ASSERT_OK(pinring_executor_detach(self->ex, 4, 20 * SECOND));
	EXPECT_EQ(PINRING_REASON_REGION, carry_out(self->ex, scale(at(4, 0), 1, 0.0f), NULL));
	for (int i = 0; i < 40; i++) {
		ASSERT_EQ(4, pinring_executor_allocate(self->ex, BYTES, NULL));
		ASSERT_EQ(0, there_and_back(self, self->ex, at(4, 0), 100));
		ASSERT_OK(pinring_executor_detach(self->ex, 4, 20 * SECOND));
	}
}

/* In each state there is, before and after the loop heard of it. */
TEST_F(memory, detached_in_any_state)
{
	ASSERT_EQ(0, begin_again(self));
	ASSERT_EQ(1, pinring_executor_allocate(self->ex, BYTES, NULL));
	ASSERT_OK(pinring_executor_detach(self->ex, 1, 0));
	ASSERT_EQ(1, pinring_executor_allocate(self->ex, BYTES, NULL));
	ASSERT_OK(pinring_executor_launch(self->ex));
	ASSERT_OK(pinring_executor_wait_state(self->ex, PINRING_STATE_LAUNCHED, 20 * SECOND));
	ASSERT_OK(pinring_executor_detach(self->ex, 1, 20 * SECOND));
	ASSERT_EQ(1, pinring_executor_allocate(self->ex, BYTES, NULL));
	ASSERT_OK(pinring_executor_activate(self->ex));
	EXPECT_EQ(0, there_and_back(self, self->ex, at(1, 0), FLOATS));
	ASSERT_OK(pinring_executor_pause(self->ex));
	ASSERT_OK(pinring_executor_wait_state(self->ex, PINRING_STATE_PAUSED, 20 * SECOND));
	ASSERT_OK(pinring_executor_detach(self->ex, 1, 20 * SECOND));
	ASSERT_EQ(1, pinring_executor_allocate(self->ex, BYTES, NULL));
	EXPECT_EQ(PINRING_STATE_PAUSED, pinring_executor_state(self->ex));
	ASSERT_OK(pinring_executor_terminate(self->ex));
	ASSERT_OK(pinring_executor_wait_state(self->ex, PINRING_STATE_TERMINATED, 20 * SECOND));
	ASSERT_OK(pinring_executor_detach(self->ex, 1, 0));
}

TEST_F(memory, detaching_waits_for_what_was_submitted)
{
	struct pinring_command c = copy(at(1, 0), at(0, self->in.offset), FLOATS);
	struct pinring_completion done;
	uint64_t ticket;

	ASSERT_EQ(1, pinring_executor_allocate(self->ex, BYTES, NULL));
	ASSERT_OK(pinring_executor_pause(self->ex));
	ASSERT_OK(pinring_executor_wait_state(self->ex, PINRING_STATE_PAUSED, 20 * SECOND));
	ASSERT_OK(pinring_executor_submit(self->ex, &c, &ticket));
	EXPECT_EQ(-EBUSY, pinring_executor_detach(self->ex, 1, 0));
	SAYS("1: a command that may use it is in flight");
	EXPECT_EQ(-EBUSY, pinring_executor_detach(self->ex, 1, 3000000));
	/* Nothing has changed. */
	ASSERT_OK(pinring_executor_activate(self->ex));
	ASSERT_OK(pinring_executor_wait(self->ex, ticket, 60 * SECOND, &done));
	EXPECT_EQ(0, done.status);
	EXPECT_EQ(FLOATS, done.done);
	EXPECT_EQ(0, there_and_back(self, self->ex, at(1, 0), FLOATS));
	ASSERT_OK(pinring_executor_detach(self->ex, 1, 20 * SECOND));
}

/* It has been answered, and the answer was not collected: that is enough. */
TEST_F(memory, detaching_does_not_wait_for_who_collects)
{
	struct pinring_command c = copy(at(1, 0), at(0, self->in.offset), FLOATS);
	struct pinring_completion done;
	uint64_t ticket;

	ASSERT_EQ(1, pinring_executor_allocate(self->ex, BYTES, NULL));
	ASSERT_OK(pinring_executor_submit(self->ex, &c, &ticket));
	ASSERT_OK(pinring_executor_detach(self->ex, 1, 20 * SECOND));
	ASSERT_OK(pinring_executor_wait(self->ex, ticket, 0, &done));
	EXPECT_EQ(0, done.status);
}

/* Active by itself, it hears of nothing until it ends. */
TEST_F(memory, a_bounded_executor_keeps_it_until_it_ends)
{
	struct pinring_completion done;
	struct pinring_command c = copy(at(1, 0), at(0, self->in.offset), 16);
	uint64_t ticket[2];

	self->config.commands_max = 2;
	ASSERT_EQ(0, begin_again(self));
	ASSERT_EQ(1, pinring_executor_allocate(self->ex, BYTES, NULL));
	ASSERT_OK(pinring_executor_submit(self->ex, &c, &ticket[0]));
	ASSERT_OK(pinring_executor_launch(self->ex));
	ASSERT_OK(pinring_executor_wait(self->ex, ticket[0], 60 * SECOND, &done));
	EXPECT_EQ(0, done.status);
	EXPECT_EQ(-EBUSY, pinring_executor_detach(self->ex, 1, 20 * SECOND));
	SAYS("a bounded executor keeps what it has until it ends");
	ASSERT_OK(pinring_executor_submit(self->ex, &c, &ticket[1]));
	ASSERT_OK(pinring_executor_wait(self->ex, ticket[1], 60 * SECOND, &done));
	EXPECT_EQ(0, done.status);
	ASSERT_OK(pinring_executor_wait_state(self->ex, PINRING_STATE_TERMINATED, 20 * SECOND));
	ASSERT_OK(pinring_executor_detach(self->ex, 1, 0));
}

TEST_F(memory, so_much_and_no_more)
{
	void *address = self;
	int n;

	EXPECT_EQ(-EINVAL, pinring_executor_allocate(self->ex, 0, &address));
	SAYS("bytes: 0 is not from 1 to 2^48");
	EXPECT_EQ(NULL, address);
	EXPECT_EQ(-EINVAL, pinring_executor_allocate(self->ex, (1ull << 48) + 1, NULL));
	EXPECT_EQ(-EINVAL, pinring_executor_allocate(self->ex, UINT64_MAX, NULL));
	n = pinring_executor_allocate(self->ex, 1ull << 47, NULL);
	if (on_cuda()) {
		EXPECT_EQ(-ENOMEM, n);
	} else {
		/* As a region of that size. */
		EXPECT_GT(0, n);
	}
	/* That cost nothing, and the loop goes on. */
	for (n = 1; n < PINRING_REGIONS_MAX; n++) {
		ASSERT_EQ(n, pinring_executor_allocate(self->ex, 4096, &address)) {
			TH_LOG("%s", pinring_error());
		}
	}
	EXPECT_EQ(-ENOSPC, pinring_executor_allocate(self->ex, 4096, NULL));
	EXPECT_EQ(-ENOSPC, pinring_executor_attach_memory(self->ex, address, 4096));
	EXPECT_EQ(-ENOSPC, pinring_executor_attach(self->ex, self->r));
	EXPECT_EQ(0, there_and_back(self, self->ex, at(n - 1, 0), 1024));
	ASSERT_OK(pinring_executor_detach(self->ex, 7, 20 * SECOND));
	ASSERT_EQ(7, pinring_executor_attach(self->ex, self->r));
}

TEST_F(memory, what_is_none_is_refused)
{
	void *address;

	ASSERT_EQ(1, pinring_executor_allocate(self->ex, 4096, &address));
	EXPECT_EQ(-EINVAL, pinring_executor_attach_memory(self->ex, NULL, 4096));
	EXPECT_EQ(-EINVAL, pinring_executor_attach_memory(self->ex, address, 0));
	EXPECT_EQ(-EINVAL, pinring_executor_attach_memory(self->ex, address, UINT64_MAX));
	EXPECT_EQ(-EINVAL, pinring_executor_attach_memory(self->ex, address, (1ull << 48) + 1));
	/* Beyond the end of all addresses. */
	EXPECT_EQ(-EINVAL,
		  pinring_executor_attach_memory(self->ex, (void *)(UINTPTR_MAX - 4095), 8192));
	SAYS("address: there are no 8192 bytes at");
	EXPECT_EQ(-ENOENT, pinring_executor_detach(self->ex, 2, 0));
	SAYS("nothing is attached as 2");
	EXPECT_EQ(-ENOENT, pinring_executor_detach(self->ex, PINRING_REGIONS_MAX, 0));
	EXPECT_EQ(-ENOENT, pinring_executor_detach(self->ex, UINT32_MAX, 0));
	EXPECT_EQ(-EINVAL, pinring_executor_detach(self->ex, 0, 0));
	SAYS("0 is a region");
	EXPECT_EQ(0, there_and_back(self, self->ex, at(1, 0), 1024));
}

TEST_F(memory, of_this_process_only_what_can_be_written_to)
{
	char *pages, *all;

	if (on_cuda()) {
		SKIP(return, "on a GPU: see executor_cuda_memory");
	}
	all = mmap(NULL, 5 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, all);
	pages = all + 4096;
	/* Not unmapped: another thread's mapping might come there. */
	ASSERT_EQ(0, mprotect(all, 4096, PROT_NONE));
	ASSERT_EQ(0, mprotect(pages + 3 * 4096, 4096, PROT_NONE));
	ASSERT_EQ(1, pinring_executor_attach_memory(self->ex, pages + 4, 3 * 4096 - 4));
	EXPECT_EQ(0, there_and_back(self, self->ex, at(1, 0), 3 * 1024 - 1));
	EXPECT_EQ(-EFAULT, pinring_executor_attach_memory(self->ex, pages + 4, 3 * 4096 - 3));
	SAYS("are not all memory that a host executor can write to");
	EXPECT_EQ(-EFAULT, pinring_executor_attach_memory(self->ex, pages - 4, 4096));
	/* Here the kernel lets nobody map anything. */
	EXPECT_EQ(-EFAULT, pinring_executor_attach_memory(self->ex, (void *)4096, 4096));
	ASSERT_EQ(0, mprotect(pages + 4096, 4096, PROT_READ));
	EXPECT_EQ(-EFAULT, pinring_executor_attach_memory(self->ex, pages, 3 * 4096));
	ASSERT_EQ(2, pinring_executor_attach_memory(self->ex, pages, 4096));
	ASSERT_EQ(0, mprotect(pages + 4096, 4096, PROT_NONE));
	EXPECT_EQ(-EFAULT, pinring_executor_attach_memory(self->ex, pages + 8191, 1));
	ASSERT_EQ(3, pinring_executor_attach_memory(self->ex, pages + 8192, 4096));
	ASSERT_OK(pinring_executor_detach(self->ex, 1, 20 * SECOND));
	ASSERT_OK(pinring_executor_detach(self->ex, 2, 20 * SECOND));
	ASSERT_OK(pinring_executor_detach(self->ex, 3, 20 * SECOND));
	munmap(all, 5 * 4096);
}

/* Commands go on, in their order, while loops stop for it and start again. */
TEST_F(memory, allocated_while_commands_are_in_flight)
{
	struct pinring_command c = reduce(PINRING_OP_SUM, at(0, self->in.offset), FLOATS);
	uint64_t ticket[16];
	uint32_t sent = 0, got = 0;
	struct pinring_completion done;
	float first = 0;

	while (got < 600) {
		while (sent < 600 && sent - got < 16) {
			c.id = sent;
			ASSERT_OK(pinring_executor_submit(self->ex, &c, &ticket[sent % 16]));
			sent++;
		}
		if (got % 100 == 50) {
			ASSERT_EQ(1, pinring_executor_allocate(self->ex, BYTES, NULL)) {
				TH_LOG("%s", pinring_error());
			}
		}
		if (got % 100 == 75) {
			ASSERT_OK(pinring_executor_detach(self->ex, 1, 60 * SECOND));
		}
		ASSERT_OK(pinring_executor_wait(self->ex, ticket[got % 16], 60 * SECOND, &done));
		ASSERT_EQ(got, done.id);
		ASSERT_EQ(0, done.status);
		first = got ? first : done.result;
		ASSERT_EQ(first, done.result);
		got++;
	}
}

TEST_F(memory, closed_while_commands_work_in_it)
{
	struct pinring_command c = scale(at(1, 0), FLOATS, 1.5f);

	for (int round = 0; round < 5; round++) {
		ASSERT_EQ(1, pinring_executor_allocate(self->ex, BYTES, NULL));
		c.flags = PINRING_COMMAND_DETACHED;
		for (int i = 0; i < 16; i++) {
			ASSERT_OK(pinring_executor_submit(self->ex, &c, NULL));
		}
		EXPECT_LE(0, pinring_executor_close(self->ex, round * 100000));
		ASSERT_OK(pinring_executor_start(self->device, &self->config, &self->ex));
		ASSERT_EQ(0, pinring_executor_attach(self->ex, self->r));
	}
}

static int serve(void *context, struct pinring_request *request)
{
	*(void **)context = request->dst;
	request->done = request->count;
	return 0;
}

/* A service is the host's, and writes where the host can. */
TEST_F(memory, a_service_writes_to_what_the_host_addresses)
{
	struct pinring_command ask = { .id = 4, .operation = PINRING_OP_ASK, .count = 8,
				       .dst = { 64, 1 }, .aux = 3 };
	struct pinring_completion done;
	void *seen = NULL;
	char *address;

	ASSERT_EQ(1, pinring_executor_allocate(self->ex, 4096, (void **)&address));
	ASSERT_OK(pinring_executor_offer(self->ex, 3, serve, &seen));
	ASSERT_OK(pinring_executor_call(self->ex, &ask, 60 * SECOND, &done));
	if (on_cuda()) {
		EXPECT_EQ(-EINVAL, done.status);
		EXPECT_EQ(NULL, seen);
	} else {
		EXPECT_EQ(0, done.status);
		EXPECT_EQ(address + 64, seen);
	}
	ask.dst = at(0, self->in.offset);
	ASSERT_OK(pinring_executor_call(self->ex, &ask, 60 * SECOND, &done));
	EXPECT_EQ(0, done.status);
	EXPECT_EQ(self->in_at, seen);
}

struct slow {
	sem_t begun, goes_on;
};

static int serve_slowly(void *context, struct pinring_request *request)
{
	struct slow *slow = context;

	sem_post(&slow->begun);
	sem_wait(&slow->goes_on);
	*(volatile float *)request->dst = 1.0f;
	return 0;
}

/* The loop has given up waiting for it, and ended. */
TEST_F(memory, detaching_waits_for_a_service_that_writes_to_it)
{
	struct pinring_command ask = { .id = 4, .operation = PINRING_OP_ASK, .count = 1,
				       .dst = { 0, 1 }, .aux = 3 };
	struct slow slow;

	if (on_cuda()) {
		SKIP(return, "on a GPU no service writes to it");
	}
	sem_init(&slow.begun, 0, 0);
	sem_init(&slow.goes_on, 0, 0);
	ASSERT_EQ(1, pinring_executor_allocate(self->ex, 4096, NULL));
	ASSERT_EQ(2, pinring_executor_allocate(self->ex, 4096, NULL));
	ASSERT_OK(pinring_executor_offer(self->ex, 3, serve_slowly, &slow));
	ask.flags = PINRING_COMMAND_DETACHED;
	ASSERT_OK(pinring_executor_submit(self->ex, &ask, NULL));
	sem_wait(&slow.begun);
	ASSERT_OK(pinring_executor_terminate(self->ex));
	ASSERT_OK(pinring_executor_wait_state(self->ex, PINRING_STATE_TERMINATED, 20 * SECOND));
	EXPECT_EQ(-EBUSY, pinring_executor_detach(self->ex, 1, 2000000));
	EXPECT_EQ(0, pinring_executor_detach(self->ex, 2, 0));
	EXPECT_EQ(-EBUSY, pinring_executor_detach(self->ex, 1, 0));
	sem_post(&slow.goes_on);
	ASSERT_OK(pinring_executor_detach(self->ex, 1, 20 * SECOND));
}

/* Its table is shared with the parent, whose loop reads it. */
TEST_F(memory, a_child_of_fork_attaches_nothing)
{
	void *address;
	int status = 0;
	pid_t child;

	ASSERT_EQ(1, pinring_executor_allocate(self->ex, 4096, &address));
	child = fork();
	if (!child) {
		int ok = pinring_executor_attach(self->ex, self->r) == -EOPNOTSUPP &&
			 pinring_executor_attach_memory(self->ex, &status, 4) == -EOPNOTSUPP &&
			 pinring_executor_allocate(self->ex, 4096, NULL) == -EOPNOTSUPP &&
			 pinring_executor_detach(self->ex, 1, 0) == -EOPNOTSUPP;

		pinring_executor_close(self->ex, 0);
		_exit(ok ? 0 : 1);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, there_and_back(self, self->ex, at(1, 0), 1024));
}

struct sharer {
	struct pinring_executor *ex;
	struct pinring_object_info in;
	pthread_t thread;
	uint32_t number;
	int rounds, wrong;
};

static void *attach_and_detach(void *arg)
{
	struct sharer *s = arg;
	float sum;

	for (int i = 0; i < s->rounds; i++) {
		const float value = (float)(s->number * 1000u + (unsigned int)i);
		int n = pinring_executor_allocate(s->ex, BYTES, NULL);
		struct pinring_command fill = { .id = 9, .operation = PINRING_OP_FILL,
						.count = FLOATS, .s0 = value };

		if (n < 0) {
			s->wrong++;
			break;
		}
		fill.dst = at(n, 0);
		s->wrong += carry_out(s->ex, fill, NULL) != 0 ||
			    carry_out(s->ex, reduce(PINRING_OP_REDUCE_MIN, at(n, 0), FLOATS),
				      &sum) != 0 ||
			    sum != value;
		s->wrong += pinring_executor_detach(s->ex, (uint32_t)n, 60 * SECOND) != 0;
	}
	return NULL;
}

TEST_F(memory, threads_attach_and_detach_beside_each_other)
{
	struct sharer s[3];

	self->config.flags = PINRING_EXECUTOR_SHARED;
	ASSERT_EQ(0, begin_again(self));
	ASSERT_OK(pinring_executor_launch(self->ex));
	ASSERT_OK(pinring_executor_activate(self->ex));
	for (uint32_t i = 0; i < 3; i++) {
		s[i] = (struct sharer){ .ex = self->ex, .number = i, .rounds = 20 };
		ASSERT_EQ(0, pthread_create(&s[i].thread, NULL, attach_and_detach, &s[i]));
	}
	for (int i = 0; i < 3; i++) {
		pthread_join(s[i].thread, NULL);
		EXPECT_EQ(0, s[i].wrong);
	}
}

TEST_HARNESS_MAIN
