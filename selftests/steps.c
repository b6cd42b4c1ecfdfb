// SPDX-License-Identifier: MIT
/*
 * What the peer does, or finds, between any two instructions of a call: a child
 * makes the call one instruction at a time, and stops after each number of them.
 */
#include <kselftest_harness.h>

#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include <pinring/pinring.h>

#include "items.h"

#define LINES 32u
#define RUN 4u

FIXTURE(steps)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_line_producer lp;
	struct pinring_line_consumer lc;
	struct pinring_chain_producer cp;
	struct pinring_chain_consumer cc;
	struct pinring_duplex_caller dc;
	struct pinring_duplex_server ds;
	uint64_t items[RUN][PINRING_LINE_WORDS];
	long *result; /* of the call */
};

typedef FIXTURE_DATA(steps) steps;

FIXTURE_SETUP(steps)
{
	struct pinring_region_config config = pinring_region_defaults(1 << 18);
	struct pinring_chain_config chain = pinring_chain_defaults(4, 64, 8);

	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->r));
	ASSERT_EQ(0, pinring_line_create(self->r, "line", LINES));
	ASSERT_EQ(0, pinring_line_producer_open(self->r, "line", &self->lp));
	ASSERT_EQ(0, pinring_line_consumer_open(self->r, "line", &self->lc));
	ASSERT_EQ(0, pinring_chain_create(self->r, "chain", &chain));
	ASSERT_EQ(0, pinring_chain_producer_open(self->r, "chain", &self->cp));
	ASSERT_EQ(0, pinring_chain_consumer_open(self->r, "chain", &self->cc));
	ASSERT_EQ(0, pinring_duplex_create(self->r, "duplex"));
	ASSERT_EQ(0, pinring_duplex_caller_open(self->r, "duplex", &self->dc));
	ASSERT_EQ(0, pinring_duplex_server_open(self->r, "duplex", &self->ds));
	self->result = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->result);
	for (uint64_t i = 0; i < RUN; i++)
		item_fill(self->items[i], PINRING_LINE_PAYLOAD, i);
}

FIXTURE_TEARDOWN(steps)
{
	munmap(self->result, 4096);
	pinring_line_producer_close(&self->lp);
	pinring_line_consumer_close(&self->lc);
	pinring_chain_producer_close(&self->cp);
	pinring_chain_consumer_close(&self->cc);
	pinring_duplex_caller_close(&self->dc);
	pinring_duplex_server_close(&self->ds);
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

/*
 * The call by a child, with copies of our handles; after n instructions of it,
 * `meanwhile` by us. 0; 1: the call was over before; -1: no ptrace here.
 */
static int interrupt(steps *self, long (*call)(steps *self),
		     void (*meanwhile)(struct __test_metadata *_metadata, steps *self),
		     struct __test_metadata *_metadata, long n)
{
	pid_t pid = fork();
	int status, over = 0;

	if (!pid) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(1);
		raise(SIGSTOP);
		*self->result = call(self);
		raise(SIGSTOP);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		return -1;
	for (; n && !over; n--) {
		if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) ||
		    waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
			return -1;
		over = WSTOPSIG(status) != SIGTRAP;
	}
	meanwhile(_metadata, self);
	if (!over && (ptrace(PTRACE_CONT, pid, NULL, NULL) ||
		      waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)))
		return -1;
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return over;
}

/* Again and again, a step later each time; what is left over to settle_up. */
static void at_each_step(struct __test_metadata *_metadata, steps *self,
			 long (*call)(steps *self),
			 void (*meanwhile)(struct __test_metadata *_metadata, steps *self),
			 void (*settle_up)(struct __test_metadata *_metadata, steps *self))
{
	long n = 0;
	int rc;

	if (SANITIZED)
		SKIP(return, "a sanitizer makes too many instructions of it");
	do {
		rc = interrupt(self, call, meanwhile, _metadata, n);
		if (rc < 0)
			SKIP(return, "ptrace is not permitted here");
		settle_up(_metadata, self);
		if (!_metadata->passed) {
			TH_LOG("after %ld instructions", n);
			return;
		}
		n++;
	} while (!rc);
	TH_LOG("%ld instructions", n);
	EXPECT_LT(20, n); /* or it was over before it began */
}

/* --------------------------------------------------------- closing, and before */

/* The end is told once there is nothing, or to one that looked before that. */
static void expect_no_end(struct __test_metadata *_metadata, steps *self)
{
	EXPECT_NE(-EPIPE, *self->result);
}

static long pop_line(steps *self)
{
	uint64_t item[PINRING_LINE_WORDS];

	return pinring_line_pop(&self->lc, item);
}

static void send_line_and_close(struct __test_metadata *_metadata, steps *self)
{
	uint64_t item[PINRING_LINE_WORDS] = { 0 };

	EXPECT_EQ(0, pinring_line_push(&self->lp, item));
	pinring_line_close_producer(&self->lp);
}

static void receive_line(struct __test_metadata *_metadata, steps *self)
{
	expect_no_end(_metadata, self);
	EXPECT_EQ(0, pop_line(self));
	pinring_line_flush(&self->lc);
	self->lp.shared->producer_closed = 0;
}

TEST_F(steps, what_a_line_ring_got_before_closing_comes_before_the_end)
{
	at_each_step(_metadata, self, pop_line, send_line_and_close, receive_line);
}

static long pop_chain(steps *self)
{
	uint64_t item;

	return pinring_chain_pop_u64(&self->cc, &item);
}

static void send_chain_and_close(struct __test_metadata *_metadata, steps *self)
{
	EXPECT_EQ(0, pinring_chain_push_u64(&self->cp, 1));
	pinring_chain_close_producer(&self->cp);
}

static void receive_chain(struct __test_metadata *_metadata, steps *self)
{
	expect_no_end(_metadata, self);
	EXPECT_EQ(0, pop_chain(self));
	pinring_chain_flush(&self->cc);
	self->cp.shared->producer_closed = 0;
}

TEST_F(steps, what_a_chain_got_before_closing_comes_before_the_end)
{
	at_each_step(_metadata, self, pop_chain, send_chain_and_close, receive_chain);
}

static long look_for_request(steps *self)
{
	const void *request;

	return pinring_duplex_peek(&self->ds, &request);
}

static void ask_and_close(struct __test_metadata *_metadata, steps *self)
{
	uint64_t item[PINRING_LINE_WORDS] = { 0 };

	EXPECT_EQ(0, pinring_duplex_push(&self->dc, item));
	pinring_duplex_close_caller(&self->dc);
}

static void answer(struct __test_metadata *_metadata, steps *self)
{
	uint64_t item[PINRING_LINE_WORDS] = { 0 };

	expect_no_end(_metadata, self);
	EXPECT_EQ(0, look_for_request(self));
	EXPECT_EQ(0, pinring_duplex_answer(&self->ds, item));
	EXPECT_EQ(0, pinring_duplex_pop(&self->dc, item));
	self->dc.shared->caller_closed = 0;
}

TEST_F(steps, what_was_asked_before_closing_comes_before_the_end)
{
	at_each_step(_metadata, self, look_for_request, ask_and_close, answer);
}

static long look_for_reply(steps *self)
{
	const void *reply;

	return pinring_duplex_look(&self->dc, &reply);
}

static void answer_and_close(struct __test_metadata *_metadata, steps *self)
{
	uint64_t item[PINRING_LINE_WORDS] = { 0 };

	EXPECT_EQ(0, look_for_request(self));
	EXPECT_EQ(0, pinring_duplex_answer(&self->ds, item));
	pinring_duplex_close_server(&self->ds);
}

static void ask_again(struct __test_metadata *_metadata, steps *self)
{
	uint64_t item[PINRING_LINE_WORDS] = { 0 };

	expect_no_end(_metadata, self);
	EXPECT_EQ(0, pinring_duplex_pop(&self->dc, item));
	self->dc.shared->server_closed = 0;
	EXPECT_EQ(0, pinring_duplex_push(&self->dc, item));
}

TEST_F(steps, what_was_answered_before_closing_comes_before_the_end)
{
	uint64_t item[PINRING_LINE_WORDS] = { 0 };

	ASSERT_EQ(0, pinring_duplex_push(&self->dc, item));
	at_each_step(_metadata, self, look_for_reply, answer_and_close, ask_again);
}

/* -------------------------------------------------- a run of lines, half published */

static long push_lines(steps *self)
{
	return pinring_line_push_batch(&self->lp, self->items, RUN);
}

static long commit_lines(steps *self)
{
	struct pinring_line *lines = NULL;
	int64_t n = pinring_line_reserve(&self->lp, RUN, &lines);

	for (int64_t i = 0; i < n; i++)
		pinring_line_copy(lines[i].payload, self->items[i]);
	pinring_line_commit(&self->lp, (uint64_t)n);
	return n;
}

/* Whoever opened the ring now would find those that are there, whole, and no gap. */
static void look_at_the_lines(struct __test_metadata *_metadata, steps *self)
{
	const struct pinring_line *lines = self->lp.lines;
	uint64_t first = self->lp.write, mask = self->lp.mask, n, i;

	for (n = 0; n < RUN; n++) {
		const struct pinring_line *line = &lines[(first + n) & mask];

		if (line->word != pinring_line_full(first + n, mask))
			break;
		EXPECT_TRUE(item_is_whole(line->payload, PINRING_LINE_PAYLOAD));
		EXPECT_EQ(n, line->payload[0]);
	}
	for (i = n; i < RUN; i++) {
		EXPECT_EQ(pinring_line_empty(first + i, mask),
			  lines[(first + i) & mask].word);
	}
}

/* As the next producer, and the consumer, would. */
static void go_on_behind_them(struct __test_metadata *_metadata, steps *self)
{
	uint64_t item[PINRING_LINE_WORDS];

	EXPECT_EQ((long)RUN, *self->result);
	for (uint64_t i = 0; i < RUN; i++) {
		EXPECT_EQ(0, pinring_line_pop(&self->lc, item));
	}
	EXPECT_EQ(-EAGAIN, pinring_line_pop(&self->lc, item));
	pinring_line_producer_close(&self->lp);
	ASSERT_EQ(0, pinring_line_producer_open(self->r, "line", &self->lp));
}

TEST_F_TIMEOUT(steps, a_batch_of_lines_is_published_from_its_first_on, 60)
{
	at_each_step(_metadata, self, push_lines, look_at_the_lines, go_on_behind_them);
}

TEST_F_TIMEOUT(steps, a_run_of_lines_is_published_from_its_first_on, 60)
{
	at_each_step(_metadata, self, commit_lines, look_at_the_lines, go_on_behind_them);
}

TEST_HARNESS_MAIN
