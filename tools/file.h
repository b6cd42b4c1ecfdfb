/* SPDX-License-Identifier: MIT */
/*
 * file.h - an output file that is there whole or not at all.
 *
 * It is written under a temporary name beside its place and renamed when it is
 * on the disk. What exists and is no regular file (a pipe, /dev/full) is
 * written to directly.
 */
#ifndef PINRING_TOOL_FILE_H
#define PINRING_TOOL_FILE_H

#include <stddef.h>

struct file {
	const char *about; /* the option that named it */
	const char *name; /* as given */
	char *path; /* where it goes, links followed */
	char *temporary; /* NULL: written to directly */
	int fd; /* -1: not open */
};

#define FILE_CLOSED { .fd = -1 }

/*
 * All but file_discard() return an exit code. file_open() asks the file system
 * for `bytes` at once, so that a full disk is known before the work is done.
 */
int file_open(struct file *file, const char *about, const char *name,
	      size_t bytes);
int file_write(struct file *file, const void *data, size_t bytes);
int file_commit(struct file *file);

/* Allowed at any time, and after file_commit() does nothing. */
void file_discard(struct file *file);

#endif /* PINRING_TOOL_FILE_H */
