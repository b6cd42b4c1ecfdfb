// SPDX-License-Identifier: MIT
/*
 * soak.c - so many commands, every answer compared with what it must be.
 *
 *	soak [-n COMMANDS] [-s SECONDS]
 *
 * On the executor of PINRING_TEST_EXECUTOR. Says when answers come, and from then on
 * commands are in flight. Ends after the one or the other, says how many there were, and leaves with 0 if each was answered right, in order, and
 * if there were as many as -n says.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <pinring/pinring.h>

#include "../executor_kind.h"

#define DEPTH 1024u
#define WINDOW 512u /* in flight */
#define FLOATS 256u
#define SCRATCH 16u
#define SIDE 8u
#define CELL 77u
#define TURN (1u << 20) /* injections in one direction: exact in a float */
#define SECOND 1000000000ll

struct soak {
	struct pinring_device *device;
	struct pinring_region *region;
	struct pinring_executor *ex;
	struct pinring_wave wave;
	uint64_t vector, scratch; /* offsets */
	float prefix[FLOATS + 1]; /* sums of the vector's first floats */
	float filled; /* what scratch holds, when all that was sent is done */
	uint32_t injected; /* likewise the cell */
	uint64_t sum[2]; /* of what was expected, and of what came */
};

struct expected {
	uint64_t ticket;
	uint32_t id;
	float result;
	uint64_t done;
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "soak: %s: %s\n", what, pinring_error());
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void add_to(uint64_t *sum, uint32_t id, float result, uint64_t done)
{
	uint32_t bits;

	memcpy(&bits, &result, sizeof(bits));
	*sum = (*sum ^ id) * 0x100000001b3;
	*sum = (*sum ^ bits) * 0x100000001b3;
	*sum = (*sum ^ done) * 0x100000001b3;
}

static void open_soak(struct soak *s)
{
	struct pinring_region_config rc = pinring_region_defaults(1 << 20);
	struct pinring_executor_config ec = pinring_executor_defaults();
	struct pinring_object_info vector, scratch;
	float *at;
	uint32_t i;

	ec.kind = executor_kind();
	ec.depth = DEPTH;
	if (pinring_device_open(NULL, &s->device) ||
	    pinring_region_create(s->device, &rc, &s->region) ||
	    pinring_object_create(s->region, "vector", PINRING_OBJECT_BYTES,
				  FLOATS * sizeof(float), 0, &vector) ||
	    pinring_object_create(s->region, "scratch", PINRING_OBJECT_BYTES,
				  SCRATCH * sizeof(float), 0, &scratch) ||
	    pinring_wave_create(s->region, "room", SIDE, SIDE, SIDE, 0.5, 0.01,
				&s->wave) ||
	    pinring_executor_start(s->device, &ec, &s->ex) ||
	    pinring_executor_attach(s->ex, s->region))
		die("start");
	s->vector = vector.offset;
	s->scratch = scratch.offset;
	at = pinring_region_at(s->region, s->vector, FLOATS * sizeof(float));
	for (i = 0; i < FLOATS; i++) {
		at[i] = (float)(i * 37 % 101);
		s->prefix[i + 1] = s->prefix[i] + at[i];
	}
}

/* Command i, and what must come of it. */
static struct pinring_command make(struct soak *s, uint64_t i,
				   struct expected *e)
{
	struct pinring_command c = { .id = (uint32_t)i,
				     .operation = PINRING_OP_NOP,
				     .dst = { 0, PINRING_REGION_NONE } };

	*e = (struct expected){ .id = c.id };
	switch (i % 16) {
	case 13:
		c.operation = PINRING_OP_WAVE_INJECT;
		c.a.offset = s->wave.offset;
		c.aux = CELL;
		c.s0 = s->injected / TURN % 2 ? -1.0f : 1.0f;
		s->injected++;
		e->done = 1;
		break;
	case 14:
		c.operation = PINRING_OP_WAVE_PROBE;
		c.a.offset = s->wave.offset;
		c.aux = CELL;
		e->result = s->injected / TURN % 2 ?
				    (float)(TURN - s->injected % TURN) :
				    (float)(s->injected % TURN);
		e->done = 1;
		break;
	case 15:
		if (i / 16 % 3 == 0) {
			c.operation = PINRING_OP_FILL;
			c.dst.offset = s->scratch;
			c.dst.region = 0;
			c.count = SCRATCH;
			c.s0 = (float)(i / 16 % 4096);
			s->filled = c.s0;
		} else if (i / 16 % 3 == 1) {
			c.operation = PINRING_OP_SUM;
			c.a.offset = s->scratch;
			c.count = SCRATCH;
			e->result = (float)SCRATCH * s->filled;
		} else {
			c.operation = PINRING_OP_SUM;
			c.a.offset = s->vector;
			c.count = i / 16 % FLOATS + 1;
			e->result = s->prefix[c.count];
		}
		e->done = c.count;
		break;
	default:
		break;
	}
	return c;
}

static void collect(struct soak *s, const struct expected *e)
{
	struct pinring_completion c;

	if (pinring_executor_wait(s->ex, e->ticket, 20 * SECOND, &c))
		die("wait");
	add_to(&s->sum[0], e->id, e->result, e->done);
	add_to(&s->sum[1], c.id, c.result, c.done);
	if (c.status || s->sum[0] != s->sum[1]) {
		fprintf(stderr,
			"soak: command %u: answered as %u, status %d, result %.9g, done %llu; not %.9g and %llu\n",
			e->id, c.id, c.status, (double)c.result,
			(unsigned long long)c.done, (double)e->result,
			(unsigned long long)e->done);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	static struct expected window[WINDOW];
	uint64_t most = 100000000, i, k;
	double seconds = 60.0, begin, took;
	bool all = false;
	static struct soak s;
	int option;

	while ((option = getopt(argc, argv, "n:s:")) != -1) {
		if (option == 'n')
			all = (most = strtoull(optarg, NULL, 10));
		else if (option == 's')
			seconds = strtod(optarg, NULL);
		else
			return 2;
	}
	open_soak(&s);
	begin = now();
	for (i = 0; i < most; i++) {
		struct expected *e = &window[i % WINDOW];
		struct pinring_command c;

		if (i >= WINDOW)
			collect(&s, e);
		if (i == WINDOW) {
			puts("under way");
			fflush(stdout);
		}
		if (i % 65536 == 0 && now() - begin > seconds)
			break;
		c = make(&s, i, e);
		if (pinring_executor_submit(s.ex, &c, &e->ticket))
			die("submit");
	}
	/* The oldest is the next in the window; when time ran out it is collected. */
	for (k = i >= WINDOW ? i - WINDOW + (i < most) : 0; k < i; k++)
		collect(&s, &window[k % WINDOW]);
	took = now() - begin;
	if (pinring_executor_close(s.ex, 10 * SECOND))
		die("close");
	printf("%llu commands in %.1f s, %.2f M/s, checksum %016llx\n",
	       (unsigned long long)i, took, (double)i / took / 1e6,
	       (unsigned long long)s.sum[1]);
	pinring_region_close(s.region);
	pinring_device_close(s.device);
	if (all && i < most)
		fprintf(stderr, "soak: that is not %llu: the time was up\n",
			(unsigned long long)most);
	return all && i < most;
}
