// SPDX-License-Identifier: MIT
/* main.c - pinring-bench-gpu: the CUDA executor beside what a GPU can do. */
#define _GNU_SOURCE
#include <ctype.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "probe.h"
#include "rows.h"

#define LIMIT_SECONDS 450u /* of 8 minutes: a driver may be slow to end what hangs */
#define NO_GPU 4 /* as a test that is skipped */

static const struct group groups[] = {
	{ "probe", "what the machine is", bench_gpu_probe, 60, true, { { 0 } } },
	{ "floors", "words, launches, copies, graphs", bench_gpu_floors, 60,
	  true, { { 0 } } },
	{ "command", "a command, beside two flags and a launch",
	  bench_gpu_command, 60, false,
	  { { ROW_NOP, 1.3 },
	    { ROW_NOP_LAUNCH, 0.5 },
	    { ROW_NOP_TAIL, 3.0 },
	    { ROW_ISSUE, 30.0 } } },
	{ "link", "commands from loop to loop, beside the host in between",
	  bench_gpu_link, 40, false,
	  { { ROW_LINK_TRIP, 0.0 }, { ROW_LINK_RATE, 0.0 } } },
	{ "push", "messages from the GPU, beside release stores",
	  bench_gpu_push, 40, true,
	  { { ROW_PUSH_ONE, 2.0 }, { ROW_PUSH_WARP, 2.0 },
	    { ROW_PUSH_BLOCK, 2.0 } } },
	{ "torn", "16 bytes in one piece, or not", bench_gpu_torn, 30, true,
	  { { ROW_WORDS_TORN, 0.5 } } },
	{ "mixed", "inject, 5 steps, query, beside launches", bench_gpu_mixed,
	  60, false, { { ROW_MIXED, 0.2 } } },
	{ "frame", "the same in frames of 1/60 s", bench_gpu_frame, 40, false,
	  { { ROW_FRAME, 0.0 } } },
	{ "room", "a room at 48 kHz, interactive", bench_gpu_room, 60, false,
	  { { ROW_ROOM, 1.0 } } },
	{ "vector", "adding vectors, beside launches", bench_gpu_vector, 60,
	  false, { { ROW_REGISTER, 0.0 }, { ROW_HOT, 0.0 } } },
	{ "bandwidth", "adding large ones, beside the memory's bandwidth",
	  bench_gpu_bandwidth, 60, true,
	  { { ROW_ADD_1M, 1.1 }, { ROW_ADD_16M, 1.1 }, { ROW_ADD_64M, 1.1 } } },
	{ "barrier", "all blocks of a grid meet", bench_gpu_barrier, 30, true,
	  { { 0 } } },
	{ "hazards", "what a persistent kernel blocks", bench_gpu_hazards, 110,
	  true, { { 0 } } },
};

#define GROUPS (sizeof(groups) / sizeof(groups[0]))

struct arguments {
	struct gpu_options o;
	const char *only, *json, *commit;
	unsigned int limit;
};

static void help(void)
{
	size_t i;

	printf("pinring-bench-gpu: measure the CUDA executor beside what the GPU can do\n\n"
	       "  --only NAME      one of those below\n"
	       "  --runs N         rounds a row, 7 to %d (9)\n"
	       "  --quick          a look, not a figure\n"
	       "  --json FILE      also as JSON; a folder: FOLDER/DATE-DEVICE.json\n"
	       "  --gpu N          which GPU (0)\n"
	       "  --limit SECONDS  end by then (%u); each group has its share of what is left\n"
	       "  --commit TEXT    what was built, for the report\n"
	       "  --executor host  try the rows that need no GPU; no figures\n\n",
	       BENCH_RUNS_MAX, LIMIT_SECONDS);
	for (i = 0; i < GROUPS; i++)
		printf("  %-12s  %s\n", groups[i].name, groups[i].what);
	printf("\nexample:\n  pinring-bench-gpu --only command --runs 31\n\n"
	       "Exit code: 0 all targets met, 1 some missed, 2 usage, 4 no GPU.\n");
}

static int number(const char *option, const char *text, unsigned int least,
		  unsigned int most, unsigned int *to)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (!isdigit((unsigned char)*text) || *end || n < least || n > most) {
		fprintf(stderr,
			"pinring-bench-gpu: --%s: %s is not from %u to %u\n",
			option, text, least, most);
		return 2;
	}
	*to = (unsigned int)n;
	return 0;
}

static int take_group(const char *name)
{
	size_t i;

	for (i = 0; i < GROUPS; i++) {
		if (!strcmp(name, groups[i].name))
			return 0;
	}
	fprintf(stderr,
		"pinring-bench-gpu: there is no group \"%s\": --help lists them\n",
		name);
	return 2;
}

static int take_executor(const char *name, struct gpu_options *o)
{
	if (!strcmp(name, "host")) {
		o->kind = PINRING_EXECUTOR_HOST;
		return 0;
	}
	if (!strcmp(name, "cuda"))
		return 0;
	fprintf(stderr,
		"pinring-bench-gpu: --executor: %s is neither cuda nor host\n",
		name);
	return 2;
}

/* -1: go on. */
static int take_arguments(struct arguments *a, int argc, char **argv)
{
	static const struct option options[] = {
		{ "only", required_argument, NULL, 'o' },
		{ "runs", required_argument, NULL, 'r' },
		{ "quick", no_argument, NULL, 'q' },
		{ "json", required_argument, NULL, 'j' },
		{ "gpu", required_argument, NULL, 'g' },
		{ "limit", required_argument, NULL, 'l' },
		{ "commit", required_argument, NULL, 'c' },
		{ "executor", required_argument, NULL, 'e' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	unsigned int gpu = 0;
	int c, rc = 0;

	while (!rc && (c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'o':
			a->only = optarg;
			rc = take_group(optarg);
			break;
		case 'r':
			rc = number("runs", optarg, REPORT_RUNS_LEAST,
				    BENCH_RUNS_MAX, &a->o.runs);
			break;
		case 'q':
			a->o.quick = true;
			a->o.runs = REPORT_RUNS_LEAST;
			break;
		case 'j':
			a->json = optarg;
			break;
		case 'g':
			rc = number("gpu", optarg, 0, 63, &gpu);
			break;
		case 'l':
			rc = number("limit", optarg, 1, 3600, &a->limit);
			break;
		case 'c':
			a->commit = optarg;
			break;
		case 'e':
			rc = take_executor(optarg, &a->o);
			break;
		case 'h':
			help();
			return 0;
		default:
			return 2;
		}
	}
	a->o.gpu = (int)gpu;
	if (!rc && optind < argc) {
		fprintf(stderr, "pinring-bench-gpu: what is %s? --help\n",
			argv[optind]);
		rc = 2;
	}
	return rc ? rc : -1;
}

static void today(char *text, size_t size)
{
	time_t now = time(NULL);
	struct tm day;

	text[0] = '\0';
	if (gmtime_r(&now, &day))
		strftime(text, size, "%Y-%m-%d", &day);
}

/* A folder stands for the file of this day and device in it. */
static void name_file(const char *json, const char *device, char *path,
		      size_t size)
{
	char day[16], name[64];
	struct stat st;
	size_t i;

	snprintf(path, size, "%s", json);
	if (stat(json, &st) || !S_ISDIR(st.st_mode))
		return;
	today(day, sizeof(day));
	for (i = 0; i < sizeof(name) - 1 && device[i]; i++)
		name[i] = isalnum((unsigned char)device[i]) ?
				  (char)tolower((unsigned char)device[i]) :
				  '-';
	name[i] = '\0';
	snprintf(path, size, "%s/%s-%s.json", json, day, name);
}

/*
 * Each group is a process, and where nobody else has the GPU open the driver starts it
 * anew for each, which takes seconds.
 */
static void hold_gpu(int number)
{
	char path[32];

	snprintf(path, sizeof(path), "/dev/nvidia%d", number);
	(void)!open(path, O_RDONLY | O_CLOEXEC);
}

/* Before minutes of measuring rather than behind them. */
static bool can_write(const char *path)
{
	FILE *f = fopen(path, "a");

	return f && !fclose(f);
}

static bool on_node(int cpu, int node)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpu%d",
		 node, cpu);
	return node < 0 || !access(path, F_OK);
}

/* Two on the GPU's node, the first CPU left to interrupts where there are many. */
static void choose_cpus(struct gpu_options *o, int node)
{
	int cpu, found = 0, cpus[3] = { -1, -1, -1 };
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return;
	for (cpu = 0; cpu < CPU_SETSIZE && found < 3; cpu++) {
		if (CPU_ISSET(cpu, &set) && on_node(cpu, node))
			cpus[found++] = cpu;
	}
	o->cpu = found > 2 ? cpus[1] : cpus[0];
	o->cpu_peer = found > 2 ? cpus[2] : found > 1 ? cpus[1] : -1;
}

static void describe(const struct arguments *a, const struct probe *p,
		     char *text, size_t size)
{
	struct utsname u = { .release = "?" };
	char day[16];

	uname(&u);
	today(day, sizeof(day));
	snprintf(text, size,
		 "pinring %s at %s, %s, %s, CUDA driver %d.%d, Linux %s, CPU %d%s",
		 pinring_version(), a->commit, day, p->device, p->driver / 1000,
		 p->driver % 1000 / 10, u.release, a->o.cpu,
		 a->o.kind == PINRING_EXECUTOR_HOST ?
			 ", A TRIAL WITHOUT A GPU" :
			 "");
}

static bool is_chosen(const struct arguments *a, const struct group *g)
{
	return !a->only || !strcmp(a->only, g->name);
}

static bool can_run(const struct arguments *a, const struct group *g)
{
	return !g->launches || a->o.kind != PINRING_EXECUTOR_HOST;
}

/*
 * Its share of what is left, beside the groups that follow: whatever those before it
 * took, there is time for each.
 */
static unsigned int seconds_for(const struct arguments *a, size_t i,
				uint64_t left_ns)
{
	uint64_t weight = groups[i].seconds, sum = 0;

	for (; i < GROUPS; i++) {
		if (is_chosen(a, &groups[i]) && can_run(a, &groups[i]))
			sum += groups[i].seconds;
	}
	return (unsigned int)((left_ns * weight / sum + 500000000) / 1000000000);
}

static void run_groups(const struct arguments *a)
{
	const uint64_t end = bench_now_ns() + a->limit * 1000000000ull;
	size_t i;

	for (i = 0; i < GROUPS; i++) {
		const struct group *g = &groups[i];
		uint64_t now = bench_now_ns();
		unsigned int seconds;

		if (!is_chosen(a, g))
			continue;
		if (!can_run(a, g)) {
			group_absent(g, "needs a GPU");
			continue;
		}
		seconds = seconds_for(a, i, now < end ? end - now : 0);
		if (seconds)
			group_run(g, &a->o, seconds);
		else
			group_absent(g, "no time was left for it: --limit");
	}
}

int main(int argc, char **argv)
{
	struct arguments a = {
		.o = { .runs = 9, .kind = PINRING_EXECUTOR_CUDA, .cpu = -1,
		       .cpu_peer = -1 },
		.commit = "an unknown commit",
		.limit = LIMIT_SECONDS,
	};
	struct probe *p = bench_shared(sizeof(*p));
	char machine[512], path[600] = "", why[600];
	int rc = take_arguments(&a, argc, argv);

	if (rc >= 0)
		return rc;
	/* Kernels that came when they are first launched would come too late. */
	setenv("CUDA_MODULE_LOADING", "EAGER", 1);
	hold_gpu(a.o.gpu);
	snprintf(p->device, sizeof(p->device), "no GPU");
	p->node = -1;
	if (a.o.kind == PINRING_EXECUTOR_CUDA &&
	    !group_try(probe_name, &a.o, p, 60, why, sizeof(why))) {
		fprintf(stderr, "pinring-bench-gpu: no GPU to measure: %s\n",
			why);
		return NO_GPU;
	}
	if (a.json)
		name_file(a.json, p->device, path, sizeof(path));
	if (a.json && !can_write(path)) {
		fprintf(stderr, "pinring-bench-gpu: --json: cannot write %s\n",
			path);
		return 2;
	}
	choose_cpus(&a.o, p->node);
	describe(&a, p, machine, sizeof(machine));
	fprintf(stderr, "%s\n", machine);
	run_groups(&a);
	rc = report_print(stdout, machine) ? 1 : 0;
	if (a.json && report_json(path, machine)) {
		fprintf(stderr, "pinring-bench-gpu: --json: cannot write %s\n",
			path);
		return 2;
	}
	return rc;
}
