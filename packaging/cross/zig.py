"""zig as C compiler and linker for macOS, and cargo-zigbuild, which hands both to cargo.

Both come as Python packages in an environment of their own, named by their versions. `cargo check`
for macOS fails without them as soon as one crate has C in it: build scripts compile while checking,
and the host's compiler does not know macOS.
"""

import sys

from common import CACHE, fail, run, write

ZIGLANG, ZIGBUILD = "0.17.1", "0.24.0"


def prepare():
    folder = CACHE / f"zig{ZIGLANG}-zigbuild{ZIGBUILD}"
    complete = folder / "complete"
    if not complete.exists():
        try:
            run(sys.executable, "-m", "venv", "--clear", folder)
            run(folder / "bin/pip", "-q", "--disable-pip-version-check", "install",
                f"ziglang=={ZIGLANG}", f"cargo-zigbuild=={ZIGBUILD}")
        except OSError as error:
            fail(f"zig could not be installed: {error}", "run `make setup`")
        complete.touch()
    zig = next(folder.glob("lib/python3*/site-packages/ziglang/zig"))
    for name, program in (("zig", zig), ("cargo-zigbuild", folder / "bin/cargo-zigbuild")):
        write(CACHE / "bin" / name, f'#!/bin/sh\nexec "{program}" "$@"\n', executable=True)
