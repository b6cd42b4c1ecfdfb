#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Every shell script passes shellcheck; every source file names its licence in
# the first line, or the second after a '#!'.

. "$(dirname "$0")/lib.sh"

# Also files that git does not know yet, but not those it ignores.
if git -C "$top" rev-parse --is-inside-work-tree >/dev/null 2>&1; then
	git -C "$top" ls-files --cached --others --exclude-standard
else
	(cd "$top" && find . -name .git -prune -o -name 'build*' -prune -o -type f -print |
		sed 's,^\./,,')
fi | sort >"$tmp/files"

: >"$tmp/scripts"
: >"$tmp/sources"
: >"$tmp/bare"
cd "$top" || exit 1
while read -r file; do
	[ -f "$file" ] || continue
	{
		read -r first
		read -r second
	} <"$file" 2>/dev/null
	case $file:$first in
	*:'#!'*sh | *.sh:*) echo "$file" >>"$tmp/scripts" ;;
	esac
	case $file:$first in
	*:'#!'*)
		licence=$second
		;;
	*.[chS]:* | *.cu:* | *.cuh:* | *.cc:* | *.cpp:* | *.hpp:* | *.sh:* | *.py:* | *.awk:* | \
	*.mk:* | *Makefile:* | *Kbuild:* | *Kconfig:* | *.[1-9]:* | *.map:* | *.lds:* | *.conf:* | *.in:*)
		licence=$first
		;;
	*)
		continue
		;;
	esac
	echo "$file" >>"$tmp/sources"
	case $licence in
	*'SPDX-License-Identifier: '*) ;;
	*) echo "$file" >>"$tmp/bare" ;;
	esac
done <"$tmp/files"

if ! command -v shellcheck >/dev/null; then
	skip "shellcheck" "shellcheck is not installed"
elif [ ! -s "$tmp/scripts" ]; then
	fail "shellcheck" "found no scripts"
else
	while read -r file; do
		check "shellcheck $file" shellcheck -x -P SCRIPTDIR "$file"
	done <"$tmp/scripts"
fi

if [ ! -s "$tmp/sources" ]; then
	fail "licence of every source file" "found no sources"
elif [ -s "$tmp/bare" ]; then
	fail "licence of every source file" "no SPDX line in:" "$(cat "$tmp/bare")"
else
	pass "licence of every source file"
fi

finish
