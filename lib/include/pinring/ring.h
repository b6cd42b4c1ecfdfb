/* SPDX-License-Identifier: MIT */
/*
 * ring.h - create rings in a region and attach to them.
 *
 * A ring is a named object; each side opens a handle on it, in whichever
 * process. Opening checks the shared header once and keeps what it needs in
 * the handle. That a side is opened once only is the application's business.
 */
#ifndef PINRING_RING_H
#define PINRING_RING_H

#include <pinring/region.h>
#include <pinring/ring_broadcast.h>
#include <pinring/ring_bytes.h>
#include <pinring/ring_chain.h>
#include <pinring/ring_device.h>
#include <pinring/ring_lanes.h>
#include <pinring/ring_line.h>
#include <pinring/ring_mpmc.h>
#include <pinring/ring_oneshot.h>
#include <pinring/ring_priority.h>
#include <pinring/ring_spsc.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * capacity: slots, a power of two from 2 to 2^32; slot_bytes: a multiple of 8,
 * at most 2^20. -EINVAL, or what pinring_object_create returns.
 */
PINRING_API int pinring_spsc_create(struct pinring_region *region,
				    const char *name, uint64_t capacity,
				    uint64_t slot_bytes);

/*
 * Fill in a handle; it holds the region's mapping until closed.
 * -ENOENT, -EAGAIN, -EPROTO as pinring_object_find; -EINVAL: an object of
 * another type, or a header that makes no sense.
 */
PINRING_API int
pinring_spsc_producer_open(struct pinring_region *region, const char *name,
			   struct pinring_spsc_producer *producer);
PINRING_API int
pinring_spsc_consumer_open(struct pinring_region *region, const char *name,
			   struct pinring_spsc_consumer *consumer);

/* Drop the handle without telling the peer; see pinring_spsc_close_*. */
PINRING_API void
pinring_spsc_producer_close(struct pinring_spsc_producer *producer);
PINRING_API void
pinring_spsc_consumer_close(struct pinring_spsc_consumer *consumer);

/* capacity: slots, a power of two from 2 to 2^24. */
PINRING_API int pinring_device_ring_create(struct pinring_region *region,
					   const char *name, uint64_t capacity);

/*
 * These handles are plain values over the region, which must outlive them (the
 * device end has no reference to hold). A producer opened on a used ring goes
 * on after the last whole message; a consumer starts at its last credit. Where
 * the producer that died was a device, whose stores may arrive in any order,
 * open the new one while no consumer is reading.
 */
PINRING_API int
pinring_device_producer_open(struct pinring_region *region, const char *name,
			     struct pinring_device_producer *producer);
PINRING_API int
pinring_device_consumer_open(struct pinring_region *region, const char *name,
			     struct pinring_device_consumer *consumer);

/* What the sides of one kind have done, all that there ever were. */
struct pinring_side_info {
	uint64_t messages;
	uint64_t bytes; /* of payload */
	uint64_t refused; /* times they found the ring full, or empty */
	uint64_t waited; /* times they had to wait */
};

struct pinring_ring_info {
	uint64_t struct_size;
	uint32_t type; /* enum pinring_object_type */
	uint32_t closed; /* by either side */
	uint64_t capacity; /* messages; of a byte ring, bytes; of lanes, each */
	uint64_t slot_bytes; /* 0: of any size */
	uint64_t lost; /* by dead consumers of MPMC and priority rings */
	uint64_t missed; /* by lapped consumers of a broadcast ring */
	struct pinring_side_info sent, received;
};

/*
 * What any process that has the region can tell of a ring, without a side of it
 * and without anybody noticing: of every kind but duplex slot, oneshot and device
 * ring, for which it is -EINVAL. Numbers move while it reads: they belong together
 * once nobody is at work.
 *
 * Messages are received when their slots are given back; in a broadcast ring once
 * for each consumer. Killed between a message and its count, a side of an MPMC,
 * priority or broadcast ring leaves one that is not told. Errors as those of
 * pinring_spsc_producer_open. Walks over what is in a line ring.
 */
PINRING_API int pinring_ring_info(struct pinring_region *region,
				  const char *name,
				  struct pinring_ring_info *info);

#ifdef __cplusplus
}
#endif

#endif /* PINRING_RING_H */
