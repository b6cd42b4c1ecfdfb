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

static int choose_backend(struct pinring_device *device, uint32_t asked)
{
	device->fd = -1;
	device->backend = PINRING_BACKEND_EMBEDDED;
	if (asked > PINRING_BACKEND_MODULE)
		return pinring_fail(device, -EINVAL, "backend: there is no %u",
				    asked);
	if (asked == PINRING_BACKEND_EMBEDDED) {
		snprintf(device->reason, sizeof(device->reason),
			 "the embedded backend was asked for");
		return 0;
	}
	device->fd = pinring_module_open(device->reason,
					 sizeof(device->reason));
	if (device->fd >= 0)
		device->backend = PINRING_BACKEND_MODULE;
	else if (asked)
		return pinring_fail(device, -ENODEV, "%s", device->reason);
	return 0;
}

int pinring_device_open(const struct pinring_device_config *config,
			struct pinring_device **out)
{
	struct pinring_device_config c = PINRING_INIT(
		struct pinring_device_config);
	struct pinring_device *device;
	int saved = errno;
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
	rc = choose_backend(device, c.backend);
	errno = saved;
	if (rc) {
		free(device);
		return rc;
	}
	if (device->log) {
		char line[256];

		snprintf(line, sizeof(line), "%s backend%s%s",
			 device->fd < 0 ? "embedded" : "module",
			 device->reason[0] ? ": " : "", device->reason);
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
	if (__atomic_sub_fetch(&device->references, 1, __ATOMIC_ACQ_REL))
		return;
	if (device->fd >= 0)
		close(device->fd);
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
