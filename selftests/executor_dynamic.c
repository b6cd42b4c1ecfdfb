// SPDX-License-Identifier: MIT
/*
 * Users' kernels as operations of an executor: what they compute, what is refused,
 * and that they go only when nobody uses them.
 */
#define _GNU_SOURCE
#include <kselftest_harness.h>

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <pinring/kernel.h>
#include <pinring/pinring.h>

#include "executor_test.h"

#define MIB (1ull << 20)
#define FLOATS 100000u
#define LINES 64

FIXTURE(dynamic)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_executor_config config;
	struct pinring_executor *ex;
	struct pinring_object_info out, in;
	float *to, *from;
	char tmp[64]; /* $TMPDIR, with nothing else in it */
};

FIXTURE_VARIANT(dynamic)
{
	uint32_t threads;
};

FIXTURE_VARIANT_ADD(dynamic, alone) { .threads = 1 };
FIXTURE_VARIANT_ADD(dynamic, team) { .threads = 3 };

/* What the device was told, from the compiler. */
static char logged[LINES][256];
static int logged_count;

static void note(void *arg, enum pinring_log_level level, const char *text)
{
	(void)arg;
	(void)level;
	if (logged_count < LINES) {
		snprintf(logged[logged_count++], sizeof(logged[0]), "%.255s", text);
	}
}

FIXTURE_SETUP(dynamic)
{
	struct pinring_device_config dc = PINRING_INIT(struct pinring_device_config);
	struct pinring_region_config rc = pinring_region_defaults(4 * MIB);

	snprintf(self->tmp, sizeof(self->tmp), "/tmp/executor_dynamic-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->tmp));
	setenv("TMPDIR", self->tmp, 1);
	unsetenv("CC");
	dc.log = note;
	logged_count = 0;
	rc.flags = PINRING_REGION_SMALL_PAGES;
	self->ex = NULL;
	ASSERT_EQ(0, pinring_device_open(&dc, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &rc, &self->r));
	ASSERT_EQ(0, pinring_object_create(self->r, "out", PINRING_OBJECT_BYTES,
					   FLOATS * sizeof(float), 64, &self->out));
	ASSERT_EQ(0, pinring_object_create(self->r, "in", PINRING_OBJECT_BYTES,
					   2 * FLOATS * sizeof(float), 64, &self->in));
	self->to = pinring_region_at(self->r, self->out.offset, self->out.length);
	self->from = pinring_region_at(self->r, self->in.offset, self->in.length);
	for (uint32_t i = 0; i < 2 * FLOATS; i++)
		self->from[i] = (float)(i % 1000);
	self->config = pinring_executor_defaults();
	self->config.kind = PINRING_EXECUTOR_HOST;
	self->config.threads = variant->threads;
	ASSERT_EQ(0, pinring_executor_start(self->device, &self->config, &self->ex));
	ASSERT_EQ(0, pinring_executor_attach(self->ex, self->r));
}

/* Of the harness's, that a test may have to do without. */
static int entries(const char *path)
{
	DIR *d = opendir(path);
	int n = -2; /* . and .. */

	while (d && readdir(d))
		n++;
	closedir(d);
	return n;
}

FIXTURE_TEARDOWN(dynamic)
{
	char command[128];

	pinring_executor_close(self->ex, SECOND);
	pinring_region_close(self->r);
	pinring_device_close(self->device);
	EXPECT_EQ(0, entries(self->tmp));
	snprintf(command, sizeof(command), "rm -rf %s", self->tmp);
	EXPECT_EQ(0, system(command));
}

static int add_text(struct pinring_executor *ex, const char *name, const char *text,
		    uint32_t *operation)
{
	struct pinring_kernel_config c = PINRING_INIT(struct pinring_kernel_config);

	c.name = name;
	c.text = text;
	return pinring_executor_register(ex, &c, operation);
}

static int add_file(struct pinring_executor *ex, const char *name, const char *path,
		    uint32_t *operation)
{
	struct pinring_kernel_config c = PINRING_INIT(struct pinring_kernel_config);

	c.name = name;
	c.path = path;
	return pinring_executor_register(ex, &c, operation);
}

#define INCLUDE "#include <pinring/kernel.h>\n"

static const char blend[] = INCLUDE
	"PINRING_KERNEL(blend)\n"
	"{\n"
	"	PINRING_EACH(i, args->count)\n"
	"		dst[i] = a[i] * s0 + b[i] * (1 - s0);\n"
	"}\n";

/* Of the region attached first; operation is the test's to fill in. */
static struct pinring_command whole(uint32_t operation, uint64_t out, uint64_t in,
				    uint64_t count)
{
	return (struct pinring_command){
		.id = 77, .operation = (uint16_t)operation, .count = count,
		.dst = { .offset = out }, .a = { .offset = in },
		.b = { .offset = in + FLOATS * sizeof(float) }, .s0 = 0.25f,
		.s1 = 3.0f, .aux = 5,
	};
}

static int run(struct pinring_executor *ex, struct pinring_command c,
	       struct pinring_completion *done)
{
	memset(done, 0, sizeof(*done));
	return pinring_executor_call(ex, &c, 20 * SECOND, done);
}

/* -------------------------------------------------------------- what they do */
TEST_F(dynamic, text_becomes_an_operation)
{
	static const uint64_t counts[] = { 0, 1, 15, 16, 17, 2047, 2048, 5000, FLOATS };
	struct pinring_completion done;
	uint32_t operation;

	ASSERT_OK(add_text(self->ex, "blend", blend, &operation));
	EXPECT_GE(operation, (uint32_t)PINRING_OP_DYNAMIC);
	for (size_t n = 0; n < ARRAY_SIZE(counts); n++) {
		uint32_t wrong = 0;

		memset(self->to, 0x55, FLOATS * sizeof(float));
		ASSERT_EQ(0, run(self->ex, whole(operation, self->out.offset,
						 self->in.offset, counts[n]), &done));
		EXPECT_EQ(0, done.status);
		EXPECT_EQ(77, done.id);
		EXPECT_EQ(counts[n], done.done);
		for (uint32_t i = 0; i < FLOATS; i++) {
			float want = self->from[i] * 0.25f +
				     self->from[FLOATS + i] * 0.75f, untouched;

			memset(&untouched, 0x55, sizeof(untouched));
			wrong += self->to[i] != (i < counts[n] ? want : untouched);
		}
		EXPECT_EQ(0, wrong) {
			TH_LOG("n = %llu", (unsigned long long)counts[n]);
		}
	}
}

/* Host threads never pause for a kernel. */
TEST_F(dynamic, hot_is_what_it_always_is)
{
	struct pinring_kernel_config c = PINRING_INIT(struct pinring_kernel_config);
	struct pinring_completion done;
	uint32_t operation;

	c.name = "blend";
	c.text = blend;
	c.flags = PINRING_REGISTER_HOT;
	ASSERT_OK(pinring_executor_register(self->ex, &c, &operation));
	ASSERT_EQ(0, run(self->ex, whole(operation, self->out.offset, self->in.offset, 100),
			 &done));
	EXPECT_EQ(0, done.status);
	EXPECT_EQ(self->from[99] * 0.25f + self->from[FLOATS + 99] * 0.75f, self->to[99]);
}

TEST_F(dynamic, all_workers_get_the_command_and_a_share)
{
	/* Slot w: how many elements worker w has seen, in an order of its own. */
	static const char text[] = INCLUDE
		"PINRING_KERNEL_OF(shares, unsigned long long,\n"
		"		  PINRING_KERNEL_DST)\n"
		"{\n"
		"	unsigned long long n = 0, last = 0, order = 1;\n"
		"	PINRING_EACH(i, args->count) {\n"
		"		order &= i >= last;\n"
		"		last = i;\n"
		"		n++;\n"
		"	}\n"
		"	dst[args->worker * 8] = n;\n"
		"	dst[args->worker * 8 + 1] = args->workers;\n"
		"	dst[args->worker * 8 + 2] = order;\n"
		"	dst[args->worker * 8 + 3] = s0 == 0.25f && s1 == 3 && aux == 5;\n"
		"	dst[args->worker * 8 + 4] = !a && !b;\n"
		"}\n";
	unsigned long long *slots = (void *)self->to, sum = 0;
	struct pinring_completion done;
	uint32_t operation;

	ASSERT_OK(add_text(self->ex, "shares", text, &operation));
	ASSERT_EQ(0, run(self->ex, whole(operation, self->out.offset, 1, FLOATS / 2),
			 &done));
	ASSERT_EQ(0, done.status);
	for (uint32_t w = 0; w < variant->threads; w++) {
		sum += slots[w * 8];
		EXPECT_EQ(variant->threads, slots[w * 8 + 1]);
		EXPECT_EQ(1, slots[w * 8 + 2]);
		EXPECT_EQ(1, slots[w * 8 + 3]);
		EXPECT_EQ(1, slots[w * 8 + 4]);
		/* Nobody does it all, and nobody idles. */
		EXPECT_GE(slots[w * 8], FLOATS / 2 / variant->threads - 16);
	}
	EXPECT_EQ(FLOATS / 2, sum);
}

TEST_F(dynamic, a_barrier_is_one_for_the_team)
{
	/* 50 passes, in each of which every element comes from another's share. */
	static const char text[] = INCLUDE
		"PINRING_KERNEL_OF(passes, unsigned, PINRING_KERNEL_DST | PINRING_KERNEL_A)\n"
		"{\n"
		"	unsigned *x = dst, *y = (unsigned *)a, *t;\n"
		"	PINRING_EACH(i, args->count)\n"
		"		x[i] = (unsigned)i;\n"
		"	for (int pass = 0; pass < 50; pass++) {\n"
		"		PINRING_BARRIER();\n"
		"		PINRING_EACH(i, args->count)\n"
		"			y[i] = x[args->count - 1 - i] + 1;\n"
		"		t = x, x = y, y = t;\n"
		"	}\n"
		"}\n";
	unsigned int *x = (void *)self->to;
	struct pinring_completion done;
	uint32_t operation, wrong = 0;

	ASSERT_OK(add_text(self->ex, "passes", text, &operation));
	ASSERT_EQ(0, run(self->ex, whole(operation, self->out.offset, self->in.offset, 6000),
			 &done));
	ASSERT_EQ(0, done.status);
	/* An even number of passes: back where it was, in dst. */
	for (uint32_t i = 0; i < 6000; i++)
		wrong += x[i] != i + 50;
	EXPECT_EQ(0, wrong);
}

TEST_F(dynamic, the_bits_are_those_of_the_built_in_operation)
{
	static const char text[] = INCLUDE
		"PINRING_KERNEL(axpy) {\n"
		"	PINRING_EACH(i, args->count) dst[i] = s0 * a[i] + b[i];\n"
		"}\n";
	struct pinring_command c;
	struct pinring_completion done;
	float *mine = malloc(FLOATS * sizeof(float));
	uint32_t operation;

	for (uint32_t i = 0; i < 2 * FLOATS; i++)
		self->from[i] = 1.0f / (float)(i + 3);
	ASSERT_OK(add_text(self->ex, "axpy", text, &operation));
	c = whole(operation, self->out.offset, self->in.offset, FLOATS);
	ASSERT_EQ(0, run(self->ex, c, &done));
	memcpy(mine, self->to, FLOATS * sizeof(float));
	c.operation = PINRING_OP_AXPY;
	ASSERT_EQ(0, run(self->ex, c, &done));
	EXPECT_EQ(0, memcmp(mine, self->to, FLOATS * sizeof(float)));
	free(mine);
}

static int write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");
	int rc = f ? fputs(text, f) : EOF;

	return f && !fclose(f) && rc >= 0 ? 0 : -1;
}

TEST_F(dynamic, a_file_may_be_source_or_an_object)
{
	char c_file[128], object[128], command[700];
	struct pinring_completion done;
	uint32_t first, second, third;

	snprintf(c_file, sizeof(c_file), "%s/two.c", self->tmp);
	snprintf(object, sizeof(object), "%s/two.so", self->tmp);
	/* Two in one file, and what it includes lies beside it. */
	ASSERT_EQ(0, write_file(c_file, "#include \"k.h\"\n" INCLUDE
		"PINRING_KERNEL_OF(one, float, PINRING_KERNEL_DST) {\n"
		"	PINRING_EACH(i, args->count) dst[i] = K;\n"
		"}\n"
		"PINRING_KERNEL_OF(two, float, PINRING_KERNEL_DST) {\n"
		"	PINRING_EACH(i, args->count) dst[i] = 2 * K;\n"
		"}\n"));
	snprintf(command, sizeof(command), "%s/k.h", self->tmp);
	ASSERT_EQ(0, write_file(command, "#define K 21\n"));
	snprintf(command, sizeof(command),
		 "mkdir %s/d && ln -s '%s/lib/include/pinring' %s/d/pinring && cc -shared -fPIC -I %s/d -o %s %s",
		 self->tmp, getenv("PWD"), self->tmp, self->tmp, object, c_file);
	ASSERT_OK(add_file(self->ex, "one", c_file, &first));
	ASSERT_OK(add_file(self->ex, "two", c_file, &second));
	EXPECT_NE(first, second);
	ASSERT_EQ(0, run(self->ex, whole(first, self->out.offset, 0, 10), &done));
	EXPECT_EQ(21.0f, self->to[9]);
	ASSERT_EQ(0, run(self->ex, whole(second, self->out.offset, 0, 10), &done));
	EXPECT_EQ(42.0f, self->to[9]);
	if (!access("lib/include/pinring/kernel.h", R_OK)) {
		ASSERT_EQ(0, system(command));
		ASSERT_OK(add_file(self->ex, "two", object, &third));
		ASSERT_EQ(0, run(self->ex, whole(third, self->out.offset, 0, 10), &done));
		EXPECT_EQ(42.0f, self->to[9]);
	}
	snprintf(command, sizeof(command), "rm -r %s/*", self->tmp);
	EXPECT_EQ(0, system(command));
}

TEST_F(dynamic, a_path_is_as_long_as_it_likes)
{
	char path[1200], was[1024], folder[301], command[100];
	uint32_t operation;

	memset(path, 0, sizeof(path));
	for (strcpy(path, self->tmp); strlen(path) < 1000;) {
		snprintf(path + strlen(path), 202, "/%0200d", 0);
		ASSERT_EQ(0, mkdir(path, 0700));
	}
	strcat(path, "/k.c");
	ASSERT_EQ(0, write_file(path, blend));
	EXPECT_EQ(0, add_file(self->ex, "blend", path, &operation))
		TH_LOG("%s", pinring_error());
	/* Nor is a name an option. */
	ASSERT_NE(NULL, getcwd(was, sizeof(was)));
	ASSERT_EQ(0, chdir(self->tmp));
	ASSERT_EQ(0, write_file("-k.c", blend));
	EXPECT_EQ(0, add_file(self->ex, "blend", "-k.c", &operation))
		TH_LOG("%s", pinring_error());
	ASSERT_EQ(0, chdir(was));
	/* But for the compiler's own files. */
	memset(folder, 'x', sizeof(folder) - 1);
	folder[sizeof(folder) - 1] = '\0';
	folder[0] = '/';
	setenv("TMPDIR", folder, 1);
	errno = 0;
	ASSERT_EQ(-ENAMETOOLONG, add_text(self->ex, "blend", blend, &operation));
	SAYS("/xxx");
	EXPECT_EQ(0, operation);
	setenv("TMPDIR", self->tmp, 1);
	snprintf(command, sizeof(command), "rm -r %s/*", self->tmp);
	EXPECT_EQ(0, system(command));
}

/* ---------------------------------------------------------- what is refused */
TEST_F(dynamic, operands_are_checked_by_the_size_of_an_element)
{
	static const char text[] = INCLUDE
		"PINRING_KERNEL_OF(widen, double, PINRING_KERNEL_DST | PINRING_KERNEL_A) {\n"
		"	PINRING_EACH(i, args->count) dst[i] = a[i] + 1;\n"
		"}\n";
	const uint64_t end = 4 * MIB;
	static const uint64_t in_b = 1ull << 40;
	struct pinring_completion done;
	struct pinring_command c;
	uint32_t operation;
	const struct {
		uint64_t dst, a, count;
		uint32_t region, reason;
	} cases[] = {
		{ self->out.offset, self->in.offset, 10, 0, 0 },
		{ self->out.offset, self->out.offset, 10, 0, 0 }, /* in place */
		{ end - 80, self->in.offset, 10, 0, 0 },
		{ end - 80, self->in.offset, 11, 0, PINRING_REASON_COUNT },
		{ end - 40, self->in.offset, 10, 0, PINRING_REASON_COUNT },
		{ self->out.offset, end - 72, 10, 0, PINRING_REASON_COUNT },
		{ self->out.offset, self->in.offset, 1ull << 45, 0, PINRING_REASON_COUNT },
		{ self->out.offset + 4, self->in.offset, 10, 0, PINRING_REASON_ALIGNMENT },
		{ self->out.offset, self->in.offset + 4, 10, 0, PINRING_REASON_ALIGNMENT },
		{ 64, self->in.offset, 10, 0, PINRING_REASON_OFFSET },
		{ self->out.offset, 0, 10, 0, PINRING_REASON_OFFSET },
		{ self->out.offset, self->in.offset, 10, 1, PINRING_REASON_REGION },
		{ self->out.offset, self->out.offset + 72, 10, 0, PINRING_REASON_OVERLAP },
		{ self->out.offset + 72, self->out.offset, 10, 0, PINRING_REASON_OVERLAP },
		{ self->out.offset + 80, self->out.offset, 10, 0, 0 },
	};

	ASSERT_OK(add_text(self->ex, "widen", text, &operation));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		c = whole(operation, cases[i].dst, cases[i].a, cases[i].count);
		c.dst.region = cases[i].region;
		c.b.offset = in_b; /* nobody looks at it */
		ASSERT_EQ(0, run(self->ex, c, &done));
		EXPECT_EQ(cases[i].reason, done.reason) {
			TH_LOG("case %zu: %s", i, pinring_reason_text(done.reason));
		}
		EXPECT_EQ(cases[i].reason ? -EINVAL : 0, done.status);
	}
	EXPECT_EQ(PINRING_STATE_ACTIVE, pinring_executor_state(self->ex));
}

TEST_F(dynamic, what_is_no_kernel_is_refused_in_words)
{
	struct pinring_kernel_config c = PINRING_INIT(struct pinring_kernel_config);
	uint32_t operation = 1;
	char path[128];

	EXPECT_EQ(-ENOEXEC, add_text(self->ex, "k", INCLUDE
		"PINRING_KERNEL(k)\n{\n	dst[0] = oops;\n}\n", &operation));
	EXPECT_EQ(0, operation);
	/* Its own line numbers, and the compiler's words. */
	SAYS("k:4:");
	SAYS("oops");
	EXPECT_GT(logged_count, 1);
	EXPECT_EQ(-ENOEXEC, add_text(self->ex, "k", INCLUDE
		"extern int nowhere(void);\n"
		"PINRING_KERNEL(k)\n{\n	dst[0] = nowhere();\n}\n", &operation));
	SAYS("nowhere");
	EXPECT_EQ(-ENOENT, add_text(self->ex, "k", blend, &operation));
	SAYS("PINRING_KERNEL(k)");
	EXPECT_EQ(-ENOENT, add_file(self->ex, "k", "/nonexistent/k.c", &operation));
	SAYS("/nonexistent/k.c");
	EXPECT_EQ(-ENOENT, add_file(self->ex, "k", "/nonexistent/k.so", &operation));
	snprintf(path, sizeof(path), "%s/k.so", self->tmp);
	ASSERT_EQ(0, write_file(path, "no object\n"));
	EXPECT_EQ(-ENOEXEC, add_file(self->ex, "k", path, &operation));
	SAYS("k.so");
	unlink(path);
	snprintf(path, sizeof(path), "%s/k.ptx", self->tmp);
	ASSERT_EQ(0, write_file(path, ".version 8.0\n"));
	EXPECT_EQ(-EOPNOTSUPP, add_file(self->ex, "k", path, &operation));
	unlink(path);

	EXPECT_EQ(-EINVAL, add_text(self->ex, NULL, blend, &operation));
	EXPECT_EQ(-EINVAL, add_text(self->ex, "", blend, &operation));
	EXPECT_EQ(-EINVAL, add_text(self->ex, "1k", blend, &operation));
	EXPECT_EQ(-EINVAL, add_text(self->ex, "a b", blend, &operation));
	/* That function is not the user's. */
	EXPECT_EQ(-EINVAL, add_text(self->ex, "barrier", INCLUDE
		"PINRING_KERNEL(barrier) { dst[0] = 1; }\n", &operation));
	SAYS("name");
	EXPECT_EQ(-EINVAL, add_text(self->ex, "blend", NULL, &operation));
	c.name = "blend";
	c.text = blend;
	c.path = "blend.c";
	EXPECT_EQ(-EINVAL, pinring_executor_register(self->ex, &c, &operation));
	SAYS("both");
	c.path = NULL;
	c.flags = 2;
	EXPECT_EQ(-EINVAL, pinring_executor_register(self->ex, &c, &operation));
	SAYS("flags");
	c.struct_size = 0;
	EXPECT_EQ(-EINVAL, pinring_executor_register(self->ex, &c, &operation));
	EXPECT_EQ(0, entries(self->tmp));
}

TEST_F(dynamic, another_abi_is_refused_with_both_numbers)
{
	uint32_t operation;

	EXPECT_EQ(-ENOEXEC, add_text(self->ex, "blend",
		"#include <pinring/kernel.h>\n"
		"#undef PINRING_KERNEL_ABI\n"
		"#define PINRING_KERNEL_ABI 4711\n"
		"PINRING_KERNEL(blend) { dst[0] = 1; }\n", &operation));
	SAYS("ABI 4711");
	SAYS("has 1");
	EXPECT_EQ(-ENOEXEC, add_text(self->ex, "blend",
		"struct small { int x; };\n"
		"#include <pinring/kernel.h>\n"
		"#define pinring_kernel_args small\n"
		"const struct pinring_kernel_abi pinring_kernel_abi_blend = {\n"
		"	1, sizeof(struct pinring_kernel_abi), sizeof(struct small), 4, 4, 7, { 0, 0 } };\n"
		"void pinring_kernel_blend(void *args) { (void)args; }\n", &operation));
	SAYS("4 bytes");
	SAYS("80");
	EXPECT_EQ(-ENOEXEC, add_text(self->ex, "blend", INCLUDE
		"PINRING_KERNEL_OF(blend, float, 8) { dst[0] = 1; }\n", &operation));
}

TEST_F(dynamic, without_a_compiler_it_says_so)
{
	struct pinring_completion done;
	uint32_t operation;

	setenv("CC", "/nonexistent/cc", 1);
	EXPECT_EQ(-EOPNOTSUPP, add_text(self->ex, "blend", blend, &operation));
	SAYS("install gcc");
	SAYS("/nonexistent/cc");
	/* CC may have words. */
	setenv("CC", "cc -DFIVE=5", 1);
	ASSERT_OK(add_text(self->ex, "five", INCLUDE
		"PINRING_KERNEL_OF(five, float, PINRING_KERNEL_DST) {\n"
		"	PINRING_EACH(i, args->count) dst[i] = FIVE;\n"
		"}\n", &operation));
	ASSERT_EQ(0, run(self->ex, whole(operation, self->out.offset, 0, 3), &done));
	EXPECT_EQ(5.0f, self->to[2]);
	setenv("TMPDIR", "/nonexistent", 1);
	EXPECT_EQ(-ENOENT, add_text(self->ex, "blend", blend, &operation));
	SAYS("/nonexistent/pinring-");
}

/* Before the library's: there is no process to be had. */
static bool no_process;

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
		const posix_spawnattr_t *attr, char *const argv[], char *const env[])
{
	typeof(posix_spawn) *theirs = (typeof(posix_spawn) *)dlsym(RTLD_NEXT, "posix_spawn");

	return no_process ? EAGAIN : theirs(pid, path, actions, attr, argv, env);
}

TEST_F(dynamic, without_a_process_for_the_compiler_it_says_so)
{
	uint32_t operation;

	no_process = true;
	EXPECT_EQ(-EAGAIN, add_text(self->ex, "blend", blend, &operation));
	SAYS("/bin/sh: Resource temporarily unavailable");
	no_process = false;
	ASSERT_OK(add_text(self->ex, "blend", blend, &operation));
}

TEST_F(dynamic, children_that_nobody_waits_for_are_no_matter)
{
	struct sigaction sa = { .sa_handler = SIG_IGN };
	uint32_t operation;

	sigaction(SIGCHLD, &sa, NULL);
	ASSERT_OK(add_text(self->ex, "blend", blend, &operation));
	EXPECT_EQ(-ENOEXEC, add_text(self->ex, "blend", "oops\n", &operation));
	sa.sa_handler = SIG_DFL;
	sigaction(SIGCHLD, &sa, NULL);
}

/* Its table is shared with the parent, whose loop calls what stands there. */
TEST_F(dynamic, a_child_of_fork_registers_nothing)
{
	struct pinring_completion done;
	uint32_t first, operation;
	int status = 0;
	pid_t child;

	ASSERT_OK(add_text(self->ex, "blend", blend, &first));
	child = fork();
	if (!child) {
		bool ok = add_text(self->ex, "blend", blend, &operation) == -EOPNOTSUPP &&
			  strstr(pinring_error(), "forked") &&
			  pinring_executor_unregister(self->ex, first, 0) == -EOPNOTSUPP;

		_exit(ok ? 0 : 1);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	ASSERT_EQ(0, run(self->ex, whole(first, self->out.offset, self->in.offset, 3), &done));
	EXPECT_EQ(0, done.status);
	ASSERT_EQ(0, run(self->ex, whole(first + 1, self->out.offset, self->in.offset, 3),
			 &done));
	EXPECT_EQ(PINRING_REASON_OPERATION, done.reason);
}

/* -------------------------------------------------------- coming and going */
TEST_F_TIMEOUT(dynamic, there_are_64_at_a_time_and_no_number_comes_twice, 60)
{
	char object[128], path[128], command[500];
	struct pinring_completion done;
	uint32_t operations[65], last = 0;

	snprintf(path, sizeof(path), "%s/k.c", self->tmp);
	snprintf(object, sizeof(object), "%s/k.so", self->tmp);
	/* Written out, so that the folder of the headers does not matter. */
	ASSERT_EQ(0, write_file(path,
		"const unsigned pinring_kernel_abi_k[8] = { 1, 32, 80, 4, 4, 1 };\n"
		"void pinring_kernel_k(const void *args) { **(float **)args = 9; }\n"));
	snprintf(command, sizeof(command), "cc -shared -fPIC -o %s %s", object, path);
	ASSERT_EQ(0, system(command));
	for (int i = 0; i < 64; i++) {
		ASSERT_OK(add_file(self->ex, "k", object, &operations[i]));
		EXPECT_GT(operations[i], last);
		last = operations[i];
	}
	EXPECT_EQ(-ENOSPC, add_file(self->ex, "k", object, &operations[64]));
	SAYS("64");
	ASSERT_OK(pinring_executor_unregister(self->ex, operations[7], 0));
	ASSERT_OK(add_file(self->ex, "k", object, &operations[64]));
	EXPECT_GT(operations[64], last);
	ASSERT_EQ(0, run(self->ex, whole(operations[7], self->out.offset, 0, 1), &done));
	EXPECT_EQ(PINRING_REASON_OPERATION, done.reason);
	for (int i = 0; i < 65; i++) {
		if (i != 7) {
			self->to[0] = 0;
			ASSERT_EQ(0, run(self->ex, whole(operations[i], self->out.offset, 0, 1),
					 &done));
			EXPECT_EQ(9.0f, self->to[0]);
		}
	}
	unlink(path);
	unlink(object);
}

TEST_F(dynamic, what_was_unregistered_is_refused)
{
	struct pinring_completion done;
	uint32_t operation;

	for (uint32_t unknown = 999; unknown < 1100; unknown++) {
		ASSERT_EQ(0, run(self->ex, whole(unknown, self->out.offset, self->in.offset, 1),
				 &done));
		EXPECT_EQ(-EINVAL, done.status);
		EXPECT_EQ(PINRING_REASON_OPERATION, done.reason);
	}
	ASSERT_OK(add_text(self->ex, "blend", blend, &operation));
	ASSERT_EQ(0, run(self->ex, whole(operation, self->out.offset, self->in.offset, 1),
			 &done));
	EXPECT_EQ(0, done.status);
	ASSERT_OK(pinring_executor_unregister(self->ex, operation, 0));
	ASSERT_EQ(0, run(self->ex, whole(operation, self->out.offset, self->in.offset, 1),
			 &done));
	EXPECT_EQ(-EINVAL, done.status);
	EXPECT_EQ(PINRING_REASON_OPERATION, done.reason);
	EXPECT_EQ(-ENOENT, pinring_executor_unregister(self->ex, operation, 0));
	EXPECT_EQ(-ENOENT, pinring_executor_unregister(self->ex, PINRING_OP_FILL, 0));
	EXPECT_EQ(-ENOENT, pinring_executor_unregister(self->ex, operation + 64, 0));
	EXPECT_EQ(PINRING_STATE_ACTIVE, pinring_executor_state(self->ex));
}

/* Waits until b[0] is set by the test, which has to come. */
static const char gate[] = INCLUDE
	"PINRING_KERNEL_OF(gate, float, PINRING_KERNEL_DST | PINRING_KERNEL_A) {\n"
	"	while (!__atomic_load_n((const int *)a, __ATOMIC_ACQUIRE))\n"
	"		;\n"
	"	dst[0] = 1;\n"
	"}\n";

static void open_gate(float *at, int open)
{
	__atomic_store_n((int *)(void *)at, open, __ATOMIC_RELEASE);
}

TEST_F(dynamic, one_in_use_is_not_unregistered)
{
	struct pinring_completion done;
	struct pinring_command c;
	uint64_t ticket;
	uint32_t operation;

	ASSERT_OK(add_text(self->ex, "gate", gate, &operation));
	open_gate(self->from, 0);
	c = whole(operation, self->out.offset, self->in.offset, 1);
	ASSERT_OK(pinring_executor_submit(self->ex, &c, &ticket));
	EXPECT_EQ(-EBUSY, pinring_executor_unregister(self->ex, operation, 0));
	SAYS("in flight");
	EXPECT_EQ(-EBUSY, pinring_executor_unregister(self->ex, operation, SECOND / 50));
	/* And nothing has changed: it is still the operation. */
	open_gate(self->from, 1);
	ASSERT_OK(pinring_executor_wait(self->ex, ticket, 10 * SECOND, &done));
	EXPECT_EQ(0, done.status);
	ASSERT_OK(pinring_executor_submit(self->ex, &c, &ticket));
	ASSERT_OK(pinring_executor_unregister(self->ex, operation, 10 * SECOND));
	ASSERT_OK(pinring_executor_wait(self->ex, ticket, 10 * SECOND, &done));
	EXPECT_EQ(0, done.status);
}

static void *open_later(void *at)
{
	usleep(50000);
	open_gate(at, 1);
	return NULL;
}

TEST_F(dynamic, unregistering_waits_for_what_is_queued)
{
	struct pinring_completion done;
	struct pinring_command c;
	uint64_t tickets[20];
	uint32_t operation;
	pthread_t thread;

	ASSERT_OK(add_text(self->ex, "gate", gate, &operation));
	open_gate(self->from, 0);
	c = whole(operation, self->out.offset, self->in.offset, 1);
	for (int i = 0; i < 20; i++) {
		ASSERT_OK(pinring_executor_submit(self->ex, &c, &tickets[i]));
	}
	ASSERT_EQ(0, pthread_create(&thread, NULL, open_later, self->from));
	ASSERT_OK(pinring_executor_unregister(self->ex, operation, PINRING_FOREVER));
	pthread_join(thread, NULL);
	for (int i = 0; i < 20; i++) {
		/* All of them ran, and are there already. */
		ASSERT_OK(pinring_executor_poll(self->ex, tickets[i], &done));
		EXPECT_EQ(0, done.status);
	}
}

TEST_F(dynamic, commands_flow_while_kernels_come_and_go)
{
	struct pinring_completion done;
	struct pinring_command c = whole(PINRING_OP_AXPY, self->out.offset,
					 self->in.offset, 40000);
	uint64_t tickets[4];
	uint32_t operation;

	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 4; i++) {
			ASSERT_OK(pinring_executor_submit(self->ex, &c, &tickets[i]));
		}
		ASSERT_OK(add_text(self->ex, "blend", blend, &operation));
		ASSERT_EQ(0, run(self->ex, whole(operation, self->out.offset,
						 self->in.offset, 3000), &done));
		EXPECT_EQ(0, done.status);
		for (int i = 0; i < 4; i++) {
			ASSERT_OK(pinring_executor_wait(self->ex, tickets[i], 10 * SECOND, &done));
			EXPECT_EQ(0, done.status);
		}
		ASSERT_OK(pinring_executor_unregister(self->ex, operation, 10 * SECOND));
	}
}

TEST_F(dynamic, registering_works_in_every_state_but_the_last)
{
	uint32_t operation;

	ASSERT_OK(pinring_executor_pause(self->ex));
	ASSERT_OK(add_text(self->ex, "blend", blend, &operation));
	ASSERT_OK(pinring_executor_terminate(self->ex));
	ASSERT_OK(pinring_executor_wait_state(self->ex, PINRING_STATE_TERMINATED,
					      10 * SECOND));
	EXPECT_EQ(-EPIPE, add_text(self->ex, "blend", blend, &operation));
	SAYS("terminated");
}

TEST_F(dynamic, one_may_go_after_the_end)
{
	struct pinring_command c;
	uint32_t operation;

	ASSERT_OK(add_text(self->ex, "blend", blend, &operation));
	c = whole(operation, self->out.offset, self->in.offset, 1);
	ASSERT_OK(pinring_executor_pause(self->ex));
	ASSERT_OK(pinring_executor_submit(self->ex, &c, NULL));
	ASSERT_OK(pinring_executor_terminate(self->ex));
	ASSERT_OK(pinring_executor_wait_state(self->ex, PINRING_STATE_TERMINATED,
					      10 * SECOND));
	ASSERT_OK(pinring_executor_unregister(self->ex, operation, 0));
}

TEST_HARNESS_MAIN
