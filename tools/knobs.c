/* SPDX-License-Identifier: MIT */
/*
 * knobs.c - what an administrator can set, as docs/sysfs.md has it.
 */
#include "knobs.h"

#define POLL_US_MAX 1000000

const struct knob knobs[] = {
	{
		.name = "max_bytes",
		.unit = KNOB_BYTES,
		.max = INT64_MAX,
		.at_load = "half of the machine's memory",
		.brief = "memory of all regions together",
		.what = "Bounds the memory that regions have together, whoever made them. Regions\n"
			"that exist keep theirs: only new ones are refused (EDQUOT). 0 forbids new\n"
			"regions. It does not bind whoever has CAP_SYS_RESOURCE, as root has.",
		.when = "Lower it where other programs need the memory, because a region's can\n"
			"neither be swapped out nor reclaimed; raise it on a machine that is\n"
			"there for pinring.",
	},
	{
		.name = "max_bytes_per_user",
		.unit = KNOB_BYTES,
		.max = INT64_MAX,
		.at_load = "a quarter of the machine's memory",
		.brief = "memory of regions that one user made",
		.what = "Bounds the memory of regions that one user made, whoever holds them\n"
			"now. Otherwise as max_bytes. RLIMIT_MEMLOCK (ulimit -l) bounds it, too,\n"
			"and may well be lower.",
		.when = "Lower it on a machine that people share; raise it for a service that\n"
			"runs as a user of its own and is refused memory.",
	},
	{
		.name = "max_regions_per_user",
		.unit = KNOB_COUNT,
		.noun = "regions",
		.max = INT64_MAX,
		.at_load = "1024",
		.brief = "regions that one user made",
		.what = "Bounds how many regions one user may have made. Otherwise as max_bytes.",
		.when = "Raise it for a program that has a region for each of its clients.",
	},
	{
		.name = "max_doorbells_per_user",
		.unit = KNOB_COUNT,
		.noun = "doorbells",
		.max = INT64_MAX,
		.at_load = "256",
		.brief = "doorbells on regions that one user made",
		.what = "Bounds the doorbells on regions that one user made. Otherwise as\n"
			"max_bytes.",
		.when = "Raise it if it is reached. Each doorbell of a device makes the poller's\n"
			"round longer, so that all of them are seen later.",
	},
	{
		.name = "poll_spin_us",
		.unit = KNOB_US,
		.max = POLL_US_MAX,
		.at_load = "50 us",
		.brief = "how long a poller spins after a ring",
		.what = "A poller, one kernel thread a node, looks at the doorbells of devices. For\n"
			"so long after a ring it looks again without pause, then it sleeps.",
		.when = "Raise it where rings follow one another closely and each microsecond\n"
			"counts: it costs a CPU for as long. 0: it never spins.",
	},
	{
		.name = "poll_sleep_us",
		.unit = KNOB_US,
		.min = 1,
		.max = POLL_US_MAX,
		.at_load = "50 us",
		.brief = "how long a poller sleeps between two looks",
		.what = "While a doorbell is armed the poller looks at it so often. A device's ring\n"
			"is seen within 5/4 of it and what the scheduler takes; worst_wake_ns tells\n"
			"the longest so far. While none is armed it sleeps without end.",
		.when = "Lower it for a shorter latency, raise it for fewer wake-ups of the CPU.\n"
			"Rings by a CPU do not depend on it: they signal at once.",
	},
	{
		.name = "poll_cpus",
		.unit = KNOB_CPUS,
		.at_load = "empty: all of each node",
		.brief = "that pollers may run on, as in 0-3,8",
		.what = "The poller of a node takes those of these CPUs that its node has, or if\n"
			"that is none, all of them. Empty: all CPUs of its node.",
		.when = "Set it to keep pollers off CPUs that are isolated for other work, or\n"
			"to give them a CPU of their own. \"all\" empties it again.",
	},
	{
		.name = "reserve_pages",
		.per_node = true,
		.unit = KNOB_PAGES,
		.max = UINT32_MAX,
		.at_load = "0, or the module's parameter reserve=N0,N1,...",
		.brief = "put by for regions on this node",
		.what = "Huge pages of 2 MiB that are put by for regions, those that regions have\n"
			"taken included. A region takes one when the node has none at hand, and\n"
			"gives it back when it goes. If the node has fewer than asked for, as many\n"
			"are kept. Fewer than before: what is not in use is freed at once, the rest\n"
			"when it comes back.",
		.when = "Fill it soon after boot, while the node's memory is not yet fragmented,\n"
			"if regions must get huge pages later. It may be given as a size: 1G is\n"
			"512 pages.",
	},
};

const size_t knobs_count = sizeof(knobs) / sizeof(knobs[0]);
