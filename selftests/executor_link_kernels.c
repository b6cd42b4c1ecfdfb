// SPDX-License-Identifier: MIT
/* Users' kernels as commands that come over a link: when one goes, faults, or hangs. */
#define _GNU_SOURCE
#include <kselftest_harness.h>

#include "executor_link.h"

static const char counting[] =
	"#include <pinring/kernel.h>\n"
	"PINRING_KERNEL_OF(counting, float, PINRING_KERNEL_DST)\n"
	"{\n"
	"	if (aux == 1) *(volatile int *)0 = 1;\n"
	"	if (aux == 2) for (;;) ((volatile float *)dst)[1] = 1;\n"
	"	if (aux == 3) { dst[1] = 1; while (((volatile float *)dst)[1]) ; }\n"
	"	if (!args->worker) dst[0] += 1;\n"
	"}\n";

#define NEEDS_HOST_KERNELS() \
	do { \
		if (self->on_gpu) { \
			SKIP(return, "kernels are the host's, here"); \
		} \
		NEEDS_COMPILER(); \
	} while (0)

static int add_counting(struct pinring_executor *ex, uint32_t *operation)
{
	struct pinring_kernel_config c = PINRING_INIT(struct pinring_kernel_config);

	c.name = "counting";
	c.text = counting;
	return pinring_executor_register(ex, &c, operation);
}

static struct pinring_command counts(FIXTURE_DATA(link) *self, uint32_t operation, uint64_t what)
{
	return (struct pinring_command){
		.id = 2000000001u, .operation = (uint16_t)operation, .count = 2,
		.dst = cell(self, 0), .aux = what,
	};
}

/* Of commands that came over a link, no ticket says that they are in flight. */
TEST_F_TIMEOUT(link, a_kernel_goes_only_when_no_forwarded_command_runs_it, 120)
{
	struct pinring_command c, f = forward(self, 0, PROGRAM, 0), j = join(self, 0);
	struct pinring_completion done;
	uint32_t operation;
	uint64_t ticket;

	NEEDS_HOST_KERNELS();
	for (int round = 0; round < 10; round++) {
		ASSERT_OK(add_counting(self->to, &operation));
		c = counts(self, operation, 0);
		for (uint32_t n = 0; n < PROGRAM; n++) {
			write_down(self, n, &c);
		}
		self->cell[0] = 0;
		ASSERT_OK(pinring_executor_submit(self->from, &f, NULL));
		ASSERT_OK(pinring_executor_submit(self->from, &j, &ticket));
		usleep(random_bits() % 400);
		ASSERT_OK(pinring_executor_unregister(self->to, operation, 20 * SECOND));
		done = wait_for(self->from, ticket);
		if (done.status) {
			ASSERT_EQ(-EINVAL, done.status);
			ASSERT_EQ(PINRING_REASON_OPERATION, done.reason);
		}
		ASSERT_EQ((float)done.done, self->cell[0]);
		done = call(self->to, c);
		ASSERT_EQ(PINRING_REASON_OPERATION, done.reason);
	}
}

TEST_F(link, a_kernel_stays_while_the_peer_does_not_answer)
{
	struct pinring_command c;
	uint32_t operation;

	NEEDS_HOST_KERNELS();
	sem_init(&entered, 0, 0);
	sem_init(&released, 0, 0);
	ASSERT_OK(add_counting(self->to, &operation));
	ASSERT_OK(pinring_executor_offer(self->to, 1, blocks, NULL));
	c = (struct pinring_command){ .operation = PINRING_OP_ASK, .aux = 1,
				      .dst.region = PINRING_REGION_NONE };
	ASSERT_OK(pinring_executor_submit(self->to, &c, NULL));
	while (sem_wait(&entered))
		;
	EXPECT_EQ(-EBUSY, pinring_executor_unregister(self->to, operation, SECOND / 20));
	sem_post(&released);
	c = counts(self, operation, 0);
	EXPECT_EQ(0, call(self->to, c).status);
	ASSERT_OK(pinring_executor_unregister(self->to, operation, 20 * SECOND));
	EXPECT_EQ(PINRING_REASON_OPERATION, call(self->to, c).reason);
}

/* Active by itself, it is told nothing, and so cannot say that it is done with it. */
TEST_F_TIMEOUT(link, a_kernel_stays_while_a_bounded_peer_runs_it, 60)
{
	struct pinring_executor_config config = pinring_executor_defaults();
	struct pinring_executor *bounded;
	struct pinring_completion done;
	struct pinring_command c;
	uint32_t operation;

	NEEDS_HOST_KERNELS();
	config.kind = PINRING_EXECUTOR_HOST;
	config.threads = 1;
	config.commands_max = 1;
	ASSERT_OK(pinring_executor_create(self->device, &config, &bounded));
	ASSERT_EQ(0, pinring_executor_attach(bounded, self->r));
	ASSERT_EQ(1, pinring_executor_connect(self->from, bounded, 4));
	ASSERT_OK(add_counting(bounded, &operation));
	c = counts(self, operation, 3);
	write_down(self, 0, &c);
	ASSERT_OK(pinring_executor_launch(bounded));
	self->link = 1;
	ASSERT_EQ(0, call(self->from, forward(self, 0, 1, 0)).status);
	ASSERT_TRUE(COMES_TRUE(__atomic_load_n((uint32_t *)&self->cell[1], __ATOMIC_ACQUIRE)));
	EXPECT_EQ(-EBUSY, pinring_executor_unregister(bounded, operation, SECOND / 20));
	__atomic_store_n((uint32_t *)&self->cell[1], 0, __ATOMIC_RELEASE);
	done = call(self->from, join(self, 0));
	EXPECT_EQ(0, done.status);
	EXPECT_EQ(1, done.done);
	EXPECT_EQ(1.0f, self->cell[0]);
	/* Its one command, of its host's: then it is done with everything. */
	EXPECT_EQ(-EINVAL, call(bounded, (struct pinring_command){ .operation = 999 }).status);
	ASSERT_OK(pinring_executor_unregister(bounded, operation, 20 * SECOND));
	pinring_executor_close(bounded, 20 * SECOND);
}

TEST_F(link, a_peer_whose_kernel_faults_is_told)
{
	struct pinring_completion done;
	struct pinring_command c;
	uint32_t operation;

	NEEDS_HOST_KERNELS();
	ASSERT_OK(add_counting(self->to, &operation));
	c = counts(self, operation, 1);
	write_down(self, 0, &c);
	ASSERT_EQ(0, call(self->from, forward(self, 0, 1, 0)).status);
	done = call(self->from, join(self, 0));
	EXPECT_EQ(-EPIPE, done.status);
	EXPECT_EQ(PINRING_REASON_PEER, done.reason);
	EXPECT_EQ(PINRING_STATE_FAILED, pinring_executor_state(self->to));
	EXPECT_EQ(2000000001u, info_of(self->to).error_id);
	EXPECT_EQ(operation, info_of(self->to).error_operation);
}

/* Nobody looks after the peer but who waits for the one that waits for it. */
TEST_F_TIMEOUT(link, a_peer_that_hangs_is_told, 120)
{
	struct pinring_executor *to;
	struct pinring_completion done;
	struct pinring_command c;
	uint32_t operation;

	NEEDS_HOST_KERNELS();
	ASSERT_OK(make(self, false, 0, 200, &to));
	ASSERT_EQ(0, pinring_executor_attach(to, self->r));
	ASSERT_EQ(1, pinring_executor_connect(self->from, to, 4));
	ASSERT_OK(begin(to));
	ASSERT_OK(add_counting(to, &operation));
	c = counts(self, operation, 2);
	write_down(self, 0, &c);
	self->link = 1;
	ASSERT_EQ(0, call(self->from, forward(self, 0, 1, 0)).status);
	done = call(self->from, join(self, 0));
	EXPECT_EQ(-EPIPE, done.status);
	EXPECT_EQ(PINRING_STATE_FAILED, pinring_executor_state(to));
	EXPECT_EQ(2000000001u, info_of(to).error_id);
	EXPECT_EQ(operation, info_of(to).error_operation);
	EXPECT_EQ(PINRING_REASON_HUNG, info_of(to).error_reason);
	pinring_executor_close(to, 0);
	/* What it may touch is there for ever. */
	pinring_region_close(self->r);
	self->r = NULL;
}

TEST_HARNESS_MAIN
