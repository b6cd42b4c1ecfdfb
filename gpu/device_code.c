// SPDX-License-Identifier: MIT
/*
 * device_code.c - the device code, in the library. In the section where
 * cuobjdump looks for it.
 */
#include "device_code.h"

#ifdef PINRING_DEVICE_FATBIN
__asm__(".pushsection .nv_fatbin, \"a\", @progbits\n"
	"	.balign 16\n"
	"	.globl pinring_device_code\n"
	"	.hidden pinring_device_code\n"
	"pinring_device_code:\n"
	"	.incbin \"" PINRING_DEVICE_FATBIN "\"\n"
	"	.balign 8\n"
	"	.globl pinring_device_code_size\n"
	"	.hidden pinring_device_code_size\n"
	"pinring_device_code_size:\n"
	"	.quad . - pinring_device_code\n"
	".popsection\n");
#else
const unsigned char pinring_device_code[1];
const __u64 pinring_device_code_size;
#endif
