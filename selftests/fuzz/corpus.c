// SPDX-License-Identifier: MIT
/*
 * corpus.c - programs that reached something that none before did. The one we
 * are built with is selftests/fuzz/corpus.
 */
#include "fuzz.h"

#include <pthread.h>

#define PROGRAMS 4096

struct kept {
	struct program program;
	struct signal *signal; /* cut to its size; NULL without coverage */
	uint64_t took; /* ns of CPU, by a call of it */
};

/* The files of selftests/fuzz/corpus, one after another, and a zero. */
__asm__(".section .rodata\n"
	".globl corpus_text\n"
	"corpus_text:\n"
	".incbin \"" CORPUS "\"\n"
	".byte 0\n"
	".previous\n");
extern const char corpus_text[];

static struct kept *kept; /* PROGRAMS of them */
static unsigned int nr_kept;
static const char *seeds; /* what is left of the text; NULL: nothing */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Each is run first; guided, it is kept only if it reaches something new. */
void corpus_load(void)
{
	kept = alone(PROGRAMS * sizeof(*kept));
	seeds = corpus_text;
}

bool corpus_take_seed(struct program *p)
{
	bool got;

	p->n = 0;
	pthread_mutex_lock(&lock);
	while (seeds && !p->n)
		seeds = program_parse(seeds, p);
	got = p->n > 0;
	pthread_mutex_unlock(&lock);
	return got;
}

void corpus_add(const struct program *p, const struct signal *s, uint64_t took)
{
	struct signal *copy = NULL;

	if (s) {
		size_t size = offsetof(struct signal, id) + s->n * sizeof(s->id[0]);

		copy = alone(size);
		memcpy(copy, s, size);
	}
	pthread_mutex_lock(&lock);
	if (nr_kept < PROGRAMS)
		kept[nr_kept++] = (struct kept){ *p, copy, took / p->n };
	pthread_mutex_unlock(&lock);
}

/*
 * Any, but rather one that is done soon: of a huge page, a fork, or a knob that puts
 * pages by, comes a hundred times the work of other calls, and nothing new each time.
 */
bool corpus_pick(struct random *r, struct program *p)
{
	bool any;

	pthread_mutex_lock(&lock);
	any = nr_kept > 0;
	if (any) {
		const struct kept *one = &kept[random_below(r, nr_kept)];
		const struct kept *other = &kept[random_below(r, nr_kept)];

		*p = one->took < other->took ? one->program : other->program;
	}
	pthread_mutex_unlock(&lock);
	return any;
}

unsigned int corpus_size(void)
{
	return nr_kept;
}

/* Of what a program reaches, how much no printed one does. */
static unsigned int adds(const struct signal *s, const uint8_t *done)
{
	unsigned int n = 0;

	for (uint32_t i = 0; s && i < s->n; i++)
		n += !done[s->id[i]];
	return n;
}

/*
 * As few programs as together reach all: the one that adds most, again and again.
 * None ever adds more than it once did, so few need be looked at each time.
 */
unsigned int corpus_print(FILE *f)
{
	static unsigned int most[PROGRAMS]; /* that each may add */
	static uint8_t done[1u << 21];
	unsigned int printed = 0;
	char text[TEXT];

	for (unsigned int i = 0; i < nr_kept; i++)
		most[i] = adds(kept[i].signal, done);
	for (;;) {
		unsigned int best = 0, before;

		for (unsigned int i = 1; i < nr_kept; i++)
			if (most[i] > most[best])
				best = i;
		before = most[best];
		if (!before)
			return printed;
		most[best] = adds(kept[best].signal, done);
		if (most[best] < before)
			continue;
		for (uint32_t i = 0; i < kept[best].signal->n; i++)
			done[kept[best].signal->id[i]] = 1;
		most[best] = 0;
		program_print(&kept[best].program, text, sizeof(text));
		fprintf(f, "%s\n", text);
		printed++;
	}
}
