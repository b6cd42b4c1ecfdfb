/* SPDX-License-Identifier: MIT */
/*
 * knob.c - `pinring knob`: lists, explains, shows and sets what an administrator
 * can set of the kernel module.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "json.h"
#include "knobs.h"
#include "module.h"
#include "quantity.h"
#include "tool.h"

static const char help_text[] =
	"pinring knob: what an administrator can set of the kernel module\n"
	"\n"
	"  pinring knob [--json]               all knobs and their values\n"
	"  pinring knob [--json] NAME          what one does, and its value\n"
	"  pinring knob [--json] NAME VALUE    set it; for root\n"
	"\n"
	"Sizes may end in K, M, G or T (of 1024), times in us, ms or s, CPUs are a list\n"
	"as in 0-3,8. A value holds at once, until the module is unloaded.\n"
	"\n"
	"  --json   one JSON object, with exact numbers\n"
	"  --help   this text\n"
	"\n"
	"example:\n"
	"  pinring knob poll_sleep_us\n"
	"  sudo pinring knob max_bytes_per_user 8G\n"
	"  sudo pinring knob node0/reserve_pages 1G\n"
	"  sudo pinring knob poll_cpus 4-7\n";

static const char not_loaded[] =
	"the kernel module is not loaded: sudo modprobe pinring, and pinring info "
	"tells what is missing";

/* After what can be told without it. */
static int without_module(const char *about)
{
	fflush(stdout);
	return tool_fail(TOOL_SKIPPED, about, "no value: %s", not_loaded);
}

/* One file: a knob, on a node if it has one there. */
struct target {
	const struct knob *knob;
	char name[64]; /* as in node0/reserve_pages */
};

#define TARGETS_MAX (16 + MODULE_NODES_MAX)

/* Without the module there are no nodes to name: then one stands for all. */
static int list_targets(struct target list[TARGETS_MAX])
{
	int nodes[MODULE_NODES_MAX];
	int node_count = module_nodes(nodes);
	int count = 0;
	size_t i;
	int n;

	for (i = 0; i < knobs_count; i++) {
		const struct knob *k = &knobs[i];

		for (n = 0; n < (k->per_node && node_count ? node_count : 1);
		     n++) {
			struct target *t = &list[count++];

			t->knob = k;
			if (!k->per_node)
				snprintf(t->name, sizeof(t->name), "%s",
					 k->name);
			else if (node_count)
				snprintf(t->name, sizeof(t->name), "node%d/%s",
					 nodes[n], k->name);
			else
				snprintf(t->name, sizeof(t->name), "node*/%s",
					 k->name);
		}
	}
	return count;
}

/* -------------------------------------------------------------- in words */

static void say_number(char *text, size_t size, const struct knob *k,
		       uint64_t value)
{
	char bytes[32];

	switch (k->unit) {
	case KNOB_BYTES:
		quantity_bytes(text, size, value);
		break;
	case KNOB_US:
		quantity_us(text, size, value);
		break;
	case KNOB_PAGES:
		quantity_bytes(bytes, sizeof(bytes),
			       value * module_huge_page_bytes());
		snprintf(text, size, "%" PRIu64 " pages, %s", value, bytes);
		break;
	default:
		snprintf(text, size, "%" PRIu64 " %s", value, k->noun);
	}
}

/* What the file says, with its unit. */
static void say_value(char *text, size_t size, const struct knob *k,
		      const char *line)
{
	uint64_t value;

	if (k->unit == KNOB_CPUS)
		snprintf(text, size, "%s", *line ? line : "all of each node");
	else if (parse_count(line, &value))
		say_number(text, size, k, value);
	else
		snprintf(text, size, "%s", line);
}

static void say_range(char *text, size_t size, const struct knob *k)
{
	char low[32], high[32];

	if (k->unit == KNOB_CPUS) {
		snprintf(text, size, "CPUs that run");
		return;
	}
	if (k->max == INT64_MAX) {
		snprintf(text, size, "%" PRIu64 " to 2^63 - 1", k->min);
		return;
	}
	if (k->unit == KNOB_PAGES) {
		snprintf(text, size, "0 to what it has");
		return;
	}
	say_number(low, sizeof(low), k, k->min);
	say_number(high, sizeof(high), k, k->max);
	snprintf(text, size, "%s to %s", low, high);
}

static bool show(const struct target *t, char *value, size_t size)
{
	char line[256];

	snprintf(value, size, "-");
	if (!module_line(t->name, line, sizeof(line)))
		return false;
	say_value(value, size, t->knob, line);
	return true;
}

static int print_list(void)
{
	struct target list[TARGETS_MAX];
	int count = list_targets(list);
	int i;

	printf("%s%-22s  %-17s  %-16s  %s%s\n", tool_bold(), "knob", "value",
	       "range", "meaning", tool_plain());
	for (i = 0; i < count; i++) {
		char value[256], range[80];

		show(&list[i], value, sizeof(value));
		say_range(range, sizeof(range), list[i].knob);
		printf("%-22s  %-17s  %-16s  %s\n", list[i].name, value, range,
		       list[i].knob->brief);
	}
	if (!module_loaded())
		return without_module("knob");
	return TOOL_OK;
}

/* `name` may lack its node: then all of them are shown. */
static int explain(const struct knob *k, const char *name)
{
	struct target list[TARGETS_MAX];
	int count = list_targets(list);
	char range[80];
	int i;

	say_range(range, sizeof(range), k);
	printf("%s%s%s: %s\n\n%s\n\n%s\n\n", tool_bold(), name, tool_plain(),
	       k->brief, k->what, k->when);
	for (i = 0; i < count; i++) {
		char value[256];

		if (list[i].knob != k ||
		    (strcmp(name, k->name) && strcmp(name, list[i].name)) ||
		    !show(&list[i], value, sizeof(value)))
			continue;
		printf("%-9s %s\n", "value", value);
		printf("%-9s " MODULE_FOLDER "/%s\n", "file", list[i].name);
	}
	printf("%-9s %s\n%-9s %s\n", "range", range, "at load", k->at_load);
	if (!module_loaded())
		return without_module(name);
	return TOOL_OK;
}

/* --------------------------------------------------------------- in JSON */

static void json_line(struct json *json, const char *key,
		      const struct knob *k, const char *line)
{
	uint64_t value;

	if (k->unit == KNOB_CPUS || !parse_count(line, &value))
		json_text(json, key, line);
	else
		json_count(json, key, value);
}

static const char *unit_name(const struct knob *k)
{
	switch (k->unit) {
	case KNOB_BYTES:
		return "bytes";
	case KNOB_US:
		return "us";
	case KNOB_PAGES:
		return "pages";
	case KNOB_CPUS:
		return "cpus";
	default:
		return k->noun;
	}
}

static void json_target(struct json *json, const struct target *t)
{
	const struct knob *k = t->knob;
	char line[256];

	json_object(json, NULL);
	json_text(json, "name", t->name);
	if (module_line(t->name, line, sizeof(line)))
		json_line(json, "value", k, line);
	json_text(json, "unit", unit_name(k));
	if (k->unit != KNOB_CPUS) {
		json_count(json, "min", k->min);
		json_count(json, "max", k->max);
	}
	json_text(json, "at_load", k->at_load);
	json_text(json, "brief", k->brief);
	json_end(json);
}

/* All, or those of a knob, or the one that is named with its node. */
static int json_list(const struct knob *k, const char *name)
{
	struct json json = { .out = stdout };
	struct target list[TARGETS_MAX];
	int count = list_targets(list);
	int i;

	json_object(&json, NULL);
	json_bool(&json, "loaded", module_loaded());
	json_array(&json, "knobs");
	for (i = 0; i < count; i++)
		if (!k || (list[i].knob == k && (!strcmp(name, k->name) ||
						 !strcmp(name, list[i].name))))
			json_target(&json, &list[i]);
	json_end(&json);
	json_end(&json);
	if (!module_loaded())
		return without_module(k ? name : "knob");
	return TOOL_OK;
}

/* --------------------------------------------------------------- setting */

/* Pages may be given as a size. */
static bool take_pages(const char *text, uint64_t *value)
{
	uint64_t page = module_huge_page_bytes();
	uint64_t bytes;

	if (parse_count(text, value))
		return true;
	if (!quantity_take_bytes(text, &bytes) || bytes % page)
		return false;
	*value = bytes / page;
	return true;
}

/* A list of CPUs; "all" is the empty one. */
static bool take_cpus(const char **text)
{
	if (!strcmp(*text, "all"))
		*text = "";
	return !(*text)[strspn(*text, "0123456789,-")];
}

static int refuse(const struct knob *k, const char *name, const char *text,
		  const char *why)
{
	char range[80];

	say_range(range, sizeof(range), k);
	return tool_fail(TOOL_USAGE, name, "\"%s\" %s: give %s", text, why,
			 range);
}

/* What to write to the file. */
static int take_value(const struct knob *k, const char *name, const char *text,
		      char *line, size_t size)
{
	const char *expected = "is no number";
	uint64_t value = 0;
	bool good;

	switch (k->unit) {
	case KNOB_BYTES:
		expected = "is no size as in 4096, 64K, 2M or 1G";
		good = quantity_take_bytes(text, &value);
		break;
	case KNOB_US:
		expected = "is no time as in 50, 50us, 2ms or 1s";
		good = quantity_take_us(text, &value);
		break;
	case KNOB_PAGES:
		expected = "is no number of huge pages, nor a size that is a "
			   "multiple of one, as in 1G";
		good = take_pages(text, &value);
		break;
	case KNOB_CPUS:
		if (!take_cpus(&text))
			return refuse(k, name, text, "is no list as in 0-3,8");
		snprintf(line, size, "%s", text);
		return TOOL_OK;
	default:
		good = parse_count(text, &value);
	}
	if (!good)
		return refuse(k, name, text, expected);
	if (value < k->min || value > k->max)
		return refuse(k, name, text, "is out of range");
	snprintf(line, size, "%" PRIu64, value);
	return TOOL_OK;
}

static int write_file(const struct target *t, const char *line)
{
	char path[160], text[300];
	int length = snprintf(text, sizeof(text), "%s\n", line);
	int fd, error = 0;

	snprintf(path, sizeof(path), MODULE_FOLDER "/%s", t->name);
	fd = open(path, O_WRONLY | O_CLOEXEC | O_TRUNC);
	if (fd < 0)
		return errno;
	if (write(fd, text, (size_t)length) != length)
		error = errno;
	close(fd);
	return error;
}

/* It was not taken; now is what the file says after that. */
static int complain(const struct target *t, const char *text, int error,
		    const char *now)
{
	char value[256];

	say_value(value, sizeof(value), t->knob, now);
	switch (error) {
	case EACCES:
	case EPERM:
		return tool_fail(TOOL_FAILED, t->name,
				 "only root may set it: sudo pinring knob %s %s",
				 t->name, *text ? text : "\"\"");
	case EROFS:
		return tool_fail(TOOL_FAILED, t->name,
				 "/sys is read-only here: set it outside of "
				 "this container");
	case EINVAL:
		return refuse(t->knob, t->name, text,
			      "is not taken by the kernel");
	case ENOMEM:
		return tool_fail(TOOL_FAILED, t->name,
				 "the node has fewer free huge pages than that: "
				 "it is %s now; echo 1 > "
				 "/proc/sys/vm/compact_memory may make more",
				 value);
	case EINTR:
		return tool_fail(TOOL_FAILED, t->name,
				 "stopped by a signal: it is %s now", value);
	default:
		return tool_fail(TOOL_FAILED, t->name,
				 "cannot be set to %s: %s; it is %s now", text,
				 strerror(error), value);
	}
}

static int set(const struct target *t, const char *text, const char *line,
	       bool json)
{
	struct json writer = { .out = stdout };
	char before[256], after[256];
	char from[256], to[256];
	int error;

	if (!module_line(t->name, before, sizeof(before)))
		return tool_fail(TOOL_FAILED, t->name,
				 "the module that is loaded has no such knob: it "
				 "is of another version");
	error = write_file(t, line);
	module_line(t->name, after, sizeof(after));
	if (error)
		return complain(t, text, error, after);
	if (json) {
		json_object(&writer, NULL);
		json_text(&writer, "name", t->name);
		json_line(&writer, "before", t->knob, before);
		json_line(&writer, "value", t->knob, after);
		json_end(&writer);
		return TOOL_OK;
	}
	say_value(from, sizeof(from), t->knob, before);
	say_value(to, sizeof(to), t->knob, after);
	printf("%s: %s -> %s\n", t->name, from, to);
	return TOOL_OK;
}

/* --------------------------------------------------------------- command */

/* Splits off the node; NULL if there is no such knob. */
static const struct knob *find(const char *name)
{
	const char *slash = strchr(name, '/');
	bool of_node = slash && !strncmp(name, "node", 4);
	size_t i;

	for (i = 0; i < knobs_count; i++) {
		if (!strcmp(name, knobs[i].name))
			return &knobs[i];
		if (of_node && knobs[i].per_node &&
		    !strcmp(slash + 1, knobs[i].name))
			return &knobs[i];
	}
	return NULL;
}

/* The file that is meant, of those there are. */
static int aim(const struct knob *k, const char *name, struct target *t)
{
	struct target list[TARGETS_MAX];
	int count = list_targets(list);
	int i, last = 0;

	for (i = 0; i < count; i++) {
		if (list[i].knob != k)
			continue;
		last = i;
		if (!strcmp(list[i].name, name)) {
			*t = list[i];
			return TOOL_OK;
		}
	}
	if (!strcmp(name, k->name))
		return tool_fail(TOOL_USAGE, name,
				 "each node has its own: name one, as in %s",
				 list[last].name);
	return tool_fail(TOOL_USAGE, name,
			 "there is no such node: the last one is %s",
			 list[last].name);
}

static int answer(int count, char **words, bool json)
{
	const struct knob *k;
	struct target target;
	char line[256];
	int code;

	if (!count)
		return json ? json_list(NULL, NULL) : print_list();
	k = find(words[0]);
	if (!k)
		return tool_fail(TOOL_USAGE, "knob",
				 "there is no knob \"%s\": pinring knob lists "
				 "them all",
				 words[0]);
	if (count > 2)
		return tool_fail(TOOL_USAGE, words[2],
				 "is one word too many: give one value");
	if (count == 2) {
		code = take_value(k, words[0], words[1], line, sizeof(line));
		if (code)
			return code;
		if (!module_loaded())
			return tool_fail(TOOL_SKIPPED, words[0], "%s",
					 not_loaded);
	}
	if (module_loaded() && (count == 2 || strcmp(words[0], k->name))) {
		code = aim(k, words[0], &target);
		if (code)
			return code;
	}
	if (count == 2)
		return set(&target, words[1], line, json);
	return json ? json_list(k, words[0]) : explain(k, words[0]);
}

int tool_knob(int argc, char **argv)
{
	bool json;
	int code = parse_json(argc, argv, "pinring knob", help_text, &json);

	if (code >= 0)
		return code;
	return answer(argc - optind, argv + optind, json);
}
