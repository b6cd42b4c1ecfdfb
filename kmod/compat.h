/* SPDX-License-Identifier: GPL-2.0 */
/*
 * compat.h - kernels older than the newest, down to 6.1.
 *
 * The module is written for the newest kernel; every version check is here.
 */
#ifndef PINRING_COMPAT_H
#define PINRING_COMPAT_H

#include <linux/eventfd.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mnt_idmapping.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_mod(struct vm_area_struct *vma, vm_flags_t set,
				vm_flags_t clear)
{
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
}
#endif

/* The parameters of vm_operations_struct.get_policy() */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
#define PINRING_GET_POLICY_ARGS struct vm_area_struct *vma, unsigned long addr
#else
#define PINRING_GET_POLICY_ARGS \
	struct vm_area_struct *vma, unsigned long addr, pgoff_t *ilx
#endif

/* Of an inode that no idmapped mount shows. */
static inline int pinring_inode_permission(struct inode *inode, int mask)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
	return inode_permission(&init_user_ns, inode, mask);
#else
	return inode_permission(&nop_mnt_idmap, inode, mask);
#endif
}

/* Under mmap_lock. */
static inline long pinring_pin_user_pages(unsigned long start, unsigned long n,
					  unsigned int flags,
					  struct page **pages)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
	return pin_user_pages(start, n, flags, pages, NULL);
#else
	return pin_user_pages(start, n, flags, pages);
#endif
}

static inline void pinring_eventfd_signal(struct eventfd_ctx *ctx)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
	eventfd_signal(ctx, 1);
#else
	eventfd_signal(ctx);
#endif
}

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
#define PINRING_IMPORT_DMA_BUF MODULE_IMPORT_NS(DMA_BUF)
#else
#define PINRING_IMPORT_DMA_BUF MODULE_IMPORT_NS("DMA_BUF")
#endif

#endif /* PINRING_COMPAT_H */
