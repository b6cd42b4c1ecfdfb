// SPDX-License-Identifier: MIT
/*
 * What lies in shared memory keeps its place: sizes, offsets and numbers as
 * literals, so that this file and the header's own asserts must both be changed
 * before two builds of pinring stop understanding each other. And the bits of a
 * command and a completion, one by one.
 */
#include <kselftest_harness.h>

#include <stddef.h>

#include <pinring/command.h>
#include <pinring/pinring_layout.h>

struct field {
	const char *name;
	size_t offset, size;
};

#define SEEN(type, field) \
	{ #field, offsetof(struct type, field), sizeof(((struct type *)0)->field) }

struct field_case {
	struct field expected, seen;
};

#define AT(type, field, at, bytes) \
	{ { #field, (at), (bytes) }, SEEN(type, field) }

struct struct_case {
	const char *name;
	size_t size, expected_size, align, expected_align;
	const struct field_case *fields;
	size_t n;
};

static const struct field_case region_header[] = {
	AT(pinring_region_header, magic, 0, 8),
	AT(pinring_region_header, abi_version, 8, 4),
	AT(pinring_region_header, header_bytes, 12, 4),
	AT(pinring_region_header, size, 16, 8),
	AT(pinring_region_header, features, 24, 8),
	AT(pinring_region_header, page_size, 32, 8),
	AT(pinring_region_header, backend, 40, 4),
	AT(pinring_region_header, node, 44, 4),
	AT(pinring_region_header, objects_max, 48, 4),
	AT(pinring_region_header, creator_pid, 52, 4),
	AT(pinring_region_header, reserved, 56, 64),
	AT(pinring_region_header, seal, 120, 8),
	AT(pinring_region_header, alloc, 128, 8),
	AT(pinring_region_header, alloc_reserved, 136, 120),
};

static const struct field_case object[] = {
	AT(pinring_object, tag, 0, 8),
	AT(pinring_object, offset, 8, 8),
	AT(pinring_object, length, 16, 8),
	AT(pinring_object, type, 24, 4),
	AT(pinring_object, reserved0, 28, 4),
	AT(pinring_object, name, 32, 64),
	AT(pinring_object, reserved, 96, 24),
	AT(pinring_object, seal, 120, 8),
};

static const struct field_case doorbell_lines[] = {
	AT(pinring_doorbell_lines, sequence, 0, 8),
	AT(pinring_doorbell_lines, ringer_reserved, 8, 120),
	AT(pinring_doorbell_lines, armed, 128, 8),
	AT(pinring_doorbell_lines, waiter_reserved, 136, 120),
};

static const struct field_case party[] = {
	AT(pinring_party, owner, 0, 8),
	AT(pinring_party, born, 8, 8),
	AT(pinring_party, space, 16, 8),
	AT(pinring_party, cursor, 24, 8),
	AT(pinring_party, sent, 32, 32),
	AT(pinring_party, received, 64, 32),
	AT(pinring_party, missed, 96, 8),
	AT(pinring_party, reserved, 104, 24),
};

static const struct field_case mpmc_header[] = {
	AT(pinring_mpmc_header, magic, 0, 8),
	AT(pinring_mpmc_header, capacity, 8, 8),
	AT(pinring_mpmc_header, slot_bytes, 16, 8),
	AT(pinring_mpmc_header, stride, 24, 8),
	AT(pinring_mpmc_header, parties, 32, 8),
	AT(pinring_mpmc_header, parties_offset, 40, 8),
	AT(pinring_mpmc_header, slots_offset, 48, 8),
	AT(pinring_mpmc_header, reserved, 56, 64),
	AT(pinring_mpmc_header, seal, 120, 8),
	AT(pinring_mpmc_header, tail, 128, 8),
	AT(pinring_mpmc_header, tail_reserved, 136, 120),
	AT(pinring_mpmc_header, head, 256, 8),
	AT(pinring_mpmc_header, head_reserved, 264, 120),
	AT(pinring_mpmc_header, closed, 384, 8),
	AT(pinring_mpmc_header, voided, 392, 8),
	AT(pinring_mpmc_header, lost, 400, 8),
	AT(pinring_mpmc_header, rare_reserved, 408, 104),
	AT(pinring_mpmc_header, sleepers, 512, 128),
};

static const struct field_case broadcast_header[] = {
	AT(pinring_broadcast_header, magic, 0, 8),
	AT(pinring_broadcast_header, capacity, 8, 8),
	AT(pinring_broadcast_header, slot_bytes, 16, 8),
	AT(pinring_broadcast_header, stride, 24, 8),
	AT(pinring_broadcast_header, flags, 32, 4),
	AT(pinring_broadcast_header, parties, 36, 4),
	AT(pinring_broadcast_header, parties_offset, 40, 8),
	AT(pinring_broadcast_header, slots_offset, 48, 8),
	AT(pinring_broadcast_header, reserved, 56, 64),
	AT(pinring_broadcast_header, seal, 120, 8),
	AT(pinring_broadcast_header, tail, 128, 8),
	AT(pinring_broadcast_header, closed, 136, 8),
	AT(pinring_broadcast_header, tail_reserved, 144, 112),
	AT(pinring_broadcast_header, limit, 256, 8),
	AT(pinring_broadcast_header, joins, 264, 8),
	AT(pinring_broadcast_header, voided, 272, 8),
	AT(pinring_broadcast_header, limit_reserved, 280, 104),
	AT(pinring_broadcast_header, sleepers, 384, 128),
};

static const struct field_case tally[] = {
	AT(pinring_tally, passed, 0, 8),
	AT(pinring_tally, dropped, 8, 8),
	AT(pinring_tally, overwritten, 16, 8),
	AT(pinring_tally, diverted, 24, 8),
	AT(pinring_tally, refused, 32, 8),
	AT(pinring_tally, waited, 40, 8),
	AT(pinring_tally, crossings, 48, 8),
	AT(pinring_tally, reserved, 56, 72),
};

static const struct field_case policy_header[] = {
	AT(pinring_policy_header, magic, 0, 8),
	AT(pinring_policy_header, full, 8, 4),
	AT(pinring_policy_header, parties, 12, 4),
	AT(pinring_policy_header, timeout_ns, 16, 8),
	AT(pinring_policy_header, high, 24, 8),
	AT(pinring_policy_header, low, 32, 8),
	AT(pinring_policy_header, parties_offset, 40, 8),
	AT(pinring_policy_header, tallies_offset, 48, 8),
	AT(pinring_policy_header, reserved, 56, 64),
	AT(pinring_policy_header, seal, 120, 8),
};

static const struct field_case lane[] = {
	AT(pinring_lane, tail, 0, 8),
	AT(pinring_lane, held, 8, 8),
	AT(pinring_lane, sent, 16, 32),
	AT(pinring_lane, producer_reserved, 48, 80),
	AT(pinring_lane, head, 128, 8),
	AT(pinring_lane, room, 136, 4),
	AT(pinring_lane, room_reserved, 140, 4),
	AT(pinring_lane, consumer_reserved, 144, 112),
};

static const struct field_case lanes_partition[] = {
	AT(pinring_lanes_partition, ready, 0, 4),
	AT(pinring_lanes_partition, bell, 4, 4),
	AT(pinring_lanes_partition, reserved, 8, 120),
};

static const struct field_case lanes_header[] = {
	AT(pinring_lanes_header, magic, 0, 8),
	AT(pinring_lanes_header, capacity, 8, 8),
	AT(pinring_lanes_header, slot_bytes, 16, 8),
	AT(pinring_lanes_header, producers, 24, 8),
	AT(pinring_lanes_header, partitions, 32, 8),
	AT(pinring_lanes_header, parties_offset, 40, 8),
	AT(pinring_lanes_header, partitions_offset, 48, 8),
	AT(pinring_lanes_header, lanes_offset, 56, 8),
	AT(pinring_lanes_header, slots_offset, 64, 8),
	AT(pinring_lanes_header, lane_bytes, 72, 8),
	AT(pinring_lanes_header, reserved, 80, 40),
	AT(pinring_lanes_header, seal, 120, 8),
	AT(pinring_lanes_header, closed, 128, 8),
	AT(pinring_lanes_header, used, 136, 8),
	AT(pinring_lanes_header, rare_reserved, 144, 112),
};

static const struct field_case sleepers[] = {
	AT(pinring_sleepers, ready, 0, 4),
	AT(pinring_sleepers, room, 4, 4),
	AT(pinring_sleepers, reserved, 8, 120),
};

static const struct field_case counts[] = {
	AT(pinring_counts, messages, 0, 8),
	AT(pinring_counts, bytes, 8, 8),
	AT(pinring_counts, refused, 16, 8),
	AT(pinring_counts, waited, 24, 8),
};

static const struct field_case spsc_header[] = {
	AT(pinring_spsc_header, magic, 0, 8),
	AT(pinring_spsc_header, capacity, 8, 8),
	AT(pinring_spsc_header, slot_bytes, 16, 8),
	AT(pinring_spsc_header, slots_offset, 24, 8),
	AT(pinring_spsc_header, reserved, 32, 88),
	AT(pinring_spsc_header, seal, 120, 8),
	AT(pinring_spsc_header, tail, 128, 8),
	AT(pinring_spsc_header, producer_closed, 136, 8),
	AT(pinring_spsc_header, sent, 144, 32),
	AT(pinring_spsc_header, producer_reserved, 176, 80),
	AT(pinring_spsc_header, head, 256, 8),
	AT(pinring_spsc_header, consumer_closed, 264, 8),
	AT(pinring_spsc_header, received, 272, 32),
	AT(pinring_spsc_header, consumer_reserved, 304, 80),
	AT(pinring_spsc_header, sleepers, 384, 128),
};

static const struct field_case line[] = {
	AT(pinring_line, payload, 0, 56),
	AT(pinring_line, word, 56, 8),
};

static const struct field_case line_header[] = {
	AT(pinring_line_header, magic, 0, 8),
	AT(pinring_line_header, capacity, 8, 8),
	AT(pinring_line_header, lines_offset, 16, 8),
	AT(pinring_line_header, reserved, 24, 96),
	AT(pinring_line_header, seal, 120, 8),
	AT(pinring_line_header, sleepers, 128, 128),
	AT(pinring_line_header, producer_closed, 256, 8),
	AT(pinring_line_header, sent, 264, 32),
	AT(pinring_line_header, producer_reserved, 296, 88),
	AT(pinring_line_header, head, 384, 8),
	AT(pinring_line_header, consumer_closed, 392, 8),
	AT(pinring_line_header, received, 400, 32),
	AT(pinring_line_header, consumer_reserved, 432, 80),
};

static const struct field_case duplex[] = {
	AT(pinring_duplex, magic, 0, 8),
	AT(pinring_duplex, reserved, 8, 112),
	AT(pinring_duplex, seal, 120, 8),
	AT(pinring_duplex, sleepers, 128, 128),
	AT(pinring_duplex, line, 256, 64),
	AT(pinring_duplex, line_reserved, 320, 64),
	AT(pinring_duplex, caller_closed, 384, 8),
	AT(pinring_duplex, caller_reserved, 392, 120),
	AT(pinring_duplex, server_closed, 512, 8),
	AT(pinring_duplex, server_reserved, 520, 120),
};

static const struct field_case bytes_header[] = {
	AT(pinring_bytes_header, magic, 0, 8),
	AT(pinring_bytes_header, capacity, 8, 8),
	AT(pinring_bytes_header, records_offset, 16, 8),
	AT(pinring_bytes_header, reserved, 24, 96),
	AT(pinring_bytes_header, seal, 120, 8),
	AT(pinring_bytes_header, tail, 128, 8),
	AT(pinring_bytes_header, producer_closed, 136, 8),
	AT(pinring_bytes_header, sent, 144, 32),
	AT(pinring_bytes_header, producer_reserved, 176, 80),
	AT(pinring_bytes_header, head, 256, 8),
	AT(pinring_bytes_header, consumer_closed, 264, 8),
	AT(pinring_bytes_header, received, 272, 32),
	AT(pinring_bytes_header, consumer_reserved, 304, 80),
	AT(pinring_bytes_header, sleepers, 384, 128),
};

static const struct field_case oneshot_slot[] = {
	AT(pinring_oneshot_slot, state, 0, 8),
	AT(pinring_oneshot_slot, ready, 8, 4),
	AT(pinring_oneshot_slot, length, 12, 4),
	AT(pinring_oneshot_slot, payload, 16, 48),
};

static const struct field_case oneshot_tally[] = {
	AT(pinring_oneshot_tally, before, 0, 8),
	AT(pinring_oneshot_tally, counted, 8, 40),
	AT(pinring_oneshot_tally, late, 48, 8),
	AT(pinring_oneshot_tally, reserved, 56, 72),
};

static const struct field_case oneshot_header[] = {
	AT(pinring_oneshot_header, magic, 0, 8),
	AT(pinring_oneshot_header, slots, 8, 8),
	AT(pinring_oneshot_header, slot_bytes, 16, 8),
	AT(pinring_oneshot_header, stride, 24, 8),
	AT(pinring_oneshot_header, parties, 32, 8),
	AT(pinring_oneshot_header, parties_offset, 40, 8),
	AT(pinring_oneshot_header, tallies_offset, 48, 8),
	AT(pinring_oneshot_header, slots_offset, 56, 8),
	AT(pinring_oneshot_header, reserved, 64, 56),
	AT(pinring_oneshot_header, seal, 120, 8),
	AT(pinring_oneshot_header, sleepers, 128, 128),
	AT(pinring_oneshot_header, closed, 256, 8),
	AT(pinring_oneshot_header, closed_reserved, 264, 120),
};

static const struct field_case priority_header[] = {
	AT(pinring_priority_header, magic, 0, 8),
	AT(pinring_priority_header, capacity, 8, 8),
	AT(pinring_priority_header, slot_bytes, 16, 8),
	AT(pinring_priority_header, parties, 24, 8),
	AT(pinring_priority_header, policy, 32, 4),
	AT(pinring_priority_header, limit, 36, 4),
	AT(pinring_priority_header, weights, 40, 16),
	AT(pinring_priority_header, lane_bytes, 56, 8),
	AT(pinring_priority_header, lanes_offset, 64, 8),
	AT(pinring_priority_header, reserved, 72, 48),
	AT(pinring_priority_header, seal, 120, 8),
	AT(pinring_priority_header, sleepers, 128, 128),
	AT(pinring_priority_header, closed, 256, 8),
	AT(pinring_priority_header, closed_reserved, 264, 120),
};

static const struct field_case chain_header[] = {
	AT(pinring_chain_header, magic, 0, 8),
	AT(pinring_chain_header, min_capacity, 8, 8),
	AT(pinring_chain_header, max_capacity, 16, 8),
	AT(pinring_chain_header, slot_bytes, 24, 8),
	AT(pinring_chain_header, factor, 32, 4),
	AT(pinring_chain_header, check_interval, 36, 4),
	AT(pinring_chain_header, window, 40, 4),
	AT(pinring_chain_header, high, 44, 2),
	AT(pinring_chain_header, low, 46, 2),
	AT(pinring_chain_header, reserved, 48, 72),
	AT(pinring_chain_header, seal, 120, 8),
	AT(pinring_chain_header, sleepers, 128, 128),
	AT(pinring_chain_header, tail, 256, 8),
	AT(pinring_chain_header, producer_closed, 264, 8),
	AT(pinring_chain_header, grown, 272, 4),
	AT(pinring_chain_header, shrunk, 276, 4),
	AT(pinring_chain_header, peak, 280, 8),
	AT(pinring_chain_header, moved_ns, 288, 8),
	AT(pinring_chain_header, fill, 296, 8),
	AT(pinring_chain_header, refused, 304, 8),
	AT(pinring_chain_header, waited, 312, 8),
	AT(pinring_chain_header, moves, 320, 64),
	AT(pinring_chain_header, head, 384, 8),
	AT(pinring_chain_header, consumer_closed, 392, 8),
	AT(pinring_chain_header, received, 400, 32),
	AT(pinring_chain_header, consumer_reserved, 432, 80),
};

static const struct field_case device_slot[] = {
	AT(pinring_device_slot, word, 0, 64),
};

static const struct field_case device_ring_header[] = {
	AT(pinring_device_ring_header, magic, 0, 8),
	AT(pinring_device_ring_header, capacity, 8, 8),
	AT(pinring_device_ring_header, slots_offset, 16, 8),
	AT(pinring_device_ring_header, reserved, 24, 96),
	AT(pinring_device_ring_header, seal, 120, 8),
	AT(pinring_device_ring_header, head, 128, 8),
	AT(pinring_device_ring_header, consumer_reserved, 136, 120),
};

static const struct field_case message_header[] = {
	AT(pinring_message_header, id, 0, 8),
	AT(pinring_message_header, correlation, 8, 8),
	AT(pinring_message_header, source, 16, 8),
	AT(pinring_message_header, destination, 24, 8),
	AT(pinring_message_header, sent_ns, 32, 8),
	AT(pinring_message_header, type, 40, 4),
	AT(pinring_message_header, length, 44, 4),
	AT(pinring_message_header, payload_offset, 48, 8),
	AT(pinring_message_header, priority, 56, 1),
	AT(pinring_message_header, hops, 57, 1),
	AT(pinring_message_header, flags, 58, 2),
	AT(pinring_message_header, reserved, 60, 4),
};

static const struct field_case control_block[] = {
	AT(pinring_control_block, wanted, 0, 8),
	AT(pinring_control_block, host_heartbeat, 8, 8),
	AT(pinring_control_block, kind, 16, 4),
	AT(pinring_control_block, gpu, 20, 4),
	AT(pinring_control_block, workers, 24, 4),
	AT(pinring_control_block, commands_apart, 28, 4),
	AT(pinring_control_block, gpu_bytes, 32, 8),
	AT(pinring_control_block, host_reserved, 40, 24),
	AT(pinring_control_block, reached, 64, 8),
	AT(pinring_control_block, heartbeat, 72, 8),
	AT(pinring_control_block, taken, 80, 8),
	AT(pinring_control_block, completed, 88, 8),
	AT(pinring_control_block, error, 96, 4),
	AT(pinring_control_block, error_id, 100, 4),
	AT(pinring_control_block, error_operation, 104, 4),
	AT(pinring_control_block, error_reason, 108, 4),
	AT(pinring_control_block, fed, 112, 8),
	AT(pinring_control_block, executor_reserved, 120, 8),
};

static const struct field_case telemetry[] = {
	AT(pinring_telemetry, processed, 0, 8),
	AT(pinring_telemetry, failed, 8, 8),
	AT(pinring_telemetry, elements, 16, 8),
	AT(pinring_telemetry, busy_ns, 24, 8),
	AT(pinring_telemetry, last_ns, 32, 8),
	AT(pinring_telemetry, longest_ns, 40, 8),
	AT(pinring_telemetry, sleeps, 48, 8),
	AT(pinring_telemetry, reserved, 56, 8),
};

static const struct field_case profile[] = {
	AT(pinring_profile, alive_ns, 0, 8),
	AT(pinring_profile, idle_ns, 8, 8),
	AT(pinring_profile, reserved, 16, 48),
	AT(pinring_profile, burst, 64, 192),
	AT(pinring_profile, duration, 256, 16384),
};

static const struct field_case wave_state[] = {
	AT(pinring_wave_state, magic, 0, 8),
	AT(pinring_wave_state, nx, 8, 4),
	AT(pinring_wave_state, ny, 12, 4),
	AT(pinring_wave_state, nz, 16, 4),
	AT(pinring_wave_state, wall, 20, 4),
	AT(pinring_wave_state, lambda2, 24, 8),
	AT(pinring_wave_state, fields_offset, 32, 8),
	AT(pinring_wave_state, reserved, 40, 88),
	AT(pinring_wave_state, steps, 128, 8),
	AT(pinring_wave_state, executor_reserved, 136, 120),
};

#define STRUCT(type, bytes, aligned)                                       \
	{ "pinring_" #type, sizeof(struct pinring_##type), (bytes),        \
	  _Alignof(struct pinring_##type), (aligned), type, ARRAY_SIZE(type) }

static const struct struct_case structs[] = {
	STRUCT(region_header, 256, 128),
	STRUCT(object, 128, 128),
	STRUCT(doorbell_lines, 256, 128),
	STRUCT(sleepers, 128, 128),
	STRUCT(counts, 32, 8),
	STRUCT(tally, 128, 128),
	STRUCT(policy_header, 128, 128),
	STRUCT(spsc_header, 512, 128),
	STRUCT(line, 64, 64),
	STRUCT(line_header, 512, 128),
	STRUCT(duplex, 640, 128),
	STRUCT(party, 128, 128),
	STRUCT(mpmc_header, 640, 128),
	STRUCT(lanes_header, 256, 128),
	STRUCT(lanes_partition, 128, 128),
	STRUCT(lane, 256, 128),
	STRUCT(bytes_header, 512, 128),
	STRUCT(oneshot_slot, 64, 64),
	STRUCT(oneshot_tally, 128, 128),
	STRUCT(oneshot_header, 384, 128),
	STRUCT(priority_header, 384, 128),
	STRUCT(chain_header, 512, 128),
	STRUCT(broadcast_header, 512, 128),
	STRUCT(device_slot, 64, 64),
	STRUCT(device_ring_header, 256, 128),
	STRUCT(message_header, 64, 64),
	STRUCT(control_block, 128, 128),
	STRUCT(telemetry, 64, 64),
	STRUCT(profile, 16640, 128),
	STRUCT(wave_state, 256, 128),
};

TEST(every_struct_has_its_size_and_alignment)
{
	for (size_t i = 0; i < ARRAY_SIZE(structs); i++) {
		EXPECT_EQ(structs[i].expected_size, structs[i].size)
			TH_LOG("struct %s", structs[i].name);
		EXPECT_EQ(structs[i].expected_align, structs[i].align)
			TH_LOG("struct %s", structs[i].name);
	}
}

TEST(every_field_is_at_its_offset)
{
	for (size_t i = 0; i < ARRAY_SIZE(structs); i++) {
		for (size_t j = 0; j < structs[i].n; j++) {
			const struct field_case *f = &structs[i].fields[j];

			EXPECT_EQ(f->expected.offset, f->seen.offset)
				TH_LOG("%s.%s", structs[i].name, f->seen.name);
			EXPECT_EQ(f->expected.size, f->seen.size)
				TH_LOG("%s.%s", structs[i].name, f->seen.name);
		}
	}
}

/* Padding would be bytes that no seal covers and nobody clears. */
TEST(no_struct_has_padding)
{
	for (size_t i = 0; i < ARRAY_SIZE(structs); i++) {
		size_t at = 0;

		for (size_t j = 0; j < structs[i].n; j++) {
			const struct field *f = &structs[i].fields[j].seen;

			EXPECT_EQ(at, f->offset)
				TH_LOG("a gap before %s.%s", structs[i].name, f->name);
			at = f->offset + f->size;
		}
		EXPECT_EQ(at, structs[i].size)
			TH_LOG("a gap at the end of %s", structs[i].name);
	}
}

/* x86 prefetches lines in adjacent pairs: a pair has one writer. */
TEST(lines_of_different_writers_are_128_bytes_apart)
{
	static const struct {
		const char *what;
		size_t one, other;
	} writers[] = {
		{ "region: creator, allocators",
		  offsetof(struct pinring_region_header, magic),
		  offsetof(struct pinring_region_header, alloc) },
		{ "doorbell: ringer, waiter",
		  offsetof(struct pinring_doorbell_lines, sequence),
		  offsetof(struct pinring_doorbell_lines, armed) },
		{ "SPSC: creator, producer",
		  offsetof(struct pinring_spsc_header, magic),
		  offsetof(struct pinring_spsc_header, tail) },
		{ "SPSC: producer, consumer",
		  offsetof(struct pinring_spsc_header, tail),
		  offsetof(struct pinring_spsc_header, head) },
		{ "SPSC: consumer, sleepers",
		  offsetof(struct pinring_spsc_header, head),
		  offsetof(struct pinring_spsc_header, sleepers) },
		{ "SPSC: sleepers, slots",
		  offsetof(struct pinring_spsc_header, sleepers),
		  sizeof(struct pinring_spsc_header) },
		{ "line ring: creator, sleepers",
		  offsetof(struct pinring_line_header, magic),
		  offsetof(struct pinring_line_header, sleepers) },
		{ "line ring: sleepers, producer",
		  offsetof(struct pinring_line_header, sleepers),
		  offsetof(struct pinring_line_header, producer_closed) },
		{ "line ring: producer, consumer",
		  offsetof(struct pinring_line_header, producer_closed),
		  offsetof(struct pinring_line_header, head) },
		{ "line ring: consumer, lines",
		  offsetof(struct pinring_line_header, head),
		  sizeof(struct pinring_line_header) },
		{ "duplex: creator, sleepers",
		  offsetof(struct pinring_duplex, magic),
		  offsetof(struct pinring_duplex, sleepers) },
		{ "duplex: sleepers, both in turns",
		  offsetof(struct pinring_duplex, sleepers),
		  offsetof(struct pinring_duplex, line) },
		{ "duplex: both in turns, caller",
		  offsetof(struct pinring_duplex, line),
		  offsetof(struct pinring_duplex, caller_closed) },
		{ "duplex: caller, server",
		  offsetof(struct pinring_duplex, caller_closed),
		  offsetof(struct pinring_duplex, server_closed) },
		{ "byte ring: creator, producer",
		  offsetof(struct pinring_bytes_header, magic),
		  offsetof(struct pinring_bytes_header, tail) },
		{ "byte ring: producer, consumer",
		  offsetof(struct pinring_bytes_header, tail),
		  offsetof(struct pinring_bytes_header, head) },
		{ "byte ring: consumer, sleepers",
		  offsetof(struct pinring_bytes_header, head),
		  offsetof(struct pinring_bytes_header, sleepers) },
		{ "byte ring: sleepers, records",
		  offsetof(struct pinring_bytes_header, sleepers),
		  sizeof(struct pinring_bytes_header) },
		{ "MPMC: creator, producers",
		  offsetof(struct pinring_mpmc_header, magic),
		  offsetof(struct pinring_mpmc_header, tail) },
		{ "MPMC: producers, consumers",
		  offsetof(struct pinring_mpmc_header, tail),
		  offsetof(struct pinring_mpmc_header, head) },
		{ "MPMC: consumers, any",
		  offsetof(struct pinring_mpmc_header, head),
		  offsetof(struct pinring_mpmc_header, closed) },
		{ "MPMC: any, sleepers",
		  offsetof(struct pinring_mpmc_header, closed),
		  offsetof(struct pinring_mpmc_header, sleepers) },
		{ "MPMC: sleepers, parties",
		  offsetof(struct pinring_mpmc_header, sleepers),
		  sizeof(struct pinring_mpmc_header) },
		{ "lanes: creator, any",
		  offsetof(struct pinring_lanes_header, magic),
		  offsetof(struct pinring_lanes_header, closed) },
		{ "lanes: any, parties",
		  offsetof(struct pinring_lanes_header, closed),
		  sizeof(struct pinring_lanes_header) },
		{ "lane: producer, consumer",
		  offsetof(struct pinring_lane, tail),
		  offsetof(struct pinring_lane, head) },
		{ "lane: consumer, the next lane",
		  offsetof(struct pinring_lane, head),
		  sizeof(struct pinring_lane) },
		{ "oneshot: creator, sleepers",
		  offsetof(struct pinring_oneshot_header, magic),
		  offsetof(struct pinring_oneshot_header, sleepers) },
		{ "oneshot: sleepers, any",
		  offsetof(struct pinring_oneshot_header, sleepers),
		  offsetof(struct pinring_oneshot_header, closed) },
		{ "priority: creator, sleepers",
		  offsetof(struct pinring_priority_header, magic),
		  offsetof(struct pinring_priority_header, sleepers) },
		{ "priority: sleepers, any",
		  offsetof(struct pinring_priority_header, sleepers),
		  offsetof(struct pinring_priority_header, closed) },
		{ "chain: creator, sleepers",
		  offsetof(struct pinring_chain_header, magic),
		  offsetof(struct pinring_chain_header, sleepers) },
		{ "chain: sleepers, producer",
		  offsetof(struct pinring_chain_header, sleepers),
		  offsetof(struct pinring_chain_header, tail) },
		{ "chain: producer, consumer",
		  offsetof(struct pinring_chain_header, moves),
		  offsetof(struct pinring_chain_header, head) },
		{ "chain: consumer, slots",
		  offsetof(struct pinring_chain_header, head),
		  sizeof(struct pinring_chain_header) },
		{ "broadcast: creator, producer",
		  offsetof(struct pinring_broadcast_header, magic),
		  offsetof(struct pinring_broadcast_header, tail) },
		{ "broadcast: producer, any",
		  offsetof(struct pinring_broadcast_header, tail),
		  offsetof(struct pinring_broadcast_header, limit) },
		{ "broadcast: any, sleepers",
		  offsetof(struct pinring_broadcast_header, limit),
		  offsetof(struct pinring_broadcast_header, sleepers) },
		{ "broadcast: sleepers, parties",
		  offsetof(struct pinring_broadcast_header, sleepers),
		  sizeof(struct pinring_broadcast_header) },
		{ "device ring: creator, consumer",
		  offsetof(struct pinring_device_ring_header, magic),
		  offsetof(struct pinring_device_ring_header, head) },
		{ "device ring: consumer, slots",
		  offsetof(struct pinring_device_ring_header, head),
		  sizeof(struct pinring_device_ring_header) },
		{ "wave: host, executor",
		  offsetof(struct pinring_wave_state, magic),
		  offsetof(struct pinring_wave_state, steps) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(writers); i++) {
		EXPECT_LE(writers[i].one / 128 + 1, writers[i].other / 128)
			TH_LOG("%s", writers[i].what);
		EXPECT_EQ(0u, writers[i].other % 128)
			TH_LOG("%s", writers[i].what);
	}
	/* One pair of lines by design (128 bytes in all), still a line each. */
	EXPECT_EQ(0u, offsetof(struct pinring_control_block, wanted) / 64);
	EXPECT_EQ(1u, offsetof(struct pinring_control_block, reached) / 64);
}

TEST(the_directory_fills_the_rest_of_two_pages)
{
	EXPECT_EQ(8192, PINRING_REGION_HEADER_BYTES);
	EXPECT_EQ(62, PINRING_OBJECTS_MAX);
	EXPECT_EQ(64, PINRING_NAME_MAX);
	EXPECT_EQ(8192u, sizeof(struct pinring_region_header) +
			 62 * sizeof(struct pinring_object));
}

TEST(the_magics_are_text_in_memory)
{
	static const struct {
		__u64 magic;
		char text[9];
	} magics[] = {
		{ PINRING_REGION_MAGIC, "pinring" },
		{ PINRING_SPSC_MAGIC, "pr.spsc" },
		{ PINRING_LINE_MAGIC, "pr.line" },
		{ PINRING_DUPLEX_MAGIC, "pr.dupl" },
		{ PINRING_BYTES_MAGIC, "pr.bytes" },
		{ PINRING_LANES_MAGIC, "pr.lanes" },
		{ PINRING_ONESHOT_MAGIC, "pr.onest" },
		{ PINRING_PRIORITY_MAGIC, "pr.prio" },
		{ PINRING_CHAIN_MAGIC, "pr.chain" },
		{ PINRING_BROADCAST_MAGIC, "pr.bcast" },
		{ PINRING_DEVICE_RING_MAGIC, "pr.dring" },
		{ PINRING_WAVE_MAGIC, "pr.wave" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(magics); i++) {
		char text[9] = "";

		memcpy(text, &magics[i].magic, 8);
		EXPECT_STREQ(magics[i].text, text);
	}
}

TEST(numbers_on_the_wire_never_change)
{
	static const struct {
		const char *name;
		unsigned long long expected, seen;
	} numbers[] = {
#define N(value, name) { #name, (value), (unsigned long long)(name) }
		N(1, PINRING_ABI_VERSION), N(64, PINRING_LINE),
		N(128, PINRING_SEPARATION),
		N(0x35, PINRING_OBJECT_CLAIMED), N(0xca, PINRING_OBJECT_READY),
		N(8, PINRING_RECORD_WORD_BYTES),
		N(1ull << 63, PINRING_RECORD_SKIP),
		N(8, PINRING_SLOT_WORDS), N(56, PINRING_WORD_BITS),
		N(0xffffffffffffff, PINRING_WORD_MASK),
		N(48, PINRING_COUNT_BITS), N(48, PINRING_OFFSET_BITS),
		N(32, PINRING_REGIONS_MAX), N(255, PINRING_REGION_NONE),
		N(28, PINRING_WAVE_CELL_BITS), N(1, PINRING_COMMAND_DETACHED),
		N(1, PINRING_BACKEND_EMBEDDED), N(2, PINRING_BACKEND_MODULE),
		N(1, PINRING_OBJECT_BYTES), N(2, PINRING_OBJECT_SPSC),
		N(3, PINRING_OBJECT_DEVICE_RING), N(4, PINRING_OBJECT_DOORBELL),
		N(5, PINRING_OBJECT_CONTROL), N(6, PINRING_OBJECT_TELEMETRY),
		N(7, PINRING_OBJECT_WAVE),
		N(8, PINRING_OBJECT_BYTE_RING),
		N(9, PINRING_OBJECT_MPMC), N(10, PINRING_OBJECT_LANES),
		N(1024, PINRING_LANES_MAX), N(256, PINRING_LANES_SIDES_MAX),
		N(0, PINRING_MPMC_FREE), N(1, PINRING_MPMC_BUSY),
		N(2, PINRING_MPMC_FULL), N(3, PINRING_MPMC_TAKEN),
		N(4, PINRING_MPMC_VOID), N(5, PINRING_MPMC_END),
		N(7, PINRING_MPMC_STATE), N(3, PINRING_MPMC_PARTY_SHIFT),
		N(11, PINRING_MPMC_RUN_SHIFT), N(27, PINRING_MPMC_LAP_SHIFT),
		N(12, PINRING_OBJECT_LINE_RING), N(13, PINRING_OBJECT_DUPLEX),
		N(7, PINRING_LINE_WORDS),
		N(0, PINRING_DUPLEX_IDLE), N(1, PINRING_DUPLEX_POSTED),
		N(2, PINRING_DUPLEX_ANSWERING), N(3, PINRING_DUPLEX_VOID),
		N(3, PINRING_DUPLEX_STATE), N(4, PINRING_DUPLEX_CALL),
		N(256, PINRING_PARTIES_MAX),
		N(11, PINRING_OBJECT_BROADCAST),
		N(0, PINRING_BROADCAST_FREE), N(1, PINRING_BROADCAST_BUSY),
		N(2, PINRING_BROADCAST_FULL), N(3, PINRING_BROADCAST_VOID),
		N(4, PINRING_BROADCAST_JAMMED), N(5, PINRING_BROADCAST_END),
		N(7, PINRING_BROADCAST_STATE),
		N(3, PINRING_BROADCAST_PARTY_SHIFT),
		N(0x7f8, PINRING_BROADCAST_PARTY),
		N(11, PINRING_BROADCAST_LAP_SHIFT),
		N(1, PINRING_BROADCAST_LAPPING), N(2, PINRING_BROADCAST_MANY),
		N(0, PINRING_PARTY_NOBODY), N(1, PINRING_PARTY_PRODUCER),
		N(2, PINRING_PARTY_CONSUMER), N(3, PINRING_PARTY_COMING),
		N(4, PINRING_PARTY_MEMBER),
		N(14, PINRING_OBJECT_ONESHOT),
		N(15, PINRING_OBJECT_PRIORITY), N(4, PINRING_PRIORITY_LANES),
		N(1, PINRING_PRIORITY_STRICT), N(2, PINRING_PRIORITY_WEIGHTED),
		N(0, PINRING_ONESHOT_FREE), N(1, PINRING_ONESHOT_TAKING),
		N(2, PINRING_ONESHOT_TAKEN), N(3, PINRING_ONESHOT_BEGUN),
		N(4, PINRING_ONESHOT_DONE), N(5, PINRING_ONESHOT_CANCELLED),
		N(6, PINRING_ONESHOT_BROKEN), N(7, PINRING_ONESHOT_ENDED),
		N(4, PINRING_ONESHOT_OUTCOME_SHIFT),
		N(8, PINRING_ONESHOT_REQUESTER_SHIFT),
		N(16, PINRING_ONESHOT_OTHER_SHIFT),
		N(24, PINRING_ONESHOT_GENERATION_SHIFT),
		N(1 << 24, PINRING_ONESHOT_SLOTS_MAX),
		N(0, PINRING_ONESHOT_COUNT_TAKEN),
		N(1, PINRING_ONESHOT_COUNT_ANSWERED),
		N(2, PINRING_ONESHOT_COUNT_DROPPED),
		N(3, PINRING_ONESHOT_COUNT_CANCELLED),
		N(4, PINRING_ONESHOT_COUNT_BROKEN),
		N(16, PINRING_OBJECT_CHAIN), N(5, PINRING_PLACE_SHIFT),
		N(8, PINRING_CHAIN_MOVES), N(32, PINRING_CHAIN_SEGMENTS_MAX),
		N(0, PINRING_STATE_CREATED), N(1, PINRING_STATE_LAUNCHED),
		N(2, PINRING_STATE_ACTIVE), N(3, PINRING_STATE_PAUSED),
		N(4, PINRING_STATE_DRAINING), N(5, PINRING_STATE_TERMINATED),
		N(6, PINRING_STATE_FAILED),
		N(0, PINRING_OP_NOP), N(1, PINRING_OP_FILL),
		N(2, PINRING_OP_COPY), N(3, PINRING_OP_ADD),
		N(4, PINRING_OP_SUB), N(5, PINRING_OP_MUL),
		N(6, PINRING_OP_DIV), N(7, PINRING_OP_MIN),
		N(8, PINRING_OP_MAX), N(9, PINRING_OP_AXPY),
		N(10, PINRING_OP_SCALE), N(11, PINRING_OP_RELU),
		N(12, PINRING_OP_SIGMOID), N(13, PINRING_OP_TANH),
		N(14, PINRING_OP_GELU), N(15, PINRING_OP_GELU_TANH),
		N(16, PINRING_OP_SOFTMAX), N(17, PINRING_OP_SUM),
		N(18, PINRING_OP_REDUCE_MIN), N(19, PINRING_OP_REDUCE_MAX),
		N(20, PINRING_OP_DOT), N(24, PINRING_OP_ASK),
		N(25, PINRING_OP_FORWARD), N(26, PINRING_OP_JOIN),
		N(32, PINRING_OP_WAVE_STEP),
		N(33, PINRING_OP_WAVE_INJECT), N(34, PINRING_OP_WAVE_PROBE),
		N(35, PINRING_OP_WAVE_BLOCK), N(1000, PINRING_OP_DYNAMIC),
		N(0, PINRING_REASON_NONE), N(1, PINRING_REASON_OPERATION),
		N(2, PINRING_REASON_REGION), N(3, PINRING_REASON_OFFSET),
		N(4, PINRING_REASON_ALIGNMENT), N(5, PINRING_REASON_COUNT),
		N(6, PINRING_REASON_OVERLAP), N(7, PINRING_REASON_WAVE),
		N(8, PINRING_REASON_CELL), N(9, PINRING_REASON_STOPPED),
		N(12, PINRING_REASON_FAULT), N(13, PINRING_REASON_TRAP),
		N(14, PINRING_REASON_HUNG), N(15, PINRING_REASON_RELAUNCH),
		N(16, PINRING_REASON_LINK), N(17, PINRING_REASON_PEER),
		N(18, PINRING_REASON_LATE),
#undef N
	};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		EXPECT_EQ(numbers[i].expected, numbers[i].seen)
			TH_LOG("%s", numbers[i].name);
	}
}

/* --------------------------------------------------- commands, completions */

/* A field of the C struct, and the bits of the eight words it must become. */
struct bits {
	const char *name;
	size_t offset, size;
	int word, shift, width;
};

#define BITS(type, field, word, shift, width) \
	{ #field, offsetof(struct type, field), \
	  sizeof(((struct type *)0)->field), word, shift, width }

static const struct bits command_bits[] = {
	BITS(pinring_command, id, 0, 0, 32),
	BITS(pinring_command, operation, 0, 32, 16),
	BITS(pinring_command, flags, 0, 48, 8),
	BITS(pinring_command, count, 1, 0, 48),
	BITS(pinring_command, dst.offset, 2, 0, 48),
	BITS(pinring_command, dst.region, 2, 48, 8),
	BITS(pinring_command, a.offset, 3, 0, 48),
	BITS(pinring_command, a.region, 3, 48, 8),
	BITS(pinring_command, b.offset, 4, 0, 48),
	BITS(pinring_command, b.region, 4, 48, 8),
	BITS(pinring_command, s0, 5, 0, 32),
	BITS(pinring_command, s1, 6, 0, 32),
	BITS(pinring_command, aux, 7, 0, 56),
};

/* All but status, which travels negated. */
static const struct bits completion_bits[] = {
	BITS(pinring_completion, id, 0, 0, 32),
	BITS(pinring_completion, reason, 0, 48, 8),
	BITS(pinring_completion, result, 1, 0, 32),
	BITS(pinring_completion, start_ns, 2, 0, 56),
	BITS(pinring_completion, duration_ns, 3, 0, 56),
	BITS(pinring_completion, done, 4, 0, 48),
};

static void set(void *record, const struct bits *f, __u64 value)
{
	memcpy((char *)record + f->offset, &value, f->size);
}

static __u64 get(const void *record, const struct bits *f)
{
	__u64 value = 0;

	memcpy(&value, (const char *)record + f->offset, f->size);
	return value;
}

/* xorshift64* (Vigna, 2014): the same inputs every run. */
static __u64 random_state = 0x9e3779b97f4a7c15;

static __u64 random_bits(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1d;
}

TEST(every_bit_of_a_command_has_its_own_place)
{
	for (size_t i = 0; i < ARRAY_SIZE(command_bits); i++) {
		const struct bits *f = &command_bits[i];

		for (int bit = 0; bit < f->width; bit++) {
			struct pinring_command c = { 0 }, back;
			__u64 word[8];

			set(&c, f, 1ull << bit);
			pinring_pack_command(word, &c);
			for (int w = 0; w < 8; w++) {
				ASSERT_EQ(w == f->word ? 1ull << (f->shift + bit) : 0,
					  word[w])
					TH_LOG("%s bit %d, word %d", f->name, bit, w);
			}
			pinring_unpack_command(&back, word);
			for (size_t j = 0; j < ARRAY_SIZE(command_bits); j++) {
				ASSERT_EQ(get(&c, &command_bits[j]),
					  get(&back, &command_bits[j]))
					TH_LOG("%s bit %d, field %s", f->name, bit,
					       command_bits[j].name);
			}
		}
	}
}

TEST(every_bit_of_a_completion_has_its_own_place)
{
	for (size_t i = 0; i < ARRAY_SIZE(completion_bits); i++) {
		const struct bits *f = &completion_bits[i];

		for (int bit = 0; bit < f->width; bit++) {
			struct pinring_completion c = { 0 }, back;
			__u64 word[8];

			set(&c, f, 1ull << bit);
			pinring_pack_completion(word, &c);
			for (int w = 0; w < 8; w++) {
				ASSERT_EQ(w == f->word ? 1ull << (f->shift + bit) : 0,
					  word[w])
					TH_LOG("%s bit %d, word %d", f->name, bit, w);
			}
			pinring_unpack_completion(&back, word);
			ASSERT_EQ(0, back.status);
			for (size_t j = 0; j < ARRAY_SIZE(completion_bits); j++) {
				ASSERT_EQ(get(&c, &completion_bits[j]),
					  get(&back, &completion_bits[j]))
					TH_LOG("%s bit %d, field %s", f->name, bit,
					       completion_bits[j].name);
			}
		}
	}
}

TEST(every_status_travels_and_touches_nothing_else)
{
	for (int status = 0; status >= -65535; status--) {
		struct pinring_completion c = { .status = status }, back;
		__u64 word[8];

		pinring_pack_completion(word, &c);
		ASSERT_EQ((__u64)-status << 32, word[0]);
		pinring_unpack_completion(&back, word);
		ASSERT_EQ(status, back.status);
		ASSERT_EQ(0u, back.id);
		ASSERT_EQ(0u, back.reason);
	}
}

TEST(a_full_command_fills_its_bits_and_comes_back)
{
	static const __u64 full[8] = {
		0xffffffffffffff, 0xffffffffffff, 0xffffffffffffff,
		0xffffffffffffff, 0xffffffffffffff, 0xffffffff,
		0xffffffff, 0xffffffffffffff,
	};
	struct pinring_command c = { 0 }, back;
	__u64 word[8];

	for (size_t i = 0; i < ARRAY_SIZE(command_bits); i++)
		set(&c, &command_bits[i], ~0ull >> (64 - command_bits[i].width));
	pinring_pack_command(word, &c);
	for (int w = 0; w < 8; w++) {
		EXPECT_EQ(full[w], word[w]) TH_LOG("word %d", w);
	}
	pinring_unpack_command(&back, word);
	for (size_t i = 0; i < ARRAY_SIZE(command_bits); i++) {
		EXPECT_EQ(get(&c, &command_bits[i]), get(&back, &command_bits[i]))
			TH_LOG("%s", command_bits[i].name);
	}
}

TEST(any_command_and_completion_comes_back)
{
	for (int round = 0; round < 10000; round++) {
		struct pinring_command c = { 0 }, c_back;
		struct pinring_completion d = { 0 }, d_back;
		__u64 word[8];

		for (size_t i = 0; i < ARRAY_SIZE(command_bits); i++)
			set(&c, &command_bits[i],
			    random_bits() >> (64 - command_bits[i].width));
		for (size_t i = 0; i < ARRAY_SIZE(completion_bits); i++)
			set(&d, &completion_bits[i],
			    random_bits() >> (64 - completion_bits[i].width));
		d.status = -(int)(random_bits() >> 48);

		pinring_pack_command(word, &c);
		pinring_unpack_command(&c_back, word);
		for (size_t i = 0; i < ARRAY_SIZE(command_bits); i++) {
			ASSERT_EQ(get(&c, &command_bits[i]),
				  get(&c_back, &command_bits[i]));
		}
		pinring_pack_completion(word, &d);
		pinring_unpack_completion(&d_back, word);
		ASSERT_EQ(d.status, d_back.status);
		for (size_t i = 0; i < ARRAY_SIZE(completion_bits); i++) {
			ASSERT_EQ(get(&d, &completion_bits[i]),
				  get(&d_back, &completion_bits[i]));
		}
	}
}

/* A field too large is cut; it never becomes part of its neighbour. */
TEST(what_is_too_wide_does_not_spill_into_a_neighbour)
{
	struct pinring_command c = { .dst = { .offset = ~0ull } }, back;
	struct pinring_completion d = {
		.start_ns = ~0ull, .duration_ns = ~0ull, .done = ~0ull,
	};
	__u64 word[8];

	c.a.region = 0xffffff00;
	c.count = 1ull << 48;
	pinring_pack_command(word, &c);
	EXPECT_EQ(0xffffffffffff, word[2]);
	EXPECT_EQ(0u, word[3]);
	pinring_unpack_command(&back, word);
	EXPECT_EQ(0u, back.count);
	EXPECT_EQ(0u, back.dst.region);

	d.reason = 0xffffff00;
	pinring_pack_completion(word, &d);
	EXPECT_EQ(0u, word[0]);
	EXPECT_EQ(0xffffffffffffff, word[2]);
	EXPECT_EQ(0xffffffffffffff, word[3]);
	EXPECT_EQ(0xffffffffffff, word[4]);
}

/* NaNs with a payload, signalling ones and -0 are bits like any others. */
TEST(floats_travel_as_their_bits)
{
	static const __u32 odd[] = { 0x80000000, 0x7f800001, 0xffffffff,
				     0x7fc01234, 0x00000001, 0xff800000 };

	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		struct pinring_command c = { 0 }, back;
		__u64 word[8];
		__u32 bits;

		memcpy(&c.s0, &odd[i], 4);
		pinring_pack_command(word, &c);
		EXPECT_EQ(odd[i], word[5]);
		pinring_unpack_command(&back, word);
		memcpy(&bits, &back.s0, 4);
		EXPECT_EQ(odd[i], bits);
	}
}

TEST_HARNESS_MAIN
