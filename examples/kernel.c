// SPDX-License-Identifier: MIT
/*
 * kernel.c - an operation of one's own, in an executor that runs already.
 *
 *	kernel [FILE [NAME]]		examples/blend.cu, blend
 *
 * The file is compiled while the executor lives. Change it and run this again: no
 * part of pinring is compiled anew.
 */
#include <stdio.h>
#include <stdlib.h>

#include <pinring/pinring.h>

#define N 1000000u
#define SECOND 1000000000ll

static int die(const char *what, int rc)
{
	fprintf(stderr, "%s: error %d: %s\n", what, -rc, pinring_error());
	return 1;
}

int main(int argc, char **argv)
{
	struct pinring_kernel_config kernel = PINRING_INIT(struct pinring_kernel_config);
	struct pinring_region_config memory = pinring_region_defaults(4 * N * sizeof(float));
	struct pinring_command command = { .count = N, .s0 = 0.25f };
	struct pinring_completion done;
	struct pinring_object_info a, b, dst;
	struct pinring_executor *executor;
	struct pinring_device *device;
	struct pinring_region *region;
	uint32_t operation;
	float *x, *y, *z;
	int rc;

	kernel.path = argc > 1 ? argv[1] : "examples/blend.cu";
	kernel.name = argc > 2 ? argv[2] : "blend";
	rc = pinring_device_open(NULL, &device);
	if (!rc)
		rc = pinring_region_create(device, &memory, &region);
	if (!rc)
		rc = pinring_object_create(region, "a", PINRING_OBJECT_BYTES,
					   N * sizeof(float), 0, &a);
	if (!rc)
		rc = pinring_object_create(region, "b", PINRING_OBJECT_BYTES,
					   N * sizeof(float), 0, &b);
	if (!rc)
		rc = pinring_object_create(region, "dst", PINRING_OBJECT_BYTES,
					   N * sizeof(float), 0, &dst);
	if (!rc)
		rc = pinring_executor_start(device, NULL, &executor);
	if (rc)
		return die("start", rc);

	x = pinring_region_at(region, a.offset, a.length);
	y = pinring_region_at(region, b.offset, b.length);
	z = pinring_region_at(region, dst.offset, dst.length);
	for (uint32_t i = 0; i < N; i++) {
		x[i] = (float)i;
		y[i] = (float)(N - i);
	}

	rc = pinring_executor_register(executor, &kernel, &operation);
	if (rc)
		return die(kernel.path, rc);
	/* The region attached first is 0: the operands' region. */
	rc = pinring_executor_attach(executor, region);
	if (rc < 0)
		return die("attach", rc);
	command.operation = (uint16_t)operation;
	command.a.offset = a.offset;
	command.b.offset = b.offset;
	command.dst.offset = dst.offset;
	rc = pinring_executor_call(executor, &command, 10 * SECOND, &done);
	if (rc)
		return die(kernel.name, rc);
	if (done.status) {
		fprintf(stderr, "%s: %s\n", kernel.name, pinring_reason_text(done.reason));
		return 1;
	}
	printf("%s is operation %u: dst[10] = %g, %u elements in %llu us\n",
	       kernel.name, operation, (double)z[10], N,
	       (unsigned long long)(done.duration_ns / 1000));
	pinring_executor_unregister(executor, operation, SECOND);
	pinring_executor_close(executor, SECOND);
	pinring_region_close(region);
	pinring_device_close(device);
	return 0;
}
