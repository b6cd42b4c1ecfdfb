// SPDX-License-Identifier: MIT
/*
 * Users' kernels in a CUDA loop that runs already, on the fake driver of
 * selftests/cuda: what the loop is linked with is compiled from the user's source,
 * and whatever a persistent kernel may block is counted.
 */
#define _GNU_SOURCE
#include <kselftest_harness.h>

#include <sys/mman.h>
#include <sys/wait.h>

#include "../gpu/cuda_driver.h"
#include "cuda/two_loops.h"

static const char other_kernels[][160] = {
	INCLUDE "PINRING_KERNEL(k0) { PINRING_EACH(i, args->count) dst[i] = a[i] + 1; }\n",
	INCLUDE "PINRING_KERNEL(k1) { PINRING_EACH(i, args->count) dst[i] = a[i] + 2; }\n",
	INCLUDE "PINRING_KERNEL(k2) { PINRING_EACH(i, args->count) dst[i] = a[i] + 3; }\n",
};

TEST_F(relink, the_example_becomes_an_operation_and_goes)
{
	struct pinring_kernel_config c = PINRING_INIT(struct pinring_kernel_config);
	uint32_t operation[4];

	c.name = "blend";
	c.path = "examples/blend.cu";
	ASSERT_OK(pinring_executor_register(self->ex, &c, &operation[3]));
	ASSERT_OK(BLENDS(self->ex, operation[3]));
	for (int i = 0; i < 3; i++) {
		char name[] = { 'k', (char)('0' + i), 0 };

		ASSERT_OK(add_text(self->ex, name, other_kernels[i], &operation[i]));
	}
	for (int i = 0; i < 3; i++) {
		ASSERT_OK(runs(self, self->ex, operation[i], 1, (float)i + 1));
	}
	ASSERT_OK(BLENDS(self->ex, operation[3]));
	ASSERT_OK(ADDS(self->ex));
	/* Of the other executor they are no operations. */
	EXPECT_EQ(-EINVAL, BLENDS(self->other, operation[3]));
	ASSERT_OK(pinring_executor_unregister(self->ex, operation[3], SECOND));
	EXPECT_EQ(-EINVAL, BLENDS(self->ex, operation[3]));
	ASSERT_OK(runs(self, self->ex, operation[1], 1, 2));
	/* Another one of that name, now that the name is free. */
	ASSERT_OK(add_text(self->ex, "blend", INCLUDE
		"PINRING_KERNEL(blend) { PINRING_EACH(i, args->count) dst[i] = 5 * a[i]; }\n",
		&operation[3]));
	ASSERT_OK(runs(self, self->ex, operation[3], 5, 0));
	ASSERT_OK(runs(self, self->ex, operation[2], 1, 3));
	/* The loop alone, the one that runs, and the last one that did. */
	EXPECT_EQ(3, look().modules);
}

TEST_F(relink, what_is_refused_changes_nothing)
{
	uint32_t first, operation;
	int launches;

	ASSERT_OK(add_text(self->ex, "blend", blend, &first));
	launches = look().launches;
	EXPECT_EQ(-ENOEXEC, add_text(self->ex, "k", INCLUDE
		"PINRING_KERNEL(k) { dst[0] = oops; }\n", &operation));
	SAYS("oops");
	EXPECT_EQ(-ENOEXEC, add_text(self->ex, "k", INCLUDE
		"extern \"C\" float nowhere(void);\n"
		"PINRING_KERNEL(k) { dst[0] = nowhere(); }\n", &operation));
	SAYS("nowhere");
	EXPECT_EQ(-ENOEXEC, add_text(self->ex, "blend", other_kernels[0], &operation));
	EXPECT_EQ(-ENOEXEC, add_text(self->ex, "k", INCLUDE
		"#undef PINRING_KERNEL_ABI\n#define PINRING_KERNEL_ABI 4711\n"
		"PINRING_KERNEL(k) { dst[0] = 1; }\n", &operation));
	SAYS("ABI 4711");
	EXPECT_EQ(-ENOEXEC, add_text(self->ex, "blend", INCLUDE
		"PINRING_KERNEL(blend) { dst[0] = 1; }\n", &operation));
	SAYS("unregister that first");
	/* Nobody had to pause for any of that. */
	EXPECT_EQ(launches, look().launches);
	ASSERT_OK(BLENDS(self->ex, first));
	ASSERT_OK(ADDS(self->other));
}

TEST_F_TIMEOUT(relink, nothing_is_lost_and_nothing_runs_twice, 120)
{
	struct flow f[2] = { { .self = self, .ex = self->ex },
			     { .self = self, .ex = self->other } };
	uint32_t operation;
	pthread_t threads[2];

	begin_flows(_metadata, self, f, threads);
	for (int round = 0; round < 12; round++) {
		ASSERT_OK(add_text(self->ex, "k0", other_kernels[0], &operation));
		ASSERT_OK(pinring_executor_unregister(self->ex, operation, 10 * SECOND));
		usleep(2000);
	}
	end_flows(_metadata, self, f, threads);
	EXPECT_EQ(f[0].sent, info_of(self->ex).submitted);
}

TEST_F(relink, in_any_state)
{
	struct pinring_completion done;
	struct pinring_executor *ex;
	struct pinring_command c;
	uint32_t operation[3];
	uint64_t ticket;

	ASSERT_OK(pinring_executor_create(self->device, &self->config, &ex));
	ASSERT_EQ(0, pinring_executor_attach(ex, self->r));
	ASSERT_OK(add_text(ex, "k0", other_kernels[0], &operation[0]));
	ASSERT_OK(pinring_executor_launch(ex));
	/* Not active: what is queued waits. */
	c = whole(self, operation[0]);
	ASSERT_OK(pinring_executor_submit(ex, &c, &ticket));
	ASSERT_OK(add_text(ex, "k1", other_kernels[1], &operation[1]));
	EXPECT_EQ(PINRING_STATE_LAUNCHED, pinring_executor_state(ex));
	EXPECT_EQ(-EAGAIN, pinring_executor_poll(ex, ticket, &done));
	ASSERT_OK(pinring_executor_activate(ex));
	ASSERT_OK(pinring_executor_wait(ex, ticket, 60 * SECOND, &done));
	EXPECT_EQ(0, done.status);
	ASSERT_OK(pinring_executor_pause(ex));
	ASSERT_OK(pinring_executor_wait_state(ex, PINRING_STATE_PAUSED, 20 * SECOND));
	ASSERT_OK(pinring_executor_submit(ex, &c, &ticket));
	ASSERT_OK(add_text(ex, "k2", other_kernels[2], &operation[2]));
	EXPECT_EQ(PINRING_STATE_PAUSED, pinring_executor_state(ex));
	EXPECT_EQ(-EAGAIN, pinring_executor_poll(ex, ticket, &done));
	ASSERT_OK(pinring_executor_activate(ex));
	ASSERT_OK(pinring_executor_wait(ex, ticket, 60 * SECOND, &done));
	for (int i = 0; i < 3; i++) {
		ASSERT_OK(runs(self, ex, operation[i], 1, (float)i + 1));
	}
	ASSERT_OK(pinring_executor_terminate(ex));
	ASSERT_OK(pinring_executor_wait_state(ex, PINRING_STATE_TERMINATED, 20 * SECOND));
	EXPECT_EQ(-EPIPE, add_text(ex, "blend", blend, &operation[0]));
	/* One that has ended is nobody's to pause for. */
	ASSERT_OK(add_text(self->ex, "blend", blend, &operation[0]));
	EXPECT_EQ(PINRING_STATE_TERMINATED, pinring_executor_state(ex));
	EXPECT_EQ(0, pinring_executor_close(ex, SECOND));
	ASSERT_OK(BLENDS(self->ex, operation[0]));
}

/* The loop of a bounded one is active by itself. */
TEST_F(relink, with_a_bound)
{
	struct pinring_command c = whole(self, PINRING_OP_ADD);
	struct pinring_completion done;
	struct pinring_executor *ex;
	uint32_t operation;
	uint64_t ticket[3];

	self->config.commands_max = 3;
	ASSERT_OK(pinring_executor_create(self->device, &self->config, &ex));
	ASSERT_EQ(0, pinring_executor_attach(ex, self->r));
	ASSERT_OK(pinring_executor_launch(ex));
	ASSERT_OK(pinring_executor_submit(ex, &c, &ticket[0]));
	ASSERT_OK(add_text(ex, "blend", blend, &operation));
	c.operation = (uint16_t)operation;
	for (int i = 1; i < 3; i++) {
		ASSERT_OK(pinring_executor_submit(ex, &c, &ticket[i]));
	}
	for (int i = 0; i < 3; i++) {
		ASSERT_OK(pinring_executor_wait(ex, ticket[i], 60 * SECOND, &done));
		EXPECT_EQ(0, done.status);
	}
	ASSERT_OK(pinring_executor_wait_state(ex, PINRING_STATE_TERMINATED, 20 * SECOND));
	EXPECT_EQ(0, pinring_executor_close(ex, SECOND));
}

static void *change_states(void *arg)
{
	struct flow *f = arg;

	while (!__atomic_load_n(&f->stop, __ATOMIC_RELAXED)) {
		f->wrong += pinring_executor_pause(f->ex) != 0;
		f->wrong += pinring_executor_wait_state(f->ex, PINRING_STATE_PAUSED,
							20 * SECOND) != 0;
		f->wrong += pinring_executor_activate(f->ex) != 0;
		f->wrong += pinring_executor_wait_state(f->ex, PINRING_STATE_ACTIVE,
							20 * SECOND) != 0;
	}
	f->wrong += pinring_executor_drain(f->ex) != 0;
	return NULL;
}

TEST_F_TIMEOUT(relink, wishes_count_that_come_in_the_meantime, 120)
{
	struct flow f = { .self = self, .ex = self->other };
	uint32_t operation;
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, change_states, &f));
	for (int round = 0; round < 12; round++) {
		ASSERT_OK(add_text(self->ex, "k0", other_kernels[0], &operation));
		ASSERT_OK(pinring_executor_unregister(self->ex, operation, 10 * SECOND));
		if (round == 9)
			__atomic_store_n(&f.stop, 1, __ATOMIC_RELAXED);
	}
	pthread_join(thread, NULL);
	EXPECT_EQ(0, f.wrong);
	EXPECT_EQ(0, pinring_executor_wait_state(self->other, PINRING_STATE_TERMINATED,
						 20 * SECOND));
	ASSERT_OK(ADDS(self->ex));
}

struct waiter {
	struct pinring_executor *ex;
	uint64_t ticket;
	struct pinring_completion done;
	uint32_t operation;
	int rc;
};

static void *wait_for_it(void *arg)
{
	struct waiter *w = arg;

	w->rc = pinring_executor_wait(w->ex, w->ticket, 60 * SECOND, &w->done);
	return NULL;
}

static void *add_k0(void *arg)
{
	struct waiter *w = arg;

	w->rc = add_text(w->ex, "k0", other_kernels[0], &w->operation);
	return NULL;
}

static void set(int *gate, int value)
{
	__atomic_store_n(gate, value, __ATOMIC_RELEASE);
}

/*
 * Of a loop that left, the driver says that it has ended; it may be back before that
 * was heard.
 */
TEST_F_TIMEOUT(relink, what_the_driver_said_of_the_loop_before_this_one_is_old, 120)
{
	struct waiter waits = { .ex = self->ex, .rc = 1 }, adds = { .ex = self->ex };
	struct pinring_command c;
	pthread_t waiter, adder;
	uint32_t operation;

	ASSERT_OK(add_text(self->ex, "until", INCLUDE
		"PINRING_KERNEL(until)\n"
		"{ while (!__atomic_load_n((int *)dst, __ATOMIC_ACQUIRE)) ; }\n", &operation));
	c = whole(self, operation);
	self->at_dst[0] = 0;
	set(&gpu->hold_query, 1);
	ASSERT_OK(pinring_executor_submit(self->ex, &c, &waits.ticket));
	/* It stands still, and who waits asks the driver; but is slow. */
	ASSERT_EQ(0, pthread_create(&waiter, NULL, wait_for_it, &waits));
	ASSERT_TRUE(COMES_TRUE(look().query_held == 1));
	set(&gpu->hold_load, 1);
	ASSERT_EQ(0, pthread_create(&adder, NULL, add_k0, &adds));
	set((int *)(void *)self->at_dst, 1);
	/* It is compiled before. */
	ASSERT_TRUE(COMES_TRUE(look().load_held == 1) || COMES_TRUE(look().load_held == 1));
	/* Gone: the driver says so, ... */
	set(&gpu->hold_query, 2);
	ASSERT_TRUE(COMES_TRUE(look().query_held == 2));
	set(&gpu->hold_load, 0);
	ASSERT_EQ(0, pthread_join(adder, NULL));
	ASSERT_EQ(0, adds.rc);
	/* ... of one that is back now. */
	set(&gpu->hold_query, 0);
	ASSERT_EQ(0, pthread_join(waiter, NULL));
	EXPECT_EQ(0, waits.rc);
	EXPECT_EQ(0, waits.done.status);
	EXPECT_EQ(PINRING_STATE_ACTIVE, pinring_executor_state(self->ex));
	ASSERT_OK(runs(self, self->ex, adds.operation, 1, 1));
	ASSERT_OK(ADDS(self->other));
}

/* ---------------------------------------------------- who waits at a link leaves */
#define PROGRAM 64u

/* cell[n + 1] = cell[n] + cell[COUNT - 1], which is 1, in dst; the program lies in a. */
static void write_chain(FIXTURE_DATA(relink) *self)
{
	struct pinring_device_slot *slots = (void *)self->at_a;

	memset(self->at_dst, 0, COUNT * sizeof(float));
	self->at_dst[COUNT - 1] = 1;
	for (uint32_t n = 0; n < PROGRAM; n++) {
		struct pinring_command c = {
			.id = n, .operation = PINRING_OP_ADD, .count = 1,
			.a = { self->dst.offset + n * sizeof(float), 0 },
			.b = { self->dst.offset + (COUNT - 1) * sizeof(float), 0 },
			.dst = { self->dst.offset + (n + 1) * sizeof(float), 0 },
		};

		pinring_pack_command(slots[n].word, &c);
	}
}

static bool chain_holds(const FIXTURE_DATA(relink) *self)
{
	for (uint32_t n = 0; n <= PROGRAM; n++) {
		if (self->at_dst[n] != (float)n)
			return false;
	}
	return true;
}

static int submit_link(FIXTURE_DATA(relink) *self, struct pinring_executor *ex,
		       uint16_t operation, uint64_t count, uint64_t *ticket)
{
	struct pinring_command c = {
		.id = 9, .operation = operation, .count = count,
		.a = { self->a.offset, 0 },
	};

	return pinring_executor_submit(ex, &c, ticket);
}

/* In a command: it beats, and no more is answered. */
static bool is_waiting(struct pinring_executor *ex)
{
	uint64_t heartbeat = info_of(ex).heartbeat;

	return COMES_TRUE(info_of(ex).submitted > info_of(ex).telemetry.processed) &&
	       COMES_TRUE(info_of(ex).heartbeat > heartbeat + 3);
}

/*
 * It would wait for one that has left already: neither would ever be back. What it has
 * sent by then is not sent again.
 */
TEST_F_TIMEOUT(relink, one_that_waits_in_a_forward_leaves_too, 120)
{
	struct pinring_completion done;
	uint32_t operation[2];
	uint64_t ticket;

	ASSERT_EQ(0, pinring_executor_connect(self->other, self->ex, 4));
	ASSERT_OK(pinring_executor_pause(self->ex));
	ASSERT_OK(pinring_executor_wait_state(self->ex, PINRING_STATE_PAUSED, 20 * SECOND));
	write_chain(self);
	ASSERT_OK(submit_link(self, self->other, PINRING_OP_FORWARD, PROGRAM, &ticket));
	ASSERT_TRUE(is_waiting(self->other));
	/* On the peer, and on itself. */
	ASSERT_OK(add_text(self->ex, "k0", other_kernels[0], &operation[0]));
	ASSERT_OK(add_text(self->other, "k1", other_kernels[1], &operation[1]));
	EXPECT_EQ(-EAGAIN, pinring_executor_poll(self->other, ticket, &done));
	ASSERT_OK(pinring_executor_activate(self->ex));
	ASSERT_OK(pinring_executor_wait(self->other, ticket, 60 * SECOND, &done));
	EXPECT_EQ(0, done.status);
	EXPECT_EQ(PROGRAM, done.done);
	ASSERT_OK(submit_link(self, self->other, PINRING_OP_JOIN, 0, &ticket));
	ASSERT_OK(pinring_executor_wait(self->other, ticket, 60 * SECOND, &done));
	EXPECT_EQ(0, done.status);
	EXPECT_EQ(PROGRAM, done.done);
	EXPECT_TRUE(chain_holds(self));
	EXPECT_TRUE(COMES_TRUE(info_of(self->ex).telemetry.processed == PROGRAM));
	for (int i = 0; i < COUNT; i++) {
		self->at_a[i] = (float)(i % 1000);
	}
	ASSERT_OK(runs(self, self->ex, operation[0], 1, 1));
	ASSERT_OK(runs(self, self->other, operation[1], 1, 2));
}

TEST_F_TIMEOUT(relink, one_that_waits_in_a_join_leaves_too, 120)
{
	struct pinring_completion done;
	uint32_t operation;
	uint64_t ticket;

	ASSERT_EQ(0, pinring_executor_connect(self->other, self->ex, 64));
	ASSERT_OK(pinring_executor_pause(self->ex));
	ASSERT_OK(pinring_executor_wait_state(self->ex, PINRING_STATE_PAUSED, 20 * SECOND));
	write_chain(self);
	ASSERT_OK(submit_link(self, self->other, PINRING_OP_FORWARD, PROGRAM, NULL));
	ASSERT_OK(submit_link(self, self->other, PINRING_OP_JOIN, 0, &ticket));
	ASSERT_TRUE(COMES_TRUE(info_of(self->other).telemetry.processed == 1));
	ASSERT_TRUE(is_waiting(self->other));
	ASSERT_OK(add_text(self->ex, "k0", other_kernels[0], &operation));
	ASSERT_OK(pinring_executor_activate(self->ex));
	ASSERT_OK(pinring_executor_wait(self->other, ticket, 60 * SECOND, &done));
	EXPECT_EQ(0, done.status);
	EXPECT_EQ(PROGRAM, done.done);
	EXPECT_TRUE(chain_holds(self));
}

/* Executors on another GPU are in another context, and go on as they are. */
TEST_F(relink, those_on_the_same_gpu_pause_too)
{
	struct pinring_executor *far;
	uint32_t operation;
	int launches;

	self->config.gpu = 1;
	ASSERT_OK(pinring_executor_start(self->device, &self->config, &far));
	ASSERT_EQ(0, pinring_executor_attach(far, self->r));
	launches = look().launches;
	ASSERT_OK(add_text(self->ex, "blend", blend, &operation));
	EXPECT_EQ(launches + 2, look().launches);
	ASSERT_OK(add_text(far, "blend", blend, &operation));
	EXPECT_EQ(launches + 3, look().launches);
	ASSERT_OK(BLENDS(far, operation));
	ASSERT_OK(ADDS(self->other));
	EXPECT_EQ(0, pinring_executor_close(far, 10 * SECOND));
}

static int wait_for_gate(void *context, struct pinring_request *request)
{
	(void)request;
	while (!__atomic_load_n((int *)context, __ATOMIC_ACQUIRE))
		usleep(1000);
	return 0;
}

TEST_F_TIMEOUT(relink, a_command_that_does_not_end_is_waited_for_so_long_only, 120)
{
	struct pinring_command c = { .id = 3, .operation = PINRING_OP_ASK,
				     .dst = { 0, PINRING_REGION_NONE } };
	struct pinring_completion done;
	uint32_t operation;
	uint64_t ticket;
	int gate = 0;

	ASSERT_OK(pinring_executor_offer(self->other, 0, wait_for_gate, &gate));
	ASSERT_OK(pinring_executor_submit(self->other, &c, &ticket));
	ASSERT_TRUE(COMES_TRUE(info_of(self->other).submitted == 1));
	EXPECT_EQ(-EBUSY, add_text(self->ex, "blend", blend, &operation));
	SAYS("did not end within 10 s");
	/* This one is back, and that one was never away. */
	ASSERT_OK(ADDS(self->ex));
	EXPECT_EQ(-EAGAIN, pinring_executor_poll(self->other, ticket, &done));
	__atomic_store_n(&gate, 1, __ATOMIC_RELEASE);
	ASSERT_OK(pinring_executor_wait(self->other, ticket, 20 * SECOND, &done));
	EXPECT_EQ(0, done.status);
	ASSERT_OK(ADDS(self->other));
	ASSERT_OK(add_text(self->ex, "blend", blend, &operation));
	ASSERT_OK(BLENDS(self->ex, operation));
}

/* At an address that is mapped anew a GPU would go on finding them. */
TEST_F(relink, pages_that_the_driver_does_not_take_back_stay)
{
	struct pinring_region_config rc = pinring_region_defaults(1 << 20);
	struct pinring_executor *ex;
	struct pinring_region *r;
	void *at;

	self->lost = true; /* its registration */
	ASSERT_OK(pinring_region_create(self->device, &rc, &r));
	at = pinring_region_at(r, 4096, 4096);
	ASSERT_OK(pinring_executor_start(self->device, &self->config, &ex));
	ASSERT_EQ(0, pinring_executor_attach(ex, r));
	fail("cuMemHostUnregister", 1, 999);
	EXPECT_EQ(0, pinring_executor_close(ex, 10 * SECOND));
	EXPECT_EQ(0, look().planned);
	pinring_region_close(r);
	EXPECT_EQ(0, msync(at, 4096, MS_ASYNC));
	ASSERT_OK(ADDS(self->ex));
}

/* Behind a kernel that hangs nothing is registered; what was so stays, and mapped. */
TEST_F_TIMEOUT(relink, pages_that_cannot_be_given_back_stay, 120)
{
	struct pinring_region_config rc = pinring_region_defaults(1 << 20);
	struct pinring_executor *slow, *none;
	struct pinring_completion done;
	struct pinring_region *kept[2], *late;
	struct pinring_command c;
	uint32_t operation;
	uint64_t ticket;
	int registered;
	void *at;

	self->lost = true; /* three of them for ever: the executor's own, and kept[0] */
	ASSERT_OK(pinring_region_create(self->device, &rc, &late));
	for (int i = 0; i < 2; i++) {
		ASSERT_OK(pinring_region_create(self->device, &rc, &kept[i]));
		ASSERT_EQ(1 + i, pinring_executor_attach(self->ex, kept[i]));
	}
	self->config.watchdog_ms = 1000;
	ASSERT_OK(start_lasting(self, &slow, &operation));
	registered = look().registered;
	c = whole(self, operation);
	c.count = 1;
	ASSERT_OK(pinring_executor_submit(slow, &c, &ticket));
	EXPECT_EQ(-EPIPE, pinring_executor_wait(slow, ticket, 20 * SECOND, &done));
	EXPECT_EQ(-EBUSY, pinring_executor_attach(self->other, late));
	SAYS("a command of executor 2 ");
	SAYS("hangs");
	EXPECT_EQ(-EBUSY, pinring_executor_start(self->device, &self->config, &none));
	ASSERT_OK(ADDS(self->other));
	EXPECT_EQ(0, pinring_executor_close(self->ex, 10 * SECOND));
	self->ex = NULL;
	EXPECT_EQ(registered, look().registered);
	at = pinring_region_at(kept[0], 4096, 4096);
	pinring_region_close(kept[0]);
	EXPECT_EQ(0, msync(at, 4096, MS_ASYNC));
	/* It comes back after all. */
	set_gate(self, 0);
	EXPECT_TRUE(COMES_TRUE(pinring_executor_attach(self->other, late) == 1));
	EXPECT_EQ(registered + 1, look().registered);
	EXPECT_EQ(2, pinring_executor_attach(self->other, kept[1]));
	EXPECT_EQ(registered + 1, look().registered);
	pinring_region_close(kept[1]);
	pinring_region_close(late);
	pinring_executor_close(slow, SECOND);
	set_gate(self, 1);
	ASSERT_OK(ADDS(self->other));
	pinring_executor_close(self->other, 10 * SECOND);
	self->other = NULL;
	EXPECT_EQ(3, look().registered);
}

/* With the new code it cannot be launched: it goes on with the old. */
TEST_F_TIMEOUT(relink, a_launch_that_fails, 120)
{
	struct pinring_command c = whole(self, PINRING_OP_ADD);
	uint32_t first, operation;

	ASSERT_OK(add_text(self->ex, "blend", blend, &first));
	gpu->refuse_launches = 1;
	EXPECT_EQ(-EOPNOTSUPP, add_text(self->ex, "k0", other_kernels[0], &operation));
	SAYS("launch the persistent kernel");
	ASSERT_OK(BLENDS(self->ex, first));
	ASSERT_OK(ADDS(self->other));
	ASSERT_OK(add_text(self->ex, "k0", other_kernels[0], &operation));
	/* Not even with the old. */
	gpu->refuse_launches = 2;
	EXPECT_EQ(-EOPNOTSUPP, add_text(self->ex, "k1", other_kernels[1], &operation));
	EXPECT_EQ(PINRING_STATE_FAILED, pinring_executor_state(self->ex));
	EXPECT_EQ(-EPIPE, pinring_executor_submit(self->ex, &c, NULL));
	SAYS("could not be launched again");
	ASSERT_OK(ADDS(self->other));
	EXPECT_EQ(-EPIPE, add_text(self->ex, "k2", other_kernels[2], &operation));
	ASSERT_OK(add_text(self->other, "blend", blend, &operation));
	ASSERT_OK(BLENDS(self->other, operation));
}

TEST_F(relink, what_leaves_no_room_for_the_others_is_refused)
{
	uint32_t operation;

	gpu->linked_registers = 1000; /* 64 threads, of 65536 an SM */
	EXPECT_EQ(-EBUSY, add_text(self->ex, "blend", blend, &operation));
	SAYS("1000 registers");
	ASSERT_OK(ADDS(self->ex));
	EXPECT_EQ(0, pinring_executor_close(self->other, 10 * SECOND));
	self->other = NULL;
	ASSERT_OK(add_text(self->ex, "blend", blend, &operation));
	ASSERT_OK(BLENDS(self->ex, operation));
}

/* A first launch with stacks: the driver may want memory for them. */
TEST_F(relink, memory_for_stacks_is_taken_while_nothing_runs)
{
	struct pinring_executor *ex;
	uint32_t operation;

	gpu->linked_local = 512;
	ASSERT_OK(pinring_executor_create(self->device, &self->config, &ex));
	ASSERT_EQ(0, pinring_executor_attach(ex, self->r));
	ASSERT_OK(add_text(ex, "blend", blend, &operation));
	ASSERT_OK(pinring_executor_launch(ex));
	ASSERT_OK(pinring_executor_activate(ex));
	ASSERT_OK(BLENDS(ex, operation));
	ASSERT_OK(ADDS(self->other));
	EXPECT_EQ(0, look().while_running);
	EXPECT_EQ(0, pinring_executor_close(ex, 10 * SECOND));
}

TEST_F(relink, a_child_of_fork_is_refused)
{
	int status = 0;
	pid_t child;

	child = fork();
	if (!child) {
		uint32_t operation;
		int rc = add_text(self->ex, "blend", blend, &operation);

		_exit(rc == -EOPNOTSUPP && strstr(pinring_error(), "forked") ? 0 : 1);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
}

/* Each call to the driver fails once: it is said, and both go on; or it has failed. */
TEST_F_TIMEOUT(relink, every_call_fails_once, 200)
{
	static const char *const symbols[] = {
#define NAME(member, symbol, parameters) #symbol,
		PINRING_CUDA_FUNCTIONS(NAME) PINRING_CUDA_NEWER(NAME)
	};
	uint32_t first, operation;
	int failed = 0, dead = 0;

	self->lost = true; /* modules that could not be unloaded */
	ASSERT_OK(add_text(self->ex, "blend", blend, &first));
	for (size_t i = 0; i < ARRAY_SIZE(symbols); i++) {
		/* An end, not an error. */
		if (!strcmp(symbols[i], "cuCtxPopCurrent_v2"))
			continue;
		for (int nth = 1; nth < 12; nth++) {
			enum pinring_state state;
			bool came;
			int rc;

			fail(symbols[i], nth, 999);
			rc = add_text(self->ex, "k0", other_kernels[0], &operation);
			came = !look().planned;
			fail("", 0, 0);
			state = pinring_executor_state(self->ex);
			if (rc) {
				failed++;
				EXPECT_NE(NULL, strstr(pinring_error(), "FAKE_ERROR_999")) {
					TH_LOG("%s %d: %d %s", symbols[i], nth, rc,
					       pinring_error());
				}
			} else {
				ASSERT_OK(runs(self, self->ex, operation, 1, 1));
				ASSERT_OK(pinring_executor_unregister(self->ex, operation,
								      SECOND));
			}
			if (state == PINRING_STATE_FAILED ||
			    pinring_executor_state(self->other) == PINRING_STATE_FAILED) {
				/* Of these the driver says that they are dead. */
				EXPECT_STREQ("cuStreamQuery", symbols[i]);
				dead++;
				break;
			}
			EXPECT_EQ(PINRING_STATE_ACTIVE, state);
			ASSERT_OK(BLENDS(self->ex, first));
			ASSERT_OK(ADDS(self->other));
			if (!came)
				break;
		}
		if (dead)
			break;
	}
	EXPECT_LT(6, failed);
	EXPECT_EQ(1, dead);
	EXPECT_EQ(0, look().while_running);
	EXPECT_EQ(0, look().misuse);
}

TEST_HARNESS_MAIN
