#!/bin/sh
# SPDX-License-Identifier: MIT
#
# pinring top on the regions of the module, and on one that is broken. What it says
# of rings: ../top.sh.

pinring=pinring
# shellcheck source=selftests/lib.sh
. /selftests/lib.sh
# shellcheck source=selftests/tool_lib.sh
. /selftests/tool_lib.sh

# begin NAME [MODE]: in $child
begin()
{
	traffic "$@" <"$tmp/stdin" >"$tmp/ready" 2>&1 &
	child=$!
	tries=0
	while [ ! -s "$tmp/ready" ] && [ $tries -lt 300 ] && kill -0 $child; do
		sleep 0.1
		tries=$((tries + 1))
	done
	is "traffic $*" ready "$(cat "$tmp/ready")"
	: >"$tmp/ready"
}

end()
{
	kill $child
	wait $child 2>/dev/null
}

once()
{
	pinring top --once --interval 0.3 "$@" 2>&1
}

mkfifo "$tmp/stdin"
exec 9<>"$tmp/stdin"
chmod 755 "$tmp"
mkdir -p /etc
echo 'root:x:0:0::/:/bin/sh
nobody:x:65534:65534::/:/bin/sh' >/etc/passwd

begin orders
once orders >"$tmp/page"
sed 's/^/# /' "$tmp/page"
is "one region of the module: owner, process, size, pages, node" \
	"root orders traffic/$child 2 MiB 100%" \
	"$(awk '$3 == "orders" { print $2, $3, $4, $5, $6, $7 }' "$tmp/page")"
says "counted" "module  1 region, 2 MiB of at most " cat "$tmp/page"
says "and its reserves" "node 0: 0 of 0, node 1: 0 of 0" cat "$tmp/page"
is "and what is inside" "lanes 16x64 [##......] 25%" \
	"$(awk '$1 == "fan" { print $2, $3, $4, $5 }' "$tmp/page")"
is "what goes through it" yes \
	"$(awk '$1 == "flow" && $6 > 0 && $7 > 0 { print "yes" }' "$tmp/page")"
says "as JSON, too" '"backend": "module"' once orders --json
is "nobody does not see it" 0 "$(su nobody -c 'pinring top --once --interval 0.1' | grep -c orders)"
chmod 666 /dev/pinring
is "nor where he may open the device" 0 \
	"$(su nobody -c 'pinring top --once --interval 0.1' | grep -c orders)"
chmod 660 /dev/pinring
out=$(pinring info)
# shellcheck disable=SC2001
echo "$out" | sed -n '/^module/,$s/^/# /p'
says "info knows all features of the module" "ABI 1, features: " echo "$out"
is "each by its name" 0 "$(echo "$out" | grep -c 'features:.*others')"
says "and tells its memory" "memory    1 regions, 2 MiB of at most" echo "$out"
says "its reserves" "node 1: 0 huge pages, 0 B, 0 free" echo "$out"
says "and its pollers" "on CPUs of each node; spin 50 us, sleep 50 us" echo "$out"
says "in JSON, too" '"poll_sleep_us": 50' pinring info --json
# It looked, and held nothing.
end
once >"$tmp/page"
says "a region that has gone is gone" "module  0 regions" cat "$tmp/page"

# What another user published, and nobody may open: he holds no fd of it.
seen()
{
	su nobody -c 'pinring top --once --interval 0.1 public' >"$tmp/page" 2>&1
	awk '$3 == "public" { print $2, $3, $4, $5, $6, $7 } $1 == "fan" { print $2, $3, $4, $5 }' "$tmp/page"
}
chmod 666 /dev/pinring
begin public 0666
is "shows one that others published, and what is inside" \
	"root public - 2 MiB 100%
lanes 16x64 [##......] 25%" "$(seen)"
end
begin public 0644
is "and only that one, if they may not write to it" "root public - 2 MiB 100%" "$(seen)"
says "with the reason" "not to be opened for writing: Permission denied" cat "$tmp/page"
end
begin public 0600
is "and nothing of one that is for its owner" "" "$(seen)"
end
chmod 660 /dev/pinring

# The library's checks cannot tell; a load is answered by SIGBUS.
begin unsound poisoned
once unsound >"$tmp/page" && rc=0 || rc=$?
is "a page that cannot be read ends nothing" 0 "$rc"
says "and is told" "a page of it cannot be read" cat "$tmp/page"
end
finish
