// SPDX-License-Identifier: MIT
/* The kernels of bench/gpu that could disturb what they are to measure. */
#include <kselftest_harness.h>

#include <stdlib.h>
#include <string.h>

#include "../bench/gpu/shared.h"
#include "cuda/bench_kernels.h"
#include "cuda/simt.h"
#include "executor_test.h"

#define BLOCKS 3
#define THREADS 64

static uint64_t stop, alive, over;
static unsigned int polls[BLOCKS * THREADS]; /* of the host's word, by thread */

static void count_polls(const uint64_t *word)
{
	if (word == &stop)
		__atomic_add_fetch(&polls[blockIdx.x * THREADS + threadIdx.x], 1,
				   __ATOMIC_RELAXED);
}

static const struct cuda_function *kernel(const char *name)
{
	for (size_t i = 0; i < bench_kernels_count; i++) {
		if (!strcmp(bench_kernels[i].name, name))
			return &bench_kernels[i];
	}
	return NULL;
}

/* Thousands that poll one word of the host's are a hazard of their own. */
TEST(one_lane_of_a_kernel_that_holds_the_gpu_polls_the_host)
{
	const void *at[] = { &stop, &alive, &over }, *parameters[] = { &at[0], &at[1], &at[2] };
	const struct cuda_function *hold = kernel("bench_hold");
	struct simt_grid *grid;

	ASSERT_NE(NULL, hold);
	ASSERT_EQ(ARRAY_SIZE(parameters), hold->count);
	for (int round = 0; round < 2; round++) {
		stop = alive = over = 0;
		memset(polls, 0, sizeof(polls));
		simt_load_hook = count_polls;
		grid = simt_launch(hold->run, parameters, BLOCKS, THREADS);
		ASSERT_NE(NULL, grid);
		ASSERT_TRUE(COMES_TRUE(__atomic_load_n(&alive, __ATOMIC_ACQUIRE) == 1));
		ASSERT_TRUE(COMES_TRUE(__atomic_load_n(&polls[0], __ATOMIC_RELAXED) > 100));
		/* All of it stays until then. */
		EXPECT_TRUE(simt_running(grid));
		__atomic_store_n(&stop, BENCH_STOP, __ATOMIC_RELEASE);
		ASSERT_TRUE(COMES_TRUE(!simt_running(grid)));
		simt_join(grid);
		simt_load_hook = NULL;
		for (size_t i = 1; i < ARRAY_SIZE(polls); i++) {
			EXPECT_EQ(0, polls[i]) {
				TH_LOG("block %zu, thread %zu", i / THREADS, i % THREADS);
			}
		}
	}
}

TEST_HARNESS_MAIN
