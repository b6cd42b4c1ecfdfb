/* SPDX-License-Identifier: MIT */
/*
 * info_module.h - what `pinring info` says of the kernel module, if it is loaded.
 */
#ifndef PINRING_TOOL_INFO_MODULE_H
#define PINRING_TOOL_INFO_MODULE_H

#include "json.h"

void info_module_print(void);
void info_module_json(struct json *json);

#endif /* PINRING_TOOL_INFO_MODULE_H */
