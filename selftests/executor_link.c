// SPDX-License-Identifier: MIT
/*
 * One executor's loop sends commands to another's: pinring_executor_connect(),
 * forward and join. Between host threads, GPUs, and one of each.
 */
#define _GNU_SOURCE
#include <kselftest_harness.h>

#include <sys/wait.h>

#include "executor_link.h"

/* cell[n + 1] = cell[n] + cell[CELLS - 1], which is 1: right once, and in order. */
static void write_chain(FIXTURE_DATA(link) *self, uint32_t count)
{
	self->cell[CELLS - 1] = 1;
	for (uint32_t n = 0; n < count; n++) {
		struct pinring_command c = {
			.id = n, .operation = PINRING_OP_ADD, .count = 1,
			.a = cell(self, n), .b = cell(self, CELLS - 1),
			.dst = cell(self, n + 1),
		};

		write_down(self, n, &c);
	}
}

static bool chain_holds(FIXTURE_DATA(link) *self, uint32_t count)
{
	for (uint32_t n = 0; n <= count; n++) {
		if (self->cell[n] != (float)n)
			return false;
	}
	return true;
}

TEST_F(link, what_is_forwarded_is_carried_out_and_answered)
{
	struct pinring_command sum = {
		.id = 7, .operation = PINRING_OP_SUM, .count = 4, .a = cell(self, 0),
		.dst.region = PINRING_REGION_NONE,
	};
	struct pinring_completion done;

	write_chain(self, 3);
	write_down(self, 3, &sum);
	done = call(self->from, forward(self, 0, 4, 0));
	EXPECT_EQ(100, done.id);
	EXPECT_EQ(0, done.status);
	EXPECT_EQ(4, done.done);
	done = call(self->from, join(self, 0));
	EXPECT_EQ(101, done.id);
	EXPECT_EQ(0, done.status);
	EXPECT_EQ(4, done.done);
	EXPECT_EQ(0.0f + 1 + 2 + 3, done.result);
	EXPECT_TRUE(chain_holds(self, 3));
	/* And nothing is left to join. */
	done = call(self->from, join(self, 0));
	EXPECT_EQ(0, done.status);
	EXPECT_EQ(0, done.done);
	/* It counts after it has answered. */
	EXPECT_TRUE(COMES_TRUE(info_of(self->to).telemetry.processed == 4));
	EXPECT_TRUE(COMES_TRUE(info_of(self->from).telemetry.processed == 3));
	EXPECT_EQ(0, info_of(self->from).telemetry.elements);
}

/* The ring has four slots; nobody but the two loops sees to it that there is room. */
TEST_F_TIMEOUT(link, many_more_than_slots_come_once_and_in_order, 120)
{
	struct pinring_completion done;

	write_chain(self, PROGRAM);
	for (int round = 0; round < 5; round++) {
		memset(self->cell, 0, (PROGRAM + 1) * sizeof(float));
		done = call(self->from, forward(self, 0, PROGRAM, 0));
		ASSERT_EQ(0, done.status);
		ASSERT_EQ(PROGRAM, done.done);
		done = call(self->from, join(self, 0));
		ASSERT_EQ(0, done.status);
		ASSERT_EQ(PROGRAM, done.done);
		ASSERT_TRUE(chain_holds(self, PROGRAM));
	}
}

/* Both do their own hosts' commands in between. */
TEST_F_TIMEOUT(link, the_peers_host_is_served_as_well, 120)
{
	struct pinring_command f = forward(self, 0, PROGRAM, 0), j = join(self, 0);
	struct pinring_completion done;
	uint64_t first, last;

	write_chain(self, PROGRAM);
	ASSERT_OK(pinring_executor_submit(self->from, &f, &first));
	ASSERT_OK(pinring_executor_submit(self->from, &j, &last));
	for (uint32_t i = 0; i < 300; i++) {
		struct pinring_command c = {
			.id = i, .operation = PINRING_OP_FILL, .count = 8, .s0 = (float)i,
			.dst = cell(self, 2048),
		};

		done = call(self->to, c);
		ASSERT_EQ(i, done.id);
		ASSERT_EQ(0, done.status);
		ASSERT_EQ((float)i, self->cell[2048 + 7]);
	}
	ASSERT_OK(pinring_executor_wait(self->from, last, 60 * SECOND, &done));
	EXPECT_EQ(PROGRAM, done.done);
	EXPECT_TRUE(chain_holds(self, PROGRAM));
}

/* A forwarded command may be a forward: there and back without a host. */
TEST_F(link, there_and_back)
{
	struct pinring_command back = {
		.id = 1, .operation = PINRING_OP_FORWARD, .count = 16,
		.a = { self->program.offset + 64 * sizeof(*self->slots), 0 },
	};
	struct pinring_completion done;

	ASSERT_EQ(0, pinring_executor_connect(self->to, self->from, 16));
	self->cell[CELLS - 1] = 1;
	for (uint32_t n = 0; n < 16; n++) {
		struct pinring_command c = {
			.id = n, .operation = PINRING_OP_ADD, .count = 1,
			.a = cell(self, n), .b = cell(self, CELLS - 1),
			.dst = cell(self, n + 1),
		};

		write_down(self, 64 + n, &c);
	}
	write_down(self, 0, &back);
	done = call(self->from, forward(self, 0, 1, 0));
	EXPECT_EQ(0, done.status);
	done = call(self->from, join(self, 0));
	EXPECT_EQ(0, done.status);
	EXPECT_EQ(1, done.done);
	/* The peer's own join says when all is done. */
	done = call(self->to, join(self, 0));
	EXPECT_EQ(0, done.status);
	EXPECT_EQ(16, done.done);
	EXPECT_TRUE(chain_holds(self, 16));
}

/* ---------------------------------------------------------------- what goes wrong */
TEST_F(link, what_the_peer_refuses_is_told_by_join)
{
	struct pinring_command c = {
		.id = 9, .operation = PINRING_OP_FILL, .count = 1ull << 40,
		.dst = cell(self, 0),
	};
	struct pinring_completion done;

	write_chain(self, 5);
	write_down(self, 2, &c);
	c.operation = 999;
	write_down(self, 3, &c);
	done = call(self->from, forward(self, 0, 5, 0));
	EXPECT_EQ(0, done.status);
	done = call(self->from, join(self, 0));
	EXPECT_EQ(-EINVAL, done.status);
	EXPECT_EQ(PINRING_REASON_COUNT, done.reason);
	EXPECT_EQ(3, done.done);
	/* The next one begins anew. */
	done = call(self->from, forward(self, 0, 1, 0));
	EXPECT_EQ(0, done.status);
	done = call(self->from, join(self, 0));
	EXPECT_EQ(0, done.status);
	EXPECT_EQ(1, done.done);
}

TEST_F(link, links_and_programs_that_are_not_there_are_refused)
{
	const struct {
		uint64_t offset, region, count, link;
		uint32_t reason;
	} cases[] = {
		{ 0, 0, 1, 1, PINRING_REASON_LINK },
		{ 0, 0, 1, 7, PINRING_REASON_LINK },
		{ 0, 0, 1, 8, PINRING_REASON_LINK },
		{ 0, 0, 1, 255, PINRING_REASON_LINK },
		{ 0, 1, 1, 0, PINRING_REASON_REGION },
		{ 0, PINRING_REGION_NONE, 1, 0, PINRING_REASON_REGION },
		{ 4, 0, 1, 0, PINRING_REASON_ALIGNMENT },
		{ 32, 0, 1, 0, PINRING_REASON_ALIGNMENT },
		{ 0, 0, 1 << 20, 0, PINRING_REASON_COUNT },
		{ 0, 0, 1ull << 42, 0, PINRING_REASON_COUNT },
	};
	struct pinring_completion done;
	struct pinring_command c;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		c = forward(self, 0, cases[i].count, 0);
		c.a.offset += cases[i].offset;
		c.a.region = (uint32_t)cases[i].region;
		c.aux = cases[i].link;
		done = call(self->from, c);
		EXPECT_EQ(-EINVAL, done.status) {
			TH_LOG("case %zu", i);
		}
		EXPECT_EQ(cases[i].reason, done.reason) {
			TH_LOG("case %zu", i);
		}
		EXPECT_EQ(0, done.done);
	}
	c = join(self, 0);
	c.aux = 1;
	done = call(self->from, c);
	EXPECT_EQ(PINRING_REASON_LINK, done.reason);
	/* Nothing of it went out. */
	done = call(self->from, join(self, 0));
	EXPECT_EQ(0, done.status);
	EXPECT_EQ(0, done.done);
	EXPECT_EQ(0, info_of(self->to).telemetry.processed);
}

/* A program of rubbish: each word is sent, believed by nobody, and answered. */
TEST_F_TIMEOUT(link, rubbish_is_refused_word_by_word, 120)
{
	uint64_t before = self->cells.offset + self->cells.length, good = 0;
	unsigned char *end = (unsigned char *)pinring_region_base(self->r) + before;
	struct pinring_completion done;

	/* Whatever passes by chance writes to the one region there is. */
	memset(end, 0x5a, 4096);
	for (int round = 0; round < 10; round++) {
		for (uint32_t n = 0; n < PROGRAM; n++) {
			for (int w = 0; w < PINRING_SLOT_WORDS; w++) {
				self->slots[n].word[w] = random_word();
			}
			/* Half of them of operations that there are. */
			if (n % 2) {
				self->slots[n].word[0] = n | (uint64_t)(n % 36) << 32;
				self->slots[n].word[1] = n % 64;
				self->slots[n].word[2] |= 0xffull << 48;
			}
		}
		done = call(self->from, forward(self, 0, PROGRAM, 0));
		ASSERT_EQ(0, done.status);
		done = call(self->from, join(self, 0));
		ASSERT_NE(0, done.status);
		ASSERT_LT(done.done, PROGRAM);
		good += done.done;
	}
	EXPECT_TRUE(COMES_TRUE(info_of(self->to).telemetry.processed == 10 * PROGRAM));
	EXPECT_EQ(10 * PROGRAM - good, info_of(self->to).telemetry.failed);
	EXPECT_EQ(PINRING_STATE_ACTIVE, pinring_executor_state(self->to));
}

TEST_F(link, a_full_ring_waits_for_so_long)
{
	struct pinring_completion done;

	write_chain(self, 64);
	ASSERT_OK(pinring_executor_pause(self->to));
	ASSERT_OK(pinring_executor_wait_state(self->to, PINRING_STATE_PAUSED, 20 * SECOND));
	done = call(self->from, forward(self, 0, 64, 20000));
	EXPECT_EQ(-ETIMEDOUT, done.status);
	EXPECT_EQ(PINRING_REASON_LATE, done.reason);
	EXPECT_EQ(4, done.done);
	done = call(self->from, join(self, 20000));
	EXPECT_EQ(-ETIMEDOUT, done.status);
	EXPECT_EQ(0, done.done);
	EXPECT_EQ(0, self->cell[1]);
	/* What is there is not lost, and the rest may follow. */
	ASSERT_OK(pinring_executor_activate(self->to));
	done = call(self->from, forward(self, 4, 60, 0));
	EXPECT_EQ(0, done.status);
	done = call(self->from, join(self, 0));
	EXPECT_EQ(0, done.status);
	EXPECT_EQ(64, done.done);
	EXPECT_TRUE(chain_holds(self, 64));
}

/* The forward is full, and waits. */
static bool is_waiting(struct pinring_executor *ex)
{
	uint64_t before = info_of(ex).heartbeat;

	return COMES_TRUE(info_of(ex).heartbeat > before + 2) &&
	       info_of(ex).telemetry.processed == 0;
}

TEST_F(link, who_waits_can_be_terminated)
{
	struct pinring_command f = forward(self, 0, 64, 0);
	struct pinring_completion done;
	uint64_t ticket;

	write_chain(self, 64);
	ASSERT_OK(pinring_executor_pause(self->to));
	ASSERT_OK(pinring_executor_wait_state(self->to, PINRING_STATE_PAUSED, 20 * SECOND));
	ASSERT_OK(pinring_executor_submit(self->from, &f, &ticket));
	ASSERT_TRUE(is_waiting(self->from));
	ASSERT_OK(pinring_executor_terminate(self->from));
	done = wait_for(self->from, ticket);
	EXPECT_EQ(-ECANCELED, done.status);
	EXPECT_EQ(PINRING_REASON_STOPPED, done.reason);
	EXPECT_EQ(4, done.done);
	/* The peer does what it was sent, by whomever. */
	pinring_executor_close(self->from, 10 * SECOND);
	self->from = NULL;
	ASSERT_OK(pinring_executor_activate(self->to));
	EXPECT_TRUE(COMES_TRUE(info_of(self->to).telemetry.processed == 4));
	EXPECT_TRUE(chain_holds(self, 4));
	EXPECT_EQ(PINRING_STATE_ACTIVE, pinring_executor_state(self->to));
}

TEST_F(link, each_waits_for_the_other_until_a_time)
{
	struct pinring_command f = forward(self, 0, 1, 0), j = join(self, 0);
	struct pinring_command back = { .id = 3, .operation = PINRING_OP_JOIN };
	struct pinring_completion done;
	uint64_t first, last, heartbeat;

	/* The peer joins on us, who join on it: it has forwarded to us before. */
	ASSERT_EQ(0, pinring_executor_connect(self->to, self->from, 4));
	write_down(self, 0, &back);
	write_chain(self, 0);
	back.operation = PINRING_OP_NOP;
	write_down(self, 8, &back);
	/* We are busy with a wait, and the peer's nop waits in our feed. */
	ASSERT_OK(pinring_executor_pause(self->to));
	ASSERT_OK(pinring_executor_wait_state(self->to, PINRING_STATE_PAUSED, 20 * SECOND));
	ASSERT_OK(pinring_executor_submit(self->from, &f, &first));
	ASSERT_OK(pinring_executor_submit(self->from, &j, &last));
	f = forward(self, 8, 1, 0);
	ASSERT_OK(pinring_executor_submit(self->to, &f, NULL));
	ASSERT_TRUE(COMES_TRUE(info_of(self->from).telemetry.processed == 1));
	/* After a host's command it is the feeds' turn: the join has begun. */
	heartbeat = info_of(self->from).heartbeat;
	ASSERT_TRUE(COMES_TRUE(info_of(self->from).heartbeat > heartbeat + 3));
	ASSERT_OK(pinring_executor_activate(self->to));
	EXPECT_EQ(-ETIMEDOUT, pinring_executor_wait(self->from, last, SECOND / 10, &done));
	/* Both can be ended all the same. */
	ASSERT_OK(pinring_executor_terminate(self->to));
	done = wait_for(self->from, last);
	/* Its last answer may come before its end is noticed. */
	EXPECT_TRUE((done.status == -EPIPE && done.reason == PINRING_REASON_PEER) ||
		    (done.status == -ECANCELED && done.reason == PINRING_REASON_STOPPED));
	EXPECT_EQ(0, done.done);
	EXPECT_EQ(0, wait_for(self->from, first).status);
	EXPECT_EQ(0, pinring_executor_wait_state(self->to, PINRING_STATE_TERMINATED, 20 * SECOND));
}

/* --------------------------------------------------------------- the peer's end */
TEST_F(link, a_peer_that_has_ended_is_told)
{
	struct pinring_command nop = { .id = 1, .operation = PINRING_OP_NOP };
	struct pinring_completion done;
	uint64_t ticket;

	write_chain(self, 64);
	pinring_executor_close(self->to, 10 * SECOND);
	self->to = NULL;
	/* Who waits does not look after it any more. */
	ASSERT_OK(pinring_executor_pause(self->from));
	ASSERT_OK(pinring_executor_wait_state(self->from, PINRING_STATE_PAUSED, 20 * SECOND));
	ASSERT_OK(pinring_executor_submit(self->from, &nop, &ticket));
	EXPECT_EQ(-ETIMEDOUT, pinring_executor_wait(self->from, ticket, SECOND / 10, &done));
	ASSERT_OK(pinring_executor_activate(self->from));
	EXPECT_EQ(0, wait_for(self->from, ticket).status);
	done = call(self->from, forward(self, 0, 64, 0));
	EXPECT_EQ(-EPIPE, done.status);
	EXPECT_EQ(PINRING_REASON_PEER, done.reason);
	EXPECT_EQ(0, done.done);
	done = call(self->from, join(self, 0));
	EXPECT_EQ(0, done.status);
	EXPECT_EQ(PINRING_STATE_ACTIVE, pinring_executor_state(self->from));
}

TEST_F(link, a_peer_that_ends_meanwhile_is_told)
{
	struct pinring_command f = forward(self, 0, 64, 0);
	struct pinring_completion done;
	uint64_t ticket;

	write_chain(self, 64);
	ASSERT_OK(pinring_executor_pause(self->to));
	ASSERT_OK(pinring_executor_wait_state(self->to, PINRING_STATE_PAUSED, 20 * SECOND));
	ASSERT_OK(pinring_executor_submit(self->from, &f, &ticket));
	ASSERT_TRUE(is_waiting(self->from));
	ASSERT_OK(pinring_executor_terminate(self->to));
	done = wait_for(self->from, ticket);
	EXPECT_EQ(-EPIPE, done.status);
	EXPECT_EQ(PINRING_REASON_PEER, done.reason);
	EXPECT_EQ(4, done.done);
	done = call(self->from, join(self, 0));
	EXPECT_EQ(-EPIPE, done.status);
}

/* Draining does all that was sent, over every link, and takes no more. */
TEST_F(link, a_peer_that_drains_does_what_it_was_sent)
{
	struct pinring_completion done;
	struct pinring_command j;
	uint64_t ticket[5];

	for (int i = 1; i < 5; i++) {
		ASSERT_EQ(i, pinring_executor_connect(self->from, self->to, 4));
	}
	write_chain(self, 64);
	ASSERT_OK(pinring_executor_pause(self->to));
	ASSERT_OK(pinring_executor_wait_state(self->to, PINRING_STATE_PAUSED, 20 * SECOND));
	for (self->link = 0; self->link < 5; self->link++) {
		ASSERT_EQ(0, call(self->from, forward(self, 0, 4, 0)).status);
	}
	for (self->link = 0; self->link < 5; self->link++) {
		j = join(self, 0);
		ASSERT_OK(pinring_executor_submit(self->from, &j, &ticket[self->link]));
	}
	ASSERT_OK(pinring_executor_drain(self->to));
	for (int i = 0; i < 5; i++) {
		done = wait_for(self->from, ticket[i]);
		EXPECT_EQ(0, done.status);
		EXPECT_EQ(4, done.done);
	}
	EXPECT_TRUE(chain_holds(self, 4));
	self->link = 0;
	EXPECT_EQ(-EPIPE, call(self->from, forward(self, 0, 4, 0)).status);
	EXPECT_EQ(0, pinring_executor_wait_state(self->to, PINRING_STATE_TERMINATED,
						 20 * SECOND));
}

TEST_F(link, a_peer_that_is_to_drain_takes_no_more)
{
	struct pinring_command c = { .operation = PINRING_OP_ASK, .aux = 1,
				     .dst.region = PINRING_REGION_NONE };
	struct pinring_completion done;
	uint64_t ticket;

	sem_init(&entered, 0, 0);
	sem_init(&released, 0, 0);
	write_chain(self, 4);
	/* It has something to do before. */
	ASSERT_OK(pinring_executor_offer(self->to, 1, blocks, NULL));
	ASSERT_OK(pinring_executor_submit(self->to, &c, &ticket));
	while (sem_wait(&entered))
		;
	ASSERT_OK(pinring_executor_drain(self->to));
	done = call(self->from, forward(self, 0, 4, 0));
	EXPECT_EQ(-EPIPE, done.status);
	EXPECT_EQ(0, done.done);
	sem_post(&released);
	EXPECT_EQ(0, wait_for(self->to, ticket).status);
}

TEST_F(link, a_peer_that_never_began_is_told)
{
	struct pinring_executor *never;
	struct pinring_completion done;
	uint64_t ticket;
	struct pinring_command j;

	ASSERT_OK(make(self, variant->to_gpu, variant->gpu, 0, &never));
	ASSERT_EQ(1, pinring_executor_connect(self->from, never, 4));
	write_chain(self, 4);
	self->link = 1;
	ASSERT_EQ(0, call(self->from, forward(self, 0, 4, 0)).status);
	j = join(self, 0);
	ASSERT_OK(pinring_executor_submit(self->from, &j, &ticket));
	EXPECT_EQ(-ETIMEDOUT, pinring_executor_wait(self->from, ticket, SECOND / 20, &done));
	pinring_executor_close(never, 0);
	done = wait_for(self->from, ticket);
	EXPECT_EQ(-EPIPE, done.status);
}

/* Connected while both run, and what was sent before the launch is done after it. */
TEST_F(link, one_that_begins_later_does_what_is_there)
{
	struct pinring_executor *later;
	struct pinring_completion done;

	ASSERT_OK(make(self, false, 0, 0, &later));
	ASSERT_EQ(0, pinring_executor_attach(later, self->r));
	ASSERT_EQ(1, pinring_executor_connect(self->from, later, 4));
	write_chain(self, 4);
	self->link = 1;
	ASSERT_EQ(0, call(self->from, forward(self, 0, 4, 0)).status);
	ASSERT_OK(begin(later));
	done = call(self->from, join(self, 0));
	EXPECT_EQ(0, done.status);
	EXPECT_EQ(4, done.done);
	EXPECT_TRUE(chain_holds(self, 4));
	pinring_executor_close(later, SECOND);
}

/* ------------------------------------------------------------------------ connecting */
TEST_F(link, what_cannot_be_connected_is_refused_in_words)
{
	struct pinring_executor *ended;

	EXPECT_EQ(-EINVAL, pinring_executor_connect(self->from, self->from, 0));
	SAYS("itself");
	EXPECT_EQ(-EINVAL, pinring_executor_connect(self->from, self->to, 3));
	SAYS("3 is not a power of two");
	EXPECT_EQ(-EINVAL, pinring_executor_connect(self->from, self->to, 2));
	EXPECT_EQ(-EINVAL, pinring_executor_connect(self->from, self->to, 1 << 17));
	ASSERT_OK(make(self, false, 0, 0, &ended));
	ASSERT_OK(pinring_executor_terminate(ended));
	EXPECT_EQ(-EPIPE, pinring_executor_connect(self->from, ended, 0));
	SAYS("to receive has ended");
	EXPECT_EQ(-EPIPE, pinring_executor_connect(ended, self->to, 0));
	SAYS("to forward has ended");
	pinring_executor_close(ended, 0);
	for (int i = 1; i < 8; i++) {
		ASSERT_EQ(i, pinring_executor_connect(self->from, self->to, 0));
	}
	EXPECT_EQ(-ENOSPC, pinring_executor_connect(self->from, self->to, 0));
	SAYS("8 links from");
}

/* -------------------------------------------------------------------- children of fork */
/* The tables are shared with the parent, whose loops read them. */
TEST_F(link, a_child_of_fork_connects_nothing)
{
	int status = 0;
	pid_t child;

	child = fork();
	if (!child) {
		_exit(pinring_executor_connect(self->from, self->to, 4) == -EOPNOTSUPP &&
		      strstr(pinring_error(), "forked") ? 0 : 1);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	write_chain(self, 8);
	EXPECT_EQ(1, pinring_executor_connect(self->from, self->to, 4));
	for (self->link = 0; self->link < 2; self->link++) {
		memset(self->cell, 0, 9 * sizeof(float));
		EXPECT_EQ(8, call(self->from, forward(self, 0, 8, 0)).done);
		EXPECT_EQ(8, call(self->from, join(self, 0)).done);
		EXPECT_TRUE(chain_holds(self, 8));
	}
}

/* As they were when it was forked, whatever the parent has connected since. */
TEST_F(link, a_child_of_fork_closes_its_copies)
{
	int status = 0, go[2];
	pid_t child;
	char byte;

	ASSERT_EQ(0, pipe(go));
	child = fork();
	if (!child) {
		if (read(go[0], &byte, 1) != 1)
			_exit(2);
		_exit(pinring_executor_close(self->from, 0) ||
		      pinring_executor_close(self->to, 0));
	}
	EXPECT_EQ(1, pinring_executor_connect(self->from, self->to, 4));
	EXPECT_EQ(1, write(go[1], "", 1));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	close(go[0]);
	close(go[1]);
	write_chain(self, 8);
	self->link = 1;
	EXPECT_EQ(8, call(self->from, forward(self, 0, 8, 0)).done);
	EXPECT_EQ(8, call(self->from, join(self, 0)).done);
	EXPECT_TRUE(chain_holds(self, 8));
}

/*
 * Who waits in it looks after its own links, not after those that it closed. Nobody
 * begins: ThreadSanitizer lets a child have no threads.
 */
static int connects_two_of_its_own(FIXTURE_DATA(link) *self)
{
	struct pinring_executor *from, *to;
	int rc;

	pinring_executor_close(self->from, 0);
	pinring_executor_close(self->to, 0);
	if (make(self, false, 0, 0, &from) || make(self, false, 0, 0, &to) ||
	    pinring_executor_connect(from, to, 4))
		return 2;
	rc = pinring_executor_wait_state(from, PINRING_STATE_ACTIVE, 0);
	pinring_executor_close(from, 0);
	pinring_executor_close(to, 0);
	return rc != -ETIMEDOUT;
}

TEST_F(link, a_child_of_fork_connects_its_own)
{
	int status = 0;
	pid_t child;

	write_chain(self, 4);
	child = fork();
	if (!child) {
		alarm(20); /* a hang ends the child, not the test */
		_exit(connects_two_of_its_own(self));
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(4, call(self->from, forward(self, 0, 4, 0)).done);
	EXPECT_EQ(4, call(self->from, join(self, 0)).done);
}

/* -------------------------------------------------------------- places of those closed */
/* Another peer, connected as this number. */
static int add_peer(FIXTURE_DATA(link) *self, bool on_gpu, struct pinring_executor **out)
{
	int rc = make(self, on_gpu, 0, 0, out);

	if (!rc)
		rc = pinring_executor_attach(*out, self->r);
	if (!rc)
		rc = begin(*out);
	return rc ? rc : pinring_executor_connect(self->from, *out, 4);
}

TEST_F_TIMEOUT(link, a_place_is_taken_again_when_the_peer_is_closed, 120)
{
	struct pinring_executor *peer;
	struct pinring_completion done;
	uint32_t before[8]; /* in each place */
	int number;

	write_chain(self, 8);
	for (int round = 0; round < 20; round++) {
		number = add_peer(self, variant->to_gpu, &peer);
		ASSERT_LT(0, number) {
			TH_LOG("round %d: %s", round, pinring_error());
		}
		/* Places 1 to 7, and then 1 again, as another number. */
		if (round < 7) {
			EXPECT_EQ(round + 1, number);
		} else {
			EXPECT_EQ(before[number % 8] + 8, (uint32_t)number);
		}
		self->link = (uint32_t)number;
		memset(self->cell, 0, 9 * sizeof(float));
		done = call(self->from, forward(self, 0, 8, 0));
		ASSERT_EQ(0, done.status);
		done = call(self->from, join(self, 0));
		ASSERT_EQ(0, done.status);
		ASSERT_EQ(8, done.done);
		ASSERT_TRUE(chain_holds(self, 8));
		if (round >= 7) {
			/* Nobody meant this peer by the number of the one before. */
			self->link = before[number % 8];
			done = call(self->from, forward(self, 0, 8, 0));
			EXPECT_EQ(-EINVAL, done.status);
			EXPECT_EQ(PINRING_REASON_LINK, done.reason);
			EXPECT_EQ(PINRING_REASON_LINK, call(self->from, join(self, 0)).reason);
		}
		before[number % 8] = (uint32_t)number;
		EXPECT_EQ(0, pinring_executor_close(peer, 10 * SECOND));
	}
	/* The first one was there all the time. */
	self->link = 0;
	memset(self->cell, 0, 9 * sizeof(float));
	EXPECT_EQ(0, call(self->from, forward(self, 0, 8, 0)).status);
	EXPECT_EQ(8, call(self->from, join(self, 0)).done);
	EXPECT_TRUE(chain_holds(self, 8));
}

/* A command may be at a link of an executor that is closed, or about to be. */
TEST_F_TIMEOUT(link, no_place_is_taken_from_one_that_is_busy, 120)
{
	/* Seven places to be had, and a second for all of them: it is at it yet. */
	struct pinring_command f = forward(self, 0, 64, 6000000);
	struct pinring_executor *peer[8];
	struct pinring_completion done;
	uint64_t ticket;
	int number;

	for (int i = 1; i < 8; i++) {
		ASSERT_EQ(i, add_peer(self, false, &peer[i]));
		EXPECT_EQ(0, pinring_executor_close(peer[i], 10 * SECOND));
	}
	write_chain(self, 64);
	ASSERT_OK(pinring_executor_pause(self->to));
	ASSERT_OK(pinring_executor_wait_state(self->to, PINRING_STATE_PAUSED, 20 * SECOND));
	ASSERT_OK(pinring_executor_submit(self->from, &f, &ticket));
	ASSERT_TRUE(is_waiting(self->from));
	EXPECT_EQ(-ENOSPC, add_peer(self, false, &peer[0]));
	SAYS("none that is done with");
	ASSERT_OK(pinring_executor_activate(self->to));
	done = wait_for(self->from, ticket);
	EXPECT_EQ(0, done.status);
	number = pinring_executor_connect(self->from, peer[0], 4);
	EXPECT_LE(9, number) {
		TH_LOG("%s", pinring_error());
	}
	EXPECT_EQ(64, call(self->from, join(self, 0)).done);
	EXPECT_TRUE(chain_holds(self, 64));
	memset(self->cell, 0, 65 * sizeof(float));
	self->link = (uint32_t)number;
	EXPECT_EQ(64, call(self->from, forward(self, 0, 64, 0)).done);
	EXPECT_EQ(64, call(self->from, join(self, 0)).done);
	EXPECT_TRUE(chain_holds(self, 64));
	EXPECT_EQ(0, pinring_executor_close(peer[0], 10 * SECOND));
}

/* cell[n] += 1, of nine executors in turn: what the first eight left is not lost. */
TEST_F_TIMEOUT(link, a_place_is_taken_again_when_all_that_was_sent_is_answered, 120)
{
	struct pinring_command c = forward(self, 0, 3, 0);
	struct pinring_executor *from;
	struct pinring_completion done;
	int rc = 0;

	for (uint32_t n = 0; n < 3; n++) {
		struct pinring_command one = {
			.id = n, .operation = PINRING_OP_ADD, .count = 1,
			.a = cell(self, n), .b = cell(self, CELLS - 1), .dst = cell(self, n),
		};

		write_down(self, n, &one);
	}
	self->cell[CELLS - 1] = 1;
	ASSERT_OK(pinring_executor_pause(self->to));
	ASSERT_OK(pinring_executor_wait_state(self->to, PINRING_STATE_PAUSED, 20 * SECOND));
	for (int i = 0; i < 20; i++) {
		ASSERT_OK(make(self, variant->from_gpu, 0, 0, &from));
		ASSERT_EQ(0, pinring_executor_attach(from, self->r));
		ASSERT_OK(begin(from));
		rc = pinring_executor_connect(from, self->to, 4);
		if (i == 7) {
			/* self->from has the eighth place. */
			EXPECT_EQ(-ENOSPC, rc);
			SAYS("links to");
			ASSERT_OK(pinring_executor_activate(self->to));
			ASSERT_TRUE(COMES_TRUE(info_of(self->to).telemetry.processed == 7 * 3));
			rc = pinring_executor_connect(from, self->to, 4);
		}
		ASSERT_EQ(0, rc) {
			TH_LOG("%d: %s", i, pinring_error());
		}
		self->link = 0;
		done = call(from, c);
		ASSERT_EQ(0, done.status);
		if (i >= 7) {
			EXPECT_EQ(3, call(from, join(self, 0)).done);
		}
		EXPECT_EQ(0, pinring_executor_close(from, 10 * SECOND));
	}
	EXPECT_TRUE(COMES_TRUE(info_of(self->to).telemetry.processed == 20 * 3));
	for (int n = 0; n < 3; n++) {
		EXPECT_EQ(20.0f, self->cell[n]);
	}
	EXPECT_EQ(0, self->cell[3]);
}

/* All of a peer's feeds are served, however many. */
TEST_F(link, every_link_to_a_peer_is_served)
{
	struct pinring_completion done;
	struct pinring_command f;
	uint64_t ticket[8];

	for (int i = 1; i < 8; i++) {
		ASSERT_EQ(i, pinring_executor_connect(self->from, self->to, 4));
	}
	for (uint32_t n = 0; n < 8 * 32; n++) {
		struct pinring_command c = {
			.id = n, .operation = PINRING_OP_ADD, .count = 1,
			.a = cell(self, n % 8), .b = cell(self, CELLS - 1),
			.dst = cell(self, n % 8),
		};

		write_down(self, n % 8 * 32 + n / 8, &c);
	}
	self->cell[CELLS - 1] = 1;
	/* Four of each are there when it begins to look. */
	ASSERT_OK(pinring_executor_pause(self->to));
	ASSERT_OK(pinring_executor_wait_state(self->to, PINRING_STATE_PAUSED, 20 * SECOND));
	for (self->link = 0; self->link < 8; self->link++) {
		ASSERT_EQ(0, call(self->from, forward(self, self->link * 32, 4, 0)).status);
	}
	ASSERT_OK(pinring_executor_activate(self->to));
	for (self->link = 0; self->link < 8; self->link++) {
		f = forward(self, self->link * 32 + 4, 28, 0);
		ASSERT_OK(pinring_executor_submit(self->from, &f, NULL));
	}
	for (self->link = 0; self->link < 8; self->link++) {
		f = join(self, 0);
		ASSERT_OK(pinring_executor_submit(self->from, &f, &ticket[self->link]));
	}
	for (int i = 0; i < 8; i++) {
		done = wait_for(self->from, ticket[i]);
		EXPECT_EQ(0, done.status);
		EXPECT_EQ(32, done.done);
		EXPECT_EQ(32.0f, self->cell[i]);
	}
}

TEST_HARNESS_MAIN
