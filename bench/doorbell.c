// SPDX-License-Identifier: MIT
/* doorbell.c - ringing, and waking up. */
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "report.h"

#define RINGS 100000u
#define WAIT_NS 10000000000ll

/* Two doorbells, or two bare eventfds. */
struct echo {
	struct pinring_doorbell *there, *back; /* NULL: the eventfds */
	int there_fd, back_fd;
	uint64_t turns;
	uint64_t there_seen, back_seen; /* sequences at the start */
};

static void take_event(int fd)
{
	uint64_t value;

	if (read(fd, &value, sizeof(value)) != sizeof(value) || value != 1)
		bench_die("doorbell: an eventfd lost an event", 0);
}

static void give_event(int fd)
{
	const uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		bench_die("doorbell: cannot write to an eventfd", 0);
}

static void *echo_main(void *arg)
{
	struct echo *e = arg;
	uint64_t i;

	for (i = 0; i < e->turns; i++) {
		if (!e->there) {
			take_event(e->there_fd);
			give_event(e->back_fd);
			continue;
		}
		if (pinring_doorbell_wait(e->there, e->there_seen + i, WAIT_NS))
			bench_die("doorbell: a ring was lost", 0);
		pinring_doorbell_ring(e->back);
	}
	return NULL;
}

/* us a turn, both sides asleep when rung. */
static double turns(const struct bench_options *o, struct echo *e)
{
	uint64_t begin, i;
	pthread_t peer;

	if (e->there) {
		e->there_seen = pinring_doorbell_sequence(e->there);
		e->back_seen = pinring_doorbell_sequence(e->back);
	}
	peer = bench_thread(o->cpu_peer, echo_main, e);
	bench_nap(200); /* until it sleeps */
	begin = bench_now_ns();
	for (i = 0; i < e->turns; i++) {
		if (!e->there) {
			give_event(e->there_fd);
			take_event(e->back_fd);
			continue;
		}
		pinring_doorbell_ring(e->there);
		if (pinring_doorbell_wait(e->back, e->back_seen + i, WAIT_NS))
			bench_die("doorbell: a ring was lost", 0);
	}
	begin = bench_now_ns() - begin;
	pthread_join(peer, NULL);
	if (e->there && pinring_doorbell_sequence(e->back) - e->back_seen !=
				e->turns)
		bench_die("doorbell: rings were made up", 0);
	return (double)begin / (double)e->turns / 1e3;
}

/* ns a ring that nobody waits for. */
static double rings(struct pinring_doorbell *bell)
{
	uint64_t seen = pinring_doorbell_sequence(bell), begin, i;

	begin = bench_now_ns();
	for (i = 0; i < RINGS; i++)
		pinring_doorbell_ring(bell);
	begin = bench_now_ns() - begin;
	if (pinring_doorbell_sequence(bell) - seen != RINGS)
		bench_die("doorbell: rings were lost", 0);
	return (double)begin / RINGS;
}

void bench_doorbell(const struct bench_options *o)
{
	struct row quiet = { .name = "doorbell, ring while nobody sleeps",
			     .unit = "ns" };
	struct row asleep = { .name = "doorbell, both asleep, round trip",
			      .unit = "us",
			      .limit_name = "eventfd write and read" };
	struct pinring_region_config rc = pinring_region_defaults(1u << 16);
	struct echo bell = { .turns = o->quick ? 200 : 500 };
	struct echo bare = { .turns = o->quick ? 200 : 500 };
	struct series ratio = { .n = 0 };
	struct pinring_region *region;
	struct pinring_device *device;
	struct gate gate;
	int error;

	error = pinring_device_open(NULL, &device);
	if (!error)
		error = pinring_region_create(device, &rc, &region);
	if (!error)
		error = pinring_doorbell_create(region, "there", &bell.there);
	if (!error)
		error = pinring_doorbell_create(region, "back", &bell.back);
	if (error)
		bench_die("doorbell", error);
	bare.there_fd = eventfd(0, EFD_CLOEXEC);
	bare.back_fd = eventfd(0, EFD_CLOEXEC);
	if (bare.there_fd < 0 || bare.back_fd < 0)
		bench_die("doorbell: no eventfd", 0);
	/* Straight to sleep. */
	pinring_doorbell_spin(bell.there, 0, 0);
	pinring_doorbell_spin(bell.back, 0, 0);
	bench_pin(o->cpu_host);
	gate_open(&gate, o, 10);
	gate.sleeps = true;
	do {
		double ring, trip, limit;

		gate_before(&gate);
		ring = rings(bell.there);
		limit = turns(o, &bare);
		trip = turns(o, &bell);
		if (!gate_pass(&gate))
			continue;
		series_add(&quiet.value, ring);
		series_add(&asleep.value, trip);
		series_add(&asleep.limit, limit);
		series_add(&ratio, trip / limit);
	} while (gate_more(&gate));
	asleep.ratio = series_median(&ratio);
	gate_note(&gate, asleep.note, sizeof(asleep.note));
	report_row(&quiet);
	report_row(&asleep);
	close(bare.there_fd);
	close(bare.back_fd);
	pinring_doorbell_close(bell.there);
	pinring_doorbell_close(bell.back);
	pinring_region_close(region);
	pinring_device_close(device);
}
