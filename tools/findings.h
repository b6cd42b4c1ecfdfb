/* SPDX-License-Identifier: MIT */
/*
 * findings.h - what is there, what is not, and what would change that.
 */
#ifndef PINRING_TOOL_FINDINGS_H
#define PINRING_TOOL_FINDINGS_H

#include <stdbool.h>

#include "machine.h"

#define FINDINGS_MAX 24

struct finding {
	const char *group;
	const char *name;
	bool there;
	char detail[256];
	char need[256]; /* a command or a sentence; "" if nothing is missing */
};

struct findings {
	struct finding list[FINDINGS_MAX];
	int count;
};

/* Opens a device, a region and executors to see. Returns an exit code. */
int findings_gather(struct findings *findings, const struct machine *machine);

#endif /* PINRING_TOOL_FINDINGS_H */
