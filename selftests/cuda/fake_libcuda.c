// SPDX-License-Identifier: MIT
/*
 * fake_libcuda.c - a libcuda.so.1 that has a GPU made of threads.
 *
 * The driver API as gpu/cuda_driver.h knows it, and nothing else: two GPUs of three
 * SMs with room for two blocks of at most 64 threads each, and one kernel, the
 * persistent loop, which is gpu/loop_cuda.cu compiled for the host (simt.h); with
 * users' kernels, if it is an image of fake_jit.c's that is loaded. It is strict where
 * the real one
 * is undefined: wrong handles, addresses that were not registered, calls without a
 * context, and whatever a persistent kernel must not meet are refused, and counted.
 *
 * Host memory is found by the "GPU" at another address than by the host (where
 * it can be mapped twice), so that an address not translated is a fault.
 *
 * fake_cuda.h: how a test makes calls fail, and sees what was left behind.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../gpu/cuda_driver.h"
#include "fake_cuda.h"
#include "fake_image.h"
#include "simt.h"

#define API __attribute__((visibility("default")))
#define GPUS 2
#define SMS 3
#define SM_BLOCKS 2
#define BLOCK_THREADS 64
#define ILLEGAL_ADDRESS 700
#define INVALID_VALUE 1
#define INVALID_CONTEXT 201
#define INVALID_HANDLE 400

#define DECLARE(member, symbol, parameters) API cuda_result symbol parameters;
PINRING_CUDA_FUNCTIONS(DECLARE)
PINRING_CUDA_NEWER(DECLARE)

struct cuda_context {
	int retained;
};

struct cuda_function {
	void (*entry)(void *);
	bool loaded;
};

struct cuda_module {
	struct cuda_module *next;
	struct cuda_context *context;
	struct cuda_function loop;
	void *handle; /* of an image's shared object; NULL: the loop alone */
	bool hot; /* a user's kernel, and no loop */
	char *global; /* whose address was asked */
};

struct cuda_stream {
	struct cuda_stream *next;
	struct cuda_context *context;
	struct simt_grid *grid;
	unsigned int blocks; /* of it */
	cuda_result error; /* of a kernel that died */
	void *set; /* memory that is to be set yet; NULL: none */
	size_t set_bytes;
	unsigned char set_to;
	bool queued; /* behind a kernel that fills the GPU */
};

struct pages {
	struct pages *next;
	struct cuda_context *context; /* of what is allocated; NULL: a pool's */
	char *host, *device;
	size_t size, asked;
	bool registered; /* else allocated on the device */
	bool managed;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool initialised;
static struct cuda_context contexts[GPUS], other_context;
static struct cuda_module *modules;
static struct cuda_stream *streams;
static struct pages *memory;
static bool dead;
static _Thread_local struct cuda_context *stack[8];
static _Thread_local int depth;

/* --------------------------------------------------------------- what tests see */
static struct {
	char symbol[64];
	int countdown;
	cuda_result rc;
} planned;
static struct fake_cuda_state state;
static struct fake_cuda_gpu gpu = {
	.major = 9, .cooperative = 1, .host_register = 1, .count = GPUS,
	.registers = 64, .linked_registers = 64, .hot_registers = 40,
};

/* Callers that a test holds up: 1, before, or 2, with the answer. Nobody else waits. */
static int query_held, load_held, unregister_held;

API void fake_cuda_fail(const char *symbol, int nth, int rc)
{
	pthread_mutex_lock(&lock);
	snprintf(planned.symbol, sizeof(planned.symbol), "%s", symbol);
	planned.countdown = nth;
	planned.rc = rc;
	pthread_mutex_unlock(&lock);
}

API struct fake_cuda_state fake_cuda_look(void)
{
	struct fake_cuda_state copy;
	struct cuda_module *m;
	struct cuda_stream *s;
	struct pages *p;
	int i;

	pthread_mutex_lock(&lock);
	copy = state;
	for (i = 0; i < GPUS; i++)
		copy.contexts += contexts[i].retained;
	for (s = streams; s; s = s->next)
		copy.streams++;
	for (p = memory; p; p = p->next) {
		copy.registered += p->registered;
		copy.allocated += !p->registered;
	}
	for (m = modules; m; m = m->next)
		copy.modules++;
	copy.planned = planned.countdown != 0;
	copy.query_held = __atomic_load_n(&query_held, __ATOMIC_ACQUIRE);
	copy.load_held = __atomic_load_n(&load_held, __ATOMIC_ACQUIRE);
	copy.unregister_held = __atomic_load_n(&unregister_held, __ATOMIC_ACQUIRE);
	pthread_mutex_unlock(&lock);
	copy.depth = depth;
	return copy;
}

API struct fake_cuda_gpu *fake_cuda_gpu(void)
{
	return &gpu;
}

/*
 * The kernel dies, as of an illegal address, says the driver from now on. Its
 * threads only stop, so what they touch is never unmapped.
 */
API void fake_cuda_kill(void)
{
	struct cuda_stream *s;

	pthread_mutex_lock(&lock);
	__atomic_store_n(&dead, true, __ATOMIC_RELAXED);
	for (s = streams; s; s = s->next) {
		if (s->grid)
			s->error = ILLEGAL_ADDRESS;
	}
	pthread_mutex_unlock(&lock);
}

/* A dead kernel's threads come no further than this. */
static void store_unless_dead(uint64_t *word, uint64_t value)
{
	while (__atomic_load_n(&dead, __ATOMIC_RELAXED))
		pause();
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* FAKE_CUDA="mig mps ...": for programs that no test is part of. */
static void take_environment(void)
{
	const char *said = getenv("FAKE_CUDA");

	if (!said)
		return;
	gpu.mig = strstr(said, "mig") != NULL;
	gpu.mps = strstr(said, "mps") != NULL;
	gpu.dmabuf = strstr(said, "dmabuf") != NULL;
	gpu.exec_timeout = strstr(said, "display") != NULL;
	gpu.compute_mode = strstr(said, "prohibited") ? 2 :
			   strstr(said, "exclusive") ? 3 : 0;
}

__attribute__((constructor)) static void begin(void)
{
	simt_store_hook = store_unless_dead;
	take_environment();
}

/* The gates of fake_cuda.h. */
static void hold_while(const int *held, int value)
{
	while (__atomic_load_n(held, __ATOMIC_ACQUIRE) == value)
		usleep(200);
}

static bool hold_query(void)
{
	int none = 0;

	if (__atomic_load_n(&gpu.hold_query, __ATOMIC_ACQUIRE) != 1 ||
	    !__atomic_compare_exchange_n(&query_held, &none, 1, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_RELAXED))
		return false;
	hold_while(&gpu.hold_query, 1);
	return true;
}

static void hold_answer(void)
{
	__atomic_store_n(&query_held, 2, __ATOMIC_RELEASE);
	hold_while(&gpu.hold_query, 2);
	__atomic_store_n(&query_held, 0, __ATOMIC_RELEASE);
}

static void hold(const int *gate, int *held)
{
	__atomic_add_fetch(held, 1, __ATOMIC_ACQ_REL);
	hold_while(gate, 1);
	__atomic_sub_fetch(held, 1, __ATOMIC_ACQ_REL);
}

/* Every call begins here. 0, or what it is to return. */
static cuda_result enter(const char *symbol, bool needs_context)
{
	cuda_result rc = CUDA_OK;

	pthread_mutex_lock(&lock);
	state.calls++;
	if (planned.countdown && !strcmp(planned.symbol, symbol) &&
	    !--planned.countdown)
		rc = planned.rc;
	else if (!initialised && strcmp(symbol, "cuInit"))
		rc = CUDA_NOT_INITIALIZED;
	else if (needs_context && !depth)
		rc = INVALID_CONTEXT;
	if (rc)
		pthread_mutex_unlock(&lock);
	return rc;
}

static cuda_result leave(cuda_result rc)
{
	state.misuse += rc == INVALID_VALUE || rc == INVALID_HANDLE;
	pthread_mutex_unlock(&lock);
	return rc;
}

#define ENTER(symbol, context)                              \
	do {                                                \
		cuda_result entered = enter(symbol, context); \
		if (entered)                                \
			return entered;                     \
	} while (0)

/* ------------------------------------------------------------ driver and devices */
API cuda_result cuInit(unsigned int flags)
{
	ENTER("cuInit", false);
	initialised = true;
	return leave(flags ? INVALID_VALUE : CUDA_OK);
}

API cuda_result cuGetErrorName(cuda_result rc, const char **name)
{
	static _Thread_local char text[32];

	snprintf(text, sizeof(text), "FAKE_ERROR_%d", rc);
	*name = rc < 1000 ? text : NULL;
	return CUDA_OK;
}

API cuda_result cuGetErrorString(cuda_result rc, const char **text)
{
	*text = rc < 1000 ? "the fake driver says so" : NULL;
	return CUDA_OK;
}

API cuda_result cuDeviceGetCount(int *count)
{
	ENTER("cuDeviceGetCount", false);
	*count = gpu.count;
	return leave(CUDA_OK);
}

API cuda_result cuDeviceGet(cuda_device *device, int number)
{
	ENTER("cuDeviceGet", false);
	*device = number;
	return leave(number >= 0 && number < gpu.count ? CUDA_OK :
							 CUDA_INVALID_DEVICE);
}

API cuda_result cuDeviceGetName(char *name, int size, cuda_device device)
{
	ENTER("cuDeviceGetName", false);
	snprintf(name, (size_t)size, "Fake %d%s", device,
		 gpu.mig ? " MIG 1g.5gb" : "");
	return leave(CUDA_OK);
}

API cuda_result cuDeviceGetAttribute(int *value, int which, cuda_device device)
{
	ENTER("cuDeviceGetAttribute", false);
	(void)device;
	switch (which) {
	case CUDA_ATTRIBUTE_SMS:
		*value = SMS;
		break;
	case CUDA_ATTRIBUTE_MAJOR:
		*value = gpu.major;
		break;
	case CUDA_ATTRIBUTE_COOPERATIVE_LAUNCH:
		*value = gpu.cooperative;
		break;
	case CUDA_ATTRIBUTE_HOST_REGISTER:
		*value = gpu.host_register;
		break;
	case CUDA_ATTRIBUTE_COMPUTE_MODE:
		*value = gpu.compute_mode;
		break;
	case 133: /* MPS_ENABLED, which only the tool asks for */
		*value = gpu.mps;
		break;
	case CUDA_ATTRIBUTE_EXEC_TIMEOUT:
		*value = gpu.exec_timeout;
		break;
	case CUDA_ATTRIBUTE_SM_THREADS:
		*value = 2048;
		break;
	case CUDA_ATTRIBUTE_SM_REGISTERS:
		*value = 65536;
		break;
	case CUDA_ATTRIBUTE_SM_SHARED:
		*value = 228 << 10;
		break;
	default:
		*value = 0;
		break;
	}
	return leave(CUDA_OK);
}

API cuda_result cuDeviceGetPCIBusId(char *name, int size, cuda_device device)
{
	ENTER("cuDeviceGetPCIBusId", false);
	snprintf(name, (size_t)size, "FA%02X:00:00.0", device);
	return leave(CUDA_OK);
}

/* --------------------------------------------------------------------- contexts */
API cuda_result cuDevicePrimaryCtxRetain(cuda_context *context,
					 cuda_device device)
{
	ENTER("cuDevicePrimaryCtxRetain", false);
	if (device < 0 || device >= GPUS)
		return leave(INVALID_VALUE);
	contexts[device].retained++;
	*context = &contexts[device];
	return leave(CUDA_OK);
}

API cuda_result cuDevicePrimaryCtxRelease_v2(cuda_device device)
{
	ENTER("cuDevicePrimaryCtxRelease_v2", false);
	if (!contexts[device].retained)
		return leave(INVALID_VALUE);
	contexts[device].retained--;
	return leave(CUDA_OK);
}

API cuda_result cuCtxPushCurrent_v2(cuda_context context)
{
	ENTER("cuCtxPushCurrent_v2", false);
	if (!context || !context->retained || depth == 8)
		return leave(INVALID_VALUE);
	stack[depth++] = context;
	return leave(CUDA_OK);
}

API cuda_result cuCtxPopCurrent_v2(cuda_context *context)
{
	ENTER("cuCtxPopCurrent_v2", true);
	*context = stack[--depth];
	return leave(CUDA_OK);
}

/* ---------------------------------------------------------------------- modules */
/* Blocks, on the GPU that this thread uses. */
static unsigned int running(void)
{
	unsigned int blocks = 0;
	struct cuda_stream *s;

	for (s = streams; s; s = s->next) {
		if (s->context == stack[depth - 1] && s->grid && !s->error &&
		    simt_running(s->grid))
			blocks += s->blocks;
	}
	return blocks;
}

/* What is behind the symbols of an image of fake_jit.c's; NULL: it is none. */
static void *open_image(const char *image)
{
	char path[] = "/tmp/fake-cuda-XXXXXX";
	struct fake_image tail;
	void *handle = NULL;
	Elf64_Ehdr elf;
	int fd;

	memcpy(&elf, image, sizeof(elf));
	if (memcmp(elf.e_ident, ELFMAG, SELFMAG) || elf.e_type != ET_REL)
		return NULL;
	image += elf.e_shoff + elf.e_shnum * sizeof(Elf64_Shdr);
	memcpy(&tail, image, sizeof(tail));
	fd = mkstemp(path);
	if (tail.magic == FAKE_IMAGE && fd >= 0 &&
	    write(fd, image + sizeof(tail), tail.bytes) == (ssize_t)tail.bytes)
		handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!handle)
		fprintf(stderr, "fake_libcuda: %s\n", dlerror());
	close(fd);
	unlink(path);
	return handle;
}

API cuda_result cuModuleLoadData(cuda_module *module, const void *image)
{
	struct cuda_module *m;
	void *entry;

	hold(&gpu.hold_load, &load_held);
	ENTER("cuModuleLoadData", true);
	if (!image)
		return leave(INVALID_VALUE);
	m = calloc(1, sizeof(*m));
	m->context = stack[depth - 1];
	m->loop.entry = pinring_loop_cuda;
	m->handle = open_image(image);
	if (m->handle) {
		m->hot = dlsym(m->handle, "pinring_hot_probe") != NULL;
		entry = dlsym(m->handle, m->hot ? "pinring_hot_probe" :
						  "pinring_loop_cuda");
		memcpy(&m->loop.entry, &entry, sizeof(entry));
	}
	/* What a real driver may wait for, for ever, and all others for it. */
	if (m->hot) {
		state.hot++;
		state.stalled += gpu.stall_loads && running();
		while (gpu.stall_loads && running())
			usleep(1000);
	} else {
		state.while_running += running() > 0;
	}
	m->next = modules;
	modules = m;
	*module = m;
	return leave(CUDA_OK);
}

API cuda_result cuModuleUnload(cuda_module module)
{
	struct cuda_module **at = &modules;

	ENTER("cuModuleUnload", true);
	state.while_running += running() > 0;
	while (*at && *at != module)
		at = &(*at)->next;
	if (!*at)
		return leave(INVALID_HANDLE);
	*at = module->next;
	if (module->handle && !dead)
		dlclose(module->handle);
	free(module);
	return leave(CUDA_OK);
}

API cuda_result cuModuleGetFunction(cuda_function *out, cuda_module module,
				    const char *name)
{
	ENTER("cuModuleGetFunction", true);
	if (!module || strcmp(name, module->hot ? "pinring_hot_probe" :
						  "pinring_loop_cuda"))
		return leave(500);
	*out = &module->loop;
	return leave(CUDA_OK);
}

API cuda_result cuModuleGetGlobal_v2(cuda_address *at, size_t *bytes,
				     cuda_module module, const char *name)
{
	ENTER("cuModuleGetGlobal_v2", true);
	module->global = module->hot ? dlsym(module->handle, name) : NULL;
	*at = (cuda_address)(uintptr_t)module->global;
	*bytes = sizeof(void *);
	return leave(module->global ? CUDA_OK : 500);
}

/* NULL: there is no such function. */
static const struct cuda_module *module_of(const struct cuda_function *f)
{
	const struct cuda_module *m = modules;

	while (m && &m->loop != f)
		m = m->next;
	return m;
}

API cuda_result cuFuncGetAttribute(int *value, int which, cuda_function f)
{
	const struct cuda_module *m;

	ENTER("cuFuncGetAttribute", true);
	m = module_of(f);
	if (!m)
		return leave(INVALID_HANDLE);
	switch (which) {
	case CUDA_FUNCTION_MAX_THREADS:
		*value = BLOCK_THREADS;
		break;
	case CUDA_FUNCTION_REGISTERS:
		*value = m->hot	   ? gpu.hot_registers :
			 m->handle ? gpu.linked_registers :
				     gpu.registers;
		break;
	case CUDA_FUNCTION_LOCAL:
		*value = m->hot	   ? gpu.hot_local :
			 m->handle ? gpu.linked_local :
				     0;
		break;
	case CUDA_FUNCTION_SHARED:
		*value = 16384;
		break;
	default:
		return leave(INVALID_VALUE);
	}
	return leave(CUDA_OK);
}

API cuda_result cuFuncLoad(cuda_function f)
{
	const struct cuda_module *m;

	ENTER("cuFuncLoad", true);
	m = module_of(f);
	state.while_running += m && !m->hot && running();
	f->loaded = true;
	return leave(CUDA_OK);
}

API cuda_result cuModuleGetLoadingMode(int *mode)
{
	ENTER("cuModuleGetLoadingMode", false);
	*mode = CUDA_LOADING_LAZY;
	return leave(CUDA_OK);
}

API cuda_result cuOccupancyMaxActiveBlocksPerMultiprocessor(
	int *blocks, cuda_function f, int threads, size_t shared)
{
	ENTER("cuOccupancyMaxActiveBlocksPerMultiprocessor", true);
	(void)shared;
	*blocks = gpu.no_room ? 0 : SM_BLOCKS;
	return leave(module_of(f) && threads == BLOCK_THREADS ? CUDA_OK :
								INVALID_VALUE);
}

/* ----------------------------------------------------------------------- memory */
static struct pages **find_pages(const void *host)
{
	struct pages **at = &memory;

	while (*at && (*at)->host != host)
		at = &(*at)->next;
	return at;
}

API cuda_result cuMemAlloc_v2(cuda_address *to, size_t size)
{
	struct pages *p;

	ENTER("cuMemAlloc_v2", true);
	state.while_running += running() > 0;
	if (!size)
		return leave(INVALID_VALUE);
	if (size > 1ul << 40)
		return leave(CUDA_OUT_OF_MEMORY);
	p = calloc(1, sizeof(*p));
	p->context = gpu.memory == FAKE_MEMORY_OF_A_POOL ? NULL :
		     gpu.memory == FAKE_MEMORY_OF_A_CONTEXT ?
						     &other_context :
						     stack[depth - 1];
	p->managed = gpu.memory == FAKE_MEMORY_MANAGED;
	p->asked = size;
	p->size = (size + 4095) & ~4095ul;
	/* Shared: it can be mapped twice, as the real one through a window. */
	p->device = mmap(NULL, p->size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memset(p->device, 0xa5, p->size);
	p->host = p->device;
	p->next = memory;
	memory = p;
	*to = (cuda_address)(uintptr_t)p->device;
	return leave(CUDA_OK);
}

static cuda_result drop_pages(const void *host, bool registered)
{
	struct pages **at = find_pages(host), *p = *at;

	if (!p || p->registered != registered)
		return registered ? 713 : INVALID_VALUE;
	*at = p->next;
	if (!dead && (p->device != p->host || !registered))
		munmap(p->device, p->size);
	free(p);
	return CUDA_OK;
}

API cuda_result cuMemFree_v2(cuda_address at)
{
	ENTER("cuMemFree_v2", true);
	state.while_running += running() > 0;
	return leave(drop_pages((void *)(uintptr_t)at, false));
}

API cuda_result cuMemHostRegister_v2(void *base, size_t size,
				     unsigned int flags)
{
	struct pages *p;

	ENTER("cuMemHostRegister_v2", true);
	state.while_running += running() > 0;
	if ((uintptr_t)base % 4096 || !size ||
	    flags != (CUDA_REGISTER_PORTABLE | CUDA_REGISTER_DEVICEMAP))
		return leave(INVALID_VALUE);
	if (*find_pages(base))
		return leave(CUDA_ALREADY_REGISTERED);
	p = calloc(1, sizeof(*p));
	p->host = base;
	p->size = (size + 4095) & ~4095ul;
	p->registered = true;
	/* Of a shared mapping, an old size of 0 makes a second one. */
	p->device = mremap(base, 0, p->size, MREMAP_MAYMOVE);
	if (p->device == MAP_FAILED) {
		p->device = base;
		state.same_address++;
	}
	p->next = memory;
	memory = p;
	return leave(CUDA_OK);
}

API cuda_result cuMemHostUnregister(void *base)
{
	hold(&gpu.hold_unregister, &unregister_held);
	ENTER("cuMemHostUnregister", true);
	state.while_running += running() > 0;
	return leave(drop_pages(base, true));
}

API cuda_result cuMemHostGetDevicePointer_v2(cuda_address *to, void *base,
					     unsigned int flags)
{
	struct pages *p;

	ENTER("cuMemHostGetDevicePointer_v2", true);
	p = *find_pages(base);
	if (!p || !p->registered || flags)
		return leave(INVALID_VALUE);
	*to = (cuda_address)(uintptr_t)p->device;
	return leave(CUDA_OK);
}

/* `from` is the host's address of what is registered, else the device's. */
static bool known(const char *from, size_t size, bool registered)
{
	struct pages *p;

	for (p = memory; p; p = p->next) {
		const char *base = registered ? p->host : p->device;

		if (p->registered == registered && from >= base &&
		    from + size <= base + p->size)
			return true;
	}
	return false;
}

static bool on_device(cuda_address at, size_t size)
{
	return known((const char *)(uintptr_t)at, size, false);
}

/* What has this address on the "GPU"; the host's, if it is registered. */
static struct pages *pages_at(cuda_address at)
{
	struct pages *p = memory;

	while (p && (at < (cuda_address)(uintptr_t)p->device ||
		     at >= (cuda_address)(uintptr_t)p->device + p->size))
		p = p->next;
	return p;
}

/* As the real one: the attributes of what it does not know are 0. */
API cuda_result cuPointerGetAttributes(unsigned int count, int *which,
				       void **values, cuda_address at)
{
	const struct pages *p;
	unsigned int i;
	int number;

	ENTER("cuPointerGetAttributes", false);
	p = pages_at(at);
	number = p && p->context == &contexts[1];
	for (i = 0; i < count; i++) {
		switch (which[i]) {
		case CUDA_POINTER_CONTEXT:
			*(cuda_context *)values[i] = p ? p->context : NULL;
			break;
		case CUDA_POINTER_MEMORY:
			*(unsigned int *)values[i] =
				!p ? 0 : p->registered ? CUDA_MEMORY_HOST :
							 CUDA_MEMORY_DEVICE;
			break;
		case CUDA_POINTER_MANAGED:
			*(unsigned int *)values[i] = p && p->managed;
			break;
		case CUDA_POINTER_GPU:
			*(int *)values[i] = number;
			break;
		default:
			return leave(INVALID_VALUE);
		}
	}
	return leave(CUDA_OK);
}

API cuda_result cuMemGetAddressRange_v2(cuda_address *base, size_t *size,
					cuda_address at)
{
	const struct pages *p;

	ENTER("cuMemGetAddressRange_v2", true);
	p = pages_at(at);
	if (!p || p->registered)
		return leave(500);
	*base = (cuda_address)(uintptr_t)p->device;
	*size = p->asked;
	return leave(CUDA_OK);
}

/* Done when it is asked about, as late as may be. */
static bool set_pending(struct cuda_stream *s)
{
	if (!s->set)
		return false;
	memset(s->set, s->set_to, s->set_bytes);
	s->set = NULL;
	return true;
}

API cuda_result cuMemsetD8Async(cuda_address at, unsigned char value,
				size_t size, cuda_stream stream)
{
	ENTER("cuMemsetD8Async", true);
	state.while_running += running() > 0;
	if (!stream || !on_device(at, size))
		return leave(INVALID_VALUE);
	stream->set = (void *)(uintptr_t)at;
	stream->set_bytes = size;
	stream->set_to = value;
	return leave(CUDA_OK);
}

/* Puts these pages into a file, which the caller has from now on. -1: cannot. */
static int export_pages(cuda_address at, size_t size)
{
	void *pages = (void *)(uintptr_t)at;
	int fd = memfd_create("fake dma-buf", MFD_CLOEXEC);

	if (fd < 0 || pwrite(fd, pages, size, 0) != (ssize_t)size ||
	    mmap(pages, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		 0) == MAP_FAILED)
		return -1;
	return fd;
}

API cuda_result cuMemGetHandleForAddressRange(void *handle, cuda_address at,
					      size_t size, int type,
					      unsigned long long flags)
{
	int fd;

	ENTER("cuMemGetHandleForAddressRange", true);
	/* As drivers before 13.3: so the command ring stays in host memory. */
	if (!gpu.dmabuf)
		return leave(CUDA_NOT_SUPPORTED);
	if (!on_device(at, size) || at % 4096 || size % 4096 ||
	    type != CUDA_HANDLE_DMA_BUF || flags & ~(unsigned long long)CUDA_DMA_BUF_PCIE)
		return leave(INVALID_VALUE);
	/* A driver that knows no flags refuses them, one with one way only does, too. */
	if (flags && gpu.dmabuf != FAKE_DMABUF_PCIE && gpu.dmabuf != FAKE_DMABUF_PCIE_ONLY)
		return leave(CUDA_NOT_SUPPORTED);
	if (!flags && gpu.dmabuf == FAKE_DMABUF_PCIE_ONLY)
		return leave(CUDA_NOT_SUPPORTED);
	fd = gpu.dmabuf == FAKE_DMABUF_NO_MMAP || (gpu.dmabuf == FAKE_DMABUF_PCIE && !flags) ?
		     open("/dev/null", O_RDWR | O_CLOEXEC) :
		     export_pages(at, size);
	memcpy(handle, &fd, sizeof(fd));
	return leave(fd < 0 ? CUDA_OUT_OF_MEMORY : CUDA_OK);
}

API cuda_result cuMemcpyHtoDAsync_v2(cuda_address to, const void *from,
				     size_t size, cuda_stream stream)
{
	ENTER("cuMemcpyHtoDAsync_v2", true);
	state.while_running += !known(from, size, true) && running();
	if (!stream || !on_device(to, size))
		return leave(INVALID_VALUE);
	memcpy((void *)(uintptr_t)to, from, size);
	return leave(CUDA_OK);
}

API cuda_result cuMemcpyDtoHAsync_v2(void *to, cuda_address from, size_t size,
				     cuda_stream stream)
{
	const char *at = (const char *)(uintptr_t)from;
	const struct cuda_module *m = modules;

	ENTER("cuMemcpyDtoHAsync_v2", true);
	state.while_running += !known(to, size, true) && running();
	while (m && (!m->global || m->global != at))
		m = m->next;
	/* Behind a kernel that does not end it would never be made. */
	if (!stream || stream->grid || (!m && !on_device(from, size)))
		return leave(INVALID_VALUE);
	memcpy(to, at, size);
	/* It may be lazy, and then its code is not there. */
	return leave(m && !m->loop.loaded ? INVALID_VALUE : CUDA_OK);
}

/* ---------------------------------------------------------- streams and launches */
API cuda_result cuStreamCreateWithPriority(cuda_stream *stream,
					   unsigned int flags, int priority)
{
	struct cuda_stream *s;

	ENTER("cuStreamCreateWithPriority", true);
	(void)priority;
	if (flags != CUDA_STREAM_NON_BLOCKING)
		return leave(INVALID_VALUE);
	s = calloc(1, sizeof(*s));
	s->context = stack[depth - 1];
	s->next = streams;
	streams = s;
	*stream = s;
	return leave(CUDA_OK);
}

API cuda_result cuStreamDestroy_v2(cuda_stream stream)
{
	struct cuda_stream **at = &streams;

	ENTER("cuStreamDestroy_v2", true);
	state.while_running += running() > 0;
	while (*at && *at != stream)
		at = &(*at)->next;
	if (!*at)
		return leave(INVALID_HANDLE);
	*at = stream->next;
	if (stream->grid && !stream->error)
		simt_join(stream->grid);
	free(stream);
	return leave(CUDA_OK);
}

static cuda_result query(cuda_stream stream)
{
	ENTER("cuStreamQuery", true);
	if (stream->error)
		return leave(stream->error);
	return leave(set_pending(stream) || stream->queued ||
				     (stream->grid && simt_running(stream->grid)) ?
			     CUDA_NOT_READY :
			     CUDA_OK);
}

API cuda_result cuStreamQuery(cuda_stream stream)
{
	const bool held = hold_query();
	cuda_result rc = query(stream);

	if (held)
		hold_answer();
	return rc;
}

API cuda_result cuLaunchCooperativeKernel(
	cuda_function f, unsigned int grid_x, unsigned int grid_y,
	unsigned int grid_z, unsigned int block_x, unsigned int block_y,
	unsigned int block_z, unsigned int shared, cuda_stream stream,
	void **parameters)
{
	const struct cuda_module *m;
	const struct cuda_stream *s;
	cuda_address self;

	ENTER("cuLaunchCooperativeKernel", true);
	/* What sets memory waits for room on the GPU, and what is behind it, too. */
	for (s = streams; s; s = s->next)
		state.while_running += s->set && s->context == stream->context;
	memcpy(&self, parameters[0], sizeof(self));
	m = module_of(f);
	if (!m || grid_y != 1 || grid_z != 1 || block_y != 1 ||
	    block_z != 1 || shared || block_x != BLOCK_THREADS ||
	    !on_device(self, 1) || !stream || stream->queued ||
	    (stream->grid && simt_running(stream->grid)))
		return leave(INVALID_VALUE);
	/* Code is loaded now, or more memory for stacks is taken. */
	state.while_running += (!f->loaded || (m->handle && gpu.linked_local)) &&
			       running();
	if (grid_x > SMS || (gpu.refuse_launches && gpu.refuse_launches--))
		return leave(CUDA_LAUNCH_TOO_LARGE);
	/* A GPU that other kernels fill: the launch is queued, and waits. */
	if (gpu.busy || running() + grid_x > SMS * SM_BLOCKS) {
		stream->queued = true;
		return leave(CUDA_OK);
	}
	/* Or some of its blocks, and those that run are waited for. */
	stream->blocks = gpu.partly && grid_x > 1 ? grid_x - 1 : grid_x;
	if (stream->grid)
		simt_join(stream->grid);
	stream->grid = simt_launch(f->entry, (void *)(uintptr_t)self,
				   stream->blocks, block_x);
	state.launches++;
	return leave(stream->grid ? CUDA_OK : CUDA_OUT_OF_MEMORY);
}
