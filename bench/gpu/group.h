/* SPDX-License-Identifier: MIT */
/*
 * group.h - groups of rows, each in a process of its own with a deadline.
 *
 * A kernel that hangs takes its process with it, and the driver stops what that had
 * on the GPU; the next group begins anew. What a group owes and did not report is in
 * the table all the same, with the reason.
 */
#ifndef PINRING_BENCH_GROUP_H
#define PINRING_BENCH_GROUP_H

#include "../report.h"

struct gpu_options {
	unsigned int runs; /* rounds of each row */
	bool quick;
	int gpu;
	int cpu; /* the host's thread; -1: any */
	int cpu_peer; /* a second one, where a row has it */
	uint32_t kind; /* of the executor; HOST: a trial of the rows, no figures */
};

#define GROUP_OWES_MAX 12

struct group {
	const char *name, *what;
	void (*run)(const struct gpu_options *o);
	unsigned int seconds; /* it may take, beside those of the others */
	bool launches; /* it needs a GPU; else a host executor can try it */
	struct {
		const char *name;
		double target;
	} owes[GROUP_OWES_MAX];
};

/*
 * Within so many seconds at most; reports its rows, and those that it owes. Of one that
 * owes none, and failed or did not run, there is a row of its name, with the reason.
 */
void group_run(const struct group *group, const struct gpu_options *o,
	       unsigned int seconds);
/* For a group that cannot run at all. */
void group_absent(const struct group *group, const char *why);

/*
 * Runs it in a process of its own, for at most so many seconds; false with a
 * sentence if it failed. The parent itself never touches the driver: a process
 * forked from one that did has none.
 */
bool group_try(void (*run)(const struct gpu_options *o, void *arg),
	       const struct gpu_options *o, void *arg, unsigned int seconds,
	       char *why, size_t size);

/*
 * In such a process. The row is copied; its names must be literals, which lie
 * in the parent too.
 */
void group_row(const struct row *row);
void group_command(const struct command_row *row);
/* Ends the group: the sentence stands beside every row that it still owes. */
__attribute__((format(printf, 1, 2))) _Noreturn void
gpu_die(const char *format, ...);

#endif /* PINRING_BENCH_GROUP_H */
