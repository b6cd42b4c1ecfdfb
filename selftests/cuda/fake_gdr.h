/* SPDX-License-Identifier: MIT */
/*
 * fake_gdr.h - what tests ask of the fake libgdrapi.so.2 (fake_libgdrapi.c), which
 * is found by libpinring when the test has loaded it.
 */
#ifndef PINRING_FAKE_GDR_H
#define PINRING_FAKE_GDR_H

#include <stddef.h>
#include <stdint.h>

struct fake_gdr {
	int no_driver, pin_fails, map_fails; /* the test writes */
	int open, pinned, mapped; /* what there is now */
	int misuse; /* calls with what is none, or in the wrong order */
};

typedef struct fake_gdr *fake_gdr_t(void);

fake_gdr_t fake_gdr;

#endif /* PINRING_FAKE_GDR_H */
