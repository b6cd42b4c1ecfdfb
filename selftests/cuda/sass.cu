// SPDX-License-Identifier: MIT
/*
 * Parts of the loop as kernels of their own, for selftests/cuda_sass.sh to look at;
 * and what must not be in them, for it to see that it would see it.
 */
#include "../../gpu/team_cuda.h"

/*
 * The lanes then go by what each of them knows, and the compiler knows what that
 * is where the command is a constant: what is not done for it is not there.
 */
#define pinring_agree(value) (value)
#include "../../gpu/coordinator.h"

#define KERNEL extern "C" __global__ void

/* Polls until there is a command. */
KERNEL part_poll(__u64 *out)
{
	struct pinring_intake intake = {};
	const __u64 *words;

	while (!(words = pinring_take(&pinring_here.loop, &intake, 1)))
		__nanosleep(20);
	out[threadIdx.x] = words[0] + intake.wish;
}

/* Polls until the team has a job. */
KERNEL part_wait(void)
{
	const struct pinring_team *team = pinring_here.loop.team;
	const __u64 seen = pinring_here.jobs;

	while (pinring_gpu_load(&team->generation) == seen)
		__nanosleep(20);
}

/* All that is done for a nop, from its words on. */
KERNEL part_nop(void)
{
	const __u64 words[PINRING_SLOT_WORDS] = { 7 };

	(void)pinring_serve(&pinring_here.loop, 0, words, 0);
}

/* The same for another executor. */
KERNEL part_fed(void)
{
	const __u64 words[PINRING_SLOT_WORDS] = { 7 };

	(void)pinring_serve(&pinring_here.loop, &pinring_here.loop.feed[1], words,
			    0);
}

/* A result that fits the completion, and one in memory. */
KERNEL part_probe(void)
{
	const __u64 words[PINRING_SLOT_WORDS] = {
		7 | (__u64)PINRING_OP_WAVE_PROBE << 32, 0, 0,
		PINRING_REGION_HEADER_BYTES
	};

	(void)pinring_serve(&pinring_here.loop, 0, words, 0);
}

KERNEL part_inject(void)
{
	const __u64 words[PINRING_SLOT_WORDS] = {
		7 | (__u64)PINRING_OP_WAVE_INJECT << 32, 0, 0,
		PINRING_REGION_HEADER_BYTES
	};

	(void)pinring_serve(&pinring_here.loop, 0, words, 0);
}

/* Its answers before the state, and the state before what wakes the host. */
KERNEL part_reach(void)
{
	pinring_reach(&pinring_here.loop, PINRING_STATE_TERMINATED);
}

KERNEL bad_acquire(__u64 *word)
{
	unsigned long long v;

	do
		asm volatile("ld.acquire.sys.global.u64 %0, [%1];" : "=l"(v) : "l"(word));
	while (!v);
}

KERNEL bad_fence(__u64 *word)
{
	asm volatile("fence.acq_rel.sys;" ::: "memory");
	pinring_store_word(word, 1);
}

KERNEL bad_heavy_fence(__u64 *word)
{
	__threadfence_system();
	pinring_store_word(word, 1);
}

KERNEL bad_weak(volatile int *out, const int *in)
{
	*out = *in;
}

KERNEL bad_wide(ulonglong2 *word)
{
	asm volatile("st.volatile.global.v2.u64 [%0], {%1, %1};" : : "l"(word), "l"(7ull));
}

KERNEL bad_atomic(unsigned long long *word)
{
	atomicAdd_system(word, 1);
	word[1] = atomicCAS_system(word, 1, 2);
}

KERNEL bad_local(__u64 *p)
{
	__u64 a[64];
	int i;

	for (i = 0; i < 64; i++)
		a[i] = p[i];
	*p = a[p[64] & 63];
}
