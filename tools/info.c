/* SPDX-License-Identifier: MIT */
/*
 * info.c - `pinring info`: what this machine offers, and what it lacks.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <pinring/pinring.h>

#include "findings.h"
#include "info_module.h"
#include "json.h"
#include "machine.h"
#include "quantity.h"
#include "regions.h"
#include "survey.h"
#include "tool.h"

static const char help_text[] =
	"pinring info: what this machine offers, and what it lacks\n"
	"\n"
	"  pinring info [--json]\n"
	"\n"
	"Backends, executors, huge pages, NUMA nodes, limits, and what the tool was\n"
	"built with. Below each missing thing is the command that would give it. Then\n"
	"the kernel module, if it is loaded, and its regions that this user may see.\n"
	"\n"
	"  --json   one JSON object\n"
	"  --help   this text\n"
	"\n"
	"example:\n"
	"  pinring info --json | python3 -m json.tool\n";

static void print_nodes(const struct machine *m)
{
	int i, k;

	printf("\n%s%-6s %-16s %10s %10s   %s%s\n", tool_bold(), "node", "cpus",
	       "memory", "free", "huge pages free of all", tool_plain());
	for (i = 0; i < m->node_count; i++) {
		const struct machine_node *n = &m->nodes[i];

		printf("%-6d %-16s %6.1f GiB %6.1f GiB  ", n->number,
		       n->cpus[0] ? n->cpus : "none",
		       (double)n->total_kib / 1048576.0,
		       (double)n->free_kib / 1048576.0);
		for (k = 0; k < n->page_sizes; k++)
			printf("%s %" PRIu64 " of %" PRIu64 " x %" PRIu64 " MiB",
			       k ? "," : "", n->pages[k].free,
			       n->pages[k].total, n->pages[k].kib / 1024);
		puts(n->page_sizes ? "" : " none in this kernel");
	}
	if (!m->has_nodes)
		puts("(this kernel has no NUMA support: all is one node)");
}

static void print_regions(void)
{
	struct pinring_ioc_region_info r;
	int device = regions_open();
	uint64_t id;

	for (id = 0; regions_next(device, id, &r); id = r.id) {
		char size[16], mode[16] = "-", name[PINRING_IOC_NAME_MAX];

		if (!id)
			printf("\n%s%-8s %10s %-5s %10s %5s %5s %6s  %s%s\n",
			       tool_bold(), "region", "owner", "mode", "size",
			       "huge", "node", "bells", "name", tool_plain());
		quantity_bytes(size, sizeof(size), r.size);
		survey_text(name, sizeof(name), r.name);
		if (r.mode)
			snprintf(mode, sizeof(mode), "%04o", r.mode);
		printf("%-8" PRIu64 " %10u %-5s %10s %4d%% %5d %6u  %s\n",
		       (uint64_t)r.id, r.owner, mode, size,
		       (int)(r.huge_bytes * 100 / r.size), r.node, r.doorbells,
		       name);
	}
	regions_close(device);
}

static void print_text(const struct findings *all, const struct machine *m)
{
	int i;

	printf("%spinring %s%s\n\n", tool_bold(), pinring_version(),
	       tool_plain());
	for (i = 0; i < all->count; i++) {
		const struct finding *f = &all->list[i];

		printf("%-9s %-12s %s%-3s%s  %s\n", f->group, f->name,
		       f->there ? "" : tool_bold(), f->there ? "yes" : "no",
		       tool_plain(), f->detail);
		if (f->need[0])
			printf("%-9s %-12s %-3s  needs: %s\n", "", "", "",
			       f->need);
	}
	print_nodes(m);
	info_module_print();
	print_regions();
}

static void json_node(struct json *json, const struct machine_node *n)
{
	int k;

	json_object(json, NULL);
	json_integer(json, "node", n->number);
	json_text(json, "cpus", n->cpus);
	json_count(json, "total_kib", n->total_kib);
	json_count(json, "free_kib", n->free_kib);
	json_array(json, "huge_pages");
	for (k = 0; k < n->page_sizes; k++) {
		json_object(json, NULL);
		json_count(json, "kib", n->pages[k].kib);
		json_count(json, "total", n->pages[k].total);
		json_count(json, "free", n->pages[k].free);
		json_end(json);
	}
	json_end(json);
	json_end(json);
}

static void json_regions(struct json *json)
{
	struct pinring_ioc_region_info r;
	int device = regions_open();
	uint64_t id;

	json_array(json, "regions");
	for (id = 0; regions_next(device, id, &r); id = r.id) {
		char name[PINRING_IOC_NAME_MAX];

		survey_text(name, sizeof(name), r.name);
		json_object(json, NULL);
		json_count(json, "id", r.id);
		json_text(json, "name", name);
		json_count(json, "owner", r.owner);
		json_count(json, "group", r.group);
		json_count(json, "mode", r.mode);
		json_count(json, "bytes", r.size);
		json_count(json, "huge_bytes", r.huge_bytes);
		json_integer(json, "node", r.node);
		json_count(json, "node_bytes", r.node_bytes);
		json_count(json, "doorbells", r.doorbells);
		json_end(json);
	}
	json_end(json);
	regions_close(device);
}

static void json_info(const struct findings *all, const struct machine *m)
{
	struct json json = { .out = stdout };
	int i;

	json_object(&json, NULL);
	json_text(&json, "version", pinring_version());
	json_count(&json, "abi_version", PINRING_ABI_VERSION);
	json_array(&json, "findings");
	for (i = 0; i < all->count; i++) {
		const struct finding *f = &all->list[i];

		json_object(&json, NULL);
		json_text(&json, "group", f->group);
		json_text(&json, "name", f->name);
		json_bool(&json, "there", f->there);
		json_text(&json, "detail", f->detail);
		json_text(&json, "needs", f->need);
		json_end(&json);
	}
	json_end(&json);
	json_count(&json, "page_kib", m->page_kib);
	json_bool(&json, "numa", m->has_nodes);
	json_array(&json, "nodes");
	for (i = 0; i < m->node_count; i++)
		json_node(&json, &m->nodes[i]);
	json_end(&json);
	json_text(&json, "thp", m->thp);
	json_text(&json, "thp_shmem", m->thp_shmem);
	json_bool(&json, "memlock_unlimited", m->memlock_unlimited);
	if (!m->memlock_unlimited)
		json_count(&json, "memlock_bytes", m->memlock_bytes);
	info_module_json(&json);
	json_regions(&json);
	json_end(&json);
}

static int answer(bool json)
{
	struct machine *machine = calloc(1, sizeof(*machine));
	struct findings *findings = calloc(1, sizeof(*findings));
	int code;

	if (!machine || !findings) {
		code = tool_fail(TOOL_FAILED, "info", "not enough memory");
	} else {
		machine_read(machine);
		code = findings_gather(findings, machine);
	}
	if (!code && json)
		json_info(findings, machine);
	else if (!code)
		print_text(findings, machine);
	free(machine);
	free(findings);
	return code;
}

int tool_info(int argc, char **argv)
{
	bool json;
	int code = parse_json(argc, argv, "pinring info", help_text, &json);

	if (code >= 0)
		return code;
	if (optind < argc)
		return tool_fail(TOOL_USAGE, argv[optind],
				 "is no option of info: pinring info --help "
				 "lists them");
	return answer(json);
}
