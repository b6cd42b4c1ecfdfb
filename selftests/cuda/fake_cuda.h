/* SPDX-License-Identifier: MIT */
/*
 * fake_cuda.h - what tests ask of the fake driver (fake_libcuda.c); they find these
 * functions as libpinring finds the driver's, by dlopen of libcuda.so.1.
 */
#ifndef PINRING_FAKE_CUDA_H
#define PINRING_FAKE_CUDA_H

/* What there is now; all but calls, launches, hot, stalled and same_address are 0 in the end. */
struct fake_cuda_state {
	int calls, launches;
	int contexts, modules, streams, registered, allocated;
	int depth; /* of this thread's stack of contexts */
	int misuse; /* calls with a handle or an address that is none */
	int while_running; /* calls that a persistent kernel may block */
	int hot; /* kernels loaded alone, ... */
	int stalled; /* ... and those that waited until nothing ran */
	int planned; /* a call that is to fail has not yet come */
	int query_held, load_held, unregister_held; /* callers, as below */
	int same_address; /* pages the "GPU" finds where the host does */
};

/* What the GPUs are; a test may change it before the first executor. */
struct fake_cuda_gpu {
	int count, major;
	int cooperative, host_register, compute_mode, exec_timeout;
	int mig, mps;
	int no_room; /* no block fits an SM */
	/* Of a thread, in the loop alone and with users' kernels. */
	int registers, linked_registers, linked_local;
	int hot_registers, hot_local; /* and in a kernel alone */
	int stall_loads; /* of those: as if the driver could not beside a kernel */
	int refuse_launches; /* so many of the next */
	int busy; /* kernels are queued and do not start */
	int partly; /* they do, but for their last block */
	/*
	 * Atomic. 1: the next caller of cuStreamQuery waits before it looks; then 2:
	 * it waits with what it saw; then 0. And whoever loads a module, or gives
	 * registered memory back, until 0.
	 */
	int hold_query, hold_load, hold_unregister;
	int dmabuf; /* memory can be exported; or FAKE_DMABUF_... */
	int memory; /* what is allocated from now on; 0: of the context */
};

#define FAKE_DMABUF_NO_MMAP 2 /* in vain */
#define FAKE_DMABUF_PCIE 3 /* in vain, but through PCIe */
#define FAKE_DMABUF_PCIE_ONLY 4 /* through PCIe, or not at all */
#define FAKE_MEMORY_MANAGED 1
#define FAKE_MEMORY_OF_A_POOL 2
#define FAKE_MEMORY_OF_A_CONTEXT 3 /* that is not the primary one */

/* The nth call of this symbol from now on returns rc, and does nothing. */
typedef void fake_cuda_fail_t(const char *symbol, int nth, int rc);
typedef struct fake_cuda_state fake_cuda_look_t(void);
typedef struct fake_cuda_gpu *fake_cuda_gpu_t(void);
/* Kernels that run die, as of an illegal address. */
typedef void fake_cuda_kill_t(void);

fake_cuda_fail_t fake_cuda_fail;
fake_cuda_look_t fake_cuda_look;
fake_cuda_gpu_t fake_cuda_gpu;
fake_cuda_kill_t fake_cuda_kill;

void pinring_loop_cuda(void *self); /* gpu/loop_cuda.cu, for simt.c */

#endif /* PINRING_FAKE_CUDA_H */
