// SPDX-License-Identifier: MIT
/* ways.c - see ways.h. */
#include <string.h>

#include "latency.h"
#include "shared.h"
#include "ways.h"

#define CELLS (SIDE * SIDE * SIDE)
#define DEPTH 64u

/* ----------------------------------------------------------- the executor's */
static void executor_begin(struct workload *w)
{
	struct pinring_wave_state *state = w->wave.state;

	/* In a trial the room is the region's own. */
	memset(w->wave.field[0], 0, CELLS * sizeof(float));
	memset(w->wave.field[1], 0, CELLS * sizeof(float));
	state->steps = 0;
	stage_start(&w->stage, DEPTH);
	stage_settle(&w->stage);
}

static void executor_end(struct workload *w)
{
	stage_stop(&w->stage);
}

static struct pinring_command command(const struct workload *w,
				      uint16_t operation, uint64_t count,
				      uint64_t cell)
{
	return (struct pinring_command){
		.operation = operation,
		.flags = PINRING_COMMAND_DETACHED,
		.a = { w->wave.offset, w->stage.there },
		.count = count,
		.aux = cell,
	};
}

static float send(struct workload *w, float value, unsigned int commands)
{
	struct pinring_command inject =
		command(w, PINRING_OP_WAVE_INJECT, 1, w->source);
	struct pinring_command step =
		command(w, PINRING_OP_WAVE_STEP, STEPS / commands, 0);
	struct pinring_command query =
		command(w, PINRING_OP_WAVE_PROBE, 1, w->mic);
	struct pinring_completion done;
	unsigned int i;

	inject.s0 = value;
	stage_submit(&w->stage, &inject);
	for (i = 0; i < commands; i++)
		stage_submit(&w->stage, &step);
	query.flags = 0;
	stage_wait(&w->stage, stage_submit(&w->stage, &query), &done);
	return done.result;
}

static float seven_commands(struct workload *w, float value)
{
	return send(w, value, STEPS);
}

static float three_commands(struct workload *w, float value)
{
	return send(w, value, 1);
}

/* ---------------------------------------------------------------- launched */
static void launched_begin(struct workload *w)
{
	const struct gpu *g = &w->gpu;
	int i;

	for (i = 0; i < 2; i++)
		gpu_check(g,
			  g->call.set((cuda_address)(uintptr_t)w->room.field[i],
				      0, CELLS * sizeof(float), g->stream),
			  "silence a room");
	gpu_synchronize(g);
	w->steps = 0;
}

static void launched_end(struct workload *w)
{
	gpu_synchronize(&w->gpu);
}

static float *current(struct workload *w)
{
	return w->room.field[w->steps & 1];
}

static void launch_inject(struct workload *w, float value)
{
	float *cell = current(w) + w->source;

	gpu_launch(&w->gpu, w->inject, 1, 1, GPU_PARAMETERS(&cell, &value));
}

static void launch_step(struct workload *w)
{
	uint32_t field = w->steps++ & 1;

	gpu_launch(&w->gpu, w->step,
		   (CELLS + BENCH_STEP_THREADS - 1) / BENCH_STEP_THREADS,
		   BENCH_STEP_THREADS, GPU_PARAMETERS(&w->room, &field));
}

static void launch_query(struct workload *w)
{
	const float *cell = current(w) + w->mic;

	gpu_launch(&w->gpu, w->query, 1, 1,
		   GPU_PARAMETERS(&cell, &w->counter, &w->answer_there));
}

/* Of the query that was launched last, which has run. */
static float answer(struct workload *w)
{
	uint64_t word = __atomic_load_n(w->answer, __ATOMIC_ACQUIRE);

	if (word >> 32 != (uint32_t)++w->queries)
		gpu_die("query %llu has not run when it should have",
			(unsigned long long)w->queries);
	return pinring_bits_float((uint32_t)word);
}

static void await_answer(struct workload *w)
{
	uint64_t polls = 0;

	while (__atomic_load_n(w->answer, __ATOMIC_ACQUIRE) >> 32 !=
	       (uint32_t)(w->queries + 1)) {
		pinring_relax();
		if (++polls == 200000000)
			gpu_die("a query has no answer");
	}
}

static float each_synchronised(struct workload *w, float value)
{
	unsigned int i;

	launch_inject(w, value);
	gpu_synchronize(&w->gpu);
	for (i = 0; i < STEPS; i++) {
		launch_step(w);
		gpu_synchronize(&w->gpu);
	}
	launch_query(w);
	gpu_synchronize(&w->gpu);
	return answer(w);
}

static void launch_all(struct workload *w, float value)
{
	unsigned int i;

	launch_inject(w, value);
	for (i = 0; i < STEPS; i++)
		launch_step(w);
	launch_query(w);
}

static float pipelined(struct workload *w, float value)
{
	launch_all(w, value);
	gpu_synchronize(&w->gpu);
	return answer(w);
}

static float pipelined_polled(struct workload *w, float value)
{
	launch_all(w, value);
	await_answer(w);
	return answer(w);
}

static void launch_graph(struct workload *w, float value)
{
	cuda_graph_exec graph = w->graph[w->steps & 1];

	__atomic_store_n(w->value, pinring_float_bits(value), __ATOMIC_RELEASE);
	gpu_launch_graph(&w->gpu, graph);
	w->steps += STEPS;
}

static float graph(struct workload *w, float value)
{
	launch_graph(w, value);
	gpu_synchronize(&w->gpu);
	return answer(w);
}

static float graph_polled(struct workload *w, float value)
{
	launch_graph(w, value);
	await_answer(w);
	return answer(w);
}

const struct way ways[] = {
	{ "executor, 7 commands", false, executor_begin, seven_commands,
	  executor_end },
	{ "executor, 3 commands", false, executor_begin, three_commands,
	  executor_end },
	{ "each launch synchronised", true, launched_begin, each_synchronised,
	  launched_end },
	{ "launches pipelined", true, launched_begin, pipelined, launched_end },
	{ "pipelined, answer polled", true, launched_begin, pipelined_polled,
	  launched_end },
	{ "graph of 7", true, launched_begin, graph, launched_end },
	{ "graph of 7, answer polled", true, launched_begin, graph_polled,
	  launched_end },
};
const unsigned int ways_count = sizeof(ways) / sizeof(ways[0]);

/* ------------------------------------------------------------- the workload */
static void capture(struct workload *w)
{
	const unsigned int from = w->steps & 1;
	float *cell = current(w) + w->source;
	unsigned int i;

	gpu_begin_graph(&w->gpu);
	gpu_launch(&w->gpu, w->inject_from, 1, 1,
		   GPU_PARAMETERS(&cell, &w->value_there));
	for (i = 0; i < STEPS; i++)
		launch_step(w);
	launch_query(w);
	w->graph[from] = gpu_end_graph(&w->gpu);
}

static void open_launched(struct workload *w)
{
	const struct gpu *g = &w->gpu;
	int i;

	gpu_open(&w->gpu, w->options);
	w->step = gpu_kernel(g, "bench_wave_step");
	w->inject = gpu_kernel(g, "bench_wave_inject");
	w->inject_from = gpu_kernel(g, "bench_wave_inject_from");
	w->query = gpu_kernel(g, "bench_wave_query");
	for (i = 0; i < 2; i++)
		w->room.field[i] = (float *)(uintptr_t)gpu_memory(
			g, CELLS * sizeof(float));
	w->room.nx = SIDE;
	w->room.ny = SIDE;
	w->room.nz = SIDE;
	w->counter = gpu_memory(g, 4096);
	w->answer = gpu_pinned(g, 4096, &w->answer_there);
	w->value = gpu_pinned(g, 4096, &w->value_there);
}

void workload_open(struct workload *w, const struct gpu_options *o)
{
	const bool real = o->kind == PINRING_EXECUTOR_CUDA;

	memset(w, 0, sizeof(*w));
	w->options = o;
	w->source = 20 + SIDE * (30 + SIDE * 40);
	w->mic = w->source + 3;
	if (real)
		open_launched(w);
	stage_open(&w->stage, o, real ? &w->gpu : NULL,
		   pinring_wave_bytes(SIDE, SIDE, SIDE) + 65536);
	stage_wave(&w->stage, "room", SIDE, &w->wave);
	/* Of the room's own numbers, as the executor makes them. */
	pinring_room_factors(&w->room, w->wave.state->lambda2,
			     w->wave.state->wall);
	if (real) {
		/* An odd number of steps leads from either field to the other. */
		capture(w);
		capture(w);
	}
}

bool way_there(const struct workload *w, const struct way *way)
{
	return !way->launches || w->options->kind == PINRING_EXECUTOR_CUDA;
}

void workload_reference(const struct gpu_options *o, float *answers,
			unsigned int count)
{
	struct gpu_options host = *o;
	static struct workload w;
	unsigned int i;

	host.kind = PINRING_EXECUTOR_HOST;
	workload_open(&w, &host);
	executor_begin(&w);
	for (i = 0; i < count; i++)
		answers[i] = three_commands(&w, workload_value(i));
	executor_end(&w);
}
