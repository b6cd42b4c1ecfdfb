/* SPDX-License-Identifier: MIT */
/*
 * info_module.c - what `pinring info` says of the kernel module, if it is loaded.
 */
#include <inttypes.h>

#include "info_module.h"
#include "knobs.h"
#include "module.h"
#include "quantity.h"
#include "tool.h"

/* Of one bound and what there is of it. */
static void print_bytes(const struct module *m)
{
	char have[32], limit[32];

	quantity_bytes(have, sizeof(have), m->bytes);
	quantity_bytes(limit, sizeof(limit), m->max_bytes);
	printf("%-9s %" PRIu64 " regions, %s of at most %s (max_bytes)\n",
	       "memory", m->regions, have, limit);
}

static void print_reserves(const struct module *m)
{
	char size[32];
	int i;

	for (i = 0; i < m->pool_count; i++) {
		quantity_bytes(size, sizeof(size),
			       m->pools[i].pages * m->huge_page_bytes);
		printf("%-9s node %d: %" PRIu64 " huge pages, %s, %" PRIu64
		       " free\n",
		       "reserve", m->pools[i].node, m->pools[i].pages, size,
		       m->pools[i].free);
	}
}

static void print_pollers(const struct module *m)
{
	char spin[32] = "-", sleep[32] = "-", cpus[128] = "-";

	module_line("poll_spin_us", spin, sizeof(spin));
	module_line("poll_sleep_us", sleep, sizeof(sleep));
	module_line("poll_cpus", cpus, sizeof(cpus));
	printf("%-9s on CPUs %s; spin %s us, sleep %s us; worst wake %.1f us\n",
	       "pollers", cpus[0] ? cpus : "of each node", spin, sleep,
	       (double)m->worst_wake_ns / 1000.0);
	printf("%-9s %" PRIu64 " watched; %" PRIu64 " rings, %" PRIu64
	       " signals, %" PRIu64 " sleeps since load\n",
	       "doorbells", m->doorbells, m->rings, m->signals, m->sleeps);
}

void info_module_print(void)
{
	struct module m;

	module_read(&m);
	if (!m.loaded)
		return;
	printf("\n%smodule%s    ", tool_bold(), tool_plain());
	if (m.answers)
		printf("ABI %u, features: %s\n", m.abi, m.features);
	else
		puts("/dev/pinring cannot be opened by this user");
	print_bytes(&m);
	print_reserves(&m);
	print_pollers(&m);
	puts("(pinring knob: what can be set; pinring top: it all, live)");
}

static void json_knobs(struct json *json)
{
	char line[256];
	uint64_t value;
	size_t i;

	json_object(json, "knobs");
	for (i = 0; i < knobs_count; i++) {
		if (knobs[i].per_node ||
		    !module_line(knobs[i].name, line, sizeof(line)))
			continue;
		if (knobs[i].unit != KNOB_CPUS && parse_count(line, &value))
			json_count(json, knobs[i].name, value);
		else
			json_text(json, knobs[i].name, line);
	}
	json_end(json);
}

void info_module_json(struct json *json)
{
	struct module m;
	int i;

	module_read(&m);
	json_object(json, "module");
	json_bool(json, "loaded", m.loaded);
	if (m.answers) {
		json_count(json, "abi", m.abi);
		json_text(json, "features", m.features);
	}
	if (m.loaded) {
		json_count(json, "huge_page_bytes", m.huge_page_bytes);
		json_count(json, "region_count", m.regions);
		json_count(json, "bytes", m.bytes);
		json_count(json, "doorbells", m.doorbells);
		json_count(json, "rings", m.rings);
		json_count(json, "signals", m.signals);
		json_count(json, "sleeps", m.sleeps);
		json_count(json, "worst_wake_ns", m.worst_wake_ns);
		json_knobs(json);
		json_array(json, "reserves");
		for (i = 0; i < m.pool_count; i++) {
			json_object(json, NULL);
			json_integer(json, "node", m.pools[i].node);
			json_count(json, "pages", m.pools[i].pages);
			json_count(json, "free", m.pools[i].free);
			json_end(json);
		}
		json_end(json);
	}
	json_end(json);
}
