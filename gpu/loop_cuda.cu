// SPDX-License-Identifier: MIT
/*
 * loop_cuda.cu - the loop for CUDA. Compile with --fmad=false, so that it
 * computes the same bits as the host; loop_cuda.h says how to launch it.
 */
#include "team_cuda.h"

#include "coordinator.h"

extern "C" __global__ void __launch_bounds__(PINRING_BLOCK_THREADS, 2)
	pinring_loop_cuda(struct pinring_loop_cuda *self)
{
	struct pinring_loop *loop = &pinring_here.loop;

	/* The others begin with a job: this may end before they begin. */
	if (blockIdx.x == 0) {
		pinring_copy(loop, &self->loop, sizeof(*loop), blockDim.x);
		pinring_copy(&pinring_here.counts, &self->counts,
			     sizeof(self->counts), blockDim.x);
	}
	__syncthreads();
	if (threadIdx.x == 0) {
		pinring_here.self = self;
		pinring_here.jobs = 0;
		pinring_here.stop = 0;
		pinring_here.given_up = 0;
		loop->team = &self->team;
		loop->meeting = &self->team.meeting;
		loop->counts = &pinring_here.counts;
	}
	__syncthreads();
	pinring_team_muster(loop);
	pinring_loop_run(loop, blockIdx.x);
	__syncthreads();
	if (blockIdx.x)
		return;
	pinring_copy(&self->loop, loop, sizeof(*loop), blockDim.x);
	pinring_copy(&self->counts, &pinring_here.counts, sizeof(self->counts),
		     blockDim.x);
}
