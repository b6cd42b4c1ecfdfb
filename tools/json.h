/* SPDX-License-Identifier: MIT */
/*
 * json.h - writes JSON, in order, indented or in one line.
 *
 * key is NULL inside an array and for the outermost value.
 */
#ifndef PINRING_TOOL_JSON_H
#define PINRING_TOOL_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_DEPTH_MAX 8

struct json {
	FILE *out;
	bool one_line;
	int depth;
	bool filled[JSON_DEPTH_MAX + 1];
	char closes[JSON_DEPTH_MAX + 1];
};

void json_object(struct json *json, const char *key);
void json_array(struct json *json, const char *key);
void json_end(struct json *json);

void json_text(struct json *json, const char *key, const char *text);
void json_count(struct json *json, const char *key, uint64_t value);
void json_integer(struct json *json, const char *key, int64_t value);
void json_number(struct json *json, const char *key, double value);
void json_bool(struct json *json, const char *key, bool value);

#endif /* PINRING_TOOL_JSON_H */
