// SPDX-License-Identifier: MIT
/*
 * The lap-tagged ring: a message is seen whole or not at all, in whatever order
 * its eight words arrive, late, in part or never; over every lap, over the end
 * of the index, and over the death of either side.
 *
 * ring_device.h stores each word through PINRING_FAULT_STORE. Here that is a
 * switch, so that a message's stores can be delayed, permuted, torn or dropped.
 * A reader that looks at the last word only is the control: the same faults must
 * show it torn messages, or they would prove nothing about the real one.
 */
#include <kselftest_harness.h>

#include <pthread.h>
#include <sched.h>

#include "kills.h"
#include "take_cpu.h"

#include <pinring/port.h>
#include <pinring/pinring_layout.h>

enum fault {
	FAULT_NONE,
	FAULT_DELAY, /* a pause before one word */
	FAULT_REORDER, /* the words in some other order, with pauses */
	FAULT_TEAR, /* some words now, the rest after a pause */
	FAULT_DROP, /* the words in `dropped` never */
	FAULT_HELD, /* none: the test puts each word itself */
};

static _Thread_local struct {
	enum fault mode;
	uint64_t dice;
	unsigned int dropped; /* a bit a word */
	int die_before; /* SIGKILL instead of storing this word */
	__u64 held[PINRING_SLOT_WORDS];
	struct pinring_device_slot *slot;
} fault = { .die_before = -1 };

static void fault_store(struct pinring_device_slot *slot, int w, __u64 value);

#define PINRING_FAULT_STORE(slot, w, value, index) fault_store(slot, w, value)
#include <pinring/pinring.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif

/* ThreadSanitizer takes ten times as long for each of a message's words. */
#ifdef __SANITIZE_THREAD__
#define MANY(n) ((n) / 5)
#else
#define MANY(n) (n)
#endif

#define WORDS PINRING_SLOT_WORDS

/* splitmix64 (Steele, 2014) */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static uint64_t roll(uint64_t n)
{
	fault.dice = mix(fault.dice);
	return (fault.dice >> 32) * n >> 32;
}

/* Long enough for a reader on another processor to look several times. */
static void pause_a_little(void)
{
	for (uint64_t i = roll(60); i; i--)
		pinring_relax();
}

static void put_held(int w)
{
	pinring_store_word(&fault.slot->word[w], fault.held[w]);
}

static void put_all_held(enum fault mode)
{
	int order[WORDS], cut = 1 + (int)roll(WORDS - 1);

	for (int i = 0; i < WORDS; i++) {
		int j = (int)roll((uint64_t)i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	for (int i = 0; i < WORDS; i++) {
		if (mode == FAULT_REORDER ? roll(4) == 0 : i == cut)
			pause_a_little();
		put_held(order[i]);
	}
}

static void fault_store(struct pinring_device_slot *slot, int w, __u64 value)
{
	if (fault.die_before == w)
		raise(SIGKILL);
	fault.slot = slot;
	fault.held[w] = value;
	switch (fault.mode) {
	case FAULT_NONE:
		put_held(w);
		break;
	case FAULT_DELAY:
		if (roll(WORDS) == 0)
			pause_a_little();
		put_held(w);
		break;
	case FAULT_REORDER:
	case FAULT_TEAR:
		if (w == WORDS - 1)
			put_all_held(fault.mode);
		break;
	case FAULT_DROP:
		if (!(fault.dropped & 1u << w))
			put_held(w);
		break;
	case FAULT_HELD:
		break;
	}
}

static void make(__u64 payload[WORDS], uint64_t number)
{
	for (int w = 0; w < WORDS; w++)
		payload[w] = mix(number * WORDS + (uint64_t)w) & PINRING_WORD_MASK;
}

static bool made(const __u64 payload[WORDS], uint64_t number)
{
	for (int w = 0; w < WORDS; w++)
		if (payload[w] != (mix(number * WORDS + (uint64_t)w) & PINRING_WORD_MASK))
			return false;
	return true;
}

/* The control: takes the word that is stored last for the whole message. */
static int naive_peek(struct pinring_device_consumer *c, __u64 payload[WORDS])
{
	const struct pinring_device_slot *slot =
		&c->slots[c->index & (c->capacity - 1)];
	__u64 lap = pinring_device_lap(c->index, c->shift);

	if ((pinring_load_word(&slot->word[WORDS - 1]) ^ lap) >> PINRING_WORD_BITS)
		return 0;
	for (int w = 0; w < WORDS; w++)
		payload[w] = pinring_load_word(&slot->word[w]) & PINRING_WORD_MASK;
	return 1;
}

static void wait_a_little(unsigned int *spins)
{
	if (++*spins % 64 == 0)
		sched_yield();
	else
		pinring_relax();
}

/* ------------------------------------------------------------------ fixtures */

struct ring {
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_device_ring_header *shared;
	struct pinring_device_slot *slots;
	struct pinring_device_producer p;
	struct pinring_device_consumer c;
};

static void open_ring(struct __test_metadata *_metadata, struct ring *ring,
		      uint64_t capacity)
{
	struct pinring_region_config config =
		pinring_region_defaults(16384 + capacity * 64);
	struct pinring_object_info o;

	ASSERT_EQ(0, pinring_device_open(NULL, &ring->device));
	ASSERT_EQ(0, pinring_region_create(ring->device, &config, &ring->r));
	ASSERT_EQ(0, pinring_device_ring_create(ring->r, "ring", capacity));
	ASSERT_EQ(0, pinring_object_find(ring->r, "ring", &o));
	ring->shared = pinring_region_at(ring->r, o.offset, o.length);
	ring->slots = (void *)(ring->shared + 1);
	ASSERT_EQ(0, pinring_device_producer_open(ring->r, "ring", &ring->p));
	ASSERT_EQ(0, pinring_device_consumer_open(ring->r, "ring", &ring->c));
}

static void close_ring(struct ring *ring)
{
	pinring_region_close(ring->r);
	pinring_device_close(ring->device);
}

/* Sends n of make(index), or says where it stopped. */
static uint64_t send_up_to(struct ring *ring, uint64_t n)
{
	__u64 payload[WORDS];
	uint64_t sent = 0;

	for (; sent < n; sent++) {
		make(payload, ring->p.index);
		if (!pinring_device_send(&ring->p, payload))
			break;
	}
	return sent;
}

/* Takes n; each must be whole and what was sent under its index. */
static uint64_t take_up_to(struct ring *ring, uint64_t n)
{
	__u64 payload[WORDS];
	uint64_t got = 0;

	for (; got < n && pinring_device_peek(&ring->c, payload); got++) {
		if (!made(payload, ring->c.index))
			return UINT64_MAX;
		pinring_device_release(&ring->c);
	}
	return got;
}

/* ------------------------------------------------------------------ the rules */

#define CAPACITY 16u /* credit travels in steps of 4 */

FIXTURE(device_ring)
{
	struct ring ring;
};

FIXTURE_SETUP(device_ring)
{
	open_ring(_metadata, &self->ring, CAPACITY);
}

FIXTURE_TEARDOWN(device_ring)
{
	close_ring(&self->ring);
}

TEST_F(device_ring, capacity_is_a_power_of_two_to_2_to_the_24)
{
	static const uint64_t bad[] = { 0, 1, 3, 100, 1ull << 25, 1ull << 63, UINT64_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, pinring_device_ring_create(self->ring.r, "bad", bad[i]))
			TH_LOG("%llu slots", (unsigned long long)bad[i]);
	}
	EXPECT_EQ(-ENOSPC, pinring_device_ring_create(self->ring.r, "large", 1 << 24));
	EXPECT_EQ(-EEXIST, pinring_device_ring_create(self->ring.r, "ring", 2));
	EXPECT_EQ(-EINVAL, pinring_device_ring_create(self->ring.r, "", 2));
	EXPECT_EQ(0, pinring_device_ring_create(self->ring.r, "good", 2));
}

TEST_F(device_ring, a_message_comes_out_as_it_went_in)
{
	struct ring *ring = &self->ring;
	__u64 payload[WORDS];

	EXPECT_EQ(0, pinring_device_peek(&ring->c, payload));
	EXPECT_EQ(1u, send_up_to(ring, 1));
	EXPECT_EQ(1, pinring_device_peek(&ring->c, payload));
	EXPECT_TRUE(made(payload, 0));
	/* Peeking takes nothing. */
	EXPECT_EQ(1, pinring_device_peek(&ring->c, payload));
	EXPECT_TRUE(made(payload, 0));
	pinring_device_release(&ring->c);
	EXPECT_EQ(0, pinring_device_peek(&ring->c, payload));
}

TEST_F(device_ring, payload_bits_above_56_are_cut)
{
	struct ring *ring = &self->ring;

	for (int i = 0; i < 1000; i++) {
		__u64 payload[WORDS], got[WORDS];

		for (int w = 0; w < WORDS; w++)
			payload[w] = i % 2 ? ~0ull : mix((uint64_t)(i * WORDS + w));
		ASSERT_EQ(1, pinring_device_send(&ring->p, payload));
		ASSERT_EQ(1, pinring_device_peek(&ring->c, got));
		for (int w = 0; w < WORDS; w++) {
			ASSERT_EQ(payload[w] & 0xffffffffffffffull, got[w]);
		}
		pinring_device_release(&ring->c);
	}
}

TEST_F(device_ring, a_full_ring_refuses_and_writes_nothing)
{
	struct pinring_device_slot before[CAPACITY];
	struct ring *ring = &self->ring;

	EXPECT_EQ(CAPACITY, send_up_to(ring, 1000));
	memcpy(before, ring->slots, sizeof(before));
	EXPECT_EQ(0u, send_up_to(ring, 1));
	EXPECT_EQ(0, memcmp(before, ring->slots, sizeof(before)));
	EXPECT_EQ(CAPACITY, take_up_to(ring, 1000));
}

TEST_F(device_ring, credit_comes_back_a_quarter_of_the_ring_at_a_time)
{
	struct ring *ring = &self->ring;

	send_up_to(ring, CAPACITY);
	EXPECT_EQ(3u, take_up_to(ring, 3));
	EXPECT_EQ(0u, ring->shared->head);
	EXPECT_EQ(0u, send_up_to(ring, 1));
	EXPECT_EQ(1u, take_up_to(ring, 1));
	EXPECT_EQ(4u, ring->shared->head);
	EXPECT_EQ(4u, send_up_to(ring, 1000));
}

TEST_F(device_ring, flush_gives_all_credit_back)
{
	struct ring *ring = &self->ring;

	send_up_to(ring, CAPACITY);
	take_up_to(ring, 1);
	EXPECT_EQ(0u, send_up_to(ring, 1));
	pinring_device_flush(&ring->c);
	EXPECT_EQ(1u, ring->shared->head);
	EXPECT_EQ(1u, send_up_to(ring, 1000));
	pinring_device_flush(&ring->c); /* nothing new: as it was */
	EXPECT_EQ(1u, ring->shared->head);
}

TEST_F(device_ring, free_tells_how_many_fit)
{
	struct ring *ring = &self->ring;

	EXPECT_EQ(0u, pinring_device_free(&ring->p, 0));
	EXPECT_EQ(1u, pinring_device_free(&ring->p, 1));
	EXPECT_EQ(CAPACITY, pinring_device_free(&ring->p, 1000));
	send_up_to(ring, CAPACITY - 2);
	EXPECT_EQ(2u, pinring_device_free(&ring->p, 3));
	send_up_to(ring, 2);
	EXPECT_EQ(0u, pinring_device_free(&ring->p, 1));
	take_up_to(ring, CAPACITY);
	EXPECT_EQ(CAPACITY, pinring_device_free(&ring->p, 1000));
}

/* The least ring: each slot is credit on its own, and no lap is like the next. */
TEST_F(device_ring, a_ring_of_two_goes_on_for_ever)
{
	struct ring two = { 0 };

	open_ring(_metadata, &two, 2);
	for (int i = 0; i < 10000; i++) {
		ASSERT_EQ(2u, send_up_to(&two, 3));
		ASSERT_EQ(2u, take_up_to(&two, 3));
	}
	close_ring(&two);
}

/* 1000 laps: each of the 256 that the top byte can name, several times. */
TEST_F(device_ring, no_lap_is_taken_for_another)
{
	struct ring *ring = &self->ring;
	__u64 payload[WORDS];

	for (int i = 0; i < 1000 * (int)CAPACITY; i++) {
		/* Nothing is there that was not sent, on any lap ... */
		ASSERT_EQ(0, pinring_device_peek(&ring->c, payload));
		ASSERT_EQ(1u, send_up_to(ring, 1));
		ASSERT_EQ(1u, take_up_to(ring, 1));
	}
	/* ... and a full ring is full. */
	for (int lap = 0; lap < 1000; lap++) {
		ASSERT_EQ(CAPACITY, send_up_to(ring, 1000));
		ASSERT_EQ(CAPACITY, take_up_to(ring, 1000));
	}
}

/*
 * As if `head` messages had gone through: the slots hold the lap before, as
 * they would.
 */
static void age(struct __test_metadata *_metadata, struct ring *ring, uint64_t head)
{
	for (uint64_t i = 0; i < ring->p.capacity; i++) {
		uint64_t last = head + i - ring->p.capacity;

		for (int w = 0; w < WORDS; w++)
			ring->slots[last & (ring->p.capacity - 1)].word[w] =
				pinring_device_lap(last, ring->p.shift);
	}
	ring->shared->head = head;
	ASSERT_EQ(0, pinring_device_producer_open(ring->r, "ring", &ring->p));
	ASSERT_EQ(0, pinring_device_consumer_open(ring->r, "ring", &ring->c));
	ASSERT_EQ(head, ring->p.index);
	ASSERT_EQ(head, ring->c.index);
}

TEST_F(device_ring, the_index_wraps_in_the_middle_of_a_full_ring)
{
	struct ring *ring = &self->ring;

	age(_metadata, ring, 0 - 5ull);
	EXPECT_EQ(0u, take_up_to(ring, 1));
	EXPECT_EQ(CAPACITY, send_up_to(ring, 1000));
	EXPECT_EQ(CAPACITY - 5u, ring->p.index);
	EXPECT_EQ(CAPACITY, take_up_to(ring, 1000));
	EXPECT_EQ(CAPACITY - 5u, ring->shared->head);
	for (int lap = 0; lap < 600; lap++) {
		ASSERT_EQ(CAPACITY, send_up_to(ring, 1000));
		ASSERT_EQ(CAPACITY, take_up_to(ring, 1000));
	}
}

/* Every age at which a lap's number can be special. */
TEST_F(device_ring, a_ring_of_any_age_goes_on)
{
	struct ring *ring = &self->ring;

	for (int bit = 4; bit < 64; bit++) {
		for (int d = -2; d <= 2; d++) {
			age(_metadata, ring, (1ull << bit) + (uint64_t)d);
			for (int lap = 0; lap < 4; lap++) {
				ASSERT_EQ(CAPACITY, send_up_to(ring, 1000));
				ASSERT_EQ(CAPACITY, take_up_to(ring, 1000));
			}
			pinring_device_flush(&ring->c);
		}
	}
}

/* A peer that claims to have read what was never sent gets nothing written. */
TEST_F(device_ring, an_impossible_credit_is_no_room)
{
	struct ring *ring = &self->ring;

	send_up_to(ring, CAPACITY);
	ring->shared->head = CAPACITY + 1;
	EXPECT_EQ(0u, send_up_to(ring, 1));
	ring->shared->head = 0 - 1ull;
	EXPECT_EQ(0u, send_up_to(ring, 1));
	ring->shared->head = 1;
	EXPECT_EQ(1u, send_up_to(ring, 1000));
}

/* -------------------------------------------- every order, exhaustively, alone */

/* Calls see() after each store of each of the 8! orders. */
static uint64_t in_every_order(struct ring *ring, int depth, unsigned int stored,
			       uint64_t (*see)(struct ring *ring, unsigned int stored))
{
	const __u64 stale = pinring_device_lap(ring->c.index - CAPACITY, ring->c.shift);
	uint64_t sum = 0;

	for (int w = 0; w < WORDS; w++) {
		if (stored & 1u << w)
			continue;
		put_held(w);
		sum += see(ring, stored | 1u << w);
		if (depth < WORDS - 1)
			sum += in_every_order(ring, depth + 1, stored | 1u << w, see);
		/* As it was before: the lap before, with other data. */
		fault.slot->word[w] = stale | 0x5a5a5a5a5a5a5aull;
	}
	return sum;
}

static uint64_t real_reader_is_wrong(struct ring *ring, unsigned int stored)
{
	__u64 payload[WORDS];
	int whole = stored == 0xff;
	int taken = pinring_device_peek(&ring->c, payload);

	return taken != whole || (taken && !made(payload, ring->c.index));
}

static uint64_t naive_reader_is_wrong(struct ring *ring, unsigned int stored)
{
	__u64 payload[WORDS];

	(void)stored;
	return naive_peek(&ring->c, payload) && !made(payload, ring->c.index);
}

/* On a used ring, so that there is an earlier lap to be confused with. */
static void send_held(struct ring *ring)
{
	send_up_to(ring, CAPACITY + 3);
	take_up_to(ring, CAPACITY);
	send_up_to(ring, 5);
	take_up_to(ring, 5);
	fault.mode = FAULT_HELD;
	send_up_to(ring, 1);
	for (int w = 0; w < WORDS; w++)
		fault.slot->word[w] = pinring_device_lap(ring->c.index - CAPACITY, ring->c.shift);
}

TEST_F(device_ring, no_order_of_the_eight_stores_shows_less_than_the_whole)
{
	send_held(&self->ring);
	EXPECT_EQ(0u, in_every_order(&self->ring, 0, 0, real_reader_is_wrong));
}

/* The control experiment: wherever word 7 is there and another is not. */
TEST_F(device_ring, the_same_orders_show_torn_messages_to_a_reader_of_one_word)
{
	uint64_t torn;

	send_held(&self->ring);
	torn = in_every_order(&self->ring, 0, 0, naive_reader_is_wrong);
	/* The sum over k = 1..7 of k words in any order, word 7 among them. */
	EXPECT_EQ(55581u, torn);
}

/* Any 255 of the 256 sets of words, whatever lap the others are left from. */
TEST_F(device_ring, a_message_with_words_of_any_other_lap_is_not_taken)
{
	struct ring *ring = &self->ring;
	__u64 payload[WORDS];

	send_held(ring);
	for (unsigned int missing = 1; missing < 256; missing++) {
		for (uint64_t lap = 1; lap < 256; lap++) {
			for (int w = 0; w < WORDS; w++)
				fault.slot->word[w] = missing & 1u << w ?
					fault.held[w] + (lap << 56) : fault.held[w];
			ASSERT_EQ(0, pinring_device_peek(&ring->c, payload))
				TH_LOG("words %#x off by %llu laps", missing,
				       (unsigned long long)lap);
		}
	}
	for (int w = 0; w < WORDS; w++)
		put_held(w);
	EXPECT_EQ(1u, take_up_to(ring, 1));
}

/* ------------------------------------------------ millions, with every fault */

FIXTURE(device_flow)
{
	struct ring ring;
};

FIXTURE_VARIANT(device_flow)
{
	uint64_t capacity, messages;
	enum fault fault;
};

/* Capacity 2: a lap every other message, 1953 turns of the 8-bit lap. */
FIXTURE_VARIANT_ADD(device_flow, c2) { 2, MANY(1000000), FAULT_NONE };
FIXTURE_VARIANT_ADD(device_flow, c16) { 16, MANY(2000000), FAULT_NONE };
FIXTURE_VARIANT_ADD(device_flow, c1024) { 1024, MANY(5000000), FAULT_NONE };
FIXTURE_VARIANT_ADD(device_flow, c8_delayed) { 8, MANY(200000), FAULT_DELAY };
FIXTURE_VARIANT_ADD(device_flow, c2_reordered) { 2, MANY(200000), FAULT_REORDER };
FIXTURE_VARIANT_ADD(device_flow, c64_reordered) { 64, MANY(200000), FAULT_REORDER };
FIXTURE_VARIANT_ADD(device_flow, c8_torn) { 8, MANY(200000), FAULT_TEAR };

FIXTURE_SETUP(device_flow)
{
	open_ring(_metadata, &self->ring, variant->capacity);
}

FIXTURE_TEARDOWN(device_flow)
{
	close_ring(&self->ring);
}

struct job {
	struct pinring_device_producer *p;
	uint64_t messages;
	enum fault fault;
};

static void send_all(const struct job *job)
{
	unsigned int spins = 0;
	__u64 payload[WORDS];

	take_cpu(1);
	fault.mode = job->fault;
	for (uint64_t i = 0; i < job->messages; i++) {
		make(payload, i);
		while (!pinring_device_send(job->p, payload))
			wait_a_little(&spins);
	}
}

static void *sender(void *job)
{
	send_all(job);
	return NULL;
}

/* Returns the number of the first message that was not right, or `messages`. */
static uint64_t take_all(struct pinring_device_consumer *c, uint64_t messages)
{
	unsigned int spins = 0;
	__u64 payload[WORDS];
	uint64_t i;

	take_cpu(0);
	for (i = 0; i < messages; i++) {
		while (!pinring_device_peek(c, payload))
			wait_a_little(&spins);
		if (!made(payload, i))
			break;
		pinring_device_release(c);
	}
	return i;
}

/*
 * A message that refers to memory outside of the ring: that must be there before
 * the message is. On x86 it always is; ThreadSanitizer sees whether it has to be.
 */
struct referred {
	struct pinring_device_producer *p;
	uint64_t memory[CAPACITY];
	uint64_t items;
};

static void *refer(void *arg)
{
	struct referred *r = arg;

	for (uint64_t i = 0; i < r->items;) {
		const __u64 message[WORDS] = { i % CAPACITY };

		if (!pinring_device_free(r->p, 1)) {
			sched_yield();
			continue;
		}
		r->memory[i % CAPACITY] = i;
		pinring_device_send(r->p, message);
		i++;
	}
	return NULL;
}

TEST_F(device_ring, what_a_message_refers_to_is_there_before_it)
{
	struct referred r = { .p = &self->ring.p, .items = MANY(100000) };
	__u64 message[WORDS];
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, refer, &r));
	for (uint64_t i = 0; i < r.items;) {
		if (!pinring_device_peek(&self->ring.c, message)) {
			sched_yield();
			continue;
		}
		ASSERT_EQ(i, r.memory[message[0] % CAPACITY]);
		pinring_device_release(&self->ring.c);
		i++;
	}
	ASSERT_EQ(0, pthread_join(thread, NULL));
}

TEST_F_TIMEOUT(device_flow, every_message_arrives_once_whole_and_in_order_between_threads, 120)
{
	struct job job = { &self->ring.p, variant->messages, variant->fault };
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, sender, &job));
	ASSERT_EQ(variant->messages, take_all(&self->ring.c, variant->messages));
	ASSERT_EQ(0, pthread_join(thread, NULL));
}

TEST_F_TIMEOUT(device_flow, every_message_arrives_once_whole_and_in_order_between_processes, 120)
{
	struct pinring_device_producer p;
	struct job job = { &p, variant->messages, variant->fault };
	int status;
	pid_t pid;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* By its descriptor, at an address of its own. */
		struct pinring_region *mine;

		if (pinring_region_attach(self->ring.device,
					  pinring_region_fd(self->ring.r), &mine) ||
		    pinring_device_producer_open(mine, "ring", &p))
			_exit(1);
		send_all(&job);
		_exit(0);
	}
	ASSERT_EQ(variant->messages, take_all(&self->ring.c, variant->messages));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* The control again, with two threads: it must see at least one torn message. */
TEST_F_TIMEOUT(device_ring, a_reader_of_one_word_sees_torn_messages_between_threads, 120)
{
	struct ring *ring = &self->ring;
	struct job job = { &ring->p, MANY(100000), FAULT_REORDER };
	unsigned int spins = 0;
	uint64_t torn = 0;
	pthread_t thread;

	take_cpu(0);
	ASSERT_EQ(0, pthread_create(&thread, NULL, sender, &job));
	for (uint64_t i = 0; i < job.messages; i++) {
		__u64 payload[WORDS];

		while (!naive_peek(&ring->c, payload))
			wait_a_little(&spins);
		torn += !made(payload, i);
		/* Then as a good reader, so that the next one starts clean. */
		while (!pinring_device_peek(&ring->c, payload))
			wait_a_little(&spins);
		ASSERT_TRUE(made(payload, i));
		pinring_device_release(&ring->c);
	}
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_LT(0u, torn);
	TH_LOG("%llu of %llu torn", (unsigned long long)torn,
	       (unsigned long long)job.messages);
}

/* --------------------------------------------------- what never arrives, death */

TEST_F(device_ring, a_message_with_a_lost_word_is_never_taken_nor_anything_behind_it)
{
	for (unsigned int dropped = 1; dropped < 256; dropped++) {
		struct ring ring = { 0 };

		open_ring(_metadata, &ring, CAPACITY);
		send_up_to(&ring, 3);
		fault.mode = FAULT_DROP;
		fault.dropped = dropped;
		send_up_to(&ring, 1);
		fault.mode = FAULT_NONE;
		send_up_to(&ring, 2);
		ASSERT_EQ(3u, take_up_to(&ring, 10));
		for (int poll = 0; poll < 100; poll++) {
			ASSERT_EQ(0u, take_up_to(&ring, 1));
		}
		close_ring(&ring);
	}
}

/* ring.h: "goes on after the last whole message". */
TEST_F(device_ring, a_new_producer_repeats_what_its_dead_predecessor_left_in_part)
{
	struct ring *ring = &self->ring;

	for (unsigned int dropped = 1; dropped < 256; dropped++) {
		uint64_t at;

		send_up_to(ring, 2);
		at = ring->p.index;
		fault.mode = FAULT_DROP;
		fault.dropped = dropped;
		send_up_to(ring, 1);
		fault.mode = FAULT_NONE;
		ASSERT_EQ(0, pinring_device_producer_open(ring->r, "ring", &ring->p));
		ASSERT_EQ(at, ring->p.index);
		ASSERT_EQ(3u, send_up_to(ring, 3));
		ASSERT_EQ(5u, take_up_to(ring, 100));
		pinring_device_flush(&ring->c);
	}
}

/*
 * And never mixes the two: of the dead one's words, which carry the right lap,
 * none may be left when the reader sees eight of them.
 */
TEST_F(device_ring, a_repeated_message_is_not_mixed_with_the_one_left_in_part)
{
	struct ring *ring = &self->ring;
	__u64 other[WORDS], payload[WORDS];

	make(other, 1ull << 40);
	for (unsigned int left = 1; left < 255; left++) {
		uint64_t wrong = 0;

		fault.mode = FAULT_DROP;
		fault.dropped = ~left & 0xff;
		ASSERT_EQ(1, pinring_device_send(&ring->p, other));
		ASSERT_EQ(0, pinring_device_producer_open(ring->r, "ring", &ring->p));
		fault.mode = FAULT_HELD;
		ASSERT_EQ(1u, send_up_to(ring, 1));
		for (int w = 0; w < WORDS; w++) {
			put_held(w);
			wrong += pinring_device_peek(&ring->c, payload) &&
				 !made(payload, ring->c.index);
		}
		ASSERT_EQ(0u, wrong)
			TH_LOG("the dead one left words %#x: %llu mixed messages were seen",
			       left, (unsigned long long)wrong);
		ASSERT_EQ(1u, take_up_to(ring, 1));
		pinring_device_flush(&ring->c);
	}
}

TEST_F(device_ring, a_new_producer_on_a_full_ring_waits_for_credit)
{
	struct ring *ring = &self->ring;

	send_up_to(ring, CAPACITY);
	ASSERT_EQ(0, pinring_device_producer_open(ring->r, "ring", &ring->p));
	EXPECT_EQ(CAPACITY, ring->p.index);
	EXPECT_EQ(0u, send_up_to(ring, 1));
	EXPECT_EQ(CAPACITY, take_up_to(ring, 1000));
	EXPECT_EQ(CAPACITY, send_up_to(ring, 1000));
	EXPECT_EQ(CAPACITY, take_up_to(ring, 1000));
}

TEST_F(device_ring, a_new_reader_starts_at_the_last_credit)
{
	struct ring *ring = &self->ring;

	send_up_to(ring, 10);
	take_up_to(ring, 6); /* 4 are credited; then it dies */
	ASSERT_EQ(0, pinring_device_consumer_open(ring->r, "ring", &ring->c));
	EXPECT_EQ(4u, ring->c.index);
	EXPECT_EQ(6u, take_up_to(ring, 100)); /* 2 are seen twice, none is lost */
}

#define KILLS 200u

/* Two hundred producers, each killed somewhere in a message. */
TEST_F_TIMEOUT(device_ring, killing_the_producer_in_the_middle_of_a_message_loses_nothing, 120)
{
	struct ring *ring = &self->ring;

	take_cpu(0);
	for (uint64_t round = 0; round < KILLS; round++) {
		unsigned int spins = 0;
		int status = 0;
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid) {
			take_cpu(1);
			if (pinring_device_producer_open(ring->r, "ring", &ring->p))
				_exit(1);
			for (uint64_t n = mix(round) % 500; n;) {
				if (send_up_to(ring, 1))
					n--;
				else
					wait_a_little(&spins);
			}
			while (!pinring_device_free(&ring->p, 1))
				wait_a_little(&spins);
			fault.die_before = (int)(round % WORDS);
			send_up_to(ring, 1);
			_exit(2);
		}
		while (waitpid(pid, &status, WNOHANG) != pid) {
			ASSERT_NE(UINT64_MAX, take_up_to(ring, 1000))
				TH_LOG("round %llu", (unsigned long long)round);
		}
		ASSERT_TRUE(WIFSIGNALED(status));
		ASSERT_EQ(SIGKILL, WTERMSIG(status));
		ASSERT_NE(UINT64_MAX, take_up_to(ring, 1000));
		pinring_device_flush(&ring->c);
	}
	EXPECT_LT(10000u, ring->c.index);
	LOG_KILLS(KILLS);
}

TEST_HARNESS_MAIN
