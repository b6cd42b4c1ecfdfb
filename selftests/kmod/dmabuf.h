/* SPDX-License-Identifier: MIT */
/* dmabuf.h - dma-bufs of regions, and a driver that takes them (importer/). */
#ifndef PINRING_TEST_DMABUF_H
#define PINRING_TEST_DMABUF_H

#include "kmod.h"

#include "importer/importer.h"

/* A dma-buf of part of a region, or -errno. */
TEST_UNUSED static int export(int fd, uint64_t offset, uint64_t size, uint32_t flags)
{
	struct pinring_ioc_region_export e = ARG(pinring_ioc_region_export);
	int rc;

	e.offset = offset;
	e.size = size;
	e.flags = flags;
	rc = call(fd, PINRING_IOC_REGION_EXPORT, &e);
	return rc ? rc : e.fd;
}

/* An importer that has the dma-buf mapped for its device, or -errno. */
TEST_UNUSED static int import(int dmabuf, struct importer_map *m)
{
	int importer = open("/dev/pinring-importer", O_RDWR | O_CLOEXEC), rc;

	if (importer < 0)
		return -errno;
	m->fd = dmabuf;
	rc = call(importer, IMPORTER_MAP, m);
	if (rc) {
		close(importer);
		return rc;
	}
	return importer;
}

TEST_UNUSED static int import_simply(int dmabuf, uint32_t direction)
{
	struct importer_map m = { .direction = direction, .max_segment = UINT32_MAX };

	return import(dmabuf, &m);
}

/* Between memory and the dma-buf that the importer has. */
TEST_UNUSED static int copy(int importer, uint32_t way, bool write, void *user,
			    uint64_t offset, uint64_t size)
{
	struct importer_copy c = {
		.offset = offset,
		.size = size,
		.user = (uintptr_t)user,
		.way = way,
		.write = write,
	};

	return call(importer, IMPORTER_COPY, &c);
}

TEST_UNUSED static bool has_bus(void)
{
	int importer = open("/dev/pinring-importer", O_RDWR | O_CLOEXEC);
	int rc = call(importer, IMPORTER_BUS, NULL);

	close(importer);
	return rc != -ENODEV;
}

#define NEEDS_BUS() do { \
	if (!has_bus()) { \
		SKIP(return, "no device has a bus of its own on this kernel"); \
	} \
} while (0)

#endif /* PINRING_TEST_DMABUF_H */
