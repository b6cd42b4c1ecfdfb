/* SPDX-License-Identifier: GPL-2.0 */
/*
 * trace.h - tracepoints: /sys/kernel/tracing/events/pinring.
 *
 * A region is told by its id, a doorbell by that and its offset.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM pinring

#if !defined(PINRING_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define PINRING_TRACE_H

#include <linux/tracepoint.h>

#include "pinring.h"

TRACE_EVENT(region_create,
	TP_PROTO(const struct pinring_region *region),
	TP_ARGS(region),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, size)
		__field(u64, huge_bytes)
		__field(u64, node_bytes)
		__field(int, node)
	),
	TP_fast_assign(
		__entry->id = region->id;
		__entry->size = region->size;
		__entry->huge_bytes = region->memory.huge_bytes;
		__entry->node_bytes = region->memory.node_bytes;
		__entry->node = region->node;
	),
	TP_printk("id=%llu size=%llu huge_bytes=%llu node=%d node_bytes=%llu",
		  __entry->id, __entry->size, __entry->huge_bytes, __entry->node,
		  __entry->node_bytes)
);

TRACE_EVENT(region_map,
	TP_PROTO(const struct pinring_region *region,
		 const struct vm_area_struct *vma),
	TP_ARGS(region, vma),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(unsigned long, start)
		__field(unsigned long, end)
		__field(unsigned long, pgoff)
	),
	TP_fast_assign(
		__entry->id = region->id;
		__entry->start = vma->vm_start;
		__entry->end = vma->vm_end;
		__entry->pgoff = vma->vm_pgoff;
	),
	TP_printk("id=%llu start=%#lx end=%#lx pgoff=%lu", __entry->id,
		  __entry->start, __entry->end, __entry->pgoff)
);

TRACE_EVENT(region_free,
	TP_PROTO(const struct pinring_region *region),
	TP_ARGS(region),
	TP_STRUCT__entry(
		__field(u64, id)
	),
	TP_fast_assign(
		__entry->id = region->id;
	),
	TP_printk("id=%llu", __entry->id)
);

DECLARE_EVENT_CLASS(doorbell,
	TP_PROTO(const struct pinring_bell *bell),
	TP_ARGS(bell),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, offset)
		__field(u64, sequence)
	),
	TP_fast_assign(
		__entry->id = bell->region->id;
		__entry->offset = (u64)bell->index * PINRING_SEPARATION;
		__entry->sequence = READ_ONCE(*bell->sequence);
	),
	TP_printk("id=%llu offset=%llu sequence=%llu", __entry->id,
		  __entry->offset, __entry->sequence)
);

DEFINE_EVENT(doorbell, doorbell_arm,
	TP_PROTO(const struct pinring_bell *bell), TP_ARGS(bell));
DEFINE_EVENT(doorbell, doorbell_ring,
	TP_PROTO(const struct pinring_bell *bell), TP_ARGS(bell));
DEFINE_EVENT(doorbell, doorbell_signal,
	TP_PROTO(const struct pinring_bell *bell), TP_ARGS(bell));

/* ns is 0 for a sleep until a bell is armed. */
TRACE_EVENT(poller_sleep,
	TP_PROTO(int node, u64 ns),
	TP_ARGS(node, ns),
	TP_STRUCT__entry(
		__field(int, node)
		__field(u64, ns)
	),
	TP_fast_assign(
		__entry->node = node;
		__entry->ns = ns;
	),
	TP_printk("node=%d ns=%llu", __entry->node, __entry->ns)
);

TRACE_EVENT(poller_wake,
	TP_PROTO(int node),
	TP_ARGS(node),
	TP_STRUCT__entry(
		__field(int, node)
	),
	TP_fast_assign(
		__entry->node = node;
	),
	TP_printk("node=%d", __entry->node)
);

#endif /* PINRING_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
