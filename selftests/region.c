// SPDX-License-Identifier: MIT
/*
 * Regions as their users know them: what can be created, what is refused and
 * with which words.
 */
#include <kselftest_harness.h>

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "region_test.h"
#include "sanitized.h"

#define HUGE_PAGE (2 * MIB)

static long read_number(const char *path)
{
	FILE *f = fopen(path, "re");
	long n = -1;

	if (!f)
		return -1;
	if (fscanf(f, "%ld", &n) != 1)
		n = -1;
	fclose(f);
	return n;
}

/* ------------------------------------------------------------------ create */

TEST_F(region, any_size_is_rounded_up_and_all_of_it_is_usable)
{
	static const uint64_t sizes[] = { 1, 4095, 4096, 8192, 8193, 12345,
					  999999, HUGE_PAGE + 1, 64 * MIB };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		unsigned char *base;
		uint64_t size;

		self->config.size = sizes[i];
		ASSERT_EQ(0, CREATE());
		size = pinring_region_size(self->r);
		base = pinring_region_base(self->r);
		EXPECT_LE(sizes[i], size);
		EXPECT_EQ(0u, size % 4096);
		EXPECT_EQ(0u, (uintptr_t)base % 4096);
		EXPECT_EQ(0, base[size - 1]);
		base[size - 1] = 7;
		EXPECT_EQ(size, info_of(self->r).size);
		pinring_region_close(self->r);
		self->r = NULL;
	}
}

TEST_F(region, info_tells_pages_backend_and_why_not_larger)
{
	struct pinring_region_info info;

	ASSERT_EQ(0, CREATE());
	info = info_of(self->r);
	EXPECT_EQ(sizeof(info), info.struct_size);
	EXPECT_EQ((uint32_t)pinring_device_backend(self->device), info.backend);
	EXPECT_TRUE(info.page_size == 4096 || info.page_size == HUGE_PAGE);
	EXPECT_EQ(info.page_size == HUGE_PAGE, info.huge_bytes > 0);
	if (info.page_size == 4096) {
		EXPECT_STRNE("", info.reason);
	}
	EXPECT_LE(info.huge_bytes, info.size);
	EXPECT_LE(info.resident_bytes, info.size);
	EXPECT_LE(4096u, info.resident_bytes);
}

TEST_F(region, info_of_an_older_program_writes_no_further_than_it_knows)
{
	struct {
		struct pinring_region_info info;
		char after[64];
	} longer;
	struct pinring_region_info info;

	ASSERT_EQ(0, CREATE());
	memset(&info, 0x5a, sizeof(info));
	info.struct_size = 24;
	ASSERT_EQ(0, pinring_region_info(self->r, &info));
	EXPECT_EQ(24u, info.struct_size);
	EXPECT_EQ(pinring_region_size(self->r), info.size);
	EXPECT_EQ(0x5a5a5a5a5a5a5a5aull, info.huge_bytes);

	memset(&longer, 0x5a, sizeof(longer));
	longer.info.struct_size = sizeof(longer);
	ASSERT_EQ(0, pinring_region_info(self->r, &longer.info));
	EXPECT_EQ(sizeof(longer.info), longer.info.struct_size);
	for (size_t i = 0; i < sizeof(longer.after); i++) {
		ASSERT_EQ(0x5a, longer.after[i]);
	}

	info.struct_size = 0;
	EXPECT_EQ(-EINVAL, pinring_region_info(self->r, &info));
	SAYS("struct_size");
}

TEST_F(region, prefault_makes_every_page_resident)
{
	self->config.size = 16 * MIB;
	self->config.flags = PINRING_REGION_PREFAULT;
	ASSERT_EQ(0, CREATE());
	EXPECT_EQ(16 * MIB, info_of(self->r).resident_bytes);
}

TEST_F(region, without_prefault_pages_come_on_first_touch)
{
	self->config.size = 64 * MIB;
	ASSERT_EQ(0, CREATE());
	EXPECT_LE(info_of(self->r).resident_bytes, HUGE_PAGE);
	memset(pinring_region_at(self->r, 32 * MIB, 8 * MIB), 1, 8 * MIB);
	EXPECT_LE(8 * MIB, info_of(self->r).resident_bytes);
}

TEST_F(region, small_pages_are_small_and_said_to_be_asked_for)
{
	struct pinring_region_info info;

	self->config.size = 8 * MIB;
	self->config.flags = PINRING_REGION_SMALL_PAGES | PINRING_REGION_PREFAULT;
	ASSERT_EQ(0, CREATE());
	info = info_of(self->r);
	EXPECT_EQ(4096u, info.page_size);
	EXPECT_EQ(0u, info.huge_bytes);
	EXPECT_TRUE(strstr(info.reason, "asked") != NULL)
		TH_LOG("reason: %s", info.reason);
}

#define HUGETLB "/sys/kernel/mm/hugepages/hugepages-2048kB/"

static long free_huge_pages(void)
{
	return read_number(HUGETLB "free_hugepages") -
	       read_number(HUGETLB "resv_hugepages");
}

TEST_F(region, huge_pages_are_used_when_the_pool_has_them)
{
	struct pinring_region_info info;

	if (free_huge_pages() < 2)
		SKIP(return, "no 2 free huge pages: sysctl vm.nr_hugepages=2");
	self->config.size = 3 * MIB;
	self->config.flags = PINRING_REGION_PREFAULT;
	ASSERT_EQ(0, CREATE());
	info = info_of(self->r);
	EXPECT_EQ(4 * MIB, info.size);
	EXPECT_EQ(HUGE_PAGE, info.page_size);
	EXPECT_EQ(4 * MIB, info.huge_bytes);
	EXPECT_EQ(4 * MIB, info.resident_bytes);
	EXPECT_STREQ("", info.reason);
	EXPECT_EQ(0u, (uintptr_t)pinring_region_base(self->r) % HUGE_PAGE);
}

TEST_F(region, huge_pages_are_attached_as_huge_pages)
{
	struct pinring_region *other;
	struct pinring_region_info info;

	if (free_huge_pages() < 1)
		SKIP(return, "no free huge page: sysctl vm.nr_hugepages=1");
	ASSERT_EQ(0, CREATE());
	ASSERT_EQ(0, pinring_region_attach(self->device,
					   pinring_region_fd(self->r), &other));
	memset(pinring_region_at(other, DIRECTORY_BYTES, 100), 9, 100);
	info = info_of(other);
	EXPECT_EQ(HUGE_PAGE, info.page_size);
	EXPECT_EQ(9, *(char *)pinring_region_at(self->r, DIRECTORY_BYTES, 1));
	pinring_region_close(other);
}

TEST_F(region, a_region_larger_than_the_huge_page_pool_still_comes)
{
	long pages = read_number(HUGETLB "free_hugepages");

	if (pages < 1 || pages > 512)
		SKIP(return, "no small pool of free huge pages: sysctl vm.nr_hugepages=1");
	self->config.size = (uint64_t)(pages + 1) * HUGE_PAGE;
	ASSERT_EQ(0, CREATE());
	EXPECT_STRNE("", info_of(self->r).reason);
}

/* ------------------------------------------------------------------- nodes */

/* The first node with memory, or -1 where there is no NUMA to speak of. */
static int some_node(struct pinring_device *device)
{
	struct pinring_region_config config = pinring_region_defaults(4096);
	struct pinring_region *r;
	int node = (int)read_number("/sys/devices/system/node/has_memory");

	if (node < 0)
		return -1;
	config.node = node;
	if (pinring_region_create(device, &config, &r) == -EOPNOTSUPP)
		return -1;
	pinring_region_close(r);
	return node;
}

#define NEEDS_NODES(node) \
	do { \
		if ((node) < 0) \
			SKIP(return, "no NUMA: needs libnuma-dev at build time and CONFIG_NUMA"); \
	} while (0)

TEST_F(region, a_node_asked_for_is_the_node_obtained)
{
	int node = some_node(self->device);

	NEEDS_NODES(node);
	self->config.node = node;
	ASSERT_EQ(0, CREATE());
	EXPECT_EQ(node, info_of(self->r).node);
	pinring_region_close(self->r);
	self->config.flags = PINRING_REGION_STRICT_NODE;
	ASSERT_EQ(0, CREATE());
	EXPECT_EQ(node, info_of(self->r).node);
}

TEST_F(region, local_is_the_node_of_the_calling_cpu)
{
	int node = some_node(self->device);
	unsigned int cpu, here;
	cpu_set_t one;

	NEEDS_NODES(node);
	ASSERT_EQ(0, syscall(SYS_getcpu, &cpu, &here, NULL));
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(one), &one));
	ASSERT_EQ(0, syscall(SYS_getcpu, &cpu, &here, NULL));
	self->config.node = PINRING_NODE_LOCAL;
	ASSERT_EQ(0, CREATE());
	EXPECT_EQ((int)here, info_of(self->r).node);
}

TEST_F(region, an_unknown_node_is_refused_in_words)
{
	static const int32_t unknown[] = { 1000, 1024, INT32_MAX };

	NEEDS_NODES(some_node(self->device));
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		self->config.node = unknown[i];
		EXPECT_EQ(-EINVAL, CREATE()) TH_LOG("node %d", unknown[i]);
		EXPECT_EQ(NULL, self->r);
		SAYS("node");
	}
}

TEST_F(region, a_negative_node_that_means_nothing_is_refused)
{
	self->config.node = -4;
	EXPECT_EQ(-EINVAL, CREATE());
	SAYS("node");
	self->config.node = INT32_MIN;
	EXPECT_EQ(-EINVAL, CREATE());
}

TEST_F(region, a_pci_address_must_be_one_and_be_there)
{
	static const char *const bad[] = {
		NULL, "", "nonsense", "ffff:ff:1f.7", "../../../etc",
		"..", "0000:00:00.0/../0000:00:00.0",
		"00000000000000000000000000000000000000000000:00.0",
	};

	self->config.node = PINRING_NODE_PCI;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		self->config.pci = bad[i];
		EXPECT_EQ(-EINVAL, CREATE())
			TH_LOG("pci %s", bad[i] ? bad[i] : "NULL");
		SAYS("pci");
	}
}

TEST_F(region, near_a_pci_device_that_is_there)
{
	struct pinring_region_info info;
	DIR *d = opendir("/sys/bus/pci/devices");
	struct dirent *e = NULL;
	char path[300];
	long node;

	while (d && (e = readdir(d)) && e->d_name[0] == '.')
		;
	if (!e)
		SKIP(return, "this machine has no PCI devices");
	NEEDS_NODES(some_node(self->device));
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/numa_node", e->d_name);
	node = read_number(path);
	self->config.node = PINRING_NODE_PCI;
	self->config.pci = e->d_name;
	ASSERT_EQ(0, CREATE());
	info = info_of(self->r);
	if (node >= 0) {
		EXPECT_EQ(node, info.node);
	} else {
		EXPECT_TRUE(strstr(info.reason, e->d_name) != NULL)
			TH_LOG("reason: %s", info.reason);
	}
	closedir(d);
}

/* -------------------------------------------------------------- refusals */

TEST_F(region, absurd_sizes_are_refused)
{
	static const struct {
		uint64_t size;
		int rc;
	} sizes[] = {
		{ 0, -EINVAL },
		{ (1ull << 48) + 1, -EINVAL },
		{ 1ull << 63, -EINVAL },
		{ UINT64_MAX, -EINVAL },
		{ 1ull << 48, -ENOMEM }, /* no machine has that */
		{ 1ull << 47, -ENOMEM },
	};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		self->config.size = sizes[i].size;
		EXPECT_EQ(sizes[i].rc, CREATE())
			TH_LOG("size %#llx", (unsigned long long)sizes[i].size);
		EXPECT_EQ(NULL, self->r);
		SAYS("size");
	}
}

TEST_F(region, each_unknown_flag_is_refused)
{
	for (int bit = 3; bit < 32; bit++) {
		self->config.flags = 1u << bit;
		EXPECT_EQ(-EINVAL, CREATE()) TH_LOG("flag bit %d", bit);
		SAYS("flags");
	}
}

TEST_F(region, a_name_the_kernel_will_not_take_is_refused_by_name)
{
	char name[300];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	self->config.name = name;
	EXPECT_EQ(-EINVAL, CREATE());
	SAYS("name");
	self->config.name = "for-people";
	ASSERT_EQ(0, CREATE());
}

TEST_F(region, a_config_without_its_size_is_refused)
{
	static const uint64_t sizes[] = { 0, 1, 7, 4097, UINT64_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		self->config.struct_size = sizes[i];
		EXPECT_EQ(-EINVAL, CREATE());
		SAYS("struct_size");
	}
}

/* What an older program does not set means the default: any node. */
TEST_F(region, a_shorter_config_leaves_the_rest_at_its_default)
{
	const struct pinring_region_header *h;

	self->config.struct_size = offsetof(struct pinring_region_config, name);
	self->config.name = (const char *)1; /* not to be looked at */
	self->config.flags = ~0u;
	ASSERT_EQ(0, CREATE());
	h = pinring_region_base(self->r);
	EXPECT_EQ(PINRING_NODE_ANY, h->node);
}

TEST_F(region, a_longer_config_must_be_zero_where_we_do_not_know_it)
{
	struct {
		struct pinring_region_config config;
		unsigned char more[24];
	} newer = { .config = self->config };

	newer.config.struct_size = sizeof(newer);
	ASSERT_EQ(0, pinring_region_create(self->device, &newer.config, &self->r));
	pinring_region_close(self->r);
	for (size_t i = 0; i < sizeof(newer.more); i++) {
		memset(newer.more, 0, sizeof(newer.more));
		newer.more[i] = 1;
		EXPECT_EQ(-E2BIG, pinring_region_create(self->device, &newer.config,
							&self->r));
		EXPECT_EQ(NULL, self->r);
	}
}

TEST_F(region, at_stays_inside)
{
	unsigned char *base;
	uint64_t size;

	ASSERT_EQ(0, CREATE());
	base = pinring_region_base(self->r);
	size = pinring_region_size(self->r);
	EXPECT_EQ((void *)base, pinring_region_at(self->r, 0, size));
	EXPECT_EQ((void *)(base + 100), pinring_region_at(self->r, 100, size - 100));
	EXPECT_EQ((void *)(base + size), pinring_region_at(self->r, size, 0));
	EXPECT_EQ(NULL, pinring_region_at(self->r, 0, size + 1));
	EXPECT_EQ(NULL, pinring_region_at(self->r, 100, size - 99));
	EXPECT_EQ(NULL, pinring_region_at(self->r, size + 1, 0));
	EXPECT_EQ(NULL, pinring_region_at(self->r, 100, UINT64_MAX));
	EXPECT_EQ(NULL, pinring_region_at(self->r, UINT64_MAX, 2));
}

/* Maps and looks whether it is all there, until *over. */
struct neighbour {
	pthread_t thread;
	bool over; /* written by the test, relaxed: nothing goes with it */
	unsigned long rounds, lost; /* written by the thread; read after it is joined */
};

static void *maps_beside(void *arg)
{
	struct neighbour *n = arg;
	unsigned char present[HUGE_PAGE / 4096];
	void *map[8];

	while (!__atomic_load_n(&n->over, __ATOMIC_RELAXED)) {
		for (size_t i = 0; i < ARRAY_SIZE(map); i++)
			map[i] = mmap(NULL, HUGE_PAGE, PROT_READ,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		for (size_t i = 0; i < ARRAY_SIZE(map); i++) {
			n->lost += mincore(map[i], HUGE_PAGE, present) != 0;
			munmap(map[i], HUGE_PAGE);
		}
		n->rounds++;
	}
	return NULL;
}

/* Also where there are no hugetlb pages, which is known when they cannot be mapped. */
TEST_F(region, creating_one_unmaps_nothing_of_another_thread)
{
	const int rounds = on_module(self->device) ? 100 : SANITIZED ? 1000 : 5000;
	struct neighbour n = { .over = false };

	ASSERT_EQ(0, pthread_create(&n.thread, NULL, maps_beside, &n));
	for (int i = 0; i < rounds; i++) {
		ASSERT_EQ(0, CREATE());
		pinring_region_close(self->r);
		self->r = NULL;
	}
	__atomic_store_n(&n.over, true, __ATOMIC_RELAXED);
	pthread_join(n.thread, NULL);
	EXPECT_GT(n.rounds, 0);
	EXPECT_EQ(0, n.lost);
}

/* ------------------------------------------------------------------ errors */

static void *fails_elsewhere(void *device)
{
	struct pinring_region_config config = pinring_region_defaults(0);
	struct pinring_region *r;

	pinring_region_create(device, &config, &r);
	return says("size") ? device : NULL;
}

TEST_F(region, the_sentence_belongs_to_its_thread)
{
	char before[256];
	pthread_t thread;
	void *said;

	self->config.flags = 1u << 31;
	EXPECT_EQ(-EINVAL, CREATE());
	snprintf(before, sizeof(before), "%s", pinring_error());
	ASSERT_EQ(0, pthread_create(&thread, NULL, fails_elsewhere, self->device));
	ASSERT_EQ(0, pthread_join(thread, &said));
	EXPECT_NE(NULL, said);
	EXPECT_STREQ(before, pinring_error());
}

#define LEAVES_ERRNO(call)                                  \
	do {                                                \
		errno = 4242;                               \
		(void)(call);                               \
		EXPECT_EQ(4242, errno) TH_LOG("%s", #call); \
	} while (0)

TEST_F(region, no_call_touches_errno)
{
	struct pinring_region_info info = PINRING_INIT(struct pinring_region_info);
	struct pinring_region *other = NULL;
	struct pinring_object_info o;
	int sockets[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	LEAVES_ERRNO(CREATE());
	ASSERT_NE(NULL, self->r);
	LEAVES_ERRNO(pinring_region_info(self->r, &info));
	LEAVES_ERRNO(pinring_object_create(self->r, "a", PINRING_OBJECT_BYTES, 1, 0, &o));
	LEAVES_ERRNO(pinring_object_create(self->r, "a", PINRING_OBJECT_BYTES, 1, 0, &o));
	LEAVES_ERRNO(pinring_object_create(self->r, "b", PINRING_OBJECT_BYTES, MIB, 0, &o));
	LEAVES_ERRNO(pinring_object_find(self->r, "b", &o));
	LEAVES_ERRNO(pinring_object_list(self->r, 9, &o));
	LEAVES_ERRNO(pinring_region_attach(self->device, pinring_region_fd(self->r), &other));
	LEAVES_ERRNO(pinring_region_close(other));
	LEAVES_ERRNO(pinring_region_attach(self->device, -1, &other));
	LEAVES_ERRNO(pinring_region_attach(self->device, sockets[0], &other));
	LEAVES_ERRNO(pinring_region_send(self->r, sockets[0]));
	LEAVES_ERRNO(pinring_region_receive(self->device, sockets[1], &other));
	LEAVES_ERRNO(pinring_region_close(other));
	close(sockets[0]);
	LEAVES_ERRNO(pinring_region_send(self->r, sockets[1]));
	LEAVES_ERRNO(pinring_region_receive(self->device, sockets[1], &other));
	LEAVES_ERRNO(pinring_region_receive(self->device, -1, &other));
	close(sockets[1]);
	self->config.node = 1000;
	LEAVES_ERRNO(pinring_region_create(self->device, &self->config, &other));
	self->config.node = PINRING_NODE_PCI;
	LEAVES_ERRNO(pinring_region_create(self->device, &self->config, &other));
	self->config = pinring_region_defaults(1ull << 47);
	LEAVES_ERRNO(pinring_region_create(self->device, &self->config, &other));
	LEAVES_ERRNO(pinring_region_close(NULL));
	LEAVES_ERRNO(pinring_device_close(NULL));
}

TEST_HARNESS_MAIN
