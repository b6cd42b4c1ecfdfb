// SPDX-License-Identifier: GPL-2.0
/*
 * adopt.c - memory that its user already has, as the memory of a region.
 *
 * It is a file's in memory, of whatever pages, and stays that: we have its pages
 * pinned, so that they are neither moved, nor swapped out, nor freed, whatever
 * becomes of the file. They are not ours to map: truncation finds the mappings of
 * a page by the file that it is in.
 */
#include <linux/hugetlb_inline.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "pinring.h"

/*
 * What other filesystems have in memory is written to a disk now and then, and who
 * has it pinned would change it meanwhile; a page of private memory may be another
 * process's after a fork.
 */
static int vma_check(struct vm_area_struct *vma)
{
	if (!vma)
		return -EFAULT;
	if (!(vma->vm_flags & VM_MAYSHARE) || !vma->vm_file)
		return -EOPNOTSUPP;
	if (!is_vm_hugetlb_page(vma) && !shmem_mapping(vma->vm_file->f_mapping))
		return -EOPNOTSUPP;
	return vma->vm_flags & VM_WRITE ? 0 : -EACCES;
}

static int range_check(unsigned long start, unsigned long end)
{
	while (start < end) {
		struct vm_area_struct *vma = vma_lookup(current->mm, start);
		int rc = vma_check(vma);

		if (rc)
			return rc;
		start = vma->vm_end;
	}
	return 0;
}

static int pin_pages(unsigned long start, unsigned long n, struct page **pages)
{
	long rc;

	/* What is checked is what is pinned. */
	mmap_read_lock(current->mm);
	rc = range_check(start, start + (n << PAGE_SHIFT));
	if (!rc)
		rc = pinring_pin_user_pages(start, n, FOLL_WRITE | FOLL_LONGTERM,
					    pages);
	mmap_read_unlock(current->mm);
	if (rc == n)
		return 0;
	if (rc < 0)
		return rc;
	unpin_user_pages(pages, rc);
	return -EFAULT;
}

/* Whether they lie behind each other in one huge page. */
static bool are_huge(struct page **pages, unsigned long n)
{
	struct page *head = compound_head(pages[0]);
	unsigned long i;

	if (compound_order(head) < PINRING_HUGE_ORDER)
		return false;
	for (i = 1; i < n; i++)
		if (pages[i] != pages[0] + i || compound_head(pages[i]) != head)
			return false;
	return true;
}

static int adopt_chunk(struct pinring_memory *memory, unsigned long chunk,
		       unsigned long start)
{
	unsigned long first = chunk * PINRING_HUGE_PAGES;
	unsigned long n = min(memory->nr_pages - first, PINRING_HUGE_PAGES);
	struct page **pages;
	int rc;

	pages = kcalloc(n, sizeof(*pages), GFP_KERNEL_ACCOUNT);
	if (!pages)
		return -ENOMEM;
	rc = pin_pages(start + (first << PAGE_SHIFT), n, pages);
	if (rc) {
		kfree(pages);
		return rc;
	}
	if (are_huge(pages, n)) {
		memory->chunks[chunk].huge = pages[0];
		memory->huge_bytes += n << PAGE_SHIFT;
		kfree(pages);
	} else {
		memory->chunks[chunk].small = pages;
	}
	return 0;
}

void pinring_unpin_chunk(const struct pinring_chunk *chunk, unsigned long n)
{
	if (chunk->huge)
		unpin_user_page_range_dirty_lock(chunk->huge, n, true);
	if (chunk->small)
		unpin_user_pages_dirty_lock(chunk->small, n, true);
	kfree(chunk->small);
}

/*
 * What the caller has mapped there, all of it or nothing. Returns the node of the
 * first page, or -errno as PINRING_IOC_REGION_ADOPT has it.
 */
int pinring_memory_adopt(struct pinring_memory *memory, unsigned long start,
			 u64 size)
{
	unsigned long i;
	int rc, node;

	if (!access_ok((void __user *)start, size))
		return -EFAULT;
	rc = pinring_memory_chunks(memory, size);
	if (rc)
		return rc;
	memory->pinned = true;
	for (i = 0; i < memory->nr_chunks; i++) {
		rc = fatal_signal_pending(current) ?
			     -EINTR :
			     adopt_chunk(memory, i, start);
		if (rc) {
			pinring_memory_free(memory, true);
			return rc;
		}
		cond_resched();
	}
	node = page_to_nid(pinring_memory_page(memory, 0));
	for (i = 0; i < memory->nr_pages; i++) {
		if (page_to_nid(pinring_memory_page(memory, i)) == node)
			memory->node_bytes += PAGE_SIZE;
		if (i % PINRING_HUGE_PAGES == 0)
			cond_resched();
	}
	return node;
}
