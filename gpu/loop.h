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
 * A worker is a host thread or a block of a CUDA grid. A block's threads are
 * its lanes: all of them call what a host thread calls, and share the elements.
 * The parts that differ - the lanes, waiting for work, the barrier, the clock,
 * idling - come from team_host.h or team_cuda.h, included by the file that
 * compiles the loop.
 */
#ifndef PINRING_LOOP_H
#define PINRING_LOOP_H

#include <pinring/command.h>
#include <pinring/kernel.h>
#include <pinring/port.h>
#include <pinring/ring_device.h>

#include "kernels/reduce.h"
#include "kernels/wave.h"

struct pinring_memory {
	char *base; /* as the loop addresses it */
	__u64 first; /* below this offset nothing is an operand */
	__u64 size; /* 0: there is none; stored last, with release */
};

#define PINRING_DYNAMIC_MAX 64
/* Bytes that a GPU's loop leaves to a kernel that comes while it runs. */
#define PINRING_HOT_STACK 512

/* A user's kernel; host writes. Where: operation modulo PINRING_DYNAMIC_MAX. */
struct pinring_dynamic {
	__u64 operation; /* 0: none; stored last, with release */
	/* On a GPU: NULL, of a kernel that the loop is linked with. */
	void (*entry)(const struct pinring_kernel_args *args);
	__u64 element_bytes, element_align;
	__u64 operands; /* PINRING_KERNEL_DST, _A, _B */
};

#define PINRING_LINKS_MAX 8 /* of an executor, each way: places */
/* In aux of FORWARD and JOIN; above them is how many us it may take. */
#define PINRING_LINK_BITS 8
#define PINRING_LINK_MASK ((1ull << PINRING_LINK_BITS) - 1)

/* The end of a link where commands go out; link.h. Its place: number modulo the most. */
struct pinring_link {
	__u64 number; /* and 1, as commands name it; 0: none; stored last, with release */
	struct pinring_device_producer commands;
	struct pinring_device_consumer answers;
	const struct pinring_control_block *peer;
	struct pinring_doorbell *bell; /* of host threads: the peer's; or NULL */
	/* Since the last join: */
	__u64 done; /* answered, and well */
	__u64 failure; /* the first that was not: word 0 of its answer */
	float result; /* of the last one */
};

/* And the other end. */
struct pinring_feed {
	__u64 serial; /* of those in this place; 0: none; stored last, with release */
	struct pinring_device_consumer commands;
	struct pinring_device_producer answers;
	__u64 silent; /* nobody rings when there is a command */
};

/* Host writes. */
struct pinring_attachments {
	__u64 services; /* offered, by bits; see service.h */
	__u64 links, feeds; /* places of them that were ever taken: counts */
	__u64 changes; /* of the two; counts them, and what is read at a wish */
	struct pinring_memory memory[PINRING_REGIONS_MAX];
	struct pinring_dynamic dynamic[PINRING_DYNAMIC_MAX];
	struct pinring_link link[PINRING_LINKS_MAX];
	struct pinring_feed feed[PINRING_LINKS_MAX];
};

/* A checked command: operands as pointers. Coordinator writes. */
struct pinring_job {
	__u32 operation;
	__u64 workers; /* that carry it out: all, or the coordinator alone */
	__u64 count;
	float *dst; /* NULL when not given */
	const float *a, *b;
	float s0, s1;
	__u64 aux;
	void (*entry)(const struct pinring_kernel_args *args);
	struct pinring_room room;
	__u64 *steps; /* of the wave state, coordinator only */
	__u64 first_step; /* value of *steps when the job began */
	__u64 source, mic; /* cells */
	__u64 done;
};

/* What the workers tell one another while they carry out a job. */
struct pinring_meeting {
	__u64 fault; /* enum pinring_reason; by any whose kernel faults, to stay */
	double partial[PINRING_PARTS]; /* each written by one worker ... */
	float extreme[PINRING_PARTS]; /* ... as these, of min and max */
	float maximum; /* softmax, coordinator writes between barriers */
	float factor;
	__u64 stop[2]; /* coordinator; alternates with the step, so that a slow
			* worker still reads the step it is on */
};

/*
 * A command that waited at a link when the loop was told to leave. It was taken, and
 * is not answered: it goes on where it was as soon as the loop is back, before any other.
 */
struct pinring_kept {
	__u64 there;
	__u64 feed; /* that it came over, from 1; 0: it is the host's */
	__u64 words[PINRING_SLOT_WORDS];
	__u64 start_ns, until_ns;
	__u64 done;
};

struct pinring_loop {
	struct pinring_control_block *control;
	struct pinring_telemetry *telemetry;
	struct pinring_profile *profile;
	struct pinring_device_consumer commands;
	struct pinring_device_producer completions;
	/*
	 * On a device: sequence of the host's doorbell, of which the coordinator
	 * is the only ringer, and how often it has rung.
	 */
	__u64 *bell;
	__u64 rung;
	struct pinring_device_producer requests; /* to the host; ask.h */
	struct pinring_device_consumer replies;
	__u64 asked;
	const struct pinring_attachments *attachments;
	/*
	 * Of so many looks at the command ring, less 1, one goes to the host's wish,
	 * too: a power of two less 1. 0: each.
	 */
	__u64 wish_mask;
	__u64 limit; /* ends by itself after so many commands; 0: never */
	__u64 idle_ns; /* ends by itself when idle for so long; 0: never */
	/* Coordinator's own copy: a device would fetch each entry over PCIe. */
	struct pinring_memory memory[PINRING_REGIONS_MAX];
	struct pinring_link link[PINRING_LINKS_MAX];
	struct pinring_feed feed[PINRING_LINKS_MAX];
	__u64 changes; /* known */
	__u64 feeds; /* places up to the last one that is taken */
	__u64 silent; /* one of the feeds is */
	struct pinring_team *team;
	struct pinring_meeting *meeting;
	struct pinring_job job;
	struct pinring_kept kept;
	__u64 wish; /* the one last answered */
	__u32 state;
	__u64 taken, completed, heartbeat;
	struct pinring_telemetry counters;
	/* Of the profile: counted here, and published when there is time. */
	struct pinring_profile *counts;
	__u64 unpublished; /* bit n: row n of counts->duration */
	__u64 burst; /* commands since the ring was last found empty */
	__u64 began_ns;
};

/*
 * With the state in control->wanted, below "terminated": the loop ends, between two
 * commands or where one waits at a link, and whoever said so launches it again with all
 * that it had.
 */
#define PINRING_WISH_LEAVE (1u << 31)

PINRING_FN int pinring_told_to_stop(const struct pinring_loop *loop)
{
	return (__u32)pinring_load_word(&loop->control->wanted) ==
	       PINRING_STATE_TERMINATED;
}

/* Shows the host that the loop is alive. */
PINRING_FN void pinring_beat(struct pinring_loop *loop)
{
	pinring_store_word(&loop->control->heartbeat, ++loop->heartbeat);
}

#endif /* PINRING_LOOP_H */
