// SPDX-License-Identifier: MIT
/*
 * cuda_memory.c - a GPU's own memory for commands: the caller's, or made here.
 *
 * Allocating and freeing it the driver waits for what runs, and a loop never ends. So
 * it is done as a module is loaded (cuda_relink.c): allocated while all loops on the
 * GPU stand still, and freed the next time that is so, or when none runs any more.
 */
#include <stdlib.h>
#include <unistd.h>

#include "executor_cuda.h"

#define CLEAR_NS 10000000000

/* What the driver knows of an address. */
struct place {
	cuda_context context; /* NULL: of a pool, or mapped by its user */
	unsigned int memory, managed;
	int gpu;
	cuda_address base; /* of the allocation */
	size_t size;
};

static int find_place(struct pinring_executor *ex, cuda_address at,
		      struct place *p)
{
	int which[] = { CUDA_POINTER_CONTEXT, CUDA_POINTER_MEMORY,
			CUDA_POINTER_MANAGED, CUDA_POINTER_GPU };
	void *values[] = { &p->context, &p->memory, &p->managed, &p->gpu };
	const struct cuda *c = ex->loop;
	const struct pinring_cuda *cuda = c->gpu->cuda;
	cuda_result error;
	int rc;

	*p = (struct place){ 0 };
	rc = pinring_gpu_enter(c->gpu, ex->device);
	if (rc)
		return rc;
	error = cuda->pointer_attributes(sizeof(which) / sizeof(which[0]),
					 which, values, at);
	if (!error && p->memory == CUDA_MEMORY_DEVICE && !p->managed)
		error = cuda->memory_range(&p->base, &p->size, at);
	pinring_gpu_leave(c->gpu);
	if (error)
		return pinring_cuda_fail(ex->device, cuda, error,
					 "learn what memory that is");
	return 0;
}

/* Why its loop could not address it, or NULL. */
static const char *why_not(const struct pinring_gpu *gpu, const struct place *p)
{
	/* First: of these the driver says that they are the host's, or the GPU's. */
	if (p->managed)
		return "is managed memory, which would move under the loop: cudaMalloc() gives what stays";
	if (p->memory == CUDA_MEMORY_HOST)
		return "is host memory: put it into a region";
	if (p->memory != CUDA_MEMORY_DEVICE)
		return "is no memory that the CUDA driver knows, or was freed";
	if (p->gpu != gpu->number)
		return "lies on another GPU";
	if (p->context && p->context != gpu->context)
		return "belongs to another context than the primary one";
	return NULL;
}

int pinring_cuda_reach(struct pinring_executor *ex, void *address,
		       uint64_t bytes)
{
	const cuda_address at = (cuda_address)(uintptr_t)address;
	const struct cuda *c = ex->loop;
	struct place p;
	const char *why;
	int rc = find_place(ex, at, &p);

	if (rc)
		return rc;
	why = why_not(c->gpu, &p);
	if (why)
		return pinring_fail(ex->device, -EINVAL,
				    "address: for an executor on GPU %d: %p %s",
				    c->gpu->number, address, why);
	if (at < p.base || at - p.base > p.size ||
	    bytes > p.size - (at - p.base))
		return pinring_fail(ex->device, -EINVAL,
				    "bytes: %llu from %p on are more than its allocation has, of %zu bytes at %#llx",
				    (unsigned long long)bytes, address, p.size,
				    (unsigned long long)p.base);
	return 0;
}

/*
 * Until it is done: behind loops that fill the GPU it would wait for ever, and this
 * one's next launch behind it.
 */
static int clear(struct pinring_executor *ex, cuda_address at, uint64_t bytes)
{
	const int64_t deadline = pinring_deadline(CLEAR_NS);
	const struct cuda *c = ex->loop;
	const struct pinring_cuda *cuda = c->gpu->cuda;
	cuda_result error = cuda->memory_set(at, 0, bytes, c->stream);

	if (!error)
		error = cuda->stream_query(c->stream);
	while (error == CUDA_NOT_READY) {
		if (pinring_now() >= deadline)
			return pinring_fail(ex->device, -EBUSY,
					    "GPU %d did not clear %llu bytes within 10 s: other kernels fill it",
					    c->gpu->number,
					    (unsigned long long)bytes);
		pinring_cuda_nap();
		error = cuda->stream_query(c->stream);
	}
	return error ? pinring_cuda_fail(ex->device, cuda, error,
					 "clear memory of the GPU") :
		       0;
}

/* Nothing runs. */
static int take(struct pinring_executor *ex, uint64_t bytes, cuda_address *at)
{
	const struct cuda *c = ex->loop;
	cuda_result error;
	int rc = pinring_gpu_enter(c->gpu, ex->device);

	if (rc)
		return rc;
	pinring_gpu_free_stale(c->gpu);
	error = c->gpu->cuda->memory_alloc(at, bytes);
	if (error)
		*at = 0;
	rc = error ? pinring_cuda_fail(ex->device, c->gpu->cuda, error,
				       "take so much of the GPU's memory") :
		     clear(ex, *at, bytes);
	pinring_gpu_leave(c->gpu);
	return rc;
}

int pinring_cuda_allocate(struct pinring_executor *ex, uint64_t bytes,
			  struct pinring_memory *memory,
			  struct pinring_attached *attached)
{
	struct pinring_gpu_memory *own = calloc(1, sizeof(*own));
	const struct cuda *c = ex->loop;
	int rc;

	if (!own)
		return pinring_fail(ex->device, -ENOMEM,
				    "no memory for memory of a GPU");
	pthread_mutex_lock(&c->gpu->lock);
	rc = pinring_cuda_stop(c->gpu, ex->device);
	if (!rc)
		rc = take(ex, bytes, &own->at);
	pinring_cuda_go_on(c->gpu, NULL);
	pthread_mutex_unlock(&c->gpu->lock);
	if (!rc) {
		memory->base = (char *)(uintptr_t)own->at;
		attached->own = own;
	} else if (own->at) {
		pinring_cuda_release(ex, own);
	} else {
		free(own);
	}
	return rc;
}

void pinring_cuda_release(struct pinring_executor *ex, void *own)
{
	struct pinring_gpu_memory *memory = own;
	const struct cuda *c = ex->loop;

	/* A child of fork has nothing there. */
	if (ex->pid != getpid()) {
		free(memory);
		return;
	}
	pthread_mutex_lock(&c->gpu->lock);
	memory->next = c->gpu->unused;
	c->gpu->unused = memory;
	pthread_mutex_unlock(&c->gpu->lock);
}
