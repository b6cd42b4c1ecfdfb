#!/bin/sh
# SPDX-License-Identifier: MIT
#
# examples/read_blocks: what a kernel asks its host to read through io_uring.

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/tool_lib.sh
. "$(dirname "$0")/tool_lib.sh"

program=$build/examples/read_blocks
if [ ! -x "$program" ]; then
	skip_all "there is no $program: apt-get install liburing-dev"
fi
if ! command -v python3 >/dev/null; then
	skip_all "no python3 to make a file with"
fi
# Three whole blocks and a part of one; every sum is exact.
python3 -c 'import struct, sys
sys.stdout.buffer.write(struct.pack("<52000f", *[i % 7 for i in range(52000)]))' >"$tmp/floats"
"$program" "$tmp/floats" >"$tmp/out" 2>"$tmp/said" && rc=0 || rc=$?
if [ "$rc" -eq 77 ]; then
	skip_all "$(cat "$tmp/said")"
fi
is "adds up every block of a file" "0 $(python3 -c 'print("%g" % sum(i % 7 for i in range(52000)))')" \
	"$rc $(cat "$tmp/out")"
: >"$tmp/empty"
is "nothing is the sum of nothing" 0 "$("$program" "$tmp/empty")"
"$program" "$tmp" >"$tmp/out" 2>"$tmp/said" && rc=0 || rc=$?
is "what cannot be read is the command's failure" "1 ask: the service failed" \
	"$rc $(head -n 1 "$tmp/said")"
finish
