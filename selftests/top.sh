#!/bin/sh
# SPDX-License-Identifier: MIT
#
# pinring top: regions and rings of running programs, as tables, as JSON, and on a
# screen. On the regions of the kernel module: kmod/top.sh.

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/tool_lib.sh
. "$(dirname "$0")/tool_lib.sh"

traffic=$build/selftests/traffic

# begin NAME [MODE]: a program that ends when the test does; its pid is in $child
begin()
{
	"$traffic" "$@" <"$tmp/stdin" >"$tmp/ready" 2>"$tmp/said" &
	child=$!
	tries=0
	while [ ! -s "$tmp/ready" ]; do
		tries=$((tries + 1))
		if [ $tries -gt 600 ]; then
			fail "traffic begins" "$(cat "$tmp/said")"
			finish
		fi
		sleep 0.1
	done
	: >"$tmp/ready"
}

# once ARGUMENT...: one table, soon
once()
{
	"$pinring" top --once --interval 0.1 "$@" 2>&1 </dev/null
}

# row RING: kind, capacity, bar, share, full and lost of a ring of $region
row()
{
	once "$region" | awk -v ring="$1" -v region="$region" '
	/^ *[0-9]+ / { here = $3 == region }
	here && $1 == ring { print $2, $3, $4, $5, $(NF - 1), $NF }'
}

test_usage()
{
	refuses 2 --nonsense "an unknown option" top --nonsense
	for value in 0 0.09 3601 nan x "" -1 1e9; do
		refuses 2 --interval "--interval '$value'" top --interval "$value"
	done
	for value in x -1 1.5 ""; do
		refuses 2 -n "-n '$value'" top -n "$value"
	done
}

test_table()
{
	region=orders-$$
	begin $region
	# What comes after the number is for others who look at it now.
	is "shows whose region it is" "$child" \
		"$(once $region | awk '$3 == "'$region'" { sub(/^[^\/]*\//, "", $4); print $4 }')"
	is "a quarter of an SPSC ring" "spsc 8x64 [##......] 25% 0 0" "$(row quarter)"
	is "one that is full, and once was too full" "spsc 4x64 [########] 100% 1 0" "$(row full)"
	is "half of a line ring" "line 8x56 [####....] 50% 0 0" "$(row line)"
	is "a quarter of two lanes" "lanes 16x64 [##......] 25% 0 0" "$(row fan)"
	is "a quarter of a device ring" "device 8x64 [##......] 25% 0 0" "$(row far)"
	is "before the slowest reader of a broadcast ring" "broadcast 8x64 [######..] 75% 0 0" \
		"$(row cast)"
	is "a quarter of a byte ring" "bytes 4 KiB [##......] 0 0" "$(row letters)"
	is "as many tables as were asked for" 3 \
		"$("$pinring" top -n 3 --interval 0.1 $region | grep -c ' OWNER ')"
	is "and only of the regions that are named" 0 \
		"$(once "no-$region" | grep -c ' OWNER ')"
	if ! command -v python3 >/dev/null; then
		skip "--json is an object a line" "no python3 to read it with"
		return
	fi
	"$pinring" top -n 2 --interval 0.3 --json $region >"$tmp/top.json"
	check "--json is an object a line, with rates" python3 -c 'import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
assert len(lines) == 2
for line in lines:
    region, = [r for r in line["regions"] if r["name"] == sys.argv[2]]
    assert region["pid"] == int(sys.argv[3]) and region["open"]
    rings = {ring["name"]: ring for ring in region["rings"]}
    assert rings["quarter"]["fill"] == 0.25 and rings["quarter"]["sent_per_s"] == 0
    assert rings["flow"]["sent_per_s"] > 0 and rings["flow"]["received_per_s"] > 0
    assert rings["full"]["full"] == 1
' "$tmp/top.json" $region "$child"
}

# What others write is shown, and does nothing.
test_hostile()
{
	"$traffic" wiped$$ hostile <"$tmp/stdin" >"$tmp/ready" &
	hostile=$!
	while [ ! -s "$tmp/ready" ] && kill -0 $hostile; do
		sleep 0.1
	done
	once wiped$$ >"$tmp/hostile"
	is "prints nothing that cannot be printed" 0 \
		"$(LC_ALL=C tr -d ' -~\n' <"$tmp/hostile" | wc -c)"
	says "but the rest of it" "?[2Jwiped$$?out?" cat "$tmp/hostile"
	is "walks over what is short" "line 16384x56 [########] 100%" \
		"$(awk '$1 == "endless" { print $2, $3, $4, $5 }' "$tmp/hostile")"
	is "and not over what is long" "line not to be read" \
		"$(sed -n 's/^ *too endless  *line  */line /p' "$tmp/hostile")"
	is "is JSON all the same" 1 "$(once --json wiped$$ | grep -c '"name": "?\[2Jwiped'$$'?out?"')"
	kill $hostile
	wait $hostile 2>/dev/null
}

# the executor of process $child, without figures that differ each time
executor()
{
	once pinring-executor | awk -v pid="$child" '
	/^ *[0-9]+ / { here = $4 ~ "/" pid "$" }
	here && /^  executor/ { on = 1 }
	here && /^  telemetry/ { on = 0 }
	here && on { gsub(/[0-9.]+ [num]?s/, "N"); sub(/[0-9]+% idle/, "N% idle"); print }
	here && $1 == "commands" { print $1, $2, $3, $4, $5 }'
}

# What all executors tell after the commands of `traffic NAME host`.
told()
{
	cat <<END
    commands: 5, 0/s; 1 failed; 0 being carried out
    last error -22: command 7, add: an operand's region is not attached
END
}

# test_executor WORD WHERE MORE MEMORY: more, if its commands lie in GPU memory
test_executor()
{
	begin executor-$$ "$1"
	# It tells when it has nothing else to do.
	tries=0
	until executor | grep -q '^    add  *4 ' || [ $tries -gt 300 ]; do
		sleep 0.1
		tries=$((tries + 1))
	done
	is "an executor on $2" "  executor on $2: active, N% idle$3" "$(executor | head -n 1)"
	is "what it has done, and what went wrong" "$(told)" "$(executor | sed -n 2,3p)"
	is "in how much of a GPU's memory it works" "$4" \
		"$(executor | sed -n 's/^ *work in //p')"
	is "of each operation how often, and in what time" \
		"nop 1 not timed, add 4 half below N, 99% below N" \
		"$(executor | awk '$1 == "nop" || $1 == "add" { $1 = $1; printf "%s%s", n++ ? ", " : "", $0 }')"
	is "how many came in a row" 1 "$(executor | grep -c '^    commands in a row: half below ')"
	is "what is in its rings" "commands device 512x64 $([ "$3" ] && echo "0 0" || echo "[........] 0%")" \
		"$(executor | tail -n 1)"
	if command -v python3 >/dev/null; then
		once --json pinring-executor >"$tmp/top.json"
		check "the same as JSON" python3 -c 'import json, sys
region, = [r for r in json.load(open(sys.argv[1]))["regions"] if r["pid"] == int(sys.argv[2])]
e = region["executor"]
assert e["kind"] == sys.argv[3] and e.get("gpu", 0) == 0 and e["workers"] == 2
assert e["processed"] == 5 and e["failed"] == 1 and e["elements"] == 9000
assert e["gpu_bytes"] == (3 << 20 if sys.argv[3] == "cuda" else 0)
assert e["taken"] == e["completed"] == 5 and 0 <= e["idle"] <= 1
assert e["idle_ns"] <= e["alive_ns"] and e["state"] == "active"
assert (e["error"]["errno"], e["error"]["id"], e["error"]["operation"]) == (22, 7, 3)
nop, add = e["operations"]
assert (nop["name"], nop["count"], add["name"], add["count"]) == ("nop", 1, "add", 4)
assert "p50_below_ns" not in nop and 0 < add["p50_below_ns"] <= add["p99_below_ns"]
' "$tmp/top.json" "$child" "$1"
	else
		skip "the same as JSON" "no python3 to read it with"
	fi
	kill "$child"
	wait "$child" 2>/dev/null
}

test_executors()
{
	test_executor host "2 host threads" "" ""
	LD_LIBRARY_PATH=$build/selftests/cuda
	FAKE_CUDA=dmabuf
	export LD_LIBRARY_PATH FAKE_CUDA
	if "$pinring" info | grep -q "^gpu *0 *yes"; then
		# Its slots cannot be seen, so there is no telling how full it is.
		test_executor cuda "GPU 0, 2 blocks" ", commands in GPU memory" "3 MiB of GPU memory"
	else
		skip "an executor on a GPU" "built without g++ or nvcc"
	fi
	unset LD_LIBRARY_PATH FAKE_CUDA
}

# Every word of an executor is the largest there is.
test_liar()
{
	begin liar-$$ liar
	once liar-$$ >"$tmp/liar"
	is "an executor that lies is shown once" 1 "$(grep -c '^  executor on' "$tmp/liar")"
	is "says no more than it can" \
		"  executor on what it does not tell: failed, 100% idle, commands in GPU memory" \
		"$(grep '^  executor on' "$tmp/liar")"
	is "has run what there is" 64 "$(grep -c 'half below 131 us, 99% unbounded' "$tmp/liar")"
	is "and a ring that is none" "not to be read" \
		"$(sed -n 's/^ *commands  *device  *//p' "$tmp/liar")"
	if command -v python3 >/dev/null; then
		once --json liar-$$ >"$tmp/top.json"
		check "and is JSON all the same" python3 -m json.tool "$tmp/top.json"
	fi
	kill "$child"
	wait "$child" 2>/dev/null
}

# As nobody: root may see everything.
test_others()
{
	name="shows nobody the regions of others"
	if [ "$(id -u)" -ne 0 ] || ! setpriv --reuid=65534 --regid=65534 --clear-groups \
		test -x "$pinring" 2>/dev/null; then
		skip "$name" "the user nobody cannot be had, or not run $pinring"
		return
	fi
	out=$(setpriv --reuid=65534 --regid=65534 --clear-groups "$pinring" top --once \
		--interval 0.1 2>&1) && rc=0 || rc=$?
	is "$name" "0 0" "$rc $(echo "$out" | grep -c "$region")"
}

test_ends()
{
	: >"$tmp/stream"
	"$pinring" top -n 0 --interval 0.1 $region >"$tmp/stream" &
	stream=$!
	while ! grep -q $region "$tmp/stream" && kill -0 $stream; do
		sleep 0.1
	done
	kill $child
	wait $child 2>/dev/null
	tries=0
	until tail -n 1 "$tmp/stream" | grep -q "^no regions" || [ $tries -gt 300 ]; do
		sleep 0.1
		tries=$((tries + 1))
	done
	says "a region that has gone is shown no more" "no regions that can be seen" \
		tail -n 1 "$tmp/stream"
	kill $stream
	wait $stream && rc=0 || rc=$?
	is "-n 0 goes on until it is stopped" 143 "$rc"
	# It looks again when the reader has gone: the pipe must not keep it.
	{
		timeout 60 "$pinring" top -n 0 --interval 0.1 2>"$tmp/said"
		echo $? >"$tmp/code"
	} | head -n 1 >/dev/null
	is "and ends when nobody reads on" "1 pinring: standard output: cannot be written" \
		"$(cat "$tmp/code") $(sed 's/written: .*/written/' "$tmp/said")"
}

# Nothing here may wait for a server that does not answer.
tmux()
{
	TMUX_TMPDIR=$tmp timeout -k 5 30 tmux -f /dev/null -L pinring "$@"
}

# shown NAME TEXT: sooner or later the screen has it
shown()
{
	tries=0
	until tmux capture-pane -p 2>/dev/null >"$tmp/screen" && grep -qF -- "$2" "$tmp/screen"; do
		tries=$((tries + 1))
		if [ $tries -gt 300 ]; then
			fail "$1" "no \"$2\" on" "$(cat "$tmp/screen")"
			return
		fi
		sleep 0.1
	done
	pass "$1"
}

# gone NAME TEXT: sooner or later it is not there
gone()
{
	tries=0
	while tmux capture-pane -p >"$tmp/screen" && grep -qF -- "$2" "$tmp/screen"; do
		tries=$((tries + 1))
		if [ $tries -gt 300 ]; then
			fail "$1" "still \"$2\" on" "$(cat "$tmp/screen")"
			return
		fi
		sleep 0.1
	done
	pass "$1"
}

test_screen()
{
	region=screen-$$
	begin $region
	cat >"$tmp/session" <<END
'$pinring' top --interval 0.2 $region nonsense
echo "left with \$?"
exec sleep 1000
END
	if ! tmux new-session -d -x 80 -y 24 "sh '$tmp/session'" 2>"$tmp/said"; then
		skip "the screen" "tmux does not run here: $(cat "$tmp/said")"
		return
	fi
	shown "shows a region" "$region"
	shown "and its rings" "broadcast 8x64        [######..]  75%"
	is "in 80 columns" "" "$(awk 'length > 80' "$tmp/screen")"
	tmux send-keys '?'
	shown "? helps" "quit"
	gone "in the place of the table" "75%"
	tmux send-keys '?'
	shown "and goes away" "broadcast 8x64"
	tmux send-keys r
	shown "r sorts by rate" "by rate"
	tmux send-keys p
	shown "p pauses" "paused"
	tmux send-keys p
	gone "and goes on" "paused"
	tmux resize-window -x 80 -y 8
	gone "on a small window there is less" "flow "
	# It may not have been told of the window yet, and then has no need to scroll.
	tries=0
	until tmux capture-pane -p >"$tmp/screen" && grep -qF "flow " "$tmp/screen" ||
		[ $tries -gt 100 ]; do
		tmux send-keys End
		sleep 0.3
		tries=$((tries + 1))
	done
	shown "but it can be scrolled" "flow "
	tmux resize-window -x 20 -y 3
	shown "a tiny one is survived" "pinring top"
	tmux resize-window -x 120 -y 40
	shown "and a large one filled" "broadcast 8x64"
	kill $child
	wait $child 2>/dev/null
	gone "a region that has gone goes from the screen" "$region"
	tmux send-keys q
	shown "q leaves, and the screen is as before" "left with 0"
	tmux kill-server
}

# The screen needs a terminal that can move its cursor. (script(1) would make one as
# well, but never ended once where it was given another standard input.)
test_terminal()
{
	: >"$tmp/code"
	if ! tmux new-session -d "TERM=dumb '$pinring' top 2>'$tmp/said'; echo \$? >'$tmp/code'" \
		2>"$tmp/why"; then
		skip "no screen on a dumb terminal" "tmux does not run here: $(cat "$tmp/why")"
		return
	fi
	tries=0
	until [ -s "$tmp/code" ] || [ $tries -gt 300 ]; do
		sleep 0.1
		tries=$((tries + 1))
	done
	says "no screen on a dumb terminal" 'top: no screen on a terminal "dumb"' cat "$tmp/said"
	is "which is a failure" 1 "$(cat "$tmp/code")"
}

if [ ! -x "$pinring" ]; then
	skip_all "there is no $pinring: make builds it"
fi
chmod 755 "$tmp"
# Whoever reads it goes on until the test ends, however that happens.
mkfifo "$tmp/stdin"
exec 9<>"$tmp/stdin"
trap 'exec 9>&-; tmux kill-server 2>/dev/null; kill $child 2>/dev/null; rm -rf "$tmp"' EXIT
test_usage
test_table
test_hostile
test_others
test_ends
test_executors
test_liar
if ! "$pinring" info | grep -q '^tool *screen *yes'; then
	skip "the screen" "built without libncurses-dev"
elif ! command -v tmux >/dev/null; then
	skip "the screen" "no tmux to look at it with"
else
	test_screen
	test_terminal
fi
finish
