/* SPDX-License-Identifier: MIT */
/* region_test.h - what the tests of regions have in common; after the harness. */
#ifndef PINRING_TEST_REGION_TEST_H
#define PINRING_TEST_REGION_TEST_H

#include "backend.h"

#include <pinring/pinring.h>

#define MIB (1ull << 20)
#define DIRECTORY_BYTES 8192ull

static inline bool says(const char *word)
{
	return strstr(pinring_error(), word) != NULL;
}

#define SAYS(word) \
	EXPECT_TRUE(says(word)) \
		TH_LOG("no '%s' in \"%s\"", (word), pinring_error())

FIXTURE(region)
{
	struct pinring_device *device;
	struct pinring_region *r;
	struct pinring_region_config config;
};

FIXTURE_SETUP(region)
{
	self->r = NULL;
	ASSERT_EQ(0, pinring_device_open(NULL, &self->device));
	self->config = pinring_region_defaults(MIB);
}

FIXTURE_TEARDOWN(region)
{
	pinring_region_close(self->r);
	pinring_device_close(self->device);
}

#define CREATE() pinring_region_create(self->device, &self->config, &self->r)

static inline struct pinring_region_info info_of(const struct pinring_region *r)
{
	struct pinring_region_info info = PINRING_INIT(struct pinring_region_info);

	if (pinring_region_info(r, &info))
		memset(&info, 0, sizeof(info));
	return info;
}

/* FNV-1a, as pinring_layout.h has it. */
static inline uint64_t fnv(const void *data, size_t size)
{
	const unsigned char *p = data;
	uint64_t hash = 0xcbf29ce484222325ull;

	while (size--)
		hash = (hash ^ *p++) * 0x100000001b3ull;
	return hash;
}

#endif /* PINRING_TEST_REGION_TEST_H */
