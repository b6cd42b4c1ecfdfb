/* SPDX-License-Identifier: MIT */
/*
 * truncated.c - is a sound file as long as its header says?
 *
 * libsndfile reads what is left of a file that was cut short and does not say
 * so. This looks at the containers that state a length up front: WAV (RIFF and
 * RIFX), AIFF and AU. The formats that are compressed end visibly too soon.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audio.h"
#include "tool.h"

/*
 * Programs that cannot seek back in their output leave one of these as the
 * length: ffmpeg the first, sox the largest that is below 2^31.
 */
#define LENGTH_UNKNOWN 0xffffffffu
#define LENGTH_UNKNOWN_SOX 0x7ffff000u

static uint32_t word(const unsigned char *at, bool big)
{
	if (big)
		return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 |
		       (uint32_t)at[2] << 8 | at[3];
	return (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 |
	       (uint32_t)at[1] << 8 | at[0];
}

static int compare(const char *name, uint64_t start, uint32_t length,
		   uint64_t size)
{
	uint64_t have = size > start ? size - start : 0;

	if (length >= LENGTH_UNKNOWN_SOX && length <= 0x7fffffffu)
		return TOOL_OK;
	if (length == LENGTH_UNKNOWN || length <= have)
		return TOOL_OK;
	return tool_fail(TOOL_FAILED, "--in",
			 "%s is truncated: its header tells of %" PRIu32
			 " bytes of sound and %" PRIu64
			 " are there: get a whole copy",
			 name, length, have);
}

static int check_chunks(int fd, const char *name, const char *sound, bool big,
			uint64_t size)
{
	unsigned char chunk[8];
	uint64_t at = 12;

	while (at + sizeof(chunk) <= size) {
		uint32_t length;

		if (pread(fd, chunk, sizeof(chunk), (off_t)at) !=
		    (ssize_t)sizeof(chunk))
			break;
		length = word(chunk + 4, big);
		at += sizeof(chunk);
		if (!memcmp(chunk, sound, 4))
			return compare(name, at, length, size);
		at += (uint64_t)length + (length & 1);
	}
	/* No sound to measure: libsndfile says what it thinks of that. */
	return TOOL_OK;
}

int audio_check_length(int fd, const char *name)
{
	unsigned char head[12];
	struct stat file;
	uint64_t size;
	bool big;

	if (fstat(fd, &file))
		return TOOL_OK;
	size = (uint64_t)file.st_size;
	if (!size)
		return tool_fail(TOOL_FAILED, "--in",
				 "%s is empty: give a sound file", name);
	if (pread(fd, head, sizeof(head), 0) != (ssize_t)sizeof(head))
		return TOOL_OK;
	if (!memcmp(head, ".snd", 4))
		return compare(name, word(head + 4, true),
			       word(head + 8, true), size);
	if (!memcmp(head, "FORM", 4) && !memcmp(head + 8, "AIF", 3))
		return check_chunks(fd, name, "SSND", true, size);
	big = !memcmp(head, "RIFX", 4);
	if ((big || !memcmp(head, "RIFF", 4)) && !memcmp(head + 8, "WAVE", 4))
		return check_chunks(fd, name, "data", big, size);
	return TOOL_OK;
}
