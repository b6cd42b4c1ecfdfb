// SPDX-License-Identifier: MIT
/* ring_broadcast.c - the broadcast ring: create, join, leave, wait, count. */
#include "broadcast.h"

#define CAPACITY_MAX (1ull << 32)
#define SLOT_MAX (1ull << 20)
#define WORD_BYTES sizeof(__u64)
#define FLAGS (PINRING_BROADCAST_LAPPING | PINRING_BROADCAST_MANY)

static bool shape_sane(uint64_t capacity, uint64_t slot_bytes, uint32_t flags,
		       uint32_t parties)
{
	return pinring_power_of_two(capacity) && capacity >= 2 &&
	       capacity <= CAPACITY_MAX && slot_bytes && slot_bytes % 8 == 0 &&
	       slot_bytes <= SLOT_MAX && !(flags & ~FLAGS) && parties >= 2 &&
	       parties <= PINRING_PARTIES_MAX;
}

/* The sealed part, as it has to be for this shape. */
static void lay_out(struct pinring_broadcast_header *h, uint64_t capacity,
		    uint64_t slot_bytes, uint32_t flags, uint32_t parties)
{
	*h = (struct pinring_broadcast_header){
		.magic = PINRING_BROADCAST_MAGIC,
		.capacity = capacity,
		.slot_bytes = slot_bytes,
		.stride = slot_bytes +
			  (flags & PINRING_BROADCAST_MANY ? WORD_BYTES : 0),
		.flags = flags,
		.parties = parties,
		.parties_offset = sizeof(*h),
		.slots_offset =
			sizeof(*h) + parties * sizeof(struct pinring_party),
	};
	h->seal = pinring_hash(h,
			       offsetof(struct pinring_broadcast_header, seal));
}

int pinring_broadcast_create(struct pinring_region *region, const char *name,
			     uint64_t capacity, uint64_t slot_bytes,
			     uint32_t flags, uint32_t parties)
{
	struct pinring_broadcast_header *h, init;
	struct pinring_object_info o;
	int rc;

	if (!shape_sane(capacity, slot_bytes, flags, parties))
		return pinring_fail(region->device, -EINVAL,
				    "%s: %llu slots of %llu bytes, flags %#x, for %u parties: give a power of two from 2 to 2^32, a multiple of 8 up to 2^20, flags there are, and 2 to %d",
				    name, (unsigned long long)capacity,
				    (unsigned long long)slot_bytes, flags,
				    parties, PINRING_PARTIES_MAX);
	lay_out(&init, capacity, slot_bytes, flags, parties);
	rc = pinring_object_create(region, name, PINRING_OBJECT_BROADCAST,
				   init.slots_offset + capacity * init.stride,
				   PINRING_SEPARATION, &o);
	if (rc)
		return rc;
	/* New memory is zero: no lap has begun, nobody is there. */
	h = (void *)(region->base + o.offset);
	pinring_header_publish(h, &init);
	return 0;
}

static int check_header(struct pinring_region *region, const char *name,
			const struct pinring_broadcast_header *h,
			uint64_t length, struct pinring_broadcast_header *copy)
{
	struct pinring_broadcast_header expected;
	int rc = pinring_header_copy(region, name, h, copy);

	if (rc)
		return rc;
	if (shape_sane(copy->capacity, copy->slot_bytes, copy->flags,
		       copy->parties)) {
		lay_out(&expected, copy->capacity, copy->slot_bytes,
			copy->flags, copy->parties);
		if (!memcmp(copy, &expected,
			    offsetof(struct pinring_broadcast_header, tail)) &&
		    copy->slots_offset + copy->capacity * copy->stride <=
			    length)
			return 0;
	}
	return pinring_header_damaged(region, name);
}

static int find_ring(struct pinring_region *region, const char *name,
		     struct pinring_broadcast_side *s)
{
	struct pinring_broadcast_header copy, *shared;
	struct pinring_object_info o;
	bool many;
	int rc;

	rc = pinring_object_open(region, name, PINRING_OBJECT_BROADCAST,
				 sizeof(*shared), &o);
	if (rc)
		return rc;
	shared = (void *)(region->base + o.offset);
	rc = check_header(region, name, shared, o.length, &copy);
	if (rc)
		return rc;
	many = copy.flags & PINRING_BROADCAST_MANY;
	*s = (struct pinring_broadcast_side){
		.mask = copy.capacity - 1,
		.stride = copy.stride,
		.slot_bytes = copy.slot_bytes,
		.slots = (unsigned char *)shared + copy.slots_offset +
			 (many ? WORD_BYTES : 0),
		.flags = copy.flags,
		.parties_n = copy.parties,
		.shared = shared,
		/* One slot is for the end: pinring_broadcast_end() says why. */
		.depth = copy.capacity -
			 (copy.flags == PINRING_BROADCAST_MANY ? 1 : 0),
		.shift = (uint64_t)__builtin_ctzll(copy.capacity),
		.parties = (void *)((unsigned char *)shared +
				    copy.parties_offset),
	};
	return 0;
}

/* A party for that role; of a single producer, it is always the first. */
static bool enter(struct pinring_broadcast_side *s, bool produces)
{
	const uint32_t ours = pinring_broadcast_many(s) ? 0 : 1;
	struct pinring_party *from = s->parties;
	uint32_t n = s->parties_n;

	if (ours && produces) {
		n = 1;
	} else if (ours) {
		from++;
		n--;
	}
	/* A consumer is not one before its cursor stands. */
	s->party = pinring_party_claim(from, n,
				       produces ? PINRING_PARTY_PRODUCER :
						  PINRING_PARTY_COMING);
	if (s->party)
		s->owner = __atomic_load_n(&s->party->owner, __ATOMIC_RELAXED);
	return s->party;
}

static int side_open(struct pinring_region *region, const char *name,
		     bool produces, struct pinring_broadcast_side *s)
{
	int rc = find_ring(region, name, s);

	if (rc)
		return rc;
	if (!enter(s, produces)) {
		/* The dead make room. */
		pinring_broadcast_repair(s);
		if (!enter(s, produces)) {
			rc = produces && !pinring_broadcast_many(s) ?
				     -EBUSY :
				     -EUSERS;
			return pinring_fail(
				region->device, rc,
				rc == -EBUSY ?
					"%s has its producer: it was created for one, of %u parties" :
					"%s: all %u parties have it open; create it with more",
				name, s->parties_n);
		}
	}
	s->region = pinring_region_get(region);
	pinring_wait_join();
	return 0;
}

int pinring_broadcast_producer_open(struct pinring_region *region,
				    const char *name,
				    struct pinring_broadcast_producer *p)
{
	struct pinring_broadcast_side side;
	uint64_t tail;
	int rc = side_open(region, name, true, &side);

	if (rc)
		return rc;
	/* acquire: what the last producer has published, it had written */
	tail = __atomic_load_n(&side.shared->tail, __ATOMIC_ACQUIRE);
	*p = (struct pinring_broadcast_producer){
		.write = tail,
		.limit = tail,
		.side = side,
		.next = tail,
		.bound = tail,
	};
	return 0;
}

/* ----------------------------------------------------------------- joining */
static int first_ticket(const struct pinring_broadcast_side *s,
			enum pinring_broadcast_start start, uint64_t *first)
{
	/* acquire, both: whoever stored them knew no consumer that came later */
	uint64_t limit = __atomic_load_n(&s->shared->limit, __ATOMIC_ACQUIRE);
	uint64_t tail = __atomic_load_n(&s->shared->tail, __ATOMIC_ACQUIRE);
	__u64 word;
	int rc = 0;

	if (pinring_broadcast_many(s))
		rc = pinring_broadcast_walk(s, tail, &tail, &word);
	if (rc && rc != -EPIPE)
		return rc;
	/* Lapping, many know no limit: their tickets are it; so is the end. */
	if (s->flags == FLAGS)
		limit = tail + (rc == -EPIPE);
	*first = tail;
	if (start != PINRING_BROADCAST_AT_OLDEST)
		return 0;
	*first = limit - s->depth;
	/* Nothing was before ticket 0, and nothing is further back than this. */
	if (tail - *first > s->depth)
		*first = tail;
	else if (tail - *first > tail)
		*first = 0;
	return 0;
}

static int join(struct pinring_broadcast_consumer *c,
		enum pinring_broadcast_start start)
{
	const struct pinring_broadcast_side *s = &c->side;
	struct pinring_party *party = s->party;
	const __u64 owner = (s->owner & ~0xffull) | PINRING_PARTY_CONSUMER;
	int rc;

	/* Not beyond where it will begin: no limit ever falls. */
	__atomic_store_n(&party->cursor,
			 __atomic_load_n(&s->shared->limit, __ATOMIC_RELAXED) -
				 s->depth,
			 __ATOMIC_RELAXED);
	/* release: whoever sees a consumer sees its cursor */
	__atomic_store_n(&party->owner, owner, __ATOMIC_RELEASE);
	c->side.owner = owner;
	/*
	 * A producer that looked at the cursors without seeing ours comes before
	 * this, with its limit and its tail; or it finds this, and looks again.
	 */
	__atomic_add_fetch(&s->shared->joins, 1, __ATOMIC_ACQ_REL);
	rc = first_ticket(s, start, &c->read);
	if (rc)
		return rc;
	c->tail = c->released = c->joined = c->read;
	__atomic_store_n(&party->cursor, c->read, __ATOMIC_RELEASE);
	return 0;
}

int pinring_broadcast_consumer_open(struct pinring_region *region,
				    const char *name,
				    enum pinring_broadcast_start start,
				    struct pinring_broadcast_consumer *c)
{
	struct pinring_broadcast_side side;
	int rc = side_open(region, name, false, &side);

	if (rc)
		return rc;
	*c = (struct pinring_broadcast_consumer){
		.lazy = side.depth >= 16 ? side.depth / 8 : 1,
		.side = side,
	};
	rc = join(c, start);
	if (!rc)
		return 0;
	pinring_broadcast_consumer_close(c);
	return rc == -EAGAIN ?
		       rc :
		       pinring_fail(region->device, rc,
				    "%s: its slots are damaged", name);
}

/* ------------------------------------------------------------------ leaving */
static void side_close(struct pinring_broadcast_side *s)
{
	pinring_party_leave(s->party, s->owner);
	pinring_wake(&s->shared->sleepers.room);
	pinring_region_close(s->region);
}

void pinring_broadcast_producer_close(struct pinring_broadcast_producer *p)
{
	if (!p->side.region)
		return;
	pinring_broadcast_abort(p);
	side_close(&p->side);
	memset(p, 0, sizeof(*p));
}

void pinring_broadcast_consumer_close(struct pinring_broadcast_consumer *c)
{
	if (!c->side.region)
		return;
	side_close(&c->side);
	memset(c, 0, sizeof(*c));
}

int pinring_broadcast_close(struct pinring_broadcast_producer *p)
{
	struct pinring_broadcast_header *h = p->side.shared;
	int rc = 0;

	pinring_broadcast_abort(p);
	if (pinring_broadcast_many(&p->side)) {
		rc = pinring_broadcast_end(p);
		if (rc == -EAGAIN && pinring_broadcast_repair(&p->side) > 0)
			rc = pinring_broadcast_end(p);
	} else {
		/* release: after every commit before it */
		__atomic_store_n(&h->closed, 1, __ATOMIC_RELEASE);
	}
	/* So that the next reserve looks, and finds it closed. */
	p->limit = p->write;
	pinring_wake(&h->sleepers.ready);
	pinring_wake(&h->sleepers.room);
	return rc;
}

/* ----------------------------------------------------------------- waiting */
/* The ticket a producer would get next; of many, also the word there. */
static int next_ticket(const struct pinring_broadcast_side *s, uint64_t from,
		       uint64_t *ticket, __u64 *word)
{
	if (pinring_broadcast_many(s))
		return pinring_broadcast_walk(s, from, ticket, word);
	*ticket = __atomic_load_n(&s->shared->tail, __ATOMIC_ACQUIRE);
	*word = 0;
	return __atomic_load_n(&s->shared->closed, __ATOMIC_RELAXED) ? -EPIPE :
								       0;
}

static bool is_roomy(const void *producer)
{
	const struct pinring_broadcast_producer *p = producer;
	uint64_t ticket;
	__u64 word;

	if (next_ticket(&p->side, p->next, &ticket, &word))
		return true;
	if (pinring_broadcast_laps(&p->side))
		return !pinring_broadcast_many(&p->side) ||
		       pinring_broadcast_any_free(&p->side, ticket);
	return pinring_broadcast_is_free(word) &&
	       pinring_broadcast_behind(&p->side, ticket) < p->side.depth;
}

static bool is_ready(const void *consumer)
{
	const struct pinring_broadcast_consumer *c = consumer;
	const struct pinring_broadcast_header *h = c->side.shared;

	if (c->tail != c->read)
		return true;
	if (pinring_broadcast_many(&c->side))
		return pinring_broadcast_is_over(c);
	return __atomic_load_n(&h->tail, __ATOMIC_RELAXED) != c->read ||
	       __atomic_load_n(&h->closed, __ATOMIC_RELAXED);
}

static bool mend_for_producer(const void *producer)
{
	const struct pinring_broadcast_producer *p = producer;

	return pinring_broadcast_repair(&p->side) > 0;
}

static bool mend_for_consumer(const void *consumer)
{
	const struct pinring_broadcast_consumer *c = consumer;

	return pinring_broadcast_repair(&c->side) > 0;
}

struct pinring_wait
pinring_broadcast_when_room(const struct pinring_broadcast_producer *p)
{
	return (struct pinring_wait){
		.word = &p->side.shared->sleepers.room,
		.over = is_roomy,
		.mend = mend_for_producer,
		.side = p,
		.waited = &p->side.party->sent.waited,
	};
}

struct pinring_wait
pinring_broadcast_when_ready(const struct pinring_broadcast_consumer *c)
{
	return (struct pinring_wait){
		.word = &c->side.shared->sleepers.ready,
		.line = pinring_broadcast_many(&c->side) ?
				NULL :
				&c->side.shared->tail,
		.over = is_ready,
		.mend = mend_for_consumer,
		.side = c,
		.waited = &c->side.party->received.waited,
	};
}

int pinring_broadcast_push_wait(struct pinring_broadcast_producer *p,
				const void *item, int64_t timeout_ns)
{
	struct pinring_wait w = pinring_broadcast_when_room(p);
	int rc = pinring_broadcast_push(p, item);
	int64_t deadline;

	if (rc != -EAGAIN)
		return rc;
	for (deadline = pinring_deadline(timeout_ns); rc == -EAGAIN;
	     rc = pinring_broadcast_push(p, item)) {
		rc = pinring_wait_until(&w, deadline);
		if (rc < 0)
			return rc;
	}
	return rc;
}

int pinring_broadcast_pop_wait(struct pinring_broadcast_consumer *c, void *item,
			       int64_t timeout_ns)
{
	struct pinring_wait w = pinring_broadcast_when_ready(c);
	int rc = pinring_broadcast_pop(c, item);
	int64_t deadline;

	if (rc != -EAGAIN)
		return rc;
	for (deadline = pinring_deadline(timeout_ns); rc == -EAGAIN;
	     rc = pinring_broadcast_pop(c, item)) {
		rc = pinring_wait_until(&w, deadline);
		if (rc < 0)
			return rc;
	}
	return rc;
}

/* ------------------------------------------------------------------- counts */
int pinring_broadcast_info(const struct pinring_broadcast_side *s,
			   struct pinring_broadcast_info *info)
{
	struct pinring_broadcast_info i = {
		.capacity = s->mask + 1,
		.slot_bytes = s->slot_bytes,
		.flags = s->flags,
		.voided = __atomic_load_n(&s->shared->voided, __ATOMIC_RELAXED),
	};
	__u64 word;
	uint32_t k;
	int rc;

	rc = next_ticket(s, __atomic_load_n(&s->shared->tail, __ATOMIC_RELAXED),
			 &i.reserved, &word);
	i.closed = rc == -EPIPE;
	if (!pinring_broadcast_laps(s))
		i.behind = pinring_broadcast_behind(s, i.reserved);
	for (k = 0; k < s->parties_n; k++) {
		enum pinring_party_role role = pinring_party_role_of(
			__atomic_load_n(&s->parties[k].owner, __ATOMIC_RELAXED));

		i.producers += role == PINRING_PARTY_PRODUCER;
		i.consumers += role == PINRING_PARTY_CONSUMER;
	}
	return pinring_give_info(s->region->device, info, &i, sizeof(i),
				 "broadcast");
}

uint64_t pinring_broadcast_count(const struct pinring_broadcast_consumer *c)
{
	uint64_t tail, n;
	__u64 word;

	next_ticket(&c->side, c->read, &tail, &word);
	n = tail - c->read;
	return n <= c->side.depth ? n : c->side.depth;
}

uint64_t pinring_broadcast_free(const struct pinring_broadcast_producer *p)
{
	uint64_t ticket;
	__u64 word;

	if (next_ticket(&p->side, p->next, &ticket, &word))
		return 0;
	return pinring_broadcast_laps(&p->side) ?
		       p->side.depth :
		       p->side.depth - pinring_broadcast_behind(&p->side, ticket);
}
