// SPDX-License-Identifier: MIT
/* cuda_bar.c - mapping GPU memory for the CPU; see cuda_bar.h. */
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cuda_bar.h"

#define GPU_PAGE 65536ull /* what both ways want base and size to be of */

/* gdrapi.h of gdrcopy 2.x, as far as it is needed. */
struct gdr_handle {
	unsigned long h;
};

static struct {
	void *library;
	struct gdr *(*open)(void);
	int (*close)(struct gdr *gdr);
	int (*pin)(struct gdr *gdr, unsigned long address, size_t size,
		   uint64_t token, uint32_t space, struct gdr_handle *handle);
	int (*unpin)(struct gdr *gdr, struct gdr_handle handle);
	int (*map)(struct gdr *gdr, struct gdr_handle handle, void **base,
		   size_t size);
	int (*unmap)(struct gdr *gdr, struct gdr_handle handle, void *base,
		     size_t size);
} gdrapi; /* under the lock of cuda_gpu.c, as all of this file */

__attribute__((format(printf, 2, 3))) static void
explain(struct pinring_bar *bar, const char *format, ...)
{
	size_t used = strlen(bar->text);
	va_list args;

	va_start(args, format);
	vsnprintf(bar->text + used, sizeof(bar->text) - used, format, args);
	va_end(args);
}

/* 0; or an errno: of mmap(), or EOPNOTSUPP: the driver does not export it so. */
static int map_dmabuf(const struct pinring_cuda *cuda, struct pinring_bar *bar,
		      unsigned long long flags)
{
	void *at;
	int fd = -1, error;

	if (!cuda->memory_handle ||
	    cuda->memory_handle(&fd, bar->address, bar->size,
				CUDA_HANDLE_DMA_BUF, flags))
		return EOPNOTSUPP;
	at = mmap(NULL, bar->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED) {
		error = errno;
		close(fd);
		return error;
	}
	bar->base = at;
	bar->dmabuf = fd;
	return 0;
}

/*
 * As the driver would have it, and then, where that is another way into the GPU or
 * none that a CPU may map, through PCIe for certain.
 */
static bool by_dmabuf(const struct pinring_cuda *cuda, struct pinring_bar *bar)
{
	int first = map_dmabuf(cuda, bar, 0);
	int error = first ? map_dmabuf(cuda, bar, CUDA_DMA_BUF_PCIE) : 0;

	if (!error) {
		snprintf(bar->text, sizeof(bar->text),
			 "in GPU memory, mapped through its dma-buf%s",
			 first ? " (PCIe)" : "");
		return true;
	}
	/* An older driver knows no other way. */
	if (error == EOPNOTSUPP)
		error = first;
	if (error == EOPNOTSUPP)
		explain(bar, "the driver exports no dma-buf; ");
	else
		explain(bar, "its dma-buf cannot be mapped: %s; ",
			strerror(error));
	return false;
}

static bool find_gdrapi(struct pinring_bar *bar)
{
	static const struct {
		const char *name;
		void **to;
	} symbols[] = {
		{ "gdr_open", (void **)&gdrapi.open },
		{ "gdr_close", (void **)&gdrapi.close },
		{ "gdr_pin_buffer", (void **)&gdrapi.pin },
		{ "gdr_unpin_buffer", (void **)&gdrapi.unpin },
		{ "gdr_map", (void **)&gdrapi.map },
		{ "gdr_unmap", (void **)&gdrapi.unmap },
	};
	size_t i;

	if (gdrapi.library)
		return true;
	gdrapi.library = dlopen("libgdrapi.so.2", RTLD_NOW | RTLD_LOCAL);
	if (!gdrapi.library) {
		explain(bar, "there is no libgdrapi.so.2 (gdrcopy)");
		return false;
	}
	for (i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		*symbols[i].to = dlsym(gdrapi.library, symbols[i].name);
		if (*symbols[i].to)
			continue;
		explain(bar, "libgdrapi.so.2 has no %s", symbols[i].name);
		dlclose(gdrapi.library);
		gdrapi.library = NULL;
		return false;
	}
	return true;
}

static bool by_gdrapi(struct pinring_bar *bar)
{
	struct gdr_handle handle;
	void *at = NULL;
	int rc;

	if (!find_gdrapi(bar))
		return false;
	bar->gdr = gdrapi.open();
	if (!bar->gdr) {
		explain(bar,
			"libgdrapi finds no /dev/gdrdrv (modprobe gdrdrv)");
		return false;
	}
	rc = gdrapi.pin(bar->gdr, bar->address, bar->size, 0, 0, &handle);
	if (!rc) {
		rc = gdrapi.map(bar->gdr, handle, &at, bar->size);
		if (rc)
			gdrapi.unpin(bar->gdr, handle);
	}
	if (rc) {
		explain(bar, "libgdrapi cannot map it: %s", strerror(rc));
		gdrapi.close(bar->gdr);
		bar->gdr = NULL;
		return false;
	}
	bar->base = at;
	bar->handle = handle.h;
	snprintf(bar->text, sizeof(bar->text),
		 "in GPU memory, mapped through libgdrapi");
	return true;
}

void pinring_bar_open(const struct pinring_cuda *cuda, size_t size,
		      struct pinring_bar *bar)
{
	memset(bar, 0, sizeof(*bar));
	bar->dmabuf = -1;
	bar->size = (size + GPU_PAGE - 1) & ~(GPU_PAGE - 1);
	explain(bar, "in host memory: ");
	if (cuda->memory_alloc(&bar->memory, bar->size + GPU_PAGE)) {
		bar->memory = 0;
		explain(bar, "the GPU has none left");
		return;
	}
	bar->address = (bar->memory + GPU_PAGE - 1) & ~(GPU_PAGE - 1);
	if (by_dmabuf(cuda, bar) || by_gdrapi(bar))
		return;
	cuda->memory_free(bar->memory);
	bar->memory = 0;
}

void pinring_bar_close(const struct pinring_cuda *cuda,
		       struct pinring_bar *bar)
{
	struct gdr_handle handle = { bar->handle };

	if (!bar->base)
		return;
	if (bar->gdr) {
		gdrapi.unmap(bar->gdr, handle, bar->base, bar->size);
		gdrapi.unpin(bar->gdr, handle);
		gdrapi.close(bar->gdr);
	} else {
		munmap(bar->base, bar->size);
		close(bar->dmabuf);
	}
	cuda->memory_free(bar->memory);
	bar->base = NULL;
}
