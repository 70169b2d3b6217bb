#!/usr/bin/env python3
"""Keeps the build cache under its limit: what was not used for the longest time goes first.

    prune-cache.py [LIMIT_GIB]        default 8

Everything in the cache can be made again, so nothing is asked. Used means read or written: builds
touch what they use.
"""

import os
import pathlib
import shutil
import sys

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "machine-build"
# What is removed as one: the folders two levels down, since a half-removed one is of no use.
DEPTH = {"target": 2, "cross": 1, "fuzz": 2, "guest": 2, "results": 2}


def measure(path):
    """Bytes on disk and the time of the last use."""
    size, used = 0, 0.0
    for folder, _, files in os.walk(path):
        for name in files:
            found = os.lstat(os.path.join(folder, name))
            size += found.st_blocks * 512
            used = max(used, found.st_mtime, found.st_atime)
    if path.is_file():
        found = path.lstat()
        size, used = found.st_blocks * 512, max(found.st_mtime, found.st_atime)
    return size, used


def units():
    for top in CACHE.iterdir() if CACHE.exists() else []:
        if top.is_dir() and DEPTH.get(top.name, 1) == 2:
            yield from top.iterdir()
        else:
            yield top


def main():
    limit = float(sys.argv[1]) if len(sys.argv) > 1 else 8.0
    measured = sorted(((*measure(unit), unit) for unit in units()), key=lambda found: found[1])
    total = sum(size for size, _, _ in measured)
    for size, _, unit in measured:
        if total <= limit * 2**30:
            break
        print(f"prune-cache: removing {unit.relative_to(CACHE)}, {size / 2**20:.0f} MiB")
        shutil.rmtree(unit) if unit.is_dir() and not unit.is_symlink() else unit.unlink()
        total -= size
    print(f"prune-cache: {total / 2**30:.1f} GiB kept")


if __name__ == "__main__":
    main()
