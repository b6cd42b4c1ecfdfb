/* SPDX-License-Identifier: MIT */
/*
 * cuda_gpu.h - one GPU, as the executors of this process share it.
 *
 * What a running loop must not be disturbed by is done once, by the first
 * executor: the module is loaded, and memory for the state of all executors there
 * can be is taken (shared/gpu.md, "Forward progress": loading and allocating may
 * wait for a kernel that runs). Later ones register host memory while the others stand
 * still, and launch.
 */
#ifndef PINRING_GPU_CUDA_GPU_H
#define PINRING_GPU_CUDA_GPU_H

#include <pthread.h>

#include "cuda_bar.h"
#include "cuda_driver.h"
#include "executor.h"

#define PINRING_GPU_LOOPS 16 /* executors on one GPU */
/* The longest command ring that GPU memory is set aside for. */
#define PINRING_BAR_SLOTS 2048ull
#define PINRING_BAR_RING_BYTES \
	(PINRING_BAR_SLOTS * sizeof(struct pinring_device_slot))

/*
 * A module with the loop in it: alone, or linked with users' kernels. Or one with such
 * a kernel alone, and then `loop` is what is only asked, cuda_hot.c.
 */
struct pinring_code {
	struct pinring_code *next; /* of gpu->stale */
	cuda_module module;
	cuda_function loop;
	unsigned int threads; /* of a block */
	int registers, local; /* of a thread; local: bytes */
	int shared; /* bytes of a block */
	int blocks; /* that fit an SM */
};

/* What an executor has allocated. */
struct pinring_gpu_memory {
	struct pinring_gpu_memory *next; /* of gpu->unused */
	cuda_address at;
};

struct pinring_gpu {
	struct pinring_gpu *next;
	const struct pinring_cuda *cuda;
	uint32_t references; /* these two under the lock of cuda_gpu.c */
	uint32_t held; /* blocks of executors that were launched */
	/*
	 * Of launches, and of what may be done only while nothing runs; guards
	 * the next three.
	 */
	pthread_mutex_t lock;
	struct pinring_executor *executors[PINRING_GPU_LOOPS];
	struct pinring_code *stale; /* to be freed when nothing runs ... */
	struct pinring_gpu_memory *unused; /* ... as this */
	cuda_stream aside; /* for copies; from the first linked loop on */
	cuda_stream streams[PINRING_GPU_LOOPS]; /* whose place it is; NULL: none yet */
	bool loading; /* beside loops, which may hold up the driver; atomic */
	bool stuck; /* and it does not come back; atomic, to stay */
	int number;
	cuda_device device;
	/*
	 * The primary context, which the application's own CUDA code has too: of
	 * two contexts only one runs at a time.
	 */
	cuda_context context;
	struct pinring_code code; /* no users' kernels */
	unsigned int blocks; /* of one executor at most: one a SM */
	unsigned int room; /* blocks that can be resident at once */
	int node; /* NUMA, or -1 */
	cuda_address loops; /* PINRING_GPU_LOOPS of struct pinring_loop_cuda */
	struct pinring_bar bar; /* PINRING_GPU_LOOPS command rings, if any */
	uint32_t capability; /* 90 */
	char arch[16]; /* sm_90 */
	char name[64];
};

/* 0, or -errno with a sentence. Any thread. */
int pinring_gpu_get(struct pinring_device *device, int number,
		    struct pinring_gpu **gpu);
void pinring_gpu_put(struct pinring_gpu *gpu);

/* One more reference, which is returned. */
struct pinring_gpu *pinring_gpu_share(struct pinring_gpu *gpu);

/* Around calls of the driver that need a context. -EIO if that is stuck. */
int pinring_gpu_enter(struct pinring_gpu *gpu, struct pinring_device *device);
bool pinring_gpu_try_enter(struct pinring_gpu *gpu);
void pinring_gpu_leave(struct pinring_gpu *gpu);

/* 0 where the driver knows no such attribute. */
int pinring_gpu_attribute(struct pinring_gpu *gpu, int which);

/*
 * In the GPU's context, while nothing runs there: with a sentence if it cannot be,
 * and then nothing is left of it.
 */
int pinring_gpu_load(struct pinring_gpu *gpu, struct pinring_device *device,
		     const void *image, struct pinring_code *code);

/* In the GPU's context, while nothing runs there, under its lock. */
void pinring_gpu_free_stale(struct pinring_gpu *gpu);

/* A place for an executor's state, on the device; -EBUSY: all are taken. */
int pinring_gpu_take_loop(struct pinring_gpu *gpu,
			  struct pinring_executor *executor, uint32_t *number);

/*
 * Room for the blocks of a grid, beside those of this process's other executors:
 * -EBUSY if there is none, since it would wait until one of them ends.
 */
int pinring_gpu_hold(struct pinring_gpu *gpu, struct pinring_device *device,
		     uint32_t blocks);
void pinring_gpu_release(struct pinring_gpu *gpu, uint32_t blocks);

#endif /* PINRING_GPU_CUDA_GPU_H */
