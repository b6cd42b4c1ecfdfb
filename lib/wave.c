// SPDX-License-Identifier: MIT
/* wave.c - laying out a room in a region. */
#include <math.h>
#include <stdio.h>

#include <pinring/wave.h>

#include "internal.h"

static uint64_t field_bytes(uint64_t cells)
{
	return ((cells * sizeof(float) + 127) & ~127ull) +
	       PINRING_WAVE_GAP;
}

static bool dimensions_sane(uint64_t nx, uint64_t ny, uint64_t nz)
{
	const uint64_t limit = 1ull << PINRING_WAVE_CELL_BITS;

	return nx && ny && nz && nx < limit && ny < limit && nz < limit &&
	       nx * ny < limit && nx * ny * nz < limit;
}

uint64_t pinring_wave_bytes(uint32_t nx, uint32_t ny, uint32_t nz)
{
	if (!dimensions_sane(nx, ny, nz))
		return 0;
	return sizeof(struct pinring_wave_state) +
	       2 * field_bytes((uint64_t)nx * ny * nz) + nx * sizeof(float);
}

int pinring_wave_create(struct pinring_region *region, const char *name,
			uint32_t nx, uint32_t ny, uint32_t nz, double lambda,
			double beta, struct pinring_wave *wave)
{
	struct pinring_wave_state *state;
	struct pinring_object_info o;
	int rc;

	if (!dimensions_sane(nx, ny, nz))
		return pinring_fail(region->device, -EINVAL,
				    "a room of %ux%ux%u cells: give 1 or more a side, and fewer than 2^28 in all",
				    nx, ny, nz);
	/* An ulp above 1/sqrt(3), for a lambda that was computed as that. */
	if (!(lambda >= 1e-12 && lambda <= 0.57735026918962584))
		return pinring_fail(region->device, -EINVAL,
				    "lambda %.9g: above 1/sqrt(3) = 0.577350269 the scheme is unstable, and it must be positive",
				    lambda);
	if (!(beta >= 0.0 && beta <= 1e6))
		return pinring_fail(region->device, -EINVAL,
				    "beta %g: a wall's admittance is from 0 (rigid) to 1e6",
				    beta);
	rc = pinring_object_create(region, name, PINRING_OBJECT_WAVE,
				   pinring_wave_bytes(nx, ny, nz), 128, &o);
	if (rc)
		return rc;
	state = (void *)(region->base + o.offset);
	state->magic = PINRING_WAVE_MAGIC;
	state->nx = nx;
	state->ny = ny;
	state->nz = nz;
	state->wall = (float)(lambda * beta / 2.0);
	/* Above 1/3 the shortest waves would grow. */
	state->lambda2 = fmin(lambda * lambda, 1.0 / 3.0);
	state->fields_offset = o.offset + sizeof(*state);
	wave->offset = o.offset;
	wave->cells = (uint64_t)nx * ny * nz;
	wave->state = state;
	wave->field[0] = (void *)(region->base + state->fields_offset);
	wave->field[1] = (void *)(region->base + state->fields_offset +
				  field_bytes(wave->cells));
	return 0;
}
