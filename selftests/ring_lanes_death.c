// SPDX-License-Identifier: MIT
/*
 * What SIGKILL leaves of lanes: everything that was published, nothing that was
 * not, and seats for those who come next. Nobody repairs anything.
 */
#include <kselftest_harness.h>

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include <pinring/pinring.h>

#include "items.h"
#include "kills.h"

#define CAPACITY 32
#define AGAIN_MAX (CAPACITY / 4 - 1) /* of a lane, seen again after a death */
#define PRODUCERS 4
#define PARTITIONS 2
#define SECOND 1000000000ll
#define JUNK 0xdeadbeefdeadbeefull /* in slots that nobody publishes */

FIXTURE(death)
{
	struct pinring_device *device;
	struct pinring_region *r;
};

FIXTURE_SETUP(death)
{
	struct pinring_region_config config = pinring_region_defaults(1 << 16);

	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->r));
	ASSERT_EQ(0, pinring_lanes_create(self->r, "lanes", CAPACITY, 8,
					  PRODUCERS, PARTITIONS));
}

FIXTURE_TEARDOWN(death)
{
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

/* Writes junk into all slots it can reserve, and never says so. */
static int64_t hold_junk(struct pinring_lane_writer *w, uint64_t n)
{
	void *slots = NULL;
	int64_t k = pinring_lanes_reserve(w, n, &slots);

	for (int64_t i = 0; i < k; i++)
		((uint64_t *)slots)[i] = JUNK;
	return k;
}

/* A process that publishes so many from `first` on, reserves more, and dies. */
static void die_producing(struct __test_metadata *_metadata,
			  struct pinring_region *r, uint64_t first, uint64_t n)
{
	pid_t pid = fork();
	int status;

	ASSERT_LE(0, pid);
	if (!pid) {
		struct pinring_lanes_producer p;

		if (pinring_lanes_producer_open(r, "lanes", &p))
			_exit(1);
		for (uint64_t i = 0; i < n; i++)
			if (pinring_lanes_push_u64(p.lane, first + i))
				_exit(2);
		hold_junk(p.lane, CAPACITY);
		hold_junk(p.lane + 1, CAPACITY);
		raise(SIGKILL);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
}

TEST_F(death, what_was_published_comes_and_what_was_reserved_does_not)
{
	struct pinring_lanes_consumer c;
	uint64_t item, next = 0;

	ASSERT_EQ(0, pinring_lanes_consumer_open(self->r, "lanes", &c));
	for (uint64_t n = 0; n <= CAPACITY; n++) {
		die_producing(_metadata, self->r, next, n);
		while (!pinring_lanes_pop_u64(&c, &item)) {
			ASSERT_EQ(next++, item);
		}
		ASSERT_EQ(n * (n + 1) / 2, next);
	}
	pinring_lanes_consumer_close(&c);
}

TEST_F(death, lanes_of_the_dead_go_to_the_next)
{
	struct pinring_lanes_producer p[PRODUCERS];
	struct pinring_lanes_consumer c;
	uint64_t item, count = 0;

	for (uint64_t i = 0; i < 3 * PRODUCERS; i++)
		die_producing(_metadata, self->r, 1, 2);
	for (int i = 0; i < PRODUCERS; i++) {
		ASSERT_EQ(0, pinring_lanes_producer_open(self->r, "lanes", &p[i]));
		ASSERT_EQ(0, pinring_lanes_push_u64(p[i].lane, 3));
	}
	ASSERT_EQ(0, pinring_lanes_consumer_open(self->r, "lanes", &c));
	while (!pinring_lanes_pop_u64(&c, &item)) {
		count++;
		EXPECT_GE(3, item);
	}
	EXPECT_EQ(2 * 3 * PRODUCERS + PRODUCERS, count);
	for (int i = 0; i < PRODUCERS; i++)
		pinring_lanes_producer_close(&p[i]);
	pinring_lanes_consumer_close(&c);
}

TEST_F(death, a_reservation_of_the_dead_does_not_hold_up_the_end)
{
	struct pinring_lanes_consumer c;
	uint64_t item;

	ASSERT_EQ(0, pinring_lanes_consumer_open(self->r, "lanes", &c));
	die_producing(_metadata, self->r, 1, 1);
	pinring_lanes_close(&c.lanes);
	EXPECT_EQ(0, pinring_lanes_pop_wait(&c, &item, SECOND));
	EXPECT_EQ(-EPIPE, pinring_lanes_pop_wait(&c, &item, 60 * SECOND));
	pinring_lanes_consumer_close(&c);
}

TEST_F(death, nor_does_it_when_its_lane_has_another_producer)
{
	struct pinring_lanes_producer p[PRODUCERS];
	struct pinring_lanes_consumer c;
	uint64_t item;

	ASSERT_EQ(0, pinring_lanes_consumer_open(self->r, "lanes", &c));
	die_producing(_metadata, self->r, 1, 1);
	for (int i = 0; i < PRODUCERS; i++) {
		ASSERT_EQ(0, pinring_lanes_producer_open(self->r, "lanes", &p[i]));
	}
	pinring_lanes_close(&c.lanes);
	EXPECT_EQ(0, pinring_lanes_pop_u64(&c, &item));
	EXPECT_EQ(-EPIPE, pinring_lanes_pop_u64(&c, &item));
	for (int i = 0; i < PRODUCERS; i++)
		pinring_lanes_producer_close(&p[i]);
	pinring_lanes_consumer_close(&c);
}

/* Publishes, with pauses while it holds something, until it is closed or dies. */
static void until_killed(struct pinring_region *r, struct dice dice)
{
	struct pinring_lanes_producer p;
	void *slots;
	int64_t n;

	if (pinring_lanes_producer_open(r, "lanes", &p))
		_exit(1);
	while ((n = pinring_lanes_reserve(p.lane, 3, &slots)) != -EPIPE) {
		for (uint64_t i = roll(&dice, 2000); i; i--)
			pinring_relax();
		if (n > 0)
			pinring_lanes_commit(p.lane, (uint64_t)n);
	}
	pause();
}

TEST_F_TIMEOUT(death, the_end_comes_after_all_that_the_dead_had_published, 60)
{
	const int rounds = SANITIZED ? 100 : 300;
	struct dice dice = { 9 };

	for (int round = 0; round < rounds; round++) {
		struct pinring_lanes_info info =
			PINRING_INIT(struct pinring_lanes_info);
		struct pinring_region_config config =
			pinring_region_defaults(1 << 15);
		uint64_t item, got = 0, enough = 1 + roll(&dice, 20);
		struct pinring_lanes_consumer c;
		struct pinring_region *r;
		unsigned int spins = 0;
		int status, rc;
		pid_t pid;

		ASSERT_EQ(0, pinring_region_create(self->device, &config, &r));
		ASSERT_EQ(0, pinring_lanes_create(r, "lanes", CAPACITY, 8, 1, 1));
		ASSERT_EQ(0, pinring_lanes_consumer_open(r, "lanes", &c));
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			until_killed(r, (struct dice){ (uint64_t)round });
		while (got < enough) {
			got += !pinring_lanes_pop_u64(&c, &item);
			wait_a_little(&spins);
		}
		pinring_lanes_close(&c.lanes);
		for (uint64_t i = roll(&dice, 1000); i; i--)
			pinring_relax();
		ASSERT_EQ(0, kill(pid, SIGKILL));
		while ((rc = pinring_lanes_pop_u64(&c, &item)) != -EPIPE)
			got += !rc;
		ASSERT_EQ(0, pinring_lanes_info(&c.lanes, &info));
		ASSERT_EQ(info.published, got) {
			TH_LOG("round %d", round);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
		pinring_lanes_consumer_close(&c);
		pinring_region_close(r);
	}
}

/* Seats of processes that live, as seen from others. */
TEST_F(death, the_living_keep_their_seats)
{
	struct pinring_lanes_producer p[PRODUCERS], late;
	struct pinring_lanes_consumer c;
	int status;
	pid_t pid;

	for (int i = 0; i < PRODUCERS; i++) {
		ASSERT_EQ(0, pinring_lanes_producer_open(self->r, "lanes", &p[i]));
	}
	ASSERT_EQ(0, pinring_lanes_consumer_open_some(self->r, "lanes", 1, 1,
						      &c));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (pinring_lanes_producer_open(self->r, "lanes", &late) !=
		    -EUSERS)
			_exit(1);
		_exit(pinring_lanes_consumer_open(self->r, "lanes", &c) ==
				      -EBUSY ?
			      0 :
			      2);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	for (int i = 0; i < PRODUCERS; i++)
		pinring_lanes_producer_close(&p[i]);
	pinring_lanes_consumer_close(&c);
}

/* A process that takes so many, looks at some more, and dies. */
static void die_consuming(struct __test_metadata *_metadata,
			  struct pinring_region *r, uint64_t n)
{
	pid_t pid = fork();
	int status;

	ASSERT_LE(0, pid);
	if (!pid) {
		struct pinring_lanes_consumer c;
		uint64_t item;
		void *slots;

		if (pinring_lanes_consumer_open(r, "lanes", &c))
			_exit(1);
		while (n--)
			pinring_lanes_pop_u64(&c, &item);
		pinring_lanes_peek(&c, CAPACITY, &slots);
		raise(SIGKILL);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
}

TEST_F(death, the_next_consumer_sees_a_little_again_and_misses_nothing)
{
	struct pinring_lanes_producer p;
	struct pinring_lanes_consumer c;
	uint64_t item;

	ASSERT_EQ(0, pinring_lanes_producer_open(self->r, "lanes", &p));
	for (uint64_t n = 0; n < CAPACITY; n++) {
		for (uint64_t i = 0; i < CAPACITY; i++) {
			ASSERT_EQ(0, pinring_lanes_push_u64(p.lane, i));
		}
		die_consuming(_metadata, self->r, n);
		ASSERT_EQ(0, pinring_lanes_consumer_open(self->r, "lanes", &c));
		ASSERT_EQ(0, pinring_lanes_pop_u64(&c, &item));
		EXPECT_LE(item, n);
		EXPECT_LE(n, item + AGAIN_MAX);
		for (uint64_t i = item + 1; i < CAPACITY; i++) {
			ASSERT_EQ(0, pinring_lanes_pop_u64(&c, &item));
			ASSERT_EQ(i, item);
		}
		pinring_lanes_consumer_close(&c);
	}
	pinring_lanes_producer_close(&p);
}

/* --------------------------------------------------------------- a campaign */
#define WORKERS 5 /* the first of them consume, a partition each */
#define KILLS (SANITIZED ? 300u : 4000u)
#define RUN 6u
#define NAMES (KILLS + WORKERS + 1)
#define SENT_MAX 32768u

/*
 * Every producer process has a name. For each partition it notes what it begins
 * and what it has sent; a consumer notes each item before it releases it.
 */
struct record {
	uint32_t begun[NAMES][PARTITIONS], sent[NAMES][PARTITIONS];
	uint64_t received[NAMES][PARTITIONS][SENT_MAX / 64]; /* a bit each */
	uint64_t count[PARTITIONS]; /* items that came; its consumer writes */
	uint64_t again, junk; /* atomic add */
	uint64_t gap; /* an item came before an earlier one had; atomic add */
	uint64_t stop;
};

/* Others may die behind it while it looks for a seat: again, then. */
static int open_amid_deaths(struct pinring_region *r,
			    struct pinring_lanes_producer *p)
{
	int tries = 1000, rc;

	do
		rc = pinring_lanes_producer_open(r, "lanes", p);
	while (rc == -EUSERS && --tries);
	return rc;
}

static void produce(struct pinring_region *r, struct record *rec, uint32_t name)
{
	struct pinring_lanes_producer p;
	struct dice dice = { name };
	unsigned int spins = 0;

	if (open_amid_deaths(r, &p))
		_exit(1);
	while (!__atomic_load_n(&rec->stop, __ATOMIC_RELAXED)) {
		uint32_t k = (uint32_t)roll(&dice, PARTITIONS);
		uint32_t i = rec->sent[name][k];
		uint64_t want = 1 + roll(&dice, RUN);
		void *slots = NULL;
		int64_t n = -EAGAIN;

		if (i + want <= SENT_MAX)
			n = pinring_lanes_reserve(&p.lane[k], want, &slots);
		if (n < 1) {
			wait_a_little(&spins);
			continue;
		}
		for (int64_t j = 0; j < n; j++)
			((uint64_t *)slots)[j] = JUNK;
		if (!roll(&dice, 20)) {
			pinring_lanes_abort(&p.lane[k]);
			continue;
		}
		if (n > 1)
			n -= (int64_t)roll(&dice, 2);
		__atomic_store_n(&rec->begun[name][k], i + (uint32_t)n,
				 __ATOMIC_RELAXED);
		for (int64_t j = 0; j < n; j++, i++)
			((uint64_t *)slots)[j] = (uint64_t)name << 32 | k << 24 |
						 i;
		pinring_lanes_commit(&p.lane[k], (uint64_t)n);
		__atomic_store_n(&rec->sent[name][k], i, __ATOMIC_RELEASE);
	}
	pinring_lanes_producer_close(&p);
	_exit(0);
}

static bool is_received(const struct record *rec, uint32_t name, uint32_t k,
			uint32_t i)
{
	return __atomic_load_n(&rec->received[name][k][i / 64],
			       __ATOMIC_RELAXED) >> (i & 63) & 1;
}

static void take(struct record *rec, uint32_t partition, uint64_t item)
{
	uint32_t name = (uint32_t)(item >> 32), k = item >> 24 & 0xff;
	uint32_t i = (uint32_t)item & 0xffffff;

	if (name >= NAMES || k != partition || i >= SENT_MAX) {
		__atomic_add_fetch(&rec->junk, 1, __ATOMIC_RELAXED);
		return;
	}
	if (i && !is_received(rec, name, k, i - 1))
		__atomic_add_fetch(&rec->gap, 1, __ATOMIC_RELAXED);
	if (is_received(rec, name, k, i))
		__atomic_add_fetch(&rec->again, 1, __ATOMIC_RELAXED);
	else
		__atomic_or_fetch(&rec->received[name][k][i / 64],
				  1ull << (i & 63), __ATOMIC_RELAXED);
}

static int64_t take_run(struct pinring_lanes_consumer *c, struct record *rec,
			uint32_t partition, uint64_t want)
{
	void *slots = NULL;
	int64_t n = pinring_lanes_peek(c, want, &slots);

	for (int64_t k = 0; k < n; k++)
		take(rec, partition, ((uint64_t *)slots)[k]);
	if (n > 0) {
		__atomic_store_n(&rec->count[partition],
				 rec->count[partition] + (uint64_t)n,
				 __ATOMIC_RELAXED);
		pinring_lanes_release(c, (uint64_t)n);
	}
	return n;
}

static void consume(struct pinring_region *r, struct record *rec, uint32_t k)
{
	struct pinring_lanes_consumer c;
	struct dice dice = { (uint64_t)getpid() };
	unsigned int spins = 0;

	if (pinring_lanes_consumer_open_some(r, "lanes", k, 1, &c))
		_exit(1);
	while (!__atomic_load_n(&rec->stop, __ATOMIC_RELAXED))
		if (take_run(&c, rec, k, 1 + roll(&dice, RUN)) < 1)
			wait_a_little(&spins);
	pinring_lanes_consumer_close(&c);
	_exit(0);
}

/* The first ones consume, the others produce under the next name there is. */
static pid_t start_worker(struct pinring_region *r, struct record *rec, int i,
			  uint32_t *names)
{
	uint32_t name = i < PARTITIONS ? 0 : ++*names;
	pid_t pid = fork();

	if (!pid && name)
		produce(r, rec, name);
	if (!pid)
		consume(r, rec, (uint32_t)i);
	return pid;
}

/* All have stopped: takes what is left. */
static void drain(struct __test_metadata *_metadata, struct pinring_region *r,
		  struct record *rec, struct pinring_lanes_info *info)
{
	*info = PINRING_INIT(struct pinring_lanes_info);
	for (uint32_t k = 0; k < PARTITIONS; k++) {
		struct pinring_lanes_consumer c;

		ASSERT_EQ(0, pinring_lanes_consumer_open_some(r, "lanes", k, 1,
							      &c));
		while (take_run(&c, rec, k, CAPACITY) > 0)
			;
		EXPECT_EQ(0, pinring_lanes_count(&c));
		pinring_lanes_flush(&c);
		ASSERT_EQ(0, pinring_lanes_info(&c.lanes, info));
		pinring_lanes_consumer_close(&c);
	}
}

/* Delivered is what was committed, to the last one. */
static void check_record(struct __test_metadata *_metadata,
			 const struct record *rec,
			 const struct pinring_lanes_info *info, uint32_t names,
			 uint64_t consumers_killed)
{
	uint64_t sent = 0, missing = 0, invented = 0, received = 0;

	for (uint32_t name = 1; name <= names; name++) {
		for (uint32_t k = 0; k < PARTITIONS; k++) {
			for (uint32_t i = 0; i < rec->begun[name][k] + 64 &&
					     i < SENT_MAX;
			     i++) {
				bool came = is_received(rec, name, k, i);

				received += came;
				sent += i < rec->sent[name][k];
				missing += i < rec->sent[name][k] && !came;
				invented += i >= rec->begun[name][k] && came;
			}
		}
	}
	EXPECT_EQ(0, rec->junk);
	EXPECT_EQ(0, rec->gap);
	EXPECT_EQ(0, missing);
	EXPECT_EQ(0, invented);
	/* The lanes' own count of what was published. */
	EXPECT_EQ(info->published, received);
	EXPECT_EQ(info->published, info->given_back);
	EXPECT_LE(rec->again, consumers_killed * PRODUCERS * AGAIN_MAX);
	TH_LOG("%llu published, %llu noted as sent, %llu of them seen again after the death of %llu consumers",
	       (unsigned long long)info->published, (unsigned long long)sent,
	       (unsigned long long)rec->again,
	       (unsigned long long)consumers_killed);
}

/* Kills workers from the first-th on, for as long as it takes. */
static void campaign(struct __test_metadata *_metadata, struct pinring_region *r,
		     int first)
{
	struct record *rec = mmap(NULL, sizeof(*rec), PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1,
				  0);
	struct pinring_lanes_info info;
	uint64_t consumers_killed = 0;
	struct dice dice = { 1 };
	uint32_t names = 0;
	pid_t pid[WORKERS];
	int status;

	ASSERT_NE(MAP_FAILED, rec);
	for (int i = 0; i < WORKERS; i++) {
		pid[i] = start_worker(r, rec, i, &names);
		ASSERT_LT(0, pid[i]);
	}
	for (uint32_t kills = 0; kills < KILLS; kills++) {
		struct timespec t = { .tv_nsec = (long)roll(&dice, 300000) };
		int victim = first +
			     (int)roll(&dice, (uint64_t)(WORKERS - first));

		nanosleep(&t, NULL);
		ASSERT_EQ(0, kill(pid[victim], SIGKILL));
		ASSERT_EQ(pid[victim], waitpid(pid[victim], &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status)) {
			TH_LOG("it ended by itself: %d", status);
		}
		consumers_killed += victim < PARTITIONS;
		pid[victim] = start_worker(r, rec, victim, &names);
		ASSERT_LT(0, pid[victim]);
	}
	__atomic_store_n(&rec->stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < WORKERS; i++) {
		ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
		EXPECT_EQ(0, status);
	}
	drain(_metadata, r, rec, &info);
	check_record(_metadata, rec, &info, names, consumers_killed);
	LOG_KILLS(KILLS);
	munmap(rec, sizeof(*rec));
}

TEST_F_TIMEOUT(death, a_campaign_against_producers, 240)
{
	campaign(_metadata, self->r, PARTITIONS);
}

TEST_F_TIMEOUT(death, a_campaign_against_all, 240)
{
	campaign(_metadata, self->r, 0);
}

TEST_HARNESS_MAIN
