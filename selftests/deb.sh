#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What an administrator does: Debian's packages, and make dkms-install, in a Debian
# bookworm with its kernel's headers (see vm/dkms-root) that is thrown away.
# What lies in no cache is downloaded.
# timeout=1800

# shellcheck disable=SC2317 # check calls the functions
# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

[ "$(id -u)" -eq 0 ] || skip_all "only root can install packages, in a root of their own too"
for tool in dpkg-buildpackage:dpkg-dev dh:debhelper dh_dkms:dh-dkms mmdebstrap:mmdebstrap; do
	command -v "${tool%:*}" >/dev/null ||
		skip_all "no ${tool%:*}: install Debian's package ${tool#*:}"
done

version=$(sed -n 's/^VERSION := //p' "$top/Makefile")
debs=$tmp/deb
root=$tmp/root

# inside COMMAND...: in the root, where /mnt is $debs
inside()
{
	"$top/selftests/vm/in-root" "$root" "$debs" \
		/usr/bin/env PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive \
		HOME=/root "$@"
}

# stop REASON: without what failed nothing here can be tested
stop()
{
	fail "$1" "$out"
	finish
}

# ------------------------------------------------------------- the packages
mkdir "$debs" "$root"
check "make deb builds the packages" "$top/tools/packaging/deb" "$debs" || finish

# has PACKAGE FILE...
has()
{
	dpkg-deb -c "$debs/$1"_*.deb | awk '{ sub(/^\./, "", $6); print $6 }' >"$tmp/list"
	shift
	for file; do
		grep -qxF "$file" "$tmp/list" || echo "no $file"
	done >"$tmp/lacking"
	cat "$tmp/lacking"
	[ ! -s "$tmp/lacking" ]
}
lib=/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)
src=/usr/src/pinring-$version
check "pinring-dkms has sources, rule, group, examples" has pinring-dkms \
	"$src/Kbuild" "$src/dkms.conf" "$src/kmod/Kbuild" "$src/kmod/main.c" \
	"$src/uapi/pinring.h" "$src/uapi/pinring_layout.h" /lib/udev/rules.d/60-pinring.rules \
	/usr/lib/sysusers.d/pinring-dkms.conf \
	/usr/share/doc/pinring-dkms/examples/modprobe.conf \
	/usr/share/doc/pinring-dkms/sysfs.md.gz
check "libpinring1 has the library" has libpinring1 "$lib/libpinring.so.1"
check "libpinring-dev has what programs are built with" has libpinring-dev \
	/usr/include/pinring/pinring.h /usr/include/pinring/pinring_layout.h \
	"$lib/libpinring.so" "$lib/libpinring.a" "$lib/pkgconfig/pinring.pc"
check "pinring-tools has the tool and its pages" has pinring-tools \
	/usr/bin/pinring /usr/share/man/man1/pinring.1.gz /usr/share/man/man1/pinring-info.1.gz
if command -v lintian >/dev/null; then
	check "lintian finds neither errors nor warnings" \
		lintian --allow-root --fail-on error,warning "$debs/pinring_$version"_*.changes
else
	skip "lintian finds neither errors nor warnings" "no lintian: install Debian's package lintian"
fi

# ------------------------------------------------------------------ the root
check "a Debian to install in" "$top/selftests/vm/dkms-root" || finish
tar -C "$root" -xf "$(printf '%s\n' "$out" | tail -n 1)" || stop "unpack it"
release=$(basename "$root"/lib/modules/*)
modules=/lib/modules/$release

# remains: what is there of pinring, by name or in a file that says it
remains()
{
	find "$root" -xdev \( -path "$root/mnt" -o -path "$root/proc" -o -path "$root/dev" \) \
		-prune -o -name '*pinring*' -print
	grep -l pinring -r "$root/etc" "$root$modules"/modules.* "$root/var/lib/dkms" \
		"$root/var/lib/dpkg/status" 2>/dev/null
}
remains >"$tmp/before"
check "nothing of pinring is in there" test ! -s "$tmp/before"

# gone NAME: but for the group, since files may belong to it
gone()
{
	remains | sed "s,^$root,," >"$tmp/after"
	if grep -v -x -e '/etc/group-\{0,1\}' -e '/etc/gshadow-\{0,1\}' "$tmp/after" >"$tmp/left"; then
		fail "$1" "$(cat "$tmp/left")"
	else
		pass "$1"
	fi
}

# module FOLDER: it is there, built for that kernel, and its rule in the folder
module()
{
	check "the module is in updates/dkms" test -e "$root$modules/updates/dkms/pinring.ko" ||
		printf '%s\n' "$(tail -n 20 "$root"/var/lib/dkms/pinring/*/build/make.log 2>/dev/null)" | sed 's/^/# /'
	out=$(inside modinfo -F vermagic -k "$release" pinring)
	case $out in
	"$release "*) pass "for $release" ;;
	*) fail "for $release" "$out" ;;
	esac
	out=$(inside dkms status)
	case $out in
	"pinring/$version, $release, "*": installed"*) pass "as DKMS knows" ;;
	*) fail "as DKMS knows" "$out" ;;
	esac
	out=$(inside modinfo -F signer -k "$release" pinring)
	case $out in
	*?*) pass "signed by DKMS's key" ;;
	*) fail "signed by DKMS's key" "$(inside sh -c 'ls /var/lib/dkms; tail -n 20 /var/lib/dkms/pinring/*/*/*/log/make.log')" ;;
	esac
	check "modprobe would find it" inside modprobe -n -S "$release" pinring
	check "the group is there" inside getent group pinring
	check "the rule gives it the device" grep -q '"pinring", GROUP="pinring", MODE="0660"' \
		"$root$1/60-pinring.rules"
}

# ---------------------------------------------------- the kernel's package
# install PACKAGE...
install()
{
	for package; do
		set -- "$@" "/mnt/$(basename "$debs/$package"_*.deb)"
		shift
	done
	inside dpkg --force-unsafe-io -i "$@"
}
check "pinring-dkms installs" install pinring-dkms
module /lib/udev/rules.d
check "DKMS takes it from a kernel" inside dkms uninstall "pinring/$version" -k "$release"
check "and builds it by itself for a new one" inside dkms autoinstall -k "$release"
check "that one has it" test -e "$root$modules/updates/dkms/pinring.ko"

# -------------------------------------------------------- library and tools
check "library, headers and tools install" install libpinring1 libpinring-dev pinring-tools
check "the tool has our version" inside pinring --version
case $out in
"pinring $version"*) pass "this one" ;;
*) fail "this one" "$out" ;;
esac
check "pinring info runs" inside pinring info
# The first program of the README.
awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' "$top/README.md" >"$debs/hello.c"
# shellcheck disable=SC2016
check "README's program builds" inside sh -c \
	'gcc -Wall -Wextra -Werror /mnt/hello.c -o /mnt/hello $(pkg-config --cflags --libs pinring)'
check "with the library of libpinring1" inside ldd /mnt/hello
case $out in
*"libpinring.so.1 => "*"/libpinring.so.1"*) pass "which is found" ;;
*) fail "which is found" "$out" ;;
esac
check "and runs" inside /mnt/hello
case $out in
"499500 in "*" ns") pass "and adds up 0 to 999" ;;
*) fail "and adds up 0 to 999" "$out" ;;
esac

# ------------------------------------------------------------------- purge
check "all of it can be purged" inside dpkg --force-unsafe-io --purge \
	pinring-tools libpinring-dev libpinring1 pinring-dkms
gone "and nothing remains"
check "DKMS knows nothing of it" inside dkms status
check "nothing at all" test -z "$out"

# -------------------------------------------------------- make dkms-install
mkdir "$debs/tree"
cp -r "$top/Makefile" "$top/Kbuild" "$top/dkms.conf" "$top/kmod" "$top/uapi" "$top/tools" "$debs/tree"
check "make dkms-install" inside make -C /mnt/tree dkms-install RELEASE="$release"
module /etc/udev/rules.d
check "a second time, over the first" inside make -C /mnt/tree dkms-install RELEASE="$release"
check "the module is there" test -e "$root$modules/updates/dkms/pinring.ko"
check "make dkms-remove" inside make -C /mnt/tree dkms-remove
gone "leaves nothing"
check "and a second time has nothing to do" inside make -C /mnt/tree dkms-remove

# ----------------------------------------------------- make modules_install
check "make modules" inside make -C /mnt/tree modules RELEASE="$release"
check "make modules_install" inside make -C /mnt/tree modules_install RELEASE="$release"
check "modprobe finds it" inside modprobe -n -S "$release" pinring
out=$(inside modinfo -F signer -k "$release" pinring)
is "nobody has signed it" '' "$out"
# shellcheck disable=SC2016
check "by hand one can" inside sh -c 'module=$(modinfo -n -k "$0" pinring) && cd /tmp &&
	openssl req -new -x509 -newkey rsa:2048 -nodes -subj /CN=ours -outform DER \
		-keyout key -out certificate 2>/dev/null &&
	/usr/lib/linux-kbuild-${0%%.*}.*/scripts/sign-file sha256 key certificate "$module"' "$release"
out=$(inside modinfo -F signer -k "$release" pinring)
is "as docs/install.md has it" ours "$out"

finish
