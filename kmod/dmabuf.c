// SPDX-License-Identifier: GPL-2.0
/*
 * dmabuf.c - a region, or pages of it, as a dma-buf for other drivers.
 *
 * Its memory never moves, so there is nothing to pin and no importer to be told
 * of a move. A dma-buf holds the region, and so all that is attached to it or has
 * it mapped does.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/iosys-map.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "compat.h"
#include "pinring.h"

struct export {
	struct pinring_region *region;
	pgoff_t first; /* page of the region */
	unsigned long nr_pages;
	bool writable;
	struct mutex lock; /* the list */
	struct list_head mappings;
};

/* For one device, until it unmaps it. */
struct mapping {
	struct list_head link;
	struct device *dev;
	enum dma_data_direction direction;
	struct sg_table table;
};

static struct page *page_at(const struct export *export, unsigned long index)
{
	return pinring_memory_page(&export->region->memory,
				   export->first + index);
}

/* ----------------------------------------------------------------- devices */

/* How many pages from @index on lie behind each other, at most @max. */
static unsigned long run_length(const struct export *export,
				unsigned long index, unsigned long max)
{
	unsigned long pfn = page_to_pfn(page_at(export, index));
	unsigned long n = 1;

	max = min(max, export->nr_pages - index);
	while (n < max && page_to_pfn(page_at(export, index + n)) == pfn + n)
		n++;
	return n;
}

static int table_fill(struct sg_table *table, const struct export *export,
		      struct device *dev)
{
	size_t bytes = min_t(size_t, dma_get_max_seg_size(dev),
			     dma_max_mapping_size(dev));
	unsigned long max = max(bytes >> PAGE_SHIFT, 1);
	unsigned long index, n, segments = 0;
	struct scatterlist *sg;
	int rc;

	for (index = 0; index < export->nr_pages; index += n) {
		n = run_length(export, index, max);
		segments++;
		cond_resched();
	}
	rc = sg_alloc_table(table, segments, GFP_KERNEL);
	if (rc)
		return rc;
	index = 0;
	for (sg = table->sgl; sg; sg = sg_next(sg)) {
		n = run_length(export, index, max);
		sg_set_page(sg, page_at(export, index), n << PAGE_SHIFT, 0);
		index += n;
		cond_resched();
	}
	return 0;
}

static struct sg_table *export_map(struct dma_buf_attachment *attachment,
				   enum dma_data_direction direction)
{
	struct export *export = attachment->dmabuf->priv;
	struct mapping *mapping;
	int rc;

	/* The device would write. */
	if (!export->writable && direction != DMA_TO_DEVICE)
		return ERR_PTR(-EACCES);
	mapping = kzalloc(sizeof(*mapping), GFP_KERNEL);
	if (!mapping)
		return ERR_PTR(-ENOMEM);
	mapping->dev = attachment->dev;
	mapping->direction = direction;
	rc = table_fill(&mapping->table, export, mapping->dev);
	if (rc)
		goto free;
	rc = dma_map_sgtable(mapping->dev, &mapping->table, direction, 0);
	if (rc)
		goto free_table;
	mutex_lock(&export->lock);
	list_add(&mapping->link, &export->mappings);
	mutex_unlock(&export->lock);
	return &mapping->table;
free_table:
	sg_free_table(&mapping->table);
free:
	kfree(mapping);
	return ERR_PTR(rc);
}

static void export_unmap(struct dma_buf_attachment *attachment,
			 struct sg_table *table,
			 enum dma_data_direction direction)
{
	struct export *export = attachment->dmabuf->priv;
	struct mapping *mapping = container_of(table, struct mapping, table);

	mutex_lock(&export->lock);
	list_del(&mapping->link);
	mutex_unlock(&export->lock);
	dma_unmap_sgtable(mapping->dev, table, mapping->direction, 0);
	sg_free_table(table);
	kfree(mapping);
}

/*
 * DMA_BUF_IOCTL_SYNC. Nothing to a device that snoops the CPU's caches and
 * reaches all memory; others have lines to be flushed, or a copy.
 */
static int export_begin_cpu_access(struct dma_buf *dmabuf,
				   enum dma_data_direction direction)
{
	struct export *export = dmabuf->priv;
	struct mapping *mapping;

	mutex_lock(&export->lock);
	list_for_each_entry(mapping, &export->mappings, link)
		dma_sync_sgtable_for_cpu(mapping->dev, &mapping->table,
					 mapping->direction);
	mutex_unlock(&export->lock);
	return 0;
}

static int export_end_cpu_access(struct dma_buf *dmabuf,
				 enum dma_data_direction direction)
{
	struct export *export = dmabuf->priv;
	struct mapping *mapping;

	mutex_lock(&export->lock);
	list_for_each_entry(mapping, &export->mappings, link)
		dma_sync_sgtable_for_device(mapping->dev, &mapping->table,
					    mapping->direction);
	mutex_unlock(&export->lock);
	return 0;
}

/* ----------------------------------------------------------------- the CPU */

/* What lies beyond the dma-buf's end has been refused by the core. */
static int export_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct export *export = dmabuf->priv;

	/* The file is open read-only, but a driver may map it by its own. */
	if (!export->writable) {
		if (vma->vm_flags & VM_WRITE)
			return -EACCES;
		vm_flags_mod(vma, 0, VM_MAYWRITE);
	}
	vma->vm_pgoff += export->first;
	return pinring_region_map(export->region, vma);
}

static int export_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	const struct export *export = dmabuf->priv;
	struct page **pages;
	unsigned long i;
	void *p;

	pages = kvmalloc_array(export->nr_pages, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	for (i = 0; i < export->nr_pages; i++)
		pages[i] = page_at(export, i);
	p = vmap(pages, export->nr_pages, VM_MAP,
		 export->writable ? PAGE_KERNEL : PAGE_KERNEL_RO);
	kvfree(pages);
	if (!p)
		return -ENOMEM;
	iosys_map_set_vaddr(map, p);
	return 0;
}

static void export_vunmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	vunmap(map->vaddr);
}

/* ---------------------------------------------------------------- lifetime */

static void export_free(struct export *export)
{
	pinring_region_put(export->region);
	mutex_destroy(&export->lock);
	kfree(export);
}

static void export_release(struct dma_buf *dmabuf)
{
	export_free(dmabuf->priv);
}

static const struct dma_buf_ops export_ops = {
	.map_dma_buf = export_map,
	.unmap_dma_buf = export_unmap,
	.begin_cpu_access = export_begin_cpu_access,
	.end_cpu_access = export_end_cpu_access,
	.mmap = export_mmap,
	.vmap = export_vmap,
	.vunmap = export_vunmap,
	.release = export_release,
};

int pinring_region_export(struct pinring_call *call)
{
	struct pinring_region *region = call->file->private_data;
	struct pinring_ioc_region_export *args = call->cmd;
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct dma_buf *dmabuf;
	struct export *export;

	if (args->flags & ~PINRING_IOC_EXPORT_READONLY || args->reserved ||
	    !PAGE_ALIGNED(args->offset | args->size) ||
	    args->offset >= region->size ||
	    args->size > region->size - args->offset)
		return -EINVAL;
	if (!(args->flags & PINRING_IOC_EXPORT_READONLY) &&
	    !(call->file->f_mode & FMODE_WRITE))
		return -EACCES;
	if (!args->size)
		args->size = region->size - args->offset;

	export = kzalloc(sizeof(*export), GFP_KERNEL_ACCOUNT);
	if (!export)
		return -ENOMEM;
	mutex_init(&export->lock);
	INIT_LIST_HEAD(&export->mappings);
	kref_get(&region->ref);
	export->region = region;
	export->first = args->offset >> PAGE_SHIFT;
	export->nr_pages = args->size >> PAGE_SHIFT;
	export->writable = !(args->flags & PINRING_IOC_EXPORT_READONLY);
	info.ops = &export_ops;
	info.size = args->size;
	info.flags = export->writable ? O_RDWR : O_RDONLY;
	info.priv = export;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		export_free(export);
		return PTR_ERR(dmabuf);
	}
	/*
	 * What is mapped through it is found by the region's pages, at their
	 * place in the region, and by huge ones to the region's end.
	 */
	dmabuf->file->f_mapping = region->inode->i_mapping;
	return pinring_answer_file(call, dmabuf->file, &args->fd);
}

PINRING_IMPORT_DMA_BUF;
