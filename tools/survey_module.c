/* SPDX-License-Identifier: MIT */
/*
 * survey_module.c - the regions that the kernel module tells of.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "regions.h"
#include "survey.h"

#define ARGUMENT(type) ((struct type){ .struct_size = sizeof(struct type) })

static void describe(struct survey_region *region,
		     struct pinring_ioc_region_info *info)
{
	info->name[PINRING_IOC_NAME_MAX - 1] = '\0';
	survey_text(region->name, sizeof(region->name), info->name);
	region->owner = info->owner;
	region->size = info->size;
	region->node = info->node;
	region->doorbells = info->doorbells;
	region->huge_percent =
		info->size ? (int)(info->huge_bytes * 100 / info->size) : 0;
}

bool survey_module_describe(struct survey_region *region, int fd)
{
	struct pinring_ioc_region_info info = ARGUMENT(pinring_ioc_region_info);

	if (ioctl(fd, PINRING_IOC_REGION_INFO, &info) || info.id != region->id)
		return false;
	describe(region, &info);
	return true;
}

/* By name, if that is how its owner lets others have it. */
static void look(struct survey *survey, struct survey_region *region,
		 int device, const struct pinring_ioc_region_info *info)
{
	struct pinring_ioc_region_open open = ARGUMENT(pinring_ioc_region_open);

	if (!info->mode)
		return;
	open.owner = info->owner;
	memcpy(open.name, info->name, sizeof(open.name));
	if (ioctl(device, PINRING_IOC_REGION_OPEN, &open)) {
		snprintf(region->reason, sizeof(region->reason),
			 "not to be opened for writing: %s", strerror(errno));
		return;
	}
	/* Another one may have taken its name in the meantime. */
	if (survey_module_describe(region, open.fd))
		survey_look(survey, region, open.fd);
	close(open.fd);
}

void survey_module(struct survey *survey)
{
	struct pinring_ioc_region_info info;
	int device = regions_open();
	uint64_t id;

	for (id = 0; regions_next(device, id, &info); id = info.id) {
		struct survey_region *region =
			survey_region(survey, 0, info.id);

		if (!region)
			break;
		describe(region, &info);
		look(survey, region, device, &info);
	}
	regions_close(device);
}
