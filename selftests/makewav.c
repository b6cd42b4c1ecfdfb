/* SPDX-License-Identifier: MIT */
/*
 * makewav.c - sound files for selftests/tool.sh; no test itself.
 *
 *	makewav FILE KIND RATE CHANNELS SAMPLES
 *
 * KIND: noise (the same every time), sweep, impulse, silence, huge (1e38), or
 * nan (silence but for one NaN in the middle). A WAV of 32-bit floats; channel
 * c is scaled by c + 1 over the number of channels.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_SKIPPED 4

#if HAVE_SNDFILE
#include <sndfile.h>

static double sample_of(const char *kind, long i, long count, uint64_t *state)
{
	double t = (double)i / (double)count;

	if (!strcmp(kind, "noise")) {
		*state = *state * 6364136223846793005u + 1442695040888963407u;
		return (double)(*state >> 33) / 1073741824.0 - 1.0;
	}
	if (!strcmp(kind, "sweep"))
		return 0.5 * sin(0.4 * (double)count * t * t);
	if (!strcmp(kind, "impulse"))
		return i == 0 ? 1.0 : 0.0;
	if (!strcmp(kind, "huge"))
		return i & 1 ? -1e38 : 1e38;
	if (!strcmp(kind, "nan"))
		return i == count / 2 ? (double)NAN : 0.0;
	return 0.0;
}

static int known(const char *kind)
{
	static const char *const kinds[] = { "noise",	"sweep", "impulse",
					     "silence", "huge",	 "nan" };
	size_t k;

	for (k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
		if (!strcmp(kind, kinds[k]))
			return 1;
	return 0;
}

static int make(const char *name, const char *kind, SF_INFO *info, long count)
{
	float *frame = calloc((size_t)info->channels, sizeof(*frame));
	SNDFILE *file = sf_open(name, SFM_WRITE, info);
	uint64_t state = 1;
	int ok = frame && file;
	long i;
	int c;

	for (i = 0; ok && i < count; i++) {
		double value = sample_of(kind, i, count, &state);

		for (c = 0; c < info->channels; c++)
			frame[c] = (float)(value * (c + 1) / info->channels);
		ok = sf_writef_float(file, frame, 1) == 1;
	}
	if (!ok)
		fprintf(stderr, "makewav: %s: %s\n", name, sf_strerror(file));
	if (file && sf_close(file))
		ok = 0;
	free(frame);
	return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
	SF_INFO info = { .format = SF_FORMAT_WAV | SF_FORMAT_FLOAT };
	long count;

	if (argc != 6 || !known(argv[2])) {
		fputs("makewav FILE KIND RATE CHANNELS SAMPLES\n", stderr);
		return 2;
	}
	info.samplerate = atoi(argv[3]);
	info.channels = atoi(argv[4]);
	count = atol(argv[5]);
	if (info.samplerate < 1 || info.channels < 1 || count < 0) {
		fputs("makewav: a number is out of range\n", stderr);
		return 2;
	}
	return make(argv[1], argv[2], &info, count);
}

#else

int main(void)
{
	fputs("makewav: built without libsndfile1-dev\n", stderr);
	return EXIT_SKIPPED;
}

#endif
