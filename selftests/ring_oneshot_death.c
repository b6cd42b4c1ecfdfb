// SPDX-License-Identifier: MIT
/*
 * Replies and SIGKILL: whoever dies, at whichever instruction, nobody waits for
 * ever, no slot is lost, and every request is counted once.
 */
#include <kselftest_harness.h>

#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

#include <pinring/pinring.h>

#include "items.h"
#include "kills.h"

#define SLOTS 4
#define BYTES 48
#define PARTIES 6
#define SECOND 1000000000ll

FIXTURE(death)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_oneshot a, b; /* a asks, b answers */
	uint64_t parties; /* that are alive */
};

typedef FIXTURE_DATA(death) death;

FIXTURE_SETUP(death)
{
	struct pinring_region_config config = pinring_region_defaults(1 << 16);

	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	ASSERT_EQ(0, pinring_region_create(self->device, &config, &self->r));
	ASSERT_EQ(0, pinring_oneshot_create(self->r, "pool", SLOTS, BYTES, PARTIES));
	ASSERT_EQ(0, pinring_oneshot_open(self->r, "pool", &self->a));
	ASSERT_EQ(0, pinring_oneshot_open(self->r, "pool", &self->b));
	self->parties = 2;
}

FIXTURE_TEARDOWN(death)
{
	pinring_oneshot_close(&self->a);
	pinring_oneshot_close(&self->b);
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

static struct pinring_oneshot_info info_of(const struct pinring_oneshot *o)
{
	struct pinring_oneshot_info info = PINRING_INIT(struct pinring_oneshot_info);

	pinring_oneshot_info(o, &info);
	return info;
}

static uint64_t accounted(const struct pinring_oneshot_info *i)
{
	return i->answered + i->dropped + i->cancelled + i->broken + i->in_use;
}

/* A process of its own that does this and dies. */
static void in_the_dying(struct __test_metadata *_metadata, death *self,
			 void (*what)(struct pinring_oneshot *o, uint64_t ticket),
			 uint64_t ticket)
{
	pid_t pid = fork();
	int status;

	ASSERT_LE(0, pid);
	if (!pid) {
		struct pinring_oneshot o;

		if (pinring_oneshot_open(self->r, "pool", &o))
			_exit(1);
		what(&o, ticket);
		raise(SIGKILL);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
}

static void begin_to_answer(struct pinring_oneshot *o, uint64_t ticket)
{
	void *to;

	if (pinring_oneshot_reserve(o, ticket, &to))
		_exit(1);
}

static void do_nothing(struct pinring_oneshot *o, uint64_t ticket)
{
	(void)o;
	(void)ticket;
}

static void take_all(struct pinring_oneshot *o, uint64_t ticket)
{
	while (!pinring_oneshot_take(o, &ticket))
		;
}

static void take_and_be_answered(struct pinring_oneshot *o, uint64_t ticket)
{
	for (int i = 0; i < 3; i++)
		if (pinring_oneshot_take(o, &ticket))
			_exit(1);
	if (pinring_oneshot_push(o, ticket, NULL, 0))
		_exit(1);
}

TEST_F(death, of_a_replier_that_had_begun_is_told)
{
	struct pinring_oneshot_info info;
	const void *got;
	uint64_t ticket, bytes;

	for (uint64_t i = 1; i <= 2 * SLOTS; i++) {
		ASSERT_EQ(0, pinring_oneshot_take(&self->a, &ticket));
		in_the_dying(_metadata, self, begin_to_answer, ticket);
		EXPECT_EQ(-EAGAIN, pinring_oneshot_peek(&self->a, ticket, &got, &bytes));
		EXPECT_EQ(-EOWNERDEAD, pinring_oneshot_peek_wait(&self->a, ticket, &got,
							    &bytes, PINRING_FOREVER));
		EXPECT_EQ(0, i % 2 ? pinring_oneshot_release(&self->a, ticket) :
				     pinring_oneshot_cancel(&self->a, ticket));
		info = info_of(&self->a);
		EXPECT_EQ(i, info.broken);
		EXPECT_EQ(i, info.taken);
		EXPECT_EQ(0, info.in_use);
		EXPECT_EQ(2, info.parties);
	}
}

/* As one does who finds the pool empty; the requester may sleep longer. */
TEST_F(death, of_a_replier_wakes_who_waits_when_another_repairs)
{
	struct pinring_oneshot_slot *slot;
	uint64_t ticket;

	ASSERT_EQ(0, pinring_oneshot_take(&self->a, &ticket));
	slot = (void *)(self->a.slots + (ticket & (SLOTS - 1)) * self->a.stride);
	in_the_dying(_metadata, self, begin_to_answer, ticket);
	slot->ready = 1;
	EXPECT_EQ(1, pinring_oneshot_repair(&self->b));
	EXPECT_EQ(2, slot->ready);
}

TEST_F(death, of_a_replier_that_had_not_begun_is_nothing)
{
	const void *got;
	uint64_t ticket, bytes;

	ASSERT_EQ(0, pinring_oneshot_take(&self->a, &ticket));
	in_the_dying(_metadata, self, do_nothing, ticket);
	EXPECT_EQ(-ETIMEDOUT, pinring_oneshot_peek_wait(&self->a, ticket, &got, &bytes,
						   3000000));
	EXPECT_EQ(0, pinring_oneshot_push(&self->b, ticket, NULL, 0));
	EXPECT_EQ(0, pinring_oneshot_peek_wait(&self->a, ticket, &got, &bytes, 0));
}

TEST_F(death, of_a_replier_that_was_cancelled_frees_the_slot)
{
	struct pinring_oneshot_info info;
	uint64_t ticket;

	ASSERT_EQ(0, pinring_oneshot_take(&self->a, &ticket));
	in_the_dying(_metadata, self, begin_to_answer, ticket);
	ASSERT_EQ(0, pinring_oneshot_cancel(&self->a, ticket));
	EXPECT_EQ(1, info_of(&self->a).in_use);
	EXPECT_EQ(1, pinring_oneshot_repair(&self->b));
	info = info_of(&self->a);
	EXPECT_EQ(0, info.in_use);
	EXPECT_EQ(1, info.dropped);
}

TEST_F(death, slots_of_dead_requesters_are_taken_back_by_who_finds_none)
{
	struct pinring_oneshot_info info;
	uint64_t ticket;

	for (uint64_t i = 1; i < 20; i++) {
		in_the_dying(_metadata, self, take_all, 0);
		EXPECT_EQ(SLOTS, info_of(&self->a).in_use);
		ASSERT_EQ(0, i % 2 ? pinring_oneshot_take(&self->a, &ticket) :
				     pinring_oneshot_take_wait(&self->a, &ticket, SECOND));
		EXPECT_EQ(0, pinring_oneshot_cancel(&self->a, ticket));
		info = info_of(&self->a);
		EXPECT_EQ((SLOTS + 1) * i, info.cancelled);
		EXPECT_EQ(info.taken, accounted(&info));
		EXPECT_EQ(2, info.parties);
	}
}

/* A request of the dead that is being answered stays the replier's till then. */
TEST_F(death, of_a_requester_drops_what_is_answered)
{
	struct pinring_oneshot_info info;
	void *to;

	in_the_dying(_metadata, self, take_and_be_answered, 0);
	/* The others of the three: by their number, as they came by a ring. */
	for (uint64_t i = 0, begun = 0; i < SLOTS && !begun; i++)
		begun = !pinring_oneshot_reserve(&self->b, 1ull << 24 | i, &to);
	EXPECT_EQ(3, pinring_oneshot_repair(&self->a));
	info = info_of(&self->a);
	EXPECT_EQ(1, info.dropped);
	EXPECT_EQ(1, info.cancelled);
	EXPECT_EQ(1, info.in_use);
	for (uint64_t i = 0; i < SLOTS; i++) {
		EXPECT_EQ(-ESTALE, pinring_oneshot_commit(&self->b, 1ull << 24 | i, 8));
	}
	info = info_of(&self->a);
	EXPECT_EQ(2, info.dropped);
	EXPECT_EQ(0, info.in_use);
	EXPECT_EQ(3, info.taken);
}

/* Whoever opens a pool all of whose parties are dead inherits from one. */
TEST_F(death, parties_of_the_dead_are_inherited_with_what_they_held)
{
	struct pinring_oneshot_info info;
	struct pinring_oneshot c;

	pinring_oneshot_close(&self->b);
	for (int i = 0; i < PARTIES - 1; i++)
		in_the_dying(_metadata, self, i ? do_nothing : take_and_be_answered, 0);
	ASSERT_EQ(PARTIES, info_of(&self->a).parties);
	ASSERT_EQ(0, pinring_oneshot_open(self->r, "pool", &c));
	ASSERT_EQ(0, pinring_oneshot_open(self->r, "pool", &self->b));
	info = info_of(&c);
	EXPECT_EQ(PARTIES, info.parties);
	EXPECT_EQ(0, info.in_use); /* the first one's, without a repair */
	EXPECT_EQ(1, info.dropped);
	EXPECT_EQ(2, info.cancelled);
	pinring_oneshot_repair(&c);
	EXPECT_EQ(3, info_of(&c).parties);
	EXPECT_EQ(info.taken, accounted(&info));
	pinring_oneshot_close(&c);
}

/* ------------------------------------------------- killed at every instruction */

/* What the victim does between two stops of its own; what went before, and after. */
struct scene {
	const char *name;
	void (*before)(struct pinring_oneshot *o, death *self, uint64_t *ticket);
	void (*victim)(struct pinring_oneshot *o, uint64_t ticket);
};

static void fail_unless(int rc)
{
	if (rc)
		_exit(1);
}

static void asked_by_us(struct pinring_oneshot *o, death *self, uint64_t *ticket)
{
	(void)o;
	fail_unless(pinring_oneshot_take(&self->a, ticket));
}

static void asked_by_it(struct pinring_oneshot *o, death *self, uint64_t *ticket)
{
	(void)self;
	fail_unless(pinring_oneshot_take(o, ticket));
}

/* The first of them in a slot before that of the other. */
static void asked_twice_by_it(struct pinring_oneshot *o, death *self, uint64_t *ticket)
{
	o->hint = 0;
	asked_by_it(o, self, ticket);
	asked_by_it(o, self, ticket);
}

static void answered_for_it(struct pinring_oneshot *o, death *self, uint64_t *ticket)
{
	asked_by_it(o, self, ticket);
	fail_unless(pinring_oneshot_push(&self->b, *ticket, NULL, 0));
}

static void begun_for_it(struct pinring_oneshot *o, death *self, uint64_t *ticket)
{
	void *to;

	asked_by_it(o, self, ticket);
	fail_unless(pinring_oneshot_reserve(&self->b, *ticket, &to));
}

static void cancelled_on_it(struct pinring_oneshot *o, death *self, uint64_t *ticket)
{
	void *to;

	asked_by_us(o, self, ticket);
	fail_unless(pinring_oneshot_reserve(o, *ticket, &to));
	fail_unless(pinring_oneshot_cancel(&self->a, *ticket));
}

static void nothing_before(struct pinring_oneshot *o, death *self, uint64_t *ticket)
{
	(void)o;
	(void)self;
	(void)ticket;
}

static void takes(struct pinring_oneshot *o, uint64_t ticket)
{
	pinring_oneshot_take(o, &ticket);
}

static void answers(struct pinring_oneshot *o, uint64_t ticket)
{
	pinring_oneshot_push(o, ticket, &ticket, 8);
}

static void commits(struct pinring_oneshot *o, uint64_t ticket)
{
	pinring_oneshot_commit(o, ticket, 8);
}

static void releases(struct pinring_oneshot *o, uint64_t ticket)
{
	pinring_oneshot_release(o, ticket);
}

static void cancels(struct pinring_oneshot *o, uint64_t ticket)
{
	pinring_oneshot_cancel(o, ticket);
}

static void closes(struct pinring_oneshot *o, uint64_t ticket)
{
	(void)ticket;
	pinring_oneshot_close(o);
}

static const struct scene scenes[] = {
	{ "take", nothing_before, takes },
	{ "answer", asked_by_us, answers },
	{ "late commit", cancelled_on_it, commits },
	{ "release", answered_for_it, releases },
	{ "cancel", asked_by_it, cancels },
	{ "cancel one of two", asked_twice_by_it, cancels },
	{ "cancel what is begun", begun_for_it, cancels },
	{ "cancel what is answered", answered_for_it, cancels },
	{ "close", answered_for_it, closes },
};

/* The pool as it lies in memory, at one time. */
struct snapshots {
	unsigned char *pool;
	size_t size;
	unsigned char *at[200];
	size_t n, steps;
};

static void take_snapshot(struct snapshots *s)
{
	if (s->n && !memcmp(s->at[s->n - 1], s->pool, s->size))
		return; /* the instruction did not write here */
	if (s->n == ARRAY_SIZE(s->at))
		return;
	s->at[s->n] = malloc(s->size);
	memcpy(s->at[s->n++], s->pool, s->size);
}

/*
 * Steps from the child's first stop to its second, and kills it. Whoever is
 * killed at an instruction in between leaves the pool as it is then.
 */
static int step_through(pid_t pid, struct snapshots *s)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		return -1;
	for (;; s->steps++) {
		take_snapshot(s);
		if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) ||
		    waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
			return -1;
		if (WSTOPSIG(status) != SIGTRAP)
			break;
	}
	kill(pid, SIGKILL);
	return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) ? 0 : -1;
}

static pid_t start_victim(death *self, const struct scene *scene, uint64_t *ticket)
{
	pid_t pid = fork();

	if (!pid) {
		struct pinring_oneshot o;

		/* Both handles are the parent's, which waits meanwhile. */
		if (pinring_oneshot_open(self->r, "pool", &o))
			_exit(1);
		scene->before(&o, self, ticket);
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(2);
		raise(SIGSTOP);
		scene->victim(&o, *ticket);
		raise(SIGSTOP);
		_exit(0);
	}
	return pid;
}

/* heir: all parties are taken, so that whoever opens the pool gets the victim's. */
static void settle_scene(struct __test_metadata *_metadata, death *self,
			 uint64_t ticket, bool heir)
{
	struct pinring_oneshot_info info;
	struct pinring_oneshot c;
	const void *got;
	uint64_t bytes;
	int rc;

	if (heir) {
		/* Of one that was in the middle of closing there is nothing left. */
		ASSERT_EQ(0, pinring_oneshot_open(self->r, "pool", &c));
		EXPECT_EQ(self->parties, c.me);
		pinring_oneshot_close(&c);
	} else {
		pinring_oneshot_repair(&self->a);
	}
	pinring_oneshot_commit(&self->b, ticket, 0);
	rc = pinring_oneshot_peek(&self->a, ticket, &got, &bytes);
	EXPECT_TRUE(!rc || rc == -EOWNERDEAD || rc == -EAGAIN || rc == -ESTALE);
	if (rc != -ESTALE) {
		EXPECT_EQ(0, pinring_oneshot_cancel(&self->a, ticket));
	}
	info = info_of(&self->b);
	EXPECT_EQ(0, info.in_use);
	EXPECT_EQ(self->parties, info.parties);
	EXPECT_EQ(info.taken, accounted(&info)) {
		TH_LOG("%llu taken, %llu answered, %llu dropped, %llu cancelled, %llu broken",
		       (unsigned long long)info.taken, (unsigned long long)info.answered,
		       (unsigned long long)info.dropped,
		       (unsigned long long)info.cancelled,
		       (unsigned long long)info.broken);
	}
}

/* The victim's party has had another tenant, and no two of its counts agree. */
static void have_a_past(struct __test_metadata *_metadata, death *self)
{
	struct pinring_oneshot c;
	uint64_t ticket;

	ASSERT_EQ(0, pinring_oneshot_open(self->r, "pool", &c));
	for (int i = 0; i < 9; i++) {
		ASSERT_EQ(0, pinring_oneshot_take(&c, &ticket));
		if (i < 5) {
			ASSERT_EQ(0, pinring_oneshot_push(&self->b, ticket, NULL, 0));
		}
		ASSERT_EQ(0, i < 3 ? pinring_oneshot_release(&c, ticket) :
				     pinring_oneshot_cancel(&c, ticket));
	}
	pinring_oneshot_close(&c);
}

static void die_everywhere(struct __test_metadata *_metadata, death *self, bool heir)
{
	uint64_t *ticket = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct pinring_object_info o;

	if (SANITIZED)
		SKIP(return, "a sanitizer makes too many instructions of it");
	ASSERT_NE(MAP_FAILED, ticket);
	ASSERT_EQ(0, pinring_object_find(self->r, "pool", &o));
	have_a_past(_metadata, self);
	for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
		struct snapshots s = {
			.pool = pinring_region_at(self->r, o.offset, o.length),
			.size = o.length,
		};
		pid_t pid;

		*ticket = 0;
		pid = start_victim(self, &scenes[i], ticket);
		ASSERT_LT(0, pid);
		if (step_through(pid, &s))
			SKIP(return, "ptrace is not permitted here");
		for (size_t n = 0; n < s.n; n++) {
			memcpy(s.pool, s.at[n], s.size);
			settle_scene(_metadata, self, *ticket, heir);
			free(s.at[n]);
			if (!_metadata->passed) {
				TH_LOG("killed in %s, after store %zu of %zu",
				       scenes[i].name, n, s.n - 1);
				return;
			}
		}
		EXPECT_LE(2u, s.n) TH_LOG("%s", scenes[i].name);
		TH_LOG("%s: %zu instructions, %zu stores", scenes[i].name, s.steps,
		       s.n - 1);
	}
	munmap(ticket, 4096);
}

TEST_F_TIMEOUT(death, at_any_instruction_is_accounted_for, 120)
{
	die_everywhere(_metadata, self, false);
}

TEST_F_TIMEOUT(death, at_any_instruction_is_accounted_for_by_its_heir, 120)
{
	struct pinring_oneshot other[PARTIES - 3];

	for (size_t i = 0; i < ARRAY_SIZE(other); i++, self->parties++) {
		ASSERT_EQ(0, pinring_oneshot_open(self->r, "pool", &other[i]));
	}
	die_everywhere(_metadata, self, true);
	for (size_t i = 0; i < ARRAY_SIZE(other); i++)
		pinring_oneshot_close(&other[i]);
}

/* ---------------------------------------------------------------- a campaign */
#define WORKERS 4 /* half of them ask */
#define KILLS (SANITIZED ? 100u : 2000u)

struct request {
	uint64_t ticket, name;
};

struct record {
	uint64_t stop;
	uint64_t wrong; /* answers to another question; atomic add */
	uint64_t read, told; /* answers, and news of deaths; atomic add */
};

static void ask(struct pinring_region *r, struct record *rec, uint64_t name)
{
	struct pinring_mpmc_producer p;
	struct pinring_oneshot o;
	struct dice dice = { name };

	if (pinring_oneshot_open(r, "pool", &o) ||
	    pinring_mpmc_producer_open(r, "requests", &p))
		_exit(1);
	while (!__atomic_load_n(&rec->stop, __ATOMIC_RELAXED)) {
		struct request q = { .name = ++name };
		const void *got = NULL;
		uint64_t bytes = 0;
		int rc = pinring_oneshot_take_wait(&o, &q.ticket, SECOND / 100);

		if (rc)
			continue;
		rc = pinring_mpmc_push_wait(&p, &q, SECOND / 100);
		if (!rc && roll(&dice, 4))
			rc = pinring_oneshot_peek_wait(&o, q.ticket, &got, &bytes,
						  SECOND / 100);
		if (rc == -EOWNERDEAD)
			__atomic_add_fetch(&rec->told, 1, __ATOMIC_RELAXED);
		if (got) {
			uint64_t bad = bytes != BYTES || *(const uint64_t *)got != q.name ||
				       !item_is_whole(got, BYTES);

			__atomic_add_fetch(&rec->wrong, bad, __ATOMIC_RELAXED);
			__atomic_add_fetch(&rec->read, 1, __ATOMIC_RELAXED);
			rc = pinring_oneshot_release(&o, q.ticket);
		} else {
			rc = pinring_oneshot_cancel(&o, q.ticket);
		}
		if (rc)
			_exit(2);
	}
	pinring_mpmc_producer_close(&p);
	pinring_oneshot_close(&o);
	_exit(0);
}

static void reply(struct pinring_region *r, struct record *rec)
{
	struct pinring_mpmc_consumer c;
	struct dice dice = { (uint64_t)getpid() };
	struct pinring_oneshot o;
	struct request q;

	if (pinring_oneshot_open(r, "pool", &o) ||
	    pinring_mpmc_consumer_open(r, "requests", &c))
		_exit(1);
	while (!__atomic_load_n(&rec->stop, __ATOMIC_RELAXED)) {
		void *to = NULL;
		int rc = pinring_mpmc_pop_wait(&c, &q, SECOND / 100);

		if (rc == -ETIMEDOUT)
			continue;
		if (rc)
			_exit(3);
		if (pinring_oneshot_reserve(&o, q.ticket, &to))
			continue;
		item_fill(to, BYTES, q.name);
		if (!roll(&dice, 8)) /* so that some die here */
			sched_yield();
		pinring_oneshot_commit(&o, q.ticket, BYTES);
	}
	pinring_mpmc_consumer_close(&c);
	pinring_oneshot_close(&o);
	_exit(0);
}

static pid_t start_worker(struct pinring_region *r, struct record *rec, int i,
			  uint64_t life)
{
	pid_t pid = fork();

	if (!pid && i % 2)
		reply(r, rec);
	if (!pid)
		ask(r, rec, life << 32);
	return pid;
}

TEST_F_TIMEOUT(death, a_campaign_of_random_kills, 240)
{
	struct record *rec = mmap(NULL, sizeof(*rec), PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct pinring_oneshot_info info;
	struct dice dice = { 1 };
	pid_t pid[WORKERS];
	uint64_t life = 1;
	int status;

	ASSERT_NE(MAP_FAILED, rec);
	ASSERT_EQ(0, pinring_mpmc_create(self->r, "requests", 8,
					 sizeof(struct request), 12));
	for (int i = 0; i < WORKERS; i++) {
		pid[i] = start_worker(self->r, rec, i, life++);
		ASSERT_LT(0, pid[i]);
	}
	for (uint32_t kills = 0; kills < KILLS; kills++) {
		struct timespec t = { .tv_nsec = (long)roll(&dice, 500000) };
		int victim = (int)roll(&dice, WORKERS);

		nanosleep(&t, NULL);
		ASSERT_EQ(0, kill(pid[victim], SIGKILL));
		ASSERT_EQ(pid[victim], waitpid(pid[victim], &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status)) {
			TH_LOG("it ended by itself: %d", status);
		}
		pid[victim] = start_worker(self->r, rec, victim, life++);
		ASSERT_LT(0, pid[victim]);
		if (!roll(&dice, 4))
			pinring_oneshot_repair(&self->a);
	}
	__atomic_store_n(&rec->stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < WORKERS; i++) {
		ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
		EXPECT_EQ(0, status);
	}
	pinring_oneshot_repair(&self->a);
	info = info_of(&self->a);
	EXPECT_EQ(0, rec->wrong);
	EXPECT_EQ(0, info.in_use);
	EXPECT_EQ(2, info.parties);
	EXPECT_EQ(info.taken, accounted(&info));
	/* Who was killed between the two had not counted what it read, or released. */
	EXPECT_LE(rec->read - KILLS, info.answered + KILLS);
	EXPECT_GE(rec->read + KILLS, info.answered);
	TH_LOG("%llu taken, %llu answered, %llu dropped, %llu cancelled, %llu broken, %llu late; %llu were told",
	       (unsigned long long)info.taken, (unsigned long long)info.answered,
	       (unsigned long long)info.dropped, (unsigned long long)info.cancelled,
	       (unsigned long long)info.broken, (unsigned long long)info.late,
	       (unsigned long long)rec->told);
	LOG_KILLS(KILLS);
	munmap(rec, sizeof(*rec));
}

TEST_HARNESS_MAIN
