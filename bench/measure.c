// SPDX-License-Identifier: MIT
/* measure.c - clock, pinning, series, and the gate. */
#define _GNU_SOURCE
#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <pinring/port.h>

#include "measure.h"

uint64_t bench_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t bench_ticks(void)
{
#ifdef __x86_64__
	return __builtin_ia32_rdtsc();
#else
	return bench_now_ns();
#endif
}

double bench_ticks_ns(void)
{
	static double ns;

	if (ns == 0.0) {
		uint64_t begin = bench_now_ns(), ticks = bench_ticks(), end;

		do
			end = bench_now_ns();
		while (end - begin < 20000000);
		ns = (double)(end - begin) / (double)(bench_ticks() - ticks);
	}
	return ns;
}

void bench_nap(unsigned int us)
{
	struct timespec t = { .tv_nsec = (long)us * 1000 };

	nanosleep(&t, NULL);
}

void bench_die(const char *what, int error)
{
	fprintf(stderr, "pinring-bench: %s%s%s. %s\n", what, error ? ": " : "",
		error ? strerror(-error) : "", pinring_error());
	exit(1);
}

static void one_cpu(cpu_set_t *set, int cpu)
{
	CPU_ZERO(set);
	CPU_SET(cpu, set);
}

void bench_pin(int cpu)
{
	cpu_set_t set;

	one_cpu(&set, cpu);
	if (sched_setaffinity(0, sizeof(set), &set))
		bench_die("cannot pin a thread", 0);
}

static uint64_t *waited_by_ended; /* ns, by threads and processes that have */

void *bench_shared(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED)
		bench_die("no shared memory", 0);
	return memory;
}

static uint64_t *ended(void)
{
	if (!waited_by_ended)
		waited_by_ended = bench_shared(sizeof(*waited_by_ended));
	return waited_by_ended;
}

uint64_t bench_thread_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t waited_in(const char *schedstat)
{
	unsigned long long ran, waited = 0;
	FILE *f = fopen(schedstat, "re");

	if (f && fscanf(f, "%llu %llu", &ran, &waited) != 2)
		waited = 0;
	if (f)
		fclose(f);
	return waited;
}

struct start {
	void *(*run)(void *);
	void *arg;
};

static void *thread_main(void *arg)
{
	struct start start = *(struct start *)arg;

	free(arg);
	start.run(start.arg);
	__atomic_add_fetch(waited_by_ended,
			   waited_in("/proc/thread-self/schedstat"),
			   __ATOMIC_RELAXED);
	return NULL;
}

pthread_t bench_thread(int cpu, void *(*run)(void *), void *arg)
{
	struct start *start = malloc(sizeof(*start));
	pthread_attr_t attr;
	pthread_t thread;
	cpu_set_t set;

	ended();
	if (!start)
		bench_die("no memory", 0);
	*start = (struct start){ run, arg };
	pthread_attr_init(&attr);
	one_cpu(&set, cpu);
	pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	if (pthread_create(&thread, &attr, thread_main, start))
		bench_die("cannot start a thread", 0);
	pthread_attr_destroy(&attr);
	return thread;
}

pid_t bench_process(int cpu, void (*run)(void *), void *arg)
{
	uint64_t *waited = ended(), before;
	cpu_set_t set;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		bench_die("cannot start a process", 0);
	if (pid) {
		/* From here: there, it may have to wait for the core first. */
		one_cpu(&set, cpu);
		sched_setaffinity(pid, sizeof(set), &set);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	bench_pin(cpu);
	before = waited_in("/proc/thread-self/schedstat");
	run(arg);
	__atomic_add_fetch(waited,
			   waited_in("/proc/thread-self/schedstat") - before,
			   __ATOMIC_RELAXED);
	_exit(0);
}

void bench_process_end(pid_t pid)
{
	int status = -1;

	if (waitpid(pid, &status, 0) != pid || status)
		bench_die("a process of the benchmark failed", 0);
}

/* ------------------------------------------------------------------ series */
void series_add(struct series *s, double value)
{
	if (s->n < BENCH_RUNS_MAX)
		s->value[s->n++] = value;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_quantile(double *values, size_t n, unsigned int permille)
{
	size_t at = n * permille / 1000;

	if (!n)
		return 0.0;
	qsort(values, n, sizeof(*values), ascending);
	return values[at < n ? at : n - 1];
}

double series_at(const struct series *s, unsigned int permille)
{
	struct series copy = *s;

	return bench_quantile(copy.value, copy.n, permille);
}

double series_median(const struct series *s)
{
	return series_at(s, 500);
}

double series_last(const struct series *s)
{
	return s->n ? s->value[s->n - 1] : 0.0;
}

double series_ratio(const struct series *value, const struct series *limit)
{
	struct series ratio = { .n = 0 };
	unsigned int i;

	for (i = 0; i < value->n && i < limit->n; i++) {
		if (limit->value[i] > 0.0)
			series_add(&ratio, value->value[i] / limit->value[i]);
	}
	return series_median(&ratio);
}

/* ----------------------------------------------------- the bare round trip */
struct ball {
	/* Trip i: 2i + 1 goes there, 2i + 2 comes back. */
	uint64_t line[2] PINRING_ALIGNED(128);
	uint64_t other PINRING_ALIGNED(128);
	uint64_t trips PINRING_ALIGNED(128);
	bool two_lines;
};

static uint64_t *way_back(struct ball *b)
{
	return b->two_lines ? &b->other : &b->line[0];
}

static void await(const uint64_t *word, uint64_t value)
{
	/* One pause a poll: faster than none or two (shared/peers.md, 7). */
	while (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value)
		pinring_relax();
}

static void *return_ball(void *arg)
{
	struct ball *b = arg;
	uint64_t *back = way_back(b);
	uint64_t i;

	for (i = 0; i < b->trips; i++) {
		await(&b->line[0], 2 * i + 1);
		__atomic_store_n(back, 2 * i + 2, __ATOMIC_RELEASE);
	}
	return NULL;
}

double bench_round_trip(const struct bench_options *o, unsigned int trips,
			bool two_lines)
{
	struct ball b = { .trips = trips, .two_lines = two_lines };
	const uint64_t warm = trips / 10;
	uint64_t *back = way_back(&b);
	uint64_t i, begin = 0;
	pthread_t peer;

	peer = bench_thread(o->cpu_peer, return_ball, &b);
	for (i = 0; i < trips; i++) {
		if (i == warm)
			begin = bench_now_ns();
		__atomic_store_n(&b.line[0], 2 * i + 1, __ATOMIC_RELEASE);
		await(back, 2 * i + 2);
	}
	begin = bench_now_ns() - begin;
	pthread_join(peer, NULL);
	return (double)begin / (double)(trips - warm);
}

/* -------------------------------------------------------------------- gate */
#define PROBE_TRIPS 2000
#define BAND_PROBES 31
#define BAND_WIDTH 1.7 /* its upper end over its lower */
/*
 * Off its core for no longer than this. Some of it is the start of a thread and
 * the kernel's own (DAMON pushes off every 5 ms for some 20 us); a neighbour
 * that wants the core takes a slice of milliseconds.
 */
#define WAIT_NS 100000
#define WAIT_SHARE 0.02

/*
 * How long all threads of this process have been ready to run and did not: the
 * second figure of schedstat (Documentation/scheduler/sched-stats.rst).
 */
static uint64_t waited_ns(void)
{
	uint64_t sum = __atomic_load_n(ended(), __ATOMIC_RELAXED);
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	char path[300];

	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%s/schedstat",
			 entry->d_name);
		sum += waited_in(path);
	}
	if (dir)
		closedir(dir);
	return sum;
}

static double probe(const struct gate *g)
{
	if (!bench_two_cores(g->options))
		return 0.0;
	return bench_round_trip(g->options, PROBE_TRIPS, false);
}

/* The band that holds the most probes. */
static void find_band(struct gate *g)
{
	double p[BAND_PROBES];
	unsigned int i, best = 0, at = 0;

	for (i = 0; i < BAND_PROBES; i++)
		p[i] = probe(g);
	bench_quantile(p, BAND_PROBES, 0);
	for (i = 0; i < BAND_PROBES; i++) {
		unsigned int k = i;

		while (k < BAND_PROBES && p[k] <= p[i] * BAND_WIDTH)
			k++;
		if (k - i > best) {
			best = k - i;
			at = i;
		}
	}
	g->low = p[at] * 0.9;
	g->high = p[at] * 0.9 * BAND_WIDTH;
}

void gate_open(struct gate *g, const struct bench_options *o,
	       unsigned int seconds)
{
	memset(g, 0, sizeof(*g));
	g->options = o;
	g->wanted = o->runs;
	find_band(g);
	if (o->quick)
		seconds = seconds / 4 + 1;
	g->deadline = bench_now_ns() + seconds * 1000000000ull;
}

void gate_share(struct gate *g, const struct gate *from)
{
	memset(g, 0, sizeof(*g));
	g->options = from->options;
	g->wanted = from->wanted;
	g->low = from->low;
	g->high = from->high;
	g->deadline = from->deadline;
}

void gate_before(struct gate *g)
{
	g->tried++;
	g->before = probe(g);
	g->waited = waited_ns();
	g->begin = bench_now_ns();
}

static bool in_band(const struct gate *g, double ns)
{
	return ns >= g->low && ns <= g->high;
}

bool gate_pass(struct gate *g)
{
	double wall = (double)(bench_now_ns() - g->begin);
	double waited = g->sleeps ? 0.0 : (double)(waited_ns() - g->waited);
	bool pushed = waited + (double)g->lacked > WAIT_NS + WAIT_SHARE * wall;

	if (!bench_two_cores(g->options)) {
		/* Two threads on one core push each other: nothing to gate by. */
		g->passed++;
		return true;
	}
	g->after = probe(g);
	if (!pushed && in_band(g, g->before) && in_band(g, g->after)) {
		g->passed++;
		return true;
	}
	if (pushed)
		g->pushed++;
	else
		g->moved++;
	bench_nap(5000);
	return false;
}

bool gate_more(const struct gate *g)
{
	return g->passed < g->wanted && bench_now_ns() < g->deadline;
}

int gate_note(const struct gate *g, char *text, size_t size)
{
	const char *words = g->passed < g->wanted ? "TOO NOISY: only " : "";

	if (!bench_two_cores(g->options))
		return snprintf(text, size,
				"ONE CORE: %u runs, without a gate", g->passed);
	return snprintf(text, size,
			"%s%u of %u runs counted (%u kept off a core, %u outside the band of %.0f to %.0f ns)",
			words, g->passed, g->tried, g->pushed, g->moved,
			g->low, g->high);
}
