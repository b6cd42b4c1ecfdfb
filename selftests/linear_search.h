/* SPDX-License-Identifier: MIT */
/*
 * linear_search.h - is a history of up to 64 calls that of a FIFO? By trying all.
 *
 * Wing and Gong's search (Testing and verifying concurrent objects, 1993) in the
 * form of Lowe's just-in-time linearization (Testing for linearizability, 2017):
 * walk through the calls and returns in order of time, let any call that is open
 * take effect in between, and demand at each return that its call did. A state
 * seen before is not entered again. Exponential in how many calls overlap, but
 * exact: what linear_fifo.h is measured against.
 */
#ifndef SELFTESTS_LINEAR_SEARCH_H
#define SELFTESTS_LINEAR_SEARCH_H

#include "linear.h"

#define LINEAR_SEARCH_MAX 64
#define LINEAR_SEARCH_NONE 0xff
#define LINEAR_SEARCH_CLOSED 0xfe /* popped, and the pop has returned */
#define LINEAR_SEARCH_STAYS 0xfd /* pushed, and never popped */

/* A state, as it is remembered. */
struct linear_state {
	uint64_t done; /* calls that took effect */
	uint8_t event; /* the next one */
	uint8_t head, tail; /* of ticket[] */
	/* The pushes that took effect, in order; then what pops hold of them. */
	uint8_t ticket[LINEAR_SEARCH_MAX];
	uint8_t zero[5]; /* no padding: it is compared byte by byte */
};

struct linear_search {
	const struct linear_op *op;
	struct linear_spec spec;
	unsigned int n;
	struct {
		uint64_t time;
		uint8_t op;
		bool returns;
	} event[2 * LINEAR_SEARCH_MAX];
	uint8_t called_at[LINEAR_SEARCH_MAX]; /* as an index of event */
	uint8_t returned_at[LINEAR_SEARCH_MAX];
	uint8_t pop_of[LINEAR_SEARCH_MAX]; /* of a push, or _NONE */
	struct linear_state *seen; /* a hash table, open addressing */
	uint64_t used, size;
};

static inline uint64_t linear_hash(const struct linear_state *s)
{
	const unsigned char *byte = (const unsigned char *)s;
	uint64_t h = 0xcbf29ce484222325ull;
	size_t i;

	for (i = 0; i < sizeof(*s); i++)
		h = (h ^ byte[i]) * 0x100000001b3ull;
	return h ^ h >> 29;
}

/* An empty place has event 0xff. */
static inline bool linear_put(struct linear_state *seen, uint64_t size,
		       const struct linear_state *s)
{
	uint64_t i = linear_hash(s) & (size - 1);

	while (seen[i].event != 0xff) {
		if (!memcmp(&seen[i], s, sizeof(*s)))
			return false;
		i = (i + 1) & (size - 1);
	}
	seen[i] = *s;
	return true;
}

static inline struct linear_state *linear_table(uint64_t size)
{
	struct linear_state *t = malloc(size * sizeof(*t));

	if (!t)
		abort();
	memset(t, 0xff, size * sizeof(*t));
	return t;
}

static inline bool linear_is_new(struct linear_search *q, const struct linear_state *state)
{
	struct linear_state s = *state;
	unsigned int i;

	/* Which items these are makes no difference any more. */
	for (i = 0; i < s.head; i++)
		if (q->returned_at[q->pop_of[s.ticket[i]]] < s.event)
			s.ticket[i] = LINEAR_SEARCH_CLOSED;
	for (; i < s.tail; i++)
		if (q->pop_of[s.ticket[i]] == LINEAR_SEARCH_NONE &&
		    q->returned_at[s.ticket[i]] < s.event)
			s.ticket[i] = LINEAR_SEARCH_STAYS;
	if (2 * q->used >= q->size) {
		struct linear_state *larger = linear_table(2 * q->size);
		uint64_t k;

		for (k = 0; k < q->size; k++)
			if (q->seen[k].event != 0xff)
				linear_put(larger, 2 * q->size, &q->seen[k]);
		free(q->seen);
		q->seen = larger;
		q->size *= 2;
	}
	if (!linear_put(q->seen, q->size, &s))
		return false;
	q->used++;
	return true;
}

static inline bool linear_is_open(const struct linear_search *q,
			   const struct linear_state *s, uint8_t op)
{
	return q->called_at[op] < s->event && q->returned_at[op] >= s->event;
}

static inline bool linear_may_be_empty(const struct linear_search *q,
				const struct linear_state *s)
{
	return s->head == s->tail ||
	       (q->spec.tickets && linear_is_open(q, s, s->ticket[s->head]));
}

static inline bool linear_may_be_full(const struct linear_search *q,
			       const struct linear_state *s)
{
	const uint64_t capacity = q->spec.capacity;
	uint8_t before;

	if (!capacity || s->tail < capacity)
		return false;
	before = (uint8_t)(s->tail - capacity);
	return before >= s->head ||
	       (q->spec.tickets &&
		linear_is_open(q, s, q->pop_of[s->ticket[before]]));
}

/* Lets a call take effect; false: it cannot now. */
static inline bool linear_apply(const struct linear_search *q, struct linear_state *s,
			 uint8_t k)
{
	const struct linear_op *op = &q->op[k];

	s->done |= 1ull << k;
	switch (op->verb) {
	case LINEAR_PUSH:
		if (q->spec.capacity &&
		    (uint64_t)(s->tail - s->head) == q->spec.capacity)
			return false;
		/* Behind one that is never popped nothing ever is. */
		if (s->tail > s->head && q->pop_of[k] != LINEAR_SEARCH_NONE &&
		    q->pop_of[s->ticket[s->tail - 1]] == LINEAR_SEARCH_NONE)
			return false;
		s->ticket[s->tail++] = k;
		return true;
	case LINEAR_POP:
		return s->head < s->tail && q->pop_of[s->ticket[s->head++]] == k;
	case LINEAR_EMPTY:
		return linear_may_be_empty(q, s);
	default:
		return linear_may_be_full(q, s);
	}
}

static inline bool linear_go_on(struct linear_search *q, const struct linear_state *s)
{
	struct linear_state next;
	uint8_t k;

	if (s->event == 2 * q->n)
		return true;
	if (!linear_is_new(q, s))
		return false;
	k = q->event[s->event].op;
	if (!q->event[s->event].returns || s->done >> k & 1) {
		next = *s;
		next.event++;
		if (linear_go_on(q, &next))
			return true;
	}
	for (k = 0; k < q->n; k++) {
		/* Called, and without effect so far. */
		if (s->done >> k & 1 || !linear_is_open(q, s, k))
			continue;
		next = *s;
		if (linear_apply(q, &next, k) && linear_go_on(q, &next))
			return true;
	}
	return false;
}

/* At equal times calls come first: they overlap. */
static inline int linear_event_order(const struct linear_search *q, unsigned int i,
			      unsigned int j)
{
	if (q->event[i].time != q->event[j].time)
		return q->event[i].time < q->event[j].time ? -1 : 1;
	return q->event[i].returns - q->event[j].returns;
}

static inline void linear_line_up(struct linear_search *q)
{
	unsigned int i, j;

	for (i = 0; i < q->n; i++) {
		q->event[2 * i].time = q->op[i].called;
		q->event[2 * i + 1].time = q->op[i].returned;
		q->event[2 * i + 1].returns = true;
		q->event[2 * i].op = q->event[2 * i + 1].op = (uint8_t)i;
	}
	for (i = 1; i < 2 * q->n; i++)
		for (j = i; j && linear_event_order(q, j - 1, j) > 0; j--) {
			__typeof__(q->event[0]) one = q->event[j];

			q->event[j] = q->event[j - 1];
			q->event[j - 1] = one;
		}
	for (i = 0; i < 2 * q->n; i++)
		*(q->event[i].returns ? &q->returned_at[q->event[i].op] :
					&q->called_at[q->event[i].op]) = (uint8_t)i;
}

/* Whether some order of the calls explains them; n <= LINEAR_SEARCH_MAX. */
static inline bool linear_explains(const struct linear_op *op, uint64_t n,
			    struct linear_spec spec)
{
	struct linear_search q = {
		.op = op, .spec = spec, .n = (unsigned int)n, .size = 1024
	};
	struct linear_state s;
	unsigned int i, j;
	bool ok;

	if (n > LINEAR_SEARCH_MAX)
		abort();
	memset(&s, 0, sizeof(s));
	linear_line_up(&q);
	memset(q.pop_of, LINEAR_SEARCH_NONE, sizeof(q.pop_of));
	for (i = 0; i < n; i++)
		for (j = 0; j < n && op[i].verb == LINEAR_PUSH; j++)
			if (op[j].verb == LINEAR_POP && op[j].value == op[i].value)
				q.pop_of[i] = (uint8_t)j;
	q.seen = linear_table(q.size);
	ok = linear_go_on(&q, &s);
	free(q.seen);
	return ok;
}

#endif /* SELFTESTS_LINEAR_SEARCH_H */
