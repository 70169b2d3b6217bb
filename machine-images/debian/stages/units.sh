# shellcheck shell=bash
# Which systemd units run: those named here, and what an Ignition config turns on.

ENABLED=(
	ssh.service sshd-keygen.service grow-root.service
	systemd-networkd.service systemd-resolved.service dbus.socket
	ignition-firstboot-complete.service
	# stand-ins for what a machine manager switches off
	zincati.service docker.socket coreos-warn-invalid-mounts.service
)

# Nothing here is missed in a virtual machine, and each costs time in each boot.
# systemd-machine-id-commit.service must not be among them: see stages/root.sh.
MASKED=(
	getty@tty1.service systemd-firstboot.service systemd-networkd-wait-online.service
	apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer
	e2scrub_reap.service fstrim.timer systemd-pstore.service ldconfig.service
	systemd-hwdb-update.service systemd-journal-catalog-update.service
	systemd-update-done.service systemd-update-utmp.service systemd-binfmt.service
	systemd-networkd-persistent-storage.service
	dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount
	modprobe@drm.service modprobe@efi_pstore.service
	systemd-ask-password-console.path systemd-ask-password-wall.path
	proc-sys-fs-binfmt_misc.automount sys-fs-fuse-connections.mount sys-kernel-config.mount
	modprobe@configfs.service modprobe@fuse.service systemd-network-generator.service
	systemd-random-seed.service systemd-hibernate-clear.service
)

configure_units() {
	rm -f "$ROOT"/usr/lib/systemd/{system,user}-preset/90-systemd.preset
	rm -rf "$ROOT"/etc/systemd/{system,user}/*.wants
	chroot "$ROOT" env SYSTEMD_LOG_LEVEL=err systemctl --quiet enable "${ENABLED[@]}"
	local unit
	for unit in "${MASKED[@]}"; do
		ln -sf /dev/null "$ROOT/etc/systemd/system/$unit"
	done
}
