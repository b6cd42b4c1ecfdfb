// SPDX-License-Identifier: MIT
/*
 * dynamic_host.c - users' kernels in host threads, and the end of those that fault.
 *
 * A fault in a kernel fails the executor and not the process: the handler jumps
 * back to where this thread called the kernel. There is a handler only while
 * kernels are registered, and what is not theirs goes on to the application's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>

#include "team_host.h"

#include "check.h"
#include "dynamic.h"
#include "dynamic_host.h"

static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL };

#define SIGNALS (sizeof(signals) / sizeof(signals[0]))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards users */
static unsigned int users;
static struct sigaction before[SIGNALS]; /* the application's */

/*
 * Where a kernel that runs on this thread is left; NULL: none does. Read in the
 * handler, where memory for it cannot be allocated, as other models may do.
 */
static _Thread_local sigjmp_buf *volatile escape
	__attribute__((tls_model("initial-exec")));

#define LEFT (-1) /* another worker faulted */

static void pass_on(int i, siginfo_t *info, void *context)
{
	struct sigaction theirs = before[i], dfl = { .sa_handler = SIG_DFL };
	sigset_t mask;

	if (theirs.sa_flags & SA_RESETHAND)
		before[i] = dfl;
	if (theirs.sa_handler == SIG_IGN && info->si_code <= 0)
		return;
	if (theirs.sa_handler == SIG_DFL || theirs.sa_handler == SIG_IGN) {
		/* Returns to where it happened, to happen again. */
		sigaction(signals[i], &dfl, NULL);
		if (info->si_code <= 0)
			raise(signals[i]);
		return;
	}
	if (!(theirs.sa_flags & SA_NODEFER))
		sigaddset(&theirs.sa_mask, signals[i]);
	pthread_sigmask(SIG_BLOCK, &theirs.sa_mask, &mask);
	if (theirs.sa_flags & SA_SIGINFO)
		theirs.sa_sigaction(signals[i], info, context);
	else
		theirs.sa_handler(signals[i]);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

static void caught(int signal, siginfo_t *info, void *context)
{
	int saved = errno;
	size_t i;

	/* A code above 0 is the CPU's; others come from kill() and the like. */
	if (escape && info->si_code > 0)
		siglongjmp(*escape, signal);
	for (i = 0; i < SIGNALS; i++)
		if (signals[i] == signal)
			pass_on((int)i, info, context);
	errno = saved;
}

static bool is_ours(const struct sigaction *action)
{
	return action->sa_flags & SA_SIGINFO && action->sa_sigaction == caught;
}

void pinring_catch_faults(void)
{
	struct sigaction ours = { .sa_sigaction = caught }, now;
	size_t i;

	/* Of a kernel that overflows its stack, on another one. */
	ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTART;
	pthread_mutex_lock(&lock);
	for (i = 0; !users && i < SIGNALS; i++) {
		sigaction(signals[i], NULL, &now);
		/* Put back by one that was on top of it as the last user went. */
		if (is_ours(&now))
			continue;
		before[i] = now;
		sigaction(signals[i], &ours, NULL);
	}
	users++;
	pthread_mutex_unlock(&lock);
}

void pinring_let_faults(void)
{
	struct sigaction now;
	size_t i;

	pthread_mutex_lock(&lock);
	users--;
	for (i = 0; !users && i < SIGNALS; i++) {
		sigaction(signals[i], NULL, &now);
		/* If it is not ours, the application has put its own there. */
		if (is_ours(&now))
			sigaction(signals[i], &before[i], NULL);
	}
	pthread_mutex_unlock(&lock);
}

void pinring_faults_to(sigset_t *set)
{
	size_t i;

	for (i = 0; i < SIGNALS; i++)
		sigdelset(set, signals[i]);
}

/* As pinring_team_barrier(), but for one: a worker that faulted never comes. */
static void kernel_barrier(const struct pinring_kernel_args *args)
{
	struct pinring_loop *loop = args->team;

	if (pinring_gate_pass(&loop->team->kernels, args->workers,
			      &loop->meeting->fault))
		siglongjmp(*escape, LEFT);
}

__u32 pinring_check_dynamic(struct pinring_loop *loop, struct pinring_job *job,
			    const struct pinring_command *c)
{
	return pinring_check_kernel(loop, job, c);
}

static __u32 reason_of(int signal)
{
	return signal == SIGSEGV || signal == SIGBUS ? PINRING_REASON_FAULT :
						       PINRING_REASON_TRAP;
}

void pinring_run_dynamic(struct pinring_loop *loop, __u64 worker)
{
	struct pinring_job *job = &loop->job;
	struct pinring_kernel_args args;
	sigjmp_buf here;
	int signal;

	pinring_dynamic_args(job, worker, &args);
	args.barrier = kernel_barrier;
	args.team = loop;
	/* Without the mask: SA_NODEFER left it as it is. */
	signal = sigsetjmp(here, 0);
	if (!signal) {
		escape = &here;
		job->entry(&args);
	}
	escape = NULL;
	if (signal > 0)
		__atomic_store_n(&loop->meeting->fault, reason_of(signal),
				 __ATOMIC_RELAXED);
}
