// SPDX-License-Identifier: MIT
/*
 * The resizable ring in use: every message arrives once, whole and in order, in
 * one thread, between threads and between processes, whatever the verbs, while
 * the ring moves hundreds of times and its indices go over their end.
 */
#include <kselftest_harness.h>

#include <pthread.h>

#include <pinring/pinring.h>

#include "chain_sides.h"
#include "take_cpu.h"

/* ------------------------------------------------------------------ the walk */

FIXTURE(walk)
{
	struct pinring_device *device;
	struct pinring_region *r;
};

FIXTURE_SETUP(walk)
{
	struct pinring_region_config config = pinring_region_defaults(1 << 20);

	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->r));
}

FIXTURE_TEARDOWN(walk)
{
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

/* Every verb at random against what is true of any ring, over both wraps. */
static void random_walk(struct __test_metadata *_metadata,
			struct pinring_region *r, const char *name,
			const struct pinring_chain_config *config, uint64_t start)
{
	struct pinring_chain_producer p;
	struct pinring_chain_consumer c;
	struct dice d = { start };
	uint64_t held = 0, bias = 8;
	int64_t n;

	ASSERT_EQ(0, pinring_chain_create(r, name, config));
	chain_start_at(chain_header(r, name), start);
	ASSERT_EQ(0, pinring_chain_producer_open(r, name, &p));
	ASSERT_EQ(0, pinring_chain_consumer_open(r, name, &c));
	for (int i = 0; i < 200000; i++) {
		if (i % 512 == 0)
			bias = roll(&d, 17);
		if (roll(&d, 16) < bias) {
			n = chain_send(&p, &d, RUN);
			ASSERT_TRUE(n > 0 || (n == -EAGAIN &&
					      pinring_chain_free(&p) == 0 &&
					      p.mask + 1 == config->max_capacity));
			held += n > 0 ? (uint64_t)n : 0;
		} else {
			n = chain_receive(&c, &d, RUN);
			ASSERT_TRUE(n > 0 || (n == -EAGAIN && !held));
			held -= n > 0 ? (uint64_t)n : 0;
		}
		if (roll(&d, 1000) == 0) {
			ASSERT_EQ(0, pinring_chain_trim(&p));
		}
		ASSERT_EQ(held, pinring_chain_count(&c));
		ASSERT_LE(held, pinring_chain_capacity(&p));
		ASSERT_LE(pinring_chain_free(&p) + held,
			  pinring_chain_capacity(&p));
	}
	EXPECT_LT(20u, p.shared->grown);
	EXPECT_LT(20u, p.shared->shrunk);
	pinring_chain_producer_close(&p);
	pinring_chain_consumer_close(&c);
}

TEST_F(walk, loses_nothing)
{
	struct pinring_chain_config config = pinring_chain_defaults(2, 128, 8);
	char name[] = "w0";

	config.window = 2;
	config.check_interval = 3;
	random_walk(_metadata, self->r, name, &config, 0);
	name[1]++;
	config.factor = 8;
	config.low = 5;
	random_walk(_metadata, self->r, name, &config, 12345);
	name[1]++;
	config = pinring_chain_defaults(64, 4096, 24);
	config.window = 1;
	config.check_interval = 1;
	random_walk(_metadata, self->r, name, &config, 5);
}

TEST_F(walk, goes_over_the_end_of_the_indices)
{
	static const uint64_t starts[] = { (1ull << 59) - 1, (1ull << 59) - 1000,
					   (1ull << 58) - 7, (1ull << 59) - 100000 };
	struct pinring_chain_config config = pinring_chain_defaults(4, 64, 8);
	char name[] = "x0";

	config.window = 1;
	config.check_interval = 2;
	for (size_t i = 0; i < ARRAY_SIZE(starts); i++, name[1]++)
		random_walk(_metadata, self->r, name, &config, starts[i]);
}

/* ------------------------------------------------------------------ the flow */

FIXTURE(flow)
{
	struct pinring_device *device;
	struct pinring_region *r;
};

FIXTURE_VARIANT(flow)
{
	uint64_t min, max, slot_bytes, items;
	uint32_t factor, interval, window, low;
	bool trim;
};

FIXTURE_VARIANT_ADD(flow, to_64) { 2, 64, 8, 1000000, 2, 1, 1, 20, false };
FIXTURE_VARIANT_ADD(flow, to_1024) { 16, 1024, 8, 1000000, 2, 16, 2, 20, false };
FIXTURE_VARIANT_ADD(flow, by_8) { 4, 2048, 8, 1000000, 8, 8, 2, 5, false };
FIXTURE_VARIANT_ADD(flow, wide) { 8, 256, 512, 300000, 2, 8, 2, 20, false };
FIXTURE_VARIANT_ADD(flow, trimmed) { 512, 65536, 24, 1000000, 2, 64, 1, 20, true };

FIXTURE_SETUP(flow)
{
	struct pinring_chain_config ring = pinring_chain_defaults(
		variant->min, variant->max, variant->slot_bytes);
	struct pinring_region_config config = pinring_region_defaults(
		65536 + 2 * variant->max * variant->slot_bytes);

	ring.factor = variant->factor;
	ring.check_interval = variant->interval;
	ring.window = variant->window;
	ring.low = variant->low;
	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->r));
	ASSERT_EQ(0, pinring_chain_create(self->r, "ring", &ring));
	/* Half of the items before the wrap, half after it. */
	chain_start_at(chain_header(self->r, "ring"),
		       (1ull << 59) - variant->items / 2);
}

FIXTURE_TEARDOWN(flow)
{
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

struct job {
	struct pinring_chain_producer p;
	uint64_t items;
	bool trim;
	int failed_at;
};

static int produce(struct pinring_chain_producer *p, uint64_t items, bool trim)
{
	uint64_t last = (chain_sent(p) + items) & INDEX_MASK;
	unsigned int spins = 0;
	struct dice d = { 1 };
	bool was_full = false;

	take_cpu(1);
	while (chain_sent(p) != last) {
		int64_t n = chain_send(p, &d, (last - chain_sent(p)) & INDEX_MASK);

		if (n == -EAGAIN)
			wait_a_little(&spins);
		else if (n < 1)
			return __LINE__;
		was_full |= n == -EAGAIN;
		if (was_full)
			chain_pace_producer(p, &d);
		if (trim && roll(&d, 1000) == 0 && pinring_chain_trim(p))
			return __LINE__;
	}
	pinring_chain_close_producer(p);
	return 0;
}

static int consume(struct pinring_chain_consumer *c, uint64_t items,
		   uint64_t max)
{
	uint64_t last = (chain_got(c) + items) & INDEX_MASK;
	unsigned int spins = 0;
	struct dice d = { 2 };

	take_cpu(0);
	/* Full to the brim once, however fast this side is. */
	while (pinring_chain_count(c) < max)
		wait_a_little(&spins);
	for (;;) {
		int64_t n = chain_receive(c, &d, RUN);

		if (n == -EPIPE)
			return chain_got(c) == last ? 0 : __LINE__;
		if (n == -EAGAIN)
			wait_a_little(&spins);
		else if (n < 1)
			return __LINE__;
		chain_pace_consumer(c, &d);
	}
}

static void *producer_thread(void *arg)
{
	struct job *job = arg;

	job->failed_at = produce(&job->p, job->items, job->trim);
	return NULL;
}

static void expect_it_moved(struct __test_metadata *_metadata,
			    struct pinring_region *r)
{
	struct pinring_chain_info info = PINRING_INIT(struct pinring_chain_info);

	ASSERT_EQ(0, pinring_chain_info(r, "ring", &info));
	EXPECT_LT(0u, info.grown);
	EXPECT_LT(0u, info.shrunk);
	EXPECT_EQ(info.max_capacity, info.peak);
	EXPECT_EQ(0u, info.count);
	TH_LOG("%llu moves up, %llu down", (unsigned long long)info.grown,
	       (unsigned long long)info.shrunk);
}

TEST_F_TIMEOUT(flow, every_item_arrives_once_and_in_order_between_threads, 120)
{
	struct job job = { .items = variant->items / (SANITIZED ? 4 : 1),
			   .trim = variant->trim };
	struct pinring_chain_consumer c;
	pthread_t thread;

	ASSERT_EQ(0, pinring_chain_producer_open(self->r, "ring", &job.p));
	ASSERT_EQ(0, pinring_chain_consumer_open(self->r, "ring", &c));
	ASSERT_EQ(0, pthread_create(&thread, NULL, producer_thread, &job));
	EXPECT_EQ(0, consume(&c, job.items, variant->max));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, job.failed_at);
	pinring_chain_producer_close(&job.p);
	pinring_chain_consumer_close(&c);
	expect_it_moved(_metadata, self->r);
}

TEST_F_TIMEOUT(flow, every_item_arrives_once_and_in_order_between_processes, 120)
{
	uint64_t items = variant->items / (SANITIZED ? 4 : 1);
	struct pinring_chain_consumer c;
	int status;
	pid_t pid;

	ASSERT_EQ(0, pinring_chain_consumer_open(self->r, "ring", &c));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* By its descriptor, at an address of its own. */
		struct pinring_chain_producer p;
		struct pinring_region *mine;

		if (pinring_region_attach(self->device,
					  pinring_region_fd(self->r), &mine) ||
		    pinring_chain_producer_open(mine, "ring", &p))
			_exit(1);
		_exit(produce(&p, items, variant->trim) != 0);
	}
	EXPECT_EQ(0, consume(&c, items, variant->max));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	pinring_chain_consumer_close(&c);
	expect_it_moved(_metadata, self->r);
}

TEST_HARNESS_MAIN
