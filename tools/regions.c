/* SPDX-License-Identifier: MIT */
/*
 * regions.c - the regions of the kernel module, as it lists them.
 */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "regions.h"

int regions_open(void)
{
	return open("/dev/pinring", O_RDWR | O_CLOEXEC);
}

void regions_close(int device)
{
	if (device >= 0)
		close(device);
}

bool regions_next(int device, uint64_t id, struct pinring_ioc_region_info *info)
{
	*info = (struct pinring_ioc_region_info){
		.struct_size = sizeof(*info),
		.id = id,
	};
	if (ioctl(device, PINRING_IOC_REGION_NEXT, info))
		return false;
	info->name[PINRING_IOC_NAME_MAX - 1] = '\0';
	return true;
}
