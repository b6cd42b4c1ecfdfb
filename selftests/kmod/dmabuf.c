// SPDX-License-Identifier: MIT
/*
 * dmabuf.c - a region as a dma-buf: to programs, and to a driver that imports it
 * (importer/importer.c).
 */
#include "kmod.h"

#include <kselftest_harness.h>
#include <linux/dma-buf.h>

#include "dmabuf.h"

#define SIZE (3 * HUGE)
#define MISALIGNED SMALL /* pages that a huge page cannot be mapped with */

/* Of huge pages, and of small ones, which may lie anywhere. */
FIXTURE(dmabuf) {
	int fd;
	unsigned char *p;
	uint64_t size;
};

FIXTURE_VARIANT(dmabuf) {
	uint32_t flags;
	uint64_t size;
};

FIXTURE_VARIANT_ADD(dmabuf, huge) { .size = SIZE };
FIXTURE_VARIANT_ADD(dmabuf, small) {
	.flags = PINRING_IOC_SMALL_PAGES,
	.size = 800 * SMALL,
};

FIXTURE_SETUP(dmabuf)
{
	self->size = variant->size;
	self->fd = region_on(PINRING_IOC_NODE_LOCAL, self->size, variant->flags);
	ASSERT_GE(self->fd, 0);
	self->p = map(self->fd, self->size);
	ASSERT_NE(NULL, self->p);
	stamp(self->p, self->size);
}

FIXTURE_TEARDOWN(dmabuf)
{
	munmap(self->p, self->size);
	close(self->fd);
}

/* ------------------------------------------------------------------ the call */

TEST(the_module_says_that_it_can)
{
	struct pinring_ioc_info i = ARG(pinring_ioc_info);
	int device = device_open();

	ASSERT_EQ(0, call(device, PINRING_IOC_INFO, &i));
	EXPECT_NE(0, i.features & PINRING_IOC_FEATURE_DMABUF);
	close(device);
}

TEST_F(dmabuf, it_is_pages_within_the_region)
{
	const uint64_t size = self->size;

	EXPECT_EQ(-EINVAL, export(self->fd, 8, SMALL, 0));
	EXPECT_EQ(-EINVAL, export(self->fd, SMALL - 1, SMALL, 0));
	EXPECT_EQ(-EINVAL, export(self->fd, 0, 8, 0));
	EXPECT_EQ(-EINVAL, export(self->fd, 0, SMALL + 1, 0));
	EXPECT_EQ(-EINVAL, export(self->fd, 0, size + SMALL, 0));
	EXPECT_EQ(-EINVAL, export(self->fd, SMALL, size, 0));
	EXPECT_EQ(-EINVAL, export(self->fd, size, 0, 0));
	EXPECT_EQ(-EINVAL, export(self->fd, size, SMALL, 0));
	EXPECT_EQ(-EINVAL, export(self->fd, -SMALL, 2 * SMALL, 0));
	EXPECT_EQ(-EINVAL, export(self->fd, SMALL, -SMALL, 0));
	EXPECT_EQ(-EINVAL, export(self->fd, 0, -SMALL, 0));
	EXPECT_EQ(-EINVAL, export(self->fd, 0, 0, PINRING_IOC_EXPORT_READONLY << 1));
}

TEST_F(dmabuf, it_says_how_long_it_is)
{
	struct pinring_ioc_region_export e = ARG(pinring_ioc_region_export);

	e.offset = 2 * SMALL;
	ASSERT_EQ(0, call(self->fd, PINRING_IOC_REGION_EXPORT, &e));
	EXPECT_EQ(self->size - 2 * SMALL, e.size);
	EXPECT_EQ(self->size - 2 * SMALL, (uint64_t)lseek(e.fd, 0, SEEK_END));
	EXPECT_EQ(FD_CLOEXEC, fcntl(e.fd, F_GETFD));
	EXPECT_EQ(O_RDWR, fcntl(e.fd, F_GETFL) & O_ACCMODE);
	close(e.fd);
	e = ARG(pinring_ioc_region_export);
	e.size = SMALL;
	e.offset = self->size - SMALL;
	ASSERT_EQ(0, call(self->fd, PINRING_IOC_REGION_EXPORT, &e));
	EXPECT_EQ(SMALL, e.size);
	EXPECT_EQ(SMALL, (uint64_t)lseek(e.fd, 0, SEEK_END));
	close(e.fd);
}

/* ------------------------------------------------------------------ programs */

TEST_F(dmabuf, a_mapping_sees_the_same_bytes)
{
	int dmabuf = export(self->fd, 0, 0, 0);
	unsigned char *q = map(dmabuf, self->size);

	ASSERT_NE(NULL, q);
	EXPECT_TRUE(stamped(q, self->size, 0));
	memset(q, 0x33, self->size);
	for (uint64_t i = 0; i < self->size; i++) {
		if (self->p[i] != 0x33) {
			ASSERT_EQ(0x33, self->p[i]);
		}
	}
	munmap(q, self->size);
	close(dmabuf);
}

/* Also where the pages of the part lie differently from those of the region. */
TEST_F(dmabuf, a_part_is_that_part)
{
	const uint64_t offset = MISALIGNED, size = self->size - 3 * SMALL;
	int dmabuf = export(self->fd, offset, size, 0);
	unsigned char *q = map(dmabuf, size);

	ASSERT_NE(NULL, q);
	EXPECT_TRUE(stamped(q, size, offset));
	munmap(q, size);
	/* where a huge page would fit into the mapping, were it that page's place */
	q = mmap((void *)(64 * HUGE), size, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED_NOREPLACE, dmabuf, 0);
	ASSERT_EQ((void *)(64 * HUGE), (void *)q);
	EXPECT_TRUE(stamped(q, size, offset));
	munmap(q, size);
	q = map_at(dmabuf, SMALL, PROT_READ, 5 * SMALL);
	ASSERT_NE(NULL, q);
	EXPECT_TRUE(stamped(q, SMALL, offset + 5 * SMALL));
	munmap(q, SMALL);
	close(dmabuf);
}

TEST_F(dmabuf, a_mapping_stays_within_the_part)
{
	const uint64_t size = 4 * SMALL;
	int dmabuf = export(self->fd, MISALIGNED, size, 0);
	unsigned char *q = map(dmabuf, size);

	ASSERT_NE(NULL, q);
	EXPECT_EQ(NULL, map(dmabuf, size + SMALL));
	EXPECT_EQ(NULL, map_at(dmabuf, SMALL, PROT_READ, size));
	EXPECT_EQ(NULL, map_at(dmabuf, 2 * SMALL, PROT_READ, size - SMALL));
	EXPECT_EQ(NULL, map_at(dmabuf, SMALL, PROT_READ, 1ull << 50));
	EXPECT_EQ(NULL, map_at(dmabuf, SMALL, PROT_READ, -SMALL));
	EXPECT_EQ(MAP_FAILED, mremap(q, size, size + SMALL, MREMAP_MAYMOVE));
	/* an old call that maps another place of a mapping's file */
	EXPECT_EQ(0, syscall(SYS_remap_file_pages, q, SMALL, 0, 1, 0));
	EXPECT_TRUE(stamped(q, SMALL, MISALIGNED + SMALL));
	EXPECT_EQ(-1, syscall(SYS_remap_file_pages, q, SMALL, 0, size / SMALL, 0));
	munmap(q, size);
	close(dmabuf);
}

TEST(a_mapping_is_of_huge_pages)
{
	int fd = region(SIZE), dmabuf = export(fd, HUGE, HUGE, 0);
	void *at = (void *)(64 * HUGE);
	unsigned char *q;

	ASSERT_GE(dmabuf, 0);
	q = mmap(at, HUGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE,
		 dmabuf, 0);
	ASSERT_EQ(at, (void *)q);
	q[SMALL] = 1;
	EXPECT_EQ(HUGE >> 10, smaps(q, "FilePmdMapped"));
	munmap(q, HUGE);
	close(dmabuf);
	/* of those that are in it as a whole */
	dmabuf = export(fd, SMALL, 0, 0);
	q = mmap((char *)at + SMALL, SIZE - SMALL, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED_NOREPLACE, dmabuf, 0);
	ASSERT_EQ((char *)at + SMALL, (char *)q);
	memset(q, 1, SIZE - SMALL);
	EXPECT_EQ((SIZE - HUGE) >> 10, smaps(q, "FilePmdMapped"));
	munmap(q, SIZE - SMALL);
	close(dmabuf);
	close(fd);
}

TEST_F(dmabuf, it_is_mapped_as_a_region_is)
{
	int dmabuf = export(self->fd, 0, 0, 0);
	void *q;

	ASSERT_GE(dmabuf, 0);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, SMALL, PROT_READ, MAP_PRIVATE, dmabuf, 0));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, SMALL, PROT_READ | PROT_EXEC, MAP_SHARED,
				   dmabuf, 0));
	q = map(dmabuf, SMALL);
	ASSERT_NE(NULL, q);
	EXPECT_EQ(-1, mprotect(q, SMALL, PROT_READ | PROT_EXEC));
	munmap(q, SMALL);
	close(dmabuf);
}

TEST_F(dmabuf, the_cpu_says_when_it_begins_and_ends)
{
	int dmabuf = export(self->fd, 0, 0, 0);
	struct dma_buf_sync sync = { DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW };

	ASSERT_GE(dmabuf, 0);
	EXPECT_EQ(0, call(dmabuf, DMA_BUF_IOCTL_SYNC, &sync));
	sync.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW;
	EXPECT_EQ(0, call(dmabuf, DMA_BUF_IOCTL_SYNC, &sync));
	close(dmabuf);
}

/* ----------------------------------------------------------------- read-only */

TEST_F(dmabuf, a_read_only_region_has_no_writable_one)
{
	int ro = readonly(self->fd), dmabuf;

	ASSERT_GE(ro, 0);
	EXPECT_EQ(-EACCES, export(ro, 0, 0, 0));
	dmabuf = export(ro, 0, 0, PINRING_IOC_EXPORT_READONLY);
	ASSERT_GE(dmabuf, 0);
	EXPECT_EQ(O_RDONLY, fcntl(dmabuf, F_GETFL) & O_ACCMODE);
	close(ro);
	close(dmabuf);
}

TEST_F(dmabuf, no_program_writes_by_a_read_only_one)
{
	int dmabuf = export(self->fd, 0, 0, PINRING_IOC_EXPORT_READONLY);
	unsigned char *q;
	char path[64];

	ASSERT_GE(dmabuf, 0);
	EXPECT_EQ(NULL, map(dmabuf, SMALL));
	EXPECT_EQ(EACCES, errno);
	q = map_at(dmabuf, self->size, PROT_READ, 0);
	ASSERT_NE(NULL, q);
	EXPECT_TRUE(stamped(q, self->size, 0));
	EXPECT_EQ(-1, mprotect(q, SMALL, PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", dmabuf);
	EXPECT_EQ(-1, open(path, O_RDWR));
	munmap(q, self->size);
	close(dmabuf);
}

TEST_F(dmabuf, no_device_writes_by_a_read_only_one)
{
	int dmabuf = export(self->fd, 0, 0, PINRING_IOC_EXPORT_READONLY), importer;
	unsigned char got[SMALL];

	NEEDS_BUS();
	ASSERT_GE(dmabuf, 0);
	EXPECT_EQ(-EACCES, import_simply(dmabuf, IMPORTER_BIDIRECTIONAL));
	EXPECT_EQ(-EACCES, import_simply(dmabuf, IMPORTER_FROM_DEVICE));
	importer = import_simply(dmabuf, IMPORTER_TO_DEVICE);
	ASSERT_GE(importer, 0);
	EXPECT_EQ(0, copy(importer, IMPORTER_BY_DEVICE, false, got, SMALL, SMALL));
	EXPECT_TRUE(stamped(got, SMALL, SMALL));
	EXPECT_EQ(0, copy(importer, IMPORTER_BY_VMAP, false, got, SMALL, SMALL));
	EXPECT_TRUE(stamped(got, SMALL, SMALL));
	close(importer);
	close(dmabuf);
}

/* A driver's own file may be writable, and it lets its own be mapped. */
TEST_F(dmabuf, nobody_writes_by_a_driver_that_maps_a_read_only_one)
{
	int dmabuf = export(self->fd, 0, 0, PINRING_IOC_EXPORT_READONLY);
	int importer = import_simply(dmabuf, IMPORTER_NO_DEVICE);
	unsigned char *q;

	ASSERT_GE(importer, 0);
	EXPECT_EQ(NULL, map(importer, SMALL));
	EXPECT_EQ(EACCES, errno);
	q = map_at(importer, self->size, PROT_READ, 0);
	ASSERT_NE(NULL, q);
	EXPECT_TRUE(stamped(q, self->size, 0));
	EXPECT_EQ(-1, mprotect(q, SMALL, PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	/* an old call that maps a mapping's file anew */
	syscall(SYS_remap_file_pages, q, SMALL, 0, 0, 0);
	EXPECT_EQ(-1, mprotect(q, SMALL, PROT_READ | PROT_WRITE));
	munmap(q, self->size);
	close(importer);
	close(dmabuf);
}

/* ------------------------------------------------------------------- devices */

TEST_F(dmabuf, a_device_reads_and_writes_what_programs_do)
{
	const uint64_t offset = MISALIGNED, size = self->size - 2 * SMALL;
	int dmabuf = export(self->fd, offset, size, 0);
	struct importer_map m = { .max_segment = UINT32_MAX };
	unsigned char *buffer = malloc(size);
	int importer = import(dmabuf, &m);

	NEEDS_BUS();
	ASSERT_GE(importer, 0);
	EXPECT_EQ(size, m.bytes);
	ASSERT_EQ(0, copy(importer, IMPORTER_BY_DEVICE, false, buffer, 0, size));
	EXPECT_TRUE(stamped(buffer, size, offset));
	memset(buffer, 0x44, size);
	ASSERT_EQ(0, copy(importer, IMPORTER_BY_DEVICE, true, buffer, 0, size));
	EXPECT_TRUE(stamped(self->p, offset, 0));
	for (uint64_t i = offset; i < offset + size; i++) {
		if (self->p[i] != 0x44) {
			ASSERT_EQ(0x44, self->p[i]);
		}
	}
	EXPECT_TRUE(stamped(self->p + offset + size, SMALL, offset + size));
	close(importer);
	close(dmabuf);
	free(buffer);
}

TEST_F(dmabuf, so_does_the_kernel)
{
	const uint64_t offset = MISALIGNED, size = self->size - 2 * SMALL;
	int dmabuf = export(self->fd, offset, size, 0);
	int importer = import_simply(dmabuf, IMPORTER_NO_DEVICE);
	unsigned char *buffer = malloc(size);

	ASSERT_GE(importer, 0);
	ASSERT_EQ(0, copy(importer, IMPORTER_BY_VMAP, false, buffer, 0, size));
	EXPECT_TRUE(stamped(buffer, size, offset));
	memset(buffer, 0x55, size);
	ASSERT_EQ(0, copy(importer, IMPORTER_BY_VMAP, true, buffer, 0, size));
	EXPECT_EQ(0x55, self->p[offset]);
	EXPECT_EQ(0x55, self->p[offset + size - 1]);
	EXPECT_TRUE(stamped(self->p + offset + size, SMALL, offset + size));
	close(importer);
	close(dmabuf);
	free(buffer);
}

TEST_F(dmabuf, a_driver_maps_it_for_programs)
{
	const uint64_t offset = MISALIGNED, size = self->size - 2 * SMALL;
	int dmabuf = export(self->fd, offset, size, 0);
	int importer = import_simply(dmabuf, IMPORTER_NO_DEVICE);
	unsigned char *q;

	ASSERT_GE(importer, 0);
	EXPECT_EQ(NULL, map(importer, size + SMALL));
	q = map(importer, size);
	ASSERT_NE(NULL, q);
	EXPECT_TRUE(stamped(q, size, offset));
	q[0] = 0x66;
	EXPECT_EQ(0x66, self->p[offset]);
	close(importer);
	close(dmabuf);
	EXPECT_TRUE(stamped(q + SMALL, SMALL, offset + SMALL));
	munmap(q, size);
}

/* The fewest segments that pages and device allow. */
TEST(segments_are_as_long_as_the_device_takes)
{
	int fd = region(SIZE), dmabuf = export(fd, 0, 0, 0), importer;
	struct importer_map m = { .max_segment = UINT32_MAX };

	NEEDS_BUS();
	importer = import(dmabuf, &m);
	ASSERT_GE(importer, 0);
	EXPECT_LE(m.segments, SIZE / HUGE);
	EXPECT_GE(m.biggest, HUGE);
	close(importer);

	m = (struct importer_map){ .max_segment = 64 << 10 };
	importer = import(dmabuf, &m);
	ASSERT_GE(importer, 0);
	EXPECT_EQ(SIZE / (64 << 10), m.segments);
	EXPECT_EQ(64 << 10, m.biggest);
	EXPECT_EQ(SIZE, m.bytes);
	close(importer);

	/* of whole pages, and of one at least */
	m = (struct importer_map){ .max_segment = 3 * SMALL - 1 };
	importer = import(dmabuf, &m);
	ASSERT_GE(importer, 0);
	EXPECT_EQ(SIZE / (2 * SMALL), m.segments);
	close(importer);
	m = (struct importer_map){ .max_segment = 512 };
	importer = import(dmabuf, &m);
	ASSERT_GE(importer, 0);
	EXPECT_EQ(SIZE / SMALL, m.segments);
	close(importer);

	/* as on the way through a bounce buffer */
	m = (struct importer_map){ .max_segment = UINT32_MAX, .max_mapping = 256 << 10 };
	importer = import(dmabuf, &m);
	ASSERT_GE(importer, 0);
	EXPECT_EQ(SIZE / (256 << 10), m.segments);
	close(importer);
	close(dmabuf);
	close(fd);
}

TEST_F(dmabuf, every_device_has_it_mapped_for_itself)
{
	int dmabuf = export(self->fd, 0, 0, 0), a, b;
	struct importer_map m = { .max_segment = 64 << 10 };
	unsigned char got[SMALL];

	NEEDS_BUS();
	a = import_simply(dmabuf, IMPORTER_TO_DEVICE);
	ASSERT_GE(a, 0);
	b = import(dmabuf, &m);
	ASSERT_GE(b, 0);
	EXPECT_LE(m.biggest, 64 << 10);
	close(a);
	EXPECT_EQ(0, copy(b, IMPORTER_BY_DEVICE, false, got, SMALL, SMALL));
	EXPECT_TRUE(stamped(got, SMALL, SMALL));
	close(b);
	close(dmabuf);
}

TEST_F(dmabuf, a_device_that_cannot_map_it_leaves_nothing)
{
	int users = module_users(), dmabuf = export(self->fd, 0, 0, 0);
	struct importer_map m = { .max_segment = UINT32_MAX, .fail = ENOMEM };
	int importer;

	NEEDS_BUS();
	ASSERT_GE(dmabuf, 0);
	EXPECT_EQ(-ENOMEM, import(dmabuf, &m));
	importer = import_simply(dmabuf, IMPORTER_BIDIRECTIONAL);
	EXPECT_GE(importer, 0);
	close(importer);
	close(dmabuf);
	EXPECT_TRUE(released(users));
}

/* Each device that has it mapped, and none that has no more. */
TEST_F(dmabuf, devices_are_told_of_the_cpu)
{
	int dmabuf = export(self->fd, 0, 0, 0);
	struct dma_buf_sync sync = { DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ };
	int a = import_simply(dmabuf, IMPORTER_FROM_DEVICE);
	int b = import_simply(dmabuf, IMPORTER_BIDIRECTIONAL);
	struct importer_syncs s;

	NEEDS_BUS();
	ASSERT_GE(a, 0);
	ASSERT_GE(b, 0);
	ASSERT_EQ(0, call(dmabuf, DMA_BUF_IOCTL_SYNC, &sync));
	close(b);
	ASSERT_EQ(0, call(dmabuf, DMA_BUF_IOCTL_SYNC, &sync));
	ASSERT_EQ(0, call(a, IMPORTER_SYNCS, &s));
	EXPECT_EQ(2, s.for_cpu);
	EXPECT_EQ(0, s.for_device);
	sync.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ;
	ASSERT_EQ(0, call(dmabuf, DMA_BUF_IOCTL_SYNC, &sync));
	ASSERT_EQ(0, call(a, IMPORTER_SYNCS, &s));
	EXPECT_EQ(2, s.for_cpu);
	EXPECT_EQ(1, s.for_device);
	close(a);
	close(dmabuf);
}

/* ------------------------------------------------------------------ lifetime */

TEST(it_holds_the_region_and_the_module)
{
	int users = module_users(), fd = region(SIZE), dmabuf;
	long long bytes = sysfs_read("bytes");
	unsigned char *p = map(fd, SIZE), *q;

	ASSERT_NE(NULL, p);
	stamp(p, SIZE);
	dmabuf = export(fd, 0, 0, 0);
	ASSERT_GE(dmabuf, 0);
	munmap(p, SIZE);
	close(fd);
	EXPECT_GT(module_users(), users);
	EXPECT_EQ(bytes, sysfs_read("bytes"));
	EXPECT_EQ(-1, syscall(SYS_delete_module, "pinring", O_NONBLOCK));
	EXPECT_EQ(EWOULDBLOCK, errno);
	q = map(dmabuf, SIZE);
	ASSERT_NE(NULL, q);
	EXPECT_TRUE(stamped(q, HUGE, 0));
	close(dmabuf);
	/* not yet faulted in */
	EXPECT_TRUE(stamped(q + HUGE, HUGE, HUGE));
	EXPECT_GT(module_users(), users);
	munmap(q, SIZE);
	EXPECT_TRUE(released(users));
	EXPECT_EQ(bytes - (long long)SIZE, sysfs_read("bytes"));
}

TEST(a_device_that_has_it_mapped_holds_it)
{
	int users = module_users(), fd = region(SIZE), dmabuf, importer;
	unsigned char *p = map(fd, SIZE), *got = malloc(SIZE);

	NEEDS_BUS();
	ASSERT_NE(NULL, p);
	stamp(p, SIZE);
	dmabuf = export(fd, 0, 0, 0);
	importer = import_simply(dmabuf, IMPORTER_BIDIRECTIONAL);
	ASSERT_GE(importer, 0);
	munmap(p, SIZE);
	close(dmabuf);
	close(fd);
	EXPECT_GT(module_users(), users);
	EXPECT_EQ(-1, syscall(SYS_delete_module, "pinring", O_NONBLOCK));
	/* whatever is allocated now does not get its pages */
	for (int i = 0; i < 8; i++) {
		int other = region(8 * HUGE);
		unsigned char *q = map(other, 8 * HUGE);

		ASSERT_NE(NULL, q);
		memset(q, 0xee, 8 * HUGE);
		munmap(q, 8 * HUGE);
		close(other);
	}
	EXPECT_EQ(0, copy(importer, IMPORTER_BY_DEVICE, false, got, 0, SIZE));
	EXPECT_TRUE(stamped(got, SIZE, 0));
	close(importer);
	EXPECT_TRUE(released(users));
	free(got);
}

TEST(one_of_many_may_go_first)
{
	int users = module_users(), fd = region(SIZE), dmabufs[8];

	ASSERT_GE(fd, 0);
	for (size_t i = 0; i < ARRAY_SIZE(dmabufs); i++) {
		dmabufs[i] = export(fd, (i % 3) * HUGE, HUGE, 0);
		ASSERT_GE(dmabufs[i], 0);
	}
	close(dmabufs[3]);
	close(fd);
	for (size_t i = 0; i < ARRAY_SIZE(dmabufs); i++) {
		unsigned char *q = i == 3 ? NULL : map(dmabufs[i], HUGE);

		if (q) {
			q[0] = 1;
			munmap(q, HUGE);
		}
		EXPECT_TRUE(q || i == 3);
	}
	EXPECT_GT(module_users(), users);
	for (size_t i = 0; i < ARRAY_SIZE(dmabufs); i++) {
		if (i != 3) {
			close(dmabufs[i]);
		}
	}
	EXPECT_TRUE(released(users));
}

TEST(it_can_be_passed_and_the_creator_die)
{
	int sockets[2], status, dmabuf, users = module_users();
	unsigned char *p;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	pid = fork();
	if (!pid) {
		int fd = region(SIZE);

		p = fd < 0 ? NULL : map(fd, SIZE);
		if (!p)
			_exit(1);
		stamp(p, SIZE);
		dmabuf = export(fd, HUGE, 0, 0);
		if (dmabuf < 0 || send_fd(sockets[1], dmabuf))
			_exit(2);
		raise(SIGKILL);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));
	dmabuf = receive_fd(sockets[0]);
	ASSERT_GE(dmabuf, 0);
	p = map(dmabuf, SIZE - HUGE);
	ASSERT_NE(NULL, p);
	EXPECT_TRUE(stamped(p, SIZE - HUGE, HUGE));
	munmap(p, SIZE - HUGE);
	close(dmabuf);
	EXPECT_TRUE(released(users));
}

TEST_HARNESS_MAIN
