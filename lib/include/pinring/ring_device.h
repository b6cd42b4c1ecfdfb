/* SPDX-License-Identifier: MIT */
/*
 * ring_device.h - the ring between a CPU and a device: flag in data.
 *
 *            index 9, capacity 8: lap 2, slot 1
 *   slot 1:  [2|payload][2|payload][2|payload] ... [1|payload]   not yet whole
 *            [2|payload][2|payload][2|payload] ... [2|payload]   readable
 *
 * One producer, one consumer. A message is eight words of 56 bits. Every word
 * carries its lap in the top byte, so the reader needs no index from the
 * writer, no fence on the way, and no order among the words: it takes the slot
 * when all eight laps are the one it waits for. The consumer's head travels
 * back as credit, and the producer reads it only when its last copy is used up.
 *
 * Precedents, read and not copied: NCCL's LL protocol and NVSHMEM's proxy
 * channel (flag bytes in the data words); see docs/ring_device.md.
 *
 * Each side is a handle private to one thread; the shared part is only ever
 * reached through masked indices, so a hostile peer can hand over garbage but
 * cannot make either side leave the ring.
 */
#ifndef PINRING_RING_DEVICE_H
#define PINRING_RING_DEVICE_H

#include <pinring/port.h>
#include <pinring/pinring_layout.h>

/*
 * Tests define this to delay, reorder, drop or tear the stores of a slot.
 * `index` is the message's, `w` the word's place in its slot.
 */
#ifndef PINRING_FAULT_STORE
#define PINRING_FAULT_STORE(slot, w, value, index) \
	pinring_store_word(&(slot)->word[w], value)
#endif

struct pinring_device_producer {
	struct pinring_device_slot *slots;
	const __u64 *head; /* consumer's, shared */
	__u64 capacity;
	__u64 shift; /* log2(capacity) */
	__u64 index; /* next to write */
	__u64 credit; /* head as last read */
};

struct pinring_device_consumer {
	struct pinring_device_slot *slots;
	__u64 *head; /* ours, shared */
	__u64 capacity;
	__u64 shift;
	__u64 index; /* next to read */
	__u64 published; /* head as last written */
};

PINRING_FN __u64 pinring_device_lap(__u64 index, __u64 shift)
{
	return ((index >> shift) + 1) << PINRING_WORD_BITS;
}

/*
 * How many messages fit now, up to `want`. Costs a read of the peer's line only
 * when the last known credit is used up. A head that claims more was read than
 * was written is a hostile or broken peer: no room, for ever.
 */
PINRING_FN __u64 pinring_device_free(struct pinring_device_producer *p,
				     __u64 want)
{
	__u64 used = p->index - p->credit;

	if (used > p->capacity || p->capacity - used < want) {
		p->credit = pinring_load_word(p->head);
		used = p->index - p->credit;
		if (used > p->capacity)
			return 0;
	}
	return p->capacity - used < want ? p->capacity - used : want;
}

/*
 * Producer: word w of the next message, into room that pinring_device_free saw.
 * The message is sent when all its words are; the caller then moves on index.
 */
PINRING_FN void pinring_device_put(const struct pinring_device_producer *p,
				   __u32 w, __u64 payload)
{
	struct pinring_device_slot *slot =
		&p->slots[p->index & (p->capacity - 1)];

	PINRING_FAULT_STORE(slot, w,
			    (payload & PINRING_WORD_MASK) |
				    pinring_device_lap(p->index, p->shift),
			    p->index);
}

/* Producer. 1: sent; 0: no room, nothing written. Payload bits 56-63 are cut. */
PINRING_FN int pinring_device_send(struct pinring_device_producer *p,
				   const __u64 payload[PINRING_SLOT_WORDS])
{
	__u32 w;

	if (!pinring_device_free(p, 1))
		return 0;
	/* What the message refers to must be visible before the message. */
	pinring_fence_publish();
	for (w = 0; w < PINRING_SLOT_WORDS; w++)
		pinring_device_put(p, w, payload[w]);
	p->index++;
	return 1;
}

/*
 * Consumer. 1: a message is in payload; 0: none yet, or not all of its words.
 * The slot stays the consumer's until pinring_device_release.
 */
PINRING_FN int pinring_device_peek(const struct pinring_device_consumer *c,
				   __u64 payload[PINRING_SLOT_WORDS])
{
	const struct pinring_device_slot *slot =
		&c->slots[c->index & (c->capacity - 1)];
	__u64 lap = pinring_device_lap(c->index, c->shift);
	__u64 differs = 0;
	int w;

	/* The last word first: on the host it is stored last, so one miss
	 * tells an empty slot from a full one.
	 */
	for (w = PINRING_SLOT_WORDS - 1; w >= 0; w--) {
		payload[w] = pinring_load_word(&slot->word[w]) ^ lap;
		differs |= payload[w];
		if (differs >> PINRING_WORD_BITS)
			return 0;
	}
	pinring_fence_consume();
	return 1;
}

/*
 * Consumer: done with the message last peeked. Credit is written once a quarter
 * of the ring, since each write takes the line from a producer that reads it.
 */
PINRING_FN void pinring_device_release(struct pinring_device_consumer *c)
{
	c->index++;
	if (c->index - c->published >= (c->capacity + 3) / 4) {
		pinring_store_word(c->head, c->index);
		c->published = c->index;
	}
}

/* Consumer: give back everything read so far, before going to sleep. */
PINRING_FN void pinring_device_flush(struct pinring_device_consumer *c)
{
	if (c->published != c->index) {
		pinring_store_word(c->head, c->index);
		c->published = c->index;
	}
}

#endif /* PINRING_RING_DEVICE_H */
