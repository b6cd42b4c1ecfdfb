/* SPDX-License-Identifier: MIT */
/*
 * ring_oneshot.h - the reply to one request, from a pool of them.
 *
 *	requester                      through any ring      replier
 *	take ---------- request and ticket ---------------->
 *	wait  ...                                            reserve(ticket)
 *	      ...                                            fills it in place
 *	      <---------------------------------------------- commit
 *	reads it in place
 *	release
 *
 * A ticket names a slot and the generation of its use; it is 64 bits, never 0,
 * and good for one answer: whoever comes second, or with the ticket of a request
 * that is over, is told so and changes nothing. A generation comes again after
 * 2^40 uses of a slot.
 *
 * A requester that has waited enough cancels. Where nobody has begun to answer
 * the slot is free at once. Where somebody has, it is free once he commits, which
 * then tells him: so what he writes never lands in another's reply.
 *
 * Every request ends in one of four ways, each of which is counted, exactly, who-
 * ever is killed and wherever: taken = answered + dropped + cancelled + broken +
 * in use. See struct pinring_oneshot_info.
 *
 * Death: of a replier that had begun, the requester gets -EOWNERDEAD; one that
 * had not leaves the request to be answered by another. A dead requester's slots
 * are taken back by whoever finds the pool empty or waits, and by repair. Who is
 * dead: as in ring_mpmc.h. A handle is a party; closing it ends all that it holds
 * as death would.
 *
 * Order: an answer is written before the requester sees it (release of the
 * slot's state, acquire in peek), and read before the slot is used again.
 *
 * A handle asks and answers, in one thread. All is lock-free. Header, words and
 * tickets are hostile territory: a slot's number is masked or refused, a length
 * is at most slot_bytes, a state that does not exist is -EPROTO.
 */
#ifndef PINRING_RING_ONESHOT_H
#define PINRING_RING_ONESHOT_H

#include <stdint.h>
#include <pinring/pinring_layout.h>
#include <pinring/region.h>
#include <pinring/wait.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Private memory, checked once when opened. */
struct pinring_oneshot {
	uint64_t hint; /* where to look for a free slot first */
	uint64_t mask; /* slots - 1 */
	uint64_t stride;
	uint64_t slot_bytes;
	unsigned char *slots;
	uint64_t me; /* number of this party */
	struct pinring_party *parties;
	struct pinring_oneshot_tally *tallies;
	uint64_t parties_n;
	struct pinring_oneshot_header *shared;
	struct pinring_region *region; /* the reference this handle holds */
	uint64_t owner; /* what our party's owner is while it is ours */
} PINRING_ALIGNED(128);

/* What pinring_oneshot_when_ready() waits for. */
struct pinring_oneshot_request {
	const struct pinring_oneshot *pool;
	uint64_t ticket;
};

/*
 * slots: a power of two from 1 to 2^24; slot_bytes: a multiple of 8 up to 2^20,
 * of which 48 fill a cache line; parties: handles that may be open at a time, 1
 * to 256. -EINVAL, or what pinring_object_create returns.
 */
PINRING_API int pinring_oneshot_create(struct pinring_region *region,
				       const char *name, uint64_t slots,
				       uint64_t slot_bytes, uint32_t parties);

/* As pinring_mpmc_producer_open. */
PINRING_API int pinring_oneshot_open(struct pinring_region *region,
				     const char *name,
				     struct pinring_oneshot *pool);
PINRING_API void pinring_oneshot_close(struct pinring_oneshot *pool);

/* ---------------------------------------------------------------- requester */

/*
 * A slot for a reply. 0, -EAGAIN: none is free, not even after a repair, -EPIPE:
 * shut. Costs two atomic operations, and a look at each slot that is in use on
 * the way; an empty pool costs a look into /proc.
 */
PINRING_API int pinring_oneshot_take(struct pinring_oneshot *pool,
				     uint64_t *ticket);

/* The same, but waits for a free slot: -ETIMEDOUT. */
PINRING_API int pinring_oneshot_take_wait(struct pinring_oneshot *pool,
					  uint64_t *ticket, int64_t timeout_ns);

/*
 * The answer, where it lies. 0, -EAGAIN: there is none yet, -EOWNERDEAD: who was
 * writing it died, -EPIPE: shut, and nobody has begun to answer, -ESTALE: not a
 * request of this handle, or it is over, -EPROTO. After all but the last two
 * the ticket still holds its slot, until release or cancel.
 */
PINRING_API int pinring_oneshot_peek(const struct pinring_oneshot *pool,
				     uint64_t ticket, const void **answer,
				     uint64_t *bytes);

/* The same, but waits for it: -ETIMEDOUT. */
PINRING_API int pinring_oneshot_peek_wait(const struct pinring_oneshot *pool,
				     uint64_t ticket, const void **answer,
				     uint64_t *bytes, int64_t timeout_ns);

/*
 * Done with the answer, or with the news that there will be none. 0, -EBUSY: it
 * is not there yet; -ESTALE, -EPROTO.
 */
PINRING_API int pinring_oneshot_release(struct pinring_oneshot *pool,
					uint64_t ticket);

/* No longer interested, whatever has come of it. 0, -ESTALE, -EPROTO. */
PINRING_API int pinring_oneshot_cancel(struct pinring_oneshot *pool,
				       uint64_t ticket);

/* ------------------------------------------------------------------ replier */

/*
 * Room for the answer of up to slot_bytes. 0, -EALREADY: somebody has answered or
 * begun to, -ESTALE: the request is over, or never was; -EPIPE: shut; -EPROTO.
 * Several may be reserved at a time.
 */
PINRING_API int pinring_oneshot_reserve(struct pinring_oneshot *pool,
					uint64_t ticket, void **answer);

/*
 * It is complete, with `bytes` of it. 0, -EMSGSIZE: these are too many, and it
 * stays reserved; -ESTALE: it was cancelled, or is not reserved by this handle;
 * -EPROTO.
 */
PINRING_API int pinring_oneshot_commit(struct pinring_oneshot *pool,
				       uint64_t ticket, uint64_t bytes);

/* It may be answered by somebody else. 0, -ESTALE, -EPROTO as commit. */
PINRING_API int pinring_oneshot_abort(struct pinring_oneshot *pool,
				      uint64_t ticket);

/* reserve, copy, commit */
PINRING_API int pinring_oneshot_push(struct pinring_oneshot *pool,
				     uint64_t ticket, const void *answer,
				     uint64_t bytes);

/* --------------------------------------------------------------------- both */

/*
 * For pinring_wait_any(): until peek, or take, has something else to say. The
 * request stays where it is meanwhile.
 */
PINRING_API struct pinring_wait
pinring_oneshot_when_ready(const struct pinring_oneshot_request *request);
PINRING_API struct pinring_wait
pinring_oneshot_when_room(const struct pinring_oneshot *pool);

/*
 * For all who have it open: no more is taken or begun to be answered; who waits
 * for an answer that nobody has begun gets -EPIPE. What is begun arrives.
 */
PINRING_API void pinring_oneshot_shut(struct pinring_oneshot *pool);

/*
 * Settles what dead parties left. Returns how many slots that were. By several
 * at once; it looks into /proc, and at every slot if somebody is dead.
 */
PINRING_API int64_t pinring_oneshot_repair(struct pinring_oneshot *pool);

/* Counts of all parties, ever; they agree when nobody is at work. */
struct pinring_oneshot_info {
	uint64_t struct_size;
	uint64_t slots;
	uint64_t slot_bytes;
	uint64_t in_use; /* slots */
	uint64_t taken;
	uint64_t answered; /* and released */
	uint64_t dropped; /* begun or answered, but nobody read it */
	uint64_t cancelled; /* before anybody had begun */
	uint64_t broken; /* the replier died */
	uint64_t late; /* attempts to answer what was over: not in the sum */
	uint32_t parties; /* that have it open, dead ones included */
	uint32_t closed;
};

PINRING_API int pinring_oneshot_info(const struct pinring_oneshot *pool,
				     struct pinring_oneshot_info *info);

#ifdef __cplusplus
}
#endif

#endif /* PINRING_RING_ONESHOT_H */
