// SPDX-License-Identifier: MIT
/* abi.c - sizes, flags and reserved fields of every ioctl, by a hostile caller. */
#include "kmod.h"

#include <kselftest_harness.h>

#define FIRST_VERSION(type, last) \
	(offsetof(struct type, last) + sizeof(((struct type *)0)->last))

/* Every ioctl there is: an argument that works, and what is in it. */
FIXTURE(abi) {
	int device, region, bell, eventfd, fd;
	unsigned char *page; /* the argument's, with nothing behind it */
	void *shared; /* memory that can be adopted */
	unsigned char arg[256];
};

FIXTURE_VARIANT(abi) {
	unsigned long cmd;
	uint32_t size;
	uint32_t min_size;
	enum { ON_REGION, ON_DEVICE, ON_BELL } on;
	uint32_t bad_flag;
	uint32_t reserved; /* an offset; 0: there is none */
	uint32_t fd; /* an offset; 0: it makes none */
	bool silent; /* it answers with nothing but its result */
};

FIXTURE_VARIANT_ADD(abi, info) {
	.cmd = PINRING_IOC_INFO,
	.size = sizeof(struct pinring_ioc_info),
	.min_size = FIRST_VERSION(pinring_ioc_info, huge_page_bytes),
	.on = ON_DEVICE,
	.bad_flag = 1,
	.reserved = offsetof(struct pinring_ioc_info, reserved),
};

FIXTURE_VARIANT_ADD(abi, region_create) {
	.cmd = PINRING_IOC_REGION_CREATE,
	.size = sizeof(struct pinring_ioc_region_create),
	.min_size = FIRST_VERSION(pinring_ioc_region_create, name),
	.on = ON_DEVICE,
	.bad_flag = 1u << 31,
	.reserved = offsetof(struct pinring_ioc_region_create, reserved),
	.fd = offsetof(struct pinring_ioc_region_create, fd),
};

FIXTURE_VARIANT_ADD(abi, region_info) {
	.cmd = PINRING_IOC_REGION_INFO,
	.size = sizeof(struct pinring_ioc_region_info),
	.min_size = FIRST_VERSION(pinring_ioc_region_info, name),
	.bad_flag = 1,
	.reserved = offsetof(struct pinring_ioc_region_info, reserved),
};

FIXTURE_VARIANT_ADD(abi, region_next) {
	.cmd = PINRING_IOC_REGION_NEXT,
	.size = sizeof(struct pinring_ioc_region_info),
	.min_size = FIRST_VERSION(pinring_ioc_region_info, name),
	.on = ON_DEVICE,
	.bad_flag = 1,
	.reserved = offsetof(struct pinring_ioc_region_info, reserved),
};

FIXTURE_VARIANT_ADD(abi, region_open) {
	.cmd = PINRING_IOC_REGION_OPEN,
	.size = sizeof(struct pinring_ioc_region_open),
	.min_size = FIRST_VERSION(pinring_ioc_region_open, name),
	.on = ON_DEVICE,
	.bad_flag = 2,
	.fd = offsetof(struct pinring_ioc_region_open, fd),
};

FIXTURE_VARIANT_ADD(abi, region_readonly) {
	.cmd = PINRING_IOC_REGION_READONLY,
	.size = sizeof(struct pinring_ioc_region_readonly),
	.min_size = FIRST_VERSION(pinring_ioc_region_readonly, reserved),
	.bad_flag = 1,
	.reserved = offsetof(struct pinring_ioc_region_readonly, reserved),
	.fd = offsetof(struct pinring_ioc_region_readonly, fd),
};

FIXTURE_VARIANT_ADD(abi, doorbell_create) {
	.cmd = PINRING_IOC_DOORBELL_CREATE,
	.size = sizeof(struct pinring_ioc_doorbell_create),
	.min_size = FIRST_VERSION(pinring_ioc_doorbell_create, fd),
	.bad_flag = 2,
	.fd = offsetof(struct pinring_ioc_doorbell_create, fd),
};

FIXTURE_VARIANT_ADD(abi, doorbell_arm) {
	.cmd = PINRING_IOC_DOORBELL_ARM,
	.size = sizeof(struct pinring_ioc_doorbell_arm),
	.min_size = FIRST_VERSION(pinring_ioc_doorbell_arm, seen),
	.on = ON_BELL,
	.bad_flag = 1,
	.silent = true,
};

FIXTURE_VARIANT_ADD(abi, ring) {
	.cmd = PINRING_IOC_RING,
	.size = sizeof(struct pinring_ioc_ring),
	.min_size = FIRST_VERSION(pinring_ioc_ring, offset),
	.bad_flag = 1,
	.silent = true,
};

FIXTURE_VARIANT_ADD(abi, region_export) {
	.cmd = PINRING_IOC_REGION_EXPORT,
	.size = sizeof(struct pinring_ioc_region_export),
	.min_size = FIRST_VERSION(pinring_ioc_region_export, reserved),
	.bad_flag = PINRING_IOC_EXPORT_READONLY << 1,
	.reserved = offsetof(struct pinring_ioc_region_export, reserved),
	.fd = offsetof(struct pinring_ioc_region_export, fd),
};

FIXTURE_VARIANT_ADD(abi, region_adopt) {
	.cmd = PINRING_IOC_REGION_ADOPT,
	.size = sizeof(struct pinring_ioc_region_adopt),
	.min_size = FIRST_VERSION(pinring_ioc_region_adopt, name),
	.on = ON_DEVICE,
	.bad_flag = PINRING_IOC_ADOPTED,
	.fd = offsetof(struct pinring_ioc_region_adopt, fd),
};

FIXTURE_SETUP(abi)
{
	struct pinring_ioc_region_adopt a = ARG(pinring_ioc_region_adopt);
	struct pinring_ioc_doorbell_create b = ARG(pinring_ioc_doorbell_create);
	struct pinring_ioc_region_create c = ARG(pinring_ioc_region_create);
	struct pinring_ioc_region_open o = ARG(pinring_ioc_region_open);

	self->device = device_open();
	ASSERT_GE(self->device, 0);
	strcpy(o.name, "abi");
	strcpy(c.name, "abi");
	c.size = SMALL;
	c.flags = PINRING_IOC_SMALL_PAGES;
	c.mode = 0600;
	self->region = create(&c);
	ASSERT_GE(self->region, 0);
	self->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ASSERT_GE(self->eventfd, 0);
	b.eventfd = self->eventfd;
	ASSERT_EQ(0, call(self->region, PINRING_IOC_DOORBELL_CREATE, &b));
	self->bell = b.fd;
	self->fd = variant->on == ON_DEVICE ? self->device :
		   variant->on == ON_BELL ? self->bell : self->region;
	self->shared = mmap(NULL, SMALL, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->shared);
	self->page = mmap(NULL, 3 * SMALL, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->page);
	ASSERT_EQ(0, munmap(self->page + 2 * SMALL, SMALL));
	ASSERT_LE(variant->size, sizeof(self->arg));
	c.mode = 0;
	if (variant->cmd == PINRING_IOC_REGION_CREATE)
		memcpy(self->arg, &c, sizeof(c));
	if (variant->cmd == PINRING_IOC_REGION_OPEN)
		memcpy(self->arg, &o, sizeof(o));
	a.address = (uintptr_t)self->shared;
	a.size = SMALL;
	if (variant->cmd == PINRING_IOC_REGION_ADOPT)
		memcpy(self->arg, &a, sizeof(a));
	b.offset = 256;
	if (variant->cmd == PINRING_IOC_DOORBELL_CREATE)
		memcpy(self->arg, &b, sizeof(b));
}

FIXTURE_TEARDOWN(abi)
{
	munmap(self->page, 2 * SMALL);
	munmap(self->shared, SMALL);
	close(self->bell);
	close(self->eventfd);
	close(self->region);
	close(self->device);
}

/* Issues the ioctl with `size` said and the argument at the end of a page. */
static int issue(FIXTURE_DATA(abi) *self, const FIXTURE_VARIANT(abi) *variant,
		 uint32_t said, uint32_t room)
{
	unsigned char *p = self->page + 2 * SMALL - room;
	uint32_t copied = room < variant->size ? room : variant->size;
	int rc, fd;

	memset(self->page, 0, 2 * SMALL);
	memcpy(p, self->arg, copied);
	if (room >= 4)
		memcpy(p, &said, 4);
	rc = call(self->fd, variant->cmd, p);
	if (rc == 0 && variant->fd) {
		memcpy(&fd, p + variant->fd, sizeof(fd));
		close(fd);
	}
	return rc;
}

TEST_F(abi, takes_its_own_size)
{
	EXPECT_EQ(0, issue(self, variant, variant->size, variant->size));
}

TEST_F(abi, takes_the_first_version)
{
	EXPECT_EQ(0, issue(self, variant, variant->min_size, variant->min_size));
}

TEST_F(abi, refuses_any_smaller_size)
{
	for (uint32_t size = 0; size < variant->min_size; size++) {
		EXPECT_EQ(-EINVAL, issue(self, variant, size, variant->size)) {
			TH_LOG("size %u", size);
		}
	}
}

TEST_F(abi, takes_a_longer_one_if_its_tail_is_zero)
{
	EXPECT_EQ(0, issue(self, variant, variant->size + 8, variant->size + 8));
	EXPECT_EQ(0, issue(self, variant, SMALL, SMALL));
}

TEST_F(abi, refuses_a_longer_one_with_a_tail)
{
	unsigned char *p = self->page;

	for (uint32_t at = variant->size; at < variant->size + 64; at++) {
		memset(p, 0, SMALL);
		memcpy(p, self->arg, variant->size);
		memcpy(p, &(uint32_t){ variant->size + 64 }, 4);
		p[at] = 1;
		EXPECT_EQ(-E2BIG, call(self->fd, variant->cmd, p)) {
			TH_LOG("byte %u", at);
		}
	}
}

TEST_F(abi, refuses_more_than_a_page)
{
	EXPECT_EQ(-E2BIG, issue(self, variant, SMALL + 1, 2 * SMALL));
	EXPECT_EQ(-E2BIG, issue(self, variant, UINT32_MAX, 2 * SMALL));
}

TEST_F(abi, faults_where_the_argument_does)
{
	EXPECT_EQ(-EFAULT, call(self->fd, variant->cmd, NULL));
	EXPECT_EQ(-EFAULT, call(self->fd, variant->cmd, (void *)-1l));
	EXPECT_EQ(-EFAULT, call(self->fd, variant->cmd, self->page + 2 * SMALL));
	EXPECT_EQ(-EFAULT, issue(self, variant, variant->size, 4));
	EXPECT_EQ(-EFAULT, issue(self, variant, variant->size, variant->size - 1));
	EXPECT_EQ(-EFAULT, issue(self, variant, variant->size + 1, variant->size));
}

TEST_F(abi, leaves_no_fd_behind_when_it_cannot_answer)
{
	unsigned char *p = self->page + SMALL;
	int before = dup(self->device), after;

	close(before);
	memcpy(p, self->arg, variant->size);
	memcpy(p, &variant->size, 4);
	ASSERT_EQ(0, mprotect(p, SMALL, PROT_READ));
	EXPECT_EQ(variant->silent ? 0 : -EFAULT, call(self->fd, variant->cmd, p));
	after = dup(self->device);
	EXPECT_EQ(before, after);
	close(after);
	ASSERT_EQ(0, mprotect(p, SMALL, PROT_READ | PROT_WRITE));
}

TEST_F(abi, refuses_an_unknown_flag)
{
	uint32_t flags;

	memcpy(&flags, self->arg + 4, 4);
	flags |= variant->bad_flag;
	memcpy(self->arg + 4, &flags, 4);
	EXPECT_EQ(-EINVAL, issue(self, variant, variant->size, variant->size));
}

TEST_F(abi, refuses_a_reserved_field_that_is_set)
{
	if (!variant->reserved)
		return;
	memcpy(self->arg + variant->reserved, &(uint32_t){ 1 }, 4);
	EXPECT_EQ(-EINVAL, issue(self, variant, variant->size, variant->size));
}

TEST_F(abi, is_unknown_on_other_fds)
{
	const int others[] = { self->region, self->device, self->bell };
	unsigned char arg[256];

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		if (others[i] == self->fd)
			continue;
		memcpy(arg, self->arg, sizeof(arg));
		memcpy(arg, &variant->size, 4);
		EXPECT_EQ(-ENOTTY, call(others[i], variant->cmd, arg));
	}
}

TEST_F(abi, writes_back_no_more_than_it_was_given)
{
	unsigned char *p = self->page;
	int fd;

	memset(p, 0, variant->size);
	memset(p + variant->size, 0, 8);
	memcpy(p, self->arg, variant->size);
	memcpy(p, &variant->min_size, 4);
	memset(p + variant->min_size, 0xa5, 64);
	ASSERT_EQ(0, call(self->fd, variant->cmd, p));
	for (uint32_t i = 0; i < 64; i++) {
		EXPECT_EQ(0xa5, p[variant->min_size + i]);
	}
	if (variant->fd) {
		memcpy(&fd, p + variant->fd, sizeof(fd));
		close(fd);
	}
}

TEST(numbers_are_nobody_elses)
{
	static const unsigned long cmds[] = {
		PINRING_IOC_INFO,
		PINRING_IOC_REGION_CREATE,
		PINRING_IOC_REGION_INFO,
		PINRING_IOC_REGION_READONLY,
		PINRING_IOC_DOORBELL_CREATE,
		PINRING_IOC_DOORBELL_ARM,
		PINRING_IOC_RING,
		PINRING_IOC_REGION_OPEN,
		PINRING_IOC_REGION_NEXT,
	};

	for (size_t i = 0; i < ARRAY_SIZE(cmds); i++) {
		EXPECT_EQ(PINRING_IOC_MAGIC, _IOC_TYPE(cmds[i]));
		for (size_t j = 0; j < i; j++) {
			EXPECT_NE(cmds[i], cmds[j]);
		}
	}
}

TEST(what_is_no_ioctl_of_ours_is_refused)
{
	int device = device_open(), fd = region(1);
	char arg[64] = "";

	ASSERT_GE(device, 0);
	ASSERT_GE(fd, 0);
	for (unsigned int nr = 0; nr < 256; nr++) {
		unsigned long cmd = _IOC(_IOC_READ | _IOC_WRITE,
					 PINRING_IOC_MAGIC, nr, 32);

		EXPECT_EQ(-ENOTTY, call(device, cmd, arg));
		EXPECT_EQ(-ENOTTY, call(fd, cmd, arg));
	}
	EXPECT_EQ(-ENOTTY, call(device, PINRING_IOC_INFO ^ 0xff00, arg));
	close(fd);
	close(device);
}

TEST(info_says_what_the_module_is)
{
	struct pinring_ioc_info info = ARG(pinring_ioc_info);
	int device = device_open();

	ASSERT_GE(device, 0);
	ASSERT_EQ(0, call(device, PINRING_IOC_INFO, &info));
	EXPECT_EQ(PINRING_IOC_ABI, info.abi);
	EXPECT_EQ(HUGE, info.huge_page_bytes);
	EXPECT_EQ(PINRING_IOC_FEATURE_NAMES | PINRING_IOC_FEATURE_DMABUF |
		  PINRING_IOC_FEATURE_ADOPT, info.features);
	close(device);
}

TEST(device_is_for_root_and_its_group)
{
	struct stat st;

	ASSERT_EQ(0, stat("/dev/pinring", &st));
	EXPECT_EQ(0660, st.st_mode & 07777);
	EXPECT_EQ(0, st.st_uid);
}

#ifdef __x86_64__
/* ioctl() as a program of 32 bits calls it: arg lies below 4 GiB. */
static int ioctl_32(int fd, unsigned int cmd, void *arg)
{
	long rc;

	__asm__ volatile("int $0x80"
			 : "=a"(rc)
			 : "a"(54l), "b"((long)fd), "c"((long)cmd), "d"(arg)
			 : "memory", "r8", "r9", "r10", "r11");
	return (int)rc;
}

static int calls_of_32_bits(void)
{
	void *low = mmap(NULL, SMALL, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	struct pinring_ioc_info *info = low;
	struct pinring_ioc_region_info *region_info = low;
	struct pinring_ioc_doorbell_arm *arm = low;
	int device = device_open(), fd = region(HUGE);
	int bell = doorbell(fd, 0, eventfd(0, EFD_CLOEXEC), 0);

	if (low == MAP_FAILED || bell < 0)
		return 1;
	*info = ARG(pinring_ioc_info);
	if (ioctl_32(device, PINRING_IOC_INFO, low) || info->huge_page_bytes != HUGE)
		return 2;
	*region_info = ARG(pinring_ioc_region_info);
	if (ioctl_32(fd, PINRING_IOC_REGION_INFO, low) || region_info->size != HUGE)
		return 3;
	*arm = ARG(pinring_ioc_doorbell_arm);
	if (ioctl_32(bell, PINRING_IOC_DOORBELL_ARM, low))
		return 4;
	arm->seen = 1;
	return ioctl_32(bell, PINRING_IOC_DOORBELL_ARM, low) == -EAGAIN ? 0 : 5;
}

static void no_such_kernel(int number)
{
	(void)number;
	_exit(77);
}

/* Nothing in them depends on the size of a pointer. */
TEST(programs_of_32_bits_make_the_same_calls)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		signal(SIGSEGV, no_such_kernel);
		_exit(calls_of_32_bits());
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		SKIP(return, "this kernel runs no programs of 32 bits");
	}
	EXPECT_EQ(0, status);
}
#endif

TEST_HARNESS_MAIN
