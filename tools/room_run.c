/* SPDX-License-Identifier: MIT */
/*
 * room_run.c - the samples through the executor, in either mode.
 *
 * Interactive sends step, inject and probe for each sample and collects the
 * three answers. Batch sends one command for many samples, which lie in the
 * region. The operations behind them are the same, so the output is too.
 *
 * A GPU goes over the room's fields in memory of its own, and so to the samples in,
 * which it reads one by one. Those out it only writes: they go to the region at once.
 */
#include <errno.h>
#include <string.h>

#include "room.h"
#include "tool.h"

#define BLOCK_SAMPLES 1024u
#define BLOCK_UPDATES 200000000u /* cells; some 0.1 s to a signal or a bar */
#define WAIT_NS 100000000 /* between two looks for a signal */
/* An executor slower than this, after a grace of 30 s, counts as stuck. */
#define SLOWEST_CELLS 1000000u /* a second */

static uint64_t patience_ns(const struct simulation *s, uint64_t steps)
{
	uint64_t seconds = 30 + s->wave.cells * steps / SLOWEST_CELLS;

	return seconds * 1000000000u;
}

static int fail_library(const char *what, int error)
{
	const char *text = pinring_error();

	return tool_fail(TOOL_FAILED, "--executor", "%s: %s", what,
			 *text ? text : strerror(-error));
}

static int submit(struct simulation *s, struct pinring_command *command,
		  uint64_t *ticket)
{
	int error;

	command->id = s->next_id++;
	error = pinring_executor_submit(s->executor, command, ticket);
	return error ? fail_library("it does not take commands", error) :
		       TOOL_OK;
}

static int check_completion(const struct pinring_command *command,
			    const struct pinring_completion *completion)
{
	if (!completion->status && completion->id == command->id)
		return TOOL_OK;
	if (!completion->status)
		return tool_fail(TOOL_FAILED, "--executor",
				 "command %u was answered as command %u: "
				 "report this as a bug",
				 command->id, completion->id);
	return tool_fail(TOOL_FAILED, "--executor",
			 "command %u (%s) failed: %s: report this as a bug",
			 command->id,
			 pinring_operation_name(command->operation),
			 pinring_reason_text(completion->reason));
}

/* Waits until the command is done, a signal comes, or patience ends. */
static int collect(struct simulation *s, const struct pinring_command *command,
		   uint64_t ticket, uint64_t patience,
		   struct pinring_completion *completion)
{
	uint64_t begun = 0;
	int error;

	for (;;) {
		error = pinring_executor_wait(s->executor, ticket, WAIT_NS,
					      completion);
		if (!error)
			return check_completion(command, completion);
		if (error != -ETIMEDOUT)
			return fail_library("an answer was lost", error);
		if (tool_signal())
			return tool_interrupted();
		if (!begun)
			begun = room_now_ns();
		else if (room_now_ns() - begun > patience)
			return tool_fail(
				TOOL_FAILED, "--executor",
				"no answer to command %u (%s) for %u s: report "
				"this as a bug",
				command->id,
				pinring_operation_name(command->operation),
				(unsigned int)(patience / 1000000000u));
	}
}

static int copy(struct simulation *s, uint64_t offset, uint64_t bytes,
		uint32_t from, uint32_t to)
{
	struct pinring_command command = {
		.operation = PINRING_OP_COPY,
		.dst = { offset, to },
		.a = { offset, from },
		.count = bytes / sizeof(float),
	};
	struct pinring_completion completion;
	uint64_t ticket;
	int code;

	if (from == to)
		return TOOL_OK;
	code = submit(s, &command, &ticket);
	return code ? code :
		      collect(s, &command, ticket, patience_ns(s, 2),
			      &completion);
}

int room_upload(struct simulation *s)
{
	const uint64_t begin = s->wave.offset;
	const uint64_t end = s->in_offset + s->count * sizeof(float);

	return copy(s, begin, end - begin, s->number, s->there);
}

int room_fetch(struct simulation *s, uint32_t z)
{
	const struct pinring_wave_state *state = s->wave.state;
	int code = copy(s, s->wave.offset, sizeof(*state), s->there, s->number);
	const char *plane;

	if (code)
		return code;
	plane = (const char *)simulation_plane(s, z);
	return copy(s, s->wave.offset + (uint64_t)(plane - (const char *)state),
		    (uint64_t)state->nx * state->ny * sizeof(float), s->there,
		    s->number);
}

static int run_interactive(struct simulation *s, size_t begin, size_t end)
{
	const uint64_t patience = patience_ns(s, 1);
	const struct pinring_operand none = { .region = PINRING_REGION_NONE };
	const struct pinring_operand room = { .offset = s->wave.offset,
					      .region = s->there };
	struct pinring_command command[3] = {
		{ .operation = PINRING_OP_WAVE_STEP, .count = 1 },
		{ .operation = PINRING_OP_WAVE_INJECT, .aux = s->source },
		{ .operation = PINRING_OP_WAVE_PROBE, .aux = s->mic },
	};
	size_t i;
	int k, code;

	for (k = 0; k < 3; k++) {
		command[k].dst = none;
		command[k].a = room;
		command[k].b = none;
	}
	for (i = begin; i < end; i++) {
		struct pinring_completion completion = { 0 };
		uint64_t ticket[3], issued[3], now = 0;

		command[1].s0 = s->in[i];
		for (k = 0; k < 3; k++) {
			issued[k] = room_now_ns();
			code = submit(s, &command[k], &ticket[k]);
			if (code)
				return code;
		}
		/* enum room_command counts in the order they are sent. */
		for (k = 0; k < 3; k++) {
			code = collect(s, &command[k], ticket[k], patience,
				       &completion);
			if (code)
				return code;
			now = room_now_ns();
			histogram_add(&s->latency[ROOM_STEP + k],
				      now - issued[k]);
		}
		s->commands += 3;
		s->out[i] = completion.result;
		progress_update(&s->progress, i + 1, now);
		if (tool_signal())
			return tool_interrupted();
	}
	return TOOL_OK;
}

static int run_batch(struct simulation *s, size_t begin, size_t end)
{
	uint64_t most = BLOCK_UPDATES / s->wave.cells;
	size_t i = begin;

	if (most > BLOCK_SAMPLES)
		most = BLOCK_SAMPLES;
	if (!most)
		most = 1;
	while (i < end) {
		uint64_t count = end - i < most ? end - i : most;
		struct pinring_command command = {
			.operation = PINRING_OP_WAVE_BLOCK,
			.dst = { s->out_offset + i * sizeof(float), s->number },
			.a = { s->wave.offset, s->there },
			.b = { s->in_offset + i * sizeof(float), s->there },
			.count = count,
			.aux = s->source | s->mic << PINRING_WAVE_CELL_BITS,
		};
		struct pinring_completion completion;
		uint64_t issued = room_now_ns();
		uint64_t ticket, now;
		int code = submit(s, &command, &ticket);

		if (!code)
			code = collect(s, &command, ticket,
				       patience_ns(s, count), &completion);
		if (code)
			return code;
		s->commands++;
		now = room_now_ns();
		histogram_add(&s->latency[ROOM_BLOCK], now - issued);
		i += count;
		progress_update(&s->progress, i, now);
		if (tool_signal())
			return tool_interrupted();
	}
	return TOOL_OK;
}

int room_run(struct simulation *s, enum room_mode mode, size_t begin,
	     size_t end)
{
	uint64_t began = room_now_ns();
	int code;

	if (mode == ROOM_INTERACTIVE)
		code = run_interactive(s, begin, end);
	else
		code = run_batch(s, begin, end);
	s->wall_ns += room_now_ns() - began;
	return code;
}
