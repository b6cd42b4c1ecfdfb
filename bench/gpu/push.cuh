/* SPDX-License-Identifier: MIT */
/*
 * push.cuh - messages from the GPU to the host, in two ways.
 *
 * Ours: lap-tagged slots of the device ring, without a fence. The other one is a
 * FIFO as mscclpp's documentation describes it, written from that description: each
 * thread takes a ticket by an atomic add in GPU memory, waits until the host has
 * read what was in that slot, and stores both halves of a 16-byte trigger with
 * release at system scope; the host waits for what is not zero, and zeroes it.
 */
#include <pinring/ring_device.h>

#include "words.cuh"

/* One thread; two words a store. */
extern "C" __global__ void
bench_push_one(struct pinring_device_producer p, __u64 count, const __u64 *stop)
{
	__u64 end = p.index + count;
	__u32 w;

	while (p.index != end) {
		struct bench_pair *slot = (struct bench_pair *)
			&p.slots[p.index & (p.capacity - 1)];
		__u64 lap = pinring_device_lap(p.index, p.shift);

		while (!pinring_device_free(&p, 1)) {
			if (pinring_load_word(stop) == BENCH_STOP)
				return;
		}
		PINRING_UNROLL
		for (w = 0; w < PINRING_SLOT_WORDS; w += 2)
			bench_store_pair(slot + w / 2,
					 bench_word(p.index, w) | lap,
					 bench_word(p.index, w + 1) | lap);
		p.index++;
	}
}

struct bench_block {
	/* 9 words a message: threads that write theirs keep out of each other's
	 * banks. */
	__u64 message[BENCH_PUSH_LANES][PINRING_SLOT_WORDS + 1];
	__u64 room;
};

/*
 * A block, of a warp or more: each thread has a message, and eight threads store
 * one together, so that a slot leaves the GPU as one write. count is a multiple of
 * the threads, and the ring holds as many.
 */
extern "C" __global__ void
bench_push_block(struct pinring_device_producer p, __u64 count,
		 const __u64 *stop)
{
	BENCH_SHARED(struct bench_block, here);
	const __u32 lanes = blockDim.x, lane = threadIdx.x;
	__u64 end = p.index + count;
	__u32 w, i;

	for (; p.index != end; p.index += lanes) {
		for (w = 0; w < PINRING_SLOT_WORDS; w++)
			here.message[lane][w] = bench_word(p.index + lane, w);
		if (lane == 0) {
			while (pinring_device_free(&p, lanes) < lanes &&
			       pinring_load_word(stop) != BENCH_STOP)
				;
			here.room = pinring_device_free(&p, lanes);
		}
		__syncthreads();
		if (here.room < lanes)
			return;
		w = lane % PINRING_SLOT_WORDS;
		for (i = lane / PINRING_SLOT_WORDS; i < lanes;
		     i += lanes / PINRING_SLOT_WORDS) {
			__u64 index = p.index + i;

			pinring_store_word(
				&p.slots[index & (p.capacity - 1)].word[w],
				here.message[i][w] |
					pinring_device_lap(index, p.shift));
		}
		__syncthreads();
	}
}

/* Any number of threads, `count` messages each. */
extern "C" __global__ void bench_push_release(struct bench_fifo f, __u64 count,
					      const __u64 *stop)
{
	__u64 number = (blockIdx.x * blockDim.x + threadIdx.x) * count;
	__u64 tail = 0, end = number + count;

	while (number++ < end) {
		__u64 ticket = bench_take_ticket(f.head);

		while (ticket - tail >= f.capacity) {
			tail = pinring_load_word(f.tail);
			if (pinring_load_word(stop) == BENCH_STOP)
				return;
		}
		bench_release_pair(&f.slots[ticket & (f.capacity - 1)], number,
				   bench_second(number));
	}
}
