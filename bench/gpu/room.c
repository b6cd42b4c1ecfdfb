// SPDX-License-Identifier: MIT
/*
 * room.c - a room at 48 kHz, interactive: step, inject and probe for each sample,
 * and the answer heard before the next one.
 */
#include <stdio.h>
#include <string.h>

#include "rows.h"
#include "stage.h"

#define SIDE 64u
#define RATE 48000u
#define COMPARED_MAX 2000u /* samples, with a host executor's */
#define DEPTH 64u
#define ROUND_NS 1000000000ull

struct hall {
	struct stage stage;
	struct pinring_wave wave;
	uint64_t source, mic;
	bool in_host_memory;
};

static void hall_open(struct hall *h, const struct gpu_options *o,
		      const struct gpu *g)
{
	stage_open(&h->stage, o, g,
		   pinring_wave_bytes(SIDE, SIDE, SIDE) + 65536);
	stage_wave(&h->stage, "room", SIDE, &h->wave);
	h->source = 1 + SIDE * (1 + SIDE);
	h->mic = 8 + SIDE * (8 + SIDE * 8);
}

static void silence(struct hall *h)
{
	memset(h->wave.field[0], 0, h->wave.cells * sizeof(float));
	memset(h->wave.field[1], 0, h->wave.cells * sizeof(float));
	h->wave.state->steps = 0;
}

static float sample(struct hall *h, uint32_t number, float value)
{
	const struct pinring_operand room = {
		h->wave.offset,
		h->in_host_memory ? h->stage.host : h->stage.there,
	};
	const struct pinring_command c[] = {
		{ .operation = PINRING_OP_WAVE_STEP,
		  .flags = PINRING_COMMAND_DETACHED, .a = room, .count = 1 },
		{ .operation = PINRING_OP_WAVE_INJECT,
		  .flags = PINRING_COMMAND_DETACHED, .a = room,
		  .aux = h->source, .s0 = value },
		{ .operation = PINRING_OP_WAVE_PROBE, .a = room,
		  .aux = h->mic, .id = number },
	};
	struct pinring_completion done;

	stage_submit(&h->stage, &c[0]);
	stage_submit(&h->stage, &c[1]);
	stage_wait(&h->stage, stage_submit(&h->stage, &c[2]), &done);
	if (done.id != number)
		gpu_die("sample %u was answered as %u", number, done.id);
	return done.result;
}

/* How much faster than real time; the first samples are heard. */
static double play(struct hall *h, uint32_t most, float *heard,
		   uint32_t compared)
{
	uint64_t begin, now;
	uint32_t i = 0;

	silence(h);
	stage_start(&h->stage, DEPTH);
	stage_settle(&h->stage);
	begin = bench_now_ns();
	do {
		float x = sample(h, i, (float)(i % 17) - 8.0f);

		if (i < compared)
			heard[i] = x;
		now = bench_now_ns();
	} while (++i < most && (now - begin < ROUND_NS || i < compared));
	stage_stop(&h->stage);
	return (double)i / ((double)(now - begin) * 1e-9) / RATE;
}

void bench_gpu_room(const struct gpu_options *o)
{
	const bool real = o->kind == PINRING_EXECUTOR_CUDA;
	const uint32_t compared = o->quick ? 100 : COMPARED_MAX;
	const uint32_t samples = o->quick ? compared : RATE;
	const size_t bytes = compared * sizeof(float);
	struct gpu_options host = *o;
	static float want[COMPARED_MAX], heard[COMPARED_MAX];
	static struct hall reference, h;
	struct row row = { .name = ROW_ROOM,
			   .unit = "",
			   .target = 1.0,
			   .target_of = TARGET_VALUE,
			   .target_is_floor = true };
	struct row there = { .name = "the same, the room in host memory",
			     .unit = "",
			     .once = true };
	struct gpu g;
	unsigned int r;

	host.kind = PINRING_EXECUTOR_HOST;
	hall_open(&reference, &host, NULL);
	play(&reference, compared, want, compared);
	if (real)
		gpu_open(&g, o);
	hall_open(&h, o, real ? &g : NULL);
	for (r = 0; r < o->runs; r++) {
		series_add(&row.value, play(&h, samples, heard, compared));
		if (memcmp(heard, want, bytes))
			gpu_die("the room does not sound as a host executor's");
	}
	snprintf(row.note, sizeof(row.note),
		 "3 commands a sample, the probe's answer awaited; %.2f us a sample; the room in GPU memory; the bits of a host executor",
		 1e6 / RATE / series_median(&row.value));
	group_row(&row);
	if (!real)
		return;
	h.in_host_memory = true;
	series_add(&there.value, play(&h, compared, heard, compared));
	if (memcmp(heard, want, bytes))
		gpu_die("the room in host memory does not sound as a host executor's");
	group_row(&there);
}
