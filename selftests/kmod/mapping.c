// SPDX-License-Identifier: MIT
/* mapping.c - what mmap(2) and its relatives may do with a region. */
#include "kmod.h"

#include <kselftest_harness.h>
#include <linux/mempolicy.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

#define RW (PROT_READ | PROT_WRITE)
#define SIZE (4 * HUGE)

FIXTURE(mapping) {
	int fd;
	unsigned char *p;
};

FIXTURE_SETUP(mapping)
{
	self->fd = region(SIZE);
	ASSERT_GE(self->fd, 0);
	self->p = map(self->fd, SIZE);
	ASSERT_NE(NULL, self->p);
}

FIXTURE_TEARDOWN(mapping)
{
	munmap(self->p, SIZE);
	close(self->fd);
}

TEST_F(mapping, is_at_a_huge_page_boundary_and_of_huge_pages)
{
	EXPECT_EQ(0, (uintptr_t)self->p % HUGE);
	stamp(self->p, SIZE);
	EXPECT_EQ(SIZE >> 10, smaps(self->p, "FilePmdMapped"));
	EXPECT_EQ(SIZE >> 10, smaps(self->p, "Rss"));
}

TEST_F(mapping, takes_one_fault_for_each_huge_page)
{
	long before;

	(void)faults(); /* takes some itself the first time */
	before = faults();
	stamp(self->p, SIZE);
	EXPECT_EQ((long)(SIZE / HUGE), faults() - before);
}

TEST_F(mapping, takes_none_when_populated)
{
	unsigned char *p;
	long before;

	(void)faults();
	p = mmap(NULL, SIZE, RW, MAP_SHARED | MAP_POPULATE, self->fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)p);
	EXPECT_EQ(SIZE >> 10, smaps(p, "FilePmdMapped"));
	before = faults();
	stamp(p, SIZE);
	EXPECT_EQ(0, faults() - before);
	munmap(p, SIZE);
	ASSERT_EQ(0, madvise(self->p, SIZE, MADV_POPULATE_WRITE));
	before = faults();
	EXPECT_TRUE(stamped(self->p, SIZE, 0));
	EXPECT_EQ(0, faults() - before);
}

TEST_F(mapping, reads_as_huge_pages_too)
{
	unsigned char *p = map_at(self->fd, SIZE, PROT_READ, 0);
	volatile unsigned char sum = 0;

	ASSERT_NE(NULL, p);
	for (uint64_t i = 0; i < SIZE; i += SMALL) {
		sum += p[i];
	}
	EXPECT_EQ(0, sum);
	EXPECT_EQ(SIZE >> 10, smaps(p, "FilePmdMapped"));
	munmap(p, SIZE);
}

TEST_F(mapping, is_shared_and_not_private)
{
	EXPECT_EQ(MAP_FAILED, mmap(NULL, SIZE, RW, MAP_PRIVATE, self->fd, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, self->fd, 0));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F(mapping, is_never_executable)
{
	EXPECT_EQ(NULL, map_at(self->fd, SIZE, PROT_READ | PROT_EXEC, 0));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(-1, mprotect(self->p, SIZE, PROT_READ | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, mprotect(self->p + SMALL, SMALL, RW | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
}

/* Programs of another age ask for PROT_EXEC with every PROT_READ. */
TEST_F(mapping, is_not_executable_even_where_reading_implies_it)
{
	unsigned char *p;

	ASSERT_NE(-1, syscall(SYS_personality, 0x0400000ul /* READ_IMPLIES_EXEC */));
	p = map_at(self->fd, SIZE, PROT_READ, 0);
	syscall(SYS_personality, 0ul);
	if (p) {
		EXPECT_EQ(-1, mprotect(p, SIZE, PROT_READ | PROT_EXEC));
		munmap(p, SIZE);
	}
}

TEST_F(mapping, ends_with_the_region)
{
	static const struct {
		uint64_t offset, length;
		bool ok;
	} cases[] = {
		{ 0, SIZE, true },
		{ 0, SMALL, true },
		{ SIZE - SMALL, SMALL, true },
		{ HUGE, SIZE - HUGE, true },
		{ HUGE + SMALL, HUGE, true },
		{ 0, SIZE + SMALL, false },
		{ SIZE, SMALL, false },
		{ SIZE - SMALL, 2 * SMALL, false },
		{ SMALL, SIZE, false },
		{ SIZE + HUGE, HUGE, false },
		{ 1ull << 62, SMALL, false },
		{ 0 - SMALL, SMALL, false },
		{ 0 - SMALL, 2 * SMALL, false },
		{ 0 - HUGE, 2 * HUGE, false },
		{ (1ull << 63) - SMALL, 2 * SMALL, false },
		{ SMALL, 1ull << 46, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned char *p = map_at(self->fd, cases[i].length, RW, cases[i].offset);

		EXPECT_EQ(cases[i].ok, p != NULL) {
			TH_LOG("offset %#jx length %#jx", (uintmax_t)cases[i].offset,
			       (uintmax_t)cases[i].length);
		}
		if (p) {
			p[0] = p[cases[i].length - 1] = 1;
			munmap(p, cases[i].length);
		}
	}
}

TEST_F(mapping, of_a_part_shows_that_part)
{
	unsigned char *p;

	stamp(self->p, SIZE);
	p = map_at(self->fd, 2 * HUGE, RW, HUGE);
	ASSERT_NE(NULL, p);
	EXPECT_TRUE(stamped(p, 2 * HUGE, HUGE));
	EXPECT_EQ((2 * HUGE) >> 10, smaps(p, "FilePmdMapped"));
	munmap(p, 2 * HUGE);
	/* Not at a huge page's boundary: small pages then, and the same bytes. */
	p = map_at(self->fd, HUGE, RW, 3 * SMALL);
	ASSERT_NE(NULL, p);
	EXPECT_TRUE(stamped(p, HUGE, 3 * SMALL));
	munmap(p, HUGE);
}

TEST_F(mapping, where_the_caller_says_works_unaligned)
{
	unsigned char *space = mmap(NULL, SIZE + 2 * HUGE, PROT_NONE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	unsigned char *at = (unsigned char *)(((uintptr_t)space + HUGE) & ~(HUGE - 1)) +
			    5 * SMALL;

	ASSERT_NE(MAP_FAILED, (void *)space);
	ASSERT_EQ(at, mmap(at, SIZE, RW, MAP_SHARED | MAP_FIXED, self->fd, 0));
	stamp(at, SIZE);
	EXPECT_TRUE(stamped(self->p, SIZE, 0));
	EXPECT_EQ(0, smaps(at, "FilePmdMapped"));
	munmap(space, SIZE + 2 * HUGE);
}

TEST_F(mapping, is_seen_by_a_child)
{
	int status;
	pid_t pid;

	stamp(self->p, SIZE);
	pid = fork();
	if (!pid) {
		if (!stamped(self->p, SIZE, 0))
			_exit(1);
		if (smaps(self->p, "FilePmdMapped") != SIZE >> 10)
			_exit(2);
		self->p[7] = 42;
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(42, self->p[7]);
}

TEST_F(mapping, does_not_grow)
{
	EXPECT_EQ(MAP_FAILED, mremap(self->p, SIZE, 2 * SIZE, MREMAP_MAYMOVE));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(MAP_FAILED, mremap(self->p + HUGE, HUGE, SIZE, MREMAP_MAYMOVE));
}

TEST_F(mapping, moves_and_shrinks)
{
	unsigned char *p;

	stamp(self->p, SIZE);
	p = mremap(self->p, SIZE, 2 * HUGE, 0);
	ASSERT_EQ(self->p, p);
	p = mmap(NULL, 4 * HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	p = (unsigned char *)(((uintptr_t)p + HUGE - 1) & ~(HUGE - 1));
	ASSERT_EQ(p, mremap(self->p, 2 * HUGE, 2 * HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, p));
	EXPECT_TRUE(stamped(p, 2 * HUGE, 0));
	EXPECT_EQ((2 * HUGE) >> 10, smaps(p, "FilePmdMapped"));
	/* an unaligned move splits the PMDs */
	ASSERT_EQ(p + 2 * HUGE + SMALL,
		  mremap(p, HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + 2 * HUGE + SMALL));
	EXPECT_TRUE(stamped(p + 2 * HUGE + SMALL, HUGE, 0));
	munmap(p, 4 * HUGE);
}

TEST_F(mapping, can_be_unmapped_in_part)
{
	stamp(self->p, SIZE);
	ASSERT_EQ(0, munmap(self->p + HUGE + SMALL, SMALL));
	ASSERT_EQ(0, munmap(self->p + 2 * HUGE, HUGE));
	EXPECT_TRUE(stamped(self->p, HUGE + SMALL, 0));
	EXPECT_TRUE(stamped(self->p + HUGE + 2 * SMALL, HUGE - 2 * SMALL, HUGE + 2 * SMALL));
	EXPECT_TRUE(stamped(self->p + 3 * HUGE, HUGE, 3 * HUGE));
}

TEST_F(mapping, can_be_protected_in_part)
{
	int status;
	pid_t pid;

	stamp(self->p, SIZE);
	ASSERT_EQ(0, mprotect(self->p + SMALL, SMALL, PROT_READ));
	ASSERT_EQ(0, mprotect(self->p + HUGE, HUGE, PROT_NONE));
	EXPECT_TRUE(stamped(self->p, HUGE, 0));
	pid = fork();
	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		self->p[SMALL] = 1;
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	ASSERT_EQ(0, mprotect(self->p, SIZE, RW));
	EXPECT_TRUE(stamped(self->p, SIZE, 0));
	self->p[SMALL] = 2;
}

TEST_F(mapping, keeps_its_bytes_whatever_is_advised)
{
	static const struct {
		int advice;
		const char *name;
	} advices[] = {
		{ MADV_DONTNEED, "DONTNEED" },	 { MADV_FREE, "FREE" },
		{ MADV_REMOVE, "REMOVE" },	 { MADV_COLD, "COLD" },
		{ MADV_PAGEOUT, "PAGEOUT" },	 { MADV_COLLAPSE, "COLLAPSE" },
		{ MADV_HUGEPAGE, "HUGEPAGE" },	 { MADV_NOHUGEPAGE, "NOHUGEPAGE" },
		{ MADV_MERGEABLE, "MERGEABLE" }, { MADV_WILLNEED, "WILLNEED" },
		{ MADV_DONTFORK, "DONTFORK" },	 { MADV_WIPEONFORK, "WIPEONFORK" },
	};

	stamp(self->p, SIZE);
	for (size_t i = 0; i < ARRAY_SIZE(advices); i++) {
		(void)madvise(self->p, SIZE, advices[i].advice);
		(void)madvise(self->p + SMALL, HUGE, advices[i].advice);
		EXPECT_TRUE(stamped(self->p, SIZE, 0)) {
			TH_LOG("MADV_%s", advices[i].name);
		}
	}
	EXPECT_NE(0, madvise(self->p, SIZE, MADV_WIPEONFORK));
	EXPECT_NE(0, madvise(self->p, SIZE, MADV_REMOVE));
	EXPECT_NE(0, madvise(self->p, SIZE, MADV_DODUMP));
}

TEST_F(mapping, can_be_locked_and_synced)
{
	stamp(self->p, SIZE);
	EXPECT_EQ(0, mlock(self->p, SIZE));
	EXPECT_EQ(0, munlock(self->p + HUGE + SMALL, SMALL));
	EXPECT_EQ(0, munlock(self->p, SIZE));
	(void)msync(self->p, SIZE, MS_SYNC);
	EXPECT_TRUE(stamped(self->p, SIZE, 0));
}

/* Nobody gets at the bytes of a file of ours but by mapping it. */
TEST_F(mapping, stays_on_its_node_whatever_is_asked)
{
	unsigned long other;
	int node;

	stamp(self->p, SIZE);
	node = node_of(self->p);
	ASSERT_GE(node, 0);
	other = 1ul << !node;
	(void)syscall(SYS_mbind, self->p, SIZE, MPOL_BIND, &other, 64ul,
		      MPOL_MF_MOVE | MPOL_MF_STRICT);
	(void)syscall(SYS_migrate_pages, getpid(), 64ul, &(unsigned long){ 1ul << node }, &other);
	for (uint64_t i = 0; i < SIZE; i += HUGE) {
		EXPECT_EQ(node, node_of(self->p + i));
	}
	EXPECT_TRUE(stamped(self->p, SIZE, 0));
}

TEST_F(mapping, is_reached_through_proc_mem)
{
	int fd = open("/proc/self/mem", O_RDWR);
	uint64_t word = 0;

	ASSERT_GE(fd, 0);
	stamp(self->p, SIZE);
	EXPECT_EQ(8, pread(fd, &word, 8, (off_t)(uintptr_t)(self->p + HUGE)));
	EXPECT_EQ(HUGE + 1, word);
	word = 77;
	EXPECT_EQ(8, pwrite(fd, &word, 8, (off_t)(uintptr_t)(self->p + HUGE)));
	EXPECT_EQ(77, *(uint64_t *)(self->p + HUGE));
	close(fd);
}

/* Two mappings of a word, in two processes, are one futex. */
TEST_F(mapping, can_hold_a_futex)
{
	uint32_t *word = (uint32_t *)(self->p + HUGE + 64);
	unsigned char *other = map(self->fd, SIZE);
	int status, woken = 0;
	pid_t pid;

	ASSERT_NE(NULL, other);
	pid = fork();
	if (!pid) {
		uint32_t *mine = (uint32_t *)(other + HUGE + 64);

		while (__atomic_load_n(mine, __ATOMIC_ACQUIRE) == 0)
			if (syscall(SYS_futex, mine, 0 /* WAIT */, 0, NULL, NULL, 0) < 0 &&
			    errno != EAGAIN)
				_exit(1);
		_exit(0);
	}
	/* Until it has been found asleep. */
	for (int i = 0; i < 1000 && !woken; i++) {
		usleep(1000);
		woken = (int)syscall(SYS_futex, word, 1 /* WAKE */, 1, NULL, NULL, 0);
	}
	EXPECT_EQ(1, woken);
	__atomic_store_n(word, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, word, 1 /* WAKE */, INT32_MAX, NULL, NULL, 0);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	munmap(other, SIZE);
}

static void *toucher(void *arg)
{
	unsigned char *p = arg;

	for (int round = 0; round < 20; round++) {
		for (uint64_t i = 0; i < SIZE; i += HUGE / 2)
			__atomic_add_fetch((uint64_t *)(p + i), 1, __ATOMIC_RELAXED);
		madvise(p, SIZE, MADV_DONTNEED);
	}
	return NULL;
}

TEST_F(mapping, survives_faults_that_race_with_unmapping)
{
	pthread_t threads[4];

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, toucher, self->p));
	}
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		pthread_join(threads[i], NULL);
	}
	for (uint64_t i = 0; i < SIZE; i += HUGE / 2) {
		EXPECT_EQ(80, *(uint64_t *)(self->p + i));
	}
}

/* ----------------------------------------------------------- read-only fds */

TEST_F(mapping, by_a_read_only_fd_can_only_read)
{
	int fd = readonly(self->fd), again;
	unsigned char *p;
	char path[64];

	ASSERT_GE(fd, 0);
	EXPECT_EQ(O_RDONLY, fcntl(fd, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(NULL, map(fd, SIZE));
	EXPECT_EQ(EACCES, errno);
	p = map_at(fd, SIZE, PROT_READ, 0);
	ASSERT_NE(NULL, p);
	self->p[HUGE] = 5;
	EXPECT_EQ(5, p[HUGE]);
	EXPECT_EQ(-1, mprotect(p, SIZE, RW));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, mprotect(p, SMALL, PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, mprotect(p, SMALL, PROT_READ | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
	munmap(p, SIZE);

	/* nor does what is made of it write */
	again = readonly(fd);
	ASSERT_GE(again, 0);
	EXPECT_EQ(NULL, map(again, SIZE));
	close(again);
	again = dup(fd);
	EXPECT_EQ(NULL, map(again, SIZE));
	close(again);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR);
	EXPECT_LT(again, 0);
	close(fd);
}

TEST_F(mapping, by_a_read_only_fd_keeps_what_came_before_alive)
{
	int fd = readonly(self->fd);
	unsigned char *p;

	ASSERT_GE(fd, 0);
	stamp(self->p, SIZE);
	munmap(self->p, SIZE);
	close(self->fd);
	p = map_at(fd, SIZE, PROT_READ, 0);
	ASSERT_NE(NULL, p);
	EXPECT_TRUE(stamped(p, SIZE, 0));
	munmap(p, SIZE);
	close(fd);
	self->fd = region(SIZE);
	self->p = map(self->fd, SIZE);
}

TEST_HARNESS_MAIN
