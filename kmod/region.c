// SPDX-License-Identifier: GPL-2.0
/*
 * region.c - a region: its fd, its mappings, its end.
 *
 * An ordinary fault handler hands out parts of compound pages, and the core maps
 * a whole one by a single PMD. For that it wants (since 6.12) a file that is as
 * long as the mapping reaches, so each region has an inode of its own, on a
 * filesystem that nobody can mount. That is mounted while there is any region,
 * not for as long as the module is loaded: the mount holds the module.
 */
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uidgid.h>
#include <linux/user_namespace.h>

#include "compat.h"
#include "fault.h"
#include "pinring.h"
#include "trace.h"

#define REGION_SIZE_MAX BIT_ULL(48)
#define REGION_FLAGS \
	(PINRING_IOC_STRICT_NODE | PINRING_IOC_ALLOW_SMALL | PINRING_IOC_SMALL_PAGES)
#define REGION_MODES 0666

static struct vfsmount *region_mount;
static int region_mounts;
static atomic64_t region_ids;

/* -------------------------------------------------------------- filesystem */

static int region_fs_init(struct fs_context *fc)
{
	return init_pseudo(fc, PINRING_IOC_FS_MAGIC) ? 0 : -ENOMEM;
}

static struct file_system_type region_fs = {
	.name = "pinring",
	.owner = THIS_MODULE,
	.init_fs_context = region_fs_init,
	.kill_sb = kill_anon_super,
};

/* Nothing is ever written back. */
static const struct address_space_operations region_aops = {
	.dirty_folio = noop_dirty_folio,
};

static int region_inode_new(struct pinring_region *region)
{
	struct inode *inode;
	int rc;

	rc = simple_pin_fs(&region_fs, &region_mount, &region_mounts);
	if (rc)
		return rc;
	inode = alloc_anon_inode(region_mount->mnt_sb);
	if (IS_ERR(inode)) {
		simple_release_fs(&region_mount, &region_mounts);
		return PTR_ERR(inode);
	}
	i_size_write(inode, region->size);
	inode->i_mapping->a_ops = &region_aops;
	region->inode = inode;
	return 0;
}

/* ---------------------------------------------------------------- mappings */

static vm_fault_t region_fault(struct vm_fault *vmf)
{
	const struct pinring_region *region = vmf->vma->vm_private_data;
	struct page *page = pinring_memory_page(&region->memory, vmf->pgoff);

	if (!page)
		return VM_FAULT_SIGBUS;
	get_page(page);
	vmf->page = page;
	return 0;
}

#ifdef CONFIG_NUMA
/*
 * No policy is no reason to look for a better node: with none of our own, NUMA
 * balancing would unmap, time and again, pages that it can never move.
 */
static struct mempolicy *region_get_policy(PINRING_GET_POLICY_ARGS)
{
	return NULL;
}
#endif

/* No page_mkwrite or pfn_mkwrite, ever: long-term pins are refused for these. */
static const struct vm_operations_struct region_vm_ops = {
	.fault = region_fault,
#ifdef CONFIG_NUMA
	.get_policy = region_get_policy,
#endif
};

/* By whatever file: it holds the region, and the mapping it. */
int pinring_region_map(struct pinring_region *region, struct vm_area_struct *vma)
{
	unsigned long pages = vma_pages(vma);

	if (region->memory.pinned)
		return -ENODEV;
	/* Not VM_SHARED: the core has cleared that for a read-only file. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC)
		return -EPERM;
	if (vma->vm_pgoff > region->memory.nr_pages ||
	    pages > region->memory.nr_pages - vma->vm_pgoff)
		return -EINVAL;
	/* The core keeps VM_MAYWRITE from files that are open read-only. */
	vm_flags_mod(vma, VM_DONTEXPAND | VM_DONTDUMP, VM_MAYEXEC);
	vma->vm_private_data = region;
	vma->vm_ops = &region_vm_ops;
	trace_region_map(region, vma);
	return 0;
}

static int region_mmap(struct file *file, struct vm_area_struct *vma)
{
	return pinring_region_map(file->private_data, vma);
}

/* ------------------------------------------------------------------- files */

static void region_free(struct pinring_region *region)
{
	struct inode *inode = region->inode;

	trace_region_free(region);
	/* Its pages forget the inode before it goes. */
	pinring_remains_add(region);
	if (inode) {
		iput(inode);
		simple_release_fs(&region_mount, &region_mounts);
	}
}

void pinring_region_put(struct pinring_region *region)
{
	if (pinring_names_put(region))
		region_free(region);
}

static int region_release(struct inode *inode, struct file *file)
{
	pinring_region_put(file->private_data);
	return 0;
}

static void region_show_fdinfo(struct seq_file *m, struct file *file)
{
	const struct pinring_region *region = file->private_data;

	seq_printf(m, "pinring-id:\t%llu\n", region->id);
	seq_printf(m, "pinring-name:\t%s\n", region->name);
	seq_printf(m, "pinring-size:\t%llu\n", region->size);
	seq_printf(m, "pinring-huge:\t%llu\n", region->memory.huge_bytes);
	seq_printf(m, "pinring-node:\t%d\n", region->node);
	seq_printf(m, "pinring-on-node:\t%llu\n", region->memory.node_bytes);
}

static long region_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

static const struct file_operations region_fops = {
	.owner = THIS_MODULE,
	.release = region_release,
	.mmap = region_mmap,
	.get_unmapped_area = thp_get_unmapped_area,
	.unlocked_ioctl = region_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.show_fdinfo = region_show_fdinfo,
	.llseek = noop_llseek,
};

/* Another file of the region; the caller goes on holding its own reference. */
static struct file *region_file(struct pinring_region *region, int flags)
{
	char name[sizeof("pinring:") + PINRING_IOC_NAME_MAX];
	struct file *file;

	snprintf(name, sizeof(name), "pinring:%s", region->name);
	/* The file drops them all; the caller came in by one, so it is loaded. */
	__module_get(THIS_MODULE);
	ihold(region->inode);
	kref_get(&region->ref);
	file = alloc_file_pseudo(region->inode, region_mount, name, flags,
				 &region_fops);
	if (IS_ERR(file)) {
		pinring_region_put(region);
		iput(region->inode);
		module_put(THIS_MODULE);
		return file;
	}
	file->private_data = region;
	return file;
}

int pinring_region_answer(struct pinring_region *region, int flags,
			  struct pinring_call *call, __s32 *fd)
{
	struct file *file = region_file(region, flags);

	if (IS_ERR(file))
		return PTR_ERR(file);
	return pinring_answer_file(call, file, fd);
}

/* ------------------------------------------------------------------ ioctls */

static bool node_sane(int node)
{
	return node == PINRING_IOC_NODE_LOCAL ||
	       (node >= 0 && node < MAX_NUMNODES && node_state(node, N_MEMORY));
}

static bool create_sane(const struct pinring_ioc_region_create *create)
{
	const u32 either = PINRING_IOC_ALLOW_SMALL | PINRING_IOC_SMALL_PAGES;

	return !(create->flags & ~REGION_FLAGS) &&
	       (create->flags & either) != either && create->size &&
	       create->size <= REGION_SIZE_MAX && node_sane(create->node) &&
	       pinring_name_sane(create->name) && !create->reserved &&
	       !(create->mode & ~REGION_MODES) &&
	       (!create->mode || create->name[0]);
}

/* What it is, but no inode and no memory yet; or NULL. */
static struct pinring_region *region_new(u64 size, u32 flags, const char *name)
{
	struct pinring_region *region;

	/* Early, lest what can never be had keep others from their share. */
	if (size >> PAGE_SHIFT > totalram_pages())
		return NULL;
	region = kzalloc(sizeof(*region), GFP_KERNEL_ACCOUNT);
	if (!region)
		return NULL;
	kref_init(&region->ref);
	xa_init(&region->bells);
	region->id = atomic64_inc_return(&region_ids);
	region->size = size;
	region->flags = flags;
	region->owner = current_fsuid();
	memcpy(region->name, name, sizeof(region->name));
	return region;
}

static int region_charge(struct pinring_region *region)
{
	int rc = pinring_charge(&region->charge, region->size);

	if (rc != -EDQUOT && rc != -ENOBUFS)
		return rc;
	pinring_remains_reap();
	return pinring_charge(&region->charge, region->size);
}

int pinring_region_create(struct pinring_call *call)
{
	struct pinring_ioc_region_create *create = call->cmd;
	struct pinring_region *region;
	u64 page;
	int rc;

	if (!create_sane(create))
		return -EINVAL;
	page = create->flags & PINRING_IOC_SMALL_PAGES ? PAGE_SIZE :
							 PINRING_HUGE_BYTES;
	region = region_new(ALIGN(create->size, page), create->flags,
			    create->name);
	if (!region)
		return -ENOMEM;
	region->node = create->node == PINRING_IOC_NODE_LOCAL ? numa_mem_id() :
								create->node;

	rc = region_inode_new(region);
	if (rc)
		goto out;
	if (create->mode) {
		region->inode->i_mode = create->mode;
		rc = pinring_name_claim(region);
		if (rc)
			goto out;
	}
	rc = region_charge(region);
	if (rc)
		goto out;
	rc = pinring_memory_alloc(&region->memory, region->inode->i_mapping,
				  region->size, region->node, region->flags);
	if (rc)
		goto out;
	rc = pinring_names_show(region);
	if (rc)
		goto out;
	trace_region_create(region);
	create->size = region->size;
	create->node = region->node;
	create->huge_bytes = region->memory.huge_bytes;
	create->node_bytes = region->memory.node_bytes;
	rc = pinring_region_answer(region, O_RDWR, call, &create->fd);
	pinring_fault(region);
out:
	/* What is left is the file's reference, or none. */
	pinring_region_put(region);
	return rc;
}

int pinring_region_adopt(struct pinring_call *call)
{
	struct pinring_ioc_region_adopt *adopt = call->cmd;
	struct pinring_region *region;
	int rc;

	if (adopt->flags || !adopt->size || adopt->size > REGION_SIZE_MAX ||
	    !PAGE_ALIGNED(adopt->address | adopt->size) ||
	    !pinring_name_sane(adopt->name))
		return -EINVAL;
	region = region_new(adopt->size, PINRING_IOC_ADOPTED, adopt->name);
	if (!region)
		return -ENOMEM;
	rc = region_charge(region);
	if (rc)
		goto out;
	rc = region_inode_new(region);
	if (rc)
		goto out;
	rc = pinring_memory_adopt(&region->memory, adopt->address, adopt->size);
	if (rc < 0)
		goto out;
	region->node = rc;
	rc = pinring_names_show(region);
	if (rc)
		goto out;
	trace_region_create(region);
	adopt->node = region->node;
	adopt->huge_bytes = region->memory.huge_bytes;
	adopt->node_bytes = region->memory.node_bytes;
	rc = pinring_region_answer(region, O_RDWR, call, &adopt->fd);
out:
	pinring_region_put(region);
	return rc;
}

/* Who may open it by name; 0 if it is not published. */
u32 pinring_region_mode(const struct pinring_region *region)
{
	return hlist_unhashed(&region->named) ? 0 :
						region->inode->i_mode & 0777;
}

/* Answers with what there is to know of it. */
int pinring_region_tell(struct pinring_region *region,
			struct pinring_call *call)
{
	struct pinring_ioc_region_info *info = call->cmd;
	struct user_namespace *ns = current_user_ns();

	info->flags = region->flags;
	info->id = region->id;
	info->size = region->size;
	info->huge_bytes = region->memory.huge_bytes;
	info->node_bytes = region->memory.node_bytes;
	info->node = region->node;
	info->owner = from_kuid_munged(ns, region->owner);
	memcpy(info->name, region->name, sizeof(info->name));
	info->mode = pinring_region_mode(region);
	info->group = from_kgid_munged(ns, region->inode->i_gid);
	info->doorbells = READ_ONCE(region->charge.bells);
	return pinring_respond(call);
}

static int region_info(struct pinring_call *call)
{
	const struct pinring_ioc_region_info *info = call->cmd;

	if (info->flags || info->reserved)
		return -EINVAL;
	return pinring_region_tell(call->file->private_data, call);
}

static int region_readonly(struct pinring_call *call)
{
	struct pinring_ioc_region_readonly *readonly = call->cmd;

	if (readonly->flags || readonly->reserved)
		return -EINVAL;
	return pinring_region_answer(call->file->private_data, O_RDONLY, call,
				     &readonly->fd);
}

static const struct pinring_op region_ops[] = {
	PINRING_OP(PINRING_IOC_REGION_INFO, struct pinring_ioc_region_info,
		   name, region_info),
	PINRING_OP(PINRING_IOC_REGION_READONLY,
		   struct pinring_ioc_region_readonly, reserved,
		   region_readonly),
	PINRING_OP(PINRING_IOC_DOORBELL_CREATE,
		   struct pinring_ioc_doorbell_create, fd,
		   pinring_doorbell_create),
	PINRING_OP(PINRING_IOC_REGION_EXPORT, struct pinring_ioc_region_export,
		   reserved, pinring_region_export),
};

static long region_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	/* Alone on a path that is about speed: no search, nothing to answer. */
	if (cmd == PINRING_IOC_RING)
		return pinring_ring(file->private_data, (void __user *)arg);
	return pinring_serve(region_ops, ARRAY_SIZE(region_ops), file, cmd, arg);
}
