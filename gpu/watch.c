// SPDX-License-Identifier: MIT
/*
 * watch.c - notices that an executor is dead, or stuck in a command.
 *
 * There is no thread for it: who waits for an executor looks now and then. Time in
 * which nobody looked counts for an eighth of the limit at most, since it may be
 * that the whole process was stopped.
 */
#include <sched.h>
#include <unistd.h>

#include "executor.h"

#define LOOKS 8 /* until the limit, at least */
#define STILL_NS 1000000 /* between two looks */
#define LINKED_NS 100000000 /* the longest, at executors that others wait for */

static int64_t watch_period(const struct pinring_executor *ex)
{
	if (ex->config.watchdog_ms == PINRING_WATCHDOG_NEVER)
		return INT64_MAX;
	return ex->config.watchdog_ms * 1000000ll / LOOKS;
}

int64_t pinring_executor_look_period(const struct pinring_executor *ex)
{
	const int64_t period = watch_period(ex);

	return period > LINKED_NS &&
			       pinring_load_word(&ex->attachments->links) ?
		       LINKED_NS :
		       period;
}

void pinring_executor_fail(struct pinring_executor *ex, int error,
			   uint32_t reason)
{
	struct pinring_control_block *control = ex->control;
	const uint64_t completed = pinring_load_word(&control->completed);
	/* The first that is not answered. */
	const struct pinring_pending *p =
		&ex->pending[completed & (ex->config.depth - 1)];
	/* Unless it was another executor's. */
	const uint64_t fed = pinring_load_word(&control->fed);
	uint32_t id = 0, operation = PINRING_OP_NONE;

	if (fed) {
		id = (uint32_t)fed;
		operation = (uint16_t)(fed >> 32);
	} else if (__atomic_load_n(&ex->submitted, __ATOMIC_ACQUIRE) > completed) {
		id = p->id;
		operation = p->operation;
	}
	pinring_store_pair(&control->error, (uint32_t)error, id);
	pinring_store_pair(&control->error_operation, operation, reason);
	__atomic_store_n(&ex->wish, PINRING_STATE_FAILED, __ATOMIC_RELAXED);
	/* release: who sees it reads the words above */
	__atomic_store_n(&ex->hung, true, __ATOMIC_RELEASE);
	/* Should it come back after all, it is to end. */
	pinring_executor_tell(ex, PINRING_STATE_TERMINATED);
	pinring_doorbell_ring(ex->done_bell);
}

void pinring_executor_watch(struct pinring_executor *ex)
{
	pinring_executor_watch_one(ex);
	/* It may wait for another one. */
	if (pinring_load_word(&ex->attachments->links))
		pinring_links_watch();
}

/* Since the last look; or it need not have. */
static bool has_moved(struct pinring_executor *ex)
{
	const struct pinring_control_block *control = ex->control;
	const uint64_t completed = pinring_load_word(&control->completed);
	const uint64_t heartbeat = pinring_load_word(&control->heartbeat);
	struct pinring_watch *w = &ex->watch;
	const bool moved = w->completed != completed || w->heartbeat != heartbeat;

	w->completed = completed;
	w->heartbeat = heartbeat;
	return moved || !ex->launched || ex->leaving || pinring_executor_ended(ex);
}

int pinring_executor_judge(const struct pinring_executor *ex, int alive)
{
	/*
	 * It says so as its last act, before the driver notices its end. Or it was
	 * told to leave, and is about to be launched again.
	 */
	if (alive <= 0 || ex->leaving ||
	    pinring_executor_state(ex) == PINRING_STATE_TERMINATED)
		return alive < 0 ? alive : 0;
	return pinring_fail(ex->device, -EIO,
			    "the persistent kernel ended by itself");
}

/*
 * A driver may have whoever asks it wait for a kernel, and it may be a wish that ends
 * that kernel: so wish_lock, held before and after, is not held meanwhile. The executor
 * stays: it is the caller's, or pinring_links_watch() sees to it. But it may be told
 * something, end, or leave and be launched again. Then what was said is out of date,
 * and the next look asks anew.
 */
static bool has_died(struct pinring_executor *ex)
{
	const uint64_t epoch = ex->epoch;
	int alive;

	/* Another thread does, and may wait: the heartbeat tells, too. */
	if (!ex->ops->alive || ex->watch.asking)
		return false;
	ex->watch.asking = true;
	pthread_mutex_unlock(&ex->wish_lock);
	alive = ex->ops->alive(ex);
	pthread_mutex_lock(&ex->wish_lock);
	ex->watch.asking = false;
	return epoch == ex->epoch && !pinring_executor_ended(ex) &&
	       pinring_executor_judge(ex, alive);
}

void pinring_executor_watch_one(struct pinring_executor *ex)
{
	const struct pinring_control_block *control = ex->control;
	const int64_t period = watch_period(ex), now = pinring_now();
	struct pinring_watch *w = &ex->watch;
	int64_t since;
	bool moved;

	/* A child of fork() may wait for its parent's, and not end it. */
	if (ex->pid != getpid())
		return;
	/* Held: another thread looks, or has a wish. */
	if (pthread_mutex_trylock(&ex->wish_lock))
		return;
	since = now - w->looked;
	moved = has_moved(ex);
	if (!moved && since < STILL_NS)
		goto out; /* that is nothing */
	w->looked = now;
	if (moved) {
		w->still = 0;
	} else if (has_died(ex)) {
		pinring_executor_fail(ex, -EFAULT, PINRING_REASON_FAULT);
	} else if (has_moved(ex) ||
		   (pinring_load_word(&control->taken) == w->completed &&
		    !pinring_load_word(&control->fed))) {
		w->still = 0;
	} else {
		w->still += since < period ? since : period;
		if (period != INT64_MAX && w->still >= LOOKS * period)
			pinring_executor_fail(ex, -ETIMEDOUT,
					      PINRING_REASON_HUNG);
	}
out:
	pthread_mutex_unlock(&ex->wish_lock);
}

bool pinring_executor_why(const struct pinring_executor *ex, int rc)
{
	const struct pinring_control_block *control = ex->control;
	uint32_t reason, operation;

	if (pinring_executor_state(ex) != PINRING_STATE_FAILED)
		return false;
	reason = __atomic_load_n(&control->error_reason, __ATOMIC_RELAXED);
	operation = __atomic_load_n(&control->error_operation, __ATOMIC_RELAXED);
	if (reason < PINRING_REASON_FAULT)
		return false;
	if (operation == PINRING_OP_NONE)
		pinring_fail(ex->device, rc,
			     "the executor failed, no command in flight: %s",
			     pinring_reason_text(reason));
	else
		pinring_fail(ex->device, rc,
			     "the executor failed at command %u, operation %u: %s",
			     __atomic_load_n(&control->error_id,
					     __ATOMIC_RELAXED),
			     operation, pinring_reason_text(reason));
	return true;
}

void pinring_executor_nap(uint64_t *polls)
{
	struct timespec nap = { .tv_nsec = 20000 };
	int saved = errno;

	if (++*polls < 1000) {
		pinring_relax();
	} else if (*polls < 1100) {
		sched_yield();
	} else {
		nap.tv_nsec <<= *polls - 1100 < 6 ? *polls - 1100 : 6;
		nanosleep(&nap, NULL);
	}
	errno = saved;
}
