/* SPDX-License-Identifier: MIT */
/*
 * gpus.c - asks CUDA's driver, without making a context on any GPU.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "gpus.h"
#include "survey.h"

/* CUdevice_attribute. */
#define SMS 16
#define EXEC_TIMEOUT 17
#define COMPUTE_MODE 20
#define MAJOR 75
#define MINOR 76
#define MPS_ENABLED 133 /* since CUDA 12.3 */

static struct {
	int (*init)(unsigned int flags);
	int (*count)(int *count);
	int (*get)(int *device, int number);
	int (*name)(char *name, int size, int device);
	int (*bus)(char *name, int size, int device);
	int (*attribute)(int *value, int which, int device);
} driver;

static bool find_driver(void)
{
	static const struct {
		const char *name;
		void **to;
	} symbols[] = {
		{ "cuInit", (void **)&driver.init },
		{ "cuDeviceGetCount", (void **)&driver.count },
		{ "cuDeviceGet", (void **)&driver.get },
		{ "cuDeviceGetName", (void **)&driver.name },
		{ "cuDeviceGetPCIBusId", (void **)&driver.bus },
		{ "cuDeviceGetAttribute", (void **)&driver.attribute },
	};
	/* It stays: a driver that has begun is not unloaded. */
	void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	size_t i;

	for (i = 0; library && i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		*symbols[i].to = dlsym(library, symbols[i].name);
		if (!*symbols[i].to)
			return false;
	}
	return library && !driver.init(0);
}

/* 0 also where this driver knows no such thing. */
static int attribute(int device, int which)
{
	int value = 0;

	return driver.attribute(&value, which, device) ? 0 : value;
}

static bool read_gpu(struct gpu *gpu, int number)
{
	char name[96] = "", bus[32] = "";
	int device;

	if (driver.get(&device, number) ||
	    driver.name(name, sizeof(name), device) ||
	    driver.bus(bus, sizeof(bus), device))
		return false;
	survey_text(gpu->name, sizeof(gpu->name), name);
	survey_text(gpu->bus, sizeof(gpu->bus), bus);
	gpu->sms = attribute(device, SMS);
	gpu->major = attribute(device, MAJOR);
	gpu->minor = attribute(device, MINOR);
	gpu->compute_mode = attribute(device, COMPUTE_MODE);
	gpu->display = attribute(device, EXEC_TIMEOUT);
	gpu->mps = attribute(device, MPS_ENABLED);
	/* No attribute says so; the name is "NVIDIA H200 MIG 1g.18gb". */
	gpu->mig = strstr(gpu->name, " MIG ");
	return true;
}

int gpus_read(struct gpu gpus[GPUS_MAX])
{
	int i, count = 0;

	if (!find_driver() || driver.count(&count))
		return 0;
	for (i = 0; i < count && i < GPUS_MAX; i++)
		if (!read_gpu(&gpus[i], i))
			break;
	return i;
}

void gpus_describe(const struct gpu *gpu, char *text, size_t size)
{
	static const char *const modes[] = { "DEFAULT", "EXCLUSIVE",
					     "PROHIBITED", "EXCLUSIVE_PROCESS" };

	snprintf(text, size,
		 "%s at %s: sm_%d%d, %d SMs; compute mode %s, %s, %s, %s",
		 gpu->name, gpu->bus, gpu->major, gpu->minor, gpu->sms,
		 gpu->compute_mode >= 0 && gpu->compute_mode < 4 ?
			 modes[gpu->compute_mode] :
			 "unknown",
		 gpu->mps ? "shared by MPS" : "no MPS",
		 gpu->mig ? "a MIG instance" : "no MIG instance",
		 gpu->display ? "a display that stops long kernels" :
				"no display that stops kernels");
}
