/* SPDX-License-Identifier: MIT */
/*
 * file.c - an output file that is there whole or not at all.
 */
#define _GNU_SOURCE /* fallocate, mkostemp */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "tool.h"

static int fail(const struct file *file, int error)
{
	const char *advice = "choose another place";

	if (error == ENOSPC || error == EDQUOT)
		advice = "make room or choose another place";
	else if (error == ENOENT)
		advice = "make the directory first";
	return tool_fail(TOOL_FAILED, file->about, "%s cannot be written: %s: %s",
			 file->name, strerror(error), advice);
}

/* Makes file->temporary beside file->path. Returns 0 or an errno. */
static int open_beside(struct file *file, mode_t mode)
{
	const char *slash = strrchr(file->path, '/');
	size_t head = slash ? (size_t)(slash - file->path) + 1 : 0;
	size_t length = strlen(file->path) + sizeof("..pinring-XXXXXX");

	file->temporary = malloc(length);
	if (!file->temporary)
		return ENOMEM;
	/* 200: with what is added, within the 255 bytes of a file's name. */
	snprintf(file->temporary, length, "%.*s.%.200s.pinring-XXXXXX",
		 (int)head, file->path, file->path + head);
	file->fd = mkostemp(file->temporary, O_CLOEXEC);
	if (file->fd < 0) {
		int error = errno;

		free(file->temporary);
		file->temporary = NULL;
		return error;
	}
	/* Not every file system has permissions. */
	if (fchmod(file->fd, mode) && errno != EPERM && errno != EOPNOTSUPP)
		return errno;
	return 0;
}

static int open_output(struct file *file)
{
	struct stat there;
	mode_t mask = umask(0);
	mode_t mode = 0666 & ~mask;

	umask(mask);
	file->path = realpath(file->name, NULL);
	if (!file->path && errno != ENOENT)
		return errno;
	if (!file->path) {
		file->path = strdup(file->name);
		return file->path ? open_beside(file, mode) : ENOMEM;
	}
	if (stat(file->path, &there))
		return errno;
	if (S_ISDIR(there.st_mode))
		return EISDIR;
	if (!S_ISREG(there.st_mode)) {
		file->fd = open(file->path, O_WRONLY | O_CLOEXEC);
		return file->fd < 0 ? errno : 0;
	}
	/* The rename would get around a file that is write-protected. */
	if (access(file->path, W_OK))
		return errno;
	return open_beside(file, there.st_mode & 0777);
}

int file_open(struct file *file, const char *about, const char *name,
	      size_t bytes)
{
	int error;

	*file = (struct file){ .about = about, .name = name, .fd = -1 };
	error = open_output(file);
	if (!error && bytes && file->temporary &&
	    fallocate(file->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) &&
	    (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
		error = errno;
	if (!error)
		return TOOL_OK;
	file_discard(file);
	return fail(file, error);
}

int file_write(struct file *file, const void *data, size_t bytes)
{
	const char *at = data;

	while (bytes) {
		/* 1 MiB at a time, to see a signal soon. */
		size_t part = bytes < 1 << 20 ? bytes : 1 << 20;
		ssize_t n = write(file->fd, at, part);

		if (tool_signal())
			return tool_interrupted();
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fail(file, n ? errno : EIO);
		at += n;
		bytes -= (size_t)n;
	}
	return TOOL_OK;
}

int file_commit(struct file *file)
{
	int error = 0;
	int fd = file->fd;

	/* Pipes and devices need not know fsync. */
	if (fsync(fd) && errno != EINVAL && errno != EROFS &&
	    errno != ENOTSUP)
		error = errno;
	file->fd = -1;
	if (close(fd) && !error)
		error = errno;
	if (!error && file->temporary && rename(file->temporary, file->path))
		error = errno;
	if (error) {
		file_discard(file);
		return fail(file, error);
	}
	free(file->temporary);
	file->temporary = NULL;
	file_discard(file);
	return TOOL_OK;
}

void file_discard(struct file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	if (file->temporary)
		unlink(file->temporary);
	free(file->temporary);
	free(file->path);
	file->fd = -1;
	file->temporary = NULL;
	file->path = NULL;
}
