/* SPDX-License-Identifier: MIT */
/*
 * progress.h - a bar on stderr while the work goes on.
 *
 * Drawn only if stderr is a terminal, at most ten times a second.
 */
#ifndef PINRING_TOOL_PROGRESS_H
#define PINRING_TOOL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool shown;
	uint64_t total; /* samples */
	uint32_t rate; /* samples a second of sound */
	uint64_t begun_ns, drawn_ns;
};

void progress_begin(struct progress *progress, bool wanted, uint64_t total,
		    uint32_t rate, uint64_t now_ns);
void progress_draw(struct progress *progress, uint64_t done, uint64_t now_ns);
/* Cheap enough for every sample. */
static inline void progress_update(struct progress *progress, uint64_t done,
				   uint64_t now_ns)
{
	if (progress->shown && now_ns - progress->drawn_ns >= 100000000)
		progress_draw(progress, done, now_ns);
}

/* Takes the bar away. */
void progress_end(struct progress *progress);

#endif /* PINRING_TOOL_PROGRESS_H */
