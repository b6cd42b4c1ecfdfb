// SPDX-License-Identifier: MIT
/* poller.c - the threads that watch doorbells: where they run, and when they look. */
#include "kmod.h"

#include <dirent.h>
#include <kselftest_harness.h>
#include <time.h>
#include <uapi/pinring_layout.h>

#define AT 4096 /* where the bell's words are */

FIXTURE(poller) {
	int fd, event, bell;
	unsigned char *p;
	struct pinring_doorbell_lines *lines;
	long long spin_us, sleep_us;
};

FIXTURE_SETUP(poller)
{
	self->spin_us = sysfs_read("poll_spin_us");
	self->sleep_us = sysfs_read("poll_sleep_us");
	self->fd = region_on(1, HUGE, PINRING_IOC_STRICT_NODE);
	ASSERT_GE(self->fd, 0);
	self->p = map(self->fd, HUGE);
	ASSERT_NE(NULL, self->p);
	self->lines = (void *)(self->p + AT);
	self->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ASSERT_GE(self->event, 0);
	self->bell = doorbell(self->fd, AT, self->event, PINRING_IOC_DOORBELL_DEVICE);
	ASSERT_GE(self->bell, 0);
}

FIXTURE_TEARDOWN(poller)
{
	close(self->bell);
	close(self->event);
	munmap(self->p, HUGE);
	close(self->fd);
	sysfs_set("poll_spin_us", self->spin_us);
	sysfs_set("poll_sleep_us", self->sleep_us);
	sysfs_write("poll_cpus", "\n");
	EXPECT_EQ(0, run_on(0));
}

/* And is as before. */
static bool fires_once(int event, int ms)
{
	uint64_t count;

	return fires(event, ms) && read(event, &count, sizeof(count)) == sizeof(count);
}

/* As a device does. */
static void store(struct pinring_doorbell_lines *lines, uint64_t sequence)
{
	__atomic_store_n(&lines->sequence, sequence, __ATOMIC_SEQ_CST);
}

/* The line of /proc/PID/NAME that begins with `key`, for the process called `who`. */
static bool proc_line(const char *who, const char *name, const char *key, char *line, int size)
{
	DIR *dir = opendir("/proc");
	struct dirent *d;
	bool found = false;

	while (dir && !found && (d = readdir(dir))) {
		char path[300], comm[32] = "";
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%s/comm", d->d_name);
		f = atoi(d->d_name) > 0 ? fopen(path, "re") : NULL;
		if (!f)
			continue;
		if (!fgets(comm, sizeof(comm), f))
			comm[0] = '\0';
		fclose(f);
		comm[strcspn(comm, "\n")] = '\0';
		if (strcmp(comm, who))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/%s", d->d_name, name);
		f = fopen(path, "re");
		while (f && !found && fgets(line, size, f))
			found = !strncmp(line, key, strlen(key));
		if (f)
			fclose(f);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* Whether that is where a node's poller may run, before long. */
static bool may_run_on(int node, const char *cpus)
{
	const char *key = "Cpus_allowed_list:\t";
	char who[32], line[128] = "", want[64];

	snprintf(who, sizeof(who), "pinring/%d", node);
	snprintf(want, sizeof(want), "%s%s\n", key, cpus);
	for (int i = 0; i < 300; i++) {
		if (proc_line(who, "status", key, line, sizeof(line)) && !strcmp(line, want))
			return true;
		usleep(10000);
	}
	printf("# %s: %s", who, line);
	return false;
}

TEST_F(poller, runs_on_the_cpus_of_the_knob)
{
	EXPECT_TRUE(may_run_on(0, "0"));
	EXPECT_TRUE(may_run_on(1, "1"));
	ASSERT_EQ(0, sysfs_write("poll_cpus", "1\n"));
	EXPECT_TRUE(may_run_on(0, "1")); /* its node has none of them */
	EXPECT_TRUE(may_run_on(1, "1"));
	ASSERT_EQ(0, sysfs_write("poll_cpus", "0-1\n"));
	EXPECT_TRUE(may_run_on(0, "0"));
	EXPECT_TRUE(may_run_on(1, "1"));
	ASSERT_EQ(0, sysfs_write("poll_cpus", "0\n"));
	EXPECT_TRUE(may_run_on(1, "0"));
	ASSERT_EQ(0, sysfs_write("poll_cpus", "\n"));
	EXPECT_TRUE(may_run_on(0, "0"));
	EXPECT_TRUE(may_run_on(1, "1"));
}

#define CPU1 "/sys/devices/system/cpu/cpu1/online"

TEST_F(poller, is_back_when_its_cpu_is)
{
	if (access(CPU1, W_OK)) {
		SKIP(return, "this kernel cannot stop a CPU");
	}
	ASSERT_EQ(0, run_on(0));
	ASSERT_EQ(0, sysfs_write("poll_cpus", "1\n"));
	ASSERT_EQ(0, file_put(CPU1, "0"));
	EXPECT_EQ(-EINVAL, sysfs_write("poll_cpus", "1\n"));
	ASSERT_EQ(0, arm(self->bell, 0));
	store(self->lines, 1);
	EXPECT_TRUE(fires_once(self->event, SOON));
	ASSERT_EQ(0, file_put(CPU1, "1"));
	EXPECT_TRUE(may_run_on(0, "1"));
	EXPECT_TRUE(may_run_on(1, "1"));
	ASSERT_EQ(0, arm(self->bell, 1));
	store(self->lines, 2);
	EXPECT_TRUE(fires_once(self->event, SOON));

	/* Those that are left of the knob's, if the node's own is not. */
	ASSERT_EQ(0, sysfs_write("poll_cpus", "0-1\n"));
	ASSERT_EQ(0, file_put(CPU1, "0"));
	EXPECT_TRUE(may_run_on(1, "0-1"));
	ASSERT_EQ(0, file_put(CPU1, "1"));
	EXPECT_TRUE(may_run_on(1, "1"));
}

static bool hogging, enough;

/* Nobody else comes to run on its CPU: not even a thread of the kernel. */
static void *hog(void *unused)
{
	struct sched_param first = { .sched_priority = 1 };

	(void)unused;
	if (run_on(1) || pthread_setschedparam(pthread_self(), SCHED_FIFO, &first))
		return "it may not";
	__atomic_store_n(&hogging, true, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&enough, __ATOMIC_SEQ_CST))
		;
	return NULL;
}

/* No ring waited longer than worst_wake_ns, even if it found the poller asleep. */
TEST_F(poller, tells_how_long_a_ring_had_to_wait)
{
	long long hold = sysfs_read("worst_wake_ns") + 100000000;
	pthread_t thread;
	void *failed;

	/* From 950 ms on the scheduler steps in. */
	if (hold > 800000000) {
		SKIP(return, "a ring has waited too long already");
	}
	ASSERT_EQ(0, run_on(0));
	ASSERT_EQ(0, sysfs_write("poll_cpus", "1\n"));
	usleep(100000);
	hogging = enough = false;
	ASSERT_EQ(0, pthread_create(&thread, NULL, hog, NULL));
	while (!__atomic_load_n(&hogging, __ATOMIC_SEQ_CST))
		usleep(1000);
	ASSERT_EQ(0, arm(self->bell, 0));
	store(self->lines, 1);
	usleep((useconds_t)(hold / 1000));
	EXPECT_FALSE(fires_once(self->event, 0));
	__atomic_store_n(&enough, true, __ATOMIC_SEQ_CST);
	pthread_join(thread, &failed);
	EXPECT_EQ(NULL, failed);
	EXPECT_TRUE(fires_once(self->event, SOON));
	EXPECT_GE(sysfs_read("worst_wake_ns"), hold);
}

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000ll + t.tv_nsec / 1000;
}

/*
 * The bound is 5/4 of poll_sleep_us and what the scheduler takes, which may be much
 * here, but not each time. It was just going to sleep, and does not sleep twice.
 */
TEST_F(poller, sees_a_ring_within_its_bound)
{
	const int64_t bound_us = 200000 * 5 / 4 + 150000;
	int64_t least_us = INT64_MAX;

	ASSERT_EQ(0, sysfs_set("poll_spin_us", 0));
	ASSERT_EQ(0, sysfs_set("poll_sleep_us", 200000));
	for (uint64_t i = 0; i < 10 && least_us > bound_us; i++) {
		long long sleeps;
		int64_t start;

		ASSERT_EQ(0, arm(self->bell, i));
		usleep(20000);
		sleeps = sysfs_read("sleeps");
		start = now_us();
		store(self->lines, i + 1);
		ASSERT_TRUE(fires_once(self->event, SOON));
		if (now_us() - start < least_us)
			least_us = now_us() - start;
		EXPECT_LE(sysfs_read("sleeps") - sleeps, 1);
	}
	EXPECT_LE(least_us, bound_us);
}

/*
 * Arms the bell each time it has just been signalled, as the poller is about to
 * sleep: it may see the bell before it is told when that was armed.
 */
TEST_F(poller, never_says_that_a_ring_waited_longer_than_there_was_time)
{
	const int64_t end_us = now_us() + 3000000;

	ASSERT_EQ(0, run_on(0));
	ASSERT_EQ(0, sysfs_write("poll_cpus", "1\n"));
	ASSERT_EQ(0, sysfs_set("poll_spin_us", 0));
	for (uint64_t i = 0; now_us() < end_us; i++) {
		const int64_t late_us = now_us() + SOON * 1000ll;

		ASSERT_EQ(0, arm(self->bell, i));
		store(self->lines, i + 1);
		while (__atomic_load_n(&self->lines->armed, __ATOMIC_SEQ_CST)) {
			ASSERT_LT(now_us(), late_us);
		}
		for (uint64_t pause = i % 512; pause; pause--)
			__atomic_signal_fence(__ATOMIC_SEQ_CST);
	}
	EXPECT_LE(sysfs_read("worst_wake_ns"), now_us() * 1000);
}

/* ---------------------------------------------- one bell in another one's place */

struct places {
	int bell; /* to be closed; -1: it is */
	bool stop;
};

static void *closer(void *arg)
{
	struct places *places = arg;

	while (!__atomic_load_n(&places->stop, __ATOMIC_RELAXED)) {
		int bell = __atomic_exchange_n(&places->bell, -1, __ATOMIC_SEQ_CST);

		if (bell >= 0)
			close(bell);
	}
	return NULL;
}

/* Has bells wait for a moment before they are taken off the poller's list. */
static void *placer(void *arg)
{
	struct places *places = arg;

	while (!__atomic_load_n(&places->stop, __ATOMIC_RELAXED))
		(void)sysfs_write("poll_cpus", "0-1\n");
	return NULL;
}

/*
 * Whoever made a bell and armed it is woken, and not by the eventfd of the one
 * that was there before and is being closed.
 */
TEST_F_TIMEOUT(poller, takes_no_ring_for_a_bell_that_is_gone, 120)
{
	static struct places places; /* of threads that may outlive a failure */
	pthread_t threads[2];

	const int64_t end_us = now_us() + 20000000;

	places = (struct places){ .bell = -1 };
	ASSERT_EQ(0, sysfs_set("poll_spin_us", 1000000));
	ASSERT_EQ(0, pthread_create(&threads[0], NULL, closer, &places));
	ASSERT_EQ(0, pthread_create(&threads[1], NULL, placer, &places));
	for (uint64_t i = 0; i < 3000 && now_us() < end_us; i++) {
		int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), bell;

		ASSERT_GE(event, 0);
		__atomic_store_n(&places.bell, self->bell, __ATOMIC_SEQ_CST);
		do
			bell = doorbell(self->fd, AT, event, PINRING_IOC_DOORBELL_DEVICE);
		while (bell == -EBUSY);
		ASSERT_GE(bell, 0);
		self->bell = bell;
		ASSERT_EQ(0, arm(bell, i));
		store(self->lines, i + 1);
		ASSERT_TRUE(fires_once(event, SOON)) {
			TH_LOG("round %ju", (uintmax_t)i);
		}
		close(self->event);
		self->event = event;
	}
	__atomic_store_n(&places.stop, true, __ATOMIC_RELAXED);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
}

TEST_HARNESS_MAIN
