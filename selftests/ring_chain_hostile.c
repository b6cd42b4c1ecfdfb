// SPDX-License-Identifier: MIT
/*
 * A peer that writes what it likes into a resizable ring: it is told so, or gets
 * the messages it deserves, and nobody leaves the ring's memory or loops.
 */
#include <kselftest_harness.h>

#include <stddef.h>

#include <pinring/pinring.h>

#include "chain_sides.h"

#define MIN 8
#define MAX 1024
#define GUARD 8192

FIXTURE(hostile)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_chain_producer p;
	struct pinring_chain_consumer c;
	struct pinring_chain_header *h, good;
	unsigned char *before, *ring, *after;
	uint64_t bytes;
};

FIXTURE_SETUP(hostile)
{
	struct pinring_region_config config = pinring_region_defaults(1 << 18);
	struct pinring_chain_config ring = pinring_chain_defaults(MIN, MAX, 8);
	struct pinring_object_info o;

	ring.check_interval = 2;
	ring.window = 1;
	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->r));
	ASSERT_EQ(0, pinring_object_create(self->r, "before", PINRING_OBJECT_BYTES,
					   GUARD, 0, &o));
	self->before = pinring_region_at(self->r, o.offset, GUARD);
	ASSERT_EQ(0, pinring_chain_create(self->r, "ring", &ring));
	ASSERT_EQ(0, pinring_object_find(self->r, "ring", &o));
	self->ring = pinring_region_at(self->r, o.offset, o.length);
	self->bytes = o.length;
	ASSERT_EQ(0, pinring_object_create(self->r, "after", PINRING_OBJECT_BYTES,
					   GUARD, 0, &o));
	self->after = pinring_region_at(self->r, o.offset, GUARD);
	memset(self->before, 0x5a, GUARD);
	memset(self->after, 0x5a, GUARD);
	ASSERT_EQ(0, pinring_chain_producer_open(self->r, "ring", &self->p));
	ASSERT_EQ(0, pinring_chain_consumer_open(self->r, "ring", &self->c));
	self->h = self->p.shared;
	self->good = *self->h;
}

FIXTURE_TEARDOWN(hostile)
{
	pinring_chain_producer_close(&self->p);
	pinring_chain_consumer_close(&self->c);
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

/* FNV-1a, as pinring_layout.h says of a seal. */
static uint64_t seal_of(const struct pinring_chain_header *h)
{
	const unsigned char *p = (const unsigned char *)h;
	uint64_t hash = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < offsetof(struct pinring_chain_header, seal); i++)
		hash = (hash ^ p[i]) * 0x100000001b3ull;
	return hash;
}

static int open_all(struct pinring_region *r, int expected)
{
	struct pinring_chain_info info = PINRING_INIT(struct pinring_chain_info);
	struct pinring_chain_producer p;
	struct pinring_chain_consumer c;

	if (pinring_chain_producer_open(r, "ring", &p) != expected)
		return __LINE__;
	if (pinring_chain_consumer_open(r, "ring", &c) != expected)
		return __LINE__;
	if (pinring_chain_info(r, "ring", &info) != expected)
		return __LINE__;
	return 0;
}

TEST_F(hostile, every_flipped_bit_of_the_sealed_line_is_noticed)
{
	unsigned char *byte = (unsigned char *)self->h;

	EXPECT_EQ(seal_of(self->h), self->h->seal);
	for (size_t bit = 0; bit < 8 * sizeof(self->h->sleepers); bit++) {
		byte[bit / 8] ^= (unsigned char)(1 << bit % 8);
		EXPECT_EQ(0, open_all(self->r, -EINVAL)) {
			TH_LOG("bit %zu", bit);
		}
		byte[bit / 8] ^= (unsigned char)(1 << bit % 8);
	}
}

TEST_F(hostile, a_sealed_lie_is_seen_through)
{
	static const struct {
		const char *what;
		size_t offset, size;
		uint64_t value;
	} lies[] = {
#define LIE(field, value)                                            \
	{ #field " " #value, offsetof(struct pinring_chain_header, field), \
	  sizeof(((struct pinring_chain_header *)0)->field), (value) }
		LIE(magic, 0), LIE(magic, PINRING_SPSC_MAGIC),
		LIE(min_capacity, 0), LIE(min_capacity, 1),
		LIE(min_capacity, 12), LIE(min_capacity, 1ull << 63),
		LIE(max_capacity, 4), LIE(max_capacity, 2048),
		LIE(max_capacity, 1ull << 40), LIE(max_capacity, ~0ull),
		LIE(slot_bytes, 0), LIE(slot_bytes, 4), LIE(slot_bytes, 16),
		LIE(slot_bytes, 1ull << 61), LIE(factor, 0), LIE(factor, 1),
		LIE(factor, 6), LIE(factor, 1u << 31),
		LIE(check_interval, 0), LIE(check_interval, ~0u),
		LIE(window, 0), LIE(window, ~0u), LIE(high, 0),
		LIE(high, 101), LIE(high, 65535), LIE(low, 40),
		LIE(low, 65535), LIE(reserved, 1),
#undef LIE
	};

	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		*self->h = self->good;
		memcpy((char *)self->h + lies[i].offset, &lies[i].value,
		       lies[i].size < 8 ? lies[i].size : 8);
		self->h->seal = seal_of(self->h);
		EXPECT_EQ(0, open_all(self->r, -EINVAL)) {
			TH_LOG("%s", lies[i].what);
		}
	}
}

TEST_F(hostile, impossible_words_are_refused_when_opening)
{
	struct pinring_chain_producer p;
	struct pinring_chain_consumer c;

	self->h->tail = (MIN + 1ull) << PINRING_PLACE_SHIFT;
	EXPECT_EQ(-EINVAL, pinring_chain_producer_open(self->r, "ring", &p));
	self->h->tail = (MAX + 1ull) << PINRING_PLACE_SHIFT;
	EXPECT_EQ(-EINVAL, pinring_chain_consumer_open(self->r, "ring", &c));
	self->h->tail = PINRING_CHAIN_MOVES;
	EXPECT_EQ(-EINVAL, pinring_chain_producer_open(self->r, "ring", &p));
	*self->h = self->good;
	self->h->head = PINRING_CHAIN_MOVES;
	EXPECT_EQ(-EINVAL, pinring_chain_consumer_open(self->r, "ring", &c));
	self->h->head = 1ull << PINRING_PLACE_SHIFT; /* past tail */
	EXPECT_EQ(-EINVAL, pinring_chain_producer_open(self->r, "ring", &p));
	EXPECT_EQ(-EINVAL, pinring_chain_consumer_open(self->r, "ring", &c));
	*self->h = self->good;
	self->h->moves[0] = 8; /* there are segments 0 to 7 */
	EXPECT_EQ(0, open_all(self->r, -EINVAL));
	*self->h = self->good;
	self->h->producer_closed = 2;
	EXPECT_EQ(-EINVAL, pinring_chain_consumer_open(self->r, "ring", &c));
}

TEST_F(hostile, impossible_words_of_a_living_peer_are_eproto)
{
	uint64_t item;

	/* More than there is room for. */
	self->h->tail = (MIN + 1ull) << PINRING_PLACE_SHIFT;
	EXPECT_EQ(-EPROTO, pinring_chain_pop_u64(&self->c, &item));
	/* Back. */
	self->h->tail = ~0ull << PINRING_PLACE_SHIFT;
	EXPECT_EQ(-EPROTO, pinring_chain_pop_u64(&self->c, &item));
	/* A move to no segment, to behind, and beyond what is published. */
	self->h->tail = 4ull << PINRING_PLACE_SHIFT | 1;
	self->h->moves[1] = 2ull << PINRING_PLACE_SHIFT | 8;
	EXPECT_EQ(-EPROTO, pinring_chain_pop_u64(&self->c, &item));
	self->h->moves[1] = ~0ull << PINRING_PLACE_SHIFT | 1;
	EXPECT_EQ(-EPROTO, pinring_chain_pop_u64(&self->c, &item));
	self->h->moves[1] = 5ull << PINRING_PLACE_SHIFT | 1;
	EXPECT_EQ(-EPROTO, pinring_chain_pop_u64(&self->c, &item));
	/* More moves than there are. */
	self->h->tail = 31;
	memset(self->h->moves, 0, sizeof(self->h->moves));
	EXPECT_EQ(-EPROTO, pinring_chain_pop_u64(&self->c, &item));

	self->h->head = ~0ull << PINRING_PLACE_SHIFT;
	EXPECT_EQ(0, pinring_chain_push_u64(&self->p, 0)); /* 1 of 8 is used */
	self->p.limit = self->p.write;
	self->h->head = 2ull << PINRING_PLACE_SHIFT;
	EXPECT_EQ(-EPROTO, pinring_chain_push_u64(&self->p, 0));
	self->h->head = PINRING_CHAIN_MOVES;
	EXPECT_EQ(-EPROTO, pinring_chain_push_u64(&self->p, 0));
	EXPECT_EQ(-EPROTO, pinring_chain_trim(&self->p));
	self->h->head = 0;
	EXPECT_EQ(0, pinring_chain_push_u64(&self->p, 0));
}

/* A word that may do harm. */
static uint64_t nasty(struct dice *d, uint64_t near)
{
	switch (roll(d, 6)) {
	case 0:
		return item_mix(d->state);
	case 1:
		return near;
	case 2:
		return near + roll(d, 64);
	case 3:
		return near - roll(d, 2 * MAX) * 32;
	case 4:
		return near + roll(d, 2 * MAX) * 32;
	default:
		return (near & ~31ull) | roll(d, 32);
	}
}

static bool inside(const unsigned char *ring, uint64_t bytes, const void *slots,
		   int64_t n)
{
	const unsigned char *at = slots;

	return at >= ring + sizeof(struct pinring_chain_header) &&
	       (uint64_t)n * 8 <= bytes && at + n * 8 <= ring + bytes;
}

TEST_F(hostile, nobody_leaves_the_ring)
{
	struct pinring_chain_header *h = self->h;
	struct dice d = { 11 };
	__u64 *words[] = { &h->tail, &h->head, &h->moves[0], &h->moves[1],
			   &h->moves[2], &h->moves[3], &h->moves[4],
			   &h->moves[5], &h->moves[6], &h->moves[7], &h->peak,
			   &h->fill, &h->refused };
	uint64_t seen[8] = { 0 };

	for (int i = 0; i < (SANITIZED ? 300000 : 1000000); i++) {
		void *slots = NULL;
		int64_t n;

		if (roll(&d, 3) == 0) {
			__u64 *word = words[roll(&d, ARRAY_SIZE(words))];

			*word = nasty(&d, roll(&d, 2) ?
						  self->p.write :
						  self->c.read);
		}
		switch (roll(&d, 8)) {
		case 0:
		case 1:
		case 2:
			n = pinring_chain_reserve(&self->p, 1 + roll(&d, 2 * MAX),
						  &slots);
			if (n > 0) {
				ASSERT_TRUE(inside(self->ring, self->bytes, slots, n));
				pinring_chain_commit(&self->p, (uint64_t)n);
			}
			seen[n > 0 ? 0 : 1]++;
			break;
		case 3:
		case 4:
		case 5:
			n = pinring_chain_peek(&self->c, 1 + roll(&d, 2 * MAX),
					       &slots);
			if (n > 0) {
				ASSERT_TRUE(inside(self->ring, self->bytes, slots, n));
				pinring_chain_release(&self->c, (uint64_t)n);
			}
			seen[n > 0 ? 2 : 3]++;
			break;
		case 6:
			n = pinring_chain_trim(&self->p);
			seen[n ? 5 : 4]++;
			break;
		default:
			/* Whoever gives up opens anew, or is refused. */
			if (roll(&d, 2)) {
				struct pinring_chain_producer p;

				n = pinring_chain_producer_open(self->r, "ring", &p);
				if (!n) {
					pinring_chain_producer_close(&self->p);
					self->p = p;
				}
			} else {
				struct pinring_chain_consumer c;

				n = pinring_chain_consumer_open(self->r, "ring", &c);
				if (!n) {
					pinring_chain_consumer_close(&self->c);
					self->c = c;
				}
			}
			seen[n ? 7 : 6]++;
		}
	}
	for (int i = 0; i < GUARD; i++) {
		ASSERT_EQ(0x5a, self->before[i]);
		ASSERT_EQ(0x5a, self->after[i]);
	}
	/* It went through all of them. */
	for (int i = 0; i < 8; i++) {
		EXPECT_LT(100u, seen[i]) {
			TH_LOG("case %d", i);
		}
	}
}

TEST_HARNESS_MAIN
