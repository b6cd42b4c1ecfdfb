// SPDX-License-Identifier: MIT
/*
 * Histories of the MPMC ring are those of a bounded FIFO of tickets (linear.h):
 * one to four producers and as many consumers, as threads and as processes, in
 * rings so small that they are full and empty all the time.
 */
#include <kselftest_harness.h>

#include <sys/mman.h>

#include <pinring/pinring.h>

#include "items.h"
#include "linear_fifo.h"
#include "linear_search.h"
#include "sides.h"
#include "take_cpu.h"

#define SIDES_MAX 4
#define RUN_MAX 3
#define CALLS (SANITIZED ? 6000u : 40000u) /* of each side, refused ones too */
#define CROWD_MAX (2 * SIDES_MAX + 1) /* one drains in the end */

struct crowd {
	struct pinring_region *r;
	uint64_t producers, consumers;
	uint64_t ready; /* sides that have opened; atomic */
	uint64_t failed; /* likewise, that saw an error */
	struct linear_log log[CROWD_MAX];
	struct linear_op op[CROWD_MAX][CALLS];
};

/* As if the ring had worked for so long; a multiple of the capacity. */
static void age(struct pinring_mpmc_header *h, uint64_t tickets)
{
	unsigned char *slot = (unsigned char *)h + h->slots_offset;

	h->tail = h->head = tickets;
	for (uint64_t i = 0; i < h->capacity; i++, slot += h->stride)
		*(uint64_t *)slot = tickets / h->capacity << PINRING_MPMC_LAP_SHIFT;
}

static void wait_for_all(struct crowd *w)
{
	unsigned int spins = 0;

	__atomic_add_fetch(&w->ready, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&w->ready, __ATOMIC_ACQUIRE) <
	       w->producers + w->consumers)
		wait_a_little(&spins);
}

/* How a call goes about it. */
enum manner {
	AT_ONCE,
	AS_A_RUN,
	SLOWLY, /* gives the CPU away with the ticket in hand */
};

static int64_t push_slowly(struct pinring_mpmc_producer *p, const uint64_t *value)
{
	int64_t n = pinring_mpmc_reserve(p, 1);

	if (n < 1)
		return n;
	sched_yield();
	*(uint64_t *)pinring_mpmc_slot(&p->side, 0) = *value;
	pinring_mpmc_commit(p, 1);
	return 1;
}

static int64_t pop_slowly(struct pinring_mpmc_consumer *c, uint64_t *value)
{
	int64_t n = pinring_mpmc_peek(c, 1);

	if (n < 1)
		return n;
	sched_yield();
	*value = *(uint64_t *)pinring_mpmc_slot(&c->side, 0);
	pinring_mpmc_release(c);
	return 1;
}

/* How many values went, or came; else an error. */
static int64_t push(struct pinring_mpmc_producer *p, enum manner manner,
		    const uint64_t *value, uint64_t n)
{
	int rc;

	if (manner == AS_A_RUN)
		return pinring_mpmc_push_batch(p, value, n);
	if (manner == SLOWLY)
		return push_slowly(p, value);
	rc = pinring_mpmc_push_u64(p, *value);
	return rc ? rc : 1;
}

static int64_t pop(struct pinring_mpmc_consumer *c, enum manner manner,
		   uint64_t *value, uint64_t n)
{
	int rc;

	if (manner == AS_A_RUN)
		return pinring_mpmc_pop_batch(c, value, n);
	if (manner == SLOWLY)
		return pop_slowly(c, value);
	rc = pinring_mpmc_pop_u64(c, value);
	return rc ? rc : 1;
}

static void record(struct linear_log *log, enum linear_verb done,
		   enum linear_verb refused, const uint64_t *value, int64_t n)
{
	if (n > 0)
		linear_return(log, done, value, (uint64_t)n);
	else
		linear_refused(log, refused);
}

static void side(void *arg, uint64_t me)
{
	struct crowd *w = arg;
	const bool produces = me < w->producers;
	struct linear_log *log = &w->log[me];
	struct pinring_mpmc_producer p;
	struct pinring_mpmc_consumer c;
	struct dice dice = { me + 1 };
	uint64_t sent = 0;
	unsigned int spins = 0;
	int64_t n = produces ? pinring_mpmc_producer_open(w->r, "ring", &p) :
			       pinring_mpmc_consumer_open(w->r, "ring", &c);

	take_cpu((int)me);
	wait_for_all(w);
	while (!n && log->n + RUN_MAX <= log->room) {
		const enum manner manner = !roll(&dice, 100) ? SLOWLY :
					   !roll(&dice, 6)   ? AS_A_RUN :
							       AT_ONCE;
		const uint64_t want = 1 + roll(&dice, RUN_MAX);
		uint64_t value[RUN_MAX];

		for (uint64_t i = 0; i < want; i++)
			value[i] = me << 32 | (sent + i);
		linear_call(log);
		n = produces ? push(&p, manner, value, want) :
			       pop(&c, manner, value, want);
		record(log, produces ? LINEAR_PUSH : LINEAR_POP,
		       produces ? LINEAR_FULL : LINEAR_EMPTY, value, n);
		if (n > 0)
			sent += (uint64_t)n;
		else if (n == -EAGAIN)
			wait_a_little(&spins);
		else
			break;
		n = 0;
	}
	if (n)
		__atomic_add_fetch(&w->failed, 1, __ATOMIC_RELAXED);
	if (produces)
		pinring_mpmc_producer_close(&p);
	else
		pinring_mpmc_consumer_close(&c);
}

/* What is left, so that a value that is nowhere shows. */
static void drain(struct __test_metadata *_metadata, struct crowd *w)
{
	struct linear_log *log = &w->log[w->producers + w->consumers];
	struct pinring_mpmc_consumer c;
	uint64_t value;
	int rc = 0;

	ASSERT_EQ(0, pinring_mpmc_consumer_open(w->r, "ring", &c));
	while (!rc) {
		linear_call(log);
		rc = pinring_mpmc_pop_u64(&c, &value);
		record(log, LINEAR_POP, LINEAR_EMPTY, &value, rc ? rc : 1);
	}
	EXPECT_EQ(-EAGAIN, rc);
	pinring_mpmc_consumer_close(&c);
}

/* How many calls ended in which way: full and empty must have been tried. */
static uint64_t judge(struct __test_metadata *_metadata, struct crowd *w,
		      uint64_t capacity, uint64_t ended[4])
{
	const struct linear_spec spec = { .capacity = capacity, .tickets = true };
	struct linear_fault fault;
	struct linear_op *all = w->op[0];
	uint64_t n = 0;

	/* Each log to the end of the last one: they come in that order. */
	for (uint64_t i = 0; i < CROWD_MAX; i++) {
		memmove(all + n, w->log[i].op, w->log[i].n * sizeof(*all));
		n += w->log[i].n;
	}
	for (uint64_t i = 0; i < n; i++)
		ended[all[i].verb]++;
	EXPECT_TRUE(linear_check(all, n, spec, &fault)) {
		TH_LOG("%llu producers, %llu consumers, %llu slots: %s",
		       (unsigned long long)w->producers,
		       (unsigned long long)w->consumers,
		       (unsigned long long)capacity, fault.what);
		for (int i = 0; i < 2; i++) {
			const struct linear_op *op = i ? &fault.b : &fault.a;

			TH_LOG("%s %llx from %llu to %llu",
			       linear_verb_name(op->verb),
			       (unsigned long long)op->value,
			       (unsigned long long)op->called,
			       (unsigned long long)op->returned);
		}
	}
	return n;
}

/* ------------------------------------------------------------------- tests */
FIXTURE(linear)
{
	struct pinring_device *device;
	struct crowd *w;
};

FIXTURE_VARIANT(linear)
{
	uint64_t capacity;
	bool near_the_wrap;
};

FIXTURE_VARIANT_ADD(linear, c2) { 2, false };
FIXTURE_VARIANT_ADD(linear, c4) { 4, true };
FIXTURE_VARIANT_ADD(linear, c16) { 16, false };
FIXTURE_VARIANT_ADD(linear, c64) { 64, true };

FIXTURE_SETUP(linear)
{
	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	self->w = mmap(NULL, sizeof(*self->w), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ASSERT_NE(MAP_FAILED, self->w);
}

FIXTURE_TEARDOWN(linear)
{
	munmap(self->w, sizeof(*self->w));
	pinring_device_close(self->device);
}

static const struct {
	uint64_t producers, consumers;
} crowds[] = { { 1, 1 }, { 1, 4 }, { 4, 1 }, { 2, 2 }, { 3, 2 }, { 4, 4 } };

static void
all_crowds(struct __test_metadata *_metadata, FIXTURE_DATA(linear) *self,
	   const FIXTURE_VARIANT(linear) *variant,
	   bool processes)
{
	struct pinring_region_config config = pinring_region_defaults(1 << 16);
	struct crowd *w = self->w;
	uint64_t ended[4] = { 0 };
	uint64_t n = 0;

	for (size_t k = 0; k < ARRAY_SIZE(crowds); k++) {
		struct pinring_object_info o;

		ASSERT_EQ(0, pinring_region_create(self->device, &config, &w->r));
		ASSERT_EQ(0, pinring_mpmc_create(w->r, "ring", variant->capacity,
						 8, CROWD_MAX));
		ASSERT_EQ(0, pinring_object_find(w->r, "ring", &o));
		if (variant->near_the_wrap)
			age(pinring_region_at(w->r, o.offset, o.length),
			    0ull - 100 * variant->capacity);
		w->producers = crowds[k].producers;
		w->consumers = crowds[k].consumers;
		w->ready = w->failed = 0;
		for (uint64_t i = 0; i < CROWD_MAX; i++)
			w->log[i] = (struct linear_log){ .room = CALLS,
							 .op = w->op[i] };
		EXPECT_TRUE(run_sides(w->producers + w->consumers, processes,
				      side, w));
		EXPECT_EQ(0, w->failed);
		drain(_metadata, w);
		n += judge(_metadata, w, variant->capacity, ended);
		pinring_region_close(w->r);
	}
	TH_LOG("%llu calls: %llu pushes, %llu pops, %llu full, %llu empty",
	       (unsigned long long)n, (unsigned long long)ended[LINEAR_PUSH],
	       (unsigned long long)ended[LINEAR_POP],
	       (unsigned long long)ended[LINEAR_FULL],
	       (unsigned long long)ended[LINEAR_EMPTY]);
	for (int i = 0; i < 4; i++) {
		EXPECT_LT(0, ended[i]);
	}
}

TEST_F_TIMEOUT(linear, threads_see_one_bounded_fifo, 120)
{
	all_crowds(_metadata, self, variant, false);
}

TEST_F_TIMEOUT(linear, processes_see_one_bounded_fifo, 120)
{
	all_crowds(_metadata, self, variant, true);
}

/* ---------------------------------------- what "empty" and "full" do not say */

/* Several calls of one thread, which overlap. */
struct bench {
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_mpmc_producer p, other_p;
	struct pinring_mpmc_consumer c, other_c;
	struct linear_op op[16];
	struct linear_log log;
	struct linear_log slow; /* writes behind the other */
};

static void open_bench(struct __test_metadata *_metadata, struct bench *b)
{
	struct pinring_region_config config = pinring_region_defaults(1 << 16);

	ASSERT_EQ(0, pinring_device_open(NULL, &b->device));
	ASSERT_EQ(0, pinring_region_create(b->device, &config, &b->r));
	ASSERT_EQ(0, pinring_mpmc_create(b->r, "ring", 2, 8, 4));
	ASSERT_EQ(0, pinring_mpmc_producer_open(b->r, "ring", &b->p));
	ASSERT_EQ(0, pinring_mpmc_producer_open(b->r, "ring", &b->other_p));
	ASSERT_EQ(0, pinring_mpmc_consumer_open(b->r, "ring", &b->c));
	ASSERT_EQ(0, pinring_mpmc_consumer_open(b->r, "ring", &b->other_c));
	b->log = (struct linear_log){ .op = b->op, .room = 8 };
	b->slow = (struct linear_log){ .op = b->op + 8, .room = 8 };
}

static void close_bench(struct bench *b)
{
	pinring_mpmc_producer_close(&b->p);
	pinring_mpmc_producer_close(&b->other_p);
	pinring_mpmc_consumer_close(&b->c);
	pinring_mpmc_consumer_close(&b->other_c);
	pinring_region_close(b->r);
	pinring_device_close(b->device);
}

static void push_now(struct __test_metadata *_metadata, struct bench *b,
		     uint64_t value)
{
	linear_call(&b->log);
	ASSERT_EQ(0, pinring_mpmc_push_u64(&b->p, value));
	linear_return(&b->log, LINEAR_PUSH, &value, 1);
}

static void pop_now(struct __test_metadata *_metadata, struct bench *b,
		    uint64_t expected)
{
	uint64_t value = 0;

	linear_call(&b->log);
	ASSERT_EQ(0, pinring_mpmc_pop_u64(&b->c, &value));
	linear_return(&b->log, LINEAR_POP, &value, 1);
	EXPECT_EQ(expected, value);
}

/* No FIFO explains it; one of tickets does. */
static void only_tickets_explain(struct __test_metadata *_metadata,
				 struct bench *b, const char *what)
{
	struct linear_spec spec = { .capacity = 2 };
	uint64_t n = b->log.n + b->slow.n;
	struct linear_fault fault;

	memmove(b->op + b->log.n, b->slow.op, b->slow.n * sizeof(*b->op));
	EXPECT_FALSE(linear_check(b->op, n, spec, &fault));
	EXPECT_STREQ(what, fault.what);
	EXPECT_FALSE(linear_explains(b->op, n, spec));
	spec.tickets = true;
	EXPECT_TRUE(linear_check(b->op, n, spec, &fault));
	EXPECT_TRUE(linear_explains(b->op, n, spec));
}

TEST(empty_may_hide_what_was_pushed_behind_a_slow_producer)
{
	uint64_t value = 1;
	struct bench b;

	open_bench(_metadata, &b);
	linear_call(&b.slow);
	ASSERT_EQ(1, pinring_mpmc_reserve(&b.other_p, 1));
	push_now(_metadata, &b, 2);
	linear_call(&b.log);
	EXPECT_EQ(-EAGAIN, pinring_mpmc_pop_u64(&b.c, &value));
	linear_refused(&b.log, LINEAR_EMPTY);
	*(uint64_t *)pinring_mpmc_slot(&b.other_p.side, 0) = value;
	pinring_mpmc_commit(&b.other_p, 1);
	linear_return(&b.slow, LINEAR_PUSH, &value, 1);
	pop_now(_metadata, &b, 1);
	pop_now(_metadata, &b, 2);
	only_tickets_explain(_metadata, &b,
			     "empty, though something was inside all the time");
	close_bench(&b);
}

TEST(full_may_hide_the_room_behind_a_slow_consumer)
{
	uint64_t value = 1;
	struct bench b;

	open_bench(_metadata, &b);
	push_now(_metadata, &b, 1);
	push_now(_metadata, &b, 2);
	linear_call(&b.slow);
	ASSERT_EQ(1, pinring_mpmc_peek(&b.other_c, 1));
	pop_now(_metadata, &b, 2);
	linear_call(&b.log);
	EXPECT_EQ(-EAGAIN, pinring_mpmc_push_u64(&b.p, 3));
	linear_refused(&b.log, LINEAR_FULL);
	pinring_mpmc_release(&b.other_c);
	linear_return(&b.slow, LINEAR_POP, &value, 1);
	push_now(_metadata, &b, 3);
	only_tickets_explain(_metadata, &b,
			     "full, though there was room all the time");
	close_bench(&b);
}

TEST_HARNESS_MAIN
