// SPDX-License-Identifier: MIT
/*
 * The byte ring with a damaged header, and with a peer that writes anything
 * anywhere: an error, or data that makes no sense, but no way out of the array.
 */
#include "ring_bytes.h"

#include <stddef.h>

#define SHARE (SANITIZED ? 10 : 1) /* a sanitizer is as much slower */
#define BATCH 4

/* ------------------------------------------------------------ damaged headers */

/* Both asks and closes what was opened: 0, or what the two say. */
static int try_both(ring *self, const char *name)
{
	struct pinring_bytes_producer p;
	struct pinring_bytes_consumer c;
	int rc = pinring_bytes_producer_open(self->r, name, &p);
	int other = pinring_bytes_consumer_open(self->r, name, &c);

	if (!rc)
		pinring_bytes_producer_close(&p);
	if (!other)
		pinring_bytes_consumer_close(&c);
	return rc == other ? rc : -EXDEV;
}

/* FNV-1a, as pinring_layout.h has it. */
static void seal(struct pinring_bytes_header *h)
{
	const unsigned char *p = (const unsigned char *)h;

	h->seal = 0xcbf29ce484222325ull;
	for (size_t i = 0; i < offsetof(struct pinring_bytes_header, seal); i++)
		h->seal = (h->seal ^ *p++) * 0x100000001b3ull;
}

TEST_F(ring, a_header_with_one_bit_turned_over_is_refused)
{
	unsigned char *byte = (unsigned char *)self->shared;

	EXPECT_EQ(0, try_both(self, "ring"));
	for (size_t bit = 0; bit < 8 * 128; bit++) {
		byte[bit / 8] ^= (unsigned char)(1 << bit % 8);
		EXPECT_EQ(-EINVAL, try_both(self, "ring")) TH_LOG("bit %zu", bit);
		byte[bit / 8] ^= (unsigned char)(1 << bit % 8);
	}
	EXPECT_STREQ("ring: its header is damaged", pinring_error());
	EXPECT_EQ(0, try_both(self, "ring"));
}

TEST_F(ring, a_header_without_sense_is_refused_though_sealed)
{
	const struct pinring_bytes_header good = *self->shared;
	static const struct {
		size_t offset;
		uint64_t value;
	} bad[] = {
#define NO(field, value) { offsetof(struct pinring_bytes_header, field), (value) }
		NO(magic, PINRING_SPSC_MAGIC), NO(capacity, 0), NO(capacity, 32),
		NO(capacity, 255), NO(capacity, 512), NO(capacity, 1ull << 40),
		NO(capacity, 1ull << 63), NO(records_offset, 0),
		NO(records_offset, 384), NO(records_offset, 520),
		NO(records_offset, UINT64_MAX), NO(reserved[0], 1),
		NO(reserved[11], 1ull << 63), NO(tail, 4), NO(tail, CAPACITY + 8),
		NO(tail, 0 - 8ull), NO(head, 8), NO(head, 0 - 4ull),
		NO(head, 0 - (CAPACITY + 8ull)), NO(producer_closed, 2),
		NO(consumer_closed, UINT64_MAX),
#undef NO
	};

	seal(self->shared);
	ASSERT_EQ(good.seal, self->shared->seal);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		memcpy((char *)self->shared + bad[i].offset, &bad[i].value, 8);
		seal(self->shared);
		EXPECT_EQ(-EINVAL, try_both(self, "ring")) TH_LOG("case %zu", i);
		*self->shared = good;
	}
	/* Both positions are odd and agree: sense, but no record begins there. */
	self->shared->tail = self->shared->head = 4;
	EXPECT_EQ(-EINVAL, try_both(self, "ring"));
	self->shared->tail = self->shared->head = 0;
	EXPECT_EQ(0, try_both(self, "ring"));
}

TEST_F(ring, while_it_is_being_created_it_is_eagain)
{
	uint64_t sealed = self->shared->seal;

	self->shared->seal = 0;
	EXPECT_EQ(-EAGAIN, try_both(self, "ring"));
	EXPECT_STREQ("ring is being created, or its creator died doing so",
		     pinring_error());
	self->shared->seal = sealed;
	EXPECT_EQ(0, try_both(self, "ring"));
}

TEST_F(ring, an_object_of_another_type_is_refused)
{
	struct pinring_object_info o;

	EXPECT_EQ(-ENOENT, try_both(self, "none"));
	ASSERT_EQ(0, pinring_spsc_create(self->r, "slots", 32, 8));
	EXPECT_EQ(-EINVAL, try_both(self, "slots"));
	ASSERT_EQ(0, pinring_object_create(self->r, "short", PINRING_OBJECT_BYTE_RING,
					   511, 0, &o));
	EXPECT_EQ(-EINVAL, try_both(self, "short"));
}

/* --------------------------------------------------------------- broken peers */

TEST_F(ring, a_tail_that_is_impossible_is_eproto_and_passes)
{
	static const uint64_t bad[] = { CAPACITY + 8, 44, 0 - 8ull, 1ull << 63 };
	struct iovec seen[4];
	const void *at;
	uint64_t bytes;

	push_up_to(self, 8, 0, 3);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		self->shared->tail = bad[i];
		EXPECT_EQ(-EPROTO, pinring_bytes_peek(&self->c, &at, &bytes));
		EXPECT_EQ(-EPROTO, pinring_bytes_peek_batch(&self->c, seen, 1));
		self->shared->tail = 48;
	}
	/* In what a batch has looked at already, and more than a ring away. */
	EXPECT_EQ(3, pinring_bytes_peek_batch(&self->c, seen, 3));
	self->shared->tail = 32;
	EXPECT_EQ(3, pinring_bytes_peek_batch(&self->c, seen, 4));
	self->shared->tail = 48;
	EXPECT_EQ(3, pinring_bytes_peek_batch(&self->c, seen, 3));
	self->shared->tail = CAPACITY + 8;
	EXPECT_EQ(3, pinring_bytes_peek_batch(&self->c, seen, 4));
	self->shared->tail = 0 - 8ull;
	EXPECT_EQ(-EPROTO, pinring_bytes_count(&self->c));
	self->shared->tail = 48;
	EXPECT_EQ(3u, pop_up_to(self, 8, 0, 10));
}

/* What is behind it is not there, whatever was released before it. */
TEST_F(ring, a_tail_that_turns_impossible_in_a_batch_stays_eproto_behind_it)
{
	static const uint64_t bad[] = { CAPACITY + 56, 44, 32, 0 - 8ull };
	struct iovec seen[4];
	const void *at;
	uint64_t bytes;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		age(_metadata, self, 0);
		memset(self->records, 0, CAPACITY); /* records of no bytes */
		push_up_to(self, 8, 0, 3);
		self->shared->tail = 48;
		EXPECT_EQ(3, pinring_bytes_peek_batch(&self->c, seen, 3));
		self->shared->tail = bad[i];
		EXPECT_EQ(3, pinring_bytes_peek_batch(&self->c, seen, 4));
		pinring_bytes_release(&self->c);
		EXPECT_EQ(-EPROTO, pinring_bytes_peek(&self->c, &at, &bytes))
			TH_LOG("case %zu", i);
		self->shared->tail = 48;
		EXPECT_EQ(-EAGAIN, pinring_bytes_peek(&self->c, &at, &bytes));
		EXPECT_EQ(48u, self->shared->head);
	}
}

TEST_F(ring, a_head_that_is_impossible_is_eproto_and_passes)
{
	static const uint64_t bad[] = { CAPACITY + 8, 4, 0 - 8ull, 1ull << 63 };
	void *slot = NULL;

	push_up_to(self, 8, 0, 1000);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		self->shared->head = bad[i];
		EXPECT_EQ(-EPROTO, pinring_bytes_reserve(&self->p, 8, &slot));
	}
	EXPECT_EQ(-EPROTO, pinring_bytes_free(&self->p));
	self->shared->head = 16;
	EXPECT_EQ(1u, push_up_to(self, 8, 0, 10));
}

/* Each in the word of the one record there is, at `place`. */
TEST_F(ring, a_length_that_is_impossible_is_eproto_and_passes)
{
	static const struct {
		uint64_t place, word;
	} bad[] = {
		{ 0, 41 }, /* one byte more than is published */
		{ 0, LIMIT }, { 0, LIMIT + 1 }, { 0, CAPACITY }, { 0, 1ull << 32 },
		{ 0, UINT64_MAX }, { 0, UINT64_MAX - 7 }, { 0, UINT64_MAX - 15 },
		{ 0, PINRING_RECORD_SKIP }, /* of the whole array */
		{ 0, PINRING_RECORD_SKIP + 8 },
		{ CAPACITY - 48, PINRING_RECORD_SKIP }, /* and nothing behind it */
		{ CAPACITY / 2, PINRING_RECORD_SKIP },
	};
	unsigned char message[LIMIT];
	struct iovec seen[2];
	const void *at = NULL;
	uint64_t bytes;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		__u64 *word = (void *)(self->records + bad[i].place);

		age(_metadata, self, bad[i].place);
		push_up_to(self, 40, 0, 1);
		*word = bad[i].word;
		EXPECT_EQ(-EPROTO, pinring_bytes_peek(&self->c, &at, &bytes))
			TH_LOG("case %zu", i);
		EXPECT_EQ(-EPROTO, pinring_bytes_peek_batch(&self->c, seen, 2));
		bytes = LIMIT;
		EXPECT_EQ(-EPROTO, pinring_bytes_pop(&self->c, message, &bytes));
		pinring_bytes_release(&self->c);
		EXPECT_EQ(bad[i].place, self->c.read);
		*word = 40;
		EXPECT_EQ(1u, pop_up_to(self, 40, 0, 10)) TH_LOG("case %zu", i);
	}
}

/* Published it may be, but not contiguous. */
TEST_F(ring, a_record_over_the_end_of_the_array_is_eproto)
{
	const void *at;
	uint64_t bytes;

	for (uint64_t room = 8; room <= LIMIT; room += 8) {
		__u64 *word = (void *)(self->records + CAPACITY - room);

		age(_metadata, self, CAPACITY - room);
		self->shared->tail = 2 * CAPACITY - room;
		*word = room - 8;
		EXPECT_EQ(0, pinring_bytes_peek(&self->c, &at, &bytes));
		*word = room - 7;
		EXPECT_EQ(-EPROTO, pinring_bytes_peek(&self->c, &at, &bytes));
		/* Nor is one skip followed by another. */
		*word = PINRING_RECORD_SKIP;
		*(__u64 *)(void *)self->records = PINRING_RECORD_SKIP;
		EXPECT_EQ(-EPROTO, pinring_bytes_peek(&self->c, &at, &bytes));
		*(__u64 *)(void *)self->records = 8;
		EXPECT_EQ(0, pinring_bytes_peek(&self->c, &at, &bytes));
		self->shared->tail = CAPACITY;
	}
}

/* What a length or a position could be to do harm. */
static uint64_t nasty(struct dice *d, uint64_t near)
{
	static const uint64_t values[] = {
		0, 1, 7, 8, 9, LIMIT - 1, LIMIT, LIMIT + 1, LIMIT + 8, CAPACITY - 8,
		CAPACITY, CAPACITY + 1, CAPACITY + 8, 1ull << 32, 1ull << 63,
		PINRING_RECORD_SKIP + 8, UINT64_MAX, UINT64_MAX - 7, UINT64_MAX - 15,
	};

	switch (roll(d, 5)) {
	case 0:
		return item_mix(d->state);
	case 1:
		return values[roll(d, ARRAY_SIZE(values))];
	case 2:
		return PINRING_RECORD_SKIP;
	case 3:
		return near + 8 * (roll(d, 80) - 40);
	default:
		return roll(d, 64);
	}
}

static void scribble(struct dice *d, struct pinring_bytes_header *h)
{
	__u64 *words = (void *)((unsigned char *)h + sizeof(*h));
	__u64 *word = &words[roll(d, CAPACITY / 8)];

	if (roll(d, 8) == 0)
		word = roll(d, 2) ? &h->tail : &h->head;
	else if (roll(d, 200) == 0)
		word = roll(d, 2) ? &h->producer_closed : &h->consumer_closed;
	__atomic_store_n(word, nasty(d, h->tail), __ATOMIC_RELAXED);
}

/* Where a message may lie. */
static bool inside(const unsigned char *records, const void *at, uint64_t bytes)
{
	uint64_t offset = (uint64_t)((const unsigned char *)at - records);

	return offset >= 8 && offset <= CAPACITY && offset % 8 == 0 &&
	       bytes <= LIMIT && bytes <= CAPACITY - offset;
}

static bool known(int64_t rc)
{
	return !rc || rc == -EAGAIN || rc == -EPIPE || rc == -EPROTO ||
	       rc == -EMSGSIZE;
}

/* Uses a handle once; true if all it did was in order. */
static bool use_producer(struct pinring_bytes_producer *p, struct dice *d,
			 const unsigned char *from, uint64_t *worked)
{
	uint64_t bytes = roll(d, LIMIT + 2);
	void *slot = NULL;
	int rc;

	if (roll(d, 2)) {
		rc = pinring_bytes_push(p, from, bytes);
	} else {
		rc = pinring_bytes_reserve(p, bytes, &slot);
		if (!rc && !inside(p->records, slot, bytes))
			return false;
		if (!rc) {
			memset(slot, 0x5a, bytes);
			pinring_bytes_commit(p, bytes);
		}
	}
	*worked += !rc;
	pinring_bytes_free(p);
	return known(rc);
}

static bool use_consumer(struct pinring_bytes_consumer *c, struct dice *d,
			 unsigned char *to, uint64_t *worked)
{
	uint64_t bytes = LIMIT, sum = 0;
	struct iovec seen[BATCH];
	int64_t rc;

	if (roll(d, 2)) {
		rc = pinring_bytes_pop(c, to, &bytes);
		if (rc)
			return rc != -EMSGSIZE && known(rc);
		*worked += 1;
		return bytes <= LIMIT;
	}
	rc = pinring_bytes_peek_batch(c, seen, BATCH);
	for (int64_t i = 0; i < rc; i++) {
		const unsigned char *at = seen[i].iov_base;

		if (!inside(c->records, at, seen[i].iov_len))
			return false;
		for (uint64_t j = 0; j < seen[i].iov_len; j++)
			sum += at[j];
	}
	*to = (unsigned char)sum;
	if (rc > 0 && roll(d, 4)) {
		pinring_bytes_release(c);
		*worked += (uint64_t)rc;
	}
	pinring_bytes_count(c);
	return rc > 0 ? rc <= BATCH : known(rc);
}

/*
 * A mapping of its own whose last byte is the last before a page that nobody may
 * touch, and so is the byte in front of its first page.
 */
static unsigned char *guarded(uint64_t bytes)
{
	unsigned char *base = mmap(NULL, 3 * 4096, PROT_NONE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (base == MAP_FAILED || mprotect(base + 4096, 4096, PROT_READ | PROT_WRITE))
		return NULL;
	return base + 2 * 4096 - bytes;
}

/* The ring's copy at another address: both handles work there. */
static void move(ring *self, void *to)
{
	memcpy(to, self->shared, sizeof(*self->shared) + CAPACITY);
	self->p.shared = self->c.shared = to;
	self->p.records = self->c.records = (unsigned char *)to + sizeof(*self->shared);
}

/* As good as new. */
static void heal(ring *self, struct dice *d)
{
	struct pinring_bytes_header *h = self->p.shared;
	uint64_t at = 8 * roll(d, CAPACITY);

	self->p.write = self->p.published = self->p.head = at;
	self->c.read = self->c.next = self->c.tail = self->c.released = at;
	__atomic_store_n(&h->head, at, __ATOMIC_RELAXED);
	__atomic_store_n(&h->tail, at, __ATOMIC_RELAXED);
	__atomic_store_n(&h->producer_closed, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&h->consumer_closed, 0, __ATOMIC_RELAXED);
}

/* On the heap, where AddressSanitizer knows the last byte of the array. */
TEST_F(ring, anything_written_anywhere_leads_nobody_out_of_the_array)
{
	const size_t size = sizeof(*self->shared) + CAPACITY;
	unsigned char *to = malloc(LIMIT), *from = calloc(1, LIMIT);
	void *heap = aligned_alloc(128, size);
	uint64_t sent = 0, got = 0;
	struct dice dice = { 3 };

	ASSERT_NE(NULL, heap);
	move(self, heap);
	for (int i = 0; i < 2000000 / SHARE; i++) {
		if (i % 50 == 0)
			heal(self, &dice);
		if (roll(&dice, 4) == 0)
			scribble(&dice, heap);
		ASSERT_TRUE(use_producer(&self->p, &dice, from, &sent));
		ASSERT_TRUE(use_consumer(&self->c, &dice, to, &got));
	}
	EXPECT_LT(10000u, sent);
	EXPECT_LT(10000u, got);
	self->p.published = self->p.write; /* the fixture's close writes nothing */
	self->c.released = self->c.read;
	free(heap);
	free(from);
	free(to);
}

/* While we look: what was checked must be what is used. */
TEST_F_TIMEOUT(ring, a_peer_that_scribbles_while_we_work_leads_nobody_out, 120)
{
	unsigned char *to = guarded(LIMIT), *from = guarded(LIMIT);
	void *at = guarded(sizeof(*self->shared) + CAPACITY);
	uint64_t sent = 0, got = 0;
	struct dice dice = { 4 };
	int status;
	pid_t pid;

	ASSERT_NE(NULL, at);
	ASSERT_NE(NULL, from);
	ASSERT_NE(NULL, to);
	move(self, at);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct pinring_bytes_header *h = at;
		struct dice mine = { 5 };

		take_cpu(1);
		for (;;) {
			__u64 *words = (void *)(self->records - (unsigned char *)self->shared +
						(unsigned char *)at);

			/* Mostly what looks good at first. */
			for (int i = 0; i < 20; i++) {
				uint64_t head = __atomic_load_n(&h->head, __ATOMIC_RELAXED);
				__u64 *word = &words[roll(&mine, CAPACITY / 8)];

				__atomic_store_n(word, roll(&mine, 40), __ATOMIC_RELAXED);
				__atomic_store_n(&h->tail, head + 8 * roll(&mine, 33),
						 __ATOMIC_RELAXED);
				__atomic_store_n(word, nasty(&mine, head), __ATOMIC_RELAXED);
			}
			scribble(&mine, at);
		}
	}
	take_cpu(0);
	for (int i = 0; i < 2000000 / SHARE; i++) {
		if (i % 50 == 0)
			heal(self, &dice);
		ASSERT_TRUE(use_producer(&self->p, &dice, from, &sent));
		for (int j = 0; j < 4; j++) {
			ASSERT_TRUE(use_consumer(&self->c, &dice, to, &got));
		}
	}
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_LT(10000u, sent);
	EXPECT_LT(10000u, got);
	self->p.published = self->p.write;
	self->c.released = self->c.read;
}

TEST_HARNESS_MAIN
