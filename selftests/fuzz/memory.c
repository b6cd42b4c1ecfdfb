// SPDX-License-Identifier: MIT
/*
 * memory.c - calls on mappings. What touches memory that may be gone does it
 * under a guard, by which SIGSEGV and SIGBUS come back.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/mempolicy.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <time.h>

/* Part of a slot's window. */
struct part {
	char *at;
	size_t length;
};

static struct part part(struct worker *w, const uint64_t *arg)
{
	uint64_t offset = arg[1] % WINDOW, left = WINDOW - offset;
	uint64_t length = arg[2] == ALL ? *slot_mapped(w, arg[0]) : arg[2];

	return (struct part){
		.at = slot_window(w, arg[0]) + offset,
		.length = length > left ? left : length,
	};
}

static int result(long rc)
{
	return rc < 0 ? -errno : 0;
}

/* -------------------------------------------------------------- mappings */

/* What mmap() of this must return: 0, a certain error, or 1 if there are several. */
static int expected(int fd, uint64_t length, uint64_t offset, int prot, int flags)
{
	uint64_t pages = (length + SMALL - 1) / SMALL * SMALL;
	struct statfs fs;
	struct stat st;
	struct pinring_ioc_region_info info = { .struct_size = sizeof(info) };

	if (fstatfs(fd, &fs) || fs.f_type != PINRING_IOC_FS_MAGIC || fstat(fd, &st) ||
	    ioctl(fd, PINRING_IOC_REGION_INFO, &info))
		return 1;
	if (info.flags & PINRING_IOC_ADOPTED)
		return -ENODEV;
	if (offset % SMALL || !pages || pages > (uint64_t)st.st_size ||
	    offset > (uint64_t)st.st_size - pages)
		return -EINVAL;
	if (prot & PROT_EXEC)
		return -EPERM;
	if ((flags & MAP_TYPE) == MAP_PRIVATE)
		return -EINVAL;
	if (prot & PROT_WRITE && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY)
		return -EACCES;
	if ((flags & MAP_TYPE) == MAP_SHARED_VALIDATE ||
	    flags & ~(MAP_TYPE | MAP_POPULATE | MAP_NORESERVE))
		return 1;
	return 0;
}

/* 0 of what is neither a region nor a dma-buf, which tells it by lseek() only. */
static uint64_t size_of(int fd)
{
	struct stat st;
	off_t end;

	if (fstat(fd, &st))
		return 0;
	if (st.st_size)
		return (uint64_t)st.st_size;
	end = lseek(fd, 0, SEEK_END);
	return end < 0 ? 0 : (uint64_t)end;
}

static char *place_for(struct worker *w, uint64_t to, uint64_t at, uint64_t length,
		       int *flags)
{
	char *window = slot_window(w, to);

	/* One that must not fit is not to hit the neighbours if it does. */
	if (at % ATS == AT_ANYWHERE || length > WINDOW / 2)
		return NULL;
	if (slot_use(w, to))
		munmap(window, WINDOW);
	*flags |= MAP_FIXED;
	return window + (at % ATS == AT_SMALL_PAGE ? SMALL : 0);
}

int run_mmap(struct worker *w, const uint64_t *arg)
{
	int fd = slot_fd(w, kind_of(w), arg[0]), prot = (int)arg[5], flags = (int)arg[6];
	uint64_t offset = arg[4], length = arg[3] == ALL   ? size_of(fd) - offset :
					   arg[3] == WHOLE ? size_of(fd) :
							     arg[3];
	char *place = place_for(w, arg[1], arg[2], length, &flags), *p;
	/* Every other time of a file that nobody closes meanwhile. */
	int held = offset & 1 || random_one_in(&w->random, 2) ?
			   fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
	int rc, want;

	if (place)
		*slot_readonly(w, arg[1]) = false;
	p = mmap(place, length, prot, flags, held < 0 ? fd : held, (off_t)offset);
	rc = p == MAP_FAILED ? -errno : 0;
	if (held >= 0) {
		want = expected(held, length, offset, prot,
				flags & ~MAP_FIXED);
		if (rc == 0 && want < 0)
			violate(w, "mmap took what it must refuse by %d", want);
		if (want == 0 && rc && rc != -ENOMEM && !w->failing)
			violate(w, "mmap refused what it must take by %d", rc);
		if (place && (fcntl(held, F_GETFL) & O_ACCMODE) == O_RDONLY)
			*slot_readonly(w, arg[1]) = rc == 0;
		close(held);
	}
	if (place)
		*slot_mapped(w, arg[1]) = rc ? 0 : length;
	else if (rc == 0)
		munmap(p, length);
	return rc;
}

int run_munmap(struct worker *w, const uint64_t *arg)
{
	struct part p = part(w, arg);

	return result(munmap(p.at, p.length));
}

/* Memory that could become a region's, or for one reason or another not. */
int run_memory(struct worker *w, const uint64_t *arg)
{
	char *place = slot_memory(w, arg[0] % SLOTS);
	size_t length = arg[1] > HUGE + SMALL ? SMALL : arg[1];
	unsigned int what = (unsigned int)arg[2] % 8;
	int fd, rc = 0;

	if (slot_use(w, arg[0]))
		munmap(place, WINDOW);
	fd = memfd_create("fuzz", what == 5 ? MFD_CLOEXEC | MFD_HUGETLB : MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* Sometimes the file ends before its mapping does. */
	if (ftruncate(fd, (off_t)(what == 6 ? length / 2 : length)) ||
	    mmap(place, length, what == 7 ? PROT_READ : PROT_READ | PROT_WRITE,
		 (what == 4 ? MAP_PRIVATE : MAP_SHARED) | MAP_FIXED, fd, 0) == MAP_FAILED)
		rc = -errno;
	close(fd);
	return rc;
}

/* Takes it away, or out of its file: while it may be a region's. */
int run_forget(struct worker *w, const uint64_t *arg)
{
	char *place = slot_memory(w, arg[0] % SLOTS);

	if (arg[1] % 4 == 0)
		return result(madvise(place, SMALL, MADV_REMOVE)) == 0 ? 0 : -EINVAL;
	if (arg[1] % 4 == 1)
		return result(mprotect(place, SMALL, PROT_READ)) == 0 ? 0 : -ENOMEM;
	return result(munmap(place, WINDOW));
}

int run_mremap(struct worker *w, const uint64_t *arg)
{
	struct part p = part(w, arg);
	char *to = slot_window(w, arg[5]);
	uint64_t length = arg[3] == ALL ? p.length : arg[3] > WINDOW ? WINDOW : arg[3];
	int flags = (int)arg[4];
	char *moved;

	/* Not within one window, nor by growing into the next. */
	if (to == slot_window(w, arg[0]))
		return -EINVAL;
	if (!(flags & MREMAP_FIXED) && p.at + length > slot_window(w, arg[0]) + WINDOW)
		return -EINVAL;
	if (flags & MREMAP_FIXED) {
		if (slot_use(w, arg[5]))
			munmap(to, WINDOW);
		*slot_readonly(w, arg[5]) = *slot_readonly(w, arg[0]);
	}
	moved = mremap(p.at, p.length, length, flags, to);
	if (moved == MAP_FAILED)
		return -errno;
	*slot_mapped(w, flags & MREMAP_FIXED ? arg[5] : arg[0]) = length;
	return 0;
}

int run_mprotect(struct worker *w, const uint64_t *arg)
{
	struct part p = part(w, arg);
	int prot = (int)arg[3];
	int rc = result(mprotect(p.at, p.length, prot));

	if (rc || !p.length)
		return rc;
	if (prot & PROT_EXEC)
		violate(w, "mprotect made a region executable");
	if (prot & PROT_WRITE && slot_is_own(arg[0]) && *slot_readonly(w, arg[0]))
		violate(w, "mprotect made writable what a read-only fd mapped");
	return rc;
}

int run_madvise(struct worker *w, const uint64_t *arg)
{
	struct part p = part(w, arg);

	/* Those by which root breaks the machine's memory. */
	if (arg[3] == 100 || arg[3] == 101)
		return 0;
	return result(madvise(p.at, p.length, (int)arg[3]));
}

int run_mlock(struct worker *w, const uint64_t *arg)
{
	struct part p = part(w, arg);
	unsigned char there[WINDOW / SMALL];

	switch (arg[3] % 6) {
	case 0:
		return result(mlock(p.at, p.length));
	case 1:
		return result(munlock(p.at, p.length));
	case 2:
		return result(msync(p.at, p.length, MS_SYNC));
	case 3:
		return result(msync(p.at, p.length, MS_INVALIDATE | MS_ASYNC));
	case 4:
		return result(mincore(p.at, p.length, there));
	default:
		return result(remap_file_pages(p.at, p.length, 0, arg[1] / SMALL, 0));
	}
}

/* Where memory is, and attempts to have it elsewhere. */
int run_place(struct worker *w, const uint64_t *arg)
{
	struct part p = part(w, arg);
	unsigned long nodes = 1ul << (arg[4] & 1);
	int status, node = (int)arg[4] & 1;
	void *page = p.at;

	switch (arg[3] % 4) {
	case 0:
		return result(syscall(SYS_move_pages, 0, 1ul, &page, NULL, &status, 0));
	case 1:
		return result(syscall(SYS_move_pages, 0, 1ul, &page, &node, &status,
				      MPOL_MF_MOVE));
	case 2:
		return result(syscall(SYS_mbind, p.at, p.length, MPOL_BIND, &nodes,
				      8 * sizeof(nodes), MPOL_MF_MOVE));
	default:
		return result(syscall(SYS_mbind, p.at, p.length, MPOL_DEFAULT, NULL, 0,
				      MPOL_MF_STRICT));
	}
}

/* ------------------------------------------------------------------ access */

int run_load(struct worker *w, const uint64_t *arg)
{
	const volatile char *at = slot_window(w, arg[0]) + arg[1] % WINDOW;
	sigjmp_buf gone;
	int rc = 0;

	w->guard = &gone;
	if (sigsetjmp(gone, 0))
		rc = -EFAULT;
	else
		(void)*at;
	w->guard = NULL;
	return rc;
}

int run_store(struct worker *w, const uint64_t *arg)
{
	volatile uint64_t *at = (volatile uint64_t *)(slot_window(w, arg[0]) +
						      arg[1] % WINDOW / 8 * 8);
	sigjmp_buf gone;
	int rc = 0;

	w->guard = &gone;
	if (sigsetjmp(gone, 0))
		rc = -EFAULT;
	else
		*at = arg[2];
	w->guard = NULL;
	if (rc == 0 && slot_is_own(arg[0]) && *slot_readonly(w, arg[0]))
		violate(w, "wrote to what a read-only fd mapped");
	return rc;
}

/* Names a page by its file: other processes' sleepers meet there. */
int run_futex(struct worker *w, const uint64_t *arg)
{
	char *at = slot_window(w, arg[0]) + arg[1] % WINDOW / 4 * 4;
	const struct timespec soon = { .tv_nsec = 100000 };

	switch (arg[2] % 3) {
	case 0:
		return result(syscall(SYS_futex, at, FUTEX_WAKE, 1, NULL, NULL, 0));
	case 1:
		return result(syscall(SYS_futex, at, FUTEX_WAIT, (uint32_t)arg[3],
				      &soon, NULL, 0));
	default:
		return result(syscall(SYS_futex, at, FUTEX_CMP_REQUEUE, 1, 1ul, at + 4,
				      (uint32_t)arg[3]));
	}
}

/* Pins pages, until the pipe is drained. */
int run_vmsplice(struct worker *w, const uint64_t *arg)
{
	struct part p = part(w, arg);
	struct iovec iov = { p.at, p.length };

	return result(vmsplice(w->pipe[arg[3] & 1], &iov, 1, SPLICE_F_NONBLOCK |
			       (arg[3] & 2 ? SPLICE_F_GIFT : 0)));
}

int run_drain(struct worker *w, const uint64_t *arg)
{
	uint64_t left = arg[0];
	char junk[SMALL];

	while (left) {
		ssize_t n = read(w->pipe[0], junk,
				 left > sizeof(junk) ? sizeof(junk) : left);

		if (n <= 0)
			return n < 0 ? -errno : 0;
		left -= (uint64_t)n;
	}
	return 0;
}

/* By somebody else's hand: through get_user_pages(). */
int run_copy(struct worker *w, const uint64_t *arg)
{
	struct part p = part(w, arg);
	char junk[SMALL] = "";
	struct iovec ours = { junk, p.length < SMALL ? p.length : SMALL };
	struct iovec theirs = { p.at, ours.iov_len };

	if (arg[3] & 1)
		return result(process_vm_writev(getpid(), &ours, 1, &theirs, 1, 0));
	return result(process_vm_readv(getpid(), &ours, 1, &theirs, 1, 0));
}
