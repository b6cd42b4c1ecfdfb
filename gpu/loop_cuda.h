/* SPDX-License-Identifier: MIT */
/*
 * loop_cuda.h - what a CUDA grid finds when it is launched, for the host that
 * makes it and for the device.
 *
 *	extern "C" __global__ void pinring_loop_cuda(struct pinring_loop_cuda *self)
 *
 * in loop_cuda.cu: one cooperative grid of team.workers blocks, each of
 * PINRING_BLOCK_THREADS threads (any multiple of 32 from 64 up works), no dynamic
 * shared memory. *self lies in device memory. The host makes an image of it, all
 * zero but for
 *
 *	loop.control, telemetry, profile	in host memory, registered: all
 *	loop.attachments			addresses are the device's
 *	loop.commands, loop.completions		as pinring_device_consumer_open()
 *						and _producer_open() filled them
 *						in, slots and head as above
 *	loop.wish_mask				PINRING_FAR_WISH if the commands lie
 *						in the GPU's memory
 *	loop.limit, loop.idle_ns
 *	loop.bell				the word that tells the host of answers
 *	team.workers, team.spin_ns, team.abort_ns
 *
 * and copies it there before the launch. Nothing is called after that: the loop
 * is steered by plain stores to control and to the command ring, and it tells
 * what it does by plain stores to control, telemetry, profile and the completion
 * ring. A struct pinring_memory that is attached holds the device's address.
 *
 * When the loop ends it leaves its state in *self. To launch it once more (the
 * same rings, the same counts) the host wishes something new, copies team as it was
 * made, and launches.
 */
#ifndef PINRING_LOOP_CUDA_H
#define PINRING_LOOP_CUDA_H

#include "loop.h"

#define PINRING_BLOCK_THREADS 256

/*
 * Commands in the GPU's own memory are looked at in a fraction of the time that a word
 * of the host's takes, across PCIe: it is read at every 16th look. So a wish is obeyed
 * up to 15 looks later, or some 60 short commands; long ones, and a look in a state
 * that takes none, are always followed by one at the wish.
 */
#define PINRING_FAR_WISH 15

/* In device memory; each line is written by one side, as in team_host.h. */
struct pinring_team {
	/* Coordinator adds 1 for each job, and stores PINRING_TEAM_STOP. */
	__u64 generation PINRING_ALIGNED(128);
	/* Barrier: every block adds 1; met when it is the next multiple of
	 * workers. 64 bits do not wrap.
	 */
	__u64 arrived PINRING_ALIGNED(128);
	/* Coordinator: a block has not come to a barrier. All give up. */
	__u64 aborted PINRING_ALIGNED(128);
	__u64 workers PINRING_ALIGNED(128); /* blocks; fixed, as all below */
	__u64 spin_ns; /* idle time before the loop begins to nap */
	/*
	 * Terminated while a job runs, the coordinator waits so long for the
	 * others before it gives up on them: not a step of any job takes that
	 * long, unless it hangs. 0: ten seconds.
	 */
	__u64 abort_ns;
	struct pinring_meeting meeting;
};

#define PINRING_TEAM_STOP (~0ull)

struct pinring_loop_cuda {
	struct pinring_loop loop; /* block 0 works on a copy in shared memory */
	struct pinring_team team;
	struct pinring_job job; /* for the other blocks */
	struct pinring_profile counts;
};

#endif /* PINRING_LOOP_CUDA_H */
