// SPDX-License-Identifier: MIT
/*
 * The MPMC ring: one order over all producers, every item once and whole,
 * between threads and between processes, over the end of the counters. What
 * death does to it is in ring_mpmc_death.c.
 */
#include <kselftest_harness.h>

#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <pinring/pinring.h>

#include "items.h"

#define CAPACITY 64
#define PARTIES 40

FIXTURE(mpmc)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_mpmc_producer p;
	struct pinring_mpmc_consumer c;
	struct pinring_mpmc_header *header;
};

FIXTURE_VARIANT(mpmc)
{
	uint64_t slot_bytes;
	uint64_t first_ticket; /* of the ring's life */
};

FIXTURE_VARIANT_ADD(mpmc, words) { 8, 0 };
FIXTURE_VARIANT_ADD(mpmc, lines) { 56, 0 };
FIXTURE_VARIANT_ADD(mpmc, words_near_the_wrap) { 8, 0ull - 10 * CAPACITY };
FIXTURE_VARIANT_ADD(mpmc, lines_near_the_wrap) { 56, 0ull - 10 * CAPACITY };

/* As if that many tickets had come and gone; a multiple of the capacity. */
static void age(struct pinring_mpmc_header *h, uint64_t tickets)
{
	unsigned char *slot = (unsigned char *)h + h->slots_offset;

	h->tail = h->head = tickets;
	for (uint64_t i = 0; i < h->capacity; i++, slot += h->stride)
		*(uint64_t *)slot = tickets / h->capacity << PINRING_MPMC_LAP_SHIFT;
}

FIXTURE_SETUP(mpmc)
{
	struct pinring_region_config config = pinring_region_defaults(1 << 17);
	struct pinring_object_info o;

	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->r));
	ASSERT_EQ(0, pinring_mpmc_create(self->r, "ring", CAPACITY,
					 variant->slot_bytes, PARTIES));
	ASSERT_EQ(0, pinring_object_find(self->r, "ring", &o));
	self->header = pinring_region_at(self->r, o.offset, o.length);
	age(self->header, variant->first_ticket);
	ASSERT_EQ(0, pinring_mpmc_producer_open(self->r, "ring", &self->p));
	ASSERT_EQ(0, pinring_mpmc_consumer_open(self->r, "ring", &self->c));
}

FIXTURE_TEARDOWN(mpmc)
{
	pinring_mpmc_producer_close(&self->p);
	pinring_mpmc_consumer_close(&self->c);
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

static int push(struct pinring_mpmc_producer *p, uint64_t name)
{
	uint64_t item[8];

	item_fill(item, p->side.slot_bytes, name);
	return pinring_mpmc_push(p, item);
}

/* The name of what came, or UINT64_MAX - errno. */
static uint64_t pop(struct pinring_mpmc_consumer *c)
{
	uint64_t item[8];
	int rc = pinring_mpmc_pop(c, item);

	if (rc)
		return UINT64_MAX + (uint64_t)(int64_t)rc;
	return item_is_whole(item, c->side.slot_bytes) ? item[0] : UINT64_MAX;
}

#define NOTHING (UINT64_MAX - EAGAIN)
#define ENDED (UINT64_MAX - EPIPE)

TEST_F(mpmc, keeps_the_order_over_many_laps)
{
	for (uint64_t i = 0; i < 30 * CAPACITY; i++) {
		ASSERT_EQ(0, push(&self->p, 2 * i));
		ASSERT_EQ(0, push(&self->p, 2 * i + 1));
		ASSERT_EQ(2 * i, pop(&self->c));
		ASSERT_EQ(2 * i + 1, pop(&self->c));
	}
	EXPECT_EQ(NOTHING, pop(&self->c));
}

TEST_F(mpmc, is_full_at_its_capacity_and_empty_at_none)
{
	for (int lap = 0; lap < 12; lap++) {
		EXPECT_EQ(NOTHING, pop(&self->c));
		EXPECT_EQ(0, pinring_mpmc_count(&self->c.side));
		for (uint64_t i = 0; i < CAPACITY; i++) {
			ASSERT_EQ(0, push(&self->p, i));
		}
		EXPECT_EQ(-EAGAIN, push(&self->p, 99));
		EXPECT_EQ(CAPACITY, pinring_mpmc_count(&self->p.side));
		for (uint64_t i = 0; i < CAPACITY; i++) {
			ASSERT_EQ(i, pop(&self->c));
		}
	}
	EXPECT_EQ(CAPACITY, pinring_mpmc_capacity(&self->p.side));
}

TEST_F(mpmc, a_slot_that_is_still_read_is_not_written)
{
	ASSERT_EQ(0, push(&self->p, 7));
	ASSERT_EQ(1, pinring_mpmc_peek(&self->c, 1));
	for (uint64_t i = 1; i < CAPACITY; i++) {
		ASSERT_EQ(0, push(&self->p, i));
	}
	EXPECT_EQ(-EAGAIN, push(&self->p, 99));
	EXPECT_EQ(7, *(uint64_t *)pinring_mpmc_slot(&self->c.side, 0));
	pinring_mpmc_release(&self->c);
	EXPECT_EQ(0, push(&self->p, 99));
}

TEST_F(mpmc, what_is_reserved_is_not_seen_and_nothing_overtakes_it)
{
	struct pinring_mpmc_producer other;

	ASSERT_EQ(0, pinring_mpmc_producer_open(self->r, "ring", &other));
	ASSERT_EQ(1, pinring_mpmc_reserve(&self->p, 1));
	ASSERT_EQ(0, push(&other, 2));
	EXPECT_EQ(NOTHING, pop(&self->c));
	item_fill(pinring_mpmc_slot(&self->p.side, 0), variant->slot_bytes, 1);
	pinring_mpmc_commit(&self->p, 1);
	EXPECT_EQ(1, pop(&self->c));
	EXPECT_EQ(2, pop(&self->c));
	pinring_mpmc_producer_close(&other);
}

/* Only the first slot of a run says that it is one. */
TEST_F(mpmc, what_the_others_hold_is_walked_around)
{
	struct pinring_mpmc_producer other_p;
	struct pinring_mpmc_consumer other_c;

	ASSERT_EQ(0, pinring_mpmc_producer_open(self->r, "ring", &other_p));
	ASSERT_EQ(0, pinring_mpmc_consumer_open(self->r, "ring", &other_c));
	for (int round = 0; round < 40; round++) {
		ASSERT_EQ(3, pinring_mpmc_reserve(&self->p, 3));
		ASSERT_EQ(0, push(&other_p, 4));
		for (uint64_t i = 0; i < 3; i++)
			item_fill(pinring_mpmc_slot(&self->p.side, i),
				  variant->slot_bytes, 1 + i);
		pinring_mpmc_commit(&self->p, 3);
		ASSERT_EQ(2, pinring_mpmc_peek(&self->c, 2));
		EXPECT_EQ(3, pop(&other_c));
		EXPECT_EQ(4, pop(&other_c));
		EXPECT_EQ(NOTHING, pop(&other_c));
		for (uint64_t i = 0; i < 2; i++) {
			EXPECT_EQ(1 + i, *(uint64_t *)pinring_mpmc_slot(
						 &self->c.side, i));
		}
		pinring_mpmc_release(&self->c);
	}
	pinring_mpmc_producer_close(&other_p);
	pinring_mpmc_consumer_close(&other_c);
}

TEST_F(mpmc, what_is_aborted_is_skipped)
{
	for (int round = 0; round < 40; round++) {
		ASSERT_EQ(0, push(&self->p, 1));
		ASSERT_EQ(5, pinring_mpmc_reserve(&self->p, 5));
		pinring_mpmc_abort(&self->p);
		ASSERT_EQ(0, push(&self->p, 2));
		ASSERT_EQ(3, pinring_mpmc_reserve(&self->p, 3));
		for (uint64_t i = 0; i < 3; i++)
			item_fill(pinring_mpmc_slot(&self->p.side, i),
				  variant->slot_bytes, 3 + i);
		pinring_mpmc_commit(&self->p, 1); /* the others become void */
		EXPECT_EQ(1, pop(&self->c));
		EXPECT_EQ(2, pop(&self->c));
		EXPECT_EQ(3, pop(&self->c));
		EXPECT_EQ(NOTHING, pop(&self->c));
	}
}

TEST_F(mpmc, a_ring_full_of_aborted_slots_is_empty)
{
	ASSERT_EQ(CAPACITY, pinring_mpmc_reserve(&self->p, CAPACITY));
	pinring_mpmc_abort(&self->p);
	EXPECT_EQ(-EAGAIN, push(&self->p, 1)); /* nobody has looked yet */
	EXPECT_EQ(NOTHING, pop(&self->c));
	EXPECT_EQ(0, push(&self->p, 2));
	EXPECT_EQ(2, pop(&self->c));
}

TEST_F(mpmc, runs_are_as_long_as_there_is_room)
{
	uint64_t items[CAPACITY * 7];

	for (int round = 0; round < 20; round++) {
		for (uint64_t i = 0; i < CAPACITY; i++)
			item_fill(items + i * variant->slot_bytes / 8,
				  variant->slot_bytes, i);
		ASSERT_EQ(3, pinring_mpmc_push_batch(&self->p, items, 3));
		/* Over the end of the array too: runs follow tickets. */
		ASSERT_EQ(CAPACITY - 3,
			  pinring_mpmc_push_batch(&self->p, items, CAPACITY));
		ASSERT_EQ(-EAGAIN, pinring_mpmc_push_batch(&self->p, items, 1));
		memset(items, 0, sizeof(items));
		ASSERT_EQ(50, pinring_mpmc_pop_batch(&self->c, items, 50));
		for (uint64_t i = 0; i < 50; i++) {
			uint64_t *at = items + i * variant->slot_bytes / 8;

			EXPECT_EQ(i < 3 ? i : i - 3, *at);
			EXPECT_TRUE(item_is_whole(at, variant->slot_bytes));
		}
		ASSERT_EQ(CAPACITY - 50,
			  pinring_mpmc_pop_batch(&self->c, items, CAPACITY));
		ASSERT_EQ(-EAGAIN, pinring_mpmc_pop_batch(&self->c, items, 1));
	}
}

TEST_F(mpmc, nothing_wanted_is_nothing_taken)
{
	uint64_t item = 0;

	EXPECT_EQ(0, pinring_mpmc_reserve(&self->p, 0));
	EXPECT_EQ(0, pinring_mpmc_peek(&self->c, 0));
	EXPECT_EQ(0, pinring_mpmc_push_batch(&self->p, &item, 0));
	EXPECT_EQ(0, pinring_mpmc_pop_batch(&self->c, &item, 0));
	EXPECT_EQ(0, pinring_mpmc_push_batch_u64(&self->p, &item, 0));
	EXPECT_EQ(0, pinring_mpmc_pop_batch_u64(&self->c, &item, 0));
	EXPECT_EQ(0u, pinring_mpmc_count(&self->p.side));
	ASSERT_EQ(0, push(&self->p, 3));
	EXPECT_EQ(0, pinring_mpmc_peek(&self->c, 0));
	EXPECT_EQ(3u, pop(&self->c));
}

TEST_F(mpmc, batches_of_any_length_wrap_and_come_in_order)
{
	const uint64_t words = variant->slot_bytes / 8;
	static uint64_t out[CAPACITY * 8], in[CAPACITY * 8];
	uint64_t sent = 0, got = 0;
	struct dice d = { 11 };

	while (got < 40 * CAPACITY) {
		uint64_t n = roll(&d, CAPACITY + 1), room = CAPACITY - (sent - got);
		int64_t k;

		for (uint64_t i = 0; i < n; i++) {
			item_fill(&in[i * words], variant->slot_bytes, sent + i);
		}
		k = words == 1 ? pinring_mpmc_push_batch_u64(&self->p, in, n) :
				 pinring_mpmc_push_batch(&self->p, in, n);
		ASSERT_EQ(n < room ? n : room, (uint64_t)(k == -EAGAIN ? 0 : k));
		sent += n < room ? n : room;
		n = roll(&d, CAPACITY + 1);
		k = words == 1 ? pinring_mpmc_pop_batch_u64(&self->c, out, n) :
				 pinring_mpmc_pop_batch(&self->c, out, n);
		ASSERT_EQ(n < sent - got ? n : sent - got,
			  (uint64_t)(k == -EAGAIN ? 0 : k));
		for (int64_t i = 0; i < k; i++) {
			ASSERT_TRUE(item_is_whole(&out[(uint64_t)i * words],
						  variant->slot_bytes));
			ASSERT_EQ(got, out[(uint64_t)i * words]);
			got++;
		}
	}
}

TEST_F(mpmc, a_handle_holds_one_run_at_a_time)
{
	ASSERT_EQ(2, pinring_mpmc_reserve(&self->p, 2));
	EXPECT_EQ(-EBUSY, pinring_mpmc_reserve(&self->p, 1));
	EXPECT_EQ(-EBUSY, push(&self->p, 1));
	pinring_mpmc_abort(&self->p);
	ASSERT_EQ(0, push(&self->p, 1));
	ASSERT_EQ(1, pinring_mpmc_peek(&self->c, 9));
	EXPECT_EQ(-EBUSY, pinring_mpmc_peek(&self->c, 1));
	pinring_mpmc_release(&self->c);
}

TEST_F(mpmc, closed_is_drained_and_then_ends)
{
	struct pinring_mpmc_info info = PINRING_INIT(struct pinring_mpmc_info);
	struct pinring_mpmc_producer late;

	ASSERT_EQ(0, push(&self->p, 1));
	ASSERT_EQ(1, pinring_mpmc_reserve(&self->p, 1));
	pinring_mpmc_close(&self->c.side);
	ASSERT_EQ(0, pinring_mpmc_producer_open(self->r, "ring", &late));
	EXPECT_EQ(-EPIPE, push(&late, 9));
	pinring_mpmc_producer_close(&late);
	EXPECT_EQ(1, pop(&self->c));
	EXPECT_EQ(NOTHING, pop(&self->c)); /* one is still on its way */
	item_fill(pinring_mpmc_slot(&self->p.side, 0), variant->slot_bytes, 2);
	pinring_mpmc_commit(&self->p, 1);
	EXPECT_EQ(-EPIPE, push(&self->p, 3));
	EXPECT_EQ(2, pop(&self->c));
	EXPECT_EQ(ENDED, pop(&self->c));
	ASSERT_EQ(0, pinring_mpmc_info(&self->c.side, &info));
	EXPECT_EQ(1, info.closed);
	EXPECT_EQ(info.reserved, info.taken);
}

TEST_F(mpmc, closing_with_slots_held_gives_them_back)
{
	struct pinring_mpmc_producer p;
	struct pinring_mpmc_consumer c;

	for (int round = 0; round < 3 * PARTIES; round++) {
		ASSERT_EQ(0, pinring_mpmc_producer_open(self->r, "ring", &p));
		ASSERT_EQ(0, pinring_mpmc_consumer_open(self->r, "ring", &c));
		ASSERT_EQ(0, push(&self->p, 1));
		ASSERT_EQ(9, pinring_mpmc_reserve(&p, 9));
		ASSERT_EQ(1, pinring_mpmc_peek(&c, 1));
		pinring_mpmc_producer_close(&p);
		pinring_mpmc_consumer_close(&c);
		ASSERT_EQ(NOTHING, pop(&self->c));
	}
}

TEST_F(mpmc, has_as_many_sides_as_parties)
{
	struct pinring_mpmc_consumer c[PARTIES];
	int n = 0;

	while (n < PARTIES &&
	       !pinring_mpmc_consumer_open(self->r, "ring", &c[n]))
		n++;
	EXPECT_EQ(PARTIES - 2, n);
	EXPECT_EQ(-EUSERS, pinring_mpmc_consumer_open(self->r, "ring", &c[n]));
	EXPECT_NE(NULL, strstr(pinring_error(), "40 parties"));
	pinring_mpmc_consumer_close(&c[0]);
	EXPECT_EQ(0, pinring_mpmc_consumer_open(self->r, "ring", &c[0]));
	while (n--)
		pinring_mpmc_consumer_close(&c[n]);
}

TEST_F(mpmc, waiting_ends_with_an_item_or_in_time)
{
	uint64_t item[8];

	EXPECT_EQ(-ETIMEDOUT, pinring_mpmc_pop_wait(&self->c, item, 0));
	EXPECT_EQ(-ETIMEDOUT, pinring_mpmc_pop_wait(&self->c, item, 3000000));
	ASSERT_EQ(0, push(&self->p, 5));
	EXPECT_EQ(0, pinring_mpmc_pop_wait(&self->c, item, 0));
	EXPECT_EQ(5, item[0]);
	for (uint64_t i = 0; i < CAPACITY; i++) {
		ASSERT_EQ(0, pinring_mpmc_push_wait(&self->p, item, 0));
	}
	EXPECT_EQ(-ETIMEDOUT, pinring_mpmc_push_wait(&self->p, item, 3000000));
	pinring_mpmc_close(&self->p.side);
	EXPECT_EQ(-EPIPE, pinring_mpmc_push_wait(&self->p, item, 3000000));
}

/* ------------------------------------------------------------------- crowds */
#define SIDES_MAX 8
#define ITEMS (SANITIZED ? 100000u : 4000000u) /* over all producers */

/* What one side of a crowd is to do, and did; shared between processes. */
struct crowd {
	struct pinring_region *r;
	uint64_t producers, consumers, slot_bytes, each;
	uint64_t ready; /* sides that have opened; atomic */
	uint64_t go;
	struct tally {
		uint64_t count, sum, wrong;
	} PINRING_ALIGNED(64) got[SIDES_MAX]; /* a consumer each */
	uint64_t failed[2 * SIDES_MAX];
};

static void wait_for_all(struct crowd *w)
{
	unsigned int spins = 0;

	__atomic_add_fetch(&w->ready, 1, __ATOMIC_ACQ_REL);
	while (!__atomic_load_n(&w->go, __ATOMIC_ACQUIRE))
		wait_a_little(&spins);
}

static uint64_t produce(struct crowd *w, uint64_t me)
{
	struct pinring_mpmc_producer p;
	struct dice dice = { me + 1 };
	unsigned int spins = 0;
	uint64_t i = 0;

	if (pinring_mpmc_producer_open(w->r, "ring", &p))
		return 1;
	wait_for_all(w);
	while (i < w->each) {
		uint64_t want = 1 + roll(&dice, 6);
		int64_t n;

		if (want > w->each - i)
			want = w->each - i;
		n = pinring_mpmc_reserve(&p, want);
		if (n == -EAGAIN) {
			wait_a_little(&spins);
			continue;
		}
		if (n < 1)
			return 2;
		if (!roll(&dice, 50)) {
			pinring_mpmc_abort(&p);
			continue;
		}
		for (int64_t k = 0; k < n; k++, i++)
			item_fill(pinring_mpmc_slot(&p.side, (uint64_t)k),
				  w->slot_bytes, me << 32 | i);
		pinring_mpmc_commit(&p, (uint64_t)n);
	}
	pinring_mpmc_producer_close(&p);
	return 0;
}

static uint64_t consume(struct crowd *w, uint64_t me)
{
	struct tally t = { .count = 0 };
	uint64_t next[SIDES_MAX] = { 0 }; /* the least number not seen yet */
	struct pinring_mpmc_consumer c;
	struct dice dice = { me + 100 };
	unsigned int spins = 0;
	int64_t n;

	if (pinring_mpmc_consumer_open(w->r, "ring", &c))
		return 3;
	wait_for_all(w);
	while ((n = pinring_mpmc_peek(&c, 1 + roll(&dice, 6))) != -EPIPE) {
		if (n == -EAGAIN) {
			wait_a_little(&spins);
			continue;
		}
		if (n < 1)
			return 4;
		for (int64_t k = 0; k < n; k++) {
			uint64_t *item = pinring_mpmc_slot(&c.side, (uint64_t)k);
			uint64_t from = item[0] >> 32, i = (uint32_t)item[0];

			if (from >= w->producers || i < next[from] ||
			    !item_is_whole(item, w->slot_bytes)) {
				t.wrong++;
				continue;
			}
			next[from] = i + 1;
			t.count++;
			t.sum += item_mix(item[0]);
		}
		pinring_mpmc_release(&c);
	}
	w->got[me] = t;
	pinring_mpmc_consumer_close(&c);
	return 0;
}

struct member {
	struct crowd *w;
	uint64_t me;
};

static void *member_main(void *arg)
{
	struct member *m = arg;
	struct crowd *w = m->w;

	w->failed[m->me] = m->me < w->producers ?
				   produce(w, m->me) :
				   consume(w, m->me - w->producers);
	return NULL;
}

static void start_together(struct crowd *w)
{
	unsigned int spins = 0;

	while (__atomic_load_n(&w->ready, __ATOMIC_ACQUIRE) <
	       w->producers + w->consumers)
		wait_a_little(&spins);
	__atomic_store_n(&w->go, 1, __ATOMIC_RELEASE);
}

static void check_crowd(struct __test_metadata *_metadata,
			const struct crowd *w)
{
	struct tally all = { .count = 0 };
	uint64_t sum = 0;

	for (uint64_t i = 0; i < w->producers + w->consumers; i++) {
		EXPECT_EQ(0, w->failed[i]);
	}
	for (uint64_t i = 0; i < w->consumers; i++) {
		all.count += w->got[i].count;
		all.sum += w->got[i].sum;
		all.wrong += w->got[i].wrong;
	}
	for (uint64_t from = 0; from < w->producers; from++)
		for (uint64_t i = 0; i < w->each; i++)
			sum += item_mix(from << 32 | i);
	EXPECT_EQ(0, all.wrong);
	EXPECT_EQ(w->producers * w->each, all.count);
	EXPECT_EQ(sum, all.sum);
}

static const uint64_t sides[] = { 1, 2, 4, 8 };

/* A new ring for each crowd, aged as the variant says. */
static void new_ring(struct __test_metadata *_metadata, struct pinring_region *r,
		     uint64_t slot_bytes, uint64_t first_ticket)
{
	struct pinring_object_info o;

	ASSERT_EQ(0, pinring_mpmc_create(r, "ring", CAPACITY, slot_bytes,
					 PARTIES));
	ASSERT_EQ(0, pinring_object_find(r, "ring", &o));
	age(pinring_region_at(r, o.offset, o.length), first_ticket);
}

static void run_threads(struct __test_metadata *_metadata, struct crowd *w)
{
	struct member member[2 * SIDES_MAX];
	pthread_t thread[2 * SIDES_MAX];
	struct pinring_mpmc_consumer any;
	uint64_t n = w->producers + w->consumers;

	ASSERT_EQ(0, pinring_mpmc_consumer_open(w->r, "ring", &any));
	for (uint64_t i = 0; i < n; i++) {
		member[i] = (struct member){ w, i };
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, member_main,
					    &member[i]));
	}
	start_together(w);
	for (uint64_t i = 0; i < n; i++) {
		pthread_join(thread[i], NULL);
		if (i + 1 == w->producers)
			pinring_mpmc_close(&any.side);
	}
	pinring_mpmc_consumer_close(&any);
}

static void run_processes(struct __test_metadata *_metadata, struct crowd *w)
{
	struct pinring_mpmc_consumer any;
	uint64_t n = w->producers + w->consumers;
	pid_t pid[2 * SIDES_MAX];

	ASSERT_EQ(0, pinring_mpmc_consumer_open(w->r, "ring", &any));
	for (uint64_t i = 0; i < n; i++) {
		pid[i] = fork();
		ASSERT_LE(0, pid[i]);
		if (!pid[i]) {
			struct member m = { w, i };

			member_main(&m);
			_exit(0);
		}
	}
	start_together(w);
	for (uint64_t i = 0; i < n; i++) {
		int status;

		ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
		EXPECT_EQ(0, status);
		if (i + 1 == w->producers)
			pinring_mpmc_close(&any.side);
	}
	pinring_mpmc_consumer_close(&any);
}

static void
all_crowds(struct __test_metadata *_metadata, struct pinring_device *device,
	   uint64_t slot_bytes, uint64_t first_ticket,
	   void (*run)(struct __test_metadata *_metadata, struct crowd *w))
{
	struct crowd *w = mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, w);
	for (int k = 0; k < 16; k++) {
		struct pinring_region_config config =
			pinring_region_defaults(1 << 16);

		memset(w, 0, sizeof(*w));
		ASSERT_EQ(0, pinring_region_create(device, &config, &w->r));
		new_ring(_metadata, w->r, slot_bytes, first_ticket);
		w->producers = sides[k / 4];
		w->consumers = sides[k % 4];
		w->slot_bytes = slot_bytes;
		w->each = ITEMS / 16 / w->producers;
		run(_metadata, w);
		check_crowd(_metadata, w);
		pinring_region_close(w->r);
	}
	munmap(w, sizeof(*w));
}

TEST_F_TIMEOUT(mpmc, crowds_of_threads, 120)
{
	all_crowds(_metadata, self->device, variant->slot_bytes,
		   variant->first_ticket, run_threads);
}

TEST_F_TIMEOUT(mpmc, crowds_of_processes, 120)
{
	all_crowds(_metadata, self->device, variant->slot_bytes,
		   variant->first_ticket, run_processes);
}

/* ------------------------------------------------------------ bad arguments */
TEST(shapes_that_make_no_sense_are_refused)
{
	static const struct {
		uint64_t capacity, slot_bytes;
		uint32_t parties;
	} bad[] = {
		{ 0, 8, 4 },	    { 1, 8, 4 },	{ 3, 8, 4 },
		{ 1ull << 33, 8, 4 }, { 64, 0, 4 },	{ 64, 7, 4 },
		{ 64, (1 << 20) + 8, 4 }, { 64, 8, 0 }, { 64, 8, 1 },
		{ 64, 8, 257 },	    { UINT64_MAX, 8, 4 },
		{ 64, UINT64_MAX, 4 },
	};
	struct pinring_region_config config = pinring_region_defaults(65536);
	struct pinring_mpmc_producer p;
	struct pinring_device *device;
	struct pinring_region *r;

	ASSERT_EQ(0, pinring_device_open(NULL, &device));
	ASSERT_EQ(0, pinring_region_create(device, &config, &r));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, pinring_mpmc_create(r, "q", bad[i].capacity,
						       bad[i].slot_bytes,
						       bad[i].parties));
		EXPECT_NE(NULL, strstr(pinring_error(), "power of two"));
	}
	EXPECT_EQ(-ENOENT, pinring_mpmc_producer_open(r, "q", &p));
	ASSERT_EQ(0, pinring_spsc_create(r, "q", 8, 8));
	EXPECT_EQ(-EINVAL, pinring_mpmc_producer_open(r, "q", &p));
	EXPECT_EQ(-ENOSPC, pinring_mpmc_create(r, "large", 1 << 20, 8, 4));
	pinring_region_close(r);
	pinring_device_close(device);
}

TEST_F(mpmc, a_damaged_header_is_refused)
{
	struct pinring_mpmc_producer p;
	unsigned char *byte = (unsigned char *)self->header;

	for (size_t i = 0; i < 128; i++) {
		byte[i] ^= 0x41;
		EXPECT_GT(0, pinring_mpmc_producer_open(self->r, "ring", &p))
			TH_LOG("byte %zu", i);
		byte[i] ^= 0x41;
	}
	memset(&self->header->seal, 0, 8);
	EXPECT_EQ(-EAGAIN, pinring_mpmc_producer_open(self->r, "ring", &p));
}

/* Words no honest peer stores: an error or a wrong item, but in bounds. */
TEST_F(mpmc, wild_words_are_survived)
{
	unsigned char *slots = (unsigned char *)self->header +
			       self->header->slots_offset;
	struct dice dice = { 5 };
	uint64_t item[8] = { 0 };
	int again = 0, damaged = 0, rc = 0;

	for (int i = 0; i < 40000; i++) {
		uint64_t wild = item_mix(roll(&dice, 1ull << 32)) >>
				roll(&dice, 64);
		uint64_t k = roll(&dice, CAPACITY);

		switch (roll(&dice, 6)) {
		case 0:
			self->header->tail = wild;
			break;
		case 1:
			self->header->head = wild;
			break;
		case 2:
			*(uint64_t *)(slots + k * self->header->stride) = wild;
			break;
		case 3:
			pinring_mpmc_repair(&self->p.side);
			break;
		case 4:
			rc = pinring_mpmc_push(&self->p, item);
			break;
		default:
			rc = pinring_mpmc_pop(&self->c, item);
		}
		again += rc == -EAGAIN;
		damaged += rc == -EPROTO;
	}
	EXPECT_LT(0, again);
	EXPECT_LT(0, damaged);
	pinring_mpmc_repair(&self->p.side);
}

TEST_HARNESS_MAIN
