"""What the parts of the benchmarks measure with, and how figures are written."""

import json
import os
import pathlib
import socket
import statistics
import time


def spread(values, unit="ms", digits=1):
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{low:.{digits}f} / {middle:.{digits}f} / {high:.{digits}f} {unit} (min/median/max of {len(values)})"


def percentiles(values):
    ordered = sorted(values)
    at = lambda share: ordered[min(len(ordered) - 1, int(len(ordered) * share))]
    return f"p50 {at(0.5):.2f} ms, p99 {at(0.99):.2f} ms (of {len(ordered)})"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise LookupError(pid)


def pids(home, name):
    record = json.loads((home.files(name) / "vm.json").read_text())
    vm = record["process"]["pid"]
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(home.files(name) / "control.sock"))
        supervisor = json.loads(client.makefile().readline())["pid"]
    return supervisor, vm


def process_start(pid):
    """When a process began, as wall-clock time; the kernel counts in hundredths of a second."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + int(fields[19]) / os.sysconf("SC_CLK_TCK")


def events(path, since):
    """A machine's events since then, each with its time."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    parsed = []
    for line in lines:
        text = line["time"].rstrip("Z")
        whole, _, fraction = text.partition(".")
        seconds = time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) - time.timezone
        stamp = seconds + float(f"0.{fraction or 0}")
        if stamp >= since:
            parsed.append((stamp, line))
    return parsed
