// SPDX-License-Identifier: MIT
/* outlet.c - policies, their counts, and sending by them; see outlet.h. */
#include <stdlib.h>

#include <pinring/outlet.h>

#include "party.h"

#define PARTIES_USUAL 16
/* Rounds of making room and losing it to another sender. */
#define OVERWRITE_TRIES 1000
#define MEND_AFTER 100 /* of them */

struct pinring_outlet {
	struct pinring_sink sink;
	struct pinring_sink dead_letters;
	enum pinring_full full;
	int64_t timeout_ns;
	uint64_t high, low;
	uint64_t unwatched; /* of the capacity, until the fill is looked at again */
	uint64_t senders; /* that may fill the ring meanwhile */
	bool above;
	void (*crossed)(void *arg, bool above, uint64_t fill);
	void *arg;
	struct pinring_tally *tally;
	struct pinring_party *party;
	uint64_t owner;
	struct pinring_region *region;
};

/* One writer, see struct pinring_tally; read by anybody. */
static void count(__u64 *word, uint64_t n)
{
	__atomic_store_n(word, *word + n, __ATOMIC_RELAXED);
}

/* ---------------------------------------------------------------- policies */
static void lay_out(struct pinring_policy_header *h, uint32_t full,
		    uint32_t parties, uint64_t timeout_ns, uint64_t high,
		    uint64_t low)
{
	*h = (struct pinring_policy_header){
		.magic = PINRING_POLICY_MAGIC,
		.full = full,
		.parties = parties,
		.timeout_ns = timeout_ns,
		.high = high,
		.low = low,
		.parties_offset = sizeof(*h),
		.tallies_offset =
			sizeof(*h) + parties * sizeof(struct pinring_party),
	};
	h->seal = pinring_hash(h, offsetof(struct pinring_policy_header, seal));
}

static const char *what_is_wrong(uint32_t full, uint32_t parties,
				 uint64_t timeout_ns, uint64_t high,
				 uint64_t low)
{
	if (full > PINRING_FULL_DIVERT)
		return "full is none of enum pinring_full";
	if (!parties || parties > PINRING_PARTIES_MAX)
		return "parties is above 256";
	if (timeout_ns > INT64_MAX)
		return "timeout_ns is negative";
	if (full != PINRING_FULL_WAIT && timeout_ns)
		return "timeout_ns is for PINRING_FULL_WAIT";
	if (low >= high && (low || high))
		return "the low mark is not below the high one";
	return NULL;
}

int pinring_policy_create(struct pinring_region *region, const char *name,
			  const struct pinring_policy_config *config)
{
	struct pinring_policy_config c = { 0 };
	struct pinring_policy_header init, *h;
	struct pinring_object_info o;
	const char *wrong;
	int rc;

	rc = pinring_take_config(region->device, &c, sizeof(c), config,
				 "policy");
	if (rc)
		return rc;
	if (!c.parties)
		c.parties = PARTIES_USUAL;
	wrong = what_is_wrong(c.full, c.parties, (uint64_t)c.timeout_ns, c.high,
			      c.low);
	if (wrong)
		return pinring_fail(region->device, -EINVAL, "%s: %s", name,
				    wrong);
	lay_out(&init, c.full, c.parties, (uint64_t)c.timeout_ns, c.high, c.low);
	rc = pinring_object_create(
		region, name, PINRING_OBJECT_POLICY,
		init.tallies_offset + c.parties * sizeof(struct pinring_tally),
		PINRING_SEPARATION, &o);
	if (rc)
		return rc;
	h = (void *)(region->base + o.offset);
	pinring_header_publish(h, &init);
	return 0;
}

/* Copies the sealed part, checks it, and returns where the object is. */
static int policy_find(struct pinring_region *region, const char *name,
		       struct pinring_policy_header *copy, unsigned char **base)
{
	const struct pinring_policy_header *h;
	struct pinring_policy_header expected;
	struct pinring_object_info o;
	int rc;

	rc = pinring_header_open(region, name, PINRING_OBJECT_POLICY,
				 sizeof(*h), copy, &o);
	if (rc)
		return rc;
	*base = region->base + o.offset;
	h = (void *)*base;
	lay_out(&expected, copy->full, copy->parties, copy->timeout_ns,
		copy->high, copy->low);
	if (what_is_wrong(copy->full, copy->parties, copy->timeout_ns,
			  copy->high, copy->low) ||
	    memcmp(copy, &expected, sizeof(expected)) ||
	    copy->tallies_offset +
			    copy->parties * sizeof(struct pinring_tally) >
		    o.length)
		return pinring_header_damaged(region, name);
	return 0;
}

int pinring_policy_info(struct pinring_region *region, const char *name,
			struct pinring_policy_info *info)
{
	struct pinring_policy_header copy;
	struct pinring_policy_info i = { 0 };
	const struct pinring_party *parties;
	const struct pinring_tally *tallies;
	unsigned char *base;
	uint32_t k;
	int rc;

	rc = policy_find(region, name, &copy, &base);
	if (rc)
		return rc;
	parties = (void *)(base + copy.parties_offset);
	tallies = (void *)(base + copy.tallies_offset);
	i.full = copy.full;
	for (k = 0; k < copy.parties; k++) {
		const struct pinring_tally *t = &tallies[k];

		i.outlets += pinring_party_role_of(__atomic_load_n(
				     &parties[k].owner, __ATOMIC_RELAXED)) !=
			     PINRING_PARTY_NOBODY;
		i.passed += __atomic_load_n(&t->passed, __ATOMIC_RELAXED);
		i.dropped += __atomic_load_n(&t->dropped, __ATOMIC_RELAXED);
		i.overwritten +=
			__atomic_load_n(&t->overwritten, __ATOMIC_RELAXED);
		i.diverted += __atomic_load_n(&t->diverted, __ATOMIC_RELAXED);
		i.refused += __atomic_load_n(&t->refused, __ATOMIC_RELAXED);
		i.waited += __atomic_load_n(&t->waited, __ATOMIC_RELAXED);
		i.crossings += __atomic_load_n(&t->crossings, __ATOMIC_RELAXED);
	}
	return pinring_give_info(region->device, info, &i, sizeof(i), "policy");
}

/* ----------------------------------------------------------------- outlets */
static struct pinring_party *take_party(struct pinring_party *parties,
					uint32_t n)
{
	struct pinring_party *party =
		pinring_party_claim(parties, n, PINRING_PARTY_PRODUCER);
	uint32_t i;

	if (party)
		return party;
	for (i = 0; i < n; i++) {
		/* acquire: pairs with the release in pinring_party_claim() */
		__u64 owner = __atomic_load_n(&parties[i].owner,
					      __ATOMIC_ACQUIRE);

		if (pinring_party_is_dead(&parties[i], owner))
			pinring_party_bury(&parties[i], owner);
	}
	return pinring_party_claim(parties, n, PINRING_PARTY_PRODUCER);
}

static bool takes_all_of(const struct pinring_sink *letters,
			 const struct pinring_sink *sink)
{
	if (letters->any_size)
		return letters->item_bytes >= sink->item_bytes;
	return !sink->any_size && letters->item_bytes == sink->item_bytes;
}

static const char *what_lacks(const struct pinring_policy_header *h,
			      const struct pinring_sink *sink,
			      const struct pinring_sink *dead_letters)
{
	if (!sink->push || (dead_letters && !dead_letters->push))
		return "the sink is of a lane that there is not";
	if (h->full == PINRING_FULL_OVERWRITE && !sink->discard && !sink->laps)
		return "it overwrites, and of this ring only the consumer may take the oldest message: that is for MPMC and priority rings, with a consumer in the sink, and for broadcast rings that are lapping";
	if (h->full == PINRING_FULL_DIVERT && !dead_letters)
		return "it diverts, and there is no ring for dead letters";
	if (h->full == PINRING_FULL_DIVERT &&
	    !takes_all_of(dead_letters, sink))
		return "the ring for dead letters has slots of another size";
	if (h->high && sink->laps)
		return "it has marks, and a lapping ring is never full";
	if (h->high > sink->capacity)
		return "its high mark is above the ring's capacity";
	return NULL;
}

int pinring_outlet_open(struct pinring_region *region, const char *policy,
			const struct pinring_sink *sink,
			const struct pinring_sink *dead_letters,
			struct pinring_outlet **out)
{
	struct pinring_policy_header copy;
	struct pinring_party *parties;
	struct pinring_outlet *o;
	unsigned char *base;
	const char *lacks;
	int rc;

	*out = NULL;
	rc = policy_find(region, policy, &copy, &base);
	if (rc)
		return rc;
	lacks = what_lacks(&copy, sink, dead_letters);
	if (lacks)
		return pinring_fail(region->device, -EINVAL, "%s: %s", policy,
				    lacks);
	o = calloc(1, sizeof(*o));
	if (!o)
		return pinring_fail(region->device, -ENOMEM,
				    "no memory for an outlet");
	parties = (void *)(base + copy.parties_offset);
	o->party = take_party(parties, copy.parties);
	if (!o->party) {
		free(o);
		return pinring_fail(region->device, -EUSERS,
				    "%s: all %u outlets are open; create it with more parties",
				    policy, copy.parties);
	}
	o->owner = __atomic_load_n(&o->party->owner, __ATOMIC_RELAXED);
	o->tally = (struct pinring_tally *)(base + copy.tallies_offset) +
		   (o->party - parties);
	o->sink = *sink;
	if (dead_letters)
		o->dead_letters = *dead_letters;
	o->full = (enum pinring_full)copy.full;
	o->timeout_ns = (int64_t)copy.timeout_ns;
	o->high = copy.high;
	o->low = copy.low;
	o->senders = copy.parties;
	o->region = pinring_region_get(region);
	*out = o;
	return 0;
}

void pinring_outlet_close(struct pinring_outlet *o)
{
	if (!o)
		return;
	pinring_party_leave(o->party, o->owner);
	pinring_region_close(o->region);
	free(o);
}

/* ------------------------------------------------------------------- marks */
void pinring_outlet_watch(struct pinring_outlet *o,
			  void (*crossed)(void *arg, bool above, uint64_t fill),
			  void *arg)
{
	o->crossed = crossed;
	o->arg = arg;
}

static void look_at_marks(struct pinring_outlet *o)
{
	uint64_t fill = o->sink.count(&o->sink);
	bool was = o->above;

	if (o->above ? fill > o->low : fill < o->high) {
		/*
		 * Below the high mark, that many can still go, by all senders
		 * together, before it is worth another look: fill is the
		 * consumer's line.
		 */
		o->unwatched = o->above ? 0 : (o->high - fill - 1) / o->senders;
		return;
	}
	o->above = !was;
	o->unwatched = 0;
	if (o->above)
		count(&o->tally->crossings, 1);
	if (o->crossed)
		o->crossed(o->arg, o->above, fill);
}

uint64_t pinring_outlet_credit(struct pinring_outlet *o)
{
	uint64_t most = o->high ? o->high : o->sink.capacity;
	uint64_t fill;

	if (o->high)
		look_at_marks(o);
	fill = o->sink.count(&o->sink);
	return fill < most ? most - fill : 0;
}

static bool is_low(const void *side)
{
	const struct pinring_outlet *o = side;

	return o->sink.count(&o->sink) <= o->low;
}

struct pinring_wait pinring_outlet_when_low(const struct pinring_outlet *o)
{
	struct pinring_wait w = o->sink.room;

	w.over = is_low;
	w.mend = NULL; /* it would be asked about another side */
	w.side = o;
	return w;
}

/* -------------------------------------------------------------------- send */
static int wait_for_room(struct pinring_outlet *o, const void *item,
			 uint64_t bytes)
{
	int64_t deadline = pinring_deadline(o->timeout_ns);
	int rc;

	count(&o->tally->waited, 1);
	do {
		rc = pinring_wait_until(&o->sink.room, deadline);
		if (rc < 0)
			return rc;
		rc = o->sink.push(&o->sink, item, bytes);
	} while (rc == -EAGAIN);
	return rc;
}

static int overwrite(struct pinring_outlet *o, const void *item, uint64_t bytes)
{
	int rc = -EAGAIN;
	int tries;

	if (o->sink.laps)
		return rc;
	for (tries = 0; tries < OVERWRITE_TRIES && rc == -EAGAIN; tries++) {
		if (!o->sink.discard(&o->sink))
			count(&o->tally->overwritten, 1);
		else if (tries % MEND_AFTER == MEND_AFTER - 1 &&
			 o->sink.room.mend)
			/* The oldest is not whole: of a dead producer, perhaps. */
			o->sink.room.mend(o->sink.room.side);
		rc = o->sink.push(&o->sink, item, bytes);
	}
	return rc;
}

static int when_full(struct pinring_outlet *o, const void *item, uint64_t bytes)
{
	struct pinring_sink *dead = &o->dead_letters;
	int rc;

	switch (o->full) {
	case PINRING_FULL_WAIT:
		return wait_for_room(o, item, bytes);
	case PINRING_FULL_OVERWRITE:
		return overwrite(o, item, bytes);
	case PINRING_FULL_DROP:
		count(&o->tally->dropped, 1);
		return PINRING_DROPPED;
	case PINRING_FULL_DIVERT:
		rc = dead->push(dead, item, bytes);
		if (rc)
			return rc;
		count(&o->tally->diverted, 1);
		return PINRING_DIVERTED;
	case PINRING_FULL_FAIL:
		break;
	}
	return -EAGAIN;
}

/* No less than a message of that size takes of the capacity. */
static uint64_t share_of(const struct pinring_sink *s, uint64_t bytes)
{
	/* What is skipped at the end of the array is shorter than the record. */
	return s->any_size ? 2 * pinring_bytes_record(bytes) : 1;
}

static int send(struct pinring_outlet *o, const void *item, uint64_t bytes)
{
	int rc = o->sink.push(&o->sink, item, bytes);

	if (rc == -EAGAIN)
		rc = when_full(o, item, bytes);
	if (rc == PINRING_PASSED)
		count(&o->tally->passed, 1);
	else if (rc < 0)
		count(&o->tally->refused, 1);
	if (!o->high)
		return rc;
	if (o->above || o->unwatched < share_of(&o->sink, bytes))
		look_at_marks(o);
	else
		o->unwatched -= share_of(&o->sink, bytes);
	return rc;
}

int pinring_outlet_send(struct pinring_outlet *o, const void *item)
{
	return o->sink.any_size ? -EINVAL : send(o, item, o->sink.item_bytes);
}

int pinring_outlet_send_bytes(struct pinring_outlet *o, const void *message,
			      uint64_t bytes)
{
	if (!o->sink.any_size && bytes != o->sink.item_bytes)
		return -EMSGSIZE;
	return send(o, message, bytes);
}
