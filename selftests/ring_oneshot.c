// SPDX-License-Identifier: MIT
/*
 * Replies: each request gets one answer, its own, or is told that there is none;
 * and every one is accounted for. What death does to it is in
 * ring_oneshot_death.c.
 */
#include <kselftest_harness.h>

#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <pinring/pinring.h>

#include "items.h"

#define SLOTS 4
#define BYTES 64
#define PARTIES 4
#define GENERATIONS (1ull << 40)

FIXTURE(pool)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_oneshot_header *header;
	struct pinring_oneshot a, b; /* a asks, b answers */
};

FIXTURE_VARIANT(pool)
{
	uint64_t generation; /* of all slots, at first */
};

FIXTURE_VARIANT_ADD(pool, young) { 0 };
FIXTURE_VARIANT_ADD(pool, near_the_wrap) { GENERATIONS - 2 };

typedef FIXTURE_DATA(pool) pool;

static struct pinring_oneshot_slot *slot_of(pool *self, uint64_t index)
{
	return (void *)((unsigned char *)self->header + self->header->slots_offset +
			index % SLOTS * self->header->stride);
}

FIXTURE_SETUP(pool)
{
	struct pinring_region_config config = pinring_region_defaults(1 << 17);
	struct pinring_object_info o;

	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->r));
	ASSERT_EQ(0, pinring_oneshot_create(self->r, "pool", SLOTS, BYTES, PARTIES));
	ASSERT_EQ(0, pinring_object_find(self->r, "pool", &o));
	self->header = pinring_region_at(self->r, o.offset, o.length);
	for (uint64_t i = 0; i < SLOTS; i++)
		slot_of(self, i)->state = variant->generation
					  << PINRING_ONESHOT_GENERATION_SHIFT;
	ASSERT_EQ(0, pinring_oneshot_open(self->r, "pool", &self->a));
	ASSERT_EQ(0, pinring_oneshot_open(self->r, "pool", &self->b));
}

FIXTURE_TEARDOWN(pool)
{
	pinring_oneshot_close(&self->a);
	pinring_oneshot_close(&self->b);
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

static struct pinring_oneshot_info info_of(const struct pinring_oneshot *o)
{
	struct pinring_oneshot_info info = PINRING_INIT(struct pinring_oneshot_info);

	pinring_oneshot_info(o, &info);
	return info;
}

static uint64_t accounted(const struct pinring_oneshot_info *i)
{
	return i->answered + i->dropped + i->cancelled + i->broken + i->in_use;
}

/* The counts as they have to be, and nothing else. */
#define EXPECT_COUNTS(taken_, answered_, dropped_, cancelled_, broken_) do { \
	struct pinring_oneshot_info info_ = info_of(&self->a); \
	EXPECT_EQ((taken_), info_.taken); \
	EXPECT_EQ((answered_), info_.answered); \
	EXPECT_EQ((dropped_), info_.dropped); \
	EXPECT_EQ((cancelled_), info_.cancelled); \
	EXPECT_EQ((broken_), info_.broken); \
	EXPECT_EQ(info_.taken, accounted(&info_)); \
} while (0)

static int see(pool *self, uint64_t ticket, uint64_t name)
{
	const void *answer = NULL;
	uint64_t bytes = 0;
	int rc = pinring_oneshot_peek(&self->a, ticket, &answer, &bytes);

	if (rc)
		return rc;
	return bytes == BYTES && *(const uint64_t *)answer == name &&
	       item_is_whole(answer, BYTES) ? 0 : -EBADMSG;
}

static int answer(struct pinring_oneshot *o, uint64_t ticket, uint64_t name)
{
	uint64_t item[BYTES / 8];

	item_fill(item, BYTES, name);
	return pinring_oneshot_push(o, ticket, item, BYTES);
}

TEST_F(pool, an_answer_arrives_where_it_was_written)
{
	const void *got = NULL;
	uint64_t ticket, bytes;
	void *to = NULL;

	for (uint64_t i = 0; i < 5 * SLOTS; i++) {
		ASSERT_EQ(0, pinring_oneshot_take(&self->a, &ticket));
		EXPECT_NE(0, ticket);
		EXPECT_EQ(-EAGAIN, see(self, ticket, i));
		EXPECT_EQ(-EBUSY, pinring_oneshot_release(&self->a, ticket));
		ASSERT_EQ(0, pinring_oneshot_reserve(&self->b, ticket, &to));
		EXPECT_EQ(-EAGAIN, see(self, ticket, i));
		EXPECT_EQ(-EBUSY, pinring_oneshot_release(&self->a, ticket));
		item_fill(to, BYTES, i);
		EXPECT_EQ(0, pinring_oneshot_commit(&self->b, ticket, i % (BYTES + 1)));
		EXPECT_EQ(0, pinring_oneshot_peek(&self->a, ticket, &got, &bytes));
		EXPECT_EQ(to, (void *)(uintptr_t)got);
		EXPECT_EQ(i, bytes);
		EXPECT_EQ(0, pinring_oneshot_release(&self->a, ticket));
	}
	EXPECT_COUNTS(5 * SLOTS, 5 * SLOTS, 0, 0, 0);
	EXPECT_EQ(0, info_of(&self->a).late);
}

TEST_F(pool, there_is_one_answer_to_a_ticket)
{
	uint64_t ticket, next;
	void *to = NULL;

	ASSERT_EQ(0, pinring_oneshot_take(&self->a, &ticket));
	ASSERT_EQ(0, pinring_oneshot_reserve(&self->b, ticket, &to));
	EXPECT_EQ(-EALREADY, answer(&self->a, ticket, 1));
	EXPECT_EQ(-ESTALE, pinring_oneshot_commit(&self->a, ticket, 0)); /* not its */
	EXPECT_EQ(-ESTALE, pinring_oneshot_commit(&self->b, ticket + SLOTS, 0));
	EXPECT_EQ(-ESTALE, answer(&self->b, ticket + SLOTS, 1)); /* no such slot */
	item_fill(to, BYTES, 2);
	EXPECT_EQ(0, pinring_oneshot_commit(&self->b, ticket, BYTES));
	EXPECT_EQ(-ESTALE, pinring_oneshot_commit(&self->b, ticket, 0));
	EXPECT_EQ(-ESTALE, pinring_oneshot_abort(&self->b, ticket));
	EXPECT_EQ(-EALREADY, answer(&self->b, ticket, 3));
	EXPECT_EQ(0, see(self, ticket, 2));
	EXPECT_EQ(0, pinring_oneshot_release(&self->a, ticket));
	EXPECT_EQ(-ESTALE, pinring_oneshot_release(&self->a, ticket));
	EXPECT_EQ(-ESTALE, pinring_oneshot_cancel(&self->a, ticket));
	EXPECT_EQ(-ESTALE, see(self, ticket, 2));
	EXPECT_EQ(-ESTALE, answer(&self->b, ticket, 4));
	/* Nor to the next one, which has the same slot. */
	ASSERT_EQ(0, pinring_oneshot_take(&self->a, &next));
	ASSERT_EQ(ticket % SLOTS, next % SLOTS);
	EXPECT_NE(ticket, next);
	EXPECT_EQ(-ESTALE, answer(&self->b, ticket, 5));
	EXPECT_EQ(-EAGAIN, see(self, next, 5));
	EXPECT_EQ(0, answer(&self->b, next, 6));
	EXPECT_EQ(0, see(self, next, 6));
	EXPECT_EQ(3, info_of(&self->a).late);
}

TEST_F(pool, cancelled_before_anybody_began_is_free_at_once)
{
	uint64_t ticket, other;

	for (uint64_t i = 0; i < 3 * SLOTS; i++) {
		ASSERT_EQ(0, pinring_oneshot_take(&self->a, &ticket));
		ASSERT_EQ(0, pinring_oneshot_cancel(&self->a, ticket));
		EXPECT_EQ(-ESTALE, answer(&self->b, ticket, i));
		ASSERT_EQ(0, pinring_oneshot_take(&self->a, &other));
		ASSERT_EQ(ticket % SLOTS, other % SLOTS);
		ASSERT_EQ(0, pinring_oneshot_cancel(&self->a, other));
	}
	EXPECT_COUNTS(6 * SLOTS, 0, 0, 6 * SLOTS, 0);
	EXPECT_EQ(3 * SLOTS, info_of(&self->a).late);
}

/* What is written late must not land in another's reply. */
TEST_F(pool, cancelled_while_it_is_written_is_not_used_until_that_ends)
{
	uint64_t ticket, other[SLOTS];
	void *to = NULL;

	for (int aborts = 0; aborts < 2; aborts++) {
		ASSERT_EQ(0, pinring_oneshot_take(&self->a, &ticket));
		ASSERT_EQ(0, pinring_oneshot_reserve(&self->b, ticket, &to));
		EXPECT_EQ(0, pinring_oneshot_cancel(&self->a, ticket));
		EXPECT_EQ(-ESTALE, pinring_oneshot_cancel(&self->a, ticket));
		EXPECT_EQ(-ESTALE, see(self, ticket, 0));
		EXPECT_EQ(-ESTALE, answer(&self->a, ticket, 0));
		for (int i = 0; i < SLOTS - 1; i++) {
			ASSERT_EQ(0, pinring_oneshot_take(&self->a, &other[i]));
			ASSERT_NE(ticket % SLOTS, other[i] % SLOTS);
		}
		EXPECT_EQ(-EAGAIN, pinring_oneshot_take(&self->a, &other[3]));
		item_fill(to, BYTES, 9);
		EXPECT_EQ(-ESTALE, aborts ? pinring_oneshot_abort(&self->b, ticket) :
					    pinring_oneshot_commit(&self->b, ticket, 8));
		EXPECT_EQ(0, pinring_oneshot_take(&self->a, &other[3]));
		for (int i = 0; i < SLOTS; i++) {
			ASSERT_EQ(0, pinring_oneshot_cancel(&self->a, other[i]));
		}
	}
	EXPECT_COUNTS(2 * (SLOTS + 1), 0, 2, 2 * SLOTS, 0);
}

TEST_F(pool, an_answer_nobody_reads_is_dropped)
{
	uint64_t ticket;

	ASSERT_EQ(0, pinring_oneshot_take(&self->a, &ticket));
	EXPECT_EQ(0, answer(&self->b, ticket, 1));
	EXPECT_EQ(0, pinring_oneshot_cancel(&self->a, ticket));
	EXPECT_COUNTS(1, 0, 1, 0, 0);
}

TEST_F(pool, what_is_aborted_may_be_answered_by_another)
{
	uint64_t ticket;
	void *to = NULL;

	ASSERT_EQ(0, pinring_oneshot_take(&self->a, &ticket));
	ASSERT_EQ(0, pinring_oneshot_reserve(&self->b, ticket, &to));
	EXPECT_EQ(0, pinring_oneshot_abort(&self->b, ticket));
	EXPECT_EQ(-ESTALE, pinring_oneshot_abort(&self->b, ticket));
	EXPECT_EQ(-EAGAIN, see(self, ticket, 0));
	EXPECT_EQ(0, answer(&self->a, ticket, 7));
	EXPECT_EQ(0, see(self, ticket, 7));
	EXPECT_EQ(0, pinring_oneshot_release(&self->a, ticket));
	EXPECT_COUNTS(1, 1, 0, 0, 0);
}

TEST_F(pool, has_as_many_replies_as_slots)
{
	uint64_t ticket[SLOTS], more;

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < SLOTS; i++) {
			ASSERT_EQ(0, pinring_oneshot_take(&self->a, &ticket[i]));
			for (int j = 0; j < i; j++) {
				ASSERT_NE(ticket[j] % SLOTS, ticket[i] % SLOTS);
			}
		}
		EXPECT_EQ(-EAGAIN, pinring_oneshot_take(&self->b, &more));
		EXPECT_EQ(-ETIMEDOUT, pinring_oneshot_take_wait(&self->b, &more, 0));
		EXPECT_EQ(-ETIMEDOUT, pinring_oneshot_take_wait(&self->b, &more, 3000000));
		EXPECT_EQ(SLOTS, info_of(&self->a).in_use);
		ASSERT_EQ(0, pinring_oneshot_cancel(&self->a, ticket[round]));
		ASSERT_EQ(0, pinring_oneshot_take_wait(&self->b, &ticket[round], 0));
		/* A ticket is its taker's. */
		EXPECT_EQ(-ESTALE, pinring_oneshot_cancel(&self->a, ticket[round]));
		EXPECT_EQ(-ESTALE, see(self, ticket[round], 0));
		ASSERT_EQ(0, pinring_oneshot_cancel(&self->b, ticket[round]));
		for (int i = 0; i < SLOTS; i++) {
			EXPECT_EQ(i == round ? -ESTALE : 0,
				  pinring_oneshot_cancel(&self->a, ticket[i]));
		}
	}
}

TEST_F(pool, an_answer_too_long_is_refused_and_may_be_shortened)
{
	unsigned char large[BYTES + 1] = { 0 };
	const void *got = NULL;
	uint64_t ticket, bytes = 9;
	void *to = NULL;

	ASSERT_EQ(0, pinring_oneshot_take(&self->a, &ticket));
	EXPECT_EQ(-EMSGSIZE, pinring_oneshot_push(&self->b, ticket, large, BYTES + 1));
	ASSERT_EQ(0, pinring_oneshot_reserve(&self->b, ticket, &to));
	EXPECT_EQ(-EMSGSIZE, pinring_oneshot_commit(&self->b, ticket, BYTES + 1));
	EXPECT_EQ(-EMSGSIZE, pinring_oneshot_commit(&self->b, ticket, 1ull << 32));
	EXPECT_EQ(0, pinring_oneshot_commit(&self->b, ticket, 0));
	EXPECT_EQ(0, pinring_oneshot_peek(&self->a, ticket, &got, &bytes));
	EXPECT_EQ(0, bytes);
}

TEST_F(pool, shutting_ends_what_nobody_has_begun)
{
	uint64_t idle, begun, more;
	const void *got;
	uint64_t bytes;
	void *to = NULL;

	ASSERT_EQ(0, pinring_oneshot_take(&self->a, &idle));
	ASSERT_EQ(0, pinring_oneshot_take(&self->a, &begun));
	ASSERT_EQ(0, pinring_oneshot_reserve(&self->b, begun, &to));
	pinring_oneshot_shut(&self->b);
	EXPECT_EQ(-EPIPE, pinring_oneshot_take(&self->a, &more));
	EXPECT_EQ(-EPIPE, pinring_oneshot_take_wait(&self->a, &more, PINRING_FOREVER));
	EXPECT_EQ(-EPIPE, answer(&self->b, idle, 1));
	EXPECT_EQ(-EPIPE, pinring_oneshot_peek_wait(&self->a, idle, &got, &bytes,
					       PINRING_FOREVER));
	EXPECT_EQ(0, pinring_oneshot_cancel(&self->a, idle));
	EXPECT_EQ(-EAGAIN, see(self, begun, 2));
	item_fill(to, BYTES, 2);
	EXPECT_EQ(0, pinring_oneshot_commit(&self->b, begun, BYTES));
	EXPECT_EQ(0, see(self, begun, 2));
	EXPECT_EQ(0, pinring_oneshot_release(&self->a, begun));
	EXPECT_COUNTS(2, 1, 0, 1, 0);
	EXPECT_EQ(1, info_of(&self->a).closed);
}

TEST_F(pool, closing_ends_what_the_handle_has)
{
	uint64_t ticket[SLOTS], mine;
	struct pinring_oneshot c;
	const void *got;
	uint64_t bytes;
	void *to = NULL;

	ASSERT_EQ(0, pinring_oneshot_open(self->r, "pool", &c));
	for (int i = 0; i < SLOTS - 1; i++) {
		ASSERT_EQ(0, pinring_oneshot_take(&c, &ticket[i]));
	}
	ASSERT_EQ(0, pinring_oneshot_take(&self->a, &mine));
	ASSERT_EQ(0, pinring_oneshot_reserve(&self->b, ticket[1], &to));
	ASSERT_EQ(0, answer(&self->b, ticket[2], 1));
	ASSERT_EQ(0, pinring_oneshot_reserve(&c, mine, &to));
	pinring_oneshot_close(&c);
	pinring_oneshot_close(&c); /* nothing more */
	EXPECT_EQ(-EOWNERDEAD, pinring_oneshot_peek_wait(&self->a, mine, &got, &bytes, 0));
	EXPECT_EQ(-EALREADY, answer(&self->b, mine, 1));
	EXPECT_EQ(0, pinring_oneshot_release(&self->a, mine));
	EXPECT_EQ(-ESTALE, pinring_oneshot_commit(&self->b, ticket[1], 8));
	EXPECT_COUNTS(4, 0, 2, 1, 1);
	EXPECT_EQ(2, info_of(&self->a).parties);
}

TEST_F(pool, answering_oneself_and_closing_ends_it)
{
	struct pinring_oneshot c;
	uint64_t ticket;
	void *to = NULL;

	ASSERT_EQ(0, pinring_oneshot_open(self->r, "pool", &c));
	ASSERT_EQ(0, pinring_oneshot_take(&c, &ticket));
	ASSERT_EQ(0, pinring_oneshot_reserve(&c, ticket, &to));
	pinring_oneshot_close(&c);
	EXPECT_COUNTS(1, 0, 1, 0, 0);
}

TEST_F(pool, no_ticket_is_0_and_none_comes_twice)
{
	uint64_t seen[8 * SLOTS];

	for (uint64_t i = 0; i < 8 * SLOTS; i++) {
		ASSERT_EQ(0, pinring_oneshot_take(&self->a, &seen[i]));
		ASSERT_NE(0, seen[i] >> 24);
		for (uint64_t j = 0; j < i; j++) {
			ASSERT_NE(seen[j], seen[i]);
			ASSERT_EQ(-ESTALE, answer(&self->b, seen[j], 1));
		}
		ASSERT_EQ(0, answer(&self->b, seen[i], i));
		ASSERT_EQ(0, see(self, seen[i], i));
		ASSERT_EQ(0, pinring_oneshot_release(&self->a, seen[i]));
	}
	EXPECT_EQ(-ESTALE, answer(&self->b, 0, 1));
	EXPECT_EQ(-ESTALE, answer(&self->b, UINT64_MAX, 1));
	EXPECT_EQ(-ESTALE, pinring_oneshot_commit(&self->b, UINT64_MAX, 1));
}

TEST_F(pool, every_change_wakes)
{
	struct pinring_sleepers *s = &self->header->sleepers;
	uint64_t ticket;
	__u32 *ready;

	ASSERT_EQ(0, pinring_oneshot_take(&self->a, &ticket));
	ready = &slot_of(self, ticket)->ready;
	s->room = *ready = 1;
	EXPECT_EQ(0, answer(&self->b, ticket, 1));
	EXPECT_EQ(2, *ready);
	EXPECT_EQ(1, s->room);
	EXPECT_EQ(0, pinring_oneshot_release(&self->a, ticket));
	EXPECT_EQ(2, s->room);
	s->room = *ready = 1;
	pinring_oneshot_shut(&self->a);
	EXPECT_EQ(2, *ready);
	EXPECT_EQ(2, s->room);
}

/* ------------------------------------------------------------------- crowds */
#define SIDES_MAX 8
#define CROWD_SLOTS 16
#define REQUESTS (SANITIZED ? 32000u : 1000000u) /* of all crowds together */

/* What goes through the ring of requests. */
struct request {
	uint64_t ticket, name;
};

struct crowd {
	struct pinring_region *r;
	uint64_t askers, repliers, each;
	uint64_t failed[2 * SIDES_MAX];
	uint64_t read, cancelled; /* by askers; atomic add */
};

/* Whether to lose patience is in the name; so a replier can be slow in time. */
static bool is_impatient(uint64_t name)
{
	return item_mix(name) % 8 == 0;
}

static uint64_t ask(struct crowd *w, uint64_t me)
{
	struct pinring_mpmc_producer p;
	struct pinring_oneshot o;
	unsigned int spins = 0;

	if (pinring_oneshot_open(w->r, "crowd", &o) ||
	    pinring_mpmc_producer_open(w->r, "requests", &p))
		return __LINE__;
	for (uint64_t i = 0; i < w->each; i++) {
		struct request q = { .name = me << 32 | i };
		const void *got = NULL;
		uint64_t bytes = 0;
		int rc;

		if (pinring_oneshot_take_wait(&o, &q.ticket, PINRING_FOREVER) ||
		    pinring_mpmc_push_wait(&p, &q, PINRING_FOREVER))
			return __LINE__;
		if (is_impatient(q.name)) {
			for (uint64_t k = item_mix(q.name) >> 8 & 7; k; k--)
				wait_a_little(&spins);
			if (pinring_oneshot_cancel(&o, q.ticket))
				return __LINE__;
			__atomic_add_fetch(&w->cancelled, 1, __ATOMIC_RELAXED);
			continue;
		}
		rc = pinring_oneshot_peek_wait(&o, q.ticket, &got, &bytes, PINRING_FOREVER);
		if (rc || bytes != 48 || *(const uint64_t *)got != ~q.name ||
		    !item_is_whole(got, 48))
			return __LINE__;
		if (pinring_oneshot_release(&o, q.ticket))
			return __LINE__;
		__atomic_add_fetch(&w->read, 1, __ATOMIC_RELAXED);
	}
	pinring_mpmc_producer_close(&p);
	pinring_oneshot_close(&o);
	return 0;
}

static uint64_t reply(struct crowd *w, uint64_t me)
{
	struct pinring_mpmc_consumer c;
	struct dice dice = { me + 1 };
	struct pinring_oneshot o;
	struct request q, last = { 0 };
	int rc;

	if (pinring_oneshot_open(w->r, "crowd", &o) ||
	    pinring_mpmc_consumer_open(w->r, "requests", &c))
		return __LINE__;
	while (!(rc = pinring_mpmc_pop_wait(&c, &q, PINRING_FOREVER))) {
		unsigned int spins = 0;
		void *to = NULL;

		/* Twice, or to somebody long gone: harms nobody. */
		if (!roll(&dice, 4)) {
			uint64_t wrong[6] = { 0 };

			rc = pinring_oneshot_push(&o, last.ticket, wrong, 48);
			if (rc != -ESTALE && rc != -EALREADY)
				return __LINE__;
		}
		last = q;
		rc = pinring_oneshot_reserve(&o, q.ticket, &to);
		if (rc == -ESTALE && is_impatient(q.name))
			continue;
		if (rc)
			return __LINE__;
		if (!roll(&dice, 8)) {
			if (pinring_oneshot_abort(&o, q.ticket) == -ESTALE &&
			    is_impatient(q.name))
				continue;
			rc = pinring_oneshot_reserve(&o, q.ticket, &to);
			if (rc == -ESTALE && is_impatient(q.name))
				continue;
			if (rc)
				return __LINE__;
		}
		item_fill(to, 48, ~q.name);
		for (uint64_t k = roll(&dice, 4); k; k--)
			wait_a_little(&spins);
		rc = pinring_oneshot_commit(&o, q.ticket, 48);
		if (rc && (rc != -ESTALE || !is_impatient(q.name)))
			return __LINE__;
	}
	pinring_mpmc_consumer_close(&c);
	pinring_oneshot_close(&o);
	return rc == -EPIPE ? 0 : __LINE__;
}

struct member {
	struct crowd *w;
	uint64_t me;
};

static void *member_main(void *arg)
{
	struct member *m = arg;

	m->w->failed[m->me] = m->me < m->w->askers ?
				      ask(m->w, m->me) :
				      reply(m->w, m->me - m->w->askers);
	return NULL;
}

static void run_threads(struct __test_metadata *_metadata, struct crowd *w)
{
	struct member member[2 * SIDES_MAX];
	pthread_t thread[2 * SIDES_MAX];
	struct pinring_mpmc_consumer any;

	ASSERT_EQ(0, pinring_mpmc_consumer_open(w->r, "requests", &any));
	for (uint64_t i = 0; i < w->askers + w->repliers; i++) {
		member[i] = (struct member){ w, i };
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, member_main, &member[i]));
	}
	for (uint64_t i = 0; i < w->askers + w->repliers; i++) {
		pthread_join(thread[i], NULL);
		if (i + 1 == w->askers)
			pinring_mpmc_close(&any.side);
	}
	pinring_mpmc_consumer_close(&any);
}

static void run_processes(struct __test_metadata *_metadata, struct crowd *w)
{
	struct pinring_mpmc_consumer any;
	pid_t pid[2 * SIDES_MAX];
	int status;

	ASSERT_EQ(0, pinring_mpmc_consumer_open(w->r, "requests", &any));
	for (uint64_t i = 0; i < w->askers + w->repliers; i++) {
		pid[i] = fork();
		ASSERT_LE(0, pid[i]);
		if (!pid[i]) {
			struct member m = { w, i };

			member_main(&m);
			_exit(0);
		}
	}
	for (uint64_t i = 0; i < w->askers + w->repliers; i++) {
		ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
		EXPECT_EQ(0, status);
		if (i + 1 == w->askers)
			pinring_mpmc_close(&any.side);
	}
	pinring_mpmc_consumer_close(&any);
}

static const uint64_t sides[] = { 1, 2, 4, 8 };

static void all_crowds(struct __test_metadata *_metadata, struct pinring_device *device,
		       void (*run)(struct __test_metadata *_metadata, struct crowd *w))
{
	struct crowd *w = mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, w);
	for (int k = 0; k < 16; k++) {
		struct pinring_region_config config = pinring_region_defaults(1 << 17);
		struct pinring_oneshot_info info;
		struct pinring_oneshot o;

		memset(w, 0, sizeof(*w));
		ASSERT_EQ(0, pinring_region_create(device, &config, &w->r));
		ASSERT_EQ(0, pinring_oneshot_create(w->r, "crowd", CROWD_SLOTS, 48, 32));
		ASSERT_EQ(0, pinring_mpmc_create(w->r, "requests", 8,
						 sizeof(struct request), 40));
		w->askers = sides[k / 4];
		w->repliers = sides[k % 4];
		w->each = REQUESTS / 16 / w->askers;
		run(_metadata, w);
		for (uint64_t i = 0; i < w->askers + w->repliers; i++) {
			EXPECT_EQ(0, w->failed[i]) TH_LOG("line, of crowd %d", k);
		}
		ASSERT_EQ(0, pinring_oneshot_open(w->r, "crowd", &o));
		info = info_of(&o);
		EXPECT_EQ(w->askers * w->each, info.taken);
		EXPECT_EQ(w->read, info.answered);
		EXPECT_EQ(w->cancelled, info.cancelled + info.dropped);
		EXPECT_EQ(0, info.broken);
		EXPECT_EQ(0, info.in_use);
		EXPECT_EQ(info.taken, accounted(&info));
		EXPECT_EQ(1, info.parties);
		pinring_oneshot_close(&o);
		pinring_region_close(w->r);
	}
	munmap(w, sizeof(*w));
}

FIXTURE(crowd)
{
	struct pinring_device *device;
};

FIXTURE_SETUP(crowd)
{
	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
}

FIXTURE_TEARDOWN(crowd)
{
	pinring_device_close(self->device);
}

TEST_F_TIMEOUT(crowd, of_threads, 120)
{
	all_crowds(_metadata, self->device, run_threads);
}

TEST_F_TIMEOUT(crowd, of_processes, 120)
{
	all_crowds(_metadata, self->device, run_processes);
}

/* ------------------------------------------------------- the wrong arguments */
TEST(shapes_that_make_no_sense_are_refused)
{
	static const struct {
		uint64_t slots, slot_bytes;
		uint32_t parties;
	} bad[] = {
		{ 0, 8, 4 }, { 3, 8, 4 }, { 1 << 25, 8, 4 }, { 64, 0, 4 },
		{ 64, 12, 4 }, { 64, (1 << 20) + 8, 4 }, { 64, 8, 0 },
		{ 64, 8, 257 }, { UINT64_MAX, 8, 4 }, { 64, UINT64_MAX - 7, 4 },
	};
	struct pinring_region_config config = pinring_region_defaults(65536);
	struct pinring_device *device;
	struct pinring_oneshot o, p;
	struct pinring_region *r;

	ASSERT_EQ(0, pinring_device_open(NULL, &device));
	ASSERT_EQ(0, pinring_region_create(device, &config, &r));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, pinring_oneshot_create(r, "q", bad[i].slots,
							  bad[i].slot_bytes,
							  bad[i].parties));
		EXPECT_NE(NULL, strstr(pinring_error(), "power of two"));
	}
	EXPECT_EQ(-ENOENT, pinring_oneshot_open(r, "q", &o));
	ASSERT_EQ(0, pinring_spsc_create(r, "q", 8, 8));
	EXPECT_EQ(-EINVAL, pinring_oneshot_open(r, "q", &o));
	EXPECT_EQ(-ENOSPC, pinring_oneshot_create(r, "large", 1 << 24, 8, 4));
	ASSERT_EQ(0, pinring_oneshot_create(r, "one", 1, 8, 1));
	ASSERT_EQ(0, pinring_oneshot_open(r, "one", &o));
	EXPECT_EQ(-EUSERS, pinring_oneshot_open(r, "one", &p));
	EXPECT_NE(NULL, strstr(pinring_error(), "1 parties"));
	pinring_oneshot_close(&o);
	ASSERT_EQ(0, pinring_oneshot_open(r, "one", &o));
	pinring_oneshot_close(&o);
	pinring_region_close(r);
	pinring_device_close(device);
}

TEST_F(pool, a_damaged_header_is_refused)
{
	unsigned char *byte = (unsigned char *)self->header;
	struct pinring_oneshot o;

	for (size_t i = 0; i < 128; i++) {
		byte[i] ^= 0x41;
		EXPECT_GT(0, pinring_oneshot_open(self->r, "pool", &o))
			TH_LOG("byte %zu", i);
		byte[i] ^= 0x41;
	}
	memset(&self->header->seal, 0, 8);
	EXPECT_EQ(-EAGAIN, pinring_oneshot_open(self->r, "pool", &o));
}

TEST_F(pool, a_length_or_state_that_is_impossible_is_eproto)
{
	struct pinring_oneshot_slot *slot;
	uint64_t ticket;

	ASSERT_EQ(0, pinring_oneshot_take(&self->a, &ticket));
	slot = slot_of(self, ticket);
	ASSERT_EQ(0, answer(&self->b, ticket, 1));
	slot->length = BYTES + 1;
	EXPECT_EQ(-EPROTO, see(self, ticket, 1));
	slot->length = UINT32_MAX;
	EXPECT_EQ(-EPROTO, see(self, ticket, 1));
	slot->length = BYTES;
	EXPECT_EQ(0, see(self, ticket, 1));
	slot->state |= 0xf;
	EXPECT_EQ(-EPROTO, see(self, ticket, 1));
	EXPECT_EQ(-EPROTO, answer(&self->b, ticket, 1));
	EXPECT_EQ(-EPROTO, pinring_oneshot_commit(&self->b, ticket, 1));
	EXPECT_EQ(-EPROTO, pinring_oneshot_release(&self->a, ticket));
	EXPECT_EQ(-EPROTO, pinring_oneshot_cancel(&self->a, ticket));
}

/* Words no honest peer stores, wild tickets: errors, but nothing out of bounds. */
TEST_F(pool, wild_words_are_survived)
{
	const unsigned char *first = (void *)slot_of(self, 0);
	const unsigned char *last = (void *)slot_of(self, SLOTS - 1);
	uint64_t ticket = 0, ticks[4] = { 0 }, bytes, done = 0;
	struct dice dice = { 7 };

	for (int i = 0; i < 300000; i++) {
		uint64_t wild = item_mix(roll(&dice, 1ull << 32)) >> roll(&dice, 64);
		struct pinring_oneshot_slot *slot = slot_of(self, roll(&dice, SLOTS));
		uint64_t t = roll(&dice, 8) ? ticks[roll(&dice, 4)] : wild;
		const void *got = NULL;
		void *to = NULL;

		switch (roll(&dice, 12)) {
		case 0:
			slot->state = roll(&dice, 2) ? wild : slot->state ^ roll(&dice, 256);
			break;
		case 1:
			slot->length = (__u32)wild;
			break;
		case 2:
			self->a.tallies[roll(&dice, PARTIES)].before = wild;
			break;
		case 3:
			slot->state = ticks[roll(&dice, 4)] & ~0xffffffull;
			break;
		case 4:
			pinring_oneshot_cancel(&self->a, t);
			break;
		case 5:
			pinring_oneshot_release(&self->a, t);
			break;
		case 6:
		case 7:
			if (!pinring_oneshot_reserve(&self->b, t, &to)) {
				ASSERT_LE(first + 16, (unsigned char *)to);
				ASSERT_GE(last + 16, (unsigned char *)to);
				memset(to, 1, BYTES);
			}
			pinring_oneshot_commit(&self->b, t, roll(&dice, BYTES + 2));
			break;
		case 8:
			if (!pinring_oneshot_peek(&self->a, t, &got, &bytes)) {
				ASSERT_LE(first + 16, (const unsigned char *)got);
				ASSERT_GE(last + 16, (const unsigned char *)got);
				ASSERT_GE(BYTES, bytes);
				done++;
			}
			break;
		default:
			if (!pinring_oneshot_take(&self->a, &ticket))
				ticks[roll(&dice, 4)] = ticket;
		}
	}
	EXPECT_LT(100, done);
	pinring_oneshot_repair(&self->a);
	pinring_oneshot_shut(&self->a);
}

TEST_HARNESS_MAIN
