/* SPDX-License-Identifier: MIT */
/*
 * quantity.c - bytes and microseconds as people write them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "quantity.h"
#include "tool.h"

/* The digits that text begins with, times `unit`. */
static bool multiply(const char *text, size_t digits, uint64_t unit,
		     uint64_t *value)
{
	char number[24];
	uint64_t count;

	if (digits >= sizeof(number))
		return false;
	memcpy(number, text, digits);
	number[digits] = '\0';
	if (!parse_count(number, &count) || count > UINT64_MAX / unit)
		return false;
	*value = count * unit;
	return true;
}

bool quantity_take_bytes(const char *text, uint64_t *value)
{
	static const char letters[] = "KMGTPE";
	size_t digits = strspn(text, "0123456789");
	const char *unit = text + digits;
	const char *letter;

	if (!*unit)
		return multiply(text, digits, 1, value);
	letter = strchr(letters, *unit);
	if (!letter || (unit[1] && strcmp(unit + 1, "iB")))
		return false;
	return multiply(text, digits, 1ull << (letter - letters + 1) * 10,
			value);
}

bool quantity_take_us(const char *text, uint64_t *value)
{
	static const struct {
		const char *name;
		uint64_t us;
	} units[] = { { "", 1 }, { "us", 1 }, { "ms", 1000 }, { "s", 1000000 } };
	size_t digits = strspn(text, "0123456789");
	size_t i;

	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (!strcmp(text + digits, units[i].name))
			return multiply(text, digits, units[i].us, value);
	return false;
}

void quantity_bytes(char *text, size_t size, uint64_t value)
{
	static const char *const names[] = { "B",   "KiB", "MiB", "GiB",
					     "TiB", "PiB", "EiB" };
	int i = 0;

	while (i < 6 && value >> (i + 1) * 10)
		i++;
	if (value & ((1ull << i * 10) - 1))
		snprintf(text, size, "%.1f %s",
			 (double)value / (double)(1ull << i * 10), names[i]);
	else
		snprintf(text, size, "%" PRIu64 " %s", value >> i * 10,
			 names[i]);
}

void quantity_us(char *text, size_t size, uint64_t value)
{
	if (value && value % 1000000 == 0)
		snprintf(text, size, "%" PRIu64 " s", value / 1000000);
	else if (value && value % 1000 == 0)
		snprintf(text, size, "%" PRIu64 " ms", value / 1000);
	else
		snprintf(text, size, "%" PRIu64 " us", value);
}

void quantity_short(char *text, size_t size, double value)
{
	static const char letters[] = " kMGTPE";
	int i = 0;

	while (value >= 999.5 && i < 6) {
		value /= 1000.0;
		i++;
	}
	if (!i)
		snprintf(text, size, "%.0f", value);
	else
		snprintf(text, size, "%.*f%c", value < 9.95 ? 1 : 0, value,
			 letters[i]);
}
