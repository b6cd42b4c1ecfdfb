// SPDX-License-Identifier: MIT
/* trace.c - what the tracepoints tell. */
#include "kmod.h"

#include <kselftest_harness.h>
#include <uapi/pinring_layout.h>

#define TRACING "/sys/kernel/tracing/"

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC), rc = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

FIXTURE(trace) {
	char *text; /* the trace, when it has been read */
};

FIXTURE_SETUP(trace)
{
	ASSERT_EQ(0, put(TRACING "trace", "\n"));
	ASSERT_EQ(0, put(TRACING "events/pinring/enable", "1"));
	self->text = calloc(1, 1 << 20);
	ASSERT_NE(NULL, self->text);
}

FIXTURE_TEARDOWN(trace)
{
	EXPECT_EQ(0, put(TRACING "events/pinring/enable", "0"));
	free(self->text);
}

static void read_trace(char *text)
{
	int fd = open(TRACING "trace", O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	ssize_t m;

	while (fd >= 0 && (m = read(fd, text + n, (1 << 20) - 1 - n)) > 0)
		n += (size_t)m;
	text[n] = '\0';
	close(fd);
}

TEST_F(trace, tells_a_regions_life)
{
	struct pinring_ioc_region_info info = ARG(pinring_ioc_region_info);
	int fd = region_on(1, 2 * HUGE, PINRING_IOC_STRICT_NODE);
	char line[160];
	unsigned char *p;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, call(fd, PINRING_IOC_REGION_INFO, &info));
	p = map(fd, 2 * HUGE);
	ASSERT_NE(NULL, p);
	munmap(p, 2 * HUGE);
	close(fd);
	read_trace(self->text);
	snprintf(line, sizeof(line),
		 "region_create: id=%llu size=4194304 huge_bytes=4194304 node=1 node_bytes=4194304",
		 info.id);
	EXPECT_NE(NULL, strstr(self->text, line));
	snprintf(line, sizeof(line), "region_map: id=%llu start=%#lx", info.id, (unsigned long)p);
	EXPECT_NE(NULL, strstr(self->text, line));
	snprintf(line, sizeof(line), "region_free: id=%llu\n", info.id);
	EXPECT_NE(NULL, strstr(self->text, line));
}

TEST_F(trace, tells_a_doorbells_and_its_pollers)
{
	int fd = region(HUGE), event = eventfd(0, EFD_CLOEXEC);
	struct pinring_doorbell_lines *lines = (void *)map(fd, HUGE);
	struct pollfd p = { .fd = event, .events = POLLIN };
	int bell = doorbell(fd, 0, event, PINRING_IOC_DOORBELL_DEVICE);

	ASSERT_GE(bell, 0);
	ASSERT_EQ(0, arm(bell, 0));
	usleep(10000);
	lines->sequence = 1;
	EXPECT_EQ(1, poll(&p, 1, 10000));
	ASSERT_EQ(0, ring(fd, 0));
	usleep(10000);
	read_trace(self->text);
	EXPECT_NE(NULL, strstr(self->text, "doorbell_arm: id="));
	EXPECT_NE(NULL, strstr(self->text, "doorbell_signal: id="));
	EXPECT_NE(NULL, strstr(self->text, "doorbell_ring: id="));
	EXPECT_NE(NULL, strstr(self->text, "offset=0 sequence=1"));
	EXPECT_NE(NULL, strstr(self->text, "poller_sleep: node="));
	EXPECT_NE(NULL, strstr(self->text, "poller_wake: node="));
	munmap(lines, HUGE);
	close(bell);
	close(event);
	close(fd);
}

TEST_HARNESS_MAIN
