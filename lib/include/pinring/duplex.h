/* SPDX-License-Identifier: MIT */
/*
 * duplex.h - one caller, one server, request and reply in one cache line.
 *
 *    caller                    the line                      server
 *    reserve, commit    --->   payload | n, POSTED    --->   peek
 *                              payload | n, ANSWERING        begin
 *    look               <---   payload | n + 1, IDLE  <---   finish
 *
 * Both write the same line, in turns, and its word says whose turn it is (enum
 * pinring_duplex_state): one line travels there and back, where a pair of rings
 * moves two. One call at a time; 56 bytes each way. For the shortest round trip;
 * for more calls in flight take two rings. docs/duplex.md has the figures.
 *
 * Memory order: a payload is written before the word that hands it over, which
 * is stored with release; the other side loads it with acquire before it reads
 * the payload or writes its own over it.
 *
 * Death, at any instruction:
 *
 *  caller     before commit: nothing happened. After: the server answers, and a
 *             new caller's calls begin when it has (-EBUSY until then); the
 *             reply is nobody's
 *  server     before begin: a new server sees the same request, perhaps for the
 *             second time. Between begin and finish, while the reply overwrites
 *             the request: a new server makes the call VOID when it opens, and
 *             the caller gets -EOWNERDEAD; whether it was done nobody knows
 *
 * Until there is a new server, a caller waits, up to its timeout. What it then
 * does not want to wait for any longer it may abandon.
 *
 * A handle is one side in one thread: private memory that holds the number of
 * calls, so that a word which no honest peer stores is noticed: -EPROTO. Payload
 * read in place can change under the reader's eyes. Everything but what waits is
 * wait-free.
 */
#ifndef PINRING_DUPLEX_H
#define PINRING_DUPLEX_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <pinring/line.h>
#include <pinring/port.h>
#include <pinring/region.h>
#include <pinring/wait.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PINRING_DUPLEX_PAYLOAD PINRING_LINE_PAYLOAD /* bytes each way */

/* How often a call looks itself before it waits as everybody does: some 7 us. */
#define PINRING_DUPLEX_POLLS 256

enum pinring_duplex_pending {
	PINRING_DUPLEX_NO_CALL = 0,
	PINRING_DUPLEX_ASKED,
	PINRING_DUPLEX_ABANDONED, /* by us, or by a caller who died */
};

struct pinring_duplex_caller {
	__u64 ended; /* the word when it is our turn, but for the state */
	struct pinring_duplex *shared;
	enum pinring_duplex_pending pending;
	struct pinring_region *region; /* the reference this handle holds */
} PINRING_ALIGNED(128);

struct pinring_duplex_server {
	__u64 ended; /* the word before a call, but for the state */
	struct pinring_duplex *shared;
	bool asked; /* peeked, and not answered yet */
	struct pinring_region *region;
} PINRING_ALIGNED(128);

/* What pinring_object_create returns. */
PINRING_API int pinring_duplex_create(struct pinring_region *region,
				      const char *name);

/*
 * As pinring_spsc_producer_open. A server settles what a dead one left; open it
 * when there is none.
 */
PINRING_API int pinring_duplex_caller_open(struct pinring_region *region,
					   const char *name,
					   struct pinring_duplex_caller *caller);
PINRING_API int pinring_duplex_server_open(struct pinring_region *region,
					   const char *name,
					   struct pinring_duplex_server *server);

/* Drop the handle without telling the peer; see pinring_duplex_close_*. */
PINRING_API void
pinring_duplex_caller_close(struct pinring_duplex_caller *caller);
PINRING_API void
pinring_duplex_server_close(struct pinring_duplex_server *server);

/* For pinring_wait_any(): until look, or peek, has something else to say. */
PINRING_API struct pinring_wait
pinring_duplex_when_ended(const struct pinring_duplex_caller *caller);
PINRING_API struct pinring_wait
pinring_duplex_when_asked(const struct pinring_duplex_server *server);

/* acquire: pairs with the release of the word by the other side */
PINRING_HOST_FN __u64 pinring_duplex_word(const struct pinring_duplex *d)
{
	return __atomic_load_n(&d->line.word, __ATOMIC_ACQUIRE);
}

/* Hands the line over. release: its payload goes before. */
PINRING_HOST_FN void pinring_duplex_hand_over(struct pinring_duplex *d,
					      __u64 word)
{
	__atomic_store_n(&d->line.word, word, __ATOMIC_RELEASE);
}

/* ----------------------------------------------------------------- caller */

/* What the word means to a caller that waits; 0: the reply is there. */
PINRING_HOST_FN int pinring_duplex_outcome(const struct pinring_duplex_caller *c,
					   __u64 word)
{
	const __u64 reply = c->ended + PINRING_DUPLEX_CALL;

	if (word == (reply | PINRING_DUPLEX_IDLE))
		return 0;
	if (word == (reply | PINRING_DUPLEX_VOID))
		return -EOWNERDEAD;
	if (word == (c->ended | PINRING_DUPLEX_POSTED) ||
	    word == (c->ended | PINRING_DUPLEX_ANSWERING))
		return -EAGAIN;
	return -EPROTO;
}

/*
 * The reply in place, until the next reserve. 0; -EAGAIN: not yet; -EOWNERDEAD:
 * the server died answering, and with it the call; -EPIPE: the server closed and
 * will not answer; -EPROTO: a word that no server stores; -ENOMSG: no call was
 * made, or its end was seen already.
 */
static inline int pinring_duplex_look(struct pinring_duplex_caller *c,
				      const void **reply)
{
	const __u64 word = pinring_duplex_word(c->shared);
	int rc = pinring_duplex_outcome(c, word);

	if (c->pending != PINRING_DUPLEX_ASKED)
		return -ENOMSG;
	if (__builtin_expect(rc == -EAGAIN, 0)) {
		if (__builtin_expect(!__atomic_load_n(&c->shared->server_closed,
						      __ATOMIC_ACQUIRE), 1))
			return -EAGAIN;
		/* Once more: what was answered before closing is seen. */
		rc = pinring_duplex_outcome(c, pinring_duplex_word(c->shared));
		if (rc == -EAGAIN)
			return -EPIPE;
	}
	if (rc == 0 || rc == -EOWNERDEAD) {
		c->ended += PINRING_DUPLEX_CALL;
		c->pending = PINRING_DUPLEX_NO_CALL;
		*reply = c->shared->line.payload;
	}
	return rc;
}

/* Nobody waits for the reply any longer; the server answers all the same. */
static inline void pinring_duplex_abandon(struct pinring_duplex_caller *c)
{
	if (c->pending == PINRING_DUPLEX_ASKED)
		c->pending = PINRING_DUPLEX_ABANDONED;
}

/*
 * Where to write a request, PINRING_DUPLEX_PAYLOAD bytes. 0; -EBUSY: the last
 * call has not ended; -EPIPE: the server closed; -EPROTO as above. Reserving
 * again without a commit returns the same.
 */
static inline int pinring_duplex_reserve(struct pinring_duplex_caller *c,
					 void **request)
{
	if (__builtin_expect(__atomic_load_n(&c->shared->server_closed,
					     __ATOMIC_RELAXED) != 0, 0))
		return -EPIPE;
	if (c->pending == PINRING_DUPLEX_ASKED)
		return -EBUSY;
	if (__builtin_expect(c->pending == PINRING_DUPLEX_ABANDONED, 0)) {
		const void *nobodys;
		int rc;

		c->pending = PINRING_DUPLEX_ASKED;
		rc = pinring_duplex_look(c, &nobodys);
		pinring_duplex_abandon(c);
		if (rc && rc != -EOWNERDEAD)
			return rc == -EAGAIN ? -EBUSY : rc;
	}
	*request = c->shared->line.payload;
	return 0;
}

/* The request is whole: it is the server's turn. */
static inline void pinring_duplex_commit(struct pinring_duplex_caller *c)
{
	pinring_duplex_hand_over(c->shared, c->ended | PINRING_DUPLEX_POSTED);
	c->pending = PINRING_DUPLEX_ASKED;
	pinring_wake(&c->shared->sleepers.ready);
}

/* A request, copied. 0, or what reserve returned. */
static inline int pinring_duplex_push(struct pinring_duplex_caller *c,
				      const void *request)
{
	void *payload;
	int rc = pinring_duplex_reserve(c, &payload);

	if (rc)
		return rc;
	pinring_line_copy(payload, request);
	pinring_duplex_commit(c);
	return 0;
}

/* The reply, copied. 0, or what look returned. */
static inline int pinring_duplex_pop(struct pinring_duplex_caller *c,
				     void *reply)
{
	const void *payload;
	int rc = pinring_duplex_look(c, &payload);

	if (!rc)
		pinring_line_copy(reply, payload);
	return rc;
}

/* The same, but waits: -ETIMEDOUT (the call goes on), or what pop returns. */
PINRING_API int pinring_duplex_pop_wait(struct pinring_duplex_caller *caller,
					void *reply, int64_t timeout_ns);

/*
 * Push and pop. request and reply may be the same memory. -ETIMEDOUT: pop
 * again, or abandon; else what push or pop return.
 */
static inline int pinring_duplex_call(struct pinring_duplex_caller *c,
				      const void *request, void *reply,
				      int64_t timeout_ns)
{
	int polls = timeout_ns > 0 ? PINRING_DUPLEX_POLLS : 0;
	int rc = pinring_duplex_push(c, request);

	if (rc)
		return rc;
	while (polls--) {
		rc = pinring_duplex_pop(c, reply);
		if (rc != -EAGAIN)
			return rc;
		/* One: none and two are slower (docs/duplex.md). */
		pinring_pause();
	}
	return pinring_duplex_pop_wait(c, reply, timeout_ns);
}

/* No more calls: the server gets -EPIPE once the last one is answered. */
static inline void pinring_duplex_close_caller(struct pinring_duplex_caller *c)
{
	/* release: after every request before it */
	__atomic_store_n(&c->shared->caller_closed, 1, __ATOMIC_RELEASE);
	pinring_wake(&c->shared->sleepers.ready);
}

/* ----------------------------------------------------------------- server */

/*
 * The request in place, until begin. 0; -EAGAIN: none; -EPIPE: none, and the
 * caller closed; -EPROTO: a word that no caller stores; -EBUSY: between begin
 * and finish. Peeking again returns the same.
 */
static inline int pinring_duplex_peek(struct pinring_duplex_server *s,
				      const void **request)
{
	const __u64 posted = s->ended | PINRING_DUPLEX_POSTED;
	__u64 word = pinring_duplex_word(s->shared);

	if (__builtin_expect(word != posted, 0)) {
		if (s->asked)
			return word == (s->ended | PINRING_DUPLEX_ANSWERING) ?
				       -EBUSY : -EPROTO;
		if (word != (s->ended | PINRING_DUPLEX_IDLE) &&
		    word != (s->ended | PINRING_DUPLEX_VOID))
			return -EPROTO;
		if (__builtin_expect(!__atomic_load_n(&s->shared->caller_closed,
						      __ATOMIC_ACQUIRE), 1))
			return -EAGAIN;
		/* Once more: what was asked before closing is seen. */
		if (pinring_duplex_word(s->shared) != posted)
			return -EPIPE;
	}
	s->asked = true;
	*request = s->shared->line.payload;
	return 0;
}

/*
 * Where to write the reply, which overwrites the request. Only after a peek that
 * returned 0: NULL otherwise. Once begun, a call is either finished or void.
 */
static inline void *pinring_duplex_begin(struct pinring_duplex_server *s)
{
	if (!s->asked)
		return NULL;
	__atomic_store_n(&s->shared->line.word,
			 s->ended | PINRING_DUPLEX_ANSWERING, __ATOMIC_RELAXED);
	/*
	 * Before the payload, for whoever finds it after our death. Stores stay
	 * in order on x86; the compiler keeps it.
	 */
#if defined(__x86_64__)
	__asm__ volatile("" ::: "memory");
#else
	__atomic_thread_fence(__ATOMIC_RELEASE);
#endif
	return s->shared->line.payload;
}

/* The reply is whole: it is the caller's turn. Only after begin. */
static inline void pinring_duplex_finish(struct pinring_duplex_server *s)
{
	s->asked = false;
	s->ended += PINRING_DUPLEX_CALL;
	pinring_duplex_hand_over(s->shared, s->ended | PINRING_DUPLEX_IDLE);
	pinring_wake(&s->shared->sleepers.room);
}

/* A reply, copied. 0; -ENOMSG: nobody asked. */
static inline int pinring_duplex_answer(struct pinring_duplex_server *s,
					const void *reply)
{
	void *payload = pinring_duplex_begin(s);

	if (!payload)
		return -ENOMSG;
	pinring_line_copy(payload, reply);
	pinring_duplex_finish(s);
	return 0;
}

/* Peek that waits: -ETIMEDOUT, or what peek returns. */
PINRING_API int pinring_duplex_peek_wait(struct pinring_duplex_server *server,
					 const void **request,
					 int64_t timeout_ns);

/* No more answers: the caller gets -EPIPE, also for a call that waits. */
static inline void pinring_duplex_close_server(struct pinring_duplex_server *s)
{
	/* release: after every answer before it */
	__atomic_store_n(&s->shared->server_closed, 1, __ATOMIC_RELEASE);
	pinring_wake(&s->shared->sleepers.room);
}

#ifdef __cplusplus
}
#endif

#endif /* PINRING_DUPLEX_H */
