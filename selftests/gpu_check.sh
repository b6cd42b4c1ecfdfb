#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What make check-gpu does around its tests, with programs that are none: how it gives
# out its time, and where it looks for NVIDIA's libraries.

. "$(dirname "$0")/lib.sh"

# program NAME LINE...: one of a build
program()
{
	file=$tmp/build/$1
	shift
	mkdir -p "${file%/*}"
	printf '%s\n' '#!/bin/sh' "$@" >"$file"
	chmod +x "$file"
}

# shows NAME TEXT: in what was printed last
shows()
{
	case $out in
	*"$2"*) pass "$1" ;;
	*) fail "$1" "no '$2' in:" "$out" ;;
	esac
}

program bench/pinring-bench-gpu "echo 'pinring-bench-gpu: no GPU to measure: why'" "exit 4"
expect_exit 4 "without a GPU it is skipped" "$top/selftests/gpu/check" "$tmp/build"
shows "and says why" "check-gpu: skipped: no GPU to measure: why"

program bench/pinring-bench-gpu "exit 0"
program tools/pinring "exit 0"
program selftests/hangs "exec sleep 100"
for name in one two three four; do
	program selftests/$name "echo ok 1 it" "echo 1..1"
done
expect_exit 1 "a test that hangs fails" \
	env LIMIT=24 TESTS="hangs one two three four" "$top/selftests/gpu/check" "$tmp/build"
shows "when twice its share is over" "s (no end after "
for name in one two three four; do
	shows "and $name has its time" "
ok cuda $name 1 passed"
done
expect_exit 1 "where there is no time" \
	env LIMIT=3 TESTS="one two" "$top/selftests/gpu/check" "$tmp/build"
shows "it says for what" "check-gpu: no time was left for two"

# A toolkit, and a python3, that are none; no linker knows either.
libraries=$top/selftests/gpu/libraries
mkdir -p "$tmp/bin" "$tmp/cuda/bin" "$tmp/cuda/lib64" "$tmp/site/nvidia/cu13/lib"
printf '#!/bin/sh\n' >"$tmp/bin/ldconfig"
printf '#!/bin/sh\necho "%s"\n' "$tmp/site/nvidia/*/lib" >"$tmp/bin/python3"
chmod +x "$tmp/bin/ldconfig" "$tmp/bin/python3"
touch "$tmp/cuda/bin/nvcc" "$tmp/site/nvidia/cu13/lib/libnvrtc.so.13"
ln -s "$tmp/cuda/bin/nvcc" "$tmp/bin/nvcc"

# expect NAME PATH: what is printed
expect()
{
	out=$(PATH="$tmp/bin:$PATH" "$libraries" "$tmp/bin/nvcc" 2>&1)
	if [ "$out" = "$2" ]; then
		pass "$1"
	else
		fail "$1" "not '$2':" "$out"
	fi
}

unset LD_LIBRARY_PATH
expect "libraries of Python's packages" "$tmp/site/nvidia/cu13/lib"
touch "$tmp/cuda/lib64/libnvJitLink.so.13"
expect "and of nvcc's own toolkit" "$tmp/site/nvidia/cu13/lib:$tmp/cuda/lib64"
touch "$tmp/cuda/lib64/libnvrtc.so.13"
expect "which comes first" "$tmp/cuda/lib64"
export LD_LIBRARY_PATH="$tmp/cuda/lib64"
expect "what is in the path already is not there twice" "$tmp/cuda/lib64"
export LD_LIBRARY_PATH="/somewhere"
expect "and what is there stays" "/somewhere:$tmp/cuda/lib64"
printf '#!/bin/sh\necho libnvrtc.so.13 libnvJitLink.so.13 | tr " " "\\n"\n' >"$tmp/bin/ldconfig"
expect "what a linker finds needs no path" "/somewhere"
finish
