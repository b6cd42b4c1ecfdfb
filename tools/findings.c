/* SPDX-License-Identifier: MIT */
/*
 * findings.c - what is there, what is not, and what would change that.
 *
 * The library is asked rather than guessed at: what `info` promises is what a
 * program gets.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include <pinring/pinring.h>

#include "findings.h"
#include "gpus.h"
#include "tool.h"

#define TRIAL_BYTES (4u << 20)

static struct finding *add(struct findings *all, const char *group,
			   const char *name, bool there)
{
	struct finding *f = &all->list[all->count];

	if (all->count < FINDINGS_MAX - 1)
		all->count++;
	f->group = group;
	f->name = name;
	f->there = there;
	return f;
}

__attribute__((format(printf, 2, 3))) static void
detail(struct finding *f, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(f->detail, sizeof(f->detail), format, args);
	va_end(args);
}

__attribute__((format(printf, 2, 3))) static void
need(struct finding *f, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(f->need, sizeof(f->need), format, args);
	va_end(args);
}

static void add_module(struct findings *all, const struct machine *m,
		       const struct pinring_device *device)
{
	bool used = pinring_device_backend(device) == PINRING_BACKEND_MODULE;
	struct finding *f = add(all, "backend", "module", used);

	if (used) {
		detail(f, "/dev/pinring");
		return;
	}
	detail(f, "%s", pinring_device_reason(device));
	if (m->module_device)
		need(f, "the right to open /dev/pinring: its group, or root");
	else if (m->module_loaded)
		need(f, "udevadm trigger, since the module is loaded and has "
			"no device file");
	else if (m->module_installed)
		need(f, "modprobe pinring");
	else
		need(f, "the kernel module: make modules_install");
}

static void add_embedded(struct findings *all, const struct machine *m,
			 struct pinring_device *device)
{
	struct pinring_region_config config =
		pinring_region_defaults(TRIAL_BYTES);
	struct pinring_region_info info =
		PINRING_INIT(struct pinring_region_info);
	struct pinring_region *region;
	struct finding *backend, *f;
	int error;

	config.name = "pinring-info";
	config.flags = PINRING_REGION_PREFAULT;
	error = pinring_region_create(device, &config, &region);
	backend = add(all, "backend", "embedded", !error);
	if (error) {
		detail(backend, "%s", pinring_error());
		need(backend, "%u MiB of free memory", TRIAL_BYTES >> 20);
		return;
	}
	f = add(all, "pages", "huge", false);
	if (pinring_region_info(region, &info)) {
		detail(f, "%s", pinring_error());
	} else {
		f->there = info.huge_bytes >= TRIAL_BYTES;
		detail(backend,
		       "a region of %u MiB came in pages of %" PRIu64
		       " KiB, %" PRIu64 " KiB of it huge",
		       TRIAL_BYTES >> 20, info.page_size / 1024,
		       info.huge_bytes / 1024);
		detail(f, "%s",
		       info.reason[0] ? info.reason : "regions get them");
	}
	if (!f->there && m->has_nodes)
		need(f, "echo 64 > /sys/devices/system/node/node%d/hugepages/"
			"hugepages-2048kB/nr_hugepages",
		     m->nodes[0].number);
	else if (!f->there)
		need(f, "sysctl vm.nr_hugepages=64");
	pinring_region_close(region);
}

static void add_policy(struct findings *all, const struct machine *m)
{
	struct finding *f;
	bool there;

	there = !strcmp(m->thp, "always") || !strcmp(m->thp, "madvise");
	f = add(all, "pages", "transparent", there);
	detail(f, "private memory: %s", m->thp[0] ? m->thp : "not in this kernel");
	if (!there)
		need(f, "echo madvise > "
			"/sys/kernel/mm/transparent_hugepage/enabled");
	there = m->thp_shmem[0] && strcmp(m->thp_shmem, "never") &&
		strcmp(m->thp_shmem, "deny");
	f = add(all, "pages", "shared", there);
	detail(f, "shared memory: %s",
	       m->thp_shmem[0] ? m->thp_shmem : "not in this kernel");
	if (!there)
		need(f, "echo advise > "
			"/sys/kernel/mm/transparent_hugepage/shmem_enabled");
	f = add(all, "limits", "memlock", m->memlock_unlimited);
	if (m->memlock_unlimited) {
		detail(f, "unlimited");
		return;
	}
	detail(f, "%" PRIu64 " KiB of memory may be locked",
	       m->memlock_bytes / 1024);
	need(f, "ulimit -l unlimited, as root or after a line in "
		"/etc/security/limits.conf");
}

static void add_host(struct findings *all, struct pinring_device *device)
{
	struct pinring_executor_config config = pinring_executor_defaults();
	struct pinring_executor_info info =
		PINRING_INIT(struct pinring_executor_info);
	struct pinring_executor *executor;
	struct finding *f;
	int error;

	config.kind = PINRING_EXECUTOR_HOST;
	config.threads = 1;
	error = pinring_executor_start(device, &config, &executor);
	f = add(all, "executor", "host", !error);
	if (error) {
		detail(f, "%s", pinring_error());
		need(f, "a thread and memory for its rings");
		return;
	}
	if (pinring_executor_info(executor, &info))
		detail(f, "%s", pinring_error());
	else
		detail(f, "threads of the process, instruction set %s",
		       info.isa);
	pinring_executor_close(executor, 0);
}

static void add_driver(struct findings *all, const struct machine *m)
{
	struct finding *f = add(all, "gpu", "driver", m->libcuda);

	detail(f, "%s; libcuda.so.1 %s",
	       m->nvidia[0] ? m->nvidia : "no /proc/driver/nvidia",
	       m->libcuda ? "loads" : "does not load");
	if (!m->libcuda)
		need(f, "%sapt-get install %s",
		     m->nvidia[0] ? "" : "an NVIDIA GPU, and ",
		     m->nvidia[0] ? "libcuda1" : "nvidia-driver");
}

/* Where commands are stored decides how long they take to the GPU. */
static void add_placement(struct findings *all,
			  const struct pinring_executor_info *info)
{
	bool apart = !strncmp(info->commands, "in GPU memory", 13);
	struct finding *f = add(all, "executor", "commands", apart);

	detail(f, "%s", info->commands);
	if (!apart)
		need(f, "a driver since 13.3, or gdrcopy: apt-get install "
			"libgdrapi gdrdrv-dkms, then modprobe gdrdrv");
}

/* Each is asked for an executor, so that what would be refused says so itself. */
static void add_gpus(struct findings *all, struct pinring_device *device,
		     const struct gpu *gpus, int count)
{
	static const char *const numbers[GPUS_MAX] = { "0", "1", "2", "3",
						       "4", "5", "6", "7" };
	struct pinring_executor_config config = pinring_executor_defaults();
	struct pinring_executor *executor;
	int i;

	config.kind = PINRING_EXECUTOR_CUDA;
	for (i = 0; i < count; i++) {
		struct finding *f;

		config.gpu = i;
		f = add(all, "gpu", numbers[i],
			!pinring_executor_create(device, &config, &executor));
		gpus_describe(&gpus[i], f->detail, sizeof(f->detail));
		if (f->there)
			pinring_executor_close(executor, 0);
		else
			need(f, "%s", pinring_error());
	}
}

static void add_cuda(struct findings *all, const struct machine *m,
		     struct pinring_device *device)
{
	struct pinring_executor_config config = pinring_executor_defaults();
	struct pinring_executor_info info =
		PINRING_INIT(struct pinring_executor_info);
	struct pinring_executor *executor = NULL;
	struct gpu gpus[GPUS_MAX];
	int count = gpus_read(gpus);
	struct finding *f;

	add_driver(all, m);
	config.kind = PINRING_EXECUTOR_CUDA;
	f = add(all, "executor", "cuda",
		!pinring_executor_create(device, &config, &executor));
	if (!f->there) {
		detail(f, "%s", pinring_error());
		if (!m->libcuda)
			need(f, "a GPU with its driver, and a build of "
				"pinring with the CUDA executor");
		else if (!count)
			need(f, "a GPU that the driver shows: "
				"CUDA_VISIBLE_DEVICES may hide it, and one in "
				"MIG mode needs an instance (nvidia-smi mig)");
	} else if (pinring_executor_info(executor, &info)) {
		detail(f, "%s", pinring_error());
	} else {
		detail(f, "a persistent kernel of %u blocks on GPU 0, %s",
		       info.threads, info.isa);
		add_placement(all, &info);
	}
	/* It keeps GPU 0 open meanwhile, which takes a while to open. */
	add_gpus(all, device, gpus, count);
	pinring_executor_close(executor, 0);
}

static void add_feature(struct findings *all, const char *name, bool built,
			const char *what, const char *package)
{
	struct finding *f = add(all, "tool", name, built);

	detail(f, "%s", what);
	if (!built)
		need(f, "apt-get install %s, then build again", package);
}

#if HAVE_SNDFILE
#define SNDFILE_BUILT true
#else
#define SNDFILE_BUILT false
#endif
#if HAVE_SAMPLERATE
#define SAMPLERATE_BUILT true
#else
#define SAMPLERATE_BUILT false
#endif
#if HAVE_CURSES
#define CURSES_BUILT true
#else
#define CURSES_BUILT false
#endif
#if HAVE_PNG
#define PNG_BUILT true
#else
#define PNG_BUILT false
#endif

int findings_gather(struct findings *all, const struct machine *m)
{
	struct pinring_device *device;

	memset(all, 0, sizeof(*all));
	if (pinring_device_open(NULL, &device))
		return tool_fail(TOOL_FAILED, "info", "no backend opens: %s",
				 pinring_error());
	add_module(all, m, device);
	add_embedded(all, m, device);
	add_policy(all, m);
	add_host(all, device);
	add_cuda(all, m, device);
	pinring_device_close(device);
	add_feature(all, "sound", SNDFILE_BUILT, "sound files, by libsndfile",
		    "libsndfile1-dev");
	add_feature(all, "resample", SAMPLERATE_BUILT,
		    "other sampling rates, by libsamplerate",
		    "libsamplerate0-dev");
	add_feature(all, "picture", PNG_BUILT, "pictures, by libpng",
		    "libpng-dev");
	add_feature(all, "screen", CURSES_BUILT, "pinring top, by ncurses",
		    "libncurses-dev");
	return TOOL_OK;
}
