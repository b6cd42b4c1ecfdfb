// SPDX-License-Identifier: MIT
/* region.c - creating, attaching, sharing and describing regions. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

#define FLAGS_KNOWN                                            \
	(PINRING_REGION_PREFAULT | PINRING_REGION_STRICT_NODE | \
	 PINRING_REGION_SMALL_PAGES)

#define MEMFD_NAME_MAX 249 /* memfd_create(2) */

#ifndef SCM_PIDFD
#define SCM_PIDFD 4 /* Linux 6.5 */
#endif

struct pinring_region *pinring_region_get(struct pinring_region *region)
{
	/* relaxed: the caller holds a reference already */
	__atomic_add_fetch(&region->references, 1, __ATOMIC_RELAXED);
	return region;
}

void pinring_region_close(struct pinring_region *region)
{
	int saved = errno;

	if (!region)
		return;
	/* acq_rel: nobody uses the mapping after the last one out */
	if (__atomic_sub_fetch(&region->references, 1, __ATOMIC_ACQ_REL))
		return;
	munmap(region->base, region->size);
	close(region->fd);
	pinring_device_close(region->device);
	free(region);
	errno = saved;
}

static struct pinring_region *region_new(struct pinring_device *device)
{
	struct pinring_region *region = calloc(1, sizeof(*region));

	if (!region)
		return NULL;
	region->references = 1;
	region->device = pinring_device_get(device);
	region->fd = -1;
	return region;
}

static void region_abandon(struct pinring_region *region)
{
	pinring_device_close(region->device);
	free(region);
}

static uint64_t header_seal(const struct pinring_region_header *h)
{
	return pinring_hash(h, offsetof(struct pinring_region_header, seal));
}

static void header_init(struct pinring_region *region, int32_t node)
{
	struct pinring_region_header *h = (void *)region->base;

	h->magic = PINRING_REGION_MAGIC;
	h->abi_version = PINRING_ABI_VERSION;
	h->header_bytes = PINRING_REGION_HEADER_BYTES;
	h->size = region->size;
	h->page_size = region->page_size;
	h->backend = region->backend;
	h->node = node < 0 ? -1 : node;
	h->objects_max = PINRING_OBJECTS_MAX;
	h->creator_pid = (uint32_t)getpid();
	pinring_directory_init(region->base);
	/* release: who finds the region by name may be looking already */
	__atomic_store_n(&h->seal, header_seal(h), __ATOMIC_RELEASE);
}

int pinring_region_create(struct pinring_device *device,
			  const struct pinring_region_config *config,
			  struct pinring_region **out)
{
	struct pinring_region_config c = pinring_region_defaults(0);
	struct pinring_region *region;
	int saved = errno;
	int rc;

	*out = NULL;
	rc = pinring_take_config(device, &c, sizeof(c), config,
				 "pinring_region_config");
	if (rc)
		return rc;
	if (!c.size || c.size > 1ull << PINRING_OFFSET_BITS)
		return pinring_fail(device, -EINVAL,
				    "size: %llu bytes is not from 1 to 2^48",
				    (unsigned long long)c.size);
	if (c.flags & ~FLAGS_KNOWN)
		return pinring_fail(device, -EINVAL, "flags: unknown bits %#x",
				    c.flags & ~FLAGS_KNOWN);
	if (c.name && strnlen(c.name, MEMFD_NAME_MAX + 1) > MEMFD_NAME_MAX)
		return pinring_fail(device, -EINVAL,
				    "name: more than %d bytes", MEMFD_NAME_MAX);
	if (c.mode & ~0666u || c.reserved)
		return pinring_fail(device, -EINVAL, "%s: %#o is not allowed",
				    c.reserved ? "reserved" : "mode",
				    c.reserved ? c.reserved : c.mode);
	if (c.mode && device->backend != PINRING_BACKEND_MODULE)
		return pinring_fail(device, -EOPNOTSUPP,
				    "mode: no regions are found by name: %s",
				    device->reason);
	if (c.size < PINRING_REGION_HEADER_BYTES)
		c.size = PINRING_REGION_HEADER_BYTES;
	region = region_new(device);
	if (!region)
		return pinring_fail(device, -ENOMEM, "no memory for a region");
	rc = pinring_backing_create(device, &c, region);
	errno = saved;
	if (rc) {
		region_abandon(region);
		return rc;
	}
	header_init(region, c.node);
	*out = region;
	return 0;
}

/* The header as copied once from shared memory, against the file's size. */
static int header_check(struct pinring_device *device,
			const struct pinring_region_header *h, uint64_t size)
{
	const char *field = NULL;
	size_t i;

	if (h->magic != PINRING_REGION_MAGIC)
		field = "magic";
	else if (h->abi_version != PINRING_ABI_VERSION)
		return pinring_fail(device, -EINVAL,
				    "region: ABI version %u, this library speaks %d",
				    h->abi_version, PINRING_ABI_VERSION);
	else if (h->header_bytes != PINRING_REGION_HEADER_BYTES)
		field = "header_bytes";
	else if (h->size != size)
		field = "size";
	else if (h->features)
		field = "features";
	else if (h->page_size != 4096 && h->page_size != PINRING_HUGE_PAGE)
		field = "page_size";
	else if (h->backend != PINRING_BACKEND_EMBEDDED &&
		 h->backend != PINRING_BACKEND_MODULE)
		field = "backend";
	else if (h->node < -1 || h->node > 1023)
		field = "node";
	else if (h->objects_max != PINRING_OBJECTS_MAX)
		field = "objects_max";
	for (i = 0; i < 8; i++)
		if (h->reserved[i])
			field = "reserved";
	if (!field && h->seal != header_seal(h))
		field = "seal";
	if (!field)
		return 0;
	return pinring_fail(device, -EINVAL,
			    "not a region, or a damaged one: header field %s",
			    field);
}

static int attach_fd(struct pinring_device *device, int fd,
		     struct pinring_region *region)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW;
	struct pinring_region_header copy;
	struct stat st;
	int have, rc;
	void *map;

	have = fcntl(fd, F_GET_SEALS);
	if (have < 0 && errno == EBADF)
		return pinring_fail(device, -EBADF, "fd %d: %m", fd);
	region->backend = PINRING_BACKEND_EMBEDDED;
	if (have < 0 && pinring_module_made(fd))
		region->backend = PINRING_BACKEND_MODULE;
	else if (have < 0 || (have & seals) != seals)
		return pinring_fail(device, -EINVAL,
				    "fd %d is not a memfd sealed against shrinking: its maker could pull the memory away",
				    fd);
	/* Only now: before the seals, its maker could still make it smaller. */
	if (fstat(fd, &st))
		return pinring_fail(device, -errno, "fd %d: %m", fd);
	if (st.st_size < PINRING_REGION_HEADER_BYTES || st.st_size % 4096 ||
	    (uint64_t)st.st_size > 1ull << PINRING_OFFSET_BITS)
		return pinring_fail(device, -EINVAL,
				    "fd %d: %lld bytes is no size of a region",
				    fd, (long long)st.st_size);
	map = pinring_backing_map(fd, (uint64_t)st.st_size,
				  st.st_size % (off_t)PINRING_HUGE_PAGE ?
					  4096 :
					  PINRING_HUGE_PAGE);
	if (map == MAP_FAILED)
		return pinring_fail(device, -errno, "fd %d: cannot map: %m", fd);
	/* acquire: what its maker wrote before the seal */
	if (region->backend == PINRING_BACKEND_MODULE &&
	    !__atomic_load_n(&((struct pinring_region_header *)map)->seal,
			     __ATOMIC_ACQUIRE)) {
		rc = pinring_fail(device, -EAGAIN,
				  "fd %d: its maker has not finished it", fd);
	} else {
		memcpy(&copy, map, sizeof(copy));
		rc = header_check(device, &copy, (uint64_t)st.st_size);
	}
	if (!rc)
		rc = pinring_directory_check(device, map, (uint64_t)st.st_size);
	if (rc) {
		munmap(map, (size_t)st.st_size);
		return rc;
	}
	region->base = map;
	region->size = (uint64_t)st.st_size;
	region->page_size = copy.page_size;
	region->fd = fd;
	return 0;
}

int pinring_region_attach(struct pinring_device *device, int fd,
			  struct pinring_region **out)
{
	struct pinring_region *region;
	int saved = errno;
	int own, rc;

	*out = NULL;
	own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (own < 0) {
		rc = pinring_fail(device, -errno, "fd %d: %m", fd);
		errno = saved;
		return rc;
	}
	region = region_new(device);
	rc = region ? attach_fd(device, own, region) :
		      pinring_fail(device, -ENOMEM, "no memory for a region");
	errno = saved;
	if (rc) {
		close(own);
		if (region)
			region_abandon(region);
		return rc;
	}
	*out = region;
	return 0;
}

int pinring_region_attach_name(struct pinring_device *device, uint32_t owner,
			       const char *name, struct pinring_region **out)
{
	int saved = errno;
	int fd, rc;

	*out = NULL;
	rc = fd = pinring_module_find(device, owner, name);
	if (fd >= 0) {
		rc = pinring_region_attach(device, fd, out);
		close(fd);
	}
	errno = saved;
	return rc;
}

int pinring_region_fd(const struct pinring_region *region)
{
	return region->fd;
}

void *pinring_region_base(const struct pinring_region *region)
{
	return region->base;
}

uint64_t pinring_region_size(const struct pinring_region *region)
{
	return region->size;
}

void *pinring_region_at(const struct pinring_region *region, uint64_t offset,
			uint64_t length)
{
	if (offset > region->size || length > region->size - offset)
		return NULL;
	return region->base + offset;
}

/* Adds up the smaps entries of the mapping: Rss, and what is mapped by PMD. */
static void smaps_sum(const struct pinring_region *region, uint64_t *resident,
		      uint64_t *huge)
{
	uintptr_t begin = (uintptr_t)region->base;
	uintptr_t end = begin + region->size;
	FILE *f = fopen("/proc/self/smaps", "re");
	bool inside = false;
	char line[512];

	*resident = 0;
	*huge = 0;
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		unsigned long low, high, kb;
		char key[32];

		if (sscanf(line, "%lx-%lx ", &low, &high) == 2) {
			inside = low >= begin && high <= end;
			continue;
		}
		if (!inside || sscanf(line, "%31[^:]: %lu kB", key, &kb) != 2)
			continue;
		if (!strcmp(key, "Rss"))
			*resident += kb * 1024;
		else if (!strcmp(key, "ShmemPmdMapped") ||
			 !strcmp(key, "FilePmdMapped"))
			*huge += kb * 1024;
		else if (!strcmp(key, "Shared_Hugetlb") ||
			 !strcmp(key, "Private_Hugetlb")) {
			*resident += kb * 1024;
			*huge += kb * 1024;
		}
	}
	fclose(f);
}

int pinring_region_info(const struct pinring_region *region,
			struct pinring_region_info *out)
{
	struct pinring_region_info info =
		PINRING_INIT(struct pinring_region_info);
	int saved = errno;

	info.size = region->size;
	info.backend = region->backend;
	smaps_sum(region, &info.resident_bytes, &info.huge_bytes);
	info.node = pinring_node_of(region->base);
	/* The header is always resident: if it is not in a huge page, the
	 * kernel had none to give.
	 */
	info.page_size = info.huge_bytes ? PINRING_HUGE_PAGE : 4096;
	memcpy(info.reason, region->reason, sizeof(info.reason));
	if (region->page_size == PINRING_HUGE_PAGE && !info.huge_bytes &&
	    region->backend == PINRING_BACKEND_EMBEDDED)
		snprintf(info.reason, sizeof(info.reason),
			 "4 KiB pages: the kernel had no free 2 MiB page (echo 1 > /proc/sys/vm/compact_memory)");
	errno = saved;
	return pinring_give_info(region->device, out, &info, sizeof(info),
				 "pinring_region_info");
}

int pinring_region_send(const struct pinring_region *region, int socket)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char byte = 'R';
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int saved = errno;
	ssize_t n;
	int rc = 0;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &region->fd, sizeof(int));
	do {
		n = sendmsg(socket, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		rc = pinring_fail(region->device, -errno,
				  "cannot send a region over fd %d: %m", socket);
	errno = saved;
	return rc;
}

/* Keeps the first descriptor that was sent; closes whatever else came. */
static int take_descriptor(struct msghdr *msg)
{
	struct cmsghdr *c;
	int fd = -1;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n, i;

		if (c->cmsg_level != SOL_SOCKET ||
		    (c->cmsg_type != SCM_RIGHTS && c->cmsg_type != SCM_PIDFD))
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			int got;

			memcpy(&got, CMSG_DATA(c) + i * sizeof(int),
			       sizeof(got));
			if (fd < 0 && c->cmsg_type == SCM_RIGHTS)
				fd = got;
			else
				close(got);
		}
	}
	return fd;
}

int pinring_region_receive(struct pinring_device *device, int socket,
			   struct pinring_region **out)
{
	union {
		struct cmsghdr align;
		/* What the caller's socket adds of the sender comes first. */
		char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(256) +
			   CMSG_SPACE(sizeof(int)) + CMSG_SPACE(8 * sizeof(int))];
	} control = { 0 };
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	int saved = errno;
	ssize_t n;
	int fd, rc;

	*out = NULL;
	do {
		n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		rc = pinring_fail(device, -errno,
				  "cannot receive a region from fd %d: %m",
				  socket);
		errno = saved;
		return rc;
	}
	/* Even an empty message may have brought descriptors. */
	fd = take_descriptor(&msg);
	if (n == 0 || fd < 0) {
		if (fd >= 0)
			close(fd);
		errno = saved;
		if (n == 0 && fd < 0)
			return pinring_fail(device, -EPIPE,
					    "fd %d: the peer closed the socket",
					    socket);
		return pinring_fail(device, -EINVAL,
				    "fd %d: a message with no text or no descriptor is not a region",
				    socket);
	}
	rc = pinring_region_attach(device, fd, out);
	close(fd);
	errno = saved;
	return rc;
}
