/* SPDX-License-Identifier: MIT */
/*
 * device_code.h - loop_cuda.cu as nvcc compiled it: a fatbin, for
 * cuModuleLoadData(), with code for sm_80, sm_90, sm_100 and PTX for what is not
 * among them. A library built without nvcc has size 0.
 */
#ifndef PINRING_DEVICE_CODE_H
#define PINRING_DEVICE_CODE_H

#include <linux/types.h>

extern const unsigned char pinring_device_code[];
extern const __u64 pinring_device_code_size;

/* The same, relocatable: to be linked with users' kernels. No PTX. */
extern const unsigned char pinring_device_link[];
extern const __u64 pinring_device_link_size;

#endif /* PINRING_DEVICE_CODE_H */
