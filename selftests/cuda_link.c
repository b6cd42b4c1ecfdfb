// SPDX-License-Identifier: MIT
/*
 * Two loops as CUDA grids run them, and a link between: words that come torn, late
 * and in any order, messages that are never whole, and rings whose other end lies.
 * executor_link.c has what the library makes of it.
 */
#include <kselftest_harness.h>

#include <errno.h>

#include <pinring/pinring.h>

#include "cuda/rig.h"

#define THREADS 64
#define DEPTH 8u
#define HEADER ((uint64_t)PINRING_REGION_HEADER_BYTES)
#define BYTES 65536u
#define PROGRAM HEADER /* slots */
#define COUNT 256u /* of the program's commands */
#define CELLS 32768u /* floats, from the region's base */

FIXTURE(link)
{
	struct rig *from, *to;
	struct pinring_device_slot *commands, *answers;
	__u64 *heads; /* of commands and answers */
	struct pinring_link *link; /* from's end, as the host made it */
	struct pinring_feed *feed;
	unsigned char *memory;
	struct pinring_device_slot *program;
	float *cell;
};

static void *zeroed(size_t bytes)
{
	void *at = aligned_alloc(128, (bytes + 127) & ~127ul);

	return at ? memset(at, 0, bytes) : NULL;
}

FIXTURE_SETUP(link)
{
	ASSERT_NE(NULL, self->from = rig_new(RIG_SLOTS, 1));
	ASSERT_NE(NULL, self->to = rig_new(RIG_SLOTS, 1));
	ASSERT_NE(NULL, self->commands = zeroed(DEPTH * sizeof(*self->commands)));
	ASSERT_NE(NULL, self->answers = zeroed(2 * DEPTH * sizeof(*self->answers)));
	ASSERT_NE(NULL, self->heads = zeroed(256));
	ASSERT_NE(NULL, self->memory = zeroed(BYTES));
	self->program = (void *)(self->memory + PROGRAM);
	self->cell = (void *)(self->memory + CELLS);
	self->link = &self->from->attachments.link[0];
	self->feed = &self->to->attachments.feed[0];
	self->link->commands = (struct pinring_device_producer){
		.slots = self->commands, .head = &self->heads[0],
		.capacity = DEPTH, .shift = 3,
	};
	self->feed->commands = (struct pinring_device_consumer){
		.slots = self->commands, .head = &self->heads[0],
		.capacity = DEPTH, .shift = 3,
	};
	self->feed->answers = (struct pinring_device_producer){
		.slots = self->answers, .head = &self->heads[16],
		.capacity = 2 * DEPTH, .shift = 4,
	};
	self->link->answers = (struct pinring_device_consumer){
		.slots = self->answers, .head = &self->heads[16],
		.capacity = 2 * DEPTH, .shift = 4,
	};
	self->link->peer = &self->to->control;
	self->link->number = 1;
	self->feed->serial = 1;
	self->to->attachments.changes = 1;
	rig_attach(self->from, self->memory, BYTES);
	rig_attach(self->to, self->memory, BYTES);
	self->cell[COUNT + 1] = 1;
	/* cell[n + 1] = cell[n] + 1: right once, and in order. */
	for (uint32_t n = 0; n < COUNT; n++) {
		struct pinring_command c = {
			.id = n, .operation = PINRING_OP_ADD, .count = 1,
			.a = { CELLS + n * 4, 0 }, .dst = { CELLS + n * 4 + 4, 0 },
			.b = { CELLS + (COUNT + 1) * 4, 0 },
		};

		pinring_pack_command(self->program[n].word, &c);
	}
	simt_store_hook = NULL;
}

FIXTURE_TEARDOWN(link)
{
	EXPECT_TRUE(rig_free(self->from));
	EXPECT_TRUE(rig_free(self->to));
	free(self->commands);
	free(self->answers);
	free(self->heads);
	free(self->memory);
}

static bool start(struct rig *r)
{
	if (!rig_launch(r, 1, THREADS))
		return false;
	rig_wish(r, PINRING_STATE_ACTIVE);
	return COMES_TRUE(rig_state(r) == PINRING_STATE_ACTIVE);
}

static struct pinring_completion forward(struct rig *r, uint64_t count)
{
	struct pinring_command c = {
		.id = 1, .operation = PINRING_OP_FORWARD, .count = count, .a = { PROGRAM, 0 },
	};
	struct pinring_completion done;

	if (!rig_call(r, &c, &done))
		done.status = -ETIME;
	return done;
}

static struct pinring_completion join(struct rig *r, uint64_t us)
{
	struct pinring_command c = {
		.id = 2, .operation = PINRING_OP_JOIN, .aux = us << 8,
	};
	struct pinring_completion done;

	if (!rig_call(r, &c, &done))
		done.status = -ETIME;
	return done;
}

static bool lives(struct rig *r)
{
	struct pinring_command c = { .id = 99, .operation = PINRING_OP_NOP };
	struct pinring_completion done;

	return rig_call(r, &c, &done) && done.id == 99 && !done.status;
}

static bool chain_holds(const float *cell, uint32_t count)
{
	for (uint32_t n = 0; n <= count; n++) {
		if (cell[n] != (float)n)
			return false;
	}
	return true;
}

TEST_F(link, commands_and_answers_come_once_and_in_order)
{
	struct pinring_completion done;

	ASSERT_TRUE(start(self->from));
	ASSERT_TRUE(start(self->to));
	/* Laps go round at 2048. */
	for (int round = 0; round < 10; round++) {
		memset(self->cell, 0, (COUNT + 1) * sizeof(float));
		done = forward(self->from, COUNT);
		ASSERT_EQ(0, done.status);
		ASSERT_EQ(COUNT, done.done);
		done = join(self->from, 0);
		ASSERT_EQ(0, done.status);
		ASSERT_EQ(COUNT, done.done);
		ASSERT_TRUE(chain_holds(self->cell, COUNT));
	}
	/* None of them is the host's of `to`. */
	EXPECT_EQ(0, self->to->control.completed);
	EXPECT_EQ(0, self->to->control.taken);
	EXPECT_TRUE(COMES_TRUE(pinring_load_word(&self->to->control.fed) == 0));
	EXPECT_TRUE(COMES_TRUE(pinring_load_word(&self->to->telemetry.processed) ==
			       10 * COUNT));
}

TEST_F(link, words_that_come_torn_and_late)
{
	struct pinring_completion done;

	simt_store_hook = rig_store_late;
	ASSERT_TRUE(start(self->from));
	ASSERT_TRUE(start(self->to));
	done = forward(self->from, COUNT);
	ASSERT_EQ(0, done.status);
	done = join(self->from, 0);
	ASSERT_EQ(0, done.status);
	ASSERT_EQ(COUNT, done.done);
	EXPECT_TRUE(chain_holds(self->cell, COUNT));
	EXPECT_EQ((2 * COUNT + 2) * PINRING_SLOT_WORDS, rig_kept_back);
}

/* As of a peer that was killed between two words. */
TEST_F(link, a_message_in_part_is_never_taken)
{
	struct pinring_device_producer p = self->link->commands;

	ASSERT_TRUE(start(self->to));
	for (int missing = 0; missing < PINRING_SLOT_WORDS; missing++) {
		for (int w = 0; w < PINRING_SLOT_WORDS; w++) {
			if (w != missing)
				pinring_device_put(&p, (__u32)w,
						   self->program[0].word[w]);
		}
		/* It goes on with its host's. */
		for (int i = 0; i < 20; i++) {
			ASSERT_TRUE(lives(self->to));
		}
		EXPECT_EQ(missing, self->cell[1]);
		/* And comes, when it is whole. */
		self->cell[0] = (float)missing;
		pinring_device_put(&p, (__u32)missing, self->program[0].word[missing]);
		p.index++;
		ASSERT_TRUE(COMES_TRUE(pinring_load_word(&self->answers[missing].word[7]) >>
				       PINRING_WORD_BITS == 1));
	}
	rig_wish(self->to, PINRING_STATE_DRAINING);
	EXPECT_TRUE(rig_ends(self->to));
}

/* Draining ends at a message in part, too. */
TEST_F(link, a_message_in_part_holds_up_no_end)
{
	struct pinring_device_producer p = self->link->commands;

	ASSERT_TRUE(start(self->to));
	pinring_device_put(&p, 3, self->program[0].word[3]);
	rig_wish(self->to, PINRING_STATE_DRAINING);
	EXPECT_TRUE(rig_ends(self->to));
	EXPECT_EQ(0, self->cell[1]);
}

/* ------------------------------------------------------- leaves in mid-command */
static bool launch_again(struct rig *r)
{
	r->self.team.generation = 0;
	r->self.team.arrived = 0;
	r->self.team.aborted = 0;
	return rig_launch(r, 1, THREADS);
}

/* It has begun a command, and beats on: it waits there, or was told to pause. */
static bool waits(struct rig *r)
{
	const struct pinring_control_block *c = &r->control;
	uint64_t before;

	if (!COMES_TRUE(pinring_load_word(&c->taken) != pinring_load_word(&c->completed) ||
			pinring_load_word(&c->fed)))
		return false;
	before = pinring_load_word(&c->heartbeat);
	return COMES_TRUE(pinring_load_word(&r->control.heartbeat) > before + 2);
}

/* Gone, with the one command that it had begun not answered. */
static bool leaves(struct rig *r)
{
	rig_leave(r, PINRING_STATE_ACTIVE);
	return rig_ends(r) && rig_state(r) == PINRING_STATE_ACTIVE;
}

static bool comes_back(struct rig *r)
{
	rig_wish(r, PINRING_STATE_ACTIVE);
	return launch_again(r) &&
	       COMES_TRUE(pinring_load_word(&r->control.reached) >> 32 == r->epoch);
}

static bool submit(struct rig *r, uint32_t id, uint16_t operation, uint64_t count, uint64_t us)
{
	struct pinring_command c = {
		.id = id, .operation = operation, .count = count, .a = { PROGRAM, 0 },
		.aux = us << 8,
	};

	return COMES_TRUE(rig_submit(r, &c));
}

static struct pinring_completion collect(struct rig *r)
{
	struct pinring_completion done = { .status = -ETIME };

	if (!COMES_TRUE(rig_collect(r, &done)))
		done.status = -ETIME;
	return done;
}

TEST_F(link, a_forward_that_waits_leaves_and_goes_on_where_it_was)
{
	struct pinring_completion done;

	ASSERT_TRUE(start(self->from));
	ASSERT_TRUE(submit(self->from, 1, PINRING_OP_FORWARD, COUNT, 0));
	/* What is queued behind it stays behind it. */
	ASSERT_TRUE(submit(self->from, 2, PINRING_OP_NOP, 0, 0));
	ASSERT_TRUE(waits(self->from));
	for (int round = 0; round < 3; round++) {
		ASSERT_TRUE(leaves(self->from));
		EXPECT_EQ(1, self->from->control.taken);
		EXPECT_EQ(0, self->from->control.completed);
		EXPECT_EQ(0, self->from->telemetry.processed);
		ASSERT_TRUE(comes_back(self->from));
		ASSERT_TRUE(waits(self->from));
	}
	ASSERT_TRUE(start(self->to));
	done = collect(self->from);
	EXPECT_EQ(1, done.id);
	EXPECT_EQ(0, done.status);
	EXPECT_EQ(COUNT, done.done);
	EXPECT_EQ(2, collect(self->from).id);
	done = join(self->from, 0);
	EXPECT_EQ(0, done.status);
	EXPECT_EQ(COUNT, done.done);
	EXPECT_TRUE(chain_holds(self->cell, COUNT));
	EXPECT_EQ(3, self->from->control.taken);
	EXPECT_TRUE(COMES_TRUE(pinring_load_word(&self->from->telemetry.processed) == 3));
	EXPECT_EQ(0, pinring_load_word(&self->from->telemetry.failed));
}

/* While both leave, again and again, in the middle of all that there is. */
TEST_F_TIMEOUT(link, what_leaves_in_full_flow_sends_nothing_twice, 120)
{
	struct pinring_completion done = { .status = -ETIME };
	bool answered = false;
	int times = 0;

	ASSERT_TRUE(start(self->from));
	ASSERT_TRUE(start(self->to));
	ASSERT_TRUE(submit(self->from, 1, PINRING_OP_FORWARD, COUNT, 0));
	while (!answered && times < 200) {
		struct rig *r = times++ % 2 ? self->from : self->to;

		ASSERT_TRUE(leaves(r));
		ASSERT_TRUE(comes_back(r));
		answered = rig_collect(self->from, &done);
	}
	if (!answered)
		done = collect(self->from);
	EXPECT_EQ(0, done.status);
	EXPECT_EQ(COUNT, done.done);
	done = join(self->from, 0);
	EXPECT_EQ(0, done.status);
	EXPECT_EQ(COUNT, done.done);
	EXPECT_TRUE(chain_holds(self->cell, COUNT));
	EXPECT_TRUE(COMES_TRUE(pinring_load_word(&self->to->telemetry.processed) == COUNT));
}

TEST_F(link, a_join_that_waits_leaves_and_goes_on)
{
	struct pinring_completion done;

	ASSERT_TRUE(start(self->from));
	EXPECT_EQ(3, forward(self->from, 3).done);
	ASSERT_TRUE(submit(self->from, 7, PINRING_OP_JOIN, 0, 0));
	ASSERT_TRUE(waits(self->from));
	ASSERT_TRUE(leaves(self->from));
	/* The answers come while nobody is there. */
	ASSERT_TRUE(start(self->to));
	ASSERT_TRUE(COMES_TRUE(pinring_load_word(&self->to->telemetry.processed) == 3));
	ASSERT_TRUE(comes_back(self->from));
	done = collect(self->from);
	EXPECT_EQ(7, done.id);
	EXPECT_EQ(0, done.status);
	EXPECT_EQ(3, done.done);
	EXPECT_TRUE(chain_holds(self->cell, 3));
}

/* What was wished while it was away counts when it is back, for what it was at, too. */
TEST_F(link, one_that_left_in_a_forward_can_be_terminated)
{
	struct pinring_completion done;

	ASSERT_TRUE(start(self->from));
	ASSERT_TRUE(submit(self->from, 1, PINRING_OP_FORWARD, COUNT, 0));
	ASSERT_TRUE(submit(self->from, 2, PINRING_OP_NOP, 0, 0));
	ASSERT_TRUE(waits(self->from));
	ASSERT_TRUE(leaves(self->from));
	rig_wish(self->from, PINRING_STATE_TERMINATED);
	ASSERT_TRUE(launch_again(self->from));
	ASSERT_TRUE(rig_ends(self->from));
	EXPECT_EQ(PINRING_STATE_TERMINATED, rig_state(self->from));
	done = collect(self->from);
	EXPECT_EQ(1, done.id);
	EXPECT_EQ(-ECANCELED, done.status);
	EXPECT_EQ(PINRING_REASON_STOPPED, done.reason);
	EXPECT_EQ(DEPTH, done.done);
	done = collect(self->from);
	EXPECT_EQ(2, done.id);
	EXPECT_EQ(-ECANCELED, done.status);
	EXPECT_EQ(2, self->from->control.completed);
	EXPECT_EQ(0, self->from->telemetry.elements);
}

/* A paused loop does nothing, and has not forgotten it. */
TEST_F(link, one_that_left_in_a_forward_can_be_paused)
{
	struct pinring_completion done;

	ASSERT_TRUE(start(self->from));
	ASSERT_TRUE(submit(self->from, 1, PINRING_OP_FORWARD, COUNT, 0));
	ASSERT_TRUE(waits(self->from));
	ASSERT_TRUE(leaves(self->from));
	rig_wish(self->from, PINRING_STATE_PAUSED);
	ASSERT_TRUE(launch_again(self->from));
	ASSERT_TRUE(COMES_TRUE(rig_state(self->from) == PINRING_STATE_PAUSED));
	ASSERT_TRUE(start(self->to));
	ASSERT_TRUE(COMES_TRUE(pinring_load_word(&self->to->telemetry.processed) == DEPTH));
	ASSERT_TRUE(waits(self->from));
	EXPECT_EQ(DEPTH, pinring_load_word(&self->to->telemetry.processed));
	/* Draining does what was begun. */
	rig_wish(self->from, PINRING_STATE_DRAINING);
	ASSERT_TRUE(rig_ends(self->from));
	done = collect(self->from);
	EXPECT_EQ(0, done.status);
	EXPECT_EQ(COUNT, done.done);
	EXPECT_TRUE(COMES_TRUE(pinring_load_word(&self->to->telemetry.processed) == COUNT));
	EXPECT_TRUE(chain_holds(self->cell, COUNT));
}

/* The time that it may take goes on as well. */
TEST_F(link, one_that_left_in_a_forward_is_late_when_it_would_have_been)
{
	struct pinring_completion done;

	simt_set_clock(10000);
	ASSERT_TRUE(start(self->from));
	ASSERT_TRUE(submit(self->from, 1, PINRING_OP_FORWARD, COUNT, 1));
	ASSERT_TRUE(waits(self->from));
	ASSERT_TRUE(leaves(self->from));
	simt_set_clock(10900);
	ASSERT_TRUE(comes_back(self->from));
	ASSERT_TRUE(waits(self->from));
	EXPECT_FALSE(rig_collect(self->from, &done));
	simt_set_clock(11001);
	done = collect(self->from);
	EXPECT_EQ(-ETIMEDOUT, done.status);
	EXPECT_EQ(PINRING_REASON_LATE, done.reason);
	EXPECT_EQ(DEPTH, done.done);
	EXPECT_EQ(10000, done.start_ns);
	EXPECT_EQ(1001, done.duration_ns);
	simt_set_clock(0);
	/* The next one begins anew. */
	ASSERT_TRUE(start(self->to));
	done = join(self->from, 0);
	EXPECT_EQ(DEPTH, done.done);
	EXPECT_EQ(COUNT - DEPTH, forward(self->from, COUNT - DEPTH).done);
	done = join(self->from, 0);
	EXPECT_EQ(COUNT - DEPTH, done.done);
}

/*
 * A peer that answers at once: who forwards to it never has to wait. The lanes take
 * turns: atomic, since ThreadSanitizer takes them for threads.
 */
static struct {
	struct rig *from;
	const struct pinring_device_slot *commands;
	struct pinring_device_producer answers; /* as they begin */
	unsigned int words, leaves_at, late_at;
} quick;

static void answer_at_once(uint64_t *word, uint64_t value)
{
	const struct pinring_device_slot *slot = (const void *)word;
	struct pinring_device_producer answers = quick.answers;
	unsigned int words;

	__atomic_store_n(word, value, __ATOMIC_RELEASE);
	if (slot < quick.commands || slot >= quick.commands + DEPTH)
		return;
	words = __atomic_add_fetch(&quick.words, 1, __ATOMIC_ACQ_REL);
	if (words % PINRING_SLOT_WORDS)
		return;
	/* Before the answer, so that the last one of them comes later. */
	if (words == quick.late_at * PINRING_SLOT_WORDS)
		simt_set_clock(30000);
	answers.index = words / PINRING_SLOT_WORDS - 1;
	for (__u32 w = 0; w < PINRING_SLOT_WORDS; w++)
		pinring_device_put(&answers, w, 0);
	if (words == quick.leaves_at * PINRING_SLOT_WORDS)
		pinring_store_word(&quick.from->control.wanted,
				   1000ull << 32 | PINRING_WISH_LEAVE |
					   PINRING_STATE_ACTIVE);
}

static unsigned int answered_at_once(void)
{
	return __atomic_load_n(&quick.words, __ATOMIC_ACQUIRE) / PINRING_SLOT_WORDS;
}

TEST_F(link, a_forward_that_need_not_wait_leaves_all_the_same)
{
	struct pinring_completion done;

	quick.from = self->from;
	quick.commands = self->commands;
	quick.answers = self->feed->answers;
	quick.leaves_at = 20;
	simt_store_hook = answer_at_once;
	ASSERT_TRUE(start(self->from));
	ASSERT_TRUE(submit(self->from, 1, PINRING_OP_FORWARD, COUNT, 0));
	EXPECT_TRUE(rig_ends(self->from));
	EXPECT_EQ(0, self->from->control.completed);
	EXPECT_LE(20, answered_at_once());
	EXPECT_LT(answered_at_once(), COUNT);
	ASSERT_TRUE(comes_back(self->from));
	done = collect(self->from);
	EXPECT_EQ(0, done.status);
	EXPECT_EQ(COUNT, done.done);
	EXPECT_EQ(COUNT, answered_at_once());
	EXPECT_EQ(COUNT, join(self->from, 0).done);
}

/* Of so many commands, each number looks at the clock elsewhere. */
TEST_F_TIMEOUT(link, a_forward_is_not_late_when_all_is_sent, 120)
{
	struct pinring_completion done;

	quick.from = self->from;
	quick.commands = self->commands;
	quick.answers = self->feed->answers;
	simt_store_hook = answer_at_once;
	simt_set_clock(10000);
	ASSERT_TRUE(start(self->from));
	for (uint64_t count = 1; count <= COUNT; count++) {
		simt_set_clock(10000);
		quick.late_at = answered_at_once() + (unsigned int)count;
		ASSERT_TRUE(submit(self->from, 1, PINRING_OP_FORWARD, count, 1));
		done = collect(self->from);
		ASSERT_EQ(0, done.status) {
			TH_LOG("%d of %d", (int)done.done, (int)count);
		}
		ASSERT_EQ(count, done.done);
		ASSERT_EQ(count, join(self->from, 0).done);
	}
	simt_set_clock(0);
}

/* Nobody but the test is at the other end of that link. */
TEST_F(link, a_forward_of_another_executors_leaves_and_is_answered_there)
{
	struct pinring_device_producer asks = {
		.slots = zeroed(3 * DEPTH * sizeof(*self->commands)),
		.head = &self->heads[8], .capacity = DEPTH, .shift = 3,
	};
	struct pinring_device_consumer hears = {
		.slots = asks.slots + DEPTH, .head = &self->heads[24],
		.capacity = 2 * DEPTH, .shift = 4,
	};
	struct pinring_command c = {
		.id = 5, .operation = PINRING_OP_FORWARD, .count = COUNT, .a = { PROGRAM, 0 },
	};
	__u64 words[PINRING_SLOT_WORDS];
	struct pinring_completion done;

	ASSERT_NE(NULL, asks.slots);
	self->from->attachments.feed[0] = (struct pinring_feed){
		.serial = 1,
		.commands = { .slots = asks.slots, .head = &self->heads[8],
			      .capacity = DEPTH, .shift = 3 },
		.answers = { .slots = asks.slots + DEPTH, .head = hears.head,
			     .capacity = 2 * DEPTH, .shift = 4 },
	};
	self->from->attachments.changes = 1;
	ASSERT_TRUE(start(self->from));
	pinring_pack_command(words, &c);
	ASSERT_TRUE(pinring_device_send(&asks, words));
	ASSERT_TRUE(COMES_TRUE(pinring_load_word(&self->from->control.fed) != 0));
	ASSERT_TRUE(submit(self->from, 2, PINRING_OP_NOP, 0, 0));
	ASSERT_TRUE(waits(self->from));
	ASSERT_TRUE(leaves(self->from));
	/* Whoever looks on sees that it is at it yet. */
	EXPECT_NE(0, self->from->control.fed);
	EXPECT_EQ(0, self->from->control.taken);
	ASSERT_TRUE(comes_back(self->from));
	ASSERT_TRUE(waits(self->from));
	EXPECT_FALSE(pinring_device_peek(&hears, words));
	ASSERT_TRUE(start(self->to));
	ASSERT_TRUE(COMES_TRUE(pinring_device_peek(&hears, words)));
	pinring_unpack_completion(&done, words);
	EXPECT_EQ(5, done.id);
	EXPECT_EQ(0, done.status);
	EXPECT_EQ(COUNT, done.done);
	EXPECT_EQ(2, collect(self->from).id);
	EXPECT_EQ(COUNT, join(self->from, 0).done);
	EXPECT_TRUE(chain_holds(self->cell, COUNT));
	EXPECT_TRUE(COMES_TRUE(pinring_load_word(&self->from->control.fed) == 0));
	rig_wish(self->from, PINRING_STATE_TERMINATED);
	EXPECT_TRUE(rig_ends(self->from));
	free(asks.slots);
}

static void fill_answers(FIXTURE_DATA(link) *self, uint64_t status)
{
	for (uint64_t i = 0; i < 2 * DEPTH; i++) {
		for (int w = 0; w < PINRING_SLOT_WORDS; w++) {
			self->answers[i].word[w] = 1ull << PINRING_WORD_BITS |
						   (w ? 0 : status << 32 | i);
		}
	}
}

/* Answers to what nobody asked are left where they are. */
TEST_F(link, no_more_answers_are_taken_than_commands_were_sent)
{
	struct pinring_completion done;

	fill_answers(self, EIO);
	ASSERT_TRUE(start(self->from));
	done = join(self->from, 0);
	EXPECT_EQ(0, done.status);
	EXPECT_EQ(0, done.done);
	EXPECT_EQ(0, pinring_load_word(&self->heads[16]));
	/* Two were sent: these two are believed, whoever wrote them. */
	done = forward(self->from, 2);
	EXPECT_EQ(0, done.status);
	done = join(self->from, 0);
	EXPECT_EQ(-EIO, done.status);
	EXPECT_EQ(0, done.done);
	EXPECT_GE(2, pinring_load_word(&self->heads[16]));
	/* The true ones come too late. */
	ASSERT_TRUE(start(self->to));
	EXPECT_TRUE(COMES_TRUE(pinring_load_word(&self->to->telemetry.processed) == 2));
	done = join(self->from, 0);
	EXPECT_EQ(0, done.status);
	EXPECT_EQ(0, done.done);
	EXPECT_TRUE(lives(self->from));
	EXPECT_TRUE(lives(self->to));
}

/* A credit that cannot be, of a peer that does not count: answers are lost. */
TEST_F(link, a_peer_that_gives_no_credit_loses_its_answers)
{
	struct pinring_completion done;

	self->heads[16] = 1ull << 40;
	self->to->attachments.feed[0].answers.credit = 1ull << 40;
	ASSERT_TRUE(start(self->from));
	ASSERT_TRUE(start(self->to));
	done = forward(self->from, 3);
	EXPECT_EQ(0, done.status);
	done = join(self->from, 50000);
	EXPECT_EQ(-ETIMEDOUT, done.status);
	EXPECT_EQ(PINRING_REASON_LATE, done.reason);
	EXPECT_TRUE(COMES_TRUE(pinring_load_word(&self->to->telemetry.processed) == 3));
	EXPECT_TRUE(chain_holds(self->cell, 3));
	EXPECT_TRUE(lives(self->to));
	rig_wish(self->to, PINRING_STATE_DRAINING);
	EXPECT_TRUE(rig_ends(self->to));
}

/* Whatever is in the slots: each is refused, or does what its words allow. */
TEST_F(link, rubbish_in_the_ring)
{
	struct pinring_device_producer p = self->link->commands;
	uint64_t sent;

	ASSERT_TRUE(start(self->to));
	for (sent = 0; sent < 2000; sent++) {
		__u64 operation = random_bits() % 40;

		for (int w = 0; w < PINRING_SLOT_WORDS; w++) {
			__u64 word = random_word();

			if (w == 0 && sent % 2)
				word = (word & ~(0xffffull << 32)) | operation << 32;
			if (w == 1 && sent % 4 == 3)
				word &= 15;
			pinring_device_put(&p, (__u32)w, word);
		}
		p.index++;
		/* Its place is free when it is answered. */
		ASSERT_TRUE(COMES_TRUE(pinring_load_word(&self->to->telemetry.processed) ==
				       sent + 1));
		self->heads[16] = sent + 1;
	}
	EXPECT_TRUE(lives(self->to));
	EXPECT_LT(1500, pinring_load_word(&self->to->telemetry.failed));
}

TEST_HARNESS_MAIN
