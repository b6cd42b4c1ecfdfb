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
	self->from->attachments.links = 1;
	self->to->attachments.feeds = 1;
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
