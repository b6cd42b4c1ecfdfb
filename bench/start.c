// SPDX-License-Identifier: MIT
/* start.c - what it costs to be there: start-up, teardown, and the library. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report.h"

#define REGION_BYTES (64ull << 20)
#define TARGET_US 1000.0
#define TARGET_KIB 200.0

static void start_once(double *open_us, double *close_us)
{
	const struct pinring_command nop = { .operation = PINRING_OP_NOP };
	struct pinring_region_config rc =
		pinring_region_defaults(REGION_BYTES);
	struct pinring_executor_config ec = pinring_executor_defaults();
	struct pinring_executor *ex = NULL;
	struct pinring_region *region = NULL;
	struct pinring_device *device;
	struct pinring_completion k;
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
	*open_us = (double)(bench_now_ns() - begin) / 1e3;

	/* It is what it says: so large, and there to answer. */
	error = pinring_executor_call(ex, &nop, 1000000000, &k);
	if (error || k.status || pinring_region_size(region) < REGION_BYTES ||
	    pinring_executor_state(ex) != PINRING_STATE_ACTIVE)
		bench_die("start: not started", error);

	begin = bench_now_ns();
	pinring_executor_close(ex, PINRING_FOREVER);
	pinring_region_close(region);
	pinring_device_close(device);
	*close_us = (double)(bench_now_ns() - begin) / 1e3;
}

void bench_start(const struct bench_options *o)
{
	struct row up = { .name = "open, region 64 MiB, executor active",
			  .unit = "us",
			  .target = TARGET_US,
			  .target_of = TARGET_VALUE };
	struct row tail = { .name = "the same, p90 of the runs",
			    .unit = "us",
			    .once = true,
			    .target = TARGET_US,
			    .target_of = TARGET_VALUE };
	struct row down = { .name = "closing all of it", .unit = "us" };
	unsigned int i, runs = o->runs < 21 ? 21 : o->runs;

	/*
	 * No gate: what a start costs, it costs with neighbours too, and a new
	 * thread is to run wherever the scheduler puts it.
	 */
	for (i = 0; i < runs; i++) {
		double open_us, close_us;

		start_once(&open_us, &close_us);
		series_add(&up.value, open_us);
		series_add(&down.value, close_us);
	}
	series_add(&tail.value, series_at(&up.value, 900));
	snprintf(up.note, sizeof(up.note),
		 "no prefault, not pinned, not gated; %u runs, the first included; then answers a nop",
		 runs);
	report_row(&up);
	report_row(&tail);
	report_row(&down);
}

/* -------------------------------------------------------------------- size */

/* Beside this program: build/bench/pinring-bench, build/libpinring.so. */
static bool library_path(char *path, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", path, size - 32);
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
	strcat(path, "/libpinring.so");
	return access(path, R_OK) == 0;
}

/* What nvcc made, which is there only where that was: no figure of the library's own. */
static off_t device_code_bytes(const char *library)
{
	char command[64], line[256];
	long long bytes = 0;
	FILE *f;

	snprintf(command, sizeof(command), "size -A -d %s", library);
	f = popen(command, "r");
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, ".nv_fatbin %lld", &bytes);
	if (f)
		pclose(f);
	return (off_t)bytes;
}

/* Bytes of the library once stripped, less its device code, or 0. */
static off_t stripped_bytes(const char *library)
{
	char copy[] = "/tmp/pinring-stripped-XXXXXX";
	int fd = mkstemp(copy), status = -1;
	struct stat st = { .st_size = 0 };
	pid_t pid;

	if (fd < 0)
		return 0;
	close(fd);
	pid = fork();
	if (pid == 0) {
		execlp("strip", "strip", "-o", copy, library, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status ||
	    stat(copy, &st))
		st.st_size = 0;
	else
		st.st_size -= device_code_bytes(copy);
	unlink(copy);
	return st.st_size;
}

void bench_size(const struct bench_options *o)
{
	struct row row = { .name = "libpinring.so, stripped, less device code",
			   .unit = "KiB",
			   .once = true,
			   .target = TARGET_KIB,
			   .target_of = TARGET_VALUE };
	char library[4096];
	off_t bytes;

	(void)o;
	if (!library_path(library, sizeof(library))) {
		report_absent(row.name, row.target,
			      "libpinring.so is not where `make` puts it, in the folder above this program's");
		return;
	}
	bytes = stripped_bytes(library);
	if (!bytes) {
		report_absent(row.name, row.target,
			      "strip did not run: apt-get install binutils");
		return;
	}
	series_add(&row.value, (double)bytes / 1024.0);
	report_row(&row);
}
