// SPDX-License-Identifier: MIT
/* names.c - regions found by owner and name, and who may. */
#include "names.h"

#include <kselftest_harness.h>
#include <sys/fsuid.h>
#include <sys/resource.h>

FIXTURE(names) {
	int device;
};

FIXTURE_SETUP(names)
{
	self->device = device_open();
	ASSERT_GE(self->device, 0);
	ASSERT_TRUE(regions_left(0));
}

FIXTURE_TEARDOWN(names)
{
	close(self->device);
}

TEST_F(names, lead_to_the_same_memory)
{
	int a = publish(self->device, "frames", 0600);
	int b = open_name(self->device, PINRING_IOC_OWNER_SELF, "frames", 0);
	struct stat sa, sb;
	unsigned char *pa, *pb;

	ASSERT_GE(a, 0);
	ASSERT_GE(b, 0);
	pa = map(a, SMALL);
	pb = map(b, SMALL);
	ASSERT_NE(NULL, pa);
	ASSERT_NE(NULL, pb);
	pa[17] = 3;
	EXPECT_EQ(3, pb[17]);
	EXPECT_EQ(FD_CLOEXEC, fcntl(b, F_GETFD));
	EXPECT_EQ(O_RDWR, fcntl(b, F_GETFL) & O_ACCMODE);
	ASSERT_EQ(0, fstat(a, &sa));
	ASSERT_EQ(0, fstat(b, &sb));
	EXPECT_EQ(sa.st_ino, sb.st_ino);
	EXPECT_EQ(0600, sa.st_mode & 07777);
	munmap(pa, SMALL);
	munmap(pb, SMALL);
	close(a);
	close(b);
}

TEST_F(names, are_for_people_only_without_a_mode)
{
	int a = publish(self->device, "frames", 0);
	int b = publish(self->device, "frames", 0);
	int c = publish(self->device, "frames", 0600);

	EXPECT_GE(a, 0);
	EXPECT_GE(b, 0);
	ASSERT_GE(c, 0);
	EXPECT_EQ(0, may_open(self->device, 0, "frames", 0));
	close(c);
	EXPECT_EQ(-ENOENT, may_open(self->device, 0, "frames", 0));
	close(a);
	close(b);
}

TEST_F(names, are_not_asked_of_an_older_caller)
{
	struct pinring_ioc_region_create c = ARG(pinring_ioc_region_create);

	/* Its struct ends where mode begins, and what lies there is its own. */
	c.struct_size = offsetof(struct pinring_ioc_region_create, mode);
	c.size = SMALL;
	c.flags = PINRING_IOC_SMALL_PAGES;
	c.mode = 0xffffffff;
	c.reserved = 0xffffffff;
	ASSERT_EQ(0, call(self->device, PINRING_IOC_REGION_CREATE, &c));
	EXPECT_EQ(0xffffffff, c.mode);
	close(c.fd);
}

TEST_F(names, and_modes_are_checked)
{
	static const uint32_t modes[] = {
		01000, 0111, 0777, 0601, 02600, 04600, 0100600, UINT32_MAX,
	};
	struct pinring_ioc_region_create c = ARG(pinring_ioc_region_create);

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		EXPECT_EQ(-EINVAL, publish(self->device, "frames", modes[i])) {
			TH_LOG("mode %o", modes[i]);
		}
	}
	EXPECT_EQ(-EINVAL, publish(self->device, "", 0600));
	c.size = SMALL;
	c.flags = PINRING_IOC_SMALL_PAGES;
	c.reserved = 1;
	EXPECT_EQ(-EINVAL, call(self->device, PINRING_IOC_REGION_CREATE, &c));
}

TEST_F(names, are_unique_to_an_owner)
{
	int a = publish(self->device, "frames", 0600), other;

	ASSERT_GE(a, 0);
	EXPECT_EQ(-EEXIST, publish(self->device, "frames", 0666));
	other = publish(self->device, "frames2", 0600);
	EXPECT_GE(other, 0);
	close(other);
	close(a);
	a = publish(self->device, "frames", 0600);
	EXPECT_GE(a, 0);
	close(a);
}

static int makes_more_than_she_may(int device)
{
	struct pinring_ioc_region_create c = ARG(pinring_ioc_region_create);
	struct rlimit two = { 2 * SMALL, 2 * SMALL };
	int a;

	OR_EXIT(!setrlimit(RLIMIT_MEMLOCK, &two));
	a = publish(device, "frames", 0600);
	OR_EXIT(a >= 0);
	c.size = 4 * SMALL;
	c.flags = PINRING_IOC_SMALL_PAGES;
	c.mode = 0600;
	strcpy(c.name, "frames");
	OR_EXIT(call(device, PINRING_IOC_REGION_CREATE, &c) == -EEXIST);
	close(a);
	/* and one that could not be made leaves its name to others */
	OR_EXIT(call(device, PINRING_IOC_REGION_CREATE, &c) == -ENOBUFS);
	OR_EXIT(publish(device, "frames", 0600) >= 0);
	return 0;
}

/* Or who makes what there is not yet, and else opens it, needs room for both. */
TEST_F(names, that_are_taken_are_told_before_there_is_no_room)
{
	EXPECT_EQ(0, as(ALICE, TEAM, makes_more_than_she_may));
}

static int each_to_his_own(int device)
{
	unsigned char *mine, *hers;
	int a = publish(device, "frames", 0600), b, c;

	OR_EXIT(a >= 0);
	OR_EXIT(publish(device, "frames", 0600) == -EEXIST);
	b = open_name(device, PINRING_IOC_OWNER_SELF, "frames", 0);
	c = open_name(device, ALICE, "frames", 0);
	OR_EXIT(b >= 0);
	OR_EXIT(c >= 0);
	mine = map(b, SMALL);
	hers = map(c, SMALL);
	OR_EXIT(mine && hers);
	mine[0] = 1;
	return hers[0] == 0 ? 0 : 1;
}

TEST_F(names, of_two_users_may_be_the_same)
{
	struct publisher alice;

	ASSERT_TRUE(publisher_start(&alice, ALICE, TEAM, "frames", 0666));
	EXPECT_EQ(0, as(BOB, OTHERS, each_to_his_own));
	EXPECT_EQ(0, may_open(self->device, ALICE, "frames", 0));
	EXPECT_EQ(-ENOENT, may_open(self->device, BOB, "frames", 0));
	EXPECT_EQ(-ENOENT, may_open(self->device, 0, "frames", 0));
	publisher_stop(&alice);
	EXPECT_EQ(-ENOENT, may_open(self->device, ALICE, "frames", 0));
}

static int owner_is_the_filesystems(int device)
{
	setfsuid(ALICE);
	OR_EXIT(publish(device, "frames", 0600) >= 0);
	OR_EXIT(may_open(device, ALICE, "frames", 0) == 0);
	OR_EXIT(may_open(device, PINRING_IOC_OWNER_SELF, "frames", 0) == 0);
	setfsuid(0);
	OR_EXIT(may_open(device, PINRING_IOC_OWNER_SELF, "frames", 0) == -ENOENT);
	return 0;
}

TEST_F(names, belong_to_the_filesystem_user_id_as_files_do)
{
	EXPECT_EQ(0, as(0, 0, owner_is_the_filesystems));
}

TEST_F(names, that_make_no_sense_are_refused)
{
	struct pinring_ioc_region_open o = ARG(pinring_ioc_region_open);
	int a = publish(self->device, "frames", 0600);

	ASSERT_GE(a, 0);
	EXPECT_EQ(-EINVAL, may_open(self->device, 0, "", 0));
	EXPECT_EQ(-EINVAL, may_open(self->device, 0, "a/b", 0));
	EXPECT_EQ(-EINVAL, may_open(self->device, 0, "a b", 0));
	EXPECT_EQ(-EINVAL, may_open(self->device, 0, "frames", 2));
	EXPECT_EQ(-EINVAL, may_open(self->device, 0, "frames", 1u << 31));
	EXPECT_EQ(-ENOENT, may_open(self->device, 0, "frame", 0));
	EXPECT_EQ(-ENOENT, may_open(self->device, 0, "framess", 0));
	EXPECT_EQ(-ENOENT, may_open(self->device, ALICE, "frames", 0));
	EXPECT_EQ(-ENOENT, may_open(self->device, UINT32_MAX - 1, "frames", 0));
	memset(o.name, 'x', sizeof(o.name));
	EXPECT_EQ(-EINVAL, call(self->device, PINRING_IOC_REGION_OPEN, &o));
	close(a);
}

/* ------------------------------------------------------------- permissions */

static const struct {
	const char *who;
	unsigned int uid, gid;
	unsigned int shift; /* of the bits that are about him */
} people[] = {
	{ "owner", ALICE, OTHERS, 6 },
	{ "owner, who is in the group too", ALICE, TEAM, 6 },
	{ "group", BOB, TEAM, 3 },
	{ "other", CAROL, OTHERS, 0 },
};

static struct {
	uint32_t mode;
	unsigned int shift;
} now;

static int as_the_bits_say(int device)
{
	const uint32_t bits = now.mode >> now.shift & 7;
	struct pinring_ioc_region_info i;

	OR_EXIT(may_open(device, ALICE, "frames", 0) ==
		((bits & 6) == 6 ? 0 : -EACCES));
	OR_EXIT(may_open(device, ALICE, "frames", PINRING_IOC_OPEN_READONLY) ==
		((bits & 4) ? 0 : -EACCES));
	/* Its owner sees it whatever the mode is. */
	OR_EXIT(listed(device, "frames", &i) == ((bits & 4) || now.shift == 6));
	return 0;
}

TEST_F(names, are_opened_by_owner_group_and_others_as_the_mode_says)
{
	static const uint32_t modes[] = {
		0666, 0660, 0606, 0066, 0644, 0640, 0600, 0444, 0440, 0400,
		0222, 0200, 0060, 0006, 0004, 0042,
	};
	struct pinring_ioc_region_info i;
	struct publisher alice;

	for (size_t m = 0; m < ARRAY_SIZE(modes); m++) {
		now.mode = modes[m];
		ASSERT_TRUE(publisher_start(&alice, ALICE, TEAM, "frames", modes[m]));
		for (size_t p = 0; p < ARRAY_SIZE(people); p++) {
			now.shift = people[p].shift;
			EXPECT_EQ(0, as(people[p].uid, people[p].gid, as_the_bits_say)) {
				TH_LOG("mode %o, %s", modes[m], people[p].who);
			}
		}
		/* root, who has CAP_DAC_OVERRIDE */
		EXPECT_EQ(0, may_open(self->device, ALICE, "frames", 0));
		EXPECT_EQ(0, may_open(self->device, ALICE, "frames", PINRING_IOC_OPEN_READONLY));
		EXPECT_EQ(1, listed(self->device, "frames", &i));
		EXPECT_EQ(modes[m], i.mode);
		EXPECT_EQ(ALICE, i.owner);
		EXPECT_EQ(TEAM, i.group);
		publisher_stop(&alice);
	}
}

static int by_a_second_group(int device)
{
	return may_open(device, ALICE, "frames", 0) == 0 ? 0 : 1;
}

TEST_F(names, are_opened_by_a_second_group_of_the_caller)
{
	struct publisher alice;
	gid_t groups[] = { TEAM };
	int status;
	pid_t pid;

	ASSERT_TRUE(publisher_start(&alice, ALICE, TEAM, "frames", 0660));
	pid = fork();
	if (!pid) {
		OR_EXIT(!setgroups(1, groups));
		OR_EXIT(!setresgid(OTHERS, OTHERS, OTHERS));
		OR_EXIT(!setresuid(BOB, BOB, BOB));
		_exit(by_a_second_group(self->device));
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	publisher_stop(&alice);
}

TEST_F(names, opened_for_reading_cannot_be_written)
{
	int fd = publish(self->device, "frames", 0600);
	int ro = open_name(self->device, 0, "frames", PINRING_IOC_OPEN_READONLY);
	int event = eventfd(0, 0);
	unsigned char *p;

	ASSERT_GE(fd, 0);
	ASSERT_GE(ro, 0);
	EXPECT_EQ(O_RDONLY, fcntl(ro, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(NULL, map(ro, SMALL));
	EXPECT_EQ(EACCES, errno);
	p = map_at(ro, SMALL, PROT_READ, 0);
	ASSERT_NE(NULL, p);
	EXPECT_NE(0, mprotect(p, SMALL, PROT_READ | PROT_WRITE));
	EXPECT_EQ(-EACCES, doorbell(ro, 0, event, 0));
	munmap(p, SMALL);
	close(event);
	close(ro);
	close(fd);
}

static int changes_hands(int device)
{
	int fd = publish(device, "frames", 0600);

	OR_EXIT(fd >= 0);
	for (int step = 0; step < 3; step++) {
		OR_EXIT(step != 1 || !fchmod(fd, 0640));
		OR_EXIT(step != 2 || !fchmod(fd, 0));
		OR_EXIT(may_open(device, ALICE, "frames", 0) == (step < 2 ? 0 : -EACCES));
	}
	OR_EXIT(!fchmod(fd, 0664));
	/* a group that she is not in, and another user: no */
	OR_EXIT(fchown(fd, (uid_t)-1, OTHERS) && errno == EPERM);
	OR_EXIT(fchown(fd, BOB, (gid_t)-1) && errno == EPERM);
	return 0;
}

TEST_F(names, are_the_owners_to_grant_and_to_deny)
{
	EXPECT_EQ(0, as(ALICE, TEAM, changes_hands));
}

static int given;

static int bob_cannot_change_it(int device)
{
	(void)device;
	OR_EXIT(fchmod(given, 0666) && errno == EPERM);
	OR_EXIT(fchown(given, BOB, (gid_t)-1) && errno == EPERM);
	return 0;
}

static int bob_may_open_it(int device)
{
	return may_open(device, ALICE, "frames", 0) == 0 ? 0 : 1;
}

static int bob_may_not(int device)
{
	return may_open(device, ALICE, "frames", 0) == -EACCES ? 0 : 1;
}

TEST_F(names, change_with_owner_and_group_of_the_fd)
{
	struct publisher alice;
	struct stat st;

	ASSERT_TRUE(publisher_start(&alice, ALICE, TEAM, "frames", 0660));
	given = open_name(self->device, ALICE, "frames", 0);
	ASSERT_GE(given, 0);
	ASSERT_EQ(0, fstat(given, &st));
	EXPECT_EQ(ALICE, st.st_uid);
	EXPECT_EQ(TEAM, st.st_gid);
	EXPECT_EQ(0660, st.st_mode & 07777);
	/* Whoever has the fd may use the memory; the mode is its owner's. */
	EXPECT_EQ(0, as(BOB, OTHERS, bob_cannot_change_it));
	EXPECT_EQ(0, as(BOB, OTHERS, bob_may_not));
	ASSERT_EQ(0, fchown(given, (uid_t)-1, OTHERS));
	EXPECT_EQ(0, as(BOB, OTHERS, bob_may_open_it));
	/* The name goes on being Alice's; the bits for an owner are now Bob's. */
	ASSERT_EQ(0, fchown(given, BOB, TEAM));
	ASSERT_EQ(0, fchmod(given, 0600));
	EXPECT_EQ(0, as(BOB, OTHERS, bob_may_open_it));
	EXPECT_EQ(-ENOENT, may_open(self->device, BOB, "frames", 0));
	EXPECT_EQ(0, as(CAROL, OTHERS, bob_may_not));
	/* Nothing that fchmod allows makes it a file to run or to truncate. */
	ASSERT_EQ(0, fchmod(given, 0777));
	EXPECT_NE(0, ftruncate(given, 0));
	EXPECT_NE(0, ftruncate(given, 2 * SMALL));
	ASSERT_EQ(0, fstat(given, &st));
	EXPECT_EQ(SMALL, (uint64_t)st.st_size);
	EXPECT_EQ(NULL, map_at(given, SMALL, PROT_READ | PROT_EXEC, 0));
	close(given);
	publisher_stop(&alice);
}

/* ------------------------------------------------------- a user's namespace */

static void write_map(const char *path, pid_t pid, const char *text)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "/proc/%d/%s", (int)pid, path);
	fd = open(name, O_WRONLY | O_CLOEXEC);
	OR_EXIT(fd >= 0);
	OR_EXIT(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

/* Runs `body` as user 0 of a namespace that knows Alice as that, Bob as 1. */
static int inside(int device, int (*body)(int device))
{
	int ready[2], mapped[2], status;
	pid_t pid;
	char byte;

	OR_EXIT(!pipe(ready) && !pipe(mapped));
	pid = fork();
	if (!pid) {
		OR_EXIT(!unshare(CLONE_NEWUSER));
		OR_EXIT(write(ready[1], "x", 1) == 1);
		OR_EXIT(read(mapped[0], &byte, 1) == 1);
		OR_EXIT(!setresgid(0, 0, 0) && !setresuid(0, 0, 0));
		_exit(body(device));
	}
	OR_EXIT(read(ready[0], &byte, 1) == 1);
	write_map("uid_map", pid, "0 4711 2\n");
	write_map("gid_map", pid, "0 4800 1\n");
	OR_EXIT(write(mapped[1], "x", 1) == 1);
	OR_EXIT(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	for (int i = 0; i < 2; i++) {
		close(ready[i]);
		close(mapped[i]);
	}
	return WEXITSTATUS(status);
}

static int sender = -1;

static int makes_the_first_region(int device)
{
	int fd = publish(device, "inside", 0600);

	OR_EXIT(fd >= 0);
	OR_EXIT(may_open(device, 0, "inside", 0) == 0);
	OR_EXIT(!send_fd(sender, fd));
	return 0;
}

static int alice_opens_it(int device)
{
	return may_open(device, ALICE, "inside", 0) == 0 ? 0 : 1;
}

TEST_F(names, of_a_namespaces_user_are_those_of_the_user_he_is)
{
	int sockets[2], fd;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	sender = sockets[1];
	ASSERT_EQ(0, inside(self->device, makes_the_first_region));
	fd = receive_fd(sockets[0]);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(0, may_open(self->device, ALICE, "inside", 0));
	EXPECT_EQ(0, as(ALICE, OTHERS, alice_opens_it));
	close(fd);
	close(sockets[0]);
	close(sockets[1]);
}

static int sees_who_is_mapped(int device)
{
	struct pinring_ioc_region_info i;

	/* root there has the capabilities that root has, over whom he knows */
	OR_EXIT(may_open(device, 1, "of_bob", 0) == 0);
	OR_EXIT(listed(device, "of_bob", &i) == 1);
	OR_EXIT(i.owner == 1 && i.group == 0);
	/* Carol is unknown: no name of hers can be said */
	OR_EXIT(may_open(device, CAROL, "of_carol", 0) == -ENOENT);
	OR_EXIT(may_open(device, 65534, "of_carol", 0) == -ENOENT);
	OR_EXIT(listed(device, "of_carol", &i) == 1);
	OR_EXIT(i.owner == 65534 && i.group == 65534);
	OR_EXIT(listed(device, "hidden", &i) == 0);
	OR_EXIT(listed(device, "unpublished", &i) == 0);
	return 0;
}

TEST_F(names, cannot_be_said_of_users_who_are_not_mapped)
{
	struct publisher bob, carol, hidden, unpublished;

	ASSERT_TRUE(publisher_start(&bob, BOB, TEAM, "of_bob", 0600));
	ASSERT_TRUE(publisher_start(&carol, CAROL, OTHERS, "of_carol", 0666));
	ASSERT_TRUE(publisher_start(&hidden, CAROL, OTHERS, "hidden", 0600));
	ASSERT_TRUE(publisher_start(&unpublished, BOB, TEAM, "unpublished", 0));
	EXPECT_EQ(0, inside(self->device, sees_who_is_mapped));
	publisher_stop(&bob);
	publisher_stop(&carol);
	publisher_stop(&hidden);
	publisher_stop(&unpublished);
}

TEST_HARNESS_MAIN
