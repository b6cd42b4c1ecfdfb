#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The kernel module in Debian's Linux 6.1. What lies in no cache is downloaded.
# timeout=3600

exec "$(dirname "$0")/vm/tap" 6.1
