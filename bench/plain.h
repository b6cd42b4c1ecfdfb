/* SPDX-License-Identifier: MIT */
/* plain.h - the update of a room as a plain loop nest: the limit. */
#ifndef PINRING_BENCH_PLAIN_H
#define PINRING_BENCH_PLAIN_H

#include <stdint.h>

struct plain_room {
	uint32_t nx, ny, nz;
	float lambda2;
	float wall; /* lambda * beta / 2 */
	float *field[2];
};

enum plain_form {
	PLAIN_INTERIOR, /* a row's loop leaves out the two cells at its ends */
	PLAIN_WHOLE, /* it takes them along; they are put right afterwards */
	PLAIN_FORMS,
};

/*
 * One step from field[current] to field[!current]. Rooms of two cells and more
 * a side, up to 1024 along x. PLAIN_WHOLE reads the floats before and after a
 * field, whatever they are.
 */
void plain_step(const struct plain_room *room, enum plain_form form,
		int current);

#endif /* PINRING_BENCH_PLAIN_H */
