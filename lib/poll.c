// SPDX-License-Identifier: MIT
/* poll.c - a thread that waits for rings and tells an eventfd; see poll.h. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <pinring/poll.h>

#include "internal.h"

enum poll_state {
	IDLE, /* the handles are the caller's; the thread sleeps on `go` */
	ARMED, /* the handles are the thread's */
	RECALLED, /* the caller wants them back; the thread will say IDLE */
	CLOSING,
};

struct pinring_poll {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* Written under the lock, but read without it in is_recalled(). */
	enum poll_state state;
	struct pinring_sleepers bell; /* ready: to get the thread out of a wait */
	int fd;
	uint32_t n;
	struct pinring_wait waits[PINRING_WAIT_MAX]; /* the first one is ours */
};

static bool is_recalled(const void *side)
{
	const struct pinring_poll *p = side;

	return __atomic_load_n(&p->state, __ATOMIC_RELAXED) != ARMED;
}

static void set(struct pinring_poll *p, enum poll_state state)
{
	__atomic_store_n(&p->state, state, __ATOMIC_RELAXED);
	pthread_cond_broadcast(&p->changed);
}

static void *watch(void *arg)
{
	/* Straight to sleep: who spins uses pinring_wait_any() himself. */
	static const struct pinring_patience none;
	struct pinring_poll *p = arg;
	const uint64_t one = 1;

	pthread_mutex_lock(&p->lock);
	while (p->state != CLOSING) {
		if (p->state == IDLE) {
			pthread_cond_wait(&p->changed, &p->lock);
			continue;
		}
		pthread_mutex_unlock(&p->lock);
		pinring_wait_any(p->waits, p->n, &none, PINRING_FOREVER);
		pthread_mutex_lock(&p->lock);
		if (p->state == CLOSING)
			break;
		/* Cannot fail: the count is 0 or 1, the caller resets it. */
		if (p->state == ARMED && write(p->fd, &one, sizeof(one)) < 0)
			continue;
		set(p, IDLE);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static int start(struct pinring_poll *p)
{
	sigset_t all, old;
	int rc;

	/* The application's signals are for its own threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&p->thread, NULL, watch, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -rc;
}

int pinring_poll_create(struct pinring_device *device,
			const struct pinring_wait *waits, uint32_t n,
			struct pinring_poll **out)
{
	struct pinring_poll *p;
	int saved = errno;
	int rc;

	*out = NULL;
	if (!n || n > PINRING_POLL_MAX)
		return pinring_fail(device, -EINVAL,
				    "a poll of %u waits: give 1 to %d", n,
				    PINRING_POLL_MAX);
	p = aligned_alloc(_Alignof(struct pinring_poll), sizeof(*p));
	if (!p) {
		errno = saved;
		return pinring_fail(device, -ENOMEM, "no memory for a poll");
	}
	memset(p, 0, sizeof(*p));
	p->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->fd < 0) {
		rc = pinring_fail(device, -errno, "eventfd: %m");
		goto free_poll;
	}
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	p->n = n + 1;
	p->waits[0] = (struct pinring_wait){
		.word = &p->bell.ready,
		.over = is_recalled,
		.side = p,
	};
	memcpy(p->waits + 1, waits, n * sizeof(*waits));
	pinring_wait_join();
	rc = start(p);
	if (rc) {
		rc = pinring_fail(device, rc, "no thread for a poll: %s",
				  strerror(-rc));
		goto close_fd;
	}
	errno = saved;
	*out = p;
	return 0;

close_fd:
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	close(p->fd);
free_poll:
	free(p);
	errno = saved;
	return rc;
}

void pinring_poll_close(struct pinring_poll *p)
{
	int saved = errno;

	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	set(p, CLOSING);
	pthread_mutex_unlock(&p->lock);
	pinring_wake(&p->bell.ready);
	pthread_join(p->thread, NULL);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	close(p->fd);
	free(p);
	errno = saved;
}

int pinring_poll_fd(const struct pinring_poll *p)
{
	return p->fd;
}

int pinring_poll_arm(struct pinring_poll *p)
{
	int rc = 0;

	pthread_mutex_lock(&p->lock);
	/* The first wait, ours, is over exactly because the poll is idle. */
	if (p->state == IDLE &&
	    pinring_wait_any(p->waits + 1, p->n - 1, NULL, 0) >= 0)
		rc = -EAGAIN;
	else
		set(p, ARMED);
	pthread_mutex_unlock(&p->lock);
	return rc;
}

void pinring_poll_ack(struct pinring_poll *p)
{
	int saved = errno;
	uint64_t n;

	pthread_mutex_lock(&p->lock);
	if (p->state == ARMED)
		set(p, RECALLED);
	while (p->state == RECALLED) {
		pinring_wake(&p->bell.ready);
		pthread_cond_wait(&p->changed, &p->lock);
	}
	/* It holds 0 or 1; -EAGAIN for 0 is as good. */
	if (read(p->fd, &n, sizeof(n)) < 0)
		errno = saved;
	pthread_mutex_unlock(&p->lock);
	errno = saved;
}
