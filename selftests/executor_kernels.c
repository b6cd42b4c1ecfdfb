// SPDX-License-Identifier: MIT
/*
 * Users' kernels on whatever executor there is (executor_kind.h): the same source, the
 * same call, the same command, the same numbers. On a GPU each registration is a
 * pause of the loop, with commands in flight, or the loop takes the kernel in.
 */
#include <kselftest_harness.h>

#include <pthread.h>

#include <pinring/pinring.h>

#include "executor_kind.h"
#include "executor_test.h"

#define COUNT 20000
#define SMALL 100

FIXTURE(kernels)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_executor *ex;
	struct pinring_object_info a, b, dst;
	float *at_a, *at_b, *at_dst;
};

FIXTURE_SETUP(kernels)
{
	struct pinring_executor_config ec = pinring_executor_defaults();
	struct pinring_region_config rc = pinring_region_defaults(1 << 20);

	ec.kind = executor_kind();
	ec.threads = 2;
	ec.flags = PINRING_EXECUTOR_SHARED;
	ASSERT_OK(pinring_device_open(NULL, &self->device));
	ASSERT_OK(pinring_region_create(self->device, &rc, &self->r));
	ASSERT_OK(pinring_object_create(self->r, "a", PINRING_OBJECT_BYTES,
					COUNT * sizeof(float), 64, &self->a));
	ASSERT_OK(pinring_object_create(self->r, "b", PINRING_OBJECT_BYTES,
					COUNT * sizeof(float), 64, &self->b));
	ASSERT_OK(pinring_object_create(self->r, "dst", PINRING_OBJECT_BYTES,
					COUNT * sizeof(float), 64, &self->dst));
	self->at_a = pinring_region_at(self->r, self->a.offset, self->a.length);
	self->at_b = pinring_region_at(self->r, self->b.offset, self->b.length);
	self->at_dst = pinring_region_at(self->r, self->dst.offset, self->dst.length);
	for (int i = 0; i < COUNT; i++) {
		self->at_a[i] = (float)(i % 1000);
		self->at_b[i] = (float)(i % 77);
	}
	ASSERT_OK(pinring_executor_start(self->device, &ec, &self->ex));
	ASSERT_EQ(0, pinring_executor_attach(self->ex, self->r));
}

FIXTURE_TEARDOWN(kernels)
{
	pinring_executor_close(self->ex, 10 * SECOND);
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

#define INCLUDE "#include <pinring/kernel.h>\n"

static int add_flagged(struct pinring_executor *ex, const char *name, const char *path,
		       const char *text, uint64_t flags, uint32_t *operation)
{
	struct pinring_kernel_config c = PINRING_INIT(struct pinring_kernel_config);

	c.name = name;
	c.path = path;
	c.text = text;
	c.flags = flags;
	return pinring_executor_register(ex, &c, operation);
}

static int add_kernel(struct pinring_executor *ex, const char *name, const char *path,
		      const char *text, uint32_t *operation)
{
	return add_flagged(ex, name, path, text, 0, operation);
}

/* Without what compiles for this executor there is nothing to see. */
#define ADD_FIRST(name, path, text, operation) \
	do { \
		int __rc = add_kernel(self->ex, name, path, text, operation); \
		if (__rc == -EOPNOTSUPP) { \
			SKIP(return, "%s", pinring_error()); \
		} \
		ASSERT_OK(__rc); \
	} while (0)

static struct pinring_command whole(const FIXTURE_DATA(kernels) *self, uint32_t operation,
				    uint64_t count)
{
	return (struct pinring_command){
		.id = 7, .operation = (uint16_t)operation, .count = count,
		.dst = { self->dst.offset, 0 }, .a = { self->a.offset, 0 },
		.b = { self->b.offset, 0 }, .s0 = 0.25f,
	};
}

/* -errno, or the command's status. */
static int run(FIXTURE_DATA(kernels) *self, uint32_t operation, uint64_t count)
{
	struct pinring_command c = whole(self, operation, count);
	struct pinring_completion done;
	int rc = pinring_executor_call(self->ex, &c, 60 * SECOND, &done);

	return rc ? rc : done.status;
}

/* In which elements dst is not what blend makes of a and b. */
static uint32_t not_blended(FIXTURE_DATA(kernels) *self, uint64_t count)
{
	uint32_t wrong = 0;

	for (uint64_t i = 0; i < count; i++)
		wrong += self->at_dst[i] !=
			 self->at_a[i] * 0.25f + self->at_b[i] * (1.0f - 0.25f);
	return wrong;
}

TEST_F_TIMEOUT(kernels, the_example_does_what_it_says, 120)
{
	uint32_t operation;

	/* One block alone, and the team. */
	ADD_FIRST("blend", "examples/blend.cu", NULL, &operation);
	for (uint64_t count = SMALL; count <= COUNT; count += COUNT - SMALL) {
		memset(self->at_dst, 0xff, COUNT * sizeof(float));
		ASSERT_OK(run(self, operation, count));
		EXPECT_EQ(0, not_blended(self, count));
	}
	ASSERT_OK(pinring_executor_unregister(self->ex, operation, 10 * SECOND));
	EXPECT_EQ(-EINVAL, run(self, operation, SMALL));
}

static const char reverse[] = INCLUDE
	"PINRING_KERNEL(reverse)\n"
	"{\n"
	"	PINRING_EACH(i, args->count)\n"
	"		dst[i] = a[i];\n"
	"	for (int pass = 0; pass < 5; pass++) {\n"
	"		float *x = pass % 2 ? dst : (float *)b;\n"
	"		const float *y = pass % 2 ? b : dst;\n"
	"		PINRING_BARRIER();\n"
	"		PINRING_EACH(i, args->count)\n"
	"			x[i] = y[args->count - 1 - i] + 1;\n"
	"	}\n"
	"	PINRING_BARRIER();\n"
	"	PINRING_EACH(i, args->count)\n"
	"		dst[i] = b[i];\n"
	"}\n";

TEST_F_TIMEOUT(kernels, several_with_passes_and_other_elements, 120)
{
	static const char halves[] = INCLUDE
		"PINRING_KERNEL_OF(halves, double, PINRING_KERNEL_DST)\n"
		"{\n"
		"	PINRING_EACH(i, args->count)\n"
		"		dst[i] = 0.5 * (double)i + (double)aux;\n"
		"}\n";
	uint32_t first, second, wrong = 0;
	struct pinring_command c;
	struct pinring_completion done;
	double x;

	ADD_FIRST("reverse", NULL, reverse, &first);
	ASSERT_OK(add_kernel(self->ex, "halves", NULL, halves, &second));
	ASSERT_OK(run(self, first, COUNT));
	for (int i = 0; i < COUNT; i++) {
		wrong += self->at_dst[i] != self->at_a[COUNT - 1 - i] + 5;
	}
	EXPECT_EQ(0, wrong);
	c = whole(self, second, COUNT / 2);
	c.aux = 9;
	ASSERT_OK(pinring_executor_call(self->ex, &c, 60 * SECOND, &done));
	EXPECT_EQ(0, done.status);
	for (int i = 0; i < COUNT / 2; i++) {
		memcpy(&x, self->at_dst + 2 * i, sizeof(x));
		wrong += x != 0.5 * i + 9;
	}
	EXPECT_EQ(0, wrong);
}

TEST_F_TIMEOUT(kernels, what_is_refused_changes_nothing, 120)
{
	uint32_t operation, none;

	ADD_FIRST("blend", "examples/blend.cu", NULL, &operation);
	EXPECT_EQ(-ENOEXEC, add_kernel(self->ex, "k", NULL,
				       INCLUDE "PINRING_KERNEL(k) { dst[0] = oops; }\n", &none));
	SAYS("oops");
	EXPECT_EQ(0, none);
	EXPECT_EQ(-ENOEXEC, add_kernel(self->ex, "k", NULL, INCLUDE
		"#undef PINRING_KERNEL_ABI\n#define PINRING_KERNEL_ABI 4711\n"
		"PINRING_KERNEL(k) { dst[0] = 1; }\n", &none));
	SAYS("ABI 4711");
	EXPECT_EQ(-ENOENT, add_kernel(self->ex, "k", "/nonexistent/k.cu", NULL, &none));
	EXPECT_EQ(-ENOENT, pinring_executor_unregister(self->ex, operation + 1, 0));
	ASSERT_OK(run(self, operation, COUNT));
	EXPECT_EQ(0, not_blended(self, COUNT));
}

struct flow {
	FIXTURE_DATA(kernels) *self;
	uint64_t done, wrong;
	int stop; /* atomic */
};

#define IN_FLIGHT 64

/* Each command adds 1 to the elements of dst, so none is lost, and none runs twice. */
static void *flow(void *arg)
{
	struct flow *f = arg;
	struct pinring_command c = whole(f->self, PINRING_OP_AXPY, SMALL);
	struct pinring_completion done;
	uint64_t tickets[IN_FLIGHT], sent = 0;

	c.b = c.dst;
	c.s0 = 1;
	while (!__atomic_load_n(&f->stop, __ATOMIC_RELAXED) || f->done < sent) {
		if (sent - f->done < IN_FLIGHT &&
		    !__atomic_load_n(&f->stop, __ATOMIC_RELAXED)) {
			c.id = (uint32_t)sent;
			f->wrong += pinring_executor_submit(f->self->ex, &c,
							    &tickets[sent % IN_FLIGHT]) != 0;
			sent++;
			continue;
		}
		f->wrong += pinring_executor_wait(f->self->ex,
						  tickets[f->done % IN_FLIGHT],
						  60 * SECOND, &done) ||
			    done.status || done.id != (uint32_t)f->done;
		f->done++;
	}
	return NULL;
}

TEST_F_TIMEOUT(kernels, come_and_go_while_commands_flow, 120)
{
	struct flow f = { .self = self };
	uint32_t operation, wrong = 0;
	pthread_t thread;

	/* No sum of ones is rounded: 2^24 of them are more than there will be. */
	ADD_FIRST("blend", "examples/blend.cu", NULL, &operation);
	for (int i = 0; i < COUNT; i++) {
		self->at_a[i] = 1;
		self->at_dst[i] = 0;
	}
	ASSERT_EQ(0, pthread_create(&thread, NULL, flow, &f));
	for (int round = 0; round < 6; round++) {
		ASSERT_OK(pinring_executor_unregister(self->ex, operation, 60 * SECOND));
		ASSERT_OK(add_kernel(self->ex, "blend", "examples/blend.cu", NULL,
				     &operation));
	}
	__atomic_store_n(&f.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, f.wrong);
	EXPECT_LT(0, f.done);
	for (int i = 0; i < SMALL; i++) {
		wrong += self->at_dst[i] != (float)f.done;
	}
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(f.done, info_of(self->ex).submitted);
	ASSERT_OK(run(self, operation, COUNT));
	EXPECT_EQ(0, not_blended(self, COUNT));
}

/* The same while the loop goes on: passes as well, of which each asks for its barrier. */
TEST_F_TIMEOUT(kernels, come_hot_while_commands_flow, 120)
{
	struct flow f = { .self = self };
	uint32_t operation, hot, wrong = 0;
	pthread_t thread;

	ADD_FIRST("blend", "examples/blend.cu", NULL, &operation);
	ASSERT_EQ(0, pthread_create(&thread, NULL, flow, &f));
	for (int round = 0; round < 6; round++) {
		ASSERT_OK(add_flagged(self->ex, "reverse", NULL, reverse,
				      PINRING_REGISTER_HOT, &hot));
		if (round < 5) {
			ASSERT_OK(pinring_executor_unregister(self->ex, hot, 60 * SECOND));
		}
	}
	__atomic_store_n(&f.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, f.wrong);
	EXPECT_EQ(f.done, info_of(self->ex).submitted);
	ASSERT_OK(run(self, operation, COUNT));
	EXPECT_EQ(0, not_blended(self, COUNT));
	ASSERT_OK(run(self, hot, COUNT));
	for (int i = 0; i < COUNT; i++) {
		wrong += self->at_dst[i] != self->at_a[COUNT - 1 - i] + 5;
	}
	EXPECT_EQ(0, wrong);
}

TEST_HARNESS_MAIN
