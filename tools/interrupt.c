/* SPDX-License-Identifier: MIT */
/*
 * interrupt.c - Ctrl-C ends the work at the next look, so that what was begun
 * can be tidied away.
 */
#include <signal.h>
#include <string.h>

#include "tool.h"

static volatile sig_atomic_t caught;

static void catch(int number)
{
	caught = number;
}

void tool_catch_signals(void)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action, before;
	size_t i;

	memset(&action, 0, sizeof(action));
	sigemptyset(&action.sa_mask);
	action.sa_handler = catch;
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		/* nohup, or a shell's background: whoever said so meant it. */
		sigaction(numbers[i], NULL, &before);
		if (before.sa_handler != SIG_IGN)
			sigaction(numbers[i], &action, NULL);
	}
	/* A closed pipe is then a failed write, which is reported. */
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, NULL);
}

int tool_signal(void)
{
	return caught;
}

int tool_interrupted(void)
{
	return tool_fail(TOOL_SIGNALLED + caught, NULL,
			 "stopped by a signal (%s): no output was written",
			 strsignal(caught));
}
