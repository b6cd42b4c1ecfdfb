// SPDX-License-Identifier: MIT
/*
 * bounded.c - every operation once and more, on a loop that ends by itself: what
 * compute-sanitizer and ncu can watch. The host executor does the same in a region of
 * its own, and both must hold the same bits.
 *
 *	bounded [BLOCKS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinring/pinring.h>

#include "../executor_kind.h"

#define FLOATS 40000u /* more than the coordinator does alone */
#define SIDE 24u /* likewise */
#define STEPS 3u
#define COMMANDS_MAX 64u
#define SECOND 1000000000ll

struct side {
	struct pinring_region *region;
	struct pinring_executor *ex;
	struct pinring_wave wave;
	struct pinring_object_info a, b, dst, in;
	struct pinring_completion done[COMMANDS_MAX];
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "bounded: %s: %s\n", what, pinring_error());
	exit(1);
}

static void make_memory(struct pinring_device *device, struct side *s)
{
	const uint64_t bytes = FLOATS * sizeof(float);
	struct pinring_region_config rc = pinring_region_defaults(
		4 * bytes + pinring_wave_bytes(SIDE, SIDE, SIDE) + 65536);
	float *a, *b, *in;
	uint32_t i;

	if (pinring_region_create(device, &rc, &s->region) ||
	    pinring_object_create(s->region, "a", PINRING_OBJECT_BYTES, bytes, 0,
				  &s->a) ||
	    pinring_object_create(s->region, "b", PINRING_OBJECT_BYTES, bytes, 0,
				  &s->b) ||
	    pinring_object_create(s->region, "dst", PINRING_OBJECT_BYTES, bytes,
				  0, &s->dst) ||
	    pinring_object_create(s->region, "in", PINRING_OBJECT_BYTES, bytes,
				  0, &s->in) ||
	    pinring_wave_create(s->region, "room", SIDE, SIDE, SIDE, 0.5, 0.02,
				&s->wave))
		die("memory");
	a = pinring_region_at(s->region, s->a.offset, bytes);
	b = pinring_region_at(s->region, s->b.offset, bytes);
	in = pinring_region_at(s->region, s->in.offset, bytes);
	for (i = 0; i < FLOATS; i++) {
		a[i] = (float)(i % 211) * 0.03f - 3.0f;
		b[i] = (float)(i % 97) * 0.07f + 0.5f;
		in[i] = (float)(i % 5) - 2.0f;
	}
}

/* Command n of the list; 0 when there are no more. */
static int make(const struct side *s, uint32_t n, struct pinring_command *c)
{
	static const uint64_t counts[] = { 100, FLOATS };
	uint32_t operation = n / 2;

	*c = (struct pinring_command){ .id = n,
				       .operation = (uint16_t)operation,
				       .dst = { s->dst.offset, 0 },
				       .a = { s->a.offset, 0 },
				       .b = { s->b.offset, 0 },
				       .count = counts[n % 2],
				       .s0 = 1.25f };
	if (operation <= PINRING_OP_DOT)
		return 1;
	c->a.offset = s->wave.offset;
	c->b.offset = s->in.offset;
	c->aux = 1000;
	c->count = STEPS;
	switch (n - 2 * (PINRING_OP_DOT + 1)) {
	case 0:
		c->operation = PINRING_OP_WAVE_INJECT;
		return 1;
	case 1:
		c->operation = PINRING_OP_WAVE_STEP;
		return 1;
	case 2:
		c->operation = PINRING_OP_WAVE_PROBE;
		return 1;
	case 3:
		c->operation = PINRING_OP_WAVE_BLOCK;
		c->aux |= 1500ull << PINRING_WAVE_CELL_BITS;
		return 1;
	default:
		return 0;
	}
}

static uint32_t count_commands(const struct side *s)
{
	struct pinring_command c;
	uint32_t n = 0;

	while (make(s, n, &c))
		n++;
	return n;
}

static void run(struct pinring_device *device, struct side *s, uint32_t kind,
		uint32_t threads)
{
	struct pinring_executor_config ec = pinring_executor_defaults();
	uint64_t ticket[COMMANDS_MAX];
	struct pinring_command c;
	uint32_t n = count_commands(s), i;

	ec.kind = kind;
	ec.threads = threads;
	ec.commands_max = n;
	if (pinring_executor_create(device, &ec, &s->ex) ||
	    pinring_executor_attach(s->ex, s->region))
		die("create");
	for (i = 0; i < n; i++) {
		make(s, i, &c);
		if (pinring_executor_submit(s->ex, &c, &ticket[i]))
			die("submit");
	}
	/* Under a sanitizer it may return when all of them are done. */
	if (pinring_executor_launch(s->ex) ||
	    pinring_executor_wait_state(s->ex, PINRING_STATE_TERMINATED,
					300 * SECOND))
		die("run");
	for (i = 0; i < n; i++) {
		if (pinring_executor_wait(s->ex, ticket[i], SECOND,
					  &s->done[i]))
			die("collect");
		if (s->done[i].status || s->done[i].id != i) {
			fprintf(stderr, "bounded: command %u: status %d, %s\n",
				i, s->done[i].status,
				pinring_reason_text(s->done[i].reason));
			exit(1);
		}
	}
	if (pinring_executor_close(s->ex, SECOND))
		die("close");
}

int main(int argc, char **argv)
{
	const uint32_t blocks = argc > 1 ? (uint32_t)atoi(argv[1]) : 2;
	struct pinring_device *device;
	static struct side tried, host;
	struct pinring_command c;
	uint32_t i, n;

	if (pinring_device_open(NULL, &device))
		die("open");
	make_memory(device, &tried);
	make_memory(device, &host);
	run(device, &tried, executor_kind(), blocks);
	run(device, &host, PINRING_EXECUTOR_HOST, 1);
	n = count_commands(&host);
	for (i = 0; i < n; i++) {
		make(&host, i, &c);
		if (memcmp(&tried.done[i].result, &host.done[i].result,
			   sizeof(float))) {
			fprintf(stderr, "bounded: %s of %llu: %.9g, not %.9g\n",
				pinring_operation_name(c.operation),
				(unsigned long long)c.count,
				(double)tried.done[i].result,
				(double)host.done[i].result);
			return 1;
		}
	}
	if (memcmp(pinring_region_at(tried.region, tried.dst.offset,
				     tried.dst.length),
		   pinring_region_at(host.region, host.dst.offset,
				     host.dst.length),
		   host.dst.length) ||
	    memcmp(tried.wave.field[0], host.wave.field[0],
		   host.wave.cells * sizeof(float)) ||
	    memcmp(tried.wave.field[1], host.wave.field[1],
		   host.wave.cells * sizeof(float))) {
		fprintf(stderr, "bounded: the memory differs from a host executor's\n");
		return 1;
	}
	pinring_region_close(tried.region);
	pinring_region_close(host.region);
	pinring_device_close(device);
	printf("%u commands on %u blocks, and the host executor's bits\n", n,
	       blocks);
	return 0;
}
