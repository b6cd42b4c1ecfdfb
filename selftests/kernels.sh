#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The kernels that the virtual machines boot are to be had. Beside other tests, with
# the time that they leave: what is in no cache is downloaded, and the debug kernel
# built.
# timeout=4500

. "$(dirname "$0")/lib.sh"

renice -n 19 $$ >/dev/null
for kernel in 6.1 6.12 7.2 debug; do
	check "$kernel" "$top/selftests/vm/fetch" $kernel
done
finish
