"""Folders of the host: virtiofs beside 9p and the guest's own disk, on the same guest.

Metadata is ten thousand small files: made by tar, looked at by ls, moved by one mv, removed by one rm. Before each look
and each read the guest's caches are dropped. The commands print their times in the guest, so SSH and the link cost nothing.
"""

import pathlib
import subprocess

FILES = 10_000
STREAM_MIB = 256

SCRIPT = f"""
set -e
now() {{ read -r up _ </proc/uptime; echo "$up"; }}
forget() {{ sync; echo 3 >/proc/sys/vm/drop_caches; }}
step() {{ name=$1; shift; begun=$(now); "$@" >/dev/null; echo "$name $begun $(now)"; }}
mkdir -p /run/bench/a; cd /run/bench
[ -e files.tar ] || {{ (cd a; seq {FILES} | while read -r n; do echo "$n" >"$n"; done); tar -cf files.tar a; rm -r a; }}
mkdir -p "$1/bench/b"; cd "$1/bench"
echo "type $(findmnt -n -o FSTYPE -T .) 0"
step create tar -xf /run/bench/files.tar
forget; step stat ls -l a
step rename sh -c 'mv a/* b/'
step delete rm -r a b
step write dd if=/dev/zero of=big bs=1M count={STREAM_MIB} conv=fsync
forget; step read dd if=big of=/dev/null bs=1M
rm -r "$1/bench"
"""


def measure(home, name, place):
    lines = home.machine("exec", "--user", "root", name, "bash", "-c", SCRIPT, "bench", place).splitlines()
    rows = {word: (begun, ended) for word, begun, ended in (line.split() for line in lines)}
    kind = rows.pop("type")[0]
    parts = []
    for word, (begun, ended) in rows.items():
        took = max(float(ended) - float(begun), 0.01)
        if word in ("write", "read"):
            parts.append(f"{word} {STREAM_MIB * 1.048576 / took:.0f} MB/s")
        else:
            parts.append(f"{word} {FILES / took:.0f}/s")
    print(f"  {kind:10} {', '.join(parts)}")


def bench(home, name, clients, rounds=2):
    folder = home.path / "shared"
    folder.mkdir()
    home.machine("set", "--volume", f"{folder}:/mnt/shared", name)
    print(f"folders of the host, {FILES} files and {STREAM_MIB} MiB:")
    for helpers in (str(pathlib.Path(clients)), ""):
        home.env["CONTAINERS_HELPER_BINARY_DIR"] = helpers
        # Where virtiofsd is missing, QEMU's 9p takes its place, which is what is wanted here.
        home.machine("start", "--quiet", name)
        for _ in range(rounds):
            measure(home, name, "/mnt/shared")
        if helpers:
            measure(home, name, "/var/tmp")
        home.machine("stop", name)
    subprocess.run(["rm", "-rf", folder], check=True)
