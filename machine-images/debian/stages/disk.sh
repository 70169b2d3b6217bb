# shellcheck shell=bash
# The disk: Fedora CoreOS's four partitions, written into one file by offset.

MIB=$((1 << 20))
# Starts, in MiB. The root partition has the rest but for the last MiB, where GPT
# keeps its second copy.
BIOS_AT=1 EFI_AT=2 BOOT_AT=16 ROOT_AT=96

make_disk() {
	say "disk"
	RAW=$WORK/disk.raw
	truncate -s "${SIZE}M" "$RAW"
	sfdisk --quiet "$RAW" <<-END
	label: gpt
	start=${BIOS_AT}MiB, size=1MiB, type=21686148-6449-6E6F-744E-656564454649, name=BIOS-BOOT
	start=${EFI_AT}MiB, size=14MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=EFI-SYSTEM
	start=${BOOT_AT}MiB, size=80MiB, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name=boot
	start=${ROOT_AT}MiB, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name=root
	END
	[ "$ARCH" != amd64 ] || install_bios_grub
	make_efi_partition
	# A small partition needs no journal, and GRUB reads none of the newer features.
	mkfs.ext4 -q -F -L boot -m 0 -O ^has_journal,^metadata_csum_seed,^orphan_file -d "$BOOT" \
		-E root_owner=0:0,offset=$((BOOT_AT * MIB)) "$RAW" 80M
	arrange_deployment
	mkfs.ext4 -q -F -L root -m 1 -J size=16 -i 8192 -d "$WORK/partition" \
		-E root_owner=0:0,offset=$((ROOT_AT * MIB)),lazy_itable_init=1 \
		"$RAW" $((SIZE - ROOT_AT - 1))M
	compress_disk
}

# What grub-bios-setup does on a real disk: the first sector, which is boot.img, has
# to know where core.img is, and core.img's first sector where its own rest is.
install_bios_grub() {
	local sector=$((BIOS_AT * MIB / 512))
	[ "$(stat -c %s "$WORK/core.img")" -le $MIB ] || die "GRUB's core.img does not fit its partition"
	head -c 440 "$TOOLS/usr/lib/grub/i386-pc/boot.img" | patch_at 0
	little_endian_64 $sector | patch_at $((0x5c))
	printf '\x90\x90' | patch_at $((0x66))
	dd if="$WORK/core.img" of="$RAW" bs=512 seek=$sector conv=notrunc status=none
	little_endian_64 $((sector + 1)) | patch_at $((sector * 512 + 512 - 12))
}

little_endian_64() { # NUMBER
	local i rest=$1
	for ((i = 0; i < 8; i++)); do
		# shellcheck disable=SC2059 # the format is made here
		printf "\\x$(printf %02x $((rest & 255)))"
		rest=$((rest >> 8))
	done
}

patch_at() { dd of="$RAW" bs=1 seek="$1" conv=notrunc status=none; } # OFFSET <BYTES

make_efi_partition() {
	mkfs.vfat -F 16 -s 1 -n EFI-SYSTEM --offset $((EFI_AT * MIB / 512)) "$RAW" $((14 * 1024)) >/dev/null 2>&1
	mmd -i "$RAW@@${EFI_AT}M" ::EFI ::EFI/BOOT
	mcopy -i "$RAW@@${EFI_AT}M" "$WORK/$EFI_NAME" ::EFI/BOOT/
}

# As ostree lays it out: one deployment, and /var beside it.
arrange_deployment() {
	local state=$WORK/partition/ostree/deploy/fedora-coreos
	mkdir -p "$state/deploy" "$WORK/partition/ostree/empty"
	mv "$ROOT" "$state/deploy/image.0"
	mv "$state/deploy/image.0/var" "$state/var"
	mkdir "$state/deploy/image.0/var"
}

compress_disk() {
	say "qcow2"
	qemu-img convert -f raw -O qcow2 -c -m "$(nproc)" -W -o compression_type=zstd "$RAW" "$WORK/disk.qcow2"
	mv "$WORK/manifest" "$MANIFEST"
	mv "$WORK/disk.qcow2" "$IMAGE"
	say "done: $(du -h "$IMAGE" | cut -f1) image, $(du -sh "$WORK/partition" | cut -f1) root," \
		"$(stat -c %s "$BOOT/initrd.img" | numfmt --to=iec) initramfs, kernel $VERSION"
}
