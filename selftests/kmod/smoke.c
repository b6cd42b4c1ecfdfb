// SPDX-License-Identifier: MIT
/*
 * smoke.c - a region comes and goes: enough to set off a fault that was planted
 * (selftests/vm/faults), and no more.
 */
#include "kmod.h"

#include <kselftest_harness.h>

TEST(a_region_comes_and_goes)
{
	struct pinring_ioc_region_info info = ARG(pinring_ioc_region_info);
	int fd = region(HUGE);
	unsigned char *p;

	ASSERT_GE(fd, 0);
	EXPECT_EQ(0, call(fd, PINRING_IOC_REGION_INFO, &info));
	EXPECT_EQ(HUGE, info.size);
	p = map(fd, HUGE);
	ASSERT_NE(NULL, p);
	p[0] = 1;
	munmap(p, HUGE);
	close(fd);
}

TEST_HARNESS_MAIN
