/* SPDX-License-Identifier: MIT */
/* line.h - the payload of a cache line, for ring_line.h and duplex.h. */
#ifndef PINRING_LINE_H
#define PINRING_LINE_H

#include <string.h>
#include <pinring/pinring_layout.h>
#include <pinring/port.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PINRING_LINE_PAYLOAD (PINRING_LINE_WORDS * 8) /* bytes */

/*
 * In pieces that do not overlap: the compiler's own 56 bytes are two of 32, and a
 * load that spans two stores just made waits for both. Between writing an item
 * and pushing it that is 430 M/s or 100 (docs/ring_line.md).
 */
PINRING_HOST_FN void pinring_line_copy(void *to, const void *from)
{
	unsigned char *t = (unsigned char *)to;
	const unsigned char *f = (const unsigned char *)from;

	memcpy(t, f, 32);
	memcpy(t + 32, f + 32, 16);
	memcpy(t + 48, f + 48, 8);
}

#ifdef __cplusplus
}
#endif

#endif /* PINRING_LINE_H */
