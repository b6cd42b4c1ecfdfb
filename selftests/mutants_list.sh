#!/bin/sh
# SPDX-License-Identifier: MIT
#
# selftests/mutants.list has not rotted: each mutant finds its place, each killer
# exists, each is in docs/mutants.md. And the judge itself can tell: a mutant that
# changes nothing, one that nobody kills and one without a test are failures.
# (make check-mutants runs the mutants; that takes a while.)

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

check "every mutant finds its place, its killer and its line in docs/mutants.md" \
	"$top/selftests/mutants" -c
expect_exit 1 "no mutants is a failure" "$top/selftests/mutants" -c no_such_kind
expect_exit 2 "an unknown option is refused" "$top/selftests/mutants" -x

# A tree as small as can be: one function, one test, in which all tests pass.
tiny=$tmp/tiny
mkdir -p "$tiny/selftests" "$tiny/docs"
cp "$top/selftests/mutants" "$tiny/selftests"
: >"$tiny/docs/mutants.md"
echo '#define ANSWER 42' >"$tiny/answer.h"
cat >"$tiny/selftests/answer.c" <<'END'
#include <stdio.h>
#include "../answer.h"
#define TEST(name) int main(void)
TEST(is_right)
{
	printf("TAP version 13\n1..1\n#  RUN           global.is_right ...\n");
	printf("%s 1 global.is_right\n", ANSWER == 42 ? "ok" : "not ok");
	return ANSWER != 42;
}
END
cat >"$tiny/Makefile" <<'END'
build/selftests/%: selftests/%.c answer.h
	mkdir -p $(@D) && cc $< -o $@
END

# row SED [KILLER]
row()
{
	cat >"$tiny/selftests/mutants.list" <<END
mutant tiny/wrong
why    the answer is wrong
file   answer.h
sed    $1
killer answer ${2:-is_right}
END
}

row 's/42/43/'
if check "a mutant is killed" "$tiny/selftests/mutants" -d "$tiny/docs/mutants.md"; then
	# shellcheck disable=SC2016 # backticks of the page
	check "by the test that failed" \
		grep -qF '| `tiny/wrong` | the answer is wrong | plain | answer is_right |' "$tiny/docs/mutants.md"
	check "and the list is in order" "$tiny/selftests/mutants" -c
fi
row 's/42/(40 + 2)/'
expect_exit 1 "one that nobody kills is a failure" "$tiny/selftests/mutants"
row 's/42/43 +/'
expect_exit 1 "one that does not compile is a failure" "$tiny/selftests/mutants"
row 's/44/43/'
expect_exit 1 "one that changes nothing is a failure" "$tiny/selftests/mutants" -c
row 's/42/43/' is_left
expect_exit 1 "one whose test is gone is a failure" "$tiny/selftests/mutants" -c
sed -i 's/42/41/' "$tiny/answer.h"
row 's/41/43/'
expect_exit 1 "tests that fail anyway kill nothing" "$tiny/selftests/mutants"

finish
