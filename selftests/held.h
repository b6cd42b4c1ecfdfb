/* SPDX-License-Identifier: MIT */
/* held.h - what this process holds, to see that nothing is left behind. */
#ifndef PINRING_TEST_HELD_H
#define PINRING_TEST_HELD_H

#include <dirent.h>
#include <stdio.h>
#include <string.h>

static inline int count_entries(const char *path)
{
	DIR *d = opendir(path);
	int n = -2; /* . and .. */

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static inline int count_fds(void)
{
	return count_entries("/proc/self/fd") - 1; /* its own */
}

static inline int count_threads(void)
{
	return count_entries("/proc/self/task");
}

/* Mappings of whose line `which` is a part. */
static inline int count_maps(const char *which)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	int n = 0;

	while (fgets(line, sizeof(line), f))
		n += strstr(line, which) != NULL;
	fclose(f);
	return n;
}

/* Address space that regions take, in KiB. */
static inline long regions_kb(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned long low, high, sum = 0;
	char line[512];

	while (fgets(line, sizeof(line), f))
		if ((strstr(line, "/memfd:") || strstr(line, "/pinring:")) &&
		    sscanf(line, "%lx-%lx", &low, &high) == 2)
			sum += high - low;
	fclose(f);
	return (long)(sum / 1024);
}

/* All address space, in pages. */
static inline long address_space(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	long pages = 0;

	if (fscanf(f, "%ld", &pages) != 1)
		pages = -1;
	fclose(f);
	return pages;
}

#endif /* PINRING_TEST_HELD_H */
