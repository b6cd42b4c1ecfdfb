// SPDX-License-Identifier: MIT
/*
 * backing.c - memory behind a region on the embedded backend.
 *
 * A memfd of 2 MiB hugetlb pages if the pool has them; else a memfd on tmpfs,
 * mapped at a 2 MiB boundary with MADV_HUGEPAGE; else that with 4 KiB pages.
 * The memfd is sealed against shrinking and growing: a peer that could truncate
 * it would turn our next load into SIGBUS.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "internal.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

/*
 * Maps at a multiple of the page size, so that the kernel may use huge pages: where the
 * kernel likes, which mostly is such a place; else where there was space a moment ago.
 * Never over a reservation of our own: a MAP_FIXED that fails, as that of hugetlb pages
 * does which are not to be had, may leave a gap there (vms_abort_munmap_vmas() in Linux),
 * and to give back the reservation would then unmap what another thread put into it.
 */
void *pinring_backing_map(int fd, uint64_t size, uint64_t align)
{
	unsigned char *at = NULL;
	void *map, *space;

	for (int tries = 0; tries < 64; tries++) {
		map = mmap(at, size, PROT_READ | PROT_WRITE,
			   MAP_SHARED | (at ? MAP_FIXED_NOREPLACE : 0), fd, 0);
		if (map == MAP_FAILED && errno != EEXIST)
			return MAP_FAILED;
		if (map != MAP_FAILED) {
			if (!((uintptr_t)map & (align - 1)))
				goto mapped;
			munmap(map, size);
		}
		space = mmap(NULL, size + align, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (space == MAP_FAILED)
			return MAP_FAILED;
		at = (unsigned char *)(((uintptr_t)space + align - 1) & ~(align - 1));
		munmap(space, size + align);
	}
	errno = ENOMEM; /* other threads took each of these places */
	return MAP_FAILED;
mapped:
	/* Without effect on hugetlb; a refusal costs huge pages, nothing else. */
	if (align == PINRING_HUGE_PAGE)
		(void)madvise(map, size, MADV_HUGEPAGE);
	return map;
}

static int make_memfd(const char *name, uint64_t size, unsigned int flags)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);
	int saved;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) ==
		    0)
		return fd;
	saved = errno;
	close(fd);
	return -saved;
}

/* "always within_size [advise] never" -> advise */
static void bracketed(const char *path, char *word, size_t size)
{
	char line[128] = "";
	char *word_at, *end;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	snprintf(word, size, "unknown");
	if (fd < 0)
		return;
	n = read(fd, line, sizeof(line) - 1);
	close(fd);
	if (n <= 0)
		return;
	word_at = strchr(line, '[');
	end = word_at ? strchr(word_at, ']') : NULL;
	if (!end)
		return;
	*end = '\0';
	snprintf(word, size, "%s", word_at + 1);
}

static bool shmem_thp(void)
{
	char word[16];

	bracketed("/sys/kernel/mm/transparent_hugepage/shmem_enabled", word,
		  sizeof(word));
	return !strcmp(word, "advise") || !strcmp(word, "always") ||
	       !strcmp(word, "within_size") || !strcmp(word, "force");
}

static int try_hugetlb(const char *name, uint64_t size,
		       struct pinring_region *region)
{
	int fd = make_memfd(name, size, MFD_HUGETLB | MFD_HUGE_2MB);
	void *map;

	if (fd < 0)
		return fd;
	/* Reserves the pages now, so that no later touch can fail. */
	map = pinring_backing_map(fd, size, PINRING_HUGE_PAGE);
	if (map == MAP_FAILED) {
		int saved = errno;

		close(fd);
		return -saved;
	}
	region->fd = fd;
	region->base = map;
	region->size = size;
	region->page_size = PINRING_HUGE_PAGE;
	return 0;
}

static int try_tmpfs(struct pinring_device *device, const char *name,
		     uint64_t size, bool huge, struct pinring_region *region)
{
	uint64_t align = huge ? PINRING_HUGE_PAGE : 4096;
	int fd = make_memfd(name, size, 0);
	void *map;

	if (fd < 0)
		return pinring_fail(device, fd,
				    "cannot make a memfd of %llu bytes: %s",
				    (unsigned long long)size, strerror(-fd));
	map = pinring_backing_map(fd, size, align);
	if (map == MAP_FAILED) {
		int saved = errno;

		close(fd);
		return pinring_fail(device, -saved,
				    "cannot map %llu bytes: %s",
				    (unsigned long long)size, strerror(saved));
	}
	region->fd = fd;
	region->base = map;
	region->size = size;
	region->page_size = align;
	return 0;
}

static int choose_pages(struct pinring_device *device,
			const struct pinring_region_config *config,
			struct pinring_region *region)
{
	const char *name = config->name ? config->name : "pinring";
	uint64_t huge_size = (config->size + PINRING_HUGE_PAGE - 1) &
			     ~(PINRING_HUGE_PAGE - 1);
	uint64_t small_size = (config->size + 4095) & ~4095ull;
	int rc;

	if (config->flags & PINRING_REGION_SMALL_PAGES) {
		snprintf(region->reason, sizeof(region->reason),
			 "small pages were asked for");
		return try_tmpfs(device, name, small_size, false, region);
	}
	rc = try_hugetlb(name, huge_size, region);
	if (rc == 0)
		return 0;
	if (shmem_thp()) {
		snprintf(region->reason, sizeof(region->reason),
			 "transparent huge pages: no %llu free hugetlb pages (sysctl vm.nr_hugepages=%llu)",
			 (unsigned long long)(huge_size / PINRING_HUGE_PAGE),
			 (unsigned long long)(huge_size / PINRING_HUGE_PAGE));
		return try_tmpfs(device, name, huge_size, true, region);
	}
	snprintf(region->reason, sizeof(region->reason),
		 "4 KiB pages: no free hugetlb pages (sysctl vm.nr_hugepages=%llu), and transparent_hugepage/shmem_enabled is off (echo advise)",
		 (unsigned long long)(huge_size / PINRING_HUGE_PAGE));
	return try_tmpfs(device, name, small_size, false, region);
}

static int prefault(struct pinring_device *device,
		    const struct pinring_region *region)
{
	uint64_t i;

	if (madvise(region->base, region->size, MADV_POPULATE_WRITE) == 0)
		return 0;
	if (errno != EINVAL)
		return pinring_fail(device, errno == EFAULT ? -ENOMEM : -errno,
				    "cannot prefault %llu bytes: %m",
				    (unsigned long long)region->size);
	/* A kernel before 5.14. New pages are zero: writing 0 changes nothing. */
	for (i = 0; i < region->size; i += 4096)
		*(volatile unsigned char *)(region->base + i) = 0;
	return 0;
}

int pinring_backing_create(struct pinring_device *device,
			   const struct pinring_region_config *config,
			   struct pinring_region *region)
{
	bool strict = config->flags & PINRING_REGION_STRICT_NODE;
	char node_reason[96] = "";
	struct sysinfo si;
	int node, rc;

	if (sysinfo(&si) == 0 && config->size > (uint64_t)si.totalram *
							si.mem_unit)
		return pinring_fail(device, -ENOMEM,
				    "size: %llu bytes is more than this machine's memory",
				    (unsigned long long)config->size);
	rc = pinring_node_resolve(device, config, &node, node_reason,
				  sizeof(node_reason));
	if (rc)
		return rc;
	if (device->backend == PINRING_BACKEND_MODULE) {
		rc = pinring_module_create(device, config, node, region);
		if (rc)
			return rc;
		goto done;
	}
	rc = choose_pages(device, config, region);
	if (rc)
		return rc;
	region->backend = PINRING_BACKEND_EMBEDDED;
	if (node >= 0) {
		rc = pinring_node_bind(device, region->base, region->size, node,
				       strict, node_reason,
				       sizeof(node_reason));
		if (rc)
			goto fail;
	}
	if (config->flags & PINRING_REGION_PREFAULT) {
		rc = prefault(device, region);
		if (rc)
			goto fail;
	}
done:
	if (node_reason[0]) {
		size_t used = strlen(region->reason);

		snprintf(region->reason + used, sizeof(region->reason) - used,
			 "%s%s", used ? "; " : "", node_reason);
	}
	return 0;
fail:
	munmap(region->base, region->size);
	close(region->fd);
	return rc;
}
