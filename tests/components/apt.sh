# shellcheck shell=bash
# An apt that shares nothing with the host's but the mirror and the keyring.

write_apt() {
	local mirror keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	# shellcheck disable=SC2016 # the format is apt's
	mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' |
		sed -n 's/^\([^ ]*\) [a-z]*$/\1/p' | head -n 1)
	[ -n "$mirror" ] || die "apt knows no Debian mirror"
	[ -e "$keyring" ] || die "the package debian-archive-keyring is missing"
	mkdir -p "$APT"/{lists/partial,archives/partial,etc/{apt.conf,preferences,sources.list,auth.conf}.d}
	# Nothing is installed: what a package needs is then all that it needs.
	: >"$APT/status"
	printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$SUITE" >"$APT/sources.list"
	cat >"$APT/apt.conf" <<-END
	APT::Architecture "$ARCH";
	APT::Architectures { "$ARCH"; };
	APT::Install-Recommends "false";
	APT::Sandbox::User "";
	Acquire::Languages "none";
	Dir::Etc "$APT/etc";
	Dir::Etc::SourceList "$APT/sources.list";
	Dir::Etc::SourceParts "-";
	Dir::State "$APT";
	Dir::State::Lists "$APT/lists";
	Dir::State::Status "$APT/status";
	Dir::Cache "$APT";
	Dir::Cache::Archives "$APT/archives";
	# The host's hooks would tidy up the host's directories.
	#clear APT::Update::Pre-Invoke;
	#clear APT::Update::Post-Invoke;
	#clear APT::Update::Post-Invoke-Success;
	END
}

# The host's configuration is read first, for a proxy and the like; then this one wins.
own_apt() { # PROGRAM ARGUMENT...
	local program=$1
	shift
	"$program" --config-file "$APT/apt.conf" "$@"
}

lists_are_fresh() {
	[ -z "$REFRESH" ] && [ -n "$(find "$APT/lists.stamp" -mmin "-$LISTS_AGE" 2>/dev/null)" ]
}

package_stamps() { # PACKAGE...
	own_apt apt-cache show --no-all-versions "$@" | grep -E '^(Package|Version|SHA256):'
}

# The packages and all that they need, each as name=version.
closure() { # PACKAGE...
	own_apt apt-get -s -qq install "$@" | sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*/\1=\2/p'
}

# Unpacks packages over each other.
unpack_packages() { # DIRECTORY PACKAGE...
	local directory=$1 debs deb
	shift
	debs=$directory.debs
	mkdir -p "$directory" "$debs"
	(cd "$debs" && own_apt apt-get -qq download "$@" >&2)
	for deb in "$debs"/*.deb; do dpkg-deb -x "$deb" "$directory"; done
	rm -r "$debs"
}
