# shellcheck shell=bash
# The initramfs: BusyBox, the block drivers, and the real Ignition with its libraries.
# Debian's dracut module for Ignition works, but brings a second systemd and udev,
# which are most of a boot when the CPU is emulated.

IGNITION=/usr/lib/dracut/modules.d/30ignition/ignition

# Coldplug picks from these by what the machine has. virtio_console is for the log
# that a failed first boot sends to the host.
INITRAMFS_MODULES=(
	virtio_blk virtio_scsi sd_mod nvme virtio_mmio virtio_pci virtio_console
	qemu_fw_cfg ext4 overlay
)

make_initramfs() {
	say "initramfs"
	mkdir -p "$INITRD"/{bin,dev,proc,sys,run,partition,sysroot,etc,usr/lib}
	ln -s bin "$INITRD/sbin"
	ln -s usr/lib "$INITRD/lib"
	ln -s usr/lib64 "$INITRD/lib64"
	mkdir -p "$INITRD/usr/lib64"
	install -m 755 "$HERE/initramfs/init" "$INITRD/init"
	install -m 755 "$HERE"/initramfs/bin/* "$INITRD/bin/"
	install -D -m 644 -t "$INITRD/usr/lib/ignition/base.d" "$HERE"/initramfs/usr/lib/ignition/base.d/*
	local tool
	for tool in usermod userdel groupadd groupdel; do ln -s useradd "$INITRD/bin/$tool"; done
	install -m 755 "$ROOT/usr/bin/busybox" "$ROOT$IGNITION" "$INITRD/bin/"
	copy_libraries "$IGNITION"
	copy_modules
	# All that the guest itself would only carry around.
	rm -rf "$ROOT/usr/lib/dracut" "$ROOT/usr/bin/ignition-validate"
	(cd "$INITRD" && find . -print0 | LC_ALL=C sort -z | cpio --null --quiet -o -H newc -R 0:0) |
		zstd -q -12 -T0 >"$BOOT/initrd.img"
}

copy_libraries() { # PROGRAM
	local lib
	chroot "$ROOT" ldd "$1" | sed -nE 's/.*(=> |^\s)(\/[^ ]+) \(.*/\2/p' | while read -r lib; do
		install -D -m 755 "$(readlink -f "$ROOT$lib")" "$INITRD$lib"
	done
}

# With what they depend on; a driver that is built into the kernel has no file.
copy_modules() {
	local module path
	for module in "${INITRAMFS_MODULES[@]}"; do
		modprobe -d "$ROOT" -S "$VERSION" --show-depends "$module" 2>/dev/null |
			sed -n 's/^insmod \([^ ]*\).*/\1/p' || true
	done | sort -u | while read -r path; do
		path=${path#"$ROOT"}
		path=/usr/lib/modules/${path#*/lib/modules/}
		install -D -m 644 "$ROOT$path" "$INITRD$path"
	done
	mkdir -p "$INITRD/usr/lib/modules/$VERSION"
	cp "$MODULES"/modules.{builtin,order} "$INITRD/usr/lib/modules/$VERSION/"
	depmod -b "$INITRD" "$VERSION" 2>/dev/null
}
