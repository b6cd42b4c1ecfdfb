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
	spin -a "$@" "$model" && cc -O2 -w -DSAFETY -DCOLLAPSE -o pan pan.c &&
		./pan -m200000 -w22 >found || return 2
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

check "mpmc: one slot, two producers, one death" \
	explore mpmc.pml -DSLOTS=1 -DSENDS=1
check "mpmc: two slots, two producers, one death" \
	explore mpmc.pml -DSENDS=1
check "mpmc: two consumers, one death" \
	explore mpmc.pml -DPRODUCERS=1 -DCONSUMERS=2
check "mpmc: two consumers on one slot, two deaths" \
	explore mpmc.pml -DPRODUCERS=1 -DCONSUMERS=2 -DSLOTS=1 -DDEATHS=2
check "mpmc: two messages each, one death" explore mpmc.pml
if [ "$MODELS" = all ]; then
	check "mpmc: two messages each, two deaths" explore mpmc.pml -DDEATHS=2
	check "mpmc: two messages each, one slot, two deaths" \
		explore mpmc.pml -DSLOTS=1 -DDEATHS=2
fi

for bug in NOTE_LATE NOTE_KEPT NO_DOUBT NO_CAS LAP_SHORT; do
	finds $bug mpmc.pml
done

finish
