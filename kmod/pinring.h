/* SPDX-License-Identifier: GPL-2.0 */
/*
 * pinring.h - what the files of the module share among themselves.
 */
#ifndef PINRING_KMOD_H
#define PINRING_KMOD_H

#ifdef pr_fmt
#undef pr_fmt
#endif
#define pr_fmt(fmt) "pinring: " fmt

#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/mm.h>
#include <linux/types.h>
#include <linux/xarray.h>

#include "../uapi/pinring.h"
#include "../uapi/pinring_layout.h"

/* ------------------------------------------------------------------ ioctls */

/*
 * One ioctl being served. A handler answers with pinring_respond(): after it
 * only what cannot fail may follow, as fd_install().
 */
struct pinring_call {
	struct file *file;
	void __user *user;
	u32 user_size; /* what the caller gave */
	u32 size; /* what we know */
	void *cmd; /* that, copied in and filled up with zeros */
};

struct pinring_op {
	unsigned int cmd;
	u32 size;
	u32 min_size; /* of the first version */
	int (*serve)(struct pinring_call *call);
};

#define PINRING_OP(_cmd, _type, _last, _serve)                       \
	{                                                            \
		.cmd = (_cmd), .size = sizeof(_type),                \
		.min_size = offsetofend(_type, _last), .serve = _serve \
	}

int pinring_take(void *to, u32 size, u32 min_size, const void __user *user,
		 u32 *given);
long pinring_serve(const struct pinring_op *ops, size_t nr_ops,
		   struct file *file, unsigned int cmd, unsigned long arg);
int pinring_respond(const struct pinring_call *call);
int pinring_answer_file(const struct pinring_call *call, struct file *file,
			__s32 *fd);

/* ------------------------------------------------------------------ memory */

#define PINRING_HUGE_ORDER (PMD_SHIFT - PAGE_SHIFT)
#define PINRING_HUGE_PAGES (PMD_SIZE / PAGE_SIZE)
#define PINRING_HUGE_BYTES PMD_SIZE

/* What lies behind one huge page's worth of a region; either, or nothing yet. */
struct pinring_chunk {
	struct page *huge;
	struct page **small;
};

struct pinring_memory {
	struct address_space *mapping;
	unsigned long nr_pages; /* small ones */
	unsigned long nr_chunks;
	struct pinring_chunk *chunks;
	u64 huge_bytes;
	u64 node_bytes;
	bool pinned; /* adopted: not ours to map or to free */
};

int pinring_memory_chunks(struct pinring_memory *memory, u64 size);
int pinring_memory_alloc(struct pinring_memory *memory,
			 struct address_space *mapping, u64 size, int node,
			 u32 flags);
u64 pinring_memory_free(struct pinring_memory *memory, bool all);
struct page *pinring_memory_page(const struct pinring_memory *memory,
				 pgoff_t index);
int pinring_memory_adopt(struct pinring_memory *memory, unsigned long start,
			 u64 size);
void pinring_unpin_chunk(const struct pinring_chunk *chunk, unsigned long n);

/* -------------------------------------------------------------------- pool */

int pinring_pools_init(void);
void pinring_pools_exit(void);
int pinring_pool_resize(int node, unsigned long size);
unsigned long pinring_pool_size(int node);
unsigned long pinring_pool_free(int node);
struct page *pinring_pool_take(int node);
bool pinring_pool_return(struct page *page);

/* ----------------------------------------------------------------- account */

struct pinring_limits {
	u64 max_bytes;
	u64 max_bytes_per_user;
	u64 max_regions_per_user;
	u64 max_doorbells_per_user;
};

struct pinring_usage {
	u64 bytes;
	u64 regions;
};

struct pinring_account;

/* What a region costs its maker, and to whom it is given back. */
struct pinring_charge {
	struct pinring_account *account;
	u64 bytes;
	u32 regions; /* 0 when only pages of it are left */
	u32 bells;
};

extern struct pinring_limits pinring_limits;

void pinring_limits_init(void);
void pinring_limit_set(u64 *limit, u64 value);
struct pinring_usage pinring_usage(void);
int pinring_charge(struct pinring_charge *charge, u64 bytes);
void pinring_uncharge(struct pinring_charge *charge, u64 left);
int pinring_charge_bell(struct pinring_charge *charge);
void pinring_uncharge_bell(struct pinring_charge *charge);

/* ------------------------------------------------------------------- sysfs */

const struct attribute_group **pinring_sysfs_init(void);
void pinring_sysfs_exit(void);

/* ------------------------------------------------------------------ region */

/*
 * Never changes once it can be seen. Its files hold a reference each, and so
 * does what is attached to it; a mapping holds its file.
 */
struct pinring_region {
	struct kref ref;
	u64 id;
	u64 size;
	u32 flags;
	int node;
	kuid_t owner;
	struct pinring_charge charge;
	struct inode *inode; /* with i_size: no huge mapping without it */
	struct hlist_node named; /* hashed if it is published */
	struct list_head remains; /* see remains.c */
	struct xarray bells; /* by offset / PINRING_SEPARATION */
	struct pinring_memory memory;
	char name[PINRING_IOC_NAME_MAX];
};

int pinring_region_create(struct pinring_call *call);
int pinring_region_adopt(struct pinring_call *call);
int pinring_region_map(struct pinring_region *region,
		       struct vm_area_struct *vma);
int pinring_region_answer(struct pinring_region *region, int flags,
			  struct pinring_call *call, __s32 *fd);
u32 pinring_region_mode(const struct pinring_region *region);
int pinring_region_tell(struct pinring_region *region,
			struct pinring_call *call);
void pinring_region_put(struct pinring_region *region);

/* ------------------------------------------------------------------- names */

bool pinring_name_sane(const char name[PINRING_IOC_NAME_MAX]);
int pinring_name_claim(struct pinring_region *region);
int pinring_names_show(struct pinring_region *region);
bool pinring_names_put(struct pinring_region *region);
struct pinring_region *pinring_names_next(u64 id);
int pinring_region_open(struct pinring_call *call);
int pinring_region_next(struct pinring_call *call);

/* ----------------------------------------------------------------- remains */

void pinring_remains_add(struct pinring_region *region);
void pinring_remains_reap(void);
void pinring_remains_exit(void);

/* ----------------------------------------------------------------- dma-buf */

#ifdef CONFIG_DMA_SHARED_BUFFER
int pinring_region_export(struct pinring_call *call);
#else
static inline int pinring_region_export(struct pinring_call *call)
{
	return -EOPNOTSUPP;
}
#endif

/* --------------------------------------------------------------- doorbells */

struct pinring_bell {
	struct pinring_region *region;
	unsigned long index; /* in its bells */
	u64 *sequence; /* shared memory, both: READ_ONCE() and no trust */
	u64 *armed;
	struct eventfd_ctx *eventfd;
	struct poller *poller; /* NULL: it is not watched */
	struct list_head link; /* of the poller */
};

enum pinring_seen {
	PINRING_BELL_IDLE, /* nobody sleeps */
	PINRING_BELL_ARMED, /* somebody does, and it has not rung */
	PINRING_BELL_RUNG, /* signalled just now */
};

enum pinring_seen pinring_bell_look(struct pinring_bell *bell);
int pinring_doorbell_create(struct pinring_call *call);
int pinring_ring(struct pinring_region *region, const void __user *user);

/* ------------------------------------------------------------------ poller */

struct pinring_poll_knobs {
	u32 spin_us;
	u32 sleep_us;
};

struct pinring_poll_figures {
	u64 bells; /* watched */
	u64 rings; /* by ioctl */
	u64 signals;
	u64 sleeps;
	u64 worst_gap;
};

extern struct pinring_poll_knobs pinring_poll_knobs;

int pinring_pollers_start(void);
void pinring_pollers_stop(void);
void pinring_poller_add(struct pinring_bell *bell, int node);
void pinring_poller_remove(struct pinring_bell *bell);
void pinring_poller_armed(struct pinring_bell *bell);
void pinring_poller_count_ring(void);
void pinring_poller_count_signal(void);
void pinring_poller_set(u32 *knob, u32 value);
int pinring_poller_set_cpus(const struct cpumask *cpus);
ssize_t pinring_poller_show_cpus(char *buf);
struct pinring_poll_figures pinring_poll_figures(void);
void pinring_pollers_print(struct seq_file *m);

/* ----------------------------------------------------------------- debugfs */

void pinring_debugfs_init(void);
void pinring_debugfs_exit(void);

#endif /* PINRING_KMOD_H */
