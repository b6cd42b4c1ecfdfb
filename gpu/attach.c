// SPDX-License-Identifier: MIT
/*
 * attach.c - what commands address: regions, memory of the caller's, and memory made
 * where the executor runs.
 *
 *	host: base, first, then size -->  table  --> loop: its own copy, at the first
 *	                                             command that names the number
 *	      size = 0, then a wish  -->         --> the wish: forgets all its copies
 *
 * An entry is whole when its size is not 0. It is taken back as a wish is answered:
 * what the loop checked before, it has carried out by then.
 */
#include <stdlib.h>

#include "executor.h"

static int find_number(const struct pinring_executor *ex)
{
	int n;

	for (n = 0; n < PINRING_REGIONS_MAX; n++)
		if (!ex->attachments->memory[n].size)
			return n;
	return pinring_fail(ex->device, -ENOSPC,
			    "an executor addresses at most %d regions",
			    PINRING_REGIONS_MAX);
}

/* For those who look on: how much of a GPU's memory commands address. */
static void count_gpu_bytes(struct pinring_executor *ex)
{
	uint64_t bytes = 0;
	uint32_t n;

	for (n = 0; n < PINRING_REGIONS_MAX; n++)
		if (!ex->attached[n].here)
			bytes += ex->attachments->memory[n].size;
	pinring_store_word(&ex->control->gpu_bytes, bytes);
}

static int publish(struct pinring_executor *ex, int n,
		   const struct pinring_memory *memory,
		   const struct pinring_attached *attached)
{
	struct pinring_memory *to = &ex->attachments->memory[n];

	ex->attached[n] = *attached;
	to->base = memory->base;
	to->first = memory->first;
	/* release: pairs with the load in pinring_learn_region() */
	pinring_store_word(&to->size, memory->size);
	count_gpu_bytes(ex);
	return n;
}

static int attach_region(struct pinring_executor *ex,
			 struct pinring_region *region)
{
	struct pinring_memory memory = { .first = PINRING_REGION_HEADER_BYTES,
					 .size = region->size };
	struct pinring_attached attached = { .here = region->base };
	int n = find_number(ex);
	int rc = n < 0 ? n : ex->ops->attach(ex, region, &memory);

	if (rc)
		return rc;
	attached.region = pinring_region_get(region);
	return publish(ex, n, &memory, &attached);
}

int pinring_executor_attach(struct pinring_executor *ex,
			    struct pinring_region *region)
{
	int rc = pinring_executor_check_parent(ex);

	if (rc)
		return rc;
	pthread_mutex_lock(&ex->attach_lock);
	rc = attach_region(ex, region);
	pthread_mutex_unlock(&ex->attach_lock);
	return rc;
}

static int check_bytes(const struct pinring_executor *ex, uint64_t bytes)
{
	if (bytes && bytes <= 1ull << PINRING_OFFSET_BITS)
		return 0;
	return pinring_fail(ex->device, -EINVAL,
			    "bytes: %llu is not from 1 to 2^%d",
			    (unsigned long long)bytes, PINRING_OFFSET_BITS);
}

static int attach_callers(struct pinring_executor *ex, void *address,
			  uint64_t bytes)
{
	const struct pinring_memory memory = { .base = address, .size = bytes };
	const struct pinring_attached attached = {
		.here = ex->config.kind == PINRING_EXECUTOR_HOST ? address : NULL,
	};
	int n = find_number(ex);
	int rc = n < 0 ? n : ex->ops->reach(ex, address, bytes);

	return rc ? rc : publish(ex, n, &memory, &attached);
}

int pinring_executor_attach_memory(struct pinring_executor *ex, void *address,
				   uint64_t bytes)
{
	int saved = errno;
	int rc = pinring_executor_check_parent(ex);

	if (!rc)
		rc = check_bytes(ex, bytes);
	if (!rc && (!address || (uintptr_t)address + bytes < (uintptr_t)address))
		rc = pinring_fail(ex->device, -EINVAL,
				  "address: there are no %llu bytes at %p",
				  (unsigned long long)bytes, address);
	if (rc)
		return rc;
	pthread_mutex_lock(&ex->attach_lock);
	rc = attach_callers(ex, address, bytes);
	pthread_mutex_unlock(&ex->attach_lock);
	errno = saved;
	return rc;
}

static int attach_new(struct pinring_executor *ex, uint64_t bytes,
		      void **address)
{
	struct pinring_memory memory = { .size = bytes };
	struct pinring_attached attached = { 0 };
	int n = find_number(ex);
	int rc = n < 0 ? n :
			 ex->ops->allocate(ex, bytes, &memory, &attached);

	if (rc)
		return rc;
	if (address)
		*address = memory.base;
	return publish(ex, n, &memory, &attached);
}

int pinring_executor_allocate(struct pinring_executor *ex, uint64_t bytes,
			      void **address)
{
	int saved = errno;
	int rc = pinring_executor_check_parent(ex);

	if (address)
		*address = NULL;
	if (!rc)
		rc = check_bytes(ex, bytes);
	if (rc)
		return rc;
	pthread_mutex_lock(&ex->attach_lock);
	rc = attach_new(ex, bytes, address);
	pthread_mutex_unlock(&ex->attach_lock);
	errno = saved;
	return rc;
}

/* ------------------------------------------------------------------- detach */
/* What was submitted before is answered; what was forwarded, nobody here knows. */
static bool is_answered(const struct pinring_executor *ex, uint64_t submitted)
{
	return pinring_load_word(&ex->control->completed) >= submitted ||
	       pinring_executor_ended(ex);
}

static bool is_forgotten(struct pinring_executor *ex, uint32_t number)
{
	return pinring_executor_nudged(ex) && !pinring_services_use(ex, number);
}

/* Active by itself, it would not see a wish. */
static bool is_bounded(const struct pinring_executor *ex)
{
	return ex->config.commands_max && ex->launched &&
	       !pinring_executor_ended(ex);
}

static bool is_hung(const struct pinring_executor *ex)
{
	return __atomic_load_n(&ex->hung, __ATOMIC_ACQUIRE);
}

static bool withdraw(struct pinring_executor *ex, uint32_t number,
		     int64_t deadline)
{
	const uint64_t submitted =
		__atomic_load_n(&ex->submitted, __ATOMIC_RELAXED);
	struct pinring_memory *m = &ex->attachments->memory[number];
	const uint64_t size = m->size;
	bool withdrawn = false;
	uint64_t polls = 0;

	while (!is_bounded(ex)) {
		if (!withdrawn && is_answered(ex, submitted)) {
			/* seq_cst: against that in find_dst() of services.c */
			__atomic_store_n(&m->size, 0, __ATOMIC_SEQ_CST);
			pinring_executor_nudge(ex);
			withdrawn = true;
		}
		/* In this order: one that hangs counts as ended. */
		if (withdrawn && is_forgotten(ex, number) && !is_hung(ex))
			return true;
		if (is_hung(ex) || pinring_now() >= deadline)
			break;
		pinring_executor_watch(ex);
		pinring_executor_nap(&polls);
	}
	/* Nothing has changed. */
	pinring_store_word(&m->size, size);
	return false;
}

static int detach_locked(struct pinring_executor *ex, uint32_t number,
			 int64_t deadline)
{
	struct pinring_attached gone;

	if (number >= PINRING_REGIONS_MAX || !ex->attachments->memory[number].size)
		return pinring_fail(ex->device, -ENOENT,
				    "nothing is attached as %u", number);
	gone = ex->attached[number];
	if (gone.region)
		return pinring_fail(ex->device, -EINVAL,
				    "%u is a region, which stays until the executor is closed",
				    number);
	if (!withdraw(ex, number, deadline))
		return pinring_executor_why(ex, -EBUSY) ?
			       -EBUSY :
			       pinring_fail(ex->device, -EBUSY,
					    is_bounded(ex) ?
						    "%u: a bounded executor keeps what it has until it ends" :
						    "%u: a command that may use it is in flight",
					    number);
	ex->attached[number] = (struct pinring_attached){ 0 };
	count_gpu_bytes(ex);
	if (gone.own)
		ex->ops->release(ex, gone.own);
	return 0;
}

int pinring_executor_detach(struct pinring_executor *ex, uint32_t number,
			    int64_t timeout_ns)
{
	int64_t deadline = pinring_deadline(timeout_ns);
	int rc = pinring_executor_check_parent(ex);

	if (rc)
		return rc;
	pthread_mutex_lock(&ex->attach_lock);
	rc = detach_locked(ex, number, deadline);
	pthread_mutex_unlock(&ex->attach_lock);
	return rc;
}

/* ------------------------------------------------------------------ the end */
void pinring_attached_let_go(struct pinring_executor *ex,
			     struct pinring_region *region)
{
	if (region && ex->ops->detach)
		ex->ops->detach(ex, region);
	pinring_region_close(region);
}

void pinring_attached_drop(struct pinring_executor *ex)
{
	uint32_t i;

	for (i = 0; i < PINRING_REGIONS_MAX; i++) {
		pinring_attached_let_go(ex, ex->attached[i].region);
		if (ex->attached[i].own)
			ex->ops->release(ex, ex->attached[i].own);
	}
	for (i = 0; i < PINRING_HOLDS; i++)
		pinring_attached_let_go(ex, ex->held[i]);
}
