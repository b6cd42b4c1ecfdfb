// SPDX-License-Identifier: MIT
/*
 * cover.c - which code of the module a program ran, by KCOV
 * (Documentation/dev-tools/kcov.rst): each thread has a buffer, into which the
 * kernel writes the places it passes. Of the module alone, whatever else is
 * compiled with it.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <linux/kcov.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define ENTRIES (64u << 10)
#define PLACES (1u << 20) /* more bytes of code than the module has */
#define EDGES (1u << 16)
#define IDS (PLACES + EDGES)

struct cover {
	uint64_t *area; /* how many, then the places */
	uint8_t seen[IDS / 8];
};

static uint64_t text;
static uint8_t *known; /* as struct cover's seen */
static unsigned int places;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool bit(const uint8_t *bits, uint32_t id)
{
	return bits[id / 8] & 1u << id % 8;
}

/* Whether this kernel can tell. */
bool cover_init(void)
{
	FILE *f = fopen("/sys/module/pinring/sections/.text", "re");
	unsigned long long at = 0;

	if (f) {
		if (fscanf(f, "%llx", &at) != 1)
			at = 0;
		fclose(f);
	}
	text = at;
	known = alone(IDS / 8);
	return text && access("/sys/kernel/debug/kcov", R_OK | W_OK) == 0;
}

/* For the calling thread and no other; the buffer lasts as long as we do. */
struct cover *cover_open(void)
{
	int fd = open("/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC);
	struct cover *c = alone(sizeof(*c));
	void *area = MAP_FAILED;

	if (fd >= 0 && !ioctl(fd, KCOV_INIT_TRACE, (unsigned long)ENTRIES))
		area = mmap(NULL, ENTRIES * sizeof(uint64_t), PROT_READ | PROT_WRITE,
			    MAP_SHARED, fd, 0);
	if (area == MAP_FAILED || ioctl(fd, KCOV_ENABLE, KCOV_TRACE_PC) ||
	    madvise(area, ENTRIES * sizeof(uint64_t), MADV_DONTFORK)) {
		perror("# kcov");
		exit(1);
	}
	c->area = area;
	return c;
}

void cover_start(struct cover *c)
{
	__atomic_store_n(&c->area[0], 0, __ATOMIC_RELAXED);
}

static void note(struct cover *c, struct signal *s, uint32_t id)
{
	if (bit(c->seen, id) || s->n == ARRAY_SIZE(s->id))
		return;
	c->seen[id / 8] |= (uint8_t)(1u << id % 8);
	s->id[s->n++] = id;
}

void cover_stop(struct cover *c, struct signal *s)
{
	uint64_t n = __atomic_load_n(&c->area[0], __ATOMIC_RELAXED), last = 0;

	s->n = 0;
	for (uint64_t i = 1; i <= n && i < ENTRIES; i++) {
		uint64_t place = c->area[i] - text;

		if (place >= PLACES)
			continue;
		note(c, s, (uint32_t)place);
		note(c, s, PLACES + (uint32_t)((last * 31 + place) * 0x9e3779b1u >> 8) %
				   EDGES);
		last = place;
	}
	for (uint32_t i = 0; i < s->n; i++)
		c->seen[s->id[i] / 8] = 0;
}

bool cover_new(const struct signal *s, struct signal *new, bool only_places)
{
	new->n = 0;
	pthread_mutex_lock(&lock);
	for (uint32_t i = 0; i < s->n; i++)
		if (!bit(known, s->id[i]) && (s->id[i] < PLACES || !only_places))
			new->id[new->n++] = s->id[i];
	pthread_mutex_unlock(&lock);
	return new->n > 0;
}

/* Whether all of `part` is in s. */
bool cover_has(const struct signal *s, const struct signal *part)
{
	for (uint32_t i = 0; i < part->n; i++) {
		uint32_t j = 0;

		while (j < s->n && s->id[j] != part->id[i])
			j++;
		if (j == s->n)
			return false;
	}
	return true;
}

void cover_add(const struct signal *s)
{
	pthread_mutex_lock(&lock);
	for (uint32_t i = 0; i < s->n; i++) {
		places += s->id[i] < PLACES && !bit(known, s->id[i]);
		known[s->id[i] / 8] |= (uint8_t)(1u << s->id[i] % 8);
	}
	pthread_mutex_unlock(&lock);
}

unsigned int cover_places(void)
{
	return places;
}

/* As offsets from the start of the module's code, for the host to look up. */
void cover_print(FILE *f)
{
	for (uint32_t id = 0; id < PLACES; id++)
		if (bit(known, id))
			fprintf(f, "%x\n", id);
}
