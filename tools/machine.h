/* SPDX-License-Identifier: MIT */
/*
 * machine.h - what this machine offers, read from /sys and /proc.
 */
#ifndef PINRING_TOOL_MACHINE_H
#define PINRING_TOOL_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#define MACHINE_NODES_MAX 64
#define MACHINE_PAGES_MAX 4

struct machine_pages {
	uint64_t kib; /* size of one */
	uint64_t total, free;
};

struct machine_node {
	int number;
	char cpus[128]; /* as in "0-3,8" */
	uint64_t total_kib, free_kib;
	struct machine_pages pages[MACHINE_PAGES_MAX]; /* huge ones */
	int page_sizes;
};

struct machine {
	struct machine_node nodes[MACHINE_NODES_MAX];
	int node_count;
	bool has_nodes; /* false: no /sys/devices/system/node, one made up */
	uint64_t page_kib; /* the small ones */
	char thp[16], thp_shmem[16]; /* the policy in force, "" if there is none */
	bool memlock_unlimited;
	uint64_t memlock_bytes;

	bool module_device; /* /dev/pinring is there */
	bool module_loaded;
	bool module_installed; /* modprobe would find it */
	char nvidia[128]; /* the driver's version line, "" if none */
	bool libcuda;
};

void machine_read(struct machine *machine);

/* The first line of a file, without its newline; "" if there is none. */
bool machine_line(const char *path, char *line, size_t size);

#endif /* PINRING_TOOL_MACHINE_H */
