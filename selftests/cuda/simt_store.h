/* SPDX-License-Identifier: MIT */
/*
 * simt_store.h - included ahead of everything else: the device's stores of a ring's
 * words go through simt_store(), where a test can delay, reorder or drop them.
 */
#ifndef SIMT_STORE_H
#define SIMT_STORE_H

#include <stdint.h>

extern "C" void simt_store(uint64_t *word, uint64_t value);

#define PINRING_FAULT_STORE(slot, w, value, index) \
	simt_store((uint64_t *)&(slot)->word[w], value)

#endif /* SIMT_STORE_H */
