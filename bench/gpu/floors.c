// SPDX-License-Identifier: MIT
/* floors.c - what there is without pinring: words, launches, copies, graphs. */
#include <stdio.h>

#include "latency.h"
#include "rows.h"

#define PIPELINED 1000u
#define NODES 100u

struct copier {
	uint64_t *from;
	cuda_address to, from_there;
};

struct graphs {
	cuda_graph_exec one, many;
	uint64_t *word;
	uint64_t ran;
};

static cuda_graph_exec make_graph(const struct gpu *g, cuda_function tick,
				  cuda_address counter, cuda_address word,
				  unsigned int nodes)
{
	unsigned int i;

	gpu_begin_graph(g);
	for (i = 0; i < nodes; i++)
		gpu_launch(g, tick, 1, 1, GPU_PARAMETERS(&counter, &word));
	return gpu_end_graph(g);
}

static void graphs_open(struct graphs *s, const struct gpu *g)
{
	cuda_function tick = gpu_kernel(g, "bench_tick");
	cuda_address counter = gpu_memory(g, 4096), word;

	s->word = gpu_pinned(g, 4096, &word);
	s->one = make_graph(g, tick, counter, word, 1);
	s->many = make_graph(g, tick, counter, word, NODES);
	s->ran = 0;
}

/* ns from launch to synchronised; that it ran is checked. */
static void graph_run(struct graphs *s, const struct gpu *g,
		      cuda_graph_exec graph, unsigned int nodes,
		      unsigned int count, struct trips *t)
{
	const double ns = bench_ticks_ns();
	unsigned int i;

	for (i = 0; i < count; i++) {
		uint64_t begin = bench_ticks(), middle, end;

		gpu_launch_graph(g, graph);
		middle = bench_ticks();
		gpu_synchronize(g);
		end = bench_ticks();
		s->ran += nodes;
		if (__atomic_load_n(s->word, __ATOMIC_ACQUIRE) != s->ran)
			gpu_die("a graph has not run when it should have");
		t->issued[t->n] = (double)(middle - begin) * ns;
		t->completed[t->n] = (double)(end - begin) * ns;
		begin = bench_ticks();
		gpu_launch_graph(g, graph);
		s->ran += nodes;
		await_word(s->word, s->ran, "a graph");
		t->accepted[t->n++] = (double)(bench_ticks() - begin) * ns;
		gpu_synchronize(g);
	}
}

static void copy_run(struct copier *c, const struct gpu *g, unsigned int count,
		     struct trips *t)
{
	const double ns = bench_ticks_ns();
	unsigned int i;

	for (i = 0; i < count; i++) {
		uint64_t begin = bench_ticks(), middle;

		*(volatile uint32_t *)c->from = i;
		gpu_check(g,
			  g->cuda->memory_copy_in(c->to, c->from, 4, g->stream),
			  "copy");
		middle = bench_ticks();
		gpu_synchronize(g);
		t->completed[t->n] = (double)(bench_ticks() - begin) * ns;
		t->accepted[t->n] = 0.0;
		t->issued[t->n++] = (double)(middle - begin) * ns;
	}
	gpu_check(g, g->call.copy_out(c->from, c->to, 4, g->stream), "copy");
	gpu_synchronize(g);
	if (*(volatile uint32_t *)c->from != count - 1)
		gpu_die("a copy has not brought what it should");
}

/* ns a launch: until the last was accepted by the driver, and until all had run. */
static void pipeline_run(struct launcher *l, struct series *issued,
			 struct series *completed)
{
	uint64_t begin = bench_now_ns(), middle;
	unsigned int i;

	for (i = 0; i < PIPELINED; i++)
		launcher_launch(l);
	middle = bench_now_ns();
	gpu_synchronize(l->gpu);
	series_add(issued, (double)(middle - begin) / PIPELINED);
	series_add(completed, (double)(bench_now_ns() - begin) / PIPELINED);
}

void bench_gpu_floors(const struct gpu_options *o)
{
	static struct pingpong pong, bar;
	static struct command_row columns[] = {
		{ .name = "two flags, host memory" },
		{ .name = "two flags, the host's in GPU memory" },
		{ .name = "launch of one thread, synchronised" },
		{ .name = "graph of one node, synchronised" },
		{ .name = "graph of 100 nodes, synchronised" },
		{ .name = "copy of 4 pinned bytes, synchronised" },
	};
	struct row issued = { .name = "launches pipelined, issued, each",
			      .unit = "ns" };
	struct row completed = { .name = "launches pipelined, completed, each",
				 .unit = "ns" };
	struct row node = { .name = "graph of 100 nodes, completed, each",
			    .unit = "ns" };
	const unsigned int trips = o->quick ? 200 : 10000;
	const unsigned int launches = o->quick ? 50 : 2000;
	struct trips *t = trips_new();
	struct launcher launcher;
	struct graphs graphs;
	struct copier copier;
	unsigned int r, i;
	struct gpu g;
	bool has_bar;

	gpu_open(&g, o);
	pingpong_open(&pong, &g);
	has_bar = pingpong_open_bar(&bar, &g);
	launcher_open(&launcher, &g);
	graphs_open(&graphs, &g);
	copier.from = gpu_pinned(&g, 4096, &copier.from_there);
	copier.to = gpu_memory(&g, 4096);
	for (r = 0; r < o->runs; r++) {
		pingpong_run(&pong, trips, t);
		trips_add(t, &columns[0]);
		if (has_bar) {
			pingpong_run(&bar, trips, t);
			trips_add(t, &columns[1]);
		}
		launcher_run(&launcher, launches, t);
		trips_add(t, &columns[2]);
		graph_run(&graphs, &g, graphs.one, 1, launches, t);
		trips_add(t, &columns[3]);
		graph_run(&graphs, &g, graphs.many, NODES, launches / 10, t);
		trips_add(t, &columns[4]);
		series_add(&node.value,
			   series_last(&columns[4].p50) / NODES);
		copy_run(&copier, &g, launches, t);
		trips_add(t, &columns[5]);
		pipeline_run(&launcher, &issued.value, &completed.value);
	}
	for (i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
		if (columns[i].p50.n)
			group_command(&columns[i]);
	}
	snprintf(node.note, sizeof(node.note), "the host's flag in GPU memory: %s",
		 bar.bar.text);
	group_row(&issued);
	group_row(&completed);
	group_row(&node);
}
