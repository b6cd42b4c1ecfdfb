// SPDX-License-Identifier: MIT
/*
 * kernel_fault.c - a user's kernel stores to what is not there: its executor has
 * failed and says at which command, and the process lives.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinring/pinring.h>

#include "../executor_kind.h"

#define SECOND 1000000000ll
#define ID 4711

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "kernel_fault: %s: %s\n", what, pinring_error());
	exit(1);
}

static const char text[] =
	"#include <pinring/kernel.h>\n"
	"PINRING_KERNEL_OF(faults, float, PINRING_KERNEL_DST)\n"
	"{\n"
	"	volatile float *nowhere = (volatile float *)(unsigned long long)aux;\n"
	"	*nowhere = 1;\n"
	"}\n";

int main(void)
{
	struct pinring_region_config rc = pinring_region_defaults(1 << 20);
	struct pinring_executor_config ec = pinring_executor_defaults();
	struct pinring_kernel_config kc = PINRING_INIT(struct pinring_kernel_config);
	struct pinring_command c = { .id = ID, .count = 1, .aux = 64 };
	struct pinring_completion done;
	struct pinring_object_info dst;
	struct pinring_device *device;
	struct pinring_region *region;
	struct pinring_executor *ex;
	uint32_t operation;
	int status;

	ec.kind = executor_kind();
	kc.name = "faults";
	kc.text = text;
	if (pinring_device_open(NULL, &device) ||
	    pinring_region_create(device, &rc, &region) ||
	    pinring_object_create(region, "dst", PINRING_OBJECT_BYTES, 4096, 0, &dst) ||
	    pinring_executor_start(device, &ec, &ex) ||
	    pinring_executor_attach(ex, region) ||
	    pinring_executor_register(ex, &kc, &operation))
		die("start");
	c.operation = (uint16_t)operation;
	c.dst.offset = dst.offset;
	status = pinring_executor_call(ex, &c, 60 * SECOND, &done);
	if (status != -EPIPE || !strstr(pinring_error(), "command 4711")) {
		fprintf(stderr, "kernel_fault: %d, and not -EPIPE for command %d: %s\n",
			status, ID, pinring_error());
		return 1;
	}
	printf("%s\n", pinring_error());
	if (pinring_executor_state(ex) != PINRING_STATE_FAILED)
		die("state");
	pinring_executor_close(ex, SECOND);
	/* The host's own executors go on. Another on that GPU: whatever it says. */
	if (pinring_executor_start(device, &ec, &ex)) {
		printf("another one on it: %s\n", pinring_error());
	} else {
		printf("another one on it works\n");
		pinring_executor_close(ex, SECOND);
	}
	ec.kind = PINRING_EXECUTOR_HOST;
	c = (struct pinring_command){ .id = 1 };
	if (pinring_executor_start(device, &ec, &ex) ||
	    pinring_executor_call(ex, &c, 10 * SECOND, &done) ||
	    pinring_executor_close(ex, SECOND))
		die("the host's executor");
	pinring_region_close(region);
	pinring_device_close(device);
	return 0;
}
