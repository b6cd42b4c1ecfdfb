// SPDX-License-Identifier: MIT
/*
 * sass CUBIN: counts, for each kernel, the instructions that the design is about:
 *
 *	NAME length=N fence_sys=N fence_gpu=N fence_sc=N invalidate=N local=N
 *	     load_weak=N load_gpu=N load_sys=N store_sys=N wide_sys=N atomic_sys=N
 *
 * There is no document of these encodings, but they are the same from sm_80 to
 * sm_100; cuda_sass.sh shows each of them kernels in which it must be counted.
 */
#include <elf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	FENCE_SYS, FENCE_GPU, FENCE_SC, INVALIDATE, LOCAL, LOAD_WEAK, LOAD_GPU, LOAD_SYS,
	STORE_SYS, WIDE_SYS, ATOMIC_SYS, COUNTS,
};

static const char *const names[COUNTS] = {
	"fence_sys", "fence_gpu", "fence_sc", "invalidate", "local", "load_weak",
	"load_gpu", "load_sys", "store_sys", "wide_sys", "atomic_sys",
};

/* Bits 64 and up of a load, store or atomic: its order and scope, its size. */
#define SCOPE(high) ((high) >> 12 & 0x1f)
#define SCOPE_WEAK 0x01
#define SCOPE_GPU 0x0f
#define SCOPE_SYS 0x15
#define SCOPE_ATOMIC_SYS 0x14
#define SIZE(high) ((high) >> 9 & 7)
#define SIZE_64 5

static void count(unsigned int *n, uint64_t low, uint64_t high)
{
	switch (low & 0xfff) {
	case 0x992: /* MEMBAR */
		n[FENCE_SC] += (high >> 12 & 0xf) == 0x3;
		n[FENCE_GPU] += (high >> 12 & 0xf) == 0xa;
		n[FENCE_SYS] += (high >> 12 & 0xf) == 0xb;
		break;
	case 0x98f: /* CCTL.IVALL */
		n[INVALIDATE]++;
		break;
	case 0x387: /* STL */
	case 0x983: /* LDL */
		n[LOCAL]++;
		break;
	case 0x980: /* LD */
	case 0x981: /* LDG */
		n[LOAD_WEAK] += SCOPE(high) == SCOPE_WEAK;
		n[LOAD_GPU] += SCOPE(high) == SCOPE_GPU;
		n[LOAD_SYS] += SCOPE(high) == SCOPE_SYS;
		n[WIDE_SYS] += SCOPE(high) == SCOPE_SYS && SIZE(high) > SIZE_64;
		break;
	case 0x985: /* ST */
	case 0x986: /* STG */
		n[STORE_SYS] += SCOPE(high) == SCOPE_SYS;
		n[WIDE_SYS] += SCOPE(high) == SCOPE_SYS && SIZE(high) > SIZE_64;
		break;
	case 0x98e: /* RED */
	case 0x9a8: /* ATOMG */
	case 0x3a9: /* ATOMG.CAS */
	case 0x38a: /* ATOM */
	case 0x38b: /* ATOM.CAS */
	case 0x98a:
		n[ATOMIC_SYS] += SCOPE(high) == SCOPE_ATOMIC_SYS;
		break;
	}
}

static void show(const char *kernel, const unsigned char *code, uint64_t bytes)
{
	unsigned int n[COUNTS] = { 0 };

	for (uint64_t i = 0; i + 16 <= bytes; i += 16) {
		uint64_t word[2];

		memcpy(word, code + i, sizeof(word));
		count(n, word[0], word[1]);
	}
	printf("%s length=%llu", kernel, (unsigned long long)bytes / 16);
	for (int i = 0; i < COUNTS; i++)
		printf(" %s=%u", names[i], n[i]);
	printf("\n");
}

static int fail(const char *file, const char *what)
{
	fprintf(stderr, "sass: %s: %s\n", file, what);
	return 2;
}

int main(int argc, char **argv)
{
	static unsigned char image[16 << 20];
	Elf64_Shdr s, strings;
	Elf64_Ehdr h;
	size_t bytes;
	FILE *f;

	if (argc != 2)
		return fail("usage", "sass CUBIN");
	f = fopen(argv[1], "rb");
	if (!f)
		return fail(argv[1], "cannot open");
	bytes = fread(image, 1, sizeof(image), f);
	fclose(f);
	memcpy(&h, image, sizeof(h));
	if (bytes < sizeof(h) || memcmp(h.e_ident, ELFMAG, SELFMAG) ||
	    h.e_shoff + (uint64_t)h.e_shnum * sizeof(s) > bytes || h.e_shstrndx >= h.e_shnum)
		return fail(argv[1], "no ELF file");
	memcpy(&strings, image + h.e_shoff + h.e_shstrndx * sizeof(s), sizeof(s));
	for (unsigned int i = 0; i < h.e_shnum; i++) {
		const char *name;

		memcpy(&s, image + h.e_shoff + i * sizeof(s), sizeof(s));
		name = (const char *)image + strings.sh_offset + s.sh_name;
		if (s.sh_type == SHT_PROGBITS && !strncmp(name, ".text.", 6) &&
		    s.sh_offset + s.sh_size <= bytes)
			show(name + 6, image + s.sh_offset, s.sh_size);
	}
	return 0;
}
