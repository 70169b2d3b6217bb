"""What a program that polls costs: `list`, `inspect`, `info` and `system connection list` beside podman-remote's.

Both look at twenty stopped machines of their own kind, as the same ordinary user, in turn. Podman's machines are files
as it writes them itself; nothing of them is started.
"""

import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import tempfile
import time

MACHINES = 20
ROUNDS = 30
NOBODY = 65534

COMMANDS = {
    "list": (["list", "--format", "json"], ["machine", "list", "--format", "json"]),
    "inspect": (["inspect", "m7"], ["machine", "inspect", "m7"]),
    "info": (["info", "--format", "json"], ["machine", "info", "--format", "json"]),
    "connection list": (
        ["system", "connection", "list", "--format", "json"],
        ["system", "connection", "list", "--format", "json"],
    ),
}


def podman_machine(name, port, home):
    """A machine's file as podman writes it."""
    return {
        "Created": "2026-06-11T09:30:12.12+02:00", "LastUp": "0001-01-01T00:00:00Z", "Name": name, "Version": 1,
        "HostUser": {"Rootful": False, "UID": 1000, "HostUserModified": False}, "Mounts": [],
        "GvProxy": {"Debug": False, "MTU": 0, "LogFile": "", "PidFile": "", "SSHPort": 0},
        "Resources": {"CPUs": 1, "DiskSize": 1, "Memory": 2048, "USBs": []}, "Swap": 0,
        "SSH": {"IdentityPath": f"{home}/machine", "Port": port, "RemoteUsername": "core"},
        "ImagePath": {"Path": f"{home}/{name}-amd64.qcow2"}, "Starting": False, "Rosetta": False, "Ansible": None,
        "QEMUHypervisor": {
            "QMPMonitor": {"Address": {"Path": f"{home}/qmp_{name}.sock"}, "Network": "unix", "Timeout": 2000000000},
            "QEMUPidPath": {"Path": f"{home}/{name}_vm.pid"}},
    }


def measured(command, env, processes=True):
    """Wall time in ms and resident memory in MiB of one run."""
    def prepare():
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        if not processes:
            resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    begun = time.perf_counter()
    child = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=prepare)
    _, status, usage = os.wait4(child.pid, 0)
    took = (time.perf_counter() - begun) * 1000
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"{command} failed: {child.stderr.read().decode()}")
    child.stderr.close()
    return took, usage.ru_maxrss / 1024


def bench(machine, clients):
    home = pathlib.Path(tempfile.mkdtemp(prefix="m-polls.", dir="/var/tmp"))
    try:
        programs = home / "bin"
        programs.mkdir()
        shutil.copy(machine, programs / "machine")
        env = {
            "PATH": "/usr/bin:/bin", "HOME": str(home), "MACHINE_HOME": str(home / "ours"),
            "XDG_RUNTIME_DIR": str(home / "run"),
            "PODMAN_CONNECTIONS_CONF": str(home / "podman-connections.json"),
        }
        (home / "run").mkdir(mode=0o700)
        kept = home / ".config/containers/podman/machine/qemu"
        kept.mkdir(parents=True)
        for number in range(MACHINES):
            init = ["init", "--image", "/dev/null", "--disk-size", "1", "--cpus", "1", f"m{number}"]
            subprocess.run([programs / "machine", *init], env=env, check=True, stdout=subprocess.DEVNULL)
            text = json.dumps(podman_machine(f"m{number}", 40000 + number, home))
            (kept / f"m{number}.json").write_text(text)
        if os.getuid() == 0:
            subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", home], check=True)
        for name, (ours, theirs) in COMMANDS.items():
            ours = [str(programs / "machine"), *ours]
            theirs = [f"{clients}/podman-remote", *theirs]
            both = []
            for _ in range(ROUNDS):
                both.append((measured(ours, env), measured(theirs, env)))
            wall = [statistics.median(pair[side][0] for pair in both) for side in (0, 1)]
            size = [statistics.median(pair[side][1] for pair in both) for side in (0, 1)]
            # A user who may make no process still gets the answer.
            measured(ours, env, processes=False)
            print(
                f"{name + ':':17} {wall[0]:6.1f} ms, {size[0]:5.1f} MiB; podman-remote {wall[1]:6.1f} ms, {size[1]:5.1f} MiB: "
                f"{wall[1] / wall[0]:.1f} times the speed, {size[1] / size[0]:.1f} times leaner (medians of {ROUNDS})")
    finally:
        shutil.rmtree(home)
