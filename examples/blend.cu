// SPDX-License-Identifier: MIT
/*
 * blend.cu - a kernel of one's own, for kernel.c: dst = a * s0 + b * (1 - s0).
 * The same file makes an operation of host threads and of a GPU.
 */
#include <pinring/kernel.h>

PINRING_KERNEL(blend)
{
	PINRING_EACH(i, args->count)
		dst[i] = a[i] * s0 + b[i] * (1.0f - s0);
}
