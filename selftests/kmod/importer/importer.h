/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * importer.h - /dev/pinring-importer: a driver of no device that takes a dma-buf.
 *
 * Each open file takes one, by IMPORTER_MAP, and keeps it until it is closed. It
 * can be mapped, which is how DRM drivers let theirs be.
 */
#ifndef PINRING_IMPORTER_H
#define PINRING_IMPORTER_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define IMPORTER_BIDIRECTIONAL 0 /* enum dma_data_direction */
#define IMPORTER_TO_DEVICE 1
#define IMPORTER_FROM_DEVICE 2
#define IMPORTER_NO_DEVICE 3 /* take it, but do not map it for the device */

struct importer_map {
	__s32 fd;
	__u32 direction;
	__u32 max_segment; /* what the device can take at once */
	__u32 max_mapping; /* what the way to the device can, 0: anything */
	__u32 fail; /* the DMA mapping fails with this errno */
	__u32 segments; /* out */
	__u32 biggest; /* out: bytes of the biggest segment */
	__u32 reserved;
	__u64 bytes; /* out: in all */
};

enum {
	IMPORTER_BY_DEVICE, /* by the addresses that the device was given */
	IMPORTER_BY_VMAP,
};

struct importer_copy {
	__u64 offset;
	__u64 size;
	__u64 user;
	__u32 way;
	__u32 write; /* from user to the dma-buf */
};

/* How often this file's device was told of the CPU's access. */
struct importer_syncs {
	__u32 for_cpu;
	__u32 for_device;
};

#define IMPORTER_MAP _IO('I', 0x40)
#define IMPORTER_COPY _IO('I', 0x41)
#define IMPORTER_SYNCS _IO('I', 0x42)
#define IMPORTER_BUS _IO('I', 0x43) /* 0, or -ENODEV: its device has plain memory's */

#endif /* PINRING_IMPORTER_H */
