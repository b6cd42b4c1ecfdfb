/* SPDX-License-Identifier: MIT */
/*
 * dynamic_host.h - faults of users' kernels in host threads (private).
 */
#ifndef PINRING_DYNAMIC_HOST_H
#define PINRING_DYNAMIC_HOST_H

#include <signal.h>

/* Once for each kernel, and back. Any thread. */
void pinring_catch_faults(void);
void pinring_let_faults(void);

/* A thread that runs kernels must not block these signals. */
void pinring_faults_to(sigset_t *set);

#endif /* PINRING_DYNAMIC_HOST_H */
