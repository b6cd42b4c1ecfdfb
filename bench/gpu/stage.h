/* SPDX-License-Identifier: MIT */
/*
 * stage.h - an executor with memory to work on: a region of the host's, and as much
 * memory of the GPU, laid out alike.
 *
 * An object lies at the same offset in both: operand {offset, there} is the GPU's
 * copy of what {offset, host} is. Everything that an executor may block (memory,
 * kernels, graphs) is made before stage_start(), and each round starts one of its
 * own, so that what is compared with it has the GPU to itself.
 */
#ifndef PINRING_BENCH_STAGE_H
#define PINRING_BENCH_STAGE_H

#include <pinring/pinring.h>

#include "gpu.h"
#include "group.h"

struct stage {
	const struct gpu_options *options;
	struct pinring_device *device;
	struct pinring_region *region;
	size_t bytes;
	cuda_address memory; /* 0 in a trial on the host executor */
	size_t memory_bytes;
	struct pinring_executor *executor;
	uint32_t host, there; /* the same in such a trial */
};

/* g: NULL in a trial. */
void stage_open(struct stage *s, const struct gpu_options *o,
		const struct gpu *g, size_t bytes);
/* More of the GPU's memory, behind the copy of the region; its offset there. */
uint64_t stage_more(struct stage *s, const struct gpu *g, size_t bytes);
/* An object of so many bytes; its offset. */
uint64_t stage_object(struct stage *s, const char *name, size_t bytes);
void *stage_at(const struct stage *s, uint64_t offset, size_t bytes);

void stage_start(struct stage *s, uint32_t depth);
void stage_stop(struct stage *s);

/* A room of side^3 cells; before stage_start(), and uploaded by stage_settle(). */
void stage_wave(struct stage *s, const char *name, uint32_t side,
		struct pinring_wave *wave);
/* Everything that lies in the region, to the GPU. */
void stage_settle(struct stage *s);

/* Between the two kinds of memory, by commands; a multiple of 4 bytes. */
void stage_upload(struct stage *s, uint64_t offset, size_t bytes);
void stage_download(struct stage *s, uint64_t offset, size_t bytes);

uint64_t stage_submit(struct stage *s, const struct pinring_command *c);
void stage_wait(struct stage *s, uint64_t ticket,
		struct pinring_completion *completion);
/* submit and wait; the command must do all of its count. */
void stage_call(struct stage *s, const struct pinring_command *c,
		struct pinring_completion *completion);
/* The executor's own count of commands it has taken from the ring. */
uint64_t stage_taken(const struct stage *s);

#endif /* PINRING_BENCH_STAGE_H */
