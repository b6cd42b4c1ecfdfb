// SPDX-License-Identifier: MIT
/* jit.c - see jit.h. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "cubin.h"
#include "device_code.h"
#include "executor.h"
#include "jit.h"

/* nvJitLink's kinds of input. */
enum { CUBIN = 1, PTX = 2, FATBIN = 4 };

#define FATBIN_MAGIC 0xba55ed50

#define NVRTC_COMPILATION 6 /* the result that has a log */

typedef struct nvrtc_program *nvrtc_program;
typedef struct nvjitlink *nvjitlink;

#define NVRTC_FUNCTIONS(F)							\
	F(create, nvrtcCreateProgram, (nvrtc_program *, const char *,		\
				       const char *, int, const char *const *,	\
				       const char *const *))			\
	F(destroy, nvrtcDestroyProgram, (nvrtc_program *))			\
	F(compile, nvrtcCompileProgram, (nvrtc_program, int,			\
					 const char *const *))			\
	F(log_size, nvrtcGetProgramLogSize, (nvrtc_program, size_t *))		\
	F(log, nvrtcGetProgramLog, (nvrtc_program, char *))			\
	F(cubin_size, nvrtcGetCUBINSize, (nvrtc_program, size_t *))		\
	F(cubin, nvrtcGetCUBIN, (nvrtc_program, char *))

#define NVJITLINK_FUNCTIONS(F)							\
	F(create, nvJitLinkCreate, (nvjitlink *, uint32_t, const char **))	\
	F(destroy, nvJitLinkDestroy, (nvjitlink *))				\
	F(add, nvJitLinkAddData, (nvjitlink, int, const void *, size_t,		\
				  const char *))				\
	F(complete, nvJitLinkComplete, (nvjitlink))				\
	F(log_size, nvJitLinkGetErrorLogSize, (nvjitlink, size_t *))		\
	F(log, nvJitLinkGetErrorLog, (nvjitlink, char *))			\
	F(cubin_size, nvJitLinkGetLinkedCubinSize, (nvjitlink, size_t *))	\
	F(cubin, nvJitLinkGetLinkedCubin, (nvjitlink, void *))

#define MEMBER(member, symbol, parameters) int (*member) parameters;
struct nvrtc {
	NVRTC_FUNCTIONS(MEMBER)
};
struct jitlink {
	NVJITLINK_FUNCTIONS(MEMBER)
};

#define SYMBOL(member, symbol, parameters) #symbol "\0"
static const char nvrtc_symbols[] = NVRTC_FUNCTIONS(SYMBOL);
static const char jitlink_symbols[] = NVJITLINK_FUNCTIONS(SYMBOL);

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* The newest first; the folder is where NVIDIA's packages put them. */
static const char *const patterns[] = { "%s.so.13", "%s.so.12", "%s.so",
					"/usr/local/cuda/lib64/%s.so" };

static void *open_any(const char *library)
{
	void *handle = NULL;
	char path[96];
	size_t i;

	for (i = 0; !handle && i < COUNT(patterns); i++) {
		snprintf(path, sizeof(path), patterns[i], library);
		handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	}
	return handle;
}

/* Once found, it stays open. The symbols are texts, up to one that is empty. */
static int need(struct pinring_device *device, const char *library,
		const char *package, const char *symbols, void **functions)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	void *handle, *found[16];
	size_t i = 0;
	int rc = 0;

	pthread_mutex_lock(&lock);
	if (functions[0])
		goto out;
	handle = open_any(library);
	if (!handle) {
		rc = pinring_fail(device, -EOPNOTSUPP,
				  "there is no %s: install %s of a CUDA toolkit 12.8 or later (not a Debian package: developer.nvidia.com)",
				  library, package);
		goto out;
	}
	for (; *symbols; symbols += strlen(symbols) + 1) {
		found[i] = dlsym(handle, symbols);
		if (!found[i++]) {
			rc = pinring_fail(device, -EOPNOTSUPP,
					  "%s is too old: it has no %s",
					  library, symbols);
			dlclose(handle);
			goto out;
		}
	}
	memcpy(functions, found, i * sizeof(*functions));
out:
	pthread_mutex_unlock(&lock);
	return rc;
}

static int need_nvrtc(struct pinring_device *device, const struct nvrtc **out)
{
	static struct nvrtc nvrtc;

	*out = &nvrtc;
	return need(device, "libnvrtc", "cuda-nvrtc", nvrtc_symbols,
		    (void **)&nvrtc);
}

static int need_jitlink(struct pinring_device *device,
			const struct jitlink **out)
{
	static struct jitlink jitlink;

	*out = &jitlink;
	return need(device, "libnvJitLink", "libnvjitlink", jitlink_symbols,
		    (void **)&jitlink);
}

uint32_t pinring_jit_arch(uint32_t capability)
{
	static const uint32_t archs[] = { PINRING_DEVICE_LINK_SMS 0 };
	uint32_t best = 0;
	size_t i;

	for (i = 0; archs[i]; i++)
		if (archs[i] <= capability && archs[i] > best &&
		    archs[i] / 10 == capability / 10)
			best = archs[i];
	return best;
}

void pinring_jit_free(struct pinring_jit_object *object)
{
	free(object->data);
	object->data = NULL;
}

/* ------------------------------------------------------------------ compiling */
static int read_file(struct pinring_device *device, const char *name,
		     const char *path, struct pinring_jit_object *object)
{
	FILE *f = fopen(path, "re");
	size_t room = 0, n;
	char *more;
	int rc = 0;

	object->size = 0;
	object->data = NULL;
	while (f) {
		if (room - object->size < 2) {
			room = room ? 2 * room : 65536;
			more = realloc(object->data, room);
			if (!more)
				break;
			object->data = more;
		}
		/* A byte is left for the end of a text. */
		n = fread(object->data + object->size, 1,
			  room - object->size - 1, f);
		if (!n)
			break;
		object->size += n;
	}
	if (!f || ferror(f))
		rc = pinring_fail(device, -errno, "%s: %s: %m", name, path);
	else if (!feof(f))
		rc = pinring_fail(device, -ENOMEM, "%s: no memory for %s", name,
				  path);
	if (f)
		fclose(f);
	if (rc)
		pinring_jit_free(object);
	else
		object->data[object->size] = '\0';
	return rc;
}

static int fail_log(struct pinring_device *device, const char *what,
		    const char *name, char *log)
{
	char first[200];

	pinring_kernel_log(device, log ? log : (char[]){ "" }, first,
			   sizeof(first));
	free(log);
	return pinring_fail(device, -ENOEXEC, "%s: it does not %s: %s", name,
			    what, first);
}

static int compile_text(struct pinring_device *device,
			const struct nvrtc *nvrtc,
			const struct pinring_kernel_config *c, uint32_t arch,
			uint32_t registers, const char *text,
			struct pinring_jit_object *object)
{
	static const char *const include_names[] = { "pinring/kernel.h" };
	const char *includes[] = { pinring_kernel_header };
	const char *end = c->path ? strrchr(c->path, '/') : NULL;
	char target[16], folder[512], most[32];
	/* No fused multiply-add: the bits are those of the built-in ones. */
	const char *options[] = { target, "--relocatable-device-code=true",
				  "--fmad=false", folder, most };
	nvrtc_program program;
	char *log = NULL;
	size_t size;
	int rc;

	snprintf(target, sizeof(target), "-arch=sm_%u", arch);
	/* With the slash: in "/" it would be nothing without that. */
	snprintf(folder, sizeof(folder), "-I%.*s",
		 end ? (int)(end - c->path) + 1 : 1, end ? c->path : ".");
	snprintf(most, sizeof(most), "--maxrregcount=%u", registers);
	rc = nvrtc->create(&program, text, c->path ? c->path : c->name, 1,
			   includes, include_names);
	if (rc)
		return pinring_fail(device, -ENOEXEC,
				    "%s: NVRTC does not begin (%d)", c->name,
				    rc);
	rc = nvrtc->compile(program, (int)COUNT(options) - !registers, options);
	if (rc == NVRTC_COMPILATION && !nvrtc->log_size(program, &size)) {
		log = calloc(1, size + 1);
		if (log)
			nvrtc->log(program, log);
	}
	if (rc) {
		nvrtc->destroy(&program);
		return fail_log(device, "compile", c->name, log);
	}
	object->kind = CUBIN;
	object->data = NULL;
	if (!nvrtc->cubin_size(program, &object->size))
		object->data = malloc(object->size);
	if (object->data && nvrtc->cubin(program, object->data))
		pinring_jit_free(object);
	nvrtc->destroy(&program);
	return object->data ? 0 :
			      pinring_fail(device, -ENOMEM,
					   "%s: no memory for its code",
					   c->name);
}

/* nvJitLink crashes on a file that was cut off, or does not come back from it. */
static bool is_whole(const struct pinring_jit_object *object)
{
	struct {
		uint32_t magic;
		uint16_t version, bytes; /* of this */
		uint64_t rest;
	} fat;

	if (object->kind == CUBIN)
		return pinring_cubin_whole(object);
	if (object->kind == PTX)
		return true;
	if (object->size < sizeof(fat))
		return false;
	memcpy(&fat, object->data, sizeof(fat));
	return fat.magic == FATBIN_MAGIC && fat.bytes <= object->size &&
	       fat.rest <= object->size - fat.bytes;
}

static const struct {
	const char *end;
	int kind;
} kinds[] = { { ".ptx", PTX }, { ".cubin", CUBIN }, { ".fatbin", FATBIN } };

int pinring_jit_compile(struct pinring_device *device,
			const struct pinring_kernel_config *c, uint32_t arch,
			uint32_t registers, struct pinring_jit_object *object)
{
	const char *end = c->path ? strrchr(c->path, '.') : NULL;
	struct pinring_jit_object source = { .data = NULL };
	const struct nvrtc *nvrtc;
	size_t i;
	int rc = 0;

	if (end && !strcmp(end, ".so"))
		return pinring_fail(device, -EOPNOTSUPP,
				    "%s: %s: a GPU does not run host code; give the source",
				    c->name, c->path);
	if (c->path)
		rc = read_file(device, c->name, c->path, &source);
	if (rc)
		return rc;
	for (i = 0; end && i < COUNT(kinds); i++) {
		if (!strcmp(end, kinds[i].end)) {
			*object = source;
			object->kind = kinds[i].kind;
			if (is_whole(object))
				return 0;
			pinring_jit_free(object);
			return pinring_fail(device, -ENOEXEC,
					    "%s: %s is cut off, or no %s",
					    c->name, c->path, kinds[i].end);
		}
	}
	rc = need_nvrtc(device, &nvrtc);
	if (!rc)
		rc = compile_text(device, nvrtc, c, arch, registers,
				  c->path ? source.data : c->text, object);
	pinring_jit_free(&source);
	return rc;
}

/* -------------------------------------------------------------------- linking */
/* The function that the loop calls. */
static void write_dispatch(FILE *f, const struct pinring_jit_kernel *kernels,
			   uint32_t count)
{
	uint32_t i;

	fputs(".visible .func pinring_dynamic (.param .b32 operation, .param .b64 args)\n"
	      "{\n"
	      "	.reg .pred other;\n"
	      "	.reg .b32 o;\n"
	      "	.reg .b64 a;\n"
	      "	ld.param.u32 o, [operation];\n"
	      "	ld.param.u64 a, [args];\n",
	      f);
	for (i = 0; i < count; i++)
		fprintf(f,
			"	setp.ne.u32 other, o, %u;\n"
			"	@other bra L%u;\n"
			"	{ .param .b64 p; st.param.b64 [p], a; call.uni pinring_kernel_%s, (p); }\n"
			"	ret;\n"
			"L%u:\n",
			kernels[i].operation, i, kernels[i].name, i);
	fputs("	ret;\n}\n", f);
}

/*
 * What a kernel has instead of the loop: its address for the host; the barrier, as
 * its args name it; and a grid that is never launched, for the linker to say of it
 * what the kernel needs.
 */
static void write_hot(FILE *f, const struct pinring_jit_kernel *k)
{
	fprintf(f,
		".visible .global .align 8 .u64 " PINRING_HOT_AT " = pinring_kernel_%s;\n"
		".visible .func pinring_kernel_barrier (.param .b64 args)\n"
		"{\n"
		"	.reg .b64 a, barrier;\n"
		"	ld.param.u64 a, [args];\n"
		"	ld.u64 barrier, [a + %zu];\n"
		"	like: .callprototype (.param .b32 _) _ (.param .b64 _);\n"
		"	{ .param .b64 p; .param .b32 r; st.param.b64 [p], a; call (r), barrier, (p), like; }\n"
		"	ret;\n"
		"}\n"
		".visible .entry " PINRING_HOT_PROBE " (.param .u64 args)\n"
		"{\n"
		"	.reg .b64 a;\n"
		"	ld.param.u64 a, [args];\n"
		"	{ .param .b64 p; st.param.b64 [p], a; call.uni pinring_kernel_%s, (p); }\n"
		"	ret;\n"
		"}\n",
		k->name, offsetof(struct pinring_kernel_args, barrier), k->name);
}

/*
 * What is linked with the kernels: PTX. It names their words about their ABI, which
 * would not be in the image otherwise.
 */
static char *write_text(const struct pinring_jit_kernel *kernels, uint32_t count,
			bool hot, size_t *size)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, size);
	uint32_t i;

	if (!f)
		return NULL;
	fputs(".version 7.0\n.target sm_80\n.address_size 64\n", f);
	for (i = 0; i < count; i++)
		fprintf(f,
			".extern .func pinring_kernel_%s (.param .b64 p);\n"
			".extern .global .align 4 .b8 pinring_kernel_abi_%s[%zu];\n"
			".visible .global .align 8 .u64 pinring_abi_of_%u = pinring_kernel_abi_%s;\n",
			kernels[i].name, kernels[i].name,
			sizeof(struct pinring_kernel_abi),
			kernels[i].operation, kernels[i].name);
	if (hot)
		write_hot(f, kernels);
	else
		write_dispatch(f, kernels, count);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}

static bool same(const struct pinring_jit_object *x,
		 const struct pinring_jit_object *y)
{
	return x->kind == y->kind && x->size == y->size &&
	       !memcmp(x->data, y->data, x->size);
}

/* 0, or what nvJitLink says. */
static int add_all(const struct jitlink *jitlink, nvjitlink link,
		   const struct pinring_jit_kernel *kernels, uint32_t count,
		   bool hot, const char *text, size_t size)
{
	uint32_t i, j;
	int rc = 0;

	if (!hot)
		rc = jitlink->add(link, FATBIN, pinring_device_link,
				  pinring_device_link_size, "pinring");
	for (i = 0; !rc && i < count; i++) {
		for (j = 0; j < i; j++)
			if (same(kernels[i].object, kernels[j].object))
				break;
		if (j == i)
			rc = jitlink->add(link, kernels[i].object->kind,
					  kernels[i].object->data,
					  kernels[i].object->size +
						  (kernels[i].object->kind ==
						   PTX), /* its last 0 */
					  kernels[i].name);
	}
	if (!rc)
		rc = jitlink->add(link, PTX, text, size + 1,
				  hot ? "pinring_hot" : "pinring_dynamic");
	return rc ? rc : jitlink->complete(link);
}

/*
 * nvJitLink takes one of two definitions, and prints something. Of PTX and fatbins
 * only the kernels are known; "" if there are no two of anything.
 */
static const char *find_twice(const struct pinring_jit_kernel *x,
			      const struct pinring_jit_kernel *y)
{
	if (same(x->object, y->object))
		return "";
	if (!strcmp(x->name, y->name))
		return x->name;
	return x->object->kind == CUBIN && y->object->kind == CUBIN ?
		       pinring_cubin_twice(x->object, y->object) :
		       "";
}

/* The last one with those that were in the loop before it. */
static int check_twice(struct pinring_device *device,
		       const struct pinring_jit_kernel *kernels, uint32_t count)
{
	const char *name;
	uint32_t i;

	for (i = 0; i + 1 < count; i++) {
		name = find_twice(&kernels[count - 1], &kernels[i]);
		if (name[0])
			return pinring_fail(
				device, -ENOEXEC,
				"%s: %s is in the kernel %s of operation %u, too; unregister that first",
				kernels[count - 1].name, name, kernels[i].name,
				kernels[i].operation);
	}
	return 0;
}

static int check_all(struct pinring_device *device,
		     const struct pinring_jit_object *image,
		     struct pinring_jit_kernel *kernels, uint32_t count)
{
	char symbol[96];
	uint32_t i;
	int rc = 0;

	for (i = 0; !rc && i < count; i++) {
		snprintf(symbol, sizeof(symbol), "pinring_kernel_abi_%s",
			 kernels[i].name);
		if (!pinring_cubin_read(image, symbol, &kernels[i].abi,
					sizeof(kernels[i].abi)))
			return pinring_fail(device, -ENOEXEC,
					    "%s: its ABI is not in the image",
					    kernels[i].name);
		rc = pinring_kernel_check(device, kernels[i].name,
					  &kernels[i].abi);
	}
	return rc;
}

/* registers: of a loop that runs, for a kernel alone; 0: with the loop. */
static int link_image(struct pinring_device *device, uint32_t arch,
		      struct pinring_jit_kernel *kernels, uint32_t count,
		      uint32_t registers, struct pinring_jit_object *image)
{
	/* The one that came last must be the one that does not fit. */
	const char *name = count ? kernels[count - 1].name : "the loop";
	const struct jitlink *jitlink;
	char target[16], most[32], *text, *log = NULL;
	const char *options[] = { target, most };
	const bool hot = registers;
	/* With code that needs more it would not link, and not say what it needs. */
	const bool bound = hot && kernels->object->kind == PTX;
	nvjitlink link;
	size_t size;
	int rc;

	image->kind = CUBIN;
	image->data = NULL;
	rc = need_jitlink(device, &jitlink);
	if (!rc)
		rc = check_twice(device, kernels, count);
	if (rc)
		return rc;
	snprintf(target, sizeof(target), "-arch=sm_%u", arch);
	snprintf(most, sizeof(most), "-maxrregcount=%u", registers);
	text = write_text(kernels, count, hot, &size);
	if (!text)
		return pinring_fail(device, -ENOMEM, "%s: no memory", name);
	rc = jitlink->create(&link, 1 + bound, options);
	if (rc) {
		free(text);
		return pinring_fail(device, -ENOEXEC,
				    "%s: nvJitLink does not begin for sm_%u (%d)",
				    name, arch, rc);
	}
	rc = add_all(jitlink, link, kernels, count, hot, text, size);
	if (rc && !jitlink->log_size(link, &size)) {
		log = calloc(1, size + 1);
		if (log)
			jitlink->log(link, log);
	}
	if (!rc && !jitlink->cubin_size(link, &image->size))
		image->data = malloc(image->size);
	if (image->data && jitlink->cubin(link, image->data))
		pinring_jit_free(image);
	jitlink->destroy(&link);
	free(text);
	if (rc)
		return fail_log(device, "link", name, log);
	if (!image->data)
		return pinring_fail(device, -ENOMEM, "%s: no memory for %zu bytes",
				    name, image->size);
	rc = check_all(device, image, kernels, count);
	if (rc)
		pinring_jit_free(image);
	return rc;
}

int pinring_jit_link(struct pinring_device *device, uint32_t arch,
		     struct pinring_jit_kernel *kernels, uint32_t count,
		     struct pinring_jit_object *image)
{
	return link_image(device, arch, kernels, count, 0, image);
}

int pinring_jit_check_hot(struct pinring_device *device, const char *name,
			  const struct pinring_cubin_needs *needs,
			  uint32_t registers)
{
	char why[160];

	if (needs->registers > registers)
		snprintf(why, sizeof(why), "%u registers a thread, and it has %u",
			 needs->registers, registers);
	else if (needs->stack == PINRING_STACK_UNKNOWN)
		snprintf(why, sizeof(why),
			 "a stack that nobody knows, as of what calls itself");
	else if (needs->stack > PINRING_HOT_STACK)
		snprintf(why, sizeof(why),
			 "%u bytes of stack a thread, and %u are left",
			 needs->stack, PINRING_HOT_STACK);
	else if (needs->barriers > 1)
		snprintf(why, sizeof(why), "%u barriers of a block, and it has 1",
			 needs->barriers);
	else if (needs->shared)
		snprintf(why, sizeof(why),
			 "shared memory of its own, and none is left");
	else if (needs->constants)
		snprintf(why, sizeof(why),
			 "constants in memory (__constant__, or the compiler put numbers there), where the loop has its own");
	else if (needs->outside)
		snprintf(why, sizeof(why), "%s(), which only the driver has",
			 needs->outside);
	else
		return 0;
	return pinring_fail(device, -E2BIG,
			    "%s: not while the loop runs: it needs %s. Register it without PINRING_REGISTER_HOT",
			    name, why);
}

int pinring_jit_link_hot(struct pinring_device *device, uint32_t arch,
			 struct pinring_jit_kernel *kernel, uint32_t registers,
			 struct pinring_jit_object *image)
{
	struct pinring_cubin_needs needs;
	int rc = link_image(device, arch, kernel, 1, registers, image);

	if (rc)
		return rc;
	rc = pinring_cubin_needs(image, PINRING_HOT_PROBE, &needs) ?
		     pinring_jit_check_hot(device, kernel->name, &needs,
					   registers) :
		     pinring_fail(device, -ENOEXEC,
				  "%s: its image does not say what it needs of an SM",
				  kernel->name);
	if (rc)
		pinring_jit_free(image);
	return rc;
}
