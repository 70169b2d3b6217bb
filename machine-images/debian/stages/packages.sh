# shellcheck shell=bash
# The packages: installed into a tree of their own by mmdebstrap, kept as one archive.

make_packages() {
	[ "$(id -u)" = 0 ] || check_namespace
	if [ -e "$PACKED" ] && { [ -z "$REFRESH" ] || [ -n "${MACHINE_BUILD_IN_NAMESPACE:-}" ]; }; then
		return
	fi
	local mode=root hook
	[ "$(id -u)" = 0 ] || mode=unshare
	say "installing packages of $SUITE for $ARCH"
	[ -n "$MIRROR" ] || MIRROR=$(apt_mirror)
	export KERNEL_PACKAGE
	export UNPACKED_LIST="${UNPACKED[*]}"
	# Runs outside of the new tree, with the tree's path as $1. It is text and no file
	# because an ordinary user's namespace may not be able to read the checkout.
	# shellcheck disable=SC2016
	hook='
		set -e
		export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
		kernel=$(apt-cache depends --important "$KERNEL_PACKAGE" |
			sed -n "s/^ *Depends: \(linux-image-[^ ]*\)$/\1/p")
		mkdir -p "$1/unpacked"
		cd "$1/unpacked"
		apt-get -qq -o APT::Sandbox::User=root download "$kernel" $UNPACKED_LIST
	'
	rm -f "$PACKED.part"
	mmdebstrap --quiet --mode=$mode --format=tar --variant=essential --arch="$ARCH" \
		--aptopt='Apt::Install-Recommends "false"' \
		--aptopt='Acquire::Languages "none"' \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/info/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--dpkgopt='path-exclude=/usr/share/lintian/*' \
		--dpkgopt='path-exclude=/usr/share/bash-completion/*' \
		--dpkgopt='path-exclude=/usr/share/zsh/*' \
		--dpkgopt='path-exclude=/usr/share/fish/*' \
		--dpkgopt='path-exclude=/usr/lib/udev/hwdb.d/*' \
		--include="$(
			IFS=,
			echo "${INCLUDE[*]}${PACKAGES:+,$PACKAGES}"
		)" \
		--customize-hook="$hook" \
		"$SUITE" - "$MIRROR" >"$PACKED.part"
	mv "$PACKED.part" "$PACKED"
}

# The mirror that apt itself is told to use. A security archive has no such suite.
apt_mirror() {
	local mirror
	# shellcheck disable=SC2016 # the format is apt's
	mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' |
		sed -n 's/^\([^ ]*\) [a-z]*$/\1/p' | head -n 1)
	[ -n "$mirror" ] || die "apt knows no Debian mirror" "name one with --mirror"
	echo "$mirror"
}

unpack_packages() {
	say "unpacking packages"
	tar -C "$ROOT" --numeric-owner --xattrs --xattrs-include='*' -xf "$PACKED" \
		--exclude='./dev/*' --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*'
	# shellcheck disable=SC2016 # the format is dpkg's
	dpkg-query --admindir="$ROOT/var/lib/dpkg" -W -f '${Package} ${Version}\n' >"$WORK/manifest"
	local deb
	for deb in "$ROOT"/unpacked/*.deb; do
		# shellcheck disable=SC2016
		dpkg-deb -W --showformat '${Package} ${Version}\n' "$deb" >>"$WORK/manifest"
		case ${deb##*/} in
		linux-image-*) dpkg-deb -x "$deb" "$WORK/kernel" ;;
		*) dpkg-deb -x "$deb" "$TOOLS" ;;
		esac
	done
	rm -r "$ROOT/unpacked"
}
