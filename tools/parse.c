/* SPDX-License-Identifier: MIT */
/*
 * parse.c - the command line: numbers, strictly, and options.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

bool parse_count(const char *text, uint64_t *value)
{
	uint64_t sum = 0;
	const char *c;

	if (!*text)
		return false;
	for (c = text; *c; c++) {
		uint64_t digit = (uint64_t)(*c - '0');

		if (*c < '0' || *c > '9' || sum > (UINT64_MAX - digit) / 10)
			return false;
		sum = sum * 10 + digit;
	}
	*value = sum;
	return true;
}

bool parse_number(const char *text, double *value)
{
	double number;
	char *end;

	/* strtod() also takes blanks, hexadecimal, "nan" and "inf". */
	if (!*text || text[strspn(text, "0123456789.eE+-")])
		return false;
	number = strtod(text, &end);
	if (end == text || *end || !isfinite(number))
		return false;
	*value = number;
	return true;
}

bool parse_triple(const char *text, char separator, uint64_t value[3])
{
	uint64_t part[3];
	char copy[64];
	char *at = copy;
	int i;

	if (strlen(text) >= sizeof(copy))
		return false;
	strcpy(copy, text);
	for (i = 0; i < 3; i++) {
		char *end = strchr(at, separator);

		if (!end != (i == 2))
			return false;
		if (end)
			*end = '\0';
		if (!parse_count(at, &part[i]))
			return false;
		if (end)
			at = end + 1;
	}
	memcpy(value, part, sizeof(part));
	return true;
}

int parse_complain(int answer, char **argv, const char *command)
{
	const char *given = argv[optind - 1];
	char name[96];

	/* A short option may hide in a cluster; its letter is in optopt. */
	if (strncmp(given, "--", 2) && optopt > ' ' && optopt < 127)
		snprintf(name, sizeof(name), "-%c", optopt);
	else
		snprintf(name, sizeof(name), "%.80s", given);
	if (answer == ':')
		return tool_fail(TOOL_USAGE, name,
				 "needs a value after it: %s --help shows one",
				 command);
	/* getopt_long() sets optopt when a known option got a value. */
	if (optopt && strchr(name, '=')) {
		*strchr(name, '=') = '\0';
		return tool_fail(TOOL_USAGE, name,
				 "takes no value: give it alone");
	}
	return tool_fail(TOOL_USAGE, name,
			 "there is no such option: %s --help lists them all",
			 command);
}

int parse_json(int argc, char **argv, const char *command, const char *help,
	       bool *json)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	*json = false;
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":h", options, NULL)) >= 0) {
		switch (option) {
		case 'j':
			*json = true;
			break;
		case 'h':
			fputs(help, stdout);
			return TOOL_OK;
		default:
			return parse_complain(option, argv, command);
		}
	}
	return -1;
}
