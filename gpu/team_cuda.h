/* SPDX-License-Identifier: MIT */
/*
 * team_cuda.h - a team of blocks: lanes, waiting for work, the barrier, the
 * clock, idling.
 *
 * The first warp of block 0 coordinates. All its lanes go through the
 * coordinator's code; the first one decides and writes, and the others read the
 * command ring and write completions with it, a whole slot in one access. The
 * rest of block 0 is parked at the block's barrier, and the other blocks behind
 * their first thread, which waits for a word in device memory: a small command
 * wakes nobody.
 *
 * What waits for the host is polled relaxed, and fenced once when it has come.
 * Nothing in host memory is ever read, changed and written in one operation.
 */
#ifndef PINRING_TEAM_CUDA_H
#define PINRING_TEAM_CUDA_H

#include "loop_cuda.h"

#define PINRING_WARP 32u
#define PINRING_ALL_LANES 0xffffffffu
#define PINRING_LOOK_SLOTS (PINRING_WARP / PINRING_SLOT_WORDS)

/* Smaller jobs are done by block 0 alone. */
#ifndef PINRING_TEAM_ELEMENTS
#define PINRING_TEAM_ELEMENTS 2048
#define PINRING_TEAM_CELLS 2048
#endif

#define PINRING_IDLE_POLLS 16 /* between two looks at the clock */
#define PINRING_HEARTBEAT_NS 100000000 /* between two profiles when idle */
#define PINRING_NAP_MIN_NS 64
#define PINRING_NAP_MAX_NS 2048
#define PINRING_ABORT_NS 10000000000ull
#define PINRING_ABORT_SPINS 256 /* at a barrier, before the first doubt */

/* A block's shared memory. */
struct pinring_block {
	struct pinring_loop loop; /* block 0: the loop; others: its job */
	struct pinring_profile counts; /* block 0 */
#ifdef PINRING_DYNAMIC_LINKED
	struct pinring_kernel_args args; /* of the kernel being called */
#endif
	__u64 word[PINRING_WARP]; /* of the command ring, as last seen */
	__u64 fed[PINRING_WARP]; /* the same of another executor's commands */
	__u64 heard[PINRING_WARP]; /* and of another executor's answers */
	__u64 answer[PINRING_SLOT_WORDS]; /* on its way to the other ring */
	struct pinring_loop_cuda *self;
	__u64 jobs; /* that the whole team was given */
	__u64 barriers; /* that this block has come to */
	int stop; /* no more jobs */
	int given_up; /* at a barrier */
};

#ifdef PINRING_SIMT
#include <simt.h>
#else
static __shared__ struct pinring_block pinring_here;

PINRING_FN __u64 pinring_clock_ns(void)
{
	unsigned long long ns;

	asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(ns));
	return ns;
}

/* Words in device memory, between blocks. */
PINRING_FN __u64 pinring_gpu_load(const __u64 *word)
{
	unsigned long long v;

	asm volatile("ld.relaxed.gpu.global.u64 %0, [%1];"
		     : "=l"(v)
		     : "l"(__cvta_generic_to_global(word))
		     : "memory");
	return v;
}

/* release: what this block wrote, and what it saw written, before it. */
PINRING_FN void pinring_gpu_store(__u64 *word, __u64 value)
{
	asm volatile("st.release.gpu.global.u64 [%0], %1;"
		     :
		     : "l"(__cvta_generic_to_global(word)), "l"(value)
		     : "memory");
}

PINRING_FN void pinring_gpu_add(__u64 *word, __u64 value)
{
	asm volatile("red.release.gpu.global.add.u64 [%0], %1;"
		     :
		     : "l"(__cvta_generic_to_global(word)), "l"(value)
		     : "memory");
}

/* acquire: pairs with the two above, after a load that saw what they wrote. */
PINRING_FN void pinring_gpu_acquire(void)
{
	asm volatile("fence.acq_rel.gpu;" ::: "memory");
}
#endif

/* -------------------------------------------------------------------- lanes */
PINRING_FN __u32 pinring_lane(void)
{
	return threadIdx.x;
}

PINRING_FN int pinring_coordinates(__u64 worker)
{
	return worker == 0 && threadIdx.x < PINRING_WARP;
}

#define PINRING_COORDINATORS PINRING_WARP

PINRING_FN void pinring_together(void)
{
	__syncwarp();
}

PINRING_FN int pinring_agree(int value)
{
	return __shfl_sync(PINRING_ALL_LANES, value, 0);
}

/* Inline: what a call keeps in registers the whole loop would have to spare. */
#define PINRING_PASS PINRING_FN

#define PINRING_LANEWISE(name, dst, a, b, s0, s1, begin, end) \
	pinring_##name##_stride(dst, a, b, s0, s1, (begin) + threadIdx.x, end, \
				blockDim.x)

/* That the calling lane updates the cell, in pinring_wave_share(). */
PINRING_FN int pinring_wave_owns(const struct pinring_room *room, __u64 begin,
				 __u64 end, __u64 cell)
{
	const __u32 first = (__u32)(begin * room->nx);
	const __u32 last = (__u32)(end * room->nx);

	return cell >= first && cell < last &&
	       ((__u32)cell - first) % blockDim.x == threadIdx.x;
}

PINRING_FN void pinring_wave_share(const struct pinring_room *room, int current,
				   __u64 begin, __u64 end)
{
	pinring_wave_cells(room, current, begin, end, threadIdx.x, blockDim.x);
}

PINRING_FN __u32 pinring_group(void)
{
	return threadIdx.x / PINRING_LANES;
}

PINRING_FN __u32 pinring_groups(void)
{
	return blockDim.x / PINRING_LANES;
}

PINRING_FN int pinring_group_lead(void)
{
	return threadIdx.x % PINRING_LANES == 0;
}

/* The lanes of the caller's group: the other half of the warp may be elsewhere. */
PINRING_FN __u32 pinring_group_mask(void)
{
	return 0xffffu << (threadIdx.x & PINRING_LANES);
}

/* The tree of pinring_lanes_combine(); the first lane of the group has the sum. */
PINRING_FN double pinring_group_combine(double lane)
{
	const __u32 mask = pinring_group_mask();
	__u32 width;

	for (width = PINRING_LANES / 2; width > 0; width /= 2)
		lane += __shfl_down_sync(mask, lane, width, PINRING_LANES);
	return lane;
}

PINRING_FN double pinring_part_dot(const float *a, const float *b, __u64 begin,
				   __u64 end)
{
	return pinring_group_combine(pinring_dot_lane(
		a, b, begin, end, threadIdx.x % PINRING_LANES));
}

PINRING_FN float pinring_part_least(const float *a, __u32 flip, __u64 begin,
				    __u64 end)
{
	const __u32 mask = pinring_group_mask();
	__s32 least = pinring_least_lane(a, flip, begin, end,
					 threadIdx.x % PINRING_LANES);
	__u32 width;

	for (width = PINRING_LANES / 2; width > 0; width /= 2) {
		const __s32 other = __shfl_down_sync(mask, least, width,
						     PINRING_LANES);

		least = other < least ? other : least;
	}
	return pinring_key_float(least);
}

PINRING_FN float pinring_part_min(const float *a, __u64 begin, __u64 end)
{
	return pinring_part_least(a, 0, begin, end);
}

PINRING_FN float pinring_part_max(const float *a, __u64 begin, __u64 end)
{
	return -pinring_part_least(a, PINRING_SIGN_BIT, begin, end);
}

PINRING_FN double pinring_part_exp_shift(float *dst, const float *a, float max,
					 __u64 begin, __u64 end)
{
	return pinring_group_combine(pinring_exp_shift_lane(
		dst, a, max, begin, end, threadIdx.x % PINRING_LANES));
}

/* --------------------------------------------------------------------- team */
/* The host polls. */
PINRING_FN void pinring_announce(struct pinring_loop *loop)
{
	if (loop->bell)
		pinring_store_word(loop->bell, ++loop->rung);
}

/*
 * In another state, or falling idle. Nothing orders a ring after what it tells of,
 * short of a fence for each: a host that woke, found nothing and slept again is woken
 * by this.
 */
PINRING_FN void pinring_announce_again(struct pinring_loop *loop)
{
	pinring_fence_publish();
	pinring_announce(loop);
}

/* The host's thread of services looks for itself. */
PINRING_FN void pinring_announce_request(struct pinring_loop *loop)
{
	(void)loop;
}

/* Who looks at a feed that a GPU fills does so for itself. */
PINRING_FN void pinring_announce_forward(const struct pinring_link *link)
{
	(void)link;
}

/* While the host works: its answer takes microseconds at least. */
PINRING_FN void pinring_nap(void)
{
	__nanosleep(200);
}

/* By so many threads that call it together; whole words. */
PINRING_FN void pinring_copy(void *to, const void *from, __u64 bytes,
			     __u32 threads)
{
	pinring_pair *t = (pinring_pair *)to;
	const pinring_pair *f = (const pinring_pair *)from;
	__u64 i;

	for (i = threadIdx.x; i < bytes / sizeof(*t); i += threads)
		t[i] = f[i];
}

/* At a barrier, the coordinator alone: told to end, it waits for so long. */
PINRING_FN int pinring_loses_hope(const struct pinring_loop *loop, __u64 *since)
{
	const __u64 most = loop->team->abort_ns;
	__u64 now;

	if (!pinring_told_to_stop(loop))
		return 0;
	now = pinring_clock_ns();
	if (!*since)
		*since = now;
	return now - *since >= (most ? most : PINRING_ABORT_NS);
}

/* The first thread of each block. 1: some block will not come. */
PINRING_ONCE int pinring_team_meet(struct pinring_loop *loop, __u64 workers)
{
	struct pinring_team *team = loop->team;
	const __u64 all = ++pinring_here.barriers * workers;
	__u64 spins = 0, since = 0;

	pinring_gpu_add(&team->arrived, 1);
	while (pinring_gpu_load(&team->arrived) < all) {
		__nanosleep(20);
		if (++spins % PINRING_ABORT_SPINS)
			continue;
		if (blockIdx.x == 0 && pinring_loses_hope(loop, &since)) {
			pinring_gpu_store(&team->aborted, 1);
			pinring_here.given_up = 1;
			return 1;
		}
		if (pinring_gpu_load(&team->aborted))
			return 1;
	}
	pinring_gpu_acquire();
	return 0;
}

/* All lanes of all workers of a job. 1, in all lanes: give the job up. */
PINRING_FN int pinring_team_barrier(struct pinring_loop *loop, __u64 workers)
{
	int gives_up = 0;

	__syncthreads();
	if (workers == 1)
		return 0;
	if (threadIdx.x == 0)
		gives_up = pinring_team_meet(loop, workers);
	return __syncthreads_or(gives_up);
}

PINRING_FN int pinring_team_failed(const struct pinring_loop *loop)
{
	(void)loop;
	return pinring_here.given_up;
}

/*
 * All lanes of all blocks, once. Block 0 says that the loop runs when all have come:
 * of a grid that found room for a part of its blocks only, no job would end. Told to
 * end it waits no more, and who comes later finds nothing to do.
 */
PINRING_FN void pinring_team_muster(struct pinring_loop *loop)
{
	struct pinring_team *team = loop->team;
	__u64 spins = 0;

	if (threadIdx.x == 0) {
		pinring_here.barriers = 1;
		pinring_gpu_add(&team->arrived, 1);
	}
	if (blockIdx.x == 0 && threadIdx.x == 0) {
		pinring_beat(loop);
		while (pinring_gpu_load(&team->arrived) < team->workers) {
			__nanosleep(20);
			if (++spins % PINRING_ABORT_SPINS == 0 &&
			    pinring_told_to_stop(loop))
				break;
		}
	}
	__syncthreads();
}

/* Coordinator: let job.workers workers run the job. */
PINRING_FN void pinring_team_begin(struct pinring_loop *loop)
{
	__syncwarp();
	if (loop->job.workers > 1) {
		pinring_copy(&pinring_here.self->job, &loop->job,
			     sizeof(loop->job), PINRING_WARP);
		__syncwarp();
		if (threadIdx.x == 0)
			pinring_gpu_store(&loop->team->generation,
					  ++pinring_here.jobs);
	}
	__syncthreads();
}

/* A worker's part of the job: run.h */
#define pinring_team_run pinring_run_job

/* Coordinator: let all go. */
PINRING_FN void pinring_team_end(struct pinring_loop *loop)
{
	if (threadIdx.x == 0) {
		pinring_here.stop = 1;
		pinring_gpu_store(&loop->team->generation, PINRING_TEAM_STOP);
	}
	__syncthreads();
}

/* All but the coordinating warp: 1 when there is a job, 0 to stop. */
PINRING_FN int pinring_team_wait(struct pinring_loop *loop, __u64 worker,
				 __u64 *generation)
{
	__u64 seen;

	if (worker && threadIdx.x == 0) {
		while ((seen = pinring_gpu_load(&loop->team->generation)) ==
		       *generation)
			__nanosleep(20);
		pinring_gpu_acquire();
		*generation = seen;
		pinring_here.stop = seen == PINRING_TEAM_STOP;
	}
	__syncthreads();
	if (pinring_here.stop)
		return 0;
	if (worker) {
		pinring_copy(&loop->job, &pinring_here.self->job,
			     sizeof(loop->job), blockDim.x);
		__syncthreads();
	}
	return 1;
}

/* -------------------------------------------------------------------- rings */
/* A word a lane of the ring's next slots; one of another lap shows in the top. */
PINRING_FN __u64 pinring_slot_word(const struct pinring_device_consumer *c)
{
	const __u64 index = c->index + threadIdx.x / PINRING_SLOT_WORDS;

	return pinring_load_word(&c->slots[index & (c->capacity - 1)]
					  .word[threadIdx.x % PINRING_SLOT_WORDS]) ^
	       pinring_device_lap(index, c->shift);
}

/* How many of these slots are whole, one after another; the words go to `words`. */
PINRING_FN __u32 pinring_whole_slots(__u64 word, __u64 *words)
{
	__u32 other;

	words[threadIdx.x] = word;
	other = __ballot_sync(PINRING_ALL_LANES, word >> PINRING_WORD_BITS != 0);
	return other ? (__u32)(__ffs((int)other) - 1) / PINRING_SLOT_WORDS :
		       PINRING_LOOK_SLOTS;
}

/* As many messages as are there, of PINRING_LOOK_SLOTS, and their words. */
PINRING_FN __u32 pinring_look(const struct pinring_device_consumer *c,
			      __u64 *words)
{
	return pinring_whole_slots(pinring_slot_word(c), words);
}

PINRING_FN __u64 *pinring_heard(struct pinring_loop *loop)
{
	(void)loop;
	return pinring_here.heard;
}

/* Of a ring, at the last look. */
struct pinring_seen {
	__u64 first; /* message in the first of the slots seen */
	__u64 count; /* of these, one after another, that are whole */
};

/* What the coordinator saw of the host's side at its last look. */
struct pinring_intake {
	__u64 wish;
	__u64 looks; /* since what was seen was dropped */
	struct pinring_seen own;
	struct pinring_seen fed; /* by another executor: */
	__u64 feed;
};

PINRING_FN void pinring_intake_drop(struct pinring_intake *in)
{
	in->own.count = 0;
	in->fed.count = 0;
	in->looks = 0;
}

/* The words of the next message in hand, or NULL. The first lane reads them all. */
PINRING_FN const __u64 *pinring_in_hand(const struct pinring_device_consumer *c,
					const struct pinring_seen *seen,
					const __u64 *words)
{
	__u64 held;

	/* That lane moves the index on, before and after. */
	__syncwarp();
	held = c->index - seen->first;
	__syncwarp();
	return held < seen->count ? &words[held * PINRING_SLOT_WORDS] : 0;
}

/* The next command of another executor's, of feed in->feed. */
PINRING_FN const __u64 *pinring_take_fed(struct pinring_loop *loop,
					 struct pinring_intake *in)
{
	/* Not by loop->feeds, which the first lane may be changing by now. */
	if (!in->fed.count)
		return 0;
	return pinring_in_hand(&loop->feed[in->feed].commands, &in->fed,
			       pinring_here.fed);
}

/*
 * The next command, or NULL: there is none, or none is to be taken. One look is
 * one access by all lanes, to PINRING_LOOK_SLOTS slots and, at the same time, to
 * one of the feeds and, if it is its turn, to the host's wish. What more it brings
 * needs no other look.
 */
PINRING_FN const __u64 *pinring_take(struct pinring_loop *loop,
				     struct pinring_intake *in, int taking)
{
	const struct pinring_device_consumer *c = &loop->commands;
	const struct pinring_device_consumer *f = 0;
	const __u64 *words = pinring_in_hand(c, &in->own, pinring_here.word);
	__u64 wish = in->wish, word, fed = 0;

	if (!words) {
		if (loop->feeds && !pinring_take_fed(loop, in)) {
			in->feed = (in->feed + 1) % loop->feeds;
			in->fed.count = 0;
			if (loop->feed[in->feed].serial)
				f = &loop->feed[in->feed].commands;
		}
		in->own.first = c->index;
		if (!(in->looks++ & loop->wish_mask))
			wish = pinring_load_word(&loop->control->wanted);
		word = pinring_slot_word(c);
		if (f) {
			in->fed.first = f->index;
			fed = pinring_slot_word(f);
		}
		in->own.count = pinring_whole_slots(word, pinring_here.word);
		if (f)
			in->fed.count = pinring_whole_slots(fed, pinring_here.fed);
		in->wish = __shfl_sync(PINRING_ALL_LANES, wish, 0);
		__syncwarp();
		words = in->own.count ? pinring_here.word : 0;
	}
	if (taking)
		return words;
	pinring_intake_drop(in);
	return 0;
}

/*
 * Answers a command, eight lanes a word each; fenced: its results lie in memory.
 * 0 only if there is no room and the loop is to end: who sent the command keeps
 * fewer of them in flight than the ring has slots, so there is, unless that rule was
 * broken. Another executor that breaks it loses the answer.
 */
PINRING_FN int pinring_answer(struct pinring_loop *loop,
			      struct pinring_device_producer *to,
			      const struct pinring_completion *completion,
			      int fenced)
{
	int room = 1;

	if (threadIdx.x == 0) {
		pinring_pack_completion(pinring_here.answer, completion);
		while (!pinring_device_free(to, 1)) {
			if (to != &loop->completions || pinring_told_to_stop(loop)) {
				room = 0;
				break;
			}
			__nanosleep(PINRING_NAP_MAX_NS);
		}
	}
	if (!pinring_agree(room))
		return 0;
	__syncwarp();
	if (fenced)
		pinring_fence_publish();
	if (threadIdx.x < PINRING_SLOT_WORDS)
		pinring_device_put(to, threadIdx.x,
				   pinring_here.answer[threadIdx.x]);
	__syncwarp();
	if (threadIdx.x == 0)
		to->index++;
	return 1;
}

/* --------------------------------------------------------------------- idle */
struct pinring_idle {
	__u64 polls;
	__u64 now; /* when the clock was last read */
	__u64 last; /* and when the time before */
	__u64 since; /* when the idling began; 0: the clock was not yet read */
	__u64 spun; /* when the spinning did, or the last heartbeat */
	__u32 nap; /* 0: spinning */
	int drowsy; /* just began to nap, or to show a heartbeat */
};

PINRING_FN void pinring_idle_reset(struct pinring_idle *idle)
{
	idle->polls = 0;
	idle->since = 0;
	idle->nap = 0;
	idle->drowsy = 0;
}

/*
 * Coordinator found nothing to do. Spins for spin_ns, then naps for longer and
 * longer. 1: it has looked at the clock, which it does not do each time.
 */
PINRING_FN int pinring_idle(struct pinring_loop *loop, struct pinring_idle *idle)
{
	__nanosleep(idle->nap);
	if (++idle->polls % PINRING_IDLE_POLLS)
		return 0;
	idle->now = __shfl_sync(PINRING_ALL_LANES, pinring_clock_ns(), 0);
	if (idle->polls == PINRING_IDLE_POLLS)
		idle->spun = idle->now;
	if (idle->nap && idle->nap < PINRING_NAP_MAX_NS)
		idle->nap *= 2;
	idle->drowsy = idle->now - idle->spun >=
		       (idle->nap ? PINRING_HEARTBEAT_NS : loop->team->spin_ns);
	if (!idle->drowsy)
		return 1;
	idle->spun = idle->now;
	if (idle->nap)
		return 1;
	idle->nap = PINRING_NAP_MIN_NS;
	if (threadIdx.x == 0)
		pinring_store_word(&loop->telemetry->sleeps,
				   ++loop->counters.sleeps);
	return 1;
}

#endif /* PINRING_TEAM_CUDA_H */
