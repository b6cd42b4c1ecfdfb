// SPDX-License-Identifier: GPL-2.0
/*
 * importer.c - a driver that takes a dma-buf as a device's driver does, and lets
 * a test see by the device's eyes. For tests alone: it believes what it is told.
 *
 * Its DMA addresses are those of memory and a constant, so that what reads by
 * them does not read by the pages in the table instead.
 */
#include <linux/dma-buf.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/io.h>
#include <linux/iosys-map.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "../kmod/compat.h"
#include "importer.h"

#define BUS_OFFSET BIT_ULL(45)

struct importer {
	struct platform_device *device;
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attachment; /* NULL: not for the device */
	struct sg_table *table;
	struct importer_map map;
	struct importer_syncs syncs;
};

/* ------------------------------------------------------------------ the bus */

static int bus_map_sg(struct device *dev, struct scatterlist *sgl, int nents,
		      enum dma_data_direction dir, unsigned long attrs)
{
	struct importer *importer = dev_get_drvdata(dev);
	struct scatterlist *sg;
	int i;

	if (importer->map.fail)
		return -(int)importer->map.fail;
	for_each_sg(sgl, sg, nents, i) {
		sg_dma_address(sg) = sg_phys(sg) + BUS_OFFSET;
		sg_dma_len(sg) = sg->length;
	}
	return nents;
}

static void bus_unmap_sg(struct device *dev, struct scatterlist *sgl, int nents,
			 enum dma_data_direction dir, unsigned long attrs)
{
	const struct importer *importer = dev_get_drvdata(dev);

	WARN_ON(dir != importer->map.direction);
}

static void bus_sync_for_cpu(struct device *dev, struct scatterlist *sgl,
			     int nents, enum dma_data_direction dir)
{
	struct importer *importer = dev_get_drvdata(dev);

	WARN_ON(dir != importer->map.direction);
	importer->syncs.for_cpu++;
}

static void bus_sync_for_device(struct device *dev, struct scatterlist *sgl,
				int nents, enum dma_data_direction dir)
{
	struct importer *importer = dev_get_drvdata(dev);

	WARN_ON(dir != importer->map.direction);
	importer->syncs.for_device++;
}

static int bus_supports(struct device *dev, u64 mask)
{
	return 1;
}

static size_t bus_max_mapping_size(struct device *dev)
{
	const struct importer *importer = dev_get_drvdata(dev);

	return importer->map.max_mapping ?: SIZE_MAX;
}

static const struct dma_map_ops bus_ops = {
	.map_sg = bus_map_sg,
	.unmap_sg = bus_unmap_sg,
	.sync_sg_for_cpu = bus_sync_for_cpu,
	.sync_sg_for_device = bus_sync_for_device,
	.dma_supported = bus_supports,
	.max_mapping_size = bus_max_mapping_size,
};

/* -------------------------------------------------------------- the dma-buf */

static void drop(struct importer *importer)
{
	struct dma_buf *dmabuf = importer->dmabuf;

	if (!dmabuf)
		return;
	if (importer->table) {
		dma_resv_lock(dmabuf->resv, NULL);
		dma_buf_unmap_attachment(importer->attachment, importer->table,
					 importer->map.direction);
		dma_resv_unlock(dmabuf->resv);
	}
	if (importer->attachment)
		dma_buf_detach(dmabuf, importer->attachment);
	dma_buf_put(dmabuf);
	importer->table = NULL;
	importer->attachment = NULL;
	importer->dmabuf = NULL;
}

static int map(struct importer *importer, void __user *user)
{
	struct device *dev = &importer->device->dev;
	struct importer_map *args = &importer->map;
	struct sg_table *table;
	struct scatterlist *sg;
	int i;

	if (importer->dmabuf)
		return -EBUSY;
	if (copy_from_user(args, user, sizeof(*args)))
		return -EFAULT;
	importer->dmabuf = dma_buf_get(args->fd);
	if (IS_ERR(importer->dmabuf)) {
		int rc = PTR_ERR(importer->dmabuf);

		importer->dmabuf = NULL;
		return rc;
	}
	if (args->direction == IMPORTER_NO_DEVICE)
		return 0;
	dma_set_max_seg_size(dev, args->max_segment);
	importer->attachment = dma_buf_attach(importer->dmabuf, dev);
	if (IS_ERR(importer->attachment)) {
		int rc = PTR_ERR(importer->attachment);

		importer->attachment = NULL;
		drop(importer);
		return rc;
	}
	dma_resv_lock(importer->dmabuf->resv, NULL);
	table = dma_buf_map_attachment(importer->attachment, args->direction);
	dma_resv_unlock(importer->dmabuf->resv);
	if (IS_ERR(table)) {
		drop(importer);
		return PTR_ERR(table);
	}
	importer->table = table;
	args->segments = table->nents;
	args->biggest = 0;
	args->bytes = 0;
	for_each_sgtable_dma_sg(table, sg, i) {
		args->biggest = max(args->biggest, sg_dma_len(sg));
		args->bytes += sg_dma_len(sg);
	}
	return copy_to_user(user, args, sizeof(*args)) ? -EFAULT : 0;
}

/* ---------------------------------------------------------- what it can see */

/* Page by page: a hardened kernel copies nothing that crosses compound pages. */
static int copy_part(const struct importer_copy *copy, u64 done, void *memory,
		     u64 size)
{
	void __user *user = u64_to_user_ptr(copy->user + done);

	while (size) {
		u64 n = min_t(u64, size, PAGE_SIZE - offset_in_page(memory));

		if (copy->write ? copy_from_user(memory, user, n) :
				  copy_to_user(user, memory, n))
			return -EFAULT;
		memory += n;
		user += n;
		size -= n;
	}
	return 0;
}

static int copy_by_device(const struct importer *importer,
			  const struct importer_copy *copy)
{
	u64 at = 0, done = 0; /* at: of the segment in the dma-buf */
	struct scatterlist *sg;
	int i, rc = 0;

	if (!importer->table)
		return -ENXIO;
	for_each_sgtable_dma_sg(importer->table, sg, i) {
		u64 skip = copy->offset + done - at, n;

		if (done < copy->size && skip < sg_dma_len(sg)) {
			n = min(sg_dma_len(sg) - skip, copy->size - done);
			rc = copy_part(copy, done,
				       phys_to_virt(sg_dma_address(sg) -
						    BUS_OFFSET) + skip,
				       n);
			if (rc)
				return rc;
			done += n;
		}
		at += sg_dma_len(sg);
	}
	return done == copy->size ? 0 : -ERANGE;
}

static int copy_by_vmap(const struct importer *importer,
			const struct importer_copy *copy)
{
	struct dma_buf *dmabuf = importer->dmabuf;
	struct iosys_map map;
	int rc;

	if (copy->size > dmabuf->size || copy->offset > dmabuf->size - copy->size)
		return -ERANGE;
	dma_resv_lock(dmabuf->resv, NULL);
	rc = dma_buf_vmap(dmabuf, &map);
	dma_resv_unlock(dmabuf->resv);
	if (rc)
		return rc;
	rc = copy_part(copy, 0, map.vaddr + copy->offset, copy->size);
	dma_resv_lock(dmabuf->resv, NULL);
	dma_buf_vunmap(dmabuf, &map);
	dma_resv_unlock(dmabuf->resv);
	return rc;
}

static int copy(struct importer *importer, void __user *user)
{
	struct importer_copy copy;

	if (copy_from_user(&copy, user, sizeof(copy)))
		return -EFAULT;
	if (!importer->dmabuf)
		return -ENXIO;
	return copy.way == IMPORTER_BY_VMAP ? copy_by_vmap(importer, &copy) :
					      copy_by_device(importer, &copy);
}

/* ---------------------------------------------------------------- the files */

static long importer_ioctl(struct file *file, unsigned int cmd,
			   unsigned long arg)
{
	struct importer *importer = file->private_data;
	void __user *user = (void __user *)arg;

	switch (cmd) {
	case IMPORTER_MAP:
		return map(importer, user);
	case IMPORTER_COPY:
		return copy(importer, user);
	case IMPORTER_SYNCS:
		return copy_to_user(user, &importer->syncs,
				    sizeof(importer->syncs)) ?
			       -EFAULT :
			       0;
	case IMPORTER_BUS:
		/* Not every configuration lets a device have one of its own. */
		return get_dma_ops(&importer->device->dev) == &bus_ops ?
			       0 :
			       -ENODEV;
	}
	return -ENOTTY;
}

static int importer_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct importer *importer = file->private_data;

	if (!importer->dmabuf)
		return -ENXIO;
	return dma_buf_mmap(importer->dmabuf, vma, vma->vm_pgoff);
}

static int importer_open(struct inode *inode, struct file *file)
{
	struct importer *importer = kzalloc(sizeof(*importer), GFP_KERNEL);
	struct device *dev;

	if (!importer)
		return -ENOMEM;
	importer->device = platform_device_register_simple("pinring-importer",
							   PLATFORM_DEVID_AUTO,
							   NULL, 0);
	if (IS_ERR(importer->device)) {
		int rc = PTR_ERR(importer->device);

		kfree(importer);
		return rc;
	}
	dev = &importer->device->dev;
	dev_set_drvdata(dev, importer);
	set_dma_ops(dev, &bus_ops);
	dma_coerce_mask_and_coherent(dev, DMA_BIT_MASK(64));
	file->private_data = importer;
	return 0;
}

static int importer_release(struct inode *inode, struct file *file)
{
	struct importer *importer = file->private_data;

	drop(importer);
	platform_device_unregister(importer->device);
	kfree(importer);
	return 0;
}

static const struct file_operations importer_fops = {
	.owner = THIS_MODULE,
	.open = importer_open,
	.release = importer_release,
	.unlocked_ioctl = importer_ioctl,
	.mmap = importer_mmap,
};

static struct miscdevice importer_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "pinring-importer",
	.fops = &importer_fops,
};

module_misc_device(importer_device);

MODULE_DESCRIPTION("Takes dma-bufs, for pinring's tests");
MODULE_LICENSE("GPL");
PINRING_IMPORT_DMA_BUF;
