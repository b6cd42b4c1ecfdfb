/* SPDX-License-Identifier: MIT */
/*
 * progress.c - a bar on stderr while the work goes on.
 */
#include <stdio.h>
#include <unistd.h>

#include "progress.h"

#define BAR_WIDTH 30

void progress_begin(struct progress *progress, bool wanted, uint64_t total,
		    uint32_t rate, uint64_t now_ns)
{
	progress->shown = wanted && isatty(STDERR_FILENO);
	progress->total = total;
	progress->rate = rate;
	progress->begun_ns = now_ns;
	progress->drawn_ns = now_ns;
}

void progress_draw(struct progress *progress, uint64_t done, uint64_t now_ns)
{
	double share = (double)done / (double)progress->total;
	double wall = (double)(now_ns - progress->begun_ns) * 1e-9;
	double sound = (double)done / (double)progress->rate;
	int full = (int)(share * BAR_WIDTH);
	char bar[BAR_WIDTH + 1];
	int i;

	for (i = 0; i < BAR_WIDTH; i++)
		bar[i] = i < full ? '#' : '.';
	bar[BAR_WIDTH] = '\0';
	fprintf(stderr, "\r[%s] %3.0f%%  %.2f x real time, %.0f s to go \033[K",
		bar, share * 100.0, wall > 0.0 ? sound / wall : 0.0,
		done ? wall * (1.0 - share) / share : 0.0);
	fflush(stderr);
	progress->drawn_ns = now_ns;
}

void progress_end(struct progress *progress)
{
	if (progress->shown)
		fputs("\r\033[K", stderr);
	progress->shown = false;
}
