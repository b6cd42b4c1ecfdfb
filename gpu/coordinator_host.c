// SPDX-License-Identifier: MIT
/*
 * coordinator_host.c - the loop for host threads, once for all instruction sets:
 * only what is computed is worth more than one.
 */
#include "team_host.h"

#include "coordinator.h"

void pinring_loop_host(struct pinring_loop *loop, __u64 worker)
{
	pinring_loop_run(loop, worker);
}

int pinring_gate_meet(struct pinring_gate *gate, __u64 workers,
		      const __u64 *fault)
{
	const __u64 phase = __atomic_load_n(&gate->phase, __ATOMIC_RELAXED);
	__u64 spins = 0;

	/* acq_rel: the last to arrive has seen what all others wrote before. */
	if (__atomic_add_fetch(&gate->arrived, 1, __ATOMIC_ACQ_REL) == workers) {
		__atomic_store_n(&gate->arrived, 0, __ATOMIC_RELAXED);
		/* release: pairs with the acquire below */
		__atomic_store_n(&gate->phase, phase + 1, __ATOMIC_RELEASE);
		return 0;
	}
	while (__atomic_load_n(&gate->phase, __ATOMIC_ACQUIRE) == phase) {
		if (fault && __atomic_load_n(fault, __ATOMIC_RELAXED))
			return 1;
		if (++spins < PINRING_TEAM_SPINS)
			pinring_relax();
		else
			sched_yield();
	}
	return 0;
}
