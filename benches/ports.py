"""A port of the host that leads into the guest: this project's own way beside QEMU's `hostfwd`, `ssh -L` and gvproxy.

All of them lead to the same servers: BusyBox's httpd, and `cat` and a sink behind its nc. What the path costs is the CPU
time of the program that carries it; hostfwd runs inside QEMU, so what the whole costs, the emulated guest included, stands
beside it. The guest's processors are the slower end of every transfer.
"""

import contextlib
import json
import pathlib
import shutil
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from measure import cpu_seconds, free_port, percentiles, pids, spread

FILE = 32 << 20
ECHO = 8 << 20
PINGS = 400
CONNECTS = 200
AT_ONCE = 8
ROUNDS = 3
GIB = 1 << 30
HTTP, CAT, SINK = 9000, 9001, 9002
# The first address that gvproxy gives to a card that it does not know.
GUEST_OF_GVPROXY = "192.168.127.3"

SERVERS = f"""
mkdir -p /run/bench-ports && cd /run/bench-ports
truncate -s {FILE} large; echo word >word
printf '#!/bin/sh\\nexec cat >/dev/null\\n' >sink; chmod 755 sink /run/busybox
run() {{ unit=$1; shift; systemd-run --quiet --unit "bench-$unit" /run/busybox "$@"; }}
run http httpd -f -p {HTTP} -h /run/bench-ports
run cat nc -ll -p {CAT} -e /bin/cat
run sink nc -ll -p {SINK} -e /run/bench-ports/sink
"""


class CutOff(Exception):
    """A path that lost the rest of an answer."""


def connect(port):
    client = socket.create_connection(("127.0.0.1", port), timeout=120)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def drain(client):
    total = 0
    while piece := client.recv(1 << 18):
        total += len(piece)
    return total


def download(port):
    with connect(port) as client:
        client.sendall(b"GET /large HTTP/1.0\r\n\r\n")
        size = drain(client)
    assert size > FILE, size
    return FILE


def upload(port):
    with connect(port) as client:
        client.sendall(bytes(FILE))
        client.shutdown(socket.SHUT_WR)
        drain(client)
    return FILE


def both_ways(port):
    def send():
        # A path that cuts off is told of by what is missing.
        with contextlib.suppress(OSError):
            client.sendall(bytes(ECHO))
            client.shutdown(socket.SHUT_WR)

    with connect(port) as client:
        sender = threading.Thread(target=send)
        sender.start()
        size = drain(client)
        sender.join()
    if size != ECHO:
        raise CutOff(f"cut off after {size} of {ECHO} bytes: the answer ends when the client's words do")
    return 2 * ECHO


def pings(port):
    times = []
    with connect(port) as client:
        for _ in range(PINGS):
            begun = time.perf_counter()
            client.sendall(bytes(64))
            left = 64
            while left:
                left -= len(client.recv(left))
            times.append((time.perf_counter() - begun) * 1000)
    return times[PINGS // 10:]


def fetch(port):
    with connect(port) as client:
        client.sendall(b"GET /word HTTP/1.0\r\n\r\n")
        assert drain(client) > 0


def measure(name, ports, carrier, vm):
    """One path: where it leads to each server, and the processes that are the path and the guest."""
    cpu = lambda whose: sum(cpu_seconds(pid) for pid in whose)
    print(f"  {name}:")
    for what, transfer, port in [("from the guest", download, ports[HTTP]), ("to the guest", upload, ports[SINK]),
                                 ("both ways", both_ways, ports[CAT])]:
        rates, size, before = [], 0, (cpu(carrier), cpu([*carrier, vm]))
        try:
            for _ in range(ROUNDS):
                begun = time.perf_counter()
                moved = transfer(port)
                rates.append(moved / (time.perf_counter() - begun) / 1e6)
                size += moved
        except CutOff as cut:
            print(f"    {what:15} {cut}")
            continue
        own, whole = cpu(carrier) - before[0], cpu([*carrier, vm]) - before[1]
        paid = f"{own * GIB / size:.1f} of " if carrier else ""
        print(f"    {what:15} {spread(rates, 'MB/s')}; CPU {paid}{whole * GIB / size:.1f} s/GiB")
    print(f"    there and back  {percentiles(pings(ports[CAT]))}")
    begun = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as clients:
        list(clients.map(fetch, [ports[HTTP]] * CONNECTS))
    print(f"    connections     {CONNECTS / (time.perf_counter() - begun):.0f}/s, {AT_ONCE} at once")


def own_ports(home, name):
    ports = {guest: free_port() for guest in (HTTP, CAT, SINK)}
    for guest, host in ports.items():
        home.machine("port", "add", f"127.0.0.1:{host}:{guest}", name)
    return ports


@contextlib.contextmanager
def ssh_ports(ssh):
    """`ssh -L` for each server, in one process."""
    ports = {guest: free_port() for guest in (HTTP, CAT, SINK)}
    forwards = [word for guest, host in ports.items() for word in ("-L", f"127.0.0.1:{host}:127.0.0.1:{guest}")]
    command = ["ssh", *ssh, "-o", "ExitOnForwardFailure=yes", "-N", *forwards, "root@127.0.0.1"]
    process = subprocess.Popen([str(word) for word in command])
    try:
        await_port(ports[HTTP])
        yield ports, process.pid
    finally:
        process.terminate()
        process.wait()


def gvproxy_ports(home, name):
    """By gvproxy's own API, which the guest reaches at its gateway."""
    ports = {guest: free_port() for guest in (HTTP, CAT, SINK)}
    for guest, host in ports.items():
        wanted = json.dumps({"local": f"127.0.0.1:{host}", "remote": f"{GUEST_OF_GVPROXY}:{guest}"})
        home.machine("exec", name, "curl", "-sf", "-d", wanted, "http://192.168.127.1/services/forwarder/expose")
    return ports


def await_port(port):
    for _ in range(600):
        with contextlib.suppress(OSError):
            return connect(port).close()
        time.sleep(0.1)
    raise TimeoutError(port)


def serve(home, name):
    busybox = pathlib.Path(shutil.which("busybox"))
    home.machine("exec", "--user", "root", name, "mkdir", "-m", "777", "-p", "/run/bench-in")
    home.machine("cp", str(busybox), f"{name}:/run/bench-in/busybox")
    home.machine("exec", "--user", "root", name, "cp", "/run/bench-in/busybox", "/run/busybox")
    home.machine("exec", "--user", "root", name, "bash", "-ec", SERVERS)


def bench(home, name, hostfwd, ssh):
    """`hostfwd` maps the servers' ports to those of the host that QEMU forwards; `ssh` are the options of a client."""
    print(f"ports of the host, {FILE >> 20} MiB one way and {ECHO >> 20} both; CPU: the path's own of all with the guest:")
    home.machine("start", "--quiet", name)
    serve(home, name)
    supervisor, vm = pids(home, name)
    ports = own_ports(home, name)
    await_port(ports[HTTP])
    with ssh_ports(ssh) as (by_ssh, client):
        for _ in range(2):
            measure("machine", ports, [supervisor], vm)
            measure("hostfwd", hostfwd, [], vm)
            measure("ssh -L", by_ssh, [client], vm)
    home.machine("stop", name)
    if shutil.which("gvproxy", path=home.env["PATH"]) is None:
        print("  gvproxy: not installed here")
        return
    home.machine("set", "--network", "gvproxy", name)
    home.machine("start", "--quiet", name)
    serve(home, name)
    supervisor, vm = pids(home, name)
    by_gvproxy = gvproxy_ports(home, name)
    record = json.loads((home.files(name) / "vm.json").read_text())
    gvproxy = record["network"]["process"]["pid"]
    for _ in range(2):
        measure("machine", ports, [supervisor], vm)
        measure("gvproxy", by_gvproxy, [gvproxy], vm)
    home.machine("stop", name)
    home.machine("set", "--network", "built-in", name)
