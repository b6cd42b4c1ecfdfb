// SPDX-License-Identifier: MIT
/*
 * Memory of a GPU, on the fake driver of selftests/cuda: what is the executor's to
 * address, and when the driver is asked for more or given it back, which it must not be
 * while a loop runs.
 */
#define _GNU_SOURCE
#include <kselftest_harness.h>

#include <sys/mman.h>

#include <pinring/pinring.h>

#include "../gpu/cuda_driver.h"
#include "cuda/find_fake.h"
#include "executor_test.h"

#define BYTES 10000u

FIXTURE(memory)
{
	struct pinring_device *device;
	struct pinring_executor_config config;
	struct pinring_executor *ex;
	struct pinring_cuda cuda; /* what a program calls of the driver by itself */
	cuda_context context;
	bool lost;
};

FIXTURE_SETUP(memory)
{
	void *library;

	if (!find_fake()) {
		SKIP(return, "no fake libcuda.so.1: built without g++ or nvcc");
	}
	library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
#define FIND(member, symbol, parameters) \
	self->cuda.member = (cuda_result(*) parameters)dlsym(library, #symbol);
	PINRING_CUDA_FUNCTIONS(FIND)
	ASSERT_OK(pinring_device_open(NULL, &self->device));
	self->config = pinring_executor_defaults();
	self->config.kind = PINRING_EXECUTOR_CUDA;
	self->config.threads = 1;
	ASSERT_OK(pinring_executor_start(self->device, &self->config, &self->ex));
	ASSERT_EQ(0, self->cuda.context_retain(&self->context, 0));
	ASSERT_EQ(0, self->cuda.context_push(self->context));
}

FIXTURE_TEARDOWN(memory)
{
	cuda_context context;

	if (!look)
		return;
	pinring_executor_close(self->ex, 10 * SECOND);
	pinring_device_close(self->device);
	EXPECT_EQ(0, self->cuda.context_pop(&context));
	EXPECT_EQ(0, self->cuda.context_release(0));
	if (self->lost)
		return;
	EXPECT_NOTHING_LEFT();
}

/* As a program would that has one loop only, and has not launched it. */
static int begin_again(FIXTURE_DATA(memory) *self)
{
	pinring_executor_close(self->ex, 10 * SECOND);
	return pinring_executor_create(self->device, &self->config, &self->ex);
}

static int go(struct pinring_executor *ex)
{
	int rc = pinring_executor_launch(ex);

	return rc ? rc : pinring_executor_activate(ex);
}

/* Fills what is attached as n, and adds it up. */
static float sum_of(struct pinring_executor *ex, int n, uint64_t count, float value)
{
	struct pinring_command c = { .operation = PINRING_OP_FILL, .count = count,
				     .dst = { 0, (uint32_t)n }, .s0 = value };
	struct pinring_completion done;

	if (n < 0 || pinring_executor_call(ex, &c, 60 * SECOND, &done) || done.status)
		return -1.0f;
	c.operation = PINRING_OP_SUM;
	c.a = c.dst;
	c.dst.region = PINRING_REGION_NONE;
	if (pinring_executor_call(ex, &c, 60 * SECOND, &done) || done.status)
		return -2.0f;
	return done.result;
}

TEST_F(memory, of_the_program_is_taken_as_it_is)
{
	cuda_address there;
	float *at;

	ASSERT_OK(begin_again(self));
	ASSERT_EQ(0, self->cuda.memory_alloc(&there, BYTES));
	at = (float *)(uintptr_t)there;
	ASSERT_EQ(0, pinring_executor_attach_memory(self->ex, at, BYTES));
	ASSERT_EQ(1, pinring_executor_attach_memory(self->ex, at + 100, 400));
	ASSERT_EQ(2, pinring_executor_attach_memory(self->ex, at + BYTES / 4 - 1, 4));
	ASSERT_OK(go(self->ex));
	EXPECT_EQ(2500.0f * 3, sum_of(self->ex, 0, 2500, 3.0f));
	EXPECT_EQ(100.0f * 4, sum_of(self->ex, 1, 100, 4.0f));
	EXPECT_EQ(5.0f, sum_of(self->ex, 2, 1, 5.0f));
	/* The fake GPU's is the host's as well. */
	EXPECT_EQ(3.0f, at[99]);
	EXPECT_EQ(4.0f, at[100]);
	EXPECT_EQ(4.0f, at[199]);
	EXPECT_EQ(3.0f, at[200]);
	EXPECT_EQ(5.0f, at[2499]);
	EXPECT_EQ(BYTES + 404, info_of(self->ex).gpu_bytes);
	/* Still the program's, and no driver was asked to free it. */
	EXPECT_EQ(0, pinring_executor_close(self->ex, 10 * SECOND));
	self->ex = NULL;
	EXPECT_EQ(3.0f, at[0]);
	EXPECT_EQ(0, self->cuda.memory_free(there));
}

TEST_F(memory, of_a_pool_is_taken_too)
{
	cuda_address there;

	ASSERT_OK(begin_again(self));
	gpu->memory = FAKE_MEMORY_OF_A_POOL;
	ASSERT_EQ(0, self->cuda.memory_alloc(&there, BYTES));
	gpu->memory = 0;
	ASSERT_EQ(0, pinring_executor_attach_memory(self->ex, (void *)(uintptr_t)there, BYTES));
	ASSERT_OK(go(self->ex));
	EXPECT_EQ(700.0f, sum_of(self->ex, 0, 700, 1.0f));
	EXPECT_EQ(0, pinring_executor_close(self->ex, 10 * SECOND));
	self->ex = NULL;
	EXPECT_EQ(0, self->cuda.memory_free(there));
}

TEST_F(memory, that_is_not_this_gpus_is_refused)
{
	static const struct {
		int memory, gpu;
		const char *says;
	} cases[] = {
		{ FAKE_MEMORY_MANAGED, 0, "is managed memory" },
		{ FAKE_MEMORY_OF_A_CONTEXT, 0, "belongs to another context" },
		{ 0, 1, "for an executor on GPU 0: " },
		{ 0, 1, "lies on another GPU" },
	};
	cuda_context contexts[2] = { self->context }, popped;
	cuda_address there;
	void *at;

	ASSERT_OK(begin_again(self));
	ASSERT_EQ(0, self->cuda.context_retain(&contexts[1], 1));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		gpu->memory = cases[i].memory;
		ASSERT_EQ(0, self->cuda.context_push(contexts[cases[i].gpu]));
		ASSERT_EQ(0, self->cuda.memory_alloc(&there, BYTES));
		at = (void *)(uintptr_t)there;
		EXPECT_EQ(-EINVAL, pinring_executor_attach_memory(self->ex, at, BYTES));
		SAYS(cases[i].says);
		EXPECT_EQ(0, self->cuda.memory_free(there));
		EXPECT_EQ(0, self->cuda.context_pop(&popped));
		EXPECT_EQ(-EINVAL, pinring_executor_attach_memory(self->ex, at, BYTES));
		SAYS("is no memory that the CUDA driver knows, or was freed");
	}
	gpu->memory = 0;
	EXPECT_EQ(0, self->cuda.context_release(1));
	/* Nothing was attached. */
	EXPECT_EQ(0, pinring_executor_allocate(self->ex, BYTES, NULL));
}

TEST_F(memory, that_is_the_hosts_is_refused)
{
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cuda_address there;

	ASSERT_NE(MAP_FAILED, pages);
	ASSERT_OK(begin_again(self));
	EXPECT_EQ(-EINVAL, pinring_executor_attach_memory(self->ex, pages, 8192));
	SAYS("is no memory that the CUDA driver knows");
	ASSERT_EQ(0, self->cuda.host_register(pages, 8192, CUDA_REGISTER_PORTABLE |
								   CUDA_REGISTER_DEVICEMAP));
	ASSERT_EQ(0, self->cuda.host_address(&there, pages, 0));
	EXPECT_EQ(-EINVAL,
		  pinring_executor_attach_memory(self->ex, (void *)(uintptr_t)there, 8192));
	SAYS("is host memory: put it into a region");
	EXPECT_EQ(0, self->cuda.host_unregister(pages));
	munmap(pages, 8192);
}

/* Its pages go further, and perhaps something else of the program's lies there. */
TEST_F(memory, beyond_its_allocation_is_refused)
{
	cuda_address there;
	char *at;

	ASSERT_OK(begin_again(self));
	ASSERT_EQ(0, self->cuda.memory_alloc(&there, BYTES));
	at = (char *)(uintptr_t)there;
	EXPECT_EQ(-EINVAL, pinring_executor_attach_memory(self->ex, at, BYTES + 1));
	SAYS("bytes: 10001 from ");
	SAYS("are more than its allocation has, of 10000 bytes at 0x");
	EXPECT_EQ(-EINVAL, pinring_executor_attach_memory(self->ex, at + 1, BYTES));
	EXPECT_EQ(-EINVAL, pinring_executor_attach_memory(self->ex, at + BYTES, 1));
	EXPECT_EQ(-EINVAL, pinring_executor_attach_memory(self->ex, at, 1ull << 48));
	EXPECT_EQ(-EINVAL, pinring_executor_attach_memory(self->ex, at + 100, 1ull << 47));
	EXPECT_EQ(0, pinring_executor_attach_memory(self->ex, at + 1, BYTES - 1));
	EXPECT_EQ(1, pinring_executor_attach_memory(self->ex, at + BYTES - 1, 1));
	EXPECT_EQ(0, self->cuda.memory_free(there));
}

/* The driver may wait for what runs, so all stand still, and go on where they were. */
TEST_F(memory, is_taken_while_no_loop_runs)
{
	struct pinring_executor *other, *paused;
	int launches, n;

	ASSERT_OK(pinring_executor_start(self->device, &self->config, &other));
	ASSERT_OK(pinring_executor_start(self->device, &self->config, &paused));
	ASSERT_OK(pinring_executor_pause(paused));
	ASSERT_OK(pinring_executor_wait_state(paused, PINRING_STATE_PAUSED, 20 * SECOND));
	launches = look().launches;
	n = pinring_executor_allocate(self->ex, BYTES, NULL);
	ASSERT_EQ(0, n) {
		TH_LOG("%s", pinring_error());
	}
	EXPECT_EQ(launches + 3, look().launches);
	EXPECT_EQ(0, look().while_running);
	EXPECT_EQ(2500.0f, sum_of(self->ex, n, 2500, 1.0f));
	EXPECT_EQ(2500.0f, sum_of(other, pinring_executor_allocate(other, BYTES, NULL), 2500, 1.0f));
	EXPECT_EQ(PINRING_STATE_PAUSED, pinring_executor_state(paused));
	ASSERT_OK(pinring_executor_activate(paused));
	EXPECT_EQ(100.0f, sum_of(paused, pinring_executor_allocate(paused, 400, NULL), 100, 1.0f));
	EXPECT_EQ(0, pinring_executor_close(other, 10 * SECOND));
	EXPECT_EQ(0, pinring_executor_close(paused, 10 * SECOND));
	EXPECT_EQ(2500.0f, sum_of(self->ex, n, 2500, 1.0f));
}

/* One that is on another GPU has nothing to do with it. */
TEST_F(memory, is_taken_while_another_gpus_loop_runs)
{
	struct pinring_executor *other;
	int launches;

	self->config.gpu = 1;
	ASSERT_OK(pinring_executor_start(self->device, &self->config, &other));
	launches = look().launches;
	EXPECT_EQ(0, pinring_executor_allocate(self->ex, BYTES, NULL));
	EXPECT_EQ(launches + 1, look().launches);
	EXPECT_EQ(0, pinring_executor_close(other, 10 * SECOND));
}

TEST_F(memory, before_the_launch_nothing_stops)
{
	int launches;

	ASSERT_OK(begin_again(self));
	launches = look().launches;
	ASSERT_EQ(0, pinring_executor_allocate(self->ex, BYTES, NULL));
	ASSERT_EQ(1, pinring_executor_allocate(self->ex, BYTES, NULL));
	ASSERT_OK(go(self->ex));
	EXPECT_EQ(2500.0f, sum_of(self->ex, 1, 2500, 1.0f));
	EXPECT_EQ(launches + 1, look().launches);
}

/* The fake GPU's is full of 0xa5 before. */
TEST_F(memory, is_cleared_and_aligned)
{
	float *at;

	ASSERT_EQ(0, pinring_executor_allocate(self->ex, BYTES, (void **)&at));
	EXPECT_EQ(0, (uintptr_t)at % 256);
	for (unsigned int i = 0; i < BYTES / 4; i++) {
		ASSERT_EQ(0.0f, at[i]);
	}
}

TEST_F(memory, goes_back_when_no_loop_runs)
{
	struct pinring_executor *other;
	/* The states of all loops. */
	const int before = look().allocated;

	ASSERT_EQ(0, pinring_executor_allocate(self->ex, BYTES, NULL));
	ASSERT_OK(pinring_executor_start(self->device, &self->config, &other));
	ASSERT_EQ(0, pinring_executor_allocate(other, BYTES, NULL));
	ASSERT_EQ(1, pinring_executor_allocate(other, BYTES, NULL));
	EXPECT_EQ(before + 3, look().allocated);
	ASSERT_OK(pinring_executor_detach(self->ex, 0, 20 * SECOND));
	EXPECT_EQ(before + 3, look().allocated);
	EXPECT_EQ(0, pinring_executor_close(other, 10 * SECOND));
	/* Now with the next that is taken ... */
	EXPECT_EQ(before + 3, look().allocated);
	ASSERT_EQ(0, pinring_executor_allocate(self->ex, BYTES, NULL));
	EXPECT_EQ(before + 1, look().allocated);
	EXPECT_EQ(2500.0f, sum_of(self->ex, 0, 2500, 1.0f));
	/* ... or the last loop. */
	ASSERT_OK(pinring_executor_create(self->device, &self->config, &other));
	EXPECT_EQ(0, pinring_executor_close(self->ex, 10 * SECOND));
	self->ex = other;
	EXPECT_EQ(before, look().allocated);
	EXPECT_EQ(0, look().while_running);
}

TEST_F(memory, when_there_is_none_left_the_loops_go_on)
{
	struct pinring_executor *other;

	ASSERT_OK(pinring_executor_start(self->device, &self->config, &other));
	fail("cuMemAlloc_v2", 1, CUDA_OUT_OF_MEMORY);
	EXPECT_EQ(-ENOMEM, pinring_executor_allocate(self->ex, BYTES, NULL));
	SAYS("cannot take so much of the GPU's memory: FAKE_ERROR_2");
	EXPECT_EQ(0, look().planned);
	EXPECT_EQ(2500.0f, sum_of(self->ex, pinring_executor_allocate(self->ex, BYTES, NULL), 2500,
				  1.0f));
	EXPECT_EQ(2500.0f, sum_of(other, pinring_executor_allocate(other, BYTES, NULL), 2500, 1.0f));
	EXPECT_EQ(0, pinring_executor_close(other, 10 * SECOND));
}

/* What was taken and could not be cleared is given back like any other. */
TEST_F(memory, that_could_not_be_cleared_is_not_given_out)
{
	const int before = look().allocated;

	fail("cuMemsetD8Async", 1, 999);
	EXPECT_EQ(-EIO, pinring_executor_allocate(self->ex, BYTES, NULL));
	SAYS("cannot clear memory of the GPU: FAKE_ERROR_999");
	EXPECT_EQ(before + 1, look().allocated);
	EXPECT_EQ(0, pinring_executor_allocate(self->ex, BYTES, NULL));
	EXPECT_EQ(before + 1, look().allocated);
}

/* The memory of a kernel that died may be written to yet: it stays. */
TEST_F(memory, of_a_loop_that_died_is_kept)
{
	struct pinring_completion done;
	struct pinring_command nop = { .operation = PINRING_OP_NOP };
	uint64_t ticket;

	self->lost = true;
	ASSERT_EQ(0, pinring_executor_allocate(self->ex, BYTES, NULL));
	kill_kernels();
	ASSERT_OK(pinring_executor_submit(self->ex, &nop, &ticket));
	EXPECT_EQ(-EPIPE, pinring_executor_wait(self->ex, ticket, 60 * SECOND, &done));
	EXPECT_EQ(-EBUSY, pinring_executor_detach(self->ex, 0, SECOND));
	SAYS("the executor failed at");
	EXPECT_GT(0, pinring_executor_allocate(self->ex, BYTES, NULL));
}

TEST_HARNESS_MAIN
