"""What carries a guest's packets: QEMU's own network, passt and gvproxy, one after the other on the same machine.

The guest fetches from and sends to a server on the host's loopback by curl, as nothing is outside that could be
measured. An emulated guest is the slower end, so the rates say little and the host's CPU time per GiB says more.
"""

import json
import re
import shutil
import socket
import threading

from measure import cpu_seconds, pids, spread

SIZE = 128 << 20
CONNECTS = 30
ZEROS = bytes(1 << 20)


class Server:
    """Answers GET with SIZE zeros, or none at `/none`, and takes what PUT sends."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.answer, args=(client,), daemon=True).start()

    def answer(self, client):
        with client, client.makefile("rb") as stream:
            request = stream.readline()
            length = 0
            while (line := stream.readline()).strip():
                if match := re.match(rb"content-length: (\d+)", line, re.IGNORECASE):
                    length = int(match[1])
            while length > 0 and (piece := stream.read(min(length, 1 << 20))):
                length -= len(piece)
            size = SIZE if request.startswith(b"GET / ") else 0
            client.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size)
            while size > 0:
                client.sendall(ZEROS)
                size -= len(ZEROS)


def curl(home, name, field, *arguments):
    command = ["curl", "-s", "-o", "/dev/null", "--max-time", "300", "-w", "%{" + field + "}", *arguments]
    return float(home.machine("exec", name, *command))


def program_pids(home, name):
    """The program of the machine's network, if there is one."""
    record = json.loads((home.files(name) / "vm.json").read_text())
    process = (record["network"] or {}).get("process")
    return [process["pid"]] if process else []


def bench(home, name):
    server = Server()
    for network in ["built-in", "passt", "gvproxy"]:
        if network != "built-in" and shutil.which(network, path=home.env["PATH"]) is None:
            print(f"{network}: not installed here")
            continue
        home.machine("set", "--network", network, name)
        home.machine("start", "--quiet", name)
        _, vm = pids(home, name)
        paid = [vm, *program_pids(home, name)]
        cpu = lambda: sum(cpu_seconds(pid) for pid in paid)
        url = f"http://host.containers.internal:{server.port}"
        curl(home, name, "speed_download", f"{url}/none")
        lines = [f"{network}:"]
        for what, field, arguments in [
            ("from the host", "speed_download", [f"{url}/"]),
            ("to the host", "speed_upload", ["-H", "Expect:", "-T", "/run/bench", f"{url}/"]),
        ]:
            home.machine("exec", "--user", "root", name, "truncate", "-s", str(SIZE), "/run/bench")
            before, rates = cpu(), []
            for _ in range(3):
                rates.append(curl(home, name, field, *arguments) / 1e6)
            cost = (cpu() - before) * (1 << 30) / SIZE / 3
            lines.append(f"  {what:14} {spread(rates, 'MB/s')}; host CPU {cost:.1f} s/GiB")
        times = [curl(home, name, "time_connect", f"{url}/none") * 1000 for _ in range(CONNECTS)]
        lines.append(f"  connect        {spread(times)}")
        print("\n".join(lines))
        home.machine("stop", name)
    home.machine("set", "--network", "built-in", name)
