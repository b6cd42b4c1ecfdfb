// SPDX-License-Identifier: MIT
/* What a ring tells of itself to who only looks on; with PINRING_NO_STATS, too. */
#include <kselftest_harness.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kinds.h"

#define MS 1000000ll
#define SLOTS 64

FIXTURE(counts)
{
	struct pinring_device *device;
	struct pinring_region *region;
	const struct kind *kind;
	union kind_producer p;
	union kind_consumer c;
	struct pinring_ring_info info;
};

FIXTURE_VARIANT(counts)
{
	size_t kind; /* of kinds[] */
};

#define VARIANT(name, n) FIXTURE_VARIANT_ADD(counts, name) { .kind = n }

VARIANT(spsc, 0);
VARIANT(bytes, 1);
VARIANT(line, 2);
VARIANT(chain, 3);
VARIANT(mpmc, 4);
VARIANT(lanes, 5);
VARIANT(priority, 6);
VARIANT(broadcast, 7);

FIXTURE_SETUP(counts)
{
	struct pinring_region_config config = PINRING_INIT(struct pinring_region_config);

	config.size = 1 << 20;
	self->info = PINRING_INIT(struct pinring_ring_info);
	self->kind = &kinds[variant->kind];
	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->region));
	ASSERT_EQ(0, self->kind->create(self->region, "ring", SLOTS));
	ASSERT_EQ(0, self->kind->producer_open(self->region, "ring", &self->p));
	ASSERT_EQ(0, self->kind->consumer_open(self->region, "ring", &self->c));
}

FIXTURE_TEARDOWN(counts)
{
	self->kind->consumer_close(&self->c);
	self->kind->producer_close(&self->p);
	pinring_region_close(self->region);
	pinring_device_close(self->device);
}

static const struct pinring_ring_info *look(FIXTURE_DATA(counts) *self)
{
	self->info = PINRING_INIT(struct pinring_ring_info);
	if (pinring_ring_info(self->region, "ring", &self->info))
		memset(&self->info, 0xff, sizeof(self->info));
	return &self->info;
}

/* What inline code counts; what the indices tell, and the library, is always so. */
#ifdef PINRING_NO_STATS
#define COUNTED(n) 0
#else
#define COUNTED(n) (n)
#endif

static bool has_no_index(const struct kind *k)
{
	return k->unit > 1 || k->many;
}

TEST_F(counts, messages_and_bytes_of_both_sides)
{
	const struct kind *k = self->kind;
	const uint64_t told = has_no_index(k) ? COUNTED(1) : 1;
	uint64_t v;

	look(self);
	EXPECT_EQ(0u, self->info.closed);
	EXPECT_EQ(k->capacity(&self->p), self->info.capacity);
	EXPECT_EQ(0u, self->info.sent.messages + self->info.received.messages);
	for (uint64_t i = 0; i < 3 * SLOTS; i++) {
		ASSERT_EQ(0, k->push(&self->p, i));
		EXPECT_EQ((i + 1) * told, look(self)->sent.messages);
		ASSERT_EQ(0, k->pop(&self->c, &v));
		k->give_back(&self->c);
		look(self);
		if (k != &kinds[7]) {
			EXPECT_EQ((i + 1) * told, self->info.received.messages);
		} else {
			EXPECT_EQ(COUNTED(i + 1), self->info.received.messages);
		}
	}
	EXPECT_EQ(self->info.sent.messages * (k == &kinds[2] ? 56 : 8), self->info.sent.bytes);
	EXPECT_EQ(self->info.received.messages * (k == &kinds[2] ? 56 : 8),
		  self->info.received.bytes);
	EXPECT_EQ(0u, self->info.sent.refused + self->info.sent.waited);
	k->end(&self->p);
	EXPECT_EQ(1u, look(self)->closed);
}

TEST_F(counts, refusals_and_waits_are_told_side_by_side)
{
	const struct kind *k = self->kind;
	/* Of these kinds, a part that finds a ring full or empty is the library's. */
	const uint64_t full = k == &kinds[3] ? 1 : COUNTED(1);
	const uint64_t empty = k == &kinds[6] ? 1 : COUNTED(1);
	uint64_t v;

	EXPECT_EQ(-EAGAIN, k->pop(&self->c, &v));
	EXPECT_EQ(-EAGAIN, k->pop(&self->c, &v));
	EXPECT_EQ(2 * empty, look(self)->received.refused);
	EXPECT_EQ(-ETIMEDOUT, k->pop_wait(&self->c, &v, MS));
	EXPECT_EQ(1u, look(self)->received.waited);
	EXPECT_EQ(0u, self->info.sent.refused + self->info.sent.waited);
	for (uint64_t i = 0; i < SLOTS; i++) {
		ASSERT_EQ(0, k->push(&self->p, i));
	}
	EXPECT_EQ(0u, look(self)->sent.refused);
	EXPECT_EQ(-EAGAIN, k->push(&self->p, 0));
	EXPECT_EQ(-EAGAIN, k->push(&self->p, 0));
	EXPECT_EQ(-EAGAIN, k->push(&self->p, 0));
	EXPECT_EQ(3 * full, look(self)->sent.refused);
	EXPECT_EQ(-ETIMEDOUT, k->push_wait(&self->p, 0, MS));
	EXPECT_EQ(1u, look(self)->sent.waited);
}

TEST_F(counts, a_successor_counts_on)
{
	const struct kind *k = self->kind;
	const uint64_t told = has_no_index(k) ? COUNTED(1) : 1;
	pid_t pid;
	int status;

	k->producer_close(&self->p);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (k->producer_open(self->region, "ring", &self->p))
			_exit(1);
		for (uint64_t i = 0; i < 10; i++)
			k->push(&self->p, i);
		raise(SIGKILL);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(10 * told, look(self)->sent.messages);
	ASSERT_EQ(0, k->producer_open(self->region, "ring", &self->p));
	ASSERT_EQ(0, k->push(&self->p, 10));
	EXPECT_EQ(11 * told, look(self)->sent.messages);
	/* Also in the very place of another. */
	k->producer_close(&self->p);
	ASSERT_EQ(0, k->producer_open(self->region, "ring", &self->p));
	ASSERT_EQ(0, k->push(&self->p, 11));
	EXPECT_EQ(12 * told, look(self)->sent.messages);
}

TEST_F(counts, a_damaged_header_is_refused)
{
	struct pinring_object_info object;
	unsigned char *h;

	ASSERT_EQ(0, pinring_object_find(self->region, "ring", &object));
	h = pinring_region_at(self->region, object.offset, object.length);
	for (size_t i = 0; i < 128; i++) {
		h[i] ^= 0x40;
		EXPECT_EQ(-EINVAL, pinring_ring_info(self->region, "ring", &self->info));
		h[i] ^= 0x40;
	}
	memset(h + 120, 0, 8);
	EXPECT_EQ(-EAGAIN, pinring_ring_info(self->region, "ring", &self->info));
	EXPECT_EQ(-ENOENT, pinring_ring_info(self->region, "none", &self->info));
	ASSERT_EQ(0, pinring_duplex_create(self->region, "duplex"));
	EXPECT_EQ(-EINVAL, pinring_ring_info(self->region, "duplex", &self->info));
}

/* As its maker would write it, with a seal that fits. */
static void seal(__u64 *word)
{
	const unsigned char *byte = (const void *)word;

	word[15] = 0xcbf29ce484222325ull;
	for (size_t i = 0; i < 15 * sizeof(*word); i++)
		word[15] = (word[15] ^ byte[i]) * 0x100000001b3ull;
}

/* A walk over them would be as long as its maker wants it to be. */
TEST_F(counts, more_parties_than_a_ring_can_have_are_refused)
{
	struct pinring_mpmc_header mpmc = {
		.magic = PINRING_MPMC_MAGIC, .capacity = 2, .parties_offset = 1024,
	};
	struct pinring_broadcast_header broadcast = {
		.magic = PINRING_BROADCAST_MAGIC, .capacity = 2, .parties_offset = 1024,
	};
	struct pinring_object_info a, b;

	ASSERT_EQ(0, pinring_object_create(self->region, "a", PINRING_OBJECT_MPMC, 64 << 10,
					   0, &a));
	ASSERT_EQ(0, pinring_object_create(self->region, "b", PINRING_OBJECT_BROADCAST,
					   64 << 10, 0, &b));
	for (unsigned int n = PINRING_PARTIES_MAX; n < PINRING_PARTIES_MAX + 2; n++) {
		int rc = n > PINRING_PARTIES_MAX ? -EINVAL : 0;

		mpmc.parties = n;
		broadcast.parties = n;
		seal((void *)&mpmc);
		seal((void *)&broadcast);
		memcpy(pinring_region_at(self->region, a.offset, sizeof(mpmc)), &mpmc,
		       sizeof(mpmc));
		memcpy(pinring_region_at(self->region, b.offset, sizeof(broadcast)), &broadcast,
		       sizeof(broadcast));
		EXPECT_EQ(rc, pinring_ring_info(self->region, "a", &self->info));
		EXPECT_EQ(rc, pinring_ring_info(self->region, "b", &self->info));
	}
}

TEST_HARNESS_MAIN
