// SPDX-License-Identifier: MIT
/*
 * bench_libcuda.c - a libcuda.so.1 on which make bench-gpu can be tried: streams,
 * launches, copies, events and graphs, with a GPU of three SMs made of the host.
 *
 * fake_libcuda.c is strict about all that the executor asks of a driver. This one
 * launches any kernel of bench/gpu, in the order of its stream and behind the caller's
 * back, and refuses what it knows to hang beside a persistent loop on a real one.
 * BENCH_LIBCUDA_HANG=NAME: this kernel never ends; "all": none does.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../../bench/gpu/gpu.h"
#include "bench_kernels.h"
#include "simt.h"

#define API __attribute__((visibility("default")))
#define SMS 3
#define RESIDENT 2 /* blocks an SM */
#define LOOP_THREADS 64
#define INVALID_VALUE 1
#define NOT_FOUND 500

struct operation {
	struct operation *next;
	enum { LAUNCH, COPY, SET, EVENT } what;
	struct cuda_function *f;
	unsigned int blocks, threads;
	void *parameters[8];
	char values[512];
	void *to;
	const void *from;
	size_t size;
	int value;
	struct cuda_event *event;
};

struct cuda_event {
	struct timespec when;
};

struct cuda_graph {
	struct operation *first, **last;
};

struct cuda_stream {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t worker;
	struct operation *first, **last; /* the first one is being done */
	struct cuda_graph *capture;
	bool ends;
};

static int persistent; /* loops that run; atomic */

static _Noreturn void refuse(const char *what)
{
	fprintf(stderr, "bench_libcuda: %s while a persistent loop runs: a real driver may hang\n",
		what);
	abort();
}

static void beside_loop(const char *what)
{
	if (__atomic_load_n(&persistent, __ATOMIC_ACQUIRE))
		refuse(what);
}

/* --------------------------------------------------------------------- streams */
static void launch(struct operation *o)
{
	const char *hang = getenv("BENCH_LIBCUDA_HANG");
	struct simt_grid *grid;
	unsigned int b, t;

	while (hang && (!strcmp(hang, o->f->name) || !strcmp(hang, "all")))
		sleep(1);
	if (o->f->meets) {
		grid = simt_launch(o->f->run, o->parameters, o->blocks,
				   o->threads);
		if (!grid)
			abort();
		simt_join(grid);
	} else {
		blockDim.x = o->threads;
		gridDim.x = o->blocks;
		for (b = 0; b < o->blocks; b++) {
			for (t = 0; t < o->threads; t++) {
				blockIdx.x = b;
				threadIdx.x = t;
				o->f->run(o->parameters);
			}
		}
	}
	if (o->f->persistent)
		__atomic_sub_fetch(&persistent, 1, __ATOMIC_RELEASE);
}

static void carry_out(struct operation *o)
{
	switch (o->what) {
	case LAUNCH:
		launch(o);
		break;
	case COPY:
		memcpy(o->to, o->from, o->size);
		break;
	case SET:
		memset(o->to, o->value, o->size);
		break;
	case EVENT:
		clock_gettime(CLOCK_MONOTONIC, &o->event->when);
		break;
	}
}

static void *work(void *arg)
{
	struct cuda_stream *s = arg;
	cpu_set_t all;

	/* A GPU is not bound to the CPU of whoever calls it. */
	memset(&all, 0xff, sizeof(all));
	sched_setaffinity(0, sizeof(all), &all);
	pthread_mutex_lock(&s->lock);
	while (!s->ends || s->first) {
		struct operation *o = s->first;

		if (!o) {
			pthread_cond_wait(&s->changed, &s->lock);
			continue;
		}
		pthread_mutex_unlock(&s->lock);
		carry_out(o);
		pthread_mutex_lock(&s->lock);
		s->first = o->next;
		if (!s->first)
			s->last = &s->first;
		free(o);
		pthread_cond_broadcast(&s->changed);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static void append(struct cuda_stream *s, struct operation *o)
{
	if (s->capture) {
		*s->capture->last = o;
		s->capture->last = &o->next;
		return;
	}
	pthread_mutex_lock(&s->lock);
	*s->last = o;
	s->last = &o->next;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static struct operation *copy_of(const struct operation *o)
{
	struct operation *copy = malloc(sizeof(*copy));
	size_t i;

	*copy = *o;
	copy->next = NULL;
	for (i = 0; o->f && i < o->f->count; i++)
		copy->parameters[i] =
			copy->values + ((char *)o->parameters[i] - o->values);
	return copy;
}

API cuda_result cuStreamCreateWithPriority(cuda_stream *stream,
					   unsigned int flags, int priority)
{
	struct cuda_stream *s = calloc(1, sizeof(*s));

	(void)priority;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	s->last = &s->first;
	*stream = s;
	return flags != CUDA_STREAM_NON_BLOCKING ||
			       pthread_create(&s->worker, NULL, work, s) ?
		       INVALID_VALUE :
		       CUDA_OK;
}

API cuda_result cuStreamDestroy_v2(cuda_stream s)
{
	pthread_mutex_lock(&s->lock);
	s->ends = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->worker, NULL);
	free(s);
	return CUDA_OK;
}

API cuda_result cuStreamQuery(cuda_stream s)
{
	bool busy;

	pthread_mutex_lock(&s->lock);
	busy = s->first;
	pthread_mutex_unlock(&s->lock);
	return busy ? CUDA_NOT_READY : CUDA_OK;
}

API cuda_result cuStreamSynchronize(cuda_stream s)
{
	pthread_mutex_lock(&s->lock);
	while (s->first)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
	return CUDA_OK;
}

/* -------------------------------------------------------------------- launches */
static cuda_result queue(cuda_function f, unsigned int blocks,
			 unsigned int threads, cuda_stream stream,
			 void **parameters)
{
	struct operation *o = calloc(1, sizeof(*o));
	size_t i, used = 0;

	if (!f || !stream || !blocks || !threads || threads > 1024)
		return INVALID_VALUE;
	o->what = LAUNCH;
	o->f = f;
	o->blocks = blocks;
	o->threads = threads;
	for (i = 0; i < f->count; i++) {
		used = (used + 15) & ~15ul;
		if (used + f->sizes[i] > sizeof(o->values))
			abort();
		o->parameters[i] = o->values + used;
		memcpy(o->parameters[i], parameters[i], f->sizes[i]);
		used += f->sizes[i];
	}
	if (f->persistent)
		__atomic_add_fetch(&persistent, 1, __ATOMIC_RELEASE);
	append(stream, o);
	return CUDA_OK;
}

API cuda_result cuLaunchKernel(cuda_function f, unsigned int grid_x,
			       unsigned int grid_y, unsigned int grid_z,
			       unsigned int block_x, unsigned int block_y,
			       unsigned int block_z, unsigned int shared,
			       cuda_stream stream, void **parameters,
			       void **extra)
{
	if (grid_y != 1 || grid_z != 1 || block_y != 1 || block_z != 1 ||
	    shared || extra)
		return INVALID_VALUE;
	return queue(f, grid_x, block_x, stream, parameters);
}

API cuda_result cuLaunchCooperativeKernel(
	cuda_function f, unsigned int grid_x, unsigned int grid_y,
	unsigned int grid_z, unsigned int block_x, unsigned int block_y,
	unsigned int block_z, unsigned int shared, cuda_stream stream,
	void **parameters)
{
	if (grid_x > SMS * RESIDENT)
		return CUDA_LAUNCH_TOO_LARGE;
	return cuLaunchKernel(f, grid_x, grid_y, grid_z, block_x, block_y,
			      block_z, shared, stream, parameters, NULL);
}

static cuda_result move(void *to, const void *from, size_t size,
			cuda_stream stream)
{
	struct operation *o = calloc(1, sizeof(*o));

	o->what = COPY;
	o->to = to;
	o->from = from;
	o->size = size;
	append(stream, o);
	return CUDA_OK;
}

API cuda_result cuMemcpyHtoDAsync_v2(cuda_address to, const void *from,
				     size_t size, cuda_stream stream)
{
	return move((void *)(uintptr_t)to, from, size, stream);
}

API cuda_result cuMemcpyDtoHAsync_v2(void *to, cuda_address from, size_t size,
				     cuda_stream stream)
{
	return move(to, (const void *)(uintptr_t)from, size, stream);
}

API cuda_result cuMemsetD8Async(cuda_address at, unsigned char value,
				size_t size, cuda_stream stream)
{
	struct operation *o = calloc(1, sizeof(*o));

	o->what = SET;
	o->to = (void *)(uintptr_t)at;
	o->value = value;
	o->size = size;
	append(stream, o);
	return CUDA_OK;
}

API cuda_result cuEventCreate(cuda_event *event, unsigned int flags)
{
	(void)flags;
	*event = calloc(1, sizeof(**event));
	return CUDA_OK;
}

API cuda_result cuEventRecord(cuda_event event, cuda_stream stream)
{
	struct operation *o = calloc(1, sizeof(*o));

	o->what = EVENT;
	o->event = event;
	append(stream, o);
	return CUDA_OK;
}

API cuda_result cuEventElapsedTime(float *ms, cuda_event begin, cuda_event end)
{
	*ms = (float)(end->when.tv_sec - begin->when.tv_sec) * 1e3f +
	      (float)(end->when.tv_nsec - begin->when.tv_nsec) * 1e-6f;
	return CUDA_OK;
}

/* ---------------------------------------------------------------------- graphs */
API cuda_result cuStreamBeginCapture_v2(cuda_stream s, int mode)
{
	struct cuda_graph *graph = calloc(1, sizeof(*graph));

	(void)mode;
	graph->last = &graph->first;
	s->capture = graph;
	return CUDA_OK;
}

API cuda_result cuStreamEndCapture(cuda_stream s, cuda_graph *graph)
{
	*graph = s->capture;
	s->capture = NULL;
	return *graph ? CUDA_OK : INVALID_VALUE;
}

API cuda_result cuGraphInstantiateWithFlags(cuda_graph_exec *exec,
					    cuda_graph graph,
					    unsigned long long flags)
{
	beside_loop("a graph");
	*exec = (cuda_graph_exec)graph;
	return flags ? INVALID_VALUE : CUDA_OK;
}

API cuda_result cuGraphUpload(cuda_graph_exec exec, cuda_stream stream)
{
	return exec && stream ? CUDA_OK : INVALID_VALUE;
}

API cuda_result cuGraphLaunch(cuda_graph_exec exec, cuda_stream stream)
{
	const struct operation *o;

	for (o = ((cuda_graph)exec)->first; o; o = o->next)
		append(stream, copy_of(o));
	return CUDA_OK;
}

/* --------------------------------------------------------------- all the others */
API cuda_result cuInit(unsigned int flags)
{
	return flags ? INVALID_VALUE : CUDA_OK;
}

API cuda_result cuDriverGetVersion(int *version)
{
	*version = 13000;
	return CUDA_OK;
}

API cuda_result cuGetErrorName(cuda_result rc, const char **name)
{
	*name = rc ? "FAKE_ERROR" : "FAKE_SUCCESS";
	return CUDA_OK;
}

API cuda_result cuGetErrorString(cuda_result rc, const char **text)
{
	(void)rc;
	*text = "the driver made of the host says so";
	return CUDA_OK;
}

API cuda_result cuDeviceGetCount(int *count)
{
	*count = 1;
	return CUDA_OK;
}

API cuda_result cuDeviceGet(cuda_device *device, int number)
{
	*device = number;
	return number ? CUDA_INVALID_DEVICE : CUDA_OK;
}

API cuda_result cuDeviceGetName(char *name, int size, cuda_device device)
{
	(void)device;
	snprintf(name, (size_t)size, "Made of the Host");
	return CUDA_OK;
}

API cuda_result cuDeviceGetAttribute(int *value, int which, cuda_device device)
{
	(void)device;
	switch (which) {
	case CUDA_ATTRIBUTE_SMS:
		*value = SMS;
		break;
	case CUDA_ATTRIBUTE_MAJOR:
		*value = 9;
		break;
	case CUDA_ATTRIBUTE_COOPERATIVE_LAUNCH:
	case CUDA_ATTRIBUTE_HOST_REGISTER:
		*value = 1;
		break;
	default:
		*value = 0;
		break;
	}
	return CUDA_OK;
}

API cuda_result cuDeviceGetPCIBusId(char *name, int size, cuda_device device)
{
	(void)device;
	snprintf(name, (size_t)size, "FA00:00:00.0");
	return CUDA_OK;
}

API cuda_result cuDevicePrimaryCtxRetain(cuda_context *context,
					 cuda_device device)
{
	(void)device;
	*context = (cuda_context)&persistent;
	return CUDA_OK;
}

API cuda_result cuDevicePrimaryCtxRelease_v2(cuda_device device)
{
	return device ? CUDA_INVALID_DEVICE : CUDA_OK;
}

API cuda_result cuCtxPushCurrent_v2(cuda_context context)
{
	return context ? CUDA_OK : INVALID_VALUE;
}

API cuda_result cuCtxPopCurrent_v2(cuda_context *context)
{
	*context = (cuda_context)&persistent;
	return CUDA_OK;
}

API cuda_result cuModuleLoadData(cuda_module *module, const void *image)
{
	beside_loop("a module is loaded");
	if (!image)
		return INVALID_VALUE;
	/* What nvJitLink made is for a GPU, and for no other; ours come as fatbins. */
	if (!memcmp(image, "\177ELF", 4))
		return CUDA_NOT_SUPPORTED;
	*module = (cuda_module)&persistent;
	return CUDA_OK;
}

API cuda_result cuModuleUnload(cuda_module module)
{
	beside_loop("a module is unloaded");
	return module ? CUDA_OK : INVALID_VALUE;
}

API cuda_result cuModuleGetGlobal_v2(cuda_address *at, size_t *bytes, cuda_module module,
				     const char *name)
{
	(void)at;
	(void)bytes;
	(void)module;
	(void)name;
	return 500; /* no benchmark asks */
}

API cuda_result cuModuleGetFunction(cuda_function *f, cuda_module module,
				    const char *name)
{
	size_t i;

	(void)module;
	for (i = 0; i < bench_kernels_count; i++) {
		if (!strcmp(bench_kernels[i].name, name)) {
			*f = &bench_kernels[i];
			return CUDA_OK;
		}
	}
	return NOT_FOUND;
}

API cuda_result cuFuncLoad(cuda_function f)
{
	beside_loop("a kernel is loaded");
	return f ? CUDA_OK : INVALID_VALUE;
}

API cuda_result cuFuncGetAttribute(int *value, int which, cuda_function f)
{
	switch (which) {
	case CUDA_FUNCTION_MAX_THREADS:
		*value = f->persistent ? LOOP_THREADS : 1024;
		return CUDA_OK;
	case CUDA_FUNCTION_REGISTERS:
	case CUDA_FUNCTION_SHARED:
	case CUDA_FUNCTION_LOCAL:
		*value = 0; /* the host's are not counted */
		return CUDA_OK;
	default:
		return INVALID_VALUE;
	}
}

API cuda_result cuOccupancyMaxActiveBlocksPerMultiprocessor(
	int *blocks, cuda_function f, int threads, size_t shared)
{
	*blocks = RESIDENT;
	return f && threads > 0 && !shared ? CUDA_OK : INVALID_VALUE;
}

API cuda_result cuMemAlloc_v2(cuda_address *to, size_t size)
{
	void *at;

	beside_loop("memory is allocated");
	at = mmap(NULL, size + 4096, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		return CUDA_OUT_OF_MEMORY;
	*(size_t *)at = size + 4096;
	*to = (cuda_address)(uintptr_t)at + 4096;
	return CUDA_OK;
}

API cuda_result cuMemFree_v2(cuda_address at)
{
	size_t *begin = (size_t *)(uintptr_t)(at - 4096);

	beside_loop("memory is freed");
	return munmap(begin, *begin) ? INVALID_VALUE : CUDA_OK;
}

/* Of where an allocation begins, as all that is asked about here does. */
API cuda_result cuMemGetAddressRange_v2(cuda_address *base, size_t *size,
					cuda_address at)
{
	*base = at;
	*size = *(size_t *)(uintptr_t)(at - 4096) - 4096;
	return CUDA_OK;
}

API cuda_result cuPointerGetAttributes(unsigned int count, int *which,
				       void **values, cuda_address at)
{
	unsigned int i;

	(void)at;
	/* The rest is 0 already: GPU 0, and no context in particular. */
	for (i = 0; i < count; i++) {
		if (which[i] == CUDA_POINTER_MEMORY)
			*(unsigned int *)values[i] = CUDA_MEMORY_DEVICE;
	}
	return CUDA_OK;
}

API cuda_result cuMemHostRegister_v2(void *base, size_t size,
				     unsigned int flags)
{
	return (uintptr_t)base % 4096 || !size ||
			       flags != (CUDA_REGISTER_PORTABLE |
					 CUDA_REGISTER_DEVICEMAP) ?
		       INVALID_VALUE :
		       CUDA_OK;
}

API cuda_result cuMemHostUnregister(void *base)
{
	return base ? CUDA_OK : INVALID_VALUE;
}

API cuda_result cuMemHostGetDevicePointer_v2(cuda_address *to, void *base,
					     unsigned int flags)
{
	*to = (cuda_address)(uintptr_t)base;
	return flags ? INVALID_VALUE : CUDA_OK;
}
