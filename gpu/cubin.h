/* SPDX-License-Identifier: MIT */
/*
 * cubin.h - what is in a cubin: an ELF file, which may be any file of the user's.
 */
#ifndef PINRING_CUBIN_H
#define PINRING_CUBIN_H

#include <stdbool.h>

#include "jit.h"

/* All is there that it says of itself, as it is not in a file that was cut off. */
bool pinring_cubin_whole(const struct pinring_jit_object *cubin);

/* What lies behind a symbol that others may use, `bytes` long. False: nothing. */
bool pinring_cubin_read(const struct pinring_jit_object *cubin,
			const char *symbol, void *to, size_t bytes);

/*
 * A symbol that both of them give to others; "" if there is none. It lies in x.
 */
const char *pinring_cubin_twice(const struct pinring_jit_object *x,
				const struct pinring_jit_object *y);

/* What a kernel takes of an SM, with all that it calls. */
struct pinring_cubin_needs {
	uint32_t registers; /* of a thread */
	uint32_t stack; /* bytes of a thread */
	uint32_t barriers; /* of a block */
	bool shared; /* memory of a block, even if it is not said how much */
	bool constants; /* other than parameters */
	const char *outside; /* a function that is not in there, or NULL */
};

#define PINRING_STACK_UNKNOWN UINT32_MAX

/*
 * Of `entry` in a cubin that was linked. False: it does not say. What compilers
 * write of it there is in no document, but has been the same since CUDA 11.
 */
bool pinring_cubin_needs(const struct pinring_jit_object *cubin,
			 const char *entry, struct pinring_cubin_needs *needs);

#endif /* PINRING_CUBIN_H */
