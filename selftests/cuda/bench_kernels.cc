// SPDX-License-Identifier: MIT
/*
 * bench_kernels.cc - the kernels of bench/gpu as C++, on the grid that simt.h makes of
 * the host, and the executor's loop beside them.
 */
#include <utility>

#include <pinring/port.h>

#include "simt.h"

#include "../../bench/gpu/kernels.cu"
#include "bench_kernels.h"

extern "C" void pinring_loop_cuda(void *self);

template <auto kernel> struct launched;

template <typename... P, void (*kernel)(P...)> struct launched<kernel> {
	static constexpr size_t sizes[] = { sizeof(P)... };

	template <size_t... i>
	static void call(void **parameters, std::index_sequence<i...>)
	{
		kernel(*(P *)parameters[i]...);
	}

	static void run(void *parameters)
	{
		call((void **)parameters, std::index_sequence_for<P...>());
	}
};

#define KERNEL(name, meets, persistent) \
	{ #name, launched<name>::run, launched<name>::sizes, \
	  sizeof(launched<name>::sizes) / sizeof(size_t), meets, persistent }

struct cuda_function bench_kernels[] = {
	KERNEL(pinring_loop_cuda, 1, 1),
	KERNEL(bench_pong, 0, 0),
	KERNEL(bench_mark, 0, 0),
	KERNEL(bench_tick, 0, 0),
	KERNEL(bench_hold, 1, 0),
	KERNEL(bench_barrier, 1, 0),
	KERNEL(bench_push_one, 0, 0),
	KERNEL(bench_push_block, 1, 0),
	KERNEL(bench_push_release, 0, 0),
	KERNEL(bench_torn_read, 0, 0),
	KERNEL(bench_torn_write, 0, 0),
	KERNEL(bench_wave_step, 0, 0),
	KERNEL(bench_wave_inject, 0, 0),
	KERNEL(bench_wave_inject_from, 0, 0),
	KERNEL(bench_wave_query, 0, 0),
	KERNEL(bench_add, 0, 0),
	KERNEL(bench_fill, 0, 0),
};
const size_t bench_kernels_count = sizeof(bench_kernels) / sizeof(bench_kernels[0]);
