/* SPDX-License-Identifier: MIT */
/* code.h - the benchmarks' kernels, for cuModuleLoadData(). */
#ifndef PINRING_BENCH_CODE_H
#define PINRING_BENCH_CODE_H

extern const unsigned char bench_gpu_code[];

#endif /* PINRING_BENCH_CODE_H */
