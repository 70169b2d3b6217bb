"""What an image costs: fetched, checked and unpacked beside curl and the reference tools, made a machine of again, and
made a machine of from a file, beside `podman-remote machine init`.

The file is served on loopback, so the wire costs next to nothing; both sides end with a disk that has reached the host's
disk and a SHA-256 that was compared. Wall time, processor seconds of all processes, and the largest resident memory of one.
"""

import hashlib
import http.server
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import threading
import time

from polls import NOBODY

GIB = 1 << 30
ROUNDS = 3
# In seconds. podman-remote takes minutes for xz; what takes longer than this is run once.
PATIENCE = 30
PACKERS = {
    "xz, 64 blocks": (["xz", "-T0", "-0", "--block-size=16MiB", "-c"], "xz -T0 -d"),
    "zstd": (["zstd", "-T0", "-3", "-q", "-c"], "zstd -d -q"),
}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def content(path, guest):
    """1 GiB as disks have it: the files of the guest image, and holes between them."""
    raw = path.with_suffix(".raw")
    subprocess.run(["qemu-img", "convert", "-O", "raw", str(guest), str(raw)], check=True)
    with open(raw, "rb") as source, open(path, "wb") as disk:
        at, length = 0, raw.stat().st_size
        while disk.tell() < GIB - (64 << 20):
            try:
                at = os.lseek(source.fileno(), at, os.SEEK_DATA)
            except OSError:
                at = 0
                continue
            source.seek(at)
            piece = source.read(min(32 << 20, length - at))
            disk.write(piece)
            disk.seek(8 << 20, os.SEEK_CUR)
            at += len(piece)
        disk.truncate(GIB)
    raw.unlink()


def measured(command, env, user=None):
    begun = time.perf_counter()
    child = subprocess.Popen(
        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, user=user, group=user,
        extra_groups=None if user is None else [])
    error = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    took = time.perf_counter() - begun
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{command}: {error.decode()}")
    return took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def middle(results):
    return tuple(statistics.median(column) for column in zip(*results))


def show(name, result, rounds=ROUNDS):
    print(f"  {name:<28} {result[0]:6.2f} s, {result[1]:6.2f} CPU s, {result[2]:5.0f} MiB (median of {rounds})")


def bench(machine, guest, clients):
    place = pathlib.Path(tempfile.mkdtemp(prefix="m-bench.", dir="/var/tmp"))
    try:
        content(place / "disk", guest)
        handler = lambda *rest: Quiet(*rest, directory=str(place))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name, (pack, unpack) in PACKERS.items():
            packed = place / "packed"
            with open(packed, "wb") as out:
                subprocess.run([*pack, str(place / "disk")], check=True, stdout=out)
            digest = hashlib.file_digest(open(packed, "rb"), "sha256").hexdigest()
            one(place, machine, f"http://127.0.0.1:{server.server_port}/packed", digest, name, unpack, packed)
            inits(place, machine, clients, name, pack)
        server.shutdown()
    finally:
        shutil.rmtree(place)


def inits(place, machine, clients, name, pack):
    """A machine from a packed qcow2: podman's provider takes no other, and both read the same file."""
    box = place / "box"
    shutil.rmtree(box, ignore_errors=True)
    (box / "bin").mkdir(parents=True)
    shutil.copy(machine, box / "bin/machine")
    convert = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(place / "disk"), str(place / "disk.qcow2")]
    subprocess.run(convert, check=True)
    packed = box / "packed"
    with open(packed, "wb") as out:
        subprocess.run([*pack, str(place / "disk.qcow2")], check=True, stdout=out)
    user = NOBODY if os.getuid() == 0 else None
    for path in (place, box):
        path.chmod(0o755)
    init = ["--image", str(packed), "--disk-size", "10", "m"]
    ours, theirs = [], []
    for _ in range(ROUNDS):
        for results, command in (
            (ours, [str(box / "bin/machine"), "init", *init]),
            (theirs, [f"{clients}/podman-remote", "machine", "init", "--timezone", "UTC", *init]),
        ):
            home = box / "home"
            shutil.rmtree(home, ignore_errors=True)
            (home / "run").mkdir(parents=True, mode=0o700)
            if user is not None:
                subprocess.run(["chown", "-R", f"{user}:{user}", str(home)], check=True)
            env = {
                "PATH": "/usr/bin:/bin", "HOME": str(home), "MACHINE_HOME": str(home / "ours"),
                "XDG_RUNTIME_DIR": str(home / "run"), "PODMAN_CONNECTIONS_CONF": str(home / "connections.json"),
            }
            results.append(measured(command, env, user))
        if theirs[-1][0] > PATIENCE:
            break
    rounds = len(theirs)
    ours, theirs = middle(ours), middle(theirs)
    print(f"machine from a file of {packed.stat().st_size >> 20} MiB, a qcow2 by {name}:")
    show("init", ours, rounds)
    show("podman-remote machine init", theirs, rounds)
    print(f"  ratio                        {theirs[0] / ours[0]:.2f} times as fast")


def one(place, machine, url, digest, name, unpack, packed):
    home = place / "home"
    env = {**os.environ, "MACHINE_HOME": str(home), "PODMAN_CONNECTIONS_CONF": str(home / "connections.json")}
    pull = [machine, "image", "pull", "--checksum", f"sha256:{digest}", url]
    script = (
        f"set -euo pipefail; cd {place}; rm -f out sum; "
        f"curl -s {url} | tee >(sha256sum >sum) | {unpack} >out; sync out; "
        f"until [ -s sum ]; do :; done; grep -q ^{digest} sum"
    )
    ours, theirs = [], []
    for _ in range(ROUNDS):
        shutil.rmtree(home, ignore_errors=True)
        ours.append(measured([str(part) for part in pull], env))
        theirs.append(measured(["bash", "-c", script], env))
    ours, theirs = middle(ours), middle(theirs)
    print(f"image of 1 GiB by {name}, {packed.stat().st_size >> 20} MiB packed, {os.cpu_count()} processors:")
    show("image pull", ours)
    show(f"curl | {unpack} + sha256sum", theirs)
    print(f"  ratio                        {theirs[0] / ours[0]:.2f} times as fast")
    again = []
    for number in range(5):
        init = [machine, "init", "--image", url, "--checksum", f"sha256:{digest}", "--disk-size", "10", f"m{number}"]
        again.append(measured([str(part) for part in init], env)[0] * 1000)
    print(f"  init from the cache          {min(again):.0f} / {statistics.median(again):.0f} / {max(again):.0f} ms (min/median/max of 5)")
