/* SPDX-License-Identifier: MIT */
/*
 * outlet.h - what becomes of a message when its ring is full.
 *
 * A policy is an object of the region: all who send into a ring by that policy
 * treat a full ring in the same way, and their counts are in one place. An outlet
 * is a producer's handle with a policy: pinring_outlet_send() instead of push.
 *
 *	FAIL		-EAGAIN; the sender keeps the message
 *	WAIT		spin, yield, sleep until there is room, or -ETIMEDOUT
 *	DROP		the new message is dropped
 *	OVERWRITE	the oldest messages are: of MPMC and priority rings, and
 *			of lapping broadcast rings, which do that by themselves
 *	DIVERT		the new message goes to another ring, the dead letters
 *
 * No message is lost uncounted. Of what was sent, that is of all calls that
 * returned 0 or more,
 *
 *	sent = passed + dropped + diverted
 *	received, sooner or later = passed - overwritten
 *
 * in pinring_policy_info(), whatever became of the senders: counts stay when an
 * outlet closes, and when its process dies. Killed in the middle of a send, a
 * process leaves one message of which the counts do not tell: at most one each.
 *
 * Marks and credits: with a high and a low mark an outlet watches how full the
 * ring is. Its callback runs in the sender's thread, inside of send or credit,
 * once when the ring is filled to the high mark, and once when it is down to the
 * low one. Credit is how many may be sent before the high mark; who sends only
 * on credit never meets a full ring, as long as the mark leaves room for what
 * others send meanwhile.
 *
 * Of a byte ring the fill, the marks and the credit are bytes of the array, as
 * pinring_bytes_count() has it. Of lanes and priority rings they are those of the
 * lane. Of broadcast rings, of the slowest consumer; a lapping one has no marks,
 * and what it overwrote each consumer knows: pinring_broadcast_missed().
 *
 * An outlet belongs to one thread, like the handle it sends through.
 */
#ifndef PINRING_OUTLET_H
#define PINRING_OUTLET_H

#include <pinring/region.h>
#include <pinring/ring.h>
#include <pinring/wait.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pinring_outlet;

struct pinring_policy_config {
	uint64_t struct_size;
	uint32_t full; /* enum pinring_full */
	uint32_t parties; /* outlets open at a time, up to 256; 0: 16 */
	int64_t timeout_ns; /* of WAIT; up to PINRING_FOREVER */
	uint64_t high; /* marks, in messages, or bytes; 0: none */
	uint64_t low; /* below high */
};

/* -EINVAL, or what pinring_object_create returns. */
PINRING_API int
pinring_policy_create(struct pinring_region *region, const char *name,
		      const struct pinring_policy_config *config);

struct pinring_policy_info {
	uint64_t struct_size;
	uint32_t full; /* enum pinring_full */
	uint32_t outlets; /* open now, those of the dead included */
	uint64_t passed; /* as in struct pinring_tally */
	uint64_t dropped;
	uint64_t overwritten;
	uint64_t diverted;
	uint64_t refused;
	uint64_t waited;
	uint64_t crossings;
};

/* Exact while nobody sends. Errors as pinring_spsc_producer_open. */
PINRING_API int pinring_policy_info(struct pinring_region *region,
				    const char *name,
				    struct pinring_policy_info *info);

/* What an outlet needs of a ring; from pinring_KIND_sink(). */
struct pinring_sink {
	void *producer;
	uint32_t lane;
	bool laps; /* it is the ring that overwrites */
	bool any_size; /* a byte ring: item_bytes is the longest */
	int (*push)(const struct pinring_sink *sink, const void *item,
		    uint64_t bytes);
	uint64_t (*count)(const struct pinring_sink *sink);
	uint64_t capacity; /* what count is when the ring is full */
	uint64_t item_bytes;
	struct pinring_wait room;
	/* Discards the oldest message; 0 or -EAGAIN. NULL: cannot. */
	int (*discard)(const struct pinring_sink *sink);
	void *consumer;
};

/*
 * The handles in the sinks must outlive the outlet. dead_letters: for DIVERT, of
 * any kind, with slots as large as the ring's, or a byte ring; else NULL. -EINVAL:
 * the policy asks for something that the sinks lack, or for a mark above the
 * capacity, or the sink is of a lane that there is not;
 * -EUSERS: as many outlets are open as the policy has parties, in living
 * processes; else as pinring_spsc_producer_open.
 */
PINRING_API int pinring_outlet_open(struct pinring_region *region,
				    const char *policy,
				    const struct pinring_sink *sink,
				    const struct pinring_sink *dead_letters,
				    struct pinring_outlet **outlet);

PINRING_API void pinring_outlet_close(struct pinring_outlet *outlet);

enum pinring_fate {
	PINRING_PASSED = 0, /* it is in the ring */
	PINRING_DROPPED = 1,
	PINRING_DIVERTED = 2,
};

/*
 * An enum pinring_fate; or -EAGAIN (FAIL; OVERWRITE, where the oldest message is
 * not whole yet; DIVERT, where both are full), -ETIMEDOUT, or what push returns:
 * then the message is the sender's still. -EINVAL: this is a byte ring, to which
 * messages of any size are sent by the second one; of another ring, that is
 * -EMSGSIZE for any size but the slots'.
 */
PINRING_API int pinring_outlet_send(struct pinring_outlet *outlet,
				    const void *item);
PINRING_API int pinring_outlet_send_bytes(struct pinring_outlet *outlet,
					  const void *message, uint64_t bytes);

/* above: the high mark was reached; else the low one. NULL: nobody is told. */
PINRING_API void pinring_outlet_watch(struct pinring_outlet *outlet,
				      void (*crossed)(void *arg, bool above,
						      uint64_t fill),
				      void *arg);

/* How many until the high mark (without marks: until the ring is full). */
PINRING_API uint64_t pinring_outlet_credit(struct pinring_outlet *outlet);

/* For pinring_wait_any(): until the ring is down to the low mark, or empty. */
PINRING_API struct pinring_wait
pinring_outlet_when_low(const struct pinring_outlet *outlet);

/* ------------------------------------------------------------------- sinks */
PINRING_API struct pinring_sink
pinring_spsc_sink(struct pinring_spsc_producer *producer);
PINRING_API struct pinring_sink
pinring_line_sink(struct pinring_line_producer *producer);
PINRING_API struct pinring_sink
pinring_chain_sink(struct pinring_chain_producer *producer);
PINRING_API struct pinring_sink
pinring_bytes_sink(struct pinring_bytes_producer *producer);
PINRING_API struct pinring_sink
pinring_broadcast_sink(struct pinring_broadcast_producer *producer);

/* One lane: that of a partition. */
PINRING_API struct pinring_sink
pinring_lanes_sink(struct pinring_lane_writer *lane);

/* consumer: for OVERWRITE, a handle of this thread's on the same ring; or NULL. */
PINRING_API struct pinring_sink
pinring_mpmc_sink(struct pinring_mpmc_producer *producer,
		  struct pinring_mpmc_consumer *consumer);

/* The same, for one lane. */
PINRING_API struct pinring_sink
pinring_priority_sink(struct pinring_priority_producer *producer, uint32_t lane,
		      struct pinring_priority_consumer *consumer);

#ifdef __cplusplus
}
#endif

#endif /* PINRING_OUTLET_H */
