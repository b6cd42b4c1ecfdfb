// SPDX-License-Identifier: MIT
/*
 * hazards.c - what a persistent kernel blocks: calls of the driver while one runs.
 *
 * Each call is made by a thread of its own; one that has not returned after 3 s is
 * let go by ending the kernel, and counts as blocked.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "code.h"
#include "latency.h"
#include "rows.h"
#include "shared.h"

#define PATIENCE_NS 3000000000ull
#define BYTES (2u << 20)

/* A kernel that ends at once. */
struct other {
	cuda_function mark;
	cuda_address word;
	uint64_t value;
};

struct trial {
	const struct gpu *gpu;
	cuda_result (*call)(struct trial *t);
	void *arg; /* host memory; or struct other */
	cuda_result rc;
	double ms;
	bool back; /* atomic */
};

static cuda_result load_module(struct trial *t)
{
	cuda_module module;
	cuda_function f;
	cuda_result rc = t->gpu->cuda->module_load(&module, bench_gpu_code);

	if (!rc)
		rc = t->gpu->cuda->module_function(&f, module, "bench_mark");
	if (!rc && t->gpu->cuda->function_load)
		rc = t->gpu->cuda->function_load(f);
	return rc;
}

static cuda_result register_memory(struct trial *t)
{
	return t->gpu->cuda->host_register(t->arg, BYTES,
					   CUDA_REGISTER_PORTABLE |
						   CUDA_REGISTER_DEVICEMAP);
}

static cuda_result unregister_memory(struct trial *t)
{
	return t->gpu->cuda->host_unregister(t->arg);
}

static cuda_result allocate(struct trial *t)
{
	cuda_address at;

	return t->gpu->cuda->memory_alloc(&at, BYTES);
}

static cuda_result make_stream(struct trial *t)
{
	cuda_stream stream;

	return t->gpu->cuda->stream_create(&stream, CUDA_STREAM_NON_BLOCKING,
					   0);
}

static cuda_result destroy_stream(struct trial *t)
{
	cuda_stream stream;
	cuda_result rc = t->gpu->cuda->stream_create(
		&stream, CUDA_STREAM_NON_BLOCKING, 0);

	return rc ? rc : t->gpu->cuda->stream_destroy(stream);
}

/* On a stream of its own, until it has ended. */
static cuda_result run_other(struct trial *t, bool cooperative)
{
	struct other *other = t->arg;
	void **parameters = GPU_PARAMETERS(&other->word, &other->value);
	cuda_stream stream;
	cuda_result rc = t->gpu->cuda->stream_create(
		&stream, CUDA_STREAM_NON_BLOCKING, 0);

	if (rc)
		return rc;
	rc = cooperative ?
		     t->gpu->cuda->launch_cooperative(other->mark, 1, 1, 1, 32,
						      1, 1, 0, stream,
						      parameters) :
		     t->gpu->call.launch(other->mark, 1, 1, 1, 32, 1, 1, 0,
					 stream, parameters, NULL);
	while (!rc &&
	       t->gpu->cuda->stream_query(stream) == CUDA_NOT_READY)
		bench_nap(20);
	return rc ? rc : t->gpu->cuda->stream_query(stream);
}

static cuda_result run_cooperative(struct trial *t)
{
	return run_other(t, true);
}

static cuda_result run_plain(struct trial *t)
{
	return run_other(t, false);
}

static void *make_call(void *arg)
{
	struct trial *t = arg;
	uint64_t begin;

	t->gpu->cuda->context_push(t->gpu->context);
	begin = bench_now_ns();
	t->rc = t->call(t);
	t->ms = (double)(bench_now_ns() - begin) / 1e6;
	__atomic_store_n(&t->back, true, __ATOMIC_RELEASE);
	return NULL;
}

struct holder {
	cuda_function hold;
	uint64_t *stop, *alive;
	cuda_address stop_there, alive_there, over;
	unsigned int blocks;
};

static void hold(const struct gpu *g, struct holder *h)
{
	*h->stop = 0;
	*h->alive = 0;
	gpu_check(g, g->call.set(h->over, 0, 8, g->stream), "clear a word");
	gpu_launch_cooperative(g, h->hold, h->blocks, 1024,
			       GPU_PARAMETERS(&h->stop_there, &h->alive_there,
					      &h->over));
	await_word(h->alive, 1, "a persistent kernel");
}

static void release(const struct gpu *g, struct holder *h)
{
	__atomic_store_n(h->stop, BENCH_STOP, __ATOMIC_RELEASE);
	gpu_finish(g, "a persistent kernel", 20);
}

static bool wait_back(struct trial *t, uint64_t deadline)
{
	while (!__atomic_load_n(&t->back, __ATOMIC_ACQUIRE)) {
		if (bench_now_ns() > deadline)
			return false;
		bench_nap(50);
	}
	return true;
}

static void try_call(const struct gpu *g, struct holder *h, const char *name,
		     cuda_result (*call)(struct trial *t), void *arg)
{
	struct row row = { .name = name, .unit = "ms", .once = true };
	struct trial t = { .gpu = g, .call = call, .arg = arg };
	pthread_t thread;
	bool blocked;

	hold(g, h);
	if (pthread_create(&thread, NULL, make_call, &t))
		gpu_die("cannot start a thread");
	blocked = !wait_back(&t, bench_now_ns() + PATIENCE_NS);
	release(g, h);
	if (!wait_back(&t, bench_now_ns() + PATIENCE_NS))
		gpu_die("%s: it did not return even when the kernel had ended",
			name);
	pthread_join(thread, NULL);
	series_add(&row.value, t.ms);
	snprintf(row.note, sizeof(row.note), "%s%.20s%d%s",
		 blocked ? "BLOCKED until the kernel was ended; " : "",
		 t.rc ? "failed with " : "it gave ", t.rc,
		 h->blocks > 1 ? "; the kernel fills the GPU" : "");
	group_row(&row);
}

void bench_gpu_hazards(const struct gpu_options *o)
{
	static const struct {
		const char *beside_one, *beside_full;
		cuda_result (*call)(struct trial *t);
	} calls[] = {
		{ "make a stream while a block runs",
		  "make a stream while all SMs run", make_stream },
		{ "register 2 MiB while a block runs",
		  "register 2 MiB while all SMs run", register_memory },
		{ "unregister it while a block runs",
		  "unregister it while all SMs run", unregister_memory },
		{ "destroy a stream while a block runs",
		  "destroy a stream while all SMs run", destroy_stream },
		{ "allocate 2 MiB while a block runs",
		  "allocate 2 MiB while all SMs run", allocate },
		{ "load a module while a block runs",
		  "load a module while all SMs run", load_module },
	};
	struct holder h = { .blocks = 1 };
	struct gpu g;
	struct other other = { .value = 1 };
	unsigned int i;
	void *memory;

	gpu_open(&g, o);
	other.mark = gpu_kernel(&g, "bench_mark");
	gpu_pinned(&g, 4096, &other.word);
	h.hold = gpu_kernel(&g, "bench_hold");
	h.stop = gpu_pinned(&g, 4096, &h.stop_there);
	h.alive = gpu_pinned(&g, 4096, &h.alive_there);
	h.over = gpu_memory(&g, 4096);
	if (posix_memalign(&memory, BYTES, BYTES))
		gpu_die("no memory");
	memset(memory, 0, BYTES);
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		try_call(&g, &h, calls[i].beside_one, calls[i].call, memory);
	/* Two executors on a GPU are two such kernels. */
	try_call(&g, &h, "run a kernel while a cooperative one runs", run_plain,
		 &other);
	try_call(&g, &h, "run a cooperative one while one runs", run_cooperative,
		 &other);
	/* Two blocks of 1024 threads are all that an SM holds. */
	h.blocks = 2 * g.sms;
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		try_call(&g, &h, calls[i].beside_full, calls[i].call, memory);
}

/* ----------------------------------------------------------------- barrier */
static double barrier_ns(const struct gpu *g, cuda_function f,
			 cuda_address arrived, unsigned int blocks,
			 unsigned int threads, uint64_t rounds)
{
	uint64_t begin;

	gpu_check(g, g->call.set(arrived, 0, 8, g->stream), "clear a counter");
	gpu_synchronize(g);
	begin = bench_now_ns();
	gpu_launch_cooperative(g, f, blocks, threads,
			       GPU_PARAMETERS(&arrived, &rounds));
	gpu_finish(g, "a barrier of the grid", 20);
	return (double)(bench_now_ns() - begin) / (double)rounds;
}

static void check_arrived(const struct gpu *g, cuda_address arrived,
			  uint64_t want)
{
	uint64_t got = 0;

	gpu_check(g, g->call.copy_out(&got, arrived, 8, g->stream),
		  "read a counter");
	gpu_synchronize(g);
	if (got != want)
		gpu_die("%llu came to the barriers, not %llu",
			(unsigned long long)got, (unsigned long long)want);
}

void bench_gpu_barrier(const struct gpu_options *o)
{
	const uint64_t rounds = o->quick ? 100 : 20000;
	struct row rows[] = {
		{ .name = "barrier of the grid, 256 threads an SM", .unit = "ns" },
		{ .name = "barrier of the grid, 1024 threads an SM",
		  .unit = "ns" },
		{ .name = "barrier of the grid, all that is resident",
		  .unit = "ns" },
	};
	unsigned int blocks[3], threads[3] = { 256, 1024, 256 }, r, i;
	cuda_address arrived;
	cuda_function f;
	struct gpu g;
	int resident = 0;

	gpu_open(&g, o);
	f = gpu_kernel(&g, "bench_barrier");
	arrived = gpu_memory(&g, 4096);
	gpu_check(&g, g.cuda->occupancy(&resident, f, 256, 0),
		  "ask how many blocks fit");
	blocks[0] = blocks[1] = g.sms;
	blocks[2] = g.sms * (unsigned int)resident;
	for (r = 0; r < o->runs; r++) {
		for (i = 0; i < 3; i++) {
			series_add(&rows[i].value,
				   barrier_ns(&g, f, arrived, blocks[i],
					      threads[i], rounds));
			check_arrived(&g, arrived, rounds * blocks[i]);
		}
	}
	for (i = 0; i < 3; i++) {
		snprintf(rows[i].note, sizeof(rows[i].note),
			 "%u blocks of %u threads, %llu barriers in one launch",
			 blocks[i], threads[i], (unsigned long long)rounds);
		group_row(&rows[i]);
	}
}
