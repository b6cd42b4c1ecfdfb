/* SPDX-License-Identifier: MIT */
/*
 * top_screen.c - the page on a terminal, with keys.
 */
#include "tool.h"
#include "top.h"

#if HAVE_CURSES
#include <ncurses.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <term.h>
#undef lines /* which it makes a word of its own */

struct screen {
	double interval;
	char *const *names;
	enum top_sort sort;
	bool paused, help;
	int scroll;
	struct survey now;
	struct top_page page;
};

enum { GREEN = 1, YELLOW, RED };

static const char *const help_lines[] = {
	"q        quit                       p, blank   pause, and go on",
	"up, down, page up, page down, home, end        scroll",
	"",
	"sort by  i   id                     o   owner",
	"         n   name                   s   size",
	"         r   messages a second",
	"",
	"A line a region: what process has it (+1: and another), how much of it is",
	"in huge pages, its node, its doorbells. Below it what is inside:",
	"",
	"FILL     of a broadcast ring, before the slowest consumer",
	"IN/S     messages sent a second     OUT/S  received, or given back",
	"FULL     times a producer found it full, since it was made",
	"LOST     messages dropped, overwritten, missed, or gone with the dead",
	"",
	"Of other users' regions only those that you may open are looked into.",
};

static int styled(enum top_style style)
{
	switch (style) {
	case TOP_BOLD:
		return has_colors() ? A_BOLD : A_NORMAL;
	case TOP_DIM:
		return has_colors() ? A_DIM : A_NORMAL;
	case TOP_HEADING:
		return A_REVERSE;
	default:
		return A_NORMAL;
	}
}

static void colour_bar(int row, const struct top_line *line)
{
	int pair = line->fill < 0.5 ? GREEN : line->fill < 0.9 ? YELLOW : RED;
	int full = (int)strcspn(line->text + line->bar, ".]") - 1;

	if (has_colors() && full > 0)
		mvchgat(row, line->bar + 1, full, A_BOLD, (short)pair, NULL);
}

static void draw_line(int row, const struct top_line *line)
{
	int attributes = styled(line->style);

	attron(attributes);
	/* A heading's background goes on to the edge. */
	if (line->style == TOP_HEADING)
		mvhline(row, 0, ' ' | A_REVERSE, COLS);
	mvaddnstr(row, 0, line->text, COLS);
	attroff(attributes);
	if (line->bar >= 0 && line->bar + TOP_BAR <= COLS)
		colour_bar(row, line);
}

static void draw_title(const struct screen *s)
{
	static const char *const sorts[] = { "id", "name", "owner", "size",
					     "rate" };
	char clock[16] = "";
	time_t t = time(NULL);
	struct tm tm;

	if (localtime_r(&t, &tm))
		strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	attron(styled(TOP_BOLD));
	mvprintw(0, 0, "pinring top  %s  every %g s  by %s%s", clock,
		 s->interval, sorts[s->sort], s->paused ? "  paused" : "");
	attroff(styled(TOP_BOLD));
	if (COLS > 70)
		mvaddstr(0, COLS - 15, "q quit  ? help");
}

static void draw(struct screen *s)
{
	int below = s->page.count - s->page.head;
	int row = 1, i, room;

	erase();
	draw_title(s);
	for (i = 0; i < s->page.head && row < LINES; i++)
		draw_line(row++, &s->page.lines[i]);
	if (s->help) {
		row++;
		for (i = 0; i < (int)(sizeof(help_lines) /
				      sizeof(help_lines[0])) &&
			    row < LINES;
		     i++)
			mvaddnstr(row++, 2, help_lines[i], COLS - 2);
		refresh();
		return;
	}
	room = LINES - row;
	if (s->scroll > below - room)
		s->scroll = below - room;
	if (s->scroll < 0)
		s->scroll = 0;
	for (i = s->scroll; i < below && row < LINES; i++)
		draw_line(row++, &s->page.lines[s->page.head + i]);
	refresh();
}

static int look(struct screen *s)
{
	struct survey next;
	int code = survey_take(&next, s->now.regions ? &s->now : NULL,
			       s->names);

	if (code) {
		survey_free(&next);
		return code;
	}
	survey_free(&s->now);
	s->now = next;
	return TOOL_OK;
}

/* false: it was q. */
static bool press(struct screen *s, int key)
{
	int page = LINES - s->page.head - 1;

	switch (key) {
	case 'q':
		return false;
	case 'p':
	case ' ':
		s->paused = !s->paused;
		break;
	case '?':
	case 'h':
		s->help = !s->help;
		break;
	case 'i':
		s->sort = TOP_BY_ID;
		break;
	case 'n':
		s->sort = TOP_BY_NAME;
		break;
	case 'o':
		s->sort = TOP_BY_OWNER;
		break;
	case 's':
		s->sort = TOP_BY_SIZE;
		break;
	case 'r':
		s->sort = TOP_BY_RATE;
		break;
	case KEY_UP:
		s->scroll--;
		break;
	case KEY_DOWN:
		s->scroll++;
		break;
	case KEY_PPAGE:
		s->scroll -= page;
		break;
	case KEY_NPAGE:
		s->scroll += page;
		break;
	case KEY_HOME:
		s->scroll = 0;
		break;
	case KEY_END:
		s->scroll = s->page.count;
		break;
	}
	return true;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int run(struct screen *s)
{
	int code = look(s);
	/* Soon a second one, for the first has no rates. */
	double next = now() + (s->interval < 0.5 ? s->interval : 0.5);

	while (!code && !tool_signal()) {
		double left = next - now();
		int key;

		top_page_make(&s->page, &s->now, s->sort, COLS);
		if (s->page.failed)
			return tool_fail(TOOL_FAILED, "top",
					 "not enough memory");
		draw(s);
		timeout(left > 0.0 ? (int)(left * 1000.0) + 1 : 0);
		key = getch();
		if (key != ERR && !press(s, key))
			break;
		if (now() < next)
			continue;
		next = now() + s->interval;
		if (!s->paused)
			code = look(s);
	}
	return code;
}

static void start_colours(void)
{
	const char *no = getenv("NO_COLOR");

	if ((no && *no) || !has_colors())
		return;
	start_color();
	use_default_colors();
	init_pair(GREEN, COLOR_GREEN, -1);
	init_pair(YELLOW, COLOR_YELLOW, -1);
	init_pair(RED, COLOR_RED, -1);
}

int top_screen(double interval, char *const *names)
{
	struct screen s = { .interval = interval, .names = names };
	SCREEN *terminal = newterm(NULL, stdout, stdin);
	int code;

	if (terminal && !tigetstr("cup")) {
		endwin();
		delscreen(terminal);
		terminal = NULL;
	}
	if (!terminal)
		return tool_fail(TOOL_FAILED, "top",
				 "no screen on a terminal \"%s\": set TERM to "
				 "what it is, or pinring top --once",
				 getenv("TERM") ? getenv("TERM") : "");
	start_colours();
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	code = run(&s);
	endwin();
	delscreen(terminal);
	survey_free(&s.now);
	top_page_free(&s.page);
	if (!code && tool_signal())
		code = TOOL_SIGNALLED + tool_signal();
	return code;
}

#else

int top_screen(double interval, char *const *names)
{
	(void)interval;
	(void)names;
	return tool_fail(TOOL_SKIPPED, "top",
			 "this build has no screen: pinring top --once, or "
			 "apt-get install libncurses-dev and build again");
}

#endif
