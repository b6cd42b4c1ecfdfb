// SPDX-License-Identifier: MIT
/* cuda_gpu.c - a GPU's context, and its module; see cuda_gpu.h. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "../lib/internal.h"
#include "cuda_gpu.h"
#include "device_code.h"
#include "loop_cuda.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the list */
static struct pinring_gpu *gpus;

bool pinring_gpu_try_enter(struct pinring_gpu *gpu)
{
	return !__atomic_load_n(&gpu->stuck, __ATOMIC_RELAXED) &&
	       !gpu->cuda->context_push(gpu->context);
}

int pinring_gpu_enter(struct pinring_gpu *gpu, struct pinring_device *device)
{
	cuda_result rc;

	if (__atomic_load_n(&gpu->stuck, __ATOMIC_RELAXED))
		return pinring_fail(device, -EIO,
				    "GPU %d: the driver does not come back from loading a kernel, since a command of another one does not end",
				    gpu->number);
	rc = gpu->cuda->context_push(gpu->context);
	if (rc)
		return pinring_cuda_fail(device, gpu->cuda, rc,
					 "use the GPU's context");
	return 0;
}

void pinring_gpu_leave(struct pinring_gpu *gpu)
{
	cuda_context context;

	gpu->cuda->context_pop(&context);
}

int pinring_gpu_attribute(struct pinring_gpu *gpu, int which)
{
	int value = 0;

	return gpu->cuda->device_attribute(&value, which, gpu->device) ? 0 :
									  value;
}

/* -1 where the machine has one node, or the kernel does not know. */
static int node_of_bus(const char *bus)
{
	char path[96], lower[32];
	int node = -1;
	size_t i;
	FILE *f;

	/* The driver writes 0000:C1:00.0, sysfs 0000:c1:00.0. */
	for (i = 0; bus[i] && i < sizeof(lower) - 1; i++)
		lower[i] = bus[i] >= 'A' && bus[i] <= 'F' ?
				   (char)(bus[i] - 'A' + 'a') :
				   bus[i];
	lower[i] = 0;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/numa_node",
		 lower);
	f = fopen(path, "re");
	if (!f)
		return -1;
	if (fscanf(f, "%d", &node) != 1)
		node = -1;
	fclose(f);
	return node;
}

/* What a GPU must be able to do, in words if it cannot. */
static int check_device(struct pinring_gpu *gpu, struct pinring_device *device)
{
	const char *lacks = NULL;

	if (pinring_gpu_attribute(gpu, CUDA_ATTRIBUTE_MAJOR) < 8)
		lacks = "is older than sm_80";
	else if (!pinring_gpu_attribute(gpu, CUDA_ATTRIBUTE_COOPERATIVE_LAUNCH))
		lacks = "has no cooperative launch (under MPS with less than all of its SMs, or a virtual GPU)";
	else if (!pinring_gpu_attribute(gpu, CUDA_ATTRIBUTE_HOST_REGISTER))
		lacks = "cannot register host memory";
	else if (pinring_gpu_attribute(gpu, CUDA_ATTRIBUTE_COMPUTE_MODE) ==
		 CUDA_COMPUTE_MODE_PROHIBITED)
		lacks = "is in compute mode PROHIBITED (nvidia-smi -c 0)";
	else if (pinring_gpu_attribute(gpu, CUDA_ATTRIBUTE_EXEC_TIMEOUT))
		lacks = "drives a display that stops kernels after some seconds";
	if (lacks)
		return pinring_fail(device, -EOPNOTSUPP, "GPU %d (%s) %s",
				    gpu->number, gpu->name, lacks);
	return 0;
}

/*
 * A module that is loaded lazily comes with its first launch, which a kernel that
 * runs would block: now, or not at all.
 */
static cuda_result load_now(struct pinring_gpu *gpu,
			    struct pinring_device *device, cuda_function loop,
			    int *rc)
{
	const struct pinring_cuda *cuda = gpu->cuda;
	int mode = 0;

	if (cuda->function_load)
		return cuda->function_load(loop);
	if (cuda->loading_mode && !cuda->loading_mode(&mode) &&
	    mode == CUDA_LOADING_LAZY)
		*rc = pinring_fail(device, -EOPNOTSUPP,
				   "this driver loads kernels lazily, which a persistent one does not survive: set CUDA_MODULE_LOADING=EAGER before the program starts");
	return CUDA_OK;
}

/* What it takes of an SM. */
static cuda_result measure(struct pinring_gpu *gpu, struct pinring_code *code)
{
	const struct pinring_cuda *cuda = gpu->cuda;
	int threads = 0;
	const struct {
		int which;
		int *value;
	} wanted[] = {
		{ CUDA_FUNCTION_REGISTERS, &code->registers },
		{ CUDA_FUNCTION_LOCAL, &code->local },
		{ CUDA_FUNCTION_SHARED, &code->shared },
		{ CUDA_FUNCTION_MAX_THREADS, &threads },
	};
	cuda_result error = CUDA_OK;
	size_t i;

	for (i = 0; !error && i < sizeof(wanted) / sizeof(wanted[0]); i++)
		error = cuda->function_attribute(wanted[i].value,
						 wanted[i].which, code->loop);
	code->threads = threads < PINRING_BLOCK_THREADS ?
				(unsigned int)threads & ~31u :
				PINRING_BLOCK_THREADS;
	return error ? error :
		       cuda->occupancy(&code->blocks, code->loop,
				       (int)code->threads, 0);
}

int pinring_gpu_load(struct pinring_gpu *gpu, struct pinring_device *device,
		     const void *image, struct pinring_code *code)
{
	const struct pinring_cuda *cuda = gpu->cuda;
	cuda_result error;
	int rc = 0;

	error = cuda->module_load(&code->module, image);
	if (error) {
		code->module = NULL;
		if (error == CUDA_NO_BINARY_FOR_GPU)
			return pinring_fail(device, -EOPNOTSUPP,
					    "libpinring %s holds no code for GPU %d (%s, %s)",
					    pinring_version(), gpu->number,
					    gpu->name, gpu->arch);
		goto fail;
	}
	error = cuda->module_function(&code->loop, code->module,
				      "pinring_loop_cuda");
	if (!error)
		error = load_now(gpu, device, code->loop, &rc);
	if (!error && !rc)
		error = measure(gpu, code);
	if (!error && !rc && (code->blocks < 1 || !code->threads))
		rc = pinring_fail(device, -EOPNOTSUPP,
				  "no block of the loop fits an SM of GPU %d (%s)",
				  gpu->number, gpu->name);
	if (!error && !rc)
		return 0;
	cuda->module_unload(code->module);
	code->module = NULL;
	if (rc)
		return rc;
fail:
	return pinring_cuda_fail(device, cuda, error, "load the loop into the GPU");
}

static int load(struct pinring_gpu *gpu, struct pinring_device *device)
{
	const struct pinring_cuda *cuda = gpu->cuda;
	cuda_result error;
	int rc = pinring_gpu_load(gpu, device, pinring_device_code, &gpu->code);

	if (rc)
		return rc;
	/* One a SM: more would share its memory path and gain nothing. */
	gpu->blocks = (unsigned int)pinring_gpu_attribute(gpu, CUDA_ATTRIBUTE_SMS);
	gpu->room = gpu->blocks * (unsigned int)gpu->code.blocks;
	error = cuda->memory_alloc(&gpu->loops,
				   PINRING_GPU_LOOPS *
					   sizeof(struct pinring_loop_cuda));
	if (error)
		return pinring_cuda_fail(device, cuda, error,
					 "take memory for executors on the GPU");
	pinring_bar_open(cuda, PINRING_GPU_LOOPS * PINRING_BAR_RING_BYTES,
			 &gpu->bar);
	return 0;
}

void pinring_gpu_free_stale(struct pinring_gpu *gpu)
{
	struct pinring_gpu_memory *memory;
	struct pinring_code *code;

	while ((memory = gpu->unused)) {
		gpu->unused = memory->next;
		gpu->cuda->memory_free(memory->at);
		free(memory);
	}
	while ((code = gpu->stale)) {
		gpu->stale = code->next;
		gpu->cuda->module_unload(code->module);
		free(code);
	}
}

static void gpu_free(struct pinring_gpu *gpu)
{
	const struct pinring_cuda *cuda = gpu->cuda;
	unsigned int i;

	if (gpu->context && pinring_gpu_try_enter(gpu)) {
		if (gpu->aside)
			cuda->stream_destroy(gpu->aside);
		for (i = 0; i < PINRING_GPU_LOOPS; i++)
			if (gpu->streams[i])
				cuda->stream_destroy(gpu->streams[i]);
		pinring_bar_close(cuda, &gpu->bar);
		if (gpu->loops)
			cuda->memory_free(gpu->loops);
		if (gpu->code.module)
			cuda->module_unload(gpu->code.module);
		pinring_gpu_free_stale(gpu);
		pinring_gpu_leave(gpu);
	}
	if (gpu->context)
		cuda->context_release(gpu->device);
	pthread_mutex_destroy(&gpu->lock);
	free(gpu);
}

static int gpu_open(struct pinring_device *device,
		    const struct pinring_cuda *cuda, int number,
		    struct pinring_gpu **out)
{
	struct pinring_gpu *gpu;
	char bus[32] = "";
	cuda_result error;
	int rc, count = 0;

	error = cuda->device_count(&count);
	if (!error && number >= count)
		return pinring_fail(device, -ENODEV,
				    "gpu: there is no GPU %d, only %d", number,
				    count);
	gpu = calloc(1, sizeof(*gpu));
	if (!gpu)
		return pinring_fail(device, -ENOMEM, "no memory for a GPU");
	pthread_mutex_init(&gpu->lock, NULL);
	gpu->cuda = cuda;
	gpu->number = number;
	if (!error)
		error = cuda->device_get(&gpu->device, number);
	if (!error)
		error = cuda->device_name(gpu->name, sizeof(gpu->name),
					  gpu->device);
	if (!error)
		error = cuda->device_bus(bus, sizeof(bus), gpu->device);
	if (error) {
		rc = pinring_cuda_fail(device, cuda, error, "find the GPU");
		goto fail;
	}
	gpu->node = node_of_bus(bus);
	gpu->capability =
		(uint32_t)(pinring_gpu_attribute(gpu, CUDA_ATTRIBUTE_MAJOR) * 10 +
			   pinring_gpu_attribute(gpu, CUDA_ATTRIBUTE_MINOR));
	snprintf(gpu->arch, sizeof(gpu->arch), "sm_%u", gpu->capability);
	rc = check_device(gpu, device);
	if (rc)
		goto fail;
	error = cuda->context_retain(&gpu->context, gpu->device);
	if (error) {
		gpu->context = NULL;
		rc = error == CUDA_DEVICE_UNAVAILABLE ?
			     pinring_fail(device, -EBUSY,
					  "GPU %d (%s) is in compute mode EXCLUSIVE_PROCESS, and another process has it (nvidia-smi -c 0)",
					  number, gpu->name) :
			     pinring_cuda_fail(device, cuda, error,
					       "make a context on the GPU");
		goto fail;
	}
	rc = pinring_gpu_enter(gpu, device);
	if (!rc) {
		rc = load(gpu, device);
		pinring_gpu_leave(gpu);
	}
	if (rc)
		goto fail;
	*out = gpu;
	return 0;
fail:
	gpu_free(gpu);
	return rc;
}

int pinring_gpu_get(struct pinring_device *device, int number,
		    struct pinring_gpu **out)
{
	const struct pinring_cuda *cuda;
	struct pinring_gpu *gpu;
	int rc;

	*out = NULL;
	if (!pinring_device_code_size)
		return pinring_fail(device, -EOPNOTSUPP,
				    "libpinring %s was built without nvcc, so it has no code for a GPU",
				    pinring_version());
	/* Also of a GPU that is open: not in a child of fork. */
	rc = pinring_cuda_open(device, &cuda);
	if (rc)
		return rc;
	pthread_mutex_lock(&lock);
	for (gpu = gpus; gpu && gpu->number != number; gpu = gpu->next)
		;
	if (!gpu) {
		rc = gpu_open(device, cuda, number, &gpu);
		if (!rc) {
			gpu->next = gpus;
			gpus = gpu;
		}
	}
	if (!rc) {
		gpu->references++;
		*out = gpu;
	}
	pthread_mutex_unlock(&lock);
	return rc;
}

struct pinring_gpu *pinring_gpu_share(struct pinring_gpu *gpu)
{
	pthread_mutex_lock(&lock);
	gpu->references++;
	pthread_mutex_unlock(&lock);
	return gpu;
}

void pinring_gpu_put(struct pinring_gpu *gpu)
{
	struct pinring_gpu **at;

	pthread_mutex_lock(&lock);
	if (!--gpu->references) {
		for (at = &gpus; *at != gpu; at = &(*at)->next)
			;
		*at = gpu->next;
		gpu_free(gpu);
	}
	pthread_mutex_unlock(&lock);
}

int pinring_gpu_take_loop(struct pinring_gpu *gpu, struct pinring_executor *ex,
			  uint32_t *number)
{
	uint32_t i;

	pthread_mutex_lock(&gpu->lock);
	for (i = 0; i < PINRING_GPU_LOOPS && gpu->executors[i]; i++)
		;
	if (i < PINRING_GPU_LOOPS)
		gpu->executors[i] = ex;
	pthread_mutex_unlock(&gpu->lock);
	if (i == PINRING_GPU_LOOPS)
		return pinring_fail(ex->device, -EBUSY,
				    "GPU %d runs %d executors of this process already",
				    gpu->number, PINRING_GPU_LOOPS);
	*number = i;
	return 0;
}

int pinring_gpu_hold(struct pinring_gpu *gpu, struct pinring_device *device,
		     uint32_t blocks)
{
	uint32_t left;

	pthread_mutex_lock(&lock);
	left = gpu->room - gpu->held;
	if (blocks <= left)
		gpu->held += blocks;
	pthread_mutex_unlock(&lock);
	if (blocks <= left)
		return 0;
	return pinring_fail(device, -EBUSY,
			    "threads: beside the other executors of this process GPU %d has room for %u more blocks, not for %u",
			    gpu->number, left, blocks);
}

void pinring_gpu_release(struct pinring_gpu *gpu, uint32_t blocks)
{
	pthread_mutex_lock(&lock);
	gpu->held -= blocks;
	pthread_mutex_unlock(&lock);
}
