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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mlagent_gym.errors import MLAgentError, SandboxError
from mlagent_gym.executor import Executor, Limits
from mlagent_gym.sandbox.broker_client import runtime_folder
from mlagent_gym.sandbox.container_executor import ContainerExecutor
from mlagent_gym.sandbox.executor import SandboxExecutor
from mlagent_gym.sandbox.runtime import landlock, system
from mlagent_gym.sandbox.visible import interpreter_folders

__all__ = [
    "LEVELS",
    "Level",
    "best_level",
    "closed_to_scripts",
    "remedy_for",
    "require_confinement",
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
    return _remembered(SandboxExecutor(level, warm=False).kind, lambda: _try(level))


def require_confinement(executor: ContainerExecutor) -> None:
    """Try whether containers confine as they must.

    Raises
    ------
    SandboxError
        They do not, or there are none; the message says why.
    """
    if trouble := _remembered(executor.kind, lambda: _breach_of(executor)):
        raise SandboxError(
            f"Scripts cannot be run in these containers: {trouble}"
            "\nFix that, or leave the executor out to use the sandbox of this package."
        )


def _remembered(kind: str, find: Callable[[], str]) -> str:
    """Return the trouble with a kind of executor; that there is none is kept."""
    kept = runtime_folder() / f"{kind}.{_boot()}.probe"
    with contextlib.suppress(OSError, ValueError):
        known: str = json.loads(kept.read_text())
        return known
    trouble = find()
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
        reasons.append(f"- {level.name}: {trouble}\n  To have it: {remedy_for(level)}.")
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


def remedy_for(level: Level) -> str:
    """Return how to make a level possible on this machine."""
    return level.remedy if _fits() else "use a machine with Linux on x86-64"


def _fits() -> bool:
    return sys.platform == "linux" and system.machine_supported()


def _try(level: str) -> str:
    if not _fits():
        return "only Linux on x86-64 can confine scripts."
    if level == "landlock" and landlock.abi() < 6:
        return f"the kernel offers Landlock {landlock.abi()}, at least 6 is needed."
    if level == "landlock" and (closed := closed_to_scripts()):
        return (
            f"root's scripts run as another user, who may not enter {closed}, where the "
            f"interpreter is: run chmod o+x {closed}, or install the project elsewhere."
        )
    executor = SandboxExecutor(level, warm=False)
    try:
        return _breach_of(executor)
    finally:
        executor.close()


def _breach_of(executor: Executor) -> str:
    """Return what a script could do that it must not; empty if nothing."""
    with _bait() as (folder, script):
        (folder / "work/probe.py").write_text(script)
        try:
            run = executor.run("probe.py", folder / "work", folder / "data", _LIMITS)
        except MLAgentError as error:
            return str(error).strip()
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
