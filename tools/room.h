/* SPDX-License-Identifier: MIT */
/*
 * room.h - a sound in a room: what was asked for, the simulation, the report.
 *
 *	room_options.c   command line -> struct room_options
 *	simulation.c     region, room and executor, up and down
 *	room_run.c       the samples through the executor, in either mode
 *	room_report.c    the table or JSON at the end
 *	room.c           the whole, from files to files
 */
#ifndef PINRING_TOOL_ROOM_H
#define PINRING_TOOL_ROOM_H

#include <stdbool.h>
#include <stdint.h>

#include <pinring/pinring.h>

#include "audio.h"
#include "histogram.h"
#include "progress.h"

#define SPEED_OF_SOUND 343.0 /* m/s, in air at 20 degrees Celsius */

enum room_mode { ROOM_BATCH, ROOM_INTERACTIVE };

struct room_options {
	const char *in, *out, *picture, *frames;
	uint32_t size[3], source[3], mic[3];
	uint32_t rate; /* of the simulation, Hz */
	double lambda, beta;
	double tail; /* seconds of silence after the sound */
	double gain; /* on what goes to the file */
	double every; /* ms between frames */
	enum room_mode mode;
	uint32_t executor; /* enum pinring_executor_kind */
	uint32_t threads; /* 0: as many as the executor thinks best */
	bool json, quiet;
};

/* *done: --help was answered. Returns an exit code. */
int room_options(struct room_options *options, int argc, char **argv,
		 bool *done);

/* The kinds of command that are timed, issued to completed. */
enum room_command { ROOM_STEP, ROOM_INJECT, ROOM_PROBE, ROOM_BLOCK };
#define ROOM_COMMANDS 4
extern const char *const room_command_names[ROOM_COMMANDS];

struct simulation {
	struct pinring_device *device;
	struct pinring_region *region;
	struct pinring_executor *executor;
	struct pinring_wave wave;
	uint32_t number; /* of the region, to the executor */
	/*
	 * And of where the room and the samples in are worked on, at the same
	 * offsets: memory of the GPU, or the region itself.
	 */
	uint32_t there;
	uint64_t in_offset, out_offset;
	float *in, *out; /* in the region; count samples each */
	size_t count;
	uint64_t source, mic; /* cells */
	uint32_t next_id;

	uint64_t commands;
	uint64_t wall_ns;
	struct histogram latency[ROOM_COMMANDS];
	struct progress progress;
};

/* count: samples in, the tail included. The samples in are left to the caller. */
int simulation_open(struct simulation *s, const struct room_options *options,
		    size_t count);

/* What was put into the region until now, to where it is worked on. */
int room_upload(struct simulation *s);

/* Samples [begin, end), in order. */
int room_run(struct simulation *s, enum room_mode mode, size_t begin,
	     size_t end);

/* Answers within a second or two, with work in flight or without. */
void simulation_close(struct simulation *s);

uint64_t room_now_ns(void);

struct room_outcome {
	double peak, rms; /* of the output */
	double mean, full_scale; /* of the picture */
	uint32_t frames; /* pictures in the series */
	uint32_t file_rate, file_channels;
};

/* The pressures of plane z, to where simulation_plane() has them. */
int room_fetch(struct simulation *s, uint32_t z);

/* The current pressure at (0, 0, z); no command may be in flight. */
static inline const float *simulation_plane(const struct simulation *s,
					    uint32_t z)
{
	const struct pinring_wave_state *state = s->wave.state;

	return s->wave.field[state->steps & 1] +
	       (size_t)z * state->nx * state->ny;
}

int room_report(const struct simulation *s, const struct room_options *options,
		const struct room_outcome *outcome);

#endif /* PINRING_TOOL_ROOM_H */
