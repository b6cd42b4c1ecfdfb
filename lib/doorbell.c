// SPDX-License-Identifier: MIT
/*
 * doorbell.c - the event count on an eventfd; the protocol is in doorbell.h.
 *
 * In a region of the kernel module the kernel knows the doorbell too: who has no
 * eventfd rings it by an ioctl, and a device by nothing but its store.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <pinring/port.h>

#include "internal.h"

struct pinring_doorbell {
	struct pinring_doorbell_lines *lines;
	struct pinring_region *region;
	int fd; /* the eventfd; -1: to ring only, by the kernel */
	int kernels; /* fd of the kernel's bell, or -1 */
	bool of_device; /* which the kernel has to be told of before we sleep */
	uint32_t polls;
	uint32_t yields;
};

/* Takes over both fds. */
static int doorbell_new(struct pinring_region *region, uint64_t offset, int fd,
			int kernels, struct pinring_doorbell **out)
{
	struct pinring_doorbell *bell = calloc(1, sizeof(*bell));

	if (!bell) {
		close(fd);
		close(kernels);
		return pinring_fail(region->device, -ENOMEM,
				    "no memory for a doorbell");
	}
	bell->lines = (void *)(region->base + offset);
	bell->region = pinring_region_get(region);
	bell->fd = fd;
	bell->kernels = kernels;
	bell->polls = 256;
	bell->yields = 256;
	*out = bell;
	return 0;
}

static int create(struct pinring_region *region, const char *name,
		  bool of_device, struct pinring_doorbell **out)
{
	struct pinring_object_info o;
	int fd, rc, kernels = -1;

	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return pinring_fail(region->device, -errno, "%s: eventfd: %m",
				    name);
	rc = pinring_object_create(region, name, PINRING_OBJECT_DOORBELL,
				   sizeof(struct pinring_doorbell_lines),
				   PINRING_SEPARATION, &o);
	if (!rc && region->backend == PINRING_BACKEND_MODULE) {
		kernels = pinring_module_bell(region, o.offset, fd, of_device);
		if (kernels < 0)
			rc = pinring_fail(region->device, kernels,
					  kernels == -EDQUOT ?
						  "%s: this user has as many doorbells as /sys/class/misc/pinring/max_doorbells_per_user allows" :
						  "%s: the kernel makes no doorbell: %m",
					  name);
	}
	if (rc) {
		close(fd);
		return rc;
	}
	rc = doorbell_new(region, o.offset, fd, kernels, out);
	if (!rc)
		(*out)->of_device = of_device;
	return rc;
}

int pinring_doorbell_create(struct pinring_region *region, const char *name,
			    struct pinring_doorbell **out)
{
	int saved = errno;
	int rc;

	*out = NULL;
	rc = create(region, name, false, out);
	errno = saved;
	return rc;
}

int pinring_doorbell_create_device(struct pinring_region *region,
				   const char *name,
				   struct pinring_doorbell **out)
{
	int saved = errno;
	int rc;

	*out = NULL;
	if (region->backend != PINRING_BACKEND_MODULE)
		return pinring_fail(region->device, -EOPNOTSUPP,
				    "%s: a device can ring only in a region of the kernel module",
				    name);
	rc = create(region, name, true, out);
	errno = saved;
	return rc;
}

static bool is_eventfd(int fd)
{
	char path[40], target[40] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return readlink(path, target, sizeof(target) - 1) > 0 &&
	       !strcmp(target, "anon_inode:[eventfd]");
}

/* Our own fd of the caller's eventfd. */
static int take_eventfd(struct pinring_device *device, int eventfd)
{
	int fd = fcntl(eventfd, F_DUPFD_CLOEXEC, 0);
	int flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);
	int rc;

	if (fd < 0)
		return pinring_fail(device, -errno, "eventfd %d: %m", eventfd);
	if (!is_eventfd(fd))
		rc = pinring_fail(device, -EINVAL, "fd %d is not an eventfd",
				  eventfd);
	else if (flags < 0 || !(flags & O_NONBLOCK))
		/* A blocking one could stop a ringer for ever. */
		rc = pinring_fail(device, -EINVAL,
				  "eventfd %d is not non-blocking", eventfd);
	else
		return fd;
	close(fd);
	return rc;
}

int pinring_doorbell_attach(struct pinring_region *region, const char *name,
			    int eventfd, struct pinring_doorbell **out)
{
	struct pinring_object_info o;
	int saved = errno;
	int fd = -1;
	int rc;

	*out = NULL;
	rc = pinring_object_open(region, name, PINRING_OBJECT_DOORBELL,
				 sizeof(struct pinring_doorbell_lines), &o);
	if (rc)
		return rc;
	if (eventfd != PINRING_DOORBELL_RING_ONLY)
		rc = fd = take_eventfd(region->device, eventfd);
	else if (region->backend != PINRING_BACKEND_MODULE)
		rc = pinring_fail(region->device, -EINVAL,
				  "%s: without the kernel module a doorbell needs its eventfd",
				  name);
	else if (pinring_module_ring(region, o.offset))
		rc = pinring_fail(region->device, -ENOENT,
				  "%s: who made this doorbell has closed it",
				  name);
	errno = saved;
	return rc < 0 ? rc : doorbell_new(region, o.offset, fd, -1, out);
}

void pinring_doorbell_close(struct pinring_doorbell *bell)
{
	int saved = errno;

	if (!bell)
		return;
	close(bell->kernels);
	close(bell->fd);
	pinring_region_close(bell->region);
	free(bell);
	errno = saved;
}

int pinring_doorbell_fd(const struct pinring_doorbell *bell)
{
	return bell->fd;
}

void pinring_doorbell_spin(struct pinring_doorbell *bell, uint32_t polls,
			   uint32_t yields)
{
	bell->polls = polls;
	bell->yields = yields;
}

uint64_t pinring_doorbell_sequence(const struct pinring_doorbell *bell)
{
	/* acquire: pairs with the add in _ring */
	return __atomic_load_n(&bell->lines->sequence, __ATOMIC_ACQUIRE);
}

void pinring_doorbell_ring(struct pinring_doorbell *bell)
{
	struct pinring_doorbell_lines *lines = bell->lines;
	uint64_t one = 1, sequence;
	__u64 armed;
	ssize_t n;
	int saved, cancel;

	/*
	 * seq_cst, against the store and load in _arm: either we see armed, or
	 * the waiter sees the new sequence.
	 */
	sequence = __atomic_add_fetch(&lines->sequence, 1, __ATOMIC_SEQ_CST);
	armed = __atomic_load_n(&lines->armed, __ATOMIC_SEQ_CST);
	if (__builtin_expect(!armed, 1))
		return;
	/*
	 * A waiter that has seen this ring already sleeps for a later one, and
	 * may disarm and arm with the same value while we are in between: to
	 * take that sleep from it would lose the later ring. An older value
	 * cannot come back to stay, because _arm refuses what is not current.
	 */
	if ((int64_t)(armed - (sequence << 1 | 1)) >= 0)
		return;
	/*
	 * Write first, disarm after: a ringer killed in between costs a
	 * spurious wake-up, the other way round it would cost the wake-up.
	 * EAGAIN: the count is at its limit, so the fd is readable anyway.
	 */
	saved = errno;
	if (bell->fd < 0) {
		/* Likewise; -ENOENT: nobody is there any more. */
		(void)pinring_module_ring(bell->region,
					  (uint64_t)((unsigned char *)lines -
						     bell->region->base));
		errno = saved;
		return;
	}
	/* Callers hold locks, and write() is where a thread is cancelled. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	do {
		n = write(bell->fd, &one, sizeof(one));
	} while (n < 0 && errno == EINTR);
	pthread_setcancelstate(cancel, NULL);
	errno = saved;
	/* Fails if another ringer was here, or the waiter is past that sleep. */
	(void)__atomic_compare_exchange_n(&lines->armed, &armed, 0, false,
					  __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

int pinring_doorbell_arm(struct pinring_doorbell *bell, uint64_t seen)
{
	struct pinring_doorbell_lines *lines = bell->lines;

	if (bell->fd < 0)
		return -EBADF;
	/* The same, and it gets a watcher out of bed. */
	if (bell->of_device)
		return pinring_module_arm(bell->kernels, seen);
	__atomic_store_n(&lines->armed, seen << 1 | 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&lines->sequence, __ATOMIC_SEQ_CST) == seen)
		return 0;
	__atomic_store_n(&lines->armed, 0, __ATOMIC_RELAXED);
	return -EAGAIN;
}

void pinring_doorbell_ack(struct pinring_doorbell *bell)
{
	int saved = errno;
	uint64_t count;
	ssize_t n;

	__atomic_store_n(&bell->lines->armed, 0, __ATOMIC_RELAXED);
	do {
		n = read(bell->fd, &count, sizeof(count));
	} while (n < 0 && errno == EINTR);
	errno = saved;
}

/* Sleeps on the fd until `deadline`, a signal, or the fd is readable. */
static void sleep_until(struct pinring_doorbell *bell, int64_t deadline)
{
	struct pollfd p = { .fd = bell->fd, .events = POLLIN };
	struct timespec left, *timeout = NULL;
	int saved = errno;

	if (deadline != INT64_MAX) {
		int64_t ns = deadline - pinring_now();

		if (ns < 0)
			ns = 0;
		left.tv_sec = ns / 1000000000;
		left.tv_nsec = ns % 1000000000;
		timeout = &left;
	}
	(void)ppoll(&p, 1, timeout, NULL);
	errno = saved;
}

int pinring_doorbell_wait(struct pinring_doorbell *bell, uint64_t seen,
			  int64_t timeout_ns)
{
	int64_t deadline;
	uint32_t i;
	int rc;

	for (i = 0; i < bell->polls; i++) {
		if (pinring_doorbell_sequence(bell) != seen)
			return 0;
		if (!timeout_ns)
			return -ETIMEDOUT;
		pinring_relax();
	}
	deadline = pinring_deadline(timeout_ns);
	for (i = 0; i < bell->yields; i++) {
		if (pinring_doorbell_sequence(bell) != seen)
			return 0;
		if (pinring_now() >= deadline)
			return -ETIMEDOUT;
		sched_yield();
	}
	while ((rc = pinring_doorbell_arm(bell, seen)) == 0) {
		sleep_until(bell, deadline);
		pinring_doorbell_ack(bell);
		if (pinring_doorbell_sequence(bell) != seen)
			return 0;
		if (pinring_now() >= deadline)
			return -ETIMEDOUT;
	}
	return rc == -EAGAIN ? 0 : rc;
}
