// SPDX-License-Identifier: MIT
/*
 * Random calls, legal and not, of executors that forward to each other, against a model
 * of what each may return: every ticket is answered once, with the reason that its
 * command deserves; each refusal is one that is documented, and has a sentence; errno is
 * the caller's. (Commands that are hostile in themselves: executor_hostile.c.)
 */
#include <kselftest_harness.h>

#include <pinring/pinring.h>

#include "executor_kind.h"
#include "executor_test.h"

#ifndef SEEDS
#define FIRST_SEED 1
#define SEEDS 8
#define STEPS 2000
#endif
#define LOOPS 4u
#define DEPTH 16u
#define BYTES 4096u
/* Of the region, where the commands to forward are. */
#define SCRIPT (PINRING_REGION_HEADER_BYTES + 4096ull)
#define LONG (60 * SECOND)
#define SHORT 300000
#define ANY UINT32_MAX /* of reasons: it depends */

struct sent {
	struct pinring_command c;
	uint64_t ticket;
	uint32_t reason; /* that it should be answered with */
	bool pending; /* not collected */
	bool flight; /* and maybe not answered */
};

static struct loop {
	struct pinring_executor *ex; /* NULL: there is none */
	enum pinring_state wish;
	bool launched, bounded; /* it may end by itself */
	uint32_t depth, links;
	uint64_t submitted, cancelled;
	struct sent sent[DEPTH];
	enum { NOTHING, REGION, MEMORY } at[PINRING_REGIONS_MAX];
} loops[LOOPS];

static struct pinring_device *device;
static struct pinring_region *region;
static void *memory; /* of this process, or a GPU's */
static uint64_t state;
static char wrong[512];
static unsigned int step, good;

#define CLAIM(condition, ...) \
	do { \
		if (!(condition) && !wrong[0]) \
			snprintf(wrong, sizeof(wrong), __VA_ARGS__); \
	} while (0)

static uint64_t below(uint64_t n) /* splitmix64 (Steele and others, 2014) */
{
	uint64_t z = (state += 0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (z ^ z >> 31) % n;
}

#define ONE_OF(...) \
	((const uint64_t[]){ __VA_ARGS__ })[below(ARRAY_SIZE(((const uint64_t[]){ __VA_ARGS__ })))]

/* A sentence that no other call leaves, and an errno. */
static void before_call(void)
{
	struct pinring_device_config c = PINRING_INIT(struct pinring_device_config);
	struct pinring_device *none;

	c.backend = 99;
	(void)pinring_device_open(&c, &none);
	errno = 777;
}

static int after_call(const char *what, int rc, int may, int or)
{
	const int sort = rc > 0 ? 0 : rc;

	CLAIM(errno == 777, "step %u: errno is %d after %s", step, errno, what);
	CLAIM(sort == may || sort == or, "step %u: %s is %d, not %d or %d: %s", step, what, rc, may,
	      or, pinring_error());
	CLAIM(rc >= 0 || !strstr(pinring_error(), "there is no 99"),
	      "step %u: %s is %d without a sentence", step, what, rc);
	return rc;
}

/* What it returns: one of these two, and 0 stands for all numbers from there. */
#define EITHER(call, may, or) (before_call(), after_call(#call, call, may, or))
#define CALL(call, may) EITHER(call, may, may)

static bool runs(const struct loop *l)
{
	return l->launched && l->wish >= PINRING_STATE_ACTIVE && l->wish != PINRING_STATE_PAUSED;
}

/* Told, or by itself. */
static bool ended(const struct loop *l)
{
	return pinring_executor_state(l->ex) >= PINRING_STATE_TERMINATED;
}

/* ------------------------------------------------------------------- commands */
static struct pinring_command some_command(const struct loop *l)
{
	struct pinring_command c = {
		.id = (uint32_t)below(~0ull), .flags = !below(6), .count = 8, .aux = below(64),
		.operation = (uint16_t)ONE_OF(PINRING_OP_NOP, PINRING_OP_FILL, PINRING_OP_FILL,
					      PINRING_OP_ASK, PINRING_OP_JOIN, 999, 1000, 65535),
		.dst = { .region = (uint32_t)below(below(2) ? 4 : 34) },
		.a = { .region = PINRING_REGION_NONE },
	};

	/* Each has a place of its own, or they would race. */
	c.dst.offset = 64 * (uint64_t)(l - loops);
	if (l->at[c.dst.region % PINRING_REGIONS_MAX] == REGION)
		c.dst.offset += PINRING_REGION_HEADER_BYTES;
	if (c.operation == PINRING_OP_JOIN) {
		c.aux |= 100 << 8; /* us, since two may wait for each other */
		if (below(2)) {
			c.operation = PINRING_OP_FORWARD;
			c.a = (struct pinring_operand){ SCRIPT, 0 };
		}
	}
	return c;
}

static uint32_t foresee(const struct loop *l, const struct pinring_command *c)
{
	switch (c->operation) {
	case PINRING_OP_NOP:
		return 0;
	case PINRING_OP_FILL:
		return c->dst.region < PINRING_REGIONS_MAX && l->at[c->dst.region] ?
			       0 :
			       PINRING_REASON_REGION;
	case PINRING_OP_ASK:
	case PINRING_OP_FORWARD:
	case PINRING_OP_JOIN:
		return ANY;
	default:
		return PINRING_REASON_OPERATION;
	}
}

static int serve(void *context, struct pinring_request *r)
{
	(void)context;
	return (int)-(r->argument % 3);
}

static void note_sent(struct loop *l, const struct pinring_command *c, bool pending)
{
	l->sent[l->submitted % l->depth] = (struct sent){ *c, l->submitted, foresee(l, c), pending,
							  true };
	l->submitted++;
}

static void judge(struct loop *l, struct sent *s, const struct pinring_completion *done)
{
	const bool stopped = done->reason == PINRING_REASON_STOPPED && done->status == -ECANCELED &&
			     (l->bounded || l->wish == PINRING_STATE_TERMINATED);

	CLAIM(done->id == s->c.id, "step %u: %u was answered as %u", step, s->c.id, done->id);
	CLAIM(!done->status == !done->reason, "step %u: status %d, reason %u", step, done->status,
	      done->reason);
	CLAIM(stopped || s->reason == ANY || done->reason == s->reason,
	      "step %u: operation %u: reason %u, not %u", step, s->c.operation, done->reason,
	      s->reason);
	for (struct sent *t = l->sent; t < l->sent + DEPTH; t++)
		t->flight = t->flight && t->ticket > s->ticket;
	s->pending = false;
	l->cancelled += done->status == -ECANCELED;
	good += !done->status;
}

static void do_submit(struct loop *l)
{
	const struct sent *s = &l->sent[l->submitted % l->depth];
	const int full = s->pending || s->flight ? -EAGAIN : 0;
	struct pinring_command c = some_command(l);
	uint64_t ticket = ~0ull;

	if (l->bounded && full)
		return; /* when it has ended, -EPIPE */
	if (l->wish >= PINRING_STATE_DRAINING) {
		CALL(pinring_executor_submit(l->ex, &c, &ticket), -EPIPE);
	} else if (!below(24)) {
		*(below(2) ? &c.count : &c.a.offset) = ONE_OF(1ull << 48, ~0ull);
		CALL(pinring_executor_submit(l->ex, &c, &ticket), -EINVAL);
	} else if (!EITHER(pinring_executor_submit(l->ex, &c, &ticket), full,
			   s->pending ? full : 0)) {
		CLAIM(ticket == l->submitted, "step %u: a wrong ticket", step);
		note_sent(l, &c, !c.flags);
	}
}

static void do_call(struct loop *l)
{
	struct sent *s = &l->sent[l->submitted % l->depth];
	struct pinring_command c = some_command(l);
	struct pinring_completion done;

	if (c.flags) {
		CALL(pinring_executor_call(l->ex, &c, LONG, &done), -EINVAL);
	} else if (!s->pending && !s->flight && !l->bounded && l->wish < PINRING_STATE_DRAINING) {
		note_sent(l, &c, runs(l));
		if (!runs(l))
			CALL(pinring_executor_call(l->ex, &c, SHORT, &done), -ETIMEDOUT);
		else if (!CALL(pinring_executor_call(l->ex, &c, LONG, &done), 0))
			judge(l, s, &done);
	}
}

static void collect(struct loop *l, struct sent *s)
{
	const bool never = !l->launched && l->wish == PINRING_STATE_TERMINATED;
	const int not = never || l->bounded ? -EPIPE : runs(l) ? 0 : -ETIMEDOUT;
	struct pinring_completion done;
	int rc;

	/* One that is bounded ends, or does not: if nobody activates it. */
	if (l->bounded && !ended(l))
		return;
	rc = EITHER(pinring_executor_wait(l->ex, s->ticket, runs(l) ? LONG : SHORT, &done),
		    never ? not : 0, not);
	if (!rc)
		judge(l, s, &done);
	s->pending = s->pending && rc != -EPIPE;
}

static void do_collect(struct loop *l)
{
	struct pinring_completion done;
	struct sent *s = &l->sent[below(l->depth)];

	for (struct sent *t = l->sent; below(8) && t < l->sent + l->depth; t++)
		if (t->pending)
			collect(l, t);
	if (s->pending)
		return;
	CALL(pinring_executor_poll(l->ex, ONE_OF(l->submitted, ~0ull), &done), -ENOENT);
	if (s == &l->sent[s->ticket % l->depth])
		CALL(pinring_executor_wait(l->ex, s->ticket, LONG, &done), -ENOENT);
}

/* ------------------------------------------------------------------ lifecycle */
static void launch(struct loop *l)
{
	if (!CALL(pinring_executor_launch(l->ex), l->wish == PINRING_STATE_CREATED ? 0 : -EINVAL)) {
		l->launched = true;
		l->wish = PINRING_STATE_LAUNCHED;
	}
}

static void wish(struct loop *l, int (*call)(struct pinring_executor *ex), enum pinring_state to)
{
	const bool free = l->wish > PINRING_STATE_CREATED && l->wish < PINRING_STATE_DRAINING;
	const bool ends = to == PINRING_STATE_TERMINATED && l->wish != PINRING_STATE_TERMINATED;
	const bool maybe = l->bounded || l->wish == PINRING_STATE_DRAINING;

	if (!EITHER(call(l->ex), free || ends ? 0 : -EINVAL, maybe || !(free || ends) ? -EINVAL : 0))
		l->wish = to;
	else if (free || ends)
		l->wish = PINRING_STATE_TERMINATED;
}

static void do_create(struct loop *l)
{
	struct pinring_executor_config c = pinring_executor_defaults();

	c.kind = executor_kind();
	c.threads = on_cuda() ? 1 : 1 + (uint32_t)below(3);
	c.depth = (uint32_t)ONE_OF(4, 8, 16, 3, 1u << 17);
	c.flags = (uint32_t)ONE_OF(0, 1, 0, 1, 2);
	c.commands_max = ONE_OF(0, 0, 0, 0, 30);
	c.idle_ms = (uint32_t)ONE_OF(0, 0, 0, 0, 3);
	if (CALL(pinring_executor_create(device, &c, &l->ex),
		 c.depth == 3 || c.depth > DEPTH || c.flags > 1 ? -EINVAL : 0))
		return;
	l->depth = c.depth;
	l->bounded = c.commands_max || c.idle_ms;
	l->wish = PINRING_STATE_CREATED;
	CALL(pinring_executor_attach(l->ex, region), 0);
	l->at[0] = REGION;
	if (below(4)) {
		launch(l);
		wish(l, pinring_executor_activate, PINRING_STATE_ACTIVE);
	}
}

static void do_close(struct loop *l)
{
	const int64_t undone = pinring_executor_close(l->ex, (int64_t)ONE_OF(0, SHORT, LONG));

	CLAIM((uint64_t)undone >= l->cancelled && (uint64_t)undone <= l->submitted,
	      "step %u: %lld undone", step, (long long)undone);
	memset(l, 0, sizeof(*l));
}

static void do_wait_state(struct loop *l)
{
	const bool over = l->wish == PINRING_STATE_TERMINATED;

	if (!l->launched)
		CALL(pinring_executor_wait_state(l->ex, PINRING_STATE_ACTIVE, SHORT),
		     over ? -ECANCELED : -ETIMEDOUT);
	else if (!l->bounded && l->wish != PINRING_STATE_DRAINING)
		CALL(pinring_executor_wait_state(l->ex, l->wish, LONG), 0);
}

/* ------------------------------------------------------- memory, links, services */
static void do_attach(struct loop *l)
{
	const uint64_t none = ONE_OF(0, (1ull << 48) + 1, ~0ull), what = below(4);
	int n, free = 0, full;

	while (free < PINRING_REGIONS_MAX && l->at[free])
		free++;
	full = free == PINRING_REGIONS_MAX ? -ENOSPC : 0;
	if (what == 0) {
		n = CALL(pinring_executor_attach(l->ex, region), full);
	} else if (what == 1) {
		n = CALL(pinring_executor_attach_memory(l->ex, memory, BYTES), full);
	} else if (what == 2) {
		n = CALL(pinring_executor_allocate(l->ex, BYTES, NULL), full);
	} else {
		CALL(pinring_executor_attach_memory(l->ex, memory, none), -EINVAL);
		CALL(pinring_executor_attach_memory(l->ex, NULL, 64), -EINVAL);
		CALL(pinring_executor_allocate(l->ex, none, NULL), -EINVAL);
		return;
	}
	CLAIM(full || n == free, "step %u: attached as %d, not %d", step, n, free);
	if (full)
		return;
	l->at[free] = what ? MEMORY : REGION;
	/* Commands that wait may find it now. */
	for (struct sent *s = l->sent; s < l->sent + DEPTH; s++)
		if (s->c.dst.region == (uint32_t)free && s->c.operation == PINRING_OP_FILL)
			s->reason = ANY;
}

static void do_detach(struct loop *l)
{
	const uint32_t n = (uint32_t)below(34);
	bool flight = false, sure;

	for (struct sent *s = l->sent; s < l->sent + DEPTH; s++)
		flight |= s->flight;
	sure = !l->bounded && (runs(l) || !flight);
	if (n >= PINRING_REGIONS_MAX || l->at[n] != MEMORY)
		CALL(pinring_executor_detach(l->ex, n, LONG),
		     n < PINRING_REGIONS_MAX && l->at[n] ? -EINVAL : -ENOENT);
	else if (!EITHER(pinring_executor_detach(l->ex, n, sure ? LONG : SHORT), 0, sure ? 0 : -EBUSY))
		l->at[n] = NOTHING;
}

static void do_connect(struct loop *l)
{
	struct loop *to = &loops[below(LOOPS)];

	CALL(pinring_executor_connect(l->ex, l->ex, (uint32_t)ONE_OF(0, 4, 5)), -EINVAL);
	if (!to->ex || to == l || l->bounded || to->bounded)
		return;
	if (ended(l) || ended(to))
		CALL(pinring_executor_connect(l->ex, to->ex, 0), -EPIPE);
	else if (l->wish < PINRING_STATE_DRAINING && to->wish < PINRING_STATE_DRAINING)
		EITHER(pinring_executor_connect(l->ex, to->ex, (uint32_t)ONE_OF(0, 4, 64)), 0,
		       l->links++ + to->links++ >= 8 ? -ENOSPC : 0);
}

static void do_step(struct loop *l)
{
	const uint64_t what = below(100);

	if (!l->ex)
		do_create(l);
	else if (l->wish >= PINRING_STATE_DRAINING && !below(10))
		do_close(l);
	else if (what < 40)
		do_submit(l);
	else if (what < 55)
		do_collect(l);
	else if (what < 61)
		do_call(l);
	else if (what < 64)
		launch(l);
	else if (what < 66)
		wish(l, pinring_executor_pause, PINRING_STATE_PAUSED);
	else if (what < 70)
		wish(l, pinring_executor_activate, PINRING_STATE_ACTIVE);
	else if (what < 71)
		below(2) ? wish(l, pinring_executor_drain, PINRING_STATE_DRAINING) :
			   wish(l, pinring_executor_terminate, PINRING_STATE_TERMINATED);
	else if (what < 76)
		do_wait_state(l);
	else if (what < 84)
		do_attach(l);
	else if (what < 91)
		do_detach(l);
	else if (what < 95)
		do_connect(l);
	else if (what < 99)
		CALL(pinring_executor_offer(l->ex, (uint32_t)(step % 70), serve, NULL),
		     step % 70 < PINRING_SERVICES_MAX ? 0 : -EINVAL);
	else
		do_close(l);
}

FIXTURE(fuzz)
{
	struct pinring_executor *holder; /* of memory; never launched */
};

FIXTURE_SETUP(fuzz)
{
	struct pinring_region_config rc = pinring_region_defaults(1 << 16);
	struct pinring_executor_config ec = pinring_executor_defaults();
	__u64 *slot;

	ec.kind = executor_kind();
	ASSERT_OK(pinring_device_open(NULL, &device));
	ASSERT_OK(pinring_region_create(device, &rc, &region));
	slot = (__u64 *)((char *)pinring_region_base(region) + SCRIPT);
	for (uint32_t i = 0; i < 8; i++) {
		const struct pinring_command c = { .id = i, .operation = (uint16_t)(i % 3 * 999) };

		pinring_pack_command(slot + i * PINRING_SLOT_WORDS, &c);
	}
	ASSERT_OK(pinring_executor_create(device, &ec, &self->holder));
	ASSERT_EQ(0, pinring_executor_allocate(self->holder, BYTES, &memory));
}

FIXTURE_TEARDOWN(fuzz)
{
	pinring_executor_close(self->holder, 0);
	pinring_region_close(region);
	pinring_device_close(device);
}

TEST_F_TIMEOUT(fuzz, random_calls_return_what_they_may, 120)
{
	for (uint64_t seed = FIRST_SEED; seed < FIRST_SEED + SEEDS && !wrong[0]; seed++) {
		state = seed;
		for (step = 0; step < STEPS && !wrong[0]; step++)
			do_step(&loops[below(LOOPS)]);
		for (struct loop *l = loops; l < loops + LOOPS; l++)
			if (l->ex)
				do_close(l);
		ASSERT_STREQ("", wrong)
			TH_LOG("seed %llu", (unsigned long long)seed);
	}
	EXPECT_LT(SEEDS * STEPS / 100, good);
	TH_LOG("%u commands were carried out", good);
}

TEST_HARNESS_MAIN
