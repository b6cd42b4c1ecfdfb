// SPDX-License-Identifier: MIT
/* region.c - what a region is when it is new. */
#include "kmod.h"

#include <kselftest_harness.h>

static struct pinring_ioc_region_create config(uint64_t size)
{
	struct pinring_ioc_region_create c = ARG(pinring_ioc_region_create);

	c.size = size;
	c.node = PINRING_IOC_NODE_LOCAL;
	return c;
}

TEST(a_region_is_whole_huge_pages)
{
	struct pinring_ioc_region_create c = config(3 * HUGE + 1);
	struct stat st;
	int fd = create(&c);

	ASSERT_GE(fd, 0);
	EXPECT_EQ(4 * HUGE, c.size);
	EXPECT_EQ(4 * HUGE, c.huge_bytes);
	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_EQ(4 * HUGE, (uint64_t)st.st_size);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_EQ(O_RDWR, fcntl(fd, F_GETFL) & O_ACCMODE);
	close(fd);
}

TEST(its_size_is_from_1_to_2_to_the_48)
{
	struct pinring_ioc_region_create c = config(0);

	EXPECT_EQ(-EINVAL, create(&c));
	c = config((1ull << 48) + 1);
	EXPECT_EQ(-EINVAL, create(&c));
	c = config(UINT64_MAX);
	EXPECT_EQ(-EINVAL, create(&c));
	c = config(1ull << 48);
	EXPECT_EQ(-ENOMEM, create(&c));
	c = config(1ull << 33);
	EXPECT_EQ(-ENOMEM, create(&c));
}

TEST(its_size_stays)
{
	struct stat st;
	int fd = region(HUGE);

	ASSERT_GE(fd, 0);
	EXPECT_NE(0, ftruncate(fd, 0));
	EXPECT_NE(0, ftruncate(fd, 2 * HUGE));
	EXPECT_NE(0, fallocate(fd, 0, 0, 4 * HUGE));
	EXPECT_NE(0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, HUGE));
	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_EQ(HUGE, (uint64_t)st.st_size);
	close(fd);
}

TEST(it_is_zero_even_where_another_was_before)
{
	for (int round = 0; round < 4; round++) {
		int fd = region(64 * HUGE);
		unsigned char *p = map(fd, 64 * HUGE);

		ASSERT_NE(NULL, p);
		for (uint64_t i = 0; i < 64 * HUGE; i += 8) {
			if (*(uint64_t *)(p + i)) {
				ASSERT_EQ(0, *(uint64_t *)(p + i));
			}
		}
		memset(p, 0xff, 64 * HUGE);
		munmap(p, 64 * HUGE);
		close(fd);
	}
}

TEST(it_lies_on_the_node_asked_for)
{
	for (int node = 0; node < 2; node++) {
		struct pinring_ioc_region_create c = config(8 * HUGE);
		unsigned char *p;
		int fd;

		c.node = node;
		c.flags = PINRING_IOC_STRICT_NODE;
		fd = create(&c);
		ASSERT_GE(fd, 0);
		EXPECT_EQ(node, c.node);
		EXPECT_EQ(8 * HUGE, c.node_bytes);
		p = map(fd, 8 * HUGE);
		ASSERT_NE(NULL, p);
		for (uint64_t i = 0; i < 8 * HUGE; i += HUGE / 2) {
			p[i] = 1;
			EXPECT_EQ(node, node_of(p + i));
		}
		munmap(p, 8 * HUGE);
		close(fd);
	}
}

TEST(local_is_where_the_caller_runs)
{
	for (int cpu = 0; cpu < 2; cpu++) {
		struct pinring_ioc_region_create c = config(HUGE);
		unsigned char *p;
		int fd;

		ASSERT_EQ(0, run_on((unsigned int)cpu));
		fd = create(&c);
		ASSERT_GE(fd, 0);
		EXPECT_EQ(cpu, c.node);
		p = map(fd, HUGE);
		ASSERT_NE(NULL, p);
		p[0] = 1;
		EXPECT_EQ(cpu, node_of(p));
		munmap(p, HUGE);
		close(fd);
	}
}

TEST(a_node_that_is_not_there_is_refused)
{
	static const int nodes[] = { 2, 63, 1023, 1024, 65536, INT32_MAX, -2, -3, INT32_MIN };

	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		EXPECT_EQ(-EINVAL, region_on(nodes[i], HUGE, 0)) {
			TH_LOG("node %d", nodes[i]);
		}
	}
}

/* For all of it there is room on both. */
TEST(a_full_node_is_left_for_another_one_but_not_if_strict)
{
	const uint64_t more = more_than_has(1);
	struct pinring_ioc_region_create c = config(more);
	int fd;

	c.node = 1;
	c.flags = PINRING_IOC_STRICT_NODE;
	EXPECT_EQ(-ENOMEM, create(&c));
	c = config(more);
	c.node = 1;
	fd = create(&c);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(more, c.huge_bytes);
	EXPECT_LT(c.node_bytes, c.size);
	EXPECT_GT(c.node_bytes, 0);
	close(fd);
}

/* All huge pages of a node put by leave it few small ones. */
TEST(nor_does_one_of_small_pages_leave_it_if_strict)
{
	const long all = sysconf(_SC_PHYS_PAGES) / 512; /* of both nodes */
	const uint32_t small = PINRING_IOC_SMALL_PAGES;
	uint64_t more;
	int fd;

	EXPECT_EQ(-ENOMEM, sysfs_set("node1/reserve_pages", all));
	more = more_than_has(1);
	ASSERT_GT(more, 0);
	EXPECT_EQ(-ENOMEM, region_on(1, more, small | PINRING_IOC_STRICT_NODE));
	fd = region_on(1, more, small);
	EXPECT_GE(fd, 0);
	close(fd);
	EXPECT_EQ(0, sysfs_set("node1/reserve_pages", 0));
}

TEST(what_cannot_be_had_leaves_nothing_behind)
{
	const uint64_t more = more_than_has(0);
	int users = module_users();
	long before, after;

	ASSERT_GT(more, 0);
	EXPECT_EQ(-ENOMEM, region_on(0, more, PINRING_IOC_STRICT_NODE));
	before = free_memory();
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(-ENOMEM, region_on(0, more, PINRING_IOC_STRICT_NODE));
	}
	/* Half a node and more each time; caches come and go meanwhile. */
	after = free_memory();
	EXPECT_LT(before - after, 64 << 10);
	for (int i = 0; i < 100 && module_users() > users; i++) {
		usleep(10000);
	}
	EXPECT_EQ(users, module_users());
}

TEST(small_pages_are_for_a_region_of_a_few_KiB)
{
	struct pinring_ioc_region_create c = config(3 * SMALL - 1);
	unsigned char *p;
	int fd;

	c.flags = PINRING_IOC_SMALL_PAGES;
	fd = create(&c);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(3 * SMALL, c.size);
	EXPECT_EQ(0, c.huge_bytes);
	p = map(fd, 3 * SMALL);
	ASSERT_NE(NULL, p);
	memset(p, 1, 3 * SMALL);
	munmap(p, 3 * SMALL);
	close(fd);

	/* across two chunks */
	c = config(HUGE + 5 * SMALL);
	c.flags = PINRING_IOC_SMALL_PAGES;
	fd = create(&c);
	ASSERT_GE(fd, 0);
	p = map(fd, HUGE + 5 * SMALL);
	ASSERT_NE(NULL, p);
	for (uint64_t i = 0; i < HUGE + 5 * SMALL; i += SMALL) {
		memcpy(p + i, &i, sizeof(i));
	}
	for (uint64_t i = 0; i < HUGE + 5 * SMALL; i += SMALL) {
		EXPECT_EQ(i, *(uint64_t *)(p + i));
	}
	EXPECT_EQ(0, smaps(p, "FilePmdMapped"));
	munmap(p, HUGE + 5 * SMALL);
	close(fd);
}

TEST(small_and_perhaps_small_exclude_each_other)
{
	EXPECT_EQ(-EINVAL, region_on(0, HUGE, PINRING_IOC_SMALL_PAGES | PINRING_IOC_ALLOW_SMALL));
}

TEST(what_allows_small_pages_still_gets_huge_ones)
{
	struct pinring_ioc_region_create c = config(4 * HUGE);
	int fd;

	c.flags = PINRING_IOC_ALLOW_SMALL;
	fd = create(&c);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(4 * HUGE, c.huge_bytes);
	close(fd);
}

TEST(info_says_what_was_made)
{
	struct pinring_ioc_region_create c = config(2 * HUGE);
	struct pinring_ioc_region_info i = ARG(pinring_ioc_region_info);
	struct pinring_ioc_region_info other = i;
	int fd, fd2;

	c.node = 1;
	c.flags = PINRING_IOC_STRICT_NODE;
	strcpy(c.name, "frames.left");
	fd = create(&c);
	fd2 = region(1);
	ASSERT_GE(fd, 0);
	ASSERT_GE(fd2, 0);
	ASSERT_EQ(0, call(fd, PINRING_IOC_REGION_INFO, &i));
	ASSERT_EQ(0, call(fd2, PINRING_IOC_REGION_INFO, &other));
	EXPECT_EQ(2 * HUGE, i.size);
	EXPECT_EQ(2 * HUGE, i.huge_bytes);
	EXPECT_EQ(2 * HUGE, i.node_bytes);
	EXPECT_EQ(1, i.node);
	EXPECT_EQ(PINRING_IOC_STRICT_NODE, i.flags);
	EXPECT_EQ(getuid(), i.owner);
	EXPECT_STREQ("frames.left", i.name);
	EXPECT_STREQ("", other.name);
	EXPECT_NE(i.id, other.id);
	close(fd);
	close(fd2);
}

static int named(const char *name, size_t length)
{
	struct pinring_ioc_region_create c = config(SMALL);
	int fd;

	c.flags = PINRING_IOC_SMALL_PAGES;
	memcpy(c.name, name, length);
	fd = create(&c);
	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

TEST(a_name_is_one_word_that_ends)
{
	char full[PINRING_IOC_NAME_MAX];

	memset(full, 'x', sizeof(full));
	EXPECT_EQ(-EINVAL, named(full, sizeof(full)));
	EXPECT_EQ(0, named(full, sizeof(full) - 1));
	EXPECT_EQ(-EINVAL, named("a b", 4));
	EXPECT_EQ(-EINVAL, named("a\nb", 4));
	EXPECT_EQ(-EINVAL, named("a/b", 4));
	EXPECT_EQ(-EINVAL, named("\x7f", 2));
	EXPECT_EQ(0, named("\xc3\xa9t\xc3\xa9", 6));
}

TEST(proc_tells_it_by_name)
{
	struct pinring_ioc_region_create c = config(HUGE);
	struct pinring_ioc_region_info info = ARG(pinring_ioc_region_info);
	char path[64], target[128] = "", text[512] = "", line[64];
	int fd, fdinfo;

	strcpy(c.name, "frames");
	fd = create(&c);
	ASSERT_GE(fd, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ASSERT_GT(readlink(path, target, sizeof(target) - 1), 0);
	EXPECT_NE(NULL, strstr(target, "pinring:frames"));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	fdinfo = open(path, O_RDONLY);
	ASSERT_GT(read(fdinfo, text, sizeof(text) - 1), 0);
	EXPECT_NE(NULL, strstr(text, "pinring-name:\tframes\n"));
	EXPECT_NE(NULL, strstr(text, "pinring-size:\t2097152\n"));
	EXPECT_NE(NULL, strstr(text, "pinring-huge:\t2097152\n"));
	EXPECT_NE(NULL, strstr(text, "pinring-on-node:\t2097152\n"));
	ASSERT_EQ(0, call(fd, PINRING_IOC_REGION_INFO, &info));
	snprintf(line, sizeof(line), "pinring-id:\t%llu\n", info.id);
	EXPECT_NE(NULL, strstr(text, line));
	snprintf(line, sizeof(line), "pinring-node:\t%d\n", info.node);
	EXPECT_NE(NULL, strstr(text, line));
	close(fdinfo);
	close(fd);
}

TEST(it_is_memory_and_no_file_to_read)
{
	int fd = region(1);
	char byte = 1;

	ASSERT_GE(fd, 0);
	EXPECT_LT(read(fd, &byte, 1), 0);
	EXPECT_LT(write(fd, &byte, 1), 0);
	close(fd);
}

static void *maker(void *arg)
{
	int *failed = arg;

	for (int i = 0; i < 50; i++) {
		int fd = region(2 * HUGE);
		unsigned char *p = fd < 0 ? NULL : map(fd, 2 * HUGE);

		if (!p) {
			__atomic_add_fetch(failed, 1, __ATOMIC_RELAXED);
			continue;
		}
		p[0] = p[2 * HUGE - 1] = 1;
		munmap(p, 2 * HUGE);
		close(fd);
	}
	return NULL;
}

TEST(many_threads_make_and_close_regions)
{
	pthread_t threads[8];
	int failed = 0;

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, maker, &failed));
	}
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		pthread_join(threads[i], NULL);
	}
	EXPECT_EQ(0, failed);
}

TEST_HARNESS_MAIN
