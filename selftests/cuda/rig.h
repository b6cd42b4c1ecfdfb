/* SPDX-License-Identifier: MIT */
/*
 * rig.h - a grid of gpu/loop_cuda.cu, with rings in plain memory: what the host
 * side of a CUDA executor does, without one.
 */
#ifndef RIG_H
#define RIG_H

#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <gpu/loop_cuda.h>

#include "../executor_test.h"
#include "simt.h"

#define RIG_SLOTS 64

void pinring_loop_cuda(void *self);

struct rig {
	struct pinring_control_block control;
	struct pinring_telemetry telemetry;
	struct pinring_profile profile;
	struct pinring_device_slot slots[2][RIG_SLOTS] PINRING_ALIGNED(64);
	__u64 head[2] PINRING_ALIGNED(128);
	struct pinring_attachments attachments;
	struct pinring_loop_cuda self; /* as if in device memory */
	struct pinring_device_producer commands;
	struct pinring_device_consumer completions;
	struct simt_grid *grid;
	__u64 epoch;
};

/* Rings of `capacity` slots; the workers may be more than there will be blocks. */
static inline struct rig *rig_new(__u64 capacity, __u64 workers)
{
	struct rig *r = aligned_alloc(128, (sizeof(*r) + 127) & ~127ul);
	__u64 shift = (__u64)__builtin_ctzll(capacity);

	if (!r)
		return NULL;
	memset(r, 0, sizeof(*r));
	r->commands = (struct pinring_device_producer){
		.slots = r->slots[0], .head = &r->head[0],
		.capacity = capacity, .shift = shift,
	};
	r->completions = (struct pinring_device_consumer){
		.slots = r->slots[1], .head = &r->head[1],
		.capacity = capacity, .shift = shift,
	};
	r->self.loop.commands = (struct pinring_device_consumer){
		.slots = r->slots[0], .head = &r->head[0],
		.capacity = capacity, .shift = shift,
	};
	r->self.loop.completions = (struct pinring_device_producer){
		.slots = r->slots[1], .head = &r->head[1],
		.capacity = capacity, .shift = shift,
	};
	r->self.loop.control = &r->control;
	r->self.loop.telemetry = &r->telemetry;
	r->self.loop.profile = &r->profile;
	r->self.loop.attachments = &r->attachments;
	r->self.team.workers = workers;
	r->self.team.spin_ns = 200000;
	return r;
}

static inline void rig_attach(struct rig *r, void *base, __u64 size)
{
	struct pinring_memory *m = r->attachments.memory;

	while (m->size)
		m++;
	m->base = base;
	m->first = PINRING_REGION_HEADER_BYTES;
	pinring_store_word(&m->size, size);
}

static inline bool rig_launch(struct rig *r, unsigned int blocks, unsigned int threads)
{
	r->grid = simt_launch(pinring_loop_cuda, &r->self, blocks, threads);
	return r->grid;
}

static inline void rig_wish(struct rig *r, enum pinring_state state)
{
	pinring_store_word(&r->control.wanted, ++r->epoch << 32 | (__u64)state);
}

/* To end, and be launched again. */
static inline void rig_leave(struct rig *r, enum pinring_state state)
{
	pinring_store_word(&r->control.wanted,
			   ++r->epoch << 32 | PINRING_WISH_LEAVE | (__u64)state);
}

static inline enum pinring_state rig_state(const struct rig *r)
{
	return (enum pinring_state)(uint32_t)pinring_load_word(&r->control.reached);
}

/* Whether the grid ended by itself, in time. */
static inline bool rig_ends(struct rig *r)
{
	bool ended = COMES_TRUE(!simt_running(r->grid));

	if (ended) {
		simt_join(r->grid);
		r->grid = NULL;
	}
	return ended;
}

static inline bool rig_submit(struct rig *r, const struct pinring_command *c)
{
	__u64 words[PINRING_SLOT_WORDS];

	pinring_pack_command(words, c);
	return pinring_device_send(&r->commands, words);
}

static inline bool rig_collect(struct rig *r, struct pinring_completion *done)
{
	__u64 words[PINRING_SLOT_WORDS];

	if (!pinring_device_peek(&r->completions, words))
		return false;
	pinring_device_release(&r->completions);
	pinring_unpack_completion(done, words);
	return true;
}

static inline bool rig_call(struct rig *r, const struct pinring_command *c,
			    struct pinring_completion *done)
{
	memset(done, 0, sizeof(*done));
	done->status = -1;
	return COMES_TRUE(rig_submit(r, c)) && COMES_TRUE(rig_collect(r, done));
}

/*
 * The device's stores, kept back and let go in another order. Of each block, whose
 * lanes take turns: atomic, since ThreadSanitizer takes them for threads.
 */
#define RIG_KEPT 4
static __thread struct {
	uint64_t *word;
	uint64_t value;
} rig_kept[RIG_KEPT];
static __thread unsigned int rig_stores;
static unsigned int rig_kept_back;

/* Keeps this one, and lets the one go that was kept in its place. */
static inline void rig_swap(unsigned int k, uint64_t *word, uint64_t value)
{
	uint64_t *before = __atomic_load_n(&rig_kept[k].word, __ATOMIC_RELAXED);

	if (before)
		__atomic_store_n(before,
				 __atomic_load_n(&rig_kept[k].value, __ATOMIC_RELAXED),
				 __ATOMIC_RELEASE);
	__atomic_store_n(&rig_kept[k].word, word, __ATOMIC_RELAXED);
	__atomic_store_n(&rig_kept[k].value, value, __ATOMIC_RELAXED);
}

static inline void rig_store_late(uint64_t *word, uint64_t value)
{
	unsigned int n = __atomic_fetch_add(&rig_stores, 1, __ATOMIC_RELAXED);
	unsigned int last = (n + 1) % PINRING_SLOT_WORDS == 0 ? RIG_KEPT : 0;

	rig_swap(n % RIG_KEPT, word, value);
	__atomic_add_fetch(&rig_kept_back, 1, __ATOMIC_RELAXED);
	/* With a message's last word all that is kept goes, backwards. */
	while (last--) {
		rig_swap(last, NULL, 0);
		usleep(last * 20);
	}
}

/* Ends a grid that is still there; it must. */
static inline bool rig_free(struct rig *r)
{
	bool ended = true;

	if (r->grid) {
		rig_wish(r, PINRING_STATE_TERMINATED);
		ended = rig_ends(r);
	}
	if (ended)
		free(r);
	return ended;
}

#endif /* RIG_H */
