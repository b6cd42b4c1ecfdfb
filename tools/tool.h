/* SPDX-License-Identifier: MIT */
/*
 * tool.h - what every subcommand of `pinring` shares.
 *
 * A function that can fail returns an exit code: 0, or that of tool_fail(),
 * which has then said its one sentence. main() returns it unchanged.
 */
#ifndef PINRING_TOOL_H
#define PINRING_TOOL_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TOOL_NAME "pinring"

enum {
	TOOL_OK = 0,
	TOOL_FAILED = 1,
	TOOL_USAGE = 2,
	TOOL_SKIPPED = 77, /* what was asked for is not to be had here */
	TOOL_SIGNALLED = 128, /* plus the signal's number */
};

/* The subcommands. argv[0] is the subcommand's own name. */
int tool_info(int argc, char **argv);
int tool_knob(int argc, char **argv);
int tool_layout(int argc, char **argv);
int tool_room(int argc, char **argv);
int tool_top(int argc, char **argv);

/*
 * say.c: one sentence on stderr, `pinring: about: what was wrong: what to do`.
 * about may be NULL. Returns code.
 */
__attribute__((format(printf, 3, 4))) int
tool_fail(int code, const char *about, const char *format, ...);

/* Emphasis on stdout: "" unless it is a terminal and NO_COLOR is unset. */
const char *tool_bold(void);
const char *tool_plain(void);

/* stdout reached whatever is behind it? To be called last. */
int tool_flush(void);

/* interrupt.c: SIGINT, SIGTERM and SIGHUP become a flag. */
void tool_catch_signals(void);
int tool_signal(void); /* the one that came, or 0 */
int tool_interrupted(void); /* says so; returns the exit code */

/* parse.c: the whole text or nothing; false leaves *value alone. */
bool parse_count(const char *text, uint64_t *value);
bool parse_number(const char *text, double *value);
bool parse_triple(const char *text, char separator, uint64_t value[3]);

/*
 * getopt_long() answered '?' or ':': says which option and why. `command` is
 * what the user types before --help.
 */
int parse_complain(int answer, char **argv, const char *command);

/*
 * The options of a command that has --json and --help alone. -1: there is work to
 * do on what stands from optind on; else it is done, with this exit code.
 */
int parse_json(int argc, char **argv, const char *command, const char *help,
	       bool *json);

#endif /* PINRING_TOOL_H */
