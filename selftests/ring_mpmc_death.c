// SPDX-License-Identifier: MIT
/*
 * What SIGKILL leaves of an MPMC ring: all of it, after a repair, and nothing
 * uncounted.
 */
#include <kselftest_harness.h>

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include <pinring/pinring.h>

#include "items.h"
#include "kills.h"

#define CAPACITY 16
#define PARTIES 12
#define SECOND 1000000000ll

FIXTURE(death)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_mpmc_producer p;
	struct pinring_mpmc_consumer c;
};

FIXTURE_SETUP(death)
{
	struct pinring_region_config config = pinring_region_defaults(1 << 18);

	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->r));
	ASSERT_EQ(0, pinring_mpmc_create(self->r, "ring", CAPACITY, 8, PARTIES));
	ASSERT_EQ(0, pinring_mpmc_producer_open(self->r, "ring", &self->p));
	ASSERT_EQ(0, pinring_mpmc_consumer_open(self->r, "ring", &self->c));
}

FIXTURE_TEARDOWN(death)
{
	pinring_mpmc_producer_close(&self->p);
	pinring_mpmc_consumer_close(&self->c);
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

static struct pinring_mpmc_info info_of(const struct pinring_mpmc_side *s)
{
	struct pinring_mpmc_info info = PINRING_INIT(struct pinring_mpmc_info);

	pinring_mpmc_info(s, &info);
	return info;
}

/* A process that reserves or takes n slots, and dies with them. */
static void die_in(struct __test_metadata *_metadata, struct pinring_region *r,
		   const char *name, bool producer, uint64_t n)
{
	pid_t pid = fork();
	int status;

	ASSERT_LE(0, pid);
	if (!pid) {
		struct pinring_mpmc_producer p;
		struct pinring_mpmc_consumer c;

		if (producer && !pinring_mpmc_producer_open(r, name, &p))
			pinring_mpmc_reserve(&p, n);
		if (!producer && !pinring_mpmc_consumer_open(r, name, &c))
			pinring_mpmc_peek(&c, n);
		raise(SIGKILL);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
}

static void die_with(struct __test_metadata *_metadata, struct pinring_region *r,
		     bool producer, uint64_t n)
{
	die_in(_metadata, r, "ring", producer, n);
}

TEST_F(death, slots_of_a_dead_producer_become_void)
{
	for (uint64_t n = 1; n <= CAPACITY - 2; n++) {
		uint64_t item, before = info_of(&self->p.side).voided;

		ASSERT_EQ(0, pinring_mpmc_push_u64(&self->p, 1));
		die_with(_metadata, self->r, true, n);
		ASSERT_EQ(0, pinring_mpmc_push_u64(&self->p, 2));
		EXPECT_EQ(0, pinring_mpmc_pop_u64(&self->c, &item));
		EXPECT_EQ(1, item);
		/* The order holds: 2 does not pass what may still come. */
		EXPECT_EQ(-EAGAIN, pinring_mpmc_pop_u64(&self->c, &item));
		EXPECT_EQ(n, pinring_mpmc_repair(&self->c.side));
		EXPECT_EQ(0, pinring_mpmc_pop_u64(&self->c, &item));
		EXPECT_EQ(2, item);
		EXPECT_EQ(before + n, info_of(&self->p.side).voided);
		EXPECT_EQ(0, pinring_mpmc_repair(&self->c.side));
		EXPECT_EQ(2u, info_of(&self->p.side).parties);
	}
}

TEST_F(death, messages_of_a_dead_consumer_are_counted_and_their_slots_free)
{
	for (uint64_t n = 1; n <= CAPACITY; n++) {
		uint64_t item, before = info_of(&self->p.side).lost;

		for (uint64_t i = 0; i < CAPACITY; i++) {
			ASSERT_EQ(0, pinring_mpmc_push_u64(&self->p, i));
		}
		die_with(_metadata, self->r, false, n);
		EXPECT_EQ(-EAGAIN, pinring_mpmc_push_u64(&self->p, 99));
		EXPECT_EQ(n, pinring_mpmc_repair(&self->p.side));
		EXPECT_EQ(before + n, info_of(&self->p.side).lost);
		EXPECT_EQ(0, pinring_mpmc_push_u64(&self->p, 99));
		for (uint64_t i = n; i < CAPACITY; i++) {
			ASSERT_EQ(0, pinring_mpmc_pop_u64(&self->c, &item));
			EXPECT_EQ(i, item);
		}
		ASSERT_EQ(0, pinring_mpmc_pop_u64(&self->c, &item));
		EXPECT_EQ(99, item);
	}
}

TEST_F(death, waiting_repairs_by_itself)
{
	uint64_t item = 0;

	die_with(_metadata, self->r, true, 3);
	ASSERT_EQ(0, pinring_mpmc_push_u64(&self->p, 5));
	EXPECT_EQ(0, pinring_mpmc_pop_wait(&self->c, &item, 10 * SECOND));
	EXPECT_EQ(5, item);
	while (!pinring_mpmc_push_u64(&self->p, 7))
		;
	die_with(_metadata, self->r, false, CAPACITY);
	EXPECT_EQ(0, pinring_mpmc_push_wait(&self->p, &item, 10 * SECOND));
}

TEST_F(death, parties_of_the_dead_are_used_again)
{
	for (int i = 0; i < 3 * PARTIES; i++)
		die_with(_metadata, self->r, i % 2, 1);
	ASSERT_EQ(0, pinring_mpmc_push_u64(&self->p, 1));
	pinring_mpmc_repair(&self->c.side);
	EXPECT_EQ(2u, info_of(&self->c.side).parties);
}

TEST_F(death, what_the_living_hold_is_left_alone)
{
	uint64_t *slot, item;

	ASSERT_EQ(2, pinring_mpmc_reserve(&self->p, 2));
	die_with(_metadata, self->r, true, 2);
	EXPECT_EQ(2, pinring_mpmc_repair(&self->c.side));
	EXPECT_EQ(-EAGAIN, pinring_mpmc_pop_u64(&self->c, &item));
	for (uint64_t i = 0; i < 2; i++) {
		slot = pinring_mpmc_slot(&self->p.side, i);
		*slot = 10 + i;
	}
	pinring_mpmc_commit(&self->p, 2);
	ASSERT_EQ(2, pinring_mpmc_peek(&self->c, 5));
	EXPECT_EQ(0, pinring_mpmc_repair(&self->p.side));
	slot = pinring_mpmc_slot(&self->c.side, 1);
	EXPECT_EQ(11, *slot);
	pinring_mpmc_release(&self->c);
	EXPECT_EQ(-EAGAIN, pinring_mpmc_pop_u64(&self->c, &item));
	EXPECT_EQ(2u, info_of(&self->c.side).voided);
	EXPECT_EQ(0u, info_of(&self->c.side).lost);
}

/* The next tenant of a dead one's party is another. */
TEST_F(death, what_its_successor_holds_is_left_alone)
{
	struct pinring_mpmc_producer next;
	struct pinring_party *party;
	uint64_t item;

	die_with(_metadata, self->r, true, 1);
	party = self->p.side.parties;
	while (!(party->owner & 0xff) || party == self->p.side.party ||
	       party == self->c.side.party)
		party++;
	EXPECT_EQ(1, pinring_mpmc_repair(&self->c.side));
	ASSERT_EQ(0, pinring_mpmc_producer_open(self->r, "ring", &next));
	EXPECT_EQ(party, next.side.party);
	ASSERT_EQ(1, pinring_mpmc_reserve(&next, 1));
	EXPECT_EQ(0, pinring_mpmc_repair(&self->c.side));
	*(uint64_t *)pinring_mpmc_slot(&next.side, 0) = 7;
	pinring_mpmc_commit(&next, 1);
	EXPECT_EQ(0, pinring_mpmc_pop_u64(&self->c, &item));
	EXPECT_EQ(7, item);
	pinring_mpmc_producer_close(&next);
}

/* ------------------------------------------------------- several repair at once */
#define MENDERS 3

struct mender {
	const struct pinring_mpmc_side *side;
	pthread_barrier_t *start;
	pthread_t thread;
	int64_t count;
};

static void *repair(void *arg)
{
	struct mender *m = arg;

	pthread_barrier_wait(m->start);
	m->count = pinring_mpmc_repair(m->side);
	return NULL;
}

/* A ring so large that each is in the middle of it when the others come. */
#define LARGE 4096

TEST_F_TIMEOUT(death, of_several_that_repair_one_settles_each_slot, 60)
{
	struct pinring_mpmc_producer p;
	pthread_barrier_t start;

	ASSERT_EQ(0, pinring_mpmc_create(self->r, "large", LARGE, 8, 4));
	ASSERT_EQ(0, pinring_mpmc_producer_open(self->r, "large", &p));
	ASSERT_EQ(0, pthread_barrier_init(&start, NULL, MENDERS));
	for (uint64_t round = 1; round <= 100; round++) {
		struct pinring_mpmc_consumer c;
		struct mender m[MENDERS];
		int64_t count = 0;
		uint64_t item;

		die_in(_metadata, self->r, "large", true, LARGE);
		for (int i = 0; i < MENDERS; i++) {
			m[i] = (struct mender){ .side = &p.side,
						.start = &start };
			ASSERT_EQ(0, pthread_create(&m[i].thread, NULL, repair,
						    &m[i]));
		}
		for (int i = 0; i < MENDERS; i++) {
			pthread_join(m[i].thread, NULL);
			count += m[i].count;
		}
		EXPECT_EQ(LARGE, count);
		EXPECT_EQ(LARGE * round, info_of(&p.side).voided);
		ASSERT_EQ(0, pinring_mpmc_consumer_open(self->r, "large", &c));
		EXPECT_EQ(-EAGAIN, pinring_mpmc_pop_u64(&c, &item));
		pinring_mpmc_consumer_close(&c);
	}
	pthread_barrier_destroy(&start);
	pinring_mpmc_producer_close(&p);
}

/* --------------------------------------------------------------- a campaign */
#define WORKERS 4 /* half of them produce */
#define KILLS (SANITIZED ? 300u : 10000u)
#define RUN 4u
#define NAMES (KILLS + WORKERS + 1)
#define SENT_MAX 16384u

/*
 * Every producer process has a name; name 0 is the test itself. It notes what it
 * begins and what it has sent; consumers note each item before they release it.
 */
struct record {
	uint32_t begun[NAMES], sent[NAMES];
	uint64_t received[NAMES][SENT_MAX / 64]; /* a bit each; atomic or */
	uint64_t twice, torn; /* atomic add */
	uint64_t stop;
};

static void produce(struct pinring_region *r, struct record *rec, uint32_t name)
{
	struct pinring_mpmc_producer p;
	struct dice dice = { name };
	unsigned int spins = 0;
	uint32_t i = 0;

	if (pinring_mpmc_producer_open(r, "ring", &p))
		_exit(1);
	while (!__atomic_load_n(&rec->stop, __ATOMIC_RELAXED)) {
		uint64_t want = 1 + roll(&dice, RUN);
		int64_t n = -EAGAIN;

		if (i + want <= SENT_MAX)
			n = pinring_mpmc_reserve(&p, want);
		if (n < 1) {
			wait_a_little(&spins);
			continue;
		}
		if (!roll(&dice, 20)) {
			pinring_mpmc_abort(&p);
			continue;
		}
		__atomic_store_n(&rec->begun[name], i + (uint32_t)n,
				 __ATOMIC_RELAXED);
		for (int64_t k = 0; k < n; k++, i++)
			*(uint64_t *)pinring_mpmc_slot(&p.side, (uint64_t)k) =
				(uint64_t)name << 32 | i;
		pinring_mpmc_commit(&p, (uint64_t)n);
		__atomic_store_n(&rec->sent[name], i, __ATOMIC_RELEASE);
	}
	pinring_mpmc_producer_close(&p);
	_exit(0);
}

static void take(struct record *rec, uint64_t item)
{
	uint32_t name = (uint32_t)(item >> 32), i = (uint32_t)item;
	uint64_t bit = 1ull << (i & 63);

	if (name >= NAMES || i >= SENT_MAX)
		__atomic_add_fetch(&rec->torn, 1, __ATOMIC_RELAXED);
	else if (__atomic_fetch_or(&rec->received[name][i / 64], bit,
				   __ATOMIC_RELAXED) & bit)
		__atomic_add_fetch(&rec->twice, 1, __ATOMIC_RELAXED);
}

static int64_t take_run(struct pinring_mpmc_consumer *c, struct record *rec,
			uint64_t want)
{
	int64_t n = pinring_mpmc_peek(c, want);

	for (int64_t k = 0; k < n; k++)
		take(rec, *(uint64_t *)pinring_mpmc_slot(&c->side, (uint64_t)k));
	if (n > 0)
		pinring_mpmc_release(c);
	return n;
}

static void consume(struct pinring_region *r, struct record *rec, uint64_t seed)
{
	struct pinring_mpmc_consumer c;
	struct dice dice = { seed };
	unsigned int spins = 0;

	if (pinring_mpmc_consumer_open(r, "ring", &c))
		_exit(1);
	while (!__atomic_load_n(&rec->stop, __ATOMIC_RELAXED))
		if (take_run(&c, rec, 1 + roll(&dice, RUN)) < 1)
			wait_a_little(&spins);
	pinring_mpmc_consumer_close(&c);
	_exit(0);
}

/* Worker i: the even ones produce, under the next name there is. */
static pid_t start_worker(struct pinring_region *r, struct record *rec, int i,
			  uint32_t *names)
{
	uint32_t name = i % 2 ? 0 : ++*names;
	pid_t pid = fork();

	if (!pid && name)
		produce(r, rec, name);
	if (!pid)
		consume(r, rec, (uint64_t)getpid());
	return pid;
}

static uint64_t is_received(const struct record *rec, uint32_t name, uint32_t i)
{
	return rec->received[name][i / 64] >> (i & 63) & 1;
}

static void check_record(struct __test_metadata *_metadata,
			 const struct record *rec,
			 const struct pinring_mpmc_info *info, uint32_t names,
			 const uint64_t killed[2])
{
	uint64_t sent = 0, missing = 0, invented = 0;

	for (uint32_t name = 0; name <= names; name++) {
		for (uint32_t i = 0; i < SENT_MAX; i++) {
			sent += i < rec->sent[name];
			missing += i < rec->sent[name] &&
				   !is_received(rec, name, i);
			invented += i >= rec->begun[name] &&
				    is_received(rec, name, i);
		}
	}
	EXPECT_EQ(0, rec->torn);
	EXPECT_EQ(0, rec->twice);
	EXPECT_EQ(0, invented);
	/* Nothing is missing that the ring did not count ... */
	EXPECT_LE(missing, info->lost);
	/* ... and what it counts is no more than the dead can have held. */
	EXPECT_LE(info->lost, RUN * killed[1]);
	EXPECT_LE(info->voided, RUN * killed[0]);
	EXPECT_EQ(info->reserved, info->taken);
	TH_LOG("%llu sent, %llu missing; %llu lost with %llu consumers, %llu void of %llu producers",
	       (unsigned long long)sent, (unsigned long long)missing,
	       (unsigned long long)info->lost, (unsigned long long)killed[1],
	       (unsigned long long)info->voided, (unsigned long long)killed[0]);
}

TEST_F_TIMEOUT(death, a_campaign_of_random_kills, 240)
{
	struct record *rec = mmap(NULL, sizeof(*rec), PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1,
				  0);
	struct pinring_mpmc_info info;
	uint64_t killed[2] = { 0, 0 }; /* producers, consumers */
	struct dice dice = { 1 };
	uint32_t names = 0;
	pid_t pid[WORKERS];
	int status;

	ASSERT_NE(MAP_FAILED, rec);
	for (int i = 0; i < WORKERS; i++) {
		pid[i] = start_worker(self->r, rec, i, &names);
		ASSERT_LT(0, pid[i]);
	}
	for (uint32_t kills = 0; kills < KILLS; kills++) {
		struct timespec t = { .tv_nsec = (long)roll(&dice, 300000) };
		int victim = (int)roll(&dice, WORKERS);
		uint64_t item = kills;

		nanosleep(&t, NULL);
		ASSERT_EQ(0, kill(pid[victim], SIGKILL));
		ASSERT_EQ(pid[victim], waitpid(pid[victim], &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status)) {
			TH_LOG("it ended by itself: %d", status);
		}
		killed[victim % 2]++;
		/* The ring still moves: some consumer will make room for this. */
		if (kills < SENT_MAX) {
			rec->begun[0] = kills + 1;
			ASSERT_EQ(0, pinring_mpmc_push_wait(&self->p, &item,
							    60 * SECOND)) {
				TH_LOG("wedged after %u kills", kills);
			}
			rec->sent[0] = kills + 1;
		}
		pid[victim] = start_worker(self->r, rec, victim, &names);
		ASSERT_LT(0, pid[victim]);
		pinring_mpmc_repair(&self->c.side);
	}
	__atomic_store_n(&rec->stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < WORKERS; i++) {
		ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
		EXPECT_EQ(0, status);
	}
	pinring_mpmc_repair(&self->c.side);
	while (take_run(&self->c, rec, CAPACITY) > 0)
		;
	info = info_of(&self->c.side);
	EXPECT_EQ(2u, info.parties);
	check_record(_metadata, rec, &info, names, killed);
	LOG_KILLS(KILLS);
	munmap(rec, sizeof(*rec));
}

TEST_HARNESS_MAIN
