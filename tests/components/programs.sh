# shellcheck shell=bash
# The programs. Their package's C library comes along: what is put into PATH is a wrapper that
# starts the program through that library's loader.

PROGRAM_PACKAGES=(podman-remote docker-compose docker-registry virtiofsd gvproxy)
# What `ldd` names for them, and the loader (libc6).
LIBRARY_PACKAGES=(libc6 libgcc-s1 libsubid5 libseccomp2 libcap-ng0 libgpgme11t64 libassuan9 libgpg-error0)

unpack_programs() { # DIRECTORY
	local root=$1/root loader program path
	unpack_packages "$root" "${PROGRAM_PACKAGES[@]}" "${LIBRARY_PACKAGES[@]}"
	loader=$(cd "$root" && find usr/lib lib -name 'ld-linux*.so.*' -print -quit 2>/dev/null)
	[ -n "$loader" ] || die "the package libc6 holds no loader"
	for program in "${PROGRAM_PACKAGES[@]}"; do
		path=usr/bin/$program
		[ -e "$root/$path" ] || path=usr/libexec/$program
		# The paths are found from the wrapper's own place, so the directory can be copied.
		cat >"$1/bin/$program" <<-END
		#!/bin/sh
		root=\$(dirname "\$(dirname "\$(readlink -f "\$0")")")/root
		exec "\$root/$loader" --argv0 $program --library-path "\$root/${loader%/*}" "\$root/$path" "\$@"
		END
		chmod 755 "$1/bin/$program"
		"$1/bin/$program" --version >&2 || die "$program of $SUITE does not start here"
	done
}
