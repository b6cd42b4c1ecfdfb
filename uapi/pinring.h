/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note OR MIT */
/*
 * pinring.h - the ioctls of /dev/pinring.
 *
 * Every argument is a struct that begins with its own size, so that it can grow
 * at its end and no number ever changes: a kernel takes a shorter struct than
 * its own (the rest is zero), and a longer one if all that it does not know is
 * zero. It writes back no more than it was given. For all of them:
 *
 *   -EFAULT   the struct is not in the caller's memory
 *   -EINVAL   struct_size is below the first version's; or a flag or a reserved
 *             field that must be zero is not
 *   -E2BIG    struct_size is beyond the kernel's, and not all of that is zero;
 *             or it is beyond a page
 *   -ENOTTY   no such ioctl on this kind of fd
 *
 * The fd is the authority: whoever holds a region's fd may map it, pass it on and
 * use its ioctls. What cannot be done with a read-only fd says so.
 */
#ifndef _UAPI_PINRING_H
#define _UAPI_PINRING_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define PINRING_IOC_MAGIC 0xD5 /* free in ioctl-number.rst */
#define PINRING_IOC_ABI 1

/* f_type of fstatfs(2) on a region's fd; nobody else can have it. */
#define PINRING_IOC_FS_MAGIC 0x70696e72

/*
 * PINRING_IOC_INFO, on /dev/pinring: what this module is.
 */
struct pinring_ioc_info {
	__u32 struct_size;
	__u32 flags; /* in: 0 */
	__u32 abi; /* out: PINRING_IOC_ABI */
	__u32 reserved; /* in: 0 */
	__aligned_u64 features; /* out: PINRING_IOC_FEATURE_* */
	__aligned_u64 huge_page_bytes; /* out: of the pages a region is made of */
};

#define PINRING_IOC_FEATURE_NAMES (1ull << 0) /* regions found by name */
#define PINRING_IOC_FEATURE_DMABUF (1ull << 1) /* PINRING_IOC_REGION_EXPORT */
#define PINRING_IOC_FEATURE_ADOPT (1ull << 2) /* PINRING_IOC_REGION_ADOPT */

#define PINRING_IOC_INFO _IO(PINRING_IOC_MAGIC, 0x40)

/*
 * PINRING_IOC_REGION_CREATE, on /dev/pinring: memory behind a new fd.
 *
 * All of the memory is there, zeroed and not to be moved or swapped out, when
 * the call returns; MAP_POPULATE spares the page faults too, one for each huge
 * page. The fd is close-on-exec, its size (fstat) that of the region, which
 * nobody can change. It can be mapped shared, not private, not executable, and
 * goes when the last fd, mapping and attachment of it does, in any order.
 *
 * With a mode it is published: found under its owner, who is the caller's
 * filesystem user id, and its name, until it goes. Who may open it there is told
 * by owner, group and mode of the fd, as of a file: fchmod(2) and fchown(2)
 * change that, but not the owner whose name it is.
 *
 *   -EINVAL   size is 0 or beyond 2^48; the node is not there; both SMALL_PAGES
 *             and ALLOW_SMALL; the name is not ended by a zero, or has a space, a
 *             slash or a control character in it; a mode beyond 0666, or one
 *             without a name
 *   -EEXIST   the owner has published one of that name
 *   -EDQUOT   more than the module's limits leave to the user (sysfs.md), and no
 *             CAP_SYS_RESOURCE
 *   -ENOBUFS  more than RLIMIT_MEMLOCK leaves to the user, and no CAP_IPC_LOCK
 *   -ENOMEM   not that much memory, or not in huge pages, or not on the node
 *   -EINTR    killed while memory was being looked for
 *   -EMFILE, -ENFILE
 */
#define PINRING_IOC_STRICT_NODE (1u << 0) /* this node or -ENOMEM */
#define PINRING_IOC_ALLOW_SMALL (1u << 1) /* small pages if there are no huge ones */
#define PINRING_IOC_SMALL_PAGES (1u << 2) /* small pages: for a region of a few KiB */

#define PINRING_IOC_NODE_LOCAL (-1) /* the one the caller runs on */
#define PINRING_IOC_NAME_MAX 64 /* with the final zero */

struct pinring_ioc_region_create {
	__u32 struct_size;
	__u32 flags; /* in: PINRING_IOC_* above */
	__aligned_u64 size; /* in: bytes; out: rounded up to whole pages */
	__s32 node; /* in: a node or PINRING_IOC_NODE_LOCAL; out: the node */
	__s32 fd; /* out */
	__aligned_u64 huge_bytes; /* out: of size, in huge pages */
	__aligned_u64 node_bytes; /* out: of size, on the node */
	char name[PINRING_IOC_NAME_MAX]; /* in: may be empty */
	__u32 mode; /* in: who may open it by name; 0: the name is for people only */
	__u32 reserved; /* in: 0 */
};

#define PINRING_IOC_REGION_CREATE _IO(PINRING_IOC_MAGIC, 0x41)

/*
 * PINRING_IOC_REGION_INFO, on a region.
 *
 * PINRING_IOC_REGION_NEXT, on /dev/pinring, tells the same of the region with the
 * smallest id above the one given, of those that the caller may see: what it owns,
 * what is published and it may read, and with CAP_SYS_ADMIN or CAP_DAC_READ_SEARCH
 * all. From 0 on, each time above the id just told, that is every one that was
 * there all the time, once.
 *
 *   -ENOENT   (NEXT) there is none above
 *   -EINTR    (NEXT) killed while looking
 */
struct pinring_ioc_region_info {
	__u32 struct_size;
	__u32 flags; /* in: 0; out: as it was created */
	__aligned_u64 id; /* out: no other region ever has it, until a reboot;
			   * in, for NEXT: one below it
			   */
	__aligned_u64 size; /* out: bytes */
	__aligned_u64 huge_bytes; /* out: of size, in huge pages */
	__aligned_u64 node_bytes; /* out: of size, on the node */
	__s32 node; /* out */
	__u32 owner; /* out: user id of the creator, in the caller's namespace */
	char name[PINRING_IOC_NAME_MAX]; /* out */
	__u32 mode; /* out: of a published one; 0 of others */
	__u32 group; /* out: group id that the mode is about, likewise */
	__u32 doorbells; /* out: how many it has */
	__u32 reserved; /* in: 0 */
};

#define PINRING_IOC_REGION_INFO _IO(PINRING_IOC_MAGIC, 0x42)
#define PINRING_IOC_REGION_NEXT _IO(PINRING_IOC_MAGIC, 0x48)

/*
 * PINRING_IOC_REGION_READONLY, on a region: another fd of it, by which it cannot
 * be written. It cannot be made writable again, not even through /proc.
 *
 *   -EMFILE, -ENFILE, -ENOMEM
 */
struct pinring_ioc_region_readonly {
	__u32 struct_size;
	__u32 flags; /* in: 0 */
	__s32 fd; /* out */
	__u32 reserved; /* in: 0 */
};

#define PINRING_IOC_REGION_READONLY _IO(PINRING_IOC_MAGIC, 0x43)

/*
 * PINRING_IOC_DOORBELL_CREATE, on a region: an eventfd that fires because of a
 * word. The words are struct pinring_doorbell_lines (pinring_layout.h) in the
 * region; a bell that is armed for another sequence than it has is signalled, by
 * adding 1 to the eventfd, and disarmed. The bell goes when its fd does, not when
 * the eventfd is closed.
 *
 * With PINRING_IOC_DOORBELL_DEVICE a thread of the region's node watches it, so
 * that a plain store rings it, for a GPU's sake. It sees that within 5/4 of
 * poll_sleep_us (sysfs.md) and what the scheduler takes. Without, it takes a
 * PINRING_IOC_RING.
 *
 *   -EINVAL   offset is no multiple of 128 or too near the region's end; eventfd
 *             is none
 *   -EBADF    eventfd is no fd
 *   -EACCES   the region's fd is read-only: a bell is written to
 *   -EBUSY    there is a bell at this offset
 *   -EDQUOT   the region's maker has max_doorbells_per_user, and the caller no
 *             CAP_SYS_RESOURCE
 *   -EMFILE, -ENFILE, -ENOMEM
 */
#define PINRING_IOC_DOORBELL_DEVICE (1u << 0)

struct pinring_ioc_doorbell_create {
	__u32 struct_size;
	__u32 flags; /* in: PINRING_IOC_DOORBELL_* */
	__aligned_u64 offset; /* in: of the words, from the region's base */
	__s32 eventfd; /* in */
	__s32 fd; /* out: of the bell, for PINRING_IOC_DOORBELL_ARM */
};

#define PINRING_IOC_DOORBELL_CREATE _IO(PINRING_IOC_MAGIC, 0x44)

/*
 * PINRING_IOC_DOORBELL_ARM, on a doorbell: the caller has seen all up to a
 * sequence and is about to sleep on the eventfd.
 *
 *   -EAGAIN   it has rung since: look again instead
 */
struct pinring_ioc_doorbell_arm {
	__u32 struct_size;
	__u32 flags; /* in: 0 */
	__aligned_u64 seen; /* in: the sequence */
};

#define PINRING_IOC_DOORBELL_ARM _IO(PINRING_IOC_MAGIC, 0x45)

/*
 * PINRING_IOC_RING, on a region, also by a read-only fd: the caller advanced the
 * sequence at this offset and found the bell armed.
 *
 *   -EINVAL   offset is no multiple of 128
 *   -ENOENT   there is no bell
 */
struct pinring_ioc_ring {
	__u32 struct_size;
	__u32 flags; /* in: 0 */
	__aligned_u64 offset; /* in: of the words */
};

#define PINRING_IOC_RING _IO(PINRING_IOC_MAGIC, 0x46)

/*
 * PINRING_IOC_REGION_OPEN, on /dev/pinring: a new fd of a published region, as its
 * maker's is, or with READONLY as PINRING_IOC_REGION_READONLY makes them.
 *
 * The caller must be allowed to read it, and to write it unless READONLY, by the
 * ordinary rules for files: mode, group and owner, CAP_DAC_OVERRIDE.
 *
 *   -EINVAL   no name, or not one that a region can have
 *   -ENOENT   this owner has published none of that name; or is not mapped in the
 *             caller's user namespace
 *   -EACCES   it is there, and not for the caller
 *   -EAGAIN   it is being made: its memory is not there yet
 *   -EMFILE, -ENFILE, -ENOMEM
 */
#define PINRING_IOC_OPEN_READONLY (1u << 0)

#define PINRING_IOC_OWNER_SELF 0xffffffffu /* the caller's filesystem user id */

struct pinring_ioc_region_open {
	__u32 struct_size;
	__u32 flags; /* in: PINRING_IOC_OPEN_* */
	__u32 owner; /* in: a user id in the caller's namespace, or OWNER_SELF */
	__s32 fd; /* out */
	char name[PINRING_IOC_NAME_MAX]; /* in */
};

#define PINRING_IOC_REGION_OPEN _IO(PINRING_IOC_MAGIC, 0x47)

/*
 * PINRING_IOC_REGION_EXPORT, on a region: a dma-buf of it, or of pages of it, for
 * drivers that take one. It can also be mapped, as a region can. The fd is
 * close-on-exec; with PINRING_IOC_EXPORT_READONLY neither who has it nor a device
 * can write by it: a driver that maps it for both directions, as most do, is
 * refused with -EACCES.
 *
 *   -EINVAL      offset or size is no multiple of a page, or they lie beyond the
 *                region's end
 *   -EACCES      the region's fd is read-only, and no PINRING_IOC_EXPORT_READONLY
 *   -EOPNOTSUPP  a kernel without dma-bufs
 *   -EMFILE, -ENFILE, -ENOMEM
 */
#define PINRING_IOC_EXPORT_READONLY (1u << 0)

struct pinring_ioc_region_export {
	__u32 struct_size;
	__u32 flags; /* in: PINRING_IOC_EXPORT_* */
	__aligned_u64 offset; /* in: of its first byte in the region */
	__aligned_u64 size; /* in: bytes, 0 for all to the end; out: bytes */
	__s32 fd; /* out */
	__u32 reserved; /* in: 0 */
};

#define PINRING_IOC_REGION_EXPORT _IO(PINRING_IOC_MAGIC, 0x49)

/*
 * PINRING_IOC_REGION_ADOPT, on /dev/pinring: memory that the caller has, as a
 * region: a memfd of huge pages, of 1 GiB too, or of any others, which it has
 * mapped shared and may write; or such a file on tmpfs or hugetlbfs. The pages
 * are there from then on, and are not moved or swapped out until the region goes.
 * What the file's owner takes out of it meanwhile by truncating it or by punching
 * a hole stays the region's, and is nobody else's memory; the file gets other
 * pages there.
 *
 * Such a region has doorbells, can be exported and is limited as any other, by
 * its size, even though the memory is not the module's. It cannot be mapped
 * (-ENODEV), nor can its dma-buf: the file is what to map and to pass on.
 *
 *   -EINVAL      address or size is no multiple of a page; size is 0 or beyond
 *                2^48; the name is not ended by a zero
 *   -EFAULT      not all of it is mapped, or the file ends before, or has no huge
 *                page left
 *   -EOPNOTSUPP  it is mapped privately, or is none of these files
 *   -EACCES      the mapping cannot be written
 *   -EDQUOT, -ENOBUFS, -ENOMEM, -EINTR, -EMFILE, -ENFILE  as for a new region
 */
#define PINRING_IOC_ADOPTED (1u << 31) /* among the flags of PINRING_IOC_REGION_INFO */

struct pinring_ioc_region_adopt {
	__u32 struct_size;
	__u32 flags; /* in: 0 */
	__aligned_u64 address; /* in: in the caller's memory */
	__aligned_u64 size; /* in: bytes */
	__s32 node; /* out: of the first page */
	__s32 fd; /* out */
	__aligned_u64 huge_bytes; /* out: of size, in huge pages */
	__aligned_u64 node_bytes; /* out: of size, on the node */
	char name[PINRING_IOC_NAME_MAX]; /* in: for people; may be empty */
};

#define PINRING_IOC_REGION_ADOPT _IO(PINRING_IOC_MAGIC, 0x4A)

#endif /* _UAPI_PINRING_H */
