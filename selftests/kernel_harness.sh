#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Every test written on our harness also compiles on the kernel's own.
# KSELFTEST_DIR names a tools/testing/selftests to use instead of Debian's.

# shellcheck disable=SC2317 # check calls the functions
# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

dir=$KSELFTEST_DIR
if [ -z "$dir" ]; then
	for tar in /usr/src/linux-source-*.tar.xz; do
		[ -e "$tar" ] || skip_all "no kernel source: apt-get install linux-source-6.1"
		tar -xJf "$tar" -C "$tmp" --wildcards --strip-components=1 \
			'*/tools/testing/selftests/kselftest*.h' ||
			skip_all "$tar cannot be unpacked"
		dir=$tmp/tools/testing/selftests
	done
fi

# The kernel's header uses %s and the like in ways that -Wformat dislikes.
compile()
{
	cc -std=gnu11 -Wall -Wno-format -Wno-unused -fsyntax-only -D_GNU_SOURCE \
		-I"$dir" -I"$build/include" -I"$top/lib/include" -I"$top" "$1"
}

for test in "$top"/selftests/*.c; do
	if grep -q '^TEST_HARNESS_MAIN' "$test"; then
		check "compiles: ${test##*/}" compile "$test"
	fi
done
finish
