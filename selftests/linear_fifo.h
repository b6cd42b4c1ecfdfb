/* SPDX-License-Identifier: MIT */
/*
 * linear_fifo.h - is a history that of a FIFO? In O(n log n).
 *
 * Where every value is pushed once, a history is not that of a FIFO if and only
 * if it shows one of a few patterns (Henzinger, Sezgin and Vafeiadis,
 * Aspect-oriented linearizability proofs, CONCUR 2013; Bouajjani, Emmi, Enea and
 * Hamza, On reducing linearizability to state reachability, ICALP 2015):
 *
 *  1  a value is popped twice, or popped but never pushed
 *  2  a pop ended before the push of its value began
 *  3  a was pushed before b, and b popped before a (or a never)
 *  4  "empty" although at each instant of that call some value was inside for
 *     certain: its push had ended, its pop had not begun
 *
 * For the capacity, and for the "empty" and "full" of a ring of tickets, no such
 * theorem is known to us. What is looked for here is impossible for a correct
 * queue, so nobody is accused wrongly; not everything impossible is found.
 * linear_test.c measures how much is not.
 *
 *  5  more than `capacity` values inside for certain
 *  6  "full" although at no instant of that call as many values could have been
 *     inside, counting for pushed what had begun and for popped what had ended
 *
 * With tickets, an "empty" or a "full" may also be due to a call that drew its
 * ticket and is not over. Let "q may be ahead of v" mean that neither of patterns
 * 1 to 3 would come of an order with q before v. Then:
 *
 *  4' v counts as inside for certain once each push that may be ahead of v, and
 *     its own, has ended: whatever is the oldest then is complete
 *  6' v counts as popped once each pop that may be ahead of v has ended, and its
 *     own: of n such values the last in order has n - 1 or more before it, and
 *     each of these has given its slot back
 */
#ifndef SELFTESTS_LINEAR_FIFO_H
#define SELFTESTS_LINEAR_FIFO_H

#include "linear.h"

#define LINEAR_NEVER UINT64_MAX

/* A value, its push and its pop, as narrow as the two make one another. */
struct linear_item {
	uint64_t push_from, push_to; /* to: not after its pop ended */
	uint64_t pop_from, pop_to; /* from: not before its push began */
	uint64_t there; /* inside for certain from here to pop_from */
	uint64_t gone; /* popped for certain */
	uint64_t push, pop; /* in the history; n: there is none */
};

struct linear_fifo {
	const struct linear_op *op;
	uint64_t n;
	struct linear_spec spec;
	struct linear_item *item;
	uint64_t items;
	struct linear_fault *fault;
};

/* ------------------------------------------------------------------ sorting */
struct linear_key {
	uint64_t key, tie, index;
};

static inline int linear_compare(const void *a, const void *b)
{
	const struct linear_key *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->tie < y->tie ? -1 : x->tie > y->tie;
}

static inline void linear_sort(struct linear_key *k, uint64_t n)
{
	qsort(k, n, sizeof(*k), linear_compare);
}

static inline void *linear_alloc(uint64_t n, uint64_t size)
{
	void *p = calloc(n + 1, size);

	if (!p)
		abort();
	return p;
}

/* The items by one of their times. */
static inline struct linear_key *linear_by(const struct linear_fifo *f, size_t offset)
{
	struct linear_key *k = linear_alloc(f->items, sizeof(*k));
	uint64_t i;

	for (i = 0; i < f->items; i++) {
		memcpy(&k[i].key, (const char *)&f->item[i] + offset,
		       sizeof(k[i].key));
		k[i].index = i;
	}
	linear_sort(k, f->items);
	return k;
}

#define LINEAR_BY(f, time) \
	linear_by(f, __builtin_offsetof(struct linear_item, time))

/* How many of n sorted keys are below `key`. */
static inline uint64_t linear_below(const struct linear_key *k, uint64_t n, uint64_t key)
{
	uint64_t from = 0;

	while (from < n) {
		uint64_t middle = from + (n - from) / 2;

		if (k[middle].key < key)
			from = middle + 1;
		else
			n = middle;
	}
	return from;
}

/* ------------------------------------------------- values, each with its calls */

static inline struct linear_op linear_at(const struct linear_fifo *f, uint64_t i)
{
	static const struct linear_op none;

	return i < f->n ? f->op[i] : none;
}

static inline bool linear_add(struct linear_fifo *f, uint64_t push, uint64_t pop)
{
	struct linear_item *v = &f->item[f->items++];

	*v = (struct linear_item){
		.push_from = f->op[push].called,
		.push_to = f->op[push].returned,
		.pop_from = LINEAR_NEVER,
		.pop_to = LINEAR_NEVER,
		.push = push,
		.pop = pop,
	};
	if (pop < f->n) {
		v->pop_from = f->op[pop].called;
		v->pop_to = f->op[pop].returned;
		if (v->pop_to < v->push_from)
			return linear_blame(f->fault, "popped before it was pushed",
					    f->op[push], f->op[pop]);
		if (v->push_to > v->pop_to)
			v->push_to = v->pop_to;
		if (v->pop_from < v->push_from)
			v->pop_from = v->push_from;
	}
	v->there = v->push_to;
	v->gone = v->pop_to;
	return true;
}

static inline bool linear_match(struct linear_fifo *f)
{
	struct linear_key *k = linear_alloc(f->n, sizeof(*k));
	uint64_t i, n = 0;
	bool ok = true;

	for (i = 0; i < f->n; i++)
		if (f->op[i].verb == LINEAR_PUSH || f->op[i].verb == LINEAR_POP)
			k[n++] = (struct linear_key){ f->op[i].value,
						      f->op[i].verb, i };
	linear_sort(k, n);
	for (i = 0; i < n && ok; i++) {
		const bool has_pop = i + 1 < n && k[i + 1].key == k[i].key;

		if (k[i].tie != LINEAR_PUSH)
			ok = linear_blame(f->fault,
					  i && k[i - 1].key == k[i].key ?
						  "popped twice" :
						  "popped, but never pushed",
					  linear_at(f, k[i].index),
					  linear_at(f, i ? k[i - 1].index : f->n));
		else if (has_pop && k[i + 1].tie == LINEAR_PUSH)
			ok = linear_blame(f->fault, "pushed twice: no history for us",
					  linear_at(f, k[i].index),
					  linear_at(f, k[i + 1].index));
		else
			ok = linear_add(f, k[i].index,
					has_pop ? k[i + 1].index : f->n);
		i += ok && has_pop;
	}
	free(k);
	return ok;
}

/* ------------------------------------------------------------------ patterns */

/* 3: for each b, the latest pop among all that were pushed before it. */
static inline bool linear_in_order(const struct linear_fifo *f)
{
	struct linear_key *a = LINEAR_BY(f, push_to);
	struct linear_key *b = LINEAR_BY(f, push_from);
	const struct linear_item *late = NULL;
	uint64_t i, k = 0;
	bool ok = true;

	for (i = 0; i < f->items && ok; i++) {
		const struct linear_item *v = &f->item[b[i].index];

		for (; k < f->items && a[k].key < v->push_from; k++) {
			const struct linear_item *u = &f->item[a[k].index];

			if (!late || u->pop_from > late->pop_from)
				late = u;
		}
		if (late && v->pop_to < late->pop_from)
			ok = linear_blame(f->fault,
					  late->pop < f->n ?
						  "popped before one that was pushed earlier" :
						  "popped, and one that was pushed earlier never",
					  linear_at(f, late->push),
					  linear_at(f, v->pop));
	}
	free(a);
	free(b);
	return ok;
}

/*
 * 4', 6': for each v the latest push_to, or pop_to, of all that may be ahead of it
 * (and its own). A Fenwick tree over pop_from holds those whose pushes began in
 * time.
 */
static inline void linear_wait_for_those_ahead(struct linear_fifo *f)
{
	struct linear_key *v = LINEAR_BY(f, push_to);
	struct linear_key *p = LINEAR_BY(f, push_from);
	struct linear_key *rank = LINEAR_BY(f, pop_from);
	uint64_t *rank_of = linear_alloc(f->items, sizeof(*rank_of));
	struct {
		uint64_t push_to, pop_to;
	} *tree = linear_alloc(f->items, sizeof(*tree));
	uint64_t i, j, k = 0;

	for (i = 0; i < f->items; i++)
		rank_of[rank[i].index] = i;
	for (i = 0; i < f->items; i++) {
		struct linear_item *it = &f->item[v[i].index];

		for (; k < f->items && p[k].key <= it->push_to; k++) {
			const struct linear_item *q = &f->item[p[k].index];

			for (j = rank_of[p[k].index] + 1; j <= f->items;
			     j += j & -j) {
				if (tree[j].push_to < q->push_to)
					tree[j].push_to = q->push_to;
				if (tree[j].pop_to < q->pop_to)
					tree[j].pop_to = q->pop_to;
			}
		}
		j = it->pop_to == LINEAR_NEVER ?
			    f->items :
			    linear_below(rank, f->items, it->pop_to + 1);
		for (; j; j -= j & -j) {
			if (it->there < tree[j].push_to)
				it->there = tree[j].push_to;
			if (it->gone < tree[j].pop_to)
				it->gone = tree[j].pop_to;
		}
	}
	free(v);
	free(p);
	free(rank);
	free(rank_of);
	free(tree);
}

/* 4: one sweep joins what is covered, then each "empty" is looked up. */
static inline bool linear_empty(const struct linear_fifo *f)
{
	struct linear_key *from = LINEAR_BY(f, there);
	struct linear_key *covered = linear_alloc(f->items, sizeof(*covered));
	uint64_t i, n = 0;
	bool ok = true;

	for (i = 0; i < f->items; i++) {
		const struct linear_item *v = &f->item[from[i].index];

		if (v->there >= v->pop_from)
			continue;
		/* key: from; tie: to. Both ends are outside. */
		if (n && v->there < covered[n - 1].tie) {
			if (covered[n - 1].tie < v->pop_from)
				covered[n - 1].tie = v->pop_from;
		} else {
			covered[n++] = (struct linear_key){
				v->there, v->pop_from, from[i].index
			};
		}
	}
	for (i = 0; i < f->n && ok; i++) {
		uint64_t k;

		if (f->op[i].verb != LINEAR_EMPTY)
			continue;
		k = linear_below(covered, n, f->op[i].called);
		if (k && covered[k - 1].tie > f->op[i].returned)
			ok = linear_blame(f->fault,
					  "empty, though something was inside all the time",
					  f->op[i],
					  linear_at(f, f->item[covered[k - 1].index]
							       .push));
	}
	free(from);
	free(covered);
	return ok;
}

/* 5 */
static inline bool linear_within_capacity(const struct linear_fifo *f)
{
	struct linear_key *in = LINEAR_BY(f, push_to);
	struct linear_key *out = LINEAR_BY(f, pop_from);
	uint64_t i, k = 0, inside = 0;
	bool ok = true;

	for (i = 0; i < f->items && ok; i++) {
		const struct linear_item *v = &f->item[in[i].index];

		for (; k < f->items && out[k].key <= v->push_to; k++)
			inside -= f->item[out[k].index].push_to <
				  f->item[out[k].index].pop_from;
		if (v->push_to >= v->pop_from)
			continue;
		if (++inside > f->spec.capacity)
			ok = linear_blame(f->fault, "more inside than there is room",
					  linear_at(f, v->push),
					  linear_at(f, v->pop));
	}
	free(in);
	free(out);
	return ok;
}

/* 6: a tree of maxima over the instants at which pushes begin. */
static inline bool linear_full(const struct linear_fifo *f)
{
	struct linear_key *push = LINEAR_BY(f, push_from);
	struct linear_key *gone = LINEAR_BY(f, gone);
	const uint64_t n = f->items;
	int64_t *most = linear_alloc(2 * n, sizeof(*most));
	const int64_t capacity = (int64_t)f->spec.capacity;
	uint64_t i, k = 0;
	bool ok = true;

	for (i = 0; i < n; i++) {
		for (; k < n && gone[k].key < push[i].key; k++)
			;
		most[n + i] = (int64_t)(i + 1) - (int64_t)k;
	}
	for (i = n; i-- > 1;)
		most[i] = most[2 * i] > most[2 * i + 1] ? most[2 * i] :
							  most[2 * i + 1];
	for (i = 0; i < f->n && ok; i++) {
		uint64_t l = linear_below(push, n, f->op[i].called + 1);
		uint64_t r = linear_below(push, n, f->op[i].returned + 1);
		int64_t held = (int64_t)l -
			       (int64_t)linear_below(gone, n, f->op[i].called);

		if (f->op[i].verb != LINEAR_FULL)
			continue;
		for (l += n, r += n; l < r; l /= 2, r /= 2) {
			if (l & 1 && held < most[l])
				held = most[l];
			l += l & 1;
			if (r & 1 && held < most[r - 1])
				held = most[r - 1];
		}
		if (!capacity || held < capacity)
			ok = linear_blame(f->fault,
					  "full, though there was room all the time",
					  f->op[i], linear_at(f, f->n));
	}
	free(push);
	free(gone);
	free(most);
	return ok;
}

/* Whether no pattern is in it; else *fault says which. */
static inline bool linear_check(const struct linear_op *op, uint64_t n,
			 struct linear_spec spec, struct linear_fault *fault)
{
	struct linear_fifo f = {
		.op = op,
		.n = n,
		.spec = spec,
		.item = linear_alloc(n, sizeof(*f.item)),
		.fault = fault,
	};
	bool ok;

	*fault = (struct linear_fault){ .what = NULL };
	ok = linear_match(&f) && linear_in_order(&f);
	if (ok && spec.tickets)
		linear_wait_for_those_ahead(&f);
	ok = ok && linear_empty(&f) &&
	     (!spec.capacity || linear_within_capacity(&f)) && linear_full(&f);
	free(f.item);
	return ok;
}

#endif /* SELFTESTS_LINEAR_FIFO_H */
