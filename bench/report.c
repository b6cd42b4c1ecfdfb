// SPDX-License-Identifier: MIT
/* report.c - the rows as a table for people and as JSON for machines. */
#include <stdio.h>
#include <string.h>

#include "report.h"

#define ROWS_MAX 128
#define COMMANDS_MAX 32

static struct row rows[ROWS_MAX];
static unsigned int count;
static struct command_row commands[COMMANDS_MAX];
static unsigned int command_count;

void report_row(const struct row *r)
{
	if (count == ROWS_MAX)
		bench_die("more rows than the report holds", 0);
	rows[count++] = *r;
	/* A line as it comes: the whole takes a minute. */
	if (r->value.n)
		fprintf(stderr, "  %s: %.4g %s\n", r->name,
			series_median(&r->value), r->unit);
	else
		fprintf(stderr, "  %s: not measured\n", r->name);
}

void report_absent(const char *name, double target, const char *why)
{
	struct row row = { .name = name, .unit = "", .target = target };

	snprintf(row.note, sizeof(row.note), "%s", why);
	report_row(&row);
}

void report_command(const struct command_row *r)
{
	if (command_count == COMMANDS_MAX)
		bench_die("more commands than the report holds", 0);
	commands[command_count++] = *r;
}

enum verdict { MET, MISSED, NO_TARGET, NOT_MEASURED, TOO_FEW, ABSENT };

static double judged(const struct row *r)
{
	switch (r->target_of) {
	case TARGET_VALUE:
		return series_median(&r->value);
	case TARGET_EXCESS:
		return series_median(&r->value) - series_median(&r->limit);
	default:
		return r->ratio;
	}
}

/* The limit that the target refers to was measured too, or it needs none. */
static bool has_limit(const struct row *r)
{
	return r->target_of == TARGET_VALUE || r->ratio != 0.0;
}

static bool too_few(const struct row *r)
{
	if (r->once)
		return false;
	return r->value.n < REPORT_RUNS_LEAST ||
	       (r->target_of != TARGET_VALUE &&
		r->limit.n < REPORT_RUNS_LEAST);
}

static enum verdict judge(const struct row *r)
{
	double figure = judged(r);

	if (!r->value.n)
		return r->target == 0.0 ? ABSENT : NOT_MEASURED;
	if (r->target == 0.0)
		return NO_TARGET;
	if (!has_limit(r))
		return NOT_MEASURED;
	if (too_few(r))
		return TOO_FEW;
	if (r->target_is_floor)
		return figure >= r->target ? MET : MISSED;
	return figure <= r->target ? MET : MISSED;
}

static bool is_missed(const struct row *r)
{
	enum verdict v = judge(r);

	return v == MISSED || v == NOT_MEASURED || v == TOO_FEW;
}

static const char *const verdict_text[] = {
	[MET] = "met",
	[MISSED] = "MISSED",
	[NO_TARGET] = "",
	[NOT_MEASURED] = "NOT MEASURED",
	[TOO_FEW] = "TOO FEW RUNS",
	[ABSENT] = "not measured",
};

static void print_number(char *text, size_t size, double value)
{
	const char *format = value >= 1000.0 || value <= -1000.0 ? "%.0f" :
								   "%.4g";

	snprintf(text, size, format, value);
}

static void print_target(char *text, size_t size, const struct row *r)
{
	char number[16];

	if (r->target == 0.0)
		return;
	print_number(number, sizeof(number), r->target);
	snprintf(text, size, "%s %s%s%s", r->target_is_floor ? ">=" : "<=",
		 r->target_of == TARGET_EXCESS ? "+" : "", number,
		 r->target_of == TARGET_RATIO ? "x" : "");
}

static void print_row(FILE *f, const struct row *r)
{
	char median[16] = "-", low[16], high[16], spread[40] = "";
	char limit[80] = "", ratio[16] = "", target[24] = "";

	if (r->value.n) {
		print_number(median, sizeof(median), series_median(&r->value));
		print_number(low, sizeof(low), series_at(&r->value, 0));
		print_number(high, sizeof(high), series_at(&r->value, 1000));
		if (r->value.n > 1)
			snprintf(spread, sizeof(spread), "%s to %s", low, high);
	}
	if (r->limit_name && r->limit.n) {
		print_number(low, sizeof(low), series_median(&r->limit));
		snprintf(limit, sizeof(limit), "%s %s", low, r->limit_name);
	}
	if (r->ratio != 0.0)
		snprintf(ratio, sizeof(ratio), "%.2f", r->ratio);
	print_target(target, sizeof(target), r);
	fprintf(f, "%-40s %8s %-7s %-18s %-33s %6s %8s %s\n", r->name, median,
		r->unit, spread, limit, ratio, target, verdict_text[judge(r)]);
}

#define NOTE_WIDTH 110u

/* How much of the note goes on this line: up to its end, or whole words. */
static size_t note_line(const char *note)
{
	size_t n = strcspn(note, "\n"), fits = n;

	while (fits > NOTE_WIDTH) {
		do
			fits--;
		while (fits && note[fits] != ' ');
	}
	return fits ? fits : n;
}

static void print_note(FILE *f, const char *note)
{
	while (*note) {
		size_t n = note_line(note);

		fprintf(f, "    %.*s\n", (int)n, note);
		note += n + (note[n] == '\n' || note[n] == ' ');
	}
}

static void print_command(FILE *f, const struct command_row *c)
{
	char accepted[16] = "-";

	if (c->accepted.n)
		print_number(accepted, sizeof(accepted),
			     series_median(&c->accepted));
	fprintf(f, "%-40s %10.0f %10s %14.0f %8.0f %8.0f\n", c->name,
		series_median(&c->issued), accepted, series_median(&c->p50),
		series_median(&c->p99), series_median(&c->p999));
}

int report_print(FILE *f, const char *machine)
{
	unsigned int i, missed = 0, targets = 0;

	fprintf(f, "\n%s\n\n", machine);
	fprintf(f, "%-40s %8s %-7s %-18s %-33s %6s %8s\n", "figure", "median",
		"unit", "lowest to highest", "limit or peer, in the same run",
		"ratio", "target");
	for (i = 0; i < count; i++) {
		print_row(f, &rows[i]);
		print_note(f, rows[i].note);
		targets += rows[i].target != 0.0;
		missed += is_missed(&rows[i]);
	}
	if (command_count)
		fprintf(f, "\n%-40s %10s %10s %14s %8s %8s\n", "command, ns",
			"issued", "accepted", "completed p50", "p99", "p99.9");
	for (i = 0; i < command_count; i++)
		print_command(f, &commands[i]);
	fprintf(f, "\n%u target(s), %u met, %u missed\n", targets,
		targets - missed, missed);
	for (i = 0; i < count; i++)
		if (is_missed(&rows[i]))
			fprintf(f, "missed: %s\n", rows[i].name);
	return (int)missed;
}

static void json_string(FILE *f, const char *s)
{
	putc('"', f);
	for (; *s; s++) {
		if (*s == '\n')
			fputs("\\n", f);
		else if (*s == '"' || *s == '\\')
			fprintf(f, "\\%c", *s);
		else if ((unsigned char)*s >= ' ')
			putc(*s, f);
	}
	putc('"', f);
}

static void json_series(FILE *f, const char *name, const struct series *s)
{
	fprintf(f, ", \"%s\": {\"median\": %.9g, \"lowest\": %.9g, \"highest\": %.9g, \"runs\": %u}",
		name, series_median(s), series_at(s, 0), series_at(s, 1000),
		s->n);
}

static void json_target(FILE *f, const struct row *r)
{
	static const char *const of[] = { [TARGET_RATIO] = "ratio",
					  [TARGET_VALUE] = "value",
					  [TARGET_EXCESS] =
						  "value less limit" };

	if (r->target == 0.0)
		return;
	fprintf(f, ", \"target\": %.6g, \"target_of\": \"%s\", \"target_is\": \"%s\", \"met\": %s",
		r->target, of[r->target_of],
		r->target_is_floor ? "at least" : "at most",
		judge(r) == MET ? "true" : "false");
}

static void json_row(FILE *f, const struct row *r)
{
	fputs("  {\"name\": ", f);
	json_string(f, r->name);
	fputs(", \"unit\": ", f);
	json_string(f, r->unit);
	json_series(f, "value", &r->value);
	if (r->limit_name) {
		fputs(", \"limit_name\": ", f);
		json_string(f, r->limit_name);
		json_series(f, "limit", &r->limit);
	}
	if (r->ratio != 0.0)
		fprintf(f, ", \"ratio\": %.6g", r->ratio);
	json_target(f, r);
	fputs(", \"verdict\": ", f);
	json_string(f, verdict_text[judge(r)]);
	fputs(", \"note\": ", f);
	json_string(f, r->note);
	fputs("}", f);
}

int report_json(const char *path, const char *machine)
{
	FILE *f = strcmp(path, "-") ? fopen(path, "we") : stdout;
	unsigned int i;
	int rc;

	if (!f)
		return -1;
	fputs("{\"machine\": ", f);
	json_string(f, machine);
	fputs(", \"rows\": [\n", f);
	for (i = 0; i < count; i++) {
		json_row(f, &rows[i]);
		fputs(i + 1 < count ? ",\n" : "\n", f);
	}
	fputs("], \"commands\": [\n", f);
	for (i = 0; i < command_count; i++) {
		fputs("  {\"name\": ", f);
		json_string(f, commands[i].name);
		json_series(f, "issued_ns", &commands[i].issued);
		if (commands[i].accepted.n)
			json_series(f, "accepted_ns", &commands[i].accepted);
		json_series(f, "completed_p50_ns", &commands[i].p50);
		json_series(f, "completed_p99_ns", &commands[i].p99);
		json_series(f, "completed_p999_ns", &commands[i].p999);
		fputs(i + 1 < command_count ? "},\n" : "}\n", f);
	}
	fputs("]}\n", f);
	rc = fflush(f) || ferror(f) ? -1 : 0;
	if (f != stdout && fclose(f))
		rc = -1;
	return rc;
}
