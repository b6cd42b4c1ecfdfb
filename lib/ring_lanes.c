// SPDX-License-Identifier: MIT
/* ring_lanes.c - lanes: create, take a seat, close, wait. */
#include <stdlib.h>

#include <pinring/ring_lanes.h>

#include "party.h"

#define CAPACITY_MAX (1ull << 32)
#define SLOT_MAX (1ull << 20)

static bool shape_sane(uint64_t capacity, uint64_t slot_bytes,
		       uint64_t producers, uint64_t partitions)
{
	return pinring_power_of_two(capacity) && capacity >= 2 &&
	       capacity <= CAPACITY_MAX && slot_bytes && slot_bytes % 8 == 0 &&
	       slot_bytes <= SLOT_MAX && producers &&
	       producers <= PINRING_LANES_SIDES_MAX && partitions &&
	       partitions <= PINRING_LANES_SIDES_MAX &&
	       producers * partitions <= PINRING_LANES_MAX;
}

static uint64_t seal_of(const struct pinring_lanes_header *h)
{
	return pinring_hash(h, offsetof(struct pinring_lanes_header, seal));
}

/* The sealed part, as it has to be for this shape. */
static void lay_out(struct pinring_lanes_header *h, uint64_t capacity,
		    uint64_t slot_bytes, uint64_t producers,
		    uint64_t partitions)
{
	*h = (struct pinring_lanes_header){
		.magic = PINRING_LANES_MAGIC,
		.capacity = capacity,
		.slot_bytes = slot_bytes,
		.producers = producers,
		.partitions = partitions,
		.parties_offset = sizeof(*h),
	};
	h->partitions_offset = h->parties_offset +
			       (producers + partitions) *
				       sizeof(struct pinring_party);
	h->lanes_offset = h->partitions_offset +
			  partitions * sizeof(struct pinring_lanes_partition);
	h->slots_offset = h->lanes_offset + producers * partitions *
						    sizeof(struct pinring_lane);
	h->lane_bytes = (capacity * slot_bytes + PINRING_SEPARATION - 1) &
			~(PINRING_SEPARATION - 1ull);
	h->seal = seal_of(h);
}

/* No more than 2^62 for any sane shape. */
static uint64_t bytes_of(const struct pinring_lanes_header *h)
{
	return h->slots_offset + h->producers * h->partitions * h->lane_bytes;
}

int pinring_lanes_create(struct pinring_region *region, const char *name,
			 uint64_t capacity, uint64_t slot_bytes,
			 uint32_t producers, uint32_t partitions)
{
	struct pinring_lanes_header *h, init;
	struct pinring_object_info o;
	int rc;

	if (!shape_sane(capacity, slot_bytes, producers, partitions))
		return pinring_fail(region->device, -EINVAL,
				    "%s: %u x %u lanes of %llu slots of %llu bytes: give 1 to %d of either and up to %d in all, a power of two from 2 to 2^32, and a multiple of 8 up to 2^20",
				    name, producers, partitions,
				    (unsigned long long)capacity,
				    (unsigned long long)slot_bytes,
				    PINRING_LANES_SIDES_MAX, PINRING_LANES_MAX);
	lay_out(&init, capacity, slot_bytes, producers, partitions);
	rc = pinring_object_create(region, name, PINRING_OBJECT_LANES,
				   bytes_of(&init), PINRING_SEPARATION, &o);
	if (rc)
		return rc;
	/* New memory is zero: all lanes are empty, nobody is there. */
	h = (void *)(region->base + o.offset);
	pinring_header_publish(h, &init);
	return 0;
}

static int check_header(struct pinring_region *region, const char *name,
			const struct pinring_lanes_header *h, uint64_t length,
			struct pinring_lanes_header *copy)
{
	struct pinring_lanes_header expected;
	int rc = pinring_header_copy(region, name, h, copy);

	if (rc)
		return rc;
	if (shape_sane(copy->capacity, copy->slot_bytes, copy->producers,
		       copy->partitions)) {
		lay_out(&expected, copy->capacity, copy->slot_bytes,
			copy->producers, copy->partitions);
		if (!memcmp(copy, &expected,
			    offsetof(struct pinring_lanes_header, closed)) &&
		    bytes_of(copy) <= length)
			return 0;
	}
	return pinring_header_damaged(region, name);
}

static int lanes_open(struct pinring_region *region, const char *name,
		      struct pinring_lanes *l)
{
	struct pinring_lanes_header copy, *shared;
	struct pinring_object_info o;
	unsigned char *at;
	int rc;

	rc = pinring_object_open(region, name, PINRING_OBJECT_LANES,
				 sizeof(*shared), &o);
	if (rc)
		return rc;
	at = region->base + o.offset;
	shared = (void *)at;
	rc = check_header(region, name, shared, o.length, &copy);
	if (rc)
		return rc;
	*l = (struct pinring_lanes){
		.mask = copy.capacity - 1,
		.slot_bytes = copy.slot_bytes,
		.lane_bytes = copy.lane_bytes,
		.producers = copy.producers,
		.partitions = copy.partitions,
		.slots = at + copy.slots_offset,
		.lane = (void *)(at + copy.lanes_offset),
		.partition = (void *)(at + copy.partitions_offset),
		.parties = (void *)(at + copy.parties_offset),
		.shared = shared,
		.region = region,
	};
	pinring_wait_join();
	return 0;
}

/* Makes that seat free if its tenant is dead; what it had published stays. */
static void clear_seat(struct pinring_party *seat)
{
	/* acquire: pairs with the release in pinring_party_claim() */
	__u64 owner = __atomic_load_n(&seat->owner, __ATOMIC_ACQUIRE);

	if (pinring_party_is_dead(seat, owner))
		pinring_party_bury(seat, owner);
}

/* ---------------------------------------------------------------- producers */
static unsigned char *slots_of(const struct pinring_lanes *l, uint64_t lane)
{
	return l->slots + lane * l->lane_bytes;
}

/* A row that is ours goes on where its last producer left it. */
static bool writer_init(const struct pinring_lanes *l, uint64_t row, uint64_t k,
			struct pinring_lane_writer *w)
{
	const uint64_t lane = row * l->partitions + k;

	*w = (struct pinring_lane_writer){
		.mask = l->mask,
		.slot_bytes = l->slot_bytes,
		.slots = slots_of(l, lane),
		.shared = &l->lane[lane],
		.closed = &l->shared->closed,
		.bell = &l->partition[k].bell,
		.partition = l->partition,
		.partitions = l->partitions,
	};
	w->write = __atomic_load_n(&w->shared->tail, __ATOMIC_ACQUIRE);
	w->head = __atomic_load_n(&w->shared->head, __ATOMIC_ACQUIRE);
	if (w->write - w->head > l->mask + 1)
		return false;
	pinring_lanes_abort(w);
	return true;
}

static bool take_row(struct pinring_lanes_producer *p, uint64_t row)
{
	const struct pinring_lanes *l = &p->lanes;
	uint64_t k;

	p->party = pinring_party_claim(&l->parties[row], 1,
				       PINRING_PARTY_PRODUCER);
	if (!p->party)
		return false;
	p->owner = __atomic_load_n(&p->party->owner, __ATOMIC_RELAXED);
	for (k = 0; k < l->partitions; k++) {
		if (writer_init(l, row, k, &p->lane[k]))
			continue;
		/* Somebody wrote what no honest peer does: not this one. */
		pinring_party_leave(p->party, p->owner);
		return false;
	}
	return true;
}

/* The first free row, or its count if there is none. */
static uint64_t take_first_row(struct pinring_lanes_producer *p)
{
	uint64_t row = 0;

	while (row < p->lanes.producers && !take_row(p, row))
		row++;
	return row;
}

static void raise_used(struct pinring_lanes_header *h, __u64 rows)
{
	__u64 used = __atomic_load_n(&h->used, __ATOMIC_RELAXED);

	/* release: before anything that is published in that row */
	while (used < rows && !__atomic_compare_exchange_n(&h->used, &used,
							   rows, false,
							   __ATOMIC_RELEASE,
							   __ATOMIC_RELAXED))
		;
}

int pinring_lanes_producer_open(struct pinring_region *region, const char *name,
				struct pinring_lanes_producer *p)
{
	struct pinring_lanes lanes;
	uint64_t row;
	int rc = lanes_open(region, name, &lanes);

	if (rc)
		return rc;
	*p = (struct pinring_lanes_producer){ .lanes = lanes };
	p->lane = aligned_alloc(_Alignof(struct pinring_lane_writer),
				lanes.partitions * sizeof(*p->lane));
	if (!p->lane) {
		memset(p, 0, sizeof(*p));
		return pinring_fail(region->device, -ENOMEM,
				    "%s: no memory for %llu lanes", name,
				    (unsigned long long)lanes.partitions);
	}
	row = take_first_row(p);
	if (row == lanes.producers) {
		/* The dead make room; some 20 us to look at each. */
		while (row--)
			clear_seat(&lanes.parties[row]);
		row = take_first_row(p);
	}
	if (row == lanes.producers) {
		free(p->lane);
		memset(p, 0, sizeof(*p));
		return pinring_fail(region->device, -EUSERS,
				    "%s: all %llu producers have it open; create it with more",
				    name, (unsigned long long)lanes.producers);
	}
	raise_used(lanes.shared, row + 1);
	pinring_region_get(region);
	return 0;
}

void pinring_lanes_producer_close(struct pinring_lanes_producer *p)
{
	uint64_t k;

	if (!p->lanes.region)
		return;
	for (k = 0; k < p->lanes.partitions; k++)
		pinring_lanes_abort(&p->lane[k]);
	pinring_party_leave(p->party, p->owner);
	pinring_region_close(p->lanes.region);
	free(p->lane);
	memset(p, 0, sizeof(*p));
}

/* ---------------------------------------------------------------- consumers */
static struct pinring_party *party_of(const struct pinring_lanes *l,
				      uint64_t partition)
{
	return &l->parties[l->producers + partition];
}

static void leave_partitions(struct pinring_lanes_consumer *c, uint64_t n)
{
	while (n--)
		pinring_party_leave(party_of(&c->lanes, c->first + n),
				    c->owner[n]);
}

static int take_partitions(struct pinring_lanes_consumer *c, const char *name)
{
	uint64_t k;

	for (k = 0; k < c->n; k++) {
		struct pinring_party *p = party_of(&c->lanes, c->first + k);

		clear_seat(p);
		p = pinring_party_claim(p, 1, PINRING_PARTY_CONSUMER);
		if (!p) {
			leave_partitions(c, k);
			return pinring_fail(c->lanes.region->device, -EBUSY,
					    "%s: partition %llu has a consumer",
					    name,
					    (unsigned long long)(c->first + k));
		}
		c->owner[k] = __atomic_load_n(&p->owner, __ATOMIC_RELAXED);
	}
	return 0;
}

static void reader_init(const struct pinring_lanes *l, uint64_t row,
			uint64_t partition, struct pinring_lane_reader *r)
{
	const uint64_t lane = row * l->partitions + partition;
	struct pinring_lane *shared = &l->lane[lane];
	/* acquire: what the last consumer did before it gave back */
	const __u64 head = __atomic_load_n(&shared->head, __ATOMIC_ACQUIRE);

	*r = (struct pinring_lane_reader){
		.read = head,
		.released = head,
		.tail_word = &shared->tail,
		.slots = slots_of(l, lane),
		.shared = shared,
		.party = &l->parties[row],
	};
}

static void begin(struct pinring_lanes_consumer *c)
{
	const struct pinring_lanes *l = &c->lanes;
	uint64_t row, k;

	for (row = 0; row < l->producers; row++)
		for (k = 0; k < c->n; k++)
			reader_init(l, row, c->first + k,
				    &c->lane[row * c->n + k]);
	for (k = 0; k < c->n; k++)
		__atomic_store_n(&l->partition[c->first + k].bell,
				 (__u32)c->first, __ATOMIC_RELAXED);
	c->party = party_of(l, c->first);
	c->mask = l->mask;
	c->slot_bytes = l->slot_bytes;
	c->lazy = l->mask + 1 >= 16 ? (l->mask + 1) / 8 : 1;
	c->run = c->lazy < PINRING_LANES_RUN ? c->lazy : PINRING_LANES_RUN;
}

static void consumer_free(struct pinring_lanes_consumer *c)
{
	free(c->lane);
	free(c->owner);
	memset(c, 0, sizeof(*c));
}

static int consumer_open(struct pinring_region *region, const char *name,
			 const struct pinring_lanes *lanes, uint64_t first,
			 uint64_t n, struct pinring_lanes_consumer *c)
{
	int rc = -ENOMEM;

	*c = (struct pinring_lanes_consumer){
		.lanes = *lanes,
		.first = first,
		.n = n,
	};
	c->lane = calloc(lanes->producers * n, sizeof(*c->lane));
	c->owner = calloc(n, sizeof(*c->owner));
	if (!c->lane || !c->owner)
		pinring_fail(region->device, rc, "%s: no memory for %llu lanes",
			     name,
			     (unsigned long long)(lanes->producers * n));
	else
		rc = take_partitions(c, name);
	if (rc) {
		consumer_free(c);
		return rc;
	}
	begin(c);
	pinring_region_get(region);
	return 0;
}

int pinring_lanes_consumer_open(struct pinring_region *region, const char *name,
				struct pinring_lanes_consumer *c)
{
	struct pinring_lanes lanes;
	int rc = lanes_open(region, name, &lanes);

	return rc ? rc : consumer_open(region, name, &lanes, 0,
				       lanes.partitions, c);
}

int pinring_lanes_consumer_open_some(struct pinring_region *region,
				     const char *name, uint32_t first,
				     uint32_t n,
				     struct pinring_lanes_consumer *c)
{
	struct pinring_lanes lanes;
	int rc = lanes_open(region, name, &lanes);

	if (rc)
		return rc;
	if (!n || first >= lanes.partitions || n > lanes.partitions - first)
		return pinring_fail(region->device, -EINVAL,
				    "%s: %u partitions from %u on, and there are %llu",
				    name, n, first,
				    (unsigned long long)lanes.partitions);
	return consumer_open(region, name, &lanes, first, n, c);
}

void pinring_lanes_consumer_close(struct pinring_lanes_consumer *c)
{
	struct pinring_region *region = c->lanes.region;

	if (!region)
		return;
	pinring_lanes_flush(c);
	leave_partitions(c, c->n);
	consumer_free(c);
	pinring_region_close(region);
}

/* --------------------------------------------------------------- the end */
void pinring_lanes_close(const struct pinring_lanes *l)
{
	uint64_t i;

	/* release: after all that this side published */
	__atomic_store_n(&l->shared->closed, 1, __ATOMIC_RELEASE);
	for (i = 0; i < l->partitions; i++)
		pinring_wake(&l->partition[i].ready);
	for (i = 0; i < l->partitions * l->producers; i++)
		pinring_wake(&l->lane[i].room);
}

/*
 * Whether nothing is in this lane, and nothing will come of what is reserved now.
 * selftests/models/lanes.pml goes through all that can happen meanwhile.
 */
static bool is_finished(const struct pinring_lane_reader *r)
{
	__u64 tail = __atomic_load_n(r->tail_word, __ATOMIC_ACQUIRE);
	__u64 held = __atomic_load_n(&r->shared->held, __ATOMIC_ACQUIRE);
	__u64 owner;

	if (tail != r->read)
		return false;
	if (held == tail)
		return true;
	/* Reserved: who is dead, or gone, will not publish it ... */
	owner = __atomic_load_n(&r->party->owner, __ATOMIC_ACQUIRE);
	if (pinring_party_role_of(owner) != PINRING_PARTY_NOBODY &&
	    !pinring_party_is_dead(r->party, owner))
		return false;
	/* ... but may have done so since we looked. */
	return __atomic_load_n(r->tail_word, __ATOMIC_ACQUIRE) == r->read;
}

static bool all_finished(const struct pinring_lanes_consumer *c)
{
	uint64_t i, n = pinring_lanes_in_use(c);

	for (i = 0; i < n; i++)
		if (!is_finished(&c->lane[i]))
			return false;
	return true;
}

bool pinring_lanes_is_over(const struct pinring_lanes_consumer *c)
{
	if (!all_finished(c))
		return false;
	/*
	 * Behind the barrier every producer either has its reservation where we
	 * see it, or finds the lanes closed. Where there is none, no store takes
	 * that long to arrive.
	 */
	if (!pinring_wait_barrier())
		nanosleep(&(struct timespec){ .tv_nsec = PINRING_SLEEP_BLIND_NS },
			  NULL);
	return all_finished(c);
}

/* ----------------------------------------------------------------- waiting */
static bool is_roomy(const void *side)
{
	const struct pinring_lane_writer *w = side;

	return w->write - __atomic_load_n(&w->shared->head, __ATOMIC_RELAXED) !=
		       w->mask + 1 ||
	       __atomic_load_n(w->closed, __ATOMIC_RELAXED);
}

static bool is_ready(const void *side)
{
	const struct pinring_lanes_consumer *c = side;
	uint64_t i, n = pinring_lanes_in_use(c);

	if (c->read != c->end || c->over)
		return true;
	for (i = 0; i < n; i++)
		if (__atomic_load_n(c->lane[i].tail_word, __ATOMIC_RELAXED) !=
		    c->lane[i].read)
			return true;
	return __atomic_load_n(&c->lanes.shared->closed, __ATOMIC_RELAXED) &&
	       pinring_lanes_is_over(c);
}

struct pinring_wait pinring_lanes_when_room(const struct pinring_lane_writer *w)
{
	return (struct pinring_wait){
		.word = &w->shared->room,
		.line = &w->shared->head,
		.over = is_roomy,
		.side = w,
		.waited = &w->shared->sent.waited,
	};
}

struct pinring_wait
pinring_lanes_when_ready(const struct pinring_lanes_consumer *c)
{
	return (struct pinring_wait){
		.word = &c->lanes.partition[c->first].ready,
		.over = is_ready,
		.side = c,
		.waited = &c->party->received.waited,
	};
}

int pinring_lanes_push_wait(struct pinring_lane_writer *w, const void *item,
			    int64_t timeout_ns)
{
	struct pinring_wait wait = pinring_lanes_when_room(w);
	int rc = pinring_lanes_push(w, item);

	if (rc != -EAGAIN)
		return rc;
	rc = pinring_wait_any(&wait, 1, NULL, timeout_ns);
	return rc < 0 ? rc : pinring_lanes_push(w, item);
}

int pinring_lanes_pop_wait(struct pinring_lanes_consumer *c, void *item,
			   int64_t timeout_ns)
{
	struct pinring_wait wait = pinring_lanes_when_ready(c);
	int rc = pinring_lanes_pop(c, item);

	if (rc != -EAGAIN)
		return rc;
	rc = pinring_wait_any(&wait, 1, NULL, timeout_ns);
	return rc < 0 ? rc : pinring_lanes_pop(c, item);
}

/* -------------------------------------------------------------------- info */
static uint32_t count_taken(const struct pinring_party *p, uint64_t n)
{
	uint32_t taken = 0;

	for (; n--; p++)
		taken += pinring_party_role_of(__atomic_load_n(
				 &p->owner, __ATOMIC_RELAXED)) !=
			 PINRING_PARTY_NOBODY;
	return taken;
}

int pinring_lanes_info(const struct pinring_lanes *l,
		       struct pinring_lanes_info *info)
{
	struct pinring_lanes_info i = {
		.capacity = l->mask + 1,
		.slot_bytes = l->slot_bytes,
		.producers = (uint32_t)l->producers,
		.partitions = (uint32_t)l->partitions,
		.producers_open = count_taken(l->parties, l->producers),
		.partitions_open = count_taken(party_of(l, 0), l->partitions),
		.closed = __atomic_load_n(&l->shared->closed,
					  __ATOMIC_RELAXED) != 0,
	};
	uint64_t k;

	for (k = 0; k < l->producers * l->partitions; k++) {
		/* In this order: what was given back had been published. */
		i.given_back += __atomic_load_n(&l->lane[k].head,
						__ATOMIC_ACQUIRE);
		i.published += __atomic_load_n(&l->lane[k].tail,
					       __ATOMIC_RELAXED);
	}
	return pinring_give_info(l->region->device, info, &i, sizeof(i),
				 "lanes");
}
