/* SPDX-License-Identifier: MIT */
/*
 * top.h - the page that `pinring top` shows, and the screen it is shown on.
 */
#ifndef PINRING_TOOL_TOP_H
#define PINRING_TOOL_TOP_H

#include <stdbool.h>

#include "survey.h"

enum top_sort { TOP_BY_ID, TOP_BY_NAME, TOP_BY_OWNER, TOP_BY_SIZE, TOP_BY_RATE };

enum top_style { TOP_PLAIN, TOP_BOLD, TOP_HEADING, TOP_DIM };

#define TOP_WIDTH_MIN 80
#define TOP_WIDTH_MAX 200

struct top_line {
	enum top_style style;
	int bar; /* column where a bar begins, or -1; it is TOP_BAR wide */
	double fill;
	char text[TOP_WIDTH_MAX + 1];
};

#define TOP_BAR 10 /* with its brackets */

struct top_page {
	struct top_line *lines;
	int count, room;
	int head; /* so many first lines do not scroll */
	bool failed; /* no memory for all lines */
};

/* width: of what it is shown on. The page's lines are made anew. */
void top_page_make(struct top_page *page, struct survey *survey,
		   enum top_sort sort, int width);
void top_page_free(struct top_page *page);

/* "mpmc"; of a type that a survey has. */
const char *top_kind_name(uint32_t type);

/*
 * Until a key or a signal ends it, a look each interval at regions of those names.
 * Returns an exit code.
 */
int top_screen(double interval, char *const *names);

#endif /* PINRING_TOOL_TOP_H */
