/* SPDX-License-Identifier: MIT */
/*
 * top_page.c - a survey as lines of text, for a screen and for a pipe.
 */
#include <inttypes.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quantity.h"
#include "top.h"

static struct top_line *add(struct top_page *page, enum top_style style)
{
	struct top_line *line;

	if (page->count == page->room) {
		int room = page->room ? page->room * 2 : 64;

		line = realloc(page->lines, (size_t)room * sizeof(*line));
		if (!line) {
			page->failed = true;
			return NULL;
		}
		page->lines = line;
		page->room = room;
	}
	line = &page->lines[page->count++];
	line->style = style;
	line->bar = -1;
	line->text[0] = '\0';
	return line;
}

__attribute__((format(printf, 3, 4))) static struct top_line *
print(struct top_page *page, enum top_style style, const char *format, ...)
{
	struct top_line *line = add(page, style);
	va_list args;

	if (!line)
		return NULL;
	va_start(args, format);
	vsnprintf(line->text, sizeof(line->text), format, args);
	va_end(args);
	return line;
}

static const char *plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

/* A list of users may lie behind a network: each is asked for once. */
static const char *owner_name(uid_t uid)
{
	static struct {
		uid_t uid;
		char name[33];
	} known[32];
	static unsigned int count;
	unsigned int i;
	struct passwd *user;

	for (i = 0; i < count && i < 32; i++)
		if (known[i].uid == uid)
			return known[i].name;
	i = count++ % 32;
	user = getpwuid(uid);
	known[i].uid = uid;
	if (user)
		survey_text(known[i].name, sizeof(known[i].name),
			    user->pw_name);
	else
		snprintf(known[i].name, sizeof(known[i].name), "%u", uid);
	return known[i].name;
}

/* ---------------------------------------------------------------------- head */

static void print_totals(struct top_page *page, const struct survey *s)
{
	const struct module *m = &s->module;
	uint64_t bytes = 0;
	char have[32], limit[32], rate[4][16], text[160];
	int i, at = 0;

	for (i = 0; i < s->count; i++)
		if (s->regions[i].device)
			bytes += s->regions[i].size;
	quantity_bytes(have, sizeof(have), bytes);
	if (!m->loaded) {
		print(page, TOP_PLAIN,
		      "%d region%s, %s; the kernel module is not loaded",
		      s->count, plural((uint64_t)s->count), have);
		return;
	}
	quantity_bytes(limit, sizeof(limit), m->max_bytes);
	quantity_bytes(text, sizeof(text), m->bytes);
	print(page, TOP_PLAIN,
	      "module  %" PRIu64 " region%s, %s of at most %s, %" PRIu64
	      " doorbell%s; without it %s",
	      m->regions, plural(m->regions), text, limit, m->doorbells,
	      plural(m->doorbells), have);
	text[0] = '\0';
	for (i = 0; i < m->pool_count && at < 120; i++)
		at += snprintf(text + at, sizeof(text) - (size_t)at,
			       "%snode %d: %" PRIu64 " of %" PRIu64,
			       i ? ", " : "", m->pools[i].node,
			       m->pools[i].free, m->pools[i].pages);
	print(page, TOP_PLAIN, "reserve huge pages free on %s", text);
	quantity_short(rate[0], sizeof(rate[0]), s->rings_rate);
	quantity_short(rate[1], sizeof(rate[1]), s->signals_rate);
	quantity_short(rate[2], sizeof(rate[2]), s->sleeps_rate);
	print(page, TOP_PLAIN,
	      "pollers %s rings/s, %s signals/s, %s sleeps/s; worst wake %.1f us",
	      rate[0], rate[1], rate[2], (double)m->worst_wake_ns / 1000.0);
}

/* ------------------------------------------------------------------- regions */

/* At the widths that 80 columns have room for; what is more goes to names. */
#define REGION_NAME 14
#define OBJECT_NAME 16

static void print_heading(struct top_page *page, int more)
{
	print(page, TOP_HEADING, "%7s %-8s %-*s %-16s %9s %5s %4s %4s %5s",
	      "ID", "OWNER", REGION_NAME + more, "REGION", "PROCESS", "SIZE",
	      "HUGE", "NODE", "BELL", "MSG/S");
	print(page, TOP_HEADING, "  %-*s %-9s %-11s %-*s %4s %5s %5s %5s %5s",
	      OBJECT_NAME + more, "RING", "KIND", "CAPACITY", TOP_BAR, "FILL",
	      "", "IN/S", "OUT/S", "FULL", "LOST");
}

static void print_region(struct top_page *page, const struct survey_region *r,
			 int more)
{
	char size[16], process[40] = "-", huge[16] = "-", node[16] = "-";
	char rate[16] = "-";

	quantity_bytes(size, sizeof(size), r->size);
	if (r->processes > 1)
		snprintf(process, sizeof(process), "%.6s/%d +%d", r->process,
			 r->pid, r->processes - 1);
	else if (r->processes)
		snprintf(process, sizeof(process), "%.8s/%d", r->process,
			 r->pid);
	if (r->huge_percent >= 0)
		snprintf(huge, sizeof(huge), "%d%%", r->huge_percent);
	if (r->node >= 0)
		snprintf(node, sizeof(node), "%d", r->node);
	if (r->open)
		quantity_short(rate, sizeof(rate), r->rate);
	print(page, TOP_BOLD,
	      "%7" PRIu64 " %-8.8s %-*.*s %-16.16s %9s %5s %4s %4" PRIu64
	      " %5s",
	      r->id, owner_name(r->owner), REGION_NAME + more,
	      REGION_NAME + more, r->name[0] ? r->name : "-", process, size,
	      huge, node, r->doorbells, rate);
	if (r->reason[0])
		print(page, TOP_DIM, "  %s", r->reason);
}

const char *top_kind_name(uint32_t type)
{
	static const char *const names[] = {
		[PINRING_OBJECT_SPSC] = "spsc",
		[PINRING_OBJECT_DEVICE_RING] = "device",
		[PINRING_OBJECT_DOORBELL] = "doorbell",
		[PINRING_OBJECT_TELEMETRY] = "executor",
		[PINRING_OBJECT_BYTE_RING] = "bytes",
		[PINRING_OBJECT_MPMC] = "mpmc",
		[PINRING_OBJECT_LANES] = "lanes",
		[PINRING_OBJECT_BROADCAST] = "broadcast",
		[PINRING_OBJECT_LINE_RING] = "line",
		[PINRING_OBJECT_DUPLEX] = "duplex",
		[PINRING_OBJECT_PRIORITY] = "priority",
		[PINRING_OBJECT_CHAIN] = "chain",
		[PINRING_OBJECT_POLICY] = "policy",
	};

	return names[type];
}

/* "4096x64"; "64 KiB" of a byte ring. */
static void print_shape(char *text, size_t size, const struct survey_object *o)
{
	char capacity[32];

	text[0] = '\0';
	if (o->type == PINRING_OBJECT_BYTE_RING) {
		quantity_bytes(text, size, o->capacity);
	} else if (o->capacity) {
		if (o->capacity % (1u << 20) == 0)
			snprintf(capacity, sizeof(capacity), "%" PRIu64 "M",
				 o->capacity >> 20);
		else
			snprintf(capacity, sizeof(capacity), "%" PRIu64,
				 o->capacity);
		snprintf(text, size, "%sx%" PRIu64, capacity, o->slot_bytes);
	}
}

static void draw_bar(char bar[TOP_BAR + 1], double fill)
{
	/* Full only if it is; empty likewise. */
	int room = TOP_BAR - 2;
	int full = (int)(fill * room);
	int i;

	if (fill > 0.0 && !full)
		full = 1;
	for (i = 0; i < room; i++)
		bar[1 + i] = i < full ? '#' : '.';
	bar[0] = '[';
	bar[TOP_BAR - 1] = ']';
	bar[TOP_BAR] = '\0';
}

static void print_object(struct top_page *page, const struct survey_object *o,
			 int more)
{
	char shape[40], bar[TOP_BAR + 1] = "", share[8] = "";
	char figure[4][16];
	struct top_line *line;

	if (!o->known) {
		print(page, TOP_DIM, "  %-*.*s %-9s not to be read",
		      OBJECT_NAME + more, OBJECT_NAME + more, o->name,
		      top_kind_name(o->type));
		return;
	}
	print_shape(shape, sizeof(shape), o);
	if (o->fill >= 0.0) {
		draw_bar(bar, o->fill);
		snprintf(share, sizeof(share), "%.0f%%", o->fill * 100.0);
	}
	quantity_short(figure[0], sizeof(figure[0]), o->sent_rate);
	quantity_short(figure[1], sizeof(figure[1]), o->received_rate);
	quantity_short(figure[2], sizeof(figure[2]), (double)o->refused);
	quantity_short(figure[3], sizeof(figure[3]), (double)o->lost);
	line = print(page, TOP_PLAIN,
		     "  %-*.*s %-9s %-11.11s %-*s %4s %5s %5s %5s %5s%s",
		     OBJECT_NAME + more, OBJECT_NAME + more, o->name,
		     top_kind_name(o->type), shape, TOP_BAR, bar, share, figure[0],
		     figure[1], figure[2], figure[3],
		     o->closed ? " closed" : "");
	if (line && bar[0]) {
		line->bar = 2 + OBJECT_NAME + more + 1 + 9 + 1 + 11 + 1;
		line->fill = o->fill;
	}
}

/* ------------------------------------------------------------------ executors */

/* "below 16.4 us", of a power of two of nanoseconds; "below 16" of a count. */
static void print_below(char *text, size_t size, uint64_t bound, bool time)
{
	static const char *const units[] = { "ns", "us", "ms", "s" };
	double value = (double)bound;
	int unit = 0;

	if (bound == SURVEY_ENDLESS) {
		snprintf(text, size, "unbounded");
		return;
	}
	if (!time) {
		snprintf(text, size, "below %" PRIu64, bound);
		return;
	}
	while (value >= 1000.0 && unit < 3) {
		value /= 1000.0;
		unit++;
	}
	snprintf(text, size, "below %.*f %s", unit && value < 100.0, value,
		 units[unit]);
}

static const char *runs_on(const struct survey_executor *e, char *text,
			   size_t size)
{
	if (e->kind == PINRING_EXECUTOR_CUDA)
		snprintf(text, size, "GPU %u, %u block%s", e->gpu, e->workers,
			 plural(e->workers));
	else if (e->kind == PINRING_EXECUTOR_HOST)
		snprintf(text, size, "%u host thread%s", e->workers,
			 plural(e->workers));
	else
		snprintf(text, size, "what it does not tell");
	return text;
}

static const char *name_of(const char *name, uint32_t operation, char *text,
			   size_t size)
{
	if (name)
		return name;
	snprintf(text, size, "operation %u", operation);
	return text;
}

static void print_operation(struct top_page *page,
			    const struct survey_operation *o)
{
	char count[16], half[24], most[24], name[32];

	quantity_short(count, sizeof(count), (double)o->count);
	print_below(half, sizeof(half), o->p50_ns, true);
	print_below(most, sizeof(most), o->p99_ns, true);
	print(page, TOP_PLAIN,
	      o->p50_ns ? "    %-16s %6s  half %s, 99%% %s" :
			  "    %-16s %6s  not timed",
	      name_of(o->name, o->operation, name, sizeof(name)), count, half,
	      most);
}

static void print_bursts(struct top_page *page, const struct survey_executor *e)
{
	char half[32], most[32];

	if (!e->bursts)
		return;
	print_below(half, sizeof(half), e->burst_p50, false);
	print_below(most, sizeof(most), e->burst_p99, false);
	print(page, TOP_PLAIN, "    commands in a row: half %s, 99%% %s", half,
	      most);
}

static void print_executor(struct top_page *page,
			   const struct survey_executor *e)
{
	char on[64], rate[16], done[16], failed[16], flight[16], name[32];
	char memory[16];
	int i;

	quantity_short(done, sizeof(done), (double)e->processed);
	quantity_short(rate, sizeof(rate), e->rate);
	quantity_short(failed, sizeof(failed), (double)e->failed);
	quantity_short(flight, sizeof(flight), (double)e->in_flight);
	quantity_bytes(memory, sizeof(memory), e->gpu_bytes);
	print(page, TOP_PLAIN, "  executor on %s: %s, %.0f%% idle%s",
	      runs_on(e, on, sizeof(on)), pinring_state_name(e->state),
	      e->idle * 100.0,
	      e->commands_apart ? ", commands in GPU memory" : "");
	print(page, TOP_PLAIN,
	      "    commands: %s, %s/s; %s failed; %s being carried out", done,
	      rate, failed, flight);
	if (e->error && e->error_operation == PINRING_OP_NONE)
		print(page, TOP_PLAIN, "    last error %d, no command in flight: %s",
		      e->error, pinring_reason_text(e->error_reason));
	else if (e->error)
		print(page, TOP_PLAIN, "    last error %d: command %u, %s: %s",
		      e->error, e->error_id,
		      name_of(pinring_operation_name(e->error_operation),
			      e->error_operation, name, sizeof(name)),
		      pinring_reason_text(e->error_reason));
	if (e->gpu_bytes)
		print(page, TOP_PLAIN, "    work in %s of GPU memory", memory);
	print_bursts(page, e);
	for (i = 0; i < e->operation_count; i++)
		print_operation(page, &e->operations[i]);
}

/* ---------------------------------------------------------------------- order */

static enum top_sort order;

static int compare(const void *a, const void *b)
{
	const struct survey_region *x = a, *y = b;
	int rc = 0;

	switch (order) {
	case TOP_BY_NAME:
		rc = strcmp(x->name, y->name);
		break;
	case TOP_BY_OWNER:
		rc = strcmp(owner_name(x->owner), owner_name(y->owner));
		break;
	case TOP_BY_SIZE:
		rc = (x->size < y->size) - (x->size > y->size);
		break;
	case TOP_BY_RATE:
		rc = (x->rate < y->rate) - (x->rate > y->rate);
		break;
	case TOP_BY_ID:
		break;
	}
	return rc ? rc : (x->id > y->id) - (x->id < y->id);
}

/* Columns that names need beyond those they have. */
static int wanted(const struct survey *survey)
{
	int more = 0, i, k;

	for (i = 0; i < survey->count; i++) {
		const struct survey_region *r = &survey->regions[i];
		int lacks = (int)strlen(r->name) - REGION_NAME;

		if (lacks > more)
			more = lacks;
		for (k = 0; k < r->object_count; k++) {
			lacks = (int)strlen(r->objects[k].name) - OBJECT_NAME;
			if (lacks > more)
				more = lacks;
		}
	}
	return more;
}

void top_page_make(struct top_page *page, struct survey *survey,
		   enum top_sort sort, int width)
{
	int more = wanted(survey);
	int i, k;

	if (width > TOP_WIDTH_MAX)
		width = TOP_WIDTH_MAX;
	if (more > width - TOP_WIDTH_MIN)
		more = width > TOP_WIDTH_MIN ? width - TOP_WIDTH_MIN : 0;
	page->count = 0;
	page->failed = false;
	print_totals(page, survey);
	if (survey->count)
		print_heading(page, more);
	page->head = page->count;
	order = sort;
	qsort(survey->regions, (size_t)survey->count,
	      sizeof(*survey->regions), compare);
	for (i = 0; i < survey->count; i++) {
		const struct survey_region *r = &survey->regions[i];

		print_region(page, r, more);
		if (r->executor)
			print_executor(page, r->executor);
		for (k = 0; k < r->object_count; k++)
			print_object(page, &r->objects[k], more);
	}
	if (!survey->count)
		print(page, TOP_DIM, "no regions that can be seen");
	if (survey->cut)
		print(page, TOP_DIM, "there are more than fit in here");
}

void top_page_free(struct top_page *page)
{
	free(page->lines);
	memset(page, 0, sizeof(*page));
}
