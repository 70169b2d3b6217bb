# shellcheck shell=bash
# The root file system: the files of files/, users and groups, and the layout of
# Fedora CoreOS, in which all that can change lies in /etc and /var.

configure_root() {
	say "root file system"
	arrange_directories
	copy_files
	write_os_release
	configure_users
	ln -sf ../run/systemd/resolve/stub-resolv.conf "$ROOT/etc/resolv.conf"
	# Podman 5.4 tries this name of old first. A race in it (podman issue 20569, gone in newer ones) now and then takes
	# the failure of that try for one of a later call, and `logs` or `events` end with it.
	ln -s libsystemd.so.0 "$(echo "$ROOT"/usr/lib/*-linux-gnu)/libsystemd-journal.so.0"
	# Host keys are made in the first boot, and only of the kind that is quick to make.
	rm -f "$ROOT"/etc/ssh/ssh_host_*
	# Machine configurations link /etc/localtime and do not ask to overwrite it.
	rm -f "$ROOT/etc/localtime" "$ROOT/etc/timezone"
	# No ID means "first boot", in which systemd applies the presets. At its end
	# systemd-machine-id-commit.service stores one; mask that unit and every boot is
	# a first boot.
	rm -f "$ROOT/etc/machine-id" "$ROOT/var/lib/dbus/machine-id"
	ln -s /etc/machine-id "$ROOT/var/lib/dbus/machine-id"
	# Says that nothing was updated since: all boots skip the work for an update.
	touch "$ROOT/etc/.updated" "$ROOT/var/.updated"
}

into_var() { # PATH NAME LINK: /PATH becomes /var/NAME, reached by LINK
	[ ! -d "$ROOT/var/$2" ] || rmdir "$ROOT/var/$2"
	mv "$ROOT$1" "$ROOT/var/$2"
	ln -s "$3" "$ROOT$1"
}

arrange_directories() {
	into_var /home home var/home
	into_var /root roothome var/roothome
	into_var /opt opt var/opt
	into_var /mnt mnt var/mnt
	into_var /srv srv var/srv
	into_var /usr/local usrlocal ../var/usrlocal
	rmdir "$ROOT/media"
	ln -s run/media "$ROOT/media"
	mkdir "$ROOT/sysroot"
	ln -s sysroot/ostree "$ROOT/ostree"
	# Insists on directories where there are links now.
	ln -s /dev/null "$ROOT/etc/tmpfiles.d/home.conf"
}

# The modes come from here, not from the umask of whoever made the checkout.
copy_files() {
	local file mode
	while IFS= read -r -d '' file; do
		mode=644
		[ ! -x "$HERE/files/$file" ] || mode=755
		case $file in etc/sudoers.d/*) mode=440 ;; esac
		install -D -m $mode "$HERE/files/$file" "$ROOT/$file"
	done < <(cd "$HERE/files" && find . -type f -printf '%P\0')
}

write_os_release() {
	local file=$ROOT/usr/lib/os-release
	mv "$file" "$file.debian"
	{
		grep -E '^(VERSION_CODENAME|VERSION_ID)=' "$file.debian"
		cat <<-END
		ID=debian
		ID_LIKE="debian"
		NAME="Machine test guest"
		PRETTY_NAME="Machine test guest (Debian $SUITE)"
		VARIANT="FCOS-like"
		VARIANT_ID=coreos-like
		END
	} >"$file"
}

# Ignition's base config makes `core` and puts it into groups that Debian lacks.
configure_users() {
	chroot "$ROOT" groupadd --system wheel
	chroot "$ROOT" groupadd --system docker
	chroot "$ROOT" passwd -q -l root
	sed -i 's|^#* *SHELL=.*|SHELL=/bin/bash|; /^#* *HOME=/d; $a HOME=/var/home' \
		"$ROOT/etc/default/useradd"
	sed -i '/pam_motd\.so\|pam_mail\.so/d' "$ROOT/etc/pam.d/sshd"
	: >"$ROOT/etc/subuid"
	: >"$ROOT/etc/subgid"
}
