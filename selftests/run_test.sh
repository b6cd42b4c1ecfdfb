#!/bin/sh
# SPDX-License-Identifier: MIT
#
# selftests/run must count right and fail when it should: each test here gives
# it small programs and reads what it prints.

. "$(dirname "$0")/lib.sh"

run=$top/selftests/run
unset TIMEOUT

# program NAME, its text after '#!/bin/sh' from stdin
program()
{
	{
		echo '#!/bin/sh'
		cat
	} >"$tmp/$1"
	chmod +x "$tmp/$1"
}

# last_line NAME LINE: what the run before printed last
last_line()
{
	if [ "$(printf '%s\n' "$out" | tail -n 1)" = "$2" ]; then
		pass "$1"
	else
		fail "$1" "the last line is not '$2' in:" "$out"
	fi
}

# says NAME GLOB
says()
{
	# shellcheck disable=SC2254
	case $out in
	*$2*) pass "$1" ;;
	*) fail "$1" "no '$2' in:" "$out" ;;
	esac
}

program good <<'END'
echo TAP version 13
echo 1..3
echo ok 1 one
echo '# not ok in a comment, and ok too'
echo '    ok 1 nested'
echo 'ok 2 two # SKIP no device'
echo ok 3
END
check "all ok: exit 0" "$run" -o "$tmp/logs" "asan:$tmp/good"
last_line "points are counted" "2 passed, 0 failed, 1 skipped"
says "a line for the program" "ok asan good 2 passed 1 skipped 0."
says "the skip reason is printed" "skipped: two: no device"
check "the log is kept" grep -q '^ok 3$' "$tmp/logs/asan.good.log"

program bad <<'END'
echo ok 1 one
echo because of this
echo not ok 2 two
echo 1..2
exit 1
END
expect_exit 1 "a 'not ok': exit 1" "$run" "$tmp/good" "$tmp/bad"
last_line "both programs are added up" "3 passed, 1 failed, 1 skipped"
says "failing output is printed" "| because of this"

program lies <<'END'
echo 1..1
echo not ok 1 one
END
expect_exit 1 "a 'not ok' with exit 0 fails" "$run" "$tmp/lies"
last_line "... once" "0 passed, 1 failed, 0 skipped"

program dies <<'END'
echo 1..1
echo ok 1 one
exit 66
END
expect_exit 1 "an exit code without a 'not ok' fails" "$run" "$tmp/dies"
last_line "... once" "1 passed, 1 failed, 0 skipped"
says "... and says so" "exit code 66"

program forgets.sh <<'END'
echo 1..1
is "another" 2 "nobody knows"
echo ok 1 one
END
expect_exit 1 "a command that a script has not fails" "$run" "$tmp/forgets.sh"
last_line "... once" "1 passed, 1 failed, 0 skipped"
says "... and says so" "has no command 'is'"

program crashes <<'END'
echo 1..1
echo ok 1 one
kill -SEGV $$
END
expect_exit 1 "a crash fails" "$run" "$tmp/crashes"
says "... and says so" "killed by signal 11"

program four <<'END'
echo no such device
exit 4
END
check "exit 4 is skipped" "$run" "$tmp/four"
last_line "... once" "0 passed, 0 failed, 1 skipped"
says "... with its last words" "skipped: no such device"

program whole <<'END'
echo TAP version 13
echo '1..0 # SKIP no module'
exit 4
END
check "a plan of none with a reason is skipped" "$run" "$tmp/whole"
last_line "... once" "0 passed, 0 failed, 1 skipped"
says "... with its reason" "skipped: no module"

program short <<'END'
echo 1..3
echo ok 1
echo ok 2
END
expect_exit 1 "fewer points than planned fail" "$run" "$tmp/short"
last_line "... once" "2 passed, 1 failed, 0 skipped"
says "... and it says so" "planned 3 tests, ran 2"

program long <<'END'
echo 1..1
echo ok 1
echo ok 2
END
expect_exit 1 "more points than planned fail" "$run" "$tmp/long"

program noplan <<'END'
echo ok 1
END
expect_exit 1 "no plan fails" "$run" "$tmp/noplan"
says "... and it says so" "(no plan)"

program none <<'END'
echo 1..0
END
expect_exit 1 "no test fails" "$run" "$tmp/none"
last_line "... once" "0 passed, 1 failed, 0 skipped"

program silent <<'END'
:
END
expect_exit 1 "silence fails" "$run" "$tmp/silent"

program bails <<'END'
echo 1..1
echo ok 1
echo 'Bail out! no memory'
END
expect_exit 1 "bailing out fails" "$run" "$tmp/bails"

expect_exit 1 "a program that is not there fails" "$run" "$tmp/nowhere" "$tmp/good"
last_line "... once, and the next one runs" "2 passed, 1 failed, 1 skipped"
expect_exit 1 "no programs at all fail" "$run"
last_line "... as one" "0 passed, 1 failed, 0 skipped"
expect_exit 2 "an unknown option is a usage error" "$run" -z
expect_exit 2 "-j takes a number" "$run" -j many "$tmp/good"

program hangs <<END
echo 1..1
echo ok 1
sleep 60 &
echo \$! >"$tmp/hangs.pid"
trap '' TERM INT
sleep 60
sleep 60
END
expect_exit 1 "a program that hangs is stopped" env TIMEOUT=1 "$run" "$tmp/hangs"
last_line "... and fails" "1 passed, 1 failed, 0 skipped"
says "... and says why" "no end after 1 s"

program patient.sh <<END
# timeout=60
sleep 2
echo 1..1
echo ok 1
END
expect_exit 0 "a script may ask for more time" env TIMEOUT=1 "$run" "$tmp/patient.sh"
last_line "... and gets it" "1 passed, 0 failed, 0 skipped"

# gone PID: it has ended, or does within a second
# shellcheck disable=SC2317
gone()
{
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		kill -0 "$1" 2>/dev/null || return 0
		case $(cat "/proc/$1/stat" 2>/dev/null) in *') Z '*) return 0 ;; esac
		sleep 0.1
	done
	return 1
}
check "... with its helpers" gone "$(cat "$tmp/hangs.pid")"

program leaves <<END
echo 1..1
echo ok 1
sleep 60 &
echo \$! >"$tmp/leaves.pid"
END
check "a program may leave a helper" "$run" "$tmp/leaves"
check "... but it is killed" gone "$(cat "$tmp/leaves.pid")"

program waits <<END
echo 1..1
echo \$\$ >"$tmp/waits.pid"
exec sleep 60
END
(
	trap - INT
	exec "$run" -j 2 "$tmp/waits" "$tmp/waits" "$tmp/good" >"$tmp/stopped" 2>&1
) &
pid=$!
while [ ! -s "$tmp/waits.pid" ]; do
	sleep 0.05
done
kill -TERM "$pid"
wait "$pid"
rc=$?
check "a stopped run leaves with 130" test "$rc" -eq 130
check "... stops its programs" gone "$(cat "$tmp/waits.pid")"
out=$(cat "$tmp/stopped")
says "... and counts what did not run as failed" " failed, "

program interrupted <<'END'
echo 1..1
(trap 'echo ok 1 SIGINT reaches a handler; exit' INT; kill -INT $(exec sh -c 'echo $PPID'); echo not ok 1)
END
check "programs start with SIGINT at its default" "$run" "$tmp/interrupted"

check "-j 3 runs all" "$run" -j 3 "$tmp/good" "a:$tmp/good" "b:$tmp/good" "$tmp/good" "$tmp/four"
last_line "... and counts all" "8 passed, 0 failed, 5 skipped"

# Says when it comes and goes, after what the others said.
program notes <<END
echo 1..1
me=\${0##*/}
echo "+\$me" >>"$tmp/noted"
sleep 0.3
echo "-\$me" >>"$tmp/noted"
echo ok 1
END
cp "$tmp/notes" "$tmp/a"
cp "$tmp/notes" "$tmp/b"
cp "$tmp/notes" "$tmp/z"
: >"$tmp/noted"
check "-b and -l run all" "$run" -b beside -l last "last:$tmp/z" "last:$tmp/z" "last:$tmp/z" \
	"$tmp/a" "beside:$tmp/b" "$tmp/a" "beside:$tmp/b"
last_line "... and count all" "7 passed, 0 failed, 0 skipped"
# there WHO...: whether they were there at the same time, once at least
# shellcheck disable=SC2317
there()
{
	awk -v want="$*" '
		{ n[substr($0, 2)] += /^\+/ ? 1 : -1 }
		{
			now = ""
			for (who in n)
				for (i = 0; i < n[who]; i++)
					now = now who
			split(want, each, " ")
			all = 1
			for (i in each) {
				all = all && sub(each[i], "", now)
			}
			found = found || all
		}
		END { exit !found }' "$tmp/noted"
}
check "... of -b beside the others" there a b
check "... of -l two" there z z
expect_exit 1 "... no three" there z z z
expect_exit 1 "... nor others beside them" there a z
expect_exit 1 "... and of -b one" there b b

# lib.sh itself, through the same door
program half <<END
. "$top/selftests/lib.sh"
pass one
exit 0
END
expect_exit 1 "a script that never comes to finish fails" "$run" "$tmp/half"

program helpers <<END
. "$top/selftests/lib.sh"
check "true is true" true
check "false is true" false
expect_exit 3 "three" sh -c 'echo words; exit 3'
[ "\$out" = words ] && pass "output is kept"
skip "module" "not loaded"
finish
END
expect_exit 1 "helpers of lib.sh" "$run" "$tmp/helpers"
last_line "... count right" "3 passed, 1 failed, 1 skipped"

program all_skipped <<END
. "$top/selftests/lib.sh"
skip_all "nothing to test"
END
check "skip_all skips" "$run" "$tmp/all_skipped"
last_line "... once" "0 passed, 0 failed, 1 skipped"

finish
