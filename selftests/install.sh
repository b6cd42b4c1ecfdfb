#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What `make install` puts down is what a stranger can build against.

# shellcheck disable=SC2317 # check calls the functions
# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

root=$tmp/root
lib=$root/usr/lib
make_install()
{
	make -C "$top" --no-print-directory MAKEFLAGS= MAKELEVEL=0 install \
		"DESTDIR=$root" PREFIX=/usr
}

if ! check "make install DESTDIR PREFIX" make_install; then
	finish
fi
for file in bin/pinring lib/libpinring.so lib/libpinring.so.1 lib/libpinring.a \
	lib/pkgconfig/pinring.pc include/pinring/pinring.h \
	include/pinring/pinring_layout.h share/man/man1/pinring.1; do
	check "installs $file" test -e "$root/usr/$file"
done
check "the installed tool runs" "$root/usr/bin/pinring" --version

awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' "$top/README.md" >"$tmp/hello.c"
export PKG_CONFIG_PATH="$lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$root"
export PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 PKG_CONFIG_ALLOW_SYSTEM_LIBS=1

# shellcheck disable=SC2046 # flags are words
build_shared()
{
	cc -Wall -Wextra -Werror "$tmp/hello.c" -o "$tmp/shared" \
		$(pkg-config --cflags --libs pinring)
}
# shellcheck disable=SC2046
build_static()
{
	cc "$tmp/hello.c" $(pkg-config --cflags pinring) "$lib/libpinring.a" \
		-o "$tmp/static" $(pkg-config --static --libs pinring |
			sed 's/-lpinring//')
}
# shellcheck disable=SC2046
build_cxx()
{
	printf '#include <pinring/pinring.h>\nint main() { return pinring_version()[0] != 48; }\n' >"$tmp/hello.cc"
	c++ -std=c++17 -Wall -Wextra -Wpedantic -Werror "$tmp/hello.cc" -o "$tmp/cxx" \
		$(pkg-config --cflags --libs pinring)
}

check "README's program builds, shared, without a warning" build_shared
check "and runs" env LD_LIBRARY_PATH="$lib" "$tmp/shared"
case $out in
"499500 in "*" ns") pass "and adds up 0 to 999" ;;
*) fail "and adds up 0 to 999" "$out" ;;
esac
check "README's program builds, static" build_static
check "and runs by itself" "$tmp/static"
check "a C++17 program builds, pedantically" build_cxx
check "and runs, too" env LD_LIBRARY_PATH="$lib" "$tmp/cxx"

so=$lib/libpinring.so.1
nm -D --defined-only "$so" | awk '$2 != "A" { print $3 }' | sort >"$tmp/exported"
if grep -v '^pinring_[a-z0-9_]*@@PINRING_0\.1$' "$tmp/exported" >"$tmp/stray"; then
	fail "exports only pinring_*, versioned" "$(cat "$tmp/stray")"
else
	pass "exports only pinring_*, versioned"
fi
sed 's/@@.*//' "$tmp/exported" >"$tmp/names"
cat "$top"/lib/include/pinring/*.h | tr '\n\t' '  ' | grep -o 'PINRING_API [^;{]*(' |
	grep -o 'pinring_[a-z0-9_]*(' | tr -d '(' | sort -u >"$tmp/declared"
if diff "$tmp/declared" "$tmp/names" >"$tmp/diff"; then
	pass "exports what the headers declare, and nothing else"
else
	fail "exports what the headers declare, and nothing else" "$(cat "$tmp/diff")"
fi
case $(readelf -d "$so") in
*"soname: [libpinring.so.1]"*) pass "its soname is libpinring.so.1" ;;
*) fail "its soname is libpinring.so.1" ;;
esac
strip -o "$tmp/stripped" "$so"
size=$(wc -c <"$tmp/stripped")
device=$(size -A -d "$tmp/stripped" | awk '$1 == ".nv_fatbin" { print $2 }')
size=$((size - ${device:-0}))
check "is under 250,000 bytes stripped ($size), less the device code (${device:-0})" \
	test "$size" -lt 250000
finish
