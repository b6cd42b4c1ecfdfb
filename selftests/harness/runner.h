/* SPDX-License-Identifier: MIT */
/*
 * The half of kselftest_harness.h that runs what the macros registered:
 * a process group a test, a deadline, and the results as KTAP.
 */
#ifndef PINRING_HARNESS_RUNNER_H
#define PINRING_HARNESS_RUNNER_H

static sigset_t th_signals;	/* what the harness waits for while a test runs */
static sigset_t th_old_mask;	/* what the test gets */

static struct {
	unsigned int planned, run, passed, failed, skipped;
} th_count;

static void th_block_signals(void)
{
	static const int stops[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	struct sigaction sa;

	signal(SIGCHLD, SIG_DFL);	/* ignored, it would reap for us */
	sigemptyset(&th_signals);
	sigaddset(&th_signals, SIGCHLD);
	for (size_t i = 0; i < ARRAY_SIZE(stops); i++) {
		sigaction(stops[i], NULL, &sa);
		if (sa.sa_handler != SIG_IGN)
			sigaddset(&th_signals, stops[i]);
	}
	sigprocmask(SIG_BLOCK, &th_signals, &th_old_mask);
}

/* Nobody outlives who forked him: if that one is killed, nobody else would know. */
static void th_die_with(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)	/* died before the line above */
		_exit(KSFT_FAIL);
}

static __thread pid_t th_forking;

static void th_before_fork(void)
{
	th_forking = getpid();
}

static void th_in_helper(void)
{
	th_die_with(th_forking);
}

static void th_child(struct __test_metadata *t, const void *variant, pid_t harness)
{
	setpgid(0, 0);
	th_die_with(harness);
	pthread_atfork(th_before_fork, NULL, th_in_helper);
	if (t->termsig != -1)		/* a sanitizer would catch it */
		signal(t->termsig, SIG_DFL);
	sigprocmask(SIG_SETMASK, &th_old_mask, NULL);

	t->pid = getpid();
	t->fn(t, variant);
	fflush(NULL);
	if (getpid() != t->pid)		/* a helper that returned from the test */
		_exit(__th_passed(t) ? KSFT_PASS : KSFT_FAIL);
	t->finished = true;
	if (__th_passed(t) && !t->skip)
		exit(KSFT_PASS);	/* leak check, coverage counters */
	_exit(__th_passed(t) ? KSFT_PASS : KSFT_FAIL);
}

static int64_t th_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/*
 * Waits for the test to end, at most its timeout; then kills and reaps what
 * is left of its group. The unreaped leader keeps the group's number ours
 * until the kill; orphans come to us because we are a subreaper.
 * Returns 0, SIGALRM for a timeout, or the signal that tells us to stop.
 */
static int th_wait(pid_t pid, int timeout, int *status)
{
	const int64_t deadline = th_now_ms() + timeout * 1000LL;
	struct timespec left = { .tv_sec = 3600 };
	siginfo_t info;
	int sig = 0;

	for (;;) {
		info.si_pid = 0;
		waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT);
		if (info.si_pid == pid)
			break;
		if (timeout > 0) {
			int64_t ms = deadline - th_now_ms();

			if (ms <= 0)
				sig = SIGALRM;
			left.tv_sec = ms / 1000;
			left.tv_nsec = ms % 1000 * 1000000;
		}
		if (!sig)
			sig = sigtimedwait(&th_signals, NULL, &left);
		if (sig > 0 && sig != SIGCHLD)
			break;
		sig = 0;
	}
	kill(-pid, SIGKILL);
	waitpid(pid, status, 0);
	while (waitpid(-pid, NULL, 0) > 0)
		;
	return sig;
}

/* Says why a test failed; a failed check has already said so itself. */
static bool th_verdict(const struct __test_metadata *t, const char *name, int sig, int status)
{
	const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	const int died = WIFSIGNALED(status) ? WTERMSIG(status) : -1;

	if (sig == SIGALRM)
		printf("# %s: no end after %d s, killed with its process group\n",
		       name, t->timeout);
	else if (sig)
		printf("# %s: stopped by signal %d (%s)\n", name, sig, strsignal(sig));
	else if (died != -1 && died != t->termsig)
		printf("# %s: killed by signal %d (%s)\n", name, died, strsignal(died));
	else if (died != -1)
		return t->passed;
	else if (!t->finished)
		printf("# %s: left with exit code %d before its end\n", name, code);
	else if (!t->passed)
		printf("# %s: a check failed\n", name);
	else if (code)
		printf("# %s: exit code %d after its end (a sanitizer's report?)\n", name, code);
	else if (t->termsig != -1 && !t->skip)
		printf("# %s: ended instead of dying of signal %d (%s)\n",
		       name, t->termsig, strsignal(t->termsig));
	else
		return true;
	return false;
}

static void th_run(const struct __test_metadata *test, const void *variant, const char *name)
{
	const char *seconds = getenv("TEST_TIMEOUT");
	const pid_t harness = getpid();
	struct __test_metadata *t;
	int sig, status = 0;
	bool ok;
	pid_t pid;

	th_count.run++;
	t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (t == MAP_FAILED) {
		printf("Bail out! mmap: %s\n", strerror(errno));
		exit(KSFT_FAIL);
	}
	*t = *test;
	t->passed = true;
	if (seconds)
		t->timeout = atoi(seconds);

	printf("#  RUN           %s ...\n", name);
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		printf("Bail out! fork: %s\n", strerror(errno));
		exit(KSFT_FAIL);
	}
	if (!pid)
		th_child(t, variant, harness);
	setpgid(pid, pid);	/* whichever of the two is first */
	sig = th_wait(pid, t->timeout, &status);

	ok = th_verdict(t, name, sig, status);
	t->reason[strcspn(t->reason, "\n")] = '\0';
	printf("#          %4s  %s\n", !ok ? "FAIL" : t->skip ? "SKIP" : "OK", name);
	printf("%s %u %s", ok ? "ok" : "not ok", th_count.run, name);
	if (ok && t->skip)
		printf(" # SKIP %s", t->reason[0] ? t->reason : "unknown");
	printf("\n");
	if (!ok)
		th_count.failed++;
	else if (t->skip)
		th_count.skipped++;
	else
		th_count.passed++;
	munmap(t, sizeof(*t));

	if (sig && sig != SIGALRM) {
		printf("Bail out! stopped by signal %d (%s)\n", sig, strsignal(sig));
		fflush(NULL);
		signal(sig, SIG_DFL);
		sigprocmask(SIG_SETMASK, &th_old_mask, NULL);
		raise(sig);
	}
}

enum th_walk { TH_COUNT, TH_LIST, TH_RUN };

/* Visits the tests that a pattern chooses, or all if there is none. */
static void th_walk(enum th_walk what, char **patterns, int n)
{
	static struct __fixture_variant_metadata none = { .name = "" };
	struct __fixture_variant_metadata *v;
	struct __fixture_metadata *f;
	struct __test_metadata *t;
	char name[256];

	for (f = &_fixture_global; f; f = f->next)
	for (v = f->variants ? f->variants : &none; v; v = v->next)
	for (t = f->tests; t; t = t->next) {
		bool chosen = !n;

		snprintf(name, sizeof(name), "%s%s%s.%s", f->name,
			 v->name[0] ? "." : "", v->name, t->name);
		for (int i = 0; i < n; i++)
			chosen |= !fnmatch(patterns[i], name, 0) ||
				  !fnmatch(patterns[i], t->name, 0);
		if (!chosen)
			continue;
		th_count.planned += what == TH_COUNT;
		if (what == TH_LIST)
			printf("%s\n", name);
		else if (what == TH_RUN)
			th_run(t, v->data, name);
	}
}

static int test_harness_run(int argc, char **argv)
{
	static const char usage[] =
		"usage: %s [-h] [-l] [-t NAME]...\n"
		"  -l       list the tests\n"
		"  -t NAME  run only these: 'fixture.variant.test' or 'test', globs allowed\n";
	char **patterns = calloc((size_t)argc, sizeof(*patterns));
	enum th_walk what = TH_RUN;
	int opt, n = 0;

	while (patterns && (opt = getopt(argc, argv, "hlt:")) != -1) {
		if (opt == 't') {
			patterns[n++] = optarg;
		} else if (opt == 'l') {
			what = TH_LIST;
		} else {
			fprintf(opt == 'h' ? stdout : stderr, usage, argv[0]);
			exit(opt == 'h' ? KSFT_PASS : KSFT_FAIL);
		}
	}
	if (!patterns || optind < argc) {
		fprintf(stderr, usage, argv[0]);
		exit(KSFT_FAIL);
	}

	setvbuf(stdout, NULL, _IOLBF, 0);
	th_walk(TH_COUNT, patterns, n);
	if (what == TH_RUN) {
		printf("TAP version 13\n1..%u\n", th_count.planned);
		prctl(PR_SET_CHILD_SUBREAPER, 1);
		th_block_signals();
	}
	th_walk(what, patterns, n);
	free(patterns);
	if (!th_count.planned)
		fprintf(stderr, "%s: no such test\n", argv[0]);
	if (what == TH_LIST)
		return th_count.planned ? KSFT_PASS : KSFT_FAIL;

	printf("# Totals: pass:%u fail:%u xfail:0 xpass:0 skip:%u error:0\n",
	       th_count.passed, th_count.failed, th_count.skipped);
	if (th_count.failed || !th_count.planned)
		return KSFT_FAIL;
	return th_count.passed ? KSFT_PASS : KSFT_SKIP;
}

#endif /* PINRING_HARNESS_RUNNER_H */
