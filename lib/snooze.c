// SPDX-License-Identifier: MIT
/*
 * snooze.c - UMWAIT (Intel SDM volume 2, WAITPKG) and MWAITX (AMD APM volume 3,
 * MONITORX) where the CPU has them, PAUSE where not.
 */
#include <pinring/port.h>

#include "snooze.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>

/*
 * TSC ticks, some 0.3 us: a change that came from a CPU which did not store to
 * the line, or that the monitor missed, is seen after that.
 */
#define TICKS 1000
#define C0_1 1 /* UMWAIT: the state that is left fastest */
#define MWAITX_C1 0
#define MWAITX_TIMER 2 /* the third operand is a limit */

enum snooze { UNKNOWN, PAUSE, UMWAIT, MWAITX };

static enum snooze how(void)
{
	/* atomic, relaxed: whoever comes first finds out; all find the same */
	static int known;
	int k = __atomic_load_n(&known, __ATOMIC_RELAXED);
	unsigned int a, b, c, d;

	if (k != UNKNOWN)
		return (enum snooze)k;
	k = PAUSE;
	if (__get_cpuid_count(7, 0, &a, &b, &c, &d) && c & 1u << 5)
		k = UMWAIT;
	else if (__get_cpuid(0x80000001, &a, &b, &c, &d) && c & 1u << 29)
		k = MWAITX;
	__atomic_store_n(&known, k, __ATOMIC_RELAXED);
	return (enum snooze)k;
}

__attribute__((target("waitpkg"))) static void
umwait(const __u64 *line, bool (*over)(const void *side), const void *side)
{
	_umonitor((void *)(uintptr_t)line);
	/* Stored to before the monitor was set: nobody would wake us. */
	if (!over(side))
		_umwait(C0_1, __rdtsc() + TICKS);
}

__attribute__((target("mwaitx"))) static void
mwaitx(const __u64 *line, bool (*over)(const void *side), const void *side)
{
	_mm_monitorx((void *)(uintptr_t)line, 0, 0);
	if (!over(side))
		_mm_mwaitx(MWAITX_TIMER, MWAITX_C1, TICKS);
}

void pinring_snooze(const __u64 *line, bool (*over)(const void *side),
		    const void *side)
{
	enum snooze k = line ? how() : PAUSE;

	if (k == UMWAIT)
		umwait(line, over, side);
	else if (k == MWAITX)
		mwaitx(line, over, side);
	else
		pinring_relax();
}

#else

void pinring_snooze(const __u64 *line, bool (*over)(const void *side),
		    const void *side)
{
	(void)line;
	(void)over;
	(void)side;
	pinring_relax();
}

#endif
