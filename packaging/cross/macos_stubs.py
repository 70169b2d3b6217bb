"""Linker stubs for the macOS frameworks that the crates of the tree name.

zig brings libSystem only. The names that a framework exports are read from the bindings' own
sources, so a stub proves that names resolve against the bindings, not that the framework of an old
macOS has them. A link error that names another framework is mended by a line in FRAMEWORK.
"""

import json
import pathlib
import re

from common import CACHE, MACOS, TOP, output, write

# Crates whose extern items all belong to one framework.
FRAMEWORK = {
    "core-foundation-sys": "CoreFoundation", "objc2-core-foundation": "CoreFoundation",
    "security-framework-sys": "Security", "objc2-security": "Security",
    "system-configuration-sys": "SystemConfiguration", "objc2-system-configuration": "SystemConfiguration",
    "io-kit-sys": "IOKit", "objc2-io-kit": "IOKit",
    "fsevent-sys": "CoreServices", "objc2-core-services": "CoreServices",
    "objc2-foundation": "Foundation", "objc2-app-kit": "AppKit", "objc2-virtualization": "Virtualization",
}
RUNTIME_CRATES = ("objc2", "block2", "objc2-exception-helper")
RUNTIME_NAMES = ("objc_", "class_", "object_", "method_", "sel_", "ivar_", "imp_", "property_", "protocol_", "_objc_")


def prepare():
    """Writes the stubs and returns the linker's arguments."""
    found = json.loads(output("cargo", "metadata", "--locked", "--format-version=1", "--filter-platform", MACOS, cwd=TOP))
    frameworks, runtime = {}, {"objc_msgSend"}
    for package in found["packages"]:
        name = package["name"]
        if name not in FRAMEWORK and name not in RUNTIME_CRATES:
            continue
        sources = pathlib.Path(package["manifest_path"]).parent.rglob("*.rs")
        text = "\n".join(file.read_text(errors="replace") for file in sources)
        names = set(re.findall(r"\b(?:fn|static)\s+(?:mut\s+)?(\w+)", text)) | set(re.findall(r'link_name\s*=\s*"([^"]+)"', text))
        if name in FRAMEWORK:
            symbols, classes = frameworks.setdefault(FRAMEWORK[name], (set(), set()))
            symbols |= names
            classes |= set(re.findall(r"\bpub struct (\w+)", text))
        runtime |= {symbol for symbol in names if symbol.startswith(RUNTIME_NAMES)}
    folders = CACHE / "macos/Frameworks", CACHE / "macos/lib"
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    for name, (symbols, classes) in frameworks.items():
        version = "C" if name in ("AppKit", "Foundation") else "A"
        stub(folders[0] / f"{name}.framework/{name}.tbd",
             f"/System/Library/Frameworks/{name}.framework/Versions/{version}/{name}", symbols, classes)
    stub(folders[1] / "libobjc.tbd", "/usr/lib/libobjc.A.dylib", runtime)
    return f"-C link-arg=-F{folders[0]} -C link-arg=-L{folders[1]}"


def stub(path, install_name, symbols, classes=()):
    targets = "[ arm64-macos, x86_64-macos ]"
    listed = lambda items: ", ".join(f"'{item}'" for item in sorted(items))
    text = (f"--- !tapi-tbd\ntbd-version: 4\ntargets: {targets}\ninstall-name: '{install_name}'\n"
            f"current-version: 1\ncompatibility-version: 1\nexports:\n  - targets: {targets}\n"
            f"    symbols: [ {listed('_' + symbol for symbol in symbols)} ]\n")
    if classes:
        text += f"    objc-classes: [ {listed(classes)} ]\n"
    write(path, text + "...\n")
