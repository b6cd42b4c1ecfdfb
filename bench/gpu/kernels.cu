// SPDX-License-Identifier: MIT
/* kernels.cu - all kernels of the benchmarks: one module, loaded once. */
#include "floors.cuh"
#include "push.cuh"
#include "torn.cuh"
#include "vector.cuh"
#include "wave.cuh"
