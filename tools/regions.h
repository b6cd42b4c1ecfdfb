/* SPDX-License-Identifier: MIT */
/*
 * regions.h - the regions of the kernel module, as it lists them.
 */
#ifndef PINRING_TOOL_REGIONS_H
#define PINRING_TOOL_REGIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "../uapi/pinring.h"

/* An fd to ask with; below 0: there is no module, or not for this user. */
int regions_open(void);
void regions_close(int device);

/*
 * The one with the smallest id above `id`; false: no more. Its name is its maker's:
 * survey_text() before it is shown.
 */
bool regions_next(int device, uint64_t id, struct pinring_ioc_region_info *info);

#endif /* PINRING_TOOL_REGIONS_H */
