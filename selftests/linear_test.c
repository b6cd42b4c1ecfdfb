// SPDX-License-Identifier: MIT
/*
 * The judges of histories, judged: each pattern in a history that shows it and
 * one that barely does not; quick judge and exact judge on the same histories;
 * and queues with a planted bug, run by real threads.
 */
#include <kselftest_harness.h>

#include <pthread.h>

#include <pinring/pinring_layout.h>

#include "items.h"
#include "linear_fifo.h"
#include "linear_search.h"

#define STRICT(n) ((struct linear_spec){ .capacity = n })
#define TICKETS(n) ((struct linear_spec){ .capacity = n, .tickets = true })

#define PUSH(value, from, to) { from, to, value, LINEAR_PUSH }
#define POP(value, from, to) { from, to, value, LINEAR_POP }
#define EMPTY(from, to) { from, to, 0, LINEAR_EMPTY }
#define FULL(from, to) { from, to, 0, LINEAR_FULL }

/* What the quick judge says, after the exact one has said the same. */
static const char *verdict(struct __test_metadata *_metadata,
			   const struct linear_op *op, uint64_t n,
			   struct linear_spec spec)
{
	struct linear_fault fault;
	bool ok = linear_check(op, n, spec, &fault);

	EXPECT_EQ(ok, linear_explains(op, n, spec));
	EXPECT_EQ(ok, fault.what == NULL);
	return ok ? "fine" : fault.what;
}

#define VERDICT(expected, spec, ...)                                        \
	do {                                                                \
		const struct linear_op op_[] = { __VA_ARGS__ };             \
		EXPECT_STREQ(expected, verdict(_metadata, op_,              \
					       ARRAY_SIZE(op_), spec));     \
	} while (0)

TEST(values_come_out_once_and_after_they_went_in)
{
	VERDICT("fine", STRICT(4), PUSH(1, 1, 2), POP(1, 3, 4));
	VERDICT("fine", STRICT(4), PUSH(1, 1, 9), POP(1, 3, 4));
	VERDICT("fine", STRICT(4), PUSH(1, 4, 5), POP(1, 3, 4)); /* at 4 */
	VERDICT("popped before it was pushed", STRICT(4), PUSH(1, 5, 6),
		POP(1, 3, 4));
	VERDICT("popped, but never pushed", STRICT(4), POP(1, 3, 4));
	VERDICT("popped twice", STRICT(4), PUSH(1, 1, 2), POP(1, 3, 4),
		POP(1, 5, 6));
	VERDICT("fine", STRICT(4), PUSH(1, 1, 2));
}

TEST(what_was_pushed_first_is_popped_first)
{
	VERDICT("fine", STRICT(4), PUSH(1, 1, 2), PUSH(2, 3, 4), POP(1, 5, 6),
		POP(2, 7, 8));
	VERDICT("popped before one that was pushed earlier", STRICT(4),
		PUSH(1, 1, 2), PUSH(2, 3, 4), POP(2, 5, 6), POP(1, 7, 8));
	VERDICT("popped, and one that was pushed earlier never", STRICT(4),
		PUSH(1, 1, 2), PUSH(2, 3, 4), POP(2, 5, 6));
	VERDICT("fine", STRICT(4), PUSH(1, 1, 3), PUSH(2, 3, 4), POP(2, 5, 6),
		POP(1, 7, 8));
	VERDICT("fine", STRICT(4), PUSH(1, 1, 2), PUSH(2, 3, 4), POP(2, 5, 7),
		POP(1, 7, 8));
}

TEST(empty_needs_an_instant_without_anything_inside)
{
	VERDICT("fine", STRICT(4), EMPTY(1, 1), PUSH(1, 2, 3), EMPTY(3, 4),
		POP(1, 5, 6), EMPTY(6, 7));
	VERDICT("empty, though something was inside all the time", STRICT(4),
		PUSH(1, 2, 3), EMPTY(4, 5), POP(1, 6, 7));
	/* 1 and 2 take turns to be inside. */
	VERDICT("empty, though something was inside all the time", STRICT(4),
		PUSH(1, 1, 2), EMPTY(3, 8), PUSH(2, 4, 5), POP(1, 6, 7),
		POP(2, 9, 10));
	VERDICT("fine", STRICT(4), PUSH(1, 1, 2), EMPTY(3, 8), PUSH(2, 4, 6),
		POP(1, 6, 7), POP(2, 9, 10));
}

/* A producer that drew its ticket hides what others push behind it. */
TEST(empty_of_a_ring_of_tickets_may_be_due_to_a_push_that_is_not_over)
{
	VERDICT("fine", TICKETS(4), PUSH(1, 1, 9), PUSH(2, 2, 3), EMPTY(4, 5));
	VERDICT("empty, though something was inside all the time", STRICT(4),
		PUSH(1, 1, 9), PUSH(2, 2, 3), EMPTY(4, 5));
	/* It began later: it has a later ticket. */
	VERDICT("empty, though something was inside all the time", TICKETS(4),
		PUSH(2, 2, 3), PUSH(1, 4, 9), EMPTY(5, 6));
	/* It was popped later: likewise. */
	VERDICT("empty, though something was inside all the time", TICKETS(4),
		PUSH(1, 1, 9), PUSH(2, 2, 3), EMPTY(4, 5), POP(2, 10, 11),
		POP(1, 12, 13));
	VERDICT("empty, though something was inside all the time", TICKETS(4),
		PUSH(1, 1, 9), PUSH(2, 2, 3), EMPTY(10, 11));
}

TEST(full_needs_an_instant_with_as_many_inside_as_there_is_room)
{
	VERDICT("fine", STRICT(2), PUSH(1, 1, 2), PUSH(2, 2, 3), FULL(4, 5));
	VERDICT("full, though there was room all the time", STRICT(2),
		PUSH(1, 1, 2), FULL(3, 4), PUSH(2, 5, 6));
	VERDICT("full, though there was room all the time", STRICT(2),
		PUSH(1, 1, 2), PUSH(2, 2, 3), POP(1, 4, 5), FULL(6, 7));
	VERDICT("full, though there was room all the time", STRICT(0),
		PUSH(1, 1, 2), FULL(3, 4));
	VERDICT("more inside than there is room", STRICT(2), PUSH(1, 1, 2),
		PUSH(2, 3, 4), PUSH(3, 5, 6));
	VERDICT("fine", STRICT(2), PUSH(1, 1, 2), PUSH(2, 3, 4), PUSH(3, 5, 7),
		POP(1, 7, 8));
}

/* A consumer that drew its ticket holds its slot, and all that follow it wait. */
TEST(full_of_a_ring_of_tickets_may_be_due_to_a_pop_that_is_not_over)
{
	VERDICT("fine", TICKETS(2), PUSH(1, 1, 2), PUSH(2, 3, 4), POP(1, 5, 20),
		POP(2, 6, 7), FULL(8, 9));
	VERDICT("full, though there was room all the time", STRICT(2),
		PUSH(1, 1, 2), PUSH(2, 3, 4), POP(1, 5, 20), POP(2, 6, 7),
		FULL(8, 9));
	VERDICT("full, though there was room all the time", TICKETS(2),
		PUSH(1, 1, 2), PUSH(2, 3, 4), POP(1, 5, 6), POP(2, 7, 20),
		FULL(8, 9));
}

/* -------------------------------------------------------- random histories */
#define THREADS 5
#define CALLS_MAX 26

enum flaw {
	NONE,
	SWAPS,
	LOSES,
	DOUBLES,
	SAYS_EMPTY,
	SAYS_FULL,
	ROOM_FOR_ONE_MORE,
	LAST_COMES_FIRST,
	FLAWS
};

/* A queue that takes one step of one of its callers at a time. */
struct machine {
	struct linear_spec spec;
	struct dice dice;
	enum flaw flaw;
	struct linear_op op[CALLS_MAX];
	uint64_t n, time;
	uint64_t ticket[4 * CALLS_MAX]; /* a push, as an index of op */
	uint64_t popped_by[4 * CALLS_MAX];
	uint64_t head, tail;
	struct {
		uint64_t op; /* CALLS_MAX: idle */
		bool done;
	} thread[THREADS];
};

#define OPEN 0 /* as a time of return: still running */

static bool is_open(const struct machine *m, uint64_t op)
{
	return m->op[op].returned == OPEN;
}

static void flaw_inside(struct machine *m, uint64_t k)
{
	const uint64_t inside = m->tail - m->head;
	uint64_t one = m->ticket[m->head];
	uint64_t *other = &m->ticket[m->head + roll(&m->dice, inside ? inside : 1)];

	if (!inside || roll(&m->dice, 4))
		return;
	if (m->flaw == SWAPS) {
		m->ticket[m->head] = *other;
		*other = one;
	} else if (m->flaw == LOSES) {
		m->popped_by[m->head++] = k;
	} else if (m->flaw == LAST_COMES_FIRST) {
		m->ticket[m->head] = m->ticket[m->tail - 1];
		m->ticket[m->tail - 1] = one;
	}
}

static void push_now(struct machine *m, uint64_t k)
{
	const uint64_t room = m->spec.capacity + (m->flaw == ROOM_FOR_ONE_MORE);
	bool full = m->spec.capacity && m->tail - m->head >= room;

	if (m->spec.tickets && !full && m->tail >= room &&
	    is_open(m, m->popped_by[m->tail - room]))
		full = roll(&m->dice, 2);
	full |= m->flaw == SAYS_FULL && !roll(&m->dice, 6);
	m->op[k].verb = full ? LINEAR_FULL : LINEAR_PUSH;
	if (!full) {
		m->op[k].value = k + 1;
		m->ticket[m->tail++] = k;
	}
}

static void pop_now(struct machine *m, uint64_t k)
{
	bool empty = m->head == m->tail;

	if (!empty && m->spec.tickets && is_open(m, m->ticket[m->head]))
		empty = roll(&m->dice, 2);
	empty |= m->flaw == SAYS_EMPTY && !roll(&m->dice, 6);
	m->op[k].verb = empty ? LINEAR_EMPTY : LINEAR_POP;
	if (empty)
		return;
	m->op[k].value = m->ticket[m->head] + 1;
	m->popped_by[m->head] = k;
	if (m->flaw != DOUBLES || roll(&m->dice, 6))
		m->head++;
}

static void step(struct machine *m, uint64_t calls)
{
	uint64_t t = roll(&m->dice, THREADS), k = m->thread[t].op;

	m->time += roll(&m->dice, 3);
	if (k == CALLS_MAX) {
		if (m->n == calls)
			return;
		m->thread[t].op = m->n;
		m->thread[t].done = false;
		m->op[m->n++] = (struct linear_op){
			.called = m->time,
			.verb = roll(&m->dice, 2) ? LINEAR_PUSH : LINEAR_POP,
		};
	} else if (!m->thread[t].done) {
		m->thread[t].done = true;
		flaw_inside(m, k);
		if (m->op[k].verb == LINEAR_PUSH)
			push_now(m, k);
		else
			pop_now(m, k);
	} else {
		m->op[k].returned = m->time;
		m->thread[t].op = CALLS_MAX;
	}
}

static void make_history(struct machine *m, struct linear_spec spec,
			 enum flaw flaw, uint64_t seed)
{
	bool busy = true;
	uint64_t calls;

	*m = (struct machine){ .spec = spec, .flaw = flaw, .time = 1 };
	m->dice.state = seed;
	calls = 6 + roll(&m->dice, CALLS_MAX - 5);
	for (int t = 0; t < THREADS; t++)
		m->thread[t].op = CALLS_MAX;
	while (busy) {
		step(m, calls);
		busy = m->n < calls;
		for (int t = 0; t < THREADS; t++)
			busy |= m->thread[t].op != CALLS_MAX;
	}
}

/* As a queue might answer that has a bug nobody thought of. */
static void tamper(struct machine *m)
{
	struct linear_op *a = &m->op[roll(&m->dice, m->n)];
	struct linear_op *b = &m->op[roll(&m->dice, m->n)];
	uint64_t value = a->value;

	switch (roll(&m->dice, 4)) {
	case 0: /* they return in the other order */
		if (a->verb == LINEAR_POP && b->verb == LINEAR_POP) {
			a->value = b->value;
			b->value = value;
		}
		break;
	case 1:
		if (a->verb == LINEAR_POP)
			a->verb = LINEAR_EMPTY;
		break;
	case 2:
		a->called = a->returned;
		break;
	default:
		a->returned = a->called;
	}
}

struct tally {
	uint64_t fine, wrong, missed, accused;
};

static struct tally compare(struct linear_spec spec, uint64_t rounds)
{
	struct tally t = { .fine = 0 };
	struct linear_fault fault;

	for (uint64_t i = 0; i < rounds; i++) {
		struct machine m;
		bool quick, exact;

		make_history(&m, spec, (enum flaw)(i % FLAWS), i + 1);
		for (uint64_t k = roll(&m.dice, 3); i % FLAWS && k; k--)
			tamper(&m);
		quick = linear_check(m.op, m.n, spec, &fault);
		exact = linear_explains(m.op, m.n, spec);
		t.fine += exact;
		t.wrong += !exact;
		t.missed += quick && !exact;
		/* The first flaw is none: both have to find these fine. */
		t.accused += !quick && exact;
		t.accused += i % FLAWS == NONE && !(quick && exact);
	}
	return t;
}

#define ROUNDS (SANITIZED ? 2000u : 16000u)

/* Here the patterns are a theorem: both judges say the same, always. */
TEST(quick_and_exact_agree_where_there_is_no_capacity)
{
	struct tally t = compare(STRICT(0), ROUNDS);

	EXPECT_EQ(0, t.accused);
	EXPECT_EQ(0, t.missed);
	EXPECT_LT(ROUNDS / 8, t.fine);
	EXPECT_LT(ROUNDS / 8, t.wrong);
	TH_LOG("%llu fine, %llu wrong", (unsigned long long)t.fine,
	       (unsigned long long)t.wrong);
}

/* Here nobody is accused wrongly, and few get away. */
TEST(quick_misses_few_that_exact_finds_where_there_is_a_capacity)
{
	for (uint64_t capacity = 1; capacity <= 4; capacity++) {
		for (int tickets = 0; tickets < 2; tickets++) {
			struct linear_spec spec = { capacity, tickets };
			struct tally t = compare(spec, ROUNDS / 4);

			EXPECT_EQ(0, t.accused);
			EXPECT_LT(ROUNDS / 32, t.fine);
			EXPECT_LT(ROUNDS / 32, t.wrong);
			EXPECT_LE(t.missed, t.wrong / 20);
			TH_LOG("capacity %llu%s: %llu fine, %llu wrong, %llu of them missed",
			       (unsigned long long)capacity,
			       tickets ? " of tickets" : "",
			       (unsigned long long)t.fine,
			       (unsigned long long)t.wrong,
			       (unsigned long long)t.missed);
		}
	}
}

/* --------------------------------------------- queues of threads, with a bug */
#define ROOM 16
#define WORKERS 4 /* half of them push */
#define ATTEMPTS (SANITIZED ? 20000u : 60000u) /* of each */

struct queue {
	int (*push)(struct queue *q, uint64_t value); /* 0 or -EAGAIN */
	int (*pop)(struct queue *q, uint64_t *value);
	enum flaw flaw;
	pthread_mutex_t lock;
	struct dice dice;
	struct {
		/* Of Vyukov's queue: far enough apart to be seen out of step. */
		uint64_t turn PINRING_ALIGNED(128);
		uint64_t value PINRING_ALIGNED(128);
	} slot[2 * ROOM];
	uint64_t head, tail;
};

static bool errs(struct queue *q, enum flaw flaw)
{
	return q->flaw == flaw && !roll(&q->dice, 200);
}

static int locked_push(struct queue *q, uint64_t value)
{
	int rc = -EAGAIN;

	pthread_mutex_lock(&q->lock);
	if (q->tail - q->head < ROOM + (q->flaw == ROOM_FOR_ONE_MORE) &&
	    !errs(q, SAYS_FULL)) {
		q->slot[q->tail++ % (2 * ROOM)].value = value;
		rc = 0;
	}
	pthread_mutex_unlock(&q->lock);
	return rc;
}

static int locked_pop(struct queue *q, uint64_t *value)
{
	int rc = -EAGAIN;

	pthread_mutex_lock(&q->lock);
	if (q->head != q->tail && !errs(q, SAYS_EMPTY)) {
		uint64_t *first = &q->slot[q->head % (2 * ROOM)].value;
		uint64_t *last = &q->slot[(q->tail - 1) % (2 * ROOM)].value;

		*value = *first;
		if (errs(q, SWAPS) || errs(q, LAST_COMES_FIRST)) {
			*value = *last;
			*last = *first;
		}
		if (!errs(q, DOUBLES))
			q->head++;
		if (q->head != q->tail && errs(q, LOSES))
			q->head++;
		rc = 0;
	}
	pthread_mutex_unlock(&q->lock);
	return rc;
}

/* Vyukov's, as small as can be. */
static int ticket_push(struct queue *q, uint64_t value)
{
	uint64_t at = __atomic_load_n(&q->tail, __ATOMIC_RELAXED);

	for (;;) {
		uint64_t *turn = &q->slot[at % ROOM].turn;
		int64_t ahead = (int64_t)(__atomic_load_n(turn, __ATOMIC_ACQUIRE) -
					  at);

		if (ahead < 0)
			return -EAGAIN;
		if (ahead > 0) {
			at = __atomic_load_n(&q->tail, __ATOMIC_RELAXED);
		} else if (__atomic_compare_exchange_n(&q->tail, &at, at + 1, false,
						       __ATOMIC_RELAXED,
						       __ATOMIC_RELAXED)) {
			__atomic_store_n(&q->slot[at % ROOM].value, value,
					 __ATOMIC_RELAXED);
			__atomic_store_n(turn, at + 1, __ATOMIC_RELEASE);
			return 0;
		}
	}
}

/* With the flaw it reads the value before it knows that it is there. */
static int ticket_pop(struct queue *q, uint64_t *value)
{
	uint64_t at = __atomic_load_n(&q->head, __ATOMIC_RELAXED);

	for (;;) {
		uint64_t *turn = &q->slot[at % ROOM].turn;
		uint64_t *slot = &q->slot[at % ROOM].value;
		uint64_t early = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
		int64_t ahead;

		/* Where threads are kept waiting, chance does not do it. */
		if (q->flaw == DOUBLES && at % 16 == 0)
			sched_yield();
		ahead = (int64_t)(__atomic_load_n(turn, __ATOMIC_ACQUIRE) - at -
				  1);
		if (ahead < 0)
			return -EAGAIN;
		if (ahead > 0) {
			at = __atomic_load_n(&q->head, __ATOMIC_RELAXED);
		} else if (__atomic_compare_exchange_n(&q->head, &at, at + 1, false,
						       __ATOMIC_RELAXED,
						       __ATOMIC_RELAXED)) {
			*value = q->flaw == DOUBLES ?
					 early :
					 __atomic_load_n(slot, __ATOMIC_RELAXED);
			__atomic_store_n(turn, at + ROOM, __ATOMIC_RELEASE);
			return 0;
		}
	}
}

struct worker {
	struct queue *q;
	struct linear_log log;
	uint64_t me;
	pthread_t thread;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	const bool pushes = w->me % 2;
	unsigned int spins = 0;

	for (uint64_t i = 1; i <= ATTEMPTS; i++) {
		uint64_t value = w->me << 32 | i;
		int rc;

		linear_call(&w->log);
		rc = pushes ? w->q->push(w->q, value) : w->q->pop(w->q, &value);
		if (rc) {
			linear_refused(&w->log,
				       pushes ? LINEAR_FULL : LINEAR_EMPTY);
			wait_a_little(&spins);
		} else {
			linear_return(&w->log, pushes ? LINEAR_PUSH : LINEAR_POP,
				      &value, 1);
		}
	}
	return NULL;
}

static const char *run(struct __test_metadata *_metadata,
		       const struct queue *fresh, struct linear_spec spec)
{
	struct queue q = *fresh;
	struct linear_op *all = calloc(WORKERS * ATTEMPTS, sizeof(*all));
	struct linear_fault fault;
	struct worker w[WORKERS];

	ASSERT_NE(NULL, all);
	pthread_mutex_init(&q.lock, NULL);
	for (uint64_t i = 0; i < ROOM; i++)
		q.slot[i].turn = i;
	for (uint64_t i = 0; i < WORKERS; i++) {
		w[i] = (struct worker){ .q = &q, .me = i };
		w[i].log.op = all + i * ATTEMPTS;
		w[i].log.room = ATTEMPTS;
		ASSERT_EQ(0, pthread_create(&w[i].thread, NULL, work, &w[i]));
	}
	for (uint64_t i = 0; i < WORKERS; i++) {
		pthread_join(w[i].thread, NULL);
		EXPECT_EQ(ATTEMPTS, w[i].log.n);
	}
	pthread_mutex_destroy(&q.lock);
	linear_check(all, WORKERS * ATTEMPTS, spec, &fault);
	free(all);
	return fault.what ? fault.what : "fine";
}

TEST(a_queue_with_a_lock_is_linearizable)
{
	struct queue q = { .push = locked_push, .pop = locked_pop };

	EXPECT_STREQ("fine", run(_metadata, &q, STRICT(ROOM)));
}

TEST(every_planted_bug_is_found)
{
	static const struct {
		enum flaw flaw;
		const char *what;
	} bug[] = {
		{ SWAPS, "popped before one that was pushed earlier" },
		{ LAST_COMES_FIRST, "popped before one that was pushed earlier" },
		{ DOUBLES, "popped twice" },
		{ LOSES, "popped, and one that was pushed earlier never" },
		{ SAYS_EMPTY, "empty, though something was inside all the time" },
		{ SAYS_FULL, "full, though there was room all the time" },
		{ ROOM_FOR_ONE_MORE, "more inside than there is room" },
	};

	struct queue q = { .push = locked_push, .pop = locked_pop };

	for (size_t i = 0; i < ARRAY_SIZE(bug); i++) {
		q.flaw = bug[i].flaw;
		EXPECT_STREQ(bug[i].what, run(_metadata, &q, STRICT(ROOM)));
	}
}

TEST(a_queue_of_tickets_is_linearizable_as_one_until_it_reads_too_early)
{
	struct queue q = { .push = ticket_push, .pop = ticket_pop };
	const char *what = "fine";

	EXPECT_STREQ("fine", run(_metadata, &q, TICKETS(ROOM)));
	q.flaw = DOUBLES;
	for (int i = 0; i < 50 && !strcmp(what, "fine"); i++) {
		what = run(_metadata, &q, TICKETS(ROOM));
		TH_LOG("%d: %s", i, what);
	}
	EXPECT_STRNE("fine", what);
}

/* -------------------------------------------------------------------- size */

/* n log n: a history of millions takes seconds. */
TEST(a_million_calls_are_judged)
{
	const uint64_t n = SANITIZED ? 200000 : 1000000;
	struct linear_op *op = calloc(n, sizeof(*op));
	struct linear_fault fault;
	uint64_t i;

	ASSERT_NE(NULL, op);
	/* Pushes of 10 each, which overlap; pops likewise, some way behind. */
	for (i = 0; i < n / 2; i++) {
		op[2 * i] = (struct linear_op)PUSH(i, 5 * i, 5 * i + 9);
		op[2 * i + 1] = (struct linear_op)POP(i, 5 * i + 99, 5 * i + 108);
	}
	EXPECT_TRUE(linear_check(op, n, STRICT(32), &fault));
	EXPECT_TRUE(linear_check(op, n, TICKETS(32), &fault));
	op[n / 2 + 1].value = op[n / 2 + 9].value;
	op[n / 2 + 9].value -= 4;
	EXPECT_FALSE(linear_check(op, n, STRICT(32), &fault));
	EXPECT_STREQ("popped before one that was pushed earlier", fault.what);
	free(op);
}

TEST_HARNESS_MAIN
