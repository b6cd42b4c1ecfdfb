/* SPDX-License-Identifier: MIT */
/*
 * dynamic.h - users' kernels, as a team carries them out (pinring/kernel.h).
 */
#ifndef PINRING_DYNAMIC_H
#define PINRING_DYNAMIC_H

#include "loop.h"

PINRING_FN void pinring_dynamic_args(const struct pinring_job *job,
				     __u64 worker,
				     struct pinring_kernel_args *args)
{
	args->dst = job->dst;
	args->a = job->a;
	args->b = job->b;
	args->count = job->count;
	args->aux = job->aux;
	args->s0 = job->s0;
	args->s1 = job->s1;
	args->worker = worker;
	args->workers = job->workers;
}

#ifdef PINRING_TEAM_HOST_H

/*
 * dynamic_host.c: worker's part of a kernel; whatever happens in there, it comes
 * back, unless the kernel does not end.
 */
void pinring_run_dynamic(struct pinring_loop *loop, __u64 worker);

/* After the job: why the kernel faulted in one of the workers, or 0. */
PINRING_FN __u32 pinring_fault(const struct pinring_loop *loop)
{
	return (__u32)__atomic_load_n(&loop->meeting->fault, __ATOMIC_RELAXED);
}

#else

#ifdef PINRING_DYNAMIC_LINKED

/* The linker's (jit.c): calls the kernel that is this operation. */
extern "C" __device__ void pinring_dynamic(__u32 operation,
					   const struct pinring_kernel_args *args);

/* For kernels: all lanes of all workers. */
extern "C" __device__ void
pinring_kernel_barrier(const struct pinring_kernel_args *args)
{
	(void)pinring_team_barrier(&pinring_here.loop, args->workers);
}

/*
 * The same for those that came while this runs: they are linked without it, and find
 * it in args. It returns a number, which nobody needs, so that the linker takes no
 * kernel for what is called there, and their stack for one that has no end.
 */
extern "C" __device__ int
pinring_hot_barrier(const struct pinring_kernel_args *args)
{
	pinring_kernel_barrier(args);
	return 0;
}

/*
 * Nobody calls it. The linker gives the loop the stack of whatever may be behind
 * job.entry, which is this: so there is as much for what comes later.
 */
extern "C" __device__ void pinring_hot_room(const struct pinring_kernel_args *args)
{
	volatile char room[PINRING_HOT_STACK];

	room[args->count % sizeof(room)] = 1;
	(void)((int (*)(const struct pinring_kernel_args *))(void (*)(void))
		       args->barrier)(args);
	*(volatile char *)args->dst = room[args->aux % sizeof(room)];
}

extern "C" {
__device__ void (*pinring_hot_room_at)(const struct pinring_kernel_args *args) =
	pinring_hot_room;
}

PINRING_FN void pinring_run_dynamic(struct pinring_loop *loop, __u64 worker)
{
	if (pinring_lane() == 0) {
		pinring_dynamic_args(&loop->job, worker, &pinring_here.args);
		pinring_here.args.barrier =
			(void (*)(const struct pinring_kernel_args *))(
				void (*)(void))pinring_hot_barrier;
	}
	__syncthreads();
	if (loop->job.entry)
		loop->job.entry(&pinring_here.args);
	else
		pinring_dynamic(loop->job.operation, &pinring_here.args);
}

#else

/* Nothing was registered: no command comes this far. */
PINRING_FN void pinring_run_dynamic(struct pinring_loop *loop, __u64 worker)
{
	(void)loop;
	(void)worker;
}

#endif

/* A GPU's fault ends the grid. */
PINRING_FN __u32 pinring_fault(const struct pinring_loop *loop)
{
	(void)loop;
	return 0;
}

#endif

#endif /* PINRING_DYNAMIC_H */
