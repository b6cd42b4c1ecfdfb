// SPDX-License-Identifier: MIT
/*
 * tickets.c - submitting commands and collecting their completions.
 *
 * Tickets are numbered in the order of submission, and the executor answers in
 * that order, so the n-th completion belongs to ticket n. A window of `depth`
 * places keeps completions until they are asked for.
 */
#include <sched.h>
#include <stdio.h>

#include <pinring/ring_device.h>

#include "executor.h"

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
			ex->broken = true;
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

static bool has_ended(const struct pinring_executor *ex)
{
	enum pinring_state state = pinring_executor_state(ex);

	return ex->broken || state == PINRING_STATE_TERMINATED ||
	       state == PINRING_STATE_FAILED;
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

int pinring_executor_submit(struct pinring_executor *ex,
			    const struct pinring_command *command,
			    uint64_t *ticket)
{
	struct pinring_pending *p = place_of(ex, ex->submitted);
	__u64 words[PINRING_SLOT_WORDS];
	enum pinring_state wish;

	/*
	 * What was wished, not what was reached: the executor writes to that
	 * word's line for every command, and looking would fetch it each time.
	 */
	wish = __atomic_load_n(&ex->wish, __ATOMIC_RELAXED);
	if (ex->broken)
		return pinring_fail(ex->device, -EPIPE,
				    "the completion ring is damaged");
	if (wish >= PINRING_STATE_DRAINING)
		return pinring_fail(ex->device, -EPIPE, "the executor is %s",
				    pinring_state_name(wish));
	if (p->state != PENDING_FREE)
		pinring_executor_collect(ex);
	if (p->state != PENDING_FREE)
		return pinring_fail(ex->device, -EAGAIN,
				    p->state == PENDING_DONE ?
					    "ticket %llu is done but was not collected, and depth is %u" :
					    "command %llu is in flight, and depth is %u",
				    (unsigned long long)(ex->submitted -
							 ex->config.depth),
				    ex->config.depth);
	if (stray_bits(command))
		return fail_widths(ex, command);
	pinring_pack_command(words, command);
	/* Never full: it has twice the slots that can be in flight. */
	if (!pinring_device_send(&ex->commands, words))
		return pinring_fail(ex->device, -EAGAIN,
				    "the command ring is full");
	if (ex->flush)
		ex->flush();
	p->ticket = ex->submitted;
	p->id = command->id;
	p->state = command->flags & PINRING_COMMAND_DETACHED ?
			   PENDING_DETACHED :
			   PENDING_FLIGHT;
	if (ticket)
		*ticket = ex->submitted;
	__atomic_store_n(&ex->submitted, ex->submitted + 1, __ATOMIC_RELAXED);
	pinring_executor_wake(ex);
	return 0;
}

/* -EAGAIN without a sentence: not being done is no mishap. */
static int try_collect(struct pinring_executor *ex, struct pinring_pending *p,
		       struct pinring_completion *completion)
{
	if (p->state == PENDING_FLIGHT)
		pinring_executor_collect(ex);
	if (p->state == PENDING_FLIGHT)
		return -EAGAIN;
	*completion = p->completion;
	p->state = PENDING_FREE;
	return 0;
}

/* The executor has ended: what it answered before that is there by now. */
static int last_collect(struct pinring_executor *ex, struct pinring_pending *p,
			struct pinring_completion *completion)
{
	if (try_collect(ex, p, completion) == 0)
		return 0;
	p->state = PENDING_DETACHED;
	return pinring_fail(ex->device, -EPIPE,
			    ex->broken ?
				    "the completion ring is damaged" :
				    "the executor ended before it answered");
}

static int find_ticket(struct pinring_executor *ex, uint64_t ticket,
		       struct pinring_pending **place)
{
	struct pinring_pending *p = place_of(ex, ticket);

	*place = p;
	if (ticket < ex->submitted && p->ticket == ticket &&
	    (p->state == PENDING_FLIGHT || p->state == PENDING_DONE))
		return 0;
	return pinring_fail(ex->device, -ENOENT,
			    "ticket %llu was never given, is detached, or was collected before",
			    (unsigned long long)ticket);
}

int pinring_executor_poll(struct pinring_executor *ex, uint64_t ticket,
			  struct pinring_completion *completion)
{
	struct pinring_pending *p;
	int rc = find_ticket(ex, ticket, &p);

	if (rc)
		return rc;
	rc = try_collect(ex, p, completion);
	if (rc == -EAGAIN && has_ended(ex))
		rc = last_collect(ex, p, completion);
	return rc;
}

static void sleep_on_bell(struct pinring_executor *ex, uint64_t seen,
			  int64_t deadline)
{
	const int64_t nap = 100000; /* twice what the kernel's timer rounds to */
	int64_t left = deadline == INT64_MAX ? PINRING_FOREVER :
					       deadline - pinring_now();

	pinring_doorbell_wait(ex->done_bell, seen,
			      ex->wakes || left < nap ? left : nap);
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
	struct pinring_pending *p;
	int64_t deadline = 0;
	uint32_t i;
	int rc = find_ticket(ex, ticket, &p);

	if (rc)
		return rc;
	for (i = 0;; i++) {
		uint64_t seen = 0;

		if (i >= spins + yields)
			seen = pinring_doorbell_sequence(ex->done_bell);
		rc = try_collect(ex, p, completion);
		if (rc != -EAGAIN)
			return rc;
		if (i < spins && timeout_ns) {
			pinring_relax();
			/* A short timeout must not wait for all the spins. */
			if (i % 64 != 63)
				continue;
		}
		if (has_ended(ex))
			return last_collect(ex, p, completion);
		if (!deadline)
			deadline = pinring_deadline(timeout_ns);
		if (pinring_now() >= deadline)
			return pinring_fail(ex->device, -ETIMEDOUT,
					    "ticket %llu: no completion within %lld ns",
					    (unsigned long long)ticket,
					    (long long)timeout_ns);
		if (i < spins)
			continue;
		if (i < spins + yields) {
			sched_yield();
			continue;
		}
		sleep_on_bell(ex, seen, deadline);
	}
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
		place_of(ex, ticket)->state = PENDING_DETACHED;
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
