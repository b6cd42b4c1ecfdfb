// SPDX-License-Identifier: MIT
/*
 * cuda_pages.c - host memory that GPUs reach: registered with the driver, once for all
 * of them.
 *
 * Of registering and giving back, as of allocating, a driver may make whoever asks wait
 * for what runs, and a loop never ends. So both are done as a module is loaded
 * (cuda_relink.c), while all loops on the GPU stand still. If one of them does not, new
 * memory is refused, and what was registered stays so: mapped, for at an address that
 * is mapped anew the driver would find the old registration, and so the old pages.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "../lib/internal.h"
#include "executor_cuda.h"

struct registration {
	struct registration *next;
	void *base;
	uint32_t count;
	struct pinring_gpu *gpu; /* in whose context; a reference is held */
	struct pinring_region *region; /* whose it is; NULL: an executor's table */
	bool ours; /* else the application had registered it before */
	bool busy; /* the driver is asked: who wants it waits */
	bool kept; /* nobody uses it, and it could not be given back */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the list */
static pthread_cond_t settled = PTHREAD_COND_INITIALIZER; /* one is not busy any more */
static struct registration *registrations;

static struct registration *find(const void *base)
{
	struct registration *r = registrations;

	while (r && r->base != base)
		r = r->next;
	return r;
}

static void drop(struct registration *r)
{
	struct registration **at;

	for (at = &registrations; *at != r; at = &(*at)->next)
		;
	*at = r->next;
	free(r);
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

/* Nothing runs. */
static int register_pages(struct registration *r, struct pinring_device *device,
			  size_t size)
{
	cuda_result error;
	int rc = pinring_gpu_enter(r->gpu, device);

	if (rc)
		return rc;
	error = r->gpu->cuda->host_register(r->base, size,
					    CUDA_REGISTER_PORTABLE |
						    CUDA_REGISTER_DEVICEMAP);
	pinring_gpu_leave(r->gpu);
	r->ours = !error;
	return error && error != CUDA_ALREADY_REGISTERED ?
		       fail_register(r->gpu, device, error, size) :
		       0;
}

/* Every call fails in it; and what is registered there goes with it. */
static bool context_died(const struct pinring_gpu *gpu)
{
	cuda_result rc = CUDA_OK;
	unsigned int i;

	for (i = 0; i < PINRING_GPU_LOOPS; i++)
		if (gpu->streams[i] && (!rc || rc == CUDA_NOT_READY))
			rc = gpu->cuda->stream_query(gpu->streams[i]);
	return rc && rc != CUDA_NOT_READY;
}

/* False: it is as it was. */
static bool unregister_pages(struct registration *r,
			     struct pinring_device *device)
{
	struct pinring_gpu *gpu = r->gpu;
	bool gone = !r->ours;

	if (gone)
		return true;
	pthread_mutex_lock(&gpu->lock);
	/* Behind a kernel that died nothing runs either. */
	if (pinring_cuda_stop(gpu, device) != -EBUSY &&
	    pinring_gpu_try_enter(gpu)) {
		gone = !gpu->cuda->host_unregister(r->base) ||
		       context_died(gpu);
		pinring_gpu_leave(gpu);
	}
	pinring_cuda_go_on(gpu, NULL);
	pthread_mutex_unlock(&gpu->lock);
	return gone;
}

/* The lock is held; not meanwhile, for it may take as long as a command does. */
static int add(struct pinring_gpu *gpu, struct pinring_device *device,
	       struct pinring_region *region, void *base, size_t size,
	       struct registration **out)
{
	struct registration *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return pinring_fail(device, -ENOMEM,
				    "no memory to register memory");
	r->base = base;
	r->gpu = gpu;
	r->region = region;
	r->busy = true;
	r->next = registrations;
	registrations = r;
	pthread_mutex_unlock(&lock);
	pthread_mutex_lock(&gpu->lock);
	rc = pinring_cuda_stop(gpu, device);
	if (!rc)
		rc = register_pages(r, device, size);
	pinring_cuda_go_on(gpu, NULL);
	pthread_mutex_unlock(&gpu->lock);
	pthread_mutex_lock(&lock);
	r->busy = false;
	pthread_cond_broadcast(&settled);
	if (rc) {
		drop(r);
		return rc;
	}
	pinring_gpu_share(gpu);
	*out = r;
	return 0;
}

static bool put(struct registration *r, struct pinring_device *device)
{
	struct pinring_gpu *gpu = r->gpu;
	bool gone;

	if (--r->count)
		return true;
	r->busy = true;
	pthread_mutex_unlock(&lock);
	gone = unregister_pages(r, device);
	pthread_mutex_lock(&lock);
	r->busy = false;
	pthread_cond_broadcast(&settled);
	if (gone) {
		drop(r);
		pinring_gpu_put(gpu);
	} else {
		r->kept = true;
		if (r->region)
			pinring_region_get(r->region);
	}
	return gone;
}

static void take(struct registration *r)
{
	r->count++;
	if (r->kept && r->region)
		pinring_region_close(r->region); /* it is the caller's, too */
	r->kept = false;
}

int pinring_cuda_map(struct pinring_gpu *gpu, struct pinring_device *device,
		     struct pinring_region *region, void *base, size_t size,
		     cuda_address *address)
{
	struct registration *r;
	cuda_result error;
	int rc;

	pthread_mutex_lock(&lock);
	while ((r = find(base)) && r->busy)
		pthread_cond_wait(&settled, &lock);
	rc = r ? 0 : add(gpu, device, region, base, size, &r);
	if (rc)
		goto out;
	take(r);
	rc = pinring_gpu_enter(gpu, device);
	if (!rc) {
		error = gpu->cuda->host_address(address, base, 0);
		pinring_gpu_leave(gpu);
		if (error)
			rc = pinring_cuda_fail(device, gpu->cuda, error,
					       "map registered memory into the GPU");
	}
	if (rc)
		(void)put(r, device);
out:
	pthread_mutex_unlock(&lock);
	return rc;
}

bool pinring_cuda_unmap(struct pinring_device *device, void *base)
{
	bool gone;

	pthread_mutex_lock(&lock);
	gone = put(find(base), device);
	pthread_mutex_unlock(&lock);
	return gone;
}
