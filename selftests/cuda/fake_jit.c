// SPDX-License-Identifier: MIT
/*
 * fake_jit.c - libnvrtc.so.13 and libnvJitLink.so.13 for the GPU of fake_libcuda.c:
 * what they compile and link runs on the grid that simt.c makes of the host.
 *
 * An "object" is what the C++ compiler makes of the very source that NVRTC would
 * get. An "image" is an ELF file with the symbols of all of them, as gpu/jit.c wants
 * to see it, and behind that a shared object with the loop (fake_image.h), for the
 * fake driver to open. What was made once is not made again.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_image.h"

#define API __attribute__((visibility("default")))
#define COMPILATION 6
#define CUBIN 1
#define PTX 2
#define OBJECTS 70

struct bytes {
	char *data;
	size_t size;
};

/* key: all that it was made of. */
struct made {
	struct made *next;
	struct bytes key, result;
};

struct program {
	char *text, *name, *header, *log;
	int registers; /* for the source as FAKE_REGISTERS; 0: as many as it likes */
	struct bytes object;
};

struct link {
	struct bytes object[OBJECTS], image;
	int objects;
	char *dispatch; /* PTX */
	bool hot; /* a kernel alone */
	char *log;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct made *all;

static const struct bytes *find(const struct bytes *key)
{
	const struct made *m;

	for (m = all; m; m = m->next)
		if (m->key.size == key->size &&
		    !memcmp(m->key.data, key->data, key->size))
			return &m->result;
	return NULL;
}

static void keep(struct bytes key, struct bytes result)
{
	struct made *m = calloc(1, sizeof(*m));

	m->key = key;
	m->result = result;
	m->next = all;
	all = m;
}

static struct bytes copy(const struct bytes *from)
{
	struct bytes to = { malloc(from->size + 1), from->size };

	memcpy(to.data, from->data, from->size);
	to.data[to.size] = 0;
	return to;
}

static struct bytes read_all(const char *folder, const char *name)
{
	struct bytes b = { NULL, 0 };
	char path[256];
	struct stat st;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "re");
	if (!f || fstat(fileno(f), &st))
		abort();
	b.data = calloc(1, (size_t)st.st_size + 1);
	b.size = fread(b.data, 1, (size_t)st.st_size, f);
	fclose(f);
	return b;
}

static void write_all(const char *folder, const char *name, const void *data, size_t size)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "we");
	if (!f || fwrite(data, 1, size, f) != size || fclose(f))
		abort();
}

/* In a folder of its own; what it says is in "log" there. */
static bool compiler(const char *folder, const char *arguments)
{
	char *command;
	int rc;

	/* The program's own preloads are not the compiler's. */
	if (asprintf(&command, "cd %s && LD_PRELOAD= LD_LIBRARY_PATH= %s %s >log 2>&1",
		     folder, FAKE_CXX, arguments) < 0)
		abort();
	rc = system(command);
	free(command);
	return !rc;
}

static void remove_folder(const char *folder)
{
	char command[300];

	snprintf(command, sizeof(command), "rm -rf %s", folder);
	if (system(command))
		abort();
}

/* ------------------------------------------------------------------ compiling */
API int nvrtcCreateProgram(struct program **out, const char *text, const char *name,
			   int headers, const char *const *header,
			   const char *const *header_names)
{
	struct program *p = calloc(1, sizeof(*p));

	if (headers != 1 || strcmp(header_names[0], "pinring/kernel.h"))
		abort();
	p->text = strdup(text);
	p->name = strdup(name);
	p->header = strdup(header[0]);
	*out = p;
	return 0;
}

API int nvrtcDestroyProgram(struct program **program)
{
	struct program *p = *program;

	free(p->text);
	free(p->name);
	free(p->header);
	free(p->log);
	free(p->object.data);
	free(p);
	*program = NULL;
	return 0;
}

static bool compile(struct program *p, const char *folder, const char *includes)
{
	char *text, *arguments, path[256];
	bool good;
	int n;

	snprintf(path, sizeof(path), "%s/pinring", folder);
	if (mkdir(path, 0700))
		abort();
	write_all(path, "kernel.h", p->header, strlen(p->header));
	/* As in kernels.cu: from here on the headers are nvcc's. */
	n = asprintf(&text,
		     "#include <pinring/pinring_layout.h>\n#include <pinring/port.h>\n"
		     "#include \"simt.h\"\n#define __CUDACC__\n#define FAKE_REGISTERS %d\n"
		     "#line 1 \"%s\"\n%s",
		     p->registers, p->name, p->text);
	write_all(folder, "kernel.cc", text, (size_t)n);
	free(text);
	if (asprintf(&arguments, "-I. %s " FAKE_CXXFLAGS " -c kernel.cc -o kernel.o",
		     includes) < 0)
		abort();
	good = compiler(folder, arguments);
	free(arguments);
	p->log = read_all(folder, "log").data;
	if (good)
		p->object = read_all(folder, "kernel.o");
	return good;
}

API int nvrtcCompileProgram(struct program *p, int count, const char *const *options)
{
	char folder[] = "/tmp/fake-nvrtc-XXXXXX", real[4096] = "", *includes = strdup("");
	struct bytes key;
	const struct bytes *made;
	bool good = true;
	int i;

	for (i = 0; i < count; i++) {
		sscanf(options[i], "--maxrregcount=%d", &p->registers);
		if (strncmp(options[i], "-I", 2) || !realpath(options[i] + 2, real))
			continue;
		free(includes);
		if (asprintf(&includes, "-I'%s'", real) < 0)
			abort();
	}
	key.size = (size_t)asprintf(&key.data, "%s\n%s\n%d\n%s", p->name, includes,
				    p->registers, p->text);
	pthread_mutex_lock(&lock);
	made = find(&key);
	if (made) {
		p->object = copy(made);
		free(key.data);
	} else {
		if (!mkdtemp(folder))
			abort();
		good = compile(p, folder, includes);
		remove_folder(folder);
		if (good)
			keep(key, copy(&p->object));
		else
			free(key.data);
	}
	pthread_mutex_unlock(&lock);
	free(includes);
	return good ? 0 : COMPILATION;
}

API int nvrtcGetProgramLogSize(struct program *p, size_t *size)
{
	*size = strlen(p->log) + 1;
	return 0;
}

API int nvrtcGetProgramLog(struct program *p, char *to)
{
	strcpy(to, p->log);
	return 0;
}

API int nvrtcGetCUBINSize(struct program *p, size_t *size)
{
	*size = p->object.size;
	return 0;
}

API int nvrtcGetCUBIN(struct program *p, char *to)
{
	memcpy(to, p->object.data, p->object.size);
	return 0;
}

/* -------------------------------------------------------------------- linking */
API int nvJitLinkCreate(struct link **out, uint32_t count, const char **options)
{
	(void)count;
	(void)options;
	*out = calloc(1, sizeof(**out));
	return 0;
}

API int nvJitLinkDestroy(struct link **link)
{
	struct link *l = *link;

	for (int i = 0; i < l->objects; i++)
		free(l->object[i].data);
	free(l->image.data);
	free(l->dispatch);
	free(l->log);
	free(l);
	*link = NULL;
	return 0;
}

API int nvJitLinkAddData(struct link *l, int kind, const void *data, size_t size,
			 const char *name)
{
	const struct bytes object = { (char *)(uintptr_t)data, size };

	l->hot = !strcmp(name, "pinring_hot");
	if (kind == PTX && (l->hot || !strcmp(name, "pinring_dynamic"))) {
		l->dispatch = strdup(data);
		return 0;
	}
	if (kind == CUBIN && l->objects < OBJECTS) {
		l->object[l->objects++] = copy(&object);
		return 0;
	}
	/* The loop is ours; other PTX no CPU runs. */
	if (!strcmp(name, "pinring"))
		return 0;
	l->log = strdup("error: no code for this machine");
	return 1;
}

/* Of "setp.ne.u32 other, o, N;" and, behind it, "call.uni pinring_kernel_NAME,". */
static char *dispatch_source(const char *ptx)
{
	static const char number[] = "setp.ne.u32 other, o, ", call[] = "call.uni ";
	const char *at = ptx;
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	fputs("struct pinring_kernel_args;\n", f);
	while ((at = strstr(at, call))) {
		at += strlen(call);
		fprintf(f, "extern \"C\" void %.*s(const struct pinring_kernel_args *);\n",
			(int)strcspn(at, ","), at);
	}
	fputs("extern \"C\" void pinring_dynamic(unsigned o, const struct pinring_kernel_args *a);\n"
	      "extern \"C\" void pinring_dynamic(unsigned o, const struct pinring_kernel_args *a)\n{\n", f);
	for (at = ptx; (at = strstr(at, number));) {
		at += strlen(number);
		fprintf(f, "	if (o == %d)\n", atoi(at));
		at = strstr(at, call) + strlen(call);
		fprintf(f, "		return %.*s(a);\n", (int)strcspn(at, ","), at);
	}
	fputs("}\n", f);
	fclose(f);
	return text;
}

/*
 * Of "pinring_hot_at = NAME;" and, where the barrier is found, "[a + N]". What the
 * kernel needs of an SM is as nvcc would say it, with a symbol yet to be filled in;
 * a source may say more, which then counts.
 */
static char *hot_source(const char *ptx)
{
	static const char at[] = "pinring_hot_at = ", barrier[] = "[a + ";
	const char *name = strstr(ptx, at) + strlen(at);
	int length = (int)strcspn(name, ";");
	int offset = atoi(strstr(ptx, barrier) + strlen(barrier));
	char *text;

	if (asprintf(&text,
		     "struct pinring_kernel_args;\n"
		     "typedef const struct pinring_kernel_args *args;\n"
		     "extern \"C\" void %.*s(args);\n"
		     "extern \"C\" { void (*pinring_hot_at)(args) = %.*s; }\n"
		     "extern \"C\" void pinring_hot_probe(void);\n"
		     "extern \"C\" void pinring_hot_probe(void) { }\n"
		     "extern \"C\" void pinring_kernel_barrier(args a);\n"
		     "extern \"C\" void pinring_kernel_barrier(args a)\n"
		     "{\n	(*(int (*const *)(args))((const char *)a + %d))(a);\n}\n"
		     "__asm__(\".pushsection .nv.info,\\\"\\\",@progbits\\n\"\n"
		     "	\".byte 4, 0x2f; .short 8; .long 0, 40\\n\"\n"
		     "	\".byte 4, 0x12; .short 8; .long 0, 64\\n.popsection\");\n",
		     length, name, length, name, offset) < 0)
		abort();
	return text;
}

/* The symbol that the records of .nv.info are about. */
static void fill_in(struct bytes *image, const char *symbol)
{
	const Elf64_Ehdr *elf = (const void *)image->data;
	const Elf64_Shdr *s = (const void *)(image->data + elf->e_shoff);
	const char *names = image->data + s[elf->e_shstrndx].sh_offset;
	uint32_t number = 0;

	for (int i = 0; i < elf->e_shnum; i++) {
		const Elf64_Sym *sym = (const void *)(image->data + s[i].sh_offset);

		for (uint32_t n = 0; s[i].sh_type == SHT_SYMTAB &&
				     n < s[i].sh_size / sizeof(*sym); n++)
			if (!strcmp(image->data + s[s[i].sh_link].sh_offset +
					    sym[n].st_name, symbol))
				number = n;
	}
	for (int i = 0; i < elf->e_shnum; i++) {
		if (strcmp(names + s[i].sh_name, ".nv.info"))
			continue;
		for (size_t at = 0; at < s[i].sh_size; at += 12)
			memcpy(image->data + s[i].sh_offset + at + 4, &number,
			       sizeof(number));
	}
}

#define LINK FAKE_LDFLAGS " -shared -Wl,-z,defs -o code object*.o "

static bool link_all(struct link *l, const char *folder)
{
	struct fake_image tail = { .magic = FAKE_IMAGE };
	char *source = l->hot ? hot_source(l->dispatch) :
				dispatch_source(l->dispatch), name[32];
	struct bytes symbols, code;

	write_all(folder, "dispatch.cc", source, strlen(source));
	free(source);
	for (int i = 0; i < l->objects; i++) {
		snprintf(name, sizeof(name), "object%d.o", i);
		write_all(folder, name, l->object[i].data, l->object[i].size);
	}
	if (!compiler(folder, FAKE_CXXFLAGS " -c dispatch.cc -o object-dispatch.o") ||
	    !compiler(folder, "-r -nostdlib -o symbols object*.o") ||
	    !compiler(folder, l->hot ? LINK FAKE_GRID : LINK FAKE_LOOP " " FAKE_GRID)) {
		l->log = read_all(folder, "log").data;
		return false;
	}
	symbols = read_all(folder, "symbols");
	if (l->hot)
		fill_in(&symbols, "pinring_hot_probe");
	code = read_all(folder, "code");
	tail.bytes = code.size;
	l->image.size = symbols.size + sizeof(tail) + code.size;
	l->image.data = malloc(l->image.size);
	memcpy(l->image.data, symbols.data, symbols.size);
	memcpy(l->image.data + symbols.size, &tail, sizeof(tail));
	memcpy(l->image.data + symbols.size + sizeof(tail), code.data, code.size);
	free(symbols.data);
	free(code.data);
	return true;
}

API int nvJitLinkComplete(struct link *l)
{
	char folder[] = "/tmp/fake-jitlink-XXXXXX";
	struct bytes key = { NULL, 0 };
	const struct bytes *made;
	bool good = true;
	FILE *f = open_memstream(&key.data, &key.size);

	fputs(l->dispatch, f);
	for (int i = 0; i < l->objects; i++)
		fwrite(l->object[i].data, 1, l->object[i].size, f);
	fclose(f);
	pthread_mutex_lock(&lock);
	made = find(&key);
	if (made) {
		l->image = copy(made);
		free(key.data);
	} else {
		if (!mkdtemp(folder))
			abort();
		good = link_all(l, folder);
		remove_folder(folder);
		if (good)
			keep(key, copy(&l->image));
		else
			free(key.data);
	}
	pthread_mutex_unlock(&lock);
	return good ? 0 : 1;
}

API int nvJitLinkGetErrorLogSize(struct link *l, size_t *size)
{
	*size = strlen(l->log) + 1;
	return 0;
}

API int nvJitLinkGetErrorLog(struct link *l, char *to)
{
	strcpy(to, l->log);
	return 0;
}

API int nvJitLinkGetLinkedCubinSize(struct link *l, size_t *size)
{
	*size = l->image.size;
	return 0;
}

API int nvJitLinkGetLinkedCubin(struct link *l, void *to)
{
	memcpy(to, l->image.data, l->image.size);
	return 0;
}
