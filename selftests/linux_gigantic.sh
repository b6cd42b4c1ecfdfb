#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The kernel module in a machine that is large enough for a page of 1 GiB, to adopt.
# What lies in no cache is downloaded.
# timeout=1800

VM_MEMORY=5120 APPEND='hugepagesz=1G hugepages=1 TEST_TIMEOUT=200' TESTS=gigantic \
	exec "$(dirname "$0")/vm/tap" 6.12 gigantic
