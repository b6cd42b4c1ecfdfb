/* SPDX-License-Identifier: MIT */
/*
 * kernel.h - what a user writes to make an operation of an executor.
 *
 *	#include <pinring/kernel.h>
 *
 *	PINRING_KERNEL(blend)
 *	{
 *		PINRING_EACH(i, args->count)
 *			dst[i] = a[i] * s0 + b[i] * (1 - s0);
 *	}
 *
 * The same file for host threads (a C compiler) and for a GPU (nvcc or NVRTC,
 * which have no system headers, so this one includes nothing). In the body there
 * are dst, a, b (float), s0, s1, aux and args, which are the command's. Every
 * worker of the team calls the body, on a GPU with every lane of its block;
 * PINRING_EACH gives each its share. Before that the executor has checked that
 * count elements lie behind each operand, and that dst is equal to a or b or
 * apart from it.
 */
#ifndef PINRING_KERNEL_H
#define PINRING_KERNEL_H

#define PINRING_KERNEL_ABI 1u

/* Operands a kernel needs; the others are NULL, whatever the command says. */
#define PINRING_KERNEL_DST 1u
#define PINRING_KERNEL_A 2u
#define PINRING_KERNEL_B 4u

struct pinring_kernel_args {
	void *dst;
	const void *a, *b;
	unsigned long long count, aux;
	float s0, s1;
	unsigned long long worker, workers; /* this one, of how many */
	/* Of host threads; and on a GPU, of what came while the loop ran. */
	void (*barrier)(const struct pinring_kernel_args *args);
	void *team; /* the executor's */
};

/* One beside each kernel, so that an executor refuses what is of another ABI. */
struct pinring_kernel_abi {
	unsigned int version; /* PINRING_KERNEL_ABI */
	unsigned int abi_bytes; /* of this struct */
	unsigned int args_bytes; /* of struct pinring_kernel_args */
	unsigned int element_bytes, element_align; /* of dst, a and b */
	unsigned int operands; /* PINRING_KERNEL_DST, _A, _B */
	unsigned int reserved[2];
};

#if defined(__CUDACC__) && !defined(PINRING_PORT_HOST)

#define PINRING_KERNEL_STATIC static __device__ __attribute__((unused))
#define PINRING_KERNEL_EXTERN extern "C" __device__
#define PINRING_KERNEL_HERE __device__

/* In the loop that the kernel is linked with. */
extern "C" __device__ void
pinring_kernel_barrier(const struct pinring_kernel_args *args);

#define PINRING_KERNEL_BARRIER pinring_kernel_barrier(args)
#define PINRING_KERNEL_FIRST(n) \
	(args->worker * (unsigned long long)blockDim.x + threadIdx.x)
#define PINRING_KERNEL_END(n) (n)
#define PINRING_KERNEL_STEP (args->workers * (unsigned long long)blockDim.x)

#else

#define PINRING_KERNEL_STATIC static __attribute__((unused))
#define PINRING_KERNEL_VISIBLE __attribute__((visibility("default")))
#ifdef __cplusplus
#define PINRING_KERNEL_EXTERN extern "C" PINRING_KERNEL_VISIBLE
#else
#define PINRING_KERNEL_EXTERN extern PINRING_KERNEL_VISIBLE
#endif
#define PINRING_KERNEL_HERE

/* Where the share of `worker` begins: on a multiple of 16 elements. */
PINRING_KERNEL_STATIC inline unsigned long long
pinring_kernel_share(const struct pinring_kernel_args *args,
		     unsigned long long n, unsigned long long worker)
{
	unsigned long long blocks = n / 16, all = args->workers;

	if (worker == all)
		return n;
	return (blocks / all * worker + blocks % all * worker / all) * 16;
}

#define PINRING_KERNEL_BARRIER args->barrier(args)
#define PINRING_KERNEL_FIRST(n) pinring_kernel_share(args, (n), args->worker)
#define PINRING_KERNEL_END(n) pinring_kernel_share(args, (n), args->worker + 1)
#define PINRING_KERNEL_STEP 1u

#endif

/* for every i below n that is this worker's and this lane's */
#define PINRING_EACH(i, n)						\
	for (unsigned long long i = PINRING_KERNEL_FIRST(n),		\
				i##_end = PINRING_KERNEL_END(n);	\
	     i < i##_end; i += PINRING_KERNEL_STEP)

/*
 * What any worker wrote before it, all of them read after it. Every worker and
 * lane has to come here, or none.
 */
#define PINRING_BARRIER() PINRING_KERNEL_BARRIER

/* A kernel of other elements than float, or of fewer operands than three. */
#define PINRING_KERNEL_OF(name, type, needs)				\
	PINRING_KERNEL_STATIC void pinring_kernel_body_##name(		\
		const struct pinring_kernel_args *, type *,		\
		const type *, const type *, float, float,		\
		unsigned long long);					\
	PINRING_KERNEL_EXTERN						\
	const struct pinring_kernel_abi pinring_kernel_abi_##name;	\
	PINRING_KERNEL_HERE						\
	const struct pinring_kernel_abi pinring_kernel_abi_##name = {	\
		PINRING_KERNEL_ABI, sizeof(struct pinring_kernel_abi),	\
		sizeof(struct pinring_kernel_args), sizeof(type),	\
		__alignof__(type), (needs), { 0, 0 }			\
	};								\
	PINRING_KERNEL_EXTERN						\
	void pinring_kernel_##name(const struct pinring_kernel_args *);	\
	PINRING_KERNEL_HERE						\
	void pinring_kernel_##name(const struct pinring_kernel_args *args) \
	{								\
		pinring_kernel_body_##name(				\
			args, (type *)args->dst, (const type *)args->a,	\
			(const type *)args->b, args->s0, args->s1,	\
			args->aux);					\
	}								\
	PINRING_KERNEL_STATIC void pinring_kernel_body_##name(		\
		const struct pinring_kernel_args *args			\
			__attribute__((unused)),			\
		type *dst __attribute__((unused)),			\
		const type *a __attribute__((unused)),			\
		const type *b __attribute__((unused)),			\
		float s0 __attribute__((unused)),			\
		float s1 __attribute__((unused)),			\
		unsigned long long aux __attribute__((unused)))

#define PINRING_KERNEL(name)						\
	PINRING_KERNEL_OF(name, float,					\
			  PINRING_KERNEL_DST | PINRING_KERNEL_A |	\
				  PINRING_KERNEL_B)

#endif /* PINRING_KERNEL_H */
