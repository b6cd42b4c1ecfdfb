/* SPDX-License-Identifier: MIT */
/*
 * layout_table.c - the structs of pinring_layout.h as a table.
 *
 * Types, offsets and sizes come from the compiler; names and writers are ours.
 * layout.c refuses to print a struct whose fields here leave a byte uncovered,
 * and selftests/tool.sh compares the names with the header.
 */
#include <pinring/pinring_layout.h>

#include "layout.h"

/* The member as an expression that is never evaluated. An array decays. */
#define MEMBER(s, field) (((struct s *)0)->field)

#define TYPE_NAME(x)                                                    \
	_Generic((x),                                                   \
		__u64: "__u64", __u64 *: "__u64",                       \
		__u64 (*)[PINRING_PROFILE_BUCKETS]: "__u64",            \
		__u32: "__u32", __u32 *: "__u32",                       \
		__s32: "__s32", __u16: "__u16", __u8: "__u8",           \
		float: "float", double: "double", char *: "char",       \
		struct pinring_sleepers: "struct pinring_sleepers",     \
		struct pinring_counts: "struct pinring_counts",         \
		struct pinring_line: "struct pinring_line")
#define TYPE_UNIT(x)                                                    \
	_Generic((x),                                                   \
		__u64 *: sizeof(__u64), __u32 *: sizeof(__u32),         \
		__u64 (*)[PINRING_PROFILE_BUCKETS]: sizeof(__u64),      \
		char *: sizeof(char), default: sizeof(x))

#define F(s, field, who)                                          \
	{                                                         \
		#field, TYPE_NAME(MEMBER(s, field)),              \
			TYPE_UNIT(MEMBER(s, field)),              \
			offsetof(struct s, field),                \
			sizeof(MEMBER(s, field)), who             \
	}

static const struct layout_field region_header[] = {
#define R(field, who) F(pinring_region_header, field, who)
	R(magic, "creator"),
	R(abi_version, "creator"),
	R(header_bytes, "creator"),
	R(size, "creator"),
	R(features, "creator"),
	R(page_size, "creator"),
	R(backend, "creator"),
	R(node, "creator"),
	R(objects_max, "creator"),
	R(creator_pid, "creator"),
	R(reserved, "nobody"),
	R(seal, "creator"),
	R(alloc, "any, by cmpxchg"),
	R(alloc_reserved, "nobody"),
#undef R
};

static const struct layout_field object[] = {
#define R(field, who) F(pinring_object, field, who)
	R(tag, "claim by cmpxchg, then creator"),
	R(offset, "creator"),
	R(length, "creator"),
	R(type, "creator"),
	R(reserved0, "nobody"),
	R(name, "creator"),
	R(reserved, "nobody"),
	R(seal, "creator"),
#undef R
};

static const struct layout_field doorbell_lines[] = {
#define R(field, who) F(pinring_doorbell_lines, field, who)
	R(sequence, "ringers, by atomic add"),
	R(ringer_reserved, "nobody"),
	R(armed, "waiter; ringer by cmpxchg to 0"),
	R(waiter_reserved, "nobody"),
#undef R
};

static const struct layout_field sleepers[] = {
#define R(field, who) F(pinring_sleepers, field, who)
	R(ready, "waiter by or, waker by cmpxchg"),
	R(room, "waiter by or, waker by cmpxchg"),
	R(reserved, "nobody"),
#undef R
};

static const struct layout_field counts[] = {
#define R(field, who) F(pinring_counts, field, who)
	R(messages, "its side"),
	R(bytes, "its side"),
	R(refused, "its side"),
	R(waited, "its side"),
#undef R
};

static const struct layout_field spsc_header[] = {
#define R(field, who) F(pinring_spsc_header, field, who)
	R(magic, "creator"),
	R(capacity, "creator"),
	R(slot_bytes, "creator"),
	R(slots_offset, "creator"),
	R(reserved, "nobody"),
	R(seal, "creator"),
	R(tail, "producer"),
	R(producer_closed, "producer"),
	R(sent, "producer"),
	R(producer_reserved, "nobody"),
	R(head, "consumer"),
	R(consumer_closed, "consumer"),
	R(received, "consumer"),
	R(consumer_reserved, "nobody"),
	R(sleepers, "as struct pinring_sleepers"),
#undef R
};

static const struct layout_field line[] = {
#define R(field, who) F(pinring_line, field, who)
	R(payload, "producer; duplex: in turns"),
	R(word, "producer; duplex: in turns"),
#undef R
};

static const struct layout_field line_header[] = {
#define R(field, who) F(pinring_line_header, field, who)
	R(magic, "creator"),
	R(capacity, "creator"),
	R(lines_offset, "creator"),
	R(reserved, "nobody"),
	R(seal, "creator"),
	R(sleepers, "as struct pinring_sleepers"),
	R(producer_closed, "producer"),
	R(sent, "producer"),
	R(producer_reserved, "nobody"),
	R(head, "consumer"),
	R(consumer_closed, "consumer"),
	R(received, "consumer"),
	R(consumer_reserved, "nobody"),
#undef R
};

static const struct layout_field duplex[] = {
#define R(field, who) F(pinring_duplex, field, who)
	R(magic, "creator"),
	R(reserved, "nobody"),
	R(seal, "creator"),
	R(sleepers, "as struct pinring_sleepers"),
	R(line, "caller and server in turns"),
	R(line_reserved, "nobody"),
	R(caller_closed, "caller"),
	R(caller_reserved, "nobody"),
	R(server_closed, "server"),
	R(server_reserved, "nobody"),
#undef R
};

static const struct layout_field bytes_header[] = {
#define R(field, who) F(pinring_bytes_header, field, who)
	R(magic, "creator"),
	R(capacity, "creator"),
	R(records_offset, "creator"),
	R(reserved, "nobody"),
	R(seal, "creator"),
	R(tail, "producer"),
	R(producer_closed, "producer"),
	R(sent, "producer"),
	R(producer_reserved, "nobody"),
	R(head, "consumer"),
	R(consumer_closed, "consumer"),
	R(received, "consumer"),
	R(consumer_reserved, "nobody"),
	R(sleepers, "as struct pinring_sleepers"),
#undef R
};

static const struct layout_field party[] = {
#define R(field, who) F(pinring_party, field, who)
	R(owner, "its side, or any, by cmpxchg"),
	R(born, "its side"),
	R(space, "its side"),
	R(cursor, "its side"),
	R(sent, "its side"),
	R(received, "its side"),
	R(missed, "its side"),
	R(reserved, "nobody"),
#undef R
};

static const struct layout_field mpmc_header[] = {
#define R(field, who) F(pinring_mpmc_header, field, who)
	R(magic, "creator"),
	R(capacity, "creator"),
	R(slot_bytes, "creator"),
	R(stride, "creator"),
	R(parties, "creator"),
	R(parties_offset, "creator"),
	R(slots_offset, "creator"),
	R(reserved, "nobody"),
	R(seal, "creator"),
	R(tail, "producers, by cmpxchg"),
	R(tail_reserved, "nobody"),
	R(head, "consumers, by cmpxchg"),
	R(head_reserved, "nobody"),
	R(closed, "any"),
	R(voided, "any, by atomic add"),
	R(lost, "any, by atomic add"),
	R(rare_reserved, "nobody"),
	R(sleepers, "as struct pinring_sleepers"),
#undef R
};

static const struct layout_field broadcast_header[] = {
#define R(field, who) F(pinring_broadcast_header, field, who)
	R(magic, "creator"),
	R(capacity, "creator"),
	R(slot_bytes, "creator"),
	R(stride, "creator"),
	R(flags, "creator"),
	R(parties, "creator"),
	R(parties_offset, "creator"),
	R(slots_offset, "creator"),
	R(reserved, "nobody"),
	R(seal, "creator"),
	R(tail, "producer; of many: any"),
	R(closed, "producer"),
	R(tail_reserved, "nobody"),
	R(limit, "producer; of many: cmpxchg"),
	R(joins, "consumers, by atomic add"),
	R(voided, "any, by atomic add"),
	R(limit_reserved, "nobody"),
	R(sleepers, "as struct pinring_sleepers"),
#undef R
};

static const struct layout_field tally[] = {
#define R(field, who) F(pinring_tally, field, who)
	R(passed, "outlet"),
	R(dropped, "outlet"),
	R(overwritten, "outlet"),
	R(diverted, "outlet"),
	R(refused, "outlet"),
	R(waited, "outlet"),
	R(crossings, "outlet"),
	R(reserved, "nobody"),
#undef R
};

static const struct layout_field policy_header[] = {
#define R(field, who) F(pinring_policy_header, field, who)
	R(magic, "creator"),
	R(full, "creator"),
	R(parties, "creator"),
	R(timeout_ns, "creator"),
	R(high, "creator"),
	R(low, "creator"),
	R(parties_offset, "creator"),
	R(tallies_offset, "creator"),
	R(reserved, "nobody"),
	R(seal, "creator"),
#undef R
};

static const struct layout_field lane[] = {
#define R(field, who) F(pinring_lane, field, who)
	R(tail, "producer"),
	R(held, "producer"),
	R(sent, "producer"),
	R(producer_reserved, "nobody"),
	R(head, "consumer"),
	R(room, "producer by or, waker by cmpxchg"),
	R(room_reserved, "nobody"),
	R(consumer_reserved, "nobody"),
#undef R
};

static const struct layout_field lanes_partition[] = {
#define R(field, who) F(pinring_lanes_partition, field, who)
	R(ready, "consumer by or, waker by cmpxchg"),
	R(bell, "consumer"),
	R(reserved, "nobody"),
#undef R
};

static const struct layout_field lanes_header[] = {
#define R(field, who) F(pinring_lanes_header, field, who)
	R(magic, "creator"),
	R(capacity, "creator"),
	R(slot_bytes, "creator"),
	R(producers, "creator"),
	R(partitions, "creator"),
	R(parties_offset, "creator"),
	R(partitions_offset, "creator"),
	R(lanes_offset, "creator"),
	R(slots_offset, "creator"),
	R(lane_bytes, "creator"),
	R(reserved, "nobody"),
	R(seal, "creator"),
	R(closed, "any"),
	R(used, "producers, by cmpxchg"),
	R(rare_reserved, "nobody"),
#undef R
};

static const struct layout_field oneshot_slot[] = {
#define R(field, who) F(pinring_oneshot_slot, field, who)
	R(state, "whom it names, by cmpxchg"),
	R(ready, "waiter by or, waker by cmpxchg"),
	R(length, "replier"),
	R(payload, "replier"),
#undef R
};

static const struct layout_field oneshot_tally[] = {
#define R(field, who) F(pinring_oneshot_tally, field, who)
	R(before, "its party"),
	R(counted, "its party, or any, by cmpxchg"),
	R(late, "its party"),
	R(reserved, "nobody"),
#undef R
};

static const struct layout_field oneshot_header[] = {
#define R(field, who) F(pinring_oneshot_header, field, who)
	R(magic, "creator"),
	R(slots, "creator"),
	R(slot_bytes, "creator"),
	R(stride, "creator"),
	R(parties, "creator"),
	R(parties_offset, "creator"),
	R(tallies_offset, "creator"),
	R(slots_offset, "creator"),
	R(reserved, "nobody"),
	R(seal, "creator"),
	R(sleepers, "as struct pinring_sleepers"),
	R(closed, "any"),
	R(closed_reserved, "nobody"),
#undef R
};

static const struct layout_field priority_header[] = {
#define R(field, who) F(pinring_priority_header, field, who)
	R(magic, "creator"),
	R(capacity, "creator"),
	R(slot_bytes, "creator"),
	R(parties, "creator"),
	R(policy, "creator"),
	R(limit, "creator"),
	R(weights, "creator"),
	R(lane_bytes, "creator"),
	R(lanes_offset, "creator"),
	R(reserved, "nobody"),
	R(seal, "creator"),
	R(sleepers, "as struct pinring_sleepers"),
	R(closed, "any"),
	R(closed_reserved, "nobody"),
#undef R
};

static const struct layout_field chain_header[] = {
#define R(field, who) F(pinring_chain_header, field, who)
	R(magic, "creator"),
	R(min_capacity, "creator"),
	R(max_capacity, "creator"),
	R(slot_bytes, "creator"),
	R(factor, "creator"),
	R(check_interval, "creator"),
	R(window, "creator"),
	R(high, "creator"),
	R(low, "creator"),
	R(reserved, "nobody"),
	R(seal, "creator"),
	R(sleepers, "as struct pinring_sleepers"),
	R(tail, "producer"),
	R(producer_closed, "producer"),
	R(grown, "producer"),
	R(shrunk, "producer"),
	R(peak, "producer"),
	R(moved_ns, "producer"),
	R(fill, "producer"),
	R(refused, "producer"),
	R(waited, "producer"),
	R(moves, "producer"),
	R(head, "consumer"),
	R(consumer_closed, "consumer"),
	R(received, "consumer"),
	R(consumer_reserved, "nobody"),
#undef R
};

static const struct layout_field device_slot[] = {
	F(pinring_device_slot, word, "producer"),
};

static const struct layout_field device_ring_header[] = {
#define R(field, who) F(pinring_device_ring_header, field, who)
	R(magic, "creator"),
	R(capacity, "creator"),
	R(slots_offset, "creator"),
	R(reserved, "nobody"),
	R(seal, "creator"),
	R(head, "consumer"),
	R(consumer_reserved, "nobody"),
#undef R
};

static const struct layout_field message_header[] = {
#define R(field, who) F(pinring_message_header, field, who)
	R(id, "sender"),
	R(correlation, "sender"),
	R(source, "sender"),
	R(destination, "sender"),
	R(sent_ns, "sender"),
	R(type, "sender"),
	R(length, "sender"),
	R(payload_offset, "sender"),
	R(priority, "sender"),
	R(hops, "sender"),
	R(flags, "sender"),
	R(reserved, "nobody"),
#undef R
};

static const struct layout_field control_block[] = {
#define R(field, who) F(pinring_control_block, field, who)
	R(wanted, "host"),
	R(host_heartbeat, "host"),
	R(kind, "host"),
	R(gpu, "host"),
	R(workers, "host"),
	R(commands_apart, "host"),
	R(gpu_bytes, "host"),
	R(host_reserved, "nobody"),
	R(reached, "executor"),
	R(heartbeat, "executor"),
	R(taken, "executor"),
	R(completed, "executor"),
	R(error, "executor"),
	R(error_id, "executor"),
	R(error_operation, "executor"),
	R(error_reason, "executor"),
	R(fed, "executor"),
	R(executor_reserved, "nobody"),
#undef R
};

static const struct layout_field telemetry[] = {
#define R(field, who) F(pinring_telemetry, field, who)
	R(processed, "executor"),
	R(failed, "executor"),
	R(elements, "executor"),
	R(busy_ns, "executor"),
	R(last_ns, "executor"),
	R(longest_ns, "executor"),
	R(sleeps, "executor"),
	R(reserved, "nobody"),
#undef R
};

static const struct layout_field profile[] = {
#define R(field, who) F(pinring_profile, field, who)
	R(alive_ns, "executor"),
	R(idle_ns, "executor"),
	R(reserved, "nobody"),
	R(burst, "executor"),
	R(duration, "executor"),
#undef R
};

static const struct layout_field wave_state[] = {
#define R(field, who) F(pinring_wave_state, field, who)
	R(magic, "host, no command in flight"),
	R(nx, "host, no command in flight"),
	R(ny, "host, no command in flight"),
	R(nz, "host, no command in flight"),
	R(wall, "host, no command in flight"),
	R(lambda2, "host, no command in flight"),
	R(fields_offset, "host, no command in flight"),
	R(reserved, "nobody"),
	R(steps, "executor"),
	R(executor_reserved, "nobody"),
#undef R
};

#define S(name)                                                       \
	{                                                             \
		"pinring_" #name, sizeof(struct pinring_##name),      \
			_Alignof(struct pinring_##name), name,        \
			sizeof(name) / sizeof((name)[0])              \
	}

const struct layout_struct layout_structs[] = {
	S(region_header),
	S(object),
	S(doorbell_lines),
	S(sleepers),
	S(counts),
	S(spsc_header),
	S(line),
	S(line_header),
	S(duplex),
	S(bytes_header),
	S(party),
	S(mpmc_header),
	S(tally),
	S(policy_header),
	S(broadcast_header),
	S(lane),
	S(lanes_partition),
	S(lanes_header),
	S(oneshot_slot),
	S(oneshot_tally),
	S(oneshot_header),
	S(priority_header),
	S(chain_header),
	S(device_slot),
	S(device_ring_header),
	S(message_header),
	S(control_block),
	S(telemetry),
	S(profile),
	S(wave_state),
};

const size_t layout_count = sizeof(layout_structs) / sizeof(layout_structs[0]);
