// SPDX-License-Identifier: MIT
/*
 * Kernels that fault, or never return, take the executor with them and nothing
 * else: not the process, not the threads that wait, not the application's handlers.
 */
#include <kselftest_harness.h>

#include <pthread.h>
#include <setjmp.h>

#include <pinring/kernel.h>
#include <pinring/pinring.h>

#include "executor_test.h"

#define MIB (1ull << 20)
#define FLOATS 100000u

FIXTURE(fault)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_executor_config config;
	struct pinring_executor *ex;
	struct pinring_object_info data;
	float *at;
};

FIXTURE_VARIANT(fault)
{
	uint32_t threads;
};

FIXTURE_VARIANT_ADD(fault, alone) { .threads = 1 };
FIXTURE_VARIANT_ADD(fault, team) { .threads = 3 };

FIXTURE_SETUP(fault)
{
	struct pinring_region_config rc = pinring_region_defaults(MIB);

	rc.flags = PINRING_REGION_SMALL_PAGES;
	self->ex = NULL;
	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &rc, &self->r));
	ASSERT_EQ(0, pinring_object_create(self->r, "data", PINRING_OBJECT_BYTES,
					   FLOATS * sizeof(float), 64, &self->data));
	self->at = pinring_region_at(self->r, self->data.offset, self->data.length);
	self->config = pinring_executor_defaults();
	self->config.kind = PINRING_EXECUTOR_HOST;
	self->config.threads = variant->threads;
	self->config.depth = 16;
}

FIXTURE_TEARDOWN(fault)
{
	pinring_executor_close(self->ex, 0);
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

#define START() do { \
	ASSERT_OK(pinring_executor_start(self->device, &self->config, &self->ex)); \
	ASSERT_EQ(0, pinring_executor_attach(self->ex, self->r)); \
} while (0)

/*
 * One kernel that does what aux says, in the worker that s0 says; 8: all. The
 * others meet at a barrier that it does not come to.
 */
static const char bad[] =
	"#include <pinring/kernel.h>\n"
	"static volatile int zero;\n"
	"static int deep(volatile char *p, int n)\n"
	"{\n"
	"	volatile char here[4096];\n"
	"	here[0] = p ? p[0] : 0;\n"
	"	return n ? deep(here, n - 1) + here[0] : 0;\n"
	"}\n"
	"PINRING_KERNEL_OF(bad, float, PINRING_KERNEL_DST)\n"
	"{\n"
	"	if (args->worker == (unsigned)s0 || s0 == 8) {\n"
	"		switch (aux) {\n"
	"		case 0: *(volatile int *)0 = 1; break;\n"
	"		case 1: *(volatile int *)0x7fff12345678ull = 1; break;\n"
	"		case 2: dst[0] = (float)(100 / zero); break;\n"
	"		case 3: __builtin_trap(); break;\n"
	"		case 4: dst[0] = (float)deep(0, 1000000); break;\n"
	"		case 5: ((volatile float *)dst)[64] = 1; for (;;) zero++; break;\n"
	"		}\n"
	"	}\n"
	"	PINRING_BARRIER();\n"
	"	dst[args->worker] = 7;\n"
	"}\n";

enum { NULL_POINTER, WILD_POINTER, DIVISION, TRAP, STACK, FOR_EVER, NOTHING };

static int add_bad(struct pinring_executor *ex, uint32_t *operation)
{
	struct pinring_kernel_config c = PINRING_INIT(struct pinring_kernel_config);

	c.name = "bad";
	c.text = bad;
	return pinring_executor_register(ex, &c, operation);
}

static struct pinring_command doing(uint32_t operation, uint32_t id, uint64_t offset,
				    int what, float where)
{
	return (struct pinring_command){
		.id = id, .operation = (uint16_t)operation, .dst = { .offset = offset },
		.count = 50000, .s0 = where, .aux = (uint64_t)what,
	};
}

static const struct {
	int what;
	uint32_t reason;
} faults[] = {
	{ NULL_POINTER, PINRING_REASON_FAULT },
	{ WILD_POINTER, PINRING_REASON_FAULT },
	{ DIVISION, PINRING_REASON_TRAP },
	{ TRAP, PINRING_REASON_TRAP },
	{ STACK, PINRING_REASON_FAULT },
};

TEST_F_TIMEOUT(fault, fails_the_executor_with_the_commands_id, 120)
{
	/* Before and behind it in the queue, and the one that is never answered. */
	uint64_t good, ticket, behind;
	struct pinring_completion done;
	struct pinring_executor_info info;
	struct pinring_command c;
	uint32_t operation;

	for (size_t i = 0; i < ARRAY_SIZE(faults) * (variant->threads + 1); i++) {
		int what = faults[i % ARRAY_SIZE(faults)].what;
		size_t worker = i / ARRAY_SIZE(faults);
		/* The last round: in all of them. */
		float where = worker == variant->threads ? 8 : (float)worker;

		START();
		ASSERT_OK(add_bad(self->ex, &operation));
		ASSERT_OK(pinring_executor_pause(self->ex));
		c = doing(operation, 1, self->data.offset, NOTHING, 0);
		ASSERT_OK(pinring_executor_submit(self->ex, &c, &good));
		c = doing(operation, 2000000000u, self->data.offset, what, where);
		ASSERT_OK(pinring_executor_submit(self->ex, &c, &ticket));
		c = doing(operation, 3, self->data.offset, NOTHING, 0);
		ASSERT_OK(pinring_executor_submit(self->ex, &c, &behind));
		ASSERT_OK(pinring_executor_activate(self->ex));

		EXPECT_EQ(-EPIPE, pinring_executor_wait(self->ex, ticket, 20 * SECOND, &done)) {
			TH_LOG("what %d in worker %g", what, where);
		}
		SAYS("command 2000000000,");
		SAYS(pinring_reason_text(faults[i % ARRAY_SIZE(faults)].reason));
		EXPECT_EQ(PINRING_STATE_FAILED, pinring_executor_state(self->ex));
		EXPECT_EQ(0, pinring_executor_wait(self->ex, good, SECOND, &done));
		EXPECT_EQ(0, done.status);
		EXPECT_EQ(-EPIPE, pinring_executor_wait(self->ex, behind, PINRING_FOREVER, &done));
		info = info_of(self->ex);
		EXPECT_EQ(-EFAULT, info.error);
		EXPECT_EQ(2000000000u, info.error_id);
		EXPECT_EQ(operation, info.error_operation);
		EXPECT_EQ(faults[i % ARRAY_SIZE(faults)].reason, info.error_reason);

		EXPECT_EQ(-EPIPE, pinring_executor_submit(self->ex, &c, NULL));
		SAYS("command 2000000000,");
		EXPECT_EQ(-ECANCELED,
			  pinring_executor_wait_state(self->ex, PINRING_STATE_PAUSED, SECOND));
		SAYS("command 2000000000,");
		EXPECT_EQ(-EPIPE, add_bad(self->ex, &operation));
		EXPECT_EQ(2, pinring_executor_close(self->ex, SECOND));
		self->ex = NULL;
	}
}

TEST_F(fault, those_who_never_ask_are_told_when_they_submit)
{
	struct pinring_command c;
	uint32_t operation;
	int rc = 0;

	START();
	ASSERT_OK(add_bad(self->ex, &operation));
	c = doing(operation, 5, self->data.offset, NULL_POINTER, 0);
	c.flags = PINRING_COMMAND_DETACHED;
	/* At the latest when the window is full. */
	for (int i = 0; i < 100000 && (!rc || rc == -EAGAIN); i++) {
		rc = pinring_executor_submit(self->ex, &c, NULL);
		usleep(rc ? 200 : 0);
	}
	EXPECT_EQ(-EPIPE, rc);
	SAYS("command 5,");
}

/* --------------------------------------------------- the application's handlers */
static void *submits(void *ex)
{
	struct pinring_command c = { .id = 2, .operation = PINRING_OP_NOP };

	for (int refused = 0; refused < 1000;)
		refused += pinring_executor_submit(ex, &c, NULL) == -EPIPE;
	return NULL;
}

/* Both note it for those who come after them; ThreadSanitizer sees how. */
TEST_F(fault, two_threads_learn_of_it_beside_each_other)
{
	struct pinring_completion done;
	struct pinring_command c;
	uint32_t operation;
	pthread_t thread;

	START();
	ASSERT_OK(add_bad(self->ex, &operation));
	c = doing(operation, 1, self->data.offset, NULL_POINTER, 0);
	EXPECT_EQ(-EPIPE, pinring_executor_call(self->ex, &c, 20 * SECOND, &done));
	ASSERT_EQ(0, pthread_create(&thread, NULL, submits, self->ex));
	for (int i = 0; i < 1000; i++) {
		EXPECT_EQ(-EINVAL, pinring_executor_pause(self->ex));
	}
	pthread_join(thread, NULL);
}

static volatile sig_atomic_t theirs, with_info;
static sigjmp_buf back;

static void their_handler(int signal)
{
	theirs = signal;
	siglongjmp(back, 1);
}

static void their_action(int signal, siginfo_t *info, void *context)
{
	(void)context;
	theirs = signal;
	with_info = info->si_code;
	siglongjmp(back, 1);
}

/* These are on purpose. */
#define UNCHECKED __attribute__((noinline, no_sanitize("undefined", "address")))

UNCHECKED static int divide(int by)
{
	return 100 / by;
}

UNCHECKED static void touch(volatile int *what)
{
	if (!sigsetjmp(back, 1))
		*what = 1;
}

TEST_F(fault, handlers_of_the_application_get_what_is_theirs)
{
	struct sigaction sa = { .sa_handler = their_handler }, now;
	struct pinring_command c;
	struct pinring_completion done;
	uint32_t operation;

	sigaction(SIGSEGV, &sa, NULL);
	sa.sa_sigaction = their_action;
	sa.sa_flags = SA_SIGINFO;
	sigaction(SIGBUS, &sa, NULL);
	START();
	ASSERT_OK(add_bad(self->ex, &operation));

	touch(NULL);
	EXPECT_EQ(SIGSEGV, theirs);
	/* The mask is as they left it. */
	theirs = 0;
	touch(NULL);
	EXPECT_EQ(SIGSEGV, theirs);
	theirs = 0;
	if (!sigsetjmp(back, 1)) {
		raise(SIGBUS);
	}
	EXPECT_EQ(SIGBUS, theirs);
	EXPECT_EQ(SI_TKILL, with_info);

	/* What is a kernel's, is not. */
	theirs = 0;
	c = doing(operation, 1, self->data.offset, NULL_POINTER, 0);
	EXPECT_EQ(-EPIPE, pinring_executor_call(self->ex, &c, 20 * SECOND, &done));
	EXPECT_EQ(0, theirs);

	/* With the last kernel the handlers go, too. */
	sigaction(SIGSEGV, NULL, &now);
	EXPECT_TRUE(now.sa_handler != their_handler);
	pinring_executor_close(self->ex, SECOND);
	self->ex = NULL;
	sigaction(SIGSEGV, NULL, &now);
	EXPECT_TRUE(now.sa_handler == their_handler);
	sigaction(SIGBUS, NULL, &now);
	EXPECT_TRUE(now.sa_sigaction == their_action);
	EXPECT_TRUE(now.sa_flags & SA_SIGINFO);
}

TEST_F(fault, a_handler_that_came_later_stays)
{
	struct sigaction sa = { .sa_handler = their_handler }, now;
	uint32_t operation;

	START();
	ASSERT_OK(add_bad(self->ex, &operation));
	sigaction(SIGSEGV, &sa, NULL);
	ASSERT_OK(pinring_executor_unregister(self->ex, operation, SECOND));
	sigaction(SIGSEGV, NULL, &now);
	EXPECT_TRUE(now.sa_handler == their_handler);
}

/* One that came on top of ours and goes when ours is not wanted leaves ours there. */
TEST_F(fault, a_handler_that_goes_later_puts_back_what_it_may)
{
	struct sigaction sa = { .sa_handler = their_handler }, ours, now;
	uint32_t operation;

	sigaction(SIGSEGV, &sa, NULL);
	START();
	ASSERT_OK(add_bad(self->ex, &operation));
	sa.sa_handler = SIG_IGN;
	sigaction(SIGSEGV, &sa, &ours);
	ASSERT_OK(pinring_executor_unregister(self->ex, operation, SECOND));
	sigaction(SIGSEGV, &ours, NULL);
	ASSERT_OK(add_bad(self->ex, &operation));
	theirs = 0;
	touch(NULL);
	EXPECT_EQ(SIGSEGV, theirs);
	ASSERT_OK(pinring_executor_unregister(self->ex, operation, SECOND));
	sigaction(SIGSEGV, NULL, &now);
	EXPECT_TRUE(now.sa_handler == their_handler);
}

TEST_F_SIGNAL(fault, what_nobody_handles_kills_as_ever, SIGFPE)
{
	struct sigaction sa = { .sa_handler = SIG_DFL };
	volatile int zero = 0;
	uint32_t operation;

	/* A sanitizer has its own. */
	sigaction(SIGFPE, &sa, NULL);
	START();
	ASSERT_OK(add_bad(self->ex, &operation));
	EXPECT_EQ(1, divide(zero));
}

/* ------------------------------------------------------- those that never return */

/* A new kernel, and command 31, which runs it for ever. */
static int hang(struct pinring_executor *ex, uint64_t offset, uint32_t *operation,
		uint64_t *ticket)
{
	struct pinring_command c;
	int rc = add_bad(ex, operation);

	if (rc)
		return rc;
	c = doing(*operation, 31, offset, FOR_EVER, 0);
	return pinring_executor_submit(ex, &c, ticket);
}

#define HANG(noticed_ms, ticket) do { \
	self->config.watchdog_ms = noticed_ms; \
	START(); \
	ASSERT_OK(hang(self->ex, self->data.offset, &operation, ticket)); \
} while (0)

TEST_F(fault, one_that_never_returns_fails_the_executor)
{
	struct pinring_completion done;
	struct pinring_executor_info info;
	struct pinring_command c;
	uint64_t ticket, behind;
	uint32_t operation;

	HANG(200, &ticket);
	c = doing(operation, 32, self->data.offset, NOTHING, 0);
	ASSERT_OK(pinring_executor_submit(self->ex, &c, &behind));
	EXPECT_EQ(-EPIPE, pinring_executor_wait(self->ex, ticket, PINRING_FOREVER, &done));
	SAYS("command 31,");
	SAYS(pinring_reason_text(PINRING_REASON_HUNG));
	EXPECT_EQ(PINRING_STATE_FAILED, pinring_executor_state(self->ex));
	EXPECT_EQ(-EPIPE, pinring_executor_wait(self->ex, behind, PINRING_FOREVER, &done));
	EXPECT_EQ(-EPIPE, pinring_executor_submit(self->ex, &c, NULL));
	EXPECT_EQ(-EBUSY, pinring_executor_unregister(self->ex, operation, PINRING_FOREVER));
	info = info_of(self->ex);
	EXPECT_EQ(-ETIMEDOUT, info.error);
	EXPECT_EQ(31, info.error_id);
	EXPECT_EQ(operation, info.error_operation);
	EXPECT_EQ(PINRING_REASON_HUNG, info.error_reason);
	EXPECT_EQ(2, pinring_executor_close(self->ex, PINRING_FOREVER));
	/* What it may touch is there for ever. */
	self->ex = NULL;
	pinring_region_close(self->r);
	self->r = NULL;
	EXPECT_EQ(0, self->at[1]);
}

TEST_F(fault, polling_notices_it_too)
{
	struct pinring_completion done;
	uint64_t ticket;
	uint32_t operation;
	int rc;

	HANG(100, &ticket);
	do {
		rc = pinring_executor_poll(self->ex, ticket, &done);
	} while (rc == -EAGAIN);
	EXPECT_EQ(-EPIPE, rc);
	SAYS("command 31,");
}

TEST_F(fault, waiting_for_a_state_notices_it_too)
{
	uint32_t operation;

	HANG(100, NULL);
	while (((volatile float *)self->at)[64] == 0) {
		usleep(100);
	}
	ASSERT_OK(pinring_executor_pause(self->ex));
	EXPECT_EQ(-ECANCELED, pinring_executor_wait_state(self->ex, PINRING_STATE_PAUSED,
							  PINRING_FOREVER));
	SAYS("command 31,");
}

/* It may look on, but what is to be done about it is its parent's business. */
TEST_F(fault, a_child_of_fork_ends_nothing)
{
	int status = 0;
	uint32_t operation;
	pid_t child;

	HANG(100, NULL);
	while (((volatile float *)self->at)[64] == 0) {
		usleep(100);
	}
	child = fork();
	if (!child)
		_exit(pinring_executor_wait_state(self->ex, PINRING_STATE_PAUSED, SECOND) ==
		      -ETIMEDOUT ? 0 : 1);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(PINRING_STATE_ACTIVE, pinring_executor_state(self->ex));
}

TEST_F(fault, unregistering_notices_it_too)
{
	uint32_t operation;

	HANG(100, NULL);
	EXPECT_EQ(-EBUSY, pinring_executor_unregister(self->ex, operation, PINRING_FOREVER));
	SAYS("command 31,");
}

TEST_F(fault, closing_does_not_wait_for_it)
{
	struct pinring_command c;
	uint32_t operation;

	HANG(100, NULL);
	EXPECT_EQ(1, pinring_executor_close(self->ex, 0));
	self->ex = NULL;
	/* And the next one is none of its business, however busy the CPU is. */
	self->config.watchdog_ms = 0;
	START();
	ASSERT_OK(add_bad(self->ex, &operation));
	c = doing(operation, 1, self->data.offset, NOTHING, 0);
	ASSERT_OK(pinring_executor_submit(self->ex, &c, NULL));
	EXPECT_EQ(0, pinring_executor_close(self->ex, 20 * SECOND));
	self->ex = NULL;
	EXPECT_EQ(7, self->at[variant->threads - 1]);
}

static struct pinring_command block(const struct pinring_wave *wave, uint64_t steps)
{
	return (struct pinring_command){
		.id = 1, .operation = PINRING_OP_WAVE_STEP, .count = steps,
		.a = { .offset = wave->offset },
	};
}

TEST_F(fault, what_is_slow_is_not_stuck)
{
	struct pinring_completion done = { 0 };
	struct pinring_command c;
	struct pinring_wave wave;
	uint64_t ticket, before;
	int rc;

	/* Years of steps, each of which is a sign of life. */
	ASSERT_OK(pinring_wave_create(self->r, "room", 16, 16, 16, 0.5, 0.01, &wave));
	self->config.watchdog_ms = 3000;
	START();
	c = block(&wave, 1ull << 40);
	ASSERT_OK(pinring_executor_submit(self->ex, &c, &ticket));
	EXPECT_EQ(-ETIMEDOUT, pinring_executor_wait(self->ex, ticket, 4 * SECOND, &done));
	EXPECT_EQ(PINRING_STATE_ACTIVE, pinring_executor_state(self->ex));
	before = info_of(self->ex).heartbeat;
	EXPECT_EQ(-ETIMEDOUT, pinring_executor_wait(self->ex, ticket, SECOND / 10, &done));
	EXPECT_GT(info_of(self->ex).heartbeat, before);
	/* Nor is one that has nothing to do, or waits while it is paused. */
	ASSERT_OK(pinring_executor_terminate(self->ex));
	rc = pinring_executor_wait(self->ex, ticket, 20 * SECOND, &done);
	EXPECT_EQ(0, rc);
	EXPECT_EQ(-ECANCELED, done.status);
}

TEST_F(fault, who_is_paused_is_not_stuck)
{
	struct pinring_completion done;
	struct pinring_command c = { .id = 1, .operation = PINRING_OP_NOP };
	uint64_t ticket;

	self->config.watchdog_ms = 50;
	START();
	ASSERT_OK(pinring_executor_pause(self->ex));
	ASSERT_OK(pinring_executor_wait_state(self->ex, PINRING_STATE_PAUSED, 20 * SECOND));
	ASSERT_OK(pinring_executor_submit(self->ex, &c, &ticket));
	EXPECT_EQ(-ETIMEDOUT, pinring_executor_wait(self->ex, ticket, SECOND / 2, &done));
	ASSERT_OK(pinring_executor_activate(self->ex));
	EXPECT_EQ(0, pinring_executor_wait(self->ex, ticket, 20 * SECOND, &done));
}

TEST_F(fault, time_in_which_nobody_looks_does_not_count)
{
	struct pinring_completion done;
	uint64_t ticket;
	uint32_t operation;

	/* As of a process that was stopped: two looks, long apart. */
	HANG(2000, &ticket);
	EXPECT_EQ(-ETIMEDOUT, pinring_executor_wait(self->ex, ticket, SECOND / 20, &done));
	usleep(2500000);
	EXPECT_EQ(-ETIMEDOUT, pinring_executor_wait(self->ex, ticket, SECOND / 20, &done));
	EXPECT_EQ(PINRING_STATE_ACTIVE, pinring_executor_state(self->ex));
	EXPECT_EQ(-EPIPE, pinring_executor_wait(self->ex, ticket, PINRING_FOREVER, &done));
}

static struct pinring_executor *volatile never_closed;

TEST_F(fault, a_watchdog_that_never_looks)
{
	struct pinring_completion done;
	uint64_t ticket;
	uint32_t operation;

	HANG(PINRING_WATCHDOG_NEVER, &ticket);
	EXPECT_EQ(-ETIMEDOUT, pinring_executor_wait(self->ex, ticket, SECOND / 2, &done));
	EXPECT_EQ(PINRING_STATE_ACTIVE, pinring_executor_state(self->ex));
	/* Which is why this one is not closed, and is no leak. */
	never_closed = self->ex;
	self->ex = NULL;
}

TEST_HARNESS_MAIN
