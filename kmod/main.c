// SPDX-License-Identifier: GPL-2.0
/*
 * main.c - /dev/pinring, and how an ioctl finds its handler.
 */
#include <linux/file.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "pinring.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/* No struct comes near it; a bound for copy_struct_from_user()'s search. */
#define CALL_SIZE_MAX 256

int pinring_respond(const struct pinring_call *call)
{
	if (copy_to_user(call->user, call->cmd, min(call->user_size, call->size)))
		return -EFAULT;
	return 0;
}

/*
 * Gives the caller an fd of @file, told in *@fd, a field of its struct. Consumes
 * the file whatever comes of it. Other threads see the fd last, when nothing can
 * fail any more.
 */
int pinring_answer_file(const struct pinring_call *call, struct file *file,
			__s32 *fd)
{
	int rc;

	rc = get_unused_fd_flags(O_CLOEXEC);
	if (rc < 0)
		goto put;
	*fd = rc;
	rc = pinring_respond(call);
	if (rc) {
		put_unused_fd(*fd);
		goto put;
	}
	fd_install(*fd, file);
	return 0;
put:
	fput(file);
	return rc;
}

/*
 * Copies a caller's argument of at least @min_size bytes in, as the ABI has it,
 * and fills up to the @size that we know. What it gave goes to *@given, and to
 * the first word of @to, which says so.
 */
int pinring_take(void *to, u32 size, u32 min_size, const void __user *user,
		 u32 *given)
{
	int rc;

	/* Each struct begins with its size. */
	if (get_user(*given, (const u32 __user *)user))
		return -EFAULT;
	if (*given < min_size)
		return -EINVAL;
	if (*given > PAGE_SIZE)
		return -E2BIG;
	rc = copy_struct_from_user(to, size, user, *given);
	if (rc)
		return rc;
	/* Another thread may have changed it in the meantime. */
	*(u32 *)to = *given;
	return 0;
}

long pinring_serve(const struct pinring_op *ops, size_t nr_ops,
		   struct file *file, unsigned int cmd, unsigned long arg)
{
	u8 buffer[CALL_SIZE_MAX] __aligned(8);
	struct pinring_call call = {
		.file = file,
		.user = (void __user *)arg,
		.cmd = buffer,
	};
	const struct pinring_op *op;
	int rc;

	for (op = ops; op < ops + nr_ops; op++)
		if (op->cmd == cmd)
			break;
	if (op == ops + nr_ops)
		return -ENOTTY;
	if (WARN_ON_ONCE(op->size > sizeof(buffer)))
		return -EINVAL;

	rc = pinring_take(buffer, op->size, op->min_size, call.user,
			  &call.user_size);
	if (rc)
		return rc;
	call.size = op->size;
	return op->serve(&call);
}

static int serve_info(struct pinring_call *call)
{
	struct pinring_ioc_info *info = call->cmd;

	if (info->flags || info->reserved)
		return -EINVAL;
	info->abi = PINRING_IOC_ABI;
	info->features = PINRING_IOC_FEATURE_NAMES | PINRING_IOC_FEATURE_ADOPT;
	if (IS_ENABLED(CONFIG_DMA_SHARED_BUFFER))
		info->features |= PINRING_IOC_FEATURE_DMABUF;
	info->huge_page_bytes = PINRING_HUGE_BYTES;
	return pinring_respond(call);
}

static const struct pinring_op device_ops[] = {
	PINRING_OP(PINRING_IOC_INFO, struct pinring_ioc_info, huge_page_bytes,
		   serve_info),
	PINRING_OP(PINRING_IOC_REGION_CREATE, struct pinring_ioc_region_create,
		   name, pinring_region_create),
	PINRING_OP(PINRING_IOC_REGION_OPEN, struct pinring_ioc_region_open,
		   name, pinring_region_open),
	PINRING_OP(PINRING_IOC_REGION_NEXT, struct pinring_ioc_region_info,
		   name, pinring_region_next),
	PINRING_OP(PINRING_IOC_REGION_ADOPT, struct pinring_ioc_region_adopt,
		   name, pinring_region_adopt),
};

static long device_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return pinring_serve(device_ops, ARRAY_SIZE(device_ops), file, cmd, arg);
}

static const struct file_operations device_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "pinring",
	.fops = &device_fops,
	.mode = 0660,
};

static int __init pinring_init(void)
{
	int rc;

	pinring_limits_init();
	rc = pinring_pools_init();
	if (rc)
		return rc;
	rc = pinring_pollers_start();
	if (rc)
		goto pools;
	rc = -ENOMEM;
	device.groups = pinring_sysfs_init();
	if (!device.groups)
		goto pollers;
	rc = misc_register(&device);
	if (rc)
		goto sysfs;
	pinring_debugfs_init();
	return 0;
sysfs:
	pinring_sysfs_exit();
pollers:
	pinring_pollers_stop();
pools:
	pinring_pools_exit();
	return rc;
}

static void __exit pinring_exit(void)
{
	pinring_debugfs_exit();
	misc_deregister(&device);
	pinring_sysfs_exit();
	pinring_pollers_stop();
	pinring_remains_exit();
	pinring_pools_exit();
}

module_init(pinring_init);
module_exit(pinring_exit);

MODULE_DESCRIPTION("Shared memory of huge pages for rings between CPUs and devices");
MODULE_LICENSE("GPL");
