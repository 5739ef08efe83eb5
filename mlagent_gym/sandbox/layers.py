"""What the machine has to confine scripts with, for people to read."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mlagent_gym.sandbox.containers import ENGINES
from mlagent_gym.sandbox.levels import LEVELS, trouble_with
from mlagent_gym.sandbox.runtime import landlock

__all__ = ["Layer", "Presence", "layers"]

_ANSWER_WITHIN_S = 20.0


class Presence(StrEnum):
    """Whether a layer holds scripts back here."""

    ACTIVE = "active"
    """The default executor uses it."""
    AVAILABLE = "available"
    """It is there, and used only if asked for, or not at all."""
    MISSING = "missing"


@dataclass(frozen=True)
class Layer:
    """One of the machine's means to confine, and whether it is there."""

    name: str
    presence: Presence
    meaning: str
    """What its being there, or missing, means."""
    remedy: str = ""
    """How to have it; empty if it is there or nothing is lost."""


def layers() -> list[Layer]:
    """Return the levels, best first, then what they are made of, then what could be chosen."""
    troubles = {level.name: trouble_with(level.name) for level in LEVELS}
    used = next((name for name, trouble in troubles.items() if not trouble), "")
    return [
        *_levels(troubles, used),
        _namespaces(troubles["ns"]),
        _landlock(used),
        _seccomp(used),
        Layer(
            "resource limits",
            Presence.ACTIVE if used else Presence.AVAILABLE,
            "of each process: open files, size of a file, processor time",
        ),
        _cgroup(Path("/")),
        _bubblewrap(),
        *map(_engine, ENGINES),
    ]


def _levels(troubles: dict[str, str], used: str) -> Iterator[Layer]:
    for level in LEVELS:
        name = f"level {level.name}"
        if trouble := troubles[level.name]:
            yield Layer(name, Presence.MISSING, trouble.splitlines()[-1], level.remedy)
        elif level.name == used:
            yield Layer(name, Presence.ACTIVE, level.made_of)
        else:
            yield Layer(name, Presence.AVAILABLE, f"{level.made_of}; a better one is used")


def _namespaces(trouble: str) -> Layer:
    if not trouble:
        return Layer("namespaces", Presence.ACTIVE, "own processes, files, network, shared memory")
    meaning = f"scripts share the machine's view: {LEVELS[1].gaps}"
    return Layer("namespaces", Presence.MISSING, meaning, LEVELS[0].remedy)


def _landlock(used: str) -> Layer:
    version = landlock.abi() if sys.platform == "linux" else 0
    name, remedy = f"Landlock {version}", LEVELS[1].remedy
    if version >= 6:
        presence = Presence.ACTIVE if used else Presence.AVAILABLE
        return Layer(name, presence, "a second wall around files, sockets and signals")
    meaning = "before version 6 it cannot stand alone, only behind namespaces"
    return Layer(name, Presence.MISSING, meaning, remedy)


def _seccomp(used: str) -> Layer:
    if Path("/proc/sys/kernel/seccomp").is_dir():
        presence = Presence.ACTIVE if used else Presence.AVAILABLE
        return Layer("seccomp", presence, "system calls that no training script needs are refused")
    return Layer(
        "seccomp",
        Presence.MISSING,
        "system calls cannot be refused, so that no level works",
        "use a kernel built with CONFIG_SECCOMP_FILTER.",
    )


def _cgroup(root: Path) -> Layer:
    """Say whether memory and processes of a tree could be limited by a group of our own."""
    unused = "not used: memory and processes are watched every 50 ms instead"
    folder = _delegated_group(root)
    if folder is None:
        return Layer("cgroup v2", Presence.MISSING, f"none is ours to divide; {unused}")
    return Layer("cgroup v2", Presence.AVAILABLE, f"{folder} is ours to divide; {unused}")


def _delegated_group(root: Path) -> Path | None:
    """Return our control group if we may divide it with limits of memory and processes."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
        path = next(line[3:] for line in lines if line.startswith("0::"))
        folder = root / "sys/fs/cgroup" / path.lstrip("/")
        offered = set((folder / "cgroup.controllers").read_text().split())
    except (OSError, StopIteration):
        return None
    files = ("cgroup.procs", "cgroup.subtree_control")
    writable = os.access(folder, os.W_OK) and all(os.access(folder / f, os.W_OK) for f in files)
    return folder if writable and {"memory", "pids"} <= offered else None


def _bubblewrap() -> Layer:
    there = shutil.which("bwrap") is not None
    return Layer(
        "bubblewrap",
        Presence.AVAILABLE if there else Presence.MISSING,
        "not used: the levels make their own namespaces, or do without",
    )


def _engine(engine: str) -> Layer:
    if trouble := _trouble_with_engine(engine):
        meaning = f"{trouble}; needed only for executor='{engine}:IMAGE'"
        return Layer(engine, Presence.MISSING, meaning)
    return Layer(
        engine, Presence.AVAILABLE, f"executor='{engine}:IMAGE' runs each script in a container"
    )


def _trouble_with_engine(engine: str) -> str:
    if shutil.which(engine) is None:
        return "not installed"
    try:
        said = subprocess.run(
            [engine, "info"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWER_WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "installed, but it does not answer"
    return "installed, but it does not work: see its command info" if said.returncode else ""
