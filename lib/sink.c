// SPDX-License-Identifier: MIT
/* sink.c - what an outlet needs of a ring, kind by kind; see outlet.h. */
#include <errno.h>

#include <pinring/outlet.h>

/* An index of the other side can be anything. */
static uint64_t at_most(uint64_t n, uint64_t capacity)
{
	return n < capacity ? n : capacity;
}

/* ------------------------------------------------------------------- SPSC */
static int spsc_push(const struct pinring_sink *s, const void *item,
		     uint64_t bytes)
{
	(void)bytes;
	return pinring_spsc_push(s->producer, item);
}

static uint64_t spsc_count(const struct pinring_sink *s)
{
	return s->capacity - pinring_spsc_free(s->producer);
}

struct pinring_sink pinring_spsc_sink(struct pinring_spsc_producer *p)
{
	return (struct pinring_sink){
		.producer = p,
		.push = spsc_push,
		.count = spsc_count,
		.capacity = pinring_spsc_capacity(p),
		.item_bytes = p->slot_bytes,
		.room = pinring_spsc_when_room(p),
	};
}

/* ------------------------------------------------------------------- line */
static int line_push(const struct pinring_sink *s, const void *item,
		     uint64_t bytes)
{
	(void)bytes;
	return pinring_line_push(s->producer, item);
}

static uint64_t line_count(const struct pinring_sink *s)
{
	return s->capacity - pinring_line_free(s->producer);
}

struct pinring_sink pinring_line_sink(struct pinring_line_producer *p)
{
	return (struct pinring_sink){
		.producer = p,
		.push = line_push,
		.count = line_count,
		.capacity = pinring_line_capacity(p),
		.item_bytes = PINRING_LINE_PAYLOAD,
		.room = pinring_line_when_room(p),
	};
}

/* ------------------------------------------------------------------ chain */
static int chain_push(const struct pinring_sink *s, const void *item,
		      uint64_t bytes)
{
	(void)bytes;
	return pinring_chain_push(s->producer, item);
}

static uint64_t chain_count(const struct pinring_sink *s)
{
	const struct pinring_chain_producer *p = s->producer;
	__u64 head = __atomic_load_n(&p->shared->head, __ATOMIC_RELAXED);

	return at_most(pinring_chain_slots(head, p->write), s->capacity);
}

struct pinring_sink pinring_chain_sink(struct pinring_chain_producer *p)
{
	const struct pinring_chain_shape *shape = &p->shape;

	return (struct pinring_sink){
		.producer = p,
		.push = chain_push,
		.count = chain_count,
		.capacity = 1ull << (shape->min_shift +
				     shape->factor_shift *
					     (shape->segments - 1)),
		.item_bytes = p->slot_bytes,
		.room = pinring_chain_when_room(p),
	};
}

/* -------------------------------------------------------------- byte ring */
static int bytes_push(const struct pinring_sink *s, const void *message,
		      uint64_t bytes)
{
	return pinring_bytes_push(s->producer, message, bytes);
}

static uint64_t bytes_count(const struct pinring_sink *s)
{
	int64_t room = pinring_bytes_free(s->producer);

	return room < 0 ? s->capacity : s->capacity - (uint64_t)room;
}

struct pinring_sink pinring_bytes_sink(struct pinring_bytes_producer *p)
{
	return (struct pinring_sink){
		.producer = p,
		.push = bytes_push,
		.count = bytes_count,
		.capacity = pinring_bytes_capacity(p),
		.item_bytes = pinring_bytes_limit(pinring_bytes_capacity(p)),
		.any_size = true,
		.room = pinring_bytes_when_room(p),
	};
}

/* ------------------------------------------------------------------ lanes */
static int lanes_push(const struct pinring_sink *s, const void *item,
		      uint64_t bytes)
{
	(void)bytes;
	return pinring_lanes_push(s->producer, item);
}

static uint64_t lanes_count(const struct pinring_sink *s)
{
	return s->capacity - pinring_lanes_free(s->producer);
}

struct pinring_sink pinring_lanes_sink(struct pinring_lane_writer *w)
{
	return (struct pinring_sink){
		.producer = w,
		.push = lanes_push,
		.count = lanes_count,
		.capacity = w->mask + 1,
		.item_bytes = w->slot_bytes,
		.room = pinring_lanes_when_room(w),
	};
}

/* ------------------------------------------------------------------- MPMC */
static int mpmc_push(const struct pinring_sink *s, const void *item,
		     uint64_t bytes)
{
	(void)bytes;
	return pinring_mpmc_push(s->producer, item);
}

static uint64_t mpmc_count(const struct pinring_sink *s)
{
	const struct pinring_mpmc_producer *p = s->producer;

	return pinring_mpmc_count(&p->side);
}

static int mpmc_discard(const struct pinring_sink *s)
{
	int64_t n = pinring_mpmc_take(s->consumer, 1);

	if (n < 0)
		return (int)n;
	pinring_mpmc_release(s->consumer);
	return 0;
}

struct pinring_sink pinring_mpmc_sink(struct pinring_mpmc_producer *p,
				      struct pinring_mpmc_consumer *c)
{
	return (struct pinring_sink){
		.producer = p,
		.push = mpmc_push,
		.count = mpmc_count,
		.capacity = pinring_mpmc_capacity(&p->side),
		.item_bytes = p->side.slot_bytes,
		.room = pinring_mpmc_when_room(p),
		.discard = c ? mpmc_discard : NULL,
		.consumer = c,
	};
}

/* --------------------------------------------------------------- priority */
static int priority_push(const struct pinring_sink *s, const void *item,
			 uint64_t bytes)
{
	(void)bytes;
	return pinring_priority_push(s->producer, s->lane, item);
}

static uint64_t priority_count(const struct pinring_sink *s)
{
	const struct pinring_priority_producer *p = s->producer;

	return pinring_mpmc_count(&p->lane[s->lane].side);
}

/* A lane is an MPMC ring, but for who has to be woken. */
struct pinring_sink pinring_priority_sink(struct pinring_priority_producer *p,
					  uint32_t lane,
					  struct pinring_priority_consumer *c)
{
	struct pinring_sink s = { .lane = lane };

	if (lane >= PINRING_PRIORITY_LANES)
		return s;
	s = pinring_mpmc_sink(&p->lane[lane], c ? &c->lane[lane] : NULL);
	s.push = priority_push;
	s.count = priority_count;
	s.producer = p;
	s.lane = lane;
	return s;
}

/* -------------------------------------------------------------- broadcast */
static int broadcast_push(const struct pinring_sink *s, const void *item,
			  uint64_t bytes)
{
	(void)bytes;
	return pinring_broadcast_push(s->producer, item);
}

static uint64_t broadcast_count(const struct pinring_sink *s)
{
	return s->capacity -
	       at_most(pinring_broadcast_free(s->producer), s->capacity);
}

struct pinring_sink
pinring_broadcast_sink(struct pinring_broadcast_producer *p)
{
	return (struct pinring_sink){
		.producer = p,
		.push = broadcast_push,
		.count = broadcast_count,
		.capacity = pinring_broadcast_capacity(&p->side),
		.item_bytes = p->side.slot_bytes,
		.laps = p->side.flags & PINRING_BROADCAST_LAPPING,
		.room = pinring_broadcast_when_room(p),
	};
}
