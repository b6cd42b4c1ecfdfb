// SPDX-License-Identifier: MIT
/*
 * What SIGKILL leaves of a resizable ring: all that was published, in order, and
 * a ring that goes on growing, at whichever instruction it came.
 */
#include <kselftest_harness.h>

#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

#include <pinring/pinring.h>

#include "chain_sides.h"
#include "kills.h"

#define MIN 4
#define MAX 64

FIXTURE(death)
{
	struct pinring_device *device;
	struct pinring_region *r;
};

FIXTURE_SETUP(death)
{
	struct pinring_region_config config = pinring_region_defaults(1 << 20);
	struct pinring_chain_config ring = pinring_chain_defaults(MIN, MAX, 8);

	ring.check_interval = 2;
	ring.window = 1;
	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->r));
	ASSERT_EQ(0, pinring_chain_create(self->r, "ring", &ring));
}

FIXTURE_TEARDOWN(death)
{
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

/* ------------------------------------------------- killed at every instruction */

enum act { GROW, SHRINK, FOLLOW };

/* Stands where one more call does it. */
static int64_t prepare(struct pinring_region *r, enum act act,
		       struct pinring_chain_producer *p,
		       struct pinring_chain_consumer *c)
{
	uint64_t i, item;

	if (pinring_chain_producer_open(r, "ring", p) ||
	    pinring_chain_consumer_open(r, "ring", c))
		return -1;
	for (i = 0; i < (act == SHRINK ? MIN + 1 : MIN); i++)
		pinring_chain_push_u64(p, i);
	if (act == FOLLOW) {
		pinring_chain_push_u64(p, i++);
		for (uint64_t n = 0; n < MIN; n++)
			pinring_chain_pop_u64(c, &item);
	}
	if (act == SHRINK) {
		while (!pinring_chain_pop_u64(c, &item))
			;
		/* A look is due now; this one finds it empty. */
		p->checked = p->write - (2 << PINRING_PLACE_SHIFT);
		p->limit = p->write;
	}
	return (int64_t)chain_sent(p);
}

static void act_once(enum act act, struct pinring_chain_producer *p,
		     struct pinring_chain_consumer *c)
{
	uint64_t item;

	if (act == FOLLOW)
		pinring_chain_pop_u64(c, &item);
	else
		pinring_chain_push_u64(p, chain_sent(p));
}

/* Runs the act for so many instructions; true: it came to its end before. */
static bool die_after(struct __test_metadata *_metadata, struct pinring_region *r,
		      enum act act, long instructions)
{
	bool done = false;
	pid_t pid = fork();
	int status = 0;

	ASSERT_LE(0, pid);
	if (!pid) {
		struct pinring_chain_producer p;
		struct pinring_chain_consumer c;

		if (ptrace(PTRACE_TRACEME, 0, 0, 0) || prepare(r, act, &p, &c) < 0)
			_exit(1);
		raise(SIGSTOP);
		act_once(act, &p, &c);
		raise(SIGSTOP);
		_exit(2);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	while (instructions-- && !done) {
		ASSERT_EQ(0, ptrace(PTRACE_SINGLESTEP, pid, 0, 0));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSTOPPED(status));
		done = WSTOPSIG(status) == SIGSTOP;
	}
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));
	return done;
}

/* New sides: what is there is what was published, and there is no end of it. */
static void expect_it_goes_on(struct __test_metadata *_metadata,
			      struct pinring_region *r, enum act act,
			      uint64_t least)
{
	struct pinring_chain_producer p;
	struct pinring_chain_consumer c;
	uint64_t next, item = 0, published;

	ASSERT_EQ(0, pinring_chain_producer_open(r, "ring", &p));
	ASSERT_EQ(0, pinring_chain_consumer_open(r, "ring", &c));
	published = chain_sent(&p);
	ASSERT_LE(least, published);
	ASSERT_GE(least + (act != FOLLOW), published);
	while (pinring_chain_count(&c) < MAX) {
		ASSERT_EQ(0, pinring_chain_push_u64(&p, chain_sent(&p)));
	}
	EXPECT_EQ(-EAGAIN, pinring_chain_push_u64(&p, 0));
	for (next = chain_got(&c); next != chain_sent(&p); next++) {
		ASSERT_EQ(0, pinring_chain_pop_u64(&c, &item));
		ASSERT_EQ(next, item);
	}
	EXPECT_EQ(-EAGAIN, pinring_chain_pop_u64(&c, &item));
	pinring_chain_producer_close(&p);
	pinring_chain_consumer_close(&c);
}

/* Every instruction of it; in a build that does more of them, every so many. */
static void die_everywhere(struct __test_metadata *_metadata,
			   struct pinring_region *r, enum act act)
{
	struct pinring_chain_header *h = chain_header(r, "ring");
	struct pinring_chain_header fresh = *h;
	struct pinring_chain_producer p;
	struct pinring_chain_consumer c;
	uint64_t moves, followed, least;
	long n = 0, step = SANITIZED ? 499 : 1;
	bool done = false;

	ASSERT_LE(0, prepare(r, act, &p, &c));
	least = chain_sent(&p);
	moves = h->grown + h->shrunk;
	followed = pinring_chain_low(c.read);
	act_once(act, &p, &c);
	/* Or this is a test of something else. */
	ASSERT_EQ(moves + (act != FOLLOW), h->grown + h->shrunk);
	ASSERT_EQ(followed + (act == FOLLOW), pinring_chain_low(c.read));
	pinring_chain_producer_close(&p);
	pinring_chain_consumer_close(&c);
	for (n = 0; !done; n += step) {
		*h = fresh;
		done = die_after(_metadata, r, act, n);
		expect_it_goes_on(_metadata, r, act, least);
	}
	TH_LOG("killed at %ld points", n / step);
	EXPECT_LT(100, n); /* or it was over before it began */
}

TEST_F_TIMEOUT(death, of_a_producer_that_grows, 120)
{
	die_everywhere(_metadata, self->r, GROW);
}

TEST_F_TIMEOUT(death, of_a_producer_that_shrinks, 120)
{
	die_everywhere(_metadata, self->r, SHRINK);
}

TEST_F_TIMEOUT(death, of_a_consumer_that_follows, 120)
{
	die_everywhere(_metadata, self->r, FOLLOW);
}

/* --------------------------------------------------------------- a campaign */
#define KILLS (SANITIZED ? 200u : 1000u)

/* How a side ends that was not killed. */
enum end { FINE, NOT_OPENED, NOT_WHERE_IT_WAS, NOT_THE_NEXT };

/* Each word is stored by one side, after the deed. */
struct record {
	uint64_t sent; /* published up to here */
	uint64_t got; /* read up to here */
	uint64_t stop;
};

static bool stopped(const struct record *rec)
{
	return __atomic_load_n(&rec->stop, __ATOMIC_RELAXED);
}

static enum end produce(struct pinring_region *r, struct record *rec, uint64_t seed)
{
	struct pinring_chain_producer p;
	struct dice d = { seed };
	unsigned int spins = 0;
	uint64_t rest;

	if (pinring_chain_producer_open(r, "ring", &p))
		return NOT_OPENED;
	/* What was published is there, and at most one run of it unnoted. */
	rest = chain_sent(&p) - __atomic_load_n(&rec->sent, __ATOMIC_RELAXED);
	if (rest > RUN)
		return NOT_WHERE_IT_WAS;
	while (!stopped(rec)) {
		int64_t n = chain_send(&p, &d, RUN);

		if (n < 1 && n != -EAGAIN)
			return NOT_THE_NEXT;
		__atomic_store_n(&rec->sent, chain_sent(&p), __ATOMIC_RELEASE);
		for (uint64_t i = roll(&d, chain_sent(&p) >> 7 & 1 ? 32 : 4); i; i--)
			wait_a_little(&spins);
	}
	pinring_chain_producer_close(&p);
	return FINE;
}

static enum end consume(struct pinring_region *r, struct record *rec, uint64_t seed)
{
	struct pinring_chain_consumer c;
	struct dice d = { seed };
	unsigned int spins = 0;
	uint64_t again;

	if (pinring_chain_consumer_open(r, "ring", &c))
		return NOT_OPENED;
	/* Some may come twice, none is passed over. */
	again = rec->got - chain_got(&c);
	if (again > MAX / 16 + RUN && -again > RUN)
		return NOT_WHERE_IT_WAS;
	while (!stopped(rec)) {
		int64_t n = chain_receive(&c, &d, RUN);

		if (n < 1 && n != -EAGAIN)
			return NOT_THE_NEXT;
		__atomic_store_n(&rec->got, chain_got(&c), __ATOMIC_RELEASE);
		for (uint64_t i = roll(&d, chain_got(&c) >> 8 & 1 ? 32 : 4); i; i--)
			wait_a_little(&spins);
	}
	pinring_chain_consumer_close(&c);
	return FINE;
}

static pid_t start(struct pinring_region *r, struct record *rec, bool producer,
		   uint64_t seed)
{
	pid_t pid = fork();

	if (!pid)
		_exit(producer ? produce(r, rec, seed) : consume(r, rec, seed));
	return pid;
}

/* Under TSan a process takes longer to begin than the kills are apart. */
static void await_work(const struct record *rec, int side)
{
	const uint64_t *done = side ? &rec->sent : &rec->got;
	const uint64_t before = __atomic_load_n(done, __ATOMIC_ACQUIRE);
	const struct timespec t = { .tv_nsec = 100000 };

	for (int i = 0; i < 1000; i++) {
		if (__atomic_load_n(done, __ATOMIC_ACQUIRE) != before)
			break;
		nanosleep(&t, NULL);
	}
}

TEST_F_TIMEOUT(death, a_campaign_of_random_kills, 240)
{
	struct record *rec = mmap(NULL, sizeof(*rec), PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct pinring_chain_header *h = chain_header(self->r, "ring");
	struct pinring_chain_consumer c;
	struct dice d = { 7 };
	pid_t pid[2]; /* consumer, producer */
	int64_t n = 0;
	int status;

	ASSERT_NE(MAP_FAILED, rec);
	for (int side = 0; side < 2; side++) {
		pid[side] = start(self->r, rec, side, 1);
		ASSERT_LT(0, pid[side]);
	}
	for (uint64_t kills = 1; kills <= KILLS; kills++) {
		struct timespec t = { .tv_nsec = (long)roll(&d, 500000) };
		int side = (int)roll(&d, 2);

		/* Some before they have begun. */
		if (roll(&d, 4))
			await_work(rec, side);
		nanosleep(&t, NULL);
		ASSERT_EQ(0, kill(pid[side], SIGKILL));
		ASSERT_EQ(pid[side], waitpid(pid[side], &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status)) {
			TH_LOG("it ended by itself: enum end %d",
			       WEXITSTATUS(status));
		}
		pid[side] = start(self->r, rec, side, kills);
		ASSERT_LT(0, pid[side]);
	}
	__atomic_store_n(&rec->stop, 1, __ATOMIC_RELAXED);
	for (int side = 0; side < 2; side++) {
		ASSERT_EQ(pid[side], waitpid(pid[side], &status, 0));
		EXPECT_EQ(0, status) {
			TH_LOG("enum end %d", WEXITSTATUS(status));
		}
	}
	/* All that was sent is there for the last consumer. */
	ASSERT_EQ(0, pinring_chain_consumer_open(self->r, "ring", &c));
	do {
		n = chain_receive(&c, &d, RUN);
	} while (n > 0);
	EXPECT_EQ(-EAGAIN, n);
	EXPECT_LE(rec->sent, chain_got(&c));
	EXPECT_LT(KILLS, chain_got(&c));
	EXPECT_LT(0u, h->grown);
	EXPECT_LT(0u, h->shrunk);
	TH_LOG("%llu messages, %llu moves up, %llu down",
	       (unsigned long long)chain_got(&c), (unsigned long long)h->grown,
	       (unsigned long long)h->shrunk);
	LOG_KILLS(KILLS);
	pinring_chain_consumer_close(&c);
	munmap(rec, sizeof(*rec));
}

TEST_HARNESS_MAIN
