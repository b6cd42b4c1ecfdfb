/* SPDX-License-Identifier: MIT */
/*
 * cuda_bar.h - GPU memory that the CPU can store to.
 *
 * Through the GPU's PCI window (BAR1), mapped write-combining: a command ring there
 * is polled by the GPU in its own memory, and only posted writes cross PCIe
 * (shared/gpu.md, "Ring protocol", 1). The CPU never reads it: that takes
 * microseconds. Two ways lead there, tried in this order:
 *
 *	dma-buf		the driver exports the memory, and mmap() of that works
 *			(since 13.3; older ones refuse it); if not as the driver
 *			chooses, then through PCIe, which it is asked for (since 12.8)
 *	libgdrapi	of gdrcopy, whose kernel module gdrdrv must be loaded
 */
#ifndef PINRING_GPU_CUDA_BAR_H
#define PINRING_GPU_CUDA_BAR_H

#include "cuda_driver.h"

struct pinring_bar {
	unsigned char *base; /* NULL: there is none */
	size_t size;
	cuda_address address; /* of base, for the GPU */
	cuda_address memory; /* as it was allocated */
	int dmabuf; /* or -1 */
	struct gdr *gdr;
	unsigned long handle; /* gdrapi's */
	char text[160]; /* which way it is mapped, or why by none */
};

/*
 * In the current context, before any persistent kernel runs. Never fails: text
 * says why there is no window.
 */
void pinring_bar_open(const struct pinring_cuda *cuda, size_t size,
		      struct pinring_bar *bar);
void pinring_bar_close(const struct pinring_cuda *cuda,
		       struct pinring_bar *bar);

/* After stores to it: they leave the CPU now. */
static inline void pinring_bar_flush(void)
{
#ifdef __x86_64__
	__builtin_ia32_sfence();
#else
	__sync_synchronize();
#endif
}

#endif /* PINRING_GPU_CUDA_BAR_H */
