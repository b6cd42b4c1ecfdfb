#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tool.sh once more, on the tool built with AddressSanitizer and UBSan.

top=$(cd "$(dirname "$0")/.." && pwd)
PINRING=$top/build/address-undefined/tools/pinring
if [ ! -x "$PINRING" ]; then
	echo "TAP version 13"
	echo "1..0 # SKIP not built: make SANITIZE=address,undefined tools"
	exit 4
fi
export PINRING
exec "$top/selftests/tool.sh"
