/* SPDX-License-Identifier: MIT */
/*
 * pinring.h - memory that threads, processes and devices share, and the rings,
 * doorbells and persistent kernels that live in it.
 *
 * Conventions of every function: 0 or a count on success, else -errno; never
 * prints, never exits, leaves the caller's errno alone. The sentence that goes
 * with an error is pinring_error(). Structs that configure or report begin with
 * their own size, set by PINRING_INIT, so that both may grow.
 *
 * Timeouts are in nanoseconds: 0 tries once, PINRING_FOREVER never gives up.
 */
#ifndef PINRING_H
#define PINRING_H

#include <pinring/device.h>
#include <pinring/region.h>
#include <pinring/ring.h>
#include <pinring/duplex.h>
#include <pinring/outlet.h>
#include <pinring/wait.h>
#include <pinring/poll.h>
#include <pinring/doorbell.h>
#include <pinring/executor.h>
#include <pinring/service.h>
#include <pinring/wave.h>

#endif /* PINRING_H */
