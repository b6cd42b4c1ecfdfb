/* SPDX-License-Identifier: MIT */
#ifndef PINRING_TAKE_CPU_H
#define PINRING_TAKE_CPU_H

#include <sched.h>

/*
 * On a processor of its own, if there is one: two short-lived peers that yield
 * to one another would else stay on the same one and never truly meet.
 */
static cpu_set_t allowed;

static void __attribute__((constructor)) read_allowed(void)
{
	sched_getaffinity(0, sizeof(allowed), &allowed);
}

static void take_cpu(int n)
{
	cpu_set_t one;

	n %= CPU_COUNT(&allowed);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed) || n--)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		sched_setaffinity(0, sizeof(one), &one);
		return;
	}
}

#endif /* PINRING_TAKE_CPU_H */
