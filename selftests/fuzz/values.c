// SPDX-License-Identifier: MIT
/*
 * values.c - values that are worth a try, by kind of argument.
 */
#include "fuzz.h"

#include <linux/mman.h>
#include <sys/mman.h>

/* The first few are what makes a call succeed; the rest is for an odd argument. */
struct choice {
	unsigned int n, good;
	const uint64_t *value;
};

#define CHOICE(_good, ...)                                              \
	{                                                               \
		.n = sizeof((uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t), \
		.good = (_good), .value = (const uint64_t[]){ __VA_ARGS__ } \
	}

#define MINUS(n) (-(uint64_t)(n))

static const struct choice choices[KINDS] = {
	[RESERVED] = CHOICE(1, 0, 1, 1u << 31, UINT32_MAX),
	/* Small ones first: a large one takes as long as a hundred of them. */
	[SIZE] = CHOICE(10, SMALL, SMALL, SMALL, 1, 1, 2 * SMALL, 2 * SMALL,
			16 * SMALL, HUGE, 2 * HUGE,
			0, SMALL - 1, SMALL + 1, HUGE - SMALL, HUGE - 1, HUGE + 1,
			HUGE + SMALL, 2 * HUGE - 1, 2 * HUGE + 1, 8 * HUGE, 1ull << 32, 1ull << 40,
			1ull << 47, 1ull << 48, (1ull << 48) + 1,
			(1ull << 52) - SMALL, 1ull << 63, (1ull << 63) + SMALL,
			(1ull << 63) - 1, MINUS(1), MINUS(128), MINUS(SMALL),
			MINUS(HUGE)),
	[LENGTH] = CHOICE(7, ALL, ALL, ALL, ALL, SMALL, HUGE, WHOLE,
			  0, 1, SMALL - 1, SMALL + 1, 2 * SMALL, HUGE - SMALL,
			  HUGE + SMALL, 2 * HUGE, 2 * HUGE + SMALL, 1ull << 40,
			  1ull << 47, 1ull << 52, 1ull << 63, MINUS(1),
			  MINUS(SMALL), MINUS(2 * SMALL), MINUS(HUGE)),
	[PAGES] = CHOICE(3, 0, 0, SMALL, 1, 2 * SMALL, HUGE, HUGE + SMALL, 1ull << 40,
			 1ull << 52, 1ull << 63, MINUS(SMALL), MINUS(HUGE)),
	[PAGE_OFFSET] = CHOICE(5, 0, 0, 0, 0, SMALL, 1, 2 * SMALL, SMALL + 128,
			       HUGE - SMALL, HUGE, HUGE + SMALL, 2 * HUGE - SMALL,
			       2 * HUGE, 1ull << 44, 1ull << 52, 1ull << 63,
			       (1ull << 63) - SMALL, MINUS(SMALL), MINUS(HUGE),
			       MINUS(2 * SMALL)),
	[OFFSET] = CHOICE(7, 0, 0, 0, 0, 256, SMALL - 256, SMALL,
			  1, 64, 127, 128, 129, 255, SMALL - 128, SMALL + 128,
			  2 * SMALL - 128, 2 * SMALL - 256, HUGE, HUGE - SMALL,
			  HUGE - 256, HUGE - 128, HUGE + 128, HUGE + SMALL,
			  2 * HUGE - SMALL, 2 * HUGE - 256, 2 * HUGE - 128,
			  2 * HUGE, 1ull << 32, 1ull << 44, 1ull << 48,
			  (1ull << 52) + 128, 1ull << 63, (1ull << 63) - SMALL,
			  MINUS(1), MINUS(128), MINUS(256), MINUS(SMALL),
			  MINUS(HUGE)),
	[NODE] = CHOICE(3, MINUS(1), 0, 1, 2, 63, 64, 1023, 1024, 1u << 20,
			MINUS(2), INT32_MAX, 1u << 31),
	[MODE] = CHOICE(4, 0, 0, 0600, 0666, 0444, 0222, 1, 0777, 01000, UINT32_MAX),
	[OWNER] = CHOICE(2, PINRING_IOC_OWNER_SELF, 0, 1, 1000, 65534, UINT32_MAX - 1),
	[SEEN] = CHOICE(5, 0, 0, 0, 1, 2, 3, 5, 1ull << 31, 1ull << 32, 1ull << 62,
			1ull << 63, (1ull << 63) + 1, MINUS(1), MINUS(2)),
	[HOW] = CHOICE(1, HOW_OWN, HOW_ZERO_TAIL, HOW_FIRST_VERSION, HOW_PAGE, HOW_TOO_SMALL, HOW_NONE,
		       HOW_TAIL, HOW_PAGE_TAIL, HOW_BEYOND_PAGE, HOW_HUGE),
	[WHERE] = CHOICE(1, WHERE_OWN, WHERE_READ_ONLY, WHERE_CUT, WHERE_NULL,
			 WHERE_KERNEL, WHERE_MAP, WHERE_COMMON_MAP),
	[PROT] = CHOICE(3, PROT_READ | PROT_WRITE, PROT_READ,
			PROT_READ | PROT_WRITE, PROT_NONE, PROT_WRITE,
			PROT_EXEC, PROT_READ | PROT_EXEC,
			PROT_READ | PROT_WRITE | PROT_EXEC),
	[SHARING] = CHOICE(4, MAP_SHARED, MAP_SHARED,
			   MAP_SHARED | MAP_POPULATE, MAP_SHARED_VALIDATE,
			   MAP_PRIVATE, MAP_PRIVATE | MAP_POPULATE,
			   MAP_SHARED | MAP_NORESERVE, MAP_SHARED | MAP_LOCKED,
			   MAP_SHARED_VALIDATE | MAP_SYNC,
			   MAP_SHARED | MAP_HUGETLB, MAP_SHARED | MAP_GROWSDOWN,
			   MAP_SHARED | MAP_DENYWRITE),
	[AT] = CHOICE(3, AT_WINDOW, AT_WINDOW, AT_SMALL_PAGE, AT_ANYWHERE),
	[MOVE] = CHOICE(2, MREMAP_MAYMOVE | MREMAP_FIXED,
			MREMAP_MAYMOVE | MREMAP_FIXED, 0,
			MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP),
	/* All but those by which root breaks memory. */
	[ADVICE] = CHOICE(8, MADV_DONTNEED, MADV_COLD, MADV_PAGEOUT, MADV_FREE,
			  MADV_REMOVE, MADV_HUGEPAGE, MADV_COLLAPSE,
			  MADV_POPULATE_WRITE, MADV_NORMAL, MADV_RANDOM,
			  MADV_WILLNEED, MADV_DONTFORK, MADV_DOFORK,
			  MADV_MERGEABLE, MADV_NOHUGEPAGE, MADV_DONTDUMP,
			  MADV_DODUMP, MADV_WIPEONFORK, MADV_KEEPONFORK,
			  MADV_POPULATE_READ, MADV_DONTNEED_LOCKED, 102, MINUS(1)),
};

const char *const names[] = {
	"",
	"a",
	"ring",
	"b.c-d_e",
	"\xc3\xa9",
	"123456789012345678901234567890123456789012345678901234567890123",
	/* refused: no end, or what would confuse */
	"1234567890123456789012345678901234567890123456789012345678901234",
	"a b",
	"a/b",
	"a\nb",
	"\177",
	" ",
};
const unsigned int nr_names = ARRAY_SIZE(names);

/* Sebastiano Vigna's splitmix64: any seed will do. */
uint64_t random_next(struct random *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

uint64_t random_below(struct random *r, uint64_t n)
{
	return random_next(r) % n;
}

bool random_one_in(struct random *r, unsigned int n)
{
	return random_below(r, n) == 0;
}

static uint64_t random_slot(struct random *r, const struct row *row,
			    const struct argument *a, bool odd)
{
	uint64_t slot = random_below(r, random_one_in(r, 6) ? SLOTS : OWN_SLOTS);
	enum kind kind = a->kind == TO ? row->makes : a->kind;

	/* An fd of a wrong kind. */
	if (odd && kind == MEMORY && a->kind != TO)
		return choices[PAGE_OFFSET].value[random_below(r, choices[PAGE_OFFSET].n)];
	if (odd && a->kind != TO && kind < MAP && random_one_in(r, 2))
		slot |= (1 + random_below(r, MAP - 1)) << 8;
	return slot;
}

static uint64_t random_flags(struct random *r, const struct row *row, bool odd)
{
	if (odd)
		return 1ull << random_below(r, 32);
	/* What is not usual takes longer. */
	return random_one_in(r, row->usual ? 6 : 3) ? random_next(r) & row->flags :
						      row->usual;
}

/* odd: one that rather fails. */
uint64_t value_random(struct random *r, const struct row *row,
		      const struct argument *a, bool odd)
{
	const struct choice *c = &choices[a->kind];

	if (a->kind < SLOT_KINDS || a->kind == TO)
		return random_slot(r, row, a, odd);
	switch (a->kind) {
	case FLAGS:
		return random_flags(r, row, odd);
	case NAME:
		return random_below(r, odd ? nr_names : 6);
	case SMALL_NUMBER:
		return random_below(r, 32);
	default:
		return c->value[random_below(r, odd ? c->n : c->good)];
	}
}

/* A number near the old one, or another one altogether. */
uint64_t value_mutated(struct random *r, const struct row *row,
		       const struct argument *a, uint64_t old)
{
	static const uint64_t steps[] = { 1, 64, 128, SMALL, HUGE };
	uint64_t step = steps[random_below(r, ARRAY_SIZE(steps))];

	if (a->kind == SIZE || a->kind == LENGTH || a->kind == OFFSET ||
	    a->kind == PAGE_OFFSET || a->kind == PAGES || a->kind == SEEN || a->kind == NODE) {
		switch (random_below(r, 6)) {
		case 0:
			return old + step;
		case 1:
			return old - step;
		case 2:
			return old ^ 1ull << random_below(r, 64);
		}
	}
	return value_random(r, row, a, random_one_in(r, 2));
}
