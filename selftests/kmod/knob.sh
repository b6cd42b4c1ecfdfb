#!/bin/sh
# SPDX-License-Identifier: MIT
#
# pinring knob on the module itself. How it reads its arguments: ../knob.sh.

pinring=pinring
# shellcheck source=selftests/lib.sh
. /selftests/lib.sh
# shellcheck source=selftests/tool_lib.sh
. /selftests/tool_lib.sh

folder=/sys/class/misc/pinring

# writable: the files that root may write, but for those every device has
writable()
{
	(cd $folder/ && find . -type f -perm -200 ! -name uevent ! -path './power/*') |
		sed 's,^\./,,' | sort
}

known()
{
	pinring knob --json | tr -d '",' | awk '$1 == "name:" { print $2 }' | sort
}

# sets FILE VALUE HOLDS SAYS
sets()
{
	out=$(pinring knob "$1" "$2" 2>&1) && rc=0 || rc=$?
	is "sets $1 to '$2'" "0 $3 $1: $4" "$rc $(cat $folder/"$1") $out"
}

is "every writable file is a knob, and every knob one" "$(writable)" "$(known)"
for knob in $(known); do
	case $knob in
	*reserve_pages) ;;
	*)
		before=$(cat $folder/"$knob")
		check "$knob takes the value it has" pinring knob "$knob" "${before:-all}"
		is "and keeps it" "$before" "$(cat $folder/"$knob")"
		;;
	esac
done
before=$(cat $folder/max_bytes)
sets max_bytes 64M 67108864 "$(pinring knob --json max_bytes | grep -q "$before" && pinring knob |
	awk '$1 == "max_bytes" { print $2, $3 }') -> 64 MiB"
check "and back" pinring knob max_bytes "$before"
sets poll_sleep_us 2ms 2000 "50 us -> 2 ms"
sets poll_sleep_us 1 1 "2 ms -> 1 us"
sets poll_sleep_us 50 50 "1 us -> 50 us"
sets poll_spin_us 1s 1000000 "50 us -> 1 s"
sets poll_spin_us 50 50 "1 s -> 50 us"
sets poll_cpus 0,1 0-1 "all of each node -> 0-1"
sets poll_cpus all '' "0-1 -> all of each node"
refuses 2 poll_cpus "CPUs that are not there" knob poll_cpus 77
refuses 2 poll_cpus "more CPUs than a kernel can have" knob poll_cpus 0-99999
is "and leaves it" "" "$(cat $folder/poll_cpus)"
sets node1/reserve_pages 8M 4 "0 pages, 0 B -> 4 pages, 8 MiB"
is "which the node then has" 4 "$(cat $folder/node1/free_pages)"
out=$(pinring knob node1/reserve_pages 300 2>&1) && rc=0 || rc=$?
is "more pages than there are: all that there are, exit status 1" "1 yes" \
	"$rc $([ "$(cat $folder/node1/reserve_pages)" -ge 4 ] && echo yes)"
case $out in
"pinring: node1/reserve_pages: the node has fewer"*"it is $(cat $folder/node1/reserve_pages) pages, "*)
	pass "and says how many it got"
	;;
*) fail "and says how many it got" "$out" "$(cat $folder/node1/reserve_pages)" ;;
esac
check "and gives them back" pinring knob node1/reserve_pages 0
is "all of them" 0 "$(cat $folder/node1/reserve_pages)"
refuses 2 node1/reserve_pages "more pages than the machine has" \
	knob node1/reserve_pages 100000
mkdir -p /etc
echo 'nobody:x:65534:65534::/:/bin/sh' >/etc/passwd
check "everybody may look" su nobody -c 'pinring knob'
out=$(su nobody -c 'pinring knob poll_spin_us 60' 2>&1) && rc=0 || rc=$?
is "but not set" \
	"1 pinring: poll_spin_us: only root may set it: sudo pinring knob poll_spin_us 60" "$rc $out"
refuses 2 node9/reserve_pages "a node that is not there" knob node9/reserve_pages 1
finish
