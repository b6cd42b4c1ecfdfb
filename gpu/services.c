// SPDX-License-Identifier: MIT
/* services.c - answering what a running kernel asks; see pinring/service.h. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <pinring/ring.h>
#include <pinring/service.h>

#include "dynamic_host.h"
#include "executor.h"

/* A request waits for nothing but our thread: look often for a while. */
#define POLLS 2000
#define NAP_NS 50000
#define NAP_MAX_NS 1000000
#define STOP_NS 10000000000

struct pinring_services {
	struct pinring_executor *executor;
	struct pinring_device_consumer requests;
	struct pinring_device_producer replies;
	struct pinring_doorbell *bell; /* rung for a request, and to stop */
	pthread_t thread;
	uint32_t stop; /* atomic */
	uint32_t uses; /* what is attached as this number - 1; atomic */
	pthread_mutex_t lock; /* of serve and context */
	pinring_serve_fn *serve[PINRING_SERVICES_MAX];
	void *context[PINRING_SERVICES_MAX];
};

/* What the loop has checked already; it is checked again, being shared memory. */
static bool find_dst(struct pinring_services *s, uint64_t word,
		     struct pinring_request *r)
{
	const struct pinring_executor *ex = s->executor;
	struct pinring_operand o = pinring_unpack_operand(word);
	const struct pinring_memory *m;
	uint64_t size;

	r->region = o.region;
	if (o.region == PINRING_REGION_NONE)
		return true;
	if (o.region >= PINRING_REGIONS_MAX)
		return false;
	m = &ex->attachments->memory[o.region];
	/* seq_cst, as the load: against those in pinring_services_use(). */
	__atomic_store_n(&s->uses, o.region + 1, __ATOMIC_SEQ_CST);
	size = __atomic_load_n(&m->size, __ATOMIC_SEQ_CST);
	if (!size || !ex->attached[o.region].here || o.offset < m->first ||
	    o.offset > size || r->count > (size - o.offset) / sizeof(float))
		return false;
	r->dst = ex->attached[o.region].here + o.offset;
	/* Memory of the caller's may begin anywhere. */
	return (uintptr_t)r->dst % sizeof(float) == 0;
}

bool pinring_services_use(const struct pinring_executor *ex, uint32_t number)
{
	return ex->services &&
	       __atomic_load_n(&ex->services->uses, __ATOMIC_SEQ_CST) ==
		       number + 1;
}

static void answer(struct pinring_services *s, const __u64 *question)
{
	__u64 words[PINRING_SLOT_WORDS] = { question[0] };
	uint32_t service = (uint32_t)(question[1] >> 32) & 0xff;
	struct pinring_request r = {
		.id = (uint32_t)question[1],
		.argument = question[2],
		.count = question[4],
		.s0 = pinring_bits_float((__u32)question[5]),
		.s1 = pinring_bits_float((__u32)question[6]),
	};
	pinring_serve_fn *serve = NULL;
	void *context = NULL;
	int rc = -EOPNOTSUPP;

	if (service < PINRING_SERVICES_MAX) {
		pthread_mutex_lock(&s->lock);
		serve = s->serve[service];
		context = s->context[service];
		pthread_mutex_unlock(&s->lock);
	}
	if (serve)
		rc = find_dst(s, question[3], &r) ?
			     serve(context, &r) :
			     -EINVAL;
	/* release: what was written there, before it is detached */
	__atomic_store_n(&s->uses, 0, __ATOMIC_RELEASE);
	words[1] = (__u64)(rc < 0 ? -rc : 0) & 0xffff;
	words[2] = r.done;
	words[3] = pinring_float_bits(r.result);
	/* As many slots as questions: the loop waits for each answer. */
	pinring_device_send(&s->replies, words);
}

static void *serve_main(void *arg)
{
	struct pinring_services *s = arg;
	__u64 words[PINRING_SLOT_WORDS];
	/* A device rings no bell: look now and then. */
	const int64_t first_nap = s->executor->ops->stores_only ?
					  NAP_NS :
					  PINRING_FOREVER;
	int64_t nap = first_nap;
	uint32_t polls = 0;

	/* acquire: pairs with the store in pinring_services_stop() */
	while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
		uint64_t seen = pinring_doorbell_sequence(s->bell);

		if (pinring_device_peek(&s->requests, words)) {
			pinring_device_release(&s->requests);
			answer(s, words);
			polls = 0;
			nap = first_nap;
		} else if (polls < POLLS) {
			polls++;
			pinring_relax();
		} else {
			pinring_doorbell_wait(s->bell, seen, nap);
			if (nap < NAP_MAX_NS)
				nap *= 2;
		}
	}
	return NULL;
}

static int start(struct pinring_executor *ex)
{
	struct pinring_services *s = calloc(1, sizeof(*s));
	sigset_t all, before;
	int rc;

	if (!s)
		return pinring_fail(ex->device, -ENOMEM,
				    "no memory for services");
	s->executor = ex;
	pthread_mutex_init(&s->lock, NULL);
	s->bell = ex->ask_bell;
	rc = pinring_device_consumer_open(ex->region, "requests",
					  &s->requests);
	if (!rc)
		rc = pinring_device_producer_open(ex->region, "replies",
						  &s->replies);
	if (!rc) {
		/* Signals are the application's, but for what `serve` brings upon us. */
		sigfillset(&all);
		pinring_faults_to(&all);
		pthread_sigmask(SIG_SETMASK, &all, &before);
		rc = -pthread_create(&s->thread, NULL, serve_main, s);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
		if (rc)
			pinring_fail(ex->device, rc,
				     "cannot start a thread for services: %s",
				     strerror(-rc));
	}
	if (rc) {
		pthread_mutex_destroy(&s->lock);
		free(s);
		return rc;
	}
	pthread_setname_np(s->thread, "pinring/serve");
	ex->services = s;
	return 0;
}

int pinring_executor_offer(struct pinring_executor *ex, uint32_t service,
			   pinring_serve_fn *serve, void *context)
{
	int rc = pinring_executor_check_parent(ex), saved = errno;
	uint64_t bit, offered;

	if (rc)
		return rc;
	if (service >= PINRING_SERVICES_MAX)
		return pinring_fail(ex->device, -EINVAL,
				    "service: %u is not below %d", service,
				    PINRING_SERVICES_MAX);
	pthread_mutex_lock(&ex->offer_lock);
	if (!ex->services)
		rc = start(ex);
	errno = saved;
	if (rc)
		goto out;
	bit = 1ull << service;
	pthread_mutex_lock(&ex->services->lock);
	ex->services->serve[service] = serve;
	ex->services->context[service] = context;
	pthread_mutex_unlock(&ex->services->lock);
	offered = ex->attachments->services;
	/* release: pairs with the load in pinring_ask() */
	pinring_store_word(&ex->attachments->services,
			   serve ? offered | bit : offered & ~bit);
out:
	pthread_mutex_unlock(&ex->offer_lock);
	return rc;
}

void pinring_services_stop(struct pinring_executor *ex)
{
	const struct timespec nap = { .tv_nsec = 1000000 };
	struct pinring_services *s = ex->services;
	int64_t end = pinring_now() + STOP_NS;

	if (!s || ex->pid != getpid())
		return;
	/* release: pairs with the load in serve_main() */
	__atomic_store_n(&s->stop, 1, __ATOMIC_RELEASE);
	pinring_doorbell_ring(s->bell);
	/* pthread_timedjoin_np() has a clock that others set. */
	while (pthread_tryjoin_np(s->thread, NULL)) {
		if (pinring_now() > end) {
			ex->lost = true;
			return;
		}
		nanosleep(&nap, NULL);
	}
	pthread_mutex_destroy(&s->lock);
	free(s);
	ex->services = NULL;
}
