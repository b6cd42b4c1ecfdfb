// SPDX-License-Identifier: MIT
/*
 * resident.c - what commands go over again and again stays where the executor runs.
 *
 *	region --copy--> memory of the GPU: 1000 times x = x * 0.999 + y --copy--> region
 *
 * And the same in the region itself, which a GPU reaches over its bus. Without a GPU
 * both are memory of this process, and the program is the same.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <pinring/pinring.h>

#define N 1000000u
#define STEPS 1000u
#define SECOND 1000000000ll

static const uint64_t bytes = N * sizeof(float);

static int die(const char *what, int rc)
{
	fprintf(stderr, "%s: error %d: %s\n", what, -rc, pinring_error());
	return 1;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* As many commands as fit are in flight; the last one is waited for. */
static int work(struct pinring_executor *executor, struct pinring_operand x,
		struct pinring_operand y)
{
	struct pinring_command step = {
		.operation = PINRING_OP_AXPY, .count = N, .s0 = 0.999f,
		.dst = x, .a = x, .b = y,
	};
	struct pinring_completion done;
	uint64_t ticket = 0;
	uint32_t i;
	int rc;

	for (i = 0; i < STEPS; i++) {
		step.id = i;
		step.flags = i < STEPS - 1 ? PINRING_COMMAND_DETACHED : 0;
		while ((rc = pinring_executor_submit(executor, &step, &ticket)) == -EAGAIN)
			;
		if (rc)
			return rc;
	}
	rc = pinring_executor_wait(executor, ticket, 60 * SECOND, &done);
	return rc ? rc : done.status;
}

static int copy(struct pinring_executor *executor, struct pinring_operand to,
		struct pinring_operand from)
{
	const struct pinring_command c = {
		.operation = PINRING_OP_COPY, .count = N, .dst = to, .a = from,
	};
	struct pinring_completion done;
	int rc = pinring_executor_call(executor, &c, 60 * SECOND, &done);

	return rc ? rc : done.status;
}

int main(void)
{
	struct pinring_region_config config = pinring_region_defaults(4 * bytes);
	struct pinring_executor_info info = PINRING_INIT(struct pinring_executor_info);
	struct pinring_operand x, y, here, gpu_x, gpu_y;
	struct pinring_object_info a, b, c;
	struct pinring_executor *executor;
	struct pinring_device *device;
	struct pinring_region *region;
	float *x_at, *y_at, *here_at;
	double in_region, resident;
	uint32_t i, number, memory;
	int rc;

	rc = pinring_device_open(NULL, &device);
	if (!rc)
		rc = pinring_region_create(device, &config, &region);
	if (!rc)
		rc = pinring_object_create(region, "x", PINRING_OBJECT_BYTES, bytes, 0, &a);
	if (!rc)
		rc = pinring_object_create(region, "y", PINRING_OBJECT_BYTES, bytes, 0, &b);
	if (!rc)
		rc = pinring_object_create(region, "z", PINRING_OBJECT_BYTES, bytes, 0, &c);
	if (!rc)
		rc = pinring_executor_create(device, NULL, &executor);
	if (rc)
		return die("create", rc);
	rc = pinring_executor_attach(executor, region);
	if (rc < 0)
		return die("attach", rc);
	number = (uint32_t)rc;
	/* Before the launch: a loop that runs would have to pause for it. */
	rc = pinring_executor_allocate(executor, 2 * bytes, NULL);
	if (rc < 0)
		return die("allocate", rc);
	memory = (uint32_t)rc;
	rc = pinring_executor_launch(executor);
	if (!rc)
		rc = pinring_executor_activate(executor);
	if (rc)
		return die("launch", rc);

	x = (struct pinring_operand){ a.offset, number };
	y = (struct pinring_operand){ b.offset, number };
	here = (struct pinring_operand){ c.offset, number };
	gpu_x = (struct pinring_operand){ 0, memory };
	gpu_y = (struct pinring_operand){ bytes, memory };
	x_at = pinring_region_at(region, a.offset, bytes);
	y_at = pinring_region_at(region, b.offset, bytes);
	here_at = pinring_region_at(region, c.offset, bytes);
	for (i = 0; i < N; i++) {
		x_at[i] = (float)(i % 1000);
		y_at[i] = (float)(i % 7) - 3.0f;
	}
	resident = now();
	rc = copy(executor, gpu_x, x);
	if (!rc)
		rc = copy(executor, gpu_y, y);
	if (!rc)
		rc = work(executor, gpu_x, gpu_y);
	if (!rc)
		rc = copy(executor, here, gpu_x);
	resident = now() - resident;
	in_region = now();
	if (!rc)
		rc = work(executor, x, y);
	in_region = now() - in_region;
	if (rc)
		return die("work", rc);
	if (memcmp(x_at, here_at, bytes)) {
		fprintf(stderr, "the two differ\n");
		return 1;
	}
	pinring_executor_info(executor, &info);
	printf("%u steps over %u floats (%s), the same bits: %.1f us each in %s, %.1f us in the region\n",
	       STEPS, N, info.isa, resident * 1e6 / STEPS,
	       info.gpu_bytes ? "the GPU's memory" : "memory of its own",
	       in_region * 1e6 / STEPS);
	pinring_executor_close(executor, SECOND);
	pinring_region_close(region);
	pinring_device_close(device);
	return 0;
}
