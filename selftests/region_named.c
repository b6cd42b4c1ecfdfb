// SPDX-License-Identifier: MIT
/*
 * Regions that are found by name: two processes that share nothing but one, who
 * may, and what it says where there are none.
 */
#include <kselftest_harness.h>

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <uapi/pinring.h>

#include "held.h"

#include <pinring/pinring.h>

/* Nothing in the machine knows them. */
#define ALICE 4711
#define BOB 4712
#define TEAM 4800
#define OTHERS 4801

FIXTURE(named)
{
	struct pinring_device *device;
};

FIXTURE_SETUP(named)
{
	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	if (pinring_device_backend(self->device) != PINRING_BACKEND_MODULE) {
		SKIP(return, "needs the kernel module");
	}
}

FIXTURE_TEARDOWN(named)
{
	pinring_device_close(self->device);
}

static int publish(struct pinring_device *device, const char *name, uint32_t mode,
		   struct pinring_region **region)
{
	struct pinring_region_config config = pinring_region_defaults(65536);

	config.flags = PINRING_REGION_SMALL_PAGES;
	config.name = name;
	config.mode = mode;
	return pinring_region_create(device, &config, region);
}

static bool ended_well(pid_t child)
{
	int status;

	return waitpid(child, &status, 0) == child && WIFEXITED(status) &&
	       WEXITSTATUS(status) == 0;
}

/* A child as another user, with the device that root opened for it. */
static pid_t start(struct pinring_device *device, unsigned int uid, unsigned int gid,
		   int (*body)(struct pinring_device *device))
{
	pid_t child = fork();

	if (child)
		return child;
	if (setgroups(0, NULL) || setgid(gid) || setuid(uid))
		_exit(255);
	_exit(body(device));
}

#define ITEMS 20000ull

static int sends(struct pinring_device *device)
{
	struct pinring_spsc_producer p;
	struct pinring_spsc_consumer c;
	struct pinring_region *region;
	uint64_t sum = 0;
	int rc;

	if (publish(device, "talk", 0660, &region))
		return 1;
	if (pinring_spsc_create(region, "there", 64, 8) ||
	    pinring_spsc_create(region, "back", 2, 8))
		return 2;
	if (pinring_spsc_producer_open(region, "there", &p) ||
	    pinring_spsc_consumer_open(region, "back", &c))
		return 3;
	for (uint64_t i = 1; i <= ITEMS; i++)
		while ((rc = pinring_spsc_push(&p, &i))) {
			if (rc != -EAGAIN)
				return 4;
			sched_yield();
		}
	/* It has answered before we go, and the name with us. */
	while ((rc = pinring_spsc_pop(&c, &sum)) == -EAGAIN)
		sched_yield();
	return !rc && sum == ITEMS * (ITEMS + 1) / 2 ? 0 : 5;
}

static int receives(struct pinring_device *device)
{
	struct pinring_spsc_producer p;
	struct pinring_spsc_consumer c;
	struct pinring_region *region;
	uint64_t item, sum = 0;
	int rc;

	while ((rc = pinring_region_attach_name(device, ALICE, "talk", &region))) {
		if (rc != -ENOENT && rc != -EAGAIN)
			return 1;
		sched_yield();
	}
	while ((rc = pinring_spsc_producer_open(region, "back", &p))) {
		if (rc != -ENOENT && rc != -EAGAIN)
			return 2;
		sched_yield();
	}
	if (pinring_spsc_consumer_open(region, "there", &c))
		return 3;
	for (uint64_t i = 1; i <= ITEMS; i++) {
		while ((rc = pinring_spsc_pop(&c, &item)) == -EAGAIN)
			sched_yield();
		if (rc || item != i)
			return 4;
		sum += item;
	}
	return pinring_spsc_push(&p, &sum) ? 5 : 0;
}

TEST_F(named, joins_two_processes_of_two_users)
{
	struct pinring_region *region;
	pid_t receiver, sender;

	receiver = start(self->device, BOB, TEAM, receives);
	sender = start(self->device, ALICE, TEAM, sends);
	EXPECT_TRUE(ended_well(sender));
	EXPECT_TRUE(ended_well(receiver));
	EXPECT_EQ(-ENOENT, pinring_region_attach_name(self->device, ALICE, "talk", &region));
	EXPECT_EQ(NULL, region);
}

static int is_refused(struct pinring_device *device)
{
	struct pinring_region *region = (void *)1;
	int fds = count_fds();

	if (pinring_region_attach_name(device, 0, "rooms", &region) != -EACCES || region)
		return 1;
	if (!strstr(pinring_error(), "rooms") || !strstr(pinring_error(), "mode"))
		return 2;
	if (pinring_region_attach_name(device, PINRING_OWNER_SELF, "rooms", &region) != -ENOENT)
		return 3;
	return count_fds() == fds ? 0 : 4;
}

TEST_F(named, asks_who_may)
{
	struct pinring_region *region, *again;

	ASSERT_EQ(0, publish(self->device, "rooms", 0600, &region));
	EXPECT_TRUE(ended_well(start(self->device, BOB, OTHERS, is_refused)));
	ASSERT_EQ(0, pinring_region_attach_name(self->device, PINRING_OWNER_SELF, "rooms", &again));
	EXPECT_EQ(pinring_region_size(region), pinring_region_size(again));
	pinring_region_close(again);
	pinring_region_close(region);
	EXPECT_EQ(-ENOENT, pinring_region_attach_name(self->device, PINRING_OWNER_SELF,
						      "rooms", &again));
}

TEST_F(named, is_there_once)
{
	struct pinring_region *region, *second = (void *)1;
	int fds;

	ASSERT_EQ(0, publish(self->device, "rooms", 0600, &region));
	fds = count_fds();
	EXPECT_EQ(-EEXIST, publish(self->device, "rooms", 0600, &second));
	EXPECT_EQ(NULL, second);
	EXPECT_NE(NULL, strstr(pinring_error(), "rooms"));
	EXPECT_EQ(fds, count_fds());
	/* for people only, it may be there twice */
	EXPECT_EQ(0, publish(self->device, "rooms", 0, &second));
	pinring_region_close(second);
	pinring_region_close(region);
}

TEST_F(named, by_one_word)
{
	static const char *const bad[] = {
		NULL, "", "a b", "a/b", "a\n",
		"0123456789012345678901234567890123456789012345678901234567890123",
	};
	const char *longest = bad[ARRAY_SIZE(bad) - 1] + 1;
	struct pinring_region *region;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, publish(self->device, bad[i], 0600, &region)) {
			TH_LOG("%s", bad[i]);
		}
		EXPECT_EQ(0, strncmp(pinring_error(), "name: ", 6));
		EXPECT_EQ(-EINVAL, pinring_region_attach_name(self->device, 0, bad[i], &region));
	}
	ASSERT_EQ(0, publish(self->device, longest, 0600, &region));
	pinring_region_close(region);
}

TEST_F(named, modes_are_checked)
{
	static const uint32_t bad[] = { 0777, 01000, 0100, 1u << 31 };
	struct pinring_region_config config = pinring_region_defaults(65536);
	struct pinring_region *region;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, publish(self->device, "rooms", bad[i], &region));
		EXPECT_EQ(0, strncmp(pinring_error(), "mode: ", 6));
	}
	config.reserved = 1;
	EXPECT_EQ(-EINVAL, pinring_region_create(self->device, &config, &region));
}

TEST_F(named, is_not_there_before_its_maker_has_finished)
{
	struct pinring_ioc_region_create c = { .struct_size = sizeof(c) };
	struct pinring_region_header *header;
	struct pinring_region *region;
	int device = open("/dev/pinring", O_RDWR);

	c.size = 65536;
	c.flags = PINRING_IOC_SMALL_PAGES;
	c.mode = 0600;
	strcpy(c.name, "rooms");
	ASSERT_EQ(0, ioctl(device, PINRING_IOC_REGION_CREATE, &c));
	EXPECT_EQ(-EAGAIN, pinring_region_attach_name(self->device, 0, "rooms", &region));
	header = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, c.fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)header);
	header->magic = PINRING_REGION_MAGIC;
	EXPECT_EQ(-EAGAIN, pinring_region_attach_name(self->device, 0, "rooms", &region));
	/* and what is finished and makes no sense is another thing */
	header->seal = 1;
	EXPECT_EQ(-EINVAL, pinring_region_attach_name(self->device, 0, "rooms", &region));
	munmap(header, 65536);
	close(c.fd);
	close(device);
}

static int comes_and_goes(struct pinring_device *device)
{
	struct pinring_region *region;

	for (int i = 0; i < 300; i++) {
		int rc = publish(device, "rooms", 0666, &region);

		/* Who looked may still have the last one. */
		if (rc == -EEXIST)
			continue;
		if (rc)
			return 1;
		pinring_region_close(region);
	}
	return 0;
}

TEST_F(named, comes_and_goes_while_others_look)
{
	struct pinring_region *region;
	pid_t child = start(self->device, ALICE, TEAM, comes_and_goes);
	int fds = count_fds();
	int rc, status;

	while (waitpid(child, &status, WNOHANG) == 0) {
		rc = pinring_region_attach_name(self->device, ALICE, "rooms", &region);
		if (!rc)
			pinring_region_close(region);
		EXPECT_TRUE(!rc || rc == -ENOENT || rc == -EAGAIN) {
			TH_LOG("%s", pinring_error());
		}
	}
	EXPECT_EQ(0, status);
	EXPECT_EQ(fds, count_fds());
}

/* ------------------------------------------------------- where there are none */

TEST(the_embedded_backend_says_that_it_has_no_names)
{
	struct pinring_device_config config = PINRING_INIT(struct pinring_device_config);
	struct pinring_region *region = (void *)1;
	struct pinring_device *device;

	config.backend = PINRING_BACKEND_EMBEDDED;
	ASSERT_EQ(0, pinring_device_open(&config, &device));
	EXPECT_EQ(-EOPNOTSUPP, publish(device, "rooms", 0600, &region));
	EXPECT_EQ(NULL, region);
	EXPECT_NE(NULL, strstr(pinring_error(), "embedded"));
	region = (void *)1;
	EXPECT_EQ(-EOPNOTSUPP, pinring_region_attach_name(device, 0, "rooms", &region));
	EXPECT_EQ(NULL, region);
	EXPECT_NE(NULL, strstr(pinring_error(), "embedded"));
	ASSERT_EQ(0, publish(device, "rooms", 0, &region));
	pinring_region_close(region);
	pinring_device_close(device);
}

TEST_HARNESS_MAIN
