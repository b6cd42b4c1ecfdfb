// SPDX-License-Identifier: MIT
/*
 * Regions as their users know them: what can be created, what is refused and
 * with which words, named objects, and sharing with another process.
 */
#include <kselftest_harness.h>

#include <dirent.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "backend.h"
#include "take_cpu.h"

#include <pinring/pinring.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define MIB (1ull << 20)
#define HUGE_PAGE (2 * MIB)
#define DIRECTORY_BYTES 8192ull

/* Open descriptors of this process. */
static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = -1; /* its own */

	while (readdir(d))
		n++;
	closedir(d);
	return n - 2; /* . and .. */
}

/* Pages of address space that memfds take in this process, in KiB. */
static long memfd_kb(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned long low, high, sum = 0;
	char line[512];

	while (fgets(line, sizeof(line), f))
		if ((strstr(line, "/memfd:") || strstr(line, "/pinring:")) &&
		    sscanf(line, "%lx-%lx", &low, &high) == 2)
			sum += high - low;
	fclose(f);
	return (long)(sum / 1024);
}

/* All address space of this process, in pages. */
static long address_space(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	long pages = 0;

	if (fscanf(f, "%ld", &pages) != 1)
		pages = -1;
	fclose(f);
	return pages;
}

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

static bool says(const char *word)
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

static struct pinring_region_info info_of(const struct pinring_region *r)
{
	struct pinring_region_info info = PINRING_INIT(struct pinring_region_info);

	if (pinring_region_info(r, &info))
		memset(&info, 0, sizeof(info));
	return info;
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

/* ------------------------------------------------------------------ errors */

struct log {
	int lines;
	enum pinring_log_level level;
	char text[256];
};

static void keep_log(void *arg, enum pinring_log_level level, const char *text)
{
	struct log *log = arg;

	log->lines++;
	log->level = level;
	snprintf(log->text, sizeof(log->text), "%s", text);
}

TEST(the_log_gets_the_sentence_of_every_failure_but_not_yet)
{
	struct pinring_device_config config = PINRING_INIT(struct pinring_device_config);
	struct pinring_region_config bad = pinring_region_defaults(0);
	struct pinring_region_config good = pinring_region_defaults(1);
	struct pinring_object_info o;
	struct pinring_region *r;
	struct pinring_device *d;
	struct log log = { 0 };
	int lines;

	config.log = keep_log;
	config.log_arg = &log;
	ASSERT_EQ(0, pinring_device_open(&config, &d));
	EXPECT_EQ(PINRING_LOG_INFO, log.level);
	lines = log.lines;
	EXPECT_EQ(-EINVAL, pinring_region_create(d, &bad, &r));
	EXPECT_EQ(lines + 1, log.lines);
	EXPECT_EQ(PINRING_LOG_ERROR, log.level);
	EXPECT_STREQ(pinring_error(), log.text);
	EXPECT_EQ(NULL, strchr(log.text, '\n'));
	ASSERT_EQ(0, pinring_region_create(d, &good, &r));
	EXPECT_EQ(lines + 1, log.lines);
	EXPECT_EQ(-ENOENT, pinring_object_find(r, "nobody", &o));
	EXPECT_TRUE(strstr(log.text, "nobody") != NULL);
	pinring_region_close(r);
	pinring_device_close(d);
}

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

/* ----------------------------------------------------------------- objects */

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

/* FNV-1a, as pinring_layout.h has it. */
static uint64_t fnv(const void *data, size_t size)
{
	const unsigned char *p = data;
	uint64_t hash = 0xcbf29ce484222325ull;

	while (size--)
		hash = (hash ^ *p++) * 0x100000001b3ull;
	return hash;
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

/* ----------------------------------------------------------------- sharing */

TEST_F(region, attach_maps_the_same_memory_and_keeps_its_own_descriptor)
{
	struct pinring_region *other;
	unsigned char *a, *b;
	int fd;

	ASSERT_EQ(0, CREATE());
	fd = dup(pinring_region_fd(self->r));
	ASSERT_EQ(0, pinring_region_attach(self->device, fd, &other));
	EXPECT_NE(fd, pinring_region_fd(other));
	EXPECT_EQ(0, close(fd)); /* still the caller's */
	EXPECT_LE(0, fcntl(pinring_region_fd(other), F_GETFD));
	EXPECT_EQ(FD_CLOEXEC, fcntl(pinring_region_fd(other), F_GETFD));
	EXPECT_EQ(FD_CLOEXEC, fcntl(pinring_region_fd(self->r), F_GETFD));
	EXPECT_EQ(pinring_region_size(self->r), pinring_region_size(other));
	a = pinring_region_at(self->r, DIRECTORY_BYTES, 1);
	b = pinring_region_at(other, DIRECTORY_BYTES, 1);
	EXPECT_NE((void *)a, (void *)b);
	*a = 17;
	EXPECT_EQ(17, *b);
	pinring_region_close(self->r);
	self->r = NULL;
	EXPECT_EQ(17, *b); /* outlives its maker */
	*b = 18;
	EXPECT_EQ(18, *b);
	pinring_region_close(other);
}

TEST_F(region, nobody_can_shrink_it_under_its_users)
{
	/* The module's have no size to set and know no seals. */
	int refusal = on_module(self->device) ? EINVAL : EPERM;
	int fd;

	ASSERT_EQ(0, CREATE());
	fd = pinring_region_fd(self->r);
	/* To nothing: a multiple of whatever page it is made of. */
	EXPECT_EQ(-1, ftruncate(fd, 0));
	EXPECT_EQ(refusal, errno);
	EXPECT_EQ(-1, ftruncate(fd, 64 << 20));
	/* And no further seal can lock others out. */
	EXPECT_EQ(-1, fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
	EXPECT_EQ(refusal, errno);
}

static void fill(unsigned char *data, size_t n, unsigned char salt)
{
	for (size_t i = 0; i < n; i++)
		data[i] = (unsigned char)(i * 31 + salt);
}

static bool filled(const unsigned char *data, size_t n, unsigned char salt)
{
	for (size_t i = 0; i < n; i++)
		if (data[i] != (unsigned char)(i * 31 + salt))
			return false;
	return true;
}

/* Takes a region from the socket, reads the request, writes the reply. */
static int answer(struct pinring_device *device, int socket)
{
	struct pinring_object_info in, out;
	struct pinring_region *r;

	if (pinring_region_receive(device, socket, &r))
		return 10;
	if (pinring_object_find(r, "request", &in))
		return 11;
	if (!filled(pinring_region_at(r, in.offset, in.length), in.length, 1))
		return 12;
	if (pinring_object_create(r, "reply", PINRING_OBJECT_BYTES, in.length, 0, &out))
		return 13;
	fill(pinring_region_at(r, out.offset, out.length), out.length, 2);
	pinring_region_close(r);
	return 0;
}

/* And the other side of it. */
static int ask(struct pinring_device *device, int socket)
{
	struct pinring_region_config config = pinring_region_defaults(MIB);
	struct pinring_object_info o;
	struct pinring_region *r;
	char done;

	if (pinring_region_create(device, &config, &r))
		return 20;
	if (pinring_object_create(r, "request", PINRING_OBJECT_BYTES, 300000, 0, &o))
		return 21;
	fill(pinring_region_at(r, o.offset, o.length), o.length, 1);
	if (pinring_region_send(r, socket))
		return 22;
	if (read(socket, &done, 1) != 1)
		return 23;
	if (pinring_object_find(r, "reply", &o))
		return 24;
	if (!filled(pinring_region_at(r, o.offset, o.length), o.length, 2))
		return 25;
	pinring_region_close(r);
	return 0;
}

TEST_F(region, contents_travel_both_ways_between_processes)
{
	int sockets[2], status;
	pid_t pid;

	/* The parent asks, then the child does. */
	for (int parent_asks = 1; parent_asks >= 0; parent_asks--) {
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			int rc = parent_asks ? answer(self->device, sockets[1]) :
					       ask(self->device, sockets[1]);

			if (parent_asks && !rc && write(sockets[1], "d", 1) != 1)
				rc = 30;
			_exit(rc);
		}
		if (parent_asks) {
			EXPECT_EQ(0, ask(self->device, sockets[0]));
		} else {
			EXPECT_EQ(0, answer(self->device, sockets[0]));
			EXPECT_EQ(1, write(sockets[0], "d", 1));
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(0, WEXITSTATUS(status));
		EXPECT_TRUE(WIFEXITED(status));
		close(sockets[0]);
		close(sockets[1]);
	}
}

TEST_F(region, receive_from_a_closed_socket_is_epipe)
{
	int sockets[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	close(sockets[0]);
	EXPECT_EQ(-EPIPE, pinring_region_receive(self->device, sockets[1], &self->r));
	EXPECT_EQ(NULL, self->r);
	SAYS("closed");
	ASSERT_EQ(0, CREATE());
	EXPECT_EQ(-EPIPE, pinring_region_send(self->r, sockets[1])); /* no SIGPIPE */
	close(sockets[1]);
	EXPECT_EQ(-EBADF, pinring_region_send(self->r, sockets[1]));
}

TEST_F(region, a_message_without_a_descriptor_is_refused)
{
	int sockets[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	ASSERT_EQ(1, write(sockets[0], "R", 1));
	EXPECT_EQ(-EINVAL, pinring_region_receive(self->device, sockets[1], &self->r));
	EXPECT_EQ(NULL, self->r);
	SAYS("message");
	close(sockets[0]);
	close(sockets[1]);
}

/* What a peer might send: `bytes` of text and n times fd. */
static int send_fds(int socket, size_t bytes, int fd, size_t n)
{
	char control[CMSG_SPACE(64 * sizeof(int))] = { 0 }, text[16] = "RRRR";
	struct iovec iov = { .iov_base = text, .iov_len = bytes };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = CMSG_SPACE(n * sizeof(int)),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	for (size_t i = 0; i < n; i++)
		memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(fd));
	return sendmsg(socket, &msg, MSG_NOSIGNAL) == (ssize_t)bytes ? 0 : -errno;
}

TEST_F(region, descriptors_nobody_asked_for_are_closed)
{
	static const size_t counts[] = { 1, 2, 3, 8, 9, 40 };
	struct pinring_region *other;
	int sockets[2], before;

	ASSERT_EQ(0, CREATE());
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets));
	before = count_fds();
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		/* A region, several times over: one is kept. */
		ASSERT_EQ(0, send_fds(sockets[0], 1, pinring_region_fd(self->r),
				      counts[i]));
		ASSERT_EQ(0, pinring_region_receive(self->device, sockets[1], &other));
		EXPECT_EQ(before + 1, count_fds()) TH_LOG("%zu sent", counts[i]);
		pinring_region_close(other);
		/* Something else: none is. */
		ASSERT_EQ(0, send_fds(sockets[0], 1, STDIN_FILENO, counts[i]));
		EXPECT_EQ(-EINVAL, pinring_region_receive(self->device, sockets[1],
							  &other));
		EXPECT_EQ(before, count_fds()) TH_LOG("%zu sent", counts[i]);
	}
	close(sockets[0]);
	close(sockets[1]);
}

TEST_F(region, descriptors_in_an_empty_message_are_closed)
{
	static const int types[] = { SOCK_SEQPACKET, SOCK_DGRAM };
	struct pinring_region *other;
	int sockets[2], before;

	ASSERT_EQ(0, CREATE());
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		ASSERT_EQ(0, socketpair(AF_UNIX, types[i], 0, sockets));
		before = count_fds();
		ASSERT_EQ(0, send_fds(sockets[0], 0, STDIN_FILENO, 3));
		EXPECT_GT(0, pinring_region_receive(self->device, sockets[1], &other));
		EXPECT_EQ(before, count_fds()) TH_LOG("socket type %d", types[i]);
		close(sockets[0]);
		close(sockets[1]);
	}
}

static int make_memfd(uint64_t size, int seals, const void *header)
{
	int fd = memfd_create("test", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	if (header && write(fd, header, 8192) != 8192)
		return -1;
	if (ftruncate(fd, (off_t)size) || fcntl(fd, F_ADD_SEALS, seals))
		return -1;
	return fd;
}

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

/* The header of r, made to claim another size, with its seal put right. */
static void forge(const struct pinring_region *r, uint64_t size, void *header)
{
	struct pinring_region_header *h = header;

	memcpy(header, pinring_region_base(r), DIRECTORY_BYTES);
	h->size = size;
	h->seal = fnv(h, 120);
}

TEST_F(region, attach_refuses_what_is_no_region)
{
	static unsigned char header[8192] PINRING_ALIGNED(128);
	struct pinring_region *other = (void *)self;
	int pipes[2], file, fd, before;
	long kb;

	ASSERT_EQ(0, CREATE());
	ASSERT_EQ(0, pipe(pipes));
	file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	before = count_fds();
	kb = memfd_kb();

	EXPECT_EQ(-EBADF, pinring_region_attach(self->device, -1, &other));
	EXPECT_EQ(NULL, other);
	EXPECT_EQ(-EBADF, pinring_region_attach(self->device, 1000000, &other));
	SAYS("1000000");
	EXPECT_EQ(-EINVAL, pinring_region_attach(self->device, pipes[0], &other));
	EXPECT_EQ(-EINVAL, pinring_region_attach(self->device, file, &other));
	SAYS("sealed");

	forge(self->r, MIB, header);
	/* The forgery itself is good: */
	fd = make_memfd(MIB, SEALS, header);
	EXPECT_EQ(0, pinring_region_attach(self->device, fd, &other));
	pinring_region_close(other);
	close(fd);
	/* but not unsealed, */
	fd = make_memfd(MIB, 0, header);
	EXPECT_EQ(-EINVAL, pinring_region_attach(self->device, fd, &other));
	close(fd);
	fd = make_memfd(MIB, F_SEAL_GROW, header);
	EXPECT_EQ(-EINVAL, pinring_region_attach(self->device, fd, &other));
	close(fd);
	/* of another size than it says, or empty. */
	fd = make_memfd(MIB + 4096, SEALS, header);
	EXPECT_EQ(-EINVAL, pinring_region_attach(self->device, fd, &other));
	close(fd);
	fd = make_memfd(MIB, SEALS, NULL);
	EXPECT_EQ(-EINVAL, pinring_region_attach(self->device, fd, &other));
	SAYS("magic");
	close(fd);
	EXPECT_EQ(NULL, other);

	EXPECT_EQ(before, count_fds());
	EXPECT_EQ(kb, memfd_kb());
	close(pipes[0]);
	close(pipes[1]);
	close(file);
}

/* Even when the header says the same: a mapping has whole pages. */
TEST_F(region, attach_refuses_sizes_that_no_region_has)
{
	static const uint64_t sizes[] = { 0, 1, 256, 4096, 8191, 8193, 10000,
					  MIB - 1, MIB + 64 };
	static unsigned char header[8192] PINRING_ALIGNED(128);
	struct pinring_region *other;

	ASSERT_EQ(0, CREATE());
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		int fd;

		forge(self->r, sizes[i], header);
		fd = make_memfd(sizes[i], SEALS, header);
		ASSERT_LE(0, fd);
		EXPECT_EQ(-EINVAL, pinring_region_attach(self->device, fd, &other))
			TH_LOG("size %llu", (unsigned long long)sizes[i]);
		pinring_region_close(other);
		close(fd);
	}
}

/* A peer may hand over a descriptor that gives less than we need. */
TEST_F(region, attach_refuses_what_it_may_not_write)
{
	static unsigned char header[8192] PINRING_ALIGNED(128);
	struct pinring_region *other;
	char path[40];
	int fd;

	ASSERT_EQ(0, CREATE());
	snprintf(path, sizeof(path), "/proc/self/fd/%d", pinring_region_fd(self->r));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	/* The module gives read-only ones by an ioctl only (kmod/mapping.c). */
	EXPECT_EQ(on_module(self->device), fd < 0);
	EXPECT_GT(0, pinring_region_attach(self->device, fd, &other));
	EXPECT_EQ(NULL, other);
	close(fd);
	forge(self->r, MIB, header);
	fd = make_memfd(MIB, SEALS | F_SEAL_WRITE, header);
	EXPECT_GT(0, pinring_region_attach(self->device, fd, &other));
	EXPECT_EQ(NULL, other);
	close(fd);
}

/* -------------------------------------------------------------- life times */

TEST_F(region, the_device_may_be_closed_first)
{
	struct pinring_region_info info;

	ASSERT_EQ(0, CREATE());
	pinring_device_close(self->device);
	self->device = NULL;
	info = info_of(self->r);
	EXPECT_EQ(pinring_region_size(self->r), info.size);
	*(char *)pinring_region_at(self->r, DIRECTORY_BYTES, 1) = 1;
	EXPECT_EQ(-EINVAL, pinring_object_create(self->r, "", 1, 1, 0, NULL));
}

TEST_F(region, handles_keep_the_mapping_until_the_last_is_closed)
{
	struct pinring_spsc_producer p;
	struct pinring_spsc_consumer c;
	struct pinring_doorbell *bell;
	int fds = count_fds() - on_module(self->device); /* the device's own */
	long kb = memfd_kb();
	uint64_t item = 0;

	ASSERT_EQ(0, CREATE());
	ASSERT_EQ(0, pinring_spsc_create(self->r, "ring", 8, 8));
	ASSERT_EQ(0, pinring_spsc_producer_open(self->r, "ring", &p));
	ASSERT_EQ(0, pinring_spsc_consumer_open(self->r, "ring", &c));
	ASSERT_EQ(0, pinring_doorbell_create(self->r, "bell", &bell));
	pinring_region_close(self->r);
	self->r = NULL;
	pinring_device_close(self->device);
	self->device = NULL;
	EXPECT_EQ(0, pinring_spsc_push_u64(&p, 5));
	EXPECT_EQ(0, pinring_spsc_pop_u64(&c, &item));
	EXPECT_EQ(5u, item);
	pinring_spsc_producer_close(&p);
	pinring_doorbell_ring(bell);
	EXPECT_EQ(1u, pinring_doorbell_sequence(bell));
	pinring_doorbell_close(bell);
	EXPECT_LT(kb, memfd_kb());
	pinring_spsc_consumer_close(&c);
	EXPECT_EQ(kb, memfd_kb());
	EXPECT_EQ(fds, count_fds());
}

/* Everything that can go wrong once, with nothing to show for it after. */
static void provoke_errors(struct pinring_device *device, struct pinring_region *r)
{
	static unsigned char header[8192] PINRING_ALIGNED(128);
	struct pinring_region_config config;
	struct pinring_region *other;
	int fd, sockets[2];

	config = pinring_region_defaults(0);
	pinring_region_create(device, &config, &other);
	config = pinring_region_defaults(1ull << 47);
	pinring_region_create(device, &config, &other);
	config = pinring_region_defaults(MIB);
	config.node = 1000;
	pinring_region_create(device, &config, &other);
	config.node = PINRING_NODE_PCI;
	config.pci = "ffff:ff:1f.7";
	pinring_region_create(device, &config, &other);
	config.struct_size = 0;
	pinring_region_create(device, &config, &other);

	pinring_region_attach(device, -1, &other);
	pinring_region_attach(device, STDIN_FILENO, &other);
	forge(r, MIB, header);
	header[sizeof(struct pinring_region_header)] = 1; /* a damaged directory */
	fd = make_memfd(MIB, SEALS, header);
	pinring_region_attach(device, fd, &other);
	close(fd);
	fd = make_memfd(MIB, SEALS, NULL); /* no header */
	pinring_region_attach(device, fd, &other);
	close(fd);
	forge(r, 10000, header); /* an odd size */
	fd = make_memfd(10000, SEALS, header);
	pinring_region_attach(device, fd, &other);
	pinring_region_close(other);
	close(fd);

	socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets);
	send_fds(sockets[0], 1, STDIN_FILENO, 5);
	pinring_region_receive(device, sockets[1], &other);
	close(sockets[0]);
	pinring_region_receive(device, sockets[1], &other);
	close(sockets[1]);
	pinring_object_create(r, "", 1, 1, 0, NULL);
	pinring_object_create(r, "o", 1, UINT64_MAX, 0, NULL);
}

TEST_F(region, no_error_leaks_a_descriptor_or_a_mapping)
{
	long kb, pages;
	int fds;

	ASSERT_EQ(0, CREATE());
	provoke_errors(self->device, self->r);
	fds = count_fds();
	kb = memfd_kb();
	pages = address_space();
	for (int i = 0; i < 200; i++)
		provoke_errors(self->device, self->r);
	EXPECT_EQ(fds, count_fds());
	EXPECT_EQ(kb, memfd_kb());
	if (!SANITIZED) { /* they keep memory of their own */
		EXPECT_EQ(pages, address_space());
	}
}

TEST_F(region, a_thousand_regions_leave_nothing_behind)
{
	struct pinring_object_info o;
	struct pinring_region *other;
	long kb, pages = 0;
	int fds;

	fds = count_fds();
	kb = memfd_kb();
	for (int i = 0; i < 1000; i++) {
		self->config.flags = i % 2 ? PINRING_REGION_SMALL_PAGES : 0;
		self->config.size = i % 3 ? 4096 : MIB;
		ASSERT_EQ(0, CREATE());
		OBJECT("o", 100);
		ASSERT_EQ(0, pinring_region_attach(self->device,
						   pinring_region_fd(self->r), &other));
		pinring_region_close(i % 2 ? other : self->r);
		pinring_region_close(i % 2 ? self->r : other);
		self->r = NULL;
		if (i == 0)
			pages = address_space();
	}
	EXPECT_EQ(fds, count_fds());
	EXPECT_EQ(kb, memfd_kb());
	if (!SANITIZED) {
		EXPECT_EQ(pages, address_space());
	}
}

TEST_F(region, out_of_descriptors_is_said_and_survived)
{
	struct rlimit old, few;
	struct pinring_region *other;
	struct pinring_doorbell *bell;
	int fds, spare[64], n = 0;

	ASSERT_EQ(0, CREATE());
	fds = count_fds();
	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	few.rlim_cur = (rlim_t)fds + 1;
	setrlimit(RLIMIT_NOFILE, &few);
	while (n < 64 && (spare[n] = dup(STDIN_FILENO)) >= 0)
		n++;
	EXPECT_EQ(-EMFILE, pinring_region_create(self->device, &self->config, &other));
	EXPECT_STRNE("", pinring_error());
	EXPECT_EQ(NULL, other);
	EXPECT_EQ(-EMFILE, pinring_region_attach(self->device,
						 pinring_region_fd(self->r), &other));
	EXPECT_EQ(-EMFILE, pinring_doorbell_create(self->r, "bell", &bell));
	while (n)
		close(spare[--n]);
	setrlimit(RLIMIT_NOFILE, &old);
	EXPECT_EQ(fds, count_fds());
	EXPECT_EQ(0, pinring_doorbell_create(self->r, "bell", &bell));
	pinring_doorbell_close(bell);
}

TEST_F(region, out_of_address_space_is_said_and_survived)
{
	struct rlimit old, little;
	struct pinring_region *other;
	int fds;
	long kb;

	if (SANITIZED)
		SKIP(return, "a sanitizer needs the address space itself");
	self->config.size = 16 * MIB;
	ASSERT_EQ(0, CREATE());
	fds = count_fds();
	kb = memfd_kb();
	getrlimit(RLIMIT_AS, &old);
	little = old;
	little.rlim_cur = (rlim_t)address_space() * 4096 + MIB;
	setrlimit(RLIMIT_AS, &little);
	EXPECT_EQ(-ENOMEM, pinring_region_create(self->device, &self->config, &other));
	EXPECT_STRNE("", pinring_error());
	EXPECT_EQ(-ENOMEM, pinring_region_attach(self->device,
						 pinring_region_fd(self->r), &other));
	setrlimit(RLIMIT_AS, &old);
	EXPECT_EQ(fds, count_fds());
	EXPECT_EQ(kb, memfd_kb());
}

TEST(a_device_config_follows_the_same_rules_as_any_struct)
{
	struct {
		struct pinring_device_config config;
		uint64_t more;
	} newer = { .config = PINRING_INIT(struct pinring_device_config) };
	struct pinring_device *d;

	newer.config.struct_size = 0;
	EXPECT_EQ(-EINVAL, pinring_device_open(&newer.config, &d));
	EXPECT_EQ(NULL, d);
	newer.config.struct_size = sizeof(newer);
	newer.more = 1;
	EXPECT_EQ(-E2BIG, pinring_device_open(&newer.config, &d));
	newer.more = 0;
	ASSERT_EQ(0, pinring_device_open(&newer.config, &d));
	EXPECT_EQ(on_module(d), !*pinring_device_reason(d));
	EXPECT_STRNE("", pinring_version());
	pinring_device_close(d);
}

TEST(a_device_is_of_the_backend_that_was_asked_for)
{
	struct pinring_device_config config = PINRING_INIT(struct pinring_device_config);
	struct pinring_device *d;
	bool module;

	ASSERT_EQ(0, pinring_device_open(NULL, &d));
	module = on_module(d);
	pinring_device_close(d);
	config.backend = PINRING_BACKEND_EMBEDDED;
	ASSERT_EQ(0, pinring_device_open(&config, &d));
	EXPECT_EQ(PINRING_BACKEND_EMBEDDED, pinring_device_backend(d));
	EXPECT_STRNE("", pinring_device_reason(d));
	pinring_device_close(d);
	config.backend = PINRING_BACKEND_MODULE;
	EXPECT_EQ(module ? 0 : -ENODEV, pinring_device_open(&config, &d));
	pinring_device_close(d);
	config.backend = PINRING_BACKEND_MODULE + 1;
	EXPECT_EQ(-EINVAL, pinring_device_open(&config, &d));
	EXPECT_EQ(NULL, d);
}

/* Whoever has a region's descriptor can attach, by whichever backend he has. */
TEST_F(region, one_backends_region_is_attached_by_the_other)
{
	struct pinring_device_config config = PINRING_INIT(struct pinring_device_config);
	struct pinring_device *embedded;
	struct pinring_region *other;

	config.backend = PINRING_BACKEND_EMBEDDED;
	ASSERT_EQ(0, CREATE());
	ASSERT_EQ(0, pinring_device_open(&config, &embedded));
	ASSERT_EQ(0, pinring_region_attach(embedded, pinring_region_fd(self->r), &other));
	EXPECT_EQ(info_of(self->r).backend, info_of(other).backend);
	pinring_region_close(other);
	ASSERT_EQ(0, pinring_region_create(embedded, &self->config, &other));
	pinring_region_close(self->r);
	ASSERT_EQ(0, pinring_region_attach(self->device, pinring_region_fd(other), &self->r));
	EXPECT_EQ((uint32_t)PINRING_BACKEND_EMBEDDED, info_of(self->r).backend);
	pinring_region_close(other);
	pinring_device_close(embedded);
}

TEST_HARNESS_MAIN
