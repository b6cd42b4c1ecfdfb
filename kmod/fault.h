/* SPDX-License-Identifier: GPL-2.0 */
/*
 * fault.h - a fault for the debug kernel to find, to see that it would find one.
 * There is none unless make PINRING_FAULT=uaf, lock or leak asks for it.
 */
#ifndef PINRING_FAULT_H
#define PINRING_FAULT_H

#include "pinring.h"

#ifdef PINRING_FAULT
#include <linux/mutex.h>
#include <linux/slab.h>

/* The region goes before its fd does. */
static void __maybe_unused pinring_fault_uaf(struct pinring_region *region)
{
	pinring_region_put(region);
}

static void __maybe_unused pinring_fault_lock(struct pinring_region *region)
{
	static DEFINE_MUTEX(one);
	static DEFINE_MUTEX(other);

	mutex_lock(&one);
	mutex_lock(&other);
	mutex_unlock(&other);
	mutex_unlock(&one);

	mutex_lock(&other);
	mutex_lock(&one);
	mutex_unlock(&one);
	mutex_unlock(&other);
}

static void __maybe_unused pinring_fault_leak(struct pinring_region *region)
{
	kmemdup(region, sizeof(*region), GFP_KERNEL);
}

#define pinring_fault(region) PINRING_FAULT(region)
#else
static inline void pinring_fault(struct pinring_region *region)
{
}
#endif

#endif /* PINRING_FAULT_H */
