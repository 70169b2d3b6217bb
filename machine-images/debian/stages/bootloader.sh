# shellcheck shell=bash
# GRUB for BIOS and for UEFI, both reading the configuration on the boot partition.

# What saves time in each boot of an emulated CPU, and what keeps the kernel from
# starting SELinux without a policy: it does so in spite of selinux=0, so the list of
# security modules leaves it out.
kernel_arguments() {
	# shellcheck disable=SC2054 # the commas belong to the values
	local words=(
		root=LABEL=root rw "console=$CONSOLE,115200" ignition.platform.id=qemu
		quiet loglevel=4 mitigations=off audit=0 lsm=landlock,yama,bpf no_timer_check
		systemd.tty.term.console=dumb systemd.tty.rows.console=24
		systemd.tty.columns.console=80 random.trust_cpu=on
	)
	echo "${words[*]}"
}

make_bootloader() {
	say "boot loader"
	: >"$BOOT/ignition.firstboot"
	mkdir -p "$BOOT/grub"
	install -m 644 "$HERE/grub/grub.cfg" "$BOOT/grub/grub.cfg"
	echo "set kargs=\"$(kernel_arguments)\"" >"$BOOT/grub/kargs.cfg"
	local modules=(part_gpt ext2 search search_label normal configfile test echo linux boot)
	grub_image "$GRUB_EFI" "$WORK/$EFI_NAME" "${modules[@]}" fat
	[ "$ARCH" != amd64 ] || grub_image i386-pc "$WORK/core.img" "${modules[@]}" biosdisk
}

# grub-mkimage needs the libraries of its own suite, so it runs in the new root.
grub_image() { # FORMAT OUTPUT MODULE...
	local format=$1 output=$2
	shift 2
	mkdir "$ROOT/run/grub"
	cp "$HERE/grub/early.cfg" "$TOOLS/usr/bin/grub-mkimage" "$ROOT/run/grub/"
	cp -a "$TOOLS/usr/lib/grub/$format" "$ROOT/run/grub/"
	find "$TOOLS" -name 'libdevmapper*.so.*' -exec cp {} "$ROOT/run/grub/" \;
	chroot "$ROOT" env LD_LIBRARY_PATH=/run/grub /run/grub/grub-mkimage \
		-d "/run/grub/$format" -O "$format" -p /grub -c /run/grub/early.cfg \
		-o /run/grub/image "$@"
	mv "$ROOT/run/grub/image" "$output"
	rm -r "$ROOT/run/grub"
}
