#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The CUDA executor on a GPU, watched from outside: by compute-sanitizer, while its
# host is killed, and for 100 million commands. selftests/gpu/check runs it; END is
# when that ends, in seconds since boot (what remains is the soak's).

. "$(dirname "$0")/../lib.sh"

programs=$build/selftests/gpu
export PINRING_TEST_EXECUTOR="${PINRING_TEST_EXECUTOR:-cuda}"

# sanitize TOOL [ARGUMENT...]: the bounded loop, which must be clean
sanitize()
{
	if ! command -v "$sanitizer" >/dev/null; then
		skip "$1" "there is no compute-sanitizer"
		return
	fi
	name="$1: every operation, on 2 blocks, ends and is clean"
	out=$(timeout 90 "$sanitizer" --tool "$@" --error-exitcode 99 --print-limit 20 \
		"$programs/bounded" 2 2>&1) && rc=0 || rc=$?
	case $rc:$out in
	0:*"ERROR SUMMARY: 0 errors"* | 0:*"RACECHECK SUMMARY: 0 hazards"*) pass "$name" ;;
	*"Device not supported"*) skip "$name" "compute-sanitizer does not support this machine" ;;
	*) fail "$name" "exit code $rc" "$(printf '%s\n' "$out" | tail -n 40)" ;;
	esac
}

# How many processes have something on the GPU, as far as nvidia-smi can tell.
on_gpu()
{
	nvidia-smi --query-compute-apps=pid --format=csv,noheader 2>/dev/null |
		grep -c '^[0-9]'
}

# Until soak $1 has answers, which takes what the driver takes to start.
under_way()
{
	tries=300
	until grep -q 'under way' "$tmp/soak.log"; do
		tries=$((tries - 1))
		if [ $tries -eq 0 ] || ! kill -0 "$1" 2>/dev/null; then
			return 1
		fi
		sleep 0.1
	done
}

# The host dies with hundreds of commands in flight, at another moment each time.
killed()
{
	before=$(on_gpu) during=0
	for n in 1 2 3 4 5; do
		"$programs/soak" -s 60 >"$tmp/soak.log" 2>&1 &
		pid=$!
		if ! under_way $pid; then
			fail "kill -9, number $n" "no command was answered:" "$(cat "$tmp/soak.log")"
			kill -9 $pid 2>/dev/null
			continue
		fi
		[ $n -gt 1 ] || during=$(on_gpu)
		sleep "0.$((n * 2 - 1))"
		kill -9 $pid
		wait $pid 2>/dev/null
		check "after kill -9, number $n, a new one works" \
			timeout 30 "$programs/soak" -n 100000 -s 20
	done
	after=$(on_gpu)
	if [ "$during" -le "$before" ]; then
		skip "nothing of them is left on the GPU" "nvidia-smi shows no processes here"
	elif [ "$after" -le "$before" ]; then
		pass "nothing of them is left on the GPU"
	else
		fail "nothing of them is left on the GPU" "$before processes before, $after now"
	fi
}

sanitizer=$(command -v compute-sanitizer) || sanitizer=/usr/local/cuda/bin/compute-sanitizer
for blocks in 1 2 3; do
	check "every operation, on $blocks blocks, has the host executor's bits" \
		timeout 60 "$programs/bounded" "$blocks"
done
# A driver that exports no dma-buf says so by an error, which is none here.
sanitize memcheck --report-api-errors no
sanitize racecheck
sanitize synccheck
killed
check "a user's kernel that faults fails its executor, not the process" \
	timeout 60 "$programs/kernel_fault"
check "memory of the program's own, and what is none" timeout 60 "$programs/memory"
echo "$out" | sed 's/^/# /'
read -r uptime _ </proc/uptime
soak=$((${END:-${uptime%.*} + 300} - ${uptime%.*} - 15))
[ $soak -ge 10 ] || soak=10
check "a soak of 100 million commands" \
	timeout $((soak + 10)) "$programs/soak" -n 100000000 -s $soak
echo "# $out"
finish
