# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# Helpers for tests of the tool, beside those of lib.sh.

: "${pinring:=${PINRING:-${build:?lib.sh comes first}/tools/pinring}}"

# one_sentence ABOUT: $out is one line that names the argument
one_sentence()
{
	[ "$(printf '%s\n' "$out" | wc -l)" -eq 1 ] || return 1
	case $out in
	"pinring: $1: "*) return 0 ;;
	esac
	return 1
}

# refuses CODE ABOUT NAME ARGUMENT...
refuses()
{
	code=$1 about=$2 name=$3
	shift 3
	out=$("$pinring" "$@" 2>&1 </dev/null) && rc=0 || rc=$?
	if [ "$rc" -ne "$code" ]; then
		fail "refuses $name" "exit code $rc, not $code: $*" "$out"
	elif ! one_sentence "$about"; then
		fail "refuses $name" "not one sentence on $about:" "$out"
	else
		pass "refuses $name"
	fi
}

# says NAME WORD COMMAND...: leaves with 0 and prints WORD
says()
{
	name=$1 word=$2
	shift 2
	out=$("$@" 2>&1 </dev/null) && rc=0 || rc=$?
	case $rc:$out in
	0:*"$word"*) pass "$name" ;;
	*) fail "$name" "exit code $rc, or no \"$word\": $*" "$out" ;;
	esac
}
