// SPDX-License-Identifier: GPL-2.0
/*
 * memory.c - the pages a region is made of.
 *
 * Compound pages of the size of a PMD, each allocated by itself: contiguous as
 * far as one mapping entry reaches, which is all that is needed, and to be had on
 * a machine that has run for months. They are on no LRU list and in no page cache,
 * so that nothing moves, swaps or splits them, and are ordinary refcounted pages,
 * so that get_user_pages() takes them.
 *
 * Each knows its inode's mapping and its place in it all the same: a futex that
 * processes share is named after these, and -EFAULT without.
 */
#include <linux/cpuset.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "pinring.h"

/*
 * Bound to the caller's cpuset, as the user's memory it is, and charged to its
 * memory cgroup.
 */
#define GFP_PINRING (GFP_USER | __GFP_ACCOUNT | __GFP_ZERO | __GFP_NOWARN)

/*
 * One that was put by, if it is the node that has none at hand. Not if only the
 * caller's control groups have no more for it: they do not pay for these.
 */
static struct page *alloc_reserved(int node)
{
	const gfp_t gfp = (GFP_USER & ~__GFP_DIRECT_RECLAIM) | __GFP_COMP |
			  __GFP_THISNODE | __GFP_NOWARN;
	struct page *page;

	if (!pinring_pool_free(node) ||
	    !node_isset(node, cpuset_current_mems_allowed))
		return NULL;
	page = alloc_pages_node(node, gfp, PINRING_HUGE_ORDER);
	if (!page)
		return pinring_pool_take(node);
	put_page(page);
	return NULL;
}

/*
 * A huge page: one that is at hand on the node, one that was put by for this, one
 * at the price of compaction, one of another node.
 */
static struct page *alloc_huge(int node, u32 flags)
{
	const gfp_t gfp = GFP_PINRING | __GFP_COMP;
	const gfp_t at_hand = (gfp | __GFP_THISNODE) & ~__GFP_DIRECT_RECLAIM;
	/* Who takes small pages would rather have them than wait. */
	const gfp_t effort = flags & PINRING_IOC_ALLOW_SMALL ?
				     __GFP_NORETRY :
				     __GFP_RETRY_MAYFAIL;
	struct page *page;

	page = alloc_pages_node(node, at_hand, PINRING_HUGE_ORDER);
	if (!page)
		page = alloc_reserved(node);
	if (!page)
		page = alloc_pages_node(node, gfp | effort | __GFP_THISNODE,
					PINRING_HUGE_ORDER);
	if (!page && !(flags & PINRING_IOC_STRICT_NODE))
		page = alloc_pages_node(node, gfp | effort, PINRING_HUGE_ORDER);
	return page;
}

static struct page *alloc_small(int node, u32 flags)
{
	/* -ENOMEM for us rather than the OOM killer for somebody else */
	gfp_t gfp = GFP_PINRING | __GFP_RETRY_MAYFAIL;

	if (flags & PINRING_IOC_STRICT_NODE)
		gfp |= __GFP_THISNODE;
	return alloc_pages_node(node, gfp, 0);
}

/* A PMD maps a page only at an offset in the file that is its index. */
static void page_join(struct page *page, const struct pinring_memory *memory,
		      pgoff_t index)
{
	struct folio *folio = page_folio(page);

	folio->mapping = memory->mapping;
	folio->index = index;
}

/*
 * As truncation does: who still has a reference finds a page of no file. Nobody
 * has it mapped any more. False if somebody has one, unless it is to go all the
 * same, which it does when they are done.
 */
static bool page_leave(struct page *page, bool all)
{
	struct folio *folio = page_folio(page);

	folio_lock(folio);
	folio->mapping = NULL;
	folio_unlock(folio);
	if (!all && folio_ref_count(folio) > 1)
		return false;
	if (!pinring_pool_return(page))
		folio_put(folio);
	return true;
}

static int fill_small(struct pinring_memory *memory, unsigned long chunk,
		      int node, u32 flags)
{
	unsigned long first = chunk * PINRING_HUGE_PAGES;
	unsigned long n = min(memory->nr_pages - first, PINRING_HUGE_PAGES);
	unsigned long i;
	struct page **pages;

	pages = kcalloc(n, sizeof(*pages), GFP_KERNEL_ACCOUNT);
	if (!pages)
		return -ENOMEM;
	memory->chunks[chunk].small = pages;
	for (i = 0; i < n; i++) {
		if (fatal_signal_pending(current))
			return -EINTR;
		pages[i] = alloc_small(node, flags);
		if (!pages[i])
			return -ENOMEM;
		page_join(pages[i], memory, first + i);
		if (page_to_nid(pages[i]) == node)
			memory->node_bytes += PAGE_SIZE;
	}
	return 0;
}

static int fill_chunk(struct pinring_memory *memory, unsigned long chunk,
		      int node, u32 flags)
{
	struct page *page;

	if (flags & PINRING_IOC_SMALL_PAGES)
		return fill_small(memory, chunk, node, flags);
	page = alloc_huge(node, flags);
	if (!page) {
		if (flags & PINRING_IOC_ALLOW_SMALL)
			return fill_small(memory, chunk, node, flags);
		return -ENOMEM;
	}
	page_join(page, memory, chunk * PINRING_HUGE_PAGES);
	memory->chunks[chunk].huge = page;
	memory->huge_bytes += PINRING_HUGE_BYTES;
	if (page_to_nid(page) == node)
		memory->node_bytes += PINRING_HUGE_BYTES;
	return 0;
}

/* Returns the bytes of pages that are left. */
static u64 free_small(struct pinring_chunk *c, unsigned long n, bool all)
{
	unsigned long i;
	u64 left = 0;

	for (i = 0; i < n; i++) {
		if (!c->small[i])
			continue;
		if (page_leave(c->small[i], all))
			c->small[i] = NULL;
		else
			left += PAGE_SIZE;
	}
	if (!left) {
		kfree(c->small);
		c->small = NULL;
	}
	return left;
}

static u64 free_chunk(const struct pinring_memory *memory, unsigned long chunk,
		      bool all)
{
	struct pinring_chunk *c = &memory->chunks[chunk];
	unsigned long first = chunk * PINRING_HUGE_PAGES;
	unsigned long n = min(memory->nr_pages - first, PINRING_HUGE_PAGES);

	if (memory->pinned) {
		pinring_unpin_chunk(c, n);
		return 0;
	}
	if (c->huge) {
		if (!page_leave(c->huge, all))
			return PINRING_HUGE_BYTES;
		c->huge = NULL;
	}
	return c->small ? free_small(c, n, all) : 0;
}

/*
 * What nobody else has, or @all. Returns the bytes of pages that are left, for
 * another call.
 */
u64 pinring_memory_free(struct pinring_memory *memory, bool all)
{
	unsigned long i;
	u64 left = 0;

	for (i = 0; i < memory->nr_chunks; i++) {
		left += free_chunk(memory, i, all);
		cond_resched();
	}
	if (left)
		return left;
	kvfree(memory->chunks);
	memory->chunks = NULL;
	memory->nr_chunks = 0;
	return 0;
}

/* Room to note down the pages of @size bytes. 0 or -ENOMEM. */
int pinring_memory_chunks(struct pinring_memory *memory, u64 size)
{
	unsigned long nr_chunks = DIV_ROUND_UP_ULL(size, PINRING_HUGE_BYTES);

	memset(memory, 0, sizeof(*memory));
	memory->chunks = kvcalloc(nr_chunks, sizeof(*memory->chunks),
				  GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!memory->chunks)
		return -ENOMEM;
	memory->nr_chunks = nr_chunks;
	memory->nr_pages = size >> PAGE_SHIFT;
	return 0;
}

/*
 * @size is a multiple of the pages that @flags ask for. On failure nothing is
 * left; -EINTR if the caller is being killed, which is all that interrupts it: a
 * large region may take longer than the period of a program's timer signal.
 */
int pinring_memory_alloc(struct pinring_memory *memory,
			 struct address_space *mapping, u64 size, int node,
			 u32 flags)
{
	unsigned long i;
	int rc;

	rc = pinring_memory_chunks(memory, size);
	if (rc)
		return rc;
	memory->mapping = mapping;
	for (i = 0; i < memory->nr_chunks; i++) {
		rc = fatal_signal_pending(current) ?
			     -EINTR :
			     fill_chunk(memory, i, node, flags);
		if (rc) {
			pinring_memory_free(memory, true);
			return rc;
		}
		cond_resched();
	}
	return 0;
}

/* The page at @index, counted in small pages, or NULL beyond the end. */
struct page *pinring_memory_page(const struct pinring_memory *memory,
				 pgoff_t index)
{
	const struct pinring_chunk *c;
	unsigned long within = index % PINRING_HUGE_PAGES;

	if (index >= memory->nr_pages)
		return NULL;
	c = &memory->chunks[index / PINRING_HUGE_PAGES];
	return c->huge ? c->huge + within : c->small[within];
}
