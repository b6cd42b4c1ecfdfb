// SPDX-License-Identifier: MIT
/* adopt.c - a region of memory that its user already has. */
#include "adopt.h"

#include <kselftest_harness.h>
#include <linux/memfd.h>
#include <sys/resource.h>
#include <uapi/pinring_layout.h>

#define AT 8192 /* where a bell's words are */

FIXTURE(adopt) {
	int memfd;
	unsigned char *p;
	uint64_t size;
	long free;
};

FIXTURE_VARIANT(adopt) {
	uint64_t page; /* of the file */
	uint64_t size;
	unsigned int flags;
};

FIXTURE_VARIANT_ADD(adopt, small) {
	.page = SMALL,
	.size = 700 * SMALL,
	.flags = MFD_ALLOW_SEALING,
};

FIXTURE_VARIANT_ADD(adopt, huge) {
	.page = HUGE,
	.size = 3 * HUGE,
	.flags = MFD_HUGETLB | MFD_HUGE_2MB,
};

FIXTURE_SETUP(adopt)
{
	if (variant->page == HUGE) {
		pool_set(HUGE, 8);
		self->free = pool_get(HUGE, "free_hugepages");
	}
	self->size = variant->size;
	self->memfd = memfd_create("adopt", MFD_CLOEXEC | variant->flags);
	ASSERT_GE(self->memfd, 0);
	ASSERT_EQ(0, ftruncate(self->memfd, (off_t)self->size));
	self->p = map(self->memfd, self->size);
	ASSERT_NE(NULL, self->p);
}

FIXTURE_TEARDOWN(adopt)
{
	if (self->p)
		munmap(self->p, self->size);
	close(self->memfd);
	if (variant->page == HUGE) {
		EXPECT_EQ(self->free, pool_get(HUGE, "free_hugepages"));
		pool_set(HUGE, 0);
	}
}

/* ------------------------------------------------------------------ the call */

TEST_F(adopt, it_is_as_large_and_as_huge_as_asked_for)
{
	struct pinring_ioc_region_adopt a = ARG(pinring_ioc_region_adopt);
	struct pinring_ioc_region_info i = ARG(pinring_ioc_region_info);
	const uint64_t huge = variant->page == SMALL ? 0 : self->size;
	long long bytes = sysfs_read("bytes");
	int device = device_open(), fd;
	struct stat st;

	a.address = (uintptr_t)self->p;
	a.size = self->size;
	strcpy(a.name, "mine");
	fd = adopt_as(device, &a);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(huge, a.huge_bytes);
	EXPECT_EQ(node_of(self->p), a.node);
	EXPECT_LE(a.node_bytes, self->size);
	if (variant->page != SMALL) {
		EXPECT_GE(a.node_bytes, variant->page);
	}
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_EQ(self->size, (uint64_t)st.st_size);
	ASSERT_EQ(0, call(fd, PINRING_IOC_REGION_INFO, &i));
	EXPECT_EQ(PINRING_IOC_ADOPTED, i.flags);
	EXPECT_EQ(self->size, i.size);
	EXPECT_EQ(huge, i.huge_bytes);
	EXPECT_EQ(a.node, i.node);
	EXPECT_EQ(a.node_bytes, i.node_bytes);
	EXPECT_EQ(0, strcmp(i.name, "mine"));
	EXPECT_EQ(bytes + (long long)self->size, sysfs_read("bytes"));
	close(fd);
	EXPECT_EQ(bytes, sysfs_read("bytes"));
	close(device);
}

TEST_F(adopt, a_part_will_do)
{
	NEEDS_BUS();
	int fd = adopt(self->p + 3 * SMALL, self->size - 3 * SMALL), dmabuf, importer;
	unsigned char got[SMALL];

	ASSERT_GE(fd, 0);
	mark(self->p, self->size);
	dmabuf = export(fd, 0, 0, 0);
	importer = import_simply(dmabuf, IMPORTER_BIDIRECTIONAL);
	ASSERT_GE(importer, 0);
	ASSERT_EQ(0, copy(importer, IMPORTER_BY_DEVICE, false, got, 0, SMALL));
	EXPECT_TRUE(stamped(got, SMALL, 3 * SMALL));
	ASSERT_EQ(0, copy(importer, IMPORTER_BY_DEVICE, false, got,
			  self->size - 4 * SMALL, SMALL));
	EXPECT_TRUE(stamped(got, SMALL, self->size - SMALL));
	close(importer);
	close(dmabuf);
	close(fd);
}

TEST_F(adopt, all_of_it_is_the_callers)
{
	EXPECT_EQ(-EINVAL, adopt(self->p + 8, SMALL));
	EXPECT_EQ(-EINVAL, adopt(self->p, SMALL + 8));
	EXPECT_EQ(-EINVAL, adopt(self->p, 0));
	EXPECT_EQ(-EINVAL, adopt(self->p, (1ull << 48) + SMALL));
	EXPECT_EQ(-ENOMEM, adopt(self->p, 1ull << 48));
	EXPECT_EQ(-EFAULT, adopt(NULL, SMALL));
	EXPECT_EQ(-EFAULT, adopt((void *)-SMALL, SMALL));
	EXPECT_EQ(-EFAULT, adopt((void *)-SMALL, 2 * SMALL));
	EXPECT_EQ(-EFAULT, adopt((void *)-HUGE, HUGE));
	munmap(self->p, self->size);
	EXPECT_EQ(-EFAULT, adopt(self->p, SMALL));
	self->p = NULL;
}

TEST_F(adopt, a_read_only_mapping_is_not_adopted)
{
	unsigned char *q = map_at(self->memfd, self->size, PROT_READ, 0);
	char path[64];
	int ro;

	ASSERT_NE(NULL, q);
	EXPECT_EQ(-EACCES, adopt(q, SMALL));
	munmap(q, self->size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->memfd);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	q = map_at(ro, self->size, PROT_READ, 0);
	ASSERT_NE(NULL, q);
	EXPECT_EQ(-EACCES, adopt(q, SMALL));
	munmap(q, self->size);
	close(ro);
}

TEST_F(adopt, a_private_mapping_is_not_adopted)
{
	unsigned char *q = mmap(NULL, self->size, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_NORESERVE, self->memfd, 0);

	ASSERT_NE(MAP_FAILED, (void *)q);
	EXPECT_EQ(-EOPNOTSUPP, adopt(q, SMALL));
	munmap(q, self->size);
}

TEST(other_memory_is_not_adopted)
{
	int fd = region(HUGE), disk = open("/dev/ram0", O_RDWR);
	unsigned char *p, *q;

	/* anybody's */
	p = mmap(NULL, 4 * SMALL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT_EQ(-EOPNOTSUPP, adopt(p, SMALL));
	munmap(p, 4 * SMALL);
	/* a region's */
	p = map(fd, HUGE);
	ASSERT_NE(NULL, p);
	EXPECT_EQ(-EOPNOTSUPP, adopt(p, SMALL));
	munmap(p, HUGE);
	close(fd);
	/* of a file that is written back */
	ASSERT_GE(disk, 0);
	p = map(disk, SMALL);
	ASSERT_NE(NULL, p);
	EXPECT_EQ(-EOPNOTSUPP, adopt(p, SMALL));
	munmap(p, SMALL);
	close(disk);
	/* one that can be, and behind it one that cannot */
	fd = memfd_create("adopt", MFD_CLOEXEC);
	ASSERT_EQ(0, ftruncate(fd, 4 * SMALL));
	p = map(fd, 4 * SMALL);
	ASSERT_NE(NULL, p);
	q = mmap(p + 2 * SMALL, SMALL, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	ASSERT_EQ(p + 2 * SMALL, q);
	EXPECT_EQ(-EOPNOTSUPP, adopt(p, 4 * SMALL));
	munmap(q, SMALL);
	EXPECT_EQ(-EFAULT, adopt(p, 4 * SMALL));
	/* beyond the file's end */
	ASSERT_EQ(0, ftruncate(fd, SMALL));
	EXPECT_EQ(-EFAULT, adopt(p, 2 * SMALL));
	ASSERT_EQ(0, close(adopt(p, SMALL)));
	munmap(p, 4 * SMALL);
	close(fd);
	EXPECT_EQ(0, sysfs_read("regions"));
}

TEST(there_may_be_no_huge_page_left)
{
	int fd = memfd_create("adopt", MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_2MB);
	unsigned char *p;

	pool_set(HUGE, 0);
	ASSERT_EQ(0, ftruncate(fd, HUGE));
	p = mmap(NULL, HUGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)p);
	EXPECT_EQ(-EFAULT, adopt(p, HUGE));
	munmap(p, HUGE);
	close(fd);
}

/* -------------------------------------------------------------- what it has */

/* The words may lie in two pages. */
TEST_F(adopt, it_has_doorbells)
{
	for (unsigned int i = 0; i < 2; i++) {
		const uint64_t at = i ? self->size - 256 : AT;
		struct pinring_doorbell_lines *lines = (void *)(self->p + at);
		int event = eventfd(0, EFD_CLOEXEC), fd = adopt(self->p, self->size);
		int bell = doorbell(fd, at, event, PINRING_IOC_DOORBELL_DEVICE);
		uint64_t n;

		ASSERT_GE(bell, 0);
		ASSERT_EQ(0, arm(bell, lines->sequence));
		__atomic_fetch_add(&lines->sequence, 1, __ATOMIC_SEQ_CST);
		/* nobody calls the kernel */
		EXPECT_TRUE(fires(event, SOON));
		ASSERT_EQ(8, read(event, &n, 8));
		close(bell);

		bell = doorbell(fd, at, event, 0);
		ASSERT_GE(bell, 0);
		ASSERT_EQ(0, arm(bell, lines->sequence));
		__atomic_fetch_add(&lines->sequence, 1, __ATOMIC_SEQ_CST);
		ASSERT_EQ(0, ring(fd, at));
		EXPECT_TRUE(fires(event, SOON));
		close(bell);
		close(fd);
		close(event);
	}
}

TEST_F(adopt, it_is_mapped_by_its_file_alone)
{
	int fd = adopt(self->p, self->size), dmabuf;

	ASSERT_GE(fd, 0);
	EXPECT_EQ(NULL, map(fd, SMALL));
	EXPECT_EQ(ENODEV, errno);
	dmabuf = export(fd, 0, 0, 0);
	ASSERT_GE(dmabuf, 0);
	EXPECT_EQ(NULL, map(dmabuf, SMALL));
	EXPECT_EQ(ENODEV, errno);
	close(dmabuf);
	close(fd);
}

TEST_F(adopt, devices_and_the_kernel_see_it)
{
	NEEDS_BUS();
	unsigned char *buffer = malloc(self->size);
	int fd = adopt(self->p, self->size), dmabuf = export(fd, 0, 0, 0);
	struct importer_map m = { .max_segment = UINT32_MAX };
	int importer = import(dmabuf, &m);

	ASSERT_GE(importer, 0);
	EXPECT_EQ(self->size, m.bytes);
	EXPECT_LE(m.segments, self->size / variant->page);
	stamp(self->p, self->size);
	ASSERT_EQ(0, copy(importer, IMPORTER_BY_DEVICE, false, buffer, 0, self->size));
	EXPECT_TRUE(stamped(buffer, self->size, 0));
	memset(buffer, 0x21, self->size);
	ASSERT_EQ(0, copy(importer, IMPORTER_BY_DEVICE, true, buffer, 0, self->size));
	EXPECT_EQ(0, memcmp(buffer, self->p, self->size));
	memset(buffer, 0x22, self->size);
	ASSERT_EQ(0, copy(importer, IMPORTER_BY_VMAP, true, buffer, 0, self->size));
	EXPECT_EQ(0, memcmp(buffer, self->p, self->size));
	close(importer);
	close(dmabuf);
	close(fd);
	free(buffer);
}

/* ------------------------------------------------------- whatever the owner does */

/* What is allocated and freed meanwhile is no memory of the region. */
static void disturb(void)
{
	for (int i = 0; i < 2; i++) {
		unsigned char *q = mmap(NULL, 16 * HUGE, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		memset(q, 0xee, 16 * HUGE);
		munmap(q, 16 * HUGE);
	}
}

TEST_F(adopt, it_outlives_the_file)
{
	NEEDS_BUS();
	int users = module_users(), importer = keep(self->p, self->size);

	ASSERT_GE(importer, 0);
	EXPECT_GT(module_users(), users);
	mark(self->p, self->size);
	munmap(self->p, self->size);
	self->p = NULL;
	close(self->memfd);
	self->memfd = -1;
	disturb();
	EXPECT_TRUE(kept(importer, self->size));
	close(importer);
	EXPECT_TRUE(released(users));
}

TEST_F(adopt, it_outlives_a_truncation)
{
	NEEDS_BUS();
	int importer = keep(self->p, self->size);

	ASSERT_GE(importer, 0);
	mark(self->p, self->size);
	ASSERT_EQ(0, ftruncate(self->memfd, 0));
	disturb();
	EXPECT_TRUE(kept(importer, self->size));
	close(importer);
}

TEST_F(adopt, a_hole_in_the_file_is_none_in_the_region)
{
	NEEDS_BUS();
	int importer = keep(self->p, variant->page);

	ASSERT_GE(importer, 0);
	mark(self->p, variant->page);
	ASSERT_EQ(0, fallocate(self->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       0, (off_t)variant->page));
	EXPECT_EQ(0, *(uint64_t *)self->p);
	memset(self->p, 0x11, SMALL);
	EXPECT_TRUE(kept(importer, SMALL));
	close(importer);
}

TEST_F(adopt, a_bell_rings_in_a_file_that_is_gone)
{
	struct pinring_doorbell_lines *lines = (void *)(self->p + AT);
	int event = eventfd(0, EFD_CLOEXEC), fd = adopt(self->p, self->size);
	int bell = doorbell(fd, AT, event, PINRING_IOC_DOORBELL_DEVICE);

	ASSERT_GE(bell, 0);
	ASSERT_EQ(0, arm(bell, lines->sequence));
	ASSERT_EQ(0, ftruncate(self->memfd, 0));
	EXPECT_EQ(0, ring(fd, AT));
	EXPECT_EQ(-EAGAIN, arm(bell, 77));
	close(bell);
	close(fd);
	close(event);
}

TEST_F(adopt, nothing_moves_or_swaps_it)
{
	NEEDS_BUS();
	int importer = keep(self->p, self->size), other, status = -1;
	unsigned char byte = 0x77;
	void *page = self->p;

	ASSERT_GE(importer, 0);
	mark(self->p, self->size);
	other = !node_of(self->p);
	madvise(self->p, self->size, MADV_PAGEOUT);
	madvise(self->p, self->size, MADV_COLD);
	syscall(SYS_move_pages, 0, 1ul, &page, &other, &status, 1 << 2 /* MPOL_MF_MOVE_ALL */);
	EXPECT_NE(other, status);
	EXPECT_TRUE(stamped(self->p, SMALL, 0));
	EXPECT_EQ(!other, node_of(self->p));
	ASSERT_EQ(0, copy(importer, IMPORTER_BY_DEVICE, true, &byte, 5, 1));
	EXPECT_EQ(0x77, self->p[5]);
	close(importer);
}

/* A seal against writing waits in vain for who may still write. */
TEST(it_cannot_be_sealed_meanwhile)
{
	NEEDS_BUS();
	int memfd = memfd_create("adopt", MFD_CLOEXEC | MFD_ALLOW_SEALING), importer;
	unsigned char *p;

	ASSERT_EQ(0, ftruncate(memfd, SMALL));
	p = map(memfd, SMALL);
	ASSERT_NE(NULL, p);
	importer = keep(p, SMALL);
	ASSERT_GE(importer, 0);
	munmap(p, SMALL);
	EXPECT_EQ(-1, fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE));
	EXPECT_EQ(EBUSY, errno);
	close(importer);
	EXPECT_EQ(0, fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE));
	close(memfd);
}

TEST_F(adopt, it_can_be_passed_and_its_maker_die)
{
	NEEDS_BUS();
	int sockets[2], status, users = module_users(), fd, dmabuf, importer;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	mark(self->p, self->size);
	pid = fork();
	if (!pid) {
		fd = adopt(self->p, self->size);
		if (fd < 0 || send_fd(sockets[1], fd))
			_exit(1);
		raise(SIGKILL);
	}
	munmap(self->p, self->size);
	self->p = NULL;
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));
	fd = receive_fd(sockets[0]);
	ASSERT_GE(fd, 0);
	dmabuf = export(fd, 0, 0, 0);
	importer = import_simply(dmabuf, IMPORTER_BIDIRECTIONAL);
	ASSERT_GE(importer, 0);
	EXPECT_TRUE(kept(importer, self->size));
	close(importer);
	close(dmabuf);
	close(fd);
	EXPECT_TRUE(released(users));
}

/* -------------------------------------------------------------------- limits */

/* As a user without capabilities: 4 pages, then what the limits leave. */
static int beyond(void *p, long memlock, int expected)
{
	struct rlimit limit = { (rlim_t)memlock, (rlim_t)memlock };
	int device = device_open(), status;
	pid_t pid = fork();

	if (!pid) {
		struct pinring_ioc_region_adopt a = ARG(pinring_ioc_region_adopt);
		int fd;

		if (setrlimit(RLIMIT_MEMLOCK, &limit) || setresuid(4711, 4711, 4711))
			_exit(1);
		a.address = (uintptr_t)p;
		a.size = 4 * SMALL;
		fd = adopt_as(device, &a);
		if (fd < 0)
			_exit(2);
		a.size = SMALL;
		if (adopt_as(device, &a) != expected)
			_exit(3);
		close(fd);
		_exit(adopt_as(device, &a) < 0 ? 4 : 0);
	}
	close(device);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

TEST_F(adopt, it_is_limited_as_any_region)
{
	long long limit = sysfs_read("max_bytes_per_user");

	EXPECT_EQ(0, beyond(self->p, 4 * SMALL, -ENOBUFS));
	ASSERT_EQ(0, sysfs_set("max_bytes_per_user", 4 * SMALL));
	EXPECT_EQ(0, beyond(self->p, 1l << 40, -EDQUOT));
	sysfs_set("max_bytes_per_user", limit);
}

TEST_HARNESS_MAIN
