/* SPDX-License-Identifier: MIT */
/*
 * jit.h - users' kernels for a GPU: compiled by NVRTC, linked with the loop by
 * nvJitLink. Both are opened when they are needed, and neither needs a GPU.
 *
 *	source --NVRTC--> object --+
 *	.ptx, .cubin, .fatbin -----+--nvJitLink--> cubin, for cuModuleLoadData()
 *	the loop (device_code.h) --+
 *	pinring_dynamic(), made here: which operation is which kernel
 *
 * A kernel that is to come while the loop runs is linked alone (cuda_hot.c).
 */
#ifndef PINRING_JIT_H
#define PINRING_JIT_H

#include <stddef.h>
#include <stdint.h>

#include <pinring/executor.h>
#include <pinring/kernel.h>

struct pinring_jit_object {
	int kind; /* jit.c's */
	size_t size;
	char *data; /* malloc */
};

struct pinring_jit_kernel {
	const char *name;
	uint32_t operation;
	const struct pinring_jit_object *object;
	struct pinring_kernel_abi abi; /* set by pinring_jit_link() */
};

/*
 * What to compile and link for, of a GPU of compute capability 10 * major + minor:
 * 80 of an sm_89. 0: the library has no code of the loop to link for it.
 */
uint32_t pinring_jit_arch(uint32_t capability);

/*
 * registers: as many as a thread may have, of what is compiled here; 0: as it likes.
 * Errors: as of pinring_executor_register().
 */
int pinring_jit_compile(struct pinring_device *device,
			const struct pinring_kernel_config *config,
			uint32_t arch, uint32_t registers,
			struct pinring_jit_object *object);

/*
 * The loop and these kernels. What several of them have in common, an object that
 * is the same, is in there once. -ENOEXEC: they do not fit together, as two
 * kernels of one name do not.
 */
int pinring_jit_link(struct pinring_device *device, uint32_t arch,
		     struct pinring_jit_kernel *kernels, uint32_t count,
		     struct pinring_jit_object *image);

/* What is in the image of a kernel that was linked alone. */
#define PINRING_HOT_AT "pinring_hot_at" /* a word: the kernel's address */
#define PINRING_HOT_PROBE "pinring_hot_probe" /* a grid, not to be launched */

/*
 * The kernel alone, for a loop that has so many registers a thread. -E2BIG: it needs
 * what that has not.
 */
int pinring_jit_link_hot(struct pinring_device *device, uint32_t arch,
			 struct pinring_jit_kernel *kernel, uint32_t registers,
			 struct pinring_jit_object *image);

/* The last part of it. */
struct pinring_cubin_needs;
int pinring_jit_check_hot(struct pinring_device *device, const char *name,
			  const struct pinring_cubin_needs *needs,
			  uint32_t registers);

void pinring_jit_free(struct pinring_jit_object *object);

#endif /* PINRING_JIT_H */
