// SPDX-License-Identifier: MIT
/*
 * An executor from its creation to its end: what each call does in each state,
 * and that every command gets one answer.
 */
#include <kselftest_harness.h>

#include <poll.h>
#include <sys/epoll.h>

#include "executor_fixture.h"
#include "held.h"
#include "sanitized.h"

/* ------------------------------------------------------------------- states */
enum state {
	CREATED,
	LAUNCHED,
	ACTIVE,
	PAUSED,
	DRAINING,
	TERMINATED, /* by pinring_executor_terminate */
	DRAINED, /* likewise terminated, by itself */
	FAILED,
	STATES,
};

static const enum pinring_state reported[STATES] = {
	PINRING_STATE_CREATED,	  PINRING_STATE_LAUNCHED,
	PINRING_STATE_ACTIVE,	  PINRING_STATE_PAUSED,
	PINRING_STATE_DRAINING,	  PINRING_STATE_TERMINATED,
	PINRING_STATE_TERMINATED, PINRING_STATE_FAILED,
};

/* A GPU's launch cannot be made to fail by what a config says. */
static int states(void)
{
	return on_cuda() ? FAILED : STATES;
}

/* The endless step holds the executor in "draining" until it is terminated. */
static int bring_to(struct pinring_device *device,
		    struct pinring_executor_config config, enum state state,
		    struct pinring_region *r, const struct pinring_wave *wave,
		    struct pinring_executor **ex)
{
	struct pinring_command endless = steps(1, wave, ENDLESS);
	int rc;

	if (state == FAILED)
		config.cpu = 1023;
	rc = pinring_executor_create(device, &config, ex);
	if (rc || state == CREATED)
		return rc;
	if (pinring_executor_attach(*ex, r))
		return -1;
	rc = pinring_executor_launch(*ex);
	if (state == FAILED)
		return rc ? 0 : -1;
	if (!rc)
		rc = pinring_executor_wait_state(*ex, PINRING_STATE_LAUNCHED,
						 10 * SECOND);
	if (rc || state == LAUNCHED)
		return rc;
	if (state == PAUSED)
		rc = pinring_executor_pause(*ex);
	else if (state == TERMINATED)
		rc = pinring_executor_terminate(*ex);
	else if (state == DRAINING)
		rc = pinring_executor_submit(*ex, &endless, NULL);
	else if (state == ACTIVE)
		rc = pinring_executor_activate(*ex);
	/* Not active before: it begins to drain, and then on the endless one. */
	if (!rc && (state == DRAINING || state == DRAINED))
		rc = pinring_executor_drain(*ex);
	if (!rc)
		rc = pinring_executor_wait_state(*ex, reported[state],
						 10 * SECOND);
	return rc;
}

enum call { LAUNCH, ACTIVATE, PAUSE, DRAIN, TERMINATE, SUBMIT, CALLS };

static const char *const call_names[CALLS] = { "launch", "activate", "pause",
					       "drain", "terminate", "submit" };

static const struct {
	int rc;
	int then; /* the state that follows, when rc is 0; -1: the same */
} table[STATES][CALLS] = {
	[CREATED] = { { 0, PINRING_STATE_LAUNCHED },
		      { -EINVAL, -1 },
		      { -EINVAL, -1 },
		      { -EINVAL, -1 },
		      { 0, PINRING_STATE_TERMINATED },
		      { 0, -1 } },
#define RUNNING { { -EINVAL, -1 }, { 0, PINRING_STATE_ACTIVE }, \
		  { 0, PINRING_STATE_PAUSED }, { 0, PINRING_STATE_TERMINATED }, \
		  { 0, PINRING_STATE_TERMINATED }, { 0, -1 } }
	[LAUNCHED] = RUNNING,
	[ACTIVE] = RUNNING,
	[PAUSED] = RUNNING,
	[DRAINING] = { { -EINVAL, -1 },
		       { -EINVAL, -1 },
		       { -EINVAL, -1 },
		       { -EINVAL, -1 },
		       { 0, PINRING_STATE_TERMINATED },
		       { -EPIPE, -1 } },
#define ENDED { { -EINVAL, -1 }, { -EINVAL, -1 }, { -EINVAL, -1 }, \
		{ -EINVAL, -1 }, { -EINVAL, -1 }, { -EPIPE, -1 } }
	[TERMINATED] = ENDED,
	[DRAINED] = ENDED,
	[FAILED] = ENDED,
};

static int do_call(struct pinring_executor *ex, enum call call)
{
	uint64_t ticket;

	switch (call) {
	case LAUNCH:
		return pinring_executor_launch(ex);
	case ACTIVATE:
		return pinring_executor_activate(ex);
	case PAUSE:
		return pinring_executor_pause(ex);
	case DRAIN:
		return pinring_executor_drain(ex);
	case TERMINATE:
		return pinring_executor_terminate(ex);
	default:
		return submit_nop(ex, 7, &ticket);
	}
}

TEST_F_TIMEOUT(executor, every_call_in_every_state_does_what_is_written, 60)
{
	for (int s = 0; s < states(); s++) {
		for (int c = 0; c < CALLS; c++) {
			enum pinring_state before;
			int rc;

			ASSERT_EQ(0, bring_to(self->device, self->config, s,
					      self->r, &self->wave, &self->ex))
				TH_LOG("state %d: %s", s, pinring_error());
			before = pinring_executor_state(self->ex);
			EXPECT_EQ(reported[s], before);
			rc = do_call(self->ex, c);
			EXPECT_EQ(table[s][c].rc, rc)
				TH_LOG("%s in state %d", call_names[c], s);
			if (rc && c != SUBMIT) {
				SAYS(s == FAILED ? "failed" :
				     s == CREATED ? "created" :
				     c == LAUNCH ? "already" : "cannot");
			}
			if (rc || table[s][c].then < 0) {
				EXPECT_EQ(before, pinring_executor_state(self->ex));
			} else {
				EXPECT_EQ(0, pinring_executor_wait_state(
						     self->ex, table[s][c].then,
						     10 * SECOND))
					TH_LOG("%s in state %d", call_names[c], s);
			}
			pinring_executor_close(self->ex, 0);
			self->ex = NULL;
		}
	}
}

TEST_F_TIMEOUT(executor, waiting_for_a_state_says_when_it_cannot_come, 60)
{
	for (int s = 0; s < states(); s++) {
		enum pinring_state now;

		ASSERT_EQ(0, bring_to(self->device, self->config, s, self->r,
				      &self->wave, &self->ex));
		now = pinring_executor_state(self->ex);
		for (enum pinring_state w = 0; w <= PINRING_STATE_FAILED; w++) {
			int want = w == now ? 0 :
				   now >= PINRING_STATE_TERMINATED ? -ECANCELED :
								     -ETIMEDOUT;
			int64_t begin = now_ns();

			EXPECT_EQ(want, pinring_executor_wait_state(self->ex, w, 0));
			EXPECT_EQ(want, pinring_executor_wait_state(self->ex, w,
								    5000000));
			if (want == -ETIMEDOUT) {
				EXPECT_LE(5000000, now_ns() - begin);
			}
			if (want) {
				SAYS(pinring_state_name(now));
				SAYS(pinring_state_name(w));
			}
		}
		pinring_executor_close(self->ex, 0);
		self->ex = NULL;
	}
}

TEST_F(executor, draining_is_to_be_seen_while_it_lasts)
{
	struct pinring_command endless = steps(1, &self->wave, ENDLESS);

	ASSERT_EQ(0, CREATE());
	ASSERT_EQ(0, ATTACH());
	ASSERT_EQ(0, pinring_executor_launch(self->ex));
	ASSERT_EQ(0, pinring_executor_submit(self->ex, &endless, NULL));
	/* Queued before: so the wish to drain comes before the command. */
	ASSERT_EQ(0, pinring_executor_drain(self->ex));
	EXPECT_EQ(0, pinring_executor_wait_state(self->ex, PINRING_STATE_DRAINING,
						 10 * SECOND));
	EXPECT_EQ(-EPIPE, submit_nop(self->ex, 1, NULL));
	SAYS("draining");
	EXPECT_EQ(-ETIMEDOUT,
		  pinring_executor_wait_state(self->ex, PINRING_STATE_TERMINATED,
					      SECOND / 50));
	EXPECT_EQ(0, pinring_executor_terminate(self->ex));
	EXPECT_EQ(0, pinring_executor_wait_state(
			     self->ex, PINRING_STATE_TERMINATED, PINRING_FOREVER));
}

TEST_F(executor, commands_given_while_paused_run_after_that)
{
	struct pinring_completion done;
	uint64_t ticket[10];

	ASSERT_EQ(0, START());
	ASSERT_EQ(0, ATTACH());
	ASSERT_EQ(0, pinring_executor_pause(self->ex));
	ASSERT_EQ(0, pinring_executor_wait_state(self->ex, PINRING_STATE_PAUSED,
						 10 * SECOND));
	for (uint32_t i = 0; i < 10; i++) {
		struct pinring_command c = fill(100 + i, self->data.offset, i + 1,
						(float)i + 1);

		ASSERT_EQ(0, pinring_executor_submit(self->ex, &c, &ticket[i]));
	}
	EXPECT_EQ(-ETIMEDOUT, pinring_executor_wait(self->ex, ticket[0],
						    SECOND / 20, &done));
	for (uint32_t i = 0; i < 10; i++) {
		EXPECT_EQ(-EAGAIN, pinring_executor_poll(self->ex, ticket[i], &done));
	}
	EXPECT_EQ(0.0f, self->at[0]);
	ASSERT_EQ(0, pinring_executor_activate(self->ex));
	for (uint32_t i = 0; i < 10; i++) {
		ASSERT_EQ(0, pinring_executor_wait(self->ex, ticket[i],
						   PINRING_FOREVER, &done));
		EXPECT_EQ(100 + i, done.id);
		EXPECT_EQ(0, done.status);
		EXPECT_EQ(i + 1, done.done);
	}
	for (int i = 0; i < 10; i++) {
		EXPECT_EQ(10.0f, self->at[i]);
	}
	/* Pausing again holds them back again. */
	ASSERT_EQ(0, pinring_executor_pause(self->ex));
	ASSERT_EQ(0, pinring_executor_wait_state(self->ex, PINRING_STATE_PAUSED,
						 10 * SECOND));
	ASSERT_EQ(0, submit_nop(self->ex, 1, &ticket[0]));
	EXPECT_EQ(-ETIMEDOUT, pinring_executor_wait(self->ex, ticket[0],
						    SECOND / 50, &done));
	EXPECT_EQ(0, pinring_executor_close(self->ex, 10 * SECOND));
	self->ex = NULL;
}

TEST_F(executor, what_was_submitted_before_the_launch_runs_too)
{
	struct pinring_completion done;
	uint64_t ticket;

	ASSERT_EQ(0, CREATE());
	ASSERT_EQ(0, submit_nop(self->ex, 5, &ticket));
	EXPECT_EQ(-EAGAIN, pinring_executor_poll(self->ex, ticket, &done));
	ASSERT_EQ(0, pinring_executor_launch(self->ex));
	EXPECT_EQ(-ETIMEDOUT, pinring_executor_wait(self->ex, ticket, SECOND / 50,
						    &done));
	ASSERT_EQ(0, pinring_executor_activate(self->ex));
	EXPECT_EQ(0, pinring_executor_wait(self->ex, ticket, PINRING_FOREVER,
					   &done));
	EXPECT_EQ(5, done.id);
}

/* ----------------------------------------------------------------- the end */
TEST_F(executor, terminating_answers_every_queued_command)
{
	struct pinring_completion done;
	uint64_t ticket[DEPTH];

	ASSERT_EQ(0, CREATE());
	ASSERT_EQ(0, pinring_executor_launch(self->ex));
	for (uint32_t i = 0; i < DEPTH; i++) {
		ASSERT_EQ(0, submit_nop(self->ex, i + 7, &ticket[i]));
	}
	EXPECT_EQ(-EAGAIN, submit_nop(self->ex, 0, NULL));
	SAYS("in flight");
	ASSERT_EQ(0, pinring_executor_terminate(self->ex));
	/* Half of them collected, half not: the count is the same. */
	for (uint32_t i = 0; i < DEPTH / 2; i++) {
		ASSERT_EQ(0, pinring_executor_wait(self->ex, ticket[i],
						   PINRING_FOREVER, &done));
		EXPECT_EQ(i + 7, done.id);
		EXPECT_EQ(-ECANCELED, done.status);
		EXPECT_EQ(PINRING_REASON_STOPPED, done.reason);
		EXPECT_EQ(0, done.done);
	}
	EXPECT_EQ(-EPIPE, submit_nop(self->ex, 0, NULL));
	EXPECT_EQ(DEPTH, pinring_executor_close(self->ex, 10 * SECOND));
	self->ex = NULL;
}

TEST_F(executor, close_lets_what_is_in_flight_come_to_its_end)
{
	ASSERT_EQ(0, START());
	ASSERT_EQ(0, ATTACH());
	for (uint32_t i = 0; i < DEPTH; i++) {
		struct pinring_command c =
			i % 8 ? fill(i, self->data.offset, FLOATS, (float)i) :
				steps(i, &self->wave, 2);

		c.flags = i % 3 ? 0 : PINRING_COMMAND_DETACHED;
		ASSERT_EQ(0, pinring_executor_submit(self->ex, &c, NULL));
	}
	EXPECT_EQ(0, pinring_executor_close(self->ex, PINRING_FOREVER));
	self->ex = NULL;
	EXPECT_EQ((float)(DEPTH - 1), self->at[0]);
	EXPECT_EQ((float)(DEPTH - 1), self->at[FLOATS - 1]);
	EXPECT_EQ(2 * (DEPTH / 8), self->wave.state->steps);
}

TEST_F(executor, close_drains_from_a_pause_and_before_the_first_activate)
{
	for (int pause = 0; pause < 2; pause++) {
		ASSERT_EQ(0, CREATE());
		ASSERT_EQ(0, pinring_executor_launch(self->ex));
		if (pause) {
			ASSERT_EQ(0, pinring_executor_pause(self->ex));
		}
		for (uint32_t i = 0; i < 10; i++) {
			ASSERT_EQ(0, submit_nop(self->ex, i, NULL));
		}
		EXPECT_EQ(0, pinring_executor_close(self->ex, PINRING_FOREVER));
		self->ex = NULL;
	}
}

TEST_F(executor, close_without_time_says_how_much_was_not_done)
{
	struct pinring_command endless = steps(1, &self->wave, ENDLESS);

	for (int64_t timeout = 0; timeout <= SECOND / 20; timeout += SECOND / 20) {
		int64_t begin = now_ns();

		ASSERT_EQ(0, START());
		ASSERT_EQ(0, ATTACH());
		ASSERT_EQ(0, pinring_executor_submit(self->ex, &endless, NULL));
		for (uint32_t i = 0; i < 10; i++) {
			ASSERT_EQ(0, submit_nop(self->ex, i, NULL));
		}
		EXPECT_EQ(11, pinring_executor_close(self->ex, timeout));
		EXPECT_LE(timeout, now_ns() - begin);
		self->ex = NULL;
	}
}

TEST_F(executor, close_of_what_was_never_launched_counts_what_was_submitted)
{
	ASSERT_EQ(0, CREATE());
	EXPECT_EQ(0, pinring_executor_close(self->ex, PINRING_FOREVER));
	ASSERT_EQ(0, CREATE());
	for (uint32_t i = 0; i < 13; i++) {
		ASSERT_EQ(0, submit_nop(self->ex, i, NULL));
	}
	EXPECT_EQ(13, pinring_executor_close(self->ex, PINRING_FOREVER));
	self->ex = NULL;
	EXPECT_EQ(0, pinring_executor_close(NULL, PINRING_FOREVER));
}

/* No loop ran that could have answered. */
TEST_F(executor, a_command_of_an_executor_that_failed_to_start_is_a_broken_pipe)
{
	struct pinring_completion done;
	uint64_t ticket;

	HOST_ONLY("no config makes a launch fail");
	self->config.cpu = 1023;
	ASSERT_EQ(0, CREATE());
	ASSERT_EQ(0, submit_nop(self->ex, 1, &ticket));
	EXPECT_EQ(-EINVAL, pinring_executor_launch(self->ex));
	SAYS("cpu");
	SAYS("1023");
	EXPECT_EQ(PINRING_STATE_FAILED, pinring_executor_state(self->ex));
	EXPECT_EQ(-EPIPE, pinring_executor_wait(self->ex, ticket, PINRING_FOREVER,
						&done));
	EXPECT_STRNE("", pinring_error());
	EXPECT_EQ(-ENOENT, pinring_executor_poll(self->ex, ticket, &done));
	EXPECT_EQ(-EPIPE, submit_nop(self->ex, 1, NULL));
	EXPECT_EQ(1, pinring_executor_close(self->ex, PINRING_FOREVER));
	self->ex = NULL;
}

/* One who tries again at -EAGAIN would try for ever. */
TEST_F(executor, an_ended_executor_refuses_for_good_though_its_window_is_full)
{
	for (int launch = 0; launch < (on_cuda() ? 1 : 2); launch++) {
		struct pinring_command c = nop(1);

		c.flags = PINRING_COMMAND_DETACHED;
		self->config.cpu = launch ? 1023 : PINRING_CPU_ANY;
		ASSERT_EQ(0, CREATE());
		for (uint32_t i = 0; i < DEPTH; i++) {
			ASSERT_EQ(0, pinring_executor_submit(self->ex, &c, NULL));
		}
		EXPECT_EQ(-EAGAIN, pinring_executor_submit(self->ex, &c, NULL));
		if (launch) {
			EXPECT_EQ(-EINVAL, pinring_executor_launch(self->ex));
		} else {
			EXPECT_EQ(0, pinring_executor_terminate(self->ex));
		}
		EXPECT_EQ(-EPIPE, pinring_executor_submit(self->ex, &c, NULL));
		EXPECT_EQ(DEPTH, pinring_executor_close(self->ex, 0));
		self->ex = NULL;
	}
}

/* ----------------------------------------------------------------- tickets */
TEST_F(executor, as_many_commands_as_depth_says_and_again_once_collected)
{
	struct pinring_completion done;
	uint64_t ticket[DEPTH];

	ASSERT_EQ(0, START());
	for (uint32_t round = 0; round < 50; round++) {
		for (uint32_t i = 0; i < DEPTH; i++) {
			ASSERT_EQ(0, submit_nop(self->ex, round * DEPTH + i,
						&ticket[i]));
		}
		EXPECT_EQ(-EAGAIN, submit_nop(self->ex, 0, NULL));
		/* In reverse order in every other round. */
		for (uint32_t i = 0; i < DEPTH; i++) {
			uint32_t n = round % 2 ? DEPTH - 1 - i : i;

			ASSERT_EQ(0, pinring_executor_wait(self->ex, ticket[n],
							   PINRING_FOREVER, &done));
			EXPECT_EQ(round * DEPTH + n, done.id);
			if (n && i < DEPTH - 1 && round % 2) {
				EXPECT_EQ(-EAGAIN, submit_nop(self->ex, 0, NULL));
				SAYS("not collected");
			}
		}
	}
	EXPECT_EQ(0, pinring_executor_close(self->ex, 10 * SECOND));
	self->ex = NULL;
}

TEST_F(executor, a_ticket_is_good_once)
{
	struct pinring_command c = nop(9);
	struct pinring_completion done;
	uint64_t ticket, detached = UINT64_MAX;

	ASSERT_EQ(0, START());
	EXPECT_EQ(-ENOENT, pinring_executor_poll(self->ex, 0, &done));
	EXPECT_EQ(-ENOENT, pinring_executor_wait(self->ex, UINT64_MAX,
						 PINRING_FOREVER, &done));
	ASSERT_EQ(0, submit_nop(self->ex, 8, &ticket));
	EXPECT_EQ(-ENOENT, pinring_executor_poll(self->ex, ticket + 1, &done));
	EXPECT_EQ(-ENOENT, pinring_executor_poll(self->ex, ticket + DEPTH, &done));
	EXPECT_EQ(-ENOENT, pinring_executor_poll(self->ex, ticket - DEPTH, &done));
	EXPECT_EQ(0, pinring_executor_wait(self->ex, ticket, PINRING_FOREVER, &done));
	EXPECT_EQ(8, done.id);
	EXPECT_EQ(-ENOENT, pinring_executor_wait(self->ex, ticket, 0, &done));
	EXPECT_EQ(-ENOENT, pinring_executor_poll(self->ex, ticket, &done));
	SAYS("collected before");
	c.flags = PINRING_COMMAND_DETACHED;
	ASSERT_EQ(0, pinring_executor_submit(self->ex, &c, &detached));
	EXPECT_EQ(-ENOENT, pinring_executor_poll(self->ex, detached, &done));
	EXPECT_EQ(-ENOENT, pinring_executor_wait(self->ex, detached, 0, &done));
	/* Its place, taken by another since, is not its own any more. */
	for (uint32_t i = 0; i < 2 * DEPTH; i++) {
		ASSERT_EQ(0, submit_nop(self->ex, i, &ticket));
		if (i >= DEPTH) {
			EXPECT_EQ(-ENOENT, pinring_executor_poll(
						   self->ex, ticket - DEPTH, &done));
		}
		ASSERT_EQ(0, pinring_executor_wait(self->ex, ticket,
						   PINRING_FOREVER, &done));
	}
	EXPECT_EQ(-ENOENT, pinring_executor_poll(self->ex, detached, &done));
}

TEST_F_TIMEOUT(executor, a_call_that_ran_out_of_time_goes_on_alone, 150)
{
	struct pinring_completion done;
	unsigned int late = 0;

	self->config.depth = 4;
	ASSERT_EQ(0, START());
	ASSERT_EQ(0, ATTACH());
	for (uint32_t i = 0; i < (SANITIZED ? 12 : 200); i++) {
		struct pinring_command c = steps(i, &self->wave, 20);
		int rc = pinring_executor_call(self->ex, &c, 1, &done);

		/* In time, where this thread had to wait for a CPU. */
		ASSERT_TRUE(rc == -ETIMEDOUT || !rc);
		late += rc != 0;
		/* Whoever comes after it is not given its completion. */
		c = fill(1000 + i, self->data.offset, 1, (float)i);
		ASSERT_EQ(0, pinring_executor_call(self->ex, &c, PINRING_FOREVER,
						   &done));
		EXPECT_EQ(1000 + i, done.id);
		EXPECT_EQ(20 * (i + 1), self->wave.state->steps);
		EXPECT_EQ((float)i, self->at[0]);
	}
	EXPECT_LT(0, late);
	EXPECT_EQ(0, pinring_executor_close(self->ex, 10 * SECOND));
	self->ex = NULL;
}

TEST_F(executor, a_detached_command_counts_and_cannot_be_called)
{
	struct pinring_command c = nop(1);
	struct pinring_completion done;
	struct pinring_executor_info info;

	ASSERT_EQ(0, START());
	c.flags = PINRING_COMMAND_DETACHED;
	EXPECT_EQ(-EINVAL, pinring_executor_call(self->ex, &c, PINRING_FOREVER,
						 &done));
	SAYS("detached");
	EXPECT_EQ(0, info_of(self->ex).submitted);
	for (uint32_t i = 0; i < 10 * DEPTH; i++) {
		int rc;

		c = i % 10 ? nop(i) : bad(i);
		c.flags = PINRING_COMMAND_DETACHED;
		while ((rc = pinring_executor_submit(self->ex, &c, NULL)) ==
		       -EAGAIN)
			sched_yield();
		ASSERT_EQ(0, rc);
	}
	EXPECT_TRUE(COMES_TRUE(info_of(self->ex).telemetry.processed ==
			       10 * DEPTH));
	info = info_of(self->ex);
	EXPECT_EQ(10 * DEPTH, info.submitted);
	EXPECT_EQ(DEPTH, info.telemetry.failed);
	EXPECT_EQ(-EINVAL, info.error);
	EXPECT_EQ(10 * (DEPTH - 1), info.error_id);
	EXPECT_EQ(999, info.error_operation);
	EXPECT_EQ(0, pinring_executor_close(self->ex, 10 * SECOND));
	self->ex = NULL;
}

TEST_F(executor, completions_wake_an_event_loop)
{
	struct pinring_doorbell *bell;
	struct epoll_event event = { .events = EPOLLIN };
	struct pinring_completion done;
	int epfd = epoll_create1(EPOLL_CLOEXEC);

	if (pinring_device_backend(self->device) != PINRING_BACKEND_MODULE) {
		HOST_ONLY("nobody rings for it without the module");
	}
	ASSERT_EQ(0, START());
	ASSERT_EQ(0, ATTACH());
	bell = pinring_executor_doorbell(self->ex);
	ASSERT_LE(0, epfd);
	ASSERT_EQ(0, epoll_ctl(epfd, EPOLL_CTL_ADD, pinring_doorbell_fd(bell),
			       &event));
	for (uint32_t i = 0; i < 2000; i++) {
		/* Long enough to be waited for, now and then. */
		struct pinring_command c = i % 50 ? nop(i) :
						    steps(i, &self->wave, 3);
		uint64_t ticket, seen;
		int rc;

		ASSERT_EQ(0, pinring_executor_submit(self->ex, &c, &ticket));
		for (;;) {
			seen = pinring_doorbell_sequence(bell);
			rc = pinring_executor_poll(self->ex, ticket, &done);
			if (rc != -EAGAIN)
				break;
			if (pinring_doorbell_arm(bell, seen) == 0) {
				ASSERT_EQ(1, epoll_wait(epfd, &event, 1, 10000));
			}
			pinring_doorbell_ack(bell);
		}
		ASSERT_EQ(0, rc);
		ASSERT_EQ(i, done.id);
	}
	close(epfd);
}

/* ----------------------------------------------------- sleeping and waking */
TEST_F(executor, an_idle_executor_sleeps_and_wakes_on_a_command)
{
	struct pinring_command c = nop(1);
	struct pinring_completion done;
	uint64_t sleeps, heartbeat;

	HOST_ONLY("it never sleeps");
	self->config.spin_us = 1;
	ASSERT_EQ(0, START());
	for (uint32_t i = 0; i < 20; i++) {
		sleeps = info_of(self->ex).telemetry.sleeps;
		/* Each finds it asleep; telemetry is published with commands. */
		ASSERT_TRUE(COMES_TRUE(
			usleep(2000) ||
			pinring_executor_call(self->ex, &c, 10 * SECOND, &done) ||
			info_of(self->ex).telemetry.sleeps > sleeps));
		ASSERT_EQ(0, done.status);
	}
	heartbeat = info_of(self->ex).heartbeat;
	EXPECT_TRUE(COMES_TRUE(info_of(self->ex).heartbeat > heartbeat + 2));
	ASSERT_EQ(0, pinring_executor_pause(self->ex));
	ASSERT_EQ(0, pinring_executor_wait_state(self->ex, PINRING_STATE_PAUSED,
						 10 * SECOND));
	heartbeat = info_of(self->ex).heartbeat;
	EXPECT_TRUE(COMES_TRUE(info_of(self->ex).heartbeat > heartbeat + 2));
}

/*
 * Whose heart stands still is dead, a watchdog would say. There are more commands than
 * need be seen: none of the time between two looks is idle.
 */
TEST_F_TIMEOUT(executor, the_heart_beats_while_commands_are_many, 150)
{
	struct pinring_command c = fill(1, self->data.offset, 20000, 1.0f);
	uint64_t heartbeat, processed;

	self->config.depth = 65536;
	ASSERT_EQ(0, CREATE());
	ASSERT_EQ(0, ATTACH());
	c.flags = PINRING_COMMAND_DETACHED;
	for (uint32_t i = 0; i < 65536; i++) {
		ASSERT_EQ(0, pinring_executor_submit(self->ex, &c, NULL));
	}
	ASSERT_EQ(0, pinring_executor_launch(self->ex));
	/* It ends as soon as it has run them: there is no idle time. */
	ASSERT_EQ(0, pinring_executor_drain(self->ex));
	ASSERT_TRUE(COMES_TRUE(info_of(self->ex).telemetry.processed > 0));
	heartbeat = info_of(self->ex).heartbeat;
	processed = info_of(self->ex).telemetry.processed;
	ASSERT_TRUE(COMES_TRUE(info_of(self->ex).telemetry.processed > processed + 20 ||
			       pinring_executor_state(self->ex) == PINRING_STATE_TERMINATED));
	if (pinring_executor_state(self->ex) == PINRING_STATE_TERMINATED)
		SKIP(goto out, "it was done before this thread could look");
	EXPECT_LT(heartbeat, info_of(self->ex).heartbeat);
	ASSERT_EQ(0, pinring_executor_terminate(self->ex));
out:
	ASSERT_EQ(0, pinring_executor_wait_state(
			     self->ex, PINRING_STATE_TERMINATED, PINRING_FOREVER));
	EXPECT_EQ(65536, info_of(self->ex).telemetry.processed);
}

static struct pinring_command block(uint32_t id, const struct pinring_wave *wave,
				    uint64_t in, uint64_t out, uint64_t count)
{
	return (struct pinring_command){
		.id = id, .operation = PINRING_OP_WAVE_BLOCK, .count = count,
		.a = { .offset = wave->offset }, .b = { .offset = in },
		.dst = { .offset = out }, .aux = 100 | 200ull << PINRING_WAVE_CELL_BITS,
	};
}

TEST_F(executor, a_long_block_beats_and_stops_between_two_steps)
{
	struct pinring_command c = block(77, &self->wave, self->in.offset,
					 self->out.offset, BLOCK);
	float *out = pinring_region_at(self->r, self->out.offset, self->out.length);
	struct pinring_completion done;

	for (uint32_t threads = 1; threads <= 3; threads += 2) {
		uint64_t ticket, after, heartbeat, begun = self->wave.state->steps;

		for (uint32_t i = 0; i < BLOCK; i++)
			out[i] = -1.0f;
		self->config.threads = threads;
		ASSERT_EQ(0, START());
		ASSERT_EQ(0, ATTACH());
		ASSERT_EQ(0, pinring_executor_submit(self->ex, &c, &ticket));
		ASSERT_EQ(0, submit_nop(self->ex, 78, &after));
		heartbeat = info_of(self->ex).heartbeat;
		EXPECT_TRUE(COMES_TRUE(info_of(self->ex).heartbeat > heartbeat + 10));
		ASSERT_EQ(-EAGAIN, pinring_executor_poll(self->ex, ticket, &done));
		ASSERT_EQ(0, pinring_executor_terminate(self->ex));
		ASSERT_EQ(0, pinring_executor_wait(self->ex, ticket,
						   PINRING_FOREVER, &done));
		EXPECT_EQ(77, done.id);
		EXPECT_EQ(-ECANCELED, done.status);
		EXPECT_EQ(PINRING_REASON_STOPPED, done.reason);
		EXPECT_LT(0, done.done);
		EXPECT_LT(done.done, BLOCK);
		EXPECT_EQ(begun + done.done, self->wave.state->steps);
		/* As many samples as steps. */
		EXPECT_EQ(0.0f, out[done.done - 1]);
		EXPECT_EQ(-1.0f, out[done.done]);
		ASSERT_EQ(0, pinring_executor_wait(self->ex, after,
						   PINRING_FOREVER, &done));
		EXPECT_EQ(-ECANCELED, done.status);
		EXPECT_EQ(2, pinring_executor_close(self->ex, 10 * SECOND));
		self->ex = NULL;
	}
}

TEST_HARNESS_MAIN
