// SPDX-License-Identifier: MIT
/*
 * One executor for several threads (PINRING_EXECUTOR_SHARED): everyone gets the
 * answers to its own commands, none is lost, none comes twice, and nobody sleeps on
 * beside an answer.
 */
#include <kselftest_harness.h>

#include <pthread.h>

#include <pinring/pinring.h>

#include "executor_kind.h"
#include "executor_test.h"

#define MIB (1ull << 20)
#define THREADS 8
#define FLOATS 64u /* of each thread's */

#ifndef ROUNDS
#define ROUNDS 3000u
#endif

FIXTURE(shared)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_executor *ex;
	struct pinring_object_info data;
	float *at;
};

FIXTURE_VARIANT(shared)
{
	uint32_t depth;
};

/* A full window all the time, and one that is never full. */
FIXTURE_VARIANT_ADD(shared, narrow) { .depth = 4 };
FIXTURE_VARIANT_ADD(shared, wide) { .depth = 256 };

FIXTURE_SETUP(shared)
{
	struct pinring_region_config rc = pinring_region_defaults(MIB);
	struct pinring_executor_config config = pinring_executor_defaults();

	rc.flags = PINRING_REGION_SMALL_PAGES;
	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &rc, &self->r));
	ASSERT_EQ(0, pinring_object_create(self->r, "data", PINRING_OBJECT_BYTES,
					   THREADS * FLOATS * sizeof(float), 64,
					   &self->data));
	self->at = pinring_region_at(self->r, self->data.offset, self->data.length);
	config.kind = executor_kind();
	config.depth = variant->depth;
	config.flags = PINRING_EXECUTOR_SHARED;
	/* Who looks at the watchdog now and then wakes up without being woken. */
	config.watchdog_ms = PINRING_WATCHDOG_NEVER;
	ASSERT_EQ(0, pinring_executor_start(self->device, &config, &self->ex));
	ASSERT_EQ(0, pinring_executor_attach(self->ex, self->r));
}

FIXTURE_TEARDOWN(shared)
{
	EXPECT_EQ(0, pinring_executor_close(self->ex, 20 * SECOND));
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

struct client {
	struct pinring_executor *ex;
	uint64_t offset;
	float *at;
	uint32_t number, wrong, done;
	pthread_t thread;
};

/* Fill, then sum: the answer says whose command it was, and when. */
static struct pinring_command fill(const struct client *c, uint32_t round)
{
	return (struct pinring_command){
		.id = c->number << 24 | round, .operation = PINRING_OP_FILL,
		.count = FLOATS, .dst = { .offset = c->offset },
		.s0 = (float)(c->number + THREADS * (round % 1000)),
	};
}

static struct pinring_command sum(const struct client *c, uint32_t round)
{
	return (struct pinring_command){
		.id = c->number << 24 | round | 1u << 23, .operation = PINRING_OP_SUM,
		.count = FLOATS, .a = { .offset = c->offset },
		.dst = { .region = PINRING_REGION_NONE },
	};
}

static void check(struct client *c, uint32_t round, const struct pinring_completion *done)
{
	c->wrong += done->status || done->id != sum(c, round).id ||
		    done->result != (float)FLOATS * fill(c, round).s0;
	c->done++;
}

/* The window is everyone's: it may be full, of what others will collect. */
static uint64_t submit(struct client *c, struct pinring_command command)
{
	uint64_t ticket = 0;
	int rc;

	do {
		rc = pinring_executor_submit(c->ex, &command, &ticket);
	} while (rc == -EAGAIN && !sched_yield());
	c->wrong += rc != 0;
	return ticket;
}

static void *calls(void *arg)
{
	struct client *c = arg;
	struct pinring_completion done;
	struct pinring_command f, s;
	int rc;

	for (uint32_t round = 0; round < ROUNDS; round++) {
		f = fill(c, round);
		s = sum(c, round);
		f.flags = PINRING_COMMAND_DETACHED;
		submit(c, f);
		do {
			rc = pinring_executor_call(c->ex, &s, PINRING_FOREVER, &done);
		} while (rc == -EAGAIN && !sched_yield());
		c->wrong += rc != 0;
		check(c, round, &done);
	}
	return NULL;
}

static void *polls(void *arg)
{
	struct client *c = arg;
	struct pinring_completion done;

	for (uint32_t round = 0; round < ROUNDS; round++) {
		uint64_t first = submit(c, fill(c, round));
		uint64_t second;
		int rc;

		do {
			rc = pinring_executor_poll(c->ex, first, &done);
		} while (rc == -EAGAIN && !sched_yield());
		c->wrong += rc != 0 || done.id != fill(c, round).id;
		second = submit(c, sum(c, round));
		do {
			rc = pinring_executor_poll(c->ex, second, &done);
		} while (rc == -EAGAIN && !sched_yield());
		c->wrong += rc != 0;
		check(c, round, &done);
		/* Once. */
		c->wrong += pinring_executor_poll(c->ex, second, &done) != -ENOENT;
	}
	return NULL;
}

static void *waits(void *arg)
{
	struct client *c = arg;
	struct pinring_completion done;
	uint64_t ticket;

	for (uint32_t round = 0; round < ROUNDS; round++) {
		ticket = submit(c, fill(c, round));
		c->wrong += pinring_executor_wait(c->ex, ticket, PINRING_FOREVER, &done) != 0;
		ticket = submit(c, sum(c, round));
		c->wrong += pinring_executor_wait(c->ex, ticket, PINRING_FOREVER, &done) != 0;
		check(c, round, &done);
	}
	return NULL;
}

TEST_F_TIMEOUT(shared, everyone_gets_its_own_answers, 120)
{
	void *(*const ways[])(void *) = { calls, polls, waits };
	static struct client clients[THREADS];
	struct pinring_executor_info info;

	for (uint32_t i = 0; i < THREADS; i++) {
		clients[i] = (struct client){
			.ex = self->ex, .number = i,
			.offset = self->data.offset + i * FLOATS * sizeof(float),
		};
		ASSERT_EQ(0, pthread_create(&clients[i].thread, NULL,
					    ways[i % ARRAY_SIZE(ways)], &clients[i]));
	}
	for (uint32_t i = 0; i < THREADS; i++) {
		ASSERT_EQ(0, pthread_join(clients[i].thread, NULL));
		EXPECT_EQ(ROUNDS, clients[i].done);
		EXPECT_EQ(0, clients[i].wrong) {
			TH_LOG("thread %u", i);
		}
	}
	info = info_of(self->ex);
	EXPECT_EQ(2ull * THREADS * ROUNDS, info.submitted);
	EXPECT_EQ(2ull * THREADS * ROUNDS, info.telemetry.processed);
	EXPECT_EQ(0, info.telemetry.failed);
}

/* Nothing wakes the sleepers but the answers, one after the other, slowly. */
static void *sleeps(void *arg)
{
	struct client *c = arg;
	struct pinring_completion done;
	uint64_t ticket = submit(c, (struct pinring_command){ .id = c->number });

	c->wrong += pinring_executor_wait(c->ex, ticket, PINRING_FOREVER, &done) != 0 ||
		    done.id != c->number;
	__atomic_store_n(&c->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

TEST_F(shared, nobody_sleeps_on_beside_an_answer)
{
	struct client clients[4] = { 0 };

	for (int round = 0; round < 20; round++) {
		ASSERT_EQ(0, pinring_executor_pause(self->ex));
		ASSERT_EQ(0, pinring_executor_wait_state(self->ex, PINRING_STATE_PAUSED,
							 20 * SECOND));
		for (uint32_t i = 0; i < 4; i++) {
			clients[i] = (struct client){ .ex = self->ex, .number = i };
			ASSERT_EQ(0, pthread_create(&clients[i].thread, NULL, sleeps,
						    &clients[i]));
		}
		/* Asleep by now, most of them, one on the doorbell. */
		usleep(5000);
		ASSERT_EQ(0, pinring_executor_activate(self->ex));
		for (int i = 0; i < 4; i++) {
			ASSERT_EQ(0, pthread_join(clients[i].thread, NULL));
			EXPECT_EQ(0, clients[i].wrong);
		}
	}
}

TEST_F(shared, who_gives_up_leaves_the_others_awake)
{
	struct pinring_command nop = { .id = 9 };
	struct pinring_completion done;
	struct client client = { .ex = self->ex, .number = 3 };
	int rc;

	ASSERT_EQ(0, pinring_executor_pause(self->ex));
	ASSERT_EQ(0, pinring_executor_wait_state(self->ex, PINRING_STATE_PAUSED, 20 * SECOND));
	/* We sleep on the doorbell first, and leave; the other takes over. */
	ASSERT_EQ(0, pthread_create(&client.thread, NULL, sleeps, &client));
	for (int i = 0; i < 20; i++) {
		rc = pinring_executor_call(self->ex, &nop, SECOND / 100, &done);
		/* A full window says so at once. */
		EXPECT_TRUE(rc == -ETIMEDOUT || (rc == -EAGAIN && variant->depth == 4));
	}
	EXPECT_EQ(0, __atomic_load_n(&client.done, __ATOMIC_ACQUIRE));
	ASSERT_EQ(0, pinring_executor_activate(self->ex));
	ASSERT_EQ(0, pthread_join(client.thread, NULL));
	EXPECT_EQ(0, client.wrong);
	/* What was given up does not keep its place. */
	for (uint32_t i = 0; i < 2 * variant->depth; i++) {
		do {
			rc = pinring_executor_call(self->ex, &nop, 20 * SECOND, &done);
		} while (rc == -EAGAIN);
		ASSERT_EQ(0, rc);
	}
}

static void *leaves(void *arg)
{
	struct client *c = arg;
	uint64_t ticket = submit(c, (struct pinring_command){
					    .id = 5, .flags = PINRING_COMMAND_DETACHED });

	(void)ticket;
	pthread_exit(NULL);
}

/* AddressSanitizer does not see pthread_testcancel() leave this frame for good. */
__attribute__((no_sanitize_address)) static void *is_cancelled(void *arg)
{
	struct client *c = arg;
	struct pinring_completion done;
	uint64_t ticket = submit(c, (struct pinring_command){ .id = 6 });

	c->done = 1;
	pinring_executor_wait(c->ex, ticket, PINRING_FOREVER, &done);
	pthread_testcancel();
	return NULL;
}

TEST_F(shared, a_thread_that_ends_takes_nothing_with_it)
{
	struct client client = { .ex = self->ex }, other = { .ex = self->ex };
	void *end;

	for (int i = 0; i < 50; i++) {
		ASSERT_EQ(0, pthread_create(&client.thread, NULL, leaves, &client));
		pthread_join(client.thread, NULL);
	}
	EXPECT_EQ(0, client.wrong);
	/* Cancelled as it sleeps on the doorbell, it goes when it is awake. */
	ASSERT_EQ(0, pinring_executor_pause(self->ex));
	ASSERT_EQ(0, pinring_executor_wait_state(self->ex, PINRING_STATE_PAUSED, 20 * SECOND));
	ASSERT_EQ(0, pthread_create(&client.thread, NULL, is_cancelled, &client));
	usleep(20000);
	other.number = 1;
	ASSERT_EQ(0, pthread_create(&other.thread, NULL, sleeps, &other));
	usleep(20000);
	pthread_cancel(client.thread);
	usleep(20000);
	ASSERT_EQ(0, pinring_executor_activate(self->ex));
	ASSERT_EQ(0, pthread_join(client.thread, &end));
	ASSERT_EQ(0, pthread_join(other.thread, NULL));
	EXPECT_EQ(0, other.wrong);
}

/* It is told that it is cancelled before it has anything to do. */
__attribute__((no_sanitize_address)) static void *wishes(void *ex)
{
	pthread_cancel(pthread_self());
	pinring_executor_activate(ex);
	pthread_testcancel();
	return NULL;
}

TEST_F(shared, a_thread_that_is_cancelled_leaves_no_lock_behind)
{
	pthread_t thread;
	void *end;

	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, pinring_executor_pause(self->ex));
		ASSERT_EQ(0, pinring_executor_wait_state(self->ex, PINRING_STATE_PAUSED,
							 20 * SECOND));
		usleep(200000); /* by now it sleeps, and has to be woken */
		ASSERT_EQ(0, pthread_create(&thread, NULL, wishes, self->ex));
		ASSERT_EQ(0, pthread_join(thread, &end));
		EXPECT_EQ(PTHREAD_CANCELED, end);
		ASSERT_EQ(0, pinring_executor_wait_state(self->ex, PINRING_STATE_ACTIVE,
							 20 * SECOND));
	}
}

static const char quick[] =
	"#include <pinring/kernel.h>\n"
	"PINRING_KERNEL_OF(quick, float, PINRING_KERNEL_DST)\n"
	"{ PINRING_EACH(i, args->count) dst[i] = 1; }\n";

static void *registers(void *arg)
{
	struct pinring_kernel_config k = PINRING_INIT(struct pinring_kernel_config);
	struct client *c = arg;
	struct pinring_completion done;
	struct pinring_command command = { .count = FLOATS };
	uint32_t operation;
	int rc;

	k.name = "quick";
	k.text = quick;
	for (int round = 0; round < 3; round++) {
		c->wrong += pinring_executor_register(c->ex, &k, &operation) != 0;
		command.operation = (uint16_t)operation;
		command.dst.offset = c->offset;
		do {
			rc = pinring_executor_call(c->ex, &command, PINRING_FOREVER, &done);
		} while (rc == -EAGAIN && !sched_yield());
		c->wrong += rc != 0 || done.status != 0;
		c->wrong += pinring_executor_unregister(c->ex, operation, 20 * SECOND) != 0;
		do {
			rc = pinring_executor_call(c->ex, &command, PINRING_FOREVER, &done);
		} while (rc == -EAGAIN && !sched_yield());
		c->wrong += rc != 0 || done.reason != PINRING_REASON_OPERATION;
	}
	return NULL;
}

TEST_F_TIMEOUT(shared, kernels_come_and_go_from_all_sides, 120)
{
	static struct client clients[4];

	if (on_cuda()) {
		SKIP(return, "a GPU has its own test of that");
	}
	NEEDS_COMPILER();
	for (uint32_t i = 0; i < 4; i++) {
		clients[i] = (struct client){
			.ex = self->ex, .number = i,
			.offset = self->data.offset + i * FLOATS * sizeof(float),
		};
		ASSERT_EQ(0, pthread_create(&clients[i].thread, NULL,
					    i ? registers : waits, &clients[i]));
	}
	for (uint32_t i = 0; i < 4; i++) {
		ASSERT_EQ(0, pthread_join(clients[i].thread, NULL));
		EXPECT_EQ(0, clients[i].wrong);
	}
}

TEST(unknown_flags_are_refused)
{
	struct pinring_executor_config config = pinring_executor_defaults();
	struct pinring_executor *ex;
	struct pinring_device *device;

	ASSERT_EQ(0, pinring_device_open(NULL, &device));
	config.kind = executor_kind();
	config.flags = 2;
	EXPECT_EQ(-EINVAL, pinring_executor_create(device, &config, &ex));
	EXPECT_NE(NULL, strstr(pinring_error(), "flags"));
	pinring_device_close(device);
}

TEST_HARNESS_MAIN
