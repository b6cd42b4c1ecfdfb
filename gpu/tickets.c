// SPDX-License-Identifier: MIT
/*
 * tickets.c - submitting commands and collecting their completions.
 *
 * Tickets are numbered in the order of submission, and the executor answers in
 * that order, so the n-th completion belongs to ticket n. A window of `depth`
 * places keeps completions until they are asked for.
 *
 * Where several threads share the executor, a lock guards all of that, and is held
 * for no wait. One of those that sleep does so on the doorbell, which has room for
 * one; the others on a futex of this process, which that one rings as it wakes up.
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pinring/ring_device.h>

#include "executor.h"

#define MISSES_A_LOOK 1024 /* at the watchdog */
#define NAP_NS 100000 /* twice what the kernel's timer rounds to */

static inline void enter(struct pinring_executor *ex)
{
	if (ex->shared)
		pthread_mutex_lock(&ex->ticket_lock);
}

static inline void leave(struct pinring_executor *ex)
{
	if (ex->shared)
		pthread_mutex_unlock(&ex->ticket_lock);
}

static struct pinring_pending *place_of(struct pinring_executor *ex,
					uint64_t ticket)
{
	return &ex->pending[ticket & (ex->config.depth - 1)];
}

void pinring_executor_collect(struct pinring_executor *ex)
{
	__u64 words[PINRING_SLOT_WORDS];

	while (pinring_device_peek(&ex->completions, words)) {
		struct pinring_pending *p = place_of(ex, ex->collected);
		struct pinring_completion c;

		pinring_device_release(&ex->completions);
		pinring_unpack_completion(&c, words);
		if (ex->collected == ex->submitted || c.id != p->id) {
			__atomic_store_n(&ex->broken, true, __ATOMIC_RELAXED);
			return;
		}
		ex->collected++;
		if (c.status == -ECANCELED)
			ex->undone++;
		if (p->state == PENDING_DETACHED) {
			p->state = PENDING_FREE;
		} else {
			p->completion = c;
			p->state = PENDING_DONE;
		}
	}
}

static bool is_broken(const struct pinring_executor *ex)
{
	return __atomic_load_n(&ex->broken, __ATOMIC_RELAXED);
}

static bool has_ended(const struct pinring_executor *ex)
{
	return is_broken(ex) || pinring_executor_ended(ex);
}

static int fail_ended(struct pinring_executor *ex, const char *otherwise)
{
	if (is_broken(ex))
		return pinring_fail(ex->device, -EPIPE,
				    "the completion ring is damaged");
	if (pinring_executor_why(ex, -EPIPE)) {
		/* Held: by who learns of it, too, or the next one notes it. */
		if (!pthread_mutex_trylock(&ex->wish_lock)) {
			__atomic_store_n(&ex->wish, PINRING_STATE_FAILED,
					 __ATOMIC_RELAXED);
			pthread_mutex_unlock(&ex->wish_lock);
		}
		return -EPIPE;
	}
	return pinring_fail(ex->device, -EPIPE, otherwise,
			    pinring_state_name(__atomic_load_n(
				    &ex->wish, __ATOMIC_RELAXED)));
}

/* Bits that the slot has no room for, which would be lost without a word. */
static uint64_t stray_bits(const struct pinring_command *c)
{
	return c->count >> PINRING_COUNT_BITS |
	       (c->dst.offset | c->a.offset | c->b.offset) >>
		       PINRING_OFFSET_BITS |
	       (c->dst.region | c->a.region | c->b.region) >> 8 |
	       c->aux >> PINRING_WORD_BITS |
	       (uint64_t)(c->flags & ~PINRING_COMMAND_DETACHED);
}

static int fail_widths(struct pinring_executor *ex,
		       const struct pinring_command *c)
{
	const char *field = "flags";

	if (c->count >> PINRING_COUNT_BITS)
		field = "count";
	else if (c->dst.offset >> PINRING_OFFSET_BITS || c->dst.region > 255)
		field = "dst";
	else if (c->a.offset >> PINRING_OFFSET_BITS || c->a.region > 255)
		field = "a";
	else if (c->b.offset >> PINRING_OFFSET_BITS || c->b.region > 255)
		field = "b";
	else if (c->aux >> PINRING_WORD_BITS)
		field = "aux";
	return pinring_fail(ex->device, -EINVAL,
			    "command %u: %s does not fit its bits", c->id,
			    field);
}

/* The place of the next ticket is taken by the one `depth` before. */
static int fail_full(struct pinring_executor *ex)
{
	uint64_t submitted = __atomic_load_n(&ex->submitted, __ATOMIC_RELAXED);
	bool done;

	/* Nobody waits, who would notice that it has ended. */
	if (has_ended(ex))
		return fail_ended(ex, "the executor is %s");
	enter(ex);
	done = place_of(ex, submitted)->state == PENDING_DONE;
	leave(ex);
	return pinring_fail(ex->device, -EAGAIN,
			    done ? "ticket %llu is done but was not collected, and depth is %u" :
				   "command %llu is in flight, and depth is %u",
			    (unsigned long long)(submitted - ex->config.depth),
			    ex->config.depth);
}

/* Numbers the command and sends it. False: there is no place for it. */
static bool enqueue(struct pinring_executor *ex,
		    const struct pinring_command *command, uint64_t *ticket)
{
	struct pinring_pending *p;
	__u64 words[PINRING_SLOT_WORDS];

	pinring_pack_command(words, command);
	enter(ex);
	p = place_of(ex, ex->submitted);
	if (p->state != PENDING_FREE)
		pinring_executor_collect(ex);
	if (p->state != PENDING_FREE)
		goto full;
	if (command->operation >= PINRING_OP_DYNAMIC)
		pinring_kernel_used(ex, command->operation, ex->submitted);
	p->ticket = ex->submitted;
	p->id = command->id;
	p->operation = command->operation;
	/* Write-combined stores keep no order with what the command is about. */
	if (ex->flush)
		ex->flush();
	/* Never full: it has twice the slots that can be in flight. */
	if (!pinring_device_send(&ex->commands, words))
		goto full;
	if (ex->flush)
		ex->flush();
	p->state = command->flags & PINRING_COMMAND_DETACHED ?
			   PENDING_DETACHED :
			   PENDING_FLIGHT;
	if (ticket)
		*ticket = ex->submitted;
	/* release: pairs with the load in pinring_executor_fail() */
	__atomic_store_n(&ex->submitted, ex->submitted + 1, __ATOMIC_RELEASE);
	leave(ex);
	return true;
full:
	leave(ex);
	return false;
}

int pinring_executor_submit(struct pinring_executor *ex,
			    const struct pinring_command *command,
			    uint64_t *ticket)
{
	enum pinring_state wish;

	/*
	 * What was wished, not what was reached: the executor writes to that
	 * word's line for every command, and looking would fetch it each time.
	 */
	wish = __atomic_load_n(&ex->wish, __ATOMIC_RELAXED);
	if (is_broken(ex) || wish >= PINRING_STATE_DRAINING)
		return fail_ended(ex, "the executor is %s");
	if (stray_bits(command))
		return fail_widths(ex, command);
	if (!enqueue(ex, command, ticket))
		return fail_full(ex);
	pinring_executor_wake(ex);
	return 0;
}

/*
 * 0; -EAGAIN: not yet; -ENOENT: nobody may ask for it. Without a sentence: not
 * being done is no mishap.
 */
static int try_collect(struct pinring_executor *ex, uint64_t ticket,
		       struct pinring_completion *completion)
{
	struct pinring_pending *p = place_of(ex, ticket);

	if (ticket >= ex->submitted || p->ticket != ticket)
		return -ENOENT;
	if (p->state == PENDING_FLIGHT)
		pinring_executor_collect(ex);
	if (p->state == PENDING_FLIGHT)
		return -EAGAIN;
	if (p->state != PENDING_DONE)
		return -ENOENT;
	*completion = p->completion;
	p->state = PENDING_FREE;
	return 0;
}

static int collect_missed(struct pinring_executor *ex, uint64_t ticket,
			  struct pinring_completion *completion)
{
	bool look;
	int rc;

	enter(ex);
	rc = try_collect(ex, ticket, completion);
	look = rc == -EAGAIN && ++ex->misses % MISSES_A_LOOK == 0;
	leave(ex);
	if (look)
		pinring_executor_watch(ex);
	return rc;
}

/* As try_collect(), for those who are outside. */
static inline int collect_one(struct pinring_executor *ex, uint64_t ticket,
			      struct pinring_completion *completion)
{
	struct pinring_pending *p = place_of(ex, ticket);

	/* Often it is there: what was collected with one before it. */
	if (!ex->shared && p->ticket == ticket && p->state == PENDING_DONE) {
		*completion = p->completion;
		p->state = PENDING_FREE;
		return 0;
	}
	return collect_missed(ex, ticket, completion);
}

/* Nobody asks for it any more: as if it were detached. */
static void forsake(struct pinring_executor *ex, uint64_t ticket)
{
	struct pinring_completion c;

	enter(ex);
	if (try_collect(ex, ticket, &c) == -EAGAIN)
		place_of(ex, ticket)->state = PENDING_DETACHED;
	leave(ex);
}

/* The executor has ended: what it answered before that is there by now. */
static int last_collect(struct pinring_executor *ex, uint64_t ticket,
			struct pinring_completion *completion)
{
	int rc = collect_one(ex, ticket, completion);

	if (rc != -EAGAIN)
		return rc;
	forsake(ex, ticket);
	return fail_ended(ex, "the executor ended before it answered");
}

static int fail_ticket(struct pinring_executor *ex, uint64_t ticket)
{
	return pinring_fail(ex->device, -ENOENT,
			    "ticket %llu was never given, is detached, or was collected before",
			    (unsigned long long)ticket);
}

int pinring_executor_poll(struct pinring_executor *ex, uint64_t ticket,
			  struct pinring_completion *completion)
{
	int rc = collect_one(ex, ticket, completion);

	if (rc == -EAGAIN && has_ended(ex))
		rc = last_collect(ex, ticket, completion);
	return rc == -ENOENT ? fail_ticket(ex, ticket) : rc;
}

/* Sleeps until something may have come, or the time is up. */
static void sleep_on(struct pinring_executor *ex, uint64_t seen, int64_t ns)
{
	struct timespec left;
	int saved = errno, cancel;
	uint32_t round;
	bool first;

	if (!ex->wakes && ns > NAP_NS)
		ns = NAP_NS;
	if (!ex->shared) {
		pinring_doorbell_wait(ex->done_bell, seen, ns);
		return;
	}
	enter(ex);
	/*
	 * What was rung since may be collected already, by the one that sleeps
	 * on the doorbell now, and what it waits for may come much later.
	 */
	if (pinring_doorbell_sequence(ex->done_bell) != seen) {
		leave(ex);
		return;
	}
	first = !ex->watched;
	ex->watched = true;
	ex->followers += !first;
	round = ex->rounds;
	leave(ex);
	if (first) {
		/* Cancelled in there, it would leave the others asleep. */
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
		pinring_doorbell_wait(ex->done_bell, seen, ns);
	} else {
		left.tv_sec = ns / 1000000000;
		left.tv_nsec = ns % 1000000000;
		syscall(SYS_futex, &ex->rounds, FUTEX_WAIT_PRIVATE, round,
			&left, NULL, 0);
	}
	enter(ex);
	ex->watched = ex->watched && !first;
	ex->followers -= !first;
	if (first)
		__atomic_store_n(&ex->rounds, round + 1, __ATOMIC_RELAXED);
	round = first ? ex->followers : 0;
	leave(ex);
	if (round)
		syscall(SYS_futex, &ex->rounds, FUTEX_WAKE_PRIVATE, INT32_MAX,
			NULL, NULL, 0);
	if (first)
		pthread_setcancelstate(cancel, NULL);
	errno = saved;
}

int pinring_executor_wait(struct pinring_executor *ex, uint64_t ticket,
			  int64_t timeout_ns,
			  struct pinring_completion *completion)
{
	/*
	 * Some 7 us of spinning, then 100 us of yielding: when the executor's
	 * thread shares our core, as a new thread does until the scheduler
	 * moves it, every spin keeps it from running.
	 */
	const uint32_t spins = 256, yields = 256;
	const int64_t period = pinring_executor_look_period(ex);
	int64_t deadline = 0, left;
	uint32_t i;
	int rc;

	for (i = 0;; i++) {
		uint64_t seen = 0;

		if (i >= spins + yields)
			seen = pinring_doorbell_sequence(ex->done_bell);
		rc = collect_one(ex, ticket, completion);
		if (rc != -EAGAIN)
			break;
		if (i < spins && timeout_ns) {
			pinring_relax();
			/* A short timeout must not wait for all the spins. */
			if (i % 64 != 63)
				continue;
		}
		if (i >= spins + yields)
			pinring_executor_watch(ex);
		if (has_ended(ex)) {
			rc = last_collect(ex, ticket, completion);
			break;
		}
		if (!deadline)
			deadline = pinring_deadline(timeout_ns);
		left = deadline == INT64_MAX ? INT64_MAX :
					       deadline - pinring_now();
		if (left <= 0)
			return pinring_fail(ex->device, -ETIMEDOUT,
					    "ticket %llu: no completion within %lld ns",
					    (unsigned long long)ticket,
					    (long long)timeout_ns);
		if (i < spins)
			continue;
		if (i < spins + yields)
			sched_yield();
		else
			sleep_on(ex, seen, left < period ? left : period);
	}
	return rc == -ENOENT ? fail_ticket(ex, ticket) : rc;
}

int pinring_executor_call(struct pinring_executor *ex,
			  const struct pinring_command *command,
			  int64_t timeout_ns,
			  struct pinring_completion *completion)
{
	uint64_t ticket;
	int rc;

	if (command->flags & PINRING_COMMAND_DETACHED)
		return pinring_fail(ex->device, -EINVAL,
				    "command %u: flags: a call waits for the completion, so it cannot be detached",
				    command->id);
	rc = pinring_executor_submit(ex, command, &ticket);
	if (rc)
		return rc;
	rc = pinring_executor_wait(ex, ticket, timeout_ns, completion);
	if (rc == -ETIMEDOUT)
		forsake(ex, ticket);
	return rc;
}

struct pinring_doorbell *pinring_executor_doorbell(struct pinring_executor *ex)
{
	return ex->done_bell;
}

int pinring_executor_info(const struct pinring_executor *ex,
			  struct pinring_executor_info *out)
{
	struct pinring_executor_info info =
		PINRING_INIT(struct pinring_executor_info);
	const struct pinring_telemetry *t = ex->telemetry;

	info.kind = ex->config.kind;
	info.threads = ex->config.threads;
	info.depth = ex->config.depth;
	info.error = __atomic_load_n(&ex->control->error, __ATOMIC_RELAXED);
	info.error_id = __atomic_load_n(&ex->control->error_id,
					__ATOMIC_RELAXED);
	info.error_operation = __atomic_load_n(&ex->control->error_operation,
					       __ATOMIC_RELAXED);
	info.error_reason = __atomic_load_n(&ex->control->error_reason,
					    __ATOMIC_RELAXED);
	info.gpu_bytes = pinring_load_word(&ex->control->gpu_bytes);
	info.submitted = __atomic_load_n(&ex->submitted, __ATOMIC_RELAXED);
	info.heartbeat = pinring_load_word(&ex->control->heartbeat);
	info.telemetry.processed = pinring_load_word(&t->processed);
	info.telemetry.failed = pinring_load_word(&t->failed);
	info.telemetry.elements = pinring_load_word(&t->elements);
	info.telemetry.busy_ns = pinring_load_word(&t->busy_ns);
	info.telemetry.last_ns = pinring_load_word(&t->last_ns);
	info.telemetry.longest_ns = pinring_load_word(&t->longest_ns);
	info.telemetry.sleeps = pinring_load_word(&t->sleeps);
	snprintf(info.isa, sizeof(info.isa), "%s", ex->isa);
	snprintf(info.reason, sizeof(info.reason), "%s", ex->reason);
	snprintf(info.commands, sizeof(info.commands), "%s", ex->placement);
	return pinring_give_info(ex->device, out, &info, sizeof(info),
				 "pinring_executor_info");
}
