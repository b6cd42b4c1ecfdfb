// SPDX-License-Identifier: MIT
/* What an executor can be made of, and what is refused. */
#include <kselftest_harness.h>

#include <stddef.h>

#include "executor_fixture.h"
#include "held.h"

TEST_F(executor, a_bad_config_is_refused_with_a_sentence)
{
	static const struct {
		struct pinring_executor_config config;
		const char *says;
	} no[] = {
/* Of a host executor: a GPU may have that many SMs. */
#define NO(field, value) \
	{ { .struct_size = sizeof(struct pinring_executor_config), \
	    .kind = PINRING_EXECUTOR_HOST, .field = value }, #field }
		{ { .struct_size = sizeof(struct pinring_executor_config),
		    .kind = 3 }, "kind" },
		{ { .struct_size = sizeof(struct pinring_executor_config),
		    .kind = UINT32_MAX }, "kind" },
		NO(threads, 65),
		NO(threads, UINT32_MAX),
		NO(depth, 1),
		NO(depth, 2),
		NO(depth, 3),
		NO(depth, 5),
		NO(depth, 131072),
		NO(depth, 1u << 31),
		NO(depth, UINT32_MAX),
		NO(cpu, -2),
		NO(cpu, INT32_MIN),
		NO(reserved, 1),
		{ { .struct_size = 0 }, "struct_size" },
		{ { .struct_size = 7 }, "struct_size" },
		{ { .struct_size = 4097 }, "struct_size" },
		{ { .struct_size = UINT64_MAX }, "struct_size" },
	};
	struct {
		struct pinring_executor_config config;
		uint64_t tail[2];
	} longer = { .config = self->config };
	struct pinring_executor *ex = (void *)self;
	int fds = count_fds();

	for (size_t i = 0; i < ARRAY_SIZE(no); i++) {
		ex = (void *)self;
		EXPECT_EQ(-EINVAL, pinring_executor_create(self->device,
							   &no[i].config, &ex))
			TH_LOG("config %zu", i);
		EXPECT_EQ(NULL, ex);
		SAYS(no[i].says);
		ex = (void *)self;
		EXPECT_EQ(-EINVAL, pinring_executor_start(self->device,
							  &no[i].config, &ex));
		EXPECT_EQ(NULL, ex);
	}
	/* One of a later library: good while what is new in it is not used. */
	longer.config.struct_size = sizeof(longer);
	EXPECT_EQ(0, pinring_executor_create(self->device, &longer.config, &ex));
	pinring_executor_close(ex, 0);
	longer.tail[1] = 1ull << 56;
	EXPECT_EQ(-E2BIG, pinring_executor_create(self->device, &longer.config, &ex));
	EXPECT_EQ(NULL, ex);
	SAYS("pinring_executor_config");
	/* One of an earlier library: the rest is the default. */
	longer.config.struct_size = offsetof(struct pinring_executor_config, depth);
	longer.config.threads = 2;
	longer.config.depth = 3;
	longer.config.cpu = -77;
	EXPECT_EQ(0, pinring_executor_create(self->device, &longer.config, &ex));
	EXPECT_EQ(2, info_of(ex).threads);
	EXPECT_EQ(256, info_of(ex).depth);
	pinring_executor_close(ex, 0);
	EXPECT_EQ(fds, count_fds());
}

TEST_F(executor, no_config_is_a_config)
{
	struct pinring_executor_info info;
	struct pinring_completion done;
	struct pinring_command c = nop(3);
	int rc;

	ASSERT_EQ(0, pinring_executor_start(self->device, NULL, &self->ex));
	info = info_of(self->ex);
	EXPECT_EQ(256, info.depth);
	EXPECT_STRNE("", info.isa);
	if (info.kind == PINRING_EXECUTOR_HOST) {
		EXPECT_EQ(1, info.threads);
		EXPECT_STRNE("", info.reason);
	} else {
		EXPECT_EQ(PINRING_EXECUTOR_CUDA, info.kind);
	}
	EXPECT_EQ(0, pinring_executor_call(self->ex, &c, PINRING_FOREVER, &done));
	info.struct_size = 3;
	EXPECT_EQ(-EINVAL, pinring_executor_info(self->ex, &info));
	EXPECT_EQ(0, pinring_executor_close(self->ex, 10 * SECOND));
	self->ex = NULL;
	/* There may or may not be one; if not, it says why. */
	self->config.kind = PINRING_EXECUTOR_CUDA;
	rc = CREATE();
	if (rc) {
		EXPECT_TRUE(rc == -EOPNOTSUPP || rc == -ENODEV);
		EXPECT_STRNE("", pinring_error());
		EXPECT_EQ(NULL, self->ex);
	}
}

TEST_F(executor, a_cpu_that_is_not_there_is_refused_and_leaves_nothing)
{
	static const int32_t cpus[] = { 1023, 1024, 100000, INT32_MAX };
	int fds = count_fds(), threads;

	HOST_ONLY("it needs no CPU");
	ASSERT_EQ(0, START()); /* ThreadSanitizer starts one with the first */
	ASSERT_EQ(0, pinring_executor_close(self->ex, 10 * SECOND));
	usleep(20000); /* a joined thread is to be seen a little longer */
	threads = count_threads();
	for (size_t i = 0; i < ARRAY_SIZE(cpus); i++) {
		for (uint32_t n = 1; n <= 3; n++) {
			self->config.cpu = cpus[i];
			self->config.threads = n;
			EXPECT_EQ(-EINVAL, START());
			EXPECT_EQ(NULL, self->ex);
			SAYS("CPU");
		}
	}
	/* The first thread has a CPU, the last has not. */
	self->config.cpu = 0;
	self->config.threads = PINRING_THREADS_MAX;
	if (sysconf(_SC_NPROCESSORS_CONF) < PINRING_THREADS_MAX) {
		EXPECT_EQ(-EINVAL, START());
		SAYS("64");
	}
	EXPECT_TRUE(COMES_TRUE(count_threads() <= threads));
	EXPECT_EQ(fds, count_fds());
}

TEST_HARNESS_MAIN
