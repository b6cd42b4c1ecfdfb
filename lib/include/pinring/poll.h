/* SPDX-License-Identifier: MIT */
/*
 * poll.h - a file descriptor that becomes readable when a ring has something.
 *
 * For event loops: what pinring_wait_any() waits for, in epoll, io_uring, poll
 * or anything else that takes an eventfd. A thread of the poll's own does the
 * waiting, so that the other side of a ring needs to know nothing of it: it may
 * be an older program, in another process, and nobody passes descriptors around.
 * That costs a second wake-up, some 40 us where cores idle; who wants it faster
 * and has both ends in hand rings a doorbell (doorbell.h).
 *
 *	pinring_poll_create(device, waits, n, &poll);
 *	epoll_ctl(epoll, EPOLL_CTL_ADD, pinring_poll_fd(poll), ...);
 *	for (;;) {
 *		while (pinring_poll_arm(poll) == -EAGAIN)
 *			... take what is there ...
 *		epoll_wait(...);
 *		pinring_poll_ack(poll);
 *	}
 *
 * Between arm and ack the handles in the waits belong to the poll: do not use
 * them. One thread may arm and ack.
 */
#ifndef PINRING_POLL_H
#define PINRING_POLL_H

#include <pinring/wait.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PINRING_POLL_MAX (PINRING_WAIT_MAX - 1) /* waits in a poll */

struct pinring_poll;

/*
 * The waits are copied; their handles must outlive the poll. -EINVAL: n is 0 or
 * above PINRING_POLL_MAX; -EMFILE, -ENFILE, -ENOMEM; -EAGAIN: no thread to be
 * had.
 */
PINRING_API int pinring_poll_create(struct pinring_device *device,
				    const struct pinring_wait *waits,
				    uint32_t n, struct pinring_poll **poll);

/* Ends the thread. The descriptor is closed. */
PINRING_API void pinring_poll_close(struct pinring_poll *poll);

/* An eventfd, owned by the poll. */
PINRING_API int pinring_poll_fd(const struct pinring_poll *poll);

/*
 * 0: the descriptor becomes readable once one of the waits is over. -EAGAIN: one
 * is over already. Now and then it becomes readable without that.
 */
PINRING_API int pinring_poll_arm(struct pinring_poll *poll);

/* The descriptor is quiet again, and the handles are the caller's. */
PINRING_API void pinring_poll_ack(struct pinring_poll *poll);

#ifdef __cplusplus
}
#endif

#endif /* PINRING_POLL_H */
