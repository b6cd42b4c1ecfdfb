// SPDX-License-Identifier: MIT
/*
 * The line ring when somebody dies, or writes what nobody should: what is whole
 * arrives, what is not is never seen, and nobody is led outside the ring.
 */
#include <kselftest_harness.h>

#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "kills.h"
#include "line_ring.h"
#include "take_cpu.h"

/* ---------------------------------------------------------------------- death */

TEST_F(ring, a_producer_that_is_gone_leaves_only_what_it_committed)
{
	struct pinring_line *lines = NULL;

	push_up_to(&self->p, 3);
	EXPECT_LE(1, pinring_line_reserve(&self->p, 2, &lines));
	memset(lines->payload, 0xff, BYTES); /* and dies here */
	pinring_line_producer_close(&self->p);
	ASSERT_EQ(0, pinring_line_producer_open(self->r, "ring", &self->p));
	EXPECT_EQ(variant->first + 3, self->p.write);
	EXPECT_EQ(CAPACITY - 3, push_up_to(&self->p, 1000));
	EXPECT_EQ(CAPACITY, pop_up_to(&self->c, 1000));
}

/* However full the ring is, wherever its consumer stands. */
TEST_F(ring, a_new_producer_goes_on_behind_the_last_message)
{
	struct dice dice = { 1 };

	for (int round = 0; round < 500; round++) {
		push_up_to(&self->p, roll(&dice, CAPACITY + 1));
		ASSERT_NE(UINT64_MAX, pop_up_to(&self->c, roll(&dice, CAPACITY)));
		if (roll(&dice, 2))
			pinring_line_flush(&self->c);
		uint64_t write = self->p.write;

		pinring_line_producer_close(&self->p);
		ASSERT_EQ(0, pinring_line_producer_open(self->r, "ring", &self->p));
		ASSERT_EQ(write, self->p.write);
		ASSERT_EQ(self->header->head, self->p.head);
	}
}

TEST_F(ring, a_reader_opened_anew_starts_where_the_last_gave_back)
{
	struct pinring_line_consumer dead;

	push_up_to(&self->p, 10);
	dead = self->c;
	pinring_region_close(self->c.region); /* no flush: it was killed */
	EXPECT_EQ(7u, pop_up_to(&dead, 7));
	ASSERT_EQ(0, pinring_line_consumer_open(self->r, "ring", &self->c));
	/* 4 were given back; 3, fewer than capacity / 8, are seen twice. */
	EXPECT_EQ(variant->first + 4, self->c.read);
	EXPECT_EQ(6u, pop_up_to(&self->c, 1000));
}

TEST_F(ring, a_reader_that_is_closed_gives_back_all_it_read)
{
	push_up_to(&self->p, 10);
	EXPECT_EQ(7u, pop_up_to(&self->c, 7));
	pinring_line_consumer_close(&self->c);
	ASSERT_EQ(0, pinring_line_consumer_open(self->r, "ring", &self->c));
	EXPECT_EQ(3u, pop_up_to(&self->c, 1000));
}

/*
 * Sends items named by their index for ever, by every verb, and kills itself
 * after `steps` turns, in the middle of a reserved run; never, if that is 0.
 */
static void produce_until_killed(struct pinring_region *r, uint64_t steps)
{
	struct pinring_line_producer p;
	struct dice dice = { steps + 1 };
	unsigned int spins = 0;
	uint64_t items[8][WORDS];

	take_cpu(1);
	if (pinring_line_producer_open(r, "large", &p))
		_exit(1);
	for (uint64_t step = 1;; step++) {
		uint64_t want = 1 + roll(&dice, 7);
		struct pinring_line *lines = NULL;
		int64_t n;

		if (step != steps && roll(&dice, 2)) {
			for (uint64_t i = 0; i < want; i++)
				item_fill(items[i], BYTES, p.write + i);
			n = pinring_line_push_batch(&p, items, want);
		} else {
			n = pinring_line_reserve(&p, want, &lines);
			for (int64_t i = 0; i < n; i++) {
				memset(lines[i].payload, 0xff, BYTES);
				if (step == steps && i == n / 2)
					raise(SIGKILL);
				item_fill(lines[i].payload, BYTES,
					  p.write + (uint64_t)i);
			}
			if (n > 0)
				pinring_line_commit(&p, 1 + roll(&dice, (uint64_t)n));
		}
		if (n == -EAGAIN) {
			step--;
			wait_a_little(&spins);
		} else if (n < 0) {
			_exit(2);
		}
	}
}

#define PRODUCERS (SANITIZED ? 60 : 300)
#define READERS 50u

/* Hundreds of producers, one reader: an exact sequence without a gap. */
TEST_F_TIMEOUT(ring, killing_the_producer_at_any_point_loses_nothing, 120)
{
	struct pinring_line_consumer c;

	if (variant->first)
		SKIP(return, "the ring of this test is always a new one");
	take_cpu(0);
	ASSERT_EQ(0, pinring_line_create(self->r, "large", 1024));
	ASSERT_EQ(0, pinring_line_consumer_open(self->r, "large", &c));
	for (int round = 0; round < PRODUCERS; round++) {
		/* The odd ones die by themselves, the others when we say. */
		uint64_t steps = round % 2 ? 1 + item_mix((uint64_t)round) % 300 : 0;
		uint64_t until = c.read + item_mix((uint64_t)round) % 20000;
		unsigned int spins = 0;
		int status = 0;
		bool dead = false;
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid)
			produce_until_killed(self->r, steps);
		while (!dead) {
			uint64_t got = pop_up_to(&c, 100);

			ASSERT_NE(UINT64_MAX, got)
				TH_LOG("round %d: a wrong item at %llu", round,
				       (unsigned long long)c.read);
			if (!got)
				wait_a_little(&spins);
			if (!steps && c.read >= until)
				kill(pid, SIGKILL);
			if (c.read >= until || steps)
				dead = waitpid(pid, &status, WNOHANG) == pid;
		}
		ASSERT_TRUE(WIFSIGNALED(status));
		EXPECT_EQ(SIGKILL, WTERMSIG(status));
		ASSERT_NE(UINT64_MAX, pop_up_to(&c, UINT64_MAX - 1));
	}
	TH_LOG("%llu messages", (unsigned long long)c.read);
	EXPECT_LT(10000u, c.read);
	LOG_KILLS(PRODUCERS);
	pinring_line_consumer_close(&c);
}

/* The other side: each reader is killed; what it gave back is all that is gone. */
TEST_F_TIMEOUT(ring, killing_the_reader_shows_at_most_an_eighth_twice, 120)
{
	uint64_t *read_to = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	for (uint64_t n = 0; n < READERS; n++) {
		int status;
		pid_t pid;

		push_up_to(&self->p, CAPACITY);
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			struct pinring_line_consumer c;

			if (pinring_line_consumer_open(self->r, "ring", &c) ||
			    pop_up_to(&c, n % CAPACITY) != n % CAPACITY)
				_exit(1);
			*read_to = c.read;
			raise(SIGKILL);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));
		EXPECT_LE(0, (int64_t)(*read_to - self->header->head));
		EXPECT_LT(*read_to - self->header->head, CAPACITY / 8);
	}
	munmap(read_to, 4096);
	pinring_line_consumer_close(&self->c);
	ASSERT_EQ(0, pinring_line_consumer_open(self->r, "ring", &self->c));
	EXPECT_EQ(self->p.write - self->c.read, pop_up_to(&self->c, 1000));
	LOG_KILLS(READERS);
}

/* ------------------------------------------------------------- broken peers */

TEST_F(ring, a_word_that_is_impossible_is_eproto_and_passes)
{
	const uint64_t mask = CAPACITY - 1, lap = variant->first & ~mask;
	const uint64_t bad[] = { lap + 1, lap + CAPACITY + 1, lap - CAPACITY,
				 lap + 2 * CAPACITY, lap + CAPACITY / 2, ~lap };
	struct pinring_line *at = &self->lines[variant->first & mask];
	struct pinring_wait ready = pinring_line_when_ready(&self->c);
	struct pinring_line *lines = NULL;
	uint64_t item[WORDS];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		at->word = bad[i];
		EXPECT_EQ(-EPROTO, pinring_line_pop(&self->c, item));
		EXPECT_EQ(-EPROTO, pinring_line_pop_batch(&self->c, item, 1));
		EXPECT_EQ(-EPROTO, pinring_line_peek(&self->c, 4, &lines));
		EXPECT_EQ(-EPROTO, pinring_line_pop_wait(&self->c, item, 1000000));
		EXPECT_EQ(0, pinring_wait_any(&ready, 1, NULL, 0));
		EXPECT_EQ(0u, pinring_line_count(&self->c));
	}
	at->word = lap;
	EXPECT_EQ(3u, push_up_to(&self->p, 3));
	/* Behind whole messages: these come first. */
	self->lines[(variant->first + 2) & mask].word ^= 1;
	EXPECT_EQ(2, pinring_line_pop_batch(&self->c, (uint64_t[9][WORDS]){ { 0 } }, 9));
	EXPECT_EQ(-EPROTO, pinring_line_pop(&self->c, item));
	self->lines[(variant->first + 2) & mask].word ^= 1;
	EXPECT_EQ(1u, pop_up_to(&self->c, 10));
}

TEST_F(ring, a_head_that_is_impossible_is_eproto_and_passes)
{
	struct pinring_line *lines = NULL;
	uint64_t item[WORDS] = { 0 };

	push_up_to(&self->p, CAPACITY);
	self->header->head = self->p.write + 1;
	EXPECT_EQ(-EPROTO, pinring_line_push(&self->p, item));
	EXPECT_EQ(0u, pinring_line_free(&self->p));
	self->header->head = variant->first - 1;
	EXPECT_EQ(-EPROTO, pinring_line_push_batch(&self->p, item, 1));
	EXPECT_EQ(-EPROTO, pinring_line_reserve(&self->p, 1, &lines));
	EXPECT_EQ(-EPROTO, pinring_line_push_wait(&self->p, item, PINRING_FOREVER));
	EXPECT_EQ(0u, pinring_line_free(&self->p));
	self->header->head = variant->first + 1;
	EXPECT_EQ(1u, push_up_to(&self->p, 10));
}

/* Whatever the words say, neither side reads or writes outside the ring. */
TEST_F(ring, words_at_random_lead_nowhere)
{
	uint64_t items[2 * CAPACITY][WORDS] = { { 0 } };
	unsigned char *end = (unsigned char *)(self->lines + CAPACITY);
	struct dice dice = { variant->first };
	struct pinring_line *lines = NULL;

	for (int round = 0; round < 20000; round++) {
		for (uint64_t i = 0; i < CAPACITY; i++)
			self->lines[i].word = roll(&dice, 4) ?
				pinring_line_full(self->c.read + i, CAPACITY - 1) :
				item_mix(dice.state);
		self->header->head = self->p.write - roll(&dice, CAPACITY + 3);
		pinring_line_push_batch(&self->p, items, 1 + roll(&dice, CAPACITY));
		ASSERT_LE(pinring_line_pop_batch(&self->c, items, 2 * CAPACITY),
			  2 * CAPACITY);
		if (pinring_line_peek(&self->c, 2 * CAPACITY, &lines) > 0) {
			ASSERT_LE(self->lines, lines);
			ASSERT_LT((unsigned char *)lines, end);
		}
		ASSERT_LE(pinring_line_count(&self->c), CAPACITY);
	}
}

struct damage {
	const char *what;
	size_t offset;
	uint64_t value;
};

TEST_F(ring, a_damaged_header_is_refused)
{
#define D(field, value) \
	{ #field, offsetof(struct pinring_line_header, field), value }
	static const struct damage damages[] = {
		D(magic, 1), D(capacity, 0), D(capacity, 3),
		D(capacity, 2 * CAPACITY), D(capacity, 1ull << 63),
		D(lines_offset, 0), D(lines_offset, 1024), D(reserved, 1),
		D(seal, 1), D(producer_closed, 2), D(consumer_closed, 2),
	};
	struct pinring_line_producer p = { .write = 77 };
	struct pinring_line_consumer c = { .read = 77 };

	for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
		uint64_t *word = (uint64_t *)((char *)self->header +
					      damages[i].offset);
		uint64_t whole = *word, seal = self->header->seal;

		*word = damages[i].value;
		EXPECT_EQ(-EINVAL, pinring_line_producer_open(self->r, "ring", &p))
			TH_LOG("%s", damages[i].what);
		EXPECT_EQ(-EINVAL, pinring_line_consumer_open(self->r, "ring", &c))
			TH_LOG("%s", damages[i].what);
		EXPECT_NE(NULL, strstr(pinring_error(), "damaged"));
		*word = whole;
		self->header->seal = seal;
	}
	self->header->seal = 0;
	EXPECT_EQ(-EAGAIN, pinring_line_producer_open(self->r, "ring", &p));
	EXPECT_EQ(-EAGAIN, pinring_line_consumer_open(self->r, "ring", &c));
	EXPECT_EQ(77u, p.write);
	EXPECT_EQ(77u, c.read);
}

/* One that was sealed again, by somebody who wants us to leave the object. */
TEST_F(ring, a_header_that_lies_about_its_size_is_refused)
{
	struct pinring_line_producer p;

	self->header->capacity = 2 * CAPACITY;
	/* FNV-1a, as pinring_layout.h has it. */
	self->header->seal = 0xcbf29ce484222325ull;
	for (size_t i = 0; i < offsetof(struct pinring_line_header, seal); i++)
		self->header->seal = (self->header->seal ^
				      ((unsigned char *)self->header)[i]) *
				     0x100000001b3ull;
	EXPECT_EQ(-EINVAL, pinring_line_producer_open(self->r, "ring", &p));
}

TEST_F(ring, only_a_line_ring_is_opened)
{
	struct pinring_line_producer p;
	struct pinring_line_consumer c;

	EXPECT_EQ(-ENOENT, pinring_line_producer_open(self->r, "none", &p));
	EXPECT_EQ(-ENOENT, pinring_line_consumer_open(self->r, "none", &c));
	ASSERT_EQ(0, pinring_spsc_create(self->r, "other", 32, 8));
	EXPECT_EQ(-EINVAL, pinring_line_producer_open(self->r, "other", &p));
	EXPECT_EQ(-EINVAL, pinring_line_consumer_open(self->r, "other", &c));
}

TEST_F(ring, a_producer_opened_before_a_broken_line_is_refused)
{
	const uint64_t mask = CAPACITY - 1;
	struct pinring_line_producer p = { .write = 77 };

	push_up_to(&self->p, 3);
	self->lines[(variant->first + 3) & mask].word ^= 1;
	EXPECT_EQ(-EPROTO, pinring_line_producer_open(self->r, "ring", &p));
	EXPECT_NE(NULL, strstr(pinring_error(), "neither"));
}

TEST_HARNESS_MAIN
