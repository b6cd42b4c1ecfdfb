// SPDX-License-Identifier: MIT
/* lifetime.c - a region lives as long as anything of it does, in any order. */
#include "kmod.h"

#include <kselftest_harness.h>
#include <sys/time.h>

#define SIZE (4 * HUGE)
#define HALF (96 * HUGE) /* of what is free on a node, about */

TEST(a_mapping_outlives_its_fd)
{
	int users = module_users(), fd = region(SIZE);
	unsigned char *p;

	ASSERT_GE(fd, 0);
	p = map(fd, SIZE);
	ASSERT_NE(NULL, p);
	p[0] = 1;
	close(fd);
	EXPECT_EQ(1, p[0]);
	p[3 * HUGE] = 2; /* not yet faulted in */
	EXPECT_EQ(2, p[3 * HUGE]);
	EXPECT_GT(module_users(), users);
	munmap(p, SIZE);
	EXPECT_TRUE(released(users));
}

TEST(a_piece_of_a_mapping_is_enough)
{
	int users = module_users(), fd = region(SIZE);
	unsigned char *p = map(fd, SIZE);

	ASSERT_NE(NULL, p);
	memset(p, 9, SIZE);
	close(fd);
	munmap(p, HUGE + SMALL);
	munmap(p + HUGE + 2 * SMALL, SIZE - HUGE - 2 * SMALL);
	EXPECT_EQ(9, p[HUGE + SMALL]);
	EXPECT_GT(module_users(), users);
	munmap(p + HUGE + SMALL, SMALL);
	EXPECT_TRUE(released(users));
}

TEST(the_device_may_be_closed_at_once)
{
	struct pinring_ioc_region_create c = ARG(pinring_ioc_region_create);
	int device = device_open();
	unsigned char *p;

	c.size = SIZE;
	c.node = PINRING_IOC_NODE_LOCAL;
	ASSERT_EQ(0, call(device, PINRING_IOC_REGION_CREATE, &c));
	close(device);
	p = map(c.fd, SIZE);
	ASSERT_NE(NULL, p);
	memset(p, 1, SIZE);
	munmap(p, SIZE);
	close(c.fd);
}

TEST(an_fd_can_be_passed_and_the_creator_die)
{
	int sockets[2], fd, status, users = module_users();
	unsigned char *p;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	pid = fork();
	if (!pid) {
		fd = region(SIZE);
		p = fd < 0 ? NULL : map(fd, SIZE);
		if (!p)
			_exit(1);
		memset(p, 0x5a, SIZE);
		if (send_fd(sockets[1], fd))
			_exit(2);
		raise(SIGKILL);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));
	fd = receive_fd(sockets[0]);
	ASSERT_GE(fd, 0);
	p = map(fd, SIZE);
	ASSERT_NE(NULL, p);
	for (uint64_t i = 0; i < SIZE; i += SMALL) {
		EXPECT_EQ(0x5a, p[i]);
	}
	EXPECT_EQ(SIZE >> 10, smaps(p, "FilePmdMapped"));
	munmap(p, SIZE);
	close(fd);
	EXPECT_TRUE(released(users));
}

TEST(an_fd_in_flight_that_nobody_takes_goes)
{
	int sockets[2], fd = region(SIZE), users;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	users = module_users();
	ASSERT_EQ(0, send_fd(sockets[1], fd));
	close(fd);
	EXPECT_GE(module_users(), users);
	close(sockets[0]);
	close(sockets[1]);
	EXPECT_TRUE(released(users - 2));
}

TEST(fork_shares_and_either_may_go_first)
{
	int users = module_users(), fd = region(SIZE), status, pipefd[2];
	unsigned char *p = map(fd, SIZE);
	pid_t pid;
	char byte;

	ASSERT_NE(NULL, p);
	ASSERT_EQ(0, pipe(pipefd));
	p[0] = 1;
	pid = fork();
	if (!pid) {
		close(pipefd[1]);
		(void)!read(pipefd[0], &byte, 1); /* until the parent has let go */
		p[1] = 2;
		_exit(p[0] == 1 && p[SIZE - 1] == 0 ? 0 : 1);
	}
	munmap(p, SIZE);
	close(fd);
	EXPECT_GT(module_users(), users);
	close(pipefd[1]);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_TRUE(released(users));
}

TEST(the_module_stays_while_it_is_used)
{
	int device, fd;
	unsigned char *p;

	/* O_NONBLOCK: do not wait for users to leave. */
	device = device_open();
	EXPECT_EQ(-1, syscall(SYS_delete_module, "pinring", O_NONBLOCK));
	EXPECT_EQ(EWOULDBLOCK, errno);
	fd = region(SIZE);
	close(device);
	EXPECT_EQ(-1, syscall(SYS_delete_module, "pinring", O_NONBLOCK));
	EXPECT_EQ(EWOULDBLOCK, errno);
	p = map(fd, SIZE);
	ASSERT_NE(NULL, p);
	close(fd);
	EXPECT_EQ(-1, syscall(SYS_delete_module, "pinring", O_NONBLOCK));
	EXPECT_EQ(EWOULDBLOCK, errno);
	p[HUGE] = 1;
	munmap(p, SIZE);
}

TEST(memory_comes_back)
{
	long before, after;

	close(region(HALF));
	before = free_memory();
	for (int i = 0; i < 6; i++) {
		int fd = region(HALF);
		unsigned char *p = map(fd, HALF);

		ASSERT_NE(NULL, p);
		for (uint64_t at = 0; at < HALF; at += HUGE) {
			p[at] = 1;
		}
		munmap(p, HALF);
		close(fd);
	}
	after = free_memory();
	EXPECT_LT(before - after, (long)(HALF >> 10));
}

/*
 * A signal that a program handles does not disturb, and one that kills it ends
 * an allocation in its midst.
 */
static void nothing(int signal)
{
	(void)signal;
}

TEST(a_handled_signal_does_not_stop_an_allocation)
{
	struct itimerval often = { { 0, 1000 }, { 0, 1000 } }, never = { 0 };
	int fd;

	signal(SIGALRM, nothing);
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &often, NULL));
	fd = region(HALF);
	setitimer(ITIMER_REAL, &never, NULL);
	EXPECT_GE(fd, 0);
	close(fd);
}

TEST(a_kill_in_the_midst_of_an_allocation_leaves_nothing)
{
	long before, after;
	int users = module_users();

	close(region(HALF));
	before = free_memory();
	for (unsigned int i = 0; i < 12; i++) {
		int status;
		pid_t pid = fork();

		if (!pid) {
			for (;;)
				close(region(HALF));
		}
		usleep(2000 + i * 3000);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
	}
	EXPECT_TRUE(released(users));
	after = free_memory();
	EXPECT_LT(before - after, (long)(HALF >> 10));
}

TEST(a_storm_of_creation_and_death)
{
	int users = module_users();
	pid_t pids[4];

	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		pids[i] = fork();
		if (!pids[i]) {
			for (unsigned int n = 0; n < 100; n++) {
				pid_t child = fork();

				if (!child) {
					int fd = region(2 * HUGE);
					unsigned char *p = fd < 0 ? NULL : map(fd, 2 * HUGE);

					if (!p)
						_exit(1);
					if (n % 3 == 0)
						close(readonly(fd));
					memset(p + (n % 2) * HUGE, 1, SMALL);
					if (n % 5 == 0)
						close(fd);
					for (;;)
						p[n % 16 * SMALL] = 1;
				}
				usleep(n * 37 % 3000);
				kill(child, SIGKILL);
				waitpid(child, NULL, 0);
			}
			_exit(0);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		int status;

		ASSERT_EQ(pids[i], waitpid(pids[i], &status, 0));
		EXPECT_EQ(0, status);
	}
	EXPECT_TRUE(released(users));
}

TEST_HARNESS_MAIN
