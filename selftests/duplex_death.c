// SPDX-License-Identifier: MIT
/*
 * The duplex slot when either side dies, at any point: every call ends, with its
 * answer or with the news, and whoever comes next goes on.
 */
#include <kselftest_harness.h>

#include <signal.h>
#include <sys/wait.h>

#include "duplex_slot.h"
#include "kills.h"
#include "take_cpu.h"

static void reopen_server(struct __test_metadata *_metadata,
			  FIXTURE_DATA(duplex) *self)
{
	pinring_duplex_server_close(&self->s);
	ASSERT_EQ(0, pinring_duplex_server_open(self->r, "slot", &self->s));
}

static void reopen_caller(struct __test_metadata *_metadata,
			  FIXTURE_DATA(duplex) *self)
{
	pinring_duplex_caller_close(&self->c);
	ASSERT_EQ(0, pinring_duplex_caller_open(self->r, "slot", &self->c));
}

TEST_F(duplex, a_server_that_dies_before_it_answers_leaves_the_request)
{
	const void *request;

	EXPECT_EQ(0, post(&self->c, 1));
	reopen_server(_metadata, self);
	EXPECT_EQ(0, pinring_duplex_peek(&self->s, &request)); /* and dies here */
	reopen_server(_metadata, self);
	EXPECT_EQ(0, serve(&self->s));
	EXPECT_EQ(answer_to(1), poll_reply(&self->c));
}

TEST_F(duplex, a_server_that_dies_answering_leaves_a_void_call)
{
	uint64_t item[WORDS];
	const void *request;

	for (uint64_t i = 0; i < 5; i++) {
		EXPECT_EQ(0, post(&self->c, 1));
		EXPECT_EQ(0, pinring_duplex_peek(&self->s, &request));
		memset(pinring_duplex_begin(&self->s), 0xff, 16); /* and dies */
		EXPECT_EQ(FAILED(EAGAIN), poll_reply(&self->c));
		self->shared->sleepers.room = 1;
		reopen_server(_metadata, self);
		EXPECT_EQ(2u, self->shared->sleepers.room);
		EXPECT_EQ(-EAGAIN, serve(&self->s));
		EXPECT_EQ(-EOWNERDEAD, pinring_duplex_pop_wait(&self->c, item, 0));
		EXPECT_EQ(FAILED(ENOMSG), poll_reply(&self->c));
		EXPECT_EQ(0, post(&self->c, 2));
		EXPECT_EQ(0, serve(&self->s));
		EXPECT_EQ(answer_to(2), poll_reply(&self->c));
	}
	EXPECT_EQ((variant->calls + 10) << 2, self->shared->line.word);
}

/* Void, abandoned and void again: the count of calls stays common to both. */
TEST_F(duplex, sides_opened_after_a_void_call_go_on)
{
	const void *request;

	EXPECT_EQ(0, post(&self->c, 1));
	EXPECT_EQ(0, pinring_duplex_peek(&self->s, &request));
	pinring_duplex_begin(&self->s);
	reopen_caller(_metadata, self);
	EXPECT_EQ(-EBUSY, post(&self->c, 2));
	reopen_server(_metadata, self);
	reopen_server(_metadata, self);
	EXPECT_EQ(0, post(&self->c, 2));
	EXPECT_EQ(0, serve(&self->s));
	EXPECT_EQ(answer_to(2), poll_reply(&self->c));
}

TEST_F(duplex, a_caller_that_dies_writing_its_request_asked_nothing)
{
	void *request = NULL;

	EXPECT_EQ(0, pinring_duplex_reserve(&self->c, &request));
	memset(request, 0xff, BYTES); /* and dies here */
	reopen_caller(_metadata, self);
	EXPECT_EQ(-EAGAIN, serve(&self->s));
	EXPECT_EQ(0, post(&self->c, 1));
	EXPECT_EQ(0, serve(&self->s));
	EXPECT_EQ(answer_to(1), poll_reply(&self->c));
}

TEST_F(duplex, the_call_of_a_dead_caller_is_answered_to_nobody)
{
	struct pinring_wait ended;

	EXPECT_EQ(0, post(&self->c, 1)); /* and dies here */
	reopen_caller(_metadata, self);
	ended = pinring_duplex_when_ended(&self->c);
	EXPECT_EQ(FAILED(ENOMSG), poll_reply(&self->c));
	EXPECT_EQ(-EBUSY, post(&self->c, 2));
	EXPECT_EQ(-ETIMEDOUT, pinring_wait_any(&ended, 1, NULL, 0));
	EXPECT_EQ(0, serve(&self->s));
	EXPECT_EQ(0, pinring_wait_any(&ended, 1, NULL, 0));
	EXPECT_EQ(0, post(&self->c, 2));
	EXPECT_EQ(0, serve(&self->s));
	EXPECT_EQ(answer_to(2), poll_reply(&self->c));
}

/* ---------------------------------------------------------------- campaigns */
#define KILLS (SANITIZED ? 60 : 400)

/* Serves for ever, slowly enough to die at any step. */
static void serve_until_killed(struct pinring_region *r)
{
	struct pinring_duplex_server s;
	const void *request;
	uint64_t item[WORDS];

	take_cpu(1);
	if (pinring_duplex_server_open(r, "slot", &s))
		_exit(1);
	for (;;) {
		void *reply;

		if (pinring_duplex_peek_wait(&s, &request, PINRING_FOREVER))
			_exit(2);
		if (!item_is_whole(request, BYTES))
			_exit(3);
		item_fill(item, BYTES, answer_to(*(const uint64_t *)request));
		reply = pinring_duplex_begin(&s);
		for (int i = 0; i < WORDS; i++) {
			((uint64_t *)reply)[i] = item[i];
			for (int k = 0; k < 200; k++)
				pinring_relax();
		}
		pinring_duplex_finish(&s);
	}
}

/*
 * One caller, hundreds of servers killed at random: every call ends, with its
 * answer or with the news that its server died, and no reply is torn.
 */
TEST_F_TIMEOUT(duplex, killing_the_server_at_any_point_ends_every_call, 120)
{
	uint64_t name = 0, answered = 0, died = 0;
	uint64_t item[WORDS];
	struct dice dice = { 1 };

	take_cpu(0);
	for (int round = 0; round < KILLS; round++) {
		uint64_t calls = roll(&dice, 20), polls = roll(&dice, 2000);
		int status, rc = 0;
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid)
			serve_until_killed(self->r);
		/* The last one is asked, and its server killed at some moment. */
		for (uint64_t i = 0; i <= calls; i++) {
			if (self->c.pending == PINRING_DUPLEX_NO_CALL) {
				ASSERT_EQ(0, post(&self->c, ++name));
			}
			if (i == calls)
				break;
			rc = pinring_duplex_pop_wait(&self->c, item, 60 * SECOND);
			if (rc == -EOWNERDEAD) {
				died++;
				continue;
			}
			ASSERT_EQ(0, rc);
			ASSERT_EQ(answer_to(name), item[0]);
			ASSERT_TRUE(item_is_whole(item, BYTES));
			answered++;
		}
		while (polls--)
			pinring_relax();
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status)) {
			TH_LOG("it ended by itself: %x", status);
		}
	}
	EXPECT_LT(0u, answered);
	EXPECT_LT(0u, died);
	/* One more server: the last call ends as well. */
	reopen_server(_metadata, self);
	if (self->c.pending && pinring_duplex_pop(&self->c, item) == -EAGAIN) {
		EXPECT_EQ(0, serve(&self->s));
		EXPECT_EQ(answer_to(name), poll_reply(&self->c));
	}
	TH_LOG("%llu calls answered, %llu died with their server",
	       (unsigned long long)answered, (unsigned long long)died);
	LOG_KILLS(KILLS);
}

/* The other side: a caller that dies at any point leaves a slot that works. */
TEST_F_TIMEOUT(duplex, killing_the_caller_at_any_point_leaves_a_slot_that_works, 120)
{
	struct dice dice = { 2 };

	for (int round = 0; round < KILLS; round++) {
		uint64_t served = roll(&dice, 30);
		unsigned int spins = 0;
		int status, rc;
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid) {
			struct pinring_duplex_caller c;
			uint64_t item[WORDS], i = 0;

			take_cpu(0);
			if (pinring_duplex_caller_open(self->r, "slot", &c))
				_exit(1);
			for (;;) {
				item_fill(item, BYTES, ++i);
				rc = pinring_duplex_call(&c, item, item,
							 PINRING_FOREVER);
				if (rc == -EBUSY) {
					sched_yield();
					continue; /* our predecessor's */
				}
				if (rc || item[0] != answer_to(i) ||
				    !item_is_whole(item, BYTES))
					_exit(2);
			}
		}
		take_cpu(1);
		while (served) {
			rc = serve(&self->s);
			ASSERT_TRUE(!rc || rc == -EAGAIN) {
				TH_LOG("%d", rc);
			}
			served -= !rc;
			if (rc)
				wait_a_little(&spins);
		}
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status)) {
			TH_LOG("it ended by itself: %x", status);
		}
	}
	reopen_caller(_metadata, self);
	serve(&self->s);
	EXPECT_EQ(0, post(&self->c, 1));
	EXPECT_EQ(0, serve(&self->s));
	EXPECT_EQ(answer_to(1), poll_reply(&self->c));
	LOG_KILLS(KILLS);
}

TEST_HARNESS_MAIN
