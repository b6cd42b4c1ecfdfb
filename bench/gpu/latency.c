// SPDX-License-Identifier: MIT
/* latency.c - see latency.h. */
#include <stdlib.h>

#include <pinring/port.h>

#include "latency.h"
#include "shared.h"

#define WAIT_SECONDS 20u
#define POLLS_A_LOOK (1u << 20) /* at the clock */

struct trips *trips_new(void)
{
	struct trips *t = calloc(1, sizeof(*t));

	if (!t)
		gpu_die("no memory");
	return t;
}

void trips_add(struct trips *t, struct command_row *row)
{
	const double accepted = bench_quantile(t->accepted, t->n, 500);

	series_add(&row->issued, bench_quantile(t->issued, t->n, 500));
	if (accepted > 0.0)
		series_add(&row->accepted, accepted);
	series_add(&row->p50, bench_quantile(t->completed, t->n, 500));
	series_add(&row->p99, bench_quantile(t->completed, t->n, 990));
	series_add(&row->p999, bench_quantile(t->completed, t->n, 999));
	t->n = 0;
}

void await_word(const uint64_t *word, uint64_t value, const char *what)
{
	uint64_t deadline = 0;
	unsigned int polls = 0;

	while (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value) {
		pinring_relax();
		if (++polls % POLLS_A_LOOK)
			continue;
		if (!deadline)
			deadline = bench_now_ns() +
				   WAIT_SECONDS * 1000000000ull;
		if (bench_now_ns() > deadline)
			gpu_die("%s: no answer within %u s", what,
				WAIT_SECONDS);
	}
}

/* --------------------------------------------------------------- ping-pong */
void pingpong_open(struct pingpong *p, const struct gpu *g)
{
	char *words;

	p->gpu = g;
	p->pong = gpu_kernel(g, "bench_pong");
	/* A page apart: no line of one is fetched with the other. */
	words = gpu_pinned(g, 8192, &p->in_there);
	p->in = (uint64_t *)words;
	p->out = (uint64_t *)(words + 4096);
	p->out_there = p->in_there + 4096;
	p->bar.base = NULL;
}

bool pingpong_open_bar(struct pingpong *p, const struct gpu *g)
{
	pingpong_open(p, g);
	pinring_bar_open(g->cuda, 65536, &p->bar);
	if (!p->bar.base)
		return false;
	p->in = (uint64_t *)p->bar.base;
	p->in_there = p->bar.address;
	return true;
}

static void serve(struct pingpong *p, uint64_t value)
{
	__atomic_store_n(p->in, value, __ATOMIC_RELEASE);
	if (p->bar.base)
		pinring_bar_flush();
}

void pingpong_run(struct pingpong *p, unsigned int count, struct trips *t)
{
	const double ns = bench_ticks_ns();
	const uint64_t warm = count / 10;
	uint64_t trips = warm + count, i;

	serve(p, 0);
	*p->out = 0;
	gpu_launch(p->gpu, p->pong, 1, 1,
		   GPU_PARAMETERS(&p->in_there, &p->out_there, &trips));
	for (i = 1; i <= trips; i++) {
		uint64_t begin = bench_ticks(), middle;

		serve(p, i);
		middle = bench_ticks();
		await_word(p->out, i, "ping-pong");
		if (i <= warm)
			continue;
		t->completed[t->n] = (double)(bench_ticks() - begin) * ns;
		t->accepted[t->n] = 0.0;
		t->issued[t->n++] = (double)(middle - begin) * ns;
	}
	gpu_finish(p->gpu, "ping-pong", WAIT_SECONDS);
}

/* ---------------------------------------------------------------- launches */
void launcher_open(struct launcher *l, const struct gpu *g)
{
	l->gpu = g;
	l->mark = gpu_kernel(g, "bench_mark");
	l->word = gpu_pinned(g, 4096, &l->word_there);
	l->value = 0;
}

void launcher_launch(struct launcher *l)
{
	l->value++;
	gpu_launch(l->gpu, l->mark, 1, 1,
		   GPU_PARAMETERS(&l->word_there, &l->value));
}

void launcher_run(struct launcher *l, unsigned int count, struct trips *t)
{
	const double ns = bench_ticks_ns();
	const unsigned int warm = count / 10;
	unsigned int i;

	for (i = 0; i < warm + count; i++) {
		uint64_t begin = bench_ticks(), middle, end;

		launcher_launch(l);
		middle = bench_ticks();
		gpu_synchronize(l->gpu);
		end = bench_ticks();
		if (__atomic_load_n(l->word, __ATOMIC_ACQUIRE) != l->value)
			gpu_die("a kernel has not run when it should have");
		if (i < warm)
			continue;
		t->issued[t->n] = (double)(middle - begin) * ns;
		t->completed[t->n] = (double)(end - begin) * ns;
		/* Once more, only for when it was seen to run. */
		begin = bench_ticks();
		launcher_launch(l);
		await_word(l->word, l->value, "a launch");
		t->accepted[t->n++] = (double)(bench_ticks() - begin) * ns;
		gpu_synchronize(l->gpu);
	}
}
