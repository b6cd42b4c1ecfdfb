// SPDX-License-Identifier: MIT
/*
 * Named objects in a region: found by all who attach, made by several processes
 * at the same time, and by some that die meanwhile.
 */
#include <kselftest_harness.h>

#include "region_test.h"
#include "sanitized.h"
#include "take_cpu.h"

#define OBJECT(name, length) \
	pinring_object_create(self->r, name, PINRING_OBJECT_BYTES, length, 0, &o)

TEST_F(region, an_object_is_found_under_its_name_by_every_attacher)
{
	struct pinring_object_info o, found;
	struct pinring_region *other;

	ASSERT_EQ(0, CREATE());
	ASSERT_EQ(0, pinring_object_create(self->r, "frames", PINRING_OBJECT_BYTES,
					   1000, 0, &o));
	EXPECT_STREQ("frames", o.name);
	EXPECT_EQ(1000u, o.length);
	EXPECT_EQ((uint32_t)PINRING_OBJECT_BYTES, o.type);
	EXPECT_LE(DIRECTORY_BYTES, o.offset);
	ASSERT_EQ(0, pinring_region_attach(self->device,
					   pinring_region_fd(self->r), &other));
	ASSERT_EQ(0, pinring_object_find(other, "frames", &found));
	EXPECT_STREQ(o.name, found.name);
	EXPECT_EQ(o.offset, found.offset);
	EXPECT_EQ(o.length, found.length);
	EXPECT_EQ(o.type, found.type);
	/* And one made by the attacher, by the creator. */
	ASSERT_EQ(0, pinring_object_create(other, "back", PINRING_OBJECT_BYTES,
					   10, 0, &o));
	ASSERT_EQ(0, pinring_object_find(self->r, "back", &found));
	EXPECT_EQ(o.offset, found.offset);
	/* The caller may not want to know. */
	EXPECT_EQ(0, pinring_object_create(self->r, "unasked",
					   PINRING_OBJECT_BYTES, 1, 0, NULL));
	pinring_region_close(other);
}

TEST_F(region, objects_are_zero_aligned_and_apart)
{
	struct pinring_object_info o;
	uint64_t end = DIRECTORY_BYTES;
	char name[16];
	int n = 0;

	ASSERT_EQ(0, CREATE());
	for (uint64_t align = 64; align <= 4096; align *= 2) {
		for (uint64_t length = 0; length < 400; length += 133) {
			unsigned char *data;

			snprintf(name, sizeof(name), "o%d", n++);
			ASSERT_EQ(0, pinring_object_create(self->r, name,
							   PINRING_OBJECT_BYTES,
							   length, align, &o));
			EXPECT_EQ(0u, o.offset % align);
			EXPECT_LE(end, o.offset);
			end = o.offset + o.length;
			data = pinring_region_at(self->r, o.offset, length);
			ASSERT_NE(NULL, data);
			EXPECT_EQ(0u, (uintptr_t)data % align);
			for (uint64_t i = 0; i < length; i++) {
				ASSERT_EQ(0, data[i]);
			}
			memset(data, 0xff, length);
		}
	}
	ASSERT_EQ(0, OBJECT("default", 1));
	EXPECT_EQ(0u, o.offset % 128);
}

TEST_F(region, list_gives_each_object_once_in_order)
{
	struct pinring_object_info o;
	char name[16];

	ASSERT_EQ(0, CREATE());
	EXPECT_EQ(-ENOENT, pinring_object_list(self->r, 0, &o));
	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "o%d", i);
		ASSERT_EQ(0, OBJECT(name, 1));
	}
	for (uint32_t i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "o%u", i);
		ASSERT_EQ(0, pinring_object_list(self->r, i, &o));
		EXPECT_STREQ(name, o.name);
	}
	EXPECT_EQ(-ENOENT, pinring_object_list(self->r, 10, &o));
	EXPECT_EQ(-ENOENT, pinring_object_list(self->r, UINT32_MAX, &o));
}

TEST_F(region, a_name_is_taken_once)
{
	struct pinring_object_info o;

	ASSERT_EQ(0, CREATE());
	ASSERT_EQ(0, OBJECT("one", 1));
	EXPECT_EQ(-EEXIST, OBJECT("one", 1));
	SAYS("one");
	EXPECT_EQ(-EEXIST, pinring_object_create(self->r, "one", PINRING_OBJECT_SPSC,
						 500, 0, NULL));
	EXPECT_EQ(0, OBJECT("on", 1));
	EXPECT_EQ(0, OBJECT("one ", 1));
}

/* "Create, or find if it exists" must work in a region that is nearly full. */
TEST_F(region, a_taken_name_is_taken_even_when_there_is_no_space)
{
	struct pinring_object_info o;

	ASSERT_EQ(0, CREATE());
	ASSERT_EQ(0, OBJECT("large", pinring_region_size(self->r) - DIRECTORY_BYTES));
	EXPECT_EQ(-EEXIST, OBJECT("large", 4096));
	EXPECT_EQ(-ENOSPC, OBJECT("other", 4096));
}

TEST_F(region, a_name_is_from_1_to_63_bytes)
{
	char longest[64], too_long[65];
	struct pinring_object_info o;

	memset(longest, 'x', 63);
	longest[63] = '\0';
	memset(too_long, 'x', 64);
	too_long[64] = '\0';
	ASSERT_EQ(0, CREATE());
	EXPECT_EQ(0, OBJECT(longest, 1));
	EXPECT_STREQ(longest, o.name);
	EXPECT_EQ(0, pinring_object_find(self->r, longest, &o));
	EXPECT_EQ(-EINVAL, OBJECT(too_long, 1));
	EXPECT_EQ(-EINVAL, OBJECT("", 1));
	EXPECT_EQ(-EINVAL, OBJECT(NULL, 1));
	EXPECT_EQ(-EINVAL, pinring_object_find(self->r, too_long, &o));
	EXPECT_EQ(-EINVAL, pinring_object_find(self->r, "", &o));
	EXPECT_EQ(-EINVAL, pinring_object_find(self->r, NULL, &o));
	SAYS("name");
}

TEST_F(region, types_and_alignments_that_mean_nothing_are_refused)
{
	static const uint32_t types[] = { 0, 99, 255, UINT32_MAX };
	static const uint64_t aligns[] = { 1, 32, 63, 65, 96, 192, 8192, 1ull << 63 };
	struct pinring_object_info o;

	ASSERT_EQ(0, CREATE());
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		EXPECT_EQ(-EINVAL, pinring_object_create(self->r, "o", types[i], 1,
							 0, &o));
	}
	SAYS("type");
	for (size_t i = 0; i < ARRAY_SIZE(aligns); i++) {
		EXPECT_EQ(-EINVAL, pinring_object_create(self->r, "o",
							 PINRING_OBJECT_BYTES, 1,
							 aligns[i], &o));
	}
	SAYS("align");
	EXPECT_EQ(0, OBJECT("o", 1)); /* a refusal cost nothing */
}

TEST_F(region, a_full_region_says_so_and_wastes_nothing)
{
	struct pinring_object_info o;
	uint64_t size;

	ASSERT_EQ(0, CREATE());
	size = pinring_region_size(self->r) - DIRECTORY_BYTES;
	EXPECT_EQ(-ENOSPC, OBJECT("o", size + 1));
	EXPECT_EQ(-ENOSPC, OBJECT("o", UINT64_MAX));
	EXPECT_EQ(-ENOSPC, OBJECT("o", UINT64_MAX - 8191));
	EXPECT_EQ(-ENOENT, pinring_object_find(self->r, "o", &o));
	EXPECT_EQ(0, OBJECT("o", size));
	EXPECT_EQ(pinring_region_size(self->r), o.offset + o.length);
	EXPECT_EQ(-ENOSPC, OBJECT("p", 1));
	SAYS("p: ");
}

TEST_F(region, a_full_directory_says_so)
{
	struct pinring_object_info o;
	char name[16];

	ASSERT_EQ(0, CREATE());
	for (int i = 0; i < 62; i++) {
		snprintf(name, sizeof(name), "o%d", i);
		ASSERT_EQ(0, OBJECT(name, 64));
	}
	EXPECT_EQ(-ENOSPC, OBJECT("one more", 64));
	SAYS("62");
	EXPECT_EQ(-EEXIST, OBJECT("o61", 64));
	EXPECT_EQ(0, pinring_object_find(self->r, "o61", &o));
	EXPECT_EQ(-ENOENT, pinring_object_find(self->r, "one more", &o));
}

/* What a creator leaves behind that is killed between claiming and publishing. */
static void claim_and_die(struct pinring_region *r, int entry, const char *name)
{
	struct pinring_object *o = pinring_region_at(
		r, sizeof(struct pinring_region_header) + (uint64_t)entry * 128, 128);
	char padded[64] = "";

	snprintf(padded, sizeof(padded), "%s", name);
	o->tag = (fnv(padded, 64) & ~0xffull) | PINRING_OBJECT_CLAIMED;
}

TEST_F(region, a_creator_that_died_costs_its_entry_and_nothing_else)
{
	struct pinring_object_info o;
	struct pinring_region *other;

	ASSERT_EQ(0, CREATE());
	ASSERT_EQ(0, OBJECT("before", 1));
	claim_and_die(self->r, 1, "dead");
	EXPECT_EQ(-EAGAIN, pinring_object_find(self->r, "dead", &o));
	EXPECT_EQ(-EEXIST, OBJECT("dead", 1));
	EXPECT_EQ(0, OBJECT("after", 1));
	EXPECT_EQ(0, pinring_object_find(self->r, "after", &o));
	EXPECT_EQ(0, pinring_object_list(self->r, 1, &o));
	EXPECT_STREQ("after", o.name);
	ASSERT_EQ(0, pinring_region_attach(self->device,
					   pinring_region_fd(self->r), &other));
	EXPECT_EQ(0, pinring_object_find(other, "after", &o));
	pinring_region_close(other);
}

/* ------------------------------------------------- several at the same time */

#define RACED_NAMES 40

struct race {
	int ready; /* processes at the line; the last one starts all */
	int rc[2][RACED_NAMES];
};

static void race_to_create(struct pinring_region *r, struct race *race, int me)
{
	char name[16];

	take_cpu(me);
	__atomic_add_fetch(&race->ready, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&race->ready, __ATOMIC_SEQ_CST) < 2)
		;
	for (int i = 0; i < RACED_NAMES; i++) {
		/* One goes up, the other down: they meet in the middle. */
		int n = me ? RACED_NAMES - 1 - i : i;

		snprintf(name, sizeof(name), "name%d", n);
		race->rc[me][n] = pinring_object_create(r, name, PINRING_OBJECT_BYTES,
							64u * (uint64_t)(n % 7) + 1,
							64, NULL);
	}
}

TEST_F_TIMEOUT(region, two_processes_that_create_the_same_names_have_one_winner_each, 120)
{
	struct race *race = mmap(NULL, sizeof(*race), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct pinring_object_info o[RACED_NAMES];
	int won[2] = { 0, 0 };

	for (int round = 0; round < (SANITIZED ? 50 : 300); round++) {
		struct pinring_region *r;
		int status;
		pid_t pid;

		memset(race, 0, sizeof(*race));
		ASSERT_EQ(0, pinring_region_create(self->device, &self->config, &r));
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			struct pinring_region *mine;

			if (pinring_region_attach(self->device,
						  pinring_region_fd(r), &mine))
				_exit(2);
			race_to_create(mine, race, 1);
			_exit(0);
		}
		race_to_create(r, race, 0);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_EQ(0, status);
		for (int n = 0; n < RACED_NAMES; n++) {
			int a = race->rc[0][n], b = race->rc[1][n];

			ASSERT_TRUE((a == 0 && b == -EEXIST) ||
				    (a == -EEXIST && b == 0))
				TH_LOG("round %d name%d: %d and %d", round, n, a, b);
			won[a != 0]++;
			ASSERT_EQ(0, pinring_object_list(r, (uint32_t)n, &o[n]));
			for (int m = 0; m < n; m++) {
				ASSERT_TRUE(o[m].offset + o[m].length <= o[n].offset ||
					    o[n].offset + o[n].length <= o[m].offset);
			}
		}
		ASSERT_EQ(-ENOENT, pinring_object_list(r, RACED_NAMES, &o[0]));
		pinring_region_close(r);
	}
	TH_LOG("won: %d and %d", won[0], won[1]);
	munmap(race, sizeof(*race));
}

/* A region is valid at every instant, also in the middle of an object's birth. */
TEST_F_TIMEOUT(region, attach_succeeds_while_another_process_creates_objects, 120)
{
	int *stop = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct pinring_object_info o;
	char name[16];

	take_cpu(0);
	for (int round = 0; round < (SANITIZED ? 100 : 300); round++) {
		struct pinring_region *r, *other;
		int rc = 0, status;
		pid_t pid;

		__atomic_store_n(stop, 0, __ATOMIC_SEQ_CST);
		ASSERT_EQ(0, pinring_region_create(self->device, &self->config, &r));
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			take_cpu(1);
			for (int i = 0; i < 62; i++) {
				snprintf(name, sizeof(name), "o%d", i);
				rc |= pinring_object_create(r, name,
							    PINRING_OBJECT_BYTES,
							    64, 0, NULL);
			}
			__atomic_store_n(stop, 1, __ATOMIC_SEQ_CST);
			_exit(rc != 0);
		}
		while (!rc && !__atomic_load_n(stop, __ATOMIC_SEQ_CST)) {
			rc = pinring_region_attach(self->device,
						   pinring_region_fd(r), &other);
			if (!rc)
				pinring_region_close(other);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_EQ(0, rc)
			TH_LOG("round %d: %s", round, pinring_error());
		ASSERT_EQ(0, status);
		ASSERT_EQ(0, pinring_object_list(r, 61, &o));
		pinring_region_close(r);
	}
	munmap(stop, 4096);
}

TEST_HARNESS_MAIN
