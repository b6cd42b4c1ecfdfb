// SPDX-License-Identifier: MIT
/* cuda_driver.c - opening libcuda.so.1; see cuda_driver.h. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "../lib/internal.h"
#include "cuda_driver.h"

static struct {
	pthread_mutex_t lock; /* guards the rest until it is open */
	bool open;
	pid_t pid; /* who initialised it */
	struct pinring_cuda cuda;
} driver = { .lock = PTHREAD_MUTEX_INITIALIZER };

/*
 * In the order of the members, which are nothing but addresses. A table that the dynamic
 * linker had to fill in would be larger than all else here.
 */
#define SYMBOL(member, symbol, parameters) #symbol "\0"
static const char symbols[] =
	PINRING_CUDA_FUNCTIONS(SYMBOL) PINRING_CUDA_NEWER(SYMBOL);

#define ONE(member, symbol, parameters) +1
enum { NEEDED = PINRING_CUDA_FUNCTIONS(ONE) };

static int to_errno(cuda_result rc)
{
	switch (rc) {
	case CUDA_OUT_OF_MEMORY:
		return -ENOMEM;
	case CUDA_STUB_LIBRARY:
	case CUDA_NO_DEVICE:
	case CUDA_INVALID_DEVICE:
		return -ENODEV;
	case CUDA_NO_BINARY_FOR_GPU:
	case CUDA_LAUNCH_TOO_LARGE:
	case CUDA_NOT_SUPPORTED:
		return -EOPNOTSUPP;
	case CUDA_DEVICE_UNAVAILABLE:
	case CUDA_MPS_NOT_READY:
	case CUDA_MPS_MAX_CLIENTS:
	case CUDA_MPS_MAX_CONNECTIONS:
		return -EBUSY;
	case CUDA_NOT_PERMITTED:
		return -EPERM;
	default:
		return -EIO;
	}
}

int pinring_cuda_fail(struct pinring_device *device,
		      const struct pinring_cuda *cuda, cuda_result rc,
		      const char *what)
{
	const char *name, *text;

	/* Both set NULL for a number they do not know. */
	if (cuda->error_name(rc, &name) || !name)
		name = "an error unknown to this driver";
	if (cuda->error_string(rc, &text) || !text)
		text = "no explanation";
	return pinring_fail(device, to_errno(rc), "cannot %s: %s (%d, %s)",
			    what, name, rc, text);
}

static int find_symbols(struct pinring_device *device, void *library)
{
	const char *name;
	size_t i = 0;

	for (name = symbols; *name; name += strlen(name) + 1, i++) {
		void *at = dlsym(library, name);

		if (!at && i < NEEDED)
			return pinring_fail(device, -EOPNOTSUPP,
					    "the CUDA driver is too old: it has no %s",
					    name);
		/* A function's address in a void *: POSIX has it so. */
		memcpy((char *)&driver.cuda + i * sizeof(at), &at, sizeof(at));
	}
	return 0;
}

static int start(struct pinring_device *device)
{
	void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	const struct pinring_cuda *cuda = &driver.cuda;
	int rc, count = 0;

	if (!library)
		return pinring_fail(device, -ENODEV,
				    "no CUDA driver: there is no libcuda.so.1 (it comes with NVIDIA's driver)");
	rc = find_symbols(device, library);
	if (rc) {
		dlclose(library);
		return rc;
	}
	/* From here on it stays: a driver that has begun is not unloaded. */
	rc = cuda->init(0);
	if (!rc)
		rc = cuda->device_count(&count);
	if (rc)
		return pinring_cuda_fail(device, cuda, rc,
					 "start the CUDA driver");
	if (count < 1)
		return pinring_fail(device, -ENODEV,
				    "the CUDA driver has no device");
	driver.open = true;
	driver.pid = getpid();
	return 0;
}

int pinring_cuda_open(struct pinring_device *device,
		      const struct pinring_cuda **cuda)
{
	int rc = 0;

	pthread_mutex_lock(&driver.lock);
	if (!driver.open)
		rc = start(device);
	else if (driver.pid != getpid())
		rc = pinring_fail(device, -EOPNOTSUPP,
				  "this process was forked from one that uses CUDA, which does not survive that: fork first");
	pthread_mutex_unlock(&driver.lock);
	*cuda = &driver.cuda;
	return rc;
}
