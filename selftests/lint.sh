#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What the kernel's own tools say of the module: sparse, checkpatch, and the
# semantic patches of scripts/coccinelle, all of Linux 6.12. make lint runs this.
# Each tool is first shown something to find. What lies in no cache is downloaded.
# timeout=1800

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

# What checkpatch says and we leave: file, kind, why.
accepted='
kmod/compat.h   LINUX_VERSION_CODE     all checks of a version are in this file
kmod/compat.h   CONSTANT_COMPARISON    the form of every check of a version
kmod/trace.h    OPEN_ENDED_LINE        the form of every TRACE_EVENT
kmod/trace.h    PARENTHESIS_ALIGNMENT  as above
kmod/sysfs.c    MACRO_ARG_REUSE        names to paste, not values
uapi/pinring.h  BIT_MACRO              user space has no BIT()
'

for tool in spatch:coccinelle perl:perl; do
	command -v "${tool%:*}" >/dev/null ||
		skip_all "no ${tool%:*}: install Debian's package ${tool#*:}"
done
check "the kernel's headers can be had" "$top/selftests/vm/fetch" 6.12 || finish
read -r root release <<END
$(printf '%s\n' "$out" | tail -n 1)
END
check "and its tools" "$top/selftests/vm/lint-tools" || finish
scripts=$(printf '%s\n' "$out" | tail -n 1)

# verdict NAME FILE: the file is empty, or says what is wrong
verdict()
{
	if [ -s "$2" ]; then
		fail "$1" "$(cat "$2")"
	else
		pass "$1"
	fi
}

# finds NAME FILE WORDS: it has the words
finds()
{
	if grep -q "$3" "$2"; then
		pass "$1"
	else
		fail "$1" "not found: $3" "$(cat "$2")"
	fi
}

# A module with one bug for each.
bad=$tmp/bad
mkdir -p "$bad/kmod" "$bad/selftests"
cp -r "$top/Kbuild" "$top/uapi" "$bad"
cp -r "$top/selftests/vm" "$top/selftests/kmod" "$bad/selftests"
echo 'obj-m := pinring.o' >"$bad/kmod/Kbuild"
cat >"$bad/kmod/pinring.c" <<'END'
// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

static int __init bad_init(void)
{
	u32 *user = NULL, value;

	void *memory = kmalloc(8, GFP_KERNEL);
	if (memory)
		kfree(memory);
	return get_user(value, user);
}
module_init(bad_init);
MODULE_LICENSE("GPL");
END

# sparse TREE OUT: what it says, in OUT/warnings.log
sparse()
{
	"$1/selftests/vm/build" "$root" "$release" "$2" C=2 CHECK=sparse >"$tmp/log" 2>&1
}
sparse "$bad" "$tmp/sparse-bad"
finds "sparse finds a pointer of user space" "$tmp/sparse-bad/warnings.log" 'address space'
sparse "$top" "$tmp/sparse"
[ -e "$tmp/sparse/kmod/pinring.ko" ] || cp "$tmp/log" "$tmp/sparse/warnings.log"
verdict "sparse says nothing of the module" "$tmp/sparse/warnings.log"

# checkpatch FILE: what it says, a line each: FILE:LINE: LEVEL:KIND: ...
checkpatch()
{
	perl "$scripts/checkpatch.pl" --no-tree --strict --terse --show-types --no-summary -f "$1"
}
cd "$bad" || exit 1
checkpatch kmod/pinring.c >"$tmp/said"
finds "checkpatch finds a missing empty line" "$tmp/said" 'LINE_SPACING'
# It leaves a file behind where git is.
mkdir "$tmp/tree"
cd "$top" && cp -r --parents kmod selftests/kmod/importer uapi "$tmp/tree" &&
	cd "$tmp/tree" || exit 1
: >"$tmp/said"
: >"$tmp/used"
for file in kmod/*.[ch] selftests/kmod/importer/*.[ch] uapi/pinring.h; do
	checkpatch "$file"
done >"$tmp/all" 2>&1
while read -r line; do
	file=${line%%:*}
	kind=${line#*: *:}
	kind=${kind%%:*}
	if printf '%s' "$accepted" | grep -q "^$file  *$kind  *[^ ]"; then
		echo "$file $kind" >>"$tmp/used"
	else
		printf '%s\n' "$line" >>"$tmp/said"
	fi
done <"$tmp/all"
verdict "checkpatch --strict says nothing but what is accepted" "$tmp/said"
printf '%s' "$accepted" | while read -r file kind _; do
	[ -z "$file" ] || grep -qx "$file $kind" "$tmp/used" || echo "$file $kind"
done >"$tmp/stale"
verdict "all that is accepted is still said" "$tmp/stale"

# Two of 73 are partly in OCaml, and want a compiler of it.
find "$scripts/coccinelle" -name '*.cocci' -exec grep -L '^@[a-z]*:ocaml' {} + | sort >"$tmp/patches"

# patched FOLDER: what each semantic patch on stdin says of the files in it
patched()
{
	# shellcheck disable=SC2016 # the inner shell expands these
	xargs -P "$(nproc)" -n 1 sh -c '
		options=$(sed -n "s,^// *Options:,,p" "$2")
		if ! spatch -D report --no-show-diff --very-quiet $options --cocci-file "$2" \
			--dir "$0" >"$1/spatch.$$" 2>"$1/spatch-error.$$"; then
			echo "does not run:"
			cat "$1/spatch-error.$$"
		fi >>"$1/spatch.$$"
		sed "s,^,${2##*/}: ," "$1/spatch.$$"
	' "$1" "$tmp" 2>&1
}
grep '/ifnullfree' "$tmp/patches" | patched "$bad/kmod" >"$tmp/said"
finds "a semantic patch finds a needless test" "$tmp/said" 'ifnullfree.cocci: .*pinring.c'
patched . <"$tmp/patches" >"$tmp/said"
verdict "$(wc -l <"$tmp/patches") semantic patches say nothing of the module" "$tmp/said"
finish
