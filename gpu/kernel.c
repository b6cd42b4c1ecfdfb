// SPDX-License-Identifier: MIT
/* kernel.c - users' kernels become operations, and go. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "executor.h"

#define PAGE 4096
#define OPERATION_MAX 65535 /* a command has 16 bits for it */

_Static_assert(sizeof(struct pinring_attachments) <= PINRING_TABLE_BYTES,
	       "what the loop shares begins with pages of its own");

/* Compilers take the header from here: it need not be installed, or be ours. */
__asm__(".pushsection .rodata\n"
	".globl pinring_kernel_header\n"
	".hidden pinring_kernel_header\n"
	"pinring_kernel_header:\n"
	".incbin \"" PINRING_KERNEL_TEXT "\"\n"
	".byte 0\n"
	".popsection");

int pinring_kernels_init(struct pinring_executor *ex)
{
	ex->kernels = calloc(PINRING_DYNAMIC_MAX, sizeof(*ex->kernels));
	if (!ex->kernels)
		return pinring_fail(ex->device, -ENOMEM,
				    "no memory for %d kernels",
				    PINRING_DYNAMIC_MAX);
	ex->next_operation = PINRING_OP_DYNAMIC;
	return 0;
}

void pinring_kernels_free(struct pinring_executor *ex)
{
	uint32_t i;

	for (i = 0; ex->kernels && i < PINRING_DYNAMIC_MAX; i++)
		if (ex->kernels[i].operation)
			ex->ops->unload(ex, &ex->kernels[i]);
	free(ex->kernels);
}

void pinring_kernel_used(struct pinring_executor *ex, uint32_t operation,
			 uint64_t ticket)
{
	struct pinring_kernel *k = &ex->kernels[operation % PINRING_DYNAMIC_MAX];

	if (__atomic_load_n(&k->operation, __ATOMIC_RELAXED) == operation)
		__atomic_store_n(&k->last, ticket + 1, __ATOMIC_RELAXED);
}

void pinring_kernel_log(struct pinring_device *device, char *log, char *first,
			size_t size)
{
	char *line, *rest;
	bool found = false;

	first[0] = '\0';
	for (line = strtok_r(log, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		if (device && device->log)
			device->log(device->log_arg, PINRING_LOG_INFO, line);
		if (found)
			continue;
		found = strstr(line, "error") || strstr(line, "undefined");
		if (found || !first[0])
			snprintf(first, size, "%s", line);
	}
}

int pinring_kernel_check(struct pinring_device *device, const char *name,
			 const struct pinring_kernel_abi *abi)
{
	if (abi->version != PINRING_KERNEL_ABI)
		return pinring_fail(device, -ENOEXEC,
				    "%s: compiled for kernel ABI %u, and libpinring %s has %u",
				    name, abi->version, pinring_version(),
				    PINRING_KERNEL_ABI);
	if (abi->abi_bytes != sizeof(*abi) ||
	    abi->args_bytes != sizeof(struct pinring_kernel_args))
		return pinring_fail(device, -ENOEXEC,
				    "%s: compiled with structs of %u and %u bytes, and libpinring %s has %zu and %zu",
				    name, abi->abi_bytes, abi->args_bytes,
				    pinring_version(), sizeof(*abi),
				    sizeof(struct pinring_kernel_args));
	if (!abi->element_bytes || abi->element_bytes > PAGE ||
	    !pinring_power_of_two(abi->element_align) ||
	    abi->element_align > abi->element_bytes ||
	    abi->operands & ~(PINRING_KERNEL_DST | PINRING_KERNEL_A |
			      PINRING_KERNEL_B))
		return pinring_fail(device, -ENOEXEC,
				    "%s: elements of %u bytes, aligned %u, in operands %#x",
				    name, abi->element_bytes,
				    abi->element_align, abi->operands);
	return 0;
}

static int take_kernel_config(struct pinring_executor *ex,
			      const struct pinring_kernel_config *from,
			      struct pinring_kernel_config *c)
{
	const char *p;
	int rc;

	*c = PINRING_INIT(struct pinring_kernel_config);
	rc = pinring_take_config(ex->device, c, sizeof(*c), from,
				 "pinring_kernel_config");
	if (rc)
		return rc;
	for (p = c->name; p && (*p == '_' || isalnum((unsigned char)*p)); p++)
		;
	if (!p || p == c->name || *p || isdigit((unsigned char)c->name[0]) ||
	    p - c->name >= (long)sizeof(ex->kernels->name) ||
	    !strcmp(c->name, "barrier")) /* the header's */
		return pinring_fail(ex->device, -EINVAL,
				    "name: %s is not what PINRING_KERNEL(name) may have, below %zu letters",
				    c->name ? c->name : "NULL",
				    sizeof(ex->kernels->name));
	if (!c->path == !c->text)
		return pinring_fail(ex->device, -EINVAL,
				    "%s: one of path and text, not %s", c->name,
				    c->path ? "both" : "none");
	if (c->flags & ~(uint64_t)PINRING_REGISTER_HOT)
		return pinring_fail(ex->device, -EINVAL, "flags: %#llx is unknown",
				    (unsigned long long)c->flags);
	return 0;
}

/* A number whose place is free; 0: there is none. */
static uint32_t next_operation(struct pinring_executor *ex)
{
	uint32_t operation, i;

	for (i = 0; i < PINRING_DYNAMIC_MAX; i++) {
		operation = ex->next_operation++;
		if (operation == OPERATION_MAX)
			ex->next_operation = PINRING_OP_DYNAMIC;
		if (!ex->kernels[operation % PINRING_DYNAMIC_MAX].operation)
			return operation;
	}
	return 0;
}

/* What the loop knows of it. */
static struct pinring_dynamic *dynamic_of(struct pinring_executor *ex,
					  uint32_t operation)
{
	return &ex->attachments->dynamic[operation % PINRING_DYNAMIC_MAX];
}

static void publish(struct pinring_executor *ex, struct pinring_kernel *k,
		    uint32_t operation)
{
	struct pinring_dynamic *d = dynamic_of(ex, operation);

	/* Commands of this number may be queued already, which was a guess. */
	k->last = __atomic_load_n(&ex->submitted, __ATOMIC_RELAXED);
	d->entry = k->entry;
	d->element_bytes = k->abi.element_bytes;
	d->element_align = k->abi.element_align;
	d->operands = k->abi.operands;
	__atomic_store_n(&k->operation, operation, __ATOMIC_RELAXED);
	/* release: pairs with the load in pinring_check_dynamic() */
	pinring_store_word(&d->operation, operation);
}

static int register_locked(struct pinring_executor *ex,
			   const struct pinring_kernel_config *c,
			   uint32_t *operation)
{
	struct pinring_kernel *k;
	uint32_t number;
	int rc;

	if (pinring_executor_ended(ex))
		return pinring_fail(ex->device, -EPIPE, "the executor is %s",
				    pinring_state_name(
					    pinring_executor_state(ex)));
	number = next_operation(ex);
	if (!number)
		return pinring_fail(ex->device, -ENOSPC,
				    "%s: an executor has at most %d kernels",
				    c->name, PINRING_DYNAMIC_MAX);
	k = &ex->kernels[number % PINRING_DYNAMIC_MAX];
	memset(k, 0, sizeof(*k));
	snprintf(k->name, sizeof(k->name), "%s", c->name);
	rc = ex->ops->load ? ex->ops->load(ex, c, k, number) :
			     pinring_fail(ex->device, -EOPNOTSUPP,
					  "%s: this executor takes no kernels",
					  c->name);
	if (rc)
		return rc;
	publish(ex, k, number);
	*operation = number;
	return 0;
}

int pinring_executor_register(struct pinring_executor *ex,
			      const struct pinring_kernel_config *config,
			      uint32_t *operation)
{
	struct pinring_kernel_config c;
	int saved = errno;
	int rc = pinring_executor_check_parent(ex);

	*operation = 0;
	if (!rc)
		rc = take_kernel_config(ex, config, &c);
	if (rc)
		return rc;
	pthread_mutex_lock(&ex->kernels_lock);
	rc = register_locked(ex, &c, operation);
	pthread_mutex_unlock(&ex->kernels_lock);
	errno = saved;
	return rc;
}

/* Where nothing runs any more, nothing is in use; unless it does not end. */
static bool in_use(const struct pinring_executor *ex,
		   const struct pinring_kernel *k)
{
	if (__atomic_load_n(&ex->hung, __ATOMIC_ACQUIRE))
		return true;
	return pinring_load_word(&ex->control->completed) <
		       __atomic_load_n(&k->last, __ATOMIC_RELAXED) &&
	       !pinring_executor_ended(ex);
}

/* From here on the loop does not find it. False: a command of it is in flight. */
static bool withdraw(struct pinring_executor *ex, struct pinring_kernel *k,
		     uint32_t operation)
{
	bool used;

	if (ex->shared)
		pthread_mutex_lock(&ex->ticket_lock);
	used = in_use(ex, k);
	if (!used) {
		__atomic_store_n(&k->operation, 0, __ATOMIC_RELAXED);
		pinring_store_word(&dynamic_of(ex, operation)->operation, 0);
	}
	if (ex->shared)
		pthread_mutex_unlock(&ex->ticket_lock);
	return !used;
}

/*
 * Of other executors' commands no one here knows: only that none is carried out when
 * the loop answers. False: it does not, in time.
 */
static bool settles(struct pinring_executor *ex, int64_t deadline)
{
	uint64_t polls = 0;

	if (!pinring_load_word(&ex->attachments->feeds))
		return true;
	pinring_executor_nudge(ex);
	while (!pinring_executor_nudged(ex)) {
		pinring_executor_watch(ex);
		if (pinring_now() >= deadline)
			return false;
		pinring_executor_nap(&polls);
	}
	return !__atomic_load_n(&ex->hung, __ATOMIC_ACQUIRE);
}

/* -EAGAIN: a command of it is in flight. */
static int try_unregister(struct pinring_executor *ex, uint32_t operation,
			  int64_t deadline)
{
	struct pinring_kernel *k =
		&ex->kernels[operation % PINRING_DYNAMIC_MAX];

	if (operation < PINRING_OP_DYNAMIC || k->operation != operation)
		return pinring_fail(ex->device, -ENOENT,
				    "no kernel is operation %u", operation);
	if (!withdraw(ex, k, operation))
		return -EAGAIN;
	if (!settles(ex, deadline)) {
		/* Nothing has changed. */
		__atomic_store_n(&k->operation, operation, __ATOMIC_RELAXED);
		pinring_store_word(&dynamic_of(ex, operation)->operation,
				   operation);
		return -EAGAIN;
	}
	ex->ops->unload(ex, k);
	return 0;
}

int pinring_executor_unregister(struct pinring_executor *ex, uint32_t operation,
				int64_t timeout_ns)
{
	int64_t deadline = pinring_deadline(timeout_ns);
	uint64_t polls = 0;
	int rc = pinring_executor_check_parent(ex);

	if (rc)
		return rc;
	for (;;) {
		pthread_mutex_lock(&ex->kernels_lock);
		rc = try_unregister(ex, operation, deadline);
		pthread_mutex_unlock(&ex->kernels_lock);
		if (rc != -EAGAIN)
			return rc;
		pinring_executor_watch(ex);
		if (pinring_executor_ended(ex) && pinring_executor_why(ex, -EBUSY))
			return -EBUSY;
		if (pinring_now() >= deadline)
			return pinring_fail(ex->device, -EBUSY,
					    "operation %u: a command of it is in flight",
					    operation);
		pinring_executor_nap(&polls);
	}
}
