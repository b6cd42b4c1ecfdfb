/* SPDX-License-Identifier: MIT */
/*
 * module.c - the kernel module, as it says and its files below /sys tell.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "machine.h"
#include "module.h"
#include "regions.h"
#include "tool.h"

bool module_line(const char *file, char *line, size_t size)
{
	char path[160];

	snprintf(path, sizeof(path), MODULE_FOLDER "/%s", file);
	return machine_line(path, line, size);
}

static uint64_t figure(const char *file)
{
	uint64_t value = 0;
	char line[32];

	if (module_line(file, line, sizeof(line)))
		parse_count(line, &value);
	return value;
}

bool module_loaded(void)
{
	return !access(MODULE_FOLDER, F_OK);
}

static int ascending(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

int module_nodes(int nodes[MODULE_NODES_MAX])
{
	DIR *dir = opendir(MODULE_FOLDER);
	struct dirent *entry;
	int count = 0;

	while (dir && (entry = readdir(dir)) && count < MODULE_NODES_MAX) {
		uint64_t number;

		if (strncmp(entry->d_name, "node", 4) ||
		    !parse_count(entry->d_name + 4, &number) || number > 9999)
			continue;
		nodes[count++] = (int)number;
	}
	if (dir)
		closedir(dir);
	qsort(nodes, (size_t)count, sizeof(nodes[0]), ascending);
	return count;
}

uint64_t module_huge_page_bytes(void)
{
	uint64_t value;
	char line[32];

	if (!machine_line("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size",
		       line, sizeof(line)) ||
	    !parse_count(line, &value) || !value)
		return 2u << 20; /* every x86-64 kernel's */
	return value;
}

static void say_features(char *text, size_t size, uint64_t features)
{
	/* By the bits of PINRING_IOC_FEATURE_*. */
	static const char *const names[] = { "names", "dma-buf", "adopt" };
	const size_t count = sizeof(names) / sizeof(names[0]);
	size_t i, at = 0;

	snprintf(text, size, "%s", features ? "" : "none");
	for (i = 0; i < count; i++)
		if (features >> i & 1)
			at += (size_t)snprintf(text + at, size - at, "%s%s",
					       at ? ", " : "", names[i]);
	if (features >> count)
		snprintf(text + at, size - at, "%sothers: %#" PRIx64,
			 at ? ", " : "", features >> count << count);
}

static void ask(struct module *m)
{
	struct pinring_ioc_info info = { .struct_size = sizeof(info) };
	int fd = regions_open();

	if (fd < 0)
		return;
	if (!ioctl(fd, PINRING_IOC_INFO, &info)) {
		m->answers = true;
		m->abi = info.abi;
		say_features(m->features, sizeof(m->features), info.features);
	}
	regions_close(fd);
}

void module_read(struct module *m)
{
	int nodes[MODULE_NODES_MAX];
	char file[64];
	int i;

	memset(m, 0, sizeof(*m));
	m->loaded = module_loaded();
	if (!m->loaded)
		return;
	ask(m);
	m->regions = figure("regions");
	m->bytes = figure("bytes");
	m->doorbells = figure("doorbells");
	m->rings = figure("rings");
	m->signals = figure("signals");
	m->sleeps = figure("sleeps");
	m->worst_wake_ns = figure("worst_wake_ns");
	m->max_bytes = figure("max_bytes");
	m->huge_page_bytes = module_huge_page_bytes();
	m->pool_count = module_nodes(nodes);
	for (i = 0; i < m->pool_count; i++) {
		m->pools[i].node = nodes[i];
		snprintf(file, sizeof(file), "node%d/reserve_pages", nodes[i]);
		m->pools[i].pages = figure(file);
		snprintf(file, sizeof(file), "node%d/free_pages", nodes[i]);
		m->pools[i].free = figure(file);
	}
}
