// SPDX-License-Identifier: MIT
/*
 * Users' kernels in a CUDA loop that goes on running (PINRING_REGISTER_HOT), on the
 * fake driver of selftests/cuda: the loop calls what a module of its own holds, whose
 * sources say what nvcc would say of them.
 */
#define _GNU_SOURCE
#include <kselftest_harness.h>

#include <sys/wait.h>

#include "../gpu/cuda_driver.h"
#include "cuda/two_loops.h"

#define PLUS(name, n) INCLUDE \
	"PINRING_KERNEL(" name ") { PINRING_EACH(i, args->count) dst[i] = a[i] + " n "; }\n"

/* A record or a section of the image, beside those of every kernel: 40 registers. */
#define SAYS_NVCC(section, words) \
	"__asm__(\".pushsection " section ",\\\"\\\",@progbits; " words "; .popsection\");\n"
#define REGISTERS(n) SAYS_NVCC(".nv.info", ".byte 4, 0x2f; .short 8; .long 0, " n)
#define STACK(n) SAYS_NVCC(".nv.info", ".byte 4, 0x12; .short 8; .long 0, " n)

static int add_hot(struct pinring_executor *ex, const char *name, const char *text,
		   uint32_t *operation)
{
	return add_flagged(ex, name, text, PINRING_REGISTER_HOT, operation);
}

/* The machine may be so busy that a load seems to wait for the loops. */
static bool comes_without_a_pause(struct pinring_executor *ex, const char *name,
				  const char *text, uint32_t *operation)
{
	for (int i = 0; i < 5; i++) {
		int launches = look().launches;

		if (add_hot(ex, name, text, operation))
			return false;
		if (look().launches == launches)
			return true;
		pinring_executor_unregister(ex, *operation, 10 * SECOND);
	}
	return false;
}

/* Each element comes from another lane, most of them from another block's. */
static const char turn[] = INCLUDE
	"PINRING_KERNEL(turn)\n"
	"{\n"
	"	float *x = (float *)b;\n"
	"	PINRING_EACH(i, args->count)\n"
	"		dst[i] = a[i] + 1;\n"
	"	for (int pass = 0; pass < 5; pass++) {\n"
	"		PINRING_BARRIER();\n"
	"		PINRING_EACH(i, args->count)\n"
	"			x[i] = dst[args->count - 1 - i];\n"
	"		PINRING_BARRIER();\n"
	"		PINRING_EACH(i, args->count)\n"
	"			dst[i] = x[args->count - 1 - i] + 1;\n"
	"	}\n"
	"	PINRING_BARRIER();\n"
	"	PINRING_EACH(i, args->count)\n"
	"		x[i] = 1;\n"
	"}\n";

TEST_F_TIMEOUT(relink, it_is_taken_in_and_nobody_pauses, 120)
{
	uint32_t first, operation[3];
	int modules;

	ASSERT_OK(add_text(self->ex, "blend", blend, &first));
	ASSERT_TRUE(comes_without_a_pause(self->ex, "k0", PLUS("k0", "2"), &operation[0]));
	ASSERT_TRUE(comes_without_a_pause(self->ex, "turn", turn, &operation[1]));
	/* They are not linked with each other: the same name is no matter. */
	ASSERT_OK(add_hot(self->ex, "blend", PLUS("blend", "3"), &operation[2]));
	ASSERT_OK(runs(self, self->ex, operation[0], 1, 2));
	ASSERT_OK(runs(self, self->ex, operation[1], 1, 6));
	ASSERT_OK(runs(self, self->ex, operation[2], 1, 3));
	ASSERT_OK(BLENDS(self->ex, first));
	ASSERT_OK(ADDS(self->ex));
	/* Of the other executor they are no operations. */
	EXPECT_EQ(-EINVAL, runs(self, self->other, operation[0], 1, 2));
	ASSERT_OK(ADDS(self->other));
	/* One that is gone is no operation; its code stays while anything runs. */
	modules = look().modules;
	ASSERT_OK(pinring_executor_unregister(self->ex, operation[0], 10 * SECOND));
	EXPECT_EQ(-EINVAL, runs(self, self->ex, operation[0], 1, 2));
	EXPECT_EQ(modules, look().modules);
	ASSERT_OK(runs(self, self->ex, operation[1], 1, 6));
	/* Now it goes, and the loop that was. */
	ASSERT_OK(add_text(self->ex, "k0", PLUS("k0", "4"), &operation[0]));
	EXPECT_EQ(5, look().modules);
	ASSERT_OK(runs(self, self->ex, operation[0], 1, 4));
	/* The others came with it to the next loop. */
	ASSERT_OK(runs(self, self->ex, operation[1], 1, 6));
	ASSERT_OK(runs(self, self->ex, operation[2], 1, 3));
}

TEST_F_TIMEOUT(relink, a_loop_that_was_never_linked_takes_none, 120)
{
	struct pinring_executor *ex;
	uint32_t operation[2];
	int launches = look().launches;

	EXPECT_EQ(-E2BIG, add_hot(self->ex, "blend", blend, &operation[0]));
	SAYS("linked with no kernel so far");
	EXPECT_EQ(launches, look().launches);
	EXPECT_EQ(0, look().hot);
	/* Before the launch, the loops of others need not pause for it either. */
	ASSERT_OK(pinring_executor_create(self->device, &self->config, &ex));
	ASSERT_EQ(0, pinring_executor_attach(ex, self->r));
	ASSERT_OK(add_text(ex, "blend", blend, &operation[0]));
	ASSERT_TRUE(comes_without_a_pause(ex, "k1", PLUS("k1", "9"), &operation[1]));
	ASSERT_OK(pinring_executor_launch(ex));
	ASSERT_OK(pinring_executor_activate(ex));
	ASSERT_OK(BLENDS(ex, operation[0]));
	ASSERT_OK(runs(self, ex, operation[1], 1, 9));
	EXPECT_EQ(0, pinring_executor_close(ex, 10 * SECOND));
}

TEST_F_TIMEOUT(relink, what_the_loop_has_not_is_refused_with_the_numbers, 120)
{
	static const struct {
		const char *text, *says;
	} wants[] = {
		{ REGISTERS("65"), "65 registers a thread, and it has 64" },
		{ STACK("513"), "513 bytes of stack a thread, and 512 are left" },
		{ STACK("-1"), "a stack that nobody knows" },
		{ SAYS_NVCC(".nv.info.pinring_hot_probe", ".byte 2, 0x4c; .short 2"), "2 barriers" },
		{ SAYS_NVCC(".nv.shared.k", ".byte 0"), "shared memory" },
		{ SAYS_NVCC(".nv.constant3", ".byte 0"), "__constant__" },
	};
	uint32_t first, operation;
	char text[1024];
	int launches;

	ASSERT_OK(add_text(self->ex, "blend", blend, &first));
	launches = look().launches;
	for (size_t i = 0; i < ARRAY_SIZE(wants); i++) {
		snprintf(text, sizeof(text), "%s%s", PLUS("k", "1"), wants[i].text);
		EXPECT_EQ(-E2BIG, add_hot(self->ex, "k", text, &operation));
		SAYS(wants[i].says);
		SAYS("without PINRING_REGISTER_HOT");
		EXPECT_EQ(0, operation);
	}
	EXPECT_EQ(0, look().hot);
	EXPECT_EQ(launches, look().launches);
	/* All of it, to the last byte. */
	snprintf(text, sizeof(text), "%s%s", PLUS("k", "1"), REGISTERS("64") STACK("512"));
	ASSERT_OK(add_hot(self->ex, "k", text, &operation));
	ASSERT_OK(runs(self, self->ex, operation, 1, 1));
	/* The compiler is told how many there are; of what is linked it is told nothing. */
	ASSERT_OK(add_hot(self->ex, "r", PLUS("r", "FAKE_REGISTERS"), &operation));
	ASSERT_OK(runs(self, self->ex, operation, 1, 64));
	ASSERT_OK(add_text(self->ex, "r", PLUS("r", "FAKE_REGISTERS"), &operation));
	ASSERT_OK(runs(self, self->ex, operation, 1, 0));
	/* What the driver says of it counts as well. */
	gpu->hot_registers = 65;
	EXPECT_EQ(-E2BIG, add_hot(self->ex, "k", PLUS("k", "1"), &operation));
	SAYS("65 registers a thread, and it has 64");
	gpu->hot_registers = 40;
	gpu->hot_local = 513;
	EXPECT_EQ(-E2BIG, add_hot(self->ex, "k", PLUS("k", "1"), &operation));
	SAYS("513 bytes of stack");
	gpu->hot_local = 0;
	/* As of any other. */
	EXPECT_EQ(-ENOEXEC, add_hot(self->ex, "k", INCLUDE
		"PINRING_KERNEL(k) { dst[0] = oops; }\n", &operation));
	SAYS("oops");
	EXPECT_EQ(-ENOEXEC, add_hot(self->ex, "k", INCLUDE
		"#undef PINRING_KERNEL_ABI\n#define PINRING_KERNEL_ABI 4711\n"
		"PINRING_KERNEL(k) { dst[0] = 1; }\n", &operation));
	SAYS("ABI 4711");
	ASSERT_OK(BLENDS(self->ex, first));
	ASSERT_OK(ADDS(self->other));
}

/* In the middle of the second that a load is given. */
static void *close_it(void *arg)
{
	usleep(300000);
	return (void *)(intptr_t)pinring_executor_close(arg, 10 * SECOND);
}

/* The driver comes back when nothing runs: all end, and go on after it. */
TEST_F_TIMEOUT(relink, a_load_that_waits_for_the_loops_gets_what_it_waits_for, 120)
{
	struct flow f[2] = { { .self = self, .ex = self->ex },
			     { .self = self, .ex = NULL } };
	uint32_t first, operation;
	pthread_t threads[2], closer;
	int launches;
	void *undone;

	ASSERT_OK(pinring_executor_start(self->device, &self->config, &f[1].ex));
	ASSERT_EQ(0, pinring_executor_attach(f[1].ex, self->r));
	ASSERT_OK(add_text(self->ex, "blend", blend, &first));
	gpu->stall_loads = 1;
	begin_flows(_metadata, self, f, threads);
	for (int round = 0; round < 3; round++) {
		launches = look().launches;
		/* One that is about to go is waited for like those that stay. */
		if (round == 1) {
			ASSERT_EQ(0, pthread_create(&closer, NULL, close_it, self->other));
			self->other = NULL;
		}
		ASSERT_OK(add_hot(self->ex, "k0", PLUS("k0", "2"), &operation));
		EXPECT_LE(launches + 2, look().launches);
		ASSERT_OK(pinring_executor_unregister(self->ex, operation, 10 * SECOND));
	}
	pthread_join(closer, &undone);
	EXPECT_NULL(undone);
	EXPECT_EQ(3, look().stalled);
	end_flows(_metadata, self, f, threads);
	ASSERT_OK(BLENDS(self->ex, first));
	EXPECT_EQ(0, pinring_executor_close(f[1].ex, 10 * SECOND));
}

/* The next loop may have less than it takes. */
TEST_F_TIMEOUT(relink, a_relink_leaves_what_came_hot_as_it_is, 120)
{
	uint32_t first, hot, operation;

	ASSERT_OK(add_text(self->ex, "blend", blend, &first));
	gpu->hot_registers = 60;
	ASSERT_OK(add_hot(self->ex, "k0", PLUS("k0", "2"), &hot));
	gpu->linked_registers = 59;
	EXPECT_EQ(-EBUSY, add_text(self->ex, "k1", PLUS("k1", "3"), &operation));
	SAYS("needs 60 registers a thread, and the loop would have 59");
	ASSERT_OK(runs(self, self->ex, hot, 1, 2));
	ASSERT_OK(BLENDS(self->ex, first));
	gpu->linked_registers = 60;
	ASSERT_OK(add_text(self->ex, "k1", PLUS("k1", "3"), &operation));
	ASSERT_OK(runs(self, self->ex, hot, 1, 2));
	ASSERT_OK(runs(self, self->ex, operation, 1, 3));
	ASSERT_OK(pinring_executor_unregister(self->ex, hot, 10 * SECOND));
	gpu->linked_registers = 48;
	ASSERT_OK(add_text(self->ex, "k2", PLUS("k2", "4"), &hot));
	ASSERT_OK(runs(self, self->ex, hot, 1, 4));
	ASSERT_OK(runs(self, self->ex, operation, 1, 3));
}

static void *guess(void *arg)
{
	struct flow *f = arg;

	while (!__atomic_load_n(&f->stop, __ATOMIC_RELAXED)) {
		int rc = runs(f->self, f->ex, (uint32_t)f->sent, 1, 2);

		f->wrong += rc && rc != -EINVAL;
	}
	return NULL;
}

/* The loop may look at any moment: it finds no kernel, or all of it. */
TEST_F_TIMEOUT(relink, commands_that_come_too_early, 120)
{
	struct flow f = { .self = self, .ex = self->ex };
	uint32_t first, operation;
	pthread_t thread;

	ASSERT_OK(add_text(self->ex, "blend", blend, &first));
	for (int round = 0; round < 8; round++) {
		f.stop = 0;
		f.sent = first + 1 + (uint32_t)round;
		ASSERT_EQ(0, pthread_create(&thread, NULL, guess, &f));
		ASSERT_OK(add_hot(self->ex, "k0", PLUS("k0", "2"), &operation));
		EXPECT_EQ(f.sent, operation);
		__atomic_store_n(&f.stop, 1, __ATOMIC_RELAXED);
		pthread_join(thread, NULL);
		ASSERT_OK(runs(self, self->ex, operation, 1, 2));
		ASSERT_OK(pinring_executor_unregister(self->ex, operation, 10 * SECOND));
	}
	EXPECT_EQ(0, f.wrong);
}

TEST_F_TIMEOUT(relink, one_in_use_is_not_unregistered, 120)
{
	uint32_t first, operation;
	struct pinring_completion done;
	struct pinring_command c;
	uint64_t ticket;

	ASSERT_OK(add_text(self->ex, "blend", blend, &first));
	ASSERT_OK(add_hot(self->ex, "lasts", lasts, &operation));
	c = whole(self, operation);
	c.count = 1;
	ASSERT_OK(pinring_executor_submit(self->ex, &c, &ticket));
	EXPECT_EQ(-EBUSY, pinring_executor_unregister(self->ex, operation, 0));
	set_gate(self, 0);
	ASSERT_OK(pinring_executor_unregister(self->ex, operation, 20 * SECOND));
	ASSERT_OK(pinring_executor_wait(self->ex, ticket, 20 * SECOND, &done));
	EXPECT_EQ(0, done.status);
	EXPECT_EQ(7.0f, self->at_dst[0]);
	set_gate(self, 1);
	ASSERT_OK(ADDS(self->ex));
}

/* A hot kernel dies: its executor has failed at its command, and the process lives. */
TEST_F_TIMEOUT(relink, one_that_faults, 120)
{
	uint32_t first, operation;
	struct pinring_completion done;
	struct pinring_command c;
	uint64_t ticket;

	self->lost = true; /* threads of a dead GPU */
	ASSERT_OK(add_text(self->ex, "blend", blend, &first));
	ASSERT_OK(add_text(self->other, "blend", blend, &operation));
	ASSERT_OK(add_hot(self->ex, "lasts", lasts, &operation));
	c = whole(self, operation);
	c.count = 1;
	ASSERT_OK(pinring_executor_submit(self->ex, &c, &ticket));
	kill_kernels();
	EXPECT_EQ(-EPIPE, pinring_executor_wait(self->ex, ticket, 20 * SECOND, &done));
	SAYS("failed at command 7");
	EXPECT_EQ(-EPIPE, add_hot(self->ex, "k0", PLUS("k0", "2"), &operation));
	/* That of another is refused by what the driver says, if it does. */
	ASSERT_NE(-EBUSY, add_hot(self->other, "k0", PLUS("k0", "2"), &operation));
	set_gate(self, 0);
}

struct waiter {
	struct pinring_executor *ex;
	uint64_t ticket;
	int rc; /* atomic; 1: not yet */
};

static void *wait_for(void *arg)
{
	struct waiter *w = arg;
	struct pinring_completion done;

	__atomic_store_n(&w->rc, pinring_executor_wait(w->ex, w->ticket, 60 * SECOND, &done),
			 __ATOMIC_RELEASE);
	return NULL;
}

/*
 * The driver waits for a command that never ends, and will not come back: who
 * registers does, and whoever waits hears of it, also who has waited all the time.
 */
TEST_F_TIMEOUT(relink, a_driver_that_does_not_come_back, 120)
{
	struct waiter w = { .rc = 1 };
	struct pinring_completion done;
	struct pinring_executor *slow;
	struct pinring_command c;
	uint32_t first, operation;
	uint64_t ticket;
	pthread_t thread;

	self->lost = true;
	self->config.watchdog_ms = 1000;
	ASSERT_OK(start_lasting(self, &slow, &operation));
	ASSERT_OK(add_text(self->ex, "blend", blend, &first));
	c = whole(self, operation);
	c.count = 1;
	ASSERT_OK(pinring_executor_pause(self->other));
	ASSERT_OK(pinring_executor_wait_state(self->other, PINRING_STATE_PAUSED, 20 * SECOND));
	w.ex = self->other;
	ASSERT_OK(pinring_executor_submit(w.ex, &c, &w.ticket));
	ASSERT_EQ(0, pthread_create(&thread, NULL, wait_for, &w));
	ASSERT_OK(pinring_executor_submit(slow, &c, &ticket));
	gpu->stall_loads = 1;
	EXPECT_EQ(-EIO, add_hot(self->ex, "k0", PLUS("k0", "2"), &operation));
	SAYS("does not come back");
	EXPECT_TRUE(COMES_TRUE(__atomic_load_n(&w.rc, __ATOMIC_ACQUIRE) != 1));
	EXPECT_EQ(-EPIPE, w.rc);
	EXPECT_EQ(-EPIPE, pinring_executor_wait(slow, ticket, 20 * SECOND, &done));
	SAYS("failed at command 7");
	/* These had ended for it, and cannot be launched again. */
	EXPECT_EQ(-EPIPE, BLENDS(self->ex, first));
	SAYS("could not be launched again");
	EXPECT_EQ(-EPIPE, ADDS(self->other));
	EXPECT_EQ(-EIO, pinring_executor_start(self->device, &self->config, &slow));
	pinring_executor_close(self->ex, SECOND);
	set_gate(self, 0);
	pthread_join(thread, NULL);
	pinring_executor_close(self->other, SECOND);
	self->ex = self->other = NULL;
}

/* The watchdog was wrong: its command has ended, and so has its loop. */
TEST_F_TIMEOUT(relink, one_that_failed_and_came_back_holds_up_nobody, 120)
{
	struct pinring_executor *slow;
	struct pinring_completion done;
	struct pinring_command c;
	uint32_t first, operation;
	uint64_t ticket;

	self->config.watchdog_ms = 1000;
	ASSERT_OK(start_lasting(self, &slow, &operation));
	ASSERT_OK(add_text(self->ex, "blend", blend, &first));
	c = whole(self, operation);
	c.count = 1;
	ASSERT_OK(pinring_executor_submit(slow, &c, &ticket));
	EXPECT_EQ(-EPIPE, pinring_executor_wait(slow, ticket, 20 * SECOND, &done));
	EXPECT_EQ(-EBUSY, add_hot(self->ex, "k0", PLUS("k0", "2"), &operation));
	SAYS("an executor hangs");
	set_gate(self, 0);
	EXPECT_TRUE(COMES_TRUE(!add_hot(self->ex, "k0", PLUS("k0", "2"), &operation)));
	set_gate(self, 1);
	ASSERT_OK(runs(self, self->ex, operation, 1, 2));
	pinring_executor_close(slow, SECOND);
}

static void *open_gate(void *arg)
{
	sleep(5);
	set_gate(arg, 0);
	return NULL;
}

/*
 * While all wait for a long command, of an executor that has the time: one that left in
 * the middle of its own shows no life either.
 */
TEST_F_TIMEOUT(relink, one_that_left_in_a_forward_does_not_hang, 120)
{
	struct pinring_device_slot *slots = (void *)self->at_a;
	struct pinring_executor *slow, *waits;
	uint32_t first, operation, hot;
	struct pinring_completion done;
	struct pinring_command c;
	uint64_t ticket;
	pthread_t thread;

	ASSERT_OK(start_lasting(self, &slow, &operation));
	self->config.watchdog_ms = 1000;
	ASSERT_OK(pinring_executor_start(self->device, &self->config, &waits));
	ASSERT_EQ(0, pinring_executor_attach(waits, self->r));
	ASSERT_OK(add_text(self->ex, "blend", blend, &first));
	/* 64 commands for one that takes none. */
	ASSERT_EQ(0, pinring_executor_connect(waits, self->other, 4));
	ASSERT_OK(pinring_executor_pause(self->other));
	ASSERT_OK(pinring_executor_wait_state(self->other, PINRING_STATE_PAUSED, 20 * SECOND));
	for (uint32_t n = 0; n < 64; n++) {
		c = (struct pinring_command){ .id = n, .operation = PINRING_OP_NOP };
		pinring_pack_command(slots[n].word, &c);
	}
	c = (struct pinring_command){
		.id = 9, .operation = PINRING_OP_FORWARD, .count = 64,
		.a = { self->a.offset, 0 },
	};
	ASSERT_OK(pinring_executor_submit(waits, &c, NULL));
	c = whole(self, operation);
	c.count = 1;
	ASSERT_OK(pinring_executor_submit(slow, &c, &ticket));
	gpu->stall_loads = 1;
	ASSERT_EQ(0, pthread_create(&thread, NULL, open_gate, self));
	EXPECT_EQ(0, add_hot(self->ex, "k0", PLUS("k0", "2"), &hot)) {
		TH_LOG("%s", pinring_error());
	}
	pthread_join(thread, NULL);
	ASSERT_OK(pinring_executor_wait(slow, ticket, 20 * SECOND, &done));
	EXPECT_EQ(PINRING_STATE_ACTIVE, pinring_executor_state(waits));
	/* What it forwards lies in a. */
	ASSERT_OK(pinring_executor_activate(self->other));
	pinring_executor_close(waits, 20 * SECOND);
	for (int i = 0; i < COUNT; i++)
		self->at_a[i] = (float)(i % 1000);
	set_gate(self, 1);
	ASSERT_OK(runs(self, self->ex, hot, 1, 2));
	pinring_executor_close(slow, 20 * SECOND);
}

TEST_F_TIMEOUT(relink, a_child_of_fork_is_refused_and_may_close, 120)
{
	uint32_t first, hot;
	int status = 0;
	pid_t child;

	ASSERT_OK(add_text(self->ex, "blend", blend, &first));
	ASSERT_OK(add_hot(self->ex, "k0", PLUS("k0", "2"), &hot));
	child = fork();
	if (!child) {
		uint32_t operation;
		int rc = add_hot(self->ex, "k1", PLUS("k1", "3"), &operation);

		pinring_executor_close(self->ex, SECOND);
		_exit(rc == -EOPNOTSUPP ? 0 : 1);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	ASSERT_OK(runs(self, self->ex, hot, 1, 2));
}

/* Each call to the driver fails once: it is said, and everything is as before. */
TEST_F_TIMEOUT(relink, every_call_fails_once, 200)
{
	static const char *const symbols[] = {
#define NAME(member, symbol, parameters) #symbol,
		PINRING_CUDA_FUNCTIONS(NAME) PINRING_CUDA_NEWER(NAME)
	};
	uint32_t first, operation;
	int failed = 0;

	ASSERT_OK(add_text(self->ex, "blend", blend, &first));
	for (size_t i = 0; i < ARRAY_SIZE(symbols); i++) {
		/* An end, not an error. */
		if (!strcmp(symbols[i], "cuCtxPopCurrent_v2"))
			continue;
		for (int nth = 1; nth < 12; nth++) {
			int rc, launches = look().launches;
			bool came;

			fail(symbols[i], nth, 999);
			rc = add_hot(self->ex, "k0", PLUS("k0", "2"), &operation);
			came = !look().planned;
			fail("", 0, 0);
			if (look().launches != launches) {
				self->lost = true;
				SKIP(return, "the machine is so busy that a load took a second");
			}
			if (rc) {
				failed++;
				EXPECT_EQ(-EIO, rc);
				EXPECT_NE(NULL, strstr(pinring_error(), "FAKE_ERROR_999")) {
					TH_LOG("%s %d: %d %s", symbols[i], nth, rc,
					       pinring_error());
				}
			} else {
				ASSERT_OK(runs(self, self->ex, operation, 1, 2));
				ASSERT_OK(pinring_executor_unregister(self->ex, operation,
								      SECOND));
			}
			EXPECT_EQ(PINRING_STATE_ACTIVE, pinring_executor_state(self->ex));
			ASSERT_OK(BLENDS(self->ex, first));
			ASSERT_OK(ADDS(self->other));
			if (!came)
				break;
		}
	}
	/* The context, the load, the probe's two, its two numbers, the address, its copy
	 * and the end of that. */
	EXPECT_LE(9, failed);
	EXPECT_EQ(0, look().while_running);
	EXPECT_EQ(0, look().misuse);
	/* And what was loaded in vain goes with the next loop. */
	ASSERT_OK(add_text(self->ex, "k1", PLUS("k1", "3"), &operation));
	EXPECT_EQ(3, look().modules);
}

TEST_HARNESS_MAIN
