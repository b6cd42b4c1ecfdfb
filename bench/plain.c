// SPDX-License-Identifier: MIT
/*
 * plain.c - the limit of the room: the same update as a plain loop nest.
 *
 * Written as one would for this machine alone: -O3 -march=native, multiply and
 * add may be fused, a row is one loop without a branch, the coefficients are
 * worked out once, and nothing is checked. In two forms, because which is the
 * faster hangs on the vectors' width and on how the rows lie: with rows of whole
 * cache lines, PLAIN_WHOLE has all but two of its streams aligned. The faster
 * one is the limit.
 */
#include <stddef.h>

#include "plain.h"

struct factors {
	float own, neighbours, before;
};

struct row {
	float *next; /* holds the field before p */
	const float *p, *north, *south, *below, *above;
	size_t nx;
};

static void make_factors(const struct plain_room *room, struct factors f[7])
{
	int k;

	for (k = 0; k < 7; k++) {
		float loss = room->wall * (float)(6 - k);

		f[k].own = (2.0f - (float)k * room->lambda2) / (1.0f + loss);
		f[k].neighbours = room->lambda2 / (1.0f + loss);
		f[k].before = (loss - 1.0f) / (1.0f + loss);
	}
}

static inline void cells(float *restrict next, const struct row *row,
			 size_t begin, size_t end, struct factors f)
{
	const float *restrict p = row->p, *restrict north = row->north,
		    *restrict south = row->south, *restrict below = row->below,
		    *restrict above = row->above;
	size_t x;

	for (x = begin; x < end; x++)
		next[x] = f.own * p[x] +
			  f.neighbours * (p[x - 1] + p[x + 1] + north[x] +
					  south[x] + below[x] + above[x]) +
			  f.before * next[x];
}

static inline void ends(const struct row *row, struct factors f,
			float first_before, float last_before)
{
	size_t last = row->nx - 1;

	row->next[0] = f.own * row->p[0] +
		       f.neighbours * (row->p[1] + row->north[0] +
				       row->south[0] + row->below[0] +
				       row->above[0]) +
		       f.before * first_before;
	row->next[last] =
		f.own * row->p[last] +
		f.neighbours * (row->p[last - 1] + row->north[last] +
				row->south[last] + row->below[last] +
				row->above[last]) +
		f.before * last_before;
}

/* f: of the cells inside, f_end: of the two at the ends. */
static void interior(const struct row *row, struct factors f,
		     struct factors f_end)
{
	size_t last = row->nx - 1;

	cells(row->next, row, 1, last, f);
	ends(row, f_end, row->next[0], row->next[last]);
}

static void whole(const struct row *row, struct factors f,
		  struct factors f_end)
{
	float first_before = row->next[0];
	float last_before = row->next[row->nx - 1];

	cells(row->next, row, 0, row->nx, f);
	ends(row, f_end, first_before, last_before);
}

void plain_step(const struct plain_room *room, enum plain_form form,
		int current)
{
	static const float zeros[1024] __attribute__((aligned(64)));
	const uint32_t nx = room->nx, ny = room->ny, nz = room->nz;
	const size_t plane = (size_t)nx * ny;
	struct factors f[7];
	uint32_t y, z;

	make_factors(room, f);
	for (z = 0; z < nz; z++) {
		for (y = 0; y < ny; y++) {
			size_t at = z * plane + (size_t)y * nx;
			const float *p = room->field[current] + at;
			int k = 6 - (y == 0) - (y == ny - 1) - (z == 0) -
				(z == nz - 1);
			struct row row = {
				.next = room->field[!current] + at,
				.p = p,
				.north = y ? p - nx : zeros,
				.south = y < ny - 1 ? p + nx : zeros,
				.below = z ? p - plane : zeros,
				.above = z < nz - 1 ? p + plane : zeros,
				.nx = nx,
			};

			if (form == PLAIN_WHOLE)
				whole(&row, f[k], f[k - 1]);
			else
				interior(&row, f[k], f[k - 1]);
		}
	}
}
