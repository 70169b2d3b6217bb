# shellcheck shell=bash
# The root file system of a container that runs systemd: Debian's packages, unpacked, without their
# scripts. What those scripts would have written and systemd needs is written here.

SYSTEMD_PACKAGES=(systemd-sysv busybox-static)

make_systemd_image() { # TAR
	local root=$1.root packages directory applet unit
	mapfile -t packages < <(closure "${SYSTEMD_PACKAGES[@]}")
	[ ${#packages[@]} -gt 0 ] || die "apt does not know what systemd needs"
	unpack_packages "$root" "${packages[@]}"
	(
		cd "$root"
		# A container has no kernel, no devices and no users of its own.
		rm -rf usr/share usr/lib/{udev,kernel,modprobe.d} usr/lib/*-linux-gnu/{gconv,security,ossl-modules} \
			usr/lib/systemd/{boot,catalog,network,portable,systemd-networkd} usr/sbin/dpkg-*
		mkdir -p etc/systemd/system root run tmp usr/lib64 var/log var/tmp proc sys dev
		for directory in bin sbin lib lib64; do ln -s "usr/$directory" "$directory"; done
		chmod 1777 tmp var/tmp
		printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >etc/passwd
		printf '%s:x:%d:\n' root 0 tty 5 adm 4 utmp 43 systemd-journal 999 nogroup 65534 >etc/group
		for applet in sh ls cat ps sleep; do
			[ -e "usr/bin/$applet" ] || ln -s busybox "usr/bin/$applet"
		done
		# Nothing is updated since: no work for a first boot.
		touch etc/.updated var/.updated
		: >etc/machine-id
		# What sees to kernel, devices, logins and a journal that lasts is left out.
		rm -rf usr/lib/systemd/system/{sysinit,sockets,local-fs,multi-user,timers,graphical}.target.wants/*
		for unit in systemd-journald.socket systemd-journald-dev-log.socket; do
			ln -s ../$unit usr/lib/systemd/system/sockets.target.wants/
		done
		for unit in systemd-journald systemd-tmpfiles-setup; do
			ln -s ../$unit.service usr/lib/systemd/system/sysinit.target.wants/
		done
		ln -sf /usr/lib/systemd/system/multi-user.target etc/systemd/system/default.target
		# A service of its own, to see that services start.
		cat >etc/systemd/system/tour.service <<-END
		[Service]
		Type=oneshot
		RemainAfterExit=yes
		StandardOutput=tty
		ExecStart=/bin/sh -c 'echo started by \$\$(cat /proc/1/comm)'
		END
		mkdir etc/systemd/system/multi-user.target.wants
		ln -s ../tour.service etc/systemd/system/multi-user.target.wants/
	)
	tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$root" -cf "$1" .
	rm -rf "$root"
}
