// SPDX-License-Identifier: MIT
/* The same rings, by a program whose inline code does not count. */
#define PINRING_NO_STATS
#include "ring_counts.c"
