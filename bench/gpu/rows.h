/* SPDX-License-Identifier: MIT */
/* rows.h - the groups, one function each; main.c says what they are. */
#ifndef PINRING_BENCH_ROWS_H
#define PINRING_BENCH_ROWS_H

#include "group.h"

void bench_gpu_probe(const struct gpu_options *o);
void bench_gpu_floors(const struct gpu_options *o);
void bench_gpu_command(const struct gpu_options *o);
void bench_gpu_link(const struct gpu_options *o);
void bench_gpu_push(const struct gpu_options *o);
void bench_gpu_torn(const struct gpu_options *o);
void bench_gpu_mixed(const struct gpu_options *o);
void bench_gpu_frame(const struct gpu_options *o);
void bench_gpu_room(const struct gpu_options *o);
void bench_gpu_vector(const struct gpu_options *o);
void bench_gpu_bandwidth(const struct gpu_options *o);
void bench_gpu_hazards(const struct gpu_options *o);
void bench_gpu_barrier(const struct gpu_options *o);

/* Names that main.c owes and the groups report: written once. */
#define ROW_NOP "nop, submit to completion, p50"
#define ROW_NOP_LAUNCH "nop beside launch and synchronise"
#define ROW_NOP_TAIL "nop, p99.9 beside p50"
#define ROW_ISSUE "inject, issued"
#define ROW_LINK_TRIP "nop over a link, there and back"
#define ROW_LINK_RATE "nop over a link, in a row, each"
#define ROW_PUSH_ONE "push, a thread"
#define ROW_PUSH_WARP "push, a warp"
#define ROW_PUSH_BLOCK "push, a block of 256"
#define ROW_WORDS_TORN "8-byte words torn"
#define ROW_MIXED "mixed 64^3, an iteration"
#define ROW_FRAME "60 FPS 64^3, operations a frame"
#define ROW_ROOM "room 64^3 at 48 kHz, times real time"
#define ROW_REGISTER "a kernel registered while the executor runs"
#define ROW_HOT "another one, with PINRING_REGISTER_HOT"
#define ROW_ADD_1M "add of 1 M floats in GPU memory"
#define ROW_ADD_16M "add of 16 M floats in GPU memory"
#define ROW_ADD_64M "add of 64 M floats in GPU memory"

#endif /* PINRING_BENCH_ROWS_H */
