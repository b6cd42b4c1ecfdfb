#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The kernel module in Debian's Linux 7.2. What lies in no cache is downloaded. The
# tests of rings run in 6.12: on the module's regions once, for their own code, and
# not the module's, is what they try.
# timeout=3600

WITHOUT='lib_ring_.*' exec "$(dirname "$0")/vm/tap" 7.2
