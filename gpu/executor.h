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
	/* The loop does nothing but load and store: it never sleeps, and whoever
	 * sleeps must be woken by the module, or look by himself now and then. */
	bool stores_only;
	/*
	 * Is there what the loop runs on? Completes executor->config, sets isa,
	 * and may say on which node the executor's region should be. After it,
	 * and only then, free() is called in the end. NULL for device: keep quiet.
	 */
	int (*prepare)(struct pinring_executor *executor,
		       struct pinring_device *device,
		       struct pinring_region_config *config);
	/* The objects of executor->region are there. */
	int (*init)(struct pinring_executor *executor);
	/* Fills in where the loop finds the region. */
	int (*attach)(struct pinring_executor *executor,
		      struct pinring_region *region,
		      struct pinring_memory *memory);
	int (*launch)(struct pinring_executor *executor);
	/* 0, or -errno: the loop died without a word. NULL: it cannot. */
	int (*alive)(struct pinring_executor *executor);
	/* The loop was launched, and told to end; sets lost if it does not. */
	void (*join)(struct pinring_executor *executor);
	/* After join, or instead of it; also of what init left half made. */
	void (*free)(struct pinring_executor *executor);
};

/* What host and loop share besides the executor's region: attachments first. */
#define PINRING_SHARED_BYTES 65536

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
	char placement[160]; /* of the command ring */
	pid_t pid; /* whose threads run the loop */

	/* Submitting thread only. */
	struct pinring_device_producer commands;
	void (*flush)(void); /* after stores to commands; NULL: none needed */
	struct pinring_device_consumer completions;
	struct pinring_pending *pending;
	uint64_t submitted; /* atomic store, for pinring_executor_info */
	uint64_t collected;
	uint64_t undone;
	bool broken; /* the executor answered something nobody asked */
	struct pinring_region *attached[PINRING_REGIONS_MAX];
	/*
	 * PINRING_SHARED_BYTES, of a shared mapping: of a private one a fork
	 * would leave the device with pages that we no longer write to.
	 */
	struct pinring_attachments *attachments;

	struct pinring_doorbell *submit_bell; /* executor waits */
	struct pinring_doorbell *done_bell; /* host waits */
	struct pinring_doorbell *ask_bell; /* the thread of services waits */
	struct pinring_services *services; /* once any was offered */
	bool wakes; /* ringing done_bell wakes who sleeps on it */
	struct pinring_control_block *control;
	struct pinring_telemetry *telemetry;
	struct pinring_profile *profile;

	pthread_mutex_t wish_lock; /* guards the three below */
	uint64_t epoch;
	enum pinring_state wish; /* atomic store, for pinring_executor_submit */
	bool launched; /* there is a loop to join */
	bool lost; /* it did not end: what it may touch must stay for ever */

	const struct pinring_executor_ops *ops;
	void *loop; /* the ops' own */
	const char *isa; /* what the loop was compiled for */
};

/* After a store that the loop should see: unless it spins anyway. */
static inline void pinring_executor_wake(struct pinring_executor *executor)
{
	if (!executor->ops->stores_only)
		pinring_doorbell_ring(executor->submit_bell);
}

/* services.c: ends their thread; sets lost if that does not end. */
void pinring_services_stop(struct pinring_executor *executor);

/* tickets.c: moves every completion that has come to its ticket's place. */
void pinring_executor_collect(struct pinring_executor *executor);

extern const struct pinring_executor_ops pinring_host_ops; /* executor_host.c */
extern const struct pinring_executor_ops pinring_cuda_ops; /* executor_cuda.c */

#endif /* PINRING_GPU_EXECUTOR_H */
