// SPDX-License-Identifier: MIT
/* doorbell.c - an eventfd that fires because of a word. */
#include "kmod.h"

#include <dirent.h>
#include <kselftest_harness.h>
#include <uapi/pinring_layout.h>

#define AT 4096 /* where the bell's words are */

FIXTURE(doorbell) {
	int fd, event, bell;
	unsigned char *p;
	struct pinring_doorbell_lines *lines;
	long long spin_us, sleep_us;
};

FIXTURE_VARIANT(doorbell) {
	uint32_t flags;
};

FIXTURE_VARIANT_ADD(doorbell, of_a_cpu) {
	.flags = 0,
};

FIXTURE_VARIANT_ADD(doorbell, of_a_device) {
	.flags = PINRING_IOC_DOORBELL_DEVICE,
};

FIXTURE_SETUP(doorbell)
{
	self->spin_us = sysfs_read("poll_spin_us");
	self->sleep_us = sysfs_read("poll_sleep_us");
	self->fd = region(HUGE);
	ASSERT_GE(self->fd, 0);
	self->p = map(self->fd, HUGE);
	ASSERT_NE(NULL, self->p);
	self->lines = (void *)(self->p + AT);
	self->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ASSERT_GE(self->event, 0);
	self->bell = doorbell(self->fd, AT, self->event, variant->flags);
	ASSERT_GE(self->bell, 0);
}

FIXTURE_TEARDOWN(doorbell)
{
	close(self->bell);
	close(self->event);
	munmap(self->p, HUGE);
	close(self->fd);
	sysfs_set("poll_spin_us", self->spin_us);
	sysfs_set("poll_sleep_us", self->sleep_us);
}

/* How often it was signalled since it was read last. */
static uint64_t signals(int event)
{
	uint64_t count = 0;

	if (read(event, &count, sizeof(count)) < 0)
		return 0;
	return count;
}

static uint64_t advance(struct pinring_doorbell_lines *lines)
{
	return __atomic_add_fetch(&lines->sequence, 1, __ATOMIC_SEQ_CST);
}

TEST_F(doorbell, fires_when_it_is_armed_and_rung)
{
	ASSERT_EQ(0, arm(self->bell, 0));
	EXPECT_EQ(1, __atomic_load_n(&self->lines->armed, __ATOMIC_SEQ_CST));
	EXPECT_FALSE(fires(self->event, 20));
	advance(self->lines);
	ASSERT_EQ(0, ring(self->fd, AT));
	EXPECT_TRUE(fires(self->event, SOON));
	/* and it is not armed any more */
	for (int i = 0; i < SOON && __atomic_load_n(&self->lines->armed, __ATOMIC_SEQ_CST); i++) {
		usleep(1000);
	}
	EXPECT_EQ(0, self->lines->armed);
	signals(self->event);
	advance(self->lines);
	ASSERT_EQ(0, ring(self->fd, AT));
	EXPECT_FALSE(fires(self->event, 20));
}

TEST_F(doorbell, does_not_fire_when_nothing_rang)
{
	ASSERT_EQ(0, arm(self->bell, 0));
	for (int i = 0; i < 10; i++) {
		ASSERT_EQ(0, ring(self->fd, AT));
	}
	EXPECT_FALSE(fires(self->event, 50));
	EXPECT_EQ(1, self->lines->armed);
}

TEST_F(doorbell, says_so_when_it_has_rung_already)
{
	advance(self->lines);
	EXPECT_EQ(-EAGAIN, arm(self->bell, 0));
	EXPECT_EQ(0, self->lines->armed);
	EXPECT_EQ(0, arm(self->bell, 1));
	EXPECT_EQ(3, self->lines->armed);
}

TEST_F(doorbell, takes_many_rings_for_one)
{
	ASSERT_EQ(0, arm(self->bell, 0));
	for (int i = 0; i < 100; i++) {
		advance(self->lines);
		ASSERT_EQ(0, ring(self->fd, AT));
	}
	ASSERT_TRUE(fires(self->event, SOON));
	/* ours and the poller's may have come together */
	EXPECT_LE(signals(self->event), 2);
}

TEST_F(doorbell, counts_on_beyond_the_last_sequence)
{
	uint64_t last = (1ull << 63) - 1;

	self->lines->sequence = last;
	ASSERT_EQ(0, arm(self->bell, last));
	self->lines->sequence = 0;
	ASSERT_EQ(0, ring(self->fd, AT));
	EXPECT_TRUE(fires(self->event, SOON));
}

TEST_F(doorbell, is_rung_by_a_read_only_fd_too)
{
	int ro = readonly(self->fd);

	ASSERT_GE(ro, 0);
	ASSERT_EQ(0, arm(self->bell, 0));
	advance(self->lines);
	EXPECT_EQ(0, ring(ro, AT));
	EXPECT_TRUE(fires(self->event, SOON));
	EXPECT_EQ(-EACCES, doorbell(ro, 0, self->event, 0));
	close(ro);
}

TEST_F(doorbell, there_is_one_at_a_place)
{
	int other;

	EXPECT_EQ(-EBUSY, doorbell(self->fd, AT, self->event, variant->flags));
	EXPECT_EQ(-ENOENT, ring(self->fd, AT + 256));
	other = doorbell(self->fd, AT + 256, self->event, variant->flags);
	EXPECT_GE(other, 0);
	EXPECT_EQ(0, ring(self->fd, AT + 256));
	close(other);
	EXPECT_EQ(-ENOENT, ring(self->fd, AT + 256));
	other = doorbell(self->fd, AT + 256, self->event, variant->flags);
	EXPECT_GE(other, 0);
	close(other);
}

TEST_F(doorbell, is_all_within_its_region)
{
	static const uint64_t bad[] = {
		64, 127, HUGE - 128, HUGE, HUGE + 128, 1ull << 62, 0 - 128ull, 0 - 256ull,
	};
	int other;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, doorbell(self->fd, bad[i], self->event, variant->flags)) {
			TH_LOG("offset %#jx", (uintmax_t)bad[i]);
		}
		EXPECT_NE(0, ring(self->fd, bad[i]));
	}
	other = doorbell(self->fd, HUGE - 256, self->event, variant->flags);
	EXPECT_GE(other, 0);
	close(other);
}

TEST_F(doorbell, needs_an_eventfd)
{
	EXPECT_EQ(-EBADF, doorbell(self->fd, 0, -1, variant->flags));
	EXPECT_EQ(-EBADF, doorbell(self->fd, 0, 1 << 20, variant->flags));
	EXPECT_EQ(-EINVAL, doorbell(self->fd, 0, self->fd, variant->flags));
	EXPECT_EQ(-EINVAL, doorbell(self->fd, 0, 0, variant->flags));
}

/* Words in two pages that are nowhere near each other. */
TEST_F(doorbell, may_lie_across_two_pages)
{
	int fd = region_on(0, 4 * SMALL, PINRING_IOC_SMALL_PAGES);
	unsigned char *p = map(fd, 4 * SMALL);
	struct pinring_doorbell_lines *lines;
	int bell;

	ASSERT_NE(NULL, p);
	lines = (void *)(p + SMALL - 128);
	bell = doorbell(fd, SMALL - 128, self->event, variant->flags);
	ASSERT_GE(bell, 0);
	ASSERT_EQ(0, arm(bell, 0));
	EXPECT_EQ(1, lines->armed);
	advance(lines);
	ASSERT_EQ(0, ring(fd, SMALL - 128));
	EXPECT_TRUE(fires(self->event, SOON));
	close(bell);
	munmap(p, 4 * SMALL);
	close(fd);
}

TEST_F(doorbell, outlives_the_fd_of_its_region)
{
	int fd = self->fd;

	self->fd = dup(fd);
	close(fd);
	fd = self->fd;
	close(fd);
	self->fd = -1;
	ASSERT_EQ(0, arm(self->bell, 0));
	advance(self->lines);
	if (variant->flags) {
		EXPECT_TRUE(fires(self->event, SOON));
	}
	munmap(self->p, HUGE);
	self->p = NULL;
	/* Its memory is there still, for the kernel at least. */
	EXPECT_EQ(1, sysfs_read("regions"));
	EXPECT_EQ(-EAGAIN, arm(self->bell, 7));
}

TEST_F(doorbell, does_not_need_the_fd_of_its_eventfd)
{
	int event = dup(self->event);

	close(self->event);
	self->event = event;
	ASSERT_EQ(0, arm(self->bell, 0));
	advance(self->lines);
	ASSERT_EQ(0, ring(self->fd, AT));
	EXPECT_TRUE(fires(self->event, SOON));
}

/* ------------------------------------------------------ rung by plain stores */

FIXTURE(device) {
	int fd, event, bell;
	unsigned char *p;
	struct pinring_doorbell_lines *lines;
	uint64_t *said; /* by the consumer to the device, elsewhere in the region */
	long long spin_us, sleep_us;
};

FIXTURE_SETUP(device)
{
	self->spin_us = sysfs_read("poll_spin_us");
	self->sleep_us = sysfs_read("poll_sleep_us");
	self->fd = region(HUGE);
	ASSERT_GE(self->fd, 0);
	self->p = map(self->fd, HUGE);
	ASSERT_NE(NULL, self->p);
	memset(self->p, 0, HUGE);
	self->lines = (void *)(self->p + AT);
	self->said = (void *)(self->p + 2 * AT);
	self->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	self->bell = doorbell(self->fd, AT, self->event, PINRING_IOC_DOORBELL_DEVICE);
	ASSERT_GE(self->bell, 0);
}

FIXTURE_TEARDOWN(device)
{
	close(self->bell);
	close(self->event);
	munmap(self->p, HUGE);
	close(self->fd);
	sysfs_set("poll_spin_us", self->spin_us);
	sysfs_set("poll_sleep_us", self->sleep_us);
}

/*
 * Stands in for a GPU: makes no system call, only loads and stores. Rings once
 * for each number that it is told, until it is told 0 - 1.
 */
static pid_t device_start(struct pinring_doorbell_lines *lines, uint64_t *said)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	for (uint64_t done = 0;;) {
		uint64_t now = __atomic_load_n(said, __ATOMIC_ACQUIRE);

		if (now == UINT64_MAX)
			_exit(0);
		if (now != done) {
			done = now;
			__atomic_store_n(&lines->sequence, now, __ATOMIC_RELEASE);
		}
	}
}

TEST_F(device, rings_without_a_system_call)
{
	pid_t pid = device_start(self->lines, self->said);
	int status;

	ASSERT_EQ(0, arm(self->bell, 0));
	EXPECT_FALSE(fires(self->event, 20));
	__atomic_store_n(self->said, 1, __ATOMIC_RELEASE);
	EXPECT_TRUE(fires(self->event, SOON));
	__atomic_store_n(self->said, UINT64_MAX, __ATOMIC_RELEASE);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* Each round sleeps for the very ring that it asks for: one lost is the end. */
TEST_F_TIMEOUT(device, loses_no_ring, 120)
{
	pid_t pid = device_start(self->lines, self->said);
	uint64_t rounds = 2000, slept = 0;

	for (uint64_t i = 1; i <= rounds; i++) {
		uint64_t seen = i - 1;

		if (i % 500 == 0)
			usleep(20000); /* until the poller sleeps deeply */
		__atomic_store_n(self->said, i, __ATOMIC_RELEASE);
		while (__atomic_load_n(&self->lines->sequence, __ATOMIC_ACQUIRE) == seen) {
			if (arm(self->bell, seen))
				continue;
			slept++;
			ASSERT_TRUE(fires(self->event, SOON)) {
				TH_LOG("round %ju, sequence %ju armed %ju", (uintmax_t)i,
				       (uintmax_t)self->lines->sequence,
				       (uintmax_t)self->lines->armed);
				kill(pid, SIGKILL);
			}
			signals(self->event);
		}
	}
	EXPECT_GT(slept, 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

TEST_F(device, is_watched_as_often_as_the_knob_says)
{
	long long before;

	ASSERT_EQ(0, sysfs_set("poll_spin_us", 0));
	ASSERT_EQ(0, sysfs_set("poll_sleep_us", 1000000));
	ASSERT_EQ(0, arm(self->bell, 0));
	usleep(100000);
	before = sysfs_read("sleeps");
	usleep(300000);
	EXPECT_LE(sysfs_read("sleeps") - before, 1);
	/* at once, not when the second is over */
	ASSERT_EQ(0, sysfs_set("poll_sleep_us", 1000));
	usleep(300000);
	EXPECT_GT(sysfs_read("sleeps") - before, 10);
	advance(self->lines);
	EXPECT_TRUE(fires(self->event, SOON));
}

/* Ticks of CPU that the pollers have had. */
static long poller_ticks(void)
{
	struct dirent *d;
	long ticks = 0;
	DIR *dir = opendir("/proc");

	while (dir && (d = readdir(dir))) {
		unsigned long user, system;
		char path[300], line[512] = "", *p;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%s/stat", d->d_name);
		f = atoi(d->d_name) > 0 ? fopen(path, "re") : NULL;
		if (!f)
			continue;
		p = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
		if (strstr(line, "(pinring/") && p &&
		    sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
			   &system) == 2)
			ticks += (long)(user + system);
		fclose(f);
	}
	if (dir)
		closedir(dir);
	return ticks;
}

TEST_F(device, costs_no_cpu_while_nobody_waits)
{
	long before;
	long long sleeps;

	/* one that spins stops */
	ASSERT_EQ(0, sysfs_set("poll_spin_us", 1000));
	ASSERT_EQ(0, arm(self->bell, 0));
	advance(self->lines);
	ASSERT_TRUE(fires(self->event, SOON));
	usleep(100000);
	before = poller_ticks();
	sleeps = sysfs_read("sleeps");
	sleep(3);
	EXPECT_LE(poller_ticks() - before, 1);
	EXPECT_EQ(sleeps, sysfs_read("sleeps"));
}

TEST_F(device, is_watched_on_the_cpus_of_the_knob)
{
	EXPECT_EQ(0, sysfs_write("poll_cpus", "0\n"));
	EXPECT_EQ(0, sysfs_write("poll_cpus", "0-1\n"));
	EXPECT_EQ(-EINVAL, sysfs_write("poll_cpus", "64\n"));
	EXPECT_EQ(-EINVAL, sysfs_write("poll_cpus", "x\n"));
	EXPECT_EQ(-EINVAL, sysfs_write("poll_cpus", "1-0\n"));
	EXPECT_EQ(0, sysfs_write("poll_cpus", "1\n"));
	ASSERT_EQ(0, arm(self->bell, 0));
	advance(self->lines);
	EXPECT_TRUE(fires(self->event, SOON));
	EXPECT_EQ(0, sysfs_write("poll_cpus", "\n"));
}

/* Whatever its words say, the machine goes on. */
TEST_F(device, may_lie)
{
	struct pinring_doorbell_lines *lines = self->lines;
	uint64_t x = 88172645463325252ull;

	ASSERT_EQ(0, arm(self->bell, 0));
	for (int i = 0; i < 200000; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		__atomic_store_n(&lines->armed, x | 1, __ATOMIC_RELAXED);
		__atomic_store_n(&lines->sequence, x * 3, __ATOMIC_RELAXED);
		if (i % 1000 == 0)
			signals(self->event);
	}
	lines->sequence = 1;
	signals(self->event);
	ASSERT_EQ(0, arm(self->bell, 1));
	signals(self->event);
	advance(lines);
	EXPECT_TRUE(fires(self->event, SOON));
}

struct race {
	int fd, event;
	bool stop;
	struct pinring_doorbell_lines *lines;
};

static void *ringer(void *arg)
{
	struct race *race = arg;

	while (!__atomic_load_n(&race->stop, __ATOMIC_RELAXED)) {
		advance(race->lines);
		(void)ring(race->fd, AT);
	}
	return NULL;
}

TEST_F(device, can_be_rung_while_it_comes_and_goes)
{
	struct race race = { .fd = self->fd, .event = self->event, .lines = self->lines };
	pthread_t threads[3];

	close(self->bell);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, ringer, &race));
	}
	for (int i = 0; i < 100; i++) {
		int bell = doorbell(self->fd, AT, self->event,
				    i % 2 ? PINRING_IOC_DOORBELL_DEVICE : 0);

		ASSERT_GE(bell, 0);
		(void)arm(bell, __atomic_load_n(&self->lines->sequence, __ATOMIC_RELAXED));
		close(bell);
	}
	__atomic_store_n(&race.stop, true, __ATOMIC_RELAXED);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		pthread_join(threads[i], NULL);
	}
	self->bell = doorbell(self->fd, AT, self->event, PINRING_IOC_DOORBELL_DEVICE);
	EXPECT_GE(self->bell, 0);
}

TEST_F(device, is_counted)
{
	long long rings = sysfs_read("rings"), fired = sysfs_read("signals");

	EXPECT_EQ(1, sysfs_read("doorbells"));
	ASSERT_EQ(0, arm(self->bell, 0));
	advance(self->lines);
	ASSERT_TRUE(fires(self->event, SOON));
	usleep(10000);
	ASSERT_EQ(0, ring(self->fd, AT));
	EXPECT_EQ(rings + 1, sysfs_read("rings"));
	EXPECT_EQ(fired + 1, sysfs_read("signals"));
	EXPECT_GT(sysfs_read("worst_wake_ns"), 0);
	close(self->bell);
	EXPECT_EQ(0, sysfs_read("doorbells"));
	self->bell = doorbell(self->fd, AT, self->event, PINRING_IOC_DOORBELL_DEVICE);
}

TEST_HARNESS_MAIN
