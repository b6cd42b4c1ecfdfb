// SPDX-License-Identifier: MIT
/* debugfs.c - what root sees of regions, doorbells and pollers. */
#include "names.h"

#include <kselftest_harness.h>
#include <uapi/pinring_layout.h>

#define FOLDER "/sys/kernel/debug/pinring/"

/* The whole of a file, read in pieces of so many bytes, zero-ended; or NULL. */
static char *read_by(const char *path, size_t piece)
{
	static char text[1 << 20];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t at = 0;
	ssize_t n;

	if (fd < 0)
		return NULL;
	while (at < sizeof(text) - 1) {
		n = read(fd, text + at,
			 piece < sizeof(text) - 1 - at ? piece : sizeof(text) - 1 - at);
		if (n <= 0)
			break;
		at += (size_t)n;
	}
	close(fd);
	text[at] = '\0';
	return text;
}

static char *whole(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), FOLDER "%s", name);
	return read_by(path, 1 << 20);
}

static int lines(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static uint64_t id_of(int fd)
{
	struct pinring_ioc_region_info i = ARG(pinring_ioc_region_info);

	return call(fd, PINRING_IOC_REGION_INFO, &i) ? 0 : i.id;
}

FIXTURE(debugfs) {
	int device;
};

FIXTURE_SETUP(debugfs)
{
	self->device = device_open();
	ASSERT_GE(self->device, 0);
	ASSERT_TRUE(regions_left(0));
}

FIXTURE_TEARDOWN(debugfs)
{
	close(self->device);
}

TEST_F(debugfs, shows_a_region_as_it_is)
{
	struct pinring_ioc_region_create c = ARG(pinring_ioc_region_create);
	int event = eventfd(0, 0), fd, other, bell;
	char expected[256], *text;

	text = whole("regions");
	ASSERT_NE(NULL, text);
	EXPECT_STREQ("id owner mode size huge node on-node refs bells name\n", text);
	c.size = 2 * HUGE;
	c.node = 1;
	c.mode = 0640;
	strcpy(c.name, "frames");
	fd = create(&c);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, fchmod(fd, 0604));
	bell = doorbell(fd, 0, event, 0);
	ASSERT_GE(bell, 0);
	other = publish(self->device, "", 0);
	ASSERT_GE(other, 0);
	/* its fd and its doorbell are two references */
	snprintf(expected, sizeof(expected),
		 "id owner mode size huge node on-node refs bells name\n"
		 "%llu 0 0604 4194304 4194304 1 4194304 2 1 frames\n"
		 "%llu 0 0000 4096 0 ",
		 (unsigned long long)id_of(fd), (unsigned long long)id_of(other));
	text = whole("regions");
	EXPECT_EQ(0, strncmp(text, expected, strlen(expected))) {
		TH_LOG("%s", text);
	}
	EXPECT_NE(NULL, strstr(text, " 4096 1 0 -\n"));
	EXPECT_EQ(3, lines(text));
	close(bell);
	close(other);
	close(fd);
	close(event);
	EXPECT_EQ(1, lines(whole("regions")));
}

TEST_F(debugfs, shows_a_doorbell_as_it_is)
{
	int event = eventfd(0, EFD_NONBLOCK), fd = region(1), cpu, device;
	struct pinring_doorbell_lines *words;
	unsigned char *p = map(fd, HUGE);
	unsigned long long id = id_of(fd);
	char expected[256];

	ASSERT_NE(NULL, p);
	EXPECT_STREQ("region offset kind state sequence\n", whole("doorbells"));
	cpu = doorbell(fd, 0, event, 0);
	device = doorbell(fd, 4096, event, PINRING_IOC_DOORBELL_DEVICE);
	ASSERT_GE(cpu, 0);
	ASSERT_GE(device, 0);
	words = (void *)p;
	__atomic_store_n(&words->sequence, 40, __ATOMIC_SEQ_CST);
	ASSERT_EQ(0, arm(cpu, 40));
	snprintf(expected, sizeof(expected),
		 "region offset kind state sequence\n"
		 "%llu 0 cpu armed 40\n"
		 "%llu 4096 device idle 0\n", id, id);
	EXPECT_STREQ(expected, whole("doorbells"));
	__atomic_store_n(&words->sequence, 41, __ATOMIC_SEQ_CST);
	ASSERT_EQ(0, ring(fd, 0));
	snprintf(expected, sizeof(expected),
		 "region offset kind state sequence\n"
		 "%llu 0 cpu idle 41\n", id);
	EXPECT_EQ(0, strncmp(expected, whole("doorbells"), strlen(expected)));
	close(cpu);
	close(device);
	EXPECT_EQ(1, lines(whole("doorbells")));
	munmap(p, HUGE);
	close(fd);
	close(event);
}

/* The state of a node's poller and its bells. */
static bool poller(int node, char state[16], unsigned int *bells)
{
	const char *text = whole("pollers");
	int n;

	for (text = text ? strchr(text, '\n') : NULL; text; text = strchr(text + 1, '\n'))
		if (sscanf(text, " %d %15s %u", &n, state, bells) == 3 && n == node)
			return true;
	return false;
}

static bool poller_comes_to(int node, const char *wanted)
{
	unsigned int bells;
	char state[16];

	for (int i = 0; i < 1000; i++) {
		if (poller(node, state, &bells) && !strcmp(state, wanted))
			return true;
		usleep(1000);
	}
	return false;
}

TEST_F(debugfs, shows_what_pollers_do)
{
	long long sleep_us = sysfs_read("poll_sleep_us");
	int event = eventfd(0, EFD_NONBLOCK), fd, bell;
	unsigned int bells = 99;
	char state[16];

	fd = region_on(1, HUGE, PINRING_IOC_STRICT_NODE);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(3, lines(whole("pollers")));
	bell = doorbell(fd, 0, event, PINRING_IOC_DOORBELL_DEVICE);
	ASSERT_GE(bell, 0);
	EXPECT_TRUE(poller_comes_to(0, "asleep"));
	EXPECT_TRUE(poller_comes_to(1, "asleep"));
	ASSERT_TRUE(poller(1, state, &bells));
	EXPECT_EQ(1, bells);
	ASSERT_TRUE(poller(0, state, &bells));
	EXPECT_EQ(0, bells);
	ASSERT_EQ(0, sysfs_set("poll_sleep_us", 1000000));
	ASSERT_EQ(0, arm(bell, 0));
	EXPECT_TRUE(poller_comes_to(1, "dozing"));
	EXPECT_TRUE(poller_comes_to(0, "asleep"));
	close(bell);
	sysfs_set("poll_sleep_us", sleep_us);
	EXPECT_TRUE(poller_comes_to(1, "asleep"));
	close(fd);
	close(event);
}

#define MANY 300

TEST_F(debugfs, shows_all_however_it_is_read)
{
	static const size_t pieces[] = { 1, 7, 100, 4096, 65536 };
	int fds[MANY];

	for (size_t i = 0; i < MANY; i++) {
		fds[i] = publish(self->device, "a_name_that_is_rather_long", 0);
		ASSERT_GE(fds[i], 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		const char *at = read_by(FOLDER "regions", pieces[i]);
		unsigned long long id;

		ASSERT_NE(NULL, at);
		EXPECT_EQ(1 + MANY, lines(at));
		for (size_t n = 0; n < MANY; n++) {
			at = strchr(at, '\n');
			ASSERT_NE(NULL, at);
			id = strtoull(++at, NULL, 10);
			EXPECT_EQ(id_of(fds[n]), id);
		}
	}
	for (size_t i = 0; i < MANY; i++) {
		close(fds[i]);
	}
}

/* More than a page of text for one region. */
TEST_F(debugfs, shows_all_doorbells_of_a_region)
{
	int event = eventfd(0, 0), fd = region(1), bells[200];

	for (size_t i = 0; i < ARRAY_SIZE(bells); i++) {
		bells[i] = doorbell(fd, i * 256, event, 0);
		ASSERT_GE(bells[i], 0);
	}
	EXPECT_EQ(1 + (int)ARRAY_SIZE(bells), lines(read_by(FOLDER "doorbells", 64)));
	for (size_t i = 0; i < ARRAY_SIZE(bells); i++) {
		close(bells[i]);
	}
	close(fd);
	close(event);
}

/* --------------------------------------------------- while it comes and goes */

static bool stop;

static void *come_and_go(void *arg)
{
	int device = *(int *)arg, event = eventfd(0, 0);

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		int fd = publish(device, "", 0);
		int bell = doorbell(fd, 0, event, PINRING_IOC_DOORBELL_DEVICE);

		close(fd); /* the doorbell is its last holder */
		close(bell);
	}
	close(event);
	return NULL;
}

TEST_F(debugfs, is_read_while_regions_and_doorbells_come_and_go)
{
	static const char *const names[] = { "regions", "doorbells", "pollers" };
	pthread_t threads[3];

	stop = false;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, come_and_go, &self->device));
	}
	for (int i = 0; i < 100; i++) {
		for (size_t n = 0; n < ARRAY_SIZE(names); n++) {
			char path[128];

			snprintf(path, sizeof(path), FOLDER "%s", names[n]);
			ASSERT_NE(NULL, read_by(path, i % 2 ? 16 : 4096));
		}
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		pthread_join(threads[i], NULL);
	}
	EXPECT_TRUE(regions_left(0));
}

TEST_F(debugfs, left_open_holds_no_region)
{
	int fd = publish(self->device, "frames", 0600);
	int list = open(FOLDER "regions", O_RDONLY | O_CLOEXEC);
	char byte;

	ASSERT_GE(fd, 0);
	ASSERT_GE(list, 0);
	for (int i = 0; i < 80; i++) {
		ASSERT_EQ(1, read(list, &byte, 1));
	}
	close(fd);
	EXPECT_EQ(0, sysfs_read("regions"));
	EXPECT_EQ(-ENOENT, may_open(self->device, 0, "frames", 0));
	while (read(list, &byte, 1) == 1)
		;
	close(list);
}

TEST_F(debugfs, is_roots_and_shows_no_address)
{
	static const char *const names[] = { "regions", "doorbells", "pollers" };
	int fd = region(1), event = eventfd(0, 0), bell = doorbell(fd, 0, event, 1);
	struct stat st;

	ASSERT_GE(bell, 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char path[128];

		snprintf(path, sizeof(path), FOLDER "%s", names[i]);
		ASSERT_EQ(0, stat(path, &st));
		EXPECT_EQ(0400, st.st_mode & 07777);
		EXPECT_EQ(0, st.st_uid);
		EXPECT_EQ(NULL, strstr(whole(names[i]), "ffff"));
		EXPECT_EQ(NULL, strstr(whole(names[i]), "0x"));
	}
	close(bell);
	close(event);
	close(fd);
}

TEST_HARNESS_MAIN
