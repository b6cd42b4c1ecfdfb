// SPDX-License-Identifier: MIT
/*
 * memory.c - what a driver says of memory: that of the program's own is attached, and
 * commands and copies of the driver's find in it what the other wrote; whatever else
 * there is is refused in words.
 *
 * The calls that fake drivers do not have are left out there.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinring/pinring.h>

#include "../../gpu/cuda_driver.h"

#define SECOND 1000000000ll
#define FLOATS 100000u
#define BYTES (FLOATS * sizeof(float))
#define MANAGED_GLOBAL 1 /* CU_MEM_ATTACH_GLOBAL */

static struct pinring_cuda cuda;
static struct {
	cuda_result (*managed)(cuda_address *to, size_t size, unsigned int flags);
	cuda_result (*host)(void **to, size_t size, unsigned int flags);
	cuda_result (*pool)(cuda_address *to, size_t size, cuda_stream stream);
	cuda_result (*copy_out)(void *to, cuda_address from, size_t size, cuda_stream stream);
	cuda_result (*synchronize)(cuda_stream stream);
} more;

static struct pinring_device *device;
static struct pinring_executor *ex;
static cuda_stream stream;
static void *pinned;

__attribute__((format(printf, 1, 2))) static _Noreturn void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "memory: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, " (%s)\n", pinring_error());
	exit(1);
}

static void check(cuda_result rc, const char *what)
{
	if (rc)
		die("%s: %d", what, rc);
}

static void find_functions(void)
{
	void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	const struct {
		const char *name;
		void *to;
	} names[] = {
#define FIND(member, symbol, parameters) { #symbol, &cuda.member },
		PINRING_CUDA_FUNCTIONS(FIND)
		{ "cuMemAllocManaged", &more.managed },
		{ "cuMemHostAlloc", &more.host },
		{ "cuMemAllocAsync", &more.pool },
		{ "cuMemcpyDtoHAsync_v2", &more.copy_out },
		{ "cuStreamSynchronize", &more.synchronize },
	};
	size_t i;

	for (i = 0; library && i < sizeof(names) / sizeof(names[0]); i++) {
		void *at = dlsym(library, names[i].name);

		memcpy(names[i].to, &at, sizeof(at));
	}
}

static void refused(const char *name, cuda_address at, uint64_t bytes, const char *says)
{
	int rc = pinring_executor_attach_memory(ex, (void *)(uintptr_t)at, bytes);

	if (rc != -EINVAL || !strstr(pinring_error(), says))
		die("%s: %d, and not refused since it '%s'", name, rc, says);
	printf("%s: %s\n", name, pinring_error());
}

static int attached(const char *name, cuda_address at, uint64_t bytes)
{
	int rc = pinring_executor_attach_memory(ex, (void *)(uintptr_t)at, bytes);

	if (rc < 0)
		die("%s is not attached", name);
	return rc;
}

/* Fills count floats of it by a command. */
static void fill(int number, uint64_t offset, uint64_t count, float value)
{
	const struct pinring_command c = {
		.operation = PINRING_OP_FILL, .count = count, .s0 = value,
		.dst = { offset, (uint32_t)number },
	};
	struct pinring_completion done;

	if (pinring_executor_call(ex, &c, 60 * SECOND, &done) || done.status)
		die("fill");
}

/* The driver copies, beside the loop that runs: into pinned memory, or it may wait. */
static void expect(const char *name, cuda_address at, uint64_t begin, uint64_t end, float value)
{
	float *copy = pinned;
	uint64_t i;

	if (!copy)
		return;
	check(more.copy_out(copy, at, BYTES, stream), "copy");
	check(more.synchronize(stream), "synchronize");
	for (i = begin; i < end; i++) {
		if (copy[i] != value)
			die("%s: float %llu is %g, not %g", name, (unsigned long long)i,
			    (double)copy[i], (double)value);
	}
}

int main(void)
{
	struct pinring_executor_config config = pinring_executor_defaults();
	cuda_address at, freed, managed = 0, pool = 0;
	int n, part, of_pool = -1;
	cuda_context context;

	config.kind = PINRING_EXECUTOR_CUDA;
	config.threads = 1;
	if (pinring_device_open(NULL, &device) ||
	    pinring_executor_create(device, &config, &ex))
		die("create");
	find_functions();
	check(cuda.context_retain(&context, 0), "retain");
	check(cuda.context_push(context), "push");
	check(cuda.stream_create(&stream, CUDA_STREAM_NON_BLOCKING, 0), "stream");
	check(cuda.memory_alloc(&at, BYTES), "allocate");
	check(cuda.memory_alloc(&freed, 64 << 20), "allocate");
	check(cuda.memory_free(freed), "free");
	if (more.managed)
		check(more.managed(&managed, BYTES, MANAGED_GLOBAL), "allocate managed memory");
	if (more.host)
		check(more.host(&pinned, BYTES, 0), "allocate host memory");
	/* Not every GPU has pools, a part of one (MPS, vGPU) may not. */
	if (more.pool && !more.pool(&pool, BYTES, stream))
		check(more.synchronize(stream), "allocate of a pool");

	n = attached("the program's memory", at, BYTES);
	part = attached("a part of it", at + BYTES / 2, BYTES / 2);
	if (pool)
		of_pool = attached("memory of a pool", pool, BYTES);
	refused("a byte more", at, BYTES + 1, "are more than its allocation has");
	refused("much more", at + BYTES / 2, 1ull << 40, "are more than its allocation has");
	refused("freed memory", freed, 4096, "is no memory that the CUDA driver knows");
	refused("memory of malloc()", (cuda_address)(uintptr_t)malloc(BYTES), BYTES,
		"is no memory that the CUDA driver knows");
	if (managed)
		refused("managed memory", managed, BYTES, "is managed memory");
	if (pinned)
		refused("the host's", (cuda_address)(uintptr_t)pinned, BYTES, "is host memory");

	if (pinring_executor_launch(ex) || pinring_executor_activate(ex))
		die("launch");
	fill(n, 0, FLOATS, 3.0f);
	fill(part, 400, 100, 4.0f);
	expect("below the part", at, 0, FLOATS / 2 + 100, 3.0f);
	expect("the part", at, FLOATS / 2 + 100, FLOATS / 2 + 200, 4.0f);
	expect("above the part", at, FLOATS / 2 + 200, FLOATS, 3.0f);
	if (pool) {
		fill(of_pool, 0, FLOATS, 5.0f);
		expect("memory of a pool", pool, 0, FLOATS, 5.0f);
	}
	if (pinring_executor_detach(ex, (uint32_t)part, 10 * SECOND))
		die("detach");
	if (pinring_executor_close(ex, 10 * SECOND))
		die("close");
	pinring_device_close(device);
	expect("after the executor", at, FLOATS / 2 + 200, FLOATS, 3.0f);
	check(cuda.memory_free(at), "free");
	printf("the program's memory, a part of it%s: as commands left it\n",
	       pool ? ", and a pool's" : "");
	return 0;
}
