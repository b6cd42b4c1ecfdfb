// SPDX-License-Identifier: MIT
/* main.c - pinring-bench: every figure beside its limit. */
#define _GNU_SOURCE
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "report.h"

static const struct {
	const char *name;
	void (*run)(const struct bench_options *o);
	const char *what;
} benches[] = {
	{ "room", bench_room, "the wave solver against a plain loop" },
	{ "interactive", bench_interactive, "a command's cost over batch" },
	{ "command", bench_command, "a nop's round trip" },
	{ "start", bench_start, "open, region, executor" },
	{ "size", bench_size, "the stripped library" },
	/* Forks for each run; the more the others have allocated, the slower. */
	{ "stopped", bench_stopped, "producers that are off their core" },
	{ "spsc", bench_spsc, "the SPSC ring between two cores" },
	{ "chain", bench_chain, "the resizable ring beside the SPSC ring" },
	{ "mpmc", bench_mpmc, "queues of many between two cores" },
	{ "broadcast", bench_broadcast, "one item to two, beside two rings" },
	{ "reference", bench_reference, "1 MiB by reference beside 8 bytes" },
	{ "process", bench_processes, "between processes, beside threads and pipes" },
	{ "doorbell", bench_doorbell, "ringing, and waking up" },
	{ "module", bench_module, "the kernel module beside what it replaces" },
};

#define BENCHES (sizeof(benches) / sizeof(benches[0]))

static void help(void)
{
	size_t i;

	printf("pinring-bench: measure pinring beside its limits\n\n"
	       "  --only NAME   one of those below\n"
	       "  --runs N      counted runs a row, 7 to %d (15)\n"
	       "  --quick       a look, not a figure\n"
	       "  --json FILE   also as JSON; - for standard output\n\n",
	       BENCH_RUNS_MAX);
	for (i = 0; i < BENCHES; i++)
		printf("  %-12s  %s\n", benches[i].name, benches[i].what);
	printf("\nexample:\n  pinring-bench --only command --runs 31\n\n"
	       "Exit code: 0 all targets met, 1 some missed, 2 usage.\n");
}

static void choose_cpus(struct bench_options *o)
{
	cpu_set_t set;
	int cpu;

	o->cpu_host = o->cpu_peer = -1;
	if (sched_getaffinity(0, sizeof(set), &set))
		bench_die("sched_getaffinity", 0);
	for (cpu = 0; cpu < CPU_SETSIZE && o->cpu_peer < 0; cpu++) {
		if (!CPU_ISSET(cpu, &set))
			continue;
		if (o->cpu_host < 0)
			o->cpu_host = cpu;
		else
			o->cpu_peer = cpu;
	}
	if (o->cpu_peer >= 0)
		return;
	o->cpu_peer = o->cpu_host;
	fprintf(stderr, "pinring-bench: this process may use one core only: figures that need two are left out, and no run is gated\n");
}

static void cpu_model(char *model, size_t size)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256];

	snprintf(model, size, "unknown CPU");
	while (f && fgets(line, sizeof(line), f)) {
		char *colon = strchr(line, ':');

		if (strncmp(line, "model name", 10) || !colon)
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(model, size, "%s", colon + 2);
		break;
	}
	if (f)
		fclose(f);
}

static void describe_machine(const struct bench_options *o, char *text,
			     size_t size)
{
	char model[128], date[16] = "", cores[96] = "one core";
	char missing[256] = "";
	time_t now = time(NULL);
	struct utsname u = { .release = "?" };
	struct tm day;

	cpu_model(model, sizeof(model));
	if (gmtime_r(&now, &day))
		strftime(date, sizeof(date), "%Y-%m-%d", &day);
	uname(&u);
	if (bench_two_cores(o)) {
		bench_pin(o->cpu_host);
		snprintf(cores, sizeof(cores),
			 "cores %d and %d, a cache line there and back %.0f ns",
			 o->cpu_host, o->cpu_peer,
			 bench_round_trip(o, 20000, false));
	}
	bench_missing_peers(missing, sizeof(missing));
	snprintf(text, size, "pinring %s, %s, %s, Linux %s, %s%s",
		 pinring_version(), date, model, u.release, cores, missing);
}

/* Before minutes of measuring rather than behind them. */
static bool can_write(const char *path)
{
	FILE *f;

	if (!strcmp(path, "-"))
		return true;
	f = fopen(path, "a");
	return f && !fclose(f);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "only", required_argument, NULL, 'o' },
		{ "runs", required_argument, NULL, 'r' },
		{ "quick", no_argument, NULL, 'q' },
		{ "json", required_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct bench_options o = { .runs = 15 };
	const char *only = NULL, *json = NULL;
	char machine[768];
	FILE *table;
	int missed;
	bool found = false;
	char *end;
	size_t i;
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'o':
			only = optarg;
			break;
		case 'r':
			o.runs = (unsigned int)strtoul(optarg, &end, 10);
			if (*end || o.runs < 7 || o.runs > BENCH_RUNS_MAX) {
				fprintf(stderr, "pinring-bench: --runs: %s is not from 7 to %d\n",
					optarg, BENCH_RUNS_MAX);
				return 2;
			}
			break;
		case 'q':
			o.quick = true;
			o.runs = 7;
			break;
		case 'j':
			json = optarg;
			break;
		case 'h':
			help();
			return 0;
		default:
			return 2;
		}
	}
	for (i = 0; i < BENCHES; i++)
		found |= !only || !strcmp(only, benches[i].name);
	if (!found || optind < argc) {
		fprintf(stderr, "pinring-bench: there is no bench \"%s\": --help lists them\n",
			found ? argv[optind] : only);
		return 2;
	}
	if (json && !can_write(json)) {
		fprintf(stderr, "pinring-bench: --json: cannot write %s\n", json);
		return 2;
	}
	choose_cpus(&o);
	describe_machine(&o, machine, sizeof(machine));
	fprintf(stderr, "%s\n", machine);
	for (i = 0; i < BENCHES; i++)
		if (!only || !strcmp(only, benches[i].name))
			benches[i].run(&o);
	table = json && !strcmp(json, "-") ? stderr : stdout;
	missed = report_print(table, machine);
	if (json && report_json(json, machine)) {
		fprintf(stderr, "pinring-bench: --json: cannot write %s\n", json);
		return 2;
	}
	return missed ? 1 : 0;
}
