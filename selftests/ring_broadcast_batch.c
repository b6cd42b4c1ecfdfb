// SPDX-License-Identifier: MIT
/*
 * In the middle of a batch that is longer than the broadcast ring. The items to send
 * lie on two pages, and the second cannot be read: that stops the producer where we
 * want it. There it dies, or waits until a consumer has come.
 */
#include <kselftest_harness.h>

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "broadcast.h"

#define CAPACITY 64u
#define SENT (3 * CAPACITY)
#define STOP (2 * CAPACITY + 5) /* the first item that cannot be read */
#define PAGE 4096u
#define NAME 1000u

FIXTURE(batch)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_broadcast_producer p;
	struct pinring_broadcast_header *header;
	unsigned char *pages;
	uint64_t *items;
};

FIXTURE_VARIANT(batch)
{
	uint32_t flags;
	uint64_t first_ticket; /* of the ring's life */
};

#define OLD (UINT64_MAX - 3 * CAPACITY + 1)

FIXTURE_VARIANT_ADD(batch, gated) { 0, 0 };
FIXTURE_VARIANT_ADD(batch, gated_old) { 0, OLD };
FIXTURE_VARIANT_ADD(batch, lapping) { LAPPING, 0 };
FIXTURE_VARIANT_ADD(batch, lapping_old) { LAPPING, OLD };
FIXTURE_VARIANT_ADD(batch, gated_many) { MANY, 0 };
FIXTURE_VARIANT_ADD(batch, lapping_many) { LAPPING | MANY, 0 };

/* What happens there; a signal handler has no arguments. */
static struct {
	unsigned char *page;
	struct pinring_region *r; /* NULL: it dies */
	int stopped, go; /* atomic */
	struct pinring_broadcast_consumer c;
	int rc;
} there;

static void stop_there(int sig)
{
	(void)sig;
	if (!there.r)
		raise(SIGKILL);
	__atomic_store_n(&there.stopped, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&there.go, __ATOMIC_ACQUIRE))
		sched_yield();
}

static void *come_there(void *arg)
{
	while (!__atomic_load_n(&there.stopped, __ATOMIC_ACQUIRE))
		sched_yield();
	there.rc = pinring_broadcast_consumer_open(
		there.r, "ring", PINRING_BROADCAST_AT_TAIL, &there.c);
	mprotect(there.page, PAGE, PROT_READ);
	__atomic_store_n(&there.go, 1, __ATOMIC_RELEASE);
	return arg;
}

FIXTURE_SETUP(batch)
{
	struct pinring_region_config config = pinring_region_defaults(1 << 16);
	struct sigaction action = { .sa_handler = stop_there };
	struct pinring_object_info o;

	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->r));
	ASSERT_EQ(0, pinring_broadcast_create(self->r, "ring", CAPACITY, 8,
					      variant->flags, 8));
	ASSERT_EQ(0, pinring_object_find(self->r, "ring", &o));
	self->header = pinring_region_at(self->r, o.offset, o.length);
	if (variant->first_ticket)
		age(self->header, variant->first_ticket);
	ASSERT_EQ(0, pinring_broadcast_producer_open(self->r, "ring", &self->p));
	self->pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->pages);
	there.page = self->pages + PAGE;
	self->items = (uint64_t *)(void *)there.page - STOP;
	for (uint64_t i = 0; i < SENT; i++)
		self->items[i] = NAME + i;
	ASSERT_EQ(0, mprotect(there.page, PAGE, PROT_NONE));
	ASSERT_EQ(0, sigaction(SIGSEGV, &action, NULL));
}

FIXTURE_TEARDOWN(batch)
{
	pinring_broadcast_producer_close(&self->p);
	munmap(self->pages, 2 * PAGE);
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

/* All of them; of many a batch ends where the array does. */
static int64_t send_all(struct pinring_broadcast_producer *p, const uint64_t *items)
{
	int64_t n = 0, sent = 0;

	for (; sent < SENT && n >= 0; sent += n > 0 ? n : 0)
		n = pinring_broadcast_push_batch(p, items + sent,
						 SENT - (uint64_t)sent);
	return sent;
}

TEST_F(batch, is_no_trap_for_one_that_comes)
{
	uint64_t name, next;
	pthread_t thread;

	there.r = self->r;
	ASSERT_EQ(0, pthread_create(&thread, NULL, come_there, NULL));
	EXPECT_EQ(SENT, send_all(&self->p, self->items));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	ASSERT_EQ(0, there.rc);
	next = pop(&there.c);
	/* Of many, it begins behind what is reserved. */
	if (!variant->flags) {
		EXPECT_EQ(0, pinring_broadcast_missed(&there.c));
		EXPECT_LE(NAME + STOP - CAPACITY, next);
		EXPECT_GE(NAME + STOP + CAPACITY, next);
	}
	if (next != NOTHING) {
		while ((name = pop(&there.c)) != NOTHING) {
			ASSERT_EQ(++next, name);
		}
		EXPECT_EQ(NAME + SENT - 1, next);
	}
	ASSERT_EQ(0, push(&self->p, 5));
	EXPECT_EQ(5, pop(&there.c));
	pinring_broadcast_consumer_close(&there.c);
}

/* What it wrote and did not publish is never taken for what was there before. */
TEST_F(batch, one_that_dies_in_it_leaves_nothing_wrong)
{
	struct pinring_broadcast_consumer c;
	uint64_t name, seen = 0;
	int status;
	pid_t pid;

	ASSERT_EQ(0, pinring_broadcast_consumer_open(
			     self->r, "ring", PINRING_BROADCAST_AT_TAIL, &c));
	for (uint64_t i = 0; i < CAPACITY - 1; i++) {
		ASSERT_EQ(0, push(&self->p, i));
		if (!(variant->flags & LAPPING)) {
			ASSERT_EQ(i, pop(&c));
		}
	}
	pinring_broadcast_producer_close(&self->p);
	if (!(variant->flags & LAPPING))
		pinring_broadcast_consumer_close(&c); /* it would gate */
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		there.r = NULL;
		if (!pinring_broadcast_producer_open(self->r, "ring", &self->p))
			send_all(&self->p, self->items);
		_exit(1);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	ASSERT_EQ(0, pinring_broadcast_producer_open(self->r, "ring", &self->p));
	if (!(variant->flags & LAPPING)) {
		ASSERT_EQ(0, pinring_broadcast_consumer_open(
				     self->r, "ring", PINRING_BROADCAST_AT_OLDEST,
				     &c));
	}
	pinring_broadcast_repair(&self->p.side);
	ASSERT_EQ(0, push(&self->p, 5));
	for (; (name = pop(&c)) != NOTHING; seen++) {
		uint64_t at = c.read - 1 - variant->first_ticket;

		if (name == 5)
			continue;
		ASSERT_EQ(at < CAPACITY - 1 ? at : NAME + at - (CAPACITY - 1), name);
	}
	EXPECT_LT(0, seen);
	pinring_broadcast_consumer_close(&c);
}

TEST_HARNESS_MAIN
