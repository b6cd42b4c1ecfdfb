// SPDX-License-Identifier: MIT
/* stage.c - see stage.h. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "../../gpu/executor.h"
#include "stage.h"

#define WAIT_NS 20000000000ll

void stage_open(struct stage *s, const struct gpu_options *o,
		const struct gpu *g, size_t bytes)
{
	struct pinring_region_config rc = pinring_region_defaults(bytes);

	memset(s, 0, sizeof(*s));
	s->options = o;
	rc.flags = PINRING_REGION_PREFAULT;
	if (pinring_device_open(NULL, &s->device) ||
	    pinring_region_create(s->device, &rc, &s->region))
		gpu_die("%s", pinring_error());
	s->bytes = s->region->size;
	s->memory_bytes = s->bytes;
	if (g)
		s->memory = gpu_memory(g, s->bytes);
}

uint64_t stage_more(struct stage *s, const struct gpu *g, size_t bytes)
{
	if (g->cuda->memory_free(s->memory))
		gpu_die("cannot free GPU memory");
	s->memory_bytes = s->bytes + bytes;
	s->memory = gpu_memory(g, s->memory_bytes);
	return s->bytes;
}

uint64_t stage_object(struct stage *s, const char *name, size_t bytes)
{
	struct pinring_object_info o;

	if (pinring_object_create(s->region, name, PINRING_OBJECT_BYTES, bytes,
				  0, &o))
		gpu_die("%s", pinring_error());
	return o.offset;
}

void *stage_at(const struct stage *s, uint64_t offset, size_t bytes)
{
	void *at = pinring_region_at(s->region, offset, bytes);

	if (!at)
		gpu_die("%s", pinring_error());
	return at;
}

static uint32_t attach_memory(struct stage *s)
{
	int n;

	if (!s->memory)
		return s->host;
	n = pinring_executor_attach_memory(s->executor,
					   (void *)(uintptr_t)s->memory,
					   s->memory_bytes);
	if (n < 0)
		gpu_die("%s", pinring_error());
	return (uint32_t)n;
}

void stage_start(struct stage *s, uint32_t depth)
{
	struct pinring_executor_config config = pinring_executor_defaults();
	int rc;

	config.kind = s->options->kind;
	config.depth = depth;
	config.gpu = s->options->gpu;
	if (config.kind == PINRING_EXECUTOR_HOST)
		config.cpu = s->options->cpu_peer;
	rc = pinring_executor_start(s->device, &config, &s->executor);
	if (!rc)
		rc = pinring_executor_attach(s->executor, s->region);
	if (rc < 0)
		gpu_die("%s", pinring_error());
	s->host = (uint32_t)rc;
	s->there = attach_memory(s);
}

void stage_stop(struct stage *s)
{
	int64_t undone = pinring_executor_close(s->executor, WAIT_NS);

	s->executor = NULL;
	if (undone)
		gpu_die("%lld commands were not carried out",
			(long long)undone);
}

uint64_t stage_submit(struct stage *s, const struct pinring_command *c)
{
	uint64_t ticket = 0;

	if (pinring_executor_submit(s->executor, c, &ticket))
		gpu_die("%s", pinring_error());
	return ticket;
}

void stage_wait(struct stage *s, uint64_t ticket,
		struct pinring_completion *completion)
{
	if (pinring_executor_wait(s->executor, ticket, WAIT_NS, completion))
		gpu_die("%s", pinring_error());
	if (completion->status)
		gpu_die("command %u: %s (%s)", completion->id,
			strerror(-completion->status),
			pinring_reason_text(completion->reason));
}

void stage_call(struct stage *s, const struct pinring_command *c,
		struct pinring_completion *completion)
{
	stage_wait(s, stage_submit(s, c), completion);
	if (completion->id != c->id || completion->done != c->count)
		gpu_die("command %u did %llu of %llu", c->id,
			(unsigned long long)completion->done,
			(unsigned long long)c->count);
}

void stage_wave(struct stage *s, const char *name, uint32_t side,
		struct pinring_wave *wave)
{
	if (pinring_wave_create(s->region, name, side, side, side,
				1.0 / sqrt(3.0), 0.02, wave))
		gpu_die("%s", pinring_error());
}

static void copy(struct stage *s, uint64_t offset, size_t bytes, uint32_t from,
		 uint32_t to)
{
	struct pinring_completion done;
	const struct pinring_command c = {
		.operation = PINRING_OP_COPY,
		.dst = { offset, to },
		.a = { offset, from },
		.count = bytes / sizeof(float),
	};

	if (from != to)
		stage_call(s, &c, &done);
}

void stage_upload(struct stage *s, uint64_t offset, size_t bytes)
{
	copy(s, offset, bytes, s->host, s->there);
}

void stage_settle(struct stage *s)
{
	stage_upload(s, PINRING_REGION_HEADER_BYTES,
		     s->bytes - PINRING_REGION_HEADER_BYTES);
}

void stage_download(struct stage *s, uint64_t offset, size_t bytes)
{
	copy(s, offset, bytes, s->there, s->host);
}

uint64_t stage_taken(const struct stage *s)
{
	return pinring_load_word(&s->executor->control->taken);
}
