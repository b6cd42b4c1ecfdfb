/* SPDX-License-Identifier: MIT */
/* executor_test.h - what the tests of executors have in common. */
#ifndef PINRING_TEST_EXECUTOR_TEST_H
#define PINRING_TEST_EXECUTOR_TEST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <pinring/executor.h>

#define SECOND 1000000000ll

/* Of the harness's, which is included before. */
#define SAYS(word) \
	EXPECT_NE(NULL, strstr(pinring_error(), word)) \
		TH_LOG("no '%s' in \"%s\"", (word), pinring_error())

#define ASSERT_OK(call) \
	ASSERT_EQ(0, call) \
		TH_LOG("%s", pinring_error())

/* A kernel's text wants one; a virtual machine of these tests has none. */
static inline bool has_compiler(void)
{
	return system("${CC:-cc} --version >/dev/null 2>&1") == 0;
}

#define NEEDS_COMPILER()                                     \
	do {                                                 \
		if (!has_compiler()) {                       \
			SKIP(return, "no C compiler: install gcc"); \
		}                                            \
	} while (0)

static inline int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * SECOND + t.tv_nsec;
}

/* Loops until `condition` holds, 20 s at most; says whether it did. */
#define COMES_TRUE(condition) __extension__ ({ \
	int64_t __deadline = now_ns() + 20 * SECOND; \
	bool __true; \
	while (!(__true = (condition)) && now_ns() < __deadline) \
		usleep(200); \
	__true; })

static inline struct pinring_executor_info info_of(const struct pinring_executor *ex)
{
	struct pinring_executor_info info = PINRING_INIT(struct pinring_executor_info);

	if (pinring_executor_info(ex, &info))
		memset(&info, 0, sizeof(info));
	return info;
}

/* xorshift64* (Vigna, 2014): the same each run, and in each file. */
static inline uint64_t random_word(void)
{
	static uint64_t state = 0x9e3779b97f4a7c15;

	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1d;
}

static inline uint32_t random_bits(void)
{
	return (uint32_t)(random_word() >> 32);
}

/* From -range to range. */
static inline float random_float(float range)
{
	return ((float)(random_bits() >> 8) * 0x1p-23f - 1.0f) * range;
}

#endif /* PINRING_TEST_EXECUTOR_TEST_H */
