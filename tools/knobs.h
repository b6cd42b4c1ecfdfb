/* SPDX-License-Identifier: MIT */
/*
 * knobs.h - what an administrator can set, as docs/sysfs.md has it.
 */
#ifndef PINRING_TOOL_KNOBS_H
#define PINRING_TOOL_KNOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum knob_unit { KNOB_BYTES, KNOB_COUNT, KNOB_US, KNOB_PAGES, KNOB_CPUS };

struct knob {
	const char *name; /* of the file */
	bool per_node; /* it is in a folder of each node: node0/NAME */
	enum knob_unit unit;
	const char *noun; /* of KNOB_COUNT: what is counted */
	uint64_t min, max; /* not of KNOB_CPUS */
	const char *at_load;
	const char *brief; /* one line */
	const char *what; /* it does */
	const char *when; /* to change it */
};

extern const struct knob knobs[];
extern const size_t knobs_count;

#endif /* PINRING_TOOL_KNOBS_H */
