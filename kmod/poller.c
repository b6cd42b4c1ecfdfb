// SPDX-License-Identifier: GPL-2.0
/*
 * poller.c - a thread for each node that watches the doorbells of devices.
 *
 * It spins while they ring; then, as long as one is armed, looks at them all each
 * poll_sleep_us; and when none is, sleeps until one is armed, which an ioctl does.
 * A device's ring is seen after poll_sleep_us, a quarter of it that the timer may
 * be late to share an interrupt, and what the scheduler takes.
 */
#include <linux/cpuhotplug.h>
#include <linux/cpumask.h>
#include <linux/hrtimer.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/nodemask.h>
#include <linux/percpu.h>
#include <linux/rculist.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/sysfs.h>

#include "pinring.h"
#include "trace.h"

struct poller {
	struct task_struct *task; /* NULL: a node without memory */
	int node;
	struct list_head bells; /* read under looking, changed under lock */
	bool asleep; /* until it is woken; see pinring_poller_armed() */
	u64 last_look; /* ns, as what follows */
	u64 woken; /* when a bell was armed that found it asleep; or 0 */
	u64 worst_gap; /* before a look that found one armed */
};

struct pinring_poll_knobs pinring_poll_knobs = {
	.spin_us = 50,
	.sleep_us = 50,
};

static struct poller *pollers; /* nr_node_ids */
static int hotplug; /* what tells of CPUs that come and go; or 0 */
static DEFINE_MUTEX(lock); /* the lists, the mask */
/*
 * Of our own: a grace period of RCU takes ten milliseconds and more, for each bell
 * of a process that ends.
 */
DEFINE_STATIC_SRCU(looking);
static struct cpumask mask; /* empty: each on its node's CPUs */
static atomic64_t bells, sleeps;
/* By whoever rings, on any CPU: no line that all of them write. */
static DEFINE_PER_CPU(u64, rings);
static DEFINE_PER_CPU(u64, signals);

struct pinring_poll_figures pinring_poll_figures(void)
{
	struct pinring_poll_figures figures = {
		.bells = atomic64_read(&bells),
		.sleeps = atomic64_read(&sleeps),
	};
	int node, cpu;

	for_each_possible_cpu(cpu) {
		figures.rings += READ_ONCE(*per_cpu_ptr(&rings, cpu));
		figures.signals += READ_ONCE(*per_cpu_ptr(&signals, cpu));
	}

	for (node = 0; node < nr_node_ids; node++)
		figures.worst_gap = max(figures.worst_gap,
					READ_ONCE(pollers[node].worst_gap));
	return figures;
}

void pinring_poller_count_ring(void)
{
	this_cpu_inc(rings);
}

void pinring_poller_count_signal(void)
{
	this_cpu_inc(signals);
}

static const char *state_of(const struct poller *poller)
{
	if (READ_ONCE(poller->asleep))
		return "asleep";
	return task_is_running(poller->task) ? "spinning" : "dozing";
}

static unsigned int bells_of(const struct poller *poller)
{
	const struct pinring_bell *bell;
	unsigned int n = 0;

	mutex_lock(&lock);
	list_for_each_entry(bell, &poller->bells, link)
		n++;
	mutex_unlock(&lock);
	return n;
}

/* A line for each node, for people. */
void pinring_pollers_print(struct seq_file *m)
{
	int node;

	for (node = 0; node < nr_node_ids; node++)
		if (pollers[node].task)
			seq_printf(m, "%d %s %u %llu\n", node,
				   state_of(&pollers[node]),
				   bells_of(&pollers[node]),
				   READ_ONCE(pollers[node].worst_gap));
}

/* ------------------------------------------------------------------ thread */

struct pass {
	bool armed; /* at least one waits for a ring */
	bool rung; /* at least one was signalled */
};

static struct pass look_at_all(struct poller *poller)
{
	struct pass pass = { };
	struct pinring_bell *bell;
	int reader = srcu_read_lock(&looking);

	list_for_each_entry_srcu(bell, &poller->bells, link,
				 srcu_read_lock_held(&looking)) {
		switch (pinring_bell_look(bell)) {
		case PINRING_BELL_ARMED:
			pass.armed = true;
			break;
		case PINRING_BELL_RUNG:
			pass.rung = true;
			this_cpu_inc(signals);
			break;
		case PINRING_BELL_IDLE:
			break;
		}
	}
	srcu_read_unlock(&looking, reader);
	return pass;
}

/*
 * And notes for how long one that is armed may have been rung already. No ring can
 * have waited since before it was armed, which ended a sleep if it @slept.
 */
static struct pass look(struct poller *poller, bool slept)
{
	struct pass pass = look_at_all(poller);
	u64 since = slept ? xchg(&poller->woken, 0) : poller->last_look;
	/* Last: who arms one just now may have read the clock after the look. */
	u64 now = ktime_get_ns();

	if (!since)
		since = now;
	if ((pass.armed || pass.rung) && now - since > poller->worst_gap)
		WRITE_ONCE(poller->worst_gap, now - since);
	poller->last_look = now;
	return pass;
}

/* Returns when one is armed, or the thread is to stop. */
static void sleep_until_armed(struct poller *poller)
{
	WRITE_ONCE(poller->woken, 0);
	WRITE_ONCE(poller->asleep, true);
	for (;;) {
		struct pass pass;

		/*
		 * Implies a full barrier, for asleep as well: whoever arms a
		 * bell that we do not see sees us asleep, and wakes us.
		 */
		set_current_state(TASK_IDLE);
		pass = look(poller, true);
		if (pass.armed || pass.rung || kthread_should_stop())
			break;
		trace_poller_sleep(poller->node, 0);
		schedule();
		trace_poller_wake(poller->node);
	}
	__set_current_state(TASK_RUNNING);
	WRITE_ONCE(poller->asleep, false);
}

static void sleep_a_while(const struct poller *poller)
{
	ktime_t timeout;
	u64 ns;

	/* First, so that whoever changes the knob now keeps it awake. */
	set_current_state(TASK_IDLE);
	ns = (u64)READ_ONCE(pinring_poll_knobs.sleep_us) * NSEC_PER_USEC;
	timeout = ns_to_ktime(ns);
	atomic64_inc(&sleeps);
	trace_poller_sleep(poller->node, ns);
	if (!kthread_should_stop())
		schedule_hrtimeout_range(&timeout, ns / 4, HRTIMER_MODE_REL);
	__set_current_state(TASK_RUNNING);
	trace_poller_wake(poller->node);
}

static int poller_run(void *arg)
{
	struct poller *poller = arg;
	u64 last_ring = 0;

	poller->last_look = ktime_get_ns();
	while (!kthread_should_stop()) {
		u64 spin_ns = (u64)READ_ONCE(pinring_poll_knobs.spin_us) *
			      NSEC_PER_USEC;
		struct pass pass = look(poller, false);

		if (pass.rung)
			last_ring = poller->last_look;
		if (poller->last_look - last_ring < spin_ns)
			cpu_relax();
		else if (pass.armed)
			sleep_a_while(poller);
		else
			sleep_until_armed(poller);
		/* Whoever arms by plain stores may keep it from any sleep. */
		cond_resched();
	}
	return 0;
}

/* ------------------------------------------------------------------- bells */

void pinring_poller_add(struct pinring_bell *bell, int node)
{
	/* Memory that was plugged in later has none: the next one will do. */
	while (!pollers[node].task)
		node = (node + 1) % nr_node_ids;
	bell->poller = &pollers[node];
	mutex_lock(&lock);
	list_add_tail_rcu(&bell->link, &bell->poller->bells);
	mutex_unlock(&lock);
	atomic64_inc(&bells);
}

/* When it returns, no poller looks at the bell any more. */
void pinring_poller_remove(struct pinring_bell *bell)
{
	if (!bell->poller)
		return;
	mutex_lock(&lock);
	list_del_rcu(&bell->link);
	mutex_unlock(&lock);
	synchronize_srcu_expedited(&looking);
	atomic64_dec(&bells);
}

/* After the store that armed it. */
void pinring_poller_armed(struct pinring_bell *bell)
{
	struct poller *poller = bell->poller;

	if (!poller)
		return;
	smp_mb(); /* pairs with set_current_state() in sleep_until_armed() */
	if (!READ_ONCE(poller->asleep))
		return;
	cmpxchg(&poller->woken, 0, ktime_get_ns());
	wake_up_process(poller->task);
}

/* ------------------------------------------------------------------- knobs */

/* Whether one of them runs, and will when @leaving does not any more. */
static bool any_runs(const struct cpumask *cpus, unsigned int leaving)
{
	unsigned int cpu;

	for_each_cpu_and(cpu, cpus, cpu_online_mask)
		if (cpu != leaving)
			return true;
	return false;
}

/* Of what is asked for, the node's own; if none of them runs, all. */
static int place(struct poller *poller, unsigned int leaving)
{
	const struct cpumask *of_node = cpumask_of_node(poller->node);
	cpumask_var_t cpus;
	int rc;

	if (!alloc_cpumask_var(&cpus, GFP_KERNEL))
		return -ENOMEM;
	cpumask_and(cpus, &mask, of_node);
	if (!any_runs(cpus, leaving))
		cpumask_copy(cpus, &mask);
	if (!any_runs(cpus, leaving))
		cpumask_copy(cpus, of_node);
	if (!any_runs(cpus, leaving))
		cpumask_copy(cpus, cpu_possible_mask);
	rc = set_cpus_allowed_ptr(poller->task, cpus);
	free_cpumask_var(cpus);
	return rc;
}

static int place_all(unsigned int leaving)
{
	int node, rc = 0;

	lockdep_assert_held(&lock);
	for (node = 0; node < nr_node_ids && !rc; node++)
		if (pollers[node].task)
			rc = place(&pollers[node], leaving);
	return rc;
}

/*
 * The scheduler lets a thread run anywhere when the last of its CPUs goes, and
 * leaves it so when that comes back. That one could not be placed is no reason to
 * stop either.
 */
static int cpu_comes(unsigned int cpu)
{
	mutex_lock(&lock);
	place_all(nr_cpu_ids);
	mutex_unlock(&lock);
	return 0;
}

static int cpu_goes(unsigned int cpu)
{
	mutex_lock(&lock);
	place_all(cpu);
	mutex_unlock(&lock);
	return 0;
}

/* -EINVAL if there are CPUs in it, but none that runs. */
int pinring_poller_set_cpus(const struct cpumask *cpus)
{
	int rc;

	if (!cpumask_empty(cpus) && !cpumask_intersects(cpus, cpu_online_mask))
		return -EINVAL;
	mutex_lock(&lock);
	cpumask_copy(&mask, cpus);
	rc = place_all(nr_cpu_ids);
	mutex_unlock(&lock);
	return rc;
}

ssize_t pinring_poller_show_cpus(char *buf)
{
	ssize_t n;

	mutex_lock(&lock);
	n = sysfs_emit(buf, "%*pbl\n", cpumask_pr_args(&mask));
	mutex_unlock(&lock);
	return n;
}

/* A new value holds at once, and not when the old interval is over. */
void pinring_poller_set(u32 *knob, u32 value)
{
	int node;

	WRITE_ONCE(*knob, value);
	for (node = 0; node < nr_node_ids; node++)
		if (pollers[node].task)
			wake_up_process(pollers[node].task);
}

/* --------------------------------------------------------------- lifecycle */

static int start(struct poller *poller, int node)
{
	struct task_struct *task;

	task = kthread_create_on_node(poller_run, poller, node, "pinring/%d",
				      node);
	if (IS_ERR(task))
		return PTR_ERR(task);
	poller->task = task;
	place(poller, nr_cpu_ids);
	wake_up_process(task);
	return 0;
}

int pinring_pollers_start(void)
{
	int node, rc = 0;

	pollers = kcalloc(nr_node_ids, sizeof(*pollers), GFP_KERNEL);
	if (!pollers)
		return -ENOMEM;
	for (node = 0; node < nr_node_ids; node++) {
		pollers[node].node = node;
		INIT_LIST_HEAD(&pollers[node].bells);
	}
	for_each_node_state(node, N_MEMORY) {
		rc = start(&pollers[node], node);
		if (rc)
			goto stop;
	}
	rc = cpuhp_setup_state_nocalls(CPUHP_AP_ONLINE_DYN, "pinring:online",
				       cpu_comes, cpu_goes);
	if (rc < 0)
		goto stop;
	hotplug = rc;
	return 0;
stop:
	pinring_pollers_stop();
	return rc;
}

void pinring_pollers_stop(void)
{
	int node;

	if (hotplug)
		cpuhp_remove_state_nocalls(hotplug);
	for (node = 0; node < nr_node_ids; node++)
		if (pollers[node].task)
			kthread_stop(pollers[node].task);
	kfree(pollers);
	pollers = NULL;
}
