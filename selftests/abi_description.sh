#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What describes the module's ABI besides uapi/pinring.h is in step with it: the
# description for syzkaller has every ioctl, flag and struct, field by field, and
# the fuzzer's table a row for every ioctl.

# shellcheck disable=SC2317 # check calls the functions
. "$(dirname "$0")/lib.sh"

description=$top/selftests/fuzz/dev_pinring.txt
table=$top/selftests/fuzz/table.c

# header FILE: a word a line, 'ioctl NAME', 'flag NAME', 'field STRUCT NAME BYTES'
header()
{
	# shellcheck disable=SC2016
	awk '
	BEGIN {
		bytes["__u32"] = bytes["__s32"] = 4
		bytes["__aligned_u64"] = 8
		bytes["char"] = "array"
	}
	/^#define PINRING_IOC_[A-Z_]+ _IO\(/ { print "ioctl", $2 }
	/^#define PINRING_IOC_[A-Z_]+ \(1u << / { print "flag", $2 }
	/^struct pinring_ioc_.* \{$/ { in_struct = $2 }
	/^\}/ { in_struct = "" }
	in_struct && /^\t(__|char )/ {
		name = $2
		sub(/[;[].*/, "", name)
		print "field", in_struct, name, bytes[$1]
	}' "$1"
}

# described FILE: the same of a description for syzkaller
described()
{
	# shellcheck disable=SC2016
	awk '
	function size(type) {
		if (type ~ /^(array|string)\[/) return "array"
		if (type ~ /int64/) return 8
		if (type ~ /int32|^fd_|^[ug]id$/) return 4
		return "?"
	}
	/^ioctl\$/ {
		name = $1
		sub(/^ioctl\$/, "", name)
		sub(/\(.*/, "", name)
		if (index($0, "const[" name "]")) print "ioctl", name
	}
	/^pinring_[a-z_]*flags = / {
		for (i = 3; i <= NF; i++) {
			sub(/,$/, "", $i)
			print "flag", $i
		}
	}
	/^pinring_ioc_[a-z_]+ \{$/ { in_struct = $1 }
	/^\}/ { in_struct = "" }
	in_struct && /^\t/ {
		type = $0
		sub(/^\t[a-z_]+\t+/, "", type)
		sub(/\t.*/, "", type)
		print "field", in_struct, $1, size(type)
	}' "$1"
}

# in_step HEADER DESCRIPTION
in_step()
{
	header "$1" | sort >"$tmp/header"
	# Their order matters in a struct.
	header "$1" | grep '^field' >"$tmp/header.fields"
	described "$2" | sort >"$tmp/described"
	described "$2" | grep '^field' >"$tmp/described.fields"
	diff "$tmp/header" "$tmp/described" && diff "$tmp/header.fields" "$tmp/described.fields"
}

header "$top/uapi/pinring.h" >"$tmp/all"
if [ "$(grep -c ^ioctl "$tmp/all")" -ge 7 ] && [ "$(grep -c ^field "$tmp/all")" -ge 30 ]; then
	pass "the header is understood"
else
	fail "the header is understood" "$(cat "$tmp/all")"
fi
check "the description has all that the header has, and nothing else" \
	in_step "$top/uapi/pinring.h" "$description"

sed 's/^\t__aligned_u64 seen;/&\n\t__u32 more;/' "$top/uapi/pinring.h" >"$tmp/more.h"
expect_exit 1 "a field that it lacks is missed" in_step "$tmp/more.h" "$description"
sed 's/^#define PINRING_IOC_RING .*/&\n#define PINRING_IOC_MORE _IO(PINRING_IOC_MAGIC, 0x7f)/' \
	"$top/uapi/pinring.h" >"$tmp/call.h"
expect_exit 1 "so is an ioctl" in_step "$tmp/call.h" "$description"
sed 's/^\t__s32 eventfd;/\t__aligned_u64 eventfd;/' "$top/uapi/pinring.h" >"$tmp/wide.h"
expect_exit 1 "so is a field's width" in_step "$tmp/wide.h" "$description"

missing=$(sed -n 's/^ioctl //p' "$tmp/all" | while read -r name; do
	grep -q "IOCTL($name," "$table" || echo "$name"
done)
if [ -z "$missing" ]; then
	pass "the fuzzer calls every ioctl"
else
	fail "the fuzzer calls every ioctl" "$missing"
fi
finish
