/* SPDX-License-Identifier: MIT */
/*
 * layout.c - `pinring layout`: the structs in shared memory, byte by byte.
 */
#include <inttypes.h>
#include <string.h>

#include <pinring/pinring_layout.h>

#include "json.h"
#include "layout.h"
#include "tool.h"

static const char help_text[] =
	"pinring layout: the structs in shared memory, byte by byte\n"
	"\n"
	"  pinring layout [--json] [STRUCT ...]\n"
	"\n"
	"Offsets and sizes are in bytes, as this program was compiled; `writer` is who\n"
	"may store to a field. A struct may be named with or without \"pinring_\".\n"
	"\n"
	"  --json   one JSON object\n"
	"  --help   this text\n"
	"\n"
	"example:\n"
	"  pinring layout control_block\n";

/* Every byte in exactly one field, in order. */
static int check(const struct layout_struct *s)
{
	size_t at = 0;
	size_t i;

	for (i = 0; i <= s->count; i++) {
		size_t next = i < s->count ? s->fields[i].offset : s->size;

		if (next > at)
			return tool_fail(TOOL_FAILED, "layout",
					 "bytes %zu to %zu of struct %s are in "
					 "no field: add the field to "
					 "tools/layout_table.c",
					 at, next - 1, s->name);
		if (next < at)
			return tool_fail(TOOL_FAILED, "layout",
					 "byte %zu of struct %s is in two "
					 "fields: mend tools/layout_table.c",
					 next, s->name);
		if (i < s->count)
			at += s->fields[i].size;
	}
	return TOOL_OK;
}

static size_t reserved_bytes(const struct layout_struct *s)
{
	size_t sum = 0;
	size_t i;

	for (i = 0; i < s->count; i++)
		if (!strcmp(s->fields[i].writer, "nobody"))
			sum += s->fields[i].size;
	return sum;
}

static void print_field(const struct layout_field *f, size_t line)
{
	char declared[64];
	/* A long type takes its room from the name's column. */
	int type = (int)strlen(f->type);
	int rest = type > 6 ? 28 - type : 22;

	if (f->size > f->unit)
		snprintf(declared, sizeof(declared), "%s[%zu];", f->name,
			 f->size / f->unit);
	else
		snprintf(declared, sizeof(declared), "%s;", f->name);
	printf("\t%-6s %-*s /* %5zu %5zu   %-30s */", f->type, rest, declared,
	       f->offset, f->size, f->writer);
	if (f->offset / PINRING_LINE != (f->offset + f->size - 1) / PINRING_LINE)
		printf(" /* lines %zu to %zu */", line,
		       (f->offset + f->size - 1) / PINRING_LINE);
	putchar('\n');
}

static void print_struct(const struct layout_struct *s)
{
	size_t shown = 0;
	size_t i;

	printf("%sstruct %s%s {\n", tool_bold(), s->name, tool_plain());
	printf("\t%-6s %-22s /* %5s %5s   %-30s */\n", "", "", "at", "size",
	       "writer");
	for (i = 0; i < s->count; i++) {
		const struct layout_field *f = &s->fields[i];
		size_t line = f->offset / PINRING_LINE;

		if (line != shown)
			printf("\t/* --- line %zu, byte %zu --- */\n", line,
			       line * PINRING_LINE);
		shown = line;
		print_field(f, line);
	}
	printf("\n\t/* size %zu, aligned %zu, lines %zu, fields %zu, "
	       "reserved %zu, holes 0 */\n};\n",
	       s->size, s->align, (s->size + PINRING_LINE - 1) / PINRING_LINE,
	       s->count, reserved_bytes(s));
}

static void json_struct(struct json *json, const struct layout_struct *s)
{
	size_t i;

	json_object(json, NULL);
	json_text(json, "name", s->name);
	json_count(json, "size", s->size);
	json_count(json, "align", s->align);
	json_count(json, "lines",
		   (s->size + PINRING_LINE - 1) / PINRING_LINE);
	json_count(json, "reserved", reserved_bytes(s));
	json_count(json, "holes", 0);
	json_array(json, "fields");
	for (i = 0; i < s->count; i++) {
		const struct layout_field *f = &s->fields[i];

		json_object(json, NULL);
		json_text(json, "name", f->name);
		json_text(json, "type", f->type);
		json_count(json, "count", f->size / f->unit);
		json_count(json, "offset", f->offset);
		json_count(json, "size", f->size);
		json_count(json, "line", f->offset / PINRING_LINE);
		json_text(json, "writer", f->writer);
		json_end(json);
	}
	json_end(json);
	json_end(json);
}

static const struct layout_struct *find(const char *name)
{
	static const char prefix[] = "pinring_";
	size_t i;

	if (!strncmp(name, "struct ", 7))
		name += 7;
	if (!strncmp(name, prefix, sizeof(prefix) - 1))
		name += sizeof(prefix) - 1;
	for (i = 0; i < layout_count; i++)
		if (!strcmp(name, layout_structs[i].name + sizeof(prefix) - 1))
			return &layout_structs[i];
	return NULL;
}

/* Those named, or all. Nothing is printed unless every name is known. */
static int print(int count, char **names, bool json)
{
	struct json writer = { .out = stdout };
	size_t all = count ? (size_t)count : layout_count;
	size_t i;

	for (i = 0; i < all; i++) {
		const struct layout_struct *s = &layout_structs[i];
		int code;

		if (count)
			s = find(names[i]);
		if (!s)
			return tool_fail(TOOL_USAGE, "layout",
					 "there is no struct \"%s\": pinring "
					 "layout prints them all",
					 names[i]);
		code = check(s);
		if (code)
			return code;
	}
	if (json) {
		json_object(&writer, NULL);
		json_count(&writer, "abi_version", PINRING_ABI_VERSION);
		json_count(&writer, "line_bytes", PINRING_LINE);
		json_array(&writer, "structs");
	}
	for (i = 0; i < all; i++) {
		const struct layout_struct *s =
			count ? find(names[i]) : &layout_structs[i];

		if (json) {
			json_struct(&writer, s);
			continue;
		}
		if (i)
			putchar('\n');
		print_struct(s);
	}
	if (json) {
		json_end(&writer);
		json_end(&writer);
	}
	return TOOL_OK;
}

int tool_layout(int argc, char **argv)
{
	bool json;
	int code = parse_json(argc, argv, "pinring layout", help_text, &json);

	if (code >= 0)
		return code;
	return print(argc - optind, argv + optind, json);
}
