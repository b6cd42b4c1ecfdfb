/* SPDX-License-Identifier: MIT */
/*
 * say.c - sentences for people, on stderr and stdout.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

int tool_fail(int code, const char *about, const char *format, ...)
{
	char text[2048];
	va_list args;
	size_t i;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	/* Arguments and file names are quoted in it: keep it to one line. */
	for (i = 0; text[i]; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 127)
			text[i] = '?';
	if (about)
		fprintf(stderr, TOOL_NAME ": %s: %s\n", about, text);
	else
		fprintf(stderr, TOOL_NAME ": %s\n", text);
	return code;
}

static bool colour(void)
{
	const char *no = getenv("NO_COLOR");

	return !(no && *no) && isatty(STDOUT_FILENO);
}

const char *tool_bold(void)
{
	return colour() ? "\033[1m" : "";
}

const char *tool_plain(void)
{
	return colour() ? "\033[0m" : "";
}

int tool_flush(void)
{
	errno = 0;
	if (fflush(stdout) || ferror(stdout))
		return tool_fail(TOOL_FAILED, "standard output",
				 "cannot be written: %s",
				 strerror(errno ? errno : EIO));
	return TOOL_OK;
}
