/* SPDX-License-Identifier: MIT */
/*
 * backend.h - whose memory a test has: with /dev/pinring, as in a virtual machine,
 * the library's tests are tests of the module's regions.
 */
#ifndef BACKEND_H
#define BACKEND_H

#include <stdbool.h>

#include <pinring/device.h>

static inline bool on_module(const struct pinring_device *device)
{
	return pinring_device_backend(device) == PINRING_BACKEND_MODULE;
}

#endif /* BACKEND_H */
