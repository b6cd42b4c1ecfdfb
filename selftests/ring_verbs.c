// SPDX-License-Identifier: MIT
/* The verbs are the same everywhere: what is true of them is true of every kind. */
#include <kselftest_harness.h>

#include <pthread.h>

#include "items.h"
#include "kinds.h"

#define SLOTS 64
#define MS 1000000ll

FIXTURE(verbs)
{
	struct pinring_device *device;
	struct pinring_region *region;
	const struct kind *kind;
	union kind_producer p;
	union kind_consumer c;
};

FIXTURE_VARIANT(verbs)
{
	size_t kind; /* of kinds[] */
};

#define VARIANT(name, n) FIXTURE_VARIANT_ADD(verbs, name) { .kind = n }

VARIANT(spsc, 0);
VARIANT(bytes, 1);
VARIANT(line, 2);
VARIANT(chain, 3);
VARIANT(mpmc, 4);
VARIANT(lanes, 5);
VARIANT(priority, 6);
VARIANT(broadcast, 7);

FIXTURE_SETUP(verbs)
{
	struct pinring_region_config config = PINRING_INIT(struct pinring_region_config);

	config.size = 1 << 20;
	self->kind = &kinds[variant->kind];
	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->region));
	ASSERT_EQ(0, self->kind->create(self->region, "ring", SLOTS));
	ASSERT_EQ(0, self->kind->producer_open(self->region, "ring", &self->p));
	ASSERT_EQ(0, self->kind->consumer_open(self->region, "ring", &self->c));
}

FIXTURE_TEARDOWN(verbs)
{
	self->kind->consumer_close(&self->c);
	self->kind->producer_close(&self->p);
	pinring_region_close(self->region);
	pinring_device_close(self->device);
}

TEST_F(verbs, count_and_free_make_up_the_capacity)
{
	const struct kind *k = self->kind;
	const uint64_t capacity = k->capacity(&self->p);
	uint64_t v;

	EXPECT_EQ(SLOTS * k->unit, capacity);
	for (int lap = 0; lap < 3; lap++) {
		for (uint64_t i = 0; i < SLOTS; i++) {
			ASSERT_EQ(i * k->unit, k->count(&self->c));
			ASSERT_EQ(capacity - i * k->unit, k->free(&self->p));
			ASSERT_EQ(0, k->push(&self->p, i));
		}
		EXPECT_EQ(0u, k->free(&self->p));
		EXPECT_EQ(-EAGAIN, k->push(&self->p, 99));
		EXPECT_EQ(-EAGAIN, k->reserve(&self->p));
		for (uint64_t i = 0; i < SLOTS; i++) {
			ASSERT_EQ(capacity - i * k->unit, k->count(&self->c));
			ASSERT_EQ(0, k->pop(&self->c, &v));
			ASSERT_EQ(i, v);
		}
		EXPECT_EQ(-EAGAIN, k->pop(&self->c, &v));
		k->give_back(&self->c);
	}
}

TEST_F(verbs, what_is_aborted_never_comes)
{
	const struct kind *k = self->kind;
	uint64_t v;

	for (uint64_t i = 0; i < 3 * SLOTS; i++) {
		ASSERT_EQ(1, k->reserve(&self->p));
		k->abort(&self->p);
		ASSERT_EQ(-EAGAIN, k->pop(&self->c, &v));
		ASSERT_EQ(0, k->push(&self->p, i));
		ASSERT_EQ(0, k->pop(&self->c, &v));
		ASSERT_EQ(i, v);
	}
}

TEST_F(verbs, who_waits_gives_up_in_time)
{
	const struct kind *k = self->kind;
	uint64_t v;

	EXPECT_EQ(-ETIMEDOUT, k->pop_wait(&self->c, &v, 0));
	EXPECT_EQ(-ETIMEDOUT, k->pop_wait(&self->c, &v, MS));
	for (uint64_t i = 0; i < SLOTS; i++) {
		ASSERT_EQ(0, k->push_wait(&self->p, i, 0));
	}
	EXPECT_EQ(-ETIMEDOUT, k->push_wait(&self->p, 99, 0));
	EXPECT_EQ(-ETIMEDOUT, k->push_wait(&self->p, 99, MS));
	ASSERT_EQ(0, k->pop_wait(&self->c, &v, 0));
	EXPECT_EQ(0u, v);
}

TEST_F(verbs, after_the_end_comes_epipe_and_before_it_what_was_sent)
{
	const struct kind *k = self->kind;
	uint64_t v;

	for (uint64_t i = 0; i < 5; i++) {
		ASSERT_EQ(0, k->push(&self->p, i));
	}
	k->end(&self->p);
	for (uint64_t i = 0; i < 5; i++) {
		ASSERT_EQ(0, k->pop(&self->c, &v));
		EXPECT_EQ(i, v);
	}
	EXPECT_EQ(-EPIPE, k->pop(&self->c, &v));
	EXPECT_EQ(-EPIPE, k->pop_wait(&self->c, &v, MS));
}

struct sender {
	const struct kind *kind;
	union kind_producer *p;
	uint64_t n;
	int rc;
};

static void *send_waiting(void *arg)
{
	struct sender *s = arg;

	for (uint64_t i = 0; i < s->n && !s->rc; i++)
		s->rc = s->kind->push_wait(s->p, i, 20000 * MS);
	s->kind->end(s->p);
	return NULL;
}

TEST_F(verbs, both_sides_wait_for_each_other)
{
	const struct kind *k = self->kind;
	struct sender s = { .kind = k, .p = &self->p, .n = SANITIZED ? 2000 : 20000 };
	pthread_t thread;
	uint64_t i, v;
	int rc = 0;

	ASSERT_EQ(0, pthread_create(&thread, NULL, send_waiting, &s));
	for (i = 0; !(rc = k->pop_wait(&self->c, &v, 20000 * MS)); i++) {
		if (v != i)
			break;
	}
	EXPECT_EQ(-EPIPE, rc);
	EXPECT_EQ(s.n, i);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, s.rc);
}

TEST_HARNESS_MAIN
