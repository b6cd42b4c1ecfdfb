// SPDX-License-Identifier: MIT
/*
 * slots.c - where workers keep what calls have made.
 *
 * Whoever takes an fd out of a slot closes it, so that none is closed twice, and
 * no fd of somebody else's with it. Each mapping has a window of addresses, far
 * below where the kernel puts anything by itself: to unmap it twice harms nobody.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define WINDOWS 0x100000000000ull /* 16 TiB */
#define CHUNK (4ul << 20)

struct slots common;

/*
 * Memory for good, all of it zero, that a child does not get: a fork that copies
 * what only we look at takes many times as long.
 */
void *alone(size_t size)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static char *at, *end;
	void *p;

	size = (size + 15) & ~(size_t)15;
	pthread_mutex_lock(&lock);
	if (size > (size_t)(end - at)) {
		size_t room = size > CHUNK ? size : CHUNK;

		at = mmap(NULL, room, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (at == MAP_FAILED || madvise(at, room, MADV_DONTFORK)) {
			perror("# memory");
			exit(1);
		}
		end = at + room;
	}
	p = at;
	at += size;
	pthread_mutex_unlock(&lock);
	return p;
}

static void init(struct slots *s, unsigned int id)
{
	s->device = s == &common ? -1 : open("/dev/pinring", O_RDWR | O_CLOEXEC);
	for (int i = 0; i < OWN_SLOTS; i++) {
		s->used[i] = s == &common; /* where one cannot tell */
		for (int kind = 0; kind < SLOT_KINDS; kind++)
			s->fd[kind][i] = -1;
		s->window[i] = (char *)(WINDOWS + ((uint64_t)id * OWN_SLOTS +
						   (uint64_t)i) * WINDOW);
		s->memory[i] = s->window[i] + WINDOWS;
	}
	s->fd[DEVICE][0] = s->device;
}

/* w: NULL for the common ones */
void slots_init(struct worker *w, unsigned int id)
{
	init(w ? &w->slots : &common, id);
}

/* Only when nobody else uses them. */
void slots_empty(struct slots *s)
{
	for (int i = 0; i < OWN_SLOTS; i++) {
		for (int kind = 0; kind < SLOT_KINDS; kind++) {
			int fd = atomic_exchange(&s->fd[kind][i], -1);

			if (fd >= 0 && fd != s->device)
				close(fd);
		}
		if (s->used[i]) {
			munmap(s->window[i], WINDOW);
			munmap(s->memory[i], WINDOW);
		}
		s->used[i] = s == &common;
		s->readonly[i] = false;
		s->mapped[i] = 0;
	}
	s->fd[DEVICE][0] = s->device;
}

/*
 * Devices and eventfds for everybody. Returns a region's fd, or -1: with no
 * region in between, each one would cost a mount of the filesystem.
 */
int slots_fill_common(void)
{
	struct pinring_ioc_region_create c = {
		.struct_size = sizeof(c),
		.flags = PINRING_IOC_SMALL_PAGES,
		.size = SMALL,
		.node = PINRING_IOC_NODE_LOCAL,
	};

	for (int i = 0; i < OWN_SLOTS; i++) {
		common.fd[DEVICE][i] = open("/dev/pinring", O_RDWR | O_CLOEXEC);
		common.fd[EVENT][i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	return ioctl(common.fd[DEVICE][0], PINRING_IOC_REGION_CREATE, &c) ? -1 : c.fd;
}

bool slot_is_own(uint64_t slot)
{
	return slot % SLOTS < OWN_SLOTS;
}

static struct slots *slots_of(struct worker *w, uint64_t slot)
{
	return slot_is_own(slot) ? &w->slots : &common;
}

static atomic_int *place_of(struct worker *w, enum kind kind, uint64_t slot)
{
	uint64_t other = slot >> 8;

	if (other > NONE && other < MAP)
		kind = (enum kind)other;
	return &slots_of(w, slot)->fd[kind][slot % OWN_SLOTS];
}

/* -1 if there is none. */
int slot_fd(struct worker *w, enum kind kind, uint64_t slot)
{
	return *place_of(w, kind, slot);
}

/* What was there is closed. fd: -1 for no more than that. */
void slot_put_fd(struct worker *w, enum kind kind, uint64_t slot, int fd)
{
	int old = atomic_exchange(place_of(w, kind, slot), fd);

	if (old >= 0 && old != w->slots.device)
		close(old);
}

char *slot_window(struct worker *w, uint64_t slot)
{
	return slots_of(w, slot)->window[slot % OWN_SLOTS];
}

/* Something will be mapped there; returns whether something may be already. */
bool slot_use(struct worker *w, uint64_t slot)
{
	bool *used = &slots_of(w, slot)->used[slot % OWN_SLOTS], was = *used;

	*used = true;
	return was;
}

/* A value that is no slot is the address. */
char *slot_memory(struct worker *w, uint64_t slot)
{
	if (slot >= SLOTS)
		return (char *)slot;
	return slots_of(w, slot)->memory[slot % OWN_SLOTS];
}

atomic_bool *slot_readonly(struct worker *w, uint64_t slot)
{
	return &slots_of(w, slot)->readonly[slot % OWN_SLOTS];
}

atomic_ulong *slot_mapped(struct worker *w, uint64_t slot)
{
	return &slots_of(w, slot)->mapped[slot % OWN_SLOTS];
}
