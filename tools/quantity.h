/* SPDX-License-Identifier: MIT */
/*
 * quantity.h - bytes and microseconds as people write them.
 */
#ifndef PINRING_TOOL_QUANTITY_H
#define PINRING_TOOL_QUANTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "4096", "64K", "2M", "1GiB": powers of 1024. The whole text, or false. */
bool quantity_take_bytes(const char *text, uint64_t *value);

/* "50", "50us", "2ms", "1s", in microseconds. Likewise. */
bool quantity_take_us(const char *text, uint64_t *value);

/* "64 MiB" where that is exact, else "4.6 GiB"; "50 us"; "1.2M". */
void quantity_bytes(char *text, size_t size, uint64_t value);
void quantity_us(char *text, size_t size, uint64_t value);
void quantity_short(char *text, size_t size, double value);

#endif /* PINRING_TOOL_QUANTITY_H */
