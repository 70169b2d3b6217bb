"""What the other files here share: the targets, the cache and running programs."""

import os
import pathlib
import shutil
import stat
import subprocess
import sys

WINDOWS = "x86_64-pc-windows-gnu"
MACOS = "aarch64-apple-darwin"
MACOS_INTEL = "x86_64-apple-darwin"
# The oldest macOS to run on: EFI boot in Virtualization.framework came with 13. zig alone would say 15.
MACOS_OLDEST = "13.0"

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD_CACHE = (pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "machine-build").absolute()
CACHE = BUILD_CACHE / "cross"


def run(*command, **options):
    return subprocess.run([str(part) for part in command], check=True, **options)


def output(*command, **options):
    return run(*command, stdout=subprocess.PIPE, text=True, **options).stdout


def fail(text, hint):
    sys.exit(f"cross: {text}\nhint: {hint}")


def need(program, hint="run `make setup`"):
    if not shutil.which(program):
        fail(f"`{program}` is missing", hint)


def write(path, text, executable=False):
    """Writes only what differs, so that nothing is built again without need."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    if executable:
        path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
