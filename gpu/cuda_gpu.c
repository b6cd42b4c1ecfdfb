// SPDX-License-Identifier: MIT
/* cuda_gpu.c - a GPU's context, module and registered memory; see cuda_gpu.h. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "../lib/internal.h"
#include "cuda_gpu.h"
#include "device_code.h"
#include "loop_cuda.h"

/* Host memory is registered once, for all GPUs. */
struct registration {
	struct registration *next;
	void *base;
	uint32_t count;
	struct pinring_gpu *gpu; /* in whose context; a reference is held */
	bool ours; /* else the application had registered it before */
	bool going; /* is being given back: who maps it again waits */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of both lists */
static pthread_cond_t gone = PTHREAD_COND_INITIALIZER; /* a registration is */
static struct pinring_gpu *gpus;
static struct registration *registrations;

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

	if (gpu->context && pinring_gpu_try_enter(gpu)) {
		if (gpu->aside)
			cuda->stream_destroy(gpu->aside);
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

static void put(struct pinring_gpu *gpu)
{
	struct pinring_gpu **at;

	if (--gpu->references)
		return;
	for (at = &gpus; *at != gpu; at = &(*at)->next)
		;
	*at = gpu->next;
	gpu_free(gpu);
}

void pinring_gpu_put(struct pinring_gpu *gpu)
{
	pthread_mutex_lock(&lock);
	put(gpu);
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

static int fail_register(struct pinring_gpu *gpu, struct pinring_device *device,
			 cuda_result error, size_t size)
{
	struct rlimit limit;
	char what[80];

	/* What a driver says when the kernel would not pin the pages. */
	if ((error == CUDA_OUT_OF_MEMORY || error == CUDA_OPERATING_SYSTEM ||
	     error == CUDA_NOT_PERMITTED) &&
	    !getrlimit(RLIMIT_MEMLOCK, &limit) && limit.rlim_cur < size)
		return pinring_fail(device, -ENOMEM,
				    "cannot pin %zu bytes for the GPU (%d): RLIMIT_MEMLOCK is %llu (ulimit -l, or LimitMEMLOCK= of systemd)",
				    size, error,
				    (unsigned long long)limit.rlim_cur);
	snprintf(what, sizeof(what), "register %zu bytes with the GPU", size);
	return pinring_cuda_fail(device, gpu->cuda, error, what);
}

static int register_pages(struct pinring_gpu *gpu,
			  struct pinring_device *device, void *base,
			  size_t size, struct registration **out)
{
	struct registration *r = calloc(1, sizeof(*r));
	cuda_result error;

	if (!r)
		return pinring_fail(device, -ENOMEM,
				    "no memory to register memory");
	error = gpu->cuda->host_register(base, size,
					 CUDA_REGISTER_PORTABLE |
						 CUDA_REGISTER_DEVICEMAP);
	if (error && error != CUDA_ALREADY_REGISTERED) {
		free(r);
		return fail_register(gpu, device, error, size);
	}
	r->base = base;
	r->ours = !error;
	r->gpu = gpu;
	gpu->references++;
	r->next = registrations;
	registrations = r;
	*out = r;
	return 0;
}

static struct registration *find_registration(const void *base)
{
	struct registration *r = registrations;

	while (r && r->base != base)
		r = r->next;
	return r;
}

/*
 * No document says whether the driver waits for the kernels that run before it lets
 * pages go (bench-gpu's hazards measure it), and one of ours runs until its executor is
 * closed. So nobody waits along who needs the lock for anything else; who closes does,
 * until the other executor ends. It could be put off until nothing runs, as modules
 * are, but the pages would have to stay mapped for so long: at an address that is
 * mapped anew the driver finds the old registration, and so the old pages.
 */
static void release_pages(struct registration *r)
{
	struct registration **at;

	r->going = true;
	pthread_mutex_unlock(&lock);
	if (r->ours && pinring_gpu_try_enter(r->gpu)) {
		r->gpu->cuda->host_unregister(r->base);
		pinring_gpu_leave(r->gpu);
	}
	pthread_mutex_lock(&lock);
	for (at = &registrations; *at != r; at = &(*at)->next)
		;
	*at = r->next;
	put(r->gpu);
	free(r);
	pthread_cond_broadcast(&gone);
}

static int map(struct pinring_gpu *gpu, struct pinring_device *device,
	       void *base, size_t size, cuda_address *address)
{
	struct registration *r;
	cuda_result error;
	int rc;

	while ((r = find_registration(base)) && r->going)
		pthread_cond_wait(&gone, &lock);
	if (!r) {
		rc = register_pages(gpu, device, base, size, &r);
		if (rc)
			return rc;
	}
	error = gpu->cuda->host_address(address, base, 0);
	if (!error) {
		r->count++;
		return 0;
	}
	rc = pinring_cuda_fail(device, gpu->cuda, error,
			       "map registered memory into the GPU");
	if (!r->count)
		release_pages(r);
	return rc;
}

int pinring_gpu_map(struct pinring_gpu *gpu, struct pinring_device *device,
		    void *base, size_t size, cuda_address *address)
{
	int rc;

	pthread_mutex_lock(&lock);
	rc = pinring_gpu_enter(gpu, device);
	if (!rc) {
		rc = map(gpu, device, base, size, address);
		pinring_gpu_leave(gpu);
	}
	pthread_mutex_unlock(&lock);
	return rc;
}

void pinring_gpu_unmap(void *base)
{
	struct registration *r;

	pthread_mutex_lock(&lock);
	r = find_registration(base);
	if (!--r->count)
		release_pages(r);
	pthread_mutex_unlock(&lock);
}
