#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What is said in several places agrees: the version, the licences, the kernels;
# and make dkms-install says what it lacks.

# shellcheck disable=SC2317 # check calls the functions
# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

cd "$top" || exit 1
debian=tools/packaging/debian
version=$(sed -n 's/^VERSION := //p' Makefile)

# says NAME WHAT: the version
says()
{
	if [ "$2" = "$version" ]; then
		pass "$1"
	else
		fail "$1" "'$2', not '$version' as in the Makefile"
	fi
}

says "dkms.conf has the version" "$(sed -n 's/^PACKAGE_VERSION="\(.*\)"$/\1/p' dkms.conf)"
says "Debian's changelog has it" "$(sed -n '1s/^pinring (\(.*\)) .*/\1/p' $debian/changelog)"
says "the man pages have it" \
	"$(sed -n 's/^\.TH .*"pinring \([0-9.]*\)".*/\1/p' docs/man/*.1 | sort -u)"
says "the tool has it" "$("${PINRING:-$build/tools/pinring}" --version | awk '{ print $2 }')"

soname=libpinring.so.$(sed -n 's/^SOVERSION := //p' Makefile)
check "Debian's package is named after the SONAME" \
	grep -qx "$soname libpinring${soname##*.} #MINVER#" $debian/libpinring"${soname##*.}".symbols

# What the Makefile looks for, and .ci/deps installs, is in the packages' build.
awk '$1 ~ /^lib.*-dev$/ && $1 != "libc6-dev" && $2 == "demo" { print $1 }' .ci/deps | sort >"$tmp/libraries"
sed -n 's/^ \(lib.*-dev\),$/\1/p' $debian/control | sort >"$tmp/build-depends"
check "Debian's packages are built with the same libraries" \
	diff "$tmp/libraries" "$tmp/build-depends"

# licences: 'FILE: LICENCE-OF-ITS-SPDX-LINE LICENCE-IN-DEBIAN' where the two differ
licences()
{
	awk '$1 == "Files:" { sub(/^Files: /, ""); files = $0 }
		/^License: / && files != "" { sub(/^License: /, ""); print $0 "|" files; files = "" }
	' $debian/copyright >"$tmp/stanzas"
	find Kbuild Makefile dkms.conf README.md kmod uapi lib gpu tools examples bench selftests .ci docs \
		-type f >"$tmp/files"
	while read -r file; do
		spdx=$(sed -n '1,3s/.*SPDX-License-Identifier: \([^*]*[^*> -]\).*/\1/p' "$file" 2>/dev/null)
		case $spdx in
		'') continue ;;
		GPL-2.0) want='GPL-2' ;;
		'GPL-2.0 WITH Linux-syscall-note OR MIT') want='GPL-2-with-Linux-syscall-note or MIT' ;;
		'GPL-2.0 OR MIT') want='GPL-2 or MIT' ;;
		*) want=$spdx ;;
		esac
		# The last stanza that matches counts.
		while IFS='|' read -r licence globs; do
			set -f
			for glob in $globs; do
				# shellcheck disable=SC2254
				case $file in
				$glob) got=$licence ;;
				esac
			done
			set +f
		done <"$tmp/stanzas"
		[ "$got" = "$want" ] || echo "$file: $spdx, but $got in $debian/copyright"
	done <"$tmp/files"
}
licences >"$tmp/differ"
if [ -s "$tmp/differ" ]; then
	fail "Debian's copyright file agrees with the sources" "$(cat "$tmp/differ")"
elif ! grep -q . "$tmp/stanzas" || ! grep -q . "$tmp/files"; then
	fail "Debian's copyright file agrees with the sources" "nothing was compared"
else
	pass "Debian's copyright file agrees with the sources"
fi

kernels=$(sed -n 's/^BUILD_EXCLUSIVE_KERNEL="\(.*\)"$/\1/p' dkms.conf)
for kernel in 6.1.0-56-amd64:yes 6.12.117+deb12-amd64:yes 7.2.12+deb13-amd64:yes 10.0.1:yes \
	6.0.19-amd64:no 5.10.0-30-amd64:no; do
	if echo "${kernel%:*}" | grep -qE "$kernels"; then
		got=yes
	else
		got=no
	fi
	check "DKMS builds for ${kernel%:*}: ${kernel#*:}" test $got = "${kernel#*:}"
done

# What the script needs, and nothing else.
mkdir "$tmp/bin"
for command in sh sed id dirname; do
	ln -s "$(command -v $command)" "$tmp/bin"
done
# lacks NAME WORDS MAKE-ARGUMENT...: fails, and says the words
lacks()
{
	lacks_name=$1 lacks_words=$2
	shift 2
	if expect_exit 1 "$lacks_name" "$@"; then
		case $out in
		*"$lacks_words"*) pass "and says so" ;;
		*) fail "and says so" "$out" ;;
		esac
	fi
}
out=$(make --no-print-directory modules RELEASE=6.0.0-none 2>&1) && rc=0 || rc=$?
is "make modules without headers: one line, that names what to install" "2 1" \
	"$rc $(echo "$out" | grep -c "install Debian's package linux-headers-6.0.0-none")"
is "and nothing else, but for make's own" 1 "$(echo "$out" | grep -vc '^make\(\[[0-9]*\]\)*: ')"
if [ "$(id -u)" -eq 0 ]; then
	lacks "make dkms-install fails without dkms" "no dkms: install Debian's package dkms" \
		env PATH="$tmp/bin" sh tools/packaging/dkms install 6.1.0
	printf '#!/bin/sh\nexit 1\n' >"$tmp/bin/dkms"
	chmod +x "$tmp/bin/dkms"
	lacks "and without headers" "install Debian's package linux-headers-6.0.0-none" \
		env PATH="$tmp/bin" sh tools/packaging/dkms install 6.0.0-none
else
	lacks "make dkms-install fails for who is not root" "only root" \
		tools/packaging/dkms install 6.1.0
fi

finish
