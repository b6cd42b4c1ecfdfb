// SPDX-License-Identifier: MIT
/*
 * plain.c - the limit of the room: the same update as a plain loop nest.
 *
 * Written as one would for this machine alone: -O3 -march=native, multiply and
 * add may be fused, the interior of a row is one loop without a branch, the
 * coefficients are worked out once, and nothing is checked.
 */
#include "bench.h"

struct factors {
	float own, neighbours, before;
};

static void make_factors(const struct plain_room *room, struct factors f[7])
{
	int k;

	for (k = 0; k < 7; k++) {
		float loss = room->beta_lambda_half * (float)(6 - k);

		f[k].own = (2.0f - (float)k * room->lambda2) / (1.0f + loss);
		f[k].neighbours = room->lambda2 / (1.0f + loss);
		f[k].before = (loss - 1.0f) / (1.0f + loss);
	}
}

static void row(float *restrict next, const float *restrict p,
		const float *restrict north, const float *restrict south,
		const float *restrict below, const float *restrict above,
		uint32_t nx, struct factors f, struct factors end)
{
	uint32_t x, last = nx - 1;

	for (x = 1; x < last; x++)
		next[x] = f.own * p[x] +
			  f.neighbours * (p[x - 1] + p[x + 1] + north[x] +
					  south[x] + below[x] + above[x]) +
			  f.before * next[x];
	next[0] = end.own * p[0] +
		  end.neighbours * (p[1] + north[0] + south[0] + below[0] +
				    above[0]) +
		  end.before * next[0];
	next[last] = end.own * p[last] +
		     end.neighbours * (p[last - 1] + north[last] + south[last] +
				       below[last] + above[last]) +
		     end.before * next[last];
}

/* Rooms of two cells and more a side, up to 1024 along x. */
void plain_step(const struct plain_room *room, int current)
{
	static const float zeros[1024];
	const uint32_t nx = room->nx, ny = room->ny, nz = room->nz;
	const size_t plane = (size_t)nx * ny;
	struct factors f[7];
	uint32_t y, z;

	make_factors(room, f);
	for (z = 0; z < nz; z++) {
		for (y = 0; y < ny; y++) {
			const float *p = room->field[current] + z * plane +
					 (size_t)y * nx;
			float *next = room->field[!current] + z * plane +
				      (size_t)y * nx;
			int k = 6 - (y == 0) - (y == ny - 1) - (z == 0) -
				(z == nz - 1);

			row(next, p, y ? p - nx : zeros,
			    y < ny - 1 ? p + nx : zeros, z ? p - plane : zeros,
			    z < nz - 1 ? p + plane : zeros, nx, f[k], f[k - 1]);
		}
	}
}
