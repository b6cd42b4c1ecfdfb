// SPDX-License-Identifier: MIT
/*
 * loop_host.c - the loop for host threads, compiled once per instruction set:
 * the Makefile sets PINRING_LOOP_NAME, the -m flags, and -ffp-contract=off, so
 * that all of them compute the same bits.
 */
#include "team_host.h"

#include "coordinator.h"

void PINRING_LOOP_NAME(struct pinring_loop *loop, __u64 worker);

void PINRING_LOOP_NAME(struct pinring_loop *loop, __u64 worker)
{
	pinring_loop_run(loop, worker);
}
