#!/bin/sh
# SPDX-License-Identifier: MIT
# timeout=1500
#
# The benchmarks of the CUDA executor, as far as they go without a GPU: what they say
# when there is none, their options, the rows that a host executor can try, and all
# of them on a libcuda.so.1 made of the host. What is computed is compared everywhere.

. "$(dirname "$0")/lib.sh"

bench=$build/bench/pinring-bench-gpu
[ -x "$bench" ] || skip_all "no pinring-bench-gpu: built without nvcc of CUDA 12.8 or later"

# try ARGUMENT...: a trial on the host executor; misses its targets, so leaves with 1
try()
{
	expect_exit 1 "a trial: $*" "$bench" --executor host --quick --limit 200 "$@"
}

# shows NAME TEXT: in what was printed last
shows()
{
	case $out in
	*"$2"*) pass "$1" ;;
	*) fail "$1" "no '$2' in:" "$out" ;;
	esac
}

# is_one NAME CODE
is_one()
{
	if [ "$2" -eq 1 ]; then
		pass "$1"
	else
		fail "$1" "exit code $2" "$out"
	fi
}

for arguments in "--runs 6" "--runs 102" "--runs x" "--gpu -1" "--gpu 64" "--limit 0" \
	"--only nonsense" "--executor gpu" "--nonsense" "nonsense"; do
	# shellcheck disable=SC2086
	expect_exit 2 "refuses $arguments" "$bench" $arguments
done
expect_exit 2 "refuses a file that it cannot write" \
	"$bench" --executor host --only command --json "$tmp/none/x.json"
check "--help" "$bench" --help
for group in probe floors command link push torn mixed frame room vector bandwidth barrier \
	hazards; do
	shows "--help lists $group" "
  $group "
done

if ldconfig -p 2>/dev/null | grep -q 'libcuda\.so\.1'; then
	skip "without a driver" "this machine has one"
else
	expect_exit 4 "without a driver it is skipped" "$bench"
	shows "and says why" "no GPU to measure: no CUDA driver: there is no libcuda.so.1"
	check "in one line" test "$(echo "$out" | wc -l)" -eq 1
fi

mkdir "$tmp/results"
try --only command --json "$tmp/results"
shows "it says that it is one" "A TRIAL WITHOUT A GPU"
shows "issued, accepted and completed" "issued   accepted  completed p50"
try --only mixed
shows "the mixed workload sounds as it should" "mixed 64^3: executor, 3 commands"
try --only push
shows "what needs a GPU says so" "needs a GPU"
json=$(ls "$tmp/results")
case $json in
20??-??-??-no-gpu.json) pass "a file in a folder is named by day and device" ;;
*) fail "a file in a folder is named by day and device" "$json" ;;
esac
if command -v python3 >/dev/null; then
	check "--json has rows and commands" python3 -c '
import json, sys
report = json.load(open(sys.argv[1]))
rows = {r["name"]: r for r in report["rows"]}
assert rows["inject, issued"]["target"] == 30, rows
assert rows["nop, submit to completion, p50"]["verdict"] == "NOT MEASURED", rows
commands = {c["name"]: c for c in report["commands"]}
nop = commands["nop, one at a time"]
assert nop["issued_ns"]["median"] <= nop["completed_p50_ns"]["median"], nop
assert nop["accepted_ns"]["runs"] == 7, nop
' "$tmp/results/$json"
else
	skip "--json has rows and commands" "no python3 to read it with"
fi
# All of it, on a GPU that is none: a group has its deadline eight times over, since
# that GPU shares the CPUs with everybody.
fake=$build/selftests/cuda/bench
if [ ! -e "$fake/libcuda.so.1" ]; then
	skip "on a driver made of the host" "it was built without a C++ compiler"
	finish
fi
name="every row has a figure on a driver made of the host"
# It runs no users' kernels: with a libnvrtc that is none, neither is compiled.
mkdir "$tmp/none" && ln -s "$(realpath "$fake/libcuda.so.1")" "$tmp/none/libnvrtc.so.13"
LD_LIBRARY_PATH=$fake:$tmp/none "$bench" --quick --limit 3600 >"$tmp/table" 2>"$tmp/said" </dev/null
rc=$?
owed=$(grep -c -i 'not measured' "$tmp/table")
if [ $rc -le 1 ] && [ "$owed" -eq 2 ] && ! grep -q 'killed' "$tmp/table" "$tmp/said"; then
	pass "$name"
else
	fail "$name" "exit code $rc" "$(cat "$tmp/said" "$tmp/table")"
fi
for row in "two flags, host memory" "graph of one node, synchronised" \
	"nop, submit to completion, p50" "push, a block of 256" "8-byte words torn" \
	"mixed 64^3: graph of 7, answer polled" "60 FPS 64^3, missed by launches" \
	"the same, the room in host memory" "add of 3072, launched, GPU memory" \
	"add of 64 M floats in GPU memory" "barrier of the grid, all that is resident" \
	"load a module while all SMs run" "run a cooperative one while one runs"; do
	check "$row" grep -q "^$(echo "$row" | sed 's/\^/\\^/')  *[0-9]" "$tmp/table"
done

# A kernel that never ends costs its group, and no other one.
out=$(LD_LIBRARY_PATH=$fake BENCH_LIBCUDA_HANG=bench_push_one \
	"$bench" --quick --only push --limit 3 2>&1 </dev/null) && rc=0 || rc=$?
is_one "a group that hangs misses its targets" $rc
shows "and is killed" "killed: it took longer than 3 s"
shows "each row that it owes is named" "missed: push, a warp"

# Groups that take all they get leave the others theirs.
out=$(LD_LIBRARY_PATH=$fake BENCH_LIBCUDA_HANG=all \
	"$bench" --quick --limit 40 2>&1 </dev/null) && rc=0 || rc=$?
is_one "a GPU on which everything hangs" $rc
# Of 40 s, 60 in 650: how far the last ones come depends on who else has the CPU.
name="the first one that hangs is killed when its share is over"
case $out in
*"floors: killed: it took longer than "[1-4]" s"*) pass "$name" ;;
*) fail "$name" "$out" ;;
esac
for row in floors "nop, submit to completion, p50" "push, a warp" "8-byte words torn" \
	"mixed 64^3, an iteration" barrier hazards; do
	shows "$row is in the table, with the reason" "
$row  "
done

# And what has none is not left out without a word.
LD_LIBRARY_PATH=$fake "$bench" --quick --limit 1 --json "$tmp/results/none.json" \
	>"$tmp/table" 2>/dev/null </dev/null || true
name="groups for which no time is left are in the table"
if [ "$(grep -c 'no time was left for it: --limit' "$tmp/table")" -ge 13 ]; then
	pass "$name"
else
	fail "$name" "$(cat "$tmp/table")"
fi
# All the rest is the last one's.
for group in probe floors barrier; do
	check "$group is in the table" grep -q "^$group  .*not measured" "$tmp/table"
	check "and in the JSON" grep -q "\"name\": \"$group\".*no time was left" "$tmp/results/none.json"
done
finish
