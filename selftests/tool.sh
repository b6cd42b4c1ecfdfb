#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The tool `pinring`: what it refuses and how, and that what it writes is right.

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/tool_lib.sh
. "$(dirname "$0")/tool_lib.sh"

reference=$build/selftests/room_reference
makewav=$build/selftests/makewav

# room ARGUMENT...: pinring run room on the usual sound, in a small room
room()
{
	"$pinring" run room --in "$tmp/noise.wav" --size 20x15x12 --quiet "$@"
}

# refuses_option OPTION VALUE...: each is a usage error that names the option
refuses_option()
{
	option=$1
	shift
	for value; do
		refuses 2 "$option" "$option '$value'" run room --in in.wav \
			--out "$tmp/never.wav" "$option" "$value"
	done
}

# left_nothing NAME FOLDER: no file there, not even a hidden one
left_nothing()
{
	if [ -z "$(ls -A "$2")" ]; then
		pass "$1"
	else
		fail "$1" "left: $(ls -A "$2")"
	fi
}

# bytes FILE OFFSET COUNT SIZE: as decimal numbers of SIZE bytes
bytes()
{
	od -An "-tu$4" -j "$2" -N "$3" "$1" | tr -s ' \n' ' ' |
		sed 's/^ //; s/ $//'
}

# built FEATURE: sound, resample or picture, in this build?
built()
{
	"$pinring" info | grep -q "^tool  *$1  *yes"
}

test_help()
{
	for command in "" info knob layout "run room" top; do
		# shellcheck disable=SC2086
		says "pinring $command --help has an example" "example:" \
			"$pinring" $command --help
	done
	says "pinring help answers" "pinring info" "$pinring" help
	says "pinring run --help answers" "room" "$pinring" run --help
	says "says its version" "pinring " "$pinring" --version
}

test_usage()
{
	out=$("$pinring" 2>&1) && rc=0 || rc=$?
	is "without a command, exit status 2" 2 "$rc"
	refuses 2 "run" "run without a workload" run
	refuses 2 "run" "an unknown workload" run kitchen
	refuses 2 "layout" "an unknown struct" layout nonsense
	refuses 2 "surplus" "a surplus word to info" info surplus
	refuses 2 "--nonsense" "an unknown option of info" info --nonsense
	refuses 2 "--nonsense" "an unknown option of layout" layout --nonsense
	refuses 2 "--nonsense" "an unknown option of run room" \
		run room --nonsense
	refuses 2 "-x" "an unknown letter" run room -x
	refuses 2 "surplus" "a surplus word to run room" run room surplus
	refuses 2 "--quiet" "a value where none belongs" run room --quiet=1
	refuses 2 "--rate" "an option without its value" run room --rate
	refuses 2 "--in" "a run without --in" run room --out "$tmp/never.wav"
	refuses 2 "--out" "a run without --out" run room --in in.wav
	refuses_option --in ""
	refuses_option --out ""
	refuses_option --size "" 64 64x48 64x48x40x2 64x48x 0x48x40 -1x48x40 \
		64X48X40 65536x65536x1 645x646x646 99999999999999999999x1x1 \
		"64x48x40 "
	refuses_option --rate 0 99 1000001 -8000 8000x 8e3 "" " 8000" \
		18446744073709559616
	refuses_option --beta -0.1 nan inf 1e999 0x1 "" 0.1.1 1001
	refuses_option --lambda 0.57736 1 0 -0.5 nan 1e-5 half
	refuses_option --source 64,0,0 0,48,0 0,0,40 -1,0,0 1,2 1,2,3,4 1x2x3 \
		1.5,2,3 ""
	refuses_option --mic 70,30,20 4294967296,0,0 a,b,c
	refuses_option --gain 0 -1 nan inf 1e7 2x ""
	refuses_option --tail -1 3601 nan x
	refuses_option --mode fast ""
	refuses_option --executor gpu ""
	refuses_option --threads 0 65 -1 1.5
	refuses_option --every 10 0 -1
	refuses_option --frames "$tmp/never"
	refuses 2 "--every" "frames closer than samples" run room --in in.wav \
		--out "$tmp/never.wav" --frames "$tmp/never" --every 0.1
	refuses 2 "--picture" "a picture in the place of the sound" run room \
		--in in.wav --out "$tmp/never.wav" --picture "$tmp/never.wav"
	refuses 2 "--picture" "a picture too large to draw" run room \
		--in in.wav --out "$tmp/never.wav" --size 16385x1x1 \
		--picture "$tmp/never.png"
	out=$("$pinring" run room --in in.wav --out o.wav --mic 70,30,20 2>&1)
	is "says where a cell may be" \
		"pinring: --mic: 70,30,20 lies outside the 64x48x40 room: give cells from 0,0,0 to 63,47,39" \
		"$out"
}

# Lists the header's structs, then each one's fields, as the tool should.
header_fields()
{
	awk '/^struct pinring_[a-z_]* \{/ { name = $2 }
	/^}/ { name = "" }
	{ sub(/^\tstruct /, "\t") }
	name && /^\t[a-z_0-9]+ [a-z_0-9]+(\[[A-Z_0-9]*\])*;/ {
		field = $2
		sub(/[\[;].*/, "", field)
		print name "." field
	}' "$top/uapi/pinring_layout.h"
}

tool_fields()
{
	"$pinring" layout | awk '/^struct / { name = $2 }
	{ sub(/^\tstruct /, "\t") }
	/^\t[a-z_]/ {
		field = $2
		sub(/[\[;].*/, "", field)
		print name "." field
	}
	'
}

test_layout()
{
	is "layout prints each field of each struct of the header" \
		"$(header_fields)" "$(tool_fields)"
	says "layout prints one struct" "size 128, aligned 128, lines 2" \
		"$pinring" layout control_block
	says "a struct may have its full name" "pinring_telemetry" \
		"$pinring" layout pinring_telemetry
	says "info names the backends" "embedded     yes" "$pinring" info
	if ! command -v python3 >/dev/null; then
		skip "info and layout print JSON" "no python3 to read it with"
		return
	fi
	for command in info layout; do
		"$pinring" $command --json >"$tmp/$command.json"
		check "$command --json is JSON" python3 -c \
			'import json, sys; json.load(open(sys.argv[1]))' \
			"$tmp/$command.json"
	done
}

# gpus WORDS: what info says of a driver that is set so
gpus()
{
	LD_LIBRARY_PATH=$build/selftests/cuda FAKE_CUDA=$1 "$pinring" info 2>&1
}

# says_of WORDS NAME GROUP NAME YES TEXT...
says_of()
{
	words=$1 name=$2 line="$3 *$4 *$5 "
	shift 5
	gpus "$words" | grep -A 1 "^$line" >"$tmp/found"
	for text in "$@"; do
		grep -qF -- "$text" "$tmp/found" && continue
		fail "$name" "no \"$text\" in:" "$(cat "$tmp/found")" "of $(gpus "$words")"
		return
	done
	pass "$name"
}

test_gpus()
{
	if [ ! -f "$build/selftests/cuda/libcuda.so.1" ] ||
		! gpus "" | grep -q "^gpu *0 *yes"; then
		skip "info on GPUs" "built without g++ or nvcc"
		return
	fi
	says_of "" "info describes a GPU" gpu 1 yes "Fake 1 at FA01:00:00.0: sm_90, 3 SMs" \
		"compute mode DEFAULT, no MPS, no MIG instance, no display"
	says_of "" "and what would run there" executor cuda yes \
		"a persistent kernel of 3 blocks on GPU 0, sm_90"
	says_of "" "where the command ring lies, and why" executor commands no \
		"in host memory: the driver exports no dma-buf" "needs: a driver since 13.3"
	says_of dmabuf "or that it lies in GPU memory" executor commands yes \
		"in GPU memory, mapped through its dma-buf"
	says_of "mig mps exclusive" "a MIG instance, MPS, and the compute mode" gpu 0 yes \
		"Fake 0 MIG 1g.5gb" "mode EXCLUSIVE_PROCESS, shared by MPS, a MIG instance"
	says_of prohibited "a GPU that would be refused, and why" gpu 1 no \
		"mode PROHIBITED" "needs: GPU 1 (Fake 1) is in compute mode PROHIBITED"
	says_of display "also for its display" executor cuda no \
		"GPU 0 (Fake 0) drives a display that stops kernels"
}

test_stdout_full()
{
	if [ ! -c /dev/full ]; then
		skip "a full standard output" "no /dev/full"
		return
	fi
	for command in info layout; do
		out=$("$pinring" $command 2>&1 >/dev/full) && rc=0 || rc=$?
		is "$command on a full standard output fails" \
			"1 pinring: standard output: cannot be written: No space left on device" \
			"$rc $out"
	done
}

test_man_pages()
{
	if ! command -v groff >/dev/null; then
		skip "man pages are clean" "no groff: install groff-base"
		return
	fi
	for page in "$top"/docs/man/pinring*.1; do
		is "${page##*/} is clean" "" \
			"$(groff -man -ww -z -Tutf8 "$page" 2>&1)"
	done
}

test_input()
{
	mkdir "$tmp/in"
	: >"$tmp/empty"
	"$makewav" "$tmp/none.wav" silence 8000 1 0
	"$makewav" "$tmp/nan.wav" nan 8000 2 100
	"$makewav" "$tmp/huge.wav" huge 8000 1 500
	head -c 3000 "$tmp/noise.wav" >"$tmp/cut.wav"
	head -c 30 "$tmp/noise.wav" >"$tmp/headless.wav"
	head -c 5000 "$pinring" >"$tmp/program.wav"
	for bad in missing.wav empty none.wav nan.wav cut.wav headless.wav \
		program.wav huge.wav .; do
		refuses 1 --in "an input that is $bad" run room \
			--in "$tmp/$bad" --out "$tmp/in/out.wav" --size 8x8x8
	done
	refuses 1 --in "an input that never ends" run room --in /dev/zero \
		--out "$tmp/in/out.wav"
	left_nothing "a refused input leaves no output" "$tmp/in"
	"$pinring" run room --in "$tmp/cut.wav" --out "$tmp/in/out.wav" \
		2>"$tmp/said"
	case $(cat "$tmp/said") in
	*"cut.wav is truncated: its header tells of "*) pass "says truncated" ;;
	*) fail "says truncated" "$(cat "$tmp/said")" ;;
	esac
}

# As nobody: root may write anywhere.
test_unwritable()
{
	name="refuses a folder it may not write to"
	mkdir "$tmp/closed"
	chmod 755 "$tmp"
	chmod 555 "$tmp/closed"
	as_nobody=
	if [ "$(id -u)" -eq 0 ]; then
		as_nobody="setpriv --reuid=65534 --regid=65534 --clear-groups"
	fi
	# shellcheck disable=SC2086
	if ! $as_nobody test -x "$pinring" -a -r "$tmp/noise.wav"; then
		skip "$name" "the user nobody cannot run $pinring"
		return
	fi
	# shellcheck disable=SC2086
	out=$($as_nobody "$pinring" run room --in "$tmp/noise.wav" \
		--out "$tmp/closed/out.wav" 2>&1) && rc=0 || rc=$?
	if [ "$rc" -eq 1 ] && one_sentence --out; then
		pass "$name"
	else
		fail "$name" "exit code $rc" "$out"
	fi
}

test_full_disk()
{
	name="a full disk"
	mkdir "$tmp/small"
	if ! mount -t tmpfs -o size=16k tmpfs "$tmp/small" 2>/dev/null; then
		skip "$name" "a small tmpfs cannot be mounted here"
		return
	fi
	refuses 1 --out "a sound larger than the disk" run room \
		--in "$tmp/noise.wav" --out "$tmp/small/out.wav" --size 8x8x8 \
		--tail 1
	left_nothing "a full disk holds no half sound" "$tmp/small"
	head -c 16384 /dev/zero >"$tmp/small/filler"
	refuses "$no_picture" --picture "a picture larger than the disk" run room \
		--in "$tmp/noise.wav" --out "$tmp/kept.wav" --size 64x48x4 \
		--picture "$tmp/small/slice.png"
	is "a full disk holds no half picture" filler "$(ls -A "$tmp/small")"
	is "without its picture the sound is not written either" "no" \
		"$([ -e "$tmp/kept.wav" ] && echo yes || echo no)"
	umount "$tmp/small"
}

test_output_failures()
{
	refuses 1 --out "a folder that is not there" run room \
		--in "$tmp/noise.wav" --out "$tmp/no/such/out.wav"
	refuses 1 --out "a folder in the place of a file" run room \
		--in "$tmp/noise.wav" --out "$tmp"
	refuses 1 --out "/dev/full" run room --in "$tmp/noise.wav" \
		--out /dev/full --size 8x8x8
	is "/dev/full is still there" "yes" \
		"$([ -c /dev/full ] && echo yes || echo no)"
	refuses "$no_picture" --frames "a file in the place of --frames" run room \
		--in "$tmp/noise.wav" --out "$tmp/never.wav" --size 8x8x8 \
		--frames "$tmp/noise.wav" --every 10
	echo old >"$tmp/old.wav"
	room --in "$tmp/nan.wav" --out "$tmp/old.wav" 2>/dev/null
	is "a failed run keeps the old output" "old" "$(cat "$tmp/old.wav")"
	test_unwritable
	test_full_disk
}

# peak GAIN: of what is written then, from the report
peak()
{
	"$pinring" run room --in "$tmp/noise.wav" --out "$tmp/gain.wav" \
		--size 20x15x12 --gain "$1" --json |
		sed -n 's/.*"peak": \([-+.e0-9]*\).*/\1/p'
}

test_format()
{
	check "runs" room --mode batch --out "$tmp/batch.wav"
	is "prints nothing with --quiet" "" "$out"
	is "writes floats: format 3, 1 channel" "3 1" \
		"$(bytes "$tmp/batch.wav" 20 4 2)"
	is "at the rate of the simulation" 8000 \
		"$(bytes "$tmp/batch.wav" 24 4 4)"
	is "of 32 bits" 32 "$(bytes "$tmp/batch.wav" 34 2 2)"
	is "as many samples as came in" "fact 2000" \
		"$(dd if="$tmp/batch.wav" bs=1 skip=36 count=4 2>/dev/null) $(bytes "$tmp/batch.wav" 44 4 4)"
	room --out "$tmp/tail.wav" --tail 0.1
	room --out "$tmp/gain.wav" --gain 1
	check "--gain 1 is no gain" cmp "$tmp/batch.wav" "$tmp/gain.wav"
	is "--gain 2 doubles the peak" "2.000000" \
		"$(echo "$(peak 2) $(peak 1)" | awk '{ printf "%.6f", $1 / $2 }')"
	is "--tail adds its samples" 2800 "$(bytes "$tmp/tail.wav" 44 4 4)"
	"$makewav" "$tmp/stereo.wav" sweep 44100 2 4410
	if ! built resample; then
		refuses 77 --rate "to resample without libsamplerate" run room \
			--in "$tmp/stereo.wav" --out "$tmp/stereo-out.wav"
		skip "takes two channels at 44.1 kHz" \
			"built without libsamplerate0-dev"
		return
	fi
	check "takes two channels at 44.1 kHz" room --in "$tmp/stereo.wav" \
		--out "$tmp/stereo-out.wav"
	is "resamples 4410 samples to 800" 800 \
		"$(bytes "$tmp/stereo-out.wav" 44 4 4)"
}

# agrees NAME BOUND X Y Z LAMBDA BETA SX SY SZ MX MY MZ
agrees()
{
	name=$1 bound=$2 x=$3 y=$4 z=$5 lambda=$6 beta=$7
	shift 7
	set -- "$bound" "$x" "$y" "$z" "$lambda" "$beta" "$@"
	[ "$lambda" != max ] || lambda=0.577350269
	if ! out=$("$pinring" run room --in "$tmp/noise.wav" \
		--out "$tmp/agrees.wav" --quiet --size "${x}x${y}x$z" \
		--lambda "$lambda" --beta "$beta" --source "$7,$8,$9" \
		--mic "${10},${11},${12}" --tail 0.02 2>&1); then
		fail "$name" "$out"
		return
	fi
	check "$name" "$reference" "$tmp/noise.wav" "$tmp/agrees.wav" \
		"$x" "$y" "$z" "$5" "$beta" "$7" "$8" "$9" "${10}" "${11}" \
		"${12}" "$bound"
	echo "# $out"
}

# The bounds are of the largest sample, after 2160 steps. Most of the deviation
# is that of lambda squared as a float; one cell between hard walls integrates
# its rounding errors twice.
test_reference()
{
	agrees "agrees with float64: a room" 3e-5 20 15 12 max 0.02 \
		3 4 5 15 10 8
	agrees "agrees with float64: coarse steps, soft walls" 1e-5 \
		20 15 12 0.4 0.5 3 4 5 15 10 8
	agrees "agrees with float64: hard walls" 3e-5 20 15 12 max 0 \
		3 4 5 15 10 8
	agrees "agrees with float64: microphone at the source" 3e-5 \
		20 15 12 max 0.02 3 4 5 3 4 5
	agrees "agrees with float64: corner to corner" 3e-5 \
		17 9 5 max 0.02 0 0 0 16 8 4
	agrees "agrees with float64: one cell, far above 1 and not clipped" 3e-5 1 1 1 max 0.02 0 0 0 0 0 0
	agrees "agrees with float64: one cell, hard walls" 1e-3 \
		1 1 1 max 0 0 0 0 0 0 0
	agrees "agrees with float64: a pipe" 3e-5 64 1 1 max 0.02 \
		3 0 0 60 0 0
	agrees "agrees with float64: a pipe along y" 3e-5 1 64 1 max 0.02 \
		0 3 0 0 60 0
	agrees "agrees with float64: a pipe along z" 3e-5 1 1 64 max 0.02 \
		0 0 3 0 0 60
	agrees "agrees with float64: a plate" 3e-5 33 1 21 max 0.02 \
		5 0 5 30 0 20
}

test_same_bits()
{
	room --out "$tmp/interactive.wav" --mode interactive
	check "interactive and batch give the same bits" \
		cmp "$tmp/batch.wav" "$tmp/interactive.wav"
	room --out "$tmp/two.wav" --threads 2
	check "two threads give the same bits as one" \
		cmp "$tmp/batch.wav" "$tmp/two.wav"
	room --out "$tmp/two.wav" --threads 2 --mode interactive
	check "two threads in interactive mode, too" \
		cmp "$tmp/batch.wav" "$tmp/two.wav"
	"$makewav" "$tmp/silence.wav" silence 8000 1 1000
	room --in "$tmp/silence.wav" --out "$tmp/silence-out.wav"
	is "silence stays silence" "1000 " \
		"$(bytes "$tmp/silence-out.wav" 44 4 4) $(bytes "$tmp/silence-out.wav" 80 4000 4 | tr -d ' 0*')"
}

# png_size FILE: as in 800x620, or nothing if it is no PNG
png_size()
{
	[ "$(bytes "$1" 0 8 1)" = "137 80 78 71 13 10 26 10" ] || return
	# Big-endian numbers.
	bytes "$1" 16 8 1 | awk '{
		print (($1 * 256 + $2) * 256 + $3) * 256 + $4 "x" \
			(($5 * 256 + $6) * 256 + $7) * 256 + $8
	}'
}

test_pictures()
{
	if ! built picture; then
		refuses 77 --picture "to draw without libpng" run room \
			--in "$tmp/noise.wav" --out "$tmp/pictured.wav" \
			--picture "$tmp/slice.png"
		skip "pictures" "built without libpng-dev"
		return
	fi
	room --out "$tmp/pictured.wav" --picture "$tmp/slice.png" \
		--frames "$tmp/series" --every 20
	check "looking at it changes nothing" \
		cmp "$tmp/batch.wav" "$tmp/pictured.wav"
	is "--picture is a PNG of the cells, enlarged" "800x620" \
		"$(png_size "$tmp/slice.png")"
	is "--every 20 ms makes 12 pictures of 2000 samples" 12 \
		"$(find "$tmp/series" -name 'frame-0000??.png' | wc -l)"
	is "each a PNG" "800x620" "$(png_size "$tmp/series/frame-000012.png")"
	room --size 1x1x1 --out "$tmp/pictured.wav" --picture "$tmp/slice.png"
	is "one cell can be drawn" "800x820" "$(png_size "$tmp/slice.png")"
}

test_report()
{
	says "the report has the room in metres" \
		"20x15x12 cells of 74.3 mm: 1.49 x 1.11 x 0.89 m" \
		"$pinring" run room --in "$tmp/noise.wav" --size 20x15x12 \
		--out "$tmp/report.wav"
	says "and the latency of each command" "probe          2000" \
		"$pinring" run room --in "$tmp/noise.wav" --size 20x15x12 \
		--out "$tmp/report.wav" --mode interactive
	"$pinring" run room --in "$tmp/noise.wav" --size 20x15x12 --json \
		--out "$tmp/report.wav" >"$tmp/report.json" 2>"$tmp/said"
	is "--json says nothing on stderr" "" "$(cat "$tmp/said")"
	if command -v python3 >/dev/null; then
		check "--json is one JSON object" python3 -c 'import json, sys
report = json.load(open(sys.argv[1]))
assert report["sound"]["samples"] == 2000
assert sum(kind["count"] for kind in report["latency_ns"].values()) == report["executor"]["commands"]
assert report["output"]["peak"] > 0' "$tmp/report.json"
	else
		skip "--json is one JSON object" "no python3 to read it with"
	fi
	if ! script -qec true /dev/null >/dev/null 2>&1 </dev/null; then
		skip "colour and bar on a terminal" "script(1) makes no terminal here"
		return
	fi
	line="'$pinring' run room --in '$tmp/noise.wav' --out '$tmp/report.wav' --size 100x80x60"
	script -qec "$line" /dev/null >"$tmp/typescript" 2>&1 </dev/null
	says "a bar on a terminal" "x real time" cat "$tmp/typescript"
	is "bold on a terminal" "yes" \
		"$(grep -q "$(printf '\033')\[1m" "$tmp/typescript" && echo yes)"
	NO_COLOR=1 script -qec "$line" /dev/null >"$tmp/typescript" 2>&1 </dev/null
	is "NO_COLOR is plain" "no" \
		"$(grep -q "$(printf '\033')\[1m" "$tmp/typescript" && echo yes || echo no)"
}

test_executors()
{
	out=$(room --out "$tmp/cuda.wav" --executor cuda 2>&1) && rc=0 || rc=$?
	case $rc in
	0) check "cuda gives what host gives" cmp "$tmp/batch.wav" "$tmp/cuda.wav" ;;
	77)
		is "without CUDA, one sentence and exit status 77" "yes" \
			"$(one_sentence --executor && echo yes)"
		;;
	*) fail "cuda runs, or is skipped with 77" "exit code $rc" "$out" ;;
	esac
	check "host runs" room --out "$tmp/host.wav" --executor host
	check "auto and host give the same bits" \
		cmp "$tmp/batch.wav" "$tmp/host.wav"
}

# A driver made of the host: the room lies in what it takes for a GPU's memory, where
# the tool does not look by itself.
test_room_on_a_gpu()
{
	if [ ! -f "$build/selftests/cuda/libcuda.so.1" ] ||
		! gpus "" | grep -q "^gpu *0 *yes"; then
		skip "a room on a GPU" "built without g++ or nvcc"
		return
	fi
	for mode in interactive batch; do
		check "on a GPU, $mode" env LD_LIBRARY_PATH="$build/selftests/cuda" \
			"$pinring" run room --in "$tmp/noise.wav" --size 20x15x12 --mode $mode \
			--out "$tmp/gpu.wav" --executor cuda --json
		check "on a GPU, $mode: the same bits" cmp "$tmp/batch.wav" "$tmp/gpu.wav"
		case $out in
		*'"gpu_bytes": 0'*) fail "on a GPU, $mode: in its memory" "$out" ;;
		*) pass "on a GPU, $mode: in its memory" ;;
		esac
	done
	built picture || return
	room --executor host --out "$tmp/host.wav" --picture "$tmp/host.png" \
		--frames "$tmp/host" --every 120
	LD_LIBRARY_PATH=$build/selftests/cuda room --executor cuda --out "$tmp/gpu.wav" \
		--picture "$tmp/gpu.png" --frames "$tmp/gpu" --every 120
	check "on a GPU: the same picture" cmp "$tmp/host.png" "$tmp/gpu.png"
	check "on a GPU: and on the way there" \
		cmp "$tmp/host/frame-000001.png" "$tmp/gpu/frame-000001.png"
}

# stops_on SIGNAL CODE MODE: once the output has its temporary name
stops_on()
{
	mkdir "$tmp/stop"
	echo old >"$tmp/stop/out.wav"
	# The shell makes its background ignore SIGINT; a terminal does not.
	env "--default-signal=$1" "$pinring" run room --in "$tmp/noise.wav" \
		--out "$tmp/stop/out.wav" --size 250x250x250 --mode "$3" \
		2>"$tmp/said" &
	child=$!
	tries=0
	while [ -z "$(find "$tmp/stop" -name '*pinring-*')" ] &&
		[ $tries -lt 200 ]; do
		sleep 0.05
		tries=$((tries + 1))
	done
	sleep 0.2
	kill "-$1" "$child"
	wait "$child" && rc=0 || rc=$?
	is "$3 mode ends with $2 on SIG$1" "$2" "$rc"
	is "and leaves what was there, and nothing else" "out.wav old" \
		"$(ls -A "$tmp/stop") $(cat "$tmp/stop/out.wav")"
	out=$(cat "$tmp/said")
	case $out in
	"pinring: stopped by a signal"*) pass "and says so" ;;
	*) fail "and says so" "$out" ;;
	esac
	rm -r "$tmp/stop"
}

if [ ! -x "$pinring" ]; then
	skip_all "there is no $pinring: make builds it"
fi
test_help
test_usage
test_layout
test_gpus
test_stdout_full
test_man_pages
if ! "$makewav" "$tmp/noise.wav" noise 8000 1 2000; then
	refuses 77 --in "sounds in a build without libsndfile" run room \
		--in "$tmp/noise.wav" --out "$tmp/never.wav"
	skip "run room" "built without libsndfile1-dev"
	finish
fi
# What a picture that cannot be written is answered with.
no_picture=1
built picture || no_picture=77
test_input
test_output_failures
test_format
test_reference
test_same_bits
test_pictures
test_report
test_executors
test_room_on_a_gpu
stops_on INT 130 batch
stops_on TERM 143 interactive
finish
