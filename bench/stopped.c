// SPDX-License-Identifier: MIT
/*
 * stopped.c - producers that are off their core at the worst moment.
 *
 * Processes at one queue in shared memory: producers on one core, the consumer on
 * the other. In one row three producers share a core, beside one that has it
 * alone: the scheduler takes each off wherever it is. In the other, one of three
 * is stopped at random points (SIGSTOP) for half the time, and what the other two
 * get through is compared with what they get when nobody is.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "crew.h"
#include "report.h"

#define QUEUES_MAX 20
#define PRODUCERS 3u /* the first is the one to be stopped */
#define ENDING_NS 100000 /* until the last one has seen that time is up */
#define PATIENCE 10000 /* naps of 100 us: somebody died */
#define FLOW_US 12000
#define STOP_LEAST_US 1000
#define STOP_MORE_US 2000 /* random, up to this */

struct stage;

struct place {
	struct stage *stage;
	const struct crew_queue *who;
	struct crowd_member member;
	uint64_t end, ran; /* ran: of this time that, ns */
} PINRING_ALIGNED(128);

/* One run; shared memory. */
struct stage {
	struct crowd crowd;
	struct place producer[PRODUCERS], consumer;
	uint32_t parties; /* that take part */
	uint32_t ended PINRING_ALIGNED(128); /* of them; atomic */
};

static void *join(const struct crew_queue *q, unsigned int sides)
{
	return q->kind->join ? q->kind->join(q->queue, sides) : q->queue;
}

static void leave(const struct crew_queue *q, void *handle)
{
	if (q->kind->leave)
		q->kind->leave(handle);
}

/* To give back a large memory takes a process milliseconds, on others' core. */
static void await_all(struct stage *s)
{
	unsigned int naps = 0;

	__atomic_add_fetch(&s->ended, 1, __ATOMIC_RELAXED);
	while (__atomic_load_n(&s->ended, __ATOMIC_RELAXED) < s->parties &&
	       naps++ < PATIENCE)
		bench_nap(100);
}

static void take_part(struct place *p, unsigned int side, crowd_loop loop)
{
	void *handle = join(p->who, side);
	uint64_t ran;

	crew_await(p->member.crowd, 1);
	ran = bench_thread_ns();
	loop(handle, &p->member);
	p->end = bench_now_ns();
	p->ran = bench_thread_ns() - ran;
	await_all(p->stage);
	leave(p->who, handle);
}

static void produce(void *arg)
{
	struct place *p = arg;

	take_part(p, CROWD_PRODUCES, p->who->kind->produce);
}

static void consume(void *arg)
{
	struct place *p = arg;

	take_part(p, CROWD_CONSUMES, p->who->kind->consume);
}

static void take_place(struct stage *s, struct place *p,
		       const struct crew_queue *who, uint64_t first)
{
	*p = (struct place){ .stage = s,
			     .who = who,
			     .member = { .crowd = &s->crowd,
					 .most = UINT64_MAX,
					 .next = first } };
}

/* What came must be what was sent; what is left in the queue is taken here. */
static void verify(struct stage *s, const struct crew_queue *who,
		   unsigned int producers)
{
	struct crowd_member rest = { .crowd = &s->crowd,
				     .most = UINT64_MAX,
				     .drains = true };
	void *handle = join(who, CROWD_CONSUMES);
	const struct crowd_member *c = &s->consumer.member;
	uint64_t sent = 0, sum = 0;
	unsigned int i;

	who->kind->consume(handle, &rest);
	leave(who, handle);
	for (i = 0; i < producers; i++) {
		const struct crowd_member *m = &s->producer[i].member;

		if (m->sent)
			sum += m->sent * (m->next - m->sent) +
			       m->sent * (m->sent - 1) / 2;
		sent += m->sent;
	}
	if (sent != c->got + rest.got || sum != c->sum + rest.sum ||
	    ((c->disorder || rest.disorder) && !who->kind->reorders)) {
		fprintf(stderr, "pinring-bench: stopped, %s\n",
			who->kind->name);
		bench_die("stopped: items were lost or came out of order", 0);
	}
}

/*
 * None of these sleeps, and while one is stopped the others have its core. So what
 * they did not get of it, until the last was done, went to others.
 */
static uint64_t lacked_by(const struct place *p, unsigned int n, uint64_t begin)
{
	uint64_t end = begin, ran = 0;
	unsigned int i;

	for (i = 0; i < n; i++) {
		ran += p[i].ran + ENDING_NS;
		if (p[i].end > end)
			end = p[i].end;
	}
	return end - begin > ran ? end - begin - ran : 0;
}

struct outcome {
	double all, others; /* M/s: of all producers; of all but the first */
	double stopped; /* of the time that the first was */
	uint64_t lacked;
};

/* xorshift, so that the points differ and a run can be told from another */
static unsigned int random_us(void)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return STOP_LEAST_US + (unsigned int)(x % STOP_MORE_US);
}

/* Stops and continues by turns until the time is up; ns stopped. */
static uint64_t torment(pid_t pid, uint64_t until)
{
	uint64_t stopped = 0, begin;
	siginfo_t info;

	while (bench_now_ns() < until) {
		bench_nap(random_us());
		kill(pid, SIGSTOP);
		waitid(P_PID, (id_t)pid, &info, WSTOPPED);
		begin = bench_now_ns();
		bench_nap(random_us());
		stopped += bench_now_ns() - begin;
		kill(pid, SIGCONT);
	}
	return stopped;
}

static struct outcome run(struct stage *s, const struct bench_options *o,
			  const struct crew_queue *who, unsigned int producers,
			  bool stop)
{
	uint64_t begin, us = o->quick ? FLOW_US / 2 : FLOW_US, stopped = 0;
	struct outcome out = { 0 };
	pid_t pid[PRODUCERS + 1];
	double ns;
	unsigned int i;

	memset(s, 0, sizeof(*s));
	s->parties = producers + 1;
	for (i = 0; i < producers; i++) {
		take_place(s, &s->producer[i], who, crowd_first_item(i));
		pid[i] = bench_process(o->cpu_host, produce, &s->producer[i]);
	}
	take_place(s, &s->consumer, who, 0);
	pid[producers] = bench_process(o->cpu_peer, consume, &s->consumer);
	begin = crew_release(&s->crowd, 1, producers + 1);
	if (stop)
		stopped = torment(pid[0], begin + 2 * us * 1000);
	else
		bench_nap((unsigned int)us);
	ns = (double)(bench_now_ns() - begin);
	__atomic_store_n(&s->crowd.stop, true, __ATOMIC_RELAXED);
	for (i = 0; i <= producers; i++)
		bench_process_end(pid[i]);
	verify(s, who, producers);
	for (i = 0; i < producers; i++) {
		const struct place *p = &s->producer[i];
		double rate = (double)p->member.sent * 1e3 /
			      (double)(p->end - begin);

		out.all += rate;
		out.others += i ? rate : 0.0;
	}
	out.stopped = (double)stopped / ns;
	out.lacked = lacked_by(s->producer, producers, begin) +
		     lacked_by(&s->consumer, 1, begin);
	return out;
}

/* ------------------------------------------------------------- the contest */
struct figures {
	struct gate gate;
	struct series one, three; /* M/s: one producer, and three on its core */
	struct series others, beside; /* M/s: of two, free, and beside a stop */
	struct series shared, kept, floor; /* ratios; 1 - the share stopped */
};

struct contest {
	struct pinring_device *device;
	struct pinring_region *region;
	struct crew_queue who[QUEUES_MAX];
	struct figures figures[QUEUES_MAX];
	unsigned int n;
};

static void contest_add(struct contest *c, const struct crowd_queue *kind)
{
	struct pinring_object_info object = { 0 };
	void *memory = NULL;
	int rc;

	/* What lies on the heap, or sleeps on private futexes, cannot take part. */
	if (!kind || !kind->shared || !kind->produce || kind->max_producers == 1)
		return;
	if (c->n == QUEUES_MAX)
		bench_die("stopped: more queues than the contest holds", 0);
	if (kind->bytes) {
		rc = pinring_object_create(c->region, kind->name,
					   PINRING_OBJECT_BYTES, kind->bytes,
					   4096, &object);
		if (rc)
			bench_die("stopped", rc);
		memory = pinring_region_at(c->region, object.offset,
					   object.length);
	}
	c->who[c->n].kind = kind;
	c->who[c->n++].queue = kind->open(memory, c->region);
}

static void contest_open(struct contest *c)
{
	struct pinring_region_config rc = pinring_region_defaults(8u << 20);
	unsigned int i;
	int error;

	rc.flags = PINRING_REGION_PREFAULT;
	error = pinring_device_open(NULL, &c->device);
	if (!error)
		error = pinring_region_create(c->device, &rc, &c->region);
	if (error)
		bench_die("stopped", error);
	for (i = 0; i < crowd_kinds(); i++)
		contest_add(c, crowd_kind(i));
}

static void contest_close(struct contest *c)
{
	unsigned int i;

	for (i = 0; i < c->n; i++)
		c->who[i].kind->close(c->who[i].queue);
	pinring_region_close(c->region);
	pinring_device_close(c->device);
}

static void run_all(struct stage *s, const struct bench_options *o,
		    const struct crew_queue *who, struct figures *f)
{
	struct outcome one, three, stopped;

	gate_before(&f->gate);
	one = run(s, o, who, 1, false);
	three = run(s, o, who, PRODUCERS, false);
	stopped = run(s, o, who, PRODUCERS, true);
	f->gate.lacked = one.lacked + three.lacked + stopped.lacked;
	if (!gate_pass(&f->gate))
		return;
	series_add(&f->one, one.all);
	series_add(&f->three, three.all);
	series_add(&f->shared, three.all / one.all);
	series_add(&f->others, three.others);
	series_add(&f->beside, stopped.others);
	series_add(&f->kept, stopped.others / three.others);
	series_add(&f->floor, 1.0 - stopped.stopped);
}

/* ------------------------------------------------------------------ report */
static size_t note_peers(const struct contest *c, bool stop, char *text,
			 size_t size)
{
	unsigned int i;
	size_t n = 0;

	for (i = 0; i < c->n; i++) {
		const struct figures *f = &c->figures[i];

		if (c->who[i].kind->ours || !f->one.n)
			continue;
		n += (size_t)snprintf(
			text + n, size - n, "%s%s %.3g, before %.3g",
			n ? "; " : "", c->who[i].kind->name,
			series_median(stop ? &f->beside : &f->three),
			series_median(stop ? &f->others : &f->one));
	}
	return n;
}

static void report(const struct contest *c, unsigned int i, bool stop)
{
	static char names[4][48]; /* rows keep their names */
	static unsigned int named;
	const struct figures *f = &c->figures[i];
	struct row row = { .unit = "M/s", .target_is_floor = true };
	const size_t size = sizeof(row.note);
	char *name = names[named++];
	size_t n;

	snprintf(name, sizeof(names[0]), "%s, %s",
		 !strcmp(c->who[i].kind->name, "pinring") ? "MPMC" : "lanes",
		 stop ? "one of 3 stopped, the others" :
			"3 producers on one core");
	row.name = name;
	row.value = stop ? f->beside : f->three;
	row.limit = stop ? f->others : f->one;
	row.limit_name = stop ? "nobody stopped" : "one producer there";
	row.ratio = series_median(stop ? &f->kept : &f->shared);
	/* Sharing a core loses no time of it; a twentieth is for the switches. */
	row.target = stop ? series_median(&f->floor) : 0.95;
	if (!f->one.n)
		row.target = stop ? 0.5 : 0.95;
	n = note_peers(c, stop, row.note, size);
	n += (size_t)snprintf(row.note + n, size - n, "%s%s\n", n ? "; " : "",
			      stop ? "the target is the share of time that was left" :
				     "all of the core's time is left");
	gate_note(&f->gate, row.note + n, size - n);
	report_row(&row);
}

static void report_collapse(const struct contest *c, bool stop)
{
	struct row row = { .name = stop ? "rte_ring MP/MC, one of 3 stopped" :
					  "rte_ring MP/MC, 3 on one core",
			   .unit = "M/s",
			   .limit_name = stop ? "nobody stopped" :
						"one producer there" };
	unsigned int i;

	for (i = 0; i < c->n; i++) {
		const struct figures *f = &c->figures[i];

		if (strcmp(c->who[i].kind->name, "rte_ring MP/MC"))
			continue;
		row.value = stop ? f->beside : f->three;
		row.limit = stop ? f->others : f->one;
		row.ratio = series_median(stop ? &f->kept : &f->shared);
	}
	if (!row.value.n) {
		report_absent(row.name, 0.0, "libdpdk-dev is not there, or no run counted");
		return;
	}
	snprintf(row.note, sizeof(row.note),
		 "who waits for the one before it spins through its slice; no target, it is not ours");
	report_row(&row);
}

void bench_stopped(const struct bench_options *o)
{
	static struct contest c;
	struct stage *stage;
	struct gate first;
	bool more = true;
	unsigned int i;

	if (!bench_two_cores(o)) {
		report_absent("3 producers on one core", 0.95,
			      "needs two cores, and this process may use one");
		return;
	}
	bench_pin(o->cpu_host);
	contest_open(&c);
	stage = bench_shared(sizeof(*stage));
	gate_open(&first, o, 40);
	for (i = 0; i < c.n; i++) {
		gate_share(&c.figures[i].gate, &first);
		c.figures[i].gate.sleeps = true; /* they do wait for the core */
	}
	while (more) {
		more = false;
		for (i = 0; i < c.n; i++) {
			if (!gate_more(&c.figures[i].gate))
				continue;
			run_all(stage, o, &c.who[i], &c.figures[i]);
			more = true;
		}
	}
	for (i = 0; i < c.n && c.who[i].kind->ours; i++) {
		report(&c, i, false);
		report(&c, i, true);
	}
	report_collapse(&c, false);
	report_collapse(&c, true);
	contest_close(&c);
}
