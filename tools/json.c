/* SPDX-License-Identifier: MIT */
/*
 * json.c - writes JSON, in order, indented or in one line.
 */
#include <inttypes.h>
#include <math.h>

#include "json.h"

static void put_string(struct json *json, const char *text)
{
	const unsigned char *c = (const unsigned char *)text;

	fputc('"', json->out);
	for (; *c; c++) {
		if (*c == '"' || *c == '\\')
			fprintf(json->out, "\\%c", *c);
		else if (*c < ' ')
			fprintf(json->out, "\\u%04x", *c);
		else
			fputc(*c, json->out);
	}
	fputc('"', json->out);
}

static void new_line(struct json *json)
{
	if (!json->one_line)
		fprintf(json->out, "\n%*s", json->depth * 2, "");
}

static void begin_value(struct json *json, const char *key)
{
	if (json->depth) {
		if (json->filled[json->depth])
			fputs(json->one_line ? ", " : ",", json->out);
		new_line(json);
		json->filled[json->depth] = true;
	}
	if (key) {
		put_string(json, key);
		fputs(": ", json->out);
	}
}

static void open_nest(struct json *json, const char *key, char opens,
		      char closes)
{
	begin_value(json, key);
	fputc(opens, json->out);
	json->depth++;
	json->filled[json->depth] = false;
	json->closes[json->depth] = closes;
}

void json_object(struct json *json, const char *key)
{
	open_nest(json, key, '{', '}');
}

void json_array(struct json *json, const char *key)
{
	open_nest(json, key, '[', ']');
}

void json_end(struct json *json)
{
	char closes = json->closes[json->depth];
	bool filled = json->filled[json->depth];

	json->depth--;
	if (filled)
		new_line(json);
	fputc(closes, json->out);
	if (!json->depth)
		fputc('\n', json->out);
}

void json_text(struct json *json, const char *key, const char *text)
{
	begin_value(json, key);
	put_string(json, text);
}

void json_count(struct json *json, const char *key, uint64_t value)
{
	begin_value(json, key);
	fprintf(json->out, "%" PRIu64, value);
}

void json_integer(struct json *json, const char *key, int64_t value)
{
	begin_value(json, key);
	fprintf(json->out, "%" PRId64, value);
}

void json_number(struct json *json, const char *key, double value)
{
	begin_value(json, key);
	if (isfinite(value))
		fprintf(json->out, "%.9g", value);
	else
		fputs("null", json->out);
}

void json_bool(struct json *json, const char *key, bool value)
{
	begin_value(json, key);
	fputs(value ? "true" : "false", json->out);
}
