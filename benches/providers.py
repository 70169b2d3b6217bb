"""What the layer above the providers costs with each: vfkit's, krunkit's and WSL's stand-ins, and QEMU with the stub guest.

A start has four parts. From the command to the VM's process, and from the machine's being ready to the command's end, it is
our own layer that works. Between process and hello it is the hypervisor and the guest, which a stand-in has none of, and
between hello and ready the agent, which waits for what its guest starts (WSL's stand-in lets it wait for a second). So the
sum of the first and the last is what may be compared. The process's begin is known to a hundredth of a second, hello and
ready by the machine's events.

The engine's `/_ping` goes through the machine's socket, the link and the agent to something that answers at once. QEMU's
guest is emulated here, and the others' agent is a process of this host: the way is the same, the processor is not.
"""

import io
import pathlib
import shutil
import socket
import subprocess
import tarfile
import tempfile
import threading
import time

from measure import events, percentiles, pids, process_start, spread

WARM = 20
PINGS = 400
NAME = "m"
# What a small distribution has: see tests/fakes/wsl/tests/it/support.
APPLETS = "cat chmod echo env id kill mkdir mv poweroff rm sed setsid sh sleep tar test touch true".split()


class Place:
    """A user with one provider; it is removed in the end."""

    def __init__(self, target, provider):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="m-prov.", dir="/var/tmp"))
        self.machine_program = target / "machine"
        self.provider = provider
        programs = self.path / "bin"
        programs.mkdir()
        connections = str(self.path / "podman-connections.json")
        self.env = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.path), "MACHINE_HOME": str(self.path),
            "PODMAN_CONNECTIONS_CONF": connections, "MACHINE_FOREIGN_PROVIDERS": "1",
            "CONTAINERS_HELPER_BINARY_DIR": str(programs), "CONTAINERS_MACHINE_PROVIDER": provider,
        }
        self.over = threading.Event()
        if provider in ("applehv", "libkrun"):
            for name in ("vfkit", "krunkit", "gvproxy"):
                (programs / name).symlink_to(target / "machine-fake-vfkit")
            self.image = self.path / "disk.raw"
            self.image.write_bytes(bytes(510) + b"\x55\xaa" + bytes((1 << 20) - 512))
        elif provider == "wsl":
            program = programs / "wsl"
            program.write_text(f"#!/bin/sh\nFAKE_WSL_HOME={self.path} exec {target}/machine-fake-wsl \"$@\"\n")
            program.chmod(0o755)
            self.image = self.path / "rootfs.tar"
            self.image.write_bytes(distribution())
            threading.Thread(target=self.serve_engines, daemon=True).start()

    def files(self, name):
        return self.path / "data/machines" / name

    def machine(self, *arguments):
        command = [str(word) for word in [self.machine_program, *arguments]]
        ended = subprocess.run(command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if ended.returncode != 0:
            raise SystemExit(f"{command} failed: {ended.stderr}")
        return ended.stdout

    def init(self):
        self.machine("init", "--image", self.image, "--cpus", "1", "--memory", "512", "--disk-size", "1", "--volume", "", NAME)
        # None of the guests makes file systems.
        config = self.files(NAME) / "machine.toml"
        config.write_text(config.read_text().replace('data_disk = "own"\n', ""))

    def serve_engines(self):
        """The engines of a distribution, from outside: whenever its `/run` is there without them."""
        inside = self.files(NAME) / "provider/disk/rootfs/run"
        while not self.over.wait(0.05):
            if not (inside / "machine/seed").exists():
                continue
            for place in ("podman/podman.sock", "user/1000/podman/podman.sock"):
                if not (inside / place).exists():
                    threading.Thread(target=engine, args=(inside / place,), daemon=True).start()
                    self.over.wait(0.05)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run([self.machine_program, "rm", "--force", NAME], env=self.env, check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.over.set()
        shutil.rmtree(self.path)


def engine(path):
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
    except OSError:
        # The distribution is on its way out.
        return
    listener.listen(64)
    while True:
        client, _ = listener.accept()
        threading.Thread(target=answer, args=(client,), daemon=True).start()


def answer(client):
    """To each request, one after the other; none of them has a body."""
    asked = b""
    try:
        with client:
            while piece := client.recv(4096):
                asked += piece
                while b"\r\n\r\n" in asked:
                    head, asked = asked.split(b"\r\n\r\n", 1)
                    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")
                    if b"Connection: close" in head:
                        return
    except OSError:
        # A client that hangs up is no news.
        return


def distribution():
    """BusyBox, a name for systemd, and three users. The agent comes with the seed and needs no libraries."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        def add(path, kind=tarfile.REGTYPE, mode=0o644, data=b"", link=""):
            entry = tarfile.TarInfo(path)
            entry.type, entry.mode, entry.size, entry.linkname = kind, mode, len(data), link
            archive.addfile(entry, io.BytesIO(data))
        for path in ("bin dev etc etc/systemd etc/systemd/system home proc root run usr usr/bin usr/lib usr/lib/systemd usr/local "
                     "usr/local/bin usr/sbin var tmp").split():
            add(path, tarfile.DIRTYPE, 0o1777 if path == "tmp" else 0o755)
        add("bin/busybox", mode=0o755, data=pathlib.Path("/usr/bin/busybox").read_bytes())
        for applet in APPLETS:
            for place in ("bin", "usr/bin"):
                add(f"{place}/{applet}", tarfile.SYMTYPE, 0o777, link="/bin/busybox")
        add("usr/bin/systemctl", tarfile.SYMTYPE, 0o777, link="/run/systemd/systemctl")
        add("usr/lib/systemd/systemd")
        add("etc/passwd", data=b"root:x:0:0::/root:/bin/sh\nbin:x:1:1::/:/bin/false\n")
        add("etc/group", data=b"root:x:0:\nbin:x:1:\nwheel:x:10:\n")
        add("etc/shadow", mode=0o600, data=b"root:*:::::::\nbin:*:::::::\n")
    return out.getvalue()


def start(place):
    """A start in ms: until the VM's process, until the hello, until it is ready, until the command has ended."""
    begun = time.time()
    place.machine("start", "--quiet", NAME)
    ended = time.time()
    stamps = {}
    for stamp, line in events(place.files(NAME) / "events.jsonl", begun):
        stamps.setdefault(line["event"], stamp)
    spawned = max(process_start(pids(place, NAME)[1]), begun)
    moments = (begun, spawned, stamps["link-up"], stamps["ready"], ended)
    return [(after - before) * 1000 for before, after in zip(moments, moments[1:])]


def ask(client, keep):
    kept = b"" if keep else b"Connection: close\r\n"
    client.sendall(b"GET /_ping HTTP/1.1\r\nHost: d\r\n" + kept + b"\r\n")
    said = b""
    while not said.endswith(b"\r\n\r\nOK"):
        piece = client.recv(4096)
        assert piece, said
        said += piece


def fresh(path, count):
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            ask(client, False)
        times.append((time.perf_counter() - begun) * 1000)
    return times


def kept(path, count):
    times = []
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        for _ in range(count):
            begun = time.perf_counter()
            ask(client, True)
            times.append((time.perf_counter() - begun) * 1000)
    return times


def bench(target, stub, runs):
    names = {"applehv": "vfkit's stand-in", "libkrun": "krunkit's stand-in", "wsl": "WSL's stand-in", "qemu": "QEMU, stub guest"}
    for provider, name in names.items():
        with Place(target, provider) as place:
            if provider == "qemu":
                place.image = stub
            place.init()
            # The first boot and, with WSL, the import.
            start(place)
            rounds = []
            for _ in range(runs):
                place.machine("stop", NAME)
                rounds.append(start(place))
            before, booting, waiting, after = zip(*rounds)
            print(f"{name}:")
            print(f"  command to VM's process:    {spread(before)}")
            print(f"  process to agent's hello:   {spread(booting)} (the hypervisor's and the guest's)")
            print(f"  hello to ready:             {spread(waiting)} (the agent's, with what its guest starts)")
            print(f"  ready to command's end:     {spread(after)}")
            print(f"  our layer:                  {spread([first + last for first, last in zip(before, after)])}")
            api = place.files(NAME) / "podman.sock"
            fresh(api, WARM)
            print(f"  /_ping, one connection:     {percentiles(kept(api, PINGS))}")
            print(f"  /_ping, fresh connections:  {percentiles(fresh(api, PINGS))}")
