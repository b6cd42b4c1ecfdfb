/* SPDX-License-Identifier: MIT */
/* adopt.h - regions of memory that a test has already. */
#ifndef PINRING_TEST_ADOPT_H
#define PINRING_TEST_ADOPT_H

#include "dmabuf.h"

TEST_UNUSED static int adopt_as(int device, struct pinring_ioc_region_adopt *a)
{
	int rc = call(device, PINRING_IOC_REGION_ADOPT, a);

	return rc ? rc : a->fd;
}

TEST_UNUSED static int adopt(void *p, uint64_t size)
{
	struct pinring_ioc_region_adopt a = ARG(pinring_ioc_region_adopt);
	int device = device_open(), rc;

	a.address = (uintptr_t)p;
	a.size = size;
	rc = adopt_as(device, &a);
	close(device);
	return rc;
}

/* A file of the kernel's pool of such pages, or -1. */
TEST_UNUSED static long pool_get(uint64_t page, const char *file)
{
	char path[128];
	long n = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%lukB/%s",
		 (unsigned long)(page >> 10), file);
	f = fopen(path, "re");
	if (!f)
		return -1;
	if (fscanf(f, "%ld", &n) != 1)
		n = -1;
	fclose(f);
	return n;
}

TEST_UNUSED static void pool_set(uint64_t page, long n)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path),
		 "/sys/kernel/mm/hugepages/hugepages-%lukB/nr_hugepages",
		 (unsigned long)(page >> 10));
	f = fopen(path, "we");
	if (f) {
		fprintf(f, "%ld\n", n);
		fclose(f);
	}
}

/* A few pages, for it takes long to fill 1 GiB. */
TEST_UNUSED static uint64_t marked_page(uint64_t size, unsigned int i)
{
	const uint64_t at[] = { 0, 3 * SMALL, size / 2, size - SMALL };

	return i < sizeof(at) / sizeof(at[0]) ? at[i] - at[i] % SMALL : size;
}

TEST_UNUSED static void mark(unsigned char *p, uint64_t size)
{
	uint64_t at;

	for (unsigned int i = 0; (at = marked_page(size, i)) < size; i++)
		for (uint64_t j = 0; j < SMALL; j += 8)
			*(uint64_t *)(p + at + j) = at + j + 1;
}

/* An importer of all of it, which is all that is left; or -errno. */
TEST_UNUSED static int keep(unsigned char *p, uint64_t size)
{
	int fd = adopt(p, size), dmabuf = fd < 0 ? fd : export(fd, 0, 0, 0);
	int importer = dmabuf < 0 ? dmabuf :
				    import_simply(dmabuf, IMPORTER_BIDIRECTIONAL);

	close(dmabuf);
	close(fd);
	return importer;
}

TEST_UNUSED static bool kept(int importer, uint64_t size)
{
	unsigned char got[SMALL];
	uint64_t at;

	for (unsigned int i = 0; (at = marked_page(size, i)) < size; i++) {
		if (copy(importer, IMPORTER_BY_DEVICE, false, got, at, SMALL) ||
		    !stamped(got, SMALL, at))
			return false;
	}
	return true;
}

#endif /* PINRING_TEST_ADOPT_H */
