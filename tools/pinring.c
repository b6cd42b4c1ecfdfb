/* SPDX-License-Identifier: MIT */
/*
 * pinring.c - the tool: looks up the subcommand and runs it.
 */
#include <string.h>

#include <pinring/pinring.h>

#include "tool.h"

static const char help_text[] =
	"pinring: shared memory, rings and persistent kernels\n"
	"\n"
	"  pinring info [--json]             what this machine offers, and what it lacks\n"
	"  pinring knob [NAME [VALUE]]       what an administrator can set of the module\n"
	"  pinring layout [STRUCT] [--json]  the structs in shared memory, byte by byte\n"
	"  pinring run room ...              a sound in a room, through a persistent kernel\n"
	"  pinring top [NAME]                regions, rings and executors, live\n"
	"  pinring help                      this text\n"
	"  pinring --version                 the version of the library\n"
	"\n"
	"Each command answers --help.\n"
	"\n"
	"example:\n"
	"  pinring run room --in voice.wav --out room.wav --picture slice.png\n"
	"\n"
	"Exit status: 0 done; 1 failed; 2 the command line is wrong; 77 what was\n"
	"asked for is not to be had on this machine, or not in this build.\n";

static const char run_text[] =
	"pinring run: run a workload through a persistent kernel\n"
	"\n"
	"  pinring run room ...   a sound in a room; see pinring run room --help\n"
	"\n"
	"example:\n"
	"  pinring run room --in voice.wav --out room.wav\n";

static bool is_help(const char *word)
{
	return !strcmp(word, "help") || !strcmp(word, "--help") ||
	       !strcmp(word, "-h");
}

static int tool_run(int argc, char **argv)
{
	if (argc < 2)
		return tool_fail(TOOL_USAGE, "run",
				 "no workload was named: say pinring run room");
	if (is_help(argv[1])) {
		fputs(run_text, stdout);
		return TOOL_OK;
	}
	if (strcmp(argv[1], "room"))
		return tool_fail(
			TOOL_USAGE, "run",
			"there is no workload \"%s\": the one there is, is room",
			argv[1]);
	return tool_room(argc - 1, argv + 1);
}

static int tool_help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	fputs(help_text, stdout);
	return TOOL_OK;
}

static int tool_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf(TOOL_NAME " %s\n", pinring_version());
	return TOOL_OK;
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "info", tool_info },	     { "knob", tool_knob },
	{ "layout", tool_layout },   { "run", tool_run },
	{ "top", tool_top },	     { "help", tool_help },
	{ "--help", tool_help },     { "-h", tool_help },
	{ "--version", tool_version }, { "-V", tool_version },
};

static int dispatch(int argc, char **argv)
{
	size_t i;

	if (argc < 2)
		return tool_fail(TOOL_USAGE, NULL,
				 "no command was given: pinring help lists them");
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	return tool_fail(TOOL_USAGE, NULL,
			 "there is no command \"%s\": pinring help lists them",
			 argv[1]);
}

int main(int argc, char **argv)
{
	int code;

	tool_catch_signals();
	code = dispatch(argc, argv);
	return code ? code : tool_flush();
}
