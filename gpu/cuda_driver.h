/* SPDX-License-Identifier: MIT */
/*
 * cuda_driver.h - the CUDA driver's functions that we call, found at run time.
 *
 * One libpinring runs with and without a GPU: libcuda.so.1 comes with NVIDIA's
 * driver, and is opened when somebody first asks for a CUDA executor. Its types
 * and numbers below are ABI (cuda.h of any CUDA since 9.0), so that no toolkit is
 * needed to build either.
 */
#ifndef PINRING_GPU_CUDA_DRIVER_H
#define PINRING_GPU_CUDA_DRIVER_H

#include <stddef.h>
#include <stdint.h>

struct pinring_device;

typedef int cuda_result; /* CUresult */
typedef int cuda_device;
typedef uint64_t cuda_address; /* CUdeviceptr */
typedef struct cuda_context *cuda_context;
typedef struct cuda_module *cuda_module;
typedef struct cuda_function *cuda_function;
typedef struct cuda_stream *cuda_stream;

enum {
	CUDA_OK = 0,
	CUDA_OUT_OF_MEMORY = 2,
	CUDA_NOT_INITIALIZED = 3,
	CUDA_STUB_LIBRARY = 34,
	CUDA_DEVICE_UNAVAILABLE = 46,
	CUDA_NO_DEVICE = 100,
	CUDA_INVALID_DEVICE = 101,
	CUDA_NO_BINARY_FOR_GPU = 209,
	CUDA_OPERATING_SYSTEM = 304,
	CUDA_NOT_READY = 600,
	CUDA_ALREADY_REGISTERED = 712,
	CUDA_LAUNCH_TOO_LARGE = 720,
	CUDA_NOT_PERMITTED = 800,
	CUDA_NOT_SUPPORTED = 801,
	CUDA_MPS_NOT_READY = 807,
	CUDA_MPS_MAX_CLIENTS = 808,
	CUDA_MPS_MAX_CONNECTIONS = 809,
};

enum {
	CUDA_ATTRIBUTE_SMS = 16,
	CUDA_ATTRIBUTE_EXEC_TIMEOUT = 17,
	CUDA_ATTRIBUTE_COMPUTE_MODE = 20,
	CUDA_ATTRIBUTE_SM_THREADS = 39,
	CUDA_ATTRIBUTE_MAJOR = 75,
	CUDA_ATTRIBUTE_MINOR = 76,
	CUDA_ATTRIBUTE_SM_SHARED = 81,
	CUDA_ATTRIBUTE_SM_REGISTERS = 82,
	CUDA_ATTRIBUTE_COOPERATIVE_LAUNCH = 95,
	CUDA_ATTRIBUTE_HOST_REGISTER = 99,
	CUDA_ATTRIBUTE_BLOCK_RESERVED = 111, /* shared memory, the driver's */
};

/* CUpointer_attribute, CUmemorytype */
enum {
	CUDA_POINTER_CONTEXT = 1, /* cuda_context */
	CUDA_POINTER_MEMORY = 2, /* unsigned int; 0: no memory of the driver's */
	CUDA_POINTER_MANAGED = 8, /* unsigned int */
	CUDA_POINTER_GPU = 9, /* int */
};

#define CUDA_MEMORY_HOST 1
#define CUDA_MEMORY_DEVICE 2
#define CUDA_COMPUTE_MODE_PROHIBITED 2
#define CUDA_FUNCTION_MAX_THREADS 0
#define CUDA_FUNCTION_SHARED 1 /* bytes of a block */
#define CUDA_FUNCTION_LOCAL 3 /* bytes of a thread */
#define CUDA_FUNCTION_REGISTERS 4
#define CUDA_STREAM_NON_BLOCKING 1
#define CUDA_REGISTER_PORTABLE 1
#define CUDA_REGISTER_DEVICEMAP 2
#define CUDA_LOADING_LAZY 2
#define CUDA_HANDLE_DMA_BUF 1
#define CUDA_DMA_BUF_PCIE 1 /* through BAR1, where there are other ways, too */

/* member, symbol, parameters */
#define PINRING_CUDA_FUNCTIONS(F)                                              \
	F(init, cuInit, (unsigned int flags))                                  \
	F(error_name, cuGetErrorName, (cuda_result rc, const char **name))     \
	F(error_string, cuGetErrorString,                                      \
	  (cuda_result rc, const char **text))                                 \
	F(device_count, cuDeviceGetCount, (int *count))                        \
	F(device_get, cuDeviceGet, (cuda_device *device, int number))          \
	F(device_name, cuDeviceGetName,                                        \
	  (char *name, int size, cuda_device device))                          \
	F(device_attribute, cuDeviceGetAttribute,                              \
	  (int *value, int attribute, cuda_device device))                     \
	F(device_bus, cuDeviceGetPCIBusId,                                     \
	  (char *name, int size, cuda_device device))                          \
	F(context_retain, cuDevicePrimaryCtxRetain,                            \
	  (cuda_context *context, cuda_device device))                         \
	F(context_release, cuDevicePrimaryCtxRelease_v2,                       \
	  (cuda_device device))                                                \
	F(context_push, cuCtxPushCurrent_v2, (cuda_context context))           \
	F(context_pop, cuCtxPopCurrent_v2, (cuda_context *context))            \
	F(module_load, cuModuleLoadData,                                       \
	  (cuda_module *module, const void *image))                            \
	F(module_unload, cuModuleUnload, (cuda_module module))                 \
	F(module_function, cuModuleGetFunction,                                \
	  (cuda_function *function, cuda_module module, const char *name))     \
	F(module_global, cuModuleGetGlobal_v2,                                 \
	  (cuda_address *at, size_t *bytes, cuda_module module,                \
	   const char *name))                                                  \
	F(function_attribute, cuFuncGetAttribute,                              \
	  (int *value, int attribute, cuda_function function))                 \
	F(occupancy, cuOccupancyMaxActiveBlocksPerMultiprocessor,              \
	  (int *blocks, cuda_function function, int threads, size_t shared))   \
	F(memory_alloc, cuMemAlloc_v2, (cuda_address *to, size_t size))        \
	F(memory_free, cuMemFree_v2, (cuda_address at))                        \
	F(memory_range, cuMemGetAddressRange_v2,                               \
	  (cuda_address *base, size_t *size, cuda_address at))                 \
	F(memory_set, cuMemsetD8Async,                                         \
	  (cuda_address at, unsigned char value, size_t size,                  \
	   cuda_stream stream))                                                \
	F(pointer_attributes, cuPointerGetAttributes,                          \
	  (unsigned int count, int *which, void **values, cuda_address at))    \
	F(memory_copy_in, cuMemcpyHtoDAsync_v2,                                \
	  (cuda_address to, const void *from, size_t size,                     \
	   cuda_stream stream))                                                \
	F(memory_copy_out, cuMemcpyDtoHAsync_v2,                               \
	  (void *to, cuda_address from, size_t size, cuda_stream stream))      \
	F(host_register, cuMemHostRegister_v2,                                 \
	  (void *base, size_t size, unsigned int flags))                       \
	F(host_unregister, cuMemHostUnregister, (void *base))                  \
	F(host_address, cuMemHostGetDevicePointer_v2,                          \
	  (cuda_address *to, void *base, unsigned int flags))                  \
	F(stream_create, cuStreamCreateWithPriority,                           \
	  (cuda_stream *stream, unsigned int flags, int priority))             \
	F(stream_destroy, cuStreamDestroy_v2, (cuda_stream stream))            \
	F(stream_query, cuStreamQuery, (cuda_stream stream))                   \
	F(launch_cooperative, cuLaunchCooperativeKernel,                       \
	  (cuda_function function, unsigned int grid_x, unsigned int grid_y,   \
	   unsigned int grid_z, unsigned int block_x, unsigned int block_y,    \
	   unsigned int block_z, unsigned int shared, cuda_stream stream,      \
	   void **parameters))

/* Since CUDA 11.7, 11.7 and 12.4; NULL in an older driver. */
#define PINRING_CUDA_NEWER(F)                                                  \
	F(memory_handle, cuMemGetHandleForAddressRange,                        \
	  (void *handle, cuda_address at, size_t size, int type,               \
	   unsigned long long flags))                                          \
	F(loading_mode, cuModuleGetLoadingMode, (int *mode))                   \
	F(function_load, cuFuncLoad, (cuda_function function))

struct pinring_cuda {
#define PINRING_CUDA_MEMBER(member, symbol, parameters) \
	cuda_result(*member) parameters;
	PINRING_CUDA_FUNCTIONS(PINRING_CUDA_MEMBER)
	PINRING_CUDA_NEWER(PINRING_CUDA_MEMBER)
#undef PINRING_CUDA_MEMBER
};

/*
 * The driver, opened and initialised; stays so until the process ends. 0, or
 * -ENODEV, -EOPNOTSUPP and others with a sentence: no driver, no device, too old.
 */
int pinring_cuda_open(struct pinring_device *device,
		      const struct pinring_cuda **cuda);

/* pinring_fail() with what the driver calls `rc`; "cannot DO: ...". */
int pinring_cuda_fail(struct pinring_device *device,
		      const struct pinring_cuda *cuda, cuda_result rc,
		      const char *what);

#endif /* PINRING_GPU_CUDA_DRIVER_H */
