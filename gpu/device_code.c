// SPDX-License-Identifier: MIT
/*
 * device_code.c - the device code, in the library. In the section where
 * cuobjdump looks for it.
 */
#include "device_code.h"

#define FILE_OF(symbol, file)						\
	__asm__(".pushsection .nv_fatbin, \"a\", @progbits\n"		\
		"	.balign 16\n"					\
		"	.globl " symbol "\n"				\
		"	.hidden " symbol "\n"				\
		symbol ":\n"						\
		"	.incbin \"" file "\"\n"				\
		"	.balign 8\n"					\
		"	.globl " symbol "_size\n"			\
		"	.hidden " symbol "_size\n"			\
		symbol "_size:\n"					\
		"	.quad . - " symbol "\n"				\
		".popsection\n")

#ifdef PINRING_DEVICE_FATBIN
FILE_OF("pinring_device_code", PINRING_DEVICE_FATBIN);
FILE_OF("pinring_device_link", PINRING_DEVICE_LINK);
#else
const unsigned char pinring_device_code[1], pinring_device_link[1];
const __u64 pinring_device_code_size, pinring_device_link_size;
#endif
