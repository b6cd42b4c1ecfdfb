/* SPDX-License-Identifier: MIT */
/*
 * survey_process.c - the regions that processes hold.
 *
 * /proc/PID/fd can be read for the caller's own processes, and for all by root.
 * What stands there is chosen by those processes, and opening the wrong thing can
 * take for ever (a FIFO, a file whose server does not answer). So only what lies
 * on the kernel's own mount of memfds is opened, and that is asked of the inode in
 * a way that no file system is waited for.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "survey.h"
#include "tool.h"

#define LINKS_MAX 100000 /* looked at in one survey */

#define MEMFD "/memfd:"
#define MODULE "/pinring:"
#define DELETED " (deleted)"

/* Where this kernel keeps memfds: of small pages, and of huge ones. */
static dev_t mounts[2];

static void find_mounts(void)
{
	static const unsigned int flags[] = { 0, MFD_HUGETLB };
	struct stat st;
	size_t i;

	if (mounts[0])
		return;
	for (i = 0; i < 2; i++) {
		int fd = memfd_create("pinring", MFD_CLOEXEC | flags[i]);

		if (fd < 0)
			continue;
		if (!fstat(fd, &st))
			mounts[i] = st.st_dev;
		close(fd);
	}
}

struct process {
	struct survey *survey;
	pid_t pid;
	int dir; /* its /proc/PID/fd */
};

static void count_process(const struct process *p, struct survey_region *region)
{
	char path[64], comm[32] = "";
	ssize_t n;
	int fd;

	if (region->last_pid == p->pid)
		return;
	region->last_pid = p->pid;
	if (region->processes++)
		return;
	region->pid = p->pid;
	snprintf(path, sizeof(path), "/proc/%d/comm", p->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, comm, sizeof(comm) - 1);
	if (fd >= 0)
		close(fd);
	comm[n > 0 ? n : 0] = '\0';
	comm[strcspn(comm, "\n")] = '\0';
	survey_text(region->process, sizeof(region->process), comm);
}

static bool has_magic(int fd)
{
	uint64_t magic;

	/* Unlike a load, a read makes no memory where there is a hole. */
	return pread(fd, &magic, sizeof(magic), 0) == sizeof(magic) &&
	       magic == PINRING_REGION_MAGIC;
}

static void see_memfd(const struct process *p, const char *number, char *name)
{
	struct survey_region *region;
	struct statx st;
	char *end = strstr(name, DELETED);
	dev_t of;
	int fd;

	if (statx(p->dir, number, AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &st))
		return;
	of = makedev(st.stx_dev_major, st.stx_dev_minor);
	if (!of || (of != mounts[0] && of != mounts[1]))
		return;
	fd = openat(p->dir, number, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return;
	region = has_magic(fd) ? survey_region(p->survey, of, st.stx_ino) :
				 NULL;
	if (region) {
		region->owner = st.stx_uid;
		region->size = st.stx_size;
		if (end)
			*end = '\0';
		survey_text(region->name, sizeof(region->name), name);
		count_process(p, region);
		survey_look(p->survey, region, fd);
	}
	close(fd);
}

/* The line that the module writes to /proc/PID/fdinfo/FD; 0: there is none. */
static uint64_t module_id(const struct process *p, const char *number)
{
	static const char key[] = "pinring-id:\t";
	char text[1024], *line;
	uint64_t id = 0;
	ssize_t n;
	int fd;

	snprintf(text, sizeof(text), "/proc/%d/fdinfo/%.16s", p->pid, number);
	fd = open(text, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	line = strstr(text, key);
	if (!line)
		return 0;
	line += sizeof(key) - 1;
	line[strcspn(line, "\n")] = '\0';
	return parse_count(line, &id) ? id : 0;
}

/* The file itself: the module lets nobody open it a second time. */
static int take_fd(pid_t pid, const char *number)
{
	int process = (int)syscall(SYS_pidfd_open, pid, 0);
	uint64_t fd;
	int rc = -1;

	if (process < 0)
		return -1;
	if (parse_count(number, &fd))
		rc = (int)syscall(SYS_pidfd_getfd, process, (int)fd, 0);
	close(process);
	return rc;
}

static void see_module(const struct process *p, const char *number)
{
	uint64_t id = module_id(p, number);
	struct survey_region *region =
		id ? survey_region(p->survey, 0, id) : NULL;
	int fd;

	if (!region)
		return;
	count_process(p, region);
	if (region->open || region->broken)
		return;
	fd = take_fd(p->pid, number);
	if (fd < 0) {
		snprintf(region->reason, sizeof(region->reason),
			 "its fd cannot be taken from process %d: %s", p->pid,
			 strerror(errno));
		return;
	}
	if (survey_module_describe(region, fd))
		survey_look(p->survey, region, fd);
	close(fd);
}

/* Returns how many links it looked at. */
static int see_process(struct survey *survey, pid_t pid, int most)
{
	struct process p = { .survey = survey, .pid = pid };
	struct dirent *entry;
	char path[64], link[512];
	int links = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir)
		return 0;
	p.dir = dirfd(dir);
	while (links < most && (entry = readdir(dir))) {
		ssize_t n = readlinkat(p.dir, entry->d_name, link,
				       sizeof(link) - 1);

		links++;
		link[n > 0 ? n : 0] = '\0';
		if (!strncmp(link, MEMFD, sizeof(MEMFD) - 1))
			see_memfd(&p, entry->d_name, link + sizeof(MEMFD) - 1);
		else if (!strncmp(link, MODULE, sizeof(MODULE) - 1))
			see_module(&p, entry->d_name);
	}
	closedir(dir);
	return links;
}

void survey_processes(struct survey *survey)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int left = LINKS_MAX;

	find_mounts();
	while (proc && left > 0 && (entry = readdir(proc))) {
		uint64_t pid;

		if (!parse_count(entry->d_name, &pid) || pid > INT32_MAX ||
		    (pid_t)pid == getpid())
			continue;
		left -= see_process(survey, (pid_t)pid, left);
	}
	if (left <= 0)
		survey->cut = true;
	if (proc)
		closedir(proc);
}
