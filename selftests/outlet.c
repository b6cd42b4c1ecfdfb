// SPDX-License-Identifier: MIT
/*
 * What becomes of messages when their ring is full, and that all are accounted
 * for: each policy alone, between threads, and with senders that are killed.
 */
#include <kselftest_harness.h>

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pinring/pinring.h>

#include "items.h"
#include "kills.h"

#define MS 1000000ll
#define LONG_NS (20 * 1000 * MS)
#define SLOTS 8

FIXTURE(outlet)
{
	struct pinring_device *device;
	struct pinring_region *region;
	struct pinring_spsc_producer p;
	struct pinring_spsc_consumer c;
	struct pinring_mpmc_producer mp, dp;
	struct pinring_mpmc_consumer mc, dc;
	struct pinring_sink sink, many, dead;
	struct pinring_outlet *o;
};

FIXTURE_SETUP(outlet)
{
	struct pinring_region_config config = PINRING_INIT(struct pinring_region_config);

	config.size = 1 << 20;
	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->region));
	ASSERT_EQ(0, pinring_spsc_create(self->region, "one", SLOTS, 8));
	ASSERT_EQ(0, pinring_mpmc_create(self->region, "many", SLOTS, 8, 32));
	ASSERT_EQ(0, pinring_mpmc_create(self->region, "dead", SLOTS, 8, 32));
	ASSERT_EQ(0, pinring_spsc_producer_open(self->region, "one", &self->p));
	ASSERT_EQ(0, pinring_spsc_consumer_open(self->region, "one", &self->c));
	ASSERT_EQ(0, pinring_mpmc_producer_open(self->region, "many", &self->mp));
	ASSERT_EQ(0, pinring_mpmc_consumer_open(self->region, "many", &self->mc));
	ASSERT_EQ(0, pinring_mpmc_producer_open(self->region, "dead", &self->dp));
	ASSERT_EQ(0, pinring_mpmc_consumer_open(self->region, "dead", &self->dc));
	self->sink = pinring_spsc_sink(&self->p);
	self->many = pinring_mpmc_sink(&self->mp, &self->mc);
	self->dead = pinring_mpmc_sink(&self->dp, NULL);
	self->o = NULL;
}

FIXTURE_TEARDOWN(outlet)
{
	pinring_outlet_close(self->o);
	pinring_mpmc_consumer_close(&self->dc);
	pinring_mpmc_producer_close(&self->dp);
	pinring_mpmc_consumer_close(&self->mc);
	pinring_mpmc_producer_close(&self->mp);
	pinring_spsc_consumer_close(&self->c);
	pinring_spsc_producer_close(&self->p);
	pinring_region_close(self->region);
	pinring_device_close(self->device);
}

static int policy(struct pinring_region *region, enum pinring_full full,
		  uint64_t high, uint64_t low, uint32_t parties)
{
	struct pinring_policy_config config = PINRING_INIT(struct pinring_policy_config);

	config.full = full;
	config.high = high;
	config.low = low;
	config.parties = parties;
	if (full == PINRING_FULL_WAIT)
		config.timeout_ns = MS;
	return pinring_policy_create(region, "policy", &config);
}

static int open_on(FIXTURE_DATA(outlet) *self, const struct pinring_sink *sink)
{
	return pinring_outlet_open(self->region, "policy", sink, &self->dead, &self->o);
}

static struct pinring_policy_info counts(struct pinring_region *region)
{
	struct pinring_policy_info info = PINRING_INIT(struct pinring_policy_info);

	if (pinring_policy_info(region, "policy", &info))
		memset(&info, 0xff, sizeof(info));
	return info;
}

/* Sends 1, 2, ... n; how many of them had that fate. */
static int send_all(struct pinring_outlet *o, uint64_t n, int fate)
{
	int k = 0;

	for (uint64_t i = 1; i <= n; i++)
		k += pinring_outlet_send(o, &i) == fate;
	return k;
}

/* ------------------------------------------------------------- each policy */
TEST_F(outlet, fail_leaves_the_message_with_the_sender)
{
	struct pinring_policy_info info;

	ASSERT_EQ(0, policy(self->region, PINRING_FULL_FAIL, 0, 0, 0));
	ASSERT_EQ(0, open_on(self, &self->sink));
	EXPECT_EQ(SLOTS, send_all(self->o, SLOTS, PINRING_PASSED));
	EXPECT_EQ(3, send_all(self->o, 3, -EAGAIN));
	info = counts(self->region);
	EXPECT_EQ((uint32_t)PINRING_FULL_FAIL, info.full);
	EXPECT_EQ(1u, info.outlets);
	EXPECT_EQ((uint64_t)SLOTS, info.passed);
	EXPECT_EQ(3u, info.refused);
	EXPECT_EQ(0u, info.dropped + info.diverted + info.overwritten + info.waited);
	pinring_spsc_close_consumer(&self->c);
	EXPECT_EQ(1, send_all(self->o, 1, -EPIPE));
	EXPECT_EQ(4u, counts(self->region).refused);
}

TEST_F(outlet, wait_gives_up_in_time_and_goes_on_when_there_is_room)
{
	uint64_t v;

	ASSERT_EQ(0, policy(self->region, PINRING_FULL_WAIT, 0, 0, 0));
	ASSERT_EQ(0, open_on(self, &self->sink));
	EXPECT_EQ(SLOTS, send_all(self->o, SLOTS, PINRING_PASSED));
	EXPECT_EQ(2, send_all(self->o, 2, -ETIMEDOUT));
	ASSERT_EQ(0, pinring_spsc_pop_u64(&self->c, &v));
	pinring_spsc_flush(&self->c);
	EXPECT_EQ(1, send_all(self->o, 1, PINRING_PASSED));
	EXPECT_EQ(2u, counts(self->region).waited);
	EXPECT_EQ(2u, counts(self->region).refused);
	EXPECT_EQ(SLOTS + 1u, counts(self->region).passed);
}

static bool there_seems_to_be_room(const void *side)
{
	return side;
}

static int races_to_lose;

static int push_after_others(const struct pinring_sink *sink, const void *item,
			     uint64_t bytes)
{
	(void)bytes;
	return races_to_lose-- ? -EAGAIN : pinring_spsc_push(sink->producer, item);
}

TEST_F(outlet, wait_goes_on_when_another_took_the_room)
{
	struct pinring_sink sink = self->sink;

	races_to_lose = 4;
	sink.push = push_after_others;
	sink.room.over = there_seems_to_be_room;
	ASSERT_EQ(0, policy(self->region, PINRING_FULL_WAIT, 0, 0, 1));
	ASSERT_EQ(0, open_on(self, &sink));
	EXPECT_EQ(1, send_all(self->o, 1, PINRING_PASSED));
	EXPECT_EQ(1u, counts(self->region).waited);
	EXPECT_EQ(0u, counts(self->region).refused);
}

TEST_F(outlet, drop_drops_the_new)
{
	uint64_t v;

	ASSERT_EQ(0, policy(self->region, PINRING_FULL_DROP, 0, 0, 0));
	ASSERT_EQ(0, open_on(self, &self->sink));
	EXPECT_EQ(SLOTS, send_all(self->o, SLOTS, PINRING_PASSED));
	EXPECT_EQ(5, send_all(self->o, 5, PINRING_DROPPED));
	for (uint64_t i = 1; i <= SLOTS; i++) {
		ASSERT_EQ(0, pinring_spsc_pop_u64(&self->c, &v));
		EXPECT_EQ(i, v);
	}
	EXPECT_EQ(-EAGAIN, pinring_spsc_pop_u64(&self->c, &v));
	EXPECT_EQ(5u, counts(self->region).dropped);
	EXPECT_EQ((uint64_t)SLOTS, counts(self->region).passed);
}

TEST_F(outlet, overwrite_loses_the_oldest)
{
	uint64_t v;

	ASSERT_EQ(0, policy(self->region, PINRING_FULL_OVERWRITE, 0, 0, 0));
	ASSERT_EQ(0, open_on(self, &self->many));
	EXPECT_EQ(SLOTS + 5, send_all(self->o, SLOTS + 5, PINRING_PASSED));
	for (uint64_t i = 1; i <= SLOTS; i++) {
		ASSERT_EQ(0, pinring_mpmc_pop_u64(&self->mc, &v));
		EXPECT_EQ(5 + i, v);
	}
	EXPECT_EQ(-EAGAIN, pinring_mpmc_pop_u64(&self->mc, &v));
	EXPECT_EQ(5u, counts(self->region).overwritten);
	EXPECT_EQ(SLOTS + 5u, counts(self->region).passed);
}

TEST_F(outlet, overwrite_waits_for_no_reserved_slot)
{
	struct pinring_mpmc_producer slow;

	ASSERT_EQ(0, policy(self->region, PINRING_FULL_OVERWRITE, 0, 0, 0));
	ASSERT_EQ(0, pinring_mpmc_producer_open(self->region, "many", &slow));
	ASSERT_EQ(1, pinring_mpmc_reserve(&slow, 1));
	ASSERT_EQ(0, open_on(self, &self->many));
	EXPECT_EQ(SLOTS - 1, send_all(self->o, SLOTS - 1, PINRING_PASSED));
	EXPECT_EQ(1, send_all(self->o, 1, -EAGAIN));
	pinring_mpmc_abort(&slow);
	EXPECT_EQ(1, send_all(self->o, 1, PINRING_PASSED));
	pinring_mpmc_producer_close(&slow);
}

TEST_F(outlet, overwrite_goes_on_behind_a_dead_producer)
{
	pid_t pid = fork();
	int status;

	ASSERT_LE(0, pid);
	if (!pid) {
		struct pinring_mpmc_producer p;

		if (pinring_mpmc_producer_open(self->region, "many", &p) ||
		    pinring_mpmc_reserve(&p, 1) != 1)
			_exit(1);
		raise(SIGKILL);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));
	ASSERT_EQ(0, policy(self->region, PINRING_FULL_OVERWRITE, 0, 0, 0));
	ASSERT_EQ(0, open_on(self, &self->many));
	EXPECT_EQ(3 * SLOTS, send_all(self->o, 3 * SLOTS, PINRING_PASSED));
}

TEST_F(outlet, divert_sends_the_new_to_the_dead_letters)
{
	uint64_t v;

	ASSERT_EQ(0, policy(self->region, PINRING_FULL_DIVERT, 0, 0, 0));
	ASSERT_EQ(0, open_on(self, &self->sink));
	EXPECT_EQ(SLOTS, send_all(self->o, SLOTS, PINRING_PASSED));
	EXPECT_EQ(SLOTS, send_all(self->o, SLOTS, PINRING_DIVERTED));
	/* Both are full: it stays with the sender. */
	EXPECT_EQ(2, send_all(self->o, 2, -EAGAIN));
	for (uint64_t i = 1; i <= SLOTS; i++) {
		ASSERT_EQ(0, pinring_mpmc_pop_u64(&self->dc, &v));
		EXPECT_EQ(i, v);
	}
	EXPECT_EQ((uint64_t)SLOTS, counts(self->region).diverted);
	EXPECT_EQ(2u, counts(self->region).refused);
}

/* ------------------------------------------------------------------- marks */
struct crossing {
	int above, below;
	uint64_t fill;
};

static void crossed(void *arg, bool above, uint64_t fill)
{
	struct crossing *k = arg;

	k->above += above;
	k->below += !above;
	k->fill = fill;
}

TEST_F(outlet, marks_are_crossed_once_each)
{
	struct crossing k = { 0 };
	struct pinring_wait low;
	uint64_t v;

	ASSERT_EQ(0, policy(self->region, PINRING_FULL_FAIL, 6, 2, 1));
	ASSERT_EQ(0, open_on(self, &self->sink));
	pinring_outlet_watch(self->o, crossed, &k);
	low = pinring_outlet_when_low(self->o);
	for (int round = 1; round <= 3; round++) {
		EXPECT_EQ(6u, pinring_outlet_credit(self->o));
		EXPECT_EQ(5, send_all(self->o, 5, PINRING_PASSED));
		EXPECT_EQ(round - 1, k.above);
		EXPECT_EQ(1u, pinring_outlet_credit(self->o));
		EXPECT_EQ(1, send_all(self->o, 1, PINRING_PASSED));
		EXPECT_EQ(round, k.above);
		EXPECT_EQ(6u, k.fill);
		EXPECT_EQ(0u, pinring_outlet_credit(self->o));
		EXPECT_EQ(2, send_all(self->o, 2, PINRING_PASSED));
		EXPECT_EQ(round, k.above);
		EXPECT_EQ(-ETIMEDOUT, pinring_wait_any(&low, 1, NULL, 0));
		for (int i = 0; i < 5; i++) {
			ASSERT_EQ(0, pinring_spsc_pop_u64(&self->c, &v));
		}
		pinring_spsc_flush(&self->c);
		EXPECT_EQ(-ETIMEDOUT, pinring_wait_any(&low, 1, NULL, 0));
		EXPECT_EQ(3u, pinring_outlet_credit(self->o));
		EXPECT_EQ(round - 1, k.below);
		ASSERT_EQ(0, pinring_spsc_pop_u64(&self->c, &v));
		pinring_spsc_flush(&self->c);
		EXPECT_EQ(0, pinring_wait_any(&low, 1, NULL, 0));
		EXPECT_EQ(4u, pinring_outlet_credit(self->o));
		EXPECT_EQ(round, k.below);
		EXPECT_EQ(2u, k.fill);
		EXPECT_EQ((uint64_t)round, counts(self->region).crossings);
		for (int i = 0; i < 2; i++) {
			ASSERT_EQ(0, pinring_spsc_pop_u64(&self->c, &v));
		}
		pinring_spsc_flush(&self->c);
	}
}

/* Whichever of them it is: one looks in time. */
TEST_F(outlet, senders_do_not_pass_the_mark_together)
{
	struct pinring_outlet *other;
	struct crossing k = { 0 };

	ASSERT_EQ(0, policy(self->region, PINRING_FULL_FAIL, 7, 2, 2));
	ASSERT_EQ(0, open_on(self, &self->many));
	ASSERT_EQ(0, pinring_outlet_open(self->region, "policy", &self->many, NULL,
					 &other));
	pinring_outlet_watch(self->o, crossed, &k);
	pinring_outlet_watch(other, crossed, &k);
	for (int i = 0; i < 7; i++) {
		EXPECT_EQ(0, k.above);
		EXPECT_EQ(1, send_all(i % 2 ? other : self->o, 1, PINRING_PASSED));
	}
	EXPECT_EQ(1, k.above);
	pinring_outlet_close(other);
}

TEST_F(outlet, without_marks_credit_is_what_is_free)
{
	ASSERT_EQ(0, policy(self->region, PINRING_FULL_FAIL, 0, 0, 0));
	ASSERT_EQ(0, open_on(self, &self->many));
	EXPECT_EQ((uint64_t)SLOTS, pinring_outlet_credit(self->o));
	EXPECT_EQ(3, send_all(self->o, 3, PINRING_PASSED));
	EXPECT_EQ(SLOTS - 3u, pinring_outlet_credit(self->o));
	EXPECT_EQ(SLOTS - 3, send_all(self->o, SLOTS, PINRING_PASSED));
	EXPECT_EQ(0u, pinring_outlet_credit(self->o));
}

/* ------------------------------------------------------------------ misuse */
TEST_F(outlet, nonsense_is_refused)
{
	static const struct pinring_policy_config bad[] = {
		{ .full = 5 },
		{ .full = UINT32_MAX },
		{ .parties = 257 },
		{ .full = PINRING_FULL_WAIT, .timeout_ns = -1 },
		{ .full = PINRING_FULL_DROP, .timeout_ns = 1 },
		{ .low = 1 },
		{ .high = 4, .low = 4 },
		{ .high = 4, .low = 5 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct pinring_policy_config config = bad[i];

		config.struct_size = sizeof(config);
		EXPECT_EQ(-EINVAL, pinring_policy_create(self->region, "policy", &config))
			TH_LOG("case %zu", i);
	}
	ASSERT_EQ(0, policy(self->region, PINRING_FULL_DROP, 0, 0, 0));
	EXPECT_EQ(-EEXIST, policy(self->region, PINRING_FULL_DROP, 0, 0, 0));
	EXPECT_EQ(-ENOENT, pinring_outlet_open(self->region, "nobody", &self->sink, NULL,
					       &self->o));
	EXPECT_EQ(-EINVAL, pinring_outlet_open(self->region, "one", &self->sink, NULL,
					       &self->o));
	EXPECT_EQ(NULL, self->o);
}

TEST_F(outlet, what_the_sinks_lack_is_said)
{
	static const struct {
		enum pinring_full full;
		uint64_t high;
		bool letters;
		const char *word;
	} cases[] = {
		{ PINRING_FULL_OVERWRITE, 0, true, "only the consumer" },
		{ PINRING_FULL_DIVERT, 0, false, "dead letters" },
		{ PINRING_FULL_DROP, SLOTS + 1, false, "high mark" },
	};
	char name[8];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pinring_policy_config config =
			PINRING_INIT(struct pinring_policy_config);

		snprintf(name, sizeof(name), "p%zu", i);
		config.full = cases[i].full;
		config.high = cases[i].high;
		ASSERT_EQ(0, pinring_policy_create(self->region, name, &config));
		EXPECT_EQ(-EINVAL,
			  pinring_outlet_open(self->region, name, &self->sink,
					      cases[i].letters ? &self->dead : NULL,
					      &self->o));
		EXPECT_NE(NULL, strstr(pinring_error(), cases[i].word))
			TH_LOG("%s", pinring_error());
	}
	ASSERT_EQ(0, policy(self->region, PINRING_FULL_DIVERT, 0, 0, 0));
	self->dead.item_bytes = 16;
	EXPECT_EQ(-EINVAL, open_on(self, &self->sink));
}

TEST_F(outlet, sinks_that_do_not_go_together_are_refused)
{
	struct pinring_broadcast_producer lapping;
	struct pinring_priority_producer none;
	struct pinring_bytes_producer large, small;
	struct pinring_sink sink, letters;

	ASSERT_EQ(0, pinring_bytes_create(self->region, "large", 256));
	ASSERT_EQ(0, pinring_bytes_create(self->region, "small", 128));
	ASSERT_EQ(0, pinring_bytes_producer_open(self->region, "large", &large));
	ASSERT_EQ(0, pinring_bytes_producer_open(self->region, "small", &small));
	ASSERT_EQ(0, pinring_broadcast_create(self->region, "all", SLOTS, 8,
					      PINRING_BROADCAST_LAPPING, 4));
	ASSERT_EQ(0, pinring_broadcast_producer_open(self->region, "all", &lapping));
	ASSERT_EQ(0, policy(self->region, PINRING_FULL_DIVERT, 4, 2, 0));

	/* Letters have to be able to take whatever the ring takes. */
	sink = pinring_bytes_sink(&large);
	letters = pinring_bytes_sink(&small);
	EXPECT_EQ(-EINVAL, open_on(self, &sink));
	EXPECT_EQ(-EINVAL, pinring_outlet_open(self->region, "policy", &sink, &letters,
					       &self->o));
	EXPECT_EQ(0, pinring_outlet_open(self->region, "policy", &letters, &sink, &self->o));
	pinring_outlet_close(self->o);
	EXPECT_EQ(0, pinring_outlet_open(self->region, "policy", &self->sink, &letters,
					 &self->o));
	/* A message is of the size that the slots have. */
	EXPECT_EQ(-EMSGSIZE, pinring_outlet_send_bytes(self->o, "sixteen is two!", 16));
	EXPECT_EQ(0, pinring_outlet_send_bytes(self->o, "eight is", 8));
	pinring_outlet_close(self->o);

	/* Never full: there is nothing to mark. */
	sink = pinring_broadcast_sink(&lapping);
	EXPECT_EQ(-EINVAL, open_on(self, &sink));
	EXPECT_NE(NULL, strstr(pinring_error(), "lapping"));
	/* No such lane, which the handle is not even asked about. */
	sink = pinring_priority_sink(&none, PINRING_PRIORITY_LANES, NULL);
	EXPECT_EQ(-EINVAL, open_on(self, &sink));
	EXPECT_NE(NULL, strstr(pinring_error(), "lane"));
	pinring_broadcast_producer_close(&lapping);
	pinring_bytes_producer_close(&small);
	pinring_bytes_producer_close(&large);
}

TEST_F(outlet, a_lapping_ring_overwrites_by_itself)
{
	struct pinring_broadcast_producer p;
	struct pinring_broadcast_consumer c;
	struct pinring_sink sink;
	uint64_t v;

	ASSERT_EQ(0, pinring_broadcast_create(self->region, "all", SLOTS, 8,
					      PINRING_BROADCAST_LAPPING, 4));
	ASSERT_EQ(0, pinring_broadcast_producer_open(self->region, "all", &p));
	ASSERT_EQ(0, pinring_broadcast_consumer_open(self->region, "all",
						     PINRING_BROADCAST_AT_TAIL, &c));
	ASSERT_EQ(0, policy(self->region, PINRING_FULL_OVERWRITE, 0, 0, 0));
	sink = pinring_broadcast_sink(&p);
	ASSERT_EQ(0, open_on(self, &sink));
	EXPECT_EQ(SLOTS + 5, send_all(self->o, SLOTS + 5, PINRING_PASSED));
	while (!pinring_broadcast_pop_u64(&c, &v)) {
		EXPECT_LT(5, v);
	}
	EXPECT_EQ(counts(self->region).passed,
		  pinring_broadcast_received(&c) + pinring_broadcast_missed(&c));
	EXPECT_LE(5u, pinring_broadcast_missed(&c));
	EXPECT_EQ(0u, counts(self->region).overwritten);
	pinring_broadcast_consumer_close(&c);
	pinring_broadcast_producer_close(&p);
}

TEST_F(outlet, a_byte_ring_is_watched_in_bytes)
{
	static const char text[40];
	struct pinring_bytes_producer p;
	struct pinring_bytes_consumer c;
	struct crossing k = { 0 };
	struct pinring_sink sink;
	uint64_t used = 0, v[5], bytes = sizeof(v);

	ASSERT_EQ(0, pinring_bytes_create(self->region, "bytes", 1024));
	ASSERT_EQ(0, pinring_bytes_producer_open(self->region, "bytes", &p));
	ASSERT_EQ(0, pinring_bytes_consumer_open(self->region, "bytes", &c));
	ASSERT_EQ(0, policy(self->region, PINRING_FULL_FAIL, 512, 128, 1));
	sink = pinring_bytes_sink(&p);
	ASSERT_EQ(0, open_on(self, &sink));
	EXPECT_EQ(-EINVAL, pinring_outlet_send(self->o, text));
	EXPECT_EQ(512u, pinring_outlet_credit(self->o));
	pinring_outlet_watch(self->o, crossed, &k);
	for (uint64_t n = 0; used < 512; n = (n + 7) % sizeof(text)) {
		EXPECT_EQ(0, k.above);
		ASSERT_EQ(0, pinring_outlet_send_bytes(self->o, text, n));
		used += pinring_bytes_record(n);
	}
	EXPECT_EQ(1, k.above);
	EXPECT_EQ(used, k.fill);
	while (!pinring_bytes_pop(&c, v, &bytes)) {
		bytes = sizeof(v);
	}
	EXPECT_EQ(512u, pinring_outlet_credit(self->o));
	EXPECT_EQ(1, k.below);
	EXPECT_EQ(-EMSGSIZE, pinring_outlet_send_bytes(self->o, text, 1000));
	pinring_bytes_consumer_close(&c);
	pinring_bytes_producer_close(&p);
}

TEST_F(outlet, a_damaged_policy_is_refused)
{
	struct pinring_policy_info info = PINRING_INIT(struct pinring_policy_info);
	struct pinring_object_info object;
	unsigned char *h;

	ASSERT_EQ(0, policy(self->region, PINRING_FULL_DROP, 0, 0, 0));
	ASSERT_EQ(0, pinring_object_find(self->region, "policy", &object));
	h = pinring_region_at(self->region, object.offset, object.length);
	for (size_t i = 0; i < sizeof(struct pinring_policy_header); i++) {
		h[i] ^= 0x40;
		EXPECT_EQ(-EINVAL, open_on(self, &self->sink)) TH_LOG("byte %zu", i);
		EXPECT_EQ(-EINVAL, pinring_policy_info(self->region, "policy", &info));
		h[i] ^= 0x40;
	}
	EXPECT_EQ(0, open_on(self, &self->sink));
}

TEST_F(outlet, one_too_many_is_refused_and_the_dead_make_room)
{
	struct pinring_outlet *second = NULL, *third;
	int status;
	pid_t pid;

	ASSERT_EQ(0, policy(self->region, PINRING_FULL_DROP, 0, 0, 2));
	ASSERT_EQ(0, open_on(self, &self->sink));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (pinring_outlet_open(self->region, "policy", &self->many, NULL, &second))
			_exit(1);
		send_all(second, 3, PINRING_PASSED);
		raise(SIGKILL);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(2u, counts(self->region).outlets);
	ASSERT_EQ(0, pinring_outlet_open(self->region, "policy", &self->many, NULL, &second));
	EXPECT_EQ(-EUSERS,
		  pinring_outlet_open(self->region, "policy", &self->many, NULL, &third));
	/* The dead one's counts stay, and its successor counts on. */
	EXPECT_EQ(2, send_all(second, 2, PINRING_PASSED));
	EXPECT_EQ(5u, counts(self->region).passed);
	pinring_outlet_close(second);
	EXPECT_EQ(5u, counts(self->region).passed);
	EXPECT_EQ(1u, counts(self->region).outlets);
}

/* ------------------------------------------------------- all are accounted for */
#define SENDERS 3

struct sender {
	struct pinring_region *region;
	uint64_t items;
	uint64_t sent; /* calls that returned 0 or more */
	int rc;
};

static void send_through_policy(struct sender *s, uint64_t *sent)
{
	struct pinring_mpmc_producer p, d;
	struct pinring_mpmc_consumer c;
	struct pinring_sink sink, dead;
	struct pinring_outlet *o = NULL;

	s->rc = pinring_mpmc_producer_open(s->region, "many", &p);
	if (!s->rc)
		s->rc = pinring_mpmc_consumer_open(s->region, "many", &c);
	if (!s->rc)
		s->rc = pinring_mpmc_producer_open(s->region, "dead", &d);
	if (s->rc)
		return;
	sink = pinring_mpmc_sink(&p, &c);
	dead = pinring_mpmc_sink(&d, NULL);
	s->rc = pinring_outlet_open(s->region, "policy", &sink, &dead, &o);
	for (uint64_t i = 0; i < s->items && !s->rc; i++) {
		int rc = pinring_outlet_send(o, &i);

		if (rc >= 0)
			__atomic_store_n(sent, *sent + 1, __ATOMIC_RELAXED);
		else if (rc != -EAGAIN && rc != -ETIMEDOUT)
			s->rc = rc;
	}
	pinring_outlet_close(o);
	pinring_mpmc_producer_close(&d);
	pinring_mpmc_consumer_close(&c);
	pinring_mpmc_producer_close(&p);
}

static void *sender_thread(void *arg)
{
	struct sender *s = arg;

	send_through_policy(s, &s->sent);
	return NULL;
}

static uint64_t drain(struct pinring_mpmc_consumer *c)
{
	uint64_t n = 0, v;

	while (!pinring_mpmc_pop_u64(c, &v))
		n++;
	return n;
}

static const enum pinring_full lossy[] = { PINRING_FULL_WAIT, PINRING_FULL_DROP,
					   PINRING_FULL_OVERWRITE, PINRING_FULL_DIVERT };

TEST_F(outlet, threads_lose_nothing_uncounted)
{
	for (size_t k = 0; k < ARRAY_SIZE(lossy); k++) {
		struct pinring_policy_config config =
			PINRING_INIT(struct pinring_policy_config);
		struct pinring_policy_info info = PINRING_INIT(struct pinring_policy_info);
		struct sender s[SENDERS] = { 0 };
		uint64_t sent = 0, got = 0, letters = 0;
		pthread_t threads[SENDERS];
		uint64_t running = SENDERS;

		/* One policy after the other, under the name the senders know. */
		FIXTURE_DATA(outlet) fresh = *self;
		struct pinring_region_config rc = PINRING_INIT(struct pinring_region_config);

		rc.size = 1 << 20;
		ASSERT_EQ(0, pinring_region_create(self->device, &rc, &fresh.region));
		ASSERT_EQ(0, pinring_mpmc_create(fresh.region, "many", SLOTS, 8, 32));
		ASSERT_EQ(0, pinring_mpmc_create(fresh.region, "dead", SLOTS, 8, 32));
		ASSERT_EQ(0, pinring_mpmc_consumer_open(fresh.region, "many", &fresh.mc));
		ASSERT_EQ(0, pinring_mpmc_consumer_open(fresh.region, "dead", &fresh.dc));
		config.full = lossy[k];
		if (config.full == PINRING_FULL_WAIT)
			config.timeout_ns = PINRING_FOREVER;
		ASSERT_EQ(0, pinring_policy_create(fresh.region, "policy", &config));
		for (int i = 0; i < SENDERS; i++) {
			s[i].region = fresh.region;
			s[i].items = 30000;
			ASSERT_EQ(0, pthread_create(&threads[i], NULL, sender_thread, &s[i]));
		}
		while (running) {
			got += drain(&fresh.mc);
			if (got % 3 == 0)
				letters += drain(&fresh.dc);
			sched_yield();
			for (int i = 0; i < SENDERS; i++) {
				if (threads[i] && !pthread_tryjoin_np(threads[i], NULL)) {
					threads[i] = 0;
					running--;
				}
			}
		}
		got += drain(&fresh.mc);
		letters += drain(&fresh.dc);
		for (int i = 0; i < SENDERS; i++) {
			EXPECT_EQ(0, s[i].rc);
			sent += s[i].sent;
		}
		ASSERT_EQ(0, pinring_policy_info(fresh.region, "policy", &info));
		EXPECT_EQ(sent, info.passed + info.dropped + info.diverted);
		EXPECT_EQ(got, info.passed - info.overwritten);
		EXPECT_EQ(letters, info.diverted);
		EXPECT_EQ(SENDERS * 30000ull, sent + info.refused);
		EXPECT_EQ(0u, info.outlets);
		if (config.full == PINRING_FULL_WAIT) {
			EXPECT_EQ(SENDERS * 30000ull, got);
		}
		pinring_mpmc_consumer_close(&fresh.dc);
		pinring_mpmc_consumer_close(&fresh.mc);
		pinring_region_close(fresh.region);
	}
}

/*
 * Killed in a send, a process leaves one message of which the counts do not
 * tell: each sum may be off by one for each of the dead, and by no more.
 */
TEST_F_TIMEOUT(outlet, the_killed_leave_one_message_each_in_doubt, 120)
{
	const uint64_t kills = SANITIZED ? 30 : 150;
	struct dice d = { (uint64_t)getpid() };
	struct pinring_policy_info info;
	struct pinring_mpmc_info ring = PINRING_INIT(struct pinring_mpmc_info);
	uint64_t *sent, got = 0;

	sent = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, sent);
	ASSERT_EQ(0, policy(self->region, PINRING_FULL_OVERWRITE, 0, 0, 4));
	for (uint64_t i = 0; i < kills; i++) {
		struct sender s = { .region = self->region, .items = UINT64_MAX };
		struct timespec t = { .tv_nsec = (long)roll(&d, 1000000) };
		uint64_t before = *sent;
		int status;
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid) {
			send_through_policy(&s, sent);
			_exit(1);
		}
		if (i % 2)
			got += drain(&self->mc);
		while (__atomic_load_n(sent, __ATOMIC_RELAXED) == before &&
		       !waitpid(pid, &status, WNOHANG))
			sched_yield();
		nanosleep(&t, NULL);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));
	}
	pinring_mpmc_repair(&self->mc.side);
	got += drain(&self->mc);
	info = counts(self->region);
	ASSERT_EQ(0, pinring_mpmc_info(&self->mc.side, &ring));
	EXPECT_LE(kills, *sent);
	EXPECT_LE(*sent, info.passed + kills);
	EXPECT_LE(info.passed, *sent + kills);
	EXPECT_LE(got + info.overwritten, info.passed + 2 * kills);
	EXPECT_LE(info.passed, got + info.overwritten + ring.lost + 2 * kills);
	TH_LOG("%llu sent, %llu passed, %llu overwritten, %llu received, %llu lost",
	       (unsigned long long)*sent, (unsigned long long)info.passed,
	       (unsigned long long)info.overwritten, (unsigned long long)got,
	       (unsigned long long)ring.lost);
	LOG_KILLS(kills);
	munmap(sent, 4096);
}

TEST_HARNESS_MAIN
