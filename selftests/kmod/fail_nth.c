// SPDX-License-Identifier: MIT
/*
 * fail_nth.c - memory that is not there, and copies that fail.
 *
 * Each call is made again and again, and the kernel told to fail the first
 * allocation or copy in it, then the second, until one call comes through without
 * a failure (/proc/self/fail-nth); and once more, with every allocation from there
 * on. Whatever failed, nothing may be left: no fd, no region, no page. What only
 * kmemleak sees, it sees when all tests are over.
 */
#include "adopt.h"
#include "faults.h"
#include "names.h"

#include <kselftest_harness.h>

#define LARGE (8 * HUGE)
#define MANY_SMALL (HUGE / 2)
#define THEIRS (5 * HUGE / 2) /* of memory to adopt */
#define BELL 4096 /* where the rig's doorbell is, */
#define FREE_BELL 8192 /* and where there is room for one */
/* ------------------------------------------------- what calls are made with */

struct rig {
	int device, region, event, bell;
	unsigned char *p; /* of the region, LARGE */
	/* of one call: */
	int fd, dmabuf;
	pid_t pid;
	unsigned char *q;
	unsigned char bytes[64];
};

/*
 * One call. before() and after() may be NULL and are spared; after() has the
 * call's result and says whether all is well.
 */
struct fault_call {
	bool (*before)(struct rig *rig);
	int (*run)(struct rig *rig); /* an fd, 0, or -errno */
	bool (*after)(struct rig *rig, int rc);
	int error; /* that it may fail by, besides -ENOMEM */
	bool again; /* the core tries until it has what it takes */
};

static bool close_it(struct rig *rig, int rc)
{
	(void)rig;
	return rc < 0 || !close(rc);
}

static int run_open(struct rig *rig)
{
	(void)rig;
	return device_open();
}

static int run_info(struct rig *rig)
{
	struct pinring_ioc_info info = ARG(pinring_ioc_info);

	return call(rig->device, PINRING_IOC_INFO, &info);
}

static int run_create_of(struct rig *rig, uint64_t size, uint32_t flags)
{
	struct pinring_ioc_region_create c = ARG(pinring_ioc_region_create);
	int rc;

	c.size = size;
	c.node = 1;
	c.flags = flags;
	strcpy(c.name, "fail-nth");
	rc = call(rig->device, PINRING_IOC_REGION_CREATE, &c);
	return rc ? rc : c.fd;
}

static int run_create(struct rig *rig)
{
	return run_create_of(rig, LARGE, 0);
}

static int run_create_strict(struct rig *rig)
{
	return run_create_of(rig, LARGE, PINRING_IOC_STRICT_NODE);
}

static int run_create_allow_small(struct rig *rig)
{
	return run_create_of(rig, LARGE, PINRING_IOC_ALLOW_SMALL);
}

static int run_create_small(struct rig *rig)
{
	return run_create_of(rig, MANY_SMALL, PINRING_IOC_SMALL_PAGES);
}

static int run_publish(struct rig *rig)
{
	return publish(rig->device, "fail-nth", 0600);
}

static bool publish_one(struct rig *rig)
{
	rig->fd = publish(rig->device, "there", 0600);
	return rig->fd >= 0;
}

static int run_open_name(struct rig *rig)
{
	return open_name(rig->device, PINRING_IOC_OWNER_SELF, "there", 0);
}

static int run_open_name_readonly(struct rig *rig)
{
	return open_name(rig->device, PINRING_IOC_OWNER_SELF, "there",
			 PINRING_IOC_OPEN_READONLY);
}

static bool close_both(struct rig *rig, int rc)
{
	return close_it(rig, rc) && !close(rig->fd);
}

static int run_next(struct rig *rig)
{
	struct pinring_ioc_region_info info;

	return next(rig->device, 0, &info);
}

static int run_region_info(struct rig *rig)
{
	struct pinring_ioc_region_info info = ARG(pinring_ioc_region_info);

	return call(rig->region, PINRING_IOC_REGION_INFO, &info);
}

static int run_readonly(struct rig *rig)
{
	return readonly(rig->region);
}

static int run_export(struct rig *rig)
{
	struct pinring_ioc_region_export e = ARG(pinring_ioc_region_export);
	int rc = call(rig->region, PINRING_IOC_REGION_EXPORT, &e);

	return rc ? rc : e.fd;
}

static bool map_theirs(struct rig *rig)
{
	rig->fd = memfd_create("theirs", MFD_CLOEXEC);
	if (rig->fd < 0 || ftruncate(rig->fd, THEIRS))
		return false;
	rig->q = map(rig->fd, THEIRS);
	if (!rig->q)
		return false;
	memset(rig->q, 1, THEIRS);
	return true;
}

static int run_adopt(struct rig *rig)
{
	struct pinring_ioc_region_adopt a = ARG(pinring_ioc_region_adopt);

	a.address = (uintptr_t)rig->q;
	a.size = THEIRS;
	return adopt_as(rig->device, &a);
}

static bool unmap_theirs(struct rig *rig, int rc)
{
	return close_both(rig, rc) && !munmap(rig->q, THEIRS);
}

/* --------------------------------------------------------------- a dma-buf */

static bool open_importer(struct rig *rig)
{
	rig->fd = open("/dev/pinring-importer", O_RDWR | O_CLOEXEC);
	rig->dmabuf = export(rig->region, 0, 0, 0);
	return rig->fd >= 0 && rig->dmabuf >= 0;
}

static int run_import(struct rig *rig)
{
	struct importer_map m = {
		.fd = rig->dmabuf,
		.direction = IMPORTER_BIDIRECTIONAL,
		.max_segment = HUGE,
	};

	return call(rig->fd, IMPORTER_MAP, &m);
}

static bool import_it(struct rig *rig)
{
	return open_importer(rig) && !run_import(rig);
}

static int run_vmap(struct rig *rig)
{
	return copy(rig->fd, IMPORTER_BY_VMAP, false, rig->bytes, HUGE, sizeof(rig->bytes));
}

static bool close_importer(struct rig *rig, int rc)
{
	(void)rc;
	return !close(rig->fd) && !close(rig->dmabuf);
}

/* -------------------------------------------------------------- a doorbell */

static int run_doorbell(struct rig *rig)
{
	return doorbell(rig->region, FREE_BELL, rig->event, 0);
}

static int run_doorbell_device(struct rig *rig)
{
	return doorbell(rig->region, FREE_BELL, rig->event,
			PINRING_IOC_DOORBELL_DEVICE);
}

static int run_arm(struct rig *rig)
{
	return arm(rig->bell, 0);
}

static int run_ring(struct rig *rig)
{
	return ring(rig->region, BELL);
}

/* ---------------------------------------------------------------- mappings */

static int run_mmap_with(struct rig *rig, int flags)
{
	rig->q = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_SHARED | flags,
		      rig->region, 0);
	return rig->q == MAP_FAILED ? -errno : 0;
}

static int run_mmap(struct rig *rig)
{
	return run_mmap_with(rig, 0);
}

static int run_mmap_populate(struct rig *rig)
{
	return run_mmap_with(rig, MAP_POPULATE);
}

static bool unmap(struct rig *rig, int rc)
{
	return rc < 0 || (rig->q[LARGE - 1] == 0xa5 && !munmap(rig->q, LARGE));
}

static bool map_it(struct rig *rig)
{
	return !run_mmap(rig);
}

static bool map_and_touch(struct rig *rig)
{
	return map_it(rig) && rig->q[0] == 0xa5 && rig->q[LARGE - 1] == 0xa5;
}

static bool unmap_anyway(struct rig *rig, int rc)
{
	(void)rc;
	return !munmap(rig->q, LARGE);
}

/* The core tries a fault again until it has what it takes. */
static int run_touch(struct rig *rig)
{
	for (size_t at = 0; at < LARGE; at += HUGE)
		if (*(volatile unsigned char *)(rig->q + at) != 0xa5)
			return -EIO;
	return 0;
}

static int run_munmap_middle(struct rig *rig)
{
	return munmap(rig->q + HUGE + SMALL, SMALL) ? -errno : 0;
}

static int run_mprotect_middle(struct rig *rig)
{
	return mprotect(rig->q + HUGE + SMALL, SMALL, PROT_READ) ? -errno : 0;
}

static int run_mremap(struct rig *rig)
{
	unsigned char *to = mremap(rig->q, LARGE, LARGE,
				   MREMAP_MAYMOVE | MREMAP_FIXED,
				   rig->p + LARGE);

	if (to == MAP_FAILED)
		return -errno;
	rig->q = to;
	return 0;
}

/* Where it was to go is free now, whatever came of it. */
static bool unmap_moved(struct rig *rig, int rc)
{
	return unmap_anyway(rig, rc) &&
	       mmap(rig->p + LARGE, LARGE, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED;
}

static int run_fork(struct rig *rig)
{
	rig->pid = fork();
	if (!rig->pid)
		_exit(rig->q[0] == 0xa5 && rig->p[LARGE - 1] == 0xa5 ? 0 : 1);
	return rig->pid < 0 ? -errno : 0;
}

static bool child_saw_it(struct rig *rig, int rc)
{
	int status = 0;

	if (!rc && (waitpid(rig->pid, &status, 0) != rig->pid || status))
		return false;
	return !munmap(rig->q, LARGE);
}

/* ------------------------------------------------------------------- files */

static bool open_reserve(struct rig *rig)
{
	rig->fd = open(SYSFS "node1/reserve_pages", O_WRONLY | O_CLOEXEC);
	return rig->fd >= 0;
}

static int run_reserve(struct rig *rig)
{
	return pwrite(rig->fd, "4", 1, 0) == 1 ? 0 : -errno;
}

static bool reserve_is_true(struct rig *rig, int rc)
{
	long long size = sysfs_read("node1/reserve_pages");

	close(rig->fd);
	return (rc ? size < 4 : size == 4) &&
	       sysfs_read("node1/free_pages") == size &&
	       !sysfs_set("node1/reserve_pages", 0) &&
	       !sysfs_read("node1/free_pages");
}

static bool open_cpus(struct rig *rig)
{
	rig->fd = open(SYSFS "poll_cpus", O_WRONLY | O_CLOEXEC);
	return rig->fd >= 0;
}

static int run_cpus(struct rig *rig)
{
	return pwrite(rig->fd, "0-1", 3, 0) == 3 ? 0 : -errno;
}

static bool close_cpus(struct rig *rig, int rc)
{
	(void)rc;
	return !close(rig->fd) && !sysfs_write("poll_cpus", "\n");
}

static bool open_fdinfo(struct rig *rig)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", rig->region);
	rig->fd = open(path, O_RDONLY | O_CLOEXEC);
	return rig->fd >= 0;
}

static int run_fdinfo(struct rig *rig)
{
	char text[512];

	return pread(rig->fd, text, sizeof(text), 0) > 0 ? 0 : -errno;
}

static bool close_file(struct rig *rig, int rc)
{
	(void)rc;
	return !close(rig->fd);
}

/* -------------------------------------------------------------- the failures */

/* Those that its maker is charged with. */
static int bells_of(int region)
{
	struct pinring_ioc_region_info info = ARG(pinring_ioc_region_info);
	int rc = call(region, PINRING_IOC_REGION_INFO, &info);

	return rc ? rc : (int)info.doorbells;
}

FIXTURE(fail_nth) {
	struct rig rig;
	struct faults faults;
};

FIXTURE_VARIANT(fail_nth) {
	struct fault_call call;
};

FIXTURE_SETUP(fail_nth)
{
	const char *why = faults_prepare();
	struct rig *rig = &self->rig;

	if (why) {
		SKIP(return, "%s", why);
	}
	ASSERT_EQ(0, faults_open(&self->faults));
	rig->device = device_open();
	ASSERT_GE(rig->device, 0);
	rig->region = region_on(0, LARGE, 0);
	ASSERT_GE(rig->region, 0);
	/* room for run_mremap() behind it */
	rig->p = mmap(NULL, 2 * LARGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)rig->p);
	ASSERT_EQ(rig->p, mmap(rig->p, LARGE, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_FIXED, rig->region, 0));
	memset(rig->p, 0xa5, LARGE);
	memset(rig->p + BELL, 0, FREE_BELL);
	rig->event = eventfd(0, EFD_CLOEXEC);
	ASSERT_GE(rig->event, 0);
	rig->bell = doorbell(rig->region, BELL, rig->event, 0);
	ASSERT_GE(rig->bell, 0);
}

FIXTURE_TEARDOWN(fail_nth)
{
	struct rig *rig = &self->rig;

	close(rig->bell);
	close(rig->event);
	munmap(rig->p, 2 * LARGE);
	close(rig->region);
	close(rig->device);
	faults_close(&self->faults);
}

static void fail(struct __test_metadata *_metadata, FIXTURE_DATA(fail_nth) *self,
		 const struct fault_call *c)
{
	long before = free_memory();
	struct state was = state(), is;
	unsigned int nth = 0, failures = 0;
	bool failed;
	int rc;

	do {
		/* Each one; of the last of a thousand pages, some. */
		nth += nth < 128 ? 1 : nth / 8;
		ASSERT_TRUE(!c->before || c->before(&self->rig));
		ASSERT_EQ(0, faults_arm(&self->faults, nth));
		rc = c->run(&self->rig);
		failed = faults_disarm(&self->faults);
		if (rc < 0) {
			failures++;
			EXPECT_TRUE(failed && (rc == -ENOMEM || rc == c->error)) {
				TH_LOG("failure %u: %s", nth, strerror(-rc));
			}
		}
		ASSERT_TRUE(!c->after || c->after(&self->rig, rc)) {
			TH_LOG("failure %u: %s", nth, strerror(rc < 0 ? -rc : 0));
		}
		is = state();
		ASSERT_EQ(was.fds, is.fds) {
			TH_LOG("failure %u", nth);
		}
		ASSERT_EQ(was.regions, is.regions);
		ASSERT_EQ(was.bytes, is.bytes);
		ASSERT_EQ(was.doorbells, is.doorbells);
		ASSERT_EQ(1, bells_of(self->rig.region));
	} while (failed);
	TH_LOG("%u chances to fail, %u failures", nth - 1, failures);
	EXPECT_GT(nth, 1);
	EXPECT_LT(before - free_memory(), 48 << 10);
}

TEST_F_TIMEOUT(fail_nth, leaves_nothing, 300)
{
	fail(_metadata, self, &variant->call);
}

TEST_F_TIMEOUT(fail_nth, leaves_nothing_when_all_the_rest_fails, 300)
{
	if (variant->call.again) {
		SKIP(return, "the core tries until it has what it takes");
	}
	ASSERT_EQ(0, faults_go_on(true));
	fail(_metadata, self, &variant->call);
	ASSERT_EQ(0, faults_go_on(false));
}

#define CALL(_name, ...) FIXTURE_VARIANT_ADD(fail_nth, _name) { .call = { __VA_ARGS__ } }

CALL(open, .run = run_open, .after = close_it, .error = -EFAULT);
CALL(info, .run = run_info, .error = -EFAULT);
CALL(region_create, .run = run_create, .after = close_it, .error = -EFAULT);
CALL(region_create_strict, .run = run_create_strict, .after = close_it, .error = -EFAULT);
CALL(region_create_allow_small, .run = run_create_allow_small, .after = close_it,
     .error = -EFAULT);
CALL(region_create_small, .run = run_create_small, .after = close_it, .error = -EFAULT);
CALL(region_create_published, .run = run_publish, .after = close_it, .error = -EFAULT);
CALL(region_open, .before = publish_one, .run = run_open_name, .after = close_both,
     .error = -EFAULT);
CALL(region_open_readonly, .before = publish_one, .run = run_open_name_readonly,
     .after = close_both, .error = -EFAULT);
CALL(region_next, .run = run_next, .error = -EFAULT);
CALL(region_info, .run = run_region_info, .error = -EFAULT);
CALL(region_readonly, .run = run_readonly, .after = close_it, .error = -EFAULT);
CALL(region_export, .run = run_export, .after = close_it, .error = -EFAULT);
CALL(region_adopt, .before = map_theirs, .run = run_adopt, .after = unmap_theirs,
     .error = -EFAULT);
CALL(dmabuf_for_a_device, .before = open_importer, .run = run_import,
     .after = close_importer, .error = -EFAULT);
CALL(dmabuf_vmap, .before = import_it, .run = run_vmap, .after = close_importer,
     .error = -EFAULT);
CALL(doorbell_create, .run = run_doorbell, .after = close_it, .error = -EFAULT);
CALL(doorbell_create_device, .run = run_doorbell_device, .after = close_it,
     .error = -EFAULT);
CALL(doorbell_arm, .run = run_arm, .error = -EFAULT);
CALL(ring, .run = run_ring, .error = -EFAULT);
CALL(mmap, .run = run_mmap, .after = unmap);
CALL(mmap_populate, .run = run_mmap_populate, .after = unmap);
CALL(first_touch, .before = map_it, .run = run_touch, .after = unmap_anyway,
     .again = true);
CALL(munmap_of_the_middle, .before = map_and_touch, .run = run_munmap_middle,
     .after = unmap_anyway);
CALL(mprotect_of_the_middle, .before = map_and_touch, .run = run_mprotect_middle,
     .after = unmap_anyway);
CALL(mremap, .before = map_and_touch, .run = run_mremap, .after = unmap_moved);
CALL(fork, .before = map_and_touch, .run = run_fork, .after = child_saw_it,
     .error = -EAGAIN, .again = true);
CALL(reserve_pages, .before = open_reserve, .run = run_reserve,
     .after = reserve_is_true, .error = -EFAULT);
CALL(poll_cpus, .before = open_cpus, .run = run_cpus, .after = close_cpus,
     .error = -EFAULT);
CALL(fdinfo, .before = open_fdinfo, .run = run_fdinfo, .after = close_file,
     .error = -EFAULT);

TEST_HARNESS_MAIN
