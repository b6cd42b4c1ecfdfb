// SPDX-License-Identifier: MIT
/*
 * Tests that pass, fail, crash, hang and skip, each in its own way.
 * harness_test runs them one by one and looks at what the harness says.
 */
#include "kselftest_harness.h"
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static volatile int zero;
static void *volatile sink;
static int shared_counter;

/* Not through NULL: UndefinedBehaviorSanitizer would be first. */
static void segfault(void)
{
	volatile int *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*page = 1;
}

TEST(passes)
{
	ASSERT_EQ(0, zero);
}

TEST(assert_stops)
{
	TH_LOG("line %d is next", __LINE__ + 1);
	ASSERT_EQ(41, zero + 42);
	TH_LOG("not reached");
}

TEST(expect_continues)
{
	EXPECT_EQ(7, zero);
	EXPECT_LT(9, zero);
	TH_LOG("reached");
}

TEST(strings)
{
	const char *none = NULL;

	EXPECT_STREQ("left", "right");
	EXPECT_STRNE("same", "same");
	EXPECT_STREQ("some", none);
}

TEST(all_hold)
{
	size_t big = 5;
	void *p = NULL;

	EXPECT_EQ(5, big);
	EXPECT_NE(6, big);
	EXPECT_LT(4, big);
	EXPECT_LE(5, big);
	EXPECT_GT(6, big);
	EXPECT_GE(5, big);
	EXPECT_NULL(p);
	EXPECT_TRUE(big == 5);
	EXPECT_FALSE(big == 6);
	EXPECT_STREQ("a", "a");
	EXPECT_STRNE("a", "b");
	EXPECT_EQ(true, big == 5);
	EXPECT_NE(NULL, &big);
	EXPECT_EQ(0.5, (double)big / 10.0);
	EXPECT_EQ((uint8_t)255, (uint64_t)255);
	EXPECT_EQ(-1, (size_t)-1);	/* as C has it, and so the kernel's */
	EXPECT_EQ('a', "a"[0]);
}

TEST(none_hold)
{
	size_t big = 5;
	void *p = &big;

	EXPECT_EQ(6, big);
	EXPECT_NE(5, big);
	EXPECT_LT(5, big);
	EXPECT_LE(6, big);
	EXPECT_GT(5, big);
	EXPECT_GE(4, big);
	EXPECT_NULL(p);
	EXPECT_TRUE(big == 6);
	EXPECT_FALSE(big == 5);
	EXPECT_STREQ("a", "b");
	EXPECT_STRNE("a", "a");
}

TEST(asserts_hold)
{
	size_t big = 5;
	void *p = NULL;

	ASSERT_EQ(5, big);
	ASSERT_NE(6, big);
	ASSERT_LT(4, big);
	ASSERT_LE(5, big);
	ASSERT_GT(6, big);
	ASSERT_GE(5, big);
	ASSERT_NULL(p);
	ASSERT_TRUE(big == 5);
	ASSERT_FALSE(big == 6);
	ASSERT_STREQ("a", "a");
	ASSERT_STRNE("a", "b");
	EXPECT_EQ(1, zero);
}

TEST(values)
{
	EXPECT_EQ(-3, (int8_t)(zero - 4));
	EXPECT_EQ(1u, UINT64_MAX - (unsigned int)zero);
	EXPECT_EQ(0.25, zero + 1.5);
	EXPECT_EQ((void *)0x10, (void *)0x20);
}

TEST(evaluates_once)
{
	int calls = 0;

	EXPECT_EQ(7, ++calls);
	EXPECT_EQ(1, calls);
}

TEST(handlers)
{
	int failed = 3;

	EXPECT_EQ(0, zero) TH_LOG("not taken");
	EXPECT_EQ(2, zero) TH_LOG("statement handler");
	EXPECT_EQ(0, zero) {
		TH_LOG("not run");
	}
	ASSERT_EQ(failed, zero) {
		TH_LOG("block handler %d", failed);
		EXPECT_EQ(4, zero);
	}
	TH_LOG("not reached");
}

TEST(skips)
{
	SKIP(return, "no device %d", 7);
}

TEST(skips_after_failure)
{
	EXPECT_EQ(1, zero);
	SKIP(return, "too late");
}

TEST(crashes)
{
	segfault();
}

TEST(aborts)
{
	abort();
}

TEST(exits_zero)
{
	exit(zero);
}

TEST(exits_seven)
{
	_exit(7);
}

TEST_SIGNAL(dies_as_expected, SIGSEGV)
{
	segfault();
}

TEST_SIGNAL(aborts_as_expected, SIGABRT)
{
	abort();
}

TEST_SIGNAL(survives, SIGUSR1)
{
}

TEST_SIGNAL(dies_otherwise, SIGUSR1)
{
	raise(SIGUSR2);
}

TEST_SIGNAL(fails_then_dies, SIGUSR1)
{
	EXPECT_EQ(1, zero);
	raise(SIGUSR1);
}

/* Leaves a helper behind; one that outlives its parent, unless told otherwise. */
static void leave_helper(struct __test_metadata *_metadata, bool dependent)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		if (!dependent)
			prctl(PR_SET_PDEATHSIG, 0);
		for (;;)
			pause();
	}
	TH_LOG("helper %d", pid);
}

TEST(leaves_helper)
{
	leave_helper(_metadata, false);
}

TEST(helper_expects)
{
	pid_t pid = fork();

	if (!pid) {
		EXPECT_EQ(1, zero);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

TEST(helper_asserts)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		ASSERT_EQ(1, zero);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	TH_LOG("helper left with %d", WEXITSTATUS(status));
}

/* Only the helper comes to the end of the test. */
TEST(helper_returns)
{
	if (!fork())
		return;
	wait(NULL);
	_exit(0);
}

static struct __test_metadata *thread_metadata;

static void *thread_expects(void *unused)
{
	struct __test_metadata *_metadata = thread_metadata;

	EXPECT_EQ(1, zero);
	return unused;
}

static void *thread_asserts(void *unused)
{
	struct __test_metadata *_metadata = thread_metadata;

	ASSERT_EQ(1, zero);
	return unused;
}

TEST(threads_expect)
{
	pthread_t threads[4];

	thread_metadata = _metadata;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, thread_expects, NULL));
	}
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
	}
	TH_LOG("joined");
}

TEST(thread_asserts_)
{
	pthread_t thread;

	thread_metadata = _metadata;
	ASSERT_EQ(0, pthread_create(&thread, NULL, thread_asserts, NULL));
	pthread_join(thread, NULL);
	TH_LOG("not reached");
}

/* What only a sanitizer sees. */

TEST(leaks)
{
	sink = malloc(100);
	sink = NULL;
}

TEST(overflows)
{
	sink = malloc(8);
	memset(sink, 0, 9 + (size_t)zero);
	free(sink);
}

static void *increment(void *unused)
{
	for (int i = 0; i < 1000; i++)
		shared_counter++;
	return unused;
}

TEST(races)
{
	pthread_t threads[2];

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, increment, NULL));
	}
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
	}
}

FIXTURE(slow) {
	int unused;
};

FIXTURE_SETUP(slow)
{
}

FIXTURE_TEARDOWN(slow)
{
}

TEST_F_TIMEOUT(slow, hangs, 1)
{
	leave_helper(_metadata, false);
	signal(SIGTERM, SIG_IGN);
	for (;;)
		pause();
}

TEST_F_TIMEOUT(slow, stops, 1)
{
	raise(SIGSTOP);
}

TEST_F_TIMEOUT(slow, waits, 60)
{
	leave_helper(_metadata, false);
	for (;;)
		pause();
}

TEST_F_TIMEOUT(slow, waits_dependently, 60)
{
	leave_helper(_metadata, true);
	for (;;)
		pause();
}

TEST_F_SIGNAL(slow, dies, SIGUSR1)
{
	raise(SIGUSR1);
}

FIXTURE(box) {
	int value;
	char *memory;
};

FIXTURE_VARIANT(box) {
	int start;
	bool setup_fails;
	bool setup_skips;
	bool teardown_fails;
};

FIXTURE_VARIANT_ADD(box, good) {
	.start = 1,
};

FIXTURE_VARIANT_ADD(box, bad_setup) {
	.setup_fails = true,
};

FIXTURE_VARIANT_ADD(box, skipping_setup) {
	.setup_skips = true,
};

FIXTURE_VARIANT_ADD(box, bad_teardown) {
	.start = 4,
	.teardown_fails = true,
};

FIXTURE_SETUP(box)
{
	EXPECT_EQ(0, self->value);	/* comes zeroed */
	if (variant->setup_skips)
		SKIP(return, "setup says no");
	ASSERT_FALSE(variant->setup_fails);
	self->value = variant->start;
	self->memory = malloc(10);
}

FIXTURE_TEARDOWN(box)
{
	TH_LOG("teardown %d", self->value);
	free(self->memory);
	ASSERT_FALSE(variant->teardown_fails);
}

TEST_F(box, first)
{
	TH_LOG("first %d", self->value);
	self->value++;
}

TEST_F(box, second)
{
	TH_LOG("second %d", self->value);
	ASSERT_EQ(100, self->value);
}

TEST_F(box, third)
{
	SKIP(return, "after setup");
}

TEST_HARNESS_MAIN
