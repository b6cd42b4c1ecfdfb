// SPDX-License-Identifier: MIT
/*
 * Users' kernels for a GPU, as far as it goes without one: compiled, linked with
 * the loop, and refused in words. Needs NVRTC and nvJitLink, which need no GPU.
 */
#include <kselftest_harness.h>

#include <dlfcn.h>
#include <elf.h>

#include <pinring/pinring.h>

#include "executor_test.h"
#include "gpu/cubin.h"
#include "gpu/device_code.h"
#include "gpu/jit.h"
#include "gpu/loop.h"

/* nvJitLink forgets some of what it had when a link fails. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libnvJitLink\n";
}

static char missing[32]; /* a library that is not to be found */

/* Stands before the C library's. */
void *dlopen(const char *file, int flags);
void *dlopen(const char *file, int flags)
{
	void *(*next)(const char *, int);
	void *found = dlsym(RTLD_NEXT, "dlopen");

	if (missing[0] && strstr(file, missing))
		return NULL;
	memcpy(&next, &found, sizeof(next));
	return next(file, flags);
}

static char at_root[128]; /* what is to be found as /k.cu */

FILE *fopen(const char *path, const char *mode)
{
	FILE *(*next)(const char *, const char *);
	void *found = dlsym(RTLD_NEXT, "fopen");

	memcpy(&next, &found, sizeof(next));
	return next(strcmp(path, "/k.cu") ? path : at_root, mode);
}

FIXTURE(jit)
{
	struct pinring_device *device;
	struct pinring_jit_object object, other, image;
	char path[64];
};

static char logged[4096];

static void note(void *arg, enum pinring_log_level level, const char *text)
{
	size_t n = strlen(logged);

	(void)arg;
	(void)level;
	snprintf(logged + n, sizeof(logged) - n, "%s\n", text);
}

static const char empty[] =
	"#include <pinring/kernel.h>\n"
	"PINRING_KERNEL(empty) { }\n";

static int compile(struct pinring_device *device, const char *name, const char *text,
		   uint32_t arch, struct pinring_jit_object *object)
{
	struct pinring_kernel_config c = PINRING_INIT(struct pinring_kernel_config);

	c.name = name;
	c.text = text;
	return pinring_jit_compile(device, &c, arch, 0, object);
}

static int compile_file(struct pinring_device *device, const char *name,
			const char *path, struct pinring_jit_object *object)
{
	struct pinring_kernel_config c = PINRING_INIT(struct pinring_kernel_config);

	c.name = name;
	c.path = path;
	return pinring_jit_compile(device, &c, 90, 0, object);
}

FIXTURE_SETUP(jit)
{
	struct pinring_device_config dc = PINRING_INIT(struct pinring_device_config);
	struct pinring_jit_kernel k = { .name = "empty", .operation = 1000 };
	int rc;

	memset(self, 0, sizeof(*self));
	if (!pinring_device_link_size) {
		SKIP(return, "built without nvcc of a CUDA toolkit 12.8 or later");
	}
	missing[0] = logged[0] = '\0';
	dc.log = note;
	ASSERT_EQ(0, pinring_device_open(&dc, &self->device));
	rc = compile(self->device, "empty", empty, 90, &self->object);
	if (!rc) {
		k.object = &self->object;
		rc = pinring_jit_link(self->device, 90, &k, 1, &self->image);
		pinring_jit_free(&self->object);
		pinring_jit_free(&self->image);
	}
	if (rc == -EOPNOTSUPP) {
		pinring_device_close(self->device);
		SKIP(return, "%s", pinring_error());
	}
	ASSERT_EQ(0, rc)
		TH_LOG("%s", pinring_error());
	snprintf(self->path, sizeof(self->path), "/tmp/cuda_jit-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->path));
}

FIXTURE_TEARDOWN(jit)
{
	pinring_jit_free(&self->object);
	pinring_jit_free(&self->other);
	pinring_jit_free(&self->image);
	pinring_device_close(self->device);
	rmdir(self->path);
}

#define INCLUDE "#include <pinring/kernel.h>\n"

static const uint32_t archs[] = { 80, 90, 100 };

static const char blend[] = INCLUDE
	"PINRING_KERNEL(blend)\n"
	"{\n"
	"	PINRING_EACH(i, args->count)\n"
	"		dst[i] = a[i] * s0 + b[i] * (1 - s0);\n"
	"}\n";

/* Two, of which one has passes and doubles. */
static const char two[] = INCLUDE
	"template<typename T> __device__ T twice(T x) { return x + x; }\n"
	"PINRING_KERNEL_OF(one, double, PINRING_KERNEL_DST | PINRING_KERNEL_A)\n"
	"{\n"
	"	PINRING_EACH(i, args->count)\n"
	"		dst[i] = twice(a[i]);\n"
	"	PINRING_BARRIER();\n"
	"	PINRING_EACH(i, args->count)\n"
	"		dst[i] += dst[args->count - 1 - i];\n"
	"}\n"
	"PINRING_KERNEL_OF(other, float, PINRING_KERNEL_DST)\n"
	"{\n"
	"	PINRING_EACH(i, args->count)\n"
	"		dst[i] = s0;\n"
	"}\n";

/* Of what type the symbol is, or -1: the image has none of that name. */
static int symbol_type(const struct pinring_jit_object *image, const char *name)
{
	const Elf64_Ehdr *elf = (const void *)image->data;
	const Elf64_Shdr *s = (const void *)(image->data + elf->e_shoff);

	for (int i = 0; i < elf->e_shnum; i++) {
		const Elf64_Sym *symbol = (const void *)(image->data + s[i].sh_offset);
		const char *names;

		if (s[i].sh_type != SHT_SYMTAB)
			continue;
		names = image->data + s[s[i].sh_link].sh_offset;
		for (size_t n = 0; n < s[i].sh_size / sizeof(*symbol); n++) {
			if (symbol[n].st_shndx && !strcmp(names + symbol[n].st_name, name))
				return ELF64_ST_TYPE(symbol[n].st_info);
		}
	}
	return -1;
}

TEST_F_TIMEOUT(jit, a_kernel_is_linked_with_the_loop_for_each_gpu, 120)
{
	struct pinring_jit_kernel k = { .name = "blend", .operation = 1000,
					.object = &self->object };

	for (size_t i = 0; i < ARRAY_SIZE(archs); i++) {
		ASSERT_OK(compile(self->device, "blend", blend, archs[i], &self->object));
		ASSERT_OK(pinring_jit_link(self->device, archs[i], &k, 1, &self->image));
		ASSERT_EQ(0, memcmp(self->image.data, ELFMAG, SELFMAG));
		/* The entry of the grid, and what it calls. */
		EXPECT_EQ(STT_FUNC, symbol_type(&self->image, "pinring_loop_cuda"));
		EXPECT_EQ(STT_FUNC, symbol_type(&self->image, "pinring_dynamic"));
		EXPECT_EQ(STT_FUNC, symbol_type(&self->image, "pinring_kernel_blend"));
		EXPECT_EQ(PINRING_KERNEL_ABI, k.abi.version);
		EXPECT_EQ(4, k.abi.element_bytes);
		EXPECT_EQ(4, k.abi.element_align);
		EXPECT_EQ(7, k.abi.operands);
		pinring_jit_free(&self->object);
		pinring_jit_free(&self->image);
	}
}

TEST_F_TIMEOUT(jit, several_kernels_of_several_files, 120)
{
	struct pinring_jit_kernel k[] = {
		{ .name = "one", .operation = 1000, .object = &self->object },
		{ .name = "blend", .operation = 1001, .object = &self->other },
		{ .name = "other", .operation = 1066, .object = &self->object },
	};

	ASSERT_OK(compile(self->device, "one", two, 90, &self->object));
	ASSERT_OK(compile(self->device, "blend", blend, 90, &self->other));
	ASSERT_OK(pinring_jit_link(self->device, 90, k, 3, &self->image));
	EXPECT_EQ(STT_FUNC, symbol_type(&self->image, "pinring_kernel_one"));
	EXPECT_EQ(STT_FUNC, symbol_type(&self->image, "pinring_kernel_other"));
	EXPECT_EQ(STT_FUNC, symbol_type(&self->image, "pinring_kernel_barrier"));
	EXPECT_EQ(8, k[0].abi.element_bytes);
	EXPECT_EQ(3, k[0].abi.operands);
	EXPECT_EQ(7, k[1].abi.operands);
	EXPECT_EQ(4, k[2].abi.element_bytes);
	EXPECT_EQ(1, k[2].abi.operands);
	EXPECT_EQ(-1, symbol_type(&self->image, "pinring_kernel_empty"));
	pinring_jit_free(&self->image);
	/* And none at all: the loop as it was. */
	ASSERT_OK(pinring_jit_link(self->device, 90, k, 0, &self->image));
	EXPECT_EQ(STT_FUNC, symbol_type(&self->image, "pinring_loop_cuda"));
}

TEST_F_TIMEOUT(jit, the_same_file_twice_is_in_there_once, 120)
{
	struct pinring_jit_kernel k[] = {
		{ .name = "one", .operation = 1000, .object = &self->object },
		{ .name = "other", .operation = 1001, .object = &self->other },
	};

	ASSERT_OK(compile(self->device, "same", two, 90, &self->object));
	ASSERT_OK(compile(self->device, "same", two, 90, &self->other));
	ASSERT_OK(pinring_jit_link(self->device, 90, k, 2, &self->image));
}

TEST_F_TIMEOUT(jit, what_does_not_fit_is_refused_in_words, 120)
{
	struct pinring_jit_kernel k[] = {
		{ .name = "blend", .operation = 1000, .object = &self->object },
		{ .name = "blend", .operation = 1001, .object = &self->other },
	};

	EXPECT_EQ(-ENOEXEC, compile(self->device, "blend", INCLUDE
		"PINRING_KERNEL(blend)\n{\n	dst[0] = oops;\n}\n", 90, &self->object));
	SAYS("blend(4)");
	SAYS("oops");
	EXPECT_NE(NULL, strstr(logged, "^"));
	EXPECT_NULL(self->object.data);

	/* Two of one name. */
	ASSERT_OK(compile(self->device, "blend", blend, 90, &self->object));
	ASSERT_OK(compile(self->device, "blend", INCLUDE
		"PINRING_KERNEL(blend) { dst[0] = 1; }\n", 90, &self->other));
	EXPECT_EQ(-ENOEXEC, pinring_jit_link(self->device, 90, k, 2, &self->image));
	SAYS("blend of operation 1000");
	EXPECT_NULL(self->image.data);
	/* Or two of a function in them. */
	pinring_jit_free(&self->other);
	ASSERT_OK(compile(self->device, "blend", INCLUDE
		"__device__ float mine(float x) { return x; }\n"
		"PINRING_KERNEL(blend) { dst[0] = mine(1); }\n", 90, &self->other));
	pinring_jit_free(&self->object);
	ASSERT_OK(compile(self->device, "more", INCLUDE
		"__device__ float mine(float x) { return x + 1; }\n"
		"PINRING_KERNEL(more) { dst[0] = mine(1); }\n", 90, &self->object));
	k[0].name = "more";
	EXPECT_EQ(-ENOEXEC, pinring_jit_link(self->device, 90, k, 2, &self->image));
	SAYS("mine");
	EXPECT_NULL(self->image.data);
	k[0].name = "blend";

	/* A function that is nowhere, and a kernel. */
	pinring_jit_free(&self->object);
	ASSERT_OK(compile(self->device, "blend", INCLUDE
		"extern \"C\" __device__ float nowhere(void);\n"
		"PINRING_KERNEL(blend) { dst[0] = nowhere(); }\n", 90, &self->object));
	EXPECT_EQ(-ENOEXEC, pinring_jit_link(self->device, 90, k, 1, &self->image));
	SAYS("nowhere");
	k[0].name = "another";
	EXPECT_EQ(-ENOEXEC, pinring_jit_link(self->device, 90, k, 1, &self->image));
	SAYS("another");
	EXPECT_NULL(self->image.data);
}

TEST_F(jit, another_abi_is_refused_with_both_numbers)
{
	struct pinring_jit_kernel k = { .name = "blend", .operation = 1000,
					.object = &self->object };

	ASSERT_OK(compile(self->device, "blend", INCLUDE
		"#undef PINRING_KERNEL_ABI\n"
		"#define PINRING_KERNEL_ABI 4711\n"
		"PINRING_KERNEL(blend) { dst[0] = 1; }\n", 90, &self->object));
	EXPECT_EQ(-ENOEXEC, pinring_jit_link(self->device, 90, &k, 1, &self->image));
	SAYS("ABI 4711");
	SAYS("has 1");
	EXPECT_NULL(self->image.data);
}

static int write_file(const char *path, const char *data, size_t size)
{
	FILE *f = fopen(path, "we");
	size_t n = f ? fwrite(data, 1, size, f) : 0;

	return f && !fclose(f) && n == size ? 0 : -1;
}

/* What nvcc -rdc=true -ptx makes of it, but by hand. */
static const char ptx[] =
	".version 7.0\n"
	".target sm_80\n"
	".address_size 64\n"
	".visible .global .align 4 .b8 pinring_kernel_abi_first[32] =\n"
	"	{1, 0, 0, 0, 32, 0, 0, 0, 80, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 1};\n"
	".visible .func pinring_kernel_first (.param .b64 args)\n"
	"{\n"
	"	.reg .b64 a, d;\n"
	"	.reg .f32 x;\n"
	"	ld.param.u64 a, [args];\n"
	"	ld.u64 d, [a];\n"
	"	mov.f32 x, 0f3f800000;\n"
	"	st.f32 [d], x;\n"
	"	ret;\n"
	"}\n";

TEST_F(jit, files_are_source_or_what_came_of_it)
{
	struct pinring_jit_kernel k[] = {
		{ .name = "one", .operation = 1000, .object = &self->object },
		{ .name = "first", .operation = 1001, .object = &self->other },
	};
	char path[128], header[128];

	/* Source; what it includes lies beside it. */
	snprintf(path, sizeof(path), "%s/two.cu", self->path);
	snprintf(header, sizeof(header), "%s/two.h", self->path);
	ASSERT_EQ(0, write_file(path, "#include \"two.h\"\n", 17));
	ASSERT_EQ(0, write_file(header, two, strlen(two)));
	ASSERT_OK(compile_file(self->device, "one", path, &self->object));
	unlink(header);
	unlink(path);

	snprintf(path, sizeof(path), "%s/two.cubin", self->path);
	ASSERT_EQ(0, write_file(path, self->object.data, self->object.size));
	pinring_jit_free(&self->object);
	ASSERT_OK(compile_file(self->device, "one", path, &self->object));
	unlink(path);

	snprintf(path, sizeof(path), "%s/first.ptx", self->path);
	ASSERT_EQ(0, write_file(path, ptx, strlen(ptx)));
	ASSERT_OK(compile_file(self->device, "first", path, &self->other));
	unlink(path);
	ASSERT_OK(pinring_jit_link(self->device, 90, k, 2, &self->image));
	EXPECT_EQ(STT_FUNC, symbol_type(&self->image, "pinring_kernel_first"));
	EXPECT_EQ(1, k[1].abi.operands);
	pinring_jit_free(&self->image);
	pinring_jit_free(&self->other);

	EXPECT_EQ(-ENOENT, compile_file(self->device, "one", "/nonexistent/k.cu", &self->other));
	EXPECT_EQ(-ENOENT, compile_file(self->device, "one", "/nonexistent/k.ptx", &self->other));
	SAYS("/nonexistent/k.ptx");
	EXPECT_EQ(-EOPNOTSUPP, compile_file(self->device, "one", "k.so", &self->other));
	/* Garbage is for the linker to refuse. */
	snprintf(path, sizeof(path), "%s/no.ptx", self->path);
	ASSERT_EQ(0, write_file(path, "no PTX", 6));
	ASSERT_OK(compile_file(self->device, "first", path, &self->other));
	unlink(path);
	EXPECT_EQ(-ENOEXEC, pinring_jit_link(self->device, 90, k, 2, &self->image));
}

/* As compile_file(), of a file that is no more than this. */
static int cut(FIXTURE_DATA(jit) *self, const char *end, const void *data, size_t size)
{
	char path[128];
	int rc;

	snprintf(path, sizeof(path), "%s/cut%s", self->path, end);
	if (write_file(path, data, size))
		return -EIO;
	rc = compile_file(self->device, "one", path, &self->other);
	unlink(path);
	return rc;
}

/* The linker crashes on some of these, and does not come back from others. */
TEST_F_TIMEOUT(jit, a_file_that_was_cut_off_never_comes_to_the_linker, 120)
{
	ASSERT_OK(compile(self->device, "one", two, 90, &self->object));
	for (size_t n = 0; n < self->object.size; n += 97) {
		EXPECT_EQ(-ENOEXEC, cut(self, ".cubin", self->object.data, n)) {
			TH_LOG("%zu of %zu bytes", n, self->object.size);
		}
		EXPECT_NULL(self->other.data);
	}
	SAYS("cut.cubin is cut off, or no .cubin");
	for (size_t n = 0; n < 4096; n += n < 32 ? 1 : 97) {
		EXPECT_EQ(-ENOEXEC, cut(self, ".fatbin", pinring_device_link, n));
	}
	EXPECT_EQ(-ENOEXEC, cut(self, ".fatbin", pinring_device_link,
				pinring_device_link_size - 1));
	EXPECT_NULL(self->other.data);
	SAYS("cut.fatbin is cut off, or no .fatbin");
	EXPECT_EQ(-ENOEXEC, cut(self, ".fatbin", self->object.data, self->object.size));
	EXPECT_EQ(0, cut(self, ".fatbin", pinring_device_link, pinring_device_link_size));
}

/* ------------------------------------------------------- while the loop runs */
/* As for a loop that has so many registers: what the sentence says is in pinring_error(). */
static int link_hot(FIXTURE_DATA(jit) *self, uint32_t arch, const char *text,
		    uint32_t registers)
{
	struct pinring_kernel_config c = PINRING_INIT(struct pinring_kernel_config);
	struct pinring_jit_kernel k = { .name = "k", .operation = 1000,
					.object = &self->object };
	int rc;

	c.name = "k";
	c.text = text;
	rc = pinring_jit_compile(self->device, &c, arch, 0, &self->object);
	if (rc)
		return rc;
	rc = pinring_jit_link_hot(self->device, arch, &k, registers, &self->image);
	pinring_jit_free(&self->object);
	return rc ? rc : (int)k.abi.operands;
}

static const char passes[] = INCLUDE
	"__device__ float table[2] = { 1, 2 };\n"
	"PINRING_KERNEL(k)\n"
	"{\n"
	"	PINRING_EACH(i, args->count)\n"
	"		dst[i] = a[i] * s0 + table[i % 2];\n"
	"	PINRING_BARRIER();\n"
	"	PINRING_EACH(i, args->count)\n"
	"		dst[i] += b[args->count - 1 - i];\n"
	"}\n";

TEST_F_TIMEOUT(jit, a_kernel_is_linked_alone_for_a_loop_that_runs, 120)
{
	struct pinring_cubin_needs needs;
	uint64_t at;

	for (size_t i = 0; i < ARRAY_SIZE(archs); i++) {
		ASSERT_EQ(7, link_hot(self, archs[i], passes, 126)) {
			TH_LOG("sm_%u: %s", archs[i], pinring_error());
		}
		ASSERT_TRUE(pinring_cubin_needs(&self->image, PINRING_HOT_PROBE, &needs));
		EXPECT_LT(8, needs.registers);
		EXPECT_LT(0, needs.stack);
		EXPECT_FALSE(needs.shared);
		EXPECT_FALSE(needs.constants);
		EXPECT_NULL(needs.outside);
		/* Of what is called it says less, and that is not the probe's. */
		EXPECT_FALSE(pinring_cubin_needs(&self->image, "pinring_kernel_k", &needs));
		ASSERT_TRUE(pinring_cubin_needs(&self->image, PINRING_HOT_PROBE, &needs));
		EXPECT_TRUE(pinring_cubin_read(&self->image, PINRING_HOT_AT, &at, 8));
		EXPECT_EQ(-1, symbol_type(&self->image, "pinring_loop_cuda"));
		/* One register less is too few, and both numbers are said. */
		pinring_jit_free(&self->image);
		EXPECT_EQ(-E2BIG, link_hot(self, archs[i], passes, needs.registers - 1));
		SAYS("registers a thread, and it has");
		EXPECT_NULL(self->image.data);
	}
}

/* The loop that it is linked with later has what was promised to those before. */
TEST_F_TIMEOUT(jit, a_linked_loop_leaves_room, 120)
{
	struct pinring_cubin_needs needs;

	for (size_t i = 0; i < ARRAY_SIZE(archs); i++) {
		ASSERT_OK(pinring_jit_link(self->device, archs[i], NULL, 0, &self->image));
		ASSERT_TRUE(pinring_cubin_needs(&self->image, "pinring_loop_cuda", &needs));
		EXPECT_LE(PINRING_HOT_STACK, needs.stack);
		EXPECT_GE(PINRING_HOT_STACK + 256, needs.stack);
		EXPECT_LE(96, needs.registers);
		EXPECT_GE(128, needs.registers);
		EXPECT_EQ(1, needs.barriers);
		EXPECT_TRUE(needs.shared);
		EXPECT_NULL(needs.outside);
		pinring_jit_free(&self->image);
	}
}

TEST_F_TIMEOUT(jit, what_a_loop_that_runs_has_not_is_refused, 200)
{
	static const struct {
		const char *body, *says;
		uint32_t only; /* of this architecture the compiler does it so */
	} wants[] = {
		{ "PINRING_KERNEL(k) { float t[200]; for (int i = 0; i < 200; i++) t[i] = a[i];\n"
		  "	dst[0] = t[aux % 200]; }\n", "bytes of stack a thread, and 512 are left", 0 },
		{ "__device__ __noinline__ float f(float x, int n)\n"
		  "{ return n ? f(x * x + n, n - 1) + f(x, n / 2) : x; }\n"
		  "PINRING_KERNEL(k) { dst[0] = f(a[0], aux); }\n", "a stack that nobody knows", 0 },
		{ "PINRING_KERNEL(k) { asm volatile(\"bar.sync 3, 64;\"); dst[0] = 1; }\n",
		  "4 barriers", 0 },
		{ "PINRING_KERNEL(k) { __shared__ float t[256]; t[threadIdx.x] = a[threadIdx.x];\n"
		  "	__syncthreads(); dst[threadIdx.x] = t[threadIdx.x ^ 1]; }\n",
		  "shared memory", 0 },
		{ "extern __shared__ float t[];\n"
		  "PINRING_KERNEL(k) { t[threadIdx.x] = a[threadIdx.x]; __syncthreads();\n"
		  "	dst[threadIdx.x] = t[threadIdx.x ^ 1]; }\n", "shared memory", 0 },
		{ "__constant__ float t[4] = { 1, 2, 3, 4 };\n"
		  "PINRING_KERNEL(k) { dst[0] = t[aux & 3]; }\n", "__constant__", 0 },
		{ "__device__ double f(double x) { return x * 1.2345678901234567 + 9.87654321e100; }\n"
		  "PINRING_KERNEL(k) { dst[0] = (float)f(a[0]); }\n", "constants in memory", 80 },
		{ "extern \"C\" __device__ int printf(const char *, ...);\n"
		  "PINRING_KERNEL(k) { printf(\"%d\\n\", (int)aux); }\n", "vprintf()", 0 },
	};

	for (size_t w = 0; w < ARRAY_SIZE(wants); w++) {
		char text[1024];

		snprintf(text, sizeof(text), INCLUDE "%s", wants[w].body);
		for (size_t i = 0; i < ARRAY_SIZE(archs); i++) {
			if (wants[w].only && wants[w].only != archs[i])
				continue;
			EXPECT_EQ(-E2BIG, link_hot(self, archs[i], text, 126)) {
				TH_LOG("sm_%u: %s", archs[i], text);
			}
			SAYS(wants[w].says);
			SAYS("without PINRING_REGISTER_HOT");
			EXPECT_NULL(self->image.data);
			pinring_jit_free(&self->image);
		}
	}
	EXPECT_EQ(-ENOEXEC, link_hot(self, 90, INCLUDE
		"#undef PINRING_KERNEL_ABI\n#define PINRING_KERNEL_ABI 4711\n"
		"PINRING_KERNEL(k) { dst[0] = 1; }\n", 126));
	SAYS("ABI 4711");
	EXPECT_EQ(-ENOEXEC, link_hot(self, 90, INCLUDE
		"extern \"C\" __device__ float nowhere(void);\n"
		"PINRING_KERNEL(k) { dst[0] = nowhere(); }\n", 126));
	SAYS("nowhere");
}

/* The compiler is told how many registers there are, and makes do with them. */
TEST_F_TIMEOUT(jit, a_source_is_compiled_for_the_registers_there_are, 120)
{
	struct pinring_kernel_config c = PINRING_INIT(struct pinring_kernel_config);
	struct pinring_jit_kernel k = { .name = "k", .operation = 1000,
					.object = &self->object };
	char text[2048] = INCLUDE "PINRING_KERNEL(k) { float t[90];\n"
		"#pragma unroll\n	for (int i = 0; i < 90; i++) t[i] = a[i] * s0;\n"
		"	__syncthreads();\n"
		"#pragma unroll\n	for (int i = 0; i < 90; i++) dst[i] = t[89 - i] + b[i]; }\n";

	EXPECT_EQ(-E2BIG, link_hot(self, 90, text, 64));
	SAYS("and it has 64");
	c.name = "k";
	c.text = text;
	ASSERT_OK(pinring_jit_compile(self->device, &c, 90, 64, &self->object));
	ASSERT_OK(pinring_jit_link_hot(self->device, 90, &k, 64, &self->image));
	pinring_jit_free(&self->object);
	pinring_jit_free(&self->image);
	/* And where the name of the folder is the shortest. */
	snprintf(at_root, sizeof(at_root), "%s/k.cu", self->path);
	ASSERT_EQ(0, write_file(at_root, text, strlen(text)));
	c.text = NULL;
	c.path = "/k.cu";
	ASSERT_OK(pinring_jit_compile(self->device, &c, 90, 64, &self->object));
	unlink(at_root);
	ASSERT_OK(pinring_jit_link_hot(self->device, 90, &k, 64, &self->image));
}

/* So is the linker, of PTX. */
TEST_F_TIMEOUT(jit, ptx_is_compiled_for_the_registers_there_are, 120)
{
	struct pinring_jit_kernel k = { .name = "first", .operation = 1000,
					.object = &self->object };
	struct pinring_cubin_needs needs;
	char path[128];
	FILE *f;

	/* As above: all is read before any of it is written. */
	snprintf(path, sizeof(path), "%s/first.ptx", self->path);
	f = fopen(path, "we");
	ASSERT_NE(NULL, f);
	fprintf(f, "%.*s	.reg .f32 t<90>;\n	ld.param.u64 a, [args];\n	ld.u64 d, [a];\n",
		(int)(strstr(ptx, "	.reg .f32 x") - ptx), ptx);
	for (int i = 0; i < 90; i++)
		fprintf(f, "	ld.volatile.f32 t%d, [d + %d];\n", i, 4 * i);
	for (int i = 0; i < 90; i++)
		fprintf(f, "	st.volatile.f32 [d + %d], t%d;\n", 4 * i, 89 - i);
	fprintf(f, "	ret;\n}\n");
	ASSERT_EQ(0, fclose(f));
	ASSERT_OK(compile_file(self->device, "first", path, &self->object));
	unlink(path);
	for (size_t i = 0; i < ARRAY_SIZE(archs); i++) {
		ASSERT_OK(pinring_jit_link_hot(self->device, archs[i], &k, 126, &self->image));
		ASSERT_TRUE(pinring_cubin_needs(&self->image, PINRING_HOT_PROBE, &needs));
		EXPECT_LT(64, needs.registers);
		pinring_jit_free(&self->image);
		ASSERT_OK(pinring_jit_link_hot(self->device, archs[i], &k, 64, &self->image));
		pinring_jit_free(&self->image);
	}
}

/* Whatever a file is cut off at, or says of itself, nothing behind it is read. */
TEST_F(jit, a_damaged_image_tells_nothing_or_less)
{
	struct pinring_jit_object cut = { .kind = 1 };
	struct pinring_cubin_needs needs;
	size_t told = 0, sections;
	char abi[32];

	ASSERT_EQ(7, link_hot(self, 90, passes, 126));
	/* Behind the sections lies only what the driver wants. */
	sections = ((const Elf64_Ehdr *)(const void *)self->image.data)->e_shoff;
	for (size_t n = 0; n <= sections; n += 40) {
		cut.size = n;
		ASSERT_NE(NULL, cut.data = malloc(n + !n));
		memcpy(cut.data, self->image.data, n);
		told += pinring_cubin_needs(&cut, PINRING_HOT_PROBE, &needs);
		told += pinring_cubin_read(&cut, "pinring_kernel_abi_k", abi, sizeof(abi));
		free(cut.data);
	}
	EXPECT_EQ(0, told);
	for (size_t n = 0; n < self->image.size; n += 7) {
		char was = self->image.data[n];

		self->image.data[n] = (char)(was ^ 0xff);
		(void)pinring_cubin_needs(&self->image, PINRING_HOT_PROBE, &needs);
		(void)pinring_cubin_twice(&self->image, &self->image);
		self->image.data[n] = was;
	}
	EXPECT_TRUE(pinring_cubin_needs(&self->image, PINRING_HOT_PROBE, &needs));
	EXPECT_FALSE(pinring_cubin_needs(&self->image, "nowhere", &needs));
}

TEST(a_gpu_runs_what_was_made_for_an_older_one_of_its_kind)
{
	static const uint32_t pairs[][2] = {
		{ 70, 0 }, { 75, 0 }, { 80, 80 }, { 86, 80 }, { 89, 80 }, { 90, 90 },
		{ 100, 100 }, { 103, 100 }, { 120, 0 }, { 0, 0 },
	};

	if (!pinring_device_link_size) {
		SKIP(return, "built without nvcc of a CUDA toolkit 12.8 or later");
	}
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		EXPECT_EQ(pairs[i][1], pinring_jit_arch(pairs[i][0])) {
			TH_LOG("sm_%u", pairs[i][0]);
		}
	}
}

TEST(without_the_compiler_or_the_linker_it_names_the_package)
{
	struct pinring_jit_object object = { .data = NULL }, image = { .data = NULL };
	struct pinring_jit_kernel k = { .name = "first", .operation = 1000,
					.object = &object };
	struct pinring_device *device;

	ASSERT_EQ(0, pinring_device_open(NULL, &device));
	snprintf(missing, sizeof(missing), "libnvrtc");
	EXPECT_EQ(-EOPNOTSUPP, compile(device, "blend", blend, 90, &object));
	SAYS("install cuda-nvrtc");
	snprintf(missing, sizeof(missing), "libnvJitLink");
	EXPECT_EQ(-EOPNOTSUPP, pinring_jit_link(device, 90, &k, 0, &image));
	SAYS("install libnvjitlink");
	EXPECT_NULL(image.data);
	pinring_device_close(device);
}

TEST_HARNESS_MAIN
