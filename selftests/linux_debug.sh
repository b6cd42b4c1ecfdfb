#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The kernel module in a kernel with KASAN, lockdep, kmemleak and allocations that
# fail; it is built if it lies in no cache. The tests of rings and objects stay away:
# their code is not the module's, and this machine the slowest of all.
# timeout=4500

WITHOUT='lib_ring_.*|lib_object' VM_TIMEOUT=${VM_TIMEOUT:-2400} exec "$(dirname "$0")/vm/tap" debug
