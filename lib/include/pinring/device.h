/* SPDX-License-Identifier: MIT */
/*
 * device.h - the backend that memory and doorbells come from.
 *
 * Open one per process; any thread may use it. Regions and executors made from
 * it hold a reference, so the order of closing does not matter.
 */
#ifndef PINRING_DEVICE_H
#define PINRING_DEVICE_H

#include <stdint.h>
#include <pinring/pinring_layout.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PINRING_API __attribute__((visibility("default")))
#define PINRING_FOREVER INT64_MAX

/* A config or info struct with its size set and all else zero. */
#ifdef __cplusplus
#define PINRING_INIT(type)                    \
	([] {                                 \
		type t{};                     \
		t.struct_size = sizeof(type); \
		return t;                     \
	}())
#else
#define PINRING_INIT(type) ((type){ .struct_size = sizeof(type) })
#endif

struct pinring_device;

enum pinring_log_level { PINRING_LOG_ERROR, PINRING_LOG_INFO };

struct pinring_device_config {
	uint64_t struct_size;
	/* Called with one line, no newline, on the thread that caused it. */
	void (*log)(void *arg, enum pinring_log_level level, const char *text);
	void *log_arg;
	uint32_t backend; /* enum pinring_backend: that one; 0: the best */
	uint32_t reserved; /* 0 */
};

/*
 * Opens the best backend there is. config may be NULL.
 * -EINVAL: struct_size is not one this library knows, no such backend;
 * -E2BIG: something is set beyond what it knows;
 * -ENODEV: the backend asked for is not to be had; -ENOMEM.
 */
PINRING_API int pinring_device_open(const struct pinring_device_config *config,
				    struct pinring_device **device);

/* NULL is allowed. The memory goes when the last region and executor do. */
PINRING_API void pinring_device_close(struct pinring_device *device);

PINRING_API enum pinring_backend
pinring_device_backend(const struct pinring_device *device);

/* Why not a better backend, in words; "" if there is none. */
PINRING_API const char *
pinring_device_reason(const struct pinring_device *device);

/*
 * The sentence for the last call that failed on this thread; "" if none has.
 * Valid until the next pinring call on this thread.
 */
PINRING_API const char *pinring_error(void);

/* "0.1.0", of the library at run time. */
PINRING_API const char *pinring_version(void);

#ifdef __cplusplus
}
#endif

#endif /* PINRING_DEVICE_H */
