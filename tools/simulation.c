/* SPDX-License-Identifier: MIT */
/*
 * simulation.c - region, room and executor, up and down.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "room.h"
#include "tool.h"

const char *const room_command_names[ROOM_COMMANDS] = { "step", "inject",
							"probe", "block" };

uint64_t room_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* What the library said of its last failure. */
static const char *reason(int error)
{
	const char *text = pinring_error();

	return *text ? text : strerror(-error);
}

/* Room in the region for `count` floats under a name. */
static int add_samples(struct simulation *s, const char *name, uint64_t *offset,
		       float **at)
{
	struct pinring_object_info object;
	uint64_t bytes = s->count * sizeof(float);
	int error = pinring_object_create(s->region, name, PINRING_OBJECT_BYTES,
					  bytes, 0, &object);

	if (error)
		return error;
	*offset = object.offset;
	*at = pinring_region_at(s->region, object.offset, bytes);
	return *at ? 0 : -EPROTO;
}

static int open_region(struct simulation *s, const struct room_options *o)
{
	uint64_t samples = (s->count * sizeof(float) + 127) & ~127ull;
	uint64_t room = pinring_wave_bytes(o->size[0], o->size[1], o->size[2]);
	/* A page each for the alignment of three objects. */
	struct pinring_region_config config = pinring_region_defaults(
		PINRING_REGION_HEADER_BYTES + room + 2 * samples + 3 * 4096);
	int error;

	config.name = "pinring-room";
	config.flags = PINRING_REGION_PREFAULT;
	error = pinring_region_create(s->device, &config, &s->region);
	if (error)
		return tool_fail(TOOL_FAILED, "--size",
				 "there is no memory for the room and its "
				 "sound: %s: make either smaller",
				 reason(error));
	error = pinring_wave_create(s->region, "room", o->size[0], o->size[1],
				    o->size[2], o->lambda, o->beta, &s->wave);
	if (!error)
		error = add_samples(s, "in", &s->in_offset, &s->in);
	if (!error)
		error = add_samples(s, "out", &s->out_offset, &s->out);
	if (error)
		return tool_fail(TOOL_FAILED, NULL,
				 "the room cannot be made: %s", reason(error));
	s->source = pinring_wave_cell(s->wave.state, o->source[0], o->source[1],
				      o->source[2]);
	s->mic = pinring_wave_cell(s->wave.state, o->mic[0], o->mic[1],
				   o->mic[2]);
	return TOOL_OK;
}

/* Of a GPU, before its loop runs; for what lies before the samples out. */
static int take_memory(struct simulation *s)
{
	struct pinring_executor_info info =
		PINRING_INIT(struct pinring_executor_info);
	int error = pinring_executor_info(s->executor, &info);

	s->there = s->number;
	if (!error && info.kind == PINRING_EXECUTOR_CUDA) {
		error = pinring_executor_allocate(s->executor, s->out_offset,
						  NULL);
		s->there = (uint32_t)error;
	}
	if (error < 0)
		return tool_fail(TOOL_FAILED, "--size",
				 "there is no memory on the GPU for the room: "
				 "%s: make it smaller",
				 reason(error));
	return TOOL_OK;
}

static int open_executor(struct simulation *s, const struct room_options *o)
{
	struct pinring_executor_config config = pinring_executor_defaults();
	int error, code;

	config.kind = o->executor;
	config.threads = o->threads;
	error = pinring_executor_create(s->device, &config, &s->executor);
	if (error == -EOPNOTSUPP || error == -ENODEV)
		return tool_fail(TOOL_SKIPPED, "--executor", "%s",
				 reason(error));
	if (error)
		return tool_fail(TOOL_FAILED, "--executor",
				 "it cannot be made: %s", reason(error));
	error = pinring_executor_attach(s->executor, s->region);
	if (error < 0)
		return tool_fail(TOOL_FAILED, "--executor",
				 "it cannot use the region: %s", reason(error));
	s->number = (uint32_t)error;
	code = take_memory(s);
	if (code)
		return code;
	error = pinring_executor_launch(s->executor);
	if (!error)
		error = pinring_executor_activate(s->executor);
	if (error)
		return tool_fail(TOOL_FAILED, "--executor",
				 "it cannot be started: %s", reason(error));
	return TOOL_OK;
}

int simulation_open(struct simulation *s, const struct room_options *o,
		    size_t count)
{
	int error;
	int code;

	s->count = count;
	error = pinring_device_open(NULL, &s->device);
	if (error)
		return tool_fail(TOOL_FAILED, NULL, "no backend opens: %s",
				 reason(error));
	code = open_region(s, o);
	if (!code)
		code = open_executor(s, o);
	return code;
}

void simulation_close(struct simulation *s)
{
	pinring_executor_close(s->executor, 0);
	pinring_region_close(s->region);
	pinring_device_close(s->device);
	s->executor = NULL;
	s->region = NULL;
	s->device = NULL;
}
