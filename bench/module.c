// SPDX-License-Identifier: MIT
/*
 * module.c - what the kernel module costs beside what it replaces.
 *
 * Where it is not loaded there is nothing to measure: `make bench-vm` boots a
 * kernel in which it is. There only the ratios mean something.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../uapi/pinring.h"
#include "report.h"

#define GIB (1ull << 30)
#define HUGE_PAGE (2ull << 20)
#define RINGS 2000u
#define SMALL_REGIONS 1000
#define SPIN_US 20000u
#define SYSFS "/sys/class/misc/pinring/"

#define ARGUMENT(type) ((struct type){ .struct_size = sizeof(struct type) })

/* ------------------------------------------------------------------ memory */

static struct pinring_region *region_of(struct pinring_device *device,
					uint64_t bytes, uint32_t flags)
{
	struct pinring_region_config config = pinring_region_defaults(bytes);
	struct pinring_region *region;

	config.flags = flags;
	if (pinring_region_create(device, &config, &region))
		return NULL;
	return region;
}

static void create(struct pinring_device *device, const struct bench_options *o)
{
	struct row row = { .name = "module: region of 1 GiB, made and mapped",
			   .unit = "ms",
			   .limit_name = "memset of the same memory",
			   .target = 1.2 };
	struct series ratio = { .n = 0 };
	unsigned int i;

	for (i = 0; i <= o->runs; i++) {
		struct pinring_region *region;
		uint64_t begin = bench_now_ns();
		double ours, plain;

		region = region_of(device, GIB, PINRING_REGION_PREFAULT);
		if (!region) {
			report_absent(row.name, row.target, pinring_error());
			return;
		}
		ours = (double)(bench_now_ns() - begin) / 1e6;
		begin = bench_now_ns();
		memset(pinring_region_at(region, 4096, GIB - 4096), (int)i,
		       GIB - 4096);
		plain = (double)(bench_now_ns() - begin) / 1e6;
		/* The first one finds this machine's memory itself untouched. */
		if (i) {
			series_add(&row.value, ours);
			series_add(&row.limit, plain);
			series_add(&ratio, ours / plain);
		}
		pinring_region_close(region);
	}
	row.ratio = series_median(&ratio);
	report_row(&row);
}

static long faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt + usage.ru_majflt;
}

static void touch(struct pinring_device *device)
{
	const uint64_t pages = 32;
	struct row row = { .name = "module: page faults for each 2 MiB touched",
			   .unit = "",
			   .once = true,
			   .target = 1.0,
			   .target_of = TARGET_VALUE };
	struct pinring_region *region = region_of(device, pages * HUGE_PAGE, 0);
	unsigned char *base;
	uint64_t at;
	long before;

	if (!region) {
		report_absent(row.name, row.target, pinring_error());
		return;
	}
	base = mmap(NULL, pages * HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
		    pinring_region_fd(region), 0);
	if (base == MAP_FAILED)
		bench_die("module: mmap", -errno);
	before = faults();
	for (at = 0; at < pages * HUGE_PAGE; at += 4096)
		*(volatile unsigned char *)(base + at) = 1;
	series_add(&row.value, (double)(faults() - before) / (double)pages);
	munmap(base, pages * HUGE_PAGE);
	pinring_region_close(region);
	report_row(&row);
}

/* --------------------------------------------------------------- doorbells */

struct bell {
	struct pinring_region *region;
	struct pinring_doorbell_lines *lines;
	uint64_t offset;
	int event, fd;
};

static void bell_open(struct bell *b, struct pinring_device *device,
		      uint32_t flags)
{
	struct pinring_ioc_doorbell_create c =
		ARGUMENT(pinring_ioc_doorbell_create);

	b->offset = 65536;
	b->region = region_of(device, HUGE_PAGE, 0);
	b->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (!b->region || b->event < 0)
		bench_die("module: no memory for a doorbell", 0);
	b->lines = pinring_region_at(b->region, b->offset, sizeof(*b->lines));
	c.flags = flags;
	c.offset = b->offset;
	c.eventfd = b->event;
	if (ioctl(pinring_region_fd(b->region), PINRING_IOC_DOORBELL_CREATE, &c))
		bench_die("module: PINRING_IOC_DOORBELL_CREATE", -errno);
	b->fd = c.fd;
}

static void bell_close(struct bell *b)
{
	close(b->fd);
	close(b->event);
	pinring_region_close(b->region);
}

static void arm(const struct bell *b)
{
	struct pinring_ioc_doorbell_arm a = ARGUMENT(pinring_ioc_doorbell_arm);

	a.seen = b->lines->sequence;
	if (ioctl(b->fd, PINRING_IOC_DOORBELL_ARM, &a))
		bench_die("module: PINRING_IOC_DOORBELL_ARM", -errno);
}

static void expect_one_event(const struct bell *b)
{
	struct pollfd p = { .fd = b->event, .events = POLLIN };
	uint64_t value;

	poll(&p, 1, 10000);

	if (read(b->event, &value, sizeof(value)) != sizeof(value) || value != 1)
		bench_die("module: a ring was lost, or made up", 0);
}

/* ns until the eventfd is readable; each is read, and was armed before. */
static double ring_once(const struct bell *b)
{
	struct pinring_ioc_ring r = ARGUMENT(pinring_ioc_ring);
	uint64_t begin;

	r.offset = b->offset;
	arm(b);
	begin = bench_now_ns();
	__atomic_add_fetch(&b->lines->sequence, 1, __ATOMIC_SEQ_CST);
	if (ioctl(pinring_region_fd(b->region), PINRING_IOC_RING, &r))
		bench_die("module: PINRING_IOC_RING", -errno);
	begin = bench_now_ns() - begin;
	expect_one_event(b);
	return (double)begin;
}

static double write_once(const struct bell *b)
{
	const uint64_t one = 1;
	uint64_t begin = bench_now_ns();

	if (write(b->event, &one, sizeof(one)) != sizeof(one))
		bench_die("module: cannot write to an eventfd", 0);
	begin = bench_now_ns() - begin;
	expect_one_event(b);
	return (double)begin;
}

static void ring(struct pinring_device *device, const struct bench_options *o)
{
	static double ours[RINGS], plain[RINGS];
	struct row row = { .name = "module: RING until the eventfd is readable",
			   .unit = "ns",
			   .limit_name = "write to the eventfd",
			   .target = 1.3 };
	struct series ratio = { .n = 0 };
	struct bell b;
	unsigned int i, k;

	bell_open(&b, device, 0);
	for (i = 0; i < o->runs; i++) {
		double median, limit;

		for (k = 0; k < RINGS; k++) {
			ours[k] = ring_once(&b);
			plain[k] = write_once(&b);
		}
		median = bench_quantile(ours, RINGS, 500);
		limit = bench_quantile(plain, RINGS, 500);
		series_add(&row.value, median);
		series_add(&row.limit, limit);
		series_add(&ratio, median / limit);
	}
	row.ratio = series_median(&ratio);
	bell_close(&b);
	report_row(&row);
}

/* ------------------------------------------------------------------ poller */

/* us of a CPU that all pollers together had so far, or -1 with errno. */
static double pollers_us(void)
{
	DIR *proc = opendir("/proc");
	unsigned long long ns, sum = 0;
	struct dirent *entry;
	bool found = false;

	while (proc && (entry = readdir(proc))) {
		char path[300], name[32] = "";
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (!fgets(name, sizeof(name), f))
			name[0] = '\0';
		fclose(f);
		if (strncmp(name, "pinring/", 8))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/schedstat", entry->d_name);
		f = fopen(path, "re");
		if (f && fscanf(f, "%llu", &ns) == 1) {
			sum += ns;
			found = true;
		}
		if (f)
			fclose(f);
	}
	if (proc)
		closedir(proc);
	return found ? (double)sum / 1e3 : -1.0;
}

static long knob(const char *name)
{
	char path[128];
	long value = -1;
	FILE *f;

	snprintf(path, sizeof(path), SYSFS "%s", name);
	f = fopen(path, "re");
	if (f && fscanf(f, "%ld", &value) != 1)
		value = -1;
	if (f)
		fclose(f);
	return value;
}

static bool knob_set(const char *name, long value)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), SYSFS "%s", name);
	f = fopen(path, "we");
	if (!f)
		return false;
	fprintf(f, "%ld", value);
	return fclose(f) == 0;
}

static void poller(struct pinring_device *device, const struct bench_options *o)
{
	struct row idle = { .name = "module: pollers, nobody armed, in 10 s",
			    .unit = "us of CPU",
			    .once = true,
			    .target = 1.0,
			    .target_of = TARGET_VALUE };
	struct row spin = { .name = "module: poller after one ring",
			    .unit = "us of CPU",
			    .limit_name = "poll_spin_us",
			    .target = 1.2 };
	struct series ratio = { .n = 0 };
	long before = knob("poll_spin_us");
	struct bell b;
	unsigned int i;
	double us;

	if (pollers_us() < 0) {
		report_absent(idle.name, idle.target,
			      "no /proc/PID/schedstat of a thread pinring/N");
		return;
	}
	bell_open(&b, device, PINRING_IOC_DOORBELL_DEVICE);
	bench_nap(200000); /* until those asleep are */
	us = pollers_us();
	bench_nap(10000000);
	series_add(&idle.value, pollers_us() - us);
	report_row(&idle);

	if (!knob_set("poll_spin_us", SPIN_US)) {
		report_absent(spin.name, spin.target,
			      "only root may set poll_spin_us");
		bell_close(&b);
		return;
	}
	for (i = 0; i < o->runs; i++) {
		/* One ring that the poller sees, and nothing armed after it. */
		bench_nap(2 * SPIN_US);
		us = pollers_us();
		arm(&b);
		__atomic_add_fetch(&b.lines->sequence, 1, __ATOMIC_SEQ_CST);
		bench_nap(6 * SPIN_US);
		expect_one_event(&b);
		us = pollers_us() - us;
		series_add(&spin.value, us);
		series_add(&spin.limit, SPIN_US);
		series_add(&ratio, us / SPIN_US);
	}
	knob_set("poll_spin_us", before);
	spin.ratio = series_median(&ratio);
	bell_close(&b);
	report_row(&spin);
}

/* -------------------------------------------------------------------- size */

static long meminfo(const char *field)
{
	FILE *f = fopen("/proc/meminfo", "re");
	char line[128], name[32];
	long kib = -1, value;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%31[^:]: %ld", name, &value) == 2 &&
		    !strcmp(name, field))
			kib = value;
	if (f)
		fclose(f);
	return kib;
}

/* Of the kernel's memory, beside its pages. */
static void weigh_regions(void)
{
	struct row row = { .name = "module: kernel memory of a region of 4 KiB",
			   .unit = "bytes",
			   .once = true };
	int device = open("/dev/pinring", O_RDWR | O_CLOEXEC);
	struct rlimit files = { SMALL_REGIONS + 100, SMALL_REGIONS + 100 };
	int fds[SMALL_REGIONS], i, n = 0;
	long before;

	setrlimit(RLIMIT_NOFILE, &files);
	before = meminfo("Slab");
	for (i = 0; i < SMALL_REGIONS; i++) {
		struct pinring_ioc_region_create c =
			ARGUMENT(pinring_ioc_region_create);

		c.size = 4096;
		c.node = PINRING_IOC_NODE_LOCAL;
		c.flags = PINRING_IOC_SMALL_PAGES;
		if (ioctl(device, PINRING_IOC_REGION_CREATE, &c))
			break;
		fds[n++] = c.fd;
	}
	if (n == SMALL_REGIONS) {
		series_add(&row.value,
			   (double)(meminfo("Slab") - before) * 1024.0 / n);
		snprintf(row.note, sizeof(row.note),
			 "growth of Slab over %d regions, each with its fd, file, inode and name",
			 n);
		report_row(&row);
	} else {
		report_absent(row.name, 0.0, "not that many regions were to be had");
	}
	while (n)
		close(fds[--n]);
	close(device);
}

static void weigh_module(void)
{
	struct row row = { .name = "module: its code and data",
			   .unit = "KiB",
			   .once = true };
	FILE *f = fopen("/sys/module/pinring/coresize", "re");
	double bytes;

	if (f && fscanf(f, "%lf", &bytes) == 1) {
		series_add(&row.value, bytes / 1024.0);
		report_row(&row);
	}
	if (f)
		fclose(f);
}

void bench_module(const struct bench_options *o)
{
	struct pinring_device *device;
	int error = pinring_device_open(NULL, &device);

	if (error)
		bench_die("module", error);
	if (pinring_device_backend(device) != PINRING_BACKEND_MODULE) {
		report_absent("module", 0.0,
			      "the kernel module is not loaded here: make bench-vm boots a kernel that has it");
		pinring_device_close(device);
		return;
	}
	bench_pin(o->cpu_host);
	create(device, o);
	touch(device);
	ring(device, o);
	poller(device, o);
	weigh_regions();
	weigh_module();
	pinring_device_close(device);
}
