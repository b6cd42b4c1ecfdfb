/* SPDX-License-Identifier: MIT */
/*
 * internal.h - what the files of libpinring share among themselves.
 */
#ifndef PINRING_INTERNAL_H
#define PINRING_INTERNAL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <pinring/device.h>
#include <pinring/doorbell.h>
#include <pinring/region.h>
#include <pinring/wait.h>

#define PINRING_HUGE_PAGE (2ull << 20)

struct pinring_device {
	uint32_t references; /* atomic */
	enum pinring_backend backend;
	int fd; /* of /dev/pinring, or -1 */
	char reason[160];
	void (*log)(void *arg, enum pinring_log_level level, const char *text);
	void *log_arg;
};

struct pinring_region {
	uint32_t references; /* atomic */
	struct pinring_device *device;
	enum pinring_backend backend;
	int fd;
	unsigned char *base;
	uint64_t size;
	uint64_t page_size; /* asked of the kernel */
	char reason[192]; /* why not larger pages, or the node */
};

/* Records the sentence for pinring_error(), logs it, returns `error`. */
__attribute__((format(printf, 3, 4))) int
pinring_fail(struct pinring_device *device, int error, const char *format, ...);

/*
 * Copies a caller's config into *to, whose size this library knows: a shorter
 * one leaves the rest as it is, a longer one must be zero past what we know.
 */
int pinring_take_config(struct pinring_device *device, void *to,
			size_t known, const void *from, const char *what);

/*
 * The way back: as much of *info, whose size is known, as the caller's struct
 * holds, and how much that was in its struct_size.
 */
int pinring_give_info(struct pinring_device *device, void *to, void *info,
		      size_t known, const char *what);

struct pinring_device *pinring_device_get(struct pinring_device *device);
struct pinring_region *pinring_region_get(struct pinring_region *region);

/* wait.c: makes the barriers of waiters reach this process; at every open. */
void pinring_wait_join(void);

/* A full barrier on every CPU that runs such a process; false: cannot. */
bool pinring_wait_barrier(void);

/* FNV-1a, 64 bits: the seal of pinring_layout.h. */
uint64_t pinring_hash(const void *data, size_t size);

/* backing.c: memory behind a new region. */
int pinring_backing_create(struct pinring_device *device,
			   const struct pinring_region_config *config,
			   struct pinring_region *region);

void *pinring_backing_map(int fd, uint64_t size, uint64_t align);

/* module.c */
int pinring_module_open(char *why, size_t why_size);
int pinring_module_create(struct pinring_device *device,
			  const struct pinring_region_config *config, int node,
			  struct pinring_region *region);
int pinring_module_find(struct pinring_device *device, uint32_t owner,
			const char *name);
bool pinring_module_made(int fd);
int pinring_module_bell(const struct pinring_region *region, uint64_t offset,
			int eventfd, bool of_device);
int pinring_module_arm(int bell, uint64_t seen);
int pinring_module_ring(const struct pinring_region *region, uint64_t offset);

/* node.c */
int pinring_node_resolve(struct pinring_device *device,
			 const struct pinring_region_config *config, int *node,
			 char *why, size_t why_size);
int pinring_node_bind(struct pinring_device *device, void *base, uint64_t size,
		      int node, bool strict, char *why, size_t why_size);
int pinring_node_of(const void *address);

/* directory.c: of a mapping that attach has not believed yet. */
int pinring_directory_check(struct pinring_device *device,
			    const unsigned char *base, uint64_t size);
void pinring_directory_init(unsigned char *base);

/* Finds an object and checks its type and least length. */
int pinring_object_open(const struct pinring_region *region, const char *name,
			uint32_t type, uint64_t least,
			struct pinring_object_info *object);

/*
 * header.c: what every structured object begins with, as pinring_layout.h has it:
 * these words, the last of which is the seal.
 */
#define PINRING_SEALED_WORDS 16

/* Writes the sealed part of a new object: from then on it can be opened. */
void pinring_header_publish(void *at, const void *init);

/* Copies it, once, unchecked. -EAGAIN, in words: it is not published. */
int pinring_header_copy(const struct pinring_region *region, const char *name,
			const void *at, void *copy);

/* pinring_object_open() and that. */
int pinring_header_open(const struct pinring_region *region, const char *name,
			uint32_t type, uint64_t least, void *copy,
			struct pinring_object_info *o);

/* -EINVAL, in words. */
int pinring_header_damaged(const struct pinring_region *region,
			   const char *name);

static inline int64_t pinring_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* When a timeout that starts now ends; PINRING_FOREVER stays for ever. */
static inline int64_t pinring_deadline(int64_t timeout_ns)
{
	int64_t now = pinring_now();

	if (timeout_ns <= 0)
		return now;
	return timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
}

/*
 * For loops that look again: others may take what there is, again and again, and
 * time is up all the same. 0, or what pinring_wait_any() returns.
 */
int pinring_wait_until(const struct pinring_wait *wait, int64_t deadline);

static inline bool pinring_power_of_two(uint64_t n)
{
	return n && !(n & (n - 1));
}

#endif /* PINRING_INTERNAL_H */
