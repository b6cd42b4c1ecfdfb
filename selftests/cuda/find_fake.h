/* SPDX-License-Identifier: MIT */
/* find_fake.h - for a test of its own that runs on the fake driver. */
#ifndef PINRING_TEST_FIND_FAKE_H
#define PINRING_TEST_FIND_FAKE_H

#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake_cuda.h"

static fake_cuda_fail_t *fail;
static fake_cuda_look_t *look;
static fake_cuda_kill_t *kill_kernels;
static struct fake_cuda_gpu *gpu;

/*
 * The fake driver lies beside us, where the linker looks only if it was told before
 * we began. (A runpath would do, but a sanitizer's dlopen() has none.)
 */
__attribute__((constructor)) static void begin_anew(int argc, char **argv)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 8);

	(void)argc;
	if (getenv("PINRING_FAKE_CUDA") || n < 0)
		return;
	path[n] = 0;
	strcpy(strrchr(path, '/'), "/cuda");
	setenv("LD_LIBRARY_PATH", path, 1);
	setenv("PINRING_FAKE_CUDA", "1", 1);
	execv("/proc/self/exe", argv);
}

static bool find_fake(void)
{
	void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	fake_cuda_gpu_t *gpus;

	if (!library)
		return false;
	fail = (fake_cuda_fail_t *)dlsym(library, "fake_cuda_fail");
	look = (fake_cuda_look_t *)dlsym(library, "fake_cuda_look");
	kill_kernels = (fake_cuda_kill_t *)dlsym(library, "fake_cuda_kill");
	gpus = (fake_cuda_gpu_t *)dlsym(library, "fake_cuda_gpu");
	if (!gpus)
		return false;
	gpu = gpus();
	return true;
}

/* Nothing is left on the GPU, and nothing was asked of it that may hang. */
#define EXPECT_NOTHING_LEFT()                       \
	do {                                        \
		struct fake_cuda_state __s = look(); \
		EXPECT_EQ(0, __s.contexts);         \
		EXPECT_EQ(0, __s.modules);          \
		EXPECT_EQ(0, __s.streams);          \
		EXPECT_EQ(0, __s.registered);       \
		EXPECT_EQ(0, __s.allocated);        \
		EXPECT_EQ(0, __s.depth);            \
		EXPECT_EQ(0, __s.misuse);           \
		EXPECT_EQ(0, __s.while_running);    \
	} while (0)

#endif /* PINRING_TEST_FIND_FAKE_H */
