// SPDX-License-Identifier: MIT
/*
 * pipeline.c - two executors, two stages, and no host in between.
 *
 *	first stage                             second stage
 *	buffer = input * 3          forward --> sum of buffer + 1
 *	                            join    <-- its answer
 *
 * Whatever the first stage has done, the second one finds in the region they share:
 * what travels over the link is a command of 64 bytes that says where. With a GPU
 * both run on it, with two the second one runs on the other.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <pinring/pinring.h>

#define FLOATS 1024u
#define BUFFERS 8u
#define FRAMES 20000u
#define SECOND 1000000000ll

static struct pinring_object_info input, buffers, ones, program, sums;
static uint32_t region;

static int die(const char *what, int rc)
{
	fprintf(stderr, "%s: error %d: %s\n", what, -rc, pinring_error());
	return 1;
}

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * SECOND + t.tv_nsec;
}

static struct pinring_operand in(const struct pinring_object_info *o, uint64_t at)
{
	return (struct pinring_operand){ o->offset + at, region };
}

/* What the second stage does with a buffer, in the words that a slot has. */
static void write_program(struct pinring_device_slot *slots)
{
	uint32_t i;

	for (i = 0; i < BUFFERS; i++) {
		const uint64_t at = i * FLOATS * sizeof(float);
		struct pinring_command add = {
			.id = i, .operation = PINRING_OP_ADD, .count = FLOATS,
			.dst = in(&buffers, at), .a = in(&buffers, at),
			.b = in(&ones, 0),
		};
		struct pinring_command sum = {
			.id = i, .operation = PINRING_OP_SUM, .count = FLOATS,
			.dst = in(&sums, i * sizeof(float)), .a = in(&buffers, at),
		};

		pinring_pack_command(slots[2 * i].word, &add);
		pinring_pack_command(slots[2 * i + 1].word, &sum);
	}
}

static int start(struct pinring_device *device, struct pinring_region *r, int gpu,
		 struct pinring_executor **ex)
{
	struct pinring_executor_config c = pinring_executor_defaults();
	int rc, number;

	c.threads = 1;
	c.gpu = gpu;
	rc = pinring_executor_start(device, &c, ex);
	if (rc)
		return rc;
	number = pinring_executor_attach(*ex, r);
	region = (uint32_t)number; /* the same in both: the first */
	return number < 0 ? number : 0;
}

/* One buffer through both stages; the first stage's ticket of the join. */
static int send_frame(struct pinring_executor *first, uint32_t i, uint64_t link,
		      uint64_t *ticket)
{
	struct pinring_command scale = {
		.id = i, .operation = PINRING_OP_SCALE, .count = FLOATS, .s0 = 3.0f,
		.a = in(&input, 0), .dst = in(&buffers, i * FLOATS * sizeof(float)),
		.flags = PINRING_COMMAND_DETACHED,
	};
	struct pinring_command forward = {
		.id = i, .operation = PINRING_OP_FORWARD, .count = 2, .aux = link,
		.a = in(&program, 2 * i * sizeof(struct pinring_device_slot)),
		.flags = PINRING_COMMAND_DETACHED,
	};
	struct pinring_command join = {
		.id = i, .operation = PINRING_OP_JOIN, .aux = link,
	};
	int rc = pinring_executor_submit(first, &scale, NULL);

	if (!rc)
		rc = pinring_executor_submit(first, &forward, NULL);
	if (!rc && i == BUFFERS - 1)
		rc = pinring_executor_submit(first, &join, ticket);
	return rc;
}

int main(void)
{
	struct pinring_region_config config = pinring_region_defaults(1 << 20);
	struct pinring_executor_info info = PINRING_INIT(struct pinring_executor_info);
	struct pinring_executor *first, *second;
	struct pinring_completion done;
	struct pinring_device *device;
	struct pinring_region *r;
	float *in_at, *ones_at, *sums_at, expected = 0;
	uint64_t ticket;
	uint32_t i, frame;
	int64_t begin;
	int rc, link;

	rc = pinring_device_open(NULL, &device);
	if (!rc)
		rc = pinring_region_create(device, &config, &r);
	if (!rc)
		rc = pinring_object_create(r, "input", PINRING_OBJECT_BYTES,
					   FLOATS * sizeof(float), 64, &input);
	if (!rc)
		rc = pinring_object_create(r, "ones", PINRING_OBJECT_BYTES,
					   FLOATS * sizeof(float), 64, &ones);
	if (!rc)
		rc = pinring_object_create(r, "buffers", PINRING_OBJECT_BYTES,
					   BUFFERS * FLOATS * sizeof(float), 64,
					   &buffers);
	if (!rc)
		rc = pinring_object_create(r, "sums", PINRING_OBJECT_BYTES,
					   BUFFERS * sizeof(float), 64, &sums);
	if (!rc)
		rc = pinring_object_create(r, "program", PINRING_OBJECT_BYTES,
					   2 * BUFFERS *
						   sizeof(struct pinring_device_slot),
					   64, &program);
	if (!rc)
		rc = start(device, r, 0, &first);
	if (rc)
		return die("the first stage", rc);
	rc = start(device, r, 1, &second);
	if (rc == -ENODEV)
		rc = start(device, r, 0, &second);
	if (rc)
		return die("the second stage", rc);
	link = pinring_executor_connect(first, second, 0);
	if (link < 0)
		return die("the link", link);

	in_at = pinring_region_at(r, input.offset, input.length);
	ones_at = pinring_region_at(r, ones.offset, ones.length);
	sums_at = pinring_region_at(r, sums.offset, sums.length);
	write_program(pinring_region_at(r, program.offset, program.length));
	for (i = 0; i < FLOATS; i++) {
		in_at[i] = (float)(i % 5);
		ones_at[i] = 1;
		expected += 3 * in_at[i] + 1;
	}
	begin = now();
	for (frame = 0; frame < FRAMES; frame += BUFFERS) {
		for (i = 0; i < BUFFERS; i++) {
			sums_at[i] = 0;
			rc = send_frame(first, i, (uint64_t)link, &ticket);
			if (rc)
				return die("submit", rc);
		}
		rc = pinring_executor_wait(first, ticket, 10 * SECOND, &done);
		if (rc || done.status)
			return die("join", rc ? rc : done.status);
		for (i = 0; i < BUFFERS; i++) {
			if (sums_at[i] != expected || done.done != 2 * BUFFERS) {
				fprintf(stderr, "frame %u: %g is not %g\n",
					frame + i, (double)sums_at[i],
					(double)expected);
				return 1;
			}
		}
	}
	begin = now() - begin;
	pinring_executor_info(second, &info);
	printf("%u buffers through both stages (%s), each sum right: %.0f messages/s\n",
	       FRAMES, info.isa, 2.0 * FRAMES * SECOND / (double)begin);
	pinring_executor_close(first, SECOND);
	pinring_executor_close(second, SECOND);
	pinring_region_close(r);
	pinring_device_close(device);
	return 0;
}
