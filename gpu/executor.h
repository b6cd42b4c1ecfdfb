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
#include "team_host.h"

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

	struct pinring_doorbell *submit_bell; /* executor waits */
	struct pinring_doorbell *done_bell; /* host waits */
	struct pinring_control_block *control;
	struct pinring_telemetry *telemetry;

	pthread_mutex_t wish_lock; /* guards the three below */
	uint64_t epoch;
	enum pinring_state wish; /* atomic store, for pinring_executor_submit */
	bool launched; /* there are threads to join */

	/* The host executor. */
	pthread_t threads[PINRING_THREADS_MAX];
	const struct pinring_isa *isa;
	struct pinring_team team;
	struct pinring_loop loop;
};

/* The loop as compiled for one instruction set. */
struct pinring_isa {
	const char *name;
	bool (*supported)(void);
	void (*run)(struct pinring_loop *loop, __u64 worker);
};

/* tickets.c: moves every completion that has come to its ticket's place. */
void pinring_executor_collect(struct pinring_executor *executor);

int pinring_host_init(struct pinring_executor *executor);
int pinring_host_launch(struct pinring_executor *executor);
void pinring_host_join(struct pinring_executor *executor);

#endif /* PINRING_GPU_EXECUTOR_H */
