// SPDX-License-Identifier: MIT
/*
 * A peer that means harm, or memory gone bad: every bit of every field that
 * attach and open look at, first by accident (the seal tells), then by malice
 * (the seal is put right), then at random, then while we work. What is promised:
 * an error, or handles that stay inside the region, whatever data they bring.
 */
#include <kselftest_harness.h>

#include <fcntl.h>
#include <linux/falloc.h>
#include <sched.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/random.h>

#include "backend.h"
#include "take_cpu.h"

#include <pinring/pinring.h>

#define REGION_BYTES 20480u
#define CAPACITY 8u
#define SPSC_SLOT 64u

/* FNV-1a, as pinring_layout.h has it: the attacker can read, too. */
static uint64_t fnv(const void *data, size_t size)
{
	const unsigned char *p = data;
	uint64_t hash = 0xcbf29ce484222325ull;

	while (size--)
		hash = (hash ^ *p++) * 0x100000001b3ull;
	return hash;
}

static void seal_header(unsigned char *base)
{
	struct pinring_region_header *h = (void *)base;

	h->seal = fnv(h, offsetof(struct pinring_region_header, seal));
}

static struct pinring_object *entry_of(unsigned char *base, uint32_t i)
{
	return (struct pinring_object *)(void *)(base + 256) + i;
}

/* Also its tag, which holds the name's hash. */
static void seal_entry(unsigned char *base, uint32_t i)
{
	struct pinring_object *o = entry_of(base, i);

	o->seal = fnv(&o->offset, 112);
	o->tag = (fnv(o->name, 64) & ~0xffull) | (o->tag & 0xff);
}

/* Both ring headers are sealed over their first 120 bytes. */
static void seal_ring(void *header)
{
	uint64_t seal = fnv(header, 120);

	memcpy((char *)header + 120, &seal, sizeof(seal));
}

static uint64_t alloc_word(uint64_t units)
{
	uint64_t fold = 0x5a;

	for (int shift = 0; shift < 56; shift += 8)
		fold ^= units >> shift & 0xff;
	return units | fold << 56;
}

/* xorshift64* (Vigna, 2014) */
static uint64_t random_state;

static uint64_t random_bits(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1dull;
}

static uint64_t random_below(uint64_t n)
{
	return (random_bits() >> 32) * n >> 32;
}

/* PINRING_SEED=... repeats a run. */
static uint64_t seed(void)
{
	const char *given = getenv("PINRING_SEED");
	uint64_t s = 0;

	if (given)
		s = strtoull(given, NULL, 0);
	else if (getrandom(&s, sizeof(s), 0) != sizeof(s))
		s = 1;
	random_state = s ? s : 1;
	return random_state;
}

FIXTURE(hostile)
{
	struct pinring_device *device;
	struct pinring_region *r; /* the attacker's view of it */
	unsigned char *base;
	unsigned char *good; /* what it was */
	int fd;
	int event;
	struct pinring_object_info bytes, ring, dring, bell;
};

FIXTURE_SETUP(hostile)
{
	struct pinring_region_config config = pinring_region_defaults(REGION_BYTES);
	struct pinring_doorbell *bell;

	config.flags = PINRING_REGION_SMALL_PAGES;
	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->r));
	ASSERT_EQ(REGION_BYTES, pinring_region_size(self->r));
	ASSERT_EQ(0, pinring_object_create(self->r, "bytes", PINRING_OBJECT_BYTES,
					   1000, 0, &self->bytes));
	ASSERT_EQ(0, pinring_spsc_create(self->r, "ring", CAPACITY, SPSC_SLOT));
	ASSERT_EQ(0, pinring_device_ring_create(self->r, "dring", CAPACITY));
	ASSERT_EQ(0, pinring_doorbell_create(self->r, "bell", &bell));
	pinring_doorbell_close(bell);
	ASSERT_EQ(0, pinring_object_find(self->r, "ring", &self->ring));
	ASSERT_EQ(0, pinring_object_find(self->r, "dring", &self->dring));
	ASSERT_EQ(0, pinring_object_find(self->r, "bell", &self->bell));
	self->base = pinring_region_base(self->r);
	self->fd = pinring_region_fd(self->r);
	self->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ASSERT_LE(0, self->event);
	self->good = malloc(REGION_BYTES);
	ASSERT_NE(NULL, self->good);
	memcpy(self->good, self->base, REGION_BYTES);
}

FIXTURE_TEARDOWN(hostile)
{
	free(self->good);
	close(self->event);
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

typedef FIXTURE_DATA(hostile) hostile;

static void restore(hostile *self)
{
	memcpy(self->base, self->good, REGION_BYTES);
}

static int attach(hostile *self, struct pinring_region **r)
{
	return pinring_region_attach(self->device, self->fd, r);
}

/* ---------------------------------------------------- using what was opened */

static bool inside(const struct pinring_region *r, const void *p, uint64_t n)
{
	const unsigned char *base = pinring_region_base(r);
	uint64_t at = (uint64_t)((const unsigned char *)p - base);

	return pinring_region_at(r, at, n) == p;
}

static bool known(int64_t rc)
{
	return rc >= 0 || rc == -EAGAIN || rc == -EPIPE || rc == -EPROTO;
}

/*
 * A few turns on each handle. A buffer of exactly slot_bytes, so that under
 * AddressSanitizer one byte more is seen. NULL, or what was wrong.
 */
static const char *use_spsc(struct pinring_region *r, const char *name)
{
	struct pinring_spsc_producer p;
	struct pinring_spsc_consumer c;
	const char *wrong = NULL;
	unsigned char *item;
	void *slots;
	int64_t n;
	int rc;

	rc = pinring_spsc_producer_open(r, name, &p);
	if (rc)
		return rc < 0 ? NULL : "producer_open returned a count";
	rc = pinring_spsc_consumer_open(r, name, &c);
	if (rc) {
		pinring_spsc_producer_close(&p);
		return "a producer could be opened, but no consumer";
	}
	if (!inside(r, p.shared, sizeof(*p.shared)) ||
	    !inside(r, p.slots, (p.mask + 1) * p.slot_bytes) ||
	    !inside(r, c.slots, (c.mask + 1) * c.slot_bytes))
		wrong = "a ring that leaves the region";
	item = wrong ? NULL : malloc(p.slot_bytes);
	if (item)
		memset(item, 1, p.slot_bytes);
	for (int i = 0; i < 3 && item && !wrong; i++) {
		if (!known(pinring_spsc_push(&p, item)) ||
		    !known(pinring_spsc_pop(&c, item)))
			wrong = "push or pop returned something else";
		n = pinring_spsc_reserve(&p, UINT64_MAX, &slots);
		if (n > 0 && !inside(r, slots, (uint64_t)n * p.slot_bytes))
			wrong = "reserve left the region";
		if (n > 0)
			memset(slots, 2, (uint64_t)n * p.slot_bytes);
		if (n > 0)
			pinring_spsc_commit(&p, (uint64_t)n);
		n = pinring_spsc_peek(&c, UINT64_MAX, &slots);
		if (n > 0 && !inside(r, slots, (uint64_t)n * c.slot_bytes))
			wrong = "peek left the region";
		if (n > 0)
			pinring_spsc_release(&c, (uint64_t)n);
	}
	free(item);
	pinring_spsc_producer_close(&p);
	pinring_spsc_consumer_close(&c);
	return wrong;
}

static const char *use_device_ring(struct pinring_region *r, const char *name)
{
	__u64 payload[PINRING_SLOT_WORDS] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	struct pinring_device_producer p;
	struct pinring_device_consumer c;
	int rc;

	rc = pinring_device_producer_open(r, name, &p);
	if (rc)
		return rc < 0 ? NULL : "producer_open returned a count";
	if (pinring_device_consumer_open(r, name, &c))
		return "a producer could be opened, but no consumer";
	if (!inside(r, p.slots, p.capacity * 64) || !inside(r, p.head, 8) ||
	    !inside(r, c.slots, c.capacity * 64) || !inside(r, c.head, 8))
		return "a ring that leaves the region";
	for (int i = 0; i < 20; i++) {
		pinring_device_send(&p, payload);
		if (i % 3 == 0 && pinring_device_peek(&c, payload))
			pinring_device_release(&c);
		pinring_device_flush(&c);
	}
	return NULL;
}

static const char *use_doorbell(struct pinring_region *r, const char *name, int event)
{
	struct pinring_doorbell *bell;
	uint64_t seen;

	if (pinring_doorbell_attach(r, name, event, &bell))
		return NULL;
	seen = pinring_doorbell_sequence(bell);
	pinring_doorbell_arm(bell, seen);
	pinring_doorbell_ring(bell);
	pinring_doorbell_ack(bell);
	pinring_doorbell_wait(bell, seen + 1, 0);
	pinring_doorbell_close(bell);
	return NULL;
}

/* Walks over all that a region offers and touches it. */
static const char *use_region(struct pinring_region *r, int event)
{
	static const char *const names[] = { "bytes", "ring", "dring", "bell", "new" };
	unsigned char *base = pinring_region_base(r);
	uint64_t size = pinring_region_size(r);
	struct pinring_object_info o, found;
	const char *wrong = NULL;
	uint32_t i;

	if (pinring_region_at(r, 0, size) != base || pinring_region_at(r, 1, size))
		return "pinring_region_at leaves the region";
	for (i = 0; i < 100 && !wrong; i++) {
		unsigned char *data;

		if (pinring_object_list(r, i, &o))
			break;
		data = pinring_region_at(r, o.offset, o.length);
		if (!data || o.offset < PINRING_REGION_HEADER_BYTES)
			return "an object that leaves the region";
		if (!memchr(o.name, 0, sizeof(o.name)))
			return "a name without an end";
		if (o.length) {
			data[0] ^= 1;
			data[o.length - 1] ^= 1;
			data[o.length - 1] ^= 1;
			data[0] ^= 1;
		}
		if (pinring_object_find(r, o.name, &found) == 0 &&
		    !pinring_region_at(r, found.offset, found.length))
			return "a found object that leaves the region";
		wrong = use_spsc(r, o.name);
		if (!wrong)
			wrong = use_device_ring(r, o.name);
		if (!wrong)
			wrong = use_doorbell(r, o.name, event);
	}
	for (i = 0; i < ARRAY_SIZE(names) && !wrong; i++) {
		wrong = use_spsc(r, names[i]);
		if (!wrong)
			wrong = use_device_ring(r, names[i]);
		if (!wrong)
			wrong = use_doorbell(r, names[i], event);
	}
	if (!wrong && !pinring_object_create(r, "new", PINRING_OBJECT_BYTES, 100, 0,
					     &o)) {
		unsigned char *data = pinring_region_at(r, o.offset, o.length);

		if (!data || o.offset < PINRING_REGION_HEADER_BYTES)
			return "a new object that leaves the region";
		memset(data, 1, o.length);
	}
	return wrong;
}

/* An error, or a usable region. *rc: what attach said. */
static const char *attach_and_use(hostile *self, int *rc)
{
	struct pinring_region *r;
	const char *wrong;

	*rc = attach(self, &r);
	if (*rc > 0)
		return "attach returned a count";
	if (*rc)
		return r ? "attach failed and gave a region" : NULL;
	wrong = use_region(r, self->event);
	pinring_region_close(r);
	return wrong;
}

/* ------------------------------------------------------- the fields, in turn */

struct field {
	const char *name;
	size_t offset, size; /* of an element, where it is an array */
	size_t n;
	/* Why it may change; NULL: it may not. */
	const char *free;
	/* And within what limits; NULL: none. */
	bool (*sane)(const void *header);
};

#define AT(type, field) offsetof(struct type, field)
#define SIZE(type, field) sizeof(((struct type *)0)->field)

#define ONE(type, field) \
	{ #field, AT(type, field), SIZE(type, field), 1, NULL, NULL }
#define MANY(type, field, count) \
	{ #field, AT(type, field), SIZE(type, field[0]), count, NULL, NULL }
#define FREE(type, field, sane, why) \
	{ #field, AT(type, field), SIZE(type, field), 1, why, sane }
#define MANY_FREE(type, field, count, why) \
	{ #field, AT(type, field), SIZE(type, field[0]), count, why, NULL }

static const struct field header_fields[] = {
	ONE(pinring_region_header, magic),
	ONE(pinring_region_header, abi_version),
	ONE(pinring_region_header, header_bytes),
	ONE(pinring_region_header, size),
	ONE(pinring_region_header, features),
	ONE(pinring_region_header, page_size),
	ONE(pinring_region_header, backend),
	ONE(pinring_region_header, node),
	ONE(pinring_region_header, objects_max),
	ONE(pinring_region_header, creator_pid),
	MANY(pinring_region_header, reserved, 8),
	ONE(pinring_region_header, seal),
	ONE(pinring_region_header, alloc),
	MANY(pinring_region_header, alloc_reserved, 15),
};

static const struct field entry_fields[] = {
	ONE(pinring_object, tag),
	ONE(pinring_object, offset),
	ONE(pinring_object, length),
	ONE(pinring_object, type),
	ONE(pinring_object, reserved0),
	MANY(pinring_object, name, 64),
	MANY(pinring_object, reserved, 3),
	ONE(pinring_object, seal),
};

static const char later[] = "reserved on a line that its writer owns: a later version may use it";

static bool indices_sane(const void *header)
{
	const struct pinring_spsc_header *h = header;

	return h->tail - h->head <= h->capacity;
}

static bool closed_sane(const void *header)
{
	const struct pinring_spsc_header *h = header;

	return h->producer_closed <= 1 && h->consumer_closed <= 1;
}

static const struct field spsc_fields[] = {
	ONE(pinring_spsc_header, magic),
	ONE(pinring_spsc_header, capacity),
	ONE(pinring_spsc_header, slot_bytes),
	ONE(pinring_spsc_header, slots_offset),
	MANY(pinring_spsc_header, reserved, 11),
	ONE(pinring_spsc_header, seal),
	FREE(pinring_spsc_header, tail, indices_sane, "runs freely: from head to head + capacity"),
	FREE(pinring_spsc_header, producer_closed, closed_sane, "0 or 1"),
	FREE(pinring_spsc_header, sent.messages, NULL, "a count"),
	FREE(pinring_spsc_header, sent.bytes, NULL, "a count"),
	FREE(pinring_spsc_header, sent.refused, NULL, "a count"),
	FREE(pinring_spsc_header, sent.waited, NULL, "a count"),
	MANY_FREE(pinring_spsc_header, producer_reserved, 10, later),
	FREE(pinring_spsc_header, head, indices_sane, "runs freely: from tail - capacity to tail"),
	FREE(pinring_spsc_header, consumer_closed, closed_sane, "0 or 1"),
	FREE(pinring_spsc_header, received.messages, NULL, "a count"),
	FREE(pinring_spsc_header, received.bytes, NULL, "a count"),
	FREE(pinring_spsc_header, received.refused, NULL, "a count"),
	FREE(pinring_spsc_header, received.waited, NULL, "a count"),
	MANY_FREE(pinring_spsc_header, consumer_reserved, 10, later),
};

static const struct field device_fields[] = {
	ONE(pinring_device_ring_header, magic),
	ONE(pinring_device_ring_header, capacity),
	ONE(pinring_device_ring_header, slots_offset),
	MANY(pinring_device_ring_header, reserved, 12),
	ONE(pinring_device_ring_header, seal),
	FREE(pinring_device_ring_header, head, NULL,
	     "runs freely over 64 bits; nothing says where it should be"),
	MANY_FREE(pinring_device_ring_header, consumer_reserved, 15, later),
};

static const struct field doorbell_fields[] = {
	FREE(pinring_doorbell_lines, sequence, NULL, "counts freely"),
	MANY_FREE(pinring_doorbell_lines, ringer_reserved, 15, later),
	FREE(pinring_doorbell_lines, armed, NULL,
	     "a sequence; a wrong one costs a wake-up at worst"),
	MANY_FREE(pinring_doorbell_lines, waiter_reserved, 15, later),
};

/* The values a field is set to: each bit turned, 0, all ones, one more, one less. */
static int values_of(size_t size, uint64_t old, uint64_t *values)
{
	uint64_t mask = ~0ull >> (64 - 8 * size);
	int n = 0;

	for (size_t bit = 0; bit < 8 * size; bit++)
		values[n++] = old ^ 1ull << bit;
	values[n++] = 0;
	values[n++] = mask;
	values[n++] = (old + 1) & mask;
	values[n++] = (old - 1) & mask;
	return n;
}

/* What an attacker would think of. */
static int wicked_values(size_t size, uint64_t old, uint64_t *values)
{
	static const uint64_t wicked[] = {
		2, 3, 7, 63, 64, 65, 127, 255, 4095, 4096, 8192, 8191,
		REGION_BYTES, REGION_BYTES - 64, REGION_BYTES + 1, REGION_BYTES * 2,
		1ull << 31, (1ull << 31) - 1, 1ull << 32, (1ull << 32) - 1,
		1ull << 48, 1ull << 52, 1ull << 56, 1ull << 58, 1ull << 60,
		1ull << 62, 1ull << 63, 0 - 4096ull, 0 - 8192ull, 0 - 64ull,
	};
	uint64_t mask = ~0ull >> (64 - 8 * size);
	int n = values_of(size, old, values);

	for (size_t i = 0; i < ARRAY_SIZE(wicked); i++) {
		values[n++] = wicked[i] & mask;
		values[n++] = (old + wicked[i]) & mask;
		values[n++] = (old * wicked[i]) & mask;
	}
	return n;
}

#define VALUES_MAX 200

static uint64_t get(const unsigned char *at, size_t size)
{
	uint64_t value = 0;

	memcpy(&value, at, size);
	return value;
}

/*
 * Puts every value into every field at `at`, one at a time. Without `seal`,
 * the accident: `tried` must be refused exactly where the field is not free.
 * With it, the attack: anything but a step outside.
 */
struct attack {
	const struct field *fields;
	size_t n;
	uint64_t at;
	void (*seal)(hostile *self, uint64_t at);
	/* Returns -errno or 0; for the accident. */
	int (*tried)(hostile *self);
};

static int try_attach(hostile *self)
{
	struct pinring_region *r;
	int rc = attach(self, &r);

	if (!rc)
		pinring_region_close(r);
	return rc;
}

/* attach first: it does not look into objects and must not mind. */
static int try_spsc(hostile *self)
{
	struct pinring_spsc_producer p;
	struct pinring_spsc_consumer c;
	struct pinring_region *r;
	int rc, other;

	if (attach(self, &r))
		return -ENXIO;
	rc = pinring_spsc_producer_open(r, "ring", &p);
	other = pinring_spsc_consumer_open(r, "ring", &c);
	if (!rc)
		pinring_spsc_producer_close(&p);
	if (!other)
		pinring_spsc_consumer_close(&c);
	pinring_region_close(r);
	return rc == other ? rc : -EXDEV;
}

static int try_device_ring(hostile *self)
{
	struct pinring_device_producer p;
	struct pinring_device_consumer c;
	struct pinring_region *r;
	int rc, other;

	if (attach(self, &r))
		return -ENXIO;
	rc = pinring_device_producer_open(r, "dring", &p);
	other = pinring_device_consumer_open(r, "dring", &c);
	pinring_region_close(r);
	return rc == other ? rc : -EXDEV;
}

static int try_doorbell(hostile *self)
{
	struct pinring_doorbell *bell;
	struct pinring_region *r;
	int rc;

	if (attach(self, &r))
		return -ENXIO;
	rc = pinring_doorbell_attach(r, "bell", self->event, &bell);
	if (!rc)
		pinring_doorbell_close(bell);
	pinring_region_close(r);
	return rc;
}

/* Without a seal one of the module's, which others find by name, is not yet made. */
static bool made_wrong(const FIXTURE_DATA(hostile) *self)
{
	const struct pinring_region_header *h = (const void *)self->base;

	return h->seal || !on_module(self->device);
}

#define TRIED "field %s[%zu] at %#llx: %#llx instead of %#llx"
#define TRIED_ARGS(f, e, at, v, old) \
	(f)->name, (e), (unsigned long long)(at), (unsigned long long)(v), \
	(unsigned long long)(old)

static void try_all(struct __test_metadata *_metadata, hostile *self,
		    const struct attack *a)
{
	uint64_t values[VALUES_MAX];

	for (size_t i = 0; i < a->n; i++) {
		const struct field *f = &a->fields[i];

		for (size_t e = 0; e < f->n; e++) {
			unsigned char *at = self->base + a->at + f->offset + e * f->size;
			uint64_t old = get(at, f->size);
			int n = a->seal ? wicked_values(f->size, old, values) :
					  values_of(f->size, old, values);

			for (int v = 0; v < n; v++) {
				const char *wrong;
				int rc;

				if (values[v] == old)
					continue;
				memcpy(at, &values[v], f->size);
				if (a->seal) {
					a->seal(self, a->at);
					wrong = attach_and_use(self, &rc);
					EXPECT_EQ(NULL, wrong)
						TH_LOG("%s: " TRIED, wrong,
						       TRIED_ARGS(f, e, a->at, values[v], old));
				} else {
					bool ok = f->free && (!f->sane || f->sane(self->base + a->at));

					rc = a->tried(self);
					if (ok) {
						EXPECT_EQ(0, rc)
							TH_LOG(TRIED, TRIED_ARGS(f, e, a->at, values[v], old));
					} else if (a->tried == try_attach) {
						EXPECT_EQ(made_wrong(self) ? -EINVAL : -EAGAIN, rc)
							TH_LOG(TRIED, TRIED_ARGS(f, e, a->at, values[v], old));
					} else {
						EXPECT_TRUE(rc == -EINVAL || rc == -EAGAIN)
							TH_LOG(TRIED, TRIED_ARGS(f, e, a->at, values[v], old));
					}
				}
				restore(self);
			}
		}
	}
	EXPECT_EQ(0, try_attach(self)); /* what we did is undone */
}

#define ATTACK(fields, at, seal, tried) \
	try_all(_metadata, self, &(struct attack){ \
		fields, ARRAY_SIZE(fields), at, seal, tried })

/* ---------------------------------------------------------------- accidents */

TEST_F(hostile, a_good_region_is_taken_and_used)
{
	int rc;

	EXPECT_EQ(NULL, attach_and_use(self, &rc));
	EXPECT_EQ(0, rc);
	restore(self);
	EXPECT_EQ(0, try_spsc(self));
	EXPECT_EQ(0, try_device_ring(self));
	EXPECT_EQ(0, try_doorbell(self));
}

TEST_F(hostile, every_damaged_field_of_the_region_header_is_refused)
{
	ATTACK(header_fields, 0, NULL, try_attach);
}

TEST_F(hostile, every_damaged_field_of_a_used_directory_entry_is_refused)
{
	for (uint64_t i = 0; i < 4; i++)
		ATTACK(entry_fields, 256 + 128 * i, NULL, try_attach);
}

TEST_F_TIMEOUT(hostile, every_damaged_field_of_a_free_directory_entry_is_refused, 120)
{
	static const uint64_t free_entries[] = { 4, 5, 33, 61 };

	for (size_t i = 0; i < ARRAY_SIZE(free_entries); i++)
		ATTACK(entry_fields, 256 + 128 * free_entries[i], NULL, try_attach);
}

TEST_F(hostile, every_damaged_field_of_an_spsc_header_is_refused_at_open)
{
	ATTACK(spsc_fields, self->ring.offset, NULL, try_spsc);
}

TEST_F(hostile, every_damaged_field_of_a_device_ring_header_is_refused_at_open)
{
	ATTACK(device_fields, self->dring.offset, NULL, try_device_ring);
}

TEST_F(hostile, no_value_of_a_doorbell_matters)
{
	ATTACK(doorbell_fields, self->bell.offset, NULL, try_doorbell);
}

TEST_F(hostile, an_object_of_one_type_does_not_open_as_another)
{
	struct pinring_device_producer dp;
	struct pinring_spsc_producer p;
	struct pinring_doorbell *bell;

	EXPECT_EQ(-EINVAL, pinring_spsc_producer_open(self->r, "dring", &p));
	EXPECT_EQ(-EINVAL, pinring_device_producer_open(self->r, "ring", &dp));
	EXPECT_EQ(-EINVAL, pinring_doorbell_attach(self->r, "bytes", self->event, &bell));
	EXPECT_EQ(-ENOENT, pinring_spsc_producer_open(self->r, "absent", &p));
}

/* A ring whose creator has claimed and not yet sealed it. */
TEST_F(hostile, a_ring_that_is_being_made_is_not_yet_there)
{
	struct pinring_device_producer dp;
	struct pinring_spsc_producer p;

	memset(self->base + self->ring.offset, 0, 128);
	memset(self->base + self->dring.offset, 0, 128);
	EXPECT_EQ(-EAGAIN, pinring_spsc_producer_open(self->r, "ring", &p));
	EXPECT_EQ(-EAGAIN, pinring_device_producer_open(self->r, "dring", &dp));
}

/* ------------------------------------------------------------------- malice */

static void reseal_header(hostile *self, uint64_t at)
{
	(void)at;
	seal_header(self->base);
}

static void reseal_entry(hostile *self, uint64_t at)
{
	seal_entry(self->base, (uint32_t)((at - 256) / 128));
}

static void reseal_ring(hostile *self, uint64_t at)
{
	seal_ring(self->base + at);
}

TEST_F(hostile, a_forged_region_header_is_refused_or_harmless)
{
	ATTACK(header_fields, 0, reseal_header, NULL);
}

TEST_F_TIMEOUT(hostile, a_forged_directory_entry_is_refused_or_harmless, 120)
{
	for (uint64_t i = 0; i < 6; i++)
		ATTACK(entry_fields, 256 + 128 * i, reseal_entry, NULL);
}

TEST_F(hostile, a_forged_spsc_header_is_refused_or_harmless)
{
	ATTACK(spsc_fields, self->ring.offset, reseal_ring, NULL);
}

TEST_F(hostile, a_forged_device_ring_header_is_refused_or_harmless)
{
	ATTACK(device_fields, self->dring.offset, reseal_ring, NULL);
}

/* attach and open check for sense, not only for the seal. */
struct nonsense {
	const char *what;
	size_t offset, size;
	uint64_t value;
};

#define NO(type, field, value) \
	{ #field " " #value, AT(type, field), SIZE(type, field), (uint64_t)(value) }

static void all_refused(struct __test_metadata *_metadata, hostile *self, uint64_t at,
			void (*seal)(hostile *self, uint64_t at),
			int (*tried)(hostile *self), const struct nonsense *no, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		memcpy(self->base + at + no[i].offset, &no[i].value, no[i].size);
		seal(self, at);
		EXPECT_EQ(-EINVAL, tried(self)) TH_LOG("%s", no[i].what);
		restore(self);
	}
}

TEST_F(hostile, a_region_header_without_sense_is_refused_though_sealed)
{
	static const struct nonsense no[] = {
		NO(pinring_region_header, magic, 1),
		NO(pinring_region_header, abi_version, 0),
		NO(pinring_region_header, abi_version, 2),
		NO(pinring_region_header, header_bytes, 4096),
		NO(pinring_region_header, header_bytes, 16384),
		NO(pinring_region_header, size, REGION_BYTES - 4096),
		NO(pinring_region_header, size, REGION_BYTES + 4096),
		NO(pinring_region_header, features, 1),
		NO(pinring_region_header, features, 1ull << 63),
		NO(pinring_region_header, page_size, 0),
		NO(pinring_region_header, page_size, 8192),
		NO(pinring_region_header, page_size, 1 << 30),
		NO(pinring_region_header, backend, 0),
		NO(pinring_region_header, backend, 3),
		NO(pinring_region_header, node, -2),
		NO(pinring_region_header, node, 1024),
		NO(pinring_region_header, objects_max, 61),
		NO(pinring_region_header, objects_max, 63),
		NO(pinring_region_header, reserved[0], 1),
		NO(pinring_region_header, reserved[7], 1),
		NO(pinring_region_header, alloc, 0),
		NO(pinring_region_header, alloc_reserved[0], 1),
		NO(pinring_region_header, alloc_reserved[14], 1),
	};

	all_refused(_metadata, self, 0, reseal_header, try_attach, no, ARRAY_SIZE(no));
}

TEST_F(hostile, a_directory_entry_without_sense_is_refused_though_sealed)
{
	static const struct nonsense no[] = {
		NO(pinring_object, offset, 0),
		NO(pinring_object, offset, 8128),
		NO(pinring_object, offset, 8192 + 32),
		NO(pinring_object, length, REGION_BYTES),
		NO(pinring_object, type, 0),
		NO(pinring_object, type, 99),
		NO(pinring_object, reserved0, 1),
		NO(pinring_object, name[0], 0), /* something behind the end */
		NO(pinring_object, name[63], 'x'),
		NO(pinring_object, name[40], 'x'), /* likewise */
		NO(pinring_object, reserved[0], 1),
		NO(pinring_object, reserved[2], 1),
	};
	struct pinring_object *first = entry_of(self->base, 0);

	all_refused(_metadata, self, 256, reseal_entry, try_attach, no, ARRAY_SIZE(no));
	for (int fill = 0; fill <= 'x'; fill += 'x') { /* nothing, and no end */
		memset(first->name, fill, sizeof(first->name));
		seal_entry(self->base, 0);
		EXPECT_EQ(-EINVAL, try_attach(self)) TH_LOG("name of %d", fill);
	}
}

TEST_F(hostile, a_ring_header_without_sense_is_refused_though_sealed)
{
	static const struct nonsense spsc[] = {
		NO(pinring_spsc_header, magic, PINRING_DEVICE_RING_MAGIC),
		NO(pinring_spsc_header, capacity, 0),
		NO(pinring_spsc_header, capacity, 1),
		NO(pinring_spsc_header, capacity, 7),
		NO(pinring_spsc_header, slot_bytes, 0),
		NO(pinring_spsc_header, slot_bytes, 12),
		NO(pinring_spsc_header, slots_offset, 0),
		NO(pinring_spsc_header, slots_offset, 256),
		NO(pinring_spsc_header, slots_offset, 384),
		NO(pinring_spsc_header, reserved[0], 1),
		NO(pinring_spsc_header, reserved[10], 1),
	};
	static const struct nonsense device[] = {
		NO(pinring_device_ring_header, magic, PINRING_SPSC_MAGIC),
		NO(pinring_device_ring_header, capacity, 0),
		NO(pinring_device_ring_header, capacity, 1),
		NO(pinring_device_ring_header, capacity, 7),
		NO(pinring_device_ring_header, slots_offset, 0),
		NO(pinring_device_ring_header, slots_offset, 128),
		NO(pinring_device_ring_header, slots_offset, 320),
		NO(pinring_device_ring_header, reserved[0], 1),
		NO(pinring_device_ring_header, reserved[11], 1),
	};

	all_refused(_metadata, self, self->ring.offset, reseal_ring, try_spsc, spsc,
		    ARRAY_SIZE(spsc));
	all_refused(_metadata, self, self->dring.offset, reseal_ring, try_device_ring,
		    device, ARRAY_SIZE(device));
}

/* Moved after attach: nobody is given the header, or what is not there. */
TEST_F(hostile, nothing_is_allocated_where_alloc_makes_no_sense)
{
	struct pinring_region_header *h = (void *)self->base;
	const uint64_t words[] = {
		0, 1, UINT64_MAX, h->alloc + 1, h->alloc ^ 1ull << 60,
		alloc_word(0), alloc_word(1), alloc_word(127),
		alloc_word(REGION_BYTES / 64 + 1), alloc_word((1ull << 56) - 1),
	};
	struct pinring_object_info o;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		h->alloc = words[i];
		EXPECT_EQ(-EPROTO, pinring_object_create(self->r, "new",
							 PINRING_OBJECT_BYTES, 64, 0, &o))
			TH_LOG("alloc %#llx", (unsigned long long)words[i]);
		restore(self);
	}
	EXPECT_EQ(0, pinring_object_create(self->r, "new", PINRING_OBJECT_BYTES, 64, 0, &o));
}

/* With every offset and length that might slip through a sum that overflows. */
TEST_F_TIMEOUT(hostile, a_forged_place_of_an_object_is_refused_or_harmless, 120)
{
	static const uint64_t places[] = {
		0, 64, 256, 8128, 8192, 8256, 12288, REGION_BYTES - 128,
		REGION_BYTES - 64, REGION_BYTES, REGION_BYTES + 64, 1ull << 32,
		1ull << 48, 1ull << 63, 0 - 64ull, 0 - 128ull, 0 - 8192ull,
		0 - (uint64_t)REGION_BYTES, UINT64_MAX,
	};
	static const uint64_t allocs[] = { 128, 160, 320, 319, 321, 1ull << 42, (1ull << 56) - 1 };

	for (uint32_t entry = 0; entry < 4; entry++) {
		for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
			for (size_t j = 0; j < ARRAY_SIZE(places); j++) {
				struct pinring_region_header *h = (void *)self->base;
				struct pinring_object *o = entry_of(self->base, entry);
				const char *wrong;
				int rc;

				o->offset = places[i];
				o->length = places[j];
				seal_entry(self->base, entry);
				h->alloc = alloc_word(allocs[(i + j) % ARRAY_SIZE(allocs)]);
				wrong = attach_and_use(self, &rc);
				EXPECT_EQ(NULL, wrong)
					TH_LOG("%s: entry %u, offset %#llx, length %#llx",
					       wrong, entry,
					       (unsigned long long)places[i],
					       (unsigned long long)places[j]);
				restore(self);
			}
		}
	}
}

TEST_F(hostile, objects_that_overlap_are_refused)
{
	struct pinring_object *o = entry_of(self->base, 0);

	o->length = self->ring.offset - self->bytes.offset + 1;
	seal_entry(self->base, 0);
	EXPECT_EQ(-EINVAL, try_attach(self));
	restore(self);
	o->offset = self->ring.offset;
	seal_entry(self->base, 0);
	EXPECT_EQ(-EINVAL, try_attach(self));
	restore(self);
	/* An object beyond what was allocated would overlap the next one made. */
	o->offset = REGION_BYTES - 4096;
	seal_entry(self->base, 0);
	EXPECT_EQ(-EINVAL, try_attach(self));
}

/* Rings are only as large as their object. */
TEST_F(hostile, a_ring_larger_than_its_object_is_refused)
{
	struct pinring_spsc_header *h = (void *)(self->base + self->ring.offset);
	struct pinring_device_ring_header *d =
		(void *)(self->base + self->dring.offset);

	h->capacity = 2 * CAPACITY;
	seal_ring(h);
	EXPECT_EQ(-EINVAL, try_spsc(self));
	h->capacity = CAPACITY;
	h->slot_bytes = SPSC_SLOT + 8;
	seal_ring(h);
	EXPECT_EQ(-EINVAL, try_spsc(self));
	h->capacity = 1ull << 32; /* a product of 2^64 is 0 */
	h->slot_bytes = 1ull << 32;
	seal_ring(h);
	EXPECT_EQ(-EINVAL, try_spsc(self));
	d->capacity = 2 * CAPACITY;
	seal_ring(d);
	EXPECT_EQ(-EINVAL, try_device_ring(self));
	d->capacity = 1ull << 58;
	seal_ring(d);
	EXPECT_EQ(-EINVAL, try_device_ring(self));
}

/* ------------------------------------------------------------------ at random */

/* Where something is that anybody reads. */
static unsigned char *random_place(hostile *self)
{
	static const uint64_t directory = 256 + 6 * 128;

	switch (random_below(8)) {
	case 0:
	case 1:
		return self->base + random_below(256);
	case 2:
	case 3:
	case 4:
		return self->base + 256 + random_below(directory - 256);
	case 5:
		return self->base + self->ring.offset + random_below(384);
	case 6:
		return self->base + self->dring.offset + random_below(256);
	default:
		return self->base + random_below(REGION_BYTES - 8);
	}
}

static uint64_t random_value(void)
{
	switch (random_below(6)) {
	case 0:
		return 0;
	case 1:
		return ~0ull;
	case 2:
		return 1ull << random_below(64);
	case 3:
		return random_below(REGION_BYTES + 128);
	case 4:
		return 0 - random_below(REGION_BYTES);
	default:
		return random_bits();
	}
}

static void mutate(hostile *self)
{
	uint64_t n = 1 + random_below(4);

	while (n--) {
		uint64_t value = random_value();
		unsigned char *at = random_place(self);
		size_t size = 1 + random_below(8);

		/* Half of them where fields begin. */
		if (random_below(2)) {
			at -= (uintptr_t)at % 8;
			size = 8;
		}
		memcpy(at, &value, size);
	}
	if (random_below(8))
		seal_header(self->base);
	if (random_below(8))
		for (uint32_t i = 0; i < 6; i++)
			if (entry_of(self->base, i)->tag)
				seal_entry(self->base, i);
	if (random_below(8)) {
		seal_ring(self->base + self->ring.offset);
		seal_ring(self->base + self->dring.offset);
	}
	if (random_below(4) == 0) {
		struct pinring_region_header *h = (void *)self->base;

		h->alloc = alloc_word(random_below(REGION_BYTES / 64 + 8));
	}
}

TEST_F_TIMEOUT(hostile, two_hundred_thousand_random_forgeries_are_refused_or_harmless, 240)
{
	uint64_t first = seed(), taken = 0;

	TH_LOG("PINRING_SEED=%#llx", (unsigned long long)first);
	for (int round = 0; round < 200000; round++) {
		const char *wrong;
		int rc;

		mutate(self);
		wrong = attach_and_use(self, &rc);
		taken += rc == 0;
		ASSERT_EQ(NULL, wrong) TH_LOG("%s, in round %d", wrong, round);
		restore(self);
	}
	/* Both happened, or this proves little. */
	EXPECT_LT(1000u, taken);
	EXPECT_LT(taken, 199000u);
	TH_LOG("%llu taken, the others refused", (unsigned long long)taken);
}

/* --------------------------------------------------------- while we are at it */

/*
 * The attacker's process: overwrites `n` words again and again, now with
 * anything, now with something near what is there.
 */
static pid_t start_attacker(uint64_t *const *words, size_t n)
{
	pid_t pid = fork();

	if (pid) {
		take_cpu(0);
		return pid;
	}
	take_cpu(1);
	for (;;) {
		uint64_t *word = words[random_below(n)];
		uint64_t value = random_value();

		if (random_below(2))
			value = __atomic_load_n(word, __ATOMIC_RELAXED) +
				random_below(4 * CAPACITY) - 2 * CAPACITY;
		__atomic_store_n(word, value, __ATOMIC_RELAXED);
	}
}

static void stop_attacker(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* The pages beside the mapping, made untouchable where they are free. */
static void put_guards(struct pinring_region *r)
{
	unsigned char *base = pinring_region_base(r);

	/* As a hint: what is there already stays. */
	mmap(base - 4096, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mmap(base + pinring_region_size(r), 4096, PROT_NONE,
	     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

#define OPERATIONS 1000000

TEST_F_TIMEOUT(hostile, a_million_operations_on_an_spsc_ring_under_attack, 120)
{
	struct pinring_spsc_header *h = (void *)(self->base + self->ring.offset);
	unsigned char *items = malloc(3 * SPSC_SLOT);
	uint64_t *words[4 + 16 + 8];
	struct pinring_spsc_producer p;
	struct pinring_spsc_consumer c;
	struct pinring_region *r;
	uint64_t went = 0, refused = 0;
	size_t n = 0;
	pid_t pid;

	TH_LOG("PINRING_SEED=%#llx", (unsigned long long)seed());
	ASSERT_EQ(0, attach(self, &r));
	put_guards(r);
	ASSERT_EQ(0, pinring_spsc_producer_open(r, "ring", &p));
	ASSERT_EQ(0, pinring_spsc_consumer_open(r, "ring", &c));
	memset(items, 0, 3 * SPSC_SLOT);
	/* Indices and closed words often, the sealed part and slots too. */
	for (int i = 0; i < 4; i++) {
		words[n++] = (uint64_t *)&h->tail;
		words[n++] = (uint64_t *)&h->head;
	}
	words[n++] = (uint64_t *)&h->producer_closed;
	words[n++] = (uint64_t *)&h->consumer_closed;
	for (size_t i = 0; i < 4; i++)
		words[n++] = (uint64_t *)h + i;
	for (size_t i = 0; i < CAPACITY; i++)
		words[n++] = (uint64_t *)(h + 1) + i * 8;
	pid = start_attacker(words, n);
	ASSERT_LT(0, pid);

	/* On a busy machine the attacker's turn may come late. */
	for (int i = 0; i < OPERATIONS || (!refused && i < 100 * OPERATIONS); i++) {
		void *slots = NULL;
		int64_t rc;

		switch (i % 8) {
		case 0:
		case 1:
			rc = pinring_spsc_push(&p, items);
			break;
		case 2:
			rc = pinring_spsc_pop(&c, items);
			break;
		case 3:
			rc = pinring_spsc_push_batch(&p, items, 3);
			break;
		case 4:
			rc = pinring_spsc_pop_batch(&c, items, 3);
			break;
		case 5:
			rc = pinring_spsc_reserve(&p, 1 + (uint64_t)i % 9, &slots);
			if (rc > 0) {
				ASSERT_LE(rc, (int64_t)CAPACITY);
				ASSERT_TRUE(inside(r, slots, (uint64_t)rc * SPSC_SLOT));
				memset(slots, i, (uint64_t)rc * SPSC_SLOT);
				pinring_spsc_commit(&p, (uint64_t)rc);
			}
			break;
		case 6:
			rc = pinring_spsc_peek(&c, 1 + (uint64_t)i % 9, &slots);
			if (rc > 0) {
				ASSERT_LE(rc, (int64_t)CAPACITY);
				ASSERT_TRUE(inside(r, slots, (uint64_t)rc * SPSC_SLOT));
				pinring_spsc_release(&c, (uint64_t)rc);
			}
			break;
		default:
			pinring_spsc_flush(&c);
			rc = 0;
		}
		ASSERT_TRUE(known(rc)) TH_LOG("operation %d returned %lld", i, (long long)rc);
		went += rc > 0;
		refused += rc == -EPROTO;
	}
	stop_attacker(pid);
	EXPECT_LT(0u, went);
	EXPECT_LT(0u, refused);
	pinring_spsc_producer_close(&p);
	pinring_spsc_consumer_close(&c);
	pinring_region_close(r);
	free(items);
}

TEST_F_TIMEOUT(hostile, a_million_operations_on_a_device_ring_under_attack, 120)
{
	struct pinring_device_ring_header *h =
		(void *)(self->base + self->dring.offset);
	__u64 *payload = malloc(PINRING_SLOT_WORDS * sizeof(*payload));
	uint64_t *words[4 + 3 + CAPACITY * 8];
	struct pinring_device_producer p;
	struct pinring_device_consumer c;
	struct pinring_region *r;
	uint64_t sent = 0;
	size_t n = 0;
	pid_t pid;

	TH_LOG("PINRING_SEED=%#llx", (unsigned long long)seed());
	ASSERT_EQ(0, attach(self, &r));
	put_guards(r);
	ASSERT_EQ(0, pinring_device_producer_open(r, "dring", &p));
	ASSERT_EQ(0, pinring_device_consumer_open(r, "dring", &c));
	memset(payload, 0, 64);
	for (int i = 0; i < 4; i++)
		words[n++] = (uint64_t *)&h->head;
	for (size_t i = 0; i < 3; i++)
		words[n++] = (uint64_t *)h + i;
	for (size_t i = 0; i < CAPACITY * 8; i++)
		words[n++] = (uint64_t *)(h + 1) + i;
	pid = start_attacker(words, n);
	ASSERT_LT(0, pid);
	for (int i = 0; i < OPERATIONS; i++) {
		int rc = i % 2 ? pinring_device_send(&p, payload) :
				 pinring_device_peek(&c, payload);

		ASSERT_TRUE(rc == 0 || rc == 1);
		sent += i % 2 && rc;
		if (i % 2 == 0 && rc) {
			for (int w = 0; w < 8; w++) {
				ASSERT_EQ(0u, payload[w] >> 56);
			}
			pinring_device_release(&c);
		}
		ASSERT_LE(pinring_device_free(&p, ~0ull), (uint64_t)CAPACITY);
		if (i % 5 == 0)
			pinring_device_flush(&c);
		/* Now and then a new handle, which reads it all anew. */
		if (i % 1000 == 0) {
			pinring_device_producer_open(r, "dring", &p);
			pinring_device_consumer_open(r, "dring", &c);
			ASSERT_TRUE(inside(r, p.slots, p.capacity * 64));
			ASSERT_TRUE(inside(r, c.slots, c.capacity * 64));
		}
	}
	stop_attacker(pid);
	EXPECT_LT(0u, sent);
	pinring_region_close(r);
	free(payload);
}

TEST_F_TIMEOUT(hostile, the_directory_is_used_under_attack, 120)
{
	uint64_t *words[1 + 6 * 16];
	struct pinring_region *r;
	size_t n = 0;
	pid_t pid;

	TH_LOG("PINRING_SEED=%#llx", (unsigned long long)seed());
	ASSERT_EQ(0, attach(self, &r));
	put_guards(r);
	words[n++] = (uint64_t *)(void *)self->base + 16; /* alloc */
	for (size_t i = 0; i < 6 * 16; i++)
		words[n++] = (uint64_t *)(void *)(self->base + 256) + i;
	pid = start_attacker(words, n);
	ASSERT_LT(0, pid);
	for (int i = 0; i < 20000; i++) {
		const char *wrong;
		int rc;

		/* As it was, so that something is found; then it is not. */
		if (i % 4 == 0)
			memcpy(self->base, self->good, 256 + 6 * 128);
		wrong = use_region(r, self->event);
		/* Two opens may see two truths: that is no step outside. */
		if (wrong && strstr(wrong, "but no consumer"))
			wrong = NULL;
		ASSERT_EQ(NULL, wrong) TH_LOG("%s", wrong);
		wrong = attach_and_use(self, &rc);
		if (wrong && strstr(wrong, "but no consumer"))
			wrong = NULL;
		ASSERT_EQ(NULL, wrong) TH_LOG("%s", wrong);
	}
	stop_attacker(pid);
	pinring_region_close(r);
}

/*
 * A memfd cannot be shrunk, but its holder can punch holes: zeros, no SIGBUS. The
 * module's memory is there for good.
 */
TEST_F(hostile, memory_that_is_punched_away_reads_as_zero)
{
	struct pinring_region *r;
	const char *wrong;
	int rc;

	ASSERT_EQ(0, attach(self, &r));
	if (on_module(self->device)) {
		EXPECT_EQ(-1, fallocate(self->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					0, 4096));
		EXPECT_EQ(ENODEV, errno);
		EXPECT_EQ(NULL, use_region(r, self->event));
		pinring_region_close(r);
		return;
	}
	for (int offset = 0; offset < (int)REGION_BYTES; offset += 4096) {
		ASSERT_EQ(0, fallocate(self->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				       offset, REGION_BYTES - offset));
		wrong = use_region(r, self->event);
		EXPECT_EQ(NULL, wrong) TH_LOG("%s", wrong);
		wrong = attach_and_use(self, &rc);
		EXPECT_EQ(NULL, wrong) TH_LOG("%s", wrong);
		restore(self);
	}
	pinring_region_close(r);
}

TEST_HARNESS_MAIN
