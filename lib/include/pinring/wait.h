/* SPDX-License-Identifier: MIT */
/*
 * wait.h - sleep until a ring changed; on many rings at once, of any kind.
 *
 *	waiter                                waker
 *	spin, yield while there is nothing    (publish, or give back)
 *	word |= 1                             bit 0 of word is 0: go on
 *	membarrier: every other CPU, too      it is 1:
 *	look once more; something? done         word += 1, by cmpxchg
 *	sleep while word is what it was         wake all that sleep on it
 *
 * The classic form of this has a full barrier on both sides, some 20 ns on each
 * message. Here the waiter, who is about to sleep for longer than that anyway,
 * executes it for everybody: membarrier(2), MEMBARRIER_CMD_GLOBAL_EXPEDITED,
 * for which each process that opens a ring is registered. While nobody sleeps, a
 * waker pays for one load of a line that stays in its cache. That the word counts
 * keeps a waiter that was woken before it slept from sleeping because another
 * one came since.
 *
 * A waker can die between its message and its wake: nobody sleeps longer than
 * PINRING_SLEEP_MAX_NS without looking again. Where there is no such membarrier
 * (before Linux 4.16) nobody sleeps longer than PINRING_SLEEP_BLIND_NS.
 *
 * The words are hostile territory: a peer that keeps writing them costs the
 * others system calls, and no message.
 */
#ifndef PINRING_WAIT_H
#define PINRING_WAIT_H

#include <stdbool.h>
#include <stdint.h>
#include <pinring/device.h>
#include <pinring/port.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PINRING_SLEEP_MAX_NS 64000000
#define PINRING_SLEEP_BLIND_NS 1000000
#define PINRING_WAIT_MAX 128 /* rings in one wait: what futex_waitv(2) takes */

/* One thing to wait for, and who asks; from pinring_KIND_when_*(). */
struct pinring_wait {
	__u32 *word; /* of a struct pinring_sleepers */
	/* What is stored to when it is over; NULL: more than one word. */
	const __u64 *line;
	/* Whether to stop waiting: there is something, or never will be. */
	bool (*over)(const void *side);
	/* What dead peers left behind; true: look again. NULL: nothing. */
	bool (*mend)(const void *side);
	const void *side; /* the handle: its owner waits, or nobody uses it */
	__u64 *waited; /* where the side counts its waits; NULL: nowhere */
};

/* How long to wait in which way. */
struct pinring_patience {
	uint32_t polls; /* with a pause each */
	uint32_t yields; /* then, giving the CPU away; then sleep */
};

#define PINRING_PATIENCE_POLLS 256
#define PINRING_PATIENCE_YIELDS 64

/*
 * Until one of n is over; patience NULL: as above. Returns its index, the first
 * if several are; -ETIMEDOUT; -EINVAL: n is 0 or above PINRING_WAIT_MAX. That something was there is no
 * promise that it still is: another consumer may be faster.
 */
PINRING_API int pinring_wait_any(const struct pinring_wait *waits, uint32_t n,
				 const struct pinring_patience *patience,
				 int64_t timeout_ns);

/* The slow half of pinring_wake(). */
PINRING_API void pinring_wake_all(__u32 *word);

/* After the change; any thread. Never blocks. */
PINRING_HOST_FN void pinring_wake(__u32 *word)
{
	/* The compiler keeps the order; the CPU's is the waiter's business. */
	__asm__ volatile("" ::: "memory");
	if (__builtin_expect(__atomic_load_n(word, __ATOMIC_RELAXED) & 1, 0))
		pinring_wake_all(word);
}

#ifdef __cplusplus
}
#endif

#endif /* PINRING_WAIT_H */
