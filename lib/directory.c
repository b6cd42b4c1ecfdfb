// SPDX-License-Identifier: MIT
/*
 * directory.c - named objects in a region, made without a lock.
 *
 * The protocol is described in pinring_layout.h. Names are unique because every
 * creator claims the first free entry, and entries are never freed: two
 * creators of one name meet at the same entry, and the loser sees the winner's
 * tag there.
 */
#include <stdio.h>

#include "internal.h"

#define TAG_HASH_MASK (~0xffull)

static struct pinring_region_header *header_of(const unsigned char *base)
{
	return (struct pinring_region_header *)(uintptr_t)base;
}

static struct pinring_object *directory_of(const unsigned char *base)
{
	return (struct pinring_object *)(uintptr_t)(base +
						    sizeof(struct pinring_region_header));
}

/* alloc: an offset in units of 64 bytes, and in the top byte its xor-fold. */
static uint64_t alloc_word(uint64_t units)
{
	uint64_t x = units ^ units >> 32;

	x ^= x >> 16;
	x ^= x >> 8;
	return units | (x ^ 0x5a) << 56;
}

static bool alloc_sane(uint64_t word, uint64_t size)
{
	uint64_t units = word & ((1ull << 56) - 1);

	return alloc_word(units) == word &&
	       units >= PINRING_REGION_HEADER_BYTES / 64 && units <= size / 64;
}

static uint64_t object_seal(const struct pinring_object *o)
{
	return pinring_hash(&o->offset, offsetof(struct pinring_object, seal) -
						offsetof(struct pinring_object,
							 offset));
}

static uint64_t name_tag(const char *name)
{
	char padded[PINRING_NAME_MAX] = "";

	snprintf(padded, sizeof(padded), "%s", name);
	return pinring_hash(padded, sizeof(padded)) & TAG_HASH_MASK;
}

void pinring_directory_init(unsigned char *base)
{
	header_of(base)->alloc = alloc_word(PINRING_REGION_HEADER_BYTES / 64);
}

static bool name_sane(const char *name)
{
	size_t length = strnlen(name, PINRING_NAME_MAX);
	size_t i;

	if (!length || length == PINRING_NAME_MAX)
		return false;
	for (i = length; i < PINRING_NAME_MAX; i++)
		if (name[i])
			return false;
	return true;
}

static bool type_sane(uint32_t type)
{
	return type >= PINRING_OBJECT_BYTES && type <= PINRING_OBJECT_PROFILE;
}

static bool all_zero(const void *data, size_t size)
{
	const unsigned char *p = data;

	while (size--)
		if (*p++)
			return false;
	return true;
}

/* What an entry with this tag says, from a private copy. */
static bool entry_sane(const struct pinring_object *o, __u64 tag,
		       uint64_t size)
{
	return object_seal(o) == o->seal && type_sane(o->type) &&
	       !o->reserved0 && all_zero(o->reserved, sizeof(o->reserved)) &&
	       name_sane(o->name) &&
	       name_tag(o->name) == (tag & TAG_HASH_MASK) &&
	       o->offset >= PINRING_REGION_HEADER_BYTES &&
	       o->offset % 64 == 0 && o->offset <= size &&
	       o->length <= size - o->offset;
}

/*
 * Copies entry i. 1: ready and sane; 0: free; -EAGAIN: being made; -EPROTO.
 */
static int read_entry(const unsigned char *base, uint64_t size, uint32_t i,
		      struct pinring_object *copy, uint64_t *tag)
{
	struct pinring_object *entry = &directory_of(base)[i];

	/* acquire: pairs with the store of a ready tag in publish() */
	*tag = __atomic_load_n(&entry->tag, __ATOMIC_ACQUIRE);
	if (!*tag)
		return 0;
	if ((*tag & 0xff) == PINRING_OBJECT_CLAIMED)
		return -EAGAIN;
	if ((*tag & 0xff) != PINRING_OBJECT_READY)
		return -EPROTO;
	memcpy(copy, entry, sizeof(*copy));
	return entry_sane(copy, *tag, size) ? 1 : -EPROTO;
}

/*
 * Others may create objects while this looks, so the order matters: an entry
 * is claimed before the next one, and alloc was moved before an entry is ready.
 */
int pinring_directory_check(struct pinring_device *device,
			    const unsigned char *base, uint64_t size)
{
	const struct pinring_region_header *header = header_of(base);
	uint64_t begin[PINRING_OBJECTS_MAX], end[PINRING_OBJECTS_MAX];
	uint64_t alloc, tag, last = PINRING_REGION_HEADER_BYTES;
	struct pinring_object o;
	uint32_t i = 0, j, used = 0;
	uint32_t again = PINRING_OBJECTS_MAX; /* a liar could go on for ever */
	int rc;

	while (i < PINRING_OBJECTS_MAX) {
		rc = read_entry(base, size, i, &o, &tag);
		if (rc == 0) {
			if (all_zero(&directory_of(base)[i],
				     (PINRING_OBJECTS_MAX - i) * sizeof(o)))
				break;
			/* Claimed just now? Then it is no longer free. */
			if (again-- && read_entry(base, size, i, &o, &tag))
				continue;
			return pinring_fail(device, -EINVAL,
					    "region directory: entry %u is free, but something follows",
					    i);
		}
		i++;
		if (rc == -EAGAIN)
			continue;
		if (rc < 0)
			return pinring_fail(device, -EINVAL,
					    "region directory: entry %u is damaged",
					    i - 1);
		for (j = 0; j < used; j++)
			if (o.offset < end[j] && begin[j] < o.offset + o.length)
				return pinring_fail(device, -EINVAL,
						    "region directory: entry %u overlaps another",
						    i - 1);
		begin[used] = o.offset;
		end[used] = o.offset + o.length;
		if (end[used] > last)
			last = end[used];
		used++;
	}
	alloc = __atomic_load_n(&header->alloc, __ATOMIC_ACQUIRE);
	if (!alloc_sane(alloc, size) ||
	    (alloc & ((1ull << 56) - 1)) * 64 < last)
		return pinring_fail(device, -EINVAL,
				    "region header: alloc %#llx is damaged",
				    (unsigned long long)alloc);
	if (!all_zero(header->alloc_reserved, sizeof(header->alloc_reserved)))
		return pinring_fail(device, -EINVAL,
				    "region header: reserved bytes are set");
	return 0;
}

static void describe(const struct pinring_object *o,
		     struct pinring_object_info *info)
{
	memcpy(info->name, o->name, sizeof(info->name));
	info->offset = o->offset;
	info->length = o->length;
	info->type = o->type;
}

/* Where length bytes would begin, given the alloc word; -ENOSPC, -EPROTO. */
static int place(const struct pinring_region *region, uint64_t word,
		 uint64_t length, uint64_t align, __u64 *start)
{
	if (!alloc_sane(word, region->size))
		return -EPROTO;
	*start = (word & ((1ull << 56) - 1)) * 64;
	*start = (*start + align - 1) & ~(align - 1);
	if (*start > region->size || length > region->size - *start)
		return -ENOSPC;
	return 0;
}

static int claim_space(struct pinring_region *region, uint64_t length,
		       uint64_t align, __u64 *start)
{
	__u64 *word = &header_of(region->base)->alloc;
	__u64 seen = __atomic_load_n(word, __ATOMIC_RELAXED);
	int rc;

	do {
		rc = place(region, seen, length, align, start);
		if (rc)
			return rc;
		/* relaxed: what lies there is published by the entry's tag */
	} while (!__atomic_compare_exchange_n(
		word, &seen, alloc_word((*start + length + 63) / 64), false,
		__ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return 0;
}

/* The entry claimed for this name; -EEXIST, -ENOSPC. */
static int claim_entry(struct pinring_region *region, uint64_t hash)
{
	struct pinring_object *directory = directory_of(region->base);
	uint32_t i;

	for (i = 0; i < PINRING_OBJECTS_MAX; i++) {
		__u64 seen = 0;

		if (__atomic_compare_exchange_n(&directory[i].tag, &seen,
						hash | PINRING_OBJECT_CLAIMED,
						false, __ATOMIC_ACQ_REL,
						__ATOMIC_ACQUIRE))
			return (int)i;
		if ((seen & TAG_HASH_MASK) == hash)
			return -EEXIST;
	}
	return -ENOSPC;
}

static bool is_taken(const struct pinring_region *region, uint64_t hash)
{
	const struct pinring_object *directory = directory_of(region->base);
	uint32_t i;

	for (i = 0; i < PINRING_OBJECTS_MAX; i++) {
		__u64 tag = __atomic_load_n(&directory[i].tag,
					    __ATOMIC_RELAXED);

		if (!tag)
			return false;
		if ((tag & TAG_HASH_MASK) == hash)
			return true;
	}
	return false;
}

static int name_taken(const struct pinring_region *region, const char *name)
{
	return pinring_fail(region->device, -EEXIST,
			    "there is an object %s already", name);
}

static int no_room(const struct pinring_region *region, const char *name,
		   uint64_t length, int rc)
{
	if (rc == -EPROTO)
		return pinring_fail(region->device, rc,
				    "%s: the region's alloc word is damaged",
				    name);
	return pinring_fail(region->device, rc,
			    "%s: no %llu bytes are free in this region of %llu",
			    name, (unsigned long long)length,
			    (unsigned long long)region->size);
}

int pinring_object_create(struct pinring_region *region, const char *name,
			  uint32_t type, uint64_t length, uint64_t align,
			  struct pinring_object_info *info)
{
	struct pinring_object *entry, o = { 0 };
	struct pinring_device *device = region->device;
	uint64_t hash;
	int i, rc;

	if (!align)
		align = 128;
	if (!name || !name[0] || strnlen(name, PINRING_NAME_MAX) ==
					 PINRING_NAME_MAX)
		return pinring_fail(device, -EINVAL,
				    "an object's name has 1 to %d bytes",
				    PINRING_NAME_MAX - 1);
	if (!type_sane(type))
		return pinring_fail(device, -EINVAL, "%s: no object type %u",
				    name, type);
	if (!pinring_power_of_two(align) || align < 64 || align > 4096)
		return pinring_fail(device, -EINVAL,
				    "%s: align %llu is not a power of two from 64 to 4096",
				    name, (unsigned long long)align);
	hash = name_tag(name);
	if (is_taken(region, hash))
		return name_taken(region, name);
	/*
	 * Before an entry is spent on it. The claims below decide, when others
	 * create at the same time.
	 */
	rc = place(region,
		   __atomic_load_n(&header_of(region->base)->alloc,
				   __ATOMIC_RELAXED),
		   length, align, &o.offset);
	if (rc)
		return no_room(region, name, length, rc);
	i = claim_entry(region, hash);
	if (i == -EEXIST)
		return name_taken(region, name);
	if (i < 0)
		return pinring_fail(device, i,
				    "%s: all %d directory entries are taken",
				    name, PINRING_OBJECTS_MAX);
	rc = claim_space(region, length, align, &o.offset);
	if (rc) {
		/*
		 * Somebody took the space just now. The entry stays claimed:
		 * giving it back would let two objects have one name.
		 */
		return no_room(region, name, length, rc);
	}
	o.length = length;
	o.type = type;
	snprintf(o.name, sizeof(o.name), "%s", name);
	o.seal = object_seal(&o);
	entry = &directory_of(region->base)[i];
	memcpy((char *)entry + sizeof(entry->tag),
	       (char *)&o + sizeof(o.tag), sizeof(o) - sizeof(o.tag));
	/* release: pairs with the acquire in read_entry() */
	__atomic_store_n(&entry->tag, hash | PINRING_OBJECT_READY,
			 __ATOMIC_RELEASE);
	if (info)
		describe(&o, info);
	return 0;
}

int pinring_object_find(const struct pinring_region *region, const char *name,
			struct pinring_object_info *info)
{
	struct pinring_device *device = region->device;
	struct pinring_object o;
	uint64_t hash, tag;
	uint32_t i;
	int rc;

	if (!name || !name[0] || strnlen(name, PINRING_NAME_MAX) ==
					 PINRING_NAME_MAX)
		return pinring_fail(device, -EINVAL,
				    "an object's name has 1 to %d bytes",
				    PINRING_NAME_MAX - 1);
	hash = name_tag(name);
	for (i = 0; i < PINRING_OBJECTS_MAX; i++) {
		rc = read_entry(region->base, region->size, i, &o, &tag);
		if (rc == 0)
			break;
		if ((tag & TAG_HASH_MASK) != hash)
			continue;
		if (rc == -EAGAIN)
			return pinring_fail(device, rc,
					    "%s is being created, or its creator died doing so",
					    name);
		if (rc < 0)
			return pinring_fail(device, rc,
					    "the directory entry of %s is damaged",
					    name);
		describe(&o, info);
		return 0;
	}
	return pinring_fail(device, -ENOENT, "there is no object %s", name);
}

int pinring_object_list(const struct pinring_region *region, uint32_t index,
			struct pinring_object_info *info)
{
	struct pinring_object o;
	uint64_t tag;
	uint32_t i;

	for (i = 0; i < PINRING_OBJECTS_MAX; i++) {
		if (read_entry(region->base, region->size, i, &o, &tag) != 1)
			continue;
		if (index--)
			continue;
		describe(&o, info);
		return 0;
	}
	return -ENOENT;
}

int pinring_object_open(const struct pinring_region *region, const char *name,
			uint32_t type, uint64_t least,
			struct pinring_object_info *info)
{
	int rc = pinring_object_find(region, name, info);

	if (rc)
		return rc;
	if (info->type != type)
		return pinring_fail(region->device, -EINVAL,
				    "%s is an object of type %u, not %u", name,
				    info->type, type);
	if (info->length < least || info->offset % PINRING_SEPARATION)
		return pinring_fail(region->device, -EINVAL,
				    "%s: %llu bytes at %llu hold no such object",
				    name, (unsigned long long)info->length,
				    (unsigned long long)info->offset);
	return 0;
}
