// SPDX-License-Identifier: MIT
/*
 * Crowds around a broadcast ring: threads and processes, all at once, and
 * consumers that come and go. Gated, each sees all of every producer, without a
 * gap, in its order; lapping, each gap is as long as it was told.
 */
#include <kselftest_harness.h>

#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "broadcast.h"

#define CAPACITY 64u
#define SIDES_MAX 8
#define PARTIES (2 * SIDES_MAX + 2)
#define ITEMS (SANITIZED ? 400000u : 8000000u) /* over all crowds */

/* What one side of a crowd is to do, and did; shared between processes. */
struct crowd {
	struct pinring_region *r;
	uint64_t producers, consumers, slot_bytes, each;
	uint32_t flags;
	bool visitors; /* consumers come and go */
	uint64_t first_ticket;
	uint64_t ready; /* sides that have opened; atomic */
	uint64_t go;
	struct tally {
		uint64_t received, missed, skipped, sum, wrong, visits;
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
	struct pinring_broadcast_producer p;
	struct dice dice = { me + 1 };
	unsigned int spins = 0;
	uint64_t i = 0;

	if (pinring_broadcast_producer_open(w->r, "ring", &p))
		return 1;
	wait_for_all(w);
	while (i < w->each) {
		uint64_t want = 1 + roll(&dice, 6);
		void *slots;
		int64_t n;

		if (!roll(&dice, 200))
			sched_yield();
		if (want > w->each - i)
			want = w->each - i;
		n = pinring_broadcast_reserve(&p, want, &slots);
		if (n == -EAGAIN) {
			wait_a_little(&spins);
			continue;
		}
		if (n < 1)
			return 2;
		if (!roll(&dice, 50)) {
			pinring_broadcast_abort(&p);
			continue;
		}
		for (int64_t k = 0; k < n; k++, i++)
			write_item(&p.side,
				   pinring_broadcast_slot(&p.side, slots,
							  (uint64_t)k),
				   me << 32 | i);
		pinring_broadcast_commit(&p, (uint64_t)n);
	}
	pinring_broadcast_producer_close(&p);
	return 0;
}

/* What a consumer knows of the producers' numbers. */
struct memory {
	const struct crowd *w;
	struct {
		uint64_t next; /* the least number not seen yet */
		uint64_t missed; /* of all, when it saw the last one */
		bool known;
	} of[SIDES_MAX];
	struct tally *t;
};

static void remember(struct memory *m, uint64_t name, uint64_t missed)
{
	uint64_t from = name >> 32, i = (uint32_t)name, gap, told;

	if (name == TORN || from >= m->w->producers || i < m->of[from].next) {
		m->t->wrong++;
		return;
	}
	gap = i - m->of[from].next;
	told = missed - m->of[from].missed;
	/* Of many, others and void tickets had their share in what was missed. */
	if (m->of[from].known &&
	    (m->w->flags & MANY ? gap > told : gap != told))
		m->t->wrong++;
	m->of[from].known = true;
	m->of[from].next = i + 1;
	m->of[from].missed = missed;
	m->t->received++;
	m->t->sum += item_mix(name);
}

/* A few messages, by one verb or another. -errno, or how many. */
static int64_t receive(struct pinring_broadcast_consumer *c, struct memory *m,
		       struct dice *dice)
{
	uint64_t items[16 * 8], w = c->side.slot_bytes / 8;
	uint64_t want = 1 + roll(dice, 16);
	int64_t n, k, whole;
	void *slots;

	if (roll(dice, 2)) {
		n = pinring_broadcast_pop_batch(c, items, want);
		for (k = 0; k < n; k++) {
			const uint64_t *item = items + (uint64_t)k * w;

			remember(m, item_is_whole(item, w * 8) ? *item : TORN,
				 c->missed);
		}
		return n;
	}
	n = pinring_broadcast_peek(c, want, &slots);
	if (n < 1)
		return n;
	for (k = 0; k < n; k++)
		pinring_broadcast_copy_out(items + (uint64_t)k * w,
					   pinring_broadcast_slot(&c->side, slots,
								  (uint64_t)k),
					   w * 8);
	whole = pinring_broadcast_release(c, (uint64_t)n);
	for (k = n - (whole > 0 ? whole : 0); k < n; k++) {
		const uint64_t *item = items + (uint64_t)k * w;

		remember(m, item_is_whole(item, w * 8) ? *item : TORN, c->missed);
	}
	return whole == -ESTALE ? 0 : whole;
}

/* Until the end, or for `stay` messages. */
static int64_t attend(struct crowd *w, struct pinring_broadcast_consumer *c,
		      struct tally *t, struct dice *dice, uint64_t stay)
{
	struct memory m = { .w = w, .t = t };
	uint64_t before = t->received;
	unsigned int spins = 0;
	int64_t n = 0;

	/* Who was there from the beginning knows where numbers begin. */
	for (uint64_t k = 0; k < w->producers; k++)
		m.of[k].known = !t->visits;
	while (n >= 0 && t->received - before < stay) {
		n = receive(c, &m, dice);
		if (n != -EAGAIN)
			continue;
		wait_a_little(&spins);
		n = 0;
	}
	if (pinring_broadcast_received(c) != t->received - before)
		t->wrong++;
	t->missed += c->missed;
	t->skipped += c->skipped;
	t->visits++;
	return n;
}

static uint64_t consume(struct crowd *w, uint64_t me)
{
	struct pinring_broadcast_consumer c;
	struct dice dice = { me + 100 };
	struct tally t = { .received = 0 };
	int64_t n;

	if (pinring_broadcast_consumer_open(w->r, "ring",
					    PINRING_BROADCAST_AT_TAIL, &c))
		return 3;
	wait_for_all(w);
	while ((n = attend(w, &c, &t, &dice,
			   w->visitors ? 1 + roll(&dice, 600) : UINT64_MAX)) >= 0) {
		pinring_broadcast_consumer_close(&c);
		while ((n = pinring_broadcast_consumer_open(
				w->r, "ring",
				roll(&dice, 2) ? PINRING_BROADCAST_AT_TAIL :
						 PINRING_BROADCAST_AT_OLDEST,
				&c)) == -EAGAIN)
			;
		if (n)
			return 4;
	}
	w->got[me] = t;
	pinring_broadcast_consumer_close(&c);
	return n == -EPIPE ? 0 : 5;
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

static void end_ring(struct __test_metadata *_metadata, struct crowd *w)
{
	struct pinring_broadcast_producer last;

	ASSERT_EQ(0, pinring_broadcast_producer_open(w->r, "ring", &last));
	EXPECT_EQ(0, pinring_broadcast_close(&last));
	pinring_broadcast_producer_close(&last);
}

static void check_crowd(struct __test_metadata *_metadata, const struct crowd *w)
{
	struct pinring_broadcast_info info =
		PINRING_INIT(struct pinring_broadcast_info);
	struct pinring_broadcast_consumer c;
	uint64_t sum = 0, tickets;

	ASSERT_EQ(0, pinring_broadcast_consumer_open(
			     w->r, "ring", PINRING_BROADCAST_AT_TAIL, &c));
	ASSERT_EQ(0, pinring_broadcast_info(&c.side, &info));
	pinring_broadcast_consumer_close(&c);
	tickets = info.reserved - w->first_ticket;
	EXPECT_EQ(tickets, w->producers * w->each + info.voided);
	EXPECT_TRUE(info.closed);
	EXPECT_EQ(0u, info.producers);
	for (uint64_t i = 0; i < w->producers + w->consumers; i++) {
		EXPECT_EQ(0, w->failed[i]);
	}
	for (uint64_t from = 0; from < w->producers; from++)
		for (uint64_t i = 0; i < w->each; i++)
			sum += item_mix(from << 32 | i);
	for (uint64_t i = 0; i < w->consumers; i++) {
		const struct tally *t = &w->got[i];

		EXPECT_EQ(0, t->wrong);
		if (w->visitors)
			continue;
		EXPECT_EQ(tickets, t->received + t->missed + t->skipped);
		if (w->flags & LAPPING)
			continue;
		EXPECT_EQ(w->producers * w->each, t->received);
		EXPECT_EQ(sum, t->sum);
	}
}

static void run_threads(struct __test_metadata *_metadata, struct crowd *w)
{
	struct member member[2 * SIDES_MAX];
	pthread_t thread[2 * SIDES_MAX];
	uint64_t n = w->producers + w->consumers;

	for (uint64_t i = 0; i < n; i++) {
		member[i] = (struct member){ w, i };
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, member_main,
					    &member[i]));
	}
	start_together(w);
	for (uint64_t i = 0; i < n; i++) {
		pthread_join(thread[i], NULL);
		if (i + 1 == w->producers)
			end_ring(_metadata, w);
	}
}

static void run_processes(struct __test_metadata *_metadata, struct crowd *w)
{
	uint64_t n = w->producers + w->consumers;
	pid_t pid[2 * SIDES_MAX];

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
			end_ring(_metadata, w);
	}
}

/* ---------------------------------------------------------------- the tests */
FIXTURE(crowd)
{
	struct pinring_device *device;
	struct crowd *w;
};

FIXTURE_VARIANT(crowd)
{
	uint32_t flags;
	uint64_t slot_bytes;
	uint64_t first_ticket; /* of the ring's life */
};

#define OLD (UINT64_MAX - 10 * CAPACITY + 1)

FIXTURE_VARIANT_ADD(crowd, gated) { 0, 8, 0 };
FIXTURE_VARIANT_ADD(crowd, gated_old) { 0, 64, OLD };
FIXTURE_VARIANT_ADD(crowd, lapping) { LAPPING, 8, 0 };
FIXTURE_VARIANT_ADD(crowd, lapping_old) { LAPPING, 64, OLD };
FIXTURE_VARIANT_ADD(crowd, gated_many) { MANY, 8, 0 };
FIXTURE_VARIANT_ADD(crowd, gated_many_old) { MANY, 56, OLD };
FIXTURE_VARIANT_ADD(crowd, lapping_many) { LAPPING | MANY, 8, 0 };
FIXTURE_VARIANT_ADD(crowd, lapping_many_old) { LAPPING | MANY, 56, OLD };

FIXTURE_SETUP(crowd)
{
	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	self->w = mmap(NULL, sizeof(*self->w), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->w);
}

FIXTURE_TEARDOWN(crowd)
{
	munmap(self->w, sizeof(*self->w));
	pinring_device_close(self->device);
}

typedef void (*crowd_run)(struct __test_metadata *_metadata, struct crowd *w);

/* A new ring for each crowd, aged as the variant says. */
static void run_crowd(struct __test_metadata *_metadata,
		      struct pinring_device *device,
		      const FIXTURE_VARIANT(crowd) *variant, struct crowd *w,
		      crowd_run run)
{
	struct pinring_region_config config = pinring_region_defaults(1 << 16);
	struct pinring_object_info o;

	w->ready = w->go = 0;
	memset(w->got, 0, sizeof(w->got));
	w->flags = variant->flags;
	w->slot_bytes = variant->slot_bytes;
	w->first_ticket = variant->first_ticket;
	ASSERT_EQ(0, pinring_region_create(device, &config, &w->r));
	ASSERT_EQ(0, pinring_broadcast_create(w->r, "ring", CAPACITY,
					      w->slot_bytes, w->flags, PARTIES));
	ASSERT_EQ(0, pinring_object_find(w->r, "ring", &o));
	if (w->first_ticket)
		age(pinring_region_at(w->r, o.offset, o.length), w->first_ticket);
	run(_metadata, w);
	check_crowd(_metadata, w);
	pinring_region_close(w->r);
}

static void all_crowds(struct __test_metadata *_metadata,
		       struct pinring_device *device,
		       const FIXTURE_VARIANT(crowd) *variant, struct crowd *w,
		       crowd_run run)
{
	static const uint64_t sides[] = { 1, 2, 4, 8 };
	const uint64_t kinds = variant->flags & MANY ? 16 : 4;

	for (uint64_t k = 0; k < kinds; k++) {
		w->producers = sides[k / 4];
		w->consumers = sides[k % 4];
		w->each = ITEMS / 8 / kinds / w->producers / 2;
		run_crowd(_metadata, device, variant, w, run);
	}
}

TEST_F_TIMEOUT(crowd, of_threads, 120)
{
	all_crowds(_metadata, self->device, variant, self->w, run_threads);
}

TEST_F_TIMEOUT(crowd, of_processes, 120)
{
	all_crowds(_metadata, self->device, variant, self->w, run_processes);
}

static void visit(struct __test_metadata *_metadata,
		  struct pinring_device *device,
		  const FIXTURE_VARIANT(crowd) *variant, struct crowd *w,
		  crowd_run run)
{
	uint64_t visits = 0;

	w->visitors = true;
	w->consumers = 5;
	w->producers = variant->flags & MANY ? 3 : 1;
	w->each = ITEMS / 32 / w->producers;
	run_crowd(_metadata, device, variant, w, run);
	for (uint64_t i = 0; i < w->consumers; i++)
		visits += w->got[i].visits;
	EXPECT_LT(variant->flags & LAPPING ? 5 : 50, visits);
}

TEST_F_TIMEOUT(crowd, of_threads_that_come_and_go, 120)
{
	visit(_metadata, self->device, variant, self->w, run_threads);
}

TEST_F_TIMEOUT(crowd, of_processes_that_come_and_go, 120)
{
	visit(_metadata, self->device, variant, self->w, run_processes);
}

TEST_HARNESS_MAIN
