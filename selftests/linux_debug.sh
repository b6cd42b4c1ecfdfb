#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The kernel module in a kernel with KASAN, lockdep, kmemleak and allocations that
# fail; it is built if it lies in no cache. The rings' own tests stay away: their
# code is not the module's, and this machine the slowest of all.
# timeout=4500

tests=
for file in "${BUILD:-$(dirname "$0")/../build}"/vm/tests/*; do
	case $file in
	*/lib_ring_*) ;;
	*) tests="$tests ${file##*/}" ;;
	esac
done
TESTS=$tests VM_TIMEOUT=${VM_TIMEOUT:-2400} exec "$(dirname "$0")/vm/tap" debug
