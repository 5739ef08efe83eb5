"""What the machine has to confine scripts with, for people to read."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mlagent_gym.sandbox.containers import ENGINES, IMAGES_ARE_FILES
from mlagent_gym.sandbox.levels import LEVELS, remedy_for, trouble_with
from mlagent_gym.sandbox.runtime import delegation, landlock

__all__ = ["Layer", "Presence", "layers"]

_ANSWER_WITHIN_S = 20.0
_ASKED = dict.fromkeys(IMAGES_ARE_FILES, "version")


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
        _cgroup(Path("/"), used),
        _bubblewrap(),
        *map(_engine, ENGINES),
    ]


def _levels(troubles: dict[str, str], used: str) -> Iterator[Layer]:
    for level in LEVELS:
        name = f"level {level.name}"
        if trouble := troubles[level.name]:
            yield Layer(name, Presence.MISSING, trouble.splitlines()[-1], remedy_for(level))
        elif level.name == used:
            yield Layer(name, Presence.ACTIVE, level.made_of)
        else:
            yield Layer(name, Presence.AVAILABLE, f"{level.made_of}; a better one is used")


def _namespaces(trouble: str) -> Layer:
    if not trouble:
        return Layer("namespaces", Presence.ACTIVE, "own processes, files, network, shared memory")
    meaning = f"scripts share the machine's view: {LEVELS[1].gaps}"
    return Layer("namespaces", Presence.MISSING, meaning, remedy_for(LEVELS[0]))


def _landlock(used: str) -> Layer:
    version = landlock.abi() if sys.platform == "linux" else 0
    name, remedy = f"Landlock {version}", remedy_for(LEVELS[1])
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


def _cgroup(root: Path, used: str) -> Layer:
    """Say whether memory and processes of a run are limited by a group of its own."""
    place = delegation.find(root)
    if place is None:
        return Layer(
            "cgroup v2",
            Presence.MISSING,
            "none is ours to divide: memory and processes are watched every 50 ms, and a script "
            "can overshoot by what it takes in that time",
            "start the program in a group that is delegated with the controllers memory and "
            "pids, with systemd by systemd-run --user --scope -p Delegate=yes PROGRAM",
        )
    presence = Presence.ACTIVE if used else Presence.AVAILABLE
    meaning = f"each run has a group of its own below {place.folder}, with exact limits"
    return Layer("cgroup v2", presence, meaning)


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
            [engine, _ASKED.get(engine, "info")],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWER_WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "installed, but it does not answer"
    asked = _ASKED.get(engine, "info")
    return f"installed, but it does not work: see its command {asked}" if said.returncode else ""
