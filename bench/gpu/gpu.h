/* SPDX-License-Identifier: MIT */
/*
 * gpu.h - a GPU as the benchmarks use it beside the library: launches, copies and
 * graphs are what the executor is compared with.
 *
 * Whatever fails ends the process with a sentence (group.h, gpu_die): each group of
 * rows runs in a process of its own.
 */
#ifndef PINRING_BENCH_GPU_H
#define PINRING_BENCH_GPU_H

#include <stdbool.h>

#include "../../gpu/cuda_bar.h"
#include "../../gpu/cuda_driver.h"
#include "group.h"

typedef struct cuda_event *cuda_event;
typedef struct cuda_graph *cuda_graph;
typedef struct cuda_graph_exec *cuda_graph_exec;

enum {
	CUDA_ATTRIBUTE_CLOCK = 13,
	CUDA_ATTRIBUTE_MEMORY_CLOCK = 36,
	CUDA_ATTRIBUTE_BUS_WIDTH = 37,
	CUDA_ATTRIBUTE_L2_BYTES = 38,
	CUDA_ATTRIBUTE_HOST_ATOMICS = 86,
	CUDA_ATTRIBUTE_PAGEABLE = 88,
	CUDA_ATTRIBUTE_SAME_POINTER = 91,
	CUDA_ATTRIBUTE_RDMA = 116,
	CUDA_ATTRIBUTE_DMABUF = 124,
	CUDA_ATTRIBUTE_HOST_NODE = 134,
};

#define CUDA_CAPTURE_RELAXED 2

/* What the library has no use for; the rest is in pinring_cuda_open()'s table. */
#define BENCH_CUDA_FUNCTIONS(F)                                               \
	F(driver_version, "cuDriverGetVersion", (int *version))               \
	F(launch, "cuLaunchKernel",                                           \
	  (cuda_function f, unsigned int grid_x, unsigned int grid_y,         \
	   unsigned int grid_z, unsigned int block_x, unsigned int block_y,   \
	   unsigned int block_z, unsigned int shared, cuda_stream stream,     \
	   void **parameters, void **extra))                                  \
	F(synchronize, "cuStreamSynchronize", (cuda_stream stream))           \
	F(copy_out, "cuMemcpyDtoHAsync_v2",                                   \
	  (void *to, cuda_address from, size_t size, cuda_stream stream))     \
	F(set, "cuMemsetD8Async",                                             \
	  (cuda_address at, unsigned char value, size_t size,                 \
	   cuda_stream stream))                                               \
	F(event_create, "cuEventCreate",                                      \
	  (cuda_event *event, unsigned int flags))                            \
	F(event_record, "cuEventRecord",                                      \
	  (cuda_event event, cuda_stream stream))                             \
	F(event_elapsed, "cuEventElapsedTime",                                \
	  (float *ms, cuda_event begin, cuda_event end))                      \
	F(capture_begin, "cuStreamBeginCapture_v2",                           \
	  (cuda_stream stream, int mode))                                     \
	F(capture_end, "cuStreamEndCapture",                                  \
	  (cuda_stream stream, cuda_graph *graph))                            \
	F(graph_instantiate, "cuGraphInstantiateWithFlags",                   \
	  (cuda_graph_exec *exec, cuda_graph graph,                           \
	   unsigned long long flags))                                         \
	F(graph_upload, "cuGraphUpload",                                      \
	  (cuda_graph_exec exec, cuda_stream stream))                         \
	F(graph_launch, "cuGraphLaunch",                                      \
	  (cuda_graph_exec exec, cuda_stream stream))

struct bench_cuda {
#define BENCH_CUDA_MEMBER(member, symbol, parameters) \
	cuda_result(*member) parameters;
	BENCH_CUDA_FUNCTIONS(BENCH_CUDA_MEMBER)
#undef BENCH_CUDA_MEMBER
};

struct gpu {
	const struct pinring_cuda *cuda;
	struct bench_cuda call;
	cuda_device device;
	cuda_context context; /* the primary one, current for this thread */
	cuda_module module;
	cuda_stream stream;
	unsigned int sms;
	char name[64], bus[32];
};

/*
 * The driver, context, kernels and a stream. Then the calling thread goes to its CPU:
 * threads that the driver starts before stay off it.
 */
void gpu_open(struct gpu *g, const struct gpu_options *o);
/* 0 where the driver knows no such attribute. */
int gpu_attribute(const struct gpu *g, int which);
void gpu_check(const struct gpu *g, cuda_result rc, const char *what);

/* These before any persistent kernel runs. */
cuda_function gpu_kernel(const struct gpu *g, const char *name);
cuda_address gpu_memory(const struct gpu *g, size_t size); /* zeroed */
/* Huge pages if there are any, zeroed, registered; *there: the GPU's address. */
void *gpu_pinned(const struct gpu *g, size_t size, cuda_address *there);
cuda_stream gpu_stream(const struct gpu *g);
void gpu_begin_graph(const struct gpu *g);
cuda_graph_exec gpu_end_graph(const struct gpu *g);

/* On g->stream. parameters: one pointer each. */
void gpu_launch(const struct gpu *g, cuda_function f, unsigned int blocks,
		unsigned int threads, void **parameters);
void gpu_launch_cooperative(const struct gpu *g, cuda_function f,
			    unsigned int blocks, unsigned int threads,
			    void **parameters);
void gpu_launch_graph(const struct gpu *g, cuda_graph_exec graph);
void gpu_synchronize(const struct gpu *g);
/* gpu_synchronize, but ends the process after so many seconds. */
void gpu_finish(const struct gpu *g, const char *what, unsigned int seconds);

#define GPU_PARAMETERS(...) ((void *[]){ __VA_ARGS__ })

#endif /* PINRING_BENCH_GPU_H */
