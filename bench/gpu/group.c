// SPDX-License-Identifier: MIT
/* group.c - see group.h. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "group.h"

#define ROWS_MAX 48
#define COMMANDS_MAX 16
/* A killed process ends when the driver has stopped its kernels. */
#define REAP_NS 20000000000ull

/* Shared with the group's process, which only adds. */
struct paper {
	unsigned int rows, commands; /* stored after the entry */
	struct row row[ROWS_MAX];
	struct command_row command[COMMANDS_MAX];
	char died[512];
};

static struct paper *paper;

void group_row(const struct row *row)
{
	if (paper->rows == ROWS_MAX)
		gpu_die("more rows than a group holds");
	paper->row[paper->rows] = *row;
	__atomic_store_n(&paper->rows, paper->rows + 1, __ATOMIC_RELEASE);
}

void group_command(const struct command_row *row)
{
	if (paper->commands == COMMANDS_MAX)
		gpu_die("more commands than a group holds");
	paper->command[paper->commands] = *row;
	__atomic_store_n(&paper->commands, paper->commands + 1,
			 __ATOMIC_RELEASE);
}

void gpu_die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(paper->died, sizeof(paper->died), format, args);
	va_end(args);
	/* Not exit(): what the driver registered for that may wait for a kernel. */
	_exit(1);
}

static bool reported(const char *name)
{
	unsigned int i;

	for (i = 0; i < paper->rows; i++) {
		if (!strcmp(paper->row[i].name, name))
			return true;
	}
	return false;
}

/* Nothing that was to be measured is missing without a word. */
static void report_owed(const struct group *group, const char *why, bool failed)
{
	unsigned int i;

	for (i = 0; i < GROUP_OWES_MAX && group->owes[i].name; i++) {
		if (!paper || !reported(group->owes[i].name))
			report_absent(group->owes[i].name,
				      group->owes[i].target, why);
	}
	if (!i && failed)
		report_absent(group->name, 0.0, why);
}

void group_absent(const struct group *group, const char *why)
{
	if (paper)
		memset(paper, 0, sizeof(*paper));
	report_owed(group, why, true);
}

/* false: still there at the deadline. */
static bool wait_for(pid_t pid, uint64_t deadline, int *status)
{
	while (waitpid(pid, status, WNOHANG) == 0) {
		if (bench_now_ns() > deadline)
			return false;
		bench_nap(5000);
	}
	return true;
}

static pid_t start(void (*run)(const struct gpu_options *o, void *arg),
		   const struct gpu_options *o, void *arg)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		bench_die("cannot start a process", -errno);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (o->kind == PINRING_EXECUTOR_HOST && o->cpu >= 0)
		bench_pin(o->cpu);
	run(o, arg);
	_exit(0);
}

bool group_try(void (*run)(const struct gpu_options *o, void *arg),
	       const struct gpu_options *o, void *arg, unsigned int seconds,
	       char *why, size_t size)
{
	bool in_time, reaped;
	int status = 0;
	pid_t pid;

	if (!paper)
		paper = bench_shared(sizeof(*paper));
	memset(paper, 0, sizeof(*paper));
	pid = start(run, o, arg);
	in_time = wait_for(pid, bench_now_ns() + seconds * 1000000000ull,
			   &status);
	reaped = in_time;
	if (!in_time) {
		kill(pid, SIGKILL);
		reaped = wait_for(pid, bench_now_ns() + REAP_NS, &status);
	}
	if (!reaped)
		snprintf(why, size,
			 "killed after %u s, and the driver does not let its process go: what follows may be disturbed",
			 seconds);
	else if (!in_time)
		snprintf(why, size, "killed: it took longer than %u s", seconds);
	else if (paper->died[0])
		snprintf(why, size, "%s", paper->died);
	else if (WIFSIGNALED(status))
		snprintf(why, size, "its process was killed by signal %d",
			 WTERMSIG(status));
	else if (status)
		snprintf(why, size, "it failed; what it said is above");
	else
		snprintf(why, size, "not reported");
	return in_time && !status;
}

static void run_group(const struct gpu_options *o, void *arg)
{
	const struct group *group = arg;

	group->run(o);
}

void group_run(const struct group *group, const struct gpu_options *o,
	       unsigned int seconds)
{
	char why[600];
	unsigned int i;
	bool well;

	fprintf(stderr, "%s: %s\n", group->name, group->what);
	well = group_try(run_group, o, (void *)(uintptr_t)group, seconds, why,
			 sizeof(why));
	for (i = 0; i < paper->rows; i++)
		report_row(&paper->row[i]);
	for (i = 0; i < paper->commands; i++)
		report_command(&paper->command[i]);
	if (!well)
		fprintf(stderr, "  %s: %s\n", group->name, why);
	report_owed(group, why, !well);
}
