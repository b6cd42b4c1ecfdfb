// SPDX-License-Identifier: MIT
/* report.c - the rows as a table for people and as JSON for machines. */
#include <stdio.h>
#include <string.h>

#include "bench.h"

#define ROWS_MAX 64

static struct row rows[ROWS_MAX];
static unsigned int count;

void report_row(const struct row *r)
{
	if (count == ROWS_MAX)
		bench_die("more rows than the report holds", 0);
	rows[count++] = *r;
	/* One line as it comes: the whole takes minutes. */
	fprintf(stderr, "  %s: %.4g %s\n", r->name, series_median(&r->value),
		r->unit);
}

enum verdict { MET, MISSED, NO_TARGET, NOT_MEASURED };

static enum verdict judge(const struct row *r)
{
	if (!r->value.n)
		return NOT_MEASURED;
	if (r->target == 0.0)
		return NO_TARGET;
	if (r->target_is_value)
		return series_median(&r->value) <= r->target ? MET : MISSED;
	return r->ratio <= r->target ? MET : MISSED;
}

static const char *const verdict_text[] = {
	[MET] = "met",
	[MISSED] = "MISSED",
	[NO_TARGET] = "",
	[NOT_MEASURED] = "NOT MEASURED",
};

int report_print(void)
{
	int missed = 0;
	unsigned int i;

	printf("\n%-38s %10s %-8s %-19s %-34s %6s %8s\n", "figure", "median",
	       "unit", "spread", "limit, in the same run", "ratio", "target");
	for (i = 0; i < count; i++) {
		const struct row *r = &rows[i];
		enum verdict v = judge(r);
		char spread[32] = "", limit[64] = "", ratio[16] = "",
		     target[16] = "";

		snprintf(spread, sizeof(spread), "%.4g to %.4g",
			 series_low(&r->value), series_high(&r->value));
		if (r->limit_name)
			snprintf(limit, sizeof(limit), "%.4g %s",
				 series_median(&r->limit), r->limit_name);
		if (r->ratio != 0.0)
			snprintf(ratio, sizeof(ratio), "%.3f", r->ratio);
		if (r->target != 0.0)
			snprintf(target, sizeof(target), "%.4g", r->target);
		printf("%-38s %10.4g %-8s %-19s %-34s %6s %8s %s\n", r->name,
		       series_median(&r->value), r->unit, spread, limit, ratio,
		       target, verdict_text[v]);
		if (r->note[0])
			printf("    %s\n", r->note);
		missed += v == MISSED || v == NOT_MEASURED;
	}
	printf("\n%d target(s) missed\n", missed);
	return missed;
}

static void json_series(FILE *f, const char *name, const struct series *s)
{
	fprintf(f, "\"%s\": {\"median\": %.9g, \"low\": %.9g, \"high\": %.9g, \"runs\": %u}",
		name, series_median(s), series_low(s), series_high(s), s->n);
}

int report_json(const char *path)
{
	FILE *f = strcmp(path, "-") ? fopen(path, "we") : stdout;
	unsigned int i;
	int rc;

	if (!f)
		return -1;
	fprintf(f, "{\"version\": \"%s\", \"rows\": [\n", pinring_version());
	for (i = 0; i < count; i++) {
		const struct row *r = &rows[i];

		fprintf(f, "  {\"name\": \"%s\", \"unit\": \"%s\", ", r->name,
			r->unit);
		json_series(f, "value", &r->value);
		if (r->limit_name) {
			fprintf(f, ", \"limit_name\": \"%s\", ", r->limit_name);
			json_series(f, "limit", &r->limit);
		}
		fprintf(f, ", \"ratio\": %.6g, \"target\": %.6g, \"verdict\": \"%s\", \"note\": \"%s\"}%s\n",
			r->ratio, r->target, verdict_text[judge(r)], r->note,
			i + 1 < count ? "," : "");
	}
	fprintf(f, "]}\n");
	rc = ferror(f) ? -1 : 0;
	if (f != stdout && fclose(f))
		rc = -1;
	return rc;
}
