/* SPDX-License-Identifier: MIT */
/*
 * module.h - the kernel module: what it is, and what docs/sysfs.md tells of it.
 */
#ifndef PINRING_TOOL_MODULE_H
#define PINRING_TOOL_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODULE_FOLDER "/sys/class/misc/pinring"
#define MODULE_NODES_MAX 64

struct module_pool {
	int node;
	uint64_t pages, free;
};

struct module {
	bool loaded;
	bool answers; /* /dev/pinring may be opened: the next two are there */
	uint32_t abi;
	char features[128]; /* in words */
	uint64_t regions, bytes, doorbells;
	uint64_t rings, signals, sleeps, worst_wake_ns; /* since load */
	uint64_t max_bytes;
	struct module_pool pools[MODULE_NODES_MAX];
	int pool_count;
	uint64_t huge_page_bytes; /* what a page of a pool is */
};

bool module_loaded(void);

/* What cannot be read is zero. */
void module_read(struct module *module);

/* Numbers of the nodes that have a folder, in order; returns how many. */
int module_nodes(int nodes[MODULE_NODES_MAX]);

/* One value, without its newline, of a file below MODULE_FOLDER. */
bool module_line(const char *file, char *line, size_t size);

uint64_t module_huge_page_bytes(void);

#endif /* PINRING_TOOL_MODULE_H */
