#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The executor's tests on the CUDA executor, with the driver of selftests/cuda: the
# CUDA source of the loop, on a grid made of the host. make check-gpu runs the same
# tests on a real one.
# timeout=900

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

if [ ! -f "$build/selftests/cuda/libcuda.so.1" ]; then
	skip_all "no fake libcuda.so.1: apt-get install g++"
fi
export LD_LIBRARY_PATH="$build/selftests/cuda" PINRING_TEST_EXECUTOR=cuda
# run NAME PROGRAM
run()
{
	"$build/selftests/$2" >"$tmp/log" 2>&1 && rc=0 || rc=$?
	points=$(grep -c '^ok' "$tmp/log")
	if [ "$rc" -eq 0 ] && [ "$points" -gt 0 ]; then
		pass "$1: $points points"
	else
		fail "$1" "exit code $rc" "$(grep -v '^# *\(RUN\|OK\)' "$tmp/log" | tail -n 20)"
	fi
}

for program in executor_operations executor_hostile executor_lifecycle executor_config \
	executor_many executor_bounds executor_services executor_link executor_memory \
	executor_kernels executor_fuzz wave; do
	run "$program" "$program"
done
export FAKE_CUDA=dmabuf
for program in executor_operations executor_bounds; do
	run "$program, its command ring in GPU memory" "$program"
done
# What else make check-gpu runs there, as far as it goes without a GPU.
if [ -x "$build/selftests/gpu/soak" ]; then
	for blocks in 1 3; do
		check "every operation, bounded, on $blocks blocks" \
			timeout 300 "$build/selftests/gpu/bounded" $blocks
	done
	check "memory of a program's own" timeout 100 "$build/selftests/gpu/memory"
	check "a short soak" timeout 300 "$build/selftests/gpu/soak" -n 2000 -s 200
else
	skip "a soak, and what sanitizers watch" "built without nvcc of CUDA 12.8 or later"
fi
finish
