/* SPDX-License-Identifier: MIT */
/* latency.h - single operations, each timed, by rounds. */
#ifndef PINRING_BENCH_LATENCY_H
#define PINRING_BENCH_LATENCY_H

#include "gpu.h"
#include "group.h"

#define TRIPS 20000u /* a round, at most */

/*
 * One round's; the arrays' first `n` are ns, and end up sorted. accepted is 0 where
 * nobody could see it.
 */
struct trips {
	unsigned int n;
	double issued[TRIPS], accepted[TRIPS], completed[TRIPS];
};

struct trips *trips_new(void);
/* Adds the round's medians and tails to a row of columns; n begins anew. */
void trips_add(struct trips *t, struct command_row *row);

/* Two flags, one a way: what any round trip to a kernel takes at the least. */
struct pingpong {
	const struct gpu *gpu;
	cuda_function pong;
	uint64_t *in, *out; /* as the host finds them */
	cuda_address in_there, out_there;
	struct pinring_bar bar; /* base set: in lies in GPU memory */
};

void pingpong_open(struct pingpong *p, const struct gpu *g);
/* The same, the host's flag in GPU memory; false with bar.text if it cannot be. */
bool pingpong_open_bar(struct pingpong *p, const struct gpu *g);
void pingpong_run(struct pingpong *p, unsigned int count, struct trips *t);

/* A kernel of one thread, and whether it ran. */
struct launcher {
	const struct gpu *gpu;
	cuda_function mark;
	uint64_t *word;
	cuda_address word_there;
	uint64_t value;
};

void launcher_open(struct launcher *l, const struct gpu *g);
void launcher_launch(struct launcher *l);
/* Launch and cuStreamSynchronize; launch and look at the word. */
void launcher_run(struct launcher *l, unsigned int count, struct trips *t);

/* Spins until *word is `value`; ends the group after 20 s. */
void await_word(const uint64_t *word, uint64_t value, const char *what);

#endif /* PINRING_BENCH_LATENCY_H */
