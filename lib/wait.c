// SPDX-License-Identifier: MIT
/* wait.c - spin, yield, sleep; the protocol is in wait.h. */
#define _GNU_SOURCE
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pinring/counts.h>
#include <pinring/wait.h>

#include "internal.h"
#include "snooze.h"

#define SLEEP_MIN_NS 1000000

void pinring_wait_join(void)
{
	int saved = errno;

	syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0);
	errno = saved;
}

bool pinring_wait_barrier(void)
{
	int saved = errno;
	long rc = syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);

	errno = saved;
	return rc == 0;
}

void pinring_wake_all(__u32 *word)
{
	__u32 seen = __atomic_load_n(word, __ATOMIC_RELAXED);
	int saved = errno;

	/*
	 * Who is faster than us wakes all who could have missed our change, too:
	 * they look again before they sleep again.
	 */
	if (seen & 1 &&
	    __atomic_compare_exchange_n(word, &seen, seen + 1, false,
					__ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	errno = saved;
}

static int first_over(const struct pinring_wait *w, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (w[i].over(w[i].side))
			return (int)i;
	return -EAGAIN;
}

static struct timespec timespec_of(int64_t ns)
{
	return (struct timespec){ .tv_sec = ns / 1000000000,
				  .tv_nsec = ns % 1000000000 };
}

/* Until one of the words is not what it was, or until then. */
static void sleep_on(const struct futex_waitv *many, uint32_t n, int64_t until)
{
	struct timespec t = timespec_of(until);

	if (n == 1) {
		/* As old as Linux 2.6.25; absolute time, CLOCK_MONOTONIC. */
		syscall(SYS_futex, (__u32 *)(uintptr_t)many->uaddr,
			FUTEX_WAIT_BITSET, (__u32)many->val, &t, NULL,
			FUTEX_BITSET_MATCH_ANY);
		return;
	}
	if (syscall(SYS_futex_waitv, many, n, 0, &t, CLOCK_MONOTONIC) >= 0 ||
	    errno != ENOSYS)
		return;
	/* Before Linux 5.16: nobody can wake us, so not for long. */
	until = pinring_now() + PINRING_SLEEP_BLIND_NS;
	if (until < t.tv_sec * 1000000000 + t.tv_nsec)
		t = timespec_of(until);
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

/* Announces us, looks for the last time and sleeps for at most `most`. */
static int arm_and_sleep(const struct pinring_wait *w, uint32_t n,
			 int64_t deadline, int64_t most)
{
	struct futex_waitv many[PINRING_WAIT_MAX];
	int64_t until;
	uint32_t i;
	int rc;

	memset(many, 0, n * sizeof(*many));
	for (i = 0; i < n; i++) {
		many[i].uaddr = (uintptr_t)w[i].word;
		many[i].val = __atomic_or_fetch(w[i].word, 1, __ATOMIC_SEQ_CST);
		many[i].flags = FUTEX_32;
	}
	/*
	 * Orders the bits above before the look below on this CPU, and on any
	 * other its change before its load of the word in pinring_wake().
	 */
	if (!pinring_wait_barrier() && most > PINRING_SLEEP_BLIND_NS)
		most = PINRING_SLEEP_BLIND_NS;
	rc = first_over(w, n);
	if (rc >= 0)
		return rc;
	until = pinring_now() + most;
	sleep_on(many, n, until < deadline ? until : deadline);
	return first_over(w, n);
}

static bool mend(const struct pinring_wait *w, uint32_t n)
{
	bool changed = false;
	uint32_t i;

	for (i = 0; i < n; i++)
		if (w[i].mend)
			changed |= w[i].mend(w[i].side);
	return changed;
}

static int wait_any(const struct pinring_wait *w, uint32_t n,
		    const struct pinring_patience *patience, int64_t timeout_ns)
{
	const __u64 *line = n == 1 ? w->line : NULL;
	int64_t most = SLEEP_MIN_NS;
	int64_t deadline;
	uint32_t i;
	int rc;

	rc = first_over(w, n);
	if (rc >= 0 || timeout_ns <= 0)
		return rc >= 0 ? rc : -ETIMEDOUT;
	deadline = pinring_deadline(timeout_ns);
	for (i = 0; i < n; i++)
		if (w[i].waited)
			pinring_count(w[i].waited, 1);
	for (i = 0; i < patience->polls; i++) {
		pinring_snooze(line, w->over, w->side);
		rc = first_over(w, n);
		if (rc >= 0)
			return rc;
		if (i % 64 == 63 && pinring_now() >= deadline)
			return -ETIMEDOUT;
	}
	for (i = 0; i < patience->yields; i++) {
		sched_yield();
		rc = first_over(w, n);
		if (rc >= 0)
			return rc;
		if (pinring_now() >= deadline)
			return -ETIMEDOUT;
	}
	for (;;) {
		rc = arm_and_sleep(w, n, deadline, most);
		if (rc >= 0)
			return rc;
		/* The dead wake nobody: look for them, ever more rarely. */
		if (mend(w, n))
			continue;
		if (pinring_now() >= deadline)
			return -ETIMEDOUT;
		if (most < PINRING_SLEEP_MAX_NS)
			most *= 2;
	}
}

int pinring_wait_any(const struct pinring_wait *w, uint32_t n,
		     const struct pinring_patience *patience, int64_t timeout_ns)
{
	static const struct pinring_patience usual = {
		.polls = PINRING_PATIENCE_POLLS,
		.yields = PINRING_PATIENCE_YIELDS,
	};
	int saved = errno;
	int rc;

	if (!n || n > PINRING_WAIT_MAX)
		return -EINVAL;
	rc = wait_any(w, n, patience ? patience : &usual, timeout_ns);
	errno = saved;
	return rc;
}

int pinring_wait_until(const struct pinring_wait *w, int64_t deadline)
{
	int64_t left = deadline == INT64_MAX ? PINRING_FOREVER :
					       deadline - pinring_now();
	int rc = pinring_wait_any(w, 1, NULL, left);

	if (rc == 0 && left <= 0)
		return -ETIMEDOUT;
	return rc;
}
