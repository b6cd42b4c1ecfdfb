/* SPDX-License-Identifier: MIT */
/*
 * doorbell.h - sleep until another thread or process did something.
 *
 * A doorbell is an event count: a sequence in shared memory that the ringer
 * advances, and an eventfd that it writes only when somebody sleeps.
 *
 *	waiter                               ringer
 *	seen = pinring_doorbell_sequence     (make work visible)
 *	look for work; found? done           pinring_doorbell_ring:
 *	pinring_doorbell_wait(seen):           sequence += 1   (full barrier)
 *	  spin, yield while sequence == seen   if armed
 *	  armed = seen   (full barrier)        with an older sequence:
 *	  sequence != seen? do not sleep         write the eventfd
 *	  sleep on the eventfd                   cmpxchg armed to 0
 *
 * The barriers are a store-then-load on each side (Dekker): either the ringer
 * sees armed, or the waiter sees the new sequence, so no ring is lost.
 * Ringing costs one atomic add while nobody sleeps. Any number of ringers; one
 * waiter at a time.
 */
#ifndef PINRING_DOORBELL_H
#define PINRING_DOORBELL_H

#include <pinring/region.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pinring_doorbell;

/*
 * As pinring_object_create; also -EMFILE, -ENFILE for the eventfd, and -ENOMEM. On the
 * kernel module also -EDQUOT: max_doorbells_per_user. Where the object was made before
 * that is known (-EDQUOT, -ENOMEM, the module's -EMFILE), its name stays taken.
 */
PINRING_API int pinring_doorbell_create(struct pinring_region *region,
					const char *name,
					struct pinring_doorbell **doorbell);

/*
 * One that a device rings too, which can do no more than store to the sequence
 * (struct pinring_doorbell_lines, at the object's offset): any other value than
 * before, and after the work is visible. Only on the kernel module, whose thread
 * looks each /sys/class/misc/pinring/poll_sleep_us while somebody sleeps. Here
 * that can only be the process that made it, and what it forks.
 *
 * As above; -EOPNOTSUPP: the region is not of the kernel module.
 */
PINRING_API int
pinring_doorbell_create_device(struct pinring_region *region, const char *name,
			       struct pinring_doorbell **doorbell);

/*
 * The same doorbell in another process, with the eventfd that came from there
 * (duplicated; the caller's stays the caller's). -EINVAL: not a doorbell, or
 * not a non-blocking eventfd; -EBADF: none at all; -EMFILE, -ENOMEM; else as
 * pinring_object_find.
 *
 * On the kernel module also without the eventfd, to ring only: to sleep on it is
 * -EBADF then, and its fd is -1. -ENOENT also: it has been closed by its maker.
 */
#define PINRING_DOORBELL_RING_ONLY (-2) /* not -1, what a failed eventfd() left */

PINRING_API int pinring_doorbell_attach(struct pinring_region *region,
					const char *name, int eventfd,
					struct pinring_doorbell **doorbell);

PINRING_API void pinring_doorbell_close(struct pinring_doorbell *doorbell);

/* For epoll, io_uring and SCM_RIGHTS; owned by the doorbell. */
PINRING_API int pinring_doorbell_fd(const struct pinring_doorbell *doorbell);

/* Any thread. Never blocks. */
PINRING_API void pinring_doorbell_ring(struct pinring_doorbell *doorbell);

/* Read this before looking for work. */
PINRING_API uint64_t
pinring_doorbell_sequence(const struct pinring_doorbell *doorbell);

/*
 * Returns 0 once the sequence differs from seen, at once if it does already;
 * -ETIMEDOUT after timeout_ns. Spins, then yields, then sleeps; for how long it
 * spins: pinring_doorbell_spin. -EBADF: attached to ring only.
 */
PINRING_API int pinring_doorbell_wait(struct pinring_doorbell *doorbell,
				      uint64_t seen, int64_t timeout_ns);

/* Polls before yielding, and yields before sleeping (default 256 and 256). */
PINRING_API void pinring_doorbell_spin(struct pinring_doorbell *doorbell,
				       uint32_t polls, uint32_t yields);

/*
 * For event loops: arm, then sleep in epoll on the fd, then ack.
 * 0: armed, the fd becomes readable when the sequence leaves seen, and now and
 * then without that (look, and arm again);
 * -EAGAIN: it has left already, do not sleep; -EBADF: attached to ring only.
 */
PINRING_API int pinring_doorbell_arm(struct pinring_doorbell *doorbell,
				     uint64_t seen);

/* Disarm and make the fd quiet again. Never blocks. */
PINRING_API void pinring_doorbell_ack(struct pinring_doorbell *doorbell);

#ifdef __cplusplus
}
#endif

#endif /* PINRING_DOORBELL_H */
