// SPDX-License-Identifier: MIT
/*
 * The host's side of the CUDA executor, on the fake driver of selftests/cuda:
 * launching, registering, what a persistent kernel must not meet, and a failure of
 * every call to the driver.
 */
#define _GNU_SOURCE
#include <kselftest_harness.h>

#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <pinring/pinring.h>

#include "../gpu/cuda_driver.h"
#include "cuda/fake_gdr.h"
#include "cuda/find_fake.h"
#include "executor_test.h"

#define COUNT 3000

FIXTURE(cuda)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_executor_config config;
	struct pinring_object_info a, b, dst;
	bool lost; /* a kernel may run yet: what it may touch stays */
};

FIXTURE_SETUP(cuda)
{
	struct pinring_region_config rc = pinring_region_defaults(1 << 20);
	float *a, *b;

	if (!find_fake()) {
		SKIP(return, "no fake libcuda.so.1: built without g++ or nvcc");
	}
	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &rc, &self->r));
	ASSERT_EQ(0, pinring_object_create(self->r, "a", PINRING_OBJECT_BYTES,
					   COUNT * sizeof(float), 0, &self->a));
	ASSERT_EQ(0, pinring_object_create(self->r, "b", PINRING_OBJECT_BYTES,
					   COUNT * sizeof(float), 0, &self->b));
	ASSERT_EQ(0, pinring_object_create(self->r, "dst", PINRING_OBJECT_BYTES,
					   COUNT * sizeof(float), 0, &self->dst));
	a = pinring_region_at(self->r, self->a.offset, self->a.length);
	b = pinring_region_at(self->r, self->b.offset, self->b.length);
	for (int i = 0; i < COUNT; i++) {
		a[i] = (float)i;
		b[i] = 0.5f * (float)i;
	}
	self->config = pinring_executor_defaults();
	self->config.kind = PINRING_EXECUTOR_CUDA;
	self->config.threads = 2;
}

FIXTURE_TEARDOWN(cuda)
{
	pinring_region_close(self->r);
	pinring_device_close(self->device);
	if (!look || self->lost)
		return;
	EXPECT_NOTHING_LEFT();
	EXPECT_EQ(0, look().same_address);
}

/* dst = a + b, of region number `region`; -errno, or the command's status. */
static int add(struct pinring_executor *ex, uint32_t region, FIXTURE_DATA(cuda) *self)
{
	struct pinring_command c = {
		.id = 7,
		.operation = PINRING_OP_ADD,
		.count = COUNT,
		.dst = { self->dst.offset, region },
		.a = { self->a.offset, region },
		.b = { self->b.offset, region },
	};
	float *dst = pinring_region_at(self->r, self->dst.offset, self->dst.length);
	struct pinring_completion done;
	int rc;

	memset(dst, 0xff, COUNT * sizeof(float));
	rc = pinring_executor_call(ex, &c, 60 * SECOND, &done);
	if (rc || done.status)
		return rc ? rc : done.status;
	for (int i = 0; i < COUNT; i++) {
		if (dst[i] != (float)i + 0.5f * (float)i)
			return -EBADMSG;
	}
	return done.id == 7 && done.done == COUNT ? 0 : -EBADMSG;
}

/* Everything a program does with an executor; the first error. */
static int whole_life(FIXTURE_DATA(cuda) *self, int gpu_number)
{
	struct pinring_executor_config config = self->config;
	struct pinring_executor *ex;
	int rc, region;
	void *memory;

	config.gpu = gpu_number;
	rc = pinring_executor_start(self->device, &config, &ex);
	if (rc)
		return rc;
	region = pinring_executor_attach(ex, self->r);
	rc = region < 0 ? region : add(ex, (uint32_t)region, self);
	if (!rc)
		rc = pinring_executor_allocate(ex, 4096, &memory);
	if (rc > 0)
		rc = pinring_executor_attach_memory(ex, memory, 4096);
	if (rc > 0)
		rc = pinring_executor_detach(ex, (uint32_t)rc, 20 * SECOND);
	pinring_executor_close(ex, 10 * SECOND);
	return rc;
}

TEST_F(cuda, runs_commands)
{
	struct pinring_executor_info info;
	struct pinring_executor *ex;

	self->config.threads = 0;
	ASSERT_EQ(0, pinring_executor_start(self->device, &self->config, &ex));
	ASSERT_EQ(0, pinring_executor_attach(ex, self->r));
	EXPECT_EQ(0, add(ex, 0, self));
	/* It counts after it has answered. */
	EXPECT_TRUE(COMES_TRUE((info = info_of(ex)).telemetry.processed));
	EXPECT_EQ(PINRING_EXECUTOR_CUDA, info.kind);
	EXPECT_EQ(3, info.threads);
	EXPECT_STREQ("sm_90", info.isa);
	EXPECT_EQ(1, info.telemetry.processed);
	EXPECT_EQ(0, pinring_executor_close(ex, 10 * SECOND));
}

TEST_F(cuda, auto_takes_the_gpu)
{
	struct pinring_executor_info info = PINRING_INIT(struct pinring_executor_info);
	struct pinring_executor *ex;

	self->config.kind = PINRING_EXECUTOR_AUTO;
	ASSERT_EQ(0, pinring_executor_create(self->device, &self->config, &ex));
	ASSERT_EQ(0, pinring_executor_info(ex, &info));
	EXPECT_EQ(PINRING_EXECUTOR_CUDA, info.kind);
	EXPECT_STREQ("", info.reason);
	EXPECT_EQ(0, pinring_executor_close(ex, 0));
}

TEST_F(cuda, auto_says_why_not)
{
	struct pinring_executor_info info = PINRING_INIT(struct pinring_executor_info);
	struct pinring_executor *ex;

	gpu->cooperative = 0;
	self->config.kind = PINRING_EXECUTOR_AUTO;
	ASSERT_EQ(0, pinring_executor_create(self->device, &self->config, &ex));
	ASSERT_EQ(0, pinring_executor_info(ex, &info));
	EXPECT_EQ(PINRING_EXECUTOR_HOST, info.kind);
	EXPECT_NE(NULL, strstr(info.reason, "cooperative launch"));
	EXPECT_EQ(0, pinring_executor_close(ex, 0));
	gpu->cooperative = 1;
}

/* Later executors find the module loaded and the memory taken. */
TEST_F(cuda, several_on_one_gpu)
{
	struct pinring_executor *ex[3];

	self->config.threads = 1;
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, pinring_executor_start(self->device, &self->config, &ex[i]));
		ASSERT_EQ(0, pinring_executor_attach(ex[i], self->r));
	}
	EXPECT_EQ(1, look().modules);
	EXPECT_EQ(1, look().allocated);
	/* The region once, and what each has of its own. */
	EXPECT_EQ(1 + 3 * 2, look().registered);
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(0, add(ex[i], 0, self));
	}
	EXPECT_EQ(0, pinring_executor_close(ex[0], 10 * SECOND));
	EXPECT_EQ(0, add(ex[2], 0, self));
	EXPECT_EQ(0, pinring_executor_close(ex[1], 10 * SECOND));
	EXPECT_EQ(0, pinring_executor_close(ex[2], 10 * SECOND));
}

static struct pinring_command nop(void)
{
	return (struct pinring_command){ .id = 3, .operation = PINRING_OP_NOP };
}

/* A block of one SM, and two of the two others. */
TEST_F(cuda, executors_of_different_sizes_share_a_gpu)
{
	struct pinring_command c = nop();
	struct pinring_executor *ex[2];
	struct pinring_completion done;
	uint64_t ticket[2];

	for (uint32_t i = 0; i < 2; i++) {
		self->config.threads = i + 1;
		ASSERT_OK(pinring_executor_start(self->device, &self->config, &ex[i]));
		ASSERT_EQ(0, pinring_executor_attach(ex[i], self->r));
		EXPECT_EQ(i + 1, info_of(ex[i]).threads);
	}
	for (int round = 0; round < 20; round++) {
		EXPECT_EQ(0, add(ex[round % 2], 0, self));
		for (int i = 0; i < 2; i++) {
			ASSERT_OK(pinring_executor_submit(ex[i], &c, &ticket[i]));
		}
		for (int i = 1; i >= 0; i--) {
			ASSERT_OK(pinring_executor_wait(ex[i], ticket[i], 20 * SECOND, &done));
		}
	}
	EXPECT_EQ(0, pinring_executor_close(ex[0], 10 * SECOND));
	EXPECT_EQ(0, add(ex[1], 0, self));
	EXPECT_EQ(0, pinring_executor_close(ex[1], 10 * SECOND));
}

/* Rings and the peer's words are mapped on each of the GPUs, and gone in the end. */
TEST_F(cuda, links_leave_nothing_behind)
{
	struct pinring_executor *ex[3];
	struct pinring_device_slot *slot;
	struct pinring_object_info o;
	struct pinring_completion done;
	struct pinring_command c = nop();

	ASSERT_OK(pinring_object_create(self->r, "slot", PINRING_OBJECT_BYTES, 64, 64, &o));
	slot = pinring_region_at(self->r, o.offset, o.length);
	pinring_pack_command(slot->word, &c);
	for (int order = 0; order < 3; order++) {
		self->config.kind = PINRING_EXECUTOR_CUDA;
		self->config.gpu = 0;
		ASSERT_OK(pinring_executor_start(self->device, &self->config, &ex[0]));
		self->config.gpu = 1;
		ASSERT_OK(pinring_executor_start(self->device, &self->config, &ex[1]));
		self->config.kind = PINRING_EXECUTOR_HOST;
		ASSERT_OK(pinring_executor_start(self->device, &self->config, &ex[2]));
		for (int i = 0; i < 3; i++) {
			ASSERT_EQ(0, pinring_executor_attach(ex[i], self->r));
		}
		for (int i = 0; i < 3; i++) {
			ASSERT_EQ(0, pinring_executor_connect(ex[i], ex[(i + 1) % 3], 0));
		}
		for (int i = 0; i < 3; i++) {
			ASSERT_EQ(1, pinring_executor_connect(ex[i], ex[(i + 2) % 3], 0));
		}
		for (uint64_t i = 0; i < 6; i++) {
			c = nop();
			c.operation = PINRING_OP_FORWARD;
			c.count = 1;
			c.a.offset = o.offset;
			c.aux = i / 3;
			ASSERT_OK(pinring_executor_call(ex[i % 3], &c, 20 * SECOND, &done));
			EXPECT_EQ(0, done.status);
			c.operation = PINRING_OP_JOIN;
			ASSERT_OK(pinring_executor_call(ex[i % 3], &c, 20 * SECOND, &done));
			EXPECT_EQ(0, done.status);
			EXPECT_EQ(1, done.done);
		}
		for (int i = 0; i < 3; i++) {
			EXPECT_EQ(0, pinring_executor_close(ex[(i + order) % 3], 10 * SECOND));
		}
	}
	self->config.gpu = 0;
}

/* Nobody looks after that GPU but who waits for what waits for it. */
TEST_F(cuda, a_gpu_that_dies_is_told_to_those_that_forward_to_it)
{
	struct pinring_executor *from, *to;
	struct pinring_device_slot *slot;
	struct pinring_object_info o;
	struct pinring_completion done;
	struct pinring_command c;
	uint64_t ticket;

	ASSERT_OK(pinring_object_create(self->r, "slot", PINRING_OBJECT_BYTES, 64, 64, &o));
	slot = pinring_region_at(self->r, o.offset, o.length);
	ASSERT_OK(pinring_executor_start(self->device, &self->config, &to));
	self->config.kind = PINRING_EXECUTOR_HOST;
	ASSERT_OK(pinring_executor_start(self->device, &self->config, &from));
	ASSERT_EQ(0, pinring_executor_attach(from, self->r));
	ASSERT_EQ(0, pinring_executor_connect(from, to, 0));
	ASSERT_OK(pinring_executor_pause(to));
	ASSERT_OK(pinring_executor_wait_state(to, PINRING_STATE_PAUSED, 20 * SECOND));
	c = nop();
	pinring_pack_command(slot->word, &c);
	c.operation = PINRING_OP_FORWARD;
	c.count = 1;
	c.a.offset = o.offset;
	ASSERT_OK(pinring_executor_call(from, &c, 20 * SECOND, &done));
	EXPECT_EQ(0, done.status);
	c.operation = PINRING_OP_JOIN;
	ASSERT_OK(pinring_executor_submit(from, &c, &ticket));
	kill_kernels();
	/* The fake one dies at its next answer. */
	ASSERT_OK(pinring_executor_activate(to));
	ASSERT_OK(pinring_executor_wait(from, ticket, 60 * SECOND, &done));
	EXPECT_EQ(-EPIPE, done.status);
	EXPECT_EQ(PINRING_REASON_PEER, done.reason);
	EXPECT_EQ(PINRING_STATE_FAILED, pinring_executor_state(to));
	EXPECT_EQ(0, pinring_executor_close(from, 10 * SECOND));
	pinring_executor_close(to, 10 * SECOND);
	self->lost = true;
}

/* Memory registered in the first GPU's context outlives its last executor. */
TEST_F(cuda, on_two_gpus)
{
	struct pinring_executor *ex[2];

	self->config.threads = 1;
	for (int i = 0; i < 2; i++) {
		self->config.gpu = i;
		ASSERT_EQ(0, pinring_executor_start(self->device, &self->config, &ex[i]));
		ASSERT_EQ(0, pinring_executor_attach(ex[i], self->r));
		EXPECT_EQ(0, add(ex[i], 0, self));
	}
	EXPECT_EQ(0, pinring_executor_close(ex[0], 10 * SECOND));
	EXPECT_EQ(0, add(ex[1], 0, self));
	EXPECT_EQ(0, pinring_executor_close(ex[1], 10 * SECOND));
	self->config.gpu = 2;
	EXPECT_EQ(-ENODEV, pinring_executor_start(self->device, &self->config, &ex[0]));
	EXPECT_NE(NULL, strstr(pinring_error(), "no GPU 2"));
}

TEST_F(cuda, no_more_executors_than_places)
{
	struct pinring_executor *ex[17] = { NULL };
	int n = 0, rc = 0;

	while (n < 17) {
		rc = pinring_executor_create(self->device, &self->config, &ex[n]);
		if (rc)
			break;
		n++;
	}
	EXPECT_EQ(16, n);
	EXPECT_EQ(-EBUSY, rc);
	pinring_executor_close(ex[5], 0);
	EXPECT_EQ(0, pinring_executor_create(self->device, &self->config, &ex[5]));
	for (int i = 0; i < 16; i++) {
		pinring_executor_close(ex[i], 0);
	}
}

TEST_F(cuda, refuses_what_it_cannot_run_on)
{
	static const struct {
		size_t field;
		int value, rc;
		const char *says;
	} cases[] = {
#define CASE(field, ...) { offsetof(struct fake_cuda_gpu, field), __VA_ARGS__ }
		CASE(count, 0, -ENODEV, "no GPU 0"),
		CASE(major, 7, -EOPNOTSUPP, "older than sm_80"),
		CASE(cooperative, 0, -EOPNOTSUPP, "no cooperative launch"),
		CASE(host_register, 0, -EOPNOTSUPP, "cannot register host memory"),
		CASE(compute_mode, 2, -EOPNOTSUPP, "PROHIBITED"),
		CASE(exec_timeout, 1, -EOPNOTSUPP, "drives a display"),
		CASE(no_room, 1, -EOPNOTSUPP, "no block of the loop fits"),
	};

	/* So that the driver itself has begun. */
	ASSERT_EQ(0, whole_life(self, 0));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int *field = (int *)((char *)gpu + cases[i].field), before = *field;
		struct pinring_executor *ex;

		*field = cases[i].value;
		EXPECT_EQ(cases[i].rc,
			  pinring_executor_create(self->device, &self->config, &ex)) {
			TH_LOG("%s", cases[i].says);
		}
		EXPECT_NE(NULL, strstr(pinring_error(), cases[i].says)) {
			TH_LOG("%s", pinring_error());
		}
		*field = before;
	}
	self->config.threads = 4;
	EXPECT_EQ(-EINVAL, whole_life(self, 0));
	EXPECT_NE(NULL, strstr(pinring_error(), "4 blocks do not fit"));
}

TEST_F(cuda, refuses_launches_that_wait)
{
	setenv("CUDA_LAUNCH_BLOCKING", "1", 1);
	EXPECT_EQ(-EINVAL, whole_life(self, 0));
	EXPECT_NE(NULL, strstr(pinring_error(), "CUDA_LAUNCH_BLOCKING=1"));
	setenv("CUDA_LAUNCH_BLOCKING", "0", 1);
	EXPECT_EQ(0, whole_life(self, 0));
	unsetenv("CUDA_LAUNCH_BLOCKING");
}

/* Each call to the driver fails once; nothing is left behind, and it is said. */
TEST_F(cuda, every_call_fails_once)
{
	static const char *const symbols[] = {
#define NAME(member, symbol, parameters) #symbol,
		PINRING_CUDA_FUNCTIONS(NAME) PINRING_CUDA_NEWER(NAME)
	};
	int failed = 0;

	/* What a call that gives something back left, when that one failed. */
	self->lost = true;
	for (size_t i = 0; i < ARRAY_SIZE(symbols); i++) {
		/* Their failures are answered by a default, or are an end. */
		if (!strcmp(symbols[i], "cuDeviceGetAttribute") ||
		    !strcmp(symbols[i], "cuCtxPopCurrent_v2"))
			continue;
		for (int nth = 1; nth < 64; nth++) {
			struct fake_cuda_state before = look(), after;
			int rc;

			fail(symbols[i], nth, 999);
			rc = whole_life(self, 0);
			fail("", 0, 0);
			if (!rc)
				break;
			failed++;
			/* Who waits long enough hears it from the watchdog. */
			if (!strstr(pinring_error(), "the executor failed")) {
				EXPECT_NE(NULL, strstr(pinring_error(),
						       "FAKE_ERROR_999")) {
					TH_LOG("%s %d: %d %s", symbols[i], nth,
					       rc, pinring_error());
				}
			}
			after = look();
			/* Or less: what the driver did not take back before. */
			EXPECT_GE(before.contexts, after.contexts);
			EXPECT_GE(before.streams, after.streams) {
				TH_LOG("%s %d", symbols[i], nth);
			}
			EXPECT_GE(before.registered, after.registered) {
				TH_LOG("%s %d", symbols[i], nth);
			}
			EXPECT_GE(before.allocated, after.allocated);
			EXPECT_GE(before.modules, after.modules);
		}
	}
	EXPECT_LT(15, failed);
	EXPECT_EQ(0, whole_life(self, 0));
}

/* What the kernel was at is lost; the process goes on. */
TEST_F(cuda, a_kernel_that_dies_fails_the_executor)
{
	struct pinring_command nop = { .id = 9, .operation = PINRING_OP_NOP };
	struct pinring_completion done;
	struct pinring_executor *ex;
	uint64_t ticket;

	ASSERT_EQ(0, pinring_executor_start(self->device, &self->config, &ex));
	ASSERT_EQ(0, pinring_executor_call(ex, &nop, 60 * SECOND, &done));
	kill_kernels();
	ASSERT_EQ(0, pinring_executor_submit(ex, &nop, &ticket));
	EXPECT_EQ(-EPIPE, pinring_executor_wait(ex, ticket, 60 * SECOND, &done));
	EXPECT_NE(NULL, strstr(pinring_error(), "failed at command 9, operation 0")) {
		TH_LOG("%s", pinring_error());
	}
	EXPECT_EQ(PINRING_STATE_FAILED, pinring_executor_state(ex));
	EXPECT_EQ(-EPIPE, pinring_executor_submit(ex, &nop, &ticket));
	/* Of that context the driver takes nothing back; but a new one may come. */
	fail("cuMemHostUnregister", 1, 700);
	EXPECT_EQ(1, pinring_executor_close(ex, 10 * SECOND));
	EXPECT_EQ(0, look().planned);
	EXPECT_EQ(0, look().contexts);
	self->lost = true;
}

/* The last command before was answered long ago. */
TEST_F(cuda, a_kernel_that_dies_with_nothing_to_do_names_no_command)
{
	struct pinring_command c = nop();
	struct pinring_completion done;
	struct pinring_executor *ex;

	ASSERT_OK(pinring_executor_start(self->device, &self->config, &ex));
	ASSERT_OK(pinring_executor_call(ex, &c, 60 * SECOND, &done));
	ASSERT_OK(pinring_executor_pause(ex));
	ASSERT_OK(pinring_executor_wait_state(ex, PINRING_STATE_PAUSED, 20 * SECOND));
	kill_kernels();
	self->lost = true;
	EXPECT_EQ(-ECANCELED,
		  pinring_executor_wait_state(ex, PINRING_STATE_ACTIVE, 60 * SECOND));
	SAYS("failed, no command in flight: ");
	EXPECT_EQ(PINRING_OP_NONE, info_of(ex).error_operation);
	EXPECT_EQ(0, info_of(ex).error_id);
	EXPECT_EQ(PINRING_REASON_FAULT, info_of(ex).error_reason);
	EXPECT_EQ(0, pinring_executor_close(ex, 10 * SECOND));
}

struct waiter {
	struct pinring_executor *ex;
	uint64_t ticket;
	struct pinring_completion done;
	struct pinring_region *r;
	int rc;
};

static void *wait_for_it(void *arg)
{
	struct waiter *w = arg;

	w->rc = pinring_executor_wait(w->ex, w->ticket, 60 * SECOND, &w->done);
	return NULL;
}

static void hold_query(int how)
{
	__atomic_store_n(&gpu->hold_query, how, __ATOMIC_RELEASE);
}

/* It may be the very wish that lets the driver go on. */
TEST_F(cuda, a_driver_that_has_its_caller_wait_holds_up_no_wish)
{
	struct pinring_command c = nop();
	struct waiter w = { .rc = 1 };
	pthread_t thread;

	ASSERT_OK(pinring_executor_start(self->device, &self->config, &w.ex));
	ASSERT_OK(pinring_executor_pause(w.ex));
	ASSERT_OK(pinring_executor_wait_state(w.ex, PINRING_STATE_PAUSED, 20 * SECOND));
	kill_kernels();
	self->lost = true;
	ASSERT_OK(pinring_executor_submit(w.ex, &c, &w.ticket));
	hold_query(1);
	ASSERT_EQ(0, pthread_create(&thread, NULL, wait_for_it, &w));
	ASSERT_TRUE(COMES_TRUE(look().query_held == 1));
	ASSERT_OK(pinring_executor_activate(w.ex));
	ASSERT_OK(pinring_executor_terminate(w.ex));
	EXPECT_EQ(1, w.rc);
	/* What it says is older than that, but true yet when it is asked again. */
	hold_query(0);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(-EPIPE, w.rc);
	EXPECT_EQ(PINRING_STATE_FAILED, pinring_executor_state(w.ex));
	EXPECT_EQ(PINRING_REASON_FAULT, info_of(w.ex).error_reason);
	EXPECT_EQ(1, pinring_executor_close(w.ex, 10 * SECOND));
}

/* Nor does one of the GPU that somebody forwards to. */
TEST_F(cuda, who_looks_at_a_peers_gpu_holds_up_no_other_executor)
{
	struct pinring_executor *to, *third, *fourth;
	struct pinring_command c = nop();
	struct pinring_device_slot *slot;
	struct pinring_object_info o;
	struct waiter w = { .rc = 1 };
	pthread_t thread;

	ASSERT_OK(pinring_object_create(self->r, "slot", PINRING_OBJECT_BYTES, 64, 64, &o));
	slot = pinring_region_at(self->r, o.offset, o.length);
	pinring_pack_command(slot->word, &c);
	ASSERT_OK(pinring_executor_start(self->device, &self->config, &to));
	self->config.kind = PINRING_EXECUTOR_HOST;
	ASSERT_OK(pinring_executor_start(self->device, &self->config, &w.ex));
	ASSERT_OK(pinring_executor_start(self->device, &self->config, &third));
	ASSERT_OK(pinring_executor_start(self->device, &self->config, &fourth));
	ASSERT_EQ(0, pinring_executor_attach(w.ex, self->r));
	ASSERT_EQ(0, pinring_executor_connect(w.ex, to, 0));
	kill_kernels();
	self->lost = true;
	c.operation = PINRING_OP_FORWARD;
	c.count = 1;
	c.a.offset = o.offset;
	ASSERT_OK(pinring_executor_call(w.ex, &c, 20 * SECOND, &w.done));
	ASSERT_EQ(0, w.done.status);
	c.operation = PINRING_OP_JOIN;
	ASSERT_OK(pinring_executor_submit(w.ex, &c, &w.ticket));
	hold_query(1);
	ASSERT_EQ(0, pthread_create(&thread, NULL, wait_for_it, &w));
	ASSERT_TRUE(COMES_TRUE(look().query_held == 1));
	EXPECT_EQ(0, pinring_executor_connect(third, fourth, 0));
	EXPECT_EQ(0, pinring_executor_close(third, 10 * SECOND));
	EXPECT_EQ(0, pinring_executor_close(fourth, 10 * SECOND));
	EXPECT_EQ(1, w.rc);
	hold_query(0);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, w.rc);
	EXPECT_EQ(-EPIPE, w.done.status);
	EXPECT_EQ(PINRING_STATE_FAILED, pinring_executor_state(to));
	EXPECT_EQ(0, pinring_executor_close(w.ex, 10 * SECOND));
	pinring_executor_close(to, 10 * SECOND);
}

static void *close_it(void *arg)
{
	struct waiter *w = arg;

	w->rc = (int)pinring_executor_close(w->ex, 10 * SECOND);
	return NULL;
}

static void *attach_anew(void *arg)
{
	struct waiter *w = arg;

	w->rc = pinring_executor_attach(w->ex, w->r);
	return NULL;
}

/*
 * The driver may register pages, and let them go, only when all kernels have ended: so
 * it is asked while all stand still (while_running of the fake), and only if it must be.
 */
TEST_F(cuda, memory_comes_and_goes_while_no_loop_runs)
{
	struct pinring_executor *ex, *other;
	int launches;

	self->config.threads = 1;
	ASSERT_OK(pinring_executor_start(self->device, &self->config, &ex));
	launches = look().launches;
	/* Its own region, and its table. */
	ASSERT_OK(pinring_executor_start(self->device, &self->config, &other));
	EXPECT_EQ(launches + 3, look().launches);
	launches = look().launches;
	ASSERT_EQ(0, pinring_executor_attach(ex, self->r));
	EXPECT_EQ(launches + 2, look().launches);
	ASSERT_EQ(0, pinring_executor_attach(other, self->r));
	EXPECT_EQ(launches + 2, look().launches);
	EXPECT_EQ(0, add(ex, 0, self));
	EXPECT_EQ(0, add(other, 0, self));
	EXPECT_EQ(0, pinring_executor_close(other, 10 * SECOND));
	EXPECT_EQ(launches + 4, look().launches);
	EXPECT_EQ(0, add(ex, 0, self));
	EXPECT_EQ(0, pinring_executor_close(ex, 10 * SECOND));
	EXPECT_EQ(launches + 4, look().launches);
}

TEST_F(cuda, memory_that_goes_is_waited_for_by_who_maps_it)
{
	struct waiter closes = { .rc = -1 }, attaches = { .rc = -1, .r = self->r };
	pthread_t closer, attacher;

	self->config.threads = 1;
	ASSERT_OK(pinring_executor_start(self->device, &self->config, &closes.ex));
	ASSERT_OK(pinring_executor_start(self->device, &self->config, &attaches.ex));
	ASSERT_EQ(0, pinring_executor_attach(closes.ex, self->r));
	__atomic_store_n(&gpu->hold_unregister, 1, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_create(&closer, NULL, close_it, &closes));
	ASSERT_TRUE(COMES_TRUE(look().unregister_held == 1));
	ASSERT_EQ(0, pthread_create(&attacher, NULL, attach_anew, &attaches));
	usleep(1000);
	__atomic_store_n(&gpu->hold_unregister, 0, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_join(attacher, NULL));
	ASSERT_EQ(0, pthread_join(closer, NULL));
	EXPECT_EQ(0, closes.rc);
	EXPECT_EQ(0, attaches.rc);
	EXPECT_EQ(0, add(attaches.ex, 0, self));
	EXPECT_EQ(0, pinring_executor_close(attaches.ex, 10 * SECOND));
}

static int open_files(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Where the command ring of a new executor lies, through which so many and one went. */
static const char *ring_lies(FIXTURE_DATA(cuda) *self, int commands)
{
	static struct pinring_executor_info info;
	static uint32_t id;
	struct pinring_command nop = { .operation = PINRING_OP_NOP };
	struct pinring_completion done;
	struct pinring_executor *ex;
	int rc, i;

	info = PINRING_INIT(struct pinring_executor_info);
	rc = pinring_executor_start(self->device, &self->config, &ex);
	if (rc)
		return pinring_error();
	/* No number that an earlier ring left there. */
	for (i = 0; !rc && i < commands; i++) {
		nop.id = ++id;
		rc = pinring_executor_call(ex, &nop, 60 * SECOND, &done);
		if (!rc && done.id != nop.id)
			rc = -EBADMSG;
	}
	if (!rc)
		rc = pinring_executor_info(ex, &info);
	if (!rc && pinring_executor_attach(ex, self->r))
		rc = -EINVAL;
	if (!rc)
		rc = add(ex, 0, self);
	if (pinring_executor_close(ex, 10 * SECOND) || rc)
		return "nowhere: its commands are not answered";
	return info.commands;
}

TEST_F(cuda, the_command_ring_lies_in_gpu_memory)
{
	const char *through = "in GPU memory, mapped through its dma-buf";
	struct pinring_executor *ex;
	int files = open_files();

	gpu->dmabuf = 1;
	self->config.depth = 4;
	EXPECT_STREQ(through, ring_lies(self, 21));
	/*
	 * Another one keeps the memory. The first round of the next ring finds in it
	 * what the first round before it left.
	 */
	ASSERT_EQ(0, pinring_executor_create(self->device, &self->config, &ex));
	for (int i = 3; i < 12; i += 2) {
		EXPECT_STREQ(through, ring_lies(self, i));
	}
	self->config.depth = 2048;
	EXPECT_STREQ("in host memory: depth is more than 1024", ring_lies(self, 5));
	EXPECT_EQ(0, pinring_executor_close(ex, 0));
	EXPECT_EQ(files, open_files());
}

/* Where the GPU can be reached in other ways, and a CPU can map none of them. */
TEST_F(cuda, the_command_ring_in_gpu_memory_through_pcie_if_that_must_be_asked_for)
{
	const char *through = "in GPU memory, mapped through its dma-buf (PCIe)";
	int files = open_files();

	self->config.depth = 4;
	gpu->dmabuf = FAKE_DMABUF_PCIE;
	EXPECT_STREQ(through, ring_lies(self, 5));
	gpu->dmabuf = FAKE_DMABUF_PCIE_ONLY;
	EXPECT_STREQ(through, ring_lies(self, 5));
	EXPECT_EQ(files, open_files());
}

TEST_F(cuda, the_command_ring_falls_back_to_host_memory)
{
	/* Then it is libgdrapi's turn, which may be on this machine or not. */
	static const char none[] = "in host memory: the driver exports no dma-buf; ";
	static const char vain[] =
		"in host memory: its dma-buf cannot be mapped: No such device; ";
	int files = open_files();

	EXPECT_EQ(0, strncmp(ring_lies(self, 5), none, sizeof(none) - 1));
	gpu->dmabuf = FAKE_DMABUF_NO_MMAP;
	EXPECT_EQ(0, strncmp(ring_lies(self, 5), vain, sizeof(vain) - 1));
	fail("cuMemAlloc_v2", 2, CUDA_OUT_OF_MEMORY);
	EXPECT_STREQ("in host memory: the GPU has none left", ring_lies(self, 5));
	fail("", 0, 0);
	EXPECT_EQ(files, open_files());
}

TEST_F(cuda, the_command_ring_through_gdrcopy)
{
	static const char from[] = "in host memory: the driver exports no dma-buf; ";
	char path[4096] = "";
	fake_gdr_t *find;
	struct fake_gdr *gdr;
	void *library;

	snprintf(path, sizeof(path), "%s/gdr/libgdrapi.so.2", getenv("LD_LIBRARY_PATH"));
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	ASSERT_NE(NULL, library);
	find = (fake_gdr_t *)dlsym(library, "fake_gdr");
	ASSERT_TRUE(find != NULL);
	gdr = find();
	self->config.depth = 4;
	EXPECT_STREQ("in GPU memory, mapped through libgdrapi", ring_lies(self, 5));
	gdr->map_fails = 1;
	EXPECT_EQ(0, strncmp(ring_lies(self, 5), from, sizeof(from) - 1));
	EXPECT_NE(NULL, strstr(ring_lies(self, 5), "libgdrapi cannot map it: Resource"));
	gdr->pin_fails = 1;
	EXPECT_NE(NULL, strstr(ring_lies(self, 5), "libgdrapi cannot map it: Cannot"));
	gdr->no_driver = 1;
	EXPECT_NE(NULL, strstr(ring_lies(self, 5), "libgdrapi finds no /dev/gdrdrv"));
	EXPECT_EQ(0, gdr->open);
	EXPECT_EQ(0, gdr->pinned);
	EXPECT_EQ(0, gdr->mapped);
	EXPECT_EQ(0, gdr->misuse);
}

/* The limit on locked memory is blamed for what it may have done, and nothing else. */
TEST_F(cuda, memory_that_cannot_be_registered_is_told_from_the_limit)
{
	static const struct {
		int error, rc;
		bool limit;
	} cases[] = {
		{ CUDA_OUT_OF_MEMORY, -ENOMEM, true },
		{ CUDA_OPERATING_SYSTEM, -EIO, true },
		{ CUDA_NOT_PERMITTED, -EPERM, true },
		{ 1, -EIO, false },
		{ CUDA_NOT_SUPPORTED, -EOPNOTSUPP, false },
		{ 719, -EIO, false }, /* an earlier kernel died */
	};
	const unsigned long long size = pinring_region_size(self->r);
	struct rlimit before, limit;
	struct pinring_executor *ex;
	char says[96];

	ASSERT_OK(pinring_executor_create(self->device, &self->config, &ex));
	ASSERT_EQ(0, getrlimit(RLIMIT_MEMLOCK, &before));
	for (int small = 0; small < 2; small++) {
		limit = before;
		limit.rlim_cur = small ? 65536 : before.rlim_max;
		ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			const bool blamed = cases[i].limit && limit.rlim_cur < size;

			fail("cuMemHostRegister_v2", 1, cases[i].error);
			if (blamed) {
				EXPECT_EQ(-ENOMEM, pinring_executor_attach(ex, self->r));
				snprintf(says, sizeof(says), "pin %llu bytes", size);
				SAYS(says);
				snprintf(says, sizeof(says), "RLIMIT_MEMLOCK is %llu ",
					 (unsigned long long)limit.rlim_cur);
				SAYS(says);
			} else {
				EXPECT_EQ(cases[i].rc, pinring_executor_attach(ex, self->r));
				snprintf(says, sizeof(says),
					 "register %llu bytes with the GPU: FAKE_ERROR_%d ",
					 size, cases[i].error);
				SAYS(says);
				EXPECT_EQ(NULL, strstr(pinring_error(), "MEMLOCK"));
			}
		}
	}
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &before));
	EXPECT_EQ(0, pinring_executor_attach(ex, self->r));
	EXPECT_EQ(0, pinring_executor_close(ex, 0));
}

/* Nobody waits for ever for a GPU that another kernel fills. */
TEST_F(cuda, a_busy_gpu_is_given_up)
{
	struct pinring_executor *ex;

	gpu->busy = 1;
	self->lost = true;
	EXPECT_EQ(-ETIMEDOUT, pinring_executor_start(self->device, &self->config, &ex));
	EXPECT_NE(NULL, strstr(pinring_error(), "did not start any of the kernel's 2 blocks")) {
		TH_LOG("%s", pinring_error());
	}
	EXPECT_EQ(2, look().registered);
}

/* A job would wait for ever for the block that does not come. */
TEST_F(cuda, a_grid_that_starts_in_part_is_taken_back)
{
	struct pinring_executor *ex;

	gpu->partly = 1;
	EXPECT_EQ(-ETIMEDOUT, pinring_executor_start(self->device, &self->config, &ex));
	EXPECT_NE(NULL, strstr(pinring_error(), "did not start all of the kernel's 2 blocks")) {
		TH_LOG("%s", pinring_error());
	}
	gpu->partly = 0;
	/* Those that had come have gone. */
	EXPECT_EQ(0, look().contexts);
	EXPECT_EQ(0, whole_life(self, 0));
}

/* The fourth would wait until one of the others ends. */
TEST_F(cuda, no_more_blocks_than_there_is_room_for)
{
	struct pinring_executor *ex[4];

	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, pinring_executor_start(self->device, &self->config, &ex[i]));
	}
	self->config.threads = 1;
	EXPECT_EQ(-EBUSY, pinring_executor_start(self->device, &self->config, &ex[3]));
	EXPECT_NE(NULL, strstr(pinring_error(), "has room for 0 more blocks, not for 1")) {
		TH_LOG("%s", pinring_error());
	}
	self->config.gpu = 1;
	EXPECT_EQ(0, whole_life(self, 1));
	self->config.gpu = 0;
	EXPECT_EQ(0, pinring_executor_close(ex[1], 10 * SECOND));
	EXPECT_EQ(0, whole_life(self, 0));
	EXPECT_EQ(0, pinring_executor_close(ex[0], 10 * SECOND));
	EXPECT_EQ(0, pinring_executor_close(ex[2], 10 * SECOND));
}

TEST_F(cuda, another_process_has_the_gpu_alone)
{
	struct pinring_executor *ex;

	ASSERT_EQ(0, whole_life(self, 0));
	fail("cuDevicePrimaryCtxRetain", 1, CUDA_DEVICE_UNAVAILABLE);
	EXPECT_EQ(-EBUSY, pinring_executor_create(self->device, &self->config, &ex));
	EXPECT_NE(NULL, strstr(pinring_error(), "EXCLUSIVE_PROCESS")) {
		TH_LOG("%s", pinring_error());
	}
	fail("cuDevicePrimaryCtxRetain", 1, CUDA_MPS_MAX_CLIENTS);
	EXPECT_EQ(-EBUSY, pinring_executor_create(self->device, &self->config, &ex));
	fail("", 0, 0);
}

TEST_F(cuda, a_child_of_fork_is_refused)
{
	struct pinring_executor *ex;
	int status = 0;
	pid_t child;

	ASSERT_EQ(0, pinring_executor_start(self->device, &self->config, &ex));
	child = fork();
	if (!child) {
		struct pinring_executor *own;
		int rc = pinring_executor_create(self->device, &self->config, &own);

		_exit(rc == -EOPNOTSUPP && strstr(pinring_error(), "forked") ? 0 : 1);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	ASSERT_EQ(0, pinring_executor_attach(ex, self->r));
	EXPECT_EQ(0, add(ex, 0, self));
	EXPECT_EQ(0, pinring_executor_close(ex, 10 * SECOND));
}

TEST_HARNESS_MAIN
