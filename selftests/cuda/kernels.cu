// SPDX-License-Identifier: MIT
/*
 * kernels.cu - users' kernels for the grid that simt.c makes of the host, as nvcc
 * and jit.c would put them into the loop.
 */
#include <pinring/pinring_layout.h>
#include <pinring/port.h>

#include "simt.h"

/* From here on the headers are nvcc's. */
#define __CUDACC__
#include "../../examples/blend.cu"

/* Each element comes from another lane's, most of them from another block's. */
PINRING_KERNEL_OF(passes, unsigned int, PINRING_KERNEL_DST | PINRING_KERNEL_A)
{
	unsigned int *x = dst, *y = const_cast<unsigned int *>(a), *t;
	int pass;

	PINRING_EACH(i, args->count)
		x[i] = (unsigned int)i;
	for (pass = 0; pass < 10; pass++) {
		PINRING_BARRIER();
		PINRING_EACH(i, args->count)
			y[i] = x[args->count - 1 - i] + 1;
		t = x;
		x = y;
		y = t;
	}
}

/* The same, as one that came later: it finds its barrier in args (jit.c). */
extern "C" void later_passes(const struct pinring_kernel_args *args);

extern "C" void later_passes(const struct pinring_kernel_args *args)
{
	unsigned int *x = (unsigned int *)args->dst, *t;
	unsigned int *y = (unsigned int *)const_cast<void *>(args->a);
	int pass;

	PINRING_EACH(i, args->count)
		x[i] = (unsigned int)i;
	for (pass = 0; pass < 10; pass++) {
		(void)((int (*)(const struct pinring_kernel_args *))(void (*)(void))
			       args->barrier)(args);
		PINRING_EACH(i, args->count)
			y[i] = x[args->count - 1 - i] + 1;
		t = x;
		x = y;
		y = t;
	}
}

/* How often an element was anybody's, and of how many. */
PINRING_KERNEL_OF(shares, unsigned int, PINRING_KERNEL_DST)
{
	PINRING_EACH(i, args->count)
		dst[i] += (unsigned int)args->workers << 16 | 1u;
}

extern "C" void pinring_dynamic(unsigned int operation,
				const struct pinring_kernel_args *args);

extern "C" void pinring_dynamic(unsigned int operation,
				const struct pinring_kernel_args *args)
{
	if (operation == PINRING_OP_DYNAMIC)
		pinring_kernel_blend(args);
	if (operation == PINRING_OP_DYNAMIC + 1)
		pinring_kernel_passes(args);
	if (operation == PINRING_OP_DYNAMIC + 2)
		pinring_kernel_shares(args);
}
