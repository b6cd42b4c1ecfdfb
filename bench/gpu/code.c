// SPDX-License-Identifier: MIT
/* code.c - kernels.cu as nvcc compiled it, in the program; see gpu/device_code.c. */
#include "code.h"

__asm__(".pushsection .nv_fatbin, \"a\", @progbits\n"
	"	.balign 16\n"
	"	.globl bench_gpu_code\n"
	"	.hidden bench_gpu_code\n"
	"bench_gpu_code:\n"
	"	.incbin \"" BENCH_GPU_FATBIN "\"\n"
	".popsection\n");
