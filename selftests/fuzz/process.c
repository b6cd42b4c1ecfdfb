// SPDX-License-Identifier: MIT
/* process.c - children, capabilities, /proc, and the module's knobs. */
#include "fuzz.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/*
 * A child with all that we have does the next calls, while we do the same, and
 * ends one way or another. It has nobody but itself: its other threads' locks
 * are nobody's any more, so it calls nothing that could take one.
 */
int run_fork(struct worker *w, const uint64_t *arg)
{
	unsigned int calls = (unsigned int)arg[0] % 8;

	if (w->is_child)
		return 0;
	reap(w);
	w->child = fork();
	if (w->child < 0) {
		w->child = 0;
		return -errno;
	}
	if (w->child > 0) {
		if (arg[1] % 4 == 3)
			kill(w->child, SIGKILL);
		return 0;
	}
	w->is_child = true;
	w->failing = false;
	/* What is open there is its parent's: that one's calls would fail. */
	w->fail = 0;
	w->child = 0;
	if (arg[1] % 8 == 1) {
		/* As few fds as it has: none more can be made. */
		const struct rlimit none = { 3, 3 };

		setrlimit(RLIMIT_NOFILE, &none);
	}
	while (calls-- && ++w->at < w->program.n)
		call_run(w);
	if (arg[1] % 4 == 2)
		execl("/proc/self/exe", "fuzz", "-x", NULL);
	_exit(violated() ? 99 : 0);
}

/* Whether limits bind this thread: no CAP_SYS_RESOURCE, no CAP_IPC_LOCK. */
int run_weaken(struct worker *w, const uint64_t *arg)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];
	const uint32_t those = 1u << CAP_SYS_RESOURCE | 1u << CAP_IPC_LOCK;

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	if (arg[0] % 2)
		data[0].effective &= ~those;
	else
		data[0].effective |= data[0].permitted & those;
	w->weak = arg[0] % 2;
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* ------------------------------------------------------------ fault injection */

#define FAIL_PAGES "/sys/kernel/debug/fail_page_alloc/"
#define TRACE "/sys/kernel/tracing/events/pinring/enable"

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		errno = 0;
	close(fd);
}

/* So that allocations that may wait can fail too. */
void fail_init(void)
{
	write_file("/sys/kernel/debug/failslab/ignore-gfp-wait", "N");
	write_file(FAIL_PAGES "ignore-gfp-wait", "N");
	write_file(FAIL_PAGES "min-order", "0");
	write_file(FAIL_PAGES "task-filter", "Y");
	write_file(FAIL_PAGES "times", "-1");
	/* What fails is said by errors: no dump of each. */
	write_file("/sys/kernel/debug/failslab/verbose", "0");
	write_file(FAIL_PAGES "verbose", "0");
	write_file("/sys/kernel/debug/fail_usercopy/verbose", "0");
	/* Nor other events for the sake of ours: each takes long to switch. */
	write_file("/sys/kernel/tracing/options/record-cmd", "0");
}

/*
 * A SIGSEGV of the kernel's own has no address, only a stack of who sent it. That is
 * kept where other events do not push it out.
 */
#define STRAYS "/sys/kernel/tracing/instances/strays/"
#define SIGNALS STRAYS "events/signal/signal_generate/"
#define OWN_SEGV "sig == 11 && code == 128" /* SI_KERNEL */

void strays_begin(void)
{
	if (mkdir(STRAYS, 0700))
		return;
	write_file(SIGNALS "filter", OWN_SEGV);
	write_file(SIGNALS "trigger", "stacktrace if " OWN_SEGV);
	write_file(SIGNALS "enable", "1");
}

void strays_end(FILE *f)
{
	char text[4096];
	ssize_t n = 0;
	int fd = open(STRAYS "trace", O_RDONLY | O_CLOEXEC);

	while (f && fd >= 0 && (n = read(fd, text, sizeof(text))) > 0)
		fwrite(text, 1, (size_t)n, f);
	if (fd >= 0)
		close(fd);
	rmdir(STRAYS);
}

/*
 * Every other huge page is not to be had, and some are put by: otherwise nothing is
 * ever taken out of the module's pools. But for calls that fail by fail-nth, which
 * come first and whose allocations that are smaller do not fail meanwhile.
 */
void scarce_begin(void)
{
	for (unsigned int node = 0; node < 2; node++)
		(void)knob_write(KNOB_RESERVE + node, "2");
	write_file(FAIL_PAGES "min-order", "9");
	write_file(FAIL_PAGES "probability", "50");
}

void scarce_end(void)
{
	write_file(FAIL_PAGES "probability", "0");
	write_file(FAIL_PAGES "min-order", "0");
}

/* Nobody listens to the module's events. */
void trace_off(void)
{
	write_file(TRACE, "0");
}

void fail_open(struct worker *w)
{
	w->fail_nth = open("/proc/thread-self/fail-nth", O_WRONLY | O_CLOEXEC);
	write_file("/proc/thread-self/make-it-fail", "1");
}

static void fail_set(struct worker *w, unsigned int nth)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%u", nth);

	/* It may be this one that fails, and then no more. */
	if (write(w->fail_nth, text, (size_t)n) < 0 &&
	    write(w->fail_nth, text, (size_t)n) < 0)
		violate(w, "fail-nth takes no %s: %s", text, strerror(errno));
}

/* If a call before has asked for it. */
void fail_begin(struct worker *w)
{
	unsigned int nth = w->fail;

	if (!nth)
		return;
	w->fail = 0;
	w->failing = true;
	fail_set(w, nth);
}

/* w->failing still tells that it was. */
void fail_end(struct worker *w)
{
	if (w->failing)
		fail_set(w, 0);
	w->fail = 0;
}

/* Of the next call; a child's would be the parent's. */
int run_fail(struct worker *w, const uint64_t *arg)
{
	if (w->fail_nth >= 0 && !w->is_child)
		w->fail = 1 + (unsigned int)arg[0];
	return 0;
}

/* ----------------------------------------------------------- /proc and sysfs */

int run_proc(struct worker *w, const uint64_t *arg)
{
	static const char *const files[] = {
		"/proc/self/smaps",
		"/proc/self/numa_maps",
		"/proc/self/maps",
		"/proc/self/pagemap",
		"/proc/self/smaps_rollup",
		"/sys/kernel/debug/pinring/regions",
		"/sys/kernel/debug/pinring/doorbells",
		"/sys/kernel/debug/pinring/pollers",
	};
	char path[64], junk[2048];
	unsigned int what = (unsigned int)arg[0] % (ARRAY_SIZE(files) + 2);
	int fd;

	if (what == ARRAY_SIZE(files)) {
		/* A listener, or none any more. */
		write_file(TRACE, arg[1] & 1 ? "1" : "0");
		return 0;
	}
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", slot_fd(w, REGION, arg[1]));
	fd = open(what < ARRAY_SIZE(files) ? files[what] : path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (int i = 0; i < 4; i++)
		if (read(fd, junk, sizeof(junk)) <= 0)
			break;
	close(fd);
	return 0;
}

#define SYSFS "/sys/class/misc/pinring/"

const char *const knobs[] = {
	"max_bytes",
	"max_bytes_per_user",
	"max_regions_per_user",
	"max_doorbells_per_user",
	"poll_spin_us",
	"poll_sleep_us",
	"poll_cpus",
	[KNOB_RESERVE] = "node0/reserve_pages",
	"node1/reserve_pages",
	[KNOB_REGIONS] = "regions",
	[KNOB_BYTES] = "bytes",
	[KNOB_DOORBELLS] = "doorbells",
	"rings",
	"signals",
	"sleeps",
	"worst_wake_ns",
	[KNOB_FREE] = "node0/free_pages",
	"node1/free_pages",
};
const unsigned int nr_knobs = ARRAY_SIZE(knobs);

/* Open for good: to open one takes the kernel ten times as long as to read it. */
static int knob_fd[ARRAY_SIZE(knobs)];

void knobs_open(void)
{
	for (unsigned int i = 0; i < nr_knobs; i++) {
		char path[128];

		snprintf(path, sizeof(path), SYSFS "%s", knobs[i]);
		knob_fd[i] = open(path, O_RDWR | O_CLOEXEC);
		if (knob_fd[i] < 0)
			knob_fd[i] = open(path, O_RDONLY | O_CLOEXEC);
	}
}

/* -errno, or the length of its text. */
int knob_text(unsigned int knob, char *text, size_t size)
{
	ssize_t n = pread(knob_fd[knob], text, size - 1, 0);

	text[n < 0 ? 0 : n] = '\0';
	return n < 0 ? -errno : (int)n;
}

/* Its number, or -errno; 0 if it has none. */
long long knob_read(unsigned int knob)
{
	char text[64];
	int rc = knob_text(knob, text, sizeof(text));

	return rc < 0 ? rc : atoll(text);
}

int knob_write(unsigned int knob, const char *text)
{
	return pwrite(knob_fd[knob], text, strlen(text), 0) < 0 ? -errno : 0;
}

/*
 * Sense and nonsense; nothing that makes a poller spin for long, nor more pages to
 * put by than the kernel, which looks at each 4096 bytes of one, does in a moment.
 */
static const char *const texts[] = {
	"0", "1", "4", "5\n", "1000", "0-1", "", "\n", "-1", "x", "1x",
	"1000001", "4294967296", "9223372036854775808",
	"99999999999999999999999", "0-99999",
};

int run_knob(struct worker *w, const uint64_t *arg)
{
	unsigned int knob = (unsigned int)arg[0] % nr_knobs;
	int rc;

	if (arg[1] % 32 >= ARRAY_SIZE(texts)) {
		knob_read(knob);
		return 0;
	}
	rc = knob_write(knob, texts[arg[1] % ARRAY_SIZE(texts)]);
	if (knob < KNOBS_WRITABLE)
		w->knobs |= 1u << knob;
	/* What is for reading only. */
	return rc == -EBADF || rc == -ESPIPE ? -EINVAL : rc;
}
