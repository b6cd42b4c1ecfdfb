/* SPDX-License-Identifier: MIT */
/*
 * port.h - the few words in which the executor loop and the device ring are
 * written once and compiled twice: for host threads by a C11 or C++ compiler,
 * and for a CUDA block by nvcc.
 *
 * On the host every shared word is read with acquire and written with release:
 * both are free on x86, and ThreadSanitizer understands them, which it does not
 * for stand-alone fences. On the device the words travel relaxed at system
 * scope, and the fences below do the ordering once per message instead of once
 * per poll, where an acquire would invalidate a cache.
 */
#ifndef PINRING_PORT_H
#define PINRING_PORT_H

#include <linux/types.h>

/* What only host code calls, also where nvcc compiles that. */
#define PINRING_HOST_FN static inline __attribute__((always_inline, unused))

/* One step of a spin on the host; pinring_relax() is that of either. */
PINRING_HOST_FN void pinring_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__asm__ volatile("pause" ::: "memory");
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#endif
}

#if defined(__CUDA_ARCH__) || (defined(__CUDACC__) && !defined(PINRING_PORT_HOST))

#define PINRING_FN static __device__ __forceinline__
#define PINRING_ONCE static __device__ __noinline__ /* one copy of a large one */
#define PINRING_IVDEP
/* Loads of several iterations under way at once: latency is long here. */
#define PINRING_UNROLL _Pragma("unroll 8")
#define PINRING_ROLLED

/* libcu++ atomic_ref would emit generic addressing; this stays in .global. */
PINRING_FN __u64 pinring_load_word(const __u64 *word)
{
	unsigned long long v;

	asm volatile("ld.relaxed.sys.global.u64 %0, [%1];"
		     : "=l"(v)
		     : "l"(__cvta_generic_to_global(word))
		     : "memory");
	return v;
}

PINRING_FN void pinring_store_word(__u64 *word, __u64 value)
{
	asm volatile("st.relaxed.sys.global.u64 [%0], %1;"
		     :
		     : "l"(__cvta_generic_to_global(word)), "l"(value)
		     : "memory");
}

/* Orders what was written before it ahead of the words stored after it. */
PINRING_FN void pinring_fence_publish(void)
{
	asm volatile("fence.acq_rel.sys;" ::: "memory");
}

/* Orders the words read before it ahead of what is read after it. */
PINRING_FN void pinring_fence_consume(void)
{
	asm volatile("fence.acq_rel.sys;" ::: "memory");
}

PINRING_FN void pinring_relax(void)
{
	__nanosleep(20);
}

/* The number of the highest bit set; of 0: 0. */
PINRING_FN __u32 pinring_log2(__u64 x)
{
	return 63 - (__u32)__clzll((long long)(x | 1));
}

PINRING_FN __u32 pinring_float_bits(float f)
{
	return __float_as_uint(f);
}

PINRING_FN float pinring_bits_float(__u32 u)
{
	return __uint_as_float(u);
}

#else /* host */

#define PINRING_FN PINRING_HOST_FN
#define PINRING_ONCE static __attribute__((noinline, unused))

/*
 * "Iterations touch no memory of one another." True of every elementwise loop
 * here, because the executor refuses operands that overlap without being equal.
 */
#if defined(__clang__)
#define PINRING_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define PINRING_IVDEP _Pragma("GCC ivdep")
#endif
#define PINRING_UNROLL
/*
 * Of a loop over PINRING_LANES: gcc else unrolls it before it vectorises, and then
 * finds the vectors in what it made, or not, as the code around it has it.
 */
#if defined(__GNUC__) && !defined(__clang__)
#define PINRING_ROLLED _Pragma("GCC unroll 1")
#else
#define PINRING_ROLLED
#endif

PINRING_FN __u64 pinring_load_word(const __u64 *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

PINRING_FN void pinring_store_word(__u64 *word, __u64 value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

PINRING_FN void pinring_fence_publish(void)
{
}

PINRING_FN void pinring_fence_consume(void)
{
}

PINRING_FN void pinring_relax(void)
{
	pinring_pause();
}

/* The number of the highest bit set; of 0: 0. */
PINRING_FN __u32 pinring_log2(__u64 x)
{
	return 63 - (__u32)__builtin_clzll(x | 1);
}

PINRING_FN __u32 pinring_float_bits(float f)
{
	__u32 u;

	__builtin_memcpy(&u, &f, sizeof(u));
	return u;
}

PINRING_FN float pinring_bits_float(__u32 u)
{
	float f;

	__builtin_memcpy(&f, &u, sizeof(f));
	return f;
}

#endif /* host */

/*
 * Two 32-bit fields side by side, in one access: what travels between the two
 * sides does so in words of 8 bytes.
 */
typedef __u64 __attribute__((may_alias)) pinring_pair;

PINRING_FN __u64 pinring_load_pair(const void *low)
{
	return pinring_load_word((const __u64 *)(const pinring_pair *)low);
}

PINRING_FN void pinring_store_pair(void *low, __u32 value, __u32 next)
{
	pinring_store_word((__u64 *)(pinring_pair *)low,
			   value | (__u64)next << 32);
}

#endif /* PINRING_PORT_H */
