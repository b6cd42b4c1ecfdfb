/* SPDX-License-Identifier: MIT */
/*
 * room.c - a sound file through a simulated room, from files to files.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "file.h"
#include "picture.h"
#include "room.h"
#include "tool.h"

#define FRAMES_MAX 999999u

struct job {
	struct room_options options;
	struct room_outcome outcome;
	struct audio audio;
	struct simulation simulation;
	struct file out, picture;
};

/* The first sample that comes after frame k; frames count from 1. */
static size_t frame_end(const struct room_options *o, uint32_t k)
{
	return (size_t)llround((double)k * o->every * o->rate / 1000.0);
}

static int read_sound(struct job *job)
{
	const struct room_options *o = &job->options;
	double tail = round(o->tail * o->rate);
	size_t count;
	int code = audio_read(&job->audio, o->in);

	if (code)
		return code;
	job->outcome.file_rate = job->audio.rate;
	job->outcome.file_channels = job->audio.channels;
	code = audio_resample(&job->audio, o->rate);
	if (code)
		return code;
	count = job->audio.count + (size_t)tail;
	if (count > AUDIO_SAMPLES_MAX)
		return tool_fail(TOOL_FAILED, "--tail",
				 "with it the output has more than %u samples: "
				 "give less",
				 AUDIO_SAMPLES_MAX);
	if (o->frames && frame_end(o, FRAMES_MAX) < count)
		return tool_fail(TOOL_USAGE, "--every",
				 "%g ms makes more than %u pictures: give more",
				 o->every, FRAMES_MAX);
	job->simulation.count = count;
	return TOOL_OK;
}

/* Claims the places of all outputs, before hours of work. */
static int open_outputs(struct job *job)
{
	const struct room_options *o = &job->options;
	struct stat there;
	int code = TOOL_OK;

	if (o->picture || o->frames)
		code = picture_available(o->picture ? "--picture" : "--frames");
	if (!code)
		code = file_open(&job->out, "--out", o->out,
				 audio_bytes(job->simulation.count));
	if (!code && o->picture)
		code = file_open(&job->picture, "--picture", o->picture, 0);
	if (code || !o->frames)
		return code;
	if (mkdir(o->frames, 0777) && errno != EEXIST)
		return tool_fail(TOOL_FAILED, "--frames",
				 "%s cannot be made: %s: choose another place",
				 o->frames, strerror(errno));
	if (stat(o->frames, &there) || !S_ISDIR(there.st_mode))
		return tool_fail(TOOL_FAILED, "--frames",
				 "%s is not a directory: choose another place",
				 o->frames);
	return TOOL_OK;
}

static int draw(struct job *job, const char *about, void **image, size_t *bytes)
{
	const struct room_options *o = &job->options;
	struct picture picture = {
		.width = o->size[0],
		.height = o->size[1],
		.z = o->mic[2],
	};
	int code = room_fetch(&job->simulation, o->mic[2]);

	if (code)
		return code;
	picture.plane = simulation_plane(&job->simulation, o->mic[2]);
	memcpy(picture.source, o->source, sizeof(picture.source));
	memcpy(picture.mic, o->mic, sizeof(picture.mic));
	code = picture_encode(&picture, about, image, bytes);
	job->outcome.mean = picture.mean;
	job->outcome.full_scale = picture.full_scale;
	return code;
}

static int write_frame(struct job *job, uint32_t number)
{
	struct file file = FILE_CLOSED;
	char name[4096];
	void *image = NULL;
	size_t bytes;
	int code;

	if (snprintf(name, sizeof(name), "%s/frame-%06" PRIu32 ".png",
		     job->options.frames, number) >= (int)sizeof(name))
		return tool_fail(TOOL_USAGE, "--frames",
				 "the name is too long: choose another place");
	code = draw(job, "--frames", &image, &bytes);
	if (!code)
		code = file_open(&file, "--frames", name, bytes);
	if (!code)
		code = file_write(&file, image, bytes);
	if (!code)
		code = file_commit(&file);
	file_discard(&file);
	free(image);
	job->outcome.frames += !code;
	return code;
}

static int simulate(struct job *job)
{
	const struct room_options *o = &job->options;
	struct simulation *s = &job->simulation;
	size_t done = 0;
	int code;

	memcpy(s->in, job->audio.samples, job->audio.count * sizeof(float));
	code = room_upload(s);
	progress_begin(&s->progress, !o->quiet, s->count, o->rate,
		       room_now_ns());
	while (done < s->count && !code) {
		uint32_t next = job->outcome.frames + 1;
		size_t end = s->count;
		bool frame = o->frames && frame_end(o, next) <= end;

		if (frame)
			end = frame_end(o, next);
		code = room_run(s, o->mode, done, end);
		done = end;
		if (!code && frame)
			code = write_frame(job, next);
	}
	progress_end(&s->progress);
	return code;
}

/* Scales what the microphone heard, and measures what goes to the file. */
static int measure(struct job *job)
{
	const struct simulation *s = &job->simulation;
	const float gain = (float)job->options.gain;
	double peak = 0.0, sum = 0.0;
	size_t i;

	for (i = 0; i < s->count; i++) {
		double value;

		s->out[i] *= gain;
		value = (double)s->out[i];
		if (!isfinite(value))
			return tool_fail(TOOL_FAILED, "--in",
					 "the sound is too loud to be computed "
					 "in 32-bit floats, at sample %zu: "
					 "scale it or --gain down",
					 i);
		peak = fmax(peak, fabs(value));
		sum += value * value;
	}
	job->outcome.peak = peak;
	job->outcome.rms = sqrt(sum / (double)s->count);
	return TOOL_OK;
}

/* Both files are whole on the disk before either takes its name. */
static int write_outputs(struct job *job)
{
	const struct room_options *o = &job->options;
	void *image = NULL;
	size_t bytes;
	int code;

	code = audio_encode(job->simulation.out, job->simulation.count,
			    o->rate, &image, &bytes);
	if (!code)
		code = file_write(&job->out, image, bytes);
	free(image);
	image = NULL;
	if (!code && o->picture)
		code = draw(job, "--picture", &image, &bytes);
	if (!code && o->picture)
		code = file_write(&job->picture, image, bytes);
	free(image);
	if (!code && tool_signal())
		code = tool_interrupted();
	if (!code && o->picture)
		code = file_commit(&job->picture);
	if (!code)
		code = file_commit(&job->out);
	return code;
}

static int run(struct job *job)
{
	int code = read_sound(job);

	if (!code)
		code = open_outputs(job);
	if (!code)
		code = simulation_open(&job->simulation, &job->options,
				       job->simulation.count);
	if (!code)
		code = simulate(job);
	if (!code)
		code = measure(job);
	if (!code)
		code = write_outputs(job);
	if (!code)
		code = room_report(&job->simulation, &job->options,
				   &job->outcome);
	file_discard(&job->out);
	file_discard(&job->picture);
	simulation_close(&job->simulation);
	audio_free(&job->audio);
	return code;
}

int tool_room(int argc, char **argv)
{
	struct job *job = calloc(1, sizeof(*job)); /* the histograms are large */
	bool done;
	int code;

	if (!job)
		return tool_fail(TOOL_FAILED, NULL, "not enough memory");
	job->out.fd = -1;
	job->picture.fd = -1;
	code = room_options(&job->options, argc, argv, &done);
	if (!code && !done)
		code = run(job);
	free(job);
	return code;
}
