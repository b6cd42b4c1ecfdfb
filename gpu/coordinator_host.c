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
