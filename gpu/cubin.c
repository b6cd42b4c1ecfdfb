// SPDX-License-Identifier: MIT
/* cubin.c - see cubin.h. */
#include <elf.h>
#include <stdio.h>
#include <string.h>

#include "cubin.h"

struct cubin {
	const char *image;
	const Elf64_Shdr *sections;
	const Elf64_Sym *symbol;
	size_t count, section_count;
	const char *names, *section_names;
	size_t names_size, section_names_size;
};

/* Its texts end within it. */
static bool read_names(const struct cubin *c, uint32_t section,
		       const char **names, size_t *size)
{
	const Elf64_Shdr *in = &c->sections[section];

	if (section >= c->section_count || in->sh_type != SHT_STRTAB ||
	    !in->sh_size)
		return false;
	*names = c->image + in->sh_offset;
	*size = in->sh_size;
	return !(*names)[*size - 1];
}

/* False: it is no good. */
static bool open_cubin(const struct pinring_jit_object *object, struct cubin *c)
{
	const Elf64_Ehdr *elf = (const void *)object->data;
	const Elf64_Shdr *in;
	size_t i;

	memset(c, 0, sizeof(*c));
	if (object->size < sizeof(*elf) ||
	    memcmp(elf->e_ident, ELFMAG, SELFMAG) ||
	    elf->e_ident[EI_CLASS] != ELFCLASS64 ||
	    elf->e_shentsize != sizeof(*in) || elf->e_shoff % 8 ||
	    elf->e_shoff > object->size ||
	    elf->e_shnum > (object->size - elf->e_shoff) / sizeof(*in))
		return false;
	c->image = object->data;
	c->sections = (const void *)(object->data + elf->e_shoff);
	c->section_count = elf->e_shnum;
	for (i = 0; i < c->section_count; i++) {
		in = &c->sections[i];
		if (in->sh_type != SHT_NOBITS &&
		    (in->sh_offset > object->size ||
		     in->sh_size > object->size - in->sh_offset))
			return false;
	}
	if (!read_names(c, elf->e_shstrndx, &c->section_names,
			&c->section_names_size))
		return false;
	for (i = 0; i < c->section_count; i++) {
		in = &c->sections[i];
		if (in->sh_type != SHT_SYMTAB || in->sh_offset % 8)
			continue;
		c->symbol = (const void *)(object->data + in->sh_offset);
		c->count = in->sh_size / sizeof(*c->symbol);
		return read_names(c, in->sh_link, &c->names, &c->names_size);
	}
	return false;
}

bool pinring_cubin_whole(const struct pinring_jit_object *object)
{
	struct cubin c;

	return open_cubin(object, &c);
}

/* "" when it is not there for others. */
static const char *global_name(const struct cubin *c, size_t i)
{
	const Elf64_Sym *symbol = &c->symbol[i];

	return symbol->st_name < c->names_size &&
			       ELF64_ST_BIND(symbol->st_info) == STB_GLOBAL ?
		       c->names + symbol->st_name :
		       "";
}

/* And when it is not there at all. */
static const char *defined_name(const struct cubin *c, size_t i)
{
	const Elf64_Sym *symbol = &c->symbol[i];

	return symbol->st_shndx != SHN_UNDEF &&
			       symbol->st_shndx < c->section_count ?
		       global_name(c, i) :
		       "";
}

static size_t find_symbol(const struct cubin *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->count; i++)
		if (!strcmp(defined_name(c, i), name))
			break;
	return i;
}

bool pinring_cubin_read(const struct pinring_jit_object *object,
			const char *name, void *to, size_t bytes)
{
	const Elf64_Shdr *in;
	struct cubin c;
	size_t i;

	if (!open_cubin(object, &c))
		return false;
	i = find_symbol(&c, name);
	if (i == c.count)
		return false;
	in = &c.sections[c.symbol[i].st_shndx];
	if (c.symbol[i].st_size != bytes || in->sh_type == SHT_NOBITS ||
	    bytes > in->sh_size || c.symbol[i].st_value > in->sh_size - bytes)
		return false;
	memcpy(to, c.image + in->sh_offset + c.symbol[i].st_value, bytes);
	return true;
}

const char *pinring_cubin_twice(const struct pinring_jit_object *x,
				const struct pinring_jit_object *y)
{
	struct cubin cx, cy;
	size_t i;

	if (!open_cubin(x, &cx) || !open_cubin(y, &cy))
		return "";
	for (i = 0; i < cx.count; i++)
		if (defined_name(&cx, i)[0] &&
		    find_symbol(&cy, defined_name(&cx, i)) < cy.count)
			return defined_name(&cx, i);
	return "";
}

/* ------------------------------------------------------------- what it needs */
static const char *section_name(const struct cubin *c, size_t i)
{
	const Elf64_Word at = c->sections[i].sh_name;

	return at < c->section_names_size ? c->section_names + at : "";
}

/* "" if `name` does not begin so. */
static const char *after(const char *name, const char *begin)
{
	const size_t n = strlen(begin);

	return strncmp(name, begin, n) ? "" : name + n;
}

/* The records of .nv.info sections: this, and value bytes if it has words. */
struct record {
	uint8_t form, what;
	uint16_t value;
};

#define FORM_WORDS 4
#define OF_STACK 0x12 /* two words: of which symbol, and what */
#define OF_REGISTERS 0x2f /* the same */
#define OF_BARRIERS 0x4c /* a value */
/* Before that was in a record, it was in the flags of the code's section. */
#define FLAGS_BARRIERS(flags) ((uint32_t)((flags) >> 20 & 0x7f))

struct told {
	size_t entry; /* symbol */
	bool registers, stack;
};

static void read_records(const struct cubin *c, const Elf64_Shdr *in,
			 bool of_entry, struct told *told,
			 struct pinring_cubin_needs *needs)
{
	const char *at = c->image + in->sh_offset, *end = at + in->sh_size;
	uint32_t word[2];
	struct record r;

	for (; (size_t)(end - at) >= sizeof(r); at += r.value) {
		memcpy(&r, at, sizeof(r));
		at += sizeof(r);
		if (r.form != FORM_WORDS) {
			if (of_entry && r.what == OF_BARRIERS &&
			    (r.value & 0xff) > needs->barriers)
				needs->barriers = r.value & 0xff;
			r.value = 0;
			continue;
		}
		if (r.value > end - at)
			return;
		if (r.value < sizeof(word))
			continue;
		memcpy(word, at, sizeof(word));
		if (word[0] != told->entry)
			continue;
		if (r.what == OF_STACK) {
			needs->stack = word[1];
			told->stack = true;
		} else if (r.what == OF_REGISTERS) {
			needs->registers = word[1];
			told->registers = true;
		}
	}
}

static void read_section(const struct cubin *c, size_t i, const char *entry,
			 struct told *told, struct pinring_cubin_needs *needs)
{
	const Elf64_Shdr *in = &c->sections[i];
	const char *name = section_name(c, i);
	uint32_t barriers;

	if (!strcmp(name, ".nv.info") && in->sh_type != SHT_NOBITS)
		read_records(c, in, false, told, needs);
	else if (!strcmp(after(name, ".nv.info."), entry) &&
		 in->sh_type != SHT_NOBITS)
		read_records(c, in, true, told, needs);
	else if (!strcmp(after(name, ".text."), entry)) {
		barriers = FLAGS_BARRIERS(in->sh_flags);
		if (barriers > needs->barriers)
			needs->barriers = barriers;
	} else if (after(name, ".nv.shared")[0]) {
		needs->shared = true;
	} else if (after(name, ".nv.constant")[0] &&
		   !after(name, ".nv.constant0")[0]) {
		needs->constants = true;
	}
}

bool pinring_cubin_needs(const struct pinring_jit_object *object,
			 const char *entry, struct pinring_cubin_needs *needs)
{
	struct told told = { .stack = false };
	struct cubin c;
	size_t i;

	memset(needs, 0, sizeof(*needs));
	if (!open_cubin(object, &c))
		return false;
	told.entry = find_symbol(&c, entry);
	if (told.entry == c.count)
		return false;
	for (i = 0; i < c.section_count; i++)
		read_section(&c, i, entry, &told, needs);
	for (i = 0; i < c.count && !needs->outside; i++)
		if (c.symbol[i].st_shndx == SHN_UNDEF &&
		    ELF64_ST_TYPE(c.symbol[i].st_info) == STT_FUNC)
			needs->outside = global_name(&c, i);
	return told.registers && told.stack;
}
