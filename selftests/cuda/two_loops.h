/* SPDX-License-Identifier: MIT */
/*
 * two_loops.h - two executors on one GPU of the fake driver, and users' kernels for
 * one of them, while commands flow to both.
 */
#ifndef PINRING_TEST_TWO_LOOPS_H
#define PINRING_TEST_TWO_LOOPS_H

#include <pthread.h>

#include <pinring/pinring.h>

#include "../../gpu/device_code.h"
#include "../executor_test.h"
#include "find_fake.h"

#define COUNT 3000

FIXTURE(relink)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_executor_config config;
	struct pinring_object_info a, b, dst;
	float *at_a, *at_b, *at_dst;
	struct pinring_executor *ex, *other;
	bool lost; /* a kernel may run yet: what it may touch stays */
};

FIXTURE_SETUP(relink)
{
	struct pinring_region_config rc = pinring_region_defaults(1 << 20);

	if (!find_fake()) {
		SKIP(return, "no fake libcuda.so.1: built without g++");
	}
	if (!pinring_device_link_size) {
		SKIP(return, "built without nvcc of a CUDA toolkit 12.8 or later");
	}
	rc.flags = PINRING_REGION_SMALL_PAGES;
	ASSERT_OK(pinring_device_open(NULL, &self->device));
	ASSERT_OK(pinring_region_create(self->device, &rc, &self->r));
	ASSERT_OK(pinring_object_create(self->r, "a", PINRING_OBJECT_BYTES,
					COUNT * sizeof(float), 0, &self->a));
	ASSERT_OK(pinring_object_create(self->r, "b", PINRING_OBJECT_BYTES,
					COUNT * sizeof(float), 0, &self->b));
	ASSERT_OK(pinring_object_create(self->r, "dst", PINRING_OBJECT_BYTES,
					COUNT * sizeof(float), 0, &self->dst));
	self->at_a = pinring_region_at(self->r, self->a.offset, self->a.length);
	self->at_b = pinring_region_at(self->r, self->b.offset, self->b.length);
	self->at_dst = pinring_region_at(self->r, self->dst.offset, self->dst.length);
	for (int i = 0; i < COUNT; i++) {
		self->at_a[i] = (float)(i % 1000);
		self->at_b[i] = 1;
	}
	self->config = pinring_executor_defaults();
	self->config.kind = PINRING_EXECUTOR_CUDA;
	self->config.threads = 2;
	self->config.flags = PINRING_EXECUTOR_SHARED;
	ASSERT_OK(pinring_executor_start(self->device, &self->config, &self->ex));
	ASSERT_EQ(0, pinring_executor_attach(self->ex, self->r));
	self->config.threads = 1;
	ASSERT_OK(pinring_executor_start(self->device, &self->config, &self->other));
	ASSERT_EQ(0, pinring_executor_attach(self->other, self->r));
}

FIXTURE_TEARDOWN(relink)
{
	pinring_executor_close(self->ex, 10 * SECOND);
	pinring_executor_close(self->other, 10 * SECOND);
	pinring_region_close(self->r);
	pinring_device_close(self->device);
	if (look && !self->lost) {
		EXPECT_NOTHING_LEFT();
	}
}

#define INCLUDE "#include <pinring/kernel.h>\n"

static const char blend[] = INCLUDE
	"PINRING_KERNEL(blend)\n"
	"{\n"
	"	PINRING_EACH(i, args->count)\n"
	"		dst[i] = a[i] * s0 + b[i] * (1.0f - s0);\n"
	"}\n";

/* Until b[0] is 0. */
static const char lasts[] = INCLUDE
	"PINRING_KERNEL(lasts) { while (*(volatile const float *)b) ; dst[0] = 7; }\n";

static inline void set_gate(FIXTURE_DATA(relink) *self, float value)
{
	__atomic_store(self->at_b, &value, __ATOMIC_RELEASE);
}

static inline int add_flagged(struct pinring_executor *ex, const char *name,
			      const char *text, uint64_t flags, uint32_t *operation)
{
	struct pinring_kernel_config c = PINRING_INIT(struct pinring_kernel_config);

	c.name = name;
	c.text = text;
	c.flags = flags;
	return pinring_executor_register(ex, &c, operation);
}

static inline int add_text(struct pinring_executor *ex, const char *name, const char *text,
			   uint32_t *operation)
{
	return add_flagged(ex, name, text, 0, operation);
}

/* One more, with a kernel that lasts until the gate is open. */
static inline int start_lasting(const FIXTURE_DATA(relink) *self, struct pinring_executor **ex,
				uint32_t *operation)
{
	int rc = pinring_executor_start(self->device, &self->config, ex);

	if (!rc)
		rc = pinring_executor_attach(*ex, self->r);
	return rc ? rc : add_text(*ex, "lasts", lasts, operation);
}

static inline struct pinring_command whole(const FIXTURE_DATA(relink) *self, uint32_t operation)
{
	return (struct pinring_command){
		.id = 7, .operation = (uint16_t)operation, .count = COUNT,
		.dst = { self->dst.offset, 0 }, .a = { self->a.offset, 0 },
		.b = { self->b.offset, 0 }, .s0 = 0.25f,
	};
}

/* Runs it, and compares with a * x + y. -errno, or the command's status. */
static inline int runs(FIXTURE_DATA(relink) *self, struct pinring_executor *ex, uint32_t operation,
		float x, float y)
{
	struct pinring_command c = whole(self, operation);
	struct pinring_completion done;
	int rc;

	memset(self->at_dst, 0xff, COUNT * sizeof(float));
	rc = pinring_executor_call(ex, &c, 60 * SECOND, &done);
	if (rc || done.status)
		return rc ? rc : done.status;
	for (int i = 0; i < COUNT; i++) {
		if (self->at_dst[i] != self->at_a[i] * x + y)
			return -EBADMSG;
	}
	return done.id == 7 && done.done == COUNT ? 0 : -EBADMSG;
}

#define BLENDS(ex, operation) runs(self, (ex), (operation), 0.25f, 0.75f)
#define ADDS(ex) runs(self, (ex), PINRING_OP_ADD, 1, 1)

/* Each adds 1 to each element of dst: run twice or not at all, it shows. */
struct flow {
	FIXTURE_DATA(relink) *self;
	struct pinring_executor *ex;
	uint64_t sent, wrong;
	int stop; /* atomic */
};

#define IN_FLIGHT 16

static inline void *flow(void *arg)
{
	struct flow *f = arg;
	struct pinring_command c = whole(f->self, PINRING_OP_AXPY);
	struct pinring_completion done;
	uint64_t tickets[IN_FLIGHT], collected = 0;

	c.a = c.b;
	c.b = c.dst;
	c.s0 = 1;
	while (!__atomic_load_n(&f->stop, __ATOMIC_RELAXED) || collected < f->sent) {
		if (f->sent - collected < IN_FLIGHT &&
		    !__atomic_load_n(&f->stop, __ATOMIC_RELAXED)) {
			c.id = (uint32_t)f->sent;
			f->wrong += pinring_executor_submit(
					    f->ex, &c, &tickets[f->sent % IN_FLIGHT]) != 0;
			f->sent++;
			continue;
		}
		f->wrong += pinring_executor_wait(f->ex, tickets[collected % IN_FLIGHT],
						  60 * SECOND, &done) ||
			    done.status || done.id != (uint32_t)collected;
		collected++;
	}
	return NULL;
}

/* Two, whose commands are on different places: dst, and a. */
static inline void begin_flows(struct __test_metadata *_metadata, FIXTURE_DATA(relink) *self,
			       struct flow f[2], pthread_t threads[2])
{
	memset(self->at_dst, 0, COUNT * sizeof(float));
	f[1].self = malloc(sizeof(*self));
	ASSERT_NE(NULL, f[1].self);
	*f[1].self = *self;
	f[1].self->dst = self->a;
	memset(self->at_a, 0, COUNT * sizeof(float));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, flow, &f[i]));
	}
}

/* Each has sent more than 12, and each of them was run once. */
static inline void end_flows(struct __test_metadata *_metadata, FIXTURE_DATA(relink) *self,
			     struct flow f[2], pthread_t threads[2])
{
	uint32_t wrong = 0;

	for (int i = 0; i < 2; i++) {
		__atomic_store_n(&f[i].stop, 1, __ATOMIC_RELAXED);
		pthread_join(threads[i], NULL);
		EXPECT_EQ(0, f[i].wrong);
		EXPECT_LT(12, f[i].sent);
	}
	for (int i = 0; i < COUNT; i++) {
		wrong += self->at_dst[i] != (float)f[0].sent;
		wrong += self->at_a[i] != (float)f[1].sent;
	}
	EXPECT_EQ(0, wrong);
	free(f[1].self);
}

#endif /* PINRING_TEST_TWO_LOOPS_H */
