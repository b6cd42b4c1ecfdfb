// SPDX-License-Identifier: MIT
/*
 * Each policy on each kind of ring that can have it: what became of every single
 * message, and that the counts say the same; also where consumers are killed.
 */
#include <kselftest_harness.h>

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "items.h"
#include "kinds.h"

#define MS 1000000ll
#define SLOTS 64
#define LETTERS 256 /* at most so many go unread */
#define MESSAGES (1u << 16) /* that one test may send, at most */

/* What became of one, by what its sender and its receivers say. */
struct story {
	int8_t fate;
	uint8_t seen; /* by a consumer of the ring */
	uint8_t letters; /* by one of the dead-letter ring */
};

FIXTURE(kind)
{
	struct pinring_device *device;
	struct pinring_region *region;
	const struct kind *kind;
	struct pinring_bytes_producer dp; /* letters of any size */
	struct pinring_bytes_consumer dc;
	uint64_t item_bytes;
	union kind_producer p;
	union kind_consumer c;
	struct pinring_outlet *o;
	struct story *story;
	uint64_t sent;
};

FIXTURE_VARIANT(kind)
{
	size_t kind; /* of kinds[] */
	enum pinring_full full;
};

#define VARIANT(name, n, what)                                \
	FIXTURE_VARIANT_ADD(kind, name##_##what)              \
	{                                                     \
		.kind = n, .full = PINRING_FULL_##what        \
	}
#define VARIANTS(name, n)         \
	VARIANT(name, n, FAIL);   \
	VARIANT(name, n, WAIT);   \
	VARIANT(name, n, DROP);   \
	VARIANT(name, n, DIVERT)

VARIANTS(spsc, 0);
VARIANTS(bytes, 1);
VARIANTS(line, 2);
VARIANTS(chain, 3);
VARIANTS(mpmc, 4);
VARIANT(mpmc, 4, OVERWRITE);
VARIANTS(lanes, 5);
VARIANTS(priority, 6);
VARIANT(priority, 6, OVERWRITE);
VARIANTS(broadcast, 7);

FIXTURE_SETUP(kind)
{
	struct pinring_region_config size = PINRING_INIT(struct pinring_region_config);
	struct pinring_policy_config policy = PINRING_INIT(struct pinring_policy_config);
	struct pinring_sink sink, letters;

	self->kind = &kinds[variant->kind];
	size.size = 4 << 20;
	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &size, &self->region));
	ASSERT_EQ(0, self->kind->create(self->region, "ring", SLOTS));
	ASSERT_EQ(0, pinring_bytes_create(self->region, "letters", LETTERS * 64));
	policy.full = variant->full;
	policy.parties = 4;
	if (variant->full == PINRING_FULL_WAIT)
		policy.timeout_ns = 10 * MS;
	ASSERT_EQ(0, pinring_policy_create(self->region, "policy", &policy));
	ASSERT_EQ(0, pinring_bytes_producer_open(self->region, "letters", &self->dp));
	ASSERT_EQ(0, pinring_bytes_consumer_open(self->region, "letters", &self->dc));
	ASSERT_EQ(0, self->kind->producer_open(self->region, "ring", &self->p));
	ASSERT_EQ(0, self->kind->consumer_open(self->region, "ring", &self->c));
	sink = self->kind->sink(&self->p, &self->c);
	letters = pinring_bytes_sink(&self->dp);
	self->item_bytes = sink.any_size ? 8 : sink.item_bytes;
	ASSERT_EQ(0, pinring_outlet_open(self->region, "policy", &sink, &letters, &self->o))
		TH_LOG("%s", pinring_error());
	self->story = mmap(NULL, MESSAGES * sizeof(*self->story), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->story);
	self->sent = 0;
}

FIXTURE_TEARDOWN(kind)
{
	munmap(self->story, MESSAGES * sizeof(*self->story));
	pinring_outlet_close(self->o);
	self->kind->consumer_close(&self->c);
	self->kind->producer_close(&self->p);
	pinring_bytes_consumer_close(&self->dc);
	pinring_bytes_producer_close(&self->dp);
	pinring_region_close(self->region);
	pinring_device_close(self->device);
}

static void send_one(FIXTURE_DATA(kind) *self)
{
	struct kind_item item = { { self->sent } };

	self->story[self->sent++].fate =
		(int8_t)pinring_outlet_send_bytes(self->o, &item, self->item_bytes);
}

/* What is there for this consumer now. */
static uint64_t read_all(const struct kind *k, union kind_consumer *c, struct story *story)
{
	uint64_t n, v = 0;

	for (n = 0; !k->peek(c, &v); n++) {
		if (v < MESSAGES)
			__atomic_fetch_add(&story[v].seen, 1, __ATOMIC_RELAXED);
		k->release(c);
	}
	return n;
}

static void read_letters(FIXTURE_DATA(kind) *self)
{
	struct kind_item item = { { 0 } };
	uint64_t bytes = sizeof(item);

	while (!pinring_bytes_pop(&self->dc, &item, &bytes)) {
		if (item.word[0] < MESSAGES && bytes == self->item_bytes)
			self->story[item.word[0]].letters++;
		bytes = sizeof(item);
	}
}

/* What the senders were told, summed up. */
struct sum {
	uint64_t passed, dropped, diverted, refused, others;
	uint64_t unseen; /* that passed */
	uint64_t wrong; /* somewhere they should not be, or too often */
};

static struct sum sum_up(const struct story *story, uint64_t n, bool once)
{
	struct sum s = { 0 };

	for (uint64_t i = 0; i < n; i++) {
		const struct story *m = &story[i];
		const bool passed = m->fate == PINRING_PASSED;

		s.passed += passed;
		s.dropped += m->fate == PINRING_DROPPED;
		s.diverted += m->fate == PINRING_DIVERTED;
		s.refused += m->fate == -EAGAIN || m->fate == -ETIMEDOUT;
		s.unseen += passed && !m->seen;
		s.wrong += (!passed && m->seen) || (once && m->seen > 1) ||
			   m->letters != (m->fate == PINRING_DIVERTED);
	}
	s.others = n - s.passed - s.dropped - s.diverted - s.refused;
	return s;
}

static void check(struct __test_metadata *_metadata, FIXTURE_DATA(kind) *self,
		  enum pinring_full full, const struct sum *s, uint64_t lost)
{
	struct pinring_policy_info info = PINRING_INIT(struct pinring_policy_info);

	ASSERT_EQ(0, pinring_policy_info(self->region, "policy", &info));
	EXPECT_EQ(0u, s->wrong);
	EXPECT_EQ(0u, s->others);
	EXPECT_EQ(s->passed, info.passed);
	EXPECT_EQ(s->dropped, info.dropped);
	EXPECT_EQ(s->diverted, info.diverted);
	EXPECT_EQ(s->refused, info.refused);
	EXPECT_EQ(self->sent, info.passed + info.dropped + info.diverted + info.refused);
	EXPECT_LE(info.overwritten, s->unseen);
	EXPECT_LE(s->unseen, info.overwritten + lost);
	if (full != PINRING_FULL_DROP) {
		EXPECT_EQ(0u, info.dropped);
	}
	if (full != PINRING_FULL_DIVERT) {
		EXPECT_EQ(0u, info.diverted);
	}
	if (full != PINRING_FULL_OVERWRITE) {
		EXPECT_EQ(0u, info.overwritten);
	}
}

/* ---------------------------------------------------------------- one thread */
TEST_F(kind, what_a_full_ring_does_is_what_was_asked_for)
{
	const enum pinring_full full = variant->full;
	const int8_t told = full == PINRING_FULL_FAIL	   ? -EAGAIN :
			    full == PINRING_FULL_WAIT	   ? -ETIMEDOUT :
			    full == PINRING_FULL_DROP	   ? PINRING_DROPPED :
			    full == PINRING_FULL_OVERWRITE ? PINRING_PASSED :
							     PINRING_DIVERTED;
	struct sum s;

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < SLOTS; i++) {
			send_one(self);
			ASSERT_EQ(PINRING_PASSED, self->story[self->sent - 1].fate);
		}
		for (int i = 0; i < 5; i++) {
			send_one(self);
			ASSERT_EQ(told, self->story[self->sent - 1].fate);
		}
		EXPECT_EQ((uint64_t)SLOTS, read_all(self->kind, &self->c, self->story));
		self->kind->give_back(&self->c);
		read_letters(self);
	}
	s = sum_up(self->story, self->sent, true);
	EXPECT_EQ(full == PINRING_FULL_OVERWRITE ? 15u : 0u, s.unseen);
	check(_metadata, self, full, &s, 0);
}

/* ------------------------------------------------------------- between threads */
struct reader {
	const struct kind *kind;
	union kind_consumer c;
	struct story *story;
	bool stop;
};

static void *read_on(void *arg)
{
	struct reader *r = arg;
	unsigned int spins = 0;

	while (!__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE)) {
		if (!read_all(r->kind, &r->c, r->story))
			wait_a_little(&spins);
	}
	return NULL;
}

/*
 * The reader has a handle of its own. Where there is but one consumer, that of the
 * fixture makes way; a broadcast ring's has to, or it would gate.
 */
TEST_F(kind, between_threads_all_are_accounted_for)
{
	struct reader r = { .kind = self->kind, .story = self->story };
	pthread_t thread;
	struct sum s;

	if (variant->full != PINRING_FULL_OVERWRITE) {
		self->kind->consumer_close(&self->c);
	}
	ASSERT_EQ(0, self->kind->consumer_open(self->region, "ring", &r.c));
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_on, &r));
	while (self->sent < (SANITIZED ? 5000 : MESSAGES)) {
		send_one(self);
		if (self->sent % LETTERS == 0) {
			read_letters(self);
			sched_yield();
		}
	}
	__atomic_store_n(&r.stop, true, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	read_all(r.kind, &r.c, r.story);
	read_letters(self);
	self->kind->consumer_close(&r.c);
	if (variant->full != PINRING_FULL_OVERWRITE) {
		ASSERT_EQ(0, self->kind->consumer_open(self->region, "ring", &self->c));
	}
	s = sum_up(self->story, self->sent, true);
	check(_metadata, self, variant->full, &s, 0);
}

/* ------------------------------------------------------------ killed consumers */
static void consume_until_killed(FIXTURE_DATA(kind) *self, uint32_t *ready)
{
	union kind_consumer c;

	if (self->kind->consumer_open(self->region, "ring", &c))
		_exit(1);
	__atomic_store_n(ready, 1, __ATOMIC_RELEASE);
	for (;;) {
		if (!read_all(self->kind, &c, self->story))
			sched_yield();
	}
}

/*
 * What a dead consumer had in its hands comes again, or is lost, and at most one
 * each time: it reads them one by one. A broadcast ring's other consumers do not
 * even notice: the one of the fixture sees all.
 */
TEST_F(kind, killed_consumers_leave_the_counts_true)
{
	const uint64_t kills = SANITIZED ? 10 : 40;
	const bool everyone = self->kind == &kinds[7];
	const bool keep = everyone || variant->full == PINRING_FULL_OVERWRITE;
	const struct pinring_sink sink = self->kind->sink(&self->p, NULL);
	struct dice d = { (uint64_t)getpid() };
	struct story *own = self->story;
	struct sum s;
	uint32_t *ready;

	ready = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, ready);
	if (!keep) {
		self->kind->consumer_close(&self->c);
	}
	for (uint64_t i = 0; i < kills; i++) {
		uint64_t until = self->sent + roll(&d, 1000) + 1;
		unsigned int spins = 0;
		int status;
		pid_t pid;

		*ready = 0;
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			/* Of a broadcast ring it is one more, and not counted. */
			if (everyone)
				self->story = calloc(MESSAGES, sizeof(*self->story));
			consume_until_killed(self, ready);
		}
		while (!__atomic_load_n(ready, __ATOMIC_ACQUIRE) &&
		       !waitpid(pid, &status, WNOHANG)) {
			wait_a_little(&spins);
		}
		ASSERT_EQ(1u, *ready);
		while (self->sent < until) {
			send_one(self);
			if (self->sent % 16 == 0) {
				if (everyone)
					read_all(self->kind, &self->c, own);
				read_letters(self);
				sched_yield();
			}
		}
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));
		if (sink.room.mend) {
			sink.room.mend(sink.room.side);
		}
		/* Nobody reads now, but for an everyone that is left. */
		for (int n = 0; n < 20; n++) {
			send_one(self);
		}
		read_letters(self);
	}
	if (!keep) {
		ASSERT_EQ(0, self->kind->consumer_open(self->region, "ring", &self->c));
	}
	read_all(self->kind, &self->c, own);
	read_letters(self);
	s = sum_up(own, self->sent, self->kind->many || everyone);
	check(_metadata, self, variant->full, &s, self->kind->many ? kills : 0);
	munmap(ready, 4096);
}

TEST_HARNESS_MAIN
