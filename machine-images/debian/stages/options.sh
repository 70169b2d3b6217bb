# shellcheck shell=bash
# Options, and what follows from them alone.

usage() {
	cat <<-'END'
	usage: build [options]
	  -o, --output FILE   also put the finished image here
	      --print-path    print the path of the finished image
	  -s, --suite NAME    Debian suite                  [trixie]
	  -a, --arch NAME     amd64 or arm64                [this machine's]
	  -k, --kernel NAME   generic or cloud (no 9p)      [generic]
	  -p, --packages LIST extra packages, by comma
	      --size MIB      size of the disk              [2560]
	  -m, --mirror URL    Debian mirror                 [the one apt uses]
	  -c, --cache DIR     [$XDG_CACHE_HOME/machine-build, ~/.cache/machine-build]
	      --refresh       take the mirror's newest packages, not the cached ones
	      --force         build even if the image is in the cache
	The guest grows its root file system when the disk was made larger.
	END
}

value() { # OPTION [VALUE]
	[ $# -ge 2 ] || die "option $1 needs a value" "see $0 --help"
	printf '%s' "$2"
}

parse_options() {
	OUTPUT='' PRINT_PATH='' REFRESH='' FORCE='' MIRROR='' PACKAGES=''
	SUITE=trixie KERNEL=generic SIZE=2560
	ARCH=$(dpkg --print-architecture) || die "this is no Debian system: dpkg is missing"
	CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/machine-build
	while [ $# -gt 0 ]; do
		case $1 in
		-o | --output) OUTPUT=$(value "$@"); shift ;;
		-s | --suite) SUITE=$(value "$@"); shift ;;
		-a | --arch) ARCH=$(value "$@"); shift ;;
		-k | --kernel) KERNEL=$(value "$@"); shift ;;
		-m | --mirror) MIRROR=$(value "$@"); shift ;;
		-p | --packages) PACKAGES=$(value "$@"); shift ;;
		-c | --cache) CACHE=$(value "$@"); shift ;;
		--size) SIZE=$(value "$@"); shift ;;
		--print-path) PRINT_PATH=1 ;;
		--refresh) REFRESH=1 ;;
		--force) FORCE=1 ;;
		-h | --help) usage; exit 0 ;;
		*) usage >&2; exit 2 ;;
		esac
		shift
	done
	[[ $SIZE =~ ^[0-9]+$ && $SIZE -ge 1024 ]] || die "--size is a number of MiB, at least 1024: $SIZE"

	case $ARCH in
	amd64) EFI_NAME=BOOTX64.EFI GRUB_EFI=x86_64-efi CONSOLE=ttyS0 ;;
	arm64) EFI_NAME=BOOTAA64.EFI GRUB_EFI=arm64-efi CONSOLE=ttyAMA0 ;;
	*) die "unknown architecture: $ARCH" "--arch is amd64 or arm64" ;;
	esac
	case $KERNEL in
	cloud) KERNEL_PACKAGE=linux-image-cloud-$ARCH ;;
	generic) KERNEL_PACKAGE=linux-image-$ARCH ;;
	*) die "unknown kernel: $KERNEL" "--kernel is generic or cloud" ;;
	esac

	INCLUDE=(
		# the system
		systemd systemd-sysv systemd-resolved udev kmod dbus dbus-user-session
		libpam-systemd libnss-systemd openssh-server sudo passwd login e2fsprogs fdisk
		iproute2 procps curl socat ca-certificates tzdata
		# containers
		podman crun conmon netavark aardvark-dns nftables passt uidmap catatonit
		# needed while building only
		ignition busybox-static
	)
	# Downloaded and unpacked, not installed: their maintainer scripts would pull in
	# initramfs-tools and look for a disk to boot from.
	UNPACKED=(libdevmapper1.02.1 grub-common "grub-efi-$ARCH-bin")
	[ "$ARCH" != amd64 ] || UNPACKED+=(grub-pc-bin)
}
