/* SPDX-License-Identifier: MIT */
/*
 * faults.h - makes the kernel fail an allocation or a copy of the calling thread.
 * It takes a kernel with CONFIG_FAULT_INJECTION: make check-debug-kernel.
 */
#ifndef PINRING_TEST_FAULTS_H
#define PINRING_TEST_FAULTS_H

#include "kmod.h"

#define FAULTS "/sys/kernel/debug/"

/* NULL, or why nothing can be made to fail. */
TEST_UNUSED static const char *faults_prepare(void)
{
	if (access("/proc/self/fail-nth", W_OK))
		return "this kernel has no /proc/self/fail-nth (make check-debug-kernel)";
	if (file_put(FAULTS "failslab/ignore-gfp-wait", "N") ||
	    file_put(FAULTS "failslab/verbose", "0") ||
	    file_put(FAULTS "fail_page_alloc/ignore-gfp-wait", "N") ||
	    file_put(FAULTS "fail_page_alloc/ignore-gfp-highmem", "N") ||
	    file_put(FAULTS "fail_page_alloc/min-order", "0") ||
	    file_put(FAULTS "fail_page_alloc/verbose", "0") ||
	    file_put(FAULTS "fail_usercopy/verbose", "0"))
		return "no knobs of failslab, fail_page_alloc and fail_usercopy in debugfs";
	return NULL;
}

/* Whether only what a module's code asks for fails, directly or not. */
TEST_UNUSED static int faults_of_modules(bool only)
{
	/* Documentation/arch/x86/x86_64/mm.rst */
	const char *start = only ? "0xffffffffa0000000" : "0";
	const char *end = only ? "0xffffffffff000000" : "0xffffffffffffffff";
	static const char *const of[] = { "failslab", "fail_page_alloc", "fail_usercopy" };
	char path[64];
	int rc = 0;

	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]) && !rc; i++) {
		snprintf(path, sizeof(path), FAULTS "%s/require-start", of[i]);
		rc = file_put(path, start);
		snprintf(path, sizeof(path), FAULTS "%s/require-end", of[i]);
		if (!rc)
			rc = file_put(path, end);
	}
	return rc;
}

/* For faults_arm(), of this thread. */
TEST_UNUSED static int faults_open(void)
{
	int fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* The thread's nth chance from here on will fail. */
TEST_UNUSED static int faults_arm(int file, unsigned int nth)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%u", nth);

	return pwrite(file, text, (size_t)length, 0) == length ? 0 : -errno;
}

/* Whether it did. */
TEST_UNUSED static bool faults_disarm(int file)
{
	char text[16] = "";
	/* What is left of it may hit this read and write themselves. */
	bool failed = pread(file, text, sizeof(text), 0) > 0 && text[0] == '0';

	while (pwrite(file, "0", 1, 0) != 1)
		;
	return failed;
}

#endif /* PINRING_TEST_FAULTS_H */
