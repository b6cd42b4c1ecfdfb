/* SPDX-License-Identifier: MIT */
/* sides.h - the sides of a ring, as threads or as processes, until all are done. */
#ifndef SELFTESTS_SIDES_H
#define SELFTESTS_SIDES_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIDES_MOST 32

struct one_side {
	void (*main)(void *arg, uint64_t me);
	void *arg;
	uint64_t me;
	pthread_t thread;
	pid_t pid;
};

static void *one_side_main(void *arg)
{
	struct one_side *s = arg;

	s->main(s->arg, s->me);
	return NULL;
}

static bool one_side_start(struct one_side *s, bool process)
{
	if (!process)
		return !pthread_create(&s->thread, NULL, one_side_main, s);
	s->pid = fork();
	if (!s->pid) {
		one_side_main(s);
		_exit(0);
	}
	return s->pid > 0;
}

static bool one_side_end(struct one_side *s, bool process)
{
	int status = 0;

	if (!process)
		return !pthread_join(s->thread, NULL);
	return waitpid(s->pid, &status, 0) == s->pid && !status;
}

/* 0 to n - 1 at a time; whether all came to their end. */
static inline bool run_sides(uint64_t n, bool processes,
			     void (*main)(void *arg, uint64_t me), void *arg)
{
	struct one_side side[SIDES_MOST];
	uint64_t i, started;
	bool fine = n <= SIDES_MOST;

	for (started = 0; fine && started < n; started++) {
		side[started] = (struct one_side){ .main = main,
						   .arg = arg,
						   .me = started };
		fine = one_side_start(&side[started], processes);
		if (!fine)
			break;
	}
	for (i = 0; i < started; i++)
		fine &= one_side_end(&side[i], processes);
	return fine;
}

#endif /* SELFTESTS_SIDES_H */
