// SPDX-License-Identifier: MIT
/*
 * What SIGKILL leaves of a broadcast ring: the dead gate nobody for long, the
 * living miss nothing, and every ticket is accounted for.
 */
#include <kselftest_harness.h>

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "broadcast.h"
#include "kills.h"

#define CAPACITY 16u
#define PARTIES 12
#define SECOND 1000000000ll

FIXTURE(death)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_broadcast_producer p;
	struct pinring_broadcast_consumer c;
	struct pinring_broadcast_header *header;
	uint64_t depth;
	bool lapping, many;
};

FIXTURE_VARIANT(death)
{
	uint32_t flags;
};

FIXTURE_VARIANT_ADD(death, gated) { 0 };
FIXTURE_VARIANT_ADD(death, lapping) { LAPPING };
FIXTURE_VARIANT_ADD(death, gated_many) { MANY };
FIXTURE_VARIANT_ADD(death, lapping_many) { LAPPING | MANY };

FIXTURE_SETUP(death)
{
	struct pinring_region_config config = pinring_region_defaults(1 << 16);
	struct pinring_object_info o;

	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->r));
	ASSERT_EQ(0, pinring_broadcast_create(self->r, "ring", CAPACITY, 8,
					      variant->flags, PARTIES));
	ASSERT_EQ(0, pinring_object_find(self->r, "ring", &o));
	self->header = pinring_region_at(self->r, o.offset, o.length);
	ASSERT_EQ(0, pinring_broadcast_consumer_open(
			     self->r, "ring", PINRING_BROADCAST_AT_TAIL, &self->c));
	self->lapping = variant->flags & LAPPING;
	self->many = variant->flags & MANY;
	self->depth = pinring_broadcast_capacity(&self->c.side);
}

FIXTURE_TEARDOWN(death)
{
	pinring_broadcast_producer_close(&self->p);
	pinring_broadcast_consumer_close(&self->c);
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

static struct pinring_broadcast_info info_of(const struct pinring_broadcast_side *s)
{
	struct pinring_broadcast_info info =
		PINRING_INIT(struct pinring_broadcast_info);

	pinring_broadcast_info(s, &info);
	return info;
}

/* A process that reserves n slots, or only listens if n is 0, and dies. */
static void die_with(struct __test_metadata *_metadata, struct pinring_region *r,
		     uint64_t n)
{
	pid_t pid = fork();
	int status;

	ASSERT_LE(0, pid);
	if (!pid) {
		struct pinring_broadcast_producer p;
		struct pinring_broadcast_consumer c;
		void *slots;

		if (n ? pinring_broadcast_producer_open(r, "ring", &p) :
			pinring_broadcast_consumer_open(
				r, "ring", PINRING_BROADCAST_AT_TAIL, &c))
			_exit(1);
		if (n)
			pinring_broadcast_reserve(&p, n, &slots);
		raise(SIGKILL);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
}

static void open_producer(struct __test_metadata *_metadata,
			  struct pinring_region *r,
			  struct pinring_broadcast_producer *p)
{
	ASSERT_EQ(0, pinring_broadcast_producer_open(r, "ring", p));
}

TEST_F(death, a_dead_consumer_gates_until_somebody_repairs)
{
	if (self->lapping)
		return; /* nobody gates */
	open_producer(_metadata, self->r, &self->p);
	die_with(_metadata, self->r, 0);
	for (uint64_t i = 0; i < self->depth; i++) {
		ASSERT_EQ(0, push(&self->p, i));
		ASSERT_EQ(i, pop(&self->c));
	}
	EXPECT_EQ(-EAGAIN, push(&self->p, 99));
	EXPECT_EQ(NOTHING, pop(&self->c));
	EXPECT_EQ(-EAGAIN, push(&self->p, 99));
	EXPECT_EQ(2u, info_of(&self->c.side).consumers);
	EXPECT_EQ(1, pinring_broadcast_repair(&self->c.side));
	EXPECT_EQ(0, pinring_broadcast_repair(&self->c.side));
	EXPECT_EQ(1u, info_of(&self->c.side).consumers);
	EXPECT_EQ(0, push(&self->p, 99));
	EXPECT_EQ(99, pop(&self->c));
}

TEST_F(death, a_producer_that_is_refused_for_long_looks_for_the_dead)
{
	int refused = 0;

	if (self->lapping)
		return; /* it is not refused */
	open_producer(_metadata, self->r, &self->p);
	for (int round = 0; round < 3; round++) {
		/* More than one, and one that lives. */
		die_with(_metadata, self->r, 0);
		die_with(_metadata, self->r, 0);
		while (!push(&self->p, 5)) {
			ASSERT_EQ(5, pop(&self->c));
		}
		EXPECT_EQ(NOTHING, pop(&self->c));
		for (refused = 0; refused < 5000 && push(&self->p, 6); refused++)
			;
		EXPECT_GT(5000, refused);
		EXPECT_EQ(6, pop(&self->c));
	}
	EXPECT_EQ(1u, info_of(&self->c.side).consumers);
}

TEST_F(death, the_living_are_not_taken_for_dead)
{
	uint64_t n;

	if (self->lapping)
		return; /* nobody gates */
	open_producer(_metadata, self->r, &self->p);
	for (n = 0; !push(&self->p, n); n++)
		;
	for (int i = 0; i < 5000; i++) {
		ASSERT_EQ(-EAGAIN, push(&self->p, 99));
	}
	EXPECT_EQ(0, pinring_broadcast_repair(&self->c.side));
	for (uint64_t i = 0; i < n; i++) {
		ASSERT_EQ(i, pop(&self->c));
	}
}

TEST_F(death, slots_of_a_dead_producer_become_void)
{
	struct pinring_broadcast_producer *p = &self->p;

	for (uint64_t n = 1; n <= CAPACITY / 2; n++) {
		uint64_t before = self->header->voided, received;

		if (self->many) {
			open_producer(_metadata, self->r, p);
			/* Slots in a row are those to the end of the array. */
			while (info_of(&p->side).reserved % CAPACITY) {
				ASSERT_EQ(0, push(p, 0));
				ASSERT_EQ(0, pop(&self->c));
			}
			ASSERT_EQ(0, push(p, 1));
		}
		die_with(_metadata, self->r, n);
		/* One producer's place is taken by the next. */
		if (!self->many)
			open_producer(_metadata, self->r, p);
		received = pinring_broadcast_received(&self->c);
		ASSERT_EQ(0, push(p, 2));
		if (self->many) {
			EXPECT_EQ(1, pop(&self->c));
			/* The order holds: 2 does not pass what may still come. */
			EXPECT_EQ(NOTHING, pop(&self->c));
			EXPECT_EQ(1, pinring_broadcast_repair(&self->c.side));
			EXPECT_EQ(before + n, self->header->voided);
		}
		EXPECT_EQ(2, pop(&self->c));
		EXPECT_EQ(NOTHING, pop(&self->c));
		EXPECT_EQ(received + 1 + self->many,
			  pinring_broadcast_received(&self->c));
		EXPECT_EQ(0, self->c.missed);
		EXPECT_EQ(0, pinring_broadcast_repair(&self->c.side));
		pinring_broadcast_producer_close(p);
	}
}

TEST_F(death, what_the_living_hold_is_left_alone)
{
	void *slots;

	if (!self->many)
		return; /* the one that there is, is dead */
	open_producer(_metadata, self->r, &self->p);
	ASSERT_EQ(2, pinring_broadcast_reserve(&self->p, 2, &slots));
	die_with(_metadata, self->r, 2);
	EXPECT_EQ(1, pinring_broadcast_repair(&self->c.side));
	EXPECT_EQ(2, self->header->voided);
	EXPECT_EQ(NOTHING, pop(&self->c));
	for (uint64_t i = 0; i < 2; i++)
		write_item(&self->p.side,
			   pinring_broadcast_slot(&self->p.side, slots, i), i);
	pinring_broadcast_commit(&self->p, 2);
	ASSERT_EQ(0, push(&self->p, 2));
	for (uint64_t i = 0; i < 3; i++) {
		EXPECT_EQ(i, pop(&self->c));
	}
	EXPECT_EQ(NOTHING, pop(&self->c));
}

TEST_F(death, a_consumer_that_looks_for_long_finds_the_dead_producer)
{
	int looks;

	if (!self->many)
		return; /* what one had not published never was */
	die_with(_metadata, self->r, 3);
	open_producer(_metadata, self->r, &self->p);
	ASSERT_EQ(0, push(&self->p, 5));
	for (looks = 0; looks < 5000 && pop(&self->c) != 5; looks++)
		;
	EXPECT_GT(5000, looks);
}

TEST_F(death, waiting_repairs_by_itself)
{
	uint64_t item = 0;

	if (self->many)
		die_with(_metadata, self->r, 3);
	open_producer(_metadata, self->r, &self->p);
	ASSERT_EQ(0, push(&self->p, 5));
	EXPECT_EQ(0, pinring_broadcast_pop_wait(&self->c, &item, 10 * SECOND));
	EXPECT_EQ(5, item);
	die_with(_metadata, self->r, 0);
	for (uint64_t i = 0; i < 3 * CAPACITY; i++) {
		ASSERT_EQ(0, pinring_broadcast_push_wait(&self->p, &item,
							 10 * SECOND));
		ASSERT_EQ(5, pop(&self->c));
	}
}

TEST_F(death, nobody_waits_for_a_dead_producer_that_lapping_ones_come_to)
{
	uint64_t sent = 0, voided;

	if (!self->many || !self->lapping)
		return; /* nobody laps another producer */
	die_with(_metadata, self->r, 3);
	open_producer(_metadata, self->r, &self->p);
	for (; sent < 10 * CAPACITY; sent++) {
		ASSERT_EQ(0, push(&self->p, sent));
	}
	while (pop(&self->c) != NOTHING)
		;
	EXPECT_EQ(sent + self->header->voided + 3,
		  pinring_broadcast_received(&self->c) + self->c.missed +
			  self->c.skipped);
	EXPECT_EQ(1, pinring_broadcast_repair(&self->c.side));
	voided = self->header->voided;
	for (uint64_t i = 0; i < 3 * CAPACITY; i++) {
		ASSERT_EQ(0, push(&self->p, i));
		ASSERT_EQ(i, pop(&self->c));
	}
	EXPECT_EQ(voided, self->header->voided);
	EXPECT_EQ(info_of(&self->c.side).reserved,
		  sent + 3 * CAPACITY + voided);
}

TEST_F(death, parties_of_the_dead_are_used_again)
{
	for (int i = 0; i < 3 * PARTIES; i++)
		die_with(_metadata, self->r, i % 2);
	open_producer(_metadata, self->r, &self->p);
	pinring_broadcast_repair(&self->c.side);
	EXPECT_EQ(1u, info_of(&self->c.side).consumers);
	EXPECT_EQ(1u, info_of(&self->c.side).producers);
}

/* It has shown its cursor and not yet where it begins. */
TEST_F(death, one_that_dies_coming_gates_no_longer_than_others)
{
	struct pinring_broadcast_consumer other;
	pid_t pid;

	if (self->lapping)
		return; /* nobody gates */
	open_producer(_metadata, self->r, &self->p);
	ASSERT_EQ(0, pinring_broadcast_consumer_open(
			     self->r, "ring", PINRING_BROADCAST_AT_TAIL, &other));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		raise(SIGKILL);
	waitpid(pid, NULL, 0);
	for (uint64_t i = 0; i < 3 * self->depth; i++) {
		ASSERT_EQ(0, push(&self->p, i));
		ASSERT_EQ(i, pop(&self->c));
		ASSERT_EQ(i, pop(&other));
	}
	/* As if that process had come by: long behind, its cursor gates at once. */
	other.side.party->cursor = 0;
	other.side.party->owner ^= (uint64_t)(getpid() ^ pid) << 32;
	while (!push(&self->p, 1)) {
		ASSERT_EQ(1, pop(&self->c));
	}
	EXPECT_EQ(0, pinring_broadcast_free(&self->p));
	EXPECT_EQ(1, pinring_broadcast_repair(&self->p.side));
	EXPECT_EQ(0, push(&self->p, 1));
	other.side.owner = other.side.party->owner;
	pinring_broadcast_consumer_close(&other);
}

/* --------------------------------------------------------------- a campaign */
#define WORKERS 4
#define KILLS (SANITIZED ? 100u : 1500u)
#define RUN 4u
#define NAMES (KILLS + WORKERS + 1)
#define SENT_MAX 16384u

/*
 * Every producer process has a name, and notes what it begins and what it has
 * sent. One consumer lives through it all, and notes each message.
 */
struct record {
	uint32_t begun[NAMES], sent[NAMES];
	uint64_t received[NAMES][SENT_MAX / 64]; /* a bit each */
	uint32_t next[NAMES]; /* of the witness: the least number not seen */
	/* What the witness knows at the end. */
	uint64_t twice, torn, disorder, gaps, count, missed, skipped;
	uint64_t wrong; /* with the other consumers; atomic add */
	uint64_t sessions; /* atomic add */
	uint64_t stop, drained, ready;
};

static void produce(struct pinring_region *r, struct record *rec, uint32_t name)
{
	struct pinring_broadcast_producer p;
	struct dice dice = { name };
	unsigned int spins = 0;
	uint32_t i = 0;

	if (pinring_broadcast_producer_open(r, "ring", &p))
		_exit(1);
	while (!__atomic_load_n(&rec->stop, __ATOMIC_RELAXED)) {
		uint64_t want = 1 + roll(&dice, RUN);
		int64_t n = -EAGAIN;
		void *slots;

		if (i + want <= SENT_MAX)
			n = pinring_broadcast_reserve(&p, want, &slots);
		if (n < 1) {
			wait_a_little(&spins);
			continue;
		}
		if (!roll(&dice, 20)) {
			pinring_broadcast_abort(&p);
			continue;
		}
		__atomic_store_n(&rec->begun[name], i + (uint32_t)n,
				 __ATOMIC_RELAXED);
		for (int64_t k = 0; k < n; k++, i++)
			write_item(&p.side,
				   pinring_broadcast_slot(&p.side, slots,
							  (uint64_t)k),
				   (uint64_t)name << 32 | i);
		pinring_broadcast_commit(&p, (uint64_t)n);
		__atomic_store_n(&rec->sent[name], i, __ATOMIC_RELEASE);
	}
	pinring_broadcast_producer_close(&p);
	_exit(0);
}

/* One that may die: while it lives it sees no gap that it is not told of. */
static void consume(struct pinring_region *r, struct record *rec, uint64_t seed,
		    uint32_t flags)
{
	struct pinring_broadcast_consumer c;
	struct dice dice = { seed };
	unsigned int spins = 0;
	uint64_t last = 0, missed = 0;
	int rc;

	while ((rc = pinring_broadcast_consumer_open(
			r, "ring",
			roll(&dice, 2) ? PINRING_BROADCAST_AT_TAIL :
					 PINRING_BROADCAST_AT_OLDEST,
			&c)) == -EAGAIN)
		;
	if (rc)
		_exit(1);
	__atomic_add_fetch(&rec->sessions, 1, __ATOMIC_RELAXED);
	while (!__atomic_load_n(&rec->stop, __ATOMIC_RELAXED)) {
		uint64_t name = pop(&c);

		if (name == NOTHING) {
			wait_a_little(&spins);
			continue;
		}
		/* Of many, only a run of one name is easy to judge. */
		if (name == TORN ||
		    (last && last >> 32 == name >> 32 && missed == c.missed &&
		     (flags & MANY ? name <= last : name != last + 1)))
			__atomic_add_fetch(&rec->wrong, 1, __ATOMIC_RELAXED);
		last = name;
		missed = c.missed;
	}
	pinring_broadcast_consumer_close(&c);
	_exit(0);
}

static void note(struct record *rec, uint64_t item)
{
	uint32_t name = (uint32_t)(item >> 32), i = (uint32_t)item;
	uint64_t bit = 1ull << (i & 63);

	if (item == TORN || name >= NAMES || i >= SENT_MAX) {
		rec->torn++;
		return;
	}
	rec->twice += !!(rec->received[name][i / 64] & bit);
	rec->received[name][i / 64] |= bit;
	rec->disorder += i < rec->next[name];
	rec->gaps += i > rec->next[name];
	rec->next[name] = i + 1;
	rec->count++;
}

static void witness(struct pinring_region *r, struct record *rec)
{
	struct pinring_broadcast_consumer c;
	unsigned int spins = 0;

	if (pinring_broadcast_consumer_open(r, "ring",
					    PINRING_BROADCAST_AT_OLDEST, &c))
		_exit(1);
	__atomic_store_n(&rec->ready, 1, __ATOMIC_RELEASE);
	for (;;) {
		/* Before it looks: nothing comes after that. */
		bool last = __atomic_load_n(&rec->stop, __ATOMIC_ACQUIRE) == 2;
		uint64_t item = pop(&c);

		if (item != NOTHING) {
			note(rec, item);
		} else if (last && !pinring_broadcast_repair(&c.side)) {
			break;
		} else {
			wait_a_little(&spins);
		}
	}
	rec->missed = c.missed;
	rec->skipped = c.skipped;
	rec->drained = c.read;
	pinring_broadcast_consumer_close(&c);
	_exit(0);
}

/* Worker i: the even ones produce, under the next name there is. */
static bool produces(int i, uint32_t flags)
{
	return flags & MANY ? i % 2 == 0 : i == 0;
}

static pid_t start_worker(struct pinring_region *r, struct record *rec, int i,
			  uint32_t flags, uint32_t *names)
{
	uint32_t name = produces(i, flags) ? ++*names : 0;
	pid_t pid = fork();

	if (!pid && name)
		produce(r, rec, name);
	if (!pid)
		consume(r, rec, (uint64_t)getpid(), flags);
	return pid;
}

static void check_record(struct __test_metadata *_metadata,
			 const struct record *rec, uint32_t flags,
			 const struct pinring_broadcast_info *info,
			 uint32_t names)
{
	uint64_t sent = 0, missing = 0, invented = 0;

	for (uint32_t name = 1; name <= names; name++) {
		for (uint32_t i = 0; i < SENT_MAX; i++) {
			bool got = rec->received[name][i / 64] >> (i & 63) & 1;

			sent += i < rec->sent[name];
			missing += i < rec->sent[name] && !got;
			invented += i >= rec->begun[name] && got;
		}
	}
	EXPECT_EQ(0, rec->torn);
	EXPECT_EQ(0, rec->twice);
	EXPECT_EQ(0, rec->disorder);
	EXPECT_EQ(0, rec->wrong);
	EXPECT_EQ(0, invented);
	EXPECT_EQ(info->reserved, rec->drained);
	EXPECT_EQ(info->reserved, rec->count + rec->missed + rec->skipped);
	EXPECT_LE(missing, rec->missed);
	if (!(flags & LAPPING)) {
		EXPECT_EQ(0, missing);
		EXPECT_EQ(0, rec->missed);
		EXPECT_EQ(info->voided, rec->skipped);
		if (!(flags & MANY)) {
			EXPECT_EQ(0, rec->gaps);
		}
	}
	TH_LOG("%llu sent, %llu received, %llu missed, %llu void, by one of %llu consumers",
	       (unsigned long long)sent, (unsigned long long)rec->count,
	       (unsigned long long)rec->missed,
	       (unsigned long long)info->voided,
	       (unsigned long long)rec->sessions);
}

TEST_F_TIMEOUT(death, a_campaign_of_random_kills, 240)
{
	struct record *rec = mmap(NULL, sizeof(*rec), PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1,
				  0);
	struct pinring_broadcast_info info;
	struct dice dice = { 1 };
	uint32_t names = 0;
	pid_t pid[WORKERS], seer;
	unsigned int spins = 0;
	int status;

	ASSERT_NE(MAP_FAILED, rec);
	pinring_broadcast_consumer_close(&self->c);
	seer = fork();
	ASSERT_LE(0, seer);
	if (!seer)
		witness(self->r, rec);
	while (!__atomic_load_n(&rec->ready, __ATOMIC_ACQUIRE))
		wait_a_little(&spins);
	for (int i = 0; i < WORKERS; i++) {
		pid[i] = start_worker(self->r, rec, i, variant->flags, &names);
		ASSERT_LT(0, pid[i]);
	}
	for (uint32_t kills = 0; kills < KILLS; kills++) {
		struct timespec t = { .tv_nsec = (long)roll(&dice, 600000) };
		int victim = (int)roll(&dice, WORKERS);

		nanosleep(&t, NULL);
		ASSERT_EQ(0, kill(pid[victim], SIGKILL));
		ASSERT_EQ(pid[victim], waitpid(pid[victim], &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status)) {
			TH_LOG("it ended by itself: %d", status);
		}
		/* Nobody but those who work repairs. */
		pid[victim] = start_worker(self->r, rec, victim, variant->flags,
					   &names);
		ASSERT_LT(0, pid[victim]);
	}
	__atomic_store_n(&rec->stop, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < WORKERS; i++) {
		ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
		EXPECT_EQ(0, status);
	}
	__atomic_store_n(&rec->stop, 2, __ATOMIC_RELEASE);
	ASSERT_EQ(seer, waitpid(seer, &status, 0));
	EXPECT_EQ(0, status);
	ASSERT_EQ(0, pinring_broadcast_consumer_open(
			     self->r, "ring", PINRING_BROADCAST_AT_TAIL, &self->c));
	info = info_of(&self->c.side);
	EXPECT_EQ(0u, info.producers);
	EXPECT_EQ(1u, info.consumers);
	check_record(_metadata, rec, variant->flags, &info, names);
	LOG_KILLS(KILLS);
	munmap(rec, sizeof(*rec));
}

TEST_HARNESS_MAIN
