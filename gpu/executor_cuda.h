/* SPDX-License-Identifier: MIT */
/*
 * executor_cuda.h - what executor_cuda.c and the other cuda_*.c share (private).
 *
 * Locks, in this order: executor->kernels_lock, the GPU's lock, executor->wish_lock.
 * A launch has the last one first, but of an executor that is not yet resident,
 * whose wish_lock nobody wants who has the GPU's. Who has a wish_lock calls the driver
 * only with the GPU's lock: cuda_hot.c says why.
 */
#ifndef PINRING_GPU_EXECUTOR_CUDA_H
#define PINRING_GPU_EXECUTOR_CUDA_H

#include "cuda_gpu.h"
#include "loop_cuda.h"

struct cuda {
	struct pinring_gpu *gpu;
	uint32_t number; /* of its place on the GPU */
	bool placed, mapped_region, mapped_table;
	bool in_gpu; /* the command ring: in gpu->bar */
	/*
	 * A kernel of it runs, or may. Under wish_lock; set under the GPU's lock,
	 * too, so that who has that need not lock those that are not. Atomic.
	 */
	bool resident;
	uint32_t held; /* blocks, of the GPU's room */
	struct pinring_code *code; /* under the GPU's lock */
	cuda_stream stream;
	cuda_address region; /* executor->region, as the GPU finds it */
};

/*
 * What the driver thinks of the grid. NOT_READY: it runs, or will. False: it would
 * not even look.
 */
bool pinring_cuda_query(const struct pinring_executor *executor, cuda_result *rc);
void pinring_cuda_nap(void);

/* Registered memory, for who has the GPU's lock. */
uint64_t *pinring_cuda_word(const struct pinring_executor *executor);

/* Under the GPU's lock: those that are, or may be, on it. */
#define PINRING_EACH_RESIDENT(gpu, i, ex)                    \
	for ((i) = 0; (i) < PINRING_GPU_LOOPS; (i)++)        \
		if (((ex) = (gpu)->executors[i]) && pinring_cuda_resident(ex))

static inline bool pinring_cuda_resident(const struct pinring_executor *ex)
{
	const struct cuda *c = ex->loop;

	return __atomic_load_n(&c->resident, __ATOMIC_RELAXED);
}

/*
 * Launches the loop, or once more, with the state that it left; and waits until it
 * says something. Under the GPU's lock and wish_lock. *launched: there is something
 * on the stream, even if it fails.
 */
int pinring_cuda_start(struct pinring_executor *executor,
		       const struct pinring_code *code, bool *launched);

/*
 * cuda_pages.c: lets the GPU reach whole pages of host memory, and says where it finds
 * them. Counted: the same pages may be mapped for several executors and GPUs. With no
 * lock of an executor but attach_lock; -EBUSY if a command of the GPU does not end.
 * region: whose pages they are, or NULL. Not given back (false), they stay registered
 * and must stay mapped; if they are a region's, that is seen to.
 */
int pinring_cuda_map(struct pinring_gpu *gpu, struct pinring_device *device,
		     struct pinring_region *region, void *base, size_t size,
		     cuda_address *address);
bool pinring_cuda_unmap(struct pinring_device *device, void *base);

/* cuda_memory.c */
int pinring_cuda_reach(struct pinring_executor *executor, void *address,
		       uint64_t bytes);
int pinring_cuda_allocate(struct pinring_executor *executor, uint64_t bytes,
			  struct pinring_memory *memory,
			  struct pinring_attached *attached);
void pinring_cuda_release(struct pinring_executor *executor, void *own);

/* cuda_relink.c */
int pinring_cuda_load(struct pinring_executor *executor,
		      const struct pinring_kernel_config *config,
		      struct pinring_kernel *kernel, uint32_t operation);
void pinring_cuda_unload(struct pinring_executor *executor,
			 struct pinring_kernel *kernel);

/* cuda_hot.c; k->entry is the GPU's address, and tells it from one that was linked. */
int pinring_cuda_inject(struct pinring_executor *executor,
			const struct pinring_kernel_config *config, uint32_t arch,
			struct pinring_kernel *kernel, uint32_t operation);
void pinring_cuda_eject(struct pinring_executor *executor,
			struct pinring_kernel *kernel);

/* Under the GPU's lock: the first part of stopping. It does not call the driver. */
void pinring_cuda_tell_to_leave(struct pinring_gpu *gpu);

/*
 * Under the GPU's lock: all loops on it end between two commands, and go on. 0, or
 * -errno: they have not all ended; they must go on all the same. Whose wish_lock the
 * caller has is left out.
 */
int pinring_cuda_stop(struct pinring_gpu *gpu, struct pinring_device *device);
void pinring_cuda_go_on(struct pinring_gpu *gpu,
			const struct pinring_executor *but);

/* Of those that were to leave: it has failed, unless it has ended, and goes on no more. */
void pinring_cuda_lose(struct pinring_executor *executor, int error,
		       uint32_t reason);

/* Under the GPU's lock: nobody uses it any more. Freed when nothing runs. */
void pinring_cuda_discard(struct pinring_gpu *gpu, struct pinring_code *code);

#endif /* PINRING_GPU_EXECUTOR_CUDA_H */
