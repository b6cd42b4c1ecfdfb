// SPDX-License-Identifier: MIT
/* probe.c - what the machine is, as far as the figures hang on it. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "gpu.h"
#include "probe.h"
#include "rows.h"

static void fact(const char *name, const char *unit, double value,
		 const char *note)
{
	struct row row = { .name = name, .unit = unit, .once = true };

	series_add(&row.value, value);
	snprintf(row.note, sizeof(row.note), "%s", note);
	group_row(&row);
}

/* The first line of a file of the GPU's in sysfs, or "". */
static void sysfs(const struct gpu *g, const char *name, char *line,
		  size_t size)
{
	char path[160], bus[32];
	size_t i;
	FILE *f;

	for (i = 0; i < sizeof(bus) - 1 && g->bus[i]; i++)
		bus[i] = (char)tolower((unsigned char)g->bus[i]);
	bus[i] = '\0';
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", bus, name);
	line[0] = '\0';
	f = fopen(path, "re");
	if (f && !fgets(line, (int)size, f))
		line[0] = '\0';
	if (f)
		fclose(f);
	line[strcspn(line, "\n")] = '\0';
}

static double number_in(const char *line)
{
	double value;

	return sscanf(line, "%lf", &value) == 1 ? value : -1.0;
}

static double huge_pages_free(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	double pages = -1.0;
	char line[128];

	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "HugePages_Free:", 15))
			pages = number_in(line + 15);
	}
	if (f)
		fclose(f);
	return pages;
}

static void clocks(char *line, size_t size)
{
	FILE *f = popen("nvidia-smi --query-gpu=driver_version,clocks.sm,clocks.mem,clocks.max.sm,compute_mode,mig.mode.current --format=csv,noheader 2>/dev/null",
			"re");

	line[0] = '\0';
	if (f && !fgets(line, (int)size, f))
		line[0] = '\0';
	if (f)
		pclose(f);
	line[strcspn(line, "\n")] = '\0';
}

void bench_gpu_probe(const struct gpu_options *o)
{
	static const struct {
		const char *name, *unit;
		int attribute;
		double scale;
	} attributes[] = {
		{ "SMs", "", CUDA_ATTRIBUTE_SMS, 1.0 },
		{ "threads an SM holds", "", CUDA_ATTRIBUTE_SM_THREADS, 1.0 },
		{ "clock", "MHz", CUDA_ATTRIBUTE_CLOCK, 1e-3 },
		{ "memory clock", "MHz", CUDA_ATTRIBUTE_MEMORY_CLOCK, 1e-3 },
		{ "memory bus", "bits", CUDA_ATTRIBUTE_BUS_WIDTH, 1.0 },
		{ "L2", "MiB", CUDA_ATTRIBUTE_L2_BYTES, 1.0 / 1048576 },
		{ "native atomics to host memory", "", CUDA_ATTRIBUTE_HOST_ATOMICS,
		  1.0 },
		{ "pageable memory access", "", CUDA_ATTRIBUTE_PAGEABLE, 1.0 },
		{ "registered memory at the same address", "",
		  CUDA_ATTRIBUTE_SAME_POINTER, 1.0 },
		{ "GPUDirect RDMA", "", CUDA_ATTRIBUTE_RDMA, 1.0 },
		{ "dma-buf export", "", CUDA_ATTRIBUTE_DMABUF, 1.0 },
		{ "cooperative launch", "", CUDA_ATTRIBUTE_COOPERATIVE_LAUNCH,
		  1.0 },
		{ "NUMA node, says the driver", "", CUDA_ATTRIBUTE_HOST_NODE,
		  1.0 },
	};
	struct pinring_bar bar;
	struct rlimit memlock;
	struct gpu g;
	char line[160];
	unsigned int i;
	int mode = 0;

	gpu_open(&g, o);
	for (i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++)
		fact(attributes[i].name, attributes[i].unit,
		     attributes[i].scale *
			     gpu_attribute(&g, attributes[i].attribute),
		     "");
	sysfs(&g, "numa_node", line, sizeof(line));
	fact("NUMA node, says sysfs", "", number_in(line), "");
	sysfs(&g, "current_link_speed", line, sizeof(line));
	fact("PCIe link", "GT/s", number_in(line), line);
	sysfs(&g, "current_link_width", line, sizeof(line));
	fact("PCIe lanes", "", number_in(line), g.bus);
	fact("/dev/gdrdrv", "", access("/dev/gdrdrv", F_OK) ? 0.0 : 1.0, "");
	pinring_bar_open(g.cuda, 65536, &bar);
	fact("GPU memory mapped for the CPU", "", bar.base ? 1.0 : 0.0,
	     bar.text);
	fact("huge pages free", "", huge_pages_free(), "of the default size");
	if (!getrlimit(RLIMIT_MEMLOCK, &memlock))
		fact("RLIMIT_MEMLOCK", "MiB",
		     memlock.rlim_cur == RLIM_INFINITY ?
			     -1.0 :
			     (double)memlock.rlim_cur / 1048576.0,
		     "-1: no limit");
	if (g.cuda->loading_mode && !g.cuda->loading_mode(&mode))
		fact("kernels are loaded", "", mode, "1: at once, 2: lazily");
	clocks(line, sizeof(line));
	if (line[0])
		fact("nvidia-smi", "", 1.0, line);
}

void probe_name(const struct gpu_options *o, void *arg)
{
	struct probe *p = arg;
	char line[32];
	struct gpu g;

	gpu_open(&g, o);
	g.call.driver_version(&p->driver);
	snprintf(p->device, sizeof(p->device), "%s", g.name);
	sysfs(&g, "numa_node", line, sizeof(line));
	p->node = line[0] ? (int)number_in(line) : -1;
}
