// SPDX-License-Identifier: MIT
/*
 * Four lanes: whose turn it is, how long the others wait at most, and that each
 * of them still is an MPMC ring, between threads and processes, also when some
 * are killed.
 */
#include <kselftest_harness.h>

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include <pinring/pinring.h>

#include "items.h"
#include "kills.h"

#define LANES PINRING_PRIORITY_LANES
#define CAPACITY 64
#define PARTIES 24
#define BYTES 24
#define SECOND 1000000000ll

FIXTURE(lanes)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_priority_header *header;
	struct pinring_priority_producer p;
	struct pinring_priority_consumer c;
};

FIXTURE_VARIANT(lanes)
{
	uint32_t policy, limit, weights[LANES];
};

#define STRICT(limit) PINRING_PRIORITY_STRICT, (limit), { 0 }
#define WEIGHTED(...) PINRING_PRIORITY_WEIGHTED, 0, { __VA_ARGS__ }

FIXTURE_VARIANT_ADD(lanes, strict_4) { STRICT(4) };
FIXTURE_VARIANT_ADD(lanes, strict_37) { STRICT(37) };
FIXTURE_VARIANT_ADD(lanes, weighted_8_4_2_1) { WEIGHTED(8, 4, 2, 1) };
FIXTURE_VARIANT_ADD(lanes, weighted_1_1_1_1) { WEIGHTED(1, 1, 1, 1) };
FIXTURE_VARIANT_ADD(lanes, weighted_1_2_30_3) { WEIGHTED(1, 2, 30, 3) };

typedef FIXTURE_DATA(lanes) lanes;
typedef FIXTURE_VARIANT(lanes) policy;

static struct pinring_priority_config config_of(const policy *v)
{
	struct pinring_priority_config c = PINRING_INIT(struct pinring_priority_config);

	c.capacity = CAPACITY;
	c.slot_bytes = BYTES;
	c.parties = PARTIES;
	c.policy = v->policy;
	c.limit = v->limit;
	memcpy(c.weights, v->weights, sizeof(c.weights));
	return c;
}

FIXTURE_SETUP(lanes)
{
	struct pinring_region_config config = pinring_region_defaults(1 << 17);
	struct pinring_priority_config shape = config_of(variant);
	struct pinring_object_info o;

	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->r));
	ASSERT_EQ(0, pinring_priority_create(self->r, "ring", &shape));
	ASSERT_EQ(0, pinring_object_find(self->r, "ring", &o));
	self->header = pinring_region_at(self->r, o.offset, o.length);
	ASSERT_EQ(0, pinring_priority_producer_open(self->r, "ring", &self->p));
	ASSERT_EQ(0, pinring_priority_consumer_open(self->r, "ring", &self->c));
}

FIXTURE_TEARDOWN(lanes)
{
	pinring_priority_producer_close(&self->p);
	pinring_priority_consumer_close(&self->c);
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

/* The name of an item says its lane; 60 bits are left. */
static uint64_t name_of(uint32_t lane, uint64_t rest)
{
	return (uint64_t)lane << 60 | rest;
}

static int push(struct pinring_priority_producer *p, uint32_t lane, uint64_t rest)
{
	uint64_t item[BYTES / 8];

	item_fill(item, BYTES, name_of(lane, rest));
	return pinring_priority_push(p, lane, item);
}

/* What came, without its lane if that is right; or an error. */
static int64_t pop(struct pinring_priority_consumer *c, uint32_t *lane)
{
	uint64_t item[BYTES / 8];
	int rc = pinring_priority_pop(c, item, lane);

	if (rc)
		return rc;
	if (!item_is_whole(item, BYTES) || item[0] >> 60 != *lane)
		return -EBADMSG;
	return (int64_t)(item[0] & ~(15ull << 60));
}

static void fill_up(lanes *self, uint64_t *next)
{
	for (uint32_t lane = 0; lane < LANES; lane++)
		while (!push(&self->p, lane, next[lane]))
			next[lane]++;
}

/* ------------------------------------------------------------------- policies */
TEST_F(lanes, the_urgent_overtake_the_others)
{
	uint32_t lane = 99;

	for (int round = 0; round < 100; round++) {
		for (uint32_t i = LANES; i-- > 0;) {
			ASSERT_EQ(0, push(&self->p, i, 7));
		}
		EXPECT_EQ(4, pinring_priority_count(&self->c));
		for (uint32_t i = 0; i < LANES; i++) {
			ASSERT_EQ(7, pop(&self->c, &lane));
			ASSERT_EQ(i, lane);
		}
		ASSERT_EQ(-EAGAIN, pop(&self->c, &lane));
	}
}

/* In a full ring: exactly what the policy says, pop by pop. */
TEST_F(lanes, a_full_ring_is_served_by_the_policy)
{
	uint64_t in[LANES] = { 0 }, out[LANES] = { 0 };
	uint32_t waited[LANES] = { 0 }, left[LANES], lane = 99;

	memcpy(left, variant->weights, sizeof(left));
	for (int i = 0; i < 5000; i++) {
		uint32_t want = 0;

		fill_up(self, in);
		if (variant->policy == PINRING_PRIORITY_WEIGHTED) {
			if (!left[0] && !left[1] && !left[2] && !left[3])
				memcpy(left, variant->weights, sizeof(left));
			while (!left[want])
				want++;
			left[want]--;
		} else {
			for (uint32_t k = 1; k < LANES; k++)
				if (waited[k] >= variant->limit &&
				    (!want || waited[k] > waited[want]))
					want = k;
			for (uint32_t k = 0; k < LANES; k++)
				waited[k]++;
			waited[want] = 0;
		}
		ASSERT_EQ(out[want], pop(&self->c, &lane)) TH_LOG("pop %d", i);
		ASSERT_EQ(want, lane);
		out[want]++;
	}
}

/*
 * Messages come and go as they like; in single pops and in runs, from the time a
 * lane has one until it gives one there go by no more than the bound says.
 */
TEST_F(lanes, nobody_waits_longer_than_the_bound)
{
	uint64_t in[LANES] = { 0 }, out[LANES] = { 0 }, waited[LANES] = { 0 };
	uint64_t longest[LANES] = { 0 };
	struct dice dice = { 11 };

	for (int i = 0; i < 200000 / (SANITIZED ? 10 : 1); i++) {
		uint32_t busy = (uint32_t)roll(&dice, 16); /* a bit each */
		uint32_t lane = (uint32_t)roll(&dice, LANES);
		uint64_t items[8 * BYTES / 8];
		int64_t n;

		for (uint64_t k = roll(&dice, 40); k && (busy >> lane & 1); k--)
			if (!push(&self->p, lane, in[lane]))
				in[lane]++;
		if (roll(&dice, 8) == 0)
			fill_up(self, in);
		for (uint64_t pops = roll(&dice, 8); pops; pops--) {
			uint64_t want = 1 + roll(&dice, 2) * roll(&dice, 8);

			n = pinring_priority_pop_batch(&self->c, items, want, &lane);
			if (n == -EAGAIN) {
				for (uint32_t k = 0; k < LANES; k++) {
					ASSERT_EQ(in[k], out[k]);
				}
				break;
			}
			ASSERT_LE(1, n);
			ASSERT_GE((int64_t)want, n);
			for (int64_t k = 0; k < n; k++) {
				ASSERT_EQ(name_of(lane, out[lane] + (uint64_t)k),
					  items[k * BYTES / 8]);
			}
			out[lane] += (uint64_t)n;
			for (uint32_t k = 0; k < LANES; k++) {
				/* Nothing there, or served just now: it begins anew. */
				if (k == lane || in[k] == out[k])
					waited[k] = 0;
				else
					waited[k] += (uint64_t)n;
				if (waited[k] > longest[k])
					longest[k] = waited[k];
				ASSERT_GE(pinring_priority_bound(&self->c, k), waited[k])
					TH_LOG("lane %u", k);
			}
		}
	}
	for (uint32_t k = 0; k < LANES; k++) {
		TH_LOG("lane %u let %llu pass, the bound is %llu", k,
		       (unsigned long long)longest[k],
		       (unsigned long long)pinring_priority_bound(&self->c, k));
		EXPECT_LT(0, longest[k]);
	}
}

TEST_F(lanes, who_had_nothing_has_not_waited)
{
	uint32_t lane = 99;

	if (variant->policy != PINRING_PRIORITY_STRICT)
		SKIP(return, "weights are for turns, not for waiting");
	for (uint32_t i = 0; i < CAPACITY; i++) {
		ASSERT_EQ(0, push(&self->p, 3, i));
	}
	for (uint32_t i = 0; i < CAPACITY; i++) {
		ASSERT_EQ(i, pop(&self->c, &lane));
	}
	ASSERT_EQ(-EAGAIN, pop(&self->c, &lane));
	ASSERT_EQ(0, push(&self->p, 2, 1));
	for (uint32_t i = 0; i < variant->limit + 1; i++) {
		ASSERT_EQ(0, push(&self->p, 0, i));
	}
	for (uint32_t i = 0; i < variant->limit; i++) {
		ASSERT_EQ(i, pop(&self->c, &lane));
		ASSERT_EQ(0, lane);
	}
	EXPECT_EQ(1, pop(&self->c, &lane));
	EXPECT_EQ(2, lane);
}

/* ----------------------------------------------------------------- the verbs */
TEST_F(lanes, every_lane_keeps_its_own_order_and_room)
{
	uint64_t in[LANES] = { 0 }, out[LANES] = { 0 };
	uint32_t lane = 0;

	fill_up(self, in);
	for (uint32_t i = 0; i < LANES; i++) {
		EXPECT_EQ(CAPACITY, in[i]);
		EXPECT_EQ(-EAGAIN, push(&self->p, i, 99));
		EXPECT_EQ(-ETIMEDOUT, pinring_priority_push_wait(&self->p, i, in, 0));
	}
	EXPECT_EQ(LANES * CAPACITY, pinring_priority_count(&self->c));
	for (int i = 0; i < LANES * CAPACITY; i++) {
		int64_t rest = pop(&self->c, &lane);

		ASSERT_EQ(out[lane], (uint64_t)rest);
		out[lane]++;
	}
	EXPECT_EQ(-EAGAIN, pop(&self->c, &lane));
}

TEST_F(lanes, reserve_commit_and_abort_are_those_of_the_lane)
{
	uint32_t lane = 99;

	ASSERT_EQ(3, pinring_priority_reserve(&self->p, 2, 3));
	EXPECT_EQ(-EBUSY, pinring_priority_reserve(&self->p, 2, 1));
	ASSERT_EQ(1, pinring_priority_reserve(&self->p, 1, 1)); /* another lane */
	EXPECT_EQ(-EAGAIN, pop(&self->c, &lane));
	for (uint64_t i = 0; i < 3; i++)
		item_fill(pinring_priority_slot(&self->p, 2, i), BYTES, name_of(2, i));
	pinring_priority_commit(&self->p, 2, 2);
	pinring_priority_abort(&self->p, 1);
	EXPECT_EQ(0, pop(&self->c, &lane));
	EXPECT_EQ(1, pinring_priority_peek(&self->c, 5, &lane));
	EXPECT_EQ(2, lane);
	EXPECT_EQ(-EBUSY, pinring_priority_peek(&self->c, 5, &lane));
	EXPECT_EQ(-EBUSY, pop(&self->c, &lane));
	EXPECT_EQ(name_of(2, 1), *(uint64_t *)pinring_mpmc_slot(&self->c.lane[2].side, 0));
	pinring_priority_release(&self->c);
	pinring_priority_release(&self->c); /* nothing more */
	EXPECT_EQ(-EAGAIN, pop(&self->c, &lane));
	EXPECT_EQ(-EAGAIN, pinring_priority_peek(&self->c, 0, &lane));
}

TEST_F(lanes, there_is_no_fifth_lane)
{
	uint64_t item[BYTES / 8] = { 0 };

	EXPECT_EQ(-EINVAL, pinring_priority_push(&self->p, LANES, item));
	EXPECT_EQ(-EINVAL, pinring_priority_push(&self->p, UINT32_MAX, item));
	EXPECT_EQ(-EINVAL, pinring_priority_push_batch(&self->p, LANES, item, 1));
	EXPECT_EQ(-EINVAL, pinring_priority_reserve(&self->p, LANES, 1));
	EXPECT_EQ(-EINVAL, pinring_priority_push_wait(&self->p, LANES, item, 0));
	EXPECT_EQ(0, pinring_priority_count(&self->c));
}

TEST_F(lanes, closed_is_drained_in_all_lanes_and_then_ends)
{
	uint64_t item[BYTES / 8] = { 0 };
	uint32_t lane = 99;

	for (uint32_t i = 0; i < LANES; i++) {
		ASSERT_EQ(0, push(&self->p, i, 1));
	}
	ASSERT_EQ(1, pinring_priority_reserve(&self->p, 3, 1));
	pinring_priority_close_producer(&self->p);
	for (uint32_t i = 0; i < LANES - 1; i++) {
		EXPECT_EQ(-EPIPE, push(&self->p, i, 2));
		EXPECT_EQ(-EPIPE, pinring_priority_push_wait(&self->p, i, item,
							     PINRING_FOREVER));
	}
	for (uint32_t i = 0; i < LANES; i++) {
		EXPECT_EQ(1, pop(&self->c, &lane));
	}
	EXPECT_EQ(-EAGAIN, pop(&self->c, &lane)); /* one is still on its way */
	EXPECT_EQ(-ETIMEDOUT, pinring_priority_pop_wait(&self->c, item, &lane, 3000000));
	item_fill(pinring_priority_slot(&self->p, 3, 0), BYTES, name_of(3, 5));
	pinring_priority_commit(&self->p, 3, 1);
	EXPECT_EQ(5, pop(&self->c, &lane));
	EXPECT_EQ(-EPIPE, pop(&self->c, &lane));
	EXPECT_EQ(-EPIPE, pinring_priority_pop_wait(&self->c, item, &lane,
						    PINRING_FOREVER));
}

/* The end that another consumer came to is one for those who wait, too. */
TEST_F(lanes, an_end_that_another_found_is_over)
{
	struct pinring_priority_consumer other;
	struct pinring_wait ready;
	uint32_t lane;

	ASSERT_EQ(0, pinring_priority_consumer_open(self->r, "ring", &other));
	ready = pinring_priority_when_ready(&other);
	EXPECT_EQ(-ETIMEDOUT, pinring_wait_any(&ready, 1, NULL, 0));
	pinring_priority_close_producer(&self->p);
	EXPECT_EQ(-EPIPE, pop(&self->c, &lane));
	EXPECT_EQ(0, pinring_wait_any(&ready, 1, NULL, 0));
	EXPECT_EQ(-EPIPE, pop(&other, &lane));
	pinring_priority_consumer_close(&other);
}

/* Whoever closed it died after the first step: consumers go on with it. */
TEST_F(lanes, a_close_that_was_begun_is_finished_by_others)
{
	uint32_t lane;

	self->header->closed = 1;
	pinring_mpmc_close(&self->p.lane[0].side);
	EXPECT_EQ(-EAGAIN, pop(&self->c, &lane));
	EXPECT_EQ(-EPIPE, pop(&self->c, &lane));
	EXPECT_EQ(-EPIPE, push(&self->p, 3, 1));
}

TEST_F(lanes, a_sleeper_finishes_a_close_that_was_begun)
{
	struct pinring_wait ready = pinring_priority_when_ready(&self->c);
	uint64_t item[BYTES / 8];
	uint32_t lane;

	EXPECT_EQ(-ETIMEDOUT, pinring_wait_any(&ready, 1, NULL, 0));
	self->header->closed = 1;
	EXPECT_EQ(-ETIMEDOUT, pinring_wait_any(&ready, 1, NULL, 0));
	EXPECT_EQ(0, pinring_wait_any(&ready, 1, NULL, 10 * SECOND));
	EXPECT_EQ(-EPIPE, pinring_priority_pop_wait(&self->c, item, &lane, 10 * SECOND));
	EXPECT_EQ(-EPIPE, push(&self->p, 3, 1));
}

TEST_F(lanes, the_region_may_be_closed_before_its_handles)
{
	pinring_region_close(self->r);
	self->r = NULL;
	EXPECT_EQ(0, push(&self->p, 0, 1));
	pinring_priority_consumer_close(&self->c);
	pinring_priority_producer_close(&self->p);
}

TEST_F(lanes, every_change_wakes)
{
	__u32 *ready = &self->header->sleepers.ready;
	uint64_t item[BYTES / 8] = { 0 };
	struct pinring_priority_producer p;

	*ready = 1;
	ASSERT_EQ(0, push(&self->p, 3, 1));
	EXPECT_EQ(2, *ready);
	*ready = 1;
	ASSERT_EQ(0, pinring_priority_push_wait(&self->p, 1, item, 0));
	EXPECT_EQ(2, *ready);
	*ready = 1;
	ASSERT_EQ(1, pinring_priority_reserve(&self->p, 1, 1));
	EXPECT_EQ(1, *ready);
	pinring_priority_abort(&self->p, 1);
	EXPECT_EQ(2, *ready);
	ASSERT_EQ(0, pinring_priority_producer_open(self->r, "ring", &p));
	ASSERT_EQ(1, pinring_priority_reserve(&p, 2, 1));
	*ready = 1;
	pinring_priority_producer_close(&p);
	EXPECT_EQ(2, *ready);
	*ready = 1;
	pinring_priority_close_consumer(&self->c);
	EXPECT_EQ(2, *ready);
}

/* -------------------------------------------------------------------- crowds */
#define SIDES_MAX 8
#define ITEMS (SANITIZED ? 64000u : 400000u) /* over all producers */

struct crowd {
	struct pinring_region *r;
	uint64_t producers, consumers, each;
	uint64_t failed[2 * SIDES_MAX];
	uint64_t count, sum; /* by consumers; atomic add */
};

static uint64_t produce(struct crowd *w, uint64_t me)
{
	struct pinring_priority_producer p;
	uint64_t item[4 * BYTES / 8];
	struct dice dice = { me + 1 };

	if (pinring_priority_producer_open(w->r, "ring", &p))
		return __LINE__;
	for (uint64_t i = 0; i < w->each;) {
		uint32_t lane = (uint32_t)roll(&dice, LANES);
		uint64_t want = 1 + roll(&dice, 4);
		struct pinring_wait room = pinring_priority_when_room(&p, lane);
		int64_t n;

		if (want > w->each - i)
			want = w->each - i;
		for (uint64_t k = 0; k < want; k++)
			item_fill(item + k * BYTES / 8, BYTES,
				  name_of(lane, me << 32 | (i + k)));
		if (want == 1)
			n = pinring_priority_push_wait(&p, lane, item,
						       PINRING_FOREVER) ? -1 : 1;
		else
			n = pinring_priority_push_batch(&p, lane, item, want);
		if (n == -EAGAIN) {
			pinring_wait_any(&room, 1, NULL, PINRING_FOREVER);
			continue;
		}
		if (n < 1)
			return __LINE__;
		i += (uint64_t)n;
		if (!roll(&dice, 50) && pinring_priority_reserve(&p, lane, 2) > 0)
			pinring_priority_abort(&p, lane);
	}
	pinring_priority_producer_close(&p);
	return 0;
}

static uint64_t consume(struct crowd *w, uint64_t me)
{
	uint64_t next[LANES][SIDES_MAX] = { 0 }, count = 0, sum = 0;
	struct pinring_priority_consumer c;
	struct dice dice = { me + 100 };
	uint64_t item[4 * BYTES / 8];
	uint32_t lane = 0;

	if (pinring_priority_consumer_open(w->r, "ring", &c))
		return __LINE__;
	for (;;) {
		int64_t n = pinring_priority_pop_batch(&c, item, 1 + roll(&dice, 4), &lane);

		if (n == -EAGAIN) {
			int rc = pinring_priority_pop_wait(&c, item, &lane,
							   PINRING_FOREVER);

			n = rc ? rc : 1;
		}
		if (n == -EPIPE)
			break;
		if (n < 1 || lane >= LANES)
			return __LINE__;
		for (int64_t k = 0; k < n; k++) {
			uint64_t *one = item + k * BYTES / 8;
			uint64_t from = one[0] >> 32 & 0xff, i = (uint32_t)one[0];

			/* Of one producer in one lane, the order is kept. */
			if (!item_is_whole(one, BYTES) || one[0] >> 60 != lane ||
			    from >= w->producers || i < next[lane][from])
				return __LINE__;
			next[lane][from] = i + 1;
			count++;
			sum += item_mix(one[0] & ~(15ull << 60));
		}
	}
	__atomic_add_fetch(&w->count, count, __ATOMIC_RELAXED);
	__atomic_add_fetch(&w->sum, sum, __ATOMIC_RELAXED);
	pinring_priority_consumer_close(&c);
	return 0;
}

struct member {
	struct crowd *w;
	uint64_t me;
};

static void *member_main(void *arg)
{
	struct member *m = arg;

	m->w->failed[m->me] = m->me < m->w->producers ?
				      produce(m->w, m->me) :
				      consume(m->w, m->me - m->w->producers);
	return NULL;
}

static void run_threads(struct __test_metadata *_metadata, struct crowd *w,
			struct pinring_priority_producer *closer)
{
	struct member member[2 * SIDES_MAX];
	pthread_t thread[2 * SIDES_MAX];

	for (uint64_t i = 0; i < w->producers + w->consumers; i++) {
		member[i] = (struct member){ w, i };
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, member_main, &member[i]));
	}
	for (uint64_t i = 0; i < w->producers + w->consumers; i++) {
		pthread_join(thread[i], NULL);
		if (i + 1 == w->producers)
			pinring_priority_close_producer(closer);
	}
}

static void run_processes(struct __test_metadata *_metadata, struct crowd *w,
			  struct pinring_priority_producer *closer)
{
	pid_t pid[2 * SIDES_MAX];
	int status;

	for (uint64_t i = 0; i < w->producers + w->consumers; i++) {
		pid[i] = fork();
		ASSERT_LE(0, pid[i]);
		if (!pid[i]) {
			struct member m = { w, i };

			member_main(&m);
			_exit(0);
		}
	}
	for (uint64_t i = 0; i < w->producers + w->consumers; i++) {
		ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
		EXPECT_EQ(0, status);
		if (i + 1 == w->producers)
			pinring_priority_close_producer(closer);
	}
}

static const uint64_t sides[] = { 1, 2, 4, 8 };

static void all_crowds(struct __test_metadata *_metadata, struct pinring_device *device,
		       void (*run)(struct __test_metadata *_metadata, struct crowd *w,
				   struct pinring_priority_producer *closer))
{
	static const policy policies[] = { { STRICT(8) }, { WEIGHTED(8, 4, 2, 1) } };
	struct crowd *w = mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, w);
	for (int k = 0; k < 16; k++) {
		struct pinring_region_config config = pinring_region_defaults(1 << 17);
		struct pinring_priority_config shape = config_of(&policies[k % 2]);
		struct pinring_priority_producer closer;
		uint64_t sum = 0;

		memset(w, 0, sizeof(*w));
		shape.capacity = 8;
		ASSERT_EQ(0, pinring_region_create(device, &config, &w->r));
		ASSERT_EQ(0, pinring_priority_create(w->r, "ring", &shape));
		ASSERT_EQ(0, pinring_priority_producer_open(w->r, "ring", &closer));
		w->producers = sides[k / 4];
		w->consumers = sides[k % 4];
		w->each = ITEMS / 16 / w->producers;
		run(_metadata, w, &closer);
		for (uint64_t i = 0; i < w->producers + w->consumers; i++) {
			EXPECT_EQ(0, w->failed[i]) TH_LOG("line, of crowd %d", k);
		}
		for (uint64_t from = 0; from < w->producers; from++)
			for (uint64_t i = 0; i < w->each; i++)
				sum += item_mix(from << 32 | i);
		EXPECT_EQ(w->producers * w->each, w->count);
		EXPECT_EQ(sum, w->sum);
		pinring_priority_producer_close(&closer);
		pinring_region_close(w->r);
	}
	munmap(w, sizeof(*w));
}

FIXTURE(crowd)
{
	struct pinring_device *device;
};

FIXTURE_SETUP(crowd)
{
	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
}

FIXTURE_TEARDOWN(crowd)
{
	pinring_device_close(self->device);
}

TEST_F_TIMEOUT(crowd, of_threads, 120)
{
	all_crowds(_metadata, self->device, run_threads);
}

TEST_F_TIMEOUT(crowd, of_processes, 120)
{
	all_crowds(_metadata, self->device, run_processes);
}

/* --------------------------------------------------------------------- death */
static void die_with(struct __test_metadata *_metadata, struct pinring_region *r,
		     bool producer, uint32_t lane, uint64_t n)
{
	pid_t pid = fork();
	int status;

	ASSERT_LE(0, pid);
	if (!pid) {
		struct pinring_priority_producer p;
		struct pinring_priority_consumer c;

		if (producer && !pinring_priority_producer_open(r, "ring", &p))
			pinring_priority_reserve(&p, lane, n);
		if (!producer && !pinring_priority_consumer_open(r, "ring", &c))
			pinring_priority_peek(&c, n, &lane);
		raise(SIGKILL);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
}

/* The other lanes need not wait for a repair; that one is repaired by waiting. */
TEST_F(lanes, the_dead_block_one_lane_at_most_and_not_for_long)
{
	uint64_t item[BYTES / 8];
	uint32_t lane = 99;

	for (uint32_t i = 0; i < LANES; i++) {
		die_with(_metadata, self->r, true, i, 3);
		ASSERT_EQ(0, push(&self->p, i, 1));
		EXPECT_EQ(-EAGAIN, pop(&self->c, &lane));
		ASSERT_EQ(0, push(&self->p, (i + 1) % LANES, 2));
		EXPECT_EQ(2, pop(&self->c, &lane));
		EXPECT_EQ((i + 1) % LANES, lane);
		EXPECT_EQ(0, pinring_priority_pop_wait(&self->c, item, &lane,
						       10 * SECOND));
		EXPECT_EQ(name_of(i, 1), item[0]);
	}
}

TEST_F(lanes, what_the_dead_had_taken_is_counted_and_its_room_free)
{
	struct pinring_mpmc_info info = PINRING_INIT(struct pinring_mpmc_info);
	uint64_t in[LANES] = { 0 }, item[BYTES / 8] = { 0 };

	fill_up(self, in);
	die_with(_metadata, self->r, false, 0, 1);
	EXPECT_EQ(-EAGAIN, push(&self->p, 0, 1));
	EXPECT_EQ(0, pinring_priority_push_wait(&self->p, 0, item, 10 * SECOND));
	ASSERT_EQ(0, pinring_mpmc_info(&self->c.lane[0].side, &info));
	EXPECT_EQ(1, info.lost);
	EXPECT_EQ(0, pinring_priority_repair(&self->c));
}

/* Also a producer's, who waits for room in one lane and knows of no other. */
TEST_F(lanes, every_repair_wakes_who_waits_for_all_lanes)
{
	__u32 *ready = &self->header->sleepers.ready;
	struct pinring_wait room = pinring_priority_when_room(&self->p, 2);

	die_with(_metadata, self->r, true, 2, 3);
	*ready = 1;
	EXPECT_TRUE(room.mend(room.side));
	EXPECT_EQ(2, *ready);
	die_with(_metadata, self->r, true, 2, 3);
	*ready = 1;
	EXPECT_EQ(3, pinring_priority_repair(&self->c));
	EXPECT_EQ(2, *ready);
	*ready = 1;
	EXPECT_EQ(0, pinring_priority_repair(&self->c));
	EXPECT_FALSE(room.mend(room.side));
	EXPECT_EQ(1, *ready);
}

#define WORKERS 4 /* half of them produce */
#define KILLS (SANITIZED ? 50u : 500u)
#define NAMES (KILLS + WORKERS + 1)
#define SENT_MAX 65536u

struct record {
	uint32_t begun[NAMES], sent[NAMES];
	uint64_t received[NAMES][SENT_MAX / 64]; /* a bit each; atomic or */
	uint64_t twice, torn; /* atomic add */
	uint64_t stop;
};

static void send_until_killed(struct pinring_region *r, struct record *rec, uint32_t name)
{
	struct pinring_priority_producer p;
	struct dice dice = { name };
	unsigned int spins = 0;
	uint32_t i = 0;

	if (pinring_priority_producer_open(r, "ring", &p))
		_exit(1);
	while (!__atomic_load_n(&rec->stop, __ATOMIC_RELAXED)) {
		uint32_t lane = (uint32_t)roll(&dice, LANES);
		int64_t n = i + 4 > SENT_MAX ? -EAGAIN :
			    pinring_priority_reserve(&p, lane, 1 + roll(&dice, 4));

		if (n < 1) {
			wait_a_little(&spins);
			continue;
		}
		__atomic_store_n(&rec->begun[name], i + (uint32_t)n, __ATOMIC_RELAXED);
		for (int64_t k = 0; k < n; k++, i++)
			item_fill(pinring_priority_slot(&p, lane, (uint64_t)k), BYTES,
				  name_of(lane, (uint64_t)name << 32 | i));
		pinring_priority_commit(&p, lane, (uint64_t)n);
		__atomic_store_n(&rec->sent[name], i, __ATOMIC_RELEASE);
	}
	pinring_priority_producer_close(&p);
	_exit(0);
}

static int64_t take_run(struct pinring_priority_consumer *c, struct record *rec,
			uint64_t want)
{
	uint32_t lane = 0;
	int64_t n = pinring_priority_peek(c, want, &lane);

	for (int64_t k = 0; k < n; k++) {
		const uint64_t *item = pinring_mpmc_slot(&c->lane[lane].side, (uint64_t)k);
		uint64_t name = item[0] << 4 >> 36, i = (uint32_t)item[0];
		uint64_t bit = 1ull << (i & 63);

		if (!item_is_whole(item, BYTES) || item[0] >> 60 != lane ||
		    name >= NAMES || i >= SENT_MAX)
			__atomic_add_fetch(&rec->torn, 1, __ATOMIC_RELAXED);
		else if (__atomic_fetch_or(&rec->received[name][i / 64], bit,
					   __ATOMIC_RELAXED) & bit)
			__atomic_add_fetch(&rec->twice, 1, __ATOMIC_RELAXED);
	}
	if (n > 0)
		pinring_priority_release(c);
	return n;
}

static void take_until_killed(struct pinring_region *r, struct record *rec)
{
	struct pinring_priority_consumer c;
	struct dice dice = { (uint64_t)getpid() };
	unsigned int spins = 0;

	if (pinring_priority_consumer_open(r, "ring", &c))
		_exit(1);
	while (!__atomic_load_n(&rec->stop, __ATOMIC_RELAXED))
		if (take_run(&c, rec, 1 + roll(&dice, 4)) < 1)
			wait_a_little(&spins);
	pinring_priority_consumer_close(&c);
	_exit(0);
}

static pid_t start_worker(struct pinring_region *r, struct record *rec, int i,
			  uint32_t *names)
{
	uint32_t name = i % 2 ? 0 : ++*names;
	pid_t pid = fork();

	if (!pid && name)
		send_until_killed(r, rec, name);
	if (!pid)
		take_until_killed(r, rec);
	return pid;
}

static void check_record(struct __test_metadata *_metadata, lanes *self,
			 const struct record *rec, uint32_t names, uint64_t killed[2])
{
	uint64_t sent = 0, missing = 0, invented = 0, lost = 0, voided = 0;

	for (uint32_t name = 0; name <= names; name++) {
		for (uint32_t i = 0; i < SENT_MAX; i++) {
			bool got = rec->received[name][i / 64] >> (i & 63) & 1;

			sent += i < rec->sent[name];
			missing += i < rec->sent[name] && !got;
			invented += i >= rec->begun[name] && got;
		}
	}
	for (uint32_t i = 0; i < LANES; i++) {
		struct pinring_mpmc_info info = PINRING_INIT(struct pinring_mpmc_info);

		pinring_mpmc_info(&self->c.lane[i].side, &info);
		EXPECT_EQ(info.reserved, info.taken);
		EXPECT_EQ(2, info.parties);
		lost += info.lost;
		voided += info.voided;
	}
	EXPECT_EQ(0, rec->torn);
	EXPECT_EQ(0, rec->twice);
	EXPECT_EQ(0, invented);
	EXPECT_LE(missing, lost);
	EXPECT_LE(lost, 4 * killed[1]);
	EXPECT_LE(voided, 4 * killed[0]);
	TH_LOG("%llu sent, %llu missing; %llu lost with %llu consumers, %llu void of %llu producers",
	       (unsigned long long)sent, (unsigned long long)missing,
	       (unsigned long long)lost, (unsigned long long)killed[1],
	       (unsigned long long)voided, (unsigned long long)killed[0]);
}

TEST_F_TIMEOUT(lanes, a_campaign_of_random_kills, 120)
{
	struct record *rec = mmap(NULL, sizeof(*rec), PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t killed[2] = { 0, 0 }; /* producers, consumers */
	struct dice dice = { 1 };
	uint32_t names = 0;
	pid_t pid[WORKERS];
	int status;

	if (variant->limit != 4 && variant->weights[0] != 8)
		SKIP(return, "one of each policy is enough");
	ASSERT_NE(MAP_FAILED, rec);
	for (int i = 0; i < WORKERS; i++) {
		pid[i] = start_worker(self->r, rec, i, &names);
		ASSERT_LT(0, pid[i]);
	}
	for (uint32_t kills = 0; kills < KILLS; kills++) {
		struct timespec t = { .tv_nsec = (long)roll(&dice, 300000) };
		int victim = (int)roll(&dice, WORKERS);

		nanosleep(&t, NULL);
		ASSERT_EQ(0, kill(pid[victim], SIGKILL));
		ASSERT_EQ(pid[victim], waitpid(pid[victim], &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status)) {
			TH_LOG("it ended by itself: %d", status);
		}
		killed[victim % 2]++;
		pid[victim] = start_worker(self->r, rec, victim, &names);
		ASSERT_LT(0, pid[victim]);
		pinring_priority_repair(&self->c);
	}
	__atomic_store_n(&rec->stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < WORKERS; i++) {
		ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
		EXPECT_EQ(0, status);
	}
	pinring_priority_repair(&self->c);
	while (take_run(&self->c, rec, CAPACITY) > 0)
		;
	check_record(_metadata, self, rec, names, killed);
	LOG_KILLS(KILLS);
	munmap(rec, sizeof(*rec));
}

/* --------------------------------------------------------- the wrong arguments */
TEST_F(lanes, shapes_and_policies_that_make_no_sense_are_refused)
{
	static const policy bad[] = {
		{ 0, 0, { 0 } }, { 3, 8, { 0 } }, { STRICT(0) }, { STRICT(3) },
		{ STRICT((1u << 30) + 1) }, { PINRING_PRIORITY_STRICT, 8, { 1 } },
		{ WEIGHTED(1, 1, 1, 0) }, { WEIGHTED(0, 1, 1, 1) },
		{ WEIGHTED(1, 1, (1 << 20) + 1, 1) },
		{ PINRING_PRIORITY_WEIGHTED, 4, { 1, 1, 1, 1 } },
	};
	struct pinring_priority_config c;
	struct pinring_priority_producer p;
	struct pinring_priority_consumer k;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		c = config_of(&bad[i]);
		EXPECT_EQ(-EINVAL, pinring_priority_create(self->r, "q", &c))
			TH_LOG("case %zu", i);
	}
	c = config_of(variant);
	c.capacity = 3;
	EXPECT_EQ(-EINVAL, pinring_priority_create(self->r, "q", &c));
	c.capacity = 1ull << 20;
	EXPECT_EQ(-ENOSPC, pinring_priority_create(self->r, "q", &c));
	c = config_of(variant);
	c.reserved = 1;
	EXPECT_EQ(-EINVAL, pinring_priority_create(self->r, "q", &c));
	c.struct_size = 0;
	EXPECT_GT(0, pinring_priority_create(self->r, "q", &c));
	EXPECT_EQ(-ENOENT, pinring_priority_producer_open(self->r, "q", &p));
	EXPECT_EQ(-ENOENT, pinring_priority_consumer_open(self->r, "q", &k));
	ASSERT_EQ(0, pinring_mpmc_create(self->r, "q", 8, 8, 4));
	EXPECT_EQ(-EINVAL, pinring_priority_consumer_open(self->r, "q", &k));
}

/* Its own, and that of any lane; and nothing stays taken by who was refused. */
TEST_F(lanes, a_damaged_header_is_refused)
{
	struct pinring_mpmc_info info = PINRING_INIT(struct pinring_mpmc_info);
	struct pinring_priority_producer p;
	struct pinring_priority_consumer c;

	for (uint32_t lane = 0; lane <= LANES; lane++) {
		unsigned char *byte = (unsigned char *)self->header;

		if (lane)
			byte += self->header->lanes_offset +
				(lane - 1) * self->header->lane_bytes;
		for (size_t i = 0; i < 128; i++) {
			byte[i] ^= 0x41;
			EXPECT_GT(0, pinring_priority_producer_open(self->r, "ring", &p))
				TH_LOG("lane %u, byte %zu", lane, i);
			EXPECT_GT(0, pinring_priority_consumer_open(self->r, "ring", &c));
			byte[i] ^= 0x41;
		}
	}
	for (uint32_t i = 0; i < LANES; i++) {
		ASSERT_EQ(0, pinring_mpmc_info(&self->c.lane[i].side, &info));
		EXPECT_EQ(2, info.parties);
	}
	/* A lane that makes sense, but is not the one the header speaks of. */
	{
		unsigned char *lane = (unsigned char *)self->header +
				      self->header->lanes_offset;
		struct pinring_object_info o;
		unsigned char good[128];

		ASSERT_EQ(0, pinring_mpmc_create(self->r, "other", CAPACITY / 2, BYTES,
						 PARTIES));
		ASSERT_EQ(0, pinring_object_find(self->r, "other", &o));
		memcpy(good, lane, sizeof(good));
		memcpy(lane, pinring_region_at(self->r, o.offset, 128), 128);
		EXPECT_EQ(-EINVAL, pinring_priority_producer_open(self->r, "ring", &p));
		EXPECT_EQ(-EINVAL, pinring_priority_consumer_open(self->r, "ring", &c));
		memcpy(lane, good, sizeof(good));
	}
	self->header->seal = 0;
	EXPECT_EQ(-EAGAIN, pinring_priority_producer_open(self->r, "ring", &p));
}

TEST_F(lanes, a_damaged_lane_is_eproto_when_the_others_are_empty)
{
	uint64_t item[BYTES / 8];
	uint32_t lane = 99;
	__u64 *word = pinring_mpmc_word(&self->c.lane[1].side, 0, 8 + BYTES);

	*word = PINRING_MPMC_STATE; /* there is none of that number */
	ASSERT_EQ(0, push(&self->p, 3, 1));
	EXPECT_EQ(1, pop(&self->c, &lane));
	EXPECT_EQ(-EPROTO, pop(&self->c, &lane));
	EXPECT_EQ(-EPROTO, pinring_priority_pop_wait(&self->c, item, &lane,
						     PINRING_FOREVER));
	EXPECT_EQ(-EPROTO, push(&self->p, 1, 1));
}

TEST_HARNESS_MAIN
