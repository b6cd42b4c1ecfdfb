// SPDX-License-Identifier: MIT
/*
 * push.c - messages from the GPU to the host: lap-tagged slots beside a FIFO of
 * release stores (push.cuh says what each is). The host checks every one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinring/pinring.h>
#include <pinring/ring_device.h>

#include "../../lib/internal.h"
#include "gpu.h"
#include "rows.h"
#include "shared.h"

#define CAPACITY 4096u
#define MESSAGES 65536u /* a round, at most; a multiple of BENCH_PUSH_LANES */
#define WAIT_SECONDS 20u

struct pusher {
	struct gpu gpu;
	cuda_function one, block, release;
	struct pinring_region *region; /* the ring of slots */
	struct pinring_device_producer producer; /* the GPU's, with its addresses */
	struct pinring_device_consumer consumer;
	struct bench_fifo fifo; /* likewise */
	struct bench_pair *slots;
	uint64_t *tail;
	uint64_t *stop;
	cuda_address stop_there;
	unsigned char *seen; /* by number, of the FIFO's messages */
	uint64_t pushed; /* through the ring */
	uint64_t messages; /* a round */
};

static void open_ring(struct pusher *p)
{
	struct pinring_region_config rc = pinring_region_defaults(
		PINRING_REGION_HEADER_BYTES + 65536 +
		CAPACITY * sizeof(struct pinring_device_slot));
	struct pinring_device *device;
	const struct gpu *g = &p->gpu;
	cuda_address there;
	uint64_t move;

	rc.flags = PINRING_REGION_PREFAULT;
	if (pinring_device_open(NULL, &device) ||
	    pinring_region_create(device, &rc, &p->region) ||
	    pinring_device_ring_create(p->region, "pushes", CAPACITY) ||
	    pinring_device_producer_open(p->region, "pushes", &p->producer) ||
	    pinring_device_consumer_open(p->region, "pushes", &p->consumer))
		gpu_die("%s", pinring_error());
	gpu_check(g,
		  g->cuda->host_register(p->region->base, p->region->size,
					 CUDA_REGISTER_PORTABLE |
						 CUDA_REGISTER_DEVICEMAP),
		  "register the ring");
	gpu_check(g, g->cuda->host_address(&there, p->region->base, 0),
		  "map the ring into the GPU");
	move = there - (uint64_t)(uintptr_t)p->region->base;
	p->producer.slots = (void *)((uintptr_t)p->producer.slots + move);
	p->producer.head = (void *)((uintptr_t)p->producer.head + move);
}

static void open_fifo(struct pusher *p)
{
	const struct gpu *g = &p->gpu;
	cuda_address slots, tail;

	p->slots = gpu_pinned(g, CAPACITY * sizeof(*p->slots), &slots);
	p->tail = gpu_pinned(g, 4096, &tail);
	p->fifo.slots = (struct bench_pair *)(uintptr_t)slots;
	p->fifo.tail = (const __u64 *)(uintptr_t)tail;
	p->fifo.head = (__u64 *)(uintptr_t)gpu_memory(g, 4096);
	p->fifo.capacity = CAPACITY;
	p->seen = malloc(MESSAGES + 1);
	if (!p->seen)
		gpu_die("no memory");
}

static uint64_t too_late(void)
{
	return bench_now_ns() + WAIT_SECONDS * 1000000000ull;
}

static void look_at_clock(unsigned int *polls, uint64_t *deadline)
{
	if (++*polls % (1u << 20))
		return;
	if (!*deadline)
		*deadline = too_late();
	if (bench_now_ns() > *deadline)
		gpu_die("no message for %u s", WAIT_SECONDS);
}

/* ns a message, from the first to the last. */
static double take_slots(struct pusher *p, uint64_t count)
{
	uint64_t words[PINRING_SLOT_WORDS], begin = 0, deadline = 0, i;
	unsigned int polls = 0;
	__u32 w;

	for (i = 0; i < count; i++) {
		while (!pinring_device_peek(&p->consumer, (__u64 *)words))
			look_at_clock(&polls, &deadline);
		if (!begin)
			begin = bench_now_ns();
		pinring_device_release(&p->consumer);
		for (w = 0; w < PINRING_SLOT_WORDS; w++) {
			if (words[w] != bench_word(p->pushed + i, w))
				gpu_die("message %llu came with a wrong word %u",
					(unsigned long long)i, w);
		}
	}
	pinring_device_flush(&p->consumer);
	return (double)(bench_now_ns() - begin) / (double)(count - 1);
}

static double push_slots(struct pusher *p, unsigned int threads)
{
	uint64_t count = p->messages;
	double ns;

	gpu_launch(&p->gpu, threads == 1 ? p->one : p->block, 1, threads,
		   GPU_PARAMETERS(&p->producer, &count, &p->stop_there));
	ns = take_slots(p, count);
	gpu_finish(&p->gpu, "push", WAIT_SECONDS);
	/* The kernel worked on a copy. */
	p->producer.index += count;
	p->producer.credit = p->producer.index;
	p->pushed += count;
	return ns;
}

/* The same of the FIFO; in any order, each once. */
static double take_pairs(struct pusher *p, uint64_t count)
{
	uint64_t begin = 0, deadline = 0, i;
	unsigned int polls = 0;

	for (i = 0; i < count; i++) {
		struct bench_pair *slot =
			&p->slots[*p->tail & (CAPACITY - 1)];
		uint64_t number, second;

		while (!(number = __atomic_load_n(&slot->first,
						  __ATOMIC_ACQUIRE)) ||
		       !(second = __atomic_load_n(&slot->second,
						  __ATOMIC_RELAXED)))
			look_at_clock(&polls, &deadline);
		if (!begin)
			begin = bench_now_ns();
		slot->first = 0;
		slot->second = 0;
		__atomic_store_n(p->tail, *p->tail + 1, __ATOMIC_RELEASE);
		if (number > count || second != bench_second(number) ||
		    p->seen[number]++)
			gpu_die("message %llu of the FIFO is wrong or came twice",
				(unsigned long long)number);
	}
	return (double)(bench_now_ns() - begin) / (double)(count - 1);
}

static double push_pairs(struct pusher *p, unsigned int threads)
{
	/* One alone takes 2 us each (shared/gpu.md). */
	uint64_t each = threads == 1 ? p->messages / 8 :
				       p->messages / threads;
	double ns;

	memset(p->seen, 0, MESSAGES + 1);
	gpu_launch(&p->gpu, p->release, 1, threads,
		   GPU_PARAMETERS(&p->fifo, &each, &p->stop_there));
	ns = take_pairs(p, each * threads);
	gpu_finish(&p->gpu, "push", WAIT_SECONDS);
	return ns;
}

void bench_gpu_push(const struct gpu_options *o)
{
	static const struct {
		const char *name;
		unsigned int threads;
	} sizes[] = {
		{ ROW_PUSH_ONE, 1 },
		{ ROW_PUSH_WARP, 32 },
		{ ROW_PUSH_BLOCK, BENCH_PUSH_LANES },
	};
	static struct pusher p;
	static struct row rows[3];
	struct series ratio[3] = { { .n = 0 } };
	unsigned int r, i;

	p.messages = o->quick ? MESSAGES / 16 : MESSAGES;
	gpu_open(&p.gpu, o);
	p.one = gpu_kernel(&p.gpu, "bench_push_one");
	p.block = gpu_kernel(&p.gpu, "bench_push_block");
	p.release = gpu_kernel(&p.gpu, "bench_push_release");
	p.stop = gpu_pinned(&p.gpu, 4096, &p.stop_there);
	open_ring(&p);
	open_fifo(&p);
	for (r = 0; r < o->runs; r++) {
		for (i = 0; i < 3; i++) {
			double ours = push_slots(&p, sizes[i].threads);
			double theirs = push_pairs(&p, sizes[i].threads);

			series_add(&rows[i].value, 1e3 / ours);
			series_add(&rows[i].limit, 1e3 / theirs);
			series_add(&ratio[i], theirs / ours);
		}
	}
	for (i = 0; i < 3; i++) {
		rows[i].name = sizes[i].name;
		rows[i].unit = "M/s";
		rows[i].limit_name = "release stores";
		rows[i].target = 2.0;
		rows[i].target_is_floor = true;
		rows[i].ratio = series_median(&ratio[i]);
		snprintf(rows[i].note, sizeof(rows[i].note),
			 "56 bytes a message, %.2f GB/s of payload; the other's are of 16 bytes, %.2f GB/s; all compared",
			 series_median(&rows[i].value) * 56e-3,
			 series_median(&rows[i].limit) * 16e-3);
		group_row(&rows[i]);
	}
}
