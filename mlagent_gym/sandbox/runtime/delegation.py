"""Which control group of version 2 is ours to divide.

The rules are those of the kernel (``Documentation/admin-guide/cgroup-v2.rst``) and, where
systemd runs, its own: only what it marks as delegated is ours.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["NEEDED", "OTHERS", "Place", "find"]

NEEDED = frozenset({"memory", "pids"})
"""Controllers without which groups are of no use to us."""
OTHERS = "mlagent-others"
"""Leaf for processes that stood in a group which is divided."""


@dataclass(frozen=True)
class Place:
    """A group that is ours to divide."""

    folder: Path
    home: Path
    """The leaf in which processes that are no run's are, or will be."""
    is_crowded: bool
    """Whether processes stand in the folder itself, and must go to `home` first."""


def find(root: Path = Path("/")) -> Place | None:
    """Return the control group that we may divide with limits of memory and processes.

    That is the one above ours, if it has nothing in it but groups and ours has no limits
    of its own, which nobody is to escape; else our own. Nothing is changed.
    """
    top = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
        path = next(line[3:].strip("/") for line in lines if line.startswith("0::"))
    except (OSError, StopIteration):
        return None
    if ".." in path.split("/"):
        return None  # we are outside of what is mounted here
    own = top / path
    if own != top and not _has_limits(own) and _is_ours(own.parent, root) and _is_free(own.parent):
        return Place(own.parent, own, is_crowded=False)
    if not _is_ours(own, root):
        return None
    if _is_free(own):
        return Place(own, own, is_crowded=False)
    return Place(own, own / OTHERS, is_crowded=True)


def _is_ours(folder: Path, root: Path) -> bool:
    files = (folder / "cgroup.procs", folder / "cgroup.subtree_control")
    if not all(os.access(path, os.W_OK) for path in (folder, *files)):
        return False
    if not set(_text(folder / "cgroup.controllers").split()) >= NEEDED:
        return False
    if _text(folder / "cgroup.type") not in ("", "domain"):
        return False
    return not (root / "run/systemd/system").is_dir() or _is_marked(folder)


def _is_marked(folder: Path) -> bool:
    """Whether systemd says that it leaves a group to whoever is in it."""
    for name in ("user.delegate", "trusted.delegate"):
        with contextlib.suppress(OSError):
            if os.getxattr(folder, name) == b"1":
                return True
    return False


def _is_free(folder: Path) -> bool:
    """Whether a group may be divided as it is: it has no processes, or is the machine's root."""
    return not (folder / "cgroup.type").exists() or not _text(folder / "cgroup.procs")


def _has_limits(folder: Path) -> bool:
    limits = [_text(folder / name) for name in ("memory.max", "memory.high", "pids.max", "cpu.max")]
    return any(limit and not limit.startswith("max") for limit in limits) or bool(
        _text(folder / "cpuset.cpus")
    )


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
