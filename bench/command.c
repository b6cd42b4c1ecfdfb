// SPDX-License-Identifier: MIT
/*
 * command.c - commands to the host executor, start-up, and the library's size.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define CALLS 20000

void bench_command(const struct bench_options *o)
{
	struct row trip = { .name = "nop, issued to completed",
			    .unit = "ns",
			    .limit_name = "bare cache-line round trip",
			    .target = 3.0 };
	struct row tail = { .name = "nop, p99", .unit = "ns" };
	struct row far = { .name = "nop, p99.9", .unit = "ns" };
	struct row issue = { .name = "nop, issue alone", .unit = "ns" };
	struct pinring_executor_config ec = pinring_executor_defaults();
	struct pinring_command nop = { .operation = PINRING_OP_NOP };
	struct pinring_completion k;
	struct series ratio = { .n = 0 };
	struct pinring_executor *ex;
	struct pinring_device *device;
	static double each[CALLS];
	struct gate gate;
	int rc;

	if (o->cpu_peer == o->cpu_host)
		return;
	gate_open(&gate, o);
	ec.kind = PINRING_EXECUTOR_HOST;
	ec.cpu = o->cpu_peer;
	rc = pinring_device_open(NULL, &device);
	if (!rc)
		rc = pinring_executor_start(device, &ec, &ex);
	if (rc)
		bench_die("command", rc);
	bench_pin(o->cpu_host);
	do {
		double mean, issued = 0.0;
		uint64_t begin, i;

		gate_before(&gate);
		begin = bench_now_ns();
		for (i = 0; i < CALLS; i++) {
			nop.id = (uint32_t)i;
			rc = pinring_executor_call(ex, &nop, 1000000000, &k);
			if (rc || k.status || k.id != nop.id)
				bench_die("command: call", rc);
		}
		mean = (double)(bench_now_ns() - begin) / CALLS;
		for (i = 0; i < CALLS; i++) {
			uint64_t at = bench_now_ns(), ticket;

			rc = pinring_executor_submit(ex, &nop, &ticket);
			issued += (double)(bench_now_ns() - at);
			if (!rc)
				rc = pinring_executor_wait(ex, ticket,
							   1000000000, &k);
			if (rc)
				bench_die("command: wait", rc);
			each[i] = (double)(bench_now_ns() - at);
		}
		if (!gate_pass(&gate))
			continue;
		series_add(&trip.value, mean);
		series_add(&trip.limit, gate.before);
		series_add(&ratio, mean / gate.before);
		series_add(&issue.value, issued / CALLS);
		series_add(&tail.value, bench_quantile(each, CALLS, 990));
		series_add(&far.value, bench_quantile(each, CALLS, 999));
	} while (gate_more(&gate));
	trip.ratio = series_median(&ratio);
	snprintf(trip.note, sizeof(trip.note),
		 "submit and wait, spinning, each answer checked; %u of %u runs counted, in the band %.0f to %.0f ns",
		 gate.passed, gate.tried, gate.low, gate.high);
	snprintf(issue.note, sizeof(issue.note),
		 "with one reading of the clock, some 20 ns");
	report_row(&trip);
	report_row(&tail);
	report_row(&far);
	report_row(&issue);
	pinring_executor_close(ex, PINRING_FOREVER);
	pinring_device_close(device);
}

void bench_start(const struct bench_options *o)
{
	struct row row = { .name = "open, region 64 MiB, executor active",
			   .unit = "us",
			   .target = 1000.0,
			   .target_is_value = true };
	struct row close_row = { .name = "and closing all of it",
				 .unit = "us" };
	unsigned int i, runs = o->runs < 21 ? 21 : o->runs;

	for (i = 0; i < runs; i++) {
		struct pinring_region_config rc =
			pinring_region_defaults(64ull << 20);
		struct pinring_executor_config ec =
			pinring_executor_defaults();
		struct pinring_executor *ex = NULL;
		struct pinring_device *device;
		struct pinring_region *region = NULL;
		uint64_t begin = bench_now_ns();
		int error;

		ec.kind = PINRING_EXECUTOR_HOST;
		error = pinring_device_open(NULL, &device);
		if (!error)
			error = pinring_region_create(device, &rc, &region);
		if (!error)
			error = pinring_executor_start(device, &ec, &ex);
		if (error)
			bench_die("start", error);
		series_add(&row.value, (double)(bench_now_ns() - begin) / 1e3);
		begin = bench_now_ns();
		pinring_executor_close(ex, PINRING_FOREVER);
		pinring_region_close(region);
		pinring_device_close(device);
		series_add(&close_row.value,
			   (double)(bench_now_ns() - begin) / 1e3);
	}
	report_row(&row);
	report_row(&close_row);
}

/* Beside this program: build/bench/pinring-bench, build/libpinring.so.0. */
static bool library_path(char *path, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", path, size - 1);
	char *slash;
	int up;

	if (n <= 0)
		return false;
	path[n] = '\0';
	for (up = 0; up < 2; up++) {
		slash = strrchr(path, '/');
		if (!slash)
			return false;
		*slash = '\0';
	}
	n = (ssize_t)strlen(path);
	return snprintf(path + n, size - (size_t)n, "/libpinring.so.0") > 0;
}

void bench_size(const struct bench_options *o)
{
	struct row row = { .name = "libpinring.so, stripped",
			   .unit = "KiB",
			   .target = 200.0,
			   .target_is_value = true };
	char library[4096], stripped[] = "/tmp/pinring-stripped-XXXXXX";
	int fd = mkstemp(stripped), status = -1;
	struct stat st;
	pid_t pid;

	(void)o;
	if (fd < 0 || !library_path(library, sizeof(library)))
		bench_die("size: cannot find the library", 0);
	close(fd);
	pid = fork();
	if (pid == 0) {
		execlp("strip", "strip", "-o", stripped, library, (char *)NULL);
		_exit(127);
	}
	if (pid > 0 && waitpid(pid, &status, 0) == pid && !status &&
	    stat(stripped, &st) == 0)
		series_add(&row.value, (double)st.st_size / 1024.0);
	else
		snprintf(row.note, sizeof(row.note),
			 "strip did not run: apt-get install binutils");
	unlink(stripped);
	report_row(&row);
}
