/* SPDX-License-Identifier: MIT */
/*
 * wave.h - one step of the wave equation in a box.
 *
 * The equation is in lib/include/pinring/wave.h, the memory in
 * pinring_layout.h. The update overwrites the previous field in place: each
 * cell's old value is read by that cell alone. A missing neighbour reads as
 * zero, from the row of zeros, so that walls differ from the interior in two
 * factors and not in the shape of the loop.
 *
 * The sum over neighbours and K p are added up in the same order, x with y, then
 * z, so that they cancel exactly where the field is level: rounding must not set
 * a silent room in motion.
 *
 * Compile with -ffp-contract=off: then every executor gives the same bits.
 */
#ifndef PINRING_KERNELS_WAVE_H
#define PINRING_KERNELS_WAVE_H

#include <pinring/port.h>

#include "math.h"

struct pinring_room {
	float *field[2];
	const float *zeros;
	__u64 nx, ny, nz;
	float lambda2, lambda2_low; /* lambda^2 to 12 bits, and the rest */
	float keep[7]; /* 1 - f, by the number of missing neighbours */
	float gain[7]; /* 1 / (1 + f) */
};

PINRING_FN void pinring_room_factors(struct pinring_room *room, double lambda2,
				     float wall)
{
	int missing;

	room->lambda2 = pinring_truncate_bits((float)lambda2,
					      PINRING_TOP_12_BITS);
	room->lambda2_low = (float)(lambda2 - (double)room->lambda2);
	for (missing = 0; missing < 7; missing++) {
		float f = wall * (float)missing;

		room->keep[missing] = 1.0f - f;
		room->gain[missing] = 1.0f / (1.0f + f);
	}
}

/* `level` is what `sum` would be if all neighbours inside were as high as p. */
PINRING_FN float pinring_wave_update(const struct pinring_room *room, float p,
				     float before, float sum, float level,
				     float keep, float gain)
{
	float slope = sum - level;
	/*
	 * In two parts, because 1/3, at which most rooms run, is no float. Near
	 * the Nyquist frequency the scheme's phase hangs on the square root of
	 * that rounding error: with one factor the deviation from float64 is
	 * six times as large (selftests/tool.sh prints it). The lower part has
	 * half the bits: of two full floats it would be rounded away.
	 */
	float push = slope * room->lambda2 + slope * room->lambda2_low;
	float step = (p - before) * keep + push;

	return p + step * gain;
}

/* One row of cells along x, and its neighbours in y and z. */
struct pinring_wave_row {
	float *next; /* holds the field before p, receives the one after */
	const float *p;
	const float *y_minus, *y_plus, *z_minus, *z_plus;
	int ny, nz; /* how many of these are inside: 0 to 2 each */
};

PINRING_FN float pinring_wave_sum(struct pinring_wave_row row, __u64 x,
				  float left, float right)
{
	return (left + right) + (row.y_minus[x] + row.y_plus[x]) +
	       (row.z_minus[x] + row.z_plus[x]);
}

/* A cell at an end of the row; nx: neighbours in x that are inside. */
PINRING_FN float pinring_wave_end(const struct pinring_room *room,
				  const struct pinring_wave_row row, __u64 x,
				  float before, float left, float right,
				  float in_x, int missing)
{
	float p = row.p[x];

	return pinring_wave_update(room, p, before,
				   pinring_wave_sum(row, x, left, right),
				   in_x * p + (float)row.ny * p +
					   (float)row.nz * p,
				   room->keep[missing], room->gain[missing]);
}

/*
 * A row as a host thread steps it: over its ends as if they had two neighbours in
 * x, which are put right afterwards. That keeps all but two of the streams
 * aligned, and what it reads beyond the row lies inside the wave's memory (the
 * state before the fields, the row of zeros after).
 */
PINRING_FN void pinring_wave_row_step(const struct pinring_room *room,
				      const struct pinring_wave_row row)
{
	const float in_y = (float)row.ny, in_z = (float)row.nz;
	const int missing = 4 - row.ny - row.nz;
	const float keep = room->keep[missing];
	const float gain = room->gain[missing];
	const __u64 nx = room->nx, last = nx - 1;
	const float *p = row.p;
	float *next = row.next;
	const float before_first = next[0], before_last = next[last];
	__u64 x;

	if (!missing) {
		/* Most rows: 6 p is exactly 2 p + 2 p + 2 p, rounded once. */
		PINRING_IVDEP
		for (x = 0; x < nx; x++)
			next[x] = pinring_wave_update(
				room, p[x], next[x],
				pinring_wave_sum(row, x, p[x - 1], p[x + 1]),
				6.0f * p[x], 1.0f, 1.0f);
	} else {
		PINRING_IVDEP
		for (x = 0; x < nx; x++)
			next[x] = pinring_wave_update(
				room, p[x], next[x],
				pinring_wave_sum(row, x, p[x - 1], p[x + 1]),
				2.0f * p[x] + in_y * p[x] + in_z * p[x],
				keep, gain);
	}
	if (!last) {
		next[0] = pinring_wave_end(room, row, 0, before_first, 0.0f,
					   0.0f, 0.0f, missing + 2);
		return;
	}
	next[0] = pinring_wave_end(room, row, 0, before_first, 0.0f, p[1], 1.0f,
				   missing + 1);
	next[last] = pinring_wave_end(room, row, last, before_last, p[last - 1],
				      0.0f, 1.0f, missing + 1);
}

/*
 * Rows [begin, end) of the step from field[current] to field[!current]; row r
 * is y = r mod ny, z = r / ny.
 */
PINRING_FN void pinring_wave_rows(const struct pinring_room *room, int current,
				  __u64 begin, __u64 end)
{
	const __u64 nx = room->nx, ny = room->ny, nz = room->nz;
	const __u64 plane = nx * ny;
	__u64 y = begin % ny, z = begin / ny;
	__u64 r;

	for (r = begin; r < end; r++) {
		const float *p = room->field[current] + r * nx;
		struct pinring_wave_row row = {
			.next = room->field[!current] + r * nx,
			.p = p,
			.y_minus = y ? p - nx : room->zeros,
			.y_plus = y < ny - 1 ? p + nx : room->zeros,
			.z_minus = z ? p - plane : room->zeros,
			.z_plus = z < nz - 1 ? p + plane : room->zeros,
			.ny = (y > 0) + (y < ny - 1),
			.nz = (z > 0) + (z < nz - 1),
		};

		pinring_wave_row_step(room, row);
		if (++y == ny) {
			y = 0;
			z++;
		}
	}
}

/*
 * The same bits, cell by cell, for lane `lane` of `lanes` that share the rows:
 * cells begin * nx + lane, + lanes, ... Adjacent lanes are at adjacent x. Where a
 * neighbour is missing it reads as zero here, too, and gain and keep of a cell
 * with none missing are 1.
 */
PINRING_FN void pinring_wave_cells(const struct pinring_room *room, int current,
				   __u64 begin, __u64 end, __u32 lane,
				   __u32 lanes)
{
	/* A room has less than 2^28 cells. */
	const __u32 nx = (__u32)room->nx, ny = (__u32)room->ny;
	const __u32 nz = (__u32)room->nz, plane = nx * ny;
	const __u32 last = (__u32)end * nx;
	const __u32 dx = lanes % nx, dy = lanes / nx % ny, dz = lanes / plane;
	const float *field = room->field[current];
	__u32 cell = (__u32)begin * nx + lane;
	__u32 x = cell % nx, y = cell / nx % ny, z = cell / plane;

	while (cell < last) {
		const float *p = field + cell;
		float *next = room->field[!current] + cell;
		const int in_x = (x > 0) + (x < nx - 1);
		const int in_y = (y > 0) + (y < ny - 1);
		const int in_z = (z > 0) + (z < nz - 1);
		const int missing = 6 - in_x - in_y - in_z;
		const float left = x ? p[-1] : 0.0f;
		const float right = x < nx - 1 ? p[1] : 0.0f;
		const float y_minus = y ? *(p - nx) : 0.0f;
		const float y_plus = y < ny - 1 ? p[nx] : 0.0f;
		const float z_minus = z ? *(p - plane) : 0.0f;
		const float z_plus = z < nz - 1 ? p[plane] : 0.0f;

		*next = pinring_wave_update(
			room, *p, *next,
			(left + right) + (y_minus + y_plus) + (z_minus + z_plus),
			(float)in_x * *p + (float)in_y * *p + (float)in_z * *p,
			room->keep[missing], room->gain[missing]);
		cell += lanes;
		x += dx;
		if (x >= nx) {
			x -= nx;
			y++;
		}
		y += dy;
		if (y >= ny) {
			y -= ny;
			z++;
		}
		z += dz;
	}
}

#endif /* PINRING_KERNELS_WAVE_H */
