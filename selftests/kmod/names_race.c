// SPDX-License-Identifier: MIT
/* names_race.c - names while regions come and go, and how long a name lasts. */
#include "names.h"

#include <kselftest_harness.h>
#include <sys/resource.h>

FIXTURE(names_race) {
	int device;
};

FIXTURE_SETUP(names_race)
{
	self->device = device_open();
	ASSERT_GE(self->device, 0);
	ASSERT_TRUE(regions_left(0));
}

FIXTURE_TEARDOWN(names_race)
{
	close(self->device);
}

/* ------------------------------------------------------------ until it goes */

TEST_F(names_race, lasts_until_the_last_of_fds_mappings_and_doorbells_goes)
{
	int fd = publish(self->device, "frames", 0600), event, bell, fd2;
	unsigned char *p = map(fd, SMALL);

	ASSERT_NE(NULL, p);
	event = eventfd(0, 0);
	bell = doorbell(fd, 0, event, 0);
	ASSERT_GE(bell, 0);
	close(fd);
	EXPECT_EQ(0, may_open(self->device, 0, "frames", 0));
	EXPECT_EQ(-EEXIST, publish(self->device, "frames", 0600));
	munmap(p, SMALL);
	/* Nothing but a doorbell has it now, and still it can be had. */
	fd2 = open_name(self->device, 0, "frames", 0);
	ASSERT_GE(fd2, 0);
	close(bell);
	EXPECT_EQ(0, may_open(self->device, 0, "frames", 0));
	close(fd2);
	EXPECT_EQ(-ENOENT, may_open(self->device, 0, "frames", 0));
	EXPECT_EQ(0, sysfs_read("regions"));
	fd = publish(self->device, "frames", 0600);
	EXPECT_GE(fd, 0);
	close(fd);
	close(event);
}

TEST_F(names_race, outlives_a_maker_who_is_killed_if_somebody_has_it)
{
	struct publisher alice;
	unsigned char *p;
	int fd;

	ASSERT_TRUE(publisher_start(&alice, ALICE, TEAM, "frames", 0600));
	fd = open_name(self->device, ALICE, "frames", 0);
	ASSERT_GE(fd, 0);
	p = map(fd, SMALL);
	ASSERT_NE(NULL, p);
	p[0] = 7;
	close(fd);
	kill(alice.pid, SIGKILL);
	publisher_stop(&alice);
	EXPECT_EQ(7, p[0]);
	fd = open_name(self->device, ALICE, "frames", 0);
	EXPECT_GE(fd, 0);
	close(fd);
	munmap(p, SMALL);
	EXPECT_EQ(-ENOENT, may_open(self->device, ALICE, "frames", 0));
	EXPECT_EQ(0, sysfs_read("regions"));
}

TEST_F(names_race, is_not_left_by_a_maker_who_could_not_be_answered)
{
	struct pinring_ioc_region_create *c;

	c = mmap(NULL, SMALL, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)c);
	*c = ARG(pinring_ioc_region_create);
	c->size = SMALL;
	c->flags = PINRING_IOC_SMALL_PAGES;
	c->mode = 0600;
	strcpy(c->name, "frames");
	ASSERT_EQ(0, mprotect(c, SMALL, PROT_READ));
	EXPECT_EQ(-EFAULT, call(self->device, PINRING_IOC_REGION_CREATE, c));
	munmap(c, SMALL);
	EXPECT_TRUE(regions_left(0));
	EXPECT_EQ(-ENOENT, may_open(self->device, 0, "frames", 0));
}

/* ------------------------------------------------------------------ threads */

#define ROUNDS 400

struct race {
	pthread_t thread;
	int device;
	bool stop;
	long made, opened, strange;
};

/* What is found is whole: zero, or what its maker wrote, and as long as it said. */
static void use(struct race *race, int fd)
{
	unsigned char *p = map(fd, SMALL);

	if (!p || (p[0] && p[0] != 0x5a))
		race->strange++;
	if (p)
		munmap(p, SMALL);
}

static void *maker(void *arg)
{
	struct race *race = arg;

	for (int i = 0; i < ROUNDS; i++) {
		int fd = publish(race->device, "frames", 0600);
		unsigned char *p;

		if (fd < 0) {
			race->strange += fd != -EEXIST;
			continue;
		}
		race->made++;
		p = map(fd, SMALL);
		if (p) {
			p[0] = 0x5a;
			munmap(p, SMALL);
		}
		close(fd);
	}
	return NULL;
}

static void *opener(void *arg)
{
	struct race *race = arg;

	while (!__atomic_load_n(&race->stop, __ATOMIC_RELAXED)) {
		int fd = open_name(race->device, 0, "frames", 0);

		if (fd < 0) {
			race->strange += fd != -ENOENT && fd != -EAGAIN;
			continue;
		}
		race->opened++;
		use(race, fd);
		close(fd);
	}
	return NULL;
}

TEST_F(names_race, is_opened_while_its_last_holder_leaves)
{
	struct race makers[2] = { 0 }, openers[3] = { 0 };
	long made = 0, opened = 0;

	for (size_t i = 0; i < ARRAY_SIZE(openers); i++) {
		openers[i].device = self->device;
		ASSERT_EQ(0, pthread_create(&openers[i].thread, NULL, opener, &openers[i]));
	}
	for (size_t i = 0; i < ARRAY_SIZE(makers); i++) {
		makers[i].device = self->device;
		ASSERT_EQ(0, pthread_create(&makers[i].thread, NULL, maker, &makers[i]));
	}
	for (size_t i = 0; i < ARRAY_SIZE(makers); i++) {
		pthread_join(makers[i].thread, NULL);
		made += makers[i].made;
		EXPECT_EQ(0, makers[i].strange);
	}
	for (size_t i = 0; i < ARRAY_SIZE(openers); i++) {
		__atomic_store_n(&openers[i].stop, true, __ATOMIC_RELAXED);
		pthread_join(openers[i].thread, NULL);
		opened += openers[i].opened;
		EXPECT_EQ(0, openers[i].strange);
	}
	TH_LOG("%ld made, %ld opened", made, opened);
	EXPECT_GT(made, 0);
	EXPECT_TRUE(regions_left(0));
	EXPECT_EQ(-ENOENT, may_open(self->device, 0, "frames", 0));
}

#define LARGE (64 * HUGE)

static void *make_large(void *arg)
{
	struct pinring_ioc_region_create c = ARG(pinring_ioc_region_create);
	struct race *race = arg;

	c.size = LARGE;
	c.mode = 0600;
	c.node = PINRING_IOC_NODE_LOCAL;
	strcpy(c.name, "large");
	if (call(race->device, PINRING_IOC_REGION_CREATE, &c))
		__atomic_add_fetch(&race->strange, 1, __ATOMIC_RELAXED);
	else
		race->made = c.fd;
	return NULL;
}

/* While its memory is being found and zeroed it is there for nobody. */
TEST_F(names_race, is_found_when_it_is_whole)
{
	struct pinring_ioc_region_info i;
	int fd = -ENOENT, waits = 0;

	for (int round = 0; round < 3; round++) {
		struct race race = { .device = self->device };

		ASSERT_EQ(0, pthread_create(&race.thread, NULL, make_large, &race));
		do {
			fd = open_name(self->device, 0, "large", 0);
			waits += fd == -EAGAIN;
		} while ((fd == -ENOENT || fd == -EAGAIN) &&
			 !__atomic_load_n(&race.strange, __ATOMIC_RELAXED));
		ASSERT_GE(fd, 0);
		i = ARG(pinring_ioc_region_info);
		EXPECT_EQ(0, call(fd, PINRING_IOC_REGION_INFO, &i));
		EXPECT_EQ(LARGE, i.huge_bytes);
		pthread_join(race.thread, NULL);
		EXPECT_EQ(0, race.strange);
		close((int)race.made);
		close(fd);
	}
	TH_LOG("told %d times to wait", waits);
}

#define LASTING 100

static void *churn(void *arg)
{
	struct race *race = arg;

	while (!__atomic_load_n(&race->stop, __ATOMIC_RELAXED)) {
		int fd[8];

		for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
			fd[i] = publish(race->device, "", 0);
		for (size_t i = 0; i < ARRAY_SIZE(fd); i++) {
			race->strange += fd[i] < 0;
			close(fd[i]);
		}
		race->made++;
	}
	return NULL;
}

static bool is_one_of(uint64_t id, const uint64_t *ids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ids[i] == id)
			return true;
	return false;
}

TEST_F(names_race, lists_what_stays_once_while_others_come_and_go)
{
	struct race others[2] = { 0 };
	struct pinring_ioc_region_info i;
	uint64_t ids[LASTING];
	int fds[LASTING];

	for (size_t n = 0; n < ARRAY_SIZE(others); n++) {
		others[n].device = self->device;
		ASSERT_EQ(0, pthread_create(&others[n].thread, NULL, churn, &others[n]));
	}
	for (size_t n = 0; n < LASTING; n++) {
		fds[n] = publish(self->device, "", 0);
		ASSERT_GE(fds[n], 0);
		i = ARG(pinring_ioc_region_info);
		ASSERT_EQ(0, call(fds[n], PINRING_IOC_REGION_INFO, &i));
		ids[n] = i.id;
	}
	for (int pass = 0; pass < 30; pass++) {
		uint64_t last = 0;
		size_t seen = 0;
		int rc;

		while (!(rc = next(self->device, last, &i))) {
			EXPECT_GT(i.id, last);
			EXPECT_EQ(SMALL, i.size);
			last = i.id;
			seen += is_one_of(i.id, ids, LASTING);
		}
		EXPECT_EQ(-ENOENT, rc);
		EXPECT_EQ(LASTING, seen);
	}
	for (size_t n = 0; n < ARRAY_SIZE(others); n++) {
		__atomic_store_n(&others[n].stop, true, __ATOMIC_RELAXED);
		pthread_join(others[n].thread, NULL);
		EXPECT_EQ(0, others[n].strange);
		EXPECT_GT(others[n].made, 0);
	}
	for (size_t n = 0; n < LASTING; n++) {
		close(fds[n]);
	}
	EXPECT_EQ(-ENOENT, next(self->device, 0, &i));
	EXPECT_EQ(-ENOENT, next(self->device, UINT64_MAX, &i));
}

TEST_F(names_race, lists_what_it_is)
{
	struct pinring_ioc_region_create c = ARG(pinring_ioc_region_create);
	struct pinring_ioc_region_info i, of_fd = ARG(pinring_ioc_region_info);
	int event = eventfd(0, 0), fd, bells[3];

	c.size = 2 * HUGE;
	c.node = 1;
	c.mode = 0640;
	strcpy(c.name, "frames");
	fd = create(&c);
	ASSERT_GE(fd, 0);
	for (size_t n = 0; n < ARRAY_SIZE(bells); n++) {
		bells[n] = doorbell(fd, n * 256, event, n == 1);
		ASSERT_GE(bells[n], 0);
	}
	close(bells[2]);
	ASSERT_EQ(1, listed(self->device, "frames", &i));
	EXPECT_EQ(2 * HUGE, i.size);
	EXPECT_EQ(2 * HUGE, i.huge_bytes);
	EXPECT_EQ(2 * HUGE, i.node_bytes);
	EXPECT_EQ(1, i.node);
	EXPECT_EQ(0640, i.mode);
	EXPECT_EQ(2, i.doorbells);
	ASSERT_EQ(0, call(fd, PINRING_IOC_REGION_INFO, &of_fd));
	EXPECT_EQ(0, memcmp(&i, &of_fd, sizeof(i)));
	ASSERT_EQ(0, fchmod(fd, 0604));
	ASSERT_EQ(0, fchown(fd, (uid_t)-1, TEAM));
	ASSERT_EQ(1, listed(self->device, "frames", &i));
	EXPECT_EQ(0604, i.mode);
	EXPECT_EQ(TEAM, i.group);
	close(bells[0]);
	close(bells[1]);
	close(event);
	close(fd);
}

/* -------------------------------------------------------------------- kills */

static void live_dangerously(int device, unsigned int seed)
{
	for (unsigned int i = seed;; i++) {
		int fd = publish(device, i % 2 ? "frames" : "sound", 0666);
		int other = open_name(device, 0, i % 3 ? "frames" : "sound", i % 5 == 0);
		unsigned char *p = other < 0 ? NULL : map_at(other, SMALL, PROT_READ, 0);

		if (p && i % 7)
			munmap(p, SMALL);
		if (i % 4)
			close(fd);
		close(other);
	}
}

TEST_F(names_race, is_free_again_when_all_who_fought_for_it_are_killed)
{
	struct rlimit few = { 64, 64 };
	pid_t pids[4];
	int fd;

	for (unsigned int round = 0; round < 12; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
			pids[i] = fork();
			if (!pids[i]) {
				setrlimit(RLIMIT_NOFILE, &few);
				live_dangerously(self->device, round + (unsigned int)i);
			}
		}
		usleep(20000 + round * 7000);
		for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
			kill(pids[i], SIGKILL);
			ASSERT_EQ(pids[i], waitpid(pids[i], NULL, 0));
		}
		ASSERT_TRUE(regions_left(0));
		EXPECT_EQ(-ENOENT, may_open(self->device, 0, "frames", 0));
		fd = publish(self->device, "frames", 0600);
		EXPECT_GE(fd, 0);
		close(fd);
	}
}

TEST_HARNESS_MAIN
