// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "simt.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define WARP 32u
#define STACK (256ul << 10)
#define SHARED (48ul << 10) /* all that CUDA gives to static variables */
#define NAPS_AWAKE 4096 /* of a block, until it sleeps */

/* gcc and clang name it otherwise. */
#if defined(__SANITIZE_THREAD__)
#define SIMT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SIMT_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SIMT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SIMT_ASAN 1
#endif
#endif

#ifdef SIMT_TSAN
#include <sanitizer/tsan_interface.h>
/* Taking turns is no order of the CUDA threads. */
#define UNSEEN __attribute__((no_sanitize("thread"), noinline))
#else
#define UNSEEN
#endif
#ifdef SIMT_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

enum waits { RUNS, ENDED, AT_BLOCK, AT_WARP, AT_VOTE, AT_SHUFFLE };

struct lane {
	void *stack_pointer;
	enum waits waits;
	uint32_t mask;
	uint64_t value;
	unsigned int from; /* of a shuffle */
	uint64_t result;
	void *tsan, *asan;
};

struct block {
	struct simt_grid *grid;
	pthread_t thread;
	unsigned int number;
	struct lane *lanes;
	unsigned int now; /* whose turn it is */
	unsigned int at_block, live;
	int any;
	void *shared;
	char *stacks;
	uint64_t naps;
	void *stack_pointer; /* of the thread itself */
	void *tsan, *asan;
	const void *own_stack;
	size_t own_stack_bytes;
	char order; /* for ThreadSanitizer: what a barrier orders */
};

struct simt_grid {
	void (*kernel)(void *);
	void *arg;
	unsigned int blocks, threads;
	unsigned int running; /* atomic */
	struct block *block;
};

void (*simt_store_hook)(uint64_t *word, uint64_t value);
void (*simt_load_hook)(const uint64_t *word);
__thread struct simt_dim threadIdx, blockIdx, blockDim, gridDim;
static __thread struct block *this_block;

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "simt: block %u, thread %u: %s\n", blockIdx.x, threadIdx.x, what);
	abort();
}

/* Saves what a call must preserve, and the stack pointer; takes on another's. */
void simt_switch(void **save, void *take);
#if defined(__x86_64__)
__asm__(".pushsection .text\n"
	".globl simt_switch\n"
	".type simt_switch, @function\n"
	"simt_switch:\n"
	"	pushq %rbp\n	pushq %rbx\n	pushq %r12\n"
	"	pushq %r13\n	pushq %r14\n	pushq %r15\n"
	"	movq %rsp, (%rdi)\n"
	"	movq %rsi, %rsp\n"
	"	popq %r15\n	popq %r14\n	popq %r13\n"
	"	popq %r12\n	popq %rbx\n	popq %rbp\n"
	"	ret\n"
	".size simt_switch, . - simt_switch\n"
	".popsection\n");
#define SAVED 6
#define SAVED_RETURN 6 /* its place above what is saved */
#elif defined(__aarch64__)
__asm__(".pushsection .text\n"
	".globl simt_switch\n"
	".type simt_switch, %function\n"
	"simt_switch:\n"
	"	sub sp, sp, #160\n"
	"	stp x19, x20, [sp]\n	stp x21, x22, [sp, #16]\n"
	"	stp x23, x24, [sp, #32]\n	stp x25, x26, [sp, #48]\n"
	"	stp x27, x28, [sp, #64]\n	stp x29, x30, [sp, #80]\n"
	"	stp d8, d9, [sp, #96]\n	stp d10, d11, [sp, #112]\n"
	"	stp d12, d13, [sp, #128]\n	stp d14, d15, [sp, #144]\n"
	"	mov x2, sp\n	str x2, [x0]\n	mov sp, x1\n"
	"	ldp x19, x20, [sp]\n	ldp x21, x22, [sp, #16]\n"
	"	ldp x23, x24, [sp, #32]\n	ldp x25, x26, [sp, #48]\n"
	"	ldp x27, x28, [sp, #64]\n	ldp x29, x30, [sp, #80]\n"
	"	ldp d8, d9, [sp, #96]\n	ldp d10, d11, [sp, #112]\n"
	"	ldp d12, d13, [sp, #128]\n	ldp d14, d15, [sp, #144]\n"
	"	add sp, sp, #160\n	ret\n"
	".size simt_switch, . - simt_switch\n"
	".popsection\n");
#define SAVED 20
#define SAVED_RETURN 11
#else
#error "simt.c: write simt_switch() for this CPU"
#endif

UNSEEN static void to_lane(struct block *b, unsigned int n)
{
	struct lane *l = &b->lanes[n];

	b->now = n;
	threadIdx.x = n;
#ifdef SIMT_TSAN
	__tsan_switch_to_fiber(l->tsan, __tsan_switch_to_fiber_no_sync);
#endif
#ifdef SIMT_ASAN
	__sanitizer_start_switch_fiber(&b->asan, b->stacks + n * STACK, STACK);
#endif
	simt_switch(&b->stack_pointer, l->stack_pointer);
#ifdef SIMT_ASAN
	__sanitizer_finish_switch_fiber(b->asan, NULL, NULL);
#endif
}

UNSEEN static void to_block(struct block *b)
{
	struct lane *l = &b->lanes[b->now];

#ifdef SIMT_TSAN
	__tsan_switch_to_fiber(b->tsan, __tsan_switch_to_fiber_no_sync);
#endif
#ifdef SIMT_ASAN
	__sanitizer_start_switch_fiber(l->waits == ENDED ? NULL : &l->asan, b->own_stack,
				       b->own_stack_bytes);
#endif
	simt_switch(&l->stack_pointer, b->stack_pointer);
#ifdef SIMT_ASAN
	__sanitizer_finish_switch_fiber(l->asan, NULL, NULL);
#endif
}

static void order_before(struct block *b)
{
#ifdef SIMT_TSAN
	__tsan_release(&b->order);
#else
	(void)b;
#endif
}

static void order_after(struct block *b)
{
#ifdef SIMT_TSAN
	__tsan_acquire(&b->order);
#else
	(void)b;
#endif
}

UNSEEN static void release_block(struct block *b)
{
	for (unsigned int i = 0; i < b->grid->threads; i++) {
		if (b->lanes[i].waits == AT_BLOCK) {
			b->lanes[i].waits = RUNS;
			b->lanes[i].result = (uint64_t)b->any;
		}
	}
	b->at_block = 0;
	b->any = 0;
	b->naps = 0;
}

UNSEEN int simt_sync_block(int value)
{
	struct block *b = this_block;
	struct lane *l = &b->lanes[b->now];

	order_before(b);
	l->waits = AT_BLOCK;
	b->any |= value != 0;
	if (++b->at_block == b->live)
		release_block(b);
	while (l->waits != RUNS)
		to_block(b);
	order_after(b);
	return (int)l->result;
}

/* The caller has come; if it is the last of its mask, all have what they came for. */
UNSEEN static void meet(struct block *b, struct lane *l)
{
	struct lane *warp = &b->lanes[b->now / WARP * WARP];
	uint32_t votes = 0, i;

	if (!(l->mask >> (b->now % WARP) & 1))
		die("not in the mask of its own operation");
	for (i = 0; i < WARP; i++) {
		if (!(l->mask >> i & 1) || warp[i].waits == ENDED)
			continue;
		if (warp[i].waits == RUNS)
			return;
		if (warp[i].waits != l->waits || warp[i].mask != l->mask)
			die("lanes of a warp meet in different operations");
		votes |= (uint32_t)(warp[i].value != 0) << i;
	}
	for (i = 0; i < WARP; i++) {
		if (!(l->mask >> i & 1) || warp[i].waits == ENDED)
			continue;
		warp[i].result = votes;
		if (l->waits == AT_SHUFFLE) {
			const struct lane *from = &b->lanes[warp[i].from];

			if (from < warp || from >= warp + WARP ||
			    !(l->mask >> (from - warp) & 1))
				die("shuffles from a lane that is not in the mask");
			warp[i].result = from->value;
		}
	}
	for (i = 0; i < WARP; i++)
		if (l->mask >> i & 1 && warp[i].waits != ENDED)
			warp[i].waits = RUNS;
}

UNSEEN static uint64_t meet_warp(enum waits what, uint32_t mask, uint64_t value,
				 unsigned int from)
{
	struct block *b = this_block;
	struct lane *l = &b->lanes[b->now];

	l->waits = what;
	l->mask = mask;
	l->value = value;
	l->from = from;
	meet(b, l);
	while (l->waits != RUNS)
		to_block(b);
	return l->result;
}

void simt_sync_warp(uint32_t mask)
{
	order_before(this_block);
	meet_warp(AT_WARP, mask, 0, 0);
	order_after(this_block);
}

uint32_t simt_vote(uint32_t mask, int value)
{
	return (uint32_t)meet_warp(AT_VOTE, mask, value != 0, 0);
}

uint64_t simt_shuffle(uint32_t mask, uint64_t value, unsigned int from)
{
	return meet_warp(AT_SHUFFLE, mask, value, from);
}

UNSEEN void simt_nap(unsigned int ns)
{
	const struct timespec rest = { .tv_nsec = 50000 };
	struct block *b = this_block;

	(void)ns;
	b->naps++;
	to_block(b);
	if (b->now % WARP)
		return;
	if (b->naps < NAPS_AWAKE)
		sched_yield();
	else
		nanosleep(&rest, NULL);
}

UNSEEN void *simt_shared(uint64_t bytes)
{
	if (bytes > SHARED)
		die("too much shared memory");
	return this_block->shared;
}

void simt_store(uint64_t *word, uint64_t value)
{
	if (simt_store_hook)
		simt_store_hook(word, value);
	else
		__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

uint64_t simt_load(const uint64_t *word)
{
	if (simt_load_hook)
		simt_load_hook(word);
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static uint64_t clock_set;

void simt_set_clock(uint64_t ns)
{
	__atomic_store_n(&clock_set, ns, __ATOMIC_RELAXED);
}

uint64_t simt_clock_ns(void)
{
	uint64_t set = __atomic_load_n(&clock_set, __ATOMIC_RELAXED);
	struct timespec t;

	if (set)
		return set;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

UNSEEN static void lane_main(void)
{
	struct block *b = this_block;
	struct lane *l = &b->lanes[b->now];

#ifdef SIMT_ASAN
	__sanitizer_finish_switch_fiber(NULL, &b->own_stack, &b->own_stack_bytes);
#endif
	b->grid->kernel(b->grid->arg);
	order_before(b);
	l->waits = ENDED;
	b->live--;
	/* Those that wait for it wait no longer. */
	if (b->live && b->at_block == b->live)
		release_block(b);
	to_block(b);
	abort();
}

UNSEEN static void *block_main(void *arg)
{
	struct block *b = arg;
	struct simt_grid *g = b->grid;
	unsigned int i;

	this_block = b;
	blockIdx.x = b->number;
	blockDim.x = g->threads;
	gridDim.x = g->blocks;
#ifdef SIMT_TSAN
	b->tsan = __tsan_get_current_fiber();
#endif
	for (i = 0; i < g->threads; i++) {
		void **top = (void **)(void *)(b->stacks + (i + 1) * STACK - 128);

		/* As if it had called simt_switch() on its way into lane_main(). */
		top -= SAVED + 2;
		memset(top, 0, SAVED * sizeof(*top));
		top[SAVED_RETURN] = (void *)lane_main;
		b->lanes[i].stack_pointer = top;
#ifdef SIMT_TSAN
		b->lanes[i].tsan = __tsan_create_fiber(0);
#endif
	}
	while (b->live) {
		bool ran = false;

		for (i = 0; i < g->threads; i++) {
			if (b->lanes[i].waits != RUNS)
				continue;
			ran = true;
			to_lane(b, i);
		}
		if (!ran)
			die("all wait for one another");
	}
	order_after(b);
#ifdef SIMT_TSAN
	for (i = 0; i < g->threads; i++)
		__tsan_destroy_fiber(b->lanes[i].tsan);
#endif
	/* release: pairs with the load in simt_running() */
	__atomic_sub_fetch(&g->running, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void free_grid(struct simt_grid *g)
{
	for (unsigned int i = 0; g->block && i < g->blocks; i++) {
		struct block *b = &g->block[i];

		if (b->stacks)
			munmap(b->stacks, g->threads * STACK);
		free(b->lanes);
		free(b->shared);
	}
	free(g->block);
	free(g);
}

struct simt_grid *simt_launch(void (*kernel)(void *), void *arg, unsigned int blocks,
			      unsigned int threads)
{
	struct simt_grid *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->kernel = kernel;
	g->arg = arg;
	g->blocks = blocks;
	g->threads = threads;
	g->running = blocks;
	g->block = calloc(blocks, sizeof(*g->block));
	for (unsigned int i = 0; g->block && i < blocks; i++) {
		struct block *b = &g->block[i];

		b->grid = g;
		b->number = i;
		b->live = threads;
		b->lanes = calloc(threads, sizeof(*b->lanes));
		b->shared = aligned_alloc(128, SHARED);
		b->stacks = mmap(NULL, threads * STACK, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (b->stacks == MAP_FAILED)
			b->stacks = NULL;
		if (!b->lanes || !b->stacks || !b->shared) {
			free_grid(g);
			return NULL;
		}
		memset(b->shared, 0xa5, SHARED);
	}
	if (!g->block) {
		free_grid(g);
		return NULL;
	}
	for (unsigned int i = 0; i < blocks; i++)
		if (pthread_create(&g->block[i].thread, NULL, block_main, &g->block[i]))
			die("no thread for a block"); /* half a grid cannot be ended */
	return g;
}

int simt_running(const struct simt_grid *g)
{
	return __atomic_load_n(&g->running, __ATOMIC_ACQUIRE) != 0;
}

void simt_join(struct simt_grid *g)
{
	for (unsigned int i = 0; i < g->blocks; i++)
		pthread_join(g->block[i].thread, NULL);
	free_grid(g);
}
