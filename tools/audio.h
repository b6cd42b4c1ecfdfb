/* SPDX-License-Identifier: MIT */
/*
 * audio.h - sound files in and out.
 *
 * In: any format libsndfile reads, channels averaged into one. Out: a WAV of
 * 32-bit floats, one channel, never clipped. Both return an exit code.
 */
#ifndef PINRING_TOOL_AUDIO_H
#define PINRING_TOOL_AUDIO_H

#include <stddef.h>
#include <stdint.h>

#define AUDIO_SAMPLES_MAX 1000000000u /* 4 bytes each fit in a WAV's 32 bits */

struct audio {
	float *samples;
	size_t count;
	uint32_t rate; /* Hz */
	uint32_t channels; /* in the file, before they were averaged */
};

int audio_read(struct audio *audio, const char *name);

/* Resamples in place. */
int audio_resample(struct audio *audio, uint32_t rate);

void audio_free(struct audio *audio);

/* A whole WAV file in memory, for the caller to free(). */
int audio_encode(const float *samples, size_t count, uint32_t rate,
		 void **image, size_t *bytes);

/* An upper bound of what audio_encode() makes. */
size_t audio_bytes(size_t count);

/* truncated.c: says how a sound file is shorter than its header claims. */
int audio_check_length(int fd, const char *name);

#endif /* PINRING_TOOL_AUDIO_H */
