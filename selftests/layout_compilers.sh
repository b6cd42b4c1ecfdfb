#!/bin/sh
# SPDX-License-Identifier: MIT
#
# One layout on every compiler: the public headers, each on its own, as C and as
# C++, and with nvcc all that a device uses of them. A layout header that was
# changed must be refused by each of those compilers, or their silence about the
# right one means nothing.

. "$(dirname "$0")/lib.sh"

mkdir -p "$tmp/include/pinring" "$tmp/mutant/pinring"
ln -s "$top/uapi/pinring_layout.h" "$tmp/include/pinring/pinring_layout.h"
warnings="-Wall -Wextra -pedantic -Werror"

# package COMPILER: where Debian keeps it
package()
{
	case $1 in
	clang++) echo clang ;;
	nvcc) echo nvidia-cuda-toolkit ;;
	*) echo "$1" ;;
	esac
}

# compile COMPILER FILE [FOLDER]: with the layout header from FOLDER
compile()
{
	case $1 in
	gcc | clang) set -- "$1" "$2" "${3:-include}" -std=gnu11 -x c ;;
	g++ | clang++) set -- "$1" "$2" "${3:-include}" -std=c++17 -x c++ ;;
	*) set -- "$1" "$2" "${3:-include}" nvcc ;;
	esac
	compiler=$1 file=$2 folder=$3
	shift 3
	if [ "$1" = nvcc ]; then
		"$nvcc" -std=c++17 -arch=sm_90 --fmad=false -Werror all-warnings \
			-Xcompiler -Wall,-Wextra,-Werror -I "$tmp/$folder" \
			-I "$top/lib/include" -I "$top" -c -o "$tmp/out.o" "$file"
	else
		# shellcheck disable=SC2086
		"$compiler" $warnings -I "$tmp/$folder" -I "$top/lib/include" \
			-c -o "$tmp/out.o" "$@" "$file"
	fi
}

# refuses COMPILER FILE WHAT: because of an assert, not of a missing file
refuses()
{
	if out=$(compile "$1" "$2" mutant 2>&1); then
		fail "$1 refuses a layout with $3" "it compiled"
	elif printf '%s\n' "$out" | grep -Eiq 'static.?assert'; then
		pass "$1 refuses a layout with $3"
	else
		fail "$1 refuses a layout with $3" "but not by an assert:" "$out"
	fi
}

# mutate SED: a copy of the layout header that really differs
mutate()
{
	sed "$1" "$top/uapi/pinring_layout.h" >"$tmp/mutant/pinring/pinring_layout.h"
	! cmp -s "$top/uapi/pinring_layout.h" "$tmp/mutant/pinring/pinring_layout.h"
}

nvcc=$(command -v nvcc) || nvcc=/usr/local/cuda/bin/nvcc
widened='s/__u32 abi_version;/__u64 abi_version;/'
mutate "$widened" || fail "the mutation changes the header" "$widened"

echo '#include <pinring/pinring_layout.h>' >"$tmp/layout.c"

for compiler in gcc clang g++ clang++; do
	if ! command -v $compiler >/dev/null; then
		skip "$compiler" "$compiler is not installed (apt install $(package $compiler))"
		continue
	fi
	for header in "$top"/lib/include/pinring/*.h "$tmp"/include/pinring/*.h; do
		name=${header##*/}
		# Twice: a header that forgot its guard does not compile.
		printf '#include <pinring/%s>\n' "$name" "$name" >"$tmp/one.c"
		check "$compiler takes $name alone" compile $compiler "$tmp/one.c"
	done
	refuses $compiler "$tmp/layout.c" "a wider field"
done

# What a persistent kernel does: takes commands, computes, answers.
cat >"$tmp/device.cu" <<'END'
#include <pinring/pinring.h>
#include <pinring/command.h>
#include <gpu/kernels/reduce.h>
#include <gpu/kernels/wave.h>

#define CALL(name, reads, value) \
	pinring_##name##_stride(x, x, x, c.s0, c.s1, t, c.count, n);

__global__ void loop(struct pinring_device_consumer in,
		     struct pinring_device_producer answers,
		     struct pinring_room room, float *x)
{
	const __u64 t = threadIdx.x, n = blockDim.x;
	struct pinring_command c;
	struct pinring_completion done = {};
	__u64 word[PINRING_SLOT_WORDS];

	while (!pinring_device_peek(&in, word))
		pinring_relax();
	pinring_unpack_command(&c, word);
	pinring_device_release(&in);
	pinring_device_flush(&in);
	PINRING_ELEMENTWISE_TABLE(CALL)
	done.id = c.id;
	done.result = (float)pinring_dot_lane(x, x, 0, c.count, (__u32)t);
	pinring_room_factors(&room, 0.25, c.s1);
	pinring_wave_cells(&room, 0, 0, room.ny * room.nz, (__u32)t, (__u32)n);
	pinring_pack_completion(word, &done);
	while (!pinring_device_send(&answers, word))
		pinring_relax();
	pinring_pack_command(word, &c);
	pinring_unpack_completion(&done, word);
	if (pinring_device_free(&answers, 2) == 2)
		x[0] = done.result;
}
END

if [ -x "$nvcc" ]; then
	check "nvcc takes the device ring, the commands and the kernels for sm_90" \
		compile nvcc "$tmp/device.cu"
	cp "$tmp/layout.c" "$tmp/layout.cu"
	refuses nvcc "$tmp/layout.cu" "a wider field"
else
	skip "nvcc" "nvcc is not installed (apt install $(package nvcc))"
fi

# Every struct is watched, not only the one above.
if command -v gcc >/dev/null; then
	while IFS='|' read -r what edit; do
		if mutate "$edit"; then
			refuses gcc "$tmp/layout.c" "$what"
		else
			fail "gcc refuses a layout with $what" "nothing matches $edit"
		fi
	done <<'END'
a longer object|s/__u32 reserved0;/__u64 reserved0;/
a longer name in an object|s/PINRING_NAME_MAX 64/PINRING_NAME_MAX 72/
one object more|s/PINRING_OBJECTS_MAX 62/PINRING_OBJECTS_MAX 63/
a doorbell whose waiter is nearer|s/ringer_reserved\[15\]/ringer_reserved[7]/
an SPSC ring whose sides share a line|/struct pinring_spsc_header {/,/^}/s/producer_reserved\[10\]/producer_reserved[2]/
sleepers on a longer line|/struct pinring_sleepers {/,/^}/s/reserved\[15\]/reserved[16]/
an SPSC ring whose sleepers moved|/struct pinring_spsc_header {/,/^}/s/struct pinring_sleepers sleepers;/__u64 gap[16]; &/
a longer SPSC header|/struct pinring_spsc_header {/,/^}/s/consumer_reserved\[10\]/consumer_reserved[11]/
a byte ring whose sleepers moved|/struct pinring_bytes_header {/,/^}/s/struct pinring_sleepers sleepers;/__u64 gap[16]; &/
a line of eight words and one|s/PINRING_LINE_WORDS 7/PINRING_LINE_WORDS 8/
a line ring with its seal moved|/struct pinring_line_header {/,/^}/s/__u64 reserved\[12\]/__u64 reserved[11]/
a line ring whose sides share a line|/struct pinring_line_header {/,/^}/s/producer_reserved\[11\]/producer_reserved[3]/
a longer line ring header|/struct pinring_line_header {/,/^}/s/consumer_reserved\[10\]/consumer_reserved[11]/
a duplex slot with its seal moved|/struct pinring_duplex {/,/^}/s/__u64 reserved\[14\]/__u64 reserved[13]/
a duplex slot whose sides share a line|/struct pinring_duplex {/,/^}/s/caller_reserved\[15\]/caller_reserved[7]/
a longer duplex slot|/struct pinring_duplex {/,/^}/s/server_reserved\[15\]/server_reserved[16]/
a byte ring with its seal moved|/struct pinring_bytes_header {/,/^}/s/__u64 reserved\[12\]/__u64 reserved[11]/
a byte ring whose sides share a line|/struct pinring_bytes_header {/,/^}/s/producer_reserved\[10\]/producer_reserved[2]/
a longer byte ring header|/struct pinring_bytes_header {/,/^}/s/consumer_reserved\[10\]/consumer_reserved[11]/
lanes with their seal moved|/struct pinring_lanes_header {/,/^}/s/__u64 reserved\[5\]/__u64 reserved[4]/
lanes whose rare words left their line|/struct pinring_lanes_header {/,/^}/s/rare_reserved\[14\]/rare_reserved[30]/
a partition with a wider bell|/struct pinring_lanes_partition {/,/^}/s/__u32 bell;/__u64 bell;/
a lane whose sides share a line|/struct pinring_lane {/,/^}/s/producer_reserved\[10\]/producer_reserved[2]/
a lane with a wider word to sleep on|/struct pinring_lane {/,/^}/s/__u32 room;/__u64 room;/
a longer lane|/struct pinring_lane {/,/^}/s/consumer_reserved\[14\]/consumer_reserved[15]/
a oneshot whose payload moved|/struct pinring_oneshot_slot {/,/^}/s/__u32 length;/__u64 length;/
a oneshot with a longer tally|/struct pinring_oneshot_tally {/,/^}/s/reserved\[9\]/reserved[10]/
a oneshot whose sleepers moved|/struct pinring_oneshot_header {/,/^}/s/struct pinring_sleepers sleepers;/__u64 gap[16]; &/
one priority more|s/PINRING_PRIORITY_LANES 4/PINRING_PRIORITY_LANES 6/
a priority ring whose sleepers moved|/struct pinring_priority_header {/,/^}/s/struct pinring_sleepers sleepers;/__u64 gap[16]; &/
a chain with a wider threshold|/struct pinring_chain_header {/,/^}/s/__u16 high;/__u32 high;/
a chain whose sides share a line|/struct pinring_chain_header {/,/^}/s/__u64 moves\[PINRING_CHAIN_MOVES\];//
a chain with one move fewer|s/PINRING_CHAIN_MOVES 8/PINRING_CHAIN_MOVES 7/
a longer chain header|/struct pinring_chain_header {/,/^}/s/consumer_reserved\[10\]/consumer_reserved[11]/
a broadcast ring with its seal moved|/struct pinring_broadcast_header {/,/^}/s/__u64 reserved\[8\]/__u64 reserved[7]/
a broadcast ring with wider flags|/struct pinring_broadcast_header {/,/^}/s/__u32 flags;/__u64 flags;/
a broadcast ring whose tail shares a line|/struct pinring_broadcast_header {/,/^}/s/tail_reserved\[14\]/tail_reserved[6]/
a broadcast ring whose sleepers moved|/struct pinring_broadcast_header {/,/^}/s/limit_reserved\[13\]/limit_reserved[29]/
a party whose cursor moved|/struct pinring_party {/,/^}/s/__u64 cursor;/__u64 gap; &/
a party with longer counts|/struct pinring_counts {/,/^}/s/__u64 waited;/& __u64 gap;/
a device ring with its seal moved|/struct pinring_device_ring_header {/,/^}/s/__u64 reserved\[12\]/__u64 reserved[11]/
a tally that shares its line|/struct pinring_tally {/,/^}/s/reserved\[9\]/reserved[1]/; /struct pinring_tally {/,/^}/s/PINRING_ALIGNED(128)/PINRING_ALIGNED(64)/
a policy with its seal moved|/struct pinring_policy_header {/,/^}/s/__u64 reserved\[8\]/__u64 reserved[7]/
a slot of nine words|s/PINRING_SLOT_WORDS 8/PINRING_SLOT_WORDS 9/
a wider message type|s/__u32 type; .* application's/__u64 type; \/*/
a control block with a nearer executor|s/host_reserved\[3\]/host_reserved[2]/
a wider error in the control block|s/__s32 error;/__s64 error;/
a longer telemetry|s/__u64 sleeps;/__u64 sleeps[2];/
a wave state with its cells moved|s/float wall;/double wall;/
a wave state whose writers share a line|s/__u64 reserved\[11\]; *$/__u64 reserved[3];/
END
fi

finish
