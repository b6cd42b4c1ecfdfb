// SPDX-License-Identifier: MIT
/*
 * oracle.c - what must hold whatever was called: when all is closed, all is as
 * it was before.
 */
#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <time.h>

#define MEMORY_SLACK (128ll << 10) /* KiB that caches may have taken */

static atomic_bool wrong;

static struct {
	long long taint;
	long long memory; /* available after the first round, in KiB; 0: not yet */
	int fds;
	char knob[KNOBS_WRITABLE][128]; /* their texts; empty: there is none */
} before;

bool violated(void)
{
	return wrong;
}

/* Says what is wrong, and in which program; the run ends soon. */
void violate(struct worker *w, const char *format, ...)
{
	char text[TEXT + 1024];
	size_t at;
	va_list args;

	at = (size_t)snprintf(text, sizeof(text), "# wrong: ");
	va_start(args, format);
	at += (size_t)vsnprintf(text + at, sizeof(text) - at, format, args);
	va_end(args);
	at += (size_t)snprintf(text + at, sizeof(text) - at, "\n");
	if (w) {
		at += (size_t)snprintf(text + at, sizeof(text) - at,
				       "# by worker %u%s, call %u of:\n", w->id,
				       w->is_child ? "'s child" : "", w->at + 1);
		at += program_print(&w->program, text + at, sizeof(text) - at);
	}
	/* Not by stdio: a child may have got it locked. */
	if (write(STDOUT_FILENO, text, at) < 0)
		_exit(98);
	wrong = true;
	if (w && w->is_child)
		_exit(99);
}

static long long read_number(const char *path, const char *after)
{
	FILE *f = fopen(path, "re");
	char line[256];
	long long n = 0;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, after, strlen(after))) {
			n = atoll(line + strlen(after));
			break;
		}
	if (f)
		fclose(f);
	return n;
}

static int open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	if (!d)
		return -1;
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

void oracle_begin(void)
{
	before.taint = read_number("/proc/sys/kernel/tainted", "");
	knobs_open();
	for (unsigned int i = 0; i < KNOBS_WRITABLE; i++)
		knob_text(i, before.knob[i], sizeof(before.knob[i]));
	before.fds = open_fds();
}

/* As soon as may be: a poller that sleeps for 1 us makes all else slow. */
void restore_knobs(uint32_t which)
{
	for (unsigned int i = 0; i < KNOBS_WRITABLE; i++) {
		int rc;

		if (!before.knob[i][0] || !(which & 1u << i))
			continue;
		rc = knob_write(i, before.knob[i]);
		if (rc)
			violate(NULL, "%s cannot be set back: %s", knobs[i],
				strerror(-rc));
	}
}

/* A last file may be closed by a thread of the kernel, a moment later. */
static void expect_number(unsigned int knob, long long wanted)
{
	const struct timespec moment = { .tv_nsec = 20000000 };
	long long n = knob_read(knob);

	for (int i = 0; i < 500 && n != wanted && n >= 0; i++) {
		nanosleep(&moment, NULL);
		n = knob_read(knob);
	}
	if (n != wanted && n >= 0)
		violate(NULL, "%s is %lld, not %lld, when all is closed", knobs[knob],
			n, wanted);
}

/* Nobody runs anything, and all is closed. */
void oracle_round(void)
{
	long long taint = read_number("/proc/sys/kernel/tainted", "");
	long long memory;

	trace_off();
	restore_knobs(UINT32_MAX);
	if (violated())
		return;
	expect_number(KNOB_REGIONS, 0);
	expect_number(KNOB_BYTES, 0);
	expect_number(KNOB_DOORBELLS, 0);
	for (unsigned int node = 0; node < 2; node++)
		expect_number(KNOB_FREE + node, knob_read(KNOB_RESERVE + node));
	if (open_fds() != before.fds)
		violate(NULL, "%d fds are open, not %d", open_fds(), before.fds);
	if (taint != before.taint)
		violate(NULL, "the kernel is tainted: %lld, not %lld", taint,
			before.taint);
	memory = read_number("/proc/meminfo", "MemAvailable:");
	if (!before.memory)
		before.memory = memory;
	else if (memory < before.memory - MEMORY_SLACK)
		violate(NULL, "%lld KiB are to be had of the %lld after the first round",
			memory, before.memory);
}
