/* SPDX-License-Identifier: MIT */
/*
 * A test harness with the macro names and meanings of the kernel's
 * tools/testing/selftests/kselftest_harness.h, so that a test file compiles
 * unchanged against either.
 *
 *	FIXTURE(queue) { struct queue *q; };
 *	FIXTURE_SETUP(queue) { self->q = queue_new(); ASSERT_NE(NULL, self->q); }
 *	FIXTURE_TEARDOWN(queue) { queue_free(self->q); }
 *	TEST_F(queue, starts_empty) { EXPECT_EQ(0, queue_len(self->q)); }
 *	TEST_HARNESS_MAIN
 *
 * Every test runs in a forked child that leads a process group. When it ends,
 * or its time is up, the whole group is killed and reaped; a helper that a test
 * forks is killed when the thread that forked it ends. A test passes when
 * it came to its end, nothing in it failed (helpers that it forked and threads
 * included), and its process left with 0: that exit runs atexit handlers, so a
 * sanitizer's verdict counts too.
 *
 * Stricter than the kernel's: a failure before SKIP() stays a failure, exit(0)
 * in mid-test is one, and so is a failed EXPECT_*() in a forked helper.
 * Laxer: EXPECT_*() and ASSERT_*() may fail in any thread.
 *
 * TEST_TIMEOUT in the environment is how many seconds each test may take.
 * Exit code: 0 passed, 1 failed, 4 all skipped.
 */
#ifndef PINRING_KSELFTEST_HARNESS_H
#define PINRING_KSELFTEST_HARNESS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fnmatch.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KSFT_PASS 0
#define KSFT_FAIL 1
#define KSFT_SKIP 4

#define TEST_TIMEOUT_DEFAULT 30	/* seconds */

#ifndef TH_LOG_STREAM
#define TH_LOG_STREAM stderr
#endif
#ifndef TH_LOG_ENABLED
#define TH_LOG_ENABLED 1
#endif
#ifndef ARRAY_SIZE
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#endif

struct __fixture_variant_metadata {
	const char *name;
	const void *data;
	struct __fixture_variant_metadata *next;
	int order;
};

struct __fixture_metadata {
	const char *name;
	struct __test_metadata *tests;
	struct __fixture_variant_metadata *variants;
	struct __fixture_metadata *next;
	int order;
};

/*
 * A running test works on a copy in memory shared with the harness; the
 * fields from passed on are how the child, its threads and helpers report.
 */
struct __test_metadata {
	const char *name;
	void (*fn)(struct __test_metadata *_metadata, const void *variant);
	int termsig;			/* the signal it must die of, or -1 */
	int timeout;			/* seconds; 0: none */
	struct __test_metadata *next;
	int order;

	bool passed;
	bool skip;
	bool needs_teardown;
	bool finished;			/* came to its end */
	pid_t pid;
	jmp_buf env;			/* where a failed ASSERT_*() goes */
	char reason[256];		/* of SKIP() */
};

static struct __fixture_metadata _fixture_global = { .name = "global" };

/* In the order of the file, whatever order link-time optimisation chose. */
#define __TH_INSERT(head, item) do { \
	__typeof__(&(head)) __th_link = &(head); \
	while (*__th_link && (*__th_link)->order < (item)->order) \
		__th_link = &(*__th_link)->next; \
	(item)->next = *__th_link; \
	*__th_link = (item); \
} while (0)

#define __TH_CONSTRUCTOR(name) static void __attribute__((constructor)) name(void)
#define __TH_UNUSED __attribute__((unused))

/* Defining tests and fixtures */

#define TEST(test_name) __TEST_IMPL(test_name, -1)
#define TEST_SIGNAL(test_name, signal) __TEST_IMPL(test_name, signal)

#define __TEST_IMPL(test_name, _signal) \
	static void test_name(struct __test_metadata *_metadata); \
	static void wrapper_##test_name(struct __test_metadata *_metadata, \
					const void *variant __TH_UNUSED) \
	{ \
		if (!setjmp(_metadata->env)) \
			test_name(_metadata); \
	} \
	static struct __test_metadata _##test_name##_object = { \
		.name = #test_name, .fn = wrapper_##test_name, \
		.termsig = (_signal), .timeout = TEST_TIMEOUT_DEFAULT, \
		.order = __COUNTER__, \
	}; \
	__TH_CONSTRUCTOR(_register_##test_name) \
	{ \
		__TH_INSERT(_fixture_global.tests, &_##test_name##_object); \
	} \
	static void test_name(struct __test_metadata *_metadata __TH_UNUSED)

#define FIXTURE_DATA(fixture_name) struct _test_data_##fixture_name
#define FIXTURE_VARIANT(fixture_name) struct _fixture_variant_##fixture_name

#define FIXTURE(fixture_name) \
	FIXTURE_VARIANT(fixture_name); \
	static struct __fixture_metadata _##fixture_name##_fixture_object = { \
		.name = #fixture_name, .order = __COUNTER__, \
	}; \
	__TH_CONSTRUCTOR(_register_##fixture_name##_data) \
	{ \
		__TH_INSERT(_fixture_global.next, &_##fixture_name##_fixture_object); \
	} \
	FIXTURE_DATA(fixture_name)

#define FIXTURE_VARIANT_ADD(fixture_name, variant_name) \
	static const FIXTURE_VARIANT(fixture_name) \
		_##fixture_name##_##variant_name##_variant; \
	static struct __fixture_variant_metadata \
		_##fixture_name##_##variant_name##_object = { \
		.name = #variant_name, .order = __COUNTER__, \
		.data = &_##fixture_name##_##variant_name##_variant, \
	}; \
	__TH_CONSTRUCTOR(_register_##fixture_name##_##variant_name) \
	{ \
		__TH_INSERT(_##fixture_name##_fixture_object.variants, \
			    &_##fixture_name##_##variant_name##_object); \
	} \
	static const FIXTURE_VARIANT(fixture_name) \
		_##fixture_name##_##variant_name##_variant =

#define __TH_FIXTURE_FN(fixture_name, fn_name) \
	static void fn_name(struct __test_metadata *_metadata __TH_UNUSED, \
			    FIXTURE_DATA(fixture_name) *self __TH_UNUSED, \
			    const FIXTURE_VARIANT(fixture_name) *variant __TH_UNUSED)

#define FIXTURE_SETUP(fixture_name) \
	__TH_FIXTURE_FN(fixture_name, fixture_name##_setup)
#define FIXTURE_TEARDOWN(fixture_name) \
	__TH_FIXTURE_FN(fixture_name, fixture_name##_teardown)

#define TEST_F(fixture_name, test_name) \
	__TEST_F_IMPL(fixture_name, test_name, -1, TEST_TIMEOUT_DEFAULT)
#define TEST_F_SIGNAL(fixture_name, test_name, signal) \
	__TEST_F_IMPL(fixture_name, test_name, signal, TEST_TIMEOUT_DEFAULT)
#define TEST_F_TIMEOUT(fixture_name, test_name, timeout) \
	__TEST_F_IMPL(fixture_name, test_name, -1, timeout)

/*
 * self is static so that a longjmp() cannot clobber it, and wiped at the end
 * so that what teardown forgot to free is a leak for LeakSanitizer. No teardown
 * after a failed or skipping setup, and only one, even when it fails itself.
 */
#define __TEST_F_IMPL(fixture_name, test_name, _signal, _timeout) \
	__TH_FIXTURE_FN(fixture_name, fixture_name##_##test_name); \
	static void wrapper_##fixture_name##_##test_name( \
		struct __test_metadata *_metadata, const void *variant) \
	{ \
		static FIXTURE_DATA(fixture_name) self; \
		if (!setjmp(_metadata->env)) { \
			fixture_name##_setup(_metadata, &self, variant); \
			if (!__th_passed(_metadata) || _metadata->skip) \
				return; \
			_metadata->needs_teardown = true; \
			fixture_name##_##test_name(_metadata, &self, variant); \
		} \
		if (_metadata->needs_teardown) { \
			_metadata->needs_teardown = false; \
			fixture_name##_teardown(_metadata, &self, variant); \
		} \
		memset(&self, 0, sizeof(self)); \
	} \
	static struct __test_metadata _##fixture_name##_##test_name##_object = { \
		.name = #test_name, .fn = wrapper_##fixture_name##_##test_name, \
		.termsig = (_signal), .timeout = (_timeout), \
		.order = __COUNTER__, \
	}; \
	__TH_CONSTRUCTOR(_register_##fixture_name##_##test_name) \
	{ \
		__TH_INSERT(_##fixture_name##_fixture_object.tests, \
			    &_##fixture_name##_##test_name##_object); \
	} \
	__TH_FIXTURE_FN(fixture_name, fixture_name##_##test_name)

/* Inside a test */

#define TH_LOG(fmt, ...) do { \
	if (TH_LOG_ENABLED) \
		__TH_LOG(fmt, ##__VA_ARGS__); \
} while (0)

#define __TH_LOG(fmt, ...) \
	fprintf(TH_LOG_STREAM, "# %s:%d:%s:" fmt "\n", \
		__FILE__, __LINE__, _metadata->name, ##__VA_ARGS__)

#define SKIP(statement, fmt, ...) do { \
	snprintf(_metadata->reason, sizeof(_metadata->reason), fmt, ##__VA_ARGS__); \
	_metadata->skip = true; \
	statement; \
} while (0)

/*
 * A check is a loop that runs the caller's optional handler (a block or a
 * statement after the macro) once if the check failed; an ASSERT_*() leaves
 * the test behind the handler. Comparing in the common type is what C does
 * anyway, said aloud so that -Wsign-compare has nothing to add.
 *
 * The empty statement in front is there because the kernel's checks are two
 * statements: as the body of an if, else or for they need braces, there as here.
 */
#define __TH_CAT(a, b) a##b
#define __TH_NAME(line) __TH_CAT(__th_failed_, line)
#define __TH_CHECK(_failed, _assert) \
	do { } while (0); \
	for (bool __TH_NAME(__LINE__) = (_failed); __TH_NAME(__LINE__); \
	     __TH_NAME(__LINE__) = __th_bail(_metadata, _assert))

/* A value to print; gcc numbers type classes: 5 is a pointer, 8 a real. */
#define __TH_IS_REAL(_v) (__builtin_classify_type(_v) == 8)
#define __TH_VALUE(_text, _v) \
	&(struct __th_value) { (_text), __builtin_classify_type(_v), \
		(__typeof__(_v))-1 < (__typeof__(_v))1, \
		(intmax_t)__builtin_choose_expr(__TH_IS_REAL(_v), 0, _v), \
		__builtin_choose_expr(__TH_IS_REAL(_v), _v, 0) }

#define __EXPECT(_expected, _expected_str, _seen, _seen_str, _op, _assert) \
	__TH_CHECK(__extension__ ({ \
		__typeof__(_expected) __exp = (_expected); \
		__typeof__(_seen) __seen = (_seen); \
		typedef __typeof__(1 ? __exp : __seen) __th_common; \
		bool __th_ok = (__th_common)__exp _op (__th_common)__seen; \
		if (!__th_ok) \
			__th_mismatch(_metadata, __FILE__, __LINE__, #_op, \
				      __TH_VALUE(_expected_str, __exp), \
				      __TH_VALUE(_seen_str, __seen)); \
		!__th_ok; }), _assert)

#define __EXPECT_STR(_expected, _seen, _equal, _assert) \
	__TH_CHECK(__th_str_failed(_metadata, __FILE__, __LINE__, #_expected, \
				   (_expected), #_seen, (_seen), _equal), _assert)

#define ASSERT_EQ(expected, seen) __EXPECT(expected, #expected, seen, #seen, ==, true)
#define ASSERT_NE(expected, seen) __EXPECT(expected, #expected, seen, #seen, !=, true)
#define ASSERT_LT(expected, seen) __EXPECT(expected, #expected, seen, #seen, <, true)
#define ASSERT_LE(expected, seen) __EXPECT(expected, #expected, seen, #seen, <=, true)
#define ASSERT_GT(expected, seen) __EXPECT(expected, #expected, seen, #seen, >, true)
#define ASSERT_GE(expected, seen) __EXPECT(expected, #expected, seen, #seen, >=, true)
#define ASSERT_NULL(seen) __EXPECT(NULL, "NULL", seen, #seen, ==, true)
#define ASSERT_TRUE(seen) __EXPECT(0, "0", seen, #seen, !=, true)
#define ASSERT_FALSE(seen) __EXPECT(0, "0", seen, #seen, ==, true)
#define ASSERT_STREQ(expected, seen) __EXPECT_STR(expected, seen, true, true)
#define ASSERT_STRNE(expected, seen) __EXPECT_STR(expected, seen, false, true)
#define EXPECT_EQ(expected, seen) __EXPECT(expected, #expected, seen, #seen, ==, false)
#define EXPECT_NE(expected, seen) __EXPECT(expected, #expected, seen, #seen, !=, false)
#define EXPECT_LT(expected, seen) __EXPECT(expected, #expected, seen, #seen, <, false)
#define EXPECT_LE(expected, seen) __EXPECT(expected, #expected, seen, #seen, <=, false)
#define EXPECT_GT(expected, seen) __EXPECT(expected, #expected, seen, #seen, >, false)
#define EXPECT_GE(expected, seen) __EXPECT(expected, #expected, seen, #seen, >=, false)
#define EXPECT_NULL(seen) __EXPECT(NULL, "NULL", seen, #seen, ==, false)
#define EXPECT_TRUE(seen) __EXPECT(0, "0", seen, #seen, !=, false)
#define EXPECT_FALSE(seen) __EXPECT(0, "0", seen, #seen, ==, false)
#define EXPECT_STREQ(expected, seen) __EXPECT_STR(expected, seen, true, false)
#define EXPECT_STRNE(expected, seen) __EXPECT_STR(expected, seen, false, false)

struct __th_value {
	const char *text;
	int type_class;
	bool is_signed;
	intmax_t integer;
	long double real;
};

static inline bool __th_passed(struct __test_metadata *t)
{
	return __atomic_load_n(&t->passed, __ATOMIC_RELAXED);
}

static inline void __th_fail(struct __test_metadata *t)
{
	__atomic_store_n(&t->passed, false, __ATOMIC_RELAXED);
}

/* After a failed check and its handler. Only the test's own thread can jump. */
static inline bool __th_bail(struct __test_metadata *t, bool is_assert)
{
	if (!is_assert)
		return false;
	if (syscall(SYS_gettid) == t->pid)
		longjmp(t->env, 1);
	fflush(NULL);
	_exit(KSFT_FAIL);
}

static inline const char *__th_format(char buf[64], const struct __th_value *v)
{
	if (v->type_class == 8)
		snprintf(buf, 64, "%.17Lg", v->real);
	else if (v->type_class == 5)
		snprintf(buf, 64, "%p", (void *)(uintptr_t)v->integer);
	else if (v->is_signed)
		snprintf(buf, 64, "%jd", v->integer);
	else
		snprintf(buf, 64, "%ju", (uintmax_t)v->integer);
	return buf;
}

static inline void __th_mismatch(struct __test_metadata *t, const char *file, int line,
				 const char *op, const struct __th_value *expected,
				 const struct __th_value *seen)
{
	char e[64], s[64];

	fprintf(TH_LOG_STREAM, "# %s:%d:%s:Expected %s (%s) %s %s (%s)\n",
		file, line, t->name, expected->text, __th_format(e, expected),
		op, seen->text, __th_format(s, seen));
	__th_fail(t);
}

static inline bool __th_str_failed(struct __test_metadata *t, const char *file, int line,
				   const char *expected_text, const char *expected,
				   const char *seen_text, const char *seen, bool equal)
{
	bool same = expected && seen ? !strcmp(expected, seen) : expected == seen;

	if (same == equal)
		return false;
	fprintf(TH_LOG_STREAM, "# %s:%d:%s:Expected %s ('%s') %s %s ('%s')\n",
		file, line, t->name, expected_text, expected ? expected : "(null)",
		equal ? "==" : "!=", seen_text, seen ? seen : "(null)");
	__th_fail(t);
	return true;
}

#include "runner.h"

#define TEST_HARNESS_MAIN \
	int main(int argc, char **argv) \
	{ \
		return test_harness_run(argc, argv); \
	}

#endif /* PINRING_KSELFTEST_HARNESS_H */
