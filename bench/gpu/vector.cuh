/* SPDX-License-Identifier: MIT */
/* vector.cuh - adding vectors as one launches it: four floats an access. */

extern "C" __global__ void bench_add(float *__restrict__ dst,
				     const float *__restrict__ a,
				     const float *__restrict__ b,
				     unsigned long long n)
{
	const unsigned long long stride =
		(unsigned long long)gridDim.x * blockDim.x;
	unsigned long long first =
		(unsigned long long)blockIdx.x * blockDim.x + threadIdx.x;
	unsigned long long i;

	for (i = first; i < n / 4; i += stride) {
		float4 x = ((const float4 *)a)[i], y = ((const float4 *)b)[i];

		((float4 *)dst)[i] = make_float4(x.x + y.x, x.y + y.y,
						 x.z + y.z, x.w + y.w);
	}
	for (i = n / 4 * 4 + first; i < n; i += stride)
		dst[i] = a[i] + b[i];
}

/* Operands that were made where they are. */
extern "C" __global__ void bench_fill(float *dst, float value,
				      unsigned long long n)
{
	const unsigned long long stride =
		(unsigned long long)gridDim.x * blockDim.x;
	unsigned long long i;

	for (i = (unsigned long long)blockIdx.x * blockDim.x + threadIdx.x;
	     i < n; i += stride)
		dst[i] = value + (float)(i % 1024);
}
