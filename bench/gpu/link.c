// SPDX-License-Identifier: MIT
/*
 * link.c - commands from one executor's loop to another's, beside the same through
 * the host. On one GPU, where each has a block of it, or on two.
 */
#include <errno.h>
#include <stdio.h>

#include "rows.h"
#include "stage.h"

#define DEPTH 1024u /* of the host's rings */
#define PROGRAM 256u /* nops that lie there to be forwarded */
#define WAIT_NS 20000000000ll

struct pair {
	struct stage stage; /* its executor is the first one */
	struct pinring_executor *second;
	struct pinring_operand program;
	uint64_t link;
	bool two_gpus;
};

static struct series trip, trip_host, rate, rate_host; /* ns */

static void open_pair(struct pair *p, const struct gpu_options *o)
{
	struct pinring_device_slot *slots;
	uint32_t i;

	stage_open(&p->stage, o, NULL, 1 << 20);
	p->program.offset = stage_object(&p->stage, "program",
					 PROGRAM * sizeof(*slots));
	slots = stage_at(&p->stage, p->program.offset, PROGRAM * sizeof(*slots));
	for (i = 0; i < PROGRAM; i++) {
		struct pinring_command nop = { .id = i,
					       .operation = PINRING_OP_NOP };

		pinring_pack_command(slots[i].word, &nop);
	}
}

static int start(struct pair *p, int gpu, struct pinring_executor **ex)
{
	const struct gpu_options *o = p->stage.options;
	struct pinring_executor_config c = pinring_executor_defaults();

	c.kind = o->kind;
	c.depth = DEPTH;
	c.threads = 1;
	c.gpu = gpu;
	return pinring_executor_start(p->stage.device, &c, ex);
}

static void start_pair(struct pair *p)
{
	const struct gpu_options *o = p->stage.options;
	int rc = start(p, o->gpu, &p->stage.executor);

	if (rc)
		gpu_die("%s", pinring_error());
	rc = o->kind == PINRING_EXECUTOR_CUDA ?
		     start(p, o->gpu + 1, &p->second) :
		     -ENODEV;
	p->two_gpus = !rc;
	if (rc == -ENODEV)
		rc = start(p, o->gpu, &p->second);
	if (!rc)
		rc = pinring_executor_attach(p->stage.executor, p->stage.region);
	if (rc < 0 || (rc = pinring_executor_connect(p->stage.executor,
						     p->second, 0)) < 0)
		gpu_die("%s", pinring_error());
	p->link = (uint64_t)rc;
}

static void stop_pair(struct pair *p)
{
	stage_stop(&p->stage);
	if (pinring_executor_close(p->second, WAIT_NS))
		gpu_die("commands were left to the second executor");
}

static uint64_t submit(struct pair *p, uint16_t operation, uint64_t count)
{
	struct pinring_command c = { .id = operation,
				     .operation = operation,
				     .count = count,
				     .a = p->program,
				     .aux = p->link };

	return stage_submit(&p->stage, &c);
}

/* Commands that lie ready: how long the loop took, by its own clock. */
static void over_the_link(struct pair *p, unsigned int count)
{
	struct pinring_completion first, last = { 0 };
	uint64_t tickets[2 * PROGRAM];
	unsigned int i, all;

	for (all = 0; all < count; all += PROGRAM) {
		for (i = 0; i < PROGRAM; i++) {
			tickets[2 * i] = submit(p, PINRING_OP_FORWARD, 1);
			tickets[2 * i + 1] = submit(p, PINRING_OP_JOIN, 0);
		}
		stage_wait(&p->stage, tickets[0], &first);
		for (i = 1; i < 2 * PROGRAM; i++) {
			stage_wait(&p->stage, tickets[i], &last);
			if (last.done != 1)
				gpu_die("a join of %llu commands, not of one",
					(unsigned long long)last.done);
		}
	}
	series_add(&trip, (double)(last.start_ns + last.duration_ns -
				   first.start_ns) / PROGRAM);
	for (all = 0; all < count; all += PROGRAM) {
		tickets[0] = submit(p, PINRING_OP_FORWARD, PROGRAM);
		tickets[1] = submit(p, PINRING_OP_JOIN, 0);
		stage_wait(&p->stage, tickets[0], &first);
		stage_wait(&p->stage, tickets[1], &last);
		if (last.done != PROGRAM)
			gpu_die("%llu of %u commands were answered",
				(unsigned long long)last.done, PROGRAM);
	}
	series_add(&rate, (double)(last.start_ns + last.duration_ns -
				   first.start_ns) / PROGRAM);
}

static void wait_nop(struct pinring_executor *ex, uint64_t ticket)
{
	struct pinring_completion done;

	if (pinring_executor_wait(ex, ticket, WAIT_NS, &done) || done.status)
		gpu_die("a nop: %s", pinring_error());
}

static void submit_nop(struct pinring_executor *ex, uint64_t *ticket)
{
	const struct pinring_command nop = { .operation = PINRING_OP_NOP };

	if (pinring_executor_submit(ex, &nop, ticket))
		gpu_die("a nop: %s", pinring_error());
}

/* What a host in between would do: the one's answer, then the other's command. */
static void through_the_host(struct pair *p, unsigned int count)
{
	uint64_t ticket[PROGRAM], begin = bench_now_ns();
	unsigned int i, k;

	for (i = 0; i < count; i++) {
		submit_nop(p->stage.executor, &ticket[0]);
		wait_nop(p->stage.executor, ticket[0]);
		submit_nop(p->second, &ticket[0]);
		wait_nop(p->second, ticket[0]);
	}
	series_add(&trip_host, (double)(bench_now_ns() - begin) / count);
	begin = bench_now_ns();
	for (i = 0; i < count; i += PROGRAM) {
		for (k = 0; k < PROGRAM; k++)
			submit_nop(p->second, &ticket[k]);
		for (k = 0; k < PROGRAM; k++)
			wait_nop(p->second, ticket[k]);
	}
	series_add(&rate_host, (double)(bench_now_ns() - begin) / i);
}

static void report(const struct pair *p)
{
	struct row there = { .name = ROW_LINK_TRIP, .unit = "ns", .value = trip,
			     .limit_name = "through the host",
			     .limit = trip_host };
	struct row each = { .name = ROW_LINK_RATE, .unit = "ns", .value = rate,
			    .limit_name = "submitted by the host",
			    .limit = rate_host };
	const char *where = p->stage.options->kind == PINRING_EXECUTOR_HOST ?
				    "A TRIAL ON HOST THREADS" :
			    p->two_gpus ? "on two GPUs" :
					  "on one GPU, a block each";

	there.ratio = series_ratio(&there.value, &there.limit);
	each.ratio = series_ratio(&each.value, &each.limit);
	snprintf(there.note, sizeof(there.note),
		 "%s; a forward of one nop and its join, by the loop's clock", where);
	snprintf(each.note, sizeof(each.note),
		 "%s; %u in a row, 64 under way; all answers are counted", where,
		 PROGRAM);
	group_row(&there);
	group_row(&each);
}

void bench_gpu_link(const struct gpu_options *o)
{
	const unsigned int trips = o->quick ? PROGRAM : 40 * PROGRAM;
	static struct pair pair;
	unsigned int r;

	open_pair(&pair, o);
	for (r = 0; r < o->runs; r++) {
		start_pair(&pair);
		over_the_link(&pair, trips);
		through_the_host(&pair, trips);
		stop_pair(&pair);
	}
	report(&pair);
}
