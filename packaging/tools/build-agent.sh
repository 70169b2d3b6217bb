#!/usr/bin/env bash
# Builds the guest's agent as a static program and lays it beside the `machine` program.
#
#   build-agent.sh PROFILE [ARCHITECTURE]      dev or release; x86_64 (default) or aarch64
#
# musl where the toolchain has it or rustup can add it, else (x86_64 only) glibc linked statically.
# MACHINE_AGENT_TARGET names another Rust target, for packagers who have their own.
set -euo pipefail
cd "$(dirname "$0")/../.."

profile=$1 architecture=${2:-x86_64}
output=${CARGO_TARGET_DIR:-target}
folder=$profile
[ "$profile" != dev ] || folder=debug

musl=$architecture-unknown-linux-musl
has_musl() {
	[ -e "$(rustc --print sysroot)/lib/rustlib/$musl/lib" ] ||
		{ command -v rustup >/dev/null && rustup -q target add "$musl" >/dev/null 2>&1; }
}

if [ -n "${MACHINE_AGENT_TARGET:-}" ]; then
	target=$MACHINE_AGENT_TARGET
elif has_musl; then
	target=$musl
elif [ "$architecture" = x86_64 ]; then
	target=x86_64-unknown-linux-gnu
	echo "build-agent: no musl target to be had, linking glibc statically" >&2
else
	echo "build-agent: rustup cannot add the target $musl, which the agent for $architecture needs" >&2
	exit 1
fi
# A target that is named gets these flags for itself alone, not for build scripts.
if [ "$target" = x86_64-unknown-linux-gnu ]; then
	export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-feature=+crt-static"
fi
# The linker that comes with Rust knows every architecture.
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld

cargo build --locked --package machine-agent --profile "$profile" --target "$target"
built=$output/$target/$folder/machine-agent
if readelf --program-headers "$built" | grep -q INTERP; then
	echo "build-agent: $built is not static, the guest may have no such loader" >&2
	exit 1
fi
place=$output/$folder/machine-agent-$architecture
mkdir -p "$output/$folder"
if ! cmp -s "$built" "$place"; then
	install -m 0755 "$built" "$place.new"
	mv "$place.new" "$place"
fi
