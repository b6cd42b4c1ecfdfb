// SPDX-License-Identifier: MIT
/*
 * The life of an executor: its states, what happens to commands in each, and
 * that every command is answered once and accounted for at the end.
 */
#include <kselftest_harness.h>

#include <dirent.h>
#include <poll.h>
#include <sys/wait.h>

#include <pinring/pinring.h>

#define SECOND 1000000000ll
#define LONG_STEPS (1ull << 40) /* of the wave: for ever */

FIXTURE(life)
{
	struct pinring_device *device;
	struct pinring_region *region;
	struct pinring_executor *ex;
	struct pinring_wave wave;
};

FIXTURE_SETUP(life)
{
	struct pinring_executor_config config = pinring_executor_defaults();
	struct pinring_region_config size = pinring_region_defaults(1 << 20);

	config.depth = 16;
	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &size, &self->region));
	ASSERT_EQ(0, pinring_wave_create(self->region, "room", 8, 8, 8, 0.5, 0,
					 &self->wave));
	ASSERT_EQ(0, pinring_executor_create(self->device, &config, &self->ex));
	ASSERT_EQ(0, pinring_executor_attach(self->ex, self->region));
}

FIXTURE_TEARDOWN(life)
{
	pinring_executor_close(self->ex, 0);
	pinring_region_close(self->region);
	pinring_device_close(self->device);
}

static int launch(struct pinring_executor *ex)
{
	int rc = pinring_executor_launch(ex);

	return rc ? rc : pinring_executor_wait_state(ex, PINRING_STATE_LAUNCHED,
						     10 * SECOND);
}

static int activate(struct pinring_executor *ex)
{
	int rc = pinring_executor_activate(ex);

	return rc ? rc : pinring_executor_wait_state(ex, PINRING_STATE_ACTIVE,
						     10 * SECOND);
}

static struct pinring_command nop(uint32_t id)
{
	return (struct pinring_command){ .id = id };
}

static struct pinring_command endless(FIXTURE_DATA(life) *self)
{
	return (struct pinring_command){
		.operation = PINRING_OP_WAVE_STEP,
		.a = { .offset = self->wave.offset },
		.count = LONG_STEPS,
	};
}

/* Into one of the states, from creation. */
static int bring_to(struct pinring_executor *ex, enum pinring_state state)
{
	int rc = 0;

	if (state == PINRING_STATE_CREATED)
		return 0;
	rc = launch(ex);
	if (!rc && state == PINRING_STATE_ACTIVE)
		rc = activate(ex);
	if (!rc && state == PINRING_STATE_PAUSED)
		rc = pinring_executor_pause(ex);
	if (!rc && state == PINRING_STATE_TERMINATED)
		rc = pinring_executor_terminate(ex);
	return rc ? rc : pinring_executor_wait_state(ex, state, 10 * SECOND);
}

TEST(each_change_is_allowed_from_the_documented_states_only)
{
	static int (*const change[])(struct pinring_executor *ex) = {
		pinring_executor_launch,    pinring_executor_activate,
		pinring_executor_pause,	    pinring_executor_drain,
		pinring_executor_terminate,
	};
	static const struct {
		enum pinring_state from;
		int rc[5];
	} rule[] = {
		{ PINRING_STATE_CREATED,
		  { 0, -EINVAL, -EINVAL, -EINVAL, 0 } },
		{ PINRING_STATE_LAUNCHED, { -EINVAL, 0, 0, 0, 0 } },
		{ PINRING_STATE_ACTIVE, { -EINVAL, 0, 0, 0, 0 } },
		{ PINRING_STATE_PAUSED, { -EINVAL, 0, 0, 0, 0 } },
		{ PINRING_STATE_TERMINATED,
		  { -EINVAL, -EINVAL, -EINVAL, -EINVAL, -EINVAL } },
	};
	struct pinring_device *device;
	size_t i, j;

	ASSERT_EQ(0, pinring_device_open(NULL, &device));
	for (i = 0; i < ARRAY_SIZE(rule); i++) {
		for (j = 0; j < ARRAY_SIZE(change); j++) {
			struct pinring_executor *ex;

			ASSERT_EQ(0, pinring_executor_create(device, NULL, &ex));
			ASSERT_EQ(0, bring_to(ex, rule[i].from));
			EXPECT_EQ(rule[i].rc[j], change[j](ex)) {
				TH_LOG("change %zu from %s", j,
				       pinring_state_name(rule[i].from));
			}
			EXPECT_EQ(0, pinring_executor_close(ex, SECOND));
		}
	}
	pinring_device_close(device);
}

TEST_F(life, a_wait_for_a_state_ends_in_every_case)
{
	EXPECT_EQ(PINRING_STATE_CREATED, pinring_executor_state(self->ex));
	EXPECT_EQ(0, pinring_executor_wait_state(self->ex,
						 PINRING_STATE_CREATED, 0));
	EXPECT_EQ(-ETIMEDOUT,
		  pinring_executor_wait_state(self->ex, PINRING_STATE_ACTIVE,
					      10000000));
	ASSERT_EQ(0, launch(self->ex));
	ASSERT_EQ(0, pinring_executor_terminate(self->ex));
	EXPECT_EQ(-ECANCELED,
		  pinring_executor_wait_state(self->ex, PINRING_STATE_ACTIVE,
					      PINRING_FOREVER));
	EXPECT_EQ(PINRING_STATE_TERMINATED, pinring_executor_state(self->ex));
}

TEST_F(life, commands_queue_while_paused_and_run_in_order_after)
{
	struct pinring_completion done;
	uint64_t ticket[5], i;

	ASSERT_EQ(0, bring_to(self->ex, PINRING_STATE_PAUSED));
	for (i = 0; i < 5; i++) {
		struct pinring_command c = {
			.operation = PINRING_OP_WAVE_STEP,
			.a = { .offset = self->wave.offset },
			.id = (uint32_t)i,
			.count = 1,
		};

		ASSERT_EQ(0, pinring_executor_submit(self->ex, &c, &ticket[i]));
	}
	EXPECT_EQ(-ETIMEDOUT, pinring_executor_wait(self->ex, ticket[0],
						    20000000, &done));
	EXPECT_EQ(0, self->wave.state->steps);
	ASSERT_EQ(0, activate(self->ex));
	/* Collected from the last to the first: the order is the caller's. */
	for (i = 5; i-- > 0;) {
		ASSERT_EQ(0, pinring_executor_wait(self->ex, ticket[i],
						   10 * SECOND, &done));
		EXPECT_EQ(i, done.id);
		EXPECT_EQ(0, done.status);
	}
	EXPECT_EQ(5, self->wave.state->steps);
	/* And pausing again holds them back again. */
	ASSERT_EQ(0, pinring_executor_pause(self->ex));
	ASSERT_EQ(0, pinring_executor_wait_state(self->ex, PINRING_STATE_PAUSED,
						 10 * SECOND));
	ASSERT_EQ(0, pinring_executor_submit(self->ex, &(struct pinring_command){ 0 },
					     &ticket[0]));
	EXPECT_EQ(-ETIMEDOUT, pinring_executor_wait(self->ex, ticket[0],
						    20000000, &done));
}

TEST_F(life, a_full_window_says_so_and_opens_again)
{
	struct pinring_completion done;
	uint64_t ticket[17], i;
	struct pinring_command c = nop(7);

	ASSERT_EQ(0, bring_to(self->ex, PINRING_STATE_PAUSED));
	for (i = 0; i < 16; i++) {
		ASSERT_EQ(0, pinring_executor_submit(self->ex, &c, &ticket[i]));
	}
	EXPECT_EQ(-EAGAIN, pinring_executor_submit(self->ex, &c, &ticket[16]));
	ASSERT_EQ(0, activate(self->ex));
	ASSERT_EQ(0, pinring_executor_wait(self->ex, ticket[15], 10 * SECOND,
					   &done));
	/* All done, but the oldest is not collected. */
	EXPECT_EQ(-EAGAIN, pinring_executor_submit(self->ex, &c, &ticket[16]));
	EXPECT_EQ(0, pinring_executor_poll(self->ex, ticket[0], &done));
	EXPECT_EQ(0, pinring_executor_submit(self->ex, &c, &ticket[16]));
	for (i = 1; i < 15; i++) {
		EXPECT_EQ(0, pinring_executor_poll(self->ex, ticket[i], &done));
	}
	EXPECT_EQ(0, pinring_executor_wait(self->ex, ticket[16], 10 * SECOND,
					   &done));
}

TEST_F(life, a_ticket_is_collected_once)
{
	struct pinring_command c = nop(1);
	struct pinring_completion done;
	uint64_t ticket;

	ASSERT_EQ(0, bring_to(self->ex, PINRING_STATE_ACTIVE));
	ASSERT_EQ(0, pinring_executor_submit(self->ex, &c, &ticket));
	ASSERT_EQ(0, pinring_executor_wait(self->ex, ticket, 10 * SECOND, &done));
	EXPECT_EQ(-ENOENT, pinring_executor_poll(self->ex, ticket, &done));
	EXPECT_EQ(-ENOENT, pinring_executor_poll(self->ex, ticket + 1, &done));
	EXPECT_EQ(-ENOENT, pinring_executor_wait(self->ex, 1ull << 60, 0, &done));
	c.flags = PINRING_COMMAND_DETACHED;
	ASSERT_EQ(0, pinring_executor_submit(self->ex, &c, &ticket));
	EXPECT_EQ(-ENOENT, pinring_executor_poll(self->ex, ticket, &done));
	EXPECT_EQ(-EINVAL, pinring_executor_call(self->ex, &c, SECOND, &done));
}

TEST_F(life, a_call_that_times_out_is_absorbed_later)
{
	struct pinring_command slow = endless(self), c = nop(3);
	struct pinring_completion done;
	int i;

	slow.count = 20000;
	ASSERT_EQ(0, bring_to(self->ex, PINRING_STATE_ACTIVE));
	EXPECT_EQ(-ETIMEDOUT, pinring_executor_call(self->ex, &slow, 1, &done));
	for (i = 0; i < 40; i++) {
		ASSERT_EQ(0, pinring_executor_call(self->ex, &c, 60 * SECOND,
						   &done));
		EXPECT_EQ(3, done.id);
	}
	EXPECT_EQ(20000, self->wave.state->steps);
}

TEST_F(life, terminating_stops_a_long_command_and_cancels_the_rest)
{
	struct pinring_command slow = endless(self), c = nop(0);
	struct pinring_completion done;
	uint64_t ticket[8], i;

	ASSERT_EQ(0, bring_to(self->ex, PINRING_STATE_ACTIVE));
	ASSERT_EQ(0, pinring_executor_submit(self->ex, &slow, &ticket[0]));
	for (i = 1; i < 8; i++) {
		ASSERT_EQ(0, pinring_executor_submit(self->ex, &c, &ticket[i]));
	}
	EXPECT_EQ(-ETIMEDOUT, pinring_executor_wait(self->ex, ticket[0],
						    20000000, &done));
	ASSERT_EQ(0, pinring_executor_terminate(self->ex));
	ASSERT_EQ(0, pinring_executor_wait(self->ex, ticket[0], 10 * SECOND,
					   &done));
	EXPECT_EQ(-ECANCELED, done.status);
	EXPECT_EQ(PINRING_REASON_STOPPED, done.reason);
	EXPECT_LT(0, done.done);
	EXPECT_EQ(done.done, self->wave.state->steps);
	for (i = 1; i < 8; i++) {
		ASSERT_EQ(0, pinring_executor_wait(self->ex, ticket[i],
						   10 * SECOND, &done));
		EXPECT_EQ(-ECANCELED, done.status);
	}
	EXPECT_EQ(-EPIPE, pinring_executor_submit(self->ex, &c, &ticket[0]));
	EXPECT_EQ(8, pinring_executor_close(self->ex, 0));
	self->ex = NULL;
}

TEST_F(life, terminating_with_a_full_ring_answers_every_command)
{
	struct pinring_command c = nop(0);
	uint64_t ticket, i;

	ASSERT_EQ(0, bring_to(self->ex, PINRING_STATE_PAUSED));
	for (i = 0; i < 16; i++) {
		ASSERT_EQ(0, pinring_executor_submit(self->ex, &c, &ticket));
	}
	ASSERT_EQ(0, pinring_executor_terminate(self->ex));
	EXPECT_EQ(16, pinring_executor_close(self->ex, SECOND));
	self->ex = NULL;
}

TEST_F(life, closing_drains_what_is_in_flight)
{
	struct pinring_command c = endless(self);
	uint64_t ticket, i;

	c.count = 100;
	ASSERT_EQ(0, bring_to(self->ex, PINRING_STATE_PAUSED));
	for (i = 0; i < 16; i++) {
		ASSERT_EQ(0, pinring_executor_submit(self->ex, &c, &ticket));
	}
	EXPECT_EQ(0, pinring_executor_close(self->ex, PINRING_FOREVER));
	self->ex = NULL;
	EXPECT_EQ(1600, self->wave.state->steps);
}

TEST_F(life, closing_in_no_time_reports_what_was_not_done)
{
	struct pinring_command slow = endless(self), c = nop(0);
	uint64_t ticket, i;

	ASSERT_EQ(0, bring_to(self->ex, PINRING_STATE_ACTIVE));
	ASSERT_EQ(0, pinring_executor_submit(self->ex, &slow, &ticket));
	for (i = 0; i < 9; i++) {
		ASSERT_EQ(0, pinring_executor_submit(self->ex, &c, &ticket));
	}
	EXPECT_EQ(10, pinring_executor_close(self->ex, 0));
	self->ex = NULL;
}

TEST_F(life, closing_what_was_never_launched_reports_its_commands)
{
	struct pinring_command c = nop(0);
	uint64_t ticket;

	ASSERT_EQ(0, pinring_executor_submit(self->ex, &c, &ticket));
	ASSERT_EQ(0, pinring_executor_submit(self->ex, &c, &ticket));
	EXPECT_EQ(2, pinring_executor_close(self->ex, PINRING_FOREVER));
	self->ex = NULL;
}

TEST_F(life, draining_takes_no_more_and_ends)
{
	struct pinring_command c = nop(0);
	struct pinring_completion done;
	uint64_t ticket, late;

	ASSERT_EQ(0, bring_to(self->ex, PINRING_STATE_PAUSED));
	ASSERT_EQ(0, pinring_executor_submit(self->ex, &c, &ticket));
	ASSERT_EQ(0, pinring_executor_drain(self->ex));
	EXPECT_EQ(-EPIPE, pinring_executor_submit(self->ex, &c, &late));
	EXPECT_EQ(0, pinring_executor_wait_state(
			     self->ex, PINRING_STATE_TERMINATED, 10 * SECOND));
	EXPECT_EQ(0, pinring_executor_poll(self->ex, ticket, &done));
	EXPECT_EQ(0, done.status);
}

TEST_F(life, the_done_doorbell_works_from_an_event_loop)
{
	struct pinring_doorbell *bell = pinring_executor_doorbell(self->ex);
	struct pinring_command c = endless(self);
	struct pinring_completion done;
	uint64_t ticket, i;

	c.count = 2000;
	ASSERT_EQ(0, bring_to(self->ex, PINRING_STATE_ACTIVE));
	for (i = 0; i < 50; i++) {
		uint64_t seen = pinring_doorbell_sequence(bell);
		int rc;

		ASSERT_EQ(0, pinring_executor_submit(self->ex, &c, &ticket));
		while ((rc = pinring_executor_poll(self->ex, ticket, &done)) ==
		       -EAGAIN) {
			struct pollfd p = { .fd = pinring_doorbell_fd(bell),
					    .events = POLLIN };

			if (pinring_doorbell_arm(bell, seen) == 0) {
				ASSERT_EQ(1, poll(&p, 1, 10000));
			}
			pinring_doorbell_ack(bell);
			seen = pinring_doorbell_sequence(bell);
		}
		ASSERT_EQ(0, rc);
	}
}

static unsigned int entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned int n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

TEST_F_TIMEOUT(life, three_hundred_lives_leave_nothing_behind, 120)
{
	unsigned int fds, threads;
	int i;

	for (i = 0; i < 300; i++) {
		struct pinring_executor_config config =
			pinring_executor_defaults();
		struct pinring_command c = nop(0);
		struct pinring_executor *ex;

		config.threads = 1 + (uint32_t)i % 3;
		ASSERT_EQ(0, pinring_executor_start(self->device, &config, &ex));
		c.flags = PINRING_COMMAND_DETACHED;
		ASSERT_EQ(0, pinring_executor_submit(ex, &c, NULL));
		ASSERT_EQ(0, pinring_executor_close(ex, PINRING_FOREVER));
		if (i == 0) {
			fds = entries("/proc/self/fd");
			threads = entries("/proc/self/task");
		}
	}
	EXPECT_EQ(fds, entries("/proc/self/fd"));
	EXPECT_EQ(threads, entries("/proc/self/task"));
}

TEST_F(life, nonsense_in_the_config_is_refused_with_a_sentence)
{
	const struct pinring_executor_config good = pinring_executor_defaults();
	struct pinring_executor_config c;
	struct pinring_executor *ex;

#define REFUSED(rc, field, value, word)                                        \
	do {                                                                   \
		c = good;                                                      \
		c.field = (value);                                             \
		EXPECT_EQ(rc, pinring_executor_create(self->device, &c, &ex)); \
		EXPECT_EQ(NULL, ex);                                           \
		EXPECT_NE(NULL, strstr(pinring_error(), word)) {               \
			TH_LOG("%s", pinring_error());                         \
		}                                                              \
	} while (0)
	REFUSED(-EINVAL, struct_size, 0, "struct_size");
	REFUSED(-EINVAL, kind, 3, "kind");
	REFUSED(-EOPNOTSUPP, kind, PINRING_EXECUTOR_CUDA, "CUDA");
	REFUSED(-EINVAL, threads, PINRING_THREADS_MAX + 1, "threads");
	REFUSED(-EINVAL, depth, 2, "depth");
	REFUSED(-EINVAL, depth, 5, "depth");
	REFUSED(-EINVAL, depth, 131072, "depth");
	REFUSED(-EINVAL, cpu, -2, "cpu");
	REFUSED(-EINVAL, reserved, 1, "reserved");
#undef REFUSED
	c = good;
	c.cpu = 100000;
	EXPECT_EQ(-EINVAL, pinring_executor_start(self->device, &c, &ex));
	EXPECT_NE(NULL, strstr(pinring_error(), "CPU 100000"));
}

TEST_F_TIMEOUT(life, sixty_four_threads_on_whatever_there_is, 120)
{
	struct pinring_executor_config config = pinring_executor_defaults();
	struct pinring_command c = { .operation = PINRING_OP_WAVE_STEP,
				     .count = 20 };
	struct pinring_completion done;
	struct pinring_executor *ex;
	struct pinring_wave wave;

	config.threads = PINRING_THREADS_MAX;
	ASSERT_EQ(0, pinring_wave_create(self->region, "large", 32, 32, 16, 0.5,
					 0, &wave));
	ASSERT_EQ(0, pinring_executor_start(self->device, &config, &ex));
	ASSERT_EQ(0, pinring_executor_attach(ex, self->region));
	c.a.offset = wave.offset;
	ASSERT_EQ(0, pinring_executor_call(ex, &c, 60 * SECOND, &done));
	EXPECT_EQ(20, done.done);
	EXPECT_EQ(0, pinring_executor_close(ex, PINRING_FOREVER));
}

TEST_F(life, an_idle_executor_sleeps_and_wakes_for_a_command)
{
	struct pinring_executor_info info =
		PINRING_INIT(struct pinring_executor_info);
	struct pinring_command c = nop(9);
	struct pinring_completion done;
	uint64_t heartbeat;
	int i, round;

	ASSERT_EQ(0, bring_to(self->ex, PINRING_STATE_ACTIVE));
	for (round = 0; round < 3; round++) {
		uint64_t sleeps = info.telemetry.sleeps;

		for (i = 0; i < 10000; i++) {
			/* Telemetry is published with each command. */
			usleep(2000);
			ASSERT_EQ(0, pinring_executor_call(self->ex, &c,
							   10 * SECOND, &done));
			ASSERT_EQ(0, pinring_executor_info(self->ex, &info));
			if (info.telemetry.sleeps > sleeps)
				break;
		}
		EXPECT_LT(sleeps, info.telemetry.sleeps);
	}
	heartbeat = info.heartbeat;
	for (i = 0; i < 10000 && info.heartbeat == heartbeat; i++) {
		usleep(1000);
		ASSERT_EQ(0, pinring_executor_info(self->ex, &info));
	}
	EXPECT_NE(heartbeat, info.heartbeat);
}

TEST_F(life, telemetry_adds_up)
{
	struct pinring_executor_info info =
		PINRING_INIT(struct pinring_executor_info);
	struct pinring_command c = { .id = 1 };
	struct pinring_completion done;
	int i;

	ASSERT_EQ(0, bring_to(self->ex, PINRING_STATE_ACTIVE));
	for (i = 0; i < 100; i++) {
		c.operation = i % 4 ? PINRING_OP_NOP : 999;
		c.id = (uint32_t)i;
		ASSERT_EQ(0, pinring_executor_call(self->ex, &c, 10 * SECOND,
						   &done));
		EXPECT_EQ(i % 4 ? 0 : -EINVAL, done.status);
	}
	/* Closing joins the loop: after that nothing is on its way. */
	ASSERT_EQ(0, pinring_executor_terminate(self->ex));
	ASSERT_EQ(0, pinring_executor_wait_state(
			     self->ex, PINRING_STATE_TERMINATED, 10 * SECOND));
	ASSERT_EQ(0, pinring_executor_info(self->ex, &info));
	EXPECT_EQ(100, info.submitted);
	EXPECT_EQ(100, info.telemetry.processed);
	EXPECT_EQ(25, info.telemetry.failed);
	EXPECT_EQ(-EINVAL, info.error);
	EXPECT_EQ(96, info.error_id);
	EXPECT_EQ(999, info.error_operation);
}

TEST_F(life, thirty_two_regions_and_no_more)
{
	int i;

	for (i = 1; i < PINRING_REGIONS_MAX; i++) {
		ASSERT_EQ(i, pinring_executor_attach(self->ex, self->region));
	}
	EXPECT_EQ(-ENOSPC, pinring_executor_attach(self->ex, self->region));
}

TEST_F(life, a_child_of_fork_may_close_and_the_parent_goes_on)
{
	struct pinring_command c = nop(4);
	struct pinring_completion done;
	int status;
	pid_t pid;

	ASSERT_EQ(0, bring_to(self->ex, PINRING_STATE_ACTIVE));
	pid = fork();
	if (pid == 0) {
		pinring_executor_close(self->ex, PINRING_FOREVER);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, pinring_executor_call(self->ex, &c, 10 * SECOND, &done));
	EXPECT_EQ(4, done.id);
}

/* What the next completion must say, by the ticket. */
struct expected {
	uint32_t id;
	int status;
	uint64_t ticket;
};

TEST_F_TIMEOUT(life, a_storm_of_commands_is_answered_as_the_model_says, 120)
{
	struct expected open[16];
	uint64_t random = 88172645463325252ull, sent = 0, answered = 0;
	unsigned int n = 0, i;

	ASSERT_EQ(0, bring_to(self->ex, PINRING_STATE_ACTIVE));
	while (answered < 100000) {
		struct pinring_command c = { .id = (uint32_t)sent };
		struct pinring_completion done;
		int rc;

		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		if (random % 1000 == 0) {
			ASSERT_EQ(0, pinring_executor_pause(self->ex));
			ASSERT_EQ(0, pinring_executor_activate(self->ex));
		}
		if (n < 16 && random % 3) {
			c.operation = random % 5 ? PINRING_OP_NOP : 77;
			rc = pinring_executor_submit(self->ex, &c,
						     &open[n].ticket);
			if (rc == -EAGAIN) {
				/* The place after next is still taken. */
				ASSERT_LT(0, n);
			} else {
				ASSERT_EQ(0, rc);
				open[n].id = c.id;
				open[n++].status = c.operation ? -EINVAL : 0;
				sent++;
				continue;
			}
		}
		if (!n)
			continue;
		i = (unsigned int)(random >> 32) % n;
		ASSERT_EQ(0, pinring_executor_wait(self->ex, open[i].ticket,
						   10 * SECOND, &done));
		ASSERT_EQ(open[i].id, done.id);
		ASSERT_EQ(open[i].status, done.status);
		open[i] = open[--n];
		answered++;
	}
}

TEST_HARNESS_MAIN
