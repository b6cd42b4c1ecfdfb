// SPDX-License-Identifier: MIT
/*
 * An executor from its creation to its end: what each call does in each state,
 * that every command gets one answer, and that nothing is left behind.
 */
#include <kselftest_harness.h>

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/epoll.h>

#include <pinring/pinring.h>

#include "executor_kind.h"
#include "executor_test.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* What only host threads do, or cannot. */
#define HOST_ONLY(why) \
	if (on_cuda()) { \
		SKIP(return, "on a GPU " why); \
	}

#define MIB (1ull << 20)
#define DEPTH 64u
#define FLOATS 100000u
#define ENDLESS (1ull << 40) /* steps: years */
#define BLOCK 200000u /* steps: many seconds in the large room */

FIXTURE(executor)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_executor_config config;
	struct pinring_executor *ex;
	struct pinring_wave wave;
	struct pinring_object_info data, in, out;
	float *at; /* data */
};

FIXTURE_SETUP(executor)
{
	struct pinring_region_config rc = pinring_region_defaults(8 * MIB);

	rc.flags = PINRING_REGION_SMALL_PAGES;
	self->ex = NULL;
	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &rc, &self->r));
	ASSERT_EQ(0, pinring_object_create(self->r, "data", PINRING_OBJECT_BYTES,
					   FLOATS * sizeof(float), 0, &self->data));
	ASSERT_EQ(0, pinring_object_create(self->r, "in", PINRING_OBJECT_BYTES,
					   BLOCK * sizeof(float), 0, &self->in));
	ASSERT_EQ(0, pinring_object_create(self->r, "out", PINRING_OBJECT_BYTES,
					   BLOCK * sizeof(float), 0, &self->out));
	ASSERT_EQ(0, pinring_wave_create(self->r, "room", 64, 64, 48, 0.5, 0.01,
					 &self->wave));
	self->at = pinring_region_at(self->r, self->data.offset, self->data.length);
	self->config = pinring_executor_defaults();
	self->config.kind = executor_kind();
	self->config.depth = DEPTH;
}

FIXTURE_TEARDOWN(executor)
{
	pinring_executor_close(self->ex, 0);
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

#define CREATE() pinring_executor_create(self->device, &self->config, &self->ex)
#define START() pinring_executor_start(self->device, &self->config, &self->ex)
#define ATTACH() pinring_executor_attach(self->ex, self->r)

static struct pinring_command nop(uint32_t id)
{
	return (struct pinring_command){ .id = id, .operation = PINRING_OP_NOP };
}

static struct pinring_command bad(uint32_t id)
{
	return (struct pinring_command){ .id = id, .operation = 999 };
}

/* Of the region attached first. */
static struct pinring_command fill(uint32_t id, uint64_t offset, uint64_t count,
				   float value)
{
	return (struct pinring_command){
		.id = id, .operation = PINRING_OP_FILL, .count = count,
		.dst = { .offset = offset }, .s0 = value,
	};
}

static struct pinring_command steps(uint32_t id, const struct pinring_wave *wave,
				    uint64_t count)
{
	return (struct pinring_command){
		.id = id, .operation = PINRING_OP_WAVE_STEP, .count = count,
		.a = { .offset = wave->offset },
	};
}

static int submit_nop(struct pinring_executor *ex, uint32_t id, uint64_t *ticket)
{
	struct pinring_command c = nop(id);

	return pinring_executor_submit(ex, &c, ticket);
}

static int count_entries(const char *path)
{
	DIR *d = opendir(path);
	int n = -2; /* . and .. */

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static int count_fds(void)
{
	return count_entries("/proc/self/fd") - 1; /* its own */
}

static int count_threads(void)
{
	return count_entries("/proc/self/task");
}

static int count_maps(const char *which)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	int n = 0;

	while (fgets(line, sizeof(line), f))
		n += strstr(line, which) != NULL;
	fclose(f);
	return n;
}

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

/* ------------------------------------------------------------------ config */
TEST_F(executor, a_bad_config_is_refused_with_a_sentence)
{
	static const struct {
		struct pinring_executor_config config;
		const char *says;
	} no[] = {
/* Of a host executor: a GPU may have that many SMs. */
#define NO(field, value) \
	{ { .struct_size = sizeof(struct pinring_executor_config), \
	    .kind = PINRING_EXECUTOR_HOST, .field = value }, #field }
		{ { .struct_size = sizeof(struct pinring_executor_config),
		    .kind = 3 }, "kind" },
		{ { .struct_size = sizeof(struct pinring_executor_config),
		    .kind = UINT32_MAX }, "kind" },
		NO(threads, 65),
		NO(threads, UINT32_MAX),
		NO(depth, 1),
		NO(depth, 2),
		NO(depth, 3),
		NO(depth, 5),
		NO(depth, 131072),
		NO(depth, 1u << 31),
		NO(depth, UINT32_MAX),
		NO(cpu, -2),
		NO(cpu, INT32_MIN),
		NO(reserved, 1),
		{ { .struct_size = 0 }, "struct_size" },
		{ { .struct_size = 7 }, "struct_size" },
		{ { .struct_size = 4097 }, "struct_size" },
		{ { .struct_size = UINT64_MAX }, "struct_size" },
	};
	struct {
		struct pinring_executor_config config;
		uint64_t tail[2];
	} longer = { .config = self->config };
	struct pinring_executor *ex = (void *)self;
	int fds = count_fds();

	for (size_t i = 0; i < ARRAY_SIZE(no); i++) {
		ex = (void *)self;
		EXPECT_EQ(-EINVAL, pinring_executor_create(self->device,
							   &no[i].config, &ex))
			TH_LOG("config %zu", i);
		EXPECT_EQ(NULL, ex);
		SAYS(no[i].says);
		ex = (void *)self;
		EXPECT_EQ(-EINVAL, pinring_executor_start(self->device,
							  &no[i].config, &ex));
		EXPECT_EQ(NULL, ex);
	}
	/* One of a later library: good while what is new in it is not used. */
	longer.config.struct_size = sizeof(longer);
	EXPECT_EQ(0, pinring_executor_create(self->device, &longer.config, &ex));
	pinring_executor_close(ex, 0);
	longer.tail[1] = 1ull << 56;
	EXPECT_EQ(-E2BIG, pinring_executor_create(self->device, &longer.config, &ex));
	EXPECT_EQ(NULL, ex);
	SAYS("pinring_executor_config");
	/* One of an earlier library: the rest is the default. */
	longer.config.struct_size = offsetof(struct pinring_executor_config, depth);
	longer.config.threads = 2;
	longer.config.depth = 3;
	longer.config.cpu = -77;
	EXPECT_EQ(0, pinring_executor_create(self->device, &longer.config, &ex));
	EXPECT_EQ(2, info_of(ex).threads);
	EXPECT_EQ(256, info_of(ex).depth);
	pinring_executor_close(ex, 0);
	EXPECT_EQ(fds, count_fds());
}

TEST_F(executor, no_config_is_a_config)
{
	struct pinring_executor_info info;
	struct pinring_completion done;
	struct pinring_command c = nop(3);
	int rc;

	ASSERT_EQ(0, pinring_executor_start(self->device, NULL, &self->ex));
	info = info_of(self->ex);
	EXPECT_EQ(256, info.depth);
	EXPECT_STRNE("", info.isa);
	if (info.kind == PINRING_EXECUTOR_HOST) {
		EXPECT_EQ(1, info.threads);
		EXPECT_STRNE("", info.reason);
	} else {
		EXPECT_EQ(PINRING_EXECUTOR_CUDA, info.kind);
	}
	EXPECT_EQ(0, pinring_executor_call(self->ex, &c, PINRING_FOREVER, &done));
	info.struct_size = 3;
	EXPECT_EQ(-EINVAL, pinring_executor_info(self->ex, &info));
	EXPECT_EQ(0, pinring_executor_close(self->ex, 10 * SECOND));
	self->ex = NULL;
	/* There may or may not be one; if not, it says why. */
	self->config.kind = PINRING_EXECUTOR_CUDA;
	rc = CREATE();
	if (rc) {
		EXPECT_TRUE(rc == -EOPNOTSUPP || rc == -ENODEV);
		EXPECT_STRNE("", pinring_error());
		EXPECT_EQ(NULL, self->ex);
	}
}

TEST_F(executor, a_cpu_that_is_not_there_is_refused_and_leaves_nothing)
{
	static const int32_t cpus[] = { 1023, 1024, 100000, INT32_MAX };
	int fds = count_fds(), threads;

	HOST_ONLY("it needs no CPU");
	ASSERT_EQ(0, START()); /* ThreadSanitizer starts one with the first */
	ASSERT_EQ(0, pinring_executor_close(self->ex, 10 * SECOND));
	usleep(20000); /* a joined thread is to be seen a little longer */
	threads = count_threads();
	for (size_t i = 0; i < ARRAY_SIZE(cpus); i++) {
		for (uint32_t n = 1; n <= 3; n++) {
			self->config.cpu = cpus[i];
			self->config.threads = n;
			EXPECT_EQ(-EINVAL, START());
			EXPECT_EQ(NULL, self->ex);
			SAYS("CPU");
		}
	}
	/* The first thread has a CPU, the last has not. */
	self->config.cpu = 0;
	self->config.threads = PINRING_THREADS_MAX;
	if (sysconf(_SC_NPROCESSORS_CONF) < PINRING_THREADS_MAX) {
		EXPECT_EQ(-EINVAL, START());
		SAYS("64");
	}
	EXPECT_TRUE(COMES_TRUE(count_threads() <= threads));
	EXPECT_EQ(fds, count_fds());
}

/* -------------------------------------------------------- many at one time */
TEST_F_TIMEOUT(executor, more_threads_than_cpus_are_slow_but_right, 120)
{
	struct pinring_completion one, many;
	struct pinring_command c;

	for (uint32_t i = 0; i < FLOATS; i++)
		self->at[i] = (float)(i % 1000) * 0.25f;
	ASSERT_EQ(0, START());
	ASSERT_EQ(0, ATTACH());
	c = (struct pinring_command){
		.operation = PINRING_OP_SUM, .count = FLOATS,
		.a = { .offset = self->data.offset },
		.dst = { .region = PINRING_REGION_NONE },
	};
	ASSERT_EQ(0, pinring_executor_call(self->ex, &c, PINRING_FOREVER, &one));
	pinring_executor_close(self->ex, 0);
	/* A GPU: as many blocks as it has SMs. */
	self->config.threads = on_cuda() ? 0 : PINRING_THREADS_MAX;
	ASSERT_EQ(0, START());
	ASSERT_EQ(0, ATTACH());
	if (!on_cuda()) {
		EXPECT_EQ(PINRING_THREADS_MAX, info_of(self->ex).threads);
	}
	for (int i = 0; i < 5; i++) {
		ASSERT_EQ(0, pinring_executor_call(self->ex, &c, PINRING_FOREVER,
						   &many));
		EXPECT_EQ(0, many.status);
		EXPECT_EQ(one.result, many.result);
		EXPECT_EQ(FLOATS, many.done);
	}
	c = fill(1, self->data.offset, FLOATS, 2.5f);
	ASSERT_EQ(0, pinring_executor_call(self->ex, &c, PINRING_FOREVER, &many));
	EXPECT_EQ(2.5f, self->at[0]);
	EXPECT_EQ(2.5f, self->at[FLOATS - 1]);
	c = steps(2, &self->wave, 5);
	ASSERT_EQ(0, pinring_executor_call(self->ex, &c, PINRING_FOREVER, &many));
	EXPECT_EQ(5, self->wave.state->steps);
	EXPECT_EQ(0, pinring_executor_close(self->ex, PINRING_FOREVER));
	self->ex = NULL;
}

TEST_F(executor, two_executors_do_not_know_of_each_other)
{
	struct pinring_executor *other;
	struct pinring_completion done;
	uint64_t ticket;

	ASSERT_EQ(0, START());
	ASSERT_EQ(0, ATTACH());
	ASSERT_EQ(0, pinring_executor_start(self->device, &self->config, &other));
	ASSERT_EQ(0, pinring_executor_attach(other, self->r));
	for (uint32_t i = 0; i < 1000; i++) {
		struct pinring_command c = fill(i, self->data.offset, 1, (float)i);
		struct pinring_command d = fill(~i, self->data.offset + 4, 1,
						(float)-i);

		ASSERT_EQ(0, pinring_executor_submit(self->ex, &c, &ticket));
		ASSERT_EQ(0, pinring_executor_call(other, &d, PINRING_FOREVER,
						   &done));
		EXPECT_EQ(~i, done.id);
		ASSERT_EQ(0, pinring_executor_wait(self->ex, ticket,
						   PINRING_FOREVER, &done));
		EXPECT_EQ(i, done.id);
		EXPECT_EQ((float)i, self->at[0]);
		EXPECT_EQ((float)-i, self->at[1]);
	}
	EXPECT_EQ(0, pinring_executor_terminate(self->ex));
	ASSERT_EQ(0, submit_nop(other, 4, &ticket));
	EXPECT_EQ(0, pinring_executor_wait(other, ticket, PINRING_FOREVER, &done));
	EXPECT_EQ(0, pinring_executor_close(other, 10 * SECOND));
}

/*
 * More than a driver has queues, if it is not told otherwise, and it is; each goes while
 * the others run.
 */
TEST_F_TIMEOUT(executor, many_executors_come_and_go_beside_each_other, 60)
{
	struct pinring_executor *many[16];
	struct pinring_completion done;
	uint32_t n, i, k;
	int rc = 0;

	setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", 1);
	self->config.threads = 1;
	for (n = 0; n < 16; n++) {
		rc = pinring_executor_start(self->device, &self->config, &many[n]);
		if (rc) {
			break;
		}
	}
	/* A small GPU has room for some. */
	EXPECT_TRUE(!rc || (on_cuda() && rc == -EBUSY))
		TH_LOG("number %u: %s", n, pinring_error());
	EXPECT_LE(2, n);
	for (i = 0; i < n; i++) {
		for (k = i; k < n; k++) {
			struct pinring_command c = nop(100 * i + k);

			ASSERT_EQ(0, pinring_executor_call(many[k], &c, PINRING_FOREVER,
						   &done));
			EXPECT_EQ(c.id, done.id);
		}
		EXPECT_EQ(0, pinring_executor_close(many[i], 10 * SECOND));
	}
}

TEST_F(executor, so_many_regions_and_no_more)
{
	struct pinring_region_config rc = pinring_region_defaults(16384);
	int fds = count_fds(), maps = count_maps("memfd:");
	struct pinring_object_info o;

	rc.flags = PINRING_REGION_SMALL_PAGES;
	ASSERT_EQ(0, START());
	for (int i = 0; i <= PINRING_REGIONS_MAX; i++) {
		struct pinring_command c;
		struct pinring_completion done;
		struct pinring_region *r;
		float *at;

		ASSERT_EQ(0, pinring_region_create(self->device, &rc, &r));
		ASSERT_EQ(0, pinring_object_create(r, "x", PINRING_OBJECT_BYTES,
						   128, 0, &o));
		at = pinring_region_at(r, o.offset, 4);
		if (i == PINRING_REGIONS_MAX) {
			EXPECT_EQ(-ENOSPC, pinring_executor_attach(self->ex, r));
			SAYS("32");
			pinring_region_close(r);
			break;
		}
		c = fill((uint32_t)i, o.offset, 1, (float)i + 1);
		c.dst.region = (uint32_t)i;
		ASSERT_EQ(0, pinring_executor_call(self->ex, &c, PINRING_FOREVER,
						   &done));
		EXPECT_EQ(-EINVAL, done.status);
		EXPECT_EQ(PINRING_REASON_REGION, done.reason);
		ASSERT_EQ(i, pinring_executor_attach(self->ex, r));
		/* The executor holds it from now on. */
		pinring_region_close(r);
		ASSERT_EQ(0, pinring_executor_call(self->ex, &c, PINRING_FOREVER,
						   &done));
		EXPECT_EQ(0, done.status);
		EXPECT_EQ((float)i + 1, *at);
	}
	EXPECT_EQ(0, pinring_executor_close(self->ex, 10 * SECOND));
	self->ex = NULL;
	EXPECT_EQ(fds, count_fds());
	EXPECT_EQ(maps, count_maps("memfd:"));
}

TEST_F_TIMEOUT(executor, starting_and_closing_leaves_nothing_behind, 120)
{
	/* Each makes a context of its own on a GPU, which takes a while. */
	const uint32_t rounds = on_cuda() ? 40 : 320;
	int fds = 0, threads = 0, memfds = 0, all = 0;

	for (uint32_t i = 0; i < rounds; i++) {
		struct pinring_command c = fill(i, self->data.offset, FLOATS, 1.0f);
		struct pinring_completion done;

		if (i == 20) { /* the C library keeps a few stacks */
			fds = count_fds();
			usleep(20000); /* for the last one joined to vanish */
			threads = count_threads();
			memfds = count_maps("memfd:");
			all = count_maps("");
		}
		self->config.threads = 1 + i % 3;
		ASSERT_EQ(0, START());
		ASSERT_EQ(0, ATTACH());
		if (i % 4) {
			ASSERT_EQ(0, pinring_executor_call(
					     self->ex, &c, PINRING_FOREVER, &done));
		}
		if (i % 5 == 0) {
			ASSERT_EQ(0, pinring_executor_terminate(self->ex));
		}
		ASSERT_EQ(0, pinring_executor_close(self->ex, 10 * SECOND));
		self->ex = NULL;
	}
	EXPECT_EQ(fds, count_fds());
	EXPECT_TRUE(COMES_TRUE(count_threads() <= threads));
	EXPECT_EQ(memfds, count_maps("memfd:"));
	/* Sanitizers and NVIDIA's driver map as they like. */
	if (!SANITIZED && !on_cuda()) {
		EXPECT_GE(all + 8, count_maps(""));
	}
}

TEST_F(executor, a_child_closes_its_copy_and_the_parents_goes_on)
{
	struct pinring_command c = nop(1);
	struct pinring_completion done;
	int status;
	pid_t pid;

	ASSERT_EQ(0, START());
	ASSERT_EQ(0, ATTACH());
	for (int i = 0; i < 10; i++) {
		ASSERT_EQ(0, pinring_executor_call(self->ex, &c, PINRING_FOREVER,
						   &done));
		pid = fork();
		if (pid == 0) {
			alarm(20); /* a hang ends the child, not the test */
			_exit(pinring_executor_close(self->ex, PINRING_FOREVER) != 0);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(0, status);
		EXPECT_EQ(PINRING_STATE_ACTIVE, pinring_executor_state(self->ex));
	}
	EXPECT_EQ(0, pinring_executor_call(self->ex, &c, PINRING_FOREVER, &done));
	EXPECT_EQ(0, pinring_executor_close(self->ex, 10 * SECOND));
	self->ex = NULL;
}

static int serve_nothing(void *context, struct pinring_request *request)
{
	(void)context;
	(void)request;
	return 0;
}

/* The loop is its parent's, and looks at memory that both share. */
TEST_F(executor, a_child_changes_nothing)
{
	struct pinring_kernel_config k = PINRING_INIT(struct pinring_kernel_config);
	struct pinring_command c = { .operation = PINRING_OP_DYNAMIC };
	struct pinring_executor *created, *own;
	struct pinring_completion done;
	uint32_t operation;
	int status;
	pid_t pid;

	k.name = "none";
	k.text = "#include <pinring/kernel.h>\nPINRING_KERNEL_OF(none, float, 0) { }\n";
	ASSERT_EQ(0, START());
	ASSERT_EQ(0, pinring_executor_create(self->device, &self->config, &created));
	pid = fork();
	if (pid == 0) {
		int wrong = 0;

		alarm(20);
		self->config.kind = PINRING_EXECUTOR_HOST;
		if (pinring_executor_create(self->device, &self->config, &own))
			_exit(99);
#define REFUSED(call) (wrong += (call) != -EOPNOTSUPP || !strstr(pinring_error(), "forked"))
		REFUSED(pinring_executor_launch(created));
		REFUSED(pinring_executor_activate(self->ex));
		REFUSED(pinring_executor_pause(self->ex));
		REFUSED(pinring_executor_drain(self->ex));
		REFUSED(pinring_executor_terminate(self->ex));
		REFUSED(pinring_executor_register(self->ex, &k, &operation));
		REFUSED(pinring_executor_unregister(self->ex, PINRING_OP_DYNAMIC, 0));
		REFUSED(pinring_executor_offer(self->ex, 0, serve_nothing, NULL));
		REFUSED(pinring_executor_connect(self->ex, created, 0));
		REFUSED(pinring_executor_connect(own, self->ex, 0));
		REFUSED(pinring_executor_connect(self->ex, own, 0));
		pinring_executor_close(own, 0);
		pinring_executor_close(created, 0);
		pinring_executor_close(self->ex, 0);
		_exit(wrong);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	ASSERT_EQ(0, pinring_executor_call(self->ex, &c, PINRING_FOREVER, &done));
	EXPECT_EQ(PINRING_REASON_OPERATION, done.reason);
	c.operation = PINRING_OP_ASK;
	c.dst.region = PINRING_REGION_NONE;
	ASSERT_EQ(0, pinring_executor_call(self->ex, &c, PINRING_FOREVER, &done));
	EXPECT_EQ(PINRING_REASON_SERVICE, done.reason);
	c.operation = PINRING_OP_JOIN;
	ASSERT_EQ(0, pinring_executor_call(self->ex, &c, PINRING_FOREVER, &done));
	EXPECT_EQ(PINRING_REASON_LINK, done.reason);
	EXPECT_EQ(PINRING_STATE_ACTIVE, pinring_executor_state(self->ex));
	pinring_executor_close(created, 0);
}

/* ------------------------------------------------------------------- storm */
struct expected {
	uint64_t ticket;
	int status;
	uint64_t done;
	bool pending; /* to be collected by us */
};

struct toggler {
	struct pinring_executor *ex;
	int stop;
	int refused;
};

static void *toggle(void *arg)
{
	struct toggler *t = arg;

	while (!__atomic_load_n(&t->stop, __ATOMIC_RELAXED)) {
		t->refused += pinring_executor_pause(t->ex) != 0;
		sched_yield();
		(void)info_of(t->ex);
		t->refused += pinring_executor_activate(t->ex) != 0;
		usleep(300);
	}
	return NULL;
}

/* What one place of the window holds, as the caller must know it. */
static bool as_expected(const struct expected *e, uint32_t id,
			const struct pinring_completion *c)
{
	return c->id == id && c->status == e->status && c->done == e->done &&
	       (!c->status || c->reason == PINRING_REASON_OPERATION);
}

TEST_F_TIMEOUT(executor, a_storm_of_commands_gets_each_its_answer, 120)
{
	const uint32_t total = 100000;
	struct toggler t = { 0 };
	struct expected window[DEPTH] = { 0 };
	uint64_t failed = 0, elements = 0, collected = 0, detached = 0;
	struct pinring_executor_info info;
	struct pinring_completion done;
	pthread_t thread;
	uint32_t i = 0;

	ASSERT_EQ(0, START());
	ASSERT_EQ(0, ATTACH());
	t.ex = self->ex;
	ASSERT_EQ(0, pthread_create(&thread, NULL, toggle, &t));
	while (i < total) {
		struct expected *e = &window[i % DEPTH];
		struct pinring_command c;
		uint32_t count = random_bits() % 100, kind = random_bits() % 8;
		int rc;

		c = kind == 0 ? bad(i) :
		    kind < 4  ? nop(i) :
				fill(i, self->data.offset, count, (float)i);
		if (random_bits() % 3 == 0)
			c.flags = PINRING_COMMAND_DETACHED;
		while ((rc = pinring_executor_submit(self->ex, &c, &e->ticket)) ==
		       -EAGAIN) {
			uint32_t n = i < DEPTH ? 0 : i - DEPTH;

			/* Collect some, in no order, and surely the oldest. */
			for (int k = 0; k < 8; k++) {
				struct expected *w = &window[n % DEPTH];

				if (w->pending) {
					ASSERT_EQ(0, pinring_executor_wait(
							     self->ex, w->ticket,
							     PINRING_FOREVER, &done));
					ASSERT_TRUE(as_expected(w, n, &done));
					w->pending = false;
					collected++;
				}
				n = i - DEPTH + random_bits() % DEPTH;
			}
			sched_yield();
		}
		ASSERT_EQ(0, rc);
		ASSERT_EQ(i, e->ticket);
		e->status = kind == 0 ? -EINVAL : 0;
		e->done = kind < 4 ? 0 : count;
		e->pending = !c.flags;
		failed += kind == 0;
		elements += e->done;
		detached += c.flags != 0;
		i++;
	}
	for (uint32_t n = total - DEPTH; n < total; n++) {
		struct expected *w = &window[n % DEPTH];

		if (w->pending) {
			ASSERT_EQ(0, pinring_executor_wait(self->ex, w->ticket,
							   PINRING_FOREVER, &done));
			ASSERT_TRUE(as_expected(w, n, &done));
			collected++;
		}
	}
	__atomic_store_n(&t.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, t.refused);
	EXPECT_EQ(total, collected + detached);
	/* Detached ones may still run; and it counts after it has answered. */
	ASSERT_EQ(0, pinring_executor_drain(self->ex));
	ASSERT_EQ(0, pinring_executor_wait_state(
			     self->ex, PINRING_STATE_TERMINATED, 10 * SECOND));
	info = info_of(self->ex);
	EXPECT_EQ(total, info.submitted);
	EXPECT_EQ(total, info.telemetry.processed);
	EXPECT_EQ(failed, info.telemetry.failed);
	EXPECT_EQ(elements, info.telemetry.elements);
	EXPECT_GE(info.telemetry.busy_ns, info.telemetry.longest_ns);
	EXPECT_GE(info.telemetry.longest_ns, info.telemetry.last_ns);
	EXPECT_EQ(0, pinring_executor_close(self->ex, 10 * SECOND));
	self->ex = NULL;
}

struct launcher {
	struct pinring_executor *ex;
	int rc;
};

static void *launch_and_activate(void *arg)
{
	struct launcher *l = arg;

	l->rc = pinring_executor_launch(l->ex);
	if (!l->rc)
		l->rc = pinring_executor_activate(l->ex);
	return NULL;
}

/* States are any thread's to change, also while this one submits. */
TEST_F(executor, another_thread_may_launch_while_this_one_submits)
{
	for (int i = 0; i < 20; i++) {
		struct launcher l = { 0 };
		struct pinring_completion done;
		uint64_t ticket[DEPTH];
		pthread_t thread;

		ASSERT_EQ(0, CREATE());
		l.ex = self->ex;
		ASSERT_EQ(0, pthread_create(&thread, NULL, launch_and_activate, &l));
		for (uint32_t n = 0; n < DEPTH; n++) {
			ASSERT_EQ(0, submit_nop(self->ex, n, &ticket[n]));
		}
		for (uint32_t n = 0; n < DEPTH; n++) {
			ASSERT_EQ(0, pinring_executor_wait(self->ex, ticket[n],
							   PINRING_FOREVER, &done));
			EXPECT_EQ(n, done.id);
		}
		pthread_join(thread, NULL);
		EXPECT_EQ(0, l.rc);
		EXPECT_EQ(0, pinring_executor_close(self->ex, 10 * SECOND));
		self->ex = NULL;
	}
}

TEST_HARNESS_MAIN
