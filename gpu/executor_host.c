// SPDX-License-Identifier: MIT
/* executor_host.c - the executor as threads of this process. */
#define _GNU_SOURCE
#ifdef __x86_64__
#include <cpuid.h>
#endif
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pinring/ring.h>

#include "dynamic_host.h"
#include "executor.h"
#include "team_host.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

#define PAGE 4096ul
#define SIGNAL_STACK 32768

/* The operations as compiled for one instruction set. */
struct isa {
	const char *name;
	bool (*supported)(void);
	float (*run)(struct pinring_loop *loop, __u64 worker);
};

struct host {
	pthread_t threads[PINRING_THREADS_MAX];
	struct pinring_team team;
	struct pinring_loop loop;
	struct pinring_profile counts;
};

float pinring_run_base(struct pinring_loop *loop, __u64 worker);
float pinring_run_v3(struct pinring_loop *loop, __u64 worker);
float pinring_run_v4(struct pinring_loop *loop, __u64 worker);

static bool always(void)
{
	return true;
}

#ifdef __x86_64__
/*
 * These bits of CPUID leaf 7, and the kernel saves registers of these kinds (bits
 * of XCR0). For __builtin_cpu_supports() libgcc would bring 4.5 KiB.
 */
static bool has(unsigned int features, unsigned int registers)
{
	unsigned int a, b, c, d, saved;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) ||
	    !(c & bit_FMA))
		return false;
	__asm__("xgetbv" : "=a"(saved), "=d"(d) : "c"(0));
	return (saved & registers) == registers &&
	       __get_cpuid_count(7, 0, &a, &b, &c, &d) &&
	       (b & features) == features;
}

#define V3 (bit_AVX2 | bit_BMI2)
#define V4 (V3 | bit_AVX512F | bit_AVX512BW | bit_AVX512CD | bit_AVX512DQ | \
	    bit_AVX512VL)

static bool has_v3(void)
{
	return has(V3, 0x6); /* xmm, ymm */
}

static bool has_v4(void)
{
	return has(V4, 0xe6); /* and masks, the upper halves, zmm16 and up */
}
#endif

static const struct isa isas[] = {
#ifdef __x86_64__
	{ "x86-64-v4", has_v4, pinring_run_v4 },
	{ "x86-64-v3", has_v3, pinring_run_v3 },
#endif
	{ "baseline", always, pinring_run_base },
};

/* The best this CPU runs, or a lesser one named by PINRING_ISA (for tests). */
static const struct isa *choose_isa(struct pinring_device *device)
{
	const char *wanted = getenv("PINRING_ISA");
	size_t i;

	for (i = 0; i < sizeof(isas) / sizeof(isas[0]); i++) {
		if (!isas[i].supported())
			continue;
		if (!wanted || !wanted[0] || !strcmp(wanted, isas[i].name))
			return &isas[i];
	}
	pinring_fail(device, -EINVAL,
		     "PINRING_ISA=%s is not one of x86-64-v4, x86-64-v3, baseline that this CPU runs",
		     wanted);
	return NULL;
}

/* futex compares 32 bits: the low half of the generation. */
static uint32_t *generation_word(struct pinring_team *team)
{
	return (uint32_t *)&team->generation;
}

void pinring_team_sleep(struct pinring_team *team, __u64 generation)
{
	int saved = errno;

	/* seq_cst: against the add and load in pinring_team_advance */
	__atomic_add_fetch(&team->sleepers, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, generation_word(team), FUTEX_WAIT_PRIVATE,
		(uint32_t)generation, NULL, NULL, 0);
	__atomic_sub_fetch(&team->sleepers, 1, __ATOMIC_SEQ_CST);
	errno = saved;
}

void pinring_team_wake(struct pinring_team *team)
{
	int saved = errno;

	syscall(SYS_futex, generation_word(team), FUTEX_WAKE_PRIVATE,
		PINRING_THREADS_MAX, NULL, NULL, 0);
	errno = saved;
}

static int host_prepare(struct pinring_executor *ex,
			struct pinring_device *device,
			struct pinring_region_config *config)
{
	const struct isa *isa = choose_isa(device);
	struct host *h;

	(void)config;
	if (!isa)
		return -EINVAL;
	if (ex->config.threads > PINRING_THREADS_MAX)
		return pinring_fail(device, -EINVAL,
				    "threads: %u is more than %d",
				    ex->config.threads, PINRING_THREADS_MAX);
	if (!ex->config.threads)
		ex->config.threads = 1;
	h = aligned_alloc(128, (sizeof(*h) + 127) & ~127ul);
	if (!h)
		return pinring_fail(device, -ENOMEM,
				    "no memory for an executor");
	memset(h, 0, sizeof(*h));
	h->team.run = isa->run;
	ex->isa = isa->name;
	ex->loop = h;
	return 0;
}

static int host_init(struct pinring_executor *ex)
{
	struct host *h = ex->loop;
	int rc;

	rc = pinring_executor_open_loop(ex, &h->loop);
	snprintf(ex->placement, sizeof(ex->placement), "in host memory");
	h->loop.counts = &h->counts;
	h->loop.team = &h->team;
	h->loop.meeting = &h->team.meeting;
	h->team.workers = ex->config.threads;
	h->team.spin_ns = (uint64_t)ex->config.spin_us * 1000;
	h->team.submitted = ex->submit_bell;
	h->team.done = ex->done_bell;
	h->team.asked = ex->ask_bell;
	/* The loop spins by itself before it sleeps here. */
	pinring_doorbell_spin(ex->submit_bell, 0, 0);
	return rc;
}

static int host_attach(struct pinring_executor *ex,
		       struct pinring_region *region,
		       struct pinring_memory *memory)
{
	(void)ex;
	memory->base = (char *)region->base;
	return 0;
}

/* All of it is there, and may be written to; before Linux 5.14 that is believed. */
static int host_reach(struct pinring_executor *ex, void *address,
		      uint64_t bytes)
{
	char *from = (char *)((uintptr_t)address & ~(PAGE - 1));
	uint64_t size = bytes + (uint64_t)((char *)address - from);

	if (!madvise(from, size, MADV_POPULATE_WRITE) ||
	    (errno == EINVAL && madvise(from, 0, MADV_POPULATE_WRITE)))
		return 0;
	return pinring_fail(ex->device, -EFAULT,
			    "%llu bytes at %p are not all memory that a host executor can write to (a GPU's is for one of kind CUDA)",
			    (unsigned long long)bytes, address);
}

static int host_allocate(struct pinring_executor *ex, uint64_t bytes,
			 struct pinring_memory *memory,
			 struct pinring_attached *attached)
{
	struct pinring_region_config config = pinring_region_defaults(
		PINRING_REGION_HEADER_BYTES + bytes);
	struct pinring_region *r;
	int rc;

	config.flags = PINRING_REGION_PREFAULT;
	config.name = "pinring-memory";
	rc = pinring_region_create(ex->device, &config, &r);
	if (rc)
		return rc;
	attached->own = r;
	attached->here = r->base + PINRING_REGION_HEADER_BYTES;
	memory->base = (char *)attached->here;
	return 0;
}

static void host_release(struct pinring_executor *ex, void *own)
{
	(void)ex;
	pinring_region_close(own);
}

struct worker {
	struct host *host;
	__u64 number;
};

static void *worker_main(void *arg)
{
	struct worker w = *(struct worker *)arg;
	/* For a kernel that overflows the other one. */
	char stack[SIGNAL_STACK];
	stack_t ours = { .ss_sp = stack, .ss_size = sizeof(stack) }, before;

	free(arg);
	sigaltstack(&ours, &before);
	pinring_loop_host(&w.host->loop, w.number);
	sigaltstack(&before, NULL);
	return NULL;
}

static int start_worker(struct pinring_executor *ex, uint32_t number)
{
	struct worker *w = malloc(sizeof(*w));
	struct host *h = ex->loop;
	pthread_attr_t attr;
	char name[16];
	int rc;

	if (!w)
		return ENOMEM;
	w->host = h;
	w->number = number;
	pthread_attr_init(&attr);
	if (ex->config.cpu >= 0) {
		int64_t cpu = (int64_t)ex->config.cpu + number;
		cpu_set_t set;

		CPU_ZERO(&set);
		if (cpu < CPU_SETSIZE)
			CPU_SET((size_t)cpu, &set);
		pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	}
	rc = pthread_create(&h->threads[number], &attr, worker_main, w);
	pthread_attr_destroy(&attr);
	if (rc) {
		free(w);
		return rc;
	}
	/* The kernel takes 15 characters. */
	snprintf(name, sizeof(name), "pinring/%u", number % 10000000);
	pthread_setname_np(h->threads[number], name);
	return 0;
}

static int host_launch(struct pinring_executor *ex)
{
	struct host *h = ex->loop;
	uint32_t number = ex->config.threads;
	sigset_t all, before;
	int rc = 0;

	/*
	 * Signals are the application's: keep them off these threads, but for
	 * those that a thread brings upon itself, and cannot block.
	 */
	sigfillset(&all);
	pinring_faults_to(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	/* The coordinator last: without it, the others can be sent home. */
	while (number-- && !rc)
		rc = start_worker(ex, number);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!rc)
		return 0;

	pinring_team_advance(&h->team, 1);
	for (number += 2; number < ex->config.threads; number++)
		pthread_join(h->threads[number], NULL);
	if (rc == EINVAL && ex->config.cpu >= 0)
		return pinring_fail(ex->device, -rc,
				    "cpu: cannot run %u thread(s) on CPU %d and up",
				    ex->config.threads, ex->config.cpu);
	return pinring_fail(ex->device, -rc, "cannot start %u thread(s): %s",
			    ex->config.threads, strerror(rc));
}

static void host_join(struct pinring_executor *ex)
{
	struct host *h = ex->loop;
	uint32_t i;

	for (i = 0; i < ex->config.threads; i++)
		pthread_join(h->threads[i], NULL);
}

static void host_abandon(struct pinring_executor *ex)
{
	struct host *h = ex->loop;
	uint32_t i;

	for (i = 0; i < ex->config.threads; i++)
		pthread_detach(h->threads[i]);
	ex->lost = true;
}

static void host_free(struct pinring_executor *ex)
{
	free(ex->loop);
}

const struct pinring_executor_ops pinring_host_ops = {
	.prepare = host_prepare,
	.init = host_init,
	.attach = host_attach,
	.reach = host_reach,
	.allocate = host_allocate,
	.release = host_release,
	.launch = host_launch,
	.join = host_join,
	.abandon = host_abandon,
	.free = host_free,
	.load = pinring_host_load,
	.unload = pinring_host_unload,
};
