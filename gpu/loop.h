/* SPDX-License-Identifier: MIT */
/*
 * loop.h - what an executor's threads share, and the loop they run.
 *
 * A team of workers runs pinring_loop_run(); worker 0 coordinates. It alone
 * reads the host's wishes and the command ring, checks each command, does small
 * ones by itself and hands large ones to the team, then publishes the
 * completion. What the team needs of a job it reads from struct pinring_loop
 * between two team barriers, never from host memory: workers that each looked
 * at a host word would diverge (shared/gpu.md, "Forward progress").
 *
 * The parts that differ between host threads and a CUDA grid - waiting for
 * work, the barrier, the clock, idling - come from team_host.h (and, on a
 * device, its counterpart), included by the file that compiles the loop.
 */
#ifndef PINRING_LOOP_H
#define PINRING_LOOP_H

#include <pinring/command.h>
#include <pinring/port.h>
#include <pinring/ring_device.h>

#include "kernels/reduce.h"
#include "kernels/wave.h"

struct pinring_memory {
	char *base; /* as the loop addresses it */
	__u64 size;
};

/* Host appends; count is published with release after the entry. */
struct pinring_attachments {
	__u64 count;
	struct pinring_memory memory[PINRING_REGIONS_MAX];
};

/* A checked command: operands as pointers. Coordinator writes. */
struct pinring_job {
	__u32 operation;
	__u64 count;
	float *dst; /* NULL when not given */
	const float *a, *b;
	float s0, s1;
	struct pinring_room room;
	__u64 *steps; /* of the wave state, coordinator only */
	__u64 first_step; /* value of *steps when the job began */
	__u64 source, mic; /* cells */
	double partial[PINRING_PARTS]; /* each written by one worker ... */
	float extreme[PINRING_PARTS]; /* ... as these, of min and max */
	float maximum; /* softmax, coordinator writes between barriers */
	float factor;
	__u64 done; /* coordinator */
	__u64 stop[2]; /* coordinator; alternates with the step, so that a slow
			* worker still reads the step it is on */
};

struct pinring_loop {
	struct pinring_control_block *control;
	struct pinring_telemetry *telemetry;
	struct pinring_device_consumer commands;
	struct pinring_device_producer completions;
	const struct pinring_attachments *attachments;
	/* Coordinator's own copy: a device would fetch each entry over PCIe. */
	struct pinring_memory memory[PINRING_REGIONS_MAX];
	__u64 regions;
	struct pinring_team *team;
	struct pinring_job job;
	__u64 epoch; /* of the wish last answered */
	__u32 state;
	__u64 taken, completed;
	struct pinring_telemetry counters;
};

#endif /* PINRING_LOOP_H */
