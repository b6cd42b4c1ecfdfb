/* SPDX-License-Identifier: MIT */
/*
 * linear_broadcast.h - do all consumers of a broadcast see one order, and is it
 * that of the pushes? In O(n log n).
 *
 *  1  what is seen was pushed, once, and its push had begun before the look that
 *     showed it was over; nobody sees it twice
 *  2  there is one order of all values in which each consumer saw its own, and in
 *     which a value whose push ended before that of another began comes before it
 *  3  a consumer that is never lapped misses none: whatever any two of them saw
 *     next to one another, all did
 *  4  a consumer that was there before and saw the end saw, or was told that it
 *     missed, every value whose push began after it had come
 *  5  a consumer that found nothing had not overlooked anything: the push of what
 *     it saw next had not returned when it began to look
 *
 * 2 is a search for a cycle, by taking away what has nothing before it. The order
 * in time is not drawn as an edge for each pair: the ends of the pushes make a
 * chain of n instants; a push points at the instant it ended, and the last
 * instant before a push began points at it.
 */
#ifndef SELFTESTS_LINEAR_BROADCAST_H
#define SELFTESTS_LINEAR_BROADCAST_H

#include "linear_fifo.h"

struct linear_view {
	const struct linear_op *op; /* its pops, in the order it made them */
	uint64_t n;
	uint64_t came; /* when it began to listen; LINEAR_NEVER: leave out 4 */
	uint64_t missed; /* values, by what it was told */
	bool may_miss; /* it can be lapped */
	const struct linear_op *empty; /* its looks that found nothing, in order */
	uint64_t empties; /* 0: leave out 5 */
};

struct linear_audience {
	const struct linear_op *push; /* by its number */
	uint64_t n;
	const struct linear_view *view;
	uint64_t views;
	struct linear_key *by_value; /* index: of push */
	uint64_t *next, *before; /* of a push, as views without gaps have it + 1 */
	uint64_t *seen_by; /* of a push: the last view + 1 */
	struct linear_fault *fault;
};

/* The number of the push of that value; n: there is none. */
static inline uint64_t linear_push_of(const struct linear_audience *a, uint64_t value)
{
	uint64_t k = linear_below(a->by_value, a->n, value);

	return k < a->n && a->by_value[k].key == value ? a->by_value[k].index :
							 a->n;
}

/* 1 and 3, for one view; *from and *to are neighbours in it. */
static inline bool linear_neighbours(const struct linear_audience *a, uint64_t from,
			      uint64_t to, struct linear_op pop)
{
	if ((a->next[from] && a->next[from] != to + 1) ||
	    (a->before[to] && a->before[to] != from + 1))
		return linear_blame(a->fault, "a value was missed, or came elsewhere",
				    a->push[from], pop);
	a->next[from] = to + 1;
	a->before[to] = from + 1;
	return true;
}

static inline bool linear_look(const struct linear_audience *a, uint64_t view)
{
	const struct linear_view *w = &a->view[view];
	uint64_t i, last = a->n;

	for (i = 0; i < w->n; i++) {
		uint64_t p = linear_push_of(a, w->op[i].value);

		if (p == a->n)
			return linear_blame(a->fault, "seen, but never pushed",
					    w->op[i], w->op[i]);
		if (a->seen_by[p] == view + 1)
			return linear_blame(a->fault, "seen twice by one",
					    a->push[p], w->op[i]);
		a->seen_by[p] = view + 1;
		if (w->op[i].returned < a->push[p].called)
			return linear_blame(a->fault, "seen before it was pushed",
					    a->push[p], w->op[i]);
		if (i && !w->may_miss &&
		    !linear_neighbours(a, last, p, w->op[i]))
			return false;
		last = p;
	}
	return true;
}

/* 4, right after linear_look() of the same view. */
static inline bool linear_attend(const struct linear_audience *a, uint64_t view)
{
	const struct linear_view *w = &a->view[view];
	uint64_t i, gone = 0;

	for (i = 0; i < a->n; i++) {
		if (a->push[i].called <= w->came || a->seen_by[i] == view + 1)
			continue;
		if (++gone > w->missed)
			return linear_blame(a->fault, "missed, and not told so",
					    a->push[i],
					    w->n ? w->op[w->n - 1] : a->push[i]);
	}
	return true;
}

/* 5, likewise. */
static inline bool linear_overlook(const struct linear_audience *a, uint64_t view)
{
	const struct linear_view *w = &a->view[view];
	uint64_t i, next = 0;

	for (i = 0; i < w->empties; i++) {
		const struct linear_op *push;

		while (next < w->n && w->op[next].called <= w->empty[i].called)
			next++;
		if (next == w->n)
			return true;
		push = &a->push[linear_push_of(a, w->op[next].value)];
		if (push->returned < w->empty[i].called)
			return linear_blame(a->fault,
					    "nothing found, though the next was there",
					    *push, w->empty[i]);
	}
	return true;
}

/* 2. Nodes: the pushes, and behind them the instants at which pushes ended. */
struct linear_graph {
	uint64_t *first, *edge; /* those of v: edge[first[v + 1]] .. [first[v + 2]] */
	uint64_t *in; /* edges that point at it */
	uint64_t nodes;
};

/* Calls visit(from, to) for each edge: once to count, once to fill in. */
static inline void linear_edges(const struct linear_audience *a,
			 const struct linear_key *ended, struct linear_graph *g,
			 void (*visit)(struct linear_graph *g, uint64_t from,
				       uint64_t to))
{
	uint64_t i, k;

	for (i = 0; i < a->n; i++) {
		visit(g, ended[i].index, a->n + i);
		if (i)
			visit(g, a->n + i - 1, a->n + i);
		k = linear_below(ended, a->n, a->push[i].called);
		if (k)
			visit(g, a->n + k - 1, i);
	}
	for (k = 0; k < a->views; k++)
		for (i = 1; i < a->view[k].n; i++)
			visit(g, linear_push_of(a, a->view[k].op[i - 1].value),
			      linear_push_of(a, a->view[k].op[i].value));
}

static inline void linear_count_edge(struct linear_graph *g, uint64_t from, uint64_t to)
{
	g->first[from + 1]++;
	g->in[to]++;
}

static inline void linear_add_edge(struct linear_graph *g, uint64_t from, uint64_t to)
{
	g->edge[--g->first[from + 1]] = to;
}

static inline bool linear_one_order(const struct linear_audience *a)
{
	struct linear_key *ended = linear_alloc(a->n, sizeof(*ended));
	struct linear_graph g = { .nodes = 2 * a->n };
	uint64_t i, k, n = 0, *ready;
	bool ok;

	g.first = linear_alloc(g.nodes + 1, sizeof(*g.first));
	g.in = linear_alloc(g.nodes, sizeof(*g.in));
	ready = linear_alloc(g.nodes, sizeof(*ready));
	for (i = 0; i < a->n; i++)
		ended[i] = (struct linear_key){ a->push[i].returned, 0, i };
	linear_sort(ended, a->n);
	linear_edges(a, ended, &g, linear_count_edge);
	for (i = 0; i < g.nodes; i++)
		g.first[i + 1] += g.first[i];
	g.first[g.nodes + 1] = g.first[g.nodes];
	g.edge = linear_alloc(g.first[g.nodes], sizeof(*g.edge));
	/* first[v + 1] is the end of v's edges now; each that is added takes it down. */
	linear_edges(a, ended, &g, linear_add_edge);
	for (i = 0; i < g.nodes; i++)
		if (!g.in[i])
			ready[n++] = i;
	for (i = 0; i < n; i++) {
		for (k = g.first[ready[i] + 1]; k < g.first[ready[i] + 2]; k++)
			if (!--g.in[g.edge[k]])
				ready[n++] = g.edge[k];
	}
	ok = n == g.nodes;
	for (i = 0; !ok && i < a->n; i++)
		if (g.in[i])
			linear_blame(a->fault, "no one order explains what all saw",
				     a->push[i], a->push[i]);
	free(ended);
	free(g.first);
	free(g.edge);
	free(g.in);
	free(ready);
	return ok;
}

/* push: successful ones only. Whether all is well; else *fault says what not. */
static inline bool linear_check_broadcast(const struct linear_op *push, uint64_t n,
				   const struct linear_view *view, uint64_t views,
				   struct linear_fault *fault)
{
	struct linear_audience a = {
		.push = push,
		.n = n,
		.view = view,
		.views = views,
		.by_value = linear_alloc(n, sizeof(*a.by_value)),
		.next = linear_alloc(n, sizeof(*a.next)),
		.before = linear_alloc(n, sizeof(*a.before)),
		.seen_by = linear_alloc(n, sizeof(*a.seen_by)),
		.fault = fault,
	};
	bool ok = true;
	uint64_t i;

	*fault = (struct linear_fault){ .what = NULL };
	for (i = 0; i < n; i++)
		a.by_value[i] = (struct linear_key){ push[i].value, 0, i };
	linear_sort(a.by_value, n);
	for (i = 1; i < n && ok; i++)
		if (a.by_value[i].key == a.by_value[i - 1].key)
			ok = linear_blame(fault, "pushed twice: no history for us",
					  push[a.by_value[i - 1].index],
					  push[a.by_value[i].index]);
	for (i = 0; i < views && ok; i++)
		ok = linear_look(&a, i) && linear_overlook(&a, i) &&
		     (view[i].came == LINEAR_NEVER || linear_attend(&a, i));
	ok = ok && linear_one_order(&a);
	free(a.by_value);
	free(a.next);
	free(a.before);
	free(a.seen_by);
	return ok;
}

#endif /* SELFTESTS_LINEAR_BROADCAST_H */
