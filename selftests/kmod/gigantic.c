// SPDX-License-Identifier: MIT
/*
 * gigantic.c - a region of a page of 1 GiB, which a program has and the module
 * does not. One test, for to clear it takes long here.
 */
#include "adopt.h"

#include <kselftest_harness.h>
#include <linux/memfd.h>
#include <uapi/pinring_layout.h>

#define GIGANTIC (1ull << 30)
#define AT (GIGANTIC - HUGE) /* where a bell's words are */

TEST(a_page_of_1_GiB_is_adopted)
{
	struct pinring_ioc_region_info i = ARG(pinring_ioc_region_info);
	struct importer_map m = { .max_segment = UINT32_MAX };
	struct pinring_doorbell_lines *lines;
	int memfd, fd, bell, event, dmabuf, importer;
	unsigned char *p;

	if (pool_get(GIGANTIC, "free_hugepages") < 1) {
		SKIP(return, "no page of 1 GiB: boot with hugepagesz=1G hugepages=1");
	}
	memfd = memfd_create("gigantic", MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_1GB);
	ASSERT_GE(memfd, 0);
	ASSERT_EQ(0, ftruncate(memfd, (off_t)GIGANTIC));
	p = map(memfd, GIGANTIC);
	ASSERT_NE(NULL, p);
	fd = adopt(p, GIGANTIC);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(GIGANTIC, sysfs_read("bytes"));
	ASSERT_EQ(0, call(fd, PINRING_IOC_REGION_INFO, &i));
	EXPECT_EQ(GIGANTIC, i.size);
	EXPECT_EQ(GIGANTIC, i.huge_bytes);
	EXPECT_EQ(GIGANTIC, i.node_bytes);

	lines = (void *)(p + AT);
	event = eventfd(0, EFD_CLOEXEC);
	bell = doorbell(fd, AT, event, PINRING_IOC_DOORBELL_DEVICE);
	ASSERT_GE(bell, 0);
	ASSERT_EQ(0, arm(bell, lines->sequence));
	__atomic_fetch_add(&lines->sequence, 1, __ATOMIC_SEQ_CST);
	EXPECT_TRUE(fires(event, SOON));
	close(bell);

	dmabuf = export(fd, 0, 0, 0);
	importer = import(dmabuf, &m);
	ASSERT_GE(importer, 0);
	EXPECT_EQ(1, m.segments);
	EXPECT_EQ(GIGANTIC, m.bytes);
	mark(p, GIGANTIC);
	EXPECT_TRUE(kept(importer, GIGANTIC));

	munmap(p, GIGANTIC);
	ASSERT_EQ(0, ftruncate(memfd, 0));
	close(memfd);
	close(dmabuf);
	close(fd);
	EXPECT_EQ(0, pool_get(GIGANTIC, "free_hugepages"));
	EXPECT_TRUE(kept(importer, GIGANTIC));
	close(importer);
	for (int n = 0; n < 200 && !pool_get(GIGANTIC, "free_hugepages"); n++) {
		usleep(10000);
	}
	EXPECT_EQ(1, pool_get(GIGANTIC, "free_hugepages"));
	EXPECT_EQ(0, sysfs_read("bytes"));
}

TEST_HARNESS_MAIN
