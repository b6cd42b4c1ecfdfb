// SPDX-License-Identifier: MIT
/* What a kernel asks of its host: pinring/service.h. */
#define _GNU_SOURCE
#include <kselftest_harness.h>

#include <pthread.h>
#include <semaphore.h>
#include <sys/wait.h>

#include <pinring/pinring.h>

#include "executor_kind.h"
#include "executor_test.h"

#define COUNT 1024

FIXTURE(services)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_executor *ex;
	struct pinring_object_info dst;
	float *at;
	uint32_t region;
};

FIXTURE_SETUP(services)
{
	struct pinring_region_config rc = pinring_region_defaults(1 << 20);
	struct pinring_executor_config ec = pinring_executor_defaults();
	int n;

	ec.kind = executor_kind();
	ec.threads = 2;
	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &rc, &self->r));
	ASSERT_EQ(0, pinring_object_create(self->r, "dst", PINRING_OBJECT_BYTES,
					   COUNT * sizeof(float), 0, &self->dst));
	self->at = pinring_region_at(self->r, self->dst.offset, self->dst.length);
	ASSERT_EQ(0, pinring_executor_start(self->device, &ec, &self->ex));
	n = pinring_executor_attach(self->ex, self->r);
	ASSERT_LE(0, n);
	self->region = (uint32_t)n;
}

FIXTURE_TEARDOWN(services)
{
	pinring_executor_close(self->ex, 10 * SECOND);
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

static struct pinring_command ask(FIXTURE_DATA(services) *self, uint64_t service,
				  uint64_t argument)
{
	return (struct pinring_command){
		.id = 77,
		.operation = PINRING_OP_ASK,
		.count = COUNT,
		.dst = { self->dst.offset, self->region },
		.a = { 0, PINRING_REGION_NONE },
		.b = { 0, PINRING_REGION_NONE },
		.s0 = 2.5f,
		.s1 = -1.0f,
		.aux = argument << 8 | service,
	};
}

/* Fills dst with its argument, and tells what it was asked. */
static int fill(void *context, struct pinring_request *request)
{
	float *dst = request->dst;

	*(struct pinring_request *)context = *request;
	for (uint64_t i = 0; dst && i < request->count; i++)
		dst[i] = (float)request->argument;
	request->done = request->count;
	request->result = (float)request->argument * 2;
	return 0;
}

TEST_F(services, an_answer_reaches_the_kernel)
{
	struct pinring_command c = ask(self, 5, 1234), sum = c;
	struct pinring_completion done;
	struct pinring_request seen;

	ASSERT_EQ(0, pinring_executor_offer(self->ex, 5, fill, &seen));
	ASSERT_EQ(0, pinring_executor_call(self->ex, &c, 60 * SECOND, &done));
	EXPECT_EQ(0, done.status);
	EXPECT_EQ(77, done.id);
	EXPECT_EQ(COUNT, done.done);
	EXPECT_EQ(2468.0f, done.result);
	EXPECT_EQ(77, seen.id);
	EXPECT_EQ(self->region, seen.region);
	EXPECT_EQ((void *)self->at, seen.dst);
	EXPECT_EQ(COUNT, seen.count);
	EXPECT_EQ(1234, seen.argument);
	EXPECT_EQ(2.5f, seen.s0);
	EXPECT_EQ(-1.0f, seen.s1);
	/* And the kernel sees what was written. */
	sum.operation = PINRING_OP_SUM;
	sum.a = c.dst;
	sum.dst.region = PINRING_REGION_NONE;
	ASSERT_EQ(0, pinring_executor_call(self->ex, &sum, 60 * SECOND, &done));
	EXPECT_EQ(1234.0f * COUNT, done.result);
}

TEST_F(services, thousands_of_answers_in_order)
{
	struct pinring_completion done;
	struct pinring_request seen;

	ASSERT_EQ(0, pinring_executor_offer(self->ex, 0, fill, &seen));
	for (uint64_t i = 0; i < 5000; i++) {
		struct pinring_command c = ask(self, 0, i);

		c.dst.region = PINRING_REGION_NONE;
		ASSERT_EQ(0, pinring_executor_call(self->ex, &c, 60 * SECOND, &done));
		ASSERT_EQ(0, done.status);
		ASSERT_EQ((float)i * 2, done.result);
		ASSERT_EQ(i, seen.argument);
		ASSERT_EQ(NULL, seen.dst);
	}
}

#define OFFERS 8

struct offering {
	struct pinring_executor *ex;
	pthread_barrier_t *all;
	struct pinring_request seen;
	uint32_t service;
	pthread_t thread;
	int rc;
};

static void *offers(void *arg)
{
	struct offering *o = arg;

	pthread_barrier_wait(o->all);
	o->rc = pinring_executor_offer(o->ex, o->service, fill, &o->seen);
	return NULL;
}

/* The first of them starts the thread that serves, and each has a bit of one word. */
TEST_F(services, threads_may_offer_at_the_same_time)
{
	struct pinring_executor_config ec = pinring_executor_defaults();
	struct offering o[OFFERS];
	struct pinring_completion done;
	pthread_barrier_t all;

	ec.kind = executor_kind();
	ec.flags = PINRING_EXECUTOR_SHARED;
	pthread_barrier_init(&all, NULL, OFFERS);
	for (int round = 0; round < 20; round++) {
		ASSERT_EQ(0, pinring_executor_close(self->ex, 10 * SECOND));
		self->ex = NULL;
		ASSERT_EQ(0, pinring_executor_start(self->device, &ec, &self->ex));
		for (uint32_t i = 0; i < OFFERS; i++) {
			o[i] = (struct offering){ .ex = self->ex, .all = &all, .service = i };
			ASSERT_EQ(0, pthread_create(&o[i].thread, NULL, offers, &o[i]));
		}
		for (uint32_t i = 0; i < OFFERS; i++) {
			struct pinring_command c = ask(self, i, i);

			pthread_join(o[i].thread, NULL);
			EXPECT_EQ(0, o[i].rc);
			c.dst.region = PINRING_REGION_NONE;
			ASSERT_EQ(0, pinring_executor_call(self->ex, &c, 20 * SECOND, &done));
			EXPECT_EQ(0, done.status) TH_LOG("service %u", i);
			EXPECT_EQ(i, o[i].seen.argument);
		}
	}
	pthread_barrier_destroy(&all);
}

TEST_F(services, what_nobody_offers_is_refused)
{
	struct pinring_completion done;
	struct pinring_request seen = { .id = 1 };
	struct pinring_command c;

	for (uint64_t service = 0; service < 256; service += 17) {
		c = ask(self, service, 0);
		ASSERT_EQ(0, pinring_executor_call(self->ex, &c, 60 * SECOND, &done));
		EXPECT_EQ(-EOPNOTSUPP, done.status);
		EXPECT_EQ(PINRING_REASON_SERVICE, done.reason);
	}
	EXPECT_EQ(-EINVAL, pinring_executor_offer(self->ex, 64, fill, &seen));
	EXPECT_NE(NULL, strstr(pinring_error(), "64"));
	/* And what is offered no more. */
	ASSERT_EQ(0, pinring_executor_offer(self->ex, 17, fill, &seen));
	ASSERT_EQ(0, pinring_executor_offer(self->ex, 17, NULL, NULL));
	c = ask(self, 17, 0);
	ASSERT_EQ(0, pinring_executor_call(self->ex, &c, 60 * SECOND, &done));
	EXPECT_EQ(-EOPNOTSUPP, done.status);
	EXPECT_EQ(1, seen.id);
}

/* The rings are shared with the parent, whose loop asks and hears whoever answers. */
TEST_F(services, a_child_of_fork_offers_nothing)
{
	struct pinring_completion done;
	struct pinring_command c;
	struct pinring_request seen;
	int status = 0;
	pid_t child;

	child = fork();
	if (!child) {
		_exit(pinring_executor_offer(self->ex, 3, fill, &seen) == -EOPNOTSUPP &&
		      strstr(pinring_error(), "forked") ? 0 : 1);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	c = ask(self, 3, 7);
	ASSERT_EQ(0, pinring_executor_call(self->ex, &c, 20 * SECOND, &done));
	EXPECT_EQ(-EOPNOTSUPP, done.status);
	EXPECT_EQ(PINRING_REASON_SERVICE, done.reason);
}

TEST_F(services, a_range_outside_is_refused_unasked)
{
	struct pinring_command c = ask(self, 1, 0);
	struct pinring_completion done;
	struct pinring_request seen = { .id = 1 };

	ASSERT_EQ(0, pinring_executor_offer(self->ex, 1, fill, &seen));
	c.count = 1 << 20;
	ASSERT_EQ(0, pinring_executor_call(self->ex, &c, 60 * SECOND, &done));
	EXPECT_EQ(-EINVAL, done.status);
	EXPECT_EQ(PINRING_REASON_COUNT, done.reason);
	EXPECT_EQ(1, seen.id);
}

/* What is the caller's own may begin anywhere: aligned is what the address is. */
TEST_F(services, an_answer_goes_to_memory_that_begins_anywhere)
{
	struct pinring_command c = ask(self, 1, 9);
	struct pinring_completion done;
	struct pinring_request seen;
	float space[8] = { 0 };
	int n;

	if (on_cuda()) {
		SKIP(return, "no service writes to a GPU's memory");
	}
	n = pinring_executor_attach_memory(self->ex, (char *)space + 2, 30);
	ASSERT_EQ(1, n) TH_LOG("%s", pinring_error());
	ASSERT_EQ(0, pinring_executor_offer(self->ex, 1, fill, &seen));
	c.dst = (struct pinring_operand){ 2, 1 };
	c.count = 7;
	ASSERT_EQ(0, pinring_executor_call(self->ex, &c, 60 * SECOND, &done));
	EXPECT_EQ(0, done.status);
	EXPECT_EQ(7, done.done);
	EXPECT_EQ(0.0f, space[0]);
	EXPECT_EQ(9.0f, space[1]);
	EXPECT_EQ(9.0f, space[7]);
	/* The executor refuses what is not, and a service is not asked. */
	c.dst.offset = 4;
	c.count = 1;
	ASSERT_EQ(0, pinring_executor_call(self->ex, &c, 60 * SECOND, &done));
	EXPECT_EQ(PINRING_REASON_ALIGNMENT, done.reason);
	ASSERT_EQ(0, pinring_executor_detach(self->ex, 1, 20 * SECOND));
}

static int fails(void *context, struct pinring_request *request)
{
	request->done = 3;
	return *(int *)context;
}

TEST_F(services, its_failure_is_the_commands)
{
	int errors[] = { -EIO, -ENOSPC, -1 };
	struct pinring_completion done;

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		struct pinring_command c = ask(self, 2, 0);

		ASSERT_EQ(0, pinring_executor_offer(self->ex, 2, fails, &errors[i]));
		ASSERT_EQ(0, pinring_executor_call(self->ex, &c, 60 * SECOND, &done));
		EXPECT_EQ(errors[i], done.status);
		EXPECT_EQ(PINRING_REASON_SERVED, done.reason);
		EXPECT_EQ(3, done.done);
	}
}

static sem_t entered, release;

static int blocks(void *context, struct pinring_request *request)
{
	(void)context;
	(void)request;
	sem_post(&entered);
	while (sem_wait(&release))
		;
	return 0;
}

/* A service that hangs keeps nobody from ending the executor. */
TEST_F(services, terminating_does_not_wait_for_a_service)
{
	struct pinring_command c = ask(self, 3, 0);
	struct pinring_completion done;
	uint64_t ticket;

	sem_init(&entered, 0, 0);
	sem_init(&release, 0, 0);
	ASSERT_EQ(0, pinring_executor_offer(self->ex, 3, blocks, NULL));
	ASSERT_EQ(0, pinring_executor_submit(self->ex, &c, &ticket));
	while (sem_wait(&entered))
		;
	ASSERT_EQ(0, pinring_executor_terminate(self->ex));
	ASSERT_EQ(0, pinring_executor_wait(self->ex, ticket, 60 * SECOND, &done));
	EXPECT_EQ(-ECANCELED, done.status);
	EXPECT_EQ(PINRING_REASON_STOPPED, done.reason);
	EXPECT_EQ(0, pinring_executor_wait_state(self->ex, PINRING_STATE_TERMINATED,
						 60 * SECOND));
	sem_post(&release);
}

TEST_HARNESS_MAIN
