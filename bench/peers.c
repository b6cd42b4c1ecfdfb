// SPDX-License-Identifier: MIT
/* peers.c - which queues there are on this machine. */
#include "crowd.h"
#include "flow.h"
#include "measure.h"

/* Where C++ is missing, the symbols of what it wraps are too. */
static const struct flow_queue *(*const peers[])(void) = {
	flow_locked, flow_deque, flow_ck, flow_dpdk, flow_boost,
	flow_camel, flow_atomic_queue, flow_optimist,
};

const struct flow_queue *flow_peer(unsigned int i)
{
	unsigned int k;

	for (k = 0; k < sizeof(peers) / sizeof(peers[0]); k++) {
		const struct flow_queue *kind = peers[k] ? peers[k]() : NULL;

		if (kind && !i--)
			return kind;
	}
	return NULL;
}

void *flow_open(struct pinring_region *region, const struct flow_queue *kind,
		const char *name, bool line)
{
	struct pinring_object_info o;
	int rc;

	if (kind->open_in)
		return kind->open_in(region, name, line);
	rc = pinring_object_create(region, name, PINRING_OBJECT_BYTES,
				   kind->bytes[line], 4096, &o);
	if (rc)
		bench_die(name, rc);
	return kind->open(pinring_region_at(region, o.offset, o.length), line);
}

static const struct crowd_queue *(*const crowds[])(void) = {
	crowd_ours,	crowd_lanes,	 crowd_locked,	     crowd_deque,
	crowd_vyukov,	crowd_ck,	 crowd_ck_mpsc,	     crowd_ck_spmc,
	crowd_dpdk_mt,	crowd_dpdk_mpsc, crowd_dpdk_spmc,    crowd_dpdk_hts,
	crowd_dpdk_rts, crowd_boost,	 crowd_tbb,	     crowd_camel,
	crowd_optimist, crowd_atomic_queue,
};

unsigned int crowd_kinds(void)
{
	return sizeof(crowds) / sizeof(crowds[0]);
}

const struct crowd_queue *crowd_kind(unsigned int i)
{
	return crowds[i] ? crowds[i]() : NULL;
}
