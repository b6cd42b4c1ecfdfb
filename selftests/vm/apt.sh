# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# Sourced by what gets Debian's packages into the cache. Needs no root: they are
# downloaded by an apt that knows only the folder it is given, and unpacked without
# being installed, in a folder for each release of Debian that serves as a root.
#
# PINRING_CACHE	where it all lies (default ${XDG_CACHE_HOME:-~/.cache}/pinring)
# DEBIAN_MIRROR	the URI of a Debian archive (default: what apt here uses)

die()
{
	echo "vm/${0##*/}: $1" >&2
	exit 1
}

cache=${PINRING_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pinring}
# What a root needs for make to work in it.
# shellcheck disable=SC2034 # for who sources this
base='make binutils dash coreutils sed grep mawk findutils bash'

for tool in apt-get:apt dpkg-deb:dpkg flock:util-linux; do
	command -v "${tool%:*}" >/dev/null ||
		die "no ${tool%:*}: install Debian's package ${tool#*:}"
done
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e $keyring ] || die "no $keyring: install Debian's package debian-archive-keyring"

mkdir -p "$cache" || exit 1
exec 9>"$cache/lock"
flock 9

# sources: where this machine's own packages come from, as 'URI SUITE' lines
sources()
{
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 2>/dev/null | sort -u
}

# apt COMMAND...: apt-get or apt-cache, on the lists and files of one release alone
apt()
{
	apt_command=$1
	shift
	"$apt_command" -qq -o Dir::Etc::sourcelist="$apt/sources.list" \
		-o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
		-o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt/cache" \
		-o Dir::State::status="$apt/status" -o APT::Sandbox::User="$(id -un)" \
		-o APT::Architecture=amd64 -o APT::Architectures=amd64 \
		-o APT::Install-Recommends=false -o Debug::NoLocking=true "$@"
}

# use RELEASE: what apt, download and unpack work on; sets $apt and $root
use()
{
	apt=$cache/apt-$1
	root=$cache/root-$1
	mirror=${DEBIAN_MIRROR:-$(sources | awk '$2 !~ /-/ && $1 ~ /debian\/?$/ { print $1; exit }')}
	security=$(sources | awk '$2 ~ /-security$/ { print $1; exit }')
	[ -n "$mirror" ] || die "apt knows no Debian archive here: set DEBIAN_MIRROR"
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" || exit 1
	: >"$apt/status"
	signed="[signed-by=$keyring]"
	for suite in "$1" "$1-updates" "$1-backports"; do
		echo "deb $signed $mirror $suite main"
	done >"$apt/sources.list"
	[ -z "$security" ] ||
		echo "deb $signed $security $1-security main" >>"$apt/sources.list"
	# A mirror may well lack one of these suites.
	apt apt-get update >"$apt/log" 2>&1 </dev/null
}

# download PACKAGE...: them and what they depend on
download()
{
	apt apt-get -y --download-only install "$@" >"$apt/log" 2>&1 </dev/null || {
		tail -n 15 "$apt/log" | sed 's/^/    /' >&2
		die "one of these, or what it depends on, could not be downloaded: $*"
	}
}

# unpack: what was downloaded, in $root
unpack()
{
	if [ ! -e "$root/bin" ]; then
		for dir in bin sbin lib lib64; do
			mkdir -p "$root/usr/$dir" || exit 1
			ln -sfn usr/$dir "$root/$dir"
		done
		mkdir -p "$root/dev" "$root/proc" "$root/tmp" "$root/mnt" "$root/unpacked"
	fi
	for deb in "$apt"/cache/archives/*.deb; do
		done=$root/unpacked/$(basename "$deb")
		if [ ! -e "$done" ]; then
			# As tar does, but through what is a link to a folder.
			dpkg-deb --fsys-tarfile "$deb" |
				tar -C "$root" -x --keep-directory-symlink --no-same-owner \
					--exclude './usr/share/doc' --exclude './usr/share/man' ||
				die "$deb could not be unpacked"
			: >"$done"
		fi
		rm -f "$deb"
	done
	# A link that awk's package makes when it is installed.
	[ -e "$root/bin/awk" ] || ln -s mawk "$root/usr/bin/awk"
}
