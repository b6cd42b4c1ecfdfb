// SPDX-License-Identifier: MIT
/*
 * torn.c - the hunt for torn reads: 16 bytes that one instruction stores, read by
 * one instruction on the other side. The protocol relies on 8 bytes only.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include <pinring/port.h>

#include "latency.h"
#include "rows.h"
#include "shared.h"

#define LANES 256u

struct hunt {
	struct gpu gpu;
	cuda_function reader, writer;
	struct bench_pair *pairs;
	uint64_t *stop, *result;
	cuda_address pairs_there, stop_there, result_there;
};

struct bag {
	uint64_t looks, pairs, words;
};

/* One instruction each, where the machine has one of 16 bytes. */
static void store_pair(struct bench_pair *at, uint64_t v)
{
#ifdef __SSE2__
	typedef long long pair __attribute__((vector_size(16)));
	const pair both = { (long long)v, (long long)v };

	__asm__ volatile("movdqa %1, %0" : "=m"(*at) : "x"(both));
#else
	__atomic_store_n(&at->first, v, __ATOMIC_RELAXED);
	__atomic_store_n(&at->second, v, __ATOMIC_RELAXED);
#endif
}

static struct bench_pair load_pair(const struct bench_pair *at)
{
	struct bench_pair v;
#ifdef __SSE2__
	typedef long long pair __attribute__((vector_size(16)));
	pair both;

	__asm__ volatile("movdqa %1, %0" : "=x"(both) : "m"(*at));
	memcpy(&v, &both, sizeof(v));
#else
	v.first = __atomic_load_n(&at->first, __ATOMIC_RELAXED);
	v.second = __atomic_load_n(&at->second, __ATOMIC_RELAXED);
#endif
	return v;
}

static void let_go(struct hunt *h)
{
	__atomic_store_n(h->stop, BENCH_STOP, __ATOMIC_RELEASE);
	gpu_finish(&h->gpu, "the hunt for torn reads", 20);
	*h->stop = 0;
}

static void gpu_reads(struct hunt *h, uint64_t ns, struct bag *bag)
{
	uint64_t end = bench_now_ns() + ns, n = 0;
	unsigned int i;

	memset(h->pairs, 0, BENCH_PAIRS * sizeof(*h->pairs));
	gpu_launch(&h->gpu, h->reader, 1, LANES,
		   GPU_PARAMETERS(&h->pairs_there, &h->result_there,
				  &h->stop_there));
	while (bench_now_ns() < end) {
		for (i = 0; i < 4096; i++, n++)
			store_pair(&h->pairs[n % BENCH_PAIRS],
				   n << 32 | (n & 0xffffffff));
	}
	let_go(h);
	for (i = 0; i < LANES; i++) {
		bag->looks += h->result[3 * i];
		bag->pairs += h->result[3 * i + 1];
		bag->words += h->result[3 * i + 2];
	}
}

static void host_reads(struct hunt *h, uint64_t ns, struct bag *bag)
{
	uint64_t end = bench_now_ns() + ns;
	unsigned int i;

	memset(h->pairs, 0, BENCH_PAIRS * sizeof(*h->pairs));
	gpu_launch(&h->gpu, h->writer, 1, 1,
		   GPU_PARAMETERS(&h->pairs_there, &h->stop_there));
	while (bench_now_ns() < end) {
		for (i = 0; i < 4096; i++) {
			struct bench_pair v =
				load_pair(&h->pairs[i % BENCH_PAIRS]);

			bag->looks++;
			bag->pairs += v.first != v.second;
			bag->words += (uint32_t)v.first != v.first >> 32 ||
				      (uint32_t)v.second != v.second >> 32;
		}
	}
	let_go(h);
}

static void report_pairs(const char *name, const struct bag *bag)
{
	struct row row = { .name = name, .unit = "of 10^6", .once = true };

	series_add(&row.value, 1e6 * (double)bag->pairs / (double)bag->looks);
	snprintf(row.note, sizeof(row.note), "%llu of %llu looks",
		 (unsigned long long)bag->pairs, (unsigned long long)bag->looks);
	group_row(&row);
}

void bench_gpu_torn(const struct gpu_options *o)
{
	const uint64_t ns = o->quick ? 200000000 : 4000000000;
	/* At most half a word: none. */
	struct row words = { .name = ROW_WORDS_TORN,
			     .unit = "",
			     .once = true,
			     .target = 0.5,
			     .target_of = TARGET_VALUE };
	struct bag in = { 0 }, out = { 0 };
	static struct hunt h;

	gpu_open(&h.gpu, o);
	h.reader = gpu_kernel(&h.gpu, "bench_torn_read");
	h.writer = gpu_kernel(&h.gpu, "bench_torn_write");
	h.pairs = gpu_pinned(&h.gpu, 4096, &h.pairs_there);
	h.stop = gpu_pinned(&h.gpu, 4096, &h.stop_there);
	h.result = gpu_pinned(&h.gpu, 3 * LANES * sizeof(uint64_t),
			      &h.result_there);
	gpu_reads(&h, ns, &in);
	host_reads(&h, ns, &out);
	report_pairs("16 bytes torn, the GPU reads host memory", &in);
	report_pairs("16 bytes torn, the host reads the GPU's", &out);
	series_add(&words.value, (double)(in.words + out.words));
	group_row(&words);
}
