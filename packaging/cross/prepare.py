#!/usr/bin/env python3
"""Makes this Linux machine able to check, link and (Windows) run builds for Windows and macOS.

    prepare.py

Can be run again at any time; everything but the Debian packages and rustup's targets lies in the
build cache. It writes the file `env` there; source that to use cargo by hand:

    cargo clippy --target x86_64-pc-windows-gnu …          cargo test --target x86_64-pc-windows-gnu …
    cargo-zigbuild clippy --target aarch64-apple-darwin …  cargo zigbuild --target aarch64-apple-darwin …

Do not set RUSTFLAGS beside it: it hides the flags for single targets, and with them the stubs.
"""

import subprocess

import macos_stubs
import wine
import zig
from common import CACHE, MACOS, MACOS_INTEL, MACOS_OLDEST, TOP, WINDOWS, fail, need, run, write


def add_targets(targets):
    need("rustup", "the standard libraries of other systems come by rustup; install it, or leave out `make cross`")
    try:
        run("rustup", "-q", "target", "add", *targets, cwd=TOP, stdin=subprocess.DEVNULL)
    except subprocess.CalledProcessError:
        fail(f"rustup could not add the targets {', '.join(targets)}", "is there a network? what rustup said stands above")


def prepare(targets=(WINDOWS, MACOS)):
    """Returns the variables that cargo needs."""
    CACHE.mkdir(parents=True, exist_ok=True)
    add_targets(targets)
    zig.prepare()
    variables = {
        "CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER": str(wine.prepare()),
        "ZIG_GLOBAL_CACHE_DIR": str(CACHE / "zig-cache"),
        "CARGO_ZIGBUILD_CACHE_DIR": str(CACHE / "zigbuild-cache"),
        "MACOSX_DEPLOYMENT_TARGET": MACOS_OLDEST,
    }
    search = macos_stubs.prepare()
    for target in (MACOS, MACOS_INTEL):
        variables[f"CARGO_TARGET_{target.upper().replace('-', '_')}_RUSTFLAGS"] = search
    lines = [f'export PATH="{CACHE}/bin:$PATH"', *(f'export {name}="{value}"' for name, value in variables.items())]
    write(CACHE / "env", "\n".join(lines) + "\n")
    return variables


if __name__ == "__main__":
    prepare((WINDOWS, MACOS, MACOS_INTEL))
    print(f". {CACHE}/env")
