#!/usr/bin/env bash
# Installs the Debian packages that the named groups need; without a name, all of them.
#
#   setup.sh [run] [test] [cross]
#
# Nothing that is there already is touched, and then no special right is needed. Each line of a
# group is `what package`: a program or file that came from elsewhere will do, except with `dpkg:`.
set -euo pipefail

declare -A groups
groups[run]='
cc gcc
make make
git git
curl curl
mmdebstrap mmdebstrap
mkfs.ext4 e2fsprogs
mkfs.vfat dosfstools
mcopy mtools
sfdisk fdisk
cpio cpio
zstd zstd
xz xz-utils
depmod kmod
newuidmap uidmap
/usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
/usr/include/stdio.h libc6-dev
'

groups[test]='
c++ g++
docker docker.io
fusermount3 fuse3
gpg gnupg
ignition-validate ignition
dpkg:busybox-static busybox-static
ssh openssh-client
ps procps
ip iproute2
passt passt
shellcheck shellcheck
python3 python3
systemd-analyze systemd
dpkg:dbus-user-session dbus-user-session
'

groups[cross]='
python3 python3
python:ensurepip python3-venv
x86_64-w64-mingw32-gcc-posix gcc-mingw-w64-x86-64-posix
wine wine
/usr/lib/wine/wine64 wine64
'

has() {
	case $1 in
	/*) [ -e "$1" ] ;;
	dpkg:*) dpkg-query -W -f '${db:Status-Status}' "${1#*:}" 2>/dev/null | grep -qx installed ;;
	python:*) python3 -c "import ${1#*:}" 2>/dev/null ;;
	# Some programs are in directories that only root searches.
	*) PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin command -v "$1" >/dev/null ;;
	esac
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		echo "setup: these packages are missing: ${missing[*]}" >&2
		echo "hint: install them as root, or install sudo" >&2
		exit 1
	fi
}

if ! command -v cargo >/dev/null; then
	echo "setup: Rust is missing" >&2
	echo "hint: install rustup; the toolchain itself is named in rust-toolchain.toml" >&2
	exit 1
fi

[ $# -gt 0 ] || set -- run test cross
missing=() qemu=no
for group in "$@"; do
	if [ -z "${groups[$group]:-}" ]; then
		echo "setup: no group is called \`$group\`: run, test, cross" >&2
		exit 1
	fi
	while read -r program package; do
		[ -n "$program" ] || continue
		has "$program" || missing+=("$package")
	done <<<"${groups[$group]}"
	[ "$group" = cross ] || qemu=yes
done
if [ $qemu = yes ]; then
	if ! has qemu-system-x86_64; then missing+=(qemu-system-x86 qemu-utils)
	elif ! has qemu-img; then missing+=(qemu-utils); fi
fi
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "setup: this system has no apt-get; packages with Debian's names are missing: ${missing[*]}" >&2
	exit 1
fi
echo "setup: installing ${missing[*]}"
as_root apt-get -qq update
# qemu-utils may be there in a newer version than the archive's qemu-system-x86, and the two then
# exclude each other: one would be removed without a word. So both get the same version at once.
packages=()
for package in "${missing[@]}"; do
	case $package in
	qemu-system-x86 | qemu-utils)
		version=$(apt-cache policy qemu-system-x86 | sed -n 's/ *Candidate: //p')
		if has qemu-system-x86_64; then
			version=$(dpkg-query -W -f '${Version}' qemu-system-x86 2>/dev/null || echo "$version")
		fi
		packages+=("$package=$version")
		;;
	*) packages+=("$package") ;;
	esac
done
as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
	--no-install-recommends --allow-downgrades "${packages[@]}" >/dev/null </dev/null
