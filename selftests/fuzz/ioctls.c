// SPDX-License-Identifier: MIT
/*
 * ioctls.c - any ioctl of the table: issued with a struct that may be too short,
 * too long, or not there, and its result held against what pinring.h promises.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define GUARD 0xa5 /* what no ioctl writes */

static uint32_t said_size(const struct row *row, uint64_t how)
{
	switch ((enum how)(how % HOWS)) {
	case HOW_FIRST_VERSION:
		return row->first_size;
	case HOW_ZERO_TAIL:
		return row->size + 8;
	case HOW_PAGE:
	case HOW_PAGE_TAIL:
		return SMALL;
	case HOW_TOO_SMALL:
		return row->first_size - 1;
	case HOW_NONE:
		return 0;
	case HOW_TAIL:
		return row->size + 64;
	case HOW_BEYOND_PAGE:
		return SMALL + 1;
	case HOW_HUGE:
		return UINT32_MAX;
	default:
		return row->size;
	}
}

static bool has_tail(uint64_t how)
{
	return how % HOWS == HOW_TAIL || how % HOWS == HOW_PAGE_TAIL;
}

/*
 * No size between what is small and what there can never be; of small pages no
 * more than takes a moment, but for a region of two chunks.
 */
static uint64_t region_size(uint64_t size, bool small)
{
	const uint64_t moment = 32 * SMALL;

	if (small && size > moment && size <= REGION_MAX && size != HUGE + SMALL)
		size = size % moment ? size % moment : moment;
	if (size > REGION_MAX && size < 1ull << 40)
		size %= REGION_MAX;
	if (size > SMALL && size <= REGION_MAX && knob_read(KNOB_BYTES) > (long long)BYTES_MAX)
		size = SMALL;
	return size;
}

static void put(struct worker *w, unsigned char *arg, const struct argument *a,
		uint64_t value, bool small)
{
	if (a->kind == NAME) {
		strncpy((char *)arg + a->offset, names[value % nr_names], a->width);
		return;
	}
	if (a->kind == MEMORY)
		value = (uint64_t)slot_memory(w, value);
	else if (a->kind < SLOT_KINDS)
		value = (uint64_t)slot_fd(w, a->kind, value);
	if (a->kind == SIZE)
		value = region_size(value, small);
	memcpy(arg + a->offset, &value, a->width); /* little-endian */
}

/* What must be refused whatever the fds are. */
static bool must_fail(const struct row *row, const uint64_t *arg, uint32_t said)
{
	for (unsigned int i = 0; row->arg[i].name; i++) {
		uint32_t value = (uint32_t)arg[i];

		/* What was cut off is zero. */
		if (row->arg[i].width == 0 || row->arg[i].offset >= said)
			continue;
		if (row->arg[i].kind == RESERVED && value)
			return true;
		if (row->arg[i].kind == FLAGS && value & ~row->flags)
			return true;
	}
	return said < row->first_size || said > SMALL;
}

/* Where the struct is to lie, of which `room` bytes are wanted. */
static unsigned char *locate(struct worker *w, uint64_t where, size_t room)
{
	switch ((enum where)(where % WHERES)) {
	case WHERE_CUT:
		return w->page + 2 * SMALL - room + 1;
	case WHERE_NULL:
		return NULL;
	case WHERE_KERNEL:
		return (unsigned char *)0xffff888000000000ull;
	case WHERE_MAP:
		return (unsigned char *)slot_window(w, 0);
	case WHERE_COMMON_MAP:
		return (unsigned char *)slot_window(w, OWN_SLOTS) + SMALL - 64;
	default:
		return w->page + 2 * SMALL - room;
	}
}

/* Into memory that may not be there. */
static void fill(struct worker *w, unsigned char *p, const unsigned char *arg,
		 size_t size)
{
	sigjmp_buf gone;

	if (!sigsetjmp(gone, 0)) {
		w->guard = &gone;
		memcpy(p, arg, size);
	}
	w->guard = NULL;
}

/* The fd that it made, or -1. */
static int made_fd(struct worker *w, const struct row *row, const unsigned char *out)
{
	int32_t fd;

	memcpy(&fd, out + row->fd, sizeof(fd));
	if (fcntl(fd, F_GETFD) == FD_CLOEXEC)
		return fd;
	violate(w, "%s made fd %d, which is none, or not close-on-exec", row->name,
		fd);
	return -1;
}

static void publish(struct worker *w, const struct row *row, const uint64_t *arg,
		    int fd)
{
	for (unsigned int i = 0; row->arg[i].name; i++)
		if (row->arg[i].kind == TO)
			slot_put_fd(w, row->makes, arg[i], fd);
}

static void judge(struct worker *w, const struct row *row, const uint64_t *arg,
		  const struct issued *i, uint64_t where, int rc)
{
	uint64_t how = arg[1];
	/* Memory that nobody but us changes, and that is there. */
	bool sound = where == WHERE_OWN && i->size <= 2 * SMALL;

	if (rc > 0)
		violate(w, "%s returned %d", row->name, rc);
	if (where == WHERE_MAP || where == WHERE_COMMON_MAP)
		return;
	if (rc == 0 && (must_fail(row, arg, i->size) || has_tail(how)))
		violate(w, "%s took what it must refuse", row->name);
	if (rc == 0 && (where == WHERE_NULL || where == WHERE_KERNEL ||
			where == WHERE_CUT ||
			(where == WHERE_READ_ONLY && row->fd)))
		violate(w, "%s took a struct that is not there", row->name);
	if (rc == -EFAULT && sound && !w->failing && !row->points)
		violate(w, "%s finds no struct where there is one", row->name);
	if (rc == -E2BIG && !has_tail(how) && i->size <= SMALL)
		violate(w, "%s finds a struct too long that is not", row->name);
	if (!sound)
		return;
	for (const unsigned char *p = i->out + (i->size < row->size ? i->size : row->size),
		 *end = i->out + i->size; p < end; p++)
		if (*p != 0 && rc == 0) {
			violate(w, "%s wrote beyond what it knows", row->name);
			break;
		}
	for (const unsigned char *p = i->out - 32; p < i->out; p++)
		if (*p != GUARD) {
			violate(w, "%s wrote before its struct", row->name);
			break;
		}
	if (rc == 0 && row->check)
		row->check(w, i);
}

/* Arguments: the fd, how, where, then those that are fields. */
int run_ioctl(struct worker *w, const uint64_t *arg)
{
	const struct row *row = w->program.call[w->at].row;
	uint32_t said = said_size(row, arg[1]);
	size_t room = said > 2 * SMALL || said < 4 ? row->size : said;
	size_t copied = room < row->size ? room : row->size;
	unsigned char in[SMALL] = { 0 };
	uint64_t where = arg[2] % WHERES;
	struct issued i = { .size = said, .in = in, .made = -1 };
	bool small = false; /* the flags come before the size in the table */
	unsigned char *p;
	int rc;

	/* An fd must not get lost where others write. */
	if (row->fd && (where == WHERE_MAP || where == WHERE_COMMON_MAP))
		where = WHERE_OWN;
	p = locate(w, where, room);

	for (unsigned int j = 0; row->arg[j].name; j++) {
		small |= row->arg[j].kind == FLAGS && arg[j] & row->usual;
		if (row->arg[j].width)
			put(w, in, &row->arg[j], arg[j], small);
	}
	memcpy(in, &said, sizeof(said));
	if (where == WHERE_OWN || where == WHERE_READ_ONLY || where == WHERE_CUT) {
		/* All that is not the struct and its tail. */
		memset(p - 32, GUARD, 32);
		memset(p, 0, where == WHERE_CUT ? room - 1 : room);
		memcpy(p, in, where == WHERE_CUT ? copied - 1 : copied);
		if (has_tail(arg[1]) && where != WHERE_CUT)
			p[arg[1] % HOWS == HOW_TAIL ? row->size : room - 1] = 1;
	} else if (where == WHERE_MAP || where == WHERE_COMMON_MAP) {
		fill(w, p, in, copied);
	}
	if (where == WHERE_READ_ONLY)
		mprotect(w->page, 2 * SMALL, PROT_READ);
	i.out = p;
	fail_begin(w);
	rc = ioctl(slot_fd(w, row->arg[0].kind, arg[0]), row->cmd, p) < 0 ? -errno : 0;
	fail_end(w);
	if (where == WHERE_READ_ONLY)
		mprotect(w->page, 2 * SMALL, PROT_READ | PROT_WRITE);
	if (rc == 0 && row->fd && where == WHERE_OWN)
		i.made = made_fd(w, row, p);
	judge(w, row, arg, &i, where, rc);
	if (i.made >= 0)
		publish(w, row, arg, i.made);
	return rc;
}

/* ------------------------------------------------------- what it answered */

void check_info(struct worker *w, const struct issued *i)
{
	const struct pinring_ioc_info *info = (const void *)i->out;

	if (info->abi != PINRING_IOC_ABI || info->huge_page_bytes != HUGE)
		violate(w, "info: ABI %u, huge pages of %llu", info->abi,
			info->huge_page_bytes);
}

/*
 * A new region's memory is zero; half of each page is left full of a pattern,
 * for whoever gets it next.
 */
static void look_at_memory(struct worker *w, int fd, uint64_t size)
{
	unsigned char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	uint64_t sum = 0;

	if (p == MAP_FAILED) {
		if (errno != ENOMEM)
			violate(w, "a new region cannot be mapped, %s", strerror(errno));
		return;
	}
	for (const uint64_t *word = (void *)p; word < (const uint64_t *)(p + size); word++)
		sum |= *word;
	if (sum)
		violate(w, "a new region is not zero: bits %#llx",
			(unsigned long long)sum);
	for (unsigned char *page = p; page < p + size; page += SMALL)
		memset(page + SMALL / 2, 0x5a, SMALL / 2);
	munmap(p, size);
}

void check_create(struct worker *w, const struct issued *i)
{
	const struct pinring_ioc_region_create *in = (const void *)i->in;
	const struct pinring_ioc_region_create *out = (const void *)i->out;
	uint64_t page = in->flags & PINRING_IOC_SMALL_PAGES ? SMALL : HUGE;
	struct stat st;

	if (out->size != (in->size + page - 1) / page * page || !in->size)
		violate(w, "region_create: %#llx became %#llx", in->size, out->size);
	if (out->huge_bytes > out->size || out->node_bytes > out->size ||
	    out->huge_bytes % HUGE || out->node_bytes % SMALL)
		violate(w, "region_create: of %#llx huge %#llx, on the node %#llx",
			out->size, out->huge_bytes, out->node_bytes);
	if (out->node < 0 || out->node > 1023 ||
	    (in->node != PINRING_IOC_NODE_LOCAL && in->node != out->node))
		violate(w, "region_create: node %d for %d", out->node, in->node);
	if (in->flags & PINRING_IOC_STRICT_NODE && out->node_bytes != out->size)
		violate(w, "region_create: strictly on node %d, but %#llx of %#llx",
			out->node, out->node_bytes, out->size);
	if (fstat(i->made, &st) || (uint64_t)st.st_size != out->size)
		violate(w, "region_create: the file is not as long as the region");
	/* One that can be opened by its name another worker may have rung by now. */
	if (!in->mode && random_one_in(&w->random, 4))
		look_at_memory(w, i->made, out->size);
}

void check_adopt(struct worker *w, const struct issued *i)
{
	const struct pinring_ioc_region_adopt *in = (const void *)i->in;
	const struct pinring_ioc_region_adopt *out = (const void *)i->out;

	if (out->size != in->size || out->address != in->address ||
	    out->huge_bytes > out->size || out->node_bytes > out->size ||
	    out->node < 0 || out->node > 1023)
		violate(w, "region_adopt: %#llx of %#llx asked, huge %#llx, on node %d %#llx",
			out->size, in->size, out->huge_bytes, out->node,
			out->node_bytes);
	if (mmap(NULL, SMALL, PROT_READ, MAP_SHARED, i->made, 0) != MAP_FAILED ||
	    (errno != ENODEV && !w->failing))
		violate(w, "region_adopt: it can be mapped, or else %s", strerror(errno));
}

void check_region_info(struct worker *w, const struct issued *i)
{
	const struct pinring_ioc_region_info *out = (const void *)i->out;

	if (!out->id || !out->size || out->size > REGION_MAX ||
	    out->huge_bytes > out->size || out->node_bytes > out->size ||
	    out->node < 0 || out->owner != 0 ||
	    strnlen(out->name, sizeof(out->name)) == sizeof(out->name))
		violate(w, "region_info: id %llu, size %#llx, huge %#llx, on node %d %#llx, of user %u",
			out->id, out->size, out->huge_bytes, out->node,
			out->node_bytes, out->owner);
}

void check_open(struct worker *w, const struct issued *i)
{
	const struct pinring_ioc_region_open *in = (const void *)i->in;
	int flags = fcntl(i->made, F_GETFL);
	int wanted = in->flags & PINRING_IOC_OPEN_READONLY ? O_RDONLY : O_RDWR;

	if ((flags & O_ACCMODE) != wanted)
		violate(w, "region_open: an fd with flags %#x, not %#x", flags, wanted);
}

void check_export(struct worker *w, const struct issued *i)
{
	const struct pinring_ioc_region_export *in = (const void *)i->in;
	const struct pinring_ioc_region_export *out = (const void *)i->out;
	off_t size = lseek(i->made, 0, SEEK_END);

	if (!out->size || out->size % SMALL || (in->size && in->size != out->size) ||
	    out->offset != in->offset || out->size > REGION_MAX - out->offset ||
	    (uint64_t)size != out->size)
		violate(w, "region_export: %#llx at %#llx, of %#llx asked, has %#llx",
			out->size, out->offset, in->size, (unsigned long long)size);
}

void check_readonly(struct worker *w, const struct issued *i)
{
	int flags = fcntl(i->made, F_GETFL);

	if ((flags & O_ACCMODE) != O_RDONLY)
		violate(w, "region_readonly: an fd with flags %#x", flags);
}
