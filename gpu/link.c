// SPDX-License-Identifier: MIT
/*
 * link.c - one executor's loop sends to another's; link.h has the picture.
 *
 * An executor has so many places for links each way. One whose other end was closed can
 * be taken again:
 *
 *	out	the loop's end: no command is at it, after a wish that found it gone
 *	in	all that was sent before is answered, and the loop has had such a wish
 *
 * Commands may name a link long after that, so a number says which of the links in its
 * place it means, of the last 32.
 */
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <pinring/ring.h>

#include "executor.h"

#define DEPTH_DEFAULT 64
#define DEPTH_MAX 65536
#define TIMES ((1u << PINRING_LINK_BITS) / PINRING_LINKS_MAX)
#define TAKE_BACK_NS 1000000000 /* so long may commands take that are in the way */

/* Where an executor's regions of links are held: the place is added. */
enum { OUT = 0, PEER = PINRING_LINKS_MAX, IN = 2 * PINRING_LINKS_MAX };

/* Who looks at one end looks after the other. */
struct ends {
	struct ends *next;
	struct pinring_executor *from, *to;
	int out, in; /* places */
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

static void let_go(struct pinring_executor *ex, int hold)
{
	pinring_attached_let_go(ex, ex->held[hold]);
	ex->held[hold] = NULL;
}

static int hold(struct pinring_executor *ex, int where,
		struct pinring_region *region, struct pinring_memory *memory)
{
	int rc = ex->ops->attach(ex, region, memory);

	if (!rc)
		ex->held[where] = pinring_region_get(region);
	return rc;
}

/* All three, or none. */
static int map_rings(struct making *m, struct pinring_executor *from, int out,
		     struct pinring_executor *to, int in)
{
	int rc = hold(from, OUT + out, m->region, &m->here);

	if (rc)
		return rc;
	rc = hold(from, PEER + out, to->region, &m->peer);
	if (!rc) {
		rc = hold(to, IN + in, m->region, &m->there);
		if (rc)
			let_go(from, PEER + out);
	}
	if (rc)
		let_go(from, OUT + out);
	return rc;
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

/* ------------------------------------------------------------------- places */
/* The loop is to look at the table, and has, in time. */
static bool is_known(struct pinring_executor *ex, int64_t deadline)
{
	struct pinring_attachments *a = ex->attachments;
	uint64_t polls = 0;

	/* release: pairs with the load in pinring_learn_links() */
	pinring_store_word(&a->changes, a->changes + 1);
	pinring_executor_nudge(ex);
	while (!pinring_executor_knows(ex)) {
		/* One that hangs may still look at what it knew. */
		if (pinring_executor_ended(ex) || pinring_now() >= deadline)
			return false;
		pinring_executor_nap(&polls);
	}
	return true;
}

static bool take_back_link(struct pinring_executor *ex, int n, int64_t deadline)
{
	pinring_store_word(&ex->attachments->link[n].number, 0);
	if (!is_known(ex, deadline))
		return false;
	pinring_doorbell_close(ex->out[n].bell);
	ex->out[n].bell = NULL;
	let_go(ex, OUT + n);
	let_go(ex, PEER + n);
	return true;
}

static uint64_t lap_of(const struct pinring_device_slot *slot)
{
	uint64_t lap = pinring_load_word(&slot->word[0]) >> PINRING_WORD_BITS;
	int w;

	for (w = 1; w < PINRING_SLOT_WORDS; w++)
		if (pinring_load_word(&slot->word[w]) >> PINRING_WORD_BITS != lap)
			return UINT64_MAX; /* a message in part */
	return lap;
}

/* How many messages went through a ring whose writer does no more; modulo 256 laps. */
static uint64_t count_messages(const struct pinring_device_consumer *ring)
{
	const uint64_t laps = 1u << (64 - PINRING_WORD_BITS);
	uint64_t lap = lap_of(&ring->slots[0]), n = 0;

	if (lap == UINT64_MAX) /* the one before it is whole */
		lap = (lap_of(&ring->slots[ring->capacity - 1]) + 1) % laps;
	while (n < ring->capacity && lap_of(&ring->slots[n]) == lap)
		n++;
	return (lap + laps - 1) % laps * ring->capacity + n;
}

/* Nobody sends any more, and all that was sent is answered. */
static bool is_drained(struct pinring_region *rings)
{
	struct pinring_device_consumer commands, answers;

	if (pinring_device_consumer_open(rings, "commands", &commands) ||
	    pinring_device_consumer_open(rings, "answers", &answers))
		return false;
	return (count_messages(&commands) - count_messages(&answers)) %
		       (commands.capacity << (64 - PINRING_WORD_BITS)) ==
	       0;
}

static bool take_back_feed(struct pinring_executor *ex, int n, int64_t deadline)
{
	if (!is_drained(ex->held[IN + n]))
		return false;
	pinring_store_word(&ex->attachments->feed[n].serial, 0);
	if (!is_known(ex, deadline))
		return false;
	let_go(ex, IN + n);
	return true;
}

/* -1: there is none. */
static int find_place(struct pinring_executor *ex, struct pinring_place *places,
		      bool (*take_back)(struct pinring_executor *ex, int n,
					int64_t deadline),
		      int64_t deadline)
{
	int n;

	for (n = 0; n < PINRING_LINKS_MAX; n++)
		if (!places[n].taken)
			return n;
	for (n = 0; n < PINRING_LINKS_MAX; n++) {
		/* acquire: pairs with the store in forget() */
		if (__atomic_load_n(&places[n].over, __ATOMIC_ACQUIRE) &&
		    take_back(ex, n, deadline)) {
			places[n].taken = false;
			return n;
		}
	}
	return -1;
}

static void take_place(struct pinring_place *place)
{
	place->taken = true;
	place->over = false;
	place->times++;
}

static void count_place(__u64 *count, int place)
{
	if (*count <= (unsigned int)place)
		pinring_store_word(count, (unsigned int)place + 1);
}

_Static_assert(!offsetof(struct pinring_feed, serial) &&
		       !offsetof(struct pinring_link, number),
	       "their first words");

/* But for the first word: by that a loop knows that the rest is there. */
static void fill_in(void *entry, const void *from, size_t bytes)
{
	memcpy((char *)entry + sizeof(__u64), (const char *)from + sizeof(__u64),
	       bytes - sizeof(__u64));
}

/* Both loops know of it: the one that receives first. Returns its number. */
static int publish(const struct making *m, struct pinring_executor *from, int n,
		   struct pinring_executor *to, int k)
{
	struct pinring_attachments *a = from->attachments, *b = to->attachments;
	const uint32_t number =
		(from->out[n].times % TIMES) * PINRING_LINKS_MAX + (uint32_t)n;

	fill_in(&b->feed[k], &m->feed, sizeof(m->feed));
	fill_in(&a->link[n], &m->link, sizeof(m->link));
	take_place(&from->out[n]);
	from->out[n].bell = m->link.bell;
	take_place(&to->in[k]);
	/* release: pairs with the loads in pinring_learn_links() ... */
	pinring_store_word(&b->feed[k].serial, to->in[k].times);
	count_place(&b->feeds, k);
	pinring_store_word(&b->changes, b->changes + 1);
	pinring_executor_nudge(to);
	/* ... and in pinring_knows_link() */
	pinring_store_word(&a->link[n].number, number + 1);
	count_place(&a->links, n);
	return (int)number;
}

static int connect_locked(struct pinring_executor *from,
			  struct pinring_executor *to, uint32_t depth)
{
	const int64_t deadline = pinring_deadline(TAKE_BACK_NS);
	const int n = find_place(from, from->out, take_back_link, deadline);
	const int k = find_place(to, to->in, take_back_feed, deadline);
	struct ends *ends = malloc(sizeof(*ends));
	struct making m = { 0 };
	int rc;

	if (!ends)
		return pinring_fail(from->device, -ENOMEM,
				    "no memory for a link");
	if (n < 0 || k < 0) {
		free(ends);
		return pinring_fail(from->device, -ENOSPC,
				    "there are %d links %s the executor already, and none that is done with",
				    PINRING_LINKS_MAX, n < 0 ? "from" : "to");
	}
	rc = make_rings(&m, from->device, depth);
	if (!rc)
		rc = find_bell(&m, from, to);
	if (!rc)
		rc = map_rings(&m, from, n, to, k);
	if (rc) {
		pinring_doorbell_close(m.link.bell);
		pinring_region_close(m.region);
		free(ends);
		return rc;
	}
	move_rings(&m, to);
	pinring_region_close(m.region);
	rc = publish(&m, from, n, to, k);
	pthread_mutex_lock(&lock);
	*ends = (struct ends){
		.next = links, .from = from, .to = to, .out = n, .in = k,
	};
	links = ends;
	pthread_mutex_unlock(&lock);
	return rc;
}

int pinring_executor_connect(struct pinring_executor *from,
			     struct pinring_executor *to, uint32_t depth)
{
	int saved = errno;
	int rc = pinring_executor_check_parent(from);

	if (!rc)
		rc = pinring_executor_check_parent(to);
	if (rc)
		return rc;
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

static void forget(struct pinring_executor *ex)
{
	const bool ours = ex->pid == getpid();
	struct ends **at = &links, *gone;

	/* In a child of fork another thread may hold it for ever. */
	if (ours)
		pthread_mutex_lock(&lock);
	else if (pthread_mutex_trylock(&lock))
		return;
	while ((gone = *at)) {
		if (gone->from == ex || gone->to == ex) {
			/* release: its loop has ended, and sends no more */
			__atomic_store_n(&gone->from->out[gone->out].over, true,
					 __ATOMIC_RELEASE);
			__atomic_store_n(&gone->to->in[gone->in].over, true,
					 __ATOMIC_RELEASE);
			*at = gone->next;
			free(gone);
		} else {
			at = &gone->next;
		}
	}
	/* Who is about to look at it comes back before it is freed; not in a child. */
	while (ours && ex->watchers)
		pthread_cond_wait(&unwatched, &lock);
	pthread_mutex_unlock(&lock);
}

void pinring_links_drop(struct pinring_executor *ex)
{
	int n;

	forget(ex);
	for (n = 0; !ex->lost && n < PINRING_LINKS_MAX; n++)
		pinring_doorbell_close(ex->out[n].bell);
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
