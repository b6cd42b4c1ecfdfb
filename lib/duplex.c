// SPDX-License-Identifier: MIT
/* duplex.c - the duplex slot: create, open a side, wait. */
#include <pinring/duplex.h>

#include "internal.h"

/* The sealed part; there is but one shape. */
static void lay_out(struct pinring_duplex *d)
{
	*d = (struct pinring_duplex){ .magic = PINRING_DUPLEX_MAGIC };
	d->seal = pinring_hash(d, offsetof(struct pinring_duplex, seal));
}

int pinring_duplex_create(struct pinring_region *region, const char *name)
{
	struct pinring_duplex *d, init;
	struct pinring_object_info o;
	int rc;

	rc = pinring_object_create(region, name, PINRING_OBJECT_DUPLEX,
				   sizeof(*d), PINRING_SEPARATION, &o);
	if (rc)
		return rc;
	/* New memory is zero: the caller's turn, no call was made. */
	lay_out(&init);
	d = (void *)(region->base + o.offset);
	pinring_header_publish(d, &init);
	return 0;
}

static int duplex_open(struct pinring_region *region, const char *name,
		       struct pinring_duplex **shared)
{
	struct pinring_duplex expected, copy, *d;
	struct pinring_object_info o;
	int rc;

	rc = pinring_header_open(region, name, PINRING_OBJECT_DUPLEX,
				 sizeof(*d), &copy, &o);
	if (rc)
		return rc;
	d = (void *)(region->base + o.offset);
	lay_out(&expected);
	if (memcmp(&copy, &expected,
		   offsetof(struct pinring_duplex, sleepers)) ||
	    __atomic_load_n(&d->caller_closed, __ATOMIC_RELAXED) > 1 ||
	    __atomic_load_n(&d->server_closed, __ATOMIC_RELAXED) > 1)
		return pinring_header_damaged(region, name);
	*shared = d;
	pinring_wait_join();
	return 0;
}

static __u64 state_of(__u64 word)
{
	return word & PINRING_DUPLEX_STATE;
}

static __u64 calls_of(__u64 word)
{
	return word & ~(__u64)PINRING_DUPLEX_STATE;
}

int pinring_duplex_caller_open(struct pinring_region *region, const char *name,
			       struct pinring_duplex_caller *c)
{
	struct pinring_duplex *shared;
	int rc = duplex_open(region, name, &shared);
	__u64 word;

	if (rc)
		return rc;
	word = pinring_duplex_word(shared);
	*c = (struct pinring_duplex_caller){
		.ended = calls_of(word),
		.shared = shared,
		.region = pinring_region_get(region),
	};
	if (state_of(word) == PINRING_DUPLEX_POSTED ||
	    state_of(word) == PINRING_DUPLEX_ANSWERING)
		c->pending = PINRING_DUPLEX_ABANDONED;
	return 0;
}

int pinring_duplex_server_open(struct pinring_region *region, const char *name,
			       struct pinring_duplex_server *s)
{
	struct pinring_duplex *shared;
	int rc = duplex_open(region, name, &shared);
	__u64 word;

	if (rc)
		return rc;
	word = pinring_duplex_word(shared);
	*s = (struct pinring_duplex_server){
		.ended = calls_of(word),
		.shared = shared,
		.region = pinring_region_get(region),
	};
	if (state_of(word) == PINRING_DUPLEX_ANSWERING) {
		s->ended += PINRING_DUPLEX_CALL;
		pinring_duplex_hand_over(shared, s->ended | PINRING_DUPLEX_VOID);
		pinring_wake(&shared->sleepers.room);
	}
	return 0;
}

void pinring_duplex_caller_close(struct pinring_duplex_caller *c)
{
	if (c->region)
		pinring_region_close(c->region);
	memset(c, 0, sizeof(*c));
}

void pinring_duplex_server_close(struct pinring_duplex_server *s)
{
	if (s->region)
		pinring_region_close(s->region);
	memset(s, 0, sizeof(*s));
}

/* ----------------------------------------------------------------- waiting */
static bool is_ended(const void *caller)
{
	const struct pinring_duplex_caller *c = caller;

	return pinring_duplex_outcome(c, pinring_duplex_word(c->shared)) !=
		       -EAGAIN ||
	       __atomic_load_n(&c->shared->server_closed, __ATOMIC_RELAXED);
}

static bool is_asked(const void *server)
{
	const struct pinring_duplex_server *s = server;
	__u64 word = pinring_duplex_word(s->shared);

	return (word != (s->ended | PINRING_DUPLEX_IDLE) &&
		word != (s->ended | PINRING_DUPLEX_VOID)) ||
	       __atomic_load_n(&s->shared->caller_closed, __ATOMIC_RELAXED);
}

struct pinring_wait
pinring_duplex_when_ended(const struct pinring_duplex_caller *c)
{
	return (struct pinring_wait){
		.word = &c->shared->sleepers.room,
		.line = &c->shared->line.word,
		.over = is_ended,
		.side = c,
	};
}

struct pinring_wait
pinring_duplex_when_asked(const struct pinring_duplex_server *s)
{
	return (struct pinring_wait){
		.word = &s->shared->sleepers.ready,
		.line = &s->shared->line.word,
		.over = is_asked,
		.side = s,
	};
}

int pinring_duplex_pop_wait(struct pinring_duplex_caller *c, void *reply,
			     int64_t timeout_ns)
{
	struct pinring_wait w = pinring_duplex_when_ended(c);
	int rc = pinring_duplex_pop(c, reply);

	if (rc != -EAGAIN)
		return rc;
	rc = pinring_wait_any(&w, 1, NULL, timeout_ns);
	return rc < 0 ? rc : pinring_duplex_pop(c, reply);
}

int pinring_duplex_peek_wait(struct pinring_duplex_server *s,
			     const void **request, int64_t timeout_ns)
{
	struct pinring_wait w = pinring_duplex_when_asked(s);
	int rc = pinring_duplex_peek(s, request);

	if (rc != -EAGAIN)
		return rc;
	rc = pinring_wait_any(&w, 1, NULL, timeout_ns);
	return rc < 0 ? rc : pinring_duplex_peek(s, request);
}
