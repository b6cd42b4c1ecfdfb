// SPDX-License-Identifier: MIT
/*
 * loop_host.c - the operations for host threads, compiled once per instruction
 * set: the Makefile sets PINRING_RUN_NAME, the -m flags, and -ffp-contract=off, so
 * that all of them compute the same bits.
 */
#include "team_host.h"

#include "run.h"

float PINRING_RUN_NAME(struct pinring_loop *loop, __u64 worker);

float PINRING_RUN_NAME(struct pinring_loop *loop, __u64 worker)
{
	return pinring_run_job(loop, worker);
}
