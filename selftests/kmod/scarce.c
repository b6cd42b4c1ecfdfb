// SPDX-License-Identifier: MIT
/*
 * scarce.c - a node that has few huge pages left, or none.
 */
#include "faults.h"

#include <kselftest_harness.h>

#define LARGE (8 * HUGE)

/* From now on, this process gets huge pages only this many times. */
static void allow_huge(int pages)
{
	char text[16];

	/* An allocation passes while more is left than it takes. */
	snprintf(text, sizeof(text), "%d", pages ? pages * 512 + 1 : 0);
	file_put(FAULTS "fail_page_alloc/space", text);
	file_put(FAULTS "fail_page_alloc/min-order", "9");
	file_put("/proc/self/make-it-fail", "1");
	file_put(FAULTS "fail_page_alloc/probability", "100");
}

static void allow_all(void)
{
	file_put(FAULTS "fail_page_alloc/probability", "0");
	file_put("/proc/self/make-it-fail", "0");
	file_put(FAULTS "fail_page_alloc/min-order", "0");
	file_put(FAULTS "fail_page_alloc/space", "0");
}

FIXTURE(scarce) {
	int device;
};

FIXTURE_SETUP(scarce)
{
	const char *why = faults_prepare();

	if (why) {
		SKIP(return, "%s", why);
	}
	self->device = device_open();
	ASSERT_GE(self->device, 0);
}

FIXTURE_TEARDOWN(scarce)
{
	allow_all();
	EXPECT_EQ(0, sysfs_set("node1/reserve_pages", 0));
	close(self->device);
}

TEST_F(scarce, without_enough_huge_pages_there_is_no_region)
{
	static const uint32_t flags[] = { 0, PINRING_IOC_STRICT_NODE };
	struct state was = state(), is;

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		for (int pages = 0; pages < 8; pages++) {
			allow_huge(pages);
			EXPECT_EQ(-ENOMEM, region_on(1, LARGE, flags[i]));
			allow_all();
			is = state();
			EXPECT_EQ(was.fds, is.fds);
			EXPECT_EQ(was.regions, is.regions);
			EXPECT_EQ(was.bytes, is.bytes);
		}
	}
}

TEST_F(scarce, where_huge_pages_end_small_ones_begin)
{
	for (unsigned int pages = 0; pages < 4; pages++) {
		struct pinring_ioc_region_create c = ARG(pinring_ioc_region_create);
		unsigned char *p;

		c.size = 4 * HUGE;
		c.node = 1;
		c.flags = PINRING_IOC_ALLOW_SMALL;
		allow_huge((int)pages);
		ASSERT_EQ(0, call(self->device, PINRING_IOC_REGION_CREATE, &c));
		allow_all();
		EXPECT_EQ(pages * HUGE, c.huge_bytes);
		EXPECT_EQ(4 * HUGE, c.node_bytes);
		p = map(c.fd, 4 * HUGE);
		ASSERT_NE(NULL, p);
		for (size_t at = 0; at < 4 * HUGE; at += SMALL) {
			ASSERT_EQ(0, p[at]);
			p[at] = (unsigned char)(at / SMALL % 251);
		}
		for (size_t at = 0; at < 4 * HUGE; at += SMALL) {
			ASSERT_EQ(at / SMALL % 251, p[at]);
		}
		EXPECT_EQ(pages * HUGE >> 10, smaps(p, "FilePmdMapped"));
		munmap(p, 4 * HUGE);
		close(c.fd);
	}
}

TEST_F(scarce, what_was_put_by_is_there)
{
	int fd;

	ASSERT_EQ(0, sysfs_set("node1/reserve_pages", 8));
	allow_huge(0);
	/* One too many: what it took by then is back. */
	EXPECT_EQ(-ENOMEM, region_on(1, LARGE + HUGE, PINRING_IOC_STRICT_NODE));
	EXPECT_EQ(8, sysfs_read("node1/free_pages"));
	fd = region_on(1, LARGE, PINRING_IOC_STRICT_NODE);
	EXPECT_GE(fd, 0);
	EXPECT_EQ(0, sysfs_read("node1/free_pages"));
	allow_all();
	close(fd);
	EXPECT_EQ(8, sysfs_read("node1/free_pages"));
}

TEST_HARNESS_MAIN
