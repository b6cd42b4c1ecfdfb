// SPDX-License-Identifier: MIT
/*
 * The duplex slot: every call gets its own answer, between threads and between
 * processes; whose turn it is and what everybody else is told; words that no
 * honest peer stores. What death does to it is in duplex_death.c.
 */
#include <kselftest_harness.h>

#include <pthread.h>
#include <stddef.h>
#include <sys/wait.h>

#include "duplex_slot.h"
#include "take_cpu.h"

/* ------------------------------------------------------------------ in turns */

TEST_F(duplex, a_call_gets_its_answer)
{
	for (uint64_t i = 0; i < 10; i++) {
		EXPECT_EQ(-EAGAIN, serve(&self->s));
		EXPECT_EQ(0, post(&self->c, i));
		EXPECT_EQ(FAILED(EAGAIN), poll_reply(&self->c));
		EXPECT_EQ(0, serve(&self->s));
		EXPECT_EQ(answer_to(i), poll_reply(&self->c));
		EXPECT_EQ(FAILED(ENOMSG), poll_reply(&self->c));
		EXPECT_EQ((variant->calls + i + 1) << 2 | PINRING_DUPLEX_IDLE,
			  self->shared->line.word);
	}
}

TEST_F(duplex, both_work_in_place)
{
	void *request = NULL, *again = NULL, *to_fill;
	const void *seen = NULL, *reply = NULL;

	ASSERT_EQ(0, pinring_duplex_reserve(&self->c, &request));
	ASSERT_EQ(0, pinring_duplex_reserve(&self->c, &again));
	EXPECT_EQ(request, again);
	item_fill(request, BYTES, 1);
	EXPECT_EQ(-EAGAIN, pinring_duplex_peek(&self->s, &seen));
	pinring_duplex_commit(&self->c);
	ASSERT_EQ(0, pinring_duplex_peek(&self->s, &seen));
	ASSERT_EQ(0, pinring_duplex_peek(&self->s, &seen));
	EXPECT_TRUE(item_is_whole(seen, BYTES));
	to_fill = pinring_duplex_begin(&self->s);
	ASSERT_EQ(seen, to_fill);
	EXPECT_EQ(-EBUSY, pinring_duplex_peek(&self->s, &seen));
	EXPECT_EQ(-EAGAIN, pinring_duplex_look(&self->c, &reply));
	item_fill(to_fill, BYTES, 2);
	EXPECT_EQ(-EAGAIN, pinring_duplex_look(&self->c, &reply));
	pinring_duplex_finish(&self->s);
	ASSERT_EQ(0, pinring_duplex_look(&self->c, &reply));
	EXPECT_EQ(2u, *(const uint64_t *)reply);
	EXPECT_TRUE(item_is_whole(reply, BYTES));
	EXPECT_EQ(56, PINRING_DUPLEX_PAYLOAD);
}

TEST_F(duplex, one_call_at_a_time_and_no_answer_without_one)
{
	uint64_t item[WORDS] = { 0 };

	EXPECT_EQ(-ENOMSG, pinring_duplex_answer(&self->s, item));
	EXPECT_NULL(pinring_duplex_begin(&self->s));
	EXPECT_EQ(FAILED(ENOMSG), poll_reply(&self->c));
	EXPECT_EQ(0, post(&self->c, 1));
	EXPECT_EQ(-EBUSY, post(&self->c, 2));
	EXPECT_EQ(-EBUSY, pinring_duplex_call(&self->c, item, item, SECOND));
	EXPECT_EQ(-ENOMSG, pinring_duplex_answer(&self->s, item)); /* not peeked */
	EXPECT_EQ(0, serve(&self->s));
	EXPECT_EQ(-ENOMSG, pinring_duplex_answer(&self->s, item));
	EXPECT_EQ(-EBUSY, post(&self->c, 2)); /* there, but not looked at */
	EXPECT_EQ(answer_to(1), poll_reply(&self->c));
	EXPECT_EQ(0, post(&self->c, 2));
}

TEST_F(duplex, an_abandoned_call_ends_without_its_caller)
{
	pinring_duplex_abandon(&self->c); /* nothing to abandon */
	EXPECT_EQ(0, post(&self->c, 1));
	pinring_duplex_abandon(&self->c);
	EXPECT_EQ(FAILED(ENOMSG), poll_reply(&self->c));
	EXPECT_EQ(-EBUSY, post(&self->c, 2));
	EXPECT_EQ(-EBUSY, post(&self->c, 2));
	EXPECT_EQ(0, serve(&self->s));
	EXPECT_EQ(0, post(&self->c, 2));
	EXPECT_EQ(0, serve(&self->s));
	EXPECT_EQ(answer_to(2), poll_reply(&self->c));
}

/* ------------------------------------------------------------------- waiting */

TEST_F(duplex, waiting_ends_with_the_turn_or_in_time)
{
	struct pinring_wait ended = pinring_duplex_when_ended(&self->c);
	struct pinring_wait asked = pinring_duplex_when_asked(&self->s);
	uint64_t item[WORDS];
	const void *request;

	EXPECT_EQ(-ETIMEDOUT, pinring_wait_any(&asked, 1, NULL, 0));
	EXPECT_EQ(-ETIMEDOUT, pinring_duplex_peek_wait(&self->s, &request, 0));
	EXPECT_EQ(-ETIMEDOUT, pinring_duplex_peek_wait(&self->s, &request, 3000000));
	item_fill(item, BYTES, 5);
	EXPECT_EQ(-ETIMEDOUT, pinring_duplex_call(&self->c, item, item, 0));
	EXPECT_EQ(-ETIMEDOUT, pinring_duplex_pop_wait(&self->c, item, 3000000));
	EXPECT_EQ(-ETIMEDOUT, pinring_wait_any(&ended, 1, NULL, 0));
	EXPECT_EQ(0, pinring_wait_any(&asked, 1, NULL, 0));
	EXPECT_EQ(0, pinring_duplex_peek_wait(&self->s, &request, 0));
	ASSERT_NE(NULL, pinring_duplex_begin(&self->s));
	EXPECT_EQ(-ETIMEDOUT, pinring_wait_any(&ended, 1, NULL, 0));
	item_fill(self->shared->line.payload, BYTES, 6);
	pinring_duplex_finish(&self->s);
	EXPECT_EQ(0, pinring_wait_any(&ended, 1, NULL, 0));
	EXPECT_EQ(0, pinring_duplex_pop_wait(&self->c, item, PINRING_FOREVER));
	EXPECT_EQ(6u, item[0]);
	EXPECT_EQ(-ENOMSG, pinring_duplex_pop_wait(&self->c, item, PINRING_FOREVER));
}

TEST_F(duplex, whoever_sleeps_is_woken)
{
	struct pinring_sleepers *s = &self->shared->sleepers;

	s->ready = s->room = 1;
	EXPECT_EQ(0, post(&self->c, 1));
	EXPECT_EQ(2u, s->ready);
	EXPECT_EQ(1u, s->room);
	EXPECT_EQ(0, serve(&self->s));
	EXPECT_EQ(2u, s->room);
	s->ready = s->room = 3;
	pinring_duplex_close_caller(&self->c);
	EXPECT_EQ(4u, s->ready);
	pinring_duplex_close_server(&self->s);
	EXPECT_EQ(4u, s->room);
}

/* ------------------------------------------------------------------- closing */

TEST_F(duplex, a_closed_caller_is_answered_and_then_ends)
{
	const void *request;

	EXPECT_EQ(0, post(&self->c, 1));
	pinring_duplex_close_caller(&self->c);
	EXPECT_EQ(0, serve(&self->s));
	EXPECT_EQ(-EPIPE, serve(&self->s));
	EXPECT_EQ(-EPIPE, pinring_duplex_peek_wait(&self->s, &request, PINRING_FOREVER));
	EXPECT_EQ(answer_to(1), poll_reply(&self->c));
}

TEST_F(duplex, a_closed_server_is_epipe_behind_its_last_answer)
{
	uint64_t item[WORDS] = { 0 };

	EXPECT_EQ(0, post(&self->c, 1));
	EXPECT_EQ(0, serve(&self->s));
	pinring_duplex_close_server(&self->s);
	EXPECT_EQ(answer_to(1), poll_reply(&self->c));
	EXPECT_EQ(-EPIPE, post(&self->c, 2));
	EXPECT_EQ(-EPIPE, pinring_duplex_call(&self->c, item, item, PINRING_FOREVER));
}

TEST_F(duplex, a_server_that_closes_instead_of_answering_is_epipe)
{
	uint64_t item[WORDS] = { 0 };

	EXPECT_EQ(0, post(&self->c, 1));
	pinring_duplex_close_server(&self->s);
	EXPECT_EQ(FAILED(EPIPE), poll_reply(&self->c));
	EXPECT_EQ(-EPIPE, pinring_duplex_pop_wait(&self->c, item, PINRING_FOREVER));
	pinring_duplex_abandon(&self->c);
	EXPECT_EQ(-EPIPE, post(&self->c, 1));
}

/* --------------------------------------------------------- calls by the million */
#define CALLS (SANITIZED ? 20000u : 300000u)

/* Until the caller closes; its handle stays with whoever opened it. */
static int serve_all(struct pinring_duplex_server *s)
{
	const void *request;
	int rc;

	take_cpu(1);
	for (;;) {
		rc = pinring_duplex_peek_wait(s, &request, PINRING_FOREVER);
		if (!rc)
			rc = serve(s);
		if (rc)
			return rc;
	}
}

static int call_all(struct pinring_duplex_caller *c, uint64_t calls)
{
	uint64_t item[WORDS];

	take_cpu(0);
	for (uint64_t i = 0; i < calls; i++) {
		item_fill(item, BYTES, i);
		if (pinring_duplex_call(c, item, item, PINRING_FOREVER) ||
		    item[0] != answer_to(i) || !item_is_whole(item, BYTES))
			return __LINE__;
	}
	pinring_duplex_close_caller(c);
	return 0;
}

static void *server_thread(void *arg)
{
	return (void *)(intptr_t)serve_all(arg);
}

TEST_F_TIMEOUT(duplex, every_call_gets_its_answer_between_threads, 120)
{
	pthread_t thread;
	void *rc;

	ASSERT_EQ(0, pthread_create(&thread, NULL, server_thread, &self->s));
	EXPECT_EQ(0, call_all(&self->c, CALLS));
	ASSERT_EQ(0, pthread_join(thread, &rc));
	EXPECT_EQ(-EPIPE, (intptr_t)rc);
}

TEST_F_TIMEOUT(duplex, every_call_gets_its_answer_between_processes, 120)
{
	int status;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		struct pinring_duplex_server s;
		struct pinring_region *mine;

		if (pinring_region_attach(self->device, pinring_region_fd(self->r),
					  &mine) ||
		    pinring_duplex_server_open(mine, "slot", &s))
			_exit(1);
		_exit(serve_all(&s) != -EPIPE);
	}
	EXPECT_EQ(0, call_all(&self->c, CALLS));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* -------------------------------------------------------------- broken peers */

TEST_F(duplex, a_word_that_is_impossible_is_eproto_and_passes)
{
	const uint64_t n = variant->calls << 2;
	const uint64_t to_server[] = { n | PINRING_DUPLEX_ANSWERING,
				       (n + 4) | PINRING_DUPLEX_POSTED,
				       (n - 4) | PINRING_DUPLEX_POSTED,
				       (n + 4) | PINRING_DUPLEX_IDLE, ~n };
	const uint64_t to_caller[] = { n | PINRING_DUPLEX_IDLE,
				       n | PINRING_DUPLEX_VOID,
				       (n + 4) | PINRING_DUPLEX_POSTED,
				       (n + 8) | PINRING_DUPLEX_IDLE, ~n };
	struct pinring_wait ended = pinring_duplex_when_ended(&self->c);
	struct pinring_wait asked = pinring_duplex_when_asked(&self->s);
	uint64_t *word = (uint64_t *)&self->shared->line.word;
	const void *request;
	uint64_t item[WORDS];

	for (size_t i = 0; i < ARRAY_SIZE(to_server); i++) {
		*word = to_server[i];
		EXPECT_EQ(-EPROTO, serve(&self->s));
		EXPECT_EQ(-EPROTO, pinring_duplex_peek_wait(&self->s, &request,
							    PINRING_FOREVER));
		EXPECT_EQ(0, pinring_wait_any(&asked, 1, NULL, 0));
	}
	*word = n;
	EXPECT_EQ(0, post(&self->c, 1));
	for (size_t i = 0; i < ARRAY_SIZE(to_caller); i++) {
		*word = to_caller[i];
		EXPECT_EQ(FAILED(EPROTO), poll_reply(&self->c));
		EXPECT_EQ(-EPROTO, pinring_duplex_pop_wait(&self->c, item,
							    PINRING_FOREVER));
		EXPECT_EQ(0, pinring_wait_any(&ended, 1, NULL, 0));
	}
	*word = n | PINRING_DUPLEX_POSTED;
	EXPECT_EQ(0, pinring_duplex_peek(&self->s, &request));
	*word = n | PINRING_DUPLEX_IDLE; /* taken back in the server's turn */
	EXPECT_EQ(-EPROTO, pinring_duplex_peek(&self->s, &request));
	*word = n | PINRING_DUPLEX_POSTED;
	EXPECT_EQ(0, serve(&self->s));
	EXPECT_EQ(answer_to(1), poll_reply(&self->c));
}

TEST_F(duplex, a_damaged_header_is_refused)
{
	static const size_t words[] = {
		offsetof(struct pinring_duplex, magic),
		offsetof(struct pinring_duplex, reserved),
		offsetof(struct pinring_duplex, seal),
		offsetof(struct pinring_duplex, caller_closed),
		offsetof(struct pinring_duplex, server_closed),
	};
	struct pinring_duplex_caller c = { .ended = 77 };
	struct pinring_duplex_server s = { .ended = 77 };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		uint64_t *word = (uint64_t *)((char *)self->shared + words[i]);

		*word ^= 2;
		EXPECT_EQ(-EINVAL, pinring_duplex_caller_open(self->r, "slot", &c));
		EXPECT_EQ(-EINVAL, pinring_duplex_server_open(self->r, "slot", &s));
		EXPECT_NE(NULL, strstr(pinring_error(), "damaged"));
		*word ^= 2;
	}
	self->shared->seal = 0;
	EXPECT_EQ(-EAGAIN, pinring_duplex_caller_open(self->r, "slot", &c));
	EXPECT_EQ(-EAGAIN, pinring_duplex_server_open(self->r, "slot", &s));
	EXPECT_EQ(-ENOENT, pinring_duplex_caller_open(self->r, "none", &c));
	ASSERT_EQ(0, pinring_line_create(self->r, "other", 32));
	EXPECT_EQ(-EINVAL, pinring_duplex_server_open(self->r, "other", &s));
	EXPECT_EQ(77u, c.ended);
	EXPECT_EQ(77u, s.ended);
}

TEST_HARNESS_MAIN
