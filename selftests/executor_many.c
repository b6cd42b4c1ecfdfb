// SPDX-License-Identifier: MIT
/*
 * Many executors, threads, regions, processes and commands at one time, and that
 * nothing of them is left behind.
 */
#include <kselftest_harness.h>

#include <pthread.h>

#include "executor_fixture.h"
#include "held.h"
#include "sanitized.h"

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
