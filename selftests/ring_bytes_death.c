// SPDX-License-Identifier: MIT
/*
 * The byte ring and SIGKILL: whoever dies, wherever, what was published arrives
 * once, whole and in order, and is as much as was counted; what was not yet
 * given back is seen again, and nothing else.
 */
#include "kills.h"
#include "ring_bytes.h"

#define ROUNDS 300 /* peers that are killed, one after the other */

struct death {
	uint64_t going; /* messages about to be published */
	uint64_t gone; /* published */
	uint64_t reserved; /* while between reserve and publish */
};

enum last_step { RESERVED, HALF_FILLED, STAGED, STEPS };

/*
 * Sends for ever messages whose content is where they lie. Kills itself at a
 * step of turn number `turns`; never, if that is 0.
 */
static void produce_until_killed(struct pinring_region *r, struct death *death,
				 uint64_t turns, enum last_step step)
{
	struct pinring_bytes_producer p;
	struct dice dice = { turns + 1 };
	unsigned int spins = 0;
	uint64_t staged = 0;

	take_cpu(1);
	if (pinring_bytes_producer_open(r, "large", &p))
		_exit(1);
	for (uint64_t turn = 1;; turn++) {
		const bool last = turn == turns;
		uint64_t bytes = roll(&dice, 100);
		void *slot = NULL;
		int rc;

		/* Before reserve, which publishes when it finds no room. */
		__atomic_store_n(&death->going, death->gone + staged, __ATOMIC_RELEASE);
		rc = pinring_bytes_reserve(&p, bytes, &slot);
		if (rc == -EAGAIN) {
			__atomic_store_n(&death->gone, death->going, __ATOMIC_RELEASE);
			staged = 0;
			turn--;
			wait_a_little(&spins);
			continue;
		}
		if (rc)
			_exit(2);
		__atomic_store_n(&death->reserved, 1, __ATOMIC_RELAXED);
		if (last && step == RESERVED)
			raise(SIGKILL);
		memset(slot, 0xff, bytes); /* never to be seen */
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
		fill(slot, bytes / 2, p.record);
		if (last && step == HALF_FILLED)
			raise(SIGKILL);
		fill(slot, bytes, p.record);
		pinring_bytes_stage(&p, bytes);
		staged++;
		if (last && step == STAGED)
			raise(SIGKILL);
		if (roll(&dice, 3))
			continue;
		__atomic_store_n(&death->going, death->gone + staged, __ATOMIC_RELEASE);
		pinring_bytes_publish(&p);
		__atomic_store_n(&death->gone, death->going, __ATOMIC_RELEASE);
		__atomic_store_n(&death->reserved, 0, __ATOMIC_RELAXED);
		staged = 0;
	}
}

/*
 * What is there, up to `most`; how many, or UINT64_MAX if one is not what was
 * sent.
 */
static uint64_t drain(struct pinring_bytes_consumer *c, uint64_t most)
{
	uint64_t bytes = 0, got = 0;
	const void *at = NULL;
	int rc = 0;

	while (got < most && !(rc = pinring_bytes_peek(c, &at, &bytes))) {
		if (!filled(at, bytes, c->next - pinring_bytes_record(bytes)))
			return UINT64_MAX;
		pinring_bytes_release(c);
		got++;
	}
	return !rc || rc == -EAGAIN ? got : UINT64_MAX;
}

/*
 * Three hundred producers, one reader: a sequence without a gap, and as many as
 * were published. The ring is so large that a producer has room to work in while
 * the signal travels.
 */
TEST_F_TIMEOUT(ring, killing_the_producer_at_any_point_loses_nothing, 120)
{
	struct death *death = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct pinring_bytes_consumer c;
	uint64_t got = 0;
	int in_between = 0;

	take_cpu(0);
	ASSERT_EQ(0, pinring_bytes_create(self->r, "large", 65536));
	ASSERT_EQ(0, pinring_bytes_consumer_open(self->r, "large", &c));
	for (int round = 0; round < ROUNDS; round++) {
		/* The odd ones die by themselves, the others when we say. */
		uint64_t turns = round % 2 ? 1 + item_mix((uint64_t)round) % 300 : 0;
		enum last_step step = (enum last_step)(round / 2 % STEPS);
		uint64_t until = c.read + item_mix((uint64_t)round) % 300000;
		unsigned int spins = 0;
		int status = 0;
		bool dead = false;
		pid_t pid;

		death->gone = death->going = got;
		death->reserved = 0;
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			produce_until_killed(self->r, death, turns, step);
		while (!dead) {
			uint64_t n = drain(&c, 100);

			ASSERT_NE(UINT64_MAX, n)
				TH_LOG("round %d: a wrong message at %llu", round,
				       (unsigned long long)c.read);
			got += n;
			if (!n)
				wait_a_little(&spins);
			if (!turns && c.read >= until)
				kill(pid, SIGKILL);
			if (c.read >= until || turns)
				dead = waitpid(pid, &status, WNOHANG) == pid;
		}
		ASSERT_TRUE(WIFSIGNALED(status));
		ASSERT_EQ(SIGKILL, WTERMSIG(status));
		got += drain(&c, UINT64_MAX);
		ASSERT_LE(death->gone, got);
		ASSERT_GE(turns ? death->gone : death->going, got);
		in_between += !turns && death->reserved;
	}
	TH_LOG("%llu messages; of those we killed, %d were between reserve and publish",
	       (unsigned long long)got, in_between);
	LOG_KILLS(ROUNDS);
	pinring_bytes_consumer_close(&c);
	munmap(death, 4096);
}

/* Its number, and what goes with that number. */
static int send_number(struct pinring_bytes_producer *p, uint64_t number)
{
	uint64_t bytes = 8 + item_mix(number) % 1000;
	unsigned char *to;
	void *slot = NULL;
	int rc = pinring_bytes_reserve(p, bytes, &slot);

	if (rc)
		return rc;
	to = slot;
	memcpy(to, &number, 8);
	fill(to + 8, bytes - 8, number);
	pinring_bytes_commit(p, bytes);
	return 0;
}

/* Peeks at a message; its number, or a negative error. */
static int64_t see_number(struct pinring_bytes_consumer *c)
{
	const void *message = NULL;
	const unsigned char *from;
	uint64_t bytes = 0;
	int64_t number;
	int rc = pinring_bytes_peek(c, &message, &bytes);

	if (rc)
		return rc;
	from = message;
	memcpy(&number, from, 8);
	if (bytes != 8 + item_mix((uint64_t)number) % 1000 ||
	    !filled(from + 8, bytes - 8, (uint64_t)number))
		return -EBADMSG;
	return number;
}

struct witness {
	int64_t first; /* the first message this reader saw; -1: none yet */
	int64_t next; /* behind the last message any reader saw */
	uint64_t released; /* up to this position */
};

/*
 * Reads for ever. Kills itself at message number `turns`, before it is released
 * if that is odd and behind if even; never, if that is 0.
 */
static void consume_until_killed(struct pinring_region *r, struct witness *witness,
				 uint64_t turns)
{
	struct pinring_bytes_consumer c;
	unsigned int spins = 0;
	int64_t expected = -1;

	take_cpu(1);
	if (pinring_bytes_consumer_open(r, "readers", &c))
		_exit(1);
	for (uint64_t turn = 1;; turn++) {
		int64_t number = see_number(&c);

		if (number == -EAGAIN) {
			turn--;
			wait_a_little(&spins);
			continue;
		}
		if (number < 0 || (expected >= 0 && number != expected))
			_exit(2);
		expected = number + 1;
		if (expected > witness->next)
			__atomic_store_n(&witness->next, expected, __ATOMIC_RELEASE);
		if (witness->first < 0)
			__atomic_store_n(&witness->first, number, __ATOMIC_RELEASE);
		__atomic_store_n(&witness->released, c.next, __ATOMIC_RELEASE);
		if (turn == turns && turn % 2)
			raise(SIGKILL);
		pinring_bytes_release(&c);
		if (turn == turns)
			raise(SIGKILL);
	}
}

/* The other side: none is lost, and few are seen twice. */
TEST_F_TIMEOUT(ring, killing_the_consumer_loses_nothing, 120)
{
	struct witness *witness = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct pinring_bytes_header *shared;
	struct pinring_bytes_producer p;
	struct pinring_bytes_consumer c;
	struct pinring_object_info o;
	int64_t sent = 0, next, number;
	int twice = 0;

	take_cpu(0);
	ASSERT_EQ(0, pinring_bytes_create(self->r, "readers", 8192));
	ASSERT_EQ(0, pinring_object_find(self->r, "readers", &o));
	shared = pinring_region_at(self->r, o.offset, sizeof(*shared));
	ASSERT_EQ(0, pinring_bytes_producer_open(self->r, "readers", &p));
	for (uint64_t round = 0; round < ROUNDS; round++) {
		/* The odd ones die by themselves, the others when we say. */
		const uint64_t turns = round % 2 ? 1 + item_mix(round) % 30 : 0;
		const int64_t before = witness->next;
		const int64_t until = before + (int64_t)(item_mix(round) % 300);
		unsigned int spins = 0;
		int status = 0;
		bool dead = false;
		pid_t pid;

		witness->first = -1;
		/* So that it does not give back what it reads for want of more. */
		while (turns && !send_number(&p, (uint64_t)sent))
			sent++;
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			consume_until_killed(self->r, witness, turns);
		while (!dead) {
			int rc = send_number(&p, (uint64_t)sent);

			ASSERT_TRUE(!rc || rc == -EAGAIN);
			if (!rc)
				sent++;
			else
				wait_a_little(&spins);
			if (!turns &&
			    __atomic_load_n(&witness->first, __ATOMIC_ACQUIRE) >= 0 &&
			    __atomic_load_n(&witness->next, __ATOMIC_ACQUIRE) >= until)
				kill(pid, SIGKILL);
			dead = waitpid(pid, &status, WNOHANG) == pid;
		}
		ASSERT_TRUE(WIFSIGNALED(status))
			TH_LOG("a reader left: %d", WEXITSTATUS(status));
		ASSERT_EQ(SIGKILL, WTERMSIG(status));
		/* Where this one began, the ones before it had been. */
		ASSERT_LE(witness->first, before);
		twice += witness->first < before;
		/* An eighth of the ring, and the one it was at, with a skip. */
		ASSERT_GT(8192 / 8 + 2 * 1016, witness->released - shared->head);
	}
	TH_LOG("%lld messages; %d readers saw some again", (long long)sent, twice);
	EXPECT_LT(100, twice); /* those that died before they released, and more */
	pinring_bytes_close_producer(&p);
	ASSERT_EQ(0, pinring_bytes_consumer_open(self->r, "readers", &c));
	for (next = -1; (number = see_number(&c)) >= 0; next = number + 1) {
		ASSERT_TRUE(next < 0 ? number <= witness->next : number == next);
		pinring_bytes_release(&c);
	}
	EXPECT_EQ(-EPIPE, number);
	EXPECT_EQ(sent, next < 0 ? witness->next : next);
	LOG_KILLS(ROUNDS);
	pinring_bytes_consumer_close(&c);
	pinring_bytes_producer_close(&p);
	munmap(witness, 4096);
}

TEST_HARNESS_MAIN
