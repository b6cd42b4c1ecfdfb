/* SPDX-License-Identifier: MIT */
/*
 * resample.c - a sound at another rate, by libsamplerate's best converter.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "audio.h"
#include "tool.h"

#if HAVE_SAMPLERATE
#include <samplerate.h>

#define PART_FRAMES 65536 /* between two looks for a signal */

/*
 * Fills out[0..room) and returns how many samples it got, or minus an exit
 * code.
 */
static long convert(SRC_STATE *state, const struct audio *audio, double ratio,
		    float *out, long room)
{
	long used = 0, made = 0;
	SRC_DATA part;

	memset(&part, 0, sizeof(part));
	part.src_ratio = ratio;
	do {
		long left = (long)audio->count - used;
		int error;

		part.data_in = audio->samples + used;
		part.input_frames = left < PART_FRAMES ? left : PART_FRAMES;
		part.end_of_input = part.input_frames == left;
		part.data_out = out + made;
		part.output_frames = room - made;
		error = src_process(state, &part);
		if (error)
			return -tool_fail(TOOL_FAILED, "--rate",
					  "resampling failed: %s",
					  src_strerror(error));
		used += part.input_frames_used;
		made += part.output_frames_gen;
		if (tool_signal())
			return -tool_interrupted();
	} while (part.input_frames_used ||
		 (part.output_frames_gen && made < room));
	return made;
}

int audio_resample(struct audio *audio, uint32_t rate)
{
	double ratio = (double)rate / (double)audio->rate;
	double want = round((double)audio->count * ratio);
	size_t count, i;
	SRC_STATE *state;
	float *out;
	long made;
	int error;

	if (rate == audio->rate)
		return TOOL_OK;
	if (!src_is_valid_ratio(ratio))
		return tool_fail(TOOL_FAILED, "--rate",
				 "%u Hz is too far from the file's %u Hz: stay "
				 "within a factor of 256",
				 rate, audio->rate);
	if (want > AUDIO_SAMPLES_MAX)
		return tool_fail(TOOL_FAILED, "--in",
				 "at %u Hz this is more than %u samples: cut it",
				 rate, AUDIO_SAMPLES_MAX);
	/* The converter may stop a sample early; the rest stays silent. */
	count = want < 1.0 ? 1 : (size_t)want;
	out = calloc(count, sizeof(float));
	state = src_new(SRC_SINC_BEST_QUALITY, 1, &error);
	if (!out || !state) {
		free(out);
		if (state)
			src_delete(state);
		return tool_fail(TOOL_FAILED, "--in",
				 "not enough memory to resample the sound: "
				 "give a shorter one");
	}
	made = convert(state, audio, ratio, out, (long)count);
	src_delete(state);
	for (i = 0; made >= 0 && i < count; i++)
		if (!isfinite(out[i]))
			made = -tool_fail(TOOL_FAILED, "--in",
					  "its samples are too large to be "
					  "resampled: scale the sound down");
	if (made < 0) {
		free(out);
		return (int)-made;
	}
	free(audio->samples);
	audio->samples = out;
	audio->count = count;
	audio->rate = rate;
	return TOOL_OK;
}

#else /* !HAVE_SAMPLERATE */

int audio_resample(struct audio *audio, uint32_t rate)
{
	if (rate == audio->rate)
		return TOOL_OK;
	return tool_fail(TOOL_SKIPPED, "--rate",
			 "this build cannot resample %u Hz to %u Hz: install "
			 "libsamplerate0-dev and build again",
			 audio->rate, rate);
}

#endif
