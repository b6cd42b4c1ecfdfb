/* SPDX-License-Identifier: MIT */
/*
 * wave.cuh - the room as one launches it: a kernel a step, a thread a cell.
 *
 * The same sums in the same order as gpu/kernels/wave.h, so that both ways give the
 * same bits.
 */
#include "../../gpu/kernels/wave.h"
#include "words.cuh"

extern "C" __global__ void
bench_wave_step(const __grid_constant__ struct pinring_room room, __u32 current)
{
	const __u32 nx = (__u32)room.nx, ny = (__u32)room.ny,
		    nz = (__u32)room.nz;
	const __u32 i = blockIdx.x * BENCH_STEP_THREADS + threadIdx.x;
	const __u32 x = i % nx, y = i / nx % ny, z = i / nx / ny;
	const float *p = (current ? room.field[1] : room.field[0]) + i;
	float *next = (current ? room.field[0] : room.field[1]) + i;
	float left, right, north, south, below, above, sum, level;
	int in_x, in_y, in_z, missing;

	if (z >= nz)
		return;
	left = x ? p[-1] : 0.0f;
	right = x < nx - 1 ? p[1] : 0.0f;
	north = y ? *(p - nx) : 0.0f;
	south = y < ny - 1 ? p[nx] : 0.0f;
	below = z ? *(p - nx * ny) : 0.0f;
	above = z < nz - 1 ? p[nx * ny] : 0.0f;
	in_x = (x > 0) + (x < nx - 1);
	in_y = (y > 0) + (y < ny - 1);
	in_z = (z > 0) + (z < nz - 1);
	missing = 6 - in_x - in_y - in_z;
	sum = (left + right) + (north + south) + (below + above);
	level = (float)in_x * *p + (float)in_y * *p + (float)in_z * *p;
	*next = pinring_wave_update(&room, *p, *next, sum, level,
				    room.keep[missing], room.gain[missing]);
}

extern "C" __global__ void bench_wave_inject(float *cell, float value)
{
	*cell += value;
}

/* For a graph, whose parameters stay: the value lies in host memory. */
extern "C" __global__ void bench_wave_inject_from(float *cell,
						  const __u64 *value)
{
	*cell += pinring_bits_float((__u32)pinring_load_word(value));
}

/* The answer and its number in one word: nothing has to be ordered. */
extern "C" __global__ void bench_wave_query(const float *cell, __u64 *counter,
					    __u64 *answer)
{
	__u64 n = *counter + 1;

	*counter = n;
	pinring_store_word(answer, n << 32 | pinring_float_bits(*cell));
}
