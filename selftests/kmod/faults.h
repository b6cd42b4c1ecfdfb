/* SPDX-License-Identifier: MIT */
/*
 * faults.h - makes the kernel fail an allocation or a copy of the calling thread.
 * It takes a kernel with CONFIG_FAULT_INJECTION: make check-debug-kernel.
 */
#ifndef PINRING_TEST_FAULTS_H
#define PINRING_TEST_FAULTS_H

#include "kmod.h"

#include <dirent.h>

#define FAULTS "/sys/kernel/debug/"

/* NULL, or why nothing can be made to fail. */
TEST_UNUSED static const char *faults_prepare(void)
{
	if (access("/proc/self/fail-nth", W_OK))
		return "this kernel has no /proc/self/fail-nth (make check-debug-kernel)";
	if (file_put(FAULTS "failslab/ignore-gfp-wait", "N") ||
	    file_put(FAULTS "failslab/verbose", "0") ||
	    file_put(FAULTS "failslab/times", "-1") ||
	    file_put(FAULTS "failslab/task-filter", "Y") ||
	    file_put(FAULTS "fail_page_alloc/ignore-gfp-wait", "N") ||
	    file_put(FAULTS "fail_page_alloc/ignore-gfp-highmem", "N") ||
	    file_put(FAULTS "fail_page_alloc/min-order", "0") ||
	    file_put(FAULTS "fail_page_alloc/verbose", "0") ||
	    file_put(FAULTS "fail_page_alloc/times", "-1") ||
	    file_put(FAULTS "fail_page_alloc/task-filter", "Y") ||
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

/*
 * Whether every allocation after the one that faults_arm() names fails, too: many a
 * caller asks again, and would never go the way that it has for such a case.
 */
TEST_UNUSED static int faults_go_on(bool on)
{
	const char *percent = on ? "100" : "0";
	int rc = file_put(FAULTS "failslab/probability", percent);

	return rc ?: file_put(FAULTS "fail_page_alloc/probability", percent);
}

/* Of the calling thread. */
struct faults {
	int nth, go_on; /* fds */
};

TEST_UNUSED static int faults_open(struct faults *faults)
{
	faults->nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	faults->go_on = open("/proc/thread-self/make-it-fail", O_WRONLY | O_CLOEXEC);
	return faults->nth < 0 || faults->go_on < 0 ? -errno : 0;
}

TEST_UNUSED static void faults_close(struct faults *faults)
{
	close(faults->nth);
	close(faults->go_on);
}

/* The thread's nth chance from here on will fail. */
TEST_UNUSED static int faults_arm(struct faults *faults, unsigned int nth)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%u", nth);

	/* These two take no memory. */
	if (pwrite(faults->go_on, "1", 1, 0) != 1)
		return -errno;
	return pwrite(faults->nth, text, (size_t)length, 0) == length ? 0 : -errno;
}

/* Whether it did. */
TEST_UNUSED static bool faults_disarm(struct faults *faults)
{
	char text[16] = "";
	/* What is left of it may hit this read and write themselves. */
	bool failed = pread(faults->nth, text, sizeof(text), 0) > 0 && text[0] == '0';

	while (pwrite(faults->nth, "0", 1, 0) != 1)
		;
	while (pwrite(faults->go_on, "0", 1, 0) != 1)
		;
	return failed;
}

TEST_UNUSED static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

/* What a call that failed has to leave as it was. */
struct state {
	int fds;
	long long regions, bytes, doorbells;
};

TEST_UNUSED static struct state state(void)
{
	return (struct state){
		.fds = count_fds(),
		.regions = sysfs_read("regions"),
		.bytes = sysfs_read("bytes"),
		.doorbells = sysfs_read("doorbells"),
	};
}

#endif /* PINRING_TEST_FAULTS_H */
