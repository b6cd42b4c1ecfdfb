/* SPDX-License-Identifier: MIT */
/* snooze.h - one step of spinning, as cheap as this CPU can. */
#ifndef PINRING_SNOOZE_H
#define PINRING_SNOOZE_H

#include "internal.h"

/*
 * About 30 ns to 1 us, or until `line` is stored to where the CPU can wait for
 * that. line NULL: a pause.
 */
void pinring_snooze(const __u64 *line, bool (*over)(const void *side),
		    const void *side);

#endif /* PINRING_SNOOZE_H */
