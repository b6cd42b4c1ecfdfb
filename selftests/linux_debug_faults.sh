#!/bin/sh
# SPDX-License-Identifier: MIT
#
# That the debug kernel would find what it is there to find.
# timeout=1500

exec "$(dirname "$0")/vm/faults"
