/* SPDX-License-Identifier: MIT */
/*
 * machine.c - what this machine offers, read from /sys and /proc.
 *
 * What cannot be read is left empty or zero: half an answer is better here than
 * none.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "machine.h"

#define NODES "/sys/devices/system/node"

bool machine_line(const char *path, char *line, size_t size)
{
	FILE *file = fopen(path, "re");
	bool there;

	line[0] = '\0';
	if (!file)
		return false;
	there = fgets(line, (int)size, file);
	fclose(file);
	line[strcspn(line, "\n")] = '\0';
	return there;
}

static uint64_t read_count(const char *path)
{
	char line[64];

	machine_line(path, line, sizeof(line));
	return strtoull(line, NULL, 10);
}

/* "always [madvise] never": the word in brackets. */
static void read_choice(const char *path, char *word, size_t size)
{
	char line[128];
	char *from;

	word[0] = '\0';
	if (!machine_line(path, line, sizeof(line)))
		return;
	from = strchr(line, '[');
	if (!from)
		return;
	from++;
	from[strcspn(from, "]")] = '\0';
	snprintf(word, size, "%.*s", (int)size - 1, from);
}

/* "Node 0 MemTotal:  24 kB", or the same without the node. */
static void read_memory(const char *path, struct machine_node *node)
{
	FILE *file = fopen(path, "re");
	char line[128];

	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		char *total = strstr(line, "MemTotal:");
		char *spare = strstr(line, "MemFree:");

		if (total)
			node->total_kib = strtoull(total + 9, NULL, 10);
		if (spare)
			node->free_kib = strtoull(spare + 8, NULL, 10);
	}
	fclose(file);
}

static int by_size(const void *a, const void *b)
{
	const struct machine_pages *x = a, *y = b;

	return (x->kib > y->kib) - (x->kib < y->kib);
}

/* The folder's entries are named hugepages-2048kB. */
static void read_pages(const char *folder, struct machine_node *node)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	char path[512];

	while (dir && (entry = readdir(dir))) {
		struct machine_pages *pages = &node->pages[node->page_sizes];

		if (strncmp(entry->d_name, "hugepages-", 10) ||
		    node->page_sizes == MACHINE_PAGES_MAX)
			continue;
		pages->kib = strtoull(entry->d_name + 10, NULL, 10);
		snprintf(path, sizeof(path), "%s/%.64s/nr_hugepages", folder,
			 entry->d_name);
		pages->total = read_count(path);
		snprintf(path, sizeof(path), "%s/%.64s/free_hugepages", folder,
			 entry->d_name);
		pages->free = read_count(path);
		node->page_sizes++;
	}
	if (dir)
		closedir(dir);
	qsort(node->pages, (size_t)node->page_sizes, sizeof(node->pages[0]),
	      by_size);
}

static void read_node(struct machine_node *node, int number)
{
	char path[128];

	node->number = number;
	snprintf(path, sizeof(path), NODES "/node%d/cpulist", number);
	machine_line(path, node->cpus, sizeof(node->cpus));
	snprintf(path, sizeof(path), NODES "/node%d/meminfo", number);
	read_memory(path, node);
	snprintf(path, sizeof(path), NODES "/node%d/hugepages", number);
	read_pages(path, node);
}

/* A kernel without NUMA: the same from the places that every kernel has. */
static void read_whole(struct machine_node *node)
{
	node->number = 0;
	machine_line("/sys/devices/system/cpu/online", node->cpus,
		  sizeof(node->cpus));
	read_memory("/proc/meminfo", node);
	read_pages("/sys/kernel/mm/hugepages", node);
}

static void read_nodes(struct machine *machine)
{
	char online[256];
	char *at = online;

	machine->has_nodes = machine_line(NODES "/online", online, sizeof(online));
	/* A list of ranges, as in "0-1,4". */
	while (machine->has_nodes && *at) {
		long first = strtol(at, &at, 10);
		long last = first;

		if (*at == '-')
			last = strtol(at + 1, &at, 10);
		for (; first <= last; first++)
			if (machine->node_count < MACHINE_NODES_MAX)
				read_node(&machine->nodes[machine->node_count++],
					  (int)first);
		if (*at != ',')
			break;
		at++;
	}
	if (!machine->node_count)
		read_whole(&machine->nodes[machine->node_count++]);
}

/* Is there a pinring.ko that modprobe knows for this kernel? */
static bool module_installed(void)
{
	struct utsname name;
	char text[512];
	bool found = false;
	FILE *file;

	if (uname(&name))
		return false;
	snprintf(text, sizeof(text), "/lib/modules/%s/modules.dep",
		 name.release);
	file = fopen(text, "re");
	while (file && !found && fgets(text, sizeof(text), file))
		found = strstr(text, "/pinring.ko");
	if (file)
		fclose(file);
	return found;
}

static void read_gpu(struct machine *machine)
{
	void *library;

	machine_line("/proc/driver/nvidia/version", machine->nvidia,
		  sizeof(machine->nvidia));
	library = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
	machine->libcuda = library;
	if (library)
		dlclose(library);
}

void machine_read(struct machine *machine)
{
	struct rlimit memlock;
	char line[64];

	memset(machine, 0, sizeof(*machine));
	machine->page_kib = (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
	read_nodes(machine);
	read_choice("/sys/kernel/mm/transparent_hugepage/enabled", machine->thp,
		    sizeof(machine->thp));
	read_choice("/sys/kernel/mm/transparent_hugepage/shmem_enabled",
		    machine->thp_shmem, sizeof(machine->thp_shmem));
	if (!getrlimit(RLIMIT_MEMLOCK, &memlock)) {
		machine->memlock_unlimited = memlock.rlim_cur == RLIM_INFINITY;
		machine->memlock_bytes = memlock.rlim_cur;
	}
	machine->module_device = !access("/dev/pinring", F_OK);
	machine->module_loaded =
		machine_line("/sys/module/pinring/refcnt", line, sizeof(line));
	machine->module_installed = module_installed();
	read_gpu(machine);
}
