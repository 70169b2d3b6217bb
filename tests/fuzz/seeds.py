#!/usr/bin/env python3
"""Makes the inputs that fuzzing begins with, of the vectors in docs/protocol.md, the fixtures and a few lines here.

    seeds.py FOLDER        a folder in it for each target
"""

import json
import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
GREETING = {"newest": 2, "oldest": 1, "build": "0.1.0", "pid": 7, "vm_pid": 8, "status": {"state": "running"}}
TIME = "2026-11-29T01:02:03Z"
PORT = {"protocol": "tcp", "host": "127.0.0.1:8080", "guest": 80}


def lines(*objects):
    return b"".join(json.dumps(value).encode() + b"\n" for value in objects)


def vectors():
    """The messages of the hello."""
    text = (TOP / "docs/protocol.md").read_text()
    for block in re.findall(r"^```\n([0-9a-f\n]+)```", text, re.M):
        yield bytes.fromhex(block.replace("\n", ""))


def hello():
    """First how much of the rest is for the guest."""
    for message in vectors():
        yield b"\x00" + message
        yield bytes([min(len(message), 255)]) + message
        yield bytes([0, 0xFE]) + message[:40] + message


def command(kind, stream, payload=b""):
    return bytes([kind, stream, len(payload)]) + payload


def mux():
    """Commands for frames: kind, stream, length, payload. The host opens odd streams; stream 2 is the guest's own."""
    opened = command(1, 1, b'{"engine":"rootful"}')
    data, end, more = command(2, 1, b"GET / HTTP/1.1\r\n\r\n"), command(3, 1), command(6, 1, b"\x00\x00\x01\x00")
    yield opened + data + end
    yield opened + more + data + command(5, 1) + command(4, 1)
    yield opened + command(1, 3, b'"agent-control"') + command(2, 3, b"x" * 200) + command(8, 3) + command(7, 3)
    yield command(6, 2, b"\x00\x20\x00\x00") + command(2, 2, b"answer") + command(3, 2) + command(7, 2, b"\x06\x00\x00\x00")
    yield command(7, 2) + command(8, 2) + opened + end + command(5, 1)
    yield opened + command(0xFF, 0, b"\x01\x00\x02\x00\x03\x00\x00\x00{}\x00\x00\x00\x00")


def control():
    """First the question, below 128 with a greeting before it."""
    events = [
        {"event": "phase", "phase": "boot"}, {"event": "launched", "pid": 9}, {"event": "ready"},
        {"event": "degraded", "reason": "x"}, {"event": "clock-set", "by_ms": -5}, {"event": "ssh-port-changed", "from": 1, "to": 2},
        {"event": "mode-changed", "rootful": True}, {"event": "port-opened", **PORT},
    ]
    told = [{"reply": "event", "time": TIME, **event} for event in events]
    ends = ("stopped", "reloaded", "listed", "joined", "handed-over")
    yield b"0" + lines({"reply": "port", **PORT}, {"reply": "listed"})
    yield b"1" + lines({"reply": "missing", **PORT, "reason": "taken"}, {"reply": "reloaded"})
    yield b"2" + lines(*told)
    yield b"3" + lines(told[0], {"reply": "stopped"})
    yield b"\x80" + lines(GREETING, {"reply": "listed"})
    yield b"\x82" + lines(GREETING | {"newest": 1, "status": {"state": "starting", "phase": "boot"}}, *told[:2])
    yield b"\x81" + lines(GREETING | {"oldest": 9, "newest": 9, "status": {"state": "degraded", "reason": "x"}})
    yield lines(GREETING)
    for reply in [*told, *({"reply": word} for word in ends), {"reply": "statistics", "streams": 1, "buffered_bytes": 2, "peak_buffered_bytes": 3}]:
        yield lines(reply)
    for word in ("follow", "stop", "reload", "ports", "statistics", "hand-over"):
        yield lines({"request": word, "protocol": 2, "force": True})
    yield lines({"request": "open", "protocol": 1, "target": {"engine": "rootless"}})


def events():
    """First where the older log ends."""
    log = lines({"time": TIME, "event": "launched", "pid": 9}, {"time": "2026-11-29T01:02:04.5+01:00", "event": "ready"})
    for cut in (0, 30, len(log) // 2, len(log)):
        yield cut.to_bytes(2, "little") + log
    yield (9).to_bytes(2, "little") + b"\nx\n{}\n" + log + log[:40]
    yield (0).to_bytes(2, "little") + lines({"time": "-009999-01-01T00:00:00Z", "event": "", "machine": "other", "more": {"deep": [1]}})


def machine_toml():
    """First which good file gets a line, and how, or from 6 on that all of it comes here; then which line."""
    for file in sorted((TOP / "tests/golden/store").glob("*.toml")):
        yield b"m" + file.read_bytes()
    good = (TOP / "tests/golden/store/machine-1.6.toml").read_bytes().splitlines()
    for number, line in enumerate(good):
        yield bytes([2, number]) + line
    for line in (b"[x]", b'"a b".c = { d = 1 }', b"swap_mib = -1", b"# \xff", b"[[volumes]]", b"disk_size = 9223372036854775807", b"x = nan"):
        yield bytes([3, 1]) + line
        yield bytes([5, len(good) - 1]) + line


def connections():
    way = {"URI": "ssh://core@127.0.0.1:41913/run/user/1000/podman/podman.sock", "Identity": "/home/u/machine", "IsMachine": True}
    yield b""
    yield b'{"Connection":{},"Farm":{}}'
    yield json.dumps({"Connection": {"Default": "m", "Connections": {"m": way, "m-root": way}}, "Farm": {}}).encode()
    farm = {"Default": "f", "List": {"f": ["m", "other"]}}
    yield json.dumps({"Connection": {"Connections": {"m": way | {"Proxy": {"x": 1}}}, "New": [1]}, "Farm": farm, "Later": None}, indent=2).encode()
    yield b'{"Connection":null,"Farm":{"List":null}}'
    yield json.dumps({"Connection": {"Default": "\u00e9<&>\u2028", "Connections": {"": {"URI": "unix:///a?b=<c>"}}}}).encode()


def main():
    folder = pathlib.Path(sys.argv[1])
    for make in (hello, mux, control, events, machine_toml, connections):
        place = folder / make.__name__
        place.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(make()):
            (place / f"seed-{number:02}").write_bytes(seed)


if __name__ == "__main__":
    main()
