// SPDX-License-Identifier: MIT
/*
 * The judge of broadcasts, judged: each rule in a history that breaks it and one
 * that barely does not, and random ones with a fault put in.
 */
#include <kselftest_harness.h>

#include "items.h"
#include "linear_broadcast.h"

#define PUSH(value, from, to) { from, to, value, LINEAR_PUSH }
#define SEES(value, at) { at, at, value, LINEAR_POP }

#define VIEW(...)                                                             \
	{                                                                     \
		.op = (const struct linear_op[]){ __VA_ARGS__ },              \
		.n = sizeof((struct linear_op[]){ __VA_ARGS__ }) /            \
		     sizeof(struct linear_op),                                \
		.came = LINEAR_NEVER,                                         \
	}

static const char *verdict(const struct linear_op *push, uint64_t n,
			   const struct linear_view *view, uint64_t views)
{
	struct linear_fault fault;

	return linear_check_broadcast(push, n, view, views, &fault) ? "fine" :
								      fault.what;
}

/* 1 and 2 are pushed at the same time, 3 behind both. */
static const struct linear_op three[] = { PUSH(1, 1, 5), PUSH(2, 2, 4),
					  PUSH(3, 6, 7) };

#define VERDICT(expected, ...)                                               \
	do {                                                                 \
		const struct linear_view v_[] = { __VA_ARGS__ };             \
		EXPECT_STREQ(expected, verdict(three, ARRAY_SIZE(three), v_, \
					       ARRAY_SIZE(v_)));             \
	} while (0)

TEST(all_see_the_same_order)
{
	VERDICT("fine", VIEW(SEES(1, 9), SEES(2, 9), SEES(3, 9)),
		VIEW(SEES(1, 10), SEES(2, 11), SEES(3, 12)));
	VERDICT("fine", VIEW(SEES(2, 9), SEES(1, 9), SEES(3, 9)));
	VERDICT("a value was missed, or came elsewhere",
		VIEW(SEES(1, 9), SEES(2, 9), SEES(3, 9)),
		VIEW(SEES(2, 10), SEES(1, 11), SEES(3, 12)));
}

TEST(who_may_miss_some_sees_the_same_order_all_the_same)
{
	struct linear_view v[] = { VIEW(SEES(1, 9), SEES(2, 9)),
				   VIEW(SEES(2, 9), SEES(3, 9)),
				   VIEW(SEES(1, 9), SEES(3, 9)) };

	EXPECT_STREQ("a value was missed, or came elsewhere",
		     verdict(three, 3, v, 3));
	v[2].may_miss = true;
	EXPECT_STREQ("fine", verdict(three, 3, v, 3));
	v[2] = (struct linear_view)VIEW(SEES(2, 9), SEES(1, 9));
	v[2].may_miss = true;
	EXPECT_STREQ("no one order explains what all saw",
		     verdict(three, 3, v, 3));
}

TEST(the_order_is_that_of_the_pushes)
{
	VERDICT("no one order explains what all saw",
		VIEW(SEES(3, 9), SEES(1, 9)));
	VERDICT("no one order explains what all saw",
		VIEW(SEES(2, 9), SEES(3, 9), SEES(1, 9)));
}

TEST(what_is_seen_was_pushed_once_and_is_seen_once)
{
	VERDICT("seen, but never pushed", VIEW(SEES(4, 9)));
	VERDICT("seen twice by one", VIEW(SEES(1, 9), SEES(1, 9)));
	VERDICT("seen before it was pushed", VIEW(SEES(3, 5)));
	VERDICT("fine", VIEW(SEES(3, 6)));
}

/* Also at the ends, where no neighbour gives it away. */
TEST(who_was_there_from_the_beginning_to_the_end_misses_none_untold)
{
	struct linear_view v[] = { VIEW(SEES(1, 9), SEES(2, 9)) };

	EXPECT_STREQ("fine", verdict(three, 3, v, 1));
	v[0].came = 0;
	EXPECT_STREQ("missed, and not told so", verdict(three, 3, v, 1));
	v[0].missed = 1;
	EXPECT_STREQ("fine", verdict(three, 3, v, 1));
	v[0] = (struct linear_view)VIEW(SEES(2, 9), SEES(3, 9));
	v[0].came = 0;
	EXPECT_STREQ("missed, and not told so", verdict(three, 3, v, 1));
	v[0].came = 1; /* 1 may have been before its time */
	EXPECT_STREQ("fine", verdict(three, 3, v, 1));
}

TEST(who_finds_nothing_has_not_overlooked_what_it_sees_next)
{
	struct linear_op empty[] = { { 3, 4, 0, LINEAR_EMPTY },
				     { 5, 20, 0, LINEAR_EMPTY } };
	struct linear_view v[] = { VIEW(SEES(2, 9), SEES(1, 21)) };

	v[0].empty = empty;
	v[0].empties = 1; /* before its first, whose push had not returned */
	EXPECT_STREQ("fine", verdict(three, 3, v, 1));
	empty[0].called = 5;
	EXPECT_STREQ("nothing found, though the next was there",
		     verdict(three, 3, v, 1));
	v[0].empty = &empty[1];
	EXPECT_STREQ("nothing found, though the next was there",
		     verdict(three, 3, v, 1));
	empty[1].called = 10; /* behind the first; the push of 1 ended at 5 */
	EXPECT_STREQ("nothing found, though the next was there",
		     verdict(three, 3, v, 1));
	empty[1].called = 22; /* nothing comes after it */
	EXPECT_STREQ("fine", verdict(three, 3, v, 1));
}

/* ------------------------------------------------------------------- random */
#define VALUES (SANITIZED ? 2000u : 20000u)
#define VIEWS 4u

struct audience {
	struct linear_op *push, *seen[VIEWS];
	struct linear_view view[VIEWS];
};

/*
 * Value i takes its place in the order at time 10 i, somewhere within its push;
 * view k comes at a random time and sees the rest.
 */
static void make(struct audience *a, uint64_t seed)
{
	struct dice dice = { seed };

	for (uint64_t i = 0; i < VALUES; i++)
		a->push[i] = (struct linear_op)PUSH(
			item_mix(i), 10 * i + 100 - roll(&dice, 100),
			10 * i + 100 + roll(&dice, 100));
	for (uint64_t k = 0; k < VIEWS; k++) {
		uint64_t first = roll(&dice, VALUES / 2);
		uint64_t n = VALUES - first;

		for (uint64_t i = 0; i < n; i++)
			a->seen[k][i] = (struct linear_op)SEES(
				item_mix(first + i),
				10 * (first + i) + 100 + roll(&dice, 10));
		a->view[k] = (struct linear_view){ .op = a->seen[k],
						   .n = n,
						   .came = 10 * first + 100 };
	}
}

static void swap(struct linear_op *a, struct linear_op *b)
{
	uint64_t value = a->value;

	a->value = b->value;
	b->value = value;
}

static void drop(struct linear_view *v, struct linear_op *op, uint64_t i)
{
	memmove(op + i, op + i + 1, (v->n - i - 1) * sizeof(*op));
	v->n--;
}

TEST(one_fault_among_many_is_found)
{
	struct audience a = { .push = calloc(VALUES, sizeof(*a.push)) };
	struct dice dice = { 1 };

	ASSERT_NE(NULL, a.push);
	for (uint64_t k = 0; k < VIEWS; k++) {
		a.seen[k] = calloc(VALUES, sizeof(*a.push));
		ASSERT_NE(NULL, a.seen[k]);
	}
	for (uint64_t round = 0; round < 12; round++) {
		uint64_t k = roll(&dice, VIEWS);
		struct linear_op *seen = a.seen[k];
		struct linear_view *v = &a.view[k];
		uint64_t i;

		make(&a, round);
		i = roll(&dice, v->n - 30);
		EXPECT_STREQ("fine", verdict(a.push, VALUES, a.view, VIEWS));
		switch (round % 6) {
		case 0:
			swap(&seen[i], &seen[i + 1]);
			break;
		case 1: /* all of them agree, but not with the clock */
			for (k = 0; k < VIEWS; k++)
				swap(&a.seen[k][a.view[k].n - 40],
				     &a.seen[k][a.view[k].n - 1]);
			for (i = VALUES - 40; i < VALUES; i++)
				a.push[i].called = 0;
			a.push[VALUES - 40].returned = a.push[VALUES - 40].called;
			a.push[VALUES - 1].called = 1;
			break;
		case 2:
			drop(v, seen, i + 1);
			break;
		case 3:
			drop(v, seen, v->n - 1);
			break;
		case 4:
			seen[i + 1].value = seen[i].value;
			break;
		default:
			for (uint64_t w = 0; w < VIEWS; w++)
				a.view[w].may_miss = true;
			v->missed = 1;
			drop(v, seen, i);
			EXPECT_STREQ("fine", verdict(a.push, VALUES, a.view,
						     VIEWS));
			drop(v, seen, i);
		}
		EXPECT_STRNE("fine", verdict(a.push, VALUES, a.view, VIEWS)) {
			TH_LOG("round %llu", (unsigned long long)round);
		}
	}
	for (uint64_t k = 0; k < VIEWS; k++)
		free(a.seen[k]);
	free(a.push);
}

TEST_HARNESS_MAIN
