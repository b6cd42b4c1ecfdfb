// SPDX-License-Identifier: MIT
/* executor.c - creation, lifecycle, and the end of an executor. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <pinring/ring.h>

#include "executor.h"

#define DEPTH_DEFAULT 256
#define DEPTH_MAX 65536
#define SPIN_US_DEFAULT 200
#define ASK_SLOTS 8 /* one is asked at a time */
#define WATCHDOG_MS_DEFAULT 60000

static int take_executor_config(struct pinring_device *device,
				const struct pinring_executor_config *from,
				struct pinring_executor_config *c)
{
	int rc = 0;

	*c = pinring_executor_defaults();
	if (from)
		rc = pinring_take_config(device, c, sizeof(*c), from,
					 "pinring_executor_config");
	if (rc)
		return rc;
	if (!c->depth)
		c->depth = DEPTH_DEFAULT;
	if (!c->spin_us)
		c->spin_us = SPIN_US_DEFAULT;
	if (!c->watchdog_ms)
		c->watchdog_ms = WATCHDOG_MS_DEFAULT;
	if (c->kind > PINRING_EXECUTOR_CUDA)
		return pinring_fail(device, -EINVAL, "kind: no executor %u",
				    c->kind);
	if (!pinring_power_of_two(c->depth) || c->depth < 4 ||
	    c->depth > DEPTH_MAX)
		return pinring_fail(device, -EINVAL,
				    "depth: %u is not a power of two from 4 to %d",
				    c->depth, DEPTH_MAX);
	if (c->cpu < PINRING_CPU_ANY)
		return pinring_fail(device, -EINVAL, "cpu: %d", c->cpu);
	if (c->flags & ~PINRING_EXECUTOR_SHARED)
		return pinring_fail(device, -EINVAL, "flags: %#x is unknown",
				    c->flags & ~PINRING_EXECUTOR_SHARED);
	if (c->reserved)
		return pinring_fail(device, -EINVAL, "reserved: not zero");
	if (c->gpu < 0)
		return pinring_fail(device, -EINVAL, "gpu: %d", c->gpu);
	return 0;
}

static int make_done_bell(struct pinring_executor *ex)
{
	bool module = pinring_device_backend(ex->device) ==
		      PINRING_BACKEND_MODULE;

	ex->wakes = !ex->ops->stores_only || module;
	if (ex->ops->stores_only && module)
		return pinring_doorbell_create_device(ex->region, "done",
						      &ex->done_bell);
	return pinring_doorbell_create(ex->region, "done", &ex->done_bell);
}

static int make_objects(struct pinring_executor *ex)
{
	struct pinring_region *r = ex->region;
	struct pinring_object_info o;
	uint64_t capacity = 2ull * ex->config.depth;
	int rc;

	rc = pinring_object_create(r, "control", PINRING_OBJECT_CONTROL,
				   sizeof(*ex->control), 128, &o);
	if (rc)
		return rc;
	ex->control = pinring_region_at(r, o.offset, o.length);
	rc = pinring_object_create(r, "telemetry", PINRING_OBJECT_TELEMETRY,
				   sizeof(*ex->telemetry), 128, &o);
	if (rc)
		return rc;
	ex->telemetry = pinring_region_at(r, o.offset, o.length);
	rc = pinring_object_create(r, "profile", PINRING_OBJECT_PROFILE,
				   sizeof(*ex->profile), 128, &o);
	if (rc)
		return rc;
	ex->profile = pinring_region_at(r, o.offset, o.length);
	/*
	 * Twice the depth: credit comes back a quarter of a ring at a time, and
	 * `depth` commands must fit even when the last quarter is still due.
	 */
	rc = pinring_device_ring_create(r, "commands", capacity);
	if (!rc)
		rc = pinring_device_ring_create(r, "completions", capacity);
	if (!rc)
		rc = pinring_device_producer_open(r, "commands", &ex->commands);
	if (!rc)
		rc = pinring_device_consumer_open(r, "completions",
						  &ex->completions);
	if (!rc)
		rc = pinring_doorbell_create(r, "submitted", &ex->submit_bell);
	if (!rc)
		rc = pinring_doorbell_create(r, "asked", &ex->ask_bell);
	if (!rc)
		rc = pinring_device_ring_create(r, "requests", ASK_SLOTS);
	if (!rc)
		rc = pinring_device_ring_create(r, "replies", ASK_SLOTS);
	if (!rc)
		rc = make_done_bell(ex);
	return rc;
}

int pinring_executor_open_loop(struct pinring_executor *ex,
			       struct pinring_loop *loop)
{
	struct pinring_region *r = ex->region;
	int rc;

	rc = pinring_device_consumer_open(r, "commands", &loop->commands);
	if (!rc)
		rc = pinring_device_producer_open(r, "completions",
						  &loop->completions);
	if (!rc)
		rc = pinring_device_producer_open(r, "requests",
						  &loop->requests);
	if (!rc)
		rc = pinring_device_consumer_open(r, "replies",
						  &loop->replies);
	loop->control = ex->control;
	loop->telemetry = ex->telemetry;
	loop->profile = ex->profile;
	loop->attachments = ex->attachments;
	loop->limit = ex->config.commands_max;
	loop->idle_ns = (uint64_t)ex->config.idle_ms * 1000000;
	return rc;
}

int pinring_executor_check_parent(const struct pinring_executor *ex)
{
	if (ex->pid == getpid())
		return 0;
	return pinring_fail(ex->device, -EOPNOTSUPP,
			    "the executor is that of the process this one was forked from");
}

static void executor_free(struct pinring_executor *ex)
{
	static struct pinring_executor *lost;

	pinring_links_drop(ex);
	pinring_services_stop(ex);
	if (ex->lost) {
		/* In sight of those who look for leaks. */
		ex->next = __atomic_load_n(&lost, __ATOMIC_RELAXED);
		while (!__atomic_compare_exchange_n(&lost, &ex->next, ex, false,
						    __ATOMIC_RELEASE,
						    __ATOMIC_RELAXED))
			;
		return;
	}
	pinring_kernels_free(ex);
	pinring_attached_drop(ex);
	if (ex->ops)
		ex->ops->free(ex);
	if (ex->attachments)
		munmap(ex->attachments, PINRING_SHARED_BYTES);
	pinring_doorbell_close(ex->submit_bell);
	pinring_doorbell_close(ex->done_bell);
	pinring_doorbell_close(ex->ask_bell);
	pinring_region_close(ex->region);
	pinring_device_close(ex->device);
	pthread_mutex_destroy(&ex->wish_lock);
	pthread_mutex_destroy(&ex->kernels_lock);
	pthread_mutex_destroy(&ex->attach_lock);
	pthread_mutex_destroy(&ex->offer_lock);
	pthread_mutex_destroy(&ex->ticket_lock);
	free(ex->pending);
	free(ex);
}

static void *map_shared(void)
{
	void *at = mmap(NULL, PINRING_SHARED_BYTES, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

static int prepare(struct pinring_executor *ex, uint32_t kind,
		   struct pinring_device *device,
		   struct pinring_region_config *config)
{
	const struct pinring_executor_ops *ops =
		kind == PINRING_EXECUTOR_CUDA ? &pinring_cuda_ops :
						&pinring_host_ops;
	int rc = ops->prepare(ex, device, config);

	if (rc)
		return rc;
	ex->config.kind = kind;
	ex->ops = ops;
	return 0;
}

/* AUTO: a GPU if one can be had, and else the reason why not. */
static int choose_ops(struct pinring_executor *ex,
		      struct pinring_region_config *config)
{
	uint32_t kind = ex->config.kind;

	if (kind != PINRING_EXECUTOR_AUTO)
		return prepare(ex, kind, ex->device, config);
	if (!prepare(ex, PINRING_EXECUTOR_CUDA, NULL, config))
		return 0;
	snprintf(ex->reason, sizeof(ex->reason), "%s", pinring_error());
	return prepare(ex, PINRING_EXECUTOR_HOST, ex->device, config);
}

/* For those who look on, in other processes. */
static void tell(const struct pinring_executor *ex)
{
	pinring_store_pair(&ex->control->kind, ex->config.kind,
			   (uint32_t)ex->config.gpu);
	/* Only what is not in host memory is flushed. */
	pinring_store_pair(&ex->control->workers, ex->config.threads,
			   ex->flush != NULL);
}

int pinring_executor_create(struct pinring_device *device,
			    const struct pinring_executor_config *config,
			    struct pinring_executor **out)
{
	struct pinring_region_config rc_config;
	struct pinring_executor_config c;
	struct pinring_executor *ex;
	int saved = errno;
	int rc;

	*out = NULL;
	rc = take_executor_config(device, config, &c);
	if (rc)
		return rc;
	ex = calloc(1, sizeof(*ex));
	if (!ex) {
		errno = saved;
		return pinring_fail(device, -ENOMEM, "no memory for an executor");
	}
	ex->device = pinring_device_get(device);
	ex->config = c;
	ex->pid = getpid();
	ex->shared = c.flags & PINRING_EXECUTOR_SHARED;
	pthread_mutex_init(&ex->wish_lock, NULL);
	pthread_mutex_init(&ex->kernels_lock, NULL);
	pthread_mutex_init(&ex->attach_lock, NULL);
	pthread_mutex_init(&ex->offer_lock, NULL);
	pthread_mutex_init(&ex->ticket_lock, NULL);
	ex->pending = calloc(c.depth, sizeof(*ex->pending));
	ex->attachments = map_shared();
	if (!ex->pending || !ex->attachments) {
		rc = pinring_fail(device, -ENOMEM,
				  "no memory for %u commands in flight",
				  c.depth);
		goto fail;
	}
	rc = pinring_kernels_init(ex);
	if (rc)
		goto fail;
	/* Small pages: zeroing 2 MiB would be most of the time this takes. */
	rc_config = pinring_region_defaults(
		PINRING_REGION_HEADER_BYTES + 16384 +
		sizeof(struct pinring_profile) +
		4ull * c.depth * sizeof(struct pinring_device_slot));
	rc_config.flags = PINRING_REGION_SMALL_PAGES;
	rc_config.name = "pinring-executor";
	rc = choose_ops(ex, &rc_config);
	if (!rc)
		rc = pinring_region_create(device, &rc_config, &ex->region);
	if (!rc)
		rc = make_objects(ex);
	if (!rc)
		rc = ex->ops->init(ex);
	if (rc)
		goto fail;
	tell(ex);
	*out = ex;
	errno = saved;
	return 0;
fail:
	executor_free(ex);
	errno = saved;
	return rc;
}

void pinring_executor_profile(const struct pinring_executor *ex,
			      struct pinring_profile *out)
{
	const __u64 *from = (const __u64 *)ex->profile;
	__u64 *to = (__u64 *)out;
	size_t i;

	for (i = 0; i < sizeof(*out) / sizeof(*to); i++)
		to[i] = pinring_load_word(&from[i]);
}

/* ---------------------------------------------------------------- lifecycle */
enum pinring_state pinring_executor_state(const struct pinring_executor *ex)
{
	/* acquire: pairs with the store in pinring_executor_fail() */
	if (__atomic_load_n(&ex->hung, __ATOMIC_ACQUIRE))
		return PINRING_STATE_FAILED;
	return (enum pinring_state)(uint32_t)pinring_load_word(
		&ex->control->reached);
}

int pinring_executor_launch(struct pinring_executor *ex)
{
	int saved = errno;
	int rc = pinring_executor_check_parent(ex);

	if (rc)
		return rc;
	pthread_mutex_lock(&ex->wish_lock);
	if (ex->wish != PINRING_STATE_CREATED) {
		rc = pinring_fail(ex->device, -EINVAL,
				  "launch: the executor is %s already",
				  pinring_state_name(ex->wish));
	} else {
		rc = ex->ops->launch(ex);
		ex->launched = !rc;
		__atomic_store_n(&ex->wish,
				 rc ? PINRING_STATE_FAILED :
				      PINRING_STATE_LAUNCHED,
				 __ATOMIC_RELAXED);
		/* No loop runs that could say so itself. */
		if (rc)
			pinring_store_word(&ex->control->reached,
					   PINRING_STATE_FAILED);
	}
	pthread_mutex_unlock(&ex->wish_lock);
	errno = saved;
	return rc;
}

static bool may_wish(enum pinring_state from, enum pinring_state to)
{
	switch (from) {
	case PINRING_STATE_LAUNCHED:
	case PINRING_STATE_ACTIVE:
	case PINRING_STATE_PAUSED:
		return true;
	case PINRING_STATE_CREATED:
	case PINRING_STATE_DRAINING:
		return to == PINRING_STATE_TERMINATED;
	default:
		return false;
	}
}

void pinring_executor_tell(struct pinring_executor *ex, enum pinring_state state)
{
	uint64_t leave = ex->leaving && state < PINRING_STATE_TERMINATED ?
				 PINRING_WISH_LEAVE :
				 0;

	/* release: pairs with the load in pinring_obey() */
	pinring_store_word(&ex->control->wanted,
			   ++ex->epoch << 32 | leave | (uint64_t)state);
	pinring_executor_wake(ex);
}

static int wish(struct pinring_executor *ex, enum pinring_state state)
{
	int rc = pinring_executor_check_parent(ex);

	if (rc)
		return rc;
	pthread_mutex_lock(&ex->wish_lock);
	/* A drained executor ends by itself. */
	if (pinring_executor_ended(ex))
		__atomic_store_n(&ex->wish, pinring_executor_state(ex),
				 __ATOMIC_RELAXED);
	if (!may_wish(ex->wish, state)) {
		rc = pinring_fail(ex->device, -EINVAL,
				  "an executor that is %s cannot become %s",
				  pinring_state_name(ex->wish),
				  pinring_state_name(state));
		goto out;
	}
	if (ex->wish == PINRING_STATE_CREATED)
		pinring_store_word(&ex->control->reached, state);
	__atomic_store_n(&ex->wish, state, __ATOMIC_RELAXED);
	pinring_executor_tell(ex, state);
out:
	pthread_mutex_unlock(&ex->wish_lock);
	return rc;
}

/*
 * wish_lock is held. Where nobody activates it, it begins with all that it will ever
 * know, runs commands by itself, and answers no wish.
 */
static bool is_deaf(const struct pinring_executor *ex)
{
	return ex->config.commands_max && ex->wish == PINRING_STATE_LAUNCHED;
}

/* The same wish as before, as a new one. */
void pinring_executor_nudge(struct pinring_executor *ex)
{
	pthread_mutex_lock(&ex->wish_lock);
	if (ex->launched && ex->wish < PINRING_STATE_TERMINATED && !is_deaf(ex))
		pinring_executor_tell(ex, ex->wish);
	pthread_mutex_unlock(&ex->wish_lock);
}

bool pinring_executor_nudged(struct pinring_executor *ex)
{
	uint64_t reached = pinring_load_word(&ex->control->reached);
	bool answered;

	pthread_mutex_lock(&ex->wish_lock);
	/* It runs no command before it is told to. */
	answered = pinring_executor_ended(ex) ||
		   (!is_deaf(ex) &&
		    ((ex->wish < PINRING_STATE_ACTIVE &&
		      (uint32_t)reached < PINRING_STATE_ACTIVE) ||
		     reached >> 32 == (uint32_t)ex->epoch));
	pthread_mutex_unlock(&ex->wish_lock);
	return answered;
}

bool pinring_executor_knows(struct pinring_executor *ex)
{
	bool knows;

	pthread_mutex_lock(&ex->wish_lock);
	knows = !ex->launched ||
		(!is_deaf(ex) &&
		 pinring_load_word(&ex->control->reached) >> 32 ==
			 (uint32_t)ex->epoch);
	pthread_mutex_unlock(&ex->wish_lock);
	return knows;
}

int pinring_executor_activate(struct pinring_executor *ex)
{
	return wish(ex, PINRING_STATE_ACTIVE);
}

int pinring_executor_pause(struct pinring_executor *ex)
{
	return wish(ex, PINRING_STATE_PAUSED);
}

int pinring_executor_drain(struct pinring_executor *ex)
{
	return wish(ex, PINRING_STATE_DRAINING);
}

int pinring_executor_terminate(struct pinring_executor *ex)
{
	return wish(ex, PINRING_STATE_TERMINATED);
}

int pinring_executor_wait_state(struct pinring_executor *ex,
				enum pinring_state state, int64_t timeout_ns)
{
	int64_t deadline = pinring_deadline(timeout_ns);
	uint64_t polls = 0;

	for (;;) {
		enum pinring_state now = pinring_executor_state(ex);

		if (now == state)
			return 0;
		if (now >= PINRING_STATE_TERMINATED)
			return pinring_executor_why(ex, -ECANCELED) ?
				       -ECANCELED :
				       pinring_fail(
					       ex->device, -ECANCELED,
					       "the executor is %s and will not become %s",
					       pinring_state_name(now),
					       pinring_state_name(state));
		if (polls >= 1000) {
			pinring_executor_watch(ex);
			if (pinring_now() >= deadline)
				return pinring_fail(
					ex->device, -ETIMEDOUT,
					"the executor is still %s, not %s",
					pinring_state_name(now),
					pinring_state_name(state));
		}
		pinring_executor_nap(&polls);
	}
}

int pinring_executor_start(struct pinring_device *device,
			   const struct pinring_executor_config *config,
			   struct pinring_executor **out)
{
	struct pinring_executor *ex;
	int rc;

	*out = NULL;
	rc = pinring_executor_create(device, config, &ex);
	if (rc)
		return rc;
	rc = pinring_executor_launch(ex);
	if (!rc)
		rc = pinring_executor_activate(ex);
	if (!rc)
		rc = pinring_executor_wait_state(ex, PINRING_STATE_ACTIVE,
						 PINRING_FOREVER);
	if (rc) {
		pinring_executor_close(ex, 0);
		return rc;
	}
	*out = ex;
	return 0;
}

int64_t pinring_executor_close(struct pinring_executor *ex, int64_t timeout_ns)
{
	int64_t undone;

	if (!ex)
		return 0;
	/* In a child of fork there are no threads to wait for. */
	if (ex->launched && ex->pid == getpid()) {
		/* Refused if it drains or has ended already: just as well. */
		(void)wish(ex, PINRING_STATE_DRAINING);
		if (pinring_executor_wait_state(ex, PINRING_STATE_TERMINATED,
						timeout_ns))
			(void)wish(ex, PINRING_STATE_TERMINATED);
		/* It may not end at all, which only the watchdog finds out. */
		(void)pinring_executor_wait_state(
			ex, PINRING_STATE_TERMINATED, PINRING_FOREVER);
		pinring_executor_collect(ex);
		if (!ex->hung)
			ex->ops->join(ex);
		else
			ex->ops->abandon(ex);
	} else if (ex->pid == getpid() && ex->wish == PINRING_STATE_CREATED) {
		/* Executors that forward to this one see it. */
		(void)wish(ex, PINRING_STATE_TERMINATED);
	}
	undone = (int64_t)(ex->undone + ex->submitted - ex->collected);
	executor_free(ex);
	return undone;
}
