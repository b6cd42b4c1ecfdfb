// SPDX-License-Identifier: MIT
/*
 * process.c - the same rings between two processes and between two threads, and
 * beside a pipe and a Unix socket.
 *
 * The other process has the region by file descriptor and attaches it, at another
 * address, as a stranger would; both it and the other thread open their sides
 * themselves, send or take one lap untimed, and then start.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "flow.h"
#include "report.h"

#define TRIPS 8000u
#define TRIPS_A_READING 8u /* the clock steps by 10 ns on some machines */
#define KERNEL_TRIPS 400u
#define LAP FLOW_CAPACITY

/* ------------------------------------------------------------------ meeting */
enum work { FLOW, TRIP, WORKS };

/* What the other side is told and tells; shared memory. */
struct meeting {
	const struct flow_queue *kind;
	struct pinring_region *region; /* of this process */
	const char *there, *back; /* the rings */
	enum work work;
	bool line, process;
	uint64_t items;
	uint32_t ready PINRING_ALIGNED(128); /* 1: open; 2: the lap is over */
	bool right;
	uint64_t end;
};

static struct pinring_region *region_of_peer(const struct meeting *m)
{
	struct pinring_device *device;
	struct pinring_region *region;
	int rc;

	if (!m->process)
		return m->region;
	rc = pinring_device_open(NULL, &device);
	if (!rc)
		rc = pinring_region_attach(device, pinring_region_fd(m->region),
					   &region);
	if (rc)
		bench_die("process: attach", rc);
	return region;
}

static void meet(struct meeting *m, uint32_t state)
{
	__atomic_store_n(&m->ready, state, __ATOMIC_RELEASE);
}

static void await(const struct meeting *m, uint32_t state)
{
	while (__atomic_load_n(&m->ready, __ATOMIC_ACQUIRE) < state)
		pinring_relax();
}

static enum flow_shape shape_of(const struct meeting *m)
{
	return m->line ? FLOW_64 : FLOW_8;
}

static void peer(void *arg)
{
	struct meeting *m = arg;
	struct pinring_region *region = region_of_peer(m);
	const struct flow_queue *kind = m->kind;
	void *there = kind->join(region, m->there, CROWD_CONSUMES);
	void *back = kind->join(region, m->back, CROWD_PRODUCES);
	uint64_t i;

	meet(m, 1);
	m->right = kind->consume[shape_of(m)](there, LAP);
	meet(m, 2);
	if (m->work == FLOW)
		m->right &= kind->consume[shape_of(m)](there, m->items);
	else
		for (i = 0; i < m->items; i++)
			kind->send(back, kind->receive(there));
	m->end = bench_now_ns();
	kind->close(there);
	kind->close(back);
}

static void *peer_thread(void *arg)
{
	peer(arg);
	return NULL;
}

/* The p50 of readings of several, ns. */
static double time_trips(const struct flow_queue *kind, void *there, void *back)
{
	static double trip[TRIPS / TRIPS_A_READING];
	uint64_t i, differs = 0;

	for (i = 0; i < TRIPS;) {
		double *mean = &trip[i / TRIPS_A_READING];
		uint64_t k, begin = bench_ticks();

		for (k = 0; k < TRIPS_A_READING; k++, i++) {
			kind->send(there, i);
			differs |= kind->receive(back) ^ i;
		}
		*mean = (double)(bench_ticks() - begin) / TRIPS_A_READING;
	}
	if (differs)
		bench_die("process: a round trip brought back something else",
			  0);
	return bench_quantile(trip, TRIPS / TRIPS_A_READING, 500) *
	       bench_ticks_ns();
}

/* Million items a second, or ns a round trip. */
static double run(struct meeting *m, const struct bench_options *o,
		  enum work work, bool process)
{
	const struct flow_queue *kind = m->kind;
	void *there = kind->join(m->region, m->there, CROWD_PRODUCES);
	void *back = kind->join(m->region, m->back, CROWD_CONSUMES);
	double figure = 0.0;
	pthread_t thread = 0;
	uint64_t begin;
	pid_t pid = 0;

	m->work = work;
	m->process = process;
	m->items = work == TRIP ? TRIPS : o->quick ? 1u << 19 : 1u << 21;
	m->ready = 0;
	if (process)
		pid = bench_process(o->cpu_peer, peer, m);
	else
		thread = bench_thread(o->cpu_peer, peer_thread, m);
	await(m, 1);
	kind->produce[shape_of(m)](there, LAP);
	await(m, 2);
	begin = bench_now_ns();
	if (work == FLOW)
		kind->produce[shape_of(m)](there, m->items);
	else
		figure = time_trips(kind, there, back);
	if (process)
		bench_process_end(pid);
	else
		pthread_join(thread, NULL);
	if (!m->right)
		bench_die("process: items were lost or came out of order", 0);
	if (work == FLOW)
		figure = (double)m->items * 1e3 / (double)(m->end - begin);
	kind->close(there);
	kind->close(back);
	return figure;
}

/* ------------------------------------------------------ through the kernel */
struct wires {
	int there[2], back[2]; /* read, write */
};

static void take(int fd, uint64_t *item)
{
	if (read(fd, item, sizeof(*item)) != sizeof(*item))
		bench_die("process: nothing came through the kernel", 0);
}

static void give(int fd, uint64_t item)
{
	if (write(fd, &item, sizeof(item)) != sizeof(item))
		bench_die("process: nothing goes through the kernel", 0);
}

static void kernel_peer(void *arg)
{
	const struct wires *w = arg;
	uint64_t i, item;

	for (i = 0; i < KERNEL_TRIPS; i++) {
		take(w->there[0], &item);
		give(w->back[1], item);
	}
}

static void open_pipes(struct wires *w)
{
	if (pipe(w->there) || pipe(w->back))
		bench_die("process: no pipe", 0);
}

static void open_sockets(struct wires *w)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		bench_die("process: no socket", 0);
	w->there[1] = pair[0];
	w->there[0] = pair[1];
	w->back[1] = dup(pair[1]);
	w->back[0] = dup(pair[0]);
}

/* p50, ns */
static double kernel_trips(const struct bench_options *o,
			   void (*open_wires)(struct wires *w))
{
	static double trip[KERNEL_TRIPS];
	uint64_t i, item = 0;
	struct wires w;
	pid_t pid;

	open_wires(&w);
	pid = bench_process(o->cpu_peer, kernel_peer, &w);
	for (i = 0; i < KERNEL_TRIPS; i++) {
		uint64_t begin = bench_now_ns();

		give(w.there[1], i);
		take(w.back[0], &item);
		trip[i] = (double)(bench_now_ns() - begin);
		if (item != i)
			bench_die("process: the kernel brought back something else",
				  0);
	}
	bench_process_end(pid);
	for (i = 0; i < 2; i++) {
		close(w.there[i]);
		close(w.back[i]);
	}
	return bench_quantile(trip, KERNEL_TRIPS, 500);
}

/* -------------------------------------------------------------------- rows */
enum ring { SPSC, LINES, RINGS };

static const struct {
	const char *name;
	enum ring ring;
	enum work work;
} events[] = {
	{ "SPSC 8 B between processes", SPSC, FLOW },
	{ "lines between processes", LINES, FLOW },
	{ "SPSC 8 B between processes, trip p50", SPSC, TRIP },
	{ "lines between processes, trip p50", LINES, TRIP },
};

#define EVENTS (sizeof(events) / sizeof(events[0]))
#define LINES_TRIP 3

static const struct {
	const char *name, *through;
	void (*open)(struct wires *w);
} kernels[] = {
	{ "lines between processes, beside a pipe", "a pipe, p50", open_pipes },
	{ "lines between processes, beside a socket", "a Unix socket, p50",
	  open_sockets },
};

#define KERNELS 2

/* Taken from their authors or from notes: nothing here was measured by us. */
static const struct published {
	const char *name, *who;
	double ns;
	bool one_way;
	const char *source;
} published[] = {
	{ "lines between processes, beside Aeron", "Aeron, AS NOTED", 131.0,
	  false,
	  "its SPSC ring buffer, two processes, round trip p50; shared/peers.md, 2 cores of an AMD EPYC (Zen 5)" },
	{ "half a trip, beside iceoryx2", "iceoryx2, AS PUBLISHED", 240.0, true,
	  "one way, 64 B; README.md of eclipse-iceoryx/iceoryx2 at 03a4ec22, Intel Core i7-10875H" },
	{ "half a trip, beside iceoryx", "iceoryx, AS PUBLISHED", 730.0, true,
	  "one way, 1 KiB; iceoryx_examples/iceperf/README.md of eclipse-iceoryx/iceoryx at 01cebe59, Intel Xeon E3-1505M v5" },
};

struct pair {
	struct gate gate;
	struct series threads, processes, ratio;
	struct series wire; /* ns: a bare line, there and back */
};

static void report_pair(size_t i, const struct pair *p)
{
	bool flow = events[i].work == FLOW;
	struct row row = { .name = events[i].name,
			   .unit = flow ? "M/s" : "ns",
			   .value = p->processes,
			   .limit_name = "two threads",
			   .limit = p->threads,
			   .ratio = series_median(&p->ratio),
			   .target = flow ? 0.95 : 1.05,
			   .target_is_floor = flow };
	int n = 0;

	if (!flow)
		n = snprintf(row.note, sizeof(row.note),
			     "the wire meanwhile, one line there and back: %.3g ns\n",
			     series_median(&p->wire));
	gate_note(&p->gate, row.note + n, sizeof(row.note) - (size_t)n);
	report_row(&row);
}

static void report_kernel(size_t i, const struct pair *p,
			  const struct series *ours)
{
	struct row row = { .name = kernels[i].name,
			   .unit = "ns",
			   .value = *ours,
			   .limit_name = kernels[i].through,
			   .limit = p->processes,
			   .target = 50.0,
			   .target_is_floor = true };
	int n;

	if (ours->n && row.limit.n)
		row.ratio = series_median(&row.limit) / series_median(ours);
	n = snprintf(row.note, sizeof(row.note),
		     "8 bytes there and back, read and write that sleep; both sides pinned\n");
	gate_note(&p->gate, row.note + n, sizeof(row.note) - (size_t)n);
	report_row(&row);
}

static void report_published(const struct published *p,
			     const struct series *trip)
{
	struct row row = { .name = p->name,
			   .unit = "ns",
			   .limit_name = p->who };
	unsigned int i;

	for (i = 0; i < trip->n; i++)
		series_add(&row.value,
			   p->one_way ? trip->value[i] / 2 : trip->value[i]);
	series_add(&row.limit, p->ns);
	if (row.value.n)
		row.ratio = series_median(&row.value) / p->ns;
	snprintf(row.note, sizeof(row.note),
		 "theirs is not measured here, and from another machine: %s",
		 p->source);
	report_row(&row);
}

static void run_pair(struct meeting *m, size_t i, struct pair *p)
{
	const struct bench_options *o = p->gate.options;
	double threads, processes;

	gate_before(&p->gate);
	threads = run(m, o, events[i].work, false);
	processes = run(m, o, events[i].work, true);
	if (!gate_pass(&p->gate))
		return;
	series_add(&p->threads, threads);
	series_add(&p->processes, processes);
	series_add(&p->ratio, processes / threads);
	series_add(&p->wire, (p->gate.before + p->gate.after) / 2);
}

static void run_kernel(size_t i, struct pair *p)
{
	double trip;

	gate_before(&p->gate);
	trip = kernel_trips(p->gate.options, kernels[i].open);
	if (gate_pass(&p->gate))
		series_add(&p->processes, trip);
}

static void open_meeting(struct meeting *m, struct pinring_region *region,
			 enum ring ring)
{
	m->kind = ring == LINES ? flow_lines() : flow_spsc();
	m->line = ring == LINES;
	m->region = region;
	m->there = ring == LINES ? "lines there" : "words there";
	m->back = ring == LINES ? "lines back" : "words back";
	m->kind->create(region, m->there, m->line);
	m->kind->create(region, m->back, m->line);
}

static struct pinring_region *open_region(struct pinring_device **device)
{
	struct pinring_region_config rc = pinring_region_defaults(2u << 20);
	struct pinring_region *region;
	int error;

	rc.flags = PINRING_REGION_PREFAULT;
	error = pinring_device_open(NULL, device);
	if (!error)
		error = pinring_region_create(*device, &rc, &region);
	if (error)
		bench_die("process", error);
	return region;
}

void bench_processes(const struct bench_options *o)
{
	static struct pair pairs[EVENTS], through[KERNELS];
	struct pinring_device *device;
	struct pinring_region *region;
	struct meeting *meetings;
	struct gate first;
	bool more = true;
	size_t i;

	if (!bench_two_cores(o)) {
		report_absent("between processes", 0.95,
			      "needs two cores, and this process may use one");
		return;
	}
	bench_pin(o->cpu_host);
	bench_ticks_ns();
	region = open_region(&device);
	meetings = bench_shared(RINGS * sizeof(*meetings));
	for (i = 0; i < RINGS; i++)
		open_meeting(&meetings[i], region, (enum ring)i);
	gate_open(&first, o, 30);
	for (i = 0; i < EVENTS; i++)
		gate_share(&pairs[i].gate, &first);
	for (i = 0; i < KERNELS; i++) {
		gate_share(&through[i].gate, &first);
		through[i].gate.sleeps = true;
	}
	while (more) {
		more = false;
		for (i = 0; i < EVENTS; i++) {
			if (!gate_more(&pairs[i].gate))
				continue;
			run_pair(&meetings[events[i].ring], i, &pairs[i]);
			more = true;
		}
		for (i = 0; i < KERNELS; i++) {
			if (!gate_more(&through[i].gate))
				continue;
			run_kernel(i, &through[i]);
			more = true;
		}
	}
	for (i = 0; i < EVENTS; i++)
		report_pair(i, &pairs[i]);
	for (i = 0; i < KERNELS; i++)
		report_kernel(i, &through[i], &pairs[LINES_TRIP].processes);
	for (i = 0; i < sizeof(published) / sizeof(published[0]); i++)
		report_published(&published[i], &pairs[LINES_TRIP].processes);
	pinring_region_close(region);
	pinring_device_close(device);
}
