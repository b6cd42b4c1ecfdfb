/* SPDX-License-Identifier: MIT */
/*
 * fake_image.h - what fake_jit.c links and fake_libcuda.c loads: an ELF file whose
 * section table comes last, this, and a shared object with the loop in it.
 */
#ifndef FAKE_IMAGE_H
#define FAKE_IMAGE_H

#include <stdint.h>

#define FAKE_IMAGE 0x6567616d69656b61ull

struct fake_image {
	uint64_t magic; /* FAKE_IMAGE */
	uint64_t bytes; /* of the shared object */
};

#endif /* FAKE_IMAGE_H */
