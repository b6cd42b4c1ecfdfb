// SPDX-License-Identifier: MIT
/* device.c - opening the best backend there is. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "internal.h"

#ifndef PINRING_VERSION
#error "the Makefile sets PINRING_VERSION"
#endif

const char *pinring_version(void)
{
	return PINRING_VERSION;
}

int pinring_device_open(const struct pinring_device_config *config,
			struct pinring_device **out)
{
	struct pinring_device_config c = PINRING_INIT(
		struct pinring_device_config);
	struct pinring_device *device;
	int rc;

	*out = NULL;
	if (config) {
		rc = pinring_take_config(NULL, &c, sizeof(c), config,
					 "pinring_device_config");
		if (rc)
			return rc;
	}
	device = calloc(1, sizeof(*device));
	if (!device)
		return pinring_fail(NULL, -ENOMEM, "no memory for a device");
	device->references = 1;
	device->log = c.log;
	device->log_arg = c.log_arg;
	device->backend = PINRING_BACKEND_EMBEDDED;
	if (access("/dev/pinring", F_OK) == 0)
		snprintf(device->reason, sizeof(device->reason),
			 "libpinring %s does not use /dev/pinring yet",
			 PINRING_VERSION);
	else
		snprintf(device->reason, sizeof(device->reason),
			 "no /dev/pinring: the kernel module is not loaded");
	if (device->log) {
		char line[256];

		snprintf(line, sizeof(line), "embedded backend: %s",
			 device->reason);
		device->log(device->log_arg, PINRING_LOG_INFO, line);
	}
	*out = device;
	return 0;
}

struct pinring_device *pinring_device_get(struct pinring_device *device)
{
	/* relaxed: the caller holds a reference already */
	__atomic_add_fetch(&device->references, 1, __ATOMIC_RELAXED);
	return device;
}

void pinring_device_close(struct pinring_device *device)
{
	if (!device)
		return;
	/* acq_rel: the last one out sees what the others did */
	if (__atomic_sub_fetch(&device->references, 1, __ATOMIC_ACQ_REL) == 0)
		free(device);
}

enum pinring_backend pinring_device_backend(const struct pinring_device *device)
{
	return device->backend;
}

const char *pinring_device_reason(const struct pinring_device *device)
{
	return device->reason;
}
