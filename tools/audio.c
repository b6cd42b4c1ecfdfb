/* SPDX-License-Identifier: MIT */
/*
 * audio.c - sound files in and out, by libsndfile.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audio.h"
#include "tool.h"

void audio_free(struct audio *audio)
{
	free(audio->samples);
	audio->samples = NULL;
	audio->count = 0;
}

size_t audio_bytes(size_t count)
{
	return count * sizeof(float) + 4096;
}

#if HAVE_SNDFILE
#include <sndfile.h>

#define BLOCK_FRAMES 4096

static int no_memory(void)
{
	return tool_fail(TOOL_FAILED, "--in",
			 "not enough memory for the sound: give a shorter one");
}

/* Averages the channels of a block onto the end of audio. */
static int append(struct audio *audio, size_t *room, const float *block,
		  size_t frames, const char *name)
{
	const uint32_t channels = audio->channels;
	size_t i;
	uint32_t c;

	if (audio->count + frames > AUDIO_SAMPLES_MAX)
		return tool_fail(TOOL_FAILED, "--in",
				 "%s has more than %u samples: cut it", name,
				 AUDIO_SAMPLES_MAX);
	if (audio->count + frames > *room) {
		size_t more = *room ? 2 * *room : BLOCK_FRAMES * 16;
		float *samples = realloc(audio->samples, more * sizeof(float));

		if (!samples)
			return no_memory();
		audio->samples = samples;
		*room = more;
	}
	for (i = 0; i < frames; i++) {
		double sum = 0.0;

		for (c = 0; c < channels; c++)
			sum += (double)block[i * channels + c];
		if (!isfinite(sum))
			return tool_fail(
				TOOL_FAILED, "--in",
				"%s: sample %zu is not a finite number: "
				"repair the file",
				name, audio->count + i);
		audio->samples[audio->count + i] = (float)(sum / channels);
	}
	audio->count += frames;
	return TOOL_OK;
}

static int read_frames(struct audio *audio, SNDFILE *file, const SF_INFO *info,
		       const char *name)
{
	size_t room = 0;
	float *block;
	sf_count_t n;
	int code = TOOL_OK;

	block = malloc(BLOCK_FRAMES * (size_t)info->channels * sizeof(float));
	if (!block)
		return no_memory();
	do {
		n = sf_readf_float(file, block, BLOCK_FRAMES);
		if (n > 0)
			code = append(audio, &room, block, (size_t)n, name);
		if (!code && tool_signal())
			code = tool_interrupted();
	} while (n > 0 && !code);
	free(block);
	if (code)
		return code;
	if (sf_error(file))
		return tool_fail(TOOL_FAILED, "--in",
				 "%s is damaged after sample %zu: %s: get a "
				 "whole copy",
				 name, audio->count, sf_strerror(file));
	if (info->frames != SF_COUNT_MAX &&
	    audio->count < (uint64_t)info->frames)
		return tool_fail(TOOL_FAILED, "--in",
				 "%s is truncated: its header tells of %" PRId64
				 " samples and %zu are there: get a whole copy",
				 name, (int64_t)info->frames, audio->count);
	if (!audio->count)
		return tool_fail(TOOL_FAILED, "--in",
				 "%s holds no samples: give one with sound",
				 name);
	return TOOL_OK;
}

static int read_open(struct audio *audio, int fd, const char *name)
{
	SF_INFO info;
	SNDFILE *file;
	int code;

	memset(&info, 0, sizeof(info));
	file = sf_open_fd(fd, SFM_READ, &info, SF_FALSE);
	if (!file) {
		char why[160];
		size_t end;

		/* libsndfile's sentences end in a full stop, or two. */
		snprintf(why, sizeof(why), "%s", sf_strerror(NULL));
		for (end = strlen(why); end && strchr(". \n", why[end - 1]);)
			why[--end] = '\0';
		return tool_fail(TOOL_FAILED, "--in",
				 "%s is not a sound file that libsndfile "
				 "reads: %s: give another",
				 name, why);
	}
	audio->rate = (uint32_t)info.samplerate;
	audio->channels = (uint32_t)info.channels;
	if (info.samplerate < 1 || info.channels < 1)
		code = tool_fail(TOOL_FAILED, "--in",
				 "%s has no sampling rate or no channels: "
				 "repair the file",
				 name);
	else
		code = read_frames(audio, file, &info, name);
	sf_close(file);
	return code;
}

int audio_read(struct audio *audio, const char *name)
{
	struct stat there;
	int code;
	int fd;

	memset(audio, 0, sizeof(*audio));
	/* Nonblocking, or a pipe without a writer would hold us here. */
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return tool_fail(TOOL_FAILED, "--in",
				 "%s cannot be read: %s: give a sound file",
				 name, strerror(errno));
	if (fstat(fd, &there) || !S_ISREG(there.st_mode))
		code = tool_fail(TOOL_FAILED, "--in",
				 "%s is not a regular file: give a sound file",
				 name);
	else
		code = audio_check_length(fd, name);
	if (!code)
		code = read_open(audio, fd, name);
	close(fd);
	if (code)
		audio_free(audio);
	return code;
}

/* A file in memory for libsndfile to write to. */
struct image {
	char *data;
	sf_count_t size, room, at;
};

static sf_count_t image_length(void *user)
{
	return ((struct image *)user)->size;
}

static sf_count_t image_seek(sf_count_t offset, int whence, void *user)
{
	struct image *image = user;

	if (whence == SEEK_CUR)
		offset += image->at;
	else if (whence == SEEK_END)
		offset += image->size;
	if (offset < 0 || offset > image->room)
		return -1;
	image->at = offset;
	return offset;
}

static sf_count_t image_read(void *data, sf_count_t count, void *user)
{
	struct image *image = user;

	if (count > image->size - image->at)
		count = image->size - image->at;
	if (count <= 0)
		return 0;
	memcpy(data, image->data + image->at, (size_t)count);
	image->at += count;
	return count;
}

static sf_count_t image_write(const void *data, sf_count_t count, void *user)
{
	struct image *image = user;

	if (count > image->room - image->at)
		return 0;
	memcpy(image->data + image->at, data, (size_t)count);
	image->at += count;
	if (image->size < image->at)
		image->size = image->at;
	return count;
}

static sf_count_t image_tell(void *user)
{
	return ((struct image *)user)->at;
}

int audio_encode(const float *samples, size_t count, uint32_t rate,
		 void **data, size_t *bytes)
{
	SF_VIRTUAL_IO io = { image_length, image_seek, image_read, image_write,
			     image_tell };
	SF_INFO info = { .samplerate = (int)rate, .channels = 1,
			 .format = SF_FORMAT_WAV | SF_FORMAT_FLOAT };
	struct image image = { .room = (sf_count_t)audio_bytes(count) };
	bool whole = false;
	SNDFILE *file;

	image.data = calloc(1, (size_t)image.room);
	if (!image.data)
		return tool_fail(TOOL_FAILED, "--out",
				 "not enough memory for the sound: give a "
				 "shorter one");
	file = sf_open_virtual(&io, SFM_WRITE, &info, &image);
	if (file) {
		/* The peak chunk has the time of day in it. */
		sf_command(file, SFC_SET_ADD_PEAK_CHUNK, NULL, SF_FALSE);
		sf_command(file, SFC_SET_CLIPPING, NULL, SF_FALSE);
		sf_command(file, SFC_SET_NORM_FLOAT, NULL, SF_FALSE);
		whole = sf_writef_float(file, samples, (sf_count_t)count) ==
			(sf_count_t)count;
		whole = !sf_close(file) && whole;
	}
	/* A header is 58 bytes; less than the samples means it gave up. */
	if (!whole || image.size < (sf_count_t)(count * sizeof(float))) {
		free(image.data);
		return tool_fail(TOOL_FAILED, "--out",
				 "libsndfile cannot make the WAV: %s",
				 sf_strerror(NULL));
	}
	*data = image.data;
	*bytes = (size_t)image.size;
	return TOOL_OK;
}

#else /* !HAVE_SNDFILE */

static int missing(const char *about)
{
	return tool_fail(TOOL_SKIPPED, about,
			 "this build cannot handle sound files: install "
			 "libsndfile1-dev and build again");
}

int audio_read(struct audio *audio, const char *name)
{
	(void)name;
	memset(audio, 0, sizeof(*audio));
	return missing("--in");
}

int audio_encode(const float *samples, size_t count, uint32_t rate,
		 void **data, size_t *bytes)
{
	(void)samples;
	(void)count;
	(void)rate;
	(void)data;
	(void)bytes;
	return missing("--out");
}

#endif
