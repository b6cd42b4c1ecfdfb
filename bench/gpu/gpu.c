// SPDX-License-Identifier: MIT
/* gpu.c - see gpu.h. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
#include <sys/mman.h>

#include <pinring/pinring.h>

#include "code.h"
#include "gpu.h"

void gpu_check(const struct gpu *g, cuda_result rc, const char *what)
{
	const char *name, *text;

	if (!rc)
		return;
	if (g->cuda->error_name(rc, &name) || !name)
		name = "an error unknown to this driver";
	if (g->cuda->error_string(rc, &text) || !text)
		text = "no explanation";
	gpu_die("cannot %s: %s (%d, %s)", what, name, rc, text);
}

static void find_functions(struct gpu *g)
{
	static const struct {
		const char *symbol;
		size_t offset;
	} functions[] = {
#define ENTRY(member, symbol, parameters) \
	{ symbol, offsetof(struct bench_cuda, member) },
		BENCH_CUDA_FUNCTIONS(ENTRY)
	};
	/* Open already: pinring_cuda_open() did that. */
	void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	size_t i;

	for (i = 0; library && i < sizeof(functions) / sizeof(functions[0]);
	     i++) {
		void *at = dlsym(library, functions[i].symbol);

		if (!at)
			gpu_die("the CUDA driver is too old: it has no %s",
				functions[i].symbol);
		memcpy((char *)&g->call + functions[i].offset, &at, sizeof(at));
	}
}

void gpu_open(struct gpu *g, const struct gpu_options *o)
{
	const int number = o->gpu;
	int count = 0;

	memset(g, 0, sizeof(*g));
	if (pinring_cuda_open(NULL, &g->cuda))
		gpu_die("%s", pinring_error());
	find_functions(g);
	gpu_check(g, g->cuda->device_count(&count), "count the GPUs");
	if (number >= count)
		gpu_die("there is no GPU %d, only %d", number, count);
	gpu_check(g, g->cuda->device_get(&g->device, number), "find the GPU");
	gpu_check(g, g->cuda->device_name(g->name, sizeof(g->name), g->device),
		  "learn the GPU's name");
	gpu_check(g, g->cuda->device_bus(g->bus, sizeof(g->bus), g->device),
		  "learn where the GPU is");
	g->sms = (unsigned int)gpu_attribute(g, CUDA_ATTRIBUTE_SMS);
	gpu_check(g, g->cuda->context_retain(&g->context, g->device),
		  "make a context on the GPU");
	gpu_check(g, g->cuda->context_push(g->context),
		  "use the GPU's context");
	gpu_check(g, g->cuda->module_load(&g->module, bench_gpu_code),
		  "load the benchmarks' kernels");
	g->stream = gpu_stream(g);
	if (o->cpu >= 0)
		bench_pin(o->cpu);
}

int gpu_attribute(const struct gpu *g, int which)
{
	int value = 0;

	return g->cuda->device_attribute(&value, which, g->device) ? 0 : value;
}

cuda_function gpu_kernel(const struct gpu *g, const char *name)
{
	cuda_function f = NULL;

	gpu_check(g, g->cuda->module_function(&f, g->module, name),
		  "find a kernel of the benchmarks");
	/* Not at its first launch, while something persistent runs. */
	if (g->cuda->function_load)
		gpu_check(g, g->cuda->function_load(f), "load a kernel");
	return f;
}

cuda_address gpu_memory(const struct gpu *g, size_t size)
{
	cuda_address at = 0;

	gpu_check(g, g->cuda->memory_alloc(&at, size), "allocate GPU memory");
	gpu_check(g, g->call.set(at, 0, size, g->stream), "clear GPU memory");
	gpu_synchronize(g);
	return at;
}

void *gpu_pinned(const struct gpu *g, size_t size, cuda_address *there)
{
	const size_t huge = 2u << 20;
	char *at;

	size = (size + huge - 1) & ~(huge - 1);
	at = mmap(NULL, size + huge, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		gpu_die("no memory: %zu bytes", size);
	at += huge - (uintptr_t)at % huge;
	madvise(at, size, MADV_HUGEPAGE);
	/* Pages before they are pinned: small ones would stay so. */
	memset(at, 0, size);
	gpu_check(g,
		  g->cuda->host_register(at, size,
					 CUDA_REGISTER_PORTABLE |
						 CUDA_REGISTER_DEVICEMAP),
		  "register host memory");
	gpu_check(g, g->cuda->host_address(there, at, 0),
		  "map host memory into the GPU");
	return at;
}

cuda_stream gpu_stream(const struct gpu *g)
{
	cuda_stream stream = NULL;

	gpu_check(g,
		  g->cuda->stream_create(&stream, CUDA_STREAM_NON_BLOCKING, 0),
		  "make a stream");
	return stream;
}

void gpu_begin_graph(const struct gpu *g)
{
	gpu_check(g, g->call.capture_begin(g->stream, CUDA_CAPTURE_RELAXED),
		  "capture a graph");
}

cuda_graph_exec gpu_end_graph(const struct gpu *g)
{
	cuda_graph_exec exec = NULL;
	cuda_graph graph = NULL;

	gpu_check(g, g->call.capture_end(g->stream, &graph),
		  "capture a graph");
	gpu_check(g, g->call.graph_instantiate(&exec, graph, 0),
		  "instantiate a graph");
	gpu_check(g, g->call.graph_upload(exec, g->stream), "upload a graph");
	gpu_synchronize(g);
	return exec;
}

void gpu_launch(const struct gpu *g, cuda_function f, unsigned int blocks,
		unsigned int threads, void **parameters)
{
	gpu_check(g,
		  g->call.launch(f, blocks, 1, 1, threads, 1, 1, 0, g->stream,
				 parameters, NULL),
		  "launch a kernel");
}

void gpu_launch_cooperative(const struct gpu *g, cuda_function f,
			    unsigned int blocks, unsigned int threads,
			    void **parameters)
{
	gpu_check(g,
		  g->cuda->launch_cooperative(f, blocks, 1, 1, threads, 1, 1, 0,
					      g->stream, parameters),
		  "launch a cooperative kernel");
}

void gpu_launch_graph(const struct gpu *g, cuda_graph_exec graph)
{
	gpu_check(g, g->call.graph_launch(graph, g->stream), "launch a graph");
}

void gpu_synchronize(const struct gpu *g)
{
	gpu_check(g, g->call.synchronize(g->stream), "wait for the GPU");
}

void gpu_finish(const struct gpu *g, const char *what, unsigned int seconds)
{
	uint64_t deadline = bench_now_ns() + seconds * 1000000000ull;
	cuda_result rc;

	while ((rc = g->cuda->stream_query(g->stream)) == CUDA_NOT_READY) {
		if (bench_now_ns() > deadline)
			gpu_die("%s: the kernel has not ended after %u s", what,
				seconds);
		bench_nap(20);
	}
	gpu_check(g, rc, what);
}
