/* SPDX-License-Identifier: MIT */
/*
 * layout.h - the structs of pinring_layout.h as a table.
 */
#ifndef PINRING_TOOL_LAYOUT_H
#define PINRING_TOOL_LAYOUT_H

#include <stddef.h>

struct layout_field {
	const char *name;
	const char *type;
	size_t unit; /* bytes of one */
	size_t offset;
	size_t size;
	const char *writer; /* who may store to it, or "nobody" */
};

struct layout_struct {
	const char *name;
	size_t size, align;
	const struct layout_field *fields;
	size_t count;
};

extern const struct layout_struct layout_structs[];
extern const size_t layout_count;

#endif /* PINRING_TOOL_LAYOUT_H */
