/* SPDX-License-Identifier: MIT */
/* report.h - figures beside their limits, for people and as JSON. */
#ifndef PINRING_BENCH_REPORT_H
#define PINRING_BENCH_REPORT_H

#include <stdio.h>

#include "measure.h"

enum target_of {
	TARGET_RATIO,
	TARGET_VALUE,
	TARGET_EXCESS, /* the value less the limit */
};

#define REPORT_RUNS_LEAST 7u /* fewer are no figure */

struct row {
	const char *name;
	const char *unit;
	struct series value;
	const char *limit_name; /* NULL: no limit measured */
	struct series limit;
	double ratio; /* value to limit, as the target means it; 0: none */
	double target; /* what it is of is to be at most this; 0: none */
	enum target_of target_of;
	bool target_is_floor; /* at least this, that is */
	bool once; /* one figure: no series of runs */
	char note[1600]; /* lines */
};

/* The row is copied; the memory of its names must stay. */
void report_row(const struct row *row);

/*
 * A row that has no figure, and why, in words. With a target that counts as
 * missed.
 */
void report_absent(const char *name, double target, const char *why);

/*
 * One command: until submit returned, until it was seen to be taken up (if that can
 * be seen), and until its completion was there.
 */
struct command_row {
	const char *name;
	struct series issued, accepted, p50, p99, p999; /* ns */
};

void report_command(const struct command_row *row);

int report_print(FILE *f, const char *machine); /* how many targets were missed */
int report_json(const char *path, const char *machine);

#endif /* PINRING_BENCH_REPORT_H */
