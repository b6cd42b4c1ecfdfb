/* SPDX-License-Identifier: MIT */
/*
 * jit.h - users' kernels for a GPU: compiled by NVRTC, linked with the loop by
 * nvJitLink. Both are opened when they are needed, and neither needs a GPU.
 *
 *	source --NVRTC--> object --+
 *	.ptx, .cubin, .fatbin -----+--nvJitLink--> cubin, for cuModuleLoadData()
 *	the loop (device_code.h) --+
 *	pinring_dynamic(), made here: which operation is which kernel
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

/* Errors: as of pinring_executor_register(). */
int pinring_jit_compile(struct pinring_device *device,
			const struct pinring_kernel_config *config,
			uint32_t arch, struct pinring_jit_object *object);

/*
 * The loop and these kernels. What several of them have in common, an object that
 * is the same, is in there once. -ENOEXEC: they do not fit together, as two
 * kernels of one name do not.
 */
int pinring_jit_link(struct pinring_device *device, uint32_t arch,
		     struct pinring_jit_kernel *kernels, uint32_t count,
		     struct pinring_jit_object *image);

void pinring_jit_free(struct pinring_jit_object *object);

#endif /* PINRING_JIT_H */
