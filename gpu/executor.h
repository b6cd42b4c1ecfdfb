/* SPDX-License-Identifier: MIT */
/*
 * executor.h - an executor as its host side sees it (private).
 */
#ifndef PINRING_GPU_EXECUTOR_H
#define PINRING_GPU_EXECUTOR_H

#include <pthread.h>
#include <sys/types.h>

#include <pinring/executor.h>

#include "../lib/internal.h"
#include "loop.h"

struct pinring_executor;

/* What runs the loop. Every function may leave a sentence by pinring_fail(). */
struct pinring_executor_ops {
	/* The objects of executor->region are there; sets isa. */
	int (*init)(struct pinring_executor *executor);
	/* Fills in where the loop finds the region. */
	int (*attach)(struct pinring_executor *executor,
		      struct pinring_region *region,
		      struct pinring_memory *memory);
	int (*launch)(struct pinring_executor *executor);
	/* The loop was launched, and told to end. */
	void (*join)(struct pinring_executor *executor);
	/* After join, or instead of it; also of what init left half made. */
	void (*free)(struct pinring_executor *executor);
};

/* A ticket's place in the window of `depth` tickets. */
enum pending_state {
	PENDING_FREE, /* collected, or never used */
	PENDING_FLIGHT,
	PENDING_DETACHED, /* in flight, and nobody will ask */
	PENDING_DONE,
};

struct pinring_pending {
	uint64_t ticket;
	uint32_t id;
	enum pending_state state;
	struct pinring_completion completion;
};

struct pinring_executor {
	struct pinring_device *device;
	struct pinring_region *region; /* rings and control words */
	struct pinring_executor_config config;
	char reason[128];
	pid_t pid; /* whose threads run the loop */

	/* Submitting thread only. */
	struct pinring_device_producer commands;
	struct pinring_device_consumer completions;
	struct pinring_pending *pending;
	uint64_t submitted; /* atomic store, for pinring_executor_info */
	uint64_t collected;
	uint64_t undone;
	bool broken; /* the executor answered something nobody asked */
	struct pinring_region *attached[PINRING_REGIONS_MAX];
	struct pinring_attachments *attachments; /* whole pages */

	struct pinring_doorbell *submit_bell; /* executor waits */
	struct pinring_doorbell *done_bell; /* host waits */
	struct pinring_control_block *control;
	struct pinring_telemetry *telemetry;
	struct pinring_profile *profile;

	pthread_mutex_t wish_lock; /* guards the three below */
	uint64_t epoch;
	enum pinring_state wish; /* atomic store, for pinring_executor_submit */
	bool launched; /* there is a loop to join */

	const struct pinring_executor_ops *ops;
	void *loop; /* the ops' own */
	const char *isa; /* what the loop was compiled for */
};

/* tickets.c: moves every completion that has come to its ticket's place. */
void pinring_executor_collect(struct pinring_executor *executor);

extern const struct pinring_executor_ops pinring_host_ops; /* executor_host.c */

#endif /* PINRING_GPU_EXECUTOR_H */
