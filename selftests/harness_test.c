// SPDX-License-Identifier: MIT
/*
 * The harness must be seen to fail when it should: each test here runs one
 * test of harness/victim and reads the KTAP and the exit code.
 */
#include "kselftest_harness.h"
#include <limits.h>
#include <signal.h>
#include <time.h>

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define ASAN 1
#else
#define ASAN 0
#endif
#ifdef __SANITIZE_THREAD__
#define TSAN 1
#else
#define TSAN 0
#endif

struct victim {
	pid_t pid;
	int fd;
	int code;		/* exit code, or 128 + signal */
	char out[65536];
	size_t len;
};

static struct victim victim;

/* Starts harness/victim, which lies beside us, with up to four arguments. */
static void start(struct __test_metadata *_metadata, const char *const args[4])
{
	char path[PATH_MAX];
	char *argv[6] = { path };
	ssize_t len;
	int fds[2];

	len = readlink("/proc/self/exe", path, sizeof(path) - 32);
	ASSERT_LT(0, len);
	path[len] = '\0';
	strcpy(strrchr(path, '/'), "/harness/victim");
	for (int i = 0; i < 4; i++)
		argv[i + 1] = (char *)(uintptr_t)args[i];

	ASSERT_EQ(0, pipe(fds));
	victim.pid = fork();
	ASSERT_LE(0, victim.pid);
	if (!victim.pid) {
		dup2(fds[1], STDOUT_FILENO);
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		execv(path, argv);
		_exit(127);
	}
	close(fds[1]);
	victim.fd = fds[0];
}

/* Reads until text appears, or to the end of the output if it is NULL. */
static void read_until(struct __test_metadata *_metadata, const char *text)
{
	ssize_t n;

	while (!text || !strstr(victim.out, text)) {
		n = read(victim.fd, victim.out + victim.len,
			 sizeof(victim.out) - 1 - victim.len);
		ASSERT_LE(0, n);
		if (!n)
			break;
		victim.len += (size_t)n;
		victim.out[victim.len] = '\0';
	}
}

/*
 * The output ends when the last process that holds it is gone: a surviving
 * helper would make us hang here, and so fail.
 */
static void finish(struct __test_metadata *_metadata)
{
	int status;

	read_until(_metadata, NULL);
	close(victim.fd);
	ASSERT_EQ(victim.pid, waitpid(victim.pid, &status, 0));
	victim.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#define RUN(...) do { \
	start(_metadata, (const char *const [4]) { __VA_ARGS__ }); \
	finish(_metadata); \
} while (0)

#define HAS(text) \
	EXPECT_TRUE(strstr(victim.out, (text)) != NULL) \
		TH_LOG("no '%s' in:\n%s", (text), victim.out)
#define HAS_NOT(text) \
	EXPECT_FALSE(strstr(victim.out, (text)) != NULL) \
		TH_LOG("'%s' in:\n%s", (text), victim.out)
#define LEFT_WITH(expected) \
	EXPECT_EQ(expected, victim.code) TH_LOG("it said:\n%s", victim.out)

static int count(const char *text)
{
	int n = 0;

	for (const char *p = victim.out; (p = strstr(p, text)); p++)
		n++;
	return n;
}

/* The victim's "helper PID" line; gone means killed and reaped. */
static void helper_is_gone(struct __test_metadata *_metadata)
{
	const char *line = strstr(victim.out, ":helper ");

	ASSERT_NE(NULL, line);
	EXPECT_EQ(-1, kill(atoi(line + strlen(":helper ")), 0));
	EXPECT_EQ(ESRCH, errno);
}

TEST(passing_test_is_ok)
{
	RUN("-t", "passes");
	LEFT_WITH(0);
	EXPECT_EQ(0, strncmp(victim.out, "TAP version 13\n1..1\n", 20));
	HAS("#  RUN           global.passes ...\n");
	HAS("\nok 1 global.passes\n");
	HAS("# Totals: pass:1 fail:0 xfail:0 xpass:0 skip:0 error:0\n");
}

TEST(failed_assert_stops_and_says_where_and_what)
{
	const char *line;
	char where[128];

	RUN("-t", "assert_stops");
	LEFT_WITH(1);
	HAS("\nnot ok 1 global.assert_stops\n");
	line = strstr(victim.out, ":line ");
	ASSERT_NE(NULL, line);
	snprintf(where, sizeof(where), "victim.c:%d:assert_stops:"
		 "Expected 41 (41) == zero + 42 (42)\n", atoi(line + strlen(":line ")));
	HAS(where);
	HAS_NOT("not reached");
	HAS("# Totals: pass:0 fail:1 ");
}

TEST(failed_expect_continues_and_fails)
{
	RUN("-t", "expect_continues");
	LEFT_WITH(1);
	HAS("Expected 7 (7) == zero (0)\n");
	HAS("Expected 9 (9) < zero (0)\n");
	HAS(":expect_continues:reached\n");
	HAS("\nnot ok 1 ");
}

TEST(every_comparison_holds_when_it_should)
{
	RUN("-t", "all_hold");
	LEFT_WITH(0);
	HAS_NOT("Expected");
}

TEST(every_comparison_fails_when_it_should)
{
	RUN("-t", "none_hold");
	LEFT_WITH(1);
	EXPECT_EQ(11, count(":none_hold:Expected "));
}

TEST(asserts_that_hold_do_not_stop)
{
	RUN("-t", "asserts_hold");
	LEFT_WITH(1);
	EXPECT_EQ(1, count("Expected "));
	HAS("Expected 1 (1) == zero (0)");
}

TEST(strings_are_shown)
{
	RUN("-t", "strings");
	LEFT_WITH(1);
	HAS("Expected \"left\" ('left') == \"right\" ('right')\n");
	HAS("Expected \"same\" ('same') != \"same\" ('same')\n");
	HAS("Expected \"some\" ('some') == none ('(null)')\n");
}

TEST(values_are_shown_as_their_type)
{
	RUN("-t", "values");
	LEFT_WITH(1);
	HAS("Expected -3 (-3) == (int8_t)(zero - 4) (-4)\n");
	HAS("(18446744073709551615)\n");
	HAS("Expected 0.25 (0.25) == zero + 1.5 (1.5)\n");
	HAS("(0x10) == ");
}

TEST(arguments_are_evaluated_once)
{
	RUN("-t", "evaluates_once");
	EXPECT_EQ(1, count("Expected "));
	HAS("Expected 7 (7) == ++calls (1)\n");
}

TEST(handler_runs_only_after_a_failure)
{
	RUN("-t", "handlers");
	LEFT_WITH(1);
	HAS(":statement handler\n");
	HAS(":block handler 3\n");
	HAS("Expected 4 (4) == zero (0)\n");
	HAS_NOT("not taken");
	HAS_NOT("not run");
	HAS_NOT("not reached");
}

TEST(skip_is_ok_with_its_reason_and_exit_4)
{
	RUN("-t", "skips");
	LEFT_WITH(4);
	HAS("\nok 1 global.skips # SKIP no device 7\n");
	HAS("skip:1 ");
}

TEST(skip_and_pass_exit_0)
{
	RUN("-t", "skips", "-t", "passes");
	LEFT_WITH(0);
	HAS("\n1..2\n");
	HAS("\nok 1 global.passes\n");
	HAS("\nok 2 global.skips # SKIP no device 7\n");
}

TEST(skip_does_not_hide_a_failure)
{
	RUN("-t", "skips_after_failure");
	LEFT_WITH(1);
	HAS("\nnot ok 1 global.skips_after_failure\n");
}

TEST(skip_and_failure_exit_1)
{
	RUN("-t", "skips", "-t", "assert_stops");
	LEFT_WITH(1);
	HAS("\nnot ok 1 global.assert_stops\n");
	HAS("\nok 2 global.skips # SKIP");
}

TEST(crash_is_not_ok)
{
	RUN("-t", "crashes", "-t", "skips");
	LEFT_WITH(1);
	HAS("\nnot ok 2 global.crashes\n");
	if (ASAN || TSAN) {
		HAS("before its end");
	} else {
		HAS("killed by signal 11 (Segmentation fault)");
	}
	HAS("\nok 1 global.skips");	/* and the others still run */
}

TEST(abort_is_not_ok)
{
	RUN("-t", "aborts");
	LEFT_WITH(1);
	HAS("\nnot ok 1 global.aborts\n");
}

TEST(exit_in_mid_test_is_not_ok)
{
	RUN("-t", "exits_zero");
	LEFT_WITH(1);
	HAS("left with exit code 0 before its end\n");
	HAS("\nnot ok 1 global.exits_zero\n");
}

TEST(exit_code_is_shown)
{
	RUN("-t", "exits_seven");
	LEFT_WITH(1);
	HAS("left with exit code 7 before its end\n");
}

TEST(expected_signal_is_ok)
{
	RUN("-t", "*_as_expected", "-t", "dies");
	LEFT_WITH(0);
	HAS("\nok 1 global.dies_as_expected\n");
	HAS("\nok 2 global.aborts_as_expected\n");
	HAS("\nok 3 slow.dies\n");
}

TEST(missing_signal_is_not_ok)
{
	RUN("-t", "survives");
	LEFT_WITH(1);
	HAS("ended instead of dying of signal 10");
}

TEST(other_signal_is_not_ok)
{
	RUN("-t", "dies_otherwise");
	LEFT_WITH(1);
	HAS("killed by signal 12");
	HAS("\nnot ok 1 ");
}

TEST(expected_signal_does_not_hide_a_failure)
{
	RUN("-t", "fails_then_dies");
	LEFT_WITH(1);
	HAS("\nnot ok 1 ");
}

TEST(hanging_test_is_killed_with_its_helpers)
{
	struct timespec before, after;

	clock_gettime(CLOCK_MONOTONIC, &before);
	RUN("-t", "hangs");
	clock_gettime(CLOCK_MONOTONIC, &after);
	LEFT_WITH(1);
	HAS("no end after 1 s, killed with its process group\n");
	HAS("\nnot ok 1 slow.hangs\n");
	helper_is_gone(_metadata);
	EXPECT_LE(1000, (after.tv_sec - before.tv_sec) * 1000 +
			(after.tv_nsec - before.tv_nsec) / 1000000);
}

TEST(timeout_may_come_from_outside)
{
	setenv("TEST_TIMEOUT", "1", 1);
	RUN("-t", "waits");
	unsetenv("TEST_TIMEOUT");
	LEFT_WITH(1);
	HAS("no end after 1 s, killed with its process group\n");
	helper_is_gone(_metadata);
}

TEST(stopped_test_is_killed)
{
	RUN("-t", "stops");
	LEFT_WITH(1);
	HAS("\nnot ok 1 slow.stops\n");
}

TEST(left_helper_is_killed_and_reaped)
{
	RUN("-t", "leaves_helper");
	LEFT_WITH(0);
	helper_is_gone(_metadata);
}

TEST(sigterm_stops_the_test_and_its_helpers)
{
	start(_metadata, (const char *const [4]) { "-t", "waits" });
	read_until(_metadata, ":helper ");
	kill(victim.pid, SIGTERM);
	finish(_metadata);
	LEFT_WITH(128 + SIGTERM);
	HAS("Bail out! stopped by signal 15");
	helper_is_gone(_metadata);
}

/* The harness cannot do it then: the end of the output says that all are gone. */
TEST(sigkill_leaves_no_helper)
{
	start(_metadata, (const char *const [4]) { "-t", "waits_dependently" });
	read_until(_metadata, ":helper ");
	kill(victim.pid, SIGKILL);
	finish(_metadata);
	LEFT_WITH(128 + SIGKILL);
}

TEST(failed_check_in_a_helper_is_not_ok)
{
	RUN("-t", "helper_expects", "-t", "helper_asserts");
	LEFT_WITH(1);
	HAS("\nnot ok 1 global.helper_expects\n");
	HAS("\nnot ok 2 global.helper_asserts\n");
	HAS("helper left with 1\n");
}

TEST(helper_cannot_finish_for_the_test)
{
	RUN("-t", "helper_returns");
	LEFT_WITH(1);
	HAS("\nnot ok 1 global.helper_returns\n");
}

TEST(threads_may_fail)
{
	RUN("-t", "threads_expect", "-t", "thread_asserts_");
	LEFT_WITH(1);
	EXPECT_EQ(4, count(":threads_expect:Expected "));
	HAS(":joined\n");
	HAS("\nnot ok 1 global.threads_expect\n");
	HAS("\nnot ok 2 global.thread_asserts_\n");
	HAS_NOT("not reached");
	HAS_NOT("data race");
}

TEST(fixture_is_set_up_and_torn_down)
{
	RUN("-t", "box.good.*");
	LEFT_WITH(1);
	HAS("\n1..3\n");
	HAS(":first:first 1\n");
	HAS(":first:teardown 2\n");
	HAS("\nok 1 box.good.first\n");
	HAS(":second:second 1\n");
	HAS(":second:teardown 1\n");	/* after a failed ASSERT_EQ() too */
	HAS("\nnot ok 2 box.good.second\n");
	HAS(":third:teardown 1\n");
	HAS("\nok 3 box.good.third # SKIP after setup\n");
}

TEST(failed_setup_is_not_ok_and_runs_nothing)
{
	RUN("-t", "box.bad_setup.*");
	LEFT_WITH(1);
	EXPECT_EQ(3, count("\nnot ok "));
	HAS_NOT(":first 0");
	HAS_NOT("teardown");
}

TEST(skip_in_setup_runs_nothing)
{
	RUN("-t", "box.skipping_setup.*");
	LEFT_WITH(4);
	EXPECT_EQ(3, count("# SKIP setup says no\n"));
	HAS_NOT(":first 0");
	HAS_NOT("teardown");
}

TEST(failed_teardown_is_not_ok)
{
	RUN("-t", "box.bad_teardown.first");
	LEFT_WITH(1);
	EXPECT_EQ(1, count(":teardown 5\n"));
	HAS("\nnot ok 1 box.bad_teardown.first\n");
}

TEST(list_names_every_test_in_order)
{
	RUN("-l");
	LEFT_WITH(0);
	EXPECT_EQ(0, strncmp(victim.out, "global.passes\nglobal.assert_stops\n", 34));
	HAS("\nbox.good.first\nbox.good.second\nbox.good.third\nbox.bad_setup.first\n");
	HAS_NOT("TAP");
}

TEST(unknown_test_is_an_error)
{
	RUN("-t", "no_such");
	LEFT_WITH(1);
	HAS("no such test\n");
}

TEST(help_and_usage)
{
	RUN("-h");
	LEFT_WITH(0);
	HAS("usage: ");
}

TEST(unknown_option_is_an_error)
{
	RUN("-z");
	LEFT_WITH(1);
	HAS("usage: ");
}

TEST(stray_argument_is_an_error)
{
	RUN("passes");
	LEFT_WITH(1);
	HAS("usage: ");
}

TEST(leak_fails_under_asan)
{
	if (!ASAN)
		SKIP(return, "built without AddressSanitizer");
	RUN("-t", "leaks");
	if (strstr(victim.out, "LeakSanitizer has encountered a fatal error"))
		SKIP(return, "LeakSanitizer cannot stop the world here");
	LEFT_WITH(1);
	HAS("a sanitizer's report?");
	HAS("\nnot ok 1 global.leaks\n");
}

TEST(overflow_fails_under_asan)
{
	if (!ASAN)
		SKIP(return, "built without AddressSanitizer");
	RUN("-t", "overflows");
	LEFT_WITH(1);
	HAS("heap-buffer-overflow");
	HAS("\nnot ok 1 global.overflows\n");
}

TEST(race_fails_under_tsan)
{
	if (!TSAN)
		SKIP(return, "built without ThreadSanitizer");
	RUN("-t", "races");
	LEFT_WITH(1);
	HAS("data race");
	HAS("\nnot ok 1 global.races\n");
}

TEST_HARNESS_MAIN
