"""How scripts can be confined on this machine, found out by trying it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlagent_gym.errors import MLAgentError, SandboxError
from mlagent_gym.executor import Limits
from mlagent_gym.sandbox.broker_client import runtime_folder
from mlagent_gym.sandbox.executor import SandboxExecutor
from mlagent_gym.sandbox.runtime import landlock
from mlagent_gym.sandbox.visible import interpreter_folders

__all__ = [
    "LEVELS",
    "Layer",
    "Level",
    "best_level",
    "closed_to_scripts",
    "layers",
    "trouble_with",
]

_LIMITS = Limits(wall_s=20, memory_mb=512, processes=16, disk_mb=8, files=100)


@dataclass(frozen=True)
class Level:
    """One way to confine scripts."""

    name: str
    made_of: str
    gaps: str
    """What it leaves open; empty if nothing is known."""
    remedy: str
    """How to make it possible where it is not."""


LEVELS = (
    Level(
        name="ns",
        made_of="namespaces of its own (processes, files, network, memory), Landlock, seccomp, "
        "resource limits; as root also another user id",
        gaps="",
        remedy="allow user namespaces (sysctl -w user.max_user_namespaces=15000; on Ubuntu also "
        "kernel.apparmor_restrict_unprivileged_userns=0), or in a container run with "
        "--security-opt seccomp=unconfined --security-opt systempaths=unconfined",
    ),
    Level(
        name="landlock",
        made_of="Landlock, seccomp, resource limits, a watch over the tree of processes",
        gaps="names and sizes of files and command lines of processes can be seen; no worker "
        "processes (use num_workers=0); disk and processes are limited by watching",
        remedy="needs Linux 6.12 with Landlock among its security modules (lsm=landlock,...)",
    ),
)
"""From the best to the least that untrusted scripts are run with."""

_PROBE = """
import os, socket
held = []
def refused(what, action):
    try:
        action()
    except Exception:
        held.append(what)
    else:
        print("NOT HELD:", what)
refused("reading", lambda: open({canary!r}).read())
refused("writing", lambda: open({canary!r} + ".new", "w").close())
refused("signals", lambda: os.kill({pid}, 0))
def connect(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(2)
        s.connect(address)
refused("sockets of others", lambda: connect(socket.AF_UNIX, {path!r}))
refused("the network", lambda: connect(socket.AF_INET, ("127.0.0.1", {port})))
refused("changing the data", lambda: os.truncate("../input/data", 0))
refused("other namespaces", lambda: os.unshare(0x10000000) if hasattr(os, "unshare") else 1 / 0)
open("made", "w").close()
print("HELD", len(held))
"""
_PROBED = 7


def trouble_with(level: str) -> str:
    """Return why a level cannot be used here; empty if it can.

    A script is run under it that tries what it must not be able to do. What was found is
    kept until the machine or the project's code changes.
    """
    kept = runtime_folder() / f"{SandboxExecutor(level, warm=False).kind}.{_boot()}.probe"
    with contextlib.suppress(OSError, ValueError):
        known: str = json.loads(kept.read_text())
        return known
    trouble = _try(level)
    if not trouble:  # what is wrong may be put right
        temporary = kept.with_suffix(f".{secrets.token_hex(4)}")
        temporary.write_text(json.dumps(trouble))
        temporary.replace(kept)
    return trouble


def best_level() -> str:
    """Return the name of the best level that can be used here.

    Raises
    ------
    SandboxError
        There is none; the message says why, what to do, and how to do without.
    """
    reasons = []
    for level in LEVELS:
        if not (trouble := trouble_with(level.name)):
            return level.name
        reasons.append(f"- {level.name}: {trouble}\n  To have it: {level.remedy}.")
    raise SandboxError(
        "Scripts of an agent cannot be confined on this machine, so none is run.\n"
        + "\n".join(reasons)
        + "\nIf you trust every script, choose the executor 'unsafe' by name, for instance "
        "gym.make(..., executor='unsafe')."
    )


def closed_to_scripts() -> str:
    """Return a folder above the interpreter that root's scripts may not enter; empty if none.

    Level "ns" does not mind: its scripts have a tree of mounts of their own.
    """
    if os.getuid() != 0:
        return ""
    for place in map(Path, interpreter_folders()):
        for folder in (*reversed(place.parents), place):
            if folder.exists() and not folder.stat().st_mode & stat.S_IXOTH:
                return str(folder)
    return ""


@dataclass(frozen=True)
class Layer:
    """One of the machine's means to confine, and whether it is there."""

    name: str
    active: bool
    meaning: str
    """What its being there, or missing, means."""


def layers() -> list[Layer]:
    """Return what the machine offers, for people to read."""
    found = []
    for level in LEVELS:
        trouble = trouble_with(level.name)
        meaning = trouble.splitlines()[-1] + f" To have it: {level.remedy}." if trouble else ""
        found.append(Layer(f"level {level.name}", not trouble, meaning or level.made_of))
    version = landlock.abi() if sys.platform == "linux" else 0
    found.append(
        Layer(
            f"Landlock {version}",
            version >= 6,
            "a second wall around files, sockets and signals"
            if version >= 6
            else "before version 6 (Linux 6.12) it cannot stand alone",
        )
    )
    delegated = os.access("/sys/fs/cgroup/cgroup.procs", os.W_OK)
    found.append(
        Layer(
            "cgroup v2",
            delegated,
            "not used: memory is watched every 50 ms instead",
        )
    )
    return found


def _try(level: str) -> str:
    if sys.platform != "linux":
        return "only Linux can confine scripts."
    if level == "landlock" and landlock.abi() < 6:
        return f"the kernel offers Landlock {landlock.abi()}, at least 6 is needed."
    if level == "landlock" and (closed := closed_to_scripts()):
        return (
            f"root's scripts run as another user, who may not enter {closed}, where the "
            f"interpreter is: run chmod o+x {closed}, or install the project elsewhere."
        )
    with _bait() as (folder, script):
        executor = SandboxExecutor(level, warm=False)
        try:
            (folder / "work/probe.py").write_text(script)
            run = executor.run("probe.py", folder / "work", folder / "data", _LIMITS)
        except MLAgentError as error:
            return str(error).strip()
        finally:
            executor.close()
        if run.output != f"HELD {_PROBED}\n" or not (folder / "work/made").is_file():
            return f"a script could do what it must not, or not what it must: {run.output!r}"
        if (folder / "data/data").read_text() != "data":
            return "a script could change the data."
    return ""


@contextlib.contextmanager
def _bait() -> Iterator[tuple[Path, str]]:
    """Make a workspace, and beside it what a script must not reach."""
    folder = Path(tempfile.mkdtemp(prefix="mlagent-probe-"))
    for name in ("work", "data"):
        (folder / name).mkdir()
    (folder / "data/data").write_text("data")
    (folder / "input").symlink_to(folder / "data")
    (folder / "canary").write_text(secrets.token_hex())
    path = str(folder / "socket")
    with socket.socket(socket.AF_UNIX) as local, socket.socket() as tcp:
        local.bind(path)
        local.listen()
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        try:
            yield (
                folder,
                _PROBE.format(
                    canary=str(folder / "canary"),
                    pid=os.getpid(),
                    path=path,
                    port=tcp.getsockname()[1],
                ),
            )
        finally:
            shutil.rmtree(folder)


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"
