/* SPDX-License-Identifier: MIT */
/*
 * ring_priority.h - many producers, many consumers, four lanes of urgency.
 *
 *	push(lane) --> lane 0 |######    |  --.
 *	               lane 1 |##        |    |  pop: by the policy
 *	               lane 2 |          |    +------------------->
 *	               lane 3 |######### |  --'
 *
 * Each lane is an MPMC ring (ring_mpmc.h) and keeps all its promises: one order
 * over its producers, every message once, whole whoever is killed. Between lanes
 * there is no order but that of the policy, which is of the ring, chosen when it
 * is created:
 *
 * strict: the most urgent message there is. But a lane lets at most `limit` pops
 * go by while it has messages, then it is its turn for one.
 *
 * weighted: lane i gives up to weights[i] messages by turns, the most urgent lane
 * first. A turn is over when no lane that has some left has messages.
 *
 * So nobody starves: a lane that has a message ready is served after at most
 * pinring_priority_bound() messages of others, by the reckoning of each consumer,
 * for itself: of k consumers that is k times as many in all. A handle begins with
 * nothing passed by, so consumers that open, pop a few and close again starve the
 * lower lanes.
 *
 * "Ready" is what a pop from the lane alone would give. What is reserved and not
 * published is not, nor what lies behind it.
 *
 * A handle is one side in one thread. Of a producer each lane may hold a run at a
 * time; a consumer holds one run, of one lane.
 */
#ifndef PINRING_RING_PRIORITY_H
#define PINRING_RING_PRIORITY_H

#include <pinring/ring_mpmc.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pinring_priority_config {
	uint64_t struct_size;
	uint64_t capacity; /* slots, parties, as pinring_mpmc_create, of a lane */
	uint64_t slot_bytes;
	uint32_t parties;
	uint32_t policy; /* enum pinring_priority_policy */
	uint32_t limit; /* strict: 4 to 2^30; else 0 */
	uint32_t weights[PINRING_PRIORITY_LANES]; /* weighted: 1 to 2^20; else 0 */
	uint32_t reserved;
};

/* Private memory, checked once when opened. */
struct pinring_priority_producer {
	struct pinring_mpmc_producer lane[PINRING_PRIORITY_LANES];
	struct pinring_priority_header *shared;
};

struct pinring_priority_consumer {
	struct pinring_mpmc_consumer lane[PINRING_PRIORITY_LANES];
	/*
	 * strict: messages of others since it was served or found empty;
	 * weighted: how many it may still give in this turn.
	 */
	uint32_t account[PINRING_PRIORITY_LANES];
	uint32_t weights[PINRING_PRIORITY_LANES];
	uint32_t policy;
	uint32_t limit;
	uint32_t held; /* the lane of the run it holds; PINRING_PRIORITY_LANES: none */
	struct pinring_priority_header *shared;
};

/* -EINVAL, or what pinring_object_create returns. */
PINRING_API int
pinring_priority_create(struct pinring_region *region, const char *name,
			const struct pinring_priority_config *config);

/* As pinring_mpmc_producer_open. */
PINRING_API int
pinring_priority_producer_open(struct pinring_region *region, const char *name,
			       struct pinring_priority_producer *producer);
PINRING_API int
pinring_priority_consumer_open(struct pinring_region *region, const char *name,
			       struct pinring_priority_consumer *consumer);
PINRING_API void
pinring_priority_producer_close(struct pinring_priority_producer *producer);
PINRING_API void
pinring_priority_consumer_close(struct pinring_priority_consumer *consumer);

/*
 * How many messages of others, at most, one consumer takes from the time a lane
 * has one ready until it takes that.
 */
static inline uint64_t
pinring_priority_bound(const struct pinring_priority_consumer *c, uint32_t lane)
{
	uint64_t sum = 0;
	uint32_t i;

	/* Two other lanes may have let as many pass: lane 0 never has. */
	if (c->policy == PINRING_PRIORITY_STRICT)
		return (uint64_t)c->limit + 2;
	/* The rest of this turn, then of the next what comes before it. */
	for (i = 0; i < PINRING_PRIORITY_LANES; i++)
		if (i != lane)
			sum += c->weights[i] * (i < lane ? 2ull : 1ull);
	return sum;
}

/* -------------------------------------------------------------- producers */

/* As pinring_mpmc_reserve, in that lane; -EINVAL: there is no such lane. */
static inline int64_t
pinring_priority_reserve(struct pinring_priority_producer *p, uint32_t lane,
			 uint64_t want)
{
	if (lane >= PINRING_PRIORITY_LANES)
		return -EINVAL;
	return pinring_mpmc_reserve(&p->lane[lane], want);
}

/* The payload of the i-th slot reserved in that lane. */
static inline void *
pinring_priority_slot(const struct pinring_priority_producer *p, uint32_t lane,
		      uint64_t i)
{
	return pinring_mpmc_slot(&p->lane[lane].side, i);
}

/* Publish the first n of them; the others become void. */
static inline void pinring_priority_commit(struct pinring_priority_producer *p,
					   uint32_t lane, uint64_t n)
{
	pinring_mpmc_commit(&p->lane[lane], n);
	pinring_wake(&p->shared->sleepers.ready);
}

static inline void pinring_priority_abort(struct pinring_priority_producer *p,
					  uint32_t lane)
{
	pinring_priority_commit(p, lane, 0);
}

/* Up to n items with one ticket. How many went, or what reserve returned. */
static inline int64_t
pinring_priority_push_batch(struct pinring_priority_producer *p, uint32_t lane,
			    const void *items, uint64_t n)
{
	int64_t k;

	if (lane >= PINRING_PRIORITY_LANES)
		return -EINVAL;
	k = pinring_mpmc_push_batch(&p->lane[lane], items, n);
	pinring_wake(&p->shared->sleepers.ready);
	return k;
}

/* One item of slot_bytes, copied. 0, or what reserve returned. */
static inline int pinring_priority_push(struct pinring_priority_producer *p,
					uint32_t lane, const void *item)
{
	int64_t n = pinring_priority_push_batch(p, lane, item, 1);

	return n < 0 ? (int)n : 0;
}

/* The same, but waits for room in that lane: -ETIMEDOUT. */
PINRING_API int
pinring_priority_push_wait(struct pinring_priority_producer *producer,
			   uint32_t lane, const void *item, int64_t timeout_ns);

/* For pinring_wait_any(); lane below PINRING_PRIORITY_LANES. */
static inline struct pinring_wait
pinring_priority_when_room(const struct pinring_priority_producer *p,
			   uint32_t lane)
{
	return pinring_mpmc_when_room(&p->lane[lane]);
}

/* -------------------------------------------------------------- consumers */

/*
 * Up to `want` messages of the lane whose turn it is, and of no more than that
 * turn; read in place through pinring_mpmc_slot(&c->lane[*lane].side, i).
 * Returns how many (at least 1), -EAGAIN: none is ready, -EPIPE: closed and
 * drained, -EPROTO: nothing but a damaged lane, -EBUSY: this handle holds some.
 */
PINRING_API int64_t pinring_priority_peek(struct pinring_priority_consumer *c,
					  uint64_t want, uint32_t *lane);

/* Done with all that peek returned. */
static inline void pinring_priority_release(struct pinring_priority_consumer *c)
{
	if (c->held < PINRING_PRIORITY_LANES)
		pinring_mpmc_release(&c->lane[c->held]);
	c->held = PINRING_PRIORITY_LANES;
}

/* Up to n items of one lane, copied; *lane says which. */
static inline int64_t
pinring_priority_pop_batch(struct pinring_priority_consumer *c, void *items,
			   uint64_t n, uint32_t *lane)
{
	unsigned char *to = (unsigned char *)items;
	int64_t k = pinring_priority_peek(c, n, lane);
	int64_t i;

	for (i = 0; i < k; i++) {
		const struct pinring_mpmc_side *s = &c->lane[*lane].side;

		memcpy(to + (uint64_t)i * s->slot_bytes,
		       pinring_mpmc_slot(s, (uint64_t)i), s->slot_bytes);
	}
	if (k > 0)
		pinring_priority_release(c);
	return k;
}

static inline int pinring_priority_pop(struct pinring_priority_consumer *c,
				       void *item, uint32_t *lane)
{
	int64_t n = pinring_priority_pop_batch(c, item, 1, lane);

	return n < 0 ? (int)n : 0;
}

/* The same, but waits for a message in any lane: -ETIMEDOUT. */
PINRING_API int
pinring_priority_pop_wait(struct pinring_priority_consumer *consumer,
			  void *item, uint32_t *lane, int64_t timeout_ns);

/* For pinring_wait_any(). */
PINRING_API struct pinring_wait
pinring_priority_when_ready(const struct pinring_priority_consumer *consumer);

/* Settles what dead parties left in any lane. How many slots that were. */
PINRING_API int64_t
pinring_priority_repair(const struct pinring_priority_consumer *consumer);

/* --------------------------------------------------------------------- both */

/* As pinring_mpmc_close, for all lanes. */
PINRING_API void
pinring_priority_close_producer(struct pinring_priority_producer *producer);
PINRING_API void
pinring_priority_close_consumer(struct pinring_priority_consumer *consumer);

/* Messages of all lanes, published or on their way; gone as soon as read. */
static inline uint64_t
pinring_priority_count(const struct pinring_priority_consumer *c)
{
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < PINRING_PRIORITY_LANES; i++)
		sum += pinring_mpmc_count(&c->lane[i].side);
	return sum;
}

/* Of one lane; lane below PINRING_PRIORITY_LANES. */
static inline uint64_t
pinring_priority_free(const struct pinring_priority_producer *p, uint32_t lane)
{
	return pinring_mpmc_free(&p->lane[lane].side);
}

static inline uint64_t
pinring_priority_capacity(const struct pinring_priority_producer *p)
{
	return pinring_mpmc_capacity(&p->lane[0].side);
}

#ifdef __cplusplus
}
#endif

#endif /* PINRING_RING_PRIORITY_H */
