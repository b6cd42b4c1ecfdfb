/* SPDX-License-Identifier: MIT */
/*
 * kinds.h - the verbs that kinds of rings have in common, as a table: what is
 * true of every kind is tested for every kind. Messages are one number each.
 */
#ifndef SELFTESTS_KINDS_H
#define SELFTESTS_KINDS_H

#include <pinring/pinring.h>

#define KIND_LANE 2 /* of a priority ring */

union kind_producer {
	struct pinring_spsc_producer spsc;
	struct pinring_bytes_producer bytes;
	struct pinring_line_producer line;
	struct pinring_chain_producer chain;
	struct pinring_mpmc_producer mpmc;
	struct pinring_lanes_producer lanes;
	struct pinring_priority_producer priority;
	struct pinring_broadcast_producer broadcast;
};

union kind_consumer {
	struct pinring_spsc_consumer spsc;
	struct pinring_bytes_consumer bytes;
	struct pinring_line_consumer line;
	struct pinring_chain_consumer chain;
	struct pinring_mpmc_consumer mpmc;
	struct pinring_lanes_consumer lanes;
	struct pinring_priority_consumer priority;
	struct pinring_broadcast_consumer broadcast;
};

struct kind {
	const char *name;
	/* For so many messages, and so many handles at a time where there are. */
	int (*create)(struct pinring_region *r, const char *name, uint64_t n);
	int (*producer_open)(struct pinring_region *r, const char *name,
			     union kind_producer *p);
	int (*consumer_open)(struct pinring_region *r, const char *name,
			     union kind_consumer *c);
	void (*producer_close)(union kind_producer *p);
	void (*consumer_close)(union kind_consumer *c);
	int64_t (*reserve)(union kind_producer *p); /* one */
	void (*abort)(union kind_producer *p);
	int (*push)(union kind_producer *p, uint64_t v);
	int (*pop)(union kind_consumer *c, uint64_t *v);
	int (*peek)(union kind_consumer *c, uint64_t *v); /* one */
	void (*release)(union kind_consumer *c);
	int (*push_wait)(union kind_producer *p, uint64_t v, int64_t timeout_ns);
	int (*pop_wait)(union kind_consumer *c, uint64_t *v, int64_t timeout_ns);
	void (*give_back)(union kind_consumer *c); /* all it has released */
	uint64_t (*count)(const union kind_consumer *c);
	uint64_t (*free)(union kind_producer *p);
	uint64_t (*capacity)(const union kind_producer *p);
	void (*end)(union kind_producer *p); /* no more will come */
	/* c: of the same thread, for what may take from the ring; or NULL */
	struct pinring_sink (*sink)(union kind_producer *p, union kind_consumer *c);
	uint64_t unit; /* what a message takes of the capacity */
	bool many; /* producers, and what a dead consumer had taken is lost */
};

/* One item as every kind takes it; lines carry 56 bytes. */
struct kind_item {
	uint64_t word[PINRING_LINE_WORDS];
};

/* What is called alike, but for the name of the kind. */
#define KIND_SIDES(K)                                                              \
	static inline int K##_producer_open(struct pinring_region *r,              \
					    const char *name, union kind_producer *p) \
	{                                                                          \
		return pinring_##K##_producer_open(r, name, &p->K);                \
	}                                                                          \
	static inline void K##_producer_close(union kind_producer *p)              \
	{                                                                          \
		pinring_##K##_producer_close(&p->K);                               \
	}                                                                          \
	static inline void K##_consumer_close(union kind_consumer *c)              \
	{                                                                          \
		pinring_##K##_consumer_close(&c->K);                               \
	}

#define KIND_CONSUMER_OPEN(K)                                                      \
	static inline int K##_consumer_open(struct pinring_region *r,              \
					    const char *name, union kind_consumer *c) \
	{                                                                          \
		return pinring_##K##_consumer_open(r, name, &c->K);                \
	}

/* `to` is what of a producer pushes. */
#define KIND_PUSH(K, to)                                                           \
	static inline int K##_push(union kind_producer *p, uint64_t v)             \
	{                                                                          \
		struct kind_item item = { { v } };                                 \
                                                                                   \
		return pinring_##K##_push(to, &item);                              \
	}                                                                          \
	static inline int K##_push_wait(union kind_producer *p, uint64_t v,        \
					int64_t timeout_ns)                        \
	{                                                                          \
		struct kind_item item = { { v } };                                 \
                                                                                   \
		return pinring_##K##_push_wait(to, &item, timeout_ns);             \
	}                                                                          \
	static inline void K##_abort(union kind_producer *p)                       \
	{                                                                          \
		pinring_##K##_abort(to);                                           \
	}                                                                          \
	static inline uint64_t K##_free(union kind_producer *p)                    \
	{                                                                          \
		return pinring_##K##_free(to);                                     \
	}

#define KIND_POP(K)                                                                \
	static inline int K##_pop(union kind_consumer *c, uint64_t *v)             \
	{                                                                          \
		struct kind_item item = { { 0 } };                             \
		int rc = pinring_##K##_pop(&c->K, &item);                          \
                                                                                   \
		*v = item.word[0];                                                 \
		return rc;                                                         \
	}                                                                          \
	static inline int K##_pop_wait(union kind_consumer *c, uint64_t *v,        \
				       int64_t timeout_ns)                         \
	{                                                                          \
		struct kind_item item = { { 0 } };                             \
		int rc = pinring_##K##_pop_wait(&c->K, &item, timeout_ns);         \
                                                                                   \
		*v = item.word[0];                                                 \
		return rc;                                                         \
	}

#define KIND_FLUSH(K)                                                              \
	static inline void K##_give_back(union kind_consumer *c)                   \
	{                                                                          \
		pinring_##K##_flush(&c->K);                                        \
	}

#define KIND_COUNT(K, of)                                                          \
	static inline uint64_t K##_count(const union kind_consumer *c)             \
	{                                                                          \
		return (uint64_t)pinring_##K##_count(of);                          \
	}

#define KIND_CAPACITY(K, of)                                                       \
	static inline uint64_t K##_capacity(const union kind_producer *p)          \
	{                                                                          \
		return pinring_##K##_capacity(of);                                 \
	}

#define KIND_END(K, call)                                                          \
	static inline void K##_end(union kind_producer *p)                         \
	{                                                                          \
		call;                                                              \
	}

#define KIND_RESERVE(K, to)                                                        \
	static inline int64_t K##_reserve(union kind_producer *p)                  \
	{                                                                          \
		void *slot = NULL;                                                 \
                                                                                   \
		return pinring_##K##_reserve(to, 1, &slot);                        \
	}

#define KIND_CREATE(K, ...)                                                        \
	static inline int K##_create(struct pinring_region *r, const char *name,   \
				     uint64_t n)                                   \
	{                                                                          \
		return pinring_##K##_create(r, name, __VA_ARGS__);                 \
	}

#define KIND_SINK(K, ...)                                                          \
	static inline struct pinring_sink K##_sink(union kind_producer *p,         \
						   union kind_consumer *c)         \
	{                                                                          \
		(void)c;                                                           \
		return pinring_##K##_sink(__VA_ARGS__);                            \
	}

/* Of slots that lie in an array, and are released by number. */
#define KIND_PEEK(K)                                                               \
	static inline int K##_peek(union kind_consumer *c, uint64_t *v)            \
	{                                                                          \
		void *slots = NULL;                                                \
		int64_t n = pinring_##K##_peek(&c->K, 1, &slots);                  \
                                                                                   \
		if (n > 0)                                                         \
			memcpy(v, slots, sizeof(*v));                              \
		return n < 0 ? (int)n : 0;                                         \
	}                                                                          \
	static inline void K##_release(union kind_consumer *c)                     \
	{                                                                          \
		pinring_##K##_release(&c->K, 1);                                   \
	}

#define KIND(K, takes, many)                                                             \
	{ #K,	     K##_create,    K##_producer_open, K##_consumer_open,          \
	  K##_producer_close, K##_consumer_close, K##_reserve, K##_abort,          \
	  K##_push, K##_pop, K##_peek, K##_release, K##_push_wait, K##_pop_wait,   \
	  K##_give_back, K##_count, K##_free, K##_capacity, K##_end, K##_sink,     \
	  takes, many }

#define KIND_PARTIES 16 /* handles at a time */

KIND_CREATE(spsc, n, 8)
KIND_SIDES(spsc)
KIND_CONSUMER_OPEN(spsc)
KIND_RESERVE(spsc, &p->spsc)
KIND_PUSH(spsc, &p->spsc)
KIND_POP(spsc)
KIND_PEEK(spsc)
KIND_SINK(spsc, &p->spsc)
KIND_FLUSH(spsc)
KIND_COUNT(spsc, &c->spsc)
KIND_CAPACITY(spsc, &p->spsc)
KIND_END(spsc, pinring_spsc_close_producer(&p->spsc))

/* Two bytes of array for each of payload: the word in front of 8. */
static const uint64_t kind_bytes = 8;

KIND_CREATE(bytes, n * (PINRING_RECORD_WORD_BYTES + kind_bytes))
KIND_SIDES(bytes)
KIND_CONSUMER_OPEN(bytes)
KIND_FLUSH(bytes)
KIND_SINK(bytes, &p->bytes)
KIND_COUNT(bytes, &c->bytes)
KIND_CAPACITY(bytes, &p->bytes)
KIND_END(bytes, pinring_bytes_close_producer(&p->bytes))

static inline int64_t bytes_reserve(union kind_producer *p)
{
	void *at;
	int rc = pinring_bytes_reserve(&p->bytes, kind_bytes, &at);

	return rc ? rc : 1;
}

static inline void bytes_abort(union kind_producer *p)
{
	pinring_bytes_abort(&p->bytes);
}

static inline int bytes_push(union kind_producer *p, uint64_t v)
{
	return pinring_bytes_push(&p->bytes, &v, sizeof(v));
}

static inline int bytes_push_wait(union kind_producer *p, uint64_t v, int64_t timeout_ns)
{
	return pinring_bytes_push_wait(&p->bytes, &v, sizeof(v), timeout_ns);
}

static inline int bytes_pop(union kind_consumer *c, uint64_t *v)
{
	uint64_t bytes = sizeof(*v);

	return pinring_bytes_pop(&c->bytes, v, &bytes);
}

static inline int bytes_peek(union kind_consumer *c, uint64_t *v)
{
	const void *at;
	uint64_t bytes;
	int rc = pinring_bytes_peek(&c->bytes, &at, &bytes);

	if (!rc)
		memcpy(v, at, sizeof(*v));
	return rc;
}

static inline void bytes_release(union kind_consumer *c)
{
	pinring_bytes_release(&c->bytes);
}

static inline int bytes_pop_wait(union kind_consumer *c, uint64_t *v, int64_t timeout_ns)
{
	uint64_t bytes = sizeof(*v);

	return pinring_bytes_pop_wait(&c->bytes, v, &bytes, timeout_ns);
}

static inline uint64_t bytes_free(union kind_producer *p)
{
	return (uint64_t)pinring_bytes_free(&p->bytes);
}

KIND_CREATE(line, n)
KIND_SIDES(line)
KIND_CONSUMER_OPEN(line)
KIND_PUSH(line, &p->line)
KIND_POP(line)
KIND_SINK(line, &p->line)
KIND_FLUSH(line)
KIND_COUNT(line, &c->line)
KIND_CAPACITY(line, &p->line)
KIND_END(line, pinring_line_close_producer(&p->line))

static inline int64_t line_reserve(union kind_producer *p)
{
	struct pinring_line *lines;

	return pinring_line_reserve(&p->line, 1, &lines);
}

static inline int line_peek(union kind_consumer *c, uint64_t *v)
{
	struct pinring_line *lines = NULL;
	int64_t n = pinring_line_peek(&c->line, 1, &lines);

	if (n > 0)
		*v = lines->payload[0];
	return n < 0 ? (int)n : 0;
}

static inline void line_release(union kind_consumer *c)
{
	pinring_line_release(&c->line, 1);
}

static inline int chain_create(struct pinring_region *r, const char *name, uint64_t n)
{
	struct pinring_chain_config config = pinring_chain_defaults(n / 4, n, 8);

	config.capacity = n;
	return pinring_chain_create(r, name, &config);
}

KIND_SIDES(chain)
KIND_CONSUMER_OPEN(chain)
KIND_RESERVE(chain, &p->chain)
KIND_PUSH(chain, &p->chain)
KIND_POP(chain)
KIND_PEEK(chain)
KIND_SINK(chain, &p->chain)
KIND_FLUSH(chain)
KIND_COUNT(chain, &c->chain)
KIND_CAPACITY(chain, &p->chain)
KIND_END(chain, pinring_chain_close_producer(&p->chain))

static inline void nothing_to_give_back(union kind_consumer *c)
{
	(void)c;
}

#define mpmc_give_back nothing_to_give_back
KIND_CREATE(mpmc, n, 8, KIND_PARTIES)
KIND_SIDES(mpmc)
KIND_CONSUMER_OPEN(mpmc)
KIND_POP(mpmc)
KIND_SINK(mpmc, &p->mpmc, c ? &c->mpmc : NULL)
KIND_COUNT(mpmc, &c->mpmc.side)
KIND_CAPACITY(mpmc, &p->mpmc.side)
KIND_END(mpmc, pinring_mpmc_close(&p->mpmc.side))

static inline int64_t mpmc_reserve(union kind_producer *p)
{
	return pinring_mpmc_reserve(&p->mpmc, 1);
}

static inline int mpmc_peek(union kind_consumer *c, uint64_t *v)
{
	int64_t n = pinring_mpmc_peek(&c->mpmc, 1);

	if (n > 0)
		memcpy(v, pinring_mpmc_slot(&c->mpmc.side, 0), sizeof(*v));
	return n < 0 ? (int)n : 0;
}

static inline void mpmc_release(union kind_consumer *c)
{
	pinring_mpmc_release(&c->mpmc);
}

static inline int mpmc_push(union kind_producer *p, uint64_t v)
{
	return pinring_mpmc_push(&p->mpmc, &v);
}

static inline int mpmc_push_wait(union kind_producer *p, uint64_t v, int64_t timeout_ns)
{
	return pinring_mpmc_push_wait(&p->mpmc, &v, timeout_ns);
}

static inline void mpmc_abort(union kind_producer *p)
{
	pinring_mpmc_abort(&p->mpmc);
}

static inline uint64_t mpmc_free(union kind_producer *p)
{
	return pinring_mpmc_free(&p->mpmc.side);
}

KIND_CREATE(lanes, n, 8, KIND_PARTIES, 1)
KIND_SIDES(lanes)
KIND_CONSUMER_OPEN(lanes)
KIND_RESERVE(lanes, p->lanes.lane)
KIND_PUSH(lanes, p->lanes.lane)
KIND_POP(lanes)
KIND_PEEK(lanes)
KIND_SINK(lanes, p->lanes.lane)
KIND_FLUSH(lanes)
KIND_COUNT(lanes, &c->lanes)
KIND_CAPACITY(lanes, &p->lanes.lanes)
KIND_END(lanes, pinring_lanes_close(&p->lanes.lanes))

static inline int priority_create(struct pinring_region *r, const char *name, uint64_t n)
{
	struct pinring_priority_config config = PINRING_INIT(struct pinring_priority_config);

	config.capacity = n;
	config.slot_bytes = 8;
	config.parties = KIND_PARTIES;
	config.policy = PINRING_PRIORITY_STRICT;
	config.limit = 16;
	return pinring_priority_create(r, name, &config);
}

#define priority_give_back nothing_to_give_back
KIND_SIDES(priority)
KIND_CONSUMER_OPEN(priority)
KIND_SINK(priority, &p->priority, KIND_LANE, c ? &c->priority : NULL)
KIND_COUNT(priority, &c->priority)
KIND_CAPACITY(priority, &p->priority)
KIND_END(priority, pinring_priority_close_producer(&p->priority))

static inline int64_t priority_reserve(union kind_producer *p)
{
	return pinring_priority_reserve(&p->priority, KIND_LANE, 1);
}

static inline void priority_abort(union kind_producer *p)
{
	pinring_priority_abort(&p->priority, KIND_LANE);
}

static inline int priority_push(union kind_producer *p, uint64_t v)
{
	return pinring_priority_push(&p->priority, KIND_LANE, &v);
}

static inline int priority_push_wait(union kind_producer *p, uint64_t v, int64_t timeout_ns)
{
	return pinring_priority_push_wait(&p->priority, KIND_LANE, &v, timeout_ns);
}

static inline int priority_peek(union kind_consumer *c, uint64_t *v)
{
	uint32_t lane = 0;
	int64_t n = pinring_priority_peek(&c->priority, 1, &lane);

	if (n > 0)
		memcpy(v, pinring_mpmc_slot(&c->priority.lane[lane].side, 0), sizeof(*v));
	return n < 0 ? (int)n : 0;
}

static inline void priority_release(union kind_consumer *c)
{
	pinring_priority_release(&c->priority);
}

static inline int priority_pop(union kind_consumer *c, uint64_t *v)
{
	uint32_t lane;

	return pinring_priority_pop(&c->priority, v, &lane);
}

static inline int priority_pop_wait(union kind_consumer *c, uint64_t *v, int64_t timeout_ns)
{
	uint32_t lane;

	return pinring_priority_pop_wait(&c->priority, v, &lane, timeout_ns);
}

static inline uint64_t priority_free(union kind_producer *p)
{
	return pinring_priority_free(&p->priority, KIND_LANE);
}

KIND_CREATE(broadcast, n, 8, 0, KIND_PARTIES)
KIND_SIDES(broadcast)
KIND_RESERVE(broadcast, &p->broadcast)
KIND_PUSH(broadcast, &p->broadcast)
KIND_POP(broadcast)
KIND_PEEK(broadcast)
KIND_SINK(broadcast, &p->broadcast)
KIND_FLUSH(broadcast)
KIND_COUNT(broadcast, &c->broadcast)
KIND_CAPACITY(broadcast, &p->broadcast.side)
KIND_END(broadcast, pinring_broadcast_close(&p->broadcast))

static inline int broadcast_consumer_open(struct pinring_region *r, const char *name,
					  union kind_consumer *c)
{
	return pinring_broadcast_consumer_open(r, name, PINRING_BROADCAST_AT_OLDEST,
					       &c->broadcast);
}

static const struct kind kinds[] = {
	KIND(spsc, 1, false),  KIND(bytes, 16, false),	 KIND(line, 1, false),
	KIND(chain, 1, false), KIND(mpmc, 1, true),	 KIND(lanes, 1, false),
	KIND(priority, 1, true), KIND(broadcast, 1, false),
};

#endif /* SELFTESTS_KINDS_H */
