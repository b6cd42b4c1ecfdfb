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

#ifdef __cplusplus
}
#endif

#endif /* PINRING_RING_H */
