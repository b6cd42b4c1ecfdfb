// SPDX-License-Identifier: MIT
/*
 * table.c - every call there is, a row each: its arguments, what it makes, and
 * the errors that may come of it. A new ioctl is a new row here, and a call in
 * dev_pinring.txt.
 */
#include "fuzz.h"

#include <fcntl.h>

#define ERRORS(...) ((const int[]){ __VA_ARGS__, 0 })

/*
 * An ioctl. Errors that all of them have (-EFAULT, -EINVAL, -E2BIG, -ENOTTY,
 * -EBADF) are run_ioctl()'s business, which knows when.
 */
#define IOCTL(_cmd, _type, _last)                                          \
	.run = run_ioctl, .cmd = (_cmd), .size = sizeof(struct _type),     \
	.first_size = offsetof(struct _type, _last) +                      \
		      sizeof(((struct _type *)0)->_last)
#define MAKES_FD(_kind, _type) .makes = (_kind), .fd = offsetof(struct _type, fd)
#define ON(_kind) { "on", (_kind), 0, 0 }, { "how", HOW, 0, 0 }, { "where", WHERE, 0, 0 }
#define FIELD(_type, _name, _kind)                            \
	{                                                     \
		#_name, (_kind), offsetof(struct _type, _name), \
			sizeof(((struct _type *)0)->_name)    \
	}
#define TO_SLOT { "to", TO, 0, 0 }
#define ARG(_name, _kind) { (_name), (_kind), 0, 0 }

const struct row rows[] = {
	{
		.name = "info",
		IOCTL(PINRING_IOC_INFO, pinring_ioc_info, huge_page_bytes),
		.weight = 2,
		.errors = ERRORS(0),
		.check = check_info,
		.arg = {
			ON(DEVICE),
			FIELD(pinring_ioc_info, flags, FLAGS),
			FIELD(pinring_ioc_info, reserved, RESERVED),
		},
	},
	{
		.name = "region_create",
		IOCTL(PINRING_IOC_REGION_CREATE, pinring_ioc_region_create, name),
		MAKES_FD(REGION, pinring_ioc_region_create),
		.weight = 10,
		.flags = PINRING_IOC_STRICT_NODE | PINRING_IOC_ALLOW_SMALL |
			 PINRING_IOC_SMALL_PAGES,
		.usual = PINRING_IOC_SMALL_PAGES,
		.errors = ERRORS(EINVAL, EEXIST, EDQUOT, ENOBUFS, ENOMEM, EINTR,
				 EMFILE, ENFILE),
		.check = check_create,
		.arg = {
			ON(DEVICE), TO_SLOT,
			FIELD(pinring_ioc_region_create, flags, FLAGS),
			FIELD(pinring_ioc_region_create, size, SIZE),
			FIELD(pinring_ioc_region_create, node, NODE),
			FIELD(pinring_ioc_region_create, name, NAME),
			FIELD(pinring_ioc_region_create, mode, MODE),
			FIELD(pinring_ioc_region_create, reserved, RESERVED),
		},
	},
	{
		.name = "region_info",
		IOCTL(PINRING_IOC_REGION_INFO, pinring_ioc_region_info, name),
		.weight = 3,
		.errors = ERRORS(0),
		.check = check_region_info,
		.arg = {
			ON(REGION),
			FIELD(pinring_ioc_region_info, flags, FLAGS),
			FIELD(pinring_ioc_region_info, reserved, RESERVED),
		},
	},
	{
		.name = "region_next",
		IOCTL(PINRING_IOC_REGION_NEXT, pinring_ioc_region_info, name),
		.weight = 2,
		.errors = ERRORS(ENOENT, EINTR),
		.check = check_region_info,
		.arg = {
			ON(DEVICE),
			FIELD(pinring_ioc_region_info, flags, FLAGS),
			FIELD(pinring_ioc_region_info, id, SEEN),
			FIELD(pinring_ioc_region_info, reserved, RESERVED),
		},
	},
	{
		.name = "region_open",
		IOCTL(PINRING_IOC_REGION_OPEN, pinring_ioc_region_open, name),
		MAKES_FD(REGION, pinring_ioc_region_open),
		.weight = 4,
		.flags = PINRING_IOC_OPEN_READONLY,
		.errors = ERRORS(ENOENT, EACCES, EAGAIN, EMFILE, ENFILE, ENOMEM),
		.check = check_open,
		.arg = {
			ON(DEVICE), TO_SLOT,
			FIELD(pinring_ioc_region_open, flags, FLAGS),
			FIELD(pinring_ioc_region_open, owner, OWNER),
			FIELD(pinring_ioc_region_open, name, NAME),
		},
	},
	{
		.name = "region_readonly",
		IOCTL(PINRING_IOC_REGION_READONLY, pinring_ioc_region_readonly,
		      reserved),
		MAKES_FD(REGION, pinring_ioc_region_readonly),
		.weight = 4,
		.errors = ERRORS(EMFILE, ENFILE, ENOMEM),
		.check = check_readonly,
		.arg = {
			ON(REGION), TO_SLOT,
			FIELD(pinring_ioc_region_readonly, flags, FLAGS),
			FIELD(pinring_ioc_region_readonly, reserved, RESERVED),
		},
	},
	{
		.name = "region_export",
		IOCTL(PINRING_IOC_REGION_EXPORT, pinring_ioc_region_export, reserved),
		MAKES_FD(DMABUF, pinring_ioc_region_export),
		.weight = 4,
		.flags = PINRING_IOC_EXPORT_READONLY,
		.errors = ERRORS(EINVAL, EACCES, EOPNOTSUPP, EMFILE, ENFILE, ENOMEM),
		.check = check_export,
		.arg = {
			ON(REGION), TO_SLOT,
			FIELD(pinring_ioc_region_export, flags, FLAGS),
			FIELD(pinring_ioc_region_export, offset, PAGE_OFFSET),
			FIELD(pinring_ioc_region_export, size, PAGES),
			FIELD(pinring_ioc_region_export, reserved, RESERVED),
		},
	},
	{
		.name = "region_adopt",
		IOCTL(PINRING_IOC_REGION_ADOPT, pinring_ioc_region_adopt, name),
		MAKES_FD(REGION, pinring_ioc_region_adopt),
		.weight = 4,
		.points = true,
		.errors = ERRORS(EFAULT, EOPNOTSUPP, EACCES, EDQUOT, ENOBUFS,
				 ENOMEM, EINTR, EMFILE, ENFILE),
		.check = check_adopt,
		.arg = {
			ON(DEVICE), TO_SLOT,
			FIELD(pinring_ioc_region_adopt, flags, FLAGS),
			FIELD(pinring_ioc_region_adopt, address, MEMORY),
			FIELD(pinring_ioc_region_adopt, size, SIZE),
			FIELD(pinring_ioc_region_adopt, name, NAME),
		},
	},
	{
		.name = "doorbell_create",
		IOCTL(PINRING_IOC_DOORBELL_CREATE, pinring_ioc_doorbell_create, fd),
		MAKES_FD(BELL, pinring_ioc_doorbell_create),
		.weight = 8,
		.flags = PINRING_IOC_DOORBELL_DEVICE,
		.usual = PINRING_IOC_DOORBELL_DEVICE,
		.errors = ERRORS(EINVAL, EBADF, EACCES, EBUSY, EDQUOT, EMFILE,
				 ENFILE, ENOMEM),
		.arg = {
			ON(REGION), TO_SLOT,
			FIELD(pinring_ioc_doorbell_create, flags, FLAGS),
			FIELD(pinring_ioc_doorbell_create, offset, OFFSET),
			FIELD(pinring_ioc_doorbell_create, eventfd, EVENT),
		},
	},
	{
		.name = "doorbell_arm",
		IOCTL(PINRING_IOC_DOORBELL_ARM, pinring_ioc_doorbell_arm, seen),
		.weight = 8,
		.errors = ERRORS(EAGAIN),
		.arg = {
			ON(BELL),
			FIELD(pinring_ioc_doorbell_arm, flags, FLAGS),
			FIELD(pinring_ioc_doorbell_arm, seen, SEEN),
		},
	},
	{
		.name = "ring",
		IOCTL(PINRING_IOC_RING, pinring_ioc_ring, offset),
		.weight = 8,
		.errors = ERRORS(EINVAL, ENOENT),
		.arg = {
			ON(REGION),
			FIELD(pinring_ioc_ring, flags, FLAGS),
			FIELD(pinring_ioc_ring, offset, OFFSET),
		},
	},

	/* Memory. An address is a mapping and an offset in its window. */
	{
		.name = "mmap",
		.run = run_mmap,
		.makes = MAP,
		.weight = 10,
		.errors = ERRORS(EINVAL, EPERM, EACCES, EBADF, ENODEV, ENOMEM,
				 EAGAIN, EOVERFLOW, EOPNOTSUPP),
		.arg = {
			ARG("region", REGION), TO_SLOT, ARG("at", AT),
			ARG("length", LENGTH), ARG("offset", PAGE_OFFSET),
			ARG("prot", PROT), ARG("flags", SHARING),
		},
	},
	{
		.name = "mmap_dmabuf",
		.run = run_mmap,
		.makes = MAP,
		.weight = 3,
		.errors = ERRORS(EINVAL, EPERM, EACCES, EBADF, ENODEV, ENOMEM,
				 EAGAIN, EOVERFLOW, EOPNOTSUPP),
		.arg = {
			ARG("dmabuf", DMABUF), TO_SLOT, ARG("at", AT),
			ARG("length", LENGTH), ARG("offset", PAGE_OFFSET),
			ARG("prot", PROT), ARG("flags", SHARING),
		},
	},
	{
		.name = "mmap_import",
		.run = run_mmap,
		.makes = MAP,
		.weight = 1,
		.errors = ERRORS(EINVAL, EPERM, EACCES, EBADF, ENODEV, ENOMEM,
				 EAGAIN, EOVERFLOW, EOPNOTSUPP, ENXIO),
		.arg = {
			ARG("import", IMPORT), TO_SLOT, ARG("at", AT),
			ARG("length", LENGTH), ARG("offset", PAGE_OFFSET),
			ARG("prot", PROT), ARG("flags", SHARING),
		},
	},
	{
		.name = "munmap",
		.run = run_munmap,
		.weight = 4,
		.errors = ERRORS(EINVAL, ENOMEM),
		.arg = {
			ARG("map", MAP), ARG("offset", OFFSET),
			ARG("length", LENGTH),
		},
	},
	{
		.name = "mremap",
		.run = run_mremap,
		.makes = MAP,
		.weight = 3,
		.errors = ERRORS(EINVAL, EFAULT, ENOMEM, EAGAIN),
		.arg = {
			ARG("map", MAP), ARG("offset", OFFSET),
			ARG("old_length", LENGTH), ARG("length", LENGTH),
			ARG("flags", MOVE), TO_SLOT,
		},
	},
	{
		.name = "mprotect",
		.run = run_mprotect,
		.weight = 4,
		.errors = ERRORS(EINVAL, EACCES, ENOMEM),
		.arg = {
			ARG("map", MAP), ARG("offset", OFFSET),
			ARG("length", LENGTH), ARG("prot", PROT),
		},
	},
	{
		.name = "madvise",
		.run = run_madvise,
		.weight = 4,
		/* -EBUSY: of collapsing and cold pages; the rest is the core's */
		.errors = ERRORS(EINVAL, EACCES, ENOMEM, EAGAIN, EBADF, EBUSY,
				 EFAULT, EOPNOTSUPP, EPERM, EIO, EINTR, ENODEV),
		.arg = {
			ARG("map", MAP), ARG("offset", OFFSET),
			ARG("length", LENGTH), ARG("advice", ADVICE),
		},
	},
	{
		.name = "mlock",
		.run = run_mlock,
		.weight = 2,
		.errors = ERRORS(EINVAL, EAGAIN, ENOMEM, EPERM, EBUSY, EFAULT),
		.arg = {
			ARG("map", MAP), ARG("offset", OFFSET),
			ARG("length", LENGTH), ARG("what", SMALL_NUMBER),
		},
	},
	{
		.name = "place",
		.run = run_place,
		.weight = 2,
		.errors = ERRORS(EINVAL, EFAULT, EIO, EPERM, ENOMEM, ENODEV, ESRCH,
				 EACCES),
		.arg = {
			ARG("map", MAP), ARG("offset", OFFSET),
			ARG("length", LENGTH), ARG("what", SMALL_NUMBER),
			ARG("node", NODE),
		},
	},
	{
		.name = "memory",
		.run = run_memory,
		.makes = MEMORY,
		.weight = 2,
		.errors = ERRORS(ENOMEM, EINVAL, EAGAIN, ENOSPC),
		.arg = { TO_SLOT, ARG("length", SIZE), ARG("what", SMALL_NUMBER) },
	},
	{
		.name = "forget",
		.run = run_forget,
		.weight = 1,
		.errors = ERRORS(EINVAL, EAGAIN, ENOMEM),
		.arg = { ARG("memory", MEMORY), ARG("what", SMALL_NUMBER) },
	},
	{
		.name = "load",
		.run = run_load,
		.spared = true,
		.weight = 5,
		.errors = ERRORS(EFAULT),
		.arg = {
			ARG("map", MAP), ARG("offset", OFFSET),
		},
	},
	{
		.name = "store",
		.run = run_store,
		.spared = true,
		.weight = 8,
		.errors = ERRORS(EFAULT),
		.arg = {
			ARG("map", MAP), ARG("offset", OFFSET), ARG("value", SEEN),
		},
	},
	{
		.name = "futex",
		.run = run_futex,
		.weight = 3,
		.errors = ERRORS(EFAULT, EAGAIN, ETIMEDOUT, EINVAL, EINTR, EACCES),
		.arg = {
			ARG("map", MAP), ARG("offset", OFFSET),
			ARG("what", SMALL_NUMBER), ARG("value", SEEN),
		},
	},
	{
		.name = "vmsplice",
		.run = run_vmsplice,
		.weight = 3,
		.errors = ERRORS(EFAULT, EAGAIN, EBADF, EINVAL, ENOMEM),
		.arg = {
			ARG("map", MAP), ARG("offset", OFFSET),
			ARG("length", LENGTH), ARG("what", SMALL_NUMBER),
		},
	},
	{
		.name = "drain",
		.run = run_drain,
		.weight = 1,
		.errors = ERRORS(EAGAIN, EFAULT),
		.arg = { ARG("length", LENGTH) },
	},
	{
		.name = "copy",
		.run = run_copy,
		.weight = 2,
		.errors = ERRORS(EFAULT, EINVAL, EPERM, ESRCH, ENOMEM),
		.arg = {
			ARG("map", MAP), ARG("offset", OFFSET),
			ARG("length", LENGTH), ARG("what", SMALL_NUMBER),
		},
	},

	/* Files. */
	{
		.name = "open",
		.run = run_open,
		.makes = DEVICE,
		.weight = 2,
		.errors = ERRORS(EINTR),
		.arg = { TO_SLOT, ARG("what", SMALL_NUMBER) },
	},
	{
		.name = "eventfd",
		.run = run_eventfd,
		.makes = EVENT,
		.weight = 3,
		.errors = ERRORS(ENOMEM),
		.arg = { TO_SLOT, ARG("count", SEEN) },
	},
	{
		.name = "close",
		.run = run_close,
		.weight = 6,
		.errors = ERRORS(EBADF),
		.arg = { ARG("fd", REGION) },
	},
	{
		.name = "close_bell",
		.run = run_close,
		.weight = 3,
		.errors = ERRORS(EBADF),
		.arg = { ARG("fd", BELL) },
	},
	{
		.name = "close_dmabuf",
		.run = run_close,
		.weight = 1,
		.errors = ERRORS(EBADF),
		.arg = { ARG("fd", DMABUF) },
	},
	{
		.name = "sync_dmabuf",
		.run = run_sync,
		.weight = 1,
		/* What is no dma-buf knows none of its ioctls. */
		.errors = ERRORS(EBADF, EINVAL, ENOTTY, EFAULT, ENOMEM, EMFILE,
				 EOPNOTSUPP),
		.arg = { ARG("fd", DMABUF), ARG("what", SMALL_NUMBER) },
	},
	/* Whoever drives a device to which it is mapped; not everywhere. */
	{
		.name = "import",
		.run = run_import,
		.makes = IMPORT,
		.spared = true,
		.weight = 1,
		.errors = ERRORS(ENOENT, EBADF, EINVAL, EACCES, ENOMEM, EFAULT, EIO),
		.arg = {
			ARG("dmabuf", DMABUF), TO_SLOT,
			ARG("direction", SMALL_NUMBER), ARG("most", LENGTH),
		},
	},
	{
		.name = "import_copy",
		.run = run_import_copy,
		.weight = 1,
		.errors = ERRORS(EBADF, ENXIO, ERANGE, EFAULT, ENOMEM, ENOTTY,
				 EINVAL),
		.arg = {
			ARG("import", IMPORT), ARG("how", SMALL_NUMBER),
			ARG("offset", OFFSET),
		},
	},
	{
		.name = "close_import",
		.run = run_close,
		.weight = 1,
		.errors = ERRORS(EBADF),
		.arg = { ARG("fd", IMPORT) },
	},
	{
		.name = "close_event",
		.run = run_close,
		.weight = 1,
		.errors = ERRORS(EBADF),
		.arg = { ARG("fd", EVENT) },
	},
	{
		.name = "dup",
		.run = run_dup,
		.makes = REGION,
		.weight = 3,
		.errors = ERRORS(EBADF),
		.arg = { ARG("fd", REGION), TO_SLOT },
	},
	{
		.name = "dup_bell",
		.run = run_dup,
		.makes = BELL,
		.weight = 1,
		.errors = ERRORS(EBADF),
		.arg = { ARG("fd", BELL), TO_SLOT },
	},
	{
		.name = "reopen",
		.run = run_reopen,
		.weight = 1,
		.errors = ERRORS(EBADF, ENOENT, ENXIO, EACCES, EPERM, EINVAL),
		.arg = { ARG("fd", REGION), ARG("what", SMALL_NUMBER) },
	},
	{
		.name = "file",
		.run = run_file,
		.weight = 3,
		.errors = ERRORS(EBADF, EINVAL, EOPNOTSUPP, ESPIPE, EAGAIN, EPERM,
				 ENODEV, EFBIG, ENXIO, EACCES, EFAULT, ENOTTY,
				 EROFS),
		.arg = {
			ARG("fd", REGION), ARG("what", SMALL_NUMBER),
			ARG("length", LENGTH),
		},
	},
	{
		.name = "send",
		.run = run_send,
		.weight = 3,
		.errors = ERRORS(EBADF, EAGAIN, ETOOMANYREFS),
		.arg = { ARG("fd", REGION) },
	},
	{
		.name = "receive",
		.run = run_receive,
		.makes = REGION,
		.weight = 2,
		.errors = ERRORS(EAGAIN),
		.arg = { TO_SLOT },
	},

	/* The process, and what is around. */
	{
		.name = "fork",
		.run = run_fork,
		.spared = true,
		.weight = 1,
		.errors = ERRORS(EAGAIN, ENOMEM),
		.arg = { ARG("calls", SMALL_NUMBER), ARG("end", SMALL_NUMBER) },
	},
	{
		.name = "weaken",
		.run = run_weaken,
		.weight = 1,
		.errors = ERRORS(0),
		.arg = { ARG("what", SMALL_NUMBER) },
	},
	{
		.name = "fail",
		.run = run_fail,
		.weight = 4,
		.errors = ERRORS(0),
		.arg = { ARG("nth", SMALL_NUMBER) },
	},
	{
		.name = "proc",
		.run = run_proc,
		.weight = 1,
		.errors = ERRORS(ENOENT, EBADF, ESRCH),
		.arg = { ARG("what", SMALL_NUMBER), ARG("fd", REGION) },
	},
	{
		.name = "knob",
		.run = run_knob,
		.weight = 1,
		.errors = ERRORS(EINVAL, ENOMEM, EINTR, ENOENT),
		.arg = { ARG("which", SMALL_NUMBER), ARG("text", SMALL_NUMBER) },
	},
};

const size_t nr_rows = ARRAY_SIZE(rows);

const struct row *row_named(const char *name)
{
	for (size_t i = 0; i < nr_rows; i++)
		if (!strcmp(rows[i].name, name))
			return &rows[i];
	return NULL;
}

/* The first one that makes such a thing from nothing of the kind. */
const struct row *row_making(enum kind kind)
{
	for (size_t i = 0; i < nr_rows; i++)
		if (rows[i].makes == kind)
			return &rows[i];
	return NULL;
}
