/* SPDX-License-Identifier: MIT */
/*
 * executor_link.h - two executors and a link between: host threads, GPUs, and one of
 * each. For executor_link.c and executor_link_kernels.c.
 */
#ifndef PINRING_TEST_EXECUTOR_LINK_H
#define PINRING_TEST_EXECUTOR_LINK_H

#include <semaphore.h>

#include <pinring/pinring.h>

#include "executor_kind.h"
#include "executor_test.h"

#define PROGRAM 512u /* commands that fit the program */
#define CELLS 4096u

FIXTURE(link)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_executor *from, *to;
	struct pinring_object_info program, cells;
	struct pinring_device_slot *slots; /* of the program */
	float *cell;
	uint32_t link;
	bool on_gpu;
};

FIXTURE_VARIANT(link)
{
	bool from_gpu, to_gpu;
	int gpu; /* of the second */
};

FIXTURE_VARIANT_ADD(link, threads)
{
	.from_gpu = false, .to_gpu = false,
};

FIXTURE_VARIANT_ADD(link, one_gpu)
{
	.from_gpu = true, .to_gpu = true,
};

FIXTURE_VARIANT_ADD(link, two_gpus)
{
	.from_gpu = true, .to_gpu = true, .gpu = 1,
};

FIXTURE_VARIANT_ADD(link, threads_to_gpu)
{
	.from_gpu = false, .to_gpu = true,
};

FIXTURE_VARIANT_ADD(link, gpu_to_threads)
{
	.from_gpu = true, .to_gpu = false,
};

static inline int make(FIXTURE_DATA(link) *self, bool on_gpu, int gpu, uint32_t watchdog_ms,
		       struct pinring_executor **out)
{
	struct pinring_executor_config c = pinring_executor_defaults();

	c.kind = on_gpu ? PINRING_EXECUTOR_CUDA : PINRING_EXECUTOR_HOST;
	c.gpu = on_gpu ? gpu : 0;
	c.threads = 1;
	c.watchdog_ms = watchdog_ms;
	return pinring_executor_create(self->device, &c, out);
}

static inline int begin(struct pinring_executor *ex)
{
	int rc = pinring_executor_launch(ex);

	if (!rc)
		rc = pinring_executor_activate(ex);
	return rc ? rc : pinring_executor_wait_state(ex, PINRING_STATE_ACTIVE, 20 * SECOND);
}

FIXTURE_SETUP(link)
{
	struct pinring_region_config rc = pinring_region_defaults(1 << 20);
	int error;

	self->on_gpu = variant->from_gpu || variant->to_gpu;
	if (on_cuda() != self->on_gpu) {
		SKIP(return, "of another run: PINRING_TEST_EXECUTOR");
	}
	rc.flags = PINRING_REGION_SMALL_PAGES;
	ASSERT_OK(pinring_device_open(NULL, &self->device));
	ASSERT_OK(pinring_region_create(self->device, &rc, &self->r));
	ASSERT_OK(pinring_object_create(self->r, "program", PINRING_OBJECT_BYTES,
					PROGRAM * sizeof(*self->slots), 64, &self->program));
	ASSERT_OK(pinring_object_create(self->r, "cells", PINRING_OBJECT_BYTES,
					CELLS * sizeof(float), 64, &self->cells));
	self->slots = pinring_region_at(self->r, self->program.offset, self->program.length);
	self->cell = pinring_region_at(self->r, self->cells.offset, self->cells.length);
	memset(self->cell, 0, CELLS * sizeof(float));
	ASSERT_OK(make(self, variant->from_gpu, 0, 0, &self->from));
	error = make(self, variant->to_gpu, variant->gpu, 0, &self->to);
	if (error == -ENODEV) {
		pinring_executor_close(self->from, 0);
		self->from = NULL;
		SKIP(return, "there is one GPU");
	}
	ASSERT_OK(error);
	ASSERT_EQ(0, pinring_executor_attach(self->from, self->r));
	ASSERT_EQ(0, pinring_executor_attach(self->to, self->r));
	ASSERT_EQ(0, pinring_executor_connect(self->from, self->to, 4)) {
		TH_LOG("%s", pinring_error());
	}
	ASSERT_OK(begin(self->from));
	ASSERT_OK(begin(self->to));
}

FIXTURE_TEARDOWN(link)
{
	pinring_executor_close(self->from, 10 * SECOND);
	pinring_executor_close(self->to, 10 * SECOND);
	if (self->r)
		pinring_region_close(self->r);
	if (self->device)
		pinring_device_close(self->device);
}

static inline struct pinring_operand cell(FIXTURE_DATA(link) *self, uint64_t n)
{
	return (struct pinring_operand){ self->cells.offset + n * sizeof(float), 0 };
}

/* The nth command of the program. */
static inline void write_down(FIXTURE_DATA(link) *self, uint32_t n,
			      const struct pinring_command *c)
{
	pinring_pack_command(self->slots[n].word, c);
}

static inline struct pinring_command forward(FIXTURE_DATA(link) *self, uint32_t first,
					     uint64_t count, uint64_t us)
{
	return (struct pinring_command){
		.id = 100, .operation = PINRING_OP_FORWARD, .count = count,
		.a = { self->program.offset + first * sizeof(*self->slots), 0 },
		.aux = us << 8 | self->link,
	};
}

static inline struct pinring_command join(FIXTURE_DATA(link) *self, uint64_t us)
{
	return (struct pinring_command){
		.id = 101, .operation = PINRING_OP_JOIN, .aux = us << 8 | self->link,
	};
}

static inline struct pinring_completion call(struct pinring_executor *ex, struct pinring_command c)
{
	struct pinring_completion done = { .status = -1, .reason = 255 };
	int rc = pinring_executor_call(ex, &c, 60 * SECOND, &done);

	if (rc)
		done.status = rc;
	return done;
}

static inline struct pinring_completion wait_for(struct pinring_executor *ex, uint64_t ticket)
{
	struct pinring_completion done = { .status = -1, .reason = 255 };
	int rc = pinring_executor_wait(ex, ticket, 60 * SECOND, &done);

	if (rc)
		done.status = rc;
	return done;
}

/* A service that says that it was asked, and answers when it is let. */
static sem_t entered, released;

static inline int blocks(void *context, struct pinring_request *request)
{
	(void)context;
	(void)request;
	sem_post(&entered);
	while (sem_wait(&released))
		;
	return 0;
}

#endif /* PINRING_TEST_EXECUTOR_LINK_H */
