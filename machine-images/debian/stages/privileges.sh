# shellcheck shell=bash
# The tools of the host, and how an ordinary user gets to write files of other owners.

install_tools() {
	local need=()
	want() { command -v "$1" >/dev/null || need+=("$2"); }
	# Looked up as programs, so that a newer qemu-utils stays as it is: installing the
	# archive's over it, or the other way round, can remove qemu-system-x86.
	want mmdebstrap mmdebstrap
	want qemu-img qemu-utils
	want mkfs.ext4 e2fsprogs
	want mkfs.vfat dosfstools
	want mcopy mtools
	want sfdisk fdisk
	want cpio cpio
	want zstd zstd
	want xz xz-utils
	want depmod kmod
	[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || need+=(debian-archive-keyring)
	if [ "$(id -u)" != 0 ]; then want newuidmap uidmap; fi
	[ ${#need[@]} -gt 0 ] || return 0
	[ "$(id -u)" = 0 ] || die "these packages are missing: ${need[*]}" \
		"install them: sudo apt-get install --no-install-recommends ${need[*]}" \
		"or run this builder with sudo"
	say "installing: ${need[*]}"
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		"${need[@]}" >/dev/null
}

# An ordinary user goes on as root of a user namespace of his own, which has the
# subordinate ids of /etc/subuid: enough for chroot and for files of many owners.
become_root() {
	[ "$(id -u)" != 0 ] || return 0
	export MACHINE_BUILD_IN_NAMESPACE=1
	# --refresh has had its effect, --force must not make packages a second time.
	exec unshare --user --map-root-user --map-auto --mount "$HERE/build" "$@"
}

check_namespace() {
	unshare --user --map-root-user --map-auto true 2>/dev/null || die \
		"this user cannot make a user namespace with subordinate ids" \
		"run this builder with sudo" \
		"or give the user ids in /etc/subuid and /etc/subgid (usermod --add-subuids, --add-subgids)"
}
