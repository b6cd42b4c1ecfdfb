# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# Helpers for tests written in sh, which print KTAP:
#
#	. "$(dirname "$0")/lib.sh"
#	check "says its version" pinring --version
#	expect_exit 2 "refuses an unknown option" pinring --nonsense
#	[ -e /dev/pinring ] || skip "uses the module" "no /dev/pinring"
#	finish
#
# Every test ends with finish: a script that stops before it has no plan, and
# selftests/run counts that as a failure.
#
# $top    the repository        $build  where the programs were built ($BUILD)
# $tmp    a folder that is removed at the end
# $out    what the last check or expect_exit printed, stdout and stderr together

top=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD:-$top/build}
case $build in
/*) ;;
*) build=$top/$build ;;
esac
tmp=$(mktemp -d) || exit 1
out=
lib_passed=0 lib_failed=0 lib_skipped=0 lib_n=0
: "$build"

trap 'rm -rf "$tmp"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
echo "TAP version 13"

# pass NAME
pass()
{
	lib_n=$((lib_n + 1)) lib_passed=$((lib_passed + 1))
	echo "ok $lib_n $1"
}

# fail NAME [LINE...]: the lines say why
fail()
{
	lib_n=$((lib_n + 1)) lib_failed=$((lib_failed + 1))
	lib_name=$1
	shift
	[ $# -eq 0 ] || printf '%s\n' "$@" | sed 's/^/# /'
	echo "not ok $lib_n $lib_name"
}

# skip NAME REASON
skip()
{
	lib_n=$((lib_n + 1)) lib_skipped=$((lib_skipped + 1))
	echo "ok $lib_n $1 # SKIP $2"
}

# skip_all REASON: nothing here can run
skip_all()
{
	echo "1..0 # SKIP $1"
	exit 4
}

# is NAME WANT GOT
is()
{
	if [ "$2" = "$3" ]; then
		pass "$1"
	else
		fail "$1" "want: $2" "got: $3"
	fi
}

# expect_exit CODE NAME COMMAND...: passes if the command leaves with CODE
expect_exit()
{
	lib_code=$1 lib_what=$2
	shift 2
	out=$("$@" 2>&1 </dev/null) && lib_rc=0 || lib_rc=$?
	if [ "$lib_rc" -eq "$lib_code" ]; then
		pass "$lib_what"
	else
		fail "$lib_what" "exit code $lib_rc, not $lib_code: $*" "$out"
		return 1
	fi
}

# check NAME COMMAND...: passes if the command leaves with 0
check()
{
	expect_exit 0 "$@"
}

# finish: prints the plan and leaves with 0, 1 (failed) or 4 (all skipped)
finish()
{
	echo "1..$lib_n"
	echo "# Totals: pass:$lib_passed fail:$lib_failed xfail:0 xpass:0 skip:$lib_skipped error:0"
	[ "$lib_failed" -eq 0 ] || exit 1
	[ "$lib_passed" -eq 0 ] || exit 0
	[ "$lib_skipped" -eq 0 ] || exit 4
	exit 1
}
