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
 * Compile with -ffp-contract=off: then every executor gives the same bits.
 */
#ifndef PINRING_KERNELS_WAVE_H
#define PINRING_KERNELS_WAVE_H

#include <pinring/port.h>

struct pinring_room {
	float *field[2];
	const float *zeros;
	__u64 nx, ny, nz;
	float courant; /* 1 / lambda^2 */
	float keep[7]; /* 1 - f, by the number of missing neighbours */
	float gain[7]; /* 1 / (1 + f) */
};

PINRING_FN void pinring_room_walls(struct pinring_room *room, float wall)
{
	int missing;

	for (missing = 0; missing < 7; missing++) {
		float f = wall * (float)missing;

		room->keep[missing] = 1.0f - f;
		room->gain[missing] = 1.0f / (1.0f + f);
	}
}

PINRING_FN float pinring_wave_update(float p, float before, float sum,
				     float neighbours, float courant,
				     float keep, float gain)
{
	/*
	 * A division, where a multiplication by lambda^2 looks cheaper: memory
	 * is the limit, so it costs nothing, and 1/3, at which most rooms run,
	 * is no float. Near the Nyquist frequency the scheme's phase hangs on
	 * the square root of that rounding error; dividing by 3 left a sixth of
	 * the deviation from float64 (selftests/tool.sh prints it).
	 */
	float step = (p - before) * keep + (sum - neighbours * p) / courant;

	return p + step * gain;
}

/*
 * One row of cells along x. `next` holds the field before p and receives the
 * one after it; `missing` counts the neighbours beyond walls in y and z. Lane
 * `lane` of `lanes` takes every lanes-th cell.
 */
PINRING_FN void pinring_wave_row(const struct pinring_room *room, float *next,
				 const float *p, const float *y_minus,
				 const float *y_plus, const float *z_minus,
				 const float *z_plus, int missing, __u64 lane,
				 __u64 lanes)
{
	const float courant = room->courant;
	const float k = (float)(6 - missing);
	const float keep = room->keep[missing];
	const float gain = room->gain[missing];
	const __u64 last = room->nx - 1;
	__u64 x;

	PINRING_IVDEP
	for (x = 1 + lane; x < last; x += lanes) {
		float sum = (p[x - 1] + p[x + 1]) + (y_minus[x] + y_plus[x]) +
			    (z_minus[x] + z_plus[x]);

		next[x] = pinring_wave_update(p[x], next[x], sum, k, courant,
					      keep, gain);
	}
	if (lane)
		return;
	for (x = 0;; x = last) {
		float left = x ? p[x - 1] : 0.0f;
		float right = x < last ? p[x + 1] : 0.0f;
		int m = missing + (x == 0) + (x == last);
		float sum = (left + right) + (y_minus[x] + y_plus[x]) +
			    (z_minus[x] + z_plus[x]);

		next[x] = pinring_wave_update(p[x], next[x], sum,
					      (float)(6 - m), courant,
					      room->keep[m], room->gain[m]);
		if (x == last)
			break;
	}
}

/*
 * Rows [begin, end) of the step from field[current] to field[!current]; row r
 * is y = r mod ny, z = r / ny.
 */
PINRING_FN void pinring_wave_rows(const struct pinring_room *room, int current,
				  __u64 begin, __u64 end, __u64 lane,
				  __u64 lanes)
{
	const __u64 nx = room->nx, ny = room->ny, nz = room->nz;
	const __u64 plane = nx * ny;
	__u64 y = begin % ny, z = begin / ny;
	__u64 row;

	for (row = begin; row < end; row++) {
		const float *p = room->field[current] + row * nx;
		float *next = room->field[!current] + row * nx;
		const float *zeros = room->zeros;
		int missing = (y == 0) + (y == ny - 1) + (z == 0) +
			      (z == nz - 1);

		pinring_wave_row(room, next, p, y ? p - nx : zeros,
				 y < ny - 1 ? p + nx : zeros,
				 z ? p - plane : zeros,
				 z < nz - 1 ? p + plane : zeros, missing, lane,
				 lanes);
		if (++y == ny) {
			y = 0;
			z++;
		}
	}
}

#endif /* PINRING_KERNELS_WAVE_H */
