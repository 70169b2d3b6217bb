# shellcheck shell=bash
# Where finished images and the packages they are made of are kept, and for how long.

KEEP=2 # newest images, and newest sets of packages

digest() { sha256sum | cut -c1-16; }

# Everything of the builder but its documentation, with the names and the modes.
builder_files() {
	(
		cd "$HERE"
		find build stages files initramfs grub \( -type f -perm /100 -printf 'x %p\n' \) -o \( -type f -printf '- %p\n' \) |
			LC_ALL=C sort
		find build stages files initramfs grub -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
	)
}

compute_keys() {
	IMAGES=$CACHE/guest
	mkdir -p "$IMAGES" || die "cannot make the cache $IMAGES" "name another with --cache"
	PACKAGES_KEY=$(printf '%s\n' "$SUITE" "$ARCH" "$KERNEL_PACKAGE" "$PACKAGES" \
		"${INCLUDE[@]}" "${UNPACKED[@]}" | cat - "$HERE/stages/packages.sh" | digest)
	KEY=$({
		printf '%s\n' "$PACKAGES_KEY" "$SIZE"
		builder_files
	} | digest)
	PACKED=$IMAGES/packages-$PACKAGES_KEY.tar
	IMAGE=$IMAGES/$KEY.qcow2
	MANIFEST=$IMAGES/$KEY.manifest
}

# One build at a time. A build in a user namespace goes on with the lock that it had
# before: it is the same process.
lock_cache() {
	[ -z "${MACHINE_BUILD_IN_NAMESPACE:-}" ] || return 0
	exec 9>>"$IMAGES/build.lock"
	flock --nonblock 9 || {
		say "waiting for another build"
		flock 9
	}
}

have_image() {
	[ -z "$FORCE$REFRESH" ] && [ -e "$IMAGE" ] || return 1
	touch -c "$IMAGE" "$MANIFEST" "$PACKED" # these are in use: prune the others first
}

# What a killed build has left goes too: the lock is ours.
open_workspace() {
	rm -rf --one-file-system "$IMAGES"/work.*
	WORK=$(mktemp -d "$IMAGES/work.XXXXXX")
	trap 'rm -rf --one-file-system "$WORK"' EXIT
	ROOT=$WORK/root BOOT=$WORK/boot INITRD=$WORK/initrd TOOLS=$WORK/tools
	mkdir "$ROOT" "$BOOT" "$INITRD" "$TOOLS"
	chmod 755 "$WORK" "$ROOT"
}

prune_cache() {
	local old
	while read -r old; do
		rm -f "$old" "${old%.qcow2}.manifest"
	done < <(newest "$IMAGES"/*.qcow2 | tail -n +$((KEEP + 1)))
	while read -r old; do
		rm -f "$old"
	done < <(newest "$IMAGES"/packages-*.tar | tail -n +$((KEEP + 1)))
}

# Keys are hexadecimal, so a name never has a line break.
# shellcheck disable=SC2012
newest() { ls -t -- "$@"; }

deliver() {
	if [ -n "$OUTPUT" ]; then
		cp --reflink=auto --sparse=always "$IMAGE" "$OUTPUT.part"
		mv "$OUTPUT.part" "$OUTPUT"
		IMAGE=$OUTPUT
	fi
	if [ -n "$PRINT_PATH" ]; then readlink -f "$IMAGE"; else say "image: $IMAGE"; fi
}
