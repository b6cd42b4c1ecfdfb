/* SPDX-License-Identifier: MIT */
/*
 * wave.h - a room for the executor's wave operations.
 *
 * Sound in a box by finite differences (Webb and Bilbao, "Computing room
 * acoustics with CUDA", ICASSP 2011): with p the pressure, K the number of
 * neighbours inside the room and f = lambda * beta * (6 - K) / 2,
 *
 *	p+ = [(2 - K lambda^2) p + lambda^2 sum + (f - 1) p-] / (1 + f)
 *
 * computed as p + [(p - p-) (1 - f) + (sum - K p) lambda^2] / (1 + f),
 * which is the same and leaves a field at rest at rest to the last bit.
 */
#ifndef PINRING_WAVE_H
#define PINRING_WAVE_H

#include <pinring/region.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pinring_wave {
	uint64_t offset; /* operand a of the wave operations */
	uint64_t cells;
	struct pinring_wave_state *state; /* in the region */
	float *field[2]; /* x fastest; field[state->steps & 1] is current */
};

/*
 * A silent room of nx * ny * nz cells as a named object. lambda above
 * 1/sqrt(3) would blow up: -EINVAL, as for a dimension of 0, 2^28 cells or more,
 * or a beta that is negative or not finite. Else as pinring_object_create.
 */
PINRING_API int pinring_wave_create(struct pinring_region *region,
				    const char *name, uint32_t nx, uint32_t ny,
				    uint32_t nz, double lambda, double beta,
				    struct pinring_wave *wave);

/* Bytes that such a room takes in a region. */
PINRING_API uint64_t pinring_wave_bytes(uint32_t nx, uint32_t ny, uint32_t nz);

/* The cell number that inject, probe and block want. */
static inline uint64_t pinring_wave_cell(const struct pinring_wave_state *state,
					 uint32_t x, uint32_t y, uint32_t z)
{
	return x + state->nx * (y + (uint64_t)state->ny * z);
}

#ifdef __cplusplus
}
#endif

#endif /* PINRING_WAVE_H */
