// SPDX-License-Identifier: MIT
/* files.c - calls on fds. */
#include "fuzz.h"

#include <fcntl.h>
#include <linux/dma-buf.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "../kmod/importer/importer.h"

static int result(long rc)
{
	return rc < 0 ? -errno : 0;
}

int run_open(struct worker *w, const uint64_t *arg)
{
	static const int ways[] = { O_RDWR, O_RDWR, O_RDONLY, O_WRONLY };
	int fd = open("/dev/pinring", ways[arg[1] % ARRAY_SIZE(ways)] | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	slot_put_fd(w, DEVICE, arg[0], fd);
	return 0;
}

int run_eventfd(struct worker *w, const uint64_t *arg)
{
	int fd = eventfd((unsigned int)arg[1], EFD_CLOEXEC | EFD_NONBLOCK);
	uint64_t most = UINT64_MAX - 1;

	if (fd < 0)
		return -errno;
	/* Full, so that no signal fits. */
	if (arg[1] == UINT64_MAX && write(fd, &most, sizeof(most)) != sizeof(most))
		errno = 0;
	slot_put_fd(w, EVENT, arg[0], fd);
	return 0;
}

enum kind kind_of(const struct worker *w)
{
	return w->program.call[w->at].row->arg[0].kind;
}

int run_close(struct worker *w, const uint64_t *arg)
{
	if (slot_fd(w, kind_of(w), arg[0]) < 0)
		return -EBADF;
	slot_put_fd(w, kind_of(w), arg[0], -1);
	return 0;
}

int run_dup(struct worker *w, const uint64_t *arg)
{
	int fd = fcntl(slot_fd(w, kind_of(w), arg[0]), F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	slot_put_fd(w, kind_of(w), arg[1], fd);
	return 0;
}

/* There is no way to a file of another mode, or of another process. */
int run_reopen(struct worker *w, const uint64_t *arg)
{
	static const int ways[] = { O_RDWR, O_RDONLY, O_WRONLY, O_RDWR | O_TRUNC };
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", slot_fd(w, REGION, arg[0]));
	fd = open(path, ways[arg[1] % ARRAY_SIZE(ways)] | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

/* What is for other files. */
int run_file(struct worker *w, const uint64_t *arg)
{
	int fd = slot_fd(w, REGION, arg[0]);
	struct pollfd pollfd = { .fd = fd, .events = POLLIN | POLLOUT };
	off_t length = (off_t)arg[2];
	struct stat st;
	char junk[64] = "";

	switch (arg[1] % 14) {
	case 0:
		return result(read(fd, junk, sizeof(junk)));
	case 1:
		return result(pread(fd, junk, sizeof(junk), length));
	case 2:
		return result(ftruncate(fd, length));
	case 3:
		return result(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					0, length));
	case 4:
		return result(fallocate(fd, 0, 0, length));
	case 5:
		return result(lseek(fd, length, SEEK_SET));
	case 6:
		return result(fsync(fd));
	case 7:
		return result(poll(&pollfd, 1, 0));
	case 8:
		return result(fstat(fd, &st));
	case 9:
		return result(flock(fd, LOCK_EX | LOCK_NB));
	case 10:
		return result(sendfile(w->pipe[1], fd, NULL, sizeof(junk)));
	case 11:
		return result(fchmod(fd, (mode_t)arg[2] & 0777));
	case 12:
		return result(fchown(fd, arg[2] & 1, arg[2] >> 12 & 1));
	default:
		return -posix_fadvise(fd, 0, length, POSIX_FADV_DONTNEED);
	}
}

/* What the core offers of any dma-buf. */
int run_sync(struct worker *w, const uint64_t *arg)
{
	struct dma_buf_sync sync = { .flags = arg[1] & 7 };
	struct dma_buf_export_sync_file fence = { .flags = arg[1] & 3 };
	int fd = slot_fd(w, DMABUF, arg[0]);

	if (arg[1] & 8) {
		if (ioctl(fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &fence))
			return -errno;
		close(fence.fd);
		return 0;
	}
	if (arg[1] & 16)
		return result(ioctl(fd, DMA_BUF_SET_NAME_B, "fuzz"));
	return result(ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync));
}

/* In a driver's hands until its fd is closed. */
int run_import(struct worker *w, const uint64_t *arg)
{
	struct importer_map map = {
		.fd = slot_fd(w, DMABUF, arg[0]),
		.direction = arg[2] & 3,
		.max_segment = arg[3] < HUGE ? (uint32_t)arg[3] : UINT32_MAX,
		.max_mapping = arg[2] & 4 ? 4 * SMALL : 0,
		.fail = arg[2] < 28 ? 0 : EIO,
	};
	int fd = open("/dev/pinring-importer", O_RDWR | O_CLOEXEC), rc;

	if (fd < 0)
		return -errno;
	/* To open it makes a device, which is nothing of ours. */
	fail_begin(w);
	rc = result(ioctl(fd, IMPORTER_MAP, &map));
	fail_end(w);
	if (rc)
		close(fd);
	else
		slot_put_fd(w, IMPORT, arg[1], fd);
	return rc;
}

/* What the device sees, or its driver. */
int run_import_copy(struct worker *w, const uint64_t *arg)
{
	char bytes[128];
	struct importer_copy copy = {
		.offset = arg[2],
		.size = sizeof(bytes),
		.user = (uintptr_t)bytes,
		.way = arg[1] & 1 ? IMPORTER_BY_VMAP : IMPORTER_BY_DEVICE,
	};

	memset(bytes, 0x5a, sizeof(bytes));
	return result(ioctl(slot_fd(w, IMPORT, arg[0]), IMPORTER_COPY, &copy));
}

/* ------------------------------------------------------------- SCM_RIGHTS */

int run_send(struct worker *w, const uint64_t *arg)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { "", 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int fd = slot_fd(w, REGION, arg[0]);

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	return result(sendmsg(w->socket[0], &msg, MSG_DONTWAIT));
}

int run_receive(struct worker *w, const uint64_t *arg)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int fd;

	if (recvmsg(w->socket[1], &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
		return -errno;
	if (msg.msg_controllen < CMSG_LEN(sizeof(int)))
		return 0;
	memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	slot_put_fd(w, REGION, arg[0], fd);
	return 0;
}
