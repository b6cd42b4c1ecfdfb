// SPDX-License-Identifier: MIT
/*
 * fake_libgdrapi.c - gdrcopy's library as gpu/cuda_bar.c calls it, for the memory of
 * fake_libcuda.c: that is shared memory, which can be mapped a second time.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/mman.h>

#include "fake_gdr.h"

#define API __attribute__((visibility("default")))
#define GPU_PAGE 65536ul

struct gdr {
	unsigned long address; /* pinned; 0: nothing is */
	size_t size;
	void *mapped;
};

struct gdr_handle {
	unsigned long h;
};

API struct gdr *gdr_open(void);
API int gdr_close(struct gdr *gdr);
API int gdr_pin_buffer(struct gdr *gdr, unsigned long address, size_t size,
		       uint64_t token, uint32_t space, struct gdr_handle *handle);
API int gdr_unpin_buffer(struct gdr *gdr, struct gdr_handle handle);
API int gdr_map(struct gdr *gdr, struct gdr_handle handle, void **base, size_t size);
API int gdr_unmap(struct gdr *gdr, struct gdr_handle handle, void *base, size_t size);

static struct gdr only; /* one at a time */
static struct fake_gdr state;

API struct fake_gdr *fake_gdr(void)
{
	return &state;
}

API struct gdr *gdr_open(void)
{
	if (state.no_driver)
		return NULL;
	state.open++;
	return &only;
}

/* Nothing may be left, and it must be the one that was opened. */
API int gdr_close(struct gdr *gdr)
{
	state.misuse += gdr != &only || gdr->address || gdr->mapped;
	state.open--;
	return 0;
}

API int gdr_pin_buffer(struct gdr *gdr, unsigned long address, size_t size,
		       uint64_t token, uint32_t space, struct gdr_handle *handle)
{
	if (state.pin_fails)
		return ENOMEM;
	if (gdr->address || address % GPU_PAGE || size % GPU_PAGE || token || space)
		return EINVAL;
	gdr->address = address;
	gdr->size = size;
	handle->h = address + 1;
	state.pinned++;
	return 0;
}

API int gdr_unpin_buffer(struct gdr *gdr, struct gdr_handle handle)
{
	state.misuse += !gdr->address || handle.h != gdr->address + 1 || gdr->mapped;
	gdr->address = 0;
	state.pinned--;
	return 0;
}

API int gdr_map(struct gdr *gdr, struct gdr_handle handle, void **base, size_t size)
{
	void *at;

	if (state.map_fails)
		return EAGAIN;
	if (handle.h != gdr->address + 1 || size > gdr->size)
		return EINVAL;
	/* Of a shared mapping, an old size of 0 makes a second one. */
	at = mremap((void *)gdr->address, 0, size, MREMAP_MAYMOVE);
	if (at == MAP_FAILED)
		return errno;
	gdr->mapped = at;
	*base = at;
	state.mapped++;
	return 0;
}

API int gdr_unmap(struct gdr *gdr, struct gdr_handle handle, void *base, size_t size)
{
	state.misuse += base != gdr->mapped || size != gdr->size ||
			handle.h != gdr->address + 1;
	munmap(gdr->mapped, gdr->size);
	gdr->mapped = NULL;
	state.mapped--;
	return 0;
}
