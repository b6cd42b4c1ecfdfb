/* SPDX-License-Identifier: MIT */
/*
 * survey_executor.c - what an executor tells of itself, in its own region.
 *
 * Whoever holds that region may have written anything there: each word is loaded
 * once, within an object that is long enough, and all that is made of them are
 * counts, shares from 0 to 1, and indices below those of tables here.
 */
#include <stdlib.h>

#include "survey.h"

static uint64_t load(const __u64 *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static uint32_t load32(const __u32 *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static const void *find(struct pinring_region *region, const char *name,
			uint32_t type, size_t size)
{
	struct pinring_object_info info;

	if (pinring_object_find(region, name, &info) || info.type != type ||
	    info.length < size)
		return NULL;
	return pinring_region_at(region, info.offset, size);
}

static uint64_t sum(const uint64_t *count, unsigned int buckets)
{
	uint64_t all = 0;
	unsigned int i;

	for (i = 0; i < buckets; i++)
		if (__builtin_add_overflow(all, count[i], &all))
			return UINT64_MAX;
	return all;
}

/*
 * Bucket b counts what is from 2^b to 2^(b+1) - 1, the last all above: what `share`
 * of them are below. SURVEY_ENDLESS: they reach into the last one.
 */
static uint64_t below(const uint64_t *count, unsigned int buckets, double share)
{
	double all = 0.0, seen = 0.0;
	unsigned int i;

	for (i = 0; i < buckets; i++)
		all += (double)count[i];
	for (i = 0; i < buckets - 1; i++) {
		seen += (double)count[i];
		if (seen > 0.0 && seen >= share * all)
			return 2ull << i;
	}
	return all > 0.0 ? SURVEY_ENDLESS : 0;
}

static void see_control(const struct pinring_control_block *c,
			struct survey_executor *e)
{
	e->kind = load32(&c->kind);
	e->gpu = load32((const __u32 *)&c->gpu);
	e->workers = load32(&c->workers);
	e->commands_apart = load32(&c->commands_apart);
	e->gpu_bytes = load(&c->gpu_bytes);
	e->state = (uint32_t)load(&c->reached);
	e->heartbeat = load(&c->heartbeat);
	e->completed = load(&c->completed);
	e->taken = load(&c->taken);
	e->in_flight = e->taken > e->completed ? e->taken - e->completed : 0;
	e->error = (int32_t)load32((const __u32 *)&c->error);
	e->error_id = load32(&c->error_id);
	e->error_operation = load32(&c->error_operation);
	e->error_reason = load32(&c->error_reason);
	/* The host's watchdog leaves it there: the loop cannot say so. */
	if (e->error_reason >= PINRING_REASON_FAULT)
		e->state = PINRING_STATE_FAILED;
}

static void see_telemetry(const struct pinring_telemetry *t,
			  struct survey_executor *e)
{
	e->processed = load(&t->processed);
	e->failed = load(&t->failed);
	e->elements = load(&t->elements);
	e->busy_ns = load(&t->busy_ns);
	e->longest_ns = load(&t->longest_ns);
}

static void see_profile(const struct pinring_profile *p,
			struct survey_executor *e)
{
	uint64_t count[PINRING_PROFILE_BUCKETS];
	unsigned int row, b;

	e->alive_ns = load(&p->alive_ns);
	e->idle_ns = load(&p->idle_ns);
	for (b = 0; b < PINRING_PROFILE_BURSTS; b++)
		count[b] = load(&p->burst[b]);
	e->bursts = sum(count, PINRING_PROFILE_BURSTS);
	e->burst_p50 = below(count, PINRING_PROFILE_BURSTS, 0.5);
	e->burst_p99 = below(count, PINRING_PROFILE_BURSTS, 0.99);
	for (row = 0; row < PINRING_PROFILE_OPERATIONS; row++) {
		struct survey_operation *o = &e->operations[e->operation_count];

		for (b = 0; b < PINRING_PROFILE_BUCKETS; b++)
			count[b] = load(&p->duration[row][b]);
		o->count = sum(count, PINRING_PROFILE_BUCKETS);
		if (!o->count)
			continue;
		/* The first bucket is of those that were not timed. */
		count[0] = 0;
		o->operation = row;
		o->name = row == PINRING_PROFILE_OPERATIONS - 1 ?
				  "users' kernels" :
				  pinring_operation_name(row);
		o->p50_ns = below(count, PINRING_PROFILE_BUCKETS, 0.5);
		o->p99_ns = below(count, PINRING_PROFILE_BUCKETS, 0.99);
		e->operation_count++;
	}
}

struct survey_executor *survey_executor(struct pinring_region *region)
{
	const struct pinring_control_block *control =
		find(region, "control", PINRING_OBJECT_CONTROL,
		     sizeof(*control));
	const struct pinring_telemetry *telemetry =
		find(region, "telemetry", PINRING_OBJECT_TELEMETRY,
		     sizeof(*telemetry));
	const struct pinring_profile *profile =
		find(region, "profile", PINRING_OBJECT_PROFILE,
		     sizeof(*profile));
	struct survey_executor *e;

	if (!control || !telemetry || !profile)
		return NULL;
	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	see_control(control, e);
	see_telemetry(telemetry, e);
	see_profile(profile, e);
	e->idle = survey_share((double)e->idle_ns, (double)e->alive_ns);
	return e;
}

void survey_executor_compare(struct survey_executor *now,
			     const struct survey_executor *then,
			     double seconds)
{
	now->rate = survey_rate(now->processed, then->processed, seconds);
	if (now->alive_ns > then->alive_ns)
		now->idle = survey_share(
			(double)(now->idle_ns - then->idle_ns),
			(double)(now->alive_ns - then->alive_ns));
	else /* It tells when it falls idle: it slept all the time, or worked. */
		now->idle = now->completed == then->completed &&
			    now->taken == now->completed;
}
