// SPDX-License-Identifier: MIT
/*
 * Histories of the broadcast ring are those that linear_broadcast.h allows: one to
 * four producers, consumers that are there from the beginning or come later, as
 * threads and as processes, gated and lapping. Many short rounds, because most
 * races are at the beginning and at the end, in rings so small that they are full,
 * empty or lapped all the time.
 */
#include <kselftest_harness.h>

#include <sys/mman.h>

#include "broadcast.h"
#include "linear_broadcast.h"
#include "sides.h"
#include "take_cpu.h"

#define PRODUCERS_MAX 4
#define CONSUMERS_MAX 4
#define CROWD_MAX (PRODUCERS_MAX + CONSUMERS_MAX)
#define SENDS 60u /* of each producer, in a round */
#define RUN_MAX 6u
#define EMPTIES 1000u /* looks of each consumer that are kept */
#define LOG (EMPTIES + PRODUCERS_MAX * SENDS)
#define SECOND 1000000000ll

struct crowd {
	struct pinring_region *r;
	uint64_t producers, consumers;
	uint32_t flags;
	uint64_t seed;
	uint64_t ready, left; /* sides that came; producers not done. Atomic */
	uint64_t failed; /* sides that saw an error; atomic */
	struct linear_log log[CROWD_MAX];
	uint64_t came[CROWD_MAX], missed[CROWD_MAX];
	struct linear_op op[CROWD_MAX][LOG];
};

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
	SLOWLY, /* gives the CPU away in the middle */
	PATIENTLY, /* sleeps until it can */
};

static enum manner roll_manner(struct dice *dice)
{
	switch (roll(dice, 24)) {
	case 0:
		return SLOWLY;
	case 1:
		return PATIENTLY;
	case 2:
	case 3:
	case 4:
		return AS_A_RUN;
	default:
		return AT_ONCE;
	}
}

/* ------------------------------------------------------------- the two sides */
static int64_t push_slowly(struct pinring_broadcast_producer *p, uint64_t value)
{
	void *slot;
	int64_t n = pinring_broadcast_reserve(p, 1, &slot);

	if (n < 1)
		return n;
	sched_yield();
	pinring_broadcast_store(slot, 0, value);
	pinring_broadcast_commit(p, 1);
	return 1;
}

/* How many values went, or came; else an error. */
static int64_t push_values(struct pinring_broadcast_producer *p,
			   enum manner manner, const uint64_t *value, uint64_t n)
{
	int rc;

	if (manner == AS_A_RUN)
		return pinring_broadcast_push_batch(p, value, n);
	if (manner == SLOWLY)
		return push_slowly(p, *value);
	rc = manner == PATIENTLY ?
		     pinring_broadcast_push_wait(p, value, 100 * SECOND) :
		     pinring_broadcast_push_u64(p, *value);
	return rc ? rc : 1;
}

static int64_t pop_slowly(struct pinring_broadcast_consumer *c, uint64_t *value,
			  uint64_t want)
{
	void *slots;
	int64_t i, whole, n = pinring_broadcast_peek(c, want, &slots);

	if (n < 1)
		return n;
	for (i = 0; i < n; i++)
		value[i] = pinring_broadcast_load(
			pinring_broadcast_slot(&c->side, slots, (uint64_t)i), 0);
	sched_yield();
	whole = pinring_broadcast_release(c, (uint64_t)n);
	/* The last ones. */
	for (i = 0; i < whole; i++)
		value[i] = value[n - whole + i];
	return whole;
}

static int64_t pop_values(struct pinring_broadcast_consumer *c,
			  enum manner manner, uint64_t *value, uint64_t n)
{
	int rc;

	if (manner == AS_A_RUN)
		return pinring_broadcast_pop_batch(c, value, n);
	if (manner == SLOWLY)
		return pop_slowly(c, value, n);
	rc = manner == PATIENTLY ?
		     pinring_broadcast_pop_wait(c, value, 100 * SECOND) :
		     pinring_broadcast_pop_u64(c, value);
	return rc ? rc : 1;
}

static int64_t produce(struct crowd *w, uint64_t me, struct dice *dice)
{
	struct linear_log *log = &w->log[me];
	struct pinring_broadcast_producer p;
	unsigned int spins = 0;
	uint64_t sent = 0;
	int64_t n = pinring_broadcast_producer_open(w->r, "ring", &p);

	wait_for_all(w);
	while (!n && sent < SENDS) {
		enum manner manner = roll_manner(dice);
		uint64_t value[RUN_MAX], want = 1 + roll(dice, RUN_MAX);

		if (want > SENDS - sent)
			want = SENDS - sent;
		for (uint64_t i = 0; i < want; i++)
			value[i] = me << 32 | (sent + i);
		/* So that others, lapping too, have their turn. */
		if (!roll(dice, 8))
			sched_yield();
		linear_call(log);
		n = push_values(&p, manner, value, want);
		if (n > 0) {
			linear_return(log, LINEAR_PUSH, value, (uint64_t)n);
			sent += (uint64_t)n;
		} else if (n == -EAGAIN) {
			wait_a_little(&spins);
		} else {
			break;
		}
		n = 0;
	}
	if (!__atomic_sub_fetch(&w->left, 1, __ATOMIC_ACQ_REL) && !n)
		n = pinring_broadcast_close(&p);
	pinring_broadcast_producer_close(&p);
	return n;
}

static int64_t consume(struct crowd *w, uint64_t me, struct dice *dice)
{
	const bool late = roll(dice, 2);
	struct linear_log *log = &w->log[me];
	struct pinring_broadcast_consumer c;
	unsigned int spins = 0;
	int64_t n;

	if (late) {
		wait_for_all(w);
		for (uint64_t i = roll(dice, 30); i--;)
			wait_a_little(&spins);
	}
	while ((n = pinring_broadcast_consumer_open(
			w->r, "ring",
			roll(dice, 2) ? PINRING_BROADCAST_AT_TAIL :
					PINRING_BROADCAST_AT_OLDEST,
			&c)) == -EAGAIN)
		sched_yield();
	if (n)
		return n;
	linear_call(log); /* whatever begins after this is for us */
	w->came[me] = log->called;
	if (!late)
		wait_for_all(w);
	for (;;) {
		enum manner manner = roll_manner(dice);
		uint64_t value[RUN_MAX];

		linear_call(log);
		n = pop_values(&c, manner, value, 1 + roll(dice, RUN_MAX));
		if (n > 0) {
			linear_return(log, LINEAR_POP, value, (uint64_t)n);
		} else if (n == -EAGAIN) {
			if (log->n < EMPTIES)
				linear_refused(log, LINEAR_EMPTY);
			wait_a_little(&spins);
		} else if (n != -ESTALE) {
			break;
		}
	}
	w->missed[me] = pinring_broadcast_missed(&c);
	pinring_broadcast_consumer_close(&c);
	return n == -EPIPE ? 0 : n;
}

static void side(void *arg, uint64_t me)
{
	struct crowd *w = arg;
	struct dice dice = { w->seed + me };

	take_cpu((int)me);
	if (me < w->producers ? produce(w, me, &dice) : consume(w, me, &dice))
		__atomic_add_fetch(&w->failed, 1, __ATOMIC_RELAXED);
}

/* ----------------------------------------------------------------- judging */
/* What is worth a look: have these things happened at all? */
struct tally {
	uint64_t pushes, pops, empties, missed, late, faults;
};

/* Looks that found something, then those that did not, in place. */
static uint64_t part(struct linear_op *op, uint64_t n)
{
	struct linear_op other[LOG];
	uint64_t i, pops = 0, empties = 0;

	for (i = 0; i < n; i++)
		if (op[i].verb == LINEAR_POP)
			op[pops++] = op[i];
		else
			other[empties++] = op[i];
	memcpy(op + pops, other, empties * sizeof(*op));
	return pops;
}

static void judge(struct __test_metadata *_metadata, struct crowd *w,
		  struct tally *t)
{
	const bool lapping = w->flags & LAPPING;
	struct linear_op push[PRODUCERS_MAX * SENDS];
	struct linear_view view[CONSUMERS_MAX] = { 0 };
	struct linear_fault fault;
	uint64_t n = 0;

	for (uint64_t i = 0; i < w->producers; i++) {
		memcpy(push + n, w->op[i], w->log[i].n * sizeof(*push));
		n += w->log[i].n;
	}
	for (uint64_t i = 0; i < w->consumers; i++) {
		const uint64_t me = w->producers + i;
		const uint64_t pops = part(w->op[me], w->log[me].n);

		view[i] = (struct linear_view){
			.op = w->op[me],
			.n = pops,
			.came = w->came[me],
			.missed = w->missed[me],
			.may_miss = lapping,
			.empty = w->op[me] + pops,
			/* Many, lapping: it waits for one, and is lapped. */
			.empties = w->flags == (LAPPING | MANY) ?
					   0 :
					   w->log[me].n - pops,
		};
		t->pops += pops;
		t->empties += w->log[me].n - pops;
		t->missed += w->missed[me];
		t->late += pops < n;
		EXPECT_TRUE(lapping || !w->missed[me]);
	}
	t->pushes += n;
	EXPECT_EQ(w->producers * SENDS, n);
	EXPECT_TRUE(linear_check_broadcast(push, n, view, w->consumers, &fault)) {
		t->faults++;
		TH_LOG("%llu producers, %llu consumers, seed %llu: %s",
		       (unsigned long long)w->producers,
		       (unsigned long long)w->consumers,
		       (unsigned long long)w->seed, fault.what);
		for (int i = 0; i < 2; i++) {
			const struct linear_op *op = i ? &fault.b : &fault.a;

			TH_LOG("%s %llx from %llu to %llu",
			       linear_verb_name(op->verb),
			       (unsigned long long)op->value,
			       (unsigned long long)op->called,
			       (unsigned long long)op->returned);
		}
	}
}

/* ------------------------------------------------------------------- tests */
FIXTURE(linear)
{
	struct pinring_device *device;
	struct crowd *w;
};

FIXTURE_VARIANT(linear)
{
	uint32_t flags;
	uint64_t capacity;
};

FIXTURE_VARIANT_ADD(linear, gated_c2) { 0, 2 };
FIXTURE_VARIANT_ADD(linear, gated_c16) { 0, 16 };
FIXTURE_VARIANT_ADD(linear, lapping_c4) { LAPPING, 4 };
FIXTURE_VARIANT_ADD(linear, lapping_c16) { LAPPING, 16 };
FIXTURE_VARIANT_ADD(linear, gated_many_c2) { MANY, 2 };
FIXTURE_VARIANT_ADD(linear, gated_many_c16) { MANY, 16 };
FIXTURE_VARIANT_ADD(linear, lapping_many_c4) { LAPPING | MANY, 4 };
FIXTURE_VARIANT_ADD(linear, lapping_many_c16) { LAPPING | MANY, 16 };

FIXTURE_SETUP(linear)
{
	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	self->w = mmap(NULL, sizeof(*self->w), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->w);
}

FIXTURE_TEARDOWN(linear)
{
	munmap(self->w, sizeof(*self->w));
	pinring_device_close(self->device);
}

static void
all_rounds(struct __test_metadata *_metadata, FIXTURE_DATA(linear) *self,
	   const FIXTURE_VARIANT(linear) *variant, uint64_t rounds,
	   bool processes)
{
	struct pinring_region_config config = pinring_region_defaults(1 << 16);
	struct dice dice = { 1 };
	struct tally t = { 0 };
	struct crowd *w = self->w;

	for (uint64_t k = 0; k < rounds && !t.faults; k++) {
		struct pinring_object_info o;

		ASSERT_EQ(0, pinring_region_create(self->device, &config, &w->r));
		ASSERT_EQ(0, pinring_broadcast_create(w->r, "ring",
						      variant->capacity, 8,
						      variant->flags, CROWD_MAX));
		ASSERT_EQ(0, pinring_object_find(w->r, "ring", &o));
		/* Tickets wrap, or laps in a word do, somewhere in the round. */
		if (k % 3)
			age(pinring_region_at(w->r, o.offset, o.length),
			    (k % 3 == 1 ? 0 : (1ull << 53) * variant->capacity) -
				    variant->capacity * (1 + roll(&dice, 9)));
		w->flags = variant->flags;
		w->producers = variant->flags & MANY ?
				       1 + roll(&dice, PRODUCERS_MAX) :
				       1;
		w->consumers = 1 + roll(&dice, CONSUMERS_MAX);
		w->left = w->producers;
		w->ready = w->failed = 0;
		w->seed = item_mix(k + 1);
		for (uint64_t i = 0; i < CROWD_MAX; i++)
			w->log[i] = (struct linear_log){ .room = LOG,
							 .op = w->op[i] };
		EXPECT_TRUE(run_sides(w->producers + w->consumers, processes,
				      side, w));
		EXPECT_EQ(0, w->failed);
		judge(_metadata, w, &t);
		pinring_region_close(w->r);
	}
	TH_LOG("%llu pushes, %llu pops, %llu empty, %llu missed, %llu saw a part",
	       (unsigned long long)t.pushes, (unsigned long long)t.pops,
	       (unsigned long long)t.empties, (unsigned long long)t.missed,
	       (unsigned long long)t.late);
	EXPECT_LT(0, t.pops);
	EXPECT_LT(0, t.empties);
	EXPECT_LT(0, t.late);
	EXPECT_EQ(variant->flags & LAPPING, t.missed ? LAPPING : 0);
}

TEST_F_TIMEOUT(linear, threads_see_one_order, 120)
{
	all_rounds(_metadata, self, variant, SANITIZED ? 60 : 400, false);
}

TEST_F_TIMEOUT(linear, processes_see_one_order, 120)
{
	all_rounds(_metadata, self, variant, SANITIZED ? 20 : 100, true);
}

TEST_HARNESS_MAIN
