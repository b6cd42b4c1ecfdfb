/* SPDX-License-Identifier: MIT */
/*
 * top.c - `pinring top`: regions, rings and executors, and what goes through them.
 */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "json.h"
#include "tool.h"
#include "top.h"

static const char help_text[] =
	"pinring top: regions, rings, executors, and what goes through them, live\n"
	"\n"
	"  pinring top [--interval S] [NAME ...]\n"
	"  pinring top --once | -n N [--json] [--interval S] [NAME ...]\n"
	"\n"
	"Regions of the kernel module, and those in memfds that your processes hold (as\n"
	"root, everybody's); or of these, those with a NAME in their name. Executors are\n"
	"called pinring-executor. Keys: q quits, ? shows the others.\n"
	"\n"
	"  --interval S   from one look to the next, in seconds (default 1)\n"
	"  -n N           print N tables and leave; 0: until stopped\n"
	"  --once         the same as -n 1, and what is done where there is no terminal\n"
	"  --json         an object a line instead of tables\n"
	"  --help         this text\n"
	"\n"
	"example:\n"
	"  pinring top --once --json | python3 -m json.tool\n";

#define TEXT_WIDTH 112 /* where nobody says how wide it may be */

struct request {
	double interval;
	bool once, json;
	uint64_t tables; /* 0: no end */
	char *const *names;
};

/* Or until a signal comes. */
static void sleep_for(double seconds)
{
	struct timespec t = {
		.tv_sec = (time_t)seconds,
		.tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9),
	};

	if (!tool_signal())
		nanosleep(&t, NULL);
}

/* ---------------------------------------------------------------------- JSON */

static void json_object_line(struct json *json, const struct survey_object *o)
{
	json_object(json, NULL);
	json_text(json, "name", o->name);
	json_text(json, "kind", top_kind_name(o->type));
	json_bool(json, "known", o->known);
	if (o->known) {
		json_bool(json, "closed", o->closed);
		json_count(json, "capacity", o->capacity);
		json_count(json, "slot_bytes", o->slot_bytes);
		if (o->fill >= 0.0)
			json_number(json, "fill", o->fill);
		json_count(json, "sent", o->sent);
		json_count(json, "received", o->received);
		json_count(json, "full", o->refused);
		json_count(json, "lost", o->lost);
		json_number(json, "sent_per_s", o->sent_rate);
		json_number(json, "received_per_s", o->received_rate);
	}
	json_end(json);
}

/* SURVEY_ENDLESS has no number. */
static void json_below(struct json *json, const char *key, uint64_t below)
{
	if (below && below != SURVEY_ENDLESS)
		json_count(json, key, below);
}

static void json_error(struct json *json, const struct survey_executor *e)
{
	json_object(json, "error");
	json_integer(json, "errno", -(int64_t)e->error);
	json_count(json, "id", e->error_id);
	json_count(json, "operation", e->error_operation);
	json_count(json, "reason", e->error_reason);
	json_text(json, "text", pinring_reason_text(e->error_reason));
	json_end(json);
}

static void json_operation(struct json *json, const struct survey_operation *o)
{
	json_object(json, NULL);
	json_count(json, "operation", o->operation);
	if (o->name)
		json_text(json, "name", o->name);
	json_count(json, "count", o->count);
	json_below(json, "p50_below_ns", o->p50_ns);
	json_below(json, "p99_below_ns", o->p99_ns);
	json_end(json);
}

static void json_executor(struct json *json, const struct survey_executor *e)
{
	static const char *const kinds[] = {
		[PINRING_EXECUTOR_HOST] = "host",
		[PINRING_EXECUTOR_CUDA] = "cuda",
	};
	int i;

	json_object(json, "executor");
	if (e->kind == PINRING_EXECUTOR_HOST || e->kind == PINRING_EXECUTOR_CUDA)
		json_text(json, "kind", kinds[e->kind]);
	if (e->kind == PINRING_EXECUTOR_CUDA)
		json_count(json, "gpu", e->gpu);
	json_count(json, "workers", e->workers);
	json_bool(json, "commands_in_gpu_memory", e->commands_apart);
	json_count(json, "gpu_bytes", e->gpu_bytes);
	json_text(json, "state", pinring_state_name(e->state));
	json_count(json, "heartbeat", e->heartbeat);
	json_count(json, "taken", e->taken);
	json_count(json, "completed", e->completed);
	json_count(json, "processed", e->processed);
	json_number(json, "processed_per_s", e->rate);
	json_count(json, "failed", e->failed);
	json_count(json, "elements", e->elements);
	json_count(json, "busy_ns", e->busy_ns);
	json_count(json, "longest_ns", e->longest_ns);
	json_count(json, "alive_ns", e->alive_ns);
	json_count(json, "idle_ns", e->idle_ns);
	json_number(json, "idle", e->idle);
	if (e->error)
		json_error(json, e);
	json_count(json, "bursts", e->bursts);
	json_below(json, "burst_p50_below", e->burst_p50);
	json_below(json, "burst_p99_below", e->burst_p99);
	json_array(json, "operations");
	for (i = 0; i < e->operation_count; i++)
		json_operation(json, &e->operations[i]);
	json_end(json);
	json_end(json);
}

static void json_region(struct json *json, const struct survey_region *r)
{
	int i;

	json_object(json, NULL);
	json_text(json, "backend", r->device ? "embedded" : "module");
	json_count(json, "id", r->id);
	json_count(json, "owner", r->owner);
	json_text(json, "name", r->name);
	json_count(json, "size", r->size);
	if (r->huge_percent >= 0)
		json_integer(json, "huge_percent", r->huge_percent);
	if (r->node >= 0)
		json_integer(json, "node", r->node);
	json_count(json, "doorbells", r->doorbells);
	json_integer(json, "processes", r->processes);
	if (r->processes) {
		json_integer(json, "pid", r->pid);
		json_text(json, "process", r->process);
	}
	json_bool(json, "open", r->open);
	if (r->reason[0])
		json_text(json, "reason", r->reason);
	if (r->executor)
		json_executor(json, r->executor);
	json_array(json, "rings");
	for (i = 0; i < r->object_count; i++)
		json_object_line(json, &r->objects[i]);
	json_end(json);
	json_end(json);
}

static void json_module(struct json *json, const struct survey *s)
{
	const struct module *m = &s->module;
	int i;

	json_object(json, "module");
	json_bool(json, "loaded", m->loaded);
	if (m->loaded) {
		json_count(json, "regions", m->regions);
		json_count(json, "bytes", m->bytes);
		json_count(json, "max_bytes", m->max_bytes);
		json_count(json, "doorbells", m->doorbells);
		json_number(json, "rings_per_s", s->rings_rate);
		json_number(json, "signals_per_s", s->signals_rate);
		json_number(json, "sleeps_per_s", s->sleeps_rate);
		json_count(json, "worst_wake_ns", m->worst_wake_ns);
		json_array(json, "reserves");
		for (i = 0; i < m->pool_count; i++) {
			json_object(json, NULL);
			json_integer(json, "node", m->pools[i].node);
			json_count(json, "pages", m->pools[i].pages);
			json_count(json, "free", m->pools[i].free);
			json_end(json);
		}
		json_end(json);
	}
	json_end(json);
}

static void print_json(const struct survey *s)
{
	struct json json = { .out = stdout, .one_line = true };
	int i;

	json_object(&json, NULL);
	json_count(&json, "time_ns", s->time_ns);
	json_module(&json, s);
	json_array(&json, "regions");
	for (i = 0; i < s->count; i++)
		json_region(&json, &s->regions[i]);
	json_end(&json);
	json_bool(&json, "cut", s->cut);
	json_end(&json);
}

/* --------------------------------------------------------------------- tables */

static int print_table(struct top_page *page, struct survey *s)
{
	int i;

	top_page_make(page, s, TOP_BY_ID, TEXT_WIDTH);
	if (page->failed)
		return tool_fail(TOOL_FAILED, "top", "not enough memory");
	for (i = 0; i < page->count; i++)
		printf("%s%s%s\n",
		       page->lines[i].style == TOP_HEADING ? tool_bold() : "",
		       page->lines[i].text,
		       page->lines[i].style == TOP_HEADING ? tool_plain() : "");
	return TOOL_OK;
}

/* Each table tells of the time since the look before it. */
static int print_all(const struct request *q)
{
	struct top_page page = { 0 };
	struct survey now, before;
	uint64_t n;
	int code = survey_take(&before, NULL, q->names);

	for (n = 0; !code && !tool_signal() && (n < q->tables || !q->tables);
	     n++) {
		sleep_for(q->interval);
		if (tool_signal())
			break;
		code = survey_take(&now, &before, q->names);
		survey_free(&before);
		before = now;
		if (code)
			break;
		if (q->json)
			print_json(&now);
		else if (n)
			putchar('\n');
		if (!q->json)
			code = print_table(&page, &now);
		if (!code)
			code = tool_flush();
	}
	survey_free(&before);
	top_page_free(&page);
	if (!code && tool_signal())
		code = TOOL_SIGNALLED + tool_signal();
	return code;
}

/* ------------------------------------------------------------------- command */

static int take_interval(const char *text, double *interval)
{
	if (!parse_number(text, interval) || *interval < 0.1 ||
	    *interval > 3600.0)
		return tool_fail(TOOL_USAGE, "--interval",
				 "\"%s\" is no number of seconds from 0.1 to "
				 "3600",
				 text);
	return TOOL_OK;
}

int tool_top(int argc, char **argv)
{
	static const struct option options[] = {
		{ "interval", required_argument, NULL, 'd' },
		{ "once", no_argument, NULL, '1' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct request q = { .interval = 1.0, .tables = 1 };
	int option, code;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":hn:", options, NULL)) >= 0) {
		switch (option) {
		case 'd':
			code = take_interval(optarg, &q.interval);
			if (code)
				return code;
			break;
		case 'n':
			if (!parse_count(optarg, &q.tables))
				return tool_fail(TOOL_USAGE, "-n",
						 "\"%s\" is no number of tables",
						 optarg);
			q.once = true;
			break;
		case '1':
			q.tables = 1;
			q.once = true;
			break;
		case 'j':
			q.json = true;
			q.once = true;
			break;
		case 'h':
			fputs(help_text, stdout);
			return TOOL_OK;
		default:
			return parse_complain(option, argv, "pinring top");
		}
	}
	q.names = argv + optind;
	if (!q.once && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
		return top_screen(q.interval, q.names);
	return print_all(&q);
}
