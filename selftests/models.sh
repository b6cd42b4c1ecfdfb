#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The models in selftests/models: every interleaving of them, with spin
# (https://spinroot.com). A model that cannot fail says nothing, so each planted
# bug must be found, too.
#
#	MODELS=all selftests/models.sh	the large ones as well: some minutes more

# shellcheck disable=SC2317 # check calls the functions
# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

command -v spin >/dev/null || skip_all "no spin: apt-get install spin"
cd "$tmp" || exit 1

# explore MODEL FLAG...: exit status 0 when nothing is wrong anywhere, 1 when
# something is, 2 when not all was seen
explore()
{
	model=$top/selftests/models/$1
	shift
	rm -f pan* ./*.trail
	spin -a "$@" "$model" && cc -O1 -w -DSAFETY -DCOLLAPSE -o pan pan.c &&
		./pan -m500000 -w25 >found || return 2
	cat found
	grep -q 'max search depth too small\|out of memory' found && return 2
	grep -q 'errors: 0' found && return 0
	grep -q 'errors: [1-9]' found && return 1
	return 2
}

# finds BUG MODEL FLAG...
finds()
{
	bug=$1 model=$2
	shift 2
	expect_exit 1 "$model: $bug is found" explore "$model" "-D$bug" "$@"
}

check "mpmc: two producers, one death" explore mpmc.pml -DSENDS=1
check "mpmc: two consumers, one death" \
	explore mpmc.pml -DPRODUCERS=1 -DCONSUMERS=2 -DSENDS=1
check "mpmc: one of each, more messages, two deaths" \
	explore mpmc.pml -DPRODUCERS=1 -DDEATHS=2
check "mpmc: one of each, and somebody closes" \
	explore mpmc.pml -DPRODUCERS=1 -DSENDS=1 -DCLOSES=1
if [ "$MODELS" = all ]; then
	check "mpmc: a successor in the dead one's party, two who repair" \
		explore mpmc.pml -DPRODUCERS=1 -DSENDS=1 -DSUCCESSOR=1 -DREPAIRERS=2
	check "mpmc: two producers, somebody closes" \
		explore mpmc.pml -DSENDS=1 -DCLOSES=1 -DDEATHS=0
fi

for bug in NO_CAS LAP_SHORT FIRST_FIRST RUN_FORGOTTEN; do
	finds $bug mpmc.pml -DSENDS=1
done
finds UPWARDS mpmc.pml -DPRODUCERS=1 -DCONSUMERS=2 -DSENDS=1
finds NO_END mpmc.pml -DPRODUCERS=1 -DSENDS=1 -DCLOSES=1
for bug in MEND_BY_STORE NO_TENANCY; do
	finds $bug mpmc.pml -DPRODUCERS=1 -DSENDS=1 -DSUCCESSOR=1 -DREPAIRERS=2
done

check "lanes: the end, three reservations, one death" \
	explore lanes.pml -DSENDS=3
check "lanes: the end, two producers, two deaths" \
	explore lanes.pml -DPRODUCERS=2 -DSENDS=1 -DDEATHS=2

for bug in NO_BARRIER ONE_LOOK NO_NOTE LOOK_FIRST DEAD_TRUSTED; do
	finds $bug lanes.pml
done

check "broadcast: two consumers come and go" explore broadcast_join.pml
for bug in NO_LOOK SHOW_LATE BEGIN_EARLY LIMIT_KEPT GIVE_EARLY; do
	finds $bug broadcast_join.pml
done

check "broadcast: two producers lap each other on one slot, one death" \
	explore broadcast_jam.pml -DTICKETS=3
check "broadcast: two producers lap each other on two slots, one death" \
	explore broadcast_jam.pml -DSLOTS=2 -DTICKETS=4
if [ "$MODELS" = all ]; then
	check "broadcast: two producers on one slot, two more laps" \
		explore broadcast_jam.pml
	check "broadcast: two producers on two slots, two deaths" \
		explore broadcast_jam.pml -DSLOTS=2 -DDEATHS=2
	check "broadcast: three producers on one slot" \
		explore broadcast_jam.pml -DPRODUCERS=3 -DSENDS=1 -DTICKETS=4
fi
for bug in NO_CHECK BY_STORE LATE_FREE JAM_UNNAMED JAM_LEFT PASS_ONE; do
	finds $bug broadcast_jam.pml
done

finish
