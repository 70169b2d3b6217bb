"""Wine as the runner of Windows programs: a prefix that says it is Windows 10.

Debian 12's Wine 8.0 lacks bcryptprimitives.dll, from which Rust's std takes its random numbers;
without it every program ends with code 53 and says nothing. The few lines below stand in for it.
Not covered by Wine: Hyper-V, WSL, access lists of pipes and files, certificate stores.
"""

import os
import subprocess

from common import CACHE, need, run, write

BCRYPTPRIMITIVES = """
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE p, SIZE_T n) {
    while (n) {
        ULONG k = n > 0x10000000 ? 0x10000000 : (ULONG)n;
        if (!SystemFunction036(p, k)) return FALSE;
        p += k; n -= k;
    }
    return TRUE;
}
"""
NO_DIALOGS = "mscoree=;mshtml=;winemenubuilder.exe=d"


def prepare():
    for program in ("wine", "wineboot", "x86_64-w64-mingw32-gcc"):
        need(program)
    prefix = CACHE / "wine"
    complete = prefix / "complete"
    screenless = prefix / "screenless"
    environment = {**os.environ, "WINEPREFIX": str(prefix), "WINEDEBUG": "-all", "WINEDLLOVERRIDES": NO_DIALOGS}
    environment.pop("DISPLAY", None)

    def steps(*commands):
        for step in (*commands, ["wineserver", "-w"]):
            run("timeout", "180", *step, env=environment, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    if not complete.exists():
        prefix.mkdir(parents=True, exist_ok=True)
        # A new prefix says Windows 7.
        steps(["wineboot", "-i"], ["wine", "winecfg", "-v", "win10"])
        system = prefix / "drive_c/windows/system32"
        if not (system / "bcryptprimitives.dll").exists():
            source = CACHE / "bcryptprimitives.c"
            write(source, BCRYPTPRIMITIVES)
            run("x86_64-w64-mingw32-gcc", "-O2", "-s", "-shared", "-o", system / "bcryptprimitives.dll", source, "-ladvapi32")
        complete.touch()
    if not screenless.exists():
        # Windows that nobody sees can be made without a screen.
        steps(["wine", "reg", "add", r"HKCU\Software\Wine\Drivers", "/v", "Graphics", "/d", "null", "/f"])
        screenless.touch()
    runner = CACHE / "bin/run-windows"
    write(runner, f"""#!/bin/sh
# cargo's runner for Windows programs.
unset DISPLAY
export WINEPREFIX="{prefix}" WINEDEBUG="${{WINEDEBUG:--all}}" WINEDLLOVERRIDES="{NO_DIALOGS}"
exec wine "$@"
""", executable=True)
    return runner
