#!/bin/sh
# SPDX-License-Identifier: MIT
#
# pinring knob: what it lists, refuses and sets, on files that look like those of
# the module. They lie where the module's would, in a mount namespace of this
# script's; where none is to be had, only what needs no files is tested. On the
# module itself: kmod/knob.sh.

# The name tells the script that it runs in the namespace.
if [ "$1" != inside ]; then
	as_root=
	[ "$(id -u)" -eq 0 ] || as_root=-r
	if unshare $as_root -m mount -t tmpfs tmpfs /sys/class/misc 2>/dev/null; then
		exec unshare $as_root -m "$0" inside
	fi
fi

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/tool_lib.sh
. "$(dirname "$0")/tool_lib.sh"

folder=/sys/class/misc/pinring

# documented: the files that docs/sysfs.md calls writable, of any node
documented()
{
	awk '/^ *What:/ { sub(/.*pinring\//, ""); name = $0 }
	/^ *Description: *\(RW\)/ { sub(/<N>/, "*", name); print name }' "$top/docs/sysfs.md" | sort
}

# ranges: of those whose range it tells in plain numbers
ranges()
{
	awk '/^ *What:/ { sub(/.*pinring\//, ""); name = $0; text = "" }
	{ text = text " " $0 }
	/^$/ && match(text, /from [0-9]+ to [0-9]+/) {
		print name substr(text, RSTART + 4, RLENGTH - 4)
		text = ""
	}' "$top/docs/sysfs.md" | sed 's/ to / /' | sort
}

# known FIELD...: of each knob that the tool knows
known()
{
	"$pinring" knob --json 2>/dev/null | tr -d '",' | awk -v fields="$*" '
	/^ *}/ && name != "" {
		line = name
		for (i = 1; i <= split(fields, field, " "); i++)
			line = line " " value[field[i]]
		print line
		name = ""
	}
	$1 == "name:" { name = $2 }
	{ value[$1] = $2 }' | sed 's,^node[0-9]*/,node*/,' | sort -u
}

test_table()
{
	is "the knobs are those of docs/sysfs.md" "$(documented)" "$(known)"
	is "with the ranges that it tells" "$(ranges)" \
		"$(known min: max: | grep '^poll_.*_us ')"
	if ! command -v python3 >/dev/null; then
		skip "--json is one JSON object" "no python3 to read it with"
		return
	fi
	"$pinring" knob --json >"$tmp/knob.json" 2>/dev/null
	check "--json is one JSON object" python3 -c \
		'import json, sys; json.load(open(sys.argv[1]))' "$tmp/knob.json"
}

# Values are looked at before anything else.
test_values()
{
	refuses 2 knob "an unknown knob" knob nonsense
	refuses 2 knob "a path" knob ../pinring/max_bytes
	refuses 2 knob "a node where there is none" knob node0/max_bytes
	refuses 2 2 "a word too many" knob poll_spin_us 1 2
	refuses 2 --nonsense "an unknown option" knob --nonsense
	for value in "" x 2X 1.5G -- -1 1kB "1 G" 9223372036854775808 16E \
		18446744073709551616K 99999999999999999999; do
		refuses 2 max_bytes "max_bytes '$value'" knob -- max_bytes "$value"
	done
	for value in "" 1000001 2s 1h 5e1 -5; do
		refuses 2 poll_spin_us "poll_spin_us '$value'" \
			knob -- poll_spin_us "$value"
	done
	refuses 2 poll_sleep_us "poll_sleep_us 0" knob poll_sleep_us 0
	refuses 2 max_regions_per_user "a size where a number belongs" \
		knob max_regions_per_user 1K
	for value in x 0-1:2/4 '0 1' ../1; do
		refuses 2 poll_cpus "poll_cpus '$value'" knob poll_cpus "$value"
	done
	refuses 2 node0/reserve_pages "a part of a huge page" \
		knob node0/reserve_pages 3M
}

test_without_module()
{
	for value in 50 ""; do
		out=$("$pinring" knob poll_spin_us ${value:+"$value"} 2>&1) && rc=0 || rc=$?
		is "without the module, exit status 77 (${value:-no value})" 77 "$rc"
		case $out in
		*"not loaded: sudo modprobe pinring"*) pass "and says how to load it" ;;
		*) fail "and says how to load it" "$out" ;;
		esac
	done
	out=$("$pinring" knob 2>"$tmp/said") && rc=0 || rc=$?
	is "it lists them all the same, with exit status 77" "77 9" \
		"$rc $(echo "$out" | wc -l)"
	is "and says one sentence" 1 "$(wc -l <"$tmp/said")"
}

make_files()
{
	mount -t tmpfs tmpfs /sys/class/misc
	mkdir -p $folder/node0 $folder/node10 $folder/node2
	for file in max_bytes:4942438400 max_bytes_per_user:2147483648 \
		max_regions_per_user:1024 max_doorbells_per_user:256 \
		poll_spin_us:50 poll_sleep_us:50 poll_cpus: \
		node0/reserve_pages:0 node2/reserve_pages:2 node10/reserve_pages:10; do
		echo "${file#*:}" >$folder/"${file%%:*}"
	done
}

# sets SAYS FILE HOLDS NAME VALUE: and what is in the file then
sets()
{
	out=$("$pinring" knob "$4" "$5" 2>&1) && rc=0 || rc=$?
	is "sets $4 to '$5'" "0 $4: $1: $3" "$rc $out: $(cat "$folder/$2")"
}

test_files()
{
	says "shows a size as people write it" "max_bytes               4.6 GiB" \
		"$pinring" knob
	is "nodes in order" "node0 node2 node10" \
		"$("$pinring" knob | sed -n 's,^\(node[0-9]*\)/.*,\1,p' | tr '\n' ' ' | sed 's/ $//')"
	says "explains one" "file      $folder/poll_spin_us" "$pinring" knob poll_spin_us
	says "explains one of all nodes" "$folder/node10/reserve_pages" \
		"$pinring" knob reserve_pages
	is "or of the one that is named" 1 \
		"$("$pinring" knob node2/reserve_pages | grep -c ^file)"
	is "--json has the exact number" '"value": 4942438400,' \
		"$("$pinring" knob max_bytes --json | grep '"value"' | sed 's/^ *//')"
	page=$(cat /sys/kernel/mm/transparent_hugepage/hpage_pmd_size 2>/dev/null || echo 2097152)
	sets "4.6 GiB -> 2 GiB" max_bytes 2147483648 max_bytes 2G
	sets "2 GiB -> 4.5 KiB" max_bytes 4608 max_bytes 4608
	sets "2 GiB -> 8.0 EiB" max_bytes_per_user 9223372036854775807 \
		max_bytes_per_user 9223372036854775807
	sets "1024 regions -> 7 regions" max_regions_per_user 7 max_regions_per_user 7
	sets "50 us -> 2 ms" poll_sleep_us 2000 poll_sleep_us 2ms
	sets "50 us -> 1 s" poll_spin_us 1000000 poll_spin_us 1s
	sets "1 s -> 0 us" poll_spin_us 0 poll_spin_us 0us
	sets "all of each node -> 4-7,9" poll_cpus 4-7,9 poll_cpus 4-7,9
	sets "4-7,9 -> all of each node" poll_cpus "" poll_cpus all
	out=$("$pinring" knob node2/reserve_pages 1G 2>&1)
	is "takes pages as a size" "$((1073741824 / page))" "$(cat $folder/node2/reserve_pages)"
	out=$("$pinring" knob poll_sleep_us 70 --json | tr -d ' \n')
	is "--json tells what was and what is" \
		'{"name":"poll_sleep_us","before":2000,"value":70}' "$out"
	refuses 2 reserve_pages "the knob of a node without the node" knob reserve_pages 1
	refuses 2 node7/reserve_pages "a node that is not there" knob node7/reserve_pages 1
	refuses 2 node02/reserve_pages "another name of a node" knob node02/reserve_pages 1
	rm $folder/poll_cpus
	refuses 1 poll_cpus "a knob that this module does not have" knob poll_cpus 1
}

# As nobody: root may write anywhere.
test_permission()
{
	name="refuses who may not write"
	chmod 755 "$tmp"
	if ! setpriv --reuid=65534 --regid=65534 --clear-groups \
		test -x "$pinring" 2>/dev/null; then
		skip "$name" "the user nobody cannot run $pinring"
		return
	fi
	out=$(setpriv --reuid=65534 --regid=65534 --clear-groups \
		"$pinring" knob poll_sleep_us 60 2>&1) && rc=0 || rc=$?
	is "$name" "1 pinring: poll_sleep_us: only root may set it: sudo pinring knob poll_sleep_us 60" \
		"$rc $out"
}

if [ ! -x "$pinring" ]; then
	skip_all "there is no $pinring: make builds it"
fi
test_table
test_values
[ -e $folder ] || test_without_module
if [ "$1" = inside ]; then
	make_files
	test_table
	test_files
	test_permission
else
	skip "on files" "this user may not mount anything"
fi
finish
