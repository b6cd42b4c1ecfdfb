/* SPDX-License-Identifier: MIT */
/*
 * traffic.c - a region with rings in it, for those who look on; no test itself.
 *
 *	traffic NAME [hostile | poisoned | host | cuda | liar | 0666]
 *
 * Makes a region of that name, with a ring of each kind, filled to a part that is
 * known, and one, "flow", through which messages go. Says "ready", and ends when
 * its standard input does.
 *
 * hostile: one whose names would clear the screen and whose rings would be walked
 * over for long. poisoned: one with a page that the kernel takes for broken; for
 * root in a virtual machine, because the memory is gone until that is booted anew.
 * host, cuda: an executor of that kind, which has carried out some commands, and
 * refused one. liar: what could be one, where nothing that is told can be true.
 * 0666 or another mode: one that the kernel module publishes with that.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pinring/pinring.h>

#define SLOT 64

static const char message[1024];

static void check(int rc, const char *what)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "traffic: %s: %s\n", what, pinring_error());
	_exit(1);
}

/* A quarter of one, and one that is full and refused a message. */
static void make_spsc(struct pinring_region *region)
{
	struct pinring_spsc_producer p;
	int i;

	check(pinring_spsc_create(region, "quarter", 8, SLOT), "quarter");
	check(pinring_spsc_producer_open(region, "quarter", &p), "quarter");
	for (i = 0; i < 2; i++)
		check(pinring_spsc_push(&p, message), "quarter");
	pinring_spsc_producer_close(&p);
	check(pinring_spsc_create(region, "full", 4, SLOT), "full");
	check(pinring_spsc_producer_open(region, "full", &p), "full");
	while (!pinring_spsc_push(&p, message))
		;
	pinring_spsc_producer_close(&p);
}

static void make_line(struct pinring_region *region)
{
	struct pinring_line_producer p;
	int i;

	check(pinring_line_create(region, "line", 8), "line");
	check(pinring_line_producer_open(region, "line", &p), "line");
	for (i = 0; i < 4; i++)
		check(pinring_line_push(&p, message), "line");
	pinring_line_producer_close(&p);
}

static void make_bytes(struct pinring_region *region)
{
	struct pinring_bytes_producer p;

	check(pinring_bytes_create(region, "letters", 4096), "letters");
	check(pinring_bytes_producer_open(region, "letters", &p), "letters");
	check(pinring_bytes_push(&p, message, sizeof(message)), "letters");
	pinring_bytes_producer_close(&p);
}

/* A quarter of a ring to a device. */
static void make_device(struct pinring_region *region)
{
	static const __u64 words[PINRING_SLOT_WORDS];
	struct pinring_device_producer p;
	int i;

	check(pinring_device_ring_create(region, "far", 8), "far");
	check(pinring_device_producer_open(region, "far", &p), "far");
	for (i = 0; i < 2; i++)
		check(pinring_device_send(&p, words) - 1, "far");
}

/* Two lanes, of which one is half full. */
static void make_lanes(struct pinring_region *region)
{
	struct pinring_lanes_producer p;
	int i;

	check(pinring_lanes_create(region, "fan", 16, SLOT, 2, 1), "fan");
	check(pinring_lanes_producer_open(region, "fan", &p), "fan");
	for (i = 0; i < 8; i++)
		check(pinring_lanes_push_key(&p, 0, message), "fan");
	pinring_lanes_producer_close(&p);
}

/* One consumer has read two of the six, the other one nothing. */
static void make_broadcast(struct pinring_region *region)
{
	static struct pinring_broadcast_consumer slow, fast;
	static struct pinring_broadcast_producer p;
	char got[SLOT];
	int i;

	check(pinring_broadcast_create(region, "cast", 8, SLOT, 0, 4), "cast");
	check(pinring_broadcast_consumer_open(region, "cast",
					      PINRING_BROADCAST_AT_TAIL, &slow),
	      "cast");
	check(pinring_broadcast_consumer_open(region, "cast",
					      PINRING_BROADCAST_AT_TAIL, &fast),
	      "cast");
	check(pinring_broadcast_producer_open(region, "cast", &p), "cast");
	for (i = 0; i < 6; i++)
		check(pinring_broadcast_push(&p, message), "cast");
	for (i = 0; i < 2; i++)
		check(pinring_broadcast_pop(&fast, got), "cast");
}

static void say_ready(void)
{
	puts("ready");
	fflush(stdout);
}

/* Four in it, and one more goes in and out every millisecond. */
static void flow(struct pinring_region *region)
{
	static struct pinring_mpmc_producer p;
	static struct pinring_mpmc_consumer c;
	struct pollfd in = { .fd = 0, .events = POLLIN };
	char got[SLOT];
	int i;

	check(pinring_mpmc_create(region, "flow", 16, SLOT, 4), "flow");
	check(pinring_mpmc_producer_open(region, "flow", &p), "flow");
	check(pinring_mpmc_consumer_open(region, "flow", &c), "flow");
	for (i = 0; i < 4; i++)
		check(pinring_mpmc_push(&p, message), "flow");
	say_ready();
	/* Readable is also what has come to its end. */
	while (poll(&in, 1, 1) == 0) {
		check(pinring_mpmc_push(&p, message), "flow");
		check(pinring_mpmc_pop(&c, got), "flow");
	}
}

static void until_the_end(void)
{
	char byte;

	say_ready();
	while (read(0, &byte, 1) > 0)
		;
}

/* A line ring, all zero, that claims to be full: each look goes on to the end. */
static void make_endless(struct pinring_region *region, const char *name,
			 uint64_t lines)
{
	struct pinring_object_info info;
	struct pinring_line_header *h;

	check(pinring_line_create(region, name, lines), name);
	check(pinring_object_find(region, name, &info), name);
	h = pinring_region_at(region, info.offset, sizeof(*h));
	h->head = -lines;
}

static void hostile(struct pinring_device *device, const char *said)
{
	char name[PINRING_NAME_MAX];
	struct pinring_region_config config =
		pinring_region_defaults(256 << 20);
	struct pinring_region *region;

	snprintf(name, sizeof(name), "\033[2J%.40s\nout\xff", said);
	prctl(PR_SET_NAME, "\033[2Jout");
	config.name = name;
	check(pinring_region_create(device, &config, &region), "region");
	check(pinring_spsc_create(region, name, 8, SLOT), "spsc");
	make_endless(region, "endless", 1 << 14);
	make_endless(region, "too endless", 1 << 21);
	until_the_end();
}

#define COUNT 3000
#define WAIT_NS 60000000000

/* Three of one kind, one that takes no time, and one that is refused. */
static void execute(struct pinring_device *device, const char *name,
		    uint32_t kind)
{
	struct pinring_executor_config config = pinring_executor_defaults();
	struct pinring_region_config rc = pinring_region_defaults(1 << 20);
	struct pinring_command add = { .id = 7, .operation = PINRING_OP_ADD,
				       .count = COUNT };
	struct pinring_command nop = { .operation = PINRING_OP_NOP };
	struct pinring_completion done;
	struct pinring_object_info info;
	struct pinring_executor *ex;
	struct pinring_region *region;
	int i;

	rc.name = name;
	check(pinring_region_create(device, &rc, &region), "region");
	check(pinring_object_create(region, "data", PINRING_OBJECT_BYTES,
				    COUNT * sizeof(float), 0, &info), "data");
	config.kind = kind;
	config.threads = 2;
	check(pinring_executor_start(device, &config, &ex), "executor");
	check(pinring_executor_attach(ex, region), "executor");
	if (kind == PINRING_EXECUTOR_CUDA)
		check(pinring_executor_allocate(ex, 3 << 20, NULL), "memory");
	add.dst.offset = info.offset;
	add.a = add.dst;
	add.b = add.dst;
	for (i = 0; i < 3; i++)
		check(pinring_executor_call(ex, &add, WAIT_NS, &done), "add");
	check(pinring_executor_call(ex, &nop, WAIT_NS, &done), "nop");
	add.dst.region = 5;
	check(pinring_executor_call(ex, &add, WAIT_NS, &done), "add");
	until_the_end();
	pinring_executor_close(ex, WAIT_NS);
}

static void make_bytes_of(struct pinring_region *region, const char *name,
			  uint32_t type, uint64_t size)
{
	struct pinring_object_info info;

	check(pinring_object_create(region, name, type, size, 128, &info), name);
	memset(pinring_region_at(region, info.offset, size), 0xff, size);
}

static void liar(struct pinring_device *device, const char *name)
{
	struct pinring_region_config config = pinring_region_defaults(1 << 20);
	struct pinring_region *region;

	config.name = name;
	check(pinring_region_create(device, &config, &region), "region");
	make_bytes_of(region, "control", PINRING_OBJECT_CONTROL,
		      sizeof(struct pinring_control_block));
	make_bytes_of(region, "telemetry", PINRING_OBJECT_TELEMETRY,
		      sizeof(struct pinring_telemetry));
	make_bytes_of(region, "profile", PINRING_OBJECT_PROFILE,
		      sizeof(struct pinring_profile));
	make_bytes_of(region, "commands", PINRING_OBJECT_DEVICE_RING, 4096);
	/* And one that is cut off before it has said anything. */
	check(pinring_region_create(device, &config, &region), "region");
	make_bytes_of(region, "control", PINRING_OBJECT_CONTROL,
		      sizeof(struct pinring_control_block));
	make_bytes_of(region, "telemetry", PINRING_OBJECT_TELEMETRY, 64);
	make_bytes_of(region, "profile", PINRING_OBJECT_PROFILE, 128);
	until_the_end();
}

static void poisoned(const char *name)
{
	struct pinring_device_config embedded =
		PINRING_INIT(struct pinring_device_config);
	struct pinring_region_config config = pinring_region_defaults(1 << 20);
	struct pinring_object_info info;
	struct pinring_region *region;
	struct pinring_device *device;
	int child, status;
	void *page;

	embedded.backend = PINRING_BACKEND_EMBEDDED;
	config.name = name;
	config.flags = PINRING_REGION_SMALL_PAGES;
	check(pinring_device_open(&embedded, &device), "device");
	check(pinring_region_create(device, &config, &region), "region");
	check(pinring_object_create(region, "broken", PINRING_OBJECT_TELEMETRY,
				    4096, 4096, &info), "broken");
	page = pinring_region_at(region, info.offset, 4096);
	memset(page, 1, 4096);
	/* Newer kernels kill whoever says so. */
	child = fork();
	if (!child)
		_exit(madvise(page, 4096, MADV_HWPOISON) ? 1 : 0);
	if (waitpid(child, &status, 0) != child ||
	    (WIFEXITED(status) && WEXITSTATUS(status))) {
		fputs("traffic: no page can be poisoned\n", stderr);
		_exit(1);
	}
	until_the_end();
}

int main(int argc, char **argv)
{
	struct pinring_region_config config = pinring_region_defaults(2 << 20);
	struct pinring_region *region;
	struct pinring_device *device;

	if (argc < 2) {
		fputs("usage: traffic NAME [hostile | poisoned | host | cuda | liar | MODE]\n",
		      stderr);
		return 2;
	}
	if (argc > 2 && !strcmp(argv[2], "poisoned")) {
		poisoned(argv[1]);
		return 0;
	}
	check(pinring_device_open(NULL, &device), "device");
	if (argc > 2 && !strcmp(argv[2], "hostile")) {
		hostile(device, argv[1]);
		return 0;
	}
	if (argc > 2 && !strcmp(argv[2], "liar")) {
		liar(device, argv[1]);
		return 0;
	}
	if (argc > 2 && (!strcmp(argv[2], "host") || !strcmp(argv[2], "cuda"))) {
		execute(device, argv[1],
			argv[2][0] == 'h' ? PINRING_EXECUTOR_HOST :
					    PINRING_EXECUTOR_CUDA);
		return 0;
	}
	config.name = argv[1];
	if (argc > 2)
		config.mode = (uint32_t)strtoul(argv[2], NULL, 8);
	check(pinring_region_create(device, &config, &region), "region");
	make_spsc(region);
	make_line(region);
	make_bytes(region);
	make_device(region);
	make_lanes(region);
	make_broadcast(region);
	flow(region);
	return 0;
}
