// SPDX-License-Identifier: MIT
/* load.c - the module comes and goes, also where memory fails it. */
#include "kmod.h"
#include "faults.h"

#include <kselftest_harness.h>

/* 0 or -errno; a mount of its filesystem outlives the last file by a moment. */
static int unload(void)
{
	for (int i = 0; i < 500; i++) {
		if (!syscall(SYS_delete_module, "pinring", O_NONBLOCK) || errno == ENOENT)
			return 0;
		if (errno != EWOULDBLOCK)
			return -errno;
		usleep(10000);
	}
	return -EWOULDBLOCK;
}

FIXTURE(load) {
	int module;
};

FIXTURE_SETUP(load)
{
	self->module = open("/pinring.ko", O_RDONLY | O_CLOEXEC);
	ASSERT_GE(self->module, 0);
	ASSERT_EQ(0, unload());
}

static int load(int module, const char *parameters)
{
	return syscall(SYS_finit_module, module, parameters, 0) ? -errno : 0;
}

/* As init loads it, whatever came of the test. */
FIXTURE_TEARDOWN(load)
{
	(void)unload();
	EXPECT_EQ(0, load(self->module, ""));
	close(self->module);
}

static bool is_there(void)
{
	return !access("/dev/pinring", F_OK) || !access("/sys/class/misc/pinring", F_OK) ||
	       !access("/sys/module/pinring", F_OK);
}

TEST_F_TIMEOUT(load, comes_and_goes, 120)
{
	long before = free_memory();

	for (int i = 0; i < 6; i++) {
		EXPECT_FALSE(is_there());
		ASSERT_EQ(0, load(self->module, "reserve=4,8"));
		EXPECT_TRUE(is_there());
		EXPECT_EQ(4, sysfs_read("node0/free_pages"));
		EXPECT_EQ(8, sysfs_read("node1/free_pages"));
		ASSERT_EQ(0, unload());
	}
	EXPECT_LT(before - free_memory(), (long)(48 * HUGE >> 10));
}

TEST_F_TIMEOUT(load, with_a_reserve_that_cannot_be_had_puts_by_what_can, 120)
{
	ASSERT_EQ(0, load(self->module, "reserve=0,4000,0,1"));
	EXPECT_EQ(0, sysfs_read("node0/reserve_pages"));
	EXPECT_GT(sysfs_read("node1/reserve_pages"), 100);
	EXPECT_EQ(sysfs_read("node1/reserve_pages"), sysfs_read("node1/free_pages"));
}

/* Each allocation that the module's own code asks for, directly or not. */
static void fail(struct __test_metadata *_metadata, int module, bool go_on)
{
	unsigned int nth = 0, failures = 0;
	struct faults faults;
	bool failed;
	int rc;

	ASSERT_EQ(0, faults_open(&faults));
	ASSERT_EQ(0, faults_go_on(go_on));
	faults_of_modules(true);
	do {
		ASSERT_EQ(0, faults_arm(&faults, ++nth));
		rc = load(module, "reserve=2,2");
		failed = faults_disarm(&faults);
		if (rc) {
			failures++;
			EXPECT_TRUE(failed && rc == -ENOMEM) {
				TH_LOG("failure %u: %s", nth, strerror(-rc));
			}
			EXPECT_FALSE(is_there());
		} else {
			ASSERT_EQ(0, unload());
		}
	} while (failed && nth < 10000);
	faults_of_modules(false);
	faults_go_on(false);
	faults_close(&faults);
	TH_LOG("%u chances to fail, %u failures", nth - 1, failures);
	EXPECT_FALSE(failed);
	EXPECT_GT(failures, 5);
}

TEST_F_TIMEOUT(load, fails_without_a_trace, 300)
{
	const char *why = faults_prepare();

	if (why) {
		SKIP(return, "%s", why);
	}
	fail(_metadata, self->module, false);
	fail(_metadata, self->module, true);
}

TEST_HARNESS_MAIN
