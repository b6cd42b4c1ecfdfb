// SPDX-License-Identifier: GPL-2.0
/*
 * pool.c - huge pages put by for when the machine has been fragmented.
 *
 * Each node has a target. A region takes from the pool what the page allocator
 * does not have at hand, and what it took comes back when it goes. The pages are
 * the administrator's: they are charged to no memory cgroup, neither here nor in
 * a region, because a page's charge cannot be moved.
 */
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "pinring.h"

struct pool {
	spinlock_t lock; /* of what follows, but the mutex */
	struct list_head pages; /* by page->lru */
	unsigned long free; /* in the list */
	unsigned long lent; /* to regions */
	unsigned long target;
	struct mutex resizing; /* held from a new target until it is reached */
};

static struct pool *pools; /* nr_node_ids */

static unsigned long reserve[MAX_NUMNODES];
static int nr_reserve;
module_param_array(reserve, ulong, &nr_reserve, 0444);
MODULE_PARM_DESC(reserve, "Huge pages to put by at load, for node 0, 1, ...");

/* The mark of a page that belongs to a pool, in or out of it. */
static bool is_pooled(struct page *page)
{
	return page_private(page) == (unsigned long)pools;
}

static unsigned long pool_size(struct pool *pool)
{
	unsigned long size;

	spin_lock(&pool->lock);
	size = pool->free + pool->lent;
	spin_unlock(&pool->lock);
	return size;
}

/* To a region if it is @lent, else to be freed. */
static struct page *take(struct pool *pool, bool lent)
{
	struct page *page;

	spin_lock(&pool->lock);
	page = list_first_entry_or_null(&pool->pages, struct page, lru);
	if (page) {
		list_del(&page->lru);
		pool->free--;
		pool->lent += lent;
	}
	spin_unlock(&pool->lock);
	return page;
}

static void give(struct pool *pool, struct page *page)
{
	spin_lock(&pool->lock);
	list_add(&page->lru, &pool->pages);
	pool->free++;
	spin_unlock(&pool->lock);
}

static void drop(struct page *page)
{
	set_page_private(page, 0);
	put_page(page);
}

/* A zeroed page of @node that is in the pool, or NULL. */
struct page *pinring_pool_take(int node)
{
	struct page *page = take(&pools[node], true);
	unsigned long i;

	if (!page)
		return NULL;
	for (i = 0; i < PINRING_HUGE_PAGES; i++) {
		clear_highpage(page + i);
		cond_resched();
	}
	return page;
}

/*
 * Takes over the caller's reference of a page that came from a pool, and says
 * so; false for any other page. One that somebody still has pinned, when the module
 * goes, does not come back, nor one that the pool has become too small for.
 */
bool pinring_pool_return(struct page *page)
{
	struct pool *pool = &pools[page_to_nid(page)];
	bool back;

	if (!is_pooled(page))
		return false;
	spin_lock(&pool->lock);
	pool->lent--;
	back = page_ref_count(page) == 1 &&
	       pool->free + pool->lent < pool->target;
	if (back) {
		list_add(&page->lru, &pool->pages);
		pool->free++;
	}
	spin_unlock(&pool->lock);
	if (!back)
		drop(page);
	return true;
}

unsigned long pinring_pool_free(int node)
{
	return READ_ONCE(pools[node].free);
}

unsigned long pinring_pool_size(int node)
{
	return READ_ONCE(pools[node].target);
}

static int grow(struct pool *pool, int node)
{
	const gfp_t gfp = GFP_KERNEL | __GFP_COMP | __GFP_THISNODE |
			  __GFP_RETRY_MAYFAIL | __GFP_NOWARN;
	struct page *page;

	while (pool_size(pool) < pool->target) {
		if (signal_pending(current))
			return -EINTR;
		page = alloc_pages_node(node, gfp, PINRING_HUGE_ORDER);
		if (!page)
			return -ENOMEM;
		set_page_private(page, (unsigned long)pools);
		give(pool, page);
		cond_resched();
	}
	return 0;
}

static void shrink(struct pool *pool)
{
	struct page *page;

	while (pool_size(pool) > pool->target) {
		page = take(pool, false);
		if (!page)
			return; /* the rest goes when it comes back */
		drop(page);
		cond_resched();
	}
}

/*
 * As many huge pages as @size for the pool of @node, what regions have of it
 * included. -ENOMEM, with the target back at what there is, if the node does not
 * have them; -EINTR likewise.
 */
int pinring_pool_resize(int node, unsigned long size)
{
	struct pool *pool = &pools[node];
	int rc;

	mutex_lock(&pool->resizing);
	spin_lock(&pool->lock);
	pool->target = size;
	spin_unlock(&pool->lock);
	rc = grow(pool, node);
	if (rc) {
		spin_lock(&pool->lock);
		pool->target = pool->free + pool->lent;
		spin_unlock(&pool->lock);
	} else {
		shrink(pool);
	}
	mutex_unlock(&pool->resizing);
	return rc;
}

int pinring_pools_init(void)
{
	int node;

	pools = kcalloc(nr_node_ids, sizeof(*pools), GFP_KERNEL);
	if (!pools)
		return -ENOMEM;
	for (node = 0; node < nr_node_ids; node++) {
		spin_lock_init(&pools[node].lock);
		INIT_LIST_HEAD(&pools[node].pages);
		mutex_init(&pools[node].resizing);
	}
	for (node = 0; node < nr_reserve; node++) {
		if (!reserve[node])
			continue;
		if (node >= nr_node_ids || !node_state(node, N_MEMORY)) {
			pr_warn("reserve: there is no node %d\n", node);
			continue;
		}
		if (pinring_pool_resize(node, reserve[node]))
			pr_warn("reserve: node %d has only %lu huge pages\n",
				node, pinring_pool_size(node));
	}
	return 0;
}

/* No region is left, so that all of it is here. */
void pinring_pools_exit(void)
{
	int node;

	for (node = 0; node < nr_node_ids; node++)
		pinring_pool_resize(node, 0);
	kfree(pools);
}
