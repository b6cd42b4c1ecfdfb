// SPDX-License-Identifier: MIT
/* link.c - one executor's loop sends to another's; link.h has the picture. */
#include <stdlib.h>
#include <unistd.h>

#include <pinring/ring.h>

#include "executor.h"

#define DEPTH_DEFAULT 64
#define DEPTH_MAX 65536

/* Who looks at one end looks after the other. */
struct ends {
	struct ends *next;
	struct pinring_executor *from, *to;
};

static pthread_mutex_t tables = PTHREAD_MUTEX_INITIALIZER; /* one connects at a time */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the list; held shortly */
static pthread_cond_t unwatched = PTHREAD_COND_INITIALIZER;
static struct ends *links;
static uint64_t rounds;

/* Everything the executor at either end needs, until it is known to all went well. */
struct making {
	struct pinring_link link;
	struct pinring_feed feed;
	struct pinring_region *region; /* of the rings */
	struct pinring_memory here, peer, there; /* as the loops address them */
};

static int make_rings(struct making *m, struct pinring_device *device,
		      uint32_t depth)
{
	struct pinring_region_config config = pinring_region_defaults(
		PINRING_REGION_HEADER_BYTES + 4096 +
		3ull * depth * sizeof(struct pinring_device_slot));
	struct pinring_region *r;
	int rc;

	config.flags = PINRING_REGION_SMALL_PAGES;
	config.name = "pinring-link";
	rc = pinring_region_create(device, &config, &m->region);
	if (rc)
		return rc;
	r = m->region;
	rc = pinring_device_ring_create(r, "commands", depth);
	/* As of completions: credit comes back a quarter at a time. */
	if (!rc)
		rc = pinring_device_ring_create(r, "answers", 2ull * depth);
	if (!rc)
		rc = pinring_device_producer_open(r, "commands",
						  &m->link.commands);
	if (!rc)
		rc = pinring_device_consumer_open(r, "commands",
						  &m->feed.commands);
	if (!rc)
		rc = pinring_device_producer_open(r, "answers",
						  &m->feed.answers);
	if (!rc)
		rc = pinring_device_consumer_open(r, "answers",
						  &m->link.answers);
	return rc;
}

static void *moved(const struct pinring_memory *to,
		   const struct pinring_region *from, const void *at)
{
	return to->base + ((const unsigned char *)at - from->base);
}

/* To the addresses at which the loops find them. */
static void move_rings(struct making *m, const struct pinring_executor *to)
{
	struct pinring_link *l = &m->link;
	struct pinring_feed *f = &m->feed;

	l->commands.slots = moved(&m->here, m->region, l->commands.slots);
	l->commands.head = moved(&m->here, m->region, l->commands.head);
	l->answers.slots = moved(&m->here, m->region, l->answers.slots);
	l->answers.head = moved(&m->here, m->region, l->answers.head);
	l->peer = moved(&m->peer, to->region, to->control);
	f->commands.slots = moved(&m->there, m->region, f->commands.slots);
	f->commands.head = moved(&m->there, m->region, f->commands.head);
	f->answers.slots = moved(&m->there, m->region, f->answers.slots);
	f->answers.head = moved(&m->there, m->region, f->answers.head);
}

static void hold(struct pinring_executor *ex, struct pinring_region *region)
{
	ex->held[ex->holds++] = pinring_region_get(region);
}

static void unmap(struct pinring_executor *ex, struct pinring_region *region)
{
	if (ex->ops->detach)
		ex->ops->detach(ex, region);
}

/* All three, or none. */
static int map_rings(struct making *m, struct pinring_executor *from,
		     struct pinring_executor *to)
{
	int rc = from->ops->attach(from, m->region, &m->here);

	if (rc)
		return rc;
	rc = from->ops->attach(from, to->region, &m->peer);
	if (!rc) {
		rc = to->ops->attach(to, m->region, &m->there);
		if (rc)
			unmap(from, to->region);
	}
	if (rc) {
		unmap(from, m->region);
		return rc;
	}
	hold(from, m->region);
	hold(from, to->region);
	hold(to, m->region);
	return 0;
}

/* Host threads sleep, and a GPU rings no bell that wakes them. */
static int find_bell(struct making *m, struct pinring_executor *from,
		     struct pinring_executor *to)
{
	m->feed.silent = from->ops->stores_only;
	if (from->ops->stores_only || to->ops->stores_only)
		return 0;
	return pinring_doorbell_attach(to->region, "submitted",
				       pinring_doorbell_fd(to->submit_bell),
				       &m->link.bell);
}

static int connect_locked(struct pinring_executor *from,
			  struct pinring_executor *to, uint32_t depth)
{
	struct pinring_attachments *a = from->attachments, *b = to->attachments;
	struct ends *ends = malloc(sizeof(*ends));
	const uint64_t n = a->links, k = b->feeds;
	struct making m = { 0 };
	int rc;

	if (!ends)
		return pinring_fail(from->device, -ENOMEM,
				    "no memory for a link");
	if (n == PINRING_LINKS_MAX || k == PINRING_LINKS_MAX) {
		free(ends);
		return pinring_fail(from->device, -ENOSPC,
				    "there are %d links %s the executor already",
				    PINRING_LINKS_MAX,
				    n == PINRING_LINKS_MAX ? "from" : "to");
	}
	rc = make_rings(&m, from->device, depth);
	if (!rc)
		rc = find_bell(&m, from, to);
	if (!rc)
		rc = map_rings(&m, from, to);
	if (rc) {
		pinring_doorbell_close(m.link.bell);
		pinring_region_close(m.region);
		free(ends);
		return rc;
	}
	move_rings(&m, to);
	pinring_region_close(m.region);
	pthread_mutex_lock(&lock);
	*ends = (struct ends){ .next = links, .from = from, .to = to };
	links = ends;
	pthread_mutex_unlock(&lock);
	/* release: pairs with the loads in pinring_learn_feeds() ... */
	b->feed[k] = m.feed;
	pinring_store_word(&b->feeds, k + 1);
	pinring_executor_nudge(to);
	/* ... and in pinring_knows_link() */
	a->link[n] = m.link;
	pinring_store_word(&a->links, n + 1);
	return (int)n;
}

int pinring_executor_connect(struct pinring_executor *from,
			     struct pinring_executor *to, uint32_t depth)
{
	int saved = errno, rc;

	if (!depth)
		depth = DEPTH_DEFAULT;
	if (!pinring_power_of_two(depth) || depth < 4 || depth > DEPTH_MAX)
		return pinring_fail(from->device, -EINVAL,
				    "depth: %u is not a power of two from 4 to %d",
				    depth, DEPTH_MAX);
	if (from == to)
		return pinring_fail(from->device, -EINVAL,
				    "an executor that waits for itself waits for ever: connect it to another one");
	if (pinring_executor_ended(from) || pinring_executor_ended(to))
		return pinring_fail(from->device, -EPIPE,
				    "the executor that is to %s has ended",
				    pinring_executor_ended(from) ? "forward" :
								   "receive");
	pthread_mutex_lock(&tables);
	rc = connect_locked(from, to, depth);
	pthread_mutex_unlock(&tables);
	errno = saved;
	return rc;
}

static void forget(const struct pinring_executor *ex)
{
	struct ends **at = &links, *gone;

	pthread_mutex_lock(&lock);
	while ((gone = *at)) {
		if (gone->from == ex || gone->to == ex) {
			*at = gone->next;
			free(gone);
		} else {
			at = &gone->next;
		}
	}
	/* Who is about to look at it comes back before it is freed. */
	while (ex->watchers)
		pthread_cond_wait(&unwatched, &lock);
	pthread_mutex_unlock(&lock);
}

void pinring_links_drop(struct pinring_executor *ex)
{
	uint64_t i;

	/* In a child of fork another thread may hold the lock for ever. */
	if (ex->pid == getpid())
		forget(ex);
	if (ex->lost || !ex->attachments)
		return;
	for (i = 0; i < ex->attachments->links; i++)
		pinring_doorbell_close(ex->attachments->link[i].bell);
}

/* One that was not looked at in this round, or by whoever began a later one. */
static struct pinring_executor *next_in(uint64_t round)
{
	struct ends *l;

	for (l = links; l; l = l->next) {
		if (l->to->round < round) {
			l->to->round = round;
			return l->to;
		}
	}
	return NULL;
}

/*
 * Their peers wait, whoever waits for these. Not under the lock: a look may take as
 * long as a driver does, and that must hold up nobody but who closes this one.
 */
void pinring_links_watch(void)
{
	struct pinring_executor *ex;
	uint64_t round;

	if (pthread_mutex_trylock(&lock))
		return;
	round = ++rounds;
	while ((ex = next_in(round))) {
		ex->watchers++;
		pthread_mutex_unlock(&lock);
		pinring_executor_watch_one(ex);
		pthread_mutex_lock(&lock);
		if (!--ex->watchers)
			pthread_cond_broadcast(&unwatched);
	}
	pthread_mutex_unlock(&lock);
}
