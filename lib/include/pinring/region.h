/* SPDX-License-Identifier: MIT */
/*
 * region.h - shared memory behind a file descriptor.
 *
 * A region is made of the largest pages that can be had, on the NUMA node that
 * was asked for, starts with a directory of named objects (pinring_layout.h),
 * and cannot be shrunk under its users (the embedded backend seals its memfd).
 * Other processes get it by file descriptor, or from the kernel module by name,
 * and attach.
 *
 * Any thread may call any function here on the same region.
 */
#ifndef PINRING_REGION_H
#define PINRING_REGION_H

#include <pinring/device.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PINRING_NODE_ANY (-1)
#define PINRING_NODE_LOCAL (-2) /* of the calling thread's CPU */
#define PINRING_NODE_PCI (-3) /* of the device named in config.pci */

#define PINRING_REGION_PREFAULT 1u /* every page now, not on first touch */
#define PINRING_REGION_STRICT_NODE 2u /* that node or -ENOMEM */
#define PINRING_REGION_SMALL_PAGES 4u /* 4 KiB pages, even if huge ones are
				       * to be had */

struct pinring_region;

struct pinring_region_config {
	uint64_t struct_size;
	uint64_t size; /* bytes for objects and header; rounded up to a page */
	const char *name; /* for people: /proc/PID/maps; NULL: "pinring" */
	const char *pci; /* "0000:17:00.0", with PINRING_NODE_PCI */
	int32_t node; /* a node, or PINRING_NODE_* */
	uint32_t flags; /* PINRING_REGION_* */
	uint32_t mode; /* who may attach it by name: 0600, 0660, 0666; 0: nobody */
	uint32_t reserved; /* 0 */
};

/* The config to start from: `bytes`, on any node. (A bare zero is node 0.) */
static inline struct pinring_region_config pinring_region_defaults(uint64_t bytes)
{
	struct pinring_region_config config =
		PINRING_INIT(struct pinring_region_config);

	config.size = bytes;
	config.node = PINRING_NODE_ANY;
	return config;
}

struct pinring_region_info {
	uint64_t struct_size;
	uint64_t size;
	uint64_t page_size; /* of the pages obtained: 4096 or 2 MiB */
	uint64_t huge_bytes; /* of the region now mapped by huge pages */
	uint64_t resident_bytes; /* of the region in memory now */
	int32_t node; /* that the first page is on; -1: unknown */
	uint32_t backend; /* enum pinring_backend */
	char reason[192]; /* why not larger pages or the asked node; or "" */
};

/*
 * -EINVAL: size 0 or absurd, unknown flag, no such node or PCI device; a mode
 * beyond 0666, or a name for it that is not one word of up to 63 bytes;
 * -E2BIG: something is set in it that this library does not know;
 * -EEXIST: there is a region that others attach by that name, of this user;
 * -ENOMEM: not enough memory, or not on a node asked for strictly;
 * -EDQUOT, -ENOBUFS: more than this user may have of the kernel module;
 * -EMFILE, -ENFILE: out of file descriptors;
 * -EOPNOTSUPP: a node was asked for, and this build has no libnuma; or a mode, and
 * the backend is the embedded one.
 */
PINRING_API int pinring_region_create(struct pinring_device *device,
				      const struct pinring_region_config *config,
				      struct pinring_region **region);

/*
 * Maps a region made by another process; fd is duplicated and stays the
 * caller's. Checks every field of the header and the directory before it
 * returns. -EINVAL: not a region, or one that was tampered with; -EBADF;
 * -EACCES, -EPERM: fd, or what it is of, is not to be written to; -EAGAIN: the
 * module's, and its maker has not finished it; -EMFILE, -ENFILE, -ENOMEM.
 */
PINRING_API int pinring_region_attach(struct pinring_device *device, int fd,
				      struct pinring_region **region);

/*
 * Maps the region that a user made with a mode and this name, as long as anybody has
 * it. Permission is as for a file, to read and to write.
 * -ENOENT: there is none; -EACCES; -EAGAIN: it is being made right now;
 * -EINVAL, -EMFILE, -ENFILE, -ENOMEM: as of pinring_region_attach(), or no name that
 * a region can have;
 * -EOPNOTSUPP: the embedded backend, which has no names.
 */
#define PINRING_OWNER_SELF 0xffffffffu

PINRING_API int pinring_region_attach_name(struct pinring_device *device,
					   uint32_t owner, const char *name,
					   struct pinring_region **region);

/*
 * Drops the caller's reference; NULL is allowed. The mapping goes when the
 * last handle (ring, doorbell, executor) on it does.
 */
PINRING_API void pinring_region_close(struct pinring_region *region);

/* Owned by the region: valid until it is closed. */
PINRING_API int pinring_region_fd(const struct pinring_region *region);
PINRING_API void *pinring_region_base(const struct pinring_region *region);
PINRING_API uint64_t pinring_region_size(const struct pinring_region *region);

/* base + offset, or NULL if [offset, offset + length) leaves the region. */
PINRING_API void *pinring_region_at(const struct pinring_region *region,
				    uint64_t offset, uint64_t length);

/*
 * Asks the kernel what there is now: costs a system call or a few.
 * -EINVAL: struct_size is not one this library knows.
 */
PINRING_API int pinring_region_info(const struct pinring_region *region,
				    struct pinring_region_info *info);

/*
 * Send a region over a Unix socket (SCM_RIGHTS), and take one. -errno of sendmsg() or
 * recvmsg(), but for EINTR. To take one also -EPIPE: the other side has closed; -EINVAL:
 * there is no descriptor in the message; and as to attach it.
 */
PINRING_API int pinring_region_send(const struct pinring_region *region,
				    int socket);
PINRING_API int pinring_region_receive(struct pinring_device *device,
				       int socket,
				       struct pinring_region **region);

/* ----------------------------------------------------------- named objects */
struct pinring_object_info {
	char name[PINRING_NAME_MAX];
	uint64_t offset;
	uint64_t length;
	uint32_t type; /* enum pinring_object_type */
};

/*
 * Zeroed memory in the region, under a name. align: a power of two from 64 to
 * 4096 (0: 128). Lock-free among threads and processes.
 * -EEXIST: the name is taken; -ENOSPC: the directory or the region is full;
 * -EINVAL: bad name (empty, or 64 bytes and more), type or align;
 * -EPROTO: another process damaged the directory.
 */
PINRING_API int pinring_object_create(struct pinring_region *region,
				      const char *name, uint32_t type,
				      uint64_t length, uint64_t align,
				      struct pinring_object_info *object);

/*
 * -ENOENT: no such name; -EAGAIN: it is being made right now (or its maker
 * died); -EPROTO: its entry makes no sense; -EINVAL: no name that one can have.
 */
PINRING_API int pinring_object_find(const struct pinring_region *region,
				    const char *name,
				    struct pinring_object_info *object);

/* The index-th ready object; -ENOENT past the last one. */
PINRING_API int pinring_object_list(const struct pinring_region *region,
				    uint32_t index,
				    struct pinring_object_info *object);

#ifdef __cplusplus
}
#endif

#endif /* PINRING_REGION_H */
