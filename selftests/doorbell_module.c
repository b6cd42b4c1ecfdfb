// SPDX-License-Identifier: MIT
/*
 * What a doorbell gains from the kernel module, and what it says without: ringing
 * by a plain store, and ringing by whoever has nothing but the region.
 */
#include <kselftest_harness.h>

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "held.h"

#include <pinring/pinring.h>

#define SECOND 1000000000ll

FIXTURE(bell)
{
	struct pinring_device *device;
	struct pinring_region *region;
	struct pinring_doorbell *bell;
	bool module;
};

FIXTURE_SETUP(bell)
{
	struct pinring_region_config config = pinring_region_defaults(65536);

	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->region));
	self->module = pinring_device_backend(self->device) == PINRING_BACKEND_MODULE;
	ASSERT_EQ(0, pinring_doorbell_create(self->region, "bell", &self->bell));
	pinring_doorbell_spin(self->bell, 0, 0);
}

FIXTURE_TEARDOWN(bell)
{
	pinring_doorbell_close(self->bell);
	pinring_region_close(self->region);
	pinring_device_close(self->device);
}

static struct pinring_doorbell_lines *lines_of(struct pinring_region *region,
					       const char *name)
{
	struct pinring_object_info o;

	if (pinring_object_find(region, name, &o))
		return NULL;
	return pinring_region_at(region, o.offset,
				 sizeof(struct pinring_doorbell_lines));
}

static bool ended_well(pid_t child)
{
	int status;

	return waitpid(child, &status, 0) == child && WIFEXITED(status) &&
	       WEXITSTATUS(status) == 0;
}

TEST_F(bell, of_a_device_needs_the_module)
{
	struct pinring_doorbell *bell = (void *)1;

	if (self->module) {
		SKIP(return, "this is the module");
	}
	EXPECT_EQ(-EOPNOTSUPP, pinring_doorbell_create_device(self->region, "gpu", &bell));
	EXPECT_EQ(NULL, bell);
	EXPECT_NE(NULL, strstr(pinring_error(), "gpu"));
	EXPECT_EQ(-EINVAL, pinring_doorbell_attach(self->region, "bell",
						   PINRING_DOORBELL_RING_ONLY, &bell));
	EXPECT_EQ(NULL, bell);
	EXPECT_NE(NULL, strstr(pinring_error(), "eventfd"));
}

/* It stands in for a GPU: stores, and no system call from the first to the last. */
static void store_when_armed(struct pinring_doorbell_lines *lines, uint64_t turns)
{
	uint64_t i;

	for (i = 1; i <= turns; i++) {
		while (!__atomic_load_n(&lines->armed, __ATOMIC_ACQUIRE))
			pinring_relax();
		__atomic_store_n(&lines->sequence, i, __ATOMIC_RELEASE);
	}
	for (;;)
		pinring_relax();
}

TEST_F_TIMEOUT(bell, of_a_device_is_rung_by_a_plain_store, 120)
{
	struct pinring_doorbell_lines *lines;
	struct pinring_doorbell *bell;
	pid_t child;
	uint64_t i;
	int rc = 0;

	if (!self->module) {
		SKIP(return, "needs the kernel module");
	}
	ASSERT_EQ(0, pinring_doorbell_create_device(self->region, "gpu", &bell));
	pinring_doorbell_spin(bell, 0, 0);
	lines = lines_of(self->region, "gpu");
	ASSERT_NE(NULL, lines);
	child = fork();
	if (!child) {
		store_when_armed(lines, 100);
	}
	for (i = 0; i < 100 && !rc; i++) {
		rc = pinring_doorbell_wait(bell, i, 20 * SECOND);
	}
	EXPECT_EQ(0, rc);
	EXPECT_EQ(100, pinring_doorbell_sequence(bell));
	/* and CPUs ring it as any other */
	pinring_doorbell_ring(bell);
	EXPECT_EQ(0, pinring_doorbell_wait(bell, 100, 20 * SECOND));
	EXPECT_EQ(-ETIMEDOUT, pinring_doorbell_wait(bell, 101, SECOND / 100));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	pinring_doorbell_close(bell);
}

TEST_F_TIMEOUT(bell, is_rung_by_who_has_only_the_region, 120)
{
	pid_t child;
	uint64_t i;
	int rc = 0;

	if (!self->module) {
		SKIP(return, "needs the kernel module");
	}
	child = fork();
	if (!child) {
		struct pinring_doorbell_lines *lines = lines_of(self->region, "bell");
		struct pinring_doorbell *ring_only;

		if (pinring_doorbell_attach(self->region, "bell",
					    PINRING_DOORBELL_RING_ONLY, &ring_only))
			_exit(1);
		for (i = 0; i < 1000; i++) {
			while (!__atomic_load_n(&lines->armed, __ATOMIC_ACQUIRE))
				sched_yield();
			pinring_doorbell_ring(ring_only);
			while (__atomic_load_n(&lines->armed, __ATOMIC_ACQUIRE) == (i << 1 | 1))
				sched_yield();
		}
		pinring_doorbell_close(ring_only);
		_exit(0);
	}
	for (i = 0; i < 1000 && !rc; i++) {
		rc = pinring_doorbell_wait(self->bell, i, 20 * SECOND);
	}
	EXPECT_EQ(0, rc);
	EXPECT_EQ(1000, i);
	if (rc) {
		kill(child, SIGKILL);
	}
	EXPECT_TRUE(ended_well(child));
}

TEST_F(bell, that_only_rings_cannot_be_slept_on)
{
	struct pinring_doorbell *ring_only;

	if (!self->module) {
		SKIP(return, "needs the kernel module");
	}
	ASSERT_EQ(0, pinring_doorbell_attach(self->region, "bell",
					     PINRING_DOORBELL_RING_ONLY, &ring_only));
	EXPECT_EQ(-1, pinring_doorbell_fd(ring_only));
	EXPECT_EQ(-EBADF, pinring_doorbell_arm(ring_only, 0));
	pinring_doorbell_spin(ring_only, 0, 0);
	EXPECT_EQ(-EBADF, pinring_doorbell_wait(ring_only, 0, SECOND));
	EXPECT_EQ(0, lines_of(self->region, "bell")->armed);
	pinring_doorbell_close(ring_only);
}

TEST_F(bell, whose_maker_has_gone_is_rung_in_vain)
{
	struct pinring_doorbell *ring_only, *late = (void *)1;
	struct pinring_doorbell_lines *lines = lines_of(self->region, "bell");

	if (!self->module) {
		SKIP(return, "needs the kernel module");
	}
	ASSERT_EQ(0, pinring_doorbell_attach(self->region, "bell",
					     PINRING_DOORBELL_RING_ONLY, &ring_only));
	pinring_doorbell_close(self->bell);
	self->bell = NULL;
	lines->armed = 1; /* as one killed in its sleep leaves it */
	pinring_doorbell_ring(ring_only);
	EXPECT_EQ(1, pinring_doorbell_sequence(ring_only));
	pinring_doorbell_close(ring_only);
	EXPECT_EQ(-ENOENT, pinring_doorbell_attach(self->region, "bell",
						   PINRING_DOORBELL_RING_ONLY, &late));
	EXPECT_EQ(NULL, late);
}

static bool knob(const char *name, const char *value, char *before)
{
	char path[96];
	FILE *f;
	bool done;

	snprintf(path, sizeof(path), "/sys/class/misc/pinring/%s", name);
	if (before) {
		f = fopen(path, "re");
		if (!f || !fgets(before, 32, f))
			return false;
		fclose(f);
	}
	f = fopen(path, "we");
	if (!f)
		return false;
	done = fputs(value, f) >= 0;
	return fclose(f) == 0 && done;
}

TEST_F(bell, beyond_the_limit_says_which_and_leaks_nothing)
{
	char before[32];
	pid_t child;

	if (!self->module) {
		SKIP(return, "needs the kernel module");
	}
	ASSERT_TRUE(knob("max_doorbells_per_user", "1", before));
	child = fork();
	if (!child) {
		struct pinring_region_config config = pinring_region_defaults(65536);
		struct pinring_doorbell *one, *two = (void *)1;
		struct pinring_region *region;
		int fds;

		/* Without CAP_SYS_RESOURCE, and somebody without doorbells. */
		if (setuid(4711) || pinring_region_create(self->device, &config, &region))
			_exit(1);
		if (pinring_doorbell_create(region, "one", &one))
			_exit(2);
		fds = count_fds();
		if (pinring_doorbell_create(region, "two", &two) != -EDQUOT || two)
			_exit(3);
		if (!strstr(pinring_error(), "max_doorbells_per_user"))
			_exit(4);
		if (count_fds() != fds)
			_exit(5);
		pinring_doorbell_close(one);
		/* The one that was closed is given back. */
		if (pinring_doorbell_create(region, "three", &two))
			_exit(6);
		pinring_doorbell_close(two);
		_exit(0);
	}
	EXPECT_TRUE(ended_well(child));
	EXPECT_TRUE(knob("max_doorbells_per_user", before, NULL));
}

TEST_F(bell, gives_back_all_its_fds)
{
	int i, fds = count_fds();
	char name[16];

	for (i = 0; i < 20; i++) {
		struct pinring_doorbell *bell;

		snprintf(name, sizeof(name), "bell%d", i);
		ASSERT_EQ(0, pinring_doorbell_create(self->region, name, &bell));
		EXPECT_LT(fds, count_fds());
		pinring_doorbell_close(bell);
		EXPECT_EQ(fds, count_fds());
	}
}

TEST_HARNESS_MAIN
