/* SPDX-License-Identifier: MIT */
/*
 * room_report.c - what `pinring run room` did, for people or for programs.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "json.h"
#include "room.h"
#include "tool.h"

struct facts {
	struct pinring_region_info region;
	struct pinring_executor_info executor;
	double cell; /* metres */
	double wall; /* seconds */
	double sound; /* seconds */
	double cells_per_second;
	double real_time;
};

static int gather(struct facts *f, const struct simulation *s,
		  const struct room_options *o)
{
	f->region = PINRING_INIT(struct pinring_region_info);
	f->executor = PINRING_INIT(struct pinring_executor_info);
	if (pinring_region_info(s->region, &f->region) ||
	    pinring_executor_info(s->executor, &f->executor))
		return tool_fail(TOOL_FAILED, NULL,
				 "the report cannot be made: %s",
				 pinring_error());
	f->cell = SPEED_OF_SOUND / o->rate / o->lambda;
	f->wall = (double)s->wall_ns * 1e-9;
	f->sound = (double)s->count / o->rate;
	f->cells_per_second =
		f->wall > 0.0 ?
			(double)s->wave.cells * (double)s->count / f->wall :
			0.0;
	f->real_time = f->wall > 0.0 ? f->sound / f->wall : 0.0;
	return TOOL_OK;
}

static const char *kind_name(uint32_t kind)
{
	return kind == PINRING_EXECUTOR_CUDA ? "cuda" : "host";
}

static const char *backend_name(uint32_t backend)
{
	return backend == PINRING_BACKEND_MODULE ? "module" : "embedded";
}

static const char *mode_name(enum room_mode mode)
{
	return mode == ROOM_INTERACTIVE ? "interactive" : "batch";
}

static void label(const char *name)
{
	printf("%s%-9s%s ", tool_bold(), name, tool_plain());
}

static void print_duration(uint64_t ns)
{
	if (ns < 10000)
		printf(" %7" PRIu64 " ns", ns);
	else if (ns < 10000000)
		printf(" %7.1f us", (double)ns * 1e-3);
	else
		printf(" %7.1f ms", (double)ns * 1e-6);
}

static void print_latencies(const struct simulation *s)
{
	int k;

	printf("\n%s%-9s %9s %10s %10s %10s %10s%s   issued to completed\n",
	       tool_bold(), "command", "count", "p50", "p99", "p99.9", "max",
	       tool_plain());
	for (k = 0; k < ROOM_COMMANDS; k++) {
		const struct histogram *h = &s->latency[k];

		if (!h->count)
			continue;
		printf("%-9s %9" PRIu64, room_command_names[k], h->count);
		print_duration(histogram_percentile(h, 0.5));
		print_duration(histogram_percentile(h, 0.99));
		print_duration(histogram_percentile(h, 0.999));
		print_duration(h->largest);
		putchar('\n');
	}
}

static void print_report(const struct simulation *s,
			 const struct room_options *o,
			 const struct room_outcome *r, const struct facts *f)
{
	label("room");
	printf("%ux%ux%u cells of %.1f mm: %.2f x %.2f x %.2f m, beta %g, lambda %.6g\n",
	       o->size[0], o->size[1], o->size[2], f->cell * 1e3,
	       o->size[0] * f->cell, o->size[1] * f->cell,
	       o->size[2] * f->cell, o->beta, o->lambda);
	label("sound");
	printf("%zu samples at %u Hz, %.3f s (file: %u Hz, %u channel%s)\n",
	       s->count, o->rate, f->sound, r->file_rate, r->file_channels,
	       r->file_channels == 1 ? "" : "s");
	label("executor");
	printf("%s, %u %s%s, %s, %s mode, %" PRIu64 " commands\n",
	       kind_name(f->executor.kind), f->executor.threads,
	       f->executor.kind == PINRING_EXECUTOR_CUDA ? "block" : "thread",
	       f->executor.threads == 1 ? "" : "s", f->executor.isa,
	       mode_name(o->mode), s->commands);
	if (o->executor == PINRING_EXECUTOR_AUTO && f->executor.reason[0])
		printf("%-9s (%s)\n", "", f->executor.reason);
	label("memory");
	printf("%s backend, %" PRIu64 " KiB in pages of %" PRIu64
	       " KiB, %" PRIu64 " KiB of it huge, node %d\n",
	       backend_name(f->region.backend), f->region.size / 1024,
	       f->region.page_size / 1024, f->region.huge_bytes / 1024,
	       f->region.node);
	if (f->region.reason[0])
		printf("%-9s (%s)\n", "", f->region.reason);
	if (f->executor.gpu_bytes)
		printf("%-9s the room in %" PRIu64 " KiB of the GPU's own\n",
		       "", f->executor.gpu_bytes / 1024);
	label("speed");
	printf("%.4g cells/s, %.3g times real time, %.3f s\n",
	       f->cells_per_second, f->real_time, f->wall);
	label("output");
	printf("peak %.4g, RMS %.4g: %s\n", r->peak, r->rms, o->out);
	if (o->picture) {
		label("picture");
		printf("plane z = %u, mean %.3g, full colour %.3g from it: %s\n",
		       o->mic[2], r->mean, r->full_scale, o->picture);
	}
	if (o->frames) {
		label("frames");
		printf("%u, one every %g ms: %s\n", r->frames, o->every,
		       o->frames);
	}
	print_latencies(s);
}

static void json_cells(struct json *json, const char *key,
		       const uint32_t cell[3])
{
	int i;

	json_array(json, key);
	for (i = 0; i < 3; i++)
		json_count(json, NULL, cell[i]);
	json_end(json);
}

static void json_latencies(struct json *json, const struct simulation *s)
{
	int k;

	json_object(json, "latency_ns");
	for (k = 0; k < ROOM_COMMANDS; k++) {
		const struct histogram *h = &s->latency[k];

		if (!h->count)
			continue;
		json_object(json, room_command_names[k]);
		json_count(json, "count", h->count);
		json_number(json, "mean",
			    (double)h->sum / (double)h->count);
		json_count(json, "p50", histogram_percentile(h, 0.5));
		json_count(json, "p99", histogram_percentile(h, 0.99));
		json_count(json, "p99.9", histogram_percentile(h, 0.999));
		json_count(json, "max", h->largest);
		json_end(json);
	}
	json_end(json);
}

static void json_report(const struct simulation *s,
			const struct room_options *o,
			const struct room_outcome *r, const struct facts *f)
{
	struct json json = { .out = stdout };
	int i;

	json_object(&json, NULL);
	json_object(&json, "room");
	json_cells(&json, "cells", o->size);
	json_number(&json, "cell_m", f->cell);
	json_array(&json, "size_m");
	for (i = 0; i < 3; i++)
		json_number(&json, NULL, o->size[i] * f->cell);
	json_end(&json);
	json_number(&json, "lambda", o->lambda);
	json_number(&json, "beta", o->beta);
	json_cells(&json, "source", o->source);
	json_cells(&json, "mic", o->mic);
	json_end(&json);
	json_object(&json, "sound");
	json_count(&json, "samples", s->count);
	json_count(&json, "rate", o->rate);
	json_number(&json, "seconds", f->sound);
	json_count(&json, "file_rate", r->file_rate);
	json_count(&json, "file_channels", r->file_channels);
	json_end(&json);
	json_object(&json, "executor");
	json_text(&json, "kind", kind_name(f->executor.kind));
	json_text(&json, "reason", f->executor.reason);
	json_count(&json, "threads", f->executor.threads);
	json_text(&json, "isa", f->executor.isa);
	json_text(&json, "mode", mode_name(o->mode));
	json_count(&json, "commands", s->commands);
	json_end(&json);
	json_object(&json, "memory");
	json_text(&json, "backend", backend_name(f->region.backend));
	json_count(&json, "bytes", f->region.size);
	json_count(&json, "page_size", f->region.page_size);
	json_count(&json, "huge_bytes", f->region.huge_bytes);
	json_integer(&json, "node", f->region.node);
	json_text(&json, "reason", f->region.reason);
	json_count(&json, "gpu_bytes", f->executor.gpu_bytes);
	json_end(&json);
	json_object(&json, "speed");
	json_number(&json, "wall_s", f->wall);
	json_number(&json, "cells_per_second", f->cells_per_second);
	json_number(&json, "real_time_factor", f->real_time);
	json_end(&json);
	json_latencies(&json, s);
	json_object(&json, "output");
	json_text(&json, "file", o->out);
	json_number(&json, "peak", r->peak);
	json_number(&json, "rms", r->rms);
	json_end(&json);
	if (o->picture) {
		json_object(&json, "picture");
		json_text(&json, "file", o->picture);
		json_count(&json, "z", o->mic[2]);
		json_number(&json, "mean", r->mean);
		json_number(&json, "full_scale", r->full_scale);
		json_end(&json);
	}
	if (o->frames) {
		json_object(&json, "frames");
		json_text(&json, "directory", o->frames);
		json_count(&json, "count", r->frames);
		json_number(&json, "every_ms", o->every);
		json_end(&json);
	}
	json_end(&json);
}

int room_report(const struct simulation *s, const struct room_options *o,
		const struct room_outcome *outcome)
{
	struct facts facts;
	int code;

	if (o->quiet && !o->json)
		return TOOL_OK;
	code = gather(&facts, s, o);
	if (code)
		return code;
	if (o->json)
		json_report(s, o, outcome, &facts);
	else
		print_report(s, o, outcome, &facts);
	return TOOL_OK;
}
