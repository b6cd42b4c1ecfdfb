// SPDX-License-Identifier: MIT
/*
 * Who of those that have a ring open is dead. A mistake on one side costs slots
 * for ever, on the other it takes them from somebody who lives: hence by itself,
 * and not only through the rings.
 */
#include <kselftest_harness.h>

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "lib/party.h"

#include "items.h"

#define LINES 3
#define ROLE 0xffull

FIXTURE(party)
{
	struct pinring_party *line; /* LINES of them */
	int *ready; /* once the child is where it should be */
};

typedef FIXTURE_DATA(party) party;

FIXTURE_SETUP(party)
{
	self->line = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->line);
	self->ready = (int *)(self->line + LINES);
}

FIXTURE_TEARDOWN(party)
{
	munmap(self->line, 4096);
}

static bool is_dead(const struct pinring_party *p)
{
	return pinring_party_is_dead(p, p->owner);
}

/* A child that takes the first line, and then does that; it has to be reaped. */
static pid_t tenant(struct __test_metadata *_metadata, party *self, void (*then)(void))
{
	unsigned int spins = 0;
	pid_t pid;

	__atomic_store_n(self->ready, 0, __ATOMIC_RELAXED);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (!pinring_party_claim(self->line, 1, PINRING_PARTY_PRODUCER))
			_exit(1);
		__atomic_store_n(self->ready, 1, __ATOMIC_RELEASE);
		then();
		_exit(0);
	}
	while (!__atomic_load_n(self->ready, __ATOMIC_ACQUIRE) &&
	       !waitpid(pid, NULL, WNOHANG))
		wait_a_little(&spins);
	ASSERT_TRUE(__atomic_load_n(self->ready, __ATOMIC_RELAXED));
	return pid;
}

static void sleep_on(void)
{
	for (;;)
		pause();
}

static void die(void)
{
	raise(SIGKILL);
}

static void reap(struct __test_metadata *_metadata, pid_t pid)
{
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
}

TEST_F(party, lines_are_taken_once_each_and_given_back)
{
	struct pinring_party *p[LINES];
	__u64 owner;

	for (int i = 0; i < LINES; i++) {
		self->line[i].cursor = 7;
		p[i] = pinring_party_claim(self->line, LINES, PINRING_PARTY_CONSUMER);
		EXPECT_EQ(&self->line[i], p[i]);
		EXPECT_EQ(PINRING_PARTY_CONSUMER, pinring_party_role_of(p[i]->owner));
		EXPECT_EQ(0, p[i]->cursor);
		EXPECT_FALSE(is_dead(p[i]));
	}
	EXPECT_EQ(NULL, pinring_party_claim(self->line, LINES, PINRING_PARTY_CONSUMER));
	owner = p[1]->owner;
	pinring_party_leave(p[1], owner);
	EXPECT_EQ(PINRING_PARTY_NOBODY, pinring_party_role_of(p[1]->owner));
	EXPECT_FALSE(is_dead(p[1]));
	EXPECT_EQ(p[1], pinring_party_claim(self->line, LINES, PINRING_PARTY_CONSUMER));
	/* Whoever remembers the last tenancy sees that this is another one. */
	EXPECT_NE(owner, p[1]->owner);
	pinring_party_leave(p[1], owner);
	EXPECT_EQ(PINRING_PARTY_CONSUMER, pinring_party_role_of(p[1]->owner));
}

TEST_F(party, only_the_killed_are_dead)
{
	pid_t pid = tenant(_metadata, self, sleep_on);

	EXPECT_FALSE(is_dead(&self->line[0]));
	reap(_metadata, pid);
	EXPECT_TRUE(is_dead(&self->line[0]));
	EXPECT_FALSE(is_dead(&self->line[1]));
}

/* As long as its parent does not wait for it, there is still something of it. */
TEST_F(party, a_zombie_is_dead)
{
	pid_t pid = tenant(_metadata, self, die);
	siginfo_t info;

	ASSERT_EQ(0, waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
	EXPECT_TRUE(is_dead(&self->line[0]));
	reap(_metadata, pid);
}

static void *sleep_in_a_thread(void *unused)
{
	sleep_on();
	return unused;
}

static void leave_it_to_a_thread(void)
{
	pthread_t thread;

	if (!pthread_create(&thread, NULL, sleep_in_a_thread, NULL))
		pthread_exit(NULL);
}

static bool is_zombie(pid_t pid)
{
	char path[40], text[512] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (f) {
		text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
		fclose(f);
	}
	return strstr(text, ") Z ");
}

TEST_F(party, a_zombie_with_threads_that_live_is_not)
{
	pid_t pid = tenant(_metadata, self, leave_it_to_a_thread);
	unsigned int spins = 0;

	while (!is_zombie(pid))
		wait_a_little(&spins);
	EXPECT_FALSE(is_dead(&self->line[0]));
	reap(_metadata, pid);
	EXPECT_TRUE(is_dead(&self->line[0]));
}

static void be_called_names(void)
{
	prctl(PR_SET_NAME, "a) Z 1 (b) c");
	sleep_on();
}

TEST_F(party, a_name_proves_nothing)
{
	pid_t pid = tenant(_metadata, self, be_called_names);

	for (int i = 0; i < 100; i++) {
		EXPECT_FALSE(is_dead(&self->line[0]));
		sched_yield();
	}
	usleep(10000); /* by now it is called so */
	EXPECT_FALSE(is_dead(&self->line[0]));
	reap(_metadata, pid);
}

TEST_F(party, one_whose_pid_another_process_has_is_dead)
{
	pid_t pid = tenant(_metadata, self, sleep_on);

	self->line[0].born--;
	EXPECT_TRUE(is_dead(&self->line[0]));
	reap(_metadata, pid);
}

/* Neither while it moves in, when it has not said yet whence it comes. */
TEST_F(party, of_another_pid_namespace_nobody_is_dead)
{
	struct pinring_party *p = &self->line[0];
	pid_t pid = tenant(_metadata, self, sleep_on);
	const __u64 space = p->space, coming = (p->owner & ~ROLE) | PINRING_PARTY_COMING;

	reap(_metadata, pid);
	p->space = space + 1024; /* as far as its owner word tells, ours */
	EXPECT_FALSE(is_dead(p));
	p->space = space;
	EXPECT_TRUE(is_dead(p));
	EXPECT_FALSE(pinring_party_is_dead(p, p->owner ^ 1ull << 54));
	EXPECT_TRUE(pinring_party_is_dead(p, coming));
	EXPECT_FALSE(pinring_party_is_dead(p, coming ^ 1ull << 54));
	EXPECT_FALSE(pinring_party_is_dead(p, coming ^ 1ull << 63));
	/* What the last tenant left there means nothing. */
	p->space = space + 1;
	EXPECT_TRUE(pinring_party_is_dead(p, coming));
}

TEST_F(party, one_that_moves_in_lives_unless_it_is_gone)
{
	struct pinring_party *p = &self->line[0];
	pid_t pid = tenant(_metadata, self, sleep_on);

	p->owner = (p->owner & ~ROLE) | PINRING_PARTY_COMING;
	p->born++; /* the last tenant's */
	EXPECT_FALSE(is_dead(p));
	reap(_metadata, pid);
	EXPECT_TRUE(is_dead(p));
}

/* How many this process may have open from now on; returns how many it could. */
static rlim_t descriptors(rlim_t n)
{
	struct rlimit limit;
	rlim_t before;

	getrlimit(RLIMIT_NOFILE, &limit);
	before = limit.rlim_cur;
	limit.rlim_cur = n;
	setrlimit(RLIMIT_NOFILE, &limit);
	return before;
}

TEST_F(party, without_descriptors_only_the_dead_are_dead)
{
	pid_t pid = tenant(_metadata, self, sleep_on);
	const rlim_t before = descriptors(0);

	EXPECT_FALSE(is_dead(&self->line[0]));
	reap(_metadata, pid);
	EXPECT_TRUE(is_dead(&self->line[0]));
	/* Nor is one that had none as it moved in. */
	pinring_party_bury(&self->line[0], self->line[0].owner);
	pid = tenant(_metadata, self, sleep_on);
	EXPECT_FALSE(is_dead(&self->line[0]));
	descriptors(before);
	EXPECT_FALSE(is_dead(&self->line[0]));
	reap(_metadata, pid);
	EXPECT_TRUE(is_dead(&self->line[0]));
}

TEST_F(party, what_no_process_wrote_is_dead)
{
	self->line[0].owner = PINRING_PARTY_PRODUCER;
	EXPECT_TRUE(is_dead(&self->line[0]));
}

TEST_F(party, the_dead_are_buried_once_and_their_heirs_are_not)
{
	struct pinring_party *p = &self->line[0];
	pid_t pid = tenant(_metadata, self, sleep_on);
	const __u64 dead = p->owner;
	__u64 heir;

	reap(_metadata, pid);
	p->cursor = 7;
	EXPECT_FALSE(pinring_party_inherit(p, dead ^ 1ull << 8, PINRING_PARTY_MEMBER));
	EXPECT_EQ(dead, p->owner);
	ASSERT_TRUE(pinring_party_inherit(p, dead, PINRING_PARTY_MEMBER));
	EXPECT_FALSE(pinring_party_inherit(p, dead, PINRING_PARTY_MEMBER));
	heir = p->owner;
	EXPECT_EQ(PINRING_PARTY_MEMBER, pinring_party_role_of(heir));
	EXPECT_EQ(7, p->cursor); /* with all that is noted there */
	EXPECT_FALSE(is_dead(p));
	pinring_party_bury(p, dead);
	EXPECT_EQ(heir, p->owner);
	pinring_party_bury(p, heir);
	EXPECT_EQ(PINRING_PARTY_NOBODY, pinring_party_role_of(p->owner));
}

TEST_HARNESS_MAIN
