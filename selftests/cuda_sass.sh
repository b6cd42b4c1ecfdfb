#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What nvcc made of the loop, for each architecture: the polls are relaxed loads
# that invalidate nothing, a nop is answered without a fence, nothing spills, no
# atomic goes to host memory and no access to it is wider than 8 bytes.

. "$(dirname "$0")/lib.sh"

# Two blocks of 256 threads are to fit on a multiprocessor with 65536 registers.
registers_max=128

nvcc=$(command -v nvcc) || nvcc=/usr/local/cuda/bin/nvcc
[ -x "$nvcc" ] || skip_all "nvcc is not installed (a CUDA toolkit, 12.8 or later)"
cubins=$(ls "$build"/device/sm_*.cubin 2>/dev/null)
[ "$cubins" ] || skip_all "make built no device code in $build/device"

cc=$(command -v cc || command -v gcc || command -v clang)
check "the counter compiles" "$cc" -O1 -Wall -Wextra -Werror -o "$tmp/sass" \
	"$top/selftests/cuda/sass.c" || finish
mkdir -p "$tmp/include/pinring"
ln -s "$top/uapi/pinring_layout.h" "$tmp/include/pinring/pinring_layout.h"

# count KERNEL KEY: sets n
count()
{
	n=$(awk -v kernel="$1" -v key="$2" '$1 == kernel {
		for (i = 2; i <= NF; i++) {
			split($i, pair, "=")
			if (pair[1] == key)
				print pair[2]
		}
	}' "$tmp/counts")
}

# has KERNEL KEY N
has()
{
	count "$1" "$2"
	if [ "$n" = "$3" ]; then
		pass "$sm: $1: $2 is $3"
	else
		fail "$sm: $1: $2 is $3" "it is ${n:-not counted}"
	fi
}

# has_some KERNEL KEY
has_some()
{
	count "$1" "$2"
	if [ "${n:-0}" -gt 0 ]; then
		pass "$sm: $1: some $2"
	else
		fail "$sm: $1: some $2" "it is ${n:-not counted}"
	fi
}

for cubin in $cubins; do
	sm=${cubin##*/}
	sm=${sm%.cubin}

	check "$sm: the parts compile" "$nvcc" -std=c++20 -O3 --fmad=false -arch="$sm" \
		-cubin -Werror all-warnings -I "$tmp/include" -I "$top/lib/include" \
		-o "$tmp/parts.cubin" "$top/selftests/cuda/sass.cu" || continue
	"$tmp/sass" "$tmp/parts.cubin" >"$tmp/counts"
	"$tmp/sass" "$cubin" >>"$tmp/counts"

	# What must be seen where it is.
	has_some bad_acquire invalidate
	has bad_fence fence_sys 1
	has bad_heavy_fence fence_sc 1
	has bad_weak load_weak 1
	has bad_wide wide_sys 1
	has bad_atomic atomic_sys 2
	has_some bad_local local

	# The look at the ring, at the wish and at a feed, and nothing else.
	has part_poll load_sys 3
	has part_poll load_weak 0
	has part_poll invalidate 0
	has part_poll fence_sys 0
	has_some part_wait load_gpu
	has part_wait load_sys 0
	has part_wait invalidate 0
	has part_wait fence_gpu 0

	for part in part_nop part_fed; do
		has_some $part store_sys
		for kind in fence_sys fence_gpu fence_sc invalidate; do
			has $part $kind 0
		done
	done
	# Both look at memory; inject's answer must not overtake what it wrote there.
	count part_probe fence_sys
	has part_inject fence_sys $((${n:-0} + 1))

	has part_reach fence_sys 2

	has_some pinring_loop_cuda load_sys
	has_some pinring_loop_cuda store_sys
	for kind in fence_sc local wide_sys atomic_sys; do
		has pinring_loop_cuda $kind 0
	done

	used=$(sed -n 's/.*Used \([0-9]*\) registers.*/\1/p' "$cubin.log")
	if [ "${used:-999}" -le $registers_max ]; then
		pass "$sm: $used registers, of $registers_max"
	else
		fail "$sm: registers" "${used:-none} of $registers_max" "$(cat "$cubin.log")"
	fi
	if grep -q 'bytes stack frame' "$cubin.log" &&
		! grep 'bytes stack frame' "$cubin.log" |
		grep -qv ' 0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads'; then
		pass "$sm: no stack, no spills"
	else
		fail "$sm: no stack, no spills" "$(cat "$cubin.log")"
	fi
done

finish
