// SPDX-License-Identifier: MIT
/* header.c - the sealed first 128 bytes of every structured object. */
#include "internal.h"

#define SEAL (PINRING_SEALED_WORDS - 1)

void pinring_header_publish(void *at, const void *init)
{
	__u64 *h = at;
	const __u64 *from = init;

	memcpy(h, from, SEAL * sizeof(*h));
	/* release: pairs with the acquire in pinring_header_copy() */
	__atomic_store_n(&h[SEAL], from[SEAL], __ATOMIC_RELEASE);
}

int pinring_header_copy(const struct pinring_region *region, const char *name,
			const void *at, void *copy)
{
	const __u64 *h = at;
	__u64 *to = copy;

	/* acquire: pairs with the release in pinring_header_publish() */
	to[SEAL] = __atomic_load_n(&h[SEAL], __ATOMIC_ACQUIRE);
	if (!to[SEAL])
		return pinring_fail(region->device, -EAGAIN,
				    "%s is being created, or its creator died doing so",
				    name);
	memcpy(to, h, SEAL * sizeof(*h));
	return 0;
}

int pinring_header_open(const struct pinring_region *region, const char *name,
			uint32_t type, uint64_t least, void *copy,
			struct pinring_object_info *o)
{
	int rc = pinring_object_open(region, name, type, least, o);

	return rc ? rc : pinring_header_copy(region, name,
					     region->base + o->offset, copy);
}

int pinring_header_damaged(const struct pinring_region *region,
			   const char *name)
{
	return pinring_fail(region->device, -EINVAL,
			    "%s: its header is damaged", name);
}
