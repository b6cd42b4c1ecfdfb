// SPDX-License-Identifier: MIT
/* peers.c - which queues there are on this machine. */
#include <stdio.h>

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

/* ------------------------------------------------------------- who is not here */
void bench_missing_peers(char *text, size_t size)
{
	static const struct {
		const struct flow_queue *(*flow)(void);
		const struct crowd_queue *(*crowd)(void);
		const char *package;
	} peers_of[] = {
		{ flow_deque, NULL, "g++" },
		{ flow_ck, NULL, "libck-dev" },
		{ flow_dpdk, NULL, "libdpdk-dev" },
		{ flow_boost, NULL, "libboost-dev" },
		{ flow_camel, NULL, "libreaderwriterqueue-dev" },
		{ flow_atomic_queue, NULL, "libatomic-queue-dev" },
		{ NULL, crowd_camel, "libconcurrentqueue-dev" },
		{ NULL, crowd_tbb, "libtbb-dev" },
	};
	const char *before = ", without the peers of ";
	size_t n = 0;
	unsigned int i;

	for (i = 0; i < sizeof(peers_of) / sizeof(peers_of[0]); i++) {
		if ((peers_of[i].flow && peers_of[i].flow()) ||
		    (peers_of[i].crowd && peers_of[i].crowd()))
			continue;
		n += (size_t)snprintf(text + n, size - n, "%s%s", before,
				      peers_of[i].package);
		before = ", ";
	}
}
