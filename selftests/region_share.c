// SPDX-License-Identifier: MIT
/*
 * Regions that several have: by their descriptor, which may be of something else,
 * in other processes and by other devices, until the last of them lets go.
 */
#include <kselftest_harness.h>

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "held.h"
#include "region_test.h"
#include "sanitized.h"

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

/* Else the kernel could use no huge pages there. */
TEST_F(region, what_is_a_multiple_of_a_huge_page_is_attached_at_one)
{
	struct pinring_region *other[9];

	self->config.size = 4 * MIB;
	self->config.flags = PINRING_REGION_SMALL_PAGES;
	ASSERT_EQ(0, CREATE());
	for (size_t i = 0; i < ARRAY_SIZE(other); i++) {
		ASSERT_EQ(0, pinring_region_attach(self->device, pinring_region_fd(self->r),
						   &other[i]));
		EXPECT_EQ(0, (uintptr_t)pinring_region_base(other[i]) % (2 * MIB));
	}
	for (size_t i = 0; i < ARRAY_SIZE(other); i++)
		pinring_region_close(other[i]);
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

/* What the kernel says of the sender then comes before the descriptor, or is one. */
TEST_F(region, a_socket_may_say_who_sends)
{
	static const int options[] = { SO_PASSCRED, SO_PASSSEC, 76 /* SO_PASSPIDFD, Linux 6.5 */ };
	struct pinring_region *other;
	const int on = 1;
	int sockets[2], before;

	ASSERT_EQ(0, CREATE());
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	before = count_fds();
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (setsockopt(sockets[1], SOL_SOCKET, options[i], &on, sizeof(on))) {
			ASSERT_EQ(ENOPROTOOPT, errno);
			continue;
		}
		ASSERT_EQ(0, pinring_region_send(self->r, sockets[0]));
		ASSERT_EQ(0, pinring_region_receive(self->device, sockets[1], &other))
			TH_LOG("%s, with option %d", pinring_error(), options[i]);
		EXPECT_EQ(before + 1, count_fds()) TH_LOG("option %d", options[i]);
		pinring_region_close(other);
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
	kb = regions_kb();

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
	EXPECT_EQ(kb, regions_kb());
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
	long kb = regions_kb();
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
	EXPECT_LT(kb, regions_kb());
	pinring_spsc_consumer_close(&c);
	EXPECT_EQ(kb, regions_kb());
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
	kb = regions_kb();
	pages = address_space();
	for (int i = 0; i < 200; i++)
		provoke_errors(self->device, self->r);
	EXPECT_EQ(fds, count_fds());
	EXPECT_EQ(kb, regions_kb());
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
	kb = regions_kb();
	for (int i = 0; i < 1000; i++) {
		self->config.flags = i % 2 ? PINRING_REGION_SMALL_PAGES : 0;
		self->config.size = i % 3 ? 4096 : MIB;
		ASSERT_EQ(0, CREATE());
		pinring_object_create(self->r, "o", PINRING_OBJECT_BYTES, 100, 0, &o);
		ASSERT_EQ(0, pinring_region_attach(self->device,
						   pinring_region_fd(self->r), &other));
		pinring_region_close(i % 2 ? other : self->r);
		pinring_region_close(i % 2 ? self->r : other);
		self->r = NULL;
		if (i == 0)
			pages = address_space();
	}
	EXPECT_EQ(fds, count_fds());
	EXPECT_EQ(kb, regions_kb());
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
	kb = regions_kb();
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
	EXPECT_EQ(kb, regions_kb());
}

TEST_HARNESS_MAIN
