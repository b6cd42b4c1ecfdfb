// SPDX-License-Identifier: MIT
/* error.c - the sentence that goes with an errno. */
#include <stdarg.h>
#include <stdio.h>

#include "internal.h"

static _Thread_local char last_error[256];

const char *pinring_error(void)
{
	return last_error;
}

int pinring_fail(struct pinring_device *device, int error, const char *format,
		 ...)
{
	int saved = errno;
	va_list args;

	va_start(args, format);
	vsnprintf(last_error, sizeof(last_error), format, args);
	va_end(args);
	/* "Not yet" is no mishap: a caller that polls would flood the log. */
	if (device && device->log && error != -EAGAIN && error != -ETIMEDOUT)
		device->log(device->log_arg, PINRING_LOG_ERROR, last_error);
	errno = saved;
	return error;
}

int pinring_take_config(struct pinring_device *device, void *to, size_t known,
			const void *from, const char *what)
{
	const unsigned char *bytes = from;
	uint64_t given;
	size_t i;

	memcpy(&given, from, sizeof(given));
	if (given < sizeof(given) || given > 4096)
		return pinring_fail(device, -EINVAL,
				    "%s: struct_size %llu is not set: start from its initialiser",
				    what, (unsigned long long)given);
	for (i = known; i < given; i++)
		if (bytes[i])
			return pinring_fail(device, -E2BIG,
					    "%s: byte %zu is set, but libpinring %s knows only the first %zu",
					    what, i, pinring_version(), known);
	memcpy(to, from, given < known ? given : known);
	return 0;
}

int pinring_give_info(struct pinring_device *device, void *to, void *info,
		      size_t known, const char *what)
{
	uint64_t size;

	memcpy(&size, to, sizeof(size));
	if (size < sizeof(size) || size > 4096)
		return pinring_fail(device, -EINVAL,
				    "%s: struct_size %llu is not set", what,
				    (unsigned long long)size);
	if (size > known)
		size = known;
	memcpy(info, &size, sizeof(size));
	memcpy(to, info, size);
	return 0;
}

uint64_t pinring_hash(const void *data, size_t size)
{
	const unsigned char *p = data;
	uint64_t hash = 0xcbf29ce484222325ull;

	while (size--)
		hash = (hash ^ *p++) * 0x100000001b3ull;
	return hash;
}
