/* SPDX-License-Identifier: MIT */
/*
 * picture.h - one plane of a pressure field as a PNG.
 *
 * White is the plane's mean pressure, blue is below it and red above. (A source
 * that adds to the pressure leaves a slow offset in a closed room, which nobody
 * hears and which would drown the rest.) Full colour is three times the RMS
 * around the mean, so that the picture is legible however loud the sound; a
 * strip along the bottom shows the colours from minus to plus full scale, and
 * both numbers are in the PNG's text. x runs to the right and y upwards. The source is a black disc and the microphone a green
 * square, hollow if it lies in another plane.
 */
#ifndef PINRING_TOOL_PICTURE_H
#define PINRING_TOOL_PICTURE_H

#include <stddef.h>
#include <stdint.h>

#define PICTURE_SIDE_MAX 16384u /* cells */

struct picture {
	const float *plane; /* width * height cells, x fastest */
	uint32_t width, height;
	uint32_t z; /* of the plane */
	uint32_t source[3], mic[3];
	double mean; /* out: the pressure that is white */
	double full_scale; /* out: how far from it the full colour is */
};

/* TOOL_OK, or says that this build draws none. */
int picture_available(const char *about);

/* A PNG in memory, for the caller to free(). Returns an exit code. */
int picture_encode(struct picture *picture, const char *about, void **image,
		   size_t *bytes);

#endif /* PINRING_TOOL_PICTURE_H */
