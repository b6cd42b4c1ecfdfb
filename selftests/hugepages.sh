#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The two kinds of huge pages, which most machines have switched off: switched
# on for the length of this test, where CI or root's PINRING_TEST_SYSTEM=1 says
# that this machine's settings may be touched.

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

pool=/proc/sys/vm/nr_hugepages
shmem=/sys/kernel/mm/transparent_hugepage/shmem_enabled
pinring=${PINRING:-$build/tools/pinring}

[ -n "$CI$PINRING_TEST_SYSTEM" ] ||
	skip_all "changes vm.nr_hugepages and shmem_enabled: allow it with PINRING_TEST_SYSTEM=1"
if [ ! -w $pool ] || [ ! -w $shmem ]; then
	skip_all "only root may change vm.nr_hugepages and shmem_enabled"
fi

pool_before=$(cat $pool)
shmem_before=$(sed 's/.*\[\(.*\)\].*/\1/' $shmem)
# shellcheck disable=SC2317 # called by the trap
restore()
{
	echo "$pool_before" >"$pool"
	echo "$shmem_before" >"$shmem"
}
trap 'restore; rm -rf "$tmp"' EXIT

# pages NAME: a region came in pages of 2 MiB, and every region test passes
pages()
{
	check "$1: pinring info runs" "$pinring" info
	case $out in
	*"in pages of 2048 KiB"*) pass "$1: a region comes in pages of 2 MiB" ;;
	*) fail "$1: a region comes in pages of 2 MiB" "$out" ;;
	esac
	check "$1: the tests of regions pass" "$build/selftests/region"
}

echo $((pool_before + 80)) >$pool
if [ "$(cat $pool)" -ge $((pool_before + 80)) ]; then
	pages "hugetlb"
else
	skip "hugetlb" "the kernel found no 80 free huge pages"
fi
echo "$pool_before" >$pool

echo never >$shmem
check "no huge pages: the tests of regions pass" "$build/selftests/region"

if echo advise >$shmem 2>/dev/null; then
	pages "transparent"
else
	skip "transparent" "this kernel does not take advise"
fi
finish
